/*
 * The set statement alone, on a database: what it writes, how it numbers, what it refuses. A batch is what is
 * submitted while the committer stands still in another op's work.
 */
#include "services/messaging/post_set.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "tests/lib/pg.h"
#include "tests/unit/main.h"

#define TEAM 1000
#define CHANNEL                                                                                              \
	2000 /* of team 1000; 2001 is of team 1001, 2002 of team 1000 again, 2003 deleted, 2004 archived,    \
		2005 slow */
#define FAR_MS (clock_mono_ms() + 20000)

struct fixture {
	char url[PG_URL_SIZE];
	struct config config;
	struct committer *committer;
};

static void fixture_create(struct fixture *fx)
{
	log_init("test", LOG_ERROR);
	pg_database_create(fx->url);
	pg_exec(fx->url, "INSERT INTO log.streams (rank, id, authz_epoch) VALUES (1, 1000, 3), (1, 1001, 0), "
			 "(2, 5, 9), (2, 6, 0);"
			 "INSERT INTO moderation.members (team_id, user_id, joined_at_ms, epoch) VALUES "
			 "(1000, 5, 1, 4), (1000, 6, 1, 0), (1001, 5, 1, 0);"
			 "INSERT INTO messaging.channels (id, rank, stream_id, team_id, kind, name, "
			 "created_at_ms, created_by)"
			 " SELECT 2000 + g, 1, CASE g WHEN 1 THEN 1001 ELSE 1000 END, 1000, 1, 'c', 1, 5 "
			 "FROM generate_series(0, 5) g;"
			 "UPDATE messaging.channels SET deleted_at_ms = 1 WHERE id = 2003;"
			 "UPDATE messaging.channels SET archived_at_ms = 1 WHERE id = 2004;"
			 "UPDATE messaging.channels SET slow_mode_s = 60 WHERE id = 2005");
	fx->config = (struct config){.db_url = fx->url, .log_retention_h = 72};
	ck_assert_int_eq(
		committer_create(&(struct committer_options){.config = &fx->config, .service = "test"},
			&fx->committer),
		STATUS_OK);
}

static void fixture_destroy(struct fixture *fx)
{
	ck_assert_int_eq(
		pg_number(fx->url,
			"SELECT count(*) FROM log.streams s WHERE s.seq <> (SELECT count(*) FROM log.events e"
			" WHERE e.rank = s.rank AND e.id = s.id) OR s.seq <> coalesce((SELECT max(seq) FROM "
			"log.events e"
			" WHERE e.rank = s.rank AND e.id = s.id), 0)"),
		0);
	committer_drain(fx->committer, 20000);
	committer_destroy(fx->committer);
}

struct post {
	struct post_row row;
	struct commit_op op;
	uint64_t request[2];
	uint8_t body[32];
	sem_t ended;
	struct commit_result result;
};

static void post_done(void *arg, const struct commit_result *result)
{
	struct post *p = (struct post *)((char *)arg - offsetof(struct post, row));

	p->result = *result; /* status, why and field are static; the rest is not looked at */
	sem_post(&p->ended);
}

/* A post of user 5 in CHANNEL by rights that hold. */
static void post_init(struct post *p, uint64_t id)
{
	memset(p, 0, sizeof *p);
	sem_init(&p->ended, 0, 0);
	p->request[0] = id;
	p->row = (struct post_row){.id = id,
		.channel_id = CHANNEL,
		.content = "hello",
		.at_ms = 1700000000000,
		.audience = "team:1000",
		.payload = (const uint8_t *)"payload",
		.payload_length = 7};
	p->op = (struct commit_op){.streams = {STREAM_TEAM(TEAM)},
		.stream_count = 1,
		.checks = {{.stream = STREAM_TEAM(TEAM),
			.check_stream = true,
			.stream_epoch = 3,
			.user_id = 5,
			.member_epoch = 4}},
		.check_count = 1,
		.actor_id = 5,
		.actor_epoch = 9,
		.check_actor = true,
		.request_id = (const uint8_t *)p->request,
		.request_id_length = 16,
		.body_hash = p->body,
		.deadline_mono_ms = FAR_MS,
		.set = &post_set,
		.done = post_done,
		.arg = &p->row};
}

