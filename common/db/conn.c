#include "common/db/conn.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/db/generation.h"
#include "common/events/events.h"
#include "common/ops/ops.h"

enum status conn_status_from_sqlstate(const char *sqlstate)
{
	/* By code first, then by class. BUSY is what a retry may cure. */
	static const struct {
		const char *prefix;
		enum status status;
	} table[] = {
		{"23505", STATUS_CONFLICT}, /* unique violation */
		{"42P07", STATUS_CONFLICT}, /* two made the same table at once */
		{"57014", STATUS_BUSY},     /* statement_timeout */
		{"55P03", STATUS_BUSY},     /* lock_timeout */
		{"40001", STATUS_BUSY},     /* serialization */
		{"40P01", STATUS_BUSY},     /* deadlock */
		{"25006", STATUS_BUSY},     /* read only: the primary is another one now */
		{"25P03", STATUS_BUSY},     /* idle_in_transaction_session_timeout */
		{"26000", STATUS_BUSY},     /* a pooler between gave us somebody else's session */
		{"0A000", STATUS_BUSY},     /* "cached plan must not change result type": after a migration */
		{"57P", STATUS_BUSY},       /* shutdown, crash, starting up */
		{"08", STATUS_BUSY},        /* connection */
		{"53", STATUS_BUSY},        /* disk, memory, connections used up */
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (strncmp(sqlstate, table[i].prefix, strlen(table[i].prefix)) == 0)
			return table[i].status;
	return STATUS_INTERNAL;
}

/* After these a session is of no more use, though its socket may still be open. */
static bool ends_session(const char *sqlstate)
{
	static const char *const prefixes[] = {"25006", "25P03", "26000", "0A000", "57P", "08"};

	for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
		if (strncmp(sqlstate, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

/* ---- connecting */

/* random_page_cost: what is hot is in memory, and a plan made while a leaf was empty must not scan it when it is full. */
static const char common_settings[] =
	"SET lock_timeout = '2s'; SET client_min_messages = 'error'; SET jit = off;"
	" SET random_page_cost = 1.1;"
	" SET standard_conforming_strings = on; SET datestyle = 'ISO'; SET timezone = 'UTC';"
	" SELECT set_config('deadlock_timeout', '200ms', false)"
	" WHERE has_parameter_privilege(current_user, 'deadlock_timeout', 'SET');";
static const char timeout_settings[] =
	"SET statement_timeout = '5s'; SET idle_in_transaction_session_timeout = '5s';";
/* Batches of 1 and of 256 share one plan, and tables grow under it from nothing to millions of rows. */
static const char generic_settings[] =
	"SET plan_cache_mode = 'force_generic_plan'; SET enable_seqscan = off;";
static const char read_only_settings[] = "SET default_transaction_read_only = on;";
static const char migrate_settings[] = "SET lock_timeout = '30s'; SET statement_timeout = 0;";

static void quiet(void *arg, const char *message)
{
}

static bool enter_pipeline(struct db_conn *conn)
{
	return PQpipelineStatus(conn->pg) != PQ_PIPELINE_OFF || PQenterPipelineMode(conn->pg) == 1;
}

enum status conn_open(const struct conn_options *options, struct db_conn **out_conn)
{
	/* What stands before dbname is a default: the connection string has the last word. */
	const char *const keys[] = {"connect_timeout", "keepalives_idle", "keepalives_interval",
		"keepalives_count", "tcp_user_timeout", "target_session_attrs", "dbname", "application_name",
		"client_encoding", NULL};
	const char *const values[] = {"2", "5", "2", "3", "10000", options->read_only ? "any" : "read-write",
		options->url, options->service, "UTF8", NULL};
	char settings[1024];
	enum status st;

	struct db_conn *conn = calloc(1, sizeof *conn);
	if (conn == NULL)
		abort();
	conn->pg = PQconnectdbParams(keys, values, /* expand_dbname= */ 1);
	if (conn->pg == NULL || PQstatus(conn->pg) != CONNECTION_OK) {
		st = STATUS_BUSY;
		goto out;
	}
	PQsetNoticeProcessor(conn->pg, quiet, NULL);
	snprintf(settings, sizeof settings, "%s%s%s%s", common_settings,
		options->migrate ? migrate_settings : timeout_settings,
		options->generic_plans ? generic_settings : "", options->read_only ? read_only_settings : "");
	st = conn_script(conn, settings, NULL, NULL);
	if (st == STATUS_OK && !options->migrate)
		conn_meet(conn);
	if (st == STATUS_OK && conn->broken)
		st = STATUS_BUSY;
	if (st == STATUS_OK && PQsetnonblocking(conn->pg, 1) != 0)
		st = STATUS_BUSY;
out:
	if (st == STATUS_OK)
		*out_conn = conn;
	else
		conn_close(conn);
	return st == STATUS_OK ? STATUS_OK : STATUS_BUSY;
}

void conn_close(struct db_conn *conn)
{
	if (conn == NULL)
		return;
	PQfinish(conn->pg);
	free(conn->prepared);
	free(conn);
}

bool conn_alive(struct db_conn *conn)
{
	struct pollfd fd = {.fd = PQsocket(conn->pg), .events = POLLIN};

	if (conn->broken || PQstatus(conn->pg) != CONNECTION_OK || fd.fd < 0)
		return false;
	/* Whatever comes unasked is the server's farewell, or so rare (a changed setting) that a new connection costs nothing. */
	return poll(&fd, 1, 0) == 0;
}

/* ---- which statements a connection knows */

static size_t slot_of(const struct db_conn *conn, const struct db_stmt *stmt)
{
	size_t at = ((uintptr_t)stmt >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 32 & (conn->prepared_size - 1);

	while (conn->prepared[at] != NULL && conn->prepared[at] != stmt)
		at = (at + 1) & (conn->prepared_size - 1);
	return at;
}

static bool is_prepared(const struct db_conn *conn, const struct db_stmt *stmt)
{
	return conn->prepared_size > 0 && conn->prepared[slot_of(conn, stmt)] == stmt;
}

static void remember_prepared(struct db_conn *conn, const struct db_stmt *stmt)
{
	if (conn->prepared_count * 2 >= conn->prepared_size) {
		const struct db_stmt **old = conn->prepared;
		size_t old_size = conn->prepared_size;
		conn->prepared_size = old_size > 0 ? old_size * 2 : 64;
		conn->prepared = calloc(conn->prepared_size, sizeof *conn->prepared);
		if (conn->prepared == NULL)
			abort();
		for (size_t i = 0; i < old_size; i++)
			if (old[i] != NULL)
				conn->prepared[slot_of(conn, old[i])] = old[i];
		free(old);
	}
	conn->prepared[slot_of(conn, stmt)] = stmt;
	conn->prepared_count++;
}

/* ---- sending and receiving */

static enum status lost(struct db_conn *conn)
{
	conn->broken = true;
	return STATUS_BUSY;
}

/* Waits for the socket; false when it is the deadline or the connection is gone. */
static bool wait_socket(struct db_conn *conn, short events, int64_t deadline_mono_ms)
{
	struct pollfd fd = {.fd = PQsocket(conn->pg), .events = events};

	if (fd.fd < 0)
		return false;
	for (;;) {
		int64_t left = deadline_mono_ms - clock_mono_ms();
		int n = poll(&fd, 1, left > 0 ? (int)left : 0);
		if (n > 0)
			return true;
		if (n == 0 || errno != EINTR)
			return false;
	}
}

static enum status flush(struct db_conn *conn, int64_t deadline_mono_ms)
{
	for (;;) {
		int rv = PQflush(conn->pg);
		if (rv == 0)
			return STATUS_OK;
		/* Reads as well: a server that cannot write to us does not read either. */
		if (rv < 0 || !wait_socket(conn, POLLIN | POLLOUT, deadline_mono_ms) ||
			PQconsumeInput(conn->pg) != 1)
			return lost(conn);
	}
}

static bool sends_twice(const struct conn_step *steps, size_t before, const struct db_stmt *stmt)
{
	for (size_t i = 0; i < before; i++)
		if (steps[i].stmt == stmt)
			return true;
	return false;
}

enum status conn_send(struct db_conn *conn, struct conn_step *steps, size_t count)
{
	static const struct db_params none = {0};

	for (size_t i = 0; i < count; i++) {
		steps[i].result = NULL;
		steps[i].status = STATUS_BUSY;
		steps[i].answered = steps[i].skipped = steps[i].prepares = false;
	}
	if (conn->broken || PQstatus(conn->pg) != CONNECTION_OK || !enter_pipeline(conn))
		return lost(conn);
	for (size_t i = 0; i < count; i++) {
		const struct db_stmt *stmt = steps[i].stmt;
		const struct db_params *p = steps[i].params != NULL ? steps[i].params : &none;
		static const int binary[DB_PARAMS_MAX] = {[0 ... DB_PARAMS_MAX - 1] = 1};

		if (!is_prepared(conn, stmt) && !sends_twice(steps, i, stmt)) {
			steps[i].prepares = true;
			if (PQsendPrepare(conn->pg, stmt->name, stmt->sql, p->count, p->types) != 1)
				return lost(conn);
		}
		if (PQsendQueryPrepared(conn->pg, stmt->name, p->count, p->values, p->lengths, binary,
			    /* binary: */ 1) != 1)
			return lost(conn);
	}
	if (PQpipelineSync(conn->pg) != 1)
		return lost(conn);
	metric_add(db_queries, count);
	return flush(conn, clock_mono_ms() + CONN_ANSWER_MS);
}

/* The next result, or NULL at the end of a command; lost() when the connection dies meanwhile. */
static enum status next_result(struct db_conn *conn, int64_t deadline_mono_ms, PGresult **out_result)
{
	while (PQisBusy(conn->pg) == 1) {
		if (!wait_socket(conn, POLLIN, deadline_mono_ms) || PQconsumeInput(conn->pg) != 1)
			return lost(conn);
	}
	*out_result = PQgetResult(conn->pg);
	return STATUS_OK;
}

static void log_failure(
	struct db_conn *conn, const struct db_stmt *stmt, const PGresult *result, enum status st)
{
	const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
	const char *table = PQresultErrorField(result, PG_DIAG_TABLE_NAME);

	/* A conflict is an answer, and its caller's to judge. The server's sentence may quote values: it stays out. */
	if (st == STATUS_CONFLICT)
		return;
	if (st == STATUS_INTERNAL)
		log_error("statement_failed", LOG_STR("statement", stmt->name),
			LOG_STR("sqlstate", conn->sqlstate), LOG_STR("table", table != NULL ? table : ""),
			LOG_STR("constraint", constraint != NULL ? constraint : ""));
	else
		log_warn("statement_failed", LOG_STR("statement", stmt->name),
			LOG_STR("sqlstate", conn->sqlstate));
}

/* Of a result that is there: what it means. */
static enum status judge(struct db_conn *conn, const struct db_stmt *stmt, const PGresult *result)
{
	ExecStatusType how = PQresultStatus(result);

	if (how == PGRES_COMMAND_OK || how == PGRES_TUPLES_OK)
		return STATUS_OK;
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	snprintf(conn->sqlstate, sizeof conn->sqlstate, "%s", sqlstate != NULL ? sqlstate : "XX000");
	if (ends_session(conn->sqlstate))
		conn->broken = true;
	enum status st = conn_status_from_sqlstate(conn->sqlstate);
	log_failure(conn, stmt, result, st);
	return st;
}

/* The session's end instead of an answer: libpq's own words about a dead connection (they have no SQLSTATE), or the
 * server's FATAL. A FATAL does not tell how the statement ended: a COMMIT may have happened before it. */
static bool is_end(const PGresult *result)
{
	if (PQresultStatus(result) != PGRES_FATAL_ERROR)
		return false;
	const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
	return severity == NULL || severity[0] == 'F' || severity[0] == 'P';
}

/* One command's results: the first is kept, the end mark is eaten. */
static enum status receive_command(struct db_conn *conn, int64_t deadline_mono_ms, PGresult **out_result)
{
	PGresult *first = NULL, *more = NULL;

	enum status st = next_result(conn, deadline_mono_ms, &first);
	if (st != STATUS_OK)
		return st;
	if (first == NULL) /* an end mark where an answer belongs: libpq gave up */
		return lost(conn);
	st = next_result(conn, deadline_mono_ms, &more);
	while (st == STATUS_OK && more != NULL) {
		PQclear(more);
		st = next_result(conn, deadline_mono_ms, &more);
	}
	if (is_end(first)) {
		PQclear(first);
		return lost(conn);
	}
	*out_result = first;
	/* The answer is here; that the connection died right behind it is the next one's matter. */
	return STATUS_OK;
}

enum status conn_receive(struct db_conn *conn, struct conn_step *steps, size_t count)
{
	int64_t deadline = clock_mono_ms() + CONN_ANSWER_MS;
	PGresult *result = NULL;
	enum status st = STATUS_OK;

	conn->sqlstate[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		struct conn_step *step = &steps[i];
		enum status prepared = STATUS_OK;

		if (step->prepares) {
			st = receive_command(conn, deadline, &result);
			if (st != STATUS_OK)
				return st;
			if (PQresultStatus(result) != PGRES_PIPELINE_ABORTED)
				prepared = judge(conn, step->stmt, result);
			if (PQresultStatus(result) == PGRES_COMMAND_OK)
				remember_prepared(conn, step->stmt);
			PQclear(result);
		}
		st = receive_command(conn, deadline, &result);
		if (st != STATUS_OK)
			return st;
		step->result = result;
		step->answered = true;
		step->skipped = prepared == STATUS_OK && PQresultStatus(result) == PGRES_PIPELINE_ABORTED;
		if (prepared != STATUS_OK)
			step->status = prepared;
		else
			step->status = step->skipped ? STATUS_INTERNAL : judge(conn, step->stmt, result);
	}
	st = next_result(conn, deadline, &result);
	if (st != STATUS_OK)
		return STATUS_OK; /* broken; but everything is answered */
	if (result == NULL || PQresultStatus(result) != PGRES_PIPELINE_SYNC)
		conn->broken = true;
	PQclear(result);
	return STATUS_OK;
}

enum status conn_run(struct db_conn *conn, struct conn_step *steps, size_t count)
{
	enum status st = conn_send(conn, steps, count);

	if (st == STATUS_OK)
		st = conn_receive(conn, steps, count);
	for (size_t i = 0; i < count && st == STATUS_OK; i++)
		st = steps[i].status;
	return st;
}

void conn_steps_clear(struct conn_step *steps, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		PQclear(steps[i].result);
		steps[i].result = NULL;
	}
}

static void clear_result(void *result)
{
	PQclear(result);
}

void conn_step_rows(struct conn_step *step, struct arena *mem, struct db_rows *out_rows)
{
	PGresult *result = step->result;

	step->result = NULL;
	arena_defer(mem, clear_result, result);
	*out_rows = (struct db_rows){.result = result,
		.count = PQntuples(result),
		.affected = strtoll(PQcmdTuples(result), NULL, 10)};
}

/* Text outside of pipelines. The caller clears the result; NULL result only with STATUS_BUSY. */
static enum status exec_text(struct db_conn *conn, const char *sql, PGresult **out_result)
{
	*out_result = NULL;
	if (conn->broken || PQstatus(conn->pg) != CONNECTION_OK)
		return lost(conn);
	if (PQpipelineStatus(conn->pg) != PQ_PIPELINE_OFF && PQexitPipelineMode(conn->pg) != 1)
		return lost(conn);
	conn->sqlstate[0] = '\0';
	int nonblocking = PQisnonblocking(conn->pg);
	PQsetnonblocking(conn->pg, 0);
	PGresult *result = PQexec(conn->pg, sql);
	ExecStatusType how = PQresultStatus(result);
	enum status st = STATUS_OK;
	if (how != PGRES_COMMAND_OK && how != PGRES_TUPLES_OK && how != PGRES_EMPTY_QUERY) {
		const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
		if (sqlstate == NULL) {
			st = lost(conn);
		} else {
			snprintf(conn->sqlstate, sizeof conn->sqlstate, "%s", sqlstate);
			if (ends_session(sqlstate))
				conn->broken = true;
			st = conn_status_from_sqlstate(sqlstate);
		}
	}
	if (PQstatus(conn->pg) != CONNECTION_OK)
		conn->broken = true;
	else
		PQsetnonblocking(conn->pg, nonblocking);
	*out_result = result;
	return st;
}

enum status conn_script(struct db_conn *conn, const char *sql, struct arena *mem, const char **out_why)
{
	PGresult *result = NULL;

	enum status st = exec_text(conn, sql, &result);
	if (st != STATUS_OK && result != NULL && out_why != NULL && mem != NULL)
		*out_why = arena_strdup(mem, PQresultErrorMessage(result));
	PQclear(result);
	return st;
}

static const struct db_stmt meet_stmt = {"conn_meet", "SELECT " GENERATION_SQL};

/* A database without the schema is no failure: who connects before the first migration meets no log yet. Hence as text, whose
 * errors nobody logs, until one was met. */
void conn_meet(struct db_conn *conn)
{
	struct conn_step step = {.stmt = &meet_stmt};
	enum status st = conn->generation != 0 ? conn_run(conn, &step, 1) : exec_text(conn, meet_stmt.sql, &step.result);

	if (st == STATUS_OK && PQntuples(step.result) == 1 && !PQgetisnull(step.result, 0, 0))
		conn->generation = generation_mark(PQgetvalue(step.result, 0, 0));
	conn_steps_clear(&step, 1);
}
