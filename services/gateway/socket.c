/*
 * socket - see socket.h.
 */
#include "services/gateway/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/ops/ops.h"
#include "services/gateway/client.h"
#include "services/gateway/listener.h"
#include "services/gateway/deflate.h"
#include "services/gateway/memory.h"

#define EVENTS_AT_ONCE  256
#define ACCEPTS_AT_ONCE 128
#define IOV_AT_ONCE     64
#define ACCEPT_PAUSE_MS 100
#define WARN_PAUSE_MS   10000
#define SECURE_TURN_US  10000
#define READ_ROOM       4096 /* at least, behind an unfinished frame */

/* One connection. */
struct socket {
	struct client client; /* first: a client is its socket */
	int fd;
	struct tls_session *tls; /* NULL: plain */
	bool securing;           /* TLS has not been agreed on */
	bool handshaken;
	bool deaf;      /* what else it sends is not looked at */
	bool writing;   /* waits for the kernel to take more */
	bool paused;    /* is not read until it reads */
	bool entered;   /* counted under key */
	size_t scanned; /* of the handshake */
	char *answer;   /* to the upgrade, until the client is known */
	struct frame_parser parser;
	uint8_t *kept; /* the beginning of an unfinished frame, or of the handshake */
	size_t kept_length, kept_capacity;
	struct socket *stuck_next, **stuck_link; /* NULL link: not stuck */
	int64_t stuck_since_ms;
	uint64_t key; /* what limits count it under */
	struct address peer;
};

struct sockets {
	struct hub *hub;
	struct sockets_options options;
	int epoll, listener, wake, reserve;
	uint16_t port;
	uint8_t *buffer; /* what is read lands here */
	size_t buffer_size;
	uint8_t *record;     /* what is sent by TLS gathers here */
	size_t securing;     /* sockets that are agreeing on TLS */
	int64_t secured_us;  /* spent on that in this turn */
	struct socket *stuck, **stuck_end; /* longest first */
	struct timer accept_again;
	int64_t warn_again_ms; /* of files that are short */
	size_t queued_bytes; /* as last told to the metrics */
	uint64_t bytes_sent; /* since then */
};

static struct socket *socket_of(struct client *client)
{
	return (struct socket *)client;
}

/* ---- all of them */

static bool epoll_set(struct sockets *sockets, int op, int fd, uint32_t events, void *arg)
{
	struct epoll_event event = {.events = events, .data.ptr = arg};

	if (epoll_ctl(sockets->epoll, op, fd, &event) == 0)
		return true;
	log_error("epoll_failed", LOG_STR("error", strerror(errno)));
	return false;
}

static void accept_again(struct timer *timer, int64_t now_mono_ms)
{
	struct sockets *sockets = memory_holder(timer, struct sockets, accept_again);

	if (sockets->listener >= 0)
		epoll_set(sockets, EPOLL_CTL_MOD, sockets->listener, EPOLLIN, &sockets->listener);
}

enum status sockets_create(
	const struct sockets_options *options, struct hub *hub, struct sockets **out_sockets)
{
	struct sockets *sockets = memory_new(sizeof *sockets);

	*sockets = (struct sockets){.hub = hub,
		.options = *options,
		.epoll = -1,
		.listener = -1,
		.wake = -1,
		.reserve = -1,
		.accept_again.fire = accept_again};
	sockets->stuck_end = &sockets->stuck;
	sockets->buffer_size = (options->max_frame_bytes > 65536 ? options->max_frame_bytes : 65536) + 64;
	sockets->buffer = memory_resize(NULL, sockets->buffer_size);
	if (options->tls != NULL)
		sockets->record = memory_resize(NULL, TLS_RECORD_BYTES);
	enum status st = listener_open(options->listen, options->port, &sockets->listener);
	if (st != STATUS_OK) {
		sockets_destroy(sockets);
		return st;
	}
	sockets->port = listener_port(sockets->listener);
	sockets->epoll = epoll_create1(EPOLL_CLOEXEC);
	sockets->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	sockets->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (sockets->epoll < 0 || sockets->wake < 0) {
		log_error("epoll_failed", LOG_STR("error", strerror(errno)));
		sockets_destroy(sockets);
		return STATUS_INTERNAL;
	}
	if (!epoll_set(sockets, EPOLL_CTL_ADD, sockets->listener, EPOLLIN, &sockets->listener) ||
		!epoll_set(sockets, EPOLL_CTL_ADD, sockets->wake, EPOLLIN, &sockets->wake)) {
		sockets_destroy(sockets);
		return STATUS_INTERNAL;
	}
	*out_sockets = sockets;
	return STATUS_OK;
}

