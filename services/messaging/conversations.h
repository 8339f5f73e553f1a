/*
 * conversations - opening and listing direct and group conversations. Who is in one is moderation's: open claims the
 * set of people there first, which gives the id, then writes the channel of that id with conversation_created in its
 * stream and a copy in each person's. Whoever opens a conversation that was claimed and has no channel yet, because
 * somebody died in between, makes it; the same for copies that are missing (conversation_copies.h).
 */
#pragma once

#include "common/rpc/rpc.h"
#include "services/messaging/service.h"

#define CONVERSATION_PEOPLE_MOST 50

rpc_handler open_conversation;
/* Of the actor, newest activity first; with `after` oldest first. */
rpc_handler list_conversations;

/* Puts their people into those of the views that are conversations; the actor is in them. BUSY, LATE and what else
 * a call ends with; nothing is asked when there are none. */
enum status conversations_fill(
	struct service *s, struct rpc_call *call, pb_ChannelView *views, size_t count);
