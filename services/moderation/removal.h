/*
 * removal - how somebody ceases to be a member: one way for leaving, kicks, bans and erased accounts
 * (members.c).
 */
#pragma once

#include "common/events/kinds.h"
#include "services/moderation/change.h"

/* In prepare: nobody removes the owner, and only from above. */
enum status removal_refused(struct change *c, const struct facts *actor, const struct facts *target);

/*
 * In work; target is of the team (no channel) and its U stream is among the op's. Writes audience_changed
 * (lost team:T) first, ends the membership and what he is in the team's channels, raises his epoch, then
 * member_removed in T and U. For one who is no member: only the audience event and the epoch.
 */
enum status removal_write(struct change *c, struct facts *target, enum removal reason);
