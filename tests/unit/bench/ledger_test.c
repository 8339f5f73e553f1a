/* A bench that cannot see a fault proves nothing: each kind of wrong delivery is counted, and right ones are
 * not. */
#include "tests/bench/load.h"
#include "tests/unit/main.h"

#include <string.h>

#define SOCKETS 3
#define CHANNEL "11111111-1111-4111-8111-111111111111"

static const struct protocol protocol = {.before = "\"content\":\"", .after = "\"}}", .enveloped = true};
static struct load load;
static uint64_t cursors[SOCKETS];

static void setup(void)
{
	load = (struct load){.protocol = &protocol,
		.content_bytes = 60,
		.end_ns = INT64_MAX,
		.user_count = 1,
		.group_count = 1,
		.sender_count = 2};
	load.users = calloc(1, sizeof(*load.users));
	load.groups = calloc(1, sizeof(*load.groups));
	load.senders = calloc(2, sizeof(*load.senders));
	strcpy(load.users[0].id, "u0");
	strcpy(load.senders[0].channel, CHANNEL);
	strcpy(load.senders[1].channel, CHANNEL);
	load.groups[0].sockets = SOCKETS;
	ledger_prepare(&load.groups[0]);
	memset(cursors, 0, sizeof(cursors));
}

/* What the socket gets as the sender's message. */
static bool gets_changed(int socket, uint32_t sender, uint64_t number, const char *from, const char *to)
{
	char content[64] = {0}, payload[512];

	content_write(&load, sender, number, 1000, content);
	int length = snprintf(payload, sizeof(payload),
		"{\"type\":\"channel_message\",\"data\":{\"channel_id\":\"" CHANNEL
		"\",\"user_id\":\"u0\",\"content\":\"%s\"}}",
		content);
	if (from != NULL)
		memcpy(strstr(payload, from), to, strlen(to));
	return ledger_check(
		&load, &load.groups[0], &cursors[socket], (const uint8_t *)payload, (size_t)length, 2000);
}

static bool gets(int socket, uint32_t sender, uint64_t number)
{
	return gets_changed(socket, sender, number, NULL, NULL);
}

static void ck_faults(uint64_t lost, uint64_t doubled, uint64_t reordered, uint64_t corrupt)
{
	ledger_finish(&load);
	free(load.users);
	free(load.groups);
	free(load.senders);
	ck_assert_uint_eq(load.faults.lost, lost);
	ck_assert_uint_eq(load.faults.doubled, doubled);
	ck_assert_uint_eq(load.faults.reordered, reordered);
	ck_assert_uint_eq(load.faults.corrupt, corrupt);
}

START_TEST(a_message_is_complete_when_the_last_socket_has_it)
{
	setup();
	ck_assert(!gets(0, 0, 0));
	ck_assert(!gets(1, 0, 0));
	ck_assert(gets(2, 0, 0));
	ck_assert_uint_eq(load.deliveries, SOCKETS);
	ck_assert_uint_eq(atomic_load(&load.senders[0].delivered), 1);
	ck_assert_uint_eq(load.delivery.count, SOCKETS);
	ck_assert_uint_eq(load.last.count, 1);
	load.senders[0].posted = 1;
	ck_faults(0, 0, 0, 0);
}
END_TEST

START_TEST(a_message_that_one_socket_misses_is_lost)
{
	setup();
	gets(0, 0, 0);
	gets(0, 0, 1);
	gets(1, 0, 1);
	ck_faults(1, 0, 0, 0);
}
END_TEST

START_TEST(a_message_that_comes_twice_is_doubled)
{
	setup();
	gets(0, 0, 0);
	gets(0, 0, 0);
	gets(1, 0, 0);
	gets(2, 0, 0);
	gets(2, 0, 0);
	ck_faults(0, 2, 0, 0);
}
END_TEST

START_TEST(two_messages_in_another_order_than_the_first_socket_saw_are_a_fault)
{
	setup();
	gets(0, 0, 0);
	gets(0, 1, 0);
	gets(1, 1, 0);
	gets(1, 0, 0);
	ck_faults(1, 1, 0, 0);
}
END_TEST

START_TEST(a_message_that_overtakes_those_the_group_has_is_reordered)
{
	setup();
	gets(0, 0, 0);
	gets(1, 1, 0);
	ck_faults(0, 0, 1, 0);
}
END_TEST

START_TEST(a_changed_byte_of_the_content_is_corrupt_even_for_the_first_socket)
{
	setup();
	gets_changed(0, 0, 0, "\"}}", "x}}");
	gets_changed(0, 0, 0, " 0", " 1");
	gets_changed(0, 0, 0, CHANNEL, "2");
	ck_faults(0, 0, 0, 3);
}
END_TEST

START_TEST(another_envelope_than_the_first_socket_got_is_corrupt)
{
	setup();
	gets(0, 0, 0);
	gets_changed(1, 0, 0, "data", "dada");
	ck_faults(0, 0, 0, 1);
}
END_TEST

START_TEST(what_was_acknowledged_and_reached_nobody_is_lost_for_everybody)
{
	setup();
	gets(0, 0, 1);
	load.senders[0].posted = 3;
	ck_assert(!ledger_complete(&load));
	ck_faults(2 * SOCKETS, 0, 0, 0);
}
END_TEST

START_TEST(what_was_refused_may_have_been_written_or_not)
{
	setup();
	gets(0, 0, 0);
	gets(0, 0, 2);
	load.senders[0].posted = 4;
	load.senders[0].refused[0] = 0;
	load.senders[0].refused[1] = 1;
	load.senders[0].refused[2] = 3;
	load.senders[0].refused_count = 3;
	ck_assert(ledger_complete(&load));
	ck_faults(0, 0, 0, 0);
}
END_TEST

TESTS("ledger", a_message_is_complete_when_the_last_socket_has_it, a_message_that_one_socket_misses_is_lost,
	a_message_that_comes_twice_is_doubled,
	two_messages_in_another_order_than_the_first_socket_saw_are_a_fault,
	a_message_that_overtakes_those_the_group_has_is_reordered,
	a_changed_byte_of_the_content_is_corrupt_even_for_the_first_socket,
	another_envelope_than_the_first_socket_got_is_corrupt,
	what_was_acknowledged_and_reached_nobody_is_lost_for_everybody,
	what_was_refused_may_have_been_written_or_not)
