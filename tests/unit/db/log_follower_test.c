#include "common/db/log_follower.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "common/db/log.h"
#include "tests/unit/db/fixture.h"
#include "tests/unit/main.h"

#define WANTED EVENT_KIND_team_deleted

/* ---- a follower that writes down what it saw, in the order in which it saw it */

struct witness {
	struct fixture *fx;
	struct db *db;
	struct log_follower *follower;
	_Atomic uint64_t poison;  /* an event with this seq in team 0 fails */
	_Atomic int busy;         /* so many calls end with BUSY after they have written */
	_Atomic int calls, poisoned_calls;
	_Atomic int gone;
	_Atomic uint64_t gone_through;
	bool dies;                /* between its effect and the commit */
	bool by_commit;
	sem_t *entered, *leave;   /* the next call posts the first and waits for the second, behind its effect */
	_Atomic int64_t lag_s;
	_Atomic uint64_t events, skipped;
};

static const struct db_stmt seen_stmt = {"test_seen",
	"INSERT INTO test.seen (stream, seq) SELECT $1, e FROM unnest($2::int8[]) WITH ORDINALITY AS u(e, n) ORDER BY n"};

static void seen_params(struct db_params *p, struct arena *mem, const struct log_batch *b)
{
	uint64_t *seqs = ARENA_ARRAY(mem, b->count, uint64_t);

	for (size_t i = 0; i < b->count; i++) {
		seqs[i] = b->events[i].logged.seq;
		ck_assert_uint_eq(b->events[i].logged.kind, WANTED);
		ck_assert_uint_eq(b->events[i].logged.stream.id, b->stream.id);
	}
	db_params_begin(p, mem);
	db_put_id(p, b->stream.id);
	db_put_ids(p, seqs, b->count);
}

static bool is_poison(struct witness *w, const struct log_batch *b, size_t index)
{
	return b->stream.id == TEAM(0).id && b->events[index].logged.seq == atomic_load(&w->poison);
}

static enum status verdict(struct witness *w, const struct log_batch *b)
{
	for (size_t i = 0; i < b->count && !w->by_commit; i++) {
		if (!is_poison(w, b, i))
			continue;
		if (b->count == 1)
			atomic_fetch_add(&w->poisoned_calls, 1);
		return STATUS_INTERNAL;
	}
	if (atomic_load(&w->busy) > 0) {
		atomic_fetch_sub(&w->busy, 1);
		return STATUS_BUSY;
	}
	return STATUS_OK;
}

static void seen_gone(struct witness *w, const struct log_batch *b)
{
	if (!b->gone)
		return;
	ck_assert_uint_eq(b->count, 0);
	atomic_store(&w->gone_through, b->through);
	atomic_fetch_add(&w->gone, 1);
}

static enum status witness_handle(void *arg, struct db_conn *conn, struct arena *mem, const struct log_batch *b)
{
	struct witness *w = arg;
	struct db_params p;

	atomic_fetch_add(&w->calls, 1);
	seen_gone(w, b);
	seen_params(&p, mem, b);
	enum status st = db_query(conn, mem, &seen_stmt, &p, NULL);
	if (w->dies)
		raise(SIGKILL);
	if (w->entered != NULL) {
		sem_t *entered = w->entered;
		w->entered = NULL;
		sem_post(entered);
		sem_wait(w->leave);
	}
	return st != STATUS_OK ? st : verdict(w, b);
}

/* ---- the same by changes of its own, one an event */

struct answer {
	const struct log_batch *batch;
	size_t index, count;
};

static enum status answer_work(struct log_tx *tx, void *arg)
{
	const struct answer *a = arg;
	struct log_batch one = *a->batch;
	pb_Event ev = {.which_body = EVENT_KIND_team_updated};
	struct db_params p;

