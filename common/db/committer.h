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
 * A COMMIT without an answer is looked up by request id on a new connection before anyone is answered: what is found is
 * answered as written and published, what is not is tried again. For that every op has a row in log.requests; an op without a
 * request id gets a random one there.
 * After COMMIT: the batch is published (bus), then each op's `done` runs.
 *
 * Both lanes skip streams that somebody else has locked. An op skipped three times goes to a second thread with a connection
 * of its own, which waits for the locks (lock_timeout: BUSY) and holds nobody else up. "The committer's thread" below is
 * whichever of the two has the op; an op is only ever with one of them.
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
	uint64_t generation;      /* db_generation under which the epochs were read; 0: unknown, not compared. Else like an epoch */
};

struct commit_op {
	/* -- filled by the submitter; borrowed until done */
	struct stream streams[COMMIT_STREAMS_MAX]; /* every stream that gets an event or an epoch; any order, no doubles */
	size_t stream_count;
	struct commit_check checks[4];
	size_t check_count;
	uint64_t actor_id;        /* 0: the system */
	uint64_t actor_epoch;
	uint64_t actor_generation; /* db_generation of actor_epoch, or 0 */
	bool check_actor;         /* compare the actor's user: stream epoch; mismatch: STATUS_STALE with why "session" */
	const uint8_t *request_id;
	size_t request_id_length; /* 16..32, or 0: the committer makes a random one (in private_), for the lost COMMIT */
	const uint8_t *body_hash; /* 32 bytes or NULL */
	int64_t deadline_mono_ms; /* past it before the lock: STATUS_LATE. 0: none */
	const char *trace;        /* of the request, for logs and events, or NULL */

	/* step lane, optional: work changes nothing rights are judged by (no epoch, member, ban, role, override, channel fact).
	 * Ops behind it in the same transaction are then spared a statement: they need not be judged again. */
	bool keeps_rights;
	/* step lane: runs on the committer's thread under the locks; must be quick. Its statements go through log_tx_query.
	 * Returning anything but OK rolls this op back to its savepoint. NULL in the set lane.
	 * It may run more than once for one op (a transaction that failed for another op's sake is repeated), each time as if
	 * for the first time: what an earlier run left in arg must not matter. */
	enum status (*work)(struct log_tx *tx, void *arg);
	/* Runs on the committer's thread after the end of the transaction; must not block. */
	void (*done)(void *arg, const struct commit_result *result);
	void *arg;

	/* -- set lane: which kind; its data hangs on arg */
	const struct commit_set *set;

	/* -- the committer's own */
	struct commit_op *next;
	unsigned skips;
	_Alignas(8) unsigned char private_[96];
};

/* STATUS_STALE in a result means: an epoch had changed; judge again and submit again, at most three times, then BUSY. */

/* ---- for work callbacks */
/* Results live in log_tx_mem. A statement that failed has spoilt the op: every later one answers the same status, and the
 * op is rolled back whatever work returns. To survive a conflict: ON CONFLICT DO NOTHING. */
enum status log_tx_query(struct log_tx *tx, const struct db_stmt *stmt, const struct db_params *params, struct db_rows *out_rows);
struct arena *log_tx_mem(struct log_tx *tx); /* dies after done */
int64_t log_tx_now_ms(struct log_tx *tx);    /* wall clock taken under the lock; at_ms of the op's events */
/* The seq a stream has under the lock, events of this transaction included. The stream is one of the op's (as in all below). */
uint64_t log_tx_seq(struct log_tx *tx, struct stream s);
/* A new stream row; it may then be used like the locked ones. STATUS_CONFLICT when it exists. */
enum status log_tx_create_stream(struct log_tx *tx, struct stream s);
/* Queues an event; it gets the next seq of its stream at once. ev->event_id is given here when 0; copies that should share it
 * pass it on. The audience event of a change comes first. */
enum status log_tx_append(struct log_tx *tx, struct stream s, const char *audience, pb_Event *ev, uint64_t *out_seq);
/* Behind the payload of the event that this op appended last when it is published, not in the log: what may be told now and would
 * have to be blanked later. Protobuf merges the two. Whoever reads the event from the log has to find it elsewhere. */
