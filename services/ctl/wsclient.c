#include "services/ctl/wsclient.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/log.h"
#include "common/base/text.h"

#define DEFAULT_TIMEOUT_MS  10000
#define DEFAULT_MESSAGE_MAX ((size_t)16 << 20)
#define HEAD_MAX            16384
#define READ_CHUNK          65536
#define CONTROL_MAX         125 /* RFC 6455, 5.5 */
#define ANSWER_MS           5000 /* for a pong or a close that is due */

enum { OP_CONTINUATION = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

enum state { STATE_OPEN, STATE_CLOSING /* we said goodbye */, STATE_CLOSED };

struct wsclient {
	int fd;
	enum state state;
	int64_t heard_mono_ms;
	size_t message_max;
	uint8_t *in; /* received, not yet read: in_begin..in_end */
	size_t in_begin, in_end, in_capacity;
	uint8_t *message; /* the fragments so far, or the message handed out last */
	size_t message_length, message_capacity;
	uint8_t message_opcode; /* OP_TEXT or OP_BINARY while fragments are missing, else 0 */
};

static void say(char *why, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(char *why, const char *format, ...)
{
	va_list values;

	if (why == NULL)
		return;
	va_start(values, format);
	vsnprintf(why, WSCLIENT_WHY_SIZE, format, values);
	va_end(values);
}

/* ---- the handshake's SHA-1 (RFC 3174); RFC 6455 wants it, libsodium has none */
static uint32_t rotate(uint32_t v, int by)
{
	return v << by | v >> (32 - by);
}

static void sha1_block(uint32_t h[5], const uint8_t block[64])
{
	uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];

	for (int i = 0; i < 16; i++)
		w[i] = (uint32_t)block[i * 4] << 24 | (uint32_t)block[i * 4 + 1] << 16 | (uint32_t)block[i * 4 + 2] << 8 |
		       block[i * 4 + 3];
	for (int i = 16; i < 80; i++)
		w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
	for (int i = 0; i < 80; i++) {
		uint32_t f, k, t;

		if (i < 20) {
			f = (b & c) | (~b & d);
			k = 0x5A827999;
		} else if (i < 40) {
			f = b ^ c ^ d;
			k = 0x6ED9EBA1;
		} else if (i < 60) {
			f = (b & c) | (b & d) | (c & d);
			k = 0x8F1BBCDC;
		} else {
			f = b ^ c ^ d;
			k = 0xCA62C1D6;
		}
		t = rotate(a, 5) + f + e + k + w[i];
		e = d;
		d = c;
		c = rotate(b, 30);
		b = a;
		a = t;
	}
	h[0] += a;
	h[1] += b;
	h[2] += c;
	h[3] += d;
	h[4] += e;
}

void wsclient_accept_of(const char *key, char out[WSCLIENT_ACCEPT_SIZE])
{
	uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
	uint8_t digest[20], text[128] = {0};
	/* A key is 24 characters, so key, GUID, 0x80 and the length fit two blocks. */
	size_t length = (size_t)snprintf((char *)text, 100, "%.40s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
	size_t blocks = (length + 9 + 63) / 64;

	text[length] = 0x80;
	for (int i = 0; i < 8; i++)
		text[blocks * 64 - 1 - (size_t)i] = (uint8_t)((uint64_t)length * 8 >> (8 * i));
	for (size_t i = 0; i < blocks; i++)
		sha1_block(h, text + i * 64);
	for (int i = 0; i < 20; i++)
		digest[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
	sodium_bin2base64(out, WSCLIENT_ACCEPT_SIZE, digest, sizeof digest, sodium_base64_VARIANT_ORIGINAL);
}

/* ---- the address */
enum status wsclient_parse_url(const char *url, struct wsclient_url *out, char *out_why)
{
	const char *at, *end, *colon;
	size_t host_length;

	*out = (struct wsclient_url){.port = "80"};
	if (strncasecmp(url, "wss://", 6) == 0) {
		say(out_why, "wss:// needs TLS, which this client has not; use the ws:// address behind the proxy");
		return STATUS_FIELD_INVALID;
	}
	if (strncasecmp(url, "ws://", 5) != 0) {
		say(out_why, "the URL must begin with ws://, as in ws://localhost:8080/v1/ws");
		return STATUS_FIELD_INVALID;
	}
	url += 5;
	end = url + strcspn(url, "/?");
	if ((size_t)(end - url) >= sizeof out->authority || end == url || memchr(url, '@', (size_t)(end - url)) != NULL) {
		say(out_why, "the URL names no host, as in ws://localhost:8080/v1/ws");
		return STATUS_FIELD_INVALID;
	}
	snprintf(out->authority, sizeof out->authority, "%.*s", (int)(end - url), url);
	if (url[0] == '[') {
		const char *bracket = memchr(url, ']', (size_t)(end - url));

		at = url + 1;
		host_length = bracket == NULL ? 0 : (size_t)(bracket - at);
		colon = bracket != NULL && bracket + 1 < end && bracket[1] == ':' ? bracket + 1 : NULL;
	} else {
		at = url;
		colon = memchr(url, ':', (size_t)(end - url));
		host_length = (size_t)((colon != NULL ? colon : end) - url);
	}
	if (host_length == 0 || host_length >= sizeof out->host) {
		say(out_why, "the URL names no host, as in ws://localhost:8080/v1/ws");
		return STATUS_FIELD_INVALID;
	}
	memcpy(out->host, at, host_length);
	if (colon != NULL) {
		size_t digits = (size_t)(end - colon - 1);

		if (digits == 0 || digits >= sizeof out->port || strspn(colon + 1, "0123456789") != digits) {
			say(out_why, "the URL's port is no number");
			return STATUS_FIELD_INVALID;
		}
		snprintf(out->port, sizeof out->port, "%.*s", (int)digits, colon + 1);
	}
	if (strlen(end) + 2 > sizeof out->target || strpbrk(end, " \r\n\t#") != NULL) {
		say(out_why, "the URL's path is too long or has blanks in it");
		return STATUS_FIELD_INVALID;
	}
	snprintf(out->target, sizeof out->target, "%s%s", end[0] == '/' ? "" : "/", end);
	return STATUS_OK;
}

/* ---- bytes */
static int left_ms(int64_t deadline_mono_ms)
{
	int64_t left = deadline_mono_ms - clock_mono_ms();

	return left < 0 ? 0 : (int)left;
}

static enum status wait_for(int fd, short events, int64_t deadline_mono_ms)
{
	struct pollfd p = {.fd = fd, .events = events};

	for (;;) {
		int n = poll(&p, 1, left_ms(deadline_mono_ms));

		if (n > 0)
			return STATUS_OK;
		if (n == 0)
			return STATUS_LATE;
		if (errno != EINTR)
			return STATUS_BUSY;
	}
}

static enum status write_all(int fd, const void *bytes, size_t length, int64_t deadline_mono_ms)
{
	const uint8_t *at = bytes;

	while (length > 0) {
		ssize_t n = send(fd, at, length, MSG_NOSIGNAL);

		if (n > 0) {
			at += n;
			length -= (size_t)n;
		} else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			if (wait_for(fd, POLLOUT, deadline_mono_ms) != STATUS_OK)
				return STATUS_BUSY;
		} else if (n == 0 || errno != EINTR) {
			return STATUS_BUSY;
		}
	}
	return STATUS_OK;
}

static void *grown(void *bytes, size_t *capacity, size_t needed)
{
	size_t size = *capacity == 0 ? 1024 : *capacity;

	while (size < needed)
		size *= 2;
	if (size == *capacity)
		return bytes;
	bytes = realloc(bytes, size);
	if (bytes == NULL) {
		log_error("out_of_memory");
		abort();
	}
	*capacity = size;
	return bytes;
}

/* Reads what is there, waiting for something until the deadline. STATUS_LATE: nothing came. */
static enum status read_some(struct wsclient *c, int64_t deadline_mono_ms)
{
	if (c->in_begin == c->in_end)
		c->in_begin = c->in_end = 0;
	if (c->in_begin > 0 && c->in_begin >= c->in_capacity / 2) {
		memmove(c->in, c->in + c->in_begin, c->in_end - c->in_begin);
		c->in_end -= c->in_begin;
		c->in_begin = 0;
	}
	for (;;) {
		ssize_t n;

		if (c->in_capacity - c->in_end < 4096)
			c->in = grown(c->in, &c->in_capacity, c->in_end + 4096);
		n = recv(c->fd, c->in + c->in_end,
			c->in_capacity - c->in_end < READ_CHUNK ? c->in_capacity - c->in_end : READ_CHUNK, 0);
		if (n > 0) {
			c->in_end += (size_t)n;
			c->heard_mono_ms = clock_mono_ms();
			return STATUS_OK;
		}
		if (n == 0)
			return STATUS_BUSY;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			return STATUS_BUSY;
		enum status st = wait_for(c->fd, POLLIN, deadline_mono_ms);
		if (st != STATUS_OK)
			return st;
	}
}

/* ---- connecting */
static int connect_one(const struct addrinfo *a, const struct wsclient_options *options, int64_t deadline_mono_ms)
{
	int fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
	int error = 0, one = 1;
	socklen_t size = sizeof error;

	if (fd < 0)
		return -1;
	if (options->receive_buffer_bytes > 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &options->receive_buffer_bytes, sizeof(int));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
		return fd;
	if (errno == EINPROGRESS) {
		if (wait_for(fd, POLLOUT, deadline_mono_ms) != STATUS_OK)
			error = ETIMEDOUT;
		else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
			error = errno;
		if (error == 0)
			return fd;
		errno = error;
	}
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

static enum status connect_any(const struct wsclient_url *url, const struct wsclient_options *options,
	int64_t deadline_mono_ms, int *out_fd, char *out_why)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	struct addrinfo *list = NULL;
	int rv = getaddrinfo(url->host, url->port, &hints, &list), error = 0;

	*out_fd = -1;
	if (rv != 0) {
		say(out_why, "%s: %s", url->host, gai_strerror(rv));
		return STATUS_BUSY;
	}
	/* "localhost" is two addresses, and the server may listen on one of them. */
	for (const struct addrinfo *a = list; a != NULL && *out_fd < 0; a = a->ai_next) {
		*out_fd = connect_one(a, options, deadline_mono_ms);
		error = errno;
	}
	freeaddrinfo(list);
	if (*out_fd >= 0)
		return STATUS_OK;
	say(out_why, "%s: %s; does guildhall-gateway (or the proxy before it) listen there?", url->authority, strerror(error));
	return STATUS_BUSY;
}

/* The value of a header of the answer, without blanks around it; NULL when absent. */
static const char *header_of(const char *head, const char *name, size_t *out_length)
{
	size_t name_length = strlen(name);

	for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, name_length) == 0 && line[name_length] == ':') {
			const char *value = line + name_length + 1;
			const char *end = strstr(value, "\r\n");

			if (end == NULL)
				return NULL;
			value += strspn(value, " \t");
			while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
				end--;
			*out_length = (size_t)(end - value);
			return value;
		}
	}
	return NULL;
}