uint16_t sockets_port(const struct sockets *sockets)
{
	return sockets->port;
}

void sockets_wake(struct sockets *sockets)
{
	uint64_t one = 1;
	ssize_t n = write(sockets->wake, &one, sizeof one);

	(void)n; /* full means that it is awake */
}

void sockets_stop_accepting(struct sockets *sockets)
{
	wheel_stop(&sockets->hub->wheel, &sockets->accept_again);
	if (sockets->listener >= 0)
		close(sockets->listener);
	sockets->listener = -1;
}

/* ---- one socket */

static void interest_set(struct sockets *sockets, struct socket *s, bool writing, bool paused)
{
	if (s->writing == writing && s->paused == paused)
		return;
	s->writing = writing;
	s->paused = paused;
	epoll_set(sockets, EPOLL_CTL_MOD, s->fd, (paused ? 0 : EPOLLIN) | (writing ? EPOLLOUT : 0), s);
}

static void stuck_remove(struct sockets *sockets, struct socket *s)
{
	if (s->stuck_link == NULL)
		return;
	*s->stuck_link = s->stuck_next;
	if (s->stuck_next != NULL)
		s->stuck_next->stuck_link = s->stuck_link;
	else
		sockets->stuck_end = s->stuck_link;
	s->stuck_link = NULL;
}

/* Counts from now on: it has just taken something, or has begun to take nothing. */
static void stuck_add(struct sockets *sockets, struct socket *s)
{
	stuck_remove(sockets, s);
	s->stuck_since_ms = sockets->hub->now_mono_ms;
	s->stuck_next = NULL;
	s->stuck_link = sockets->stuck_end;
	*sockets->stuck_end = s;
	sockets->stuck_end = &s->stuck_next;
}

static void socket_free(struct sockets *sockets, struct socket *s)
{
	stuck_remove(sockets, s);
	if (s->entered)
		limits_leave(sockets->options.limits, s->key, sockets->hub->now_mono_ms);
	if (s->securing) {
		sockets->securing--;
		metric_add(ws_tls_failed, 1);
	}
	tls_end(s->tls);
	close(s->fd); /* leaves the epoll set by itself */
	frame_parser_finish(&s->parser);
	free(s->kept);
	free(s->answer);
	free(s);
	atomic_fetch_sub(&sockets->options.limits->count, 1);
}

/* The last word is said: the peer hears the end and ends as well. Closing at once with bytes of his unread, or on their way, would
 * reset the connection and the word with it. */
static void last_word_said(struct socket *s)
{
	s->deaf = true;
	if (s->tls != NULL)
		tls_goodbye(s->tls);
	shutdown(s->fd, SHUT_WR);
}

/* ---- the transport: the kernel, or TLS in front of it */

static ssize_t transport_recv(struct socket *s, void *bytes, size_t length)
{
	return s->tls == NULL ? recv(s->fd, bytes, length, MSG_DONTWAIT) : tls_recv(s->tls, bytes, length);
}

