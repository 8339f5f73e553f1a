/*
 * What a message mentions: which tokens of its text do, which rows follow, how edits and deletions change them, and what
 * is counted of them as unread. Who is told: notices_test.c.
 */
#include "tests/unit/messaging/fixture.h"

#include "services/messaging/mentions.h"

static struct bits without_everyone(void)
{
	return bits_without(OWNED_ROLES, PERMISSION_mention_everyone);
}

static pb_MessageView edited(struct fixture *fx, uint64_t channel, uint64_t message, const char *content)
{
	pb_MessageReply reply;

	ck_assert_int_eq(DO(fx, true, update_message, pb_UpdateMessageRequest, &reply, .channel_id = channel,
				 .message_id = message, .content = (char *)content),
		STATUS_OK);
	return reply.message;
}

static pb_MessageView got(struct fixture *fx, uint64_t channel, uint64_t message)
{
	pb_MessageReply reply;

	ck_assert_int_eq(DO(fx, false, get_message, pb_MessageRequest, &reply, .channel_id = channel,
				 .message_id = message),
		STATUS_OK);
	return reply.message;
}

static void deleted(struct fixture *fx, uint64_t channel, uint64_t message)
{
	pb_Empty nothing;

	ck_assert_int_eq(DO(fx, true, delete_message, pb_MessageRequest, &nothing, .channel_id = channel,
				 .message_id = message),
		STATUS_OK);
}

static pb_MessageView posted_as(
	struct fixture *fx, uint64_t user, uint64_t channel, const char *content, uint64_t parent)
{
	uint64_t before = fx->user;

	fx->user = user;
	pb_MessageView message = posted(fx, channel, content, parent);
	fx->user = before;
	return message;
}

/* "user 6, role 16" of a message's rows, by subject. */
static const char *rows_of(struct fixture *fx, uint64_t message)
{
	static const char *const kinds[] = {"none", "user", "role", "everyone", "here", "reply"};
	static const struct db_stmt rows_stmt = {"test_mention_rows",
		"SELECT x.kind, x.subject_id FROM messaging.mentions x JOIN messaging.messages m ON m.id = x.message_id"
		" AND m.seq = x.seq AND m.channel_id = x.channel_id AND m.author_id = x.author_id"
		" WHERE x.message_id = $1 ORDER BY x.subject_id"};
	struct db_conn *conn = NULL;
	struct db_params params;
	struct db_rows rows = {0};
	const char *text = "";

	ck_assert_int_eq(db_acquire(fx->facts, clock_mono_ms() + PATIENCE_MS, &conn), STATUS_OK);
	db_params_begin(&params, fx->mem);
	db_put_id(&params, message);
	ck_assert_int_eq(db_query(conn, fx->mem, &rows_stmt, &params, &rows), STATUS_OK);
	db_release(conn);
	for (int i = 0; i < rows.count; i++)
		text = arena_printf(fx->mem, "%s%s%s %d", text, i > 0 ? ", " : "", kinds[db_i64(&rows, i, 0)],
			(int)db_i64(&rows, i, 1));
	return text;
}

/* ---- posts */

