/*
 * pins - the messages that a channel keeps at hand.
 */
#pragma once

#include "common/rpc/rpc.h"

/* Say nothing when it is so already. AT_LIMIT with why "pins" (of the channel) or "pin_changes" (of the
 * message). */
rpc_handler pin_message, unpin_message;
/* Newest pin first; with `after` oldest first. before, after: exclusive ids of pinned messages; another one
 * is FIELD_INVALID. */
rpc_handler list_pins;
