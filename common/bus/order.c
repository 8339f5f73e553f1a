/* The threads around order_core: one that owns it and tells the owner, and some that ask the log and may block. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/log.h"
#include "common/bus/bus.h"
#include "common/bus/order_core.h"
#include "common/bus/subscriber.h"
#include "common/ops/ops.h"

#define TAKE_MOST     256
#define IDLE_MS       1000
#define FETCH_THREADS 3

/* Something for the order thread. */
enum wish_kind { WISH_FOLLOW, WISH_UNFOLLOW, WISH_HINT, WISH_FETCHED, WISH_HEADED };
struct wish {
	struct wish *prev, *next;
	enum wish_kind kind;
	struct stream stream;
	uint64_t seq;
	void *cookie;
	struct question *question; /* answered */
};

/* Something for a fetch thread, and its answer. */
struct question {
	struct question *prev, *next;
	bool of_heads;
	uint64_t ticket;
	struct stream stream;
	uint64_t after, expect_head;
	uint32_t limit;
	struct stream *streams;
	size_t stream_count;
	struct arena *mem; /* of streams and answer */
	enum status status;
	pb_FetchEventsReply rows;
	pb_StreamHeadsReply heads;
};

struct bus_order {
	struct bus_order_options options;
	struct frame_queue *queue;
	struct bus_subscriber *subscriber;
	struct order_core *core; /* the order thread's own */
	_Atomic bool stopping;

	pthread_mutex_t wishes_lock; /* of what follows; leaf */
	struct wish *wishes;

	pthread_mutex_t generation_lock;
	char generation[FRAME_GENERATION_SIZE];

	pthread_mutex_t questions_lock; /* of what follows; leaf */
	pthread_cond_t asked;
	struct question *questions;
	bool closed;

	bool started;
	pthread_t thread;
	size_t fetcher_count;
	pthread_t fetchers[FETCH_THREADS];
};

static void *memory(size_t size)
{
	void *at = calloc(1, size);

	if (at == NULL) {
		log_error("out_of_memory", LOG_U64("size_bytes", size));
		abort();
	}
	return at;
}

static void wish_add(struct bus_order *order, struct wish wish)
{
	struct wish *kept = memory(sizeof *kept);

	*kept = wish;
	pthread_mutex_lock(&order->wishes_lock);
	DL_APPEND(order->wishes, kept);
	pthread_mutex_unlock(&order->wishes_lock);
	frame_queue_wake(order->queue);
}

void bus_order_follow(struct bus_order *order, struct stream s, uint64_t at, void *cookie)
{
	wish_add(order, (struct wish){.kind = WISH_FOLLOW, .stream = s, .seq = at, .cookie = cookie});
}

void bus_order_unfollow(struct bus_order *order, struct stream s)
{
	wish_add(order, (struct wish){.kind = WISH_UNFOLLOW, .stream = s});
}

void bus_order_hint(struct bus_order *order, struct stream s, uint64_t seq)
{
	wish_add(order, (struct wish){.kind = WISH_HINT, .stream = s, .seq = seq});
}

bool bus_order_publishers_heard(struct bus_order *order, int within_ms)
{
	return bus_subscriber_heard(order->subscriber, within_ms);
}

void bus_order_generation(struct bus_order *order, char out[96])
{
	_Static_assert(FRAME_GENERATION_SIZE == 96, "as bus.h says");
	pthread_mutex_lock(&order->generation_lock);
	memcpy(out, order->generation, sizeof order->generation);
	pthread_mutex_unlock(&order->generation_lock);
}

/* ---- the threads that ask the log */

static struct question *question_create(void)
{
	struct question *q = memory(sizeof *q);

	q->mem = arena_create();
	return q;
}

static void question_destroy(struct question *q)
{
	arena_destroy(q->mem);
	free(q);
}

static void question_ask(struct bus_order *order, struct question *q)
{
	pthread_mutex_lock(&order->questions_lock);
	/* One question about heads clears up many streams, so it does not wait behind fetches. */
	if (q->of_heads)
		DL_PREPEND(order->questions, q);
	else
		DL_APPEND(order->questions, q);
	pthread_cond_signal(&order->asked);
	pthread_mutex_unlock(&order->questions_lock);
}

static void core_fetch(void *arg, uint64_t ticket, struct stream s, uint64_t after, uint32_t limit, uint64_t expect_head)
{
	struct question *q = question_create();

	q->ticket = ticket;
	q->stream = s;
	q->after = after;
	q->limit = limit;
	q->expect_head = expect_head;
	question_ask(arg, q);
}

