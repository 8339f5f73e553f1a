#include "services/messaging/search_index.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/ops/ops.h"
#include "services/messaging/search_fold.h"
#include "services/messaging/search_lexemes.h"

#define BATCH          200
#define CHUNK          500  /* messages of one backfill transaction */
#define ACQUIRE_MS     3000
#define CHECK_EVERY_MS 2000 /* whether the index was marked to be made anew */

struct search_index {
	struct service *service;
	struct log_follower *follower;
	int64_t check_mono_ms; /* follower's thread */
	bool complete;
};

/* ---- messages into rows */

struct entry {
	uint64_t id, channel, stream, author, segment;
	int16_t rank;
	uint32_t kind;
	const char *text, *vector;
};

/* The segment that takes the next messages of a stream. */
struct open_segment {
	uint64_t id, stream, first, last;
	int16_t rank;
	int32_t rows, added;
};

struct work {
	struct db_conn *conn;
	struct arena *mem;
	const char *config;
	bool backfill;
	struct entry *entries;
	size_t count;
	uint64_t *dead;
	size_t dead_count;
	struct open_segment *open;
	size_t open_count;
};

static const struct db_stmt load_stmt = {
	"messaging_search_load",
	"SELECT q.id, m.channel_id, c.rank, c.stream_id, coalesce(m.author_id, 0), m.kind, m.content, s.segment,"
	" m.id IS NULL OR m.deleted_at_ms IS NOT NULL"
	" FROM unnest($1::int8[]) WITH ORDINALITY AS q(id, n)"
	" LEFT JOIN LATERAL (SELECT * FROM messaging.messages m WHERE m.id = q.id OFFSET 0) m ON true"
	" LEFT JOIN LATERAL (SELECT c.rank, c.stream_id FROM messaging.channels c WHERE c.id = m.channel_id OFFSET 0) c ON true"
	" LEFT JOIN LATERAL (SELECT s.segment FROM messaging.search s WHERE s.message_id = q.id OFFSET 0) s ON true"
	" ORDER BY q.n",
};

static enum status load(struct work *w, const uint64_t *ids, size_t count)
{
	struct db_params p;
	struct db_rows rows = {0};

	db_params_begin(&p, w->mem);
	db_put_ids(&p, ids, count);
	enum status st = db_query(w->conn, w->mem, &load_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	w->entries = ARENA_ARRAY(w->mem, (size_t)rows.count, struct entry);
	w->dead = ARENA_ARRAY(w->mem, (size_t)rows.count, uint64_t);
	for (int i = 0; i < rows.count; i++) {
		if (db_bool(&rows, i, 8)) {
			w->dead[w->dead_count++] = db_id(&rows, i, 0);
			continue;
		}
		const char *content = db_text(&rows, i, 6);
		w->entries[w->count++] = (struct entry){
			.id = db_id(&rows, i, 0),
			.channel = db_id(&rows, i, 1),
			.rank = (int16_t)db_i64(&rows, i, 2),
			.stream = db_id(&rows, i, 3),
			.author = db_id(&rows, i, 4),
			.kind = (uint32_t)db_i64(&rows, i, 5),
			.segment = db_id(&rows, i, 7),
			.text = search_fold(w->mem, content, strlen(content), false).text,
		};
	}
	return STATUS_OK;
}

/* ---- segments */

/* The newest segment of its kind of each stream, locked: others that index messages of the stream wait. */
static const struct db_stmt open_stmt = {
	"messaging_search_open",
	"SELECT q.rank, q.stream_id, s.id, s.rows, s.first_id, s.last_id"
	" FROM (SELECT * FROM unnest($1::int2[], $2::int8[]) AS u(rank, stream_id) ORDER BY stream_id, rank) q,"
	" LATERAL (SELECT * FROM messaging.search_segments s WHERE s.stream_id = q.stream_id AND s.rank = q.rank AND s.backfill = $3"
	" ORDER BY s.id DESC LIMIT 1 FOR UPDATE) s",
};
static const struct db_stmt segment_id_stmt = {
	"messaging_search_segment_id", "SELECT nextval('messaging.search_segment_ids')"};

static struct open_segment *find_open(struct work *w, const struct entry *e)
{
	for (size_t i = w->open_count; i-- > 0;)
		if (w->open[i].stream == e->stream && w->open[i].rank == e->rank)
			return &w->open[i];
	return NULL;
}

static enum status open_segments(struct work *w)
{
	int16_t *ranks = ARENA_ARRAY(w->mem, w->count, int16_t);
	uint64_t *streams = ARENA_ARRAY(w->mem, w->count, uint64_t);
	struct db_params p;
	struct db_rows rows = {0};
	size_t n = 0;

