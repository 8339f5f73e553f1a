/* Conversations: opened once for a set of people, told to each of them once, whoever dies in between; and what the
 * other calls do in them. */
#include "tests/unit/messaging/fixture.h"

#include "services/messaging/conversation_copies.h"

static enum status opened(
	struct fixture *fx, pb_OpenConversationReply *reply, const char *name, uint64_t first, size_t count)
{
	pb_UserView *users = ARENA_ARRAY(fx->mem, count, pb_UserView);

	for (size_t i = 0; i < count; i++)
		users[i] = (pb_UserView){.id = first + i, .username = (char *)"u"};
	return DO(fx, true, open_conversation, pb_OpenConversationRequest, reply, .users = users,
		.users_count = (pb_size_t)count, .name = (char *)name);
}

static pb_ChannelView conversation(struct fixture *fx, uint64_t first, size_t count)
{
	pb_OpenConversationReply reply;

	ck_assert_int_eq(opened(fx, &reply, NULL, first, count), STATUS_OK);
	ck_assert(reply.created);
	return reply.channel;
}

/* How many copies of conversation_created the users' streams have, and how many users have one. */
static int64_t copies(struct fixture *fx)
{
	return number(fx, "SELECT count(*) * 1000 + count(DISTINCT id) FROM log.events WHERE rank = 2 AND kind = 121");
}

START_TEST(opening_makes_the_channel_and_tells_it_and_each_of_its_people)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];
	pb_OpenConversationReply reply;

	fixture_create(&fx);
	ck_assert_int_eq(opened(&fx, &reply, NULL, 6, 1), STATUS_OK);
	ck_assert(reply.created);
	ck_assert_uint_eq(reply.channel.kind, CHANNEL_DIRECT);
	ck_assert_uint_eq(reply.channel.team_id, 0);
	ck_assert_uint_eq(reply.channel.created_by, 5);
	ck_assert_str_eq(reply.channel.name, "");
	ck_assert_uint_eq(reply.channel.users_count, 2);
	ck_assert_str_eq(reply.channel.users[1].username, "user6");
	pb_Event home = event_back(&fx, STREAM_TEAM(9001), 0, audience);
	ck_assert_int_eq(home.which_body, EVENT_KIND_conversation_created);
	ck_assert_str_eq(audience, "conversation:9001");
	ck_assert_uint_eq(home.body.conversation_created.users_count, 2);
	ck_assert_str_eq(home.actor.username, "user5");
	for (uint64_t user = 5; user <= 6; user++) {
		pb_Event own = event_back(&fx, STREAM_USER(user), 0, audience);
		ck_assert_uint_eq(own.event_id, home.event_id);
		ck_assert_str_eq(audience, user == 5 ? "user:5" : "user:6");
	}
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(opening_again_finds_it_and_says_nothing)
{
	struct fixture fx;
	pb_OpenConversationReply reply;

	fixture_create(&fx);
	pb_ChannelView made = conversation(&fx, 6, 1);
	fx.same_request = true;
	ck_assert_int_eq(opened(&fx, &reply, NULL, 6, 1), STATUS_OK);
	ck_assert(reply.created); /* the same request: its first answer */
	ck_assert_int_eq(opened(&fx, &reply, NULL, 6, 1), STATUS_OK);
	ck_assert(!reply.created);
	ck_assert_uint_eq(reply.channel.id, made.id);
	ck_assert_uint_eq(reply.channel.users_count, 2);
	fx.user = 6;
	ck_assert_int_eq(opened(&fx, &reply, NULL, 5, 1), STATUS_OK);
	ck_assert(!reply.created);
	ck_assert_int_eq(copies(&fx), 2002);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_conversation_that_was_claimed_by_one_who_died_is_made_by_the_next)
{
	struct fixture fx;
	pb_OpenConversationReply reply;
	pb_UserView six = {.id = 6};

	fixture_create(&fx);
	pthread_mutex_lock(&fx.lock);
	fake_made(&fx, 5, &(pb_ClaimConversationRequest){.users = &six, .users_count = 1});
	pthread_mutex_unlock(&fx.lock);
	fx.user = 6;
	ck_assert_int_eq(opened(&fx, &reply, NULL, 5, 1), STATUS_OK);
	ck_assert(reply.created);
	ck_assert_uint_eq(reply.channel.created_by, 5); /* who claimed it */
	ck_assert_int_eq(copies(&fx), 2002);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_conversation_that_was_deleted_is_not_answered_for_a_set)
{
	struct fixture fx;
	pb_OpenConversationReply reply;

	fixture_create(&fx);
	conversation(&fx, 6, 2);
	pg_exec(fx.url, "UPDATE messaging.channels SET deleted_at_ms = 1 WHERE id = 9001");
	ck_assert_int_eq(opened(&fx, &reply, NULL, 6, 2), STATUS_BUSY); /* this moderation goes on naming it */
	TELL(&fx, conversations[0].user_count = 0);                   /* ours gives its set to another */
	ck_assert_int_eq(opened(&fx, &reply, NULL, 6, 2), STATUS_OK);
	ck_assert_uint_eq(reply.channel.id, 9002);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(fifty_people_are_told_once_each_in_commits_of_few_streams)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];

	fixture_create(&fx);
	pb_ChannelView made = conversation(&fx, 100, 49);
	ck_assert_uint_eq(made.users_count, 50);
	ck_assert_int_eq(copies(&fx), 50050);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.conversation_untold"), 0);
	pb_Event first = event_back(&fx, STREAM_USER(5), 0, audience), last = event_back(&fx, STREAM_USER(148), 0, audience);
	ck_assert_uint_eq(first.event_id, last.event_id);
	ck_assert_uint_eq(last.body.conversation_created.users_count, 50);
	ck_assert_str_eq(last.actor.username, "user5");
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

