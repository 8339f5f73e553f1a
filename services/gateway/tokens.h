/*
 * tokens - whose tokens are these? The first questions go to api at once; what comes while some are under way gathers and goes
 * together, as changes do in the committer: no timer, and nobody waits while the lane is free. Ten thousand sockets that come at
 * once are a few hundred calls and statements, a handful of them at a time. Shared by the loops of a process; thread-safe.
 */
#pragma once

#include <stdint.h>

#include "common/rpc/rpc.h"
#include "services/gateway/loop.h"

struct token_lane;

/* api is borrowed and outlives what is under way: stop, destroy the client, destroy the lane. */
struct token_lane *token_lane_create(struct rpc_client *api);
/* One question, answered by loop_answer with a pb_ResolveTokenReply. token is copied. */
void token_lane_ask(struct token_lane *lane, struct loop *loop, uint64_t question, const char *token, enum dialect dialect);
/* Nothing more is asked; what waits is not answered. */
void token_lane_stop(struct token_lane *lane);
void token_lane_destroy(struct token_lane *lane); /* accepts NULL; nothing is under way any more */
