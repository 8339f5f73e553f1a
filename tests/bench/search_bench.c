/*
 * search_bench - what a search costs among many messages, and a page of history among more: messaging's own handlers, asked over
 * ipc as api asks them, with a moderation that answers from memory. Words are drawn by Zipf's law, so that some are in nearly every
 * message and most in a handful.
 *
 *   tests/with-postgres --fsync build/tests/bench/search_bench [MESSAGES [CHANNELS [HISTORY [ROUNDS]]]]
 *
 * MESSAGES of the search (1000000) in CHANNELS (200) of one team; HISTORY (10000000): messages in the table, most of them not
 * in the index, when pages of 50 are read; ROUNDS (1) over the same rows. The cluster is given 1 GB of shared buffers.
 * Prints one JSON line with what each round measured; fails when a call failed, an answer had a message without the word, or an exact
 * total was wrong.
 */
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/db/log.h"
#include "services/messaging/calls.h"
#include "services/messaging/followup.h"
#include "services/messaging/people.h"
#include "services/messaging/rights.h"
#include "services/messaging/search_index.h"
#include "services/messaging/service.h"
#include "tests/lib/pg.h"

#define TEAM          UINT64_C(1000)
#define READER        UINT64_C(7)      /* sees every channel */
#define HALF          UINT64_C(8)      /* sees every second one */
#define FEW           UINT64_C(9)      /* sees ten */
#define FIRST_CHANNEL UINT64_C(5000000)
#define AUTHORS       500
#define WORDS         50000
#define WORDS_MOST    20 /* of a message */
#define FILL          5000
#define RUNS          100 /* of each kind of query */
#define PAGES         1000
#define KINDS         12
#define TIMES_MOST    (KINDS * RUNS > PAGES ? KINDS * RUNS : PAGES)
#define ROUNDS_MOST   20
#define WAIT_MS       60000

struct bench {
	char url[PG_URL_SIZE], folder[64], moderation_at[96], messaging_at[96];
	uint64_t messages, channels, history, rounds, random;
	double *zipf; /* cumulated */
	uint32_t *in_messages; /* by word: messages that have it */
	uint16_t (*samples)[WORDS_MOST]; /* the words of some messages, each + 1 */
	size_t sample_count;
	struct config config;
	struct ids ids;
	struct service service;
	struct rpc_server *moderation, *messaging;
	struct rpc_client *client;
	struct db_conn *conn;
	size_t failed;
};

static void die(const char *what)
{
	fprintf(stderr, "search_bench: %s\n", what);
	exit(EXIT_FAILURE);
}

static uint64_t next_random(struct bench *b)
{
	b->random ^= b->random << 13;
	b->random ^= b->random >> 7;
	b->random ^= b->random << 17;
	return b->random;
}

static double next_unit(struct bench *b)
{
	return (double)(next_random(b) >> 11) / 9007199254740992.0;
}

/* ---- moderation */

static bool sees(const struct bench *b, uint64_t user, uint64_t channel)
{
	uint64_t n = channel - FIRST_CHANNEL;

	if (channel < FIRST_CHANNEL || n >= b->channels)
		return false;
	return user == READER || (user == HALF && n % 2 == 0) || (user == FEW && n % (b->channels / 10) == 0);
}

static void rights(const struct bench *b, struct rpc_call *call, uint64_t user, uint64_t channel, pb_Rights *out)
{
	*out = (pb_Rights){.team_id = TEAM,
		.channel_id = channel,
		.status = sees(b, user, channel) ? STATUS_OK : STATUS_NOT_FOUND,
		.has_bits = true,
		.bits = {UINT64_MAX, UINT64_MAX},
		.rank = RANK_TEAM,
		.stream_id = TEAM,
		.has_channel = true,
		.channel = {.id = channel, .team_id = TEAM, .name = (char *)"general", .kind = CHANNEL_TEXT},
		.audience = arena_printf(call->mem, "team:%d", (int)TEAM)};
}

static void judge(void *service, struct rpc_call *call, const void *request, void *reply)
{
	pb_JudgeReply *out = reply;

	out->has_rights = true;
	const pb_JudgeRequest *rq = request;
	rights(service, call, rq->user_id, rq->channel_id, &out->rights);
	rpc_finish(call);
}

