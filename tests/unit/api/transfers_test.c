#include "services/api/transfers.h"

#include "tests/unit/main.h"

START_TEST(one_account_may_have_so_many_and_all_together_so_many)
{
	struct transfers *t = transfers_create(5, 2);

	ck_assert_int_eq(transfers_begin(t, TRANSFER_UPLOAD, 7), STATUS_OK);
	ck_assert_int_eq(transfers_begin(t, TRANSFER_UPLOAD, 7), STATUS_OK);
	ck_assert_int_eq(transfers_begin(t, TRANSFER_UPLOAD, 7), STATUS_RATE_LIMITED);
	ck_assert_int_eq(transfers_begin(t, TRANSFER_UPLOAD, 8), STATUS_OK);
	/* The same number is another person's address. */
	ck_assert_int_eq(transfers_begin(t, TRANSFER_DOWNLOAD, 7), STATUS_OK);
	ck_assert_int_eq(transfers_begin(t, TRANSFER_DOWNLOAD, 7), STATUS_OK);
	ck_assert_int_eq(transfers_begin(t, TRANSFER_DOWNLOAD, 7), STATUS_BUSY);
	transfers_end(t, TRANSFER_UPLOAD, 7);
	ck_assert_int_eq(transfers_begin(t, TRANSFER_UPLOAD, 7), STATUS_OK);
	transfers_destroy(t);
}
END_TEST

START_TEST(what_has_ended_leaves_its_place_to_others)
{
	struct transfers *t = transfers_create(2, 4);

	for (uint64_t who = 1; who < 100; who++) {
		ck_assert_int_eq(transfers_begin(t, TRANSFER_UPLOAD, who), STATUS_OK);
		ck_assert_int_eq(transfers_begin(t, TRANSFER_DOWNLOAD, who), STATUS_OK);
		transfers_end(t, TRANSFER_DOWNLOAD, who);
		transfers_end(t, TRANSFER_UPLOAD, who);
	}
	transfers_destroy(t);
	transfers_destroy(NULL);
}
END_TEST

TESTS("transfers", one_account_may_have_so_many_and_all_together_so_many, what_has_ended_leaves_its_place_to_others)
