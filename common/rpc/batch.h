/*
 * rpc/batch - many small calls to one peer in one message. A message costs both processes several wakeups whatever is in it;
 * calls that come while some are in flight gather and travel together, as changes do in the committer: no timer, nothing waits
 * while the lane is free. The server answers a batch when the last of its calls is answered, so only calls of one kind and
 * length belong here (rpc_context.batch).
 *
 * On the wire: a byte 0, which begins no protobuf message, then for each call its length (4 bytes, little endian) and its bytes.
 * The answer has the same form and order.
 */
#pragma once

#include <nng/nng.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"

#define BATCH_MARK       0
#define BATCH_MOST       64 /* calls of one batch */
#define BATCH_PART_BYTES 4  /* before each call */

/* ---- the form, for both sides. Pure. */

/* The parts of a batch; out_parts and out_lengths have room for BATCH_MOST and point into bytes. 0: malformed. */
size_t batch_split(const uint8_t *bytes, size_t length, const uint8_t **out_parts, size_t *out_lengths);
/* What a batch with these parts takes, and writing it there. */
size_t batch_length(const size_t *lengths, size_t count);
void batch_write(uint8_t *out, const uint8_t *const *parts, const size_t *lengths, size_t count);

/* ---- calling */

struct peer;
struct lane; /* of one peer; thread-safe */
struct lane *lane_create(struct peer *peer);
void lane_destroy(struct lane *lane); /* nothing is in flight any more, and nobody waits */

/* What a call came to. The bytes are the batch's: release it when they are read. */
struct lane_answer {
	int rv; /* of nng, or LANE_NOT_SENT; when 0 the rest is there */
	const uint8_t *bytes;
	size_t length;
	nng_pipe pipe;
	struct batch *batch;
};
#define LANE_NOT_SENT (-1) /* the peer has no connection */

/*
 * lane_call - one call, with others if there are any.
 *
 * bytes           the encoded request; borrowed until this returns
 * until_mono_ms   NNG_ETIMEDOUT then; the call may be answered all the same
 *
 * Blocks. The caller holds a reference to the peer.
 */
struct lane_answer lane_call(struct lane *lane, const uint8_t *bytes, size_t length, int64_t until_mono_ms);
void lane_answer_release(struct lane_answer *answer);