	for (size_t i = 0; i < w->count; i++) {
		bool seen = w->entries[i].segment != 0;
		for (size_t k = n; k-- > 0 && !seen;)
			seen = streams[k] == w->entries[i].stream && ranks[k] == w->entries[i].rank;
		if (seen)
			continue;
		streams[n] = w->entries[i].stream;
		ranks[n++] = w->entries[i].rank;
	}
	if (n == 0)
		return STATUS_OK;
	db_params_begin(&p, w->mem);
	db_put_i16s(&p, ranks, n);
	db_put_ids(&p, streams, n);
	db_put_bool(&p, w->backfill);
	enum status st = db_query(w->conn, w->mem, &open_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	/* One more for each message that may need a new one. */
	w->open = ARENA_ARRAY(w->mem, (size_t)rows.count + w->count, struct open_segment);
	for (int i = 0; i < rows.count; i++)
		w->open[w->open_count++] = (struct open_segment){.rank = (int16_t)db_i64(&rows, i, 0),
			.stream = db_id(&rows, i, 1),
			.id = db_id(&rows, i, 2),
			.rows = (int32_t)db_i64(&rows, i, 3),
			.first = db_id(&rows, i, 4),
			.last = db_id(&rows, i, 5)};
	return STATUS_OK;
}

static enum status place(struct work *w, struct entry *e)
{
	struct open_segment *s = find_open(w, e);

	if (s == NULL || s->rows + s->added >= SEARCH_SEGMENT_ROWS) {
		struct db_rows rows = {0};
		enum status st = db_query(w->conn, w->mem, &segment_id_stmt, NULL, &rows);
		if (st != STATUS_OK)
			return st;
		s = &w->open[w->open_count++];
		*s = (struct open_segment){
			.id = db_id(&rows, 0, 0), .rank = e->rank, .stream = e->stream, .first = e->id, .last = e->id};
	}
	s->added++;
	if (e->id < s->first)
		s->first = e->id;
	if (e->id > s->last)
		s->last = e->id;
	e->segment = s->id;
	return STATUS_OK;
}

/* ---- the rows */

static const struct db_stmt vectors_stmt = {
	"messaging_search_vectors",
	"SELECT to_tsvector($1::text::regconfig, q.text)::text FROM unnest($2::text[]) WITH ORDINALITY AS q(text, n) ORDER BY q.n",
};

static enum status make_vectors(struct work *w)
{
	const char **texts = ARENA_ARRAY(w->mem, w->count, const char *);
	struct db_params p;
	struct db_rows rows = {0};

