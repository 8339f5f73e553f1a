/*
 * The upkeep thread of a process: leaves, retention, purge, the node lease. Every piece of work shared between copies is
 * done by the one that has its lease in log.jobs.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/ticker.h"
#include "common/db/conn.h"
#include "common/db/log.h"
#include "common/db/node_lease.h"

#define TURN_MS        1000
#define LEAVES_AHEAD   2 /* days */
#define HOURLY_MS      3600000
#define PURGE_EVERY_MS 60000
#define PURGE_CHUNK    5000
#define PURGE_CHUNKS   60 /* of one turn */
#define RETRY_MS       5000
#define JOB_LIFE_MS    120000
/* No statement of the thread may outlast the node lease (25 s), which is at most 5 s old when one begins. */
#define DETACH_TIMEOUTS "SET statement_timeout = '15s'; SET lock_timeout = '10s'"
#define OWN_TIMEOUTS    "SET statement_timeout = '5s'; SET lock_timeout = '2s'"

struct log_upkeep {
	struct db *db;
	struct node_lease *node;
	char holder[80];
	int64_t retention_h;

	struct ticker ticker;

	/* of the thread alone; monotonic times at which each is due */
	int64_t leaves_at_ms, retention_at_ms, purge_at_ms;
};

/* Between two pieces of work: without the node every id of the process would wait for the housekeeping. */
static void keep_node(struct log_upkeep *u, struct db_conn *conn)
{
	if (u != NULL && node_lease_due(u->node, clock_mono_ms()))
		node_lease_turn(u->node, conn);
}

/* ---- leases of jobs */

enum status job_lease(struct db_conn *conn, const char *name, const char *holder, int life_ms, bool *out_mine)
{
	static const struct db_stmt lease_stmt = {"job_lease",
		"INSERT INTO log.jobs AS j (name, holder, until) VALUES ($1, $2, clock_timestamp() + $3 * interval '1 millisecond')"
		" ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until"
		" WHERE j.holder = excluded.holder OR j.until < clock_timestamp()"};
	struct arena *mem = arena_create();
	struct db_params p;
	struct db_rows rows = {0};

	db_params_begin(&p, mem);
	db_put_text(&p, name);
	db_put_text(&p, holder);
	db_put_i64(&p, life_ms);
	enum status st = db_query(conn, mem, &lease_stmt, &p, &rows);
	if (st == STATUS_OK)
		*out_mine = rows.affected == 1;
	arena_destroy(mem);
	return st;
}

enum status job_release(struct db_conn *conn, const char *name, const char *holder)
{
	static const struct db_stmt release_stmt = {
		"job_release", "UPDATE log.jobs SET until = clock_timestamp() WHERE name = $1 AND holder = $2"};
	struct arena *mem = arena_create();
	struct db_params p;

	db_params_begin(&p, mem);
	db_put_text(&p, name);
	db_put_text(&p, holder);
	enum status st = db_query(conn, mem, &release_stmt, &p, NULL);
	arena_destroy(mem);
	return st;
}

/* ---- leaves */

enum status log_ensure_leaves(struct db_conn *conn, int days_ahead)
{
	static const struct db_stmt leaves_stmt = {"log_ensure_leaves", "SELECT log.ensure_leaves($1)"};
	struct arena *mem = arena_create();
	struct db_params p;
	enum status st = STATUS_CONFLICT;

	db_params_begin(&p, mem);
	db_put_i32(&p, days_ahead);
	/* Another process may make the same leaf in this moment; then the next look finds it. */
	for (int tries = 0; st == STATUS_CONFLICT && tries < 5; tries++)
		st = db_query(conn, mem, &leaves_stmt, &p, NULL);
	arena_destroy(mem);
	return st;
}

/* Leaves by what has to be done with them: 'finalize' an interrupted detach, 'detach' what is past the retention,
 * 'drop' what is detached. A leaf's name is its first hour (log.ensure_leaves). */
