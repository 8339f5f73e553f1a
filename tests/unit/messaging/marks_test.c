/*
 * What people put on messages: reactions, pins, bookmarks; and who sees what a message was before.
 */
#include "tests/unit/messaging/race.h"

#include "services/messaging/purge.h"
#include "services/messaging/views.h"

#define BOAT  "⛵"
#define HEART "❤️"

static pb_Empty empty;
static pb_ReactionReply reaction;
static pb_ListMessagesReply page;
static pb_MessageReply one;
static pb_ListReactionsReply who;

static struct bits without(enum permission p)
{
	return bits_without(OWNED_ROLES, p);
}

static int64_t head(struct fixture *fx, struct stream s)
{
	char sql[128];

	snprintf(sql, sizeof sql, "SELECT seq FROM log.streams WHERE rank = %u AND id = %llu", s.rank,
		(unsigned long long)s.id);
	return number(fx, sql);
}

static enum status react(struct fixture *fx, const pb_MessageView *m, const char *emoji)
{
	return DO(fx, true, add_reaction, pb_ReactionRequest, &reaction, .channel_id = m->channel_id,
		.message_id = m->id, .emoji = (char *)emoji);
}

static enum status unreact(struct fixture *fx, const pb_MessageView *m, const char *emoji, uint64_t user)
{
	return DO(fx, true, remove_reaction, pb_ReactionRequest, &empty, .channel_id = m->channel_id,
		.message_id = m->id, .emoji = (char *)emoji, .user_id = user);
}

static enum status pin(struct fixture *fx, const pb_MessageView *m, bool on)
{
	return on ? DO(fx, true, pin_message, pb_MessageRequest, &empty, .channel_id = m->channel_id,
			    .message_id = m->id)
		  : DO(fx, true, unpin_message, pb_MessageRequest, &empty, .channel_id = m->channel_id,
			    .message_id = m->id);
}

static enum status bookmark(struct fixture *fx, const pb_MessageView *m, bool on)
{
	return DO(fx, true, set_bookmark, pb_SetBookmarkRequest, &empty, .channel_id = m->channel_id,
		.message_id = m->id, .set = on);
}

static enum status delete_message(struct fixture *fx, const pb_MessageView *m)
{
	return DO(fx, true, delete_message, pb_MessageRequest, &empty, .channel_id = m->channel_id,
		.message_id = m->id);
}

static const pb_MessageView *got(struct fixture *fx, const pb_MessageView *m)
{
	ck_assert_int_eq(DO(fx, false, get_message, pb_MessageRequest, &one, .channel_id = m->channel_id,
				 .message_id = m->id),
		STATUS_OK);
	return &one.message;
}

static void reacted(const pb_MessageView *m, size_t i, const char *emoji, uint64_t count, bool me)
{
	ck_assert_uint_gt(m->reactions_count, i);
	ck_assert_str_eq(m->reactions[i].emoji, emoji);
	ck_assert_uint_eq(m->reactions[i].count, count);
	ck_assert_int_eq(m->reactions[i].me, me);
}

/* ---- reactions */

