/*
 * The law of opening and resuming, driven at random: whatever the order in which events, answers, connections
 * and reads come, nobody gets an event committed after his right to it was taken away, nothing comes twice,
 * and nothing is lost untold. The exhaustive model of the same rules is tests/models.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/gateway/world.h"
#include "tests/unit/main.h"

#define STEPS  1500
#define ROUNDS 60

/* What one person's program keeps over its connections. */
struct follower {
	struct world_client *c; /* NULL: not connected */
	uint64_t user;
	bool wants_a, wants_b, wants_team;
	bool subscribed; /* the answer came */
	bool has_a, has_b, has_team;
	uint64_t began;    /* events after it are due, as the answer said */
	uint64_t position; /* as told */
	bool has_position;
	bool delivered[LOG_MOST]; /* since began, over resumed connections */
	size_t looked_at;         /* frames of the connection */
};

static bool right_at(struct world *w, uint64_t user, uint64_t seq)
{
	const struct log_entry *entry = &w->team.entries[seq];
	uint8_t held = entry->rights[user];

	return (held & RIGHT_TEAM) != 0 && (entry->channel_id != CHANNEL_B || (held & RIGHT_B) != 0);
}

static bool due(struct world *w, const struct follower *f, uint64_t seq)
{
	const struct log_entry *entry = &w->team.entries[seq];

	if (entry->kind != EVENT_KIND_message_posted)
		return false;
	return f->has_team || (entry->channel_id == CHANNEL_A ? f->has_a : f->has_b);
}

/* Was the user put out of the team after `from`, up to `to`? His topics ended there. */
static bool kicked_between(struct world *w, uint64_t user, uint64_t from, uint64_t to)
{
	for (uint64_t seq = from + 1; seq <= to; seq++)
		if ((w->team.entries[seq].rights[user] & RIGHT_TEAM) == 0)
			return true;
	return false;
}

/* Nothing that was due up to seq is missing. */
static void check_complete(struct world *w, const struct follower *f, uint64_t seq)
{
	for (uint64_t s = f->began + 1; s <= seq; s++) {
		if (!due(w, f, s) || !right_at(w, f->user, s) || kicked_between(w, f->user, f->began, s))
			continue;
		ck_assert_msg(f->delivered[s], "user %u lost %u (began %u, up to %u)", (unsigned)f->user,
			(unsigned)s, (unsigned)f->began, (unsigned)seq);
	}
}

static void look(struct world *w, struct follower *f)
{
	struct world_client *c = f->c;
	static const char stream[] = "1-0000000000000007";

	for (; f->looked_at < c->got_count; f->looked_at++) {
		json_t *frame = c->got[f->looked_at];
		const char *type = json_string_value(json_object_get(frame, "type"));
		json_t *data = json_object_get(frame, "data");
		if (strcmp(type, "subscribed") == 0) {
			char a[64], b[64], t[64];
			json_t *answer = json_object_get(json_object_get(data, "streams"), stream);
			uint64_t seq = (uint64_t)json_integer_value(json_object_get(answer, "seq"));
			bool recovered = json_is_true(json_object_get(answer, "recovered"));
			world_topic(a, "channel", CHANNEL_A);
			world_topic(b, "channel", CHANNEL_B);
			world_topic(t, "team", TEAM);
			ck_assert(!f->subscribed);
			f->subscribed = answer != NULL;
			bool had_a = f->has_a, had_b = f->has_b, had_team = f->has_team;
			f->has_a = f->has_b = f->has_team = false;
			for (size_t i = 0; i < json_array_size(json_object_get(data, "topics")); i++) {
				const char *topic =
					json_string_value(json_array_get(json_object_get(data, "topics"), i));
				f->has_a = f->has_a || strcmp(topic, a) == 0;
				f->has_b = f->has_b || strcmp(topic, b) == 0;
				f->has_team = f->has_team || strcmp(topic, t) == 0;
			}
			if (recovered) {
				ck_assert(f->has_position);
				ck_assert_uint_eq(seq, f->position);
				/* A topic may be refused this time, but none comes that was not asked for. */
				ck_assert(had_a >= f->has_a && had_b >= f->has_b && had_team >= f->has_team);
			} else if (answer != NULL) {
				memset(f->delivered, 0, sizeof f->delivered);
				f->began = f->position = seq;
				f->has_position = true;
			}
			continue;
		}
		if (strcmp(type, "position") == 0) {
			json_t *told = json_object_get(json_object_get(data, "streams"), stream);
			if (told != NULL) {
				uint64_t seq = (uint64_t)json_integer_value(told);
				ck_assert_uint_ge(seq, f->position);
				f->position = seq;
				check_complete(w, f, seq);
			}
			continue;
		}
		json_t *in = json_object_get(frame, "stream");
		if (in == NULL || strcmp(json_string_value(in), stream) != 0)
			continue;
		uint64_t seq = (uint64_t)json_integer_value(json_object_get(frame, "seq"));
		ck_assert_msg(f->subscribed, "an event before the answer");
		ck_assert_msg(right_at(w, f->user, seq), "user %u got %u without the right",
			(unsigned)f->user, (unsigned)seq);
		ck_assert_msg(
			due(w, f, seq), "user %u got %u without a topic", (unsigned)f->user, (unsigned)seq);
		ck_assert_msg(!f->delivered[seq], "user %u got %u twice", (unsigned)f->user, (unsigned)seq);
		ck_assert_uint_gt(seq, f->position);
		f->delivered[seq] = true;
		f->position = seq;
		check_complete(w, f, seq);
	}
}

