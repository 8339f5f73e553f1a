#include "services/gateway/hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/ids.h"
#include "common/bus/event.h"
#include "services/gateway/catchup.h"
#include "services/gateway/topics.h"
#include "tests/unit/gateway/world.h"
#include "tests/unit/main.h"

static const char *query_of(char out[512], const char *rest, uint64_t channel, uint64_t channel2)
{
	char a[64], b[64];

	snprintf(out, 512, "topics=%s,%s%s", world_topic(a, "channel", channel),
		world_topic(b, "channel", channel2), rest);
	return out;
}

static const char *topics_of(char out[512], const char *class_name, uint64_t id, const char *rest)
{
	char a[64];

	snprintf(out, 512, "topics=%s%s", world_topic(a, class_name, id), rest);
	return out;
}

START_TEST(hello_comes_first_and_events_of_a_topic_follow)
{
	struct world *w = world_create();
	char query[512];
	struct world_client *c = world_connect(w, 1, topics_of(query, "channel", CHANNEL_A, "&resume=1"));

	world_settle(w);
	ck_assert_uint_eq(c->got_count, 2);
	ck_assert_str_eq(json_string_value(json_object_get(c->got[0], "type")), "hello");
	ck_assert_str_eq(json_string_value(json_object_get(c->got[1], "type")), "subscribed");
	uint64_t a = world_post(w, CHANNEL_A), b = world_post(w, CHANNEL_B);
	world_settle(w);
	ck_assert_uint_eq(world_times(c, STREAM_TEAM(TEAM), a), 1);
	ck_assert_uint_eq(world_times(c, STREAM_TEAM(TEAM), b), 0);
	world_destroy(w);
}
END_TEST

START_TEST(a_wrong_token_is_closed_with_4401_and_a_disabled_account_with_4403)
{
	struct world *w = world_create();
	struct world_client *wrong = world_connect(w, 77, ""), *first_frame = world_connect(w, 0, "");

	world_settle(w);
	ck_assert_uint_eq(wrong->close_code, 4401);
	ck_assert_uint_eq(first_frame->close_code, 0);
	w->token_disabled = true;
	world_say(first_frame, "{\"op\":\"authenticate\",\"token\":\"user1\"}");
	world_settle(w);
	ck_assert_uint_eq(first_frame->close_code, 4403);
	world_destroy(w);
}
END_TEST

START_TEST(without_a_token_in_time_it_is_4408)
{
	struct world *w = world_create();
	struct world_client *c = world_connect(w, 0, "");

	world_pass(w, 9900);
	world_read(c);
	ck_assert_uint_eq(c->close_code, 0);
	world_pass(w, 200);
	world_read(c);
	ck_assert_uint_eq(c->close_code, 4408);
	world_destroy(w);
}
END_TEST

START_TEST(while_api_is_away_authentication_waits_and_then_asks_to_come_back)
{
	struct world *w = world_create();
	struct world_client *c = world_connect(w, 1, "");

	w->fail_with = STATUS_BUSY;
	for (int i = 0; i < 12; i++) {
		world_settle(w);
		world_pass(w, 300);
	}
	ck_assert_uint_eq(c->close_code, 0);
	w->fail_with = STATUS_OK;
	world_settle(w);
	world_pass(w, 300);
	world_settle(w);
	ck_assert_uint_eq(world_count(c, "hello"), 1);

	c = world_connect(w, 2, "");
	w->fail_with = STATUS_BUSY;
	for (int i = 0; i < 40; i++) {
		world_settle(w);
		world_pass(w, 300);
	}
	ck_assert_uint_eq(c->close_code, 1012);
	world_destroy(w);
}
END_TEST

START_TEST(an_event_comes_once_however_many_topics_match)
{
	struct world *w = world_create();
	char query[512], a[64], t[64];

	snprintf(query, sizeof query, "topics=%s,%s,global&resume=1", world_topic(a, "channel", CHANNEL_A),
		world_topic(t, "team", TEAM));
	struct world_client *c = world_connect(w, 1, query);
	world_settle(w);
	uint64_t first = world_post(w, CHANNEL_A), second = world_post(w, CHANNEL_B);
	world_settle(w);
	ck_assert_uint_eq(world_times(c, STREAM_TEAM(TEAM), first), 1);
	ck_assert_uint_eq(world_times(c, STREAM_TEAM(TEAM), second), 1);
	world_destroy(w);
}
END_TEST

START_TEST(a_copy_in_the_users_stream_is_not_sent_a_second_time)
{
	struct world *w = world_create();
	char query[512], t[64], u[64];

	snprintf(
		query, sizeof query, "topics=%s,%s", world_topic(t, "team", TEAM), world_topic(u, "user", 1));
	struct world_client *both = world_connect(w, 1, query),
			    *one = world_connect(w, 1, topics_of(query, "user", 1, ""));
	world_settle(w);
	pb_Event event = {.event_id = 99};
	event.body.channel_user_unbanned = (pb_ChannelUserBanned){.has_channel = true,
		.channel = {.id = CHANNEL_A, .team_id = TEAM, .name = (char *)"a"},
		.has_user = true,
		.user = {.id = 1, .username = (char *)"u"}};
	world_append(w, &w->team, EVENT_KIND_channel_user_unbanned, "team:7", &event);
	world_append(w, &w->users[1], EVENT_KIND_channel_user_unbanned, "user:1", &event);
	world_settle(w);
	ck_assert_uint_eq(world_count(both, "user_unbanned"), 1);
	ck_assert_uint_eq(world_count(one, "user_unbanned"), 1);
	ck_assert_ptr_null(json_object_get(world_data(one, "user_unbanned", 0), "user_id"));
	world_destroy(w);
}
END_TEST