static enum status judge_answer(const char *head, const char *key, char *out_why)
{
	char accept[WSCLIENT_ACCEPT_SIZE];
	size_t length = 0;
	const char *value;
	int code = 0;

	if (sscanf(head, "HTTP/1.1 %d", &code) != 1) {
		say(out_why, "what answers there is no HTTP server");
		return STATUS_MALFORMED;
	}
	if (code == 401) {
		say(out_why, "HTTP 401: the token is unknown, expired or revoked");
		return STATUS_UNAUTHENTICATED;
	}
	if (code != 101) {
		say(out_why, "HTTP %d instead of a websocket; is the path right (house: /v1/ws)?", code);
		return code == 503 || code == 502 || code == 429 ? STATUS_BUSY : STATUS_MALFORMED;
	}
	value = header_of(head, "Upgrade", &length);
	if (value == NULL || length != 9 || strncasecmp(value, "websocket", 9) != 0) {
		say(out_why, "the server switched to something that is no websocket");
		return STATUS_MALFORMED;
	}
	wsclient_accept_of(key, accept);
	value = header_of(head, "Sec-WebSocket-Accept", &length);
	if (value == NULL || length != strlen(accept) || memcmp(value, accept, length) != 0) {
		say(out_why, "the server's Sec-WebSocket-Accept is wrong");
		return STATUS_MALFORMED;
	}
	if (header_of(head, "Sec-WebSocket-Extensions", &length) != NULL) {
		say(out_why, "the server uses an extension that was not offered");
		return STATUS_MALFORMED;
	}
	return STATUS_OK;
}

