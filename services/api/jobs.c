#include "services/api/jobs.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/ticker.h"
#include "common/db/committer.h"
#include "common/json/writer.h"
#include "common/rpc/stubs.h"
#include "services/api/accounts.h"
#include "services/api/bots.h"
#include "services/api/change.h"
#include "services/api/idempotency.h"
#include "services/api/sessions.h"

#define LOOK_EVERY_MS    1000
#define PURGE_EVERY_MS   INT64_C(3600000)
#define STEP_DEADLINE_MS 5000
#define TEAMS_A_COMMIT   15
/* Much longer than all calls of one step may take; a copy that died holds its job no longer. */
#define LEASE_S     "60"

struct jobs {
	struct api *api;
	struct arena *mem;
	int64_t purge_at_mono_ms;
	struct ticker ticker;
};

/* ---- adding, inside a change */

static const struct db_stmt add = {"jobs_add",
	"INSERT INTO auth.jobs (kind, account_id, state) VALUES ($1::text, $2, ($3::text)::jsonb)"};

static enum status add_job(struct log_tx *tx, const char *kind, uint64_t account_id, const char *state)
{
	struct db_params params;

	db_params_begin(&params, log_tx_mem(tx));
	db_put_text(&params, kind);
	db_put_id(&params, account_id);
	db_put_text(&params, state);
	return log_tx_query(tx, &add, &params, NULL);
}

enum status jobs_add_profile(
	struct log_tx *tx, uint64_t account_id, char *const *changed, size_t changed_count, uint64_t event_id)
{
	struct json_writer w;
	size_t length;

	jw_begin(&w, log_tx_mem(tx), 128);
	jw_object(&w);
	jw_key(&w, "changed");
	jw_array(&w);
	for (size_t i = 0; i < changed_count; i++)
		jw_str(&w, changed[i]);
	jw_array_end(&w);
	/* As text: JSON numbers are doubles to many. */
	jw_kv(&w, str, "event_id", arena_printf(log_tx_mem(tx), "%llu", (unsigned long long)event_id));
	jw_kv(&w, str, "after", "0");
	jw_object_end(&w);
	return add_job(tx, "profile", account_id, jw_end(&w, &length));
}

enum status jobs_add_erase(struct log_tx *tx, uint64_t account_id)
{
	return add_job(tx, "erase", account_id, "{}");
}

enum status jobs_add_bots(struct log_tx *tx, uint64_t account_id)
{
	return add_job(tx, "bots", account_id, "{}");
}

/* ---- claiming */

struct job {
	uint64_t id, account_id;
	const char *kind;
	int64_t attempts;
	/* of profile jobs */
	uint64_t event_id, after; /* teams up to `after` were told */
	const char *changed;      /* names apart by commas */
};

static const struct db_stmt claim = {"jobs_claim",
	"UPDATE auth.jobs SET attempts = attempts + 1, leased_until = clock_timestamp() + interval '" LEASE_S
	" seconds' "
	"WHERE id = (SELECT id FROM auth.jobs WHERE run_at <= clock_timestamp() "
	"AND (leased_until IS NULL OR leased_until < clock_timestamp()) ORDER BY run_at, id LIMIT 1 FOR "
	"UPDATE SKIP LOCKED) "
	"RETURNING id, account_id, kind, attempts, state ->> 'event_id', state ->> 'after', "
	"array_to_string(ARRAY(SELECT jsonb_array_elements_text(state -> 'changed')), ',')"};
static const struct db_stmt done = {"jobs_done", "DELETE FROM auth.jobs WHERE id = $1"};
/* From 1 s doubling to 5 minutes. */
static const struct db_stmt later = {"jobs_later",
	"UPDATE auth.jobs SET leased_until = NULL, "
	"run_at = clock_timestamp() + least(300, power(2, least(attempts, 9)) / 2) * interval '1 second' "
	"WHERE id = $1"};

static enum status on_connection(struct api *api, struct arena *mem, const struct db_stmt *stmt,
	const uint64_t *id, struct db_rows *out_rows)
{
	struct db_params params;

	db_params_begin(&params, mem);
	if (id != NULL)
		db_put_id(&params, *id);
	return db_query_alone(api->db, mem, stmt, &params, clock_mono_ms() + STEP_DEADLINE_MS, out_rows);
}

/* ---- doing */

/* The system's call of one step of one job: a repeat has the same request id, so it is the same call. */
struct step {
	uint8_t request_id[REQUEST_ID_BYTES];
	struct rpc_context ctx;
};

static void step_begin(struct step *s, struct arena *mem, const struct job *job, const char *name)
{
	uint8_t of_job[REQUEST_ID_BYTES];

	request_id_from_key(of_job, arena_printf(mem, "auth.jobs/%llu/%llu", (unsigned long long)job->id,
					    (unsigned long long)job->account_id));
	request_id_derive(s->request_id, of_job, name);
	s->ctx = (struct rpc_context){
		.request_id = s->request_id,
		.request_id_length = sizeof s->request_id,
		.deadline_mono_ms = clock_mono_ms() + STEP_DEADLINE_MS,
		.retry = true,
	};
}

