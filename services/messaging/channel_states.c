#include "services/messaging/channel_states.h"

#include <string.h>

#include "services/messaging/channels.h"
#include "services/messaging/views.h"

struct state_change {
	struct change change;
	const pb_SetChannelStateRequest *rq;
	pb_ChannelReply *reply;
	/* -- the row, under the lock */
	bool draft;
	uint64_t cloned_from;
};

/* ---- by rights. In a read-only channel the bits that are gone say nothing: those of restoring stay. */

static enum status need(struct change *c, enum permission p)
{
	if (bits_has(c->rights.bits, p))
		return STATUS_OK;
	c->no.why = permission_name(p);
	return STATUS_FORBIDDEN;
}

static enum status already(struct change *c)
{
	c->no.why = "state";
	return STATUS_CONFLICT;
}

static enum status archive_allowed(struct change *c)
{
	if (c->rights.channel_archived && bits_has(c->rights.bits, PERMISSION_restore_channel))
		return already(c);
	return rights_need(&c->rights, PERMISSION_archive_channel, &c->no.why);
}

static enum status restore_allowed(struct change *c)
{
	enum status st = need(c, PERMISSION_restore_channel);

	return st == STATUS_OK && !c->rights.channel_archived ? already(c) : st;
}

static enum status undelete_allowed(struct change *c)
{
	enum status st = need(c, PERMISSION_undelete_channel);

	if (!rights_deleted(&c->rights))
		return st == STATUS_OK ? already(c) : st;
	if (st == STATUS_OK)
		return STATUS_OK;
	c->no.why = NULL; /* a deleted channel is there for those only who can bring it back */
	return STATUS_NOT_FOUND;
}

static enum status state_allowed(struct change *c)
{
	const struct state_change *s = (const struct state_change *)c;

	if (c->call->header->actor_id == 0)
		return STATUS_OK; /* the system is not judged: the row decides */
	switch ((enum channel_change)s->rq->change) {
	case CHANNEL_ARCHIVE:
		return archive_allowed(c);
	case CHANNEL_RESTORE:
		return restore_allowed(c);
	case CHANNEL_REOPEN:
		return rights_deleted(&c->rights) ? undelete_allowed(c) : restore_allowed(c);
	case CHANNEL_UNDELETE:
		return undelete_allowed(c);
	case CHANNEL_OPEN: /* his own draft, or the row says that it is none */
		return rights_deleted(&c->rights) ? STATUS_OK : undelete_allowed(c);
	case CHANNEL_DELETE: /* channel_delete */
		break;
	}
	return STATUS_FIELD_INVALID;
}

/* ---- under the lock */

static const struct db_stmt load_stmt = {
	"messaging_channel_state",
	"SELECT c.draft, c.cloned_from, " CHANNEL_COLUMNS " FROM messaging.channels c WHERE c.id = $1",
};

/* The purge does not wait for the stream's lock: it marks the row, and what it marked does not come back. */
static const struct db_stmt write_stmt = {
	"messaging_channel_state_set",
	"UPDATE messaging.channels SET archived_at_ms = nullif($2, 0), archived_by = $3, deleted_at_ms = "
	"nullif($4, 0),"
	" deleted_by = CASE WHEN $4 = 0 THEN NULL ELSE deleted_by END, draft = false,"
	" rights_seq = CASE WHEN $5 = 0 THEN rights_seq ELSE $5 END WHERE id = $1 AND NOT purging RETURNING "
	"id",
};

static enum status state_load(struct log_tx *tx, struct state_change *s)
{
	struct db_params params;
	struct db_rows rows = {0};

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, s->rq->channel_id);
	enum status st = log_tx_query(tx, &load_stmt, &params, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count == 0)
		return STATUS_NOT_FOUND;
	s->draft = db_bool(&rows, 0, 0);
	s->cloned_from = db_id(&rows, 0, 1);
	s->reply->has_channel = true;
	channel_from_row(s->change.call->mem, &rows, 0, 2, &s->reply->channel);
	return STATUS_OK;
}

static enum status state_write(struct log_tx *tx, const struct state_change *s, uint64_t rights_seq)
{
	const pb_ChannelView *view = &s->reply->channel;
	struct db_params params;
	struct db_rows rows = {0};

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, view->id);
	db_put_id(&params, view->archived_at_ms);
	db_put_id_or_null(&params, view->archived_at_ms != 0 ? s->change.call->header->actor_id : 0);
	db_put_id(&params, view->deleted_at_ms);
	db_put_id(&params, rights_seq);
	enum status st = log_tx_query(tx, &write_stmt, &params, &rows);
	return st == STATUS_OK && rows.count == 0 ? STATUS_NOT_FOUND : st;
}

static enum status state_tell(struct log_tx *tx, struct state_change *s, enum event_kind kind)
{
	struct change *c = &s->change;
	pb_Event event;

