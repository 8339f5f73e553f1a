/*
 * house - the REST dialect of our own, below /v1: handlers of routes.tbl.h and what they share. A handler
 * decodes, calls, and renders; statuses become problem+json in problem.c. Wire: docs/dialects/house.md.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/dialects/house/shapes.h"
#include "common/json/reader.h"
#include "common/json/writer.h"
#include "services/api/exchange.h"

extern const struct mount house_mount;

#define ROUTE(method, path, auth, scope, cost, handler) route_handler house_##handler;
#include "services/api/dialects/house/routes.tbl.h"
#undef ROUTE

/* ---- decoding */

/* An id in the path. What is no id names nothing: STATUS_NOT_FOUND. */
enum status house_path_id(struct exchange *x, const char *name, uint64_t *out_id);
/* The body as an object; end with house_body_end, which names the field at fault, unknown ones included. */
void house_body(struct exchange *x, struct json_reader *r);
enum status house_body_end(struct exchange *x, struct json_reader *r);
/* A string that null clears. True: it was there. */
bool house_nullable(struct json_reader *r, const char *field, size_t least, size_t most, const char **out);
/* When something ends, or 0 when absent or null. Whether that lies ahead is for the owner to say. */
void house_end_time(struct json_reader *r, const char *field, int64_t *out_wall_ms);
/* A query parameter, or NULL; STATUS_FIELD_INVALID when it does not decode or has more than `most` code
 * points. */
enum status house_query(struct exchange *x, const char *name, size_t most, const char **out);
/* The same as an id; 0 when absent. */
enum status house_query_id(struct exchange *x, const char *name, uint64_t *out_id);
/* A switch in the query: 1 or true, 0 or false, absent as given in *out. */
enum status house_query_flag(struct exchange *x, const char *name, bool *out);

/* limit, before and after of a list. */
struct house_page {
	uint64_t before, after;
	uint32_t limit;
};
enum status house_page(struct exchange *x, struct house_page *out);
/* Only the limit, for a list whose pages begin in another way. */
enum status house_limit(struct exchange *x, uint32_t *out);
/* The same for ids that are text: out->before and out->after stay 0 except for telling which was given (1). */
enum status house_page_named(
	struct exchange *x, struct house_page *out, const char **out_before, const char **out_after);

/* ---- rendering. All return STATUS_OK. */

void house_begin(struct exchange *x, struct json_writer *w);
enum status house_finish(struct exchange *x, int code, struct json_writer *w);
enum status house_no_content(struct exchange *x);
/* Location: a format for the path below /v1; ids are spelled by house_uuid. */
void house_location(struct exchange *x, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *house_uuid(struct exchange *x, uint64_t id);
/* The URL of this request with one parameter of its query another. */
const char *house_same_with(struct exchange *x, const char *name, const char *value);

/* One object by its shape: HOUSE_OBJECT(x, 200, house_team, &reply.team). */
#define HOUSE_OBJECT(x, code, shape, view)                                                                   \
	__extension__({                                                                                      \
		struct json_writer house_writer_;                                                            \
		house_begin((x), &house_writer_);                                                            \
		shape(&house_writer_, (view));                                                               \
		house_finish((x), (code), &house_writer_);                                                   \
	})

/* {"items", "next"}. newest_first: which way the list goes when neither before nor after is given. */
struct house_list {
	size_t count;
	bool more, newest_first;
	const void *items;
	void (*write)(struct json_writer *w, const void *items, size_t i);
	uint64_t (*id)(const void *items, size_t i); /* this or name; neither: the list has no further pages */
	const char *(*name)(const void *items, size_t i); /* for ids that are text, as they stand in a query */
};
enum status house_finish_list(
	struct exchange *x, const struct house_page *page, const struct house_list *list);

/* ---- problem.c */

void house_refuse(struct exchange *x, enum status status);
void house_decorate(struct exchange *x);
