#include "common/rpc/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/config.h"
#include "common/base/log.h"
#include "common/rpc/rpc.h"

#define HOST_SIZE 256

struct host_port {
	char host[HOST_SIZE];
	const char *port; /* inside the address */
};

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* "host:port" or "[v6]:port" behind the scheme. */
static bool host_port_parse(const char *rest, struct host_port *out)
{
	const char *begin = rest;
	const char *end = NULL;

	if (*rest == '[') {
		begin = rest + 1;
		end = strchr(begin, ']');
		if (end == NULL || end[1] != ':')
			return false;
		out->port = end + 2;
	} else {
		end = strrchr(rest, ':');
		if (end == NULL)
			return false;
		out->port = end + 1;
	}
	size_t length = (size_t)(end - begin);
	if (length >= sizeof out->host || *out->port == '\0')
		return false;
	memcpy(out->host, begin, length);
	out->host[length] = '\0';
	return true;
}

bool rpc_address_split(const char *address, char *host, size_t host_size, char *port, size_t port_size)
{
	struct host_port at;

	if (!starts_with(address, "tcp://") || !host_port_parse(address + strlen("tcp://"), &at))
		return false;
	return (size_t)snprintf(host, host_size, "%s", at.host) < host_size && (size_t)snprintf(port, port_size, "%s", at.port) < port_size;
}

