#include "services/messaging/beside.h"
#include "services/messaging/messages.h"
#include "services/messaging/reactions.h"
#include "services/messaging/touch.h"

static const struct db_stmt blank_stmt = {
	"messaging_message_blank",
	"WITH gone AS (DELETE FROM messaging.message_edits WHERE message_id = $1),"
	" mentioned AS (DELETE FROM messaging.mentions WHERE message_id = $1 RETURNING subject_id, notice_seq),"
	" files AS (UPDATE messaging.attachments SET deleted_at_ms = $2 WHERE message_id = $1),"
	" blank AS (UPDATE messaging.messages SET content = '', mentions = NULL, attachments = NULL, line = NULL, event_seqs = '{}', deleted_at_ms = $2,"
	"  deleted_by = $3 WHERE id = $1)"
	" SELECT subject_id, notice_seq FROM mentioned WHERE notice_seq IS NOT NULL",
};
/* The top of its chain and, where that is another, what it answered. Nobody has read more replies than there are. */
static const struct db_stmt uncount_replied_stmt = {
	"messaging_message_uncount",
	"WITH r AS (UPDATE messaging.messages SET reply_count = greatest(reply_count - 1, 0) WHERE id IN ($1, $2)"
	"  RETURNING id, reply_count)"
	" UPDATE messaging.thread_read t SET read_count = r.reply_count FROM r"
	" WHERE r.id = $1 AND t.root_id = $1 AND t.read_count > r.reply_count",
};
/* Its own statement, after blank_stmt: it must not see the message any more. System messages were never counted. `place`
 * of the newest messages, with and without the deleted ones, follows the counter. */
static const struct db_stmt uncount_stmt = {
	"messaging_channel_uncount",
	"WITH c AS (UPDATE messaging.channels c SET message_count = greatest(c.message_count - $2, 0), counted = "
	"greatest(c.counted - $2, 0), replies_counted = greatest(c.replies_counted - $4, 0),"
	" last_message_id = CASE WHEN c.last_message_id = $3 THEN (SELECT m.id FROM messaging.messages m"
	"  WHERE m.channel_id = $1 AND m.deleted_at_ms IS NULL AND m.kind <> 3 ORDER BY m.seq DESC LIMIT 1) ELSE "
	"c.last_message_id END"
	" WHERE c.id = $1 RETURNING c.last_message_id, c.counted, c.replies_counted),"
	" places AS (UPDATE messaging.messages m SET place = c.counted, replies_place = c.replies_counted FROM c WHERE m.place IS NOT NULL"
	"  AND m.id = ANY (ARRAY[c.last_message_id, (SELECT n.id FROM messaging.messages n WHERE n.channel_id = $1"
	"   AND n.place IS NOT NULL ORDER BY n.seq DESC LIMIT 1)]))"
	" SELECT last_message_id, counted, replies_counted FROM c",
};
static const struct db_stmt root_stmt = {
	"messaging_message_root",
	"SELECT "
	/* clang-format off */
	BESIDE_COLUMNS("NULL::int8", "m.reply_count", "NULL::int8[]", "NULL::int8[]", "NULL::int2[]")
	/* clang-format on */
	" FROM (SELECT $1::int8 AS root_id) q" BESIDE_JOINS("true", "q.root_id"),
};

static enum status deletion_uncount_replied(struct log_tx *tx, struct touch *t, struct beside *out)
{
	struct db_params params;
	struct db_rows rows = {0};

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, t->message.root_id);
	db_put_id(&params, t->message.parent_id);
	enum status st = log_tx_query(tx, &uncount_replied_stmt, &params, NULL);
	if (st != STATUS_OK)
		return st;
	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, t->message.root_id);
	st = log_tx_query(tx, &root_stmt, &params, &rows);
	if (st == STATUS_OK && rows.count > 0)
		beside_from_row(log_tx_mem(tx), &rows, 0, 0, (struct beside_reply){0}, out);
	return st;
}

