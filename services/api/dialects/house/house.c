#include "services/api/dialects/house/house.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/text.h"

#define LIMIT_DEFAULT 50
#define LIMIT_MOST    100
#define NAME_MOST     64

static const struct route routes[] = {
#define ROUTE(method, path, auth, scope, cost, handler)                                                      \
	{method, path, AUTH_##auth, SCOPE_##scope, COST_##cost, house_##handler, #handler},
#include "services/api/dialects/house/routes.tbl.h"
#undef ROUTE
};

static const char *bearer(struct exchange *x)
{
	const char *header = http_request_header(x->rq, "Authorization");

	if (header == NULL || strncasecmp(header, "Bearer ", 7) != 0)
		return NULL;
	header += 7;
	return header + strspn(header, " ");
}

static bool uuid_id(const char *text, size_t length, uint64_t *out_id)
{
	return ids_from_uuid(text, length, out_id) == STATUS_OK;
}

const struct mount house_mount = {
	.name = "house",
	.path = "/v1",
	.routes = routes,
	.route_count = sizeof routes / sizeof *routes,
	.bodies = BODY_JSON,
	.path_id = uuid_id,
	.token = bearer,
	.refuse = house_refuse,
	.decorate = house_decorate,
};

/* ---- decoding */

enum status house_path_id(struct exchange *x, const char *name, uint64_t *out_id)
{
	const char *text = route_param(&x->match, name);

	if (text != NULL && ids_from_uuid(text, strlen(text), out_id) == STATUS_OK)
		return STATUS_OK;
	return exchange_fail(x, STATUS_NOT_FOUND, NULL, NULL, NULL);
}

void house_body(struct exchange *x, struct json_reader *r)
{
	json_reader_begin(r, x->mem, x->rq->body, x->rq->body_length);
}

enum status house_body_end(struct exchange *x, struct json_reader *r)
{
	enum status st = json_reader_end(r, true);

	return st == STATUS_OK ? st : exchange_fail(x, st, NULL, r->field, r->detail);
}

bool house_nullable(struct json_reader *r, const char *field, size_t least, size_t most, const char **out)
{
	*out = NULL;
	if (!json_has(r, field))
		return false;
	if (!json_is_null(r, field))
		json_str(r, field, JSON_OPTIONAL, least, most, out);
	return true;
}

void house_end_time(struct json_reader *r, const char *field, int64_t *out_wall_ms)
{
	*out_wall_ms = 0;
	if (!json_has(r, field) || json_is_null(r, field))
		return;
	json_time(r, field, JSON_OPTIONAL, out_wall_ms);
	if (*out_wall_ms <= 0) /* 0 would be no end at all */
		json_fail(r, STATUS_FIELD_INVALID, field, "is in the past");
}

enum status house_query(struct exchange *x, const char *name, size_t most, const char **out)
{
	bool bad = false;
	const char *value = http_query(x->rq, name, &bad);

	if (bad)
		return exchange_fail(x, STATUS_FIELD_INVALID, NULL, name, "does not decode");
	if (value != NULL && text_code_points(value, strlen(value)) > most)
		return exchange_fail(x, STATUS_FIELD_INVALID, NULL, name, "is too long");
	*out = value;
	return STATUS_OK;
}

enum status house_query_id(struct exchange *x, const char *name, uint64_t *out_id)
{
	const char *value = NULL;
	enum status st = house_query(x, name, 64, &value);

	*out_id = 0;
	if (st == STATUS_OK && value != NULL && ids_from_uuid(value, strlen(value), out_id) != STATUS_OK)
		return exchange_fail(x, STATUS_FIELD_INVALID, NULL, name, "must be an id");
	return st;
}

enum status house_query_flag(struct exchange *x, const char *name, bool *out)
{
	const char *value = NULL;
	enum status st = house_query(x, name, 8, &value);

	if (st != STATUS_OK || value == NULL)
		return st;
	if (strcmp(value, "1") != 0 && strcmp(value, "true") != 0 && strcmp(value, "0") != 0 &&
		strcmp(value, "false") != 0)
		return exchange_fail(x, STATUS_FIELD_INVALID, NULL, name, "must be 0 or 1");
	*out = value[0] == '1' || value[0] == 't';
	return STATUS_OK;
}

enum status house_limit(struct exchange *x, uint32_t *out)
{
	const char *limit = NULL;
	enum status st = house_query(x, "limit", 8, &limit);

	*out = LIMIT_DEFAULT;
	if (st == STATUS_OK && limit != NULL) {
		unsigned long value =
			strspn(limit, "0123456789") == strlen(limit) ? strtoul(limit, NULL, 10) : 0;
		if (value < 1 || value > LIMIT_MOST)
			return exchange_fail(
				x, STATUS_FIELD_INVALID, NULL, "limit", "must be a number from 1 to 100");
		*out = (uint32_t)value;
	}
	return st;
}

static enum status page_limit(struct exchange *x, struct house_page *out)
{
	*out = (struct house_page){0};
	return house_limit(x, &out->limit);
}

static enum status page_one_way(struct exchange *x, const struct house_page *page)
{
	if (page->before != 0 && page->after != 0)
		return exchange_fail(
			x, STATUS_FIELD_INVALID, NULL, "after", "cannot be given together with before");
	return STATUS_OK;
}

enum status house_page(struct exchange *x, struct house_page *out)
{
	enum status st = page_limit(x, out);

	if (st == STATUS_OK)
		st = house_query_id(x, "before", &out->before);
	if (st == STATUS_OK)
		st = house_query_id(x, "after", &out->after);
	return st == STATUS_OK ? page_one_way(x, out) : st;
}

enum status house_page_named(
	struct exchange *x, struct house_page *out, const char **out_before, const char **out_after)
{
	enum status st = page_limit(x, out);

	if (st == STATUS_OK)
		st = house_query(x, "before", NAME_MOST, out_before);
	if (st == STATUS_OK)
		st = house_query(x, "after", NAME_MOST, out_after);
	if (st != STATUS_OK)
		return st;
	out->before = *out_before != NULL;
	out->after = *out_after != NULL;
	return page_one_way(x, out);
}

/* ---- rendering */

void house_begin(struct exchange *x, struct json_writer *w)
{
	jw_begin(w, x->mem, 1024);
}

enum status house_finish(struct exchange *x, int code, struct json_writer *w)
{
	x->rs->code = code;
	x->rs->content_type = "application/json";
	x->rs->body = jw_end(w, &x->rs->body_length);
	return STATUS_OK;
}

enum status house_no_content(struct exchange *x)
{
	x->rs->code = 204;
	return STATUS_OK;
}

const char *house_uuid(struct exchange *x, uint64_t id)
{
	char *text = arena_alloc(x->mem, IDS_UUID_SIZE);

	ids_to_uuid(id, text);
	return text;
}

void house_location(struct exchange *x, const char *format, ...)
{
	va_list args;
	char below[512];

	va_start(args, format);
	vsnprintf(below, sizeof below, format, args);
	va_end(args);
	http_response_header(x->rs, "Location", arena_printf(x->mem, "%s%s", house_mount.path, below));
}

/* The query of the next page: the same, but for where it begins. */
struct next {
	struct arena *mem;
	const char *text;
};

static const char *query_encoded(struct arena *mem, const char *text)
{
	static const char hex[] = "0123456789ABCDEF";
	char *encoded = arena_alloc(mem, 3 * strlen(text) + 1), *to = encoded;

	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			strchr("-._~", c) != NULL) {
			*to++ = (char)c;
		} else {
			*to++ = '%';
			*to++ = hex[c >> 4];
			*to++ = hex[c & 15];
		}
	}
	return encoded;
}

