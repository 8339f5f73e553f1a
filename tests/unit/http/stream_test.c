/* Bodies that their handler reads as they come, and files that are read while they are written. */
#include "common/http/http.h"
#include "tests/unit/main.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"

#define MOST_BODY 100
#define FILE_SIZE ((uint64_t)600000)

static bool streams(void *arg, const struct http_request *rq)
{
	return strncmp(rq->path, "/up", 3) == 0;
}

/* Counts what comes; "/up/some" reads only the first bytes, "/up/late" may not read at all, "/up/soon" not for long. */
static void receive(const struct http_request *rq, struct http_response *rs)
{
	char part[1000];
	uint64_t sum = 0, total = 0;
	size_t n = 0;
	enum status st;

	http_body_bound(rq, 200000, strcmp(rq->path, "/up/late") == 0 ? 0 : clock_mono_ms() + (strcmp(rq->path, "/up/soon") == 0 ? 200 : 60000));
	while ((st = http_body_read(rq, part, sizeof part, &n)) == STATUS_OK && n > 0) {
		for (size_t i = 0; i < n; i++)
			sum += (unsigned char)part[i];
		total += n;
		if (strcmp(rq->path, "/up/some") == 0)
			break;
	}
	rs->body = arena_printf(rq->mem, "%s %llu %llu", status_wire(st), (unsigned long long)total, (unsigned long long)sum);
}

/* Byte n of the file is n modulo 251; a part has at most 4,000 bytes. */
static enum status read_file(void *arg, uint64_t from, size_t most, const void **out_bytes, size_t *out_n)
{
	static _Thread_local unsigned char part[4000];
	size_t n = most < sizeof part ? most : sizeof part;
	bool broken = arg != NULL;

	if (broken && from > 10000)
		return STATUS_BUSY;
	for (size_t i = 0; i < n; i++)
		part[i] = (unsigned char)((from + i) % 251);
	*out_bytes = part;
	*out_n = n;
	return STATUS_OK;
}

static void handle(void *arg, const struct http_request *rq, struct http_response *rs)
{
	static int broken;

	rs->code = 200;
	rs->content_type = "text/plain";
	if (rq->stream != NULL) {
		receive(rq, rs);
	} else if (strncmp(rq->path, "/file", 5) == 0) {
		const struct http_file file = {.content_type = "application/x-test",
			.etag = "\"e\"",
			.length = FILE_SIZE,
			.read = read_file,
			.arg = strcmp(rq->path, "/file/broken") == 0 ? &broken : NULL};
		http_response_file(rq, rs, &file);
		return;
	} else {
		rs->body = arena_printf(rq->mem, "%zu", rq->body_length);
	}
	rs->body_length = strlen(rs->body);
}

static struct http_server *serving(void)
{
	const struct http_options options = {.listen = "127.0.0.1:0",
		.workers = 4,
		.keepalive_ms = 5000,
		.max_body_bytes = MOST_BODY,
		.handle = handle,
		.streams = streams};
	struct http_server *server = NULL;

	ck_assert_int_eq(http_server_start(&options, &server), STATUS_OK);
	return server;
}

