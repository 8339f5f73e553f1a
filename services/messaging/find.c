#include "services/messaging/find.h"

#include <stdlib.h>
#include <string.h>

#include "services/messaging/homes.h"
#include "services/messaging/unread.h"
#include "services/messaging/views.h"

/* ---- what is asked for. $1 reader, $2 channels, $3 most rows, $4 how many are looked at, $5 text, $6 authors, $7 kinds, $8 media,
 * $9 pinned, $10 bookmarked, $11 and $12 ids between which they lie, both exclusive, $13 roots (replies), $14 the one channel,
 * $15 $16 its messages that the bounds are (0: none), $17 $18 whether those belong to it themselves */

/* clang-format off */
#define FIND_COLUMNS MESSAGE_COLUMNS ", " MESSAGE_MARKS("$1") ", t.read_count, t.last_read_id"
#define FIND_THREAD                                                                                                  \
	" LEFT JOIN LATERAL (SELECT t.read_count, t.last_read_id FROM messaging.thread_read t WHERE m.reply_count > 0" \
	"  AND t.user_id = $1 AND t.channel_id = m.channel_id AND t.root_id = m.id OFFSET 0) t ON true"
#define FIND_WORDS(text) "strpos(lower(" text "), (SELECT lower($5::text))) > 0"
#define FIND_WORDLESS "m.attachments IS NOT NULL AND m.content = '' AND EXISTS (SELECT FROM messaging.attachments a WHERE a.message_id = m.id AND "
/* A file without a word is called by its name. */
#define FIND_TEXT "($5::text IS NULL OR " FIND_WORDS("m.content") " OR (" FIND_WORDLESS FIND_WORDS("a.name") ")))"
/* enum message_media: of a file without a word, an image or another. */
#define FIND_MEDIA FIND_WORDLESS "CASE WHEN a.mime LIKE 'image/%' THEN 2 ELSE 1 END = ANY ($8::int2[]))"
#define FIND_HOLDS                                                                                                   \
	"m.channel_id = ANY ($2::int8[]) AND m.deleted_at_ms IS NULL AND (cardinality($13::int8[]) > 0 OR m.root_id IS NULL)" \
	" AND (cardinality($6::int8[]) = 0 OR m.author_id = ANY ($6::int8[]))"                                                \
	" AND (cardinality($7::int2[]) + cardinality($8::int2[]) = 0 OR m.kind = ANY ($7::int2[]) OR (" FIND_MEDIA "))"        \
	" AND (NOT $9 OR m.pinned_at_ms IS NOT NULL)"                                                                \
	" AND (NOT $10 OR EXISTS (SELECT FROM messaging.bookmarks b WHERE b.user_id = $1 AND b.message_id = m.id))"  \
	" AND " FIND_TEXT
#define FIND_WITHIN "m.id > $11 AND m.id < $12"
/* rows: what is looked at, as m; page: the conditions on them; by: the column they are in order of. */
#define FIND_SQL(rows, page, by, order)                                                                              \
	"SELECT " FIND_COLUMNS " FROM (SELECT m.* FROM (" rows ") m WHERE " page " AND " FIND_HOLDS                  \
	"  ORDER BY m." by " " order " LIMIT $3) m" FIND_THREAD                                                      \
	" LEFT JOIN messaging.people p ON p.id = m.author_id ORDER BY m." by " " order

#define ROWS_OF_THREADS(order)                                                                                       \
	"SELECT x.* FROM unnest($13::int8[]) AS q(root_id) CROSS JOIN LATERAL (SELECT x.* FROM messaging.messages x" \
	" WHERE x.root_id = q.root_id AND x.id > $11 AND x.id < $12 ORDER BY x.seq " order " LIMIT $4) x"
#define ROWS_PINNED(order)                                                                                           \
	"SELECT x.* FROM messaging.pins q CROSS JOIN LATERAL (SELECT x.* FROM messaging.messages x WHERE x.id = q.message_id OFFSET 0) x" \
	" WHERE q.channel_id = ANY ($2::int8[])"
#define ROWS_BOOKMARKED(order)                                                                                       \
	"SELECT x.* FROM (SELECT b.message_id FROM messaging.bookmarks b WHERE b.user_id = $1 ORDER BY b.at_ms DESC LIMIT $4) q" \
	" CROSS JOIN LATERAL (SELECT x.* FROM messaging.messages x WHERE x.id = q.message_id OFFSET 0) x"
