/*
 * What the user's own topic shows of his conversations: those there are, those that begin at any moment of its being opened
 * or later, whichever stream is ahead; nothing of one that he was put out of; nothing missing without a word.
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/gateway/world.h"
#include "tests/unit/main.h"

static struct world_client *with_topic(struct world *w, uint64_t user)
{
	char query[128], topic[64];

	snprintf(query, sizeof query, "topics=%s&resume=1", world_topic(topic, "user", user));
	struct world_client *c = world_connect(w, user, query);
	world_settle(w);
	ck_assert_uint_eq(world_count(c, "subscribed"), 1);
	return c;
}

static void subscribe(struct world_client *c, const char *class_name, uint64_t id, const char *since)
{
	char text[512], topic[64];

	snprintf(text, sizeof text, "{\"op\":\"subscribe\",\"topics\":[\"%s\"]%s}", world_topic(topic, class_name, id), since);
	world_say(c, text);
}

/* His copies of what brought him in and put him out. */
static void copy_created(struct world *w, uint64_t user)
{
	pb_Event event = {0};

	event.body.conversation_created = (pb_ConversationCreated){
		.has_channel = true, .channel = {.id = TALK, .kind = CHANNEL_GROUP, .name = (char *)"talk"}};
	char key[AUDIENCE_SIZE];
	audience_key(key, "user", user);
	world_append(w, &w->users[user], EVENT_KIND_conversation_created, key, &event);
}

static void copy_moved(struct world *w, uint64_t user, bool in)
{
	pb_Event event = {0};
	pb_UserView view = {.id = user, .username = (char *)"u"};
	char key[AUDIENCE_SIZE];

	audience_key(key, "user", user);
	if (in)
		event.body.channel_member_joined = (pb_ChannelMemberJoined){.has_channel = true,
			.channel = {.id = TALK, .kind = CHANNEL_GROUP, .name = (char *)"talk"},
			.has_user = true,
			.user = view};
	else
		event.body.channel_member_kicked = (pb_ChannelMemberLeft){.has_channel = true,
			.channel = {.id = TALK, .kind = CHANNEL_GROUP, .name = (char *)"talk"},
			.has_user = true,
			.user = view};
	world_append(w, &w->users[user],
		in ? EVENT_KIND_channel_member_joined : EVENT_KIND_channel_member_kicked, key, &event);
}

static void deliver_all(struct world *w, struct world_log *log)
{
	while (world_deliver(w, log))
		;
	world_turn(w, 1000);
}

START_TEST(conversations_there_are_are_opened_with_the_topic)
{
	struct world *w = world_create();

	world_talk(w, 1, true);
	struct world_client *in = with_topic(w, 1), *out = with_topic(w, 2);
	uint64_t seq = world_post(w, TALK);
	world_settle(w);
	ck_assert_uint_eq(world_times(in, w->talk.stream, seq), 1);
	ck_assert_uint_eq(world_count(out, "channel_message"), 0);
	world_destroy(w);
}
END_TEST

START_TEST(one_that_begins_while_the_topic_is_opened_is_not_missed)
{
	/* Its copy comes before the list is answered, or after that and before the wish is. */
	for (int listed = 0; listed < 2; listed++) {
		struct world *w = world_create();
		struct world_client *other = world_connect(w, 1, "resume=1");
		world_settle(w);
		subscribe(other, "user", 1, "");
		world_turn(w, 1000);
		ck_assert_uint_eq(w->asked_count, 1);
		ck_assert_int_eq(w->asked[0].kind, ASKED_KEYS);
		world_serve(w, 0); /* as it was before */
		world_talk(w, 1, true);
		uint64_t first = world_post(w, TALK);
		copy_created(w, 1);
		if (listed == 0)
			deliver_all(w, &w->users[1]);
		world_answer(w, 0);
		world_settle(w);
		uint64_t second = world_post(w, TALK);
		world_settle(w);
		ck_assert_uint_eq(world_count(other, "conversation_created"), 1);
		ck_assert_uint_eq(world_times(other, w->talk.stream, first), 1);
		ck_assert_uint_eq(world_times(other, w->talk.stream, second), 1);
		world_destroy(w);
	}
}
END_TEST

START_TEST(a_channel_topic_that_is_sooner_than_the_copy_misses_nothing)
{
	struct world *w = world_create();
	struct world_client *c = with_topic(w, 1), *plain = world_connect(w, 2, "resume=1");

	world_settle(w);
	world_talk(w, 1, true);
	world_talk(w, 2, true);
	uint64_t first = world_post(w, TALK);
	subscribe(c, "channel", TALK, "");
	subscribe(plain, "channel", TALK, "");
	world_settle(w);
	uint64_t second = world_post(w, TALK);
	world_settle(w);
	copy_created(w, 1);
	uint64_t third = world_post(w, TALK);
	world_settle(w);
	for (uint64_t seq = first; seq <= third; seq++)
		ck_assert_uint_eq(world_times(c, w->talk.stream, seq), 1);
	/* Without the user's topic it begins with its answer. */
	ck_assert_uint_eq(world_times(plain, w->talk.stream, first), 0);
	ck_assert_uint_eq(world_times(plain, w->talk.stream, second), 1);
	ck_assert_uint_eq(world_times(plain, w->talk.stream, third), 1);
	world_destroy(w);
}
END_TEST