static void core_heads(void *arg, uint64_t ticket, const struct stream *streams, size_t count)
{
	struct question *q = question_create();

	q->of_heads = true;
	q->ticket = ticket;
	q->streams = arena_memdup(q->mem, streams, count * sizeof *streams);
	q->stream_count = count;
	question_ask(arg, q);
}

static void *fetcher_main(void *arg)
{
	struct bus_order *order = arg;
	const struct bus_order_options *o = &order->options;

	pthread_mutex_lock(&order->questions_lock);
	for (;;) {
		while (order->questions == NULL && !order->closed)
			pthread_cond_wait(&order->asked, &order->questions_lock);
		if (order->closed)
			break;
		struct question *q = order->questions;
		DL_DELETE(order->questions, q);
		pthread_mutex_unlock(&order->questions_lock);
		if (q->of_heads)
			q->status = o->heads(o->source, q->mem, q->streams, q->stream_count, &q->heads);
		else
			q->status = o->fetch(o->source, q->mem, q->stream, q->after, q->limit, q->expect_head, &q->rows);
		wish_add(order, (struct wish){.kind = q->of_heads ? WISH_HEADED : WISH_FETCHED, .question = q});
		pthread_mutex_lock(&order->questions_lock);
	}
	pthread_mutex_unlock(&order->questions_lock);
	return NULL;
}

/* ---- the order thread */

static void wish_grant(struct bus_order *order, const struct wish *wish, int64_t now)
{
	struct question *q = wish->question;

	switch (wish->kind) {
	case WISH_FOLLOW:
		order_core_follow(order->core, wish->stream, wish->seq, wish->cookie, now);
		return;
	case WISH_UNFOLLOW:
		order_core_unfollow(order->core, wish->stream);
		return;
	case WISH_HINT:
		order_core_hint(order->core, wish->stream, wish->seq, now);
		return;
	case WISH_FETCHED:
		order_core_fetched(order->core, q->ticket, q->stream, q->status, &q->rows, now);
		question_destroy(q);
		return;
	case WISH_HEADED:
		order_core_headed(order->core, q->ticket, q->status, &q->heads, now);
		question_destroy(q);
		return;
	}
}

static struct wish *wishes_take(struct bus_order *order)
{
	pthread_mutex_lock(&order->wishes_lock);
	struct wish *wishes = order->wishes;
	order->wishes = NULL;
	pthread_mutex_unlock(&order->wishes_lock);
	return wishes;
}

static void wishes_grant(struct bus_order *order)
{
	struct wish *wishes = wishes_take(order);
	struct wish *wish, *after;
	int64_t now = clock_mono_ms();

	DL_FOREACH_SAFE(wishes, wish, after)
	{
		wish_grant(order, wish, now);
		free(wish);
	}
}

static void frame_order(struct bus_order *order, nng_msg *msg)
{
	struct frame frame;

	if (frame_read(nng_msg_body(msg), nng_msg_len(msg), &frame) == STATUS_OK)
		order_core_frame(order->core, &frame, clock_mono_ms());
	else
		order_core_frame_lost(order->core, clock_mono_ms());
}

static void state_show(struct bus_order *order)
{
	struct order_core_numbers numbers = order_core_numbers(order->core);
	const char *generation = order_core_generation(order->core);

	metric_set(bus_streams, (int64_t)numbers.streams);
	metric_set(bus_behind, (int64_t)numbers.behind);
	if (strcmp(generation, order->generation) == 0) /* only this thread writes it */
		return;
	pthread_mutex_lock(&order->generation_lock);
	snprintf(order->generation, sizeof order->generation, "%s", generation);
	pthread_mutex_unlock(&order->generation_lock);
}

static void *order_main(void *arg)
{
	struct bus_order *order = arg;
	nng_msg *frames[TAKE_MOST];
	int64_t due = 0;

	while (!atomic_load(&order->stopping)) {
		int64_t idle = clock_mono_ms() + IDLE_MS;
		size_t count = frame_queue_take(order->queue, due < idle ? due : idle, frames, TAKE_MOST);
		wishes_grant(order);
		for (size_t i = 0; i < count; i++) {
			frame_order(order, frames[i]);
			nng_msg_free(frames[i]);
		}
		due = order_core_tick(order->core, clock_mono_ms());
		state_show(order);
	}
	return NULL;
}

