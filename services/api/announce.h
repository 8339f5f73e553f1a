/*
 * announce - the operator's word to everybody: one event in the global stream. Worker threads.
 */
#pragma once

#include <stdint.h>

#include "common/rpc/rpc.h"
#include "services/api/api.h"

#define ANNOUNCE_TITLE_MOST 256
#define ANNOUNCE_TEXT_MOST  4000

/*
 * announce_to_all - until_ms: wall clock after which clients need not show it any more, 0: no end. *out_id:
 * the announcement's id, the first one's for a repeat.
 *
 * STATUS_OK, STATUS_FIELD_INVALID on title, text or until, STATUS_BUSY, STATUS_LATE.
 */
enum status announce_to_all(struct api *api, struct arena *mem, const struct rpc_context *by,
	const char *title, const char *text, int64_t until_ms, uint64_t *out_id, struct rpc_outcome *out);
