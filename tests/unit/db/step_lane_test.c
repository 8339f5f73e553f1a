#include <pthread.h>

#include "tests/unit/db/fixture.h"
#include "tests/unit/main.h"

#define THREADS 8
#define EACH    100

struct hammer {
	struct fixture *fx;
	int no;
	int failures;
};

static void *hammer_run(void *arg)
{
	struct hammer *h = arg;

	for (int i = 0; i < EACH; i++) {
		struct task t;
		task_init(&t, TEAM((h->no + i) % 4));
		t.events = 1 + i % 3;
		t.end = i % 7 == 0 ? STATUS_FORBIDDEN : STATUS_OK;
		enum status st = task_run(h->fx, &t);
		h->failures += st != t.end;
	}
	return NULL;
}

START_TEST(eight_threads_number_the_events_of_every_stream_without_a_hole)
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
	ck_assert_int_gt(pg_number(fx.url, "SELECT count(*) FROM log.events"), THREADS * EACH);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(an_op_that_is_refused_gives_its_rows_events_and_numbers_back_and_no_others)
{
	struct fixture fx;
	struct gate gate;
	struct task t[9];

	fixture_create(&fx);
	gate_shut(&fx, &gate);
	for (int i = 0; i < 9; i++) {
		task_init(&t[i], TEAM(0));
		t[i].row_id = 100 + (uint64_t)i;
		t[i].events = 2;
		t[i].end = i % 3 == 1 ? STATUS_AT_LIMIT : STATUS_OK;
		task_submit(&fx, &t[i]);
	}
	gate_open(&gate);
	uint64_t seq = 0;
	for (int i = 0; i < 9; i++) {
		ck_assert_int_eq(task_await(&t[i]), t[i].end);
		if (t[i].end != STATUS_OK)
			continue;
		ck_assert_uint_eq(t[i].seqs[0], ++seq);
		ck_assert_uint_eq(t[i].seqs[1], ++seq);
	}
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM test.posts"), 6);
	assert_streams_whole(fx.url);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_statement_that_fails_spoils_its_own_op_only)
{
	struct fixture fx;
	struct gate gate;
	struct task t[4];

	fixture_create(&fx);
	gate_shut(&fx, &gate);
	for (int i = 0; i < 4; i++) {
		task_init(&t[i], TEAM(i % 2));
		t[i].row_id = i == 2 ? 101 : 100 + (uint64_t)i; /* the third's id is the second's */
		task_submit(&fx, &t[i]);
	}
	gate_open(&gate);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(task_await(&t[i]), i == 2 ? STATUS_CONFLICT : STATUS_OK);
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM test.posts"), 3);
	assert_streams_whole(fx.url);
	fixture_destroy(&fx);
}
END_TEST

static enum status broken_audience_work(struct log_tx *tx, void *arg)
{
	struct task *t = arg;
	pb_Event ev = plain_event();

	return log_tx_append(tx, t->stream, "team:\xff", &ev, &t->seqs[0]);
}

START_TEST(an_event_that_the_database_refuses_at_the_end_harms_no_other_op)
{
	struct fixture fx;
	struct gate gate;
	struct task t[5];

	fixture_create(&fx);
	gate_shut(&fx, &gate);
	for (int i = 0; i < 5; i++) {
		task_init(&t[i], TEAM(0));
		t[i].row_id = 100 + (uint64_t)i;
		if (i == 2)
			t[i].op.work = broken_audience_work;
		task_submit(&fx, &t[i]);
	}
	gate_open(&gate);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(task_await(&t[i]), i == 2 ? STATUS_INTERNAL : STATUS_OK);
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM test.posts"), 4);
	assert_streams_whole(fx.url);
	fixture_destroy(&fx);
}
END_TEST

static const uint8_t request_a[16] = "request-a-------", hash_a[32] = "a", hash_b[32] = "b";

static void with_request(struct task *t, const uint8_t *hash)
{
	t->op.request_id = request_a;
	t->op.request_id_length = sizeof request_a;
	t->op.body_hash = hash;
}

static enum status replying_work(struct log_tx *tx, void *arg)
{
	pb_StreamHead reply = {.rank = 1, .stream_id = 2, .seq = 77};

	log_tx_reply(tx, pb_StreamHead_fields, &reply);
	return task_work(tx, arg);
}

