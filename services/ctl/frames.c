#include "services/ctl/frames.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json/writer.h"

enum status frame_parse(struct arena *mem, const char *text, size_t length, struct frame *out)
{
	struct json_reader reader;
	json_t *stream, *seq;

	*out = (struct frame){.timestamp = ""};
	if (json_reader_begin(&reader, mem, text, length) != STATUS_OK)
		return STATUS_MALFORMED;
	out->type = json_string_value(json_object_get(reader.object, "type"));
	if (out->type == NULL)
		return STATUS_MALFORMED;
	if (json_is_string(json_object_get(reader.object, "timestamp")))
		out->timestamp = json_string_value(json_object_get(reader.object, "timestamp"));
	out->data = json_object_get(reader.object, "data");
	stream = json_object_get(reader.object, "stream");
	seq = json_object_get(reader.object, "seq");
	if (json_is_string(stream) && json_is_integer(seq)) {
		out->stream = json_string_value(stream);
		out->seq = (uint64_t)json_integer_value(seq);
	}
	return STATUS_OK;
}

bool frame_is_event(const struct frame *frame)
{
	static const char *const own[] = {"error", "hello", "pong", "position", "reconnect", "subscribed", "unsubscribed"};

	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		if (strcmp(frame->type, own[i]) == 0)
			return false;
	return true;
}

/* What follows the T of an RFC 3339 time, without the zone; the whole text when it is none. */
static const char *time_of_day(struct arena *mem, const char *timestamp)
{
	const char *t = strchr(timestamp, 'T');

	if (t == NULL)
		return timestamp;
	return arena_strndup(mem, t + 1, strcspn(t + 1, "Z+"));
}

static bool is_plain(const char *text)
{
	if (text[0] == '\0')
		return false;
	for (; *text != '\0'; text++)
		if ((unsigned char)*text <= ' ' || *text == '"' || *text == '\\' || (unsigned char)*text == 0x7F)
			return false;
	return true;
}

static const char *value_text(struct arena *mem, json_t *value)
{
	char *dumped;
	const char *text;

	if (json_is_string(value) && is_plain(json_string_value(value)))
		return json_string_value(value);
	/* Quoted and escaped: one line, and nothing that a terminal would obey. */
	dumped = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	text = arena_strdup(mem, dumped == NULL ? "?" : dumped);
	free(dumped);
	return text;
}

const char *frame_line(struct arena *mem, const struct frame *frame)
{
	const char *line = arena_printf(mem, "%s %s", time_of_day(mem, frame->timestamp), frame->type);
	const char *key;
	json_t *value;

	json_object_foreach(frame->data, key, value)
		line = arena_printf(mem, "%s %s=%s", line, key, value_text(mem, value));
	if (frame->stream != NULL)
		line = arena_printf(mem, "%s (%s #%llu)", line, frame->stream, (unsigned long long)frame->seq);
	return line;
}

static void position_set(struct positions *p, const char *stream, uint64_t seq)
{
	for (size_t i = 0; i < p->count; i++) {
		if (strcmp(p->list[i].stream, stream) == 0) {
			p->list[i].seq = seq;
			return;
		}
	}
	if (p->count == p->capacity) {
		size_t capacity = p->capacity == 0 ? 16 : p->capacity * 2;

		p->list = arena_grow(p->mem, p->list, p->capacity * sizeof *p->list, capacity * sizeof *p->list);
		p->capacity = capacity;
	}
	p->list[p->count++] = (struct position){arena_strdup(p->mem, stream), seq};
}

static void position_forget(struct positions *p, const char *stream)
{
	for (size_t i = 0; i < p->count; i++)
		if (strcmp(p->list[i].stream, stream) == 0)
			p->list[i] = p->list[--p->count];
}

/* Of another generation no position means anything. */
static void generation_set(struct positions *p, json_t *generation)
{
	if (!json_is_string(generation) || strcmp(p->generation, json_string_value(generation)) == 0)
		return;
	snprintf(p->generation, sizeof p->generation, "%s", json_string_value(generation));
	p->count = 0;
}

void positions_take(struct positions *positions, const struct frame *frame)
{
	const char *stream;
	json_t *value;

	if (frame->stream != NULL) {
		position_set(positions, frame->stream, frame->seq);
		return;
	}
	if (strcmp(frame->type, "position") != 0 && strcmp(frame->type, "subscribed") != 0)
		return;
	generation_set(positions, json_object_get(frame->data, "generation"));
	json_object_foreach(json_object_get(frame->data, "streams"), stream, value)
	{
		json_t *seq = json_is_object(value) ? json_object_get(value, "seq") : value;
		/* A stream that is recovered is replayed from where we were: its events bring the position forward. */
		bool replayed = json_is_object(value) && json_is_true(json_object_get(value, "recovered"));
		bool known = false;

		/* Not open here: there is nothing to go on from. */
		if (json_is_object(value) && seq == NULL) {
			position_forget(positions, stream);
			continue;
		}
		for (size_t i = 0; i < positions->count; i++)
			known = known || strcmp(positions->list[i].stream, stream) == 0;
		if (json_is_integer(seq) && !(replayed && known))
			position_set(positions, stream, (uint64_t)json_integer_value(seq));
	}
}

const char *frame_subscribe(struct arena *mem, const char *const *topics, size_t topic_count, const struct positions *since,
	size_t *out_length)
{
	struct json_writer w;

	jw_begin(&w, mem, 256);
	jw_object(&w);
	jw_kv(&w, str, "op", "subscribe");
	jw_key(&w, "topics");
	jw_array(&w);
	for (size_t i = 0; i < topic_count; i++)
		jw_str(&w, topics[i]);
	jw_array_end(&w);
	if (since != NULL && since->count > 0) {
		jw_key(&w, "since");
		jw_object(&w);
		jw_kv(&w, str, "generation", since->generation);
		jw_key(&w, "streams");
		jw_object(&w);
		for (size_t i = 0; i < since->count; i++)
			jw_kv(&w, u64, since->list[i].stream, since->list[i].seq);
		jw_object_end(&w);
		jw_object_end(&w);
	}
	jw_kv(&w, u64, "ref", 1);
	jw_object_end(&w);
	return jw_end(&w, out_length);
}

const char **frame_lost_streams(struct arena *mem, const struct frame *frame, size_t *out_count)
{
	json_t *streams = json_object_get(frame->data, "streams"), *value;
	const char **out = ARENA_ARRAY(mem, json_object_size(streams), const char *);
	const char *stream;
	size_t count = 0;

	json_object_foreach(streams, stream, value)
		if (json_is_false(json_object_get(value, "recovered")))
			out[count++] = stream;
	*out_count = count;
	return out;
}
