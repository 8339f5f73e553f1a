#include "services/messaging/channel_prefs.h"

#include "services/messaging/guard.h"

struct setting {
	struct change change;
	const pb_SetChannelPrefRequest *rq;
	pb_ChannelPrefReply *reply;
};

static enum status setting_allowed(struct change *c)
{
	const struct setting *s = (const struct setting *)c;

	if (!s->rq->members_only || rights_is_member(&c->rights))
		return STATUS_OK;
	c->no.why = "member";
	return STATUS_FORBIDDEN;
}

/* What is 0 stays as it is; no row: nothing is changed by it. */
static const struct db_stmt set_stmt = {
	"messaging_channel_pref_set",
	"WITH old AS (SELECT p.flag, p.notify FROM messaging.channel_prefs p WHERE p.user_id = $1 AND p.channel_id = $2),"
	" want AS (SELECT coalesce(nullif($3, 0), (SELECT flag FROM old), 1)::int2 AS flag,"
	"  coalesce(nullif($4, 0), (SELECT notify FROM old), 1)::int2 AS notify),"
	" new AS (INSERT INTO messaging.channel_prefs AS p (user_id, channel_id, flag, notify) SELECT $1, $2, w.flag, w.notify FROM want w"
	"  WHERE (w.flag, w.notify) <> (coalesce((SELECT flag FROM old), 1), coalesce((SELECT notify FROM old), 1))"
	"  ON CONFLICT (user_id, channel_id) DO UPDATE SET flag = EXCLUDED.flag, notify = EXCLUDED.notify RETURNING 1)"
	" SELECT w.flag, w.notify, EXISTS (SELECT FROM new) FROM want w",
};

static enum status setting_work(struct log_tx *tx, void *arg)
{
	struct setting *s = arg;
	struct change *c = &s->change;
	uint64_t user = c->call->header->actor_id;
	struct db_params params;
	struct db_rows rows = {0};
	char key[AUDIENCE_SIZE];
	pb_Event event;

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, user);
	db_put_id(&params, s->rq->channel_id);
	db_put_i32(&params, (int32_t)s->rq->flag);
	db_put_i32(&params, (int32_t)s->rq->notify);
	enum status st = log_tx_query(tx, &set_stmt, &params, &rows);
	if (st != STATUS_OK)
		return st;
	*s->reply = (pb_ChannelPrefReply){
		.flag = (uint32_t)db_i64(&rows, 0, 0), .notify = (uint32_t)db_i64(&rows, 0, 1)};
	guard_store(tx, c, s->reply);
	if (!db_bool(&rows, 0, 2))
		return STATUS_OK;
	guard_event(c, EVENT_KIND_channel_pref_changed, &event);
	event.body.channel_pref_changed = (pb_ChannelPrefChanged){
		.has_channel = true, .user_id = user, .flag = s->reply->flag, .notify = s->reply->notify};
	rights_channel_ref(&c->rights, &event.body.channel_pref_changed.channel);
	audience_key(key, "user", user);
	return log_tx_append(tx, STREAM_USER(user), key, &event, NULL);
}

void set_channel_pref(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct setting s = {.rq = request, .reply = reply};
	enum status st = STATUS_OK;
	bool replayed = false;

	s.change = (struct change){.channel_id = s.rq->channel_id,
		.own_stream = true,
		.keeps_rights = true,
		.allowed = setting_allowed,
		.work = setting_work,
		.call = call};
	if (call->header->actor_id == 0) {
		s.change.no.why = "actor";
		st = STATUS_FORBIDDEN;
	} else if (s.rq->flag > FLAG_IGNORED) {
		s.change.no.field = "flag";
		st = STATUS_FIELD_INVALID;
	} else if (s.rq->notify > NOTIFY_NONE) {
		s.change.no.field = "notify";
		st = STATUS_FIELD_INVALID;
	}
	if (st == STATUS_OK)
		st = guard_change(service, &s.change, reply, &replayed);
	guard_answer_change(call, st, &s.change.no, replayed);
}
