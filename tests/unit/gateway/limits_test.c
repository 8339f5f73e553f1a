/*
 * What one process lets in: counted exactly, forgotten when it is gone, by the address that a trusted proxy names.
 */
#include "services/gateway/limits.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/main.h"

static struct address address_of(const char *text)
{
	struct address address;

	ck_assert_int_eq(address_parse(text, strlen(text), &address), STATUS_OK);
	return address;
}

static uint64_t key_of(const struct socket_limits *limits, const char *peer, const char *forwarded_for)
{
	struct address address = address_of(peer);

	return limits_key(limits, &address, &forwarded_for, forwarded_for != NULL);
}

/* Of the test's process. */
static struct arena *test_arena(void)
{
	static struct arena *mem;

	if (mem == NULL)
		mem = arena_create();
	return mem;
}

static void begin(struct socket_limits *limits, const char *trusted)
{
	struct config config = {.trusted_proxies = trusted};

	*limits = (struct socket_limits){0};
	ck_assert_int_eq(limits_init(limits, test_arena(), &config), STATUS_OK);
}

START_TEST(an_ipv4_address_and_an_ipv6_network_of_64_bits_are_one_each)
{
	struct socket_limits limits;

	begin(&limits, "");
	ck_assert_uint_eq(key_of(&limits, "192.0.2.1", NULL), key_of(&limits, "192.0.2.1", NULL));
	ck_assert_uint_ne(key_of(&limits, "192.0.2.1", NULL), key_of(&limits, "192.0.2.2", NULL));
	ck_assert_uint_eq(key_of(&limits, "2001:db8::1", NULL), key_of(&limits, "2001:db8::ffff:2", NULL));
	ck_assert_uint_ne(key_of(&limits, "2001:db8::1", NULL), key_of(&limits, "2001:db8:0:1::1", NULL));
	ck_assert_uint_eq(key_of(&limits, "::ffff:192.0.2.1", NULL), key_of(&limits, "192.0.2.1", NULL));
}
END_TEST

START_TEST(the_other_end_is_read_from_either_family)
{
	struct sockaddr_storage from = {0};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&from;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&from;
	struct address want = address_of("192.0.2.9");

	v4->sin_family = AF_INET;
	ck_assert_int_eq(inet_pton(AF_INET, "192.0.2.9", &v4->sin_addr), 1);
	struct address got = limits_peer(&from);
	ck_assert_mem_eq(&got, &want, sizeof got);
	from = (struct sockaddr_storage){0};
	v6->sin6_family = AF_INET6;
	ck_assert_int_eq(inet_pton(AF_INET6, "2001:db8::9", &v6->sin6_addr), 1);
	want = address_of("2001:db8::9");
	got = limits_peer(&from);
	ck_assert_mem_eq(&got, &want, sizeof got);
}
END_TEST

START_TEST(a_trusted_proxy_is_not_counted_and_whom_it_names_is)
{
	struct socket_limits limits;

	begin(&limits, "127.0.0.1, 10.0.0.0/8");
	ck_assert_uint_eq(key_of(&limits, "127.0.0.1", NULL), 0);
	ck_assert_uint_eq(key_of(&limits, "10.1.2.3", "10.2.3.4"), 0);
	uint64_t stranger = key_of(&limits, "192.0.2.1", NULL);
	ck_assert_uint_ne(stranger, 0);
	ck_assert_uint_eq(key_of(&limits, "127.0.0.1", "192.0.2.1"), stranger);
	ck_assert_uint_eq(key_of(&limits, "10.1.2.3", "203.0.113.7, 192.0.2.1, 10.9.9.9"), stranger);
	/* What a stranger says of himself is not heard. */
	ck_assert_uint_eq(key_of(&limits, "192.0.2.1", "203.0.113.7"), stranger);
	ck_assert_uint_eq(key_of(&limits, "127.0.0.1", "nonsense"), 0);
}
END_TEST

START_TEST(a_list_of_proxies_that_cannot_be_read_is_refused)
{
	struct socket_limits limits = {0};
	struct config config = {.trusted_proxies = "127.0.0.1, somewhere"};

	ck_assert_int_eq(limits_init(&limits, test_arena(), &config), STATUS_FIELD_INVALID);
}
END_TEST

