#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/db/migrate.h"
#include "tests/lib/pg.h"
#include "tests/unit/main.h"

struct folder {
	char url[PG_URL_SIZE];
	char path[64];
	struct arena *mem;
	struct migrate_options options;
	const char *why;
	char told[256];
};

static void write_file(struct folder *f, const char *name, const char *text)
{
	char path[512];

	snprintf(path, sizeof path, "%s/%s", f->path, name);
	FILE *out = fopen(path, "w");
	ck_assert_ptr_nonnull(out);
	fputs(text, out);
	fclose(out);
}

static void remove_file(struct folder *f, const char *name)
{
	char path[512];

	snprintf(path, sizeof path, "%s/%s", f->path, name);
	ck_assert_int_eq(unlink(path), 0);
}

static void tell(void *arg, const char *direction, const struct migration *m, enum status st)
{
	struct folder *f = arg;
	size_t used = strlen(f->told);

	snprintf(f->told + used, sizeof f->told - used, "%s %s %s %s;", direction, m->version, m->name,
		status_wire(st));
}

static void folder_create(struct folder *f)
{
	*f = (struct folder){.mem = arena_create()};
	pg_database_create_empty(f->url);
	snprintf(f->path, sizeof f->path, "/tmp/gh-migrate-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(f->path));
	f->options = (struct migrate_options){
		.url = f->url, .folder = f->path, .progress = tell, .arg = f, .out_why = &f->why};
	write_file(f, "001_one.sql",
		"-- migrate:up\nCREATE TABLE one (a int);\nCREATE INDEX one_a ON one (a);\n-- migrate:down\nDROP TABLE one;\n");
	write_file(f, "002_two.sql",
		"-- migrate:up\nCREATE TABLE two (a int);\n\n-- migrate:down\nDROP TABLE two;\n");
}

static void folder_destroy(struct folder *f)
{
	DIR *d = opendir(f->path);

	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d))
		if (e->d_name[0] != '.')
			remove_file(f, e->d_name);
	closedir(d);
	rmdir(f->path);
	arena_destroy(f->mem);
}

#define TABLES                                                                                               \
	"SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename IN ('one', 'two', 'three')"

START_TEST(up_applies_what_is_pending_in_order_and_down_takes_back_the_newest)
{
	struct folder f;
	size_t count;

	folder_create(&f);
	ck_assert_int_eq(migrate_up(&f.options, f.mem, &count), STATUS_OK);
	ck_assert_uint_eq(count, 2);
	ck_assert_str_eq(f.told, "up 001 one ok;up 002 two ok;");
	ck_assert_int_eq(pg_number(f.url, TABLES), 2);
	ck_assert_int_eq(migrate_up(&f.options, f.mem, &count), STATUS_OK);
	ck_assert_uint_eq(count, 0);
	ck_assert_int_eq(migrate_down(&f.options, f.mem, 1, &count), STATUS_OK);
	ck_assert_uint_eq(count, 1);
	ck_assert_int_eq(pg_number(f.url, "SELECT count(*) FROM pg_tables WHERE tablename = 'two'"), 0);
	ck_assert_int_eq(pg_number(f.url, "SELECT count(*) FROM schema_migrations"), 1);
	ck_assert_int_eq(migrate_down(&f.options, f.mem, 9, &count), STATUS_OK);
	ck_assert_uint_eq(count, 1);
	ck_assert_int_eq(pg_number(f.url, TABLES), 0);
	folder_destroy(&f);
}
END_TEST

