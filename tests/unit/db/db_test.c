#include <time.h>

#include "common/base/clock.h"
#include "common/db/db.h"
#include "tests/lib/pg.h"
#include "tests/unit/main.h"

struct pool {
	char url[PG_URL_SIZE];
	struct db *db;
	struct arena *mem;
};

static void pool_create(struct pool *p, int connections, bool read_only)
{
	struct db_options options = {
		.url = p->url, .service = "test", .connections = connections, .read_only = read_only};

	pg_database_create(p->url);
	p->mem = arena_create();
	ck_assert_int_eq(db_open(&options, &p->db), STATUS_OK);
}

static void pool_destroy(struct pool *p)
{
	db_close(p->db);
	arena_destroy(p->mem);
}

static int64_t soon(void)
{
	return clock_mono_ms() + 5000;
}

static struct db_conn *acquire(struct pool *p)
{
	struct db_conn *conn = NULL;

	ck_assert_int_eq(db_acquire(p->db, soon(), &conn), STATUS_OK);
	return conn;
}

static const struct db_stmt scalars_stmt = {"scalars",
	"SELECT $1::int2, $2::int4, $3::int8, $4::int8, $5::int8, $6::bool, $7::text, $8::text, $9::bytea, $10::bytea"};

START_TEST(scalars_travel_there_and_back)
{
	struct pool p;
	struct db_params params;
	struct db_rows rows;
	size_t length;

	pool_create(&p, 1, false);
	struct db_conn *conn = acquire(&p);
	for (int i = 0; i < 2; i++) { /* the second time it is prepared */
		db_params_begin(&params, p.mem);
		db_put_i16(&params, -2);
		db_put_i32(&params, -70000);
		db_put_i64(&params, INT64_MIN);
		db_put_id(&params, 0);
		db_put_id_or_null(&params, 0);
		db_put_bool(&params, true);
		db_put_text(&params, "Grüße");
		db_put_text(&params, NULL);
		db_put_bytea(&params, "a\0b", 3);
		db_put_bytea(&params, NULL, 0);
		ck_assert_int_eq(db_query(conn, p.mem, &scalars_stmt, &params, &rows), STATUS_OK);
		ck_assert_int_eq(db_i64(&rows, 0, 0), -2);
		ck_assert_int_eq(db_i64(&rows, 0, 1), -70000);
		ck_assert(db_i64(&rows, 0, 2) == INT64_MIN);
		ck_assert(!db_is_null(&rows, 0, 3));
		ck_assert(db_is_null(&rows, 0, 4));
		ck_assert(db_bool(&rows, 0, 5));
		ck_assert_str_eq(db_text(&rows, 0, 6), "Grüße");
		ck_assert_ptr_null(db_text(&rows, 0, 7));
		ck_assert_mem_eq(db_bytea(&rows, 0, 8, &length), "a\0b", 3);
		ck_assert_uint_eq(length, 3);
		ck_assert_ptr_null(db_bytea(&rows, 0, 9, &length));
	}
	db_release(conn);
	pool_destroy(&p);
}
END_TEST

static const struct db_stmt arrays_stmt = {"arrays",
	"SELECT array_to_string($1::int2[], ','), array_to_string($2::int4[], ','), $3::int8[], array_to_string($4::bool[], ','),"
	" array_to_string($5::text[], ',', 'null'), array_to_string($6::bytea[], ',', 'null'), $7::int8[]"};

