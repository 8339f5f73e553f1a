#include "services/presence/keeper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uthash.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/db/log_writer.h"
#include "common/ops/ops.h"
#include "services/presence/people.h"
#include "services/presence/status.h"

#define TICK_MS       200
#define ROUND_MS      1000
#define LOAD_BATCH    1000
#define JOB_BATCH     100
#define JOB_NAME      "presence_statuses"
#define JOB_LEASE_MS  5000 /* renewed in every round; what two copies do at once is decided under the lock */
#define ACTIVE_MOST   10000 /* who comes back beyond it keeps the status until the next time */
#define ACTS_OVERLAP_MS 30000 /* a commit is seen later than the moment it bears: by its own length, and clocks differ */
#define DEADLINE_MS   2000

/* What the database has to be told of one person. */
struct remembered {
	uint64_t user_id;
	enum presence_state shown;  /* 0: nothing was announced */
	enum presence_state chosen; /* 0: no choice to store */
	int64_t last_seen_at_ms;
	UT_hash_handle hh;
};

struct keeper {
	struct presence *p;
	pthread_t ticker, storer;
	pthread_mutex_t lock; /* taken inside the service's lock, never the other way round */
	pthread_cond_t changed;
	bool stopping, woken;
	bool jobs_woken;
	bool schema_known;
	struct remembered *remembered;
	struct person_act *active;
	size_t active_count;
	/* the storing thread's own */
	bool swept;
	uint64_t sweep_after;
	int64_t jobs_due_mono_ms;
	int64_t acts_seen_ms; /* wall clock: what people did before is looked at; 0: nothing is */
};

static void *must(void *memory)
{
	if (memory == NULL) {
		log_error("out_of_memory");
		abort();
	}
	return memory;
}

void keeper_wake(struct keeper *k)
{
	if (k == NULL)
		return;
	pthread_mutex_lock(&k->lock);
	k->woken = true;
	pthread_cond_broadcast(&k->changed);
	pthread_mutex_unlock(&k->lock);
}

void keeper_wake_jobs(struct keeper *k)
{
	if (k == NULL)
		return;
	pthread_mutex_lock(&k->lock);
	k->jobs_woken = true;
	pthread_mutex_unlock(&k->lock);
	keeper_wake(k);
}

/* The person's entry, made if need be; with the lock held. */
static struct remembered *remembered_of(struct keeper *k, uint64_t user_id)
{
	struct remembered *r = NULL;

	HASH_FIND(hh, k->remembered, &user_id, sizeof user_id, r);
	if (r == NULL) {
		r = must(calloc(1, sizeof *r));
		r->user_id = user_id;
		HASH_ADD(hh, k->remembered, user_id, sizeof r->user_id, r);
	}
	return r;
}

void keeper_remember(struct keeper *k, uint64_t user_id, enum presence_state shown, int64_t last_seen_at_ms)
{
	struct remembered *r;

	if (k == NULL)
		return;
	pthread_mutex_lock(&k->lock);
	r = remembered_of(k, user_id);
	r->shown = shown;
	r->last_seen_at_ms = last_seen_at_ms;
	pthread_mutex_unlock(&k->lock);
}

void keeper_chose(struct keeper *k, uint64_t user_id, enum presence_state chosen)
{
	if (k == NULL)
		return;
	pthread_mutex_lock(&k->lock);
	remembered_of(k, user_id)->chosen = chosen;
	pthread_mutex_unlock(&k->lock);
}

void keeper_active(struct keeper *k, uint64_t user_id)
{
	if (k == NULL)
		return;
	pthread_mutex_lock(&k->lock);
	if (k->active_count < ACTIVE_MOST)
		k->active[k->active_count++] = (struct person_act){user_id, clock_wall_ms()};
	pthread_mutex_unlock(&k->lock);
}

bool keeper_schema_known(struct keeper *k)
{
	bool known;

	pthread_mutex_lock(&k->lock);
	known = k->schema_known;
	pthread_mutex_unlock(&k->lock);
	return known;
}

/* Waits until woken, stopped or the time is over. */
static bool keeper_pause(struct keeper *k, int64_t ms, bool until_woken)
{
	struct timespec until = clock_timespec(clock_mono_ms() + ms);
	bool stopping;

	pthread_mutex_lock(&k->lock);
	while (!k->stopping && !(until_woken && k->woken))
		if (pthread_cond_timedwait(&k->changed, &k->lock, &until) == ETIMEDOUT)
			break;
	if (until_woken)
		k->woken = false;
	stopping = k->stopping;
	pthread_mutex_unlock(&k->lock);
	return !stopping;
}

