#include "tests/unit/gateway/peers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/main.h"

struct fixture *fixture_create(size_t most, uint32_t queue_ms)
{
	struct fixture *fx = calloc(1, sizeof *fx);

	fx->w = world_create();
	fx->limits.most = most;
	struct sockets_options options = {.listen = "127.0.0.1:0",
		.sndbuf_bytes = 4096,
		.max_frame_bytes = 4096,
		.queue_bytes = 65536,
		.queue_ms = queue_ms,
		.limits = &fx->limits};
	ck_assert_int_eq(sockets_create(&options, &fx->w->hub, &fx->sockets), STATUS_OK);
	return fx;
}

void fixture_destroy(struct fixture *fx)
{
	sockets_destroy(fx->sockets);
	limits_finish(&fx->limits);
	world_destroy(fx->w);
	free(fx);
}

void turn(struct fixture *fx, int timeout_ms)
{
	struct world *w = fx->w;

	sockets_wait(fx->sockets, timeout_ms * 1000);
	wheel_run(&w->hub.wheel, w->hub.now_mono_ms);
	while (!fx->holds && w->asked_count > 0)
		world_answer(w, 0);
	while (world_deliver(w, &w->team))
		;
	for (uint64_t u = 1; u <= USERS; u++)
		while (world_deliver(w, &w->users[u]))
			;
	hub_run(&w->hub, 100000);
	hub_flush_questions(&w->hub);
	sockets_write(fx->sockets, 10000);
}

int dial(struct fixture *fx)
{
	struct sockaddr_in where = {.sin_family = AF_INET,
		.sin_port = htons(sockets_port(fx->sockets)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), small = 4096;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&where, sizeof where), 0);
	return fd;
}

void say(int fd, const void *bytes, size_t length)
{
	ck_assert_int_eq(send(fd, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
}

size_t hear(struct fixture *fx, int fd, char *out, size_t size, const char *until)
{
	size_t length = 0;

	out[0] = '\0';
	for (int i = 0; i < 400 && length + 1 < size; i++) {
		turn(fx, 5);
		ssize_t n = recv(fd, out + length, size - length - 1, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return length;
		if (n > 0) {
			length += (size_t)n;
			out[length] = '\0';
			if (until != NULL && memmem(out, length, until, strlen(until)) != NULL)
				return length;
		}
	}
	return length;
}

size_t masked(uint8_t *out, uint8_t first, const char *payload, size_t length)
{
	size_t at = 0;

	out[at++] = first;
	if (length < 126) {
		out[at++] = (uint8_t)(0x80 | length);
	} else {
		out[at++] = 0x80 | 126;
		out[at++] = (uint8_t)(length >> 8);
		out[at++] = (uint8_t)length;
	}
	memset(out + at, 0, 4); /* a mask of zeros is one */
	at += 4;
	memcpy(out + at, payload, length);
	return at + length;
}