static enum status deletion_rows(struct log_tx *tx, struct touch *t, uint64_t *out_last, struct beside *out_beside)
{
	struct db_params params;
	struct db_rows rows = {0};
	bool counted = t->message.kind != MESSAGE_SYSTEM;

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, t->message_id);
	db_put_i64(&params, log_tx_now_ms(tx));
	db_put_id_or_null(&params, t->change.call->header->actor_id);
	enum status st = log_tx_query(tx, &blank_stmt, &params, &rows);
	uint64_t *told = ARENA_ARRAY(log_tx_mem(tx), (size_t)rows.count, uint64_t);
	uint64_t *notices = ARENA_ARRAY(log_tx_mem(tx), (size_t)rows.count, uint64_t);
	for (int i = 0; i < rows.count; i++) {
		told[i] = db_id(&rows, i, 0);
		notices[i] = db_id(&rows, i, 1);
	}
	if (st == STATUS_OK) /* who was told of it keeps a number without its words */
		st = log_tx_tombstone_users(tx, told, notices, (size_t)rows.count);
	if (st == STATUS_OK && t->message.root_id != 0)
		st = deletion_uncount_replied(tx, t, out_beside);
	if (st != STATUS_OK)
		return st;
	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, t->channel_id);
	db_put_i64(&params, counted);
	db_put_id(&params, t->message_id);
	db_put_i64(&params, counted && t->message.root_id != 0);
	st = log_tx_query(tx, &uncount_stmt, &params, &rows);
	if (st != STATUS_OK || rows.count == 0)
		return st;
	*out_last = db_id(&rows, 0, 0);
	out_beside->counted = db_id(&rows, 0, 1);
	out_beside->replies_counted = db_id(&rows, 0, 2);
	return STATUS_OK;
}

static enum status deletion_work(struct log_tx *tx, void *arg)
{
	struct touch *t = arg;
	struct change *c = &t->change;
	struct beside beside = {0};
	const uint8_t *bytes;
	size_t length;
	uint64_t last_id = 0;
	pb_Event event;

	enum status st = touch_load(tx, t);
	if (st != STATUS_OK)
		return st;
	st = deletion_rows(tx, t, &last_id, &beside);
	if (st == STATUS_OK)
		st = reactions_drop(tx, t->channel_id, t->message_id);
	if (st != STATUS_OK)
		return st;
	/* Jobs that were behind still learn who did what to which message: the audit log of moderation. */
	st = log_tx_tombstone(tx, c->rights.stream, t->seqs, t->seq_count,
		&(pb_Remains){.id = t->message_id,
			.channel_id = t->channel_id,
			.author_id = t->message.has_author ? t->message.author.id : 0});
	if (st != STATUS_OK)
		return st;
	t->message.content = NULL;
	t->message.reactions_count = 0;
	t->message.bookmarked = false;
	t->message.bookmarked_by_count = 0;
	t->message.has_mentions = false;
	t->message.has_line = false;
	t->message.attachments_count = 0;
	t->message.deleted_at_ms = (uint64_t)log_tx_now_ms(tx);
	guard_event(c, EVENT_KIND_message_deleted, &event);
	event.body.message_deleted = (pb_MessageDeleted){
		.has_channel = true, .has_message = true, .message = t->message, .new_last_id = last_id};
	rights_channel_ref(&c->rights, &event.body.message_deleted.channel);
	st = log_tx_append(tx, c->rights.stream, c->rights.audience, &event, NULL);
	if (st == STATUS_OK)
		st = beside_deletion(log_tx_mem(tx), &beside, &bytes, &length);
	if (st == STATUS_OK)
		log_tx_beside(tx, bytes, length);
	return st;
}

void delete_message(void *service, struct rpc_call *call, const void *request, void *reply)
{
	pb_MessageRequest *rq = (pb_MessageRequest *)request;
	if (!message_settle(service, call, rq->message_id, &rq->channel_id))
		return;
	struct touch t = {.channel_id = rq->channel_id,
		.message_id = rq->message_id,
		.own = PERMISSION_delete_own_messages,
		.any = PERMISSION_delete_any_message};
	bool replayed = false;

	t.change = (struct change){
		.channel_id = rq->channel_id, .allowed = touch_allowed, .work = deletion_work, .call = call};
	enum status st = guard_change(service, &t.change, reply, &replayed);
	guard_answer_change(call, st, &t.change.no, replayed);
}