START_TEST(put_out_and_brought_back_is_in_it_whichever_stream_is_ahead)
{
	for (int ahead = 0; ahead < 2; ahead++) {
		struct world *w = world_create();
		world_talk(w, 1, true);
		world_talk(w, 2, true);
		struct world_client *c = with_topic(w, 1), *stays = with_topic(w, 2);
		world_talk(w, 1, false);
		uint64_t secret = world_post(w, TALK);
		uint64_t back = world_talk(w, 1, true);
		uint64_t after = world_post(w, TALK);
		copy_moved(w, 1, false);
		copy_moved(w, 1, true);
		deliver_all(w, ahead ? &w->users[1] : &w->talk);
		world_settle(w);
		uint64_t last = world_post(w, TALK);
		world_settle(w);
		ck_assert_uint_lt(back, after);
		ck_assert_uint_eq(world_times(c, w->talk.stream, secret), 0);
		ck_assert_uint_eq(world_times(c, w->talk.stream, after), 1);
		ck_assert_uint_eq(world_times(c, w->talk.stream, last), 1);
		ck_assert_uint_eq(world_times(stays, w->talk.stream, secret), 1);
		world_destroy(w);
	}
}
END_TEST

START_TEST(who_was_put_out_gets_nothing_more_and_a_resume_says_so)
{
	struct world *w = world_create();

	world_talk(w, 1, true);
	struct world_client *c = with_topic(w, 1);
	uint64_t seen = world_post(w, TALK);
	world_settle(w);
	world_talk(w, 1, false);
	copy_moved(w, 1, false);
	uint64_t hidden = world_post(w, TALK);
	world_settle(w);
	ck_assert_uint_eq(world_times(c, w->talk.stream, seen), 1);
	ck_assert_uint_eq(world_count(c, "user_kicked"), 1);
	ck_assert_uint_eq(world_times(c, w->talk.stream, hidden), 0);

	struct world_client *again = world_connect(w, 1, "resume=1");
	char since[160];
	snprintf(since, sizeof since, ",\"since\":{\"generation\":\"one/1/1\",\"streams\":{\"1-0000000000000009\":%u}}", (unsigned)seen);
	world_settle(w);
	subscribe(again, "user", 1, since);
	world_settle(w);
	json_t *answer = json_object_get(json_object_get(world_data(again, "subscribed", 0), "streams"), "1-0000000000000009");
	ck_assert_ptr_nonnull(answer);
	ck_assert(json_is_false(json_object_get(answer, "recovered")));
	ck_assert_ptr_null(json_object_get(answer, "seq"));
	ck_assert_uint_eq(world_count(again, "channel_message"), 0);
	world_destroy(w);
}
END_TEST

START_TEST(one_that_cannot_be_opened_sends_the_client_to_come_back)
{
	struct world *w = world_create();
	struct world_client *c = with_topic(w, 1);

	world_talk(w, 1, true);
	copy_created(w, 1);
	w->fail_with = STATUS_BUSY;
	for (int i = 0; i < 60 && !c->ended && c->close_code == 0; i++) {
		world_settle(w);
		world_pass(w, 100);
	}
	ck_assert_uint_eq(world_count(c, "reconnect"), 1);
	ck_assert_uint_eq(c->close_code, 1012);
	world_destroy(w);
}
END_TEST

START_TEST(a_topic_that_cannot_list_them_is_refused_and_shows_nothing)
{
	struct world *w = world_create();
	struct world_client *c = world_connect(w, 1, "resume=1");

	world_settle(w);
	world_talk(w, 1, true);
	w->fail_with = STATUS_BUSY;
	subscribe(c, "user", 1, "");
	for (int i = 0; i < 60 && world_count(c, "error") == 0; i++) {
		world_settle(w);
		world_pass(w, 100);
	}
	ck_assert_str_eq(json_string_value(json_object_get(world_data(c, "error", 0), "code")), "busy");
	w->fail_with = STATUS_OK;
	copy_created(w, 1);
	world_settle(w);
	ck_assert_uint_eq(world_count(c, "conversation_created"), 0);
	/* Asked for again it is whole. */
	subscribe(c, "user", 1, "");
	world_settle(w);
	uint64_t seq = world_post(w, TALK);
	world_settle(w);
	ck_assert_uint_eq(world_times(c, w->talk.stream, seq), 1);
	world_destroy(w);
}
END_TEST

START_TEST(presence_hears_in_which_conversations_people_are)
{
	struct world *w = world_create();

	world_talk(w, 1, true);
	with_topic(w, 1);
	ck_assert_uint_eq(w->present_in, 1);
	world_talk(w, 1, false);
	copy_moved(w, 1, false);
	world_settle(w);
	ck_assert_uint_eq(w->present_in, 0);
	world_talk(w, 1, true);
	copy_moved(w, 1, true);
	world_settle(w);
	ck_assert_uint_eq(w->present_in, 1);
	world_destroy(w);
}
END_TEST

TESTS("gateway conversations", conversations_there_are_are_opened_with_the_topic,
	one_that_begins_while_the_topic_is_opened_is_not_missed, a_channel_topic_that_is_sooner_than_the_copy_misses_nothing,
	put_out_and_brought_back_is_in_it_whichever_stream_is_ahead, who_was_put_out_gets_nothing_more_and_a_resume_says_so,
	one_that_cannot_be_opened_sends_the_client_to_come_back, a_topic_that_cannot_list_them_is_refused_and_shows_nothing,
	presence_hears_in_which_conversations_people_are)
