/* Clients of crust: the door, what is the receiver's own, what frames ask. */
#include <stdlib.h>
#include <string.h>

#include "services/gateway/dialects/crust.h"
#include "services/gateway/slots.h"
#include "tests/unit/gateway/world.h"
#include "tests/unit/main.h"

static struct world_client *inside(struct world *w, uint64_t user)
{
	struct world_client *c = world_connect_crust(w, user);

	world_settle(w);
	ck_assert_int_eq(c->client.door, DOOR_OPENING);
	return c;
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

/* A message of user `author` in channel A, the counter of which is `counted` after it. */
static uint64_t post(struct world *w, uint64_t author, uint64_t counted)
{
	pb_Event event = {0};

	event.body.message_posted = (pb_MessagePosted){.has_channel = true,
		.channel = {.id = CHANNEL_A, .team_id = TEAM, .kind = CHANNEL_TEXT, .name = (char *)"name", .counted = counted},
		.has_message = true,
		.message = {.id = 5000 + w->team.head,
			.channel_id = CHANNEL_A,
			.has_author = true,
			.author = {.id = author},
			.kind = MESSAGE_TEXT,
			.content = (char *)"hello"}};
	return world_append(w, &w->team, EVENT_KIND_message_posted, "team:7", &event);
}

static uint64_t rename_channel(struct world *w, uint64_t channel)
{
	pb_Event event = {0};

	event.body.channel_updated = (pb_ChannelUpdated){.has_channel = true,
		.channel = {.id = channel, .team_id = TEAM, .kind = CHANNEL_TEXT, .name = (char *)"renamed"}};
	return world_append(w, &w->team, EVENT_KIND_channel_updated, channel == CHANNEL_B ? "channel:1002" : "team:7", &event);
}

static void has_read(struct world *w, uint64_t user, uint64_t mark, uint64_t unread)
{
	w->marks[user] = (pb_UnreadView){
		.counted_mark = mark, .main_unread = unread, .recorded = true, .main_last_read_id = 4000, .flag = FLAG_PINNED};
}

/* ---- the door */

START_TEST(the_upgrade_is_answered_when_the_client_is_live_everywhere)
{
	struct world *w = world_create();
	struct world_client *c = world_connect_crust(w, 1);

	ck_assert_int_eq(c->client.door, DOOR_CLOSED);
	for (int i = 0; i < 100 && c->client.door == DOOR_CLOSED; i++) {
		ck_assert_int_eq(w->presence_there, 0); /* what is told of him would pass him by */
		world_turn(w, 1000);
		while (world_deliver(w, &w->users[1]) || world_deliver(w, &w->team) || world_deliver(w, &w->internal))
			;
		if (w->asked_count > 0)
			world_answer(w, 0);
	}
	ck_assert_int_eq(c->client.door, DOOR_OPENING);
	ck_assert_ptr_nonnull(member_find(&c->client, STREAM_TEAM(TEAM)));
	ck_assert(member_find(&c->client, STREAM_TEAM(TEAM))->live);
	ck_assert_uint_eq(w->marks_read, 1);
	world_settle(w);
	ck_assert_int_eq(w->presence_there, 1);
	world_destroy(w);
}
END_TEST

static enum close_reason refused_with(struct world *w, struct world_client *c)
{
	world_settle(w);
	ck_assert_int_eq(c->client.door, DOOR_REFUSING);
	ck_assert_uint_eq(c->got_count, 0);
	ck_assert_int_eq(w->presence_there, 0);
	return (enum close_reason)c->client.close_reason;
}

START_TEST(who_is_not_logged_in_or_has_no_access_is_refused_before_the_upgrade)
{
	struct world *w = world_create();
	char text[512];

	ck_assert_int_eq(refused_with(w, world_connect_crust(w, 0)), CLOSE_BAD_TOKEN);
	ck_assert_int_eq(refused_with(w, world_connect_crust(w, 77)), CLOSE_BAD_TOKEN);
	w->mount = STATUS_NO_ACCESS;
	ck_assert_int_eq(refused_with(w, world_connect_crust(w, 1)), CLOSE_NO_ACCESS);
	w->mount = STATUS_OK;
	w->rights[2] = 0; /* let in, and put out again before the stream was opened */
	ck_assert_int_eq(refused_with(w, world_connect_crust(w, 2)), CLOSE_NO_ACCESS);
	w->mount = STATUS_BUSY;
	ck_assert_int_eq(refused_with(w, world_connect_crust(w, 1)), CLOSE_UNAVAILABLE);

	size_t length = dialect_crust.refusal(CLOSE_BAD_TOKEN, text, sizeof text);
	ck_assert_uint_eq(length, strlen(text));
	ck_assert(strncmp(text, "HTTP/1.1 200 OK\r\n", 17) == 0);
	ck_assert_ptr_nonnull(strstr(text, "\r\n\r\n{\"error\":{\"message\":\"Unauthorized\"}}"));
	dialect_crust.refusal(CLOSE_NO_ACCESS, text, sizeof text);
	ck_assert(strncmp(text, "HTTP/1.1 403 Forbidden\r\n", 24) == 0);
	ck_assert_ptr_nonnull(strstr(text, "\r\n\r\nForbidden"));
	dialect_crust.refusal(CLOSE_UNAVAILABLE, text, sizeof text);
	ck_assert(strncmp(text, "HTTP/1.1 503 ", 13) == 0);
	world_destroy(w);
}
END_TEST

START_TEST(nobody_speaks_through_a_closed_door)
{
	struct world *w = world_create();
	struct world_client *c = world_connect_crust(w, 1);

	world_say(c, "{\"createMessage\":{\"channelID\":\"1001\",\"message\":\"x\"}}");
	ck_assert_int_eq(c->client.door, DOOR_REFUSING);
	ck_assert_uint_eq(w->acts, 0);
	world_destroy(w);
}
END_TEST

START_TEST(the_token_is_the_first_that_is_not_empty)
{
	struct client client = {0};
	char token[64];
	bool present = false;
	struct handshake hs = {.query = (char *)"jwt=one", .authorization = "Bearer two", .cookie = "a=b; jwt=three"};

	ck_assert(dialect_crust.connected(&client, &hs, token, sizeof token, &present));
	ck_assert(present);
	ck_assert_str_eq(token, "one");
	hs.query = (char *)"jwt=";
	dialect_crust.connected(&client, &hs, token, sizeof token, &present);
	ck_assert_str_eq(token, "two");
	hs.authorization = NULL;
	dialect_crust.connected(&client, &hs, token, sizeof token, &present);
	ck_assert_str_eq(token, "three");
	hs.cookie = "a=b";
	dialect_crust.connected(&client, &hs, token, sizeof token, &present);
	ck_assert(!present);
	ck_assert((client.flags & CLIENT_PLAIN) != 0);
}
END_TEST

/* ---- what is the receiver's own */

START_TEST(the_author_alone_may_edit_and_each_is_told_what_he_has_not_read)
{
	struct world *w = world_create();

	has_read(w, 1, 3, 2);
	has_read(w, 2, 5, 0);
	struct world_client *author = inside(w, 1), *reader = inside(w, 2), *stranger = inside(w, 3);
	post(w, 1, 6);
	world_settle(w);

	ck_assert_uint_eq(world_keys(author, "message"), 1);
	ck_assert(json_is_true(json_object_get(world_key(author, "message", 0), "canEdit")));
	ck_assert(!json_is_true(json_object_get(world_key(reader, "message", 0), "canEdit")));
	/* His own post has read the channel for him; the other has one more; the third was never there. */
	ck_assert_int_eq(json_integer_value(json_object_get(world_key(author, "unread", 0), "count")), 0);
	ck_assert_int_eq(json_integer_value(json_object_get(world_key(reader, "unread", 0), "count")), 1);
	ck_assert_str_eq(text_of(world_key(reader, "unread", 0), "channelID"), "1001");
	ck_assert_uint_eq(world_keys(stranger, "unread"), 0);
	ck_assert_uint_eq(world_keys(stranger, "message"), 1);
	/* What is unread comes first. */
	ck_assert_ptr_nonnull(json_object_get(reader->got[0], "unread"));
	ck_assert_ptr_nonnull(json_object_get(reader->got[1], "message"));
	world_destroy(w);
}
END_TEST

/* His marks are read again, but what comes in the meantime is his already. */
START_TEST(who_becomes_a_member_of_a_channel_nobody_had_told_him_of_is_counted_from_the_next_post)
{
	struct world *w = world_create();
	struct world_client *c = inside(w, 2);
	const uint64_t unheard_of = CHANNEL_A + 500;
	pb_Event joined = {0}, said = {0};

	joined.body.channel_member_joined = (pb_ChannelMemberJoined){.has_channel = true,
		.channel = {.id = unheard_of, .team_id = TEAM, .kind = CHANNEL_TEXT, .name = (char *)"new"},
		.has_user = true,
		.user = {.id = 2}};
	world_append(w, &w->team, EVENT_KIND_channel_member_joined, "team:7", &joined);
	for (uint64_t counted = 8; counted <= 9; counted++) {
		said.body.message_posted = (pb_MessagePosted){.has_channel = true,
			.channel = {.id = unheard_of, .team_id = TEAM, .kind = CHANNEL_TEXT, .name = (char *)"new", .counted = counted},
			.has_message = true,
			.message = {.id = 5000 + counted,
				.channel_id = unheard_of,
				.has_author = true,
				.author = {.id = 1},
				.kind = MESSAGE_TEXT,
				.content = (char *)"hello"}};
		world_append(w, &w->team, EVENT_KIND_message_posted, "team:7", &said);
	}
	for (int i = 0; i < 20; i++) { /* everything but what he has read */
		world_turn(w, 1000);
		while (world_deliver(w, &w->team))
			;
		for (size_t asked = 0; asked < w->asked_count;)
			if (w->asked[asked].kind == ASKED_UNREAD)
				asked++;
			else
				world_answer(w, asked);
	}
	world_read(c);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(json_integer_value(json_object_get(world_key(c, "unread", (size_t)i), "count")), i + 1);
	world_settle(w);
	world_destroy(w);
}
END_TEST

START_TEST(a_mark_of_ones_own_counts_from_then_on)
{
	struct world *w = world_create();
	pb_Event event = {0};

	has_read(w, 2, 1, 4);
	struct world_client *reader = inside(w, 2);
	event.body.read_state_changed = (pb_ReadStateChanged){.has_channel = true,
		.channel = {.id = CHANNEL_A, .team_id = TEAM, .kind = CHANNEL_TEXT, .name = (char *)"name"},
		.user_id = 2,
		.last_read_id = 4711,
		.main_last_read_id = 4711,
		.counted = 4,
		.main_unread = 1};
	world_append(w, &w->users[2], EVENT_KIND_read_state_changed, "user:2", &event);
	world_settle(w);
	ck_assert_int_eq(json_integer_value(json_object_get(world_key(reader, "unread", 0), "count")), 1);
	post(w, 1, 6);
	world_settle(w);
	ck_assert_int_eq(json_integer_value(json_object_get(world_key(reader, "unread", 1), "count")), 2);
	ck_assert_str_eq(text_of(world_key(reader, "unread", 1), "lastMessageID"), "4711");
	world_destroy(w);
}
END_TEST

#define ROOT 4500

/* A reply below ROOT; user 2 follows it, and has read `read` of the `replies` there are. */
static void reply(struct world *w, uint64_t read, uint64_t replies)
{
	pb_ThreadReader reader = {.user_id = 2, .read_count = read, .thread_count = replies - read, .last_read_id = 4600};
	pb_Event event = {0};

	event.body.message_posted = (pb_MessagePosted){.has_channel = true,
		.channel = {.id = CHANNEL_A, .team_id = TEAM, .kind = CHANNEL_TEXT, .name = (char *)"name", .counted = 9, .replies_counted = replies},
		.has_message = true,
		.message = {.id = 5000 + w->team.head,
			.channel_id = CHANNEL_A,
			.has_author = true,
			.author = {.id = 1},
			.root_id = ROOT,
			.kind = MESSAGE_TEXT,
			.content = (char *)"hello"},
		.readers_count = 1,
		.readers = &reader};
	world_append(w, &w->team, EVENT_KIND_message_posted, "team:7", &event);
	world_settle(w);
}

static void mark_thread(struct world *w, uint64_t read, uint64_t unread)
{
	pb_Event event = {0};

	event.body.read_state_changed = (pb_ReadStateChanged){.has_channel = true,
		.channel = {.id = CHANNEL_A, .team_id = TEAM, .kind = CHANNEL_TEXT, .name = (char *)"name"},
		.user_id = 2,
		.root_id = ROOT,
		.last_read_id = 4700,
		.thread_read = read,
		.thread_unread = unread};
	world_append(w, &w->users[2], EVENT_KIND_read_state_changed, "user:2", &event);
	world_settle(w);
}

static void root_event(struct world *w, uint32_t kind)
{
	pb_MessageView root = {.id = ROOT, .channel_id = CHANNEL_A, .kind = MESSAGE_TEXT, .content = (char *)"root", .reply_count = 3};
	pb_ChannelRef channel = {.id = CHANNEL_A, .team_id = TEAM, .kind = CHANNEL_TEXT, .name = (char *)"name", .counted = 9, .replies_counted = 3};
	pb_Event event = {0};

	if (kind == EVENT_KIND_message_updated)
		event.body.message_updated = (pb_MessageUpdated){.has_channel = true, .channel = channel, .has_message = true, .message = root};
	else
		event.body.message_deleted = (pb_MessageDeleted){.has_channel = true, .channel = channel, .has_message = true, .message = root};
	world_append(w, &w->team, kind, "team:7", &event);
	world_settle(w);
}

static json_int_t last_count(struct world_client *c, const char *frame, const char *key)
{
	const json_t *body = world_key(c, frame, world_keys(c, frame) - 1);

	if (strcmp(frame, "message") == 0)
		body = json_object_get(body, "unread");
	return json_integer_value(json_object_get(body, key));
}

START_TEST(a_mark_of_a_thread_and_a_reply_come_to_the_same_whichever_is_first)
{
	struct world *w = world_create();

	has_read(w, 2, 9, 0);
	struct world_client *reader = inside(w, 2);
	reply(w, 0, 1);
	ck_assert_int_eq(last_count(reader, "unread", "threadCount"), 1);
	/* Committed after the mark that is yet to come, of one reply. */
	reply(w, 1, 2);
	mark_thread(w, 1, 0);
	root_event(w, EVENT_KIND_message_updated);
	ck_assert_int_eq(last_count(reader, "message", "count"), 1);
	/* Committed before the mark that has come, of all three. */
	mark_thread(w, 3, 0);
	reply(w, 2, 3);
	ck_assert_int_eq(last_count(reader, "unread", "threadCount"), 0);
	world_destroy(w);
}
END_TEST

START_TEST(what_is_unread_of_a_thread_is_told_with_its_edited_root_and_goes_with_a_deleted_one)
{
	struct world *w = world_create();

	has_read(w, 2, 9, 0);
	struct world_client *reader = inside(w, 2), *other = inside(w, 3);
	reply(w, 1, 3);
	root_event(w, EVENT_KIND_message_updated);
	ck_assert_int_eq(last_count(reader, "message", "count"), 2);
	ck_assert_str_eq(text_of(json_object_get(world_key(reader, "message", world_keys(reader, "message") - 1), "unread"), "lastMessageID"), "4600");
	ck_assert_ptr_null(json_object_get(world_key(other, "message", world_keys(other, "message") - 1), "unread"));
	ck_assert_int_eq(last_count(reader, "unread", "threadTotal"), 1);
	root_event(w, EVENT_KIND_message_deleted);
	ck_assert_int_eq(last_count(reader, "unread", "threadCount"), 0);
	world_destroy(w);
}
END_TEST

START_TEST(of_more_threads_than_are_kept_those_that_are_read_go_first_and_then_the_oldest)
{
	struct slot slot = {0};

	for (uint64_t root = 1; root <= SLOT_THREADS_MOST; root++)
		slot_thread_add(&slot, root)->counted = root != 7;
	slot_thread_add(&slot, 1000)->counted = 1;
	ck_assert_ptr_null(slot_thread(&slot, 7));
	ck_assert_ptr_nonnull(slot_thread(&slot, 1));
	slot_thread_add(&slot, 1001)->counted = 1;
	ck_assert_ptr_null(slot_thread(&slot, 1));
	ck_assert_ptr_nonnull(slot_thread(&slot, 2));
	slot_threads_sum(&slot);
	ck_assert_uint_eq(slot.thread_count, SLOT_THREADS_MOST);
	ck_assert_uint_eq(slot.thread_total, SLOT_THREADS_MOST);
	slot_thread_remove(&slot, 1001);
	slot_threads_sum(&slot);
	ck_assert_uint_eq(slot.thread_total, SLOT_THREADS_MOST - 1);
	free(slot.threads);
}
END_TEST

START_TEST(a_channel_comes_with_each_receivers_own_rights)
{
	struct world *w = world_create();

	has_read(w, 1, 3, 2);
	w->can_send = 1u << 1;
	struct world_client *one = inside(w, 1), *two = inside(w, 2);
	struct world_client *house = world_connect(w, 3, "");
	rename_channel(w, CHANNEL_A);
	world_settle(w);
	ck_assert_uint_eq(w->slots_asked, 1);
	const json_t *mine = world_key(one, "channel", 0), *his = world_key(two, "channel", 0);
	ck_assert(json_is_true(json_object_get(mine, "canSendMessages")));
	ck_assert(!json_is_true(json_object_get(his, "canSendMessages")));
	ck_assert(json_is_true(json_object_get(his, "canObserve")));
	ck_assert_str_eq(text_of(mine, "membershipFlag"), "pinned");
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(mine, "unread"), "count")), 2);
	ck_assert_ptr_null(json_object_get(his, "unread"));
	(void)house;
	world_destroy(w);
}
END_TEST

