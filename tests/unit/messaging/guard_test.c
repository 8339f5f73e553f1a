#include "services/messaging/guard.h"

#include "tests/unit/main.h"

static const struct rights judged = {.status = STATUS_OK, .stream_epoch = 3, .member_epoch = 4};

static enum status compare(uint64_t actor, uint64_t actor_epoch, struct epochs found, const char **out_why)
{
	pb_RpcHeader header = {.actor_id = actor, .actor_epoch = actor_epoch};
	struct rpc_call call = {.header = &header};
	struct refusal no = {0};

	enum status st = guard_compare(&judged, &call, &found, &no);
	*out_why = no.why;
	return st;
}

START_TEST(equal_epochs_pass)
{
	const char *why;

	ck_assert_int_eq(compare(5, 9, (struct epochs){3, 4, 9}, &why), STATUS_OK);
}
END_TEST

START_TEST(a_raised_epoch_of_stream_or_member_is_judged_again)
{
	const char *why;

	ck_assert_int_eq(compare(5, 9, (struct epochs){4, 4, 9}, &why), STATUS_STALE);
	ck_assert_ptr_null(why);
	ck_assert_int_eq(compare(5, 9, (struct epochs){3, 5, 9}, &why), STATUS_STALE);
	ck_assert_ptr_null(why);
}
END_TEST

START_TEST(a_raised_epoch_of_the_actor_is_the_sessions_end)
{
	const char *why;

	ck_assert_int_eq(compare(5, 9, (struct epochs){3, 4, 10}, &why), STATUS_STALE);
	ck_assert_str_eq(why, "session");
}
END_TEST

START_TEST(the_system_has_no_epochs_of_its_own)
{
	const char *why;

	ck_assert_int_eq(compare(0, 0, (struct epochs){3, 77, 10}, &why), STATUS_OK);
	ck_assert_int_eq(compare(0, 0, (struct epochs){4, 77, 10}, &why), STATUS_STALE);
}
END_TEST

START_TEST(epochs_of_another_generation_of_the_log_are_judged_again)
{
	struct rights r = judged;
	pb_RpcHeader header = {.actor_id = 5, .actor_epoch = 9, .actor_generation = 21};
	struct rpc_call call = {.header = &header};
	struct refusal no = {0};
	struct epochs found = {3, 4, 9, .generation = 21};

	r.generation = 21;
	ck_assert_int_eq(guard_compare(&r, &call, &found, &no), STATUS_OK);
	r.generation = 20;
	ck_assert(guard_elsewhere(&r, &call, &found));
	ck_assert_int_eq(guard_compare(&r, &call, &found, &no), STATUS_STALE);
	ck_assert_ptr_null(no.why);
	header.actor_generation = 20;
	ck_assert_int_eq(guard_compare(&r, &call, &found, &no), STATUS_STALE);
	ck_assert_str_eq(no.why, "session");
	r.generation = header.actor_generation = 0; /* told by a process that does not know it */
	ck_assert_int_eq(guard_compare(&r, &call, &found, &no), STATUS_OK);
}
END_TEST

TESTS("guard", epochs_of_another_generation_of_the_log_are_judged_again, equal_epochs_pass, a_raised_epoch_of_stream_or_member_is_judged_again,
	a_raised_epoch_of_the_actor_is_the_sessions_end, the_system_has_no_epochs_of_its_own)
