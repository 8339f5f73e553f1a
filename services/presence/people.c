#include "services/presence/people.h"

static enum presence_state state_of(int64_t number, enum presence_state otherwise)
{
	return number >= PRESENCE_ONLINE && number <= PRESENCE_OFFLINE ? (enum presence_state)number : otherwise;
}

static uint64_t *ids_of(const struct db_rows *rows, int row, int column, struct arena *mem, size_t *out_count)
{
	int64_t *ids = NULL;

	*out_count = db_i64s(rows, row, column, mem, &ids);
	return (uint64_t *)ids;
}

enum status people_read(struct db_conn *conn, struct arena *mem, const uint64_t *user_ids, size_t count,
	struct person_row **out_rows, size_t *out_count)
{
	static const struct db_stmt stmt = {"presence_people_read",
		"SELECT u.id, p.chosen, s.shown, s.last_seen_at_ms, p.status_text, p.status_emoji, p.status_expires_at_ms,"
		" p.clear_when_active FROM unnest($1::bigint[]) AS u(id)"
		" LEFT JOIN presence.people p ON p.user_id = u.id LEFT JOIN presence.seen s ON s.user_id = u.id"
		" WHERE p.user_id IS NOT NULL OR s.user_id IS NOT NULL"};
	struct db_params params;
	struct db_rows rows;
	struct person_row *out;
	enum status st;

	db_params_begin(&params, mem);
	db_put_ids(&params, user_ids, count);
	st = db_query(conn, mem, &stmt, &params, &rows);
	if (st != STATUS_OK)
		return st;
	out = ARENA_ARRAY(mem, (size_t)rows.count, struct person_row);
	for (int i = 0; i < rows.count; i++) {
		out[i].user_id = db_id(&rows, i, 0);
		out[i].chosen = state_of(db_i64(&rows, i, 1), PRESENCE_ONLINE);
		out[i].announced = state_of(db_i64(&rows, i, 2), PRESENCE_OFFLINE);
		out[i].last_seen_at_ms = db_i64(&rows, i, 3);
		out[i].status.text = db_text(&rows, i, 4);
		out[i].status.emoji = db_text(&rows, i, 5);
		out[i].status.expires_at_ms = db_i64(&rows, i, 6);
		out[i].status.clear_when_active = db_bool(&rows, i, 7);
	}
	*out_rows = out;
	*out_count = (size_t)rows.count;
	return STATUS_OK;
}

enum status people_remember(struct db_conn *conn, struct arena *mem, const struct person_seen *seen, size_t count)
{
	static const struct db_stmt stmt = {"presence_people_remember",
		"INSERT INTO presence.seen AS s (user_id, shown, last_seen_at_ms)"
		" SELECT u, n, nullif(l, 0) FROM unnest($1::bigint[], $2::smallint[], $3::bigint[]) AS t(u, n, l) ORDER BY u"
		" ON CONFLICT (user_id) DO UPDATE SET shown = excluded.shown,"
		" last_seen_at_ms = coalesce(excluded.last_seen_at_ms, s.last_seen_at_ms)"};
	struct db_params params;
	uint64_t *ids = ARENA_ARRAY(mem, count, uint64_t);
	int16_t *shown = ARENA_ARRAY(mem, count, int16_t);
	int64_t *last = ARENA_ARRAY(mem, count, int64_t);

	for (size_t i = 0; i < count; i++) {
		ids[i] = seen[i].user_id;
		shown[i] = (int16_t)seen[i].shown;
		last[i] = seen[i].last_seen_at_ms;
	}
	db_params_begin(&params, mem);
	db_put_ids(&params, ids, count);
	db_put_i16s(&params, shown, count);
	db_put_i64s(&params, last, count);
	return db_query(conn, mem, &stmt, &params, NULL);
}

enum status people_present(struct db_conn *conn, struct arena *mem, uint64_t after, int limit, uint64_t **out_ids,
	size_t *out_count)
{
	static const struct db_stmt stmt = {"presence_people_present",
		"SELECT user_id FROM presence.seen WHERE shown <> 5 AND user_id > $1 ORDER BY user_id LIMIT $2"};
	struct db_params params;
	struct db_rows rows;
	enum status st;

	db_params_begin(&params, mem);
	db_put_id(&params, after);
	db_put_i32(&params, limit);
	st = db_query(conn, mem, &stmt, &params, &rows);
	if (st != STATUS_OK)
		return st;
	*out_ids = ARENA_ARRAY(mem, (size_t)rows.count, uint64_t);
	for (int i = 0; i < rows.count; i++)
		(*out_ids)[i] = db_id(&rows, i, 0);
	*out_count = (size_t)rows.count;
	return STATUS_OK;
}

