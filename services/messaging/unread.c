#include "services/messaging/unread.h"

#include <stdlib.h>
#include <string.h>

#include "services/messaging/mentions.h"
#include "services/messaging/visible.h"

/*
 * One row a channel, from one statement. Who has no mark in a channel has read what was there when he joined: `place` of the
 * last message until then is where the counter stood.
 */
static const struct db_stmt unread_stmt = {
	"messaging_unread",
	"SELECT " VISIBLE_EPOCHS_COLUMNS ", c.id, c.team_id, c.counted, c.replies_counted, c.last_message_id,"
	" coalesce(r.counted, b.place), coalesce(r.replies_counted, b.replies_place), r.counted IS NOT NULL, r.last_read_id, r.main_id, w.flag, w.notify,"
	" t.unread, t.threads, CASE WHEN $5 THEN t.marks END, CASE WHEN r.last_read_id = c.last_message_id THEN 0 ELSE"
	" " MENTIONS_SINCE_SQL("c.id", "coalesce(r.last_read_seq, v.joined_seq)", "$1", "v.subjects::int8[]") " END"
	" FROM unnest($2::int8[], $3::int8[], $4::text[]) AS v(channel_id, joined_seq, subjects)"
	" CROSS JOIN LATERAL (SELECT * FROM messaging.channels c WHERE c.id = v.channel_id OFFSET 0) c"
	" " VISIBLE_EPOCHS_JOINS
	" LEFT JOIN LATERAL (SELECT r.counted, r.replies_counted, r.last_read_id, r.last_read_seq,"
	"  coalesce(r.main_read_id, r.last_read_id) AS main_id FROM messaging.read_state r"
	"  WHERE r.user_id = $1 AND r.channel_id = v.channel_id OFFSET 0) r ON true"
	UNREAD_BASE_JOIN("v.channel_id", "v.joined_seq")
	" LEFT JOIN LATERAL (SELECT w.flag, w.notify FROM messaging.channel_prefs w"
	"  WHERE w.user_id = $1 AND w.channel_id = v.channel_id OFFSET 0) w ON true"
	UNREAD_THREADS_JOIN("$1", "v.channel_id")
	" WHERE c.deleted_at_ms IS NULL ORDER BY c.id",
};

/* Parameters 3 and 4. Channels of one team have the same roles beside each other's: their text is made once. */
static void unread_put(struct db_params *params, const struct visible *v, struct arena *mem, uint64_t user)
{
	int64_t *joined = ARENA_ARRAY(mem, v->count, int64_t);
	const char **subjects = ARENA_ARRAY(mem, v->count, const char *);

	for (size_t i = 0; i < v->count; i++) {
		const struct rights *r = &v->rights[i], *before = i > 0 ? r - 1 : NULL;
		uint64_t *ids;
		joined[i] = (int64_t)r->joined_seq;
		if (before != NULL && before->team_id == r->team_id && before->role_count == r->role_count &&
			(r->role_count == 0 ||
				memcmp(before->role_ids, r->role_ids, r->role_count * sizeof(uint64_t)) == 0)) {
			subjects[i] = subjects[i - 1];
			continue;
		}
		size_t count = mentions_subjects(mem, user, r, &ids);
		subjects[i] = mentions_array(mem, ids, count);
	}
	db_put_i64s(params, joined, v->count);
	db_put_texts(params, subjects, v->count);
}

struct listing {
	const pb_ListUnreadRequest *rq;
	pb_ListUnreadReply *reply;
	uint64_t *named; /* ascending, each once */
	size_t named_count;
};

static uint64_t next_number(const char **at)
{
	char *end;
	uint64_t n = strtoull(*at, &end, 10);

	*at = end;
	return n;
}

static void marks_from_row(struct arena *mem, const struct db_rows *rows, int row, int column, pb_UnreadView *out)
{
	const char *at = db_text(rows, row, column);
	size_t spaces = 0;

	if (at == NULL)
		return;
	for (const char *c = at; *c != '\0'; c++)
		spaces += *c == ' ';
	out->threads = ARENA_ARRAY(mem, (spaces + 1) / 4, pb_ThreadMark);
	while (*at != '\0') {
		pb_ThreadMark *mark = &out->threads[out->threads_count++];
		mark->root_id = next_number(&at);
		mark->read_count = next_number(&at);
		mark->unread = unread_of(next_number(&at), mark->read_count);
		mark->last_read_id = next_number(&at);
	}
}