void log_tx_beside(struct log_tx *tx, const uint8_t *bytes, size_t length);
/* Those of the teams, in their order, in which the person is a member now, under the lock. The op holds their streams. */
enum status log_tx_member_teams(struct log_tx *tx, uint64_t user_id, const uint64_t *team_ids, size_t count,
	uint64_t **out_team_ids, size_t *out_count);
/* Raises the stream's authz_epoch with this commit. */
void log_tx_raise_epoch(struct log_tx *tx, struct stream s);
/* Stored with the request id: what a repeat is answered with. */
void log_tx_reply(struct log_tx *tx, const pb_msgdesc_t *fields, const void *reply);
void log_tx_object(struct log_tx *tx, uint64_t object_id);
/* The reason of a refusal that follows as the callback's return value. Copied. */
void log_tx_refuse(struct log_tx *tx, const char *why, const char *field, const char *detail);
/* Overwrites the payloads of earlier events with a tombstone (events of one object, named by stream and seqs). remains: which
 * object it was, or NULL. */
enum status log_tx_tombstone(
	struct log_tx *tx, struct stream s, const uint64_t *seqs, size_t count, const pb_Remains *remains);
/* The same for its events in other people's streams, one per (user_ids[i], seqs[i]). The op need not hold these streams: they
 * may be more than a commit may lock, and no number is given. What keeps two from blanking the same events is the lock of the
 * stream in which the object lives, which the op must hold and must have been held when they were written. */
enum status log_tx_tombstone_users(struct log_tx *tx, const uint64_t *user_ids, const uint64_t *seqs, size_t count);

/*
 * ---- the set lane: one statement for many ops of one kind (at most COMMIT_SET_MOST a transaction).
 *
 * One pipeline, one round trip: BEGIN, lock, the set's statement, COMMIT. The lock statement leaves in the
 * transaction-local setting `guildhall.locked` the streams it got, as "rank:id,rank:id,..." in decimal ('' when none); the
 * set's statement runs on a newer snapshot, works on these streams only, and gives one row for every op whose stream is
 * among them. Column 0 is the op's index ($1, int4); an op without a row stays queued. An op of the set lane
 *   - has exactly one stream: all its events and its check are of streams[0]; check_count is 0 or 1;
 *   - may write one event; raises no epoch, creates no stream (that is the step lane's);
 *   - always has a request id: the committer gives one to an op that came without.
 * No batch holds two ops with the same (actor, request id), so the statement need not look for that.
 *
 * What all sets have in common is in the macros below; a set adds its own arrays, checks and rows:
 *
 *   "WITH "
 *   COMMIT_SET_JUDGED("$11::int8[], $12::text[], $13::bytea[], $14::text[]", "message_id, content, payload, audience")
 *     -- gives judged(i, rank, id, actor, request_id, body_hash, <own columns>, head, at, verdict, old_reply, old_object):
 *     -- a row per op whose stream is locked. head: the stream's seq; at: timestamptz of the events, under the lock and not
 *     -- before the stream's newest; verdict: COMMIT_FIT, or why it must not be written (enum commit_verdict).
 *   ", checked AS (SELECT j.*, 134 AS kind, message_id AS object_id, NULL::bytea AS reply,"  -- the set's own checks
 *   " CASE WHEN j.verdict <> 0 THEN j.verdict WHEN c.deleted_at_ms IS NOT NULL THEN 100 ELSE 0 END AS fate"
 *   " FROM judged j LEFT JOIN messaging.channels c ON c.id = j.channel_id)"
 *     -- every row of judged, and beside its columns: fate (int4; COMMIT_FIT: will be written; own verdicts from COMMIT_OWN
 *     -- up), kind (int4), audience (text), payload (bytea), object_id (int8), reply (bytea)
 *   COMMIT_SET_NUMBERED
 *     -- gives numbered = checked + seq (of the rows with fate 0), and writes log.events, log.streams, log.requests from it
 *   ", messages AS (INSERT INTO messaging.messages (id, seq, ...) SELECT message_id, seq, ... FROM numbered WHERE fate = 0)"
 *   " SELECT " COMMIT_SET_COLUMNS ", <own result columns> FROM numbered"
 *
 * Every row with fate 0 is numbered, so the set's inserts must write each of them: no ON CONFLICT DO NOTHING. A statement
 * that fails (a unique violation, a value out of range) makes the committer try the ops in halves down to single ones, so
 * one bad op harms nobody; its status is that of the error (db.h). The committer's connection has plan_cache_mode =
 * force_generic_plan, enable_seqscan = off, jit = off. Even so a join may be planned as a walk through a whole index, made
 * while the table was small (seen: log.requests, four times slower after 20,000 rows): reach a table by LATERAL (SELECT ...
 * WHERE its primary key = ... OFFSET 0), by a scalar subquery or by ctid. Never join one of these CTEs with another (the
 * planner thinks each has one row and loops over both; seen: 256 ops, 5 ms); carry columns along instead.
 *
 * encode begins with commit_set_params ($1 .. $10) and appends its own arrays from $11 on.
 * decode begins with commit_set_verdict, which fills result and out_event from the common columns and tells the verdict;
 * the set adds why, payload and kind, and decides its own verdicts. See tests/unit/db/set_lane_test.c for a whole one.
 */