/* Returns the bytes taken, or -1 with errno. *out_full: no more is taken for now. *out_moved: the kernel took something. */
static ssize_t transport_send(struct sockets *sockets, struct socket *s, struct iovec *iov, size_t count, bool *out_full,
	bool *out_moved)
{
	if (s->tls != NULL) {
		ssize_t n = tls_send(s->tls, iov, count, sockets->record, out_moved);
		*out_full = n < 0 || tls_holds(s->tls);
		return n;
	}
	struct msghdr message = {.msg_iov = iov, .msg_iovlen = count};
	size_t due = 0;
	for (size_t i = 0; i < count; i++)
		due += iov[i].iov_len;
	ssize_t n = sendmsg(s->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	*out_full = n < 0 || (size_t)n < due;
	*out_moved = n > 0;
	return n;
}

/* A short text that goes past the queue; an empty kernel buffer has room for it. False: it did not go. */
static bool transport_say(struct sockets *sockets, struct socket *s, char *text, size_t length)
{
	struct iovec iov = {.iov_base = text, .iov_len = length};
	bool full = false, moved = false;

	if (s->securing)
		return false;
	if (s->tls == NULL)
		return send(s->fd, text, length, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)length;
	return transport_send(sockets, s, &iov, 1, &full, &moved) == (ssize_t)length;
}

static bool transport_holds(const struct socket *s)
{
	return s->tls != NULL && tls_holds(s->tls);
}

/* The last word of who is not let in. */
static void say_last(struct sockets *sockets, struct socket *s, char *text, size_t length)
{
	if (transport_say(sockets, s, text, length) && !transport_holds(s)) {
		last_word_said(s);
		client_refused(&s->client);
	} else {
		client_end(&s->client);
	}
}

/* What comes before everything that is queued: the answer to an upgrade that had to wait. False: nothing is written now. */
static bool answer_first(struct sockets *sockets, struct socket *s)
{
	struct client *client = &s->client;
	char text[512];

	if (client->door == DOOR_REFUSING) {
		client->door = DOOR_REFUSED;
		say_last(sockets, s, text, client->dialect->refusal((enum close_reason)client->close_reason, text, sizeof text));
	} else if (client->door == DOOR_OPENING) {
		client->door = DOOR_OPEN;
		if (!transport_say(sockets, s, s->answer, strlen(s->answer)))
			client_end(client);
		free(s->answer);
		s->answer = NULL;
	}
	return (client->door == DOOR_NONE || client->door == DOOR_OPEN) && client->state != CLIENT_ENDED;
}

static void flush(struct sockets *sockets, struct socket *s)
{
	struct client *client = &s->client;
	struct hub *hub = sockets->hub;
	bool progress = false, full = false;

	if (!answer_first(sockets, s))
		return;
	while (!full && (!queue_empty(&client->queue) || transport_holds(s))) {
		struct iovec iov[IOV_AT_ONCE];
		bool moved = false;
		ssize_t n = transport_send(
			sockets, s, iov, queue_gather(&client->queue, iov, IOV_AT_ONCE), &full, &moved);
		if (n < 0 && errno == EINTR) {
			full = false;
			continue;
		}
		if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS) {
			client_end(client);
			return;
		}
		progress = progress || moved;
		if (n > 0) {
			queue_take(&hub->pool, &client->queue, (size_t)n);
			sockets->bytes_sent += (uint64_t)n;
		}
	}
	if (queue_empty(&client->queue) && !transport_holds(s)) {
		client->flags &= ~CLIENT_BLOCKED;
		stuck_remove(sockets, s);
		interest_set(sockets, s, false, false);
		/* The peer closed first and has our answer, or broke a rule and is not asked for one. */
		if (client->state == CLIENT_CLOSING && s->deaf)
			last_word_said(s);
	} else {
		if (progress || s->stuck_link == NULL)
			stuck_add(sockets, s);
		client->flags |= CLIENT_BLOCKED;
		/* Who does not read is not read: his requests would only make the queue longer. */
		bool to_read = s->tls != NULL && tls_send_waits_to_read(s->tls);
		interest_set(
			sockets, s, !to_read, !to_read && client->queue.bytes > sockets->options.queue_bytes / 4);
	}
	if ((client->flags & CLIENT_CATCHING) != 0 && client->queue.bytes < sockets->options.queue_bytes / 4)
		client_drained(client);
}

