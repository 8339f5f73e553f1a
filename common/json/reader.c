#include "common/json/reader.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/text.h"

#define MAX_DEPTH 32
/* Whole numbers up to here are exact in a double, which is what 1.0 or 1e3 arrive as. */
#define MAX_EXACT 9007199254740992.0

static void release(void *object)
{
	json_decref(object);
}

/* Deeper than MAX_DEPTH? Before the parse, because jansson itself goes to 2048 and calls itself per level.
 * Brackets that do not match are the parser's to find. */
static bool too_deep(const char *bytes, size_t length)
{
	size_t depth = 0;

	for (size_t i = 0; i < length; i++) {
		char c = bytes[i];
		if (c == '"') {
			for (i++; i < length && bytes[i] != '"'; i++)
				i += bytes[i] == '\\';
		} else if (c == '{' || c == '[') {
			if (++depth > MAX_DEPTH)
				return true;
		} else if ((c == '}' || c == ']') && depth > 0) {
			depth--;
		}
	}
	return false;
}

/* jansson's own texts quote the body, which must not end up in a log; these do not. */
static const char *reason(enum json_error_code code)
{
	switch (code) {
	case json_error_duplicate_key:
		return "a field is there twice";
	case json_error_numeric_overflow:
		return "a number is too large";
	case json_error_null_character:
	case json_error_null_byte_in_key:
		return "a string contains NUL";
	case json_error_premature_end_of_input:
		return "the body ends in the middle of the JSON";
	case json_error_end_of_input_expected:
		return "something follows the JSON";
	case json_error_stack_overflow:
		return "the JSON is nested too deeply";
	case json_error_invalid_utf8:
		return "the body is not valid UTF-8";
	case json_error_unknown:
	case json_error_out_of_memory:
	case json_error_cannot_open_file:
	case json_error_invalid_argument:
	case json_error_invalid_syntax:
	case json_error_invalid_format:
	case json_error_wrong_type:
	case json_error_null_value:
	case json_error_item_not_found:
	case json_error_index_out_of_range:
		break;
	}
	return "the body is not valid JSON";
}

static enum status malformed(struct json_reader *r, const char *detail)
{
	json_fail(r, STATUS_MALFORMED, NULL, detail);
	return r->status;
}

enum status json_reader_begin(struct json_reader *r, struct arena *mem, const char *bytes, size_t length)
{
	json_error_t error;

	*r = (struct json_reader){.mem = mem, .status = STATUS_OK};
	if (!text_is_utf8(bytes, length))
		return malformed(r, "the body is not valid UTF-8, or contains NUL");
	if (too_deep(bytes, length))
		return malformed(r, "the JSON is nested more than 32 deep");
	json_t *parsed =
		length == 0 ? json_object() : json_loadb(bytes, length, JSON_REJECT_DUPLICATES, &error);
	if (parsed == NULL)
		return malformed(
			r, length == 0 ? "out of memory"
				       : arena_printf(mem, "%s (line %d, column %d)",
						 reason(json_error_code(&error)), error.line, error.column));
	arena_defer(mem, release, parsed);
	if (!json_is_object(parsed))
		return malformed(r, "the body must be a JSON object");
	r->object = parsed;
	return STATUS_OK;
}

void json_reader_over(struct json_reader *r, struct arena *mem, json_t *object)
{
	*r = (struct json_reader){.mem = mem, .status = STATUS_OK};
	if (json_is_object(object))
		r->object = object;
	else
		malformed(r, "expected a JSON object");
}

void json_fail(struct json_reader *r, enum status st, const char *field, const char *detail)
{
	if (r->status != STATUS_OK)
		return;
	r->status = st;
	r->field = field;
	r->detail = detail;
}

static void invalid(struct json_reader *r, const char *field, const char *detail)
{
	json_fail(r, STATUS_FIELD_INVALID, field, detail);
}

static bool was_taken(const struct json_reader *r, const char *field)
{
	for (size_t i = 0; i < r->taken_count; i++)
		if (strcmp(r->taken[i], field) == 0)
			return true;
	return false;
}

/* NULL when absent or after an error. */
static json_t *take(struct json_reader *r, const char *field)
{
	if (r->status != STATUS_OK)
		return NULL;
	if (!was_taken(r, field)) {
		assert(r->taken_count < sizeof r->taken / sizeof *r->taken);
		r->taken[r->taken_count++] = field;
	}
	return json_object_get(r->object, field);
}

/* As take, but null is as good as absent, and a required field must be neither. */
static json_t *take_value(struct json_reader *r, const char *field, enum json_need need)
{
	json_t *value = take(r, field);

	if (value != NULL && json_typeof(value) != JSON_NULL)
		return value;
	if (need == JSON_REQUIRED)
		invalid(r, field, value == NULL ? "is required" : "must not be null");
	return NULL;
}

bool json_has(struct json_reader *r, const char *field)
{
	return take(r, field) != NULL;
}

bool json_is_null(struct json_reader *r, const char *field)
{
	json_t *value = take(r, field);

	return value != NULL && json_typeof(value) == JSON_NULL;
}

void json_str(struct json_reader *r, const char *field, enum json_need need, size_t least, size_t most,
	const char **out)
{
	json_t *value = take_value(r, field, need);

	if (value == NULL)
		return;
	if (!json_is_string(value)) {
		invalid(r, field, "must be a string");
		return;
	}
	size_t count = text_code_points(json_string_value(value), json_string_length(value));
	if (count < least || count > most) {
		invalid(r, field,
			count < least && least == 1
				? "must not be empty"
				: arena_printf(r->mem, "must have %zu to %zu characters", least, most));
		return;
	}
	*out = json_string_value(value);
}

