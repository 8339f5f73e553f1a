/*
 * post_bench - posts given straight to a committer, as messaging's worker threads do: what the set statement
 * and the commit can do without calls, bus and clients. Every number of posts in flight is a closed loop: the
 * next post of a slot is made when the one before was answered.
 *
 *   tests/with-postgres --fsync build/tests/bench/post_bench [STREAMS [SECONDS [IN_FLIGHT]]]
 *
 * Prints one JSON line a load; fails when an answer was not OK or the log's heads are not the number of
 * posts.
 */
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/db/committer.h"
#include "common/db/log.h"
#include "common/db/migrate.h"
#include "services/messaging/post_set.h"
#include "services/messaging/views.h"

#define USERS      1000
#define FIRST_TEAM 1000
#define FIRST_USER 100000
#define LATENCIES  (1 << 22)

struct slot {
	struct bench *bench;
	struct commit_op op;
	struct post_row row;
	struct arena *mem;
	char audience[AUDIENCE_SIZE], content[160];
	uint8_t request_id[16], body_hash[32];
	int64_t began_us;
};

struct bench {
	struct committer *committer;
	struct ids ids;
	uint64_t streams;
	uint32_t random;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	size_t in_flight;
	int64_t end_us;
	size_t posts, failed;
	uint32_t *latencies;
};

static void slot_done(void *arg, const struct commit_result *result);

static uint32_t next_random(struct bench *b)
{
	b->random ^= b->random << 13;
	b->random ^= b->random >> 17;
	b->random ^= b->random << 5;
	return b->random;
}

static void slot_submit(struct slot *slot)
{
	struct bench *b = slot->bench;
	uint64_t team = FIRST_TEAM + next_random(b) % b->streams, user = FIRST_USER + next_random(b) % USERS;
	pb_Event event = {.has_actor = true, .which_body = EVENT_KIND_message_posted};
	pb_MessagePosted *posted = &event.body.message_posted;

	arena_reset(slot->mem);
	slot->row = (struct post_row){
		.channel_id = team + 1000000, .content = slot->content, .audience = slot->audience};
	slot->row.at_ms = clock_wall_ms();
	if (ids_next(&b->ids, slot->row.at_ms, clock_mono_ms(), &slot->row.id) != STATUS_OK)
		abort();
	audience_key(slot->audience, "team", team);
	event.actor = (pb_UserView){
		.id = user, .username = (char *)"somebody", .display_name = (char *)"Somebody Else"};
	event.event_id = slot->row.id;
	posted->has_channel = posted->has_message = true;
	posted->channel = (pb_ChannelRef){
		.id = slot->row.channel_id, .team_id = team, .kind = 1, .name = (char *)"general"};
	posted->message = (pb_MessageView){.id = slot->row.id,
		.channel_id = slot->row.channel_id,
		.has_author = true,
		.author = event.actor,
		.kind = MESSAGE_TEXT,
		.content = slot->content,
		.created_at_ms = (uint64_t)slot->row.at_ms};
	if (event_encode(slot->mem, &event, &slot->row.payload, &slot->row.payload_length) != STATUS_OK)
		abort();
	memcpy(slot->request_id, &slot->row.id, sizeof slot->row.id);
	slot->op = (struct commit_op){.streams = {STREAM_TEAM(team)},
		.stream_count = 1,
		.checks = {{.stream = STREAM_TEAM(team), .check_stream = true, .user_id = user}},
		.check_count = 1,
		.actor_id = user,
		.check_actor = true,
		.request_id = slot->request_id,
		.request_id_length = sizeof slot->request_id,
		.body_hash = slot->body_hash,
		.deadline_mono_ms = clock_mono_ms() + 10000,
		.set = &post_set,
		.done = slot_done,
		.arg = &slot->row};
	slot->began_us = clock_mono_us();
	committer_submit(b->committer, &slot->op);
}

