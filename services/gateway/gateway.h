/*
 * gateway - the whole process without its main: clients of the owners, the order, presence's registration,
 * one loop per core, readiness, draining.
 */
#pragma once

#include "common/base/config.h"
#include "common/base/status.h"
#include "common/ops/ops.h"

struct gateway;

/* config: borrowed for the life of the gateway. ops may be NULL (tests). Sockets are accepted from the return
 * on. */
enum status gateway_start(const struct config *config, struct ops *ops, struct gateway **out_gateway);
uint16_t gateway_port(const struct gateway *gateway);
/* Reads the certificate again, when there is one. On failure (logged) the old one stays. */
void gateway_reload(struct gateway *gateway);
/* Sends the clients away over drain_ms, then ends everything. */
void gateway_stop(struct gateway *gateway);
