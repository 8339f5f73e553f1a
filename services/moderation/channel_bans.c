/*
 * channel_bans - bans from one channel. The first ban of a channel that everybody could view gives it a key
 * of its own, for good: a wide change. Later ones take one person's key.
 */
#include "services/moderation/bans.h"
#include "services/moderation/channel_rank.h"
#include "services/moderation/rows.h"

static enum status load_place(struct change *c, const pb_BanRequest *rq)
{
	enum status st = change_load(c, 0, rq->scope_id, &rq->user_id, 1);
	if (st != STATUS_OK)
		return st;
	const struct facts *f = change_actor(c);
	st = change_visible(c);
	if (st != STATUS_OK)
		return st;
	if (f->channel.deleted)
		return change_refuse(c, STATUS_NOT_FOUND, NULL, NULL);
	if (f->eval.team == NULL)
		return change_refuse(c, STATUS_FORBIDDEN, "conversation", NULL);
	/* A thread's events go to its parent's key, which a ban from the thread alone could not take. */
	if (f->eval.parent != NULL)
		return change_refuse(c, STATUS_FORBIDDEN, "thread", NULL);
	return channel_moderation_need(c);
}

static enum status prepare_ban_channel_user(struct change *c)
{
	const pb_BanRequest *rq = c->request;

	enum status st = ban_request_check(c, rq);
	if (st == STATUS_OK)
		st = load_place(c, rq);
	if (st != STATUS_OK)
		return st;
	if (!change_target(c, 0)->account)
		return change_refuse(c, STATUS_NOT_FOUND, "user", NULL);
	change_stream(c, STREAM_USER(rq->user_id));
	st = channel_target_refused(c, change_target(c, 0));
	/* Nobody, however high: who is to be banned is made an ordinary member first. */
	struct eval_answer target = eval_rights(&change_target(c, 0)->eval, EVAL_ASK_NOTHING);
	if (st == STATUS_OK && target.channel_role == CHANNEL_ROLE_OWNER)
		st = change_refuse(c, STATUS_FORBIDDEN, "channel_owner", NULL);
	return st;
}

/* H for who has the channel's own key, and U. */
static enum status tell(
	struct change *c, uint32_t which, const pb_BanRequest *rq, bool was_member, uint64_t *out_seq)
{
	const struct facts *f = change_target(c, 0);
	char key[AUDIENCE_SIZE];

	pb_Event *ev = change_event(c, which);
	pb_ChannelUserBanned body = {.has_channel = true,
		.channel = facts_channel_ref(f),
		.has_user = true,
		.user = f->person,
		.motive = rq->reason != NULL && rq->reason[0] != 0 ? rq->reason : NULL,
		.was_member = was_member,
		.by = change_actor_id(c)};
	if (which == EVENT_KIND_channel_user_banned)
		ev->body.channel_user_banned = body;
	else
		ev->body.channel_user_unbanned = body;
	audience_key(key, "channel", f->channel.id);
	enum status st = change_append(c, f->stream, key, ev, out_seq);
	return st == STATUS_OK ? change_append_user(c, rq->user_id, ev) : st;
}

/* From team:T to channel:C: every gateway asks anew which of its sockets hold the new key. */
static enum status own_key(struct change *c, const struct facts *f, uint64_t *out_seq)
{
	enum status st = change_recheck_all(c, f->stream, f->channel.id, false, "channel_ban", out_seq);
	if (st != STATUS_OK)
		return st;
	log_tx_raise_epoch(c->tx, f->stream);
	return rows_team_rights_seq(c, f->team.id, *out_seq);
}

static enum status work_ban_channel_user(struct change *c, struct log_tx *tx)
{
	const pb_BanRequest *rq = c->request;
	pb_BanReply *reply = c->reply;
	struct facts *f = change_target(c, 0);
	bool was_member = f->place.role != CHANNEL_ROLE_NONE;
	uint64_t seq = 0;
	char key[AUDIENCE_SIZE];

	struct ban_held held;
	bool same = false;

	enum status st = rows_put_people(c);
	if (st == STATUS_OK && f->place.banned)
		st = ban_held(c, BAN_CHANNEL, rq, &held, &same);
	if (st == STATUS_OK)
		st = ban_put(c, BAN_CHANNEL, f->team.id, rq, &reply->ban);
	reply->has_ban = true;
	if (st != STATUS_OK || same)
		return st;
	if (f->place.banned) { /* it held already, and has another motive or end now */
		st = tell(c, EVENT_KIND_channel_user_banned, rq, false, NULL);
		return st == STATUS_OK ? ban_record(c, AUDIT_channel_user_ban_changed, f->channel.id, rq, &held) : st;
	}
	audience_key(key, "channel", f->channel.id);
	st = f->restricted ? change_audience(c, f->stream, rq->user_id, NULL, key, &seq)
			   : own_key(c, f, &seq);
	if (st == STATUS_OK && was_member)
		st = rows_channel_leave(c, f, rq->user_id);
	if (st == STATUS_OK)
		st = rows_raise(c, f->team.id, rq->user_id, seq);
	if (st == STATUS_OK)
		st = tell(c, EVENT_KIND_channel_user_banned, rq, was_member, NULL);
	return st == STATUS_OK ? ban_record(c, AUDIT_channel_user_banned, f->channel.id, rq, NULL) : st;
}

CHANGE_HANDLER(ban_channel_user, pb_BanRequest, KNOWN_USER)

static enum status prepare_unban_channel_user(struct change *c)
{
	const pb_BanRequest *rq = c->request;

	if (!text_within(rq->reason, 0, REASON_MAX))
		return change_field(c, "reason");
	enum status st = load_place(c, rq);
	if (st == STATUS_OK && change_target(c, 0)->place.banned)
		change_stream(c, STREAM_USER(rq->user_id));
	return st;
}

static enum status work_unban_channel_user(struct change *c, struct log_tx *tx)
{
	const pb_BanRequest *rq = c->request;
	struct facts *f = change_target(c, 0);
	bool lifted = false;
	uint64_t seq = 0;
	char key[AUDIENCE_SIZE];

	if (!f->place.banned)
		return STATUS_OK;
	enum status st = ban_lift(c, BAN_CHANNEL, rq, c->call == NULL, &lifted);
	if (st != STATUS_OK || !lifted)
		return st;
	f->place.banned = false;
	struct eval_answer now = eval_rights(&f->eval, EVAL_ASK_NOTHING);
	if (now.status == STATUS_OK && now.member) {
		audience_key(key, "channel", f->channel.id);
		st = change_audience(c, f->stream, rq->user_id, key, NULL, &seq);
	}
	if (st == STATUS_OK)
		st = rows_raise(c, f->team.id, rq->user_id, seq);
	if (st == STATUS_OK)
		st = tell(c, EVENT_KIND_channel_user_unbanned, rq, false, NULL);
	return st == STATUS_OK ? ban_record(c, AUDIT_channel_user_unbanned, f->channel.id, rq, NULL) : st;
}

CHANGE_HANDLER(unban_channel_user, pb_BanRequest, NULL)

enum status ban_expire_channel_user(
	struct moderation *service, struct arena *mem, uint64_t channel_id, uint64_t user_id)
{
	pb_BanRequest rq = {.scope_id = channel_id, .user_id = user_id};
	struct commit_result result;
	struct change c = {.service = service,
		.mem = mem,
		.request = &rq,
		.prepare = prepare_unban_channel_user,
		.work = work_unban_channel_user};
	return change_commit(&c, &result);
}
