#include "services/messaging/messages.h"

#include <string.h>

#include "services/messaging/guard.h"
#include "services/messaging/mentions.h"
#include "services/messaging/notices.h"
#include "services/messaging/people.h"
#include "services/messaging/touch.h"
#include "services/messaging/views.h"

/* ---- where it is */

static const struct db_stmt home_stmt = {
	"messaging_message_home",
	"SELECT channel_id FROM messaging.messages WHERE id = $1",
};

enum status message_home(struct service *s, struct rpc_call *call, uint64_t id, uint64_t *out_channel)
{
	struct db_conn *conn = NULL;
	struct db_params params;
	struct db_rows rows = {0};

	enum status st = db_acquire(s->db, call->deadline_mono_ms, &conn);
	if (st != STATUS_OK)
		return st;
	db_params_begin(&params, call->mem);
	db_put_id(&params, id);
	st = db_query(conn, call->mem, &home_stmt, &params, &rows);
	db_release(conn);
	if (st == STATUS_OK && rows.count == 0)
		return STATUS_NOT_FOUND;
	if (st == STATUS_OK)
		*out_channel = db_id(&rows, 0, 0);
	return st;
}

bool message_settle(struct service *s, struct rpc_call *call, uint64_t id, uint64_t *channel_id)
{
	enum status st = *channel_id == 0 && id != 0 ? message_home(s, call, id, channel_id) : STATUS_OK;

	if (st != STATUS_OK)
		rpc_fail(call, st, NULL, NULL, NULL);
	return st == STATUS_OK;
}

/* ---- edit */

static const struct db_stmt edit_keep_stmt = {
	"messaging_message_keep",
	"INSERT INTO messaging.message_edits (message_id, no, content, edited_at_ms, edited_by, mentions)"
	" SELECT m.id, 1 + (SELECT count(*) FROM messaging.message_edits e WHERE e.message_id = m.id), "
	"m.content,"
	" coalesce(m.edited_at_ms, m.created_at_ms), coalesce(m.edited_by, m.author_id, 0), m.mentions"
	" FROM messaging.messages m WHERE m.id = $1",
};
static const struct db_stmt edit_stmt = {
	"messaging_message_edit",
	"UPDATE messaging.messages SET content = $2, edited_at_ms = $3, edited_by = $4, event_seqs = "
	"event_seqs || $5, mentions = $6 WHERE id = $1",
};

/* What the new content mentions. */
static enum status edit_mentions(struct log_tx *tx, struct touch *t, const struct mention_names *names)
{
	struct change *c = &t->change;
	pb_MentionsView before = t->message.mentions;
	bool mentioned = t->message.has_mentions, missing = false;

	t->message.has_mentions = false;
	t->message.mentions = (pb_MentionsView){0};
	if (names != NULL)
		t->message.has_mentions = mentions_settle(c->call->mem, names, &t->answer, &c->rights,
			mentioned ? &before : NULL, &t->message.mentions, &missing);
	if (missing && c->rights.cached)
		return STATUS_FORBIDDEN; /* not so: it makes the judgement anew */
	if (!mentioned && !t->message.has_mentions)
		return STATUS_OK;
	return mentions_rewrite(
		tx, &t->message, t->message.has_mentions ? &t->message.mentions : NULL, &t->tells);
}

static enum status edit_work(struct log_tx *tx, void *arg)
{
	struct touch *t = arg;
	struct change *c = &t->change;
	struct db_params params;
	pb_Event event;
	const uint8_t *mentions;
	size_t mentions_length;
	uint64_t seq = 0;

	enum status st = touch_load(tx, t);
	if (st != STATUS_OK)
		return st;
	if (t->message.kind == MESSAGE_SYSTEM) /* its text is made of a template */
		return guard_refuse(tx, STATUS_FORBIDDEN, "kind", NULL);
	bool same = strcmp(t->message.content, t->content) == 0;
	if (!same) {
		t->message.content = (char *)t->content;
		t->message.edited_at_ms = (uint64_t)log_tx_now_ms(tx);
		st = edit_mentions(tx, t, t->names);
	}
	if (st == STATUS_OK)
		st = mentions_encode(log_tx_mem(tx), t->message.has_mentions ? &t->message.mentions : NULL, &mentions,
			&mentions_length);
	if (st != STATUS_OK)
		return st;
	*t->reply = (pb_MessageReply){.has_message = true, .message = t->message, .has_channel = true};
	t->reply->message.bookmarked_by_count = 0; /* for events alone */
	rights_channel_ref(&c->rights, &t->reply->channel);
	log_tx_object(tx, t->message_id); /* no reply is stored: it would outlive the content by a day */
	if (same)
		return STATUS_OK;
	if (t->edits >= MESSAGE_EDITS_MAX)
		return guard_refuse(tx, STATUS_AT_LIMIT, "edits", NULL);
	guard_event(c, EVENT_KIND_message_updated, &event);
	event.body.message_updated = (pb_MessageUpdated){.has_channel = true,
		.channel = t->reply->channel,
		.has_message = true,
		.message = message_for_all(log_tx_mem(tx), &t->message)};
	st = log_tx_append(tx, c->rights.stream, c->rights.audience, &event, &seq);
	if (st != STATUS_OK)
		return st;
	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, t->message_id);
	st = log_tx_query(tx, &edit_keep_stmt, &params, NULL);
	if (st != STATUS_OK)
		return st;
	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, t->message_id);
	db_put_text(&params, t->content);
	db_put_id(&params, t->message.edited_at_ms);
	db_put_id_or_null(&params, c->call->header->actor_id);
	db_put_id(&params, seq);
	db_put_bytea(&params, mentions, mentions_length);
	return log_tx_query(tx, &edit_stmt, &params, NULL);
}

