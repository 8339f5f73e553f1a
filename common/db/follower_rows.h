/*
 * db/follower_rows - the statements of a follower: positions, batches, and which streams moved. Inside common/db only.
 */
#pragma once

#include "common/db/log_follower.h"

struct follower_page {
	uint64_t saved; /* the position in the database; given back as it was given when one was given */
	uint64_t head;
	struct log_batch batch;
};
/* What follows `after` (FOLLOWER_SAVED: the saved position, which out->saved then tells): at most `most` wanted events, of
 * the next `look` of any kind. */
#define FOLLOWER_SAVED     UINT64_MAX
#define FOLLOWER_LOOK_MOST 2000
enum status follower_fetch(struct db_conn *conn, struct arena *mem, const struct log_follower_options *o, struct stream s,
	uint64_t after, size_t most, size_t look, struct follower_page *out);
/* Moves the position; false: it was not at `from`. */
enum status follower_save(struct db_conn *conn, struct arena *mem, const char *name, struct stream s, uint64_t from,
	uint64_t to, bool *out_moved);
/* Those of the next streams behind *at, in order, that are not where their position is; *at moves on, to rank 0 at the end. */
struct stream follower_first(unsigned ranks);
enum status follower_behind(struct db_conn *conn, struct arena *mem, const char *name, unsigned ranks, struct stream *at,
	struct stream **out_streams, size_t *out_count);
