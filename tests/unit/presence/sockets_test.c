#include "services/presence/sockets.h"
#include "tests/unit/main.h"

#include <stdlib.h>
#include <string.h>

#define WALL INT64_C(1800000000000)
#define ANN  UINT64_C(5000000001)
#define BOB  UINT64_C(5000000002)

/* Everything the table said, oldest first. */
struct told {
	uint64_t user_id;
	enum presence_state shown, chosen;
	int64_t last_seen_at_ms;
	uint64_t team_ids[8];
	size_t team_count;
	bool to_self;
	uint64_t conversation; /* the first */
	size_t conversation_count;
};
struct fixture {
	struct sockets *s;
	struct told told[64];
	size_t told_count;
	enum presence_state remembered_shown, remembered_chosen;
	uint64_t active[16];
	size_t active_count;
	int64_t now;
	uint64_t epoch;
};

static void on_changed(void *arg, const struct presence_change *c)
{
	struct fixture *fx = arg;
	struct told *t = &fx->told[fx->told_count++];

	ck_assert_uint_lt(fx->told_count, 64);
	*t = (struct told){c->user_id, c->shown, c->chosen, c->last_seen_at_ms, {0}, c->team_count, c->to_self,
		c->conversation_count > 0 ? c->conversation_ids[0] : 0, c->conversation_count};
	for (size_t i = 0; i < c->team_count && i < 8; i++)
		t->team_ids[i] = c->team_ids[i];
}

static void on_remember(void *arg, uint64_t user_id, enum presence_state shown, int64_t seen)
{
	struct fixture *fx = arg;

	(void)user_id;
	(void)seen;
	fx->remembered_shown = shown;
}

static void on_chose(void *arg, uint64_t user_id, enum presence_state chosen)
{
	struct fixture *fx = arg;

	(void)user_id;
	fx->remembered_chosen = chosen;
}

static void on_active(void *arg, uint64_t user_id)
{
	struct fixture *fx = arg;

	fx->active[fx->active_count++] = user_id;
}

/* A table past its first lease period. */
static struct fixture *fixture_create(void)
{
	struct fixture *fx = calloc(1, sizeof *fx);
	struct sockets_callbacks callbacks = {on_changed, on_remember, on_chose, on_active, fx};

	fx->s = sockets_create(&callbacks, 0);
	fx->now = SOCKETS_LEASE_MS;
	return fx;
}

static struct fixture *fixture_create_just_started(void)
{
	struct fixture *fx = fixture_create();

	fx->now = 0;
	return fx;
}

static void fixture_destroy(struct fixture *fx)
{
	sockets_destroy(fx->s);
	free(fx);
}

static pb_SocketOpened opened(uint64_t socket, uint64_t user, uint64_t *teams, size_t team_count)
{
	pb_SocketOpened o = pb_SocketOpened_init_zero;

	o.socket_id = socket;
	o.has_user = true;
	o.user.id = user;
	o.user.username = "somebody";
	o.team_ids = teams;
	o.team_ids_count = (pb_size_t)team_count;
	return o;
}

static uint64_t sync_full(struct fixture *fx, const char *gateway, uint64_t process, pb_SocketOpened *list, size_t count,
	bool full)
{
	pb_SyncSocketsRequest rq = pb_SyncSocketsRequest_init_zero;

	rq.gateway = (char *)gateway;
	rq.gateway_epoch = process;
	rq.known_epoch = fx->epoch;
	rq.full = full;
	rq.opened = list;
	rq.opened_count = (pb_size_t)count;
	ck_assert_int_eq(sockets_sync(fx->s, &rq, fx->now, WALL + fx->now, &fx->epoch), STATUS_OK);
	return fx->epoch;
}

static void open_socket(struct fixture *fx, const char *gateway, uint64_t socket, uint64_t user)
{
	static uint64_t teams[] = {70, 60};
	pb_SocketOpened o = opened(socket, user, teams, 2);

	sync_full(fx, gateway, 1, &o, 1, false);
}

