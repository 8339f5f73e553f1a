#include "services/messaging/read_state.h"

#include <string.h>

#include "services/messaging/guard.h"
#include "services/messaging/mentions.h"
#include "services/messaging/unread.h"

/* ---- mark */

struct mark {
	struct change change;
	const pb_MarkReadRequest *rq;
	pb_UnreadReply *reply;
	/* -- read before the commit, from one snapshot */
	uint64_t message_id, message_seq; /* where the mark will stand; 0: nothing was ever posted */
	uint64_t after;                   /* of a thread: its replies behind that message */
	uint64_t replies, old_read;       /* of the thread: how many there are, how many were read */
	bool followed;
	pb_UnreadView view;               /* the channel's, as it will be; threads_before as it was */
};

/* Columns: c.id, c.counted, c.replies_counted, c.last_message_id, and what he has unread in threads. $4 channel, $5 message, $6 his
 * subjects. */
/* Messages before a reply among which the one of the main stream is sought that is the last. */
#define MAIN_SOUGHT  "1000"
#define THREADS_JOIN UNREAD_THREADS_JOIN("$3", "$4::int8")

/* What came after the message is counted here and not under the lock: it may be much. The sums are right
 * whatever is posted in between, because they say where the counters stood at the message. */
static const struct db_stmt mark_look_stmt = {
	"messaging_mark_look",
	"WITH e AS (" EPOCHS_SQL ") SELECT " EPOCHS_COLUMNS ", c.id, c.counted, c.replies_counted, c.last_message_id, t.unread, t.threads,"
	" m.id, m.seq, CASE WHEN m.root_id IS NULL THEN m.id ELSE coalesce((SELECT l.id FROM (SELECT l.id, l.root_id, l.deleted_at_ms, l.kind"
	"   FROM messaging.messages l WHERE l.channel_id = $4 AND l.seq < m.seq ORDER BY l.seq DESC LIMIT " MAIN_SOUGHT ") l"
	"  WHERE l.root_id IS NULL AND l.deleted_at_ms IS NULL AND l.kind <> 3 LIMIT 1), m.id) END, a.every, a.main,"
	" CASE WHEN m.id = c.last_message_id THEN 0 ELSE " MENTIONS_SINCE_SQL("$4", "m.seq", "$3", "$6::int8[]") " END"
	" FROM e LEFT JOIN messaging.channels c ON c.id = $4 AND c.deleted_at_ms IS NULL"
	" LEFT JOIN messaging.messages m ON m.id = coalesce(nullif($5, 0), c.last_message_id) AND "
	"m.channel_id = $4"
	" LEFT JOIN LATERAL (SELECT count(*) AS every, count(*) FILTER (WHERE l.root_id IS NULL) AS main FROM messaging.messages l"
	"  WHERE m.id <> c.last_message_id AND l.channel_id = $4 AND l.seq > m.seq AND l.deleted_at_ms IS NULL AND l.kind <> 3) a ON true"
	THREADS_JOIN,
};
/* $7 the root, $8 where he joined. Its newest reply counts as where the mark stands when no message is named, before there is one the root itself. */
static const struct db_stmt thread_look_stmt = {
	"messaging_mark_thread_look",
	"WITH e AS (" EPOCHS_SQL ") SELECT " EPOCHS_COLUMNS ", c.id, c.counted, c.replies_counted, c.last_message_id, t.unread, t.threads,"
	" x.id, x.reply_count, f.read_count, m.id, m.channel_id, m.root_id, m.seq,"
	" (SELECT count(*) FROM messaging.messages l WHERE m.id IS NOT NULL AND l.root_id = $7 AND l.seq > m.seq AND l.deleted_at_ms IS NULL),"
	" coalesce(r.main_read_id, r.last_read_id), coalesce(r.counted, b.place), coalesce(r.replies_counted, b.replies_place), r.counted IS NOT NULL,"
	" CASE WHEN r.last_read_id = c.last_message_id THEN 0 ELSE " MENTIONS_SINCE_SQL("$4", "coalesce(r.last_read_seq, $8)", "$3", "$6::int8[]") " END"
	" FROM e LEFT JOIN messaging.channels c ON c.id = $4 AND c.deleted_at_ms IS NULL"
	" LEFT JOIN messaging.messages x ON x.id = $7 AND x.channel_id = $4 AND x.deleted_at_ms IS NULL AND x.root_id IS NULL"
	" LEFT JOIN messaging.thread_read f ON f.user_id = $3 AND f.channel_id = $4 AND f.root_id = $7"
	" LEFT JOIN messaging.messages m ON m.id = coalesce(nullif($5, 0), (SELECT l.id FROM messaging.messages l WHERE l.root_id = $7"
	"  AND l.deleted_at_ms IS NULL ORDER BY l.seq DESC LIMIT 1), $7)"
	" LEFT JOIN messaging.read_state r ON r.user_id = $3 AND r.channel_id = $4"
	UNREAD_BASE_JOIN("$4", "$8")
	THREADS_JOIN,
};

