#include "common/db/standby.h"

#include <inttypes.h>
#include <stdio.h>

/* Who may not see the details of replication sees its rows without a state. */
static const struct db_stmt look_stmt = {"standby_look",
	"SELECT current_setting('synchronous_standby_names') <> '',"
	" current_setting('synchronous_commit') IN ('off', 'local'),"
	" count(*) FILTER (WHERE sync_state IN ('sync', 'quorum'))::bigint, count(*)::bigint,"
	" count(*) FILTER (WHERE sync_state IS NULL)::bigint,"
	" coalesce(max(extract(epoch FROM replay_lag) * 1000), 0)::bigint FROM pg_stat_replication"};

enum status standby_look(struct db_conn *conn, struct arena *mem, struct standby *out)
{
	struct db_rows rows = {0};
	enum status st = db_query(conn, mem, &look_stmt, NULL, &rows);

	if (st != STATUS_OK)
		return st;
	bool asked_for = db_bool(&rows, 0, 0), not_waited = db_bool(&rows, 0, 1), hidden = db_i64(&rows, 0, 4) > 0;
	out->synchronous = db_i64(&rows, 0, 2);
	out->others = db_i64(&rows, 0, 3) - out->synchronous;
	out->lag_ms = db_i64(&rows, 0, 5);
	out->state = !asked_for             ? STANDBY_NONE
		     : not_waited           ? STANDBY_NOT_WAITED
		     : out->synchronous > 0 ? STANDBY_SYNCHRONOUS
		     : hidden               ? STANDBY_HIDDEN
					    : STANDBY_MISSING;
	return STATUS_OK;
}

const char *standby_words(const struct standby *s, char *out, size_t size)
{
	switch (s->state) {
	case STANDBY_SYNCHRONOUS:
		snprintf(out, size, "%" PRId64 " synchronous, replay lag %" PRId64 " ms", s->synchronous, s->lag_ms);
		break;
	case STANDBY_MISSING:
		snprintf(out, size, "synchronous_standby_names is set, but no such standby is connected: commits wait");
		break;
	case STANDBY_NOT_WAITED:
		snprintf(out, size, "synchronous_commit is off or local: commits do not wait for the synchronous standby");
		break;
	case STANDBY_NONE:
		snprintf(out, size,
			"no synchronous standby (%" PRId64 " others): acknowledged writes survive a crash, not the loss of the disk",
			s->others);
		break;
	case STANDBY_HIDDEN:
		snprintf(out, size, "this role may not see whether the synchronous standby is there: grant it pg_monitor");
		break;
	}
	return out;
}
