#include "services/messaging/bookmarks.h"

#include "services/messaging/guard.h"
#include "services/messaging/lists.h"
#include "services/messaging/messages.h"
#include "services/messaging/views.h"
#include "services/messaging/visible.h"

/* ---- setting */

struct marking {
	struct change change;
	const pb_SetBookmarkRequest *rq;
};

static enum status marking_allowed(struct change *c)
{
	const struct marking *m = (const struct marking *)c;

	return m->rq->set ? rights_need(&c->rights, PERMISSION_read_history, &c->no.why) : STATUS_OK;
}

/* No row: no such message. Else: was one written? The message is not under this lock: where it is being
 * deleted in this very moment a row may stay that nothing shows and the purge takes away. */
static const struct db_stmt set_stmt = {
	"messaging_bookmark_set",
	"WITH m AS MATERIALIZED (SELECT x.id FROM (SELECT y.id, y.channel_id, y.deleted_at_ms FROM "
	"messaging.messages y"
	"  WHERE y.id = $2 OFFSET 0) x WHERE x.channel_id = $3 AND x.deleted_at_ms IS NULL),"
	" new AS (INSERT INTO messaging.bookmarks (user_id, message_id, channel_id, at_ms) SELECT $1, m.id, "
	"$3, $4 FROM m"
	"  ON CONFLICT (user_id, message_id) DO NOTHING RETURNING 1)"
	" SELECT EXISTS (SELECT FROM new) FROM m",
};
static const struct db_stmt unset_stmt = {
	"messaging_bookmark_unset",
	"WITH old AS (DELETE FROM messaging.bookmarks WHERE user_id = $1 AND message_id = $2 AND channel_id "
	"= $3 RETURNING 1)"
	" SELECT EXISTS (SELECT FROM old)",
};

static enum status marking_work(struct log_tx *tx, void *arg)
{
	struct marking *m = arg;
	struct change *c = &m->change;
	uint64_t user = c->call->header->actor_id;
	struct db_params params;
	struct db_rows rows = {0};
	char key[AUDIENCE_SIZE];
	pb_Event event;

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, user);
	db_put_id(&params, m->rq->message_id);
	db_put_id(&params, m->rq->channel_id);
	if (m->rq->set)
		db_put_i64(&params, log_tx_now_ms(tx));
	enum status st = log_tx_query(tx, m->rq->set ? &set_stmt : &unset_stmt, &params, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count == 0)
		return STATUS_NOT_FOUND;
	if (!db_bool(&rows, 0, 0))
		return STATUS_OK;
	guard_event(c, EVENT_KIND_bookmark_changed, &event);
	event.body.bookmark_changed = (pb_BookmarkChanged){
		.has_channel = true, .message_id = m->rq->message_id, .user_id = user, .set = m->rq->set};
	rights_channel_ref(&c->rights, &event.body.bookmark_changed.channel);
	audience_key(key, "user", user);
	return log_tx_append(tx, STREAM_USER(user), key, &event, NULL);
}

void set_bookmark(void *service, struct rpc_call *call, const void *request, void *reply)
{
	pb_SetBookmarkRequest *rq = (pb_SetBookmarkRequest *)request;
	struct marking m = {.rq = rq};
	enum status st = STATUS_FORBIDDEN;
	bool replayed = false;

	if (!message_settle(service, call, rq->message_id, &rq->channel_id))
		return;

	m.change = (struct change){.channel_id = m.rq->channel_id,
		.own_stream = true,
		.keeps_rights = true,
		.allowed = marking_allowed,
		.work = marking_work,
		.call = call};
	if (call->header->actor_id == 0)
		m.change.no.why = "actor"; /* the system reads nothing */
	else
		st = guard_change(service, &m.change, reply, &replayed);
	guard_answer_change(call, st, &m.change.no, replayed);
}

/* ---- list */

struct bookmark_list {
	const pb_ListBookmarksRequest *rq;
	pb_ListMessagesReply *reply;
	uint64_t before_ms, after_ms; /* of the cursors */
};

/* Where his bookmarks are, and on every row when those of the cursors were set. */
static const struct db_stmt places_stmt = {
	"messaging_bookmark_places",
	"SELECT DISTINCT b.channel_id, (SELECT x.at_ms FROM messaging.bookmarks x WHERE x.user_id = $1 AND "
	"x.message_id = $2),"
	" (SELECT x.at_ms FROM messaging.bookmarks x WHERE x.user_id = $1 AND x.message_id = $3)"
	" FROM messaging.bookmarks b WHERE b.user_id = $1",
};

