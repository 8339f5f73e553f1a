/*
 * json/writer - a small streaming writer for replies and events. Grows a buffer in an arena; commas and escaping
 * are its own work; nesting up to 64. Escapes the two-character set, control characters, and nothing else,
 * unless escape_html is set after jw_begin: then <, > and & as well. Strings must be valid UTF-8 (ours are). Not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"

struct json_writer {
	struct arena *mem;
	char *bytes;
	size_t length;
	size_t capacity;
	uint64_t has_items; /* one bit a level: a comma is due */
	unsigned depth;
	bool after_key;
	bool escape_html;
};

void jw_begin(struct json_writer *w, struct arena *mem, size_t capacity_hint);
/* NUL-terminated text; *out_length without the NUL. The writer may not be used afterwards. */
const char *jw_end(struct json_writer *w, size_t *out_length);

void jw_object(struct json_writer *w);
void jw_object_end(struct json_writer *w);
void jw_array(struct json_writer *w);
void jw_array_end(struct json_writer *w);
void jw_key(struct json_writer *w, const char *key); /* key needs no escaping: it is ours */
void jw_key_text(struct json_writer *w, const char *key); /* a key from outside */

void jw_str(struct json_writer *w, const char *text);             /* NULL writes null */
void jw_strn(struct json_writer *w, const char *text, size_t n);
void jw_u64(struct json_writer *w, uint64_t value);
void jw_i64(struct json_writer *w, int64_t value);
void jw_f64(struct json_writer *w, double value);
void jw_bool(struct json_writer *w, bool value);
void jw_null(struct json_writer *w);
void jw_uuid(struct json_writer *w, uint64_t id);                 /* 0 writes null */
void jw_time(struct json_writer *w, int64_t wall_ms);             /* 0 writes null */
void jw_raw(struct json_writer *w, const char *json, size_t n);   /* one finished value */

/* key and value in one */
#define jw_kv(w, kind, key, ...) (jw_key((w), (key)), jw_##kind((w)__VA_OPT__(, ) __VA_ARGS__))
