/*
 * Who is told of a message: once, by name or as the one who was answered, and only while the message stands and he may read
 * it. The thread itself is one test; the others run its rounds by hand.
 */
#include "tests/unit/messaging/fixture.h"

#include "services/messaging/notices.h"

static void people(struct fixture *fx, int first, int last)
{
	pg_exec(fx->url,
		arena_printf(fx->mem,
			"INSERT INTO log.streams (rank, id) SELECT 2, g FROM generate_series(%d, %d) g;"
			"INSERT INTO moderation.members (team_id, user_id, joined_at_ms) SELECT 1000, g, 1 FROM "
			"generate_series(%d, %d) g",
			first, last, first, last));
}

static enum status told(struct fixture *fx, uint64_t message)
{
	return notices_run(&fx->service, &(struct notice_message){.id = message}, 1);
}

static int64_t notices_of(struct fixture *fx, uint64_t user)
{
	return number(fx, arena_printf(fx->mem, "SELECT count(*) FROM log.events WHERE rank = 2 AND id = %d AND kind = 144",
				  (int)user));
}

static int64_t untold(struct fixture *fx)
{
	return number(fx, "SELECT count(*) FROM messaging.mentions WHERE NOT told");
}

static void deleted(struct fixture *fx, uint64_t channel, uint64_t message)
{
	pb_Empty nothing;

	ck_assert_int_eq(DO(fx, true, delete_message, pb_MessageRequest, &nothing, .channel_id = channel,
				 .message_id = message),
		STATUS_OK);
}

