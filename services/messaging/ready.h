/*
 * ready - what /readyz asks: the database with the schema this build knows, moderation, and a node for making
 * ids. A database that is away at start or later is waited for; one with a schema of another version ends the
 * process.
 */
#pragma once

#include "common/db/log.h"
#include "common/ops/ops.h"
#include "services/messaging/service.h"

#define EXIT_SCHEMA 3

struct ready;
/* Adds the checks and starts the thread that looks at the schema until it has seen it. Borrows all. */
enum status ready_start(
	struct service *s, struct log_upkeep *upkeep, struct ops *ops, struct ready **out_ready);
void ready_stop(struct ready *ready); /* after ops_stop: the checks use it. NULL is fine */