static void judge_many(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const struct bench *b = service;
	const pb_JudgeManyRequest *rq = request;
	pb_JudgeManyReply *out = reply;
	bool named = rq->channel_ids_count > 0;

	out->rights_count = named ? rq->channel_ids_count : (pb_size_t)b->channels;
	out->rights = ARENA_ARRAY(call->mem, out->rights_count, pb_Rights);
	for (pb_size_t i = 0; i < out->rights_count; i++)
		rights(b, call, rq->user_id, named ? rq->channel_ids[i] : FIRST_CHANNEL + i, &out->rights[i]);
	rpc_finish(call);
}

static void team_ids(void *service, struct rpc_call *call, const void *request, void *reply)
{
	pb_TeamIdsReply *out = reply;

	out->team_ids = ARENA_ARRAY(call->mem, 1, uint64_t);
	out->team_ids[0] = TEAM;
	out->team_ids_count = 1;
	rpc_finish(call);
}

/* ---- filling */

/* "w" and letters: one token for the database's parser. */
static void word_text(uint32_t word, char out[8])
{
	snprintf(out, 8, "w%c%c%c%c", 'a' + (char)(word / 17576 % 26), 'a' + (char)(word / 676 % 26), 'a' + (char)(word / 26 % 26),
		'a' + (char)(word % 26));
}