static bool is_loopback(const char *host)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (strcmp(host, "localhost") == 0)
		return true;
	if (inet_pton(AF_INET, host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static bool is_numeric(const char *host)
{
	struct in6_addr any;

	return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

enum status rpc_address_check(const char *address, bool insecure)
{
	struct host_port at;

	if (starts_with(address, "ipc://") || starts_with(address, "inproc://"))
		return STATUS_OK;
	if (starts_with(address, "tls+tcp://")) {
		log_error("address_refused", LOG_STR("address", address),
			LOG_STR("why", "tls+tcp:// needs certificates, and this version has no settings for them; "
				       "use ipc:// or a private network with GUILDHALL_BUS_INSECURE=1"));
		return STATUS_FORBIDDEN;
	}
	if (!starts_with(address, "tcp://") || !host_port_parse(address + strlen("tcp://"), &at)) {
		log_error("address_refused", LOG_STR("address", address),
			LOG_STR("why", "expected ipc:///path, or tcp://host:port"));
		return STATUS_FIELD_INVALID;
	}
	if (!insecure && !is_loopback(at.host)) {
		log_error("address_refused", LOG_STR("address", address),
			LOG_STR("why", "plain tcp:// off loopback needs GUILDHALL_BUS_INSECURE=1"));
		return STATUS_FORBIDDEN;
	}
	return STATUS_OK;
}

struct address_list {
	const char **items;
	size_t count;
	size_t capacity;
};

static void list_add(struct arena *mem, struct address_list *list, const char *address)
{
	for (size_t i = 0; i < list->count; i++) {
		if (strcmp(list->items[i], address) == 0)
			return;
	}
	if (list->count + 1 >= list->capacity) {
		size_t grown = list->capacity * 2 + 8;
		list->items = arena_grow(mem, list->items, list->capacity * sizeof *list->items,
			grown * sizeof *list->items);
		list->capacity = grown;
	}
	list->items[list->count++] = address;
	list->items[list->count] = NULL;
}

static void list_add_resolved(struct arena *mem, struct address_list *list, const struct host_port *at)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;

	int rv = getaddrinfo(at->host, at->port, &hints, &found);
	if (rv != 0) {
		log_warn("name_not_resolved", LOG_STR("name", at->host), LOG_STR("why", gai_strerror(rv)));
		return;
	}
	for (const struct addrinfo *a = found; a != NULL; a = a->ai_next) {
		char host[NI_MAXHOST];
		char port[NI_MAXSERV];
		if (getnameinfo(a->ai_addr, a->ai_addrlen, host, sizeof host, port, sizeof port,
			    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
			continue;
		list_add(mem, list, arena_printf(mem, a->ai_family == AF_INET6 ? "tcp://[%s]:%s" : "tcp://%s:%s", host, port));
	}
	freeaddrinfo(found);
}

const char **rpc_addresses_resolve(struct arena *mem, const char *list, size_t *out_count, bool *out_names)
{
	size_t count = 0;
	const char **given = config_list(mem, list, &count);
	struct address_list all = {0};
	struct host_port at;

	*out_names = false;
	for (size_t i = 0; i < count; i++) {
		if (!starts_with(given[i], "tcp://") || !host_port_parse(given[i] + strlen("tcp://"), &at) ||
			is_numeric(at.host)) {
			list_add(mem, &all, given[i]);
		} else if (strcmp(at.host, "localhost") == 0) {
			/* Its answers are the same process twice, over both families. */
			list_add(mem, &all, arena_printf(mem, "tcp://127.0.0.1:%s", at.port));
		} else {
			*out_names = true;
			list_add_resolved(mem, &all, &at);
		}
	}
	if (all.items == NULL)
		all.items = ARENA_NEW(mem, const char *);
	*out_count = all.count;
	return all.items;
}

/* Runs on an nng thread before the pipe is used. The directory's mode keeps strangers out already; this is for
 * sockets that an operator put elsewhere. */
static void peer_check(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
	uint64_t uid = 0;

	int rv = nng_pipe_get_uint64(pipe, NNG_OPT_IPC_PEER_UID, &uid);
	if (rv == NNG_ENOTSUP || (rv == 0 && uid == (uint64_t)geteuid())) /* not ipc://, or us */
		return;
	if (rv == 0)
		log_warn("peer_refused", LOG_U64("uid", uid), LOG_STR("why", "another user"));
	else
		log_warn("peer_refused", LOG_STR("why", nng_strerror(rv)));
	nng_pipe_close(pipe);
}

int rpc_socket_prepare(nng_socket socket)
{
	int rv = nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, RPC_MESSAGE_MAX_BYTES);

	if (rv == 0)
		rv = nng_socket_set_ms(socket, NNG_OPT_RECONNMINT, RPC_RECONNECT_LEAST_MS);
	if (rv == 0)
		rv = nng_socket_set_ms(socket, NNG_OPT_RECONNMAXT, RPC_RECONNECT_MOST_MS);
	if (rv == 0)
		rv = nng_pipe_notify(socket, NNG_PIPE_EV_ADD_PRE, peer_check, NULL);
	return rv;
}

void rpc_pipe_dial_no_more(nng_pipe pipe)
{
	nng_dialer_close(nng_pipe_dialer(pipe));
}

static enum status directory_prepare(const char *path)
{
	char directory[NNG_MAXADDRLEN];
	struct stat facts;

	const char *slash = strrchr(path, '/');
	if (slash == NULL || slash == path)
		return STATUS_OK;
	snprintf(directory, sizeof directory, "%.*s", (int)(slash - path), path);
	if (mkdir(directory, 0700) != 0 && errno != EEXIST) {
		log_error("socket_directory_failed", LOG_STR("path", directory), LOG_STR("why", strerror(errno)));
		return STATUS_INTERNAL;
	}
	if (stat(directory, &facts) == 0 && (facts.st_mode & 077) != 0)
		log_warn("socket_directory_open", LOG_STR("path", directory), LOG_STR("why", "others may enter it; use mode 0700"));
	return STATUS_OK;
}

enum status rpc_socket_listen(nng_socket socket, const char *address, nng_listener *out_listener)
{
	nng_listener listener = NNG_LISTENER_INITIALIZER;
	bool is_ipc = starts_with(address, "ipc://");

	if (strlen(address) >= NNG_MAXADDRLEN) {
		log_error("listen_failed", LOG_STR("address", address), LOG_STR("why", "the address is too long"));
		return STATUS_FIELD_INVALID;
	}
	if (is_ipc && directory_prepare(address + strlen("ipc://")) != STATUS_OK)
		return STATUS_INTERNAL;
	int rv = nng_listener_create(&listener, socket, address);
	if (rv == 0 && is_ipc)
		rv = nng_listener_set_int(listener, NNG_OPT_IPC_PERMISSIONS, 0600);
	if (rv == 0)
		rv = nng_listener_start(listener, 0);
	if (rv != 0) {
		log_error("listen_failed", LOG_STR("address", address), LOG_STR("why", nng_strerror(rv)));
		return rv == NNG_EADDRINUSE ? STATUS_BUSY : STATUS_INTERNAL;
	}
	*out_listener = listener;
	return STATUS_OK;
}

enum status rpc_status_from_nng(int rv)
{
	switch (rv) {
	case 0:
		return STATUS_OK;
	case NNG_ETIMEDOUT:
	case NNG_ECONNREFUSED:
	case NNG_ECLOSED:
	case NNG_EAGAIN:
	case NNG_ECONNABORTED:
	case NNG_ECONNRESET:
	case NNG_ECANCELED:
	case NNG_ECONNSHUT:
	case NNG_ENOMEM: /* nothing was done yet, or it is not known; what frees memory may come */
	case NNG_ESTATE: /* the connection went between the end of sending and the wait for the answer */
		return STATUS_BUSY;
	}
	return STATUS_INTERNAL;
}
