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

static enum status answer_to(struct fixture *fx, const pb_MessageView *m)
{
	pb_MessageReply reply;

	return DO(fx, true, post_message, pb_PostMessageRequest, &reply, .channel_id = m->channel_id,
		.content = (char *)"too late", .parent_id = m->id);
}

START_TEST(what_is_left_of_a_chain_without_its_top_is_read_and_not_answered)
{
	struct fixture fx;
	pb_ListMessagesReply page;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView top = posted(&fx, channel, "top", 0), a = posted(&fx, channel, "a", top.id), b = posted(&fx, channel, "b", a.id);
	delete_it(&fx, &top);
	ck_assert_int_eq(answer_to(&fx, &top), STATUS_NOT_FOUND);
	ck_assert_int_eq(answer_to(&fx, &a), STATUS_NOT_FOUND);
	ck_assert_str_eq(fx.outcome.field, "parent_id");
	ck_assert_int_eq(answer_to(&fx, &b), STATUS_NOT_FOUND);
	pg_exec(fx.url, "DELETE FROM messaging.messages WHERE deleted_at_ms IS NOT NULL"); /* purged */
	ck_assert_int_eq(answer_to(&fx, &a), STATUS_NOT_FOUND);
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

static enum status answer_or_delete_top(struct racer *r)
{
	const struct chain *chain = r->arg;
	pb_MessageReply posted_reply;
	pb_Empty nothing;

	if (r->i == 6)
		return RACE(r, delete_message, pb_MessageRequest, &nothing, .channel_id = chain->top.channel_id,
			.message_id = chain->top.id);
	return RACE(r, post_message, pb_PostMessageRequest, &posted_reply, .channel_id = chain->top.channel_id,
		.content = (char *)"at once", .parent_id = chain->reply.id);
}

START_TEST(nothing_comes_into_a_chain_after_its_top_went)
{
	struct fixture fx;
	struct racer racers[12];
	struct chain chain;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	for (int round = 0; round < 8; round++) {
		chain.top = posted(&fx, channel, "top", 0);
		chain.reply = posted(&fx, channel, "reply", chain.top.id);
		race(&fx, racers, 12, answer_or_delete_top, &chain);
		ck_assert_int_eq(racers[6].status, STATUS_OK);
		ck_assert_uint_eq(raced(racers, 12, STATUS_OK) + raced(racers, 12, STATUS_NOT_FOUND), 12);
		/* The newest deletion is this round's. */
		ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.messages m WHERE m.root_id IS NOT NULL"
					     " AND m.seq > (SELECT max(e.seq) FROM log.events e WHERE e.kind = 136)"),
			0);
	}
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

TESTS("replies", a_reply_counts_at_the_top_and_at_what_it_answers, what_is_left_of_a_chain_without_its_top_is_read_and_not_answered,
	replies_and_deletions_at_once_are_all_counted, nothing_comes_into_a_chain_after_its_top_went)