static int connected(const struct http_server *server)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(http_server_port(server))};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static void say(int fd, const void *bytes, size_t length)
{
	ck_assert_int_eq(send(fd, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
}

static void say_text(int fd, const char *text)
{
	say(fd, text, strlen(text));
}

/* The head of one response and its body into *out_body, as many bytes as it announces or as come. */
static const char *heard(int fd, unsigned char *out_body, size_t *out_length)
{
	static char head[4096];
	size_t n = 0, have = 0;

	while (n < sizeof head - 1 && (n < 4 || memcmp(head + n - 4, "\r\n\r\n", 4) != 0) && recv(fd, head + n, 1, 0) == 1)
		n++;
	head[n] = '\0';
	const char *announced = strstr(head, "Content-Length: ");
	size_t length = announced != NULL ? strtoul(announced + 16, NULL, 10) : 0;
	while (have < length) {
		ssize_t got = recv(fd, out_body + have, length - have, 0);
		if (got <= 0)
			break;
		have += (size_t)got;
	}
	out_body[have] = '\0';
	*out_length = have;
	return head;
}

static unsigned char body[FILE_SIZE + 1];
static size_t length;

START_TEST(a_long_body_comes_in_pieces_and_the_connection_stays)
{
	struct http_server *server = serving();
	int fd = connected(server);
	char *bytes = malloc(150000);

	memset(bytes, 'a', 150000);
	say_text(fd, "POST /up HTTP/1.1\r\nContent-Length: 150000\r\n\r\n");
	say(fd, bytes, 150000);
	heard(fd, body, &length);
	ck_assert_str_eq((char *)body, "ok 150000 14550000");
	say_text(fd, "POST /up HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
	heard(fd, body, &length);
	ck_assert_str_eq((char *)body, "ok 5 495");
	say_text(fd, "POST /up HTTP/1.1\r\n\r\n");
	heard(fd, body, &length);
	ck_assert_str_eq((char *)body, "ok 0 0");
	free(bytes);
	close(fd);
}
END_TEST

START_TEST(other_requests_keep_their_bound)
{
	struct http_server *server = serving();
	int fd = connected(server);

	say_text(fd, "POST /other HTTP/1.1\r\nContent-Length: 150000\r\nExpect: 100-continue\r\n\r\n");
	heard(fd, body, &length);
	ck_assert_str_eq((char *)body, "0");
	close(fd);
}
END_TEST

START_TEST(more_than_the_bound_is_refused_whether_announced_or_not)
{
	struct http_server *server = serving();
	char *chunk = malloc(250001);
	int fd = connected(server);

	say_text(fd, "POST /up HTTP/1.1\r\nContent-Length: 200001\r\n\r\n");
	heard(fd, body, &length);
	ck_assert_str_eq((char *)body, "too_large 0 0");
	close(fd);
	fd = connected(server);
	memset(chunk, 'a', 250000);
	say_text(fd, "POST /up HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3d090\r\n");
	say(fd, chunk, 250000);
	say_text(fd, "\r\n0\r\n\r\n");
	heard(fd, body, &length);
	ck_assert_int_eq(strncmp((char *)body, "too_large 2", 11), 0);
	free(chunk);
	close(fd);
}
END_TEST

START_TEST(a_client_that_goes_away_or_lies_about_the_end_is_noticed)
{
	struct http_server *server = serving();
	int fd = connected(server);

	say_text(fd, "POST /up HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc");
	shutdown(fd, SHUT_WR);
	heard(fd, body, &length);
	ck_assert_int_eq(strncmp((char *)body, "malformed", 9), 0);
	close(fd);
	fd = connected(server);
	say_text(fd, "POST /up HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
	heard(fd, body, &length);
	ck_assert_int_eq(strncmp((char *)body, "malformed", 9), 0);
	close(fd);
}
END_TEST

START_TEST(past_the_deadline_nothing_is_read)
{
	struct http_server *server = serving();
	int fd = connected(server);

	say_text(fd, "POST /up/late HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
	heard(fd, body, &length);
	ck_assert_str_eq((char *)body, "late 0 0");
	close(fd);
}
END_TEST

/* A byte now and then, so that none is waited for long, until there is an answer. */
static void drip(int fd, int bytes)
{
	struct pollfd answer = {.fd = fd, .events = POLLIN};

	while (bytes-- > 0 && poll(&answer, 1, 10) == 0)
		say(fd, "x", 1);
}

START_TEST(who_sends_a_byte_now_and_then_has_no_more_time_than_others)
{
	struct http_server *server = serving();
	int fd = connected(server);

	say_text(fd, "POST /up/soon HTTP/1.1\r\nContent-Length: 100000\r\n\r\n");
	drip(fd, 100000);
	ck_assert_ptr_nonnull(strstr(heard(fd, body, &length), "Connection: close"));
	ck_assert_int_eq(strncmp((char *)body, "late ", 5), 0);
	close(fd);
	/* And who was in time is not cut off later. */
	fd = connected(server);
	say_text(fd, "POST /up/soon HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
	heard(fd, body, &length);
	ck_assert_str_eq((char *)body, "ok 3 294");
	say_text(fd, "POST /up HTTP/1.1\r\nContent-Length: 40\r\n\r\n");
	drip(fd, 40);
	heard(fd, body, &length);
	ck_assert_str_eq((char *)body, "ok 40 4800");
	close(fd);
	http_server_stop(server);
}
END_TEST

START_TEST(what_the_handler_left_unread_closes_the_connection_behind_the_answer)
{
	struct http_server *server = serving();
	int fd = connected(server);
	char *bytes = malloc(100000), c;

	memset(bytes, 'a', 100000);
	say_text(fd, "POST /up/some HTTP/1.1\r\nContent-Length: 100000\r\n\r\n");
	say(fd, bytes, 100000);
	const char *head = heard(fd, body, &length);
	ck_assert_ptr_nonnull(strstr(head, "Connection: close"));
	ck_assert_str_eq((char *)body, "ok 1000 97000");
	ck_assert_int_le(recv(fd, &c, 1, 0), 0);
	free(bytes);
	close(fd);
}
END_TEST

START_TEST(a_file_is_written_whole_in_part_or_as_its_head_alone)
{
	struct http_server *server = serving();
	int fd = connected(server);

	say_text(fd, "GET /file HTTP/1.1\r\n\r\n");
	ck_assert_int_eq(strncmp(heard(fd, body, &length), "HTTP/1.1 200 ", 13), 0);
	ck_assert_uint_eq(length, FILE_SIZE);
	/* Asked once: of each byte it would take as long as an idle connection is kept. */
	size_t right = 0;
	while (right < length && body[right] == right % 251)
		right++;
	ck_assert_uint_eq(right, length);
	say_text(fd, "GET /file HTTP/1.1\r\nRange: bytes=250-5249\r\n\r\n");
	ck_assert_int_eq(strncmp(heard(fd, body, &length), "HTTP/1.1 206 ", 13), 0);
	ck_assert_uint_eq(length, 5000);
	ck_assert_uint_eq(body[0], 250);
	ck_assert_uint_eq(body[4999], 5249 % 251);
	/* A HEAD's answer has no body: the next answer follows at once. */
	say_text(fd, "HEAD /file HTTP/1.1\r\n\r\nGET /file HTTP/1.1\r\nIf-None-Match: \"e\"\r\n\r\n");
	char text[4096];
	size_t n = 0;
	while (strstr((text[n] = '\0', text), "HTTP/1.1 304 ") == NULL && n < sizeof text - 1)
		n += (size_t)recv(fd, text + n, 1, 0);
	ck_assert_ptr_nonnull(strstr(text, "Content-Length: 600000\r\n"));
	close(fd);
}
END_TEST

START_TEST(a_file_that_cannot_be_read_to_its_end_ends_the_connection)
{
	struct http_server *server = serving();
	int fd = connected(server);

	say_text(fd, "GET /file/broken HTTP/1.1\r\n\r\n");
	heard(fd, body, &length);
	ck_assert_uint_lt(length, FILE_SIZE);
	close(fd);
}
END_TEST

TESTS("http stream", a_long_body_comes_in_pieces_and_the_connection_stays, other_requests_keep_their_bound,
	more_than_the_bound_is_refused_whether_announced_or_not, a_client_that_goes_away_or_lies_about_the_end_is_noticed,
	past_the_deadline_nothing_is_read, who_sends_a_byte_now_and_then_has_no_more_time_than_others, what_the_handler_left_unread_closes_the_connection_behind_the_answer,
	a_file_is_written_whole_in_part_or_as_its_head_alone, a_file_that_cannot_be_read_to_its_end_ends_the_connection)
