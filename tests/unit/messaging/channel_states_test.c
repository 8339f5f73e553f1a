/*
 * Channels between their states: who may, what is told to whom, and what happens to those who are in the
 * middle of something.
 */
#include "tests/unit/messaging/race.h"

#include "services/messaging/purge.h"
#include "services/messaging/views.h"

static pb_ChannelReply reply;

static enum status set_state(struct fixture *fx, uint64_t channel, enum channel_change change)
{
	return DO(fx, true, set_channel_state, pb_SetChannelStateRequest, &reply, .channel_id = channel,
		.change = change);
}

static void delete_it(struct fixture *fx, uint64_t channel)
{

	ck_assert_int_eq(DO(fx, true, delete_channel, pb_DeleteChannelRequest, &(pb_ChannelReply){0}, .channel_id = channel),
		STATUS_OK);
}

static struct bits only(enum permission a, enum permission b)
{
	return bits_with(bits_with(bits_with((struct bits){0}, PERMISSION_view_text), a), b);
}

/* ---- archive and restore */

START_TEST(an_archived_channel_is_told_of_refuses_posts_and_comes_back)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];
	pb_MessageReply message;
	pb_ListMessagesReply page;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	posted(&fx, channel, "before", 0);
	ck_assert_int_eq(set_state(&fx, channel, CHANNEL_ARCHIVE), STATUS_OK);
	ck_assert_uint_ne(reply.channel.archived_at_ms, 0);
	pb_Event event = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_int_eq(event.which_body, EVENT_KIND_channel_archived);
	ck_assert_str_eq(audience, "team:1000");
	ck_assert_uint_eq(event.body.channel_archived.channel.archived_at_ms, reply.channel.archived_at_ms);
	ck_assert_int_eq(number(&fx, "SELECT archived_by FROM messaging.channels"), 5);
	ck_assert_int_eq(DO(&fx, true, post_message, pb_PostMessageRequest, &message, .channel_id = channel,
				 .content = (char *)"after"),
		STATUS_ARCHIVED);
	ck_assert_int_eq(DO(&fx, false, list_messages, pb_ListMessagesRequest, &page, .channel_id = channel),
		STATUS_OK);
	ck_assert_uint_eq(page.messages_count, 1);
	ck_assert_int_eq(set_state(&fx, channel, CHANNEL_RESTORE), STATUS_OK);
	ck_assert_uint_eq(reply.channel.archived_at_ms, 0);
	event = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_int_eq(event.which_body, EVENT_KIND_channel_restored);
	ck_assert_int_eq(
		number(&fx, "SELECT count(*) FROM messaging.channels WHERE archived_by IS NOT NULL"), 0);
	posted(&fx, channel, "after", 0);
	/* Two changes of rights, neither of a key: who resumes across them loses nothing. */
	ck_assert_int_eq(number(&fx, "SELECT authz_epoch FROM log.streams WHERE rank = 1"), 2);
	ck_assert_int_eq(number(&fx, "SELECT rights_seq FROM messaging.channels"), 0);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM log.events WHERE kind = 41"), 0);
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_state_that_holds_already_is_a_conflict_and_says_nothing)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	static const enum channel_change back[] = {CHANNEL_RESTORE, CHANNEL_UNDELETE, CHANNEL_REOPEN};
	for (size_t i = 0; i < 3; i++) {
		ck_assert_int_eq(set_state(&fx, channel, back[i]), STATUS_CONFLICT);
		ck_assert_str_eq(fx.outcome.why, "state");
	}
	ck_assert_int_eq(set_state(&fx, channel, CHANNEL_ARCHIVE), STATUS_OK);
	int64_t head = number(&fx, "SELECT seq FROM log.streams WHERE rank = 1");
	ck_assert_int_eq(set_state(&fx, channel, CHANNEL_ARCHIVE), STATUS_CONFLICT);
	ck_assert_str_eq(fx.outcome.why, "state");
	ck_assert_int_eq(number(&fx, "SELECT seq FROM log.streams WHERE rank = 1"), head);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_repeated_archiving_answers_what_the_first_did)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	ck_assert_int_eq(set_state(&fx, channel, CHANNEL_ARCHIVE), STATUS_OK);
	fx.same_request = true;
	ck_assert_int_eq(set_state(&fx, channel, CHANNEL_ARCHIVE), STATUS_OK);
	ck_assert(fx.outcome.replayed);
	ck_assert_uint_ne(reply.channel.archived_at_ms, 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(each_state_takes_its_right)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	TELL(&fx, bits[6] = only(PERMISSION_restore_channel, PERMISSION_undelete_channel));
	TELL(&fx, bits[7] = only(PERMISSION_archive_channel, PERMISSION_delete_channel));
	fx.user = 6;
	ck_assert_int_eq(set_state(&fx, channel, CHANNEL_ARCHIVE), STATUS_FORBIDDEN);
	ck_assert_str_eq(fx.outcome.why, "archive_channel");
	fx.user = 7;
	ck_assert_int_eq(set_state(&fx, channel, CHANNEL_ARCHIVE), STATUS_OK);
	ck_assert_int_eq(set_state(&fx, channel, CHANNEL_REOPEN), STATUS_FORBIDDEN);
	ck_assert_str_eq(fx.outcome.why, "restore_channel");
	fx.user = 6;
	ck_assert_int_eq(set_state(&fx, channel, CHANNEL_REOPEN), STATUS_OK);
	fx.user = 7;
	delete_it(&fx, channel);
	/* Who cannot bring it back is not told that it is there. */
	ck_assert_int_eq(set_state(&fx, channel, CHANNEL_REOPEN), STATUS_NOT_FOUND);
	ck_assert_ptr_null(fx.outcome.why);
	ck_assert_int_eq(set_state(&fx, channel, CHANNEL_ARCHIVE), STATUS_NOT_FOUND);
	fx.user = 6;
	ck_assert_int_eq(set_state(&fx, channel, CHANNEL_RESTORE), STATUS_NOT_FOUND);
	ck_assert_int_eq(set_state(&fx, channel, CHANNEL_REOPEN), STATUS_OK);
	TELL(&fx, hidden[6] = true);
	ck_assert_int_eq(set_state(&fx, channel, CHANNEL_ARCHIVE), STATUS_NOT_FOUND);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_change_of_state_that_nobody_knows_is_refused)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	ck_assert_int_eq(set_state(&fx, channel, (enum channel_change)0), STATUS_FIELD_INVALID);
	ck_assert_int_eq(set_state(&fx, channel, (enum channel_change)7), STATUS_FIELD_INVALID);
	ck_assert_str_eq(fx.outcome.field, "change");
	ck_assert_int_eq(set_state(&fx, channel + 1, CHANNEL_ARCHIVE), STATUS_NOT_FOUND);
	fixture_destroy(&fx);
}
END_TEST