START_TEST(a_reaction_is_told_and_shown_wherever_the_message_is)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, true);
	pb_MessageView root = posted(&fx, channel, "root", 0), reply = posted(&fx, channel, "reply", root.id);
	ck_assert_int_eq(react(&fx, &reply, BOAT), STATUS_OK);
	ck_assert_str_eq(reaction.reaction.emoji, BOAT);
	ck_assert_uint_eq(reaction.reaction.count, 1);
	ck_assert(reaction.reaction.me);
	pb_Event event = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_int_eq(event.which_body, EVENT_KIND_reaction_added);
	ck_assert_str_eq(audience, arena_printf(fx.mem, "channel:%llu", (unsigned long long)channel));
	ck_assert_uint_eq(event.body.reaction_added.channel.id, channel);
	ck_assert_uint_eq(event.body.reaction_added.message_id, reply.id);
	ck_assert_str_eq(event.body.reaction_added.emoji, BOAT);
	ck_assert_str_eq(event.body.reaction_added.user.username, "user5");
	ck_assert_uint_eq(event.body.reaction_added.count, 1);
	fx.user = 6;
	ck_assert_int_eq(react(&fx, &reply, BOAT), STATUS_OK);
	ck_assert_uint_eq(reaction.reaction.count, 2);
	fx.user = 7;
	ck_assert_int_eq(react(&fx, &reply, "word"), STATUS_OK);
	fx.user = 6;
	const pb_MessageView *m = got(&fx, &reply);
	ck_assert_uint_eq(m->reactions_count, 2);
	reacted(m, 0, BOAT, 2, true);
	reacted(m, 1, "word", 1, false);
	ck_assert_uint_eq(m->reactions[0].user_ids_count, 2);
	ck_assert_uint_eq(m->reactions[0].user_ids[0], 5);
	ck_assert_uint_eq(m->reactions[0].user_ids[1], 6);
	ck_assert_int_eq(DO(&fx, false, list_messages, pb_ListMessagesRequest, &page, .channel_id = channel),
		STATUS_OK);
	reacted(&page.messages[0], 1, "word", 1, false);
	ck_assert_uint_eq(page.messages[1].reactions_count, 0);
	ck_assert_int_eq(DO(&fx, false, list_replies, pb_ListMessagesRequest, &page, .channel_id = channel,
				 .parent_id = root.id),
		STATUS_OK);
	reacted(&page.messages[0], 0, BOAT, 2, true);
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(reacting_twice_and_taking_back_nothing_say_nothing)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];

	fixture_create(&fx);
	pb_MessageView m = posted(&fx, made_channel(&fx, false), "m", 0);
	ck_assert_int_eq(unreact(&fx, &m, BOAT, 0), STATUS_OK);
	int64_t before = head(&fx, STREAM_TEAM(TEAM));
	ck_assert_int_eq(react(&fx, &m, BOAT), STATUS_OK);
	ck_assert_int_eq(react(&fx, &m, BOAT), STATUS_OK);
	ck_assert_uint_eq(reaction.reaction.count, 1);
	ck_assert_int_eq(head(&fx, STREAM_TEAM(TEAM)), before + 1);
	ck_assert_int_eq(unreact(&fx, &m, BOAT, 5), STATUS_OK);
	ck_assert_int_eq(unreact(&fx, &m, BOAT, 0), STATUS_OK);
	ck_assert_int_eq(head(&fx, STREAM_TEAM(TEAM)), before + 2);
	pb_Event event = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_int_eq(event.which_body, EVENT_KIND_reaction_removed);
	ck_assert_uint_eq(event.body.reaction_removed.count, 0);
	ck_assert_int_eq(number(&fx, "SELECT (SELECT count(*) FROM messaging.reactions)"
				     " + (SELECT count(*) FROM messaging.reaction_counts)"),
		0);
	ck_assert_uint_eq(got(&fx, &m)->reactions_count, 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_repeated_reaction_is_answered_as_the_first)
{
	struct fixture fx;

	fixture_create(&fx);
	pb_MessageView m = posted(&fx, made_channel(&fx, false), "m", 0);
	ck_assert_int_eq(react(&fx, &m, BOAT), STATUS_OK);
	int64_t before = head(&fx, STREAM_TEAM(TEAM));
	fx.same_request = true;
	ck_assert_int_eq(react(&fx, &m, BOAT), STATUS_OK);
	ck_assert(fx.outcome.replayed);
	ck_assert_uint_eq(reaction.reaction.count, 1);
	ck_assert_str_eq(reaction.reaction.emoji, BOAT);
	ck_assert_int_eq(head(&fx, STREAM_TEAM(TEAM)), before);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(reacting_takes_its_right_and_anothers_reaction_the_one_to_delete)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];

	fixture_create(&fx);
	pb_MessageView m = posted(&fx, made_channel(&fx, false), "m", 0);
	ck_assert_int_eq(react(&fx, &m, BOAT), STATUS_OK);
	TELL(&fx, bits[6] = without(PERMISSION_add_reactions));
	TELL(&fx, bits[7] = without(PERMISSION_delete_any_message));
	fx.user = 6;
	ck_assert_int_eq(react(&fx, &m, BOAT), STATUS_FORBIDDEN);
	ck_assert_str_eq(fx.outcome.why, "add_reactions");
	fx.user = 7;
	ck_assert_int_eq(unreact(&fx, &m, BOAT, 5), STATUS_FORBIDDEN);
	ck_assert_str_eq(fx.outcome.why, "delete_any_message");
	ck_assert_int_eq(react(&fx, &m, HEART), STATUS_OK);
	ck_assert_int_eq(unreact(&fx, &m, HEART, 7), STATUS_OK);
	fx.user = 6;
	ck_assert_int_eq(unreact(&fx, &m, BOAT, 5), STATUS_OK);
	pb_Event event = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_int_eq(event.which_body, EVENT_KIND_reaction_removed);
	ck_assert_uint_eq(event.body.reaction_removed.user.id, 5);
	ck_assert_str_eq(event.body.reaction_removed.user.username, "user5");
	ck_assert_uint_eq(event.actor.id, 6);
	TELL(&fx, hidden[7] = true);
	rights_cache_drop(fx.service.rights, 7, m.channel_id);
	fx.user = 7;
	ck_assert_int_eq(react(&fx, &m, BOAT), STATUS_NOT_FOUND);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(what_is_no_emoji_no_message_or_nobodys_is_refused)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false), elsewhere = made_channel(&fx, false);
	pb_MessageView m = posted(&fx, channel, "m", 0), other = m;
	static const char *const bad[] = {"", "a b", "\n", "\xe2\x80\x8d"};
	for (size_t i = 0; i < 4; i++) {
		ck_assert_int_eq(react(&fx, &m, bad[i]), STATUS_FIELD_INVALID);
		ck_assert_str_eq(fx.outcome.field, "emoji");
		ck_assert_int_eq(unreact(&fx, &m, bad[i], 0), STATUS_FIELD_INVALID);
		ck_assert_int_eq(DO(&fx, false, list_reactions, pb_ListReactionsRequest, &who,
					 .channel_id = channel, .message_id = m.id, .emoji = (char *)bad[i]),
			STATUS_FIELD_INVALID);
		ck_assert_str_eq(fx.outcome.field, "emoji");
	}
	other.channel_id = elsewhere;
	ck_assert_int_eq(react(&fx, &other, BOAT), STATUS_NOT_FOUND);
	ck_assert_int_eq(unreact(&fx, &other, BOAT, 0), STATUS_NOT_FOUND);
	ck_assert_int_eq(DO(&fx, true, add_reaction, pb_ReactionRequest, &reaction, .channel_id = channel,
				 .message_id = m.id, .emoji = (char *)BOAT, .user_id = 6),
		STATUS_FORBIDDEN);
	ck_assert_str_eq(fx.outcome.why, "actor");
	fx.user = 0;
	ck_assert_int_eq(react(&fx, &m, BOAT), STATUS_FORBIDDEN);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(an_archived_channel_takes_nothing_from_its_messages)
{
	struct fixture fx;
	pb_ChannelReply state;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView m = posted(&fx, channel, "m", 0);
	ck_assert_int_eq(react(&fx, &m, BOAT), STATUS_OK);
	ck_assert_int_eq(DO(&fx, true, set_channel_state, pb_SetChannelStateRequest, &state,
				 .channel_id = channel, .change = CHANNEL_ARCHIVE),
		STATUS_OK);
	ck_assert_int_eq(react(&fx, &m, HEART), STATUS_ARCHIVED);
	ck_assert_int_eq(unreact(&fx, &m, BOAT, 0), STATUS_ARCHIVED);
	ck_assert_int_eq(pin(&fx, &m, true), STATUS_ARCHIVED);
	reacted(got(&fx, &m), 0, BOAT, 1, true);
	/* Bookmarks are the reader's own. */
	ck_assert_int_eq(bookmark(&fx, &m, true), STATUS_OK);
	fixture_destroy(&fx);
}
END_TEST