/* The owner hears of a generation from within the core; whoever asks then has to get the new one. */
static void tell_generation(void *arg, const char *generation)
{
	struct bus_order *order = arg;

	pthread_mutex_lock(&order->generation_lock);
	snprintf(order->generation, sizeof order->generation, "%s", generation);
	pthread_mutex_unlock(&order->generation_lock);
	order->options.callbacks.generation(order->options.callbacks.arg, generation);
}

static void tell_event(void *arg, struct bus_event *ev)
{
	struct bus_order *order = arg;

	order->options.callbacks.event(order->options.callbacks.arg, ev);
}

static void tell_ephemeral(void *arg, struct bus_event *ev)
{
	struct bus_order *order = arg;

	order->options.callbacks.ephemeral(order->options.callbacks.arg, ev);
}

static void tell_followed(void *arg, struct stream s, uint64_t applied, void *cookie)
{
	struct bus_order *order = arg;

	order->options.callbacks.followed(order->options.callbacks.arg, s, applied, cookie);
}

static void tell_refetch(void *arg, struct stream s, uint64_t head)
{
	struct bus_order *order = arg;

	order->options.callbacks.refetch(order->options.callbacks.arg, s, head);
}

static struct order_core *core_create(struct bus_order *order)
{
	struct order_core_options options = {
		.callbacks = {tell_event, tell_ephemeral, tell_followed, tell_refetch, tell_generation, order},
		.fetch = core_fetch,
		.heads = core_heads,
		.arg = order,
		.stream_buffer_bytes = order->options.stream_buffer_bytes,
		.total_buffer_bytes = order->options.total_buffer_bytes,
	};

	ids_random_bytes(&options.seed, sizeof options.seed);
	return order_core_create(&options);
}

enum status bus_order_create(const struct bus_order_options *options, struct bus_order **out_order)
{
	struct bus_order *order = calloc(1, sizeof *order);
	enum status st = STATUS_INTERNAL;

	if (order == NULL)
		return STATUS_INTERNAL;
	order->options = *options;
	pthread_mutex_init(&order->wishes_lock, NULL);
	pthread_mutex_init(&order->generation_lock, NULL);
	pthread_mutex_init(&order->questions_lock, NULL);
	pthread_cond_init(&order->asked, NULL);
	order->core = core_create(order);
	order->queue = frame_queue_create();
	if (order->queue != NULL)
		st = bus_subscriber_create(options->publishers, options->insecure, options->drop_percent, order->queue, &order->subscriber);
	if (st == STATUS_OK) {
		order->started = pthread_create(&order->thread, NULL, order_main, order) == 0;
		st = order->started ? STATUS_OK : STATUS_INTERNAL;
	}
	for (; st == STATUS_OK && order->fetcher_count < FETCH_THREADS; order->fetcher_count++) {
		if (pthread_create(&order->fetchers[order->fetcher_count], NULL, fetcher_main, order) != 0) {
			st = STATUS_INTERNAL;
			break;
		}
	}
	if (st != STATUS_OK) {
		bus_order_destroy(order);
		return st;
	}
	*out_order = order;
	return STATUS_OK;
}

void bus_order_destroy(struct bus_order *order)
{
	struct question *q, *q_after;
	struct wish *wish, *after;

	if (order == NULL)
		return;
	bus_subscriber_destroy(order->subscriber);
	atomic_store(&order->stopping, true);
	pthread_mutex_lock(&order->questions_lock);
	order->closed = true;
	pthread_cond_broadcast(&order->asked);
	pthread_mutex_unlock(&order->questions_lock);
	if (order->started) {
		frame_queue_wake(order->queue);
		pthread_join(order->thread, NULL);
	}
	for (size_t i = 0; i < order->fetcher_count; i++)
		pthread_join(order->fetchers[i], NULL);
	DL_FOREACH_SAFE(order->questions, q, q_after)
	{
		question_destroy(q);
	}
	struct wish *wishes = wishes_take(order);
	DL_FOREACH_SAFE(wishes, wish, after)
	{
		if (wish->question != NULL)
			question_destroy(wish->question);
		free(wish);
	}
	order_core_destroy(order->core);
	frame_queue_destroy(order->queue);
	pthread_cond_destroy(&order->asked);
	pthread_mutex_destroy(&order->questions_lock);
	pthread_mutex_destroy(&order->generation_lock);
	pthread_mutex_destroy(&order->wishes_lock);
	free(order);
}
