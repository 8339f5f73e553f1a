/*
 * wheel - many timers that are mostly cancelled or moved: heartbeats, deadlines, retries. Adding, cancelling
 * and moving take constant time; a timer fires at most one tick late. Monotonic time is passed in. Belongs to
 * one loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WHEEL_TICK_MS 16
#define WHEEL_SLOTS   2048 /* a turn is 32.8 s; longer timers pass their slot more than once */

struct timer {
	struct timer *next, **link; /* link NULL: not in a wheel */
	int64_t due_tick;
	void (*fire)(struct timer *timer, int64_t now_mono_ms);
};

struct wheel {
	struct timer *slots[WHEEL_SLOTS];
	uint64_t used[WHEEL_SLOTS / 64]; /* a bit per slot that is not empty */
	int64_t tick;                    /* the last one that was run */
	size_t count;
};

void wheel_init(struct wheel *wheel, int64_t now_mono_ms);
/* (Re)starts timer so that fire is called at due_mono_ms or one tick later; what is due already fires at the
 * next wheel_run. timer->fire must be set. */
void wheel_start(struct wheel *wheel, struct timer *timer, int64_t due_mono_ms);
void wheel_stop(struct wheel *wheel, struct timer *timer); /* fine when it is not running */
static inline bool timer_running(const struct timer *timer)
{
	return timer->link != NULL;
}
/* Fires what is due. A timer is stopped before it fires and may start, stop or free any timer, itself
 * included. */
void wheel_run(struct wheel *wheel, int64_t now_mono_ms);
/* Milliseconds until wheel_run may have something to do; most when that is later or never. */
int wheel_wait_ms(const struct wheel *wheel, int64_t now_mono_ms, int most);
