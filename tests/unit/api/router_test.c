#include <stdio.h>
#include <string.h>

#include "services/api/dialects/house/house.h"
#include "tests/unit/main.h"

static enum status nothing(struct exchange *x)
{
	return STATUS_OK;
}

static const struct route table[] = {
	{"GET", "/things", AUTH_NONE, SCOPE_NONE, COST_READ, nothing, "list"},
	{"POST", "/things", AUTH_NONE, SCOPE_NONE, COST_WRITE, nothing, "create"},
	{"GET", "/things/{thing}", AUTH_NONE, SCOPE_NONE, COST_READ, nothing, "get"},
	{"DELETE", "/things/current", AUTH_NONE, SCOPE_NONE, COST_WRITE, nothing, "delete_current"},
	{"DELETE", "/things/{thing}", AUTH_NONE, SCOPE_NONE, COST_WRITE, nothing, "delete"},
	{"PUT", "/things/{thing}/parts/{part}", AUTH_NONE, SCOPE_NONE, COST_WRITE, nothing, "put_part"},
	{"GET", "/things/{thing}/{part}", AUTH_NONE, SCOPE_NONE, COST_READ, nothing, "get_any"},
	{"GET", "/things/{thing}/preview.{ext}", AUTH_NONE, SCOPE_NONE, COST_READ, nothing, "get_preview"},
	{"GET", "/things/{thing}/preview.png", AUTH_NONE, SCOPE_NONE, COST_READ, nothing, "get_png"},
};

static struct arena *mem;

static void setup(void)
{
	mem = arena_create();
}

static void teardown(void)
{
	arena_destroy(mem);
}

static enum status match(
	const char *method, const char *path, struct route_match *out, const char **out_allow)
{
	return router_match(table, sizeof table / sizeof *table, mem, method, path, out, out_allow);
}

START_TEST(a_path_finds_its_row_and_its_parameters)
{
	struct route_match m;
	const char *allow = NULL;

	ck_assert_int_eq(match("PUT", "/things/a%20b/parts/7", &m, &allow), STATUS_OK);
	ck_assert_str_eq(m.route->name, "put_part");
	ck_assert_str_eq(route_param(&m, "thing"), "a b");
	ck_assert_str_eq(route_param(&m, "part"), "7");
	ck_assert_ptr_null(route_param(&m, "par"));
}
END_TEST

START_TEST(an_unknown_path_has_no_route)
{
	struct route_match m;
	const char *allow = NULL;

	ck_assert_int_eq(match("GET", "/nothing", &m, &allow), STATUS_NO_ROUTE);
	ck_assert_int_eq(match("GET", "/things/1/parts/2/3", &m, &allow), STATUS_NO_ROUTE);
	ck_assert_int_eq(match("GET", "/things/", &m, &allow), STATUS_NO_ROUTE);
	ck_assert_int_eq(match("GET", "/things/1/", &m, &allow), STATUS_NO_ROUTE);
	ck_assert_int_eq(match("GET", "", &m, &allow), STATUS_NO_ROUTE);
	ck_assert_int_eq(match("GET", "/", &m, &allow), STATUS_NO_ROUTE);
}
END_TEST

START_TEST(another_method_is_told_which_there_are)
{
	struct route_match m;
	const char *allow = NULL;

	ck_assert_int_eq(match("PATCH", "/things", &m, &allow), STATUS_WRONG_METHOD);
	ck_assert_str_eq(allow, "GET, HEAD, POST, OPTIONS");
}
END_TEST

START_TEST(head_is_answered_by_get)
{
	struct route_match m;
	const char *allow = NULL;

	ck_assert_int_eq(match("HEAD", "/things/1", &m, &allow), STATUS_OK);
	ck_assert_str_eq(m.route->name, "get");
}
END_TEST

START_TEST(a_literal_segment_wins_over_a_parameter)
{
	struct route_match m;
	const char *allow = NULL;

	ck_assert_int_eq(match("DELETE", "/things/current", &m, &allow), STATUS_OK);
	ck_assert_str_eq(m.route->name, "delete_current");
	ck_assert_int_eq(match("DELETE", "/things/other", &m, &allow), STATUS_OK);
	ck_assert_str_eq(m.route->name, "delete");
}
END_TEST

