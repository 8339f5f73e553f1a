/*
 * channel_invites - inviting members of the team to one of its channels: they become invitees, who see a private channel
 * and may join it. Commits of at most 14 people each (a commit has at most 16 streams). Who is there already stays what he is,
 * so a repeat goes on where the first stopped, and nothing is kept under the request id.
 */
#include "common/base/clock.h"
#include "services/moderation/channel_members.h"
#include "services/moderation/rows.h"

#define INVITE_CHUNK 14

/* People of one commit. */
struct inviting {
	const pb_UserView *const *users; /* [i] is target i */
	uint64_t ids[INVITE_CHUNK];
	size_t count;
	pb_ChannelMemberReply *members; /* of these people */
};

/* What he is in the channel already, the creator of one of his own without a row included. */
static uint32_t role_now(const struct facts *f)
{
	return eval_rights(&f->eval, EVAL_ASK_NOTHING).channel_role;
}

/* NULL: may be invited; else what forbids it. */
static const char *not_to_invite(const struct facts *f)
{
	if (!f->standing.member || f->standing.banned || f->person.erased)
		return "member";
	return f->place.banned ? "channel_ban" : NULL;
}

static enum status target_refused(const char *why)
{
	return why == NULL ? STATUS_OK : why[0] == 'm' ? STATUS_NOT_FOUND : STATUS_FORBIDDEN;
}

static enum status prepare_invite(struct change *c)
{
	const pb_InviteChannelMembersRequest *rq = c->request;
	struct inviting *inviting = c->data;

	enum status st = change_load_many(c, 0, rq->channel_id, inviting->ids, inviting->count);
	if (st == STATUS_OK)
		st = change_visible(c);
	if (st == STATUS_OK)
		st = channel_place_refused(c);
	if (st == STATUS_OK)
		st = change_need(c, PERMISSION_manage_channel_members);
	for (size_t i = 0; i < inviting->count && st == STATUS_OK; i++) {
		struct facts *f = change_target(c, i);
		const char *why = not_to_invite(f);
		if (why != NULL)
			return change_refuse(c, target_refused(why), why, NULL);
		if (!f->person.erased && inviting->users[i]->username != NULL)
			f->person = *inviting->users[i];
		if (role_now(f) == CHANNEL_ROLE_NONE)
			change_stream(c, STREAM_USER(f->person.id));
	}
	return st;
}

static enum status work_invite(struct change *c, struct log_tx *tx)
{
	const struct inviting *inviting = c->data;
	bool invited[INVITE_CHUNK] = {false};

	enum status st = rows_epochs_hold(c, inviting->count);
	for (size_t i = 0; i < inviting->count && st == STATUS_OK; i++) {
		struct facts *f = change_target(c, i);
		pb_ChannelMemberReply *out = &inviting->members[i];
		uint32_t role = role_now(f);
		uint64_t seq = 0;
		invited[i] = role == CHANNEL_ROLE_NONE;
		if (invited[i]) {
			role = CHANNEL_ROLE_INVITEE;
			st = channel_place_change(c, f, role, &seq); /* all audience events before the first other one */
			if (st == STATUS_OK)
				st = rows_channel_join(c, f, f->person.id, role);
			if (st == STATUS_OK)
				st = rows_raise(c, f->team.id, f->person.id, seq);
			if (st == STATUS_OK)
				st = rows_put_person(c, &f->person);
			f->place_joined_at_ms = c->now_ms;
			f->place_added_by = change_actor_id(c);
		}
		*out = (pb_ChannelMemberReply){.has_member = true, .created = invited[i]};
		channel_member_view(f, role, &out->member);
	}
	for (size_t i = 0; i < inviting->count && st == STATUS_OK; i++)
		if (invited[i])
			st = channel_tell_joined(c, change_target(c, i), CHANNEL_ROLE_INVITEE, false, false);
	for (size_t i = 0; i < inviting->count && st == STATUS_OK; i++)
		if (invited[i])
			st = channel_record_member(
				c, change_target(c, i), AUDIT_channel_member_added, CHANNEL_ROLE_INVITEE);
	return st;
}

