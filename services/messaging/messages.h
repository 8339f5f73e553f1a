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

rpc_handler update_message, delete_message, get_message, list_edits;
