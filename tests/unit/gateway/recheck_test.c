/* audience_recheck of some: who is asked about, what becomes of them, and that the others are left alone. */
#include "tests/unit/gateway/world.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/main.h"

#define BOTH (RIGHT_TEAM | RIGHT_B)

static struct world_client *watch(struct world *w, uint64_t user)
{
	char query[512], topic[64];

	snprintf(query, sizeof query, "topics=%s&resume=1", world_topic(topic, "team", TEAM));
	struct world_client *c = world_connect(w, user, query);
	world_settle(w);
	return c;
}

/* Events come in and are worked on; what is asked outside stays unanswered. */
static void run(struct world *w)
{
	while (world_deliver(w, &w->team))
		;
	world_turn(w, 1000);
}

/* The one question about keys that waits. */
static const struct asked *waiting(const struct world *w)
{
	const struct asked *found = NULL;
	for (size_t i = 0; i < w->asked_count; i++) {
		if (w->asked[i].kind != ASKED_KEYS)
			continue;
		ck_assert_ptr_null(found);
		found = &w->asked[i];
	}
	return found;
}

static size_t got(struct world_client *c, uint64_t seq)
{
	return world_times(c, STREAM_TEAM(TEAM), seq);
}

START_TEST(a_recheck_of_people_asks_for_theirs_and_obeys_it_at_once)
{
	struct world *w = world_create();
	struct world_client *one = watch(w, 1), *two = watch(w, 2), *three = watch(w, 3);
	uint8_t rights[USERS + 1] = {0, RIGHT_TEAM, RIGHT_TEAM, BOTH, BOTH};

	world_recheck_people(w, 1u << 1 | 1u << 2, rights);
	uint64_t seq = world_post(w, CHANNEL_B);
	run(w);
	const struct asked *asked = waiting(w);
	ck_assert_ptr_nonnull(asked);
	ck_assert_uint_eq(asked->count, 2);
	ck_assert_uint_eq(asked->users[0], 1);
	ck_assert_uint_eq(asked->users[1], 2);
	world_settle(w);
	ck_assert_uint_eq(got(one, seq), 0);
	ck_assert_uint_eq(got(two, seq), 0);
	ck_assert_uint_eq(got(three, seq), 1);
	world_destroy(w);
}
END_TEST

START_TEST(a_recheck_of_a_role_asks_for_those_who_hold_its_key)
{
	struct world *w = world_create();
	w->rights[1] = w->rights[2] = BOTH | RIGHT_ROLE;
	w->rights[3] = w->rights[4] = BOTH;
	struct world_client *one = watch(w, 1), *two = watch(w, 2), *three = watch(w, 3);
	uint8_t rights[USERS + 1] = {0, RIGHT_TEAM | RIGHT_ROLE, RIGHT_TEAM | RIGHT_ROLE, BOTH, BOTH};

	world_recheck_role(w, rights);
	uint64_t seq = world_post(w, CHANNEL_B);
	run(w);
	const struct asked *asked = waiting(w);
	ck_assert_ptr_nonnull(asked);
	ck_assert_uint_eq(asked->count, 2);
	ck_assert_uint_eq(asked->users[0], 1);
	ck_assert_uint_eq(asked->users[1], 2);
	world_settle(w);
	ck_assert_uint_eq(got(one, seq), 0);
	ck_assert_uint_eq(got(two, seq), 0);
	ck_assert_uint_eq(got(three, seq), 1);
	world_destroy(w);
}
END_TEST

START_TEST(a_role_that_was_given_is_known_when_the_role_changes)
{
	struct world *w = world_create();
	for (uint64_t u = 1; u <= USERS; u++)
		w->rights[u] = RIGHT_TEAM;
	struct world_client *one = watch(w, 1), *two = watch(w, 2);
	uint8_t given[USERS + 1] = {0, RIGHT_TEAM | RIGHT_ROLE}, opened[USERS + 1] = {0, BOTH | RIGHT_ROLE};

	world_recheck_people(w, 1u << 1, given);
	world_settle(w);
	uint64_t before = world_post(w, CHANNEL_B);
	world_recheck_role(w, opened);
	uint64_t after = world_post(w, CHANNEL_B);
	world_settle(w);
	ck_assert_uint_eq(got(one, before), 0);
	ck_assert_uint_eq(got(one, after), 1);
	ck_assert_uint_eq(got(two, after), 0);
	/* taken again: from then on the role's changes are not his */
	uint8_t taken[USERS + 1] = {0, RIGHT_TEAM};
	world_recheck_people(w, 1u << 1, taken);
	world_settle(w);
	world_recheck_role(w, opened);
	run(w);
	ck_assert_ptr_null(waiting(w));
	world_destroy(w);
}
END_TEST

