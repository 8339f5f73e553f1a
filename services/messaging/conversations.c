#include "services/messaging/conversations.h"

#include <string.h>

#include "common/base/clock.h"
#include "services/messaging/conversation_copies.h"
#include "services/messaging/guard.h"
#include "services/messaging/lists.h"
#include "services/messaging/views.h"
#include "services/messaging/visible.h"

/* Of all pictures in one event: with names for fifty it stays far below what an event may be. */
#define PICTURES_BYTES_MOST 8192

/* ---- people */

enum status conversations_fill(struct service *s, struct rpc_call *call, pb_ChannelView *views, size_t count)
{
	struct rpc_context context = rights_context(call);
	pb_ConversationMembersRequest request = {.channel_ids = ARENA_ARRAY(call->mem, count, uint64_t)};
	pb_ConversationMembersReply reply = {0};
	struct rpc_outcome outcome;

	for (size_t i = 0; i < count; i++)
		if (views[i].team_id == 0 && views[i].id != 0)
			request.channel_ids[request.channel_ids_count++] = views[i].id;
	if (request.channel_ids_count == 0)
		return STATUS_OK;
	enum status st =
		moderation_list_conversations(s->moderation, call->mem, &context, &request, &reply, &outcome);
	for (size_t i = 0; i < count && st == STATUS_OK; i++) {
		for (pb_size_t k = 0; k < reply.conversations_count; k++) {
			if (reply.conversations[k].channel_id != views[i].id)
				continue;
			views[i].users = reply.conversations[k].users;
			views[i].users_count = reply.conversations[k].users_count;
		}
	}
	return st;
}

/* ---- open */

struct opening {
	struct change change; /* first */
	struct service *service;
	const pb_OpenConversationRequest *rq;
	pb_OpenConversationReply *reply;
	pb_ClaimConversationReply claimed;
	bool there; /* it has a channel already */
};

static enum status claim(struct opening *o)
{
	struct rpc_call *call = o->change.call;
	struct rpc_context context = rights_context(call);
	pb_ClaimConversationRequest request = {
		.users = o->rq->users, .users_count = o->rq->users_count};
	struct rpc_outcome outcome = {0};

	o->claimed = (pb_ClaimConversationReply){0};
	enum status st = moderation_claim_conversation(
		o->service->moderation, call->mem, &context, &request, &o->claimed, &outcome);
	o->change.no = (struct refusal){.why = arena_strdup(call->mem, outcome.why),
		.field = arena_strdup(call->mem, outcome.field),
		.detail = arena_strdup(call->mem, outcome.detail)};
	return st;
}

static const struct db_stmt row_stmt = {
	"messaging_conversation_row",
	"SELECT " CHANNEL_COLUMNS " FROM messaging.channels c WHERE c.id = $1",
};
static const struct db_stmt insert_stmt = {
	"messaging_conversation_insert",
	"INSERT INTO messaging.channels AS c (id, rank, stream_id, kind, name, created_at_ms, created_by)"
	" VALUES ($1, 1, $1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING RETURNING " CHANNEL_COLUMNS,
};

/* Before the commit: which streams it needs. */
static enum status look(struct opening *o)
{
	struct rpc_call *call = o->change.call;
	struct db_conn *conn = NULL;
	struct db_params p;
	struct db_rows rows = {0};

	enum status st = db_acquire(o->service->db, call->deadline_mono_ms, &conn);
	if (st != STATUS_OK)
		return st;
	db_params_begin(&p, call->mem);
	db_put_id(&p, o->claimed.channel_id);
	st = db_query(conn, call->mem, &row_stmt, &p, &rows);
	db_release(conn);
	o->there = rows.count > 0;
	return st;
}

/* The people as the event shows them; without pictures where they would be too much. */
static void event_people(struct opening *o, pb_ConversationCreated *out)
{
	const pb_ClaimConversationReply *claimed = &o->claimed;
	size_t bytes = 0;

	out->users = ARENA_ARRAY(o->change.call->mem, claimed->users_count, pb_UserView);
	for (pb_size_t i = 0; i < claimed->users_count; i++)
		bytes += claimed->users[i].avatar != NULL ? strlen(claimed->users[i].avatar) : 0;
	for (pb_size_t i = 0; i < claimed->users_count; i++) {
		pb_UserView *user = &out->users[out->users_count++];
		*user = author_view(&claimed->users[i]);
		if (bytes > PICTURES_BYTES_MOST)
			user->avatar = NULL;
	}
}

