/*
 * channel_states - a channel between its states: valid, archived (read only), deleted (invisible, with all it
 * has, until the purge), and a clone's way from draft to channel. All are reversible but the purge, and each
 * is a change of rights: what may be done there follows from them.
 *
 * Archiving takes and gives no keys: who reads the channel goes on reading it, and resumes across it.
 * A channel that comes back gives keys: when it has a key of its own the commit begins with the
 * audience_recheck that gives it.
 */
#pragma once

#include "common/rpc/rpc.h"

/*
 * enum channel_change says what. CONFLICT with why "state" when the channel is in that state already;
 * NOT_FOUND for a deleted one that the actor may not bring back, or that the purge has begun on; AT_LIMIT
 * when the team has no room for one more.
 */
rpc_handler set_channel_state;