START_TEST(who_may_not_see_a_channel_is_not_told_of_it)
{
	struct world *w = world_create();

	w->rights[2] = RIGHT_TEAM;
	struct world_client *one = inside(w, 1), *two = inside(w, 2);
	rename_channel(w, CHANNEL_B);
	world_settle(w);
	ck_assert_uint_eq(world_keys(one, "channel"), 1);
	ck_assert_uint_eq(world_keys(two, "channel"), 0);
	world_destroy(w);
}
END_TEST

START_TEST(the_stream_waits_for_rights_and_keeps_its_order)
{
	struct world *w = world_create();
	struct world_client *c = inside(w, 1);

	rename_channel(w, CHANNEL_A);
	post(w, 2, 7);
	while (world_deliver(w, &w->team))
		;
	world_turn(w, 1000);
	world_read(c);
	ck_assert_uint_eq(c->got_count, 0);
	ck_assert_uint_eq(w->asked_count, 1);
	world_settle(w);
	ck_assert_ptr_nonnull(json_object_get(c->got[0], "channel"));
	ck_assert_ptr_nonnull(json_object_get(c->got[1], "message"));
	world_destroy(w);
}
END_TEST

START_TEST(when_moderation_is_away_the_stream_goes_on_and_who_was_to_be_told_is_sent_away)
{
	struct world *w = world_create();
	struct world_client *c = inside(w, 1), *house = world_connect(w, 2, "topics=");
	char topic[64], text[256];

	world_settle(w);
	snprintf(text, sizeof text, "{\"op\":\"subscribe\",\"topics\":[\"%s\"]}", world_topic(topic, "team", TEAM));
	world_say(house, text);
	world_settle(w);
	w->fail_with = STATUS_BUSY;
	rename_channel(w, CHANNEL_A);
	for (int i = 0; i < 100 && c->close_code == 0; i++) {
		world_settle(w);
		world_pass(w, 100);
	}
	world_settle(w);
	ck_assert_uint_eq(c->close_code, 1012);
	ck_assert_uint_eq(house->close_code, 0);
	ck_assert_uint_eq(world_count(house, "channel_updated"), 1);
	world_destroy(w);
}
END_TEST