static void connect_follower(struct world *w, struct follower *f)
{
	char topics[256] = "", one[64], text[768];

	/* A program that resumes wants what it wanted. */
	if (!f->has_position || rand() % 4 == 0) {
		f->has_position = false;
		f->wants_a = rand() % 4 != 0;
		f->wants_b = rand() % 2 == 0;
		f->wants_team = rand() % 3 == 0 || !(f->wants_a || f->wants_b);
	} else {
		f->wants_a = f->has_a;
		f->wants_b = f->has_b;
		f->wants_team = f->has_team;
	}
	if (f->wants_a)
		snprintf(topics + strlen(topics), sizeof topics - strlen(topics), "%s\"%s\"",
			*topics ? "," : "", world_topic(one, "channel", CHANNEL_A));
	if (f->wants_b)
		snprintf(topics + strlen(topics), sizeof topics - strlen(topics), "%s\"%s\"",
			*topics ? "," : "", world_topic(one, "channel", CHANNEL_B));
	if (f->wants_team)
		snprintf(topics + strlen(topics), sizeof topics - strlen(topics), "%s\"%s\"",
			*topics ? "," : "", world_topic(one, "team", TEAM));
	f->c = world_connect(w, f->user, "resume=1");
	f->looked_at = 0;
	f->subscribed = false;
	if (*topics == '\0')
		return;
	if (f->has_position)
		snprintf(text, sizeof text,
			"{\"op\":\"subscribe\",\"topics\":[%s],\"since\":{\"generation\":\"one/1/"
			"1\",\"streams\":{\"1-%016x\":%u}}}",
			topics, (unsigned)TEAM, (unsigned)f->position);
	else
		snprintf(text, sizeof text, "{\"op\":\"subscribe\",\"topics\":[%s]}", topics);
	snprintf(f->c->later, sizeof f->c->later, "%s", text); /* said once hello is there */
}

static void speak(struct follower *f)
{
	if (f->c->later[0] != '\0' && f->c->client.state == CLIENT_READY) {
		world_say(f->c, f->c->later);
		f->c->later[0] = '\0';
	}
}

static void happen(struct world *w)
{
	uint64_t user = 1 + (uint64_t)rand() % USERS;
	int what = rand() % 22;

	if (w->team.head > LOG_MOST - 10)
		return;
	if (what < 7) {
		world_post(w, CHANNEL_A);
	} else if (what < 14) {
		world_post(w, CHANNEL_B);
	} else if (what < 17) {
		world_change(w, user,
			(uint8_t)((w->rights[user] & RIGHT_TEAM) != 0 ? w->rights[user] ^ RIGHT_B
								      : RIGHT_TEAM | RIGHT_B));
	} else if (what < 18) {
		world_change(w, user, w->rights[user] & RIGHT_TEAM ? 0 : RIGHT_TEAM);
	} else {
		uint8_t rights[USERS + 1];
		memcpy(rights, w->rights, sizeof rights);
		for (uint64_t u = 1; u <= USERS; u++)
			if (rand() % 2 == 0 && rights[u] & RIGHT_TEAM)
				rights[u] ^= RIGHT_B;
		if (what < 20) {
			world_recheck(w, rights);
		} else if (what < 21) {
			/* a role given or taken, and with it the channel */
			if (rights[user] & RIGHT_TEAM)
				rights[user] ^= RIGHT_ROLE;
			world_recheck_people(w, 1u << user, rights);
		} else {
			world_recheck_role(w, rights);
		}
	}
}

