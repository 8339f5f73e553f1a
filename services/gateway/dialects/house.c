/*
 * dialects/house - see house.h.
 */
#include "services/gateway/dialects/house.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/ids.h"
#include "common/dialects/house/events.h"
#include "common/json/reader.h"
#include "common/json/writer.h"
#include "services/gateway/client.h"
#include "services/gateway/memory.h"
#include "services/gateway/subscribe.h"
#include "services/gateway/typing.h"

#define PATH            "/v1/ws"
#define RESUME          1u /* bits of a client's variant */
#define DETAIL          2u
#define TOPICS_MOST     16384 /* bytes of ?topics= */
#define REF_MOST        256   /* characters of a ref */
#define TOKEN_TEXT_MOST 512

/* One operation being handled. */
struct op {
	struct client *client;
	struct arena *mem; /* dies with the message */
	struct json_reader *fields;
	const char *ref; /* as JSON, or NULL */
};

/* ---- frames of the gateway's own */

static void envelope_begin(
	struct json_writer *w, struct arena *mem, const struct client *client, const char *type)
{
	jw_begin(w, mem, 256);
	jw_object(w);
	jw_kv(w, str, "type", type);
	jw_kv(w, time, "timestamp", client->hub->now_wall_ms);
	jw_key(w, "data");
	jw_object(w);
}

static void envelope_send(struct json_writer *w, struct client *client, const char *ref)
{
	size_t length = 0;

	if (ref != NULL)
		jw_kv(w, raw, "ref", ref, strlen(ref));
	jw_object_end(w);
	jw_object_end(w);
	const char *text = jw_end(w, &length);
	client_send_text(client, text, length);
}

static void send_error(
	struct client *client, enum status st, const char *topic, const char *detail, const char *ref)
{
	struct arena *mem = arena_create();
	struct json_writer w;

	envelope_begin(&w, mem, client, "error");
	jw_kv(&w, str, "code", status_wire(st));
	jw_kv(&w, str, "message", detail != NULL ? detail : status_text(st));
	if (topic != NULL)
		jw_kv(&w, str, "topic", topic);
	envelope_send(&w, client, ref);
	arena_destroy(mem);
}

static void house_reconnect(struct client *client, uint32_t after_ms)
{
	struct arena *mem = arena_create();
	struct json_writer w;

	envelope_begin(&w, mem, client, "reconnect");
	jw_kv(&w, u64, "after_ms", after_ms);
	envelope_send(&w, client, NULL);
	arena_destroy(mem);
}

static void house_position(struct client *client, const char *generation, const struct stream *streams,
	const uint64_t *seqs, size_t count)
{
	struct arena *mem = arena_create();
	struct json_writer w;

	envelope_begin(&w, mem, client, "position");
	jw_kv(&w, str, "generation", generation);
	jw_key(&w, "streams");
	jw_object(&w);
	for (size_t i = 0; i < count; i++) {
		char text[STREAM_TEXT_SIZE];
		stream_to_text(streams[i], text);
		jw_kv(&w, u64, text, seqs[i]);
	}
	jw_object_end(&w);
	envelope_send(&w, client, NULL);
	arena_destroy(mem);
}

/* Streams that were named and that no accepted topic opened: not there, not his, spelled wrong, or just not asked for. All the
 * same to the client, who is told plainly, and not where they stand. */
static void answer_others(struct json_writer *w, const struct subscribe *sub)
{
	for (size_t i = 0; i < sub->since_count; i++) {
		bool answered = false;
		for (size_t k = 0; k < sub->answer_count && !answered; k++)
			answered = stream_compare(sub->answers[k].stream, sub->since[i].stream) == 0;
		if (answered)
			continue;
		jw_key_text(w, sub->since[i].text);
		jw_object(w);
		jw_kv(w, bool, "recovered", false);
		jw_object_end(w);
	}
}

