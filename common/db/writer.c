#include "common/db/writer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/db/generation.h"
#include "common/ops/ops.h"

#define BACKOFF_LEAST_MS 20
#define BACKOFF_MOST_MS  1000

/* ---- the connection */

static const struct db_stmt session_stmt = {"commit_session",
	"SELECT " GENERATION_SQL
	", pg_backend_pid(), (SELECT (extract(epoch FROM backend_start) * 1000000)::int8"
	" FROM pg_stat_activity WHERE pid = pg_backend_pid())"};

/* Who the server says we are, and which log this is. */
static enum status meet(struct writer *w)
{
	struct conn_step step = {.stmt = &session_stmt};
	struct db_rows rows = {0};

	enum status st = conn_run(w->conn, &step, 1);
	if (st == STATUS_OK) {
		struct arena *mem = arena_create();
		conn_step_rows(&step, mem, &rows);
		const char *generation = db_text(&rows, 0, 0);
		st = generation != NULL && strlen(generation) < sizeof w->generation ? STATUS_OK
										     : STATUS_INTERNAL;
		if (st == STATUS_OK)
			strcpy(w->generation, generation);
		w->generation_mark = generation_mark(w->generation);
		w->session_pid = db_i64(&rows, 0, 1);
		w->session_began_us = db_i64(&rows, 0, 2);
		arena_destroy(mem);
	}
	conn_steps_clear(&step, 1);
	return st;
}

void writer_disconnect(struct writer *w)
{
	conn_close(w->conn);
	w->conn = NULL;
}

static void tell_reach(struct writer *w, bool reached)
{
	struct committer *c = w->committer;

	pthread_mutex_lock(&c->lock);
	bool moved = reached && strcmp(c->generation, w->generation) != 0;
	bool first = c->generation[0] == '\0';
	if (moved)
		memcpy(c->generation, w->generation, sizeof c->generation);
	/* Only the hasty one speaks for the database: the slow one may just have been refused a second connection. */
	bool turned = !w->patient && c->away == reached;
	if (!w->patient)
		c->away = !reached;
	pthread_mutex_unlock(&c->lock);
	if (moved && !first)
		log_warn("log_generation_changed", LOG_STR("generation", w->generation));
	if (turned && !reached)
		log_warn("committer_away");
	else if (turned)
		log_info("committer_connected", LOG_STR("generation", w->generation));
}

enum status writer_connect(struct writer *w)
{
	if (w->conn != NULL && conn_alive(w->conn))
		return STATUS_OK;
	if (w->conn != NULL)
		metric_add(db_reconnects, 1);
	writer_disconnect(w);
	enum status st = conn_open(&w->options, &w->conn);
	if (st == STATUS_OK) {
		st = meet(w);
		if (st != STATUS_OK)
			writer_disconnect(w);
	}
	tell_reach(w, st == STATUS_OK);
	if (st != STATUS_OK && !w->patient)
		committer_refuse_all(w->committer);
	return st == STATUS_OK ? STATUS_OK : STATUS_BUSY;
}

void writer_rollback(struct writer *w)
{
	static const struct db_stmt rollback_stmt = {"commit_rollback", "ROLLBACK"};
	struct conn_step step = {.stmt = &rollback_stmt};

	if (w->conn == NULL || w->conn->broken || PQtransactionStatus(w->conn->pg) == PQTRANS_IDLE)
		return;
	if (conn_run(w->conn, &step, 1) != STATUS_OK)
		w->conn->broken = true;
	conn_steps_clear(&step, 1);
}

bool writer_made_leaves(struct writer *w)
{
	static const struct db_stmt leaves_stmt = {"commit_leaves", "SELECT log.ensure_leaves(2)"};
	struct conn_step step = {.stmt = &leaves_stmt};
	int64_t now = clock_mono_ms();

	/* check_violation is what PostgreSQL calls a row without a partition. */
	if (w->conn == NULL || strcmp(w->conn->sqlstate, "23514") != 0)
		return false;
	if (w->leaves_made_mono_ms != 0 && now - w->leaves_made_mono_ms < 60000)
		return false;
	w->leaves_made_mono_ms = now;
	writer_rollback(w);
	log_error("log_leaf_missing", LOG_STR("do", "see why the upkeep of the log does not run"));
	enum status st = conn_run(w->conn, &step, 1);
	conn_steps_clear(&step, 1);
	return st == STATUS_OK || st == STATUS_CONFLICT;
}

void writer_publish(struct writer *w, const struct logged_event *events, size_t count)
{
	const struct committer *c = w->committer;

	if (count == 0)
		return;
	if (c->publisher != NULL)
		bus_publish(c->publisher, w->generation, events, count);
	if (c->committed != NULL)
		c->committed(c->committed_arg, events, count);
}

