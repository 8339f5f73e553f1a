#include "services/messaging/reactions.h"

#include <string.h>

#include "services/messaging/emoji.h"
#include "services/messaging/guard.h"
#include "services/messaging/lists.h"
#include "services/messaging/messages.h"
#include "services/messaging/people.h"
#include "services/messaging/views.h"

/* ---- adding and removing */

struct reacting {
	struct change change;
	const pb_ReactionRequest *rq;
	pb_ReactionReply *reply; /* adding only */
	uint64_t user_id;        /* whose it is */
	/* -- under the lock */
	uint64_t kinds, count; /* of the message; of this kind */
	bool there;
	pb_UserView user;
};

static enum status reacting_allowed(struct change *c)
{
	const struct reacting *r = (const struct reacting *)c;
	bool own = r->user_id == c->call->header->actor_id;

	if (r->reply == NULL && (!own || bits_has(c->rights.bits, PERMISSION_delete_any_message)))
		return rights_need(&c->rights, PERMISSION_delete_any_message, &c->no.why);
	return rights_need(&c->rights, PERMISSION_add_reactions, &c->no.why);
}

static const struct db_stmt look_stmt = {
	"messaging_reaction_look",
	"SELECT (SELECT count(*) FROM messaging.reaction_counts k WHERE k.message_id = m.id),"
	" (SELECT k.count FROM messaging.reaction_counts k WHERE k.message_id = m.id AND k.emoji = $3),"
	" EXISTS (SELECT FROM messaging.reactions r WHERE r.message_id = m.id AND r.emoji = $3 AND r.user_id "
	"= $4),"
	" " PERSON_COLUMNS " FROM (SELECT x.id, x.channel_id, x.deleted_at_ms FROM messaging.messages x "
			   "WHERE x.id = $1 OFFSET 0) m"
	" LEFT JOIN LATERAL (SELECT x.* FROM messaging.people x WHERE x.id = $4 OFFSET 0) p ON true"
	" WHERE m.channel_id = $2 AND m.deleted_at_ms IS NULL",
};
static const struct db_stmt add_stmt = {
	"messaging_reaction_add",
	"WITH mine AS (INSERT INTO messaging.reactions (message_id, emoji, user_id, at_ms) VALUES ($1, $2, "
	"$3, $4))"
	" INSERT INTO messaging.reaction_counts AS k (message_id, emoji, count, first_at_ms) VALUES ($1, $2, "
	"1, $4)"
	" ON CONFLICT (message_id, emoji) DO UPDATE SET count = k.count + 1",
};
static const struct db_stmt remove_stmt = {
	"messaging_reaction_remove",
	"WITH his AS (DELETE FROM messaging.reactions WHERE message_id = $1 AND emoji = $2 AND user_id = $3),"
	" last AS (DELETE FROM messaging.reaction_counts WHERE message_id = $1 AND emoji = $2 AND count <= 1)"
	" UPDATE messaging.reaction_counts SET count = count - 1 WHERE message_id = $1 AND emoji = $2 AND "
	"count > 1",
};

static enum status reacting_look(struct log_tx *tx, struct reacting *r)
{
	struct db_params params;
	struct db_rows rows = {0};

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, r->rq->message_id);
	db_put_id(&params, r->rq->channel_id);
	db_put_text(&params, r->rq->emoji);
	db_put_id(&params, r->user_id);
	enum status st = log_tx_query(tx, &look_stmt, &params, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count == 0)
		return STATUS_NOT_FOUND;
	r->kinds = db_id(&rows, 0, 0);
	r->count = db_id(&rows, 0, 1);
	r->there = db_bool(&rows, 0, 2);
	r->user = (pb_UserView){.id = r->user_id};
	person_from_row(log_tx_mem(tx), &rows, 0, 3, &r->user);
	const pb_RpcHeader *header = r->change.call->header;
	if (r->user_id == header->actor_id && header->has_actor)
		r->user = author_view(&header->actor);
	return STATUS_OK;
}

static enum status reacting_write(struct log_tx *tx, const struct reacting *r, const struct db_stmt *stmt)
{
	struct db_params params;

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, r->rq->message_id);
	db_put_text(&params, r->rq->emoji);
	db_put_id(&params, r->user_id);
	if (stmt == &add_stmt)
		db_put_i64(&params, log_tx_now_ms(tx));
	return log_tx_query(tx, stmt, &params, NULL);
}