START_TEST(an_answer_that_is_older_than_the_event_is_asked_for_again)
{
	struct world *w = world_create();
	struct world_client *c = inside(w, 1);

	rename_channel(w, CHANNEL_A);
	while (world_deliver(w, &w->team))
		;
	world_turn(w, 1000);
	w->team.head--; /* the copy that is asked lags */
	world_serve(w, 0);
	w->team.head++;
	world_answer(w, 0);
	world_turn(w, 1000);
	world_read(c);
	ck_assert_uint_eq(c->got_count, 0);
	world_pass(w, 100);
	world_settle(w);
	ck_assert_uint_eq(world_keys(c, "channel"), 1);
	ck_assert_uint_eq(w->slots_asked, 2);
	world_destroy(w);
}
END_TEST

START_TEST(who_is_put_out_of_the_team_is_closed)
{
	struct world *w = world_create();
	struct world_client *c = inside(w, 1), *other = inside(w, 2);
	pb_Event event = {0};

	world_change(w, 1, 0);
	event.body.member_removed =
		(pb_MemberRemoved){.has_member = true, .member = {.team_id = TEAM, .has_user = true, .user = {.id = 1}}};
	world_append(w, &w->users[1], EVENT_KIND_member_removed, "user:1", &event);
	world_settle(w);
	ck_assert_uint_eq(c->close_code, 1008);
	ck_assert_uint_eq(other->close_code, 0);
	world_destroy(w);
}
END_TEST

