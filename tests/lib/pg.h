/*
 * pg - a database for one test, in the cluster that tests/with-postgres started. Failing to do what is asked ends the
 * test (abort, with the reason on stderr). Databases are copies of one that was migrated once.
 */
#pragma once

#include <stdint.h>

#define PG_URL_SIZE 512

/* A new, migrated database of its own; its connection string. Without GUILDHALL_TEST_DB_URL the process ends with 77. */
void pg_database_create(char out_url[PG_URL_SIZE]);
/* A new one without any schema. */
void pg_database_create_empty(char out_url[PG_URL_SIZE]);

/* SQL text on a connection of its own, closed afterwards. */
void pg_exec(const char *url, const char *sql);
/* The first value of the first row as a number. */
int64_t pg_number(const char *url, const char *sql);

/* As a restored backup or a failover leaves it: another generation of the log, and every connection gone. */
void pg_another_generation(const char *url);

/* A connection that stays: to hold locks and open transactions. */
struct pg_session;
struct pg_session *pg_session_open(const char *url);
void pg_session_exec(struct pg_session *s, const char *sql);
void pg_session_close(struct pg_session *s);

/* start, stop, restart or kill the cluster. */
void pg_cluster(const char *verb);

/* Repeats the question until the answer is `wanted`, 10 s at most: for what another process is about to do. */
void pg_await(const char *url, const char *sql, int64_t wanted);
