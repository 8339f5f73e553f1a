#include "common/json/reader.h"
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

static struct json_reader reading(const char *body)
{
	struct json_reader r;

	json_reader_begin(&r, test_arena(), body, strlen(body));
	return r;
}

static void check_malformed_n(const char *body, size_t length)
{
	struct json_reader r;
	struct arena *mem = arena_create();

	ck_assert_msg(json_reader_begin(&r, mem, body, length) == STATUS_MALFORMED, "%s", body);
	ck_assert_ptr_null(r.object);
	ck_assert_ptr_nonnull(r.detail);
	arena_destroy(mem);
}

static void check_malformed(const char *body)
{
	check_malformed_n(body, strlen(body));
}

static void check_invalid(const struct json_reader *r, const char *field, const char *detail)
{
	ck_assert_int_eq(r->status, STATUS_FIELD_INVALID);
	ck_assert_str_eq(r->field, field);
	ck_assert_str_eq(r->detail, detail);
}

START_TEST(what_is_not_one_strict_object_is_malformed)
{
	check_malformed("{");
	check_malformed("[]");
	check_malformed("\"text\"");
	check_malformed("null");
	check_malformed("{} {}");
	check_malformed("{}x");
	check_malformed("{\"a\":1,}");
	check_malformed("{a:1}");
	check_malformed("{\"a\":01}");
	check_malformed("{\"a\":NaN}");
	check_malformed("{\"a\":1,\"a\":2}");
	check_malformed("{\"b\":{\"a\":1,\"\\u0061\":2}}");
	check_malformed("{\"a\":\"\xFF\"}");
	check_malformed("{\"a\":\"\\ud800\"}");
	check_malformed("{\"a\":\"\\u0000\"}");
	check_malformed("{\"\\u0000\":1}");
	check_malformed("{\"a\":1e999}");
	check_malformed("{\"a\":99999999999999999999}");
	check_malformed_n("{}\0", 3);
	check_malformed_n("{\"a\":\"\0\"}", 9);
	check_malformed(" ");
}
END_TEST

START_TEST(the_reason_never_quotes_the_body)
{
	struct json_reader r = reading("{\"password\":\"hunter2\" \"x\"}");

	ck_assert_int_eq(r.status, STATUS_MALFORMED);
	ck_assert_ptr_null(strstr(r.detail, "hunter2"));
	ck_assert_ptr_null(r.field);
}
END_TEST

static char *nested(size_t depth, const char *inside)
{
	static char body[100000];
	char *at = body + sprintf(body, "{\"a\":");

	for (size_t i = 1; i < depth; i++)
		*at++ = '[';
	at += sprintf(at, "%s", inside);
	for (size_t i = 1; i < depth; i++)
		*at++ = ']';
	strcpy(at, "}");
	return body;
}

START_TEST(thirty_two_levels_are_read_and_one_more_is_not)
{
	struct json_reader r = reading(nested(32, "1"));

	ck_assert_int_eq(r.status, STATUS_OK);
	check_malformed(nested(33, "1"));
	check_malformed(nested(40000, "1"));
	r = reading(nested(32, "\"[[[[\\\"[[[[\\\\\""));
	ck_assert_int_eq(r.status, STATUS_OK);
}
END_TEST

START_TEST(an_empty_body_is_an_object_without_fields)
{
	struct json_reader r = reading("");
	const char *name = "kept";

	json_str(&r, "name", JSON_OPTIONAL, 1, 10, &name);
	ck_assert_int_eq(json_reader_end(&r, true), STATUS_OK);
	ck_assert_str_eq(name, "kept");
}
END_TEST