static void house_subscribed(struct client *client, struct subscribe *sub)
{
	size_t accepted = 0;
	struct json_writer w;

	for (size_t i = 0; i < sub->topic_count; i++) {
		const struct topic_wish *wish = &sub->topics[i];
		if (wish->status == STATUS_OK)
			accepted++;
		else
			send_error(client, wish->status, wish->text, NULL, sub->ref);
	}
	if (accepted == 0 && sub->topic_count > 0)
		return;
	envelope_begin(&w, sub->mem, client, sub->removes ? "unsubscribed" : "subscribed");
	jw_key(&w, "topics");
	jw_array(&w);
	for (size_t i = 0; i < sub->topic_count; i++)
		if (sub->topics[i].status == STATUS_OK)
			jw_str(&w, sub->topics[i].text);
	jw_array_end(&w);
	if (!sub->removes) {
		jw_kv(&w, str, "generation", sub->present_generation);
		jw_key(&w, "streams");
		jw_object(&w);
		for (size_t i = 0; i < sub->answer_count; i++) {
			char text[STREAM_TEXT_SIZE];
			stream_to_text(sub->answers[i].stream, text);
			jw_key(&w, text);
			jw_object(&w);
			jw_kv(&w, u64, "seq", sub->answers[i].seq);
			jw_kv(&w, bool, "recovered", sub->answers[i].recovered);
			jw_object_end(&w);
		}
		answer_others(&w, sub);
		jw_object_end(&w);
	}
	envelope_send(&w, client, sub->ref);
}

/* ---- topics */

static void topic_read(struct topic_wish *wish, const char *text)
{
	static const struct {
		const char *prefix;
		enum topic_kind kind;
	} classes[] = {
		{"channel:", TOPIC_KIND_CHANNEL}, {"user:", TOPIC_KIND_USER}, {"team:", TOPIC_KIND_TEAM}};

	*wish = (struct topic_wish){.text = text, .status = STATUS_FIELD_INVALID};
	if (strcmp(text, "global") == 0) {
		wish->kind = TOPIC_KIND_GLOBAL;
		wish->status = STATUS_OK;
		return;
	}
	for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
		size_t length = strlen(classes[i].prefix);
		if (strncmp(text, classes[i].prefix, length) != 0)
			continue;
		wish->kind = classes[i].kind;
		wish->status = ids_from_uuid(text + length, strlen(text + length), &wish->id);
		return;
	}
}

/* ?topics=a,b,c */
static void subscribe_wanted(struct client *client, const char *list)
{
	struct subscribe *sub = subscribe_create(client);
	char *copy = arena_strdup(sub->mem, list), *rest = copy, *item = NULL;

	sub->topics = ARENA_ARRAY(sub->mem, strlen(list) / 2 + 2, struct topic_wish);
	while ((item = strsep(&rest, ",")) != NULL)
		if (*item != '\0')
			topic_read(&sub->topics[sub->topic_count++], item);
	if (sub->topic_count == 0)
		subscribe_free(sub);
	else
		subscribe_submit(sub);
}

/* ---- the life of a client */

static bool house_accepts(const char *path)
{
	return strcmp(path, PATH) == 0;
}

static bool flag_of(const struct handshake *hs, const char *name)
{
	char value[8];
	bool present = false;

	return handshake_query(hs, name, value, sizeof value, &present) &&
	       (strcmp(value, "1") == 0 || strcmp(value, "true") == 0);
}

/* compress=0 */
static bool refuses_compression(const struct handshake *hs)
{
	char value[8];
	bool present = false;

	return handshake_query(hs, "compress", value, sizeof value, &present) &&
	       (strcmp(value, "0") == 0 || strcmp(value, "false") == 0);
}

static bool house_connected(
	struct client *client, const struct handshake *hs, char *token, size_t size, bool *out_present)
{
	char topics[TOPICS_MOST];
	bool has_topics = false, has_token = false;

