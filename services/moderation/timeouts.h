/*
 * timeouts - who may for a while only look on. A timeout holds from its commit until somebody lifts it or the expiry
 * job does: like a ban it never ends by the clock alone, so that everybody's keys change at a place in the stream.
 */
#pragma once

#include "services/moderation/change.h"

#define TIMEOUT_MAX_MS INT64_C(2419200000) /* 28 days */

/* The expiry job's way: lifts it if its end has come. */
enum status timeout_expire(struct moderation *service, struct arena *mem, uint64_t team_id, uint64_t user_id);