	guard_event(c, kind, &event);
	if (kind == EVENT_KIND_channel_created)
		event.body.channel_created = (pb_ChannelCreated){
			.has_channel = true, .channel = s->reply->channel, .cloned_from = s->cloned_from};
	else /* one member of the union, whichever of the three it is */
		event.body.channel_archived =
			(pb_ChannelStateChanged){.has_channel = true, .channel = s->reply->channel};
	enum status st = log_tx_append(tx, c->rights.stream, c->rights.audience, &event, NULL);
	if (st == STATUS_OK)
		guard_store(tx, c, s->reply);
	return st;
}

static enum status archive(struct log_tx *tx, struct state_change *s, bool on)
{
	pb_ChannelView *view = &s->reply->channel;

	if (view->deleted_at_ms != 0)
		return STATUS_NOT_FOUND;
	if ((view->archived_at_ms != 0) == on)
		return guard_refuse(tx, STATUS_CONFLICT, "state", NULL);
	view->archived_at_ms = on ? (uint64_t)log_tx_now_ms(tx) : 0;
	log_tx_raise_epoch(tx, s->change.rights.stream);
	enum status st = state_write(tx, s, 0);
	return st == STATUS_OK
		       ? state_tell(tx, s, on ? EVENT_KIND_channel_archived : EVENT_KIND_channel_restored)
		       : st;
}

/* It is there again. What it comes from has taken its key away from who resumed or was asked about meanwhile,
 * and left it with the others: all are asked about. */
static enum status appear(struct log_tx *tx, struct state_change *s, bool opens)
{
	struct change *c = &s->change;
	pb_ChannelView *view = &s->reply->channel;
	uint64_t actor = c->call->header->actor_id, seq = 0;
	enum status st = STATUS_OK;

	if (view->deleted_at_ms == 0) /* a thread below a deleted channel is not deleted itself */
		return rights_deleted(&c->rights) ? STATUS_NOT_FOUND
						  : guard_refuse(tx, STATUS_CONFLICT, "state", NULL);
	if (s->draft != opens || (opens && view->created_by != actor))
		return STATUS_NOT_FOUND;
	if (view->team_id != 0)
		st = channel_room(tx, view->team_id, NULL);
	if (st != STATUS_OK)
		return st;
	view->deleted_at_ms = 0;
	if (channel_has_own_key(&c->rights))
		st = channel_key_appears(tx, c, c->rights.audience, opens && view->own ? actor : 0,
			opens ? "channel_created" : "channel_undeleted", &seq);
	/* A new channel is a change of nobody's rights: no resume is touched, nothing has to be judged again.
	 */
	if (!opens)
		log_tx_raise_epoch(tx, c->rights.stream);
	if (st == STATUS_OK)
		st = state_write(tx, s, opens ? 0 : seq);
	return st == STATUS_OK
		       ? state_tell(tx, s, opens ? EVENT_KIND_channel_created : EVENT_KIND_channel_undeleted)
		       : st;
}

static enum status state_work(struct log_tx *tx, void *arg)
{
	struct state_change *s = arg;

	enum status st = state_load(tx, s);
	if (st != STATUS_OK)
		return st;
	switch ((enum channel_change)s->rq->change) {
	case CHANNEL_ARCHIVE:
		return archive(tx, s, true);
	case CHANNEL_RESTORE:
		return archive(tx, s, false);
	case CHANNEL_REOPEN:
		return s->reply->channel.deleted_at_ms != 0 ? appear(tx, s, false) : archive(tx, s, false);
	case CHANNEL_UNDELETE:
		return appear(tx, s, false);
	case CHANNEL_OPEN:
		return appear(tx, s, true);
	case CHANNEL_DELETE:
		break;
	}
	return STATUS_FIELD_INVALID;
}

void set_channel_state(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct state_change s = {.rq = request, .reply = reply};
	bool replayed = false;

	if (s.rq->change == CHANNEL_DELETE) {
		channel_delete(service, call, s.rq->channel_id, reply);
		return;
	}
	s.change = (struct change){.channel_id = s.rq->channel_id,
		.deleted_too = s.rq->change == CHANNEL_UNDELETE || s.rq->change == CHANNEL_REOPEN ||
			       s.rq->change == CHANNEL_OPEN,
		.allowed = state_allowed,
		.work = state_work,
		.call = call};
	enum status st = STATUS_OK;
	if (s.rq->change < CHANNEL_ARCHIVE || s.rq->change > CHANNEL_OPEN) {
		s.change.no.field = "change";
		st = STATUS_FIELD_INVALID;
	}
	if (st == STATUS_OK)
		st = guard_change(service, &s.change, reply, &replayed);
	guard_answer_change(call, st, &s.change.no, replayed);
}
