#include <pthread.h>

#include "tests/lib/pg_proxy.h"
#include "tests/unit/db/post_set.h"
#include "tests/unit/main.h"

/* ---- in place of the bus: what was given to it */

static struct heard {
	pthread_mutex_t lock;
	size_t count;
	struct logged_event events[4096];
	char payloads[4096][16];
	char ends[4096][8]; /* of the payloads */
	char generation[96];
	bool uncommitted; /* something was published that another session did not see */
	const char *url;
} heard = {.lock = PTHREAD_MUTEX_INITIALIZER};

void bus_publish(
	struct bus_publisher *p, const char *generation, const struct logged_event *events, size_t count)
{
	pthread_mutex_lock(&heard.lock);
	for (size_t i = 0; i < count; i++) {
		heard.events[heard.count] = events[i];
		snprintf(heard.payloads[heard.count], 16, "%.*s", (int)events[i].payload_length,
			(const char *)events[i].payload);
		if (events[i].payload_length >= 7)
			memcpy(heard.ends[heard.count], events[i].payload + events[i].payload_length - 7, 7);
		heard.count++;
	}
	snprintf(heard.generation, sizeof heard.generation, "%s", generation);
	if (heard.url != NULL) {
		char sql[128];
		snprintf(sql, sizeof sql, "SELECT count(*) FROM log.events WHERE id = %llu AND seq = %llu",
			(unsigned long long)events[0].stream.id, (unsigned long long)events[0].seq);
		heard.uncommitted = heard.uncommitted || pg_number(heard.url, sql) != 1;
	}
	pthread_mutex_unlock(&heard.lock);
}

static void publishing_fixture(struct fixture *fx, const char *url)
{
	static char nothing;

	fx->config = (struct config){.db_url = url};
	struct committer_options options = {
		.config = &fx->config, .service = "test", .publisher = (struct bus_publisher *)&nothing};
	committer_create(&options, &fx->c);
}

/* Every stream's events were heard once each and in order. */
static void assert_heard_whole(const char *url)
{
	uint64_t last[8] = {0};

	for (size_t i = 0; i < heard.count; i++) {
		uint64_t *seq = &last[heard.events[i].stream.id - 1000];
		ck_assert_uint_eq(heard.events[i].seq, ++*seq);
	}
	ck_assert_int_eq((int64_t)heard.count, pg_number(url, "SELECT count(*) FROM log.events"));
}

START_TEST(every_event_is_published_once_in_the_order_of_its_stream_and_after_its_commit)
{
	struct fixture fx;
	struct gate gate;
	struct task t[30];
	struct post p[30];

	fixture_database(&fx);
	heard.url = fx.url;
	publishing_fixture(&fx, fx.url);
	gate_shut(&fx, &gate);
	for (int i = 0; i < 30; i++) {
		task_init(&t[i], TEAM(i % 3));
		t[i].events = 1 + i % 2;
		t[i].end = i % 5 == 0 ? STATUS_FORBIDDEN : STATUS_OK;
		task_submit(&fx, &t[i]);
		post_init(&p[i], 100 + (uint64_t)i, TEAM(i % 3));
		if (i % 7 == 0)
			p[i].content = "archived";
		committer_submit(fx.c, &p[i].op);
	}
	gate_open(&gate);
	for (int i = 0; i < 30; i++) {
		task_await(&t[i]);
		post_await(&p[i]);
	}
	assert_heard_whole(fx.url);
	ck_assert(!heard.uncommitted);
	ck_assert_str_ne(heard.generation, "");
	fixture_destroy(&fx);
}
END_TEST