static enum status tell(struct log_tx *tx, struct opening *o)
{
	const pb_ClaimConversationReply *claimed = &o->claimed;
	uint64_t id = claimed->channel_id, later[CONVERSATION_PEOPLE_MOST];
	size_t later_count = 0;
	char key[AUDIENCE_SIZE];
	pb_Event event;

	guard_event(&o->change, EVENT_KIND_conversation_created, &event);
	event.event_id = id; /* there is one event with this id: its beginning */
	event.body.conversation_created =
		(pb_ConversationCreated){.has_channel = true, .channel = o->reply->channel};
	event_people(o, &event.body.conversation_created);
	audience_key(key, "conversation", id);
	enum status st = log_tx_append(tx, (struct stream){RANK_TEAM, id}, key, &event, NULL);
	for (pb_size_t i = 0; i < claimed->users_count && st == STATUS_OK; i++) {
		uint64_t user = claimed->users[i].id;
		if (i >= COPIES_A_COMMIT) {
			later[later_count++] = user;
			continue;
		}
		audience_key(key, "user", user);
		st = log_tx_append(tx, STREAM_USER(user), key, &event, NULL);
	}
	return st == STATUS_OK && later_count > 0 ? copies_later(tx, id, later, later_count, &event) : st;
}

/* STALE: deleted since it was claimed; the next claim makes another. */
static enum status found(struct opening *o, const struct db_rows *rows)
{
	o->reply->has_channel = true;
	channel_from_row(o->change.call->mem, rows, 0, 0, &o->reply->channel);
	return o->reply->channel.deleted_at_ms != 0 ? STATUS_STALE : STATUS_OK;
}

static enum status open_work(struct log_tx *tx, void *arg)
{
	struct opening *o = arg;
	struct db_params p;
	struct db_rows rows = {0};
	enum status st = STATUS_OK;

	*o->reply = (pb_OpenConversationReply){0};
	if (!o->there) {
		db_params_begin(&p, log_tx_mem(tx));
		db_put_id(&p, o->claimed.channel_id);
		db_put_i16(&p, (int16_t)o->claimed.kind);
		db_put_text(&p, o->claimed.kind == CHANNEL_GROUP && o->rq->name != NULL ? o->rq->name : "");
		db_put_i64(&p, log_tx_now_ms(tx));
		db_put_id(&p, o->claimed.created_by);
		st = log_tx_query(tx, &insert_stmt, &p, &rows);
		o->reply->created = st == STATUS_OK && rows.count > 0;
		if (o->reply->created)
			st = found(o, &rows);
		if (o->reply->created && st == STATUS_OK)
			st = tell(tx, o);
	}
	if (st == STATUS_OK && !o->reply->created) {
		db_params_begin(&p, log_tx_mem(tx));
		db_put_id(&p, o->claimed.channel_id);
		st = log_tx_query(tx, &row_stmt, &p, &rows);
		if (st == STATUS_OK)
			st = rows.count > 0 ? found(o, &rows) : STATUS_STALE;
	}
	if (st != STATUS_OK)
		return st;
	o->reply->channel.users = o->claimed.users;
	o->reply->channel.users_count = o->claimed.users_count;
	guard_store(tx, &o->change, o->reply);
	return STATUS_OK;
}

static enum status open_commit(struct opening *o, struct commit_result *result)
{
	struct rpc_call *call = o->change.call;
	struct stream home = {RANK_TEAM, o->claimed.channel_id};
	struct commit_op op = {0};

	commit_op_from_call(&op, call);
	if (o->there) {
		op.streams[op.stream_count++] = STREAM_USER(call->header->actor_id);
	} else {
		op.streams[op.stream_count++] = home;
		for (pb_size_t i = 0; i < o->claimed.users_count && i < COPIES_A_COMMIT; i++)
			op.streams[op.stream_count++] = STREAM_USER(o->claimed.users[i].id);
	}
	op.checks[op.check_count++] = (struct commit_check){.stream = home,
		.stream_epoch = o->claimed.stream_epoch,
		.check_stream = true,
		.user_id = call->header->actor_id,
		.member_epoch = o->claimed.member_epoch,
		.generation = o->claimed.generation};
	op.keeps_rights = true; /* nobody was judged in a channel that was not there */
	op.work = open_work;
	op.arg = o;
	return committer_run(o->service->committer, call->mem, &op, result);
}

static enum status open_once(struct opening *o, struct commit_result *result)
{
	enum status st = claim(o);

	if (st != STATUS_OK)
		return st;
	if (o->claimed.users_count == 0 || o->claimed.users_count > CONVERSATION_PEOPLE_MOST)
		return STATUS_INTERNAL;
	st = look(o);
	if (st != STATUS_OK)
		return st;
	st = open_commit(o, result);
	o->change.no = (struct refusal){.why = result->why, .field = result->field, .detail = result->detail};
	return st;
}

