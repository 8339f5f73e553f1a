/* What house writes around its objects: problems, their headers, pages of lists, and what it reads of a
 * query. */
#include <jansson.h>
#include <string.h>

#include "common/base/config.h"
#include "services/api/dialects/house/house.h"
#include "services/api/serve.h"
#include "services/api/tokens.h"
#include "tests/unit/main.h"
#undef json_is_null

static struct fixture {
	struct arena *mem;
	struct http_request rq;
	struct http_response rs;
	struct exchange x;
} fx;

static void setup(void)
{
	fx = (struct fixture){.mem = arena_create()};
	fx.rq = (struct http_request){
		.mem = fx.mem, .method = "GET", .path = "/v1/users", .query = "", .body = ""};
	fx.x = (struct exchange){
		.mem = fx.mem, .rq = &fx.rq, .rs = &fx.rs, .mount = &house_mount, .trace = "0123abcd"};
}

static void teardown(void)
{
	arena_destroy(fx.mem);
}

static const char *header(const char *name)
{
	for (size_t i = 0; i < fx.rs.header_count; i++) {
		if (strcmp(fx.rs.headers[i].name, name) == 0)
			return fx.rs.headers[i].value;
	}
	return NULL;
}

static json_t *body(void)
{
	json_t *object = json_loadb(fx.rs.body, fx.rs.body_length, 0, NULL);

	ck_assert_ptr_nonnull(object);
	return object;
}