static void close_socket(struct fixture *fx, const char *gateway, uint64_t socket)
{
	pb_SyncSocketsRequest rq = pb_SyncSocketsRequest_init_zero;

	rq.gateway = (char *)gateway;
	rq.gateway_epoch = 1;
	rq.closed = &socket;
	rq.closed_count = 1;
	ck_assert_int_eq(sockets_sync(fx->s, &rq, fx->now, WALL + fx->now, &fx->epoch), STATUS_OK);
}

static void load(struct fixture *fx, uint64_t user, enum presence_state chosen, enum presence_state announced)
{
	sockets_loaded(fx->s, user, chosen, announced, 0, WALL + fx->now);
}

static void online(struct fixture *fx, const char *gateway, uint64_t socket, uint64_t user)
{
	open_socket(fx, gateway, socket, user);
	load(fx, user, PRESENCE_ONLINE, PRESENCE_OFFLINE);
}

static void tick_at(struct fixture *fx, int64_t now)
{
	fx->now = now;
	sockets_tick(fx->s, now, WALL + now);
}

static const struct told *last(const struct fixture *fx)
{
	ck_assert_uint_gt(fx->told_count, 0);
	return &fx->told[fx->told_count - 1];
}

static enum presence_state shown(struct fixture *fx, uint64_t user)
{
	struct presence_now now;

	sockets_get(fx->s, user, WALL, &now);
	return now.shown;
}

START_TEST(who_connects_is_announced_to_each_team_and_to_oneself)
{
	struct fixture *fx = fixture_create();

	online(fx, "g1", 1, ANN);
	ck_assert_uint_eq(fx->told_count, 1);
	ck_assert_uint_eq(last(fx)->user_id, ANN);
	ck_assert_int_eq(last(fx)->shown, PRESENCE_ONLINE);
	ck_assert_uint_eq(last(fx)->team_count, 2);
	ck_assert_uint_eq(last(fx)->team_ids[0], 60);
	ck_assert_uint_eq(last(fx)->team_ids[1], 70);
	ck_assert(last(fx)->to_self);
	fixture_destroy(fx);
}
END_TEST

START_TEST(conversations_are_told_like_teams_and_those_that_were_left_no_more)
{
	struct fixture *fx = fixture_create();
	uint64_t conversations[] = {90, 80, 90};
	pb_SocketOpened o = opened(1, ANN, NULL, 0);

	o.conversation_ids = conversations;
	o.conversation_ids_count = 1;
	sync_full(fx, "g1", 1, &o, 1, false);
	load(fx, ANN, PRESENCE_ONLINE, PRESENCE_OFFLINE);
	ck_assert_uint_eq(fx->told_count, 1);
	ck_assert_uint_eq(last(fx)->team_count, 0);
	ck_assert_uint_eq(last(fx)->conversation_count, 1);
	ck_assert_uint_eq(last(fx)->conversation, 90);
	/* One that begins is told who is there, the others knew. */
	o.conversation_ids_count = 3;
	sync_full(fx, "g1", 1, &o, 1, false);
	ck_assert_uint_eq(fx->told_count, 2);
	ck_assert_uint_eq(last(fx)->conversation_count, 1);
	ck_assert_uint_eq(last(fx)->conversation, 80);
	o.conversation_ids = conversations + 1;
	o.conversation_ids_count = 1;
	sync_full(fx, "g1", 1, &o, 1, false);
	ck_assert_uint_eq(fx->told_count, 2);
	sockets_choose(fx->s, ANN, PRESENCE_DND, NULL, 0, WALL);
	ck_assert_uint_eq(last(fx)->conversation_count, 1);
	ck_assert_uint_eq(last(fx)->conversation, 80);
	fixture_destroy(fx);
}
END_TEST

