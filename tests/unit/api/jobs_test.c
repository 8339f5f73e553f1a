/* Jobs against owners that only write down what they were told. */
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "common/rpc/stubs.h"
#include "services/api/jobs.h"
#include "tests/unit/api/fixture.h"

#define TEAMS 20 /* more than one commit takes */

struct owners {
	atomic_int told_messaging, told_moderation, erased, forgotten;
	atomic_bool away; /* messaging answers BUSY */
	char directory[64];
	const char *addresses[3];
	struct rpc_server *servers[3];
};
static struct owners owners;

static void put_person_messaging(void *service, struct rpc_call *call, const void *request, void *reply)
{
	if (atomic_load(&owners.away)) {
		rpc_fail(call, STATUS_BUSY, NULL, NULL, NULL);
		return;
	}
	atomic_fetch_add(&owners.told_messaging, 1);
	rpc_finish(call);
}

static void put_person_moderation(void *service, struct rpc_call *call, const void *request, void *reply)
{
	atomic_fetch_add(&owners.told_moderation, 1);
	rpc_finish(call);
}

static void erase_person(void *service, struct rpc_call *call, const void *request, void *reply)
{
	atomic_fetch_add(&owners.erased, 1);
	rpc_finish(call);
}

static void forget_person(void *service, struct rpc_call *call, const void *request, void *reply)
{
	atomic_fetch_add(&owners.forgotten, 1);
	rpc_finish(call);
}

static void list_team_ids(void *service, struct rpc_call *call, const void *request, void *reply)
{
	pb_TeamIdsReply *out = reply;

	out->team_ids = ARENA_ARRAY(call->mem, TEAMS, uint64_t);
	for (out->team_ids_count = 0; out->team_ids_count < TEAMS; out->team_ids_count++)
		out->team_ids[out->team_ids_count] = (uint64_t)(1000 + TEAMS - out->team_ids_count);
	rpc_finish(call);
}

static const struct rpc_binding of_messaging[] = {{&rpc_messaging_put_person, put_person_messaging}};
static const struct rpc_binding of_moderation[] = {
	{&rpc_moderation_put_person, put_person_moderation},
	{&rpc_moderation_erase_person, erase_person},
	{&rpc_moderation_list_team_ids, list_team_ids},
};

static const struct rpc_binding of_presence[] = {{&rpc_presence_forget_person, forget_person}};

/* Plays one owner: its server, and api's client of it. */
static void play(struct fixture *fx, size_t i, const char *name, enum owner owner, const struct rpc_binding *bindings, size_t count)
{
	owners.addresses[i] = arena_printf(fx->mem, "ipc://%s/%s", owners.directory, name);
	ck_assert_int_eq(rpc_server_start(&(struct rpc_server_options){.listen = owners.addresses[i],
						  .bindings = bindings,
						  .binding_count = count,
						  .workers = 1},
				 &owners.servers[i]),
		STATUS_OK);
	ck_assert_int_eq(rpc_client_create(name, owners.addresses[i], false, &fx->api.owners[owner].client), STATUS_OK);
}

static const enum owner played[] = {OWNER_messaging, OWNER_moderation, OWNER_presence};

static struct fixture *with_owners(void)
{
	struct fixture *fx = fixture_create();

	owners = (struct owners){.directory = "/tmp/guildhall-jobs-XXXXXX"};
	ck_assert_ptr_nonnull(mkdtemp(owners.directory));
	play(fx, 0, "messaging", played[0], of_messaging, 1);
	play(fx, 1, "moderation", played[1], of_moderation, 3);
	play(fx, 2, "presence", played[2], of_presence, 1);
	pg_exec(fx->url,
		"INSERT INTO log.streams (rank, id) SELECT 1, 1000 + n FROM generate_series(1, 20) n;"
		"INSERT INTO moderation.teams (id, name, owner_id, base_role_id, base_group_id, created_at_ms, created_by)"
		" SELECT 1000 + n, 'team', 1, 1, 1, 1, 1 FROM generate_series(1, 20) n");
	return fx;
}

/* What moderation's list says, in its tables. */
static void everybody_joins(struct fixture *fx)
{
	pg_exec(fx->url, "INSERT INTO moderation.members (team_id, user_id, joined_at_ms)"
			 " SELECT t.id, a.id, 1 FROM moderation.teams t, auth.accounts a");
}

