/*
 * post - the hot path: post_message. A worker judges, builds and submits; the committer's thread answers.
 * Stale rights and repeated requests take a detour over a followup thread, because a committer's callback may
 * not block.
 */
#pragma once

#include "common/rpc/rpc.h"

void post_message(void *service, struct rpc_call *call, const void *request, void *reply);