static const char *text(json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

START_TEST(a_refusal_is_a_problem_with_its_code_and_trace)
{
	house_refuse(&fx.x, exchange_fail(&fx.x, STATUS_FORBIDDEN, "ban_members", NULL, NULL));
	json_t *o = body();
	ck_assert_int_eq(fx.rs.code, 403);
	ck_assert_str_eq(fx.rs.content_type, "application/problem+json");
	ck_assert_str_eq(text(o, "code"), "forbidden");
	ck_assert_str_eq(text(o, "why"), "ban_members");
	ck_assert_str_eq(text(o, "trace_id"), "0123abcd");
	json_decref(o);
}
END_TEST

START_TEST(a_field_is_called_as_house_calls_it)
{
	house_refuse(&fx.x, exchange_fail(&fx.x, STATUS_FIELD_INVALID, NULL, "icon", NULL));
	json_t *o = body();
	ck_assert_int_eq(fx.rs.code, 422);
	ck_assert_str_eq(text(o, "field"), "icon_url");
	json_decref(o);
}
END_TEST

START_TEST(another_body_under_the_same_name_blames_the_name)
{
	fx.x.key_field = "nonce";
	house_refuse(&fx.x, exchange_fail(&fx.x, STATUS_FIELD_INVALID, "other_body", NULL, NULL));
	json_t *o = body();
	ck_assert_str_eq(text(o, "field"), "nonce");
	json_decref(o);
}
END_TEST

START_TEST(what_is_not_to_be_seen_does_not_say_why)
{
	house_refuse(&fx.x, exchange_fail(&fx.x, STATUS_NOT_FOUND, "channel_ban", NULL, NULL));
	json_t *o = body();
	ck_assert_ptr_null(json_object_get(o, "why"));
	json_decref(o);
}
END_TEST

START_TEST(unauthenticated_says_how_to_authenticate)
{
	house_refuse(&fx.x, exchange_fail(&fx.x, STATUS_UNAUTHENTICATED, NULL, NULL, NULL));
	ck_assert_int_eq(fx.rs.code, 401);
	ck_assert_ptr_nonnull(header("WWW-Authenticate"));
}
END_TEST

START_TEST(a_limit_says_how_long_to_wait_in_whole_seconds)
{
	exchange_fail(&fx.x, STATUS_RATE_LIMITED, NULL, NULL, NULL);
	fx.x.outcome.retry_after_ms = 1001;
	fx.x.limit = (struct limit_state){.limited = true, .limit = 5, .remaining = 0, .reset_ms = 4001};
	house_refuse(&fx.x, STATUS_RATE_LIMITED);
	house_decorate(&fx.x);
	ck_assert_int_eq(fx.rs.code, 429);
	ck_assert_str_eq(header("Retry-After"), "2");
	ck_assert_str_eq(header("RateLimit-Limit"), "5");
	ck_assert_str_eq(header("RateLimit-Remaining"), "0");
	ck_assert_str_eq(header("RateLimit-Reset"), "5");
	ck_assert_str_eq(header("X-Request-Id"), "0123abcd");
}
END_TEST

START_TEST(busy_asks_to_come_back_after_a_second)
{
	house_refuse(&fx.x, exchange_fail(&fx.x, STATUS_BUSY, NULL, NULL, NULL));
	ck_assert_int_eq(fx.rs.code, 503);
	ck_assert_str_eq(header("Retry-After"), "1");
}
END_TEST

/* ---- pages */

static void write_id(struct json_writer *w, const void *items, size_t i)
{
	jw_uuid(w, ((const uint64_t *)items)[i]);
}

static uint64_t id_at(const void *items, size_t i)
{
	return ((const uint64_t *)items)[i];
}

static const char *next_of(const char *query, bool more, bool newest_first)
{
	static const uint64_t items[] = {0x1000, 0x1001};
	struct house_page page;
	const char *next;

	fx.rq.query = query;
	fx.rs = (struct http_response){0};
	ck_assert_int_eq(house_page(&fx.x, &page), STATUS_OK);
	house_finish_list(&fx.x, &page, &(struct house_list){2, more, newest_first, items, write_id, id_at});
	json_t *o = body();
	ck_assert_uint_eq(json_array_size(json_object_get(o, "items")), 2);
	next = arena_strdup(fx.mem, text(o, "next"));
	json_decref(o);
	return next;
}
#define LAST "00000000-0000-8100-8400-000000000000" /* 0x1001 */

START_TEST(the_last_page_has_no_next)
{
	ck_assert_ptr_null(next_of("limit=2", false, true));
}
END_TEST

START_TEST(the_next_page_keeps_the_other_parameters)
{
	ck_assert_str_eq(
		next_of("query=a%26b&limit=2", true, false), "/v1/users?query=a%26b&limit=2&after=" LAST);
}
END_TEST

START_TEST(a_list_that_is_newest_first_goes_on_before_its_last_item)
{
	ck_assert_str_eq(next_of("", true, true), "/v1/users?before=" LAST);
}
END_TEST

START_TEST(a_list_goes_on_in_the_direction_that_was_asked_for)
{
	ck_assert_str_eq(
		next_of("after=00000000-0000-8000-8400-000000000000", true, true), "/v1/users?after=" LAST);
	ck_assert_str_eq(next_of("before=00000000-0000-8000-8400-000000000000", true, false),
		"/v1/users?before=" LAST);
}
END_TEST

static const char *fault_of(const char *query)
{
	struct house_page page;

	fx.rq.query = query;
	fx.x.outcome = (struct rpc_outcome){0};
	ck_assert_int_eq(house_page(&fx.x, &page), STATUS_FIELD_INVALID);
	return fx.x.outcome.field;
}

START_TEST(a_page_names_the_parameter_that_is_wrong)
{
	ck_assert_str_eq(fault_of("limit=0"), "limit");
	ck_assert_str_eq(fault_of("limit=101"), "limit");
	ck_assert_str_eq(fault_of("limit=-1"), "limit");
	ck_assert_str_eq(fault_of("limit=ten"), "limit");
	ck_assert_str_eq(fault_of("limit="), "limit");
	ck_assert_str_eq(fault_of("before=1"), "before");
	ck_assert_str_eq(fault_of("after=%zz"), "after");
	ck_assert_str_eq(fault_of("before=00000000-0000-8000-8400-000000000000&after=00000000-0000-8000-8400-"
				  "000000000000"),
		"after");
}
END_TEST

START_TEST(a_body_may_say_its_charset)
{
	ck_assert_uint_eq(serve_body_kind("application/json"), BODY_JSON);
	ck_assert_uint_eq(serve_body_kind("Application/JSON; charset=utf-8"), BODY_JSON);
	ck_assert_uint_eq(serve_body_kind(NULL), BODY_JSON);
	ck_assert_uint_eq(serve_body_kind("application/x-www-form-urlencoded"), BODY_FORM);
	ck_assert_uint_eq(serve_body_kind("multipart/form-data; boundary=x"), BODY_MULTIPART);
	ck_assert_uint_eq(serve_body_kind("application/json-patch+json"), 0);
	ck_assert_uint_eq(serve_body_kind("text/plain"), 0);
	ck_assert_uint_eq(serve_body_kind(""), 0);
}
END_TEST

START_TEST(an_owner_holds_no_more_than_his_share_of_the_workers)
{
	struct api api = {.owner_share = 2};

	fx.x.api = &api;
	ck_assert(exchange_enter(&fx.x, OWNER_messaging, 0, false));
	ck_assert(exchange_enter(&fx.x, OWNER_messaging, 0, false));
	ck_assert(!exchange_enter(&fx.x, OWNER_messaging, 0, false));
	ck_assert_int_eq(fx.x.outcome.status, STATUS_BUSY);
	ck_assert(exchange_enter(&fx.x, OWNER_moderation, 0, false));
	exchange_leave(&fx.x, OWNER_messaging, STATUS_OK);
	ck_assert(exchange_enter(&fx.x, OWNER_messaging, 0, false));
}
END_TEST

START_TEST(only_writing_calls_carry_the_request_id)
{
	ck_assert_ptr_null(exchange_context(&fx.x, false)->request_id);
	ck_assert_ptr_eq(exchange_context(&fx.x, true)->request_id, fx.x.request_id);
	ck_assert_ptr_null(fx.x.call.body_hash);
	fx.x.has_body_hash = true;
	ck_assert_ptr_eq(exchange_context(&fx.x, true)->body_hash, fx.x.body_hash);
}
END_TEST

/* ---- requests that no owner is needed for, all the way through */

static const struct mount *const mounts[] = {&house_mount, NULL};

static void serve(const char *method, const char *path, const char *body_text,
	const struct http_header *headers, size_t count)
{
	static struct config config;
	struct api api = {.config = &config, .mounts = mounts, .peers = 1, .owner_share = 1};

	api.limits = limits_create(64);
	ck_assert_int_eq(tokens_create(NULL, 1, &api.tokens), STATUS_OK); /* without a database: nothing is looked up */
	fx.rq.method = method;
	fx.rq.path = path;
	fx.rq.body = body_text;
	fx.rq.body_length = strlen(body_text);
	fx.rq.headers = headers;
	fx.rq.header_count = count;
	fx.rq.remote = "192.0.2.1";
	fx.rs = (struct http_response){0};
	serve_request(&api, &fx.rq, &fx.rs);
	limits_destroy(api.limits);
	tokens_destroy(api.tokens);
}

static void serve_is(const char *method, const char *path, int code, const char *wire)
{
	serve(method, path, "", NULL, 0);
	json_t *o = body();
	ck_assert_int_eq(fx.rs.code, code);
	ck_assert_str_eq(text(o, "code"), wire);
	ck_assert_str_eq(text(o, "trace_id"), header("X-Request-Id"));
	json_decref(o);
}

START_TEST(an_unknown_path_is_a_problem_too)
{
	serve_is("GET", "/v1/nothing", 404, "no_route");
	serve_is("GET", "/elsewhere", 404, "no_route");
	serve_is("GET", "/v1x/me", 404, "no_route");
}
END_TEST

START_TEST(a_wrong_method_says_what_is_allowed)
{
	serve_is("PUT", "/v1/me", 405, "wrong_method");
	ck_assert_str_eq(header("Allow"), "GET, HEAD, PATCH, DELETE, OPTIONS");
}
END_TEST

START_TEST(options_lists_the_methods)
{
	serve("OPTIONS", "/v1/me", "", NULL, 0);
	ck_assert_int_eq(fx.rs.code, 204);
	ck_assert_str_eq(header("Allow"), "GET, HEAD, PATCH, DELETE, OPTIONS");
}
END_TEST

START_TEST(no_token_is_unauthenticated)
{
	serve_is("GET", "/v1/me", 401, "unauthenticated");
}
END_TEST

START_TEST(a_token_of_another_shape_is_not_even_looked_up)
{
	static const struct http_header headers[] = {{"Authorization", "Bearer not-one-of-ours"}};

	serve("GET", "/v1/me", "", headers, 1);
	ck_assert_int_eq(fx.rs.code, 401);
}
END_TEST

START_TEST(a_body_of_another_type_is_refused)
{
	static const struct http_header headers[] = {{"Content-Type", "text/plain"}};

	serve("POST", "/v1/accounts", "username=x", headers, 1);
	ck_assert_int_eq(fx.rs.code, 415);
}
END_TEST

START_TEST(a_body_over_the_bound_is_refused)
{
	fx.rq.body_too_large = true;
	serve_is("POST", "/v1/accounts", 413, "too_large");
}
END_TEST

START_TEST(an_unknown_field_is_named)
{
	serve("POST", "/v1/accounts", "{\"username\":\"alice\",\"password\":\"0123456789\",\"colour\":1}",
		NULL, 0);
	json_t *o = body();
	ck_assert_int_eq(fx.rs.code, 422);
	ck_assert_str_eq(text(o, "field"), "colour");
	json_decref(o);
}
END_TEST

START_TEST(a_username_has_its_alphabet)
{
	serve("POST", "/v1/accounts", "{\"username\":\"Alice\",\"password\":\"0123456789\"}", NULL, 0);
	json_t *o = body();
	ck_assert_int_eq(fx.rs.code, 422);
	ck_assert_str_eq(text(o, "field"), "username");
	json_decref(o);
}
END_TEST

START_TEST(what_is_not_json_is_malformed)
{
	serve("POST", "/v1/sessions", "{", NULL, 0);
	ck_assert_int_eq(fx.rs.code, 400);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_refusal_is_a_problem_with_its_code_and_trace,
		a_field_is_called_as_house_calls_it,
		another_body_under_the_same_name_blames_the_name,
		what_is_not_to_be_seen_does_not_say_why,
		unauthenticated_says_how_to_authenticate,
		a_limit_says_how_long_to_wait_in_whole_seconds,
		busy_asks_to_come_back_after_a_second,
		the_last_page_has_no_next,
		the_next_page_keeps_the_other_parameters,
		a_list_that_is_newest_first_goes_on_before_its_last_item,
		a_list_goes_on_in_the_direction_that_was_asked_for,
		a_page_names_the_parameter_that_is_wrong,
		a_body_may_say_its_charset,
		an_owner_holds_no_more_than_his_share_of_the_workers,
		only_writing_calls_carry_the_request_id,
		an_unknown_path_is_a_problem_too,
		a_wrong_method_says_what_is_allowed,
		options_lists_the_methods,
		no_token_is_unauthenticated,
		a_token_of_another_shape_is_not_even_looked_up,
		a_body_of_another_type_is_refused,
		a_body_over_the_bound_is_refused,
		an_unknown_field_is_named,
		a_username_has_its_alphabet,
		what_is_not_json_is_malformed,
	};
	Suite *suite = suite_create("house rest");
	TCase *tcase = tcase_create("house rest");

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
