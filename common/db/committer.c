#include "common/db/writer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/ops/ops.h"
#include "common/rpc/rpc.h"

struct op_waiter {
	sem_t done;
	struct arena *mem;
	struct commit_result *out_result;
};

const uint8_t *op_request_id(const struct commit_op *op, size_t *out_length)
{
	if (op->request_id_length > 0) {
		*out_length = op->request_id_length;
		return op->request_id;
	}
	const struct op_state *state = (const void *)op->private_;
	*out_length = sizeof state->made_id;
	return state->made_id;
}

void op_list_push(struct op_list *list, struct commit_op *op)
{
	if (list->head == NULL)
		list->tail = &list->head;
	op->next = NULL;
	*list->tail = op;
	list->tail = &op->next;
	list->count++;
}

/* ---- how ops end */

static void answer_waiter(struct op_waiter *waiter, const struct commit_result *result)
{
	struct commit_result *out = waiter->out_result;

	/* Its owner sleeps: for this moment the arena is ours. */
	*out = *result;
	out->why = arena_strdup(waiter->mem, result->why);
	out->field = arena_strdup(waiter->mem, result->field);
	out->detail = arena_strdup(waiter->mem, result->detail);
	if (result->reply != NULL)
		out->reply = arena_memdup(waiter->mem, result->reply, result->reply_length);
	sem_post(&waiter->done); /* waiter is gone from here on */
}

void op_finish(struct commit_op *op, const struct commit_result *result)
{
	struct op_waiter *waiter = op_state(op)->waiter;

	if (result->status == STATUS_STALE)
		metric_add(commit_stale, 1);
	if (waiter != NULL)
		answer_waiter(waiter, result);
	else
		op->done(op->arg, result);
}

void op_fail(struct commit_op *op, enum status st)
{
	op_finish(op, &(struct commit_result){.status = st});
}

static void move_all(struct op_list *to, struct op_list *from)
{
	while (from->head != NULL) {
		struct commit_op *op = from->head;
		from->head = op->next;
		op_list_push(to, op);
	}
	from->count = 0;
}

void committer_refuse_all(struct committer *c)
{
	struct op_list all = {0};

	pthread_mutex_lock(&c->lock);
	move_all(&all, &c->steps);
	for (size_t i = 0; i < c->set_count; i++)
		move_all(&all, &c->sets[i].ops);
	move_all(&all, &c->patient);
	c->waiting = 0;
	metric_set(commit_waiting, 0);
	pthread_cond_broadcast(&c->idle);
	pthread_mutex_unlock(&c->lock);
	while (all.head != NULL) {
		struct commit_op *op = all.head;
		all.head = op->next;
		op_fail(op, STATUS_BUSY);
	}
}

/* ---- submitting */

/* The queue of an op; lock held. NULL: more kinds of sets than there are places. */
static struct op_list *queue_of(struct committer *c, const struct commit_set *set)
{
	if (set == NULL)
		return &c->steps;
	for (size_t i = 0; i < c->set_count; i++)
		if (c->sets[i].set == set)
			return &c->sets[i].ops;
	assert(c->set_count < COMMIT_SETS_MOST);
	c->sets[c->set_count].set = set;
	return &c->sets[c->set_count++].ops;
}

static void submit(struct committer *c, struct commit_op *op, struct op_waiter *waiter)
{
	struct op_state *state = op_state(op);

	assert(op->set != NULL ? op->work == NULL && op->stream_count == 1 && op->check_count <= 1
			       : op->work != NULL);
	assert(op->stream_count <= COMMIT_STREAMS_MAX && op->request_id_length <= 64);
	assert(op->check_count <= sizeof op->checks / sizeof op->checks[0]);
	memset(op->private_, 0, sizeof op->private_);
	op->skips = 0;
	state->waiter = waiter;
	if (op->request_id_length == 0)
		ids_random_bytes(state->made_id, sizeof state->made_id);

	pthread_mutex_lock(&c->lock);
	bool refused = c->away || c->draining || c->waiting >= COMMIT_WAITING_MOST;
	if (!refused) {
		op_list_push(queue_of(c, op->set), op);
		c->waiting++;
		metric_set(commit_waiting, (int64_t)c->waiting);
		pthread_cond_signal(&c->work);
	}
	pthread_mutex_unlock(&c->lock);
	if (refused)
		op_fail(op, STATUS_BUSY);
}

