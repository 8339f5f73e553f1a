/*
 * db/standby - does an acknowledged write survive the loss of the database server? It does when COMMIT waits for a synchronous
 * standby. That is the operator's choice: nothing here depends on it, /readyz and doctor tell.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/db/db.h"

enum standby_state {
	STANDBY_SYNCHRONOUS, /* one is connected, and commits wait for it */
	STANDBY_MISSING,     /* one is asked for (synchronous_standby_names) and none is connected: commits wait until one is */
	STANDBY_NOT_WAITED,  /* one is asked for, but this role's synchronous_commit does not wait for it */
	STANDBY_NONE,        /* none is asked for */
	STANDBY_HIDDEN,      /* one is asked for, but the role may not see whether it is there (pg_monitor) */
};

struct standby {
	enum standby_state state;
	int64_t synchronous, others; /* connected */
	int64_t lag_ms;              /* of replay, the largest */
};

enum status standby_look(struct db_conn *conn, struct arena *mem, struct standby *out);
/* What a pool's prober saw last, within ten seconds. An ops_check (arg: the writing pool) that never fails: a server without a
 * standby serves all the same. */
bool standby_check(void *db, char *detail, size_t detail_size);

/* In words for people. Returns out. */
const char *standby_words(const struct standby *standby, char *out, size_t size);