/* ---- what both lanes need */

/* An epoch is a number of its own log: after a failover another history may have come to the same one. */
static bool elsewhere(const struct writer *w, uint64_t generation)
{
	return generation != 0 && generation != w->generation_mark;
}

bool op_actor_elsewhere(const struct writer *w, const struct commit_op *op)
{
	return op->check_actor && elsewhere(w, op->actor_generation);
}

bool op_rights_elsewhere(const struct writer *w, const struct commit_op *op)
{
	for (size_t i = 0; i < op->check_count; i++)
		if (elsewhere(w, op->checks[i].generation))
			return true;
	return false;
}

struct commit_result *op_settle(struct writer *w, struct commit_op *op, enum status st)
{
	struct op_state *state = op_state(op);

	state->settled = true;
	state->result = ARENA_NEW(w->mem, struct commit_result);
	state->result->status = st;
	return state->result;
}

static int by_stream(const void *a, const void *b)
{
	return stream_compare(*(const struct stream *)a, *(const struct stream *)b);
}

size_t lane_streams(
	struct arena *mem, struct commit_op *const *ops, size_t count, struct stream **out_streams)
{
	size_t total = 0, kept = 0;

	for (size_t i = 0; i < count; i++)
		total += ops[i]->stream_count;
	struct stream *all = ARENA_ARRAY(mem, total, struct stream);
	size_t n = 0;
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < ops[i]->stream_count; k++)
			all[n++] = ops[i]->streams[k];
	qsort(all, n, sizeof *all, by_stream);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || stream_compare(all[kept - 1], all[i]) != 0)
			all[kept++] = all[i];
	*out_streams = all;
	return kept;
}

/* ---- gathering a batch */

struct batch {
	const struct commit_set *set; /* NULL: the step lane */
	struct commit_op *ops[COMMIT_SET_MOST];
	size_t count, streams;
	struct commit_op *seen[4 * COMMIT_SET_MOST]; /* open addressing by (actor, request id) */
	struct op_list late;
};

static struct commit_op **place_of(struct batch *b, const struct commit_op *op)
{
	const size_t mask = sizeof b->seen / sizeof b->seen[0] - 1;
	uint64_t start = 0;
	size_t length;
	const uint8_t *id = op_request_id(op, &length);

	memcpy(&start, id, length < sizeof start ? length : sizeof start);
	size_t at = (start ^ op->actor_id) * UINT64_C(0x9E3779B97F4A7C15) >> 40 & mask;
	for (; b->seen[at] != NULL; at = (at + 1) & mask) {
		size_t other_length;
		const uint8_t *other = op_request_id(b->seen[at], &other_length);
		if (b->seen[at]->actor_id == op->actor_id && other_length == length &&
			memcmp(id, other, length) == 0)
			break;
	}
	return &b->seen[at];
}

static bool streams_within(const struct commit_op *op, const struct commit_op *first)
{
	for (size_t i = 0; i < op->stream_count; i++) {
		bool in = false;
		for (size_t k = 0; k < first->stream_count; k++)
			in = in || stream_compare(op->streams[i], first->streams[k]) == 0;
		if (!in)
			return false;
	}
	return true;
}

/* May op join the batch? Two with the same request id never do: the second must find the first one's row. */
static bool fits(struct batch *b, struct commit_op *op, bool patient)
{
	if (patient && b->count > 0 && (op->set != b->set || !streams_within(op, b->ops[0])))
		return false;
	return *place_of(b, op) == NULL;
}

/* Lock held. Takes what fits out of the list, in order. */
static void gather(struct writer *w, struct op_list *from, struct batch *b)
{
	struct commit_op **at = &from->head;
	int64_t now = clock_mono_ms();
	size_t most = 1;

	b->count = b->streams = 0;
	b->late = (struct op_list){0};
	memset(b->seen, 0, sizeof b->seen);
	while (*at != NULL && b->count < most) {
		struct commit_op *op = *at;
		bool late = op->deadline_mono_ms != 0 && op->deadline_mono_ms <= now;
		if (!late && !fits(b, op, w->patient)) {
			at = &op->next;
			continue;
		}
		if (!late && b->set == NULL && b->count > 0 &&
			b->streams + op->stream_count > COMMIT_STREAMS_TOGETHER)
			break;
		*at = op->next;
		if (*at == NULL)
			from->tail = at;
		from->count--;
		w->committer->waiting--;
		if (late) {
			op_list_push(&b->late, op);
			continue;
		}
		if (b->count == 0) {
			b->set = op->set;
			most = op->set != NULL ? COMMIT_SET_MOST : COMMIT_STEP_MOST;
		}
		*place_of(b, op) = op;
		b->ops[b->count++] = op;
		b->streams += op->stream_count;
		op_state(op)->settled = false;
	}
	w->committer->in_flight += b->count + b->late.count;
	metric_set(commit_waiting, (int64_t)w->committer->waiting);
}

