#include "common/bus/subscriber.h"

#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/pubsub0/sub.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/config.h"
#include "common/base/ids.h"
#include "common/base/log.h"
#include "common/ops/ops.h"
#include "common/rpc/address.h"
#include "common/rpc/closer.h"
#include "common/rpc/rpc.h"

#define KEEP_EVERY_MS         50
#define SILENCE_MS            600 /* six heartbeats */
#define CLOSE_PATIENCE_MS     1000
#define DIAL_MS               2000 /* without a connection by then another socket dials; then twice as long, and so on */
#define DIAL_MOST_MS          32000
#define RECEIVE_BUFFER_FRAMES 8192 /* with fewer, nng lost frames at 50,000 a second; with 8192 on both ends none */

/* One publisher's address. A socket each, so that it is known who is heard. When the connection is lost, which its silence shows
 * at the latest, another source takes its place, with a new socket (rpc/closer.h says why). */
struct source {
	struct source *next;
	struct bus_subscriber *subscriber;
	char address[NNG_MAXADDRLEN];
	nng_socket socket;
	nng_aio *aio;
	_Atomic int64_t heard_mono_ms;     /* 0: never; also by those whose place it took */
	_Atomic int64_t connected_mono_ms; /* 0: not connected yet */
	_Atomic bool lost;
	uint64_t dice;                 /* of the fault hook; only the callback rolls it */
	bool listed;                   /* for the resolver */
	int64_t dials_until_mono_ms;   /* the keeper's own, as is the next */
	int dial_ms;
};

struct bus_subscriber {
	char *addresses;
	int drop_percent;
	struct frame_queue *queue;
	struct closer *closer;
	pthread_mutex_t update_lock; /* held by whoever changes the list; taken before lock */
	pthread_mutex_t lock;        /* of what follows */
	pthread_cond_t stop_asked;
	struct source *sources;
	bool stopping;
	bool keeps, resolves;
	pthread_t keeper, resolver;
};

static bool dice_drop(struct source *source, int percent)
{
	source->dice ^= source->dice << 13; /* xorshift64 */
	source->dice ^= source->dice >> 7;
	source->dice ^= source->dice << 17;
	return (int)(source->dice % 100) < percent;
}

/* Runs on an nng thread, once per frame, one at a time per source. Only moves the frame on. */
static void source_received(void *arg)
{
	struct source *source = arg;

	int rv = nng_aio_result(source->aio);
	if (rv == NNG_ECLOSED || rv == NNG_ECANCELED)
		return;
	nng_msg *frame = rv == 0 ? nng_aio_get_msg(source->aio) : NULL;
	if (frame != NULL) {
		nng_aio_set_msg(source->aio, NULL);
		metric_add(bus_frames_received, 1);
		atomic_store_explicit(&source->heard_mono_ms, clock_mono_ms(), memory_order_relaxed);
		if (source->subscriber->drop_percent > 0 && dice_drop(source, source->subscriber->drop_percent)) {
			nng_msg_free(frame);
			metric_add(bus_frames_dropped, 1);
		} else {
			frame_queue_push(source->subscriber->queue, frame);
		}
	}
	nng_recv_aio(source->socket, source->aio);
}

/* Run on nng threads. */
static void source_connected(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
	struct source *source = arg;

	atomic_store(&source->connected_mono_ms, clock_mono_ms());
	log_info("publisher_connected", LOG_STR("address", source->address));
}

static void source_lost(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
	struct source *source = arg;

	rpc_pipe_dial_no_more(pipe);
	atomic_store(&source->lost, true);
}

static void source_free(void *arg)
{
	struct source *source = arg;

	nng_aio_free(source->aio);
	free(source);
}

static void source_destroy(struct source *source)
{
	nng_aio_stop(source->aio); /* from here on it touches neither subscriber nor queue */
	closer_close(source->subscriber->closer, source->socket, source_free, source);
}

static enum status source_create(struct bus_subscriber *subscriber, const char *address, struct source **out_source)
{
	struct source *source = calloc(1, sizeof *source);

