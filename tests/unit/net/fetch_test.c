#include <stdlib.h>

#include "common/net/fetch.h"
#include "tests/unit/main.h"
#include "tests/unit/net/receiver.h"

#define PATIENCE_MS 20000

struct world {
	struct arena *mem;
	struct receiver receiver;
	struct network *allowed;
	size_t allowed_count;
};

static void begin(struct world *w, const char *answer, const char *allowed)
{
	const char *bad;

	*w = (struct world){.mem = arena_create(), .receiver = {.answer = answer}};
	ck_assert_int_eq(fetch_init(), STATUS_OK);
	receiver_start(&w->receiver);
	ck_assert_int_eq(networks_parse(w->mem, allowed, &w->allowed, &w->allowed_count, &bad), STATUS_OK);
}

static void end(struct world *w)
{
	receiver_stop(&w->receiver);
	fetch_finish();
	arena_destroy(w->mem);
}

static enum fetch_end fetch(struct world *w, const char *host, int timeout_ms, struct fetch_answer *out)
{
	static const char *const headers[] = {"X-One: 1", NULL};

	return fetch_post(w->mem,
		&(struct fetch_request){.url = arena_printf(w->mem, "http://%s:%d/hook?q=%%20", host, w->receiver.port),
			.content_type = "application/json",
			.body = "{\"text\":\"x\"}",
			.body_length = 12,
			.headers = headers,
			.timeout_ms = timeout_ms,
			.answer_most = 1000,
			.allowed = w->allowed,
			.allowed_count = w->allowed_count},
		out);
}

START_TEST(what_is_posted_arrives_and_what_is_answered_comes_back)
{
	struct fetch_answer got;
	struct world w;

	begin(&w, "HTTP/1.1 201 Created\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n\r\nhello", "127.0.0.1");
	ck_assert_int_eq(fetch(&w, "127.0.0.1", PATIENCE_MS, &got), FETCH_DONE);
	ck_assert_int_eq(got.code, 201);
	ck_assert_str_eq(got.content_type, "text/plain; charset=utf-8");
	ck_assert_str_eq(got.body, "hello");
	ck_assert_uint_eq(got.length, 5);
	ck_assert_ptr_nonnull(strstr(w.receiver.request, "POST /hook?q=%20 HTTP/1.1\r\n"));
	ck_assert_ptr_nonnull(strstr(w.receiver.request, "Content-Type: application/json\r\n"));
	ck_assert_ptr_nonnull(strstr(w.receiver.request, "X-One: 1\r\n"));
	ck_assert_ptr_nonnull(strstr(w.receiver.request, "\r\n\r\n{\"text\":\"x\"}"));
	end(&w);
}
END_TEST

START_TEST(nobody_is_asked_who_may_not_be_called_however_he_is_spelled)
{
	static const char *const hosts[] = {"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "0x7f000001", "2130706433", "0.0.0.0",
		"[::]", "0177.0.0.1"};
	struct fetch_answer got;
	struct world w;

	begin(&w, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "192.0.2.7");
	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
		ck_assert_msg(fetch(&w, hosts[i], PATIENCE_MS, &got) == FETCH_REFUSED, "%s", hosts[i]);
	ck_assert_int_eq(w.receiver.asked, 0);
	end(&w);
}
END_TEST

START_TEST(a_name_is_called_at_the_address_that_it_was_checked_with)
{
	struct fetch_answer got;
	struct world w;

	begin(&w, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "127.0.0.1");
	ck_assert_int_eq(fetch(&w, "localhost", PATIENCE_MS, &got), FETCH_DONE);
	ck_assert_int_eq(w.receiver.asked, 1);
	end(&w);
}
END_TEST

