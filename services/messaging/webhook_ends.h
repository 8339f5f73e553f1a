/*
 * webhook_ends - a job that follows the log: a webhook whose bot's account is gone ends, one whose bot is locked rests until it is not.
 * One whose owner is locked or gone rests as well: it is the channel's, so it is for others to end.
 * The row is marked with the event; telling it, with its deletion, follows under the job's lease.
 */
#pragma once

#include "common/db/log_follower.h"
#include "services/messaging/service.h"

struct webhook_ends;
/* Borrows s, whose db must be open; nothing runs before webhook_ends_start. */
void webhook_ends_create(struct service *s, struct webhook_ends **out_ends);
/* Any thread, never blocks: what was committed. */
void webhook_ends_note(struct webhook_ends *ends, const struct logged_event *events, size_t count);
void webhook_ends_start(struct webhook_ends *ends);
void webhook_ends_stop(struct webhook_ends *ends);    /* NULL, or never started, is fine */
void webhook_ends_destroy(struct webhook_ends *ends); /* NULL is fine */

/* The two steps, for tests: marks what the events say (inside a transaction), and tells of one that was marked. */
enum status webhook_ends_mark(struct db_conn *conn, struct arena *mem, uint64_t account, bool gone, bool locked);
/* STATUS_NOT_FOUND: none is left. */
enum status webhook_ends_tell(struct service *s, struct db_conn *conn, struct arena *mem);