enum commit_verdict {
	COMMIT_FIT = 0,
	COMMIT_REPEATED = 1,      /* result: OK, replayed, reply, object_id */
	COMMIT_OTHER_BODY = 2,    /* result: FIELD_INVALID on "Idempotency-Key" */
	COMMIT_STALE_SESSION = 3, /* result: STALE, why "session" */
	COMMIT_STALE_RIGHTS = 4,  /* result: STALE */
	COMMIT_OWN = 100,         /* from here on the set's own; result: INTERNAL until the set says otherwise */
};

#define COMMIT_SET_MOST   256
#define COMMIT_SET_PARAMS 10 /* the set's own begin at $11 */

#define COMMIT_SET_JUDGED(own_arrays, own_columns)                                                                 \
	"op AS MATERIALIZED (SELECT * FROM unnest($1::int4[], $2::int2[], $3::int8[], $4::int8[], $5::int8[], "    \
	"$6::int8[], $7::int8[], $8::int8[], $9::bytea[], $10::bytea[], " own_arrays ") AS o(i, rank, id, "        \
	"stream_epoch, member, member_epoch, actor, actor_epoch, request_id, body_hash, " own_columns ")), "       \
	"locked AS MATERIALIZED (SELECT split_part(t, ':', 1)::int2 AS rank, split_part(t, ':', 2)::int8 AS id "   \
	"FROM string_to_table(current_setting('guildhall.locked'), ',') t), "                                      \
	"judged AS MATERIALIZED (SELECT o.*, s.place AS stream_place, s.seq AS head, "                             \
	"greatest(statement_timestamp(), s.updated_at) AS at, CASE "                                               \
	"WHEN r.actor IS NOT NULL THEN CASE WHEN r.body_hash IS NOT DISTINCT FROM o.body_hash THEN 1 ELSE 2 END "  \
	"WHEN o.actor_epoch >= 0 AND o.actor_epoch <> coalesce((SELECT a.authz_epoch FROM log.streams a "          \
	"WHERE a.rank = 2 AND a.id = o.actor), 0) THEN 3 "                                                         \
	"WHEN o.stream_epoch >= 0 AND o.stream_epoch <> s.authz_epoch THEN 4 "                                     \
	"WHEN o.member <> 0 AND o.member_epoch <> coalesce((SELECT m.epoch FROM moderation.member_epochs m "       \
	"WHERE m.rank = o.rank AND m.stream_id = o.id AND m.user_id = o.member), 0) THEN 4 "                       \
	"ELSE 0 END AS verdict, r.reply AS old_reply, r.object_id AS old_object "                                  \
	"FROM op o JOIN locked l USING (rank, id) CROSS JOIN LATERAL (SELECT t.ctid AS place, t.seq, t.updated_at, " \
	"t.authz_epoch FROM log.streams t WHERE t.rank = o.rank AND t.id = o.id OFFSET 0) s "                      \
	"LEFT JOIN LATERAL (SELECT q.actor, q.body_hash, q.reply, q.object_id FROM log.requests q "                \
	"WHERE q.actor = o.actor AND q.request_id = o.request_id OFFSET 0) r ON true)"

