#include "common/db/conn.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/db/schema.h"
#include "common/db/standby.h"
#include "common/ops/ops.h"

#define PROBE_UP_MS   1000
#define PROBE_DOWN_MS 200
#define STANDBY_TURNS 5 /* of the prober between looks at the standby */

enum reach { REACH_UNKNOWN, REACH_UP, REACH_DOWN };

struct db {
	struct conn_options options;
	char *url, *service;
	int most;

	pthread_mutex_t lock;
	pthread_cond_t changed; /* a connection is free, or the reach changed, or closing */
	struct db_conn **idle;  /* a stack: the warmest first */
	int idle_count, opened; /* opened includes those in use and those being opened */
	bool opened_before;
	enum reach reach;
	uint64_t generation; /* as it was met last; what was opened under another one is not used any more */
	struct standby standby; /* of the writing pool, as the prober saw it last */
	bool standby_seen;
	bool closing;

	pthread_t prober;
	pthread_cond_t prober_wakes;
};

static const struct db_stmt begin_stmt = {"db_begin", "BEGIN"};
static const struct db_stmt begin_snapshot_stmt = {
	"db_begin_snapshot", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"};
static const struct db_stmt commit_stmt = {"db_commit", "COMMIT"};
static const struct db_stmt rollback_stmt = {"db_rollback", "ROLLBACK"};
static const struct db_stmt probe_stmt = {"db_probe", "SELECT pg_is_in_recovery()"};

/* ---- whether the database is there */

/* Lock held. */
static void reach_set(struct db *db, enum reach reach)
{
	if (db->reach == reach)
		return;
	if (reach == REACH_DOWN)
		log_warn("database_away", LOG_STR("pool", db->options.read_only ? "read" : "write"));
	else
		log_info("database_up", LOG_STR("pool", db->options.read_only ? "read" : "write"));
	db->reach = reach;
	if (!db->options.read_only)
		metric_set(db_up, reach == REACH_UP);
	/* Whoever waits for a connection learns it at once. */
	pthread_cond_broadcast(&db->changed);
}

static bool probe(struct db *db, struct db_conn **conn)
{
	struct conn_step step = {.stmt = &probe_stmt};

	if (*conn == NULL && conn_open(&db->options, conn) != STATUS_OK)
		return false;
	enum status st = conn_run(*conn, &step, 1);
	/* A primary that became a standby answers reads and refuses every write. */
	if (st == STATUS_OK && !db->options.read_only && PQgetvalue(step.result, 0, 0)[0] != 0)
		st = STATUS_BUSY;
	conn_steps_clear(&step, 1);
	if (st == STATUS_OK)
		conn_meet(*conn);
	if (st != STATUS_OK) {
		conn_close(*conn);
		*conn = NULL;
	}
	return st == STATUS_OK;
}

/* Prober's thread. No lock held. */
static void look_at_standby(struct db *db, struct db_conn *conn)
{
	struct arena *mem = arena_create();
	struct standby now = {0};

	if (standby_look(conn, mem, &now) == STATUS_OK) {
		pthread_mutex_lock(&db->lock);
		bool differs = !db->standby_seen || db->standby.state != now.state;
		db->standby = now;
		db->standby_seen = true;
		pthread_mutex_unlock(&db->lock);
		metric_set(db_standbys, now.state == STANDBY_SYNCHRONOUS ? now.synchronous : 0);
		if (differs) {
			char words[160];
			log_info("standby", LOG_STR("is", standby_words(&now, words, sizeof words)));
		}
	}
	arena_destroy(mem);
}

bool standby_check(void *arg, char *detail, size_t detail_size)
{
	struct db *db = arg;

	pthread_mutex_lock(&db->lock);
	if (db->standby_seen)
		standby_words(&db->standby, detail, detail_size);
	else
		snprintf(detail, detail_size, "not seen yet");
	pthread_mutex_unlock(&db->lock);
	return true;
}

/* The prober's thread: asks each second, and more often while the database is away. */
static void *prober_run(void *arg)
{
	struct db *db = arg;
	struct db_conn *conn = NULL;
	unsigned turn = 0;

	pthread_mutex_lock(&db->lock);
	while (!db->closing) {
		pthread_mutex_unlock(&db->lock);
		bool had = conn != NULL;
		bool up = probe(db, &conn);
		if (!up && had) /* its own connection may be all that died */
			up = probe(db, &conn);
		if (up && !db->options.read_only && turn++ % STANDBY_TURNS == 0)
			look_at_standby(db, conn);
		pthread_mutex_lock(&db->lock);
		if (db->closing)
			break;
		reach_set(db, up ? REACH_UP : REACH_DOWN);
		if (up)
			db->generation = conn->generation;
		struct timespec until = clock_timespec(clock_mono_ms() + (up ? PROBE_UP_MS : PROBE_DOWN_MS));
		pthread_cond_timedwait(&db->prober_wakes, &db->lock, &until);
	}
	pthread_mutex_unlock(&db->lock);
	conn_close(conn);
	return NULL;
}

uint64_t db_generation(const struct db_conn *conn)
{
	return conn->generation;
}

uint64_t db_met_generation(struct db *db)
{
	pthread_mutex_lock(&db->lock);
	uint64_t generation = db->generation;
	pthread_mutex_unlock(&db->lock);
	return generation;
}

bool db_up(struct db *db)
{
	pthread_mutex_lock(&db->lock);
	bool up = db->reach == REACH_UP;
	pthread_mutex_unlock(&db->lock);
	return up;
}

/* ---- the pool */

enum status db_open(const struct db_options *options, struct db **out_db)
{

	assert(options->connections > 0);
	struct db *db = calloc(1, sizeof *db);
	struct db_conn **idle = calloc((size_t)options->connections, sizeof *idle);
	if (db == NULL || idle == NULL)
		abort();
	db->url = strdup(options->url != NULL ? options->url : "");
	db->service = strdup(options->service != NULL ? options->service : "guildhall");
	if (db->url == NULL || db->service == NULL)
		abort();
	db->options = (struct conn_options){.url = db->url,
		.service = db->service,
		.read_only = options->read_only,
		.generic_plans = options->generic_plans};
	db->most = options->connections;
	db->idle = idle;
	pthread_mutex_init(&db->lock, NULL);
	clock_cond_init(&db->changed);
	clock_cond_init(&db->prober_wakes);
	if (pthread_create(&db->prober, NULL, prober_run, db) != 0)
		abort();
	*out_db = db;
	return STATUS_OK;
}

void db_close(struct db *db)
{
	if (db == NULL)
		return;
	pthread_mutex_lock(&db->lock);
	db->closing = true;
	pthread_cond_broadcast(&db->changed);
	pthread_cond_signal(&db->prober_wakes);
	pthread_mutex_unlock(&db->lock);
	pthread_join(db->prober, NULL);
	assert(db->opened == db->idle_count); /* every connection was given back */
	for (int i = 0; i < db->idle_count; i++)
		conn_close(db->idle[i]);
	pthread_cond_destroy(&db->prober_wakes);
	pthread_cond_destroy(&db->changed);
	pthread_mutex_destroy(&db->lock);
	free(db->idle);
	free(db->url);
	free(db->service);
	free(db);
}

/* Opens a connection for a place in the pool that is already counted. No lock held. */
static enum status fill_place(struct db *db, struct db_conn **out_conn)
{
	enum status st = conn_open(&db->options, out_conn);

	pthread_mutex_lock(&db->lock);
	if (st == STATUS_OK) {
		(*out_conn)->db = db;
		if (db->opened_before)
			metric_add(db_reconnects, 1);
		db->generation = (*out_conn)->generation;
		reach_set(db, REACH_UP);
	} else {
		db->opened--;
		reach_set(db, REACH_DOWN);
	}
	pthread_mutex_unlock(&db->lock);
	return st;
}

enum status db_acquire(struct db *db, int64_t deadline_mono_ms, struct db_conn **out_conn)
{
	struct timespec until = clock_timespec(deadline_mono_ms);
	struct db_conn *conn = NULL;
	bool open = false, outdated = false;

	pthread_mutex_lock(&db->lock);
	for (;;) {
		if (db->closing || db->reach == REACH_DOWN)
			break;
		if (db->idle_count > 0) {
			conn = db->idle[--db->idle_count];
			outdated = db->generation != 0 && conn->generation != db->generation;
			break;
		}
		if (db->opened < db->most) {
			db->opened++;
			open = true;
			break;
		}
		if (pthread_cond_timedwait(&db->changed, &db->lock, &until) != 0 &&
			clock_mono_ms() >= deadline_mono_ms)
			break;
	}
	pthread_mutex_unlock(&db->lock);

	if (conn != NULL && (!conn_alive(conn) || outdated)) {
		conn_close(conn);
		conn = NULL;
		open = true;
		pthread_mutex_lock(&db->lock);
		db->opened_before = true;
		pthread_mutex_unlock(&db->lock);
	}
	if (open && fill_place(db, &conn) != STATUS_OK)
		conn = NULL;
	if (conn == NULL)
		return STATUS_BUSY;
	*out_conn = conn;
	return STATUS_OK;
}

void db_release(struct db_conn *conn)
{
	if (conn == NULL)
		return;
	struct db *db = conn->db;
	db_rollback(conn);
	bool keep = !conn->broken && PQtransactionStatus(conn->pg) == PQTRANS_IDLE;
	if (!keep)
		conn_close(conn);
	pthread_mutex_lock(&db->lock);
	if (keep) {
		db->idle[db->idle_count++] = conn;
	} else {
		db->opened--;
		db->opened_before = true;
	}
	pthread_cond_signal(&db->changed);
	pthread_mutex_unlock(&db->lock);
}

/* ---- statements and transactions */

enum status db_query(struct db_conn *conn, struct arena *mem, const struct db_stmt *stmt,
	const struct db_params *params, struct db_rows *out_rows)
{
	struct conn_step steps[2] = {{0}};
	size_t count = 0;

	if (conn->pending_begin != NULL)
		steps[count++].stmt = conn->pending_begin;
	steps[count].stmt = stmt;
	steps[count].params = params;
	conn->pending_begin = NULL;
	enum status st = conn_run(conn, steps, count + 1);
	if (st == STATUS_OK && out_rows != NULL)
		conn_step_rows(&steps[count], mem, out_rows);
	conn_steps_clear(steps, count + 1);
	return st;
}

enum status db_query_alone(struct db *db, struct arena *mem, const struct db_stmt *stmt, const struct db_params *params,
	int64_t deadline_mono_ms, struct db_rows *out_rows)
{
	struct db_conn *conn = NULL;

	enum status st = db_acquire(db, deadline_mono_ms, &conn);
	if (st == STATUS_OK)
		st = db_query(conn, mem, stmt, params, out_rows);
	db_release(conn);
	return st;
}

/* BEGIN travels with the first statement: a transaction without one costs nothing. */
enum status db_begin_snapshot(struct db_conn *conn)
{
	assert(conn->pending_begin == NULL);
	conn->pending_begin = &begin_snapshot_stmt;
	return conn->broken ? STATUS_BUSY : STATUS_OK;
}

enum status db_begin(struct db_conn *conn)
{
	assert(conn->pending_begin == NULL);
	conn->pending_begin = &begin_stmt;
	return conn->broken ? STATUS_BUSY : STATUS_OK;
}

enum status db_commit(struct db_conn *conn)
{
	struct conn_step step = {.stmt = &commit_stmt};

	if (conn->pending_begin != NULL) {
		conn->pending_begin = NULL;
		return STATUS_OK;
	}
	enum status st = conn_run(conn, &step, 1);
	/* COMMIT of a transaction that had failed says ROLLBACK. */
	if (st == STATUS_OK && strcmp(PQcmdStatus(step.result), "COMMIT") != 0)
		st = STATUS_INTERNAL;
	conn_steps_clear(&step, 1);
	return st;
}

void db_rollback(struct db_conn *conn)
{
	struct conn_step step = {.stmt = &rollback_stmt};

	conn->pending_begin = NULL;
	if (conn->broken || PQtransactionStatus(conn->pg) == PQTRANS_IDLE)
		return;
	if (conn_run(conn, &step, 1) != STATUS_OK)
		conn->broken = true;
	conn_steps_clear(&step, 1);
}

enum status db_script(struct db_conn *conn, const char *sql)
{
	if (conn->pending_begin != NULL) {
		struct conn_step step = {.stmt = conn->pending_begin};
		conn->pending_begin = NULL;
		enum status begun = conn_run(conn, &step, 1);
		conn_steps_clear(&step, 1);
		if (begun != STATUS_OK)
			return begun;
	}
	enum status st = conn_script(conn, sql, NULL, NULL);
	if (st != STATUS_OK)
		log_warn("script_failed", LOG_STR("sqlstate", conn->sqlstate), LOG_STATUS("status", st));
	return st;
}

/* ---- the schema */

static const struct db_stmt schema_there_stmt = {
	"db_schema_there", "SELECT to_regclass('public.schema_migrations') IS NOT NULL"};
static const struct db_stmt schema_stmt = {
	"db_schema", "SELECT version, checksum FROM public.schema_migrations ORDER BY version"};

static enum status schema_read(struct db *db, struct arena *mem, struct db_rows *out_rows)
{
	struct db_conn *conn = NULL;
	struct db_rows there = {0};

	enum status st = db_acquire(db, clock_mono_ms() + 3000, &conn);
	if (st != STATUS_OK)
		return st;
	st = db_query(conn, mem, &schema_there_stmt, NULL, &there);
	if (st == STATUS_OK && there.count == 1 && db_bool(&there, 0, 0))
		st = db_query(conn, mem, &schema_stmt, NULL, out_rows);
	db_release(conn);
	return st;
}

/* Both lists are in order of version. */
static const char *schema_compare(const struct db_rows *rows, const char **out_version)
{
	size_t known = 0;
	int row = 0;

	while (known < schema_version_count || row < rows->count) {
		const struct schema_version *ours =
			known < schema_version_count ? &schema_versions[known] : NULL;
		const char *theirs = row < rows->count ? db_text(rows, row, 0) : NULL;
		int order = ours == NULL ? 1 : theirs == NULL ? -1 : strcmp(ours->version, theirs);
		*out_version = order <= 0 ? ours->version : theirs;
		if (order < 0)
			return "missing";
		if (order > 0)
			return "unknown";
		if (strcmp(ours->checksum, db_text(rows, row, 1)) != 0)
			return "changed";
		known++;
		row++;
	}
	return NULL;
}

enum status db_check_schema(struct db *db)
{
	struct arena *mem = arena_create();
	struct db_rows rows = {0};
	const char *version = NULL;

	enum status st = schema_read(db, mem, &rows);
	const char *what = st == STATUS_OK ? schema_compare(&rows, &version) : NULL;
	if (what != NULL) {
		st = STATUS_CONFLICT;
		log_error("schema_differs", LOG_STR("version", version), LOG_STR("is", what),
			LOG_STR("do",
				strcmp(what, "missing") == 0 ? "run: guildhallctl migrate up"
				: strcmp(what, "unknown") == 0
					? "this build is older than the schema: run a newer one"
					: "an applied migration is another file in this build: run the build that made the schema"));
	}
	arena_destroy(mem);
	return st;
}
