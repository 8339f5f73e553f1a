/*
 * lists - pages of messages and of channels. Messages are ordered by the seq of their posting, so that an id
 * made earlier but committed later is never skipped; a page ends where the next cursor (its last id) begins.
 */
#pragma once

#include "common/db/db.h"
#include "common/rpc/rpc.h"
#include "proto/messaging.pb.h"

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

/* limit as asked, LIST_DEFAULT for 0, never above most. */
uint32_t list_limit(uint32_t asked, uint32_t most);
/* Rows whose columns from `first` on are MESSAGE_COLUMNS and MESSAGE_MARKS as the reply: at most limit of them, `more` when there are
 * others. Ends at the first row without a message. */
void list_take(struct arena *mem, const struct db_rows *rows, int first, uint32_t limit, pb_ListMessagesReply *out);
