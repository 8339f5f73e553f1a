#include "common/db/migrate.h"

#include <dirent.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/db/conn.h"

#define CHECKSUM_SIZE 65 /* BLAKE2b-256 as hex, and NUL */
#define WAIT_MS       30000
/* Any number, as long as every build has the same. */
#define LOCK_SQL   "SELECT pg_advisory_lock(7239421887)"
#define UNLOCK_SQL "SELECT pg_advisory_unlock(7239421887)"

struct file {
	const char *version, *name;
	const char *up, *down; /* SQL; down NULL: the file has none */
	bool up_in_transaction, down_in_transaction;
	char checksum[CHECKSUM_SIZE];
};

/* One version, from the folder, from the database, or both. */
struct entry {
	struct migration m;
	const struct file *file;
};

struct run {
	const struct migrate_options *options;
	struct arena *mem;
	struct db_conn *conn;
	struct file *files;
	size_t file_count;
	struct entry *entries;
	size_t entry_count;
};

const char *migration_state_word(enum migration_state state)
{
	switch (state) {
	case MIGRATION_PENDING:
		return "pending";
	case MIGRATION_APPLIED:
		return "applied";
	case MIGRATION_CHANGED:
		return "changed";
	case MIGRATION_UNKNOWN:
		return "unknown";
	}
	return "unknown";
}

static enum status fail(struct run *run, enum status st, const char *why)
{
	if (run->options->out_why != NULL)
		*run->options->out_why = why;
	return st;
}

/* ---- the folder */

static char *read_whole(struct arena *mem, const char *path, size_t *out_length)
{
	FILE *f = fopen(path, "rb");
	char chunk[16384];
	char *text = NULL;
	size_t length = 0, n;

	if (f == NULL)
		return NULL;
	while ((n = fread(chunk, 1, sizeof chunk, f)) > 0) {
		text = arena_grow(mem, text, length, length + n + 1);
		memcpy(text + length, chunk, n);
		length += n;
	}
	bool whole = ferror(f) == 0;
	fclose(f);
	if (text == NULL)
		text = arena_alloc(mem, 1);
	text[length] = '\0';
	*out_length = length;
	return whole ? text : NULL;
}

/* The line that begins a part: "-- migrate:up", with or without options behind it. NULL: none. */
static char *find_mark(char *text, const char *mark)
{
	size_t length = strlen(mark);

	for (char *line = text; line != NULL && *line != '\0';
		line = strchr(line, '\n'), line = line != NULL ? line + 1 : NULL) {
		if (strncmp(line, mark, length) == 0 &&
			(line[length] == '\0' || strchr(" \t\r\n", line[length]) != NULL))
			return line;
	}
	return NULL;
}

/* The text after the mark's line; whether the line says transaction:false. */
static char *part_of(char *mark, bool *out_in_transaction)
{
	char *end = strchr(mark, '\n');
	const char *option = strstr(mark, "transaction:false");

	*out_in_transaction = option == NULL || (end != NULL && option > end);
	return end != NULL ? end + 1 : mark + strlen(mark);
}

static enum status file_read(struct run *run, const char *file_name, struct file *out)
{
	struct arena *mem = run->mem;
	size_t digits = strspn(file_name, "0123456789"), length;
	unsigned char hash[32];

	char *text = read_whole(mem, arena_printf(mem, "%s/%s", run->options->folder, file_name), &length);
	if (text == NULL)
		return fail(
			run, STATUS_FIELD_INVALID, arena_printf(mem, "%s: %s", file_name, strerror(errno)));
	crypto_generichash(hash, sizeof hash, (const unsigned char *)text, length, NULL, 0);
	sodium_bin2hex(out->checksum, sizeof out->checksum, hash, sizeof hash);
	char *up = find_mark(text, "-- migrate:up"), *down = find_mark(text, "-- migrate:down");
	if (up == NULL || (down != NULL && down < up))
		return fail(run, STATUS_FIELD_INVALID,
			arena_printf(mem, "%s: no line \"-- migrate:up\", or not the first", file_name));
	out->version = arena_strndup(mem, file_name, digits);
	out->name =
		arena_strndup(mem, file_name + digits + 1, strlen(file_name) - digits - 1 - strlen(".sql"));
	out->up = part_of(up, &out->up_in_transaction);
	if (down != NULL) {
		out->down = part_of(down, &out->down_in_transaction);
		*down = '\0';
	}
	return STATUS_OK;
}