START_TEST(who_is_named_is_told_once_in_his_own_stream)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView m = posted(&fx, channel, "<@6> <@&16> @everyone", 0);
	ck_assert_int_eq(told(&fx, m.id), STATUS_OK);
	ck_assert_int_eq(told(&fx, m.id), STATUS_OK);
	ck_assert_int_eq(notices_of(&fx, 6), 1);
	ck_assert_int_eq(notices_of(&fx, 7), 0); /* a role and everyone are counted, not told */
	pb_Event event = event_back(&fx, STREAM_USER(6), 0, audience);
	const pb_UserMentioned *e = &event.body.user_mentioned;
	ck_assert_int_eq(event.which_body, EVENT_KIND_user_mentioned);
	ck_assert_str_eq(audience, "user:6");
	ck_assert_uint_eq(e->user_id, 6);
	ck_assert_uint_eq(e->how, MENTION_USER);
	ck_assert_uint_eq(e->channel.id, channel);
	ck_assert_str_eq(e->channel.name, "general");
	ck_assert_uint_eq(e->message.id, m.id);
	ck_assert_uint_eq(e->message.author.id, 5);
	ck_assert_str_eq(e->message.author.username, "user5");
	ck_assert_str_eq(e->message.content, "<@6> <@&16> @everyone");
	ck_assert_uint_eq(e->message.mentions.user_ids[0], 6);
	ck_assert_int_eq(number(&fx, "SELECT notice_seq FROM messaging.mentions WHERE subject_id = 6"), 1);
	ck_assert_int_eq(untold(&fx), 0);
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(who_is_answered_is_told_so)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	fx.user = 6;
	pb_MessageView question = posted(&fx, channel, "a question", 0);
	fx.user = 5;
	pb_MessageView answer = posted(&fx, channel, "an answer", question.id);
	ck_assert_int_eq(told(&fx, answer.id), STATUS_OK);
	pb_Event event = event_back(&fx, STREAM_USER(6), 0, audience);
	ck_assert_uint_eq(event.body.user_mentioned.how, MENTION_REPLY);
	ck_assert_uint_eq(event.body.user_mentioned.message.parent_id, question.id);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(forty_people_are_told_once_each_in_few_commits)
{
	struct fixture fx;
	const char *text = "";

	fixture_create(&fx);
	people(&fx, 100, 139);
	for (int user = 100; user < 140; user++)
		text = arena_printf(fx.mem, "%s<@%d>", text, user);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView m = posted(&fx, channel, text, 0);
	ck_assert_int_eq(told(&fx, m.id), STATUS_OK);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM log.events WHERE kind = 144"), 40);
	ck_assert_int_eq(number(&fx, "SELECT count(DISTINCT id) FROM log.events WHERE kind = 144"), 40);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM log.requests WHERE actor = 0"), 3);
	ck_assert_int_eq(untold(&fx), 0);
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(who_may_no_longer_read_it_is_not_told)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView m = posted(&fx, channel, "<@6> <@7>", 0);
	TELL(&fx, hidden[6] = true);
	ck_assert_int_eq(told(&fx, m.id), STATUS_OK);
	ck_assert_int_eq(notices_of(&fx, 6), 0);
	ck_assert_int_eq(notices_of(&fx, 7), 1);
	TELL(&fx, hidden[6] = false); /* and later nobody comes back to it */
	ck_assert_int_eq(told(&fx, m.id), STATUS_OK);
	ck_assert_int_eq(notices_of(&fx, 6), 0);
	ck_assert_int_eq(untold(&fx), 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_kick_between_the_judgement_and_the_commit_is_obeyed)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView m = posted(&fx, channel, "<@6> <@7>", 0);
	TELL(&fx, kicked = 6);
	int asked = atomic_load(&fx.asked_mentions);
	ck_assert_int_eq(told(&fx, m.id), STATUS_OK);
	ck_assert_int_eq(atomic_load(&fx.asked_mentions), asked + 2); /* judged again */
	ck_assert_int_eq(notices_of(&fx, 6), 0);
	ck_assert_int_eq(notices_of(&fx, 7), 1);
	ck_assert_int_eq(untold(&fx), 0);
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_wide_change_between_the_judgement_and_the_commit_has_it_judged_again)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView m = posted(&fx, channel, "<@6>", 0);
	/* A judgement from before the channel became private. */
	TELL(&fx, stale_mentions = 1);
	int asked = atomic_load(&fx.asked_mentions);
	ck_assert_int_eq(told(&fx, m.id), STATUS_OK);
	ck_assert_int_eq(atomic_load(&fx.asked_mentions), asked + 2);
	ck_assert_int_eq(notices_of(&fx, 6), 1);
	TELL(&fx, stale_mentions = 100);
	m = posted(&fx, channel, "<@6>", 0);
	ck_assert_int_eq(told(&fx, m.id), STATUS_STALE); /* for ever: put off, not guessed */
	ck_assert_int_eq(notices_of(&fx, 6), 1);
	ck_assert_int_eq(untold(&fx), 1);
	TELL(&fx, stale_mentions = 0);
	ck_assert_int_eq(told(&fx, m.id), STATUS_OK);
	ck_assert_int_eq(notices_of(&fx, 6), 2);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(nobody_is_told_of_a_message_that_is_gone)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView m = posted(&fx, channel, "<@6>", 0), left = posted(&fx, channel, "<@6>", 0);
	deleted(&fx, channel, m.id);
	ck_assert_int_eq(told(&fx, m.id), STATUS_OK);
	ck_assert_int_eq(notices_of(&fx, 6), 0);
	ck_assert_int_eq(
		DO(&fx, true, delete_channel, pb_DeleteChannelRequest, &(pb_ChannelReply){0}, .channel_id = channel),
		STATUS_OK);
	ck_assert_int_eq(told(&fx, left.id), STATUS_OK);
	ck_assert_int_eq(notices_of(&fx, 6), 0);
	ck_assert_int_eq(untold(&fx), 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(deleting_a_message_blanks_what_people_were_told_of_it)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];
	pb_MessageReply reply;

	fixture_create(&fx);
	people(&fx, 100, 139);
	uint64_t channel = made_channel(&fx, false);
	const char *text = "";
	for (int user = 100; user < 140; user++)
		text = arena_printf(fx.mem, "%s<@%d>", text, user);
	pb_MessageView kept = posted(&fx, channel, "<@100>", 0), m = posted(&fx, channel, text, 0);
	ck_assert_int_eq(told(&fx, kept.id), STATUS_OK);
	ck_assert_int_eq(told(&fx, m.id), STATUS_OK);
	/* An edit takes some of them back: they were told all the same. */
	ck_assert_int_eq(DO(&fx, true, update_message, pb_UpdateMessageRequest, &reply, .channel_id = channel,
				 .message_id = m.id, .content = (char *)"<@120>"),
		STATUS_OK);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.mentions WHERE kind <> 0"), 2);
	deleted(&fx, channel, m.id);
	for (int user = 100; user < 140; user++) {
		ck_assert_int_eq(notices_of(&fx, (uint64_t)user), user == 100 ? 2 : 1);
		pb_Event event = event_back(&fx, STREAM_USER((uint64_t)user), 0, audience);
		ck_assert(event.tombstone);
		ck_assert_int_eq(event.which_body, 0);
	}
	ck_assert(!event_back(&fx, STREAM_USER(100), 1, audience).tombstone);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.mentions"), 1);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(who_is_named_by_an_edit_is_told_then_and_who_was_told_is_not_told_again)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];
	pb_MessageReply reply;
	static const char *const texts[] = {"<@6> <@7>", "nobody", "<@7> <@6>"};

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	fx.user = 6;
	pb_MessageView question = posted(&fx, channel, "a question", 0);
	fx.user = 5;
	pb_MessageView m = posted(&fx, channel, "an answer", question.id);
	ck_assert_int_eq(told(&fx, m.id), STATUS_OK);
	ck_assert_int_eq(notices_of(&fx, 6), 1);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		ck_assert_int_eq(DO(&fx, true, update_message, pb_UpdateMessageRequest, &reply, .channel_id = channel,
					 .message_id = m.id, .content = (char *)texts[i]),
			STATUS_OK);
		ck_assert_int_eq(told(&fx, m.id), STATUS_OK);
		ck_assert_int_eq(notices_of(&fx, 6), 1);
		ck_assert_int_eq(notices_of(&fx, 7), 1);
	}
	pb_Event event = event_back(&fx, STREAM_USER(7), 0, audience);
	ck_assert_uint_eq(event.body.user_mentioned.how, MENTION_USER);
	ck_assert_str_eq(event.body.user_mentioned.message.content, texts[0]);
	/* Named, and taken out again before anybody was told: nobody is. */
	pb_MessageView quick = posted(&fx, channel, "<@6>", 0);
	ck_assert_int_eq(DO(&fx, true, update_message, pb_UpdateMessageRequest, &reply, .channel_id = channel,
				 .message_id = quick.id, .content = (char *)"nobody"),
		STATUS_OK);
	ck_assert_int_eq(told(&fx, quick.id), STATUS_OK);
	ck_assert_int_eq(notices_of(&fx, 6), 1);
	ck_assert_int_eq(untold(&fx), 0);
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

