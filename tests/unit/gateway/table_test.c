#include "services/gateway/table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/main.h"

START_TEST(what_is_put_is_found_until_it_is_removed)
{
	struct table table = {0};
	static bool there[512];
	static int values[512];

	srand(7);
	for (int i = 0; i < 200000; i++) {
		uint64_t key = (uint64_t)rand() % 512;
		/* Keys that differ in few bits, as ids do. */
		uint64_t spread = key << (key % 40);
		if (rand() % 2 == 0) {
			table_put(&table, spread * 512 + key, &values[key]);
			there[key] = true;
		} else {
			ck_assert_ptr_eq(
				table_remove(&table, spread * 512 + key), there[key] ? &values[key] : NULL);
			there[key] = false;
		}
		uint64_t other = (uint64_t)rand() % 512;
		ck_assert_ptr_eq(table_get(&table, (other << (other % 40)) * 512 + other),
			there[other] ? &values[other] : NULL);
	}
	table_finish(&table);
}
END_TEST

START_TEST(every_value_is_visited_once)
{
	struct table table = {0};
	static int values[100];
	size_t cursor = 0;
	int *value;

	for (uint64_t i = 0; i < 100; i++)
		table_put(&table, i, &values[i]);
	while ((value = table_next(&table, &cursor)) != NULL)
		(*value)++;
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(values[i], 1);
	table_finish(&table);
}
END_TEST

START_TEST(an_empty_table_owns_nothing)
{
	struct table table = {0};
	int value = 0;

	ck_assert_ptr_null(table_get(&table, 1));
	ck_assert_ptr_null(table_remove(&table, 1));
	table_put(&table, 1, &value);
	table_remove(&table, 1);
	ck_assert_ptr_null(table.slots);
}
END_TEST

TESTS("table", what_is_put_is_found_until_it_is_removed, every_value_is_visited_once,
	an_empty_table_owns_nothing)
