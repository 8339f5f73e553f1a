/* Keys that change bring channels into somebody's sight and take them out of it: who is told, in which place, and of what. */
#include <string.h>

#include "tests/unit/gateway/world.h"
#include "tests/unit/main.h"

#define BOTH (RIGHT_TEAM | RIGHT_B)

static struct world *world_with(uint8_t one, uint8_t two)
{
	struct world *w = world_create();

	w->rights[1] = one;
	w->rights[2] = two;
	return w;
}

static struct world_client *inside(struct world *w, uint64_t user)
{
	struct world_client *c = world_connect_crust(w, user);

	world_settle(w);
	return c;
}

/* A recheck of everybody. */
static void recheck(struct world *w, pb_AudienceRecheck what, uint8_t one, uint8_t two)
{
	pb_Event event = {0};

	what.all = true;
	event.body.audience_recheck = what;
	w->rights[1] = one;
	w->rights[2] = two;
	uint64_t seq = world_append(w, &w->team, EVENT_KIND_audience_recheck, "", &event);
	for (uint64_t u = 1; u <= USERS; u++)
		w->team.changed[u] = seq;
}

static void update_channel(struct world *w)
{
	pb_Event event = {0};

	event.body.channel_updated = (pb_ChannelUpdated){
		.has_channel = true, .channel = {.id = CHANNEL_B, .team_id = TEAM, .kind = CHANNEL_TEXT, .name = (char *)"renamed"}};
	world_append(w, &w->team, EVENT_KIND_channel_updated, "channel:1002", &event);
}

static void run(struct world *w)
{
	while (world_deliver(w, &w->team))
		;
	world_turn(w, 1000);
}

static bool is_gone(const json_t *channel)
{
	return channel != NULL && strcmp(json_string_value(json_object_get(channel, "channelID")), "1002") == 0 &&
	       !json_is_true(json_object_get(channel, "canObserve")) && *json_string_value(json_object_get(channel, "name")) == '\0';
}

START_TEST(who_loses_a_key_is_told_that_the_channel_has_gone_before_what_comes_next)
{
	struct world *w = world_with(BOTH, BOTH);
	struct world_client *one = inside(w, 1), *again = inside(w, 1), *two = inside(w, 2);

	update_channel(w);
	world_settle(w);
	world_change(w, 1, RIGHT_TEAM);
	world_post(w, CHANNEL_A);
	world_settle(w);
	struct world_client *his[] = {one, again};
	for (size_t i = 0; i < 2; i++) {
		ck_assert_uint_eq(his[i]->got_count, 3);
		ck_assert_str_eq(json_string_value(json_object_get(world_key(his[i], "channel", 0), "name")), "renamed");
		ck_assert(is_gone(world_key(his[i], "channel", 1)));
		ck_assert_ptr_nonnull(json_object_get(his[i]->got[2], "message"));
	}
	ck_assert_uint_eq(world_keys(two, "channel"), 1);
	world_destroy(w);
}
END_TEST

START_TEST(the_stream_waits_until_it_is_known_who_lost_what)
{
	struct world *w = world_with(BOTH, BOTH);
	struct world_client *one = inside(w, 1), *two = inside(w, 2);

	world_change(w, 1, RIGHT_TEAM);
	world_post(w, CHANNEL_A);
	run(w);
	world_read(one);
	world_read(two);
	ck_assert_uint_eq(one->got_count + two->got_count, 0);
	ck_assert_uint_eq(w->asked_count, 1);
	world_settle(w);
	ck_assert_uint_eq(world_keys(one, "channel"), 1);
	ck_assert_uint_eq(world_keys(two, "message"), 1);
	world_destroy(w);
}
END_TEST

START_TEST(who_gains_a_key_is_shown_the_channel_with_his_rights)
{
	struct world *w = world_with(RIGHT_TEAM, BOTH);
	struct world_client *one = inside(w, 1), *two = inside(w, 2);

	world_change(w, 1, BOTH);
	world_settle(w);
	ck_assert_uint_eq(world_keys(one, "channel"), 1);
	ck_assert(json_is_true(json_object_get(world_key(one, "channel", 0), "canObserve")));
	ck_assert_str_eq(json_string_value(json_object_get(world_key(one, "channel", 0), "name")), "name");
	ck_assert_uint_eq(world_keys(two, "channel"), 0);
	world_destroy(w);
}
END_TEST

START_TEST(what_an_event_on_its_way_shows_is_not_shown_twice)
{
	struct world *w = world_with(RIGHT_TEAM, BOTH);
	struct world_client *one = inside(w, 1);

	world_change(w, 1, BOTH);
	update_channel(w);
	world_settle(w);
	ck_assert_uint_eq(world_keys(one, "channel"), 1);
	ck_assert_str_eq(json_string_value(json_object_get(world_key(one, "channel", 0), "name")), "renamed");
	world_destroy(w);
}
END_TEST

