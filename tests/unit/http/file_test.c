/* Files as responses: which part, which conditions, which name. */
#include "common/http/http.h"

#include <string.h>

#include "tests/unit/main.h"

#define ETAG "\"a1\""
#define AT   INT64_C(1767225600123) /* Thu, 01 Jan 2026 00:00:00.123 GMT */

static struct http_request asked(struct arena *mem, const struct http_header *headers, size_t count)
{
	return (struct http_request){.mem = mem, .method = "GET", .headers = headers, .header_count = count};
}

static const char *header(const struct http_response *rs, const char *name)
{
	for (size_t i = 0; i < rs->header_count; i++)
		if (strcmp(rs->headers[i].name, name) == 0)
			return rs->headers[i].value;
	return "";
}

static struct http_response answer(struct arena *mem, const char *name, const char *value, const char *name_2, const char *value_2)
{
	const struct http_header headers[] = {{name, value}, {name_2, value_2}};
	const struct http_request rq = asked(mem, headers, name == NULL ? 0 : name_2 == NULL ? 1 : 2);
	const struct http_file file = {
		.content_type = "text/plain", .name = "a.txt", .etag = ETAG, .modified_ms = AT, .length = 100};
	struct http_response rs = {0};

	http_response_file(&rq, &rs, &file);
	return rs;
}

static void check_range(const char *text, uint64_t length, enum http_range expected, uint64_t from, uint64_t count)
{
	uint64_t got_from = 0, got_count = 0;

	ck_assert_msg(http_range_parse(text, length, &got_from, &got_count) == expected, "%s", text);
	ck_assert_msg(got_from == from && got_count == count, "%s: %llu+%llu", text, (unsigned long long)got_from,
		(unsigned long long)got_count);
}

START_TEST(one_range_is_understood_and_what_is_none_is_the_whole)
{
	check_range("bytes=0-0", 100, HTTP_RANGE_ONE, 0, 1);
	check_range("bytes=10-19", 100, HTTP_RANGE_ONE, 10, 10);
	check_range("Bytes= 99-", 100, HTTP_RANGE_ONE, 99, 1);
	check_range("bytes=50-1000", 100, HTTP_RANGE_ONE, 50, 50);
	check_range("bytes=-1", 100, HTTP_RANGE_ONE, 99, 1);
	check_range("bytes=-1000", 100, HTTP_RANGE_ONE, 0, 100);
	check_range("bytes=100-", 100, HTTP_RANGE_BEYOND, 0, 0);
	check_range("bytes=-0", 100, HTTP_RANGE_BEYOND, 0, 0);
	check_range("bytes=0-", 0, HTTP_RANGE_BEYOND, 0, 0);
	check_range("bytes=-5", 0, HTTP_RANGE_BEYOND, 0, 0);
	static const char *const none[] = {"bytes=", "bytes=-", "bytes=5-4", "bytes=0-1,3-4", "bytes=a-b", "items=0-1", "bytes 0-1",
		"bytes=1", "bytes=18446744073709551616-", "bytes=0-99999999999999999999", "bytes=0x1-2", "bytes=--1"};
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		check_range(none[i], 100, HTTP_RANGE_NONE, 0, 0);
	check_range(NULL, 100, HTTP_RANGE_NONE, 0, 0);
}
END_TEST

START_TEST(a_range_is_206_with_its_place_and_beyond_the_end_416)
{
	struct arena *mem = arena_create();

	struct http_response rs = answer(mem, "range", "bytes=90-", NULL, NULL);
	ck_assert_int_eq(rs.code, 206);
	ck_assert_str_eq(header(&rs, "Content-Range"), "bytes 90-99/100");
	ck_assert_uint_eq(rs.file_from, 90);
	ck_assert_uint_eq(rs.file_length, 10);
	rs = answer(mem, "Range", "bytes=100-", NULL, NULL);
	ck_assert_int_eq(rs.code, 416);
	ck_assert_str_eq(header(&rs, "Content-Range"), "bytes */100");
	ck_assert_ptr_null(rs.file);
	rs = answer(mem, NULL, NULL, NULL, NULL);
	ck_assert_int_eq(rs.code, 200);
	ck_assert_uint_eq(rs.file_length, 100);
	ck_assert_str_eq(header(&rs, "Accept-Ranges"), "bytes");
	ck_assert_str_eq(header(&rs, "X-Content-Type-Options"), "nosniff");
	arena_destroy(mem);
}
END_TEST

START_TEST(who_has_it_is_told_so_by_its_tag_or_its_time)
{
	static const struct {
		const char *name, *value, *name_2, *value_2;
		int code;
	} cases[] = {
		{"If-None-Match", ETAG, NULL, NULL, 304},
		{"If-None-Match", "*", NULL, NULL, 304},
		{"If-None-Match", "\"b\", W/\"a1\"", NULL, NULL, 304},
		{"If-None-Match", "\"b,\" , \"a\"", NULL, NULL, 200},
		{"If-None-Match", "\"unfinished", NULL, NULL, 200},
		{"If-Modified-Since", "Thu, 01 Jan 2026 00:00:00 GMT", NULL, NULL, 304},
		{"If-Modified-Since", "Wed, 31 Dec 2025 23:59:59 GMT", NULL, NULL, 200},
		{"If-Modified-Since", "yesterday", NULL, NULL, 200},
		/* The tag decides where both are there. */
		{"If-None-Match", "\"b\"", "If-Modified-Since", "Thu, 01 Jan 2026 00:00:00 GMT", 200},
		{"If-None-Match", ETAG, "Range", "bytes=0-1", 304},
		{"If-Range", ETAG, "Range", "bytes=0-1", 206},
		{"If-Range", "\"b\"", "Range", "bytes=0-1", 200},
		{"If-Range", "Thu, 01 Jan 2026 00:00:00 GMT", "Range", "bytes=0-1", 206},
		{"If-Range", "Thu, 01 Jan 2026 00:00:01 GMT", "Range", "bytes=0-1", 200},
	};
	struct arena *mem = arena_create();

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct http_response rs = answer(mem, cases[i].name, cases[i].value, cases[i].name_2, cases[i].value_2);
		ck_assert_msg(rs.code == cases[i].code, "%s: %s gives %d", cases[i].name, cases[i].value, rs.code);
		ck_assert_str_eq(header(&rs, "ETag"), ETAG);
		ck_assert_str_eq(header(&rs, "Last-Modified"), "Thu, 01 Jan 2026 00:00:00 GMT");
	}
	arena_destroy(mem);
}
END_TEST

START_TEST(a_name_is_given_twice_and_cannot_leave_its_header)
{
	struct arena *mem = arena_create();

	ck_assert_str_eq(http_disposition(mem, "a b.txt", false), "inline; filename=\"a b.txt\"; filename*=UTF-8''a%20b.txt");
	ck_assert_str_eq(http_disposition(mem, "\xC3\xA4\"\\%41\r\n.txt", true),
		"attachment; filename=\"____41__.txt\"; filename*=UTF-8''%C3%A4%22%5C%2541%0D%0A.txt");
	arena_destroy(mem);
}
END_TEST

TESTS("http file", one_range_is_understood_and_what_is_none_is_the_whole, a_range_is_206_with_its_place_and_beyond_the_end_416,
	who_has_it_is_told_so_by_its_tag_or_its_time, a_name_is_given_twice_and_cannot_leave_its_header)