/* Lock held. The lanes take turns: one that never runs dry does not keep the others out. */
static struct op_list *next_queue(struct writer *w)
{
	struct committer *c = w->committer;
	unsigned lanes = (unsigned)c->set_count + 1;

	if (w->patient)
		return c->patient.head != NULL ? &c->patient : NULL;
	for (unsigned i = 1; i <= lanes; i++) {
		unsigned lane = (w->lane + i) % lanes;
		struct op_list *queue = lane == 0 ? &c->steps : &c->sets[lane - 1].ops;
		if (queue->head != NULL) {
			w->lane = lane;
			return queue;
		}
	}
	return NULL;
}

static void put_back(struct op_list *to, struct commit_op *op)
{
	if (to->head == NULL)
		to->tail = &op->next;
	op->next = to->head;
	to->head = op;
	to->count++;
}

/* Lock held. What the lane could not settle waits again, before what came later. */
static void put_back_rest(struct writer *w, struct batch *b)
{
	struct committer *c = w->committer;

	for (size_t i = b->count; i-- > 0;) {
		struct commit_op *op = b->ops[i];
		if (op == NULL)
			continue;
		struct op_list *own = &c->steps;
		for (size_t k = 0; k < c->set_count; k++)
			if (c->sets[k].set == op->set)
				own = &c->sets[k].ops;
		bool slow = w->patient || op->skips >= COMMIT_SKIPS_MOST;
		put_back(slow ? &c->patient : own, op);
		c->waiting++;
		if (slow)
			pthread_cond_signal(&c->patient_work);
	}
}

static void run_batch(struct writer *w, struct batch *b)
{
	while (b->late.head != NULL) {
		struct commit_op *op = b->late.head;
		b->late.head = op->next;
		op_fail(op, STATUS_LATE);
	}
	if (b->count == 0)
		return;
	if (writer_connect(w) != STATUS_OK) {
		for (size_t i = 0; i < b->count; i++)
			op_settle(w, b->ops[i], STATUS_BUSY);
	} else if (b->set != NULL) {
		set_lane_run(w, b->set, b->ops, b->count);
	} else {
		step_lane_run(w, b->ops, b->count);
	}
	for (size_t i = 0; i < b->count; i++) {
		struct op_state *state = op_state(b->ops[i]);
		if (!state->settled && state->losses >= COMMIT_LOSSES_MOST)
			op_settle(w, b->ops[i], STATUS_BUSY);
		if (state->settled) {
			op_finish(b->ops[i], state->result);
			b->ops[i] = NULL; /* its owner's again */
		}
	}
	arena_reset(w->mem);
}

/* Until there is work, or the end: false. The hasty one keeps its connection up; the slow one makes it when it has work. */
static bool await_work(struct writer *w, struct batch *b)
{
	struct committer *c = w->committer;
	pthread_cond_t *work = w->patient ? &c->patient_work : &c->work;
	int64_t backoff_ms = BACKOFF_LEAST_MS;
	struct op_list *queue = NULL;

	for (;;) {
		bool reached = w->patient || writer_connect(w) == STATUS_OK;
		pthread_mutex_lock(&c->lock);
		while (!c->stopping && reached && (queue = next_queue(w)) == NULL)
			pthread_cond_wait(work, &c->lock);
		if (c->stopping || reached)
			break;
		int64_t until_ms = clock_mono_ms() + backoff_ms;
		struct timespec until = clock_timespec(until_ms);
		pthread_cond_timedwait(work, &c->lock, &until);
		pthread_mutex_unlock(&c->lock);
		backoff_ms = backoff_ms * 2 < BACKOFF_MOST_MS ? backoff_ms * 2 : BACKOFF_MOST_MS;
	}
	bool go_on = !c->stopping && queue != NULL;
	if (go_on)
		gather(w, queue, b);
	pthread_mutex_unlock(&c->lock);
	return go_on;
}

/* The thread of a writer. */
void *writer_run(void *arg)
{
	struct writer *w = arg;
	struct committer *c = w->committer;
	struct batch *b = calloc(1, sizeof *b);

	if (b == NULL)
		abort();
	while (await_work(w, b)) {
		size_t taken = b->count + b->late.count;
		run_batch(w, b);
		pthread_mutex_lock(&c->lock);
		put_back_rest(w, b);
		c->in_flight -= taken;
		if (c->waiting + c->in_flight == 0)
			pthread_cond_broadcast(&c->idle);
		pthread_mutex_unlock(&c->lock);
	}
	writer_disconnect(w);
	free(b);
	return NULL;
}