START_TEST(topics_that_may_not_be_had_are_refused_and_the_others_stand)
{
	struct world *w = world_create();
	char text[1024], a[64], b[64], u[64], t[64];
	struct world_client *c = world_connect(w, 1, "");

	w->rights[1] = RIGHT_TEAM;
	world_settle(w);
	snprintf(text, sizeof text,
		"{\"op\":\"subscribe\",\"topics\":[\"%s\",\"%s\",\"%s\",\"%s\",\"nonsense\"],\"ref\":\"r\"}",
		world_topic(a, "channel", CHANNEL_A), world_topic(b, "channel", CHANNEL_B),
		world_topic(u, "user", 2), world_topic(t, "team", 8));
	world_say(c, text);
	world_settle(w);
	ck_assert_uint_eq(world_count(c, "error"), 4);
	ck_assert_str_eq(json_string_value(json_object_get(world_data(c, "error", 0), "code")), "not_found");
	ck_assert_str_eq(json_string_value(json_object_get(world_data(c, "error", 1), "code")), "forbidden");
	ck_assert_str_eq(json_string_value(json_object_get(world_data(c, "error", 2), "code")), "not_found");
	ck_assert_str_eq(
		json_string_value(json_object_get(world_data(c, "error", 3), "code")), "field_invalid");
	ck_assert_str_eq(json_string_value(json_object_get(world_data(c, "error", 3), "ref")), "r");
	json_t *topics = json_object_get(world_data(c, "subscribed", 0), "topics");
	ck_assert_uint_eq(json_array_size(topics), 1);
	ck_assert_str_eq(json_string_value(json_array_get(topics, 0)), a);
	world_destroy(w);
}
END_TEST

START_TEST(a_channel_that_others_made_known_is_still_refused_without_its_key)
{
	struct world *w = world_create();
	char query[512];
	struct world_client *may = world_connect(w, 1, topics_of(query, "channel", CHANNEL_B, ""));

	w->rights[2] = RIGHT_TEAM;
	world_settle(w);
	struct world_client *may_not = world_connect(w, 2, topics_of(query, "channel", CHANNEL_B, ""));
	world_settle(w);
	ck_assert_uint_eq(world_count(may, "subscribed"), 1);
	ck_assert_uint_eq(world_count(may_not, "subscribed"), 0);
	ck_assert_str_eq(
		json_string_value(json_object_get(world_data(may_not, "error", 0), "code")), "not_found");
	world_destroy(w);
}
END_TEST

START_TEST(a_known_and_an_unknown_channel_of_one_stream_begin_together)
{
	struct world *w = world_create();
	char query[512];
	struct world_client *first = world_connect(w, 1, topics_of(query, "channel", CHANNEL_A, "&resume=1"));

	world_settle(w);
	struct world_client *both = world_connect(w, 2, query_of(query, "&resume=1", CHANNEL_A, CHANNEL_B));
	world_settle(w);
	uint64_t a = world_post(w, CHANNEL_A), b = world_post(w, CHANNEL_B);
	world_settle(w);
	ck_assert_uint_eq(world_times(first, STREAM_TEAM(TEAM), a), 1);
	ck_assert_uint_eq(world_times(both, STREAM_TEAM(TEAM), a), 1);
	ck_assert_uint_eq(world_times(both, STREAM_TEAM(TEAM), b), 1);
	world_destroy(w);
}
END_TEST

/* The key comes and goes while moderation is asked about the channel: nothing of it may be sent after all. */
START_TEST(a_refused_channel_has_left_nothing_behind)
{
	struct world *w = world_create();
	char query[512];
	struct world_client *known = world_connect(w, 1, query_of(query, "", CHANNEL_A, CHANNEL_B));

	w->rights[2] = RIGHT_TEAM;
	world_settle(w);
	struct world_client *c = world_connect(w, 2, query_of(query, "&resume=1", CHANNEL_A, CHANNEL_B));
	while (w->asked_count == 0 || w->asked[0].kind != ASKED_RIGHTS) { /* up to the question about B */
		world_turn(w, 1000);
		if (w->asked_count > 0 && w->asked[0].kind != ASKED_RIGHTS)
			world_answer(w, 0);
		world_deliver(w, &w->users[2]);
	}
	world_serve(w, 0);
	world_change(w, 2, RIGHT_TEAM | RIGHT_B);
	uint64_t meanwhile = world_post(w, CHANNEL_B), a = world_post(w, CHANNEL_A);
	world_change(w, 2, RIGHT_TEAM);
	while (world_deliver(w, &w->team))
		;
	world_turn(w, 1000);
	world_settle(w);
	ck_assert_uint_eq(world_count(c, "subscribed"), 1);
	ck_assert_uint_eq(world_count(c, "error"), 1);
	ck_assert_uint_eq(world_times(c, STREAM_TEAM(TEAM), meanwhile), 0);
	ck_assert_uint_eq(world_times(c, STREAM_TEAM(TEAM), a), 1);
	ck_assert_uint_eq(world_count(known, "error"), 0);
	world_destroy(w);
}
END_TEST

START_TEST(moderation_away_means_busy_for_a_subscribe)
{
	struct world *w = world_create();
	struct world_client *c = world_connect(w, 1, "");
	char text[256], a[64];

	world_settle(w);
	w->fail_with = STATUS_BUSY;
	snprintf(text, sizeof text, "{\"op\":\"subscribe\",\"topics\":[\"%s\"]}",
		world_topic(a, "team", TEAM));
	world_say(c, text);
	for (int i = 0; i < 50; i++) {
		world_settle(w);
		world_pass(w, 100);
	}
	world_settle(w);
	ck_assert_str_eq(json_string_value(json_object_get(world_data(c, "error", 0), "code")), "busy");
	ck_assert_uint_eq(c->close_code, 0);
	world_destroy(w);
}
END_TEST

START_TEST(a_lost_key_takes_the_channel_away_at_its_event)
{
	struct world *w = world_create();
	char query[512];
	struct world_client *c = world_connect(w, 1, query_of(query, "&resume=1", CHANNEL_A, CHANNEL_B));

	world_settle(w);
	uint64_t before = world_post(w, CHANNEL_B);
	world_change(w, 1, RIGHT_TEAM);
	uint64_t between = world_post(w, CHANNEL_B), open = world_post(w, CHANNEL_A);
	world_change(w, 1, RIGHT_TEAM | RIGHT_B);
	uint64_t after = world_post(w, CHANNEL_B);
	world_settle(w);
	ck_assert_uint_eq(world_times(c, STREAM_TEAM(TEAM), before), 1);
	ck_assert_uint_eq(world_times(c, STREAM_TEAM(TEAM), between), 0);
	ck_assert_uint_eq(world_times(c, STREAM_TEAM(TEAM), open), 1);
	ck_assert_uint_eq(world_times(c, STREAM_TEAM(TEAM), after), 1);
	world_destroy(w);
}
END_TEST

