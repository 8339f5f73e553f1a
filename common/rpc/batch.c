#include "common/rpc/batch.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/rpc/peer.h"

#define IN_FLIGHT_MOST 2                  /* one is being worked on, the next is on its way */
#define BATCH_BYTES    ((size_t)1 << 20) /* from which on nothing more is added */

/* One call; on the stack of the thread that waits for it. All but `done` belongs to whoever holds the lane's lock, until it is
 * completed. */
struct entry {
	struct entry *next; /* waiting for a batch */
	const uint8_t *bytes;
	size_t length;
	int64_t until_mono_ms;
	struct batch *batch; /* NULL: still waits */
	size_t index;
	struct lane_answer answer;
	_Atomic bool completed; /* the answer is there */
	sem_t done;             /* posted once after completed was set */
};

struct batch {
	struct batch *next; /* of the pool */
	struct lane *lane;
	struct flight flight;
	bool sent; /* the callback's own */
	size_t count;
	struct entry *entries[BATCH_MOST]; /* NULL: nobody waits for it any more */
	nng_msg *answer;
	_Atomic unsigned references; /* the callback and everybody who has not read his part yet */
};

struct lane {
	struct peer *peer;
	pthread_mutex_t lock; /* of what follows */
	struct entry *first, **end;
	size_t in_flight;
	struct batch *pool;
};

/* ---- the form */

