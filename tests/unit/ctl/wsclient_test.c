#include "services/ctl/wsclient.h"
#include "tests/unit/main.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS 20000

/* A server of one connection: shakes hands, sends what the test wrote down, keeps what it gets. */
struct server {
	int listener, fd;
	char url[64];
	const char *status_line;   /* NULL: 101 */
	const char *wrong_accept;  /* NULL: the right one */
	const uint8_t *script;     /* sent with the answer to the handshake, in one write */
	size_t script_length;
	char request[4096];
	uint8_t got[65536];        /* what came after the handshake, until the client goes */
	size_t got_length;
	pthread_t thread;
};

static void *serve(void *arg)
{
	struct server *s = arg;
	char answer[512], key[64] = "", accept_value[WSCLIENT_ACCEPT_SIZE];
	size_t length = 0;
	ssize_t n;
	uint8_t *out;
	const char *at;

	s->fd = accept(s->listener, NULL, NULL);
	while (length < sizeof s->request - 1 && strstr(s->request, "\r\n\r\n") == NULL) {
		n = recv(s->fd, s->request + length, sizeof s->request - 1 - length, 0);
		if (n <= 0)
			return NULL;
		length += (size_t)n;
		s->request[length] = '\0';
	}
	at = strstr(s->request, "Sec-WebSocket-Key: ");
	if (at != NULL)
		sscanf(at, "Sec-WebSocket-Key: %63s", key);
	wsclient_accept_of(key, accept_value);
	n = snprintf(answer, sizeof answer, "HTTP/1.1 %s\r\nupgrade:  WebSocket \r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		s->status_line != NULL ? s->status_line : "101 Switching Protocols",
		s->wrong_accept != NULL ? s->wrong_accept : accept_value);
	out = malloc((size_t)n + s->script_length);
	memcpy(out, answer, (size_t)n);
	if (s->script_length > 0)
		memcpy(out + n, s->script, s->script_length);
	(void)!send(s->fd, out, (size_t)n + s->script_length, MSG_NOSIGNAL);
	free(out);
	while (s->got_length < sizeof s->got && (n = recv(s->fd, s->got + s->got_length, sizeof s->got - s->got_length, 0)) > 0)
		s->got_length += (size_t)n;
	close(s->fd);
	return NULL;
}

static void server_start(struct server *s, const void *script, size_t length)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;

	s->script = script;
	s->script_length = length;
	s->listener = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(s->listener, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(listen(s->listener, 1), 0);
	ck_assert_int_eq(getsockname(s->listener, (struct sockaddr *)&address, &size), 0);
	snprintf(s->url, sizeof s->url, "ws://localhost:%d/v1/ws?topics=global", ntohs(address.sin_port));
	ck_assert_int_eq(pthread_create(&s->thread, NULL, serve, s), 0);
}

/* Waits for the client's bytes to be complete: call after the client is gone. */
static void server_end(struct server *s)
{
	pthread_join(s->thread, NULL);
	close(s->listener);
}

static struct wsclient *connect_to(struct server *s)
{
	struct wsclient *client = NULL;
	char why[WSCLIENT_WHY_SIZE] = "";

	ck_assert_msg(wsclient_connect(&(struct wsclient_options){.url = s->url, .token = "secret", .timeout_ms = WAIT_MS},
			      &client, why) == STATUS_OK,
		"%s", why);
	return client;
}

/* The payload of the masked frame at `at`; *out_opcode. */
static size_t unmask(const uint8_t *at, uint8_t *out_opcode, uint8_t *out)
{
	size_t length = at[1] & 0x7F;

	ck_assert_uint_eq(at[1] & 0x80, 0x80);
	ck_assert_uint_lt(length, 126);
	*out_opcode = at[0] & 0x0F;
	for (size_t i = 0; i < length; i++)
		out[i] = at[6 + i] ^ at[2 + i % 4];
	out[length] = '\0';
	return 6 + length;
}

