/*
 * The step lane: one transaction for all that wait. BEGIN, the lock of all streams and the facts of all ops cost one round
 * trip; each op then runs behind a savepoint; events, heads, request ids and COMMIT are the last round trip.
 */
#include <assert.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/db/log_tx.h"
#include "common/ops/ops.h"

static const struct db_stmt begin_stmt = {"commit_begin", "BEGIN"};
static const struct db_stmt commit_stmt = {"commit_commit", "COMMIT"};

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

static const struct db_stmt insert_events_stmt = {"commit_insert_events",
	"INSERT INTO log.events (rank, id, seq, kind, audience, payload, actor, request_id, created_at)"
	" SELECT rank, id, seq, kind, audience, payload, actor, request_id, timestamptz 'epoch' + us * interval '1 microsecond'"
	" FROM unnest($1::int2[], $2::int8[], $3::int8[], $4::int4[], $5::text[], $6::bytea[], $7::int8[], $8::bytea[],"
	" $9::int8[]) AS e(rank, id, seq, kind, audience, payload, actor, request_id, us)"};
static const struct db_stmt update_streams_stmt = {"commit_update_streams",
	"UPDATE log.streams s SET seq = n.seq, authz_epoch = s.authz_epoch + n.raised,"
	" updated_at = timestamptz 'epoch' + n.us * interval '1 microsecond'"
	" FROM unnest($1::int2[], $2::int8[], $3::int8[], $4::int8[], $5::int8[]) AS n(rank, id, seq, raised, us)"
	" CROSS JOIN LATERAL (SELECT t.ctid AS place FROM log.streams t WHERE t.rank = n.rank AND t.id = n.id"
	" OFFSET 0) t WHERE s.ctid = t.place"};
static const struct db_stmt insert_requests_stmt = {"commit_insert_requests",
	"INSERT INTO log.requests (actor, request_id, body_hash, object_id, reply, created_at)"
	" SELECT actor, request_id, body_hash, nullif(object_id, 0), reply,"
	" timestamptz 'epoch' + $6 * interval '1 microsecond'"
	" FROM unnest($1::int8[], $2::bytea[], $3::bytea[], $4::int8[], $5::bytea[])"
	" AS r(actor, request_id, body_hash, object_id, reply)"};

/* What was read under the lock about one op: an entry per stream, per check and for the actor, in this order. */
struct facts {
	size_t first, count;
};

struct lane {
	struct writer *w;
	struct arena *mem;
	struct log_tx tx;
	struct commit_op **ops;
	size_t count;
	struct facts *facts;
	struct db_rows epochs;   /* of facts_stmt, all ops' entries */
	struct db_rows requests; /* of requests_stmt */
	bool *written;
	size_t written_count;
};

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

static enum status lane_begin(struct lane *lane)
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

/* An earlier call had this request id: its answer, or the refusal of another body. */
static bool answered_before(struct lane *lane, size_t index, struct commit_result *result)
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

/* Not every stream was to be had: it waits for another turn, unless there is no such stream. */
static bool streams_missing(struct lane *lane, size_t index)
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

/* The stream epochs raised in this transaction reach the table only at its end: they are added here. */
static bool stale_by_now(
	struct lane *lane, size_t index, struct commit_result *result, enum status *out_failed)
{
	struct commit_op *op = lane->ops[index];
	struct db_params p;
	struct db_rows rows = {0};
	struct facts at;

