/*
 * ready - what /readyz of api asks: database with a known schema, a node for ids, messaging and moderation.
 * Presence is shown, but an api without it still does its work.
 */
#pragma once

#include "common/db/log.h"
#include "common/ops/ops.h"
#include "services/api/api.h"

#define EXIT_SCHEMA 3

struct ready;
/* Also watches for the schema: with another one than this build knows the process ends with EXIT_SCHEMA. */
enum status ready_start(
	struct api *api, struct log_upkeep *upkeep, struct ops *ops, struct ready **out_ready);
void ready_stop(struct ready *ready); /* after ops_stop; NULL is fine */
