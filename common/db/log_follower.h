/*
 * db/log_follower - a durable reader of the event log, for jobs that act on what was committed: a search index, the audit of
 * other owners' changes, system messages. Of all copies of a process one works (a lease in log.jobs); each stream's events come
 * in order, from a position in log.followers that is saved in the transaction of what was done with them. So every event has its
 * effect once, whatever dies in between; and should two copies work at once for a moment, the second finds the position moved
 * and takes back what it did.
 *
 * Which streams moved is learnt from log_follower_note (the own process's commits, at once), from the streams that moved lately, twice
 * a second (everybody's), and from comparing all streams with all positions when the lease is taken and now and then: a stream
 * that only came to exist while nobody worked is found there.
 *
 * A handler that fails is called again, after a pause that grows from 50 ms to 5 s; other streams go on meanwhile. BUSY, LATE
 * and STALE are the world's fault and are tried for ever. What fails otherwise five times, and alone, is skipped with an error
 * in the log.
 *
 * Life: create, then whoever notes, start, stop, whoever notes is gone, destroy. All handlers run on the one thread.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/db/committer.h"
#include "common/db/db.h"
#include "common/events/events.h"

#define LOG_FOLLOWER_NAME_SIZE 48

struct followed_event {
	struct logged_event logged;
	const pb_Event *body; /* NULL: its payload does not parse. body->tombstone: the content is gone, deleted meanwhile */
};

/* Of one stream. Everything lives in the mem that goes with it. */
struct log_batch {
	const char *follower;
	struct stream stream;
	/* The log does not reach back to `after`: no events, and what happened up to `through` is to be found in one's own tables,
	 * read in this transaction or later. Events behind `through` follow; their effects may be seen in the tables already. */
	bool gone;
	uint64_t after;   /* the position that is saved so far */
	uint64_t through; /* the position when all of this is done: events behind the last one here are of no wanted kind */
	size_t count;
	const struct followed_event *events; /* of the wanted kinds, in order */
};

struct log_follower_options {
	const char *name;       /* permanent; at most LOG_FOLLOWER_NAME_SIZE - 1 bytes */
	const char *instance;   /* of this copy */
	struct db *db;          /* the primary; one connection is held while there is work */
	unsigned ranks;         /* of the streams to follow: a bit for each, 1u << RANK_TEAM */
	const uint32_t *kinds;  /* the wanted ones; borrowed until destroy */
	size_t kind_count;
	size_t batch;           /* most events a call; 0: 200 */

	/* One of these two.
	 * handle: inside a transaction on conn, which it neither begins nor ends. OK commits it together with the position.
	 * commit: for who must append events. Gets them outside of any transaction and commits by its own committer, in one change
	 * or in several; each calls log_follower_mark in its `work` and has the request id of log_follower_request_id. OK with the
	 * position not moved counts as a failure. */
	enum status (*handle)(void *arg, struct db_conn *conn, struct arena *mem, const struct log_batch *batch);
	enum status (*commit)(void *arg, struct arena *mem, const struct log_batch *batch);
	/* Optional: once each turn (at least twice a second), under the lease and outside of any transaction; for work of one's own
	 * that must not run on two copies. true: there is more, come back soon. */
	bool (*aside)(void *arg, struct db_conn *conn, struct arena *mem);
	void *arg;

	/* LOG_FOLLOWER_METRICS(name), or NULLs */
	struct log_follower_metrics {
		_Atomic int64_t *lag_s;    /* how long the oldest event that waits has waited; 0 on copies that do not work */
		_Atomic uint64_t *events;  /* handled */
		_Atomic uint64_t *skipped; /* given up */
	} metrics;
};
/* For the rows follower_<name>_lag, _events and _skipped of common/ops/metrics.tbl.h. */
#define LOG_FOLLOWER_METRICS(name) {&metrics.follower_##name##_lag, &metrics.follower_##name##_events, &metrics.follower_##name##_skipped}

struct log_follower;
void log_follower_create(const struct log_follower_options *options, struct log_follower **out_follower); /* copies options */
void log_follower_start(struct log_follower *f);
/* Finishes the batch it is in, saves what it knows and gives the lease back. NULL, or never started, is fine. */
void log_follower_stop(struct log_follower *f);
void log_follower_destroy(struct log_follower *f); /* NULL is fine */

/* These were committed: for committer_options.committed. Any thread, never blocks. */
void log_follower_note(struct log_follower *f, const struct logged_event *events, size_t count);

/* For the `work` of a change that answers events [first, first + count) of the batch: moves the position behind them with the
 * commit. Of a `gone` batch first and count are 0. STATUS_CONFLICT: another copy was here; return it. */
enum status log_follower_mark(struct log_tx *tx, const struct log_batch *batch, size_t first, size_t count);
/* The request id under which event `index` of the batch is answered, by whichever copy, however often. Of a batch without
 * events index is 0. */
#define LOG_FOLLOWER_REQUEST_ID 32
void log_follower_request_id(const struct log_batch *batch, size_t index, uint8_t out[LOG_FOLLOWER_REQUEST_ID]);