	for (size_t i = 0; i < w->count; i++)
		texts[i] = w->entries[i].text;
	db_params_begin(&p, w->mem);
	db_put_text(&p, w->config);
	db_put_texts(&p, texts, w->count);
	enum status st = db_query(w->conn, w->mem, &vectors_stmt, &p, &rows);
	for (size_t i = 0; i < w->count && st == STATUS_OK; i++) {
		struct entry *e = &w->entries[i];
		e->vector = search_vector(w->mem, db_text(&rows, (int)i, 0), e->segment, e->channel, e->author, e->kind);
	}
	return st;
}

static const struct db_stmt put_stmt = {
	"messaging_search_put",
	"WITH segments AS (INSERT INTO messaging.search_segments AS s (id, rank, stream_id, backfill, rows, first_id, last_id)"
	" SELECT u.id, u.rank, u.stream_id, $8, u.added, u.first_id, u.last_id"
	" FROM unnest($5::int8[], $6::int2[], $7::int8[], $9::int4[], $10::int8[], $11::int8[])"
	" AS u(id, rank, stream_id, added, first_id, last_id)"
	" ON CONFLICT (id) DO UPDATE SET rows = s.rows + excluded.rows, first_id = least(s.first_id, excluded.first_id),"
	" last_id = greatest(s.last_id, excluded.last_id))"
	" INSERT INTO messaging.search (message_id, segment, channel_id, tsv)"
	" SELECT u.id, u.segment, u.channel_id, u.tsv::tsvector FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::text[])"
	" AS u(id, segment, channel_id, tsv) ON CONFLICT (message_id) DO UPDATE SET tsv = excluded.tsv",
};

static enum status put_rows(struct work *w)
{
	struct arena *mem = w->mem;
	uint64_t *ids = ARENA_ARRAY(mem, w->count, uint64_t), *segments = ARENA_ARRAY(mem, w->count, uint64_t);
	uint64_t *channels = ARENA_ARRAY(mem, w->count, uint64_t);
	const char **vectors = ARENA_ARRAY(mem, w->count, const char *);
	uint64_t *open = ARENA_ARRAY(mem, w->open_count, uint64_t), *streams = ARENA_ARRAY(mem, w->open_count, uint64_t);
	uint64_t *firsts = ARENA_ARRAY(mem, w->open_count, uint64_t), *lasts = ARENA_ARRAY(mem, w->open_count, uint64_t);
	int16_t *ranks = ARENA_ARRAY(mem, w->open_count, int16_t);
	int32_t *added = ARENA_ARRAY(mem, w->open_count, int32_t);
	struct db_params p;
	size_t n = 0;

	for (size_t i = 0; i < w->count; i++) {
		ids[i] = w->entries[i].id;
		segments[i] = w->entries[i].segment;
		channels[i] = w->entries[i].channel;
		vectors[i] = w->entries[i].vector;
	}
	for (size_t i = 0; i < w->open_count; i++) {
		const struct open_segment *s = &w->open[i];
		if (s->added == 0)
			continue;
		open[n] = s->id;
		ranks[n] = s->rank;
		streams[n] = s->stream;
		added[n] = s->added;
		firsts[n] = s->first;
		lasts[n++] = s->last;
	}
	db_params_begin(&p, mem);
	db_put_ids(&p, ids, w->count);
	db_put_ids(&p, segments, w->count);
	db_put_ids(&p, channels, w->count);
	db_put_texts(&p, vectors, w->count);
	db_put_ids(&p, open, n);
	db_put_i16s(&p, ranks, n);
	db_put_ids(&p, streams, n);
	db_put_bool(&p, w->backfill);
	db_put_i32s(&p, added, n);
	db_put_ids(&p, firsts, n);
	db_put_ids(&p, lasts, n);
	return db_query(w->conn, mem, &put_stmt, &p, NULL);
}

static const struct db_stmt drop_stmt = {
	"messaging_search_drop",
	"WITH gone AS (DELETE FROM messaging.search WHERE message_id = ANY ($1::int8[]) RETURNING segment)"
	" UPDATE messaging.search_segments s SET rows = s.rows - g.n"
	" FROM (SELECT segment, count(*)::int4 AS n FROM gone GROUP BY segment) g WHERE s.id = g.segment",
};

static enum status drop_rows(struct work *w)
{
	struct db_params p;

	if (w->dead_count == 0)
		return STATUS_OK;
	db_params_begin(&p, w->mem);
	db_put_ids(&p, w->dead, w->dead_count);
	return db_query(w->conn, w->mem, &drop_stmt, &p, NULL);
}

enum status search_index_messages(
	struct db_conn *conn, struct arena *mem, const char *config, const uint64_t *ids, size_t count, bool backfill)
{
	struct work w = {.conn = conn, .mem = mem, .config = config, .backfill = backfill};

