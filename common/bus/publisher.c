#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/log.h"
#include "common/bus/bus.h"
#include "common/bus/frame.h"
#include "common/ops/ops.h"
#include "common/rpc/address.h"
#include "common/rpc/closer.h"
#include "common/rpc/ear.h"
#include "common/rpc/rpc.h"

#define SEND_BUFFER_FRAMES 8192
#define HEARTBEAT_EVERY_MS 100
#define HEADS_LAST_MS      1000 /* how long a head rides along in heartbeats */
#define WATERMARK_EVERY_MS 1000
/* Of these watermarks one reads the whole window of 10 s: an event may be 5 s old when it is committed, and the next whole one
 * must come within the 5 s that are left, late turns included. */
#define WATERMARK_WHOLE_OF 4
#define CLOSE_PATIENCE_MS  1000
#define LEAVING_MS         300 /* nng drops what is queued at close: measured, 208 of 2,000 frames arrived */

/* A stream that was published lately. */
struct head {
	uint64_t key[2]; /* rank and id: without padding, as the table wants it */
	struct frame_head at;
	int64_t published_mono_ms;
	UT_hash_handle hh;
};

struct bus_publisher {
	nng_socket socket;
	struct ear *ear;
	char *instance;
	uint64_t epoch;
	struct bus_publisher_options options;

	pthread_mutex_t lock; /* of what follows, and of the order in which frames are sent */
	pthread_cond_t stop_asked;
	bool stopping;
	char generation[FRAME_GENERATION_SIZE];
	uint64_t last_batch;
	struct head *heads;    /* by stream; in the order of their first event */
	struct arena *mem;     /* of one frame */

	bool beats, marks;
	pthread_t heartbeat, watermark;
};

/* Called with the lock held: numbers and sending have one order. */
static void publisher_send(void *arg, const uint8_t *bytes, size_t length)
{
	struct bus_publisher *p = arg;
	nng_msg *msg = NULL;

	int rv = nng_msg_alloc(&msg, 0);
	if (rv == 0)
		rv = nng_msg_append(msg, bytes, length);
	if (rv == 0)
		rv = nng_sendmsg(p->socket, msg, NNG_FLAG_NONBLOCK); /* PUB never blocks: it drops */
	if (rv != 0) {
		nng_msg_free(msg);
		log_warn("bus_send_failed", LOG_STR("why", nng_strerror(rv)));
	}
}

static struct frame_origin publisher_origin(const struct bus_publisher *p)
{
	return (struct frame_origin){p->instance, p->epoch, p->generation};
}

/* Called with the lock held. */
static void publisher_remember(struct bus_publisher *p, const struct logged_event *ev, int64_t now_mono_ms)
{
	uint64_t key[2] = {ev->stream.rank, ev->stream.id};
	struct head *head = NULL;

	HASH_FIND(hh, p->heads, key, sizeof key, head);
	if (head == NULL) {
		head = calloc(1, sizeof *head);
		if (head == NULL)
			return; /* the number of the batch is enough */
		memcpy(head->key, key, sizeof key);
		head->at.stream = ev->stream;
		HASH_ADD(hh, p->heads, key, sizeof head->key, head);
	}
	if (ev->seq > head->at.seq)
		head->at.seq = ev->seq;
	head->published_mono_ms = now_mono_ms;
}

void bus_publish(struct bus_publisher *p, const char *generation, const struct logged_event *events, size_t count)
{
	if (p == NULL || count == 0)
		return;
	int64_t now = clock_mono_ms();
	pthread_mutex_lock(&p->lock);
	snprintf(p->generation, sizeof p->generation, "%s", generation != NULL ? generation : "");
	struct frame_origin origin = publisher_origin(p);
	frame_write_batch(p->mem, &origin, ++p->last_batch, events, count, publisher_send, p);
	for (size_t i = 0; i < count; i++)
		publisher_remember(p, &events[i], now);
	arena_reset(p->mem);
	pthread_mutex_unlock(&p->lock);
	metric_add(bus_batches_sent, 1);
}

/* Unnumbered: what is ephemeral may be lost, and a hole in the numbers would make every receiver ask the log. */
void bus_publish_ephemeral(struct bus_publisher *p, const struct logged_event *targets, size_t target_count, uint32_t kind,
	int64_t at_ms, const uint8_t *payload, size_t payload_length)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	struct frame_origin origin = publisher_origin(p);
	/* They are in no log and belong to no generation of one: a publisher that commits nothing for hours (presence) would go on
	 * naming the generation before a failover, and be heard by nobody. */
	origin.generation = "";
	frame_write_ephemeral(p->mem, &origin, targets, target_count, kind, at_ms, payload, payload_length, publisher_send, p);
	arena_reset(p->mem);
	pthread_mutex_unlock(&p->lock);
}

/* Called with the lock held; forgets what is older than a heartbeat has to say. */
static void publisher_beat(struct bus_publisher *p, bool database_up)
{
	int64_t oldest = clock_mono_ms() - HEADS_LAST_MS;
	struct frame_head *list = ARENA_ARRAY(p->mem, HASH_COUNT(p->heads), struct frame_head);
	size_t count = 0;
	struct head *head, *after;

	HASH_ITER(hh, p->heads, head, after)
	{
		if (head->published_mono_ms < oldest) {
			HASH_DEL(p->heads, head);
			free(head);
		} else {
			list[count++] = head->at;
		}
	}
	struct frame_origin origin = publisher_origin(p);
	/* Who has published nothing for a while knows no generation, only the one before a failover; named, it would make every
	 * receiver ask the log about it every second and drop what else the heartbeat says. */
	if (count == 0)
		origin.generation = "";
	frame_write_heartbeat(p->mem, &origin, p->last_batch, list, count, p->stopping, database_up, publisher_send, p);
	arena_reset(p->mem);
}