static const struct db_stmt expired_stmt = {"log_expired_leaves",
	"SELECT c.relname, CASE WHEN i.inhrelid IS NULL THEN 'drop' WHEN i.inhdetachpending THEN 'finalize' ELSE 'detach' END"
	" FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND i.inhparent = 'log.events'::regclass"
	" WHERE c.relnamespace = 'log'::regnamespace AND c.relkind = 'r' AND c.relname ~ '^events_[0-9]{10}$'"
	" AND to_timestamp(substring(c.relname FROM 8) || '+00', 'YYYYMMDDHH24TZH') + interval '6 hours'"
	" < clock_timestamp() - $1 * interval '1 hour' ORDER BY c.relname"};

/* A plain DROP of an attached leaf takes a lock that stops inserts everywhere. */
static enum status leaf_remove(struct log_upkeep *u, struct db_conn *conn, const char *leaf, const char *from)
{
	char sql[256];
	enum status st = STATUS_OK;

	if (strcmp(from, "finalize") == 0)
		snprintf(sql, sizeof sql, "ALTER TABLE log.events DETACH PARTITION log.%s FINALIZE", leaf);
	else
		snprintf(
			sql, sizeof sql, "ALTER TABLE log.events DETACH PARTITION log.%s CONCURRENTLY", leaf);
	if (strcmp(from, "drop") != 0)
		st = db_script(conn, sql);
	if (st != STATUS_OK)
		return st;
	keep_node(u, conn);
	snprintf(sql, sizeof sql, "DROP TABLE log.%s", leaf);
	st = db_script(conn, sql);
	if (st == STATUS_OK)
		log_info("log_leaf_dropped", LOG_STR("leaf", leaf));
	return st;
}

/* u: whose node is kept meanwhile, or NULL. */
static enum status drop_leaves(struct log_upkeep *u, struct db_conn *conn, int64_t retention_h, size_t *out_count)
{
	struct arena *mem = arena_create();
	struct db_params p;
	struct db_rows rows = {0};
	size_t count = 0;

	db_params_begin(&p, mem);
	db_put_i64(&p, retention_h);
	enum status st = db_query(conn, mem, &expired_stmt, &p, &rows);
	for (int row = 0; row < rows.count && st == STATUS_OK; row++) {
		keep_node(u, conn);
		st = leaf_remove(u, conn, db_text(&rows, row, 0), db_text(&rows, row, 1));
		count += st == STATUS_OK;
	}
	if (out_count != NULL)
		*out_count = count;
	arena_destroy(mem);
	return st;
}

enum status log_drop_leaves(struct db_conn *conn, int64_t retention_h, size_t *out_count)
{
	return drop_leaves(NULL, conn, retention_h, out_count);
}

/* ---- requests */

static enum status purge_requests(struct log_upkeep *u, struct db_conn *conn, int64_t *out_count)
{
	static const struct db_stmt purge_stmt = {"log_purge_requests",
		"DELETE FROM log.requests WHERE ctid = ANY (ARRAY(SELECT ctid FROM log.requests"
		" WHERE created_at < now() - interval '24 hours' LIMIT $1))"};
	struct arena *mem = arena_create();
	enum status st = STATUS_OK;
	int64_t total = 0;

	for (int chunk = 0; chunk < PURGE_CHUNKS && st == STATUS_OK; chunk++) {
		struct db_params p;
		struct db_rows rows = {0};
		keep_node(u, conn);
		db_params_begin(&p, mem);
		db_put_i64(&p, PURGE_CHUNK);
		st = db_query(conn, mem, &purge_stmt, &p, &rows);
		total += rows.affected;
		if (rows.affected < PURGE_CHUNK)
			break;
	}
	if (out_count != NULL)
		*out_count = total;
	arena_destroy(mem);
	return st;
}

enum status log_purge_requests(struct db_conn *conn, int64_t *out_count)
{
	return purge_requests(NULL, conn, out_count);
}

/* ---- the thread */

