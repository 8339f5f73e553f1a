/*
 * hierarchy - the roles of a team in their order, as a change finds them under the lock: who stands above which
 * role, where a role is put, what events tell of all of them. Positions are 1..n without gaps or doubles, the
 * base role has 0; whatever changes the order writes it anew. All in c->mem.
 */
#pragma once

#include "services/moderation/change.h"

struct hierarchy {
	pb_RoleView *roles; /* ascending: the base role, then from the lowest to the highest */
	size_t count;
};

/* In work. STATUS_OK, or what the statement ended with. */
enum status hierarchy_load(struct change *c, uint64_t team_id, struct hierarchy *out);
/* NULL: the team has no such role. */
pb_RoleView *hierarchy_find(const struct hierarchy *h, uint64_t role_id);

/* The highest position among the roles of a person; 0 without any. */
int32_t hierarchy_highest(const struct hierarchy *h, const struct facts *f);
/* May he do as he likes with any role? The system, and the team's owner. */
bool hierarchy_exempt(const struct change *c);
/* STATUS_OK when the actor stands above the role, else the refusal "rank". */
enum status hierarchy_above(struct change *c, const struct hierarchy *h, const pb_RoleView *role);

/* Moves the role from one place to another (indices of roles); those in between step aside. Views only. */
void hierarchy_move(struct hierarchy *h, size_t from, size_t to);
/* Makes room for one more role at an index >= 1 and copies it there. */
void hierarchy_insert(struct change *c, struct hierarchy *h, size_t at, const pb_RoleView *role);
void hierarchy_remove(struct hierarchy *h, size_t at);
/* Writes the positions that differ from what is stored. */
enum status hierarchy_write(struct change *c, const struct hierarchy *h);

/* All of them, the highest first, as events and answers show them. */
pb_RoleView *hierarchy_shown(const struct hierarchy *h, struct arena *mem);

/* Of moderation.roles under the alias r, and how they are read. */
#define ROLE_COLUMNS                                                                                         \
	"r.id, r.team_id, r.name, r.permissions_low, r.permissions_high, r.position, r.color, r.is_base,"    \
	" r.created_at_ms, r.mentionable, r.separate, r.self_assignable"
void role_view_from_row(const struct db_rows *rows, int row, struct arena *mem, pb_RoleView *out);