	if (handshake_query(hs, "topics", topics, sizeof topics, &has_topics))
		client->wanted = memory_text(topics);
	else if (has_topics)
		return false;
	if (flag_of(hs, "resume")) {
		client->variant |= RESUME;
		client->flags |= CLIENT_RESUME;
	}
	if (flag_of(hs, "detail"))
		client->variant |= DETAIL;
	if (refuses_compression(hs))
		client->flags |= CLIENT_PLAIN;
	/* A token that cannot be one is as wrong as any other: it is told so by the close code. */
	*token = '\0';
	if (hs->authorization != NULL) {
		const char *bearer = handshake_bearer(hs);
		if (bearer != NULL && strlen(bearer) < size)
			strcpy(token, bearer);
		*out_present = true;
		return true;
	}
	if (!handshake_query(hs, "token", token, size, &has_token))
		*token = '\0';
	*out_present = has_token;
	return true;
}

static void house_authenticated(struct client *client)
{
	struct arena *mem = arena_create();
	struct json_writer w;

	envelope_begin(&w, mem, client, "hello");
	jw_kv(&w, uuid, "user_id", client->user->id);
	jw_kv(&w, uuid, "session_id", client->session_id);
	jw_kv(&w, u64, "heartbeat_ms", client->hub->options.heartbeat_ms);
	jw_kv(&w, u64, "max_frame_bytes", client->hub->options.max_frame_bytes);
	jw_kv(&w, str, "server", "guildhall/" GUILDHALL_VERSION);
	envelope_send(&w, client, NULL);
	arena_destroy(mem);
	if (client->wanted == NULL || client->state != CLIENT_READY)
		return;
	char *wanted = client->wanted;
	client->wanted = NULL;
	subscribe_wanted(client, wanted);
	free(wanted);
}

/* ---- operations */

static void op_error(const struct op *op, enum status st, const char *detail)
{
	send_error(op->client, st, NULL, detail, op->ref);
}

static void op_authenticate(struct op *op)
{
	const char *token = NULL;

	json_str(op->fields, "token", JSON_REQUIRED, 1, TOKEN_TEXT_MOST, &token);
	if (op->fields->status != STATUS_OK)
		op_error(op, op->fields->status, op->fields->detail);
	else if (op->client->state != CLIENT_CONNECTING)
		op_error(op, STATUS_CONFLICT, "a token was given already");
	else
		client_authenticate(op->client, token);
}

static void op_ping(struct op *op)
{
	struct json_writer w;

	envelope_begin(&w, op->mem, op->client, "pong");
	envelope_send(&w, op->client, op->ref);
}

/* "topics": [...] into the wish. */
static void topics_take(struct op *op, struct subscribe *sub)
{
	json_t *topics =
		json_has(op->fields, "topics") ? json_object_get(op->fields->object, "topics") : NULL;

	if (!json_is_array(topics) || json_array_size(topics) == 0 ||
		json_array_size(topics) > 2 * SUBSCRIBE_MOST_TOPICS) {
		json_fail(op->fields, STATUS_FIELD_INVALID, "topics", "topics is a list of 1 to 400 topics");
		return;
	}
	sub->topics = ARENA_ARRAY(sub->mem, json_array_size(topics), struct topic_wish);
	for (size_t i = 0; i < json_array_size(topics); i++) {
		const char *text = json_string_value(json_array_get(topics, i));
		if (text == NULL) {
			json_fail(op->fields, STATUS_FIELD_INVALID, "topics", "a topic is a string");
			return;
		}
		topic_read(&sub->topics[sub->topic_count++], arena_strdup(sub->mem, text));
	}
}

/* "since": {"generation", "streams": {"<stream>": seq}} into the wish. */
static void since_take(struct op *op, struct subscribe *sub)
{
	json_t *since = json_has(op->fields, "since") ? json_object_get(op->fields->object, "since") : NULL;
	const char *stream = NULL;
	json_t *seq = NULL;

	if (since == NULL || json_typeof(since) == JSON_NULL)
		return;
	const char *generation = json_string_value(json_object_get(since, "generation"));
	json_t *streams = json_object_get(since, "streams");
	if (generation == NULL || !json_is_object(streams)) {
		json_fail(op->fields, STATUS_FIELD_INVALID, "since", "since has generation and streams");
		return;
	}
	sub->has_since = true;
	sub->generation = arena_strdup(sub->mem, generation);
	sub->since = ARENA_ARRAY(sub->mem, json_object_size(streams) + 1, struct position);
	json_object_foreach(streams, stream, seq)
	{
		struct position *position = &sub->since[sub->since_count];
		if (!json_is_integer(seq) || json_integer_value(seq) < 0) {
			json_fail(op->fields, STATUS_FIELD_INVALID, "since", "a position is a number");
			return;
		}
		if (stream_from_text(stream, &position->stream) != STATUS_OK)
			position->stream = (struct stream){0};
		position->seq = (uint64_t)json_integer_value(seq);
		position->text = arena_strdup(sub->mem, stream);
		sub->since_count++;
	}
}

