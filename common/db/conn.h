/*
 * db/conn - one connection: connecting with our settings, and pipelines of prepared statements. Inside common/db
 * only; the file that includes libpq-fe.h with it is conn.c, rows.c, migrate.c and who reads results.
 *
 * A connection stays in libpq's pipeline mode. A run is a list of steps (statement and parameters) that are sent together
 * with one sync and cost one round trip. When a step fails, the server skips the rest of the run.
 */
#pragma once

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/db/db.h"

/* Nothing of ours runs longer than statement_timeout; an answer that is not there after this is a dead network. */
#define CONN_ANSWER_MS 15000

struct conn_options {
	const char *url;
	const char *service;
	bool read_only;
	bool generic_plans; /* one plan per statement, by index: the committer's connections, and pools that ask for it */
	bool migrate; /* no statement_timeout, no idle timeout */
};

struct db_conn {
	PGconn *pg;
	struct db *db;                       /* whose pool; NULL: nobody's */
	const struct db_stmt *pending_begin; /* sent with the next statement */
	bool broken;                         /* must be closed */
	char sqlstate[6];                    /* of the last failed step, "" when there was none */
	uint64_t generation;                 /* generation_mark of the log, when it was met; 0: there was none */
	const struct db_stmt **prepared;     /* open addressing by the statement's address */
	size_t prepared_size, prepared_count;
};

struct conn_step {
	const struct db_stmt *stmt;
	const struct db_params *params; /* or NULL */
	PGresult *result;               /* answered; the receiver clears it (conn_steps_clear) */
	enum status status; /* of this step; STATUS_BUSY when the connection died before its answer */
	bool answered;      /* the server said how it ended (skipped after another's failure counts) */
	bool skipped;       /* not run because an earlier step failed */
	bool prepares;      /* private: a prepare went ahead of it */
};

/* STATUS_BUSY when the database is away, refuses, or (not read_only) is a standby. */
enum status conn_open(const struct conn_options *options, struct db_conn **out_conn);
void conn_close(struct db_conn *conn);
/* Asks again which generation the log has: a standby that serves reads is promoted under its connections. */
void conn_meet(struct db_conn *conn);
/* An idle connection is still there, as far as the socket knows; costs no round trip. */
bool conn_alive(struct db_conn *conn);

/* Sends all steps and the sync. STATUS_BUSY: the connection is broken, and it is not known how much of it arrived. */
enum status conn_send(struct db_conn *conn, struct conn_step *steps, size_t count);
/* Receives what conn_send sent. STATUS_OK: every step is answered, see each one's status. STATUS_BUSY: the connection died;
 * the steps not answered say so. */
enum status conn_receive(struct db_conn *conn, struct conn_step *steps, size_t count);
/* Both. Returns the first status that is not OK, of the connection or of a step. */
enum status conn_run(struct db_conn *conn, struct conn_step *steps, size_t count);
void conn_steps_clear(struct conn_step *steps, size_t count);
/* Results of a step as rows that live in mem (takes the result). */
void conn_step_rows(struct conn_step *step, struct arena *mem, struct db_rows *out_rows);

/* Text with several statements, outside of pipelines. out_why (may be NULL): the server's message, in mem. */
enum status conn_script(struct db_conn *conn, const char *sql, struct arena *mem, const char **out_why);

/* What an SQLSTATE means to a caller. Table: db.h's opening. */
enum status conn_status_from_sqlstate(const char *sqlstate);
