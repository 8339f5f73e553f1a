#include "common/base/status.h"
#include "tests/unit/main.h"

START_TEST(every_status_has_a_http_code_and_a_name)
{
	for (int st = 0; st < STATUS_COUNT; st++) {
		ck_assert_int_ge(status_http(st), 200);
		ck_assert_str_ne(status_wire(st), "");
		ck_assert_str_ne(status_text(st), "");
	}
}
END_TEST

START_TEST(no_two_statuses_share_a_wire_name)
{
	for (int a = 0; a < STATUS_COUNT; a++)
		for (int b = 0; b < a; b++)
			ck_assert_str_ne(status_wire(a), status_wire(b));
}
END_TEST

START_TEST(an_unknown_number_is_internal)
{
	ck_assert_int_eq(status_from_number(STATUS_COUNT), STATUS_INTERNAL);
	ck_assert_int_eq(status_from_number(UINT32_MAX), STATUS_INTERNAL);
	ck_assert_int_eq(status_http((enum status) - 1), 500);
	ck_assert_str_eq(status_wire((enum status)4711), "internal");
}
END_TEST

START_TEST(a_known_number_is_its_status)
{
	ck_assert_int_eq(status_from_number(0), STATUS_OK);
	ck_assert_int_eq(status_from_number(STATUS_STALE), STATUS_STALE);
}
END_TEST

TESTS("status", every_status_has_a_http_code_and_a_name, no_two_statuses_share_a_wire_name,
	an_unknown_number_is_internal, a_known_number_is_its_status)