/* ---- both at once */

struct race {
	struct fixture *fx;
	uint64_t message;
	enum status status;
};

static void *race_tell(void *arg)
{
	struct race *race = arg;

	race->status = told(race->fx, race->message);
	return NULL;
}

START_TEST(a_deletion_and_a_notice_at_once_leave_no_words)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	for (int round = 0; round < 12; round++) {
		pthread_t threads[2];
		pb_MessageView m = posted(&fx, channel, "<@6>", 0);
		int64_t before = notices_of(&fx, 6);
		struct race races[2] = {{&fx, m.id, STATUS_INTERNAL}, {&fx, m.id, STATUS_INTERNAL}};
		for (int i = 0; i < 2; i++) /* two copies tell of it, while it is deleted */
			ck_assert_int_eq(pthread_create(&threads[i], NULL, race_tell, &races[i]), 0);
		deleted(&fx, channel, m.id);
		for (int i = 0; i < 2; i++) {
			pthread_join(threads[i], NULL);
			ck_assert_int_eq(races[i].status, STATUS_OK);
		}
		int64_t after = notices_of(&fx, 6);
		ck_assert_int_le(after, before + 1);
		if (after > before)
			ck_assert(event_back(&fx, STREAM_USER(6), 0, audience).tombstone);
	}
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.mentions"), 0);
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(several_copies_at_once_tell_once)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView m = posted(&fx, channel, "<@6> <@7>", 0);
	struct race races[6];
	pthread_t threads[6];
	for (int i = 0; i < 6; i++) {
		races[i] = (struct race){&fx, m.id, STATUS_INTERNAL};
		ck_assert_int_eq(pthread_create(&threads[i], NULL, race_tell, &races[i]), 0);
	}
	for (int i = 0; i < 6; i++) {
		pthread_join(threads[i], NULL);
		ck_assert_int_eq(races[i].status, STATUS_OK);
	}
	ck_assert_int_eq(notices_of(&fx, 6), 1);
	ck_assert_int_eq(notices_of(&fx, 7), 1);
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

