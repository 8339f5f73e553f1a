/*
 * roles - making, changing, ordering and deleting the roles of a team. All of it is wide: the order decides who may act on
 * whom and permissions decide rights, so the stream's epoch is raised. Keys move only where view permissions, permissions
 * that name a key, or administrator change hands; then audience_recheck comes first.
 */
#include <string.h>

#include "services/moderation/audiences.h"
#include "services/moderation/audit.h"
#include "services/moderation/hierarchy.h"
#include "services/moderation/role_rows.h"
#include "services/moderation/rows.h"

#define COLOR_MAX 0xFFFFFF
/* Members who have a deleted role and are told apart for their resume; with more of them everybody's is refused. */
#define HOLDERS_MAX 1000

static struct bits bits_of(const pb_Bits *bits)
{
	return (struct bits){bits->low, bits->high};
}

/* Rows come by the lock, but what the actor may do at all is known before. */
static enum status load_team(struct change *c, uint64_t team_id)
{
	enum status st = change_load(c, team_id, 0, NULL, 0);

	return st == STATUS_OK ? change_need(c, PERMISSION_manage_roles) : st;
}

static const struct db_stmt team_of_stmt = {
	"moderation_role_team", "SELECT r.team_id FROM moderation.roles r WHERE r.id = $1"};

/* The team of a role, 0 when there is no such role. */
static enum status team_of(struct db_conn *conn, struct arena *mem, uint64_t role_id, uint64_t *out_team_id)
{
	struct db_params p;
	struct db_rows rows = {0};

	db_params_begin(&p, mem);
	db_put_id(&p, role_id);
	enum status st = db_query(conn, mem, &team_of_stmt, &p, &rows);
	if (st == STATUS_OK)
		*out_team_id = rows.count == 1 ? db_id(&rows, 0, 0) : 0;
	return st;
}

static enum status load_role(struct change *c, uint64_t role_id)
{
	uint64_t team_id = 0;

	enum status st = team_of(c->conn, c->mem, role_id, &team_id);
	if (st == STATUS_OK && team_id == 0)
		return change_refuse(c, STATUS_NOT_FOUND, NULL, NULL);
	return st == STATUS_OK ? load_team(c, team_id) : st;
}

/* A role made or deleted, as it is or was. */
static enum status record(struct change *c, enum audit_action action, const pb_RoleView *role)
{
	struct audit_changes a;

	audit_changes_begin(&a, c->mem);
	audit_text(&a, "name", role->name);
	audit_permissions(&a, "permissions", bits_of(&role->permissions));
	if (action == AUDIT_role_created)
		audit_number(&a, "position", role->position);
	return audit_append(
		c, &(struct audit_entry){.action = action, .target_id = role->id, .changes = audit_changes_end(&a)});
}

/* ---- create */

static enum status prepare_create_role(struct change *c)
{
	const pb_CreateRoleRequest *rq = c->request;

	if (!text_within(rq->name, 1, ROLE_NAME_MAX))
		return change_field(c, "name");
	if (!bits_none(bits_minus(bits_of(&rq->permissions), eval_all())))
		return change_field(c, "permissions");
	if (rq->color > COLOR_MAX)
		return change_field(c, "color");
	return load_team(c, rq->team_id);
}

static const struct db_stmt role_id_stmt = {"moderation_next_role_id", "SELECT nextval('log.small_ids')"};
static enum status work_create_role(struct change *c, struct log_tx *tx)
{
	const pb_CreateRoleRequest *rq = c->request;
	pb_RoleReply *reply = c->reply;
	struct hierarchy h;
	struct db_rows rows = {0};

