/* Each call of libcurl that can fail does so once: nobody is asked without every precaution being set, nothing leaks, and the next request is
 * right. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/net/fetch.h"
#include "tests/unit/faults/called.h"
#include "tests/unit/faults/failing.h"
#include "tests/unit/main.h"
#include "tests/unit/net/receiver.h"

#define CALLS_MOST 64

#define FAILS(type, function, failure, parameters, arguments)                                                  \
	type __real_##function parameters;                                                                     \
	type __wrap_##function parameters;                                                                     \
	type __wrap_##function parameters                                                                      \
	{                                                                                                      \
		return fails_now(#function) ? (failure) : __real_##function arguments;                         \
	}
#define CANNOT(function)
#include "tests/unit/faults/curl.tbl.h"
#undef FAILS
#undef CANNOT

static const char *const functions[] = {
#define FAILS(type, function, failure, parameters, arguments) #function,
#define CANNOT(function)
#include "tests/unit/faults/curl.tbl.h"
#undef FAILS
#undef CANNOT
};

/* As a process does: begins, asks once, ends. Did all of it go well? */
static bool use(struct receiver *receiver)
{
	struct arena *mem = arena_create();
	struct network *allowed;
	size_t count;
	const char *bad;
	struct fetch_answer got = {0};
	bool fine = fetch_init() == STATUS_OK;

	if (fine) {
		ck_assert_int_eq(networks_parse(mem, "127.0.0.1", &allowed, &count, &bad), STATUS_OK);
		fine = fetch_post(mem,
			       &(struct fetch_request){.url = arena_printf(mem, "http://127.0.0.1:%d/", receiver->port),
				       .content_type = "text/plain",
				       .body = "x",
				       .body_length = 1,
				       .timeout_ms = 20000,
				       .answer_most = 100,
				       .allowed = allowed,
				       .allowed_count = count},
			       &got) == FETCH_DONE &&
		       got.code == 200;
		fetch_finish();
	}
	arena_destroy(mem);
	return fine;
}

START_TEST(whichever_call_fails_the_request_does_and_the_next_is_right)
{
	struct receiver receiver = {.answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"};

	receiver_start(&receiver);
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
		int n = 1;
		for (bool failed = true; failed && n <= CALLS_MOST; n++) {
			arm(functions[i], n);
			bool fine = use(&receiver);
			failed = disarm();
			ck_assert_msg(fine != failed, "%s, call %d", functions[i], n);
		}
		ck_assert_msg(n > 2, "%s never failed", functions[i]);
	}
	ck_assert(use(&receiver));
	receiver_stop(&receiver);
}
END_TEST

static const char *const table[] = {
#define FAILS(type, function, failure, parameters, arguments) #function,
#define CANNOT(function) #function,
#include "tests/unit/faults/curl.tbl.h"
#undef FAILS
#undef CANNOT
};

static bool is_of_curl(const char *function)
{
	return strncmp(function, "curl_", 5) == 0;
}

START_TEST(the_table_has_every_function_that_is_called)
{
	check_called("nm -u " NET_LIBRARY, is_of_curl, table, sizeof table / sizeof *table, "curl.tbl.h");
}
END_TEST

TESTS("faults curl", whichever_call_fails_the_request_does_and_the_next_is_right, the_table_has_every_function_that_is_called)
