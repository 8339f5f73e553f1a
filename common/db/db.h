/*
 * db - PostgreSQL through libpq; this folder hides it. Pools of connections, prepared statements with binary
 * parameters and results, transactions. Errors become statuses here: connection trouble and timeouts are
 * STATUS_BUSY, unique violations STATUS_CONFLICT, anything else STATUS_INTERNAL (logged here with SQLSTATE, never
 * with values).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/status.h"

/* Makes connections. Every connection sets: application_name, lock_timeout 2 s, statement_timeout 5 s,
 * idle_in_transaction_session_timeout 5 s, and deadlock_timeout 200 ms where the role may. */
struct db;
struct db_options {
	const char *url;       /* libpq connection string */
	const char *service;   /* application_name */
	int connections;       /* most that the pool opens; opened on demand */
	bool read_only;        /* reads: default_transaction_read_only */
	bool generic_plans;    /* for statements of many joins: planned once per connection, by index, whatever the parameters */
};
enum status db_open(const struct db_options *options, struct db **out_db); /* connects nothing yet */
void db_close(struct db *db);
/* True while the last attempt to use the database worked; cheap, any thread. A prober in db checks each second. */
bool db_up(struct db *db);

struct db_conn;
/* Waits until a connection is free or the deadline; STATUS_BUSY then, and at once while the database is away. */
enum status db_acquire(struct db *db, int64_t deadline_mono_ms, struct db_conn **out_conn);
void db_release(struct db_conn *conn); /* rolls back an open transaction; NULL is fine */
/* Under which generation of the log this connection reads and writes, as a number for comparing; 0: unknown (no schema yet).
 * Epochs that were read under another one say nothing about this log: it may have lost what they were raised by, and what
 * was granted without raising any. */
uint64_t db_generation(const struct db_conn *conn);
/* The same of the connection that this pool opened last, or that its prober has asked on since. Cheap, any thread. */
uint64_t db_met_generation(struct db *db);

/* A statement: made once as a static const; prepared lazily on each connection under its name. */
struct db_stmt {
	const char *name; /* unique in the process */
	const char *sql;
};

/* Parameters in order, binary. Types are told by the call. */
#define DB_PARAMS_MAX 32
struct db_params {
	struct arena *mem;
	int count;
	const char *values[DB_PARAMS_MAX];
	int lengths[DB_PARAMS_MAX];
	uint32_t types[DB_PARAMS_MAX]; /* type oids */
};
void db_params_begin(struct db_params *p, struct arena *mem);
void db_put_i16(struct db_params *p, int16_t v);
void db_put_i32(struct db_params *p, int32_t v);
void db_put_i64(struct db_params *p, int64_t v);
void db_put_id(struct db_params *p, uint64_t id);                /* bigint; 0 as 0 */
void db_put_id_or_null(struct db_params *p, uint64_t id);        /* bigint; 0 as NULL */
void db_put_bool(struct db_params *p, bool v);
void db_put_text(struct db_params *p, const char *text);         /* NULL as NULL */
void db_put_bytea(struct db_params *p, const void *bytes, size_t length); /* NULL bytes as NULL */
void db_put_i16s(struct db_params *p, const int16_t *v, size_t count);
void db_put_i32s(struct db_params *p, const int32_t *v, size_t count);
void db_put_i64s(struct db_params *p, const int64_t *v, size_t count);
void db_put_ids(struct db_params *p, const uint64_t *v, size_t count);
void db_put_bools(struct db_params *p, const bool *v, size_t count);
void db_put_texts(struct db_params *p, const char *const *v, size_t count); /* NULL elements as NULL */
void db_put_byteas(struct db_params *p, const void *const *v, const size_t *lengths, size_t count);

/* Rows of a result. Values are copied into the arena given to the query; valid as long as it. */
struct db_rows {
	void *result; /* PGresult, cleared with the arena */
	int count;
	int64_t affected; /* rows changed by INSERT/UPDATE/DELETE */
};
/* Runs one prepared statement. params may be NULL. out_rows may be NULL. */
enum status db_query(struct db_conn *conn, struct arena *mem, const struct db_stmt *stmt, const struct db_params *params, struct db_rows *out_rows);
/* The same on a connection that is taken for it alone: what db_acquire returns too. */
enum status db_query_alone(struct db *db, struct arena *mem, const struct db_stmt *stmt, const struct db_params *params,
	int64_t deadline_mono_ms, struct db_rows *out_rows);
bool db_is_null(const struct db_rows *rows, int row, int column);
int64_t db_i64(const struct db_rows *rows, int row, int column);   /* int2, int4, int8, bool; 0 for NULL */
uint64_t db_id(const struct db_rows *rows, int row, int column);
bool db_bool(const struct db_rows *rows, int row, int column);
const char *db_text(const struct db_rows *rows, int row, int column);  /* NULL for NULL; NUL-terminated */
const uint8_t *db_bytea(const struct db_rows *rows, int row, int column, size_t *out_length);
size_t db_i64s(const struct db_rows *rows, int row, int column, struct arena *mem, int64_t **out); /* bigint[] */

/* Plain transactions: for reads from one snapshot (repeatable read, read only) and for jobs. */
enum status db_begin_snapshot(struct db_conn *conn);
enum status db_begin(struct db_conn *conn);
enum status db_commit(struct db_conn *conn);
void db_rollback(struct db_conn *conn);
/* Text without parameters, several statements allowed: migrations and tests. The SQLSTATE message goes to the log. */
enum status db_script(struct db_conn *conn, const char *sql);

/* The schema this build knows; STATUS_CONFLICT (with a log line naming the command to run) when the database has another. */
enum status db_check_schema(struct db *db);
