#include "common/base/clock.h"
#include "common/db/log.h"
#include "common/db/node_lease.h"
#include "common/db/standby.h"
#include "tests/lib/pg.h"
#include "tests/unit/main.h"

struct reader {
	char url[PG_URL_SIZE];
	struct db *db;
	struct db_conn *conn;
	struct arena *mem;
};

static void reader_create(struct reader *r)
{
	struct db_options options = {.url = r->url, .service = "test", .connections = 4};

	pg_database_create(r->url);
	r->mem = arena_create();
	ck_assert_int_eq(db_open(&options, &r->db), STATUS_OK);
	ck_assert_int_eq(db_acquire(r->db, clock_mono_ms() + 5000, &r->conn), STATUS_OK);
}

static void reader_destroy(struct reader *r)
{
	db_release(r->conn);
	db_close(r->db);
	arena_destroy(r->mem);
}

/* A stream with the events first..last, the head being `last`. */
static void stream_with(struct reader *r, int id, int first, int last)
{
	char sql[512];

	snprintf(sql, sizeof sql,
		"INSERT INTO log.streams (rank, id, seq) VALUES (1, %d, %d); INSERT INTO log.events SELECT 1, %d, g, 44, 'team:1', 'payload', 5, 'req',"
		" clock_timestamp() FROM generate_series(%d, %d) g",
		id, last, id, first, last);
	pg_exec(r->url, sql);
}

static enum status fetch(
	struct reader *r, uint64_t id, uint64_t after, uint32_t limit, pb_FetchEventsReply *out)
{
	pb_FetchEventsRequest rq = {.rank = 1, .stream_id = id, .after = after, .limit = limit};

	return log_fetch(r->conn, r->mem, &rq, out);
}

START_TEST(a_fetch_gives_what_follows_in_order_and_the_head)
{
	struct reader r;
	pb_FetchEventsReply reply;

	reader_create(&r);
	stream_with(&r, 50, 1, 20);
	ck_assert_int_eq(fetch(&r, 50, 5, 100, &reply), STATUS_OK);
	ck_assert(!reply.gone);
	ck_assert_uint_eq(reply.head, 20);
	ck_assert_uint_eq(reply.events_count, 15);
	for (size_t i = 0; i < 15; i++)
		ck_assert_uint_eq(reply.events[i].seq, 6 + i);
	ck_assert_uint_eq(reply.events[0].kind, 44);
	ck_assert_str_eq(reply.events[0].audience, "team:1");
	ck_assert_uint_eq(reply.events[0].actor_id, 5);
	ck_assert_uint_eq(reply.events[0].payload->size, 7);
	ck_assert_uint_eq(reply.events[0].request_id->size, 3);
	ck_assert_str_ne(reply.generation, "");
	reader_destroy(&r);
}
END_TEST

START_TEST(a_fetch_at_the_head_is_complete_and_empty)
{
	struct reader r;
	pb_FetchEventsReply reply;

	reader_create(&r);
	stream_with(&r, 50, 1, 20);
	ck_assert_int_eq(fetch(&r, 50, 20, 100, &reply), STATUS_OK);
	ck_assert(!reply.gone);
	ck_assert_uint_eq(reply.events_count, 0);
	ck_assert_int_eq(fetch(&r, 51, 0, 100, &reply), STATUS_OK); /* a stream nobody has written to */
	ck_assert(!reply.gone);
	reader_destroy(&r);
}
END_TEST

START_TEST(a_range_whose_beginning_is_not_there_any_more_is_gone)
{
	struct reader r;
	pb_FetchEventsReply reply;

	reader_create(&r);
	stream_with(&r, 50, 11, 20);
	ck_assert_int_eq(fetch(&r, 50, 5, 100, &reply), STATUS_OK);
	ck_assert(reply.gone);
	ck_assert_uint_eq(reply.head, 20);
	ck_assert_uint_eq(reply.events_count, 0);
	ck_assert_int_eq(fetch(&r, 50, 10, 100, &reply), STATUS_OK);
	ck_assert(!reply.gone);
	ck_assert_uint_eq(reply.events_count, 10);
	reader_destroy(&r);
}
END_TEST

START_TEST(a_position_beyond_the_head_is_gone)
{
	struct reader r;
	pb_FetchEventsReply reply;

	reader_create(&r);
	stream_with(&r, 50, 1, 20);
	ck_assert_int_eq(fetch(&r, 50, 21, 100, &reply), STATUS_OK);
	ck_assert(reply.gone);
	reader_destroy(&r);
}
END_TEST

