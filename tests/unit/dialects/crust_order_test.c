/* In what order channels are listed, by REST and by the websocket alike. */
#include "common/dialects/crust/order.h"

#include <stdlib.h>

#include "tests/unit/main.h"

static int compare(const void *a, const void *b)
{
	return crust_channel_order(a, b);
}

START_TEST(names_are_in_order_without_regard_to_the_case_of_latin_letters_then_by_id)
{
	pb_ChannelView list[] = {{.id = 9, .name = (char *)"zoo"}, {.id = 8, .name = (char *)"Bar"}, {.id = 7, .name = (char *)"bar"},
		{.id = 6, .name = (char *)"\xc3\x84rger"}, {.id = 5, .name = (char *)"[x]"}, {.id = 4, .name = (char *)"BARN"},
		{.id = 3}, {.id = 2, .name = (char *)""}, {.id = 1, .name = (char *)"apple"}};
	static const uint64_t order[] = {2, 3, 5, 1, 7, 8, 4, 9, 6};

	qsort(list, sizeof list / sizeof *list, sizeof *list, compare);
	for (size_t i = 0; i < sizeof order / sizeof *order; i++)
		ck_assert_uint_eq(list[i].id, order[i]);
}
END_TEST

START_TEST(only_a_channel_itself_is_alike)
{
	pb_ChannelView a = {.id = 1, .name = (char *)"Bar"}, b = {.id = 2, .name = (char *)"bAR"};

	ck_assert_int_lt(crust_channel_order(&a, &b), 0);
	ck_assert_int_gt(crust_channel_order(&b, &a), 0);
	ck_assert_int_eq(crust_channel_order(&a, &a), 0);
}
END_TEST

TESTS("crust order", names_are_in_order_without_regard_to_the_case_of_latin_letters_then_by_id, only_a_channel_itself_is_alike)
