#include "services/messaging/clone.h"

#include <string.h>

#include "services/messaging/channels.h"
#include "services/messaging/views.h"

struct cloning {
	struct change change; /* judged in the team: an archived channel says nothing of what may be made */
	struct service *service;
	const pb_CloneChannelRequest *rq;
	pb_ChannelReply *reply;
	struct rights from;
	uint64_t id;
};

/* Is the channel there for the actor, by the same epochs as those that the commit compares? */
static enum status from_judged(struct cloning *cl, enum rights_from from)
{
	enum status st = rights_of_channel(cl->service, cl->change.call, cl->rq->channel_id, from, &cl->from);

	return st == STATUS_OK ? cl->from.status : st;
}

static enum status clone_allowed(struct change *c)
{
	struct cloning *cl = (struct cloning *)c;
	enum status st = STATUS_OK;

	if (cl->from.stream_epoch != c->rights.stream_epoch ||
		cl->from.member_epoch != c->rights.member_epoch)
		st = from_judged(cl, RIGHTS_FRESH);
	if (st != STATUS_OK || bits_has(c->rights.bits, PERMISSION_manage_channels))
		return st;
	return rights_need(&c->rights,
		cl->from.channel_private ? PERMISSION_create_private_channels
					 : PERMISSION_create_public_channels,
		&c->no.why);
}

static const struct db_stmt insert_stmt = {
	"messaging_channel_clone",
	"INSERT INTO messaging.channels AS c (id, rank, stream_id, team_id, group_id, kind, name, topic, "
	"category_id, position,"
	" private, slow_mode_s, own, cloned_from, draft, created_at_ms, created_by, deleted_at_ms)"
	" SELECT $1, f.rank, f.stream_id, f.team_id, f.group_id, f.kind, coalesce($3, f.name), f.topic, "
	"f.category_id, f.position,"
	" f.private, f.slow_mode_s, $4, f.id, true, $5, $6, $5 FROM messaging.channels f"
	" WHERE f.id = $2 AND f.deleted_at_ms IS NULL RETURNING " CHANNEL_COLUMNS,
};

static enum status clone_work(struct log_tx *tx, void *arg)
{
	struct cloning *cl = arg;
	struct change *c = &cl->change;
	struct db_params params;
	struct db_rows rows = {0};

	enum status st = channel_room(tx, c->team_id, NULL);
	if (st != STATUS_OK)
		return st;
	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, cl->id);
	db_put_id(&params, cl->rq->channel_id);
	db_put_text(&params, cl->rq->name);
	db_put_bool(&params, cl->rq->own);
	db_put_i64(&params, log_tx_now_ms(tx));
	db_put_id(&params, c->call->header->actor_id);
	st = log_tx_query(tx, &insert_stmt, &params, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count == 0)
		return STATUS_NOT_FOUND;
	cl->reply->has_channel = true;
	channel_from_row(c->call->mem, &rows, 0, 0, &cl->reply->channel);
	guard_store(tx, c, cl->reply);
	log_tx_object(tx, cl->id);
	return STATUS_OK;
}

/* Whether there is something to copy, and where. */
static enum status clone_begin(struct cloning *cl)
{
	struct change *c = &cl->change;

	if (cl->rq->name != NULL && !text_fits(cl->rq->name, 1, CHANNEL_NAME_MAX)) {
		c->no.field = "name";
		return STATUS_FIELD_INVALID;
	}
	enum status st = from_judged(cl, RIGHTS_CACHED);
	if (st != STATUS_OK)
		return st;
	if (!channel_kind_is_plain(cl->from.channel_kind)) {
		c->no.why = cl->from.channel_kind == CHANNEL_THREAD ? "thread" : "conversation";
		return STATUS_FORBIDDEN;
	}
	c->team_id = cl->from.team_id;
	return service_next_id(cl->service, &cl->id);
}

void clone_channel(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct cloning cl = {.service = service, .rq = request, .reply = reply};
	bool replayed = false;

	cl.change = (struct change){
		.keeps_rights = true, .allowed = clone_allowed, .work = clone_work, .call = call};
	enum status st = clone_begin(&cl);
	if (st == STATUS_OK)
		st = guard_change(service, &cl.change, reply, &replayed);
	else if (guard_refuses(st))
		st = guard_refused(service, &cl.change, st, reply, &replayed);
	else if (st == STATUS_STALE)
		cl.change.no.why = "session"; /* moderation's word for an ended session */
	guard_answer_change(call, st, &cl.change.no, replayed);
}
