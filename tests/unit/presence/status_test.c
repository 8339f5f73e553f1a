/*
 * Statuses as they lie in the database: needs the cluster of tests/with-postgres.
 */
#include "services/presence/status.h"
#include "tests/lib/pg.h"
#include "tests/unit/main.h"

#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/ids.h"

#define ANN        UINT64_C(5000000001)
#define FIRST_TEAM UINT64_C(6000000000)
#define NO_TEAM    UINT64_C(6999999999) /* has no stream */
#define NEVER      INT64_C(4000000000000)

struct fixture {
	char url[PG_URL_SIZE];
	struct config config;
	struct presence p;
	struct arena *mem;
	pb_RpcHeader header;
	struct rpc_call call;
	uint64_t teams[40];
};

/* Ann and teams 6000000000 .. 6000000039 have streams; she is a member of all of them. */
static void fixture_create(struct fixture *fx)
{
	*fx = (struct fixture){.mem = arena_create()};
	pg_database_create(fx->url);
	pg_exec(fx->url, "INSERT INTO log.streams (rank, id) VALUES (2, 5000000001);"
			 "INSERT INTO log.streams (rank, id) SELECT 1, 6000000000 + g FROM generate_series(0, 39) g;"
			 "INSERT INTO moderation.teams (id, name, owner_id, base_role_id, base_group_id, created_at_ms, created_by)"
			 " SELECT 6000000000 + g, 'team', 1, 1, 1, 1, 1 FROM generate_series(0, 39) g;"
			 "INSERT INTO moderation.members (team_id, user_id, joined_at_ms)"
			 " SELECT 6000000000 + g, 5000000001, 1 FROM generate_series(0, 39) g");
	fx->config = (struct config){.db_url = fx->url};
	ck_assert_int_eq(db_open(&(struct db_options){.url = fx->url, .service = "test", .connections = 2}, &fx->p.db), STATUS_OK);
	ck_assert_int_eq(
		committer_create(&(struct committer_options){.config = &fx->config, .service = "test"}, &fx->p.committer), STATUS_OK);
	fx->header.actor_id = ANN;
	fx->header.has_actor = true;
	fx->header.actor.id = ANN;
	fx->header.actor.username = "ann";
	fx->call = (struct rpc_call){.mem = fx->mem, .header = &fx->header};
	for (size_t i = 0; i < 40; i++)
		fx->teams[i] = FIRST_TEAM + i;
}

static void fixture_destroy(struct fixture *fx)
{
	committer_destroy(fx->p.committer);
	db_close(fx->p.db);
	arena_destroy(fx->mem);
}

static void new_request(struct fixture *fx)
{
	fx->header.request_id.size = 16;
	ids_random_bytes(fx->header.request_id.bytes, 16);
	fx->call.deadline_mono_ms = clock_mono_ms() + 30000;
}

static enum status set(struct fixture *fx, const char *text, int64_t expires_at_ms, bool away, size_t teams,
	struct commit_result *out)
{
	struct person_status status = {.text = text, .expires_at_ms = expires_at_ms, .clear_when_active = away};
	struct commit_result result = {0};
	enum status st;

	new_request(fx);
	st = status_change(&fx->p, &fx->call, &status, fx->teams, teams, &result);
	if (out != NULL)
		*out = result;
	return st;
}

static enum status clear(struct fixture *fx, size_t teams)
{
	const struct person_status none = {0};
	struct commit_result result = {0};

	new_request(fx);
	return status_change(&fx->p, &fx->call, &none, fx->teams, teams, &result);
}

static int64_t events_in_teams(struct fixture *fx)
{
	return pg_number(fx->url, "SELECT count(*) FROM log.events WHERE rank = 1");
}

static int64_t events_of_ann(struct fixture *fx)
{
	return pg_number(fx->url, "SELECT count(*) FROM log.events WHERE rank = 2");
}

static int64_t pending(struct fixture *fx)
{
	return pg_number(fx->url, "SELECT cardinality(status_pending) FROM presence.people");
}

static struct db_conn *connection(struct fixture *fx)
{
	struct db_conn *conn = NULL;

	ck_assert_int_eq(db_acquire(fx->p.db, clock_mono_ms() + 10000, &conn), STATUS_OK);
	return conn;
}

static struct person_due pending_of_ann(struct fixture *fx)
{
	struct db_conn *conn = connection(fx);
	struct person_due *due = NULL;
	size_t count = 0;