START_TEST(a_kick_ends_every_topic_of_the_team)
{
	struct world *w = world_create();
	char query[512], t[64];

	snprintf(query, sizeof query, "topics=%s&resume=1", world_topic(t, "team", TEAM));
	struct world_client *c = world_connect(w, 1, query);
	world_settle(w);
	world_change(w, 1, 0);
	world_change(w, 1, RIGHT_TEAM | RIGHT_B);
	uint64_t after = world_post(w, CHANNEL_A);
	world_settle(w);
	ck_assert_uint_eq(world_times(c, STREAM_TEAM(TEAM), after), 0);
	ck_assert_uint_eq(topics_count(&c->client), 0);
	world_destroy(w);
}
END_TEST

START_TEST(a_stream_under_recheck_stands_still_until_moderation_answers)
{
	struct world *w = world_create();
	char query[512];
	struct world_client *c = world_connect(w, 1, query_of(query, "&resume=1", CHANNEL_A, CHANNEL_B));
	uint8_t rights[USERS + 1] = {0, RIGHT_TEAM, RIGHT_TEAM, RIGHT_TEAM, RIGHT_TEAM};

	world_settle(w);
	world_recheck(w, rights);
	uint64_t a = world_post(w, CHANNEL_A), b = world_post(w, CHANNEL_B);
	while (world_deliver(w, &w->team))
		;
	world_turn(w, 1000);
	world_read(c);
	ck_assert_uint_eq(world_times(c, STREAM_TEAM(TEAM), a), 0);
	w->fail_with = STATUS_BUSY;
	world_settle(w);
	ck_assert_uint_eq(world_times(c, STREAM_TEAM(TEAM), a), 0);
	w->fail_with = STATUS_OK;
	world_pass(w, 1100);
	world_settle(w);
	ck_assert_uint_eq(world_times(c, STREAM_TEAM(TEAM), a), 1);
	ck_assert_uint_eq(world_times(c, STREAM_TEAM(TEAM), b), 0);
	world_destroy(w);
}
END_TEST

START_TEST(a_right_given_by_a_recheck_begins_with_it)
{
	struct world *w = world_create();
	char query[512], t[64];
	uint8_t rights[USERS + 1] = {0, RIGHT_TEAM | RIGHT_B, RIGHT_TEAM, RIGHT_TEAM, RIGHT_TEAM};

	w->rights[1] = RIGHT_TEAM;
	snprintf(query, sizeof query, "topics=%s&resume=1", world_topic(t, "team", TEAM));
	struct world_client *c = world_connect(w, 1, query);
	world_settle(w);
	uint64_t before = world_post(w, CHANNEL_B);
	world_recheck(w, rights);
	uint64_t after = world_post(w, CHANNEL_B);
	world_settle(w); /* the answer's as_of is `after`, its unchanged_since the recheck */
	ck_assert_uint_eq(world_times(c, STREAM_TEAM(TEAM), before), 0);
	ck_assert_uint_eq(world_times(c, STREAM_TEAM(TEAM), after), 1);
	world_destroy(w);
}
END_TEST

/* Taken away by a recheck and given back before moderation answers. */
static struct world_client *doubtful(struct world *w, bool with_post)
{
	char query[512], t[64];
	uint8_t without[USERS + 1] = {0, RIGHT_TEAM, RIGHT_TEAM, RIGHT_TEAM, RIGHT_TEAM};

	snprintf(query, sizeof query, "topics=%s&resume=1", world_topic(t, "team", TEAM));
	struct world_client *c = world_connect(w, 1, query);
	world_settle(w);
	world_recheck(w, without);
	if (with_post)
		world_post(w, CHANNEL_B);
	world_change(w, 1, RIGHT_TEAM | RIGHT_B);
	world_settle(w);
	return c;
}

START_TEST(what_nobody_can_know_is_neither_sent_nor_lost_in_silence)
{
	struct world *w = world_create();
	struct world_client *c = doubtful(w, true);

	ck_assert_uint_eq(world_count(c, "channel_message"), 0);
	ck_assert_uint_eq(world_count(c, "reconnect"), 1);
	ck_assert_uint_eq(c->close_code, 1012);
	world_destroy(w);
}
END_TEST

START_TEST(doubt_without_an_event_ends_with_the_answer)
{
	struct world *w = world_create();
	struct world_client *c = doubtful(w, false);

	uint64_t after = world_post(w, CHANNEL_B);
	world_settle(w);
	ck_assert_uint_eq(c->close_code, 0);
	ck_assert_uint_eq(world_times(c, STREAM_TEAM(TEAM), after), 1);
	world_destroy(w);
}
END_TEST

static void revoke(struct world *w, uint64_t user, uint64_t session, uint32_t why)
{
	pb_Event event = {0};
	char key[AUDIENCE_SIZE];

	audience_key(key, "user", user);
	event.body.session_revoked = (pb_SessionRevoked){.user_id = user, .session_id = session, .why = why};
	world_append(w, &w->users[user], EVENT_KIND_session_revoked, key, &event);
}

START_TEST(a_revoked_session_is_closed_and_its_queue_thrown_away)
{
	struct world *w = world_create();
	char query[512];
	struct world_client *c = world_connect(w, 1, topics_of(query, "channel", CHANNEL_A, "&resume=1"));

	world_settle(w);
	uint64_t seq = world_post(w, CHANNEL_A);
	while (world_deliver(w, &w->team))
		;
	world_turn(w, 1000); /* queued, not read */
	revoke(w, 1, 101, CLOSE_WHY_REVOKED);
	while (world_deliver(w, &w->users[1]))
		;
	world_turn(w, 1000);
	world_read(c);
	ck_assert_uint_eq(world_times(c, STREAM_TEAM(TEAM), seq), 0);
	ck_assert_uint_eq(c->close_code, 4401);
	world_destroy(w);
}
END_TEST

