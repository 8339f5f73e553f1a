#include <string.h>

#include "services/messaging/channels.h"
#include "services/messaging/conversations.h"
#include "services/messaging/guard.h"
#include "services/messaging/views.h"

struct update {
	struct change change;
	const pb_UpdateChannelRequest *rq;
	pb_ChannelReply *reply;
};

/* To be of another type, as crust has it, takes the right to make such a channel besides; other dialects leave that to whoever may
 * update it. */
static enum status update_allowed(struct change *c)
{
	const struct update *u = (const struct update *)c;

	if (u->rq->type_needs_right && u->rq->has_private && u->rq->private != c->rights.channel_private &&
		!bits_has(c->rights.bits, PERMISSION_manage_channels)) {
		enum status st = rights_need(&c->rights,
			u->rq->private ? PERMISSION_create_private_channels : PERMISSION_create_public_channels, &c->no.why);
		if (st != STATUS_OK)
			return st;
	}
	if (bits_has(c->rights.bits, PERMISSION_manage_channels) && !c->rights.channel_archived)
		return STATUS_OK;
	return rights_need(&c->rights, PERMISSION_update_channel, &c->no.why);
}

static const struct db_stmt update_stmt = {
	"messaging_channel_update",
	"UPDATE messaging.channels SET name = $2, topic = $3, private = $4, slow_mode_s = $5, position = $6,"
	" updated_at_ms = $7, updated_by = $8, rights_seq = CASE WHEN $9 = 0 THEN rights_seq ELSE $9 END, policy = $10"
	" WHERE id = $1",
};

static bool text_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

enum { UPDATE_FIELDS = 6 };

/* The row as the request wants it; returns how many names went to `changed`, in the order of the model. */
static size_t update_apply(
	const pb_UpdateChannelRequest *rq, pb_ChannelView *view, char *changed[UPDATE_FIELDS])
{
	const char *topic = rq->topic != NULL && *rq->topic != '\0' ? rq->topic : NULL;
	size_t count = 0;

	if (rq->name != NULL && !text_same(view->name, rq->name)) {
		view->name = rq->name;
		changed[count++] = (char *)"name";
	}
	if ((rq->topic != NULL || rq->cleared_count > 0) && !text_same(view->topic, topic)) {
		view->topic = (char *)topic;
		changed[count++] = (char *)"topic";
	}
	if (rq->has_private && view->private != rq->private) {
		view->private = rq->private;
		changed[count++] = (char *)"private";
	}
	if (rq->has_slow_mode_s && view->slow_mode_s != rq->slow_mode_s) {
		view->slow_mode_s = rq->slow_mode_s;
		changed[count++] = (char *)"slow_mode_s";
	}
	if (rq->has_position && view->position != rq->position) {
		view->position = rq->position;
		changed[count++] = (char *)"position";
	}
	if (rq->has_policy && view->policy != rq->policy) {
		view->policy = rq->policy;
		changed[count++] = (char *)"policy";
	}
	return count;
}

static enum status update_write(
	struct log_tx *tx, const struct change *c, const pb_ChannelView *view, uint64_t rights_seq)
{
	struct db_params params;

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, view->id);
	db_put_text(&params, view->name);
	db_put_text(&params, view->topic);
	db_put_bool(&params, view->private);
	db_put_i32(&params, (int32_t)view->slow_mode_s);
	db_put_i32(&params, view->position);
	db_put_i64(&params, log_tx_now_ms(tx));
	db_put_id_or_null(&params, c->call->header->actor_id);
	db_put_id(&params, rights_seq);
	db_put_i16(&params, (int16_t)view->policy);
	return log_tx_query(tx, &update_stmt, &params, NULL);
}

/* A conversation has a name, which may be empty, and a topic, and nothing else that could be set. */
static const char *update_unfit(const pb_UpdateChannelRequest *rq, const pb_ChannelView *view)
{
	if (view->team_id != 0 && rq->conversation)
		return "private";
	if (view->team_id != 0)
		return rq->name != NULL && *rq->name == '\0' ? "name" : NULL;
	return rq->has_private ? "private" : rq->has_slow_mode_s ? "slow_mode_s" : rq->has_position ? "position" :
	       rq->has_policy && rq->policy != POLICY_NONE ? "policy" : NULL;
}

/* A client may send the policy that there is with everything else; another one takes the right to give rights. */
static enum status policy_allowed(struct log_tx *tx, const struct update *u, const pb_ChannelView *view)
{
	const char *why = NULL;

