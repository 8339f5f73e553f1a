/*
 * member_roles - roles given to members and taken from them. Concerns one person: his epoch is raised, and gateways ask for
 * his keys anew (his role's own key, and whatever channel the role opens or closes). A role that is self_assignable is
 * taken and left by members themselves.
 */
#include <string.h>

#include "services/moderation/audit.h"
#include "services/moderation/hierarchy.h"
#include "services/moderation/rows.h"

static enum status prepare(struct change *c)
{
	const pb_MemberRoleRequest *rq = c->request;

	enum status st = change_load(c, rq->team_id, 0, &rq->user_id, 1);
	if (st == STATUS_OK)
		st = change_visible(c);
	if (st != STATUS_OK)
		return st;
	if (!change_target(c, 0)->standing.member)
		return change_refuse(c, STATUS_NOT_FOUND, "member", NULL);
	change_stream(c, STREAM_USER(rq->user_id));
	return STATUS_OK;
}
#define prepare_add_member_role    prepare
#define prepare_remove_member_role prepare

/* For oneself a role that is there for it needs no right, only that nobody restricts the person. */
static enum status may_change(struct change *c, const struct hierarchy *h, const pb_RoleView *role)
{
	const pb_MemberRoleRequest *rq = c->request;

	if (role == NULL)
		return change_refuse(c, STATUS_NOT_FOUND, "role", NULL);
	if (role->is_base)
		return change_refuse(c, STATUS_FORBIDDEN, "base_role", NULL);
	if (role->self_assignable && !change_by_system(c) && rq->user_id == change_actor_id(c)) {
		struct eval_answer answer = eval_rights(&change_actor(c)->eval, EVAL_ASK_NOTHING);
		return answer.rule == RULE_TIMEOUT ? change_refuse(c, STATUS_TIMED_OUT, "timeout", NULL) : STATUS_OK;
	}
	enum status st = change_need(c, PERMISSION_manage_roles);
	return st == STATUS_OK ? hierarchy_above(c, h, role) : st;
}

static bool has_role(const struct facts *f, uint64_t role_id)
{
	for (size_t i = 0; i < f->standing.role_count; i++)
		if (f->standing.role_ids[i] == role_id)
			return true;
	return false;
}

/* What the person has afterwards, in the order of ids as everywhere; roles are all of the team. */
static void take_over(struct change *c, struct facts *f, const struct hierarchy *h, uint64_t role_id, bool gives)
{
	uint64_t *held = ARENA_ARRAY(c->mem, f->standing.role_count + 1, uint64_t);
	struct eval_role *roles = ARENA_ARRAY(c->mem, h->count, struct eval_role);
	size_t count = 0;
	bool placed = !gives;

	for (size_t i = 0; i < f->standing.role_count; i++) {
		uint64_t id = f->standing.role_ids[i];
		if (!placed && role_id < id) {
			held[count++] = role_id;
			placed = true;
		}
		if (gives || id != role_id)
			held[count++] = id;
	}
	if (!placed)
		held[count++] = role_id;
	for (size_t i = 0; i < h->count; i++)
		roles[i] = (struct eval_role){.id = h->roles[i].id,
			.permissions = {h->roles[i].permissions.low, h->roles[i].permissions.high},
			.position = h->roles[i].position,
			.base = h->roles[i].is_base};
	f->standing.role_ids = held;
	f->standing.role_count = count;
	f->eval.roles = roles;
	f->eval.role_count = h->count;
}

static enum status tell(struct change *c, const pb_MemberView *member, const pb_RoleView *role, bool gives)
{
	pb_Event *ev = change_event(c, EVENT_KIND_member_roles_changed);
	pb_MemberRolesChanged *body = &ev->body.member_roles_changed;
	pb_RoleView *moved = arena_memdup(c->mem, role, sizeof *role);
	char key[AUDIENCE_SIZE];

	*body = (pb_MemberRolesChanged){.has_member = true, .member = *member};
	if (gives) {
		body->added = moved;
		body->added_count = 1;
	} else {
		body->removed = moved;
		body->removed_count = 1;
	}
	audience_key(key, "team", role->team_id);
	enum status st = change_append(c, change_actor(c)->stream, key, ev, NULL);
	return st == STATUS_OK ? change_append_user(c, member->user.id, ev) : st;
}

static const struct db_stmt add_stmt = {"moderation_add_member_role",
	"INSERT INTO moderation.member_roles (team_id, user_id, role_id) VALUES ($1, $2, $3)"};
static const struct db_stmt remove_stmt = {"moderation_remove_member_role",
	"DELETE FROM moderation.member_roles WHERE team_id = $1 AND user_id = $2 AND role_id = $3"};

static enum status work(struct change *c, bool gives)
{
	const pb_MemberRoleRequest *rq = c->request;
	struct facts *f = change_target(c, 0);
	pb_MemberReply *reply = c->reply;
	struct hierarchy h;
	struct db_params p;
	uint64_t seq = 0;

	enum status st = hierarchy_load(c, rq->team_id, &h);
	if (st != STATUS_OK)
		return st;
	const pb_RoleView *role = hierarchy_find(&h, rq->role_id);
	st = may_change(c, &h, role);
	if (st != STATUS_OK)
		return st;
	reply->has_member = true;
	if (has_role(f, rq->role_id) == gives) {
		member_view(f, c->mem, &reply->member);
		return STATUS_OK;
	}
	if (gives && f->standing.role_count >= ROLES_PER_MEMBER_MAX)
		return change_refuse(c, STATUS_AT_LIMIT, "roles", NULL);
	st = change_recheck(c, f->stream, 0, rq->user_id, gives ? "role_given" : "role_taken", &seq);
	if (st != STATUS_OK)
		return st;
	change_params(c, &p);
	db_put_id(&p, rq->team_id);
	db_put_id(&p, rq->user_id);
	db_put_id(&p, rq->role_id);
	st = change_query(c, gives ? &add_stmt : &remove_stmt, &p, NULL);
	if (st == STATUS_OK)
		st = rows_raise(c, rq->team_id, rq->user_id, seq);
	if (st == STATUS_OK)
		st = rows_put_people(c);
	if (st != STATUS_OK)
		return st;
	take_over(c, f, &h, rq->role_id, gives);
	member_view(f, c->mem, &reply->member);
	st = tell(c, &reply->member, role, gives);
	/* What is there for everybody to take is everybody's own business. */
	if (st != STATUS_OK || (role->self_assignable && rq->user_id == change_actor_id(c)))
		return st;
	struct audit_changes a;
	audit_changes_begin(&a, c->mem);
	audit_id(&a, "role_id", role->id);
	audit_text(&a, "role_name", role->name);
	return audit_append(c, &(struct audit_entry){.action = gives ? AUDIT_member_role_added : AUDIT_member_role_removed,
				       .target_id = rq->user_id,
				       .changes = audit_changes_end(&a)});
}

static enum status work_add_member_role(struct change *c, struct log_tx *tx)
{
	return work(c, true);
}

static enum status work_remove_member_role(struct change *c, struct log_tx *tx)
{
	return work(c, false);
}

CHANGE_HANDLER(add_member_role, pb_MemberRoleRequest, NULL)
CHANGE_HANDLER(remove_member_role, pb_MemberRoleRequest, NULL)