static enum status handshake(struct wsclient *c, const struct wsclient_url *url, const struct wsclient_options *options,
	int64_t deadline_mono_ms, char *out_why)
{
	uint8_t nonce[16];
	char key[32], *request = NULL, *end = NULL;
	int length;
	enum status st = STATUS_OK;

	if (options->token != NULL && strpbrk(options->token, "\r\n") != NULL) {
		say(out_why, "the token has a line break in it");
		return STATUS_FIELD_INVALID;
	}
	ids_random_bytes(nonce, sizeof nonce);
	sodium_bin2base64(key, sizeof key, nonce, sizeof nonce, sodium_base64_VARIANT_ORIGINAL);
	length = asprintf(&request,
		"GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
		"Sec-WebSocket-Version: 13\r\nUser-Agent: %s\r\n%s%s%s\r\n",
		url->target, url->authority, key,
		options->user_agent != NULL ? options->user_agent : "guildhall/" GUILDHALL_VERSION,
		options->token != NULL ? "Authorization: Bearer " : "", options->token != NULL ? options->token : "",
		options->token != NULL ? "\r\n" : "");
	if (length < 0)
		return STATUS_BUSY;
	st = write_all(c->fd, request, (size_t)length, deadline_mono_ms);
	sodium_memzero(request, (size_t)length);
	free(request);
	while (st == STATUS_OK && end == NULL) {
		st = read_some(c, deadline_mono_ms);
		if (st == STATUS_OK)
			end = memmem(c->in + c->in_begin, c->in_end - c->in_begin, "\r\n\r\n", 4);
		if (st == STATUS_OK && end == NULL && c->in_end - c->in_begin > HEAD_MAX)
			st = STATUS_MALFORMED;
	}
	if (st != STATUS_OK) {
		say(out_why, "%s: %s", url->authority,
			st == STATUS_LATE ? "no answer to the handshake in time" : "the connection ended in the handshake");
		return st == STATUS_LATE ? STATUS_BUSY : st;
	}
	end[2] = '\0'; /* keeps the last header's line end */
	st = judge_answer((const char *)c->in + c->in_begin, key, out_why);
	c->in_begin = (size_t)((uint8_t *)end + 4 - c->in);
	return st;
}