	ck_assert_int_eq(people_pending(conn, fx->mem, 10, &due, &count), STATUS_OK);
	db_release(conn);
	ck_assert_uint_eq(count, 1);
	return due[0];
}

static struct person_row row_of_ann(struct fixture *fx)
{
	struct db_conn *conn = connection(fx);
	struct person_row *rows = NULL;
	uint64_t id = ANN;
	size_t count = 0;

	ck_assert_int_eq(people_read(conn, fx->mem, &id, 1, &rows, &count), STATUS_OK);
	db_release(conn);
	ck_assert_uint_eq(count, 1);
	return rows[0];
}

START_TEST(a_status_is_told_to_the_person_and_to_each_team_in_one_commit)
{
	struct fixture fx;

	fixture_create(&fx);
	ck_assert_int_eq(set(&fx, "out for lunch", NEVER, false, 3, NULL), STATUS_OK);
	ck_assert_int_eq(events_of_ann(&fx), 1);
	ck_assert_int_eq(events_in_teams(&fx), 3);
	/* The same event, whichever stream it is in. */
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(DISTINCT payload) FROM log.events"), 1);
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM log.events WHERE rank = 1 AND audience = 'team:' || id"), 3);
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM log.events WHERE rank = 2 AND audience = 'user:5000000001'"), 1);
	ck_assert_str_eq(row_of_ann(&fx).status.text, "out for lunch");
	fixture_destroy(&fx);
}
END_TEST

