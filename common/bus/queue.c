#include "common/bus/queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/ops/ops.h"

struct frame_queue {
	pthread_mutex_t lock;
	pthread_cond_t filled;
	size_t first, count;
	bool woken;
	bool full; /* said once */
	nng_msg *frames[QUEUE_FRAMES_MOST];
};

struct frame_queue *frame_queue_create(void)
{
	struct frame_queue *queue = calloc(1, sizeof *queue);

	if (queue == NULL)
		return NULL;
	pthread_mutex_init(&queue->lock, NULL);
	clock_cond_init(&queue->filled);
	return queue;
}

void frame_queue_destroy(struct frame_queue *queue)
{
	if (queue == NULL)
		return;
	while (queue->count > 0) {
		nng_msg_free(queue->frames[queue->first]);
		queue->first = (queue->first + 1) % QUEUE_FRAMES_MOST;
		queue->count--;
	}
	pthread_cond_destroy(&queue->filled);
	pthread_mutex_destroy(&queue->lock);
	free(queue);
}

void frame_queue_push(struct frame_queue *queue, nng_msg *frame)
{
	pthread_mutex_lock(&queue->lock);
	bool full = queue->count == QUEUE_FRAMES_MOST;
	bool first_time = full && !queue->full;
	queue->full = full;
	if (!full)
		queue->frames[(queue->first + queue->count++) % QUEUE_FRAMES_MOST] = frame;
	bool was_empty = !full && queue->count == 1;
	pthread_mutex_unlock(&queue->lock);
	if (was_empty)
		pthread_cond_signal(&queue->filled);
	if (full) {
		nng_msg_free(frame);
		metric_add(bus_frames_dropped, 1);
	}
	if (first_time)
		log_warn("bus_queue_full", LOG_U64("frames", QUEUE_FRAMES_MOST));
}

size_t frame_queue_take(struct frame_queue *queue, int64_t until_mono_ms, nng_msg **out, size_t most)
{
	struct timespec until = clock_timespec(until_mono_ms);
	size_t taken = 0;

	pthread_mutex_lock(&queue->lock);
	while (queue->count == 0 && !queue->woken) {
		if (pthread_cond_timedwait(&queue->filled, &queue->lock, &until) == ETIMEDOUT)
			break;
	}
	queue->woken = false;
	while (taken < most && queue->count > 0) {
		out[taken++] = queue->frames[queue->first];
		queue->first = (queue->first + 1) % QUEUE_FRAMES_MOST;
		queue->count--;
	}
	pthread_mutex_unlock(&queue->lock);
	return taken;
}

void frame_queue_wake(struct frame_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->woken = true;
	pthread_mutex_unlock(&queue->lock);
	pthread_cond_signal(&queue->filled);
}
