#include "services/moderation/operations.h"

#include <stdlib.h>
#include <string.h>

#define LOW(name)     ((unsigned)PERMISSION_##name < 64 ? UINT64_C(1) << ((unsigned)PERMISSION_##name & 63) : 0)
#define HIGH(name)    ((unsigned)PERMISSION_##name >= 64 ? UINT64_C(1) << ((unsigned)PERMISSION_##name & 63) : 0)
#define MORE(name)    LOW(name) /* those of one row are all in the low half */
#define NO_MORE       0
const struct operation operations[] = {
#define OPERATION(resource, name, first, more)                                                               \
	{name, OPERATION_##resource, PERMISSION_##first, {LOW(first) | (more), HIGH(first)}},
#include "services/moderation/crust_operations.tbl.h"
#undef OPERATION
};
const size_t operation_count = sizeof operations / sizeof *operations;

_Static_assert(PERMISSION_view_stream < 64 && PERMISSION_read_history < 64, "MORE is of the low half");

bool operation_resource(const char *text, struct rule_resource *out)
{
	static const char service[] = "messaging", channel[] = "messaging:channel:";
	char *end;

	if (strcmp(text, service) == 0) {
		*out = (struct rule_resource){OPERATION_SERVICE, 0};
		return true;
	}
	if (strncmp(text, channel, sizeof channel - 1) != 0)
		return false;
	text += sizeof channel - 1;
	if (strcmp(text, "*") == 0) {
		*out = (struct rule_resource){OPERATION_CHANNEL, 0};
		return true;
	}
	size_t length = strlen(text);
	if (length == 0 || length > 19 || strspn(text, "0123456789") != length) /* ids have 63 bits */
		return false;
	uint64_t id = strtoull(text, &end, 10);
	*out = (struct rule_resource){OPERATION_CHANNEL, id};
	return id != 0;
}

const struct operation *operation_find(enum operation_resource of, const char *name)
{
	for (size_t i = 0; i < operation_count; i++)
		if (operations[i].resource == of && strcmp(operations[i].name, name) == 0)
			return &operations[i];
	return NULL;
}

struct bits operation_bits(void)
{
	struct bits all = {0};

	for (size_t i = 0; i < operation_count; i++)
		all = bits_or(all, operations[i].permissions);
	return all;
}

enum rule_access rule_read(const struct rule_sets *sets, const struct operation *op)
{
	if (bits_has(sets->deny, op->first))
		return ACCESS_DENY;
	return bits_has(sets->allow, op->first) || bits_has(sets->permissions, op->first) ? ACCESS_ALLOW : ACCESS_INHERIT;
}

bool rule_write(struct rule_sets *sets, const struct operation *op, enum rule_access access)
{
	if (rule_read(sets, op) == access)
		return false;
	sets->permissions = bits_minus(sets->permissions, op->permissions);
	sets->allow = bits_minus(sets->allow, op->permissions);
	sets->deny = bits_minus(sets->deny, op->permissions);
	if (access == ACCESS_DENY)
		sets->deny = bits_or(sets->deny, op->permissions);
	else if (access == ACCESS_ALLOW && sets->channel)
		sets->allow = bits_or(sets->allow, op->permissions);
	else if (access == ACCESS_ALLOW)
		sets->permissions = bits_or(sets->permissions, op->permissions);
	return true;
}