START_TEST(a_position_of_another_generation_is_gone)
{
	struct reader r;
	pb_FetchEventsReply reply;
	const char *generation;

	reader_create(&r);
	stream_with(&r, 50, 1, 20);
	ck_assert_int_eq(log_generation(r.conn, r.mem, &generation), STATUS_OK);
	pb_FetchEventsRequest rq = {
		.rank = 1, .stream_id = 50, .after = 5, .limit = 10, .generation = (char *)generation};
	ck_assert_int_eq(log_fetch(r.conn, r.mem, &rq, &reply), STATUS_OK);
	ck_assert(!reply.gone);
	pg_exec(r.url, "UPDATE log.meta SET generation_counter = generation_counter + 1"); /* a restore */
	ck_assert_int_eq(log_fetch(r.conn, r.mem, &rq, &reply), STATUS_OK);
	ck_assert(reply.gone);
	ck_assert_str_ne(reply.generation, generation);
	reader_destroy(&r);
}
END_TEST

START_TEST(a_fetch_obeys_its_limit_and_the_size_of_an_answer)
{
	struct reader r;
	pb_FetchEventsReply reply;

	reader_create(&r);
	stream_with(&r, 50, 1, 1500);
	ck_assert_int_eq(fetch(&r, 50, 0, 3, &reply), STATUS_OK);
	ck_assert_uint_eq(reply.events_count, 3);
	ck_assert_int_eq(fetch(&r, 50, 0, 5000, &reply), STATUS_OK);
	ck_assert_uint_eq(reply.events_count, 1000);
	pg_exec(r.url, "UPDATE log.events SET payload = decode(repeat('00', 32768), 'hex') WHERE seq < 200");
	ck_assert_int_eq(fetch(&r, 50, 0, 1000, &reply), STATUS_OK);
	ck_assert_uint_eq(reply.events_count, 64);
	ck_assert(!reply.gone);
	reader_destroy(&r);
}
END_TEST

START_TEST(a_hole_ends_an_answer_before_it)
{
	struct reader r;
	pb_FetchEventsReply reply;

	reader_create(&r);
	stream_with(&r, 50, 1, 20);
	pg_exec(r.url, "DELETE FROM log.events WHERE seq = 8");
	ck_assert_int_eq(fetch(&r, 50, 5, 100, &reply), STATUS_OK);
	ck_assert_uint_eq(reply.events_count, 2);
	ck_assert(!reply.gone);
	ck_assert_int_eq(fetch(&r, 50, 7, 100, &reply), STATUS_OK);
	ck_assert(reply.gone);
	reader_destroy(&r);
}
END_TEST

START_TEST(heads_come_in_the_order_they_were_asked_for)
{
	struct reader r;
	pb_StreamHeadsReply reply;
	pb_StreamHead asked[] = {{1, 51, 0}, {1, 99, 0}, {1, 50, 0}};
	pb_StreamHeadsRequest rq = {.streams_count = 3, .streams = asked};

	reader_create(&r);
	stream_with(&r, 50, 1, 20);
	stream_with(&r, 51, 1, 3);
	ck_assert_int_eq(log_heads(r.conn, r.mem, &rq, &reply), STATUS_OK);
	ck_assert_uint_eq(reply.heads_count, 3);
	ck_assert_uint_eq(reply.heads[0].seq, 3);
	ck_assert_uint_eq(reply.heads[1].seq, 0);
	ck_assert_uint_eq(reply.heads[2].seq, 20);
	rq.streams_count = 0;
	ck_assert_int_eq(log_heads(r.conn, r.mem, &rq, &reply), STATUS_OK);
	ck_assert_uint_eq(reply.heads_count, 0);
	ck_assert_str_ne(reply.generation, "");
	reader_destroy(&r);
}
END_TEST

START_TEST(the_watermark_has_the_newest_seq_of_streams_that_moved_lately)
{
	struct reader r;
	struct logged_event *heads;
	const char *generation;
	size_t count;

	reader_create(&r);
	stream_with(&r, 50, 1, 20);
	stream_with(&r, 51, 1, 3);
	pg_exec(r.url, "UPDATE log.streams SET updated_at = updated_at - interval '20 s' WHERE id = 51");
	ck_assert_int_eq(log_watermark(r.conn, r.mem, true, &generation, &heads, &count), STATUS_OK);
	ck_assert_uint_eq(count, 1);
	ck_assert_uint_eq(heads[0].stream.id, 50);
	ck_assert_uint_eq(heads[0].seq, 20);
	reader_destroy(&r);
}
END_TEST