static const char *open_wrong_field(const pb_OpenConversationRequest *rq)
{
	if (rq->users_count == 0 || rq->users_count > CONVERSATION_PEOPLE_MOST)
		return "user_ids";
	if (rq->name != NULL && (rq->users_count == 1 || !text_fits(rq->name, 0, CHANNEL_NAME_MAX)))
		return "name"; /* two people need none */
	return NULL;
}

void open_conversation(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct opening o = {.service = service, .rq = request, .reply = reply, .change = {.call = call}};
	struct commit_result result = {0};
	bool replayed = false;
	enum status st = STATUS_STALE;

	o.change.no.field = open_wrong_field(o.rq);
	if (o.change.no.field != NULL)
		st = STATUS_FIELD_INVALID;
	for (int tries = 0; tries <= JUDGE_TRIES && st == STATUS_STALE; tries++) {
		st = open_once(&o, &result);
		if (st == STATUS_STALE && o.change.no.why != NULL && strcmp(o.change.no.why, "session") == 0)
			break;
	}
	if (st == STATUS_STALE && o.change.no.why == NULL)
		st = STATUS_BUSY;
	if (st == STATUS_OK && result.replayed) {
		replayed = true;
		st = result.reply == NULL
			     ? STATUS_INTERNAL
			     : pb_decode_sized(call->mem, call->method->reply, call->method->reply_size, reply,
				       result.reply, result.reply_length);
	} else if (guard_refuses(st)) {
		st = guard_refused(service, &o.change, st, reply, &replayed);
	}
	/* Whoever made it: it is whole when somebody is told that it is there. */
	if (st == STATUS_OK)
		st = copies_finish(service, call->mem, o.reply->channel.id, call->deadline_mono_ms);
	guard_answer_change(call, st, &o.change.no, replayed);
}

/* ---- list */

#define ACTIVITY "greatest(c.id, c.last_message_id)"
/* clang-format off */
#define LIST_SQL(order)                                                                                              \
	"SELECT " VISIBLE_EPOCHS_COLUMNS ", " CHANNEL_COLUMNS " FROM messaging.channels c " VISIBLE_EPOCHS_JOINS     \
	" WHERE c.id = ANY ($2::int8[]) AND c.deleted_at_ms IS NULL AND ($3 = 0 OR " ACTIVITY " < $3) AND " ACTIVITY \
	" > $4 ORDER BY " ACTIVITY " " order " LIMIT $5"
/* clang-format on */
static const struct db_stmt list_stmts[2] = {
	{"messaging_conversations_down", LIST_SQL("DESC")},
	{"messaging_conversations_up", LIST_SQL("ASC")},
};

struct list {
	const pb_ListConversationsRequest *rq;
	pb_ListChannelsReply *reply;
};

static enum status list_read(
	struct db_conn *conn, struct rpc_call *call, struct visible *v, void *arg, struct refusal *out_no)
{
	const struct list *list = arg;
	const pb_ListConversationsRequest *rq = list->rq;
	uint32_t limit = rq->limit == 0 ? LIST_DEFAULT : rq->limit > LIST_MOST ? LIST_MOST : rq->limit;
	struct db_params params;
	struct db_rows rows = {0};

	db_params_begin(&params, call->mem);
	visible_put(&params, v, call);
	db_put_id(&params, rq->before);
	db_put_id(&params, rq->after);
	db_put_i64(&params, (int64_t)limit + 1);
	enum status st = db_query(conn, call->mem, &list_stmts[rq->after != 0], &params, &rows);
	if (st != STATUS_OK)
		return st;
	*list->reply = (pb_ListChannelsReply){
		.channels = ARENA_ARRAY(call->mem, (size_t)rows.count, pb_ChannelView)};
	for (int i = 0; i < rows.count; i++) {
		if (list->reply->channels_count == limit) {
			list->reply->more = true;
			break;
		}
		pb_ChannelView *view = &list->reply->channels[list->reply->channels_count++];
		channel_from_row(call->mem, &rows, i, VISIBLE_EPOCHS_COUNT, view);
		st = visible_compare(v, call, &rows, i, view->id, out_no);
		if (st != STATUS_OK)
			return st;
	}
	return STATUS_OK;
}

void list_conversations(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;
	struct list list = {request, reply};
	struct refusal no = {0};

	enum status st = visible_read(s, call, s->reads, VISIBLE_CONVERSATIONS, list_read, &list, &no);
	if (st == STATUS_OK)
		st = conversations_fill(s, call, list.reply->channels, list.reply->channels_count);
	guard_answer(call, st, &no);
}
