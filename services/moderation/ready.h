/*
 * ready - what /readyz asks: the database, with the schema that this build knows, and a node for ids. A database that is away at
 * start or later is waited for; one with a schema of another version ends the process.
 */
#pragma once

#include "common/db/log.h"
#include "common/ops/ops.h"
#include "services/moderation/service.h"

#define EXIT_SCHEMA 3

struct ready;
/* Adds the checks and starts the thread that looks at the schema until it has seen it. Borrows all. */
enum status ready_start(struct moderation *service, struct log_upkeep *upkeep, struct ops *ops, struct ready **out_ready);
void ready_stop(struct ready *ready); /* after ops_stop: the check uses it. NULL is fine */