START_TEST(a_text_without_tokens_asks_nobody_and_has_no_row)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView m = posted(&fx, channel, "nothing but `<@6>` and mail@everyone.example", 0);
	ck_assert(!m.has_mentions);
	ck_assert_int_eq(atomic_load(&fx.asked_mentions), 0);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.mentions"), 0);
	ck_assert_int_eq(
		number(&fx, "SELECT count(*) FROM messaging.messages WHERE mentions IS NOT NULL"), 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(tokens_become_mentions_in_reply_event_and_row)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	const char *text = arena_printf(fx.mem, "<@6> <@&16> <#%llu> @here <@6> <@7>", (unsigned long long)channel);
	pb_MessageView m = posted(&fx, channel, text, 0);
	pb_Event event = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	pb_MessageView read = got(&fx, channel, m.id);
	const pb_MessageView *views[] = {&m, &event.body.message_posted.message, &read};
	for (size_t i = 0; i < 3; i++) {
		const pb_MentionsView *v = &views[i]->mentions;
		ck_assert(views[i]->has_mentions);
		ck_assert_uint_eq(v->user_ids_count, 2);
		ck_assert_uint_eq(v->user_ids[0], 6);
		ck_assert_uint_eq(v->user_ids[1], 7);
		ck_assert_uint_eq(v->role_ids_count, 1);
		ck_assert_uint_eq(v->role_ids[0], 16);
		ck_assert(v->here);
		ck_assert(!v->everyone);
		ck_assert_str_eq(views[i]->content, text);
	}
	ck_assert_int_eq(atomic_load(&fx.asked_mentions), 1);
	ck_assert_str_eq(rows_of(&fx, m.id), "here 0, user 6, user 7, role 16");
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.mentions WHERE told"), 2);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(what_is_not_allowed_stays_text)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false), secret = made_channel(&fx, true);
	TELL(&fx, hidden[6] = true);
	TELL(&fx, bits[5] = without_everyone());
	const char *text = arena_printf(fx.mem, "<@6> <@99> <@&17> <@&18> <@&99> <#%llu> <#99> @everyone @here",
		(unsigned long long)secret);
	pb_MessageView m = posted(&fx, channel, text, 0);
	ck_assert_str_eq(m.content, text);
	ck_assert_uint_eq(m.mentions.user_ids_count, 0);
	ck_assert_uint_eq(m.mentions.channel_ids_count, 0);
	ck_assert(!m.mentions.everyone);
	ck_assert(!m.mentions.here);
	ck_assert_uint_eq(m.mentions.role_ids_count, 1); /* that everybody may mention */
	ck_assert_uint_eq(m.mentions.role_ids[0], 18);
	ck_assert_str_eq(rows_of(&fx, m.id), "role 18");
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_right_to_mention_everybody_holds_from_when_it_was_given)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	TELL(&fx, bits[5] = without_everyone());
	ck_assert(!posted(&fx, channel, "@everyone", 0).has_mentions); /* now the refusal is cached */
	TELL(&fx, bits[5] = OWNED_ROLES);                              /* which raises no epoch */
	ck_assert(posted(&fx, channel, "@everyone", 0).mentions.everyone);
	TELL(&fx, bits[5] = without_everyone());
	pg_exec(fx.url, "UPDATE moderation.members SET epoch = epoch + 1 WHERE user_id = 5");
	pb_MessageView m = posted(&fx, channel, "@everyone <@&17>", 0);
	ck_assert(!m.has_mentions);
	TELL(&fx, bits[5] = OWNED_ROLES);
	m = posted(&fx, channel, "<@&17>", 0);
	ck_assert_uint_eq(m.mentions.role_ids_count, 1);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(further_names_than_the_limit_stay_text)
{
	struct fixture fx;
	const char *text = "";

	fixture_create(&fx);
	pg_exec(fx.url, "INSERT INTO moderation.members (team_id, user_id, joined_at_ms) SELECT 1000, g, 1 FROM "
			"generate_series(100, 220) g");
	uint64_t channel = made_channel(&fx, false);
	for (int user = 100; user <= 220; user++)
		text = arena_printf(fx.mem, "%s<@%d>", text, user);
	pb_MessageView m = posted(&fx, channel, text, 0);
	ck_assert_uint_eq(m.mentions.user_ids_count, MENTION_USERS_MAX);
	ck_assert_uint_eq(m.mentions.user_ids[0], 100);
	ck_assert_uint_eq(m.mentions.user_ids[99], 199);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.mentions"), MENTION_USERS_MAX);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_reply_concerns_whom_it_answers_once_and_not_oneself)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView theirs = posted_as(&fx, 6, channel, "a question", 0);
	pb_MessageView answer = posted(&fx, channel, "an answer", theirs.id);
	ck_assert(!answer.has_mentions);
	ck_assert_str_eq(rows_of(&fx, answer.id), "reply 6");
	ck_assert_int_eq(atomic_load(&fx.asked_mentions), 0);
	ck_assert_str_eq(rows_of(&fx, posted(&fx, channel, "<@6> an answer", theirs.id).id), "user 6");
	ck_assert_str_eq(rows_of(&fx, posted(&fx, channel, "to myself", answer.id).id), "");
	pb_MessageView self = posted(&fx, channel, "<@5>", 0);
	ck_assert_uint_eq(self.mentions.user_ids_count, 1); /* it is a mention, and concerns nobody else */
	ck_assert_str_eq(rows_of(&fx, self.id), "");
	fixture_destroy(&fx);
}
END_TEST