	enum status st = hierarchy_load(c, rq->team_id, &h);
	if (st != STATUS_OK)
		return st;
	if (h.count >= ROLES_PER_TEAM_MAX)
		return change_refuse(c, STATUS_AT_LIMIT, "roles", NULL);
	size_t at = rq->position == 0 ? 1 : rq->position < h.count ? rq->position : h.count;
	/* What is put where his highest role stands pushes that one up, and so is below it. */
	if (!hierarchy_exempt(c) && at > (size_t)hierarchy_highest(&h, change_actor(c)))
		return change_refuse(c, STATUS_FORBIDDEN, "rank", NULL);
	st = change_grant(c, bits_of(&rq->permissions));
	if (st == STATUS_OK)
		st = change_query(c, &role_id_stmt, NULL, &rows);
	if (st != STATUS_OK)
		return st;
	reply->has_role = true;
	reply->role = (pb_RoleView){.id = db_id(&rows, 0, 0),
		.team_id = rq->team_id,
		.name = rq->name,
		.has_permissions = true,
		.permissions = rq->permissions,
		.position = (int32_t)at,
		.color = rq->color,
		.created_at_ms = (uint64_t)c->now_ms,
		.mentionable = rq->mentionable,
		.separate = rq->separate,
		.self_assignable = rq->self_assignable};
	hierarchy_insert(c, &h, at, &reply->role);
	st = role_insert(c, &reply->role);
	if (st == STATUS_OK)
		st = hierarchy_write(c, &h);
	if (st != STATUS_OK)
		return st;
	log_tx_raise_epoch(tx, change_actor(c)->stream);
	log_tx_object(tx, reply->role.id);
	st = role_tell(c, EVENT_KIND_role_created, &h, &reply->role, NULL, 0);
	return st == STATUS_OK ? record(c, AUDIT_role_created, &reply->role) : st;
}

CHANGE_HANDLER(create_role, pb_CreateRoleRequest, NULL)

/* ---- update */

static enum status prepare_update_role(struct change *c)
{
	const pb_UpdateRoleRequest *rq = c->request;

	if (rq->name != NULL && !text_within(rq->name, 1, ROLE_NAME_MAX))
		return change_field(c, "name");
	if (rq->has_permissions && !bits_none(bits_minus(bits_of(&rq->permissions), eval_all())))
		return change_field(c, "permissions");
	if (rq->has_color && rq->color > COLOR_MAX)
		return change_field(c, "color");
	if (rq->has_position && rq->position == 0)
		return change_field(c, "position");
	return load_role(c, rq->role_id);
}

enum { UPDATE_FIELDS = 7 };

struct update {
	char *changed[UPDATE_FIELDS];
	size_t count;
	bool rights; /* more than what it looks like changes */
};

static void note(struct update *u, const char *name, bool rights)
{
	u->changed[u->count++] = (char *)name;
	u->rights |= rights;
}

static bool differs(bool has, bool asked, bool now)
{
	return has && asked != now;
}

/* The view as the request wants it, but for its position. */
static void apply(const pb_UpdateRoleRequest *rq, pb_RoleView *role, struct update *u)
{
	if (rq->name != NULL && strcmp(rq->name, role->name) != 0) {
		role->name = rq->name;
		note(u, "name", false);
	}
	if (rq->has_permissions && (rq->permissions.low != role->permissions.low ||
					   rq->permissions.high != role->permissions.high)) {
		role->permissions = rq->permissions;
		note(u, "permissions", true);
	}
	if (rq->has_color && rq->color != role->color) {
		role->color = rq->color;
		note(u, "color", false);
	}
	if (differs(rq->has_mentionable, rq->mentionable, role->mentionable)) {
		role->mentionable = rq->mentionable;
		note(u, "mentionable", true);
	}
	if (differs(rq->has_separate, rq->separate, role->separate)) {
		role->separate = rq->separate;
		note(u, "separate", false);
	}
	if (differs(rq->has_self_assignable, rq->self_assignable, role->self_assignable)) {
		role->self_assignable = rq->self_assignable;
		note(u, "self_assignable", true);
	}
}

/*
 * The base role's view permissions decide besides which channels have a key of their own, so that everybody's keys move;
 * those of another role concern who has it.
 */
static enum status recheck(
	struct change *c, const pb_RoleView *role, struct bits before, uint64_t *out_seq)
{
	struct bits after = bits_of(&role->permissions);
	struct bits moved = bits_or(bits_minus(before, after), bits_minus(after, before));

	*out_seq = 0;
	if (bits_none(bits_and(moved, audiences_bits())))
		return STATUS_OK;
	bool views = !bits_none(bits_and(moved, eval_view_bits()));
	struct stream s = change_actor(c)->stream;
	enum status st = role->is_base ? change_recheck_all(c, s, 0, views, "role_permissions", out_seq)
				       : change_recheck(c, s, role->id, 0, "role_permissions", out_seq);
	if (st == STATUS_OK && role->is_base)
		st = rows_team_rights_seq(c, role->team_id, *out_seq);
	return st;
}

