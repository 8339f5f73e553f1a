/*
 * search_index - fills messaging.search behind the commit: a job that follows the log (common/db/log_follower.h), one copy at a
 * time. What an event says is only which message to look at; the row is what is indexed, so a repeat, a delay or an event whose
 * content is gone does no harm.
 *
 * What the log does not tell (messages older than it, an index made with another configuration, `guildhallctl search rebuild`)
 * is read from the table in order of ids, a chunk a turn; until that is done answers say that they are partial.
 */
#pragma once

#include "common/db/log_follower.h"
#include "services/messaging/service.h"

#define SEARCH_SEGMENT_ROWS 8192

struct search_index;
/* Borrows s, whose db must be open; nothing runs before search_index_start. */
void search_index_create(struct service *s, struct search_index **out_index);
/* Any thread, never blocks: what was committed. */
void search_index_note(struct search_index *index, const struct logged_event *events, size_t count);
void search_index_start(struct search_index *index);
void search_index_stop(struct search_index *index);    /* NULL, or never started, is fine */
void search_index_destroy(struct search_index *index); /* NULL is fine */

/* The configured one exists. STATUS_FIELD_INVALID otherwise; STATUS_BUSY: the database does not answer. */
enum status search_config_check(struct db *db, const char *config);
/* What the index is marked with. */
const char *search_made_with(struct arena *mem, const char *config);

/* The pieces, on their own for tests and the bench; both inside a transaction of the caller. */
enum status search_index_messages(
	struct db_conn *conn, struct arena *mem, const char *config, const uint64_t *ids, size_t count, bool backfill);
/* The next chunk; out_done: there is no more. */
enum status search_backfill_chunk(struct db_conn *conn, struct arena *mem, const char *config, bool *out_done);
