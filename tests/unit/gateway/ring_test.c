/*
 * Who comes back is caught up from what the loop remembers, and gets to the byte what the log would have given.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/gateway/world.h"
#include "tests/unit/main.h"

#define AMPLE    (1u << 20)
#define ROUNDS   30
#define STEPS    150
#define WHOLE    "1-0000000000000007"
#define LINGER_S 10

static struct world *world_with(uint32_t stream_bytes, uint32_t bytes)
{
	struct world *w = world_create();

	w->hub.options.ring_stream_bytes = stream_bytes;
	w->hub.options.ring_bytes = bytes;
	return w;
}

static struct world_client *whole_team(struct world *w, uint64_t user)
{
	char query[128], topic[64];

	snprintf(query, sizeof query, "resume=1&topics=%s", world_topic(topic, "team", TEAM));
	struct world_client *c = world_connect(w, user, query);
	world_settle(w);
	ck_assert_uint_eq(world_count(c, "subscribed"), 1);
	return c;
}

static struct world_client *back_at(struct world *w, uint64_t user, const char *topics, const char *stream, uint64_t seq)
{
	char text[512];
	struct world_client *c = world_connect(w, user, "resume=1");

	world_settle(w);
	ck_assert_int_eq(c->client.state, CLIENT_READY);
	snprintf(text, sizeof text,
		"{\"op\":\"subscribe\",\"topics\":[\"%s\"],\"since\":{\"generation\":\"one/1/1\",\"streams\":{\"%s\":%u}}}", topics,
		stream, (unsigned)seq);
	world_say(c, text);
	return c;
}

static struct world_client *back(struct world *w, uint64_t user, uint64_t seq)
{
	char topic[64];
	struct world_client *c = back_at(w, user, world_topic(topic, "team", TEAM), WHOLE, seq);

	world_settle(w);
	return c;
}

static bool recovered(struct world_client *c, const char *stream)
{
	json_t *streams = json_object_get(world_data(c, "subscribed", 0), "streams");

	return json_is_true(json_object_get(json_object_get(streams, stream), "recovered"));
}

START_TEST(who_comes_back_soon_is_caught_up_without_a_question_to_the_log)
{
	struct world *w = world_with(AMPLE, AMPLE);
	whole_team(w, 1);
	for (int i = 0; i < 20; i++)
		world_post(w, i % 2 == 0 ? CHANNEL_A : CHANNEL_B);
	world_settle(w);

	struct world_client *c = back(w, 2, 5);

	ck_assert(recovered(c, WHOLE));
	for (uint64_t seq = 1; seq <= 20; seq++)
		ck_assert_uint_eq(world_times(c, STREAM_TEAM(TEAM), seq), seq > 5);
	ck_assert_uint_eq(w->pages_asked, 0);
	ck_assert_uint_eq(w->hub.replayed_memory, 15);
	world_destroy(w);
}
END_TEST

START_TEST(what_memory_does_not_reach_is_read_from_the_log_and_the_rest_is_not)
{
	struct world *w = world_with(AMPLE, AMPLE);
	for (int i = 0; i < 10; i++)
		world_post(w, CHANNEL_A);
	whole_team(w, 1);
	for (int i = 0; i < 10; i++)
		world_post(w, CHANNEL_A);
	world_settle(w);

	struct world_client *c = back(w, 2, 4);

	ck_assert(recovered(c, WHOLE));
	ck_assert_uint_eq(world_count(c, "channel_message"), 16);
	ck_assert_uint_eq(w->pages_asked, 1);
	ck_assert_uint_eq(w->hub.replayed_log, 6);
	ck_assert_uint_eq(w->hub.replayed_memory, 10);
	world_destroy(w);
}
END_TEST

START_TEST(a_frame_that_was_rendered_once_is_not_rendered_for_who_comes_back)
{
	struct world *w = world_with(AMPLE, AMPLE);
	struct world_client *there = whole_team(w, 1);
	uint64_t seq = world_post(w, CHANNEL_A);
	world_settle(w);
	struct ring_entry *entry = ring_find(feed_find(&w->hub, STREAM_TEAM(TEAM)), seq);
	ck_assert_ptr_nonnull(entry);
	struct frame *frame = entry->frames[there->client.variant];
	ck_assert_ptr_nonnull(frame);

	struct world_client *c = back(w, 2, 0);

	ck_assert_uint_eq(world_count(c, "channel_message"), 1);
	ck_assert_ptr_eq(entry->frames[c->client.variant], frame);
	world_destroy(w);
}
END_TEST

START_TEST(a_deleted_message_is_not_shown_again_from_memory_nor_from_a_page_that_was_read_before)
{
	for (int remembered = 0; remembered < 2; remembered++) {
		struct world *w = world_with(remembered ? AMPLE : 0, AMPLE);
		whole_team(w, 1);
		uint64_t gone = world_post(w, CHANNEL_A), kept = world_post(w, CHANNEL_A);
		world_settle(w);
		struct world_client *before = back(w, 2, 0);
		ck_assert_uint_eq(world_times(before, STREAM_TEAM(TEAM), gone), 1);
		uint64_t deletion = world_delete(w, gone);
		world_settle(w);

		struct world_client *c = back(w, 3, 0);

		ck_assert(recovered(c, WHOLE));
		ck_assert_uint_eq(world_times(c, STREAM_TEAM(TEAM), gone), 0);
		ck_assert_uint_eq(world_times(c, STREAM_TEAM(TEAM), kept), 1);
		ck_assert_uint_eq(world_times(c, STREAM_TEAM(TEAM), deletion), 1);
		world_destroy(w);
	}
}
END_TEST

START_TEST(a_notice_that_may_have_been_blanked_in_the_log_is_read_there)
{
	struct world *w = world_with(AMPLE, AMPLE);
	char topic[64];
	world_topic(topic, "user", 2);
	char query[128];
	snprintf(query, sizeof query, "resume=1&topics=%s", topic);
	struct world_client *first = world_connect(w, 2, query);
	world_settle(w);
	uint64_t seq = world_mention(w, 2, world_post(w, CHANNEL_A));
	world_settle(w);
	ck_assert_uint_eq(world_times(first, STREAM_USER(2), seq), 1);
	world_tombstone(&w->users[2], seq);

	struct world_client *c = back_at(w, 2, topic, "2-0000000000000002", seq - 1);
	world_settle(w);

	ck_assert(recovered(c, "2-0000000000000002"));
	ck_assert_uint_eq(world_times(c, STREAM_USER(2), seq), 0);
	ck_assert_uint_eq(w->pages_asked, 1);
	world_destroy(w);
}
END_TEST

START_TEST(one_stream_keeps_no_more_than_its_share_and_forgets_its_oldest)
{
	struct world *w = world_with(20000, AMPLE);
	whole_team(w, 1);
	for (int i = 0; i < 200; i++)
		world_post(w, CHANNEL_A);
	world_settle(w);

	struct feed *feed = feed_find(&w->hub, STREAM_TEAM(TEAM));
	ck_assert_uint_le(feed->ring.bytes, 20000);
	ck_assert_uint_gt(feed->ring.count, 3);
	ck_assert_uint_eq(feed->ring.first + feed->ring.count - 1, feed->applied);
	ck_assert_uint_ge(w->hub.ring_bytes, feed->ring.bytes);
	world_destroy(w);
}
END_TEST

START_TEST(all_streams_together_keep_no_more_than_the_loops_share)
{
	struct world *w = world_with(AMPLE, 30000);
	char topic[64], query[192];
	world_talk(w, 1, true);
	whole_team(w, 1);
	snprintf(query, sizeof query, "resume=1&topics=%s", world_topic(topic, "channel", TALK));
	world_connect(w, 1, query);
	world_settle(w);
	uint64_t last = 0;
	for (int i = 0; i < 30; i++)
		last = world_post(w, TALK);
	world_settle(w);
	struct feed *talk = feed_find(&w->hub, STREAM_TEAM(TALK));
	ck_assert_ptr_nonnull(ring_find(talk, last));
	for (int i = 0; i < 100; i++)
		world_post(w, CHANNEL_A);
	world_settle(w);

	struct feed *team = feed_find(&w->hub, STREAM_TEAM(TEAM));
	ck_assert_uint_le(w->hub.ring_bytes, 30000);
	ck_assert_uint_eq(talk->ring.count, 0); /* its events were the oldest of all */
	ck_assert_ptr_null(talk->ring.entries);
	ck_assert_uint_gt(team->ring.count, 3);
	world_destroy(w);
}
END_TEST