/* ---- edits, deletions */

START_TEST(an_edit_mentions_what_its_text_says)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];
	pb_ListEditsReply edits;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView parent = posted_as(&fx, 6, channel, "a question", 0);
	pb_MessageView m = posted(&fx, channel, "<@6> <@&16>", parent.id);
	ck_assert_str_eq(rows_of(&fx, m.id), "user 6, role 16");
	pb_MessageView now = edited(&fx, channel, m.id, "<@7> @everyone");
	ck_assert_uint_eq(now.mentions.user_ids_count, 1);
	ck_assert_uint_eq(now.mentions.user_ids[0], 7);
	ck_assert(now.mentions.everyone);
	pb_Event event = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_uint_eq(event.body.message_updated.message.mentions.user_ids[0], 7);
	ck_assert_uint_eq(got(&fx, channel, m.id).mentions.user_ids[0], 7);
	ck_assert_str_eq(rows_of(&fx, m.id), "everyone 0, reply 6, user 7");
	ck_assert_int_eq(number(&fx, "SELECT sum(subject_id) FROM messaging.mentions WHERE NOT told"), 6 + 7);
	ck_assert(!edited(&fx, channel, m.id, "nobody").has_mentions);
	ck_assert(!got(&fx, channel, m.id).has_mentions);
	ck_assert_str_eq(rows_of(&fx, m.id), "reply 6");
	ck_assert_int_eq(DO(&fx, false, list_edits, pb_MessageRequest, &edits, .channel_id = channel,
				 .message_id = m.id),
		STATUS_OK);
	ck_assert_uint_eq(edits.edits_count, 2);
	ck_assert_uint_eq(edits.edits[0].mentions.user_ids[0], 6);
	ck_assert_uint_eq(edits.edits[1].mentions.user_ids[0], 7);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(an_edit_keeps_what_was_mentioned_and_adds_what_the_editor_may)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView m = posted(&fx, channel, "<@6> @everyone <@&17>", 0);
	TELL(&fx, hidden[6] = true);
	TELL(&fx, bits[5] = without_everyone());
	pg_exec(fx.url, "UPDATE moderation.members SET epoch = epoch + 1 WHERE user_id = 5");
	pb_MessageView now = edited(&fx, channel, m.id, "<@6> @everyone @here <@&17> <@&19> <@7>");
	ck_assert_uint_eq(now.mentions.user_ids_count, 2);
	ck_assert_uint_eq(now.mentions.role_ids_count, 1);
	ck_assert_uint_eq(now.mentions.role_ids[0], 17);
	ck_assert(now.mentions.everyone);
	ck_assert(!now.mentions.here);
	TELL(&fx, bits[5] = OWNED_ROLES); /* given: a cached refusal is not believed */
	ck_assert(edited(&fx, channel, m.id, "@here").mentions.here);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_deleted_message_mentions_nobody)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView kept = posted(&fx, channel, "<@6>", 0), m = posted(&fx, channel, "<@6> @everyone", 0);
	deleted(&fx, channel, m.id);
	ck_assert_str_eq(rows_of(&fx, m.id), "");
	ck_assert_str_eq(rows_of(&fx, kept.id), "user 6");
	ck_assert_int_eq(
		number(&fx, "SELECT count(*) FROM messaging.messages WHERE deleted_at_ms IS NOT NULL AND mentions IS NULL"),
		1);
	fixture_destroy(&fx);
}
END_TEST

