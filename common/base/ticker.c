/*
 * ticker - see ticker.h.
 */
#include "common/base/ticker.h"

#include <errno.h>

#include "common/base/clock.h"

static void ticker_pause(struct ticker *t, int64_t pause_ms)
{
	if (pause_ms != TICKER_UNTIL_WOKEN) {
		(void)clock_sem_wait(&t->wakes, pause_ms);
	} else {
		while (sem_wait(&t->wakes) != 0 && errno == EINTR) {
		}
	}
	while (sem_trywait(&t->wakes) == 0) { /* what was asked for several times is done once */
	}
}

static void *ticker_run(void *arg)
{
	struct ticker *t = arg;
	int64_t pause_ms = t->first_ms;

	while (pause_ms != TICKER_ENOUGH) {
		ticker_pause(t, pause_ms);
		if (atomic_load(&t->stopping))
			break;
		pause_ms = t->turn(t->arg);
	}
	return NULL;
}

enum status ticker_start(struct ticker *t, int64_t first_ms, int64_t (*turn)(void *arg), void *arg)
{
	t->first_ms = first_ms;
	t->turn = turn;
	t->arg = arg;
	atomic_store(&t->stopping, false);
	sem_init(&t->wakes, 0, 0);
	t->started = pthread_create(&t->thread, NULL, ticker_run, t) == 0;
	if (t->started)
		return STATUS_OK;
	sem_destroy(&t->wakes);
	return STATUS_INTERNAL;
}

void ticker_wake(struct ticker *t)
{
	sem_post(&t->wakes);
}

bool ticker_stopping(struct ticker *t)
{
	return atomic_load(&t->stopping);
}

void ticker_stop(struct ticker *t)
{
	if (!t->started)
		return;
	atomic_store(&t->stopping, true);
	sem_post(&t->wakes);
	pthread_join(t->thread, NULL);
	sem_destroy(&t->wakes);
	t->started = false;
}
