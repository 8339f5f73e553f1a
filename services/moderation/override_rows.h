/*
 * override_rows - one override that changes, as every change of overrides writes, tells and records it. In work,
 * under the lock of the team's stream; raising epochs and moving keys come before and are the caller's.
 */
#pragma once

#include "services/moderation/change.h"

struct override_sets {
	struct bits allow, deny;
};
static inline bool override_empty(const struct override_sets *sets)
{
	return bits_none(sets->allow) && bits_none(sets->deny);
}

struct override_moved {
	uint32_t scope, subject_kind; /* enum override_scope, override_subject */
	uint64_t scope_id, subject_id;
	struct override_sets before, after; /* after: empty removes it */
	const pb_ChannelView *channel;      /* of a channel's, else NULL */
	bool restricted;                    /* of a channel's: it has a key of its own afterwards */
};

enum status override_write(struct change *c, const struct override_moved *m);
/* override_set or override_removed, to who can view the channel, or to the team. */
enum status override_tell(struct change *c, const struct override_moved *m);
enum status override_record(struct change *c, const struct override_moved *m);
