/*
 * audit_follower - the job that records what messaging did: channels made, changed, archived and deleted, messages that
 * somebody other than their author deleted or changed, pins. It reads the log (common/db/log_follower.h), so each such event
 * is recorded once, whatever dies in between.
 */
#pragma once

#include "common/db/log_follower.h"
#include "services/moderation/service.h"

/* To be started when the committer is there and stopped before it is drained. It needs no notes: what it waits for, other
 * processes commit. */
void audit_follower_create(struct moderation *service, struct log_follower **out_follower);

/* log_follower_options.commit, arg being the struct moderation. For tests too. */
enum status audit_follow(void *arg, struct arena *mem, const struct log_batch *batch);
