#include "services/ctl/probe.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"

#define PROBE_MS 2000
#define BODY_MAX ((size_t)1 << 20)

static bool wait_for(int fd, short events, int64_t deadline_mono_ms)
{
	struct pollfd p = {.fd = fd, .events = events};
	int64_t left = deadline_mono_ms - clock_mono_ms();

	return left > 0 && poll(&p, 1, (int)left) == 1;
}

/* Splits host:port, [::1]:port. */
static bool address_split(const char *address, char host[256], char port[8])
{
	const char *colon = strrchr(address, ':'), *begin = address, *end = colon;

	if (colon == NULL || colon[1] == '\0' || strlen(colon + 1) >= 8)
		return false;
	if (address[0] == '[' && colon > address + 1 && colon[-1] == ']') {
		begin++;
		end--;
	}
	if (end <= begin || end - begin >= 256)
		return false;
	memcpy(host, begin, (size_t)(end - begin));
	host[end - begin] = '\0';
	strcpy(port, colon + 1); /* length checked above */
	return true;
}

static int connect_to(const char *host, const char *port, int64_t deadline_mono_ms)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *list = NULL;
	int fd = -1;

	if (getaddrinfo(host, port, &hints, &list) != 0)
		return -1;
	for (const struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next) {
		int error = 0;
		socklen_t size = sizeof error;

		fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
		if (fd < 0)
			continue;
		if (connect(fd, a->ai_addr, a->ai_addrlen) == 0 ||
			(errno == EINPROGRESS && wait_for(fd, POLLOUT, deadline_mono_ms) &&
				getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0))
			break;
		close(fd);
		fd = -1;
	}
	freeaddrinfo(list);
	return fd;
}

enum status probe_get(struct arena *mem, const char *address, const char *path, int *out_code, const char **out_body)
{
	int64_t deadline = clock_mono_ms() + PROBE_MS;
	char host[256], port[8], *bytes, *body;
	const char *request;
	size_t length = 0, capacity = 8192;
	ssize_t n = 1;
	enum status st = STATUS_BUSY;
	int fd;

	if (!address_split(address, host, port))
		return STATUS_FIELD_INVALID;
	fd = connect_to(host, port, deadline);
	if (fd < 0)
		return STATUS_BUSY;
	bytes = arena_alloc(mem, capacity);
	request = arena_printf(mem, "GET %s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n", path, address);
	/* A request is far below what an empty socket takes at once. */
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) != (ssize_t)strlen(request))
		goto out;
	while (n != 0) {
		if (length + 1 == capacity) {
			if (capacity >= BODY_MAX)
				break;
			bytes = arena_grow(mem, bytes, capacity, capacity * 2);
			capacity *= 2;
		}
		if (!wait_for(fd, POLLIN, deadline))
			goto out;
		n = recv(fd, bytes + length, capacity - length - 1, 0);
		if (n > 0)
			length += (size_t)n;
		else if (n < 0 && errno != EAGAIN && errno != EINTR)
			goto out;
	}
	bytes[length] = '\0';
	body = strstr(bytes, "\r\n\r\n");
	st = STATUS_MALFORMED;
	if (body == NULL || sscanf(bytes, "HTTP/1.%*1[01] %d", out_code) != 1)
		goto out;
	*out_body = body + 4;
	st = STATUS_OK;
out:
	close(fd);
	return st;
}
