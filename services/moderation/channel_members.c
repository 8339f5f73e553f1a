/*
 * channel_members - explicit membership of a team's channels: joining, being added, leaving, being kicked, roles.
 * Nobody needs a row to read an open channel; in a private one the row is what lets its person see it, and then the
 * change begins with audience_changed. What is different in a conversation is conversation_members.c's.
 */
#include "services/moderation/channel_members.h"

#include "services/moderation/channel_rank.h"
#include "services/moderation/conversation_members.h"
#include "services/moderation/rows.h"

/* ---- shared */

/* A conversation's turn is the caller's to take (change_in_conversation), unless the request is for channels of teams alone. */
static enum status load_place(struct change *c, const pb_ChannelMemberRequest *rq, uint64_t user_id)
{
	if (user_id == 0)
		return change_field(c, "user_id");
	enum status st = change_load(c, 0, rq->channel_id, &user_id, 1);
	if (st == STATUS_OK)
		st = change_visible(c);
	return st == STATUS_OK && (rq->team_only || !change_in_conversation(c)) ? channel_place_refused(c) : st;
}

enum status channel_place_refused(struct change *c)
{
	const struct facts *f = change_actor(c);

	if (f->channel.deleted)
		return change_refuse(c, STATUS_NOT_FOUND, NULL, NULL);
	if (f->eval.team == NULL)
		return change_refuse(c, STATUS_FORBIDDEN, "conversation", NULL);
	return STATUS_OK;
}

bool channel_can_view(const struct facts *f)
{
	return f->standing.member && eval_rights(&f->eval, EVAL_ASK_NOTHING).status == STATUS_OK;
}

enum status channel_place_change(struct change *c, struct facts *f, uint32_t role, uint64_t *out_seq)
{
	char key[AUDIENCE_SIZE];
	bool before = channel_can_view(f);

	f->place.known = true;
	f->place.role = role;
	bool after = channel_can_view(f);
	*out_seq = 0;
	if (before == after || !f->restricted)
		return STATUS_OK;
	facts_audience(f, key);
	return change_audience(c, f->stream, f->person.id, after ? key : NULL, after ? NULL : key, out_seq);
}

enum status channel_tell_joined(struct change *c, const struct facts *f, uint32_t role, bool promoted, bool seeded)
{
	char key[AUDIENCE_SIZE];

	pb_Event *ev = change_event(c, EVENT_KIND_channel_member_joined);
	ev->body.channel_member_joined = (pb_ChannelMemberJoined){.has_channel = true,
		.channel = f->channel_view,
		.has_user = true,
		.user = f->person,
		.role = role,
		.by = change_actor_id(c) == f->person.id ? 0 : change_actor_id(c),
		.promoted = promoted,
		.invited = role == CHANNEL_ROLE_INVITEE,
		.seeded = seeded};
	facts_audience(f, key);
	enum status st = change_append(c, f->stream, key, ev, NULL);
	return st == STATUS_OK ? change_append_user(c, f->person.id, ev) : st;
}

enum status channel_record_member(struct change *c, const struct facts *f, enum audit_action action, uint32_t role)
{
	struct audit_changes a;

	if (change_actor_id(c) == f->person.id)
		return STATUS_OK;
	audit_changes_begin(&a, c->mem);
	audit_id(&a, "channel_id", f->channel.id);
	if (role != CHANNEL_ROLE_NONE)
		audit_text(&a, "role", channel_role_word(role));
	return audit_append(
		c, &(struct audit_entry){.action = action, .target_id = f->person.id, .changes = audit_changes_end(&a)});
}

/* ---- joining and being added */

struct joining_as {
	uint32_t role;  /* CHANNEL_ROLE_NONE: he is there already */
	bool promoted;  /* an invitee becomes a member */
};

