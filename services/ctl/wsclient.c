/*
 * wsclient - see wsclient.h: the frames of a connection. The way to one is in wsclient_connect.c.
 */
#include "services/ctl/wsclient_parts.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/log.h"
#include "common/base/text.h"

#define READ_CHUNK  65536
#define CONTROL_MAX 125  /* RFC 6455, 5.5 */
#define ANSWER_MS   5000 /* for a pong or a close that is due */

enum { OP_CONTINUATION = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

/* ---- bytes */
int wsclient_left_ms(int64_t deadline_mono_ms)
{
	int64_t left = deadline_mono_ms - clock_mono_ms();

	return left < 0 ? 0 : (int)left;
}

enum status wsclient_wait(int fd, short events, int64_t deadline_mono_ms)
{
	struct pollfd p = {.fd = fd, .events = events};

	for (;;) {
		int n = poll(&p, 1, wsclient_left_ms(deadline_mono_ms));

		if (n > 0)
			return STATUS_OK;
		if (n == 0)
			return STATUS_LATE;
		if (errno != EINTR)
			return STATUS_BUSY;
	}
}

enum status wsclient_write(int fd, const void *bytes, size_t length, int64_t deadline_mono_ms)
{
	const uint8_t *at = bytes;

	while (length > 0) {
		ssize_t n = send(fd, at, length, MSG_NOSIGNAL);

		if (n > 0) {
			at += n;
			length -= (size_t)n;
		} else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			if (wsclient_wait(fd, POLLOUT, deadline_mono_ms) != STATUS_OK)
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

enum status wsclient_read(struct wsclient *c, int64_t deadline_mono_ms)
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
		enum status st = wsclient_wait(c->fd, POLLIN, deadline_mono_ms);
		if (st != STATUS_OK)
			return st;
	}
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

	if (c->state == WSCLIENT_STATE_CLOSED)
		return STATUS_BUSY;
	if (length + 14 > sizeof small)
		frame = malloc(length + 14);
	if (frame == NULL)
		return STATUS_BUSY;
	ids_random_bytes(mask, sizeof mask);
	size = wsclient_frame(opcode, mask, payload, length, frame);
	st = wsclient_write(c->fd, frame, size, clock_mono_ms() + timeout_ms);
	if (st != STATUS_OK)
		c->state = WSCLIENT_STATE_CLOSED;
	if (frame != small)
		free(frame);
	return st;
}

enum status wsclient_send_text(struct wsclient *client, const char *text, size_t length, int timeout_ms)
{
	return client->state == WSCLIENT_STATE_OPEN ? send_frame(client, OP_TEXT, text, length, timeout_ms) : STATUS_BUSY;
}

enum status wsclient_ping(struct wsclient *client, int timeout_ms)
{
	return client->state == WSCLIENT_STATE_OPEN ? send_frame(client, OP_PING, NULL, 0, timeout_ms) : STATUS_BUSY;
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
	if (c->state == WSCLIENT_STATE_OPEN)
		send_close(c, code, "", 0, ANSWER_MS);
	c->state = WSCLIENT_STATE_CLOSED;
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
		if (c->state == WSCLIENT_STATE_OPEN)
			send_close(c, f->length == 0 ? 0 : out->code, "", 0, ANSWER_MS);
		c->state = WSCLIENT_STATE_CLOSED;
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
	while (c->state != WSCLIENT_STATE_CLOSED) {
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
			st = wsclient_read(c, deadline);
			if (st == STATUS_LATE)
				return STATUS_LATE;
		}
		if (st == STATUS_BUSY)
			c->state = WSCLIENT_STATE_CLOSED;
		else if (st != STATUS_OK)
			return protocol_error(c, st == STATUS_TOO_LARGE ? 1009 : 1002, st);
	}
	return STATUS_BUSY;
}

void wsclient_close(struct wsclient *client, uint16_t code, const char *reason, int timeout_ms)
{
	int64_t deadline = clock_mono_ms() + timeout_ms;
	struct wsclient_message message;

	if (client == NULL || client->state != WSCLIENT_STATE_OPEN)
		return;
	send_close(client, code, reason, strlen(reason), timeout_ms);
	if (client->state != WSCLIENT_STATE_CLOSED)
		client->state = WSCLIENT_STATE_CLOSING;
	while (wsclient_receive(client, wsclient_left_ms(deadline), &message) == STATUS_OK)
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