/* STATUS_OK, or why the actor may not have this changed. before: as the row is. */
static enum status update_refused(struct change *c, const struct hierarchy *h, const pb_RoleView *before)
{
	const pb_UpdateRoleRequest *rq = c->request;

	if (before->is_base && (rq->has_position || (rq->has_self_assignable && rq->self_assignable)))
		return change_refuse(c, STATUS_FORBIDDEN, "base_role", NULL);
	enum status st = hierarchy_above(c, h, before);
	if (st == STATUS_OK && rq->has_permissions)
		st = change_grant(c, bits_minus(bits_of(&rq->permissions), bits_of(&before->permissions)));
	return st;
}

static enum status work_update_role(struct change *c, struct log_tx *tx)
{
	const pb_UpdateRoleRequest *rq = c->request;
	const struct facts *f = change_actor(c);
	pb_RoleReply *reply = c->reply;
	struct hierarchy h;
	struct update u = {0};
	uint64_t seq = 0;

	enum status st = hierarchy_load(c, f->team.id, &h);
	if (st != STATUS_OK)
		return st;
	pb_RoleView *role = hierarchy_find(&h, rq->role_id);
	if (role == NULL)
		return change_refuse(c, STATUS_NOT_FOUND, NULL, NULL);
	st = update_refused(c, &h, role);
	if (st != STATUS_OK)
		return st;
	const pb_RoleView was = *role;
	apply(rq, role, &u);
	size_t at = (size_t)role->position;
	if (rq->has_position && rq->position != at) {
		size_t to = rq->position < h.count ? rq->position : h.count - 1;
		if (!hierarchy_exempt(c) && to >= (size_t)hierarchy_highest(&h, f))
			return change_refuse(c, STATUS_FORBIDDEN, "rank", NULL);
		if (to != at) {
			note(&u, "position", true);
			hierarchy_move(&h, at, to);
			role = &h.roles[to];
		}
	}
	reply->has_role = true;
	reply->role = *role;
	if (u.count == 0)
		return STATUS_OK;
	st = recheck(c, role, bits_of(&was.permissions), &seq);
	if (st == STATUS_OK)
		st = role_write(c, role, role->is_base ? 0 : seq);
	if (st == STATUS_OK && rq->has_position)
		st = hierarchy_write(c, &h);
	if (st != STATUS_OK)
		return st;
	if (u.rights)
		log_tx_raise_epoch(tx, f->stream);
	char **changed = arena_memdup(c->mem, u.changed, sizeof u.changed);
	st = role_tell(c, EVENT_KIND_role_updated, &h, role, changed, u.count);
	return st == STATUS_OK ? role_record_update(c, &was, role) : st;
}

CHANGE_HANDLER(update_role, pb_UpdateRoleRequest, NULL)

/* ---- delete */

static enum status prepare_delete_role(struct change *c)
{
	const pb_DeleteRoleRequest *rq = c->request;

	return load_role(c, rq->role_id);
}

static const struct db_stmt holders_stmt = {"moderation_role_holders",
	"SELECT mr.user_id FROM moderation.member_roles mr WHERE mr.role_id = $1 LIMIT $2"};
static const struct db_stmt holders_changed_stmt = {"moderation_role_holders_changed",
	"UPDATE moderation.members m SET changed_seq = $3 WHERE m.team_id = $1 AND m.user_id = ANY ($2::bigint[])"};
static const struct db_stmt drop_overrides_stmt = {"moderation_drop_role_overrides",
	"DELETE FROM moderation.overrides o WHERE o.team_id = $1 AND o.subject_kind = 1 AND o.subject_id = $2"
	" RETURNING o.allow_low | o.deny_low"};
static const struct db_stmt delete_stmt = {"moderation_delete_role", "DELETE FROM moderation.roles WHERE id = $1"};

/* The role's overrides go with it. out_views: one of them touched a view permission, so that a channel may lose the reason
 * to have a key of its own. */
static enum status drop_overrides(struct change *c, const pb_RoleView *role, bool *out_views)
{
	struct db_params p;
	struct db_rows rows = {0};

	change_params(c, &p);
	db_put_id(&p, role->team_id);
	db_put_id(&p, role->id);
	enum status st = change_query(c, &drop_overrides_stmt, &p, &rows);
	*out_views = false;
	for (int i = 0; st == STATUS_OK && i < rows.count; i++)
		*out_views |= (db_id(&rows, i, 0) & eval_view_bits().low) != 0;
	return st;
}

