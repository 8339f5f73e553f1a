#include "tests/lib/pg.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/arena.h"
#include "common/base/ids.h"
#include "common/db/migrate.h"

#define TEMPLATE "guildhall_migrated"

/* Benches use this too, so libcheck is not asked. */
#define die(...) (fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), abort())

static const char *cluster_url(void)
{
	const char *url = getenv("GUILDHALL_TEST_DB_URL");

	if (url == NULL) {
		fprintf(stderr, "run me under tests/with-postgres\n");
		_exit(77);
	}
	return url;
}

static PGconn *connect_to(const char *url)
{
	PGconn *pg = PQconnectdb(url);

	if (PQstatus(pg) != CONNECTION_OK)
		die("cannot connect: %s", PQerrorMessage(pg));
	return pg;
}

static PGresult *run(PGconn *pg, const char *sql)
{
	PGresult *r = PQexec(pg, sql);
	ExecStatusType how = PQresultStatus(r);

	if (how != PGRES_COMMAND_OK && how != PGRES_TUPLES_OK)
		die("%s: %s", sql, PQerrorMessage(pg));
	return r;
}

void pg_exec(const char *url, const char *sql)
{
	PGconn *pg = connect_to(url);

	PQclear(run(pg, sql));
	PQfinish(pg);
}

int64_t pg_number(const char *url, const char *sql)
{
	PGconn *pg = connect_to(url);
	PGresult *r = run(pg, sql);

	if (PQntuples(r) == 0)
		die("%s: no row", sql);
	int64_t number = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
	PQclear(r);
	PQfinish(pg);
	return number;
}

static void url_of(const char *name, char out_url[PG_URL_SIZE])
{
	/* The last dbname counts. */
	snprintf(out_url, PG_URL_SIZE, "%s dbname=%s", cluster_url(), name);
}

static void create(const char *name, const char *from, char out_url[PG_URL_SIZE])
{
	char sql[256];

	snprintf(sql, sizeof sql, "CREATE DATABASE %s TEMPLATE %s STRATEGY FILE_COPY", name, from);
	pg_exec(cluster_url(), sql);
	url_of(name, out_url);
}

static void ensure_template(void)
{
	char url[PG_URL_SIZE];
	const char *why = "";

	if (pg_number(cluster_url(), "SELECT count(*) FROM pg_database WHERE datname = '" TEMPLATE "'") > 0)
		return;
	create(TEMPLATE, "template0", url);
	struct arena *mem = arena_create();
	struct migrate_options options = {.url = url, .folder = MIGRATIONS_DIR, .out_why = &why};
	if (migrate_up(&options, mem, NULL) != STATUS_OK)
		die("migrations: %s", why);
	arena_destroy(mem);
}

static void fresh_name(char out[32])
{
	snprintf(out, 32, "t_%llx", (unsigned long long)ids_random());
}

void pg_database_create(char out_url[PG_URL_SIZE])
{
	char name[32];

	ensure_template();
	fresh_name(name);
	create(name, TEMPLATE, out_url);
}

void pg_database_create_empty(char out_url[PG_URL_SIZE])
{
	char name[32];

	fresh_name(name);
	create(name, "template0", out_url);
}

void pg_another_generation(const char *url)
{
	pg_exec(url, "UPDATE log.meta SET generation_counter = generation_counter + 1");
	pg_exec(url, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
		     " WHERE datname = current_database() AND pid <> pg_backend_pid()");
}

struct pg_session *pg_session_open(const char *url)
{
	return (struct pg_session *)connect_to(url);
}

void pg_session_exec(struct pg_session *s, const char *sql)
{
	PQclear(run((PGconn *)s, sql));
}

void pg_session_close(struct pg_session *s)
{
	PQfinish((PGconn *)s);
}

void pg_cluster(const char *verb)
{
	char command[512];
	const char *ctl = getenv("GUILDHALL_TEST_PG_CTL");

	if (ctl == NULL)
		die("no GUILDHALL_TEST_PG_CTL");
	snprintf(command, sizeof command, "%s %s", ctl, verb);
	if (system(command) != 0)
		die("%s failed", command);
}

void pg_await(const char *url, const char *sql, int64_t wanted)
{
	int64_t seen = 0;

	for (int i = 0; i < 1000; i++) {
		seen = pg_number(url, sql);
		if (seen == wanted)
			return;
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	die("%s: %lld, not %lld", sql, (long long)seen, (long long)wanted);
}
