/*
 * race - calls that go out at the same moment, each on a thread of its own.
 */
#pragma once

#include "tests/unit/messaging/fixture.h"

#define RACERS_MAX 16

struct racer {
	struct fixture *fx;
	struct rpc_context context; /* of user 5 + i % 3 */
	struct arena *mem;
	struct rpc_outcome outcome;
	enum status status; /* what run gave */
	size_t i;
	void *arg;
	enum status (*run)(struct racer *r);
	pthread_barrier_t *start;
	pthread_t thread;
};

static inline void *racer_thread(void *arg)
{
	struct racer *r = arg;

	pthread_barrier_wait(r->start);
	r->status = r->run(r);
	return NULL;
}

/* Runs `run` n times at once; how often each status came is in counts. */
static inline void race(
	struct fixture *fx, struct racer *racers, size_t n, enum status (*run)(struct racer *r), void *arg)
{
	pthread_barrier_t start;
	uint64_t user = fx->user;

	ck_assert_uint_le(n, RACERS_MAX);
	pthread_barrier_init(&start, NULL, (unsigned)n);
	for (size_t i = 0; i < n; i++) {
		fx->user = 5 + i % 3;
		racers[i] = (struct racer){.fx = fx,
			.context = fixture_context(fx, true),
			.mem = arena_create(),
			.i = i,
			.arg = arg,
			.run = run,
			.start = &start};
	}
	fx->user = user;
	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(pthread_create(&racers[i].thread, NULL, racer_thread, &racers[i]), 0);
	for (size_t i = 0; i < n; i++)
		pthread_join(racers[i].thread, NULL);
	for (size_t i = 0; i < n; i++)
		arena_destroy(racers[i].mem);
	pthread_barrier_destroy(&start);
}

static inline size_t raced(const struct racer *racers, size_t n, enum status st)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += racers[i].status == st;
	return count;
}

/* One call of a racer. */
#define RACE(r, call, Request, reply, ...)                                                                   \
	messaging_##call(                                                                                    \
		(r)->fx->client, (r)->mem, &(r)->context, &(Request){__VA_ARGS__}, (reply), &(r)->outcome)
