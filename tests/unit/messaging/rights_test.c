#include "services/messaging/rights.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/main.h"

static struct rights held(uint64_t channel)
{
	struct rights r = {.status = STATUS_OK,
		.team_id = 1,
		.channel_id = channel,
		.stream = STREAM_TEAM(1),
		.stream_epoch = 3,
		.member_epoch = 4,
		.channel_name = "general",
		.channel_kind = CHANNEL_TEXT,
		.audience = "team:1",
		.open_audience = "team:1"};

	r.bits = bits_with(bits_with(r.bits, PERMISSION_send_messages), PERMISSION_reply_messages);
	return r;
}

START_TEST(what_was_put_is_found_with_a_name_of_its_own)
{
	struct arena *mem = arena_create();
	struct rights_cache *cache = rights_cache_create(64);
	struct rights r = held(7), found;
	char name[] = "general";

	r.channel_name = name;
	rights_cache_put(cache, 5, &r);
	memset(name, 'x', sizeof name - 1);
	ck_assert(rights_cache_find(cache, mem, 5, 7, 1000, &found));
	ck_assert(found.cached);
	ck_assert_str_eq(found.channel_name, "general");
	ck_assert_uint_eq(found.stream_epoch, 3);
	ck_assert_uint_eq(found.member_epoch, 4);
	ck_assert_str_eq(found.audience, "team:1");
	ck_assert(!rights_cache_find(cache, mem, 6, 7, 1000, &found));
	ck_assert(!rights_cache_find(cache, mem, 5, 8, 1000, &found));
	rights_cache_destroy(cache);
	arena_destroy(mem);
}
END_TEST

START_TEST(a_refusal_is_never_kept)
{
	struct arena *mem = arena_create();
	struct rights_cache *cache = rights_cache_create(64);
	struct rights r = held(7), found;

	r.status = STATUS_NOT_FOUND;
	rights_cache_put(cache, 5, &r);
	ck_assert(!rights_cache_find(cache, mem, 5, 7, 1000, &found));
	rights_cache_destroy(cache);
	arena_destroy(mem);
}
END_TEST

START_TEST(an_answer_past_its_end_is_not_found)
{
	struct arena *mem = arena_create();
	struct rights_cache *cache = rights_cache_create(64);
	struct rights r = held(7), found;

	r.valid_until_ms = 1000;
	rights_cache_put(cache, 5, &r);
	ck_assert(rights_cache_find(cache, mem, 5, 7, 999, &found));
	ck_assert(!rights_cache_find(cache, mem, 5, 7, 1000, &found));
	rights_cache_destroy(cache);
	arena_destroy(mem);
}
END_TEST

START_TEST(what_was_dropped_is_gone_and_what_is_put_again_replaces)
{
	struct arena *mem = arena_create();
	struct rights_cache *cache = rights_cache_create(64);
	struct rights r = held(7), found;

	rights_cache_put(cache, 5, &r);
	r.stream_epoch = 9;
	rights_cache_put(cache, 5, &r);
	ck_assert(rights_cache_find(cache, mem, 5, 7, 1, &found));
	ck_assert_uint_eq(found.stream_epoch, 9);
	rights_cache_drop(cache, 5, 7);
	ck_assert(!rights_cache_find(cache, mem, 5, 7, 1, &found));
	rights_cache_drop(cache, 5, 7);
	rights_cache_destroy(cache);
	arena_destroy(mem);
}
END_TEST

START_TEST(the_cache_keeps_no_more_than_its_bound)
{
	struct arena *mem = arena_create();
	struct rights_cache *cache = rights_cache_create(64);
	struct rights found;
	int kept = 0;

	for (uint64_t user = 1; user <= 10000; user++) {
		struct rights r = held(7);
		rights_cache_put(cache, user, &r);
	}
	for (uint64_t user = 1; user <= 10000; user++)
		kept += rights_cache_find(cache, mem, user, 7, 1, &found);
	ck_assert_int_le(kept, 64);
	ck_assert_int_ge(kept, 32);
	ck_assert(rights_cache_find(cache, mem, 10000, 7, 1, &found));
	rights_cache_destroy(cache);
	arena_destroy(mem);
}
END_TEST

static pb_Rights answer(void)
{
	return (pb_Rights){.team_id = 1,
		.channel_id = 7,
		.status = STATUS_OK,
		.has_bits = true,
		.bits = {.low = UINT64_C(1) << PERMISSION_send_messages},
		.rank = RANK_TEAM,
		.stream_id = 1,
		.stream_epoch = 3,
		.member_epoch = 4,
		.audience = (char *)"channel:7",
		.has_channel = true,
		.channel = {.id = 7, .name = (char *)"secret", .kind = CHANNEL_TEXT, .private = true}};
}