static uint32_t length_read(const uint8_t *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

size_t batch_split(const uint8_t *bytes, size_t length, const uint8_t **out_parts, size_t *out_lengths)
{
	size_t at = 1, count = 0;

	if (length == 0 || bytes[0] != BATCH_MARK)
		return 0;
	while (at < length) {
		if (count == BATCH_MOST || length - at < BATCH_PART_BYTES)
			return 0;
		size_t part = length_read(bytes + at);
		at += BATCH_PART_BYTES;
		if (part > length - at)
			return 0;
		out_parts[count] = bytes + at;
		out_lengths[count++] = part;
		at += part;
	}
	return count;
}

size_t batch_length(const size_t *lengths, size_t count)
{
	size_t length = 1;

	for (size_t i = 0; i < count; i++)
		length += BATCH_PART_BYTES + lengths[i];
	return length;
}

void batch_write(uint8_t *out, const uint8_t *const *parts, const size_t *lengths, size_t count)
{
	*out++ = BATCH_MARK;
	for (size_t i = 0; i < count; i++) {
		for (int shift = 0; shift < 32; shift += 8)
			*out++ = (uint8_t)(lengths[i] >> shift);
		memcpy(out, parts[i], lengths[i]);
		out += lengths[i];
	}
}

/* ---- batches */

static void batch_step(void *arg);

/* NULL: there is no memory. */
static struct batch *batch_create(struct lane *lane)
{
	struct batch *batch = calloc(1, sizeof *batch);

	if (batch == NULL || nng_aio_alloc(&batch->flight.aio, batch_step, batch) != 0) {
		log_error("out_of_memory", LOG_U64("size_bytes", sizeof *batch));
		free(batch);
		return NULL;
	}
	batch->lane = lane;
	return batch;
}

static void batch_release(struct batch *batch)
{
	struct lane *lane = batch->lane;

	if (atomic_fetch_sub(&batch->references, 1) != 1)
		return;
	nng_msg_free(batch->answer);
	batch->answer = NULL;
	pthread_mutex_lock(&lane->lock);
	batch->next = lane->pool;
	lane->pool = batch;
	pthread_mutex_unlock(&lane->lock);
}

/* Whoever waits for a batch learns that there is none. Called with the lock held. */
static void lane_refuse(struct lane *lane)
{
	while (lane->first != NULL) {
		struct entry *entry = lane->first;
		lane->first = entry->next;
		entry->answer.rv = LANE_NOT_SENT;
		atomic_store(&entry->completed, true);
		sem_post(&entry->done); /* the last use of it */
	}
	lane->end = &lane->first;
}

/* What waits as a batch, or NULL when nothing does, enough is in flight or there is no memory. Called with the lock held. */
static struct batch *lane_gather(struct lane *lane)
{
	size_t bytes = 0;

	if (lane->first == NULL || lane->in_flight == IN_FLIGHT_MOST)
		return NULL;
	struct batch *batch = lane->pool;
	if (batch != NULL)
		lane->pool = batch->next;
	else
		batch = batch_create(lane);
	if (batch == NULL) {
		lane_refuse(lane);
		return NULL;
	}
	batch->count = 0;
	batch->sent = false;
	atomic_store(&batch->references, 1);
	while (lane->first != NULL && batch->count < BATCH_MOST && bytes < BATCH_BYTES) {
		struct entry *entry = lane->first;
		lane->first = entry->next;
		entry->batch = batch;
		entry->index = batch->count;
		batch->entries[batch->count++] = entry;
		bytes += entry->length;
	}
	if (lane->first == NULL)
		lane->end = &lane->first;
	lane->in_flight++;
	return batch;
}

/* The batch as a message, or NULL when nobody waits for it any more or there is no memory. Called with the lock held: entries whose callers left meanwhile have no bytes any more. */
static nng_msg *batch_message(struct batch *batch, int64_t *out_until_mono_ms)
{
	const uint8_t *parts[BATCH_MOST];
	size_t lengths[BATCH_MOST], count = 0;
	nng_msg *msg = NULL;

	*out_until_mono_ms = 0;
	for (size_t i = 0; i < batch->count; i++) {
		struct entry *entry = batch->entries[i];
		if (entry == NULL)
			continue;
		entry->index = count;
		batch->entries[count] = entry;
		parts[count] = entry->bytes;
		lengths[count++] = entry->length;
		if (entry->until_mono_ms > *out_until_mono_ms)
			*out_until_mono_ms = entry->until_mono_ms;
	}
	batch->count = count;
	if (count == 0)
		return NULL;
	if (nng_msg_alloc(&msg, batch_length(lengths, count)) != 0) {
		log_error("out_of_memory", LOG_U64("size_bytes", batch_length(lengths, count)));
		return NULL;
	}
	batch_write(nng_msg_body(msg), parts, lengths, count);
	return msg;
}

/* Everybody of the batch learns what it came to; rv 0: the answer is there. Returns what is to be sent next. Any thread. */
static struct batch *batch_finish(struct batch *batch, int rv)
{
	struct lane *lane = batch->lane;
	const uint8_t *parts[BATCH_MOST] = {0};
	size_t lengths[BATCH_MOST] = {0}, answered = 0, count = 0;
	struct entry *told[BATCH_MOST];

	if (rv == 0)
		answered = batch_split(nng_msg_body(batch->answer), nng_msg_len(batch->answer), parts, lengths);
	pthread_mutex_lock(&lane->lock);
	for (size_t i = 0; i < batch->count; i++) {
		struct entry *entry = batch->entries[i];
		if (entry == NULL)
			continue;
		entry->answer.rv = rv;
		if (rv == 0) { /* not as many as asked: no part of it is believed */
			entry->answer.bytes = answered == batch->count ? parts[i] : NULL;
			entry->answer.length = answered == batch->count ? lengths[i] : 0;
			entry->answer.pipe = nng_msg_get_pipe(batch->answer);
			entry->answer.batch = batch;
			atomic_fetch_add(&batch->references, 1);
		}
		atomic_store(&entry->completed, true);
		told[count++] = entry;
	}
	lane->in_flight--;
	struct batch *next = lane_gather(lane);
	pthread_mutex_unlock(&lane->lock);
	for (size_t i = 0; i < count; i++)
		sem_post(&told[i]->done); /* the last use of it */
	batch_release(batch);
	return next;
}

/* Sends it, and when it cannot be sent, what gathered meanwhile. Any thread. */
static void batch_send(struct batch *batch)
{
	while (batch != NULL) {
		struct peer *peer = batch->lane->peer;
		int64_t until_mono_ms = 0;

		pthread_mutex_lock(&batch->lane->lock);
		nng_msg *msg = batch_message(batch, &until_mono_ms);
		pthread_mutex_unlock(&batch->lane->lock);
		atomic_fetch_add(&peer->references, 1);
		if (msg != NULL && peer_begin(peer, &batch->flight) == STATUS_OK) {
			int64_t left = until_mono_ms - clock_mono_ms();
			nng_aio_set_timeout(batch->flight.aio, left > 0 ? (nng_duration)left : NNG_DURATION_ZERO);
			nng_aio_set_msg(batch->flight.aio, msg);
			nng_ctx_send(batch->flight.ctx, batch->flight.aio);
			return;
		}
		nng_msg_free(msg);
		batch = batch_finish(batch, LANE_NOT_SENT);
		atomic_fetch_sub(&peer->references, 1);
	}
}

/* Runs on an nng thread, once per finished step. Must not block. */
static void batch_step(void *arg)
{
	struct batch *batch = arg;
	struct peer *peer = batch->lane->peer;
	nng_aio *aio = batch->flight.aio;

	int rv = nng_aio_result(aio);
	if (rv == 0 && !batch->sent) {
		batch->sent = true; /* before the call: the callback may run first */
		nng_ctx_recv(batch->flight.ctx, aio); /* the timeout counts anew: whoever waits looks at the clock himself */
		return;
	}
	nng_msg *msg = nng_aio_get_msg(aio);
	nng_aio_set_msg(aio, NULL);
	if (rv == 0 && msg == NULL)
		rv = NNG_ETIMEDOUT; /* nng 1.5.2 has been seen to end a step well with nothing to show for it */
	if (rv == 0)
		batch->answer = msg;
	else
		nng_msg_free(msg); /* a failed send leaves it ours */
	peer_end(&batch->flight);
	struct batch *next = batch_finish(batch, rv);
	if (next != NULL)
		batch_send(next);
	atomic_fetch_sub(&peer->references, 1);
}

/* ---- lanes */

struct lane *lane_create(struct peer *peer)
{
	struct lane *lane = calloc(1, sizeof *lane);

	if (lane == NULL)
		return NULL;
	lane->peer = peer;
	lane->end = &lane->first;
	pthread_mutex_init(&lane->lock, NULL);
	return lane;
}

void lane_destroy(struct lane *lane)
{
	if (lane == NULL)
		return;
	/* All are stopped before one is freed: their callbacks may still be returning. */
	for (struct batch *batch = lane->pool; batch != NULL; batch = batch->next)
		nng_aio_stop(batch->flight.aio);
	while (lane->pool != NULL) {
		struct batch *batch = lane->pool;
		lane->pool = batch->next;
		nng_aio_free(batch->flight.aio);
		free(batch);
	}
	pthread_mutex_destroy(&lane->lock);
	free(lane);
}

/* Nobody waits for the entry any more, unless it is completed. Called with the lock held. */
static void entry_leave(struct lane *lane, struct entry *entry)
{
	if (atomic_load(&entry->completed))
		return;
	if (entry->batch != NULL) {
		entry->batch->entries[entry->index] = NULL;
		return;
	}
	for (struct entry **at = &lane->first; *at != NULL; at = &(*at)->next) {
		if (*at != entry)
			continue;
		*at = entry->next;
		if (*at == NULL)
			lane->end = at;
		return;
	}
}

struct lane_answer lane_call(struct lane *lane, const uint8_t *bytes, size_t length, int64_t until_mono_ms)
{
	struct entry entry = {.bytes = bytes, .length = length, .until_mono_ms = until_mono_ms};
	struct timespec until = clock_timespec(until_mono_ms);

	sem_init(&entry.done, 0, 0);
	pthread_mutex_lock(&lane->lock);
	*lane->end = &entry;
	lane->end = &entry.next;
	struct batch *batch = lane_gather(lane);
	pthread_mutex_unlock(&lane->lock);
	if (batch != NULL)
		batch_send(batch);
	while (sem_clockwait(&entry.done, CLOCK_MONOTONIC, &until) != 0) {
		if (errno != ETIMEDOUT)
			continue;
		pthread_mutex_lock(&lane->lock);
		entry_leave(lane, &entry);
		bool completed = atomic_load(&entry.completed);
		pthread_mutex_unlock(&lane->lock);
		while (completed && sem_wait(&entry.done) != 0) {
		}
		break;
	}
	sem_destroy(&entry.done);
	return atomic_load(&entry.completed) ? entry.answer : (struct lane_answer){.rv = NNG_ETIMEDOUT};
}

void lane_answer_release(struct lane_answer *answer)
{
	if (answer->batch != NULL)
		batch_release(answer->batch);
	answer->batch = NULL;
}
