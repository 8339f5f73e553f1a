#include "services/messaging/channels.h"
#include "services/messaging/guard.h"
#include "services/messaging/views.h"
#include "services/messaging/webhooks.h"

struct deletion {
	struct change change;
	uint64_t channel_id;
	pb_ChannelReply *reply;
	bool tells; /* that it is deleted already, to who could bring it back */
};

static enum status deletion_allowed(struct change *c)
{
	const struct deletion *d = (const struct deletion *)c;

	if (rights_deleted(&c->rights)) {
		bool known = d->tells && bits_has(c->rights.bits, PERMISSION_undelete_channel);
		c->no.why = known ? "state" : NULL;
		return known ? STATUS_CONFLICT : STATUS_NOT_FOUND;
	}
	return rights_need(&c->rights, PERMISSION_delete_channel, &c->no.why);
}

static const struct db_stmt delete_stmt = {
	"messaging_channel_delete",
	"UPDATE messaging.channels SET deleted_at_ms = $2, deleted_by = $3, rights_seq = CASE WHEN $4 = 0 "
	"THEN rights_seq ELSE $4 END"
	" WHERE id = $1",
};

static enum status deletion_work(struct log_tx *tx, void *arg)
{
	struct deletion *d = arg;
	struct change *c = &d->change;
	struct db_params params;
	pb_ChannelView view;
	pb_Event event;
	uint64_t seq = 0;

	enum status st = channel_live_row(tx, c->call->mem, d->channel_id, &view);
	if (st != STATUS_OK)
		return st;
	view.deleted_at_ms = (uint64_t)log_tx_now_ms(tx);
	/* The event has the channel's key, which its readers still hold; afterwards no event will need it, so
	 * none tells the gateways to give it up. */
	guard_event(c, EVENT_KIND_channel_deleted, &event);
	event.body.channel_deleted = (pb_ChannelDeleted){.has_channel = true, .channel = view};
	st = log_tx_append(tx, c->rights.stream, c->rights.audience, &event, &seq);
	if (st == STATUS_OK)
		st = webhooks_drop(tx, d->channel_id);
	if (st != STATUS_OK)
		return st;
	/* Who resumes from before gets no key of a deleted channel any more and would miss its last events
	 * without a word; with the team's key nothing is missed. */
	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, d->channel_id);
	db_put_i64(&params, (int64_t)view.deleted_at_ms);
	db_put_id_or_null(&params, c->call->header->actor_id);
	db_put_id(&params, channel_has_own_key(&c->rights) ? seq : 0);
	log_tx_raise_epoch(tx, c->rights.stream);
	st = log_tx_query(tx, &delete_stmt, &params, NULL);
	if (st != STATUS_OK)
		return st;
	*d->reply = (pb_ChannelReply){.has_channel = true, .channel = view};
	guard_store(tx, c, d->reply);
	return STATUS_OK;
}

static void run(struct service *s, struct rpc_call *call, struct deletion *d)
{
	bool replayed = false;

	d->change = (struct change){.channel_id = d->channel_id,
		.deleted_too = true,
		.allowed = deletion_allowed,
		.work = deletion_work,
		.call = call};
	enum status st = guard_change(s, &d->change, d->reply, &replayed);
	guard_answer_change(call, st, &d->change.no, replayed);
}

void delete_channel(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_DeleteChannelRequest *rq = request;

	run(service, call, &(struct deletion){.channel_id = rq->channel_id, .reply = reply});
}

void channel_delete(struct service *s, struct rpc_call *call, uint64_t channel_id, pb_ChannelReply *reply)
{
	run(s, call, &(struct deletion){.channel_id = channel_id, .reply = reply, .tells = true});
}
