/*
 * db/log_tx - the transaction a work callback sees: its streams under the lock, the events it queues, and the savepoint
 * that takes one op back without the others. Owned by the step lane; inside common/db only.
 */
#pragma once

#include "common/db/writer.h"

struct tx_stream {
	struct stream s;
	bool locked;
	uint64_t seq;       /* events of this transaction included */
	uint64_t epoch;     /* as it was under the lock, plus raised */
	int64_t updated_us; /* of the newest event */
	unsigned raised;    /* to be added to authz_epoch */
	bool touched;       /* to be updated */
};

struct tx_event {
	struct logged_event ev;
	int64_t at_us;
	const uint8_t *beside; /* published behind the payload, and not stored */
	size_t beside_length;
};

/* A queued event of an earlier op that the present one made a tombstone: to put it back. */
struct tx_overwrite {
	struct tx_overwrite *next;
	size_t event;
	const uint8_t *payload;
	size_t length, beside_length;
};

struct log_tx {
	struct writer *w;
	struct arena *mem;

	struct tx_stream *streams; /* the first locked_count in order; behind them those that were created */
	size_t stream_count, locked_count, stream_room;
	struct tx_event *events;
	size_t event_count, event_room;
	int64_t now_us; /* clock_timestamp() under the lock */

	bool savepoints; /* more than one op: each gets a savepoint */
	/* Control statements that go ahead of the next one, so that they cost no round trip. */
	const struct db_stmt *ahead[4];
	size_t ahead_count;
	bool savepoint_set; /* in the database, for the present op */

	/* -- the present op */
	struct commit_op *op;
	struct commit_result *result;
	size_t op_streams[COMMIT_STREAMS_MAX];
	size_t op_stream_count;
	struct tx_stream saved[COMMIT_STREAMS_MAX];
	size_t saved_stream_count, saved_event_count;
	struct tx_overwrite *overwrites;
	int64_t op_us;
	enum status failed; /* of the first statement that failed */
};

/* The step of one statement, with what goes ahead of it. */
enum status log_tx_run(struct log_tx *tx, const struct db_stmt *stmt, const struct db_params *params,
	struct conn_step *out_step);
struct tx_stream *log_tx_find(struct log_tx *tx, struct stream s); /* NULL: not in this transaction */
void log_tx_op_begin(struct log_tx *tx, struct commit_op *op, struct commit_result *result);
void log_tx_op_keep(struct log_tx *tx);
/* Takes the op back: its statements, its events, its numbers. */
void log_tx_op_undo(struct log_tx *tx);
