/*
 * keeper - the threads of presence that wait for nobody's call. One ticks the tables in memory (leases, graces, the
 * end of typing) and never touches the database. The other reads what people chose, writes what was
 * announced, and does the jobs of statuses (expiry, copies for further teams), which only one copy of
 * presence does at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "services/presence/presence.h"

struct keeper;

/* Starts both threads. check_schema: ask db_check_schema until the database answers; a schema that this build does not know
 * ends the process with code 3. Sets p->keeper. */
void keeper_start(struct presence *p, bool check_schema);
/* Joins both after at most one round each; what was announced is written before, if the database answers. NULL is fine. */
void keeper_stop(struct keeper *k);
/* Do not wait for the next round: there is somebody to load, or (jobs) a copy to write. Any thread; NULL is fine. */
void keeper_wake(struct keeper *k);
void keeper_wake_jobs(struct keeper *k);

/* Callbacks of the tables; called under the service's lock. NULL is fine. */
void keeper_remember(struct keeper *k, uint64_t user_id, enum presence_state shown, int64_t last_seen_at_ms);
void keeper_chose(struct keeper *k, uint64_t user_id, enum presence_state chosen);
/* The person does something, which ends a status that waits for it. */
void keeper_active(struct keeper *k, uint64_t user_id);
bool keeper_schema_known(struct keeper *k); /* for /readyz */