START_TEST(a_file_that_fails_leaves_nothing_behind_and_those_before_it_stay)
{
	struct folder f;
	size_t count;

	folder_create(&f);
	write_file(&f, "003_three.sql",
		"-- migrate:up\nCREATE TABLE three (a int); SELECT 1/0;\n-- migrate:down\nDROP TABLE three;\n");
	ck_assert_int_eq(migrate_up(&f.options, f.mem, &count), STATUS_INTERNAL);
	ck_assert_uint_eq(count, 2);
	ck_assert_ptr_nonnull(strstr(f.why, "division by zero"));
	ck_assert_int_eq(pg_number(f.url, TABLES), 2);
	write_file(&f, "003_three.sql",
		"-- migrate:up\nCREATE TABLE three (a int);\n-- migrate:down\nDROP TABLE three;\n");
	ck_assert_int_eq(migrate_up(&f.options, f.mem, &count), STATUS_OK);
	ck_assert_uint_eq(count, 1);
	folder_destroy(&f);
}
END_TEST

START_TEST(an_applied_file_that_changed_stops_everything)
{
	struct folder f;
	size_t count;

	folder_create(&f);
	ck_assert_int_eq(migrate_up(&f.options, f.mem, NULL), STATUS_OK);
	write_file(&f, "002_two.sql",
		"-- migrate:up\nCREATE TABLE two (a int, b int);\n\n-- migrate:down\nDROP TABLE two;\n");
	write_file(&f, "003_three.sql", "-- migrate:up\nCREATE TABLE three (a int);\n");
	ck_assert_int_eq(migrate_up(&f.options, f.mem, &count), STATUS_CONFLICT);
	ck_assert_uint_eq(count, 0);
	ck_assert_int_eq(migrate_down(&f.options, f.mem, 1, &count), STATUS_CONFLICT);
	ck_assert_int_eq(pg_number(f.url, TABLES), 2);
	folder_destroy(&f);
}
END_TEST

START_TEST(status_tells_pending_applied_changed_and_unknown)
{
	struct folder f;
	struct migration *list;
	size_t count;

	folder_create(&f);
	ck_assert_int_eq(migrate_status(&f.options, f.mem, &list, &count), STATUS_OK);
	ck_assert_uint_eq(count, 2);
	ck_assert_int_eq(list[0].state, MIGRATION_PENDING);
	ck_assert_int_eq(migrate_up(&f.options, f.mem, NULL), STATUS_OK);
	remove_file(&f, "001_one.sql");
	write_file(&f, "002_two.sql", "-- migrate:up\nSELECT 1;\n");
	write_file(&f, "003_three.sql", "-- migrate:up\nCREATE TABLE three (a int);\n");
	ck_assert_int_eq(migrate_status(&f.options, f.mem, &list, &count), STATUS_OK);
	ck_assert_uint_eq(count, 3);
	ck_assert_int_eq(list[0].state, MIGRATION_UNKNOWN);
	ck_assert_str_eq(list[0].version, "001");
	ck_assert_int_eq(list[1].state, MIGRATION_CHANGED);
	ck_assert_int_gt(list[1].applied_at_ms, 0);
	ck_assert_int_eq(list[2].state, MIGRATION_PENDING);
	ck_assert_str_eq(list[2].name, "three");
	ck_assert_int_eq(migrate_up(&f.options, f.mem, NULL), STATUS_CONFLICT);
	folder_destroy(&f);
}
END_TEST

START_TEST(a_statement_that_refuses_transactions_runs_without_one)
{
	struct folder f;

	folder_create(&f);
	write_file(&f, "003_three.sql",
		"-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY two_a ON two (a);\n"
		"-- migrate:down transaction:false\nDROP INDEX CONCURRENTLY two_a;\n");
	ck_assert_int_eq(migrate_up(&f.options, f.mem, NULL), STATUS_OK);
	ck_assert_int_eq(pg_number(f.url, "SELECT count(*) FROM pg_indexes WHERE indexname = 'two_a'"), 1);
	ck_assert_int_eq(migrate_down(&f.options, f.mem, 1, NULL), STATUS_OK);
	ck_assert_int_eq(pg_number(f.url, "SELECT count(*) FROM pg_indexes WHERE indexname = 'two_a'"), 0);
	folder_destroy(&f);
}
END_TEST

