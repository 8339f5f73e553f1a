/*
 * channel_members - what joining one by one and seeding a new channel have in common.
 */
#pragma once

#include "services/moderation/audit.h"
#include "services/moderation/change.h"

/* In prepare: a deleted channel is not there, a conversation has no such members. */
enum status channel_place_refused(struct change *c);
/* Would the member see the channel with the facts as they stand? */
bool channel_can_view(const struct facts *f);
/* In work: the person is `role` in the channel from now on (NONE: left). When that gives or takes the view,
 * writes the audience event; out_seq is its seq, else 0. Changes f, not the rows. */
enum status channel_place_change(struct change *c, struct facts *f, uint32_t role, uint64_t *out_seq);
/* In work: channel_member_joined in H and U. seeded: in it from its making. */
enum status channel_tell_joined(struct change *c, const struct facts *f, uint32_t role, bool promoted, bool seeded);
/* In work, last: the audit entry about the person; what one does with oneself is not recorded. role: CHANNEL_ROLE_NONE to
 * leave it out. */
enum status channel_record_member(struct change *c, const struct facts *f, enum audit_action action, uint32_t role);