	if (source == NULL)
		return STATUS_INTERNAL;
	source->subscriber = subscriber;
	source->dial_ms = DIAL_MS;
	source->dials_until_mono_ms = clock_mono_ms() + source->dial_ms;
	snprintf(source->address, sizeof source->address, "%s", address);
	ids_random_bytes(&source->dice, sizeof source->dice);
	source->dice |= 1;
	int rv = strlen(address) < sizeof source->address ? nng_sub0_open(&source->socket) : NNG_EADDRINVAL;
	if (rv == 0)
		rv = rpc_socket_prepare(source->socket);
	if (rv == 0)
		rv = nng_socket_set_int(source->socket, NNG_OPT_RECVBUF, RECEIVE_BUFFER_FRAMES);
	if (rv == 0)
		rv = nng_socket_set(source->socket, NNG_OPT_SUB_SUBSCRIBE, "", 0);
	if (rv == 0)
		rv = nng_aio_alloc(&source->aio, source_received, source);
	if (rv == 0)
		rv = nng_pipe_notify(source->socket, NNG_PIPE_EV_ADD_POST, source_connected, source);
	if (rv == 0)
		rv = nng_pipe_notify(source->socket, NNG_PIPE_EV_REM_POST, source_lost, source);
	if (rv == 0)
		rv = nng_dial(source->socket, address, NULL, NNG_FLAG_NONBLOCK);
	if (rv != 0) {
		log_error("dial_failed", LOG_STR("address", address), LOG_STR("why", nng_strerror(rv)));
		nng_close(source->socket); /* it never dialed, so this does not hang */
		source_free(source);
		return rv == NNG_EADDRINVAL ? STATUS_FIELD_INVALID : STATUS_INTERNAL;
	}
	nng_recv_aio(source->socket, source->aio);
	*out_source = source;
	return STATUS_OK;
}

/* Connected once, and gone or silent since? Or dialing for so long that nng may have lost the end of an attempt? */
static bool source_is_over(struct source *source, int64_t now_mono_ms)
{
	int64_t heard = atomic_load(&source->heard_mono_ms);
	int64_t connected = atomic_load(&source->connected_mono_ms);

	if (connected == 0)
		return now_mono_ms > source->dials_until_mono_ms;
	return atomic_load(&source->lost) || now_mono_ms - (heard > connected ? heard : connected) > SILENCE_MS;
}

static void sources_renew(struct bus_subscriber *subscriber)
{
	for (struct source **at = &subscriber->sources; *at != NULL; at = &(*at)->next) {
		struct source *old = *at;
		struct source *renewed = NULL;
		if (!source_is_over(old, clock_mono_ms()) || source_create(subscriber, old->address, &renewed) != STATUS_OK)
			continue; /* what failed is logged and tried again */
		if (atomic_load(&old->connected_mono_ms) != 0) {
			log_warn("publisher_lost", LOG_STR("address", old->address));
		} else {
			renewed->dial_ms = 2 * old->dial_ms < DIAL_MOST_MS ? 2 * old->dial_ms : DIAL_MOST_MS;
			renewed->dials_until_mono_ms += renewed->dial_ms - DIAL_MS;
		}
		pthread_mutex_lock(&subscriber->lock);
		if (atomic_load(&renewed->heard_mono_ms) == 0)
			atomic_store(&renewed->heard_mono_ms, atomic_load(&old->heard_mono_ms));
		renewed->next = old->next;
		*at = renewed;
		pthread_mutex_unlock(&subscriber->lock);
		source_destroy(old);
	}
}

static struct source *source_find(struct bus_subscriber *subscriber, const char *address)
{
	for (struct source *source = subscriber->sources; source != NULL; source = source->next) {
		if (strcmp(source->address, address) == 0)
			return source;
	}
	return NULL;
}

/* Makes the sources those of the addresses. */
static enum status sources_update(struct bus_subscriber *subscriber, bool *out_names)
{
	struct arena *mem = arena_create();
	size_t count = 0;
	const char **addresses = rpc_addresses_resolve(mem, subscriber->addresses, &count, out_names);
	enum status st = STATUS_OK;

	pthread_mutex_lock(&subscriber->update_lock);
	for (struct source *source = subscriber->sources; source != NULL; source = source->next)
		source->listed = count == 0; /* a resolver that knows nothing for a moment takes no publisher away */
	for (size_t i = 0; i < count && st == STATUS_OK; i++) {
		struct source *source = source_find(subscriber, addresses[i]);
		if (source == NULL) {
			st = source_create(subscriber, addresses[i], &source);
			if (st != STATUS_OK)
				break;
			pthread_mutex_lock(&subscriber->lock);
			source->next = subscriber->sources;
			subscriber->sources = source;
			pthread_mutex_unlock(&subscriber->lock);
		}
		source->listed = true;
	}
	for (struct source **at = &subscriber->sources; st == STATUS_OK && *at != NULL;) {
		struct source *source = *at;
		if (source->listed) {
			at = &source->next;
			continue;
		}
		log_info("publisher_retired", LOG_STR("address", source->address));
		pthread_mutex_lock(&subscriber->lock);
		*at = source->next;
		pthread_mutex_unlock(&subscriber->lock);
		source_destroy(source);
	}
	pthread_mutex_unlock(&subscriber->update_lock);
	arena_destroy(mem);
	return st;
}

/* False: it is being destroyed. Called with the lock held. */
static bool subscriber_pause(struct bus_subscriber *subscriber, int pause_ms)
{
	int64_t until_ms = clock_mono_ms() + pause_ms;
	struct timespec until = clock_timespec(until_ms);

	while (!subscriber->stopping && pthread_cond_timedwait(&subscriber->stop_asked, &subscriber->lock, &until) != ETIMEDOUT) {
	}
	return !subscriber->stopping;
}

