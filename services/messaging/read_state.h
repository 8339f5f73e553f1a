/*
 * read_state - how far a person has read a channel, or a thread in it. Unread is arithmetic: the counters of the channel, or of
 * the thread's root, minus what they were at the mark; nothing is stored per message and member. unread.h lists it.
 */
#pragma once

#include "common/rpc/rpc.h"

/* NOT_FOUND on root_id: no root of a thread here; on message_id: why "channel" or "thread", which it is not of. */
rpc_handler mark_read;