START_TEST(a_stream_is_remembered_for_a_while_after_the_last_has_left)
{
	struct world *w = world_with(AMPLE, AMPLE);
	struct world_client *c = whole_team(w, 1);
	world_post(w, CHANNEL_A);
	world_settle(w);
	world_disconnect(c);
	world_post(w, CHANNEL_A);
	world_settle(w);
	for (int i = 0; i < LINGER_S - 2; i++)
		world_pass(w, 1000);

	c = back(w, 1, 0);
	ck_assert_uint_eq(world_count(c, "channel_message"), 2);
	ck_assert_uint_eq(w->pages_asked, 0);

	world_disconnect(c);
	for (int i = 0; i < LINGER_S + 2; i++)
		world_pass(w, 1000);
	ck_assert_uint_eq(w->hub.ring_bytes, 0);
	c = back(w, 1, 0);
	ck_assert_uint_eq(world_count(c, "channel_message"), 2);
	ck_assert_uint_eq(w->pages_asked, 1);
	world_destroy(w);
}
END_TEST

START_TEST(nothing_is_remembered_across_generations)
{
	struct world *w = world_with(AMPLE, AMPLE);
	whole_team(w, 1);
	world_post(w, CHANNEL_A);
	world_settle(w);
	ck_assert_uint_gt(w->hub.ring_bytes, 0);

	strcpy(w->generation, "one/2/1");
	hub_generation_changed(&w->hub);

	ck_assert_uint_eq(w->hub.ring_bytes, 0);
	ck_assert_ptr_null(w->hub.ring_oldest);
	world_settle(w);
	world_destroy(w);
}
END_TEST

