/*
 * ticker - a thread that does one piece of work again and again, with a pause in between that the work decides, until it is stopped.
 * For the housekeeping of a process: what is to be purged, renewed, looked at. Its memory is the owner's, and zeroed before it starts.
 */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/status.h"

#define TICKER_UNTIL_WOKEN INT64_MAX
#define TICKER_ENOUGH      INT64_MIN /* there is nothing to do any more: the thread ends */

struct ticker {
	pthread_t thread;
	sem_t wakes;
	atomic_bool stopping;
	bool started;
	int64_t first_ms;
	int64_t (*turn)(void *arg);
	void *arg;
};

/*
 * ticker_start - the first turn comes after first_ms, or when it is woken before.
 *
 * turn   one piece of work, on the ticker's thread. Returns how many milliseconds until the next, 0 or more, or one of the above
 *
 * INTERNAL: there is no thread to be had; the ticker is as it was.
 */
enum status ticker_start(struct ticker *t, int64_t first_ms, int64_t (*turn)(void *arg), void *arg);
/* The pause is over; during a turn: there will be another one without a pause. However often, it is one turn. Any thread. */
void ticker_wake(struct ticker *t);
/* For long turns: it is to end. Any thread. */
bool ticker_stopping(struct ticker *t);
/* Waits for the turn at work, and none follows. One that never started, or was stopped, is fine. */
void ticker_stop(struct ticker *t);