static enum status reacting_tell(struct log_tx *tx, const struct reacting *r, enum event_kind kind)
{
	const struct change *c = &r->change;
	pb_Event event;

	guard_event(c, kind, &event);
	event.body.reaction_added = (pb_ReactionChanged){.has_channel = true, /* of either kind */
		.message_id = r->rq->message_id,
		.emoji = r->rq->emoji,
		.has_user = true,
		.user = r->user,
		.count = r->count};
	rights_channel_ref(&c->rights, &event.body.reaction_added.channel);
	return log_tx_append(tx, c->rights.stream, c->rights.audience, &event, NULL);
}

static enum status add_work(struct log_tx *tx, void *arg)
{
	struct reacting *r = arg;

	enum status st = reacting_look(tx, r);
	if (st != STATUS_OK)
		return st;
	if (!r->there && r->count == 0 && r->kinds >= REACTION_KINDS_MAX)
		return guard_refuse(tx, STATUS_AT_LIMIT, "reactions", NULL);
	if (!r->there) {
		r->count++;
		st = reacting_write(tx, r, &add_stmt);
		if (st == STATUS_OK)
			st = reacting_tell(tx, r, EVENT_KIND_reaction_added);
	}
	*r->reply = (pb_ReactionReply){
		.has_reaction = true, .reaction = {.emoji = r->rq->emoji, .count = r->count, .me = true}};
	guard_store(tx, &r->change, r->reply);
	return st;
}

static enum status remove_work(struct log_tx *tx, void *arg)
{
	struct reacting *r = arg;

	enum status st = reacting_look(tx, r);
	if (st != STATUS_OK || !r->there)
		return st;
	r->count -= r->count > 0;
	st = reacting_write(tx, r, &remove_stmt);
	return st == STATUS_OK ? reacting_tell(tx, r, EVENT_KIND_reaction_removed) : st;
}

static void react(struct service *s, struct rpc_call *call, struct reacting *r, void *reply,
	enum status (*work)(struct log_tx *tx, void *arg))
{
	const pb_RpcHeader *header = call->header;
	enum status st = STATUS_OK;
	bool replayed = false;

	r->change = (struct change){.channel_id = r->rq->channel_id,
		.keeps_rights = true,
		.allowed = reacting_allowed,
		.work = work,
		.call = call};
	if (!emoji_fits(r->rq->emoji)) {
		r->change.no.field = "emoji";
		st = STATUS_FIELD_INVALID;
	} else if (r->reply != NULL && (header->actor_id == 0 || r->user_id != header->actor_id)) {
		r->change.no.why = "actor"; /* nobody reacts for another, and the system does not */
		st = STATUS_FORBIDDEN;
	} else if (r->reply != NULL && (!header->has_actor || header->actor.id != header->actor_id)) {
		r->change.no.why = "actor";
		st = STATUS_MALFORMED;
	} else if (r->reply != NULL) {
		st = people_see(s, call->mem, &header->actor, call->deadline_mono_ms);
	}
	if (st == STATUS_OK)
		st = guard_change(s, &r->change, reply, &replayed);
	guard_answer_change(call, st, &r->change.no, replayed);
}

static uint64_t whose(const struct rpc_call *call, const pb_ReactionRequest *rq)
{
	return rq->user_id != 0 ? rq->user_id : call->header->actor_id;
}

void add_reaction(void *service, struct rpc_call *call, const void *request, void *reply)
{
	pb_ReactionRequest *rq = (pb_ReactionRequest *)request;
	struct reacting r = {.rq = rq, .reply = reply, .user_id = whose(call, rq)};

	if (message_settle(service, call, rq->message_id, &rq->channel_id))
		react(service, call, &r, reply, add_work);
}

void remove_reaction(void *service, struct rpc_call *call, const void *request, void *reply)
{
	pb_ReactionRequest *rq = (pb_ReactionRequest *)request;
	struct reacting r = {.rq = rq, .user_id = whose(call, rq)};

	if (message_settle(service, call, rq->message_id, &rq->channel_id))
		react(service, call, &r, reply, remove_work);
}

/* ---- who reacted */