START_TEST(nobody_is_shown_before_the_stored_choice_is_known)
{
	struct fixture *fx = fixture_create();
	uint64_t ids[4];

	open_socket(fx, "g1", 1, ANN);
	ck_assert_uint_eq(fx->told_count, 0);
	ck_assert_int_eq(shown(fx, ANN), PRESENCE_OFFLINE);
	ck_assert_uint_eq(sockets_unloaded(fx->s, ids, 4), 1);
	ck_assert_uint_eq(ids[0], ANN);
	fixture_destroy(fx);
}
END_TEST

START_TEST(who_chose_to_be_invisible_connects_unseen)
{
	struct fixture *fx = fixture_create();
	struct presence_now now;

	open_socket(fx, "g1", 1, ANN);
	load(fx, ANN, PRESENCE_INVISIBLE, PRESENCE_OFFLINE);
	ck_assert_uint_eq(fx->told_count, 0);
	ck_assert(sockets_get(fx->s, ANN, WALL, &now));
	ck_assert_int_eq(now.shown, PRESENCE_OFFLINE);
	ck_assert_int_eq(now.chosen, PRESENCE_INVISIBLE);
	fixture_destroy(fx);
}
END_TEST

START_TEST(becoming_invisible_looks_like_leaving_and_keeps_that_time)
{
	struct fixture *fx = fixture_create();
	struct presence_now now;

	online(fx, "g1", 1, ANN);
	fx->now += 1000;
	sockets_choose(fx->s, ANN, PRESENCE_INVISIBLE, NULL, 0, WALL + fx->now);
	ck_assert_int_eq(last(fx)->shown, PRESENCE_OFFLINE);
	ck_assert_int_eq(last(fx)->chosen, PRESENCE_INVISIBLE);
	ck_assert_int_eq(last(fx)->last_seen_at_ms, WALL + fx->now);
	ck_assert(last(fx)->to_self);
	sockets_get(fx->s, ANN, WALL + fx->now + 99999, &now);
	ck_assert_int_eq(now.last_seen_at_ms, WALL + fx->now);
	fixture_destroy(fx);
}
END_TEST

START_TEST(an_invisible_person_who_leaves_says_nothing)
{
	struct fixture *fx = fixture_create();
	size_t before;

	open_socket(fx, "g1", 1, ANN);
	load(fx, ANN, PRESENCE_INVISIBLE, PRESENCE_OFFLINE);
	before = fx->told_count;
	close_socket(fx, "g1", 1);
	ck_assert_uint_eq(fx->told_count, before);
	ck_assert_uint_eq(sockets_people(fx->s), 0);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_person_with_two_sockets_leaves_with_the_last_one)
{
	struct fixture *fx = fixture_create();

	online(fx, "g1", 1, ANN);
	open_socket(fx, "g2", 1, ANN);
	close_socket(fx, "g1", 1);
	ck_assert_uint_eq(fx->told_count, 1);
	close_socket(fx, "g2", 1);
	ck_assert_uint_eq(fx->told_count, 2);
	ck_assert_int_eq(last(fx)->shown, PRESENCE_OFFLINE);
	ck_assert(!last(fx)->to_self);
	ck_assert_int_eq(fx->remembered_shown, PRESENCE_OFFLINE);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_silent_gateway_keeps_its_people_through_lease_and_grace)
{
	struct fixture *fx = fixture_create();
	int64_t heard;

	online(fx, "g1", 1, ANN);
	heard = fx->now;
	tick_at(fx, heard + SOCKETS_LEASE_MS + SOCKETS_GRACE_MS - 1);
	ck_assert_int_eq(shown(fx, ANN), PRESENCE_ONLINE);
	tick_at(fx, heard + SOCKETS_LEASE_MS + SOCKETS_GRACE_MS);
	ck_assert_int_eq(last(fx)->shown, PRESENCE_OFFLINE);
	ck_assert_uint_eq(sockets_count(fx->s), 0);
	fixture_destroy(fx);
}
END_TEST

