#include "services/moderation/hierarchy.h"

#include <assert.h>
#include <string.h>

void role_view_from_row(const struct db_rows *rows, int row, struct arena *mem, pb_RoleView *out)
{
	*out = (pb_RoleView){
		.id = db_id(rows, row, 0),
		.team_id = db_id(rows, row, 1),
		.name = arena_strdup(mem, db_text(rows, row, 2)),
		.has_permissions = true,
		.permissions = {db_id(rows, row, 3), db_id(rows, row, 4)},
		.position = (int32_t)db_i64(rows, row, 5),
		.color = (uint32_t)db_i64(rows, row, 6),
		.is_base = db_bool(rows, row, 7),
		.created_at_ms = db_id(rows, row, 8),
		.mentionable = db_bool(rows, row, 9),
		.separate = db_bool(rows, row, 10),
		.self_assignable = db_bool(rows, row, 11),
	};
}

static void number(struct hierarchy *h)
{
	for (size_t i = 0; i < h->count; i++)
		h->roles[i].position = (int32_t)i;
}

static const struct db_stmt load_stmt = {"moderation_hierarchy",
	"SELECT " ROLE_COLUMNS " FROM moderation.roles r WHERE r.team_id = $1"
	" ORDER BY NOT r.is_base, r.position, r.id"};

enum status hierarchy_load(struct change *c, uint64_t team_id, struct hierarchy *out)
{
	struct db_params p;
	struct db_rows rows = {0};

	change_params(c, &p);
	db_put_id(&p, team_id);
	enum status st = change_query(c, &load_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	out->count = (size_t)rows.count;
	out->roles = ARENA_ARRAY(c->mem, out->count, pb_RoleView);
	for (int i = 0; i < rows.count; i++)
		role_view_from_row(&rows, i, c->mem, &out->roles[i]);
	number(out);
	return STATUS_OK;
}

pb_RoleView *hierarchy_find(const struct hierarchy *h, uint64_t role_id)
{
	for (size_t i = 0; i < h->count; i++)
		if (h->roles[i].id == role_id)
			return &h->roles[i];
	return NULL;
}

int32_t hierarchy_highest(const struct hierarchy *h, const struct facts *f)
{
	int32_t highest = 0;

	for (size_t i = 0; i < f->standing.role_count; i++) {
		const pb_RoleView *role = hierarchy_find(h, f->standing.role_ids[i]);
		if (role != NULL && role->position > highest)
			highest = role->position;
	}
	return highest;
}

bool hierarchy_exempt(const struct change *c)
{
	const struct facts *f = change_actor(c);

	return change_by_system(c) || (f->standing.member && f->team.owner_id == f->person.id);
}

enum status hierarchy_above(struct change *c, const struct hierarchy *h, const pb_RoleView *role)
{
	if (hierarchy_exempt(c) || hierarchy_highest(h, change_actor(c)) > role->position)
		return STATUS_OK;
	return change_refuse(c, STATUS_FORBIDDEN, "rank", NULL);
}

void hierarchy_move(struct hierarchy *h, size_t from, size_t to)
{
	assert(from > 0 && to > 0 && from < h->count && to < h->count);
	pb_RoleView role = h->roles[from];
	if (from < to)
		memmove(&h->roles[from], &h->roles[from + 1], (to - from) * sizeof role);
	else
		memmove(&h->roles[to + 1], &h->roles[to], (from - to) * sizeof role);
	h->roles[to] = role;
	number(h);
}

void hierarchy_insert(struct change *c, struct hierarchy *h, size_t at, const pb_RoleView *role)
{
	assert(at > 0 && at <= h->count);
	pb_RoleView *roles = ARENA_ARRAY(c->mem, h->count + 1, pb_RoleView);
	memcpy(roles, h->roles, at * sizeof *roles);
	roles[at] = *role;
	memcpy(roles + at + 1, h->roles + at, (h->count - at) * sizeof *roles);
	h->roles = roles;
	h->count++;
	number(h);
}

void hierarchy_remove(struct hierarchy *h, size_t at)
{
	assert(at > 0 && at < h->count);
	h->count--;
	memmove(&h->roles[at], &h->roles[at + 1], (h->count - at) * sizeof *h->roles);
	number(h);
}

static const struct db_stmt write_stmt = {"moderation_hierarchy_write",
	"UPDATE moderation.roles r SET position = n.position FROM (SELECT q.id, q.n - 1 AS position"
	"   FROM unnest($1::bigint[]) WITH ORDINALITY q(id, n)) n WHERE r.id = n.id AND r.position <> n.position"};

enum status hierarchy_write(struct change *c, const struct hierarchy *h)
{
	uint64_t *ids = ARENA_ARRAY(c->mem, h->count, uint64_t);
	struct db_params p;

	for (size_t i = 0; i < h->count; i++)
		ids[i] = h->roles[i].id;
	change_params(c, &p);
	db_put_ids(&p, ids, h->count);
	return change_query(c, &write_stmt, &p, NULL);
}

pb_RoleView *hierarchy_shown(const struct hierarchy *h, struct arena *mem)
{
	pb_RoleView *shown = ARENA_ARRAY(mem, h->count, pb_RoleView);

	for (size_t i = 0; i < h->count; i++)
		shown[i] = h->roles[h->count - 1 - i];
	return shown;
}