START_TEST(the_accept_value_is_that_of_the_standard)
{
	char out[WSCLIENT_ACCEPT_SIZE];

	/* RFC 6455, 1.3 */
	wsclient_accept_of("dGhlIHNhbXBsZSBub25jZQ==", out);
	ck_assert_str_eq(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}
END_TEST

START_TEST(addresses_are_taken_apart)
{
	struct wsclient_url url;
	char why[WSCLIENT_WHY_SIZE];

	ck_assert_int_eq(wsclient_parse_url("ws://localhost:8080/v1/ws?resume=1", &url, why), STATUS_OK);
	ck_assert_str_eq(url.host, "localhost");
	ck_assert_str_eq(url.port, "8080");
	ck_assert_str_eq(url.authority, "localhost:8080");
	ck_assert_str_eq(url.target, "/v1/ws?resume=1");
	ck_assert_int_eq(wsclient_parse_url("ws://[::1]:9/x", &url, why), STATUS_OK);
	ck_assert_str_eq(url.host, "::1");
	ck_assert_str_eq(url.port, "9");
	ck_assert_int_eq(wsclient_parse_url("ws://chat.example", &url, why), STATUS_OK);
	ck_assert_str_eq(url.port, "80");
	ck_assert_str_eq(url.target, "/");
	ck_assert_int_eq(wsclient_parse_url("ws://chat.example?a=b", &url, why), STATUS_OK);
	ck_assert_str_eq(url.target, "/?a=b");
}
END_TEST

START_TEST(what_is_no_address_is_refused_in_words)
{
	static const char *const wrong[] = {"", "http://x/", "wss://x/", "ws://", "ws:///v1/ws", "ws://u:p@host/", "ws://host:port/",
		"ws://host:/", "ws://host:123456/", "ws://[::1/", "ws://host/a b", "ws://host/a\r\nX: y", "ws://host/#f"};

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct wsclient_url url;
		char why[WSCLIENT_WHY_SIZE] = "";

		ck_assert_msg(wsclient_parse_url(wrong[i], &url, why) == STATUS_FIELD_INVALID, "%s", wrong[i]);
		ck_assert_uint_gt(strlen(why), 0);
	}
}
END_TEST

START_TEST(a_message_that_comes_with_the_handshake_is_not_lost)
{
	static const uint8_t script[] = {0x81, 5, 'h', 'e', 'l', 'l', 'o'};
	struct server s = {0};
	struct wsclient *client;
	struct wsclient_message message;

	server_start(&s, script, sizeof script);
	client = connect_to(&s);
	ck_assert_int_eq(wsclient_receive(client, WAIT_MS, &message), STATUS_OK);
	ck_assert_int_eq(message.kind, WSCLIENT_TEXT);
	ck_assert_str_eq(message.bytes, "hello");
	ck_assert_int_eq(wsclient_receive(client, 0, &message), STATUS_LATE);
	wsclient_destroy(client);
	server_end(&s);
	ck_assert_ptr_nonnull(strstr(s.request, "GET /v1/ws?topics=global HTTP/1.1\r\n"));
	ck_assert_ptr_nonnull(strstr(s.request, "Authorization: Bearer secret\r\n"));
}
END_TEST

START_TEST(fragments_are_joined_around_a_ping_that_is_answered)
{
	static const uint8_t script[] = {0x01, 2, 'h', 'e', 0x89, 2, 'h', 'i', 0x00, 0, 0x80, 3, 'l', 'l', 'o'};
	struct server s = {0};
	struct wsclient *client;
	struct wsclient_message message;
	uint8_t opcode = 0, payload[128];

	server_start(&s, script, sizeof script);
	client = connect_to(&s);
	ck_assert_int_eq(wsclient_receive(client, WAIT_MS, &message), STATUS_OK);
	ck_assert_str_eq(message.bytes, "hello");
	wsclient_destroy(client);
	server_end(&s);
	ck_assert_uint_eq(unmask(s.got, &opcode, payload), s.got_length);
	ck_assert_uint_eq(opcode, 10);
	ck_assert_str_eq((char *)payload, "hi");
}
END_TEST

START_TEST(what_is_sent_is_masked_and_arrives)
{
	struct server s = {0};
	struct wsclient *client;
	uint8_t opcode = 0, payload[128];

	server_start(&s, NULL, 0);
	client = connect_to(&s);
	ck_assert_int_eq(wsclient_send_text(client, "{\"op\":\"ping\"}", 13, WAIT_MS), STATUS_OK);
	wsclient_destroy(client);
	server_end(&s);
	ck_assert_uint_eq(unmask(s.got, &opcode, payload), s.got_length);
	ck_assert_uint_eq(opcode, 1);
	ck_assert_str_eq((char *)payload, "{\"op\":\"ping\"}");
	ck_assert_mem_ne(s.got + 6, "{\"op\":\"ping\"}", 13);
}
END_TEST