static void post_as_6(struct post *p)
{
	p->op.actor_id = 6;
	p->op.actor_epoch = 0;
	p->op.checks[0].user_id = 6;
	p->op.checks[0].member_epoch = 0;
}

static enum status post_await(struct post *p)
{
	while (sem_wait(&p->ended) != 0)
		;
	return p->result.status;
}

static enum status post_run(struct fixture *fx, struct post *p)
{
	committer_submit(fx->committer, &p->op);
	return post_await(p);
}

/* Holds the committer in a step of team 1001 until opened; what is submitted meanwhile is one batch. */
struct gate {
	struct commit_op op;
	sem_t entered, leave, ended;
};

static enum status gate_work(struct log_tx *tx, void *arg)
{
	struct gate *g = arg;

	sem_post(&g->entered);
	while (sem_wait(&g->leave) != 0)
		;
	return STATUS_OK;
}

static void gate_done(void *arg, const struct commit_result *result)
{
	struct gate *g = arg;

	sem_post(&g->ended);
}

static void gate_shut(struct fixture *fx, struct gate *g)
{
	memset(g, 0, sizeof *g);
	sem_init(&g->entered, 0, 0);
	sem_init(&g->leave, 0, 0);
	sem_init(&g->ended, 0, 0);
	g->op = (struct commit_op){.streams = {STREAM_USER(6)},
		.stream_count = 1,
		.work = gate_work,
		.done = gate_done,
		.arg = g,
		.deadline_mono_ms = FAR_MS};
	committer_submit(fx->committer, &g->op);
	while (sem_wait(&g->entered) != 0)
		;
}

static void gate_open(struct gate *g)
{
	sem_post(&g->leave);
	while (sem_wait(&g->ended) != 0)
		;
}

