/*
 * bots - accounts without a password that belong to a person: he makes, changes and deletes them, and gives
 * them tokens (bot_tokens.h). What is somebody else's does not exist here: STATUS_NOT_FOUND. A bot ends with
 * its owner's account, and is locked out with it. Making and changing one are accounts.h. Worker threads;
 * strings live in mem.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/rpc/rpc.h"
#include "services/api/api.h"

/* In the order of their ids. before, after: ids, or 0. *out_more: there are further ones that way. */
enum status bots_list(struct api *api, struct arena *mem, uint64_t owner_id, uint64_t before, uint64_t after,
	uint32_t limit, int64_t deadline_mono_ms, pb_UserView **out_bots, size_t *out_count, bool *out_more);
enum status bots_get(struct api *api, struct arena *mem, uint64_t owner_id, uint64_t bot_id,
	int64_t deadline_mono_ms, pb_UserView *out);
/* Erases a bot of the actor's: its tokens end, its messages stay without an author. STATUS_NOT_FOUND,
 * STATUS_STALE with why "session", STATUS_BUSY, STATUS_LATE. */
enum status bots_delete(struct api *api, struct arena *mem, const struct rpc_context *by, uint64_t bot_id,
	struct rpc_outcome *out);

/* Of an account that was erased or disabled: erases its bots, or closes their sockets. Nothing when it was
 * enabled again meanwhile. Safe to repeat. */
enum status bots_follow_owner(
	struct api *api, struct arena *mem, uint64_t owner_id, int64_t deadline_mono_ms);