	enum status st = log_follower_mark(tx, a->batch, a->index, a->count);
	if (st != STATUS_OK || a->count == 0)
		return st;
	one.events += a->index;
	one.count = 1;
	seen_params(&p, log_tx_mem(tx), &one);
	st = log_tx_query(tx, &seen_stmt, &p, NULL);
	return st == STATUS_OK ? log_tx_append(tx, TEAM(6), "team:1006", &ev, NULL) : st;
}

static enum status witness_commit(void *arg, struct arena *mem, const struct log_batch *b)
{
	struct witness *w = arg;
	enum status st = STATUS_OK;

	atomic_fetch_add(&w->calls, 1);
	seen_gone(w, b);
	for (size_t i = 0; i < b->count || (b->gone && i == 0); i++) {
		struct answer a = {b, i, b->gone ? 0 : 1};
		uint8_t id[LOG_FOLLOWER_REQUEST_ID];
		struct commit_result result = {0};
		struct commit_op op = {.streams = {TEAM(6)}, .stream_count = 1, .work = answer_work, .arg = &a};
		if (!b->gone && is_poison(w, b, i))
			return STATUS_INTERNAL;
		if (!b->gone) {
			log_follower_request_id(b, i, id);
			op.request_id = id;
			op.request_id_length = sizeof id;
		}
		st = committer_run(w->fx->c, mem, &op, &result);
		if (w->dies)
			raise(SIGKILL);
		if (st == STATUS_OK)
			st = verdict(w, b);
		if (st != STATUS_OK)
			return st;
	}
	return st;
}

/* ---- wiring */

static void witness_create(struct witness *w, struct fixture *fx, const char *instance)
{
	static const uint32_t kinds[] = {WANTED};
	struct log_follower_options options = {.name = "witness",
		.instance = instance,
		.ranks = 1u << RANK_TEAM,
		.kinds = kinds,
		.kind_count = 1,
		.batch = 7,
		.arg = w,
		.metrics = {&w->lag_s, &w->events, &w->skipped}};

	w->fx = fx;
	ck_assert_int_eq(
		db_open(&(struct db_options){.url = fx->url, .service = "test", .connections = 2, .generic_plans = true},
			&w->db),
		STATUS_OK);
	options.db = w->db;
	if (w->by_commit)
		options.commit = witness_commit;
	else
		options.handle = witness_handle;
	log_follower_create(&options, &w->follower);
}

static void witness_start(struct witness *w, struct fixture *fx)
{
	witness_create(w, fx, "one");
	log_follower_start(w->follower);
}

static void witness_end(struct witness *w)
{
	log_follower_stop(w->follower);
	log_follower_destroy(w->follower);
	db_close(w->db);
}

static void database(struct fixture *fx)
{
	fixture_database(fx);
	pg_exec(fx->url, "CREATE TABLE test.seen (n bigserial, stream bigint, seq bigint)");
}

/* So many more events of a kind, and the stream's head with them; dated so that only a comparison of all streams, or a note,
 * finds them. */
static void happen_at(struct fixture *fx, int team, int count, int kind, const char *when)
{
	char sql[900];

	snprintf(sql, sizeof sql,
		"WITH s AS (INSERT INTO log.streams AS s (rank, id, seq) VALUES (1, %d, %d) ON CONFLICT (rank, id) DO UPDATE"
		" SET seq = s.seq + %d RETURNING seq) INSERT INTO log.events SELECT 1, %d, s.seq - %d + g, %d, 'team:1', ''::bytea, 5,"
		" 'req', clock_timestamp() - interval '%s' FROM s, generate_series(1, %d) g",
		1000 + team, count, count, 1000 + team, count, kind, when, count);
	pg_exec(fx->url, sql);
}

static void happen(struct fixture *fx, int team, int count)
{
	happen_at(fx, team, count, WANTED, "1 hour");
}

static void await_seen(struct fixture *fx, int64_t count)
{
	pg_await(fx->url, "SELECT count(*) FROM test.seen", count);
}