START_TEST(an_empty_report_renews_the_lease)
{
	struct fixture *fx = fixture_create();

	online(fx, "g1", 1, ANN);
	for (int i = 0; i < 20; i++) {
		tick_at(fx, fx->now + 5000);
		sync_full(fx, "g1", 1, NULL, 0, false);
	}
	ck_assert_int_eq(shown(fx, ANN), PRESENCE_ONLINE);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_forgotten_gateway_is_asked_to_register_again)
{
	struct fixture *fx = fixture_create();
	uint64_t before;

	online(fx, "g1", 1, ANN);
	before = fx->epoch;
	ck_assert_uint_eq(sync_full(fx, "g1", 1, NULL, 0, false), before);
	tick_at(fx, fx->now + SOCKETS_LEASE_MS + SOCKETS_GRACE_MS);
	ck_assert_uint_ne(sync_full(fx, "g1", 1, NULL, 0, false), before);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_leaving_gateway_gives_its_clients_time_to_reconnect)
{
	struct fixture *fx = fixture_create();
	pb_SyncSocketsRequest rq = pb_SyncSocketsRequest_init_zero;

	online(fx, "g1", 1, ANN);
	online(fx, "g1", 2, BOB);
	rq.gateway = "g1";
	rq.gateway_epoch = 1;
	rq.leaving = true;
	ck_assert_int_eq(sockets_sync(fx->s, &rq, fx->now, WALL, &fx->epoch), STATUS_OK);
	ck_assert_uint_eq(fx->told_count, 2);
	open_socket(fx, "g2", 9, ANN);
	tick_at(fx, fx->now + SOCKETS_GRACE_MS);
	ck_assert_uint_eq(fx->told_count, 3);
	ck_assert_uint_eq(last(fx)->user_id, BOB);
	ck_assert_int_eq(last(fx)->shown, PRESENCE_OFFLINE);
	ck_assert_int_eq(shown(fx, ANN), PRESENCE_ONLINE);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_full_report_replaces_what_was_known_of_that_gateway_only)
{
	struct fixture *fx = fixture_create();
	uint64_t teams[] = {60};
	pb_SocketOpened o = opened(2, BOB, teams, 1);

	online(fx, "g1", 1, ANN);
	online(fx, "g2", 1, ANN);
	online(fx, "g1", 3, BOB);
	sync_full(fx, "g1", 1, &o, 1, true);
	ck_assert_uint_eq(sockets_count(fx->s), 2);
	tick_at(fx, fx->now + SOCKETS_GRACE_MS);
	ck_assert_int_eq(shown(fx, ANN), PRESENCE_ONLINE);
	ck_assert_int_eq(shown(fx, BOB), PRESENCE_ONLINE);
	ck_assert_uint_eq(fx->told_count, 2);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_new_process_of_the_same_name_drops_the_sockets_of_the_old_one_after_a_grace)
{
	struct fixture *fx = fixture_create();
	uint64_t before;

	online(fx, "g1", 1, ANN);
	before = fx->epoch;
	ck_assert_uint_ne(sync_full(fx, "g1", 2, NULL, 0, true), before);
	ck_assert_int_eq(shown(fx, ANN), PRESENCE_ONLINE);
	tick_at(fx, fx->now + SOCKETS_GRACE_MS);
	ck_assert_int_eq(shown(fx, ANN), PRESENCE_OFFLINE);
	fixture_destroy(fx);
}
END_TEST

START_TEST(in_the_first_lease_period_nobody_is_declared_offline)
{
	struct fixture *fx = fixture_create_just_started();

	fx->now = 1000;
	online(fx, "g1", 1, ANN);
	close_socket(fx, "g1", 1);
	tick_at(fx, SOCKETS_LEASE_MS - 1);
	ck_assert_uint_eq(fx->told_count, 1);
	ck_assert_int_eq(shown(fx, ANN), PRESENCE_ONLINE);
	tick_at(fx, SOCKETS_LEASE_MS);
	ck_assert_int_eq(last(fx)->shown, PRESENCE_OFFLINE);
	fixture_destroy(fx);
}
END_TEST

