/*
 * step_lane_facts - see step_lane_parts.h: the lock of all streams and the facts of all ops in one round trip, and what they say of an op.
 */
#include <string.h>

#include "common/base/clock.h"
#include "common/db/step_lane_parts.h"
#include "common/ops/ops.h"

static const struct db_stmt begin_stmt = {"commit_begin", "BEGIN"};

/* The streams come in order of (rank, id), and are locked one by one as they come. Everywhere here: LATERAL with OFFSET 0, or
 * FOR UPDATE in it, leaves the planner nothing but a probe of the primary key, whatever the tables' sizes were when the plan
 * was made. */
#define LOCK_SQL(how)                                                                                         \
	"SELECT l.* FROM unnest($1::int2[], $2::int8[]) AS w(rank, id) CROSS JOIN LATERAL (SELECT s.rank, "   \
	"s.id, s.seq, s.authz_epoch, (extract(epoch FROM s.updated_at) * 1000000)::int8 FROM log.streams s "  \
	"WHERE s.rank = w.rank AND s.id = w.id FOR NO KEY UPDATE " how ") l"
static const struct db_stmt lock_stmt = {"commit_lock", LOCK_SQL("SKIP LOCKED")};
static const struct db_stmt lock_waiting_stmt = {"commit_lock_waiting", LOCK_SQL("")};

/* A stream without a row has a NULL epoch, a member without one the epoch 0. */
static const struct db_stmt facts_stmt = {"commit_facts",
	"SELECT (SELECT s.authz_epoch FROM log.streams s WHERE s.rank = q.rank AND s.id = q.id),"
	" CASE WHEN q.member <> 0 THEN coalesce((SELECT m.epoch FROM moderation.member_epochs m"
	" WHERE m.rank = q.rank AND m.stream_id = q.id AND m.user_id = q.member), 0) ELSE 0 END,"
	" (extract(epoch FROM clock_timestamp()) * 1000000)::int8"
	" FROM unnest($1::int2[], $2::int8[], $3::int8[]) WITH ORDINALITY AS q(rank, id, member, n) ORDER BY q.n"};
static const struct db_stmt requests_stmt = {"commit_requests",
	"SELECT q.i, r.body_hash, r.reply, coalesce(r.object_id, 0)"
	" FROM unnest($1::int4[], $2::int8[], $3::bytea[]) AS q(i, actor, request_id)"
	" CROSS JOIN LATERAL (SELECT * FROM log.requests r WHERE r.actor = q.actor AND r.request_id = q.request_id"
	" OFFSET 0) r"};

/* ---- beginning: lock and facts in one round trip */

static size_t facts_needed(const struct commit_op *op)
{
	return op->stream_count + op->check_count + (op->check_actor ? 1 : 0);
}

/* Appends the entries of op; order: facts_judge reads them back. */
static size_t facts_ask(const struct commit_op *op, int16_t *ranks, uint64_t *ids, uint64_t *members)
{
	size_t n = 0;

	for (size_t i = 0; i < op->stream_count; i++, n++) {
		ranks[n] = (int16_t)op->streams[i].rank;
		ids[n] = op->streams[i].id;
		members[n] = 0;
	}
	for (size_t i = 0; i < op->check_count; i++, n++) {
		ranks[n] = (int16_t)op->checks[i].stream.rank;
		ids[n] = op->checks[i].stream.id;
		members[n] = op->checks[i].user_id;
	}
	if (op->check_actor) {
		ranks[n] = RANK_USER;
		ids[n] = op->actor_id;
		members[n++] = 0;
	}
	return n;
}

static void facts_params(struct lane *lane, struct commit_op *const *ops, size_t count, struct facts *facts,
	struct db_params *p)
{
	size_t room = 0, n = 0;

	for (size_t i = 0; i < count; i++)
		room += facts_needed(ops[i]);
	int16_t *ranks = ARENA_ARRAY(lane->mem, room, int16_t);
	uint64_t *ids = ARENA_ARRAY(lane->mem, room, uint64_t),
		 *members = ARENA_ARRAY(lane->mem, room, uint64_t);
	for (size_t i = 0; i < count; i++) {
		facts[i].first = n;
		facts[i].count = facts_ask(ops[i], ranks + n, ids + n, members + n);
		n += facts[i].count;
	}
	db_params_begin(p, lane->mem);
	db_put_i16s(p, ranks, n);
	db_put_ids(p, ids, n);
	db_put_ids(p, members, n);
}