/* Every event once, and each stream's in order. */
static void assert_seen_once(struct fixture *fx, int64_t count)
{
	ck_assert_int_eq(pg_number(fx->url, "SELECT count(*) FROM test.seen"), count);
	ck_assert_int_eq(pg_number(fx->url, "SELECT count(DISTINCT (stream, seq)) FROM test.seen"), count);
	ck_assert_int_eq(pg_number(fx->url,
				 "SELECT count(*) FROM (SELECT seq <= lag(seq) OVER (PARTITION BY stream ORDER BY n) AS back"
				 " FROM test.seen) t WHERE back"),
		0);
}

static void end(struct fixture *fx)
{
	arena_destroy(fx->mem);
}

/* ---- tests */

START_TEST(every_event_is_handled_once_and_in_its_streams_order)
{
	struct fixture fx;
	struct witness w = {0};

	database(&fx);
	for (int round = 0; round < 10; round++)
		for (int team = 0; team < 4; team++)
			happen(&fx, team, 3);
	witness_start(&w, &fx);
	await_seen(&fx, 120);
	witness_end(&w);
	assert_seen_once(&fx, 120);
	ck_assert_int_eq(pg_number(fx.url, "SELECT sum(seq) FROM log.followers WHERE name = 'witness'"), 120);
	ck_assert_uint_eq(w.events, 120);
	ck_assert_int_eq(w.lag_s, 0);
	ck_assert_int_ge(w.calls, 20); /* of seven events at most */
	end(&fx);
}
END_TEST

START_TEST(what_happened_while_nobody_worked_is_found_streams_that_are_new_too)
{
	struct fixture fx;
	struct witness w = {0}, later = {0};

	database(&fx);
	happen(&fx, 0, 5);
	witness_start(&w, &fx);
	await_seen(&fx, 5);
	witness_end(&w);
	happen(&fx, 0, 5);
	happen(&fx, 77, 5);
	witness_start(&later, &fx);
	await_seen(&fx, 15);
	witness_end(&later);
	assert_seen_once(&fx, 15);
	end(&fx);
}
END_TEST

START_TEST(a_note_is_enough_to_be_handled)
{
	struct fixture fx;
	struct witness w = {0};

	database(&fx);
	happen(&fx, 0, 1);
	witness_start(&w, &fx);
	await_seen(&fx, 1); /* it has compared all streams and will not do so again soon */
	happen(&fx, 1, 2);
	struct logged_event note = {.stream = TEAM(1), .seq = 2, .kind = WANTED, .at_ms = clock_wall_ms()};
	log_follower_note(w.follower, &note, 1);
	await_seen(&fx, 3);
	witness_end(&w);
	end(&fx);
}
END_TEST

START_TEST(what_others_commit_is_found_without_a_note)
{
	struct fixture fx;
	struct witness w = {0};

	database(&fx);
	happen(&fx, 0, 1);
	witness_start(&w, &fx);
	await_seen(&fx, 1);
	happen_at(&fx, 1, 2, WANTED, "0 s");
	await_seen(&fx, 3);
	witness_end(&w);
	end(&fx);
}
END_TEST

START_TEST(the_committers_hook_tells_what_was_committed)
{
	struct fixture fx;
	struct witness w = {0};
	struct task t;

	database(&fx);
	witness_create(&w, &fx, "one");
	fx.config = (struct config){.db_url = fx.url};
	committer_create(&(struct committer_options){.config = &fx.config,
				 .service = "test",
				 .committed = (void (*)(void *, const struct logged_event *, size_t))log_follower_note,
				 .committed_arg = w.follower},
		&fx.c);
	log_follower_start(w.follower);
	task_init(&t, TEAM(2));
	t.events = 3;
	ck_assert_int_eq(task_run(&fx, &t), STATUS_OK);
	await_seen(&fx, 3);
	log_follower_stop(w.follower);
	committer_destroy(fx.c);
	witness_end(&w);
	assert_seen_once(&fx, 3);
	end(&fx);
}
END_TEST