START_TEST(a_close_says_its_code_and_is_answered_with_it)
{
	static const uint8_t script[] = {0x88, 5, 0x11, 0x31, 'b', 'a', 'd'}; /* 4401 */
	struct server s = {0};
	struct wsclient *client;
	struct wsclient_message message;
	uint8_t opcode = 0, payload[128];

	server_start(&s, script, sizeof script);
	client = connect_to(&s);
	ck_assert_int_eq(wsclient_receive(client, WAIT_MS, &message), STATUS_OK);
	ck_assert_int_eq(message.kind, WSCLIENT_CLOSED);
	ck_assert_uint_eq(message.code, 4401);
	ck_assert_str_eq(message.bytes, "bad");
	ck_assert_int_eq(wsclient_receive(client, 0, &message), STATUS_BUSY);
	ck_assert_int_eq(wsclient_send_text(client, "x", 1, 0), STATUS_BUSY);
	wsclient_destroy(client);
	server_end(&s);
	unmask(s.got, &opcode, payload);
	ck_assert_uint_eq(opcode, 8);
	ck_assert_uint_eq(payload[0] << 8 | payload[1], 4401);
}
END_TEST

START_TEST(a_close_without_a_code_is_1005)
{
	static const uint8_t script[] = {0x88, 0};
	struct server s = {0};
	struct wsclient *client;
	struct wsclient_message message;

	server_start(&s, script, sizeof script);
	client = connect_to(&s);
	ck_assert_int_eq(wsclient_receive(client, WAIT_MS, &message), STATUS_OK);
	ck_assert_uint_eq(message.code, 1005);
	wsclient_destroy(client);
	server_end(&s);
}
END_TEST

START_TEST(broken_frames_end_the_connection_with_1002)
{
	static const struct {
		uint8_t bytes[8];
		size_t length;
	} scripts[] = {
		{{0xC1, 0}, 2},                    /* a reserved bit */
		{{0x81, 0x80, 0, 0, 0, 0}, 6},     /* a server that masks */
		{{0x83, 0}, 2},                    /* an unknown opcode */
		{{0x80, 0}, 2},                    /* continues nothing */
		{{0x01, 1, 'a', 0x81, 1, 'b'}, 6}, /* begins anew in the middle */
		{{0x09, 0}, 2},                    /* a ping in fragments */
		{{0x89, 126, 0, 126}, 4},          /* a ping that is too long */
		{{0x88, 1, 3}, 3},                 /* half a close code */
		{{0x81, 2, 0xC3, 0x28}, 4},        /* not UTF-8 */
	};

	for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
		struct server s = {0};
		struct wsclient *client;
		struct wsclient_message message;
		uint8_t opcode = 0, payload[128];

		server_start(&s, scripts[i].bytes, scripts[i].length);
		client = connect_to(&s);
		ck_assert_msg(wsclient_receive(client, WAIT_MS, &message) == STATUS_MALFORMED, "script %zu", i);
		ck_assert_int_eq(wsclient_receive(client, WAIT_MS, &message), STATUS_BUSY);
		wsclient_destroy(client);
		server_end(&s);
		unmask(s.got, &opcode, payload);
		ck_assert_uint_eq(opcode, 8);
		ck_assert_uint_eq(payload[0] << 8 | payload[1], 1002);
	}
}
END_TEST

START_TEST(a_message_over_the_bound_is_refused_before_it_arrives)
{
	static const uint8_t script[] = {0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0};
	struct server s = {0};
	struct wsclient *client;
	struct wsclient_message message;

	server_start(&s, script, sizeof script);
	client = connect_to(&s);
	ck_assert_int_eq(wsclient_receive(client, WAIT_MS, &message), STATUS_TOO_LARGE);
	wsclient_destroy(client);
	server_end(&s);
}
END_TEST

START_TEST(long_messages_arrive_whole)
{
	size_t length = 300000;
	uint8_t *script = malloc(length + 10);
	struct server s = {0};
	struct wsclient *client;
	struct wsclient_message message;

	memset(script, 'x', length + 10);
	memcpy(script, (uint8_t[]){0x81, 127, 0, 0, 0, 0, 0, 0x04, 0x93, 0xE0}, 10);
	server_start(&s, script, length + 10);
	client = connect_to(&s);
	ck_assert_int_eq(wsclient_receive(client, WAIT_MS, &message), STATUS_OK);
	ck_assert_uint_eq(message.length, length);
	ck_assert_uint_eq(strlen(message.bytes), length);
	wsclient_destroy(client);
	server_end(&s);
	free(script);
}
END_TEST

