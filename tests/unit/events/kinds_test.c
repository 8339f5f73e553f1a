#include "common/events/kinds.h"
#include "tests/unit/main.h"

#include <string.h>

START_TEST(an_event_is_named_after_its_arm_and_a_number_that_is_none_has_no_name)
{
	ck_assert_str_eq(event_kind_name(EVENT_KIND_message_posted), "message_posted");
	ck_assert_str_eq(event_kind_name(302), "presence_changed");
	ck_assert_int_eq(EVENT_KIND_message_posted, 134);
	ck_assert_ptr_null(event_kind_name(0));
	ck_assert_ptr_null(event_kind_name(1));
	ck_assert_ptr_null(event_kind_name(9999));
}
END_TEST

START_TEST(words_of_kinds_roles_joinings_and_presences_go_both_ways)
{
	uint32_t number = 0;

	for (uint32_t kind = CHANNEL_TEXT; kind <= CHANNEL_GROUP; kind++) {
		ck_assert(channel_kind_from_word(channel_kind_word(kind), &number));
		ck_assert_uint_eq(number, kind);
	}
	for (uint32_t role = CHANNEL_ROLE_OWNER; role <= CHANNEL_ROLE_INVITEE; role++) {
		ck_assert(channel_role_from_word(channel_role_word(role), &number));
		ck_assert_uint_eq(number, role);
	}
	for (uint32_t joining = JOINING_OPEN; joining <= JOINING_INVITE; joining++) {
		ck_assert(joining_from_word(joining_word(joining), &number));
		ck_assert_uint_eq(number, joining);
	}
	for (uint32_t kind = MESSAGE_TEXT; kind <= MESSAGE_SYSTEM; kind++) {
		ck_assert(message_kind_from_word(message_kind_word(kind), &number));
		ck_assert_uint_eq(number, kind);
	}
	for (uint32_t state = PRESENCE_ONLINE; state <= PRESENCE_OFFLINE; state++) {
		ck_assert(presence_from_word(presence_word(state), &number));
		ck_assert_uint_eq(number, state);
	}
}
END_TEST

START_TEST(unknown_words_and_numbers_are_refused_and_leave_the_result_alone)
{
	uint32_t number = 77;

	ck_assert(!channel_kind_from_word("Text", &number));
	ck_assert(!channel_role_from_word("", &number));
	ck_assert(!presence_from_word(NULL, &number));
	ck_assert_uint_eq(number, 77);
	ck_assert_ptr_null(channel_kind_word(0));
	ck_assert_ptr_null(channel_role_word(CHANNEL_ROLE_NONE));
	ck_assert_ptr_null(presence_word(99));
}
END_TEST

START_TEST(permission_numbers_reach_both_halves_of_a_set)
{
	struct bits set = bits_with(bits_with((struct bits){0, 0}, PERMISSION_send_messages), PERMISSION_voice_connect);

	ck_assert(bits_has(set, PERMISSION_send_messages));
	ck_assert(bits_has(set, PERMISSION_voice_connect));
	ck_assert_uint_eq(set.low, UINT64_C(1) << 49);
	ck_assert_uint_eq(set.high, UINT64_C(1) << 12);
	set = bits_without(set, PERMISSION_voice_connect);
	ck_assert_uint_eq(set.high, 0);
	ck_assert_str_eq(permission_name(PERMISSION_announcement_remove), "announcement_remove");
	ck_assert_ptr_null(permission_name((enum permission)119));
}
END_TEST

START_TEST(the_base_role_of_crust_adds_three_permissions_to_the_other_one)
{
	struct bits plain = bits_base_role(false);
	struct bits crust = bits_base_role(true);
	struct bits more = bits_minus(crust, plain);

	ck_assert(bits_has(plain, PERMISSION_access_team));
	ck_assert(bits_has(plain, PERMISSION_view_text));
	ck_assert(bits_has(plain, PERMISSION_schedule_create));
	ck_assert(!bits_has(plain, PERMISSION_administrator));
	ck_assert_uint_eq(bits_minus(plain, crust).low | bits_minus(plain, crust).high, 0);
	ck_assert_uint_eq(more.low, UINT64_C(1) << 6 | UINT64_C(1) << 7 | UINT64_C(1) << 59);
	ck_assert_uint_eq(more.high, 0);
}
END_TEST

START_TEST(each_kind_of_channel_has_its_view)
{
	for (uint32_t kind = CHANNEL_TEXT; kind <= CHANNEL_SCHEDULING; kind++)
		ck_assert_int_eq(channel_kind_view(kind), PERMISSION_view_text + (int)(kind - CHANNEL_TEXT));
	ck_assert_int_eq(channel_kind_view(CHANNEL_THREAD), PERMISSION_view_text);
	ck_assert_int_eq(channel_kind_view(CHANNEL_DIRECT), PERMISSION_view_text);
	ck_assert_int_eq(channel_kind_view(4711), PERMISSION_view_text);
}
END_TEST

TESTS("kinds", an_event_is_named_after_its_arm_and_a_number_that_is_none_has_no_name,
	words_of_kinds_roles_joinings_and_presences_go_both_ways,
	unknown_words_and_numbers_are_refused_and_leave_the_result_alone,
	permission_numbers_reach_both_halves_of_a_set,
	the_base_role_of_crust_adds_three_permissions_to_the_other_one, each_kind_of_channel_has_its_view)
