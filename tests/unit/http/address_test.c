#include "common/http/address.h"
#include "tests/unit/main.h"

#include <string.h>

static struct address parsed(const char *text)
{
	struct address a;

	ck_assert_msg(address_parse(text, strlen(text), &a) == STATUS_OK, "%s", text);
	return a;
}

static const char *formatted(struct address a)
{
	static char text[ADDRESS_TEXT_SIZE];

	address_format(&a, text);
	return text;
}

/* The client behind `peer` when these are the X-Forwarded-For headers. */
static const char *client(const char *trusted, const char *peer, const char *first, const char *second)
{
	struct arena *mem = arena_create();
	const char *const forwarded[] = {first, second};
	size_t forwarded_count = (first != NULL) + (second != NULL);
	struct network *networks = NULL;
	size_t count = 0;
	const char *bad = NULL;

	ck_assert_int_eq(networks_parse(mem, trusted, &networks, &count, &bad), STATUS_OK);
	const char *text =
		formatted(address_of_client(networks, count, parsed(peer), forwarded, forwarded_count));
	arena_destroy(mem);
	return text;
}

START_TEST(addresses_have_one_spelling)
{
	ck_assert_str_eq(formatted(parsed("192.0.2.1")), "192.0.2.1");
	ck_assert_str_eq(formatted(parsed("::ffff:192.0.2.1")), "192.0.2.1");
	ck_assert_str_eq(formatted(parsed("2001:DB8:0:0::1")), "2001:db8::1");
	ck_assert_str_eq(formatted(parsed("192.0.2.1:8080")), "192.0.2.1");
	ck_assert_str_eq(formatted(parsed("[2001:db8::1]:443")), "2001:db8::1");
}
END_TEST

START_TEST(what_is_no_address_is_refused)
{
	const char *const texts[] = {"", "unknown", "192.0.2", "192.0.2.256", "[::1", "1:2", "2001:db8::g",
		"0000000000000000000000000000000000000000000000000000000000000000000000000001"};
	struct address a;

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		ck_assert_int_eq(address_parse(texts[i], strlen(texts[i]), &a), STATUS_FIELD_INVALID);
}
END_TEST

START_TEST(a_stranger_may_claim_nothing)
{
	ck_assert_str_eq(client("127.0.0.1", "198.51.100.7", "10.1.1.1", NULL), "198.51.100.7");
	ck_assert_str_eq(client("", "127.0.0.1", "10.1.1.1", NULL), "127.0.0.1");
}
END_TEST

START_TEST(the_right_most_untrusted_address_is_the_client)
{
	ck_assert_str_eq(client("127.0.0.1", "127.0.0.1", "6.6.6.6, 203.0.113.9", NULL), "203.0.113.9");
	ck_assert_str_eq(client("127.0.0.1,10.0.0.0/8", "127.0.0.1", "6.6.6.6,203.0.113.9 , 10.2.3.4", NULL),
		"203.0.113.9");
	ck_assert_str_eq(
		client("127.0.0.1,10.0.0.0/8", "127.0.0.1", "203.0.113.9", "10.9.9.9"), "203.0.113.9");
	ck_assert_str_eq(client("::1", "::1", "2001:db8::5", NULL), "2001:db8::5");
}
END_TEST

START_TEST(proxies_all_the_way_leave_the_first_of_them)
{
	ck_assert_str_eq(client("10.0.0.0/8", "10.0.0.1", "10.0.0.3, 10.0.0.2", NULL), "10.0.0.3");
	ck_assert_str_eq(client("10.0.0.0/8", "10.0.0.1", "", NULL), "10.0.0.1");
}
END_TEST

START_TEST(nothing_is_believed_past_what_cannot_be_read)
{
	ck_assert_str_eq(
		client("10.0.0.0/8", "10.0.0.1", "203.0.113.9, unknown, 10.0.0.2", NULL), "10.0.0.2");
}
END_TEST

START_TEST(networks_end_at_their_last_bit)
{
	ck_assert_str_eq(client("10.0.0.0/9", "10.127.255.255", "1.1.1.1", NULL), "1.1.1.1");
	ck_assert_str_eq(client("10.0.0.0/9", "10.128.0.0", "1.1.1.1", NULL), "10.128.0.0");
	ck_assert_str_eq(client("2001:db8::/33", "2001:db8:8000::1", "1.1.1.1", NULL), "2001:db8:8000::1");
	ck_assert_str_eq(client("0.0.0.0/0", "8.8.8.8", "1.1.1.1", NULL), "1.1.1.1");
}
END_TEST

START_TEST(a_bad_network_is_named)
{
	const char *const lists[] = {"10.0.0.0/33", "10.0.0.0/", "::/129", "10.0.0.0/8x", "proxy.example"};
	struct arena *mem = arena_create();
	struct network *networks;
	size_t count;

	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		const char *bad = NULL;
		ck_assert_int_eq(
			networks_parse(mem, lists[i], &networks, &count, &bad), STATUS_FIELD_INVALID);
		ck_assert_str_eq(bad, lists[i]);
	}
	arena_destroy(mem);
}
END_TEST

TESTS("address", addresses_have_one_spelling, what_is_no_address_is_refused, a_stranger_may_claim_nothing,
	the_right_most_untrusted_address_is_the_client, proxies_all_the_way_leave_the_first_of_them,
	nothing_is_believed_past_what_cannot_be_read, networks_end_at_their_last_bit, a_bad_network_is_named)