START_TEST(arrays_travel_there_and_back)
{
	struct pool p;
	struct db_params params;
	struct db_rows rows;
	int64_t *values;

	pool_create(&p, 1, false);
	struct db_conn *conn = acquire(&p);
	db_params_begin(&params, p.mem);
	db_put_i16s(&params, (const int16_t[]){1, -2}, 2);
	db_put_i32s(&params, (const int32_t[]){3, -4}, 2);
	db_put_i64s(&params, (const int64_t[]){5, -6, 7}, 3);
	db_put_bools(&params, (const bool[]){true, false}, 2);
	db_put_texts(&params, (const char *const[]){"x", NULL, ""}, 3);
	db_put_byteas(&params, (const void *const[]){"ab", NULL, ""}, (const size_t[]){2, 0, 0}, 3);
	db_put_ids(&params, NULL, 0);
	ck_assert_int_eq(db_query(conn, p.mem, &arrays_stmt, &params, &rows), STATUS_OK);
	ck_assert_str_eq(db_text(&rows, 0, 0), "1,-2");
	ck_assert_str_eq(db_text(&rows, 0, 1), "3,-4");
	ck_assert_uint_eq(db_i64s(&rows, 0, 2, p.mem, &values), 3);
	ck_assert_int_eq(values[1], -6);
	ck_assert_str_eq(db_text(&rows, 0, 3), "t,f");
	ck_assert_str_eq(db_text(&rows, 0, 4), "x,null,");
	ck_assert_str_eq(db_text(&rows, 0, 5), "\\x6162,null,\\x");
	ck_assert_uint_eq(db_i64s(&rows, 0, 6, p.mem, &values), 0);
	db_release(conn);
	pool_destroy(&p);
}
END_TEST

static enum status run_alone(struct pool *p, const struct db_stmt *stmt)
{
	struct db_conn *conn = acquire(p);

	enum status st = db_query(conn, p->mem, stmt, NULL, NULL);
	db_release(conn);
	return st;
}

#define status_of(p, name, sql)                                                                              \
	({                                                                                                   \
		static const struct db_stmt stmt_ = {name, sql};                                             \
		run_alone(p, &stmt_);                                                                        \
	})

START_TEST(errors_of_the_database_become_statuses)
{
	struct pool p;

	pool_create(&p, 2, false);
	ck_assert_int_eq(
		status_of(&p, "a", "INSERT INTO log.streams (rank, id) VALUES (3, 0)"), STATUS_CONFLICT);
	ck_assert_int_eq(status_of(&p, "b", "SELECT 1/0"), STATUS_INTERNAL);
	ck_assert_int_eq(status_of(&p, "c", "SELECT * FROM nowhere"), STATUS_INTERNAL);
	ck_assert_int_eq(
		status_of(&p, "d", "SELECT set_config('statement_timeout', '20ms', false)"), STATUS_OK);
	ck_assert_int_eq(status_of(&p, "e", "SELECT pg_sleep(3)"), STATUS_BUSY);
	struct pg_session *holder = pg_session_open(p.url);
	pg_session_exec(holder, "BEGIN; LOCK TABLE log.jobs");
	ck_assert_int_eq(status_of(&p, "f", "SELECT * FROM log.jobs"), STATUS_BUSY);
	pg_session_close(holder);
	pool_destroy(&p);
}
END_TEST

START_TEST(a_read_only_pool_cannot_write)
{
	struct pool p;

	pool_create(&p, 1, true);
	ck_assert_int_eq(status_of(&p, "a", "INSERT INTO log.streams (rank, id) VALUES (1, 1)"), STATUS_BUSY);
	ck_assert_int_eq(status_of(&p, "b", "SELECT count(*) FROM log.streams"), STATUS_OK);
	pool_destroy(&p);
}
END_TEST

START_TEST(every_connection_has_its_time_limits)
{
	struct pool p;
	struct db_rows rows;
	static const struct db_stmt stmt = {"limits",
		"SELECT string_agg(setting, ' ' ORDER BY name) FROM pg_settings WHERE name IN ('lock_timeout', 'statement_timeout',"
		" 'idle_in_transaction_session_timeout', 'deadlock_timeout', 'application_name')"};

	pool_create(&p, 1, false);
	struct db_conn *conn = acquire(&p);
	ck_assert_int_eq(db_query(conn, p.mem, &stmt, NULL, &rows), STATUS_OK);
	ck_assert_str_eq(db_text(&rows, 0, 0), "test 200 5000 2000 5000");
	db_release(conn);
	pool_destroy(&p);
}
END_TEST

START_TEST(a_pool_with_no_connection_left_is_busy_at_the_deadline)
{
	struct pool p;
	struct db_conn *second = NULL;

	pool_create(&p, 1, false);
	struct db_conn *conn = acquire(&p);
	ck_assert_int_eq(db_acquire(p.db, clock_mono_ms() + 30, &second), STATUS_BUSY);
	db_release(conn);
	conn = acquire(&p);
	db_release(conn);
	pool_destroy(&p);
}
END_TEST

