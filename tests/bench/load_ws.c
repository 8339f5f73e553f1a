/*
 * The sockets: RFC 6455 from the client's side on one epoll, permessage-deflate when told to. A socket at rest owns no buffer;
 * what a read left unfinished is kept aside until the next.
 */
#include "tests/bench/load_socket.h"
#include "tests/lib/client_frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <unistd.h>

#define READ_SIZE        262144
#define EVENTS           512
#define SOURCES          8 /* 127.0.0.1 to .8, so that ports do not run short */
#define CONNECT_STALL_NS 20000000000LL

struct ws *ws_create(struct load *load)
{
	struct ws *ws = calloc(1, sizeof(*ws));
	ws->load = load;
	ws->last_busy = &ws->first_busy;
	for (size_t i = 0; i < load->group_count; i++)
		ws->count += load->groups[i].sockets;
	ws->sockets = calloc(ws->count ? ws->count : 1, sizeof(*ws->sockets));
	ws->buffer = malloc(READ_SIZE);
	ws->epoll = epoll_create1(EPOLL_CLOEXEC);
	/* Groups take turns, as people of different channels come in no order. */
	uint32_t filled = 0;
	for (uint32_t round = 0; filled < ws->count; round++)
		for (size_t g = 0; g < load->group_count; g++) {
			struct group *group = &load->groups[g];
			if (round < group->sockets)
				ws->sockets[filled++] = (struct socket){.group = group,
					.fd = -1,
					.user = group->first_user + round % group->users};
		}
	return ws;
}

void socket_failed(
	struct ws *ws, const struct socket *s, const char *what, const uint8_t *bytes, size_t length)
{
	static const char *const names[] = {
		"new", "connecting", "upgrading", "hello", "subscribing", "busy", "ready", "closed"};
	static unsigned said;
	if (said++ < 10)
		fprintf(stderr, "load: socket %zu of %s while %s, step %u: %s %.*s\n", (size_t)(s - ws->sockets),
			s->group->topic, names[s->state], s->step, what, (int)(length > 400 ? 400 : length), bytes ? (const char *)bytes : "");
	ws->failed = true;
}

static void socket_close(struct ws *ws, struct socket *s)
{
	close(s->fd);
	free(s->keep);
	s->keep = NULL;
	s->fd = -1;
	s->state = SOCKET_CLOSED;
	ws->closed++;
	ws->load->faults.closed++;
}

static void socket_begin(struct ws *ws, struct socket *s, uint32_t number)
{
	const struct load *load = ws->load;
	s->begun_ns = now_ns();
	s->state = SOCKET_CONNECTING;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0) {
		fprintf(stderr, "load: socket: %s\n", strerror(errno));
		exit(2);
	}
	if ((ntohl(load->gateway.sin_addr.s_addr) >> 24) == 127) {
		struct sockaddr_in source = {
			.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001 + number % SOURCES)};
		setsockopt(s->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
		if (bind(s->fd, (const struct sockaddr *)&source, sizeof(source)) != 0)
			fprintf(stderr, "load: bind: %s\n", strerror(errno));
	}
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	if (connect(s->fd, (const struct sockaddr *)&load->gateway, sizeof(load->gateway)) != 0 &&
		errno != EINPROGRESS) {
		fprintf(stderr, "load: connecting to the gateway: %s\n", strerror(errno));
		exit(2);
	}
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = s};
	epoll_ctl(ws->epoll, EPOLL_CTL_ADD, s->fd, &event);
}

/* Small and rare, on a socket with an empty buffer: never falls short. */
static void socket_send(struct ws *ws, struct socket *s, const void *bytes, size_t length)
{
	if (send(s->fd, bytes, length, MSG_NOSIGNAL) != (ssize_t)length)
		socket_failed(ws, s, strerror(errno), NULL, 0);
}

void send_frame(struct ws *ws, struct socket *s, uint8_t opcode, const void *payload, size_t length)
{
	uint8_t frame[8192];
	if (length > sizeof(frame) - CLIENT_FRAME_HEAD)
		return;
	socket_send(ws, s, frame, client_frame(frame, opcode, payload, length));
}