START_TEST(a_socket_ends_with_its_token_and_not_a_heartbeat_later)
{
	struct world *w = world_create();

	w->token_expires_at_ms = (uint64_t)w->hub.now_wall_ms + 3000;
	struct world_client *c = world_connect(w, 1, "");
	world_settle(w);
	w->token_expires_at_ms = 0;
	struct world_client *other = world_connect(w, 2, "");
	world_settle(w);
	ck_assert_int_gt(w->hub.options.heartbeat_ms, 6100);
	world_pass(w, 2000);
	world_read(c);
	ck_assert_uint_eq(c->close_code, 0);
	world_pass(w, 1100); /* a tick of the wheel later */
	world_read(c);
	world_read(other);
	ck_assert_uint_eq(c->close_code, 4401);
	ck_assert_uint_eq(other->close_code, 0);
	world_destroy(w);
}
END_TEST

START_TEST(another_sessions_end_is_news_and_not_the_end)
{
	struct world *w = world_create();
	char query[512];
	struct world_client *c = world_connect(w, 1, topics_of(query, "user", 1, ""));

	world_settle(w);
	revoke(w, 1, 555, CLOSE_WHY_REVOKED);
	world_settle(w);
	ck_assert_uint_eq(c->close_code, 0);
	ck_assert_uint_eq(world_count(c, "session_revoked"), 1);
	revoke(w, 1, 0, CLOSE_WHY_DISABLED);
	world_settle(w);
	ck_assert_uint_eq(c->close_code, 4403);
	world_destroy(w);
}
END_TEST

START_TEST(a_revocation_between_the_token_and_the_stream_is_not_missed)
{
	struct world *w = world_create();
	struct world_client *other = world_connect(w, 1, "");

	world_settle(w); /* user 1's stream is followed */
	struct world_client *c = world_connect(w, 1, "");
	world_serve(w, 0); /* the token was good then */
	revoke(w, 1, 0, CLOSE_WHY_REVOKED);
	while (world_deliver(w, &w->users[1]))
		;
	world_turn(w, 1000);
	w->token_disabled = true;
	world_settle(w);
	ck_assert_uint_eq(world_count(c, "hello"), 0);
	ck_assert_uint_eq(c->close_code, 4403);
	ck_assert_uint_eq(other->close_code, 4401);
	world_destroy(w);
}
END_TEST

START_TEST(what_was_missed_is_replayed_once_and_then_it_is_live)
{
	struct world *w = world_create();
	char query[512], text[512], a[64];
	struct world_client *c = world_connect(w, 1, topics_of(query, "channel", CHANNEL_A, "&resume=1"));

	world_settle(w);
	uint64_t seen = world_post(w, CHANNEL_A);
	world_settle(w);
	world_disconnect(c);
	uint64_t first = world_post(w, CHANNEL_A);
	for (int i = 0; i < 700; i++)
		world_post(w, i % 3 == 0 ? CHANNEL_B : CHANNEL_A);
	c = world_connect(w, 1, "");
	world_settle(w);
	snprintf(text, sizeof text,
		"{\"op\":\"subscribe\",\"topics\":[\"%s\"],\"since\":{\"generation\":\"one/1/"
		"1\",\"streams\":{\"1-%016x\":%u}},\"ref\":1}",
		world_topic(a, "channel", CHANNEL_A), (unsigned)TEAM, (unsigned)seen);
	world_say(c, text);
	world_settle(w);
	uint64_t live = world_post(w, CHANNEL_A);
	world_settle(w);
	json_t *answer = json_object_get(
		json_object_get(world_data(c, "subscribed", 0), "streams"), "1-0000000000000007");
	ck_assert(json_is_true(json_object_get(answer, "recovered")));
	ck_assert_uint_eq((uint64_t)json_integer_value(json_object_get(answer, "seq")), seen);
	uint64_t last = 0;
	for (uint64_t seq = 1; seq <= live; seq++)
		ck_assert_uint_eq(world_times(c, STREAM_TEAM(TEAM), seq),
			seq >= first && w->team.entries[seq].channel_id == CHANNEL_A);
	for (size_t i = 0; i < c->got_count; i++) {
		json_t *seq = json_object_get(c->got[i], "seq");
		if (seq == NULL)
			continue;
		ck_assert_uint_gt((uint64_t)json_integer_value(seq), last);
		last = (uint64_t)json_integer_value(seq);
	}
	world_destroy(w);
}
END_TEST

static bool recovers(struct world *w, uint64_t user, const char *generation, uint64_t since)
{
	char text[512], a[64];
	struct world_client *c = world_connect(w, user, "");

	world_settle(w);
	snprintf(text, sizeof text,
		"{\"op\":\"subscribe\",\"topics\":[\"%s\"],\"since\":{\"generation\":\"%s\",\"streams\":{\"1-"
		"%016x\":%u}}}",
		world_topic(a, "channel", CHANNEL_A), generation, (unsigned)TEAM, (unsigned)since);
	world_say(c, text);
	world_settle(w);
	for (int i = 0; i < 50 && world_count(c, "subscribed") == 0; i++) {
		world_pass(w, 100);
		world_settle(w);
		world_read(c);
	}
	ck_assert_uint_eq(world_count(c, "subscribed"), 1);
	json_t *answer = json_object_get(
		json_object_get(world_data(c, "subscribed", 0), "streams"), "1-0000000000000007");
	bool recovered = json_is_true(json_object_get(answer, "recovered"));
	if (!recovered) {
		ck_assert_uint_eq((uint64_t)json_integer_value(json_object_get(answer, "seq")), w->team.head);
		ck_assert_uint_eq(world_count(c, "channel_message"), 0);
	}
	world_disconnect(c);
	return recovered;
}

START_TEST(what_cannot_be_recovered_is_said_plainly)
{
	struct world *w = world_create();

	for (int i = 0; i < 20; i++)
		world_post(w, CHANNEL_A);
	world_change(w, 2, RIGHT_TEAM);
	for (int i = 0; i < 20; i++)
		world_post(w, CHANNEL_A);
	ck_assert(recovers(w, 1, "one/1/1", 5));
	ck_assert(recovers(w, 1, "one/1/1", w->team.head));
	ck_assert(!recovers(w, 1, "another/1/1", 5));            /* generation */
	ck_assert(!recovers(w, 1, "one/1/1", w->team.head + 1)); /* beyond the head */
	ck_assert(!recovers(w, 2, "one/1/1", 5));                /* his rights changed at 21 */
	ck_assert(recovers(w, 2, "one/1/1", 21));
	w->team.gone_before = 10;
	pages_forget(&w->hub);
	ck_assert(!recovers(w, 1, "one/1/1", 9)); /* the log begins at 11 */
	ck_assert(recovers(w, 1, "one/1/1", 10));
	world_destroy(w);
}
END_TEST