START_TEST(events_of_other_kinds_are_passed_over_and_the_position_is_kept)
{
	struct fixture fx;
	struct witness w = {0}, later = {0};

	database(&fx);
	happen_at(&fx, 0, 5000, EVENT_KIND_team_updated, "1 hour");
	happen(&fx, 0, 2);
	happen_at(&fx, 0, 30, EVENT_KIND_team_updated, "1 hour");
	happen_at(&fx, 1, 3000, EVENT_KIND_team_updated, "1 hour");
	witness_start(&w, &fx);
	await_seen(&fx, 2);
	pg_await(fx.url, "SELECT seq FROM log.followers WHERE id = 1001 UNION ALL SELECT 0 LIMIT 1", 3000);
	witness_end(&w);
	ck_assert_int_eq(pg_number(fx.url, "SELECT seq FROM log.followers WHERE id = 1000"), 5032);
	ck_assert_uint_eq(w.events, 2);
	happen(&fx, 1, 1);
	witness_start(&later, &fx);
	await_seen(&fx, 3);
	witness_end(&later);
	assert_seen_once(&fx, 3);
	end(&fx);
}
END_TEST

static void killed_meanwhile(bool by_commit, int64_t seen_by_then)
{
	struct fixture fx;
	struct witness w = {.by_commit = by_commit};

	database(&fx);
	happen(&fx, 0, 20);
	pid_t child = fork();
	if (child == 0) {
		struct witness dying = {.dies = true, .by_commit = by_commit};
		if (by_commit)
			fixture_committer(&fx, fx.url);
		witness_start(&dying, &fx);
		for (;;)
			pause();
	}
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM test.seen"), seen_by_then);
	pg_exec(fx.url, "UPDATE log.jobs SET until = clock_timestamp()"); /* its lease would end by itself */
	if (by_commit)
		fixture_committer(&fx, fx.url);
	witness_start(&w, &fx);
	await_seen(&fx, 20);
	witness_end(&w);
	if (by_commit)
		committer_destroy(fx.c);
	assert_seen_once(&fx, 20);
	end(&fx);
}

START_TEST(a_process_that_dies_between_effect_and_commit_has_done_nothing)
{
	killed_meanwhile(false, 0);
}
END_TEST

START_TEST(a_process_that_dies_behind_its_commit_has_done_that_much)
{
	killed_meanwhile(true, 1);
}
END_TEST

START_TEST(a_connection_lost_before_the_commit_leaves_no_effect_and_none_is_doubled)
{
	struct fixture fx;
	sem_t entered, leave;
	struct witness w = {.entered = &entered, .leave = &leave};

	database(&fx);
	sem_init(&entered, 0, 0);
	sem_init(&leave, 0, 0);
	happen(&fx, 0, 5);
	witness_start(&w, &fx);
	sem_wait(&entered);
	pg_exec(fx.url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test'"
			" AND state = 'idle in transaction'");
	sem_post(&leave);
	await_seen(&fx, 5);
	witness_end(&w);
	assert_seen_once(&fx, 5);
	end(&fx);
}
END_TEST

START_TEST(of_two_copies_one_works_and_the_other_goes_on_when_it_stops)
{
	struct fixture fx;
	struct witness one = {0}, two = {0};

	database(&fx);
	happen(&fx, 0, 5);
	witness_start(&one, &fx);
	await_seen(&fx, 5);
	witness_create(&two, &fx, "two");
	log_follower_start(two.follower);
	happen_at(&fx, 1, 5, WANTED, "0 s");
	await_seen(&fx, 10);
	ck_assert_int_eq(two.calls, 0);
	witness_end(&one);
	happen(&fx, 2, 5);
	await_seen(&fx, 15);
	ck_assert_int_gt(two.calls, 0);
	witness_end(&two);
	assert_seen_once(&fx, 15);
	end(&fx);
}
END_TEST

