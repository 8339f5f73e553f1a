#include "common/json/writer.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/ids.h"

#define MAX_DEPTH      64
#define LEAST_CAPACITY ((size_t)256)

/* Room for n more bytes and the final NUL. */
static char *room(struct json_writer *w, size_t n)
{
	if (n >= w->capacity - w->length) {
		size_t capacity = w->capacity * 2;
		if (capacity - w->length <= n)
			capacity = w->length + n + 1;
		w->bytes = arena_grow(w->mem, w->bytes, w->length, capacity);
		w->capacity = capacity;
	}
	return w->bytes + w->length;
}

static void put(struct json_writer *w, const char *bytes, size_t n)
{
	memcpy(room(w, n), bytes, n);
	w->length += n;
}

static void put_char(struct json_writer *w, char c)
{
	*room(w, 1) = c;
	w->length++;
}

/* The comma before a value or key, when one is due. */
static void separate(struct json_writer *w)
{
	if (w->after_key) {
		w->after_key = false;
		return;
	}
	if (w->depth == 0)
		return;
	uint64_t bit = UINT64_C(1) << (w->depth - 1);
	if (w->has_items & bit)
		put_char(w, ',');
	w->has_items |= bit;
}

void jw_begin(struct json_writer *w, struct arena *mem, size_t capacity_hint)
{
	size_t capacity = capacity_hint < LEAST_CAPACITY ? LEAST_CAPACITY : capacity_hint;

	*w = (struct json_writer){.mem = mem, .capacity = capacity};
	w->bytes = arena_grow(mem, NULL, 0, capacity);
}

const char *jw_end(struct json_writer *w, size_t *out_length)
{
	assert(w->depth == 0 && !w->after_key);
	*room(w, 0) = '\0';
	*out_length = w->length;
	return w->bytes;
}

static void open_level(struct json_writer *w, char bracket)
{
	assert(w->depth < MAX_DEPTH);
	separate(w);
	put_char(w, bracket);
	w->has_items &= ~(UINT64_C(1) << w->depth);
	w->depth++;
}

static void close_level(struct json_writer *w, char bracket)
{
	assert(w->depth > 0 && !w->after_key);
	put_char(w, bracket);
	w->depth--;
}

void jw_object(struct json_writer *w)
{
	open_level(w, '{');
}

void jw_object_end(struct json_writer *w)
{
	close_level(w, '}');
}

void jw_array(struct json_writer *w)
{
	open_level(w, '[');
}

void jw_array_end(struct json_writer *w)
{
	close_level(w, ']');
}

void jw_key(struct json_writer *w, const char *key)
{
	size_t n = strlen(key);

	assert(!w->after_key);
	separate(w);
	char *at = room(w, n + 3);
	at[0] = '"';
	memcpy(at + 1, key, n);
	at[n + 1] = '"';
	at[n + 2] = ':';
	w->length += n + 3;
	w->after_key = true;
}

void jw_str(struct json_writer *w, const char *text)
{
	if (text == NULL)
		jw_null(w);
	else
		jw_strn(w, text, strlen(text));
}

static bool is_html(unsigned char c)
{
	return c == '<' || c == '>' || c == '&';
}

static bool needs_escape(const struct json_writer *w, unsigned char c)
{
	return c < 0x20 || c == '"' || c == '\\' || (w->escape_html && is_html(c));
}

static void put_escaped(struct json_writer *w, unsigned char c)
{
	static const char short_forms[0x20] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
	char escape[8];

	if (c >= 0x20 && !is_html(c)) {
		put(w, (char[2]){'\\', (char)c}, 2);
	} else if (c < 0x20 && short_forms[c] != 0) {
		put(w, (char[2]){'\\', short_forms[c]}, 2);
	} else {
		snprintf(escape, sizeof escape, "\\u%04x", c);
		put(w, escape, 6);
	}
}

void jw_strn(struct json_writer *w, const char *text, size_t n)
{
	size_t run = 0;

	separate(w);
	room(w, n + 2); /* nearly always enough: few strings hold anything to escape */
	put_char(w, '"');
	for (size_t i = 0; i < n; i++) {
		if (!needs_escape(w, (unsigned char)text[i]))
			continue;
		put(w, text + run, i - run);
		put_escaped(w, (unsigned char)text[i]);
		run = i + 1;
	}
	if (n > run)
		put(w, text + run, n - run);
	put_char(w, '"');
}

void jw_key_text(struct json_writer *w, const char *key)
{
	assert(!w->after_key);
	jw_str(w, key);
	put_char(w, ':');
	w->after_key = true;
}

static void put_u64(struct json_writer *w, uint64_t value)
{
	char digits[20];
	size_t at = sizeof digits;

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	put(w, digits + at, sizeof digits - at);
}

void jw_u64(struct json_writer *w, uint64_t value)
{
	separate(w);
	put_u64(w, value);
}

void jw_i64(struct json_writer *w, int64_t value)
{
	separate(w);
	if (value < 0)
		put_char(w, '-');
	put_u64(w, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void jw_f64(struct json_writer *w, double value)
{
	char text[40];

	if (!isfinite(value)) { /* JSON has no word for it */
		jw_null(w);
		return;
	}
	separate(w);
	/* The fewest digits that read back as the same number; 17 always do. */
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	put(w, text, strlen(text));
}

void jw_bool(struct json_writer *w, bool value)
{
	separate(w);
	if (value)
		put(w, "true", 4);
	else
		put(w, "false", 5);
}

void jw_null(struct json_writer *w)
{
	separate(w);
	put(w, "null", 4);
}

void jw_uuid(struct json_writer *w, uint64_t id)
{
	char uuid[IDS_UUID_SIZE];

	if (id == 0) {
		jw_null(w);
		return;
	}
	ids_to_uuid(id, uuid);
	separate(w);
	put_char(w, '"');
	put(w, uuid, IDS_UUID_SIZE - 1);
	put_char(w, '"');
}

void jw_time(struct json_writer *w, int64_t wall_ms)
{
	char time[CLOCK_RFC3339_SIZE];

	if (wall_ms == 0) {
		jw_null(w);
		return;
	}
	clock_format_rfc3339(wall_ms, time);
	separate(w);
	put_char(w, '"');
	put(w, time, CLOCK_RFC3339_SIZE - 1);
	put_char(w, '"');
}

void jw_raw(struct json_writer *w, const char *json, size_t n)
{
	separate(w);
	put(w, json, n);
}