static enum status archive_or_post(struct racer *r)
{
	pb_ChannelReply state;
	pb_MessageReply message;

	if (r->i == 0)
		return RACE(r, set_channel_state, pb_SetChannelStateRequest, &state,
			.channel_id = *(uint64_t *)r->arg, .change = CHANNEL_ARCHIVE);
	return RACE(r, post_message, pb_PostMessageRequest, &message, .channel_id = *(uint64_t *)r->arg,
		.content = (char *)"in flight");
}

START_TEST(no_post_in_flight_lands_behind_the_archiving)
{
	struct fixture fx;
	struct racer racers[12];

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	for (fx.user = 5; fx.user < 8; fx.user++)
		posted(&fx, channel, "so that the rights are kept", 0);
	race(&fx, racers, 12, archive_or_post, &channel);
	ck_assert_int_eq(racers[0].status, STATUS_OK);
	ck_assert_uint_eq(raced(racers, 12, STATUS_OK) + raced(racers, 12, STATUS_ARCHIVED), 12);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.messages WHERE content = 'in flight'"),
		(int64_t)raced(racers, 12, STATUS_OK) - 1);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.messages WHERE seq > (SELECT seq FROM "
				     "log.events WHERE kind = 126)"),
		0);
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

/* ---- undelete */

START_TEST(an_undeleted_channel_is_there_again_with_its_messages)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];
	pb_ListMessagesReply page;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView message = posted(&fx, channel, "kept", 0);
	delete_it(&fx, channel);
	int64_t epoch = number(&fx, "SELECT authz_epoch FROM log.streams WHERE rank = 1");
	ck_assert_int_eq(set_state(&fx, channel, CHANNEL_REOPEN), STATUS_OK);
	ck_assert_uint_eq(reply.channel.deleted_at_ms, 0);
	ck_assert_uint_eq(reply.channel.last_message_id, message.id);
	pb_Event event = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_int_eq(event.which_body, EVENT_KIND_channel_undeleted);
	ck_assert_str_eq(audience, "team:1000");
	/* The team's key was never taken from anybody: nobody is asked about, no resume is broken. */
	ck_assert_int_eq(
		event_back(&fx, STREAM_TEAM(TEAM), 1, audience).which_body, EVENT_KIND_channel_deleted);
	ck_assert_int_eq(number(&fx, "SELECT rights_seq FROM messaging.channels"), 0);
	ck_assert_int_eq(number(&fx, "SELECT authz_epoch FROM log.streams WHERE rank = 1"), epoch + 1);
	ck_assert_int_eq(DO(&fx, false, list_messages, pb_ListMessagesRequest, &page, .channel_id = channel),
		STATUS_OK);
	ck_assert_uint_eq(page.messages_count, 1);
	ck_assert_str_eq(page.messages[0].content, "kept");
	posted(&fx, channel, "and on", 0);
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(undeleting_a_private_channel_gives_its_keys_back_before_it_is_told)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE], key[AUDIENCE_SIZE];

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, true);
	audience_key(key, "channel", channel);
	delete_it(&fx, channel);
	ck_assert_int_eq(set_state(&fx, channel, CHANNEL_UNDELETE), STATUS_OK);
	pb_Event recheck = event_back(&fx, STREAM_TEAM(TEAM), 1, audience);
	ck_assert_int_eq(recheck.which_body, EVENT_KIND_audience_recheck);
	ck_assert(recheck.body.audience_recheck.all);
	ck_assert_str_eq(audience, "");
	ck_assert_int_eq(
		event_back(&fx, STREAM_TEAM(TEAM), 0, audience).which_body, EVENT_KIND_channel_undeleted);
	ck_assert_str_eq(audience, key);
	ck_assert_int_eq(number(&fx, "SELECT s.seq - c.rights_seq FROM messaging.channels c, log.streams s "
				     "WHERE s.rank = 1"),
		1);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(an_archived_channel_is_undeleted_as_what_it_was)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	ck_assert_int_eq(set_state(&fx, channel, CHANNEL_ARCHIVE), STATUS_OK);
	delete_it(&fx, channel);
	ck_assert_int_eq(set_state(&fx, channel, CHANNEL_REOPEN), STATUS_OK);
	ck_assert_uint_ne(reply.channel.archived_at_ms, 0);
	ck_assert_int_eq(set_state(&fx, channel, CHANNEL_REOPEN), STATUS_OK);
	ck_assert_uint_eq(reply.channel.archived_at_ms, 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_full_team_has_no_room_for_a_channel_that_comes_back)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	delete_it(&fx, channel);
	pg_exec(fx.url, "INSERT INTO messaging.channels (id, rank, stream_id, team_id, kind, name, "
			"created_at_ms, created_by)"
			" SELECT g, 1, 1000, 1000, 1, 'c', 1, 5 FROM generate_series(1, 500) g");
	ck_assert_int_eq(set_state(&fx, channel, CHANNEL_REOPEN), STATUS_AT_LIMIT);
	ck_assert_str_eq(fx.outcome.why, "channels");
	pg_exec(fx.url, "DELETE FROM messaging.channels WHERE id = 1");
	ck_assert_int_eq(set_state(&fx, channel, CHANNEL_REOPEN), STATUS_OK);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(what_the_purge_has_begun_on_does_not_come_back)
{
	struct fixture fx;
	struct db_conn *conn = NULL;
	uint64_t rows = 0;

	fixture_create(&fx);
	uint64_t cut = made_channel(&fx, false), gone = made_channel(&fx, false);
	delete_it(&fx, cut);
	/* A round that was cut off behind its first step. */
	pg_exec(fx.url, "UPDATE messaging.channels SET purging = true WHERE deleted_at_ms IS NOT NULL");
	ck_assert_int_eq(set_state(&fx, cut, CHANNEL_REOPEN), STATUS_NOT_FOUND);
	ck_assert_int_eq(
		number(&fx, "SELECT count(*) FROM messaging.channels WHERE deleted_at_ms IS NULL"), 1);
	delete_it(&fx, gone);
	ck_assert_int_eq(db_acquire(fx.facts, clock_mono_ms() + PATIENCE_MS, &conn), STATUS_OK);
	ck_assert_int_eq(purge_round(conn, fx.mem, clock_wall_ms() + 60000, &rows), STATUS_OK);
	db_release(conn);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.channels"), 0);
	ck_assert_int_eq(set_state(&fx, gone, CHANNEL_REOPEN), STATUS_NOT_FOUND);
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(the_purge_leaves_alone_what_is_being_brought_back)
{
	struct fixture fx;
	struct db_conn *conn = NULL, *other = NULL;
	uint64_t rows = 0;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	posted(&fx, channel, "kept", 0);
	delete_it(&fx, channel);
	ck_assert_int_eq(db_acquire(fx.facts, clock_mono_ms() + PATIENCE_MS, &conn), STATUS_OK);
	ck_assert_int_eq(db_acquire(fx.facts, clock_mono_ms() + PATIENCE_MS, &other), STATUS_OK);
	ck_assert_int_eq(db_begin(conn), STATUS_OK);
	ck_assert_int_eq(db_script(conn, "UPDATE messaging.channels SET deleted_at_ms = NULL"), STATUS_OK);
	ck_assert_int_eq(purge_round(other, fx.mem, clock_wall_ms() + 60000, &rows), STATUS_OK);
	ck_assert_uint_eq(rows, 0);
	ck_assert_int_eq(db_commit(conn), STATUS_OK);
	db_release(conn);
	db_release(other);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.messages"), 1);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(the_system_changes_states_without_being_judged)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	fx.user = 0;
	ck_assert_int_eq(set_state(&fx, channel, CHANNEL_ARCHIVE), STATUS_OK);
	ck_assert_int_eq(set_state(&fx, channel, CHANNEL_ARCHIVE), STATUS_CONFLICT);
	ck_assert_int_eq(set_state(&fx, channel, CHANNEL_REOPEN), STATUS_OK);
	delete_it(&fx, channel);
	ck_assert_int_eq(set_state(&fx, channel, CHANNEL_REOPEN), STATUS_OK);
	ck_assert_int_eq(
		number(&fx, "SELECT count(*) FROM messaging.channels WHERE deleted_at_ms IS NULL"), 1);
	fixture_destroy(&fx);
}
END_TEST

TESTS("channel states", an_archived_channel_is_told_of_refuses_posts_and_comes_back,
	a_state_that_holds_already_is_a_conflict_and_says_nothing,
	a_repeated_archiving_answers_what_the_first_did, each_state_takes_its_right,
	a_change_of_state_that_nobody_knows_is_refused, no_post_in_flight_lands_behind_the_archiving,
	an_undeleted_channel_is_there_again_with_its_messages,
	undeleting_a_private_channel_gives_its_keys_back_before_it_is_told,
	an_archived_channel_is_undeleted_as_what_it_was,
	a_full_team_has_no_room_for_a_channel_that_comes_back, what_the_purge_has_begun_on_does_not_come_back,
	the_purge_leaves_alone_what_is_being_brought_back, the_system_changes_states_without_being_judged)
