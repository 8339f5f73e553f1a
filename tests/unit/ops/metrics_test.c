#include "common/ops/metrics.h"
#include "common/ops/ops.h"
#include "tests/unit/main.h"

#include <string.h>

/* One a process, which is one test; never destroyed, and never lost sight of either. */
static struct arena *test_arena(void)
{
	static struct arena *mem;

	if (mem == NULL)
		mem = arena_create();
	return mem;
}

/* The counters begin at 0 in each test. */
static const char *rendered(void)
{
	size_t length = 0;
	const char *text = metrics_render(test_arena(), "unit", &length);

	ck_assert_uint_eq(strlen(text), length);
	return text;
}

static void check_line(const char *text, const char *line)
{
	char whole[200];

	snprintf(whole, sizeof whole, "\n%s\n", line);
	ck_assert_msg(strstr(text, whole) != NULL, "%s", line);
}

START_TEST(untouched_metrics_are_zero)
{
	const char *text = rendered();

	check_line(text, "guildhall_http_requests_total 0");
	check_line(text, "guildhall_gateway_sockets 0");
	check_line(text, "guildhall_http_seconds_bucket{le=\"+Inf\"} 0");
	check_line(text, "guildhall_http_seconds_sum 0.000000");
	check_line(text, "guildhall_http_seconds_count 0");
}
END_TEST

START_TEST(counters_and_gauges_show_what_was_added_and_set)
{
	metric_add(http_requests, 3);
	metric_set(ws_sockets, -2);
	const char *text = rendered();

	check_line(text, "# TYPE guildhall_http_requests_total counter");
	check_line(text, "# HELP guildhall_http_requests_total requests answered");
	check_line(text, "guildhall_http_requests_total 3");
	check_line(text, "# TYPE guildhall_gateway_sockets gauge");
	check_line(text, "guildhall_gateway_sockets -2");
}
END_TEST

START_TEST(a_histogram_counts_everything_up_to_each_bound)
{
	metric_observe_us(&metrics.http_seconds, -5);
	metric_observe_us(&metrics.http_seconds, 1000);
	metric_observe_us(&metrics.http_seconds, 1001);
	metric_observe_us(&metrics.http_seconds, INT64_C(3600000000));
	const char *text = rendered();

	check_line(text, "guildhall_http_seconds_bucket{le=\"0.00005\"} 1");
	check_line(text, "guildhall_http_seconds_bucket{le=\"0.001\"} 2");
	check_line(text, "guildhall_http_seconds_bucket{le=\"0.0025\"} 3");
	check_line(text, "guildhall_http_seconds_bucket{le=\"60\"} 3");
	check_line(text, "guildhall_http_seconds_bucket{le=\"+Inf\"} 4");
	check_line(text, "guildhall_http_seconds_sum 3600.002001");
	check_line(text, "guildhall_http_seconds_count 4");
}
END_TEST

static double value_of(const char *text, const char *name)
{
	char start[100];

	snprintf(start, sizeof start, "\n%s ", name);
	const char *at = strstr(text, start);
	ck_assert_msg(at != NULL, "%s", name);
	return strtod(at + strlen(start), NULL);
}

START_TEST(the_process_is_described)
{
	const char *text = rendered();

	ck_assert(value_of(text, "process_cpu_seconds_total") >= 0);
	ck_assert(value_of(text, "process_resident_memory_bytes") > 100000);
	ck_assert(value_of(text, "process_threads") >= 1);
	ck_assert(value_of(text, "process_open_fds") >= 3);
	ck_assert(value_of(text, "process_max_fds") > 3);
	ck_assert(value_of(text, "process_start_time_seconds") > 1600000000);
	check_line(text, "guildhall_build_info{service=\"unit\",version=\"" GUILDHALL_VERSION "\"} 1");
}
END_TEST

START_TEST(every_metric_is_announced_once)
{
	const char *text = rendered();

	for (const char *at = strstr(text, "# TYPE "); at != NULL; at = strstr(at + 1, "# TYPE ")) {
		char line[200];
		snprintf(line, sizeof line, "%.*s ", (int)strcspn(at + 7, " "), at + 7);
		char head[220];
		snprintf(head, sizeof head, "# TYPE %s", line);
		ck_assert_ptr_eq(strstr(text, head), at);
		ck_assert_ptr_null(strstr(at + 1, head));
	}
}
END_TEST

TESTS("metrics", untouched_metrics_are_zero, counters_and_gauges_show_what_was_added_and_set,
	a_histogram_counts_everything_up_to_each_bound, the_process_is_described,
	every_metric_is_announced_once)
