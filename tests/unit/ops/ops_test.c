#include "common/ops/ops.h"
#include "tests/unit/main.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct ops *started(void)
{
	const struct config config = {.ops_listen = "127.0.0.1:0"};
	struct ops *ops = NULL;

	ck_assert_int_eq(ops_start(&config, "unit", &ops), STATUS_OK);
	return ops;
}

/* ops closes after each answer, so the answer is all there is to read. */
static const char *answer_to(const struct ops *ops, const char *method_and_path)
{
	static char text[65536];
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(ops_port(ops))};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	size_t n = 0;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	dprintf(fd, "%s HTTP/1.1\r\nHost: ops\r\n\r\n", method_and_path);
	for (ssize_t got; (got = recv(fd, text + n, sizeof text - 1 - n, 0)) > 0;)
		n += (size_t)got;
	text[n] = '\0';
	close(fd);
	return text;
}

static void check_answer(const char *text, const char *code, const char *body)
{
	const char *at = strstr(text, "\r\n\r\n");

	ck_assert_int_eq(strncmp(text, "HTTP/1.1 ", 9), 0);
	ck_assert_int_eq(strncmp(text + 9, code, 3), 0);
	ck_assert_ptr_nonnull(at);
	ck_assert_str_eq(at + 4, body);
}

static bool database(void *arg, char *detail, size_t detail_size)
{
	bool ok = *(bool *)arg;

	snprintf(detail, detail_size, ok ? "answers" : "no \"answer\"");
	return ok;
}

START_TEST(a_running_process_is_healthy)
{
	check_answer(answer_to(started(), "GET /healthz"), "200",
		"{\"ok\":true,\"service\":\"unit\",\"version\":\"" GUILDHALL_VERSION "\"}");
}
END_TEST

START_TEST(a_process_is_ready_when_all_its_checks_are)
{
	struct ops *ops = started();
	bool up = true, down = false;

	check_answer(answer_to(ops, "GET /readyz"), "503",
		"{\"ready\":false,\"checks\":[{\"name\":\"started\",\"ok\":false,\"detail\":\"this process is starting\"}]}");
	ops_add_check(ops, "database", database, &up);
	check_answer(answer_to(ops, "GET /readyz"), "200",
		"{\"ready\":true,\"checks\":[{\"name\":\"database\",\"ok\":true,\"detail\":\"answers\"}]}");
	ops_add_check(ops, "replica", database, &down);
	check_answer(answer_to(ops, "GET /readyz"), "503",
		"{\"ready\":false,\"checks\":[{\"name\":\"database\",\"ok\":true,\"detail\":\"answers\"},"
		"{\"name\":\"replica\",\"ok\":false,\"detail\":\"no \\\"answer\\\"\"}]}");
}
END_TEST

START_TEST(a_draining_process_is_healthy_but_not_ready)
{
	struct ops *ops = started();
	bool up = true;

	ops_add_check(ops, "database", database, &up);
	ops_set_draining(ops);
	check_answer(answer_to(ops, "GET /readyz"), "503",
		"{\"ready\":false,\"checks\":[{\"name\":\"draining\",\"ok\":false,"
		"\"detail\":\"this process is stopping\"},{\"name\":\"database\",\"ok\":true,\"detail\":\"answers\"}]}");
	ck_assert_int_eq(strncmp(answer_to(ops, "GET /healthz"), "HTTP/1.1 200", 12), 0);
}
END_TEST

START_TEST(metrics_are_prometheus_text)
{
	const char *text = answer_to(started(), "GET /metrics");

	ck_assert_ptr_nonnull(strstr(text, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nguildhall_http_requests_total 0\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nguildhall_presence_users_online 0\n"));
}
END_TEST

START_TEST(other_paths_and_methods_are_refused)
{
	struct ops *ops = started();

	check_answer(answer_to(ops, "GET /"), "404", "{\"code\":\"no_route\"}");
	const char *text = answer_to(ops, "DELETE /healthz");
	check_answer(text, "405", "{\"code\":\"wrong_method\"}");
	ck_assert_ptr_nonnull(strstr(text, "\r\nAllow: GET, HEAD\r\n"));
	check_answer(answer_to(ops, "HEAD /healthz"), "200", "");
}
END_TEST

START_TEST(an_address_in_use_is_a_conflict)
{
	struct ops *first = started(), *second = NULL;
	char listen[32];
	struct config config = {.ops_listen = listen};

	snprintf(listen, sizeof listen, "127.0.0.1:%d", ops_port(first));
	ck_assert_int_eq(ops_start(&config, "unit", &second), STATUS_CONFLICT);
	ck_assert_ptr_null(second);
}
END_TEST

START_TEST(a_stopped_listener_can_be_started_again)
{
	struct ops *ops = started();
	char listen[32];
	struct config config = {.ops_listen = listen};

	snprintf(listen, sizeof listen, "127.0.0.1:%d", ops_port(ops));
	ops_stop(ops);
	ck_assert_int_eq(ops_start(&config, "unit", &ops), STATUS_OK);
	ops_stop(ops);
	ops_stop(NULL);
}
END_TEST

START_TEST(main_wakes_for_term_and_int_and_sleeps_through_the_rest)
{
	ops_signals_block();
	raise(SIGPIPE);
	raise(SIGHUP);
	raise(SIGTERM);
	ck_assert_int_eq(ops_signals_wait(), SIGTERM);
	raise(SIGINT);
	ck_assert_int_eq(ops_signals_wait(), SIGINT);
}
END_TEST

static void count(void *arg)
{
	(*(int *)arg)++;
}

START_TEST(hup_reloads_and_the_wait_goes_on)
{
	int reloads = 0;

	ops_signals_block();
	raise(SIGHUP);
	raise(SIGTERM); /* pending at once, they come in the order of their numbers */
	ck_assert_int_eq(ops_signals_wait_reloading(count, &reloads), SIGTERM);
	ck_assert_int_eq(reloads, 1);
	raise(SIGHUP);
	raise(SIGINT);
	ck_assert_int_eq(ops_signals_wait_reloading(NULL, NULL), SIGINT);
}
END_TEST

TESTS("ops", a_running_process_is_healthy, a_process_is_ready_when_all_its_checks_are,
	a_draining_process_is_healthy_but_not_ready, metrics_are_prometheus_text,
	other_paths_and_methods_are_refused, an_address_in_use_is_a_conflict,
	a_stopped_listener_can_be_started_again, main_wakes_for_term_and_int_and_sleeps_through_the_rest,
	hup_reloads_and_the_wait_goes_on)
