/* What people put on messages: reactions, pins, bookmarks. */
#include "services/api/dialects/house/house.h"

static enum status path_message(struct exchange *x, pb_MessageRequest *out)
{
	enum status st = house_path_id(x, "channel", &out->channel_id);

	return st == STATUS_OK ? house_path_id(x, "message", &out->message_id) : st;
}

/* PUT has nothing to say in its body. */
static enum status no_body(struct exchange *x)
{
	struct json_reader r;

	house_body(x, &r);
	return house_body_end(x, &r);
}

/* ---- reactions */

static enum status path_reaction(struct exchange *x, pb_ReactionRequest *out)
{
	pb_MessageRequest message = {0};
	enum status st = path_message(x, &message);

	*out = (pb_ReactionRequest){.channel_id = message.channel_id,
		.message_id = message.message_id,
		.emoji = (char *)route_param(&x->match, "emoji")};
	return st;
}

enum status house_reactions_put(struct exchange *x)
{
	pb_ReactionRequest request;
	pb_ReactionReply reply;
	enum status st = path_reaction(x, &request);

	if (st == STATUS_OK)
		st = no_body(x);
	if (st == STATUS_OK)
		st = CALL(x, messaging, add_reaction, request.channel_id, &request, &reply);
	return st == STATUS_OK ? HOUSE_OBJECT(x, 200, house_reaction, &reply.reaction) : st;
}

enum status house_reactions_delete(struct exchange *x)
{
	pb_ReactionRequest request;
	pb_Empty nothing;
	enum status st = path_reaction(x, &request);

	if (st == STATUS_OK)
		st = house_query_id(x, "user", &request.user_id);
	if (st == STATUS_OK)
		st = CALL(x, messaging, remove_reaction, request.channel_id, &request, &nothing);
	return st == STATUS_OK ? house_no_content(x) : st;
}

static void write_reactor(struct json_writer *w, const void *items, size_t i)
{
	house_reactor(w, &((const pb_ReactorView *)items)[i]);
}

static uint64_t reactor_id(const void *items, size_t i)
{
	return ((const pb_ReactorView *)items)[i].user.id;
}

enum status house_reactions_list(struct exchange *x)
{
	pb_ReactionRequest of;
	pb_ListReactionsReply reply;
	struct house_page page;
	enum status st = path_reaction(x, &of);

	if (st == STATUS_OK)
		st = house_page(x, &page);
	if (st == STATUS_OK)
		st = ASK(x, messaging, list_reactions, of.channel_id,
			&((pb_ListReactionsRequest){
				of.channel_id, of.message_id, of.emoji, page.before, page.after, page.limit}),
			&reply);
	if (st != STATUS_OK)
		return st;
	return house_finish_list(x, &page,
		&(struct house_list){
			reply.reactors_count, reply.more, false, reply.reactors, write_reactor, reactor_id});
}

/* ---- lists of messages that are not a channel's */

static void write_message(struct json_writer *w, const void *items, size_t i)
{
	house_message(w, &((const pb_MessageView *)items)[i], 0);
}

static uint64_t message_id(const void *items, size_t i)
{
	return ((const pb_MessageView *)items)[i].id;
}

static enum status finish_messages(
	struct exchange *x, const struct house_page *page, const pb_ListMessagesReply *reply)
{
	return house_finish_list(x, page,
		&(struct house_list){reply->messages_count, reply->more, true, reply->messages, write_message,
			message_id});
}

/* ---- pins */

enum status house_pins_put(struct exchange *x)
{
	pb_MessageRequest request = {0};
	pb_Empty nothing;
	enum status st = path_message(x, &request);

	if (st == STATUS_OK)
		st = no_body(x);
	if (st == STATUS_OK)
		st = CALL(x, messaging, pin_message, request.channel_id, &request, &nothing);
	return st == STATUS_OK ? house_no_content(x) : st;
}

enum status house_pins_delete(struct exchange *x)
{
	pb_MessageRequest request = {0};
	pb_Empty nothing;
	enum status st = path_message(x, &request);

	if (st == STATUS_OK)
		st = CALL(x, messaging, unpin_message, request.channel_id, &request, &nothing);
	return st == STATUS_OK ? house_no_content(x) : st;
}

enum status house_pins_list(struct exchange *x)
{
	pb_ListMessagesReply reply;
	struct house_page page;
	uint64_t channel;
	enum status st = house_path_id(x, "channel", &channel);

	if (st == STATUS_OK)
		st = house_page(x, &page);
	if (st == STATUS_OK)
		st = ASK(x, messaging, list_pins, channel,
			&((pb_ListPinsRequest){channel, page.before, page.after, page.limit}), &reply);
	return st == STATUS_OK ? finish_messages(x, &page, &reply) : st;
}

/* ---- bookmarks */

static enum status set_bookmark(struct exchange *x, bool set)
{
	pb_MessageRequest of = {0};
	pb_Empty nothing;
	enum status st = path_message(x, &of);

	if (st == STATUS_OK && set)
		st = no_body(x);
	if (st == STATUS_OK)
		st = CALL(x, messaging, set_bookmark, of.channel_id,
			&((pb_SetBookmarkRequest){of.channel_id, of.message_id, set}), &nothing);
	return st == STATUS_OK ? house_no_content(x) : st;
}

enum status house_bookmarks_put(struct exchange *x)
{
	return set_bookmark(x, true);
}

enum status house_bookmarks_delete(struct exchange *x)
{
	return set_bookmark(x, false);
}

enum status house_bookmarks_list(struct exchange *x)
{
	pb_ListMessagesReply reply;
	struct house_page page;
	enum status st = house_page(x, &page);

	if (st == STATUS_OK)
		st = ASK(x, messaging, list_bookmarks, x->actor.id,
			&((pb_ListBookmarksRequest){page.before, page.after, page.limit}), &reply);
	return st == STATUS_OK ? finish_messages(x, &page, &reply) : st;
}