START_TEST(a_segment_may_begin_literally_and_end_in_a_parameter)
{
	struct route_match m;
	const char *allow = NULL;

	ck_assert_int_eq(match("GET", "/things/1/preview.jpg", &m, &allow), STATUS_OK);
	ck_assert_str_eq(m.route->name, "get_preview");
	ck_assert_str_eq(route_param(&m, "ext"), "jpg");
	ck_assert_str_eq(route_param(&m, "thing"), "1");
	ck_assert_int_eq(match("GET", "/things/1/preview.png", &m, &allow), STATUS_OK);
	ck_assert_str_eq(m.route->name, "get_png");
	/* nothing behind the beginning is another segment */
	ck_assert_int_eq(match("GET", "/things/1/preview.", &m, &allow), STATUS_OK);
	ck_assert_str_eq(m.route->name, "get_any");
	ck_assert_int_eq(match("GET", "/things/1/previews", &m, &allow), STATUS_OK);
	ck_assert_str_eq(m.route->name, "get_any");
}
END_TEST

START_TEST(a_segment_that_does_not_decode_names_nothing)
{
	struct route_match m;
	const char *allow = NULL;

	ck_assert_int_eq(match("GET", "/things/%zz", &m, &allow), STATUS_NOT_FOUND);
	ck_assert_int_eq(match("GET", "/things/%00", &m, &allow), STATUS_NOT_FOUND);
	ck_assert_int_eq(match("GET", "/things/%ff", &m, &allow), STATUS_NOT_FOUND);
}
END_TEST

START_TEST(an_encoded_slash_does_not_end_a_segment)
{
	struct route_match m;
	const char *allow = NULL;

	ck_assert_int_eq(match("GET", "/things/a%2Fb", &m, &allow), STATUS_OK);
	ck_assert_str_eq(route_param(&m, "thing"), "a/b");
}
END_TEST

/* ---- the table of house */

START_TEST(no_two_rows_of_house_are_the_same)
{
	for (size_t i = 0; i < house_mount.route_count; i++) {
		for (size_t k = 0; k < i; k++) {
			const struct route *a = &house_mount.routes[i], *b = &house_mount.routes[k];
			ck_assert_msg(strcmp(a->method, b->method) != 0 || strcmp(a->path, b->path) != 0,
				"%s %s twice", a->method, a->path);
		}
	}
}
END_TEST

START_TEST(every_row_of_house_is_found_by_its_own_path)
{
	for (size_t i = 0; i < house_mount.route_count; i++) {
		const struct route *r = &house_mount.routes[i];
		char path[256];
		size_t n = 0;
		for (const char *p = r->path; *p != '\0'; p++) {
			if (*p != '{' && *p != '}')
				path[n++] = *p;
		}
		path[n] = '\0';
		struct route_match m;
		const char *allow = NULL;
		ck_assert_int_eq(router_match(house_mount.routes, house_mount.route_count, mem, r->method,
					 path, &m, &allow),
			STATUS_OK);
		ck_assert_msg(m.route == r, "%s %s finds %s", r->method, r->path, m.route->path);
	}
}
END_TEST

START_TEST(posts_name_the_channel_they_are_counted_for)
{
	for (size_t i = 0; i < house_mount.route_count; i++) {
		const struct route *r = &house_mount.routes[i];
		if (r->cost == COST_POST)
			ck_assert_msg(strstr(r->path, "{channel}") != NULL, "%s", r->path);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_path_finds_its_row_and_its_parameters,
		an_unknown_path_has_no_route,
		another_method_is_told_which_there_are,
		head_is_answered_by_get,
		a_literal_segment_wins_over_a_parameter,
		a_segment_may_begin_literally_and_end_in_a_parameter,
		a_segment_that_does_not_decode_names_nothing,
		an_encoded_slash_does_not_end_a_segment,
		no_two_rows_of_house_are_the_same,
		every_row_of_house_is_found_by_its_own_path,
		posts_name_the_channel_they_are_counted_for,
	};
	Suite *suite = suite_create("router");
	TCase *tcase = tcase_create("router");

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
