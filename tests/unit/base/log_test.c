#include "common/base/log.h"
#include "tests/unit/main.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* stderr, as bytes in a file. The process ends with the test, so nothing is put back. */
static FILE *captured;
static char text[16384];

static void capture(void)
{
	captured = tmpfile();
	dup2(fileno(captured), STDERR_FILENO);
	log_init("unit", LOG_INFO);
}

static const char *lines(void)
{
	rewind(captured);
	text[fread(text, 1, sizeof text - 1, captured)] = '\0';
	return text;
}

/* The line behind its time, which is always of the same length. */
static const char *behind_time(void)
{
	const char *line = lines();

	ck_assert_int_eq(strncmp(line, "{\"time\":\"2", 10), 0);
	return line + strlen("{\"time\":\"2025-01-15T10:30:00.000Z\"");
}

START_TEST(a_line_is_one_object_in_a_fixed_order)
{
	capture();
	log_set_trace("abc");
	log_set_session(16);
	log_warn("thing_happened", LOG_STR("why", "because"), LOG_U64("n", UINT64_MAX), LOG_I64("i", -5),
		LOG_F64("f", 0.5), LOG_BOOL("yes", true), LOG_ID("id", 1), LOG_STATUS("st", STATUS_BUSY));
	ck_assert_str_eq(behind_time(),
		",\"level\":\"warn\",\"service\":\"unit\",\"event\":\"thing_happened\",\"trace\":\"abc\","
		"\"session\":\"00000000-0000-8001-8000-000000000000\",\"why\":\"because\","
		"\"n\":18446744073709551615,\"i\":-5,\"f\":0.5,\"yes\":true,"
		"\"id\":\"00000000-0000-8000-8400-000000000000\",\"st\":\"busy\"}\n");
}
END_TEST

START_TEST(trace_and_session_are_left_out_when_there_are_none)
{
	capture();
	log_set_trace("abc");
	log_set_trace(NULL);
	log_info("quiet");
	ck_assert_str_eq(behind_time(), ",\"level\":\"info\",\"service\":\"unit\",\"event\":\"quiet\"}\n");
	ck_assert_str_eq(log_trace(), "");
}
END_TEST

START_TEST(values_are_escaped)
{
	capture();
	log_info("e", LOG_STR("v", "a\"b\\c\nd\x01\x1F\x7F"));
	ck_assert_ptr_nonnull(strstr(lines(), "\"v\":\"a\\\"b\\\\c\\nd\\u0001\\u001f\\u007f\"}\n"));
}
END_TEST

START_TEST(bytes_that_are_not_utf8_become_the_replacement_character)
{
	capture();
	log_info("e", LOG_STR("v", "a\xFFz\xED\xA0\x80\xC3"), LOG_STR("w", "\xC3\xBC\xF0\x9F\x8E\x89"));
	ck_assert_ptr_nonnull(
		strstr(lines(), "\"v\":\"a\xEF\xBF\xBDz\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\","
				"\"w\":\"\xC3\xBC\xF0\x9F\x8E\x89\"}\n"));
}
END_TEST

START_TEST(a_long_value_is_cut_and_the_line_still_closed)
{
	static char long_value[10001];

	capture();
	for (size_t i = 0; i < sizeof long_value - 1; i += 2)
		memcpy(long_value + i, "\xC3\xBC", 2);
	log_info("e", LOG_STR("v", long_value), LOG_STR("left_out", "x"));
	const char *line = lines();
	size_t length = strlen(line);
	ck_assert_uint_le(length, 4096);
	ck_assert_uint_gt(length, 4000);
	ck_assert_str_eq(line + length - 5, "\xC3\xBC\"}\n");
}
END_TEST

START_TEST(levels_below_the_least_are_not_written)
{
	capture();
	log_debug("hidden");
	ck_assert_str_eq(lines(), "");
}
END_TEST

START_TEST(what_json_has_no_word_for_is_null)
{
	capture();
	log_info("e", LOG_F64("nan", __builtin_nan("")), LOG_STR("none", NULL));
	ck_assert_ptr_nonnull(strstr(lines(), "\"nan\":null,\"none\":null}\n"));
}
END_TEST

START_TEST(logging_leaves_errno_alone)
{
	capture();
	close(STDERR_FILENO);
	errno = ENOENT;
	log_error("e");
	ck_assert_int_eq(errno, ENOENT);
}
END_TEST

TESTS("log", a_line_is_one_object_in_a_fixed_order, trace_and_session_are_left_out_when_there_are_none,
	values_are_escaped, bytes_that_are_not_utf8_become_the_replacement_character,
	a_long_value_is_cut_and_the_line_still_closed, levels_below_the_least_are_not_written,
	what_json_has_no_word_for_is_null, logging_leaves_errno_alone)