START_TEST(many_who_come_back_together_ask_for_a_page_once)
{
	struct world *w = world_with(0, 0);
	char topic[64];
	world_topic(topic, "team", TEAM);
	for (int i = 0; i < 40; i++)
		world_post(w, CHANNEL_A);
	whole_team(w, 1);

	struct world_client *c[10];
	for (uint64_t i = 0; i < 10; i++)
		c[i] = back_at(w, 1 + i % USERS, topic, WHOLE, 3 + i);
	world_settle(w);

	for (uint64_t i = 0; i < 10; i++)
		ck_assert_uint_eq(world_count(c[i], "channel_message"), 40 - 3 - i);
	ck_assert_uint_eq(w->pages_asked, 1);
	world_destroy(w);
}
END_TEST

static size_t asked_now(const struct world *w, enum asked_kind kind)
{
	size_t count = 0;

	for (size_t i = 0; i < w->asked_count; i++)
		count += w->asked[i].kind == kind;
	return count;
}

/* Answers whatever is not of this kind, until nothing else is left. */
static void settle_but(struct world *w, enum asked_kind kind)
{
	for (bool moved = true; moved;) {
		moved = false;
		world_turn(w, 100000);
		for (size_t i = 0; i < w->asked_count && !moved; i++) {
			if (w->asked[i].kind == kind)
				continue;
			world_answer(w, i);
			moved = true;
		}
		while (world_deliver(w, &w->team))
			moved = true;
		for (uint64_t u = 1; u <= USERS; u++)
			while (world_deliver(w, &w->users[u]))
				moved = true;
	}
}

#define TOGETHER  12
#define AT_A_TIME 8