void socket_ready(struct ws *ws, struct socket *s)
{
	s->state = SOCKET_READY;
	histogram_add(&ws->load->ready, now_ns() - s->begun_ns);
	ws->ready++;
}

void socket_message(struct ws *ws, struct socket *s, const uint8_t *message, size_t length, int64_t at_ns)
{
	ws->completed |= ledger_check(ws->load, s->group, &s->cursor, message, length, at_ns);
}

static void upgrade(struct ws *ws, struct socket *s)
{
	const struct load *load = ws->load;
	char host[INET_ADDRSTRLEN], request[2048];
	inet_ntop(AF_INET, &load->gateway.sin_addr, host, sizeof(host));
	int length = snprintf(request, sizeof(request),
		"GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: "
		"Upgrade\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s%s%s%sAuthorization: Bearer %s\r\n\r\n",
		load->path, host, ntohs(load->gateway.sin_port),
		load->compress ? "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n" : "",
		load->protocol->subprotocol != NULL ? "Sec-WebSocket-Protocol: " : "",
		load->protocol->subprotocol != NULL ? load->protocol->subprotocol : "",
		load->protocol->subprotocol != NULL ? "\r\n" : "", load->users[s->user].token);
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
	epoll_ctl(ws->epoll, EPOLL_CTL_MOD, s->fd, &event);
	s->state = SOCKET_UPGRADING;
	socket_send(ws, s, request, (size_t)length);
}

/* Bytes of the answer's head, 0 while it is unfinished. */
static size_t upgraded(struct ws *ws, struct socket *s, const uint8_t *bytes, size_t length)
{
	/* RFC 6455's own example key has its own example answer. */
	static const char accept[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
	const uint8_t *end = memmem(bytes, length, "\r\n\r\n", 4);
	if (end == NULL)
		return 0;
	if (length < 12 || memcmp(bytes, "HTTP/1.1 101", 12) != 0 ||
		memmem(bytes, length, accept, sizeof(accept) - 1) == NULL)
		socket_failed(ws, s, "the upgrade was answered", bytes, length);
	s->state = SOCKET_HELLO;
	ws->load->protocol->opened(ws, s);
	return (size_t)(end + 4 - bytes);
}

/* Handles all whole frames; returns the bytes they took. */
static size_t frames(struct ws *ws, struct socket *s, const uint8_t *bytes, size_t length, int64_t at_ns)
{
	size_t at = 0;
	while (length - at >= 2 && s->state != SOCKET_CLOSED) {
		size_t head = 2, size = bytes[at + 1] & 0x7f;
		if (size == 126) {
			if (length - at < 4)
				break;
			size = ((size_t)bytes[at + 2] << 8) | bytes[at + 3];
			head = 4;
		} else if (size == 127) {
			if (length - at < 10)
				break;
			size = 0;
			for (int i = 2; i < 10; i++)
				size = size << 8 | bytes[at + i];
			head = 10;
		}
		if (size > READ_SIZE / 2 || (bytes[at + 1] & 0x80)) {
			ws->load->faults.corrupt++;
			socket_failed(ws, s, "broken framing", NULL, 0);
			return length;
		}
		if (length - at < head + size)
			break;
		const uint8_t *payload = bytes + at + head;
		if (bytes[at] == (0x80 | ws->load->protocol->opcode)) {
			ws->load->protocol->got(ws, s, payload, size, at_ns);
			at += head + size;
			continue;
		}
		if (ws->load->compress && bytes[at] == (0xc0 | ws->load->protocol->opcode)) {
			size_t plain_length = 0;
			const uint8_t *plain = inflated_text(ws, payload, size, &plain_length);
			if (plain == NULL) {
				ws->load->faults.corrupt++;
				socket_failed(ws, s, "no deflate data", NULL, 0);
				return length;
			}
			ws->load->protocol->got(ws, s, plain, plain_length, at_ns);
			at += head + size;
			continue;
		}
		switch (bytes[at]) {
		case 0x89:
			send_frame(ws, s, 10, payload, size);
			break;
		case 0x8a:
			break;
		case 0x88:
			fprintf(stderr, "load: socket of %s closed by the server: %d %.*s\n", s->group->topic,
				size >= 2 ? payload[0] << 8 | payload[1] : 0, (int)(size > 2 ? size - 2 : 0),
				(const char *)payload + 2);
			socket_close(ws, s);
			break;
		default:
			ws->load->faults.corrupt++;
			socket_failed(ws, s, "unexpected opcode", NULL, 0);
			return length;
		}
		at += head + size;
	}
	return at;
}

static void readable(struct ws *ws, struct socket *s)
{
	size_t length = s->kept, used = 0;
	if (length > 0) {
		memcpy(ws->buffer, s->keep, length);
		free(s->keep);
		s->keep = NULL;
		s->kept = 0;
	}
	ssize_t got = recv(s->fd, ws->buffer + length, READ_SIZE - length, 0);
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
		socket_failed(ws, s, got == 0 ? "ended by the server" : strerror(errno), NULL, 0);
		socket_close(ws, s);
		return;
	}
	int64_t at_ns = now_ns();
	if (got > 0) {
		length += (size_t)got;
		ws->load->received += (uint64_t)got;
	}
	if (s->state == SOCKET_UPGRADING)
		used = upgraded(ws, s, ws->buffer, length);
	if (s->state != SOCKET_UPGRADING)
		used += frames(ws, s, ws->buffer + used, length - used, at_ns);
	if (s->state != SOCKET_CLOSED && used < length) {
		s->kept = (uint32_t)(length - used);
		s->keep = malloc(s->kept);
		memcpy(s->keep, ws->buffer + used, s->kept);
	}
}