START_TEST(further_teams_wait_in_the_row_and_get_their_copies)
{
	struct fixture fx;
	struct person_due due;

	fixture_create(&fx);
	ck_assert_int_eq(set(&fx, "busy", 0, false, 40, NULL), STATUS_OK);
	ck_assert_int_eq(events_in_teams(&fx), CUSTOM_STATUS_TEAMS);
	ck_assert_int_eq(pending(&fx), 40 - CUSTOM_STATUS_TEAMS);
	for (int round = 0; round < 2; round++) {
		due = pending_of_ann(&fx);
		ck_assert_int_eq(status_copy(&fx.p, fx.mem, &due, NULL, 0), STATUS_OK);
	}
	ck_assert_int_eq(pending(&fx), 0);
	ck_assert_int_eq(events_in_teams(&fx), 40);
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(DISTINCT id) FROM log.events WHERE rank = 1"), 40);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(copying_twice_tells_nobody_twice)
{
	struct fixture fx;
	struct person_due due;

	fixture_create(&fx);
	ck_assert_int_eq(set(&fx, "busy", 0, false, 20, NULL), STATUS_OK);
	due = pending_of_ann(&fx);
	ck_assert_int_eq(status_copy(&fx.p, fx.mem, &due, NULL, 0), STATUS_OK);
	ck_assert_int_eq(status_copy(&fx.p, fx.mem, &due, NULL, 0), STATUS_OK);
	ck_assert_int_eq(events_in_teams(&fx), 20);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_team_that_is_gone_stops_nobody_else)
{
	struct fixture fx;
	struct person_due due;

	fixture_create(&fx);
	fx.teams[2] = NO_TEAM;
	ck_assert_int_eq(set(&fx, "busy", 0, false, 4, NULL), STATUS_OK);
	ck_assert_int_eq(events_of_ann(&fx), 1);
	ck_assert_int_eq(pending(&fx), 4);
	due = pending_of_ann(&fx);
	ck_assert_int_eq(status_copy(&fx.p, fx.mem, &due, NULL, 0), STATUS_OK);
	ck_assert_int_eq(pending(&fx), 0);
	ck_assert_int_eq(events_in_teams(&fx), 3);
	fixture_destroy(&fx);
}
END_TEST

/* Each of the three ways out, of one team each. */
static void leave_three(struct fixture *fx, int first)
{
	char sql[1024];

	snprintf(sql, sizeof sql,
		"UPDATE moderation.members SET left_at_ms = 2 WHERE team_id = 6000000000 + %d;"
		"INSERT INTO moderation.bans (scope, scope_id, team_id, user_id, by_id, created_at_ms)"
		" SELECT 1, id, id, 5000000001, 1, 2 FROM moderation.teams WHERE id = 6000000000 + %d;"
		"UPDATE moderation.teams SET deleted_at_ms = 2 WHERE id = 6000000000 + %d",
		first, first + 1, first + 2);
	pg_exec(fx->url, sql);
}

START_TEST(a_team_that_was_left_after_the_list_was_made_is_told_nothing)
{
	struct fixture fx;
	struct person_due due;

	fixture_create(&fx);
	leave_three(&fx, 1);
	leave_three(&fx, 36);
	ck_assert_int_eq(set(&fx, "busy", 0, false, 40, NULL), STATUS_OK);
	ck_assert_int_eq(events_in_teams(&fx), CUSTOM_STATUS_TEAMS - 3);
	for (int round = 0; round < 2; round++) {
		due = pending_of_ann(&fx);
		ck_assert_int_eq(status_copy(&fx.p, fx.mem, &due, NULL, 0), STATUS_OK);
	}
	ck_assert_int_eq(pending(&fx), 0);
	ck_assert_int_eq(events_in_teams(&fx), 34);
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM log.events WHERE rank = 1"
					   " AND id - 6000000000 IN (1, 2, 3, 36, 37, 38)"),
		0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(the_end_of_a_status_is_not_told_to_a_team_that_was_left)
{
	struct fixture fx;
	struct person_due due;

	fixture_create(&fx);
	ck_assert_int_eq(set(&fx, "busy", 0, false, 8, NULL), STATUS_OK);
	leave_three(&fx, 0);
	leave_three(&fx, 5);
	ck_assert_int_eq(clear(&fx, 4), STATUS_OK);
	due = pending_of_ann(&fx);
	ck_assert_int_eq(status_copy(&fx.p, fx.mem, &due, NULL, 0), STATUS_OK);
	ck_assert_int_eq(pending(&fx), 0);
	ck_assert_int_eq(events_in_teams(&fx), 8 + 2);
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM log.streams WHERE rank = 1 AND seq = 2"
					   " AND id - 6000000000 IN (3, 4)"),
		2);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_lifted_ban_and_a_ban_from_a_channel_leave_a_member)
{
	struct fixture fx;

	fixture_create(&fx);
	pg_exec(fx.url, "INSERT INTO moderation.bans (scope, scope_id, team_id, user_id, by_id, created_at_ms, lifted_at_ms)"
			" VALUES (1, 6000000000, 6000000000, 5000000001, 1, 2, 3), (3, 77, 6000000001, 5000000001, 1, 2, NULL)");
	ck_assert_int_eq(set(&fx, "busy", 0, false, 2, NULL), STATUS_OK);
	ck_assert_int_eq(events_in_teams(&fx), 2);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(clearing_tells_everybody_who_was_told_before)
{
	struct fixture fx;
	struct person_due due;

	fixture_create(&fx);
	ck_assert_int_eq(set(&fx, "busy", 0, false, 3, NULL), STATUS_OK);
	ck_assert_int_eq(clear(&fx, 1), STATUS_OK);
	ck_assert_int_eq(events_of_ann(&fx), 2);
	ck_assert_int_eq(pending(&fx), 2);
	due = pending_of_ann(&fx);
	ck_assert_int_eq(status_copy(&fx.p, fx.mem, &due, NULL, 0), STATUS_OK);
	ck_assert_int_eq(events_in_teams(&fx), 6);
	ck_assert_ptr_null(row_of_ann(&fx).status.text);
	ck_assert_int_eq(pg_number(fx.url, "SELECT cardinality(status_team_ids) FROM presence.people"), 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(clearing_nothing_writes_nothing)
{
	struct fixture fx;

	fixture_create(&fx);
	ck_assert_int_eq(clear(&fx, 3), STATUS_OK);
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM log.events"), 0);
	ck_assert_int_eq(pg_number(fx.url, "SELECT sum(seq)::bigint FROM log.streams"), 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(the_timer_clears_what_has_run_out_and_nothing_else)
{
	struct fixture fx;
	struct person_due *due = NULL, ann = {.user_id = ANN, .team_ids = fx.teams, .team_count = 2};
	struct db_conn *conn;
	size_t count = 0;

	fixture_create(&fx);
	ck_assert_int_eq(set(&fx, "soon back", NEVER, false, 2, NULL), STATUS_OK);
	ck_assert_int_eq(status_expire(&fx.p, fx.mem, &ann, NULL, 0), STATUS_OK);
	ck_assert_int_eq(events_of_ann(&fx), 1);
	conn = connection(&fx);
	ck_assert_int_eq(people_expired(conn, fx.mem, NEVER - 1, 10, &due, &count), STATUS_OK);
	ck_assert_uint_eq(count, 0);
	ck_assert_int_eq(people_expired(conn, fx.mem, NEVER, 10, &due, &count), STATUS_OK);
	db_release(conn);
	ck_assert_uint_eq(count, 1);
	ck_assert_uint_eq(due[0].user_id, ANN);
	ck_assert_uint_eq(due[0].team_count, 2);
	pg_exec(fx.url, "UPDATE presence.people SET status_expires_at_ms = 1");
	ck_assert_int_eq(status_expire(&fx.p, fx.mem, &due[0], NULL, 0), STATUS_OK);
	ck_assert_int_eq(events_of_ann(&fx), 2);
	ck_assert_int_eq(events_in_teams(&fx), 4);
	ck_assert_ptr_null(row_of_ann(&fx).status.text);
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM log.events WHERE actor = 0"), 3);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(coming_back_ends_only_what_was_meant_to_end_with_it)
{
	struct fixture fx;
	struct person_due ann = {.user_id = ANN};

	fixture_create(&fx);
	ck_assert_int_eq(set(&fx, "stays", 0, false, 0, NULL), STATUS_OK);
	ck_assert_int_eq(status_end_away(&fx.p, fx.mem, &ann, NULL, 0), STATUS_OK);
	ck_assert_str_eq(row_of_ann(&fx).status.text, "stays");
	ck_assert_int_eq(set(&fx, "away", 0, true, 0, NULL), STATUS_OK);
	ck_assert_int_eq(status_end_away(&fx.p, fx.mem, &ann, NULL, 0), STATUS_OK);
	ck_assert_ptr_null(row_of_ann(&fx).status.text);
	fixture_destroy(&fx);
}
END_TEST

static size_t acted(struct fixture *fx, int64_t after_ms)
{
	struct db_conn *conn = connection(fx);
	struct person_due *due = NULL;
	size_t count = 0;

	ck_assert_int_eq(people_acted(conn, fx->mem, after_ms, 10, &due, &count), STATUS_OK);
	db_release(conn);
	return count;
}

static size_t active_at(struct fixture *fx, int64_t at_ms)
{
	const struct person_act acts[] = {{ANN, at_ms - 1}, {ANN, at_ms}};
	struct db_conn *conn = connection(fx);
	struct person_due *due = NULL;
	size_t count = 0;

	ck_assert_int_eq(people_clear_when_active(conn, fx->mem, acts, 2, &due, &count), STATUS_OK);
	db_release(conn);
	return count;
}

START_TEST(only_what_is_done_after_a_status_was_set_ends_it)
{
	struct fixture fx;

	fixture_create(&fx);
	int64_t before_ms = clock_wall_ms() - 60000;
	ck_assert_int_eq(set(&fx, "stays", 0, false, 0, NULL), STATUS_OK);
	ck_assert_int_eq(set(&fx, "also stays", 0, false, 0, NULL), STATUS_OK);
	ck_assert_uint_eq(acted(&fx, before_ms), 0);
	ck_assert_int_eq(set(&fx, "away", 0, true, 0, NULL), STATUS_OK);
	ck_assert_uint_eq(acted(&fx, before_ms), 0);
	ck_assert_uint_eq(active_at(&fx, before_ms), 0);
	ck_assert_uint_eq(active_at(&fx, clock_wall_ms() + 60000), 1);
	pg_exec(fx.url, "INSERT INTO log.requests (actor, request_id, created_at) SELECT user_id, 'x', status_since + interval '1 ms'"
			" FROM presence.people");
	ck_assert_uint_eq(acted(&fx, before_ms), 1);
	ck_assert_uint_eq(acted(&fx, clock_wall_ms() + 60000), 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_repeat_is_answered_and_changes_nothing)
{
	struct fixture fx;
	struct person_status status = {.text = "busy"};
	struct commit_result result = {0};

	fixture_create(&fx);
	ck_assert_int_eq(set(&fx, "busy", 0, false, 1, NULL), STATUS_OK);
	ck_assert_int_eq(status_change(&fx.p, &fx.call, &status, fx.teams, 1, &result), STATUS_OK);
	ck_assert(result.replayed);
	ck_assert_int_eq(events_of_ann(&fx), 1);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(who_was_signed_out_meanwhile_sets_nothing)
{
	struct fixture fx;
	struct commit_result result;

	fixture_create(&fx);
	pg_exec(fx.url, "UPDATE log.streams SET authz_epoch = 1 WHERE rank = 2");
	ck_assert_int_eq(set(&fx, "busy", 0, false, 1, &result), STATUS_STALE);
	ck_assert_str_eq(result.why, "session");
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM log.events"), 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(what_was_announced_is_read_back)
{
	struct fixture fx;
	struct person_seen seen = {ANN, PRESENCE_DND, 77};
	struct db_conn *conn;
	uint64_t *ids = NULL;
	size_t count = 0;

	fixture_create(&fx);
	conn = connection(&fx);
	ck_assert_int_eq(people_remember(conn, fx.mem, &seen, 1), STATUS_OK);
	seen.last_seen_at_ms = 0;
	ck_assert_int_eq(people_remember(conn, fx.mem, &seen, 1), STATUS_OK);
	ck_assert_int_eq(people_choose(conn, fx.mem, ANN, PRESENCE_INVISIBLE), STATUS_OK);
	ck_assert_int_eq(people_present(conn, fx.mem, 0, 10, &ids, &count), STATUS_OK);
	ck_assert_uint_eq(count, 1);
	db_release(conn);
	ck_assert_int_eq(row_of_ann(&fx).announced, PRESENCE_DND);
	ck_assert_int_eq(row_of_ann(&fx).chosen, PRESENCE_INVISIBLE);
	ck_assert_int_eq(row_of_ann(&fx).last_seen_at_ms, 77);
	conn = connection(&fx);
	ck_assert_int_eq(people_hide(conn, fx.mem, ids, count), STATUS_OK);
	ck_assert_int_eq(people_present(conn, fx.mem, 0, 10, &ids, &count), STATUS_OK);
	ck_assert_uint_eq(count, 0);
	ck_assert_int_eq(people_forget(conn, fx.mem, ANN), STATUS_OK);
	db_release(conn);
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM presence.people, presence.seen"), 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_status_has_bounds)
{
	char text[4 * 129 + 1] = "";
	const char *field = NULL, *detail = NULL;
	struct person_status status = {.text = text, .emoji = ":palm_tree:"};

	for (int i = 0; i < 128; i++)
		strcat(text, "ä");
	ck_assert_int_eq(status_validate(&status, 1000, &field, &detail), STATUS_OK);
	strcat(text, "ä");
	ck_assert_int_eq(status_validate(&status, 1000, &field, &detail), STATUS_FIELD_INVALID);
	ck_assert_str_eq(field, "message");
	ck_assert_int_eq(status_validate(&(struct person_status){0}, 1000, &field, &detail), STATUS_FIELD_INVALID);
	ck_assert_int_eq(status_validate(&(struct person_status){.text = "a", .expires_at_ms = 1000}, 1000, &field, &detail),
		STATUS_FIELD_INVALID);
	ck_assert_str_eq(field, "expires_at");
	ck_assert_int_eq(status_validate(&(struct person_status){.text = "a", .expires_at_ms = 1001}, 1000, &field, &detail),
		STATUS_OK);
}
END_TEST

START_TEST(team_ids_lose_doubles_and_zeros)
{
	struct arena *mem = arena_create();
	const uint64_t given[] = {9, 0, 3, 9, 3, 5};
	size_t count = 0;
	uint64_t *ids = status_team_ids(mem, given, 6, &count);

	ck_assert_uint_eq(count, 3);
	ck_assert_uint_eq(ids[0], 3);
	ck_assert_uint_eq(ids[1], 5);
	ck_assert_uint_eq(ids[2], 9);
	arena_destroy(mem);
}
END_TEST

TESTS("presence-status", a_status_is_told_to_the_person_and_to_each_team_in_one_commit,
	further_teams_wait_in_the_row_and_get_their_copies, copying_twice_tells_nobody_twice,
	a_team_that_is_gone_stops_nobody_else, a_team_that_was_left_after_the_list_was_made_is_told_nothing,
	the_end_of_a_status_is_not_told_to_a_team_that_was_left, a_lifted_ban_and_a_ban_from_a_channel_leave_a_member,
	clearing_tells_everybody_who_was_told_before, clearing_nothing_writes_nothing,
	the_timer_clears_what_has_run_out_and_nothing_else, coming_back_ends_only_what_was_meant_to_end_with_it,
	only_what_is_done_after_a_status_was_set_ends_it,
	a_repeat_is_answered_and_changes_nothing, who_was_signed_out_meanwhile_sets_nothing, what_was_announced_is_read_back,
	a_status_has_bounds, team_ids_lose_doubles_and_zeros)