enum status wsclient_connect(const struct wsclient_options *options, struct wsclient **out_client, char *out_why)
{
	int64_t deadline = clock_mono_ms() + (options->timeout_ms > 0 ? options->timeout_ms : DEFAULT_TIMEOUT_MS);
	struct wsclient_url url;
	struct wsclient *c;
	int fd = -1;
	enum status st = wsclient_parse_url(options->url, &url, out_why);

	if (st == STATUS_OK)
		st = connect_any(&url, options, deadline, &fd, out_why);
	if (st != STATUS_OK)
		return st;
	c = calloc(1, sizeof *c);
	if (c == NULL) {
		close(fd);
		return STATUS_BUSY;
	}
	c->fd = fd;
	c->message_max = options->max_message_bytes > 0 ? options->max_message_bytes : DEFAULT_MESSAGE_MAX;
	st = handshake(c, &url, options, deadline, out_why);
	if (st != STATUS_OK) {
		wsclient_destroy(c);
		return st;
	}
	*out_client = c;
	return STATUS_OK;
}

void wsclient_destroy(struct wsclient *client)
{
	if (client == NULL)
		return;
	close(client->fd);
	free(client->in);
	free(client->message);
	free(client);
}

/* ---- frames */
size_t wsclient_frame(uint8_t opcode, const uint8_t mask[4], const void *payload, size_t length, uint8_t *out)
{
	const uint8_t *from = payload;
	size_t head = 2;

	out[0] = 0x80 | opcode;
	if (length < 126) {
		out[1] = 0x80 | (uint8_t)length;
	} else if (length <= UINT16_MAX) {
		out[1] = 0x80 | 126;
		out[2] = (uint8_t)(length >> 8);
		out[3] = (uint8_t)length;
		head = 4;
	} else {
		out[1] = 0x80 | 127;
		for (int i = 0; i < 8; i++)
			out[2 + i] = (uint8_t)((uint64_t)length >> (56 - 8 * i));
		head = 10;
	}
	memcpy(out + head, mask, 4);
	head += 4;
	for (size_t i = 0; i < length; i++)
		out[head + i] = from[i] ^ mask[i % 4];
	return head + length;
}