static void refuse(struct sockets *sockets, struct socket *s, int code)
{
	char text[512];
	size_t length = handshake_refuse(code, text, sizeof text);

	say_last(sockets, s, text, length);
}

/* 0, or the HTTP status to refuse the upgrade with. */
static int judge(struct sockets *sockets, struct socket *s, const struct handshake *hs)
{
	struct socket_limits *limits = sockets->options.limits;
	int64_t now_mono_ms = sockets->hub->now_mono_ms;

	if (!s->entered) { /* a proxy's: now it is known for whom it speaks */
		s->key = limits_key(limits, &s->peer, hs->forwarded, hs->forwarded_count);
		if (!limits_enter(limits, s->key, now_mono_ms)) {
			metric_add(ws_refused_address_sockets, 1);
			return 429;
		}
		s->entered = true;
	}
	int code = limits_handshake(limits, s->key, now_mono_ms);
	if (code == 429)
		metric_add(ws_refused_address_rate, 1);
	else if (code != 0)
		metric_add(ws_refused_rate, 1);
	return code;
}

/* The request is complete. False: refused. */
static bool upgrade(struct sockets *sockets, struct socket *s, char *bytes, size_t length)
{
	struct client *client = &s->client;
	struct handshake hs;
	int code = handshake_parse(bytes, length, &hs);
	size_t no = 0;

	if (code != 101) {
		metric_add(ws_refused_request, 1);
		refuse(sockets, s, code);
		return false;
	}
	code = judge(sockets, s, &hs);
	if (code != 0) {
		refuse(sockets, s, code);
		return false;
	}
	while (no < dialect_count && !dialects[no]->accepts(hs.path))
		no++;
	if (no == dialect_count) {
		metric_add(ws_refused_request, 1);
		refuse(sockets, s, 404);
		return false;
	}
	if (!origins_allow(sockets->options.origins, hs.origin)) {
		metric_add(ws_refused_origin, 1);
		refuse(sockets, s, 403);
		return false;
	}
	if (client->hub->draining) {
		metric_add(ws_refused_draining, 1);
		refuse(sockets, s, 503);
		return false;
	}
	if (!client_connected(client, no, &hs)) {
		metric_add(ws_refused_request, 1);
		refuse(sockets, s, 400);
		return false;
	}
	if (client->hub->deflate == NULL || (client->flags & CLIENT_PLAIN) != 0)
		hs.extensions = (struct extensions){0};
	client->deflate = (uint8_t)hs.extensions.deflate;
	s->parser.deflate = client->deflate != DEFLATE_NONE;
	/* Past the queue: a close that throws the queue away must not take the answer along. An empty kernel
	 * buffer has room. */
	char text[384];
	size_t accepted = handshake_accept(hs.key, &hs.extensions, text, sizeof text);
	if (client->door != DOOR_NONE) {
		s->answer = memory_text(text);
		s->handshaken = true;
		return true;
	}
	if (!transport_say(sockets, s, text, accepted)) {
		client_end(client);
		return false;
	}
	s->handshaken = true;
	return true;
}

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
			refuse(sockets, s, 431);
			return length;
		}
		if (head == 0)
			return 0;
		if (!upgrade(sockets, s, (char *)bytes, head))
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
	ssize_t n = transport_recv(s, bytes + before, room);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
		if (s->tls != NULL && tls_recv_waits_to_write(s->tls))
			interest_set(sockets, s, true, s->paused);
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
		interest_set(sockets, s, false, false);
		break;
	case TLS_STEP_READ:
		interest_set(sockets, s, false, false);
		break;
	case TLS_STEP_WRITE:
		interest_set(sockets, s, true, false);
		break;
	case TLS_STEP_FAILED:
		client_end(&s->client);
		break;
	}
	sockets->secured_us += clock_mono_us() - began_us;
}

/* What the kernel says of a socket. */
static void attend(struct sockets *sockets, struct socket *s, uint32_t events)
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
		flush(sockets, s);
	if (reading && client->state != CLIENT_ENDED)
		receive(sockets, s);
}

