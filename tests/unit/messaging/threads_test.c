/*
 * Threads as crust counts them: who follows one, what is unread in it and in the main stream, and what stands beside the events of
 * replies.
 */
#include "tests/unit/messaging/race.h"

#include "services/messaging/views.h"

static pb_Empty nothing;

static pb_UnreadView unread_in(struct fixture *fx, uint64_t user, uint64_t channel)
{
	pb_ListUnreadReply list;

	fx->user = user;
	ck_assert_int_eq(DO(fx, false, list_unread, pb_ListUnreadRequest, &list, .channel_ids_count = 1,
				 .channel_ids = &channel, .threads = true),
		STATUS_OK);
	ck_assert_uint_eq(list.unread_count, 1);
	return list.unread[0];
}

static pb_MessageView says(struct fixture *fx, uint64_t user, uint64_t channel, const char *content, uint64_t parent)
{
	fx->user = user;
	return posted(fx, channel, content, parent);
}

static void deleted(struct fixture *fx, uint64_t user, const pb_MessageView *m)
{
	fx->user = user;
	ck_assert_int_eq(DO(fx, true, delete_message, pb_MessageRequest, &nothing, .message_id = m->id), STATUS_OK);
}

static pb_UnreadView marked(struct fixture *fx, uint64_t user, uint64_t channel, uint64_t message, uint64_t root, bool clear)
{
	pb_UnreadReply reply;

	fx->user = user;
	ck_assert_int_eq(DO(fx, true, mark_read, pb_MarkReadRequest, &reply, .channel_id = channel,
				 .message_id = message, .root_id = root, .clear_all = clear),
		STATUS_OK);
	return reply.unread;
}

START_TEST(replies_are_unread_for_who_follows_the_thread_and_no_part_of_the_main_stream)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView root = says(&fx, 5, channel, "root", 0);
	says(&fx, 6, channel, "one", root.id);
	says(&fx, 6, channel, "two", root.id);
	pb_UnreadView author = unread_in(&fx, 5, channel), replier = unread_in(&fx, 6, channel), other = unread_in(&fx, 7, channel);
	ck_assert_uint_eq(author.thread_unread, 2);
	ck_assert_uint_eq(author.thread_total, 1);
	ck_assert_uint_eq(author.main_unread, 0);
	ck_assert_uint_eq(author.unread, 2);
	ck_assert_uint_eq(author.threads_count, 1);
	ck_assert_uint_eq(author.threads[0].root_id, root.id);
	ck_assert_uint_eq(author.threads[0].unread, 2);
	ck_assert_uint_eq(replier.thread_unread, 0);
	ck_assert_uint_eq(replier.unread, 0);
	ck_assert_uint_eq(replier.main_unread, 0); /* his first post there made his mark */
	ck_assert_uint_eq(other.thread_unread, 0);
	ck_assert_uint_eq(other.unread, 3);
	ck_assert_uint_eq(other.main_unread, 1);
	ck_assert(!other.recorded);
	ck_assert(replier.recorded);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(who_replies_has_read_the_thread_and_no_more_of_the_main_stream_than_before)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView root = says(&fx, 6, channel, "root", 0);
	says(&fx, 5, channel, "news", 0);
	says(&fx, 6, channel, "reply", root.id);
	ck_assert_uint_eq(unread_in(&fx, 6, channel).main_unread, 1);
	ck_assert_uint_eq(unread_in(&fx, 6, channel).unread, 0);
	says(&fx, 6, channel, "seen", 0);
	ck_assert_uint_eq(unread_in(&fx, 6, channel).main_unread, 0);
	fixture_destroy(&fx);
}
END_TEST