enum status people_hide(struct db_conn *conn, struct arena *mem, const uint64_t *user_ids, size_t count)
{
	/* Locked in order, as people_remember locks them. */
	static const struct db_stmt stmt = {"presence_people_hide",
		"UPDATE presence.seen s SET shown = 5 FROM (SELECT user_id FROM presence.seen"
		" WHERE user_id = ANY ($1::bigint[]) ORDER BY user_id FOR UPDATE) AS l WHERE s.user_id = l.user_id"};
	struct db_params params;

	db_params_begin(&params, mem);
	db_put_ids(&params, user_ids, count);
	return db_query(conn, mem, &stmt, &params, NULL);
}

/* The same statement alone and in the committer's transaction. */
static const struct db_stmt choose_stmt = {"presence_people_choose",
	"INSERT INTO presence.people (user_id, chosen) VALUES ($1, $2)"
	" ON CONFLICT (user_id) DO UPDATE SET chosen = excluded.chosen"};

static void choose_params(struct db_params *params, struct arena *mem, uint64_t user_id, enum presence_state chosen)
{
	db_params_begin(params, mem);
	db_put_id(params, user_id);
	db_put_i16(params, (int16_t)chosen);
}

enum status people_choose(struct db_conn *conn, struct arena *mem, uint64_t user_id, enum presence_state chosen)
{
	struct db_params params;

	choose_params(&params, mem, user_id, chosen);
	return db_query(conn, mem, &choose_stmt, &params, NULL);
}

enum status people_write_chosen(struct log_tx *tx, uint64_t user_id, enum presence_state chosen)
{
	struct db_params params;

	choose_params(&params, log_tx_mem(tx), user_id, chosen);
	return log_tx_query(tx, &choose_stmt, &params, NULL);
}

enum status people_forget(struct db_conn *conn, struct arena *mem, uint64_t user_id)
{
	static const struct db_stmt person = {"presence_people_forget", "DELETE FROM presence.people WHERE user_id = $1"};
	static const struct db_stmt seen = {"presence_seen_forget", "DELETE FROM presence.seen WHERE user_id = $1"};
	struct db_params params;
	enum status st;

	db_params_begin(&params, mem);
	db_put_id(&params, user_id);
	st = db_query(conn, mem, &person, &params, NULL);
	if (st == STATUS_OK)
		st = db_query(conn, mem, &seen, &params, NULL);
	return st;
}

static enum status due_query(struct db_conn *conn, struct arena *mem, const struct db_stmt *stmt,
	const struct db_params *params, struct person_due **out_due, size_t *out_count)
{
	struct db_rows rows;
	enum status st = db_query(conn, mem, stmt, params, &rows);

	if (st != STATUS_OK)
		return st;
	*out_due = ARENA_ARRAY(mem, (size_t)rows.count, struct person_due);
	for (int i = 0; i < rows.count; i++) {
		(*out_due)[i].user_id = db_id(&rows, i, 0);
		(*out_due)[i].team_ids = ids_of(&rows, i, 1, mem, &(*out_due)[i].team_count);
	}
	*out_count = (size_t)rows.count;
	return STATUS_OK;
}

enum status people_expired(struct db_conn *conn, struct arena *mem, int64_t now_ms, int limit, struct person_due **out_due,
	size_t *out_count)
{
	static const struct db_stmt stmt = {"presence_people_expired",
		"SELECT user_id, status_team_ids FROM presence.people WHERE status_expires_at_ms <= $1"
		" ORDER BY status_expires_at_ms LIMIT $2"};
	struct db_params params;

	db_params_begin(&params, mem);
	db_put_i64(&params, now_ms);
	db_put_i32(&params, limit);
	return due_query(conn, mem, &stmt, &params, out_due, out_count);
}

#define ENDS_WITH_AN_ACT "p.clear_when_active AND (p.status_text IS NOT NULL OR p.status_emoji IS NOT NULL)"
#define MOMENT(ms)       "timestamptz 'epoch' + " ms " * interval '1 millisecond'"

enum status people_clear_when_active(struct db_conn *conn, struct arena *mem, const struct person_act *acts, size_t count,
	struct person_due **out_due, size_t *out_count)
{
	static const struct db_stmt stmt = {"presence_people_active",
		"SELECT p.user_id, p.status_team_ids FROM (SELECT q.id, max(q.at_ms) AS at_ms"
		" FROM unnest($1::bigint[], $2::bigint[]) AS q(id, at_ms) GROUP BY q.id) a"
		" JOIN presence.people p ON p.user_id = a.id WHERE p.status_since <= " MOMENT("a.at_ms") " AND " ENDS_WITH_AN_ACT};
	uint64_t *ids = ARENA_ARRAY(mem, count, uint64_t), *at_ms = ARENA_ARRAY(mem, count, uint64_t);
	struct db_params params;

