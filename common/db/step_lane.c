/*
 * The step lane: one transaction for all that wait. BEGIN, the lock of all streams and the facts of all ops cost one round
 * trip; each op then runs behind a savepoint; events, heads, request ids and COMMIT are the last round trip.
 */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/db/step_lane_parts.h"
#include "common/ops/ops.h"

/* Runs one op under the lock. STATUS_BUSY with a broken connection ends the batch; anything else is the op's own. */
static void lane_op(struct lane *lane, size_t index)
{
	struct commit_op *op = lane->ops[index];
	struct log_tx *tx = &lane->tx;
	struct commit_result *result = ARENA_NEW(lane->mem, struct commit_result);
	enum status st = STATUS_OK;

	if (lane_streams_missing(lane, index))
		return;
	if (lane_answered_before(lane, index, result) || lane_stale(lane, index, result)) {
		*op_settle(lane->w, op, result->status) = *result;
		return;
	}
	log_tx_op_begin(tx, op, result);
	if (lane_stale_by_now(lane, index, result, &st))
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
