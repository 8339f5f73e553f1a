/*
 * queue - finished websocket frames, shared by every socket they are for, and the bounded queue of one
 * socket. Everything here belongs to one loop: the counts are not atomic. A queue at rest owns no memory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Header and payload as they go out. */
struct frame {
	uint32_t refs;
	uint32_t length;
	struct frame *packed[2]; /* by class of compression (deflate.h): NULL: not asked for yet; itself: nothing is gained */
	uint8_t bytes[];
};

/* length bytes to be filled in, one reference. */
struct frame *frame_alloc(size_t length);
static inline struct frame *frame_ref(struct frame *frame)
{
	frame->refs++;
	return frame;
}
void frame_unref(struct frame *frame); /* accepts NULL */
size_t frame_size(const struct frame *frame); /* its bytes, with those of its compressed forms */

/* Frames wait in chunks that come from, and return to, the loop's pool. */
#define QUEUE_CHUNK_FRAMES 14
struct queue_chunk {
	struct queue_chunk *next;
	uint32_t begin, end;
	struct frame *frames[QUEUE_CHUNK_FRAMES];
};

struct queue_pool {
	struct queue_chunk *free;
	size_t free_count;
	size_t bytes; /* waiting in all queues of the pool */
};
void queue_pool_finish(struct queue_pool *pool); /* every queue must be empty */

struct queue {
	struct queue_chunk *first, *last;
	uint32_t bytes; /* not yet taken */
	uint32_t sent;  /* of the first frame, already taken */
};

static inline bool queue_empty(const struct queue *q)
{
	return q->first == NULL;
}
/* Adds a reference of its own. False and unchanged: the queue would pass most_bytes. A single frame always
 * fits into an empty queue. */
bool queue_push(struct queue_pool *pool, struct queue *q, struct frame *frame, uint32_t most_bytes);
/* The oldest frames as at most `most` pieces of memory; they live until queue_take or queue_clear. */
size_t queue_gather(const struct queue *q, struct iovec *out, size_t most);
/* bytes were written: frames that are done are let go. */
void queue_take(struct queue_pool *pool, struct queue *q, size_t bytes);
/* Everything that waits is thrown away; with keep_begun what is left of a frame that is partly written stays,
 * so that another frame may follow it on the wire. */
void queue_clear(struct queue_pool *pool, struct queue *q, bool keep_begun);
