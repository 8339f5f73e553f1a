/*
 * listener - see listener.h.
 */
#include "services/gateway/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"

#define BACKLOG 4096

static int listen_on(const struct addrinfo *address, uint16_t port)
{
	struct sockaddr_storage where = {0};
	int one = 1, fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	memcpy(&where, address->ai_addr, address->ai_addrlen);
	if (port != 0 && where.ss_family == AF_INET)
		((struct sockaddr_in *)&where)->sin_port = htons(port);
	else if (port != 0 && where.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&where)->sin6_port = htons(port);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&where, address->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

uint16_t listener_port(int fd)
{
	struct sockaddr_storage where = {0};
	socklen_t length = sizeof where;

	if (getsockname(fd, (struct sockaddr *)&where, &length) != 0)
		return 0;
	return ntohs(where.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&where)->sin6_port
						 : ((struct sockaddr_in *)&where)->sin_port);
}

enum status listener_open(const char *listen, uint16_t port, int *out_fd)
{
	char text[256];
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE},
			*found = NULL;
	const char *colon = strrchr(listen, ':');
	int fd = -1;

	if (colon == NULL || (size_t)(colon - listen) >= sizeof text)
		return STATUS_FIELD_INVALID;
	memcpy(text, listen, (size_t)(colon - listen));
	text[colon - listen] = '\0';
	char *host = text;
	if (*host == '[' && host[strlen(host) - 1] == ']') {
		host[strlen(host) - 1] = '\0';
		host++;
	}
	if (getaddrinfo(*host != '\0' && strcmp(host, "*") != 0 ? host : NULL, colon + 1, &hints, &found) !=
		0)
		return STATUS_FIELD_INVALID;
	for (struct addrinfo *address = found; address != NULL && fd < 0; address = address->ai_next)
		fd = listen_on(address, port);
	freeaddrinfo(found);
	if (fd < 0) {
		log_error("listen_failed", LOG_STR("address", listen), LOG_STR("error", strerror(errno)));
		return STATUS_CONFLICT;
	}
	*out_fd = fd;
	return STATUS_OK;
}