START_TEST(a_watermark_reads_the_whole_window_whenever_it_is_asked_to)
{
	struct reader r;
	struct logged_event *heads;
	const char *generation;
	size_t count;

	reader_create(&r);
	stream_with(&r, 50, 1, 20);
	pg_exec(r.url, "UPDATE log.streams SET updated_at = updated_at + interval '1 hour' WHERE id = 50"); /* of now, however slow this is */
	stream_with(&r, 51, 1, 3);
	pg_exec(r.url, "UPDATE log.streams SET updated_at = clock_timestamp() - interval '4 s' WHERE id = 51");
	ck_assert_int_eq(log_watermark(r.conn, r.mem, false, &generation, &heads, &count), STATUS_OK);
	ck_assert_uint_eq(count, 1);
	ck_assert_uint_eq(heads[0].stream.id, 50);
	ck_assert_int_eq(log_watermark(r.conn, r.mem, true, &generation, &heads, &count), STATUS_OK);
	ck_assert_uint_eq(count, 2);
	reader_destroy(&r);
}
END_TEST

/* Each commit updates its stream's row: a new entry in two indexes for each would be paid by every post. */
START_TEST(a_stream_that_moves_again_within_a_second_changes_no_index)
{
	struct reader r;

	reader_create(&r);
	stream_with(&r, 50, 1, 1);
	pg_exec(r.url, "CREATE TABLE public.hot AS SELECT 0::bigint AS updates;"
		       "UPDATE log.streams SET seq = 2, updated_at = date_trunc('second', updated_at) WHERE id = 50;"
		       "UPDATE log.streams SET seq = 3, updated_at = updated_at + interval '999 ms' WHERE id = 50;"
		       "UPDATE log.streams SET seq = 4, updated_at = updated_at + interval '1 s' WHERE id = 50;"
		       "UPDATE public.hot SET updates = pg_stat_get_xact_tuples_hot_updated('log.streams'::regclass)");
	ck_assert_int_eq(pg_number(r.url, "SELECT updates FROM public.hot"), 2);
	reader_destroy(&r);
}
END_TEST

START_TEST(a_watermark_names_the_present_generation_even_when_nothing_moved)
{
	struct reader r;
	struct logged_event *heads;
	const char *before, *after, *now;
	size_t count;

	reader_create(&r);
	ck_assert_int_eq(log_watermark(r.conn, r.mem, true, &before, &heads, &count), STATUS_OK);
	ck_assert_uint_eq(count, 0);
	pg_exec(r.url, "UPDATE log.meta SET generation_counter = generation_counter + 1");
	ck_assert_int_eq(log_watermark(r.conn, r.mem, false, &after, &heads, &count), STATUS_OK);
	ck_assert_uint_eq(count, 0);
	ck_assert_str_ne(before, after);
	ck_assert_int_eq(log_generation(r.conn, r.mem, &now), STATUS_OK);
	ck_assert_str_eq(after, now);
	reader_destroy(&r);
}
END_TEST

#define LEAVES "SELECT count(*) FROM pg_inherits WHERE inhparent = 'log.events'::regclass"

START_TEST(leaves_are_made_ahead_and_a_second_time_changes_nothing)
{
	struct reader r;

	reader_create(&r);
	int64_t before = pg_number(r.url, LEAVES);
	ck_assert_int_eq(log_ensure_leaves(r.conn, 4), STATUS_OK);
	ck_assert_int_eq(pg_number(r.url, LEAVES), before + 8); /* two days more, of four leaves each */
	ck_assert_int_eq(log_ensure_leaves(r.conn, 4), STATUS_OK);
	ck_assert_int_eq(pg_number(r.url, LEAVES), before + 8);
	reader_destroy(&r);
}
END_TEST

/* A leaf as log.ensure_leaves makes them, `hours` ago. */
static void old_leaf(struct reader *r, int hours)
{
	char sql[512];

	snprintf(sql, sizeof sql,
		"DO $$ DECLARE leaf timestamptz := to_timestamp(floor(extract(epoch FROM now()) / 21600) * 21600) - interval '%d hours';"
		" name text := 'events_' || to_char(leaf AT TIME ZONE 'UTC', 'YYYYMMDDHH24');"
		" BEGIN EXECUTE format('CREATE TABLE log.%%I PARTITION OF log.events FOR VALUES FROM (%%L) TO (%%L)', name, leaf, leaf + interval '6 hours');"
		" END $$",
		hours);
	pg_exec(r->url, sql);
}