/* Each from a page of the log that no other needs. */
static void many_resume(struct world *w, struct world_client *c[TOGETHER])
{
	char topic[64], text[512];

	world_topic(topic, "team", TEAM);
	for (int i = 0; i < 256 * TOGETHER; i++)
		world_post(w, CHANNEL_A);
	whole_team(w, 1);
	for (uint64_t i = 0; i < TOGETHER; i++)
		c[i] = world_connect(w, 1 + i % USERS, "resume=1");
	world_settle(w);
	for (uint64_t i = 0; i < TOGETHER; i++) {
		snprintf(text, sizeof text,
			"{\"op\":\"subscribe\",\"topics\":[\"%s\"],\"since\":{\"generation\":\"one/1/1\",\"streams\":{\"" WHOLE "\":%u}}}", topic,
			(unsigned)(256 * i + 200));
		world_say(c[i], text);
	}
}

START_TEST(pages_are_read_a_few_at_a_time_and_everybody_gets_his)
{
	struct world *w = world_with(0, 0);
	struct world_client *c[TOGETHER];
	many_resume(w, c);

	settle_but(w, ASKED_EVENTS);
	ck_assert_uint_eq(asked_now(w, ASKED_EVENTS), AT_A_TIME);

	world_settle(w);
	for (uint64_t i = 0; i < TOGETHER; i++)
		ck_assert_uint_eq(world_count(c[i], "channel_message"), 256 * (TOGETHER - i) - 200);
	ck_assert_uint_eq(w->hub.pages_in_flight, 0);
	world_destroy(w);
}
END_TEST

START_TEST(where_a_channel_is_is_asked_a_few_times_however_many_want_it)
{
	struct world *w = world_with(AMPLE, AMPLE);
	struct world_client *c[TOGETHER];
	char topic[64], text[512];
	for (uint64_t i = 0; i < TOGETHER; i++)
		c[i] = world_connect(w, 1 + i % USERS, "");
	world_settle(w);
	snprintf(text, sizeof text, "{\"op\":\"subscribe\",\"topics\":[\"%s\"]}", world_topic(topic, "channel", CHANNEL_B));
	for (uint64_t i = 0; i < TOGETHER; i++)
		world_say(c[i], text);

	settle_but(w, ASKED_RIGHTS);
	ck_assert_uint_eq(asked_now(w, ASKED_RIGHTS), AT_A_TIME);

	world_settle(w);
	for (uint64_t i = 0; i < TOGETHER; i++)
		ck_assert_uint_eq(world_count(c[i], "subscribed"), 1);
	ck_assert_uint_eq(w->judged, AT_A_TIME);
	world_destroy(w);
}
END_TEST

START_TEST(who_leaves_while_he_waits_his_turn_leaves_nothing_behind)
{
	struct world *w = world_with(0, 0);
	struct world_client *c[TOGETHER];
	char topic[64], text[512];
	for (uint64_t i = 0; i < TOGETHER; i++)
		c[i] = world_connect(w, 1 + i % USERS, "");
	world_settle(w);
	snprintf(text, sizeof text, "{\"op\":\"subscribe\",\"topics\":[\"%s\"]}", world_topic(topic, "channel", CHANNEL_B));
	for (uint64_t i = 0; i < TOGETHER; i++)
		world_say(c[i], text);
	settle_but(w, ASKED_RIGHTS);

	for (uint64_t i = 0; i < TOGETHER; i++)
		world_disconnect(c[i]);

	world_settle(w);
	ck_assert_ptr_null(w->hub.unjudged);
	ck_assert_uint_eq(w->hub.judges_in_flight, 0);
	ck_assert_uint_eq(w->judged, AT_A_TIME);
	world_destroy(w);
}
END_TEST

START_TEST(who_does_not_get_his_turn_in_time_is_told_so)
{
	struct world *w = world_with(0, 0);
	struct world_client *c[TOGETHER];
	many_resume(w, c);
	settle_but(w, ASKED_EVENTS); /* the log does not answer */

	for (int i = 0; i < 6; i++) {
		world_pass(w, 1000);
		settle_but(w, ASKED_EVENTS);
	}

	for (uint64_t i = 0; i < TOGETHER; i++) {
		world_read(c[i]);
		ck_assert_uint_eq(world_count(c[i], "subscribed"), 1);
		ck_assert(!recovered(c[i], WHOLE));
	}
	world_settle(w);
	for (uint64_t i = 0; i < TOGETHER; i++)
		ck_assert_uint_eq(world_count(c[i], "channel_message"), 0);
	ck_assert_uint_eq(w->hub.pages_in_flight, 0);
	world_destroy(w);
}
END_TEST