static void wish_submit(struct op *op, bool removes)
{
	struct subscribe *sub = subscribe_create(op->client);

	sub->removes = removes;
	sub->ref = arena_strdup(sub->mem, op->ref);
	topics_take(op, sub);
	if (!removes)
		since_take(op, sub);
	if (op->fields->status != STATUS_OK) {
		op_error(op, op->fields->status, op->fields->detail);
		subscribe_free(sub);
		return;
	}
	if (sub->has_since) {
		op->client->variant |= RESUME;
		op->client->flags |= CLIENT_RESUME;
	}
	if (subscribe_submit(sub) != STATUS_OK)
		op_error(op, STATUS_BUSY, "too many subscribes are waiting");
}

static void op_subscribe(struct op *op)
{
	wish_submit(op, false);
}

static void op_unsubscribe(struct op *op)
{
	wish_submit(op, true);
}

static void typing_refused(struct client *client, enum status st, void *ref)
{
	send_error(client, st, NULL, NULL, ref);
}

static void op_typing(struct op *op)
{
	uint64_t channel_id = 0;
	bool is_typing = true;

	json_uuid(op->fields, "channel_id", JSON_REQUIRED, &channel_id);
	json_bool(op->fields, "is_typing", JSON_OPTIONAL, &is_typing);
	if (op->fields->status != STATUS_OK)
		op_error(op, op->fields->status, op->fields->detail);
	else
		typing_set(op->client, channel_id, is_typing, typing_refused, free, memory_text(op->ref));
}

struct presence_op {
	struct question question;
	uint64_t socket_id;
	char *ref;
};

static void presence_answered(
	struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	struct presence_op *asked = (struct presence_op *)question;
	struct client *client = table_get(&hub->sockets, asked->socket_id);

	if (client != NULL && client->state == CLIENT_READY && st != STATUS_OK)
		send_error(client, st == STATUS_LATE || st == STATUS_INTERNAL ? STATUS_BUSY : st, NULL, NULL,
			asked->ref);
	free(asked->ref);
	free(asked);
}

static void op_presence(struct op *op)
{
	static const char *const words[] = {"online", "idle", "dnd", "invisible", NULL};
	struct hub *hub = op->client->hub;
	uint32_t chosen = 0;
	int word = 0;

	json_choice(op->fields, "status", JSON_REQUIRED, words, &word);
	if (op->fields->status != STATUS_OK || !presence_from_word(words[word], &chosen)) {
		op_error(op, STATUS_FIELD_INVALID, op->fields->detail);
		return;
	}
	struct presence_op *asked = memory_new(sizeof *asked);
	*asked = (struct presence_op){.question.answered = presence_answered,
		.socket_id = op->client->socket_id,
		.ref = memory_text(op->ref)};
	hub->options.ports->ask_presence(
		hub->options.arg, hub_ask(hub, &asked->question), op->client, chosen);
}

struct op_row {
	const char *name;
	bool before, writes;
	void (*handle)(struct op *op);
};

static const struct op_row ops[] = {
#define OP(name, before, writes, handler) {name, before, writes, handler},
#include "services/gateway/dialects/house_ops.tbl.h"
#undef OP
};