static void step(struct world *w, struct follower *followers, size_t count)
{
	struct follower *f = &followers[(size_t)rand() % count];

	switch (rand() % 12) {
	case 0:
	case 1:
		happen(w);
		break;
	case 2:
	case 3:
		world_deliver(w, &w->team);
		break;
	case 4:
		for (uint64_t u = 1; u <= USERS; u++)
			world_deliver(w, &w->users[u]);
		break;
	case 5: /* the answer is worked out now and comes later */
		if (w->asked_count > 0)
			world_serve(w, (size_t)rand() % w->asked_count);
		break;
	case 6:
	case 7:
		w->fail_with = rand() % 20 == 0 ? STATUS_BUSY : STATUS_OK;
		if (w->asked_count > 0)
			world_answer(w, (size_t)rand() % w->asked_count);
		w->fail_with = STATUS_OK;
		break;
	case 8:
		world_turn(w, 1 + (size_t)rand() % 5);
		break;
	case 9:
		if (f->c == NULL)
			connect_follower(w, f);
		else if (!f->c->ended)
			speak(f);
		break;
	case 10:
		if (f->c != NULL && !f->c->ended) {
			world_read(f->c);
			look(w, f);
		}
		break;
	case 11:
		if (f->c != NULL && rand() % 6 == 0) {
			/* What the kernel had taken is read, the rest is not. */
			if (!f->c->ended && rand() % 2 == 0)
				world_read(f->c);
			look(w, f);
			if (!f->c->ended)
				world_disconnect(f->c);
			if (!f->subscribed && f->has_position && rand() % 2 == 0)
				f->has_position = false;
			f->c = NULL;
		} else {
			world_pass(w, rand() % 4 == 0 ? 9000 : 40);
		}
		break;
	}
	for (size_t i = 0; i < count; i++) {
		if (followers[i].c == NULL || !followers[i].c->ended)
			continue;
		look(w, &followers[i]);
		followers[i].c = NULL;
	}
}

START_TEST(at_random_nothing_leaks_doubles_or_is_lost)
{
	srand((unsigned)_i * 7919u + 1);
	struct world *w = world_create();
	/* What is missed comes from the log, from memory, or from both. */
	w->hub.options.ring_bytes = _i % 3 == 0 ? 0 : 1u << 20;
	w->hub.options.ring_stream_bytes = _i % 3 == 1 ? 1u << 20 : 16384;
	struct follower *followers = calloc(8, sizeof *followers);

	for (size_t i = 0; i < 8; i++)
		followers[i].user = 1 + i % USERS;
	for (int i = 0; i < STEPS; i++)
		step(w, followers, 8);
	world_settle(w);
	world_pass(w, 1100);
	world_settle(w);
	for (size_t i = 0; i < 8; i++) {
		struct follower *f = &followers[i];
		if (f->c == NULL || f->c->client.state != CLIENT_READY)
			continue;
		speak(f);
		world_settle(w);
		look(w, f);
		if (f->subscribed && f->c->client.state == CLIENT_READY)
			check_complete(w, f, w->team.head);
		if (f->c->client.state == CLIENT_READY)
			ck_assert_uint_eq(f->c->client.flags & CLIENT_CATCHING, 0);
	}
	struct feed *feed = feed_find(&w->hub, STREAM_TEAM(TEAM));
	if (feed != NULL && feed->state == FEED_FOLLOWED) {
		ck_assert_uint_eq(feed->applied, w->team.head);
		ck_assert_uint_eq(feed->holds, 0);
		ck_assert_uint_eq(feed->keys_due, 0);
	}
	free(followers);
	world_destroy(w);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("resume");
	TCase *tcase = tcase_create("resume");

	tcase_set_timeout(tcase, TEST_TIMEOUT_S);
	tcase_add_loop_test(tcase, at_random_nothing_leaks_doubles_or_is_lost, 0, ROUNDS);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
