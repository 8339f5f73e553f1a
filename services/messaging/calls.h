/* calls - which handler serves which call of messaging. */
#pragma once

#include "common/rpc/rpc.h"

/* Every arm of MessagingRequest once; rpc_bindings_complete checks it at start. */
extern const struct rpc_binding messaging_bindings[];
extern const size_t messaging_binding_count;
