#include <pthread.h>

#include "tests/unit/db/post_set.h"
#include "tests/unit/main.h"

#define THREADS 8
#define EACH    200

struct hammer {
	struct fixture *fx;
	int no;
	int failures;
};

static void *hammer_run(void *arg)
{
	struct hammer *h = arg;

	for (int i = 0; i < EACH; i++) {
		struct commit_result result;
		struct post p;
		struct task t;
		post_init(&p, (uint64_t)(h->no * 10000 + i), TEAM((h->no + i) % 4));
		p.content = i % 5 == 0 ? "archived" : "hello";
		struct arena *mem = arena_create();
		h->failures += committer_run(h->fx->c, mem, &p.op, &result) !=
			       (i % 5 == 0 ? STATUS_ARCHIVED : STATUS_OK);
		arena_destroy(mem);
		task_init(&t, TEAM(i % 4)); /* the other lane, on the same streams */
		if (i % 4 == 0)
			h->failures += task_run(h->fx, &t) != STATUS_OK;
	}
	return NULL;
}

START_TEST(eight_threads_in_both_lanes_number_every_stream_without_a_hole)
{
	struct fixture fx;
	struct hammer hammers[THREADS];
	pthread_t threads[THREADS];

	fixture_create(&fx);
	for (int i = 0; i < THREADS; i++) {
		hammers[i] = (struct hammer){&fx, i, 0};
		pthread_create(&threads[i], NULL, hammer_run, &hammers[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		ck_assert_int_eq(hammers[i].failures, 0);
	}
	assert_streams_whole(fx.url);
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM test.posts"), THREADS * EACH * 4 / 5);
	ck_assert_int_eq(
		pg_number(fx.url,
			"SELECT count(*) FROM test.posts p JOIN log.events e ON e.rank = 1 AND e.id = p.stream AND e.seq = p.seq"
			" AND e.payload = convert_to(p.content, 'UTF8')"),
		THREADS * EACH * 4 / 5);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(an_op_that_breaks_the_statement_harms_none_of_its_batch)
{
	struct fixture fx;
	struct gate gate;
	struct post p[13];

	fixture_create(&fx);
	gate_shut(&fx, &gate);
	for (int i = 0; i < 13; i++) {
		/* the ninth's id is the third's */
		post_init(&p[i], i == 8 ? 102 : 100 + (uint64_t)i, TEAM(i % 2));
		if (i == 11)
			p[i].content = "\xff"; /* no text */
		committer_submit(fx.c, &p[i].op);
	}
	gate_open(&gate);
	for (int i = 0; i < 13; i++)
		ck_assert_int_eq(post_await(&p[i]), i == 8    ? STATUS_CONFLICT
						    : i == 11 ? STATUS_INTERNAL
							      : STATUS_OK);
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM test.posts"), 11);
	assert_streams_whole(fx.url);
	fixture_destroy(&fx);
}
END_TEST

/* The first `times` inserts fail as the victims of deadlocks do; a sequence remembers them over the rollbacks. */
static void collide(struct fixture *fx, int times)
{
	char sql[512];

	snprintf(sql, sizeof sql,
		"CREATE SEQUENCE test.tries; CREATE FUNCTION test.collide() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
		" IF nextval('test.tries') <= %d THEN RAISE 'told so' USING ERRCODE = '40P01'; END IF; RETURN NEW; END$$;"
		"CREATE TRIGGER collide BEFORE INSERT ON test.posts FOR EACH STATEMENT EXECUTE FUNCTION test.collide()",
		times);
	pg_exec(fx->url, sql);
}

static void posts_after_collisions(int times, enum status expected)
{
	struct fixture fx;
	struct gate gate;
	struct post p[5];

	fixture_create(&fx);
	collide(&fx, times);
	gate_shut(&fx, &gate);
	for (int i = 0; i < 5; i++) {
		post_init(&p[i], 100 + (uint64_t)i, TEAM(i % 2));
		committer_submit(fx.c, &p[i].op);
	}
	gate_open(&gate);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(post_await(&p[i]), expected);
	/* The batch was never taken apart. */
	ck_assert_int_eq(pg_number(fx.url, "SELECT last_value FROM test.tries"), 2);
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM test.posts"), expected == STATUS_OK ? 5 : 0);
	struct post later;
	post_init(&later, 200, TEAM(0));
	ck_assert_int_eq(post_run(&fx, &later), STATUS_OK);
	assert_streams_whole(fx.url);
	fixture_destroy(&fx);
}

START_TEST(a_batch_that_lost_a_deadlock_is_written_by_the_second_try)
{
	posts_after_collisions(1, STATUS_OK);
}
END_TEST

START_TEST(a_batch_that_loses_twice_is_busy)
{
	posts_after_collisions(2, STATUS_BUSY);
}
END_TEST

static const uint8_t request_a[16] = "request-a-------", hash_a[32] = "a", hash_b[32] = "b";

static void with_request(struct post *p, const uint8_t *hash)
{
	p->op.request_id = request_a;
	p->op.request_id_length = sizeof request_a;
	p->op.body_hash = hash;
}

START_TEST(a_repeated_request_is_replayed_and_another_body_is_refused)
{
	struct fixture fx;
	struct gate gate;
	struct post p[3];

	fixture_create(&fx);
	gate_shut(&fx, &gate);
	for (int i = 0; i < 3; i++) {
		post_init(&p[i], 100 + (uint64_t)i, TEAM(0));
		with_request(&p[i], i == 2 ? hash_b : hash_a);
		committer_submit(fx.c, &p[i].op);
	}
	gate_open(&gate);
	ck_assert_int_eq(post_await(&p[0]), STATUS_OK);
	ck_assert(!p[0].result.replayed);
	ck_assert_int_eq(post_await(&p[1]), STATUS_OK);
	ck_assert(p[1].result.replayed);
	ck_assert_uint_eq(p[1].result.object_id, 100);
	ck_assert_int_eq(post_await(&p[2]), STATUS_FIELD_INVALID);
	ck_assert_str_eq(p[2].result.field, "Idempotency-Key");
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM test.posts"), 1);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(every_kind_of_stale_epoch_is_seen_under_the_lock)
{
	struct fixture fx;
	struct post p;

	fixture_create(&fx);
	pg_exec(fx.url,
		"UPDATE log.streams SET authz_epoch = 4 WHERE id IN (1000, 7);"
		"INSERT INTO moderation.members (team_id, user_id, joined_at_ms, epoch) VALUES (1000, 7, 0, 2)");
	post_init(&p, 100, TEAM(0));
	p.op.actor_id = 7;
	p.op.check_actor = true;
	p.op.actor_epoch = 3;
	p.op.check_count = 1;
	p.op.checks[0] = (struct commit_check){
		.stream = TEAM(0), .stream_epoch = 3, .check_stream = true, .user_id = 7, .member_epoch = 1};
	ck_assert_int_eq(post_run(&fx, &p), STATUS_STALE);
	ck_assert_str_eq(p.result.why, "session");
	p.op.actor_epoch = 4;
	ck_assert_int_eq(post_run(&fx, &p), STATUS_STALE);
	ck_assert_ptr_null(p.result.why);
	p.op.checks[0].stream_epoch = 4;
	ck_assert_int_eq(post_run(&fx, &p), STATUS_STALE);
	p.op.checks[0].member_epoch = 2;
	ck_assert_int_eq(post_run(&fx, &p), STATUS_OK);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(posts_to_a_locked_stream_wait_and_the_others_do_not)
{
	struct fixture fx;
	struct post locked[3], other;

	fixture_create(&fx);
	struct pg_session *holder = pg_session_open(fx.url);
	pg_session_exec(holder, "BEGIN; SELECT 1 FROM log.streams WHERE id = 1000 FOR NO KEY UPDATE");
	for (int i = 0; i < 3; i++) {
		post_init(&locked[i], 100 + (uint64_t)i, TEAM(0));
		committer_submit(fx.c, &locked[i].op);
	}
	for (int i = 0; i < 20; i++) {
		post_init(&other, 200 + (uint64_t)i, TEAM(1));
		ck_assert_int_eq(post_run(&fx, &other), STATUS_OK);
	}
	ck_assert_int_eq(sem_trywait(&locked[0].done), -1);
	pg_session_exec(holder, "COMMIT");
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(post_await(&locked[i]), STATUS_OK);
	assert_streams_whole(fx.url);
	pg_session_close(holder);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_post_to_a_stream_that_does_not_exist_is_not_found)
{
	struct fixture fx;
	struct post p;

	fixture_create(&fx);
	post_init(&p, 100, STREAM_TEAM(999));
	ck_assert_int_eq(post_run(&fx, &p), STATUS_NOT_FOUND);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_steady_stream_of_posts_does_not_keep_the_other_lane_out)
{
	static struct post posts[600];
	struct fixture fx;
	struct gate gate;
	struct task t;

	fixture_create(&fx);
	gate_shut(&fx, &gate);
	for (int i = 0; i < 600; i++) {
		post_init(&posts[i], 100 + (uint64_t)i, TEAM(0));
		committer_submit(fx.c, &posts[i].op);
	}
	task_init(&t, TEAM(1));
	task_submit(&fx, &t);
	gate_open(&gate);
	ck_assert_int_eq(task_await(&t), STATUS_OK);
	/* 600 posts are three batches; the step's turn was not after all of them. */
	ck_assert_int_eq(sem_trywait(&posts[599].done), -1);
	for (int i = 0; i < 599; i++)
		ck_assert_int_eq(post_await(&posts[i]), STATUS_OK);
	ck_assert_int_eq(post_await(&posts[599]), STATUS_OK);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_post_judged_under_another_generation_of_the_log_is_stale_unless_it_was_written_before)
{
	struct fixture fx;
	struct post p;

	fixture_create(&fx);
	post_init(&p, 100, TEAM(0));
	with_request(&p, hash_a);
	ck_assert_int_eq(post_run(&fx, &p), STATUS_OK);
	p.op.check_count = 1;
	p.op.checks[0] = (struct commit_check){.stream = TEAM(0), .check_stream = true, .generation = 12345};
	ck_assert_int_eq(post_run(&fx, &p), STATUS_OK);
	ck_assert(p.result.replayed);
	p.op.request_id_length = 0;
	ck_assert_int_eq(post_run(&fx, &p), STATUS_STALE);
	ck_assert_ptr_null(p.result.why);
	p.op.checks[0].generation = 0;
	p.op.actor_id = 7;
	p.op.check_actor = true;
	p.op.actor_generation = 12345;
	ck_assert_int_eq(post_run(&fx, &p), STATUS_STALE);
	ck_assert_str_eq(p.result.why, "session");
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM test.posts"), 1);
	fixture_destroy(&fx);
}
END_TEST

TESTS("set_lane", a_post_judged_under_another_generation_of_the_log_is_stale_unless_it_was_written_before,
	eight_threads_in_both_lanes_number_every_stream_without_a_hole,
	an_op_that_breaks_the_statement_harms_none_of_its_batch,
	a_batch_that_lost_a_deadlock_is_written_by_the_second_try, a_batch_that_loses_twice_is_busy,
	a_repeated_request_is_replayed_and_another_body_is_refused,
	every_kind_of_stale_epoch_is_seen_under_the_lock, posts_to_a_locked_stream_wait_and_the_others_do_not,
	a_post_to_a_stream_that_does_not_exist_is_not_found,
	a_steady_stream_of_posts_does_not_keep_the_other_lane_out)
