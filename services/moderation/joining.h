/*
 * joining - how somebody becomes a member: one way for those who come by themselves, are added or bring an invite
 * (members.c).
 */
#pragma once

#include "services/moderation/change.h"

/* In prepare: reads the team with the person as target 0. NOT_FOUND when the team is not there. */
enum status joining_load(struct change *c, uint64_t team_id, uint64_t user_id);
/* In prepare: somebody who is a member already may; else no ban may hold, and his U stream becomes one of the op's. */
enum status joining_refused(struct change *c);

struct joining_by {
	uint64_t invited_by; /* kept with the membership, or 0 */
	const char *invite;  /* the code, or NULL */
};
/* In work, for one who is no member: audience_changed (gained team:T) first, then the row, then member_joined in T and
 * U. Fills the reply. AT_LIMIT when he is in too many teams. */
enum status joining_write(struct change *c, struct facts *target, struct joining_by by, pb_MemberReply *reply);
