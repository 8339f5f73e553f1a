#include "common/db/log.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/db/generation.h"
#include "common/rpc/rpc.h"

#define FETCH_MOST       1000
#define FETCH_BYTES_MOST 2097152 /* of payload in one answer: a call's message must stay below 4 MiB */

/* ---- generation */

static const struct db_stmt generation_stmt = {"log_generation", "SELECT " GENERATION_SQL};

enum status log_generation(struct db_conn *conn, struct arena *mem, const char **out_generation)
{
	struct db_rows rows = {0};

	enum status st = db_query(conn, mem, &generation_stmt, NULL, &rows);
	if (st == STATUS_OK)
		*out_generation = db_text(&rows, 0, 0);
	return st;
}

/* The counter is at least the seconds since 2024: the same backup, restored twice, must not begin the same generation twice. */
static const struct db_stmt renew_stmt = {"log_renew",
	"UPDATE log.meta SET generation_counter = greatest(generation_counter + 1,"
	" floor(extract(epoch FROM clock_timestamp() - timestamptz '2024-01-01 00:00:00+00'))::int)"};
static const struct db_stmt end_sessions_stmt = {"log_end_sessions",
	"SELECT count(*) FILTER (WHERE ended)::bigint FROM (SELECT pg_terminate_backend(pid) AS ended FROM pg_stat_activity"
	" WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"
	" AND backend_type = 'client backend') s"};

enum status log_renew_generation(struct db_conn *conn, struct arena *mem, struct log_renewed *out)
{
	struct db_rows rows = {0};
	enum status st = log_generation(conn, mem, &out->before);

	if (st == STATUS_OK)
		st = db_query(conn, mem, &renew_stmt, NULL, &rows);
	if (st == STATUS_OK && rows.affected != 1)
		st = STATUS_INTERNAL;
	if (st == STATUS_OK)
		st = log_generation(conn, mem, &out->after);
	if (st == STATUS_OK)
		st = db_query(conn, mem, &end_sessions_stmt, NULL, &rows);
	if (st == STATUS_OK)
		out->sessions = db_i64(&rows, 0, 0);
	return st;
}

/* ---- fetch */

/* Head and rows from one snapshot; one probe per leaf, merged in order of seq. Always at least one row, of NULL events
 * when there are none. A subquery that depends on no row runs once: the generation reads the control file. */
static const struct db_stmt fetch_stmt = {"log_fetch",
	"SELECT coalesce((SELECT s.seq FROM log.streams s WHERE s.rank = $1 AND s.id = $2), 0), (SELECT " GENERATION_SQL
	"), pg_is_in_recovery(), e.seq, e.kind, e.audience, floor(extract(epoch FROM e.created_at) * 1000)::int8, e.actor,"
	" e.request_id, e.payload"
	" FROM (SELECT) one LEFT JOIN LATERAL (SELECT * FROM log.events v"
	" WHERE v.rank = $1 AND v.id = $2 AND v.seq > $3 ORDER BY v.seq LIMIT $4) e ON true ORDER BY e.seq"};

enum fetch_column {
	FETCH_HEAD,
	FETCH_GENERATION,
	FETCH_STANDBY,
	FETCH_SEQ,
	FETCH_KIND,
	FETCH_AUDIENCE,
	FETCH_AT,
	FETCH_ACTOR,
	FETCH_REQUEST,
	FETCH_PAYLOAD
};

static pb_bytes_array_t *bytes_of(struct arena *mem, const struct db_rows *rows, int row, int column)
{
	size_t length;
	const uint8_t *bytes = db_bytea(rows, row, column, &length);

	return bytes != NULL ? pb_bytes_from(mem, bytes, length) : NULL;
}