/* clang-format off */
#define REACTORS_SQL(order)                                                                                          \
	"WITH e AS (" EPOCHS_SQL ") SELECT " EPOCHS_COLUMNS ", m.id, r.user_id, r.at_ms, " PERSON_COLUMNS            \
	" FROM e LEFT JOIN LATERAL (SELECT x.id, x.channel_id, x.deleted_at_ms FROM messaging.messages x"            \
	"  WHERE x.id = $5 OFFSET 0) m ON m.channel_id = $4 AND m.deleted_at_ms IS NULL"                             \
	" LEFT JOIN LATERAL (SELECT x.user_id, x.at_ms FROM messaging.reactions x WHERE x.message_id = m.id"         \
	"  AND x.emoji = $6 AND x.user_id > $8 AND x.user_id < coalesce(nullif($7, 0), 9223372036854775807)"         \
	"  ORDER BY x.user_id " order " LIMIT $9) r ON true"                                                         \
	" LEFT JOIN messaging.people p ON p.id = r.user_id ORDER BY r.user_id " order
/* clang-format on */
static const struct db_stmt reactors_stmts[2] = {
	{"messaging_reactors_up", REACTORS_SQL("ASC")},
	{"messaging_reactors_down", REACTORS_SQL("DESC")},
};

struct reactors {
	const pb_ListReactionsRequest *rq;
	pb_ListReactionsReply *reply;
};

static enum status reactors_read(struct db_conn *conn, struct rpc_call *call, const struct rights *r,
	void *arg, struct epochs *out_found, struct refusal *out_no)
{
	const struct reactors *list = arg;
	const pb_ListReactionsRequest *rq = list->rq;
	uint32_t limit = list_limit(rq->limit, LIST_MOST);
	const int first = EPOCHS_COUNT + 1;
	struct db_params params;
	struct db_rows rows = {0};

	db_params_begin(&params, call->mem);
	guard_put(&params, r, call);
	db_put_id(&params, rq->channel_id);
	db_put_id(&params, rq->message_id);
	db_put_text(&params, rq->emoji);
	db_put_id(&params, rq->before);
	db_put_id(&params, rq->after);
	db_put_i64(&params, (int64_t)limit + 1);
	enum status st =
		db_query(conn, call->mem, &reactors_stmts[rq->before != 0 && rq->after == 0], &params, &rows);
	if (st != STATUS_OK || rows.count == 0) /* no row: judged again */
		return st;
	*out_found = guard_epochs(&rows, 0);
	if (db_is_null(&rows, 0, EPOCHS_COUNT))
		return STATUS_NOT_FOUND;
	*list->reply = (pb_ListReactionsReply){
		.reactors = ARENA_ARRAY(call->mem, (size_t)rows.count, pb_ReactorView)};
	for (int i = 0; i < rows.count && !db_is_null(&rows, i, first); i++) {
		if (list->reply->reactors_count == limit) {
			list->reply->more = true;
			break;
		}
		pb_ReactorView *view = &list->reply->reactors[list->reply->reactors_count++];
		*view = (pb_ReactorView){.has_user = true,
			.user = {.id = db_id(&rows, i, first)},
			.at_ms = db_id(&rows, i, first + 1)};
		person_from_row(call->mem, &rows, i, first + 2, &view->user);
	}
	return STATUS_OK;
}

void list_reactions(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;
	struct reactors list = {request, reply};
	struct refusal no = {.field = "emoji"};
	enum status st = STATUS_FIELD_INVALID;

	if (emoji_fits(list.rq->emoji))
		st = guard_read(s, call, s->reads, list.rq->channel_id, PERMISSION_read_history,
			reactors_read, &list, &no);
	guard_answer(call, st, &no);
}

/* ---- a message goes */

static const struct db_stmt drop_stmt = {
	"messaging_reactions_drop",
	"WITH counts AS (DELETE FROM messaging.reaction_counts WHERE message_id = $1),"
	" pin AS (DELETE FROM messaging.pins WHERE channel_id = $2 AND message_id = $1),"
	" bookmarks AS (DELETE FROM messaging.bookmarks WHERE message_id = $1)"
	" DELETE FROM messaging.reactions WHERE message_id = $1",
};

enum status reactions_drop(struct log_tx *tx, uint64_t channel_id, uint64_t message_id)
{
	struct db_params params;

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, message_id);
	db_put_id(&params, channel_id);
	return log_tx_query(tx, &drop_stmt, &params, NULL);
}