/* Who made the channel and has no row yet comes back as what he is. */
static struct joining_as decide(const struct facts *f, uint32_t asked)
{
	struct eval_answer a = eval_rights(&f->eval, EVAL_ASK_NOTHING);
	bool invitee = f->place.role == CHANNEL_ROLE_INVITEE;

	if (f->place.role != CHANNEL_ROLE_NONE && !(invitee && asked == CHANNEL_ROLE_MEMBER))
		return (struct joining_as){CHANNEL_ROLE_NONE, false};
	if (!f->place.known && a.channel_role == CHANNEL_ROLE_OWNER)
		return (struct joining_as){CHANNEL_ROLE_OWNER, false};
	return (struct joining_as){asked, invitee};
}

static enum status prepare_join_channel(struct change *c)
{
	const pb_ChannelMemberRequest *rq = c->request;
	uint64_t user = rq->user_id != 0 ? rq->user_id : change_actor_id(c);

	if (!change_by_system(c) && user != change_actor_id(c))
		return change_refuse(c, STATUS_FORBIDDEN, "self", NULL);
	enum status st = load_place(c, rq, user);
	if (st != STATUS_OK)
		return st;
	if (change_in_conversation(c))
		return conversation_prepare_join(c);
	const struct facts *f = change_target(c, 0);
	if (!f->standing.member)
		return change_refuse(c, STATUS_FORBIDDEN, "membership", NULL);
	if (decide(f, CHANNEL_ROLE_MEMBER).role == CHANNEL_ROLE_NONE)
		return STATUS_OK;
	change_stream(c, STREAM_USER(user));
	return change_need(c, PERMISSION_join_channel);
}

static enum status prepare_add_channel_member(struct change *c)
{
	const pb_ChannelMemberRequest *rq = c->request;

	if (rq->role != CHANNEL_ROLE_NONE && rq->role != CHANNEL_ROLE_MEMBER && rq->role != CHANNEL_ROLE_INVITEE)
		return change_field(c, "role");
	enum status st = load_place(c, rq, rq->user_id);
	if (st == STATUS_OK && change_in_conversation(c))
		return conversation_prepare_add(c);
	if (st == STATUS_OK)
		st = change_need(c, PERMISSION_manage_channel_members);
	if (st != STATUS_OK)
		return st;
	const struct facts *f = change_target(c, 0);
	if (!f->standing.member || f->person.erased)
		return change_refuse(c, STATUS_NOT_FOUND, "member", NULL);
	if (f->place.banned)
		return change_refuse(c, STATUS_FORBIDDEN, "channel_ban", NULL);
	change_stream(c, STREAM_USER(rq->user_id));
	return STATUS_OK;
}

static enum status work_join_channel(struct change *c, struct log_tx *tx)
{
	const pb_ChannelMemberRequest *rq = c->request;
	pb_ChannelMemberReply *reply = c->reply;
	struct facts *f = change_target(c, 0);
	if (change_in_conversation(c))
		return conversation_work_add(c);
	struct joining_as as =
		decide(f, rq->role == CHANNEL_ROLE_INVITEE ? CHANNEL_ROLE_INVITEE : CHANNEL_ROLE_MEMBER);
	uint64_t seq = 0;

	reply->has_member = true;
	if (as.role == CHANNEL_ROLE_NONE) {
		channel_member_view(f, f->place.role, &reply->member);
		return STATUS_OK;
	}
	enum status st = channel_place_change(c, f, as.role, &seq);
	if (st == STATUS_OK)
		st = rows_channel_join(c, f, f->person.id, as.role);
	if (st == STATUS_OK)
		st = rows_raise(c, f->team.id, f->person.id, seq);
	if (st == STATUS_OK)
		st = rows_put_people(c);
	if (st != STATUS_OK)
		return st;
	f->place_joined_at_ms = c->now_ms;
	f->place_added_by = change_actor_id(c) == f->person.id ? 0 : change_actor_id(c);
	channel_member_view(f, as.role, &reply->member);
	reply->created = true;
	st = channel_tell_joined(c, f, as.role, as.promoted, false);
	return st == STATUS_OK ? channel_record_member(c, f, AUDIT_channel_member_added, as.role) : st;
}
#define work_add_channel_member work_join_channel

