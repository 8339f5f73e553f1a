/*
 * Several publishers, streams and a log under random loss, delay, crossing, failing and lagging answers, follows and leaves:
 * whatever happens, a followed stream is delivered exactly in order without a hole (the fixture checks each event), and once the
 * weather clears everything there is was delivered.
 */
#include "tests/unit/bus/fixture.h"

#define PUBLISHERS 3
#define STREAMS    6
#define TURNS      4000

/* What a publisher has on the way: delivered in its order, whenever. */
struct channel {
	uint64_t last_batch;
	struct sent frames[4096];
	size_t first, count;
};

struct weather {
	int loss_percent, busy_percent, lag_percent, deliver_percent, answer_percent;
};

static struct channel channels[PUBLISHERS];

static bool chance(int percent)
{
	return rand() % 100 < percent;
}

static void channel_keep(void *arg, const uint8_t *bytes, size_t length)
{
	struct channel *c = arg;

	ck_assert_uint_lt(c->count, sizeof c->frames / sizeof *c->frames);
	uint8_t *copy = malloc(length);
	memcpy(copy, bytes, length);
	c->frames[c->count++] = (struct sent){copy, length};
}

static void publish_some(struct fixture *fx, int publisher)
{
	struct channel *c = &channels[publisher];
	struct frame_origin origin = origin_of(fx, (uint64_t)publisher + 1);
	struct logged_event events[4];
	size_t count = 1 + (size_t)rand() % 4;

	for (size_t i = 0; i < count; i++)
		events[i] = commit(fx, 1 + (uint64_t)rand() % STREAMS);
	frame_write_batch(fx->mem, &origin, ++c->last_batch, events, count, channel_keep, c);
}

static void beat(struct fixture *fx, int publisher, const struct frame_head *heads, size_t count)
{
	struct channel *c = &channels[publisher];
	struct frame_origin origin = origin_of(fx, (uint64_t)publisher + 1);

	frame_write_heartbeat(fx->mem, &origin, c->last_batch, heads, count, false, true, channel_keep, c);
}

static void channel_deliver(struct fixture *fx, struct channel *c, const struct weather *w)
{
	struct sent *sent = &c->frames[c->first++];

	if (!chance(w->loss_percent))
		frame_arrives(fx, sent);
	free(sent->bytes);
	if (c->first == c->count)
		c->first = c->count = 0;
}

static void answer_some(struct fixture *fx, const struct weather *w)
{
	for (size_t i = 0; i < fx->question_count; i++) {
		struct asked *q = &fx->questions[i];
		if (q->answered || !chance(w->answer_percent))
			continue;
		uint64_t head = q->of_heads ? 0 : fx->heads[q->stream.id];
		if (chance(w->busy_percent))
			answer_with(fx, q, STATUS_BUSY);
		else if (!q->of_heads && chance(w->lag_percent))
			answer_fetch_as_of(fx, q, head - (uint64_t)rand() % (head + 1));
		else
			answer(fx, q);
	}
	/* The answered ones at the front make room. */
	size_t kept = 0;
	for (size_t i = 0; i < fx->question_count; i++) {
		if (!fx->questions[i].answered)
			fx->questions[kept++] = fx->questions[i];
	}
	fx->question_count = kept;
}

static void run(unsigned seed, struct weather w, size_t stream_buffer_bytes)
{
	struct fixture *fx = fixture_create(stream_buffer_bytes, stream_buffer_bytes * 3);
	int followers[STREAMS + 1] = {0};

	srand(seed);
	memset(channels, 0, sizeof channels);
	for (int turn = 0; turn < TURNS; turn++) {
		int publisher = rand() % PUBLISHERS;
		uint64_t stream = 1 + (uint64_t)rand() % STREAMS;
		if (chance(15))
			publish_some(fx, publisher);
		if (turn % 100 < PUBLISHERS) /* every 100 ms one each */
			beat(fx, turn % 100, NULL, 0);
		if (chance(1) && followers[stream] < 3) {
			uint64_t at = followers[stream] > 0 ? 0 : (uint64_t)rand() % (fx->heads[stream] + 1);
			order_core_follow(fx->core, team(stream), at, NULL, fx->now);
			followers[stream]++;
		}
		if (rand() % 400 == 0 && followers[stream] > 0) {
			order_core_unfollow(fx->core, team(stream));
			followers[stream]--;
		}
		for (int p = 0; p < PUBLISHERS; p++) {
			while (channels[p].first < channels[p].count && chance(w.deliver_percent))
				channel_deliver(fx, &channels[p], &w);
		}
		answer_some(fx, &w);
		pass(fx, 1);
		if (turn % 200 == 0)
			arena_reset(fx->mem);
	}
	/* The weather clears: what is on the way arrives, heartbeats come, the log answers. */
	w = (struct weather){.deliver_percent = 100, .answer_percent = 100};
	for (int p = 0; p < PUBLISHERS; p++) {
		beat(fx, p, NULL, 0);
		while (channels[p].first < channels[p].count)
			channel_deliver(fx, &channels[p], &w);
	}
	for (int turn = 0; turn < 4000; turn++) {
		answer_some(fx, &w);
		pass(fx, 1);
	}
	for (uint64_t stream = 1; stream <= STREAMS; stream++) {
		if (followers[stream] > 0)
			ck_assert_msg(fx->applied[stream] == fx->heads[stream], "seed %u: stream %d stands at %d of %d", seed, (int)stream,
				(int)fx->applied[stream], (int)fx->heads[stream]);
	}
	ck_assert_uint_gt(fx->events, 100);
	ck_assert_uint_eq(fx->refetches, 0);
	ck_assert_uint_eq(order_core_numbers(fx->core).behind, 0);
	ck_assert_uint_eq(order_core_numbers(fx->core).buffered_bytes, 0);
	fixture_destroy(fx);
}

START_TEST(without_loss_only_crossing_publishers)
{
	for (unsigned seed = 0; seed < 10; seed++)
		run(seed, (struct weather){.deliver_percent = 40, .answer_percent = 20}, 0);
}
END_TEST

START_TEST(with_loss_and_an_honest_log)
{
	for (unsigned seed = 100; seed < 110; seed++)
		run(seed, (struct weather){.loss_percent = 30, .deliver_percent = 50, .answer_percent = 20}, 0);
}
END_TEST

START_TEST(with_loss_a_log_that_fails_and_replicas_that_lag)
{
	for (unsigned seed = 200; seed < 210; seed++)
		run(seed, (struct weather){.loss_percent = 50, .busy_percent = 40, .lag_percent = 40, .deliver_percent = 50, .answer_percent = 20}, 0);
}
END_TEST

START_TEST(with_buffers_for_a_handful_of_events)
{
	for (unsigned seed = 300; seed < 310; seed++)
		run(seed, (struct weather){.loss_percent = 30, .busy_percent = 20, .lag_percent = 20, .deliver_percent = 50, .answer_percent = 20}, 8000);
}
END_TEST

TESTS("bus order at random", without_loss_only_crossing_publishers, with_loss_and_an_honest_log,
	with_loss_a_log_that_fails_and_replicas_that_lag, with_buffers_for_a_handful_of_events)
