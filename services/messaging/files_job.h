/*
 * files_job - takes away what nobody refers to: attachments that no message was posted with in time or whose message is gone, contents
 * that no attachment has, uploads that nobody finished. One copy at a time, by a lease.
 */
#pragma once

#include "services/messaging/service.h"

struct files_job;
enum status files_job_start(struct service *s, struct files_job **out_job); /* without a store: STATUS_OK and NULL */
void files_job_stop(struct files_job *job);                                  /* NULL is fine */

struct files_gone {
	uint64_t attachments, contents, uploads;
};
/* One round as of now_ms (wall clock); for the job and for tests. */
enum status files_round(struct service *s, struct db_conn *conn, struct arena *mem, int64_t now_ms, struct files_gone *out);
