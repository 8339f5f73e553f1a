/* Lines of the system: what a channel's events say of it, each told once, counted never. */
#include "tests/unit/messaging/fixture.h"

#include "services/messaging/system_lines.h"
#include "services/messaging/views.h"

static pb_ListMessagesReply page;

static void await_lines(struct fixture *fx, int64_t wanted)
{
	pg_await(fx->url, "SELECT count(*) FROM messaging.messages WHERE kind = 3", wanted);
}

static void listed(struct fixture *fx, uint64_t channel, bool system)
{
	ck_assert_int_eq(DO(fx, false, list_messages, pb_ListMessagesRequest, &page, .channel_id = channel, .system = system),
		STATUS_OK);
}

/* "template arg,arg" of the n-th newest message. */
static const char *line(struct fixture *fx, size_t n)
{
	ck_assert_uint_lt(n, page.messages_count);
	const pb_MessageView *m = &page.messages[n];
	ck_assert(m->has_line && !m->has_author);
	const char *text = arena_printf(fx->mem, "%s ", system_template_word(m->line.template));
	for (pb_size_t i = 0; i < m->line.args_count; i++)
		text = arena_printf(fx->mem, "%s%s%s", text, i > 0 ? "," : "", m->line.args[i]);
	return text;
}

START_TEST(what_happens_to_a_channel_is_told_in_it_once)
{
	struct fixture fx;
	struct log_follower *lines = NULL;
	pb_ChannelReply reply;
	pb_ListUnreadReply unread;

	fixture_create(&fx);
	system_lines_create(&fx.service, &lines);
	log_follower_start(lines);
	uint64_t channel = made_channel(&fx, false);
	await_lines(&fx, 1);
	uint64_t message = posted(&fx, channel, "hello", 0).id;
	ck_assert_int_eq(DO(&fx, true, update_channel, pb_UpdateChannelRequest, &reply, .channel_id = channel,
				 .name = (char *)"harbour", .topic = (char *)"ships"),
		STATUS_OK);
	await_lines(&fx, 3);
	ck_assert_int_eq(DO(&fx, true, set_channel_state, pb_SetChannelStateRequest, &reply, .channel_id = channel,
				 .change = CHANNEL_ARCHIVE),
		STATUS_OK);
	ck_assert_int_eq(DO(&fx, true, set_channel_state, pb_SetChannelStateRequest, &reply, .channel_id = channel,
				 .change = CHANNEL_RESTORE),
		STATUS_OK);
	await_lines(&fx, 5);
	pb_MessageReply edited;
	listed(&fx, channel, true);
	ck_assert_int_eq(DO(&fx, true, update_message, pb_UpdateMessageRequest, &edited, .message_id = page.messages[0].id,
				 .content = (char *)"as if"),
		STATUS_FORBIDDEN);
	ck_assert_str_eq(fx.outcome.why, "kind");
	ck_assert_uint_eq(page.messages_count, 6);
	ck_assert_str_eq(line(&fx, 0), "unarchived 5");
	ck_assert_str_eq(line(&fx, 1), "archived 5");
	ck_assert_str_eq(line(&fx, 2), "topic 5,ships,");
	ck_assert_str_eq(line(&fx, 3), "renamed 5,harbour,general");
	ck_assert_str_eq(line(&fx, 5), "created 5,public,general,");
	listed(&fx, channel, false);
	ck_assert_uint_eq(page.messages_count, 1);
	/* Nothing is counted, and the newest message is somebody's. */
	ck_assert_int_eq(DO(&fx, false, list_unread, pb_ListUnreadRequest, &unread), STATUS_OK);
	ck_assert_uint_eq(unread.unread[0].unread, 0);
	ck_assert_uint_eq(unread.unread[0].last_message_id, message);
	ck_assert_int_eq(number(&fx, "SELECT message_count FROM messaging.channels"), 1);
	log_follower_stop(lines);

	/* Another copy goes on where this one stopped. */
	struct log_follower *next = NULL;
	system_lines_create(&fx.service, &next);
	log_follower_start(next);
	ck_assert_int_eq(DO(&fx, true, set_channel_state, pb_SetChannelStateRequest, &reply, .channel_id = channel,
				 .change = CHANNEL_DELETE),
		STATUS_OK);
	await_lines(&fx, 6);
	ck_assert_int_eq(number(&fx, "SELECT count(DISTINCT (cause_seq, cause_part)) FROM messaging.messages WHERE kind = 3"), 6);
	assert_streams_whole(&fx);
	log_follower_stop(next);
	log_follower_destroy(next);
	log_follower_destroy(lines);
	fixture_destroy(&fx);
}
END_TEST

/* One event as the follower gives it, by user 5. */
static size_t lines_of(struct arena *mem, const pb_Event *event, pb_SystemLineView out[SYSTEM_LINES_MOST])
{
	struct followed_event ev = {.logged = {.actor_id = 5, .seq = 9}, .body = event};
	uint64_t channel = 0;
	size_t count = system_lines_of(mem, &ev, &channel, out);

	if (count > 0)
		ck_assert_uint_eq(channel, 77);
	return count;
}

START_TEST(members_come_and_go_in_words_of_their_own)
{
	struct arena *mem = arena_create();
	pb_SystemLineView out[SYSTEM_LINES_MOST];
	const pb_ChannelView channel = {.id = 77, .team_id = TEAM, .kind = CHANNEL_TEXT};
	const struct {
		uint64_t by;
		bool promoted, invited, seeded;
		uint32_t wanted; /* 0: no line */
	} joins[] = {{0, false, false, false, SYSTEM_JOINED}, {5, false, false, false, SYSTEM_ADDED},
		{5, false, true, false, SYSTEM_INVITED}, {5, true, false, false, 0}, {5, false, false, true, 0}};
	for (size_t i = 0; i < sizeof joins / sizeof *joins; i++) {
		pb_Event event = {.which_body = EVENT_KIND_channel_member_joined,
			.body.channel_member_joined = {.has_channel = true,
				.channel = channel,
				.has_user = true,
				.user = {.id = 6},
				.by = joins[i].by,
				.promoted = joins[i].promoted,
				.invited = joins[i].invited,
				.seeded = joins[i].seeded}};
		ck_assert_uint_eq(lines_of(mem, &event, out), joins[i].wanted != 0);
		if (joins[i].wanted == 0)
			continue;
		ck_assert_uint_eq(out[0].template, joins[i].wanted);
		ck_assert_uint_eq(out[0].args_count, system_template_ids(out[0].template));
		ck_assert_str_eq(out[0].args[out[0].args_count - 1], "6");
	}
	pb_Event left = {.which_body = EVENT_KIND_channel_member_left,
		.body.channel_member_left = {.channel = {.id = 77, .kind = CHANNEL_TEXT}, .user = {.id = 5}}};
	ck_assert_uint_eq(lines_of(mem, &left, out), 1);
	ck_assert_uint_eq(out[0].template, SYSTEM_LEFT);
	left.body.channel_member_left.user.id = 6;
	ck_assert_uint_eq(lines_of(mem, &left, out), 1);
	ck_assert_uint_eq(out[0].template, SYSTEM_REMOVED);
	left.body.channel_member_left.channel.kind = CHANNEL_LIST; /* holds no messages */
	ck_assert_uint_eq(lines_of(mem, &left, out), 0);
	arena_destroy(mem);
}
END_TEST

TESTS("system_lines", what_happens_to_a_channel_is_told_in_it_once, members_come_and_go_in_words_of_their_own)