static enum status react_once(struct racer *r)
{
	const pb_MessageView *m = r->arg;
	pb_ReactionReply reply;
	char emoji[8];

	snprintf(emoji, sizeof emoji, "new%zu", r->i);
	return RACE(r, add_reaction, pb_ReactionRequest, &reply, .channel_id = m->channel_id,
		.message_id = m->id, .emoji = emoji);
}

START_TEST(of_those_who_bring_the_twentieth_kind_at_once_one_gets_in)
{
	struct fixture fx;
	struct racer racers[6];
	char emoji[8];

	fixture_create(&fx);
	pb_MessageView m = posted(&fx, made_channel(&fx, false), "m", 0);
	for (int i = 1; i < REACTION_KINDS_MAX; i++) {
		snprintf(emoji, sizeof emoji, "k%d", i);
		ck_assert_int_eq(react(&fx, &m, emoji), STATUS_OK);
	}
	race(&fx, racers, 6, react_once, &m);
	ck_assert_uint_eq(raced(racers, 6, STATUS_OK), 1);
	ck_assert_uint_eq(raced(racers, 6, STATUS_AT_LIMIT), 5);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.reaction_counts"), REACTION_KINDS_MAX);
	/* Another of a kind that is there is no new kind. */
	fx.user = 6;
	ck_assert_int_eq(react(&fx, &m, "k1"), STATUS_OK);
	ck_assert_int_eq(unreact(&fx, &m, "k2", 5), STATUS_OK);
	ck_assert_int_eq(react(&fx, &m, "room again"), STATUS_FIELD_INVALID);
	ck_assert_int_eq(react(&fx, &m, "room"), STATUS_OK);
	ck_assert_int_eq(react(&fx, &m, "no room"), STATUS_FIELD_INVALID);
	ck_assert_int_eq(react(&fx, &m, "noroom"), STATUS_AT_LIMIT);
	ck_assert_str_eq(fx.outcome.why, "reactions");
	ck_assert_uint_eq(got(&fx, &m)->reactions_count, REACTION_KINDS_MAX);
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

static enum status react_same(struct racer *r)
{
	const pb_MessageView *m = r->arg;
	pb_ReactionReply reply;

	return RACE(r, add_reaction, pb_ReactionRequest, &reply, .channel_id = m->channel_id,
		.message_id = m->id, .emoji = (char *)BOAT);
}

START_TEST(the_same_reaction_sent_many_times_at_once_counts_each_person_once)
{
	struct fixture fx;
	struct racer racers[9];

	fixture_create(&fx);
	pb_MessageView m = posted(&fx, made_channel(&fx, false), "m", 0);
	int64_t before = head(&fx, STREAM_TEAM(TEAM));
	race(&fx, racers, 9, react_same, &m);
	ck_assert_uint_eq(raced(racers, 9, STATUS_OK), 9);
	reacted(got(&fx, &m), 0, BOAT, 3, true);
	ck_assert_int_eq(head(&fx, STREAM_TEAM(TEAM)), before + 3);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(who_reacted_is_listed_in_pages)
{
	struct fixture fx;

	fixture_create(&fx);
	pb_MessageView m = posted(&fx, made_channel(&fx, false), "m", 0);
	for (fx.user = 5; fx.user < 8; fx.user++)
		ck_assert_int_eq(react(&fx, &m, BOAT), STATUS_OK);
	fx.user = 5;
	ck_assert_int_eq(
		DO(&fx, false, list_reactions, pb_ListReactionsRequest, &who, .channel_id = m.channel_id,
			.message_id = m.id, .emoji = (char *)BOAT, .limit = 2),
		STATUS_OK);
	ck_assert_uint_eq(who.reactors_count, 2);
	ck_assert(who.more);
	ck_assert_uint_eq(who.reactors[0].user.id, 5);
	ck_assert_str_eq(who.reactors[1].user.username, "user6");
	ck_assert_uint_ne(who.reactors[0].at_ms, 0);
	ck_assert_int_eq(
		DO(&fx, false, list_reactions, pb_ListReactionsRequest, &who, .channel_id = m.channel_id,
			.message_id = m.id, .emoji = (char *)BOAT, .after = 6),
		STATUS_OK);
	ck_assert_uint_eq(who.reactors_count, 1);
	ck_assert(!who.more);
	ck_assert_uint_eq(who.reactors[0].user.id, 7);
	ck_assert_int_eq(
		DO(&fx, false, list_reactions, pb_ListReactionsRequest, &who, .channel_id = m.channel_id,
			.message_id = m.id, .emoji = (char *)BOAT, .before = 7, .limit = 1),
		STATUS_OK);
	ck_assert_uint_eq(who.reactors_count, 1);
	ck_assert_uint_eq(who.reactors[0].user.id, 6);
	ck_assert_int_eq(DO(&fx, false, list_reactions, pb_ListReactionsRequest, &who,
				 .channel_id = m.channel_id, .message_id = m.id, .emoji = (char *)HEART),
		STATUS_OK);
	ck_assert_uint_eq(who.reactors_count, 0);
	ck_assert_int_eq(DO(&fx, false, list_reactions, pb_ListReactionsRequest, &who,
				 .channel_id = m.channel_id, .message_id = m.id + 1, .emoji = (char *)BOAT),
		STATUS_NOT_FOUND);
	TELL(&fx, bits[5] = without(PERMISSION_read_history));
	rights_cache_drop(fx.service.rights, 5, m.channel_id);
	ck_assert_int_eq(DO(&fx, false, list_reactions, pb_ListReactionsRequest, &who,
				 .channel_id = m.channel_id, .message_id = m.id, .emoji = (char *)BOAT),
		STATUS_FORBIDDEN);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_hundred_people_are_named_where_the_message_is_shown_and_twenty_in_what_is_told)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];

	fixture_create(&fx);
	pb_MessageView m = posted(&fx, made_channel(&fx, false), "m", 0);
	ck_assert_int_eq(react(&fx, &m, BOAT), STATUS_OK);
	pg_exec(fx.url,
		"INSERT INTO messaging.reactions SELECT message_id, emoji, g, 1 FROM messaging.reactions,"
		" generate_series(100, 200) g; UPDATE messaging.reaction_counts SET count = 102");
	const pb_MessageView *view = got(&fx, &m);
	reacted(view, 0, BOAT, 102, true);
	ck_assert_uint_eq(view->reactions[0].user_ids_count, REACTION_PEOPLE_LISTED);
	ck_assert_int_eq(DO(&fx, true, update_message, pb_UpdateMessageRequest, &one, .channel_id = m.channel_id,
				 .message_id = m.id, .content = (char *)"edited"),
		STATUS_OK);
	ck_assert_uint_eq(one.message.reactions[0].user_ids_count, REACTION_PEOPLE_LISTED);
	pb_Event edited = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_uint_eq(edited.body.message_updated.message.reactions[0].user_ids_count, REACTION_PEOPLE_TOLD);
	ck_assert_int_eq(pin(&fx, &m, true), STATUS_OK);
	pb_Event pinned = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_uint_eq(pinned.body.message_pinned.message.reactions[0].user_ids_count, REACTION_PEOPLE_TOLD);
	fixture_destroy(&fx);
}
END_TEST

