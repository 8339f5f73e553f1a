/*
 * socket_read - what peers send: bytes become a handshake, then frames; what is not whole is kept. See socket_parts.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/base/clock.h"
#include "common/ops/ops.h"
#include "services/gateway/deflate.h"
#include "services/gateway/memory.h"
#include "services/gateway/socket_parts.h"

#define SECURE_TURN_US 10000
#define READ_ROOM      4096 /* at least, behind an unfinished frame */

/* Takes what is whole from bytes. Returns how many were taken; *out_need: how many the next step takes in
 * all. */
static size_t consume(
	struct sockets *sockets, struct socket *s, uint8_t *bytes, size_t length, size_t *out_need)
{
	struct client *client = &s->client;
	size_t done = 0;

	*out_need = 0;
	if (!s->handshaken) {
		size_t head = handshake_complete((char *)bytes, length, &s->scanned);
		if (head > HANDSHAKE_MAX_BYTES || (head == 0 && length > HANDSHAKE_MAX_BYTES)) {
			metric_add(ws_refused_request, 1);
			socket_refuse(sockets, s, 431);
			return length;
		}
		if (head == 0)
			return 0;
		if (!socket_upgrade(sockets, s, (char *)bytes, head))
			return length;
		done = head;
	}
	while (client->state != CLIENT_ENDED && !s->deaf) {
		struct frame_in in;
		enum frame_step step = frame_next(
			&s->parser, bytes + done, length - done, sockets->options.max_frame_bytes, &in);
		if (step == FRAME_STEP_MORE) {
			*out_need = in.need;
			return done;
		}
		if (step == FRAME_STEP_MESSAGE && in.compressed)
			step = deflate_message(client->hub->deflate, sockets->options.max_frame_bytes, &in);
		if (step == FRAME_STEP_FAILED || (step == FRAME_STEP_CONTROL && in.opcode == FRAME_CLOSE))
			s->deaf = true; /* sections 7.1.7 and 5.5.1: nothing of it counts any more */
		done += in.consumed;
		client_received(client, step, &in);
	}
	return length;
}

static void keep(struct socket *s, const uint8_t *bytes, size_t length, size_t need)
{
	/* As much again as has come, not all that a header says will come: a few bytes must not be worth megabytes. */
	size_t room = need > length && need < 2 * length ? need : 2 * length;

	if (room < length + READ_ROOM)
		room = length + READ_ROOM;
	if (s->kept != NULL && bytes >= s->kept && bytes <= s->kept + s->kept_capacity) {
		size_t at = (size_t)(bytes - s->kept), left = s->kept_capacity - length;
		if (at > 0) /* not for each portion of a long frame */
			memmove(s->kept, s->kept + at, length);
		if (left < READ_ROOM / 4 && (need <= length || s->kept_capacity < need)) {
			s->kept = memory_resize(s->kept, room);
			s->kept_capacity = room;
		}
	} else {
		s->kept = memory_resize(s->kept, room);
		s->kept_capacity = room;
		memcpy(s->kept, bytes, length);
	}
	s->kept_length = length;
}

static void receive_once(struct sockets *sockets, struct socket *s)
{
	struct client *client = &s->client;
	uint8_t *bytes = sockets->buffer;
	size_t room = sockets->buffer_size, before = 0;

	if (s->kept != NULL) {
		bytes = s->kept;
		before = s->kept_length;
		room = s->kept_capacity - before;
	}
	ssize_t n = socket_recv(s, bytes + before, room);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
		if (s->tls != NULL && tls_recv_waits_to_write(s->tls))
			socket_interest(sockets, s, true, s->paused);
		return;
	}
	if (n <= 0) {
		client_end(client);
		return;
	}
	client_heard(client);
	if (s->deaf)
		return;
	size_t length = before + (size_t)n, need = 0;
	size_t taken = consume(sockets, s, bytes, length, &need);
	if (client->state == CLIENT_ENDED)
		return;
	if (taken < length) {
		keep(s, bytes + taken, length - taken, need);
	} else if (s->kept != NULL) {
		free(s->kept);
		s->kept = NULL;
		s->kept_length = s->kept_capacity = 0;
	}
}

static void receive(struct sockets *sockets, struct socket *s)
{
	/* epoll knows nothing of what TLS has taken from the kernel already. */
	do {
		receive_once(sockets, s);
	} while (s->tls != NULL && s->client.state != CLIENT_ENDED && tls_pending(s->tls));
}

/* One step towards TLS. In each turn only so much time goes into this: the others wait for the next one, with the kernel. */
static void secure(struct sockets *sockets, struct socket *s)
{
	if (sockets->secured_us >= SECURE_TURN_US)
		return;
	int64_t began_us = clock_mono_us();
	switch (tls_handshake(s->tls)) {
	case TLS_STEP_DONE:
		s->securing = false;
		sockets->securing--;
		metric_add(ws_tls_handshakes, 1);
		socket_interest(sockets, s, false, false);
		break;
	case TLS_STEP_READ:
		socket_interest(sockets, s, false, false);
		break;
	case TLS_STEP_WRITE:
		socket_interest(sockets, s, true, false);
		break;
	case TLS_STEP_FAILED:
		client_end(&s->client);
		break;
	}
	sockets->secured_us += clock_mono_us() - began_us;
}

void socket_attend(struct sockets *sockets, struct socket *s, uint32_t events)
{
	const struct client *client = &s->client;

	if (client->state == CLIENT_ENDED)
		return;
	if (s->securing) {
		secure(sockets, s);
		return;
	}
	bool reading = (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0, writing = (events & EPOLLOUT) != 0;
	if (s->tls != NULL) { /* either may wait for the other */
		bool write_to_read = writing && tls_recv_waits_to_write(s->tls);
		writing = writing || (reading && tls_send_waits_to_read(s->tls));
		reading = reading || write_to_read;
	}
	if (writing)
		socket_flush(sockets, s);
	if (reading && client->state != CLIENT_ENDED)
		receive(sockets, s);
}
