/*
 * channel_rank - who may act on whom inside a channel: kicks, bans, roles. A channel's owner and moderators
 * usually hold no role of the team, so the team's ranks alone would let them act on nobody: among people of
 * the same highest position the channel's own order decides (owner, who moderates, the others).
 */
#pragma once

#include "services/moderation/change.h"

/* In prepare: may the actor kick or ban there at all? moderate_channel, or ban_members in the team. */
enum status channel_moderation_need(struct change *c);
/* In prepare: may he act on this target? Only from above, so never on the team's owner, and on the channel's
 * owner only from above in the team. */
enum status channel_target_refused(struct change *c, const struct facts *target);
/* Do they stand above (1), below (-1) or beside (0) one another? */
int channel_rank_compare(const struct facts *actor, const struct facts *target);
