#include "services/moderation/role_rows.h"

#include <string.h>

#include "services/moderation/audit.h"

static struct bits bits_of(const pb_Bits *bits)
{
	return (struct bits){bits->low, bits->high};
}

static const struct db_stmt insert_stmt = {"moderation_insert_role",
	"INSERT INTO moderation.roles (id, team_id, name, permissions_low, permissions_high, position, color, mentionable,"
	" separate, self_assignable, created_at_ms, created_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"};

enum status role_insert(struct change *c, const pb_RoleView *role)
{
	struct db_params p;

	change_params(c, &p);
	db_put_id(&p, role->id);
	db_put_id(&p, role->team_id);
	db_put_text(&p, role->name);
	db_put_i64(&p, (int64_t)role->permissions.low);
	db_put_i64(&p, (int64_t)role->permissions.high);
	db_put_i32(&p, role->position);
	db_put_i32(&p, (int32_t)role->color);
	db_put_bool(&p, role->mentionable);
	db_put_bool(&p, role->separate);
	db_put_bool(&p, role->self_assignable);
	db_put_i64(&p, c->now_ms);
	db_put_id_or_null(&p, change_actor_id(c));
	return change_query(c, &insert_stmt, &p, NULL);
}

static const struct db_stmt update_stmt = {"moderation_update_role",
	"UPDATE moderation.roles SET name = $2, permissions_low = $3, permissions_high = $4, color = $5, mentionable = $6,"
	" separate = $7, self_assignable = $8, changed_seq = greatest(changed_seq, $9), updated_at_ms = $10, updated_by = $11"
	" WHERE id = $1"};

enum status role_write(struct change *c, const pb_RoleView *role, uint64_t changed_seq)
{
	struct db_params p;

	change_params(c, &p);
	db_put_id(&p, role->id);
	db_put_text(&p, role->name);
	db_put_i64(&p, (int64_t)role->permissions.low);
	db_put_i64(&p, (int64_t)role->permissions.high);
	db_put_i32(&p, (int32_t)role->color);
	db_put_bool(&p, role->mentionable);
	db_put_bool(&p, role->separate);
	db_put_bool(&p, role->self_assignable);
	db_put_id(&p, changed_seq);
	db_put_i64(&p, c->now_ms);
	db_put_id_or_null(&p, change_actor_id(c));
	return change_query(c, &update_stmt, &p, NULL);
}

enum status role_tell(struct change *c, uint32_t which, const struct hierarchy *h, const pb_RoleView *role,
	char **changed, size_t changed_count)
{
	pb_Event *ev = change_event(c, which);
	pb_RoleEvent body = {.has_role = true,
		.role = *role,
		.roles = hierarchy_shown(h, c->mem),
		.roles_count = (pb_size_t)h->count,
		.changed = changed,
		.changed_count = (pb_size_t)changed_count};
	char key[AUDIENCE_SIZE];

	if (which == EVENT_KIND_role_created)
		ev->body.role_created = body;
	else if (which == EVENT_KIND_role_updated)
		ev->body.role_updated = body;
	else
		ev->body.role_deleted = body;
	audience_key(key, "team", role->team_id);
	return change_append(c, change_actor(c)->stream, key, ev, NULL);
}

enum status role_record_update(struct change *c, const pb_RoleView *was, const pb_RoleView *is)
{
	struct audit_changes a;

	audit_changes_begin(&a, c->mem);
	if (was->color != is->color)
		audit_number_change(&a, "color", was->color, is->color);
	if (was->mentionable != is->mentionable)
		audit_flag_change(&a, "mentionable", was->mentionable, is->mentionable);
	if (strcmp(was->name, is->name) != 0)
		audit_text_change(&a, "name", was->name, is->name);
	if (was->permissions.low != is->permissions.low || was->permissions.high != is->permissions.high)
		audit_permissions_change(&a, "permissions", bits_of(&was->permissions), bits_of(&is->permissions));
	if (was->position != is->position)
		audit_number_change(&a, "position", was->position, is->position);
	if (was->self_assignable != is->self_assignable)
		audit_flag_change(&a, "self_assignable", was->self_assignable, is->self_assignable);
	if (was->separate != is->separate)
		audit_flag_change(&a, "separate", was->separate, is->separate);
	return audit_append(c, &(struct audit_entry){
				       .action = AUDIT_role_updated, .target_id = is->id, .changes = audit_changes_end(&a)});
}

static const struct db_stmt keys_moved_stmt = {"moderation_role_keys_moved",
	"UPDATE moderation.roles SET changed_seq = greatest(changed_seq, $2) WHERE id = $1"};

enum status role_keys_moved(struct change *c, uint64_t role_id, uint64_t seq)
{
	struct db_params p;

	change_params(c, &p);
	db_put_id(&p, role_id);
	db_put_id(&p, seq);
	return change_query(c, &keys_moved_stmt, &p, NULL);
}
