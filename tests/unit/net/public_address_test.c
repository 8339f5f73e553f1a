#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "common/net/public_address.h"
#include "tests/unit/main.h"

static struct address parsed(const char *text)
{
	struct address a;

	ck_assert_msg(address_parse(text, strlen(text), &a) == STATUS_OK, "%s", text);
	return a;
}

static const struct {
	const char *text;
	bool is_public;
} addresses[] = {
	{"8.8.8.8", true}, {"1.1.1.1", true}, {"93.184.216.34", true}, {"223.255.255.255", true},
	{"2606:4700:4700::1111", true}, {"2a00:1450:4001:80b::200e", true},
	/* this machine, and its other names */
	{"127.0.0.1", false}, {"127.255.255.254", false}, {"0.0.0.0", false}, {"0.1.2.3", false}, {"::1", false}, {"::", false},
	/* networks of one's own */
	{"10.0.0.1", false}, {"10.255.255.255", false}, {"172.16.0.1", false}, {"172.31.255.255", false}, {"192.168.1.1", false},
	{"100.64.0.1", false}, {"100.127.255.255", false}, {"169.254.169.254", false}, {"fc00::1", false}, {"fd12:3456::1", false},
	{"fe80::1", false}, {"febf::1", false}, {"fec0::1", false},
	/* just outside of them */
	{"9.255.255.255", true}, {"11.0.0.0", true}, {"172.15.255.255", true}, {"172.32.0.0", true}, {"192.167.255.255", true},
	{"192.169.0.0", true}, {"100.63.255.255", true}, {"100.128.0.0", true}, {"169.253.255.255", true}, {"169.255.0.0", true},
	{"126.255.255.255", true}, {"128.0.0.0", true},
	/* many, nobody, not given out */
	{"224.0.0.1", false}, {"239.255.255.255", false}, {"240.0.0.1", false}, {"255.255.255.255", false}, {"ff02::1", false},
	{"192.0.0.8", false}, {"192.0.2.1", false}, {"198.18.0.1", false}, {"198.19.255.255", false}, {"198.51.100.7", false},
	{"203.0.113.9", false}, {"192.88.99.1", false}, {"100::1", false}, {"4000::1", false}, {"5f00::1", false},
	{"2001:db8::1", false}, {"2001::1", false}, {"2001:10::1", false}, {"2001:1ff::1", false}, {"3fff::1", false}, {"3fff:fff::1", false},
	{"2001:200::1", true}, {"3fff:1000::1", true},
	/* IPv4 inside of IPv6 */
	{"::ffff:8.8.8.8", true}, {"::ffff:127.0.0.1", false}, {"::ffff:10.1.2.3", false}, {"::8.8.8.8", false}, {"::127.0.0.1", false},
	{"64:ff9b::808:808", true}, {"64:ff9b::7f00:1", false}, {"64:ff9b::a00:1", false}, {"64:ff9b::a9fe:a9fe", false}, {"64:ff9b:1::808:808", false},
	{"2002:808:808::1", true}, {"2002:7f00:1::1", false}, {"2002:a00:1::", false}, {"2002:c0a8:101::1", false}, {"2002:6440:1::1", false},
};

START_TEST(only_addresses_of_the_public_net_may_be_called_whatever_they_are_wrapped_in)
{
	for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
		struct address a = parsed(addresses[i].text);
		ck_assert_msg(address_is_public(&a) == addresses[i].is_public, "%s", addresses[i].text);
		ck_assert_msg(address_may_be_called(NULL, 0, &a) == addresses[i].is_public, "%s", addresses[i].text);
	}
}
END_TEST

START_TEST(a_network_that_the_operator_allows_may_be_called_and_its_neighbour_not)
{
	struct arena *mem = arena_create();
	struct network *allowed;
	const char *bad = NULL;
	size_t count;
	static const struct {
		const char *text;
		bool may;
	} cases[] = {{"127.0.0.1", true}, {"127.0.0.2", false}, {"10.1.2.3", true}, {"10.1.3.3", false}, {"fd00::1", true}, {"fe80::1", false},
		{"8.8.8.8", true}, {"64:ff9b::a01:203", false}};

	ck_assert_int_eq(networks_parse(mem, "127.0.0.1,10.1.2.0/24,fd00::/8", &allowed, &count, &bad), STATUS_OK);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct address a = parsed(cases[i].text);
		ck_assert_msg(address_may_be_called(allowed, count, &a) == cases[i].may, "%s", cases[i].text);
	}
	arena_destroy(mem);
}
END_TEST

START_TEST(an_address_of_the_kernel_reads_as_the_one_that_people_write)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr other = {.sa_family = AF_UNIX};
	struct address a, wanted = parsed("127.0.0.1");

	ck_assert(address_from_sockaddr((const struct sockaddr *)&v4, &a));
	ck_assert_mem_eq(&a, &wanted, sizeof a);
	wanted = parsed("::1");
	ck_assert(address_from_sockaddr((const struct sockaddr *)&v6, &a));
	ck_assert_mem_eq(&a, &wanted, sizeof a);
	ck_assert(!address_from_sockaddr(&other, &a));
}
END_TEST

TESTS("public_address", only_addresses_of_the_public_net_may_be_called_whatever_they_are_wrapped_in,
	a_network_that_the_operator_allows_may_be_called_and_its_neighbour_not,
	an_address_of_the_kernel_reads_as_the_one_that_people_write)