	if (!u->rq->has_policy || u->rq->policy == view->policy)
		return STATUS_OK;
	enum status st = rights_need(&u->change.rights, PERMISSION_manage_roles, &why);
	return st == STATUS_OK ? st : guard_refuse(tx, st, why, NULL);
}

static enum status update_work(struct log_tx *tx, void *arg)
{
	struct update *u = arg;
	struct change *c = &u->change;
	pb_ChannelView *view = &u->reply->channel;
	char *changed[UPDATE_FIELDS], key[AUDIENCE_SIZE];
	uint64_t rights_seq = 0;
	pb_Event event;

	enum status st = channel_live_row(tx, c->call->mem, u->rq->channel_id, view);
	if (st != STATUS_OK)
		return st;
	const char *unfit = update_unfit(u->rq, view);
	if (unfit != NULL)
		return guard_refuse(tx, STATUS_FIELD_INVALID, NULL, unfit);
	st = policy_allowed(tx, u, view);
	if (st != STATUS_OK)
		return st;
	u->reply->has_channel = true;
	const char *old_name = view->name, *old_topic = view->topic;
	bool was_private = view->private;
	size_t count = update_apply(u->rq, view, changed);
	if (count == 0) {
		guard_store(tx, c, u->reply);
		return STATUS_OK;
	}
	memcpy(key, c->rights.audience, sizeof key);
	if (view->private != was_private) {
		bool closes = view->private && !channel_has_own_key(&c->rights);
		guard_event(c, EVENT_KIND_audience_recheck, &event);
		event.body.audience_recheck = (pb_AudienceRecheck){
			.all = true, .why = (char *)"private", .closed_channel_id = closes ? view->id : 0};
		st = log_tx_append(tx, c->rights.stream, "", &event, &rights_seq);
		if (st != STATUS_OK)
			return st;
		if (view->private)
			audience_key(key, "channel", view->id);
		else
			memcpy(key, c->rights.open_audience, sizeof key);
	}
	/* Cached rights carry the name for the references inside events: it may not be older than the
	 * channel's. */
	if (view->private != was_private || view->name != old_name)
		log_tx_raise_epoch(tx, c->rights.stream);
	view->updated_at_ms = (uint64_t)log_tx_now_ms(tx);
	st = update_write(tx, c, view, rights_seq);
	if (st != STATUS_OK)
		return st;
	guard_event(c, EVENT_KIND_channel_updated, &event);
	event.body.channel_updated = (pb_ChannelUpdated){
		.has_channel = true, .channel = *view, .changed_count = (pb_size_t)count, .changed = changed};
	if (view->name != old_name)
		event.body.channel_updated.old_name = (char *)old_name;
	if (view->topic != old_topic)
		event.body.channel_updated.old_topic = (char *)old_topic;
	st = log_tx_append(tx, c->rights.stream, key, &event, NULL);
	if (st == STATUS_OK)
		guard_store(tx, c, u->reply);
	return st;
}

static const char *update_wrong_field(const pb_UpdateChannelRequest *rq)
{
	if (rq->name != NULL && !text_fits(rq->name, 0, CHANNEL_NAME_MAX))
		return "name";
	if (rq->topic != NULL && !text_fits(rq->topic, 0, CHANNEL_TOPIC_MAX))
		return "topic";
	if (rq->has_slow_mode_s && rq->slow_mode_s > CHANNEL_SLOW_MAX_S)
		return "slow_mode_s";
	if (rq->has_policy && rq->policy > POLICY_FORCED)
		return "policy";
	for (pb_size_t i = 0; i < rq->cleared_count; i++)
		if (rq->cleared[i] == NULL || strcmp(rq->cleared[i], "topic") != 0)
			return rq->cleared[i] != NULL ? rq->cleared[i] : "cleared";
	return NULL;
}

void update_channel(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct update u = {.rq = request, .reply = reply};
	bool replayed = false;

	u.change = (struct change){
		.channel_id = u.rq->channel_id, .allowed = update_allowed, .work = update_work, .call = call};
	u.change.no.field = update_wrong_field(u.rq);
	enum status st = u.change.no.field != NULL ? STATUS_FIELD_INVALID
						   : guard_change(service, &u.change, reply, &replayed);
	if (st == STATUS_OK)
		st = conversations_fill(service, call, &u.reply->channel, 1);
	guard_answer_change(call, st, &u.change.no, replayed);
}
