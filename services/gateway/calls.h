/*
 * calls - a hub's ports in a running process: questions become calls to the owners, answers become mail to
 * the loop that asked; follows go to the order by the route.
 */
#pragma once

#include "services/gateway/hub.h"
#include "services/gateway/loop.h"
#include "services/gateway/presence.h"
#include "services/gateway/route.h"

/* What all loops share. Fields may be set to NULL once the loops have stopped. */
struct calls_shared {
	struct rpc_client *api, *messaging, *moderation, *presence_client;
	struct presence *presence;
	struct token_lane *tokens;
	struct route *route;
	struct bus_order *order;
};

/* One loop's. */
struct calls {
	struct calls_shared *shared;
	struct loop *loop; /* set before it starts */
	size_t number;
};

/* arg of its functions: a struct calls. */
extern const struct hub_ports calls_ports;

/* What the order asks with, on its own threads: argument is the struct calls_shared. */
enum status calls_fetch(void *arg, struct arena *mem, struct stream s, uint64_t after, uint32_t limit,
	uint64_t expect_head, pb_FetchEventsReply *out);
enum status calls_heads(
	void *arg, struct arena *mem, const struct stream *streams, size_t count, pb_StreamHeadsReply *out);