/* ---- read */

struct reading {
	const pb_MessageRequest *rq;
	void *reply;
};

static const struct db_stmt get_stmt = {
	"messaging_message_get",
	"WITH e AS (" EPOCHS_SQL ") SELECT " EPOCHS_COLUMNS ", " MESSAGE_COLUMNS ", " MESSAGE_MARKS("$3")
	" FROM e LEFT JOIN messaging.messages m ON m.id = $5 AND m.channel_id = $4 AND m.deleted_at_ms IS "
	"NULL"
	" LEFT JOIN messaging.people p ON p.id = m.author_id",
};
static const struct db_stmt edits_stmt = {
	"messaging_message_edits",
	"WITH e AS (" EPOCHS_SQL ") SELECT " EPOCHS_COLUMNS
	", m.id, m.author_id, v.no, v.content, v.edited_at_ms, v.edited_by, v.mentions"
	" FROM e LEFT JOIN messaging.messages m ON m.id = $5 AND m.channel_id = $4 AND m.deleted_at_ms IS "
	"NULL"
	" LEFT JOIN messaging.message_edits v ON v.message_id = m.id AND v.no <= $6 ORDER BY v.no",
};

/* Runs one of the two. No row at all: this server does not know the stream yet; the epochs then do not fit
 * and it is judged again. */
static enum status reading_run(struct db_conn *conn, struct rpc_call *call, const struct rights *r,
	const struct reading *g, const struct db_stmt *stmt, struct db_rows *rows, struct epochs *out_found)
{
	struct db_params params;

	db_params_begin(&params, call->mem);
	guard_put(&params, r, call);
	db_put_id(&params, g->rq->channel_id);
	db_put_id(&params, g->rq->message_id);
	if (stmt == &edits_stmt)
		db_put_i32(&params, MESSAGE_EDITS_MAX);
	enum status st = db_query(conn, call->mem, stmt, &params, rows);
	if (st != STATUS_OK || rows->count == 0)
		return st;
	*out_found = guard_epochs(rows, 0);
	return db_is_null(rows, 0, EPOCHS_COUNT) ? STATUS_NOT_FOUND : STATUS_OK;
}

static enum status get_read(struct db_conn *conn, struct rpc_call *call, const struct rights *r, void *arg,
	struct epochs *out_found, struct refusal *out_no)
{
	struct reading *g = arg;
	pb_MessageReply *reply = g->reply;
	struct db_rows rows = {0};

	enum status st = reading_run(conn, call, r, g, &get_stmt, &rows, out_found);
	if (st != STATUS_OK || rows.count == 0)
		return st;
	*reply = (pb_MessageReply){.has_message = true, .has_channel = true};
	message_from_row(call->mem, &rows, 0, EPOCHS_COUNT, &reply->message);
	message_marks_from_row(call->mem, &rows, 0, EPOCHS_COUNT + MESSAGE_COLUMN_COUNT, &reply->message);
	rights_channel_ref(r, &reply->channel);
	return STATUS_OK;
}

void get_message(void *service, struct rpc_call *call, const void *request, void *reply)
{
	pb_MessageRequest *rq = (pb_MessageRequest *)request;
	struct service *s = service;
	struct reading g = {rq, reply};
	struct refusal no;

	if (!message_settle(s, call, rq->message_id, &rq->channel_id))
		return;
	enum status st =
		guard_read(s, call, s->reads, rq->channel_id, PERMISSION_read_history, get_read, &g, &no);
	guard_answer(call, st, &no);
}

static const struct db_stmt written_stmt = {
	"messaging_message_written",
	"SELECT " MESSAGE_COLUMNS ", " MESSAGE_MARKS("$2")
	" FROM messaging.messages m LEFT JOIN messaging.people p ON p.id = m.author_id"
	" WHERE m.id = $1",
};

enum status message_written(
	struct service *s, struct rpc_call *call, uint64_t id, const char *first, pb_MessageView *out)
{
	struct db_params params;
	struct db_rows rows = {0};