START_TEST(fields_of_every_kind_are_read)
{
	static const char *const colours[] = {"red", "green", NULL};
	struct json_reader r = reading(
		"{\"s\":\"gr\\u00fcn\",\"b\":true,\"i\":-5,\"u\":\"00000000-0000-8000-8400-000000000000\","
		"\"us\":[\"00000000-0000-8001-8000-000000000000\"],\"t\":\"1970-01-01T00:00:01Z\","
		"\"c\":\"green\",\"r\":3.0}");
	const char *s = NULL;
	bool b = false;
	int64_t i = 0, t = 0, real = 0;
	uint64_t u = 0, *us = NULL;
	size_t count = 0;
	int c = -1;

	json_str(&r, "s", JSON_REQUIRED, 4, 4, &s);
	json_bool(&r, "b", JSON_REQUIRED, &b);
	json_i64(&r, "i", JSON_REQUIRED, -5, 5, &i);
	json_uuid(&r, "u", JSON_REQUIRED, &u);
	json_uuids(&r, "us", JSON_REQUIRED, 1, &us, &count);
	json_time(&r, "t", JSON_REQUIRED, &t);
	json_choice(&r, "c", JSON_REQUIRED, colours, &c);
	json_i64(&r, "r", JSON_REQUIRED, 0, 5, &real);
	ck_assert_int_eq(json_reader_end(&r, true), STATUS_OK);
	ck_assert_str_eq(s, "gr\xC3\xBCn");
	ck_assert(b);
	ck_assert_int_eq(i, -5);
	ck_assert_uint_eq(u, 1);
	ck_assert_uint_eq(count, 1);
	ck_assert_uint_eq(us[0], 16);
	ck_assert_int_eq(t, 1000);
	ck_assert_int_eq(c, 1);
	ck_assert_int_eq(real, 3);
}
END_TEST

START_TEST(the_first_error_stays_and_names_its_field)
{
	struct json_reader r = reading("{\"a\":1,\"b\":2}");
	const char *out = NULL;

	json_str(&r, "a", JSON_REQUIRED, 1, 10, &out);
	json_str(&r, "b", JSON_REQUIRED, 1, 10, &out);
	json_fail(&r, STATUS_CONFLICT, "c", "too late");
	check_invalid(&r, "a", "must be a string");
	ck_assert_int_eq(json_reader_end(&r, true), STATUS_FIELD_INVALID);
	ck_assert_ptr_null(out);
}
END_TEST

START_TEST(required_fields_must_be_there_and_not_null)
{
	struct json_reader r = reading("{}");
	int64_t out = 7;

	json_i64(&r, "n", JSON_REQUIRED, 0, 9, &out);
	check_invalid(&r, "n", "is required");
	r = reading("{\"n\":null}");
	json_i64(&r, "n", JSON_REQUIRED, 0, 9, &out);
	check_invalid(&r, "n", "must not be null");
	ck_assert_int_eq(out, 7);
}
END_TEST

START_TEST(null_in_an_optional_field_is_seen_only_by_who_asks)
{
	struct json_reader r = reading("{\"topic\":null}");
	const char *topic = "kept";

	json_str(&r, "topic", JSON_OPTIONAL, 1, 10, &topic);
	ck_assert_str_eq(topic, "kept");
	ck_assert(json_has(&r, "topic"));
	ck_assert(json_is_null(&r, "topic"));
	ck_assert(!json_has(&r, "other"));
	ck_assert(!json_is_null(&r, "other"));
	ck_assert_int_eq(json_reader_end(&r, true), STATUS_OK);
}
END_TEST

START_TEST(lengths_are_counted_in_code_points)
{
	struct json_reader r = reading("{\"s\":\"\xF0\x9F\x8E\x89\xF0\x9F\x8E\x89\"}");
	const char *s = NULL;

	json_str(&r, "s", JSON_REQUIRED, 1, 2, &s);
	ck_assert_int_eq(r.status, STATUS_OK);
	json_str(&r, "s", JSON_REQUIRED, 1, 1, &s);
	check_invalid(&r, "s", "must have 1 to 1 characters");
	r = reading("{\"s\":\"\"}");
	json_str(&r, "s", JSON_REQUIRED, 1, 9, &s);
	check_invalid(&r, "s", "must not be empty");
}
END_TEST