/* Its own subquery: with the channel beside the id the whole channel was read for it while the tables were small. */
#define AT_BOUND(id) "SELECT z.seq, z.channel_id FROM messaging.messages z WHERE z.id = " id " OFFSET 0"
#define ROWS_OF_CHANNEL(order)                                                                                       \
	"SELECT x.* FROM messaging.messages x WHERE x.channel_id = $14"                                              \
	" AND x.seq > (SELECT coalesce((SELECT y.seq - $17::int FROM (" AT_BOUND("$15") ") y WHERE y.channel_id = $14), 0))" \
	" AND x.seq < (SELECT coalesce((SELECT y.seq + $18::int FROM (" AT_BOUND("$16") ") y WHERE y.channel_id = $14)," \
	"  9223372036854775807)) ORDER BY x.seq " order " LIMIT $4"
/* A bound that is a place there is one by place: what was made earlier and written later is not skipped. */
#define WITHIN_CHANNEL                                                                                               \
	"(m.id > $11 OR (SELECT y.channel_id FROM messaging.messages y WHERE y.id = $15) IS NOT DISTINCT FROM $14)"  \
	" AND (m.id < $12 OR (SELECT y.channel_id FROM messaging.messages y WHERE y.id = $16) IS NOT DISTINCT FROM $14)"
#define ROWS_OF_EACH(order)                                                                                          \
	"SELECT x.* FROM unnest($2::int8[]) AS q(channel_id) CROSS JOIN LATERAL (SELECT m.* FROM (SELECT m.* FROM messaging.messages m" \
	" WHERE m.channel_id = q.channel_id ORDER BY m.seq " order " LIMIT $4) m WHERE " FIND_HOLDS " LIMIT $3) x"
#define ROWS_BY_ID(order)                                                                                            \
	"SELECT x.* FROM messaging.messages x WHERE x.id > $11 AND x.id < $12 ORDER BY x.id " order " LIMIT $4"
/* clang-format on */

enum source { OF_THREADS, PINNED, BOOKMARKED, OF_CHANNEL, OF_EACH, BY_ID };

#define BOTH(name, rows, page, by)                                                                                   \
	{                                                                                                            \
		{name "_down", FIND_SQL(rows("DESC"), page, by, "DESC")},                                            \
		{                                                                                                    \
			name "_up", FIND_SQL(rows("ASC"), page, by, "ASC")                                           \
		}                                                                                                    \
	}
/* [source][oldest first] */
static const struct db_stmt find_stmts[][2] = {
	[OF_THREADS] = BOTH("messaging_find_threads", ROWS_OF_THREADS, FIND_WITHIN, "id"),
	[PINNED] = BOTH("messaging_find_pinned", ROWS_PINNED, FIND_WITHIN, "id"),
	[BOOKMARKED] = BOTH("messaging_find_bookmarked", ROWS_BOOKMARKED, FIND_WITHIN, "id"),
	[OF_CHANNEL] = BOTH("messaging_find_channel", ROWS_OF_CHANNEL, WITHIN_CHANNEL, "seq"),
	[OF_EACH] = BOTH("messaging_find_each", ROWS_OF_EACH, FIND_WITHIN, "id"),
	[BY_ID] = BOTH("messaging_find_by_id", ROWS_BY_ID, FIND_WITHIN, "id"),
};

struct find {
	const pb_FindMessagesRequest *rq;
	pb_FindMessagesReply *reply;
	uint64_t team_id, *named;
	size_t named_count;
	uint32_t limit;
	bool up, read; /* read: there was a channel to read at all */
	uint64_t low, high; /* exclusive */
	const char *text; /* NULL: any */
};

/* ---- channels */

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void name_channels(struct arena *mem, struct find *f, const uint64_t *ids, size_t count)
{
	f->named = arena_memdup(mem, ids, count * sizeof *ids);
	qsort(f->named, count, sizeof *f->named, by_number);
	for (size_t i = 0; i < count; i++)
		if (f->named_count == 0 || f->named[f->named_count - 1] != f->named[i])
			f->named[f->named_count++] = f->named[i];
}

/* What may be read: not archived, of the team asked about or a conversation. */
static void keep_readable(const struct find *f, struct visible *v)
{
	size_t kept = 0;

	visible_keep(v, PERMISSION_read_history);
	for (size_t i = 0; i < v->count; i++) {
		const struct rights *r = &v->rights[i];
		if (r->channel_archived || (f->team_id != 0 && r->team_id != 0 && r->team_id != f->team_id))
			continue;
		v->rights[kept] = v->rights[i];
		v->channel_ids[kept++] = v->channel_ids[i];
	}
	v->count = kept;
}