static void without_owners(struct fixture *fx)
{
	for (size_t i = 0; i < 3; i++) {
		rpc_client_destroy(fx->api.owners[played[i]].client);
		rpc_server_stop(owners.servers[i]);
		unlink(owners.addresses[i] + strlen("ipc://"));
	}
	rmdir(owners.directory);
	fixture_destroy(fx);
}

static void rename_to(struct fixture *fx, const struct token_answer *who, const char *name)
{
	struct rpc_context ctx = by(fx, who);
	struct account_change change = {.has_display_name = true, .display_name = name};
	struct account_own own;

	ck_assert_int_eq(accounts_update(&fx->api, fx->mem, &ctx, &change, &own, &fx->outcome), STATUS_OK);
}

START_TEST(a_new_name_reaches_the_owners_and_every_team_once)
{
	struct fixture *fx = with_owners();
	struct token_answer alice = person(fx, "alice", NULL);

	everybody_joins(fx);
	rename_to(fx, &alice, "Alice");
	ck_assert_int_eq(jobs_start(&fx->api, &fx->api.jobs), STATUS_OK);
	jobs_nudge(fx->api.jobs);
	pg_await(fx->url, "SELECT count(*) FROM auth.jobs", 0);
	jobs_stop(fx->api.jobs);
	ck_assert_int_eq(atomic_load(&owners.told_messaging), 1);
	ck_assert_int_eq(atomic_load(&owners.told_moderation), 1);
	ck_assert_int_eq(
		pg_number(fx->url, "SELECT count(*) FROM log.events WHERE rank = 1 AND kind = 11"), TEAMS);
	ck_assert_int_eq(
		pg_number(fx->url, "SELECT count(*) FROM log.streams WHERE rank = 1 AND seq = 1"), TEAMS);
	without_owners(fx);
}
END_TEST

START_TEST(teams_that_were_left_since_the_list_was_made_are_told_nothing)
{
	struct fixture *fx = with_owners();
	struct token_answer alice = person(fx, "alice", NULL);

	everybody_joins(fx);
	pg_exec(fx->url,
		"UPDATE moderation.members SET left_at_ms = 2 WHERE team_id = 1003;"
		"INSERT INTO moderation.bans (scope, scope_id, team_id, user_id, by_id, created_at_ms)"
		" SELECT 1, team_id, team_id, user_id, 1, 2 FROM moderation.members WHERE team_id = 1004;"
		"UPDATE moderation.teams SET deleted_at_ms = 2 WHERE id > 1014");
	rename_to(fx, &alice, "Alice");
	ck_assert_int_eq(jobs_start(&fx->api, &fx->api.jobs), STATUS_OK);
	jobs_nudge(fx->api.jobs);
	pg_await(fx->url, "SELECT count(*) FROM auth.jobs", 0);
	jobs_stop(fx->api.jobs);
	ck_assert_int_eq(pg_number(fx->url, "SELECT count(*) FROM log.events WHERE rank = 1"), 12);
	ck_assert_int_eq(
		pg_number(fx->url, "SELECT count(*) FROM log.streams WHERE rank = 1 AND seq = 1 AND id <= 1014"
				   " AND id NOT IN (1003, 1004)"),
		12);
	without_owners(fx);
}
END_TEST

START_TEST(copies_share_the_id_of_the_first_event)
{
	struct fixture *fx = with_owners();
	struct token_answer alice = person(fx, "alice", NULL);

	everybody_joins(fx);
	rename_to(fx, &alice, "Alice");
	ck_assert_int_eq(jobs_start(&fx->api, &fx->api.jobs), STATUS_OK);
	jobs_nudge(fx->api.jobs);
	pg_await(fx->url, "SELECT count(*) FROM auth.jobs", 0);
	jobs_stop(fx->api.jobs);
	/* event_id is fixed64 field 3: tag 0x19 and eight bytes. */
	ck_assert_int_eq(pg_number(fx->url, "SELECT count(DISTINCT substring(payload FROM "
					    "position('\\x19'::bytea IN payload) FOR 9)) "
					    "FROM log.events WHERE kind = 11"),
		1);
	without_owners(fx);
}
END_TEST

