#include <time.h>

#include "tests/lib/pg_proxy.h"
#include "tests/unit/db/post_set.h"
#include "tests/unit/main.h"

struct cut_fixture {
	struct fixture fx;
	struct pg_proxy *proxy;
};

static void cut_fixture_create(struct cut_fixture *cf)
{
	static char url[PG_URL_SIZE];
	struct task t;

	fixture_database(&cf->fx);
	cf->proxy = pg_proxy_start(cf->fx.url, url);
	fixture_committer(&cf->fx, url);
	task_init(&t, TEAM(6)); /* the connection is made and knows its statements */
	ck_assert_int_eq(task_run(&cf->fx, &t), STATUS_OK);
}

static void cut_fixture_destroy(struct cut_fixture *cf)
{
	fixture_destroy(&cf->fx);
	pg_proxy_stop(cf->proxy);
}

START_TEST(a_step_whose_commit_answer_is_lost_is_answered_as_written_and_written_once)
{
	struct cut_fixture cf;
	struct task t;

	cut_fixture_create(&cf);
	pg_proxy_cut(cf.proxy, PG_CUT_COMMIT_ANSWER);
	task_init(&t, TEAM(0));
	t.row_id = 100;
	ck_assert_int_eq(task_run(&cf.fx, &t), STATUS_OK);
	ck_assert_int_eq(pg_proxy_cuts(cf.proxy), 1);
	ck_assert(!t.result.replayed);
	ck_assert_int_eq(t.runs, 1);
	ck_assert_int_eq(pg_number(cf.fx.url, "SELECT count(*) FROM test.posts"), 1);
	assert_streams_whole(cf.fx.url);
	cut_fixture_destroy(&cf);
}
END_TEST

START_TEST(a_step_whose_commit_never_arrived_is_run_again_and_written_once)
{
	struct cut_fixture cf;
	struct task t;

	cut_fixture_create(&cf);
	pg_proxy_cut(cf.proxy, PG_CUT_COMMIT_REQUEST);
	task_init(&t, TEAM(0));
	t.row_id = 100;
	ck_assert_int_eq(task_run(&cf.fx, &t), STATUS_OK);
	ck_assert_int_eq(pg_proxy_cuts(cf.proxy), 1);
	ck_assert_int_eq(t.runs, 2);
	ck_assert_int_eq(pg_number(cf.fx.url, "SELECT count(*) FROM test.posts"), 1);
	assert_streams_whole(cf.fx.url);
	cut_fixture_destroy(&cf);
}
END_TEST

/* api gives a call that is not answered to another copy, under the same request id. */
START_TEST(what_another_copy_wrote_meanwhile_is_not_taken_for_the_lost_commit)
{
	static const uint8_t id[16] = "the same request";
	struct cut_fixture cf;
	struct gate gate, held;

	cut_fixture_create(&cf);
	gate_shut(&cf.fx, &gate);
	sem_init(&held.entered, 0, 0);
	sem_init(&held.leave, 0, 0);
	task_init(&held.task, TEAM(0));
	held.task.op.request_id = id;
	held.task.op.request_id_length = sizeof id;
	held.task.row_id = 100;
	held.task.entered = &held.entered;
	held.task.leave = &held.leave;
	struct task mate;
	task_init(&mate, TEAM(1));
	mate.row_id = 101;
	task_submit(&cf.fx, &held.task);
	task_submit(&cf.fx, &mate);
	gate_open(&gate);
	while (sem_wait(&held.entered) != 0)
		;
	pg_exec(cf.fx.url,
		"INSERT INTO log.requests (actor, request_id, object_id) VALUES (5, 'the same request', 77)");
	pg_proxy_cut(cf.proxy, PG_CUT_COMMIT_REQUEST);
	sem_post(&held.leave);
	ck_assert_int_eq(task_await(&held.task), STATUS_OK);
	ck_assert(held.task.result.replayed);
	ck_assert_uint_eq(held.task.result.object_id, 77);
	ck_assert_int_eq(task_await(&mate), STATUS_OK);
	ck_assert_int_eq(pg_proxy_cuts(cf.proxy), 1);
	ck_assert_int_eq(mate.runs, 2);
	ck_assert_int_eq(pg_number(cf.fx.url, "SELECT count(*) FROM test.posts WHERE id = 101"), 1);
	ck_assert_int_eq(pg_number(cf.fx.url, "SELECT count(*) FROM test.posts"), 1);
	assert_streams_whole(cf.fx.url);
	cut_fixture_destroy(&cf);
}
END_TEST