START_TEST(a_recheck_that_concerns_nobody_here_holds_nothing_up)
{
	struct world *w = world_create();
	struct world_client *one = watch(w, 1);
	uint8_t rights[USERS + 1] = {0, BOTH, BOTH, BOTH, RIGHT_TEAM};

	world_recheck_role(w, rights);
	world_recheck_people(w, 1u << 4, rights);
	uint64_t seq = world_post(w, CHANNEL_B);
	run(w);
	world_read(one);
	ck_assert_ptr_null(waiting(w));
	ck_assert_uint_eq(got(one, seq), 1);
	world_destroy(w);
}
END_TEST

/* The answer of a subscription that resumes from a position. */
static bool recovers(struct world *w, uint64_t user, uint64_t position)
{
	char text[512], topic[64], stream[STREAM_TEXT_SIZE];
	struct world_client *c = world_connect(w, user, "");

	world_settle(w);
	stream_to_text(STREAM_TEAM(TEAM), stream);
	snprintf(text, sizeof text,
		"{\"op\":\"subscribe\",\"topics\":[\"%s\"],\"since\":{\"generation\":\"%s\",\"streams\":{\"%s\":%llu}}}",
		world_topic(topic, "team", TEAM), w->generation, stream, (unsigned long long)position);
	world_say(c, text);
	world_settle(w);
	json_t *streams = json_object_get(world_data(c, "subscribed", 0), "streams");
	json_t *mine = json_object_get(streams, stream);
	ck_assert_ptr_nonnull(mine);
	return json_is_true(json_object_get(mine, "recovered"));
}

START_TEST(who_was_not_concerned_resumes_across_it)
{
	struct world *w = world_create();
	watch(w, 3); /* so that the stream is followed */
	uint64_t position = world_post(w, CHANNEL_A);
	uint8_t rights[USERS + 1] = {0, RIGHT_TEAM, BOTH, BOTH, BOTH};
	world_recheck_people(w, 1u << 1, rights);
	world_post(w, CHANNEL_A);
	world_settle(w);

	ck_assert(!recovers(w, 1, position));
	ck_assert(recovers(w, 2, position));
	world_destroy(w);
}
END_TEST

START_TEST(a_recheck_of_everybody_has_channels_judged_anew)
{
	struct world *w = world_create();
	char query[512], topic[64];
	uint8_t rights[USERS + 1] = {0, BOTH, BOTH, BOTH, BOTH};
	snprintf(query, sizeof query, "topics=%s", world_topic(topic, "channel", CHANNEL_A));

	world_connect(w, 1, query);
	world_settle(w);
	ck_assert_uint_eq(w->judged, 1);
	world_connect(w, 2, query); /* where the channel is, and its key, is known by now */
	world_settle(w);
	ck_assert_uint_eq(w->judged, 1);
	world_recheck_people(w, 1u << 1, rights);
	world_settle(w);
	world_connect(w, 3, query);
	world_settle(w);
	ck_assert_uint_eq(w->judged, 1);
	world_recheck(w, rights); /* the channel may have got another key */
	world_settle(w);
	world_connect(w, 4, query);
	world_settle(w);
	ck_assert_uint_eq(w->judged, 2);
	world_destroy(w);
}
END_TEST

START_TEST(typing_is_judged_anew_after_a_change_of_rights)
{
	struct world *w = world_create();
	struct world_client *c = watch(w, 1);
	char starts[256], stops[256], uuid[IDS_UUID_SIZE];
	uint8_t rights[USERS + 1] = {0, RIGHT_TEAM, BOTH, BOTH, BOTH};
	ids_to_uuid(CHANNEL_B, uuid);
	snprintf(starts, sizeof starts, "{\"op\":\"typing\",\"channel_id\":\"%s\",\"is_typing\":true}", uuid);
	snprintf(stops, sizeof stops, "{\"op\":\"typing\",\"channel_id\":\"%s\",\"is_typing\":false}", uuid);

	world_say(c, starts);
	world_settle(w);
	world_say(c, stops);
	world_settle(w);
	ck_assert_uint_eq(w->typing_calls, 2); /* within two seconds the first judgement serves */
	world_pass(w, 3100);
	world_say(c, starts);
	world_settle(w);
	ck_assert_uint_eq(w->typing_calls, 3);
	world_recheck_people(w, 1u << 1, rights);
	world_settle(w);
	world_say(c, stops);
	world_settle(w);
	ck_assert_uint_eq(w->typing_calls, 3);
	ck_assert_str_eq(json_string_value(json_object_get(world_data(c, "error", 0), "code")), "not_found");
	world_destroy(w);
}
END_TEST

TESTS("gateway recheck", a_recheck_of_people_asks_for_theirs_and_obeys_it_at_once,
	a_recheck_of_a_role_asks_for_those_who_hold_its_key, a_role_that_was_given_is_known_when_the_role_changes,
	a_recheck_that_concerns_nobody_here_holds_nothing_up, who_was_not_concerned_resumes_across_it,
	a_recheck_of_everybody_has_channels_judged_anew, typing_is_judged_anew_after_a_change_of_rights)
