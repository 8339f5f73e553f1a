/*
 * system_lines - what happened to a channel, as messages of kind system in it: created, renamed, joined and so on (enum
 * system_template). A job that follows the log writes them behind the commit of what they tell, each once: the event's own seq is
 * stored with the line. They are never counted, and dialects put them into words.
 */
#pragma once

#include "common/db/log_follower.h"
#include "services/messaging/service.h"

/* For the follower "lines"; before the committer. */
void system_lines_create(struct service *s, struct log_follower **out_follower);
#define SYSTEM_LINES_MOST 2 /* of one event: a channel's name and topic */
/* The lines that an event deserves, in a channel of its stream; returns how many. Exposed for tests. */
size_t system_lines_of(struct arena *mem, const struct followed_event *ev, uint64_t *out_channel,
	pb_SystemLineView out[SYSTEM_LINES_MOST]);
enum status system_lines_follow(void *service, struct arena *mem, const struct log_batch *batch);
