/*
 * members - who is in a team: joining, being added, nicknames, leaving and being kicked, and the reads.
 * Joining and leaving write the audience event, then the public one, then the copy in the person's own stream, by which
 * gateways open or drop the team for that person's sockets.
 */
#include <string.h>

#include "services/moderation/audit.h"
#include "services/moderation/joining.h"
#include "services/moderation/removal.h"
#include "services/moderation/rows.h"

/* ---- joining */

enum status joining_load(struct change *c, uint64_t team_id, uint64_t user_id)
{
	enum status st = change_load(c, team_id, 0, &user_id, 1);
	if (st != STATUS_OK)
		return st;
	const struct facts *f = change_target(c, 0);
	if (f->team.suspended)
		return change_refuse(c, STATUS_NOT_FOUND, NULL, NULL);
	return STATUS_OK;
}

enum status joining_refused(struct change *c)
{
	const struct facts *f = change_target(c, 0);

	if (f->standing.member)
		return STATUS_OK;
	if (!f->account || f->person.erased)
		return change_refuse(c, STATUS_NOT_FOUND, "user", NULL);
	if (f->standing.banned)
		return change_refuse(c, STATUS_FORBIDDEN, "ban", NULL);
	change_stream(c, STREAM_USER(f->person.id));
	return STATUS_OK;
}

static enum status prepare_join_team(struct change *c)
{
	const pb_MemberRequest *rq = c->request;
	uint64_t user = rq->user_id != 0 ? rq->user_id : change_actor_id(c);

	if (user == 0)
		return change_field(c, "user_id");
	if (!change_by_system(c) && user != change_actor_id(c))
		return change_refuse(c, STATUS_FORBIDDEN, "self", NULL);
	enum status st = joining_load(c, rq->team_id, user);
	if (st != STATUS_OK)
		return st;
	const struct facts *f = change_target(c, 0);
	if (!f->standing.member && !change_by_system(c) && f->joining != JOINING_OPEN)
		return change_refuse(c, STATUS_FORBIDDEN, "joining", NULL);
	return joining_refused(c);
}

static enum status prepare_add_member(struct change *c)
{
	const pb_MemberRequest *rq = c->request;

	if (rq->user_id == 0)
		return change_field(c, "user_id");
	enum status st = joining_load(c, rq->team_id, rq->user_id);
	if (st == STATUS_OK)
		st = change_need(c, PERMISSION_manage_team);
	return st == STATUS_OK ? joining_refused(c) : st;
}

enum status joining_write(struct change *c, struct facts *f, struct joining_by by, pb_MemberReply *reply)
{
	uint64_t seq = 0, count = 0;
	char key[AUDIENCE_SIZE];

	enum status st = rows_count_teams(c, f->person.id, &count);
	if (st != STATUS_OK)
		return st;
	if (count >= TEAMS_PER_ACCOUNT_MAX)
		return change_refuse(c, STATUS_AT_LIMIT, "teams", NULL);
	audience_key(key, "team", f->team.id);
	st = change_audience(c, f->stream, f->person.id, key, NULL, &seq);
	if (st == STATUS_OK)
		st = rows_join(c, f->team.id, f->person.id, by.invited_by, seq);
	if (st == STATUS_OK)
		st = rows_count_members(c, f->team.id, 1, &count);
	if (st == STATUS_OK)
		st = rows_put_people(c);
	if (st != STATUS_OK)
		return st;
	f->standing.member = true;
	f->standing.role_count = 0;
	f->nickname = NULL;
	f->joined_at_ms = c->now_ms;
	f->left_at_ms = 0;
	reply->has_member = true;
	member_view(f, c->mem, &reply->member);
	reply->created = true;

	pb_Event *ev = change_event(c, EVENT_KIND_member_joined);
	ev->body.member_joined = (pb_MemberJoined){.has_member = true,
		.member = reply->member,
		.by = change_actor_id(c) == f->person.id ? 0 : change_actor_id(c),
		.member_count = count,
		.invite = (char *)by.invite};
	st = change_append(c, f->stream, key, ev, NULL);
	if (st == STATUS_OK)
		st = change_append_user(c, f->person.id, ev);
	return st;
}