/* ---- pins */

START_TEST(a_pinned_message_is_told_with_its_content_shown_as_pinned_and_listed)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView a = posted(&fx, channel, "a", 0), b = posted(&fx, channel, "b", 0);
	ck_assert_int_eq(react(&fx, &b, BOAT), STATUS_OK);
	ck_assert_int_eq(pin(&fx, &b, true), STATUS_OK);
	pb_Event event = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_int_eq(event.which_body, EVENT_KIND_message_pinned);
	ck_assert_uint_eq(event.actor.id, 5);
	const pb_MessageView *told = &event.body.message_pinned.message;
	ck_assert_str_eq(told->content, "b");
	ck_assert_uint_eq(told->pinned_by, 5);
	ck_assert_uint_ne(told->pinned_at_ms, 0);
	reacted(told, 0, BOAT, 1, false); /* nobody's own view */
	fx.user = 6;
	ck_assert_int_eq(pin(&fx, &a, true), STATUS_OK);
	ck_assert_uint_eq(got(&fx, &a)->pinned_by, 6);
	ck_assert_int_eq(
		DO(&fx, false, list_pins, pb_ListPinsRequest, &page, .channel_id = channel), STATUS_OK);
	ck_assert_uint_eq(page.messages_count, 2);
	ck_assert_uint_eq(page.messages[0].id, a.id); /* pinned last */
	reacted(&page.messages[1], 0, BOAT, 1, false);
	ck_assert_int_eq(pin(&fx, &b, false), STATUS_OK);
	event = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_int_eq(event.which_body, EVENT_KIND_message_unpinned);
	ck_assert_uint_eq(event.body.message_unpinned.message.pinned_at_ms, 0);
	ck_assert_uint_eq(got(&fx, &b)->pinned_at_ms, 0);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.pins"), 1);
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(pinning_what_is_pinned_says_nothing)
{
	struct fixture fx;

	fixture_create(&fx);
	pb_MessageView m = posted(&fx, made_channel(&fx, false), "m", 0);
	int64_t before = head(&fx, STREAM_TEAM(TEAM));
	ck_assert_int_eq(pin(&fx, &m, false), STATUS_OK);
	ck_assert_int_eq(head(&fx, STREAM_TEAM(TEAM)), before);
	ck_assert_int_eq(pin(&fx, &m, true), STATUS_OK);
	ck_assert_int_eq(pin(&fx, &m, true), STATUS_OK);
	ck_assert_int_eq(head(&fx, STREAM_TEAM(TEAM)), before + 1);
	TELL(&fx, bits[6] = without(PERMISSION_pin_messages));
	fx.user = 6;
	ck_assert_int_eq(pin(&fx, &m, false), STATUS_FORBIDDEN);
	ck_assert_str_eq(fx.outcome.why, "pin_messages");
	m.id++;
	fx.user = 5;
	ck_assert_int_eq(pin(&fx, &m, true), STATUS_NOT_FOUND);
	fixture_destroy(&fx);
}
END_TEST

