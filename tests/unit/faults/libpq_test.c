/* Each call that common/db makes of libpq fails once: the caller gets a status, nothing leaks, and the next use works. */
#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/db/db.h"
#include "tests/lib/pg.h"
#include "tests/unit/faults/called.h"
#include "tests/unit/faults/failing.h"
#include "tests/unit/main.h"

#define CALLS_MOST  64
#define PATIENCE_MS 20000

#define FAILS(type, function, failure, parameters, arguments)                                                  \
	type __real_##function parameters;                                                                     \
	type __wrap_##function parameters;                                                                     \
	type __wrap_##function parameters                                                                      \
	{                                                                                                      \
		return fails_now(#function) ? (failure) : __real_##function arguments;                         \
	}
#define CANNOT(function)
#include "tests/unit/faults/libpq.tbl.h"
#undef FAILS
#undef CANNOT

static enum status use(struct db *db, int patience_ms)
{
	static const struct db_stmt add = {"fault_add", "SELECT $1::int8 + 1"};
	struct arena *mem = arena_create();
	struct db_conn *conn = NULL;
	struct db_params p;
	struct db_rows rows = {0};

	enum status st = db_acquire(db, clock_mono_ms() + patience_ms, &conn);
	if (st == STATUS_OK)
		st = db_script(conn, "SELECT 1; SELECT 2");
	if (st == STATUS_OK)
		st = db_begin(conn);
	for (int i = 0; i < 2 && st == STATUS_OK; i++) {
		db_params_begin(&p, mem);
		db_put_i64(&p, 41);
		st = db_query(conn, mem, &add, &p, &rows);
		if (st == STATUS_OK)
			ck_assert_int_eq(db_i64(&rows, 0, 0), 42);
	}
	if (st == STATUS_OK)
		st = db_commit(conn);
	if (st == STATUS_OK)
		st = db_script(conn, "SELECT 3");
	db_release(conn);
	arena_destroy(mem);
	return st;
}

static void every_call_fails(const char *url, const char *function)
{
	int fired = 0;

	for (int n = 1; n <= CALLS_MOST; n++) {
		struct db *db = NULL;
		const struct db_options options = {.url = url, .service = "faults", .connections = 1};
		ck_assert_int_eq(db_open(&options, &db), STATUS_OK);
		arm(function, n);
		enum status st = use(db, PATIENCE_MS);
		bool called = disarm();
		ck_assert_msg(st == STATUS_OK || st == STATUS_BUSY, "%s, call %d: %s", function, n, status_wire(st));
		fired += called;
		int64_t most = clock_mono_ms() + PATIENCE_MS;
		while ((st = use(db, PATIENCE_MS)) != STATUS_OK)
			ck_assert_msg(clock_mono_ms() < most, "%s, call %d: not usable again: %s", function, n, status_wire(st));
		db_close(db);
		if (!called)
			break; /* it is not called so often */
	}
	/* Who waits need not notice: the pool's thread makes a connection again that could not be made. */
	ck_assert_msg(fired > 0, "%s is never called", function);
}

static const char *const functions[] = {
#define FAILS(type, function, failure, parameters, arguments) #function,
#define CANNOT(function)
#include "tests/unit/faults/libpq.tbl.h"
#undef FAILS
#undef CANNOT
};

START_TEST(whichever_call_fails_the_pool_says_busy_and_works_again)
{
	char url[PG_URL_SIZE];

	pg_database_create(url);
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
		every_call_fails(url, functions[i]);
}
END_TEST

static const char *const table[] = {
#define FAILS(type, function, failure, parameters, arguments) #function,
#define CANNOT(function) #function,
#include "tests/unit/faults/libpq.tbl.h"
#undef FAILS
#undef CANNOT
};

static bool is_of_libpq(const char *function)
{
	return strncmp(function, "PQ", 2) == 0;
}

START_TEST(the_table_has_every_function_that_is_called)
{
	check_called("nm -u " DB_LIBRARY, is_of_libpq, table, sizeof table / sizeof *table, "libpq.tbl.h");
}
END_TEST

TESTS("faults libpq", whichever_call_fails_the_pool_says_busy_and_works_again, the_table_has_every_function_that_is_called)
