/*
 * roles - roles of teams, who has them, overrides of channels, and what follows from all of it for one person.
 */
#include <string.h>

#include "common/events/kinds.h"
#include "services/api/dialects/house/house.h"

#define ROLE_NAME_MOST   32
#define COLOR_MOST       0xFFFFFF
#define ROLES_MOST       100
#define PERMISSIONS_MOST 128
/* Ids of roles are small numbers from one counter; those of people are above 2^32. */
#define SUBJECT_IS_ROLE_BELOW (UINT64_C(1) << 31)

/* ---- bodies */

/* A list of names as a set. True: it was there. */
static bool permissions_field(struct json_reader *r, const char *field, enum json_need need, pb_Bits *out)
{
	const char *const *names = NULL;
	size_t count = 0;
	struct bits set = {0};
	bool there = json_has(r, field) && !json_is_null(r, field);

	json_strs(r, field, need, PERMISSIONS_MOST, &names, &count);
	for (size_t i = 0; i < count; i++) {
		enum permission permission;
		if (permission_from_name(names[i], &permission))
			set = bits_with(set, permission);
		else
			json_fail(r, STATUS_FIELD_INVALID, field,
				arena_printf(r->mem, "entry %zu is not the name of a permission", i + 1));
	}
	*out = (pb_Bits){set.low, set.high};
	return there;
}

/* True: it was there. */
static bool flag_field(struct json_reader *r, const char *field, bool *out)
{
	json_bool(r, field, JSON_OPTIONAL, out);
	return json_has(r, field) && !json_is_null(r, field);
}

/* null: none. True: it was there. */
static bool color_field(struct json_reader *r, uint32_t *out)
{
	int64_t color = 0;

	json_i64(r, "color", JSON_OPTIONAL, 0, COLOR_MOST, &color);
	*out = (uint32_t)color;
	return json_has(r, "color");
}

static bool position_field(struct json_reader *r, uint32_t *out)
{
	int64_t position = 0;

	json_i64(r, "position", JSON_OPTIONAL, 1, INT32_MAX, &position);
	*out = (uint32_t)position;
	return position != 0;
}

/* ---- roles */

static void write_role(struct json_writer *w, const void *items, size_t i)
{
	house_role(w, &((const pb_RoleView *)items)[i]);
}

/* A team has at most 100: they come whole. */
static enum status finish_roles(struct exchange *x, const pb_RolesReply *reply)
{
	return house_finish_list(x, &(struct house_page){0},
		&(struct house_list){
			.count = reply->roles_count, .items = reply->roles, .write = write_role});
}

enum status house_roles_create(struct exchange *x)
{
	pb_CreateRoleRequest request = {.has_permissions = true};
	const char *name = NULL;
	struct json_reader r;
	pb_RoleReply reply;
	enum status st = house_path_id(x, "team", &request.team_id);

	if (st != STATUS_OK)
		return st;
	house_body(x, &r);
	json_str(&r, "name", JSON_REQUIRED, 1, ROLE_NAME_MOST, &name);
	permissions_field(&r, "permissions", JSON_OPTIONAL, &request.permissions);
	color_field(&r, &request.color);
	flag_field(&r, "mentionable", &request.mentionable);
	flag_field(&r, "separate", &request.separate);
	flag_field(&r, "self_assignable", &request.self_assignable);
	position_field(&r, &request.position);
	st = house_body_end(x, &r);
	if (st != STATUS_OK)
		return st;
	request.name = (char *)name;
	st = CALL(x, moderation, create_role, request.team_id, &request, &reply);
	if (st != STATUS_OK)
		return st;
	house_location(x, "/roles/%s", house_uuid(x, reply.role.id));
	return HOUSE_OBJECT(x, 201, house_role, &reply.role);
}

enum status house_roles_list(struct exchange *x)
{
	pb_ListRolesRequest request = {0};
	pb_RolesReply reply;
	enum status st = house_path_id(x, "team", &request.team_id);

	if (st == STATUS_OK)
		st = ASK(x, moderation, list_roles, request.team_id, &request, &reply);
	return st == STATUS_OK ? finish_roles(x, &reply) : st;
}

enum status house_roles_get(struct exchange *x)
{
	pb_ListRolesRequest request = {0};
	pb_RolesReply reply;
	enum status st = house_path_id(x, "role", &request.role_id);

	if (st == STATUS_OK)
		st = ASK(x, moderation, list_roles, 0, &request, &reply);
	return st == STATUS_OK ? HOUSE_OBJECT(x, 200, house_role, &reply.roles[0]) : st;
}

