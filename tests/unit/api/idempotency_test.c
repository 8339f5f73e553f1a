#include "services/api/idempotency.h"

#include <stdbool.h>
#include <string.h>

#include "tests/unit/main.h"

typedef uint8_t id[REQUEST_ID_BYTES];

static bool same(const id a, const id b)
{
	return memcmp(a, b, REQUEST_ID_BYTES) == 0;
}

START_TEST(the_same_key_is_the_same_request)
{
	id a, b, c;

	request_id_from_key(a, "order-1");
	request_id_from_key(b, "order-1");
	request_id_from_key(c, "order-2");
	ck_assert(same(a, b));
	ck_assert(!same(a, c));
}
END_TEST

START_TEST(a_nonce_is_apart_per_channel_and_never_a_key)
{
	id a, b, c, key;

	request_id_from_nonce(a, 1, "n");
	request_id_from_nonce(b, 1, "n");
	request_id_from_nonce(c, 2, "n");
	request_id_from_key(key, "n");
	ck_assert(same(a, b));
	ck_assert(!same(a, c));
	ck_assert(!same(a, key));
}
END_TEST

START_TEST(a_further_step_has_a_name_of_its_own_that_repeats_with_the_first)
{
	id first, seed, again, other;

	request_id_from_key(first, "k");
	request_id_derive(seed, first, "seed");
	request_id_derive(again, first, "seed");
	request_id_derive(other, first, "more");
	ck_assert(same(seed, again));
	ck_assert(!same(seed, first));
	ck_assert(!same(seed, other));
}
END_TEST

START_TEST(two_random_ids_differ)
{
	id a, b;

	request_id_random(a);
	request_id_random(b);
	ck_assert(!same(a, b));
}
END_TEST

START_TEST(a_hash_tells_method_path_and_body_apart)
{
	uint8_t a[REQUEST_HASH_BYTES], b[REQUEST_HASH_BYTES];

	request_hash(a, "POST", "/v1/teams", "{}", 2);
	request_hash(b, "POST", "/v1/teams", "{}", 2);
	ck_assert_mem_eq(a, b, sizeof a);
	request_hash(b, "POST", "/v1/teams", "{ }", 3);
	ck_assert_mem_ne(a, b, sizeof a);
	request_hash(b, "POST", "/v1/team", "s{}", 3); /* the same bytes in a row */
	ck_assert_mem_ne(a, b, sizeof a);
	request_hash(b, "PUT", "/v1/teams", "{}", 2);
	ck_assert_mem_ne(a, b, sizeof a);
}
END_TEST

START_TEST(a_post_is_its_text_and_what_it_answers)
{
	uint8_t a[REQUEST_HASH_BYTES], b[REQUEST_HASH_BYTES];

	request_hash_post(a, "hello", 0, NULL, 0);
	request_hash_post(b, "hello", 0, NULL, 0);
	ck_assert_mem_eq(a, b, sizeof a);
	request_hash_post(b, "hello", 5, NULL, 0);
	ck_assert_mem_ne(a, b, sizeof a);
	request_hash_post(b, "hello!", 0, NULL, 0);
	ck_assert_mem_ne(a, b, sizeof a);
}
END_TEST

/* Answers are kept under these for 24 hours, across versions of the program. */
START_TEST(the_id_of_a_key_is_permanent)
{
	static const uint8_t expected[4] = {0xf7, 0x9b, 0x72, 0x82};
	id a;

	request_id_from_key(a, "order-1");
	ck_assert_mem_eq(a, expected, sizeof expected);
}
END_TEST

TESTS("idempotency", the_same_key_is_the_same_request, a_nonce_is_apart_per_channel_and_never_a_key,
	a_further_step_has_a_name_of_its_own_that_repeats_with_the_first, two_random_ids_differ,
	a_hash_tells_method_path_and_body_apart, a_post_is_its_text_and_what_it_answers,
	the_id_of_a_key_is_permanent)