static enum status work_join_team(struct change *c, struct log_tx *tx)
{
	struct facts *f = change_target(c, 0);
	pb_MemberReply *reply = c->reply;
	uint64_t by = change_actor_id(c) == f->person.id ? 0 : change_actor_id(c);

	if (!f->standing.member) {
		enum status st = joining_write(c, f, (struct joining_by){.invited_by = by}, reply);
		if (st != STATUS_OK || by == 0)
			return st;
		return audit_append(
			c, &(struct audit_entry){.action = AUDIT_member_added, .target_id = f->person.id});
	}
	reply->has_member = true;
	member_view(f, c->mem, &reply->member);
	return STATUS_OK;
}
#define work_add_member work_join_team

CHANGE_HANDLER(join_team, pb_MemberRequest, KNOWN_USER)
CHANGE_HANDLER(add_member, pb_MemberRequest, KNOWN_USER)

/* ---- nickname */

static enum status prepare_update_member(struct change *c)
{
	const pb_UpdateMemberRequest *rq = c->request;

	if (!text_within(rq->nickname, 0, NICKNAME_MAX))
		return change_field(c, "nickname");
	enum status st = change_load(c, rq->team_id, 0, &rq->user_id, 1);
	if (st == STATUS_OK)
		st = change_visible(c);
	if (st != STATUS_OK)
		return st;
	if (!change_target(c, 0)->standing.member)
		return change_refuse(c, STATUS_NOT_FOUND, "member", NULL);
	c->op.keeps_rights = true;
	return change_need(c, rq->user_id == change_actor_id(c) ? PERMISSION_change_own_nickname
								: PERMISSION_manage_nicknames);
}

/* A nickname decides no right and raises no epoch, so it is compared with the row itself. */
static const struct db_stmt nickname_stmt = {"moderation_nickname",
	"UPDATE moderation.members SET nickname = $3 WHERE team_id = $1 AND user_id = $2 AND left_at_ms IS NULL"
	" AND nickname IS DISTINCT FROM $3 RETURNING user_id"};

static enum status work_update_member(struct change *c, struct log_tx *tx)
{
	const pb_UpdateMemberRequest *rq = c->request;
	struct facts *f = change_target(c, 0);
	pb_MemberReply *reply = c->reply;
	const char *nickname = rq->nickname != NULL && rq->nickname[0] != 0 ? rq->nickname : NULL;
	char key[AUDIENCE_SIZE];
	struct db_params p;
	struct db_rows rows = {0};

	change_params(c, &p);
	db_put_id(&p, rq->team_id);
	db_put_id(&p, rq->user_id);
	db_put_text(&p, nickname);
	enum status st = change_query(c, &nickname_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	const char *was = f->nickname;
	f->nickname = nickname;
	reply->has_member = true;
	member_view(f, c->mem, &reply->member);
	if (rows.count == 0)
		return STATUS_OK;

	static char *const changed[] = {"nickname"};
	pb_Event *ev = change_event(c, EVENT_KIND_member_updated);
	ev->body.member_updated = (pb_MemberUpdated){
		.has_member = true, .member = reply->member, .changed_count = 1, .changed = (char **)changed};
	audience_key(key, "team", f->team.id);
	st = change_append(c, f->stream, key, ev, NULL);
	if (st != STATUS_OK || rq->user_id == change_actor_id(c))
		return st;
	struct audit_changes a;
	audit_changes_begin(&a, c->mem);
	audit_text_change(&a, "nickname", was, nickname);
	return audit_append(c, &(struct audit_entry){.action = AUDIT_member_nickname_changed,
				       .target_id = rq->user_id,
				       .changes = audit_changes_end(&a)});
}

CHANGE_HANDLER(update_member, pb_UpdateMemberRequest, NULL)

/* ---- leaving and being kicked */

enum status removal_refused(struct change *c, const struct facts *actor, const struct facts *target)
{
	struct eval_answer a = eval_rights(&actor->eval, EVAL_ASK_NOTHING);
	struct eval_answer t = eval_rights(&target->eval, EVAL_ASK_NOTHING);