START_TEST(a_stream_that_is_named_and_not_open_is_answered_without_its_place)
{
	struct world *w = world_create();
	char text[512], a[64];
	struct world_client *c = world_connect(w, 1, "");

	world_settle(w);
	snprintf(text, sizeof text,
		"{\"op\":\"subscribe\",\"topics\":[\"%s\"],\"since\":{\"generation\":\"one/1/1\",\"streams\":{"
		"\"1-%016x\":0,\"2-0000000000000002\":0,\"1-ffffffffffffffff\":7,\"a \\\"b\":1}}}",
		world_topic(a, "channel", CHANNEL_A), (unsigned)TEAM);
	world_say(c, text);
	world_settle(w);
	json_t *streams = json_object_get(world_data(c, "subscribed", 0), "streams");
	ck_assert_uint_eq(json_object_size(streams), 4);
	ck_assert(json_is_true(json_object_get(json_object_get(streams, "1-0000000000000007"), "recovered")));
	static const char *const others[] = {"2-0000000000000002", "1-ffffffffffffffff", "a \"b"};
	for (size_t i = 0; i < 3; i++) {
		json_t *answer = json_object_get(streams, others[i]);
		ck_assert(json_is_false(json_object_get(answer, "recovered")));
		ck_assert_uint_eq(json_object_size(answer), 1);
	}
	world_destroy(w);
}
END_TEST

START_TEST(a_long_replay_waits_for_a_client_that_reads_slowly)
{
	struct world *w = world_create();
	char text[512], a[64];

	for (int i = 0; i < 2000; i++)
		world_post(w, CHANNEL_A);
	struct world_client *c = world_connect(w, 1, "");
	world_settle(w);
	snprintf(text, sizeof text,
		"{\"op\":\"subscribe\",\"topics\":[\"%s\"],\"since\":{\"generation\":\"one/1/"
		"1\",\"streams\":{\"1-%016x\":0}}}",
		world_topic(a, "channel", CHANNEL_A), (unsigned)TEAM);
	world_say(c, text);
	for (int i = 0; i < 20; i++) { /* not one byte is read meanwhile */
		world_turn(w, 1000);
		while (w->asked_count > 0)
			world_answer(w, 0);
		while (world_deliver(w, &w->team))
			;
	}
	ck_assert_uint_le(c->client.queue.bytes, 65536 / 2 + 1024);
	world_post(w, CHANNEL_A);
	world_settle(w);
	ck_assert_uint_eq(world_count(c, "channel_message"), 2001);
	ck_assert_uint_eq(c->close_code, 0);
	ck_assert_uint_eq(c->client.flags & CLIENT_CATCHING, 0);
	world_destroy(w);
}
END_TEST

START_TEST(a_heartbeat_tells_the_position_of_streams_that_moved_in_silence)
{
	struct world *w = world_create();
	char query[512];
	struct world_client *c = world_connect(w, 1, topics_of(query, "channel", CHANNEL_A, "&resume=1"));

	world_settle(w);
	world_pass(w, 26000);
	world_read(c);
	ck_assert_uint_eq(world_count(c, "position"), 0); /* nothing moved */
	world_post(w, CHANNEL_B);
	world_settle(w);
	world_pass(w, 26000);
	world_read(c);
	ck_assert_uint_eq(world_count(c, "position"), 1);
	json_t *streams = json_object_get(world_data(c, "position", 0), "streams");
	ck_assert_uint_eq(
		(uint64_t)json_integer_value(json_object_get(streams, "1-0000000000000007")), w->team.head);
	world_pass(w, 26000);
	world_read(c);
	ck_assert_uint_eq(world_count(c, "position"), 1);
	world_destroy(w);
}
END_TEST

START_TEST(silence_for_two_heartbeats_is_4408)
{
	struct world *w = world_create();
	struct world_client *c = world_connect(w, 1, "");

	world_settle(w);
	int seconds = 0;
	for (; seconds < 100 && c->client.state == CLIENT_READY; seconds++)
		world_pass(w, 1000);
	ck_assert_int_ge(seconds, 50);
	ck_assert_int_le(seconds, 76);
	world_read(c);
	ck_assert_uint_eq(c->close_code, 4408);
	world_destroy(w);
}
END_TEST

START_TEST(a_reader_that_does_not_read_is_closed_with_4409)
{
	struct world *w = world_create();
	char query[512];
	struct world_client *slow = world_connect(w, 1, topics_of(query, "channel", CHANNEL_A, ""));
	struct world_client *fast = world_connect(w, 2, topics_of(query, "channel", CHANNEL_A, ""));

	world_settle(w);
	for (int i = 0; i < 600; i++) {
		world_post(w, CHANNEL_A);
		world_deliver(w, &w->team);
		world_turn(w, 1000);
		world_read(fast);
	}
	world_read(slow);
	ck_assert_uint_eq(slow->close_code, 4409);
	ck_assert_uint_eq(world_count(fast, "channel_message"), 600);
	world_destroy(w);
}
END_TEST

START_TEST(another_generation_sends_everybody_away)
{
	struct world *w = world_create();
	char query[512];
	struct world_client *c = world_connect(w, 1, topics_of(query, "channel", CHANNEL_A, ""));

	world_settle(w);
	strcpy(w->generation, "two/1/1");
	hub_generation_changed(&w->hub);
	world_settle(w);
	ck_assert_uint_eq(world_count(c, "reconnect"), 1);
	ck_assert_uint_eq(c->close_code, 1012);
	world_destroy(w);
}
END_TEST

START_TEST(a_position_bears_the_name_of_its_own_generation_though_the_bus_is_a_step_ahead)
{
	struct world *w = world_create();
	char query[512];
	struct world_client *c = world_connect(w, 1, topics_of(query, "channel", CHANNEL_A, "&resume=1"));

	world_settle(w);
	world_post(w, CHANNEL_B);
	world_settle(w);
	strcpy(w->generation, "two/1/1"); /* the bus knows; its word is still in the mailbox */
	world_pass(w, 26000);
	world_read(c);
	ck_assert_uint_eq(world_count(c, "position"), 1);
	ck_assert_str_eq(
		json_string_value(json_object_get(world_data(c, "position", 0), "generation")), "one/1/1");
	hub_generation_changed(&w->hub);
	world_settle(w);
	ck_assert_uint_eq(c->close_code, 1012);
	ck_assert(recovers(w, 2, "two/1/1", w->team.head));
	world_destroy(w);
}
END_TEST