START_TEST(leaves_past_the_retention_are_dropped_and_the_others_stay)
{
	struct reader r;
	size_t count;

	reader_create(&r);
	int64_t before = pg_number(r.url, LEAVES);
	old_leaf(&r, 96);
	old_leaf(&r, 84);
	old_leaf(&r, 72); /* its youngest event is 66 hours old */
	ck_assert_int_eq(log_drop_leaves(r.conn, 72, &count), STATUS_OK);
	ck_assert_uint_eq(count, 2);
	ck_assert_int_eq(pg_number(r.url, LEAVES), before + 1);
	ck_assert_int_eq(
		pg_number(r.url,
			"SELECT count(*) FROM pg_class WHERE relname ~ '^events_[0-9]{10}$' AND relkind = 'r'"),
		before + 1);
	reader_destroy(&r);
}
END_TEST

START_TEST(a_detach_that_was_interrupted_is_finished_the_next_time)
{
	struct reader r;
	size_t count;

	reader_create(&r);
	int64_t before = pg_number(r.url, LEAVES);
	old_leaf(&r, 96);
	/* A reader of the leaf from before the detach: it waits for him, and its lock_timeout comes first. */
	struct pg_session *holder = pg_session_open(r.url);
	pg_session_exec(holder, "BEGIN; SELECT count(*) FROM log.events");
	ck_assert_int_eq(log_drop_leaves(r.conn, 72, &count), STATUS_BUSY);
	ck_assert_int_eq(pg_number(r.url, "SELECT count(*) FROM pg_inherits WHERE inhdetachpending"), 1);
	/* Inserts went on all the time. */
	stream_with(&r, 50, 1, 1);
	pg_session_close(holder);
	pg_await(r.url, "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'", 0);
	ck_assert_int_eq(log_drop_leaves(r.conn, 72, &count), STATUS_OK);
	ck_assert_uint_eq(count, 1);
	ck_assert_int_eq(pg_number(r.url, LEAVES), before);
	reader_destroy(&r);
}
END_TEST

START_TEST(request_ids_are_kept_a_day)
{
	struct reader r;
	int64_t count;

	reader_create(&r);
	pg_exec(r.url,
		"INSERT INTO log.requests (actor, request_id, created_at) SELECT 5, g::text::bytea, now() - interval '25 hours'"
		" FROM generate_series(1, 12000) g; INSERT INTO log.requests (actor, request_id, created_at) VALUES (5, 'young',"
		" now() - interval '23 hours')");
	ck_assert_int_eq(log_purge_requests(r.conn, &count), STATUS_OK);
	ck_assert_int_eq(count, 12000);
	ck_assert_int_eq(pg_number(r.url, "SELECT count(*) FROM log.requests"), 1);
	reader_destroy(&r);
}
END_TEST

START_TEST(two_holders_get_two_nodes_and_one_given_back_is_free_at_once)
{
	struct reader r;
	struct ids a, b, c;
	uint64_t id;

	reader_create(&r);
	ids_init(&a);
	ids_init(&b);
	ids_init(&c);
	struct node_lease *first = node_lease_create(&a, "first"), *second = node_lease_create(&b, "second");
	ck_assert_int_eq(ids_next(&a, clock_wall_ms(), clock_mono_ms(), &id), STATUS_BUSY);
	node_lease_turn(first, r.conn);
	node_lease_turn(second, r.conn);
	ck_assert(node_lease_held(first) && node_lease_held(second));
	ck_assert_uint_ne(a.node, b.node);
	ck_assert_int_eq(ids_next(&a, clock_wall_ms(), clock_mono_ms(), &id), STATUS_OK);
	uint32_t freed = a.node;
	node_lease_give_back(first, r.conn);
	ck_assert(!node_lease_held(first));
	uint64_t none;
	ck_assert_int_eq(ids_next(&a, clock_wall_ms(), clock_mono_ms(), &none), STATUS_BUSY);
	struct node_lease *third = node_lease_create(&c, "third");
	node_lease_turn(third, r.conn);
	ck_assert_uint_eq(c.node, freed);
	/* Even with a clock that is behind, its ids are younger than the last holder's. */
	uint64_t next;
	ck_assert_int_eq(ids_next(&c, clock_wall_ms() - 60000, clock_mono_ms(), &next), STATUS_OK);
	ck_assert_uint_gt(next >> 22, id >> 22);
	node_lease_destroy(first);
	node_lease_destroy(second);
	node_lease_destroy(third);
	reader_destroy(&r);
}
END_TEST