START_TEST(a_post_writes_message_event_head_counters_mark_and_request)
{
	struct fixture fx;
	struct post p;

	fixture_create(&fx);
	post_init(&p, 70);
	p.row.nonce = "n";
	ck_assert_int_eq(post_run(&fx, &p), STATUS_OK);
	ck_assert(!p.result.replayed);
	ck_assert_uint_eq(p.row.seq, 1);
	ck_assert_int_eq(
		pg_number(fx.url,
			"SELECT count(*) FROM messaging.messages WHERE id = 70 AND channel_id = 2000 AND seq "
			"= 1"
			" AND author_id = 5 AND content = 'hello' AND nonce = 'n' AND parent_id IS NULL"
			" AND root_id IS NULL AND created_at_ms = 1700000000000"),
		1);
	ck_assert_int_eq(
		pg_number(fx.url, "SELECT count(*) FROM log.events WHERE rank = 1 AND id = 1000 AND seq = 1 "
				  "AND kind = 134"
				  " AND audience = 'team:1000' AND payload = 'payload' AND actor = 5"),
		1);
	ck_assert_int_eq(
		pg_number(fx.url,
			"SELECT count(*) FROM messaging.channels WHERE id = 2000 AND last_message_id = 70"
			" AND message_count = 1 AND counted = 1"),
		1);
	ck_assert_int_eq(
		pg_number(fx.url,
			"SELECT count(*) FROM messaging.read_state WHERE user_id = 5 AND channel_id = 2000"
			" AND last_read_id = 70 AND counted = 1 AND last_post_at_ms = 1700000000000"),
		1);
	ck_assert_int_eq(
		pg_number(fx.url, "SELECT count(*) FROM log.requests WHERE actor = 5 AND object_id = 70"), 1);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_batch_is_numbered_per_stream_and_counted_per_channel_in_its_order)
{
	enum { COUNT = 60 };
	static struct post p[COUNT];
	struct fixture fx;
	struct gate gate;

	fixture_create(&fx);
	gate_shut(&fx, &gate);
	for (int i = 0; i < COUNT; i++) {
		post_init(&p[i], 100 + (uint64_t)i);
		if (i % 3 == 1) { /* another stream */
			p[i].row.channel_id = 2001;
			p[i].op.streams[0] = p[i].op.checks[0].stream = STREAM_TEAM(1001);
			p[i].op.checks[0].stream_epoch = p[i].op.checks[0].member_epoch = 0;
		} else if (i % 3 == 2) { /* another channel of the same, by somebody else */
			p[i].row.channel_id = 2002;
			post_as_6(&p[i]);
		}
		committer_submit(fx.committer, &p[i].op);
	}
	gate_open(&gate);
	uint64_t first = 0, second = 0;
	for (int i = 0; i < COUNT; i++) {
		ck_assert_int_eq(post_await(&p[i]), STATUS_OK);
		ck_assert_uint_eq(p[i].row.seq, i % 3 == 1 ? ++second : ++first);
	}
	ck_assert_int_eq(
		pg_number(fx.url,
			"SELECT count(*) FROM messaging.channels WHERE counted = 20 AND message_count = 20"
			" AND last_message_id = (SELECT id FROM messaging.messages m WHERE m.channel_id = "
			"channels.id"
			" ORDER BY seq DESC LIMIT 1)"),
		3);
	ck_assert_int_eq(
		pg_number(fx.url, "SELECT count(*) FROM messaging.read_state WHERE counted = 20"), 3);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_repeated_request_is_answered_with_the_first_message_and_writes_nothing)
{
	struct fixture fx;
	struct post p, again;

	fixture_create(&fx);
	post_init(&p, 70);
	ck_assert_int_eq(post_run(&fx, &p), STATUS_OK);
	post_init(&again, 71);
	again.request[0] = 70;
	ck_assert_int_eq(post_run(&fx, &again), STATUS_OK);
	ck_assert(again.result.replayed);
	ck_assert_uint_eq(again.result.object_id, 70);
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM messaging.messages"), 1);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(the_same_request_twice_in_one_batch_makes_one_message)
{
	struct fixture fx;
	struct gate gate;
	struct post p, again;

	fixture_create(&fx);
	gate_shut(&fx, &gate);
	post_init(&p, 70);
	post_init(&again, 71);
	again.request[0] = 70;
	committer_submit(fx.committer, &p.op);
	committer_submit(fx.committer, &again.op);
	gate_open(&gate);
	ck_assert_int_eq(post_await(&p), STATUS_OK);
	ck_assert_int_eq(post_await(&again), STATUS_OK);
	ck_assert(!p.result.replayed);
	ck_assert(again.result.replayed);
	ck_assert_uint_eq(again.result.object_id, 70);
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM messaging.messages"), 1);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(another_body_under_the_same_request_is_a_bad_field)
{
	struct fixture fx;
	struct post p, again;

	fixture_create(&fx);
	post_init(&p, 70);
	ck_assert_int_eq(post_run(&fx, &p), STATUS_OK);
	post_init(&again, 71);
	again.request[0] = 70;
	again.body[0] = 1;
	again.row.nonce = "n";
	ck_assert_int_eq(post_run(&fx, &again), STATUS_FIELD_INVALID);
	ck_assert_str_eq(again.result.field, "nonce");
	fixture_destroy(&fx);
}
END_TEST

START_TEST(an_epoch_that_was_raised_sends_the_post_back_alone)
{
	struct fixture fx;
	struct gate gate;
	struct post p[4];

	fixture_create(&fx);
	gate_shut(&fx, &gate);
	for (int i = 0; i < 4; i++)
		post_init(&p[i], 70 + (uint64_t)i);
	p[0].op.checks[0].stream_epoch = 2;
	p[1].op.checks[0].member_epoch = 3;
	p[2].op.actor_epoch = 8;
	for (int i = 0; i < 4; i++)
		committer_submit(fx.committer, &p[i].op);
	gate_open(&gate);
	ck_assert_int_eq(post_await(&p[0]), STATUS_STALE);
	ck_assert_ptr_null(p[0].result.why);
	ck_assert_int_eq(post_await(&p[1]), STATUS_STALE);
	ck_assert_ptr_null(p[1].result.why);
	ck_assert_int_eq(post_await(&p[2]), STATUS_STALE);
	ck_assert_str_eq(p[2].result.why, "session");
	ck_assert_int_eq(post_await(&p[3]), STATUS_OK);
	ck_assert_uint_eq(p[3].row.seq, 1);
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM messaging.messages"), 1);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_reply_counts_at_its_root_and_at_its_parent)
{
	struct fixture fx;
	struct post p, reply, deeper;

	fixture_create(&fx);
	post_init(&p, 70);
	ck_assert_int_eq(post_run(&fx, &p), STATUS_OK);
	post_init(&reply, 71);
	reply.row.parent_id = reply.row.root_id = 70;
	ck_assert_int_eq(post_run(&fx, &reply), STATUS_OK);
	post_init(&deeper, 72);
	deeper.row.parent_id = 71;
	deeper.row.root_id = 70;
	ck_assert_int_eq(post_run(&fx, &deeper), STATUS_OK);
	ck_assert_int_eq(pg_number(fx.url, "SELECT reply_count FROM messaging.messages WHERE id = 70"), 2);
	ck_assert_int_eq(pg_number(fx.url, "SELECT reply_count FROM messaging.messages WHERE id = 71"), 1);
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM messaging.messages WHERE id = 72 AND "
					   "parent_id = 71 AND root_id = 70"),
		1);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(many_replies_of_one_batch_are_all_counted)
{
	enum { COUNT = 20 };
	static struct post p[COUNT];
	struct fixture fx;
	struct gate gate;
	struct post root;

	fixture_create(&fx);
	post_init(&root, 70);
	ck_assert_int_eq(post_run(&fx, &root), STATUS_OK);
	gate_shut(&fx, &gate);
	for (int i = 0; i < COUNT; i++) {
		post_init(&p[i], 100 + (uint64_t)i);
		p[i].row.parent_id = p[i].row.root_id = 70;
		committer_submit(fx.committer, &p[i].op);
	}
	gate_open(&gate);
	for (int i = 0; i < COUNT; i++)
		ck_assert_int_eq(post_await(&p[i]), STATUS_OK);
	ck_assert_int_eq(
		pg_number(fx.url, "SELECT reply_count FROM messaging.messages WHERE id = 70"), COUNT);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_reply_target_must_live_and_be_of_the_channel)
{
	struct fixture fx;
	struct post p, reply;

	fixture_create(&fx);
	post_init(&p, 70);
	ck_assert_int_eq(post_run(&fx, &p), STATUS_OK);
	for (int i = 0; i < 3; i++) {
		post_init(&reply, 80 + (uint64_t)i);
		reply.row.parent_id = reply.row.root_id =
			i == 0 ? 69 : 70; /* never was; of another channel; deleted */
		if (i == 1)
			reply.row.channel_id = 2002;
		if (i == 2)
			pg_exec(fx.url, "UPDATE messaging.messages SET deleted_at_ms = 1 WHERE id = 70");
		ck_assert_int_eq(post_run(&fx, &reply), STATUS_NOT_FOUND);
		ck_assert_str_eq(reply.result.field, "parent_id");
	}
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM messaging.messages"), 1);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_channel_must_live_be_open_and_of_the_locked_stream)
{
	static const struct {
		uint64_t channel;
		enum status status;
	} cases[] = {{1999, STATUS_NOT_FOUND}, {2003, STATUS_NOT_FOUND}, {2001, STATUS_NOT_FOUND},
		{2004, STATUS_ARCHIVED}};
	struct fixture fx;

	fixture_create(&fx);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct post p;
		post_init(&p, 70 + i);
		p.row.channel_id = cases[i].channel;
		ck_assert_int_eq(post_run(&fx, &p), cases[i].status);
		ck_assert_ptr_null(p.result.field);
	}
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM messaging.messages"), 0);
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM log.requests WHERE actor = 5"), 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(slow_mode_lets_one_post_through_and_tells_how_long_to_wait)
{
	struct fixture fx;
	struct post first, soon, other, exempt, later;

	fixture_create(&fx);
	post_init(&first, 70);
	post_init(&soon, 71);
	post_init(&other, 72);
	post_init(&exempt, 73);
	post_init(&later, 74);
	first.row.channel_id = soon.row.channel_id = other.row.channel_id = exempt.row.channel_id =
		later.row.channel_id = 2005;
	ck_assert_int_eq(post_run(&fx, &first), STATUS_OK);
	soon.row.at_ms += 15000;
	ck_assert_int_eq(post_run(&fx, &soon), STATUS_SLOW_MODE);
	ck_assert_int_eq(soon.row.wait_ms, 45000);
	post_as_6(&other);
	ck_assert_int_eq(post_run(&fx, &other), STATUS_OK);
	exempt.row.at_ms += 20000;
	exempt.row.slow_exempt = true;
	ck_assert_int_eq(post_run(&fx, &exempt), STATUS_OK);
	later.row.at_ms += 80000;
	ck_assert_int_eq(post_run(&fx, &later), STATUS_OK);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(slow_mode_holds_within_one_batch)
{
	struct fixture fx;
	struct gate gate;
	struct post p[3];

	fixture_create(&fx);
	gate_shut(&fx, &gate);
	for (int i = 0; i < 3; i++) {
		post_init(&p[i], 70 + (uint64_t)i);
		p[i].row.channel_id = 2005;
		committer_submit(fx.committer, &p[i].op);
	}
	gate_open(&gate);
	ck_assert_int_eq(post_await(&p[0]), STATUS_OK);
	ck_assert_int_eq(post_await(&p[1]), STATUS_SLOW_MODE);
	ck_assert_int_eq(p[1].row.wait_ms, 60000);
	ck_assert_int_eq(post_await(&p[2]), STATUS_SLOW_MODE);
	fixture_destroy(&fx);
}
END_TEST

/* Of user 6 and of everybody, as post.c writes it. */
static void post_mentions(struct post *p)
{
	p->row.mentions = (const uint8_t *)"view";
	p->row.mentions_length = 4;
	p->row.subjects = "{6,0}";
	p->row.kinds = "{1,3}";
}

static int64_t mentions_of(const struct fixture *fx, uint64_t id)
{
	char sql[128];

	snprintf(sql, sizeof sql, "SELECT count(*) FROM messaging.mentions WHERE message_id = %lu", (unsigned long)id);
	return pg_number(fx->url, sql);
}

START_TEST(mentions_are_written_with_the_post_and_people_are_still_to_be_told)
{
	struct fixture fx;
	struct post p;

	fixture_create(&fx);
	post_init(&p, 70);
	post_mentions(&p);
	ck_assert_int_eq(post_run(&fx, &p), STATUS_OK);
	ck_assert_uint_eq(p.row.seq, 1);
	ck_assert_int_eq(
		pg_number(fx.url, "SELECT count(*) FROM messaging.messages WHERE id = 70 AND seq = 1 AND author_id = 5"
				  " AND content = 'hello' AND mentions = 'view' AND place = 1"),
		1);
	ck_assert_int_eq(
		pg_number(fx.url, "SELECT count(*) FROM messaging.mentions WHERE message_id = 70 AND channel_id = 2000"
				  " AND seq = 1 AND author_id = 5 AND (subject_id, kind, told) IN ((6, 1, false), (0, 3, true))"),
		2);
	ck_assert_int_eq(mentions_of(&fx, 70), 2);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(channels_that_a_post_names_are_kept_without_a_row)
{
	struct fixture fx;
	struct post p;

	fixture_create(&fx);
	post_init(&p, 70);
	p.row.mentions = (const uint8_t *)"view";
	p.row.mentions_length = 4;
	ck_assert_int_eq(post_run(&fx, &p), STATUS_OK);
	ck_assert_int_eq(
		pg_number(fx.url, "SELECT count(*) FROM messaging.messages WHERE id = 70 AND mentions = 'view'"), 1);
	ck_assert_int_eq(mentions_of(&fx, 70), 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(posts_with_and_without_mentions_share_a_batch_and_alternate_between_batches)
{
	enum { COUNT = 12 };
	static struct post p[COUNT];
	struct fixture fx;
	struct gate gate;
	struct post before, after;

	fixture_create(&fx);
	post_init(&before, 70);
	ck_assert_int_eq(post_run(&fx, &before), STATUS_OK);
	gate_shut(&fx, &gate);
	for (int i = 0; i < COUNT; i++) {
		post_init(&p[i], 100 + (uint64_t)i);
		if (i % 3 == 1)
			post_mentions(&p[i]);
		if (i % 3 == 2) { /* refused: what it mentions is not written */
			p[i].row.channel_id = 2004;
			post_mentions(&p[i]);
		}
		committer_submit(fx.committer, &p[i].op);
	}
	gate_open(&gate);
	uint64_t seq = 1;
	for (int i = 0; i < COUNT; i++) {
		ck_assert_int_eq(post_await(&p[i]), i % 3 == 2 ? STATUS_ARCHIVED : STATUS_OK);
		if (i % 3 != 2)
			ck_assert_uint_eq(p[i].row.seq, ++seq);
		ck_assert_int_eq(mentions_of(&fx, p[i].row.id), i % 3 == 1 ? 2 : 0);
	}
	post_init(&after, 71);
	ck_assert_int_eq(post_run(&fx, &after), STATUS_OK);
	ck_assert_uint_eq(after.row.seq, ++seq);
	ck_assert_int_eq(
		pg_number(fx.url, "SELECT count(*) FROM messaging.messages m WHERE (m.mentions IS NOT NULL) <>"
				  " (m.id >= 100 AND m.id % 3 = 2)"),
		0);
	ck_assert_int_eq(
		pg_number(fx.url, "SELECT count(*) FROM messaging.mentions x JOIN messaging.messages m ON m.id = x.message_id"
				  " WHERE x.seq <> m.seq OR x.channel_id <> m.channel_id OR x.author_id <> m.author_id"),
		0);
	ck_assert_int_eq(pg_number(fx.url, "SELECT counted FROM messaging.channels WHERE id = 2000"), 10);
	fixture_destroy(&fx);
}
END_TEST

TESTS("post_set", a_post_writes_message_event_head_counters_mark_and_request,
	a_batch_is_numbered_per_stream_and_counted_per_channel_in_its_order,
	a_repeated_request_is_answered_with_the_first_message_and_writes_nothing,
	the_same_request_twice_in_one_batch_makes_one_message,
	another_body_under_the_same_request_is_a_bad_field,
	an_epoch_that_was_raised_sends_the_post_back_alone, a_reply_counts_at_its_root_and_at_its_parent,
	many_replies_of_one_batch_are_all_counted, a_reply_target_must_live_and_be_of_the_channel,
	a_channel_must_live_be_open_and_of_the_locked_stream,
	slow_mode_lets_one_post_through_and_tells_how_long_to_wait, slow_mode_holds_within_one_batch,
	mentions_are_written_with_the_post_and_people_are_still_to_be_told,
	channels_that_a_post_names_are_kept_without_a_row,
	posts_with_and_without_mentions_share_a_batch_and_alternate_between_batches)
