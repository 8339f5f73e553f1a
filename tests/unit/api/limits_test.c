#include "services/api/limits.h"

#include <sodium.h>

#include "tests/unit/main.h"

static const struct limit_rate five_in_5_s = {5, 5000};

static size_t taken(struct limits *l, uint64_t key, int64_t now_ms, size_t attempts)
{
	struct limit_state state;
	size_t n = 0;

	for (size_t i = 0; i < attempts; i++)
		n += limits_take(l, LIMIT_POSTS, key, 0, five_in_5_s, now_ms, &state);
	return n;
}

START_TEST(a_burst_is_allowed_and_no_more)
{
	struct limits *l = limits_create(64);

	ck_assert_uint_eq(taken(l, 1, 1000, 9), 5);
	limits_destroy(l);
}
END_TEST

START_TEST(a_bucket_fills_again_with_time)
{
	struct limits *l = limits_create(64);

	taken(l, 1, 1000, 5);
	ck_assert_uint_eq(taken(l, 1, 1999, 3), 0);
	ck_assert_uint_eq(taken(l, 1, 2000, 3), 1);
	ck_assert_uint_eq(taken(l, 1, 60000, 9), 5);
	limits_destroy(l);
}
END_TEST

START_TEST(looking_takes_nothing_and_says_what_taking_would)
{
	struct limits *l = limits_create(64);
	struct limit_state state;

	for (int i = 0; i < 20; i++)
		ck_assert(limits_allow(l, LIMIT_LOGINS, 1, 0, five_in_5_s, 1000, &state));
	ck_assert_int_eq(state.remaining, 5);
	for (int i = 0; i < 5; i++)
		ck_assert(limits_take(l, LIMIT_LOGINS, 1, 0, five_in_5_s, 1000, &state));
	ck_assert(!limits_allow(l, LIMIT_LOGINS, 1, 0, five_in_5_s, 1000, &state));
	ck_assert_int_eq(state.retry_ms, 1000);
	ck_assert(limits_allow(l, LIMIT_LOGINS, 1, 0, five_in_5_s, 2000, &state));
	ck_assert(limits_allow(l, LIMIT_LOGINS, 1, 1, five_in_5_s, 1000, &state));
	limits_destroy(l);
}
END_TEST

START_TEST(a_client_is_told_what_is_left_and_how_long_to_wait)
{
	struct limits *l = limits_create(64);
	struct limit_state state;

	ck_assert(limits_take(l, LIMIT_POSTS, 1, 0, five_in_5_s, 1000, &state));
	ck_assert(state.limited);
	ck_assert_int_eq(state.limit, 5);
	ck_assert_int_eq(state.remaining, 4);
	ck_assert_int_eq(state.reset_ms, 1000);
	ck_assert_int_eq(state.retry_ms, 0);
	taken(l, 1, 1000, 4);
	ck_assert(!limits_take(l, LIMIT_POSTS, 1, 0, five_in_5_s, 1400, &state));
	ck_assert_int_eq(state.remaining, 0);
	ck_assert_int_eq(state.retry_ms, 600);
	ck_assert_int_eq(state.reset_ms, 4600);
	limits_destroy(l);
}
END_TEST

START_TEST(keys_and_classes_have_buckets_of_their_own)
{
	struct limits *l = limits_create(64);
	struct limit_state state;

	taken(l, 1, 1000, 5);
	ck_assert_uint_eq(taken(l, 2, 1000, 9), 5);
	ck_assert(limits_take(l, LIMIT_REQUESTS, 1, 0, five_in_5_s, 1000, &state));
	ck_assert(limits_take(l, LIMIT_POSTS, 1, 7, five_in_5_s, 1000, &state));
	limits_destroy(l);
}
END_TEST

START_TEST(nought_is_no_limit)
{
	struct limits *l = limits_create(64);
	struct limit_state state;

	for (int i = 0; i < 1000; i++)
		ck_assert(limits_take(l, LIMIT_POSTS, 1, 0, (struct limit_rate){0, 5000}, 1000, &state));
	ck_assert(!state.limited);
	limits_destroy(l);
}
END_TEST

START_TEST(a_crowded_table_forgets_the_one_longest_untouched)
{
	struct limits *l = limits_create(8); /* one row of eight */

	for (uint64_t key = 1; key <= 8; key++)
		taken(l, key, 1000 + (int64_t)key, 5);
	ck_assert_uint_eq(taken(l, 9, 1010, 9), 5); /* 1 gives way */
	ck_assert_uint_eq(taken(l, 8, 1010, 9), 0);
	ck_assert_uint_eq(taken(l, 1, 1011, 9), 5);
	limits_destroy(l);
}
END_TEST

START_TEST(a_clock_read_earlier_by_another_thread_takes_nothing_away)
{
	struct limits *l = limits_create(64);

	taken(l, 1, 2000, 4);
	ck_assert_uint_eq(taken(l, 1, 1000, 9), 1);
	limits_destroy(l);
}
END_TEST

START_TEST(addresses_of_one_ipv6_network_are_one)
{
	struct limits *l = limits_create(64);
	uint64_t key = limits_key_address(l, "2001:db8:1:2::1");

	ck_assert_uint_eq(limits_key_address(l, "2001:db8:1:2:ffff:ffff:ffff:ffff"), key);
	ck_assert_uint_ne(limits_key_address(l, "2001:db8:1:3::1"), key);
	ck_assert_uint_ne(limits_key_address(l, "192.0.2.1"), limits_key_address(l, "192.0.2.2"));
	ck_assert_uint_ne(
		limits_key_address(l, "::ffff:192.0.2.1"), limits_key_address(l, "::ffff:192.0.2.2"));
	limits_destroy(l);
}
END_TEST

TESTS("limits", a_burst_is_allowed_and_no_more, a_bucket_fills_again_with_time,
	looking_takes_nothing_and_says_what_taking_would,
	addresses_of_one_ipv6_network_are_one,
	a_client_is_told_what_is_left_and_how_long_to_wait, keys_and_classes_have_buckets_of_their_own,
	nought_is_no_limit, a_crowded_table_forgets_the_one_longest_untouched,
	a_clock_read_earlier_by_another_thread_takes_nothing_away)
