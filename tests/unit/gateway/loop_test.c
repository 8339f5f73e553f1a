/*
 * A loop's thread with mail from several others at once: for the thread sanitizer as much as for the result.
 */
#include "services/gateway/loop.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/base/ids.h"
#include "services/gateway/client.h"
#include "tests/unit/main.h"

#define EVENTS 2000
#define USER   UINT64_C(1)

/* An outside that answers at once, from the asking thread's own mailbox, and an order of another thread's. */
struct outside {
	struct loop *loop;
	_Atomic bool followed;
};

static void port_follow(void *arg, struct stream s, uint64_t at, uint64_t follow)
{
	struct outside *outside = arg;

	loop_followed(outside->loop, s, at, follow);
	if (s.rank == RANK_USER)
		atomic_store(&outside->followed, true);
}

static void port_unfollow(void *arg, struct stream s, uint64_t follow)
{
}

static void port_hint(void *arg, struct stream s, uint64_t seq)
{
}

static void port_generation(void *arg, char out[HUB_GENERATION_SIZE])
{
	strcpy(out, "g/1/1");
}

static void port_ask_token(void *arg, uint64_t question, const char *token, enum dialect dialect)
{
	struct outside *outside = arg;
	struct arena *mem = arena_create();
	pb_ResolveTokenReply *reply = ARENA_NEW(mem, pb_ResolveTokenReply);

	*reply = (pb_ResolveTokenReply){.has_account = true,
		.may_write = true,
		.account = {.id = USER, .username = arena_strdup(mem, "u")},
		.session_id = 5};
	loop_answer(outside->loop, question, STATUS_OK, mem, reply, NULL, NULL);
}

static void busy(void *arg, uint64_t question)
{
	struct outside *outside = arg;

	loop_answer(outside->loop, question, STATUS_BUSY, arena_create(), NULL, NULL, NULL);
}

static void port_ask_keys(void *arg, uint64_t question, struct stream s, const uint64_t *users, size_t count)
{
	struct outside *outside = arg;

	if (s.rank != 0) {
		busy(arg, question);
		return;
	}
	struct arena *mem = arena_create();
	pb_ListAudiencesReply *none = ARENA_NEW(mem, pb_ListAudiencesReply);
	*none = (pb_ListAudiencesReply){0};
	loop_answer(outside->loop, question, STATUS_OK, mem, none, NULL, NULL);
}

static void port_ask_rights(
	void *arg, uint64_t question, uint64_t user, const uint64_t *channels, size_t count)
{
	busy(arg, question);
}

static void port_ask_teams(void *arg, uint64_t question, const uint64_t *users, size_t count)
{
	busy(arg, question);
}

static void port_ask_head(void *arg, uint64_t question, struct stream s)
{
	busy(arg, question);
}

static void port_ask_events(void *arg, uint64_t question, struct stream s, uint64_t after, uint32_t limit,
	uint64_t expect_head, const char *generation)
{
	busy(arg, question);
}

static void port_ask_typing(
	void *arg, uint64_t question, const struct client *by, const pb_SetTypingRequest *request)
{
	busy(arg, question);
}

static void port_ask_presence(void *arg, uint64_t question, const struct client *by, uint32_t chosen)
{
	busy(arg, question);
}

static void port_ask_slots(void *arg, uint64_t question, const uint64_t *channels, size_t channel_count, const uint64_t *users, size_t user_count)
{
	busy(arg, question);
}

static void port_ask_online(void *arg, uint64_t question, uint64_t team, uint32_t most)
{
	busy(arg, question);
}

static void port_ask_unread(void *arg, uint64_t question, const struct client *by)
{
	busy(arg, question);
}

static void port_ask_act(void *arg, uint64_t question, const struct client *by, enum act act, const void *request)
{
	busy(arg, question);
}

static void port_presence_changed(void *arg, const struct client *client, const pb_TeamIdsOf *places)
{
}

static void port_presence_closed(void *arg, const struct client *client)
{
}

static uint32_t port_random(void *arg, uint32_t below)
{
	return 0;
}