static enum status tell_people(
	struct api *api, struct arena *mem, const struct job *job, const pb_UserView *user)
{
	struct rpc_outcome outcome;
	struct step s;
	pb_Empty nothing;

	step_begin(&s, mem, job, "messaging");
	enum status st = messaging_put_person(api->owners[OWNER_messaging].client, mem, &s.ctx,
		&(pb_MessagingPersonRequest){.has_user = true, .user = *user}, &nothing, &outcome);
	if (st != STATUS_OK)
		return st;
	step_begin(&s, mem, job, "moderation");
	return moderation_put_person(api->owners[OWNER_moderation].client, mem, &s.ctx,
		&(pb_PutPersonRequest){.has_user = true, .user = *user}, &nothing, &outcome);
}

struct copies {
	const struct job *job;
	const pb_UserView *user;
	uint64_t event_id;
	char **changed;
	size_t changed_count;
	const uint64_t *teams;
	size_t team_count;
};

static const struct db_stmt advance = {"jobs_advance",
	"UPDATE auth.jobs SET state = jsonb_set(state, '{after}', to_jsonb($2::text)) WHERE id = $1"};

/* Where the job stands is written with the events: after a crash it goes on behind them. */
static enum status copies_work(struct log_tx *tx, void *arg)
{
	const struct copies *c = arg;
	struct db_params params;
	uint64_t *teams = NULL;
	size_t team_count = 0;
	/* moderation's list was made before the lock: a ban, a kick or the team's end may lie between. */
	enum status st = log_tx_member_teams(tx, c->user->id, c->teams, c->team_count, &teams, &team_count);

	for (size_t i = 0; st == STATUS_OK && i < team_count; i++) {
		pb_Event event = {
			.has_actor = true,
			.actor = *c->user,
			.event_id = c->event_id,
			.which_body = pb_Event_account_updated_tag,
			.body.account_updated = {.has_user = true,
				.user = *c->user,
				.changed_count = (pb_size_t)c->changed_count,
				.changed = c->changed},
		};
		char audience[AUDIENCE_SIZE];
		audience_key(audience, "team", teams[i]);
		st = log_tx_append(tx, STREAM_TEAM(teams[i]), audience, &event, NULL);
	}
	if (st != STATUS_OK)
		return st;
	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, c->job->id);
	db_put_text(&params,
		arena_printf(log_tx_mem(tx), "%llu", (unsigned long long)c->teams[c->team_count - 1]));
	return log_tx_query(tx, &advance, &params, NULL);
}

