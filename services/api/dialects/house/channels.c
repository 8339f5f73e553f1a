#include "common/events/kinds.h"
#include "services/api/dialects/house/house.h"
#include "services/api/membership.h"

#define NAME_MOST    100
#define TOPIC_MOST   1000
#define SLOW_MODE_S  21600
#define MEMBERS_MOST 200

/* What can be made here: threads and conversations have calls of their own. */
static const char *const kind_words[] = {"text", "voice", "stream", "list", "announcement", "forum", "doc",
	"media", "calendar", "scheduling", NULL};

enum status house_channels_create(struct exchange *x)
{
	pb_CreateChannelRequest request = {.own = true};
	const char *name = NULL, *topic = NULL;
	uint64_t *members = NULL;
	size_t member_count = 0;
	struct json_reader r;
	pb_ChannelReply reply;
	int kind = 0;

	house_body(x, &r);
	json_str(&r, "name", JSON_REQUIRED, 1, NAME_MOST, &name);
	json_uuid(&r, "team_id", JSON_REQUIRED, &request.team_id);
	json_choice(&r, "kind", JSON_OPTIONAL, kind_words, &kind);
	json_bool(&r, "private", JSON_OPTIONAL, &request.private);
	json_str(&r, "topic", JSON_OPTIONAL, 0, TOPIC_MOST, &topic);
	json_uuid(&r, "category_id", JSON_OPTIONAL, &request.category_id);
	json_uuids(&r, "members", JSON_OPTIONAL, MEMBERS_MOST, &members, &member_count);
	enum status st = house_body_end(x, &r);
	if (st != STATUS_OK)
		return st;
	channel_kind_from_word(kind_words[kind], &request.kind);
	request.name = (char *)name;
	request.topic = (char *)topic;
	st = channel_create(x, &request, members, member_count, &reply);
	if (st != STATUS_OK)
		return st;
	house_location(x, "/channels/%s", house_uuid(x, reply.channel.id));
	return HOUSE_OBJECT(x, 201, house_channel, &reply.channel);
}

static void write_channel(struct json_writer *w, const void *items, size_t i)
{
	house_channel(w, &((const pb_ChannelView *)items)[i]);
}

static uint64_t channel_id(const void *items, size_t i)
{
	return ((const pb_ChannelView *)items)[i].id;
}

enum status house_channels_list(struct exchange *x)
{
	pb_ListChannelsRequest request = {0};
	pb_ListChannelsReply reply;
	struct house_page page;
	enum status st = house_page(x, &page);

	if (st == STATUS_OK)
		st = house_query_id(x, "team", &request.team_id);
	if (st == STATUS_OK)
		st = house_query_flag(x, "archived", &request.archived);
	if (st != STATUS_OK)
		return st;
	request.before = page.before;
	request.after = page.after;
	request.limit = page.limit;
	st = ASK(x, messaging, list_channels, request.team_id, &request, &reply);
	if (st != STATUS_OK)
		return st;
	return house_finish_list(x, &page,
		&(struct house_list){
			reply.channels_count, reply.more, false, reply.channels, write_channel, channel_id});
}

enum status house_channels_get(struct exchange *x)
{
	pb_ChannelReply reply;
	uint64_t channel;
	enum status st = house_path_id(x, "channel", &channel);

	if (st == STATUS_OK)
		st = ASK(x, messaging, get_channel, channel, &((pb_GetChannelRequest){.channel_id = channel}), &reply);
	return st == STATUS_OK ? HOUSE_OBJECT(x, 200, house_channel, &reply.channel) : st;
}

enum status house_channels_patch(struct exchange *x)
{
	pb_UpdateChannelRequest request = {0};
	const char *name = NULL, *topic = NULL;
	int64_t slow_mode_s = 0, position = 0;
	char *cleared[1];
	struct json_reader r;
	pb_ChannelReply reply;
	enum status st = house_path_id(x, "channel", &request.channel_id);

	if (st != STATUS_OK)
		return st;
	request.cleared = cleared;
	house_body(x, &r);
	if (json_has(&r, "name"))
		json_str(&r, "name", JSON_REQUIRED, 0, NAME_MOST, &name); /* empty: of conversations */
	if (house_nullable(&r, "topic", 0, TOPIC_MOST, &topic) && topic == NULL)
		cleared[request.cleared_count++] = (char *)"topic";
	bool private = false;
	request.has_private = json_has(&r, "private");
	if (request.has_private)
		json_bool(&r, "private", JSON_REQUIRED, &private);
	request.has_slow_mode_s = json_has(&r, "slow_mode_s");
	if (request.has_slow_mode_s)
		json_i64(&r, "slow_mode_s", JSON_REQUIRED, 0, SLOW_MODE_S, &slow_mode_s);
	request.has_position = json_has(&r, "position");
	if (request.has_position)
		json_i64(&r, "position", JSON_REQUIRED, 0, INT32_MAX, &position);
	st = house_body_end(x, &r);
	if (st != STATUS_OK)
		return st;
	request.name = (char *)name;
	request.topic = (char *)topic;
	request.private = private;
	request.slow_mode_s = (uint32_t)slow_mode_s;
	request.position = (int32_t)position;
	st = CALL(x, messaging, update_channel, request.channel_id, &request, &reply);
	return st == STATUS_OK ? HOUSE_OBJECT(x, 200, house_channel, &reply.channel) : st;
}