static bool is_migration(const char *name)
{
	size_t length = strlen(name), digits = strspn(name, "0123456789");

	return digits > 0 && name[digits] == '_' && length > digits + 1 + strlen(".sql") &&
	       strcmp(name + length - 4, ".sql") == 0;
}

static int by_version(const void *a, const void *b)
{
	return strcmp(((const struct file *)a)->version, ((const struct file *)b)->version);
}

static enum status folder_read(struct run *run)
{
	enum status st = STATUS_OK;
	size_t room = 0;

	DIR *folder = opendir(run->options->folder);
	if (folder == NULL)
		return fail(run, STATUS_FIELD_INVALID,
			arena_printf(run->mem, "%s: %s", run->options->folder, strerror(errno)));
	for (;;) {
		errno = 0; /* its end and a failure look the same */
		struct dirent *e = st == STATUS_OK ? readdir(folder) : NULL;
		if (e == NULL)
			break;
		if (!is_migration(e->d_name))
			continue;
		if (run->file_count == room) {
			run->files = arena_grow(run->mem, run->files, room * sizeof *run->files,
				(room + 32) * sizeof *run->files);
			room += 32;
		}
		run->files[run->file_count] = (struct file){0};
		st = file_read(run, e->d_name, &run->files[run->file_count++]);
	}
	if (st == STATUS_OK && errno != 0)
		st = fail(run, STATUS_FIELD_INVALID, arena_printf(run->mem, "%s: %s", run->options->folder, strerror(errno)));
	closedir(folder);
	if (st != STATUS_OK)
		return st;
	if (run->file_count > 0)
		qsort(run->files, run->file_count, sizeof *run->files, by_version);
	for (size_t i = 1; i < run->file_count; i++)
		if (by_version(&run->files[i - 1], &run->files[i]) == 0)
			return fail(run, STATUS_FIELD_INVALID,
				arena_printf(run->mem, "two files have version %s", run->files[i].version));
	return STATUS_OK;
}

/* ---- the database */

static enum status query(
	struct run *run, const struct db_stmt *stmt, const struct db_params *p, struct db_rows *out_rows)
{
	struct conn_step step = {.stmt = stmt, .params = p};

	enum status st = conn_run(run->conn, &step, 1);
	if (st == STATUS_OK && out_rows != NULL)
		conn_step_rows(&step, run->mem, out_rows);
	conn_steps_clear(&step, 1);
	return st;
}

static enum status script(struct run *run, const char *sql, const char *version)
{
	const char *why = "";

	enum status st = conn_script(run->conn, sql, run->mem, &why);
	if (st == STATUS_OK)
		return st;
	return fail(run, st, version == NULL ? why : arena_printf(run->mem, "%s: %s", version, why));
}

/* Both lists ascending; the entries are their union. */
static void merge(struct run *run, const struct db_rows *rows)
{
	size_t f = 0;
	int row = 0;

	run->entries = ARENA_ARRAY(run->mem, run->file_count + (size_t)rows->count, struct entry);
	run->entry_count = 0;
	while (f < run->file_count || row < rows->count) {
		const struct file *file = f < run->file_count ? &run->files[f] : NULL;
		const char *applied = row < rows->count ? db_text(rows, row, 0) : NULL;
		int order = file == NULL ? 1 : applied == NULL ? -1 : strcmp(file->version, applied);
		struct entry *e = &run->entries[run->entry_count++];
		*e = (struct entry){.file = order <= 0 ? file : NULL,
			.m = {.version = order <= 0 ? file->version : applied,
				.name = order <= 0 ? file->name : ""}};
		if (order < 0) {
			e->m.state = MIGRATION_PENDING;
		} else {
			e->m.applied_at_ms = db_i64(rows, row, 2);
			e->m.state = order > 0                                            ? MIGRATION_UNKNOWN
				     : strcmp(file->checksum, db_text(rows, row, 1)) == 0 ? MIGRATION_APPLIED
											  : MIGRATION_CHANGED;
		}
		f += order <= 0;
		row += order >= 0;
	}
}

