#include "services/ctl/names.h"
#include "tests/unit/main.h"

#include "common/base/ids.h"

START_TEST(streams_are_named_by_class_and_id)
{
	struct arena *mem = arena_create();
	char uuid[IDS_UUID_SIZE];
	const char *user = NULL;
	struct stream s = {0};

	ids_to_uuid(5000000001, uuid);
	ck_assert_int_eq(stream_name_read(arena_printf(mem, "team:%s", uuid), &s, &user), STREAM_NAME_ID);
	ck_assert_uint_eq(s.rank, RANK_TEAM);
	ck_assert_uint_eq(s.id, 5000000001);
	ck_assert_int_eq(stream_name_read(arena_printf(mem, "conversation:%s", uuid), &s, &user), STREAM_NAME_ID);
	ck_assert_uint_eq(s.rank, RANK_TEAM);
	ck_assert_int_eq(stream_name_read(arena_printf(mem, "user:%s", uuid), &s, &user), STREAM_NAME_ID);
	ck_assert_uint_eq(s.rank, RANK_USER);
	ck_assert_int_eq(stream_name_read("global", &s, &user), STREAM_NAME_ID);
	ck_assert_uint_eq(s.rank, RANK_GLOBAL);
	arena_destroy(mem);
}
END_TEST

START_TEST(a_user_may_be_named_by_name)
{
	const char *user = NULL;
	struct stream s = {0};

	ck_assert_int_eq(stream_name_read("user:ann", &s, &user), STREAM_NAME_USER);
	ck_assert_str_eq(user, "ann");
	ck_assert_uint_eq(s.rank, RANK_USER);
}
END_TEST

START_TEST(a_stream_may_be_named_as_clients_see_it)
{
	char text[STREAM_TEXT_SIZE];
	const char *user = NULL;
	struct stream s = {0};

	stream_to_text(STREAM_TEAM(5000000001), text);
	ck_assert_int_eq(stream_name_read(text, &s, &user), STREAM_NAME_ID);
	ck_assert_uint_eq(s.id, 5000000001);
}
END_TEST

START_TEST(anything_else_is_no_stream)
{
	static const char *const wrong[] = {"", "team:", "team:general", "user:", "channel:1", "globals", "team"};
	const char *user = NULL;
	struct stream s = {0};

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		ck_assert_msg(stream_name_read(wrong[i], &s, &user) == STREAM_NAME_UNKNOWN, "%s", wrong[i]);
}
END_TEST

START_TEST(audiences_show_ids_as_clients_write_them)
{
	struct arena *mem = arena_create();
	char uuid[IDS_UUID_SIZE];

	ids_to_uuid(5000000001, uuid);
	ck_assert_str_eq(audience_for_people(mem, "channel:5000000001"), arena_printf(mem, "channel:%s", uuid));
	ck_assert_str_eq(audience_for_people(mem, "can:5000000001:manage_team"), arena_printf(mem, "can:%s:manage_team", uuid));
	ck_assert_str_eq(audience_for_people(mem, "all"), "all");
	ck_assert_str_eq(audience_for_people(mem, "odd:thing"), "odd:thing");
	arena_destroy(mem);
}
END_TEST

TESTS("ctl-names", streams_are_named_by_class_and_id, a_user_may_be_named_by_name, a_stream_may_be_named_as_clients_see_it,
	anything_else_is_no_stream, audiences_show_ids_as_clients_write_them)