START_TEST(a_topic_whose_turn_to_be_judged_does_not_come_is_refused_as_busy)
{
	struct world *w = world_with(0, 0);
	struct world_client *c[TOGETHER];
	char topic[64], text[512];
	for (uint64_t i = 0; i < TOGETHER; i++)
		c[i] = world_connect(w, 1 + i % USERS, "");
	world_settle(w);
	snprintf(text, sizeof text, "{\"op\":\"subscribe\",\"topics\":[\"%s\"]}", world_topic(topic, "channel", CHANNEL_B));
	for (uint64_t i = 0; i < TOGETHER; i++)
		world_say(c[i], text);
	settle_but(w, ASKED_RIGHTS);

	for (int i = 0; i < 6; i++) {
		world_pass(w, 1000);
		settle_but(w, ASKED_RIGHTS);
	}

	size_t refused = 0;
	for (uint64_t i = 0; i < TOGETHER; i++) {
		world_read(c[i]);
		refused += world_count(c[i], "error");
	}
	ck_assert_uint_eq(refused, TOGETHER - AT_A_TIME);
	ck_assert_ptr_null(w->hub.unjudged);
	world_settle(w);
	world_destroy(w);
}
END_TEST

/* ---- memory and log answer alike */

struct script {
	uint64_t state;
	char *said; /* every frame that anybody got, in order */
	size_t length, capacity;
	uint64_t positions[USERS + 1];
	struct world_client *there[USERS + 1];
	size_t taken[USERS + 1];
};

/* Of its own, so that how the hub uses chance changes nothing. */
static uint64_t chance(struct script *s, uint64_t below)
{
	s->state = s->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (s->state >> 33) % below;
}

static void say(struct script *s, const char *text)
{
	size_t length = strlen(text);

	while (s->length + length + 2 > s->capacity) {
		s->capacity = s->capacity == 0 ? 65536 : s->capacity * 2;
		s->said = realloc(s->said, s->capacity);
	}
	memcpy(s->said + s->length, text, length);
	s->said[s->length + length] = '\n';
	s->length += length + 1;
	s->said[s->length] = '\0';
}

static void note(struct script *s, uint64_t user)
{
	struct world_client *c = s->there[user];

	for (; c != NULL && s->taken[user] < c->got_count; s->taken[user]++) {
		json_t *frame = c->got[s->taken[user]];
		const char *stream = json_string_value(json_object_get(frame, "stream"));
		json_t *streams = json_object_get(json_object_get(frame, "data"), "streams");
		char *text = json_dumps(frame, JSON_COMPACT | JSON_SORT_KEYS), head[32];
		snprintf(head, sizeof head, "user %u:", (unsigned)user);
		say(s, head);
		say(s, text);
		free(text);
		if (stream != NULL && strcmp(stream, WHOLE) == 0)
			s->positions[user] = (uint64_t)json_integer_value(json_object_get(frame, "seq"));
		if (json_object_get(streams, WHOLE) != NULL) {
			json_t *at = json_object_get(streams, WHOLE);
			s->positions[user] = (uint64_t)json_integer_value(json_is_object(at) ? json_object_get(at, "seq") : at);
		}
	}
}

static void come_or_go(struct world *w, struct script *s)
{
	uint64_t user = 1 + chance(s, USERS - 1);
	struct world_client *c = s->there[user];

	if (c != NULL) {
		if (!c->ended)
			world_disconnect(c);
		s->there[user] = NULL;
		return;
	}
	s->taken[user] = 0;
	s->there[user] = back(w, user, s->positions[user]);
}