static enum status look(struct db_conn *conn, struct rpc_call *call, const struct rights *r, const struct mark *mark,
	const struct db_stmt *stmt, struct db_rows *rows)
{
	struct db_params params;
	uint64_t *subjects;

	db_params_begin(&params, call->mem);
	guard_put(&params, r, call);
	db_put_id(&params, mark->rq->channel_id);
	db_put_id(&params, mark->rq->message_id);
	size_t subject_count = mentions_subjects(call->mem, call->header->actor_id, r, &subjects);
	db_put_ids(&params, subjects, subject_count);
	if (stmt == &thread_look_stmt) {
		db_put_id(&params, mark->rq->root_id);
		db_put_id(&params, r->joined_seq);
	}
	return db_query(conn, call->mem, stmt, &params, rows);
}

static enum status channel_wrong(const struct mark *mark, const struct rights *r, const struct db_rows *rows)
{
	if (db_is_null(rows, 0, EPOCHS_COUNT))
		return STATUS_NOT_FOUND;
	return mark->rq->open_only && r->channel_archived ? STATUS_ARCHIVED : STATUS_OK;
}

/* The columns that both have. */
static void look_channel(struct mark *mark, const struct rights *r, const struct db_rows *rows)
{
	mark->view = (pb_UnreadView){.channel_id = mark->rq->channel_id,
		.team_id = r->team_id,
		.last_message_id = db_id(rows, 0, EPOCHS_COUNT + 3),
		.thread_unread = db_id(rows, 0, EPOCHS_COUNT + 4),
		.threads_before = db_id(rows, 0, EPOCHS_COUNT + 4),
		.thread_total = db_id(rows, 0, EPOCHS_COUNT + 5),
		.recorded = true};
}

static enum status mark_look(struct db_conn *conn, struct rpc_call *call, const struct rights *r, void *arg,
	struct epochs *out_found, struct refusal *out_no)
{
	const int first = EPOCHS_COUNT + 6;
	struct mark *mark = arg;
	struct db_rows rows = {0};

	enum status st = look(conn, call, r, mark, &mark_look_stmt, &rows);
	if (st != STATUS_OK || rows.count == 0) /* no row: judged again */
		return st;
	*out_found = guard_epochs(&rows, 0);
	st = channel_wrong(mark, r, &rows);
	if (st != STATUS_OK)
		return st;
	if (mark->rq->message_id != 0 && db_is_null(&rows, 0, first)) {
		*out_no = (struct refusal){.field = "message_id", .why = "channel"};
		return STATUS_NOT_FOUND;
	}
	uint64_t counted = db_id(&rows, 0, EPOCHS_COUNT + 1), replies = db_id(&rows, 0, EPOCHS_COUNT + 2);
	look_channel(mark, r, &rows);
	mark->message_id = db_id(&rows, 0, first);
	mark->message_seq = db_id(&rows, 0, first + 1);
	if (mark->message_id != 0) {
		mark->view.main_last_read_id = db_id(&rows, 0, first + 2);
		mark->view.unread = db_id(&rows, 0, first + 3);
		mark->view.main_unread = db_id(&rows, 0, first + 4);
		mark->view.mentions = db_id(&rows, 0, first + 5);
	}
	mark->view.last_read_id = mark->message_id;
	mark->view.counted_mark = unread_of(counted, mark->view.unread);
	mark->view.replies_mark = unread_of(
		mark->view.counted_mark, unread_of(unread_of(counted, replies), mark->view.main_unread));
	if (mark->rq->clear_all)
		mark->view.thread_unread = mark->view.thread_total = 0;
	return STATUS_OK;
}

static enum status thread_wrong(const struct mark *mark, const struct db_rows *rows, struct refusal *out_no)
{
	const int first = EPOCHS_COUNT + 6;

