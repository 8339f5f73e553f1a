#include "services/api/dialects/crust/params.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/text.h"
#include "common/http/multipart.h"
#include "services/api/exchange.h"
#include "services/api/serve.h"

static void fail(struct crust_params *p, const char *detail)
{
	if (p->status != STATUS_OK)
		return;
	p->status = STATUS_MALFORMED;
	p->detail = detail;
}

/* ---- reading */

static bool add(void *arg, const char *name, const char *value)
{
	struct crust_params *p = arg;
	size_t length = strlen(name);
	bool listed = length > 2 && strcmp(name + length - 2, "[]") == 0;

	if (p->count == p->room) {
		size_t room = p->room == 0 ? 16 : 2 * p->room;
		p->fields = arena_grow(p->mem, p->fields, p->room * sizeof *p->fields, room * sizeof *p->fields);
		p->room = room;
	}
	p->fields[p->count++] = (struct crust_field){
		.name = listed ? arena_strndup(p->mem, name, length - 2) : name, .value = value, .listed = listed};
	return true;
}

static void read_form(struct crust_params *p, const struct http_request *rq)
{
	const struct http_request form = {.mem = rq->mem, .query = rq->body};

	http_query_each(&form, add, p);
}

struct rest {
	const char *bytes;
	size_t length;
};

/* Of a body that is there as a whole. */
static enum status read_rest(void *arg, void *bytes, size_t most, size_t *out_n)
{
	struct rest *rest = arg;

	*out_n = rest->length < most ? rest->length : most;
	memcpy(bytes, rest->bytes, *out_n);
	rest->bytes += *out_n;
	rest->length -= *out_n;
	return STATUS_OK;
}

/* The text of a part, or NULL when it is none. */
static const char *part_text(struct crust_params *p, struct multipart *m)
{
	char *text = NULL;
	size_t length = 0, n = 0;
	char bytes[1024];
	enum status st;

	while ((st = multipart_read(m, bytes, sizeof bytes, &n)) == STATUS_OK && n > 0) {
		text = arena_grow(p->mem, text, length, length + n + 1);
		memcpy(text + length, bytes, n);
		length += n;
	}
	if (st != STATUS_OK)
		fail(p, "the multipart body is broken");
	if (text == NULL)
		return "";
	text[length] = '\0';
	return text_is_utf8(text, length) ? text : NULL;
}

/* Files among the parts are passed over: no call takes one this way. */
static void read_parts(struct crust_params *p, const struct http_request *rq)
{
	struct rest rest = {rq->body, rq->body_length};
	struct multipart *m = ARENA_NEW(rq->mem, struct multipart);
	struct multipart_part part;

	enum status st = multipart_begin(m, http_request_header(rq, "Content-Type"), read_rest, &rest);
	while (st == STATUS_OK && (st = multipart_next(m, rq->mem, &part)) == STATUS_OK) {
		const char *text = part.filename == NULL ? part_text(p, m) : NULL;
		if (text != NULL)
			add(p, part.name, text);
	}
	if (st != STATUS_NOT_FOUND)
		fail(p, "the multipart body is broken");
}

/* Some clients send a body of nothing but blanks, or null. */
static bool says_nothing(const char *body, size_t length)
{
	static const char blanks[] = " \t\r\n";

	while (length > 0 && strchr(blanks, *body) != NULL && *body != '\0') {
		body++;
		length--;
	}
	while (length > 0 && body[length - 1] != '\0' && strchr(blanks, body[length - 1]) != NULL)
		length--;
	return length == 0 || (length == 4 && memcmp(body, "null", 4) == 0);
}

static void read_json(struct crust_params *p, const struct http_request *rq)
{
	struct json_reader r;

	if (says_nothing(rq->body, rq->body_length))
		return;
	json_reader_begin(&r, rq->mem, rq->body, rq->body_length);
	p->object = r.object;
	if (r.status != STATUS_OK)
		fail(p, r.detail);
}

void crust_params_begin(struct crust_params *p, const struct http_request *rq, enum crust_where where)
{
	*p = (struct crust_params){.mem = rq->mem};
	if (where == CRUST_BODY) {
		switch (serve_body_kind(http_request_header(rq, "Content-Type"))) {
		case BODY_JSON:
			read_json(p, rq);
			break;
		case BODY_FORM:
			read_form(p, rq);
			break;
		case BODY_MULTIPART:
			read_parts(p, rq);
			break;
		default:
			break;
		}
	}
	http_query_each(rq, add, p);
}

enum status crust_params_end(const struct crust_params *p)
{
	return p->status;
}

/* ---- asking */

static const struct crust_field *field_of(const struct crust_params *p, const char *name)
{
	for (size_t i = 0; i < p->count; i++)
		if (strcmp(p->fields[i].name, name) == 0)
			return &p->fields[i];
	return NULL;
}

json_t *crust_member_of(json_t *object, const char *name)
{
	const char *key;
	json_t *value, *found = json_object_get(object, name);

	if (found != NULL)
		return found;
	json_object_foreach(object, key, value)
		if (strcasecmp(key, name) == 0)
			return value;
	return NULL;
}

json_t *crust_param_json(struct crust_params *p, const char *name)
{
	json_t *value = p->object == NULL ? NULL : crust_member_of(p->object, name);

	return value == NULL || json_typeof(value) == JSON_NULL ? NULL : value;
}