START_TEST(numbers_must_be_whole_and_in_bounds)
{
	const char *const bodies[] = {
		"{\"n\":1.5}", "{\"n\":\"1\"}", "{\"n\":1e300}", "{\"n\":true}", "{\"n\":[]}"};
	int64_t out = 7;

	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
		struct json_reader r = reading(bodies[i]);
		json_i64(&r, "n", JSON_REQUIRED, INT64_MIN, INT64_MAX, &out);
		check_invalid(&r, "n", "must be a whole number");
	}
	struct json_reader r = reading("{\"n\":10}");
	json_i64(&r, "n", JSON_REQUIRED, 0, 9, &out);
	check_invalid(&r, "n", "must be from 0 to 9");
	ck_assert_int_eq(out, 7);
}
END_TEST

START_TEST(ids_must_be_spelt_as_ours)
{
	struct json_reader r =
		reading("{\"u\":\"01234567-89ab-4cde-bc00-000000000000\",\"us\":[\"x\"],\"many\":[1,2,3]}");
	uint64_t u = 7, *us = NULL;
	size_t count = 7;

	json_uuid(&r, "u", JSON_REQUIRED, &u);
	check_invalid(&r, "u", "must be an id as this server writes it");
	r.status = STATUS_OK;
	json_uuids(&r, "us", JSON_REQUIRED, 2, &us, &count);
	check_invalid(&r, "us", "entry 1 must be an id as this server writes it");
	r.status = STATUS_OK;
	json_uuids(&r, "many", JSON_REQUIRED, 2, &us, &count);
	check_invalid(&r, "many", "must have at most 2 entries");
	ck_assert_uint_eq(u, 7);
	ck_assert_uint_eq(count, 7);
}
END_TEST

START_TEST(a_choice_names_what_may_be_chosen)
{
	static const char *const colours[] = {"red", "green", "blue", NULL};
	struct json_reader r = reading("{\"c\":\"Red\"}");
	int c = 7;

	json_choice(&r, "c", JSON_REQUIRED, colours, &c);
	check_invalid(&r, "c", "must be red, green or blue");
	ck_assert_int_eq(c, 7);
}
END_TEST

START_TEST(unknown_fields_are_named_when_they_are_errors)
{
	struct json_reader r = reading("{\"a\":true,\"b\":1}");
	bool a = false;

	json_bool(&r, "a", JSON_OPTIONAL, &a);
	ck_assert_int_eq(json_reader_end(&r, false), STATUS_OK);
	ck_assert_int_eq(json_reader_end(&r, true), STATUS_FIELD_INVALID);
	check_invalid(&r, "b", "is not a field of this request");
}
END_TEST

START_TEST(an_object_already_parsed_is_borrowed)
{
	struct arena *mem = arena_create();
	json_t *parsed = json_pack("{s:b}", "a", 1);
	struct json_reader r;
	bool a = false;

	json_reader_over(&r, mem, parsed);
	json_bool(&r, "a", JSON_REQUIRED, &a);
	ck_assert(a);
	arena_destroy(mem);
	ck_assert_uint_eq(parsed->refcount, 1);
	json_decref(parsed);
	json_reader_over(&r, NULL, NULL);
	ck_assert_int_eq(r.status, STATUS_MALFORMED);
}
END_TEST

TESTS("json reader", what_is_not_one_strict_object_is_malformed, the_reason_never_quotes_the_body,
	thirty_two_levels_are_read_and_one_more_is_not, an_empty_body_is_an_object_without_fields,
	fields_of_every_kind_are_read, the_first_error_stays_and_names_its_field,
	required_fields_must_be_there_and_not_null, null_in_an_optional_field_is_seen_only_by_who_asks,
	lengths_are_counted_in_code_points, numbers_must_be_whole_and_in_bounds, ids_must_be_spelt_as_ours,
	a_choice_names_what_may_be_chosen, unknown_fields_are_named_when_they_are_errors,
	an_object_already_parsed_is_borrowed)
