#include "common/base/ticker.h"

#include "tests/unit/main.h"

#define AN_HOUR_MS INT64_C(3600000)

/* What a turn does, and what the test sees of it. */
struct work {
	struct ticker ticker;
	int64_t pause_ms;   /* after each turn */
	unsigned enough_at; /* the turn that is the last, 0: none is */
	bool holds;         /* each turn waits for held */
	sem_t done, held;   /* done: posted in each turn */
	_Atomic unsigned turns;
};

static int64_t work_turn(void *arg)
{
	struct work *w = arg;

	unsigned turn = atomic_fetch_add(&w->turns, 1) + 1;
	sem_post(&w->done);
	if (w->holds)
		sem_wait(&w->held);
	return turn == w->enough_at ? TICKER_ENOUGH : w->pause_ms;
}

static void work_start(struct work *w, int64_t first_ms)
{
	sem_init(&w->done, 0, 0);
	sem_init(&w->held, 0, 0);
	ck_assert_int_eq(ticker_start(&w->ticker, first_ms, work_turn, w), STATUS_OK);
}

static void work_wait(struct work *w, unsigned turns)
{
	while (turns-- > 0)
		sem_wait(&w->done);
}

START_TEST(it_works_again_and_again_until_it_is_stopped)
{
	struct work w = {.pause_ms = 1};

	work_start(&w, 0);
	work_wait(&w, 5);
	ticker_stop(&w.ticker);
	ck_assert_uint_ge(atomic_load(&w.turns), 5);
}
END_TEST

START_TEST(to_stop_it_is_not_to_wait_for_its_pause)
{
	struct work first = {.pause_ms = 0}, later = {.pause_ms = AN_HOUR_MS}, woken = {.pause_ms = TICKER_UNTIL_WOKEN};

	work_start(&first, AN_HOUR_MS);
	work_start(&later, 0);
	work_start(&woken, 0);
	work_wait(&later, 1);
	work_wait(&woken, 1);
	ticker_stop(&first.ticker);
	ticker_stop(&later.ticker);
	ticker_stop(&woken.ticker);
	ck_assert_uint_eq(atomic_load(&first.turns), 0);
	ck_assert_uint_eq(atomic_load(&later.turns), 1);
	ck_assert_uint_eq(atomic_load(&woken.turns), 1);
}
END_TEST

START_TEST(woken_it_does_not_wait_for_its_pause)
{
	struct work later = {.pause_ms = AN_HOUR_MS}, never = {.pause_ms = TICKER_UNTIL_WOKEN};

	work_start(&later, AN_HOUR_MS);
	work_start(&never, TICKER_UNTIL_WOKEN);
	for (unsigned i = 0; i < 3; i++) {
		ticker_wake(&later.ticker);
		ticker_wake(&never.ticker);
		work_wait(&later, 1);
		work_wait(&never, 1);
	}
	ticker_stop(&later.ticker);
	ticker_stop(&never.ticker);
}
END_TEST

START_TEST(woken_often_during_a_turn_it_has_one_more)
{
	struct work w = {.pause_ms = TICKER_UNTIL_WOKEN, .holds = true};
	int left = -1;

	work_start(&w, 0);
	work_wait(&w, 1);
	for (unsigned i = 0; i < 5; i++)
		ticker_wake(&w.ticker);
	sem_post(&w.held);
	work_wait(&w, 1);
	/* In the second turn nothing is left that a third could come of. */
	sem_getvalue(&w.ticker.wakes, &left);
	sem_post(&w.held);
	ticker_stop(&w.ticker);
	ck_assert_int_eq(left, 0);
	ck_assert_uint_eq(atomic_load(&w.turns), 2);
}
END_TEST

START_TEST(it_ends_by_itself_when_there_is_nothing_to_do_any_more)
{
	struct work w = {.pause_ms = 0, .enough_at = 2};

	work_start(&w, 0);
	work_wait(&w, 2);
	ticker_wake(&w.ticker);
	ticker_stop(&w.ticker);
	ck_assert_uint_eq(atomic_load(&w.turns), 2);
}
END_TEST

START_TEST(a_long_turn_sees_that_it_is_to_end)
{
	struct work w = {.pause_ms = 0};

	ck_assert(!ticker_stopping(&w.ticker));
	work_start(&w, AN_HOUR_MS);
	ck_assert(!ticker_stopping(&w.ticker));
	ticker_stop(&w.ticker);
	ck_assert(ticker_stopping(&w.ticker));
}
END_TEST

START_TEST(one_that_did_not_start_is_stopped_and_one_that_was_stopped_starts_again)
{
	struct work w = {.pause_ms = AN_HOUR_MS};

	ticker_stop(&w.ticker);
	work_start(&w, 0);
	work_wait(&w, 1);
	ticker_stop(&w.ticker);
	ticker_stop(&w.ticker);
	work_start(&w, 0);
	work_wait(&w, 1);
	ticker_stop(&w.ticker);
	ck_assert_uint_eq(atomic_load(&w.turns), 2);
}
END_TEST

TESTS("ticker", it_works_again_and_again_until_it_is_stopped, to_stop_it_is_not_to_wait_for_its_pause,
	woken_it_does_not_wait_for_its_pause, woken_often_during_a_turn_it_has_one_more,
	it_ends_by_itself_when_there_is_nothing_to_do_any_more, a_long_turn_sees_that_it_is_to_end,
	one_that_did_not_start_is_stopped_and_one_that_was_stopped_starts_again)
