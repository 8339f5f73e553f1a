#include "common/events/events.h"
#include "tests/unit/main.h"

#include <stdlib.h>
#include <string.h>

static pb_Event posted(char *content, char *username)
{
	pb_Event ev = {0};

	ev.has_actor = true;
	ev.actor.id = 7;
	ev.actor.username = username;
	ev.event_id = 99;
	ev.which_body = pb_Event_message_posted_tag;
	ev.body.message_posted.has_message = true;
	ev.body.message_posted.message.id = 5;
	ev.body.message_posted.message.content = content;
	return ev;
}

START_TEST(an_event_comes_back_as_it_was_written)
{
	struct arena *mem = arena_create();
	uint64_t only[] = {3, 4};
	pb_Event ev = posted("hello", "ann");
	ev.only_users = only;
	ev.only_users_count = 2;
	const uint8_t *bytes = NULL;
	size_t length = 0;
	pb_Event back;

	ck_assert_int_eq(event_encode(mem, &ev, &bytes, &length), STATUS_OK);
	ck_assert_int_eq(event_decode(mem, bytes, length, &back), STATUS_OK);

	ck_assert_uint_eq(back.which_body, pb_Event_message_posted_tag);
	ck_assert_str_eq(back.body.message_posted.message.content, "hello");
	ck_assert_str_eq(back.actor.username, "ann");
	ck_assert_ptr_null(back.actor.display_name);
	ck_assert_uint_eq(back.only_users_count, 2);
	ck_assert_uint_eq(back.only_users[1], 4);
	arena_destroy(mem);
}
END_TEST

START_TEST(a_decoded_struct_may_die_or_be_changed_before_its_arena)
{
	struct arena *mem = arena_create();
	pb_Event ev = posted("hello", "ann");
	const uint8_t *bytes = NULL;
	size_t length = 0;
	pb_Event *back = malloc(sizeof *back);

	ck_assert_int_eq(event_encode(mem, &ev, &bytes, &length), STATUS_OK);
	ck_assert_int_eq(event_decode(mem, bytes, length, back), STATUS_OK);
	back->actor.username = "a text that is nobody's to free";
	free(back);
	arena_destroy(mem); /* the leak checker and the address sanitizer see what goes wrong here */
}
END_TEST

START_TEST(an_event_over_its_limit_is_refused)
{
	struct arena *mem = arena_create();
	char *content = arena_alloc(mem, EVENT_MAX_BYTES + 1);
	memset(content, 'x', EVENT_MAX_BYTES);
	pb_Event ev = posted(content, "ann");
	const uint8_t *bytes = NULL;
	size_t length = 0;

	ck_assert_int_eq(event_encode(mem, &ev, &bytes, &length), STATUS_TOO_LARGE);
	ck_assert_ptr_null(bytes);
	arena_destroy(mem);
}
END_TEST

START_TEST(broken_bytes_are_malformed_and_leave_a_zeroed_event)
{
	struct arena *mem = arena_create();
	pb_Event ev = posted("hello", "ann");
	const uint8_t *bytes = NULL;
	size_t length = 0;
	pb_Event back;
	static const pb_Event zero;

	ck_assert_int_eq(event_encode(mem, &ev, &bytes, &length), STATUS_OK);
	ck_assert_int_eq(event_decode(mem, bytes, length - 1, &back), STATUS_MALFORMED);
	ck_assert_mem_eq(&back, &zero, sizeof zero);
	arena_destroy(mem);
}
END_TEST

START_TEST(random_bytes_never_break_the_decoder)
{
	srand(1);
	for (int round = 0; round < 3000; round++) {
		struct arena *mem = arena_create();
		uint8_t bytes[200];
		size_t length = (size_t)rand() % sizeof bytes;
		for (size_t i = 0; i < length; i++)
			bytes[i] = (uint8_t)(rand() % (round % 2 == 0 ? 256 : 48));
		pb_Event back;
		enum status st = event_decode(mem, bytes, length, &back);
		ck_assert(st == STATUS_OK || st == STATUS_MALFORMED);
		arena_destroy(mem);
	}
}
END_TEST

