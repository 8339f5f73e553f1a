/*
 * receiver - somebody who answers HTTP on 127.0.0.1, with bytes that the test chooses, one connection after the other. For the one test
 * file that includes this.
 */
#pragma once

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct receiver {
	int listening;
	uint16_t port;
	pthread_t thread;
	const char *_Atomic answer; /* whole; NULL: none, and the connection stays open */
	char request[65536]; /* the latest, as far as it came with its body */
	_Atomic int asked;
};

static inline void receiver_take(struct receiver *r, int fd)
{
	size_t length = 0, whole = 0;

	while (length + 1 < sizeof r->request) {
		ssize_t n = recv(fd, r->request + length, sizeof r->request - 1 - length, 0);
		if (n <= 0)
			break;
		length += (size_t)n;
		r->request[length] = '\0';
		const char *end = strstr(r->request, "\r\n\r\n"), *size = strstr(r->request, "Content-Length: ");
		if (end != NULL)
			whole = (size_t)(end + 4 - r->request) + (size != NULL ? strtoul(size + 16, NULL, 10) : 0);
		if (whole != 0 && length >= whole)
			break;
	}
	const char *answer = r->answer;
	atomic_fetch_add(&r->asked, 1);
	if (answer != NULL)
		(void)!send(fd, answer, strlen(answer), MSG_NOSIGNAL);
	else
		while (recv(fd, r->request + length, 1, 0) > 0) /* until the other end has had enough */
			;
	close(fd);
}

static inline void *receiver_run(void *arg)
{
	struct receiver *r = arg;

	for (;;) {
		int fd = accept(r->listening, NULL, NULL);
		if (fd < 0)
			return NULL;
		receiver_take(r, fd);
	}
}

static inline void receiver_start(struct receiver *r)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof at;

	r->listening = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(r->listening, (struct sockaddr *)&at, sizeof at), 0);
	ck_assert_int_eq(listen(r->listening, 16), 0);
	ck_assert_int_eq(getsockname(r->listening, (struct sockaddr *)&at, &size), 0);
	r->port = ntohs(at.sin_port);
	ck_assert_int_eq(pthread_create(&r->thread, NULL, receiver_run, r), 0);
}

static inline void receiver_stop(struct receiver *r)
{
	shutdown(r->listening, SHUT_RDWR);
	pthread_join(r->thread, NULL);
	close(r->listening);
}
