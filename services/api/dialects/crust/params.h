/*
 * params - what a client of crust says besides the path: a JSON body, a form, parts of a multipart body and the query string,
 * merged as this API merges them (docs/dialects/crust.md, "Parameters"). Keys of JSON are found whatever their case, unknown ones
 * are not looked at. A form's value wins over the query's, and both over JSON's. What is no number is 0, what is no truth is false; only
 * a JSON value of a wrong type is an error, and the first one stays: ask crust_params_end once all is read. Pure; values live
 * in mem.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/status.h"
#include "common/http/http.h"
#include "common/json/reader.h"

struct crust_field {
	const char *name, *value;
	bool listed; /* the name had "[]" behind it, which is not in it */
};

struct crust_params {
	struct arena *mem;
	json_t *object; /* of a JSON body; NULL: there is none */
	struct crust_field *fields; /* those of the body before those of the query */
	size_t count, room;
	enum status status; /* the first error */
	const char *detail;
};

enum crust_where {
	CRUST_QUERY, /* the query string alone */
	CRUST_BODY,  /* the body and the query string */
};

/* Reads the request. What cannot be read is told by crust_params_end: STATUS_MALFORMED. */
void crust_params_begin(struct crust_params *p, const struct http_request *rq, enum crust_where where);
/* STATUS_OK, or the first error, whose words are in p->detail. */
enum status crust_params_end(const struct crust_params *p);

/* NULL when absent or null. */
const char *crust_param(struct crust_params *p, const char *name);
/* 0 when absent. */
uint64_t crust_param_id(struct crust_params *p, const char *name);
uint32_t crust_param_number(struct crust_params *p, const char *name);
bool crust_param_truth(struct crust_params *p, const char *name);
/* Lists: an array of JSON, the repeated key, or the repeated key with "[]", which wins. */
size_t crust_param_list(struct crust_params *p, const char *name, const char *const **out);
size_t crust_param_ids(struct crust_params *p, const char *name, uint64_t **out);
/* Of JSON alone: NULL when absent or null. */
json_t *crust_param_json(struct crust_params *p, const char *name);

/* A member of a JSON object whatever its key's case, or NULL. */
json_t *crust_member_of(json_t *object, const char *name);
/* 0..2^63-1 in decimal digits; all else is 0. */
uint64_t crust_id_of(const char *text);