	*out_failed = STATUS_OK;
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

/* Runs one op under the lock. STATUS_BUSY with a broken connection ends the batch; anything else is the op's own. */
static void lane_op(struct lane *lane, size_t index)
{
	struct commit_op *op = lane->ops[index];
	struct log_tx *tx = &lane->tx;
	struct commit_result *result = ARENA_NEW(lane->mem, struct commit_result);
	enum status st = STATUS_OK;

	if (streams_missing(lane, index))
		return;
	if (answered_before(lane, index, result) ||
		facts_stale(lane->w, op, &lane->epochs, &lane->facts[index], result)) {
		*op_settle(lane->w, op, result->status) = *result;
		return;
	}
	log_tx_op_begin(tx, op, result);
	if (facts_outdated(lane, index) && stale_by_now(lane, index, result, &st))
		st = result->status;
	if (st == STATUS_OK) {
		log_set_trace(op->trace);
		st = op->work(tx, op->arg);
		log_set_trace(NULL);
		if (tx->failed != STATUS_OK)
			st = tx->failed;
	}
	if (lane->w->conn->broken)
		return;
	if (st == STATUS_OK) {
		log_tx_op_keep(tx);
		lane->written[index] = true;
		lane->written_count++;
		op_state(op)->result = result; /* settled once it is committed */
		return;
	}
	log_tx_op_undo(tx);
	*op_settle(lane->w, op, st) = (struct commit_result){
		.status = st, .why = result->why, .field = result->field, .detail = result->detail};
}

/* ---- the end: events, heads, request ids, COMMIT */

static void events_params(struct lane *lane, struct db_params *p)
{
	struct log_tx *tx = &lane->tx;
	size_t n = tx->event_count;
	int16_t *ranks = ARENA_ARRAY(lane->mem, n, int16_t);
	uint64_t *ids = ARENA_ARRAY(lane->mem, n, uint64_t), *seqs = ARENA_ARRAY(lane->mem, n, uint64_t);
	uint64_t *actors = ARENA_ARRAY(lane->mem, n, uint64_t);
	int32_t *kinds = ARENA_ARRAY(lane->mem, n, int32_t);
	const char **audiences = ARENA_ARRAY(lane->mem, n, const char *);
	const void **payloads = ARENA_ARRAY(lane->mem, n, const void *),
		   **requests = ARENA_ARRAY(lane->mem, n, const void *);
	size_t *payload_lengths = ARENA_ARRAY(lane->mem, n, size_t),
	       *request_lengths = ARENA_ARRAY(lane->mem, n, size_t);
	int64_t *times = ARENA_ARRAY(lane->mem, n, int64_t);

	for (size_t i = 0; i < n; i++) {
		const struct logged_event *ev = &tx->events[i].ev;
		ranks[i] = (int16_t)ev->stream.rank;
		ids[i] = ev->stream.id;
		seqs[i] = ev->seq;
		kinds[i] = (int32_t)ev->kind;
		audiences[i] = ev->audience;
		payloads[i] = ev->payload;
		payload_lengths[i] = ev->payload_length;
		actors[i] = ev->actor_id;
		requests[i] = ev->request_id;
		request_lengths[i] = ev->request_id_length;
		times[i] = tx->events[i].at_us;
	}
	db_params_begin(p, lane->mem);
	db_put_i16s(p, ranks, n);
	db_put_ids(p, ids, n);
	db_put_ids(p, seqs, n);
	db_put_i32s(p, kinds, n);
	db_put_texts(p, audiences, n);
	db_put_byteas(p, payloads, payload_lengths, n);
	db_put_ids(p, actors, n);
	db_put_byteas(p, requests, request_lengths, n);
	db_put_i64s(p, times, n);
}

static void streams_params(struct lane *lane, struct db_params *p)
{
	struct log_tx *tx = &lane->tx;
	int16_t *ranks = ARENA_ARRAY(lane->mem, tx->stream_count, int16_t);
	uint64_t *ids = ARENA_ARRAY(lane->mem, tx->stream_count, uint64_t),
		 *seqs = ARENA_ARRAY(lane->mem, tx->stream_count, uint64_t);
	int64_t *raised = ARENA_ARRAY(lane->mem, tx->stream_count, int64_t),
		*times = ARENA_ARRAY(lane->mem, tx->stream_count, int64_t);
	size_t n = 0;

	for (size_t i = 0; i < tx->stream_count; i++) {
		const struct tx_stream *t = &tx->streams[i];
		if (!t->touched)
			continue;
		ranks[n] = (int16_t)t->s.rank;
		ids[n] = t->s.id;
		seqs[n] = t->seq;
		raised[n] = t->raised;
		times[n] = t->updated_us;
		n++;
	}
	db_params_begin(p, lane->mem);
	db_put_i16s(p, ranks, n);
	db_put_ids(p, ids, n);
	db_put_ids(p, seqs, n);
	db_put_i64s(p, raised, n);
	db_put_i64s(p, times, n);
}

static void insert_requests_params(struct lane *lane, struct db_params *p)
{
	size_t n = 0;
	uint64_t *actors = ARENA_ARRAY(lane->mem, lane->count, uint64_t),
		 *objects = ARENA_ARRAY(lane->mem, lane->count, uint64_t);
	const void **ids = ARENA_ARRAY(lane->mem, lane->count, const void *),
		   **hashes = ARENA_ARRAY(lane->mem, lane->count, const void *);
	const void **replies = ARENA_ARRAY(lane->mem, lane->count, const void *);
	size_t *id_lengths = ARENA_ARRAY(lane->mem, lane->count, size_t),
	       *hash_lengths = ARENA_ARRAY(lane->mem, lane->count, size_t);
	size_t *reply_lengths = ARENA_ARRAY(lane->mem, lane->count, size_t);

	for (size_t i = 0; i < lane->count; i++) {
		if (!lane->written[i])
			continue;
		const struct commit_op *op = lane->ops[i];
		const struct commit_result *result = op_state(lane->ops[i])->result;
		actors[n] = op->actor_id;
		ids[n] = op_request_id(op, &id_lengths[n]);
		hashes[n] = op->body_hash;
		hash_lengths[n] = 32;
		objects[n] = result->object_id;
		replies[n] = result->reply;
		reply_lengths[n] = result->reply_length;
		n++;
	}
	db_params_begin(p, lane->mem);
	db_put_ids(p, actors, n);
	db_put_byteas(p, ids, id_lengths, n);
	db_put_byteas(p, hashes, hash_lengths, n);
	db_put_ids(p, objects, n);
	db_put_byteas(p, replies, reply_lengths, n);
	db_put_i64(p, lane->tx.now_us); /* by which a lost COMMIT knows its own row */
}

enum commit_end { COMMIT_DONE, COMMIT_FAILED, COMMIT_LOST };

static enum commit_end lane_commit(struct lane *lane, enum status *out_why)
{
	struct log_tx *tx = &lane->tx;
	struct db_params events, streams, requests;
	struct conn_step steps[sizeof tx->ahead / sizeof tx->ahead[0] + 4] = {{0}};
	size_t n = 0;