START_TEST(what_fails_is_done_later)
{
	struct fixture *fx = with_owners();
	struct token_answer alice = person(fx, "alice", NULL);

	atomic_store(&owners.away, true);
	everybody_joins(fx);
	rename_to(fx, &alice, "Alice");
	ck_assert_int_eq(jobs_start(&fx->api, &fx->api.jobs), STATUS_OK);
	jobs_nudge(fx->api.jobs);
	pg_await(fx->url, "SELECT count(*) FROM auth.jobs WHERE attempts = 1 AND leased_until IS NULL", 1);
	ck_assert_int_eq(pg_number(fx->url, "SELECT count(*) FROM log.events WHERE rank = 1"), 0);
	atomic_store(&owners.away, false);
	pg_exec(fx->url, "UPDATE auth.jobs SET run_at = now()");
	jobs_nudge(fx->api.jobs);
	pg_await(fx->url, "SELECT count(*) FROM auth.jobs", 0);
	jobs_stop(fx->api.jobs);
	ck_assert_int_eq(pg_number(fx->url, "SELECT count(*) FROM log.events WHERE rank = 1"), TEAMS);
	without_owners(fx);
}
END_TEST

START_TEST(a_job_goes_on_where_a_copy_that_died_left_it)
{
	struct fixture *fx = with_owners();
	struct token_answer alice = person(fx, "alice", NULL);

	everybody_joins(fx);
	rename_to(fx, &alice, "Alice");
	pg_exec(fx->url, "UPDATE auth.jobs SET state = jsonb_set(state, '{after}', '\"1015\"'), leased_until "
			 "= now() - interval '1 s'");
	ck_assert_int_eq(jobs_start(&fx->api, &fx->api.jobs), STATUS_OK);
	jobs_nudge(fx->api.jobs);
	pg_await(fx->url, "SELECT count(*) FROM auth.jobs", 0);
	jobs_stop(fx->api.jobs);
	ck_assert_int_eq(
		pg_number(fx->url, "SELECT count(*) FROM log.events WHERE rank = 1 AND id > 1015"), 5);
	ck_assert_int_eq(pg_number(fx->url, "SELECT count(*) FROM log.events WHERE rank = 1"), 5);
	without_owners(fx);
}
END_TEST

START_TEST(a_leased_job_is_let_be)
{
	struct fixture *fx = with_owners();
	struct token_answer alice = person(fx, "alice", NULL), bob = person(fx, "bob", NULL);

	everybody_joins(fx);
	rename_to(fx, &alice, "Alice");
	pg_exec(fx->url, "UPDATE auth.jobs SET leased_until = now() + interval '1 hour'");
	rename_to(fx, &bob, "Bob");
	ck_assert_int_eq(jobs_start(&fx->api, &fx->api.jobs), STATUS_OK);
	jobs_nudge(fx->api.jobs);
	pg_await(fx->url, "SELECT count(*) FROM auth.jobs", 1);
	jobs_stop(fx->api.jobs);
	ck_assert_int_eq(atomic_load(&owners.told_messaging), 1);
	without_owners(fx);
}
END_TEST

START_TEST(an_erased_person_is_forgotten_by_every_owner)
{
	struct fixture *fx = with_owners();
	struct token_answer alice = person(fx, "alice", NULL);
	struct rpc_context ctx = by(fx, &alice);

	ck_assert_int_eq(accounts_close(&fx->api, fx->mem, &ctx, PASSWORD, &fx->outcome), STATUS_OK);
	ck_assert_int_eq(jobs_start(&fx->api, &fx->api.jobs), STATUS_OK);
	jobs_nudge(fx->api.jobs);
	pg_await(fx->url, "SELECT count(*) FROM auth.jobs", 0);
	jobs_stop(fx->api.jobs);
	ck_assert_int_eq(atomic_load(&owners.erased), 1);
	ck_assert_int_eq(atomic_load(&owners.forgotten), 1);
	ck_assert_int_eq(atomic_load(&owners.told_messaging), 1);
	ck_assert_int_eq(atomic_load(&owners.told_moderation), 1);
	without_owners(fx);
}
END_TEST

TESTS("jobs", a_new_name_reaches_the_owners_and_every_team_once,
	teams_that_were_left_since_the_list_was_made_are_told_nothing, copies_share_the_id_of_the_first_event,
	what_fails_is_done_later, a_job_goes_on_where_a_copy_that_died_left_it, a_leased_job_is_let_be,
	an_erased_person_is_forgotten_by_every_owner)
