/*
 * clone - what a copy of a channel takes over of this owner's: overrides and, of a private channel, members.
 * The second step of three: messaging made the copy as a draft, which is deleted for everybody, and opens it
 * afterwards. So nobody holds a right or a key of it yet: nobody's epoch is raised and nobody is told; what
 * opens it has everybody asked about. Repeats find the rows there.
 */
#include "services/moderation/rows.h"

struct cloning {
	struct facts from;
	struct bits may_give; /* what the actor holds in the one or the other: nobody gives what he has not */
};

/* His bits were the channel neither read only nor deleted. */
static struct bits bits_when_open(struct facts *f)
{
	bool archived = f->channel.archived, deleted = f->channel.deleted;

	f->channel.archived = f->channel.deleted = false;
	struct eval_answer answer = eval_rights(&f->eval, EVAL_ASK_NOTHING);
	f->channel.archived = archived;
	f->channel.deleted = deleted;
	return answer.bits;
}

static enum status from_load(struct change *c, uint64_t channel_id, struct facts *out)
{
	uint64_t user = change_actor_id(c);

	return facts_load(c->conn, c->mem,
		&(struct facts_query){.actor_id = user,
			.channel_id = channel_id,
			.user_ids = &user,
			.user_count = 1,
			.now_ms = c->now_ms},
		out);
}

static enum status prepare_copy_channel_overrides(struct change *c)
{
	const pb_CopyChannelOverridesRequest *rq = c->request;
	struct cloning *cl = c->data;

	/* Both from one snapshot: the epoch that is checked is that of both. */
	enum status st = db_begin_snapshot(c->conn);
	if (st == STATUS_OK)
		st = change_load(c, 0, rq->channel_id, NULL, 0);
	if (st == STATUS_OK)
		st = from_load(c, rq->from_channel_id, &cl->from);
	if (st == STATUS_OK)
		st = db_commit(c->conn);
	if (st != STATUS_OK)
		return st;
	struct facts *to = change_actor(c);
	if (!to->channel.deleted || to->eval.team == NULL || to->channel.id == cl->from.channel.id)
		return change_refuse(c, STATUS_NOT_FOUND, NULL, NULL);
	if (!cl->from.found || cl->from.channel.deleted || cl->from.team.id != to->team.id)
		return change_refuse(c, STATUS_NOT_FOUND, NULL, "from_channel_id");
	cl->may_give = eval_all();
	if (change_by_system(c))
		return STATUS_OK;
	if (to->channel.created_by != change_actor_id(c))
		return change_refuse(c, STATUS_NOT_FOUND, NULL, NULL);
	if (eval_rights(&cl->from.eval, EVAL_ASK_NOTHING).status != STATUS_OK)
		return change_refuse(c, STATUS_NOT_FOUND, NULL, "from_channel_id");
	cl->may_give = bits_or(bits_when_open(&cl->from), bits_when_open(to));
	return STATUS_OK;
}

static const struct db_stmt overrides_stmt = {"moderation_copy_overrides",
	"INSERT INTO moderation.overrides (scope, scope_id, subject_kind, subject_id, team_id, allow_low, "
	"allow_high, deny_low,"
	" deny_high) SELECT o.scope, $2, o.subject_kind, o.subject_id, o.team_id, o.allow_low & $3, "
	"o.allow_high & $4,"
	" o.deny_low, o.deny_high FROM moderation.overrides o WHERE o.scope = 3 AND o.scope_id = $1"
	" AND (o.allow_low & $3 | o.allow_high & $4 | o.deny_low | o.deny_high) <> 0 ON CONFLICT DO NOTHING"};

static enum status work_copy_channel_overrides(struct change *c, struct log_tx *tx)
{
	const pb_CopyChannelOverridesRequest *rq = c->request;
	const struct cloning *cl = c->data;
	struct db_params p;

	change_params(c, &p);
	db_put_id(&p, rq->from_channel_id);
	db_put_id(&p, rq->channel_id);
	db_put_i64(&p, (int64_t)cl->may_give.low);
	db_put_i64(&p, (int64_t)cl->may_give.high);
	return change_query(c, &overrides_stmt, &p, NULL);
}

void serve_copy_channel_overrides(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct cloning cl = {0};
	struct change c = {.service = service,
		.call = call,
		.request = request,
		.reply = reply,
		.prepare = prepare_copy_channel_overrides,
		.work = work_copy_channel_overrides,
		.data = &cl};

	change_run(&c);
}
