/*
 * committer - the one way a change is written (the event log's section "Commit"). All changes of a process wait
 * in its committer; while one transaction is in flight the next batch gathers. One thread, one connection.
 *
 * Two lanes with the same rules:
 * - set lane: ops of one hot kind (posts) share one transaction of two statements in one pipeline: lock, work.
 * - step lane: every other op. One transaction for all that wait (at most 32): lock all streams, then per op a savepoint,
 *   its checks, its `work` callback with statements of its own; then one statement writes all events, requests and heads.
 * In both: stream rows are locked first, in (rank, id) order, FOR NO KEY UPDATE SKIP LOCKED; what was skipped stays queued
 * (after three times it is waited for alone); epochs are compared on a snapshot newer than the locks; the request id is
 * looked up there; seq is given only to what is really written; nothing of one op aborts another.
 * A COMMIT without an answer is looked up by request id on a new connection before anyone is answered.
 * After COMMIT: the batch is published (bus), then each op's `done` runs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/config.h"
#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/bus/bus.h"
#include "common/db/db.h"
#include "common/events/events.h"
#include "proto/rpc.pb.h"

#define COMMIT_STREAMS_MAX 16

struct committer;
struct log_tx;

/* How an op ended. */
struct commit_result {
	enum status status;
	const char *why, *field, *detail;  /* from log_tx_refuse, or NULL */
	bool replayed;                     /* an earlier call had this request id */
	const uint8_t *reply;              /* replayed: what log_tx_reply stored then (may be NULL) */
	size_t reply_length;
	uint64_t object_id;                /* replayed: what was stored with it, or 0 */
};

/* Rights the op was judged by; compared under the lock. user_id 0: no member check. */
struct commit_check {
	struct stream stream;
	uint64_t stream_epoch;
	bool check_stream;        /* compare log.streams.authz_epoch */
	uint64_t user_id;         /* compare moderation.member_epochs(stream, user) with member_epoch */
	uint64_t member_epoch;
};

struct commit_op {
	/* -- filled by the submitter; borrowed until done */
	struct stream streams[COMMIT_STREAMS_MAX]; /* every stream that gets an event or an epoch; any order, no doubles */
	size_t stream_count;
	struct commit_check checks[4];
	size_t check_count;
	uint64_t actor_id;        /* 0: the system */
	uint64_t actor_epoch;
	bool check_actor;         /* compare the actor's user: stream epoch; mismatch: STATUS_STALE with why "session" */
	const uint8_t *request_id;
	size_t request_id_length; /* 0: nothing is stored in log.requests */
	const uint8_t *body_hash; /* 32 bytes or NULL */
	int64_t deadline_mono_ms; /* past it before the lock: STATUS_LATE */

	/* step lane: runs on the committer's thread under the locks; must be quick. Its statements go through log_tx_query.
	 * Returning anything but OK rolls this op back to its savepoint. NULL in the set lane. */
	enum status (*work)(struct log_tx *tx, void *arg);
	/* Runs on the committer's thread after the end of the transaction; must not block. */
	void (*done)(void *arg, const struct commit_result *result);
	void *arg;

	/* -- set lane: which kind; its data hangs on arg */
	const struct commit_set *set;

	/* -- the committer's own */
	struct commit_op *next;
	unsigned skips;
	unsigned char private_[96];
};

/* STATUS_STALE in a result means: an epoch had changed; judge again and submit again, at most three times, then BUSY. */

/* ---- for work callbacks */
enum status log_tx_query(struct log_tx *tx, const struct db_stmt *stmt, const struct db_params *params, struct db_rows *out_rows);
struct arena *log_tx_mem(struct log_tx *tx); /* dies after done */
int64_t log_tx_now_ms(struct log_tx *tx);    /* wall clock taken under the lock */
/* The seq a stream has under the lock, events of this transaction included. */
uint64_t log_tx_seq(struct log_tx *tx, struct stream s);
/* A new stream row; it may then be used like the locked ones. STATUS_CONFLICT when it exists. */
enum status log_tx_create_stream(struct log_tx *tx, struct stream s);
/* Queues an event; it gets the next seq of its stream at once. ev->event_id is given here when 0; copies that should share it
 * pass it on. The audience event of a change comes first. */
enum status log_tx_append(struct log_tx *tx, struct stream s, const char *audience, pb_Event *ev, uint64_t *out_seq);
/* Raises the stream's authz_epoch with this commit. */
void log_tx_raise_epoch(struct log_tx *tx, struct stream s);
/* Stored with the request id: what a repeat is answered with. */
void log_tx_reply(struct log_tx *tx, const pb_msgdesc_t *fields, const void *reply);
void log_tx_object(struct log_tx *tx, uint64_t object_id);
/* The reason of a refusal that follows as the callback's return value. Copied. */
void log_tx_refuse(struct log_tx *tx, const char *why, const char *field, const char *detail);
/* Overwrites the payloads of earlier events with a tombstone (events of one object, named by stream and seqs). */
enum status log_tx_tombstone(struct log_tx *tx, struct stream s, const uint64_t *seqs, size_t count);

/* ---- the set lane: one statement for many ops of a kind */
struct commit_set {
	struct db_stmt stmt;
	/* Fills params for n ops (arrays, one element an op, $1 being the op's index). Runs on the committer's thread. */
	enum status (*encode)(struct commit_op *const *ops, size_t n, struct db_params *params);
	/* One call per result row: fills result and, when the op was written, the event that is to be published.
	 * Column 0 is the op's index; an op without a row stays queued (its stream was not locked). */
	enum status (*decode)(struct commit_op *op, const struct db_rows *rows, int row, struct arena *mem,
		struct commit_result *result, struct logged_event *out_event, bool *out_written);
};

struct committer_options {
	const struct config *config;
	const char *service;
	struct bus_publisher *publisher; /* may be NULL in unit tests */
};
enum status committer_create(const struct committer_options *options, struct committer **out_committer);
void committer_destroy(struct committer *c); /* after drain; ops still waiting get BUSY */
/* Thread-safe. The op must stay until done ran. Over 4096 waiting: done(BUSY) at once, on the caller's thread. */
void committer_submit(struct committer *c, struct commit_op *op);
/* Submits and blocks until done; for worker threads. result's pointers live in mem. */
enum status committer_run(struct committer *c, struct arena *mem, struct commit_op *op, struct commit_result *out_result);
/* Stops taking ops, finishes the waiting ones (bounded). */
void committer_drain(struct committer *c, int deadline_ms);
/* The log's generation: "<system identifier>-<timeline>-<counter>"; "" before the first contact. Copied. */
void committer_generation(struct committer *c, char out[96]);

/* op from a call's header: actor, epoch, request id, body hash, deadline. */
struct rpc_call;
void commit_op_from_call(struct commit_op *op, const struct rpc_call *call);
