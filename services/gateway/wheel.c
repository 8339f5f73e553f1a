/*
 * wheel - see wheel.h.
 */
#include "services/gateway/wheel.h"

#include <string.h>

void wheel_init(struct wheel *wheel, int64_t now_mono_ms)
{
	memset(wheel, 0, sizeof *wheel);
	wheel->tick = now_mono_ms / WHEEL_TICK_MS;
}

static void link_into(struct timer **list, struct timer *timer)
{
	timer->next = *list;
	timer->link = list;
	if (timer->next != NULL)
		timer->next->link = &timer->next;
	*list = timer;
}

static void unlink_from(struct timer *timer)
{
	*timer->link = timer->next;
	if (timer->next != NULL)
		timer->next->link = timer->link;
	timer->next = NULL;
	timer->link = NULL;
}

void wheel_start(struct wheel *wheel, struct timer *timer, int64_t due_mono_ms)
{
	wheel_stop(wheel, timer);
	int64_t due = (due_mono_ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS;
	timer->due_tick = due > wheel->tick ? due : wheel->tick + 1;
	size_t slot = (size_t)(timer->due_tick % WHEEL_SLOTS);
	link_into(&wheel->slots[slot], timer);
	wheel->used[slot / 64] |= UINT64_C(1) << slot % 64;
	wheel->count++;
}

void wheel_stop(struct wheel *wheel, struct timer *timer)
{
	if (timer->link == NULL)
		return;
	unlink_from(timer);
	wheel->count--;
	size_t slot = (size_t)(timer->due_tick % WHEEL_SLOTS);
	if (wheel->slots[slot] == NULL)
		wheel->used[slot / 64] &= ~(UINT64_C(1) << slot % 64);
}

/* How many slots after `from` the next used one is; WHEEL_SLOTS when none is. */
static size_t next_used(const struct wheel *wheel, size_t from)
{
	for (size_t ahead = 1; ahead <= WHEEL_SLOTS;) {
		size_t slot = (from + ahead) % WHEEL_SLOTS;
		uint64_t word = wheel->used[slot / 64] >> slot % 64;
		if (word != 0)
			return ahead + (size_t)__builtin_ctzll(word);
		ahead += 64 - slot % 64;
	}
	return WHEEL_SLOTS;
}

void wheel_run(struct wheel *wheel, int64_t now_mono_ms)
{
	int64_t now_tick = now_mono_ms / WHEEL_TICK_MS;

	/* After a long pause every slot is looked at once and no more. */
	if (now_tick - wheel->tick > WHEEL_SLOTS)
		wheel->tick = now_tick - WHEEL_SLOTS;
	while (wheel->tick < now_tick) {
		size_t ahead = next_used(wheel, (size_t)(wheel->tick % WHEEL_SLOTS));
		if (wheel->count == 0 || (int64_t)ahead > now_tick - wheel->tick) {
			wheel->tick = now_tick;
			return;
		}
		wheel->tick += (int64_t)ahead;
		size_t slot = (size_t)(wheel->tick % WHEEL_SLOTS);
		/* What is due leaves first: a timer that fires may change this slot's list. */
		struct timer *due = NULL, *next = NULL;
		for (struct timer *timer = wheel->slots[slot]; timer != NULL; timer = next) {
			next = timer->next;
			if (timer->due_tick > now_tick)
				continue;
			wheel_stop(wheel, timer);
			link_into(&due, timer);
			wheel->count++;
		}
		while (due != NULL) {
			struct timer *timer = due;
			unlink_from(timer);
			wheel->count--;
			timer->fire(timer, now_mono_ms);
		}
	}
}

int wheel_wait_ms(const struct wheel *wheel, int64_t now_mono_ms, int most)
{
	if (wheel->count == 0)
		return most;
	int64_t tick = wheel->tick + (int64_t)next_used(wheel, (size_t)(wheel->tick % WHEEL_SLOTS));
	int64_t wait = tick * WHEEL_TICK_MS - now_mono_ms;
	return wait <= 0 ? 0 : wait < most ? (int)wait : most;
}