static void requests_params(struct lane *lane, struct db_params *p)
{
	int32_t *indexes = ARENA_ARRAY(lane->mem, lane->count, int32_t);
	uint64_t *actors = ARENA_ARRAY(lane->mem, lane->count, uint64_t);
	const void **request_ids = ARENA_ARRAY(lane->mem, lane->count, const void *);
	size_t *lengths = ARENA_ARRAY(lane->mem, lane->count, size_t);

	for (size_t i = 0; i < lane->count; i++) {
		indexes[i] = (int32_t)i;
		actors[i] = lane->ops[i]->actor_id;
		request_ids[i] = op_request_id(lane->ops[i], &lengths[i]);
	}
	db_params_begin(p, lane->mem);
	db_put_i32s(p, indexes, lane->count);
	db_put_ids(p, actors, lane->count);
	db_put_byteas(p, request_ids, lengths, lane->count);
}

static void locked_streams(
	struct lane *lane, const struct stream *streams, size_t count, const struct db_rows *rows)
{
	struct log_tx *tx = &lane->tx;
	int row = 0;

	tx->streams = ARENA_ARRAY(lane->mem, count, struct tx_stream);
	tx->stream_count = tx->locked_count = tx->stream_room = count;
	/* Both are in the same order. */
	for (size_t i = 0; i < count; i++) {
		struct tx_stream *t = &tx->streams[i];
		t->s = streams[i];
		if (row >= rows->count || db_id(rows, row, 1) != t->s.id || db_i64(rows, row, 0) != t->s.rank)
			continue;
		t->locked = true;
		t->seq = db_id(rows, row, 2);
		t->epoch = db_id(rows, row, 3);
		t->updated_us = db_i64(rows, row, 4);
		row++;
	}
}

enum status lane_begin(struct lane *lane)
{
	struct stream *streams;
	size_t count = lane_streams(lane->mem, lane->ops, lane->count, &streams);
	int16_t *ranks = ARENA_ARRAY(lane->mem, count, int16_t);
	uint64_t *ids = ARENA_ARRAY(lane->mem, count, uint64_t);
	struct db_params lock, facts, requests;
	struct db_rows locked = {0};

	for (size_t i = 0; i < count; i++) {
		ranks[i] = (int16_t)streams[i].rank;
		ids[i] = streams[i].id;
	}
	db_params_begin(&lock, lane->mem);
	db_put_i16s(&lock, ranks, count);
	db_put_ids(&lock, ids, count);
	facts_params(lane, lane->ops, lane->count, lane->facts, &facts);
	requests_params(lane, &requests);
	struct conn_step steps[] = {
		{.stmt = &begin_stmt},
		{.stmt = lane->w->patient ? &lock_waiting_stmt : &lock_stmt, .params = &lock},
		{.stmt = &facts_stmt, .params = &facts},
		{.stmt = &requests_stmt, .params = &requests},
	};
	enum status st = conn_run(lane->w->conn, steps, 4);
	if (st == STATUS_OK) {
		conn_step_rows(&steps[1], lane->mem, &locked);
		conn_step_rows(&steps[2], lane->mem, &lane->epochs);
		conn_step_rows(&steps[3], lane->mem, &lane->requests);
		locked_streams(lane, streams, count, &locked);
		if (lane->epochs.count > 0)
			lane->tx.now_us = db_i64(&lane->epochs, 0, 2);
		else /* no op names a stream or an actor */
			lane->tx.now_us = clock_wall_ms() * 1000;
	}
	conn_steps_clear(steps, 4);
	return st;
}

/* ---- judging one op */

static bool facts_stale(const struct writer *w, const struct commit_op *op, const struct db_rows *rows,
	const struct facts *at, struct commit_result *result)
{
	int row = (int)(at->first + op->stream_count);

	if (op_actor_elsewhere(w, op) ||
		(op->check_actor && db_id(rows, row + (int)op->check_count, 0) != op->actor_epoch)) {
		result->status = STATUS_STALE;
		result->why = "session";
		return true;
	}
	if (op_rights_elsewhere(w, op)) {
		result->status = STATUS_STALE;
		return true;
	}
	for (size_t i = 0; i < op->check_count; i++, row++) {
		const struct commit_check *check = &op->checks[i];
		if ((check->check_stream && db_id(rows, row, 0) != check->stream_epoch) ||
			(check->user_id != 0 && db_id(rows, row, 1) != check->member_epoch)) {
			result->status = STATUS_STALE;
			return true;
		}
	}
	return false;
}