CHANGE_HANDLER(join_channel, pb_ChannelMemberRequest, KNOWN_USER)
CHANGE_HANDLER(add_channel_member, pb_ChannelMemberRequest, KNOWN_USER)

/* ---- leaving and being kicked */

static uint32_t role_now(const struct facts *f)
{
	return eval_rights(&f->eval, EVAL_ASK_NOTHING).channel_role;
}

/* Oneself leaves; somebody else is taken out by who manages the members, which is told as leaving, too, not as a kick. */
static enum status prepare_leave_channel(struct change *c)
{
	const pb_ChannelMemberRequest *rq = c->request;
	uint64_t user = rq->user_id != 0 ? rq->user_id : change_actor_id(c);
	bool leaves = change_by_system(c) || user == change_actor_id(c);

	enum status st = load_place(c, rq, user);
	if (st == STATUS_OK && change_in_conversation(c))
		return conversation_prepare_remove(c);
	if (st == STATUS_OK && !leaves)
		st = change_need(c, PERMISSION_manage_channel_members);
	if (st != STATUS_OK)
		return st;
	const struct facts *f = change_target(c, 0);
	if (role_now(f) == CHANNEL_ROLE_NONE)
		return leaves || f->place.known ? STATUS_OK : change_refuse(c, STATUS_NOT_FOUND, "member", NULL);
	change_stream(c, STREAM_USER(user));
	return leaves ? change_need(c, PERMISSION_leave_channel) : channel_target_refused(c, f);
}

static enum status prepare_kick_channel_member(struct change *c)
{
	const pb_ChannelMemberRequest *rq = c->request;

	enum status st = load_place(c, rq, rq->user_id);
	if (st == STATUS_OK && change_in_conversation(c))
		return rq->user_id == change_actor_id(c) ? change_refuse(c, STATUS_FORBIDDEN, "rank", NULL)
							 : conversation_prepare_remove(c);
	if (st == STATUS_OK)
		st = change_need(c, PERMISSION_moderate_channel);
	if (st != STATUS_OK)
		return st;
	const struct facts *f = change_target(c, 0);
	if (role_now(f) == CHANNEL_ROLE_NONE)
		return f->place.known ? STATUS_OK : change_refuse(c, STATUS_NOT_FOUND, "member", NULL);
	change_stream(c, STREAM_USER(rq->user_id));
	return channel_target_refused(c, f);
}

static enum status end_place(struct change *c, uint32_t which)
{
	struct facts *f = change_target(c, 0);
	char key[AUDIENCE_SIZE];
	uint64_t seq = 0;

	if (role_now(f) == CHANNEL_ROLE_NONE)
		return STATUS_OK; /* gone already */
	enum status st = channel_place_change(c, f, CHANNEL_ROLE_NONE, &seq);
	if (st == STATUS_OK)
		st = rows_channel_leave(c, f, f->person.id);
	if (st == STATUS_OK)
		st = rows_raise(c, f->team.id, f->person.id, seq);
	if (st != STATUS_OK)
		return st;
	pb_Event *ev = change_event(c, which);
	pb_ChannelMemberLeft body = {.has_channel = true,
		.channel = facts_channel_ref(f),
		.has_user = true,
		.user = f->person,
		.by = change_actor_id(c) == f->person.id ? 0 : change_actor_id(c)};
	if (which == EVENT_KIND_channel_member_left)
		ev->body.channel_member_left = body;
	else
		ev->body.channel_member_kicked = body;
	facts_audience(f, key);
	st = change_append(c, f->stream, key, ev, NULL);
	if (st == STATUS_OK)
		st = change_append_user(c, f->person.id, ev);
	if (st != STATUS_OK)
		return st;
	return channel_record_member(c, f,
		which == EVENT_KIND_channel_member_left ? AUDIT_channel_member_removed : AUDIT_channel_member_kicked,
		CHANNEL_ROLE_NONE);
}

