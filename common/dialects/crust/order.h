/*
 * crust/order - the order in which channels are listed: by name, without regard to the case of A to Z, then by id, so that no two are
 * alike. No other letters are folded: that would take tables, and the order would be that of one language. Pure; any thread.
 */
#pragma once

#include "common/events/events.h"

/* Below, at or above 0, as strcmp. A name may be NULL, of a conversation: it is empty then. */
int crust_channel_order(const pb_ChannelView *a, const pb_ChannelView *b);