	if (db_is_null(rows, 0, first)) {
		out_no->field = "root_id";
		return STATUS_NOT_FOUND;
	}
	if (mark->rq->message_id == 0)
		return STATUS_OK;
	out_no->field = "message_id";
	if (db_is_null(rows, 0, first + 3) || db_id(rows, 0, first + 4) != mark->rq->channel_id)
		out_no->why = "channel";
	else if (db_id(rows, 0, first + 5) != mark->rq->root_id && mark->rq->message_id != mark->rq->root_id)
		out_no->why = "thread";
	else
		out_no->field = NULL;
	return out_no->field != NULL ? STATUS_NOT_FOUND : STATUS_OK;
}

static enum status thread_look(struct db_conn *conn, struct rpc_call *call, const struct rights *r, void *arg,
	struct epochs *out_found, struct refusal *out_no)
{
	const int first = EPOCHS_COUNT + 6;
	struct mark *mark = arg;
	struct db_rows rows = {0};

	enum status st = look(conn, call, r, mark, &thread_look_stmt, &rows);
	if (st != STATUS_OK || rows.count == 0) /* no row: judged again */
		return st;
	*out_found = guard_epochs(&rows, 0);
	st = channel_wrong(mark, r, &rows);
	if (st == STATUS_OK)
		st = thread_wrong(mark, &rows, out_no);
	if (st != STATUS_OK)
		return st;
	uint64_t counted = db_id(&rows, 0, EPOCHS_COUNT + 1), mains = unread_of(counted, db_id(&rows, 0, EPOCHS_COUNT + 2));
	look_channel(mark, r, &rows);
	mark->replies = db_id(&rows, 0, first + 1);
	mark->followed = !db_is_null(&rows, 0, first + 2);
	mark->old_read = mark->followed ? db_id(&rows, 0, first + 2) : mark->replies;
	mark->message_id = db_id(&rows, 0, first + 3);
	mark->after = db_id(&rows, 0, first + 7);
	/* His mark in the channel stays where it is. */
	mark->view.recorded = db_bool(&rows, 0, first + 11) || rights_is_member(r);
	mark->view.main_last_read_id = db_id(&rows, 0, first + 8);
	mark->view.counted_mark = db_id(&rows, 0, first + 9);
	mark->view.replies_mark = db_id(&rows, 0, first + 10);
	mark->view.unread = unread_of(counted, mark->view.counted_mark);
	mark->view.main_unread = unread_of(mains, unread_of(mark->view.counted_mark, mark->view.replies_mark));
	mark->view.mentions = db_id(&rows, 0, first + 12);
	uint64_t old = unread_of(mark->replies, mark->old_read);
	mark->view.root_id = mark->rq->root_id;
	mark->view.last_read_id = mark->message_id;
	mark->view.thread_root_unread = mark->after;
	mark->view.thread_unread = unread_of(mark->view.thread_unread, old) + mark->after;
	mark->view.thread_total = unread_of(mark->view.thread_total, old > 0) + (mark->after > 0);
	return STATUS_OK;
}

/* No row comes back when the mark stands there already. */
static const struct db_stmt mark_stmt = {
	"messaging_mark",
	"INSERT INTO messaging.read_state AS r (user_id, channel_id, last_read_id, counted, last_read_seq, replies_counted, main_read_id)"
	" VALUES ($1, $2, $3, $4, $5, $6, nullif($7, $3))"
	" ON CONFLICT (user_id, channel_id) DO UPDATE SET last_read_id = EXCLUDED.last_read_id, counted = "
	"EXCLUDED.counted, last_read_seq = EXCLUDED.last_read_seq, replies_counted = EXCLUDED.replies_counted, main_read_id = EXCLUDED.main_read_id"
	" WHERE (r.last_read_id, r.counted, r.replies_counted) <> (EXCLUDED.last_read_id, EXCLUDED.counted, EXCLUDED.replies_counted)"
	"  OR r.main_read_id IS DISTINCT FROM EXCLUDED.main_read_id"
	" RETURNING r.user_id",
};
static const struct db_stmt thread_stmt = {
	"messaging_mark_thread",
	"INSERT INTO messaging.thread_read AS t (user_id, channel_id, root_id, last_read_id, read_count) VALUES ($1, $2, $3, $4, $5)"
	" ON CONFLICT (user_id, channel_id, root_id) DO UPDATE SET last_read_id = EXCLUDED.last_read_id, read_count = EXCLUDED.read_count"
	" WHERE (t.last_read_id, t.read_count) <> (EXCLUDED.last_read_id, EXCLUDED.read_count) RETURNING t.user_id",
};
static const struct db_stmt clear_stmt = {
	"messaging_mark_clear",
	"UPDATE messaging.thread_read t SET read_count = w.replies FROM (SELECT q.ctid AS place, r.reply_count AS replies"
	"  FROM messaging.thread_read q CROSS JOIN LATERAL (SELECT x.reply_count FROM messaging.messages x WHERE x.id = q.root_id OFFSET 0) r"
	"  WHERE q.user_id = $1 AND q.channel_id = $2 AND q.read_count < r.reply_count) w WHERE t.ctid = w.place RETURNING t.user_id",
};