START_TEST(an_address_has_as_many_sockets_as_it_may_and_no_more)
{
	struct socket_limits limits;

	begin(&limits, "");
	limits.per_address = 2;
	uint64_t one = key_of(&limits, "192.0.2.1", NULL), other = key_of(&limits, "192.0.2.2", NULL);
	ck_assert(limits_enter(&limits, one, 1000));
	ck_assert(limits_enter(&limits, one, 1000));
	ck_assert(!limits_enter(&limits, one, 1000));
	ck_assert(limits_enter(&limits, other, 1000));
	limits_leave(&limits, one, 1000);
	ck_assert(limits_enter(&limits, one, 1000));
	ck_assert(!limits_enter(&limits, one, 1000));
	for (int i = 0; i < 3; i++)
		ck_assert(limits_enter(&limits, 0, 1000)); /* a proxy */
	limits_leave(&limits, one, 5000);
	limits_leave(&limits, one, 5000);
	limits_leave(&limits, other, 5000);
	ck_assert_uint_eq(limits.addresses.count, 0);
	limits_finish(&limits);
}
END_TEST

START_TEST(handshakes_of_an_address_are_429_and_of_all_503_until_the_bucket_fills)
{
	struct socket_limits limits;

	begin(&limits, "");
	limits.handshakes_per_s_address = 2;
	limits.handshakes_per_s = 3;
	uint64_t one = key_of(&limits, "192.0.2.1", NULL), other = key_of(&limits, "192.0.2.2", NULL);
	ck_assert_int_eq(limits_handshake(&limits, one, 10000), 0);
	ck_assert_int_eq(limits_handshake(&limits, one, 10000), 0);
	ck_assert_int_eq(limits_handshake(&limits, one, 10000), 429);
	ck_assert_int_eq(limits_handshake(&limits, other, 10000), 0); /* what was refused took nothing */
	ck_assert_int_eq(limits_handshake(&limits, other, 10000), 503);
	ck_assert_int_eq(limits_handshake(&limits, 0, 10000), 503);
	ck_assert_int_eq(limits_handshake(&limits, one, 10499), 429);
	ck_assert_int_eq(limits_handshake(&limits, one, 10500), 0);
	ck_assert_int_eq(limits_handshake(&limits, one, 10400), 429); /* a clock that was read earlier */
	ck_assert_int_eq(limits_handshake(&limits, one, 20000), 0);
	ck_assert_int_eq(limits_handshake(&limits, one, 20000), 0);
	ck_assert_int_eq(limits_handshake(&limits, one, 20000), 429);
	limits_finish(&limits);
}
END_TEST

START_TEST(addresses_that_came_and_went_are_forgotten)
{
	struct socket_limits limits;
	size_t most = 0;

	begin(&limits, "");
	limits.handshakes_per_s_address = 1;
	limits.per_address = 1;
	uint64_t stays = key_of(&limits, "192.0.2.1", NULL);
	ck_assert(limits_enter(&limits, stays, 1000));
	for (uint32_t i = 0; i < 100000; i++) {
		char text[64];
		snprintf(text, sizeof text, "2001:db8:%x:%x::", i >> 16, i & 0xffff);
		uint64_t key = key_of(&limits, text, NULL);
		int64_t now_ms = 1000 + i; /* a thousand a second */
		ck_assert(limits_enter(&limits, key, now_ms));
		ck_assert_int_eq(limits_handshake(&limits, key, now_ms), 0);
		limits_leave(&limits, key, now_ms);
		most = limits.addresses.count > most ? limits.addresses.count : most;
	}
	ck_assert_uint_le(most, 4096);
	ck_assert(!limits_enter(&limits, stays, 200000));
	limits_finish(&limits);
}
END_TEST

START_TEST(an_account_has_as_many_sockets_as_it_may)
{
	struct socket_limits limits;

	begin(&limits, "");
	ck_assert(limits_account_enter(&limits, 7)); /* no limit, and nothing to count */
	limits_account_leave(&limits, 7);
	limits.per_account = 2;
	ck_assert(limits_account_enter(&limits, 7));
	ck_assert(limits_account_enter(&limits, 7));
	ck_assert(!limits_account_enter(&limits, 7));
	ck_assert(limits_account_enter(&limits, 8));
	limits_account_leave(&limits, 7);
	ck_assert(limits_account_enter(&limits, 7));
	limits_account_leave(&limits, 7);
	limits_account_leave(&limits, 7);
	limits_account_leave(&limits, 8);
	ck_assert_uint_eq(limits.accounts.count, 0);
	limits_finish(&limits);
}
END_TEST

TESTS("limits", an_ipv4_address_and_an_ipv6_network_of_64_bits_are_one_each, the_other_end_is_read_from_either_family,
	a_trusted_proxy_is_not_counted_and_whom_it_names_is, a_list_of_proxies_that_cannot_be_read_is_refused,
	an_address_has_as_many_sockets_as_it_may_and_no_more,
	handshakes_of_an_address_are_429_and_of_all_503_until_the_bucket_fills, addresses_that_came_and_went_are_forgotten,
	an_account_has_as_many_sockets_as_it_may)