/* Before the first commit: without the lease, because nobody may have it yet and everybody needs the leaf. */
static void turn_leaves(struct log_upkeep *u, struct db_conn *conn, int64_t now)
{
	if (now < u->leaves_at_ms)
		return;
	enum status st = log_ensure_leaves(conn, LEAVES_AHEAD);
	u->leaves_at_ms = now + (st == STATUS_OK ? HOURLY_MS : RETRY_MS);
}

static void turn_retention(struct log_upkeep *u, struct db_conn *conn, int64_t now)
{
	bool mine = false;

	if (now < u->retention_at_ms)
		return;
	u->retention_at_ms = now + HOURLY_MS;
	enum status st = job_lease(conn, "log_retention", u->holder, JOB_LIFE_MS, &mine);
	if (st != STATUS_OK || !mine)
		return;
	/* A detach waits for the transactions that were there before it (5 s at most, if they are ours); it holds no snapshot
	 * meanwhile, and no lock that inserts would wait for. */
	st = db_script(conn, DETACH_TIMEOUTS);
	if (st == STATUS_OK)
		st = drop_leaves(u, conn, u->retention_h, NULL);
	if (db_script(conn, OWN_TIMEOUTS) != STATUS_OK || st != STATUS_OK)
		u->retention_at_ms = now + 60000;
}

static void turn_purge(struct log_upkeep *u, struct db_conn *conn, int64_t now)
{
	bool mine = false;

	if (now < u->purge_at_ms)
		return;
	u->purge_at_ms = now + PURGE_EVERY_MS;
	if (job_lease(conn, "log_requests", u->holder, JOB_LIFE_MS, &mine) == STATUS_OK && mine)
		purge_requests(u, conn, NULL);
}

static void turn(struct log_upkeep *u)
{
	struct db_conn *conn = NULL;
	int64_t now = clock_mono_ms();

	bool node_due = node_lease_due(u->node, now);
	if (!node_due && now < u->leaves_at_ms && now < u->retention_at_ms && now < u->purge_at_ms)
		return;
	if (db_acquire(u->db, now + 1000, &conn) != STATUS_OK)
		return;
	keep_node(u, conn);
	turn_leaves(u, conn, now);
	keep_node(u, conn);
	turn_purge(u, conn, now);
	keep_node(u, conn);
	turn_retention(u, conn, now);
	db_release(conn);
}

static int64_t upkeep_turn(void *arg)
{
	struct log_upkeep *u = arg;

	turn(u);
	/* Until the node is ours every id waits: look more often. */
	return node_lease_held(u->node) ? TURN_MS : TURN_MS / 10;
}

enum status log_upkeep_start(const struct config *config, struct db *db, const char *instance,
	struct ids *ids, struct log_upkeep **out_upkeep)
{
	uint32_t salt;

	struct log_upkeep *u = calloc(1, sizeof *u);
	if (u == NULL)
		abort();
	u->db = db;
	u->retention_h = config->log_retention_h;
	/* A copy that starts again under its name is another holder: it must not take over what it does not remember. */
	ids_random_bytes(&salt, sizeof salt);
	snprintf(u->holder, sizeof u->holder, "%.60s:%08x", instance, salt);
	if (ids != NULL)
		u->node = node_lease_create(ids, u->holder);
	if (ticker_start(&u->ticker, 0, upkeep_turn, u) != STATUS_OK)
		abort();
	*out_upkeep = u;
	return STATUS_OK;
}

bool log_upkeep_has_node(struct log_upkeep *upkeep)
{
	return node_lease_held(upkeep->node);
}

void log_upkeep_stop(struct log_upkeep *u)
{
	struct db_conn *conn = NULL;

	if (u == NULL)
		return;
	ticker_stop(&u->ticker);
	if (node_lease_held(u->node) && db_acquire(u->db, clock_mono_ms() + 1000, &conn) == STATUS_OK) {
		node_lease_give_back(u->node, conn);
		db_release(conn);
	}
	node_lease_destroy(u->node);
	free(u);
}