enum status house_channels_delete(struct exchange *x)
{
	pb_ChannelReply reply;
	uint64_t channel;
	enum status st = house_path_id(x, "channel", &channel);

	if (st == STATUS_OK)
		st = CALL(x, messaging, delete_channel, channel, &((pb_DeleteChannelRequest){channel}), &reply);
	return st == STATUS_OK ? house_no_content(x) : st;
}

/* ---- states */

static enum status set_state(struct exchange *x, enum channel_change change)
{
	pb_SetChannelStateRequest request = {.change = change};
	struct json_reader r;
	pb_ChannelReply reply;
	enum status st = house_path_id(x, "channel", &request.channel_id);

	if (st != STATUS_OK)
		return st;
	house_body(x, &r);
	st = house_body_end(x, &r);
	if (st == STATUS_OK)
		st = CALL(x, messaging, set_channel_state, request.channel_id, &request, &reply);
	return st == STATUS_OK ? HOUSE_OBJECT(x, 200, house_channel, &reply.channel) : st;
}

enum status house_channels_archive(struct exchange *x)
{
	return set_state(x, CHANNEL_ARCHIVE);
}

enum status house_channels_restore(struct exchange *x)
{
	return set_state(x, CHANNEL_REOPEN);
}

enum status house_channels_duplicate(struct exchange *x)
{
	const char *name = NULL;
	struct json_reader r;
	pb_ChannelReply reply;
	uint64_t channel;
	enum status st = house_path_id(x, "channel", &channel);

	if (st != STATUS_OK)
		return st;
	house_body(x, &r);
	json_str(&r, "name", JSON_OPTIONAL, 1, NAME_MOST, &name);
	st = house_body_end(x, &r);
	if (st == STATUS_OK)
		st = channel_clone(x, channel, name, &reply);
	if (st != STATUS_OK)
		return st;
	house_location(x, "/channels/%s", house_uuid(x, reply.channel.id));
	return HOUSE_OBJECT(x, 201, house_channel, &reply.channel);
}

/* ---- read marks */

enum status house_channels_read(struct exchange *x)
{
	pb_MarkReadRequest request = {0};
	struct json_reader r;
	pb_UnreadReply reply;
	enum status st = house_path_id(x, "channel", &request.channel_id);

	if (st != STATUS_OK)
		return st;
	house_body(x, &r);
	json_uuid(&r, "message_id", JSON_OPTIONAL, &request.message_id);
	request.clear_all = request.message_id == 0;
	st = house_body_end(x, &r);
	if (st == STATUS_OK)
		st = CALL(x, messaging, mark_read, request.channel_id, &request, &reply);
	return st == STATUS_OK ? HOUSE_OBJECT(x, 200, house_unread, &reply.unread) : st;
}

static void write_unread(struct json_writer *w, const void *items, size_t i)
{
	house_unread(w, &((const pb_UnreadView *)items)[i]);
}

enum status house_unread_list(struct exchange *x)
{
	struct house_page all = {0};
	pb_ListUnreadReply reply;
	pb_ListUnreadRequest request = {0};
	enum status st = ASK(x, messaging, list_unread, x->actor.id, &request, &reply);

	if (st != STATUS_OK)
		return st;
	return house_finish_list(x, &all,
		&(struct house_list){reply.unread_count, false, false, reply.unread, write_unread, NULL});
}

/* ---- preferences */

enum status house_preferences_get(struct exchange *x)
{
	pb_ListUnreadRequest request = {.channel_ids_count = 1};
	pb_ListUnreadReply reply;
	uint64_t channel;
	enum status st = house_path_id(x, "channel", &channel);

	if (st != STATUS_OK)
		return st;
	request.channel_ids = &channel;
	st = ASK(x, messaging, list_unread, channel, &request, &reply);
	if (st == STATUS_OK && reply.unread_count == 0)
		return exchange_fail(x, STATUS_NOT_FOUND, NULL, NULL, NULL);
	return st == STATUS_OK ? HOUSE_OBJECT(x, 200, house_channel_preferences, &reply.unread[0]) : st;
}

enum status house_preferences_put(struct exchange *x)
{
	static const char *const flags[] = {"none", "pinned", "hidden", "ignored", NULL};
	static const char *const notifies[] = {"all", "mentions", "none", NULL};
	pb_SetChannelPrefRequest request = {0};
	pb_ChannelPrefReply reply;
	int flag = -1, notify = -1;
	struct json_reader r;
	enum status st = house_path_id(x, "channel", &request.channel_id);

	if (st != STATUS_OK)
		return st;
	house_body(x, &r);
	json_choice(&r, "flag", JSON_OPTIONAL, flags, &flag);
	json_choice(&r, "notify", JSON_OPTIONAL, notifies, &notify);
	st = house_body_end(x, &r);
	if (st != STATUS_OK)
		return st;
	if (flag >= 0)
		channel_flag_from_word(flags[flag], &request.flag);
	if (notify >= 0)
		channel_notify_from_word(notifies[notify], &request.notify);
	st = CALL(x, messaging, set_channel_pref, request.channel_id, &request, &reply);
	if (st != STATUS_OK)
		return st;
	pb_UnreadView view = {.channel_id = request.channel_id, .flag = reply.flag, .notify = reply.notify};
	return HOUSE_OBJECT(x, 200, house_channel_preferences, &view);
}