/* A member has unread what came since he joined, also before he has ever marked or posted anything. */
START_TEST(a_members_first_reply_or_mark_in_a_thread_leaves_the_main_stream_unread)
{
	struct fixture fx;

	fixture_create(&fx);
	TELL(&fx, channel_role[6] = CHANNEL_ROLE_MEMBER);
	TELL(&fx, channel_role[7] = CHANNEL_ROLE_MEMBER);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView root = says(&fx, 5, channel, "root", 0);
	uint64_t joined = root.seq;
	TELL(&fx, joined_seq[6] = joined);
	TELL(&fx, joined_seq[7] = joined);
	says(&fx, 5, channel, "news", 0);
	says(&fx, 6, channel, "reply", root.id);
	pb_UnreadView replied = unread_in(&fx, 6, channel);
	ck_assert_uint_eq(replied.main_unread, 1);
	ck_assert_uint_eq(replied.unread, 0);
	ck_assert_uint_eq(replied.main_last_read_id, 0);
	pb_UnreadView read = marked(&fx, 7, channel, 0, root.id, false);
	ck_assert_uint_eq(read.main_unread, 1);
	ck_assert_uint_eq(unread_in(&fx, 7, channel).main_unread, 1);
	says(&fx, 6, channel, "seen", 0);
	ck_assert_uint_eq(unread_in(&fx, 6, channel).main_unread, 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(where_somebody_was_last_in_the_main_stream_is_no_reply)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView first = says(&fx, 5, channel, "first", 0), root = says(&fx, 6, channel, "root", 0);
	pb_MessageView reply = says(&fx, 5, channel, "reply", root.id);
	pb_UnreadView replied = unread_in(&fx, 5, channel);
	ck_assert_uint_eq(replied.last_read_id, reply.id);
	ck_assert_uint_eq(replied.main_last_read_id, first.id);
	pb_UnreadView all = marked(&fx, 5, channel, 0, 0, true);
	ck_assert_uint_eq(all.last_read_id, reply.id);
	ck_assert_uint_eq(all.main_last_read_id, root.id);
	ck_assert_uint_eq(unread_in(&fx, 5, channel).main_last_read_id, root.id);
	ck_assert_uint_eq(marked(&fx, 5, channel, first.id, 0, false).main_last_read_id, first.id);
	pb_MessageView last = says(&fx, 5, channel, "last", 0);
	ck_assert_uint_eq(unread_in(&fx, 5, channel).main_last_read_id, last.id);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(an_archived_channel_can_be_left_unmarked)
{
	struct fixture fx;
	pb_UnreadReply reply;
	pb_ChannelReply archived;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView root = says(&fx, 5, channel, "root", 0);
	ck_assert_int_eq(DO(&fx, true, set_channel_state, pb_SetChannelStateRequest, &archived, .channel_id = channel,
				 .change = CHANNEL_ARCHIVE),
		STATUS_OK);
	for (uint64_t thread = 0; thread <= root.id; thread += root.id) {
		ck_assert_int_eq(DO(&fx, true, mark_read, pb_MarkReadRequest, &reply, .channel_id = channel,
					 .root_id = thread, .open_only = true),
			STATUS_ARCHIVED);
		ck_assert_int_eq(DO(&fx, true, mark_read, pb_MarkReadRequest, &reply, .channel_id = channel,
					 .root_id = thread),
			STATUS_OK);
	}
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_mark_in_a_thread_is_of_that_thread_alone)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView a = says(&fx, 5, channel, "a", 0), b = says(&fx, 5, channel, "b", 0);
	pb_MessageView first = says(&fx, 6, channel, "a1", a.id);
	says(&fx, 6, channel, "a2", a.id);
	says(&fx, 6, channel, "b1", b.id);
	says(&fx, 6, channel, "main", 0);
	ck_assert_uint_eq(unread_in(&fx, 5, channel).thread_unread, 3);
	pb_UnreadView now = marked(&fx, 5, channel, first.id, a.id, false);
	ck_assert_uint_eq(now.thread_root_unread, 1);
	ck_assert_uint_eq(now.thread_unread, 2);
	ck_assert_uint_eq(now.thread_total, 2);
	ck_assert_uint_eq(now.threads_before, 3);
	ck_assert_uint_eq(now.main_unread, 1);
	pb_Event event = event_back(&fx, STREAM_USER(5), 0, audience);
	ck_assert_int_eq(event.which_body, EVENT_KIND_read_state_changed);
	ck_assert_uint_eq(event.body.read_state_changed.root_id, a.id);
	ck_assert_uint_eq(event.body.read_state_changed.thread_unread, 1);
	ck_assert_uint_eq(event.body.read_state_changed.thread_count, 2);
	now = marked(&fx, 5, channel, 0, a.id, false);
	ck_assert_uint_eq(now.thread_root_unread, 0);
	ck_assert_uint_eq(now.thread_unread, 1);
	ck_assert_uint_eq(unread_in(&fx, 5, channel).thread_total, 1);
	now = marked(&fx, 5, channel, 0, 0, true);
	ck_assert_uint_eq(now.threads_before, 1);
	ck_assert_uint_eq(now.thread_unread, 0);
	ck_assert_uint_eq(now.main_unread, 0);
	ck_assert_uint_eq(unread_in(&fx, 5, channel).thread_unread, 0);
	says(&fx, 6, channel, "b2", b.id);
	ck_assert_uint_eq(unread_in(&fx, 5, channel).thread_unread, 1);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_mark_says_what_it_does_not_find)
{
	struct fixture fx;
	pb_UnreadReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false), other = made_channel(&fx, false);
	pb_MessageView root = says(&fx, 5, channel, "root", 0), in = says(&fx, 5, channel, "in", root.id);
	pb_MessageView beside = says(&fx, 5, channel, "beside", 0), elsewhere = says(&fx, 5, other, "elsewhere", 0);
	struct {
		uint64_t root, message;
		const char *field, *why;
	} cases[] = {{1, 0, "root_id", NULL}, {in.id, 0, "root_id", NULL}, {elsewhere.id, 0, "root_id", NULL},
		{root.id, beside.id, "message_id", "thread"}, {root.id, elsewhere.id, "message_id", "channel"},
		{0, elsewhere.id, "message_id", "channel"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		ck_assert_int_eq(DO(&fx, true, mark_read, pb_MarkReadRequest, &reply, .channel_id = channel,
					 .message_id = cases[i].message, .root_id = cases[i].root),
			STATUS_NOT_FOUND);
		ck_assert_str_eq(fx.outcome.field, cases[i].field);
		ck_assert_pstr_eq(fx.outcome.why, cases[i].why);
	}
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_deleted_reply_is_unread_for_nobody)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView root = says(&fx, 5, channel, "root", 0);
	pb_MessageView one = says(&fx, 6, channel, "one", root.id), two = says(&fx, 6, channel, "two", root.id);
	deleted(&fx, 6, &one);
	ck_assert_uint_eq(unread_in(&fx, 5, channel).thread_unread, 1);
	deleted(&fx, 6, &two);
	ck_assert_uint_eq(unread_in(&fx, 5, channel).thread_unread, 0);
	says(&fx, 5, channel, "three", root.id); /* what was taken back is missing to nobody's next one */
	ck_assert_uint_eq(unread_in(&fx, 6, channel).thread_unread, 1);
	ck_assert_int_eq(number(&fx, "SELECT replies_counted FROM messaging.channels"), 1);
	ck_assert_int_eq(number(&fx, "SELECT counted FROM messaging.channels"), 2);
	fixture_destroy(&fx);
}
END_TEST