/* Committer's thread. */
static void slot_done(void *arg, const struct commit_result *result)
{
	struct slot *slot = (struct slot *)((char *)arg - offsetof(struct slot, row));
	struct bench *b = slot->bench;
	int64_t now_us = clock_mono_us();

	pthread_mutex_lock(&b->lock);
	if (result->status != STATUS_OK && b->failed++ == 0)
		fprintf(stderr, "post_bench: %s %s\n", status_wire(result->status),
			result->why != NULL ? result->why : "");
	if (b->posts < LATENCIES)
		b->latencies[b->posts] = (uint32_t)(now_us - slot->began_us);
	b->posts++;
	bool ended = now_us >= b->end_us || b->failed > 0;
	if (ended && --b->in_flight == 0)
		pthread_cond_signal(&b->ended);
	pthread_mutex_unlock(&b->lock);
	if (!ended)
		slot_submit(slot);
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static bool run(struct bench *b, size_t in_flight, int seconds, bool counts)
{
	struct slot *slots = calloc(in_flight, sizeof *slots);
	int64_t began_us = clock_mono_us();

	b->posts = 0;
	b->in_flight = in_flight;
	b->end_us = began_us + seconds * INT64_C(1000000);
	for (size_t i = 0; i < in_flight; i++) {
		slots[i].bench = b;
		slots[i].mem = arena_create();
		memset(slots[i].content, 'x', sizeof slots[i].content - 1);
	}
	for (size_t i = 0; i < in_flight; i++)
		slot_submit(&slots[i]);
	pthread_mutex_lock(&b->lock);
	while (b->in_flight > 0)
		pthread_cond_wait(&b->ended, &b->lock);
	pthread_mutex_unlock(&b->lock);
	double elapsed_s = (double)(clock_mono_us() - began_us) / 1e6;
	for (size_t i = 0; i < in_flight; i++)
		arena_destroy(slots[i].mem);
	free(slots);
	if (!counts)
		return b->failed == 0;
	size_t n = b->posts < LATENCIES ? b->posts : LATENCIES;
	qsort(b->latencies, n, sizeof *b->latencies, by_value);
	printf("{\"bench\":\"post\",\"streams\":%llu,\"in_flight\":%zu,\"posts_per_s\":%.0f,\"p50_ms\":%.2f,"
	       "\"p99_ms\":%.2f,\"failed\":%zu}\n",
		(unsigned long long)b->streams, in_flight, (double)b->posts / elapsed_s,
		b->latencies[n / 2] / 1e3, b->latencies[n * 99 / 100] / 1e3, b->failed);
	fflush(stdout);
	return b->failed == 0;
}

static bool seed(struct db_conn *conn, struct arena *mem, uint64_t streams)
{
	return db_script(conn, arena_printf(mem,
				       "INSERT INTO log.streams (rank, id) SELECT 1, %d + g FROM "
				       "generate_series(0, %llu - 1) g;"
				       "INSERT INTO log.streams (rank, id) SELECT 2, %d + g FROM "
				       "generate_series(0, %d - 1) g;"
				       "INSERT INTO messaging.channels (id, rank, stream_id, team_id, kind, "
				       "name, created_at_ms, created_by)"
				       " SELECT 1000000 + %d + g, 1, %d + g, %d + g, 1, 'general', 1, 1 FROM "
				       "generate_series(0, %llu - 1) g;"
				       "INSERT INTO moderation.members (team_id, user_id, joined_at_ms)"
				       " SELECT %d + t, %d + u, 1 FROM generate_series(0, %llu - 1) t, "
				       "generate_series(0, %d - 1) u;"
				       "ANALYZE",
				       FIRST_TEAM, (unsigned long long)streams, FIRST_USER, USERS, FIRST_TEAM,
				       FIRST_TEAM, FIRST_TEAM, (unsigned long long)streams, FIRST_TEAM,
				       FIRST_USER, (unsigned long long)streams, USERS)) == STATUS_OK;
}

int main(int argc, char **argv)
{
	static const struct db_stmt heads = {
		"bench_heads", "SELECT coalesce(sum(seq), 0)::int8, (SELECT count(*) FROM "
			       "messaging.messages) FROM log.streams WHERE rank = 1"};
	static const size_t loads[] = {1, 16, 64, 256, 1024};
	const char *url = getenv("GUILDHALL_TEST_DB_URL"), *folder = getenv("GUILDHALL_TEST_MIGRATIONS");
	int seconds = argc > 2 ? atoi(argv[2]) : 5, rc = EXIT_FAILURE;
	struct bench b = {.streams = argc > 1 ? strtoull(argv[1], NULL, 10) : 64, .random = 2463534242};
	struct arena *mem = arena_create();
	struct db *db = NULL;
	struct db_conn *conn = NULL;
	struct db_rows rows = {0};
	struct config config = {.db_url = url, .log_retention_h = 72, .db_readers = 2};

	if (url == NULL || sodium_init() < 0 || b.streams == 0) {
		fprintf(stderr, "post_bench: run it under tests/with-postgres --fsync\n");
		return EXIT_FAILURE;
	}
	log_init("post_bench", LOG_WARN);
	b.latencies = malloc(LATENCIES * sizeof *b.latencies);
	pthread_mutex_init(&b.lock, NULL);
	pthread_cond_init(&b.ended, NULL);
	ids_init(&b.ids);
	ids_lease(&b.ids, 1, clock_wall_ms(), INT64_MAX);
	if (migrate_up(
		    &(struct migrate_options){.url = url, .folder = folder != NULL ? folder : "migrations"},
		    mem, NULL) != STATUS_OK)
		goto out;
	if (db_open(&(struct db_options){.url = url, .service = "post_bench", .connections = 2}, &db) !=
		STATUS_OK)
		goto out;
	if (db_acquire(db, clock_mono_ms() + 5000, &conn) != STATUS_OK || !seed(conn, mem, b.streams))
		goto out;
	if (committer_create(&(struct committer_options){.config = &config, .service = "post_bench"},
		    &b.committer) != STATUS_OK)
		goto out;
	bool fine = run(&b, 64, 1, false);
	if (argc > 3)
		fine = fine && run(&b, strtoul(argv[3], NULL, 10), seconds, true);
	for (size_t i = 0; fine && argc <= 3 && i < sizeof loads / sizeof *loads; i++)
		fine = run(&b, loads[i], seconds, true);
	if (fine && db_query(conn, mem, &heads, NULL, &rows) == STATUS_OK)
		fine = db_i64(&rows, 0, 0) == db_i64(&rows, 0, 1);
	if (fine)
		rc = EXIT_SUCCESS;
	else
		fprintf(stderr,
			"post_bench: something failed, or the heads are not the number of messages\n");
out:
	if (b.committer != NULL)
		committer_destroy(b.committer);
	db_release(conn);
	if (db != NULL)
		db_close(db);
	free(b.latencies);
	arena_destroy(mem);
	return rc;
}