	enum status st = load(&w, ids, count);
	if (st == STATUS_OK)
		st = drop_rows(&w);
	if (st != STATUS_OK || w.count == 0)
		return st;
	st = open_segments(&w);
	for (size_t i = 0; i < w.count && st == STATUS_OK; i++)
		if (w.entries[i].segment == 0)
			st = place(&w, &w.entries[i]);
	if (st == STATUS_OK)
		st = make_vectors(&w);
	return st == STATUS_OK ? put_rows(&w) : st;
}

/* ---- from the log */

/* The message that an event is about; 0: none that can be told (its content is gone, and a deletion follows). */
static uint64_t message_of(const struct followed_event *ev)
{
	if (ev->body == NULL)
		return 0;
	switch (ev->body->which_body) {
	case pb_Event_message_posted_tag:
		return ev->body->body.message_posted.message.id;
	case pb_Event_message_updated_tag:
		return ev->body->body.message_updated.message.id;
	case pb_Event_message_deleted_tag:
		return ev->body->body.message_deleted.message.id;
	default:
		return 0;
	}
}

static int by_id(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static const struct db_stmt from_start_stmt = {
	"messaging_search_from_start", "UPDATE messaging.search_state SET backfill_at = 0"};

static enum status index_handle(void *arg, struct db_conn *conn, struct arena *mem, const struct log_batch *batch)
{
	struct search_index *index = arg;
	uint64_t *ids = ARENA_ARRAY(mem, batch->count, uint64_t);
	size_t count = 0, kept = 0;

	if (batch->gone) {
		index->complete = false;
		return db_query(conn, mem, &from_start_stmt, NULL, NULL);
	}
	for (size_t i = 0; i < batch->count; i++) {
		uint64_t id = message_of(&batch->events[i]);
		if (id != 0)
			ids[count++] = id;
	}
	qsort(ids, count, sizeof *ids, by_id);
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || ids[kept - 1] != ids[i])
			ids[kept++] = ids[i];
	return kept == 0 ? STATUS_OK
			 : search_index_messages(conn, mem, index->service->config->search_config, ids, kept, false);
}

/* ---- from the table */

static const struct db_stmt state_stmt = {
	"messaging_search_state",
	"SELECT coalesce(made_with, ''), backfill_at FROM messaging.search_state FOR UPDATE",
};
static const struct db_stmt chunk_stmt = {
	"messaging_search_chunk",
	"SELECT m.id FROM messaging.messages m WHERE m.id > $1 ORDER BY m.id LIMIT $2",
};
static const struct db_stmt advance_stmt = {
	"messaging_search_advance", "UPDATE messaging.search_state SET backfill_at = nullif($1, 0)"};

enum status search_backfill_chunk(struct db_conn *conn, struct arena *mem, const char *config, bool *out_done)
{
	struct db_params p;
	struct db_rows state = {0}, rows = {0};

	enum status st = db_query(conn, mem, &state_stmt, NULL, &state);
	if (st != STATUS_OK)
		return st;
	*out_done = db_is_null(&state, 0, 1);
	if (*out_done)
		return STATUS_OK;
	db_params_begin(&p, mem);
	db_put_id(&p, db_id(&state, 0, 1));
	db_put_i64(&p, CHUNK);
	st = db_query(conn, mem, &chunk_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	uint64_t *ids = ARENA_ARRAY(mem, (size_t)rows.count, uint64_t);
	for (int i = 0; i < rows.count; i++)
		ids[i] = db_id(&rows, i, 0);
	if (rows.count > 0)
		st = search_index_messages(conn, mem, config, ids, (size_t)rows.count, true);
	if (st != STATUS_OK)
		return st;
	/* What is posted from here on comes by the log. */
	*out_done = rows.count < CHUNK;
	db_params_begin(&p, mem);
	db_put_id(&p, *out_done ? 0 : ids[rows.count - 1]);
	return db_query(conn, mem, &advance_stmt, &p, NULL);
}

static const struct db_stmt reset_stmt = {
	"messaging_search_reset", "UPDATE messaging.search_state SET made_with = $1, backfill_at = 0"};

/* Empties an index that was made with something else; out_was: with what. */
static enum status check_made_with(struct db_conn *conn, struct arena *mem, const char *made_with, bool *out_reset)
{
	static const struct db_stmt empty_stmt = {
		"messaging_search_empty", "TRUNCATE messaging.search, messaging.search_segments"};
	struct db_params p;
	struct db_rows state = {0};

	enum status st = db_query(conn, mem, &state_stmt, NULL, &state);
	if (st != STATUS_OK)
		return st;
	*out_reset = strcmp(db_text(&state, 0, 0), made_with) != 0;
	if (!*out_reset)
		return STATUS_OK;
	st = db_query(conn, mem, &empty_stmt, NULL, NULL);
	if (st != STATUS_OK)
		return st;
	db_params_begin(&p, mem);
	db_put_text(&p, made_with);
	return db_query(conn, mem, &reset_stmt, &p, NULL);
}

static enum status turn(struct search_index *index, struct db_conn *conn, struct arena *mem, bool check)
{
	const char *config = index->service->config->search_config;
	bool reset = false, done = true;