static void event_of_row(struct arena *mem, const pb_FetchEventsRequest *rq, const struct db_rows *rows,
	int row, pb_LoggedEvent *out)
{
	*out = (pb_LoggedEvent){
		.rank = rq->rank,
		.stream_id = rq->stream_id,
		.seq = db_id(rows, row, FETCH_SEQ),
		.kind = (uint32_t)db_i64(rows, row, FETCH_KIND),
		.audience = arena_strdup(mem, db_text(rows, row, FETCH_AUDIENCE)),
		.at_ms = (uint64_t)db_i64(rows, row, FETCH_AT),
		.actor_id = db_id(rows, row, FETCH_ACTOR),
		.request_id = bytes_of(mem, rows, row, FETCH_REQUEST),
		.payload = bytes_of(mem, rows, row, FETCH_PAYLOAD),
	};
}

/* The rows that follow `after` without a hole, as many as fit. */
static void take_rows(struct arena *mem, const pb_FetchEventsRequest *rq, const struct db_rows *rows,
	pb_FetchEventsReply *out)
{
	size_t bytes = 0;

	out->events = ARENA_ARRAY(mem, (size_t)rows->count, pb_LoggedEvent);
	for (int row = 0; row < rows->count; row++) {
		size_t length;
		db_bytea(rows, row, FETCH_PAYLOAD, &length);
		if (db_is_null(rows, row, FETCH_SEQ) ||
			db_id(rows, row, FETCH_SEQ) != rq->after + 1 + (uint64_t)row)
			return;
		if (row > 0 && bytes + length > FETCH_BYTES_MOST)
			return;
		bytes += length;
		event_of_row(mem, rq, rows, row, &out->events[out->events_count++]);
	}
}

enum status log_fetch(
	struct db_conn *conn, struct arena *mem, const pb_FetchEventsRequest *rq, pb_FetchEventsReply *out)
{
	struct db_params p;
	struct db_rows rows = {0};
	uint32_t limit = rq->limit > 0 && rq->limit < FETCH_MOST ? rq->limit : FETCH_MOST;

	*out = (pb_FetchEventsReply){0};
	if (rq->rank > INT16_MAX || rq->after > INT64_MAX || rq->stream_id > INT64_MAX)
		return STATUS_NOT_FOUND;
	db_params_begin(&p, mem);
	db_put_i16(&p, (int16_t)rq->rank);
	db_put_id(&p, rq->stream_id);
	db_put_i64(&p, (int64_t)rq->after);
	db_put_i64(&p, limit);
	enum status st = db_query(conn, mem, &fetch_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	out->head = db_id(&rows, 0, FETCH_HEAD);
	out->generation = arena_strdup(mem, db_text(&rows, 0, FETCH_GENERATION));
	bool standby = db_bool(&rows, 0, FETCH_STANDBY);
	if (rq->generation != NULL && rq->generation[0] != '\0' &&
		strcmp(rq->generation, out->generation) != 0) {
		out->gone = true;
		return STATUS_OK;
	}
	/* A standby that has not got there yet knows nothing: neither that the range is gone nor that there is no more. */
	if (standby && (out->head < rq->after || out->head < rq->expect_head))
		return STATUS_BUSY;
	take_rows(mem, rq, &rows, out);
	out->gone = out->head != rq->after && out->events_count == 0;
	return STATUS_OK;
}

/* ---- heads */

enum status log_heads(
	struct db_conn *conn, struct arena *mem, const pb_StreamHeadsRequest *rq, pb_StreamHeadsReply *out)
{
	static const struct db_stmt heads_stmt = {"log_heads",
		"SELECT (SELECT " GENERATION_SQL "), q.n::int4,"
		" coalesce((SELECT s.seq FROM log.streams s WHERE s.rank = q.rank AND s.id = q.id), 0) FROM (SELECT) one"
		" LEFT JOIN unnest($1::int2[], $2::int8[]) WITH ORDINALITY AS q(rank, id, n) ON true ORDER BY q.n"};
	struct db_params p;
	struct db_rows rows = {0};
	int16_t *ranks = ARENA_ARRAY(mem, rq->streams_count, int16_t);
	uint64_t *ids = ARENA_ARRAY(mem, rq->streams_count, uint64_t);

