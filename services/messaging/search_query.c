#include "services/messaging/search_query.h"

#include <string.h>

#include "services/messaging/search_fold.h"
#include "services/messaging/search_index.h"
#include "services/messaging/search_lexemes.h"
#include "services/messaging/search_snippet.h"
#include "services/messaging/views.h"

#define MARKED_CHANNELS 16  /* so few are asked for in the index; of more, the rows are looked at */
#define PROBES_MOST     256 /* segments in one statement */
#define PROBES_GROW     4
#define PROBE_VISITS    40000 /* messages looked at by one statement; a single segment never has so many */
#define CHOSEN_MOST     10000 /* pinned or bookmarked messages, the newest */
#define RANK_UNIT       "1000000"

struct segment {
	uint64_t id, last, rows;
};

struct run {
	struct db_conn *conn;
	struct arena *mem;
	const struct search_query *q;
	struct search_answer *out;
	struct search_terms terms;
	struct segment *segments; /* by `last`, the newest first */
	size_t segment_count;
	bool cut; /* there are more segments than are probed */
	bool ranked;
	uint64_t after, before; /* before: 0 none */
	uint64_t visits, hits;
};

/* ---- the text, and how far the index is */

static const struct db_stmt parse_stmt = {
	"messaging_search_parse",
	"SELECT q.q::text, numnode(q.q), querytree(q.q) NOT IN ('', 'T'), st.backfill_at IS NOT NULL OR st.made_with IS DISTINCT FROM $3"
	" FROM (SELECT websearch_to_tsquery($1::text::regconfig, $2)) q(q), messaging.search_state st",
};

static enum status parse(struct run *r)
{
	const struct search_query *q = r->q;
	const char *text = q->text != NULL ? q->text : "";
	struct db_params p;
	struct db_rows rows = {0};

	db_params_begin(&p, r->mem);
	db_put_text(&p, q->config);
	db_put_text(&p, search_fold(r->mem, text, strlen(text), false).text);
	db_put_text(&p, search_made_with(r->mem, q->config));
	enum status st = db_query(r->conn, r->mem, &parse_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	bool words = db_i64(&rows, 0, 1) > 0;
	r->out->query = words ? arena_strdup(r->mem, db_text(&rows, 0, 0)) : NULL;
	r->out->nothing = !words && text[0] != '\0';
	r->out->partial = db_bool(&rows, 0, 3);
	r->terms.query = r->out->query;
	r->terms.bounded = words && db_bool(&rows, 0, 2);
	return STATUS_OK;
}

/* ---- segments */

static const struct db_stmt segments_stmt = {
	"messaging_search_segments",
	"SELECT s.id, s.last_id, s.rows FROM unnest($1::int2[], $2::int8[]) AS q(rank, id),"
	" LATERAL (SELECT s.id, s.last_id, s.rows FROM messaging.search_segments s WHERE s.stream_id = q.id AND s.rank = q.rank"
	" AND s.last_id > $3 AND ($4 = 0 OR s.first_id < $4) OFFSET 0) s ORDER BY s.last_id DESC, s.id DESC LIMIT $5",
};

static enum status find_segments(struct run *r)
{
	int16_t *ranks = ARENA_ARRAY(r->mem, r->q->stream_count, int16_t);
	uint64_t *ids = ARENA_ARRAY(r->mem, r->q->stream_count, uint64_t);
	struct db_params p;
	struct db_rows rows = {0};