	for (size_t i = 0; i < count; i++) {
		ids[i] = acts[i].user_id;
		at_ms[i] = (uint64_t)acts[i].at_ms;
	}
	db_params_begin(&params, mem);
	db_put_ids(&params, ids, count);
	db_put_ids(&params, at_ms, count);
	return due_query(conn, mem, &stmt, &params, out_due, out_count);
}

enum status people_acted(struct db_conn *conn, struct arena *mem, int64_t after_ms, int limit, struct person_due **out_due,
	size_t *out_count)
{
	static const struct db_stmt stmt = {"presence_people_acted",
		"SELECT p.user_id, p.status_team_ids FROM presence.people p WHERE " ENDS_WITH_AN_ACT
		" AND EXISTS (SELECT FROM log.requests r WHERE r.actor = p.user_id AND r.created_at > p.status_since"
		" AND r.created_at > " MOMENT("$1::bigint") ") LIMIT $2"};
	struct db_params params;

	db_params_begin(&params, mem);
	db_put_i64(&params, after_ms);
	db_put_i32(&params, limit);
	return due_query(conn, mem, &stmt, &params, out_due, out_count);
}

enum status people_pending(struct db_conn *conn, struct arena *mem, int limit, struct person_due **out_due,
	size_t *out_count)
{
	static const struct db_stmt stmt = {"presence_people_pending",
		"SELECT user_id, status_pending FROM presence.people WHERE status_pending <> '{}' ORDER BY user_id LIMIT $1"};
	struct db_params params;

	db_params_begin(&params, mem);
	db_put_i32(&params, limit);
	return due_query(conn, mem, &stmt, &params, out_due, out_count);
}

enum status people_lock(struct log_tx *tx, uint64_t user_id, struct person_locked *out)
{
	static const struct db_stmt stmt = {"presence_people_lock",
		"SELECT status_text, status_emoji, status_expires_at_ms, clear_when_active, status_event_id, status_team_ids,"
		" status_pending, view FROM presence.people WHERE user_id = $1 FOR UPDATE"};
	struct arena *mem = log_tx_mem(tx);
	struct db_params params;
	struct db_rows rows;
	enum status st;

	*out = (struct person_locked){0};
	db_params_begin(&params, mem);
	db_put_id(&params, user_id);
	st = log_tx_query(tx, &stmt, &params, &rows);
	if (st != STATUS_OK || rows.count == 0)
		return st;
	out->exists = true;
	out->status.text = db_text(&rows, 0, 0);
	out->status.emoji = db_text(&rows, 0, 1);
	out->status.expires_at_ms = db_i64(&rows, 0, 2);
	out->status.clear_when_active = db_bool(&rows, 0, 3);
	out->event_id = db_id(&rows, 0, 4);
	out->team_ids = ids_of(&rows, 0, 5, mem, &out->team_count);
	out->pending = ids_of(&rows, 0, 6, mem, &out->pending_count);
	out->view = db_is_null(&rows, 0, 7) ? NULL : db_bytea(&rows, 0, 7, &out->view_length);
	return STATUS_OK;
}

enum status people_write_status(struct log_tx *tx, const struct person_write *row)
{
	static const struct db_stmt stmt = {"presence_people_status",
		"INSERT INTO presence.people (user_id, status_text, status_emoji, status_expires_at_ms, clear_when_active,"
		" status_event_id, status_team_ids, status_pending, view, status_since)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, " MOMENT("($10::bigint + 1)") ")" /* the request that sets it is before it */
		" ON CONFLICT (user_id) DO UPDATE SET status_text = excluded.status_text, status_emoji = excluded.status_emoji,"
		" status_expires_at_ms = excluded.status_expires_at_ms, clear_when_active = excluded.clear_when_active,"
		" status_event_id = excluded.status_event_id, status_team_ids = excluded.status_team_ids,"
		" status_pending = excluded.status_pending, view = excluded.view, status_since = excluded.status_since"};
	struct db_params params;

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, row->user_id);
	db_put_text(&params, row->status.text);
	db_put_text(&params, row->status.emoji);
	db_put_id_or_null(&params, (uint64_t)row->status.expires_at_ms);
	db_put_bool(&params, row->status.clear_when_active);
	db_put_id(&params, row->event_id);
	db_put_ids(&params, row->team_ids, row->team_count);
	db_put_ids(&params, row->pending, row->pending_count);
	db_put_bytea(&params, row->view, row->view_length);
	db_put_i64(&params, log_tx_now_ms(tx));
	return log_tx_query(tx, &stmt, &params, NULL);
}

enum status people_write_pending(struct log_tx *tx, uint64_t user_id, const uint64_t *pending, size_t count)
{
	static const struct db_stmt stmt = {"presence_people_pending_set",
		"UPDATE presence.people SET status_pending = $2 WHERE user_id = $1"};
	struct db_params params;

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, user_id);
	db_put_ids(&params, pending, count);
	return log_tx_query(tx, &stmt, &params, NULL);
}
