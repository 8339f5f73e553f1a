/*
 * expiry - the job that ends bans, timeouts and invites whose time has come, as ordinary changes with their events:
 * rights do not end by the clock alone (a key that came back without an event would let a resume replay what was
 * hidden meanwhile).
 */
#pragma once

#include "services/moderation/service.h"

struct expiry;
/* One thread; looks once a second, in one copy at a time (a lease in log.jobs). Borrows service. */
enum status expiry_start(struct moderation *service, struct expiry **out_expiry);
void expiry_stop(struct expiry *expiry); /* NULL is fine */

/* One look: ends what has expired by now_ms, at most 100 of a kind; out_ended may be NULL. For tests too. */
enum status expiry_run(struct moderation *service, struct arena *mem, int64_t now_ms, size_t *out_ended);