static enum status send_frame(struct wsclient *c, uint8_t opcode, const void *payload, size_t length, int timeout_ms)
{
	uint8_t small[512], mask[4], *frame = small;
	size_t size;
	enum status st;

	if (c->state == STATE_CLOSED)
		return STATUS_BUSY;
	if (length + 14 > sizeof small)
		frame = malloc(length + 14);
	if (frame == NULL)
		return STATUS_BUSY;
	ids_random_bytes(mask, sizeof mask);
	size = wsclient_frame(opcode, mask, payload, length, frame);
	st = write_all(c->fd, frame, size, clock_mono_ms() + timeout_ms);
	if (st != STATUS_OK)
		c->state = STATE_CLOSED;
	if (frame != small)
		free(frame);
	return st;
}

enum status wsclient_send_text(struct wsclient *client, const char *text, size_t length, int timeout_ms)
{
	return client->state == STATE_OPEN ? send_frame(client, OP_TEXT, text, length, timeout_ms) : STATUS_BUSY;
}

enum status wsclient_ping(struct wsclient *client, int timeout_ms)
{
	return client->state == STATE_OPEN ? send_frame(client, OP_PING, NULL, 0, timeout_ms) : STATUS_BUSY;
}

static void send_close(struct wsclient *c, uint16_t code, const char *reason, size_t reason_length, int timeout_ms)
{
	uint8_t body[CONTROL_MAX] = {(uint8_t)(code >> 8), (uint8_t)code};

	if (reason_length > CONTROL_MAX - 2)
		reason_length = CONTROL_MAX - 2;
	memcpy(body + 2, reason, reason_length);
	(void)send_frame(c, OP_CLOSE, body, code == 0 ? 0 : 2 + reason_length, timeout_ms); /* going away either way */
}

/* The other side broke the rules: told once, and nothing more is read. */
static enum status protocol_error(struct wsclient *c, uint16_t code, enum status st)
{
	if (c->state == STATE_OPEN)
		send_close(c, code, "", 0, ANSWER_MS);
	c->state = STATE_CLOSED;
	return st;
}

struct frame {
	uint8_t opcode;
	bool last;
	size_t head, length;
};

/* The frame at the beginning of what was received. STATUS_LATE: not complete yet. */
static enum status frame_read(const struct wsclient *c, struct frame *out)
{
	const uint8_t *at = c->in + c->in_begin;
	size_t have = c->in_end - c->in_begin;
	uint64_t length;

	if (have < 2)
		return STATUS_LATE;
	out->opcode = at[0] & 0x0F;
	out->last = at[0] & 0x80;
	out->head = 2;
	length = at[1] & 0x7F;
	if (at[0] & 0x70 || at[1] & 0x80) /* reserved bits; a server does not mask */
		return STATUS_MALFORMED;
	if (out->opcode >= 8 && (!out->last || length > CONTROL_MAX))
		return STATUS_MALFORMED;
	if (length >= 126) {
		size_t bytes = length == 126 ? 2 : 8;

		if (have < 2 + bytes)
			return STATUS_LATE;
		length = 0;
		for (size_t i = 0; i < bytes; i++)
			length = length << 8 | at[2 + i];
		out->head += bytes;
	}
	if (length > c->message_max)
		return STATUS_TOO_LARGE;
	out->length = (size_t)length;
	return have < out->head + out->length ? STATUS_LATE : STATUS_OK;
}

/* Handles one complete frame. *out_done: out is to be handed to the caller. */
static enum status frame_take(struct wsclient *c, const struct frame *f, struct wsclient_message *out, bool *out_done)
{
	const uint8_t *payload = c->in + c->in_begin + f->head;

