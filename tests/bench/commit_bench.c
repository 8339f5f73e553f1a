/*
 * commit_bench - how many changes a second one committer writes. Closed loop: a number of changes is always waiting, each is
 * submitted again when it was answered. Run as
 *
 *   tests/with-postgres --fsync build/tests/bench/commit_bench [--steps] [--threads] [--seconds S] [WAITING...]
 *
 * --steps    the step lane (one insert and one event each) instead of the set lane
 * --threads  every waiting change is a thread in committer_run, as in a service, instead of a callback
 * One JSON line a run. Ends with 1 when a change failed or a stream has a hole.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/db/post_set.h"

#define TEAMS 16

struct bench {
	struct fixture fx;
	bool steps, threads;
	_Atomic uint64_t next_id, answered, failed;
	_Atomic bool over;
	_Atomic int left;
};

struct slot {
	struct bench *bench;
	struct post post;
	struct task task;
	int64_t began_us;
	pthread_t thread;
	uint8_t request[16], hash[32];
	uint32_t *latencies_us;
	size_t count, room;
};

static const char content[] =
	"A message of an ordinary length, as people write them all day long, with a question mark at its end?";

static struct commit_op *slot_op(struct slot *s)
{
	uint64_t id = atomic_fetch_add(&s->bench->next_id, 1);
	struct commit_op *op = s->bench->steps ? &s->task.op : &s->post.op;

	s->post.id = s->task.row_id = id;
	s->post.content = content;
	memcpy(s->request, &id, sizeof id);
	op->streams[0] = s->task.stream = STREAM_TEAM(5000 + id % TEAMS);
	op->actor_id = 100000 + id % 1000;
	op->check_actor = true;
	op->checks[0] = (struct commit_check){
		.stream = op->streams[0], .check_stream = true, .user_id = op->actor_id};
	op->check_count = 1;
	op->keeps_rights = true;
	op->request_id = s->request;
	op->request_id_length = sizeof s->request;
	op->body_hash = s->hash;
	return op;
}

static void slot_answered(struct slot *s, enum status st)
{
	if (s->count == s->room) {
		s->room = s->room > 0 ? s->room * 2 : 1024;
		s->latencies_us = realloc(s->latencies_us, s->room * sizeof *s->latencies_us);
		if (s->latencies_us == NULL)
			abort();
	}
	s->latencies_us[s->count++] = (uint32_t)(clock_mono_us() - s->began_us);
	if (st == STATUS_OK)
		atomic_fetch_add(&s->bench->answered, 1);
	else
		atomic_fetch_add(&s->bench->failed, 1);
}

static void slot_submit(struct slot *s)
{
	struct commit_op *op = slot_op(s);

	s->began_us = clock_mono_us();
	committer_submit(s->bench->fx.c, op);
}

static void slot_done(void *arg, const struct commit_result *result)
{
	struct slot *s = arg;

	slot_answered(s, result->status);
	if (!atomic_load(&s->bench->over))
		slot_submit(s);
	else
		atomic_fetch_sub(&s->bench->left, 1);
}

static void post_slot_done(void *arg, const struct commit_result *result)
{
	struct post *p = arg;

	slot_done((char *)p - offsetof(struct slot, post), result);
}

static void task_slot_done(void *arg, const struct commit_result *result)
{
	struct task *t = arg;

	slot_done((char *)t - offsetof(struct slot, task), result);
}

static void *slot_run(void *arg)
{
	struct slot *s = arg;
	struct arena *mem = arena_create();
	struct commit_result result;

	while (!atomic_load(&s->bench->over)) {
		struct commit_op *op = slot_op(s);
		s->began_us = clock_mono_us();
		slot_answered(s, committer_run(s->bench->fx.c, mem, op, &result));
		arena_reset(mem);
	}
	arena_destroy(mem);
	atomic_fetch_sub(&s->bench->left, 1);
	return NULL;
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void report(struct bench *b, struct slot *slots, int waiting, double seconds)
{
	size_t total = 0, n = 0;

	for (int i = 0; i < waiting; i++)
		total += slots[i].count;
	uint32_t *all = calloc(total + 1, sizeof *all);
	for (int i = 0; i < waiting; i++)
		for (size_t k = 0; k < slots[i].count; k++)
			all[n++] = slots[i].latencies_us[k];
	qsort(all, n, sizeof *all, by_size);
	printf("{\"bench\":\"commit\",\"lane\":\"%s\",\"by\":\"%s\",\"waiting\":%d,\"seconds\":%.1f,\"per_s\":%.0f,\"p50_ms\":%.2f,\"p99_ms\":%.2f,"
	       "\"failed\":%llu}\n",
		b->steps ? "step" : "set", b->threads ? "threads" : "callbacks", waiting, seconds,
		(double)atomic_load(&b->answered) / seconds, all[n / 2] / 1000.0, all[n * 99 / 100] / 1000.0,
		(unsigned long long)atomic_load(&b->failed));
	fflush(stdout);
	free(all);
}

static void bench_run(struct bench *b, int waiting, int seconds)
{
	struct slot *slots = calloc((size_t)waiting, sizeof *slots);

	atomic_store(&b->over, false);
	atomic_store(&b->left, waiting);
	atomic_store(&b->answered, 0);
	int64_t began_us = clock_mono_us();
	for (int i = 0; i < waiting; i++) {
		struct slot *s = &slots[i];
		s->bench = b;
		post_init(&s->post, 0, TEAM(0));
		task_init(&s->task, TEAM(0));
		s->post.op.done = post_slot_done;
		s->task.op.done = task_slot_done;
		if (!b->threads)
			slot_submit(s);
		else if (pthread_create(&s->thread, NULL, slot_run, s) != 0)
			abort();
	}
	sleep((unsigned)seconds);
	atomic_store(&b->over, true);
	double took = (double)(clock_mono_us() - began_us) / 1e6;
	while (atomic_load(&b->left) > 0)
		usleep(1000);
	for (int i = 0; b->threads && i < waiting; i++)
		pthread_join(slots[i].thread, NULL);
	report(b, slots, waiting, took);
	for (int i = 0; i < waiting; i++)
		free(slots[i].latencies_us);
	free(slots);
}

int main(int argc, char **argv)
{
	static const int usual[] = {1, 16, 64, 256};
	struct bench b = {.next_id = 1};
	int seconds = 3, runs = 0;

	fixture_database(&b.fx);
	pg_exec(b.fx.url,
		"INSERT INTO log.streams (rank, id) SELECT 1, 5000 + g FROM generate_series(0, 15) g;"
		"INSERT INTO log.streams (rank, id) SELECT 2, 100000 + g FROM generate_series(0, 999) g;"
		"INSERT INTO moderation.members (team_id, user_id, joined_at_ms) SELECT 5000 + t, 100000 + g, 0"
		" FROM generate_series(0, 15) t, generate_series(0, 999) g; ANALYZE");
	fixture_committer(&b.fx, b.fx.url);
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--steps") == 0)
			b.steps = true;
		else if (strcmp(argv[i], "--threads") == 0)
			b.threads = true;
		else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
			seconds = atoi(argv[++i]);
		else {
			bench_run(&b, atoi(argv[i]), seconds);
			runs++;
		}
	}
	for (size_t i = 0; runs == 0 && i < sizeof usual / sizeof usual[0]; i++)
		bench_run(&b, usual[i], seconds);
	fixture_destroy(&b.fx);
	int64_t holes = pg_number(b.fx.url,
		"SELECT count(*) FROM log.streams s WHERE s.seq <> (SELECT count(*) FROM log.events e"
		" WHERE e.rank = s.rank AND e.id = s.id)");
	if (holes > 0)
		fprintf(stderr, "%lld streams have holes\n", (long long)holes);
	return holes > 0 || atomic_load(&b.failed) > 0;
}
