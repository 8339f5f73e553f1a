/*
 * crust_ops - what frames of crust clients ask: the same as REST, by the owners' calls. Success says nothing here, its events do
 * (but for `channels`); a refusal is an `error` frame on the session that asked. See crust.h.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/text.h"
#include "common/dialects/crust/bounds.h"
#include "common/dialects/crust/events.h"
#include "common/dialects/crust/markup.h"
#include "common/dialects/crust/shapes.h"
#include "common/json/reader.h"
#include "services/gateway/client.h"
#include "services/gateway/dialects/crust.h"
#include "services/gateway/memory.h"

#define POSTS_MS 5000 /* in which hub_options.posts_per_5s are counted */


#define NO_PERMISSIONS "messaging.service.NoPermissions"
#define TOO_MANY       "too many requests, try again later"
#define MALFORMED      "Session.incoming: payload malformed: "

/* One frame being handled. */
struct op {
	struct client *client;
	struct arena *mem; /* dies with the frame */
	json_t *body;      /* of the key */
};

void crust_send_error(struct client *client, const char *text)
{
	struct arena *mem = arena_create();
	struct texts texts = texts_begin(mem);

	crust_error_frame(&texts, text);
	client_send_text(client, texts.items[0].bytes, texts.items[0].length);
	arena_destroy(mem);
}

/* ---- asking the owners */

/* What a message that cannot be answered is called here. */
static const char *type_of(const char *kind)
{
	return kind != NULL && strcmp(kind, message_kind_word(MESSAGE_SYSTEM)) == 0 ? "channelEvent" : "illeism";
}

/* The texts are REST's. */
static const char *refusal_text(struct arena *mem, const struct question *question, enum status st, const char *missing, const char *why)
{
	if (st == STATUS_CONFLICT && why != NULL && strcmp(why, "kind") == 0)
		return arena_printf(mem, "unable to reply on this message (type = %s)", type_of(question->detail));
	if (why != NULL && ((st == STATUS_FORBIDDEN && strcmp(why, "conversation") == 0) ||
				   (st == STATUS_CONFLICT && strcmp(why, "direct") == 0)))
		return "adding members to a group is not currently supported";
	switch ((int)st) {
	case STATUS_NOT_FOUND:
		return missing;
	case STATUS_FORBIDDEN:
	case STATUS_TIMED_OUT:
	case STATUS_MUTED:
	case STATUS_BLOCKED:
	case STATUS_ARCHIVED:
		return NO_PERMISSIONS;
	case STATUS_UNAUTHENTICATED:
	case STATUS_STALE:
		return "Unauthorized";
	case STATUS_RATE_LIMITED:
		return TOO_MANY;
	case STATUS_SLOW_MODE:
		return "too many messages in this channel, try again later";
	case STATUS_BUSY:
	case STATUS_LATE:
	case STATUS_INTERNAL:
		return "the service is busy, try again";
	default:
		return status_text(st);
	}
}

struct client *crust_who_asked(struct hub *hub, const struct crust_asked *asked)
{
	struct client *client = table_get(&hub->sockets, asked->socket_id);

	return client != NULL && client->state == CLIENT_READY ? client : NULL;
}

void crust_refused(struct client *client, const struct crust_asked *asked, enum status st, const char *why)
{
	struct arena *mem = arena_create();

	crust_send_error(client, refusal_text(mem, &asked->question, st, asked->missing, why));
	arena_destroy(mem);
}

static void answered(struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	struct crust_asked *asked = (struct crust_asked *)question;
	struct client *client = crust_who_asked(hub, asked);

	if (client != NULL && st != STATUS_OK)
		crust_refused(client, asked, st, why);
	free(asked);
}

static void ask(struct client *client, enum act act, const void *request, const char *missing,
	void (*then)(struct hub *, struct question *, enum status, const void *, const char *))
{
	struct hub *hub = client->hub;
	struct crust_asked *asked = memory_new(sizeof *asked);

	*asked = (struct crust_asked){
		.question.answered = then, .socket_id = client->socket_id, .missing = missing};
	hub->options.ports->ask_act(hub->options.arg, hub_ask(hub, &asked->question), client, act, request);
}

#define NO_MESSAGE "messaging.repository.MessageNotFound"

/* ---- what frames say */

/* Keys are found whatever their case; as they should be first. */
static json_t *member(const json_t *object, const char *key)
{
	json_t *exact = json_object_get(object, key);
	const char *name;
	json_t *value;

	if (exact != NULL)
		return exact;
	json_object_foreach((json_t *)object, name, value)
		if (strcasecmp(name, key) == 0)
			return value;
	return NULL;
}

/* Of the ids this API's clients write most are strings. 0: absent, or none. */
static uint64_t id_of(const struct op *op, const char *key)
{
	const json_t *value = member(op->body, key);
	const char *text = json_string_value(value);
	char *end = NULL;

	if (json_is_integer(value) && json_integer_value(value) > 0)
		return (uint64_t)json_integer_value(value);
	if (text == NULL || *text < '0' || *text > '9')
		return 0;
	errno = 0;
	uint64_t id = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0' ? id : 0;
}

