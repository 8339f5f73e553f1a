/*
 * purge - a thread that once an hour removes for good what was deleted GUILDHALL_PURGE_AFTER days ago:
 * messages, and channels with all that hangs on them. Of several copies one does it (a lease in log.jobs). In
 * chunks, each a short transaction of its own, so that no snapshot lives long and no lock is held long.
 */
#pragma once

#include "services/messaging/service.h"

struct purge;
/* Borrows s. */
enum status purge_start(struct service *s, struct purge **out_purge);
void purge_stop(struct purge *purge); /* NULL is fine */

/* One round, for the thread and for tests: what was deleted before that moment. out_rows: how many rows went.
 */
enum status purge_round(
	struct db_conn *conn, struct arena *mem, int64_t deleted_before_ms, uint64_t *out_rows);