START_TEST(a_repeated_request_is_answered_with_what_was_stored_and_writes_nothing)
{
	struct fixture fx;
	struct task first, second;
	struct commit_result result;
	pb_StreamHead reply;

	fixture_create(&fx);
	task_init(&first, TEAM(0));
	first.op.work = replying_work;
	first.row_id = 100;
	with_request(&first, hash_a);
	ck_assert_int_eq(task_run(&fx, &first), STATUS_OK);
	ck_assert(!first.result.replayed);
	task_init(&second, TEAM(0));
	second.row_id = 101;
	with_request(&second, hash_a);
	ck_assert_int_eq(committer_run(fx.c, fx.mem, &second.op, &result), STATUS_OK);
	ck_assert(result.replayed);
	ck_assert_uint_eq(result.object_id, 100);
	ck_assert_int_eq(
		pb_decode_arena(fx.mem, pb_StreamHead_fields, &reply, result.reply, result.reply_length),
		STATUS_OK);
	ck_assert_uint_eq(reply.seq, 77);
	ck_assert_int_eq(second.runs, 0);
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM log.events"), 1);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(the_same_request_id_with_another_body_is_refused_on_the_idempotency_key)
{
	struct fixture fx;
	struct task first, second;
	struct commit_result result;

	fixture_create(&fx);
	task_init(&first, TEAM(0));
	with_request(&first, hash_a);
	ck_assert_int_eq(task_run(&fx, &first), STATUS_OK);
	task_init(&second, TEAM(0));
	with_request(&second, hash_b);
	ck_assert_int_eq(committer_run(fx.c, fx.mem, &second.op, &result), STATUS_FIELD_INVALID);
	ck_assert_str_eq(result.field, "Idempotency-Key");
	ck_assert_int_eq(second.runs, 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(two_ops_with_one_request_id_in_the_queue_at_once_are_written_once)
{
	struct fixture fx;
	struct gate gate;
	struct task t[2];

	fixture_create(&fx);
	gate_shut(&fx, &gate);
	for (int i = 0; i < 2; i++) {
		task_init(&t[i], TEAM(i)); /* not even of one stream */
		with_request(&t[i], hash_a);
		task_submit(&fx, &t[i]);
	}
	gate_open(&gate);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(task_await(&t[i]), STATUS_OK);
	ck_assert(!t[0].result.replayed);
	ck_assert(t[1].result.replayed);
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM log.events"), 1);
	fixture_destroy(&fx);
}
END_TEST

static void check_stream_epoch(struct task *t, uint64_t epoch)
{
	t->op.checks[0] =
		(struct commit_check){.stream = t->stream, .stream_epoch = epoch, .check_stream = true};
	t->op.check_count = 1;
}

START_TEST(rights_judged_by_an_older_epoch_of_the_stream_are_stale)
{
	struct fixture fx;
	struct task t;

	fixture_create(&fx);
	pg_exec(fx.url, "UPDATE log.streams SET authz_epoch = 4 WHERE id = 1000");
	task_init(&t, TEAM(0));
	check_stream_epoch(&t, 3);
	ck_assert_int_eq(task_run(&fx, &t), STATUS_STALE);
	ck_assert_int_eq(t.runs, 0);
	task_init(&t, TEAM(0));
	check_stream_epoch(&t, 4);
	ck_assert_int_eq(task_run(&fx, &t), STATUS_OK);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(rights_judged_by_an_older_epoch_of_the_member_are_stale)
{
	struct fixture fx;
	struct task t;

	fixture_create(&fx);
	pg_exec(fx.url,
		"INSERT INTO moderation.members (team_id, user_id, joined_at_ms, epoch) VALUES (1000, 5, 0, 2)");
	task_init(&t, TEAM(0));
	t.op.checks[0] = (struct commit_check){.stream = TEAM(0), .user_id = 5, .member_epoch = 1};
	t.op.check_count = 1;
	ck_assert_int_eq(task_run(&fx, &t), STATUS_STALE);
	t.op.checks[0].member_epoch = 2;
	ck_assert_int_eq(task_run(&fx, &t), STATUS_OK);
	/* Who has no row has epoch 0. */
	t.op.checks[0] = (struct commit_check){.stream = TEAM(0), .user_id = 6, .member_epoch = 0};
	ck_assert_int_eq(task_run(&fx, &t), STATUS_OK);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(an_actor_whose_session_was_revoked_is_stale_because_of_the_session)
{
	struct fixture fx;
	struct task t;
	struct commit_result result;

	fixture_create(&fx);
	pg_exec(fx.url, "UPDATE log.streams SET authz_epoch = 1 WHERE rank = 2 AND id = 7");
	task_init(&t, TEAM(0));
	t.op.actor_id = 7;
	t.op.check_actor = true;
	ck_assert_int_eq(committer_run(fx.c, fx.mem, &t.op, &result), STATUS_STALE);
	ck_assert_str_eq(result.why, "session");
	t.op.actor_epoch = 1;
	ck_assert_int_eq(committer_run(fx.c, fx.mem, &t.op, &result), STATUS_OK);
	fixture_destroy(&fx);
}
END_TEST

static enum status raise_member_work(struct log_tx *tx, void *arg)
{
	static const struct db_stmt raise = {"test_raise",
		"UPDATE moderation.members SET epoch = epoch + 1 WHERE team_id = 1000 AND user_id = 5"};

	return log_tx_query(tx, &raise, NULL, NULL);
}

START_TEST(an_op_behind_one_that_takes_rights_away_in_the_same_transaction_is_stale)
{
	struct fixture fx;
	struct gate gate;
	struct task raise, wide, by_stream, by_member, elsewhere;

	fixture_create(&fx);
	pg_exec(fx.url,
		"INSERT INTO moderation.members (team_id, user_id, joined_at_ms, epoch) VALUES (1000, 5, 0, 2)");
	gate_shut(&fx, &gate);
	task_init(&raise, TEAM(0));
	raise.op.work = raise_member_work;
	task_init(&wide, TEAM(1));
	wide.raise = true;
	task_init(&by_member, TEAM(0));
	by_member.op.checks[0] = (struct commit_check){.stream = TEAM(0), .user_id = 5, .member_epoch = 2};
	by_member.op.check_count = 1;
	task_init(&by_stream, TEAM(1));
	check_stream_epoch(&by_stream, 0);
	task_init(&elsewhere, TEAM(2));
	check_stream_epoch(&elsewhere, 0);
	struct task *all[] = {&raise, &wide, &by_member, &by_stream, &elsewhere};
	for (size_t i = 0; i < 5; i++)
		task_submit(&fx, all[i]);
	gate_open(&gate);
	ck_assert_int_eq(task_await(&raise), STATUS_OK);
	ck_assert_int_eq(task_await(&wide), STATUS_OK);
	ck_assert_int_eq(task_await(&by_member), STATUS_STALE);
	ck_assert_int_eq(task_await(&by_stream), STATUS_STALE);
	ck_assert_int_eq(task_await(&elsewhere), STATUS_OK);
	ck_assert_int_eq(pg_number(fx.url, "SELECT authz_epoch FROM log.streams WHERE id = 1001"), 1);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_stream_that_somebody_else_has_locked_delays_nobody_else)
{
	struct fixture fx;
	struct task locked, others[20];

	fixture_create(&fx);
	struct pg_session *holder = pg_session_open(fx.url);
	pg_session_exec(holder, "BEGIN; SELECT 1 FROM log.streams WHERE id = 1000 FOR NO KEY UPDATE");
	task_init(&locked, TEAM(0));
	task_submit(&fx, &locked);
	for (int i = 0; i < 20; i++) {
		task_init(&others[i], TEAM(1 + i % 3));
		ck_assert_int_eq(task_run(&fx, &others[i]), STATUS_OK);
	}
	ck_assert_int_eq(sem_trywait(&locked.done), -1);
	/* It is waited for, in a transaction of its own. */
	pg_await(fx.url,
		"SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
		1);
	pg_session_exec(holder, "COMMIT");
	ck_assert_int_eq(task_await(&locked), STATUS_OK);
	assert_streams_whole(fx.url);
	pg_session_close(holder);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_lock_that_is_not_given_in_time_is_busy)
{
	struct fixture fx;
	struct task locked;

	fixture_create(&fx);
	struct pg_session *holder = pg_session_open(fx.url);
	pg_session_exec(holder, "BEGIN; SELECT 1 FROM log.streams WHERE id = 1000 FOR NO KEY UPDATE");
	task_init(&locked, TEAM(0));
	ck_assert_int_eq(task_run(&fx, &locked), STATUS_BUSY);
	ck_assert_int_eq(locked.runs, 0);
	pg_session_close(holder);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_stream_that_does_not_exist_is_not_found)
{
	struct fixture fx;
	struct task t;

	fixture_create(&fx);
	task_init(&t, STREAM_TEAM(999));
	ck_assert_int_eq(task_run(&fx, &t), STATUS_NOT_FOUND);
	ck_assert_int_eq(t.runs, 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(an_op_whose_deadline_passed_while_it_waited_is_late)
{
	struct fixture fx;
	struct gate gate;
	struct task t;

	fixture_create(&fx);
	gate_shut(&fx, &gate);
	task_init(&t, TEAM(0));
	t.op.deadline_mono_ms = clock_mono_ms();
	task_submit(&fx, &t);
	gate_open(&gate);
	ck_assert_int_eq(task_await(&t), STATUS_LATE);
	ck_assert_int_eq(t.runs, 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(more_than_4096_waiting_ops_are_refused_at_once)
{
	static struct task t[4100];
	struct fixture fx;
	struct gate gate;
	int busy = 0;

	fixture_create(&fx);
	gate_shut(&fx, &gate);
	for (int i = 0; i < 4100; i++) {
		task_init(&t[i], TEAM(0));
		t[i].events = 0;
		task_submit(&fx, &t[i]);
		if (sem_trywait(&t[i].done) == 0) {
			ck_assert_int_eq(t[i].result.status, STATUS_BUSY);
			busy++;
		}
	}
	ck_assert_int_eq(busy, 4);
	gate_open(&gate);
	for (int i = 0; i < 4096; i++)
		ck_assert_int_eq(task_await(&t[i]), STATUS_OK);
	fixture_destroy(&fx);
}
END_TEST

static enum status create_team_work(struct log_tx *tx, void *arg)
{
	struct task *t = arg;
	pb_Event ev = plain_event();

	enum status st = log_tx_create_stream(tx, t->stream);
	if (st != STATUS_OK)
		return st;
	st = log_tx_append(tx, t->stream, "team:1", &ev, &t->seqs[0]);
	return st == STATUS_OK ? log_tx_append(tx, t->stream, "team:1", &ev, &t->seqs[1]) : st;
}

START_TEST(a_stream_is_made_with_its_first_events_and_only_once)
{
	struct fixture fx;
	struct task t;

	fixture_create(&fx);
	for (int i = 0; i < 2; i++) {
		task_init(&t, STREAM_TEAM(2000));
		t.op.stream_count = 0;
		t.op.work = create_team_work;
		ck_assert_int_eq(task_run(&fx, &t), i == 0 ? STATUS_OK : STATUS_CONFLICT);
	}
	ck_assert_int_eq(pg_number(fx.url, "SELECT seq FROM log.streams WHERE id = 2000"), 2);
	assert_streams_whole(fx.url);
	fixture_destroy(&fx);
}
END_TEST

static enum status tombstone_work(struct log_tx *tx, void *arg)
{
	struct task *t = arg;

	return log_tx_tombstone(tx, t->stream, (const uint64_t[]){1, 3}, 2, NULL);
}

START_TEST(tombstones_replace_the_payloads_of_earlier_events)
{
	struct fixture fx;
	struct task t;

	fixture_create(&fx);
	task_init(&t, TEAM(0));
	t.events = 3;
	ck_assert_int_eq(task_run(&fx, &t), STATUS_OK);
	task_init(&t, TEAM(0));
	t.op.work = tombstone_work;
	ck_assert_int_eq(task_run(&fx, &t), STATUS_OK);
	ck_assert_int_eq(pg_number(fx.url, "SELECT sum(seq) FROM log.events WHERE payload = '\\x2801'"), 4);
	assert_streams_whole(fx.url);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(time_never_goes_back_within_a_stream_even_if_the_clock_does)
{
	struct fixture fx;
	struct task t;

	fixture_create(&fx);
	pg_exec(fx.url,
		"UPDATE log.streams SET updated_at = clock_timestamp() + interval '1 hour' WHERE id = 1000");
	task_init(&t, TEAM(0));
	t.events = 2;
	ck_assert_int_eq(task_run(&fx, &t), STATUS_OK);
	ck_assert_int_eq(
		pg_number(fx.url,
			"SELECT count(*) FROM log.events e JOIN log.streams s USING (rank, id) WHERE e.created_at = s.updated_at"
			" AND e.created_at > clock_timestamp() + interval '50 min'"),
		2);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(missing_leaves_are_made_when_a_commit_finds_none)
{
	struct fixture fx;
	struct task t;

	fixture_create(&fx);
	pg_exec(fx.url,
		"DO $$ DECLARE leaf regclass; BEGIN FOR leaf IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'log.events'::regclass"
		" LOOP EXECUTE 'DROP TABLE ' || leaf; END LOOP; END $$");
	task_init(&t, TEAM(0));
	ck_assert_int_eq(task_run(&fx, &t), STATUS_OK);
	assert_streams_whole(fx.url);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(draining_answers_what_waits_and_refuses_what_comes)
{
	struct fixture fx;
	struct task t[50], after;

	fixture_create(&fx);
	for (int i = 0; i < 50; i++) {
		task_init(&t[i], TEAM(i % 3));
		task_submit(&fx, &t[i]);
	}
	committer_drain(fx.c, 10000);
	for (int i = 0; i < 50; i++) {
		ck_assert_int_eq(sem_trywait(&t[i].done), 0);
		ck_assert_int_eq(t[i].result.status, STATUS_OK);
	}
	task_init(&after, TEAM(0));
	ck_assert_int_eq(task_run(&fx, &after), STATUS_BUSY);
	fixture_destroy(&fx);
}
END_TEST

/* What the writer meets, as a pool tells it. */
static uint64_t present_generation(struct fixture *fx)
{
	struct db *db = NULL;
	struct db_conn *conn = NULL;

	ck_assert_int_eq(
		db_open(&(struct db_options){.url = fx->url, .service = "test", .connections = 1}, &db), STATUS_OK);
	ck_assert_int_eq(db_acquire(db, clock_mono_ms() + 10000, &conn), STATUS_OK);
	uint64_t generation = db_generation(conn);
	db_release(conn);
	db_close(db);
	return generation;
}

START_TEST(epochs_of_another_generation_of_the_log_are_stale_however_equal)
{
	struct fixture fx;
	struct task t;
	struct commit_result result;

	fixture_create(&fx);
	uint64_t before = present_generation(&fx);
	task_init(&t, TEAM(0));
	check_stream_epoch(&t, 0);
	t.op.checks[0].generation = before;
	ck_assert_int_eq(task_run(&fx, &t), STATUS_OK);

	pg_another_generation(fx.url);
	ck_assert_int_eq(committer_run(fx.c, fx.mem, &t.op, &result), STATUS_STALE);
	ck_assert_ptr_null(result.why);
	t.op.checks[0].generation = present_generation(&fx);
	t.op.actor_id = 7;
	t.op.check_actor = true;
	t.op.actor_generation = before;
	ck_assert_int_eq(committer_run(fx.c, fx.mem, &t.op, &result), STATUS_STALE);
	ck_assert_str_eq(result.why, "session");
	ck_assert_int_eq(t.runs, 1);
	t.op.actor_generation = t.op.checks[0].generation;
	ck_assert_int_eq(committer_run(fx.c, fx.mem, &t.op, &result), STATUS_OK);
	fixture_destroy(&fx);
}
END_TEST

TESTS("step_lane", epochs_of_another_generation_of_the_log_are_stale_however_equal,
	eight_threads_number_the_events_of_every_stream_without_a_hole,
	an_op_that_is_refused_gives_its_rows_events_and_numbers_back_and_no_others,
	a_statement_that_fails_spoils_its_own_op_only,
	an_event_that_the_database_refuses_at_the_end_harms_no_other_op,
	a_repeated_request_is_answered_with_what_was_stored_and_writes_nothing,
	the_same_request_id_with_another_body_is_refused_on_the_idempotency_key,
	two_ops_with_one_request_id_in_the_queue_at_once_are_written_once,
	rights_judged_by_an_older_epoch_of_the_stream_are_stale,
	rights_judged_by_an_older_epoch_of_the_member_are_stale,
	an_actor_whose_session_was_revoked_is_stale_because_of_the_session,
	an_op_behind_one_that_takes_rights_away_in_the_same_transaction_is_stale,
	a_stream_that_somebody_else_has_locked_delays_nobody_else, a_lock_that_is_not_given_in_time_is_busy,
	a_stream_that_does_not_exist_is_not_found, an_op_whose_deadline_passed_while_it_waited_is_late,
	more_than_4096_waiting_ops_are_refused_at_once, a_stream_is_made_with_its_first_events_and_only_once,
	tombstones_replace_the_payloads_of_earlier_events,
	time_never_goes_back_within_a_stream_even_if_the_clock_does,
	missing_leaves_are_made_when_a_commit_finds_none, draining_answers_what_waits_and_refuses_what_comes)