/* Nobody comes into a conversation by an invitation, whoever asks. */
static enum status actor_refused(const struct facts *f, const char **out_why)
{
	struct eval_answer answer;

	if (f->eval.team == NULL) {
		*out_why = "conversation";
		return STATUS_FORBIDDEN;
	}
	enum status st = eval_need(&f->eval, PERMISSION_manage_channel_members, &answer);
	if (st == STATUS_FORBIDDEN)
		*out_why = permission_name(PERMISSION_manage_channel_members);
	return st;
}

/* Before the first commit, so that nobody is invited when one of them cannot be. Anything but STATUS_OK is answered. */
static enum status all_may_come(struct moderation *service, struct rpc_call *call, uint64_t channel_id,
	const pb_UserView *const *users, size_t count)
{
	struct facts *f = ARENA_ARRAY(call->mem, count + 1, struct facts);
	uint64_t *ids = ARENA_ARRAY(call->mem, count, uint64_t);
	struct db_conn *conn = NULL;

	const char *why = NULL;
	enum status st = read_begin(service, call, 0, channel_id, READ_VISIBLE, &conn, &f[count]);
	if (st != STATUS_OK)
		return st;
	for (size_t i = 0; i < count; i++)
		ids[i] = users[i]->id;
	struct facts_query query = {.channel_id = channel_id, .user_ids = ids, .user_count = count, .now_ms = clock_wall_ms()};
	st = actor_refused(&f[count], &why);
	if (st == STATUS_OK && count > 0)
		st = facts_load(conn, call->mem, &query, f);
	db_release(conn);
	for (size_t i = 0; st == STATUS_OK && why == NULL && i < count; i++)
		why = not_to_invite(&f[i]);
	if (st == STATUS_OK)
		st = target_refused(why);
	if (st != STATUS_OK)
		rpc_fail(call, st, why, NULL, NULL);
	return st;
}

static bool listed(const pb_UserView *const *users, size_t count, uint64_t id)
{
	for (size_t i = 0; i < count; i++)
		if (users[i]->id == id)
			return true;
	return false;
}

void serve_invite_channel_members(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_InviteChannelMembersRequest *rq = request;
	pb_InviteChannelMembersReply *out = reply;
	const pb_UserView **users = ARENA_ARRAY(call->mem, rq->users_count, const pb_UserView *);
	size_t count = 0;

	if (rq->users_count > SEED_MAX) {
		rpc_fail(call, STATUS_FIELD_INVALID, NULL, "users", NULL);
		return;
	}
	for (size_t i = 0; i < rq->users_count; i++)
		if (!listed(users, count, rq->users[i].id))
			users[count++] = &rq->users[i];
	if (all_may_come(service, call, rq->channel_id, users, count) != STATUS_OK)
		return;
	out->members = ARENA_ARRAY(call->mem, count, pb_ChannelMemberReply);
	for (size_t from = 0; from < count; from += INVITE_CHUNK) {
		struct commit_result result;
		struct inviting inviting = {.users = users + from,
			.count = count - from < INVITE_CHUNK ? count - from : INVITE_CHUNK,
			.members = out->members + from};
		for (size_t i = 0; i < inviting.count; i++)
			inviting.ids[i] = inviting.users[i]->id;
		struct change c = {.service = service,
			.call = call,
			.request = request,
			.prepare = prepare_invite,
			.work = work_invite,
			.data = &inviting,
			.rows_repeat = true};
		enum status st = change_commit(&c, &result);
		if (st != STATUS_OK) {
			out->members_count = 0;
			rpc_fail(call, st, result.why, result.field, result.detail);
			return;
		}
	}
	out->members_count = (pb_size_t)count;
	rpc_finish(call);
}