/* Who has the role loses its key and what it opened. */
static enum status take_from_all(struct change *c, const pb_RoleView *role, bool views)
{
	struct stream s = change_actor(c)->stream;
	struct db_params p;
	struct db_rows rows = {0};
	uint64_t seq = 0;

	change_params(c, &p);
	db_put_id(&p, role->id);
	db_put_i64(&p, HOLDERS_MAX + 1);
	enum status st = change_query(c, &holders_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count == 0 && !views)
		return STATUS_OK;
	st = views ? change_recheck_all(c, s, 0, true, "role_deleted", &seq) : change_recheck(c, s, role->id, 0, "role_deleted", &seq);
	if (st != STATUS_OK)
		return st;
	if (views || rows.count > HOLDERS_MAX)
		return rows_team_rights_seq(c, role->team_id, seq);
	uint64_t *holders = ARENA_ARRAY(c->mem, (size_t)rows.count, uint64_t);
	for (int i = 0; i < rows.count; i++)
		holders[i] = db_id(&rows, i, 0);
	change_params(c, &p);
	db_put_id(&p, role->team_id);
	db_put_ids(&p, holders, (size_t)rows.count);
	db_put_id(&p, seq);
	return change_query(c, &holders_changed_stmt, &p, NULL);
}

static enum status work_delete_role(struct change *c, struct log_tx *tx)
{
	const pb_DeleteRoleRequest *rq = c->request;
	const struct facts *f = change_actor(c);
	struct hierarchy h;
	struct db_params p;
	bool views = false;

	enum status st = hierarchy_load(c, f->team.id, &h);
	if (st != STATUS_OK)
		return st;
	const pb_RoleView *found = hierarchy_find(&h, rq->role_id);
	if (found == NULL)
		return change_refuse(c, STATUS_NOT_FOUND, NULL, NULL);
	pb_RoleView role = *found;
	if (role.is_base)
		return change_refuse(c, STATUS_FORBIDDEN, "base_role", NULL);
	st = hierarchy_above(c, &h, &role);
	if (st == STATUS_OK)
		st = drop_overrides(c, &role, &views);
	if (st == STATUS_OK)
		st = take_from_all(c, &role, views);
	if (st != STATUS_OK)
		return st;
	hierarchy_remove(&h, (size_t)role.position);
	change_params(c, &p);
	db_put_id(&p, role.id);
	st = change_query(c, &delete_stmt, &p, NULL);
	if (st == STATUS_OK)
		st = hierarchy_write(c, &h);
	if (st != STATUS_OK)
		return st;
	log_tx_raise_epoch(tx, f->stream);
	st = role_tell(c, EVENT_KIND_role_deleted, &h, &role, NULL, 0);
	return st == STATUS_OK ? record(c, AUDIT_role_deleted, &role) : st;
}

CHANGE_HANDLER(delete_role, pb_DeleteRoleRequest, NULL)

/* ---- order */

static enum status prepare_reorder_roles(struct change *c)
{
	const pb_ReorderRolesRequest *rq = c->request;

	if (rq->role_ids_count > ROLES_PER_TEAM_MAX)
		return change_field(c, "role_ids");
	return load_team(c, rq->team_id);
}

/* The roles as the request orders them. False: it does not name each once. The base role may stand at the end or be left
 * out. */
static bool ordered(struct change *c, const pb_ReorderRolesRequest *rq, const struct hierarchy *h, struct hierarchy *out)
{
	size_t count = rq->role_ids_count;

	if (count == h->count && rq->role_ids[count - 1] == h->roles[0].id)
		count--;
	if (count + 1 != h->count)
		return false;
	out->count = h->count;
	out->roles = ARENA_ARRAY(c->mem, h->count, pb_RoleView);
	out->roles[0] = h->roles[0];
	for (size_t i = 1; i < h->count; i++) {
		const pb_RoleView *role = hierarchy_find(h, rq->role_ids[count - i]);
		if (role == NULL || role->is_base)
			return false;
		for (size_t k = 1; k < i; k++)
			if (out->roles[k].id == role->id)
				return false;
		out->roles[i] = *role;
		out->roles[i].position = (int32_t)i;
	}
	return true;
}

