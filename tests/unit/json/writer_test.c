#include "common/json/writer.h"
#include "tests/unit/main.h"

#include <math.h>
#include <string.h>

static struct json_writer fresh(size_t capacity_hint)
{
	struct json_writer w;

	jw_begin(&w, arena_create(), capacity_hint);
	return w;
}

static void check_ends_as(struct json_writer *w, const char *expected)
{
	struct arena *mem = w->mem;
	size_t length = 0;
	const char *json = jw_end(w, &length);

	ck_assert_str_eq(json, expected);
	ck_assert_uint_eq(length, strlen(expected));
	arena_destroy(mem);
}

START_TEST(commas_stand_where_they_belong)
{
	struct json_writer w = fresh(0);

	jw_object(&w);
	jw_kv(&w, u64, "a", 1);
	jw_key(&w, "b");
	jw_array(&w);
	jw_array(&w);
	jw_array_end(&w);
	jw_object(&w);
	jw_object_end(&w);
	jw_i64(&w, -2);
	jw_array_end(&w);
	jw_kv(&w, bool, "c", true);
	jw_kv(&w, null, "d");
	jw_object_end(&w);
	check_ends_as(&w, "{\"a\":1,\"b\":[[],{},-2],\"c\":true,\"d\":null}");
}
END_TEST

START_TEST(strings_are_escaped_no_more_than_needed)
{
	struct json_writer w = fresh(0);

	jw_str(&w, "a\"b\\c/\b\f\n\r\t\x01\x1F\x7F\xC3\xBC");
	check_ends_as(&w, "\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0001\\u001f\x7F\xC3\xBC\"");
}
END_TEST

START_TEST(keys_from_outside_are_escaped)
{
	struct json_writer w = fresh(0);

	jw_object(&w);
	jw_kv(&w, bool, "own", true);
	jw_key_text(&w, "a \"b\\\n");
	jw_object(&w);
	jw_object_end(&w);
	jw_key_text(&w, "");
	jw_null(&w);
	jw_object_end(&w);
	check_ends_as(&w, "{\"own\":true,\"a \\\"b\\\\\\n\":{},\"\":null}");
}
END_TEST

START_TEST(numbers_read_back_as_they_were)
{
	struct json_writer w = fresh(0);

	jw_array(&w);
	jw_u64(&w, UINT64_MAX);
	jw_i64(&w, INT64_MIN);
	jw_i64(&w, 0);
	jw_f64(&w, 0.1);
	jw_f64(&w, 1.0 / 3.0);
	jw_f64(&w, 1e300);
	jw_f64(&w, NAN);
	jw_array_end(&w);
	check_ends_as(&w, "[18446744073709551615,-9223372036854775808,0,0.1,0.3333333333333333,1e+300,null]");
}
END_TEST

START_TEST(nothing_is_null)
{
	struct json_writer w = fresh(0);

	jw_array(&w);
	jw_str(&w, NULL);
	jw_uuid(&w, 0);
	jw_time(&w, 0);
	jw_uuid(&w, 1);
	jw_time(&w, 1);
	jw_raw(&w, "{}", 2);
	jw_strn(&w, "abc", 2);
	jw_array_end(&w);
	check_ends_as(&w, "[null,null,null,\"00000000-0000-8000-8400-000000000000\","
			  "\"1970-01-01T00:00:00.001Z\",{},\"ab\"]");
}
END_TEST

START_TEST(the_buffer_grows_while_others_allocate)
{
	struct json_writer w = fresh(1);
	size_t length = 0;

	jw_array(&w);
	for (int i = 0; i < 20000; i++) {
		jw_str(&w, "0123456789");
		if (i % 100 == 0)
			arena_alloc(w.mem, 10);
	}
	jw_array_end(&w);
	const char *json = jw_end(&w, &length);
	ck_assert_uint_eq(length, 20000 * 13 + 1);
	ck_assert_uint_eq(strlen(json), length);
	ck_assert_str_eq(json + length - 13, "\"0123456789\"]");
	arena_destroy(w.mem);
}
END_TEST

START_TEST(sixty_four_levels_fit)
{
	struct json_writer w = fresh(0);
	char expected[129] = {0};

	for (int i = 0; i < 64; i++)
		jw_array(&w);
	for (int i = 0; i < 64; i++)
		jw_array_end(&w);
	memset(expected, '[', 64);
	memset(expected + 64, ']', 64);
	check_ends_as(&w, expected);
}
END_TEST

START_TEST(what_a_page_would_read_as_html_is_escaped_where_that_is_asked_for)
{
	struct json_writer w = fresh(0);

	jw_str(&w, "<@5> & \"b\"\n");
	check_ends_as(&w, "\"<@5> & \\\"b\\\"\\n\"");
	w = fresh(0);
	w.escape_html = true;
	jw_str(&w, "<@5> & \"b\"\n");
	check_ends_as(&w, "\"\\u003c@5\\u003e \\u0026 \\\"b\\\"\\n\"");
}
END_TEST

TESTS("json writer", commas_stand_where_they_belong, strings_are_escaped_no_more_than_needed,
	keys_from_outside_are_escaped, what_a_page_would_read_as_html_is_escaped_where_that_is_asked_for,
	numbers_read_back_as_they_were, nothing_is_null, the_buffer_grows_while_others_allocate,
	sixty_four_levels_fit)
