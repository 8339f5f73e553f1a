/*
 * db/writer - what the files of the committer share: its queues (committer.c), the two threads that write (writer.c), the two
 * lanes (step_lane.c, set_lane.c) and the search for a lost COMMIT (lost_commit.c). Inside common/db only.
 */
#pragma once

#include <pthread.h>
#include <semaphore.h>

#include "common/db/committer.h"
#include "common/db/conn.h"

#define COMMIT_WAITING_MOST 4096
#define COMMIT_STEP_MOST    32
#define COMMIT_STREAMS_TOGETHER                                                                              \
	64 /* of one step transaction: locks of many streams are held for the slowest op */
#define COMMIT_SKIPS_MOST  3
#define COMMIT_LOSSES_MOST 3 /* an op in whose company the connection died this often gets BUSY */
#define COMMIT_SETS_MOST   16

/* Lives in commit_op.private_. */
struct op_state {
	struct op_waiter *waiter; /* committer_run's, or NULL: done is called */
	uint8_t made_id[16];      /* the request id of an op that came without */
	unsigned losses;
	bool tried_again; /* set lane: alone, after a conflict */
	bool settled;     /* of the present batch: result is final */
	bool actor_elsewhere, rights_elsewhere; /* set lane: were read under another generation of the log */
	struct commit_result *result;
};
_Static_assert(sizeof(struct op_state) <= sizeof((struct commit_op *)0)->private_, "private_ is too small");

static inline struct op_state *op_state(struct commit_op *op)
{
	return (struct op_state *)(void *)op->private_;
}
/* The id under which an op is found in log.requests. */
const uint8_t *op_request_id(const struct commit_op *op, size_t *out_length);

struct op_list {
	struct commit_op *head, **tail; /* tail NULL: empty and never used */
	size_t count;
};
void op_list_push(struct op_list *list, struct commit_op *op);

struct set_queue {
	const struct commit_set *set;
	struct op_list ops;
};

/* One of the two threads. */
struct writer {
	struct committer *committer;
	bool patient; /* waits for locks; the other skips */
	pthread_t thread;
	bool started;
	struct db_conn *conn;
	struct conn_options options;
	char generation[96];
	uint64_t generation_mark;
	int64_t session_pid,
		session_began_us; /* of conn, as the server calls it: to see whether it is gone */
	struct arena *mem;        /* of the present batch */
	int64_t leaves_made_mono_ms;
	unsigned lane; /* that had its turn last */
};

struct committer {
	const struct config *config;
	char *url, *service;
	struct bus_publisher *publisher;
	void (*committed)(void *arg, const struct logged_event *events, size_t count);
	void *committed_arg;

	pthread_mutex_t lock;
	pthread_cond_t work, patient_work, idle;
	struct op_list steps, patient;
	struct set_queue sets[COMMIT_SETS_MOST];
	size_t set_count;
	size_t waiting; /* queued anywhere */
	size_t in_flight;
	bool away; /* the last attempt to connect failed */
	bool draining, stopping;
	char generation[96];

	struct writer hasty, slow;
};

/* ---- writer.c */
void *writer_run(void *arg);
/* Connects if there is no living connection. STATUS_BUSY: away; what waits has been answered. */
enum status writer_connect(struct writer *w);
void writer_disconnect(struct writer *w);
/* Ends a failed transaction. */
void writer_rollback(struct writer *w);
/* The last failure was for want of a leaf in log.events, and now there is one: worth another try. */
bool writer_made_leaves(struct writer *w);
void writer_publish(struct writer *w, const struct logged_event *events, size_t count);

/* ---- committer.c */
/* Ends an op: metrics, done or the waiter. The op is its owner's again. No lock held. */
void op_finish(struct commit_op *op, const struct commit_result *result);
void op_fail(struct commit_op *op, enum status st);
/* Everything that waits gets BUSY (the database is away); lock not held. */
void committer_refuse_all(struct committer *c);

/* ---- lanes: run one batch. Ops that are not settled afterwards go back to their queue (writer.c). */
void step_lane_run(struct writer *w, struct commit_op **ops, size_t count);
void set_lane_run(struct writer *w, const struct commit_set *set, struct commit_op **ops, size_t count);
/* Gives op a result in the batch's memory and calls it settled. */
struct commit_result *op_settle(struct writer *w, struct commit_op *op, enum status st);
/* The epochs of the op's actor, or those of its checks, are of another generation of the log than w writes to: stale. */
bool op_actor_elsewhere(const struct writer *w, const struct commit_op *op);
bool op_rights_elsewhere(const struct writer *w, const struct commit_op *op);
/* The distinct streams of ops in order of (rank, id). */
size_t lane_streams(
	struct arena *mem, struct commit_op *const *ops, size_t count, struct stream **out_streams);

/* ---- lost_commit.c */
/* The connection died with a COMMIT on its way. Finds out, on a new connection and when the old session is surely gone, which
 * of the ops were written. STATUS_BUSY: nobody answered in time; then nothing is known. */
struct lost_op {
	bool found;
	int64_t written_us; /* created_at of its row: another copy may have been given the same request */
	const uint8_t *reply;
	size_t reply_length;
	uint64_t object_id;
};
enum status lost_commit_find(
	struct writer *w, struct commit_op *const *ops, size_t count, struct lost_op *out_ops);
/* The events of ops of the set lane that were found: read from the log. */
enum status lost_commit_events(struct writer *w, struct commit_op *const *ops, const struct lost_op *found,
	size_t count, struct logged_event **out_events, size_t *out_count);