static enum status record_order(struct change *c, const pb_RolesReply *order)
{
	uint64_t *ids = ARENA_ARRAY(c->mem, order->roles_count, uint64_t);
	struct audit_changes a;

	for (size_t i = 0; i < order->roles_count; i++)
		ids[i] = order->roles[i].id;
	audit_changes_begin(&a, c->mem);
	audit_ids(&a, "role_ids", ids, order->roles_count);
	return audit_append(c, &(struct audit_entry){.action = AUDIT_roles_reordered,
				       .target_id = change_actor(c)->team.id,
				       .changes = audit_changes_end(&a)});
}

static enum status work_reorder_roles(struct change *c, struct log_tx *tx)
{
	const pb_ReorderRolesRequest *rq = c->request;
	const struct facts *f = change_actor(c);
	pb_RolesReply *reply = c->reply;
	struct hierarchy h, next;
	char key[AUDIENCE_SIZE];
	size_t moved = 0;

	enum status st = hierarchy_load(c, rq->team_id, &h);
	if (st != STATUS_OK)
		return st;
	if (!ordered(c, rq, &h, &next))
		return change_refuse(c, STATUS_FIELD_INVALID, NULL, "role_ids");
	int32_t highest = hierarchy_highest(&h, f);
	for (size_t i = 1; i < h.count; i++) {
		if (next.roles[i].id == h.roles[i].id)
			continue;
		/* Nobody moves what is not below him, nor anything to there. */
		if (!hierarchy_exempt(c) && h.roles[i].position >= highest)
			return change_refuse(c, STATUS_FORBIDDEN, "rank", NULL);
		moved++;
	}
	reply->roles = hierarchy_shown(&next, c->mem);
	reply->roles_count = (pb_size_t)next.count;
	if (moved == 0)
		return STATUS_OK;
	st = hierarchy_write(c, &next);
	if (st != STATUS_OK)
		return st;
	log_tx_raise_epoch(tx, f->stream);
	pb_Event *ev = change_event(c, EVENT_KIND_roles_reordered);
	ev->body.roles_reordered = (pb_RolesReordered){
		.team_id = rq->team_id, .roles = reply->roles, .roles_count = reply->roles_count};
	audience_key(key, "team", rq->team_id);
	st = change_append(c, f->stream, key, ev, NULL);
	return st == STATUS_OK ? record_order(c, reply) : st;
}

CHANGE_HANDLER(reorder_roles, pb_ReorderRolesRequest, NULL)

/* ---- reading */

static const struct db_stmt list_stmt = {"moderation_roles",
	"SELECT " ROLE_COLUMNS " FROM moderation.roles r WHERE r.team_id = $1 AND ($2 = 0 OR r.id = $2)"
	" ORDER BY r.is_base, r.position DESC, r.id DESC"};

void serve_list_roles(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct moderation *m = service;
	const pb_ListRolesRequest *rq = request;
	pb_RolesReply *out = reply;
	struct facts *f = ARENA_NEW(call->mem, struct facts);
	struct db_conn *conn = NULL;
	struct db_params p;
	struct db_rows rows = {0};
	uint64_t team_id = rq->team_id;
	enum status st = STATUS_OK;

	if (team_id == 0) {
		st = db_acquire(m->db, call->deadline_mono_ms, &conn);
		if (st == STATUS_OK)
			st = team_of(conn, call->mem, rq->role_id, &team_id);
		db_release(conn);
		if (st != STATUS_OK) {
			rpc_fail(call, st, NULL, NULL, NULL);
			return;
		}
	}
	if (read_begin(m, call, team_id, 0, READ_VISIBLE, &conn, f) != STATUS_OK)
		return;
	db_params_begin(&p, call->mem);
	db_put_id(&p, team_id);
	db_put_id(&p, rq->role_id);
	st = db_query(conn, call->mem, &list_stmt, &p, &rows);
	if (st == STATUS_OK && rq->role_id != 0 && rows.count == 0)
		st = STATUS_NOT_FOUND;
	if (st == STATUS_OK) {
		out->roles = ARENA_ARRAY(call->mem, (size_t)rows.count, pb_RoleView);
		out->roles_count = (pb_size_t)rows.count;
		for (int i = 0; i < rows.count; i++)
			role_view_from_row(&rows, i, call->mem, &out->roles[i]);
	}
	read_end(call, conn, st);
}