START_TEST(a_token_of_a_log_that_the_bus_does_not_speak_of_is_asked_about_again)
{
	struct world *w = world_create();

	w->token_generation = generation_mark("two/1/1");
	struct world_client *c = world_connect(w, 1, "");
	world_settle(w);
	world_pass(w, 1000);
	world_read(c);
	ck_assert_uint_eq(world_count(c, "hello"), 0);
	w->token_generation = generation_mark("one/1/1");
	world_pass(w, 1000);
	world_settle(w);
	ck_assert_uint_eq(world_count(c, "hello"), 1);
	world_destroy(w);
}
END_TEST

START_TEST(before_the_generation_is_known_nothing_is_recovered)
{
	struct world *w = world_create();

	for (int i = 0; i < 3; i++)
		world_post(w, CHANNEL_A);
	w->generation[0] = '\0';
	ck_assert(!recovers(w, 1, "", w->team.head));
	ck_assert(!recovers(w, 1, "one/1/1", w->team.head));
	world_destroy(w);
}
END_TEST

START_TEST(a_subscribe_waits_until_the_generation_is_known)
{
	struct world *w = world_create();

	world_post(w, CHANNEL_A);
	w->generation[0] = '\0';
	struct world_client *c = world_connect(w, 1, "topics=global&resume=1");
	world_settle(w);
	world_pass(w, 500);
	world_settle(w);
	world_read(c);
	ck_assert_uint_eq(world_count(c, "hello"), 1);
	ck_assert_uint_eq(world_count(c, "subscribed"), 0);
	strcpy(w->generation, "one/1/1");
	world_pass(w, 500);
	world_settle(w);
	world_read(c);
	ck_assert_str_eq(json_string_value(json_object_get(world_data(c, "subscribed", 0), "generation")), "one/1/1");
	ck_assert(recovers(w, 1, "one/1/1", w->team.head));
	world_destroy(w);
}
END_TEST

START_TEST(a_team_joined_later_is_shown_where_everything_is_looked_at)
{
	struct world *w = world_create();
	struct world_client *c = NULL;

	w->rights[1] = 0;
	world_post(w, CHANNEL_A);
	c = world_connect(w, 1, "topics=global&resume=1");
	world_settle(w);
	ck_assert_uint_eq(world_count(c, "subscribed"), 1);
	world_change(w, 1, RIGHT_TEAM);
	pb_Event joined = {.event_id = 4242}, created = {0};
	joined.body.member_joined = (pb_MemberJoined){.has_member = true,
		.member = {.team_id = TEAM, .has_user = true, .user = {.id = 1, .username = (char *)"u"}}};
	world_append(w, &w->team, EVENT_KIND_member_joined, "team:7", &joined);
	world_append(w, &w->users[1], EVENT_KIND_member_joined, "user:1", &joined);
	/* Created before the gateway has opened the team for him, after he came in. */
	created.body.channel_created = (pb_ChannelCreated){.has_channel = true,
		.channel = {.id = 1003, .team_id = TEAM, .kind = CHANNEL_TEXT, .name = (char *)"new"}};
	world_append(w, &w->team, EVENT_KIND_channel_created, "team:7", &created);
	world_settle(w);
	ck_assert_uint_eq(world_count(c, "channel_created"), 1);
	created.event_id = 0;
	world_append(w, &w->team, EVENT_KIND_channel_created, "team:7", &created);
	world_settle(w);
	ck_assert_uint_eq(world_count(c, "channel_created"), 2);
	world_destroy(w);
}
END_TEST

