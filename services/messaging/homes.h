/*
 * homes - the streams in which many channels are at home, and their epochs compared at once: for readings that rest on every
 * channel of a list, whether a row comes of it or not.
 */
#pragma once

#include "services/messaging/visible.h"

struct homes {
	struct stream *streams;
	size_t count;
	size_t *of; /* by the index in visible: which stream */
};
void homes_find(struct arena *mem, const struct visible *v, struct homes *out);
/* In the snapshot of the connection. STALE as with visible_compare. */
enum status homes_compare(struct db_conn *conn, struct rpc_call *call, const struct visible *v, const struct homes *homes,
	struct refusal *out_no);
