/*
 * ownership - whose a team is: handed on by its owner, or, when his account is erased, to who stands highest there. With
 * nobody left the team is deleted.
 */
#pragma once

#include "services/moderation/change.h"

/* For the erasing of an account, in one commit of the call: OK also when the team is not his, NOT_FOUND when it is gone. */
enum status ownership_leave(struct moderation *service, struct rpc_call *call, uint64_t team_id, uint64_t user_id);