enum status house_roles_patch(struct exchange *x)
{
	pb_UpdateRoleRequest request = {0};
	const char *name = NULL;
	struct json_reader r;
	pb_RoleReply reply;
	enum status st = house_path_id(x, "role", &request.role_id);

	if (st != STATUS_OK)
		return st;
	house_body(x, &r);
	json_str(&r, "name", JSON_OPTIONAL, 1, ROLE_NAME_MOST, &name);
	request.has_permissions =
		permissions_field(&r, "permissions", JSON_OPTIONAL, &request.permissions);
	request.has_color = color_field(&r, &request.color);
	request.has_mentionable = flag_field(&r, "mentionable", &request.mentionable);
	request.has_separate = flag_field(&r, "separate", &request.separate);
	request.has_self_assignable = flag_field(&r, "self_assignable", &request.self_assignable);
	request.has_position = position_field(&r, &request.position);
	st = house_body_end(x, &r);
	if (st != STATUS_OK)
		return st;
	request.name = (char *)name;
	st = CALL(x, moderation, update_role, 0, &request, &reply);
	return st == STATUS_OK ? HOUSE_OBJECT(x, 200, house_role, &reply.role) : st;
}

enum status house_roles_delete(struct exchange *x)
{
	pb_DeleteRoleRequest request = {0};
	pb_Empty nothing;
	enum status st = house_path_id(x, "role", &request.role_id);

	if (st == STATUS_OK)
		st = CALL(x, moderation, delete_role, 0, &request, &nothing);
	return st == STATUS_OK ? house_no_content(x) : st;
}

enum status house_roles_order(struct exchange *x)
{
	pb_ReorderRolesRequest request = {0};
	struct json_reader r;
	pb_RolesReply reply;
	uint64_t *ids = NULL;
	size_t count = 0;
	enum status st = house_path_id(x, "team", &request.team_id);

	if (st != STATUS_OK)
		return st;
	house_body(x, &r);
	json_uuids(&r, "role_ids", JSON_REQUIRED, ROLES_MOST, &ids, &count);
	st = house_body_end(x, &r);
	if (st != STATUS_OK)
		return st;
	request.role_ids = ids;
	request.role_ids_count = (pb_size_t)count;
	st = CALL(x, moderation, reorder_roles, request.team_id, &request, &reply);
	return st == STATUS_OK ? finish_roles(x, &reply) : st;
}

/* ---- who has them */

static enum status path_member_role(struct exchange *x, pb_MemberRoleRequest *out)
{
	enum status st = house_path_id(x, "team", &out->team_id);

	if (st == STATUS_OK)
		st = house_path_id(x, "user", &out->user_id);
	return st == STATUS_OK ? house_path_id(x, "role", &out->role_id) : st;
}

enum status house_member_roles_put(struct exchange *x)
{
	pb_MemberRoleRequest request = {0};
	struct json_reader r;
	pb_MemberReply reply;
	enum status st = path_member_role(x, &request);

	if (st != STATUS_OK)
		return st;
	house_body(x, &r);
	st = house_body_end(x, &r);
	if (st == STATUS_OK)
		st = CALL(x, moderation, add_member_role, request.team_id, &request, &reply);
	return st == STATUS_OK ? HOUSE_OBJECT(x, 200, house_member, &reply.member) : st;
}

enum status house_member_roles_delete(struct exchange *x)
{
	pb_MemberRoleRequest request = {0};
	pb_MemberReply reply;
	enum status st = path_member_role(x, &request);

	if (st == STATUS_OK)
		st = CALL(x, moderation, remove_member_role, request.team_id, &request, &reply);
	return st == STATUS_OK ? house_no_content(x) : st;
}

/* ---- overrides of channels */

static uint32_t subject_kind(uint64_t subject)
{
	return subject < SUBJECT_IS_ROLE_BELOW ? OVERRIDE_OF_ROLE : OVERRIDE_OF_USER;
}

static enum status path_override(struct exchange *x, pb_OverrideRequest *out)
{
	enum status st = house_path_id(x, "channel", &out->scope_id);

	if (st == STATUS_OK)
		st = house_path_id(x, "subject", &out->subject_id);
	out->scope = OVERRIDE_CHANNEL;
	out->subject_kind = subject_kind(out->subject_id);
	return st;
}

static void write_override(struct json_writer *w, const void *items, size_t i)
{
	house_override(w, &((const pb_OverrideView *)items)[i]);
}