START_TEST(any_message_is_decoded_and_released_without_knowing_its_size)
{
	struct arena *mem = arena_create();
	pb_LoggedEvent row = {.rank = 1, .stream_id = 2, .seq = 3, .kind = 134, .audience = "team:2"};
	row.payload = pb_bytes_from(mem, "\x01\x02\x03", 3);
	const uint8_t *bytes = NULL;
	size_t length = 0;
	pb_LoggedEvent back;

	ck_assert_int_eq(pb_encode_arena(mem, pb_LoggedEvent_fields, &row, &bytes, &length), STATUS_OK);
	ck_assert_int_eq(pb_decode_arena(mem, pb_LoggedEvent_fields, &back, bytes, length), STATUS_OK);
	ck_assert_str_eq(back.audience, "team:2");
	ck_assert_uint_eq(back.payload->size, 3);
	ck_assert_mem_eq(back.payload->bytes, "\x01\x02\x03", 3);
	ck_assert_int_eq(pb_decode_arena(mem, pb_LoggedEvent_fields, &back, bytes, length - 1), STATUS_MALFORMED);
	ck_assert_ptr_null(back.audience);
	ck_assert_ptr_null(back.payload);
	arena_destroy(mem);
}
END_TEST

START_TEST(a_copied_view_outlives_the_one_it_was_copied_from)
{
	struct arena *mem = arena_create();
	struct arena *short_lived = arena_create();
	pb_UserView from = {.id = 7, .bot = true, .has_status = true};
	from.username = arena_strdup(short_lived, "ann");
	from.status.text = arena_strdup(short_lived, "away");
	pb_UserView copy;

	user_view_copy(mem, &from, &copy);
	arena_destroy(short_lived);

	ck_assert_str_eq(copy.username, "ann");
	ck_assert_str_eq(copy.status.text, "away");
	ck_assert_ptr_null(copy.bio);
	ck_assert(copy.bot && copy.has_status && copy.id == 7);
	arena_destroy(mem);
}
END_TEST

START_TEST(a_stream_is_spelled_and_read_back)
{
	char text[STREAM_TEXT_SIZE];
	struct stream s = {0, 0};

	stream_to_text(STREAM_TEAM(UINT64_C(0xa1b2c3d4e5f6)), text);
	ck_assert_str_eq(text, "1-0000a1b2c3d4e5f6");
	ck_assert_int_eq(stream_from_text(text, &s), STATUS_OK);
	ck_assert_int_eq(stream_compare(s, STREAM_TEAM(UINT64_C(0xa1b2c3d4e5f6))), 0);
	stream_to_text((struct stream){UINT32_MAX, UINT64_MAX}, text); /* too long for a rank, must fit all the same */
	ck_assert_uint_lt(strlen(text), STREAM_TEXT_SIZE);
}
END_TEST

START_TEST(a_stream_spelled_wrongly_is_malformed)
{
	static const char *const wrong[] = {"", "1", "1-", "0-0000a1b2c3d4e5f6", "4-0000a1b2c3d4e5f6", "1-0000a1b2c3d4e5f",
		"1-0000a1b2c3d4e5f6a", "1-0000A1B2C3D4E5F6", "1-0000a1b2c3d4e5g6", "11-0000a1b2c3d4e5f6", "1_0000a1b2c3d4e5f6"};
	struct stream s = {9, 9};

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		ck_assert_int_eq(stream_from_text(wrong[i], &s), STATUS_MALFORMED);
	ck_assert_int_eq(stream_from_text(NULL, &s), STATUS_MALFORMED);
	ck_assert_uint_eq(s.rank, 9);
}
END_TEST

START_TEST(streams_are_ordered_by_rank_and_then_by_id)
{
	ck_assert_int_lt(stream_compare(STREAM_TEAM(9), STREAM_USER(1)), 0);
	ck_assert_int_gt(stream_compare(STREAM_TEAM(9), STREAM_TEAM(1)), 0);
	ck_assert_int_lt(stream_compare(STREAM_TEAM(1), STREAM_TEAM(UINT64_MAX)), 0);
}
END_TEST

START_TEST(audience_keys_are_spelled_with_decimal_ids)
{
	char key[AUDIENCE_SIZE];

	audience_all(key);
	ck_assert_str_eq(key, "all");
	audience_key(key, "channel", UINT64_MAX);
	ck_assert_str_eq(key, "channel:18446744073709551615");
	audience_can(key, UINT64_MAX, PERMISSION_create_private_channels);
	ck_assert_str_eq(key, "can:18446744073709551615:create_private_channels");
}
END_TEST

TESTS("events", an_event_comes_back_as_it_was_written, a_decoded_struct_may_die_or_be_changed_before_its_arena,
	an_event_over_its_limit_is_refused, broken_bytes_are_malformed_and_leave_a_zeroed_event,
	random_bytes_never_break_the_decoder, any_message_is_decoded_and_released_without_knowing_its_size,
	a_copied_view_outlives_the_one_it_was_copied_from, a_stream_is_spelled_and_read_back,
	a_stream_spelled_wrongly_is_malformed, streams_are_ordered_by_rank_and_then_by_id,
	audience_keys_are_spelled_with_decimal_ids)
