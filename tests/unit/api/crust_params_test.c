/* What a client of crust says, however it says it. */
#include "services/api/dialects/crust/params.h"

#include <string.h>

#include "tests/unit/main.h"

#define JSON      "application/json"
#define FORM      "application/x-www-form-urlencoded"
#define MULTIPART "multipart/form-data; boundary=\"b b\""

static struct arena *mem;
static struct crust_params p;

static void read_as(const char *type, const char *body, const char *query, enum crust_where where)
{
	struct http_header *header = ARENA_NEW(mem, struct http_header);
	struct http_request *rq = ARENA_NEW(mem, struct http_request);

	*header = (struct http_header){"Content-Type", type};
	*rq = (struct http_request){.mem = mem,
		.method = "POST",
		.path = "/",
		.query = query,
		.body = body,
		.body_length = strlen(body),
		.headers = header,
		.header_count = type != NULL};
	crust_params_begin(&p, rq, where);
}

static void setup(void)
{
	mem = arena_create();
}

static void teardown(void)
{
	arena_destroy(mem);
}

START_TEST(every_kind_of_body_says_the_same)
{
	static const struct {
		const char *type, *body;
	} rows[] = {
		{JSON, "{\"name\":\"a b\",\"id\":\"7\",\"list\":[\"x\",\"y\"],\"ids\":[\"1\",\"2\"],\"yes\":true,\"n\":5}"},
		{JSON "; charset=utf-8", "{\"NAME\":\"a b\",\"Id\":7,\"LIST\":[\"x\",\"y\"],\"ids\":[1,\"2\"],\"yes\":\"Y\",\"n\":\"5\"}"},
		{NULL, "{\"name\":\"a b\",\"id\":7,\"list\":[\"x\",\"y\"],\"ids\":[1,2],\"yes\":\"1\",\"n\":5,\"other\":{}}"},
		{FORM, "name=a+b&id=7&list=x&list=y&ids%5B%5D=1&ids[]=2&yes=+T+&n=5"},
		{MULTIPART, "--b b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\na b\r\n"
			    "--b b\r\ncontent-disposition: form-data; name=\"id\"\r\n\r\n7\r\n"
			    "--b b\r\nContent-Disposition: form-data; name=\"list\"\r\n\r\nx\r\n"
			    "--b b\r\nContent-Disposition: form-data; name=\"list\"\r\n\r\ny\r\n"
			    "--b b\r\nContent-Disposition: form-data; name=\"ids[]\"\r\n\r\n1\r\n"
			    "--b b\r\nContent-Disposition: form-data; name=\"ids[]\"\r\n\r\n2\r\n"
			    "--b b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\nbytes\r\n"
			    "--b b\r\nContent-Disposition: form-data; name=\"yes\"\r\n\r\nyes\r\n"
			    "--b b\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n5\r\n--b b--\r\n"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *const *list;
		uint64_t *ids;
		read_as(rows[i].type, rows[i].body, "", CRUST_BODY);
		ck_assert_str_eq(crust_param(&p, "name"), "a b");
		ck_assert_uint_eq(crust_param_id(&p, "id"), 7);
		ck_assert_uint_eq(crust_param_list(&p, "list", &list), 2);
		ck_assert_str_eq(list[0], "x");
		ck_assert_str_eq(list[1], "y");
		ck_assert_uint_eq(crust_param_ids(&p, "ids", &ids), 2);
		ck_assert_uint_eq(ids[0], 1);
		ck_assert_uint_eq(ids[1], 2);
		ck_assert(crust_param_truth(&p, "yes"));
		ck_assert_uint_eq(crust_param_number(&p, "n"), 5);
		ck_assert_ptr_null(crust_param(&p, "none"));
		ck_assert_ptr_null(crust_param(&p, "f"));
		ck_assert_int_eq(crust_params_end(&p), STATUS_OK);
	}
}
END_TEST

START_TEST(a_form_wins_over_the_query_and_both_over_json)
{
	read_as(JSON, "{\"a\":\"json\",\"b\":\"json\"}", "a=query", CRUST_BODY);
	ck_assert_str_eq(crust_param(&p, "a"), "query");
	ck_assert_str_eq(crust_param(&p, "b"), "json");
	read_as(FORM, "a=form", "a=query&b=query", CRUST_BODY);
	ck_assert_str_eq(crust_param(&p, "a"), "form");
	ck_assert_str_eq(crust_param(&p, "b"), "query");
	read_as(JSON, "{\"a\":\"json\"}", "b=query", CRUST_QUERY);
	ck_assert_ptr_null(crust_param(&p, "a"));
	ck_assert_str_eq(crust_param(&p, "b"), "query");
}
END_TEST

START_TEST(of_two_spellings_of_a_list_the_one_with_brackets_counts)
{
	uint64_t *ids;

	read_as(NULL, "", "c=1&c%5B%5D=2&c[]=3", CRUST_QUERY);
	ck_assert_uint_eq(crust_param_ids(&p, "c", &ids), 2);
	ck_assert_uint_eq(ids[0], 2);
	ck_assert_uint_eq(ids[1], 3);
	read_as(NULL, "", "c=1", CRUST_QUERY);
	ck_assert_uint_eq(crust_param_ids(&p, "c", &ids), 1);
	read_as(JSON, "{\"c\":\"9\"}", "", CRUST_BODY);
	ck_assert_uint_eq(crust_param_ids(&p, "c", &ids), 1);
	ck_assert_uint_eq(ids[0], 9);
}
END_TEST

START_TEST(what_is_no_number_is_zero_and_what_is_no_truth_is_false)
{
	read_as(NULL, "", "a=undefined&b=&c=-1&d=18446744073709551615&e=1.5&f=007&t=true&u=no&v=on", CRUST_QUERY);
	ck_assert_uint_eq(crust_param_id(&p, "a"), 0);
	ck_assert_uint_eq(crust_param_id(&p, "b"), 0);
	ck_assert_uint_eq(crust_param_id(&p, "c"), 0);
	ck_assert_uint_eq(crust_param_id(&p, "d"), 0);
	ck_assert_uint_eq(crust_param_id(&p, "e"), 0);
	ck_assert_uint_eq(crust_param_id(&p, "f"), 7);
	ck_assert(crust_param_truth(&p, "t"));
	ck_assert(!crust_param_truth(&p, "u"));
	ck_assert(!crust_param_truth(&p, "v"));
	ck_assert(!crust_param_truth(&p, "w"));
}
END_TEST

START_TEST(an_empty_body_says_nothing_and_a_wrong_one_is_an_error)
{
	static const char *const bad[] = {"{", "[]", "{\"a\":1}x", "\xff", "nul", "null null"};

	static const char *const nothing[] = {"", " \r\n", "null", "\tnull ", "{}"};

	for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++) {
		read_as(JSON, nothing[i], "", CRUST_BODY);
		ck_assert_ptr_null(crust_param(&p, "a"));
		ck_assert_int_eq(crust_params_end(&p), STATUS_OK);
	}
	read_as(JSON, "{\"a\":null}", "", CRUST_BODY);
	ck_assert_ptr_null(crust_param(&p, "a"));
	ck_assert_int_eq(crust_params_end(&p), STATUS_OK);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		read_as(JSON, bad[i], "", CRUST_BODY);
		ck_assert_int_eq(crust_params_end(&p), STATUS_MALFORMED);
		ck_assert_ptr_nonnull(p.detail);
	}
	read_as(MULTIPART, "--b b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1", "", CRUST_BODY);
	ck_assert_int_eq(crust_params_end(&p), STATUS_MALFORMED);
}
END_TEST

