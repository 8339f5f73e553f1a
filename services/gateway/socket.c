/*
 * socket - see socket.h.
 */
#include "services/gateway/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/ops/ops.h"
#include "services/gateway/listener.h"
#include "services/gateway/memory.h"
#include "services/gateway/socket_parts.h"

#define EVENTS_AT_ONCE 256

static struct socket *socket_of(struct client *client)
{
	return (struct socket *)client;
}

/* ---- all of them */

bool sockets_epoll(struct sockets *sockets, int op, int fd, uint32_t events, void *arg)
{
	struct epoll_event event = {.events = events, .data.ptr = arg};

	if (epoll_ctl(sockets->epoll, op, fd, &event) == 0)
		return true;
	log_error("epoll_failed", LOG_STR("error", strerror(errno)));
	return false;
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
		.accept_again.fire = sockets_accept_again};
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
	if (!sockets_epoll(sockets, EPOLL_CTL_ADD, sockets->listener, EPOLLIN, &sockets->listener) ||
		!sockets_epoll(sockets, EPOLL_CTL_ADD, sockets->wake, EPOLLIN, &sockets->wake)) {
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

static void socket_free(struct sockets *sockets, struct socket *s)
{
	socket_unstuck(sockets, s);
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
				sockets_accept(sockets);
			continue;
		}
		/* Sockets are freed at the end of the turn only, so a pointer that an earlier event ended is
		 * still good. */
		struct socket *s = arg;
		socket_attend(sockets, s, events[i].events);
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
			socket_flush(sockets, socket_of(client));
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
		socket_unstuck(sockets, s);
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