START_TEST(a_node_that_was_taken_over_is_not_held_any_more)
{
	struct reader r;
	struct ids a;
	uint64_t id;

	reader_create(&r);
	ids_init(&a);
	struct node_lease *lease = node_lease_create(&a, "first");
	node_lease_turn(lease, r.conn);
	uint32_t old = a.node;
	pg_exec(r.url, "UPDATE log.nodes SET holder = 'somebody else'");
	node_lease_turn(lease, r.conn);
	ck_assert(!node_lease_held(lease));
	ck_assert_int_eq(ids_next(&a, clock_wall_ms(), clock_mono_ms(), &id), STATUS_BUSY);
	node_lease_turn(lease, r.conn);
	ck_assert(node_lease_held(lease));
	ck_assert_uint_ne(a.node, old);
	node_lease_destroy(lease);
	reader_destroy(&r);
}
END_TEST

START_TEST(a_job_is_one_holders_until_its_lease_ends)
{
	struct reader r;
	bool mine;

	reader_create(&r);
	ck_assert_int_eq(job_lease(r.conn, "sweep", "a", 60000, &mine), STATUS_OK);
	ck_assert(mine);
	ck_assert_int_eq(job_lease(r.conn, "sweep", "b", 60000, &mine), STATUS_OK);
	ck_assert(!mine);
	ck_assert_int_eq(job_lease(r.conn, "sweep", "a", 60000, &mine), STATUS_OK);
	ck_assert(mine);
	pg_exec(r.url, "UPDATE log.jobs SET until = clock_timestamp() - interval '1 s'");
	ck_assert_int_eq(job_lease(r.conn, "sweep", "b", 60000, &mine), STATUS_OK);
	ck_assert(mine);
	reader_destroy(&r);
}
END_TEST

START_TEST(the_upkeep_of_a_process_leases_a_node_and_gives_it_back)
{
	struct reader r;
	struct ids ids;
	struct config config = {.log_retention_h = 72};
	struct log_upkeep *upkeep;

	reader_create(&r);
	ids_init(&ids);
	old_leaf(&r, 96);
	ck_assert_int_eq(log_upkeep_start(&config, r.db, "test-1", &ids, &upkeep), STATUS_OK);
	pg_await(r.url, "SELECT count(*) FROM log.nodes WHERE until > clock_timestamp() AND last_ms > 0", 1);
	pg_await(r.url, "SELECT count(*) FROM log.jobs", 2);
	pg_await(r.url,
		"SELECT count(*) FROM pg_class WHERE relname ~ '^events_[0-9]{10}$' AND relkind = 'r' AND to_timestamp(substring(relname FROM 8)"
		", 'YYYYMMDDHH24') < now() - interval '90 hours'",
		0);
	ck_assert(log_upkeep_has_node(upkeep));
	log_upkeep_stop(upkeep);
	ck_assert_int_eq(
		pg_number(r.url, "SELECT count(*) FROM log.nodes WHERE until > clock_timestamp()"), 0);
	reader_destroy(&r);
}
END_TEST

START_TEST(a_long_purge_does_not_keep_the_node_from_being_renewed)
{
	struct reader r;
	struct ids ids;
	struct config config = {.log_retention_h = 72};
	struct log_upkeep *upkeep;

	reader_create(&r);
	ids_init(&ids);
	/* Three chunks, each of which takes half of the time after which a node is to be renewed. */
	pg_exec(r.url,
		"INSERT INTO log.requests (actor, request_id, created_at) SELECT 5, g::text::bytea, now() - interval '25 hours'"
		" FROM generate_series(1, 11000) g; CREATE TABLE seen (until timestamptz);"
		"CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
		" $$ BEGIN INSERT INTO seen SELECT until FROM log.nodes; PERFORM pg_sleep(2.6); RETURN NULL; END $$;"
		"CREATE TRIGGER slow BEFORE DELETE ON log.requests FOR EACH STATEMENT EXECUTE FUNCTION slow()");
	ck_assert_int_eq(log_upkeep_start(&config, r.db, "test-1", &ids, &upkeep), STATUS_OK);
	pg_await(r.url, "SELECT count(*) FROM log.requests", 1000);
	pg_await(r.url, "SELECT count(*) FROM log.requests", 0);
	ck_assert_int_ge(pg_number(r.url, "SELECT count(DISTINCT until) FROM seen"), 2);
	log_upkeep_stop(upkeep);
	reader_destroy(&r);
}
END_TEST