	if (target->team.owner_id == target->person.id)
		return change_refuse(c, STATUS_FORBIDDEN, "owner", NULL);
	if (change_by_system(c))
		return STATUS_OK;
	return eval_outranks(&a, &t) ? STATUS_OK : change_refuse(c, STATUS_FORBIDDEN, "rank", NULL);
}

enum status removal_write(struct change *c, struct facts *f, enum removal reason)
{
	uint64_t seq = 0, count = 0;
	char key[AUDIENCE_SIZE];

	audience_key(key, "team", f->team.id);
	/* Losing the team's key is losing every key at home in this stream. */
	enum status st = change_audience(c, f->stream, f->person.id, NULL, key, &seq);
	if (st != STATUS_OK)
		return st;
	if (!f->standing.member)
		return rows_raise(c, f->team.id, f->person.id, seq);
	st = rows_leave(c, f->team.id, f->person.id, seq);
	if (st == STATUS_OK)
		st = rows_count_members(c, f->team.id, -1, &count);
	if (st != STATUS_OK)
		return st;
	pb_Event *ev = change_event(c, EVENT_KIND_member_removed);
	pb_MemberRemoved *body = &ev->body.member_removed;
	f->left_at_ms = c->now_ms;
	f->standing.member = false;
	*body = (pb_MemberRemoved){.has_member = true,
		.reason = reason,
		.member_count = count,
		.by = change_actor_id(c) == f->person.id ? 0 : change_actor_id(c)};
	member_view(f, c->mem, &body->member);
	st = change_append(c, f->stream, key, ev, NULL);
	if (st == STATUS_OK)
		st = change_append_user(c, f->person.id, ev);
	return st;
}

static enum status prepare_remove_member(struct change *c)
{
	const pb_MemberRequest *rq = c->request;
	bool leaves = rq->user_id == change_actor_id(c);

	enum status st = change_load(c, rq->team_id, 0, &rq->user_id, 1);
	if (st == STATUS_OK)
		st = change_visible(c);
	if (st != STATUS_OK)
		return st;
	const struct facts *f = change_target(c, 0);
	if (leaves && f->standing.member && f->team.owner_id == rq->user_id)
		return change_refuse(c, STATUS_CONFLICT, "owner", NULL);
	if (!leaves)
		st = change_need(c, PERMISSION_kick_members);
	if (st != STATUS_OK)
		return st;
	if (!f->has_row)
		return change_refuse(c, STATUS_NOT_FOUND, "member", NULL);
	if (!f->standing.member)
		return STATUS_OK; /* gone already: nothing to do, nothing to say */
	if (!leaves)
		st = removal_refused(c, change_actor(c), f);
	change_stream(c, STREAM_USER(rq->user_id));
	return st;
}

static enum status work_remove_member(struct change *c, struct log_tx *tx)
{
	const pb_MemberRequest *rq = c->request;
	struct facts *f = change_target(c, 0);

	bool leaves = rq->user_id == change_actor_id(c);