/* As if whoever opened it had died with three people left. */
static void leave_untold(struct fixture *fx)
{
	pg_exec(fx->url,
		"INSERT INTO messaging.conversation_untold SELECT 9001, '{146,147,148}', payload, 1 FROM log.events"
		" WHERE rank = 1 AND id = 9001 AND kind = 121;"
		"DELETE FROM log.events WHERE rank = 2 AND id IN (146, 147, 148);"
		"UPDATE log.streams SET seq = 0 WHERE rank = 2 AND id IN (146, 147, 148)");
}

START_TEST(who_was_not_told_when_somebody_died_is_told_by_the_next_open)
{
	struct fixture fx;
	pb_OpenConversationReply reply;

	fixture_create(&fx);
	conversation(&fx, 100, 49);
	leave_untold(&fx);
	ck_assert_int_eq(copies(&fx), 47047);
	ck_assert_int_eq(opened(&fx, &reply, NULL, 100, 49), STATUS_OK);
	ck_assert(!reply.created);
	ck_assert_int_eq(copies(&fx), 50050);
	ck_assert_int_eq(opened(&fx, &reply, NULL, 100, 49), STATUS_OK);
	ck_assert_int_eq(copies(&fx), 50050);
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(who_was_not_told_is_told_without_anybody_opening_it_too)
{
	struct fixture fx;
	size_t finished = 0;

	fixture_create(&fx);
	conversation(&fx, 100, 49);
	leave_untold(&fx);
	ck_assert_int_eq(copies_round(&fx.service, fx.mem, 1, &finished), STATUS_OK);
	ck_assert_uint_eq(finished, 0); /* begun just now */
	ck_assert_int_eq(copies_round(&fx.service, fx.mem, 2, &finished), STATUS_OK);
	ck_assert_uint_eq(finished, 1);
	ck_assert_int_eq(copies(&fx), 50050);
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(fifty_large_pictures_do_not_make_the_event_too_large)
{
	struct fixture fx;
	char avatar[2049], audience[AUDIENCE_SIZE];
	pb_OpenConversationReply reply;
	pb_UserView users[49];

	fixture_create(&fx);
	memset(avatar, 'a', sizeof avatar - 1);
	avatar[2048] = '\0';
	for (int i = 0; i < 49; i++)
		users[i] = (pb_UserView){.id = 100 + (uint64_t)i};
	pthread_mutex_lock(&fx.lock);
	fake_made(&fx, 5, &(pb_ClaimConversationRequest){.users = users, .users_count = 49})->avatar = avatar;
	pthread_mutex_unlock(&fx.lock);
	ck_assert_int_eq(opened(&fx, &reply, NULL, 100, 49), STATUS_OK);
	ck_assert_str_eq(reply.channel.users[3].avatar, avatar);
	pb_Event event = event_back(&fx, STREAM_USER(148), 0, audience);
	ck_assert_ptr_null(event.body.conversation_created.users[3].avatar);
	fixture_destroy(&fx);
}
END_TEST

struct racer {
	pthread_t thread;
	struct fixture *fx;
	struct arena *mem;
	uint64_t user;
	pb_OpenConversationReply reply;
	enum status status;
};

static void *race(void *arg)
{
	struct racer *r = arg;
	pb_UserView other = {.id = r->user == 5 ? 6 : 5, .username = (char *)"u"};
	pb_UserView self = {.id = r->user, .username = (char *)"u"};
	uint64_t id[2] = {r->user, (uint64_t)(uintptr_t)r};
	struct rpc_context context = {.request_id = (const uint8_t *)id,
		.request_id_length = sizeof id,
		.actor_id = r->user,
		.actor = &self,
		.deadline_mono_ms = clock_mono_ms() + PATIENCE_MS};
	struct rpc_outcome outcome;

	r->status = messaging_open_conversation(r->fx->client, r->mem, &context,
		&(pb_OpenConversationRequest){.users = &other, .users_count = 1}, &r->reply, &outcome);
	return NULL;
}

START_TEST(of_two_who_open_it_at_once_one_makes_it)
{
	struct fixture fx;
	struct racer racers[6];
	int made = 0;

	fixture_create(&fx);
	for (size_t i = 0; i < 6; i++) {
		racers[i] = (struct racer){.fx = &fx, .mem = arena_create(), .user = 5 + i % 2};
		ck_assert_int_eq(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
	}
	for (size_t i = 0; i < 6; i++) {
		pthread_join(racers[i].thread, NULL);
		ck_assert_int_eq(racers[i].status, STATUS_OK);
		ck_assert_uint_eq(racers[i].reply.channel.id, 9001);
		made += racers[i].reply.created;
		arena_destroy(racers[i].mem);
	}
	ck_assert_int_eq(made, 1);
	ck_assert_int_eq(copies(&fx), 2002);
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(what_cannot_be_opened_is_refused)
{
	struct fixture fx;
	pb_OpenConversationReply reply;
	char name[102];

	fixture_create(&fx);
	memset(name, 'n', 101);
	name[101] = '\0';
	ck_assert_int_eq(opened(&fx, &reply, name, 6, 2), STATUS_FIELD_INVALID);
	ck_assert_str_eq(fx.outcome.field, "name");
	ck_assert_int_eq(opened(&fx, &reply, NULL, 6, 0), STATUS_FIELD_INVALID);
	ck_assert_str_eq(fx.outcome.field, "user_ids");
	ck_assert_int_eq(opened(&fx, &reply, "us", 6, 1), STATUS_FIELD_INVALID); /* two people need no name */
	ck_assert_str_eq(fx.outcome.field, "name");
	ck_assert_int_eq(opened(&fx, &reply, "us", 6, 2), STATUS_OK);
	ck_assert_str_eq(reply.channel.name, "us");
	fixture_destroy(&fx);
}
END_TEST

START_TEST(conversations_are_listed_with_the_newest_activity_first)
{
	struct fixture fx;
	pb_ListChannelsReply list;

	fixture_create(&fx);
	uint64_t first = conversation(&fx, 6, 1).id, second = conversation(&fx, 7, 1).id, third = conversation(&fx, 6, 2).id;
	uint64_t quiet = posted(&fx, second, "one", 0).id;
	posted(&fx, first, "two", 0);
	ck_assert_int_eq(DO(&fx, false, list_conversations, pb_ListConversationsRequest, &list, .limit = 2), STATUS_OK);
	ck_assert_uint_eq(list.channels_count, 2);
	ck_assert(list.more);
	ck_assert_uint_eq(list.channels[0].id, first);
	ck_assert_uint_eq(list.channels[1].id, second);
	ck_assert_uint_eq(list.channels[1].users_count, 2);
	ck_assert_int_eq(DO(&fx, false, list_conversations, pb_ListConversationsRequest, &list, .before = quiet), STATUS_OK);
	ck_assert_uint_eq(list.channels_count, 1);
	ck_assert_uint_eq(list.channels[0].id, third);
	ck_assert(!list.more);
	ck_assert_int_eq(DO(&fx, false, list_conversations, pb_ListConversationsRequest, &list, .after = third), STATUS_OK);
	ck_assert_uint_eq(list.channels_count, 2);
	ck_assert_uint_eq(list.channels[0].id, second);
	fx.user = 7;
	ck_assert_int_eq(DO(&fx, false, list_conversations, pb_ListConversationsRequest, &list, .limit = 9), STATUS_OK);
	ck_assert_uint_eq(list.channels_count, 2);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(lists_of_everything_have_the_conversations_in_them)
{
	struct fixture fx;
	pb_ListChannelsReply list;
	pb_ListUnreadReply unread;

	fixture_create(&fx);
	uint64_t direct = conversation(&fx, 6, 1).id, open = made_channel(&fx, false);
	posted(&fx, direct, "hello", 0);
	fx.user = 6;
	ck_assert_int_eq(DO(&fx, false, list_channels, pb_ListChannelsRequest, &list, .team_id = 0), STATUS_OK);
	ck_assert_uint_eq(list.channels_count, 2);
	for (size_t i = 0; i < 2; i++)
		ck_assert_uint_eq(list.channels[i].users_count, list.channels[i].id == open ? 0 : 2);
	ck_assert_int_eq(DO(&fx, false, list_channels, pb_ListChannelsRequest, &list, .team_id = TEAM), STATUS_OK);
	ck_assert_uint_eq(list.channels_count, 1);
	ck_assert_int_eq(DO(&fx, false, list_unread, pb_ListUnreadRequest, &unread, 0), STATUS_OK);
	ck_assert_uint_eq(unread.unread_count, 2);
	for (size_t i = 0; i < 2; i++) {
		ck_assert_uint_eq(unread.unread[i].unread, unread.unread[i].channel_id == direct);
		ck_assert_uint_eq(unread.unread[i].team_id, unread.unread[i].channel_id == direct ? 0 : TEAM);
	}
	fixture_destroy(&fx);
}
END_TEST

START_TEST(posts_edits_replies_and_marks_are_at_home_in_the_conversation)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];
	pb_UnreadReply unread;
	pb_MessageReply edited;
	pb_Empty nothing;

	fixture_create(&fx);
	uint64_t direct = conversation(&fx, 6, 1).id;
	pb_MessageView message = posted(&fx, direct, "hello", 0), reply = posted(&fx, direct, "you", message.id);
	pb_Event event = event_back(&fx, STREAM_TEAM(direct), 0, audience);
	ck_assert_int_eq(event.which_body, EVENT_KIND_message_posted);
	ck_assert_uint_eq(event.body.message_posted.channel.team_id, 0);
	ck_assert_str_eq(audience, "conversation:9001");
	ck_assert_int_eq(DO(&fx, true, update_message, pb_UpdateMessageRequest, &edited, .channel_id = direct,
				 .message_id = message.id, .content = (char *)"hallo"),
		STATUS_OK);
	ck_assert_int_eq(DO(&fx, true, delete_message, pb_MessageRequest, &nothing, .channel_id = direct, .message_id = reply.id),
		STATUS_OK);
	fx.user = 6;
	ck_assert_int_eq(DO(&fx, true, mark_read, pb_MarkReadRequest, &unread, .channel_id = direct), STATUS_OK);
	ck_assert_uint_eq(unread.unread.team_id, 0);
	event_back(&fx, STREAM_USER(6), 0, audience);
	ck_assert_str_eq(audience, "user:6");
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_conversation_has_a_name_and_a_topic_to_change_and_nothing_else)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];
	pb_ChannelReply reply;

	fixture_create(&fx);
	uint64_t group = conversation(&fx, 6, 2).id, open = made_channel(&fx, false);
	ck_assert_int_eq(DO(&fx, true, update_channel, pb_UpdateChannelRequest, &reply, .channel_id = group,
				 .name = (char *)"us", .topic = (char *)"things"),
		STATUS_OK);
	ck_assert_uint_eq(reply.channel.users_count, 3);
	pb_Event event = event_back(&fx, STREAM_TEAM(group), 0, audience);
	ck_assert_int_eq(event.which_body, EVENT_KIND_channel_updated);
	ck_assert_str_eq(audience, "conversation:9001");
	ck_assert_int_eq(DO(&fx, true, update_channel, pb_UpdateChannelRequest, &reply, .channel_id = group, .name = (char *)""), STATUS_OK);
	ck_assert_int_eq(DO(&fx, true, update_channel, pb_UpdateChannelRequest, &reply, .channel_id = open, .name = (char *)""),
		STATUS_FIELD_INVALID);
	ck_assert_int_eq(DO(&fx, true, update_channel, pb_UpdateChannelRequest, &reply, .channel_id = group, .has_private = true,
				 .private = true),
		STATUS_FIELD_INVALID);
	ck_assert_str_eq(fx.outcome.field, "private");
	ck_assert_int_eq(DO(&fx, true, update_channel, pb_UpdateChannelRequest, &reply, .channel_id = group, .has_slow_mode_s = true,
				 .slow_mode_s = 5),
		STATUS_FIELD_INVALID);
	ck_assert_int_eq(DO(&fx, true, delete_channel, pb_DeleteChannelRequest, &(pb_ChannelReply){0}, .channel_id = group), STATUS_OK);
	event = event_back(&fx, STREAM_TEAM(group), 0, audience);
	ck_assert_int_eq(event.which_body, EVENT_KIND_channel_deleted);
	ck_assert_str_eq(audience, "conversation:9001");
	fixture_destroy(&fx);
}
END_TEST

START_TEST(nobody_else_finds_a_conversation)
{
	struct fixture fx;
	pb_ChannelReply reply;
	pb_MessageReply message;

	fixture_create(&fx);
	uint64_t direct = conversation(&fx, 6, 1).id;
	ck_assert_int_eq(DO(&fx, false, get_channel, pb_GetChannelRequest, &reply, .channel_id = direct), STATUS_OK);
	ck_assert_uint_eq(reply.channel.users_count, 2);
	fx.user = 7;
	ck_assert_int_eq(DO(&fx, false, get_channel, pb_GetChannelRequest, &reply, .channel_id = direct), STATUS_NOT_FOUND);
	ck_assert_int_eq(DO(&fx, true, post_message, pb_PostMessageRequest, &message, .channel_id = direct, .content = (char *)"x"),
		STATUS_NOT_FOUND);
	fixture_destroy(&fx);
}
END_TEST

TESTS("messaging conversations", opening_makes_the_channel_and_tells_it_and_each_of_its_people,
	opening_again_finds_it_and_says_nothing, a_conversation_that_was_claimed_by_one_who_died_is_made_by_the_next,
	a_conversation_that_was_deleted_is_not_answered_for_a_set, fifty_people_are_told_once_each_in_commits_of_few_streams,
	who_was_not_told_when_somebody_died_is_told_by_the_next_open,
	who_was_not_told_is_told_without_anybody_opening_it_too, fifty_large_pictures_do_not_make_the_event_too_large,
	of_two_who_open_it_at_once_one_makes_it, what_cannot_be_opened_is_refused,
	conversations_are_listed_with_the_newest_activity_first, lists_of_everything_have_the_conversations_in_them,
	posts_edits_replies_and_marks_are_at_home_in_the_conversation,
	a_conversation_has_a_name_and_a_topic_to_change_and_nothing_else, nobody_else_finds_a_conversation)