void committer_submit(struct committer *c, struct commit_op *op)
{
	assert(op->done != NULL);
	submit(c, op, NULL);
}

enum status committer_run(
	struct committer *c, struct arena *mem, struct commit_op *op, struct commit_result *out_result)
{
	struct op_waiter waiter = {.mem = mem, .out_result = out_result};

	sem_init(&waiter.done, 0, 0);
	submit(c, op, &waiter);
	while (sem_wait(&waiter.done) != 0)
		assert(errno == EINTR);
	sem_destroy(&waiter.done);
	return out_result->status;
}

void commit_op_from_call(struct commit_op *op, const struct rpc_call *call)
{
	const pb_RpcHeader *header = call->header;

	op->actor_id = header->actor_id;
	op->actor_epoch = header->actor_epoch;
	op->actor_generation = header->actor_generation;
	op->check_actor = header->actor_id != 0;
	op->request_id = header->request_id.bytes;
	op->request_id_length = header->request_id.size;
	op->body_hash = header->body_hash.size == 32 ? header->body_hash.bytes : NULL;
	op->deadline_mono_ms = call->deadline_mono_ms;
	op->trace = header->trace_id;
}

/* ---- life */

static void writer_init(struct writer *w, struct committer *c, bool patient)
{
	*w = (struct writer){
		.committer = c,
		.patient = patient,
		.options = {.url = c->url, .service = c->service, .generic_plans = true},
	};
	w->mem = arena_create();
}

static void start_writer(struct writer *w)
{
	if (pthread_create(&w->thread, NULL, writer_run, w) != 0)
		abort();
	w->started = true;
}

enum status committer_create(const struct committer_options *options, struct committer **out_committer)
{

	struct committer *c = calloc(1, sizeof *c);
	if (c == NULL)
		abort();
	c->config = options->config;
	c->url = strdup(options->config->db_url);
	c->service = strdup(options->service);
	if (c->url == NULL || c->service == NULL)
		abort();
	c->publisher = options->publisher;
	c->committed = options->committed;
	c->committed_arg = options->committed_arg;
	pthread_mutex_init(&c->lock, NULL);
	clock_cond_init(&c->work);
	clock_cond_init(&c->patient_work);
	clock_cond_init(&c->idle);
	writer_init(&c->hasty, c, false);
	writer_init(&c->slow, c, true);
	start_writer(&c->hasty);
	start_writer(&c->slow);
	*out_committer = c;
	return STATUS_OK;
}

void committer_drain(struct committer *c, int deadline_ms)
{
	int64_t deadline = clock_mono_ms() + deadline_ms;
	struct timespec until = clock_timespec(deadline);

	pthread_mutex_lock(&c->lock);
	c->draining = true;
	while (c->waiting + c->in_flight > 0)
		if (pthread_cond_timedwait(&c->idle, &c->lock, &until) == ETIMEDOUT)
			break;
	size_t left = c->waiting + c->in_flight;
	pthread_mutex_unlock(&c->lock);
	if (left > 0)
		log_warn("commit_drain_incomplete", LOG_U64("left", left));
}

void committer_destroy(struct committer *c)
{
	if (c == NULL)
		return;
	pthread_mutex_lock(&c->lock);
	c->draining = c->stopping = true;
	pthread_cond_broadcast(&c->work);
	pthread_cond_broadcast(&c->patient_work);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->hasty.thread, NULL);
	pthread_join(c->slow.thread, NULL);
	committer_refuse_all(c);
	arena_destroy(c->hasty.mem);
	arena_destroy(c->slow.mem);
	pthread_cond_destroy(&c->idle);
	pthread_cond_destroy(&c->patient_work);
	pthread_cond_destroy(&c->work);
	pthread_mutex_destroy(&c->lock);
	free(c->url);
	free(c->service);
	free(c);
}

void committer_generation(struct committer *c, char out[96])
{
	pthread_mutex_lock(&c->lock);
	memcpy(out, c->generation, 96);
	pthread_mutex_unlock(&c->lock);
}