START_TEST(two_copies_that_both_believe_to_have_the_lease_have_one_effect)
{
	struct fixture fx;
	sem_t entered, leave;
	struct witness slow = {.entered = &entered, .leave = &leave}, quick = {0};

	database(&fx);
	sem_init(&entered, 0, 0);
	sem_init(&leave, 0, 0);
	happen(&fx, 0, 5);
	happen(&fx, 1, 40);
	witness_start(&slow, &fx);
	sem_wait(&entered); /* stands still in the middle of its transaction */
	pg_exec(fx.url, "UPDATE log.jobs SET until = clock_timestamp() WHERE name = 'follow_witness'");
	witness_create(&quick, &fx, "two");
	log_follower_start(quick.follower);
	/* The second comes as far as the stream that the first has its hand on. */
	pg_await(fx.url,
		"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'test' AND wait_event_type = 'Lock'", 1);
	sem_post(&leave);
	await_seen(&fx, 45);
	witness_end(&slow);
	witness_end(&quick);
	assert_seen_once(&fx, 45);
	end(&fx);
}
END_TEST

START_TEST(what_the_log_does_not_have_any_more_is_told_and_the_rest_follows)
{
	struct fixture fx;
	struct witness w = {0}, later = {0};

	database(&fx);
	happen(&fx, 0, 50);
	pg_exec(fx.url, "DELETE FROM log.events WHERE seq <= 30");
	witness_start(&w, &fx);
	pg_await(fx.url, "SELECT count(*) FROM log.followers WHERE id = 1000 AND seq = 50", 1);
	happen_at(&fx, 0, 5, WANTED, "0 s");
	await_seen(&fx, 5);
	witness_end(&w);
	ck_assert_int_eq(w.gone, 1);
	ck_assert_uint_eq(w.gone_through, 50);
	/* A position beyond the head: the database was put back to an earlier state. */
	pg_exec(fx.url, "UPDATE log.followers SET seq = 900");
	witness_start(&later, &fx);
	pg_await(fx.url, "SELECT seq FROM log.followers WHERE id = 1000", 55);
	witness_end(&later);
	ck_assert_int_eq(later.gone, 1);
	end(&fx);
}
END_TEST

START_TEST(an_event_that_fails_five_times_is_skipped_and_holds_nobody_else_up)
{
	struct fixture fx;
	struct witness w = {.poison = 4};

	database(&fx);
	happen(&fx, 0, 10);
	happen(&fx, 1, 10);
	witness_start(&w, &fx);
	await_seen(&fx, 19);
	witness_end(&w);
	assert_seen_once(&fx, 19);
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM test.seen WHERE stream = 1000 AND seq = 4"), 0);
	ck_assert_int_eq(w.poisoned_calls, 5);
	ck_assert_uint_eq(w.skipped, 1);
	end(&fx);
}
END_TEST

START_TEST(what_is_only_busy_is_never_skipped)
{
	struct fixture fx;
	struct witness w = {.busy = 8};

	database(&fx);
	happen(&fx, 0, 3);
	witness_start(&w, &fx);
	await_seen(&fx, 3);
	witness_end(&w);
	assert_seen_once(&fx, 3);
	ck_assert_uint_eq(w.skipped, 0);
	ck_assert_int_ge(w.calls, 9);
	end(&fx);
}
END_TEST

START_TEST(who_commits_by_itself_has_each_event_answered_once)
{
	struct fixture fx;
	struct witness w = {.by_commit = true, .busy = 3}; /* three times it does not hear that it has committed */

	database(&fx);
	fixture_committer(&fx, fx.url);
	happen(&fx, 0, 20);
	happen(&fx, 1, 20);
	witness_start(&w, &fx);
	await_seen(&fx, 40);
	witness_end(&w);
	committer_destroy(fx.c);
	assert_seen_once(&fx, 40);
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM log.events WHERE id = 1006"), 40);
	ck_assert_int_eq(pg_number(fx.url, "SELECT sum(seq) FROM log.followers WHERE id < 1006"), 40);
	end(&fx);
}
END_TEST

