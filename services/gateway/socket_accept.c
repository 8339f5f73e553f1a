/*
 * socket_accept - who knocks: is let in, or turned away with a word, also when no file is left for him. See socket_parts.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/ops/ops.h"
#include "services/gateway/memory.h"
#include "services/gateway/socket_parts.h"

#define ACCEPTS_AT_ONCE 128
#define ACCEPT_PAUSE_MS 100
#define WARN_PAUSE_MS   10000

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
	sockets_epoll(sockets, EPOLL_CTL_ADD, fd, EPOLLIN, s);
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
	sockets_epoll(sockets, EPOLL_CTL_MOD, sockets->listener, 0, &sockets->listener);
	wheel_start(
		&sockets->hub->wheel, &sockets->accept_again, sockets->hub->now_mono_ms + ACCEPT_PAUSE_MS);
}

void sockets_accept(struct sockets *sockets)
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

void sockets_accept_again(struct timer *timer, int64_t now_mono_ms)
{
	struct sockets *sockets = memory_holder(timer, struct sockets, accept_again);

	if (sockets->listener >= 0)
		sockets_epoll(sockets, EPOLL_CTL_MOD, sockets->listener, EPOLLIN, &sockets->listener);
}
