#include "common/rpc/stubs.h"
#include "services/messaging/webhook_changes.h"

struct deletion {
	struct change change;
	uint64_t id;
};

static const struct db_stmt delete_stmt = {
	"messaging_webhook_delete",
	"UPDATE messaging.webhooks SET deleted_at_ms = $2, deleted_by = $3 WHERE id = $1",
};

static enum status deletion_work(struct log_tx *tx, void *arg)
{
	struct deletion *d = arg;
	struct change *c = &d->change;
	struct db_params params;
	pb_WebhookView view;

	enum status st = webhook_load(tx, c, d->id, &view);
	if (st != STATUS_OK)
		return st;
	view.deleted_at_ms = (uint64_t)log_tx_now_ms(tx);
	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, d->id);
	db_put_id(&params, view.deleted_at_ms);
	db_put_id_or_null(&params, c->call->header->actor_id);
	st = log_tx_query(tx, &delete_stmt, &params, NULL);
	return st == STATUS_OK ? webhook_tell(tx, c, &c->rights, EVENT_KIND_webhook_deleted, &view, NULL, 0) : st;
}

/* The call as the system's own: what a token lets in is judged by nothing else. */
static struct rpc_call *as_system(struct rpc_call *call)
{
	struct rpc_call *as = arena_memdup(call->mem, call, sizeof *call);
	pb_RpcHeader *header = arena_memdup(call->mem, call->header, sizeof *header);

	header->actor_id = header->actor_epoch = header->actor_generation = header->session_id = 0;
	header->has_actor = false;
	as->header = header;
	return as;
}

void delete_webhook(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;
	const pb_WebhookRequest *rq = request;
	struct deletion d = {.id = rq->webhook_id};
	struct webhook webhook;
	bool replayed = false;

	d.change = (struct change){.keeps_rights = true, .allowed = webhook_touch_allowed, .work = deletion_work, .call = call};
	enum status st = webhook_find(s, call->mem, rq->webhook_id, call->deadline_mono_ms, &webhook);
	if (st == STATUS_OK && rq->token != NULL && !webhook_token_fits(&webhook, rq->token))
		st = STATUS_NOT_FOUND;
	if (st == STATUS_OK) {
		d.change.channel_id = webhook.view.channel_id;
		if (rq->token != NULL)
			d.change.call = as_system(call);
		st = guard_change(s, &d.change, reply, &replayed);
	}
	if (st == STATUS_NOT_FOUND && rq->token != NULL)
		d.change.no = (struct refusal){.why = "token"};
	guard_answer_change(call, st, &d.change.no, replayed);
}

enum status webhook_end(struct service *s, struct arena *mem, uint64_t id, int64_t deadline_mono_ms)
{
	pb_RpcHeader header = {0};
	struct rpc_call call = {.mem = mem,
		.header = &header,
		.method = &rpc_messaging_delete_webhook,
		.deadline_mono_ms = deadline_mono_ms};
	struct deletion d = {.id = id,
		.change = {.keeps_rights = true, .allowed = webhook_touch_allowed, .work = deletion_work, .call = &call}};
	struct webhook webhook;
	pb_Empty nothing = {0};
	bool replayed = false;

	enum status st = webhook_find(s, mem, id, deadline_mono_ms, &webhook);
	d.change.channel_id = webhook.view.channel_id;
	return st == STATUS_OK ? guard_change(s, &d.change, &nothing, &replayed) : st;
}

static const struct db_stmt drop_stmt = {
	"messaging_webhooks_drop",
	"UPDATE messaging.webhooks SET deleted_at_ms = $2 WHERE channel_id = $1 AND deleted_at_ms IS NULL",
};

enum status webhooks_drop(struct log_tx *tx, uint64_t channel_id)
{
	struct db_params params;

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, channel_id);
	db_put_i64(&params, log_tx_now_ms(tx));
	return log_tx_query(tx, &drop_stmt, &params, NULL);
}