bool lane_stale(struct lane *lane, size_t index, struct commit_result *result)
{
	return facts_stale(lane->w, lane->ops[index], &lane->epochs, &lane->facts[index], result);
}

bool lane_answered_before(struct lane *lane, size_t index, struct commit_result *result)
{
	const struct commit_op *op = lane->ops[index];
	const struct db_rows *rows = &lane->requests;
	size_t length;

	for (int row = 0; row < rows->count; row++) {
		if ((size_t)db_i64(rows, row, 0) != index)
			continue;
		const uint8_t *hash = db_bytea(rows, row, 1, &length);
		bool same = hash == NULL || op->body_hash == NULL
				    ? hash == op->body_hash
				    : length == 32 && memcmp(hash, op->body_hash, 32) == 0;
		if (!same) {
			*result = (struct commit_result){.status = STATUS_FIELD_INVALID,
				.why = "other_body",
				.field = "Idempotency-Key"};
			return true;
		}
		*result = (struct commit_result){
			.status = STATUS_OK, .replayed = true, .object_id = db_id(rows, row, 3)};
		result->reply = db_bytea(rows, row, 2, &result->reply_length);
		return true;
	}
	return false;
}

bool lane_streams_missing(struct lane *lane, size_t index)
{
	struct commit_op *op = lane->ops[index];
	bool skipped = false;

	for (size_t i = 0; i < op->stream_count; i++) {
		if (log_tx_find(&lane->tx, op->streams[i])->locked)
			continue;
		if (db_is_null(&lane->epochs, (int)(lane->facts[index].first + i), 0)) {
			op_settle(lane->w, op, STATUS_NOT_FOUND)->why = "stream";
			return true;
		}
		skipped = true;
	}
	if (skipped) {
		op->skips++;
		metric_add(commit_skipped, 1);
	}
	return skipped;
}

static bool names_stream(const struct commit_op *op, struct stream s)
{
	for (size_t i = 0; i < op->stream_count; i++)
		if (stream_compare(op->streams[i], s) == 0)
			return true;
	return false;
}

/* An op written before this one in the same transaction may have changed what this one is judged by. */
static bool facts_outdated(const struct lane *lane, size_t index)
{
	const struct commit_op *op = lane->ops[index];

	for (size_t i = 0; i < index; i++) {
		if (!lane->written[i] || lane->ops[i]->keeps_rights)
			continue;
		for (size_t k = 0; k < op->check_count; k++)
			if (names_stream(lane->ops[i], op->checks[k].stream))
				return true;
		if (op->check_actor && names_stream(lane->ops[i], STREAM_USER(op->actor_id)))
			return true;
	}
	return false;
}

bool lane_stale_by_now(
	struct lane *lane, size_t index, struct commit_result *result, enum status *out_failed)
{
	struct commit_op *op = lane->ops[index];
	struct db_params p;
	struct db_rows rows = {0};
	struct facts at;

	*out_failed = STATUS_OK;
	if (!facts_outdated(lane, index))
		return false;
	/* The stream epochs raised in this transaction reach the table only at its end: they are added here. */
	for (size_t k = 0; k < op->check_count; k++) {
		const struct tx_stream *t = log_tx_find(&lane->tx, op->checks[k].stream);
		if (op->checks[k].check_stream && t != NULL && t->raised > 0) {
			result->status = STATUS_STALE;
			return true;
		}
	}
	const struct tx_stream *actor =
		op->check_actor ? log_tx_find(&lane->tx, STREAM_USER(op->actor_id)) : NULL;
	if (actor != NULL && actor->raised > 0) {
		result->status = STATUS_STALE;
		result->why = "session";
		return true;
	}
	facts_params(lane, &op, 1, &at, &p);
	*out_failed = log_tx_query(&lane->tx, &facts_stmt, &p, &rows);
	return *out_failed == STATUS_OK && facts_stale(lane->w, op, &rows, &at, result);
}