static int by_id(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static enum status tell_teams(
	struct api *api, struct arena *mem, const struct job *job, const pb_UserView *user)
{
	struct copies c = {.job = job, .user = user, .event_id = job->event_id};
	struct rpc_outcome outcome;
	pb_TeamIdsReply teams;
	struct step s;

	c.changed = (char **)config_list(mem, job->changed, &c.changed_count);
	step_begin(&s, mem, job, "teams");
	s.ctx.request_id = NULL;
	s.ctx.request_id_length = 0;
	enum status st = moderation_list_team_ids(api->owners[OWNER_moderation].client, mem, &s.ctx,
		&(pb_TeamIdsRequest){.user_id = user->id}, &teams, &outcome);
	if (st != STATUS_OK)
		return st;
	if (teams.team_ids_count > 0)
		qsort(teams.team_ids, teams.team_ids_count, sizeof *teams.team_ids, by_id);
	for (size_t i = 0; st == STATUS_OK && i < teams.team_ids_count; i += c.team_count) {
		c.teams = teams.team_ids + i;
		c.team_count =
			teams.team_ids_count - i < TEAMS_A_COMMIT ? teams.team_ids_count - i : TEAMS_A_COMMIT;
		if (c.teams[0] <= job->after) { /* told before the last attempt failed */
			c.team_count = 1;
			continue;
		}
		struct rpc_context ctx = {.deadline_mono_ms = clock_mono_ms() + STEP_DEADLINE_MS};
		struct commit_op op;
		change_begin(&op, &ctx, copies_work, &c);
		for (size_t t = 0; t < c.team_count; t++)
			change_stream(&op, STREAM_TEAM(c.teams[t]));
		st = change_commit(api, mem, &op, NULL, &outcome);
	}
	return st;
}

static enum status do_profile(struct api *api, struct arena *mem, const struct job *job)
{
	pb_UserView *user;
	size_t count;
	enum status st = accounts_get_many(
		api, mem, &job->account_id, 1, clock_mono_ms() + STEP_DEADLINE_MS, &user, NULL, &count);

	if (st != STATUS_OK)
		return st;
	if (count == 0 || user->erased) /* the job that erases says all there is to say */
		return STATUS_OK;
	st = tell_people(api, mem, job, user);
	return st == STATUS_OK ? tell_teams(api, mem, job, user) : st;
}

static enum status do_erase(struct api *api, struct arena *mem, const struct job *job)
{
	struct rpc_outcome outcome;
	pb_UserView *user;
	pb_Empty nothing;
	struct step s;
	size_t count;
	enum status st = accounts_get_many(
		api, mem, &job->account_id, 1, clock_mono_ms() + STEP_DEADLINE_MS, &user, NULL, &count);

	if (st != STATUS_OK || count == 0)
		return st;
	step_begin(&s, mem, job, "erase");
	st = moderation_erase_person(api->owners[OWNER_moderation].client, mem, &s.ctx,
		&(pb_ErasePersonRequest){.user_id = job->account_id}, &nothing, &outcome);
	if (st == STATUS_OK)
		st = presence_forget_person(api->owners[OWNER_presence].client, mem, &s.ctx,
			&(pb_ForgetPersonRequest){.user_id = job->account_id}, &nothing, &outcome);
	return st == STATUS_OK ? tell_people(api, mem, job, user) : st;
}

static uint64_t number_of(const char *text)
{
	return text == NULL ? 0 : strtoull(text, NULL, 10);
}

/* One job, if any is due. False: there was none, or the database is away. */
static bool take_one(struct jobs *jobs, struct arena *mem)
{
	struct api *api = jobs->api;
	struct db_rows rows = {0};

	if (on_connection(api, mem, &claim, NULL, &rows) != STATUS_OK || rows.count == 0)
		return false;
	struct job job = {
		.id = db_id(&rows, 0, 0),
		.account_id = db_id(&rows, 0, 1),
		.kind = db_text(&rows, 0, 2),
		.attempts = db_i64(&rows, 0, 3),
		.event_id = number_of(db_text(&rows, 0, 4)),
		.after = number_of(db_text(&rows, 0, 5)),
		.changed = db_text(&rows, 0, 6),
	};
	char trace[IDS_TRACE_SIZE];
	ids_trace(trace);
	log_set_trace(trace);
	enum status st = STATUS_INTERNAL;
	if (strcmp(job.kind, "profile") == 0)
		st = do_profile(api, mem, &job);
	else if (strcmp(job.kind, "erase") == 0)
		st = do_erase(api, mem, &job);
	else if (strcmp(job.kind, "bots") == 0)
		st = bots_follow_owner(api, mem, job.account_id, clock_mono_ms() + STEP_DEADLINE_MS);
	if (st == STATUS_OK)
		log_info("job_done", LOG_STR("kind", job.kind), LOG_ID("account", job.account_id));
	else
		log_warn("job_postponed", LOG_STR("kind", job.kind), LOG_ID("account", job.account_id),
			LOG_I64("attempts", job.attempts), LOG_STATUS("why", st));
	(void)on_connection(api, mem, st == STATUS_OK ? &done : &later, &job.id,
		NULL); /* else the lease ends by itself */
	log_set_trace(NULL);
	return true;
}

static void purge_sessions(struct jobs *jobs, struct arena *mem)
{
	int64_t before_ms = clock_wall_ms() - jobs->api->config->purge_after_days * INT64_C(86400000);
	size_t count = 0;

	if (sessions_purge(jobs->api, mem, before_ms, clock_mono_ms() + STEP_DEADLINE_MS, &count) ==
			STATUS_OK &&
		count > 0)
		log_info("sessions_purged", LOG_U64("count", count));
}

/* ---- the thread */

static int64_t jobs_turn(void *arg)
{
	struct jobs *jobs = arg;

	if (!db_up(jobs->api->db))
		return LOOK_EVERY_MS;
	while (!ticker_stopping(&jobs->ticker) && take_one(jobs, jobs->mem))
		arena_reset(jobs->mem);
	if (clock_mono_ms() >= jobs->purge_at_mono_ms) {
		purge_sessions(jobs, jobs->mem);
		jobs->purge_at_mono_ms = clock_mono_ms() + PURGE_EVERY_MS;
	}
	arena_reset(jobs->mem);
	return LOOK_EVERY_MS;
}

enum status jobs_start(struct api *api, struct jobs **out_jobs)
{
	struct jobs *jobs = calloc(1, sizeof *jobs);

	if (jobs == NULL)
		return STATUS_INTERNAL;
	jobs->api = api;
	jobs->mem = arena_create();
	jobs->purge_at_mono_ms = clock_mono_ms() + PURGE_EVERY_MS;
	enum status st = ticker_start(&jobs->ticker, LOOK_EVERY_MS, jobs_turn, jobs);
	if (st != STATUS_OK) {
		log_error("thread_failed", LOG_STR("thread", "jobs"));
		arena_destroy(jobs->mem);
		free(jobs);
		return st;
	}
	*out_jobs = jobs;
	return STATUS_OK;
}

void jobs_stop(struct jobs *jobs)
{
	if (jobs == NULL)
		return;
	ticker_stop(&jobs->ticker);
	arena_destroy(jobs->mem);
	free(jobs);
}

void jobs_nudge(struct jobs *jobs)
{
	if (jobs != NULL)
		ticker_wake(&jobs->ticker);
}