START_TEST(who_commits_by_itself_is_told_what_is_gone_and_skips_what_is_poisoned)
{
	struct fixture fx;
	struct witness w = {.by_commit = true, .poison = 58};

	database(&fx);
	fixture_committer(&fx, fx.url);
	happen(&fx, 0, 50);
	pg_exec(fx.url, "DELETE FROM log.events WHERE seq <= 30");
	witness_start(&w, &fx);
	pg_await(fx.url, "SELECT count(*) FROM log.followers WHERE id = 1000 AND seq = 50", 1);
	happen_at(&fx, 0, 10, WANTED, "0 s");
	pg_await(fx.url, "SELECT seq FROM log.followers WHERE id = 1000", 60);
	witness_end(&w);
	committer_destroy(fx.c);
	assert_seen_once(&fx, 9);
	ck_assert_int_eq(w.gone, 1);
	ck_assert_uint_eq(w.skipped, 1);
	end(&fx);
}
END_TEST

START_TEST(a_mark_of_a_position_that_was_moved_is_refused)
{
	struct fixture fx;
	struct commit_result result;

	database(&fx);
	fixture_committer(&fx, fx.url);
	pg_exec(fx.url, "INSERT INTO log.followers VALUES ('witness', 1, 1000, 9)");
	struct log_batch batch = {.follower = "witness", .stream = TEAM(0), .gone = true, .after = 5, .through = 12};
	struct answer a = {&batch, 0, 0};
	struct commit_op op = {.streams = {TEAM(6)}, .stream_count = 1, .work = answer_work, .arg = &a};
	ck_assert_int_eq(committer_run(fx.c, fx.mem, &op, &result), STATUS_CONFLICT);
	batch.after = 9;
	ck_assert_int_eq(committer_run(fx.c, fx.mem, &op, &result), STATUS_OK);
	ck_assert_int_eq(pg_number(fx.url, "SELECT seq FROM log.followers"), 12);
	committer_destroy(fx.c);
	end(&fx);
}
END_TEST

START_TEST(a_follower_outlives_its_database)
{
	struct fixture fx;
	struct witness w = {0};

	database(&fx);
	happen(&fx, 0, 5);
	witness_start(&w, &fx);
	await_seen(&fx, 5);
	pg_cluster("restart");
	happen(&fx, 0, 5);
	pg_exec(fx.url, "UPDATE log.events SET created_at = clock_timestamp() WHERE seq > 5");
	await_seen(&fx, 10);
	witness_end(&w);
	assert_seen_once(&fx, 10);
	end(&fx);
}
END_TEST

TESTS("log_follower", every_event_is_handled_once_and_in_its_streams_order,
	what_happened_while_nobody_worked_is_found_streams_that_are_new_too, a_note_is_enough_to_be_handled,
	what_others_commit_is_found_without_a_note, the_committers_hook_tells_what_was_committed,
	events_of_other_kinds_are_passed_over_and_the_position_is_kept,
	a_process_that_dies_between_effect_and_commit_has_done_nothing,
	a_process_that_dies_behind_its_commit_has_done_that_much,
	a_connection_lost_before_the_commit_leaves_no_effect_and_none_is_doubled,
	of_two_copies_one_works_and_the_other_goes_on_when_it_stops,
	two_copies_that_both_believe_to_have_the_lease_have_one_effect,
	what_the_log_does_not_have_any_more_is_told_and_the_rest_follows,
	an_event_that_fails_five_times_is_skipped_and_holds_nobody_else_up, what_is_only_busy_is_never_skipped,
	who_commits_by_itself_has_each_event_answered_once,
	who_commits_by_itself_is_told_what_is_gone_and_skips_what_is_poisoned,
	a_mark_of_a_position_that_was_moved_is_refused, a_follower_outlives_its_database)
