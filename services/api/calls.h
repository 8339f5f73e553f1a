/*
 * calls - what the other processes and guildhallctl ask of api: the arms of proto/api.proto.
 */
#pragma once

#include <stddef.h>

#include "common/rpc/rpc.h"

/* Every arm exactly once; service is the struct api. */
extern const struct rpc_binding api_bindings[];
extern const size_t api_binding_count;