static const char *wrong(struct crust_params *p, const char *name, const char *wanted)
{
	fail(p, arena_printf(p->mem, "%s must be %s", name, wanted));
	return NULL;
}

const char *crust_param(struct crust_params *p, const char *name)
{
	const struct crust_field *field = field_of(p, name);

	if (field != NULL)
		return field->value;
	json_t *value = crust_param_json(p, name);
	if (value == NULL)
		return NULL;
	return json_is_string(value) ? json_string_value(value) : wrong(p, name, "a string");
}

uint64_t crust_id_of(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	uint64_t id = 0;

	if (digits == 0 || text[digits] != '\0')
		return 0;
	for (size_t i = 0; i < digits; i++) {
		uint64_t digit = (uint64_t)(text[i] - '0');
		if (id > (INT64_MAX - digit) / 10)
			return 0;
		id = id * 10 + digit;
	}
	return id;
}

/* Ids come as strings from who knows that JavaScript would round them, and as numbers from others. */
static uint64_t json_id(struct crust_params *p, const char *name, json_t *value)
{
	if (json_is_string(value))
		return crust_id_of(json_string_value(value));
	if (json_is_integer(value))
		return json_integer_value(value) > 0 ? (uint64_t)json_integer_value(value) : 0;
	wrong(p, name, "an id");
	return 0;
}

uint64_t crust_param_id(struct crust_params *p, const char *name)
{
	const struct crust_field *field = field_of(p, name);
	json_t *value = field != NULL ? NULL : crust_param_json(p, name);

	if (field != NULL)
		return crust_id_of(field->value);
	return value == NULL ? 0 : json_id(p, name, value);
}

uint32_t crust_param_number(struct crust_params *p, const char *name)
{
	uint64_t number = crust_param_id(p, name);

	return number > UINT32_MAX ? UINT32_MAX : (uint32_t)number;
}

static bool is_true(const char *text)
{
	static const char *const words[] = {"t", "true", "y", "yes", "1"};
	static const char blanks[] = " \t\r\n";

	text += strspn(text, blanks);
	size_t length = strlen(text);
	while (length > 0 && strchr(blanks, text[length - 1]) != NULL)
		length--;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strlen(words[i]) == length && strncasecmp(text, words[i], length) == 0)
			return true;
	return false;
}

bool crust_param_truth(struct crust_params *p, const char *name)
{
	const struct crust_field *field = field_of(p, name);
	json_t *value = field != NULL ? NULL : crust_param_json(p, name);

	if (field != NULL)
		return is_true(field->value);
	if (value == NULL || json_is_boolean(value))
		return value != NULL && json_is_true(value);
	if (json_is_string(value))
		return is_true(json_string_value(value));
	wrong(p, name, "true or false");
	return false;
}

/* The fields of a list, or NULL: there are none. */
static const struct crust_field **list_fields(struct crust_params *p, const char *name, size_t *out_count)
{
	const struct crust_field **found = ARENA_ARRAY(p->mem, p->count, const struct crust_field *);

	for (int listed = 1; listed >= 0; listed--) {
		*out_count = 0;
		for (size_t i = 0; i < p->count; i++)
			if (p->fields[i].listed == listed && strcmp(p->fields[i].name, name) == 0)
				found[(*out_count)++] = &p->fields[i];
		if (*out_count > 0)
			return found;
	}
	return NULL;
}

/* One string instead of a list of one is what some clients send. */
static size_t json_count(struct crust_params *p, const char *name, json_t *value)
{
	if (value == NULL)
		return 0;
	if (json_is_array(value))
		return json_array_size(value);
	if (json_is_string(value) || json_is_integer(value))
		return 1;
	wrong(p, name, "a list");
	return 0;
}

static json_t *json_item(json_t *value, size_t i)
{
	return json_is_array(value) ? json_array_get(value, i) : value;
}

size_t crust_param_list(struct crust_params *p, const char *name, const char *const **out)
{
	size_t count = 0;
	const struct crust_field **fields = list_fields(p, name, &count);
	json_t *value = fields != NULL ? NULL : crust_param_json(p, name);

	if (fields == NULL)
		count = json_count(p, name, value);
	const char **items = ARENA_ARRAY(p->mem, count, const char *);
	for (size_t i = 0; i < count; i++) {
		json_t *item = fields != NULL ? NULL : json_item(value, i);
		if (item != NULL && !json_is_string(item))
			wrong(p, name, "a list of strings");
		items[i] = fields != NULL ? fields[i]->value : json_is_string(item) ? json_string_value(item) : "";
	}
	*out = items;
	return count;
}

size_t crust_param_ids(struct crust_params *p, const char *name, uint64_t **out)
{
	size_t count = 0;
	const struct crust_field **fields = list_fields(p, name, &count);
	json_t *value = fields != NULL ? NULL : crust_param_json(p, name);

	if (fields == NULL)
		count = json_count(p, name, value);
	*out = ARENA_ARRAY(p->mem, count, uint64_t);
	for (size_t i = 0; i < count; i++)
		(*out)[i] = fields != NULL ? crust_id_of(fields[i]->value) : json_id(p, name, json_item(value, i));
	return count;
}