START_TEST(a_held_stream_that_overflows_is_read_from_the_log)
{
	struct world *w = world_create();
	char query[512], long_text[4000];
	struct world_client *c = world_connect(w, 1, topics_of(query, "channel", CHANNEL_A, "&resume=1"));
	uint8_t rights[USERS + 1] = {0, RIGHT_TEAM, RIGHT_TEAM, RIGHT_TEAM, RIGHT_TEAM};

	memset(long_text, 'x', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = '\0';
	world_settle(w);
	world_recheck(w, rights);
	while (world_deliver(w, &w->team))
		;
	world_turn(w, 1000);
	for (int i = 0; i < 1500; i++) { /* 6 MB while the stream is held */
		pb_Event event = {0};
		event.body.message_posted = (pb_MessagePosted){.has_channel = true,
			.channel = {.id = CHANNEL_A, .team_id = TEAM, .name = (char *)"n"},
			.has_message = true,
			.message = {.id = 5, .kind = MESSAGE_TEXT, .content = long_text}};
		world_append(w, &w->team, EVENT_KIND_message_posted, "team:7", &event);
		world_deliver(w, &w->team);
	}
	for (int i = 0; i < 3000 && world_count(c, "channel_message") < 1500; i++) {
		world_turn(w, 4); /* so that the reader keeps up */
		while (w->asked_count > 0)
			world_answer(w, 0);
		world_read(c);
	}
	uint64_t next = 2;
	for (size_t i = 0; i < c->got_count; i++)
		if (json_object_get(c->got[i], "seq") != NULL)
			ck_assert_uint_eq(
				(uint64_t)json_integer_value(json_object_get(c->got[i], "seq")), next++);
	ck_assert_uint_eq(next, w->team.head + 1);
	world_destroy(w);
}
END_TEST

START_TEST(typing_is_judged_and_told_once_in_three_seconds)
{
	struct world *w = world_create();
	struct world_client *c = world_connect(w, 1, "");
	char text[256], uuid[IDS_UUID_SIZE];

	world_settle(w);
	ids_to_uuid(CHANNEL_B, uuid);
	snprintf(text, sizeof text, "{\"op\":\"typing\",\"channel_id\":\"%s\",\"is_typing\":true}", uuid);
	for (int i = 0; i < 5; i++) {
		world_say(c, text);
		world_settle(w);
	}
	ck_assert_uint_eq(w->typing_calls, 1);
	world_pass(w, 3100);
	world_say(c, text);
	world_settle(w);
	ck_assert_uint_eq(w->typing_calls, 2);
	w->rights[1] = RIGHT_TEAM;
	world_pass(w, 3100);
	world_say(c, text);
	world_settle(w);
	ck_assert_uint_eq(w->typing_calls, 2);
	ck_assert_str_eq(json_string_value(json_object_get(world_data(c, "error", 0), "code")), "not_found");
	world_destroy(w);
}
END_TEST

START_TEST(presence_hears_of_clients_that_come_and_go)
{
	struct world *w = world_create();
	struct world_client *a = world_connect(w, 1, ""), *b = world_connect(w, 2, "");

	world_settle(w);
	ck_assert_uint_eq(w->presence_there, 2);
	world_disconnect(a);
	ck_assert_uint_eq(w->presence_there, 1);
	world_disconnect(b);
	ck_assert_uint_eq(w->presence_there, 0);
	world_destroy(w);
}
END_TEST

START_TEST(streams_nobody_is_in_are_let_go_after_a_while)
{
	struct world *w = world_create();
	char query[512];
	struct world_client *c = world_connect(w, 1, topics_of(query, "channel", CHANNEL_A, ""));

	world_settle(w);
	ck_assert(w->team.followed && w->users[1].followed);
	world_disconnect(c);
	for (int i = 0; i < 15; i++)
		world_pass(w, 1000);
	ck_assert(!w->team.followed && !w->users[1].followed);
	world_destroy(w);
}
END_TEST

START_TEST(frames_that_are_no_operations_are_answered_or_closed)
{
	static const struct {
		const char *text, *code;
		uint16_t close;
	} rows[] = {
		{"{\"op\":\"nope\"}", "field_invalid", 0},
		{"{}", "field_invalid", 0},
		{"[]", "malformed", 0},
		{"{\"op\":\"ping\",\"ref\":[1]}", "field_invalid", 0},
		{"{\"op\":\"subscribe\"}", "field_invalid", 0},
		{"{\"op\":\"subscribe\",\"topics\":[1]}", "field_invalid", 0},
		{"{\"op\":\"subscribe\",\"topics\":[\"global\"],\"since\":5}", "field_invalid", 0},
		{"{\"op\":\"presence\",\"status\":\"asleep\"}", "field_invalid", 0},
		{"{\"op\":\"typing\"}", "field_invalid", 0},
		{"{\"op\":\"authenticate\",\"token\":\"x\"}", "conflict", 0},
		{"{\"op\":", NULL, 4400},
		{"hello", NULL, 4400},
		{"", NULL, 4400},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct world *w = world_create();
		struct world_client *c = world_connect(w, 1, "");
		world_settle(w);
		world_say(c, rows[i].text);
		world_settle(w);
		ck_assert_msg(c->close_code == rows[i].close, "row %zu: %u", i, c->close_code);
		if (rows[i].code != NULL)
			ck_assert_str_eq(
				json_string_value(json_object_get(world_data(c, "error", 0), "code")),
				rows[i].code);
		world_destroy(w);
	}
}
END_TEST

START_TEST(too_many_operations_are_told_and_then_closed_with_4429)
{
	struct world *w = world_create();
	struct world_client *c = NULL;

	w->hub.options.ops_per_min = 10;
	c = world_connect(w, 1, "");
	world_settle(w);
	for (int i = 0; i < 20; i++)
		world_say(c, "{\"op\":\"ping\",\"ref\":7}");
	world_settle(w);
	ck_assert_uint_eq(world_count(c, "pong"), 10);
	ck_assert_uint_eq(world_count(c, "error"), 10);
	ck_assert_uint_eq(c->close_code, 0);
	world_say(c, "{\"op\":\"ping\"}");
	world_settle(w);
	ck_assert_uint_eq(c->close_code, 4429);
	world_destroy(w);
}
END_TEST

START_TEST(unsubscribed_topics_bring_nothing_more)
{
	struct world *w = world_create();
	char query[512], text[256], a[64];
	struct world_client *c = world_connect(w, 1, query_of(query, "&resume=1", CHANNEL_A, CHANNEL_B));

	world_settle(w);
	snprintf(text, sizeof text, "{\"op\":\"unsubscribe\",\"topics\":[\"%s\"],\"ref\":3}",
		world_topic(a, "channel", CHANNEL_A));
	world_say(c, text);
	uint64_t first = world_post(w, CHANNEL_A), second = world_post(w, CHANNEL_B);
	world_settle(w);
	ck_assert_uint_eq(world_count(c, "unsubscribed"), 1);
	ck_assert_uint_eq(world_times(c, STREAM_TEAM(TEAM), first), 0);
	ck_assert_uint_eq(world_times(c, STREAM_TEAM(TEAM), second), 1);
	world_destroy(w);
}
END_TEST

static struct bus_event *ephemeral_of(struct arena *mem, pb_Event *event, pb_Target target)
{
	const uint8_t *bytes = NULL;
	size_t length = 0;

	ck_assert_int_eq(event_encode(mem, event, &bytes, &length), STATUS_OK);
	pb_EphemeralEvent ephemeral = {.targets_count = 1,
		.targets = &target,
		.kind = event->which_body,
		.at_ms = 1,
		.payload = pb_bytes_from(mem, bytes, length)};
	ck_assert_int_eq(
		pb_encode_arena(mem, pb_EphemeralEvent_fields, &ephemeral, &bytes, &length), STATUS_OK);
	struct bus_event *ev = bus_event_create_ephemeral(bytes, length);
	ck_assert_ptr_nonnull(ev);
	return ev;
}

START_TEST(ones_own_presence_comes_by_ones_own_topic_and_else_by_the_teams)
{
	struct world *w = world_create();
	struct arena *mem = arena_create();
	char query[512], t[64], u[64];

	snprintf(query, sizeof query, "topics=%s,%s", world_topic(u, "user", 1), world_topic(t, "team", TEAM));
	struct world_client *both = world_connect(w, 1, query);
	snprintf(query, sizeof query, "topics=%s", world_topic(t, "team", TEAM));
	struct world_client *team_only = world_connect(w, 1, query), *other = world_connect(w, 2, query);
	struct world_client *crust = world_connect_crust(w, 1), *other_crust = world_connect_crust(w, 2);
	world_settle(w);
	pb_Event event = {.which_body = EVENT_KIND_presence_changed,
		.body.presence_changed = {.has_user = true, .user = {.id = 1, .username = (char *)"a"}, .shown = PRESENCE_ONLINE}};
	struct bus_event *ev = ephemeral_of(mem, &event, (pb_Target){.rank = RANK_TEAM, .stream_id = TEAM, .audience = (char *)"team:7"});
	hub_ephemeral(&w->hub, ev);
	bus_event_unref(ev);
	ev = ephemeral_of(mem, &event, (pb_Target){.rank = RANK_USER, .stream_id = 1, .audience = (char *)"user:1"});
	hub_ephemeral(&w->hub, ev);
	bus_event_unref(ev);
	arena_destroy(mem);
	world_settle(w);
	ck_assert_uint_eq(world_count(both, "presence_updated"), 1);
	ck_assert_uint_eq(world_count(team_only, "presence_updated"), 1);
	ck_assert_uint_eq(world_count(other, "presence_updated"), 1);
	ck_assert_uint_eq(world_keys(crust, "activity"), 1);
	ck_assert_uint_eq(world_keys(other_crust, "activity"), 1);
	world_destroy(w);
}
END_TEST

START_TEST(an_ephemeral_event_reaches_key_holders_once_and_not_those_who_lag)
{
	struct world *w = world_create();
	char query[512], b[64], t[64];

	w->rights[2] = RIGHT_TEAM;
	snprintf(query, sizeof query, "topics=%s,%s", world_topic(b, "channel", CHANNEL_B),
		world_topic(t, "team", TEAM));
	struct world_client *may = world_connect(w, 1, query), *may_not = world_connect(w, 2, query),
			    *lags = world_connect(w, 3, query);
	world_settle(w);
	for (int i = 0; i < 200; i++)
		world_post(w, CHANNEL_A);
	while (world_deliver(w, &w->team))
		;
	world_turn(w, 100000);
	world_read(may);
	world_read(may_not);

	pb_Event event = {0};
	struct arena *mem = arena_create();
	event.which_body = EVENT_KIND_typing_changed;
	event.body.typing_changed = (pb_TypingChanged){.has_channel = true,
		.channel = {.id = CHANNEL_B, .team_id = TEAM, .name = (char *)"b"},
		.has_user = true,
		.user = {.id = 4, .username = (char *)"d"},
		.is_typing = true};
	struct bus_event *ev =
		ephemeral_of(mem, &event, (pb_Target){.rank = RANK_TEAM, .stream_id = TEAM, .audience = (char *)"channel:1002"});
	hub_ephemeral(&w->hub, ev);
	ck_assert_uint_eq(w->hub.ephemeral_shed, 1); /* of the one who lags */
	w->hub.pressed = true; /* now nobody gets it who has anything waiting */
	hub_ephemeral(&w->hub, ev);
	ck_assert_uint_eq(w->hub.ephemeral_shed, 3);
	bus_event_unref(ev);
	arena_destroy(mem);
	world_settle(w);
	ck_assert_uint_eq(world_count(may, "user_typing"), 1);
	ck_assert_uint_eq(world_count(may_not, "user_typing"), 0);
	ck_assert_uint_eq(world_count(lags, "user_typing"), 0);
	ck_assert_uint_eq(world_count(lags, "channel_message"), 200);
	world_destroy(w);
}
END_TEST

TESTS("hub", hello_comes_first_and_events_of_a_topic_follow,
	a_wrong_token_is_closed_with_4401_and_a_disabled_account_with_4403,
	without_a_token_in_time_it_is_4408, while_api_is_away_authentication_waits_and_then_asks_to_come_back,
	an_event_comes_once_however_many_topics_match, a_copy_in_the_users_stream_is_not_sent_a_second_time,
	topics_that_may_not_be_had_are_refused_and_the_others_stand,
	a_channel_that_others_made_known_is_still_refused_without_its_key,
	a_known_and_an_unknown_channel_of_one_stream_begin_together,
	a_refused_channel_has_left_nothing_behind, moderation_away_means_busy_for_a_subscribe,
	a_lost_key_takes_the_channel_away_at_its_event, a_kick_ends_every_topic_of_the_team,
	a_stream_under_recheck_stands_still_until_moderation_answers,
	a_right_given_by_a_recheck_begins_with_it, what_nobody_can_know_is_neither_sent_nor_lost_in_silence,
	doubt_without_an_event_ends_with_the_answer, a_revoked_session_is_closed_and_its_queue_thrown_away,
	a_socket_ends_with_its_token_and_not_a_heartbeat_later,
	another_sessions_end_is_news_and_not_the_end,
	a_revocation_between_the_token_and_the_stream_is_not_missed,
	what_was_missed_is_replayed_once_and_then_it_is_live, what_cannot_be_recovered_is_said_plainly,
	a_long_replay_waits_for_a_client_that_reads_slowly,
	a_heartbeat_tells_the_position_of_streams_that_moved_in_silence, silence_for_two_heartbeats_is_4408,
	a_reader_that_does_not_read_is_closed_with_4409, another_generation_sends_everybody_away,
	a_stream_that_is_named_and_not_open_is_answered_without_its_place,
	a_position_bears_the_name_of_its_own_generation_though_the_bus_is_a_step_ahead,
	a_token_of_a_log_that_the_bus_does_not_speak_of_is_asked_about_again,
	before_the_generation_is_known_nothing_is_recovered, a_subscribe_waits_until_the_generation_is_known,
	a_team_joined_later_is_shown_where_everything_is_looked_at,
	a_held_stream_that_overflows_is_read_from_the_log, typing_is_judged_and_told_once_in_three_seconds,
	presence_hears_of_clients_that_come_and_go, streams_nobody_is_in_are_let_go_after_a_while,
	frames_that_are_no_operations_are_answered_or_closed,
	too_many_operations_are_told_and_then_closed_with_4429, unsubscribed_topics_bring_nothing_more,
	ones_own_presence_comes_by_ones_own_topic_and_else_by_the_teams,
	an_ephemeral_event_reaches_key_holders_once_and_not_those_who_lag)