/* ---- what is left over */

START_TEST(what_a_crash_left_is_found_in_order_and_told_once)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false), last = 0;
	uint64_t first = posted(&fx, channel, "<@6> too old", 0).id;
	uint64_t changed = posted(&fx, channel, "<@6> old, and edited", 0).id;
	pg_exec(fx.url, arena_printf(fx.mem, "UPDATE messaging.messages SET created_at_ms = 5 WHERE id IN (%llu, %llu);"
					     "UPDATE messaging.messages SET edited_at_ms = 7 WHERE id = %llu",
				 (unsigned long long)first, (unsigned long long)changed, (unsigned long long)changed));
	for (int i = 0; i < 2 * NOTICE_BATCH + 3; i++) /* committed, and the copy died */
		last = posted(&fx, channel, "<@6>", 0).id;
	uint64_t young = posted(&fx, channel, "<@6> too young", 0).id;
	ck_assert_int_eq(notices_scan(&fx.service, 6, young), STATUS_OK);
	ck_assert_int_eq(notices_of(&fx, 6), 2 * NOTICE_BATCH + 4);
	ck_assert_uint_eq(event_back(&fx, STREAM_USER(6), 0, audience).body.user_mentioned.message.id, last);
	ck_assert_int_eq(untold(&fx), 2);
	ck_assert_int_eq(notices_scan(&fx.service, 6, young), STATUS_OK);
	ck_assert_int_eq(notices_of(&fx, 6), 2 * NOTICE_BATCH + 4);
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(somebody_without_a_stream_holds_nobody_up)
{
	struct fixture fx;

	fixture_create(&fx);
	pg_exec(fx.url, "INSERT INTO moderation.members (team_id, user_id, joined_at_ms) VALUES (1000, 99, 1)");
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView m = posted(&fx, channel, "<@6> <@99> <@7>", 0);
	ck_assert_int_eq(told(&fx, m.id), STATUS_OK);
	ck_assert_int_eq(notices_of(&fx, 6), 1);
	ck_assert_int_eq(notices_of(&fx, 7), 1);
	ck_assert_int_eq(untold(&fx), 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_copy_tells_of_its_own_posts_by_itself)
{
	struct fixture fx;
	int64_t until = clock_mono_ms() + PATIENCE_MS;

	fixture_create(&fx);
	struct notices *notices = NULL;
	ck_assert_int_eq(notices_start(&fx.service, &notices), STATUS_OK);
	fx.service.notices = notices;
	uint64_t channel = made_channel(&fx, false);
	posted(&fx, channel, "<@6>", 0);
	while (notices_of(&fx, 6) == 0 && clock_mono_ms() < until)
		sched_yield();
	ck_assert_int_eq(notices_of(&fx, 6), 1);
	/* What waits when it stops is told. */
	for (int i = 0; i < 20; i++)
		posted(&fx, channel, "<@6>", 0);
	notices_stop(fx.service.notices);
	ck_assert_int_eq(notices_of(&fx, 6), 21);
	posted(&fx, channel, "<@6>", 0); /* afterwards it is left to the scan of another */
	ck_assert_int_eq(untold(&fx), 1);
	struct notices *ended = fx.service.notices;
	fixture_destroy(&fx);
	notices_destroy(ended);
}
END_TEST

TESTS("notices", who_is_named_is_told_once_in_his_own_stream, who_is_answered_is_told_so,
	forty_people_are_told_once_each_in_few_commits, who_may_no_longer_read_it_is_not_told,
	a_kick_between_the_judgement_and_the_commit_is_obeyed,
	a_wide_change_between_the_judgement_and_the_commit_has_it_judged_again,
	nobody_is_told_of_a_message_that_is_gone, deleting_a_message_blanks_what_people_were_told_of_it,
	who_is_named_by_an_edit_is_told_then_and_who_was_told_is_not_told_again,
	a_deletion_and_a_notice_at_once_leave_no_words, several_copies_at_once_tell_once,
	what_a_crash_left_is_found_in_order_and_told_once, somebody_without_a_stream_holds_nobody_up,
	a_copy_tells_of_its_own_posts_by_itself)
