/*
 * Every call of messaging over the wire, on a database, with a moderation that the test plays (fixture.h).
 */
#include "tests/unit/messaging/fixture.h"

#include "services/messaging/purge.h"
#include "services/messaging/views.h"

static struct bits without(enum permission p)
{
	return bits_without(bits_without(OWNED_ROLES, PERMISSION_manage_channels), p);
}

/* ---- channels */

START_TEST(an_open_channel_is_told_to_the_team)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];
	pb_ChannelReply reply;

	fixture_create(&fx);
	ck_assert_int_eq(
		DO(&fx, true, create_channel, pb_CreateChannelRequest, &reply, .team_id = TEAM,
			.kind = CHANNEL_TEXT, .name = (char *)"general", .topic = (char *)"all of it"),
		STATUS_OK);
	ck_assert_str_eq(reply.channel.name, "general");
	ck_assert_str_eq(reply.channel.topic, "all of it");
	ck_assert_uint_eq(reply.channel.created_by, 5);
	pb_Event event = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_int_eq(event.which_body, EVENT_KIND_channel_created);
	ck_assert_str_eq(audience, "team:1000");
	ck_assert_str_eq(event.actor.username, "user5");
	ck_assert_uint_eq(event.body.channel_created.channel.id, reply.channel.id);
	ck_assert_int_eq(number(&fx, "SELECT seq * 10 + authz_epoch FROM log.streams WHERE rank = 1"), 10);
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_private_channel_gives_its_creator_the_key_before_it_is_told)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE], key[AUDIENCE_SIZE];

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, true);
	audience_key(key, "channel", channel);
	pb_Event gained = event_back(&fx, STREAM_TEAM(TEAM), 2, audience);
	ck_assert_int_eq(gained.which_body, EVENT_KIND_audience_changed);
	ck_assert_str_eq(audience, "");
	ck_assert_uint_eq(gained.body.audience_changed.user_id, 5);
	ck_assert_str_eq(gained.body.audience_changed.gained[0], key);
	pb_Event recheck = event_back(&fx, STREAM_TEAM(TEAM), 1, audience);
	ck_assert_int_eq(recheck.which_body, EVENT_KIND_audience_recheck);
	ck_assert(recheck.body.audience_recheck.all);
	pb_Event created = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_int_eq(created.which_body, EVENT_KIND_channel_created);
	ck_assert_str_eq(audience, key);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(an_open_channel_of_a_kind_that_is_hidden_is_not_told_to_the_whole_team)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE], key[AUDIENCE_SIZE];

	fixture_create(&fx);
	TELL(&fx, hidden_kind = CHANNEL_TEXT);
	uint64_t channel = made_channel(&fx, false);
	audience_key(key, "channel", channel);
	pb_Event recheck = event_back(&fx, STREAM_TEAM(TEAM), 1, audience);
	ck_assert_int_eq(recheck.which_body, EVENT_KIND_audience_recheck);
	ck_assert(recheck.body.audience_recheck.all);
	pb_Event created = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_int_eq(created.which_body, EVENT_KIND_channel_created);
	ck_assert_str_eq(audience, key);
	TELL(&fx, hidden_kind = CHANNEL_VOICE);
	made_channel(&fx, false);
	event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	audience_key(key, "team", TEAM);
	ck_assert_str_eq(audience, key);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(creating_a_channel_twice_with_one_request_answers_the_first)
{
	struct fixture fx;
	pb_ChannelReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	fx.same_request = true;
	ck_assert_int_eq(DO(&fx, true, create_channel, pb_CreateChannelRequest, &reply, .team_id = TEAM,
				 .kind = CHANNEL_TEXT, .name = (char *)"general", .own = true),
		STATUS_OK);
	ck_assert(fx.outcome.replayed);
	ck_assert_uint_eq(reply.channel.id, channel);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.channels"), 1);
	fx.same_request = true;
	fx.body = 1;
	ck_assert_int_eq(DO(&fx, true, create_channel, pb_CreateChannelRequest, &reply, .team_id = TEAM,
				 .kind = CHANNEL_TEXT, .name = (char *)"other"),
		STATUS_FIELD_INVALID);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(creating_a_channel_takes_the_right_for_its_kind)
{
	struct fixture fx;
	pb_ChannelReply reply;

	fixture_create(&fx);
	TELL(&fx, bits[5] = without(PERMISSION_create_private_channels));
	made_channel(&fx, false);
	ck_assert_int_eq(DO(&fx, true, create_channel, pb_CreateChannelRequest, &reply, .team_id = TEAM,
				 .kind = CHANNEL_TEXT, .name = (char *)"x", .private = true),
		STATUS_FORBIDDEN);
	ck_assert_str_eq(fx.outcome.why, "create_private_channels");
	TELL(&fx, hidden[5] = true);
	ck_assert_int_eq(DO(&fx, true, create_channel, pb_CreateChannelRequest, &reply, .team_id = TEAM,
				 .kind = CHANNEL_TEXT, .name = (char *)"x"),
		STATUS_NOT_FOUND);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(fields_of_a_channel_are_bounded)
{
	struct fixture fx;
	pb_ChannelReply reply;
	static char name[CHANNEL_NAME_MAX + 2];

	fixture_create(&fx);
	memset(name, 'n', CHANNEL_NAME_MAX + 1);
	ck_assert_int_eq(DO(&fx, true, create_channel, pb_CreateChannelRequest, &reply, .team_id = TEAM,
				 .kind = CHANNEL_TEXT, .name = name),
		STATUS_FIELD_INVALID);
	ck_assert_str_eq(fx.outcome.field, "name");
	ck_assert_int_eq(DO(&fx, true, create_channel, pb_CreateChannelRequest, &reply, .team_id = TEAM,
				 .kind = CHANNEL_THREAD, .name = (char *)"t"),
		STATUS_FIELD_INVALID);
	ck_assert_str_eq(fx.outcome.field, "kind");
	uint64_t channel = made_channel(&fx, false);
	ck_assert_int_eq(DO(&fx, true, update_channel, pb_UpdateChannelRequest, &reply, .channel_id = channel,
				 .has_slow_mode_s = true, .slow_mode_s = CHANNEL_SLOW_MAX_S + 1),
		STATUS_FIELD_INVALID);
	ck_assert_str_eq(fx.outcome.field, "slow_mode_s");
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_team_has_five_hundred_channels_and_no_more)
{
	struct fixture fx;
	pb_ChannelReply reply;

	fixture_create(&fx);
	pg_exec(fx.url, "INSERT INTO messaging.channels (id, rank, stream_id, team_id, kind, name, "
			"created_at_ms, created_by)"
			" SELECT g, 1, 1000, 1000, 1, 'c', 1, 5 FROM generate_series(1, 499) g");
	made_channel(&fx, false);
	ck_assert_int_eq(DO(&fx, true, create_channel, pb_CreateChannelRequest, &reply, .team_id = TEAM,
				 .kind = CHANNEL_TEXT, .name = (char *)"x"),
		STATUS_AT_LIMIT);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(an_update_names_exactly_what_changed)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];
	pb_ChannelReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	ck_assert_int_eq(DO(&fx, true, update_channel, pb_UpdateChannelRequest, &reply, .channel_id = channel,
				 .name = (char *)"general", .topic = (char *)"t", .has_slow_mode_s = true,
				 .slow_mode_s = 5),
		STATUS_OK);
	pb_Event event = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_int_eq(event.which_body, EVENT_KIND_channel_updated);
	ck_assert_int_eq(event.body.channel_updated.changed_count, 2);
	ck_assert_str_eq(event.body.channel_updated.changed[0], "topic");
	ck_assert_str_eq(event.body.channel_updated.changed[1], "slow_mode_s");
	ck_assert_str_eq(event.body.channel_updated.channel.topic, "t");
	int64_t head = number(&fx, "SELECT seq FROM log.streams WHERE rank = 1");
	ck_assert_int_eq(DO(&fx, true, update_channel, pb_UpdateChannelRequest, &reply, .channel_id = channel,
				 .topic = (char *)"t"),
		STATUS_OK);
	ck_assert_str_eq(reply.channel.topic, "t");
	ck_assert_int_eq(number(&fx, "SELECT seq FROM log.streams WHERE rank = 1"), head);
	char *cleared[] = {(char *)"topic"};
	ck_assert_int_eq(DO(&fx, true, update_channel, pb_UpdateChannelRequest, &reply, .channel_id = channel,
				 .cleared_count = 1, .cleared = cleared),
		STATUS_OK);
	ck_assert_ptr_null(reply.channel.topic);
	ck_assert_int_eq(DO(&fx, true, update_channel, pb_UpdateChannelRequest, &reply, .channel_id = channel,
				 .topic = (char *)"of people", .conversation = true),
		STATUS_FIELD_INVALID);
	ck_assert_str_eq(fx.outcome.field, "private");
	fixture_destroy(&fx);
}
END_TEST

START_TEST(privacy_is_a_change_of_rights_told_with_the_key_that_holds_after_it)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE], key[AUDIENCE_SIZE];
	pb_ChannelReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	audience_key(key, "channel", channel);
	ck_assert_int_eq(DO(&fx, true, update_channel, pb_UpdateChannelRequest, &reply, .channel_id = channel,
				 .has_private = true, .private = true),
		STATUS_OK);
	ck_assert_int_eq(
		event_back(&fx, STREAM_TEAM(TEAM), 1, audience).which_body, EVENT_KIND_audience_recheck);
	ck_assert_int_eq(
		event_back(&fx, STREAM_TEAM(TEAM), 0, audience).which_body, EVENT_KIND_channel_updated);
	ck_assert_str_eq(audience, key);
	ck_assert_int_eq(number(&fx, "SELECT authz_epoch FROM log.streams WHERE rank = 1"), 1);
	ck_assert_int_eq(number(&fx, "SELECT c.rights_seq - s.seq FROM messaging.channels c, log.streams s "
				     "WHERE s.rank = 1"),
		-1);
	TELL(&fx, open_audience = "team:1000");
	ck_assert_int_eq(DO(&fx, true, update_channel, pb_UpdateChannelRequest, &reply, .channel_id = channel,
				 .has_private = true, .private = false),
		STATUS_OK);
	ck_assert_int_eq(
		event_back(&fx, STREAM_TEAM(TEAM), 1, audience).which_body, EVENT_KIND_audience_recheck);
	event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_str_eq(audience, "team:1000");
	ck_assert_int_eq(number(&fx, "SELECT authz_epoch FROM log.streams WHERE rank = 1"), 2);
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_new_name_reaches_the_next_post)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];
	pb_ChannelReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	posted(&fx, channel, "one", 0);
	ck_assert_int_eq(DO(&fx, true, update_channel, pb_UpdateChannelRequest, &reply, .channel_id = channel,
				 .name = (char *)"renamed"),
		STATUS_OK);
	posted(&fx, channel, "two", 0);
	ck_assert_str_eq(
		event_back(&fx, STREAM_TEAM(TEAM), 0, audience).body.message_posted.channel.name, "renamed");
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_deleted_channel_is_gone_for_every_call)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];
	pb_ChannelReply channel_reply;
	pb_MessageReply message_reply;
	pb_ListMessagesReply page;
	pb_ListChannelsReply list;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	posted(&fx, channel, "one", 0);
	ck_assert_int_eq(
		DO(&fx, true, delete_channel, pb_DeleteChannelRequest, &(pb_ChannelReply){0}, .channel_id = channel),
		STATUS_OK);
	pb_Event event = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_int_eq(event.which_body, EVENT_KIND_channel_deleted);
	ck_assert_uint_ne(event.body.channel_deleted.channel.deleted_at_ms, 0);
	ck_assert_int_eq(number(&fx, "SELECT authz_epoch FROM log.streams WHERE rank = 1"), 1);
	ck_assert_int_eq(
		DO(&fx, true, delete_channel, pb_DeleteChannelRequest, &(pb_ChannelReply){0}, .channel_id = channel),
		STATUS_NOT_FOUND);
	ck_assert_int_eq(
		DO(&fx, false, get_channel, pb_GetChannelRequest, &channel_reply, .channel_id = channel),
		STATUS_NOT_FOUND);
	ck_assert_int_eq(DO(&fx, true, post_message, pb_PostMessageRequest, &message_reply,
				 .channel_id = channel, .content = (char *)"x"),
		STATUS_NOT_FOUND);
	ck_assert_int_eq(DO(&fx, false, list_messages, pb_ListMessagesRequest, &page, .channel_id = channel),
		STATUS_NOT_FOUND);
	ck_assert_int_eq(
		DO(&fx, false, list_channels, pb_ListChannelsRequest, &list, .team_id = TEAM), STATUS_OK);
	ck_assert_uint_eq(list.channels_count, 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_repeated_deletion_of_a_channel_is_answered_by_a_copy_that_never_saw_it)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	ck_assert_int_eq(
		DO(&fx, true, delete_channel, pb_DeleteChannelRequest, &(pb_ChannelReply){0}, .channel_id = channel),
		STATUS_OK);
	rights_cache_drop(fx.service.rights, 5, channel);
	fx.same_request = true;
	ck_assert_int_eq(
		DO(&fx, true, delete_channel, pb_DeleteChannelRequest, &(pb_ChannelReply){0}, .channel_id = channel),
		STATUS_OK);
	ck_assert(fx.outcome.replayed);
	ck_assert_int_eq(
		DO(&fx, true, delete_channel, pb_DeleteChannelRequest, &(pb_ChannelReply){0}, .channel_id = channel),
		STATUS_NOT_FOUND);
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(behind_the_last_position_there_is_still_room)
{
	struct fixture fx;
	pb_ChannelReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	ck_assert_int_eq(DO(&fx, true, update_channel, pb_UpdateChannelRequest, &reply, .channel_id = channel,
				 .has_position = true, .position = INT32_MAX),
		STATUS_OK);
	made_channel(&fx, false);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(channels_are_listed_in_pages_and_archived_ones_on_request)
{
	struct fixture fx;
	pb_ListChannelsReply list;
	uint64_t ids[5];

	fixture_create(&fx);
	for (int i = 0; i < 5; i++)
		ids[i] = made_channel(&fx, false);
	pg_exec(fx.url, "UPDATE messaging.channels SET archived_at_ms = 1 WHERE id = (SELECT max(id) FROM "
			"messaging.channels)");
	ck_assert_int_eq(
		DO(&fx, false, list_channels, pb_ListChannelsRequest, &list, .team_id = TEAM, .limit = 3),
		STATUS_OK);
	ck_assert_uint_eq(list.channels_count, 3);
	ck_assert(list.more);
	ck_assert_uint_eq(list.channels[0].id, ids[0]);
	ck_assert_int_eq(
		DO(&fx, false, list_channels, pb_ListChannelsRequest, &list, .after = ids[2], .limit = 3),
		STATUS_OK);
	ck_assert_uint_eq(list.channels_count, 1);
	ck_assert(!list.more);
	ck_assert_int_eq(DO(&fx, false, list_channels, pb_ListChannelsRequest, &list, .archived = true,
				 .before = ids[4], .limit = 2),
		STATUS_OK);
	ck_assert_uint_eq(list.channels_count, 2);
	ck_assert_uint_eq(list.channels[0].id, ids[3]);
	ck_assert_int_eq(
		DO(&fx, false, list_channels, pb_ListChannelsRequest, &list, .archived = true), STATUS_OK);
	ck_assert_uint_eq(list.channels_count, 5);
	fixture_destroy(&fx);
}
END_TEST

/* ---- posts */

START_TEST(a_post_is_answered_published_and_listed_with_its_author)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];
	pb_ListMessagesReply page;
	pb_MessageReply one;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView message = posted(&fx, channel, "hello", 0);
	ck_assert_uint_ne(message.seq, 0);
	ck_assert_str_eq(message.author.username, "user5");
	pb_Event event = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_str_eq(event.body.message_posted.message.content, "hello");
	ck_assert_uint_eq(event.body.message_posted.message.id, message.id);
	ck_assert_str_eq(event.body.message_posted.channel.name, "general");
	ck_assert_str_eq(audience, "team:1000");
	ck_assert_int_eq(DO(&fx, false, list_messages, pb_ListMessagesRequest, &page, .channel_id = channel),
		STATUS_OK);
	ck_assert_uint_eq(page.messages_count, 1);
	ck_assert_str_eq(page.messages[0].author.username, "user5");
	ck_assert(!page.messages[0].author.erased);
	ck_assert_uint_eq(page.messages[0].seq, message.seq);
	ck_assert_int_eq(DO(&fx, false, get_message, pb_MessageRequest, &one, .channel_id = channel,
				 .message_id = message.id),
		STATUS_OK);
	ck_assert_str_eq(one.message.content, "hello");
	ck_assert_str_eq(one.channel.name, "general");
	fixture_destroy(&fx);
}
END_TEST

