/*
 * clone - a copy of a channel without its messages. Overrides and members are moderation's, and the copy may
 * not be seen before they are there: who is kept out of the one would be in the other. So it begins as a
 * draft that is deleted for everybody, and is opened by set_channel_state when moderation has copied its
 * part. A draft that is never opened goes with the purge.
 */
#pragma once

#include "common/rpc/rpc.h"

/*
 * The draft: kind, topic, category, group, position, privacy and slow mode of the channel, and its name
 * unless another is given. Behind it in the list, because of two with the same position the older comes
 * first. Takes what creating such a channel takes, and that the channel is there for the actor.
 */
rpc_handler clone_channel;