typedef enum status find_rows_fn(struct db_conn *conn, struct rpc_call *call, const struct visible *v, struct find *f);

struct finding {
	struct find *find;
	find_rows_fn *rows;
};

static enum status named_channels(struct db_conn *conn, struct rpc_call *call, void *arg, uint64_t **out_channels,
	size_t *out_count, struct refusal *out_no)
{
	const struct find *f = ((const struct finding *)arg)->find;

	*out_channels = f->named;
	*out_count = f->named_count;
	return STATUS_OK;
}

static enum status find_read(
	struct db_conn *conn, struct rpc_call *call, struct visible *v, void *arg, struct refusal *out_no)
{
	struct finding *finding = arg;
	struct homes homes;

	/* Whoever was refused has been judged in this snapshot too. */
	homes_find(call->mem, v, &homes);
	enum status st = db_begin_snapshot(conn);
	if (st == STATUS_OK)
		st = homes_compare(conn, call, v, &homes, out_no);
	keep_readable(finding->find, v);
	finding->find->read = v->count > 0;
	if (st == STATUS_OK && v->count > 0)
		st = finding->rows(conn, call, v, finding->find);
	db_rollback(conn);
	return st;
}

static const struct db_stmt one_epochs_stmt = {"messaging_find_epochs", EPOCHS_SQL};

/* One channel, as history is read: what the actor may there is mostly known, and checked in the snapshot that is read. */
static enum status find_read_one(struct db_conn *conn, struct rpc_call *call, const struct rights *r, void *arg,
	struct epochs *out_found, struct refusal *out_no)
{
	struct finding *finding = arg;
	struct rights rights = *r;
	uint64_t channel = r->channel_id;
	struct visible v = {.rights = &rights, .channel_ids = &channel, .count = 1};
	struct db_params params;
	struct db_rows rows = {0};

	db_params_begin(&params, call->mem);
	guard_put(&params, r, call);
	enum status st = db_begin_snapshot(conn);
	if (st == STATUS_OK)
		st = db_query(conn, call->mem, &one_epochs_stmt, &params, &rows);
	if (st == STATUS_OK && rows.count > 0) /* no row: this server does not know the stream yet; judged again */
		*out_found = guard_epochs(&rows, 0);
	keep_readable(finding->find, &v);
	finding->find->read = v.count > 0;
	if (st == STATUS_OK && v.count > 0)
		st = finding->rows(conn, call, &v, finding->find);
	db_rollback(conn);
	return st;
}

static void find_answer(struct service *s, struct rpc_call *call, struct find *f, find_rows_fn *rows)
{
	struct finding finding = {f, rows};
	struct refusal no = {0};
	enum status st;

	if (f->named_count == 1) {
		st = guard_read(
			s, call, s->reads, f->named[0], PERMISSION_read_history, find_read_one, &finding, &no);
		if (st == STATUS_NOT_FOUND || st == STATUS_FORBIDDEN) {
			f->read = false;
			st = STATUS_OK;
		}
	} else if (f->named_count > 0) {
		st = visible_read_listed(s, call, s->reads, named_channels, find_read, &finding, &no);
	} else if (f->team_id != 0) {
		st = visible_read_with_conversations(s, call, s->reads, f->team_id, find_read, &finding, &no);
	} else {
		st = visible_read(s, call, s->reads, VISIBLE_EVERYTHING, find_read, &finding, &no);
	}
	if (st == STATUS_OK && !f->read) {
		no = (struct refusal){.why = "channels"};
		st = STATUS_FORBIDDEN;
	}
	guard_answer(call, st, &no);
}

/* ---- messages */

static void view_from_row(struct arena *mem, const struct db_rows *rows, int row, pb_MessageView *out)
{
	const int thread = MESSAGE_COLUMN_COUNT + MESSAGE_MARKS_COUNT;

	message_from_row(mem, rows, row, 0, out);
	message_marks_from_row(mem, rows, row, MESSAGE_COLUMN_COUNT, out);
	if (db_is_null(rows, row, thread))
		return;
	out->thread_unread = unread_of(out->reply_count, db_id(rows, row, thread));
	out->thread_last_read_id = db_id(rows, row, thread + 1);
}

static enum source source_of(const struct find *f, const struct visible *v)
{
	const pb_FindMessagesRequest *rq = f->rq;

