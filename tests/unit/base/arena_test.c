#include "common/base/arena.h"
#include "tests/unit/main.h"

#include <string.h>

START_TEST(memory_is_zeroed_and_aligned_also_after_a_reset)
{
	struct arena *mem = arena_create();

	for (int round = 0; round < 3; round++) {
		for (size_t size = 0; size < 3000; size += 77) {
			unsigned char *at = arena_alloc(mem, size);
			ck_assert_uint_eq((uintptr_t)at % _Alignof(max_align_t), 0);
			for (size_t i = 0; i < size; i++)
				ck_assert_uint_eq(at[i], 0);
			memset(at, 0xAA, size);
		}
		arena_reset(mem);
	}
	arena_destroy(mem);
}
END_TEST

START_TEST(something_larger_than_any_block_fits)
{
	struct arena *mem = arena_create();
	char *small = arena_strdup(mem, "small");

	char *large = arena_alloc(mem, 10 << 20);

	memset(large, 'x', 10 << 20);
	ck_assert_str_eq(small, "small");
	ck_assert_str_eq(arena_strdup(mem, "after"), "after");
	arena_destroy(mem);
}
END_TEST

START_TEST(copies_are_terminated_and_independent)
{
	struct arena *mem = arena_create();
	char source[] = "hello";

	char *copy = arena_strndup(mem, source, 4);

	source[0] = 'J';
	ck_assert_str_eq(copy, "hell");
	ck_assert_ptr_null(arena_strdup(mem, NULL));
	ck_assert_mem_eq(arena_memdup(mem, "a\0b", 3), "a\0b", 3);
	arena_destroy(mem);
}
END_TEST

START_TEST(printf_takes_texts_of_any_length)
{
	struct arena *mem = arena_create();
	char long_text[1000];

	memset(long_text, 'y', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = '\0';
	ck_assert_str_eq(arena_printf(mem, "%d-%s", 7, "seven"), "7-seven");
	ck_assert_uint_eq(strlen(arena_printf(mem, "<%s>", long_text)), 1001);
	arena_destroy(mem);
}
END_TEST

START_TEST(the_latest_allocation_grows_in_place_and_others_by_a_copy)
{
	struct arena *mem = arena_create();
	char *first = arena_grow(mem, NULL, 0, 4);
	memcpy(first, "abc", 4);

	char *same = arena_grow(mem, first, 4, 400);
	ck_assert_ptr_eq(same, first);
	arena_alloc(mem, 1);
	char *moved = arena_grow(mem, same, 400, 500);
	ck_assert_ptr_ne(moved, same);
	ck_assert_str_eq(moved, "abc");
	char *far = arena_grow(mem, moved, 500, 500000);
	ck_assert_str_eq(far, "abc");
	arena_destroy(mem);
}
END_TEST

static char calls[8];

static void note(void *resource)
{
	strncat(calls, resource, 1);
}

START_TEST(deferred_calls_run_last_first_and_once)
{
	struct arena *mem = arena_create();
	arena_defer(mem, note, "a");
	arena_defer(mem, note, "b");

	arena_reset(mem);

	ck_assert_str_eq(calls, "ba");
	arena_defer(mem, note, "c");
	arena_destroy(mem);
	ck_assert_str_eq(calls, "bac");
}
END_TEST

struct wide {
	_Alignas(64) char bytes[64];
};

START_TEST(a_type_that_wants_more_than_others_is_aligned_as_it_wants)
{
	struct arena *mem = arena_create();

	for (int i = 0; i < 20; i++) {
		arena_alloc(mem, (size_t)i);
		struct wide *wide = ARENA_NEW(mem, struct wide);
		ck_assert_uint_eq((uintptr_t)wide % 64, 0);
		memset(wide, 0xff, sizeof *wide);
	}
	arena_destroy(mem);
}
END_TEST

START_TEST(destroying_nothing_is_fine)
{
	arena_destroy(NULL);
}
END_TEST

TESTS("arena", memory_is_zeroed_and_aligned_also_after_a_reset, something_larger_than_any_block_fits,
	copies_are_terminated_and_independent, printf_takes_texts_of_any_length,
	the_latest_allocation_grows_in_place_and_others_by_a_copy, deferred_calls_run_last_first_and_once,
	a_type_that_wants_more_than_others_is_aligned_as_it_wants, destroying_nothing_is_fine)