static uint32_t next_word(struct bench *b)
{
	double at = next_unit(b) * b->zipf[WORDS - 1];
	uint32_t low = 0, high = WORDS - 1;

	while (low < high) {
		uint32_t mid = (low + high) / 2;
		if (b->zipf[mid] < at)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static const char *make_message(struct bench *b, struct arena *mem, bool sample)
{
	size_t count = 3 + next_random(b) % (WORDS_MOST - 3);
	uint32_t words[WORDS_MOST];
	char *text = arena_alloc(mem, count * 8 + 1), *to = text;

	for (size_t i = 0; i < count; i++) {
		bool before = false;
		words[i] = next_word(b);
		for (size_t k = 0; k < i; k++)
			before = before || words[k] == words[i];
		b->in_messages[words[i]] += !before;
		if (i > 0)
			*to++ = ' ';
		word_text(words[i], to);
		to += strlen(to);
		if (sample)
			b->samples[b->sample_count][i] = (uint16_t)(words[i] + 1);
	}
	b->sample_count += sample;
	return text;
}

static void fill(struct bench *b)
{
	static const struct db_stmt fill_stmt = {"bench_fill",
		"INSERT INTO messaging.messages (id, channel_id, seq, author_id, content, created_at_ms)"
		" SELECT id, channel, id, author, content, id >> 22 FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::text[])"
		" AS u(id, channel, author, content)"};
	uint64_t ids[FILL], channels[FILL], authors[FILL];
	const char *texts[FILL];

	for (uint64_t done = 0; done < b->messages; done += FILL) {
		struct arena *mem = arena_create();
		struct db_params p;
		for (uint64_t i = 0; i < FILL; i++) {
			ids[i] = (done + i + 1) * 20000 + UINT64_C(1000000000);
			channels[i] = FIRST_CHANNEL + next_random(b) % b->channels;
			authors[i] = 100 + next_random(b) % AUTHORS;
			texts[i] = make_message(b, mem, i < FILL / 100);
		}
		db_params_begin(&p, mem);
		db_put_ids(&p, ids, FILL);
		db_put_ids(&p, channels, FILL);
		db_put_ids(&p, authors, FILL);
		db_put_texts(&p, texts, FILL);
		if (db_query(b->conn, mem, &fill_stmt, &p, NULL) != STATUS_OK)
			die("filling failed");
		arena_destroy(mem);
	}
}

/* Messages a second that the index takes. */
static double index_all(struct bench *b)
{
	int64_t began_us = clock_mono_us();
	bool done = false;

	pg_exec(b->url, "UPDATE messaging.search_state SET made_with = 'simple/1', backfill_at = 0");
	while (!done) {
		struct arena *mem = arena_create();
		if (db_begin(b->conn) != STATUS_OK || search_backfill_chunk(b->conn, mem, "simple", &done) != STATUS_OK ||
			db_commit(b->conn) != STATUS_OK)
			die("indexing failed");
		arena_destroy(mem);
	}
	return (double)b->messages * 1e6 / (double)(clock_mono_us() - began_us);
}

/* ---- asking */

struct times {
	uint32_t us[TIMES_MOST];
	size_t count;
};

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static double at_share(struct times *t, double share)
{
	qsort(t->us, t->count, sizeof *t->us, by_value);
	size_t at = (size_t)ceil(share * (double)t->count);

	return t->count == 0 ? 0 : t->us[at > 0 ? at - 1 : 0] / 1e3;
}

static struct rpc_context context(uint64_t user)
{
	static pb_UserView view;

	view = (pb_UserView){.id = user, .username = (char *)"reader", .created_at_ms = 1};
	return (struct rpc_context){.actor_id = user, .actor = &view, .deadline_mono_ms = clock_mono_ms() + WAIT_MS};
}

enum query_kind {
	QUERY_RARE,
	QUERY_MIDDLE,
	QUERY_COMMON,
	QUERY_COMMON_NEW,
	QUERY_TWO,
	QUERY_PHRASE,
	QUERY_WITHOUT,
	QUERY_AUTHOR,
	QUERY_CHANNEL,
	QUERY_HALF,
	QUERY_FEW,
	QUERY_NEWEST,
};
static const char *const kind_names[KINDS] = {"rare", "middle", "common", "common_newest_first", "two_words", "phrase", "without",
	"author", "channel", "half_of_the_channels", "ten_channels", "no_text"};

struct query {
	pb_SearchMessagesRequest rq;
	uint64_t user, id;
	char text[64], word[8];
	uint32_t number; /* of a single word, whose exact total is known; WORDS: none */
};

static void make_query(struct bench *b, enum query_kind kind, struct query *q)
{
	uint32_t rare = 2000 + (uint32_t)(next_random(b) % (WORDS - 2000)), middle = 50 + (uint32_t)(next_random(b) % 1000),
		 common = (uint32_t)(next_random(b) % 20);
	char other[8];
	size_t sample = next_random(b) % b->sample_count;

	*q = (struct query){.user = READER, .number = WORDS};
	q->rq = (pb_SearchMessagesRequest){.limit = 50, .text = q->text};
	q->number = kind == QUERY_RARE ? rare : kind == QUERY_MIDDLE ? middle : common;
	word_text(q->number, q->word);
	snprintf(q->text, sizeof q->text, "%s", q->word);
	q->id = FIRST_CHANNEL + next_random(b) % b->channels;
	switch (kind) {
	case QUERY_RARE:
	case QUERY_MIDDLE:
	case QUERY_COMMON:
		return;
	case QUERY_COMMON_NEW:
		q->rq.newest_first = true;
		return;
	case QUERY_TWO:
		word_text(middle, other);
		snprintf(q->text, sizeof q->text, "%s %s", q->word, other);
		break;
	case QUERY_PHRASE:
		word_text(b->samples[sample][0] - 1u, q->word);
		word_text(b->samples[sample][1] - 1u, other);
		snprintf(q->text, sizeof q->text, "\"%s %s\"", q->word, other);
		break;
	case QUERY_WITHOUT:
		word_text(middle, other);
		snprintf(q->text, sizeof q->text, "%s -%s", q->word, other);
		break;
	case QUERY_AUTHOR:
		q->id = 100 + next_random(b) % AUTHORS;
		q->rq.author_ids = &q->id;
		q->rq.author_ids_count = 1;
		break;
	case QUERY_CHANNEL:
		q->rq.channel_ids = &q->id;
		q->rq.channel_ids_count = 1;
		break;
	case QUERY_HALF:
		q->user = HALF;
		break;
	case QUERY_FEW:
		q->user = FEW;
		break;
	case QUERY_NEWEST:
		q->text[0] = q->word[0] = '\0';
		break;
	}
	q->number = WORDS;
}

static void search_once(struct bench *b, enum query_kind kind, struct times *t, struct times *all)
{
	struct arena *mem = arena_create();
	pb_SearchMessagesReply reply;
	struct rpc_outcome outcome;
	struct query q;

	make_query(b, kind, &q);
	struct rpc_context ctx = context(q.user);
	int64_t began_us = clock_mono_us();
	enum status st = messaging_search_messages(b->client, mem, &ctx, &q.rq, &reply, &outcome);
	uint32_t us = (uint32_t)(clock_mono_us() - began_us);
	bool fine = st == STATUS_OK && !reply.partial;
	for (size_t i = 0; fine && i < reply.found_count; i++)
		fine = strstr(reply.found[i].message.content, q.word) != NULL && sees(b, q.user, reply.found[i].message.channel_id);
	if (fine && q.number < WORDS && !reply.capped)
		fine = reply.total == b->in_messages[q.number];
	if (!fine && b->failed++ == 0)
		fprintf(stderr, "search_bench: %s \"%s\": %s, %d found, total %llu\n", kind_names[kind], q.text, status_wire(st),
			st == STATUS_OK ? (int)reply.found_count : 0, st == STATUS_OK ? (unsigned long long)reply.total : 0);
	if (t != NULL) {
		t->us[t->count++] = us;
		all->us[all->count++] = us;
	}
	arena_destroy(mem);
}

static void page_once(struct bench *b, struct times *t)
{
	static const struct db_stmt pick_stmt = {"bench_pick",
		"SELECT id FROM messaging.messages WHERE channel_id = $1 AND seq >= $2 ORDER BY seq LIMIT 1"};
	struct arena *mem = arena_create();
	uint64_t channel = FIRST_CHANNEL + next_random(b) % b->channels;
	pb_ListMessagesReply reply;
	struct rpc_outcome outcome;
	struct db_params p;
	struct db_rows rows = {0};

	db_params_begin(&p, mem);
	db_put_id(&p, channel);
	db_put_id(&p, (b->history / 10 + next_random(b) % (b->history * 8 / 10)) * 20000 + UINT64_C(1000000000));
	if (db_query(b->conn, mem, &pick_stmt, &p, &rows) != STATUS_OK || rows.count == 0)
		die("no message to begin a page at");
	pb_ListMessagesRequest rq = {.channel_id = channel, .before = db_id(&rows, 0, 0), .limit = 50};
	struct rpc_context ctx = context(READER);
	int64_t began_us = clock_mono_us();
	enum status st = messaging_list_messages(b->client, mem, &ctx, &rq, &reply, &outcome);
	if (t != NULL)
		t->us[t->count++] = (uint32_t)(clock_mono_us() - began_us);
	if ((st != STATUS_OK || reply.messages_count != 50) && b->failed++ == 0)
		fprintf(stderr, "search_bench: a page: %s, %d messages\n", status_wire(st), st == STATUS_OK ? (int)reply.messages_count : 0);
	arena_destroy(mem);
}

/* ---- wiring */

static void open_database(struct bench *b)
{
	pg_exec(getenv("GUILDHALL_TEST_DB_URL"), "ALTER SYSTEM SET shared_buffers = '1GB'");
	pg_cluster("restart");
	pg_database_create(b->url);
	pg_exec(b->url, "INSERT INTO log.streams (rank, id) VALUES (1, 1000), (2, 7), (2, 8), (2, 9)");
	char sql[512];
	snprintf(sql, sizeof sql,
		"INSERT INTO messaging.channels (id, rank, stream_id, team_id, kind, name, created_at_ms, created_by)"
		" SELECT %llu + g, 1, 1000, 1000, 1, 'general', 1, 1 FROM generate_series(0, %llu - 1) g;"
		"INSERT INTO messaging.people (id, username, created_at_ms) SELECT 100 + g, 'user' || g, 1 FROM generate_series(0, %d) g",
		(unsigned long long)FIRST_CHANNEL, (unsigned long long)b->channels, AUTHORS);
	pg_exec(b->url, sql);
}

static void start(struct bench *b)
{
	static const struct rpc_binding moderation[] = {{&rpc_moderation_judge, judge},
		{&rpc_moderation_judge_many, judge_many},
		{&rpc_moderation_list_team_ids, team_ids}};
	struct service *s = &b->service;

	snprintf(b->folder, sizeof b->folder, "/tmp/guildhall-search-XXXXXX");
	if (mkdtemp(b->folder) == NULL)
		die("no folder for sockets");
	snprintf(b->moderation_at, sizeof b->moderation_at, "ipc://%s/moderation", b->folder);
	snprintf(b->messaging_at, sizeof b->messaging_at, "ipc://%s/messaging", b->folder);
	b->config = (struct config){
		.db_url = b->url, .db_readers = 4, .log_retention_h = 72, .purge_after_days = 30, .search_config = "simple"};
	ids_init(&b->ids);
	*s = (struct service){.config = &b->config, .instance = "bench", .ids = &b->ids};
	enum status st = db_open(
		&(struct db_options){.url = b->url, .service = "search_bench", .connections = 8, .generic_plans = true}, &s->db);
	s->reads = s->db;
	if (st == STATUS_OK)
		st = committer_create(&(struct committer_options){.config = &b->config, .service = "search_bench"}, &s->committer);
	if (st == STATUS_OK)
		st = rpc_server_start(&(struct rpc_server_options){.listen = b->moderation_at,
					      .bindings = moderation,
					      .binding_count = 3,
					      .service = b,
					      .workers = 2},
			&b->moderation);
	if (st == STATUS_OK)
		st = rpc_client_create("moderation", b->moderation_at, false, &s->moderation);
	if (st == STATUS_OK)
		st = followup_create(1, &s->followup);
	s->rights = rights_cache_create(1024);
	s->people = people_create(1024);
	if (st == STATUS_OK)
		st = rpc_server_start(&(struct rpc_server_options){.listen = b->messaging_at,
					      .bindings = messaging_bindings,
					      .binding_count = messaging_binding_count,
					      .service = s,
					      .workers = 4},
			&b->messaging);
	if (st == STATUS_OK)
		st = rpc_client_create("messaging", b->messaging_at, false, &b->client);
	if (st == STATUS_OK)
		st = db_acquire(s->db, clock_mono_ms() + WAIT_MS, &b->conn);
	if (st != STATUS_OK)
		die("cannot start");
	for (int64_t until = clock_mono_ms() + WAIT_MS; clock_mono_ms() < until;) {
		if (rpc_client_up(s->moderation) && rpc_client_up(b->client))
			return;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	die("its parts do not find each other");
}

static void stop(struct bench *b)
{
	struct service *s = &b->service;

	db_release(b->conn);
	rpc_client_destroy(b->client);
	rpc_server_drain(b->messaging, WAIT_MS);
	committer_drain(s->committer, WAIT_MS);
	followup_destroy(s->followup);
	rpc_server_stop(b->messaging);
	committer_destroy(s->committer);
	rpc_client_destroy(s->moderation);
	rights_cache_destroy(s->rights);
	people_destroy(s->people);
	db_close(s->db);
	rpc_server_stop(b->moderation);
	rmdir(b->folder);
}

/* Messages that the index does not know, behind those that it does. */
static void fill_history(struct bench *b)
{
	char sql[512];

	for (uint64_t done = b->messages; done < b->history; done += 500000) {
		uint64_t end = done + 500000 < b->history ? done + 500000 : b->history;
		snprintf(sql, sizeof sql,
			"INSERT INTO messaging.messages (id, channel_id, seq, author_id, content, created_at_ms)"
			" SELECT g * 20000 + 1000000000, %llu + abs(hashint8(g)::int8) %% %llu, g * 20000 + 1000000000, 100 + g %% %d,"
			" 'A message of an ordinary length, as people write them all day long, number ' || g, 1 FROM generate_series(%llu::int8, %llu::int8) g",
			(unsigned long long)FIRST_CHANNEL, (unsigned long long)b->channels, AUTHORS, (unsigned long long)done + 1,
			(unsigned long long)end);
		pg_exec(b->url, sql);
	}
	pg_exec(b->url, "VACUUM (ANALYZE) messaging.messages");
}

struct round {
	struct times by_kind[KINDS], all, pages;
};

static void measure_searches(struct bench *b, struct round *r)
{
	for (int kind = 0; kind < KINDS; kind++) {
		for (int i = 0; i < 10; i++)
			search_once(b, (enum query_kind)kind, NULL, NULL);
	}
	/* In turns, so that what the machine does meanwhile meets all of them. */
	for (int i = 0; i < RUNS; i++)
		for (int kind = 0; kind < KINDS; kind++)
			search_once(b, (enum query_kind)kind, &r->by_kind[kind], &r->all);
}

static void measure_pages(struct bench *b, struct round *r)
{
	for (int i = 0; i < 50; i++)
		page_once(b, NULL);
	for (int i = 0; i < PAGES; i++)
		page_once(b, &r->pages);
}

static void print_round(struct round *r)
{
	printf("{\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"max_ms\":%.2f,\"history_p50_ms\":%.2f,\"history_p99_ms\":%.2f,\"queries\":{",
		at_share(&r->all, 0.5), at_share(&r->all, 0.99), at_share(&r->all, 1), at_share(&r->pages, 0.5),
		at_share(&r->pages, 0.99));
	for (int kind = 0; kind < KINDS; kind++)
		printf("%s\"%s\":{\"p50_ms\":%.2f,\"p99_ms\":%.2f}", kind > 0 ? "," : "", kind_names[kind],
			at_share(&r->by_kind[kind], 0.5), at_share(&r->by_kind[kind], 0.99));
	printf("}}");
}

static void measure(struct bench *b, double index_per_s)
{
	struct round *rounds = calloc(b->rounds, sizeof *rounds);
	struct utsname machine;

	if (rounds == NULL)
		die("out of memory");
	for (uint64_t i = 0; i < b->rounds; i++)
		measure_searches(b, &rounds[i]);
	int64_t index_bytes = pg_number(b->url, "SELECT pg_total_relation_size('messaging.search')");
	int64_t table_bytes = pg_number(b->url, "SELECT pg_total_relation_size('messaging.messages')");
	fill_history(b);
	for (uint64_t i = 0; i < b->rounds; i++)
		measure_pages(b, &rounds[i]);
	uname(&machine);
	printf("{\"bench\":\"search\",\"messages\":%llu,\"channels\":%llu,\"history_messages\":%llu,\"index_messages_per_s\":%.0f,"
	       "\"index_mib\":%lld,\"messages_mib\":%lld,\"failed\":%zu,\"cpus\":%ld,\"kernel\":\"%s\",\"version\":\"%s\",\"rounds\":[",
		(unsigned long long)b->messages, (unsigned long long)b->channels,
		(unsigned long long)(b->history > b->messages ? b->history : b->messages), index_per_s, (long long)index_bytes >> 20,
		(long long)table_bytes >> 20, b->failed, sysconf(_SC_NPROCESSORS_ONLN), machine.release, GUILDHALL_VERSION);
	for (uint64_t i = 0; i < b->rounds; i++) {
		printf("%s", i > 0 ? "," : "");
		print_round(&rounds[i]);
	}
	printf("]}\n");
	free(rounds);
}

int main(int argc, char **argv)
{
	struct bench *b = calloc(1, sizeof *b);

	if (b == NULL || sodium_init() < 0)
		return EXIT_FAILURE;
	b->messages = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
	b->channels = argc > 2 ? strtoull(argv[2], NULL, 10) : 200;
	b->history = argc > 3 ? strtoull(argv[3], NULL, 10) : 10000000;
	b->rounds = argc > 4 ? strtoull(argv[4], NULL, 10) : 1;
	b->random = 88172645463325252;
	if (b->messages < FILL || b->messages % FILL != 0 || b->channels < 10)
		die("MESSAGES in units of 5000, at least ten CHANNELS");
	if (b->rounds < 1 || b->rounds > ROUNDS_MOST)
		die("one to twenty ROUNDS");
	b->zipf = calloc(WORDS, sizeof *b->zipf);
	b->in_messages = calloc(WORDS, sizeof *b->in_messages);
	b->samples = calloc(b->messages / 100, sizeof *b->samples);
	if (b->zipf == NULL || b->in_messages == NULL || b->samples == NULL)
		die("out of memory");
	for (uint32_t i = 0; i < WORDS; i++)
		b->zipf[i] = (i > 0 ? b->zipf[i - 1] : 0) + 1 / pow(i + 2.7, 1.07);
	log_init("search_bench", LOG_ERROR);
	open_database(b);
	start(b);
	fill(b);
	pg_exec(b->url, "VACUUM (ANALYZE) messaging.messages");
	double index_per_s = index_all(b);
	pg_exec(b->url, "VACUUM (ANALYZE) messaging.search");
	measure(b, index_per_s);
	stop(b);
	size_t failed = b->failed;
	free(b->zipf);
	free(b->in_messages);
	free(b->samples);
	free(b);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