/* A channel has at most 100: they come whole. */
enum status house_overrides_list(struct exchange *x)
{
	pb_ListOverridesRequest request = {.scope = OVERRIDE_CHANNEL};
	pb_ListOverridesReply reply;
	enum status st = house_path_id(x, "channel", &request.scope_id);

	if (st == STATUS_OK)
		st = ASK(x, moderation, list_overrides, request.scope_id, &request, &reply);
	if (st != STATUS_OK)
		return st;
	return house_finish_list(x, &(struct house_page){0},
		&(struct house_list){
			.count = reply.overrides_count, .items = reply.overrides, .write = write_override});
}

enum status house_overrides_get(struct exchange *x)
{
	pb_OverrideRequest path = {0};
	pb_ListOverridesReply reply;
	enum status st = path_override(x, &path);

	if (st == STATUS_OK)
		st = ASK(x, moderation, list_overrides, path.scope_id,
			&((pb_ListOverridesRequest){.scope = path.scope,
				.scope_id = path.scope_id,
				.subject_kind = path.subject_kind,
				.subject_id = path.subject_id}),
			&reply);
	return st == STATUS_OK ? HOUSE_OBJECT(x, 200, house_override, &reply.overrides[0]) : st;
}

enum status house_overrides_put(struct exchange *x)
{
	pb_OverrideRequest request = {.has_allow = true, .has_deny = true};
	struct json_reader r;
	pb_OverrideReply reply;
	enum status st = path_override(x, &request);

	if (st != STATUS_OK)
		return st;
	house_body(x, &r);
	permissions_field(&r, "allow", JSON_OPTIONAL, &request.allow);
	permissions_field(&r, "deny", JSON_OPTIONAL, &request.deny);
	st = house_body_end(x, &r);
	if (st == STATUS_OK)
		st = CALL(x, moderation, set_override, request.scope_id, &request, &reply);
	return st == STATUS_OK ? HOUSE_OBJECT(x, 200, house_override, &reply.override) : st;
}

enum status house_overrides_delete(struct exchange *x)
{
	pb_OverrideRequest request = {0};
	pb_Empty nothing;
	enum status st = path_override(x, &request);

	if (st == STATUS_OK)
		st = CALL(x, moderation, remove_override, request.scope_id, &request, &nothing);
	return st == STATUS_OK ? house_no_content(x) : st;
}

/* ---- what follows for one person */

static void write_explanation(
	struct json_writer *w, const pb_ExplainRequest *request, const pb_ExplainReply *reply)
{
	jw_object(w);
	jw_kv(w, uuid, "user_id", request->user_id);
	jw_kv(w, uuid, "channel_id", request->channel_id);
	jw_key(w, "permissions");
	house_permissions(w, &reply->permissions);
	jw_kv(w, str, "why", reply->why);
	if (request->rules) {
		jw_key(w, "rules");
		jw_object(w);
		for (size_t i = 0; i < reply->rules_count; i++) {
			const pb_ExplainedPermission *p = &reply->rules[i];
			const char *name = permission_name((enum permission)p->permission);
			if (name == NULL)
				continue; /* of a newer owner */
			jw_key(w, name);
			jw_object(w);
			jw_kv(w, bool, "allowed", p->allowed);
			jw_kv(w, str, "rule", p->rule);
			jw_kv(w, uuid, "subject", p->subject_id);
			jw_object_end(w);
		}
		jw_object_end(w);
	}
	jw_object_end(w);
}

enum status house_permissions_get(struct exchange *x)
{
	pb_ExplainRequest request = {0};
	const char *explain = NULL;
	struct json_writer w;
	pb_ExplainReply reply;
	enum status st = house_path_id(x, "channel", &request.channel_id);

	if (st == STATUS_OK)
		st = house_query_id(x, "user", &request.user_id);
	if (st == STATUS_OK)
		st = house_query(x, "explain", 8, &explain);
	if (st != STATUS_OK)
		return st;
	if (explain != NULL && strcmp(explain, "0") != 0 && strcmp(explain, "1") != 0)
		return exchange_fail(x, STATUS_FIELD_INVALID, NULL, "explain", "must be 0 or 1");
	request.rules = explain != NULL && strcmp(explain, "1") == 0;
	if (request.user_id == 0)
		request.user_id = x->actor.id;
	st = ASK(x, moderation, explain, request.channel_id, &request, &reply);
	if (st != STATUS_OK)
		return st;
	house_begin(x, &w);
	write_explanation(&w, &request, &reply);
	return house_finish(x, 200, &w);
}