START_TEST(who_may_not_come_in_any_more_is_closed_before_what_comes_next)
{
	struct world *w = world_create();
	struct world_client *one = inside(w, 1), *two = inside(w, 2), *three = inside(w, 3);
	uint8_t rights[USERS + 1] = {0, RIGHT_TEAM | RIGHT_B | RIGHT_OUT, RIGHT_TEAM | RIGHT_B | RIGHT_OUT, RIGHT_TEAM, RIGHT_TEAM};

	world_change(w, 1, rights[1]);
	post(w, 3, 1);
	world_settle(w);
	ck_assert_uint_eq(one->close_code, 1008);
	ck_assert_uint_eq(world_keys(one, "message"), 0);
	ck_assert_uint_eq(two->close_code, 0);
	world_recheck(w, rights);
	post(w, 3, 2);
	world_settle(w);
	ck_assert_uint_eq(two->close_code, 1008);
	ck_assert_uint_eq(world_keys(two, "message"), 1);
	ck_assert_uint_eq(three->close_code, 0);
	ck_assert_uint_eq(world_keys(three, "message"), 2);
	world_destroy(w);
}
END_TEST

START_TEST(who_loses_access_while_the_door_is_opened_is_refused)
{
	struct world *w = world_create();

	w->rights[1] |= RIGHT_OUT; /* after moderation let him in */
	struct world_client *c = world_connect_crust(w, 1);
	world_settle(w);
	ck_assert_int_eq(c->client.door, DOOR_REFUSING);
	world_destroy(w);
}
END_TEST