START_TEST(an_answer_of_moderation_becomes_rights)
{
	pb_Rights a = answer();
	struct rights r;
	const char *why = NULL;

	a.open_audience = (char *)"team:1";
	rights_from_answer(&a, false, &r);
	ck_assert_int_eq(r.status, STATUS_OK);
	ck_assert_int_eq(stream_compare(r.stream, STREAM_TEAM(1)), 0);
	ck_assert_str_eq(r.audience, "channel:7");
	ck_assert_str_eq(r.open_audience, "team:1");
	ck_assert(r.channel_private);
	ck_assert_int_eq(rights_need(&r, PERMISSION_send_messages, &why), STATUS_OK);
	ck_assert_int_eq(rights_need(&r, PERMISSION_read_history, &why), STATUS_FORBIDDEN);
	ck_assert_str_eq(why, "read_history");
}
END_TEST

START_TEST(without_an_open_key_the_channels_own_stays)
{
	pb_Rights a = answer();
	struct rights r;

	rights_from_answer(&a, false, &r);
	ck_assert_str_eq(r.open_audience, "channel:7");
}
END_TEST

START_TEST(an_answer_without_stream_or_key_serves_for_nothing)
{
	pb_Rights a = answer();
	struct rights r;

	a.audience = NULL;
	rights_from_answer(&a, false, &r);
	ck_assert_int_eq(r.status, STATUS_INTERNAL);
	a = answer();
	a.rank = 0;
	rights_from_answer(&a, false, &r);
	ck_assert_int_eq(r.status, STATUS_INTERNAL);
}
END_TEST

START_TEST(the_system_may_everything_in_what_exists)
{
	pb_Rights a = answer();
	struct rights r;
	const char *why = NULL;

	a.status = STATUS_NOT_FOUND;
	a.bits = (pb_Bits){0};
	rights_from_answer(&a, true, &r);
	ck_assert_int_eq(rights_need(&r, PERMISSION_delete_channel, &why), STATUS_OK);
	a.rank = 0; /* there is no such channel */
	rights_from_answer(&a, true, &r);
	ck_assert_int_eq(r.status, STATUS_NOT_FOUND);
}
END_TEST

START_TEST(what_restricts_a_person_as_a_whole_is_named)
{
	static const struct {
		const char *why;
		enum status status;
	} cases[] = {{"archived", STATUS_ARCHIVED}, {"timeout", STATUS_TIMED_OUT},
		{"blocked", STATUS_BLOCKED}, {"role", STATUS_FORBIDDEN}, {"muted", STATUS_FORBIDDEN}};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct rights r = held(7);
		const char *why = NULL;
		r.why = cases[i].why;
		ck_assert_int_eq(rights_need(&r, PERMISSION_pin_messages, &why), cases[i].status);
		ck_assert_ptr_nonnull(why);
	}
}
END_TEST

START_TEST(a_reply_takes_both_rights_and_a_thread_its_own)
{
	struct rights r = held(7);
	const char *why = NULL;

	ck_assert_int_eq(rights_need_post(&r, true, &why), STATUS_OK);
	r.bits = bits_without(r.bits, PERMISSION_reply_messages);
	ck_assert_int_eq(rights_need_post(&r, false, &why), STATUS_OK);
	ck_assert_int_eq(rights_need_post(&r, true, &why), STATUS_FORBIDDEN);
	ck_assert_str_eq(why, "reply_messages");
	r.channel_kind = CHANNEL_THREAD;
	ck_assert_int_eq(rights_need_post(&r, false, &why), STATUS_FORBIDDEN);
	r.bits = bits_with(r.bits, PERMISSION_send_in_threads);
	ck_assert_int_eq(rights_need_post(&r, true, &why), STATUS_OK);
}
END_TEST

START_TEST(slow_mode_is_passed_by_the_right_by_deleting_and_by_bots_that_may_update)
{
	struct rights r = held(7);

	ck_assert(!rights_slow_exempt(&r, false));
	ck_assert(!rights_slow_exempt(&r, true));
	r.bits = bits_with((struct bits){0}, PERMISSION_update_channel);
	ck_assert(!rights_slow_exempt(&r, false));
	ck_assert(rights_slow_exempt(&r, true));
	r.bits = bits_with((struct bits){0}, PERMISSION_bypass_slow_mode);
	ck_assert(rights_slow_exempt(&r, false));
	r.bits = bits_with((struct bits){0}, PERMISSION_delete_any_message);
	ck_assert(rights_slow_exempt(&r, false));
}
END_TEST

TESTS("rights", what_was_put_is_found_with_a_name_of_its_own, a_refusal_is_never_kept,
	an_answer_past_its_end_is_not_found, what_was_dropped_is_gone_and_what_is_put_again_replaces,
	the_cache_keeps_no_more_than_its_bound, an_answer_of_moderation_becomes_rights,
	without_an_open_key_the_channels_own_stays, an_answer_without_stream_or_key_serves_for_nothing,
	the_system_may_everything_in_what_exists, what_restricts_a_person_as_a_whole_is_named,
	a_reply_takes_both_rights_and_a_thread_its_own,
	slow_mode_is_passed_by_the_right_by_deleting_and_by_bots_that_may_update)