static bool next_parameter(void *arg, const char *name, const char *value)
{
	struct next *next = arg;

	if (strcmp(name, "before") != 0 && strcmp(name, "after") != 0)
		next->text = arena_printf(next->mem, "%s%s=%s&", next->text, query_encoded(next->mem, name),
			query_encoded(next->mem, value));
	return true;
}

/* A list goes on behind its last item, whichever way the page went. */
static const char *next_page(struct exchange *x, const struct house_page *page, const struct house_list *list)
{
	bool down = page->before != 0 || (page->after == 0 && list->newest_first);
	struct next next = {x->mem, ""};

	if (!list->more || list->count == 0 || (list->id == NULL && list->name == NULL))
		return NULL;
	const char *edge = list->id != NULL ? house_uuid(x, list->id(list->items, list->count - 1))
					    : list->name(list->items, list->count - 1);
	http_query_each(x->rq, next_parameter, &next);
	return arena_printf(
		x->mem, "%s?%s%s=%s", x->rq->path, next.text, down ? "before" : "after", edge);
}

struct with {
	struct arena *mem;
	const char *without, *text;
};

static bool with_parameter(void *arg, const char *name, const char *value)
{
	struct with *with = arg;

	if (strcmp(name, with->without) != 0)
		with->text = arena_printf(with->mem, "%s%s=%s&", with->text, query_encoded(with->mem, name),
			query_encoded(with->mem, value));
	return true;
}

const char *house_same_with(struct exchange *x, const char *name, const char *value)
{
	struct with with = {x->mem, name, ""};

	http_query_each(x->rq, with_parameter, &with);
	return arena_printf(x->mem, "%s?%s%s=%s", x->rq->path, with.text, name, query_encoded(x->mem, value));
}

enum status house_finish_list(
	struct exchange *x, const struct house_page *page, const struct house_list *list)
{
	struct json_writer w;

	house_begin(x, &w);
	jw_object(&w);
	jw_key(&w, "items");
	jw_array(&w);
	for (size_t i = 0; i < list->count; i++)
		list->write(&w, list->items, i);
	jw_array_end(&w);
	jw_kv(&w, str, "next", next_page(x, page, list));
	jw_object_end(&w);
	return house_finish(x, 200, &w);
}