/* ---- unread */

static pb_UnreadView unread_of(struct fixture *fx, uint64_t user, uint64_t channel)
{
	uint64_t before = fx->user;
	pb_ListUnreadReply reply;

	fx->user = user;
	ck_assert_int_eq(DO(fx, false, list_unread, pb_ListUnreadRequest, &reply), STATUS_OK);
	fx->user = before;
	for (size_t i = 0; i < reply.unread_count; i++)
		if (reply.unread[i].channel_id == channel)
			return reply.unread[i];
	ck_abort_msg("no such channel");
}

static pb_UnreadView marked(struct fixture *fx, uint64_t user, uint64_t channel, uint64_t message)
{
	uint64_t before = fx->user;
	char audience[AUDIENCE_SIZE];
	pb_UnreadReply reply;

	fx->user = user;
	ck_assert_int_eq(DO(fx, true, mark_read, pb_MarkReadRequest, &reply, .channel_id = channel,
				 .message_id = message),
		STATUS_OK);
	fx->user = before;
	pb_Event event = event_back(fx, STREAM_USER(user), 0, audience);
	ck_assert_uint_eq(event.body.read_state_changed.unread, reply.unread.unread);
	ck_assert_uint_eq(event.body.read_state_changed.mentions, reply.unread.mentions);
	ck_assert_uint_eq(event.body.read_state_changed.last_read_id, reply.unread.last_read_id);
	/* What GET /unread says afterwards. */
	pb_UnreadView listed = unread_of(fx, user, channel);
	ck_assert_uint_eq(listed.unread, reply.unread.unread);
	ck_assert_uint_eq(listed.mentions, reply.unread.mentions);
	return reply.unread;
}

