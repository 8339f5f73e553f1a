/*
 * Counters of replies: the top of a chain counts all of it, a reply those that answer it, whatever happens at
 * the same time.
 */
#include "tests/unit/messaging/race.h"

#include "services/messaging/views.h"

static pb_Empty empty;

static uint64_t replies_of(struct fixture *fx, const pb_MessageView *m)
{
	pb_MessageReply reply;

	ck_assert_int_eq(DO(fx, false, get_message, pb_MessageRequest, &reply, .channel_id = m->channel_id,
				 .message_id = m->id),
		STATUS_OK);
	return reply.message.reply_count;
}

static void delete_it(struct fixture *fx, const pb_MessageView *m)
{
	ck_assert_int_eq(DO(fx, true, delete_message, pb_MessageRequest, &empty, .channel_id = m->channel_id,
				 .message_id = m->id),
		STATUS_OK);
}

/* Every message that stands counts what answers it. */
static void assert_counted(struct fixture *fx)
{
	ck_assert_int_eq(
		number(fx, "SELECT count(*) FROM messaging.messages m WHERE m.deleted_at_ms IS NULL"
			   " AND m.reply_count <> (SELECT count(*) FROM messaging.messages r"
			   "  WHERE r.deleted_at_ms IS NULL AND (r.root_id = m.id OR r.parent_id = m.id))"),
		0);
}

START_TEST(a_reply_counts_at_the_top_and_at_what_it_answers)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView top = posted(&fx, channel, "top", 0), a = posted(&fx, channel, "a", top.id);
	pb_MessageView b = posted(&fx, channel, "b", a.id), c = posted(&fx, channel, "c", b.id);
	ck_assert_uint_eq(replies_of(&fx, &top), 3);
	ck_assert_uint_eq(replies_of(&fx, &a), 1);
	ck_assert_uint_eq(replies_of(&fx, &b), 1);
	ck_assert_uint_eq(replies_of(&fx, &c), 0);
	delete_it(&fx, &b); /* what answers it stays in the chain */
	ck_assert_uint_eq(replies_of(&fx, &top), 2);
	ck_assert_uint_eq(replies_of(&fx, &a), 0);
	delete_it(&fx, &c);
	ck_assert_uint_eq(replies_of(&fx, &top), 1);
	assert_counted(&fx);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_chain_outlives_its_top)
{
	struct fixture fx;
	pb_MessageReply reply;
	pb_ListMessagesReply page;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView top = posted(&fx, channel, "top", 0), a = posted(&fx, channel, "a", top.id);
	delete_it(&fx, &top);
	ck_assert_int_eq(DO(&fx, true, post_message, pb_PostMessageRequest, &reply, .channel_id = channel,
				 .content = (char *)"too late", .parent_id = top.id),
		STATUS_NOT_FOUND);
	pg_exec(fx.url, "DELETE FROM messaging.messages WHERE deleted_at_ms IS NOT NULL"); /* purged */
	pb_MessageView b = posted(&fx, channel, "b", a.id);
	ck_assert_uint_eq(b.root_id, top.id);
	ck_assert_uint_eq(replies_of(&fx, &a), 1);
	ck_assert_int_eq(DO(&fx, false, list_replies, pb_ListMessagesRequest, &page, .channel_id = channel,
				 .parent_id = a.id),
		STATUS_OK);
	ck_assert_uint_eq(page.messages_count, 1);
	fixture_destroy(&fx);
}
END_TEST

struct chain {
	pb_MessageView top, reply, answers[6];
};

static enum status reply_or_delete(struct racer *r)
{
	const struct chain *chain = r->arg;
	const pb_MessageView *gone = &chain->answers[r->i / 2];
	pb_MessageReply posted_reply;
	pb_Empty nothing;

	if (r->i % 2 == 0)
		return RACE(r, delete_message, pb_MessageRequest, &nothing, .channel_id = gone->channel_id,
			.message_id = gone->id);
	return RACE(r, post_message, pb_PostMessageRequest, &posted_reply,
		.channel_id = chain->top.channel_id, .content = (char *)"at once",
		.parent_id = r->i % 4 == 1 ? chain->reply.id : chain->top.id);
}

START_TEST(replies_and_deletions_at_once_are_all_counted)
{
	struct fixture fx;
	struct racer racers[12];
	struct chain chain;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	chain.top = posted(&fx, channel, "top", 0);
	chain.reply = posted(&fx, channel, "reply", chain.top.id);
	for (int i = 0; i < 6; i++)
		chain.answers[i] = posted(&fx, channel, "answer", chain.reply.id);
	race(&fx, racers, 12, reply_or_delete, &chain);
	ck_assert_uint_eq(raced(racers, 12, STATUS_OK), 12);
	ck_assert_uint_eq(replies_of(&fx, &chain.top), 7);
	ck_assert_uint_eq(replies_of(&fx, &chain.reply), 3);
	assert_counted(&fx);
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

TESTS("replies", a_reply_counts_at_the_top_and_at_what_it_answers, a_chain_outlives_its_top,
	replies_and_deletions_at_once_are_all_counted)
