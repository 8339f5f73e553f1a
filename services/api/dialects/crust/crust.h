/*
 * crust - the REST dialect of the Crust Messaging API, below /crust: handlers of routes.tbl.h and what they share. A handler decodes,
 * calls, and renders; statuses become texts in refuse.c. Wire: docs/dialects/crust.md.
 *
 * The mount serves one team and the conversations of who calls: x->team_id. Owners know no other channels in its calls.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/dialects/crust/shapes.h"
#include "common/json/writer.h"
#include "services/api/dialects/crust/params.h"
#include "services/api/exchange.h"

extern const struct mount crust_mount, crust_system_mount;

/* What both say of themselves. */
extern const struct mount_cors crust_cors;
const char *crust_own_host(const struct config *config);
enum status crust_admit(struct exchange *x);

#define ROUTE(method, path, auth, scope, cost, handler) route_handler crust_##handler;
#include "services/api/dialects/crust/routes.tbl.h"
#undef ROUTE

/* ---- decoding */

void crust_params(struct exchange *x, struct crust_params *p, enum crust_where where);
enum status crust_params_done(struct exchange *x, const struct crust_params *p);
/* An id in the path. One that is no number is 0, which is nobody's: STATUS_NOT_FOUND with why "id". */
enum status crust_path_id(struct exchange *x, const char *name, uint64_t *out_id);
/* What a client shows: jwt of the query, a bearer header, the cookie jwt. */
const char *crust_token(struct exchange *x);
/* Text without blanks at its ends, in mem or text itself; "" for NULL. */
const char *crust_trimmed(struct arena *mem, const char *text);
/* Leaves each id once, and none that is 0; returns how many there are. */
size_t crust_distinct(uint64_t *ids, size_t count);

/* ---- rendering. All return STATUS_OK. */

/* {"response": ...}: a value goes in between. */
void crust_response(struct exchange *x, struct json_writer *w);
enum status crust_finish(struct exchange *x, struct json_writer *w);
/* {"success":{"message":"OK"}} */
enum status crust_ok(struct exchange *x);
/* {"response":false}, {"response":true}, {"response":null} */
enum status crust_nothing(struct exchange *x, const char *word);

/* ---- refuse.c */

void crust_refuse(struct exchange *x, enum status status);
void crust_decorate(struct exchange *x);