static enum status work_leave_channel(struct change *c, struct log_tx *tx)
{
	if (change_in_conversation(c))
		return conversation_work_remove(c);
	return end_place(c, EVENT_KIND_channel_member_left);
}

static enum status work_kick_channel_member(struct change *c, struct log_tx *tx)
{
	if (change_in_conversation(c))
		return conversation_work_remove(c);
	return end_place(c, EVENT_KIND_channel_member_kicked);
}

CHANGE_HANDLER(leave_channel, pb_ChannelMemberRequest, NULL)
CHANGE_HANDLER(kick_channel_member, pb_ChannelMemberRequest, KNOWN_USER)

/* ---- roles */

static enum status prepare_set_channel_role(struct change *c)
{
	const pb_ChannelMemberRequest *rq = c->request;

	if (rq->role != CHANNEL_ROLE_OWNER && rq->role != CHANNEL_ROLE_MODERATOR && rq->role != CHANNEL_ROLE_MEMBER)
		return change_field(c, "role");
	enum status st = load_place(c, rq, rq->user_id);
	if (st == STATUS_OK)
		st = channel_place_refused(c);
	if (st == STATUS_OK)
		st = change_need(c, PERMISSION_manage_channel_members);
	if (st != STATUS_OK)
		return st;
	const struct facts *f = change_target(c, 0);
	if (role_now(f) == CHANNEL_ROLE_NONE)
		return change_refuse(c, STATUS_NOT_FOUND, "member", NULL);
	if (change_by_system(c))
		return STATUS_OK;
	/* A channel moderator brings people in, but only its owner, or who manages the team's channels, makes owners. */
	if (role_now(change_actor(c)) != CHANNEL_ROLE_OWNER)
		st = change_need(c, PERMISSION_manage_channels);
	if (st == STATUS_OK && channel_rank_compare(change_actor(c), f) < 0)
		st = change_refuse(c, STATUS_FORBIDDEN, "rank", NULL);
	return st;
}

static const struct db_stmt set_role_stmt = {"moderation_set_channel_role",
	"UPDATE moderation.channel_members SET role = $3 WHERE channel_id = $1 AND user_id = $2 AND left_at_ms IS NULL"};

static enum status work_set_channel_role(struct change *c, struct log_tx *tx)
{
	const pb_ChannelMemberRequest *rq = c->request;
	pb_ChannelMemberReply *reply = c->reply;
	struct facts *f = change_target(c, 0);
	static char *const changed[] = {"role"};
	bool same = f->place.known && f->place.role == rq->role;
	uint32_t was = role_now(f);
	char key[AUDIENCE_SIZE];
	struct db_params p;
	uint64_t seq = 0;
	enum status st = STATUS_OK;

	reply->has_member = true;
	channel_member_view(f, rq->role, &reply->member);
	if (same)
		return STATUS_OK;
	if (f->place.known) {
		change_params(c, &p);
		db_put_id(&p, rq->channel_id);
		db_put_id(&p, rq->user_id);
		db_put_i16(&p, (int16_t)rq->role);
		st = change_query(c, &set_role_stmt, &p, NULL);
	} else {
		st = rows_channel_join(c, f, rq->user_id, rq->role);
		reply->member.joined_at_ms = (uint64_t)c->now_ms;
	}
	if (st == STATUS_OK)
		st = channel_place_change(c, f, rq->role, &seq);
	if (st == STATUS_OK)
		st = rows_raise(c, f->team.id, rq->user_id, seq);
	if (st != STATUS_OK)
		return st;
	pb_Event *ev = change_event(c, EVENT_KIND_channel_member_updated);
	ev->body.channel_member_updated = (pb_ChannelMemberUpdated){.has_channel = true,
		.channel = facts_channel_ref(f),
		.has_user = true,
		.user = f->person,
		.role = rq->role,
		.nickname = reply->member.nickname,
		.changed_count = 1,
		.changed = (char **)changed,
		.has_member = true,
		.member = reply->member};
	facts_audience(f, key);
	st = change_append(c, f->stream, key, ev, NULL);
	if (st != STATUS_OK || change_actor_id(c) == rq->user_id)
		return st;
	struct audit_changes a;
	audit_changes_begin(&a, c->mem);
	audit_id(&a, "channel_id", f->channel.id);
	audit_text_change(&a, "role", channel_role_word(was), channel_role_word(rq->role));
	return audit_append(c, &(struct audit_entry){.action = AUDIT_channel_role_changed,
				       .target_id = rq->user_id,
				       .changes = audit_changes_end(&a)});
}