static const struct hub_ports ports = {
	port_follow,
	port_unfollow,
	port_hint,
	port_generation,
	port_ask_token,
	port_ask_keys,
	port_ask_rights,
	port_ask_teams,
	port_ask_head,
	port_ask_events,
	port_ask_typing,
	port_ask_presence,
	port_ask_slots,
	port_ask_online,
	port_ask_unread,
	port_ask_act,
	port_presence_changed,
	port_presence_changed,
	port_presence_closed,
	port_random,
};

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* The order's thread: events of the user's stream, one after the other. */
static void *order_thread(void *arg)
{
	struct outside *outside = arg;

	while (!atomic_load(&outside->followed))
		pause_ms(1);
	for (uint64_t seq = 1; seq <= EVENTS; seq++) {
		struct arena *mem = arena_create();
		pb_Event event = {.event_id = seq, .which_body = EVENT_KIND_session_opened};
		const uint8_t *bytes = NULL;
		size_t length = 0;
		event.body.session_opened = (pb_SessionOpened){.user_id = USER, .session_id = 1000 + seq};
		if (event_encode(mem, &event, &bytes, &length) != STATUS_OK)
			abort();
		pb_LoggedEvent row = {.rank = RANK_USER,
			.stream_id = USER,
			.seq = seq,
			.kind = EVENT_KIND_session_opened,
			.audience = (char *)"user:1",
			.at_ms = 1,
			.payload = pb_bytes_from(mem, bytes, length)};
		struct bus_event *ev = bus_event_from_log(&row);
		loop_event(outside->loop, ev);
		bus_event_unref(ev);
		arena_destroy(mem);
	}
	return NULL;
}

/* Answers to questions that nobody asked, as after a client went. */
static void *stray_thread(void *arg)
{
	struct outside *outside = arg;

	for (uint64_t i = 0; i < 500; i++)
		loop_answer(outside->loop, 1000000 + i, STATUS_OK, arena_create(), NULL, NULL, NULL);
	return NULL;
}

START_TEST(mail_of_several_threads_arrives_in_order_and_draining_closes_everybody)
{
	struct outside outside = {0};
	struct socket_limits limits = {.most = 10};
	struct loop_options options = {
		.drain_ms = 100,
		.hub = {.ports = &ports,
			.arg = &outside,
			.queue_bytes = 1 << 24,
			.queue_ms = 60000,
			.heartbeat_ms = 25000,
			.auth_ms = 60000,
			.max_frame_bytes = 4096},
		.sockets = {.listen = "127.0.0.1:0",
			.sndbuf_bytes = 65536,
			.max_frame_bytes = 4096,
			.queue_bytes = 1 << 24,
			.queue_ms = 60000,
			.limits = &limits},
	};
	pthread_t order, stray;
	static char got[1 << 20];
	char request[512], last[32], uuid[IDS_UUID_SIZE];
	size_t length = 0, events = 0;

	ck_assert_int_eq(loop_create(&options, &outside.loop), STATUS_OK);
	ck_assert_int_eq(loop_start(outside.loop), STATUS_OK);
	struct sockaddr_in where = {.sin_family = AF_INET,
		.sin_port = htons(loop_port(outside.loop)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&where, sizeof where), 0);
	ids_to_uuid(USER, uuid);
	int n = snprintf(request, sizeof request,
		"GET /v1/ws?token=t&resume=1&topics=user:%s HTTP/1.1\r\nHost: x\r\nUpgrade: "
		"websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		uuid);
	ck_assert_int_eq(send(fd, request, (size_t)n, MSG_NOSIGNAL), n);
	while (memmem(got, length, "\"subscribed\"", 12) == NULL)
		length += (size_t)recv(fd, got + length, sizeof got - length, 0);
	ck_assert_int_eq(pthread_create(&order, NULL, order_thread, &outside), 0);
	ck_assert_int_eq(pthread_create(&stray, NULL, stray_thread, &outside), 0);
	pthread_join(order, NULL);
	pthread_join(stray, NULL);
	/* A drain closes whoever is there when his turn comes, with mail or without. */
	snprintf(last, sizeof last, "\"seq\":%d}", EVENTS);
	while (memmem(got, length, last, strlen(last)) == NULL)
		length += (size_t)recv(fd, got + length, sizeof got - length, 0);
	loop_drain(outside.loop);
	for (;;) {
		ssize_t more = recv(fd, got + length, sizeof got - length, 0);
		ck_assert_int_ge(more, 0);
		if (more == 0)
			break;
		length += (size_t)more;
		if (memmem(got, length, "\"reconnect\"", 11) != NULL && got[length - 1] != 'x') {
			static const uint8_t close_frame[] = {0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8};
			(void)!send(fd, close_frame, sizeof close_frame, MSG_NOSIGNAL);
		}
	}
	for (const char *at = got; (at = memmem(at, (size_t)(got + length - at), "\"seq\":", 6)) != NULL;
		at += 6)
		if (memmem(at - 60, 60, "\"stream\"", 8) != NULL)
			ck_assert_int_eq(atoi(at + 6), (int)++events);
	ck_assert_uint_eq(events, EVENTS);
	while (!loop_drained(outside.loop))
		pause_ms(1);
	close(fd);
	loop_stop(outside.loop);
	loop_destroy(outside.loop);
}
END_TEST

TESTS("loop", mail_of_several_threads_arrives_in_order_and_draining_closes_everybody)