START_TEST(what_a_bus_event_says_is_what_the_log_says)
{
	struct fixture fx;
	struct task t;

	fixture_database(&fx);
	publishing_fixture(&fx, fx.url);
	task_init(&t, TEAM(0));
	t.op.request_id = (const uint8_t *)"request-a-------";
	t.op.request_id_length = 16;
	ck_assert_int_eq(task_run(&fx, &t), STATUS_OK);
	const struct logged_event *ev = &heard.events[0];
	ck_assert_uint_eq(ev->actor_id, 5);
	ck_assert_uint_eq(ev->kind, pb_Event_team_deleted_tag);
	ck_assert_str_eq(ev->audience, "team:1");
	ck_assert_int_eq(ev->at_ms,
		pg_number(
			fx.url, "SELECT floor(extract(epoch FROM created_at) * 1000)::int8 FROM log.events"));
	ck_assert_int_eq(
		pg_number(fx.url,
			"SELECT count(*) FROM log.events WHERE kind = 44 AND actor = 5 AND request_id = 'request-a-------'"),
		1);
	fixture_destroy(&fx);
}
END_TEST

/* Two events with something beside each; the first is deleted in the same breath. */
static enum status beside_work(struct log_tx *tx, void *arg)
{
	const struct task *t = arg;
	pb_Event event = plain_event();
	uint64_t first = 0;

	enum status st = log_tx_append(tx, t->stream, "team:1", &event, &first);
	log_tx_beside(tx, (const uint8_t *)"secret!", 7);
	event = plain_event();
	if (st == STATUS_OK)
		st = log_tx_append(tx, t->stream, "team:1", &event, NULL);
	log_tx_beside(tx, (const uint8_t *)"counter", 7);
	return st == STATUS_OK ? log_tx_tombstone(tx, t->stream, &first, 1, NULL) : st;
}

START_TEST(what_stands_beside_an_event_is_published_and_not_stored)
{
	struct fixture fx;
	struct task t;

	fixture_database(&fx);
	publishing_fixture(&fx, fx.url);
	task_init(&t, TEAM(0));
	t.op.work = beside_work;
	ck_assert_int_eq(task_run(&fx, &t), STATUS_OK);
	ck_assert_uint_eq(heard.count, 2);
	ck_assert_str_ne(heard.ends[0], "secret!"); /* deleted: nor does it go out */
	ck_assert_str_eq(heard.ends[1], "counter");
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM log.events WHERE position('counter'::bytea IN payload) > 0"
					   " OR position('secret!'::bytea IN payload) > 0"),
		0);
	ck_assert_int_eq((int64_t)heard.events[1].payload_length,
		pg_number(fx.url, "SELECT length(payload) + 7 FROM log.events WHERE seq = 2"));
	fixture_destroy(&fx);
}
END_TEST

START_TEST(events_whose_commit_answer_was_lost_are_published_all_the_same)
{
	static char url[PG_URL_SIZE];
	struct fixture fx;
	struct task t;
	struct post p[3];

	fixture_database(&fx);
	struct pg_proxy *proxy = pg_proxy_start(fx.url, url);
	publishing_fixture(&fx, url);
	task_init(&t, TEAM(0));
	ck_assert_int_eq(task_run(&fx, &t), STATUS_OK);
	pg_proxy_cut(proxy, PG_CUT_COMMIT_ANSWER);
	task_init(&t, TEAM(0));
	t.events = 2;
	ck_assert_int_eq(task_run(&fx, &t), STATUS_OK);
	ck_assert_int_eq(pg_proxy_cuts(proxy), 1);
	pg_proxy_cut(proxy, PG_CUT_COMMIT_ANSWER);
	for (int i = 0; i < 3; i++) {
		post_init(&p[i], 100 + (uint64_t)i, TEAM(0));
		p[i].content = "lost";
		committer_submit(fx.c, &p[i].op);
	}
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(post_await(&p[i]), STATUS_OK);
	ck_assert_int_eq(pg_proxy_cuts(proxy), 2);
	assert_heard_whole(fx.url);
	ck_assert_uint_eq(heard.events[3].kind, 134);
	ck_assert_str_eq(heard.payloads[3], "lost");
	ck_assert_str_eq(heard.events[3].audience, "team:1");
	fixture_destroy(&fx);
	pg_proxy_stop(proxy);
}
END_TEST

TESTS("publish", every_event_is_published_once_in_the_order_of_its_stream_and_after_its_commit,
	what_a_bus_event_says_is_what_the_log_says, what_stands_beside_an_event_is_published_and_not_stored,
	events_whose_commit_answer_was_lost_are_published_all_the_same)