static void *keeper_main(void *arg)
{
	struct bus_subscriber *subscriber = arg;

	pthread_mutex_lock(&subscriber->lock);
	while (subscriber_pause(subscriber, KEEP_EVERY_MS)) {
		pthread_mutex_unlock(&subscriber->lock);
		pthread_mutex_lock(&subscriber->update_lock);
		sources_renew(subscriber);
		pthread_mutex_unlock(&subscriber->update_lock);
		pthread_mutex_lock(&subscriber->lock);
	}
	pthread_mutex_unlock(&subscriber->lock);
	return NULL;
}

static void *resolver_main(void *arg)
{
	struct bus_subscriber *subscriber = arg;

	pthread_mutex_lock(&subscriber->lock);
	while (subscriber_pause(subscriber, RPC_RESOLVE_EVERY_MS)) {
		bool names = true;
		pthread_mutex_unlock(&subscriber->lock);
		(void)sources_update(subscriber, &names); /* what failed is logged and tried again */
		pthread_mutex_lock(&subscriber->lock);
	}
	pthread_mutex_unlock(&subscriber->lock);
	return NULL;
}

static enum status addresses_check(const char *addresses, bool insecure)
{
	struct arena *mem = arena_create();
	size_t count = 0;
	const char **given = config_list(mem, addresses, &count);
	enum status st = count > 0 ? STATUS_OK : STATUS_FIELD_INVALID;

	if (st != STATUS_OK)
		log_error("no_addresses", LOG_STR("of", "publishers"));
	for (size_t i = 0; i < count && st == STATUS_OK; i++)
		st = rpc_address_check(given[i], insecure);
	arena_destroy(mem);
	return st;
}

enum status bus_subscriber_create(const char *addresses, bool insecure, int drop_percent, struct frame_queue *queue,
	struct bus_subscriber **out_subscriber)
{

	enum status st = addresses_check(addresses, insecure);
	if (st != STATUS_OK)
		return st;
	struct bus_subscriber *subscriber = calloc(1, sizeof *subscriber);
	if (subscriber == NULL)
		return STATUS_INTERNAL;
	subscriber->addresses = strdup(addresses);
	subscriber->drop_percent = drop_percent;
	subscriber->queue = queue;
	subscriber->closer = closer_create();
	pthread_mutex_init(&subscriber->update_lock, NULL);
	pthread_mutex_init(&subscriber->lock, NULL);
	clock_cond_init(&subscriber->stop_asked);
	bool names = false;
	st = sources_update(subscriber, &names);
	if (st == STATUS_OK) {
		subscriber->keeps = pthread_create(&subscriber->keeper, NULL, keeper_main, subscriber) == 0;
		subscriber->resolves = names && pthread_create(&subscriber->resolver, NULL, resolver_main, subscriber) == 0;
		if (!subscriber->keeps || subscriber->resolves != names)
			st = STATUS_INTERNAL;
	}
	if (st != STATUS_OK) {
		bus_subscriber_destroy(subscriber);
		return st;
	}
	*out_subscriber = subscriber;
	return STATUS_OK;
}

void bus_subscriber_destroy(struct bus_subscriber *subscriber)
{
	if (subscriber == NULL)
		return;
	pthread_mutex_lock(&subscriber->lock);
	subscriber->stopping = true;
	pthread_cond_broadcast(&subscriber->stop_asked);
	pthread_mutex_unlock(&subscriber->lock);
	if (subscriber->keeps)
		pthread_join(subscriber->keeper, NULL);
	if (subscriber->resolves)
		pthread_join(subscriber->resolver, NULL);
	while (subscriber->sources != NULL) {
		struct source *source = subscriber->sources;
		subscriber->sources = source->next;
		source_destroy(source);
	}
	closer_finish(subscriber->closer, CLOSE_PATIENCE_MS);
	pthread_cond_destroy(&subscriber->stop_asked);
	pthread_mutex_destroy(&subscriber->lock);
	pthread_mutex_destroy(&subscriber->update_lock);
	free(subscriber->addresses);
	free(subscriber);
}

bool bus_subscriber_heard(struct bus_subscriber *subscriber, int within_ms)
{
	int64_t now = clock_mono_ms();

	pthread_mutex_lock(&subscriber->lock);
	bool all = subscriber->sources != NULL;
	for (struct source *source = subscriber->sources; source != NULL && all; source = source->next) {
		int64_t heard = atomic_load_explicit(&source->heard_mono_ms, memory_order_relaxed);
		all = heard != 0 && now - heard <= within_ms;
	}
	pthread_mutex_unlock(&subscriber->lock);
	return all;
}