	for (; n < tx->ahead_count; n++)
		steps[n].stmt = tx->ahead[n];
	tx->ahead_count = 0;
	if (tx->event_count > 0) {
		events_params(lane, &events);
		steps[n++] = (struct conn_step){.stmt = &insert_events_stmt, .params = &events};
	}
	streams_params(lane, &streams);
	steps[n++] = (struct conn_step){.stmt = &update_streams_stmt, .params = &streams};
	insert_requests_params(lane, &requests);
	steps[n++] = (struct conn_step){.stmt = &insert_requests_stmt, .params = &requests};
	steps[n++] = (struct conn_step){.stmt = &commit_stmt};
	*out_why = conn_run(lane->w->conn, steps, n);
	enum commit_end end = COMMIT_DONE;
	if (*out_why != STATUS_OK) {
		/* A statement before COMMIT that the server refused is as good as its answer: there was no COMMIT. */
		bool refused = steps[n - 1].answered;
		for (size_t i = 0; i + 1 < n; i++)
			refused = refused || (steps[i].answered && steps[i].status != STATUS_OK);
		end = refused ? COMMIT_FAILED : COMMIT_LOST;
	} else if (strcmp(PQcmdStatus(steps[n - 1].result), "COMMIT") != 0) {
		end = COMMIT_FAILED;
		*out_why = STATUS_INTERNAL;
	}
	conn_steps_clear(steps, n);
	return end;
}

/* ---- a whole transaction */

static void lane_publish(struct lane *lane)
{
	struct logged_event *events = ARENA_ARRAY(lane->mem, lane->tx.event_count, struct logged_event);

	for (size_t i = 0; i < lane->tx.event_count; i++) {
		const struct tx_event *e = &lane->tx.events[i];
		events[i] = e->ev;
		if (e->beside_length == 0)
			continue;
		uint8_t *both = arena_alloc(lane->mem, e->ev.payload_length + e->beside_length);
		memcpy(both, e->ev.payload, e->ev.payload_length);
		memcpy(both + e->ev.payload_length, e->beside, e->beside_length);
		events[i].payload = both;
		events[i].payload_length += e->beside_length;
	}
	writer_publish(lane->w, events, lane->tx.event_count);
}

static void lane_settle_written(struct lane *lane)
{
	metric_add(commit_batches, 1);
	metric_add(commit_ops, lane->written_count);
	lane_publish(lane);
	for (size_t i = 0; i < lane->count; i++)
		if (lane->written[i])
			op_state(lane->ops[i])->settled = true;
}

/* Nothing of the transaction happened. Who was refused behind a written op may have been refused on its account. */
static void lane_forget(struct lane *lane)
{
	bool behind = false;

	for (size_t i = 0; i < lane->count; i++) {
		struct op_state *state = op_state(lane->ops[i]);
		if (behind)
			state->settled = false;
		behind = behind || lane->written[i];
		if (!state->settled && lane->w->conn->broken)
			state->losses++;
	}
}

/*
 * COMMIT was sent and nobody knows. All of it happened or nothing did, so the first one tells for all; but only by a row of
 * this transaction: api may have given the same request to another copy meanwhile, and its row says nothing of ours.
 */
static void lane_lost(struct lane *lane)
{
	struct commit_op **ops = ARENA_ARRAY(lane->mem, lane->count, struct commit_op *);
	struct lost_op *found = ARENA_ARRAY(lane->mem, lane->count, struct lost_op);
	size_t n = 0;

	for (size_t i = 0; i < lane->count; i++)
		if (lane->written[i])
			ops[n++] = lane->ops[i];
	enum status st = lost_commit_find(lane->w, ops, n, found);
	if (st == STATUS_OK && found[0].found && found[0].written_us == lane->tx.now_us) {
		lane_settle_written(lane);
	} else if (st == STATUS_OK) {
		lane_forget(lane);
		for (size_t i = 0; i < n; i++)
			op_state(ops[i])->losses++;
	} else {
		for (size_t i = 0; i < n; i++)
			op_settle(lane->w, ops[i], STATUS_BUSY);
	}
}

/* One transaction. False: it failed as a whole for a reason that may be one op's; nothing of it is written. */
static bool lane_transaction(struct writer *w, struct commit_op **ops, size_t count, enum status *out_why)
{
	struct lane lane = {.w = w, .mem = w->mem, .ops = ops, .count = count};
	int64_t began_us = clock_mono_us();

	lane.tx.w = w;
	lane.tx.mem = w->mem;
	lane.tx.savepoints = count > 1;
	lane.facts = ARENA_ARRAY(w->mem, count, struct facts);
	lane.written = ARENA_ARRAY(w->mem, count, bool);
	*out_why = lane_begin(&lane);
	if (*out_why != STATUS_OK) {
		lane_forget(&lane);
		return w->conn->broken;
	}
	for (size_t i = 0; i < count && !w->conn->broken; i++)
		lane_op(&lane, i);
	if (w->conn->broken) {
		lane_forget(&lane);
		return true;
	}
	if (lane.written_count == 0) {
		writer_rollback(w);
		return true;
	}
	switch (lane_commit(&lane, out_why)) {
	case COMMIT_DONE:
		metric_observe_us(&metrics.commit_seconds, clock_mono_us() - began_us);
		lane_settle_written(&lane);
		return true;
	case COMMIT_LOST:
		lane_lost(&lane);
		return true;
	case COMMIT_FAILED:
		break;
	}
	lane_forget(&lane);
	return w->conn->broken;
}

static void lane_alone(struct writer *w, struct commit_op *op)
{
	enum status why = STATUS_OK;

	/* A request id that a copy of ours writes in the same moment: the next try finds its row. */
	for (int tries = 0; tries < 3; tries++) {
		if (w->conn->broken || lane_transaction(w, &op, 1, &why))
			return;
		bool leaves = writer_made_leaves(w);
		writer_rollback(w);
		if (why != STATUS_CONFLICT && !leaves)
			break;
	}
	op_settle(w, op, why == STATUS_CONFLICT ? STATUS_BUSY : why);
}

void step_lane_run(struct writer *w, struct commit_op **ops, size_t count)
{
	enum status why = STATUS_OK;

	if (count == 1) {
		lane_alone(w, ops[0]);
		return;
	}
	if (lane_transaction(w, ops, count, &why))
		return;
	writer_made_leaves(w);
	writer_rollback(w);
	for (size_t i = 0; i < count; i++)
		if (!op_state(ops[i])->settled)
			lane_alone(w, ops[i]);
}