static const struct db_stmt insert_stmt = {"insert", "INSERT INTO log.streams (rank, id) VALUES (1, 1)"};

START_TEST(what_was_not_committed_is_gone_when_the_connection_is_released)
{
	struct pool p;

	pool_create(&p, 1, false);
	struct db_conn *conn = acquire(&p);
	ck_assert_int_eq(db_begin(conn), STATUS_OK);
	ck_assert_int_eq(db_query(conn, p.mem, &insert_stmt, NULL, NULL), STATUS_OK);
	db_release(conn);
	ck_assert_int_eq(pg_number(p.url, "SELECT count(*) FROM log.streams WHERE rank = 1"), 0);
	conn = acquire(&p);
	ck_assert_int_eq(db_begin(conn), STATUS_OK);
	ck_assert_int_eq(db_query(conn, p.mem, &insert_stmt, NULL, NULL), STATUS_OK);
	ck_assert_int_eq(db_commit(conn), STATUS_OK);
	db_release(conn);
	ck_assert_int_eq(pg_number(p.url, "SELECT count(*) FROM log.streams WHERE rank = 1"), 1);
	pool_destroy(&p);
}
END_TEST

START_TEST(a_transaction_that_failed_cannot_be_committed)
{
	struct pool p;
	static const struct db_stmt broken = {"broken", "SELECT 1/0"};

	pool_create(&p, 1, false);
	struct db_conn *conn = acquire(&p);
	ck_assert_int_eq(db_begin(conn), STATUS_OK);
	ck_assert_int_eq(db_query(conn, p.mem, &insert_stmt, NULL, NULL), STATUS_OK);
	ck_assert_int_eq(db_query(conn, p.mem, &broken, NULL, NULL), STATUS_INTERNAL);
	ck_assert_int_eq(db_commit(conn), STATUS_INTERNAL);
	db_release(conn);
	ck_assert_int_eq(pg_number(p.url, "SELECT count(*) FROM log.streams WHERE rank = 1"), 0);
	pool_destroy(&p);
}
END_TEST

START_TEST(a_snapshot_sees_one_moment)
{
	struct pool p;
	struct db_rows before, after;
	static const struct db_stmt count = {"count", "SELECT count(*) FROM log.streams"};

	pool_create(&p, 1, false);
	struct db_conn *conn = acquire(&p);
	ck_assert_int_eq(db_begin_snapshot(conn), STATUS_OK);
	ck_assert_int_eq(db_query(conn, p.mem, &count, NULL, &before), STATUS_OK);
	pg_exec(p.url, "INSERT INTO log.streams (rank, id) VALUES (1, 1)");
	ck_assert_int_eq(db_query(conn, p.mem, &count, NULL, &after), STATUS_OK);
	ck_assert_int_eq(db_i64(&before, 0, 0), db_i64(&after, 0, 0));
	ck_assert_int_eq(db_query(conn, p.mem, &insert_stmt, NULL, NULL), STATUS_BUSY); /* read only */
	db_release(conn);
	pool_destroy(&p);
}
END_TEST

