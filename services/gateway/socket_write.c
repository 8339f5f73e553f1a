/*
 * socket_write - the transport of a socket (the kernel, or TLS in front of it), its queue and its last word. See socket_parts.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "services/gateway/socket_parts.h"

#define IOV_AT_ONCE 64

void socket_interest(struct sockets *sockets, struct socket *s, bool writing, bool paused)
{
	if (s->writing == writing && s->paused == paused)
		return;
	s->writing = writing;
	s->paused = paused;
	sockets_epoll(sockets, EPOLL_CTL_MOD, s->fd, (paused ? 0 : EPOLLIN) | (writing ? EPOLLOUT : 0), s);
}

void socket_unstuck(struct sockets *sockets, struct socket *s)
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
	socket_unstuck(sockets, s);
	s->stuck_since_ms = sockets->hub->now_mono_ms;
	s->stuck_next = NULL;
	s->stuck_link = sockets->stuck_end;
	*sockets->stuck_end = s;
	sockets->stuck_end = &s->stuck_next;
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

ssize_t socket_recv(struct socket *s, void *bytes, size_t length)
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

bool socket_say(struct sockets *sockets, struct socket *s, char *text, size_t length)
{
	struct iovec iov = {.iov_base = text, .iov_len = length};
	bool full = false, moved = false;

	if (s->securing)
		return false;
	if (s->tls == NULL)
		return send(s->fd, text, length, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)length;
	return transport_send(sockets, s, &iov, 1, &full, &moved) == (ssize_t)length;
}

static bool holds(const struct socket *s)
{
	return s->tls != NULL && tls_holds(s->tls);
}

void socket_say_last(struct sockets *sockets, struct socket *s, char *text, size_t length)
{
	if (socket_say(sockets, s, text, length) && !holds(s)) {
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
		socket_say_last(sockets, s, text, client->dialect->refusal((enum close_reason)client->close_reason, text, sizeof text));
	} else if (client->door == DOOR_OPENING) {
		client->door = DOOR_OPEN;
		if (!socket_say(sockets, s, s->answer, strlen(s->answer)))
			client_end(client);
		free(s->answer);
		s->answer = NULL;
	}
	return (client->door == DOOR_NONE || client->door == DOOR_OPEN) && client->state != CLIENT_ENDED;
}

void socket_flush(struct sockets *sockets, struct socket *s)
{
	struct client *client = &s->client;
	struct hub *hub = sockets->hub;
	bool progress = false, full = false;

	if (!answer_first(sockets, s))
		return;
	while (!full && (!queue_empty(&client->queue) || holds(s))) {
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
	if (queue_empty(&client->queue) && !holds(s)) {
		client->flags &= ~CLIENT_BLOCKED;
		socket_unstuck(sockets, s);
		socket_interest(sockets, s, false, false);
		/* The peer closed first and has our answer, or broke a rule and is not asked for one. */
		if (client->state == CLIENT_CLOSING && s->deaf)
			last_word_said(s);
	} else {
		if (progress || s->stuck_link == NULL)
			stuck_add(sockets, s);
		client->flags |= CLIENT_BLOCKED;
		/* Who does not read is not read: his requests would only make the queue longer. */
		bool to_read = s->tls != NULL && tls_send_waits_to_read(s->tls);
		socket_interest(
			sockets, s, !to_read, !to_read && client->queue.bytes > sockets->options.queue_bytes / 4);
	}
	if ((client->flags & CLIENT_CATCHING) != 0 && client->queue.bytes < sockets->options.queue_bytes / 4)
		client_drained(client);
}