START_TEST(the_second_post_asks_moderation_no_more)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	posted(&fx, channel, "one", 0);
	int before = atomic_load(&fx.judged);
	posted(&fx, channel, "two", 0);
	ck_assert_int_eq(atomic_load(&fx.judged), before);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_refusal_never_comes_from_the_cache)
{
	struct fixture fx;
	pb_MessageReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	TELL(&fx, bits[5] = without(PERMISSION_send_messages));
	ck_assert_int_eq(DO(&fx, true, post_message, pb_PostMessageRequest, &reply, .channel_id = channel,
				 .content = (char *)"x"),
		STATUS_FORBIDDEN);
	ck_assert_str_eq(fx.outcome.why, "send_messages");
	TELL(&fx, bits[5] = OWNED_ROLES); /* given without raising an epoch */
	posted(&fx, channel, "now", 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_right_that_was_taken_is_noticed_at_the_commit)
{
	struct fixture fx;
	pb_MessageReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	posted(&fx, channel, "one", 0);
	TELL(&fx, hidden[5] = true);
	pg_exec(fx.url, "UPDATE moderation.members SET epoch = epoch + 1 WHERE user_id = 5");
	ck_assert_int_eq(DO(&fx, true, post_message, pb_PostMessageRequest, &reply, .channel_id = channel,
				 .content = (char *)"x"),
		STATUS_NOT_FOUND);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.messages"), 1);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_post_judged_by_old_rights_is_judged_again_and_goes_through)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	posted(&fx, channel, "one", 0);
	pg_exec(fx.url, "UPDATE log.streams SET authz_epoch = authz_epoch + 1 WHERE rank = 1");
	TELL(&fx, stale_answers = 2);
	posted(&fx, channel, "two", 0);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.messages"), 2);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(rights_that_never_stand_still_end_busy)
{
	struct fixture fx;
	pb_MessageReply reply;
	pb_ListMessagesReply page;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pg_exec(fx.url, "UPDATE log.streams SET authz_epoch = authz_epoch + 1 WHERE rank = 1");
	TELL(&fx, stale_answers = 1000);
	ck_assert_int_eq(DO(&fx, true, post_message, pb_PostMessageRequest, &reply, .channel_id = channel,
				 .content = (char *)"x"),
		STATUS_BUSY);
	ck_assert_int_eq(DO(&fx, false, list_messages, pb_ListMessagesRequest, &page, .channel_id = channel),
		STATUS_BUSY);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_right_that_only_a_lost_history_had_given_is_not_used)
{
	struct fixture fx;
	pb_MessageReply reply;
	pb_ListMessagesReply page;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	posted(&fx, channel, "one", 0);
	ck_assert_int_eq(DO(&fx, false, list_messages, pb_ListMessagesRequest, &page, .channel_id = channel),
		STATUS_OK);
	/* After the failover the person is no member, by the same epochs: adding him had raised none. */
	TELL(&fx, hidden[5] = true);
	pg_another_generation(fx.url);
	ck_assert_int_eq(DO(&fx, true, post_message, pb_PostMessageRequest, &reply, .channel_id = channel,
				 .content = (char *)"x"),
		STATUS_NOT_FOUND);
	ck_assert_int_eq(DO(&fx, false, list_messages, pb_ListMessagesRequest, &page, .channel_id = channel),
		STATUS_NOT_FOUND);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.messages"), 1);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(an_author_whose_row_was_lost_with_a_history_is_written_again)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	posted(&fx, channel, "one", 0);
	pg_exec(fx.url, "DELETE FROM messaging.people");
	pg_another_generation(fx.url);
	posted(&fx, channel, "two", 0);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.people WHERE id = 5"), 1);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(an_ended_session_is_told_apart_in_posts_changes_and_reads)
{
	struct fixture fx;
	pb_MessageReply reply;
	pb_ChannelReply channel_reply;
	pb_ListMessagesReply page;
	pb_ListChannelsReply list;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pg_exec(fx.url, "UPDATE log.streams SET authz_epoch = 1 WHERE rank = 2 AND id = 5");
	ck_assert_int_eq(DO(&fx, true, post_message, pb_PostMessageRequest, &reply, .channel_id = channel,
				 .content = (char *)"x"),
		STATUS_STALE);
	ck_assert_str_eq(fx.outcome.why, "session");
	ck_assert_int_eq(DO(&fx, true, update_channel, pb_UpdateChannelRequest, &channel_reply,
				 .channel_id = channel, .name = (char *)"x"),
		STATUS_STALE);
	ck_assert_str_eq(fx.outcome.why, "session");
	ck_assert_int_eq(DO(&fx, false, list_messages, pb_ListMessagesRequest, &page, .channel_id = channel),
		STATUS_STALE);
	ck_assert_str_eq(fx.outcome.why, "session");
	ck_assert_int_eq(
		DO(&fx, false, list_channels, pb_ListChannelsRequest, &list, .team_id = TEAM), STATUS_STALE);
	ck_assert_str_eq(fx.outcome.why, "session");
	fx.actor_epoch = 1;
	posted(&fx, channel, "again", 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_repeated_post_answers_the_message_as_it_is_now)
{
	struct fixture fx;
	pb_MessageReply reply, edited;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView message = posted(&fx, channel, "one", 0);
	uint64_t request = fx.request;
	ck_assert_int_eq(DO(&fx, true, update_message, pb_UpdateMessageRequest, &edited,
				 .channel_id = channel, .message_id = message.id, .content = (char *)"two"),
		STATUS_OK);
	fx.request = request;
	fx.same_request = true;
	ck_assert_int_eq(DO(&fx, true, post_message, pb_PostMessageRequest, &reply, .channel_id = channel,
				 .content = (char *)"one"),
		STATUS_OK);
	ck_assert(fx.outcome.replayed);
	ck_assert_uint_eq(reply.message.id, message.id);
	ck_assert_str_eq(reply.message.content, "two");
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.messages"), 1);
	fixture_destroy(&fx);
}
END_TEST

/* The call as user 5 again, with the same request id, from where he was meanwhile thrown out. */
static void thrown_out(struct fixture *fx, uint64_t request)
{
	pg_exec(fx->url, "UPDATE moderation.members SET epoch = epoch + 1 WHERE user_id = 5");
	TELL(fx, hidden[5] = true);
	fx->user = 5;
	fx->request = request;
	fx->same_request = true;
}

START_TEST(who_was_thrown_out_is_told_what_became_of_his_post_and_of_no_other)
{
	struct fixture fx;
	pb_MessageReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView message = posted(&fx, channel, "one", 0);
	uint64_t request = fx.request;
	fx.user = 6; /* what others made of it since is not for him */
	ck_assert_int_eq(DO(&fx, true, update_message, pb_UpdateMessageRequest, &reply, .channel_id = channel,
				 .message_id = message.id, .content = (char *)"two"),
		STATUS_OK);
	thrown_out(&fx, request);
	ck_assert_int_eq(DO(&fx, true, post_message, pb_PostMessageRequest, &reply, .channel_id = channel,
				 .content = (char *)"one"),
		STATUS_OK);
	ck_assert(fx.outcome.replayed);
	ck_assert_uint_eq(reply.message.id, message.id);
	ck_assert_str_eq(reply.message.content, "one");
	ck_assert_uint_eq(reply.message.seq, message.seq);
	fx.same_request = true;
	fx.body = 1;
	ck_assert_int_eq(DO(&fx, true, post_message, pb_PostMessageRequest, &reply, .channel_id = channel,
				 .content = (char *)"other", .nonce = (char *)"n"),
		STATUS_FIELD_INVALID);
	ck_assert_str_eq(fx.outcome.field, "nonce");
	ck_assert_int_eq(DO(&fx, true, post_message, pb_PostMessageRequest, &reply, .channel_id = channel,
				 .content = (char *)"one"),
		STATUS_NOT_FOUND);
	TELL(&fx, hidden[5] = false);
	TELL(&fx, bits[5] = without(PERMISSION_send_messages)); /* a right lost is no different */
	ck_assert_int_eq(DO(&fx, true, post_message, pb_PostMessageRequest, &reply, .channel_id = channel,
				 .content = (char *)"one"),
		STATUS_FORBIDDEN);
	ck_assert_str_eq(fx.outcome.why, "send_messages");
	fx.request = request;
	fx.same_request = true;
	fx.body = 0;
	ck_assert_int_eq(DO(&fx, true, post_message, pb_PostMessageRequest, &reply, .channel_id = channel,
				 .content = (char *)"one"),
		STATUS_OK);
	ck_assert(fx.outcome.replayed);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.messages"), 1);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_repeated_reply_outlives_its_parent)
{
	struct fixture fx;
	pb_MessageReply reply;
	pb_Empty empty;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView parent = posted(&fx, channel, "one", 0);
	pb_MessageView child = posted(&fx, channel, "two", parent.id);
	uint64_t request = fx.request;
	ck_assert_int_eq(DO(&fx, true, delete_message, pb_MessageRequest, &empty, .channel_id = channel,
				 .message_id = parent.id),
		STATUS_OK);
	fx.request = request;
	fx.same_request = true;
	ck_assert_int_eq(DO(&fx, true, post_message, pb_PostMessageRequest, &reply, .channel_id = channel,
				 .content = (char *)"two", .parent_id = parent.id),
		STATUS_OK);
	ck_assert(fx.outcome.replayed);
	ck_assert_uint_eq(reply.message.id, child.id);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(who_was_thrown_out_is_told_what_became_of_his_other_changes)
{
	struct fixture fx;
	pb_MessageReply reply;
	pb_ChannelReply made, renamed;
	pb_UnreadReply unread;
	pb_Empty empty;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	uint64_t creation = fx.request;
	pb_MessageView message = posted(&fx, channel, "one", 0);
	ck_assert_int_eq(DO(&fx, true, update_message, pb_UpdateMessageRequest, &reply, .channel_id = channel,
				 .message_id = message.id, .content = (char *)"two"),
		STATUS_OK);
	uint64_t edit = fx.request;
	ck_assert_int_eq(
		DO(&fx, true, mark_read, pb_MarkReadRequest, &unread, .channel_id = channel), STATUS_OK);
	uint64_t mark = fx.request;
	ck_assert_int_eq(DO(&fx, true, update_channel, pb_UpdateChannelRequest, &renamed,
				 .channel_id = channel, .topic = (char *)"t"),
		STATUS_OK);
	uint64_t topic = fx.request;

	thrown_out(&fx, edit);
	ck_assert_int_eq(DO(&fx, true, update_message, pb_UpdateMessageRequest, &reply, .channel_id = channel,
				 .message_id = message.id, .content = (char *)"two"),
		STATUS_OK);
	ck_assert(fx.outcome.replayed);
	ck_assert_str_eq(reply.message.content, "two");
	thrown_out(&fx, mark);
	ck_assert_int_eq(
		DO(&fx, true, mark_read, pb_MarkReadRequest, &unread, .channel_id = channel), STATUS_OK);
	ck_assert(fx.outcome.replayed);
	ck_assert_uint_eq(unread.unread.last_read_id, message.id);
	thrown_out(&fx, topic);
	ck_assert_int_eq(DO(&fx, true, update_channel, pb_UpdateChannelRequest, &renamed,
				 .channel_id = channel, .topic = (char *)"t"),
		STATUS_OK);
	ck_assert(fx.outcome.replayed);
	ck_assert_str_eq(renamed.channel.topic, "t");
	thrown_out(&fx, creation);
	TELL(&fx, hidden[5] = false);
	TELL(&fx, bits[5] = bits_without(
			  without(PERMISSION_create_public_channels), PERMISSION_create_private_channels));
	ck_assert_int_eq(DO(&fx, true, create_channel, pb_CreateChannelRequest, &made, .team_id = TEAM,
				 .kind = CHANNEL_TEXT, .name = (char *)"general", .own = true),
		STATUS_OK);
	ck_assert(fx.outcome.replayed);
	ck_assert_uint_eq(made.channel.id, channel);
	TELL(&fx, hidden[5] = true);
	fx.request += 100; /* never seen */
	ck_assert_int_eq(DO(&fx, true, delete_message, pb_MessageRequest, &empty, .channel_id = channel,
				 .message_id = message.id),
		STATUS_NOT_FOUND);
	ck_assert_int_eq(DO(&fx, true, mark_read, pb_MarkReadRequest, &unread, .channel_id = channel),
		STATUS_NOT_FOUND);
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(content_has_one_to_four_thousand_code_points)
{
	struct fixture fx;
	pb_MessageReply reply;
	char *content = malloc(3 * MESSAGE_CONTENT_MAX + 4);

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	for (int i = 0; i <= MESSAGE_CONTENT_MAX; i++)
		memcpy(content + 3 * i, "\xe2\x82\xac", 4);
	ck_assert_int_eq(DO(&fx, true, post_message, pb_PostMessageRequest, &reply, .channel_id = channel,
				 .content = content),
		STATUS_FIELD_INVALID);
	ck_assert_str_eq(fx.outcome.field, "content");
	content[3 * MESSAGE_CONTENT_MAX] = '\0';
	posted(&fx, channel, content, 0);
	ck_assert_int_eq(DO(&fx, true, post_message, pb_PostMessageRequest, &reply, .channel_id = channel,
				 .content = (char *)""),
		STATUS_FIELD_INVALID);
	free(content);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(replies_join_the_chain_of_their_parent)
{
	struct fixture fx;
	pb_ListMessagesReply page;
	pb_MessageReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false), other = made_channel(&fx, false);
	pb_MessageView top = posted(&fx, channel, "top", 0);
	pb_MessageView first = posted(&fx, channel, "first", top.id);
	pb_MessageView second = posted(&fx, channel, "second", first.id);
	ck_assert_uint_eq(second.parent_id, first.id);
	ck_assert_uint_eq(second.root_id, top.id);
	ck_assert_int_eq(DO(&fx, false, list_replies, pb_ListMessagesRequest, &page, .channel_id = channel,
				 .parent_id = top.id),
		STATUS_OK);
	ck_assert_uint_eq(page.messages_count, 2);
	ck_assert_uint_eq(page.messages[0].id, second.id);
	ck_assert_int_eq(DO(&fx, false, list_replies, pb_ListMessagesRequest, &page, .channel_id = channel,
				 .parent_id = first.id),
		STATUS_OK);
	ck_assert_uint_eq(page.messages_count, 1);
	ck_assert_int_eq(DO(&fx, false, list_messages, pb_ListMessagesRequest, &page, .channel_id = channel),
		STATUS_OK);
	ck_assert_uint_eq(page.messages_count, 3);
	ck_assert_uint_eq(page.messages[2].reply_count, 2);
	ck_assert_int_eq(DO(&fx, true, post_message, pb_PostMessageRequest, &reply, .channel_id = other,
				 .content = (char *)"x", .parent_id = top.id),
		STATUS_NOT_FOUND);
	ck_assert_str_eq(fx.outcome.field, "parent_id");
	ck_assert_int_eq(DO(&fx, false, list_replies, pb_ListMessagesRequest, &page, .channel_id = other,
				 .parent_id = top.id),
		STATUS_NOT_FOUND);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(slow_mode_says_when_the_next_post_is_taken)
{
	struct fixture fx;
	pb_ChannelReply channel_reply;
	pb_MessageReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	ck_assert_int_eq(DO(&fx, true, update_channel, pb_UpdateChannelRequest, &channel_reply,
				 .channel_id = channel, .has_slow_mode_s = true, .slow_mode_s = 600),
		STATUS_OK);
	TELL(&fx,
		bits[5] = bits_without(without(PERMISSION_bypass_slow_mode), PERMISSION_delete_any_message));
	pg_exec(fx.url, "UPDATE moderation.members SET epoch = epoch + 1 WHERE user_id = 5");
	posted(&fx, channel, "one", 0);
	ck_assert_int_eq(DO(&fx, true, post_message, pb_PostMessageRequest, &reply, .channel_id = channel,
				 .content = (char *)"two"),
		STATUS_SLOW_MODE);
	ck_assert_uint_gt(fx.outcome.retry_after_ms, 500000);
	ck_assert_uint_le(fx.outcome.retry_after_ms, 600000);
	TELL(&fx, bits[5] = OWNED_ROLES); /* a right to pass was given: the cache does not know */
	posted(&fx, channel, "three", 0);
	fixture_destroy(&fx);
}
END_TEST

/* ---- edits and deletions */

START_TEST(an_edit_keeps_the_version_before_and_the_same_content_says_nothing)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];
	pb_MessageReply reply;
	pb_ListEditsReply edits;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView message = posted(&fx, channel, "one", 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(
			DO(&fx, true, update_message, pb_UpdateMessageRequest, &reply, .channel_id = channel,
				.message_id = message.id, .content = (char *)(i == 0 ? "two" : "three")),
			STATUS_OK);
	ck_assert_str_eq(reply.message.content, "three");
	ck_assert_uint_ne(reply.message.edited_at_ms, 0);
	ck_assert_uint_eq(reply.message.seq, message.seq);
	pb_Event event = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_int_eq(event.which_body, EVENT_KIND_message_updated);
	ck_assert_str_eq(event.body.message_updated.message.content, "three");
	int64_t head = number(&fx, "SELECT seq FROM log.streams WHERE rank = 1");
	ck_assert_int_eq(DO(&fx, true, update_message, pb_UpdateMessageRequest, &reply, .channel_id = channel,
				 .message_id = message.id, .content = (char *)"three"),
		STATUS_OK);
	ck_assert_int_eq(number(&fx, "SELECT seq FROM log.streams WHERE rank = 1"), head);
	ck_assert_int_eq(DO(&fx, false, list_edits, pb_MessageRequest, &edits, .channel_id = channel,
				 .message_id = message.id),
		STATUS_OK);
	ck_assert_uint_eq(edits.edits_count, 2);
	ck_assert_str_eq(edits.edits[0].content, "one");
	ck_assert_uint_eq(edits.edits[0].edited_at_ms, message.created_at_ms);
	ck_assert_str_eq(edits.edits[1].content, "two");
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_message_takes_a_hundred_edits_and_all_of_them_are_one_answer)
{
	enum { LENGTH = MESSAGE_CONTENT_MAX * 4 };
	static char content[LENGTH + 1];
	struct fixture fx;
	pb_MessageReply reply;
	pb_ListEditsReply edits;
	pb_Empty empty;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	for (int i = 0; i < LENGTH; i += 4)
		memcpy(content + i, "\xf0\x9f\x99\x82", 4);
	pb_MessageView message = posted(&fx, channel, content, 0);
	for (int i = 0; i < MESSAGE_EDITS_MAX; i++) {
		content[LENGTH - 1] = (char)(0x80 + (i + 1) % 64); /* another one of the same size */
		ck_assert_int_eq(DO(&fx, true, update_message, pb_UpdateMessageRequest, &reply,
					 .channel_id = channel, .message_id = message.id, .content = content),
			STATUS_OK);
	}
	int64_t head = number(&fx, "SELECT seq FROM log.streams WHERE rank = 1");
	ck_assert_int_eq(DO(&fx, true, update_message, pb_UpdateMessageRequest, &reply, .channel_id = channel,
				 .message_id = message.id, .content = content),
		STATUS_OK); /* nothing new, nothing kept */
	ck_assert_int_eq(DO(&fx, true, update_message, pb_UpdateMessageRequest, &reply, .channel_id = channel,
				 .message_id = message.id, .content = (char *)"more"),
		STATUS_AT_LIMIT);
	ck_assert_str_eq(fx.outcome.why, "edits");
	ck_assert_int_eq(number(&fx, "SELECT seq FROM log.streams WHERE rank = 1"), head);
	ck_assert_int_eq(
		number(&fx, "SELECT cardinality(event_seqs) FROM messaging.messages"), MESSAGE_EDITS_MAX);
	ck_assert_int_eq(DO(&fx, false, list_edits, pb_MessageRequest, &edits, .channel_id = channel,
				 .message_id = message.id),
		STATUS_OK);
	ck_assert_uint_eq(edits.edits_count, MESSAGE_EDITS_MAX);
	ck_assert_uint_eq(strlen(edits.edits[MESSAGE_EDITS_MAX - 1].content), LENGTH);
	ck_assert_int_eq(DO(&fx, true, delete_message, pb_MessageRequest, &empty, .channel_id = channel,
				 .message_id = message.id),
		STATUS_OK);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM log.events WHERE length(payload) > 16000"), 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_repeated_edit_answers_the_message_as_it_is_now)
{
	struct fixture fx;
	pb_MessageReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView message = posted(&fx, channel, "one", 0);
	for (int i = 0; i < 2; i++) {
		fx.same_request = i == 1;
		ck_assert_int_eq(
			DO(&fx, true, update_message, pb_UpdateMessageRequest, &reply, .channel_id = channel,
				.message_id = message.id, .content = (char *)"two"),
			STATUS_OK);
	}
	ck_assert(fx.outcome.replayed);
	ck_assert_str_eq(reply.message.content, "two");
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.message_edits"), 1);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(others_messages_take_the_right_for_any)
{
	struct fixture fx;
	pb_MessageReply reply;
	pb_Empty empty;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false), other = made_channel(&fx, false);
	pb_MessageView message = posted(&fx, channel, "one", 0);
	fx.user = 6;
	TELL(&fx,
		bits[6] = bits_without(without(PERMISSION_edit_any_message), PERMISSION_delete_any_message));
	ck_assert_int_eq(DO(&fx, true, update_message, pb_UpdateMessageRequest, &reply, .channel_id = channel,
				 .message_id = message.id, .content = (char *)"mine"),
		STATUS_FORBIDDEN);
	ck_assert_str_eq(fx.outcome.why, "edit_any_message");
	ck_assert_int_eq(DO(&fx, true, delete_message, pb_MessageRequest, &empty, .channel_id = channel,
				 .message_id = message.id),
		STATUS_FORBIDDEN);
	TELL(&fx, bits[6] = OWNED_ROLES);
	ck_assert_int_eq(DO(&fx, true, update_message, pb_UpdateMessageRequest, &reply, .channel_id = other,
				 .message_id = message.id, .content = (char *)"mine"),
		STATUS_NOT_FOUND);
	ck_assert_int_eq(DO(&fx, true, delete_message, pb_MessageRequest, &empty, .channel_id = channel,
				 .message_id = message.id),
		STATUS_OK);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_deleted_message_leaves_no_content_anywhere)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];
	pb_MessageReply reply;
	pb_Empty empty;
	pb_ListMessagesReply page;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView before = posted(&fx, channel, "before", 0);
	pb_MessageView message = posted(&fx, channel, "SECRETWORD", before.id);
	ck_assert_int_eq(DO(&fx, true, update_message, pb_UpdateMessageRequest, &reply, .channel_id = channel,
				 .message_id = message.id, .content = (char *)"SECRETWORD2"),
		STATUS_OK);
	ck_assert_int_eq(DO(&fx, true, delete_message, pb_MessageRequest, &empty, .channel_id = channel,
				 .message_id = message.id),
		STATUS_OK);
	ck_assert_int_eq(
		number(&fx,
			"SELECT count(*) FROM log.events WHERE position('SECRETWORD'::bytea IN payload) > 0"),
		0);
	ck_assert_int_eq(
		number(&fx,
			"SELECT count(*) FROM log.requests WHERE position('SECRETWORD'::bytea IN reply) > 0"),
		0);
	ck_assert_int_eq(
		number(&fx, "SELECT count(*) FROM messaging.messages WHERE content LIKE '%SECRET%'"), 0);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.message_edits"), 0);
	pb_Event event = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_int_eq(event.which_body, EVENT_KIND_message_deleted);
	ck_assert_uint_eq(event.body.message_deleted.message.id, message.id);
	ck_assert_uint_eq(event.body.message_deleted.new_last_id, before.id);
	event = event_back(&fx, STREAM_TEAM(TEAM), 1, audience);
	ck_assert(event.tombstone && event.has_remains);
	ck_assert_uint_eq(event.remains.id, message.id);
	ck_assert_uint_eq(event.remains.channel_id, channel);
	ck_assert_uint_ne(event.remains.author_id, 0);
	ck_assert_int_eq(number(&fx, "SELECT message_count * 10 + counted FROM messaging.channels"), 11);
	ck_assert_int_eq(DO(&fx, false, list_messages, pb_ListMessagesRequest, &page, .channel_id = channel),
		STATUS_OK);
	ck_assert_uint_eq(page.messages_count, 1);
	ck_assert_uint_eq(page.messages[0].reply_count, 0);
	ck_assert_int_eq(DO(&fx, false, get_message, pb_MessageRequest, &reply, .channel_id = channel,
				 .message_id = message.id),
		STATUS_NOT_FOUND);
	ck_assert_int_eq(DO(&fx, true, delete_message, pb_MessageRequest, &empty, .channel_id = channel,
				 .message_id = message.id),
		STATUS_NOT_FOUND);
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

/* ---- lists */

START_TEST(messages_are_paged_both_ways_without_a_gap)
{
	struct fixture fx;
	pb_ListMessagesReply page;
	pb_Empty empty;
	uint64_t ids[7];

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	for (int i = 0; i < 7; i++)
		ids[i] = posted(&fx, channel, "m", 0).id;
	ck_assert_int_eq(DO(&fx, false, list_messages, pb_ListMessagesRequest, &page, .channel_id = channel,
				 .limit = 3),
		STATUS_OK);
	ck_assert_uint_eq(page.messages_count, 3);
	ck_assert(page.more);
	ck_assert_uint_eq(page.messages[0].id, ids[6]);
	ck_assert_int_eq(DO(&fx, false, list_messages, pb_ListMessagesRequest, &page, .channel_id = channel,
				 .limit = 4, .before = ids[4]),
		STATUS_OK);
	ck_assert_uint_eq(page.messages_count, 4);
	ck_assert(!page.more);
	ck_assert_uint_eq(page.messages[0].id, ids[3]);
	ck_assert_uint_eq(page.messages[3].id, ids[0]);
	ck_assert_int_eq(DO(&fx, false, list_messages, pb_ListMessagesRequest, &page, .channel_id = channel,
				 .limit = 2, .after = ids[1]),
		STATUS_OK);
	ck_assert_uint_eq(page.messages_count, 2);
	ck_assert(page.more);
	ck_assert_uint_eq(page.messages[0].id, ids[2]);
	ck_assert_int_eq(DO(&fx, true, delete_message, pb_MessageRequest, &empty, .channel_id = channel,
				 .message_id = ids[3]),
		STATUS_OK);
	ck_assert_int_eq(DO(&fx, false, list_messages, pb_ListMessagesRequest, &page, .channel_id = channel,
				 .after = ids[3]),
		STATUS_OK);
	ck_assert_uint_eq(page.messages_count, 3);
	ck_assert_int_eq(DO(&fx, false, list_messages, pb_ListMessagesRequest, &page, .channel_id = channel,
				 .after = ids[6]),
		STATUS_OK);
	ck_assert_uint_eq(page.messages_count, 0);
	ck_assert_int_eq(DO(&fx, false, list_messages, pb_ListMessagesRequest, &page, .channel_id = channel,
				 .before = 1),
		STATUS_FIELD_INVALID);
	ck_assert_str_eq(fx.outcome.field, "before");
	fixture_destroy(&fx);
}
END_TEST

START_TEST(history_takes_its_right)
{
	struct fixture fx;
	pb_ListMessagesReply page;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	TELL(&fx, bits[5] = without(PERMISSION_read_history));
	ck_assert_int_eq(DO(&fx, false, list_messages, pb_ListMessagesRequest, &page, .channel_id = channel),
		STATUS_FORBIDDEN);
	ck_assert_str_eq(fx.outcome.why, "read_history");
	fixture_destroy(&fx);
}
END_TEST

START_TEST(an_answer_judged_by_rights_that_were_taken_is_not_sent)
{
	struct fixture fx;
	pb_ListMessagesReply page;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	posted(&fx, channel, "one", 0); /* the rights are cached now */
	TELL(&fx, hidden[5] = true);
	pg_exec(fx.url, "UPDATE log.streams SET authz_epoch = authz_epoch + 1 WHERE rank = 1");
	ck_assert_int_eq(DO(&fx, false, list_messages, pb_ListMessagesRequest, &page, .channel_id = channel),
		STATUS_NOT_FOUND);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(not_even_what_is_missing_is_told_by_rights_that_were_taken)
{
	struct fixture fx;
	pb_ListMessagesReply page;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	posted(&fx, channel, "one", 0); /* the rights are cached now */
	TELL(&fx, hidden[5] = true);
	pg_exec(fx.url, "UPDATE log.streams SET authz_epoch = authz_epoch + 1 WHERE rank = 1");
	ck_assert_int_eq(DO(&fx, false, list_messages, pb_ListMessagesRequest, &page, .channel_id = channel,
				 .before = 12345),
		STATUS_NOT_FOUND);
	fixture_destroy(&fx);
}
END_TEST

/* ---- read marks */

START_TEST(unread_is_what_came_after_the_mark)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];
	pb_ListUnreadReply list;
	pb_UnreadReply reply;
	uint64_t ids[5];

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	for (int i = 0; i < 5; i++)
		ids[i] = posted(&fx, channel, "m", 0).id;
	ck_assert_int_eq(DO(&fx, false, list_unread, pb_ListUnreadRequest, &list), STATUS_OK);
	ck_assert_uint_eq(list.unread_count, 1);
	ck_assert_uint_eq(list.unread[0].unread, 0); /* who posts has read */
	fx.user = 6;
	ck_assert_int_eq(DO(&fx, false, list_unread, pb_ListUnreadRequest, &list), STATUS_OK);
	ck_assert_uint_eq(list.unread[0].unread, 5);
	ck_assert_uint_eq(list.unread[0].last_message_id, ids[4]);
	ck_assert_int_eq(DO(&fx, true, mark_read, pb_MarkReadRequest, &reply, .channel_id = channel,
				 .message_id = ids[1]),
		STATUS_OK);
	ck_assert_uint_eq(reply.unread.unread, 3);
	ck_assert_uint_eq(reply.unread.last_read_id, ids[1]);
	pb_Event event = event_back(&fx, STREAM_USER(6), 0, audience);
	ck_assert_int_eq(event.which_body, EVENT_KIND_read_state_changed);
	ck_assert_str_eq(audience, "user:6");
	ck_assert_uint_eq(event.body.read_state_changed.unread, 3);
	ck_assert_int_eq(DO(&fx, false, list_unread, pb_ListUnreadRequest, &list), STATUS_OK);
	ck_assert_uint_eq(list.unread[0].unread, 3);
	ck_assert_int_eq(
		DO(&fx, true, mark_read, pb_MarkReadRequest, &reply, .channel_id = channel), STATUS_OK);
	ck_assert_uint_eq(reply.unread.unread, 0);
	ck_assert_uint_eq(reply.unread.last_read_id, ids[4]);
	int64_t head = number(&fx, "SELECT seq FROM log.streams WHERE rank = 2 AND id = 6");
	ck_assert_int_eq(
		DO(&fx, true, mark_read, pb_MarkReadRequest, &reply, .channel_id = channel), STATUS_OK);
	ck_assert_int_eq(number(&fx, "SELECT seq FROM log.streams WHERE rank = 2 AND id = 6"), head);
	ck_assert_int_eq(
		DO(&fx, true, mark_read, pb_MarkReadRequest, &reply, .channel_id = channel, .message_id = 1),
		STATUS_NOT_FOUND);
	ck_assert_str_eq(fx.outcome.field, "message_id");
	fixture_destroy(&fx);
}
END_TEST

START_TEST(an_empty_channel_can_be_marked)
{
	struct fixture fx;
	pb_UnreadReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	ck_assert_int_eq(
		DO(&fx, true, mark_read, pb_MarkReadRequest, &reply, .channel_id = channel), STATUS_OK);
	ck_assert_uint_eq(reply.unread.unread, 0);
	ck_assert_uint_eq(reply.unread.last_read_id, 0);
	fixture_destroy(&fx);
}
END_TEST

/* ---- people */

START_TEST(an_erased_person_stays_erased_whatever_an_older_envelope_says)
{
	struct fixture fx;
	pb_Empty empty;
	pb_ListMessagesReply page;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	posted(&fx, channel, "one", 0);
	ck_assert_int_eq(DO(&fx, true, put_person, pb_MessagingPersonRequest, &empty, .has_user = true,
				 .user = {.id = 5}),
		STATUS_FORBIDDEN);
	fx.user = 0;
	ck_assert_int_eq(DO(&fx, true, put_person, pb_MessagingPersonRequest, &empty, .has_user = true,
				 .user = {.id = 5, .erased = true}),
		STATUS_OK);
	fx.user = 5;
	posted(&fx, channel, "two", 0);
	ck_assert_int_eq(DO(&fx, false, list_messages, pb_ListMessagesRequest, &page, .channel_id = channel),
		STATUS_OK);
	for (int i = 0; i < 2; i++) {
		ck_assert(page.messages[i].author.erased);
		ck_assert_ptr_null(page.messages[i].author.username);
	}
	fixture_destroy(&fx);
}
END_TEST

/* ---- the system and the log */

START_TEST(the_system_deletes_a_channel_without_being_judged)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];
	pb_MessageReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	fx.user = 0;
	TELL(&fx, bits[0] = (struct bits){0});
	ck_assert_int_eq(DO(&fx, true, post_message, pb_PostMessageRequest, &reply, .channel_id = channel,
				 .content = (char *)"x"),
		STATUS_FORBIDDEN);
	ck_assert_int_eq(
		DO(&fx, true, delete_channel, pb_DeleteChannelRequest, &(pb_ChannelReply){0}, .channel_id = channel),
		STATUS_OK);
	pb_Event event = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_int_eq(event.which_body, EVENT_KIND_channel_deleted);
	ck_assert(!event.has_actor);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(the_log_is_served)
{
	struct fixture fx;
	pb_FetchEventsReply events;
	pb_StreamHeadsReply heads;
	pb_StreamHead stream = {.rank = 1, .stream_id = TEAM};

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	posted(&fx, channel, "one", 0);
	ck_assert_int_eq(DO(&fx, false, fetch_events, pb_FetchEventsRequest, &events, .rank = 1,
				 .stream_id = TEAM, .after = 1, .limit = 10),
		STATUS_OK);
	ck_assert_uint_eq(events.events_count, 1);
	ck_assert_uint_eq(events.head, 2);
	ck_assert_uint_eq(events.events[0].kind, EVENT_KIND_message_posted);
	ck_assert_int_eq(DO(&fx, false, stream_heads, pb_StreamHeadsRequest, &heads, .streams_count = 1,
				 .streams = &stream),
		STATUS_OK);
	ck_assert_uint_eq(heads.heads[0].seq, 2);
	fixture_destroy(&fx);
}
END_TEST

/* ---- purge */

START_TEST(what_was_deleted_long_ago_goes_for_good_and_nothing_else)
{
	struct fixture fx;
	struct db_conn *conn = NULL;
	uint64_t rows = 0;
	pb_Empty empty;

	fixture_create(&fx);
	uint64_t kept = made_channel(&fx, false), gone = made_channel(&fx, false);
	pb_MessageView old = posted(&fx, kept, "old", 0);
	posted(&fx, kept, "stays", 0);
	posted(&fx, gone, "in a channel that goes", 0);
	ck_assert_int_eq(DO(&fx, true, delete_message, pb_MessageRequest, &empty, .channel_id = kept,
				 .message_id = old.id),
		STATUS_OK);
	ck_assert_int_eq(DO(&fx, true, delete_channel, pb_DeleteChannelRequest, &(pb_ChannelReply){0}, .channel_id = gone),
		STATUS_OK);
	ck_assert_int_eq(db_acquire(fx.facts, clock_mono_ms() + PATIENCE_MS, &conn), STATUS_OK);
	ck_assert_int_eq(purge_round(conn, fx.mem, clock_wall_ms() - 60000, &rows), STATUS_OK);
	ck_assert_uint_eq(rows, 0);
	ck_assert_int_eq(purge_round(conn, fx.mem, clock_wall_ms() + 60000, &rows), STATUS_OK);
	db_release(conn);
	ck_assert_uint_eq(rows, 4); /* two messages, a mark, a channel */
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.messages WHERE content = 'stays'"), 1);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.messages"), 1);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.channels"), 1);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.read_state"), 1);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(every_call_is_bound)
{
	ck_assert(rpc_bindings_complete("messaging", messaging_bindings, messaging_binding_count));
}
END_TEST

TESTS("calls", an_open_channel_is_told_to_the_team,
	a_private_channel_gives_its_creator_the_key_before_it_is_told,
	an_open_channel_of_a_kind_that_is_hidden_is_not_told_to_the_whole_team,
	creating_a_channel_twice_with_one_request_answers_the_first,
	creating_a_channel_takes_the_right_for_its_kind, fields_of_a_channel_are_bounded,
	a_team_has_five_hundred_channels_and_no_more, an_update_names_exactly_what_changed,
	privacy_is_a_change_of_rights_told_with_the_key_that_holds_after_it, a_new_name_reaches_the_next_post,
	a_deleted_channel_is_gone_for_every_call,
	a_repeated_deletion_of_a_channel_is_answered_by_a_copy_that_never_saw_it,
	behind_the_last_position_there_is_still_room,
	channels_are_listed_in_pages_and_archived_ones_on_request,
	a_post_is_answered_published_and_listed_with_its_author, the_second_post_asks_moderation_no_more,
	a_refusal_never_comes_from_the_cache, a_right_that_was_taken_is_noticed_at_the_commit,
	a_post_judged_by_old_rights_is_judged_again_and_goes_through, rights_that_never_stand_still_end_busy,
	a_right_that_only_a_lost_history_had_given_is_not_used,
	an_author_whose_row_was_lost_with_a_history_is_written_again,
	an_ended_session_is_told_apart_in_posts_changes_and_reads,
	a_repeated_post_answers_the_message_as_it_is_now,
	who_was_thrown_out_is_told_what_became_of_his_post_and_of_no_other,
	a_repeated_reply_outlives_its_parent, who_was_thrown_out_is_told_what_became_of_his_other_changes,
	content_has_one_to_four_thousand_code_points, replies_join_the_chain_of_their_parent,
	slow_mode_says_when_the_next_post_is_taken,
	an_edit_keeps_the_version_before_and_the_same_content_says_nothing,
	a_message_takes_a_hundred_edits_and_all_of_them_are_one_answer,
	a_repeated_edit_answers_the_message_as_it_is_now, others_messages_take_the_right_for_any,
	a_deleted_message_leaves_no_content_anywhere, messages_are_paged_both_ways_without_a_gap,
	history_takes_its_right, an_answer_judged_by_rights_that_were_taken_is_not_sent,
	not_even_what_is_missing_is_told_by_rights_that_were_taken, unread_is_what_came_after_the_mark,
	an_empty_channel_can_be_marked, an_erased_person_stays_erased_whatever_an_older_envelope_says,
	the_system_deletes_a_channel_without_being_judged, the_log_is_served,
	what_was_deleted_long_ago_goes_for_good_and_nothing_else, every_call_is_bound)
