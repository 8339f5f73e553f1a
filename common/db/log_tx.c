#include "common/db/log_tx.h"

#include <assert.h>
#include <string.h>

#include "common/base/ids.h"
#include "common/base/log.h"

static const struct db_stmt savepoint_stmt = {"commit_savepoint", "SAVEPOINT op"};
static const struct db_stmt release_stmt = {"commit_release", "RELEASE op"};
static const struct db_stmt rollback_to_stmt = {"commit_rollback_to", "ROLLBACK TO op"};

/* ---- statements */

static void ahead(struct log_tx *tx, const struct db_stmt *stmt)
{
	assert(tx->ahead_count < sizeof tx->ahead / sizeof tx->ahead[0]);
	tx->ahead[tx->ahead_count++] = stmt;
}

enum status log_tx_run(struct log_tx *tx, const struct db_stmt *stmt, const struct db_params *params,
	struct conn_step *out_step)
{
	struct conn_step steps[sizeof tx->ahead / sizeof tx->ahead[0] + 1] = {{0}};
	size_t n = 0;

	for (; n < tx->ahead_count; n++)
		steps[n].stmt = tx->ahead[n];
	tx->ahead_count = 0;
	steps[n].stmt = stmt;
	steps[n].params = params;
	enum status st = conn_run(tx->w->conn, steps, n + 1);
	*out_step = steps[n];
	conn_steps_clear(steps, n);
	return st;
}

enum status log_tx_query(struct log_tx *tx, const struct db_stmt *stmt, const struct db_params *params,
	struct db_rows *out_rows)
{
	struct conn_step step = {0};

	if (tx->failed != STATUS_OK)
		return tx->failed;
	if (tx->savepoints && !tx->savepoint_set) {
		ahead(tx, &savepoint_stmt);
		tx->savepoint_set = true;
	}
	tx->failed = log_tx_run(tx, stmt, params, &step);
	if (tx->failed == STATUS_OK && out_rows != NULL)
		conn_step_rows(&step, tx->mem, out_rows);
	conn_steps_clear(&step, 1);
	return tx->failed;
}

/* ---- the present op */

struct tx_stream *log_tx_find(struct log_tx *tx, struct stream s)
{
	size_t low = 0, high = tx->locked_count;

	while (low < high) {
		size_t mid = (low + high) / 2;
		int order = stream_compare(tx->streams[mid].s, s);
		if (order == 0)
			return &tx->streams[mid];
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (size_t i = tx->locked_count; i < tx->stream_count; i++)
		if (stream_compare(tx->streams[i].s, s) == 0)
			return &tx->streams[i];
	return NULL;
}

void log_tx_op_begin(struct log_tx *tx, struct commit_op *op, struct commit_result *result)
{
	tx->op = op;
	tx->result = result;
	tx->failed = STATUS_OK;
	tx->savepoint_set = false;
	tx->op_us = tx->now_us;
	tx->op_stream_count = op->stream_count;
	for (size_t i = 0; i < op->stream_count; i++) {
		struct tx_stream *t = log_tx_find(tx, op->streams[i]);
		assert(t != NULL && t->locked);
		tx->op_streams[i] = (size_t)(t - tx->streams);
		tx->saved[i] = *t;
		/* Time follows seq: an event is never older than its stream's newest. */
		if (t->updated_us > tx->op_us)
			tx->op_us = t->updated_us;
	}
	tx->saved_stream_count = tx->stream_count;
	tx->saved_event_count = tx->event_count;
	tx->overwrites = NULL;
}

void log_tx_op_keep(struct log_tx *tx)
{
	if (tx->savepoint_set)
		ahead(tx, &release_stmt);
}

void log_tx_op_undo(struct log_tx *tx)
{
	for (size_t i = 0; i < tx->op->stream_count; i++)
		tx->streams[tx->op_streams[i]] = tx->saved[i];
	for (; tx->overwrites != NULL; tx->overwrites = tx->overwrites->next) {
		struct logged_event *ev = &tx->events[tx->overwrites->event].ev;
		ev->payload = tx->overwrites->payload;
		ev->payload_length = tx->overwrites->length;
		tx->events[tx->overwrites->event].beside_length = tx->overwrites->beside_length;
	}
	tx->stream_count = tx->saved_stream_count;
	tx->event_count = tx->saved_event_count;
	if (tx->savepoint_set) {
		ahead(tx, &rollback_to_stmt);
		ahead(tx, &release_stmt);
	}
}

/* Of the op's own streams only: what it did not declare could not be given back. */
static struct tx_stream *own_stream(struct log_tx *tx, struct stream s)
{
	for (size_t i = 0; i < tx->op_stream_count; i++)
		if (stream_compare(tx->streams[tx->op_streams[i]].s, s) == 0)
			return &tx->streams[tx->op_streams[i]];
	return NULL;
}

/* ---- for work callbacks */

struct arena *log_tx_mem(struct log_tx *tx)
{
	return tx->mem;
}

int64_t log_tx_now_ms(struct log_tx *tx)
{
	return tx->op_us / 1000;
}

uint64_t log_tx_seq(struct log_tx *tx, struct stream s)
{
	const struct tx_stream *t = own_stream(tx, s);

	assert(t != NULL);
	return t->seq;
}

enum status log_tx_create_stream(struct log_tx *tx, struct stream s)
{
	static const struct db_stmt create_stmt = {"commit_create_stream",
		"INSERT INTO log.streams (rank, id, updated_at)"
		" VALUES ($1, $2, timestamptz 'epoch' + $3 * interval '1 microsecond') ON CONFLICT DO NOTHING"};
	struct db_params p;
	struct db_rows rows = {0};

