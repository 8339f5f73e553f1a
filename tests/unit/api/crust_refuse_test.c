/* What crust says to refusals, and around every answer. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "services/api/dialects/crust/crust.h"
#include "tests/unit/main.h"

static struct http_request rq;
static struct http_response rs;
static struct exchange x;

static void begin(const char *method, const char *path, const struct http_header *headers, size_t count)
{
	struct arena *mem = arena_create();

	rq = (struct http_request){
		.mem = mem, .method = method, .path = path, .query = "", .body = "", .headers = headers, .header_count = count};
	rs = (struct http_response){0};
	x = (struct exchange){.mem = mem, .rq = &rq, .rs = &rs, .mount = &crust_mount, .trace = "0123abcd"};
	router_match(crust_mount.routes, crust_mount.route_count, mem, method, path, &x.match, &x.allow);
}

static const char *error_text(void)
{
	json_t *o = json_loadb(rs.body, rs.body_length, 0, NULL);

	ck_assert_ptr_nonnull(o);
	const char *text = arena_strdup(
		x.mem, json_string_value(json_object_get(json_object_get(o, "error"), "message")));
	json_decref(o);
	return text;
}

static const struct {
	const char *method, *path;
	enum status status;
	const char *why, *field, *detail;
	int code;
	const char *text;
} refusals[] = {
	{"GET", "/channels/1", STATUS_UNAUTHENTICATED, NULL, NULL, NULL, 200, "Unauthorized"},
	{"GET", "/channels/1", STATUS_NOT_FOUND, NULL, NULL, NULL, 200, "messaging.repository.ChannelNotFound"},
	{"GET", "/channels/0", STATUS_NOT_FOUND, "id", NULL, NULL, 200, "messaging.service.InvalidID"},
	{"PUT", "/channels/1/messages/2", STATUS_NOT_FOUND, NULL, NULL, NULL, 200, "messaging.repository.MessageNotFound"},
	{"PUT", "/channels/1", STATUS_FORBIDDEN, "update_channel", NULL, NULL, 200, "messaging.service.NoPermissions"},
	{"PUT", "/channels/1", STATUS_FORBIDDEN, "manage_roles", NULL, NULL, 200, "messaging.service.NoGrantPermissions"},
	{"PUT", "/channels/1", STATUS_MALFORMED, NULL, NULL, "not JSON", 200, "error parsing http request body: not JSON"},
	{"POST", "/channels/", STATUS_FIELD_INVALID, NULL, NULL, "invalid channel type", 200, "invalid channel type"},
	{"POST", "/channels/1/messages/2/pin", STATUS_FORBIDDEN, NULL, NULL, NULL, 200,
		"can not flag/un-flag message: messaging.service.NoPermissions"},
	{"GET", "/channels/1/messages/mark-as-read", STATUS_NOT_FOUND, NULL, "message_id", NULL, 200,
		"unable to mark as read: last read message not in the same channel"},
	{"GET", "/channels/1/messages/mark-as-read", STATUS_NOT_FOUND, NULL, "root_id", NULL, 200,
		"unable to mark as read: invalid thread"},
	{"POST", "/channels/1/messages/", STATUS_RATE_LIMITED, NULL, NULL, NULL, 429, "too many requests, try again later"},
	{"POST", "/channels/1/messages/", STATUS_BUSY, NULL, NULL, NULL, 503, "the service is busy, try again"},
};

START_TEST(application_errors_are_envelopes_with_http_200)
{
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		begin(refusals[i].method, refusals[i].path, NULL, 0);
		ck_assert_msg(x.match.route != NULL, "%s", refusals[i].path);
		crust_refuse(&x, exchange_fail(&x, refusals[i].status, refusals[i].why, refusals[i].field, refusals[i].detail));
		ck_assert_int_eq(rs.code, refusals[i].code);
		ck_assert_str_eq(rs.content_type, "application/json");
		ck_assert_str_eq(error_text(), refusals[i].text);
		arena_destroy(x.mem);
	}
}
END_TEST

START_TEST(what_is_no_application_error_is_plain)
{
	static const struct {
		enum status status;
		int code;
		const char *body;
	} rows[] = {{STATUS_NO_ROUTE, 404, "404 page not found\n"}, {STATUS_WRONG_METHOD, 405, NULL},
		{STATUS_NO_ACCESS, 403, "Forbidden"}, {STATUS_INTERNAL, 500, NULL}};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		begin("GET", "/nothing", NULL, 0);
		crust_refuse(&x, exchange_fail(&x, rows[i].status, NULL, NULL, NULL));
		ck_assert_int_eq(rs.code, rows[i].code);
		if (rows[i].body == NULL)
			ck_assert_uint_eq(rs.body_length, 0);
		else
			ck_assert_str_eq(rs.body, rows[i].body);
		arena_destroy(x.mem);
	}
}
END_TEST

START_TEST(a_token_is_looked_for_in_the_query_then_the_header_then_the_cookie)
{
	static const struct http_header all[] = {{"Cookie", "a=b; jwt=cookie; c=d"}, {"Authorization", "bearer header"}};

	begin("GET", "/channels/", all, 2);
	rq.query = "jwt=query";
	ck_assert_str_eq(crust_token(&x), "query");
	rq.query = "jwt=";
	ck_assert_str_eq(crust_token(&x), "header");
	rq.header_count = 1;
	ck_assert_str_eq(crust_token(&x), "cookie");
	rq.header_count = 0;
	ck_assert_ptr_null(crust_token(&x));
	arena_destroy(x.mem);
}
END_TEST

START_TEST(every_answer_has_a_request_id_and_is_not_to_be_kept)
{
	begin("GET", "/channels/", NULL, 0);
	crust_ok(&x);
	crust_decorate(&x);
	ck_assert_int_eq(rs.code, 200);
	ck_assert_str_eq(rs.body, "{\"success\":{\"message\":\"OK\"}}");
	ck_assert_uint_eq(rs.header_count, 2);
	ck_assert_str_eq(rs.headers[0].name, "X-Request-Id");
	ck_assert_str_eq(rs.headers[0].value, "0123abcd");
	arena_destroy(x.mem);
}
END_TEST

START_TEST(no_two_rows_of_crust_are_the_same)
{
	for (size_t i = 0; i < crust_mount.route_count; i++)
		for (size_t k = 0; k < i; k++) {
			const struct route *a = &crust_mount.routes[i], *b = &crust_mount.routes[k];
			ck_assert_msg(strcmp(a->method, b->method) != 0 || strcmp(a->path, b->path) != 0,
				"%s %s twice", a->method, a->path);
		}
}
END_TEST

/* As it stands in the page: methods of one path may share a row. */
START_TEST(every_row_stands_in_the_page)
{
	FILE *in = fopen(CRUST_PAGE, "r");
	static char page[65536];

	ck_assert_ptr_nonnull(in);
	page[fread(page, 1, sizeof page - 1, in)] = '\0';
	fclose(in);
	for (size_t i = 0; i < crust_mount.route_count; i++) {
		char path[256];
		bool found = false;
		snprintf(path, sizeof path, " | `%s` | ", crust_mount.routes[i].path);
		for (const char *at = strstr(page, path); at != NULL && !found; at = strstr(at + 1, path)) {
			const char *line = at;
			while (line > page && line[-1] != '\n')
				line--;
			const char *method = strstr(line, crust_mount.routes[i].method);
			found = method != NULL && method < at;
		}
		ck_assert_msg(found, "%s %s is not in docs/dialects/crust.md", crust_mount.routes[i].method,
			crust_mount.routes[i].path);
	}
}
END_TEST

TESTS("crust refuse", application_errors_are_envelopes_with_http_200, what_is_no_application_error_is_plain,
	a_token_is_looked_for_in_the_query_then_the_header_then_the_cookie,
	every_answer_has_a_request_id_and_is_not_to_be_kept, every_row_stands_in_the_page, no_two_rows_of_crust_are_the_same)
