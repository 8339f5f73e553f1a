/*
 * presence - tells guildhall-presence which people are connected here: one registration per gateway process,
 * kept alive at least every 5 s, changes gathered for at most 250 ms, everything again after presence started
 * anew. One thread of its own; the functions below may be called from any.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"
#include "common/rpc/stubs.h"

struct presence;

/* client: borrowed. instance: this gateway's name. */
enum status presence_create(struct rpc_client *client, const char *instance, struct presence **out_presence);
/* Says that this gateway leaves, then ends the thread. */
void presence_destroy(struct presence *presence);

/* view: the encoded UserView. Where the person is shown, his teams and conversations, comes along (NULL: nowhere); a second
 * call changes it. */
void presence_opened(struct presence *presence, uint64_t socket_id, uint32_t dialect, const uint8_t *view,
	size_t view_length, const pb_TeamIdsOf *places);
void presence_closed(struct presence *presence, uint64_t socket_id);