START_TEST(a_redirect_is_an_answer_and_is_not_followed)
{
	struct fetch_answer got;
	struct world w;

	begin(&w, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n", "127.0.0.1");
	ck_assert_int_eq(fetch(&w, "127.0.0.1", PATIENCE_MS, &got), FETCH_DONE);
	ck_assert_int_eq(got.code, 302);
	ck_assert_int_eq(w.receiver.asked, 1);
	end(&w);
}
END_TEST

START_TEST(an_answer_is_bounded_whether_it_says_its_length_or_not)
{
	char *long_one = malloc(4096);
	struct fetch_answer got;
	struct world w;

	memset(long_one, 'x', 4095);
	long_one[4095] = '\0';
	memcpy(long_one, "HTTP/1.1 200 OK\r\n\r\n", 19);
	begin(&w, long_one, "127.0.0.1");
	ck_assert_int_eq(fetch(&w, "127.0.0.1", PATIENCE_MS, &got), FETCH_TOO_LARGE);
	w.receiver.answer = "HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n";
	ck_assert_int_eq(fetch(&w, "127.0.0.1", PATIENCE_MS, &got), FETCH_TOO_LARGE);
	end(&w);
	free(long_one);
}
END_TEST

START_TEST(who_does_not_answer_is_not_waited_for_and_who_breaks_off_is_not_believed)
{
	struct fetch_answer got;
	struct world w;

	begin(&w, NULL, "127.0.0.1");
	ck_assert_int_eq(fetch(&w, "127.0.0.1", 200, &got), FETCH_TIMEOUT);
	w.receiver.answer = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
	ck_assert_int_eq(fetch(&w, "127.0.0.1", PATIENCE_MS, &got), FETCH_UNREACHABLE);
	w.receiver.answer = "nonsense\r\n\r\n";
	ck_assert_int_eq(fetch(&w, "127.0.0.1", PATIENCE_MS, &got), FETCH_UNREACHABLE);
	end(&w);
}
END_TEST

START_TEST(a_request_that_is_stopped_ends)
{
	atomic_bool stop = true;
	struct fetch_answer got;
	struct world w;

	begin(&w, NULL, "127.0.0.1");
	ck_assert_int_eq(fetch_post(w.mem,
				 &(struct fetch_request){.url = arena_printf(w.mem, "http://127.0.0.1:%d/", w.receiver.port),
					 .content_type = "text/plain",
					 .body = "x",
					 .body_length = 1,
					 .timeout_ms = PATIENCE_MS,
					 .answer_most = 100,
					 .allowed = w.allowed,
					 .allowed_count = w.allowed_count,
					 .stop = &stop},
				 &got),
		FETCH_STOPPED);
	end(&w);
}
END_TEST

START_TEST(the_environment_names_no_proxy)
{
	struct fetch_answer got;
	struct world w;

	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	begin(&w, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "127.0.0.1");
	ck_assert_int_eq(fetch(&w, "127.0.0.1", PATIENCE_MS, &got), FETCH_DONE);
	end(&w);
}
END_TEST

START_TEST(a_url_is_http_with_a_host_and_nothing_secret_or_open_before_the_path)
{
	static const char *const good[] = {"http://example.org", "https://example.org/hook?q=%s", "HTTPS://example.org:8443/%s/x#y", "http://[2001:db8::1]/x"};
	static const char *const bad[] = {"", "example.org", "ftp://example.org", "file:///etc/passwd", "gopher://x", "http://", "http:///x",
		"http://user@example.org/", "http://user:pass@example.org/", "http://%s.example.org/", "http://example.org%2f@x/", "http://exa mple.org",
		"http://example.org/\n", "http://example.org:99999/", "http://example.org/ä", "javascript:alert(1)", "//example.org/x"};

	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		ck_assert_msg(fetch_url_fits(good[i], FETCH_ANY), "%s", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(!fetch_url_fits(bad[i], FETCH_ANY), "%s", bad[i]);
	ck_assert(!fetch_url_fits(NULL, FETCH_ANY));
	ck_assert(!fetch_url_fits("http://example.org/x.png", FETCH_HTTPS_ONLY));
	ck_assert(fetch_url_fits("https://example.org/x.png", FETCH_HTTPS_ONLY));
}
END_TEST

START_TEST(text_in_a_query_is_escaped)
{
	struct arena *mem = arena_create();

	ck_assert_str_eq(fetch_query_escaped(mem, "a b&c=%s/ä~"), "a+b%26c%3D%25s%2F%C3%A4~");
	ck_assert_str_eq(fetch_query_escaped(mem, ""), "");
	arena_destroy(mem);
}
END_TEST

TESTS("fetch", what_is_posted_arrives_and_what_is_answered_comes_back, nobody_is_asked_who_may_not_be_called_however_he_is_spelled,
	a_name_is_called_at_the_address_that_it_was_checked_with, a_redirect_is_an_answer_and_is_not_followed,
	an_answer_is_bounded_whether_it_says_its_length_or_not, who_does_not_answer_is_not_waited_for_and_who_breaks_off_is_not_believed,
	a_request_that_is_stopped_ends, the_environment_names_no_proxy, a_url_is_http_with_a_host_and_nothing_secret_or_open_before_the_path, text_in_a_query_is_escaped)