/* ---- the ticking thread */
static void *tick(void *arg)
{
	struct keeper *k = arg;
	struct presence *p = k->p;

	while (keeper_pause(k, TICK_MS, false)) {
		int64_t now_mono_ms = clock_mono_ms();

		pthread_mutex_lock(&p->lock);
		sockets_tick(p->sockets, now_mono_ms, clock_wall_ms());
		typing_tick(p->typing, now_mono_ms);
		metric_set(presence_online, (int64_t)sockets_people(p->sockets));
		pthread_mutex_unlock(&p->lock);
	}
	return NULL;
}

/* ---- the storing thread */
/* Takes what was remembered; puts it back when it could not be written and nothing newer came. */
static struct remembered *remembered_take(struct keeper *k)
{
	struct remembered *all;

	pthread_mutex_lock(&k->lock);
	all = k->remembered;
	k->remembered = NULL;
	pthread_mutex_unlock(&k->lock);
	return all;
}

static void remembered_merge(struct remembered *newer, const struct remembered *older)
{
	if (newer->chosen == 0)
		newer->chosen = older->chosen;
	if (newer->shown == 0) {
		newer->shown = older->shown;
		newer->last_seen_at_ms = older->last_seen_at_ms;
	}
}

static void remembered_end(struct keeper *k, struct remembered *all, bool written)
{
	struct remembered *r, *next, *newer;

	HASH_ITER(hh, all, r, next) {
		HASH_DEL(all, r);
		newer = r;
		if (!written) {
			pthread_mutex_lock(&k->lock);
			HASH_FIND(hh, k->remembered, &r->user_id, sizeof r->user_id, newer);
			if (newer == NULL)
				HASH_ADD(hh, k->remembered, user_id, sizeof r->user_id, r);
			else
				remembered_merge(newer, r);
			pthread_mutex_unlock(&k->lock);
		}
		if (newer != NULL)
			free(r);
	}
}

static enum status flush(struct keeper *k, struct db_conn *conn, struct arena *mem)
{
	struct remembered *all = remembered_take(k), *r, *next;
	size_t count = HASH_COUNT(all), n = 0;
	struct person_seen *seen;
	enum status st = STATUS_OK;

	if (count == 0)
		return STATUS_OK;
	seen = ARENA_ARRAY(mem, count, struct person_seen);
	HASH_ITER(hh, all, r, next) {
		if (r->shown != 0)
			seen[n++] = (struct person_seen){r->user_id, r->shown, r->last_seen_at_ms};
		if (r->chosen != 0 && st == STATUS_OK)
			st = people_choose(conn, mem, r->user_id, r->chosen);
	}
	for (size_t i = 0; i < n && st == STATUS_OK; i += LOAD_BATCH)
		st = people_remember(conn, mem, seen + i, n - i < LOAD_BATCH ? n - i : LOAD_BATCH);
	remembered_end(k, all, st == STATUS_OK);
	return st;
}

/* Reads what people chose whose sockets came. What was announced of them meanwhile is written first: the row says
 * what others saw last. */
static enum status load(struct keeper *k, struct db_conn *conn, struct arena *mem, size_t *out_count)
{
	struct presence *p = k->p;
	uint64_t *ids = ARENA_ARRAY(mem, LOAD_BATCH, uint64_t);
	struct person_row *rows = NULL;
	size_t row_count = 0;
	int64_t now_wall_ms = clock_wall_ms();
	enum status st;

	pthread_mutex_lock(&p->lock);
	*out_count = sockets_unloaded(p->sockets, ids, LOAD_BATCH);
	pthread_mutex_unlock(&p->lock);
	st = flush(k, conn, mem);
	if (st == STATUS_OK && *out_count > 0)
		st = people_read(conn, mem, ids, *out_count, &rows, &row_count);
	if (st != STATUS_OK)
		return st;
	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < row_count; i++)
		sockets_loaded(p->sockets, rows[i].user_id, rows[i].chosen, rows[i].announced, rows[i].last_seen_at_ms,
			now_wall_ms);
	for (size_t i = 0; i < *out_count; i++) /* no row, or done already */
		sockets_loaded(p->sockets, ids[i], PRESENCE_ONLINE, PRESENCE_OFFLINE, 0, now_wall_ms);
	pthread_mutex_unlock(&p->lock);
	return STATUS_OK;
}

/* Once after the first lease period: who stands as present and did not come back is not announced (their teams are
 * not known here), but counts as offline, so that their next coming is announced. Rows of other copies'
 * people may be among them: that costs one announcement more. */