START_TEST(another_team_does_not_exist_here)
{
	struct world *w = world_create();
	struct world_client *c = inside(w, 1);
	pb_Event event = {0};

	event.body.channel_member_left = (pb_ChannelMemberLeft){.has_channel = true,
		.channel = {.id = 3003, .team_id = 8, .kind = CHANNEL_TEXT, .name = (char *)"name"},
		.has_user = true,
		.user = {.id = 1}};
	world_append(w, &w->users[1], EVENT_KIND_channel_member_left, "user:1", &event);
	world_settle(w);
	ck_assert_uint_eq(c->got_count, 0);
	world_destroy(w);
}
END_TEST

START_TEST(a_gap_closes_the_socket)
{
	struct world *w = world_create();
	struct world_client *c = inside(w, 1);

	hub_refetch(&w->hub, STREAM_TEAM(TEAM));
	world_settle(w);
	ck_assert_uint_eq(c->close_code, 1012);
	world_destroy(w);
}
END_TEST

START_TEST(marks_are_kept_once_for_all_clients_of_a_person_and_go_with_the_last)
{
	struct world *w = world_create();
	struct world_client *one = inside(w, 1), *two = inside(w, 1);

	ck_assert_uint_eq(w->hub.slots_kept, 1);
	world_disconnect(one);
	ck_assert_uint_eq(w->hub.slots_kept, 1);
	world_disconnect(two);
	ck_assert_uint_eq(w->hub.slots_kept, 0);
	world_destroy(w);
}
END_TEST

