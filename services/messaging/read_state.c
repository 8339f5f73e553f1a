#include "services/messaging/read_state.h"

#include <string.h>

#include "services/messaging/mentions.h"
#include "services/messaging/visible.h"

static uint64_t unread_of(uint64_t counted, uint64_t read)
{
	return counted > read ? counted - read : 0;
}

/* ---- mark */

struct mark {
	struct change change;
	const pb_MarkReadRequest *rq;
	pb_UnreadReply *reply;
	/* -- read before the commit, from one snapshot */
	uint64_t message_id, message_seq, last_message_id;
	uint64_t mentions; /* of the actor, by others, after the message */
	uint64_t counted; /* the channel's counter when message_id was its newest */
	uint64_t unread;  /* what has come since */
};

/* What came after the message is counted here and not under the lock: it may be much. The sum is right
 * whatever is posted in between, because it says where the counter stood at the message. */
static const struct db_stmt mark_look_stmt = {
	"messaging_mark_look",
	"WITH e AS (" EPOCHS_SQL ") SELECT " EPOCHS_COLUMNS ", c.id, c.counted, c.last_message_id, m.id,"
	" CASE WHEN m.id = c.last_message_id THEN 0 ELSE (SELECT count(*) FROM messaging.messages l"
	"  WHERE l.channel_id = $4 AND l.seq > m.seq AND l.deleted_at_ms IS NULL AND l.kind <> 3) END,"
	" m.seq, CASE WHEN m.id = c.last_message_id THEN 0 ELSE " MENTIONS_SINCE_SQL("$4", "m.seq", "$3", "$6::int8[]") " END"
	" FROM e LEFT JOIN messaging.channels c ON c.id = $4 AND c.deleted_at_ms IS NULL"
	" LEFT JOIN messaging.messages m ON m.id = coalesce(nullif($5, 0), c.last_message_id) AND "
	"m.channel_id = $4",
};

static enum status mark_look(struct db_conn *conn, struct rpc_call *call, const struct rights *r, void *arg,
	struct epochs *out_found, struct refusal *out_no)
{
	struct mark *mark = arg;
	struct db_params params;
	struct db_rows rows = {0};

	db_params_begin(&params, call->mem);
	guard_put(&params, r, call);
	db_put_id(&params, mark->rq->channel_id);
	db_put_id(&params, mark->rq->message_id);
	uint64_t *subjects;
	size_t subject_count = mentions_subjects(call->mem, call->header->actor_id, r, &subjects);
	db_put_ids(&params, subjects, subject_count);
	enum status st = db_query(conn, call->mem, &mark_look_stmt, &params, &rows);
	if (st != STATUS_OK || rows.count == 0) /* no row: judged again */
		return st;
	*out_found = guard_epochs(&rows, 0);
	if (db_is_null(&rows, 0, EPOCHS_COUNT))
		return STATUS_NOT_FOUND;
	if (mark->rq->message_id != 0 && db_is_null(&rows, 0, EPOCHS_COUNT + 3)) {
		out_no->field = "message_id";
		return STATUS_NOT_FOUND;
	}
	uint64_t counted = db_id(&rows, 0, EPOCHS_COUNT + 1);
	mark->last_message_id = db_id(&rows, 0, EPOCHS_COUNT + 2);
	mark->message_id = db_id(&rows, 0, EPOCHS_COUNT + 3); /* 0: nothing was ever posted */
	mark->unread = mark->message_id == 0 ? 0 : db_id(&rows, 0, EPOCHS_COUNT + 4);
	mark->message_seq = db_id(&rows, 0, EPOCHS_COUNT + 5);
	mark->mentions = mark->message_id == 0 ? 0 : db_id(&rows, 0, EPOCHS_COUNT + 6);
	mark->counted = unread_of(counted, mark->unread);
	return STATUS_OK;
}

/* No row comes back when the mark stands there already. */
static const struct db_stmt mark_stmt = {
	"messaging_mark",
	"INSERT INTO messaging.read_state AS r (user_id, channel_id, last_read_id, counted, last_read_seq)"
	" VALUES ($1, $2, $3, $4, $5)"
	" ON CONFLICT (user_id, channel_id) DO UPDATE SET last_read_id = EXCLUDED.last_read_id, counted = "
	"EXCLUDED.counted, last_read_seq = EXCLUDED.last_read_seq"
	" WHERE (r.last_read_id, r.counted) <> (EXCLUDED.last_read_id, EXCLUDED.counted) RETURNING r.user_id",
};