START_TEST(a_connection_that_died_idle_is_replaced_unnoticed)
{
	struct pool p;

	pool_create(&p, 1, false);
	ck_assert_int_eq(status_of(&p, "one", "SELECT 1"), STATUS_OK);
	pg_exec(p.url,
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test' AND query = 'SELECT 1'");
	pg_await(p.url, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'test' AND query = 'SELECT 1'", 0);
	ck_assert_int_eq(status_of(&p, "one", "SELECT 1"), STATUS_OK);
	pool_destroy(&p);
}
END_TEST

START_TEST(while_the_database_is_away_nobody_waits_for_a_connection)
{
	struct pool p;
	struct db_conn *conn = NULL;

	pool_create(&p, 1, false);
	ck_assert_int_eq(status_of(&p, "one", "SELECT 1"), STATUS_OK);
	pg_cluster("stop");
	ck_assert_int_eq(db_acquire(p.db, soon(), &conn), STATUS_BUSY);
	int64_t began = clock_mono_ms();
	ck_assert_int_eq(db_acquire(p.db, soon(), &conn), STATUS_BUSY);
	ck_assert_int_lt(clock_mono_ms() - began, 100);
	ck_assert(!db_up(p.db));
	pg_cluster("start");
	for (int i = 0; i < 1000 && !db_up(p.db); i++)
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	ck_assert_int_eq(status_of(&p, "one", "SELECT 1"), STATUS_OK);
	pool_destroy(&p);
}
END_TEST

START_TEST(the_schema_is_right_missing_unknown_or_changed)
{
	struct pool p;

	pool_create(&p, 1, false);
	ck_assert_int_eq(db_check_schema(p.db), STATUS_OK);
	pg_exec(p.url,
		"INSERT INTO public.schema_migrations (version, checksum) VALUES ('99990101000000', 'x')");
	ck_assert_int_eq(db_check_schema(p.db), STATUS_CONFLICT);
	pg_exec(p.url, "DELETE FROM public.schema_migrations WHERE version = '99990101000000';"
		       "UPDATE public.schema_migrations SET checksum = 'x' WHERE version = '20261121000001'");
	ck_assert_int_eq(db_check_schema(p.db), STATUS_CONFLICT);
	pg_exec(p.url, "DELETE FROM public.schema_migrations WHERE version = '20261121000001'");
	ck_assert_int_eq(db_check_schema(p.db), STATUS_CONFLICT);
	pg_exec(p.url, "DROP TABLE public.schema_migrations");
	ck_assert_int_eq(db_check_schema(p.db), STATUS_CONFLICT);
	pool_destroy(&p);
}
END_TEST

START_TEST(a_connection_of_another_generation_of_the_log_is_not_used_again)
{
	struct pool p;

	pool_create(&p, 1, false);
	struct db_conn *conn = acquire(&p);
	uint64_t before = db_generation(conn);
	db_release(conn);
	ck_assert_uint_ne(before, 0);
	/* The session lives on, as that of a standby which is promoted does. */
	pg_exec(p.url, "UPDATE log.meta SET generation_counter = generation_counter + 1");
	uint64_t now = before;
	for (int i = 0; i < 1000 && now == before; i++) {
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
		conn = acquire(&p);
		now = db_generation(conn);
		db_release(conn);
	}
	ck_assert_uint_ne(now, before);
	conn = acquire(&p);
	ck_assert_uint_eq(db_generation(conn), now);
	db_release(conn);
	pool_destroy(&p);
}
END_TEST

START_TEST(a_database_without_a_log_has_no_generation_and_gets_one_with_it)
{
	struct pool p;

	pg_database_create_empty(p.url);
	p.mem = arena_create();
	ck_assert_int_eq(db_open(&(struct db_options){.url = p.url, .service = "test", .connections = 1}, &p.db), STATUS_OK);
	struct db_conn *conn = acquire(&p);
	ck_assert_uint_eq(db_generation(conn), 0);
	ck_assert_int_eq(db_script(conn, "SELECT 1"), STATUS_OK);
	db_release(conn);
	pg_exec(p.url, "CREATE SCHEMA log; CREATE TABLE log.meta (generation_counter integer); INSERT INTO log.meta VALUES (1)");
	uint64_t now = 0;
	for (int i = 0; i < 1000 && now == 0; i++) {
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
		conn = acquire(&p);
		now = db_generation(conn);
		db_release(conn);
	}
	ck_assert_uint_ne(now, 0);
	pool_destroy(&p);
}
END_TEST

TESTS("db", a_connection_of_another_generation_of_the_log_is_not_used_again,
	a_database_without_a_log_has_no_generation_and_gets_one_with_it, scalars_travel_there_and_back, arrays_travel_there_and_back,
	errors_of_the_database_become_statuses, a_read_only_pool_cannot_write,
	every_connection_has_its_time_limits, a_pool_with_no_connection_left_is_busy_at_the_deadline,
	what_was_not_committed_is_gone_when_the_connection_is_released,
	a_transaction_that_failed_cannot_be_committed, a_snapshot_sees_one_moment,
	a_connection_that_died_idle_is_replaced_unnoticed,
	while_the_database_is_away_nobody_waits_for_a_connection,
	the_schema_is_right_missing_unknown_or_changed)
