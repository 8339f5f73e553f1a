#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/base/ticker.h"
#include "common/http/parts.h"

#define AGAIN_MS 1000 /* no file was left to look with */

struct patience {
	pthread_mutex_t lock;
	struct patience_wait *first; /* in no order: at most one or two a worker */
	int64_t next_mono_ms;        /* when the ticker looks again; the wait that this was for may be over */
	struct ticker ticker;
};

/* Is it the connection that came from there to this port? */
static bool is_of(int fd, const struct patience_wait *w)
{
	struct sockaddr_in peer, own;
	socklen_t peer_length = sizeof peer, own_length = sizeof own;

	return getpeername(fd, (struct sockaddr *)(void *)&peer, &peer_length) == 0 && peer.sin_family == AF_INET &&
	       peer.sin_addr.s_addr == w->address.s_addr && ntohs(peer.sin_port) == w->remote_port &&
	       getsockname(fd, (struct sockaddr *)(void *)&own, &own_length) == 0 && ntohs(own.sin_port) == w->server_port;
}

/* civetweb does not say which file a connection is, only who is at its other end; while it is waited for it is open, so it is no other's.
 * -1: it cannot be found. */
static int file_of(const struct patience_wait *w)
{
	const struct dirent *entry;
	int found = -1;

	DIR *files = opendir("/proc/self/fd"); /* those that are open: a process may have room for a million */
	while (files != NULL && found < 0 && (entry = readdir(files)) != NULL) {
		int fd = atoi(entry->d_name);
		if (entry->d_name[0] != '.' && is_of(fd, w))
			found = fd;
	}
	if (files != NULL)
		closedir(files);
	return found;
}

/* Ends those whose time is over. */
static int64_t end_late(void *arg)
{
	struct patience *p = arg;
	int64_t now_ms = clock_mono_ms(), next_ms = INT64_MAX;

	pthread_mutex_lock(&p->lock);
	for (struct patience_wait *w = p->first; w != NULL; w = w->next) {
		if (w->until_mono_ms <= now_ms) {
			int fd = file_of(w);
			if (fd >= 0)
				shutdown(fd, SHUT_RD); /* who reads hears the end */
			w->until_mono_ms = fd >= 0 ? INT64_MAX : now_ms + AGAIN_MS;
		}
		next_ms = w->until_mono_ms < next_ms ? w->until_mono_ms : next_ms;
	}
	p->next_mono_ms = next_ms;
	pthread_mutex_unlock(&p->lock);
	if (next_ms == INT64_MAX)
		return TICKER_UNTIL_WOKEN;
	now_ms = clock_mono_ms(); /* to look for the files took a while */
	return next_ms > now_ms ? next_ms - now_ms : 0;
}

struct patience *patience_create(void)
{
	struct patience *p = calloc(1, sizeof *p);

	if (p == NULL)
		return NULL;
	pthread_mutex_init(&p->lock, NULL);
	p->next_mono_ms = INT64_MAX;
	if (ticker_start(&p->ticker, TICKER_UNTIL_WOKEN, end_late, p) != STATUS_OK) {
		pthread_mutex_destroy(&p->lock);
		free(p);
		return NULL;
	}
	return p;
}

void patience_destroy(struct patience *p)
{
	if (p == NULL)
		return;
	ticker_stop(&p->ticker);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void patience_begin(struct patience *p, struct patience_wait *w, struct mg_connection *conn, int64_t until_mono_ms)
{
	const struct mg_request_info *ri = mg_get_request_info(conn);

	*w = (struct patience_wait){.remote_port = (uint16_t)ri->remote_port,
		.server_port = (uint16_t)ri->server_port,
		.until_mono_ms = until_mono_ms};
	if (inet_pton(AF_INET, ri->remote_addr, &w->address) != 1)
		return;
	pthread_mutex_lock(&p->lock);
	w->next = p->first;
	w->link = &p->first;
	if (w->next != NULL)
		w->next->link = &w->next;
	p->first = w;
	/* It sleeps on where it would only find nothing to do. */
	if (until_mono_ms < p->next_mono_ms)
		ticker_wake(&p->ticker);
	pthread_mutex_unlock(&p->lock);
}

void patience_end(struct patience *p, struct patience_wait *w)
{
	pthread_mutex_lock(&p->lock); /* also to look: who begins or ends beside it changes its link */
	if (w->link != NULL) {
		*w->link = w->next;
		if (w->next != NULL)
			w->next->link = w->link;
	}
	pthread_mutex_unlock(&p->lock);
	*w = (struct patience_wait){0};
}
