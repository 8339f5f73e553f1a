/* Each use of sockets by the gateway fails once: there is a status or a closed connection, nothing leaks, and the next one who knocks is
 * let in. What hangs is ended by the time limit of the test. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "services/gateway/socket.h"
#include "tests/unit/faults/failing.h"
#include "tests/unit/gateway/world.h"
#include "tests/unit/main.h"

#define CALLS_MOST 6
#define TURNS_MOST 400
#define UPGRADE                                                                                                \
	"GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                      \
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"                         \
	"Authorization: Bearer user1\r\n\r\n"

#define FAILS(type, function, failure, why, parameters, arguments)                                             \
	type __real_##function parameters;                                                                     \
	type __wrap_##function parameters;                                                                     \
	type __wrap_##function parameters                                                                      \
	{                                                                                                      \
		if (!fails_now(#function))                                                                     \
			return __real_##function arguments;                                                    \
		errno = why;                                                                                   \
		return failure;                                                                                \
	}
#define CANNOT(function)
#include "tests/unit/faults/gateway.tbl.h"
#undef FAILS
#undef CANNOT

static void turn(struct world *w, struct sockets *sockets)
{
	w->hub.now_mono_ms++;
	sockets_wait(sockets, 2000);
	wheel_run(&w->hub.wheel, w->hub.now_mono_ms);
	while (w->asked_count > 0)
		world_answer(w, 0);
	hub_run(&w->hub, 100000);
	hub_flush_questions(&w->hub);
	sockets_write(sockets, 10000);
}

/* Is one who knocks let in? */
static bool let_in(struct world *w, struct sockets *sockets)
{
	struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(sockets_port(sockets))};
	char text[4096] = "";
	ssize_t n = -1;
	int fd = __real_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(connect(fd, (const struct sockaddr *)(const void *)&where, sizeof where), 0);
	ck_assert_int_eq(__real_send(fd, UPGRADE, strlen(UPGRADE), MSG_NOSIGNAL), (ssize_t)strlen(UPGRADE));
	for (int i = 0; i < TURNS_MOST && n < 0; i++) {
		turn(w, sockets);
		n = __real_recv(fd, text, sizeof text - 1, MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN)
			break;
	}
	static const uint8_t ping[] = {0x89, 0x80, 0, 0, 0, 0}; /* what is answered by a frame */
	if (n > 0)
		__real_send(fd, ping, sizeof ping, MSG_NOSIGNAL);
	for (int i = 0; i < 10; i++)
		turn(w, sockets);
	close(fd);
	for (int i = 0; i < 5; i++) /* it is seen to go */
		turn(w, sockets);
	return n > 0 && strncmp(text, "HTTP/1.1 101 ", 13) == 0;
}

static size_t files_open(void)
{
	size_t count = 0;
	DIR *dir = opendir("/proc/self/fd");

	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

/* False: it is not called so often. */
static bool use_with_failure(const char *function, int n)
{
	struct world *w = world_create();
	struct socket_limits limits = {.most = 100};
	const struct sockets_options options = {.listen = "127.0.0.1:0",
		.sndbuf_bytes = 4096,
		.max_frame_bytes = 4096,
		.queue_bytes = 65536,
		.queue_ms = 5000,
		.limits = &limits};
	struct sockets *sockets = NULL;
	size_t files = files_open();

	arm(function, n);
	enum status st = sockets_create(&options, &w->hub, &sockets);
	ck_assert_msg(st == STATUS_OK || st == STATUS_INTERNAL || st == STATUS_CONFLICT || st == STATUS_FIELD_INVALID, "%s, call %d: %s",
		function, n, status_wire(st));
	bool in = st == STATUS_OK && let_in(w, sockets);
	bool failed = disarm();
	ck_assert_msg(failed || in, "%s, call %d: nothing failed", function, n);
	if (sockets == NULL)
		ck_assert_int_eq(sockets_create(&options, &w->hub, &sockets), STATUS_OK);
	ck_assert_msg(let_in(w, sockets), "%s, call %d: the next one is not let in", function, n);
	sockets_destroy(sockets);
	ck_assert_uint_eq(files_open(), files);
	world_destroy(w);
	return failed;
}

static const char *const functions[] = {
#define FAILS(type, function, failure, why, parameters, arguments) #function,
#define CANNOT(function)
#include "tests/unit/faults/gateway.tbl.h"
#undef FAILS
#undef CANNOT
};

START_TEST(whichever_call_fails_the_next_one_who_knocks_is_let_in)
{
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
		int n = 1;
		while (n <= CALLS_MOST && use_with_failure(functions[i], n))
			n++;
		ck_assert_msg(n > 1, "%s never failed", functions[i]);
	}
}
END_TEST

static const char *const table[] = {
#define FAILS(type, function, failure, why, parameters, arguments) #function,
#define CANNOT(function) #function,
#include "tests/unit/faults/gateway.tbl.h"
#undef FAILS
#undef CANNOT
};

/* What the gateway might come to call. */
static const char *const watched[] = {"accept", "accept4", "bind", "close", "connect", "epoll_create1", "epoll_ctl", "epoll_pwait",
	"epoll_pwait2", "epoll_wait", "eventfd", "fcntl", "fopen64", "getaddrinfo", "getpeername", "getsockname", "getsockopt", "ioctl", "listen",
	"open64", "pipe2", "poll", "read", "readv", "recv", "recvmsg", "send", "sendmsg", "setsockopt", "shutdown", "socket", "timerfd_create",
	"write", "writev"};

static bool is_in(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

START_TEST(the_table_has_every_function_that_is_called)
{
	char line[1024], name[256];
	size_t found = 0;
	FILE *nm = popen("nm -u '" GATEWAY_LIBRARY "'", "r");

	ck_assert_ptr_nonnull(nm);
	while (fgets(line, sizeof line, nm) != NULL) {
		if (sscanf(line, " U %255s", name) != 1 || !is_in(watched, sizeof watched / sizeof *watched, name))
			continue;
		ck_assert_msg(is_in(table, sizeof table / sizeof *table, name), "%s is called and not in gateway.tbl.h", name);
		found++;
	}
	ck_assert_int_eq(pclose(nm), 0);
	ck_assert_uint_gt(found, 0);
}
END_TEST

TESTS("faults gateway", whichever_call_fails_the_next_one_who_knocks_is_let_in, the_table_has_every_function_that_is_called)