static enum status pin_one(struct racer *r)
{
	const pb_MessageView *m = &((const pb_MessageView *)r->arg)[r->i];
	pb_Empty nothing;

	return RACE(r, pin_message, pb_MessageRequest, &nothing, .channel_id = m->channel_id,
		.message_id = m->id);
}

START_TEST(of_those_who_pin_the_last_place_at_once_one_gets_it)
{
	struct fixture fx;
	struct racer racers[5];
	pb_MessageView m[5];
	char sql[256];

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	for (int i = 0; i < 5; i++)
		m[i] = posted(&fx, channel, "m", 0);
	snprintf(sql, sizeof sql,
		"INSERT INTO messaging.pins SELECT %llu, g, g FROM generate_series(1, %d) g",
		(unsigned long long)channel, PINS_PER_CHANNEL - 1);
	pg_exec(fx.url, sql);
	race(&fx, racers, 5, pin_one, m);
	ck_assert_uint_eq(raced(racers, 5, STATUS_OK), 1);
	ck_assert_uint_eq(raced(racers, 5, STATUS_AT_LIMIT), 4);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.pins"), PINS_PER_CHANNEL);
	ck_assert_int_eq(
		number(&fx, "SELECT count(*) FROM messaging.messages WHERE pinned_at_ms IS NOT NULL"), 1);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_message_is_pinned_a_hundred_times_and_can_always_be_taken_down)
{
	struct fixture fx;

	fixture_create(&fx);
	pb_MessageView m = posted(&fx, made_channel(&fx, false), "m", 0);
	ck_assert_int_eq(pin(&fx, &m, true), STATUS_OK);
	pg_exec(fx.url, "UPDATE messaging.messages SET pin_seqs = array_fill(1::bigint, ARRAY[100])");
	ck_assert_int_eq(pin(&fx, &m, false), STATUS_OK);
	ck_assert_int_eq(pin(&fx, &m, true), STATUS_AT_LIMIT);
	ck_assert_str_eq(fx.outcome.why, "pin_changes");
	fixture_destroy(&fx);
}
END_TEST

START_TEST(pins_are_paged_both_ways)
{
	struct fixture fx;
	pb_MessageView m[5];

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	for (int i = 0; i < 5; i++)
		m[i] = posted(&fx, channel, "m", 0);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(pin(&fx, &m[i], true), STATUS_OK);
	pg_exec(fx.url, "UPDATE messaging.pins SET at_ms = 7"); /* all at once: their ids decide */
	ck_assert_int_eq(
		DO(&fx, false, list_pins, pb_ListPinsRequest, &page, .channel_id = channel, .limit = 2),
		STATUS_OK);
	ck_assert(page.more);
	ck_assert_uint_eq(page.messages[0].id, m[4].id);
	ck_assert_uint_eq(page.messages[1].id, m[3].id);
	ck_assert_int_eq(DO(&fx, false, list_pins, pb_ListPinsRequest, &page, .channel_id = channel,
				 .limit = 3, .before = m[3].id),
		STATUS_OK);
	ck_assert(!page.more);
	ck_assert_uint_eq(page.messages_count, 3);
	ck_assert_uint_eq(page.messages[0].id, m[2].id);
	ck_assert_int_eq(
		DO(&fx, false, list_pins, pb_ListPinsRequest, &page, .channel_id = channel, .after = m[2].id),
		STATUS_OK);
	ck_assert_uint_eq(page.messages_count, 2);
	ck_assert_uint_eq(page.messages[0].id, m[3].id);
	ck_assert_int_eq(
		DO(&fx, false, list_pins, pb_ListPinsRequest, &page, .channel_id = channel, .before = 9),
		STATUS_FIELD_INVALID);
	ck_assert_str_eq(fx.outcome.field, "before");
	TELL(&fx, bits[5] = without(PERMISSION_read_history));
	rights_cache_drop(fx.service.rights, 5, channel);
	ck_assert_int_eq(DO(&fx, false, list_pins, pb_ListPinsRequest, &page, .channel_id = channel),
		STATUS_FORBIDDEN);
	fixture_destroy(&fx);
}
END_TEST