static enum status places_read(struct db_conn *conn, struct rpc_call *call, void *arg,
	uint64_t **out_channels, size_t *out_count, struct refusal *out_no)
{
	struct bookmark_list *list = arg;
	struct db_params params;
	struct db_rows rows = {0};

	db_params_begin(&params, call->mem);
	db_put_id(&params, call->header->actor_id);
	db_put_id(&params, list->rq->before);
	db_put_id(&params, list->rq->after);
	enum status st = db_query(conn, call->mem, &places_stmt, &params, &rows);
	if (st != STATUS_OK)
		return st;
	list->before_ms = rows.count > 0 ? db_id(&rows, 0, 1) : 0;
	list->after_ms = rows.count > 0 ? db_id(&rows, 0, 2) : 0;
	if (list->rq->before != 0 && list->before_ms == 0)
		out_no->field = "before";
	if (list->rq->after != 0 && list->after_ms == 0)
		out_no->field = "after";
	if (out_no->field != NULL)
		return STATUS_FIELD_INVALID;
	*out_channels = ARENA_ARRAY(call->mem, (size_t)rows.count, uint64_t);
	for (int i = 0; i < rows.count; i++)
		(*out_channels)[(*out_count)++] = db_id(&rows, i, 0);
	return STATUS_OK;
}

/* The page is taken before its messages are looked at: a message without a row is one that was deleted just
 * now. */
/* clang-format off */
#define BOOKMARKS_SQL(compare, order)                                                                                \
	"SELECT " VISIBLE_EPOCHS_COLUMNS ", b.channel_id, " MESSAGE_COLUMNS ", " MESSAGE_MARKS("$1")                 \
	" FROM (SELECT x.channel_id, x.message_id, x.at_ms FROM messaging.bookmarks x WHERE x.user_id = $1"          \
	"  AND x.channel_id = ANY ($2::int8[]) AND ($3 = 0 OR (x.at_ms, x.message_id) " compare " ($3, $4))"         \
	"  ORDER BY x.at_ms " order ", x.message_id " order " LIMIT $5) b"                                           \
	" JOIN LATERAL (SELECT x.rank, x.stream_id FROM messaging.channels x WHERE x.id = b.channel_id OFFSET 0) c ON true" \
	" " VISIBLE_EPOCHS_JOINS                                                                                     \
	" LEFT JOIN LATERAL (SELECT x.* FROM messaging.messages x WHERE x.id = b.message_id OFFSET 0) m"             \
	" ON m.deleted_at_ms IS NULL"                                                                                \
	" LEFT JOIN messaging.people p ON p.id = m.author_id ORDER BY b.at_ms " order ", b.message_id " order
/* clang-format on */
static const struct db_stmt bookmarks_stmts[2] = {
	{"messaging_bookmarks_down", BOOKMARKS_SQL("<", "DESC")},
	{"messaging_bookmarks_up", BOOKMARKS_SQL(">", "ASC")},
};

static enum status bookmarks_read(
	struct db_conn *conn, struct rpc_call *call, struct visible *v, void *arg, struct refusal *out_no)
{
	const struct bookmark_list *list = arg;
	uint32_t limit = list_limit(list->rq->limit, LIST_MOST);
	const int first = VISIBLE_EPOCHS_COUNT + 1;
	bool up = list->rq->after != 0;
	struct db_params params;
	struct db_rows rows = {0};

	visible_keep(v, PERMISSION_read_history);
	db_params_begin(&params, call->mem);
	visible_put(&params, v, call);
	db_put_id(&params, up ? list->after_ms : list->before_ms);
	db_put_id(&params, up ? list->rq->after : list->rq->before);
	db_put_i64(&params, (int64_t)limit + 1);
	enum status st = db_query(conn, call->mem, &bookmarks_stmts[up], &params, &rows);
	if (st != STATUS_OK)
		return st;
	*list->reply =
		(pb_ListMessagesReply){.messages = ARENA_ARRAY(call->mem, (size_t)rows.count, pb_MessageView),
			.more = rows.count > (int)limit};
	for (int i = 0; i < rows.count && i < (int)limit; i++) {
		st = visible_compare(v, call, &rows, i, db_id(&rows, i, VISIBLE_EPOCHS_COUNT), out_no);
		if (st != STATUS_OK)
			return st;
		if (db_is_null(&rows, i, first))
			continue;
		pb_MessageView *view = &list->reply->messages[list->reply->messages_count++];
		message_from_row(call->mem, &rows, i, first, view);
		message_marks_from_row(call->mem, &rows, i, first + MESSAGE_COLUMN_COUNT, view);
	}
	return STATUS_OK;
}

void list_bookmarks(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;
	struct bookmark_list list = {.rq = request, .reply = reply};
	struct refusal no = {0};

	enum status st = visible_read_listed(s, call, s->reads, places_read, bookmarks_read, &list, &no);
	guard_answer(call, st, &no);
}
