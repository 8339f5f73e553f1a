#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/db/writer.h"
#include "common/ops/ops.h"

/* How long an answer is searched for before the callers hear BUSY ("unknown; repeat with the same request id"). */
#define SEARCH_MS 5000

/* As long as the old session lives it may still commit, and "not found" would be a lie. Its transaction is over before it
 * leaves this view. Being of the same role, we may end it: a dead network otherwise keeps it for minutes. */
static const struct db_stmt old_session_stmt = {"commit_old_session",
	"SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
	" WHERE pid = $1 AND (extract(epoch FROM backend_start) * 1000000)::int8 = $2"};
static const struct db_stmt find_stmt = {"commit_find",
	"SELECT q.i, r.reply, coalesce(r.object_id, 0), r.body_hash,"
	" (extract(epoch FROM r.created_at) * 1000000)::int8 FROM unnest($1::int4[], $2::int8[], $3::bytea[])"
	" AS q(i, actor, request_id) CROSS JOIN LATERAL (SELECT * FROM log.requests r"
	" WHERE r.actor = q.actor AND r.request_id = q.request_id OFFSET 0) r"};
/* What is visible need not have reached the synchronous standby, if there is one; the answer to a write behind it has. */
static const struct db_stmt settle_stmt = {"commit_settle", "UPDATE log.meta SET singleton = singleton"};
/* Of the newest leaves, and near the head: no index knows request ids. */
static const struct db_stmt events_stmt = {"commit_find_events",
	"SELECT q.i, e.seq, e.kind, e.audience, e.payload, floor(extract(epoch FROM e.created_at) * 1000)::int8"
	" FROM unnest($1::int4[], $2::int2[], $3::int8[], $4::bytea[]) AS q(i, rank, id, request_id)"
	" CROSS JOIN LATERAL (SELECT * FROM log.events e WHERE e.rank = q.rank AND e.id = q.id AND e.seq >"
	" (SELECT s.seq - 1000 FROM log.streams s WHERE s.rank = q.rank AND s.id = q.id)"
	" AND e.created_at > now() - interval '1 hour' AND e.request_id = q.request_id) e"
	" ORDER BY q.rank, q.id, e.seq"};

static void pause_ms(int ms)
{
	struct timespec t = clock_timespec(ms);

	nanosleep(&t, NULL);
}

static void ids_params(struct writer *w, struct commit_op *const *ops, size_t count, struct db_params *p)
{
	int32_t *indexes = ARENA_ARRAY(w->mem, count, int32_t);
	uint64_t *actors = ARENA_ARRAY(w->mem, count, uint64_t);
	const void **ids = ARENA_ARRAY(w->mem, count, const void *);
	size_t *lengths = ARENA_ARRAY(w->mem, count, size_t);

	for (size_t i = 0; i < count; i++) {
		indexes[i] = (int32_t)i;
		actors[i] = ops[i]->actor_id;
		ids[i] = op_request_id(ops[i], &lengths[i]);
	}
	db_params_begin(p, w->mem);
	db_put_i32s(p, indexes, count);
	db_put_ids(p, actors, count);
	db_put_byteas(p, ids, lengths, count);
}

static enum status ask(
	struct writer *w, const struct db_stmt *stmt, const struct db_params *p, struct db_rows *out_rows)
{
	struct conn_step step = {.stmt = stmt, .params = p};

	enum status st = conn_run(w->conn, &step, 1);
	if (st == STATUS_OK)
		conn_step_rows(&step, w->mem, out_rows);
	conn_steps_clear(&step, 1);
	return st;
}

/* STATUS_BUSY: not yet. */
static enum status find_once(struct writer *w, int64_t old_pid, int64_t old_began_us,
	struct commit_op *const *ops, size_t count, struct lost_op *out_ops)
{
	struct db_params p;
	struct db_rows rows = {0};