START_TEST(a_json_value_of_a_wrong_type_is_an_error)
{
	const char *const *list;

	read_as(JSON, "{\"a\":1,\"b\":{},\"c\":[1]}", "", CRUST_BODY);
	ck_assert_ptr_null(crust_param(&p, "a"));
	ck_assert_int_eq(crust_params_end(&p), STATUS_MALFORMED);
	ck_assert_str_eq(p.detail, "a must be a string");
	read_as(JSON, "{\"a\":1,\"b\":{},\"c\":[1]}", "", CRUST_BODY);
	crust_param_id(&p, "b");
	ck_assert_int_eq(crust_params_end(&p), STATUS_MALFORMED);
	read_as(JSON, "{\"a\":1,\"b\":{},\"c\":[1]}", "", CRUST_BODY);
	crust_param_list(&p, "c", &list);
	ck_assert_int_eq(crust_params_end(&p), STATUS_MALFORMED);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {every_kind_of_body_says_the_same, a_form_wins_over_the_query_and_both_over_json,
		of_two_spellings_of_a_list_the_one_with_brackets_counts,
		what_is_no_number_is_zero_and_what_is_no_truth_is_false,
		an_empty_body_says_nothing_and_a_wrong_one_is_an_error, a_json_value_of_a_wrong_type_is_an_error};
	Suite *suite = suite_create("crust params");
	TCase *tcase = tcase_create("crust params");

	tcase_set_timeout(tcase, TEST_TIMEOUT_S);
	tcase_add_checked_fixture(tcase, setup, teardown);
	for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