	*out = (pb_StreamHeadsReply){0};
	for (size_t i = 0; i < rq->streams_count; i++) {
		ranks[i] = rq->streams[i].rank <= INT16_MAX ? (int16_t)rq->streams[i].rank : 0;
		ids[i] = rq->streams[i].stream_id;
	}
	db_params_begin(&p, mem);
	db_put_i16s(&p, ranks, rq->streams_count);
	db_put_ids(&p, ids, rq->streams_count);
	enum status st = db_query(conn, mem, &heads_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	out->generation = arena_strdup(mem, db_text(&rows, 0, 0));
	out->heads = ARENA_ARRAY(mem, (size_t)rows.count, pb_StreamHead);
	/* One row per stream, in order; a single row without one when none was asked for. */
	for (int row = 0; row < rows.count && !db_is_null(&rows, row, 1); row++) {
		const pb_StreamHead *asked = &rq->streams[row];
		out->heads[out->heads_count++] =
			(pb_StreamHead){asked->rank, asked->stream_id, db_id(&rows, row, 2)};
	}
	return STATUS_OK;
}

/* ---- watermark */

/* A stream's time is taken before the COMMIT of what moved it, and a transaction may last 5 s: the window must be longer. Always at
 * least one row, of NULLs beside the generation when nothing moved. */
enum status log_watermark(struct db_conn *conn, struct arena *mem, bool whole, const char **out_generation,
	struct logged_event **out_heads, size_t *out_count)
{
	static const struct db_stmt watermark_stmt = {"log_watermark",
		"SELECT (SELECT " GENERATION_SQL "), s.rank, s.id, s.seq FROM (SELECT) one LEFT JOIN log.streams s"
		" ON s.moved_s >= floor(extract(epoch FROM statement_timestamp()))::bigint - CASE WHEN $1 THEN 10 ELSE 3 END"
		" AND s.seq > 0"};
	/* A plan made while there were few streams would scan them when there are many. */
	static const struct db_stmt by_index_stmt = {
		"log_by_index", "SELECT set_config('enable_seqscan', 'off', true)"};
	struct db_params p;
	struct db_rows rows = {0};
	size_t count = 0;

	db_params_begin(&p, mem);
	db_put_bool(&p, whole);
	enum status st = db_begin(conn);
	if (st == STATUS_OK)
		st = db_query(conn, mem, &by_index_stmt, NULL, NULL);
	if (st == STATUS_OK)
		st = db_query(conn, mem, &watermark_stmt, &p, &rows);
	if (st == STATUS_OK)
		st = db_commit(conn);
	else
		db_rollback(conn);
	if (st != STATUS_OK)
		return st;
	struct logged_event *heads = ARENA_ARRAY(mem, (size_t)rows.count, struct logged_event);
	for (int row = 0; row < rows.count && !db_is_null(&rows, row, 1); row++) {
		heads[row].stream = (struct stream){(uint32_t)db_i64(&rows, row, 1), db_id(&rows, row, 2)};
		heads[row].seq = db_id(&rows, row, 3);
		count++;
	}
	*out_generation = db_text(&rows, 0, 0);
	*out_heads = heads;
	*out_count = count;
	return STATUS_OK;
}

/* ---- the calls that every owner answers */

void log_serve_fetch_events(
	struct db *db, struct rpc_call *call, const pb_FetchEventsRequest *rq, pb_FetchEventsReply *reply)
{
	struct db_conn *conn = NULL;

	enum status st = db_acquire(db, call->deadline_mono_ms, &conn);
	if (st == STATUS_OK)
		st = log_fetch(conn, call->mem, rq, reply);
	db_release(conn);
	if (st == STATUS_OK)
		rpc_finish(call);
	else
		rpc_fail(call, st, NULL, NULL, NULL);
}

void log_serve_stream_heads(
	struct db *db, struct rpc_call *call, const pb_StreamHeadsRequest *rq, pb_StreamHeadsReply *reply)
{
	struct db_conn *conn = NULL;

	enum status st = db_acquire(db, call->deadline_mono_ms, &conn);
	if (st == STATUS_OK)
		st = log_heads(conn, call->mem, rq, reply);
	db_release(conn);
	if (st == STATUS_OK)
		rpc_finish(call);
	else
		rpc_fail(call, st, NULL, NULL, NULL);
}
