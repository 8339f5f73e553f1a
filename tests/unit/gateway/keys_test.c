#include "services/gateway/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/main.h"

START_TEST(a_text_has_one_number)
{
	struct key_table table = {0};
	char text[AUDIENCE_SIZE];

	for (uint32_t i = 0; i < 1000; i++) {
		snprintf(text, sizeof text, "channel:%u", i);
		ck_assert_uint_eq(key_find(&table, text), KEY_NONE);
		ck_assert_uint_eq(key_number(&table, text), i);
	}
	for (uint32_t i = 0; i < 1000; i++) {
		snprintf(text, sizeof text, "channel:%u", i);
		ck_assert_uint_eq(key_find(&table, text), i);
		ck_assert_uint_eq(key_number(&table, text), i);
	}
	char longer[AUDIENCE_SIZE + 10];
	memset(longer, 'x', sizeof longer);
	longer[sizeof longer - 1] = '\0';
	ck_assert_uint_eq(key_number(&table, longer), KEY_NONE);
	key_table_finish(&table);
}
END_TEST

START_TEST(equal_sets_are_one_whatever_the_order)
{
	struct key_table table = {0};
	struct key_set *a = key_set_of(&table, (uint32_t[]){3, 1, 2, 3}, 4);
	struct key_set *b = key_set_of(&table, (uint32_t[]){2, 3, 1, KEY_NONE}, 4);

	ck_assert_ptr_eq(a, b);
	ck_assert_uint_eq(a->count, 3);
	struct key_set *more = key_set_with(&table, a, 9), *less = key_set_without(&table, more, 9);
	ck_assert_ptr_ne(more, a);
	ck_assert_ptr_eq(less, a);
	key_set_unref(&table, a);
	key_set_unref(&table, b);
	key_set_unref(&table, less);
	key_set_unref(&table, more);
	ck_assert_uint_eq(table.set_count, 0);
	key_table_finish(&table);
}
END_TEST

START_TEST(a_set_has_what_it_was_made_of)
{
	struct key_table table = {0};

	for (uint32_t count = 0; count < 40; count++) {
		uint32_t keys[40];
		for (uint32_t i = 0; i < count; i++)
			keys[i] = 2 * i;
		struct key_set *set = key_set_of(&table, keys, count);
		for (uint32_t key = 0; key < 80; key++) {
			ck_assert(key_set_has(set, key) == (key % 2 == 0 && key / 2 < count));
			ck_assert(key_set_holds(set, key, key + 1) == key_set_has(set, key));
		}
		key_set_unref(&table, set);
	}
	key_table_finish(&table);
}
END_TEST

START_TEST(the_answer_for_one_event_is_not_the_next_ones)
{
	struct key_table table = {0};
	struct key_set *set = key_set_of(&table, (uint32_t[]){5}, 1);

	ck_assert(key_set_holds(set, 5, 1));
	ck_assert(!key_set_holds(set, 6, 2));
	ck_assert(key_set_holds(set, 5, 3));
	key_set_unref(&table, set);
	key_table_finish(&table);
}
END_TEST

TESTS("keys", a_text_has_one_number, equal_sets_are_one_whatever_the_order, a_set_has_what_it_was_made_of,
	the_answer_for_one_event_is_not_the_next_ones)