	if (rq->root_ids_count > 0)
		return OF_THREADS;
	if (rq->pinned)
		return PINNED;
	if (rq->bookmarked)
		return BOOKMARKED;
	if (v->count == 1)
		return OF_CHANNEL;
	return f->low == 0 && f->high == INT64_MAX && v->count <= FIND_LATERAL_MOST ? OF_EACH : BY_ID;
}

static void put_small(struct db_params *params, const uint32_t *numbers, size_t count)
{
	int16_t *small = ARENA_ARRAY(params->mem, count, int16_t);

	for (size_t i = 0; i < count; i++)
		small[i] = (int16_t)numbers[i];
	db_put_i16s(params, small, count);
}

static enum status find_rows(struct db_conn *conn, struct rpc_call *call, const struct visible *v, struct find *f)
{
	const pb_FindMessagesRequest *rq = f->rq;
	enum source source = source_of(f, v);
	struct db_params params;
	struct db_rows rows = {0};

	db_params_begin(&params, call->mem);
	db_put_id(&params, call->header->actor_id);
	db_put_ids(&params, v->channel_ids, v->count);
	db_put_i64(&params, (int64_t)f->limit + 1);
	db_put_i64(&params, source == OF_EACH ? FIND_SCAN / (int64_t)v->count : FIND_SCAN);
	db_put_text(&params, f->text);
	db_put_ids(&params, rq->author_ids, rq->author_ids_count);
	put_small(&params, rq->kinds, rq->kinds_count);
	put_small(&params, rq->media, rq->media_count);
	db_put_bool(&params, rq->pinned);
	db_put_bool(&params, rq->bookmarked && !rq->pinned);
	db_put_id(&params, f->low);
	db_put_id(&params, f->high);
	db_put_ids(&params, rq->root_ids, rq->root_ids_count);
	if (source == OF_CHANNEL) {
		bool from = rq->from_id > rq->after_id, to = rq->to_id != 0 && (rq->before_id == 0 || rq->to_id < rq->before_id);
		db_put_id(&params, v->channel_ids[0]);
		db_put_id(&params, from ? rq->from_id : rq->after_id);
		db_put_id(&params, to ? rq->to_id : rq->before_id);
		db_put_bool(&params, from);
		db_put_bool(&params, to);
	}
	enum status st = db_query(conn, call->mem, &find_stmts[source][f->up], &params, &rows);
	if (st != STATUS_OK)
		return st;
	*f->reply = (pb_FindMessagesReply){.messages = ARENA_ARRAY(call->mem, (size_t)rows.count, pb_MessageView),
		.more = rows.count > (int)f->limit};
	for (int i = 0; i < rows.count && i < (int)f->limit; i++)
		view_from_row(call->mem, &rows, i, &f->reply->messages[f->reply->messages_count++]);
	return STATUS_OK;
}

