/*
 * Real sockets on loopback in front of a hub whose outside is the test's world.
 */
#include "services/gateway/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/ops/ops.h"
#include "services/gateway/deflate.h"
#include "tests/unit/gateway/peers.h"
#include "tests/unit/main.h"

START_TEST(a_handshake_and_frames_in_single_bytes_are_understood)
{
	struct fixture *fx = fixture_create(100, 5000);
	int fd = dial(fx);
	char got[4096];
	uint8_t frame[256];

	for (const char *c = UPGRADE; *c != '\0'; c++) {
		say(fd, c, 1);
		turn(fx, 1);
	}
	hear(fx, fd, got, sizeof got, "\"hello\"");
	ck_assert_ptr_nonnull(strstr(got, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
	size_t length = masked(frame, 0x81, "{\"op\":\"ping\",\"ref\":\"x\"}", 23);
	for (size_t i = 0; i < length; i++) {
		say(fd, frame + i, 1);
		turn(fx, 1);
	}
	hear(fx, fd, got, sizeof got, "\"pong\"");
	ck_assert_ptr_nonnull(memmem(got, sizeof got, "\"ref\":\"x\"", 9));
	close(fd);
	fixture_destroy(fx);
}
END_TEST

START_TEST(frames_that_come_with_the_handshake_are_not_lost)
{
	struct fixture *fx = fixture_create(100, 5000);
	int fd = dial(fx);
	char got[4096], all[1024];
	size_t length = strlen(UPGRADE);

	memcpy(all, UPGRADE, length);
	length += masked((uint8_t *)all + length, 0x89, "hi", 2);
	say(fd, all, length);
	length = hear(fx, fd, got, sizeof got, "\x8a\x02hi");
	ck_assert_ptr_nonnull(memmem(got, length, "\x8a\x02hi", 4));
	close(fd);
	fixture_destroy(fx);
}
END_TEST

static int refusal(struct fixture *fx, const char *request)
{
	int fd = dial(fx);
	char got[2048];

	say(fd, request, strlen(request));
	hear(fx, fd, got, sizeof got, "\r\n\r\n");
	close(fd);
	return strncmp(got, "HTTP/1.1 ", 9) == 0 ? atoi(got + 9) : 0;
}

START_TEST(what_is_no_handshake_is_answered_in_http)
{
	struct fixture *fx = fixture_create(100, 5000);
	static char endless[20000];

	ck_assert_int_eq(refusal(fx, "GET /v1/ws HTTP/1.1\r\nHost: x\r\n\r\n"), 426);
	ck_assert_int_eq(refusal(fx, "POST /v1/ws HTTP/1.1\r\nHost: x\r\n\r\n"), 405);
	ck_assert_int_eq(refusal(fx, "nonsense\r\n\r\n"), 400);
	char other[512];
	snprintf(other, sizeof other, "GET /else%s", UPGRADE + strlen("GET /v1/ws"));
	ck_assert_int_eq(refusal(fx, other), 404);
	snprintf(other, sizeof other, "GET /v1/ws?topics=%%zz%s", UPGRADE + strlen("GET /v1/ws"));
	ck_assert_int_eq(refusal(fx, other), 400);
	memset(endless, 'x', sizeof endless - 1);
	ck_assert_int_eq(refusal(fx, endless), 431);
	turn(fx, 1);
	ck_assert_uint_eq(atomic_load(&fx->limits.count), 0);
	fixture_destroy(fx);
}
END_TEST

START_TEST(more_sockets_than_allowed_are_refused_with_503)
{
	struct fixture *fx = fixture_create(2, 5000);
	int first = dial(fx), second = dial(fx);
	char got[512];

	turn(fx, 5);
	turn(fx, 5);
	int third = dial(fx);
	hear(fx, third, got, sizeof got, "\r\n\r\n");
	ck_assert_int_eq(atoi(got + 9), 503);
	close(third);
	close(first);
	for (int i = 0; i < 20; i++)
		turn(fx, 1);
	int fourth = dial(fx);
	say(fourth, UPGRADE, strlen(UPGRADE));
	hear(fx, fourth, got, sizeof got, "101");
	ck_assert_int_eq(atoi(got + 9), 101);
	close(second);
	close(fourth);
	fixture_destroy(fx);
}
END_TEST

START_TEST(our_close_waits_for_theirs_and_theirs_is_answered)
{
	struct fixture *fx = fixture_create(100, 5000);
	int fd = dial(fx);
	char got[4096];
	uint8_t frame[64];

	say(fd, UPGRADE, strlen(UPGRADE));
	hear(fx, fd, got, sizeof got, "\"hello\"");
	say(fd, frame, masked(frame, 0x88, "\x03\xe8", 2));
	size_t length = hear(fx, fd, got, sizeof got, NULL); /* until it is closed */
	ck_assert_uint_ge(length, 4);
	ck_assert_mem_eq(got, "\x88", 1);
	ck_assert_mem_eq(got + 2, "\x03\xe8", 2);
	close(fd);
	for (int i = 0; i < 400 && atomic_load(&fx->limits.count) > 0; i++)
		turn(fx, 5);
	ck_assert_uint_eq(atomic_load(&fx->limits.count), 0);

	fd = dial(fx);
	say(fd, UPGRADE, strlen(UPGRADE));
	hear(fx, fd, got, sizeof got, "\"hello\"");
	say(fd, frame, masked(frame, 0x83, "x", 1)); /* a reserved opcode */
	hear(fx, fd, got, sizeof got, "\x03\xea");
	say(fd, "garbage that nobody looks at", 28);
	ck_assert_uint_eq(atomic_load(&fx->limits.count), 1);
	for (int i = 0; i < 600 && atomic_load(&fx->limits.count) > 0; i++)
		turn(fx, 5);
	ck_assert_uint_eq(atomic_load(&fx->limits.count), 0);
	close(fd);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_close_is_answered_with_its_own_code_behind_what_came_before_it)
{
	struct fixture *fx = fixture_create(100, 5000);
	int fd = dial(fx);
	char got[4096];
	uint8_t bytes[256];

	say(fd, UPGRADE, strlen(UPGRADE));
	hear(fx, fd, got, sizeof got, "\"hello\"");
	size_t length = masked(bytes, 0x89, "one", 3);
	length += masked(bytes + length, 0x88, "\x0b\xb8"
					       "why",
		5);						     /* 3000 */
	length += masked(bytes + length, 0x88, "\x03\xe8", 2);	     /* another one, */
	length += masked(bytes + length, 0x89, "afterwards", 10); /* and what nobody asked for */
	say(fd, bytes, length);
	length = hear(fx, fd, got, sizeof got, NULL); /* until it ends */
	ck_assert_uint_eq(length, 5 + 4);
	ck_assert_mem_eq(got, "\x8a\x03one\x88\x02\x0b\xb8", 9);
	close(fd);
	for (int i = 0; i < 400 && atomic_load(&fx->limits.count) > 0; i++)
		turn(fx, 5);
	ck_assert_uint_eq(atomic_load(&fx->limits.count), 0);
	fixture_destroy(fx);
}
END_TEST

#define UPGRADE_WITH(query, headers)                                                                         \
	"GET /v1/ws" query " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"                        \
	"Authorization: Bearer user1\r\n" headers "\r\n"

START_TEST(a_broadcast_is_compressed_once_for_those_who_want_it_and_whole_for_the_others)
{
	static const struct {
		const char *upgrade, *answer;
		uint8_t first; /* byte of an event's frame */
	} rows[] = {
		{UPGRADE_WITH("", ""), NULL, 0x81},
		{UPGRADE_WITH("", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"),
			"permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n", 0xc1},
		{UPGRADE_WITH("", "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=16, permessage-deflate\r\n"),
			"permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n", 0xc1},
		{UPGRADE_WITH("?compress=0", "Sec-WebSocket-Extensions: permessage-deflate\r\n"), NULL, 0x81},
		{UPGRADE_WITH("", "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9\r\n"),
			"client_no_context_takeover; server_max_window_bits=9\r\n", 0xc1},
	};
	enum { COUNT = sizeof rows / sizeof *rows };
	struct fixture *fx = fixture_create(100, 5000);
	char got[4096], subscribe[256], topic[64];
	uint8_t frame[512];
	int fds[COUNT];

	fx->w->hub.deflate = deflate_create(6, 64);
	snprintf(subscribe, sizeof subscribe, "{\"op\":\"subscribe\",\"topics\":[\"%s\"]}",
		world_topic(topic, "channel", CHANNEL_A));
	for (int i = 0; i < COUNT; i++) {
		fds[i] = dial(fx);
		say(fds[i], rows[i].upgrade, strlen(rows[i].upgrade));
		hear(fx, fds[i], got, sizeof got, "\"hello\"");
		if (rows[i].answer != NULL)
			ck_assert_ptr_nonnull(strstr(got, rows[i].answer));
		else
			ck_assert_ptr_null(strcasestr(got, "Sec-WebSocket-Extensions"));
		say(fds[i], frame, masked(frame, 0x81, subscribe, strlen(subscribe)));
		hear(fx, fds[i], got, sizeof got, "\"subscribed\"");
	}
	world_post(fx->w, CHANNEL_A);
	for (int i = 0; i < COUNT; i++) {
		size_t length = 0;
		for (int k = 0; k < 400 && length < 4; k++) {
			turn(fx, 5);
			ssize_t n = recv(fds[i], got + length, sizeof got - length, MSG_DONTWAIT);
			length += n > 0 ? (size_t)n : 0;
		}
		ck_assert_uint_ge(length, 4);
		ck_assert_msg((uint8_t)got[0] == rows[i].first, "row %d: %02x", i, (uint8_t)got[0]);
		close(fds[i]);
	}
	fixture_destroy(fx);
}
END_TEST

START_TEST(where_compression_is_off_nobody_gets_it)
{
	static const char upgrade[] = UPGRADE_WITH("", "Sec-WebSocket-Extensions: permessage-deflate\r\n");
	struct fixture *fx = fixture_create(100, 5000);
	int fd = dial(fx);
	char got[4096];
	uint8_t frame[64];

	say(fd, upgrade, strlen(upgrade));
	hear(fx, fd, got, sizeof got, "\"hello\"");
	ck_assert_ptr_null(strcasestr(got, "Sec-WebSocket-Extensions"));
	say(fd, frame, masked(frame, 0xc1, "\x00", 1));
	size_t length = hear(fx, fd, got, sizeof got, "\x03\xea");
	ck_assert_ptr_nonnull(memmem(got, length, "\x03\xea", 2)); /* 1002 */
	close(fd);
	fixture_destroy(fx);
}
END_TEST

START_TEST(compressed_operations_are_understood_and_a_bomb_closes_with_1009)
{
	/* {"op":"ping","ref":7} in a stored block; then 7 KiB of one letter, where 4096 bytes are allowed. */
	static const char ping[] = "\x00\x15\x00\xea\xff{\"op\":\"ping\",\"ref\":7}\x00";
	static const char upgrade[] = UPGRADE_WITH("", "Sec-WebSocket-Extensions: permessage-deflate\r\n");
	struct fixture *fx = fixture_create(100, 5000);
	int fd = dial(fx);
	char got[4096], bomb[100] = {0};
	uint8_t frame[512];

	fx->w->hub.deflate = deflate_create(6, 64);
	say(fd, upgrade, strlen(upgrade));
	hear(fx, fd, got, sizeof got, "\"hello\"");
	say(fd, frame, masked(frame, 0xc1, ping, sizeof ping - 1));
	hear(fx, fd, got, sizeof got, "\"ref\":7");
	ck_assert_ptr_nonnull(strstr(got, "\"pong\""));
	say(fd, frame, masked(frame, 0x81, "{\"op\":\"ping\",\"ref\":8}", 21)); /* not every message has to be */
	hear(fx, fd, got, sizeof got, "\"ref\":8");
	ck_assert_ptr_nonnull(strstr(got, "\"pong\""));
	/* 'a' is 10010001, length 258 is 11000101, distance 1 is 00000: 13 bits for 258 bytes, 28 of them are 7224. */
	size_t bit = 0;
	const char *codes[30] = {"010" /* no last block, fixed codes */ "10010001"};
	for (size_t i = 1; i < 30; i++)
		codes[i] = "11000101" "00000";
	for (size_t i = 0; i < 30; i++)
		for (const char *c = codes[i]; *c != '\0'; c++, bit++)
			bomb[bit / 8] = (char)(bomb[bit / 8] | (*c - '0') << (bit % 8));
	say(fd, frame, masked(frame, 0xc1, bomb, bit / 8));
	size_t length = hear(fx, fd, got, sizeof got, "\x03\xf1");
	ck_assert_ptr_nonnull(memmem(got, length, "\x03\xf1", 2));
	close(fd);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_page_of_another_origin_is_refused_with_403)
{
	struct fixture *fx = fixture_create(100, 5000);
	struct arena *mem = arena_create();
	struct origins *origins = NULL;

	sockets_destroy(fx->sockets);
	ck_assert_int_eq(origins_read(mem, "https://chat.example", &origins), STATUS_OK);
	struct sockets_options options = {.listen = "127.0.0.1:0", .sndbuf_bytes = 4096, .max_frame_bytes = 4096,
		.queue_bytes = 65536, .queue_ms = 5000, .origins = origins, .limits = &fx->limits};
	ck_assert_int_eq(sockets_create(&options, &fx->w->hub, &fx->sockets), STATUS_OK);
	ck_assert_int_eq(refusal(fx, UPGRADE_WITH("", "Origin: https://evil.example\r\n")), 403);
	ck_assert_int_eq(refusal(fx, UPGRADE_WITH("", "Origin: null\r\n")), 403);
	ck_assert_int_eq(refusal(fx, UPGRADE_WITH("", "Origin: https://chat.example\r\n")), 101);
	ck_assert_int_eq(refusal(fx, UPGRADE_WITH("", "")), 101);
	fixture_destroy(fx);
	arena_destroy(mem);
}
END_TEST

START_TEST(a_message_over_the_limit_is_1009_before_it_is_here)
{
	struct fixture *fx = fixture_create(100, 5000);
	int fd = dial(fx);
	char got[4096];

	say(fd, UPGRADE, strlen(UPGRADE));
	hear(fx, fd, got, sizeof got, "\"hello\"");
	say(fd, "\x81\xfe\x20\x00mask", 8);
	size_t length = hear(fx, fd, got, sizeof got, "\x03\xf1");
	ck_assert_ptr_nonnull(memmem(got, length, "\x03\xf1", 2));
	close(fd);
	fixture_destroy(fx);
}
END_TEST

/* Two sockets that want what happens in CHANNEL_A. */
static void two_subscribe(struct fixture *fx, int fds[2])
{
	char got[4096], subscribe[256], topic[64];
	uint8_t frame[512];

	snprintf(subscribe, sizeof subscribe, "{\"op\":\"subscribe\",\"topics\":[\"%s\"]}",
		world_topic(topic, "channel", CHANNEL_A));
	for (int i = 0; i < 2; i++) {
		fds[i] = dial(fx);
		say(fds[i], UPGRADE, strlen(UPGRADE));
		hear(fx, fds[i], got, sizeof got, "\"hello\"");
		say(fds[i], frame, masked(frame, 0x81, subscribe, strlen(subscribe)));
		hear(fx, fds[i], got, sizeof got, "\"subscribed\"");
	}
}

/* A turn: posts once more when the one before was read, up to `most`, and reads what came by fd. */
static void post_and_read(struct fixture *fx, int fd, size_t most, size_t *posted, size_t *messages)
{
	char got[65536];

	if (*posted < most && *messages == *posted) {
		world_post(fx->w, CHANNEL_A);
		(*posted)++;
	}
	turn(fx, 1);
	ssize_t n = recv(fd, got, sizeof got - 1, MSG_DONTWAIT);
	for (char *at = got; n > 0 && (at = memmem(at, (size_t)(got + n - at), "channel_message", 15)) != NULL; at++)
		(*messages)++;
}

START_TEST(a_reader_that_does_not_read_is_closed_and_the_others_get_everything)
{
	struct fixture *fx = fixture_create(100, 300);
	int fds[2];

	two_subscribe(fx, fds);
	size_t messages = 0, posted = 0;
	for (int i = 0;
		i < 3000 && !(posted == 400 && atomic_load(&fx->limits.count) == 1 && messages == 400); i++) {
		post_and_read(fx, fds[1], 400, &posted, &messages);
	}
	ck_assert_uint_eq(messages, 400);
	ck_assert_uint_eq(atomic_load(&fx->limits.count), 1);
	ck_assert_uint_eq(fx->w->hub.pool.bytes, 0);
	close(fds[0]);
	close(fds[1]);
	fixture_destroy(fx);
}
END_TEST

START_TEST(without_files_accepting_pauses_and_goes_on)
{
	struct fixture *fx = fixture_create(100, 5000);
	int first = dial(fx), second = dial(fx);
	char got[512];
	struct rlimit limit, none;
	int knocking[20];

	for (int i = 0; i < 20; i++)
		knocking[i] = dial(fx);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = (rlim_t)knocking[19] + 1; /* nothing above what is open now */
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	uint64_t before = atomic_load(&metrics.ws_refused_files);
	int64_t began_ms = clock_mono_ms();
	for (int i = 0; i < 50; i++)
		turn(fx, 1);
	uint64_t sheds = atomic_load(&metrics.ws_refused_files) - before;
	ck_assert_uint_ge(sheds, 1);
	/* Not with every turn, however many knock. */
	ck_assert_uint_le(sheds, 2 + (uint64_t)(clock_mono_ms() - began_ms) / 100);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	int third = dial(fx);
	say(third, UPGRADE, strlen(UPGRADE));
	hear(fx, third, got, sizeof got, "101");
	ck_assert_int_eq(atoi(got + 9), 101);
	close(first);
	close(second);
	close(third);
	for (int i = 0; i < 20; i++)
		close(knocking[i]);
	fixture_destroy(fx);
}
END_TEST

static void nobody_is_left(struct fixture *fx)
{
	while (atomic_load(&fx->limits.count) > 0) /* or the test's time is over */
		turn(fx, 1);
}

START_TEST(a_request_that_trickles_is_cut_whatever_comes)
{
	struct fixture *fx = fixture_create(100, 5000);
	uint64_t cut = atomic_load(&metrics.ws_refused_slow_handshake);

	fx->w->hub.options.handshake_ms = 100;
	fx->w->hub.options.auth_ms = 3600000;
	int fd = dial(fx);
	turn(fx, 5);
	for (size_t i = 0; atomic_load(&fx->limits.count) > 0; i++) {
		send(fd, UPGRADE + i % 16, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		turn(fx, 1);
	}
	ck_assert_uint_eq(atomic_load(&metrics.ws_refused_slow_handshake), cut + 1);
	close(fd);
	fixture_destroy(fx);
}
END_TEST

START_TEST(the_time_for_authentication_begins_with_the_upgrade)
{
	struct fixture *fx = fixture_create(100, 5000);
	char got[4096], request[512];

	fx->w->hub.options.handshake_ms = 100;
	fx->w->hub.options.auth_ms = 3600000;
	int fd = dial(fx);
	snprintf(request, sizeof request, "%.*s\r\n\r\n", (int)(strstr(UPGRADE, "\r\nAuth") - UPGRADE), UPGRADE);
	say(fd, request, strlen(request));
	hear(fx, fd, got, sizeof got, "101");
	ck_assert_uint_eq(atomic_load(&fx->limits.count), 1);
	ck_assert_int_gt(fx->w->hub.clients->timer.due_tick * WHEEL_TICK_MS, fx->w->hub.now_mono_ms + 3500000);
	close(fd);
	fixture_destroy(fx);
}
END_TEST

/* Asks for the upgrade on a connection of its own, which stays open. Returns the status, or 0. */
static int upgraded(struct fixture *fx, const char *header, int *out_fd, char *got, size_t size)
{
	char request[1024];

	snprintf(request, sizeof request, "%.*s%s\r\n", (int)strlen(UPGRADE) - 2, UPGRADE, header);
	*out_fd = dial(fx);
	turn(fx, 1);
	send(*out_fd, request, strlen(request), MSG_NOSIGNAL);
	hear(fx, *out_fd, got, size, "\r\n\r\n");
	return strncmp(got, "HTTP/1.1 ", 9) == 0 ? atoi(got + 9) : 0;
}

START_TEST(more_sockets_of_an_address_than_allowed_are_429_before_they_say_anything)
{
	struct fixture *fx = fixture_create(100, 5000);
	char got[4096];

	fx->limits.per_address = 2;
	int first = dial(fx), second = dial(fx);
	turn(fx, 5);
	turn(fx, 5);
	int third = dial(fx);
	hear(fx, third, got, sizeof got, "\r\n\r\n");
	ck_assert_int_eq(atoi(got + 9), 429);
	ck_assert_ptr_nonnull(strstr(got, "Retry-After: "));
	close(third);
	close(first);
	while (atomic_load(&fx->limits.count) > 1)
		turn(fx, 1);
	ck_assert_int_eq(upgraded(fx, "", &third, got, sizeof got), 101);
	close(second);
	close(third);
	nobody_is_left(fx);
	fixture_destroy(fx);
}
END_TEST

START_TEST(behind_a_proxy_each_address_is_counted_by_itself)
{
	struct fixture *fx = fixture_create(100, 5000);
	struct network proxy = {.bits = 128};
	char got[4096];
	int fds[5];

	ck_assert_int_eq(address_parse("127.0.0.1", 9, &proxy.address), STATUS_OK);
	fx->limits.trusted = &proxy;
	fx->limits.trusted_count = 1;
	fx->limits.per_address = 1;
	ck_assert_int_eq(upgraded(fx, "X-Forwarded-For: 192.0.2.1\r\n", &fds[0], got, sizeof got), 101);
	ck_assert_int_eq(upgraded(fx, "X-Forwarded-For: 192.0.2.2\r\n", &fds[1], got, sizeof got), 101);
	ck_assert_int_eq(upgraded(fx, "X-Forwarded-For: 192.0.2.1\r\n", &fds[2], got, sizeof got), 429);
	ck_assert_int_eq(upgraded(fx, "", &fds[3], got, sizeof got), 101);
	ck_assert_int_eq(upgraded(fx, "", &fds[4], got, sizeof got), 101);
	for (int i = 0; i < 5; i++)
		close(fds[i]);
	nobody_is_left(fx);
	ck_assert_uint_eq(fx->limits.addresses.count, 0);
	fixture_destroy(fx);
}
END_TEST

START_TEST(handshakes_above_the_rate_are_told_when_to_come_back)
{
	struct fixture *fx = fixture_create(100, 5000);
	char got[4096];
	int fd, codes[3] = {0};

	fx->limits.handshakes_per_s = 1;
	for (int i = 0; i < 3; i++) {
		fx->limits.handshakes.at_ms = INT64_MAX / 2; /* the clock stands still */
		fx->limits.handshakes.level = i == 0 ? 1000 : fx->limits.handshakes.level;
		codes[i] = upgraded(fx, "", &fd, got, sizeof got);
		close(fd);
	}
	ck_assert_int_eq(codes[0], 101);
	ck_assert_int_eq(codes[1], 503);
	ck_assert_int_eq(codes[2], 503);
	ck_assert_ptr_nonnull(strstr(got, "Retry-After: "));
	nobody_is_left(fx);
	fixture_destroy(fx);
}
END_TEST

START_TEST(more_sockets_of_an_account_than_allowed_are_4429_and_those_there_stay)
{
	struct fixture *fx = fixture_create(100, 5000);
	char got[4096];
	int fds[3];

	fx->limits.per_account = 1;
	fx->w->hub.options.limits = &fx->limits;
	fds[0] = dial(fx);
	say(fds[0], UPGRADE, strlen(UPGRADE));
	hear(fx, fds[0], got, sizeof got, "\"hello\"");
	fds[1] = dial(fx);
	say(fds[1], UPGRADE, strlen(UPGRADE));
	size_t length = hear(fx, fds[1], got, sizeof got, "too many sockets");
	ck_assert_ptr_nonnull(memmem(got, length, "\x11\x4d" "too many sockets", 18));
	close(fds[1]);
	close(fds[0]);
	nobody_is_left(fx);
	ck_assert_uint_eq(fx->limits.accounts.count, 0);
	fds[2] = dial(fx);
	say(fds[2], UPGRADE, strlen(UPGRADE));
	length = hear(fx, fds[2], got, sizeof got, "\"hello\"");
	ck_assert_ptr_nonnull(memmem(got, length, "\"hello\"", 7));
	close(fds[2]);
	nobody_is_left(fx);
	fixture_destroy(fx);
}
END_TEST

START_TEST(when_all_queues_together_are_full_the_longest_of_who_does_not_read_goes)
{
	struct fixture *fx = fixture_create(100, 3600000);
	int fds[2];
	uint64_t relieved = atomic_load(&metrics.ws_queue_relieved);
	size_t messages = 0, posted = 0;

	fx->limits.queue_bytes = 8192; /* of one socket: 65536 */
	two_subscribe(fx, fds);
	while (!(posted == 400 && messages == 400)) {
		post_and_read(fx, fds[1], 400, &posted, &messages);
	}
	ck_assert_uint_eq(atomic_load(&metrics.ws_queue_relieved), relieved + 1);
	ck_assert_int_le(atomic_load(&fx->limits.queued), 8192);
	close(fds[0]);
	close(fds[1]);
	nobody_is_left(fx);
	fixture_destroy(fx);
}
END_TEST

TESTS("socket", a_handshake_and_frames_in_single_bytes_are_understood,
	frames_that_come_with_the_handshake_are_not_lost, what_is_no_handshake_is_answered_in_http,
	more_sockets_than_allowed_are_refused_with_503, our_close_waits_for_theirs_and_theirs_is_answered,
	a_close_is_answered_with_its_own_code_behind_what_came_before_it,
	a_broadcast_is_compressed_once_for_those_who_want_it_and_whole_for_the_others,
	where_compression_is_off_nobody_gets_it, compressed_operations_are_understood_and_a_bomb_closes_with_1009, a_page_of_another_origin_is_refused_with_403,
	a_message_over_the_limit_is_1009_before_it_is_here,
	a_reader_that_does_not_read_is_closed_and_the_others_get_everything,
	without_files_accepting_pauses_and_goes_on, a_request_that_trickles_is_cut_whatever_comes,
	the_time_for_authentication_begins_with_the_upgrade,
	more_sockets_of_an_address_than_allowed_are_429_before_they_say_anything,
	behind_a_proxy_each_address_is_counted_by_itself, handshakes_above_the_rate_are_told_when_to_come_back,
	more_sockets_of_an_account_than_allowed_are_4429_and_those_there_stay,
	when_all_queues_together_are_full_the_longest_of_who_does_not_read_goes)
