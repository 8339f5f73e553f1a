/*
 * json/reader - request bodies, on jansson. Strict: valid UTF-8 without NUL, no duplicate keys, at most 32 deep,
 * one object and nothing after it. A reader collects the first error and every later call is then a no-op, so a
 * handler reads all its fields and asks once at the end. Values are borrowed from the arena.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ours asks about a field; of a jansson value ask json_typeof(value) == JSON_NULL. */
#undef json_is_null

#include "common/base/arena.h"
#include "common/base/status.h"

struct json_reader {
	struct arena *mem;
	json_t *object;      /* NULL after a failed parse */
	enum status status;  /* the first error; STATUS_OK so far */
	const char *field;   /* the field to blame, or NULL */
	const char *detail;  /* one sentence for people */
	const char *taken[48]; /* fields asked for, so that the rest are unknown */
	size_t taken_count;
};

enum json_need { JSON_OPTIONAL, JSON_REQUIRED };

/* Parses bytes as one object. STATUS_MALFORMED: not JSON, not an object, bad UTF-8, NUL, duplicate key, too deep.
 * An empty body (length 0) reads as an object without fields. The jansson value is freed with mem. */
enum status json_reader_begin(struct json_reader *r, struct arena *mem, const char *bytes, size_t length);
/* Reads a sub-object already parsed (websocket operations). object is borrowed. */
void json_reader_over(struct json_reader *r, struct arena *mem, json_t *object);

bool json_has(struct json_reader *r, const char *field);     /* present, null included; counts as taken */
bool json_is_null(struct json_reader *r, const char *field);
/* Wrong type: STATUS_FIELD_INVALID naming the field. least/most count code points.
 * Absent optional fields, and null where null means "none", leave *out as it was. */
void json_str(struct json_reader *r, const char *field, enum json_need need, size_t least, size_t most, const char **out);
void json_bool(struct json_reader *r, const char *field, enum json_need need, bool *out);
void json_i64(struct json_reader *r, const char *field, enum json_need need, int64_t least, int64_t most, int64_t *out);
void json_uuid(struct json_reader *r, const char *field, enum json_need need, uint64_t *out_id);
void json_uuids(struct json_reader *r, const char *field, enum json_need need, size_t most, uint64_t **out_ids, size_t *out_count);
/* A list of strings, as they are. */
void json_strs(struct json_reader *r, const char *field, enum json_need need, size_t most, const char *const **out,
	size_t *out_count);
void json_time(struct json_reader *r, const char *field, enum json_need need, int64_t *out_wall_ms);
/* One of names (NULL-terminated); *out becomes its index. */
void json_choice(struct json_reader *r, const char *field, enum json_need need, const char *const *names, int *out);
/* Records an error of the handler's own, if none came before. */
void json_fail(struct json_reader *r, enum status st, const char *field, const char *detail);

/* Any field that nobody asked for: STATUS_FIELD_INVALID naming it (when `unknown_is_error`). Returns r->status. */
enum status json_reader_end(struct json_reader *r, bool unknown_is_error);

/* Is the text one JSON object, as others read JSON too? For text that goes into other JSON as it stands. Any thread. */
bool json_is_whole_object(const char *text, size_t length);
bool json_is_whole_value(const char *text, size_t length); /* of any type */
