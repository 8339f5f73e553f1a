#include "services/api/dialects/house/house.h"
#include "services/api/membership.h"

#define NAME_MOST   100
#define PEOPLE_MOST 50

enum status house_direct_create(struct exchange *x)
{
	const char *name = NULL;
	uint64_t *ids = NULL;
	size_t count = 0;
	struct json_reader r;
	pb_OpenConversationReply reply;

	house_body(x, &r);
	json_uuids(&r, "user_ids", JSON_REQUIRED, PEOPLE_MOST, &ids, &count);
	json_str(&r, "name", JSON_OPTIONAL, 1, NAME_MOST, &name);
	enum status st = house_body_end(x, &r);
	if (st == STATUS_OK)
		st = conversation_open(x, ids, count, name, &reply);
	if (st != STATUS_OK)
		return st;
	if (reply.created)
		house_location(x, "/channels/%s", house_uuid(x, reply.channel.id));
	return HOUSE_OBJECT(x, reply.created ? 201 : 200, house_channel, &reply.channel);
}

static void write_conversation(struct json_writer *w, const void *items, size_t i)
{
	house_channel(w, &((const pb_ChannelView *)items)[i]);
}

/* What the list is ordered by: the last message, or the beginning. */
static uint64_t activity(const void *items, size_t i)
{
	const pb_ChannelView *view = &((const pb_ChannelView *)items)[i];

	return view->last_message_id > view->id ? view->last_message_id : view->id;
}

enum status house_direct_list(struct exchange *x)
{
	pb_ListChannelsReply reply;
	struct house_page page;
	enum status st = house_page(x, &page);

	if (st == STATUS_OK)
		st = ASK(x, messaging, list_conversations, x->actor.id,
			&((pb_ListConversationsRequest){page.before, page.after, page.limit}), &reply);
	if (st != STATUS_OK)
		return st;
	return house_finish_list(x, &page,
		&(struct house_list){
			reply.channels_count, reply.more, true, reply.channels, write_conversation, activity});
}