static enum status entries_read(struct run *run)
{
	static const struct db_stmt there_stmt = {
		"migrate_there", "SELECT to_regclass('public.schema_migrations') IS NOT NULL"};
	static const struct db_stmt list_stmt = {"migrate_list",
		"SELECT version, checksum, floor(extract(epoch FROM applied_at) * 1000)::int8"
		" FROM public.schema_migrations ORDER BY version COLLATE \"C\""};
	struct db_rows rows = {0};

	enum status st = query(run, &there_stmt, NULL, &rows);
	if (st != STATUS_OK)
		return fail(run, st, "the database does not answer");
	if (db_bool(&rows, 0, 0))
		st = query(run, &list_stmt, NULL, &rows);
	else
		rows.count = 0;
	if (st != STATUS_OK)
		return fail(run, st, "public.schema_migrations cannot be read");
	merge(run, &rows);
	return STATUS_OK;
}

static enum status run_begin(struct run *run)
{
	struct conn_options options = {
		.url = run->options->url, .service = "guildhall-migrate", .migrate = true};

	if (sodium_init() < 0)
		return fail(run, STATUS_INTERNAL, "no random numbers");
	enum status st = folder_read(run);
	if (st != STATUS_OK)
		return st;
	if (conn_open(&options, &run->conn) != STATUS_OK)
		return fail(run, STATUS_BUSY, "the database cannot be reached");
	return STATUS_OK;
}

/* Two at once: the second waits here. */
static enum status run_lock(struct run *run)
{
	int wait_ms = run->options->wait_ms > 0 ? run->options->wait_ms : WAIT_MS;

	enum status st = script(run, arena_printf(run->mem, "SET lock_timeout = %d", wait_ms), NULL);
	if (st == STATUS_OK)
		st = script(run, LOCK_SQL, NULL);
	if (st == STATUS_BUSY && strcmp(run->conn->sqlstate, "55P03") == 0)
		return fail(run, STATUS_BUSY, "somebody else migrates this database");
	if (st != STATUS_OK)
		return st;
	/* Whoever waits for a table's lock keeps later readers of it waiting too: rather not for long. */
	return script(run,
		"SET lock_timeout = '5s';"
		"CREATE TABLE IF NOT EXISTS public.schema_migrations ("
		"version text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())",
		NULL);
}

static void run_end(struct run *run)
{
	if (run->conn != NULL && !run->conn->broken)
		conn_script(run->conn, UNLOCK_SQL, NULL, NULL);
	conn_close(run->conn);
}

/* ---- one step */

/* The file's SQL and its row. `record` is SQL made of digits and hex only. */
static enum status apply(
	struct run *run, const struct file *file, const char *sql, bool in_transaction, const char *record)
{
	enum status st = in_transaction ? script(run, "BEGIN", file->version) : STATUS_OK;

	if (st == STATUS_OK)
		st = script(run, sql, file->version);
	if (st == STATUS_OK)
		st = script(run, record, file->version);
	if (!in_transaction)
		return st;
	if (st == STATUS_OK)
		return script(run, "COMMIT", file->version);
	conn_script(run->conn, "ROLLBACK", NULL, NULL);
	return st;
}

static void report(struct run *run, const char *direction, const struct migration *m, enum status st)
{
	if (run->options->progress != NULL)
		run->options->progress(run->options->arg, direction, m, st);
}

/* What the server refused for the SQL's sake is INTERNAL to our callers, whatever code it had. */
static enum status as_internal(const struct run *run, enum status st)
{
	return st == STATUS_OK || run->conn->broken ||
			       (st == STATUS_BUSY && strcmp(run->conn->sqlstate, "55P03") == 0)
		       ? st
		       : STATUS_INTERNAL;
}

static enum status up_one(struct run *run, struct entry *e)
{
	const struct file *f = e->file;