static void happen(struct world *w, struct script *s)
{
	uint64_t user = 1 + chance(s, USERS - 1), seq;
	uint8_t rights[USERS + 1];

	switch (chance(s, 12)) {
	case 0:
	case 1:
	case 2:
		world_post(w, CHANNEL_B);
		return;
	case 3:
		world_change(w, user, w->rights[user] ^ RIGHT_B);
		return;
	case 4:
		memcpy(rights, w->rights, sizeof rights);
		rights[user] ^= RIGHT_B;
		if (chance(s, 3) == 0)
			world_recheck(w, rights);
		else
			world_recheck_people(w, 1u << user, rights);
		return;
	case 5:
		seq = w->team.head > 0 ? 1 + chance(s, w->team.head) : 0;
		if (seq > 0 && w->team.entries[seq].kind == EVENT_KIND_message_posted && w->team.entries[seq].payload_length > 10)
			world_delete(w, seq);
		return;
	default:
		world_post(w, CHANNEL_A);
		return;
	}
}

static char *play(uint64_t seed, uint32_t stream_bytes, uint32_t bytes, uint64_t *out_memory, uint64_t *out_log)
{
	struct world *w = world_with(stream_bytes, bytes);
	struct script s = {.state = seed * 977 + 13};

	s.there[USERS] = whole_team(w, USERS); /* stays, so that the stream is followed all the time */
	say(&s, "begin");
	for (int i = 0; i < STEPS; i++) {
		if (chance(&s, 3) == 0)
			come_or_go(w, &s);
		else
			happen(w, &s);
		world_settle(w);
		for (uint64_t user = 1; user <= USERS; user++)
			note(&s, user);
	}
	*out_memory = w->hub.replayed_memory;
	*out_log = w->hub.replayed_log;
	world_destroy(w);
	return s.said;
}

START_TEST(memory_and_log_give_the_same_frames_in_the_same_order)
{
	uint64_t memory, read;
	char *log = play((uint64_t)_i, 0, 0, &memory, &read);
	ck_assert_uint_eq(memory, 0);
	ck_assert_uint_gt(read, 0);

	static const struct {
		uint32_t stream_bytes, bytes;
	} sizes[] = {{AMPLE, AMPLE}, {12000, AMPLE}, {AMPLE, 15000}};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		char *mixed = play((uint64_t)_i, sizes[i].stream_bytes, sizes[i].bytes, &memory, &read);
		ck_assert_uint_gt(memory, 0);
		size_t same = 0;
		while (log[same] != '\0' && log[same] == mixed[same])
			same++;
		ck_assert_msg(log[same] == mixed[same], "the log gave %.200s, memory %.200s", log + same, mixed + same);
		free(mixed);
	}
	free(log);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ring");
	TCase *tcase = tcase_create("ring");

	tcase_set_timeout(tcase, TEST_TIMEOUT_S);
	tcase_add_test(tcase, who_comes_back_soon_is_caught_up_without_a_question_to_the_log);
	tcase_add_test(tcase, what_memory_does_not_reach_is_read_from_the_log_and_the_rest_is_not);
	tcase_add_test(tcase, a_frame_that_was_rendered_once_is_not_rendered_for_who_comes_back);
	tcase_add_test(tcase, a_deleted_message_is_not_shown_again_from_memory_nor_from_a_page_that_was_read_before);
	tcase_add_test(tcase, a_notice_that_may_have_been_blanked_in_the_log_is_read_there);
	tcase_add_test(tcase, one_stream_keeps_no_more_than_its_share_and_forgets_its_oldest);
	tcase_add_test(tcase, all_streams_together_keep_no_more_than_the_loops_share);
	tcase_add_test(tcase, a_stream_is_remembered_for_a_while_after_the_last_has_left);
	tcase_add_test(tcase, nothing_is_remembered_across_generations);
	tcase_add_test(tcase, many_who_come_back_together_ask_for_a_page_once);
	tcase_add_test(tcase, pages_are_read_a_few_at_a_time_and_everybody_gets_his);
	tcase_add_test(tcase, where_a_channel_is_is_asked_a_few_times_however_many_want_it);
	tcase_add_test(tcase, who_leaves_while_he_waits_his_turn_leaves_nothing_behind);
	tcase_add_test(tcase, who_does_not_get_his_turn_in_time_is_told_so);
	tcase_add_test(tcase, a_topic_whose_turn_to_be_judged_does_not_come_is_refused_as_busy);
	tcase_add_loop_test(tcase, memory_and_log_give_the_same_frames_in_the_same_order, 0, ROUNDS);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