CHANGE_HANDLER(set_channel_role, pb_ChannelMemberRequest, KNOWN_USER)

/* ---- reading */

#define LIST_CHANNEL_MEMBERS                                                                                 \
	"SELECT m.user_id, " PERSON_COLUMNS("p") ", m.role, m.nickname, m.joined_at_ms, m.added_by"          \
	" FROM moderation.channel_members m LEFT JOIN moderation.people p ON p.id = m.user_id"                 \
	" WHERE m.channel_id = $1 AND m.left_at_ms IS NULL"
static const struct db_stmt list_after_stmt = {"moderation_channel_members_after",
	LIST_CHANNEL_MEMBERS " AND m.user_id > $2 ORDER BY m.user_id LIMIT $3"};
static const struct db_stmt list_before_stmt = {"moderation_channel_members_before",
	LIST_CHANNEL_MEMBERS " AND m.user_id < $2 ORDER BY m.user_id DESC LIMIT $3"};

void serve_list_channel_members(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_ListChannelMembersRequest *rq = request;
	pb_ListChannelMembersReply *out = reply;
	struct db_conn *conn = NULL;
	struct facts *f = ARENA_NEW(call->mem, struct facts);
	struct db_params p;
	struct db_rows rows = {0};
	uint32_t limit;
	bool back = rq->before != 0;

	if (list_limit(rq->limit, LIST_MAX, &limit) != STATUS_OK) {
		rpc_fail(call, STATUS_FIELD_INVALID, NULL, "limit", NULL);
		return;
	}
	if (read_begin(service, call, 0, rq->channel_id, READ_VISIBLE, &conn, f) != STATUS_OK)
		return;
	db_params_begin(&p, call->mem);
	db_put_id(&p, rq->channel_id);
	db_put_id(&p, back ? rq->before : rq->after);
	db_put_i64(&p, limit + 1);
	enum status st = db_query(conn, call->mem, back ? &list_before_stmt : &list_after_stmt, &p, &rows);
	if (st == STATUS_OK) {
		size_t count = (size_t)rows.count < limit ? (size_t)rows.count : limit;
		out->more = (size_t)rows.count > limit;
		out->members = ARENA_ARRAY(call->mem, count, pb_ChannelMemberView);
		out->members_count = (pb_size_t)count;
		for (size_t i = 0; i < count; i++) {
			int row = (int)(back ? count - 1 - i : i), at = 1 + PERSON_COLUMN_COUNT;
			pb_ChannelMemberView *m = &out->members[i];
			m->has_user = true;
			person_from_row(&rows, row, 1, call->mem, db_id(&rows, row, 0), &m->user);
			m->channel_id = rq->channel_id;
			m->role = (uint32_t)db_i64(&rows, row, at);
			m->nickname = arena_strdup(call->mem, db_text(&rows, row, at + 1));
			m->joined_at_ms = db_id(&rows, row, at + 2);
			m->added_by = db_id(&rows, row, at + 3);
		}
	}
	read_end(call, conn, st);
}
