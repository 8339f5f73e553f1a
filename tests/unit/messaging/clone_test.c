/*
 * Clones of channels: a draft that nobody sees, and the step that opens it.
 */
#include "tests/unit/messaging/fixture.h"

#include "services/messaging/purge.h"
#include "services/messaging/views.h"

static pb_ChannelReply reply;

static enum status duplicate(struct fixture *fx, uint64_t channel, const char *name)
{
	return DO(fx, true, clone_channel, pb_CloneChannelRequest, &reply, .channel_id = channel,
		.name = (char *)name, .own = true);
}

static enum status set_state(struct fixture *fx, uint64_t channel, enum channel_change change)
{
	return DO(fx, true, set_channel_state, pb_SetChannelStateRequest, &reply, .channel_id = channel,
		.change = change);
}

static int64_t head(struct fixture *fx)
{
	return number(fx, "SELECT seq FROM log.streams WHERE rank = 1");
}

START_TEST(a_draft_has_what_the_channel_has_and_nobody_sees_it)
{
	struct fixture fx;
	pb_ChannelReply made;
	pb_ListChannelsReply list;

	fixture_create(&fx);
	ck_assert_int_eq(DO(&fx, true, create_channel, pb_CreateChannelRequest, &made, .team_id = TEAM,
				 .kind = CHANNEL_VOICE, .name = (char *)"talk",
				 .topic = (char *)"of this and that", .private = true),
		STATUS_OK);
	pg_exec(fx.url, "UPDATE messaging.channels SET slow_mode_s = 7, position = 3, group_id = 11, "
			"category_id = 12,"
			" public_read = true");
	posted(&fx, made.channel.id, "stays where it is", 0);
	int64_t before = head(&fx);
	ck_assert_int_eq(duplicate(&fx, made.channel.id, NULL), STATUS_OK);
	const pb_ChannelView *draft = &reply.channel;
	ck_assert_uint_ne(draft->id, made.channel.id);
	ck_assert_uint_ne(draft->deleted_at_ms, 0);
	ck_assert_uint_eq(draft->kind, CHANNEL_VOICE);
	ck_assert_str_eq(draft->name, "talk");
	ck_assert_str_eq(draft->topic, "of this and that");
	ck_assert_uint_eq(draft->slow_mode_s, 7);
	ck_assert_int_eq(draft->position, 3);
	ck_assert_uint_eq(draft->group_id, 11);
	ck_assert_uint_eq(draft->category_id, 12);
	ck_assert(draft->private);
	ck_assert(!draft->public_read);
	ck_assert(draft->own);
	ck_assert_uint_eq(draft->message_count, 0);
	ck_assert_uint_eq(draft->last_message_id, 0);
	ck_assert_int_eq(head(&fx), before); /* nothing is told */
	uint64_t id = draft->id;
	ck_assert_int_eq(
		DO(&fx, false, list_channels, pb_ListChannelsRequest, &list, .team_id = TEAM), STATUS_OK);
	ck_assert_uint_eq(list.channels_count, 1);
	ck_assert_int_eq(
		DO(&fx, false, get_channel, pb_GetChannelRequest, &made, .channel_id = id), STATUS_NOT_FOUND);
	ck_assert_int_eq(set_state(&fx, id, CHANNEL_REOPEN), STATUS_NOT_FOUND);
	ck_assert_int_eq(set_state(&fx, id, CHANNEL_UNDELETE), STATUS_NOT_FOUND);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(an_opened_draft_is_told_as_a_new_channel_with_what_it_came_from)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	int64_t epoch = number(&fx, "SELECT authz_epoch FROM log.streams WHERE rank = 1");
	ck_assert_int_eq(duplicate(&fx, channel, "copy"), STATUS_OK);
	uint64_t id = reply.channel.id;
	int64_t before = head(&fx);
	ck_assert_int_eq(set_state(&fx, id, CHANNEL_OPEN), STATUS_OK);
	ck_assert_str_eq(reply.channel.name, "copy");
	ck_assert_uint_eq(reply.channel.deleted_at_ms, 0);
	pb_Event event = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_int_eq(event.which_body, EVENT_KIND_channel_created);
	ck_assert_str_eq(audience, "team:1000");
	ck_assert_uint_eq(event.body.channel_created.channel.id, id);
	ck_assert_uint_eq(event.body.channel_created.cloned_from, channel);
	ck_assert_int_eq(head(&fx), before + 1);
	ck_assert_int_eq(number(&fx, "SELECT authz_epoch FROM log.streams WHERE rank = 1"), epoch);
	posted(&fx, id, "in the copy", 0);
	ck_assert_int_eq(set_state(&fx, id, CHANNEL_OPEN), STATUS_CONFLICT);
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_private_draft_gives_its_keys_before_it_is_told)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE], key[AUDIENCE_SIZE];

	fixture_create(&fx);
	ck_assert_int_eq(duplicate(&fx, made_channel(&fx, true), NULL), STATUS_OK);
	uint64_t id = reply.channel.id;
	audience_key(key, "channel", id);
	ck_assert_int_eq(set_state(&fx, id, CHANNEL_OPEN), STATUS_OK);
	pb_Event gained = event_back(&fx, STREAM_TEAM(TEAM), 2, audience);
	ck_assert_int_eq(gained.which_body, EVENT_KIND_audience_changed);
	ck_assert_uint_eq(gained.body.audience_changed.user_id, 5);
	ck_assert_str_eq(gained.body.audience_changed.gained[0], key);
	ck_assert_int_eq(
		event_back(&fx, STREAM_TEAM(TEAM), 1, audience).which_body, EVENT_KIND_audience_recheck);
	event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_str_eq(audience, key);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(cloning_takes_what_creating_takes_and_that_the_channel_is_there)
{
	struct fixture fx;
	struct bits may = bits_without(
		bits_without(OWNED_ROLES, PERMISSION_manage_channels), PERMISSION_create_private_channels);

	fixture_create(&fx);
	uint64_t open = made_channel(&fx, false), private = made_channel(&fx, true);
	TELL(&fx, bits[6] = may);
	TELL(&fx, bits[7] = bits_without(may, PERMISSION_create_public_channels));
	fx.user = 6;
	ck_assert_int_eq(duplicate(&fx, open, NULL), STATUS_OK);
	ck_assert_int_eq(duplicate(&fx, private, NULL), STATUS_FORBIDDEN);
	ck_assert_str_eq(fx.outcome.why, "create_private_channels");
	fx.user = 7;
	ck_assert_int_eq(duplicate(&fx, open, NULL), STATUS_FORBIDDEN);
	ck_assert_str_eq(fx.outcome.why, "create_public_channels");
	TELL(&fx, hidden[5] = true);
	fx.user = 5;
	rights_cache_drop(fx.service.rights, 5, open);
	ck_assert_int_eq(duplicate(&fx, open, NULL), STATUS_NOT_FOUND);
	TELL(&fx, hidden[5] = false);
	ck_assert_int_eq(duplicate(&fx, open, ""), STATUS_FIELD_INVALID);
	ck_assert_str_eq(fx.outcome.field, "name");
	/* An archived channel can be copied: the copy is not archived. */
	ck_assert_int_eq(set_state(&fx, open, CHANNEL_ARCHIVE), STATUS_OK);
	ck_assert_int_eq(duplicate(&fx, open, NULL), STATUS_OK);
	ck_assert_uint_eq(reply.channel.archived_at_ms, 0);
	ck_assert_int_eq(DO(&fx, true, delete_channel, pb_DeleteChannelRequest, &(pb_ChannelReply){0}, .channel_id = open),
		STATUS_OK);
	ck_assert_int_eq(duplicate(&fx, open, NULL), STATUS_NOT_FOUND);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(only_who_cloned_opens_the_draft)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	ck_assert_int_eq(duplicate(&fx, channel, NULL), STATUS_OK);
	uint64_t id = reply.channel.id;
	fx.user = 6;
	ck_assert_int_eq(set_state(&fx, id, CHANNEL_OPEN), STATUS_NOT_FOUND);
	fx.user = 5;
	ck_assert_int_eq(
		DO(&fx, true, delete_channel, pb_DeleteChannelRequest, &(pb_ChannelReply){0}, .channel_id = channel),
		STATUS_OK);
	ck_assert_int_eq(set_state(&fx, channel, CHANNEL_OPEN), STATUS_NOT_FOUND); /* deleted, but no draft */
	ck_assert_int_eq(set_state(&fx, id, CHANNEL_OPEN), STATUS_OK);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_repeated_clone_is_the_same_draft)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	ck_assert_int_eq(duplicate(&fx, channel, NULL), STATUS_OK);
	uint64_t id = reply.channel.id;
	fx.same_request = true;
	ck_assert_int_eq(duplicate(&fx, channel, NULL), STATUS_OK);
	ck_assert(fx.outcome.replayed);
	ck_assert_uint_eq(reply.channel.id, id);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.channels"), 2);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_full_team_takes_no_clone_and_a_forgotten_draft_is_purged)
{
	struct fixture fx;
	struct db_conn *conn = NULL;
	uint64_t rows = 0;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	ck_assert_int_eq(duplicate(&fx, channel, NULL), STATUS_OK);
	uint64_t id = reply.channel.id;
	pg_exec(fx.url, "INSERT INTO messaging.channels (id, rank, stream_id, team_id, kind, name, "
			"created_at_ms, created_by)"
			" SELECT g, 1, 1000, 1000, 1, 'c', 1, 5 FROM generate_series(1, 499) g");
	ck_assert_int_eq(duplicate(&fx, channel, NULL), STATUS_AT_LIMIT);
	ck_assert_int_eq(set_state(&fx, id, CHANNEL_OPEN), STATUS_AT_LIMIT);
	ck_assert_int_eq(db_acquire(fx.facts, clock_mono_ms() + PATIENCE_MS, &conn), STATUS_OK);
	ck_assert_int_eq(purge_round(conn, fx.mem, clock_wall_ms() + 60000, &rows), STATUS_OK);
	db_release(conn);
	ck_assert_uint_eq(rows, 1);
	ck_assert_int_eq(set_state(&fx, id, CHANNEL_OPEN), STATUS_NOT_FOUND);
	fixture_destroy(&fx);
}
END_TEST

TESTS("clone", a_draft_has_what_the_channel_has_and_nobody_sees_it,
	an_opened_draft_is_told_as_a_new_channel_with_what_it_came_from,
	a_private_draft_gives_its_keys_before_it_is_told,
	cloning_takes_what_creating_takes_and_that_the_channel_is_there, only_who_cloned_opens_the_draft,
	a_repeated_clone_is_the_same_draft, a_full_team_takes_no_clone_and_a_forgotten_draft_is_purged)