	if (tx->op_stream_count >= COMMIT_STREAMS_MAX)
		return STATUS_AT_LIMIT;
	db_params_begin(&p, tx->mem);
	db_put_i16(&p, (int16_t)s.rank);
	db_put_id(&p, s.id);
	db_put_i64(&p, tx->op_us);
	enum status st = log_tx_query(tx, &create_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.affected != 1)
		return STATUS_CONFLICT;
	if (tx->stream_count == tx->stream_room) {
		size_t room = tx->stream_room + 32;
		tx->streams = arena_grow(tx->mem, tx->streams, tx->stream_room * sizeof *tx->streams,
			room * sizeof *tx->streams);
		tx->stream_room = room;
	}
	tx->streams[tx->stream_count] = (struct tx_stream){.s = s, .locked = true, .updated_us = tx->op_us};
	tx->op_streams[tx->op_stream_count++] = tx->stream_count++;
	return STATUS_OK;
}

enum status log_tx_append(
	struct log_tx *tx, struct stream s, const char *audience, pb_Event *ev, uint64_t *out_seq)
{
	struct tx_stream *t = own_stream(tx, s);
	const uint8_t *payload;
	size_t length;

	assert(t != NULL && strlen(audience) < AUDIENCE_SIZE);
	while (ev->event_id == 0)
		ids_random_bytes(&ev->event_id, sizeof ev->event_id);
	enum status st = event_encode(tx->mem, ev, &payload, &length);
	if (st != STATUS_OK)
		return st;
	if (tx->event_count == tx->event_room) {
		size_t room = tx->event_room > 0 ? tx->event_room * 2 : 16;
		tx->events = arena_grow(
			tx->mem, tx->events, tx->event_room * sizeof *tx->events, room * sizeof *tx->events);
		tx->event_room = room;
	}
	struct tx_event *e = &tx->events[tx->event_count++];
	*e = (struct tx_event){
		.ev = {.stream = s,
			.seq = ++t->seq,
			.kind = ev->which_body,
			.at_ms = tx->op_us / 1000,
			.actor_id = tx->op->actor_id,
			.request_id = tx->op->request_id_length > 0 ? tx->op->request_id : NULL,
			.request_id_length = tx->op->request_id_length,
			.payload = payload,
			.payload_length = length},
		.at_us = tx->op_us,
	};
	strcpy(e->ev.audience, audience);
	t->updated_us = tx->op_us;
	t->touched = true;
	if (out_seq != NULL)
		*out_seq = t->seq;
	return STATUS_OK;
}

void log_tx_beside(struct log_tx *tx, const uint8_t *bytes, size_t length)
{
	assert(tx->event_count > tx->saved_event_count);
	tx->events[tx->event_count - 1].beside = bytes;
	tx->events[tx->event_count - 1].beside_length = length;
}

void log_tx_raise_epoch(struct log_tx *tx, struct stream s)
{
	struct tx_stream *t = own_stream(tx, s);

	assert(t != NULL && !tx->op->keeps_rights);
	t->raised++;
	t->epoch++;
	t->touched = true;
}

void log_tx_reply(struct log_tx *tx, const pb_msgdesc_t *fields, const void *reply)
{
	enum status st =
		pb_encode_arena(tx->mem, fields, reply, &tx->result->reply, &tx->result->reply_length);

	/* A reply of ours that cannot be encoded is our mistake; the op must not be committed without it. */
	if (st != STATUS_OK && tx->failed == STATUS_OK)
		tx->failed = st;
}

void log_tx_object(struct log_tx *tx, uint64_t object_id)
{
	tx->result->object_id = object_id;
}

void log_tx_refuse(struct log_tx *tx, const char *why, const char *field, const char *detail)
{
	tx->result->why = arena_strdup(tx->mem, why);
	tx->result->field = arena_strdup(tx->mem, field);
	tx->result->detail = arena_strdup(tx->mem, detail);
}

static void overwrite(struct log_tx *tx, size_t event, const uint8_t *payload, size_t length)
{
	struct tx_overwrite *undo = ARENA_NEW(tx->mem, struct tx_overwrite);
	struct logged_event *ev = &tx->events[event].ev;

	*undo = (struct tx_overwrite){
		tx->overwrites, event, ev->payload, ev->payload_length, tx->events[event].beside_length};
	tx->events[event].beside_length = 0;
	tx->overwrites = undo;
	ev->payload = payload;
	ev->payload_length = length;
}

enum status log_tx_member_teams(struct log_tx *tx, uint64_t user_id, const uint64_t *team_ids, size_t count,
	uint64_t **out_team_ids, size_t *out_count)
{
	static const struct db_stmt members_stmt = {"commit_member_teams",
		"SELECT q.id FROM unnest($2::int8[]) WITH ORDINALITY AS q(id, n), LATERAL (SELECT em.member"
		" FROM moderation.member_epochs em WHERE em.rank = 1 AND em.stream_id = q.id AND em.user_id = $1 OFFSET 0) m"
		" WHERE m.member ORDER BY q.n"};
	struct db_params p;
	struct db_rows rows = {0};

	*out_team_ids = NULL;
	*out_count = 0;
	if (count == 0)
		return STATUS_OK;
	for (size_t i = 0; i < count; i++)
		assert(own_stream(tx, STREAM_TEAM(team_ids[i])) != NULL);
	db_params_begin(&p, tx->mem);
	db_put_id(&p, user_id);
	db_put_ids(&p, team_ids, count);
	enum status st = log_tx_query(tx, &members_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	*out_team_ids = ARENA_ARRAY(tx->mem, (size_t)rows.count, uint64_t);
	*out_count = (size_t)rows.count;
	for (int i = 0; i < rows.count; i++)
		(*out_team_ids)[i] = db_id(&rows, i, 0);
	return STATUS_OK;
}

static enum status encode_tombstone(
	struct log_tx *tx, const pb_Remains *remains, const uint8_t **out_payload, size_t *out_length)
{
	pb_Event tombstone = {.tombstone = true, .has_remains = remains != NULL};

	if (remains != NULL)
		tombstone.remains = *remains;
	return event_encode(tx->mem, &tombstone, out_payload, out_length);
}

/* An event of this very transaction is not in the table yet. */
static void overwrite_queued(
	struct log_tx *tx, struct stream s, uint64_t seq, const uint8_t *payload, size_t length)
{
	for (size_t i = 0; i < tx->event_count; i++)
		if (tx->events[i].ev.seq == seq && stream_compare(tx->events[i].ev.stream, s) == 0)
			overwrite(tx, i, payload, length);
}

enum status log_tx_tombstone(
	struct log_tx *tx, struct stream s, const uint64_t *seqs, size_t count, const pb_Remains *remains)
{
	static const struct db_stmt tombstone_stmt = {"commit_tombstone",
		"UPDATE log.events SET payload = $4 WHERE rank = $1 AND id = $2 AND seq = ANY ($3)"};
	const uint8_t *payload;
	size_t length;
	struct db_params p;

	assert(own_stream(tx, s) != NULL);
	if (count == 0)
		return STATUS_OK;
	enum status st = encode_tombstone(tx, remains, &payload, &length);
	if (st != STATUS_OK)
		return st;
	for (size_t k = 0; k < count; k++)
		overwrite_queued(tx, s, seqs[k], payload, length);
	db_params_begin(&p, tx->mem);
	db_put_i16(&p, (int16_t)s.rank);
	db_put_id(&p, s.id);
	db_put_ids(&p, seqs, count);
	db_put_bytea(&p, payload, length);
	return log_tx_query(tx, &tombstone_stmt, &p, NULL);
}

/* By place, as everywhere: a join with the leaves could be planned as a walk through all of them. */
enum status log_tx_tombstone_users(
	struct log_tx *tx, const uint64_t *user_ids, const uint64_t *seqs, size_t count)
{
	static const struct db_stmt tombstone_users_stmt = {"commit_tombstone_users",
		"UPDATE log.events e SET payload = $3 FROM (SELECT p.leaf, p.place FROM unnest($1::int8[], $2::int8[]) AS q(id, seq)"
		" CROSS JOIN LATERAL (SELECT t.tableoid AS leaf, t.ctid AS place FROM log.events t WHERE t.rank = 2 AND t.id = q.id"
		" AND t.seq = q.seq OFFSET 0) p) w WHERE e.ctid = w.place AND e.tableoid = w.leaf"};
	const uint8_t *payload;
	size_t length;
	struct db_params p;

	if (count == 0)
		return STATUS_OK;
	enum status st = encode_tombstone(tx, NULL, &payload, &length);
	if (st != STATUS_OK)
		return st;
	for (size_t k = 0; k < count; k++)
		overwrite_queued(tx, STREAM_USER(user_ids[k]), seqs[k], payload, length);
	db_params_begin(&p, tx->mem);
	db_put_ids(&p, user_ids, count);
	db_put_ids(&p, seqs, count);
	db_put_bytea(&p, payload, length);
	return log_tx_query(tx, &tombstone_users_stmt, &p, NULL);
}
