/*
 * queue - see queue.h. Chunks are reused last in, first out, so that a fan-out touches warm memory.
 */
#include "services/gateway/queue.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/log.h"

#define POOL_KEEPS 4096 /* free chunks, half a MiB */

static void *memory(size_t bytes)
{
	void *p = malloc(bytes);

	if (p == NULL) {
		log_error("out_of_memory", LOG_U64("bytes", bytes));
		abort();
	}
	return p;
}

struct frame *frame_alloc(size_t length)
{
	assert(length <= UINT32_MAX / 2);
	struct frame *frame = memory(sizeof *frame + length);

	*frame = (struct frame){.refs = 1, .length = (uint32_t)length};
	return frame;
}

void frame_unref(struct frame *frame)
{
	if (frame == NULL || --frame->refs > 0)
		return;
	for (size_t i = 0; i < sizeof frame->packed / sizeof *frame->packed; i++)
		if (frame->packed[i] != frame)
			frame_unref(frame->packed[i]);
	free(frame);
}

size_t frame_size(const struct frame *frame)
{
	size_t bytes = frame->length;

	for (size_t i = 0; i < sizeof frame->packed / sizeof *frame->packed; i++)
		if (frame->packed[i] != NULL && frame->packed[i] != frame)
			bytes += frame->packed[i]->length;
	return bytes;
}

static struct queue_chunk *chunk_get(struct queue_pool *pool)
{
	struct queue_chunk *chunk = pool->free;

	if (chunk != NULL) {
		pool->free = chunk->next;
		pool->free_count--;
	} else {
		chunk = memory(sizeof *chunk);
	}
	chunk->next = NULL;
	chunk->begin = chunk->end = 0;
	return chunk;
}

static void chunk_put(struct queue_pool *pool, struct queue_chunk *chunk)
{
	if (pool->free_count >= POOL_KEEPS) {
		free(chunk);
		return;
	}
	chunk->next = pool->free;
	pool->free = chunk;
	pool->free_count++;
}

void queue_pool_finish(struct queue_pool *pool)
{
	while (pool->free != NULL) {
		struct queue_chunk *next = pool->free->next;
		free(pool->free);
		pool->free = next;
	}
	pool->free_count = 0;
}

bool queue_push(struct queue_pool *pool, struct queue *q, struct frame *frame, uint32_t most_bytes)
{
	if (q->bytes != 0 && (frame->length > most_bytes || q->bytes > most_bytes - frame->length))
		return false;
	if (q->last == NULL) {
		q->first = q->last = chunk_get(pool);
	} else if (q->last->end == QUEUE_CHUNK_FRAMES) {
		q->last->next = chunk_get(pool);
		q->last = q->last->next;
	}
	q->last->frames[q->last->end++] = frame_ref(frame);
	q->bytes += frame->length;
	pool->bytes += frame->length;
	return true;
}

size_t queue_gather(const struct queue *q, struct iovec *out, size_t most)
{
	size_t count = 0;
	uint32_t skip = q->sent;

	for (const struct queue_chunk *chunk = q->first; chunk != NULL; chunk = chunk->next) {
		for (uint32_t i = chunk->begin; i < chunk->end; i++) {
			if (count == most)
				return count;
			out[count].iov_base = chunk->frames[i]->bytes + skip;
			out[count].iov_len = chunk->frames[i]->length - skip;
			skip = 0;
			count++;
		}
	}
	return count;
}

/* The first frame is done with. */
static void pop(struct queue_pool *pool, struct queue *q)
{
	struct queue_chunk *chunk = q->first;

	frame_unref(chunk->frames[chunk->begin++]);
	q->sent = 0;
	if (chunk->begin == chunk->end) {
		q->first = chunk->next;
		if (q->first == NULL)
			q->last = NULL;
		chunk_put(pool, chunk);
	}
}

void queue_take(struct queue_pool *pool, struct queue *q, size_t bytes)
{
	assert(bytes <= q->bytes);
	q->bytes -= (uint32_t)bytes;
	pool->bytes -= bytes;
	while (bytes > 0) {
		uint32_t left = q->first->frames[q->first->begin]->length - q->sent;
		if (bytes < left) {
			q->sent += (uint32_t)bytes;
			return;
		}
		bytes -= left;
		pop(pool, q);
	}
}

void queue_clear(struct queue_pool *pool, struct queue *q, bool keep_begun)
{
	struct frame *begun = NULL;
	uint32_t sent = q->sent;

	if (keep_begun && sent > 0)
		begun = frame_ref(q->first->frames[q->first->begin]);
	pool->bytes -= q->bytes;
	q->bytes = 0;
	while (q->first != NULL)
		pop(pool, q);
	if (begun == NULL)
		return;
	queue_push(pool, q, begun, UINT32_MAX);
	frame_unref(begun);
	q->sent = sent;
	q->bytes -= sent;
	pool->bytes -= sent;
}