/* Without the blanks around it; NULL: absent. */
static char *text_of(const struct op *op, const char *key)
{
	const char *text = json_string_value(member(op->body, key));

	if (text == NULL)
		return NULL;
	text += strspn(text, " \t\r\n\v\f");
	size_t length = strlen(text);
	while (length > 0 && strchr(" \t\r\n\v\f", text[length - 1]) != NULL)
		length--;
	return arena_strndup(op->mem, text, length);
}

/* NULL: every key that means something is of its kind; else the first that is not. */
static const char *wrong_kind(const struct op *op)
{
	static const struct {
		const char *key;
		bool is_id;
	} keys[] = {{"channelID", true}, {"replyTo", true}, {"messageID", true}, {"id", true}, {"message", false}, {"name", false},
		{"topic", false}, {"type", false}};

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		const json_t *value = member(op->body, keys[i].key);
		if (value != NULL && !json_is_string(value) && json_typeof(value) != JSON_NULL && !(keys[i].is_id && json_is_integer(value)))
			return keys[i].key;
	}
	return NULL;
}

/* As it is kept; NULL: it is told why not. */
static char *content_of(const struct op *op, const char *without)
{
	const char *text = text_of(op, "message");
	char *content = text != NULL && *text != '\0' ? (char *)crust_markup_read(op->mem, text) : NULL;

	if (content == NULL) {
		crust_send_error(op->client, without);
	} else if (text_code_points(content, strlen(content)) > CRUST_CONTENT_MOST) {
		crust_send_error(op->client, "message too long (max: 4000)");
		content = NULL;
	}
	return content;
}

static bool id_needed(const struct op *op, const char *key, uint64_t *out)
{
	*out = id_of(op, key);
	if (*out == 0)
		crust_send_error(op->client, "messaging.service.InvalidID");
	return *out != 0;
}

/* ---- messages */

/* Is one post more too many? As REST counts them, for each session and channel. */
static bool posts_too_much(struct client *client, uint64_t channel_id)
{
	struct crust_session *session = client->session;
	uint32_t most = client->hub->options.posts_per_5s;
	struct crust_posts *posts = &session->posts[0];
	int64_t now_ms = client->hub->now_mono_ms;

	if (most == 0)
		return false;
	for (size_t i = 0; i < CRUST_POSTS_CHANNELS; i++) {
		if (session->posts[i].channel_id == channel_id) {
			posts = &session->posts[i];
			break;
		}
		if (session->posts[i].since_ms < posts->since_ms)
			posts = &session->posts[i]; /* the one of longest ago makes room */
	}
	if (posts->channel_id != channel_id || now_ms - posts->since_ms >= POSTS_MS)
		*posts = (struct crust_posts){.channel_id = channel_id, .since_ms = now_ms};
	return ++posts->count > most;
}

static void op_create_message(struct op *op)
{
	pb_PostMessageRequest request = {.channel_id = id_of(op, "channelID"), .parent_id = id_of(op, "replyTo")};

	if (request.channel_id == 0 && request.parent_id == 0) {
		crust_send_error(op->client, "messaging.service.InvalidID");
		return;
	}
	request.content = content_of(op, "refusing to create message without contents");
	if (request.content == NULL)
		return;
	if (posts_too_much(op->client, request.channel_id))
		crust_send_error(op->client, TOO_MANY);
	else
		ask(op->client, ACT_post_message, &request, request.parent_id != 0 ? NO_MESSAGE : CRUST_NO_CHANNEL, answered);
}

static void op_update_message(struct op *op)
{
	pb_UpdateMessageRequest request = {0};

	if (!id_needed(op, "messageID", &request.message_id))
		return;
	request.content = content_of(op, "refusing to update message without contents");
	if (request.content != NULL)
		ask(op->client, ACT_update_message, &request, NO_MESSAGE, answered);
}

static void op_delete_message(struct op *op)
{
	pb_MessageRequest request = {0};

	if (id_needed(op, "messageID", &request.message_id))
		ask(op->client, ACT_delete_message, &request, NO_MESSAGE, answered);
}

/* ---- channels */

/* Rights alone decide what a session sees, so there is nothing to subscribe to: this makes him a member, as REST does. */
static void op_join_channel(struct op *op)
{
	const pb_UserView *view = client_view(op->client, op->mem);
	pb_ChannelMemberRequest request = {
		.user_id = op->client->user->id, .role = CHANNEL_ROLE_MEMBER, .has_user = view != NULL, .team_only = true};

	if (view != NULL)
		request.user = *view;
	if (id_needed(op, "id", &request.channel_id))
		ask(op->client, ACT_join_channel, &request, CRUST_NO_CHANNEL, answered);
}