/* The ref as JSON text. False: it is there, but neither a short string nor a number. */
static bool ref_take(struct op *op)
{
	json_t *ref = json_has(op->fields, "ref") ? json_object_get(op->fields->object, "ref") : NULL;

	if (ref == NULL || json_typeof(ref) == JSON_NULL)
		return true;
	if (!json_is_number(ref) && !(json_is_string(ref) && json_string_length(ref) <= REF_MOST))
		return false;
	char *text = json_dumps(ref, JSON_ENCODE_ANY | JSON_COMPACT);
	op->ref = arena_strdup(op->mem, text);
	free(text);
	return op->ref != NULL;
}

static void op_handle(struct op *op)
{
	struct client *client = op->client;
	const char *name = NULL;

	if (!ref_take(op)) {
		op_error(op, STATUS_FIELD_INVALID, "ref is a string or a number");
		return;
	}
	switch (client_count_op(client)) {
	case CLIENT_OPS_FINE:
		break;
	case CLIENT_OPS_TOO_MANY:
		op_error(op, STATUS_RATE_LIMITED, NULL);
		return;
	case CLIENT_OPS_CLOSED:
		return;
	}
	json_str(op->fields, "op", JSON_REQUIRED, 1, 64, &name);
	if (op->fields->status != STATUS_OK) {
		op_error(op, op->fields->status, op->fields->detail);
		return;
	}
	for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
		if (strcmp(ops[i].name, name) != 0)
			continue;
		if (client->state != CLIENT_READY && !ops[i].before)
			op_error(op, STATUS_UNAUTHENTICATED, NULL);
		else if (ops[i].writes && !client->may_write)
			op_error(op, STATUS_FORBIDDEN, "the token has not the scope write");
		else
			ops[i].handle(op);
		return;
	}
	op_error(op, STATUS_FIELD_INVALID, "no such op");
}

/* JSON at all, if not an object? */
static bool is_json(const char *bytes, size_t length)
{
	json_t *value = json_loadb(bytes, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

	if (value == NULL)
		return false;
	json_decref(value);
	return true;
}

static void house_message(struct client *client, bool text, const char *bytes, size_t length)
{
	struct arena *mem = NULL;
	struct json_reader fields;
	struct op op = {.client = client, .fields = &fields};

	if (!text) {
		client_close(client, CLOSE_BINARY, false);
		return;
	}
	mem = op.mem = arena_create();
	if (length > 0 && json_reader_begin(&fields, mem, bytes, length) == STATUS_OK)
		op_handle(&op);
	else if (length > 0 && is_json(bytes, length))
		send_error(client, STATUS_MALFORMED, NULL, "an operation is one JSON object", NULL);
	else
		client_close(client, CLOSE_MALFORMED, false);
	arena_destroy(mem);
}

/* ---- events */

static bool house_place(const struct logged_event *ev, const pb_Event *body, struct placement *out)
{
	struct house_topics topics;

	if (!house_event_topics(ev, body, &topics))
		return false;
	*out = (struct placement){.whole = topics.team_id != 0 || topics.user_id != 0 || topics.direct,
		.global = topics.global,
		.channel_id = topics.channel_id};
	return true;
}

static void house_render(struct texts *out, const struct logged_event *ev, const pb_Event *body, unsigned variant)
{
	size_t length = 0;
	const char *text = house_render_event(out->mem, ev, body, house_copy_of(ev->stream), (variant & RESUME) != 0,
		(variant & DETAIL) != 0, &length);

	texts_add(out, text, length);
}

static uint16_t house_close_code(enum close_reason reason)
{
	static const uint16_t codes[] = {
#define CLOSE(reason, house, crust, text) house,
#include "services/gateway/close.tbl.h"
#undef CLOSE
	};
	return codes[reason];
}

const struct dialect_table dialect_house = {
	.id = DIALECT_HOUSE,
	.name = "house",
	.accepts = house_accepts,
	.connected = house_connected,
	.authenticated = house_authenticated,
	.message = house_message,
	.place = house_place,
	.render = house_render,
	.subscribed = house_subscribed,
	.position = house_position,
	.reconnect = house_reconnect,
	.close_code = house_close_code,
};
