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
#include "common/rpc/rpc.h"

#define RECEIVE_BUFFER_FRAMES 8192 /* with fewer, nng lost frames at 50,000 a second; with 8192 on both ends none */

/* One publisher's address. A socket each, so that it is known who is heard. */
struct source {
	struct source *next;
	struct bus_subscriber *subscriber;
	char address[NNG_MAXADDRLEN];
	nng_socket socket;
	nng_aio *aio;
	_Atomic int64_t heard_mono_ms; /* 0: never */
	uint64_t dice;                 /* of the fault hook; only the callback rolls it */
	bool listed;                   /* for the resolver */
};

struct bus_subscriber {
	char *addresses;
	int drop_percent;
	struct frame_queue *queue;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t stop_asked;
	struct source *sources;
	bool stopping;
	bool resolves;
	pthread_t resolver;
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
	if (rv == 0) {
		nng_msg *frame = nng_aio_get_msg(source->aio);
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

static void source_destroy(struct source *source)
{
	if (source->aio != NULL)
		nng_aio_stop(source->aio);
	nng_close(source->socket);
	nng_aio_free(source->aio);
	free(source);
}

static enum status source_create(struct bus_subscriber *subscriber, const char *address, struct source **out_source)
{
	struct source *source = calloc(1, sizeof *source);

	if (source == NULL)
		return STATUS_INTERNAL;
	source->subscriber = subscriber;
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
		rv = nng_dial(source->socket, address, NULL, NNG_FLAG_NONBLOCK);
	if (rv != 0) {
		log_error("dial_failed", LOG_STR("address", address), LOG_STR("why", nng_strerror(rv)));
		source_destroy(source);
		return rv == NNG_EADDRINVAL ? STATUS_FIELD_INVALID : STATUS_INTERNAL;
	}
	nng_recv_aio(source->socket, source->aio);
	*out_source = source;
	return STATUS_OK;
}

static struct source *source_find(struct bus_subscriber *subscriber, const char *address)
{
	for (struct source *source = subscriber->sources; source != NULL; source = source->next) {
		if (strcmp(source->address, address) == 0)
			return source;
	}
	return NULL;
}

/* Makes the sources those of the addresses. Only one thread at a time does this; the lock is for those who ask who is heard. */
static enum status sources_update(struct bus_subscriber *subscriber, bool *out_names)
{
	struct arena *mem = arena_create();
	size_t count = 0;
	const char **addresses = rpc_addresses_resolve(mem, subscriber->addresses, &count, out_names);
	enum status st = STATUS_OK;

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
	for (struct source **at = &subscriber->sources; *at != NULL;) {
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
	arena_destroy(mem);
	return st;
}

static void *resolver_main(void *arg)
{
	struct bus_subscriber *subscriber = arg;

	pthread_mutex_lock(&subscriber->lock);
	while (!subscriber->stopping) {
		int64_t until_ms = clock_mono_ms() + RPC_RESOLVE_EVERY_MS;
		struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
		while (!subscriber->stopping && pthread_cond_timedwait(&subscriber->stop_asked, &subscriber->lock, &until) != ETIMEDOUT) {
		}
		if (subscriber->stopping)
			break;
		pthread_mutex_unlock(&subscriber->lock);
		bool names = true;
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
	pthread_condattr_t monotonic;

	enum status st = addresses_check(addresses, insecure);
	if (st != STATUS_OK)
		return st;
	struct bus_subscriber *subscriber = calloc(1, sizeof *subscriber);
	if (subscriber == NULL)
		return STATUS_INTERNAL;
	subscriber->addresses = strdup(addresses);
	subscriber->drop_percent = drop_percent;
	subscriber->queue = queue;
	pthread_mutex_init(&subscriber->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&subscriber->stop_asked, &monotonic);
	pthread_condattr_destroy(&monotonic);
	bool names = false;
	st = sources_update(subscriber, &names);
	if (st == STATUS_OK && names) {
		subscriber->resolves = pthread_create(&subscriber->resolver, NULL, resolver_main, subscriber) == 0;
		st = subscriber->resolves ? STATUS_OK : STATUS_INTERNAL;
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
	if (subscriber->resolves)
		pthread_join(subscriber->resolver, NULL);
	while (subscriber->sources != NULL) {
		struct source *source = subscriber->sources;
		subscriber->sources = source->next;
		source_destroy(source);
	}
	pthread_cond_destroy(&subscriber->stop_asked);
	pthread_mutex_destroy(&subscriber->lock);
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