/* Called with the lock held. False: it was asked to stop. */
static bool publisher_wait(struct bus_publisher *p, int64_t until_mono_ms)
{
	struct timespec until = clock_timespec(until_mono_ms);

	while (!p->stopping && pthread_cond_timedwait(&p->stop_asked, &p->lock, &until) != ETIMEDOUT) {
	}
	return !p->stopping;
}

static void leave(struct bus_publisher *p)
{
	struct timespec pause = {.tv_nsec = HEARTBEAT_EVERY_MS * 1000000L};

	for (int i = 0; i <= LEAVING_MS / HEARTBEAT_EVERY_MS; i++) {
		publisher_beat(p, true);
		pthread_mutex_unlock(&p->lock);
		nanosleep(&pause, NULL);
		pthread_mutex_lock(&p->lock);
	}
}

static void *heartbeat_main(void *arg)
{
	struct bus_publisher *p = arg;
	int64_t next = clock_mono_ms();

	pthread_mutex_lock(&p->lock);
	do {
		pthread_mutex_unlock(&p->lock);
		bool up = p->options.database_up == NULL || p->options.database_up(p->options.arg);
		pthread_mutex_lock(&p->lock);
		if (!p->stopping)
			publisher_beat(p, up);
		next = next + HEARTBEAT_EVERY_MS > clock_mono_ms() ? next + HEARTBEAT_EVERY_MS : clock_mono_ms();
	} while (publisher_wait(p, next));
	leave(p);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* On a thread of its own, because a database that hangs must not silence the heartbeat. */
static void *watermark_main(void *arg)
{
	struct bus_publisher *p = arg;
	struct arena *mem = arena_create();
	int64_t next = clock_mono_ms() + WATERMARK_EVERY_MS;
	unsigned answered = 0;

	pthread_mutex_lock(&p->lock);
	while (publisher_wait(p, next)) {
		struct logged_event *newest = NULL;
		const char *generation = NULL;
		size_t count = 0;
		pthread_mutex_unlock(&p->lock);
		bool whole = answered % WATERMARK_WHOLE_OF == 0; /* one that failed is asked again the next time */
		bool known = p->options.watermark(p->options.arg, mem, whole, &generation, &newest, &count);
		answered += known;
		pthread_mutex_lock(&p->lock);
		if (known) {
			struct frame_head *heads = ARENA_ARRAY(mem, count, struct frame_head);
			for (size_t i = 0; i < count; i++)
				heads[i] = (struct frame_head){newest[i].stream, newest[i].seq};
			struct frame_origin origin = publisher_origin(p);
			/* The log's of now, like the heads; ours is that of the last batch. Sent even without heads: after a failover
			 * nobody may commit for long, and the receivers have to hear of it all the same. */
			origin.generation = generation != NULL ? generation : "";
			frame_write_watermark(mem, &origin, heads, count, publisher_send, p);
		}
		arena_reset(mem);
		next = clock_mono_ms() + WATERMARK_EVERY_MS;
	}
	pthread_mutex_unlock(&p->lock);
	arena_destroy(mem);
	return NULL;
}

enum status bus_publisher_create(const struct bus_publisher_options *options, struct bus_publisher **out_publisher)
{

	if (options->listen == NULL || *options->listen == '\0')
		return STATUS_FIELD_INVALID;
	enum status st = rpc_address_check(options->listen, options->insecure);
	if (st != STATUS_OK)
		return st;
	struct bus_publisher *p = calloc(1, sizeof *p);
	if (p == NULL)
		return STATUS_INTERNAL;
	p->options = *options;
	p->instance = strndup(options->instance, FRAME_NAME_SIZE - 1);
	p->mem = arena_create();
	while (p->epoch == 0)
		ids_random_bytes(&p->epoch, sizeof p->epoch);
	pthread_mutex_init(&p->lock, NULL);
	clock_cond_init(&p->stop_asked);
	int rv = nng_pub0_open(&p->socket);
	if (rv == 0)
		rv = rpc_socket_prepare(p->socket);
	if (rv == 0)
		rv = nng_socket_set_int(p->socket, NNG_OPT_SENDBUF, SEND_BUFFER_FRAMES);
	st = rv == 0 ? ear_open(p->socket, options->listen, &p->ear) : STATUS_INTERNAL;
	if (st == STATUS_OK) {
		p->beats = pthread_create(&p->heartbeat, NULL, heartbeat_main, p) == 0;
		p->marks = p->beats && options->watermark != NULL && pthread_create(&p->watermark, NULL, watermark_main, p) == 0;
		if (!p->beats || (options->watermark != NULL && !p->marks))
			st = STATUS_INTERNAL;
	}
	if (st != STATUS_OK) {
		bus_publisher_destroy(p);
		return st;
	}
	log_info("bus_publishing", LOG_STR("address", options->listen));
	*out_publisher = p;
	return STATUS_OK;
}

void bus_publisher_destroy(struct bus_publisher *p)
{
	struct head *head, *after;

	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_broadcast(&p->stop_asked);
	pthread_mutex_unlock(&p->lock);
	if (p->marks)
		pthread_join(p->watermark, NULL);
	if (p->beats)
		pthread_join(p->heartbeat, NULL);
	ear_stop(p->ear);
	struct closer *closer = closer_create();
	closer_close(closer, p->socket, ear_free, p->ear);
	closer_finish(closer, CLOSE_PATIENCE_MS);
	HASH_ITER(hh, p->heads, head, after)
	{
		HASH_DEL(p->heads, head);
		free(head);
	}
	pthread_cond_destroy(&p->stop_asked);
	pthread_mutex_destroy(&p->lock);
	arena_destroy(p->mem);
	free(p->instance);
	free(p);
}