START_TEST(while_somebody_else_migrates_one_waits_and_gives_up)
{
	struct folder f;

	folder_create(&f);
	struct pg_session *holder = pg_session_open(f.url);
	pg_session_exec(holder, "SELECT pg_advisory_lock(7239421887)");
	f.options.wait_ms = 50;
	ck_assert_int_eq(migrate_up(&f.options, f.mem, NULL), STATUS_BUSY);
	ck_assert_str_eq(f.why, "somebody else migrates this database");
	ck_assert_int_eq(pg_number(f.url, TABLES), 0);
	pg_session_close(holder);
	folder_destroy(&f);
}
END_TEST

static void *up_run(void *arg)
{
	struct folder *f = arg;
	struct migrate_options options = {.url = f->url, .folder = f->path};
	struct arena *mem = arena_create();

	enum status st = migrate_up(&options, mem, NULL);
	arena_destroy(mem);
	return (void *)(intptr_t)st;
}

START_TEST(four_at_once_migrate_once)
{
	struct folder f;
	pthread_t threads[4];
	void *st;

	folder_create(&f);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, up_run, &f);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &st);
		ck_assert_int_eq((int)(intptr_t)st, STATUS_OK);
	}
	ck_assert_int_eq(pg_number(f.url, TABLES), 2);
	folder_destroy(&f);
}
END_TEST

START_TEST(a_folder_that_is_no_folder_and_a_file_without_marks_are_told)
{
	struct folder f;

	folder_create(&f);
	write_file(&f, "003_three.sql", "CREATE TABLE three (a int);\n");
	ck_assert_int_eq(migrate_up(&f.options, f.mem, NULL), STATUS_FIELD_INVALID);
	ck_assert_ptr_nonnull(strstr(f.why, "003_three.sql"));
	f.options.folder = "/nowhere";
	ck_assert_int_eq(migrate_up(&f.options, f.mem, NULL), STATUS_FIELD_INVALID);
	f.options.folder = f.path;
	f.options.url = "host=/nowhere";
	remove_file(&f, "003_three.sql");
	ck_assert_int_eq(migrate_up(&f.options, f.mem, NULL), STATUS_BUSY);
	folder_destroy(&f);
}
END_TEST

START_TEST(the_schema_of_this_build_goes_up_down_and_up_again)
{
	struct folder f;
	size_t count, files;
	struct migration *list;

	folder_create(&f);
	f.options.folder = MIGRATIONS_DIR;
	ck_assert_int_eq(migrate_status(&f.options, f.mem, &list, &files), STATUS_OK);
	ck_assert_int_eq(migrate_up(&f.options, f.mem, &count), STATUS_OK);
	ck_assert_uint_eq(count, files);
	ck_assert_int_eq(migrate_down(&f.options, f.mem, files, &count), STATUS_OK);
	ck_assert_uint_eq(count, files);
	ck_assert_int_eq(
		pg_number(f.url,
			"SELECT count(*) FROM pg_namespace WHERE nspname IN ('log', 'auth', 'messaging', 'moderation', 'presence')"),
		0);
	ck_assert_int_eq(migrate_up(&f.options, f.mem, &count), STATUS_OK);
	ck_assert_uint_eq(count, files);
	folder_destroy(&f);
}
END_TEST

TESTS("migrate", up_applies_what_is_pending_in_order_and_down_takes_back_the_newest,
	a_file_that_fails_leaves_nothing_behind_and_those_before_it_stay,
	an_applied_file_that_changed_stops_everything, status_tells_pending_applied_changed_and_unknown,
	a_statement_that_refuses_transactions_runs_without_one,
	while_somebody_else_migrates_one_waits_and_gives_up, four_at_once_migrate_once,
	a_folder_that_is_no_folder_and_a_file_without_marks_are_told,
	the_schema_of_this_build_goes_up_down_and_up_again)
