/*
 * migrate - brings a database's schema to what this build knows. Plain SQL files in one folder, as dbmate reads them:
 *
 *   20261121000001_log.sql        version (digits), underscore, name
 *   -- migrate:up                 everything below, until the next mark or the end
 *   -- migrate:down
 *   -- migrate:up transaction:false    one statement that refuses to run in a transaction (CREATE INDEX CONCURRENTLY)
 *
 * A file runs in one transaction together with its row in public.schema_migrations(version, checksum, applied_at). The
 * checksum is BLAKE2b-256 of the whole file: an applied file must never change again, a new file takes its place.
 * A session advisory lock keeps two runs apart. Opens a connection of its own (no statement_timeout). Not thread-safe.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/status.h"

enum migration_state {
	MIGRATION_PENDING,  /* a file that was not applied yet */
	MIGRATION_APPLIED,
	MIGRATION_CHANGED,  /* applied, but the file is another one now */
	MIGRATION_UNKNOWN,  /* applied, but there is no such file: this build is older than the schema */
};

struct migration {
	const char *version; /* "20261121000001" */
	const char *name;    /* "log"; "" when there is no file */
	enum migration_state state;
	int64_t applied_at_ms; /* 0: never */
};

struct migrate_options {
	const char *url;    /* libpq connection string of the primary; the role must own the schemas */
	const char *folder; /* with the .sql files */
	int wait_ms;        /* how long to wait while somebody else migrates; 0: 30 s */
	/* One call per file, when its transaction has ended. May be NULL. */
	void (*progress)(void *arg, const char *direction /* "up" or "down" */, const struct migration *m, enum status st);
	void *arg;
	/* The reason in words when a call below fails, for people: lives in mem. May be NULL. */
	const char **out_why;
};

/* Applies what is pending, in order of version. *out_count: how many (may be NULL), also when a later one failed.
 * STATUS_BUSY: the database is away, or somebody else kept migrating. STATUS_CONFLICT: an applied file has changed, or a
 * version is applied that has no file. STATUS_FIELD_INVALID: folder unreadable, or a file without `-- migrate:up`.
 * STATUS_INTERNAL: a file's SQL failed; that file is rolled back, those before it stay. */
enum status migrate_up(const struct migrate_options *options, struct arena *mem, size_t *out_count);

/* Takes back the last `steps` applied versions, newest first. The same statuses; a file without `-- migrate:down`, or whose
 * checksum differs, is STATUS_CONFLICT. */
enum status migrate_down(const struct migrate_options *options, struct arena *mem, size_t steps, size_t *out_count);

/* Every version of folder and database, ascending; in mem. Changes nothing, takes no lock. */
enum status migrate_status(const struct migrate_options *options, struct arena *mem, struct migration **out_list, size_t *out_count);

const char *migration_state_word(enum migration_state state); /* "pending", "applied", "changed", "unknown" */