	for (size_t i = 0; i < r->q->stream_count; i++) {
		ranks[i] = (int16_t)r->q->streams[i].rank;
		ids[i] = r->q->streams[i].id;
	}
	db_params_begin(&p, r->mem);
	db_put_i16s(&p, ranks, r->q->stream_count);
	db_put_ids(&p, ids, r->q->stream_count);
	db_put_id(&p, r->after);
	db_put_id(&p, r->before);
	db_put_i64(&p, SEARCH_SEGMENTS_MOST + 1);
	enum status st = db_query(r->conn, r->mem, &segments_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	r->segments = ARENA_ARRAY(r->mem, (size_t)rows.count, struct segment);
	for (int i = 0; i < rows.count && i < SEARCH_SEGMENTS_MOST; i++)
		r->segments[r->segment_count++] =
			(struct segment){db_id(&rows, i, 0), db_id(&rows, i, 1), db_id(&rows, i, 2)};
	r->cut = rows.count > SEARCH_SEGMENTS_MOST;
	return STATUS_OK;
}

/* ---- probing. Each statement gives one row at least: how many were looked at, how many are hits, and the first of these in
 * order behind the cursor. $1 segments or messages, $2 match and $3 ranking of each, $4 readable channels, $5 ranked?,
 * $6 after, $7 before, $8 replied?, $9 cursor's rank, $10 cursor's id (0: none), $11 limit, $12 the most to look at. */

/* clang-format off */
#define FOUND(from)                                                                                                  \
	"WITH probe AS MATERIALIZED (SELECT u.id, u.m::tsquery AS match, u.r::tsquery AS ranking"                     \
	" FROM unnest($1::int8[], $2::text[], $3::text[]) AS u(id, m, r)),"                                           \
	" mine AS MATERIALIZED (SELECT unnest($4::int8[]) AS id),"                                                    \
	" found AS MATERIALIZED (SELECT x.message_id, x.seen,"                                                        \
	" CASE WHEN $5 AND x.seen THEN coalesce(floor(ts_rank_cd(x.tsv, x.ranking, 1) * " RANK_UNIT ")::int8, 0)"     \
	" ELSE 0 END AS rank FROM (SELECT s.message_id, s.tsv, probe.ranking, s.channel_id IN (SELECT mine.id FROM mine)" \
	" AND (NOT $8 OR (SELECT m.reply_count > 0 FROM messaging.messages m WHERE m.id = s.message_id)) AS seen"     \
	" FROM probe, LATERAL (SELECT s.* FROM messaging.search s WHERE " from " LIMIT $12) x)"                       \
	" SELECT (SELECT count(*) FROM found), (SELECT count(*) FROM found WHERE seen), h.message_id, h.rank"         \
	" FROM (SELECT) one LEFT JOIN LATERAL (SELECT found.message_id, found.rank FROM found WHERE found.seen"       \
	" AND ($10 = 0 OR (found.rank, found.message_id) < ($9, $10))"                                                \
	" ORDER BY found.rank DESC, found.message_id DESC LIMIT $11) h ON true"
#define WITHIN "s.message_id > $6 AND ($7 = 0 OR s.message_id < $7)"
/* clang-format on */

static const struct db_stmt segments_probe_stmt = {
	"messaging_search_probe",
	FOUND("s.tsv @@ probe.match AND " WITHIN " OFFSET 0) s"),
};
/* Messages that are known one by one: the words are looked for in their rows. */
static const struct db_stmt messages_probe_stmt = {
	"messaging_search_probe_chosen",
	FOUND("s.message_id = probe.id AND " WITHIN " OFFSET 0) s WHERE s.tsv @@ probe.match"),
};

static bool before_in_order(const struct search_hit *a, const struct search_hit *b)
{
	return a->rank != b->rank ? a->rank > b->rank : a->message_id > b->message_id;
}

/* Two lists in order; what is beyond the page and one more is dropped. */
static void merge(struct run *r, const struct db_rows *rows)
{
	size_t most = (size_t)r->q->limit + 1, at = 0, count = 0;
	struct search_hit *merged = ARENA_ARRAY(r->mem, most, struct search_hit);
	int row = 0;

	while (count < most) {
		bool more = row < rows->count && !db_is_null(rows, row, 2);
		struct search_hit next = {more ? db_id(rows, row, 2) : 0, more ? db_id(rows, row, 3) : 0};
		bool old = at < r->out->count && (!more || before_in_order(&r->out->hits[at], &next));
		if (!old && !more)
			break;
		merged[count++] = old ? r->out->hits[at++] : next;
		row += !old;
	}
	r->out->hits = merged;
	r->out->count = count;
}

/* segments[i] is that of ids[i]; they may be the same. most: to look at; out_full: there may be more. */
static enum status probe(struct run *r, const struct db_stmt *stmt, const uint64_t *ids, const uint64_t *segments,
	size_t count, uint64_t most, bool *out_full)
{
	const struct search_query *q = r->q;
	const char **matches = ARENA_ARRAY(r->mem, count, const char *);
	const char **rankings = ARENA_ARRAY(r->mem, count, const char *);
	struct db_params p;
	struct db_rows rows = {0};

	for (size_t i = 0; i < count; i++) {
		matches[i] = search_match(r->mem, &r->terms, segments[i]);
		rankings[i] = r->ranked ? search_ranking(r->mem, &r->terms, segments[i]) : NULL;
	}
	db_params_begin(&p, r->mem);
	db_put_ids(&p, ids, count);
	db_put_texts(&p, matches, count);
	db_put_texts(&p, rankings, count);
	db_put_ids(&p, q->channels, q->channel_count);
	db_put_bool(&p, r->ranked);
	db_put_id(&p, r->after);
	db_put_id(&p, r->before);
	db_put_bool(&p, q->replied);
	db_put_id(&p, q->from != NULL && r->ranked ? q->from->rank : 0);
	db_put_id(&p, q->from != NULL ? q->from->message_id : 0);
	db_put_i64(&p, (int64_t)q->limit + 1);
	db_put_id(&p, most);
	enum status st = db_query(r->conn, r->mem, stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	*out_full = db_id(&rows, 0, 0) >= most;
	if (*out_full && count > 1) /* asked again in smaller pieces */
		return STATUS_OK;
	r->visits += db_id(&rows, 0, 0);
	r->hits += db_id(&rows, 0, 1);
	merge(r, &rows);
	return STATUS_OK;
}

/* ---- segment by segment */

/* Enough, with segments from `next` on not looked at. */
static bool is_enough(const struct run *r, size_t next)
{
	bool full = r->out->count > r->q->limit;

	if (r->hits < SEARCH_HITS_MOST && r->visits < SEARCH_VISITS_MOST)
		return false;
	if (r->ranked || r->visits >= SEARCH_NEWEST_VISITS)
		return true;
	/* Segments of several streams overlap in time: none of those that are left may hold a newer one. */
	return full && r->segments[next].last < r->out->hits[r->out->count - 1].message_id;
}

/* What is left of `most` when `had` came of the rows so far: in how many rows it is to be expected. */
static uint64_t rows_for(uint64_t most, uint64_t had, uint64_t rows)
{
	return had >= most ? 0 : had == 0 ? UINT64_MAX : (most - had) * rows / had;
}

/* How many segments at once: about as many as are still needed, judged by those before; growing, because they may mislead. */
static size_t next_probes(const struct run *r, size_t done, uint64_t rows_done)
{
	uint64_t rows = rows_done * PROBES_GROW, sum = 0;
	size_t n = 0;

	if (rows < SEARCH_SEGMENT_ROWS)
		rows = SEARCH_SEGMENT_ROWS;
	if (rows > rows_for(SEARCH_HITS_MOST, r->hits, rows_done))
		rows = rows_for(SEARCH_HITS_MOST, r->hits, rows_done);
	if (rows > rows_for(SEARCH_VISITS_MOST, r->visits, rows_done))
		rows = rows_for(SEARCH_VISITS_MOST, r->visits, rows_done);
	while (done + n < r->segment_count && n < PROBES_MOST && (n == 0 || sum + r->segments[done + n].rows <= rows))
		sum += r->segments[done + n++].rows;
	return n;
}

static enum status probe_segments(struct run *r)
{
	uint64_t *ids = ARENA_ARRAY(r->mem, r->segment_count, uint64_t), rows = 0;
	enum status st = STATUS_OK;
	size_t done = 0;

	for (size_t i = 0; i < r->segment_count; i++)
		ids[i] = r->segments[i].id;
	while (st == STATUS_OK && done < r->segment_count && !is_enough(r, done)) {
		size_t n = next_probes(r, done, rows);
		bool full = false;
		st = probe(r, &segments_probe_stmt, ids + done, ids + done, n, PROBE_VISITS, &full);
		/* More than those before promised. */
		if (st == STATUS_OK && full && n > 1) {
			n = 1;
			st = probe(r, &segments_probe_stmt, ids + done, ids + done, n, PROBE_VISITS, &full);
		}
		for (size_t i = done; i < done + n; i++)
			rows += r->segments[i].rows;
		done += n;
	}
	r->cut = r->cut || done < r->segment_count;
	return st;
}

/* ---- what somebody has chosen: pinned by anybody, bookmarked by the actor, or both. $1 readable channels, $2 the most,
 * $3 actor, $4 pinned as well? */

static const struct db_stmt pinned_stmt = {
	"messaging_search_pinned",
	"SELECT s.message_id, s.segment FROM unnest($1::int8[]) AS c(id),"
	" LATERAL (SELECT p.message_id FROM messaging.pins p WHERE p.channel_id = c.id OFFSET 0) p,"
	" LATERAL (SELECT s.message_id, s.segment FROM messaging.search s WHERE s.message_id = p.message_id OFFSET 0) s"
	" ORDER BY s.message_id DESC LIMIT $2",
};
static const struct db_stmt bookmarked_stmt = {
	"messaging_search_bookmarked",
	"SELECT s.message_id, s.segment FROM (SELECT b.message_id FROM messaging.bookmarks b WHERE b.user_id = $3"
	" AND b.channel_id = ANY ($1::int8[]) AND (NOT $4 OR EXISTS (SELECT FROM messaging.pins p"
	" WHERE p.channel_id = b.channel_id AND p.message_id = b.message_id)) OFFSET 0) b,"
	" LATERAL (SELECT s.message_id, s.segment FROM messaging.search s WHERE s.message_id = b.message_id OFFSET 0) s"
	" ORDER BY s.message_id DESC LIMIT $2",
};

static enum status probe_chosen(struct run *r)
{
	const struct search_query *q = r->q;
	struct db_params p;
	struct db_rows rows = {0};
	bool full;

	db_params_begin(&p, r->mem);
	db_put_ids(&p, q->channels, q->channel_count);
	db_put_i64(&p, CHOSEN_MOST);
	if (q->bookmarked) {
		db_put_id(&p, q->reader);
		db_put_bool(&p, q->pinned);
	}
	enum status st =
		db_query(r->conn, r->mem, q->bookmarked ? &bookmarked_stmt : &pinned_stmt, &p, &rows);
	if (st != STATUS_OK || rows.count == 0)
		return st;
	size_t count = (size_t)rows.count;
	uint64_t *ids = ARENA_ARRAY(r->mem, count, uint64_t), *segments = ARENA_ARRAY(r->mem, count, uint64_t);
	for (size_t i = 0; i < count; i++) {
		ids[i] = db_id(&rows, (int)i, 0);
		segments[i] = db_id(&rows, (int)i, 1);
	}
	r->cut = count == CHOSEN_MOST;
	return probe(r, &messages_probe_stmt, ids, segments, count, CHOSEN_MOST + 1, &full);
}

/* Nearly every message is of the usual kinds: who has the mark of another is a list that ends soon, who has theirs is all of the
 * segment. */
static void choose_kinds(struct run *r)
{
	const struct search_query *q = r->q;
	uint32_t *others = ARENA_ARRAY(r->mem, MESSAGE_SYSTEM, uint32_t);
	size_t count = 0;

	for (uint32_t kind = MESSAGE_TEXT; kind <= MESSAGE_SYSTEM; kind++) {
		bool wanted = false;
		for (size_t i = 0; i < q->kind_count; i++)
			wanted = wanted || q->kinds[i] == kind;
		if (!wanted)
			others[count++] = kind;
	}
	if (count < q->kind_count) {
		r->terms.other_kinds = others;
		r->terms.other_kind_count = count;
	} else {
		r->terms.kinds = q->kinds;
		r->terms.kind_count = q->kind_count;
	}
}

enum status search_run(struct db_conn *conn, struct arena *mem, const struct search_query *q, struct search_answer *out)
{
	struct run r = {.conn = conn, .mem = mem, .q = q, .out = out, .after = q->after, .before = q->before};

	*out = (struct search_answer){0};
	enum status st = parse(&r);
	if (st != STATUS_OK || out->nothing || q->channel_count == 0)
		return st;
	r.ranked = !q->newest_first && out->query != NULL;
	/* A later page of what is newest begins where the last one ended; its total is the first one's. */
	if (q->from != NULL && !r.ranked && (r.before == 0 || q->from->message_id < r.before))
		r.before = q->from->message_id;
	if (q->channel_count <= MARKED_CHANNELS) {
		r.terms.channels = q->channels;
		r.terms.channel_count = q->channel_count;
	}
	r.terms.authors = q->authors;
	r.terms.author_count = q->author_count;
	choose_kinds(&r);
	if (q->pinned || q->bookmarked) {
		st = probe_chosen(&r);
	} else {
		st = find_segments(&r);
		if (st == STATUS_OK)
			st = probe_segments(&r);
	}
	out->total = q->from != NULL ? q->from->total : r.hits;
	out->capped = q->from != NULL ? q->from->capped : r.cut;
	out->more = out->count > q->limit;
	if (out->more)
		out->count = q->limit;
	return st;
}

/* ---- showing */

static const struct db_stmt messages_stmt = {
	"messaging_search_messages",
	"SELECT q.n::int4, " MESSAGE_COLUMNS ", " MESSAGE_MARKS("$2") " FROM unnest($1::int8[]) WITH ORDINALITY AS q(id, n),"
	" LATERAL (SELECT * FROM messaging.messages m WHERE m.id = q.id AND m.deleted_at_ms IS NULL OFFSET 0) m"
	" LEFT JOIN LATERAL (SELECT * FROM messaging.people p WHERE p.id = m.author_id OFFSET 0) p ON true ORDER BY q.n",
};
static const struct db_stmt headline_stmt = {
	"messaging_search_headline",
	"SELECT ts_headline($1::text::regconfig, q.text, $2::text::tsquery, $4)"
	" FROM unnest($3::text[]) WITH ORDINALITY AS q(text, n) ORDER BY q.n",
};
static enum status headlines(struct db_conn *conn, struct arena *mem, const struct search_query *q, const char *query,
	const struct folded *texts, size_t count, struct db_rows *out_rows)
{
	const char **folded = ARENA_ARRAY(mem, count, const char *);
	struct db_params p;

	if (query == NULL || count == 0)
		return STATUS_OK;
	for (size_t i = 0; i < count; i++)
		folded[i] = texts[i].text;
	db_params_begin(&p, mem);
	db_put_text(&p, q->config);
	db_put_text(&p, query);
	db_put_texts(&p, folded, count);
	db_put_text(&p, SNIPPET_OPTIONS);
	return db_query(conn, mem, &headline_stmt, &p, out_rows);
}

enum status search_show(struct db_conn *conn, struct arena *mem, const struct search_query *q, const struct search_answer *answer,
	pb_FoundMessage **out_found, size_t *out_count)
{
	uint64_t *ids = ARENA_ARRAY(mem, answer->count, uint64_t);
	struct db_params p;
	struct db_rows rows = {0}, marked = {0};

	*out_found = NULL;
	*out_count = 0;
	if (answer->count == 0)
		return STATUS_OK;
	for (size_t i = 0; i < answer->count; i++)
		ids[i] = answer->hits[i].message_id;
	db_params_begin(&p, mem);
	db_put_ids(&p, ids, answer->count);
	db_put_id(&p, q->reader);
	enum status st = db_query(conn, mem, &messages_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	pb_FoundMessage *found = ARENA_ARRAY(mem, (size_t)rows.count, pb_FoundMessage);
	struct folded *texts = ARENA_ARRAY(mem, (size_t)rows.count, struct folded);
	for (int i = 0; i < rows.count; i++) {
		found[i].has_message = true;
		found[i].rank = answer->hits[db_i64(&rows, i, 0) - 1].rank;
		message_from_row(mem, &rows, i, 1, &found[i].message);
		message_marks_from_row(mem, &rows, i, 1 + MESSAGE_COLUMN_COUNT, &found[i].message);
		texts[i] = search_fold(mem, found[i].message.content, strlen(found[i].message.content), true);
	}
	st = headlines(conn, mem, q, answer->query, texts, (size_t)rows.count, &marked);
	for (int i = 0; i < rows.count && st == STATUS_OK; i++)
		search_snippet(mem, &texts[i], marked.count > 0 ? db_text(&marked, i, 0) : NULL, &found[i]);
	*out_found = found;
	*out_count = (size_t)rows.count;
	return st;
}
