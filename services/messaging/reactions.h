/*
 * reactions - who reacts to a message with what. A row a person and kind, and a counter a kind, changed
 * together under the lock of the channel's stream; lists of messages show the counters (MESSAGE_MARKS).
 */
#pragma once

#include "common/rpc/rpc.h"
#include "services/messaging/service.h"

/* Both say nothing when nothing changes. AT_LIMIT with why "reactions": one kind too many. */
rpc_handler add_reaction, remove_reaction;
/* Who reacted, by id; before, after: exclusive ids of people. */
rpc_handler list_reactions;

/* For the deletion of a message, under the lock: everything that was put on it. */
enum status reactions_drop(struct log_tx *tx, uint64_t channel_id, uint64_t message_id);