static enum status sweep(struct keeper *k, struct db_conn *conn, struct arena *mem)
{
	struct presence *p = k->p;
	struct presence_now now;
	uint64_t *ids = NULL;
	size_t count = 0, gone = 0;
	bool warm;
	enum status st;

	pthread_mutex_lock(&p->lock);
	warm = sockets_warm(p->sockets, clock_mono_ms() - SOCKETS_GRACE_MS);
	pthread_mutex_unlock(&p->lock);
	if (k->swept || !warm)
		return STATUS_OK;
	st = people_present(conn, mem, k->sweep_after, LOAD_BATCH, &ids, &count);
	if (st != STATUS_OK)
		return st;
	if (count == 0) {
		k->swept = true;
		return STATUS_OK;
	}
	k->sweep_after = ids[count - 1];
	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < count; i++)
		if (!sockets_get(p->sockets, ids[i], 0, &now))
			ids[gone++] = ids[i];
	pthread_mutex_unlock(&p->lock);
	return gone == 0 ? STATUS_OK : people_hide(conn, mem, ids, gone);
}

typedef enum status status_job(struct presence *p, struct arena *mem, const struct person_due *due, const uint8_t *view,
	size_t view_length);

/* One after the other. One that fails is found again in the next round and does not stop the rest, unless the
 * database is what failed. Returns how many are done. */
static size_t run_jobs(struct keeper *k, struct arena *mem, const struct person_due *due, size_t count, status_job *job)
{
	struct presence *p = k->p;
	size_t done = 0;

	for (size_t i = 0; i < count; i++) {
		const uint8_t *view;
		size_t length = 0;
		enum status st;

		pthread_mutex_lock(&p->lock);
		view = sockets_view(p->sockets, due[i].user_id, &length);
		if (view != NULL)
			view = arena_memdup(mem, view, length);
		pthread_mutex_unlock(&p->lock);
		st = job(p, mem, &due[i], view, length);
		if (st == STATUS_BUSY || st == STATUS_LATE)
			break;
		if (st == STATUS_OK)
			done++;
		else
			log_warn("status_job_failed", LOG_ID("user", due[i].user_id), LOG_STATUS("status", st));
	}
	return done;
}

/* Ends the statuses of who did something. */
static enum status end_acted(struct keeper *k, struct db_conn *conn, struct arena *mem, bool *out_more)
{
	struct person_due *due = NULL;
	size_t count = 0;
	int64_t now_ms = clock_wall_ms();
	enum status st = people_acted(conn, mem, k->acts_seen_ms, JOB_BATCH, &due, &count);

	if (st != STATUS_OK)
		return st;
	size_t done = run_jobs(k, mem, due, count, status_end_away);
	*out_more = *out_more || done == JOB_BATCH;
	if (done == count && count < JOB_BATCH)
		k->acts_seen_ms = now_ms - ACTS_OVERLAP_MS;
	return STATUS_OK;
}

static enum status jobs(struct keeper *k, struct db_conn *conn, struct arena *mem, bool *out_more)
{
	struct person_due *due = NULL;
	size_t count = 0;
	bool mine = false;
	enum status st = job_lease(conn, JOB_NAME, k->p->instance, JOB_LEASE_MS, &mine);

	if (st != STATUS_OK || !mine) {
		k->acts_seen_ms = 0; /* another copy looks; what it did not come to is looked for from the beginning */
		return st;
	}
	st = people_expired(conn, mem, clock_wall_ms(), JOB_BATCH, &due, &count);
	if (st != STATUS_OK)
		return st;
	*out_more = run_jobs(k, mem, due, count, status_expire) == JOB_BATCH;
	st = end_acted(k, conn, mem, out_more);
	if (st != STATUS_OK)
		return st;
	st = people_pending(conn, mem, JOB_BATCH, &due, &count);
	if (st != STATUS_OK)
		return st;
	if (run_jobs(k, mem, due, count, status_copy) == 0)
		return STATUS_OK;
	*out_more = *out_more || count == JOB_BATCH;
	for (size_t i = 0; i < count; i++)
		*out_more = *out_more || due[i].team_count > CUSTOM_STATUS_TEAMS;
	return STATUS_OK;
}

static enum status end_away(struct keeper *k, struct db_conn *conn, struct arena *mem)
{
	struct person_due *due = NULL;
	size_t count = 0, active_count;
	struct person_act *active;
	enum status st;