static void op_part_channel(struct op *op)
{
	pb_ChannelMemberRequest request = {.user_id = op->client->user->id, .team_only = true};

	if (id_needed(op, "id", &request.channel_id))
		ask(op->client, ACT_leave_channel, &request, CRUST_NO_CHANNEL, answered);
}

/* What somebody makes he is a member of. */
static void made(struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	struct crust_asked *asked = (struct crust_asked *)question;
	struct client *client = crust_who_asked(hub, asked);
	const pb_ChannelReply *got = reply;

	if (client != NULL && st == STATUS_OK) {
		struct arena *mem = arena_create();
		const pb_UserView *view = client_view(client, mem);
		pb_SeedChannelRequest request = {
			.channel_id = got->channel.id, .users_count = view != NULL, .users = (pb_UserView *)view};
		ask(client, ACT_seed_channel, &request, CRUST_NO_CHANNEL, answered);
		arena_destroy(mem);
	} else if (client != NULL) {
		crust_refused(client, asked, st, why);
	}
	free(asked);
}

static bool too_long(const struct op *op, const char *name, const char *topic)
{
	const char *text = crust_channel_too_long(op->mem, name, topic, op->client->hub->options.crust_strict);

	if (text != NULL)
		crust_send_error(op->client, text);
	return text != NULL;
}

static void op_create_channel(struct op *op)
{
	const struct crust_session *session = op->client->session;
	const char *type = text_of(op, "type");
	pb_CreateChannelRequest request = {.team_id = session->team_id,
		.kind = CHANNEL_TEXT,
		.own = true,
		.name = text_of(op, "name"),
		.topic = text_of(op, "topic")};

	request.private = type != NULL && strcmp(type, "private") == 0;
	if (request.name == NULL || *request.name == '\0')
		crust_send_error(op->client, "channel name not provided");
	/* A frame cannot name the people of a group. */
	else if (type != NULL && *type != '\0' && !request.private && strcmp(type, "public") != 0)
		crust_send_error(op->client, "invalid channel type");
	else if (!too_long(op, request.name, request.topic))
		ask(op->client, ACT_create_channel, &request, CRUST_NO_CHANNEL, made);
}

/* What is absent or empty stays as it is. */
static void op_update_channel(struct op *op)
{
	pb_UpdateChannelRequest request = {.name = text_of(op, "name"), .topic = text_of(op, "topic")};
	const char *type = text_of(op, "type");

	if (!id_needed(op, "id", &request.channel_id))
		return;
	if (request.name != NULL && *request.name == '\0')
		request.name = NULL;
	if (request.topic != NULL && *request.topic == '\0')
		request.topic = NULL;
	request.private = type != NULL && strcmp(type, "private") == 0;
	request.has_private = type != NULL && (request.private || strcmp(type, "public") == 0);
	request.conversation = type != NULL && strcmp(type, "group") == 0;
	if (type != NULL && *type != '\0' && !request.has_private && !request.conversation)
		crust_send_error(op->client, "invalid channel type");
	else if (!too_long(op, request.name, request.topic))
		ask(op->client, ACT_update_channel, &request, CRUST_NO_CHANNEL, answered);
}

static void op_channels(struct op *op)
{
	crust_list_channels(op->client);
}

/* Known, and without an effect in the first server as well. */
static void op_nothing(struct op *op)
{
}

/* ---- a frame */

static const struct {
	const char *key;
	bool writes;
	void (*handle)(struct op *op);
} ops[] = {
#define OP(key, writes, handler) {key, writes, handler},
#include "services/gateway/dialects/crust_ops.tbl.h"
#undef OP
};

static void handle(struct op *op, json_t *frame)
{
	switch (client_count_op(op->client)) {
	case CLIENT_OPS_FINE:
		break;
	case CLIENT_OPS_TOO_MANY:
		crust_send_error(op->client, TOO_MANY);
		return;
	case CLIENT_OPS_CLOSED:
		return;
	}
	for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
		op->body = member(frame, ops[i].key);
		if (op->body == NULL || json_typeof(op->body) == JSON_NULL)
			continue;
		const char *wrong = json_is_object(op->body) ? wrong_kind(op) : ops[i].key;
		if (wrong != NULL)
			crust_send_error(op->client, arena_printf(op->mem, MALFORMED "%s", wrong));
		else if (ops[i].writes && !op->client->may_write)
			crust_send_error(op->client, NO_PERMISSIONS);
		else
			ops[i].handle(op);
		return;
	}
}

void crust_message_came(struct client *client, bool text, const char *bytes, size_t length)
{
	struct json_reader frame;

	if (client->state != CLIENT_READY || client->session == NULL)
		return;
	struct op op = {.client = client, .mem = arena_create()};
	if (length > 0 && json_reader_begin(&frame, op.mem, bytes, length) == STATUS_OK) {
		handle(&op, frame.object);
	} else if (client_count_op(client) != CLIENT_OPS_CLOSED) {
		crust_send_error(client, MALFORMED "not a JSON object");
	}
	arena_destroy(op.mem);
}
