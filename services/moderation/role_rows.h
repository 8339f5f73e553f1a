/*
 * role_rows - a role that changes, as every change of roles writes, tells and records it. In work, under the lock of
 * the team's stream; raising epochs and moving keys are the caller's.
 */
#pragma once

#include "services/moderation/hierarchy.h"

/* A new one. */
enum status role_insert(struct change *c, const pb_RoleView *role);
/* Everything but its position. changed_seq: of the audience event, 0: the keys of who has it did not change. */
enum status role_write(struct change *c, const pb_RoleView *role, uint64_t changed_seq);
/* role_created, role_updated, role_deleted: each tells the whole order, because others moved with it. */
enum status role_tell(struct change *c, uint32_t which, const struct hierarchy *h, const pb_RoleView *role,
	char **changed, size_t changed_count);
enum status role_record_update(struct change *c, const pb_RoleView *was, const pb_RoleView *is);
/* The keys of who has it changed with the audience event of that number. */
enum status role_keys_moved(struct change *c, uint64_t role_id, uint64_t seq);