	pthread_mutex_lock(&k->lock);
	active_count = k->active_count;
	active = arena_memdup(mem, k->active, active_count * sizeof *active);
	k->active_count = 0;
	pthread_mutex_unlock(&k->lock);
	if (active_count == 0)
		return STATUS_OK;
	st = people_clear_when_active(conn, mem, active, active_count, &due, &count);
	if (st == STATUS_OK)
		(void)run_jobs(k, mem, due, count, status_end_away);
	return st;
}

/* Rounds that only load people leave the jobs and their lease alone. */
static bool jobs_wanted(struct keeper *k)
{
	bool woken;

	pthread_mutex_lock(&k->lock);
	woken = k->jobs_woken;
	k->jobs_woken = false;
	pthread_mutex_unlock(&k->lock);
	return woken || clock_mono_ms() >= k->jobs_due_mono_ms;
}

/* One round; *out_more: there is work left that need not wait. */
static enum status round_of(struct keeper *k, struct arena *mem, bool *out_more)
{
	struct db_conn *conn = NULL;
	size_t loaded = 0;
	enum status st = db_acquire(k->p->db, clock_mono_ms() + DEADLINE_MS, &conn);

	if (st != STATUS_OK)
		return st;
	st = load(k, conn, mem, &loaded);
	*out_more = loaded == LOAD_BATCH;
	if (st == STATUS_OK)
		st = sweep(k, conn, mem);
	if (st == STATUS_OK)
		st = end_away(k, conn, mem);
	if (st == STATUS_OK && jobs_wanted(k)) {
		bool more = false;

		st = jobs(k, conn, mem, &more);
		if (!more)
			k->jobs_due_mono_ms = clock_mono_ms() + ROUND_MS / 2;
		*out_more = *out_more || more;
	}
	db_release(conn);
	return st;
}

static void schema_look(struct keeper *k)
{
	enum status st = db_check_schema(k->p->db);

	if (st == STATUS_CONFLICT)
		_exit(LOG_EXIT_SCHEMA); /* db_check_schema has logged the command to run */
	if (st != STATUS_OK)
		return;
	pthread_mutex_lock(&k->lock);
	k->schema_known = true;
	pthread_mutex_unlock(&k->lock);
}

static void *store(void *arg)
{
	struct keeper *k = arg;
	struct arena *mem = arena_create();
	bool up = true;
	int64_t pause_ms = 0;

	while (pause_ms == 0 || keeper_pause(k, pause_ms, true)) {
		bool more = false;
		enum status st = STATUS_BUSY;

		arena_reset(mem);
		if (!keeper_schema_known(k))
			schema_look(k);
		if (keeper_schema_known(k))
			st = round_of(k, mem, &more);
		if (up != (st == STATUS_OK)) {
			up = st == STATUS_OK;
			if (up)
				log_info("presence_store_back");
			else
				log_warn("presence_store_away", LOG_STATUS("status", st));
		}
		pause_ms = more && up ? 1 : ROUND_MS;
	}
	arena_reset(mem);
	if (keeper_schema_known(k)) {
		struct db_conn *conn = NULL;

		if (db_acquire(k->p->db, clock_mono_ms() + DEADLINE_MS, &conn) == STATUS_OK)
			(void)flush(k, conn, mem); /* what stays unwritten costs an announcement after the restart */
		db_release(conn);
	}
	arena_destroy(mem);
	return NULL;
}

void keeper_start(struct presence *p, bool check_schema)
{
	struct keeper *k = must(calloc(1, sizeof *k));

	k->p = p;
	k->schema_known = !check_schema;
	k->active = must(calloc(ACTIVE_MOST, sizeof *k->active));
	pthread_mutex_init(&k->lock, NULL);
	clock_cond_init(&k->changed);
	p->keeper = k;
	if (pthread_create(&k->ticker, NULL, tick, k) != 0 || pthread_create(&k->storer, NULL, store, k) != 0) {
		log_error("thread_refused");
		abort();
	}
}

void keeper_stop(struct keeper *k)
{
	struct remembered *r, *next;

	if (k == NULL)
		return;
	pthread_mutex_lock(&k->lock);
	k->stopping = true;
	pthread_cond_broadcast(&k->changed);
	pthread_mutex_unlock(&k->lock);
	pthread_join(k->ticker, NULL);
	pthread_join(k->storer, NULL);
	HASH_ITER(hh, k->remembered, r, next) {
		HASH_DEL(k->remembered, r);
		free(r);
	}
	pthread_cond_destroy(&k->changed);
	pthread_mutex_destroy(&k->lock);
	free(k->active);
	free(k);
}
