#include "services/presence/typing.h"
#include "tests/unit/main.h"

#include <stdlib.h>
#include <string.h>

struct fixture {
	struct typing *t;
	bool told[64]; /* is_typing of each event */
	size_t told_count;
	uint64_t last_channel;
	char last_audience[AUDIENCE_SIZE];
};

static void on_changed(void *arg, const struct typing_subject *subject, bool is_typing)
{
	struct fixture *fx = arg;

	fx->told[fx->told_count++] = is_typing;
	fx->last_channel = subject->channel_id;
	memcpy(fx->last_audience, subject->audience, AUDIENCE_SIZE);
	ck_assert_mem_eq(subject->view, "view", 4);
	ck_assert_mem_eq(subject->channel, "channel", 7);
}

static struct fixture *fixture_create(void)
{
	struct fixture *fx = calloc(1, sizeof *fx);

	fx->t = typing_create(on_changed, fx);
	return fx;
}

static void fixture_destroy(struct fixture *fx)
{
	typing_destroy(fx->t);
	free(fx);
}

static enum status say(struct fixture *fx, uint64_t user, uint64_t channel, bool is_typing, int64_t now)
{
	struct typing_subject subject = {
		.user_id = user,
		.channel_id = channel,
		.stream = STREAM_TEAM(1),
		.audience = "channel:2",
		.view = (const uint8_t *)"view",
		.view_length = 4,
		.channel = (const uint8_t *)"channel",
		.channel_length = 7,
	};
	return typing_set(fx->t, &subject, is_typing, now);
}

START_TEST(typing_is_told_at_once)
{
	struct fixture *fx = fixture_create();

	say(fx, 1, 2, true, 0);
	ck_assert_uint_eq(fx->told_count, 1);
	ck_assert(fx->told[0]);
	fixture_destroy(fx);
}
END_TEST

START_TEST(within_three_seconds_it_is_told_once_per_person_and_channel)
{
	struct fixture *fx = fixture_create();

	for (int64_t now = 0; now < TYPING_PAUSE_MS; now += 100)
		say(fx, 1, 2, true, now);
	ck_assert_uint_eq(fx->told_count, 1);
	say(fx, 1, 3, true, 100);
	say(fx, 9, 2, true, 100);
	ck_assert_uint_eq(fx->told_count, 3);
	say(fx, 1, 2, true, TYPING_PAUSE_MS);
	ck_assert_uint_eq(fx->told_count, 4);
	fixture_destroy(fx);
}
END_TEST

START_TEST(it_ends_by_itself_six_seconds_after_the_last_word)
{
	struct fixture *fx = fixture_create();

	say(fx, 1, 2, true, 0);
	say(fx, 1, 2, true, 1000);
	typing_tick(fx->t, 1000 + TYPING_LIFE_MS - 1);
	ck_assert_uint_eq(fx->told_count, 1);
	typing_tick(fx->t, 1000 + TYPING_LIFE_MS);
	ck_assert_uint_eq(fx->told_count, 2);
	ck_assert(!fx->told[1]);
	ck_assert_uint_eq(fx->last_channel, 2);
	ck_assert_str_eq(fx->last_audience, "channel:2");
	typing_tick(fx->t, 1000 + 2 * TYPING_LIFE_MS);
	ck_assert_uint_eq(fx->told_count, 2);
	ck_assert_uint_eq(typing_count(fx->t), 0);
	fixture_destroy(fx);
}
END_TEST

START_TEST(the_client_ends_it_at_once_and_only_once)
{
	struct fixture *fx = fixture_create();

	say(fx, 1, 2, true, 0);
	say(fx, 1, 2, false, 10);
	say(fx, 1, 2, false, 20);
	typing_tick(fx->t, TYPING_LIFE_MS);
	ck_assert_uint_eq(fx->told_count, 2);
	ck_assert(!fx->told[1]);
	fixture_destroy(fx);
}
END_TEST

START_TEST(an_end_without_a_beginning_is_told_to_nobody)
{
	struct fixture *fx = fixture_create();

	ck_assert_int_eq(say(fx, 1, 2, false, 0), STATUS_OK);
	ck_assert_uint_eq(fx->told_count, 0);
	ck_assert_uint_eq(typing_count(fx->t), 0);
	fixture_destroy(fx);
}
END_TEST

START_TEST(going_on_after_an_end_waits_for_the_pause_and_is_then_told)
{
	struct fixture *fx = fixture_create();

	say(fx, 1, 2, true, 0);
	say(fx, 1, 2, false, 500);
	say(fx, 1, 2, true, 1000);
	ck_assert_uint_eq(fx->told_count, 2);
	typing_tick(fx->t, TYPING_PAUSE_MS - 1);
	ck_assert_uint_eq(fx->told_count, 2);
	typing_tick(fx->t, TYPING_PAUSE_MS);
	ck_assert_uint_eq(fx->told_count, 3);
	ck_assert(fx->told[2]);
	typing_tick(fx->t, 1000 + TYPING_LIFE_MS);
	ck_assert_uint_eq(fx->told_count, 4);
	ck_assert(!fx->told[3]);
	fixture_destroy(fx);
}
END_TEST

START_TEST(hurried_starts_and_ends_stay_at_one_start_per_pause)
{
	struct fixture *fx = fixture_create();
	size_t starts = 0;

	for (int64_t now = 0; now < 2 * TYPING_PAUSE_MS; now += 50) {
		say(fx, 1, 2, true, now);
		say(fx, 1, 2, false, now);
		typing_tick(fx->t, now);
	}
	for (size_t i = 0; i < fx->told_count; i++)
		starts += fx->told[i];
	ck_assert_uint_eq(starts, 2);
	ck_assert_uint_eq(fx->told_count, 4);
	fixture_destroy(fx);
}
END_TEST

START_TEST(beyond_the_bound_new_ones_are_busy_and_known_ones_go_on)
{
	struct fixture *fx = fixture_create();
	struct typing_subject subject = {.view = (const uint8_t *)"view", .view_length = 4,
		.channel = (const uint8_t *)"channel", .channel_length = 7};

	for (uint64_t i = 1; i <= TYPING_MOST; i++) {
		fx->told_count = 0;
		subject.user_id = i;
		ck_assert_int_eq(typing_set(fx->t, &subject, true, 0), STATUS_OK);
	}
	subject.user_id = TYPING_MOST + 1;
	ck_assert_int_eq(typing_set(fx->t, &subject, true, 0), STATUS_BUSY);
	subject.user_id = 1;
	ck_assert_int_eq(typing_set(fx->t, &subject, true, 1), STATUS_OK);
	fixture_destroy(fx);
}
END_TEST

TESTS("presence-typing", typing_is_told_at_once, within_three_seconds_it_is_told_once_per_person_and_channel,
	it_ends_by_itself_six_seconds_after_the_last_word, the_client_ends_it_at_once_and_only_once,
	an_end_without_a_beginning_is_told_to_nobody, going_on_after_an_end_waits_for_the_pause_and_is_then_told,
	hurried_starts_and_ends_stay_at_one_start_per_pause, beyond_the_bound_new_ones_are_busy_and_known_ones_go_on)
