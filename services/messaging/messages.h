/*
 * messages - one message after it was posted: editing, deleting, reading it and its earlier versions.
 */
#pragma once

#include "common/events/events.h"
#include "services/messaging/service.h"

/* The message that an earlier call with the same request id wrote. first: what that call wrote into it, for
 * an actor who may not see by now what became of it; NULL: as it is now. From the primary: that call may have
 * ended a moment ago. NOT_FOUND: purged since. */
enum status message_written(
	struct service *s, struct rpc_call *call, uint64_t id, const char *first, pb_MessageView *out);

/* The channel of a message that stands or was deleted; from the primary. NOT_FOUND, BUSY. Says nothing of rights: who may not know of
 * the channel is told so by what comes next. */
enum status message_home(struct service *s, struct rpc_call *call, uint64_t id, uint64_t *out_channel);
/* A request that names a message and no channel (0) is of the message's own: written into it. False: the call has ended. */
bool message_settle(struct service *s, struct rpc_call *call, uint64_t id, uint64_t *channel_id);

rpc_handler update_message, delete_message, get_message, list_edits;