bool ws_turn(struct ws *ws, int wait_ms)
{
	struct epoll_event events[EVENTS];
	ws->completed = false;
	int count = epoll_wait(ws->epoll, events, EVENTS, wait_ms);
	for (int i = 0; i < count; i++) {
		struct socket *s = events[i].data.ptr;
		if (s->state == SOCKET_CLOSED)
			continue;
		if (s->state == SOCKET_CONNECTING && (events[i].events & EPOLLOUT))
			upgrade(ws, s);
		if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))
			readable(ws, s);
	}
	return ws->completed;
}

bool ws_connect(struct ws *ws, double *out_seconds)
{
	int64_t begun = now_ns(), moved = begun;
	while (ws->ready < ws->count && !ws->failed) {
		uint32_t before = ws->ready;
		/* The first goes alone: a room is made by who enters it first, and not by many at once. */
		uint32_t most = ws->ready > 0 ? ws->load->connecting : 1;
		while (ws->begun < ws->count && ws->begun - ws->ready < most) {
			socket_begin(ws, &ws->sockets[ws->begun], ws->begun);
			ws->begun++;
		}
		house_subscribe_again(ws);
		ws_turn(ws, ws->first_busy != NULL ? 10 : 100);
		int64_t now = now_ns();
		if (ws->ready != before)
			moved = now;
		else if (now - moved > CONNECT_STALL_NS) {
			fprintf(stderr, "load: %u of %u sockets are ready, and no more for %lld s\n",
				ws->ready, ws->count, CONNECT_STALL_NS / 1000000000);
			for (uint32_t i = 0; i < ws->begun; i++)
				if (ws->sockets[i].state != SOCKET_READY)
					socket_failed(ws, &ws->sockets[i], "nothing more", NULL, 0);
			return false;
		}
	}
	*out_seconds = (double)(now_ns() - begun) / 1e9;
	return !ws->failed;
}

bool ws_complete(const struct ws *ws)
{
	for (uint32_t i = 0; i < ws->count; i++)
		if (ws->sockets[i].state == SOCKET_READY &&
			ws->sockets[i].cursor < ws->sockets[i].group->ledger.count)
			return false;
	return true;
}

void ws_finish(struct ws *ws)
{
	for (uint32_t i = 0; i < ws->count; i++) {
		struct socket *s = &ws->sockets[i];
		uint64_t lacks = s->group->ledger.count - s->cursor;
		ws->load->faults.lost += lacks + ws->load->missed - s->resumed;
		ws->load->faults.reordered += s->hash != ws->sockets[0].hash;
		if (s->fd >= 0)
			close(s->fd);
		free(s->keep);
	}
	close(ws->epoll);
	inflated_finish(ws->inflated);
	free(ws->buffer);
	free(ws->sockets);
	free(ws);
}