static enum status mark_work(struct log_tx *tx, void *arg)
{
	struct mark *mark = arg;
	struct change *c = &mark->change;
	uint64_t user = c->call->header->actor_id;
	struct db_params params;
	struct db_rows rows = {0};
	char key[AUDIENCE_SIZE];
	pb_Event event;

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, user);
	db_put_id(&params, mark->rq->channel_id);
	db_put_id(&params, mark->message_id);
	db_put_id(&params, mark->counted);
	db_put_id(&params, mark->message_seq);
	enum status st = log_tx_query(tx, &mark_stmt, &params, &rows);
	if (st != STATUS_OK)
		return st;
	*mark->reply = (pb_UnreadReply){.has_unread = true,
		.unread = {.channel_id = mark->rq->channel_id,
			.team_id = c->rights.team_id,
			.unread = mark->unread,
			.mentions = mark->mentions,
			.last_read_id = mark->message_id,
			.last_message_id = mark->last_message_id}};
	guard_store(tx, c, mark->reply);
	if (rows.count == 0)
		return STATUS_OK;
	guard_event(c, EVENT_KIND_read_state_changed, &event);
	event.body.read_state_changed = (pb_ReadStateChanged){.has_channel = true,
		.user_id = user,
		.last_read_id = mark->message_id,
		.unread = mark->unread,
		.mentions = mark->mentions};
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
		st = guard_read(
			s, call, s->db, mark.rq->channel_id, GUARD_VIEW, mark_look, &mark, &mark.change.no);
	if (st == STATUS_OK)
		st = guard_change(s, &mark.change, reply, &replayed);
	else if (guard_refuses(st))
		st = guard_refused(s, &mark.change, st, reply, &replayed);
	guard_answer_change(call, st, &mark.change.no, replayed);
}

/* ---- list */

/*
 * One row a channel, from one statement. Who has no mark in a channel has read what was there when he joined: `place` of the
 * last message until then is where the counter stood.
 */
static const struct db_stmt unread_stmt = {
	"messaging_unread",
	"SELECT " VISIBLE_EPOCHS_COLUMNS ", c.id, c.team_id, c.counted, c.last_message_id,"
	" coalesce(r.counted, b.place), r.last_read_id, CASE WHEN r.last_read_id = c.last_message_id THEN 0 ELSE"
	" " MENTIONS_SINCE_SQL("c.id", "coalesce(r.last_read_seq, v.joined_seq)", "$1", "v.subjects::int8[]") " END"
	" FROM unnest($2::int8[], $3::int8[], $4::text[]) AS v(channel_id, joined_seq, subjects)"
	" CROSS JOIN LATERAL (SELECT * FROM messaging.channels c WHERE c.id = v.channel_id OFFSET 0) c"
	" " VISIBLE_EPOCHS_JOINS
	" LEFT JOIN LATERAL (SELECT r.counted, r.last_read_id, r.last_read_seq FROM messaging.read_state r"
	"  WHERE r.user_id = $1 AND r.channel_id = v.channel_id OFFSET 0) r ON true"
	" LEFT JOIN LATERAL (SELECT m.place FROM messaging.messages m WHERE r.counted IS NULL AND m.channel_id = v.channel_id"
	"  AND m.seq <= v.joined_seq AND m.place IS NOT NULL ORDER BY m.seq DESC LIMIT 1) b ON true"
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

static enum status unread_read(
	struct db_conn *conn, struct rpc_call *call, struct visible *v, void *arg, struct refusal *out_no)
{
	pb_ListUnreadReply *reply = arg;
	struct db_params params;
	struct db_rows rows = {0};
	const int first = VISIBLE_EPOCHS_COUNT;

	db_params_begin(&params, call->mem);
	visible_put(&params, v, call);
	unread_put(&params, v, call->mem, call->header->actor_id);
	enum status st = db_query(conn, call->mem, &unread_stmt, &params, &rows);
	if (st != STATUS_OK)
		return st;
	*reply = (pb_ListUnreadReply){.unread = ARENA_ARRAY(call->mem, (size_t)rows.count, pb_UnreadView)};
	for (int i = 0; i < rows.count; i++) {
		pb_UnreadView *view = &reply->unread[reply->unread_count++];
		*view = (pb_UnreadView){
			.channel_id = db_id(&rows, i, first),
			.team_id = db_id(&rows, i, first + 1),
			.unread = unread_of(db_id(&rows, i, first + 2), db_id(&rows, i, first + 4)),
			.last_message_id = db_id(&rows, i, first + 3),
			.last_read_id = db_id(&rows, i, first + 5),
			.mentions = db_id(&rows, i, first + 6),
		};
		st = visible_compare(v, call, &rows, i, view->channel_id, out_no);
		if (st != STATUS_OK)
			return st;
	}
	return STATUS_OK;
}

void list_unread(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;
	struct refusal no = {0};

	enum status st = visible_read(s, call, s->reads, VISIBLE_EVERYTHING, unread_read, reply, &no);
	guard_answer(call, st, &no);
}
