/*
 * crust_ops - what frames of crust clients ask: the same as REST, by the owners' calls. Success says nothing here, its events do
 * (but for `channels`); a refusal is an `error` frame on the session that asked. See crust.h.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/dialects/crust/bounds.h"
#include "common/dialects/crust/events.h"
#include "common/dialects/crust/markup.h"
#include "common/dialects/crust/shapes.h"
#include "common/json/reader.h"
#include "services/gateway/client.h"
#include "services/gateway/dialects/crust.h"
#include "services/gateway/memory.h"
#include "services/gateway/slots.h"

#define POSTS_MS 5000 /* in which hub_options.posts_per_5s are counted */

#define NO_PERMISSIONS "messaging.service.NoPermissions"

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

/* What was asked for a client, which may have gone when the answer comes. */
struct asked {
	struct question question;
	uint64_t socket_id;
	const char *missing; /* what to say of something that is not there */
};

/* The texts are REST's. */
static const char *refusal_text(enum status st, const char *missing)
{
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
		return "too many requests, try again later";
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

static struct client *who_asked(struct hub *hub, const struct asked *asked)
{
	struct client *client = table_get(&hub->sockets, asked->socket_id);

	return client != NULL && client->state == CLIENT_READY ? client : NULL;
}

static void answered(struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	struct asked *asked = (struct asked *)question;
	struct client *client = who_asked(hub, asked);

	if (client != NULL && st != STATUS_OK)
		crust_send_error(client, refusal_text(st, asked->missing));
	free(asked);
}

static void ask(struct client *client, enum act act, const void *request, const char *missing,
	void (*then)(struct hub *, struct question *, enum status, const void *, const char *))
{
	struct hub *hub = client->hub;
	struct asked *asked = memory_new(sizeof *asked);

	*asked = (struct asked){
		.question.answered = then, .socket_id = client->socket_id, .missing = missing};
	hub->options.ports->ask_act(hub->options.arg, hub_ask(hub, &asked->question), client, act, request);
}

#define NO_CHANNEL "messaging.repository.ChannelNotFound"
#define NO_MESSAGE "messaging.repository.MessageNotFound"

/* ---- what frames say */

/* Of the ids this API's clients write most are strings. 0: absent, or none. */
static uint64_t id_of(const struct op *op, const char *key)
{
	const json_t *value = json_object_get(op->body, key);
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

/* Without the blanks around it; NULL: absent, or no text. */
static char *text_of(const struct op *op, const char *key)
{
	const char *text = json_string_value(json_object_get(op->body, key));

	if (text == NULL)
		return NULL;
	text += strspn(text, " \t\r\n");
	size_t length = strlen(text);
	while (length > 0 && strchr(" \t\r\n", text[length - 1]) != NULL)
		length--;
	return arena_strndup(op->mem, text, length);
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
	pb_PostMessageRequest request = {.parent_id = id_of(op, "replyTo")};
	char *text = text_of(op, "message");

	request.channel_id = id_of(op, "channelID");
	if (request.channel_id == 0 && request.parent_id == 0) {
		crust_send_error(op->client, "messaging.service.InvalidID");
	} else if (text == NULL || *text == '\0') {
		crust_send_error(op->client, "refusing to create message without contents");
	} else if (posts_too_much(op->client, request.channel_id)) {
		crust_send_error(op->client, refusal_text(STATUS_RATE_LIMITED, NULL));
	} else {
		request.content = (char *)crust_markup_read(op->mem, text);
		ask(op->client, ACT_post_message, &request, request.parent_id != 0 ? NO_MESSAGE : NO_CHANNEL, answered);
	}
}

static void op_update_message(struct op *op)
{
	pb_UpdateMessageRequest request = {0};
	char *text = text_of(op, "message");

	if (!id_needed(op, "messageID", &request.message_id))
		return;
	if (text == NULL || *text == '\0') {
		crust_send_error(op->client, "refusing to update message without contents");
		return;
	}
	request.content = (char *)crust_markup_read(op->mem, text);
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
		ask(op->client, ACT_join_channel, &request, NO_CHANNEL, answered);
}

static void op_part_channel(struct op *op)
{
	pb_ChannelMemberRequest request = {.user_id = op->client->user->id, .team_only = true};

	if (id_needed(op, "id", &request.channel_id))
		ask(op->client, ACT_leave_channel, &request, NO_CHANNEL, answered);
}

/* What somebody makes he is a member of. */
static void made(struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	struct asked *asked = (struct asked *)question;
	struct client *client = who_asked(hub, asked);
	const pb_ChannelReply *got = reply;

	if (client != NULL && st == STATUS_OK) {
		struct arena *mem = arena_create();
		const pb_UserView *view = client_view(client, mem);
		pb_SeedChannelRequest request = {
			.channel_id = got->channel.id, .users_count = view != NULL, .users = (pb_UserView *)view};
		ask(client, ACT_seed_channel, &request, NO_CHANNEL, answered);
		arena_destroy(mem);
	} else if (client != NULL) {
		crust_send_error(client, refusal_text(st, NO_CHANNEL));
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
		ask(op->client, ACT_create_channel, &request, NO_CHANNEL, made);
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
		ask(op->client, ACT_update_channel, &request, NO_CHANNEL, answered);
}

/* ---- the list of channels: those of the team, then his conversations */

struct listing {
	struct asked asked; /* first */
	struct arena *mem;
	const pb_Rights **rights;
	size_t count, capacity;
	bool conversations; /* they are being asked for */
};

static void listed(struct hub *hub, struct question *question, enum status st, const void *reply, const char *why);

static void listing_ask(struct client *client, struct listing *listing)
{
	const struct crust_session *session = client->session;
	struct hub *hub = client->hub;
	pb_JudgeManyRequest request = {.user_id = client->user->id,
		.team_id = listing->conversations ? 0 : session->team_id,
		.conversations = listing->conversations,
		.members = true};

	hub->options.ports->ask_act(
		hub->options.arg, hub_ask(hub, &listing->asked.question), client, ACT_judge_many, &request);
}

static bool is_listed(const pb_Rights *rights)
{
	const pb_ChannelView *channel = &rights->channel;

	return rights->has_channel && rights->status == STATUS_OK && channel->archived_at_ms == 0 &&
	       channel->deleted_at_ms == 0 &&
	       (channel->kind == CHANNEL_TEXT || channel->kind == CHANNEL_DIRECT || channel->kind == CHANNEL_GROUP);
}

/* A copy that outlives the answer. */
static void listing_take(struct listing *listing, const pb_JudgeManyReply *got)
{
	for (pb_size_t i = 0; i < got->rights_count; i++) {
		const uint8_t *bytes = NULL;
		size_t length = 0;
		pb_Rights *copy = ARENA_NEW(listing->mem, pb_Rights);
		if (!is_listed(&got->rights[i]) ||
			pb_encode_arena(listing->mem, pb_Rights_fields, &got->rights[i], &bytes, &length) != STATUS_OK ||
			pb_decode_arena(listing->mem, pb_Rights_fields, copy, bytes, length) != STATUS_OK)
			continue;
		if (listing->count == listing->capacity) {
			size_t capacity = listing->capacity == 0 ? 64 : listing->capacity * 2;
			listing->rights = arena_grow(listing->mem, listing->rights,
				listing->count * sizeof(const pb_Rights *), capacity * sizeof(const pb_Rights *));
			listing->capacity = capacity;
		}
		listing->rights[listing->count++] = copy;
	}
}

static int by_name(const void *a, const void *b)
{
	const pb_ChannelView *x = &(*(const pb_Rights *const *)a)->channel, *y = &(*(const pb_Rights *const *)b)->channel;
	int order = strcmp(x->name != NULL ? x->name : "", y->name != NULL ? y->name : "");

	return order != 0 ? order : x->id < y->id ? -1 : x->id > y->id;
}

static void listing_send(struct client *client, struct listing *listing)
{
	struct json_writer w;
	size_t length = 0;

	qsort(listing->rights, listing->count, sizeof *listing->rights, by_name);
	crust_begin(&w, listing->mem, 1024);
	jw_object(&w);
	jw_key(&w, "channels");
	jw_array(&w);
	for (size_t i = 0; i < listing->count; i++) {
		const pb_Rights *rights = listing->rights[i];
		const struct slot *slot = slots_find(client->user, rights->channel_id);
		struct crust_channel_own own = {.bits = {rights->bits.low, rights->bits.high}};
		pb_ChannelView channel = rights->channel;
		channel.member_ids = rights->member_ids;
		channel.member_ids_count = rights->member_ids_count;
		if (slot != NULL) {
			own.flag = slot->flag;
			own.unread = (struct crust_unread){.last_message_id = slot->last_read_id,
				.count = slot_unread(slot),
				.thread_count = slot->thread_count,
				.thread_total = slot->thread_total};
		}
		crust_channel(&w, &channel, &own);
	}
	jw_array_end(&w);
	jw_object_end(&w);
	const char *text = jw_end(&w, &length);
	client_send_text(client, text, length);
}

static void listed(struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	struct listing *listing = (struct listing *)question;
	struct client *client = who_asked(hub, &listing->asked);

	if (client != NULL && st == STATUS_OK) {
		listing_take(listing, reply);
		if (!listing->conversations) {
			listing->conversations = true;
			listing_ask(client, listing);
			return;
		}
		listing_send(client, listing);
	} else if (client != NULL) {
		crust_send_error(client, refusal_text(st, NO_CHANNEL));
	}
	arena_destroy(listing->mem);
	free(listing);
}

static void op_channels(struct op *op)
{
	struct listing *listing = memory_new(sizeof *listing);

	*listing = (struct listing){.asked = {.question.answered = listed, .socket_id = op->client->socket_id}, .mem = arena_create()};
	listing_ask(op->client, listing);
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
		crust_send_error(op->client, refusal_text(STATUS_RATE_LIMITED, NULL));
		return;
	case CLIENT_OPS_CLOSED:
		return;
	}
	for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
		op->body = json_object_get(frame, ops[i].key);
		if (op->body == NULL || json_typeof(op->body) == JSON_NULL)
			continue;
		if (ops[i].writes && !op->client->may_write)
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
		crust_send_error(client, "Session.incoming: payload malformed: not a JSON object");
	}
	arena_destroy(op.mem);
}
