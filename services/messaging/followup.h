/*
 * followup - a few threads for what must not run where it is noticed: a committer's `done` may not block, but
 * a post whose rights went stale has to ask moderation again, and a repeated one is read from the database.
 */
#pragma once

#include "common/base/status.h"

struct followup;

/* Lives in the caller's struct; borrowed until run() was entered. */
struct followup_job {
	struct followup_job *next;
	void (*run)(void *arg); /* on a followup thread; may block */
	void *arg;
};

enum status followup_create(int threads, struct followup **out_followup);
/* Runs what waits, then ends the threads. Nothing may be submitted any more. NULL is fine. */
void followup_destroy(struct followup *f);
void followup_submit(struct followup *f, struct followup_job *job); /* any thread; never blocks */