START_TEST(after_a_restart_only_differences_are_announced)
{
	struct fixture *fx = fixture_create_just_started();
	uint64_t teams[] = {60};
	pb_SocketOpened list[] = {opened(1, ANN, teams, 1), opened(2, BOB, teams, 1)};

	sync_full(fx, "g1", 1, list, 2, true);
	load(fx, ANN, PRESENCE_DND, PRESENCE_DND);
	ck_assert_uint_eq(fx->told_count, 0);
	ck_assert_int_eq(shown(fx, ANN), PRESENCE_DND);
	load(fx, BOB, PRESENCE_ONLINE, PRESENCE_OFFLINE);
	ck_assert_uint_eq(fx->told_count, 1);
	ck_assert_uint_eq(last(fx)->user_id, BOB);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_choice_that_came_while_the_row_was_read_wins)
{
	struct fixture *fx = fixture_create();

	open_socket(fx, "g1", 1, ANN);
	sockets_choose(fx->s, ANN, PRESENCE_DND, NULL, 0, WALL);
	load(fx, ANN, PRESENCE_ONLINE, PRESENCE_OFFLINE);
	ck_assert_int_eq(shown(fx, ANN), PRESENCE_DND);
	ck_assert_uint_eq(fx->told_count, 1);
	fixture_destroy(fx);
}
END_TEST

START_TEST(who_becomes_invisible_before_the_row_is_read_is_announced_as_gone)
{
	struct fixture *fx = fixture_create_just_started();
	uint64_t teams[] = {60};
	pb_SocketOpened o = opened(1, ANN, teams, 1);

	sync_full(fx, "g1", 1, &o, 1, true);
	sockets_choose(fx->s, ANN, PRESENCE_INVISIBLE, NULL, 0, WALL);
	ck_assert_uint_eq(fx->told_count, 0);
	load(fx, ANN, PRESENCE_ONLINE, PRESENCE_DND);
	ck_assert_uint_eq(fx->told_count, 1);
	ck_assert_int_eq(last(fx)->shown, PRESENCE_OFFLINE);
	ck_assert_uint_eq(last(fx)->team_count, 1);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_choice_a_socket_brings_is_shown_and_remembered)
{
	struct fixture *fx = fixture_create();
	pb_SocketOpened o = opened(1, ANN, NULL, 0);

	o.chosen = PRESENCE_IDLE;
	sync_full(fx, "g1", 1, &o, 1, false);
	ck_assert_int_eq(fx->remembered_chosen, PRESENCE_IDLE);
	load(fx, ANN, PRESENCE_ONLINE, PRESENCE_OFFLINE);
	ck_assert_int_eq(shown(fx, ANN), PRESENCE_IDLE);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_full_report_does_not_bring_back_an_old_choice)
{
	struct fixture *fx = fixture_create();
	pb_SocketOpened o = opened(1, ANN, NULL, 0);

	o.chosen = PRESENCE_IDLE;
	sync_full(fx, "g1", 1, &o, 1, false);
	load(fx, ANN, PRESENCE_ONLINE, PRESENCE_OFFLINE);
	sockets_choose(fx->s, ANN, PRESENCE_INVISIBLE, NULL, 0, WALL);
	sync_full(fx, "g1", 1, &o, 1, true);
	ck_assert_int_eq(shown(fx, ANN), PRESENCE_OFFLINE);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_team_that_is_joined_while_present_is_told_alone)
{
	struct fixture *fx = fixture_create();
	uint64_t teams[] = {60, 70, 80};
	pb_SocketOpened o = opened(1, ANN, teams, 3);
	pb_SyncSocketsRequest rq = pb_SyncSocketsRequest_init_zero;

	online(fx, "g1", 1, ANN);
	rq.gateway = "g1";
	rq.gateway_epoch = 1;
	rq.changed = &o;
	rq.changed_count = 1;
	ck_assert_int_eq(sockets_sync(fx->s, &rq, fx->now, WALL, &fx->epoch), STATUS_OK);
	ck_assert_uint_eq(fx->told_count, 2);
	ck_assert_uint_eq(last(fx)->team_count, 1);
	ck_assert_uint_eq(last(fx)->team_ids[0], 80);
	ck_assert(!last(fx)->to_self);
	fixture_destroy(fx);
}
END_TEST

