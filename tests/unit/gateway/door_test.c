/*
 * The door: an upgrade of a dialect that answers it when it knows who comes. Real sockets on loopback; what the hub asks outside is held
 * back until the test lets it be answered.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "services/gateway/client.h"
#include "tests/unit/gateway/peers.h"
#include "tests/unit/main.h"

#define CREATE "{\"createMessage\":{\"channelID\":\"1001\",\"message\":\"x\"}}"

static size_t upgrade_of(char *out, size_t size, const char *query)
{
	return (size_t)snprintf(out, size, "GET /crust/websocket/%s%s", query, strstr(UPGRADE, " HTTP/1.1"));
}

/* Somebody at the door whose questions are not answered yet. jwt NULL: the bearer of UPGRADE. */
static int waiting(struct fixture *fx, const char *jwt)
{
	char request[1024], query[128] = "";
	int fd = dial(fx);

	fx->holds = true;
	if (jwt != NULL)
		snprintf(query, sizeof query, "?jwt=%s", jwt);
	say(fd, request, upgrade_of(request, sizeof request, query));
	for (int i = 0; i < 400 && fx->w->asked_count == 0; i++)
		turn(fx, 5);
	ck_assert_uint_gt(fx->w->asked_count, 0);
	return fd;
}

/* Nothing has been said to him. */
static bool is_silent(struct fixture *fx, int fd)
{
	char got;

	for (int i = 0; i < 3; i++)
		turn(fx, 1);
	return recv(fd, &got, 1, MSG_DONTWAIT | MSG_PEEK) < 0;
}

/* Answers one question after the other until the mount's is the next. */
static void answer_until_mount(struct fixture *fx)
{
	struct world *w = fx->w;

	for (int i = 0; i < 50 && !(w->asked_count > 0 && w->asked[0].kind == ASKED_ACT); i++) {
		if (w->asked_count > 0)
			world_answer(w, 0);
		turn(fx, 1);
	}
	ck_assert_int_eq(w->asked[0].kind, ASKED_ACT);
}

static void nobody_is_left(struct fixture *fx)
{
	for (int i = 0; i < 400 && fx->w->hub.client_count > 0; i++)
		turn(fx, 5);
	ck_assert_uint_eq(fx->w->hub.client_count, 0);
	ck_assert_uint_eq(atomic_load(&fx->limits.count), 0);
}

/* What he hears: all of it, until the end. */
static const char *answer(struct fixture *fx, int fd, char *got, size_t size)
{
	fx->holds = false;
	hear(fx, fd, got, size, NULL);
	close(fd);
	return got;
}

