#include "common/dialects/house/events_frame.h"

static void role_detail(struct frame *f, const pb_RoleEvent *e)
{
	if (!f->detail)
		return;
	jw_key(&f->w, "role");
	house_role(&f->w, &e->role);
}

static void role_ids(struct json_writer *w, const char *key, const pb_RoleView *roles, size_t count)
{
	jw_key(w, key);
	jw_array(w);
	for (size_t i = 0; i < count; i++)
		jw_uuid(w, roles[i].id);
	jw_array_end(w);
}

static void all_roles(struct frame *f, const pb_RoleView *roles, size_t count)
{
	if (!f->detail)
		return;
	jw_key(&f->w, "roles");
	jw_array(&f->w);
	for (size_t i = 0; i < count; i++)
		house_role(&f->w, &roles[i]);
	jw_array_end(&f->w);
}

void house_render_role_created(struct frame *f)
{
	const pb_RoleEvent *e = &f->body->body.role_created;

	if (!e->has_role)
		return;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "team_id", e->role.team_id);
	jw_kv(w, uuid, "role_id", e->role.id);
	jw_kv(w, str, "role_name", e->role.name == NULL ? "" : e->role.name);
	role_ids(w, "role_ids", e->roles, e->roles_count); /* others step aside for it */
	role_detail(f, e);
}

void house_render_role_updated(struct frame *f)
{
	const pb_RoleEvent *e = &f->body->body.role_updated;
	const pb_RoleView *role = &e->role;
	char *const *changed = e->changed;
	size_t count = e->changed_count;

	if (!e->has_role)
		return;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "team_id", role->team_id);
	jw_kv(w, uuid, "role_id", role->id);
	if (named(changed, count, "name"))
		jw_kv(w, str, "name", role->name == NULL ? "" : role->name);
	if (named(changed, count, "permissions")) {
		jw_key(w, "permissions");
		house_permissions(w, &role->permissions);
	}
	if (named(changed, count, "color")) {
		jw_key(w, "color");
		house_color(w, role->color);
	}
	if (named(changed, count, "mentionable"))
		jw_kv(w, bool, "mentionable", role->mentionable);
	if (named(changed, count, "separate"))
		jw_kv(w, bool, "separate", role->separate);
	if (named(changed, count, "self_assignable"))
		jw_kv(w, bool, "self_assignable", role->self_assignable);
	if (named(changed, count, "position"))
		role_ids(w, "role_ids", e->roles, e->roles_count);
	role_detail(f, e);
}

void house_render_role_deleted(struct frame *f)
{
	const pb_RoleEvent *e = &f->body->body.role_deleted;

	if (!e->has_role)
		return;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "team_id", e->role.team_id);
	jw_kv(w, uuid, "role_id", e->role.id);
	role_ids(w, "role_ids", e->roles, e->roles_count);
	role_detail(f, e);
}

void house_render_roles_reordered(struct frame *f)
{
	const pb_RolesReordered *e = &f->body->body.roles_reordered;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "team_id", e->team_id);
	role_ids(w, "role_ids", e->roles, e->roles_count);
	all_roles(f, e->roles, e->roles_count);
}

void house_render_team_member_roles_updated(struct frame *f)
{
	const pb_MemberRolesChanged *e = &f->body->body.member_roles_changed;

	if (!e->has_member)
		return;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "team_id", e->member.team_id);
	who(w, e->member.has_user, &e->member.user);
	jw_key(w, "roles");
	jw_array(w);
	for (size_t i = 0; i < e->member.role_ids_count; i++)
		jw_uuid(w, e->member.role_ids[i]);
	jw_array_end(w);
	role_ids(w, "added", e->added, e->added_count);
	role_ids(w, "removed", e->removed, e->removed_count);
	member_detail(f, &e->member);
}

static void override_event(struct frame *f, const pb_OverrideEvent *e)
{
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "team_id", e->team_id);
	house_override_keys(w, &(pb_OverrideView){e->scope, e->scope_id, e->subject_kind, e->subject_id, e->has_allow,
				       e->allow, e->has_deny, e->deny});
	if (f->detail && e->has_channel) {
		jw_key(w, "channel");
		house_channel(w, &e->channel);
	}
}

void house_render_override_set(struct frame *f)
{
	override_event(f, &f->body->body.override_set);
}

void house_render_override_removed(struct frame *f)
{
	override_event(f, &f->body->body.override_removed);
}
