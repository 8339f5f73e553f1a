/*
 * The canary: measured where it arrives, and never shown.
 */
#include "services/gateway/canary.h"

#include <string.h>

#include "common/ops/ops.h"
#include "tests/unit/gateway/world.h"
#include "tests/unit/main.h"

static uint64_t canary(struct world *w)
{
	pb_Event event = {0};

	return world_append(w, &w->internal, EVENT_KIND_canary, "internal", &event);
}

static uint64_t measured(void)
{
	return atomic_load(&metrics.ws_canary_seconds.count);
}

START_TEST(each_canary_from_now_on_is_measured_once)
{
	struct world *w = world_create();
	canary(w);
	canary_begin(&w->hub);
	world_pass(w, 1000);
	world_settle(w);
	uint64_t before = measured();

	canary(w);
	canary(w);
	w->hub.now_wall_ms = 1700000000000 + 2500;
	world_settle(w);

	ck_assert_uint_eq(measured() - before, 2);
	ck_assert_int_eq(atomic_load(&metrics.ws_canary_at), 1700000000);
	world_destroy(w);
}
END_TEST

START_TEST(no_client_sees_it_or_its_stream)
{
	struct world *w = world_create();
	char topic[64], query[256];
	canary_begin(&w->hub);
	snprintf(query, sizeof query, "resume=1&topics=global,%s", world_topic(topic, "user", 1));
	struct world_client *c = world_connect(w, 1, query);
	world_settle(w);
	for (int i = 0; i < 3; i++)
		canary(w);
	world_settle(w);
	for (int i = 0; i < 60; i++) { /* past a heartbeat, which tells positions */
		world_pass(w, 1000);
		world_settle(w);
	}

	for (size_t i = 0; i < c->got_count; i++) {
		char *text = json_dumps(c->got[i], JSON_COMPACT);
		ck_assert_ptr_null(strstr(text, "canary"));
		ck_assert_ptr_null(strstr(text, "3-0000000000000001"));
		free(text);
	}
	ck_assert_uint_gt(c->got_count, 1);
	world_destroy(w);
}
END_TEST

START_TEST(it_is_followed_although_nobody_is_in_its_stream_and_again_after_another_generation)
{
	struct world *w = world_create();
	canary_begin(&w->hub);
	for (int i = 0; i < 100; i++) {
		world_pass(w, 1000);
		world_settle(w);
	}
	ck_assert(w->internal.followed);
	strcpy(w->generation, "one/2/1");
	hub_generation_changed(&w->hub);
	ck_assert(!w->internal.followed);
	w->fail_with = STATUS_BUSY; /* the owners are away for a while */
	for (int i = 0; i < 3; i++) {
		world_pass(w, 1000);
		world_settle(w);
	}
	ck_assert(!w->internal.followed);
	w->fail_with = STATUS_OK;
	for (int i = 0; i < 3; i++) {
		world_pass(w, 1000);
		world_settle(w);
	}
	ck_assert(w->internal.followed);
	uint64_t before = measured();

	canary(w);
	world_settle(w);

	ck_assert_uint_eq(measured() - before, 1);
	world_destroy(w);
}
END_TEST

START_TEST(a_fan_out_ends_when_the_last_socket_that_was_due_is_written)
{
	struct world *w = world_create();
	struct hub *hub = &w->hub;
	uint64_t before = atomic_load(&metrics.ws_fanout_seconds.count), sum = atomic_load(&metrics.ws_fanout_seconds.sum_us);

	hub->bulk.count = 5; /* sockets that are due */
	hub_fanned_out(hub, hub->now_wall_ms - 20);
	hub_written(hub, 3, hub->now_wall_ms);
	ck_assert_uint_eq(atomic_load(&metrics.ws_fanout_seconds.count), before);
	hub->bulk.count = 2;
	hub_fanned_out(hub, hub->now_wall_ms - 10); /* the next event, for the same two */
	hub->bulk.count = 4; /* and two more became due behind them */
	hub_written(hub, 2, hub->now_wall_ms);

	ck_assert_uint_eq(atomic_load(&metrics.ws_fanout_seconds.count), before + 2);
	ck_assert_uint_eq(atomic_load(&metrics.ws_fanout_seconds.sum_us) - sum, 30000);
	hub->bulk.count = 0;
	world_destroy(w);
}
END_TEST

TESTS("gateway canary", each_canary_from_now_on_is_measured_once, no_client_sees_it_or_its_stream,
	it_is_followed_although_nobody_is_in_its_stream_and_again_after_another_generation,
	a_fan_out_ends_when_the_last_socket_that_was_due_is_written)
