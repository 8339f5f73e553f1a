/*
 * channel_prefs - what a person set for a channel: whether it is pinned, hidden or ignored in his list, and what he wants to be
 * notified of. His own and nobody else's; the server does nothing by it. unread.h lists it.
 */
#pragma once

#include "common/rpc/rpc.h"

rpc_handler set_channel_pref;
