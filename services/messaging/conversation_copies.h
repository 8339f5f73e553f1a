/*
 * conversation_copies - conversation_created in the streams of the people who did not fit into the first commit. What
 * is left to do is a row of messaging.conversation_untold, so it survives whoever began it: the call that opened the
 * conversation goes on with it, the next one that opens it, and once in a while a thread of one copy.
 */
#pragma once

#include "common/db/committer.h"
#include "services/messaging/service.h"

#define COPIES_A_COMMIT 15 /* beside the conversation's own stream, of COMMIT_STREAMS_MAX */

/* In work of the commit that makes the conversation: these are told later. event: as it was appended. */
enum status copies_later(struct log_tx *tx, uint64_t channel_id, const uint64_t *user_ids, size_t count, const pb_Event *event);
/* Tells who is left, COPIES_A_COMMIT a commit. STATUS_OK also when there is nobody. */
enum status copies_finish(struct service *s, struct arena *mem, uint64_t channel_id, int64_t deadline_mono_ms);
/* Finishes what was begun before before_ms. For the thread and for tests. */
enum status copies_round(struct service *s, struct arena *mem, int64_t before_ms, size_t *out_finished);

struct copies;
enum status copies_start(struct service *s, struct copies **out_copies);
void copies_stop(struct copies *copies); /* NULL is fine */
