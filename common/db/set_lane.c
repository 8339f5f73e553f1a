/*
 * The set lane: two statements for many ops of one kind, with BEGIN and COMMIT in one pipeline. One round trip.
 */
#include <assert.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/db/writer.h"
#include "common/ops/ops.h"

static const struct db_stmt begin_stmt = {"commit_set_begin", "BEGIN"};
static const struct db_stmt commit_stmt = {"commit_set_commit", "COMMIT"};

/* The streams come in order of (rank, id), and are locked one by one as they come: no join but this one is possible.
 *
 * The work statement must know which streams it may touch, and the client would need a round trip to tell it: a setting of
 * the transaction carries the list across. */
#define LOCK_SQL(how)                                                                                         \
	"SELECT set_config('guildhall.locked', coalesce((SELECT string_agg(l.rank || ':' || l.id, ',') FROM " \
	"unnest($1::int2[], $2::int8[]) AS w(rank, id) CROSS JOIN LATERAL (SELECT s.rank, s.id FROM "         \
	"log.streams s WHERE s.rank = w.rank AND s.id = w.id FOR NO KEY UPDATE " how ") l), ''), true)"
static const struct db_stmt lock_stmt = {"commit_set_lock", LOCK_SQL("SKIP LOCKED")};
static const struct db_stmt lock_waiting_stmt = {"commit_set_lock_waiting", LOCK_SQL("")};

#define NO_EPOCH INT64_MAX /* no stream comes to it: stale, after the request id was looked up like any other */

enum { STEP_BEGIN, STEP_LOCK, STEP_WORK, STEP_COMMIT, STEP_COUNT };

/* ---- what every set shares (committer.h) */

void commit_set_params(struct commit_op *const *ops, size_t n, struct db_params *params)
{
	struct arena *mem = params->mem;
	int32_t *indexes = ARENA_ARRAY(mem, n, int32_t);
	int16_t *ranks = ARENA_ARRAY(mem, n, int16_t);
	uint64_t *ids = ARENA_ARRAY(mem, n, uint64_t), *members = ARENA_ARRAY(mem, n, uint64_t);
	uint64_t *member_epochs = ARENA_ARRAY(mem, n, uint64_t), *actors = ARENA_ARRAY(mem, n, uint64_t);
	int64_t *stream_epochs = ARENA_ARRAY(mem, n, int64_t), *actor_epochs = ARENA_ARRAY(mem, n, int64_t);
	const void **requests = ARENA_ARRAY(mem, n, const void *),
		   **hashes = ARENA_ARRAY(mem, n, const void *);
	size_t *request_lengths = ARENA_ARRAY(mem, n, size_t), *hash_lengths = ARENA_ARRAY(mem, n, size_t);

	assert(params->count == 0);
	for (size_t i = 0; i < n; i++) {
		const struct commit_op *op = ops[i];
		const struct commit_check *check = op->check_count > 0 ? &op->checks[0] : NULL;
		indexes[i] = (int32_t)i;
		ranks[i] = (int16_t)op->streams[0].rank;
		ids[i] = op->streams[0].id;
		assert(check == NULL || stream_compare(check->stream, op->streams[0]) == 0);
		stream_epochs[i] = check != NULL && check->check_stream ? (int64_t)check->stream_epoch : -1;
		if (op_state((struct commit_op *)op)->rights_elsewhere)
			stream_epochs[i] = NO_EPOCH;
		members[i] = check != NULL ? check->user_id : 0;
		member_epochs[i] = check != NULL ? check->member_epoch : 0;
		actors[i] = op->actor_id;
		actor_epochs[i] = op->check_actor ? (int64_t)op->actor_epoch : -1;
		if (op_state((struct commit_op *)op)->actor_elsewhere)
			actor_epochs[i] = NO_EPOCH;
		requests[i] = op_request_id(op, &request_lengths[i]);
		hashes[i] = op->body_hash;
		hash_lengths[i] = 32;
	}
	db_put_i32s(params, indexes, n);
	db_put_i16s(params, ranks, n);
	db_put_ids(params, ids, n);
	db_put_i64s(params, stream_epochs, n);
	db_put_ids(params, members, n);
	db_put_ids(params, member_epochs, n);
	db_put_ids(params, actors, n);
	db_put_i64s(params, actor_epochs, n);
	db_put_byteas(params, requests, request_lengths, n);
	db_put_byteas(params, hashes, hash_lengths, n);
	assert(params->count == COMMIT_SET_PARAMS);
}