START_TEST(the_upgrade_is_answered_when_it_is_known_who_comes_and_not_before)
{
	struct fixture *fx = fixture_create(100, 5000);
	char got[4096];
	uint8_t frame[64];
	int fd = waiting(fx, NULL);

	ck_assert(is_silent(fx, fd));
	answer_until_mount(fx);
	ck_assert(is_silent(fx, fd));
	fx->holds = false;
	hear(fx, fd, got, sizeof got, "\r\n\r\n");
	ck_assert(strncmp(got, "HTTP/1.1 101 ", 13) == 0);
	ck_assert_ptr_nonnull(strstr(got, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
	say(fd, frame, masked(frame, 0x89, "hi", 2));
	size_t length = hear(fx, fd, got, sizeof got, "\x8a\x02hi");
	ck_assert_ptr_nonnull(memmem(got, length, "\x8a\x02hi", 4));
	close(fd);
	nobody_is_left(fx);
	fixture_destroy(fx);
}
END_TEST

START_TEST(who_is_refused_is_told_so_in_http_and_the_connection_ends)
{
	static const struct {
		const char *jwt; /* NULL: good */
		enum status mount;
		const char *head, *body;
	} cases[] = {
		{"nonsense", STATUS_OK, "HTTP/1.1 200 OK\r\n", "\r\n\r\n{\"error\":{\"message\":\"Unauthorized\"}}"},
		{NULL, STATUS_UNAUTHENTICATED, "HTTP/1.1 200 OK\r\n", "{\"error\":{\"message\":\"Unauthorized\"}}"},
		{NULL, STATUS_NO_ACCESS, "HTTP/1.1 403 Forbidden\r\n", "\r\n\r\nForbidden"},
		{NULL, STATUS_BUSY, "HTTP/1.1 503 ", "\r\n\r\n"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct fixture *fx = fixture_create(100, 5000);
		char got[2048];
		fx->w->mount = cases[i].mount;
		int fd = waiting(fx, cases[i].jwt);
		answer(fx, fd, got, sizeof got);
		ck_assert_msg(strncmp(got, cases[i].head, strlen(cases[i].head)) == 0, "case %zu: %s", i, got);
		ck_assert_ptr_nonnull(strstr(got, cases[i].body));
		ck_assert_ptr_null(strstr(got, " 101 "));
		nobody_is_left(fx);
		fixture_destroy(fx);
	}
}
END_TEST

START_TEST(one_socket_too_many_of_an_account_is_refused_at_the_door)
{
	struct fixture *fx = fixture_create(100, 5000);
	char request[1024], got[2048];

	fx->limits.per_account = 1;
	fx->w->hub.options.limits = &fx->limits;
	int first = waiting(fx, NULL);
	fx->holds = false;
	hear(fx, first, got, sizeof got, " 101 ");
	int second = dial(fx);
	say(second, request, upgrade_of(request, sizeof request, ""));
	answer(fx, second, got, sizeof got);
	ck_assert(strncmp(got, "HTTP/1.1 429 ", 13) == 0);
	close(first);
	nobody_is_left(fx);
	fixture_destroy(fx);
}
END_TEST

START_TEST(who_goes_while_he_waits_is_forgotten_whatever_is_answered_later)
{
	for (int mounted = 0; mounted < 2; mounted++) {
		struct fixture *fx = fixture_create(100, 5000);
		int fd = waiting(fx, NULL);
		if (mounted == 1)
			answer_until_mount(fx);
		close(fd);
		nobody_is_left(fx);
		ck_assert_uint_gt(fx->w->asked_count, 0); /* and now they are answered */
		fx->holds = false;
		turn(fx, 1);
		ck_assert_uint_eq(fx->w->hub.client_count, 0);
		fixture_destroy(fx);
	}
}
END_TEST

START_TEST(who_speaks_before_the_upgrade_is_answered_is_refused_and_not_heard)
{
	for (int together = 0; together < 2; together++) {
		struct fixture *fx = fixture_create(100, 5000);
		char all[2048], got[2048];
		uint8_t frame[256];
		size_t length = masked(frame, 0x81, CREATE, strlen(CREATE));
		int fd;
		if (together == 1) {
			size_t head = upgrade_of(all, sizeof all, "");
			memcpy(all + head, frame, length);
			fd = dial(fx);
			say(fd, all, head + length);
		} else {
			fd = waiting(fx, NULL);
			say(fd, frame, length);
		}
		hear(fx, fd, got, sizeof got, NULL);
		ck_assert_msg(strncmp(got, "HTTP/1.1 400 ", 13) == 0, "%s", got);
		ck_assert_ptr_null(strstr(got, " 101 "));
		fx->holds = false;
		turn(fx, 1);
		ck_assert_uint_eq(fx->w->acts, 0);
		close(fd);
		nobody_is_left(fx);
		fixture_destroy(fx);
	}
}
END_TEST

START_TEST(a_frame_that_is_whole_only_after_the_answer_counts)
{
	struct fixture *fx = fixture_create(100, 5000);
	char got[4096];
	uint8_t frame[256];
	size_t length = masked(frame, 0x81, CREATE, strlen(CREATE));
	int fd = waiting(fx, NULL);

	say(fd, frame, 10);
	ck_assert(is_silent(fx, fd));
	fx->holds = false;
	hear(fx, fd, got, sizeof got, " 101 ");
	say(fd, frame + 10, length - 10);
	for (int i = 0; i < 400 && fx->w->acts == 0; i++)
		turn(fx, 5);
	ck_assert_uint_eq(fx->w->acts, 1);
	ck_assert_str_eq(fx->w->last_said, "x");
	close(fd);
	nobody_is_left(fx);
	fixture_destroy(fx);
}
END_TEST

START_TEST(who_waits_in_vain_hears_that_the_service_is_away)
{
	for (int mounted = 0; mounted < 2; mounted++) {
		struct fixture *fx = fixture_create(100, 5000);
		char got[2048];
		/* For the token there is the time of authentication; then two heartbeats. */
		fx->w->hub.options.handshake_ms = 60000;
		fx->w->hub.options.auth_ms = mounted == 0 ? 50 : 60000;
		fx->w->hub.options.heartbeat_ms = 50;
		int fd = waiting(fx, NULL);
		if (mounted == 1)
			answer_until_mount(fx);
		hear(fx, fd, got, sizeof got, NULL);
		ck_assert_msg(strncmp(got, "HTTP/1.1 503 ", 13) == 0, "%d: %s", mounted, got);
		close(fd);
		nobody_is_left(fx);
		fx->holds = false;
		turn(fx, 1);
		fixture_destroy(fx);
	}
}
END_TEST

TESTS("gateway_door", the_upgrade_is_answered_when_it_is_known_who_comes_and_not_before,
	who_is_refused_is_told_so_in_http_and_the_connection_ends, one_socket_too_many_of_an_account_is_refused_at_the_door,
	who_goes_while_he_waits_is_forgotten_whatever_is_answered_later,
	who_speaks_before_the_upgrade_is_answered_is_refused_and_not_heard, a_frame_that_is_whole_only_after_the_answer_counts,
	who_waits_in_vain_hears_that_the_service_is_away)
