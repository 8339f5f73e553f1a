/* Each call that common/http makes of civetweb fails once: there is a status or a closed connection, nothing leaks, and the next
 * request is answered. What hangs is ended by the time limit of the test. */
#include <arpa/inet.h>
#include <civetweb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/http/http.h"
#include "tests/unit/faults/called.h"
#include "tests/unit/faults/failing.h"
#include "tests/unit/main.h"

#define CALLS_MOST 32
#define MOST_BODY  1000

#define FAILS(type, function, failure, parameters, arguments)                                                  \
	type __real_##function parameters;                                                                     \
	type __wrap_##function parameters;                                                                     \
	type __wrap_##function parameters                                                                      \
	{                                                                                                      \
		return fails_now(#function) ? (failure) : __real_##function arguments;                         \
	}
#define CANNOT(function)
#include "tests/unit/faults/civetweb.tbl.h"
#undef FAILS
#undef CANNOT

static const char *const functions[] = {
#define FAILS(type, function, failure, parameters, arguments) #function,
#define CANNOT(function)
#include "tests/unit/faults/civetweb.tbl.h"
#undef FAILS
#undef CANNOT
};

static bool streams(void *arg, const struct http_request *rq)
{
	return strcmp(rq->path, "/up") == 0;
}

static enum status read_file(void *arg, uint64_t from, size_t most, const void **out_bytes, size_t *out_n)
{
	*out_bytes = "file";
	*out_n = most < 4 ? most : 4;
	return STATUS_OK;
}

static void handle(void *arg, const struct http_request *rq, struct http_response *rs)
{
	char part[4];
	size_t n = 1;

	if (strcmp(rq->path, "/file") == 0) {
		http_response_file(rq, rs, &(struct http_file){.content_type = "text/plain", .etag = "\"e\"", .length = 9, .read = read_file});
		return;
	}
	if (rq->stream != NULL) {
		enum status st = STATUS_OK;
		while (st == STATUS_OK && n > 0)
			st = http_body_read(rq, part, sizeof part, &n);
		rs->code = status_http(st);
		return;
	}
	rs->code = rq->body_broken ? 400 : rq->body_too_large ? 413 : 200;
	rs->content_type = "text/plain";
	rs->body = rq->body;
	rs->body_length = rq->body_broken || rq->body_too_large ? 0 : rq->body_length;
}

/* The code of the answer to one request on a connection of its own; 0: the connection was closed without one. */
static int ask(const struct http_server *server, const char *path, const char *head, const char *body)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(http_server_port(server))};
	char text[8192];
	size_t length = 0;
	ssize_t n;
	int code = 0, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(connect(fd, (const struct sockaddr *)(const void *)&address, sizeof address), 0);
	snprintf(text, sizeof text, "POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n%s", path, head, body);
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
	while (length < sizeof text - 1 && (n = recv(fd, text + length, sizeof text - 1 - length, 0)) > 0)
		length += (size_t)n;
	close(fd);
	text[length] = '\0';
	const char *answer = text;
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	if (strncmp(answer, go_on, sizeof go_on - 1) == 0)
		answer += sizeof go_on - 1;
	if (*answer != '\0')
		ck_assert_int_eq(sscanf(answer, "HTTP/1.1 %d ", &code), 1);
	return code;
}

/* Bodies of each kind. Whether each was answered as it should be; a failure may only change that to 400 or to no answer. */
static bool use(const struct http_server *server, const char *function, int n)
{
	char large[MOST_BODY + 64];
	bool fine = true;

	memset(large, 'a', sizeof large - 1);
	large[sizeof large - 1] = '\0';
	const struct {
		const char *path, *head, *body;
		int code;
	} requests[] = {
		{"/", "", "", 200},
		{"/", "Content-Length: 5\r\n", "hello", 200},
		{"/", "Content-Length: 5\r\nExpect: 100-continue\r\n", "hello", 200},
		{"/", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n", 200},
		{"/", "Content-Length: 1063\r\n", large, 413},
		{"/up", "Content-Length: 5\r\nExpect: 100-continue\r\n", "hello", 200},
		{"/up", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n", 200},
		{"/file", "", "", 200},
	};

	for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
		int code = ask(server, requests[i].path, requests[i].head, requests[i].body);
		ck_assert_msg(code == requests[i].code || code == 400 || code == 0, "%s, call %d: request %zu: %d", function, n, i, code);
		fine = fine && code == requests[i].code;
	}
	return fine;
}

/* False: it is not called so often. */
static bool use_with_failure(const char *function, int n)
{
	const struct http_options options = {
		.listen = "127.0.0.1:0", .workers = 2, .keepalive_ms = 5000, .max_body_bytes = MOST_BODY, .handle = handle,
		.streams = streams};
	struct http_server *server = NULL;

	arm(function, n);
	enum status st = http_server_start(&options, &server);
	ck_assert_msg(st == STATUS_OK || st == STATUS_INTERNAL, "%s, call %d: %s", function, n, status_wire(st));
	bool fine = st == STATUS_OK && use(server, function, n);
	bool failed = disarm();
	ck_assert_msg(failed || fine, "%s, call %d: nothing failed", function, n);
	if (server == NULL)
		ck_assert_int_eq(http_server_start(&options, &server), STATUS_OK);
	ck_assert_uint_ne(http_server_port(server), 0);
	ck_assert_msg(use(server, function, n), "%s, call %d: not usable again", function, n);
	ck_assert_uint_eq(http_server_busy(server), 0);
	http_server_stop(server);
	return failed;
}

START_TEST(whichever_call_fails_there_is_a_status_and_requests_are_answered_again)
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
#define FAILS(type, function, failure, parameters, arguments) #function,
#define CANNOT(function) #function,
#include "tests/unit/faults/civetweb.tbl.h"
#undef FAILS
#undef CANNOT
};

static bool is_of_civetweb(const char *function)
{
	return strncmp(function, "mg_", 3) == 0;
}

START_TEST(the_table_has_every_function_that_is_called)
{
	check_called("nm -u '" HTTP_LIBRARY "'", is_of_civetweb, table, sizeof table / sizeof *table, "civetweb.tbl.h");
}
END_TEST

TESTS("faults civetweb", whichever_call_fails_there_is_a_status_and_requests_are_answered_again,
	the_table_has_every_function_that_is_called)