/* ---- bookmarks */

START_TEST(a_bookmark_is_its_owners_alone)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];

	fixture_create(&fx);
	pb_MessageView m = posted(&fx, made_channel(&fx, false), "m", 0);
	int64_t team = head(&fx, STREAM_TEAM(TEAM));
	ck_assert_int_eq(bookmark(&fx, &m, true), STATUS_OK);
	ck_assert_int_eq(bookmark(&fx, &m, true), STATUS_OK);
	ck_assert_int_eq(head(&fx, STREAM_TEAM(TEAM)), team);
	ck_assert_int_eq(head(&fx, STREAM_USER(5)), 1);
	pb_Event event = event_back(&fx, STREAM_USER(5), 0, audience);
	ck_assert_int_eq(event.which_body, EVENT_KIND_bookmark_changed);
	ck_assert_str_eq(audience, "user:5");
	ck_assert_uint_eq(event.body.bookmark_changed.message_id, m.id);
	ck_assert(event.body.bookmark_changed.set);
	ck_assert(got(&fx, &m)->bookmarked);
	fx.user = 6;
	ck_assert(!got(&fx, &m)->bookmarked);
	ck_assert_int_eq(DO(&fx, false, list_bookmarks, pb_ListBookmarksRequest, &page), STATUS_OK);
	ck_assert_uint_eq(page.messages_count, 0);
	fx.user = 5;
	ck_assert_int_eq(DO(&fx, false, list_bookmarks, pb_ListBookmarksRequest, &page), STATUS_OK);
	ck_assert_uint_eq(page.messages_count, 1);
	ck_assert(page.messages[0].bookmarked);
	ck_assert_str_eq(page.messages[0].content, "m");
	ck_assert_int_eq(bookmark(&fx, &m, false), STATUS_OK);
	ck_assert_int_eq(bookmark(&fx, &m, false), STATUS_OK);
	ck_assert_int_eq(head(&fx, STREAM_USER(5)), 2);
	ck_assert(!event_back(&fx, STREAM_USER(5), 0, audience).body.bookmark_changed.set);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.bookmarks"), 0);
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(only_what_can_be_read_is_bookmarked_and_listed)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView m = posted(&fx, channel, "m", 0), none = m;
	none.id++;
	ck_assert_int_eq(bookmark(&fx, &none, true), STATUS_NOT_FOUND);
	ck_assert_int_eq(bookmark(&fx, &none, false), STATUS_OK);
	ck_assert_int_eq(bookmark(&fx, &m, true), STATUS_OK);
	TELL(&fx, bits[5] = without(PERMISSION_read_history));
	TELL(&fx, bits[6] = without(PERMISSION_read_history));
	ck_assert_int_eq(DO(&fx, false, list_bookmarks, pb_ListBookmarksRequest, &page), STATUS_OK);
	ck_assert_uint_eq(page.messages_count, 0);
	TELL(&fx, bits[5] = OWNED_ROLES);
	ck_assert_int_eq(DO(&fx, false, list_bookmarks, pb_ListBookmarksRequest, &page), STATUS_OK);
	ck_assert_uint_eq(page.messages_count, 1);
	TELL(&fx, hidden[5] = true);
	ck_assert_int_eq(DO(&fx, false, list_bookmarks, pb_ListBookmarksRequest, &page), STATUS_OK);
	ck_assert_uint_eq(page.messages_count, 0);
	fx.user = 6;
	ck_assert_int_eq(bookmark(&fx, &m, true), STATUS_FORBIDDEN);
	ck_assert_str_eq(fx.outcome.why, "read_history");
	fx.user = 0;
	ck_assert_int_eq(bookmark(&fx, &m, true), STATUS_FORBIDDEN);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_right_to_read_that_was_taken_is_noticed_when_the_bookmark_is_committed)
{
	struct fixture fx;

	fixture_create(&fx);
	pb_MessageView m = posted(&fx, made_channel(&fx, false), "m", 0);
	got(&fx, &m); /* the rights are kept */
	TELL(&fx, bits[5] = without(PERMISSION_read_history));
	pg_exec(fx.url, "UPDATE moderation.members SET epoch = epoch + 1 WHERE user_id = 5");
	ck_assert_int_eq(bookmark(&fx, &m, true), STATUS_FORBIDDEN);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.bookmarks"), 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(bookmarks_are_paged_newest_first_over_all_channels)
{
	struct fixture fx;
	pb_MessageView m[5];

	fixture_create(&fx);
	uint64_t channels[2] = {made_channel(&fx, false), made_channel(&fx, true)};
	for (int i = 0; i < 5; i++)
		m[i] = posted(&fx, channels[i % 2], "m", 0);
	for (int i = 4; i >= 0; i--)
		ck_assert_int_eq(bookmark(&fx, &m[i], true), STATUS_OK);
	pg_exec(fx.url, "UPDATE messaging.bookmarks SET at_ms = 100");
	ck_assert_int_eq(
		DO(&fx, false, list_bookmarks, pb_ListBookmarksRequest, &page, .limit = 3), STATUS_OK);
	ck_assert_uint_eq(page.messages_count, 3);
	ck_assert(page.more);
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(page.messages[i].id, m[4 - i].id);
	ck_assert_int_eq(
		DO(&fx, false, list_bookmarks, pb_ListBookmarksRequest, &page, .before = m[2].id, .limit = 2),
		STATUS_OK);
	ck_assert_uint_eq(page.messages_count, 2);
	ck_assert(!page.more);
	ck_assert_uint_eq(page.messages[0].id, m[1].id);
	ck_assert_int_eq(
		DO(&fx, false, list_bookmarks, pb_ListBookmarksRequest, &page, .after = m[3].id), STATUS_OK);
	ck_assert_uint_eq(page.messages_count, 1);
	ck_assert_uint_eq(page.messages[0].id, m[4].id);
	ck_assert_int_eq(DO(&fx, false, list_bookmarks, pb_ListBookmarksRequest, &page, .before = 9),
		STATUS_FIELD_INVALID);
	ck_assert_str_eq(fx.outcome.field, "before");
	fixture_destroy(&fx);
}
END_TEST

/* ---- messages that go or change */

START_TEST(a_deleted_message_takes_everything_that_was_put_on_it_along)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView m = posted(&fx, channel, "words that go", 0), kept = posted(&fx, channel, "kept", 0);
	for (fx.user = 5; fx.user < 8; fx.user++) {
		ck_assert_int_eq(react(&fx, &m, BOAT), STATUS_OK);
		ck_assert_int_eq(bookmark(&fx, &m, true), STATUS_OK);
	}
	fx.user = 5;
	ck_assert_int_eq(react(&fx, &kept, BOAT), STATUS_OK);
	ck_assert_int_eq(pin(&fx, &m, true), STATUS_OK);
	ck_assert_int_eq(pin(&fx, &m, false), STATUS_OK);
	ck_assert_int_eq(pin(&fx, &m, true), STATUS_OK);
	ck_assert_int_eq(delete_message(&fx, &m), STATUS_OK);
	pb_Event event = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_int_eq(event.which_body, EVENT_KIND_message_deleted);
	ck_assert_uint_eq(event.body.message_deleted.message.reactions_count, 0);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.reactions"), 1);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.reaction_counts"), 1);
	ck_assert_int_eq(number(&fx, "SELECT (SELECT count(*) FROM messaging.bookmarks)"
				     " + (SELECT count(*) FROM messaging.pins)"),
		0);
	/* The events of pinning carried its content. */
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM log.events WHERE position('words that go' IN"
				     " encode(payload, 'escape')) > 0"),
		0);
	ck_assert_int_eq(react(&fx, &m, BOAT), STATUS_NOT_FOUND);
	ck_assert_int_eq(pin(&fx, &m, true), STATUS_NOT_FOUND);
	ck_assert_int_eq(bookmark(&fx, &m, true), STATUS_NOT_FOUND);
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(the_purge_takes_what_was_put_on_the_messages_of_a_channel)
{
	struct fixture fx;
	struct db_conn *conn = NULL;
	uint64_t rows = 0;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView m = posted(&fx, channel, "m", 0);
	ck_assert_int_eq(react(&fx, &m, BOAT), STATUS_OK);
	ck_assert_int_eq(pin(&fx, &m, true), STATUS_OK);
	ck_assert_int_eq(bookmark(&fx, &m, true), STATUS_OK);
	ck_assert_int_eq(
		DO(&fx, true, delete_channel, pb_DeleteChannelRequest, &(pb_ChannelReply){0}, .channel_id = channel),
		STATUS_OK);
	ck_assert_int_eq(db_acquire(fx.facts, clock_mono_ms() + PATIENCE_MS, &conn), STATUS_OK);
	ck_assert_int_eq(purge_round(conn, fx.mem, clock_wall_ms() + 60000, &rows), STATUS_OK);
	db_release(conn);
	ck_assert_int_eq(number(&fx, "SELECT (SELECT count(*) FROM messaging.reactions)"
				     " + (SELECT count(*) FROM messaging.reaction_counts)"
				     " + (SELECT count(*) FROM messaging.pins)"
				     " + (SELECT count(*) FROM messaging.bookmarks)"),
		0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(an_edit_answers_the_marks_of_who_edits_and_tells_none_of_them)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];

	fixture_create(&fx);
	pb_MessageView m = posted(&fx, made_channel(&fx, false), "m", 0);
	ck_assert_int_eq(react(&fx, &m, BOAT), STATUS_OK);
	ck_assert_int_eq(bookmark(&fx, &m, true), STATUS_OK);
	ck_assert_int_eq(pin(&fx, &m, true), STATUS_OK);
	ck_assert_int_eq(DO(&fx, true, update_message, pb_UpdateMessageRequest, &one,
				 .channel_id = m.channel_id, .message_id = m.id, .content = (char *)"edited"),
		STATUS_OK);
	reacted(&one.message, 0, BOAT, 1, true);
	ck_assert(one.message.bookmarked);
	pb_Event event = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	const pb_MessageView *told = &event.body.message_updated.message;
	reacted(told, 0, BOAT, 1, false);
	ck_assert(!told->bookmarked);
	ck_assert_uint_ne(told->edited_at_ms, 0);
	ck_assert_uint_eq(told->pinned_by, 5);
	fx.same_request = true;
	ck_assert_int_eq(DO(&fx, true, update_message, pb_UpdateMessageRequest, &one,
				 .channel_id = m.channel_id, .message_id = m.id, .content = (char *)"edited"),
		STATUS_OK);
	ck_assert(fx.outcome.replayed);
	reacted(&one.message, 0, BOAT, 1, true);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_repeated_post_shows_what_was_put_on_it_to_who_still_sees_it)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView m = posted(&fx, channel, "m", 0);
	uint64_t request = fx.request;
	ck_assert_int_eq(react(&fx, &m, BOAT), STATUS_OK);
	for (int hidden = 0; hidden < 2; hidden++) {
		TELL(&fx, hidden[5] = hidden == 1);
		rights_cache_drop(fx.service.rights, 5, channel);
		fx.request = request - 1;
		ck_assert_int_eq(DO(&fx, true, post_message, pb_PostMessageRequest, &one,
					 .channel_id = channel, .content = (char *)"m"),
			STATUS_OK);
		ck_assert(fx.outcome.replayed);
		ck_assert_uint_eq(one.message.id, m.id);
		ck_assert_uint_eq(one.message.reactions_count, hidden == 0);
	}
	fixture_destroy(&fx);
}
END_TEST