	enum status st = db_begin(conn);
	if (st == STATUS_OK && check)
		st = check_made_with(conn, mem, search_made_with(mem, config), &reset);
	if (st == STATUS_OK && !reset)
		st = search_backfill_chunk(conn, mem, config, &done);
	if (st == STATUS_OK)
		st = db_commit(conn);
	else
		db_rollback(conn);
	if (st != STATUS_OK)
		return st;
	if (reset)
		log_info("search_index_emptied", LOG_STR("config", config));
	if (done && !reset && !index->complete)
		log_info("search_index_complete");
	index->complete = done && !reset;
	return STATUS_OK;
}

/* Once each turn of the follower. */
static bool index_aside(void *arg, struct db_conn *conn, struct arena *mem)
{
	struct search_index *index = arg;
	int64_t now = clock_mono_ms();
	bool check = now >= index->check_mono_ms;

	if (!check && index->complete)
		return false;
	if (turn(index, conn, mem, check) != STATUS_OK)
		return false;
	if (check)
		index->check_mono_ms = now + CHECK_EVERY_MS;
	return !index->complete;
}

/* ---- life */

static const uint32_t kinds[] = {
	EVENT_KIND_message_posted, EVENT_KIND_message_updated, EVENT_KIND_message_deleted};

void search_index_create(struct service *s, struct search_index **out_index)
{
	struct search_index *index = calloc(1, sizeof *index);

	if (index == NULL)
		abort();
	index->service = s;
	log_follower_create(&(struct log_follower_options){.name = "search",
				    .instance = s->instance,
				    .db = s->db,
				    .ranks = 1u << RANK_TEAM,
				    .kinds = kinds,
				    .kind_count = sizeof kinds / sizeof *kinds,
				    .batch = BATCH,
				    .handle = index_handle,
				    .aside = index_aside,
				    .arg = index,
				    .metrics = LOG_FOLLOWER_METRICS(search)},
		&index->follower);
	*out_index = index;
}

void search_index_note(struct search_index *index, const struct logged_event *events, size_t count)
{
	log_follower_note(index->follower, events, count);
}

void search_index_start(struct search_index *index)
{
	log_follower_start(index->follower);
}

void search_index_stop(struct search_index *index)
{
	if (index != NULL)
		log_follower_stop(index->follower);
}

void search_index_destroy(struct search_index *index)
{
	if (index == NULL)
		return;
	log_follower_destroy(index->follower);
	free(index);
}

enum status search_config_check(struct db *db, const char *config)
{
	static const struct db_stmt config_stmt = {"messaging_search_config",
		"SELECT count(*) FROM pg_ts_config c JOIN pg_namespace n ON n.oid = c.cfgnamespace"
		" WHERE (c.cfgname = $1 AND pg_ts_config_is_visible(c.oid)) OR n.nspname || '.' || c.cfgname = $1"};
	struct arena *mem = arena_create();
	struct db_conn *conn = NULL;
	struct db_params p;
	struct db_rows rows = {0};

	enum status st = db_acquire(db, clock_mono_ms() + ACQUIRE_MS, &conn);
	db_params_begin(&p, mem);
	db_put_text(&p, config);
	if (st == STATUS_OK)
		st = db_query(conn, mem, &config_stmt, &p, &rows);
	if (st == STATUS_OK && db_i64(&rows, 0, 0) == 0)
		st = STATUS_FIELD_INVALID;
	db_release(conn);
	if (st == STATUS_FIELD_INVALID)
		log_error("search_config_unknown", LOG_STR("GUILDHALL_SEARCH_CONFIG", config),
			LOG_STR("do", "name one that the database has: SELECT cfgname FROM pg_ts_config"));
	arena_destroy(mem);
	return st;
}

const char *search_made_with(struct arena *mem, const char *config)
{
	return arena_printf(mem, "%s/%d", config, SEARCH_FOLD_VERSION);
}
