/*
 * dialects/house - the websocket of the house dialect (/v1/ws). Frames, topics and codes: the protocol's
 * section 1.
 */
#pragma once

#include "services/gateway/dialect.h"

extern const struct dialect_table dialect_house;
