#include "common/rpc/ear.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/rpc/address.h"

#define LOOK_EVERY_MS 500
#define HEARD_MS      2000 /* in which a knock is heard, by a listener that hears at all */
#define CONNECT_MS    1000
#define STACK_BYTES   (128 * 1024)

struct ear {
	nng_socket socket;
	char address[NNG_MAXADDRLEN];
	uint16_t stranger; /* the protocol of those who connect */
	nng_listener listener;
	bool listens;    /* else the last attempt to listen failed */
	uint64_t failed; /* greetings, as last looked */

	pthread_t thread;
	bool looks;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	uint64_t pipes; /* connections that came to be used */
	bool stopping;
};

/* Runs on an nng thread. */
static void pipe_added(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
	struct ear *ear = arg;

	pthread_mutex_lock(&ear->lock);
	ear->pipes++;
	pthread_cond_broadcast(&ear->changed);
	pthread_mutex_unlock(&ear->lock);
}

/* Waits, pause_ms at most, until there are more pipes than `pipes`. False: there are not, or it is stopping. */
static bool pipes_passed(struct ear *ear, uint64_t pipes, int pause_ms)
{
	int64_t until_ms = clock_mono_ms() + pause_ms;
	struct timespec until = clock_timespec(until_ms);

	pthread_mutex_lock(&ear->lock);
	while (ear->pipes <= pipes && !ear->stopping && pthread_cond_timedwait(&ear->changed, &ear->lock, &until) != ETIMEDOUT) {
	}
	bool passed = ear->pipes > pipes;
	pthread_mutex_unlock(&ear->lock);
	return passed;
}

static bool ear_stopping(struct ear *ear)
{
	pthread_mutex_lock(&ear->lock);
	bool stopping = ear->stopping;
	pthread_mutex_unlock(&ear->lock);
	return stopping;
}

/* ---- what nng counts */

/* Did greetings fail since it was last asked? True when that is not known. */
static bool greetings_failed(struct ear *ear)
{
	nng_stat *all = NULL;

	if (nng_stats_get(&all) != 0)
		return true;
	nng_stat *scope = nng_stat_find_listener(all, ear->listener);
	nng_stat *other = scope != NULL ? nng_stat_find(scope, "other") : NULL; /* what has no counter of its own; NNG_ECLOSED has none */
	uint64_t failed = other != NULL ? nng_stat_value(other) : ear->failed + 1;
	nng_stats_free(all);
	bool more = failed != ear->failed;
	ear->failed = failed;
	return more;
}

/* ---- knocking */

static int connect_to(int family, const struct sockaddr *where, socklen_t length)
{
	struct timeval patience = {.tv_sec = CONNECT_MS / 1000, .tv_usec = CONNECT_MS % 1000 * 1000};
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (connect(fd, where, length) == 0)
		return fd;
	close(fd);
	return -1;
}

static int stranger_connect(const char *address)
{
	struct sockaddr_un unix_path = {.sun_family = AF_UNIX};
	char host[NNG_MAXADDRLEN], port[NI_MAXSERV];
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
	int fd = -1;

	if (strncmp(address, "ipc://", 6) == 0) {
		if (strlen(address + 6) >= sizeof unix_path.sun_path)
			return -1;
		strcpy(unix_path.sun_path, address + 6);
		return connect_to(AF_UNIX, (const struct sockaddr *)&unix_path, sizeof unix_path);
	}
	if (!rpc_address_split(address, host, sizeof host, port, sizeof port) || getaddrinfo(host, port, &hints, &found) != 0)
		return -1;
	for (const struct addrinfo *a = found; a != NULL && fd < 0; a = a->ai_next)
		fd = connect_to(a->ai_family, a->ai_addr, a->ai_addrlen);
	freeaddrinfo(found);
	return fd;
}

/* Does a connection, made and greeted as any peer does it, come to be used? True when it cannot be tried. */
static bool heard(struct ear *ear)
{
	const uint8_t greeting[8] = {0, 'S', 'P', 0, (uint8_t)(ear->stranger >> 8), (uint8_t)ear->stranger, 0, 0};

	pthread_mutex_lock(&ear->lock);
	uint64_t before = ear->pipes;
	pthread_mutex_unlock(&ear->lock);
	int fd = stranger_connect(ear->address);
	if (fd < 0)
		return true;
	bool yes = send(fd, greeting, sizeof greeting, MSG_NOSIGNAL) != sizeof greeting || pipes_passed(ear, before, HEARD_MS) ||
		ear_stopping(ear);
	close(fd);
	return yes;
}

static void listen_anew(struct ear *ear)
{
	if (ear->listens) {
		log_warn("listener_replaced", LOG_STR("address", ear->address), LOG_STR("why", "it accepts nobody"));
		nng_listener_close(ear->listener);
	}
	ear->failed = 0;
	ear->listens = rpc_socket_listen(ear->socket, ear->address, &ear->listener) == STATUS_OK; /* what failed is logged and tried again */
}

static void *ear_main(void *arg)
{
	struct ear *ear = arg;

	while (!ear_stopping(ear)) {
		(void)pipes_passed(ear, UINT64_MAX, LOOK_EVERY_MS);
		if (!ear->listens || (greetings_failed(ear) && !heard(ear)))
			listen_anew(ear);
	}
	return NULL;
}

/* ---- */

static bool ear_start(struct ear *ear)
{
	pthread_attr_t small;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, STACK_BYTES);
	ear->looks = pthread_create(&ear->thread, &small, ear_main, ear) == 0;
	pthread_attr_destroy(&small);
	return ear->looks;
}

enum status ear_open(nng_socket socket, const char *address, struct ear **out_ear)
{
	int stranger = 0;

	struct ear *ear = calloc(1, sizeof *ear);
	if (ear == NULL)
		return STATUS_INTERNAL;
	ear->socket = socket;
	snprintf(ear->address, sizeof ear->address, "%s", address);
	pthread_mutex_init(&ear->lock, NULL);
	clock_cond_init(&ear->changed);
	*out_ear = ear;
	int rv = nng_socket_get_int(socket, NNG_OPT_PEER, &stranger);
	if (rv == 0)
		rv = nng_pipe_notify(socket, NNG_PIPE_EV_ADD_POST, pipe_added, ear);
	ear->stranger = (uint16_t)stranger;
	enum status st = rv == 0 ? rpc_socket_listen(socket, address, &ear->listener) : STATUS_INTERNAL;
	ear->listens = st == STATUS_OK;
	if (rv != 0)
		log_error("listen_failed", LOG_STR("address", address), LOG_STR("why", nng_strerror(rv)));
	/* Inside a process nobody goes between two steps. */
	if (st == STATUS_OK && strncmp(address, "inproc://", 9) != 0 && !ear_start(ear))
		st = STATUS_INTERNAL;
	return st;
}

void ear_stop(struct ear *ear)
{
	if (ear == NULL)
		return;
	pthread_mutex_lock(&ear->lock);
	ear->stopping = true;
	pthread_cond_broadcast(&ear->changed);
	pthread_mutex_unlock(&ear->lock);
	if (ear->looks)
		pthread_join(ear->thread, NULL);
	ear->looks = false;
}

void ear_free(void *arg)
{
	struct ear *ear = arg;

	if (ear == NULL)
		return;
	pthread_cond_destroy(&ear->changed);
	pthread_mutex_destroy(&ear->lock);
	free(ear);
}