	switch (f->opcode) {
	case OP_PING:
		return send_frame(c, OP_PONG, payload, f->length, ANSWER_MS);
	case OP_PONG:
		return STATUS_OK;
	case OP_CLOSE:
		if (f->length == 1)
			return STATUS_MALFORMED;
		c->message = grown(c->message, &c->message_capacity, CONTROL_MAX + 1);
		out->kind = WSCLIENT_CLOSED;
		out->code = f->length == 0 ? 1005 : (uint16_t)(payload[0] << 8 | payload[1]);
		out->length = f->length < 2 ? 0 : f->length - 2;
		memcpy(c->message, payload + (f->length < 2 ? f->length : 2), out->length);
		c->message[out->length] = '\0';
		out->bytes = (const char *)c->message;
		if (c->state == STATE_OPEN)
			send_close(c, f->length == 0 ? 0 : out->code, "", 0, ANSWER_MS);
		c->state = STATE_CLOSED;
		*out_done = true;
		return STATUS_OK;
	case OP_TEXT:
	case OP_BINARY:
	case OP_CONTINUATION:
		break;
	default:
		return STATUS_MALFORMED;
	}
	if ((f->opcode == OP_CONTINUATION) != (c->message_opcode != 0))
		return STATUS_MALFORMED;
	if (f->opcode != OP_CONTINUATION) {
		c->message_opcode = f->opcode;
		c->message_length = 0;
	}
	if (f->length > c->message_max - c->message_length)
		return STATUS_TOO_LARGE;
	c->message = grown(c->message, &c->message_capacity, c->message_length + f->length + 1);
	memcpy(c->message + c->message_length, payload, f->length);
	c->message_length += f->length;
	if (!f->last)
		return STATUS_OK;
	c->message[c->message_length] = '\0';
	out->kind = c->message_opcode == OP_TEXT ? WSCLIENT_TEXT : WSCLIENT_BINARY;
	out->bytes = (const char *)c->message;
	out->length = c->message_length;
	c->message_opcode = 0;
	if (out->kind == WSCLIENT_TEXT && !text_is_utf8(out->bytes, out->length))
		return STATUS_MALFORMED;
	*out_done = true;
	return STATUS_OK;
}

enum status wsclient_receive(struct wsclient *client, int timeout_ms, struct wsclient_message *out)
{
	struct wsclient *c = client;
	int64_t deadline = clock_mono_ms() + timeout_ms;
	bool done = false;

	*out = (struct wsclient_message){.bytes = ""};
	while (c->state != STATE_CLOSED) {
		struct frame f = {0};
		enum status st = frame_read(c, &f);

		if (st == STATUS_OK) {
			st = frame_take(c, &f, out, &done);
			c->in_begin += f.head + f.length;
			if (st == STATUS_OK && done)
				return STATUS_OK;
		} else if (st == STATUS_LATE) {
			/* Room for the whole frame, so that a large one is not moved again and again. */
			if (f.length > 0)
				c->in = grown(c->in, &c->in_capacity, c->in_end + f.length);
			st = read_some(c, deadline);
			if (st == STATUS_LATE)
				return STATUS_LATE;
		}
		if (st == STATUS_BUSY)
			c->state = STATE_CLOSED;
		else if (st != STATUS_OK)
			return protocol_error(c, st == STATUS_TOO_LARGE ? 1009 : 1002, st);
	}
	return STATUS_BUSY;
}

void wsclient_close(struct wsclient *client, uint16_t code, const char *reason, int timeout_ms)
{
	int64_t deadline = clock_mono_ms() + timeout_ms;
	struct wsclient_message message;

	if (client == NULL || client->state != STATE_OPEN)
		return;
	send_close(client, code, reason, strlen(reason), timeout_ms);
	if (client->state != STATE_CLOSED)
		client->state = STATE_CLOSING;
	while (wsclient_receive(client, left_ms(deadline), &message) == STATUS_OK)
		;
}

int wsclient_fd(const struct wsclient *client)
{
	return client->fd;
}

int64_t wsclient_heard_mono_ms(const struct wsclient *client)
{
	return client->heard_mono_ms;
}
