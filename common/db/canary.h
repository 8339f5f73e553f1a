/*
 * canary - an event that says nothing, committed every CANARY_EVERY_MS in the whole installation to a stream of its own: each
 * gateway measures how long it takes to arrive. Every process that has one tries in turn; a lease in log.jobs decides, so that
 * there is one canary however many copies run, and another copy goes on when the one that had it is gone. It is an ordinary
 * change: the committer, the log, the bus. Old ones leave with the log's leaves.
 */
#pragma once

#include "common/base/status.h"

#define CANARY_EVERY_MS 5000
#define CANARY_LEASE_MS 7000

struct arena;
struct canary;
struct committer;
struct db;
struct db_conn;

/* Both are borrowed and outlive it. instance: names the holder of the lease, with a salt of this start. */
enum status canary_start(struct db *db, struct committer *committer, const char *instance, struct canary **out_canary);
void canary_stop(struct canary *canary); /* accepts NULL; before the committer is drained */

/* One turn: a canary, if it is this holder's to send. BUSY: the database does not answer. */
enum status canary_turn(struct db *db, struct committer *committer, const char *holder, bool *out_sent);