/* ---- accepting */

/* One too many: told so. What it said already is read, for closing with bytes unread would reset the connection and the word with
 * it. Who has not said anything yet hears it too, as a rule. */
static void turn_away(const struct sockets *sockets, int fd, int code)
{
	char text[512];

	if (sockets->options.tls != NULL) { /* there is no common language yet, and agreeing on one is what costs */
		close(fd);
		return;
	}
	ssize_t n = send(fd, text, handshake_refuse(code, text, sizeof text), MSG_NOSIGNAL | MSG_DONTWAIT);

	shutdown(fd, SHUT_WR);
	for (int i = 0; i < 8 && n > 0; i++)
		n = recv(fd, text, sizeof text, MSG_DONTWAIT);
	close(fd);
}

/* Counts one more socket. False: there are as many as may be. */
static bool enter(struct sockets *sockets, int fd, const struct address *peer, bool *out_entered, uint64_t *out_key)
{
	struct socket_limits *limits = sockets->options.limits;
	int refused = 0;

	*out_entered = false;
	*out_key = 0;
	if (atomic_fetch_add(&limits->count, 1) >= limits->most) {
		metric_add(ws_refused_sockets, 1);
		refused = 503;
	} else if (sockets->options.tls != NULL && sockets->securing >= sockets->options.tls_handshakes) {
		metric_add(ws_refused_tls_handshakes, 1);
		refused = 503;
	} else if (!limits_trusts(limits, peer)) { /* a proxy is counted when it is known for whom it speaks */
		*out_key = limits_key(limits, peer, NULL, 0);
		*out_entered = limits_enter(limits, *out_key, sockets->hub->now_mono_ms);
		if (!*out_entered) {
			metric_add(ws_refused_address_sockets, 1);
			refused = 429;
		}
	}
	if (refused == 0)
		return true;
	turn_away(sockets, fd, refused);
	atomic_fetch_sub(&limits->count, 1);
	return false;
}

static void accepted(struct sockets *sockets, int fd, const struct sockaddr_storage *from)
{
	struct socket_limits *limits = sockets->options.limits;
	int one = 1, sndbuf = sockets->options.sndbuf_bytes;
	struct socket *s = NULL;
	struct tls_session *tls = NULL;
	struct address peer = limits_peer(from);
	bool entered = false;
	uint64_t key = 0;

	if (!enter(sockets, fd, &peer, &entered, &key))
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	/* Without a bound a peer that does not read holds up to 4 MiB in the kernel. */
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof sndbuf);
	if (sockets->options.tls != NULL)
		tls = tls_begin(sockets->options.tls, fd);
	if ((sockets->options.tls != NULL && tls == NULL) || posix_memalign((void **)&s, 64, sizeof *s) != 0) {
		tls_end(tls);
		close(fd);
		if (entered)
			limits_leave(limits, key, sockets->hub->now_mono_ms);
		atomic_fetch_sub(&limits->count, 1);
		return;
	}
	*s = (struct socket){
		.fd = fd, .tls = tls, .securing = tls != NULL, .entered = entered, .key = key, .peer = peer};
	sockets->securing += s->securing;
	client_begin(sockets->hub, &s->client, atomic_fetch_add(&limits->last_id, 1) + 1);
	epoll_set(sockets, EPOLL_CTL_ADD, fd, EPOLLIN, s);
	metric_add(ws_accepted, 1);
}

/* No file is left: one is turned away with the help of the reserved one, so that it does not knock forever; then
 * a pause. */