void json_bool(struct json_reader *r, const char *field, enum json_need need, bool *out)
{
	json_t *value = take_value(r, field, need);

	if (value == NULL)
		return;
	if (!json_is_boolean(value)) {
		invalid(r, field, "must be true or false");
		return;
	}
	*out = json_is_true(value);
}

void json_i64(struct json_reader *r, const char *field, enum json_need need, int64_t least, int64_t most,
	int64_t *out)
{
	json_t *value = take_value(r, field, need);
	int64_t number = 0;

	if (value == NULL)
		return;
	double real = json_real_value(value);
	if (json_is_integer(value)) {
		number = json_integer_value(value);
	} else if (json_is_real(value) && real >= -MAX_EXACT && real <= MAX_EXACT &&
		   (double)(int64_t)real == real) {
		number = (int64_t)real;
	} else {
		invalid(r, field, "must be a whole number");
		return;
	}
	if (number < least || number > most) {
		invalid(r, field, arena_printf(r->mem, "must be from %" PRId64 " to %" PRId64, least, most));
		return;
	}
	*out = number;
}

static bool read_uuid(const json_t *value, uint64_t *out_id)
{
	return json_is_string(value) &&
	       ids_from_uuid(json_string_value(value), json_string_length(value), out_id) == STATUS_OK;
}

void json_uuid(struct json_reader *r, const char *field, enum json_need need, uint64_t *out_id)
{
	json_t *value = take_value(r, field, need);

	if (value != NULL && !read_uuid(value, out_id))
		invalid(r, field, "must be an id as this server writes it");
}

void json_uuids(struct json_reader *r, const char *field, enum json_need need, size_t most,
	uint64_t **out_ids, size_t *out_count)
{
	json_t *value = take_value(r, field, need);

	if (value == NULL)
		return;
	size_t count = json_array_size(value);
	if (!json_is_array(value)) {
		invalid(r, field, "must be a list of ids");
		return;
	}
	if (count > most) {
		invalid(r, field, arena_printf(r->mem, "must have at most %zu entries", most));
		return;
	}
	uint64_t *ids = ARENA_ARRAY(r->mem, count, uint64_t);
	for (size_t i = 0; i < count; i++) {
		if (!read_uuid(json_array_get(value, i), &ids[i])) {
			invalid(r, field,
				arena_printf(
					r->mem, "entry %zu must be an id as this server writes it", i + 1));
			return;
		}
	}
	*out_ids = ids;
	*out_count = count;
}

void json_strs(struct json_reader *r, const char *field, enum json_need need, size_t most,
	const char *const **out, size_t *out_count)
{
	json_t *value = take_value(r, field, need);

	if (value == NULL)
		return;
	size_t count = json_array_size(value);
	if (!json_is_array(value)) {
		invalid(r, field, "must be a list of strings");
		return;
	}
	if (count > most) {
		invalid(r, field, arena_printf(r->mem, "must have at most %zu entries", most));
		return;
	}
	const char **texts = ARENA_ARRAY(r->mem, count, const char *);
	for (size_t i = 0; i < count; i++) {
		texts[i] = json_string_value(json_array_get(value, i));
		if (texts[i] == NULL) {
			invalid(r, field, arena_printf(r->mem, "entry %zu must be a string", i + 1));
			return;
		}
	}
	*out = texts;
	*out_count = count;
}

void json_time(struct json_reader *r, const char *field, enum json_need need, int64_t *out_wall_ms)
{
	json_t *value = take_value(r, field, need);

	if (value == NULL)
		return;
	if (!json_is_string(value) ||
		clock_parse_rfc3339(json_string_value(value), json_string_length(value), out_wall_ms) != 0)
		invalid(r, field, "must be a time such as 2025-01-15T10:30:00.000Z");
}

static const char *joined(struct arena *mem, const char *const *names)
{
	const char *all = names[0];

	for (size_t i = 1; names[i] != NULL; i++)
		all = arena_printf(mem, "%s%s%s", all, names[i + 1] == NULL ? " or " : ", ", names[i]);
	return all;
}

void json_choice(
	struct json_reader *r, const char *field, enum json_need need, const char *const *names, int *out)
{
	json_t *value = take_value(r, field, need);

	if (value == NULL)
		return;
	for (int i = 0; json_is_string(value) && names[i] != NULL; i++) {
		if (strcmp(names[i], json_string_value(value)) == 0) {
			*out = i;
			return;
		}
	}
	invalid(r, field, arena_printf(r->mem, "must be %s", joined(r->mem, names)));
}

enum status json_reader_end(struct json_reader *r, bool unknown_is_error)
{
	const char *field;
	json_t *value;

	if (r->status != STATUS_OK || !unknown_is_error)
		return r->status;
	json_object_foreach(r->object, field, value)
	{
		if (!was_taken(r, field)) {
			invalid(r, field, "is not a field of this request");
			break;
		}
	}
	return r->status;
}

bool json_is_whole_object(const char *text, size_t length)
{
	json_t *value = json_loadb(text, length, 0, NULL);
	bool whole = json_is_object(value);

	json_decref(value);
	return whole;
}

bool json_is_whole_value(const char *text, size_t length)
{
	json_t *value = json_loadb(text, length, JSON_DECODE_ANY, NULL);
	bool whole = value != NULL;

	json_decref(value);
	return whole;
}