START_TEST(a_restored_log_gets_a_generation_that_no_earlier_restore_can_have_had)
{
	struct reader r;
	struct log_renewed renewed;

	reader_create(&r);
	struct pg_session *other = pg_session_open(r.url);
	ck_assert_int_eq(log_renew_generation(r.conn, r.mem, &renewed), STATUS_OK);
	ck_assert_str_ne(renewed.before, renewed.after);
	ck_assert_int_ge(renewed.sessions, 1);
	/* The backup may be put back once more, and its counter is 1 each time: the clock tells the restores apart. */
	ck_assert_int_le(pg_number(r.url, "SELECT abs(generation_counter - extract(epoch FROM now() - timestamptz '2024-01-01 00:00Z'))"
					  "::int FROM log.meta"),
		60);
	const char *before = renewed.after;
	ck_assert_int_eq(log_renew_generation(r.conn, r.mem, &renewed), STATUS_OK);
	ck_assert_str_eq(renewed.before, before);
	ck_assert_str_ne(renewed.after, before);
	pg_session_close(other);
	reader_destroy(&r);
}
END_TEST

START_TEST(without_a_standby_that_is_said_and_with_one_that_is_not_there_too)
{
	struct reader r;
	struct standby s;
	char words[160];

	reader_create(&r);
	ck_assert_int_eq(standby_look(r.conn, r.mem, &s), STATUS_OK);
	ck_assert_int_eq(s.state, STANDBY_NONE);
	ck_assert_ptr_nonnull(strstr(standby_words(&s, words, sizeof words), "no synchronous standby (0 others)"));
	/* Of the whole cluster; a commit would wait for it, so nothing is committed in between. */
	pg_exec(r.url, "ALTER SYSTEM SET synchronous_standby_names = 'absent'");
	pg_exec(r.url, "SELECT pg_reload_conf()");
	pg_await(r.url, "SELECT (current_setting('synchronous_standby_names') <> '')::int", 1);
	for (int64_t until = clock_mono_ms() + 20000; s.state == STANDBY_NONE && clock_mono_ms() < until;)
		ck_assert_int_eq(standby_look(r.conn, r.mem, &s), STATUS_OK);
	ck_assert_int_eq(s.state, STANDBY_MISSING);
	ck_assert_int_eq(db_script(r.conn, "SET synchronous_commit = local"), STATUS_OK);
	ck_assert_int_eq(standby_look(r.conn, r.mem, &s), STATUS_OK);
	ck_assert_int_eq(s.state, STANDBY_NOT_WAITED);
	pg_exec(r.url, "ALTER SYSTEM RESET synchronous_standby_names");
	pg_exec(r.url, "SELECT pg_reload_conf()");
	reader_destroy(&r);
}
END_TEST

TESTS("log", a_restored_log_gets_a_generation_that_no_earlier_restore_can_have_had,
	a_fetch_gives_what_follows_in_order_and_the_head, a_fetch_at_the_head_is_complete_and_empty,
	a_range_whose_beginning_is_not_there_any_more_is_gone, a_position_beyond_the_head_is_gone,
	a_position_of_another_generation_is_gone, a_fetch_obeys_its_limit_and_the_size_of_an_answer,
	a_hole_ends_an_answer_before_it, heads_come_in_the_order_they_were_asked_for,
	the_watermark_has_the_newest_seq_of_streams_that_moved_lately,
	a_watermark_reads_the_whole_window_whenever_it_is_asked_to,
	a_stream_that_moves_again_within_a_second_changes_no_index,
	a_watermark_names_the_present_generation_even_when_nothing_moved,
	leaves_are_made_ahead_and_a_second_time_changes_nothing,
	leaves_past_the_retention_are_dropped_and_the_others_stay,
	a_detach_that_was_interrupted_is_finished_the_next_time, request_ids_are_kept_a_day,
	two_holders_get_two_nodes_and_one_given_back_is_free_at_once,
	a_node_that_was_taken_over_is_not_held_any_more, a_job_is_one_holders_until_its_lease_ends,
	the_upkeep_of_a_process_leases_a_node_and_gives_it_back, a_long_purge_does_not_keep_the_node_from_being_renewed,
	without_a_standby_that_is_said_and_with_one_that_is_not_there_too)