	enum status st = as_internal(run,
		apply(run, f, f->up, f->up_in_transaction,
			arena_printf(run->mem,
				"INSERT INTO public.schema_migrations (version, checksum) VALUES ('%s', '%s')",
				f->version, f->checksum)));
	if (st == STATUS_OK) {
		e->m.state = MIGRATION_APPLIED;
		e->m.applied_at_ms = clock_wall_ms();
	}
	report(run, "up", &e->m, st);
	return st;
}

static enum status down_one(struct run *run, struct entry *e)
{
	const struct file *f = e->file;

	if (e->m.state != MIGRATION_APPLIED || f->down == NULL)
		return fail(run, STATUS_CONFLICT,
			arena_printf(run->mem, "%s: %s", e->m.version,
				e->m.state == MIGRATION_CHANGED   ? "the file is not the one that was applied"
				: e->m.state == MIGRATION_UNKNOWN ? "there is no such file"
								  : "the file has no \"-- migrate:down\""));
	enum status st = as_internal(run,
		apply(run, f, f->down, f->down_in_transaction,
			arena_printf(run->mem, "DELETE FROM public.schema_migrations WHERE version = '%s'",
				f->version)));
	if (st == STATUS_OK) {
		e->m.state = MIGRATION_PENDING;
		e->m.applied_at_ms = 0;
	}
	report(run, "down", &e->m, st);
	return st;
}

static enum status refuse_differing(struct run *run)
{
	for (size_t i = 0; i < run->entry_count; i++) {
		const struct migration *m = &run->entries[i].m;
		if (m->state == MIGRATION_CHANGED)
			return fail(run, STATUS_CONFLICT,
				arena_printf(run->mem, "%s: the file is not the one that was applied",
					m->version));
		if (m->state == MIGRATION_UNKNOWN)
			return fail(run, STATUS_CONFLICT,
				arena_printf(run->mem,
					"%s: applied, but there is no such file: this build is older than the schema",
					m->version));
	}
	return STATUS_OK;
}

/* ---- the three */

enum status migrate_up(const struct migrate_options *options, struct arena *mem, size_t *out_count)
{
	struct run run = {.options = options, .mem = mem};
	size_t done = 0;

	enum status st = run_begin(&run);
	if (st == STATUS_OK)
		st = run_lock(&run);
	if (st == STATUS_OK)
		st = entries_read(&run);
	if (st == STATUS_OK)
		st = refuse_differing(&run);
	for (size_t i = 0; i < run.entry_count && st == STATUS_OK; i++) {
		if (run.entries[i].m.state != MIGRATION_PENDING)
			continue;
		st = up_one(&run, &run.entries[i]);
		done += st == STATUS_OK;
	}
	run_end(&run);
	if (out_count != NULL)
		*out_count = done;
	return st;
}

enum status migrate_down(
	const struct migrate_options *options, struct arena *mem, size_t steps, size_t *out_count)
{
	struct run run = {.options = options, .mem = mem};
	size_t done = 0;

	enum status st = run_begin(&run);
	if (st == STATUS_OK)
		st = run_lock(&run);
	if (st == STATUS_OK)
		st = entries_read(&run);
	for (size_t i = run.entry_count; i-- > 0 && done < steps && st == STATUS_OK;) {
		if (run.entries[i].m.state == MIGRATION_PENDING)
			continue;
		st = down_one(&run, &run.entries[i]);
		done += st == STATUS_OK;
	}
	run_end(&run);
	if (out_count != NULL)
		*out_count = done;
	return st;
}

enum status migrate_status(const struct migrate_options *options, struct arena *mem,
	struct migration **out_list, size_t *out_count)
{
	struct run run = {.options = options, .mem = mem};

	enum status st = run_begin(&run);
	if (st == STATUS_OK)
		st = entries_read(&run);
	if (st == STATUS_OK) {
		struct migration *list = ARENA_ARRAY(mem, run.entry_count, struct migration);
		for (size_t i = 0; i < run.entry_count; i++)
			list[i] = run.entries[i].m;
		*out_list = list;
		*out_count = run.entry_count;
	}
	run_end(&run);
	return st;
}