	db_params_begin(&params, call->mem);
	db_put_id(&params, id);
	db_put_id(&params, call->header->actor_id);
	enum status st = db_query_alone(s->db, call->mem, &written_stmt, &params, call->deadline_mono_ms, &rows);
	if (st == STATUS_OK && rows.count == 0)
		return STATUS_NOT_FOUND;
	if (st != STATUS_OK)
		return st;
	message_from_row(call->mem, &rows, 0, 0, out);
	if (first == NULL) /* what others put on it is for those who see it */
		message_marks_from_row(call->mem, &rows, 0, MESSAGE_COLUMN_COUNT, out);
	if (first != NULL && out->deleted_at_ms == 0 && strcmp(out->content, first) != 0) {
		out->content = (char *)first;
		out->has_mentions = false; /* they were another text's */
		out->mentions = (pb_MentionsView){0};
	}
	return STATUS_OK;
}

/* A repeated edit: the message as it is now, or who may not see that any more gets what he wrote. */
static enum status edit_again(struct service *s, struct rpc_call *call, const pb_UpdateMessageRequest *rq,
	pb_MessageReply *reply, struct refusal *out_no)
{
	pb_MessageRequest message = {.channel_id = rq->channel_id, .message_id = rq->message_id};
	struct reading g = {&message, reply};

	enum status st = guard_read(s, call, s->db, rq->channel_id, GUARD_VIEW, get_read, &g, out_no);
	if (!guard_refuses(st))
		return st;
	*reply = (pb_MessageReply){.has_message = true};
	st = message_written(s, call, rq->message_id, rq->content, &reply->message);
	if (st == STATUS_OK && reply->message.deleted_at_ms != 0)
		st = STATUS_NOT_FOUND;
	*out_no = (struct refusal){0};
	return st;
}

void update_message(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;
	pb_UpdateMessageRequest *rq = (pb_UpdateMessageRequest *)request;
	if (!message_settle(s, call, rq->message_id, &rq->channel_id))
		return;
	struct touch t = {.channel_id = rq->channel_id,
		.message_id = rq->message_id,
		.content = rq->content,
		.reply = reply,
		.own = PERMISSION_edit_own_messages,
		.any = PERMISSION_edit_any_message};
	enum status st = STATUS_OK;
	bool replayed = false;

	t.change = (struct change){
		.channel_id = rq->channel_id, .allowed = touch_allowed, .work = edit_work, .call = call};
	if (!text_fits(rq->content, 1, MESSAGE_CONTENT_MAX)) {
		t.change.no.field = "content";
		st = STATUS_FIELD_INVALID;
	}
	if (st == STATUS_OK && call->header->has_actor)
		st = people_see(s, call->mem, &call->header->actor, call->deadline_mono_ms);
	if (st == STATUS_OK)
		t.names = mentions_find(call->mem, rq->content);
	if (st == STATUS_OK && t.names != NULL)
		st = mentions_judge(s, call, rq->channel_id, t.names, &t.answer);
	if (st == STATUS_STALE) /* moderation's word for an ended session */
		t.change.no.why = "session";
	if (st == STATUS_OK)
		st = guard_change(s, &t.change, reply, &replayed);
	if (st == STATUS_OK && replayed)
		st = edit_again(s, call, rq, reply, &t.change.no);
	else if (st == STATUS_OK && t.tells)
		notices_tell(s->notices, rq->message_id, call->header->trace_id);
	guard_answer_change(call, st, &t.change.no, replayed);
}

static enum status edits_read(struct db_conn *conn, struct rpc_call *call, const struct rights *r, void *arg,
	struct epochs *out_found, struct refusal *out_no)
{
	struct reading *g = arg;
	pb_ListEditsReply *reply = g->reply;
	struct db_rows rows = {0};

	enum status st = reading_run(conn, call, r, g, &edits_stmt, &rows, out_found);
	if (st != STATUS_OK || rows.count == 0)
		return st;
	/* What somebody wrote and took back is his, and theirs who answer for what stands there. */
	bool his = !db_is_null(&rows, 0, EPOCHS_COUNT + 1) &&
		   db_id(&rows, 0, EPOCHS_COUNT + 1) == call->header->actor_id;
	if (!his && !bits_has(r->bits, PERMISSION_delete_any_message)) {
		st = rights_need(r, PERMISSION_edit_any_message, &out_no->why);
		if (st != STATUS_OK)
			return st;
	}
	*reply = (pb_ListEditsReply){.edits = ARENA_ARRAY(call->mem, (size_t)rows.count, pb_EditView)};
	for (int i = 0; i < rows.count && !db_is_null(&rows, i, EPOCHS_COUNT + 2); i++) {
		pb_EditView *edit = &reply->edits[reply->edits_count++];
		*edit = (pb_EditView){
			.content = arena_strdup(call->mem, db_text(&rows, i, EPOCHS_COUNT + 3)),
			.edited_at_ms = db_id(&rows, i, EPOCHS_COUNT + 4),
			.edited_by = db_id(&rows, i, EPOCHS_COUNT + 5),
		};
		edit->has_mentions =
			mentions_from_row(call->mem, &rows, i, EPOCHS_COUNT + 6, &edit->mentions);
	}
	return STATUS_OK;
}

void list_edits(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;
	struct reading g = {request, reply};
	struct refusal no;

	enum status st =
		guard_read(s, call, s->reads, g.rq->channel_id, PERMISSION_read_history, edits_read, &g, &no);
	guard_answer(call, st, &no);
}
