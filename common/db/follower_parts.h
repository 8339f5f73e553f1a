/*
 * db/follower_parts - what the files of a follower (log_follower.h) share: log_follower.c (who moved, the lease, the thread),
 * follower_queue.c (which streams have something to do) and follower_batch.c (one batch of one of them). Nobody else includes it.
 * Everything here is called by the follower's thread, or when there is none any more.
 */
#pragma once

#include <pthread.h>
#include <uthash.h>

#include "common/db/follower_rows.h"

/* A stream with something to do; forgotten when there is nothing. */
struct follow {
	struct stream stream; /* the key; has no padding that is not zero */
	UT_hash_handle hh;
	uint64_t head;      /* there are events up to here, as far as is known */
	int64_t waiting_ms; /* wall clock: since when the oldest of them waits */
	bool queued;
	struct follow *next;
	/* Behind events of other kinds, not saved yet. at FOLLOWER_SAVED: where the database says. */
	uint64_t at, saved;
	/* -- failures of the batch that begins at failed_seq */
	uint64_t failed_seq;
	unsigned failures, delays; /* delays: the world's fault */
	uint64_t careful_until;    /* up to there one event at a time */
	int64_t retry_mono_ms;              /* 0: not waiting */
};

struct note {
	struct stream stream;
	UT_hash_handle hh;
	uint64_t head;
	int64_t at_ms;
};

struct log_follower {
	struct log_follower_options options;
	char name[LOG_FOLLOWER_NAME_SIZE], lease[LOG_FOLLOWER_NAME_SIZE + 16], holder[80];
	pthread_t thread;
	bool started;

	pthread_mutex_t lock;
	pthread_cond_t wakes;
	bool stopping, working; /* working: has the lease */
	struct note *notes;
	bool notes_lost; /* too many: all streams are compared */

	/* -- of the thread alone */
	struct follow *follows;
	struct follow *first, **last; /* that are queued */
	size_t queued;
	size_t look; /* rows for a batch */
	struct stream scan_at; /* rank 0: no comparison is going on */
	bool scan_wanted, more;
	int64_t lease_mono_ms, look_mono_ms, whole_mono_ms, looked_whole_mono_ms, scan_mono_ms, flush_mono_ms;
};

/* ---- follower_queue.c */

/* The stream has events up to head (0: some), the oldest since at_ms (wall). */
void follower_moved(struct log_follower *f, struct stream s, uint64_t head, int64_t at_ms);
void follower_enqueue(struct log_follower *f, struct follow *w); /* not while it waits to be tried again */
struct follow *follower_dequeue(struct log_follower *f);         /* NULL: nothing is queued */
void follower_forget_if_idle(struct log_follower *f, struct follow *w);
void follower_forget_all(struct log_follower *f); /* notes too */
void follower_take_notes(struct log_follower *f);
void follower_wake_retries(struct log_follower *f, int64_t now); /* whose pause is over; monotonic */

/* ---- follower_batch.c */

/* One batch of one stream, which may be forgotten then. STATUS_BUSY: the database does not answer. */
enum status follower_batch(struct log_follower *f, struct db_conn *conn, struct follow *w);
