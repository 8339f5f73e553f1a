/*
 * step_lane_commit - see step_lane_parts.h: the end of a transaction: events, heads, request ids and COMMIT in one round trip.
 */
#include <string.h>

#include "common/db/step_lane_parts.h"

static const struct db_stmt commit_stmt = {"commit_commit", "COMMIT"};

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

enum commit_end lane_commit(struct lane *lane, enum status *out_why)
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