	if (!f->standing.member)
		return STATUS_OK;
	enum status st = removal_write(c, f, leaves ? REMOVAL_LEFT : REMOVAL_KICKED);
	if (st != STATUS_OK || leaves)
		return st;
	return audit_append(c, &(struct audit_entry){.action = AUDIT_member_kicked, .target_id = rq->user_id});
}

CHANGE_HANDLER(remove_member, pb_MemberRequest, NULL)

/* ---- reads */

void serve_get_member(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_MemberRequest *rq = request;
	pb_MemberReply *out = reply;
	struct db_conn *conn = NULL;
	struct facts *f = ARENA_ARRAY(call->mem, 2, struct facts);

	if (read_begin(service, call, rq->team_id, 0, READ_VISIBLE, &conn, &f[0]) != STATUS_OK)
		return;
	struct facts_query query = {.actor_id = call->header->actor_id,
		.team_id = rq->team_id,
		.user_ids = &rq->user_id,
		.user_count = 1,
		.now_ms = f[0].eval.now_ms};
	enum status st = facts_load(conn, call->mem, &query, &f[1]);
	if (st == STATUS_OK && (!f[1].standing.member || f[1].team.deleted))
		st = STATUS_NOT_FOUND;
	if (st == STATUS_OK) {
		out->has_member = true;
		member_view(&f[1], call->mem, &out->member);
	}
	read_end(call, conn, st);
}

#define LIST_MEMBERS                                                                                         \
	"SELECT m.user_id, " PERSON_COLUMNS("p") ", m.nickname, m.joined_at_ms, m.timeout_until_ms,"         \
	" m.muted, m.deafened, ARRAY(SELECT mr.role_id FROM moderation.member_roles mr"                       \
	"   WHERE mr.team_id = m.team_id AND mr.user_id = m.user_id ORDER BY mr.role_id)"                     \
	" FROM moderation.members m LEFT JOIN moderation.people p ON p.id = m.user_id"                        \
	" WHERE m.team_id = $1 AND m.left_at_ms IS NULL"                                                      \
	" AND ($4 = '' OR strpos(lower(p.username), lower($4)) > 0 OR strpos(lower(p.display_name), lower($4)) > 0)"
static const struct db_stmt list_after_stmt = {"moderation_members_after",
	LIST_MEMBERS " AND m.user_id > $2 ORDER BY m.user_id LIMIT $3"};
static const struct db_stmt list_before_stmt = {"moderation_members_before",
	LIST_MEMBERS " AND m.user_id < $2 ORDER BY m.user_id DESC LIMIT $3"};
static const struct db_stmt roles_stmt = {"moderation_team_roles",
	"SELECT " ROLE_ARRAYS " FROM moderation.roles r WHERE r.team_id = $1"};

void serve_list_members(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_ListMembersRequest *rq = request;
	pb_ListMembersReply *out = reply;
	struct db_conn *conn = NULL;
	struct facts *f = ARENA_NEW(call->mem, struct facts);
	struct db_params p;
	struct db_rows rows = {0};
	struct eval_role *roles;
	uint32_t limit;
	bool back = rq->before != 0;

	if (list_limit(rq->limit, LIST_MAX, &limit) != STATUS_OK) {
		rpc_fail(call, STATUS_FIELD_INVALID, NULL, "limit", NULL);
		return;
	}
	if (read_begin(service, call, rq->team_id, 0, READ_VISIBLE, &conn, f) != STATUS_OK)
		return;
	db_params_begin(&p, call->mem);
	db_put_id(&p, rq->team_id);
	enum status st = db_query(conn, call->mem, &roles_stmt, &p, &rows);
	if (st != STATUS_OK)
		goto out;
	f->eval.role_count = roles_from_row(&rows, 0, 0, call->mem, &roles);
	f->eval.roles = roles;
	db_params_begin(&p, call->mem);
	db_put_id(&p, rq->team_id);
	db_put_id(&p, back ? rq->before : rq->after);
	db_put_i64(&p, limit + 1);
	db_put_text(&p, rq->named != NULL ? rq->named : "");
	st = db_query(conn, call->mem, back ? &list_before_stmt : &list_after_stmt, &p, &rows);
	if (st != STATUS_OK)
		goto out;
	size_t count = (size_t)rows.count < limit ? (size_t)rows.count : limit;
	out->more = (size_t)rows.count > limit;
	out->members = ARENA_ARRAY(call->mem, count, pb_MemberView);
	out->members_count = (pb_size_t)count;
	for (size_t i = 0; i < count; i++) {
		int row = (int)(back ? count - 1 - i : i), at = 1 + PERSON_COLUMN_COUNT;
		struct facts m = {.eval = f->eval, .team = f->team, .stream = f->stream};
		uint64_t *held;
		person_from_row(&rows, row, 1, call->mem, db_id(&rows, row, 0), &m.person);
		m.nickname = arena_strdup(call->mem, db_text(&rows, row, at));
		m.joined_at_ms = db_i64(&rows, row, at + 1);
		m.standing = (struct eval_standing){.member = true,
			.timeout_until_ms = db_i64(&rows, row, at + 2),
			.muted = db_bool(&rows, row, at + 3),
			.deafened = db_bool(&rows, row, at + 4)};
		m.standing.role_count = ids_from_row(&rows, row, at + 5, call->mem, &held);
		m.standing.role_ids = held;
		m.eval.user_id = m.person.id;
		m.eval.account_gone = m.person.erased;
		m.eval.team = &m.team;
		m.eval.standing = &m.standing;
		member_view(&m, call->mem, &out->members[i]);
	}
out:
	read_end(call, conn, st);
}