START_TEST(of_a_channel_that_gets_a_key_of_its_own_those_hear_who_do_not_get_it)
{
	struct world *w = world_with(RIGHT_TEAM, RIGHT_TEAM);
	struct world_client *one = inside(w, 1), *two = inside(w, 2);

	recheck(w, (pb_AudienceRecheck){.closed_channel_id = CHANNEL_B}, BOTH, RIGHT_TEAM);
	world_settle(w);
	ck_assert_uint_eq(world_keys(one, "channel"), 0);
	ck_assert_uint_eq(world_keys(two, "channel"), 1);
	ck_assert(is_gone(world_key(two, "channel", 0)));
	world_destroy(w);
}
END_TEST

START_TEST(a_key_that_goes_because_everybody_sees_the_channel_is_no_loss)
{
	struct world *w = world_with(BOTH, BOTH);
	struct world_client *one = inside(w, 1);

	world_change(w, 1, RIGHT_TEAM);
	w->rights[1] = BOTH; /* what moderation says */
	world_settle(w);
	ck_assert_uint_eq(world_keys(one, "channel"), 0);
	world_destroy(w);
}
END_TEST

START_TEST(where_whole_kinds_may_come_or_go_the_list_is_read_again)
{
	struct world *w = world_with(BOTH, BOTH);
	struct world_client *one = inside(w, 1), *house = world_connect(w, 2, "topics=");

	world_settle(w);
	recheck(w, (pb_AudienceRecheck){.kinds = true}, RIGHT_TEAM, RIGHT_TEAM);
	world_settle(w);
	ck_assert_uint_eq(one->close_code, 1012);
	ck_assert_uint_eq(house->close_code, 0);
	world_destroy(w);
}
END_TEST

START_TEST(when_moderation_is_away_those_concerned_are_sent_away_and_the_stream_goes_on)
{
	struct world *w = world_with(BOTH, BOTH);
	struct world_client *one = inside(w, 1), *two = inside(w, 2);

	w->fail_with = STATUS_BUSY;
	world_change(w, 1, RIGHT_TEAM);
	world_post(w, CHANNEL_A);
	for (int i = 0; i < 100 && one->close_code == 0; i++) {
		world_settle(w);
		world_pass(w, 100);
	}
	world_settle(w);
	ck_assert_uint_eq(one->close_code, 1012);
	ck_assert_uint_eq(two->close_code, 0);
	ck_assert_uint_eq(world_keys(two, "message"), 1);
	world_destroy(w);
}
END_TEST

START_TEST(an_answer_that_is_older_than_the_change_is_asked_for_again)
{
	struct world *w = world_with(BOTH, BOTH);
	struct world_client *one = inside(w, 1);

	world_change(w, 1, RIGHT_TEAM);
	run(w);
	w->team.head--; /* the copy that is asked lags */
	w->rights[1] = BOTH;
	world_serve(w, 0);
	w->team.head++;
	w->rights[1] = RIGHT_TEAM;
	world_answer(w, 0);
	world_turn(w, 1000);
	world_pass(w, 100);
	world_settle(w);
	ck_assert_uint_eq(world_keys(one, "channel"), 1);
	world_destroy(w);
}
END_TEST

START_TEST(who_goes_while_it_is_asked_leaves_nothing_behind)
{
	struct world *w = world_with(BOTH, BOTH);
	struct world_client *one = inside(w, 1), *two = inside(w, 2);

	world_change(w, 1, RIGHT_TEAM);
	run(w);
	world_disconnect(one);
	world_post(w, CHANNEL_A);
	world_settle(w);
	ck_assert_uint_eq(world_keys(two, "message"), 1);
	world_destroy(w);
}
END_TEST

TESTS("gateway sight", who_loses_a_key_is_told_that_the_channel_has_gone_before_what_comes_next,
	the_stream_waits_until_it_is_known_who_lost_what, who_gains_a_key_is_shown_the_channel_with_his_rights,
	what_an_event_on_its_way_shows_is_not_shown_twice, of_a_channel_that_gets_a_key_of_its_own_those_hear_who_do_not_get_it,
	a_key_that_goes_because_everybody_sees_the_channel_is_no_loss, where_whole_kinds_may_come_or_go_the_list_is_read_again,
	when_moderation_is_away_those_concerned_are_sent_away_and_the_stream_goes_on,
	an_answer_that_is_older_than_the_change_is_asked_for_again, who_goes_while_it_is_asked_leaves_nothing_behind)