static const char *wrong_field(const pb_FindMessagesRequest *rq)
{
	if (rq->channel_ids_count > FIND_IDS_MAX)
		return "channel_ids";
	if (rq->root_ids_count > FIND_IDS_MAX)
		return "root_ids";
	if (rq->author_ids_count > FIND_IDS_MAX)
		return "author_ids";
	if (rq->text != NULL && !text_fits(rq->text, 0, FIND_TEXT_MAX))
		return "text";
	for (pb_size_t i = 0; i < rq->kinds_count; i++)
		if (rq->kinds[i] < MESSAGE_TEXT || rq->kinds[i] > MESSAGE_SYSTEM || rq->kinds_count > MESSAGE_SYSTEM)
			return "kinds";
	for (pb_size_t i = 0; i < rq->media_count; i++)
		if (rq->media[i] < MEDIA_ATTACHMENT || rq->media[i] > MEDIA_IMAGE || rq->media_count > MEDIA_IMAGE)
			return "media";
	return NULL;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint32_t limit_of(uint32_t asked)
{
	return asked == 0 || asked > FIND_LIMIT ? FIND_LIMIT : asked;
}

void find_messages(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_FindMessagesRequest *rq = request;
	struct find f = {.rq = rq, .reply = reply, .team_id = rq->team_id, .limit = limit_of(rq->limit)};
	struct refusal no = {.field = wrong_field(rq)};

	if (no.field != NULL) {
		guard_answer(call, STATUS_FIELD_INVALID, &no);
		return;
	}
	f.up = rq->after_id != 0 || rq->from_id != 0;
	f.low = rq->from_id > rq->after_id ? rq->from_id - 1 : rq->after_id;
	f.high = least(rq->before_id != 0 ? rq->before_id : INT64_MAX, rq->to_id != 0 && rq->to_id < INT64_MAX ? rq->to_id + 1 : INT64_MAX);
	f.low = least(f.low, INT64_MAX);
	f.high = least(f.high, INT64_MAX);
	f.text = rq->text != NULL && *rq->text != '\0' ? rq->text : NULL;
	name_channels(call->mem, &f, rq->channel_ids, rq->channel_ids_count);
	find_answer(service, call, &f, find_rows);
}

/* ---- threads */

/* $1 reader, $2 channels, $3 roots at most, $4 replies of each, $5 text. Roots first, then replies, the newest first. */
/* clang-format off */
static const struct db_stmt threads_stmt = {
	"messaging_search_threads",
	"WITH roots AS MATERIALIZED (SELECT m.* FROM messaging.thread_read q"
	"  CROSS JOIN LATERAL (SELECT m.* FROM messaging.messages m WHERE m.id = q.root_id OFFSET 0) m"
	"  WHERE q.user_id = $1 AND q.channel_id = ANY ($2::int8[]) AND m.deleted_at_ms IS NULL AND m.reply_count > 0"
	"   AND (m.author_id = $1 OR $1 = ANY (m.reply_authors) OR EXISTS (SELECT FROM messaging.messages r WHERE r.root_id = m.id"
	"    AND r.author_id = $1 AND r.deleted_at_ms IS NULL))"
	"  ORDER BY m.id DESC LIMIT $3)"
	" SELECT " FIND_COLUMNS " FROM (SELECT r.* FROM roots r UNION ALL SELECT x.* FROM roots r CROSS JOIN LATERAL"
	"  (SELECT x.* FROM messaging.messages x WHERE x.root_id = r.id AND x.deleted_at_ms IS NULL ORDER BY x.seq DESC LIMIT $4) x) m"
	FIND_THREAD " LEFT JOIN messaging.people p ON p.id = m.author_id WHERE " FIND_TEXT
	" ORDER BY m.root_id IS NOT NULL, m.id DESC LIMIT 20000",
};
/* clang-format on */

static int by_id(const void *a, const void *b)
{
	const pb_MessageView *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

/* About what it takes in the answer. */
static size_t bytes_of(const pb_MessageView *m)
{
	return 256 + (m->content != NULL ? strlen(m->content) : 0) + 9 * m->reply_authors_count + 200 * m->reactions_count;
}

static enum status threads_rows(struct db_conn *conn, struct rpc_call *call, const struct visible *v, struct find *f)
{
	struct db_params params;
	struct db_rows rows = {0};
	size_t bytes = 0;

	db_params_begin(&params, call->mem);
	db_put_id(&params, call->header->actor_id);
	db_put_ids(&params, v->channel_ids, v->count);
	db_put_i64(&params, (int64_t)f->limit);
	db_put_i64(&params, THREAD_REPLIES);
	db_put_text(&params, f->text);
	enum status st = db_query(conn, call->mem, &threads_stmt, &params, &rows);
	if (st != STATUS_OK)
		return st;
	*f->reply = (pb_FindMessagesReply){.messages = ARENA_ARRAY(call->mem, (size_t)rows.count, pb_MessageView)};
	for (int i = 0; i < rows.count; i++) {
		pb_MessageView *view = &f->reply->messages[f->reply->messages_count];
		view_from_row(call->mem, &rows, i, view);
		bytes += bytes_of(view);
		if (bytes > THREADS_BYTES) {
			f->reply->more = true;
			break;
		}
		f->reply->messages_count++;
	}
	if (f->reply->messages_count > 0)
		qsort(f->reply->messages, f->reply->messages_count, sizeof *f->reply->messages, by_id);
	return STATUS_OK;
}

void search_threads(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_SearchThreadsRequest *rq = request;
	struct find f = {.reply = reply, .team_id = rq->team_id, .limit = limit_of(rq->limit)};
	struct refusal no = {0};

	if (rq->channel_ids_count > FIND_IDS_MAX)
		no.field = "channel_ids";
	else if (rq->text != NULL && !text_fits(rq->text, 0, FIND_TEXT_MAX))
		no.field = "text";
	if (no.field != NULL) {
		guard_answer(call, STATUS_FIELD_INVALID, &no);
		return;
	}
	f.text = rq->text != NULL && *rq->text != '\0' ? rq->text : NULL;
	name_channels(call->mem, &f, rq->channel_ids, rq->channel_ids_count);
	find_answer(service, call, &f, threads_rows);
}
