/*
 * operations - crust's permission rules (role, resource, operation, access) over roles and overrides: which permissions an
 * operation is, what access a role has where, and what becomes of its sets when a rule is set. Pure, any thread.
 *
 * The resource `messaging` and the wildcard `messaging:channel:*` are the team: allow is the role's permission, deny the
 * role's override of the team scope. `messaging:channel:ID` is the channel: allow and deny are the role's override there.
 * A rule that is set reads back as it was set; one that reads as asked already is not written, so that what was arranged in
 * finer steps elsewhere (view_voice without view_text, say) stays.
 */
#pragma once

#include <stddef.h>

#include "common/events/kinds.h"

enum operation_resource { OPERATION_SERVICE, OPERATION_CHANNEL };

struct operation {
	const char *name;
	enum operation_resource resource;
	enum permission first;
	struct bits permissions; /* first among them */
};
extern const struct operation operations[];
extern const size_t operation_count;

struct rule_resource {
	enum operation_resource of;
	uint64_t channel_id; /* 0: all, or the service */
};
/* "messaging", "messaging:channel:*", "messaging:channel:123". False: it is none. */
bool operation_resource(const char *text, struct rule_resource *out);
/* NULL: there is no such operation on such a resource. */
const struct operation *operation_find(enum operation_resource of, const char *name);
/* All permissions of all of them. */
struct bits operation_bits(void);

/* What a role has in the team (permissions, and the override of the team scope) or in a channel (permissions unused). */
struct rule_sets {
	struct bits permissions, allow, deny;
	bool channel;
};
enum rule_access rule_read(const struct rule_sets *sets, const struct operation *op);
/* True: it changed something. */
bool rule_write(struct rule_sets *sets, const struct operation *op, enum rule_access access);
