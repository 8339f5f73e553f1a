/*
 * wsclient - a websocket client (RFC 6455) for tools, tests and measurements: one connection, text frames out, messages in.
 * It masks what it sends, answers pings, joins fragments, and says with which code the other side closed. No extensions, no
 * TLS: ws:// only. Not thread-safe: a connection belongs to one thread at a time. Knows nothing of Guildhall.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"

struct wsclient;

struct wsclient_options {
	const char *url;          /* ws://host[:port]/path?query; [::1] for IPv6 */
	const char *token;        /* Authorization: Bearer; NULL: none */
	const char *user_agent;   /* NULL: guildhall/<version> */
	int timeout_ms;           /* of connecting and handshake together; 0: 10 s */
	size_t max_message_bytes; /* 0: 16 MiB */
	int receive_buffer_bytes; /* SO_RCVBUF, to be a slow reader on purpose; 0: the system's */
};

#define WSCLIENT_WHY_SIZE 256

/*
 * Connects and shakes hands. out_why (WSCLIENT_WHY_SIZE bytes, may be NULL) gets one sentence for people on failure.
 *
 * STATUS_FIELD_INVALID: the URL is none. STATUS_BUSY: nobody there, or no answer in time. STATUS_UNAUTHENTICATED: HTTP 401.
 * STATUS_MALFORMED: what answers is no websocket server; its HTTP status is in out_why.
 */
enum status wsclient_connect(const struct wsclient_options *options, struct wsclient **out_client, char *out_why);
/* Drops the connection without a word; wsclient_close before it is politer. NULL is fine. */
void wsclient_destroy(struct wsclient *client);

enum wsclient_kind { WSCLIENT_TEXT, WSCLIENT_BINARY, WSCLIENT_CLOSED };

struct wsclient_message {
	enum wsclient_kind kind;
	const char *bytes; /* NUL-terminated, valid until the next call; of CLOSED: the reason */
	size_t length;
	uint16_t code;     /* of CLOSED; 1005 when the other side named none */
};

/*
 * The next message, waiting at most timeout_ms (0: only what is there). STATUS_LATE: none in time; the connection is fine.
 * STATUS_BUSY: the connection broke without a close. STATUS_MALFORMED, STATUS_TOO_LARGE: the other side broke the rules; it
 * was told so, and nothing more can be received. After CLOSED nothing comes any more: STATUS_BUSY.
 */
enum status wsclient_receive(struct wsclient *client, int timeout_ms, struct wsclient_message *out);

/* One text frame; waits at most timeout_ms for room. STATUS_BUSY: the connection is gone, or no room in time (then
 * it is unusable: half a frame may be on the way). */
enum status wsclient_send_text(struct wsclient *client, const char *text, size_t length, int timeout_ms);
enum status wsclient_ping(struct wsclient *client, int timeout_ms);
/* Says goodbye and waits for the answer, throwing away what else arrives. */
void wsclient_close(struct wsclient *client, uint16_t code, const char *reason, int timeout_ms);

int wsclient_fd(const struct wsclient *client); /* for poll and epoll: readable means wsclient_receive(…, 0) until LATE */
int64_t wsclient_heard_mono_ms(const struct wsclient *client); /* when anything came last, pings and pongs included */

/* ---- parts, for tests */
struct wsclient_url {
	char host[256];
	char port[6];
	char authority[264]; /* as in the Host header */
	char target[2048];   /* path and query */
};
/* STATUS_FIELD_INVALID with a sentence in out_why. */
enum status wsclient_parse_url(const char *url, struct wsclient_url *out, char *out_why);
#define WSCLIENT_ACCEPT_SIZE 29
void wsclient_accept_of(const char *key, char out[WSCLIENT_ACCEPT_SIZE]); /* what a server must answer to a key */
/* A masked frame into out (length + 14 bytes); returns its size. opcode as in RFC 6455, 5.2. */
size_t wsclient_frame(uint8_t opcode, const uint8_t mask[4], const void *payload, size_t length, uint8_t *out);