START_TEST(coming_back_counts_as_activity_but_registering_again_does_not)
{
	struct fixture *fx = fixture_create();
	pb_SocketOpened o = opened(2, BOB, NULL, 0);

	online(fx, "g1", 1, ANN);
	ck_assert_uint_eq(fx->active_count, 1);
	sockets_choose(fx->s, ANN, PRESENCE_IDLE, NULL, 0, WALL);
	ck_assert_uint_eq(fx->active_count, 1);
	sockets_choose(fx->s, ANN, PRESENCE_ONLINE, NULL, 0, WALL);
	ck_assert_uint_eq(fx->active_count, 2);
	sync_full(fx, "g2", 1, &o, 1, true);
	load(fx, BOB, PRESENCE_ONLINE, PRESENCE_OFFLINE);
	ck_assert_uint_eq(fx->active_count, 2);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_socket_does_not_change_its_person)
{
	struct fixture *fx = fixture_create();

	online(fx, "g1", 1, ANN);
	open_socket(fx, "g1", 1, BOB);
	ck_assert_uint_eq(sockets_people(fx->s), 1);
	ck_assert_int_eq(shown(fx, BOB), PRESENCE_OFFLINE);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_report_without_a_name_is_refused)
{
	struct fixture *fx = fixture_create();
	pb_SyncSocketsRequest rq = pb_SyncSocketsRequest_init_zero;
	char name[200];

	ck_assert_int_eq(sockets_sync(fx->s, &rq, 0, WALL, &fx->epoch), STATUS_FIELD_INVALID);
	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	rq.gateway = name;
	ck_assert_int_eq(sockets_sync(fx->s, &rq, 0, WALL, &fx->epoch), STATUS_FIELD_INVALID);
	fixture_destroy(fx);
}
END_TEST

TESTS("presence-sockets", who_connects_is_announced_to_each_team_and_to_oneself,
	conversations_are_told_like_teams_and_those_that_were_left_no_more, nobody_is_shown_before_the_stored_choice_is_known,
	who_chose_to_be_invisible_connects_unseen,
	becoming_invisible_looks_like_leaving_and_keeps_that_time,
	an_invisible_person_who_leaves_says_nothing,
	a_person_with_two_sockets_leaves_with_the_last_one,
	a_silent_gateway_keeps_its_people_through_lease_and_grace,
	an_empty_report_renews_the_lease,
	a_forgotten_gateway_is_asked_to_register_again,
	a_leaving_gateway_gives_its_clients_time_to_reconnect,
	a_full_report_replaces_what_was_known_of_that_gateway_only,
	a_new_process_of_the_same_name_drops_the_sockets_of_the_old_one_after_a_grace,
	in_the_first_lease_period_nobody_is_declared_offline,
	after_a_restart_only_differences_are_announced,
	a_choice_that_came_while_the_row_was_read_wins,
	who_becomes_invisible_before_the_row_is_read_is_announced_as_gone,
	a_choice_a_socket_brings_is_shown_and_remembered,
	a_full_report_does_not_bring_back_an_old_choice,
	a_team_that_is_joined_while_present_is_told_alone,
	coming_back_counts_as_activity_but_registering_again_does_not,
	a_socket_does_not_change_its_person,
	a_report_without_a_name_is_refused)
