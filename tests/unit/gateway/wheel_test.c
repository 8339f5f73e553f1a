#include "services/gateway/wheel.h"

#include <string.h>

#include "tests/unit/main.h"

struct probe {
	struct timer timer;
	struct wheel *wheel;
	int fired;
	int64_t fired_at_ms;
	int64_t again_after_ms;
	struct probe *stops;
};

static void probe_fire(struct timer *timer, int64_t now_mono_ms)
{
	struct probe *probe = (struct probe *)timer;

	probe->fired++;
	probe->fired_at_ms = now_mono_ms;
	if (probe->again_after_ms > 0)
		wheel_start(probe->wheel, timer, now_mono_ms + probe->again_after_ms);
	if (probe->stops != NULL)
		wheel_stop(probe->wheel, &probe->stops->timer);
}

static void run_to(struct wheel *wheel, int64_t from_ms, int64_t to_ms)
{
	for (int64_t now = from_ms; now <= to_ms; now++)
		wheel_run(wheel, now);
}

START_TEST(a_timer_fires_once_and_at_most_a_tick_late)
{
	static struct wheel wheel;
	for (int64_t due = 1001; due < 1200; due++) {
		struct probe probe = {.timer.fire = probe_fire, .wheel = &wheel};
		wheel_init(&wheel, 1000);
		wheel_start(&wheel, &probe.timer, due);
		run_to(&wheel, 1000, 1300);
		ck_assert_int_eq(probe.fired, 1);
		ck_assert_int_ge(probe.fired_at_ms, due);
		ck_assert_int_le(probe.fired_at_ms, due + WHEEL_TICK_MS);
	}
}
END_TEST

START_TEST(a_timer_longer_than_a_turn_waits_for_its_turn)
{
	static struct wheel wheel;
	struct probe probe = {.timer.fire = probe_fire, .wheel = &wheel};
	int64_t due = 5 + 3 * (int64_t)WHEEL_SLOTS * WHEEL_TICK_MS;

	wheel_init(&wheel, 0);
	wheel_start(&wheel, &probe.timer, due);
	run_to(&wheel, 0, due - 1);
	ck_assert_int_eq(probe.fired, 0);
	run_to(&wheel, due, due + WHEEL_TICK_MS);
	ck_assert_int_eq(probe.fired, 1);
}
END_TEST

START_TEST(a_stopped_timer_does_not_fire)
{
	static struct wheel wheel;
	struct probe probe = {.timer.fire = probe_fire, .wheel = &wheel};

	wheel_init(&wheel, 0);
	wheel_start(&wheel, &probe.timer, 100);
	wheel_stop(&wheel, &probe.timer);
	run_to(&wheel, 0, 500);
	ck_assert_int_eq(probe.fired, 0);
	ck_assert_uint_eq(wheel.count, 0);
	ck_assert_int_eq(wheel_wait_ms(&wheel, 500, 77), 77);
}
END_TEST

START_TEST(a_timer_may_start_itself_and_stop_one_that_is_due_with_it)
{
	static struct wheel wheel;
	struct probe a = {.timer.fire = probe_fire, .wheel = &wheel, .again_after_ms = 200};
	struct probe b = {.timer.fire = probe_fire, .wheel = &wheel};

	a.stops = &b;
	b.stops = &a;
	a.again_after_ms = 0;
	wheel_init(&wheel, 0);
	wheel_start(&wheel, &a.timer, 100);
	wheel_start(&wheel, &b.timer, 100);
	run_to(&wheel, 0, 300);
	ck_assert_int_eq(a.fired + b.fired, 1);

	struct probe c = {.timer.fire = probe_fire, .wheel = &wheel, .again_after_ms = 200};
	wheel_start(&wheel, &c.timer, 400);
	run_to(&wheel, 300, 1100);
	ck_assert_int_ge(c.fired, 3);
}
END_TEST

START_TEST(a_long_pause_fires_everything_once)
{
	static struct wheel wheel;
	struct probe probes[64];

	wheel_init(&wheel, 0);
	for (int i = 0; i < 64; i++) {
		probes[i] = (struct probe){.timer.fire = probe_fire, .wheel = &wheel};
		wheel_start(&wheel, &probes[i].timer, 1000 * i);
	}
	wheel_run(&wheel, 1000000000);
	for (int i = 0; i < 64; i++)
		ck_assert_int_eq(probes[i].fired, 1);
}
END_TEST

START_TEST(the_wait_never_passes_the_next_timer)
{
	static struct wheel wheel;
	struct probe probe = {.timer.fire = probe_fire, .wheel = &wheel};
	int64_t now = 0;

	wheel_init(&wheel, 0);
	wheel_start(&wheel, &probe.timer, 10007);
	while (probe.fired == 0) {
		now += wheel_wait_ms(&wheel, now, 1000);
		wheel_run(&wheel, now);
		ck_assert_int_le(now, 10007 + WHEEL_TICK_MS);
	}
	ck_assert_int_ge(now, 10007);
}
END_TEST

TESTS("wheel", a_timer_fires_once_and_at_most_a_tick_late, a_timer_longer_than_a_turn_waits_for_its_turn,
	a_stopped_timer_does_not_fire, a_timer_may_start_itself_and_stop_one_that_is_due_with_it,
	a_long_pause_fires_everything_once, the_wait_never_passes_the_next_timer)