struct two_threads {
	uint64_t channel, roots[2];
};

/* Every fourth is of the main stream. */
static enum status post_somewhere(struct racer *r)
{
	const struct two_threads *t = r->arg;
	pb_MessageReply reply;

	return RACE(r, post_message, pb_PostMessageRequest, &reply, .channel_id = t->channel, .content = (char *)"at once",
		.parent_id = r->i % 4 == 3 ? 0 : t->roots[r->i % 2]);
}

START_TEST(posts_at_once_leave_every_counter_and_mark_where_it_belongs)
{
	struct fixture fx;
	struct racer racers[16];
	struct two_threads t;

	fixture_create(&fx);
	t.channel = made_channel(&fx, false);
	t.roots[0] = says(&fx, 5, t.channel, "one", 0).id;
	t.roots[1] = says(&fx, 6, t.channel, "two", 0).id;
	race(&fx, racers, 16, post_somewhere, &t);
	ck_assert_uint_eq(raced(racers, 16, STATUS_OK), 16);
	ck_assert_int_eq(number(&fx, "SELECT counted FROM messaging.channels"), 18);
	ck_assert_int_eq(number(&fx, "SELECT replies_counted FROM messaging.channels"), 12);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.messages m WHERE root_id IS NULL AND reply_count"
				     " <> coalesce(cardinality(reply_authors), 0)"),
		0);
	/* Places grow by one in the order of the stream, and so do those of the replies. */
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM (SELECT place, replies_place, row_number() OVER w AS n,"
				     " count(*) FILTER (WHERE root_id IS NOT NULL) OVER w AS r FROM messaging.messages WINDOW w AS (ORDER BY seq)) p"
				     " WHERE place <> n OR replies_place <> r"),
		0);
	/* Who replied last has read it all; whoever follows has unread what came after his own last reply. */
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.thread_read t JOIN messaging.messages m ON m.id = t.root_id"
				     " WHERE m.reply_count - t.read_count <> (SELECT count(*) FROM messaging.messages r WHERE r.root_id = m.id"
				     " AND r.seq > coalesce((SELECT max(o.seq) FROM messaging.messages o WHERE o.root_id = m.id"
				     " AND o.author_id = t.user_id), 0))"),
		0);
	/* The main stream's mark stands at one's own last post in it. */
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.read_state s WHERE s.counted - s.replies_counted <>"
				     " (SELECT o.place - o.replies_place FROM messaging.messages o WHERE o.author_id = s.user_id"
				     " AND o.root_id IS NULL ORDER BY o.seq DESC LIMIT 1)"),
		0);
	fixture_destroy(&fx);
}
END_TEST