	if (writer_connect(w) != STATUS_OK)
		return STATUS_BUSY;
	db_params_begin(&p, w->mem);
	db_put_i32(&p, (int32_t)old_pid);
	db_put_i64(&p, old_began_us);
	enum status st = ask(w, &old_session_stmt, &p, &rows);
	if (st != STATUS_OK || rows.count > 0)
		return STATUS_BUSY;
	ids_params(w, ops, count, &p);
	if (ask(w, &find_stmt, &p, &rows) != STATUS_OK)
		return STATUS_BUSY;
	struct db_rows settled = {0};
	if (rows.count > 0 && ask(w, &settle_stmt, NULL, &settled) != STATUS_OK)
		return STATUS_BUSY;
	for (int row = 0; row < rows.count; row++) {
		int64_t index = db_i64(&rows, row, 0);
		if (index < 0 || (size_t)index >= count)
			continue;
		size_t hash_length;
		const uint8_t *hash = db_bytea(&rows, row, 3, &hash_length), *ours = ops[index]->body_hash;
		/* Another body's row is not ours: the op is tried again and hears so. */
		if ((hash == NULL) != (ours == NULL) ||
			(hash != NULL && (hash_length != 32 || memcmp(hash, ours, 32) != 0)))
			continue;
		struct lost_op *found = &out_ops[index];
		found->found = true;
		found->reply = db_bytea(&rows, row, 1, &found->reply_length);
		found->object_id = db_id(&rows, row, 2);
		found->written_us = db_i64(&rows, row, 4);
	}
	return STATUS_OK;
}

enum status lost_commit_find(
	struct writer *w, struct commit_op *const *ops, size_t count, struct lost_op *out_ops)
{
	int64_t give_up = clock_mono_ms() + SEARCH_MS;
	int64_t pid = w->session_pid, began_us = w->session_began_us;
	int wait_ms = 1;
	enum status st;

	metric_add(commit_lost, count);
	for (;;) {
		st = find_once(w, pid, began_us, ops, count, out_ops);
		if (st == STATUS_OK || clock_mono_ms() >= give_up)
			break;
		pause_ms(wait_ms);
		wait_ms = wait_ms * 2 < 100 ? wait_ms * 2 : 100;
	}
	size_t found = 0;
	for (size_t i = 0; i < count; i++)
		found += out_ops[i].found;
	log_warn("commit_answer_lost", LOG_U64("changes", count), LOG_U64("found", found),
		LOG_STATUS("status", st));
	return st;
}

enum status lost_commit_events(struct writer *w, struct commit_op *const *ops, const struct lost_op *found,
	size_t count, struct logged_event **out_events, size_t *out_count)
{
	int32_t *indexes = ARENA_ARRAY(w->mem, count, int32_t);
	int16_t *ranks = ARENA_ARRAY(w->mem, count, int16_t);
	uint64_t *ids = ARENA_ARRAY(w->mem, count, uint64_t);
	const void **requests = ARENA_ARRAY(w->mem, count, const void *);
	size_t *lengths = ARENA_ARRAY(w->mem, count, size_t);
	size_t n = 0;
	struct db_params p;
	struct db_rows rows = {0};

	for (size_t i = 0; i < count; i++) {
		if (!found[i].found)
			continue;
		indexes[n] = (int32_t)i;
		ranks[n] = (int16_t)ops[i]->streams[0].rank;
		ids[n] = ops[i]->streams[0].id;
		requests[n] = op_request_id(ops[i], &lengths[n]);
		n++;
	}
	*out_count = 0;
	if (n == 0)
		return STATUS_OK;
	db_params_begin(&p, w->mem);
	db_put_i32s(&p, indexes, n);
	db_put_i16s(&p, ranks, n);
	db_put_ids(&p, ids, n);
	db_put_byteas(&p, requests, lengths, n);
	/* If this fails the watermark brings the receivers to the log. */
	enum status st = ask(w, &events_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	struct logged_event *events = ARENA_ARRAY(w->mem, (size_t)rows.count, struct logged_event);
	for (int row = 0; row < rows.count; row++) {
		const struct commit_op *op = ops[db_i64(&rows, row, 0)];
		struct logged_event *ev = &events[(*out_count)++];
		*ev = (struct logged_event){.stream = op->streams[0],
			.seq = db_id(&rows, row, 1),
			.kind = (uint32_t)db_i64(&rows, row, 2),
			.at_ms = db_i64(&rows, row, 5),
			.actor_id = op->actor_id};
		strncpy(ev->audience, db_text(&rows, row, 3), AUDIENCE_SIZE - 1);
		ev->request_id = op_request_id(op, &ev->request_id_length);
		ev->payload = db_bytea(&rows, row, 4, &ev->payload_length);
	}
	*out_events = events;
	return STATUS_OK;
}
