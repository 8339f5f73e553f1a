/*
 * bookmarks - messages that a person marked for himself. Nobody else hears of them: their events are in his
 * own stream. What he may not read any more is not listed, and is there again when he may.
 */
#pragma once

#include "common/rpc/rpc.h"

/* Says nothing when it is so already. Setting takes read_history, removing only that the channel is there for
 * him. */
rpc_handler set_bookmark;
/* Newest bookmark first; with `after` oldest first. before, after: exclusive ids of bookmarked messages;
 * another one is FIELD_INVALID. */
rpc_handler list_bookmarks;