static void shed(struct sockets *sockets)
{
	if (sockets->reserve >= 0) {
		close(sockets->reserve);
		int fd = accept4(sockets->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			turn_away(sockets, fd, 503);
		sockets->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
	metric_add(ws_refused_files, 1);
	/* While files are short this comes ten times a second. */
	if (sockets->hub->now_mono_ms >= sockets->warn_again_ms) {
		log_warn("accept_paused", LOG_STR("why", "no file is left"),
			LOG_U64("sockets", atomic_load(&sockets->options.limits->count)));
		sockets->warn_again_ms = sockets->hub->now_mono_ms + WARN_PAUSE_MS;
	}
	epoll_set(sockets, EPOLL_CTL_MOD, sockets->listener, 0, &sockets->listener);
	wheel_start(
		&sockets->hub->wheel, &sockets->accept_again, sockets->hub->now_mono_ms + ACCEPT_PAUSE_MS);
}

static void accept_some(struct sockets *sockets)
{
	for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
		struct sockaddr_storage from = {0};
		socklen_t length = sizeof from;
		int fd = accept4(sockets->listener, (struct sockaddr *)&from, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			accepted(sockets, fd, &from);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			shed(sockets);
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

/* ---- a loop's turn */

int64_t sockets_wait(struct sockets *sockets, int64_t timeout_us)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	struct timespec timeout = {.tv_sec = timeout_us / 1000000, .tv_nsec = timeout_us % 1000000 * 1000};
	int count = epoll_pwait2(sockets->epoll, events, EVENTS_AT_ONCE, &timeout, NULL);

	if (count < 0 && errno == ENOSYS) /* Linux before 5.11 */
		count = epoll_wait(sockets->epoll, events, EVENTS_AT_ONCE, (int)((timeout_us + 999) / 1000));

	int64_t now_us = clock_mono_us();
	sockets->hub->now_mono_ms = now_us / 1000;
	sockets->secured_us = 0;
	sockets->hub->now_wall_ms = clock_wall_ms();
	for (int i = 0; i < count; i++) {
		void *arg = events[i].data.ptr;
		if (arg == &sockets->wake) {
			uint64_t value;
			ssize_t n = read(sockets->wake, &value, sizeof value);
			(void)n;
			continue;
		}
		if (arg == &sockets->listener) {
			if (sockets->listener >= 0)
				accept_some(sockets);
			continue;
		}
		/* Sockets are freed at the end of the turn only, so a pointer that an earlier event ended is
		 * still good. */
		struct socket *s = arg;
		attend(sockets, s, events[i].events);
	}
	return now_us;
}

static void write_list(
	struct sockets *sockets, struct client_list *list, uint32_t flag, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		struct client *client = list->items[i];
		client->flags &= ~flag;
		if (client->state != CLIENT_ENDED && (client->flags & CLIENT_BLOCKED) == 0)
			flush(sockets, socket_of(client));
	}
}

/* Takes the first `count` off a list. */
static void list_shift(struct client_list *list, size_t count)
{
	list->count -= count;
	if (list->count > 0)
		memmove(list->items, list->items + count, list->count * sizeof *list->items);
}

static void stuck_close(struct sockets *sockets)
{
	struct hub *hub = sockets->hub;

	while (sockets->stuck != NULL &&
		hub->now_mono_ms - sockets->stuck->stuck_since_ms >= (int64_t)sockets->options.queue_ms) {
		struct socket *s = sockets->stuck;
		stuck_remove(sockets, s);
		if (s->client.state == CLIENT_CLOSING)
			client_end(&s->client);
		else
			client_stuck(&s->client);
	}
}

/* The queues of all loops together are full: of those here whose peers do not read, the longest go, until the rest of this loop
 * is its share of seven eighths. What only waits for its turn to be written is not theirs to pay for. */
static void relieve(struct sockets *sockets, uint64_t queued)
{
	struct hub *hub = sockets->hub;
	uint64_t most = sockets->options.limits->queue_bytes;
	double share = (double)hub->pool.bytes / (double)queued;
	uint64_t target = (uint64_t)(share * (double)(most - most / 8));
	size_t count = 0;

	for (struct socket *s = sockets->stuck; s != NULL; s = s->stuck_next)
		count++;
	if (count == 0)
		return;
	struct client **found = memory_new(count * sizeof *found);
	count = 0;
	for (struct socket *s = sockets->stuck; s != NULL; s = s->stuck_next)
		if (s->client.state < CLIENT_CLOSING)
			found[count++] = &s->client;
	clients_relieve(hub, found, count, target);
	free(found);
}

static void reap(struct sockets *sockets)
{
	struct client_list *ended = &sockets->hub->ended;
	size_t kept = 0;

	for (size_t i = 0; i < ended->count; i++) {
		struct client *client = ended->items[i];
		if ((client->flags & (CLIENT_IN_URGENT | CLIENT_IN_BULK)) != 0)
			ended->items[kept++] = client; /* a list still has it */
		else
			socket_free(sockets, socket_of(client));
	}
	ended->count = kept;
}

/* Once a turn: counters that all loops share are dear to touch for each frame. */
static void metrics_tell(struct sockets *sockets)
{
	struct hub *hub = sockets->hub;

	if (hub->pool.bytes != sockets->queued_bytes) {
		int64_t more = (int64_t)hub->pool.bytes - (int64_t)sockets->queued_bytes;
		metric_add(ws_queue_bytes, more);
		atomic_fetch_add_explicit(&sockets->options.limits->queued, more, memory_order_relaxed);
		sockets->queued_bytes = hub->pool.bytes;
	}
	if (sockets->bytes_sent != 0)
		metric_add(ws_bytes_sent, sockets->bytes_sent);
	if (hub->events_sent != 0)
		metric_add(ws_events_sent, hub->events_sent);
	if (hub->ephemeral_shed != 0)
		metric_add(ws_ephemeral_shed, hub->ephemeral_shed);
	sockets->bytes_sent = hub->events_sent = hub->ephemeral_shed = 0;
	hub_tell_metrics(hub);
}

static void queues_bound(struct sockets *sockets)
{
	struct socket_limits *limits = sockets->options.limits;
	int64_t queued = atomic_load_explicit(&limits->queued, memory_order_relaxed);

	if (limits->queue_bytes == 0)
		return;
	sockets->hub->pressed = queued > 0 && (uint64_t)queued > limits->queue_bytes - limits->queue_bytes / 4;
	if (queued > 0 && (uint64_t)queued > limits->queue_bytes)
		relieve(sockets, (uint64_t)queued);
}

bool sockets_write(struct sockets *sockets, int64_t budget_us)
{
	struct hub *hub = sockets->hub;
	size_t urgent = hub->urgent.count, done = 0;

	write_list(sockets, &hub->urgent, CLIENT_IN_URGENT, 0, urgent);
	list_shift(&hub->urgent, urgent);
	if (hub->bulk.count > 0) {
		int64_t until_us = clock_mono_us() + budget_us;
		size_t all = hub->bulk.count;
		do {
			size_t to = done + 64 < all ? done + 64 : all;
			write_list(sockets, &hub->bulk, CLIENT_IN_BULK, done, to);
			done = to;
		} while (done < all && clock_mono_us() < until_us);
		list_shift(&hub->bulk, done);
	}
	hub_written(hub, done, hub->fanouts.begin < hub->fanouts.count ? clock_wall_ms() : 0);
	stuck_close(sockets);
	metrics_tell(sockets);
	queues_bound(sockets);
	reap(sockets);
	return hub->urgent.count > 0 || hub->bulk.count > 0;
}

void sockets_destroy(struct sockets *sockets)
{
	if (sockets == NULL)
		return;
	struct hub *hub = sockets->hub;
	while (hub->clients != NULL)
		client_end(hub->clients);
	for (size_t i = 0; i < hub->ended.count; i++)
		socket_free(sockets, socket_of(hub->ended.items[i]));
	hub->ended.count = hub->urgent.count = hub->bulk.count = 0;
	sockets_stop_accepting(sockets);
	if (sockets->reserve >= 0)
		close(sockets->reserve);
	if (sockets->wake >= 0)
		close(sockets->wake);
	if (sockets->epoll >= 0)
		close(sockets->epoll);
	free(sockets->buffer);
	free(sockets->record);
	free(sockets);
}