START_TEST(a_refused_token_is_told_from_other_refusals)
{
	struct server no = {.status_line = "401 Unauthorized"}, busy = {.status_line = "503 Service Unavailable"},
		      other = {.status_line = "200 OK"};
	struct wsclient *client = NULL;
	char why[WSCLIENT_WHY_SIZE];

	server_start(&no, NULL, 0);
	ck_assert_int_eq(wsclient_connect(&(struct wsclient_options){.url = no.url, .timeout_ms = WAIT_MS}, &client, why),
		STATUS_UNAUTHENTICATED);
	server_end(&no);
	server_start(&busy, NULL, 0);
	ck_assert_int_eq(wsclient_connect(&(struct wsclient_options){.url = busy.url, .timeout_ms = WAIT_MS}, &client, why),
		STATUS_BUSY);
	server_end(&busy);
	server_start(&other, NULL, 0);
	ck_assert_int_eq(wsclient_connect(&(struct wsclient_options){.url = other.url, .timeout_ms = WAIT_MS}, &client, why),
		STATUS_MALFORMED);
	server_end(&other);
}
END_TEST

START_TEST(a_server_that_does_not_know_the_key_is_none)
{
	struct server s = {.wrong_accept = "AAAAAAAAAAAAAAAAAAAAAAAAAAA="};
	struct wsclient *client = NULL;
	char why[WSCLIENT_WHY_SIZE];

	server_start(&s, NULL, 0);
	ck_assert_int_eq(wsclient_connect(&(struct wsclient_options){.url = s.url, .timeout_ms = WAIT_MS}, &client, why),
		STATUS_MALFORMED);
	server_end(&s);
}
END_TEST

START_TEST(a_connection_that_breaks_is_no_close)
{
	static const uint8_t script[] = {0x81, 5, 'h'};
	struct server s = {0};
	struct wsclient *client;
	struct wsclient_message message;

	server_start(&s, script, sizeof script);
	client = connect_to(&s);
	shutdown(wsclient_fd(client), SHUT_RDWR);
	ck_assert_int_eq(wsclient_receive(client, WAIT_MS, &message), STATUS_BUSY);
	wsclient_destroy(client);
	server_end(&s);
}
END_TEST

START_TEST(nobody_there_is_busy_and_says_where)
{
	struct server s = {0};
	struct wsclient *client = NULL;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	char why[WSCLIENT_WHY_SIZE] = "";
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	/* Bound and not listening: the port is taken, and connecting to it is refused. */
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	snprintf(s.url, sizeof s.url, "ws://127.0.0.1:%d/", ntohs(address.sin_port));
	ck_assert_int_eq(wsclient_connect(&(struct wsclient_options){.url = s.url, .timeout_ms = WAIT_MS}, &client, why),
		STATUS_BUSY);
	ck_assert_ptr_nonnull(strstr(why, "127.0.0.1"));
	close(fd);
}
END_TEST

START_TEST(frames_of_every_length_form_are_well_formed)
{
	static const size_t lengths[] = {0, 125, 126, 65535, 65536};
	static const uint8_t mask[4] = {1, 2, 3, 4};
	uint8_t *payload = calloc(1, 65536), *out = malloc(65536 + 14);

	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		size_t n = lengths[i], head = n < 126 ? 2 : n < 65536 ? 4 : 10;

		ck_assert_uint_eq(wsclient_frame(1, mask, payload, n, out), head + 4 + n);
		ck_assert_uint_eq(out[0], 0x81);
		ck_assert_uint_eq(out[1], 0x80 | (n < 126 ? n : n < 65536 ? 126 : 127));
		for (size_t b = 0; b < n; b++)
			ck_assert_uint_eq(out[head + 4 + b], mask[b % 4]);
	}
	free(payload);
	free(out);
}
END_TEST

TESTS("ctl-wsclient", the_accept_value_is_that_of_the_standard, addresses_are_taken_apart,
	what_is_no_address_is_refused_in_words, a_message_that_comes_with_the_handshake_is_not_lost,
	fragments_are_joined_around_a_ping_that_is_answered, what_is_sent_is_masked_and_arrives,
	a_close_says_its_code_and_is_answered_with_it, a_close_without_a_code_is_1005,
	broken_frames_end_the_connection_with_1002, a_message_over_the_bound_is_refused_before_it_arrives,
	long_messages_arrive_whole, a_refused_token_is_told_from_other_refusals, a_server_that_does_not_know_the_key_is_none,
	a_connection_that_breaks_is_no_close, nobody_there_is_busy_and_says_where, frames_of_every_length_form_are_well_formed)
