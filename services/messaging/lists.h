/*
 * lists - pages of messages and of channels. Messages are ordered by the seq of their posting, so that an id
 * made earlier but committed later is never skipped; a page ends where the next cursor (its last id) begins.
 */
#pragma once

#include "common/rpc/rpc.h"

/*
 * Newest first; with `after` oldest first. before, after: exclusive ids of messages of that channel, deleted
 * ones too; an unknown one is FIELD_INVALID. list_replies: parent_id is the message replied to; of the top of
 * a chain every reply of the chain, of a reply those that answer it.
 */
rpc_handler list_messages, list_replies;
/* By id, so oldest first; with `before` newest first. */
rpc_handler list_channels;

#define LIST_DEFAULT  50
#define LIST_MOST     100
#define CHANNELS_MOST 500 /* a team's all in one page */