/* As a gateway asks for what it missed. */
static pb_Event fetched_last(struct fixture *fx)
{
	pb_FetchEventsReply page;
	pb_Event event;
	uint64_t head = (uint64_t)number(fx, "SELECT seq FROM log.streams WHERE rank = 1 AND id = 1000");

	ck_assert_int_eq(DO(fx, false, fetch_events, pb_FetchEventsRequest, &page, .rank = RANK_TEAM, .stream_id = TEAM,
				 .after = head - 1, .limit = 10, .beside = true),
		STATUS_OK);
	ck_assert_uint_eq(page.events_count, 1);
	ck_assert_int_eq(event_decode(fx->mem, page.events[0].payload->bytes, page.events[0].payload->size, &event), STATUS_OK);
	return event;
}

START_TEST(beside_a_fetched_reply_stand_its_root_the_counters_and_who_follows)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView root = says(&fx, 5, channel, "root", 0);
	pb_MessageView one = says(&fx, 6, channel, "one", root.id);
	pb_MessageView two = says(&fx, 7, channel, "two", root.id);
	pb_Event event = fetched_last(&fx);
	const pb_MessagePosted *posting = &event.body.message_posted;
	ck_assert_int_eq(event.which_body, EVENT_KIND_message_posted);
	ck_assert_uint_eq(posting->message.id, two.id);
	ck_assert_str_eq(posting->message.content, "two");
	ck_assert_str_eq(posting->channel.name, "general");
	ck_assert_uint_eq(posting->channel.counted, 3);
	ck_assert_uint_eq(posting->channel.replies_counted, 2);
	ck_assert(posting->has_root);
	ck_assert_str_eq(posting->root.content, "root");
	ck_assert_uint_eq(posting->root.reply_count, 2);
	ck_assert_uint_eq(posting->root.reply_authors_count, 2);
	ck_assert_uint_eq(posting->root.reply_authors[1], 7);
	ck_assert_uint_eq(posting->readers_count, 3);
	for (size_t i = 0; i < 3; i++) {
		const pb_ThreadReader *r = &posting->readers[i];
		uint64_t wanted = r->user_id == 5 ? 2 : r->user_id == 6 ? 1 : 0;
		ck_assert_uint_eq(r->thread_count, wanted);
		ck_assert_uint_eq(r->read_count, 2 - wanted);
		ck_assert_uint_eq(r->last_read_id, r->user_id == 7 ? two.id : r->user_id == 6 ? one.id : 0);
	}
	deleted(&fx, 7, &two);
	event = fetched_last(&fx);
	ck_assert_int_eq(event.which_body, EVENT_KIND_message_deleted);
	ck_assert_uint_eq(event.body.message_deleted.root.reply_count, 1);
	ck_assert_uint_eq(event.body.message_deleted.channel.counted, 2);
	ck_assert_uint_eq(event.body.message_deleted.channel.replies_counted, 1);
	deleted(&fx, 5, &root);
	says(&fx, 6, channel, "main", 0);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM log.events WHERE position('root'::bytea IN payload) > 0"), 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(what_is_done_and_what_the_system_says_is_not_answered)
{
	struct fixture fx;
	pb_MessageReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	ck_assert_int_eq(DO(&fx, true, post_message, pb_PostMessageRequest, &reply, .channel_id = channel,
				 .content = (char *)"waves", .kind = MESSAGE_ME),
		STATUS_OK);
	ck_assert_uint_eq(reply.message.kind, MESSAGE_ME);
	uint64_t waved = reply.message.id;
	ck_assert_int_eq(DO(&fx, true, post_message, pb_PostMessageRequest, &reply, .parent_id = waved,
				 .content = (char *)"back"),
		STATUS_CONFLICT);
	ck_assert_str_eq(fx.outcome.why, "kind");
	ck_assert_str_eq(fx.outcome.detail, "me");
	ck_assert_int_eq(DO(&fx, true, post_message, pb_PostMessageRequest, &reply, .channel_id = channel,
				 .content = (char *)"as if", .kind = MESSAGE_SYSTEM),
		STATUS_FIELD_INVALID);
	ck_assert_str_eq(fx.outcome.field, "kind");
	fixture_destroy(&fx);
}
END_TEST

