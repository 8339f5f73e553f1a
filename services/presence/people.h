/*
 * people - the rows of schema presence. Every function is one statement on a connection of the caller's, or of the
 * committer's transaction; what they answer lives in mem. Statuses are those of db_query.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/db/committer.h"
#include "common/db/db.h"
#include "common/events/kinds.h"

struct person_status {
	const char *text, *emoji; /* NULL: none; both NULL: no status */
	int64_t expires_at_ms;    /* 0: no end */
	bool clear_when_active;
};

static inline bool person_status_set(const struct person_status *status)
{
	return status->text != NULL || status->emoji != NULL;
}

struct person_row {
	uint64_t user_id;
	enum presence_state chosen;
	enum presence_state announced;
	int64_t last_seen_at_ms; /* 0: never */
	struct person_status status;
};
/* The rows of those that have one, in no order. */
enum status people_read(struct db_conn *conn, struct arena *mem, const uint64_t *user_ids, size_t count,
	struct person_row **out_rows, size_t *out_count);

/* ---- what was announced */
struct person_seen {
	uint64_t user_id;
	enum presence_state shown;
	int64_t last_seen_at_ms;
};
enum status people_remember(struct db_conn *conn, struct arena *mem, const struct person_seen *seen, size_t count);
/* Ids above `after` that stand as present, in order. */
enum status people_present(struct db_conn *conn, struct arena *mem, uint64_t after, int limit, uint64_t **out_ids,
	size_t *out_count);
/* Those of them stand as offline from now on, with last_seen_at_ms as it was. */
enum status people_hide(struct db_conn *conn, struct arena *mem, const uint64_t *user_ids, size_t count);
/* A choice that a socket brought. One row, a transaction of its own: it may wait for a commit but never holds one up. */
enum status people_choose(struct db_conn *conn, struct arena *mem, uint64_t user_id, enum presence_state chosen);
enum status people_forget(struct db_conn *conn, struct arena *mem, uint64_t user_id);

/* ---- statuses with something left to do */
struct person_due {
	uint64_t user_id;
	const uint64_t *team_ids; /* to be told */
	size_t team_count;
};
/* The status has run out. */
enum status people_expired(struct db_conn *conn, struct arena *mem, int64_t now_ms, int limit, struct person_due **out_due,
	size_t *out_count);
/* What somebody did that is in no log: typing, coming back. at_ms: wall clock. */
struct person_act {
	uint64_t user_id;
	int64_t at_ms;
};
/* Of these people, those whose status ends with the next thing they do, and who did it since they set it. */
enum status people_clear_when_active(struct db_conn *conn, struct arena *mem, const struct person_act *acts, size_t count,
	struct person_due **out_due, size_t *out_count);
/* The same by what is committed: every change that a person asks for leaves a row in log.requests. Looks at those after after_ms alone. */
enum status people_acted(struct db_conn *conn, struct arena *mem, int64_t after_ms, int limit, struct person_due **out_due,
	size_t *out_count);
/* Teams still wait for their copy of the last change. */
enum status people_pending(struct db_conn *conn, struct arena *mem, int limit, struct person_due **out_due,
	size_t *out_count);

/* ---- inside a commit, under the lock of the person's stream */
struct person_locked {
	bool exists;
	struct person_status status;
	uint64_t event_id;
	uint64_t *team_ids; /* told of the status */
	size_t team_count;
	uint64_t *pending;  /* not yet told of the last change */
	size_t pending_count;
	const uint8_t *view; /* NULL: none */
	size_t view_length;
};
enum status people_lock(struct log_tx *tx, uint64_t user_id, struct person_locked *out);
struct person_write {
	uint64_t user_id;
	struct person_status status;
	uint64_t event_id;
	const uint64_t *team_ids;
	size_t team_count;
	const uint64_t *pending;
	size_t pending_count;
	const uint8_t *view;
	size_t view_length;
};
enum status people_write_status(struct log_tx *tx, const struct person_write *row);
enum status people_write_pending(struct log_tx *tx, uint64_t user_id, const uint64_t *pending, size_t count);
enum status people_write_chosen(struct log_tx *tx, uint64_t user_id, enum presence_state chosen);