/* ---- earlier versions */

START_TEST(earlier_versions_are_for_the_author_and_who_may_edit_or_delete_any_message)
{
	struct fixture fx;
	pb_ListEditsReply edits;

	fixture_create(&fx);
	TELL(&fx, bits[6] = without(PERMISSION_edit_any_message));
	TELL(&fx, bits[7] = without(PERMISSION_delete_any_message));
	TELL(&fx,
		bits[5] = bits_without(without(PERMISSION_edit_any_message), PERMISSION_delete_any_message));
	pb_MessageView m = posted(&fx, made_channel(&fx, false), "first", 0);
	ck_assert_int_eq(DO(&fx, true, update_message, pb_UpdateMessageRequest, &one,
				 .channel_id = m.channel_id, .message_id = m.id, .content = (char *)"second"),
		STATUS_OK);
	for (fx.user = 5; fx.user < 8; fx.user++) {
		ck_assert_int_eq(DO(&fx, false, list_edits, pb_MessageRequest, &edits,
					 .channel_id = m.channel_id, .message_id = m.id),
			STATUS_OK);
		ck_assert_uint_eq(edits.edits_count, 1);
		ck_assert_str_eq(edits.edits[0].content, "first");
		ck_assert_uint_eq(edits.edits[0].edited_by, 5);
	}
	TELL(&fx,
		bits[6] = bits_without(without(PERMISSION_edit_any_message), PERMISSION_delete_any_message));
	fx.user = 6;
	rights_cache_drop(fx.service.rights, 6, m.channel_id);
	for (int i = 0; i < 2; i++) { /* asked for, and by what is kept: told only by a judgement of now */
		ck_assert_int_eq(DO(&fx, false, list_edits, pb_MessageRequest, &edits,
					 .channel_id = m.channel_id, .message_id = m.id),
			STATUS_FORBIDDEN);
		ck_assert_str_eq(fx.outcome.why, "edit_any_message");
	}
	TELL(&fx, bits[6] = OWNED_ROLES);
	ck_assert_int_eq(DO(&fx, false, list_edits, pb_MessageRequest, &edits, .channel_id = m.channel_id,
				 .message_id = m.id),
		STATUS_OK);
	fixture_destroy(&fx);
}
END_TEST

