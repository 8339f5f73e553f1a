#include "tests/lib/pg_proxy.h"

#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PAIRS_MOST 64

struct pair {
	int client, server;
};

struct pg_proxy {
	char folder[64], path[96];
	char server_path[108];
	int listener, wake[2];
	pthread_t thread;
	_Atomic int cut, cuts;
	struct pair pairs[PAIRS_MOST];
	int count;
};

static int connect_unix(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
	if (connect(fd, (struct sockaddr *)&at, sizeof at) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void drop(struct pg_proxy *p, int i)
{
	close(p->pairs[i].client);
	close(p->pairs[i].server);
	p->pairs[i] = p->pairs[--p->count];
}

/* Moves what is there from one side to the other; false when the pair is over. */
static bool carry(struct pg_proxy *p, int from, int to, bool from_server)
{
	static char bytes[1 << 20];
	ssize_t n = recv(from, bytes, sizeof bytes, 0);

	if (n <= 0)
		return false;
	enum pg_cut cut = (enum pg_cut)atomic_load(&p->cut);
	/* "COMMIT" and its NUL is the server's word that it has; the names are those of the committer's statements. */
	bool answer =
		cut == PG_CUT_COMMIT_ANSWER && from_server && memmem(bytes, (size_t)n, "COMMIT", 7) != NULL;
	bool request = cut == PG_CUT_COMMIT_REQUEST && !from_server &&
		       (memmem(bytes, (size_t)n, "commit_commit", 14) != NULL ||
			       memmem(bytes, (size_t)n, "commit_set_commit", 18) != NULL);
	if (answer || request) {
		atomic_store(&p->cut, PG_CUT_NEVER);
		atomic_fetch_add(&p->cuts, 1);
		return false;
	}
	for (ssize_t sent = 0; sent < n;) {
		ssize_t k = send(to, bytes + sent, (size_t)(n - sent), MSG_NOSIGNAL);
		if (k <= 0)
			return false;
		sent += k;
	}
	return true;
}

static void *proxy_run(void *arg)
{
	struct pg_proxy *p = arg;
	struct pollfd fds[2 + 2 * PAIRS_MOST];

	for (;;) {
		fds[0] = (struct pollfd){.fd = p->wake[0], .events = POLLIN};
		fds[1] = (struct pollfd){.fd = p->listener, .events = POLLIN};
		for (int i = 0; i < p->count; i++) {
			fds[2 + 2 * i] = (struct pollfd){.fd = p->pairs[i].client, .events = POLLIN};
			fds[3 + 2 * i] = (struct pollfd){.fd = p->pairs[i].server, .events = POLLIN};
		}
		int count = p->count;
		poll(fds, (nfds_t)(2 + 2 * count), -1);
		if (fds[0].revents != 0)
			return NULL;
		for (int i = count; i-- > 0;) {
			struct pair pair = p->pairs[i];
			bool goes_on = true;
			if (fds[2 + 2 * i].revents != 0)
				goes_on = carry(p, pair.client, pair.server, false);
			if (goes_on && fds[3 + 2 * i].revents != 0)
				goes_on = carry(p, pair.server, pair.client, true);
			if (!goes_on)
				drop(p, i);
		}
		if (fds[1].revents != 0 && p->count < PAIRS_MOST) {
			int client = accept(p->listener, NULL, NULL), server = connect_unix(p->server_path);
			if (client >= 0 && server >= 0) {
				p->pairs[p->count++] = (struct pair){client, server};
			} else {
				close(client);
				close(server);
			}
		}
	}
}

struct pg_proxy *pg_proxy_start(const char *url, char out_url[PG_URL_SIZE])
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	const char *folder = getenv("GUILDHALL_TEST_PG_DIR");
	struct pg_proxy *p = calloc(1, sizeof *p);

	ck_assert_ptr_nonnull(folder);
	snprintf(p->server_path, sizeof p->server_path, "%s/sock/.s.PGSQL.5432", folder);
	snprintf(p->folder, sizeof p->folder, "/tmp/gh-proxy-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(p->folder));
	snprintf(p->path, sizeof p->path, "%s/.s.PGSQL.5432", p->folder);
	snprintf(at.sun_path, sizeof at.sun_path, "%s", p->path);
	p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(p->listener, (struct sockaddr *)&at, sizeof at), 0);
	ck_assert_int_eq(listen(p->listener, 16), 0);
	ck_assert_int_eq(pipe(p->wake), 0);
	ck_assert_int_eq(pthread_create(&p->thread, NULL, proxy_run, p), 0);
	snprintf(out_url, PG_URL_SIZE, "%s host=%s port=5432", url, p->folder);
	return p;
}

void pg_proxy_cut(struct pg_proxy *p, enum pg_cut cut)
{
	atomic_store(&p->cut, (int)cut);
}

int pg_proxy_cuts(struct pg_proxy *p)
{
	return atomic_load(&p->cuts);
}

void pg_proxy_stop(struct pg_proxy *p)
{
	ck_assert_int_eq((int)write(p->wake[1], "x", 1), 1);
	pthread_join(p->thread, NULL);
	while (p->count > 0)
		drop(p, 0);
	close(p->listener);
	close(p->wake[0]);
	close(p->wake[1]);
	unlink(p->path);
	rmdir(p->folder);
	free(p);
}
