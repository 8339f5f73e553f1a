/*
 * fixture - a database, a committer on it, and ops to give it.
 */
#pragma once

#include <check.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/db/committer.h"
#include "tests/lib/pg.h"

#define TEAM(n) STREAM_TEAM(1000 + (uint64_t)(n))

struct fixture {
	char url[PG_URL_SIZE];
	struct config config;
	struct committer *c;
	struct arena *mem;
};

/* Teams 1000 .. 1007 have streams; so has user 7. */
static inline void fixture_database(struct fixture *fx)
{
	*fx = (struct fixture){.mem = arena_create()};
	pg_database_create(fx->url);
	pg_exec(fx->url,
		"INSERT INTO log.streams (rank, id) SELECT 1, 1000 + g FROM generate_series(0, 7) g;"
		"INSERT INTO log.streams (rank, id) VALUES (2, 7);"
		"CREATE SCHEMA test; CREATE TABLE test.posts (id bigint PRIMARY KEY, stream bigint, seq bigint, content text)");
}

static inline void fixture_committer(struct fixture *fx, const char *url)
{
	fx->config = (struct config){.db_url = url};
	struct committer_options options = {.config = &fx->config, .service = "test"};
	committer_create(&options, &fx->c);
}

static inline struct fixture *fixture_create(struct fixture *fx)
{
	fixture_database(fx);
	fixture_committer(fx, fx->url);
	return fx;
}

static inline void fixture_destroy(struct fixture *fx)
{
	committer_destroy(fx->c);
	arena_destroy(fx->mem);
}

/* An event that says nothing in particular. */
static inline pb_Event plain_event(void)
{
	pb_Event ev = {.which_body = pb_Event_team_deleted_tag};
	return ev;
}

/* One op that writes a row and events, told what to do. */
struct task {
	struct commit_op op;
	struct stream stream;
	uint64_t row_id; /* 0: writes no row */
	int events;
	bool raise;       /* the stream's epoch */
	enum status end;  /* what work returns in the end */
	uint64_t seqs[8]; /* what the events got */
	_Atomic int runs;
	sem_t *entered, *leave; /* work posts the first and waits for the second: holds the committer up */
	sem_t done;
	struct commit_result result;
	char reply_text[64];
};

static inline enum status task_work(struct log_tx *tx, void *arg)
{
	static const struct db_stmt insert = {
		"test_insert", "INSERT INTO test.posts (id, stream) VALUES ($1, $2)"};
	struct task *t = arg;
	enum status st = STATUS_OK;

	atomic_fetch_add(&t->runs, 1);
	if (t->entered != NULL) {
		sem_post(t->entered);
		sem_wait(t->leave);
	}
	for (int i = 0; i < t->events && st == STATUS_OK; i++) {
		pb_Event ev = plain_event();
		st = log_tx_append(tx, t->stream, "team:1", &ev, &t->seqs[i]);
	}
	if (st == STATUS_OK && t->row_id != 0) {
		struct db_params p;
		db_params_begin(&p, log_tx_mem(tx));
		db_put_id(&p, t->row_id);
		db_put_id(&p, t->stream.id);
		st = log_tx_query(tx, &insert, &p, NULL);
	}
	if (t->raise)
		log_tx_raise_epoch(tx, t->stream);
	log_tx_object(tx, t->row_id);
	if (t->end != STATUS_OK)
		log_tx_refuse(tx, "told_so", "field", NULL);
	return st != STATUS_OK ? st : t->end;
}

static inline void task_done(void *arg, const struct commit_result *result)
{
	struct task *t = arg;

	t->result = *result; /* its pointers are not for later */
	snprintf(t->reply_text, sizeof t->reply_text, "%.*s", (int)result->reply_length,
		result->reply != NULL ? (const char *)result->reply : "");
	sem_post(&t->done);
}

static inline void task_init(struct task *t, struct stream s)
{
	*t = (struct task){.stream = s, .events = 1};
	t->op = (struct commit_op){.streams = {s},
		.stream_count = 1,
		.work = task_work,
		.done = task_done,
		.arg = t,
		.actor_id = 5};
	sem_init(&t->done, 0, 0);
}

static inline void task_submit(struct fixture *fx, struct task *t)
{
	committer_submit(fx->c, &t->op);
}

static inline enum status task_await(struct task *t)
{
	while (sem_wait(&t->done) != 0)
		;
	return t->result.status;
}

static inline enum status task_run(struct fixture *fx, struct task *t)
{
	task_submit(fx, t);
	return task_await(t);
}

/* A task in whose work the committer stands still until the gate opens: what is submitted meanwhile is one batch. */
struct gate {
	struct task task;
	sem_t entered, leave;
};

static inline void gate_shut(struct fixture *fx, struct gate *g)
{
	sem_init(&g->entered, 0, 0);
	sem_init(&g->leave, 0, 0);
	task_init(&g->task, TEAM(7));
	g->task.events = 0;
	g->task.entered = &g->entered;
	g->task.leave = &g->leave;
	task_submit(fx, &g->task);
	while (sem_wait(&g->entered) != 0)
		;
}

static inline void gate_open(struct gate *g)
{
	sem_post(&g->leave);
	ck_assert_int_eq(task_await(&g->task), STATUS_OK);
}

/* Every stream's events are 1..n without a hole, the head is n, and time follows seq. */
static inline void assert_streams_whole(const char *url)
{
	ck_assert_int_eq(
		pg_number(url,
			"SELECT count(*) FROM log.streams s WHERE s.seq <> (SELECT count(*) FROM log.events e"
			" WHERE e.rank = s.rank AND e.id = s.id) OR s.seq <> coalesce((SELECT max(seq) FROM log.events e"
			" WHERE e.rank = s.rank AND e.id = s.id), 0)"),
		0);
	ck_assert_int_eq(
		pg_number(url,
			"SELECT count(*) FROM (SELECT created_at < lag(created_at) OVER (PARTITION BY rank, id"
			" ORDER BY seq) AS back FROM log.events) t WHERE back"),
		0);
}