static void unread_from_row(struct arena *mem, const struct db_rows *rows, int row, const struct visible *v, pb_UnreadView *out)
{
	int c = VISIBLE_EPOCHS_COUNT;

	*out = (pb_UnreadView){.channel_id = db_id(rows, row, c++), .team_id = db_id(rows, row, c++)};
	uint64_t counted = db_id(rows, row, c++), mains = unread_of(counted, db_id(rows, row, c++));
	out->last_message_id = db_id(rows, row, c++);
	out->counted_mark = db_id(rows, row, c++);
	out->replies_mark = db_id(rows, row, c++);
	const struct rights *r = visible_of(v, out->channel_id);
	out->recorded = db_bool(rows, row, c++) || (r != NULL && rights_is_member(r));
	out->last_read_id = db_id(rows, row, c++);
	out->main_last_read_id = db_id(rows, row, c++);
	out->flag = (uint32_t)db_i64(rows, row, c++);
	out->notify = (uint32_t)db_i64(rows, row, c++);
	out->thread_unread = db_id(rows, row, c++);
	out->thread_total = db_id(rows, row, c++);
	marks_from_row(mem, rows, row, c++, out);
	out->mentions = db_id(rows, row, c++);
	out->unread = unread_of(counted, out->counted_mark);
	out->main_unread = unread_of(mains, unread_of(out->counted_mark, out->replies_mark));
	if (out->flag == 0)
		out->flag = FLAG_NONE;
	if (out->notify == 0)
		out->notify = NOTIFY_ALL;
}

static enum status unread_read(
	struct db_conn *conn, struct rpc_call *call, struct visible *v, void *arg, struct refusal *out_no)
{
	const struct listing *l = arg;
	pb_ListUnreadReply *reply = l->reply;
	struct db_params params;
	struct db_rows rows = {0};

	db_params_begin(&params, call->mem);
	visible_put(&params, v, call);
	unread_put(&params, v, call->mem, call->header->actor_id);
	db_put_bool(&params, l->rq->threads);
	enum status st = db_query(conn, call->mem, &unread_stmt, &params, &rows);
	if (st != STATUS_OK)
		return st;
	*reply = (pb_ListUnreadReply){.unread = ARENA_ARRAY(call->mem, (size_t)rows.count, pb_UnreadView)};
	for (int i = 0; i < rows.count; i++) {
		pb_UnreadView *view = &reply->unread[reply->unread_count++];
		unread_from_row(call->mem, &rows, i, v, view);
		st = visible_compare(v, call, &rows, i, view->channel_id, out_no);
		if (st != STATUS_OK)
			return st;
	}
	return STATUS_OK;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static enum status named_channels(struct db_conn *conn, struct rpc_call *call, void *arg, uint64_t **out_channels,
	size_t *out_count, struct refusal *out_no)
{
	const struct listing *l = arg;

	*out_channels = l->named;
	*out_count = l->named_count;
	return STATUS_OK;
}

void list_unread(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;
	struct listing l = {.rq = request, .reply = reply};
	struct refusal no = {0};
	enum status st;

	if (l.rq->channel_ids_count > UNREAD_CHANNELS_MOST) {
		no.field = "channel_ids";
		st = STATUS_FIELD_INVALID;
	} else if (l.rq->channel_ids_count > 0) {
		l.named = arena_memdup(call->mem, l.rq->channel_ids, l.rq->channel_ids_count * sizeof *l.named);
		qsort(l.named, l.rq->channel_ids_count, sizeof *l.named, by_number);
		for (pb_size_t i = 0; i < l.rq->channel_ids_count; i++)
			if (l.named_count == 0 || l.named[l.named_count - 1] != l.named[i])
				l.named[l.named_count++] = l.named[i];
		st = visible_read_listed(s, call, s->reads, named_channels, unread_read, &l, &no);
	} else {
		st = visible_read(s, call, s->reads, VISIBLE_EVERYTHING, unread_read, &l, &no);
	}
	guard_answer(call, st, &no);
}
