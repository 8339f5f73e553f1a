/*
 * step_lane_parts - what the files of the step lane share: step_lane.c (a transaction from its first op to who is told), step_lane_facts.c
 * (what is read under the lock) and step_lane_commit.c (the end). Nobody else includes it. The writer's thread only.
 */
#pragma once

#include "common/db/log_tx.h"

/* What was read under the lock about one op: an entry per stream, per check and for the actor, in this order. */
struct facts {
	size_t first, count;
};

struct lane {
	struct writer *w;
	struct arena *mem;
	struct log_tx tx;
	struct commit_op **ops;
	size_t count;
	struct facts *facts;
	struct db_rows epochs;   /* of facts_stmt, all ops' entries */
	struct db_rows requests; /* of requests_stmt */
	bool *written;
	size_t written_count;
};

/* ---- step_lane_facts.c */

/* BEGIN, the lock, and the facts of all ops: tx.streams, epochs and requests. */
enum status lane_begin(struct lane *lane);
/* Not every stream was to be had: it waits for another turn, unless there is no such stream. */
bool lane_streams_missing(struct lane *lane, size_t index);
/* An earlier call had this request id: its answer, or the refusal of another body. */
bool lane_answered_before(struct lane *lane, size_t index, struct commit_result *result);
/* Its rights are not those any more that it was judged by. */
bool lane_stale(struct lane *lane, size_t index, struct commit_result *result);
/* The same for what ops of this transaction changed. out_failed: not OK when it could not be read. */
bool lane_stale_by_now(struct lane *lane, size_t index, struct commit_result *result, enum status *out_failed);

/* ---- step_lane_commit.c */

enum commit_end { COMMIT_DONE, COMMIT_FAILED, COMMIT_LOST }; /* LOST: nobody knows */

enum commit_end lane_commit(struct lane *lane, enum status *out_why);