static void a_minute_passes(struct world *w, struct world_client *const *clients, size_t count)
{
	for (int i = 0; i < 61; i++) {
		for (size_t c = 0; c < count; c++)
			world_read(clients[c]);
		world_pass(w, 1000);
	}
	world_settle(w);
}

START_TEST(once_a_minute_everybody_hears_of_everybody_who_is_there)
{
	struct world *w = world_create();

	w->hub.options.presence_most = 3;
	w->online = 3;
	struct world_client *clients[] = {inside(w, 1), inside(w, 2), inside(w, 2)};
	a_minute_passes(w, clients, 3);
	ck_assert_uint_eq(w->online_asked, 1);
	for (size_t c = 0; c < 3; c++) {
		ck_assert_uint_eq(world_keys(clients[c], "activity"), 3);
		ck_assert_str_eq(text_of(world_key(clients[c], "activity", 2), "userID"), "3");
		ck_assert(json_is_true(json_object_get(world_key(clients[c], "activity", 0), "present")));
		ck_assert_ptr_null(json_object_get(world_key(clients[c], "activity", 0), "kind"));
	}
	a_minute_passes(w, clients, 3);
	ck_assert_uint_eq(world_keys(clients[0], "activity"), 6);
	world_destroy(w);
}
END_TEST

START_TEST(where_too_many_are_there_or_nobody_knows_each_hears_of_himself)
{
	struct world *w = world_create();

	w->hub.options.presence_most = 3;
	w->online = 4;
	struct world_client *clients[] = {inside(w, 1), inside(w, 2)};
	a_minute_passes(w, clients, 2);
	w->online_answer = STATUS_BUSY;
	w->online = 1;
	a_minute_passes(w, clients, 2);
	w->hub.options.presence_most = 0;
	a_minute_passes(w, clients, 2);
	ck_assert_uint_eq(w->online_asked, 2);
	for (uint64_t c = 0; c < 2; c++) {
		ck_assert_uint_eq(world_keys(clients[c], "activity"), 3);
		for (size_t i = 0; i < 3; i++)
			ck_assert_str_eq(text_of(world_key(clients[c], "activity", i), "userID"), c == 0 ? "1" : "2");
	}
	world_destroy(w);
}
END_TEST