START_TEST(every_kind_of_mention_counts_once_a_message_and_only_what_others_wrote)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false), other = made_channel(&fx, false);
	TELL(&fx, role_of[6] = 16);
	pb_MessageView question = posted_as(&fx, 6, channel, "<@6> @everyone <@&16>, a question", 0);
	ck_assert_uint_eq(unread_of(&fx, 6, channel).mentions, 0);
	const char *const texts[] = {"<@6>", "<@&16>", "@everyone", "@here", "<@6> <@&16> @everyone @here <@6>"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		posted(&fx, channel, texts[i], 0);
		ck_assert_uint_eq(unread_of(&fx, 6, channel).mentions, i + 1);
	}
	posted(&fx, channel, "an answer", question.id);
	posted(&fx, channel, "<@7> <@&18> and nobody else", 0);
	posted(&fx, other, "<@6>", 0);
	pb_UnreadView mine = unread_of(&fx, 6, channel);
	ck_assert_uint_eq(mine.mentions, 6);
	ck_assert_uint_eq(mine.unread, 7);
	ck_assert_uint_eq(unread_of(&fx, 6, other).mentions, 1);
	/* 7 holds no role; what 6 wrote with @everyone counts for him too */
	ck_assert_uint_eq(unread_of(&fx, 7, channel).mentions, 5);
	ck_assert_uint_eq(unread_of(&fx, 5, channel).mentions, 0); /* who posted last has read all */
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_mark_counts_what_is_behind_it_wherever_it_is_set)
{
	struct fixture fx;
	pb_MessageView m[4];

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	for (int i = 0; i < 4; i++)
		m[i] = posted(&fx, channel, i % 2 == 0 ? "<@6>" : "@everyone", 0);
	pb_UnreadView end = marked(&fx, 6, channel, 0);
	ck_assert_uint_eq(end.unread, 0);
	ck_assert_uint_eq(end.mentions, 0);
	ck_assert_uint_eq(end.last_read_id, m[3].id);
	pb_UnreadView back = marked(&fx, 6, channel, m[0].id);
	ck_assert_uint_eq(back.unread, 3);
	ck_assert_uint_eq(back.mentions, 3);
	posted(&fx, channel, "<@6>", 0);
	ck_assert_uint_eq(unread_of(&fx, 6, channel).mentions, 4);
	ck_assert_uint_eq(unread_of(&fx, 6, channel).unread, 4);
	pb_UnreadView forth = marked(&fx, 6, channel, m[2].id);
	ck_assert_uint_eq(forth.unread, 2);
	ck_assert_uint_eq(forth.mentions, 2);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(edits_and_deletions_change_what_is_counted)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	marked(&fx, 6, channel, posted(&fx, channel, "begin", 0).id);
	pb_MessageView a = posted(&fx, channel, "<@6>", 0), b = posted(&fx, channel, "<@6>", 0);
	edited(&fx, channel, a.id, "nobody");
	ck_assert_uint_eq(unread_of(&fx, 6, channel).mentions, 1);
	edited(&fx, channel, a.id, "<@6> again");
	ck_assert_uint_eq(unread_of(&fx, 6, channel).mentions, 2);
	deleted(&fx, channel, b.id);
	ck_assert_uint_eq(unread_of(&fx, 6, channel).mentions, 1);
	ck_assert_uint_eq(unread_of(&fx, 6, channel).unread, 1);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(who_joins_has_read_what_was_there)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false), empty = made_channel(&fx, false);
	pb_MessageView first = posted(&fx, channel, "@everyone", 0);
	posted(&fx, channel, "@everyone", 0);
	deleted(&fx, channel, first.id);
	uint64_t head = (uint64_t)number(&fx, "SELECT seq FROM log.streams WHERE rank = 1 AND id = 1000");
	TELL(&fx, joined_seq[7] = head);
	ck_assert_uint_eq(unread_of(&fx, 7, channel).unread, 0);
	ck_assert_uint_eq(unread_of(&fx, 7, channel).mentions, 0);
	ck_assert_uint_eq(unread_of(&fx, 7, channel).last_read_id, 0);
	ck_assert_uint_eq(unread_of(&fx, 7, empty).unread, 0);
	posted(&fx, channel, "@everyone", 0);
	posted(&fx, channel, "news", 0);
	posted(&fx, empty, "news", 0);
	ck_assert_uint_eq(unread_of(&fx, 7, channel).unread, 2);
	ck_assert_uint_eq(unread_of(&fx, 7, channel).mentions, 1);
	ck_assert_uint_eq(unread_of(&fx, 7, empty).unread, 1);
	ck_assert_uint_eq(unread_of(&fx, 6, channel).unread, 3); /* who was always there */
	/* Once there is a mark, it alone counts. */
	ck_assert_uint_eq(marked(&fx, 7, channel, first.id).unread, 3);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_post_is_the_authors_mark)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	posted(&fx, channel, "<@6>", 0);
	posted_as(&fx, 6, channel, "I am here", 0);
	ck_assert_uint_eq(unread_of(&fx, 6, channel).mentions, 0);
	posted(&fx, channel, "<@6>", 0);
	ck_assert_uint_eq(unread_of(&fx, 6, channel).mentions, 1);
	ck_assert_int_eq(
		number(&fx, "SELECT count(*) FROM messaging.read_state r JOIN messaging.messages m ON m.id = r.last_read_id"
			    " AND m.seq = r.last_read_seq AND m.place = r.counted"),
		2);
	fixture_destroy(&fx);
}
END_TEST

TESTS("mentions", a_text_without_tokens_asks_nobody_and_has_no_row, tokens_become_mentions_in_reply_event_and_row,
	what_is_not_allowed_stays_text, a_right_to_mention_everybody_holds_from_when_it_was_given,
	further_names_than_the_limit_stay_text, a_reply_concerns_whom_it_answers_once_and_not_oneself,
	an_edit_mentions_what_its_text_says,
	an_edit_keeps_what_was_mentioned_and_adds_what_the_editor_may, a_deleted_message_mentions_nobody,
	every_kind_of_mention_counts_once_a_message_and_only_what_others_wrote,
	a_mark_counts_what_is_behind_it_wherever_it_is_set, edits_and_deletions_change_what_is_counted,
	who_joins_has_read_what_was_there, a_post_is_the_authors_mark)