enum commit_verdict commit_set_verdict(const struct commit_op *op, const struct db_rows *rows, int row,
	struct commit_result *result, struct logged_event *event)
{
	enum commit_verdict verdict = (enum commit_verdict)db_i64(rows, row, 1);

	*result = (struct commit_result){.status = STATUS_INTERNAL};
	if (verdict == COMMIT_FIT) {
		result->status = STATUS_OK;
		*event = (struct logged_event){
			.stream = op->streams[0],
			.seq = db_id(rows, row, 4),
			.at_ms = db_i64(rows, row, 5),
			.actor_id = op->actor_id,
		};
		event->request_id = op_request_id(op, &event->request_id_length);
	} else if (verdict == COMMIT_REPEATED) {
		result->status = STATUS_OK;
		result->replayed = true;
		result->reply = db_bytea(rows, row, 2, &result->reply_length);
		result->object_id = db_id(rows, row, 3);
	} else if (verdict == COMMIT_OTHER_BODY) {
		result->status = STATUS_FIELD_INVALID;
		result->why = "other_body";
		result->field = "Idempotency-Key";
	} else if (verdict == COMMIT_STALE_SESSION) {
		result->status = STATUS_STALE;
		result->why = "session";
	} else if (verdict == COMMIT_STALE_RIGHTS) {
		result->status = STATUS_STALE;
	}
	return verdict;
}

/* ---- one transaction */

static void lock_params(struct writer *w, struct commit_op *const *ops, size_t count, struct db_params *p)
{
	struct stream *streams;
	size_t n = lane_streams(w->mem, ops, count, &streams);
	int16_t *ranks = ARENA_ARRAY(w->mem, n, int16_t);
	uint64_t *ids = ARENA_ARRAY(w->mem, n, uint64_t);

	for (size_t i = 0; i < n; i++) {
		ranks[i] = (int16_t)streams[i].rank;
		ids[i] = streams[i].id;
	}
	db_params_begin(p, w->mem);
	db_put_i16s(p, ranks, n);
	db_put_ids(p, ids, n);
}

/* Results of a committed batch; its events, in the order of their seqs within each stream, are published. */
static void settle_rows(struct writer *w, const struct commit_set *set, struct commit_op **ops, size_t count,
	const struct db_rows *rows)
{
	struct logged_event *events = ARENA_ARRAY(w->mem, (size_t)rows->count, struct logged_event);
	size_t written = 0;

	for (int row = 0; row < rows->count; row++) {
		int64_t index = db_i64(rows, row, 0);
		if (index < 0 || (size_t)index >= count || op_state(ops[index])->settled) {
			log_error("set_row_unknown", LOG_STR("statement", set->stmt.name),
				LOG_I64("index", index));
			continue;
		}
		struct commit_op *op = ops[index];
		struct commit_result *result = op_settle(w, op, STATUS_INTERNAL);
		bool wrote = false;
		enum status st = set->decode(op, rows, row, w->mem, result, &events[written], &wrote);
		if (st != STATUS_OK)
			result->status = st;
		written += wrote;
	}
	metric_add(commit_batches, 1);
	metric_add(commit_ops, written);
	writer_publish(w, events, written);
}

/* Who had no row: its stream was not to be had. Who waited for it and has none: there is no such stream. */
static void settle_missing(struct writer *w, struct commit_op **ops, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (op_state(ops[i])->settled)
			continue;
		if (w->patient) {
			op_settle(w, ops[i], STATUS_NOT_FOUND)->why = "stream";
			continue;
		}
		ops[i]->skips++;
		metric_add(commit_skipped, 1);
	}
}

/* COMMIT was sent and nobody knows. What is found is answered as a repeat would be, from what was stored with it. */
static void lane_lost(struct writer *w, struct commit_op **ops, size_t count)
{
	struct lost_op *found = ARENA_ARRAY(w->mem, count, struct lost_op);
	struct logged_event *events = NULL;
	size_t event_count = 0;

	enum status st = lost_commit_find(w, ops, count, found);
	for (size_t i = 0; i < count; i++) {
		if (st != STATUS_OK) {
			op_settle(w, ops[i], STATUS_BUSY);
		} else if (found[i].found) {
			/* Only what carries another body may differ, and that one is judged again as if it came now. */
			*op_settle(w, ops[i], STATUS_OK) = (struct commit_result){.status = STATUS_OK,
				.replayed = true,
				.reply = found[i].reply,
				.reply_length = found[i].reply_length,
				.object_id = found[i].object_id};
		} else {
			op_state(ops[i])->losses++;
		}
	}
	if (st == STATUS_OK && lost_commit_events(w, ops, found, count, &events, &event_count) == STATUS_OK)
		writer_publish(w, events, event_count);
}