/* ---- what frames ask */

START_TEST(the_first_key_of_a_frame_counts)
{
	struct world *w = world_create();
	struct world_client *c = inside(w, 1);

	world_say(c, "{\"updateChannel\":{\"id\":\"1001\"},\"createMessage\":{\"channelID\":\"1001\",\"message\":\" hi <@2 bob> \"}}");
	world_settle(w);
	ck_assert_uint_eq(w->acts, 1);
	ck_assert_int_eq(w->last_act, ACT_post_message);
	ck_assert_str_eq(w->last_said, "hi <@2>");
	ck_assert_uint_eq(c->got_count, 0);
	world_destroy(w);
}
END_TEST

START_TEST(each_frame_becomes_its_call)
{
	static const struct {
		const char *text;
		enum act act;
		unsigned acts;
	} frames[] = {
		{"{\"createMessage\":{\"channelID\":\"1001\",\"replyTo\":\"5\",\"message\":\"x\"}}", ACT_post_message, 1},
		{"{\"createmessage\":{\"channelId\":1001,\"Message\":\"x\",\"else\":[]}}", ACT_post_message, 1},
		{"{\"createMessage\":null,\"deleteMessage\":{\"messageID\":5}}", ACT_delete_message, 1},
		{"{\"updateMessage\":{\"messageID\":\"5\",\"message\":\"x\"}}", ACT_update_message, 1},
		{"{\"deleteMessage\":{\"messageID\":\"5\"}}", ACT_delete_message, 1},
		{"{\"joinChannel\":{\"id\":\"1001\"}}", ACT_join_channel, 1},
		{"{\"partChannel\":{\"id\":\"1001\"}}", ACT_leave_channel, 1},
		{"{\"createChannel\":{\"name\":\"new\"}}", ACT_seed_channel, 2},
		{"{\"updateChannel\":{\"id\":\"1001\",\"topic\":\"t\"}}", ACT_update_channel, 1},
	};

	for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
		struct world *w = world_create();
		struct world_client *c = inside(w, 1);
		world_say(c, frames[i].text);
		world_settle(w);
		ck_assert_uint_eq(w->acts, frames[i].acts);
		ck_assert_int_eq(w->last_act, frames[i].act);
		ck_assert_uint_eq(c->got_count, 0);
		world_destroy(w);
	}
}
END_TEST

START_TEST(what_is_refused_is_told_on_this_session_which_stays_open)
{
	static const struct {
		const char *text, *error;
	} frames[] = {
		{"nothing", "Session.incoming: payload malformed: not a JSON object"},
		{"[]", "Session.incoming: payload malformed: not a JSON object"},
		{"{\"createMessage\":{\"channelID\":\"1001\",\"message\":\"  \"}}", "refusing to create message without contents"},
		{"{\"createMessage\":{\"message\":\"x\"}}", "messaging.service.InvalidID"},
		{"{\"createMessage\":\"x\"}", "Session.incoming: payload malformed: createMessage"},
		{"{\"channels\":[]}", "Session.incoming: payload malformed: channels"},
		{"{\"createMessage\":{\"channelID\":\"1001\",\"message\":5}}", "Session.incoming: payload malformed: message"},
		{"{\"deleteMessage\":{\"MessageId\":{}}}", "Session.incoming: payload malformed: messageID"},
		{"{\"updateChannel\":{\"id\":1.5}}", "Session.incoming: payload malformed: id"},
		{"{\"updateMessage\":{\"messageID\":\"7\"}}", "refusing to update message without contents"},
		{"{\"deleteMessage\":{\"messageID\":\"x\"}}", "messaging.service.InvalidID"},
		{"{\"createChannel\":{}}", "channel name not provided"},
		{"{\"createChannel\":{\"name\":\"x\",\"type\":\"group\"}}", "invalid channel type"},
		{"{\"updateChannel\":{\"id\":\"1001\",\"type\":\"odd\"}}", "invalid channel type"},
		{"{\"createChannel\":{\"name\":\"01234567890123456789012345678901234567890\"}}", "channel name (41 characters) too long (max: 40)"},
		{"{\"updateChannel\":{\"id\":\"1001\",\"name\":\"01234567890123456789012345678901234567890\"}}",
			"channel name (41 characters) too long (max: 40)"},
		{"{\"joinChannel\":{\"id\":\"1001\"}}", "messaging.service.NoPermissions"},
	};
	struct world *w = world_create();
	w->hub.options.crust_strict = true;
	struct world_client *c = inside(w, 1);

	w->act_answer = STATUS_FORBIDDEN;
	for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
		world_say(c, frames[i].text);
		world_settle(w);
		ck_assert_uint_eq(world_keys(c, "error"), i + 1);
		ck_assert_str_eq(text_of(world_key(c, "error", i), "m"), frames[i].error);
	}
	ck_assert_int_eq(c->client.state, CLIENT_READY);
	world_destroy(w);
}
END_TEST