TESTS("marks", a_reaction_is_told_and_shown_wherever_the_message_is,
	reacting_twice_and_taking_back_nothing_say_nothing, a_repeated_reaction_is_answered_as_the_first,
	reacting_takes_its_right_and_anothers_reaction_the_one_to_delete,
	what_is_no_emoji_no_message_or_nobodys_is_refused,
	an_archived_channel_takes_nothing_from_its_messages,
	of_those_who_bring_the_twentieth_kind_at_once_one_gets_in,
	the_same_reaction_sent_many_times_at_once_counts_each_person_once, who_reacted_is_listed_in_pages,
	a_hundred_people_are_named_where_the_message_is_shown_and_twenty_in_what_is_told,
	a_pinned_message_is_told_with_its_content_shown_as_pinned_and_listed,
	pinning_what_is_pinned_says_nothing, of_those_who_pin_the_last_place_at_once_one_gets_it,
	a_message_is_pinned_a_hundred_times_and_can_always_be_taken_down, pins_are_paged_both_ways,
	a_bookmark_is_its_owners_alone, only_what_can_be_read_is_bookmarked_and_listed,
	a_right_to_read_that_was_taken_is_noticed_when_the_bookmark_is_committed,
	bookmarks_are_paged_newest_first_over_all_channels,
	a_deleted_message_takes_everything_that_was_put_on_it_along,
	the_purge_takes_what_was_put_on_the_messages_of_a_channel,
	an_edit_answers_the_marks_of_who_edits_and_tells_none_of_them,
	a_repeated_post_shows_what_was_put_on_it_to_who_still_sees_it,
	earlier_versions_are_for_the_author_and_who_may_edit_or_delete_any_message)