#define COMMIT_SET_NUMBERED                                                                                        \
	", numbered AS MATERIALIZED (SELECT f.*, f.head + CASE WHEN f.fate = 0 THEN count(*) FILTER "              \
	"(WHERE f.fate = 0) OVER (PARTITION BY f.rank, f.id ORDER BY f.i) END AS seq FROM checked f), "            \
	"log_events AS (INSERT INTO log.events (rank, id, seq, kind, audience, payload, actor, request_id, "       \
	"created_at) SELECT rank, id, seq, kind, audience, payload, actor, request_id, at FROM numbered "          \
	"WHERE fate = 0), "                                                                                        \
	"log_streams AS (UPDATE log.streams s SET seq = n.top, updated_at = n.at FROM "                    \
	"(SELECT stream_place, max(seq) AS top, max(at) AS at FROM numbered WHERE fate = 0 "                       \
	"GROUP BY stream_place) n WHERE s.ctid = n.stream_place), "                                                \
	"log_requests AS (INSERT INTO log.requests (actor, request_id, body_hash, object_id, reply, created_at) "  \
	"SELECT actor, request_id, body_hash, object_id, reply, at FROM numbered WHERE fate = 0)"

/* The first columns of the result: i, fate, old_reply, old_object, seq, at as Unix ms. Own columns begin at
 * COMMIT_SET_RESULTS. */
#define COMMIT_SET_RESULTS 6
#define COMMIT_SET_COLUMNS "i, fate, old_reply, old_object, seq, floor(extract(epoch FROM at) * 1000)::int8"
/* The same of `numbered` as n, where it is joined. */
#define COMMIT_SET_COLUMNS_OF_N                                                                                    \
	"n.i, n.fate, n.old_reply, n.old_object, n.seq, floor(extract(epoch FROM n.at) * 1000)::int8"

struct commit_set {
	struct db_stmt stmt;
	/* NULL: always stmt. Else the statement for these n ops: one of several that give the same columns. */
	const struct db_stmt *(*choose)(struct commit_op *const *ops, size_t n);
	/* Fills params of that statement for n ops (arrays, one element an op, $1 being the op's index). Runs on the committer's
	 * thread. Anything but OK is treated like a statement that failed: halves, down to the op that cannot be encoded. */
	enum status (*encode)(struct commit_op *const *ops, size_t n, struct db_params *params);
	/* One call per result row, after COMMIT: fills result and, when the op was written, the event that is to be published
	 * (it lives in mem or with the op until done ran). Column 0 is the op's index; an op without a row stays queued. May run
	 * in any order of ops. Anything but OK becomes the op's result. */
	enum status (*decode)(struct commit_op *op, const struct db_rows *rows, int row, struct arena *mem,
		struct commit_result *result, struct logged_event *out_event, bool *out_written);
};

/* $1 .. $10: index, rank, id, stream_epoch (-1: not compared), member (0: not compared), member_epoch, actor, actor_epoch
 * (-1: not compared), request_id, body_hash. Calls db_params_begin's params as they are: nothing may be put before. */
void commit_set_params(struct commit_op *const *ops, size_t n, struct db_params *params);
/* Reads the common columns of a row. COMMIT_FIT: result is OK and event has stream, seq, at_ms, actor_id and request_id
 * (kind, audience and payload are the set's to fill). Else result is what enum commit_verdict says. */
enum commit_verdict commit_set_verdict(const struct commit_op *op, const struct db_rows *rows, int row,
	struct commit_result *result, struct logged_event *event);

struct committer_options {
	const struct config *config;
	const char *service;
	struct bus_publisher *publisher; /* may be NULL in unit tests */
	/* May be NULL. After each COMMIT, behind the publishing: what was committed, for log_follower_note. Runs on both of the
	 * committer's threads and must not block; the events are borrowed for the call. */
	void (*committed)(void *arg, const struct logged_event *events, size_t count);
	void *committed_arg;
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