START_TEST(what_is_set_for_a_channel_is_ones_own_and_kept)
{
	struct fixture fx;
	pb_ChannelPrefReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	ck_assert_int_eq(DO(&fx, true, set_channel_pref, pb_SetChannelPrefRequest, &reply, .channel_id = channel, .flag = FLAG_PINNED),
		STATUS_OK);
	ck_assert_uint_eq(reply.notify, NOTIFY_ALL);
	ck_assert_int_eq(DO(&fx, true, set_channel_pref, pb_SetChannelPrefRequest, &reply, .channel_id = channel, .notify = NOTIFY_NONE),
		STATUS_OK);
	ck_assert_uint_eq(reply.flag, FLAG_PINNED);
	int64_t head = number(&fx, "SELECT seq FROM log.streams WHERE rank = 2 AND id = 5");
	ck_assert_int_eq(DO(&fx, true, set_channel_pref, pb_SetChannelPrefRequest, &reply, .channel_id = channel, .flag = FLAG_PINNED),
		STATUS_OK);
	ck_assert_int_eq(number(&fx, "SELECT seq FROM log.streams WHERE rank = 2 AND id = 5"), head);
	ck_assert_uint_eq(unread_in(&fx, 5, channel).flag, FLAG_PINNED);
	ck_assert_uint_eq(unread_in(&fx, 5, channel).notify, NOTIFY_NONE);
	ck_assert_uint_eq(unread_in(&fx, 6, channel).flag, FLAG_NONE);
	ck_assert_int_eq(DO(&fx, true, set_channel_pref, pb_SetChannelPrefRequest, &reply, .channel_id = channel,
				 .flag = FLAG_HIDDEN, .members_only = true),
		STATUS_FORBIDDEN);
	ck_assert_str_eq(fx.outcome.why, "member");
	fixture_destroy(&fx);
}
END_TEST

TESTS("threads", replies_are_unread_for_who_follows_the_thread_and_no_part_of_the_main_stream,
	who_replies_has_read_the_thread_and_no_more_of_the_main_stream_than_before,
	a_members_first_reply_or_mark_in_a_thread_leaves_the_main_stream_unread,
	where_somebody_was_last_in_the_main_stream_is_no_reply, an_archived_channel_can_be_left_unmarked,
	a_mark_in_a_thread_is_of_that_thread_alone,
	a_mark_says_what_it_does_not_find, a_deleted_reply_is_unread_for_nobody,
	posts_at_once_leave_every_counter_and_mark_where_it_belongs,
	beside_a_fetched_reply_stand_its_root_the_counters_and_who_follows, what_is_done_and_what_the_system_says_is_not_answered,
	what_is_set_for_a_channel_is_ones_own_and_kept)
