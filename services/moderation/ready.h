/*
 * ready - what /readyz asks: the database, with the schema that this build knows. A database that is away at
 * start or later is waited for; one with a schema of another version ends the process.
 */
#pragma once

#include "common/ops/ops.h"
#include "services/moderation/service.h"

#define EXIT_SCHEMA 3

struct ready;
/* Adds the check and starts the thread that looks at the schema until it has seen it. Borrows both. */
enum status ready_start(struct moderation *service, struct ops *ops, struct ready **out_ready);
void ready_stop(struct ready *ready); /* after ops_stop: the check uses it. NULL is fine */
