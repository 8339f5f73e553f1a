#include "common/db/canary.h"

#include "common/db/log.h"
#include "tests/unit/db/fixture.h"
#include "tests/unit/main.h"

#define CANARIES "SELECT count(*) FROM log.events WHERE rank = 3 AND id = 1"

static struct db *open_database(const struct fixture *fx)
{
	struct db *db = NULL;

	ck_assert_int_eq(db_open(&(struct db_options){.url = fx->url, .service = "test", .connections = 2}, &db), STATUS_OK);
	return db;
}

START_TEST(of_two_copies_one_sends_and_the_other_goes_on_when_it_is_gone)
{
	struct fixture fx;
	fixture_create(&fx);
	struct db *db = open_database(&fx);
	bool first = false, second = false, again = false, later = false;

	ck_assert_int_eq(canary_turn(db, fx.c, "one", &first), STATUS_OK);
	ck_assert_int_eq(canary_turn(db, fx.c, "two", &second), STATUS_OK);
	ck_assert_int_eq(canary_turn(db, fx.c, "one", &again), STATUS_OK);
	ck_assert(first && !second && again);
	ck_assert_int_eq(pg_number(fx.url, CANARIES), 2);
	pg_exec(fx.url, "UPDATE log.jobs SET until = clock_timestamp() - interval '1 second' WHERE name = 'canary'");
	ck_assert_int_eq(canary_turn(db, fx.c, "two", &later), STATUS_OK);
	ck_assert(later);
	ck_assert_int_eq(pg_number(fx.url, CANARIES), 3);
	db_close(db);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(it_is_an_event_of_a_stream_of_its_own_that_is_for_nobody)
{
	struct fixture fx;
	fixture_create(&fx);
	struct db *db = open_database(&fx);
	bool sent = false;

	canary_turn(db, fx.c, "one", &sent);

	ck_assert(sent);
	ck_assert_int_eq(pg_number(fx.url, "SELECT seq FROM log.streams WHERE rank = 3 AND id = 1"), 1);
	ck_assert_int_eq(pg_number(fx.url, "SELECT seq FROM log.streams WHERE rank = 3 AND id = 0"), 0);
	ck_assert_int_eq(
		pg_number(fx.url, "SELECT count(*) FROM log.events WHERE rank = 3 AND id = 1 AND seq = 1 AND kind = 290 AND audience = 'internal'"),
		1);
	db_close(db);
	fixture_destroy(&fx);
}
END_TEST

TESTS("canary", of_two_copies_one_sends_and_the_other_goes_on_when_it_is_gone,
	it_is_an_event_of_a_stream_of_its_own_that_is_for_nobody)
