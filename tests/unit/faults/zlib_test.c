/* Each call of zlib that can fail does so once: an event goes out as it is, a message is refused, nothing leaks, and the next is right. */
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "services/gateway/deflate.h"
#include "tests/unit/faults/called.h"
#include "tests/unit/faults/failing.h"
#include "tests/unit/main.h"

#define CALLS_MOST 16

#define FAILS(function, failure, parameters, arguments)                                                        \
	int __real_##function parameters;                                                                      \
	int __wrap_##function parameters;                                                                      \
	int __wrap_##function parameters                                                                       \
	{                                                                                                      \
		return fails_now(#function) ? (failure) : __real_##function arguments;                         \
	}
#define CANNOT(function)
#include "tests/unit/faults/zlib.tbl.h"
#undef FAILS
#undef CANNOT

static const char *const functions[] = {
#define FAILS(function, failure, parameters, arguments) #function,
#define CANNOT(function)
#include "tests/unit/faults/zlib.tbl.h"
#undef FAILS
#undef CANNOT
};

/* A frame is compressed for both classes and read again. How many of the four steps went wrong; what did not is right. */
static unsigned use(struct deflate *codec)
{
	char text[600];
	unsigned wrong = 0;

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = "a word, and another one; "[i % 25];
	for (enum deflate_class class = DEFLATE_SMALL; class <= DEFLATE_FULL; class ++) {
		struct frame *frame = frame_make(FRAME_TEXT, text, sizeof text);
		struct frame *packed = deflate_frame(codec, frame, class);
		if (packed == frame) {
			wrong++;
		} else {
			struct frame_in in = {.opcode = FRAME_TEXT, .compressed = true};
			in.bytes = (uint8_t *)frame_payload(packed, &in.length);
			if (deflate_message(codec, sizeof text, &in) == FRAME_STEP_MESSAGE) {
				ck_assert_uint_eq(in.length, sizeof text);
				ck_assert_mem_eq(in.bytes, text, sizeof text);
			} else {
				ck_assert_uint_eq(in.code, 1007);
				wrong++;
			}
		}
		frame_unref(frame);
	}
	return wrong;
}

START_TEST(whichever_call_fails_one_step_is_refused_and_the_next_is_right)
{
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
		int n = 1;
		for (bool failed = true; failed && n <= CALLS_MOST; n++) {
			struct deflate *codec = deflate_create(6, 64);
			arm(functions[i], n);
			unsigned wrong = use(codec);
			failed = disarm();
			ck_assert_msg(wrong == (failed ? 1 : 0), "%s, call %d: %u", functions[i], n, wrong);
			ck_assert_uint_eq(use(codec), 0);
			deflate_destroy(codec);
		}
		ck_assert_msg(n > 2, "%s never failed", functions[i]);
	}
}
END_TEST

static const char *const table[] = {
#define FAILS(function, failure, parameters, arguments) #function,
#define CANNOT(function) #function,
#include "tests/unit/faults/zlib.tbl.h"
#undef FAILS
#undef CANNOT
};

/* zlib's names go on in capitals; ours, like deflate_frame, do not. */
static bool is_of_zlib(const char *name)
{
	return strcmp(name, "deflate") == 0 || strcmp(name, "inflate") == 0 ||
	       ((strncmp(name, "deflate", 7) == 0 || strncmp(name, "inflate", 7) == 0) && name[7] >= 'A' && name[7] <= 'Z');
}

START_TEST(the_table_has_every_function_that_is_called)
{
	check_called("nm -u " GATEWAY_LIBRARY, is_of_zlib, table, sizeof table / sizeof *table, "zlib.tbl.h");
}
END_TEST

TESTS("faults zlib", whichever_call_fails_one_step_is_refused_and_the_next_is_right, the_table_has_every_function_that_is_called)