static enum status mark_write(struct log_tx *tx, const struct mark *mark, bool *out_changed)
{
	const pb_UnreadView *view = &mark->view;
	struct db_params params;
	struct db_rows rows = {0}, cleared = {0};

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, mark->change.call->header->actor_id);
	db_put_id(&params, view->channel_id);
	if (view->root_id != 0) {
		db_put_id(&params, view->root_id);
		db_put_id(&params, mark->message_id);
		db_put_id(&params, unread_of(mark->replies, mark->after));
	} else {
		db_put_id(&params, mark->message_id);
		db_put_id(&params, view->counted_mark);
		db_put_id(&params, mark->message_seq);
		db_put_id(&params, view->replies_mark);
		db_put_id(&params, view->main_last_read_id);
	}
	enum status st = log_tx_query(tx, view->root_id != 0 ? &thread_stmt : &mark_stmt, &params, &rows);
	if (st == STATUS_OK && view->root_id == 0 && mark->rq->clear_all) {
		db_params_begin(&params, log_tx_mem(tx));
		db_put_id(&params, mark->change.call->header->actor_id);
		db_put_id(&params, view->channel_id);
		st = log_tx_query(tx, &clear_stmt, &params, &cleared);
	}
	*out_changed = rows.count > 0 || cleared.count > 0;
	return st;
}

static enum status mark_work(struct log_tx *tx, void *arg)
{
	struct mark *mark = arg;
	struct change *c = &mark->change;
	const pb_UnreadView *view = &mark->view;
	uint64_t user = c->call->header->actor_id;
	char key[AUDIENCE_SIZE];
	bool changed = false;
	pb_Event event;

	enum status st = mark_write(tx, mark, &changed);
	if (st != STATUS_OK)
		return st;
	*mark->reply = (pb_UnreadReply){.has_unread = true, .unread = *view};
	guard_store(tx, c, mark->reply);
	if (!changed)
		return STATUS_OK;
	guard_event(c, EVENT_KIND_read_state_changed, &event);
	event.body.read_state_changed = (pb_ReadStateChanged){.has_channel = true,
		.user_id = user,
		.last_read_id = view->last_read_id,
		.unread = view->unread,
		.mentions = view->mentions,
		.root_id = view->root_id,
		.main_unread = view->main_unread,
		.counted = view->counted_mark,
		.replies_counted = view->replies_mark,
		.thread_unread = view->thread_root_unread,
		.thread_count = view->thread_unread,
		.thread_total = view->thread_total,
		.clear_all = mark->rq->clear_all,
		.thread_read = view->root_id != 0 ? unread_of(mark->replies, mark->after) : 0,
		.main_last_read_id = view->main_last_read_id};
	rights_channel_ref(&c->rights, &event.body.read_state_changed.channel);
	audience_key(key, "user", user);
	return log_tx_append(tx, STREAM_USER(user), key, &event, NULL);
}

void mark_read(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;
	struct mark mark = {.rq = request, .reply = reply};
	enum status st = STATUS_FORBIDDEN;
	bool replayed = false;

	mark.change = (struct change){
		.channel_id = mark.rq->channel_id, .own_stream = true, .work = mark_work, .call = call};
	if (call->header->actor_id == 0)
		mark.change.no.why = "actor"; /* the system reads nothing */
	else                                  /* the primary: what was read may have come a moment ago */
		st = guard_read(s, call, s->db, mark.rq->channel_id, GUARD_VIEW,
			mark.rq->root_id != 0 ? thread_look : mark_look, &mark, &mark.change.no);
	if (st == STATUS_OK)
		st = guard_change(s, &mark.change, reply, &replayed);
	else if (guard_refuses(st))
		st = guard_refused(s, &mark.change, st, reply, &replayed);
	guard_answer_change(call, st, &mark.change.no, replayed);
}