START_TEST(posts_whose_commit_answer_is_lost_are_answered_and_written_once)
{
	struct cut_fixture cf;
	struct post p[10];

	cut_fixture_create(&cf);
	pg_proxy_cut(cf.proxy, PG_CUT_COMMIT_ANSWER);
	for (int i = 0; i < 10; i++) {
		post_init(&p[i], 100 + (uint64_t)i, TEAM(i % 2));
		if (i == 4)
			p[i].content = "archived";
		committer_submit(cf.fx.c, &p[i].op);
	}
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(post_await(&p[i]), i == 4 ? STATUS_ARCHIVED : STATUS_OK);
	ck_assert_int_eq(pg_proxy_cuts(cf.proxy), 1);
	/* The first was in the transaction that was cut: its answer is what was stored with it. */
	ck_assert(p[0].result.replayed);
	ck_assert_uint_eq(p[0].result.object_id, 100);
	ck_assert_int_eq(pg_number(cf.fx.url, "SELECT count(*) FROM test.posts"), 9);
	assert_streams_whole(cf.fx.url);
	cut_fixture_destroy(&cf);
}
END_TEST

START_TEST(posts_whose_commit_never_arrived_are_tried_again_and_written_once)
{
	struct cut_fixture cf;
	struct post p[10];

	cut_fixture_create(&cf);
	pg_proxy_cut(cf.proxy, PG_CUT_COMMIT_REQUEST);
	for (int i = 0; i < 10; i++) {
		post_init(&p[i], 100 + (uint64_t)i, TEAM(i % 2));
		committer_submit(cf.fx.c, &p[i].op);
	}
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(post_await(&p[i]), STATUS_OK);
		ck_assert(!p[i].result.replayed);
	}
	ck_assert_int_eq(pg_proxy_cuts(cf.proxy), 1);
	ck_assert_int_eq(pg_number(cf.fx.url, "SELECT count(*) FROM test.posts"), 10);
	assert_streams_whole(cf.fx.url);
	cut_fixture_destroy(&cf);
}
END_TEST

START_TEST(an_op_whose_backend_is_terminated_in_its_midst_is_run_again)
{
	struct fixture fx;
	struct gate gate;

	fixture_create(&fx);
	gate_shut(&fx, &gate);
	pg_exec(fx.url,
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'");
	sem_post(&gate.leave);
	sem_post(&gate.leave); /* for the second run */
	ck_assert_int_eq(task_await(&gate.task), STATUS_OK);
	ck_assert_int_eq(gate.task.runs, 2);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(an_op_that_loses_its_connection_every_time_is_busy_in_the_end)
{
	struct fixture fx;
	struct task t;

	fixture_create(&fx);
	pg_exec(fx.url,
		"CREATE FUNCTION test.die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid());"
		" RETURN NEW; END $$; CREATE TRIGGER die BEFORE INSERT ON test.posts FOR EACH ROW EXECUTE FUNCTION test.die()");
	task_init(&t, TEAM(0));
	t.row_id = 100;
	ck_assert_int_eq(task_run(&fx, &t), STATUS_BUSY);
	ck_assert_int_eq(t.runs, 3);
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM log.events"), 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(while_the_database_is_away_ops_are_busy_at_once_and_work_again_when_it_is_back)
{
	struct fixture fx;
	struct gate gate;
	struct task t;
	struct post p[20];
	char generation[96];

	fixture_create(&fx);
	gate_shut(&fx, &gate);
	for (int i = 0; i < 20; i++) {
		post_init(&p[i], 100 + (uint64_t)i, TEAM(0));
		committer_submit(fx.c, &p[i].op);
	}
	pg_cluster("kill");
	sem_post(&gate.leave);
	ck_assert_int_eq(task_await(&gate.task), STATUS_BUSY);
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(post_await(&p[i]), STATUS_BUSY);
	task_init(&t, TEAM(0));
	int64_t began = clock_mono_ms();
	ck_assert_int_eq(task_run(&fx, &t), STATUS_BUSY);
	ck_assert_int_lt(clock_mono_ms() - began, 100);
	pg_cluster("start");
	enum status st = STATUS_BUSY;
	for (int i = 0; i < 500 && st == STATUS_BUSY; i++) {
		task_init(&t, TEAM(0));
		st = task_run(&fx, &t);
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	ck_assert_int_eq(st, STATUS_OK);
	committer_generation(fx.c, generation);
	ck_assert_str_ne(generation, "");
	assert_streams_whole(fx.url);
	fixture_destroy(&fx);
}
END_TEST

TESTS("lost_commit", a_step_whose_commit_answer_is_lost_is_answered_as_written_and_written_once,
	a_step_whose_commit_never_arrived_is_run_again_and_written_once,
	what_another_copy_wrote_meanwhile_is_not_taken_for_the_lost_commit,
	posts_whose_commit_answer_is_lost_are_answered_and_written_once,
	posts_whose_commit_never_arrived_are_tried_again_and_written_once,
	an_op_whose_backend_is_terminated_in_its_midst_is_run_again,
	an_op_that_loses_its_connection_every_time_is_busy_in_the_end,
	while_the_database_is_away_ops_are_busy_at_once_and_work_again_when_it_is_back)