enum set_end { SET_DONE, SET_FAILED };

static enum set_end set_transaction(struct writer *w, const struct commit_set *set, struct commit_op **ops,
	size_t count, enum status *out_why)
{
	struct db_params lock, work;
	struct db_rows rows = {0};
	int64_t began_us = clock_mono_us();

	lock_params(w, ops, count, &lock);
	db_params_begin(&work, w->mem);
	for (size_t i = 0; i < count; i++) {
		op_state(ops[i])->actor_elsewhere = op_actor_elsewhere(w, ops[i]);
		op_state(ops[i])->rights_elsewhere = op_rights_elsewhere(w, ops[i]);
	}
	*out_why = set->encode(ops, count, &work);
	if (*out_why != STATUS_OK)
		return SET_FAILED;
	const struct db_stmt *stmt = set->choose != NULL ? set->choose(ops, count) : &set->stmt;
	struct conn_step steps[STEP_COUNT] = {
		[STEP_BEGIN] = {.stmt = &begin_stmt},
		[STEP_LOCK] = {.stmt = w->patient ? &lock_waiting_stmt : &lock_stmt, .params = &lock},
		[STEP_WORK] = {.stmt = stmt, .params = &work},
		[STEP_COMMIT] = {.stmt = &commit_stmt},
	};
	*out_why = conn_run(w->conn, steps, STEP_COUNT);
	enum set_end end = SET_DONE;
	if (*out_why == STATUS_OK && strcmp(PQcmdStatus(steps[STEP_COMMIT].result), "COMMIT") == 0) {
		metric_observe_us(&metrics.commit_seconds, clock_mono_us() - began_us);
		conn_step_rows(&steps[STEP_WORK], w->mem, &rows);
		settle_rows(w, set, ops, count, &rows);
		settle_missing(w, ops, count);
	} else {
		bool refused = steps[STEP_COMMIT].answered;
		for (int i = STEP_BEGIN; i < STEP_COMMIT; i++)
			refused = refused || (steps[i].answered && steps[i].status != STATUS_OK);
		if (!refused)
			lane_lost(w, ops, count);
		else
			end = SET_FAILED;
		if (*out_why == STATUS_OK)
			*out_why = STATUS_INTERNAL;
	}
	conn_steps_clear(steps, STEP_COUNT);
	return end;
}

/* Chosen to give way to another transaction: nothing is wrong with the batch, and the other is through by now. */
static bool gave_way(const struct writer *w)
{
	return !w->conn->broken &&
	       (strcmp(w->conn->sqlstate, "40P01") == 0 || strcmp(w->conn->sqlstate, "40001") == 0);
}

/* Halves until the op that breaks the statement is alone with it. */
static void run_halves(struct writer *w, const struct commit_set *set, struct commit_op **ops, size_t count)
{
	enum status why = STATUS_OK;

	if (w->conn == NULL || w->conn->broken)
		return; /* back to the queue */
	enum set_end end = set_transaction(w, set, ops, count, &why);
	if (end == SET_FAILED && why == STATUS_BUSY && gave_way(w)) {
		writer_rollback(w);
		if (!w->conn->broken)
			end = set_transaction(w, set, ops, count, &why);
	}
	if (end == SET_DONE)
		return;
	bool broken = w->conn->broken, leaves = writer_made_leaves(w);
	writer_rollback(w);
	if (broken) {
		for (size_t i = 0; i < count; i++)
			op_state(ops[i])->losses++;
		return;
	}
	if (count > 1 && (why != STATUS_BUSY || leaves)) {
		run_halves(w, set, ops, count / 2);
		run_halves(w, set, ops + count / 2, count - count / 2);
		return;
	}
	/* A request id that a copy of ours wrote in the same moment is found by the next try. */
	if (count == 1 && (why == STATUS_CONFLICT || leaves) && !op_state(ops[0])->tried_again) {
		op_state(ops[0])->tried_again = true;
		run_halves(w, set, ops, 1);
		return;
	}
	for (size_t i = 0; i < count; i++)
		op_settle(w, ops[i], why);
}

void set_lane_run(struct writer *w, const struct commit_set *set, struct commit_op **ops, size_t count)
{
	run_halves(w, set, ops, count);
}
