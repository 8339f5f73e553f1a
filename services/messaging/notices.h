/*
 * notices - tells people that a message mentions them or answers theirs: user_mentioned in their own streams, by a thread
 * of its own, once the message is committed. What is still to be told are rows of messaging.mentions that are not `told`:
 * whoever posts names its message here at once, and what a crash left over is found by a scan that one copy at a time
 * does.
 *
 * A commit holds the channel's stream and those of at most 15 people. Under the lock the message must stand, the row must
 * be untold, and the judgement by which the person can view the channel must hold; `told` is set in the same commit.
 * So nobody is told twice, of a message that was deleted, or of one that he may not read.
 */
#pragma once

#include <stddef.h>

#include "services/messaging/service.h"

struct notices;

enum status notices_start(struct service *s, struct notices **out_notices);
/* Of a message that was committed; trace as in log.h. Any thread; never blocks. NULL is fine. */
void notices_tell(struct notices *n, uint64_t message_id, const char *trace);
/* Tells what waits, then ends the thread; what is named afterwards is left to the scan. Before the committer drains. NULL is
 * fine. */
void notices_stop(struct notices *n);
void notices_destroy(struct notices *n);

/* ---- what the thread does; for tests */

struct notice_message {
	uint64_t id;
	char trace[33];
};
#define NOTICE_BATCH 16
/* Tells of up to NOTICE_BATCH messages. STATUS_OK when nothing of them is left to be told; else BUSY, LATE, STALE, INTERNAL, and
 * the rest is told by a later run. */
enum status notices_run(struct service *s, const struct notice_message *messages, size_t count);
/* The same for every untold message with an id below `before` whose text is younger than since_ms (wall). */
enum status notices_scan(struct service *s, int64_t since_ms, uint64_t before);