START_TEST(known_keys_without_an_effect_and_unknown_ones_are_ignored)
{
	struct world *w = world_create();
	struct world_client *c = inside(w, 1);

	world_say(c, "{\"recordChannelView\":{}}");
	world_say(c, "{\"getUsers\":{}}");
	world_say(c, "{\"nobody knows\":{}}");
	world_settle(w);
	ck_assert_uint_eq(w->acts, 0);
	ck_assert_uint_eq(c->got_count, 0);
	world_destroy(w);
}
END_TEST

START_TEST(channels_are_answered_with_the_askers_own)
{
	struct world *w = world_create();

	has_read(w, 1, 3, 2);
	struct world_client *c = inside(w, 1), *other = inside(w, 2);
	world_say(c, "{\"channels\":{}}");
	world_settle(w);
	ck_assert_uint_eq(world_keys(other, "channels"), 0);
	const json_t *channels = world_key(c, "channels", 0), *first = json_array_get(channels, 0);
	ck_assert_str_eq(text_of(first, "channelID"), "1001");
	ck_assert(json_is_true(json_object_get(first, "canSendMessages")));
	ck_assert_str_eq(text_of(first, "membershipFlag"), "pinned");
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(first, "unread"), "count")), 2);
	world_destroy(w);
}
END_TEST

START_TEST(posts_are_counted_as_rest_counts_them)
{
	struct world *w = world_create();
	struct world_client *c = inside(w, 1);

	w->hub.options.posts_per_5s = 2;
	for (int i = 0; i < 3; i++)
		world_say(c, "{\"createMessage\":{\"channelID\":\"1001\",\"message\":\"x\"}}");
	world_settle(w);
	ck_assert_uint_eq(w->acts, 2);
	ck_assert_uint_eq(world_keys(c, "error"), 1);
	world_pass(w, 5000);
	world_say(c, "{\"createMessage\":{\"channelID\":\"1001\",\"message\":\"x\"}}");
	world_settle(w);
	ck_assert_uint_eq(w->acts, 3);
	world_destroy(w);
}
END_TEST

TESTS("gateway_crust", the_upgrade_is_answered_when_the_client_is_live_everywhere,
	who_is_not_logged_in_or_has_no_access_is_refused_before_the_upgrade, nobody_speaks_through_a_closed_door,
	the_token_is_the_first_that_is_not_empty, the_author_alone_may_edit_and_each_is_told_what_he_has_not_read,
	who_becomes_a_member_of_a_channel_nobody_had_told_him_of_is_counted_from_the_next_post,
	a_mark_of_ones_own_counts_from_then_on, a_mark_of_a_thread_and_a_reply_come_to_the_same_whichever_is_first,
	what_is_unread_of_a_thread_is_told_with_its_edited_root_and_goes_with_a_deleted_one,
	of_more_threads_than_are_kept_those_that_are_read_go_first_and_then_the_oldest, a_channel_comes_with_each_receivers_own_rights,
	who_may_not_see_a_channel_is_not_told_of_it, the_stream_waits_for_rights_and_keeps_its_order,
	when_moderation_is_away_the_stream_goes_on_and_who_was_to_be_told_is_sent_away,
	an_answer_that_is_older_than_the_event_is_asked_for_again, who_is_put_out_of_the_team_is_closed,
	who_may_not_come_in_any_more_is_closed_before_what_comes_next, who_loses_access_while_the_door_is_opened_is_refused,
	another_team_does_not_exist_here, a_gap_closes_the_socket,
	marks_are_kept_once_for_all_clients_of_a_person_and_go_with_the_last,
	once_a_minute_everybody_hears_of_everybody_who_is_there, where_too_many_are_there_or_nobody_knows_each_hears_of_himself, the_first_key_of_a_frame_counts, each_frame_becomes_its_call,
	what_is_refused_is_told_on_this_session_which_stays_open, known_keys_without_an_effect_and_unknown_ones_are_ignored,
	channels_are_answered_with_the_askers_own, posts_are_counted_as_rest_counts_them)
