#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/bus/bus.h"
#include "common/bus/frame.h"
#include "common/bus/subscriber.h"

#define TAKE_MOST 256
#define IDLE_MS   1000

struct bus_listener {
	struct frame_queue *queue;
	struct bus_subscriber *subscriber;
	void (*event)(void *arg, const struct logged_event *logged, const pb_Event *body);
	void *arg;
	_Atomic bool stopping;
	bool started;
	pthread_t thread;
};

static void frame_heard(struct bus_listener *listener, struct arena *mem, nng_msg *msg)
{
	struct frame frame;
	struct logged_event logged;
	pb_Event body;

	if (frame_read(nng_msg_body(msg), nng_msg_len(msg), &frame) != STATUS_OK) {
		log_warn("bus_frame_malformed", LOG_U64("size_bytes", nng_msg_len(msg)));
		return;
	}
	if (frame.kind != FRAME_BATCH)
		return;
	struct wire_reader r = wire_reader_on(frame.body, frame.body_length);
	while (frame_next_event(&r, &logged)) {
		if (event_decode(mem, logged.payload, logged.payload_length, &body) == STATUS_OK)
			listener->event(listener->arg, &logged, &body);
		arena_reset(mem);
	}
}

static void *listener_main(void *arg)
{
	struct bus_listener *listener = arg;
	struct arena *mem = arena_create();
	nng_msg *frames[TAKE_MOST];

	while (!atomic_load(&listener->stopping)) {
		size_t count = frame_queue_take(listener->queue, clock_mono_ms() + IDLE_MS, frames, TAKE_MOST);
		for (size_t i = 0; i < count; i++) {
			frame_heard(listener, mem, frames[i]);
			nng_msg_free(frames[i]);
		}
	}
	arena_destroy(mem);
	return NULL;
}

enum status bus_listener_create(const char *addresses, bool insecure, int drop_percent,
	void (*event)(void *arg, const struct logged_event *logged, const pb_Event *body), void *arg, struct bus_listener **out_listener)
{
	struct bus_listener *listener = calloc(1, sizeof *listener);
	enum status st = STATUS_INTERNAL;

	if (listener == NULL)
		return STATUS_INTERNAL;
	listener->event = event;
	listener->arg = arg;
	listener->queue = frame_queue_create();
	if (listener->queue != NULL)
		st = bus_subscriber_create(addresses, insecure, drop_percent, listener->queue, &listener->subscriber);
	if (st == STATUS_OK) {
		listener->started = pthread_create(&listener->thread, NULL, listener_main, listener) == 0;
		st = listener->started ? STATUS_OK : STATUS_INTERNAL;
	}
	if (st != STATUS_OK) {
		bus_listener_destroy(listener);
		return st;
	}
	*out_listener = listener;
	return STATUS_OK;
}

bool bus_listener_publishers_heard(struct bus_listener *listener, int within_ms)
{
	return bus_subscriber_heard(listener->subscriber, within_ms);
}

void bus_listener_destroy(struct bus_listener *listener)
{
	if (listener == NULL)
		return;
	bus_subscriber_destroy(listener->subscriber);
	if (listener->started) {
		atomic_store(&listener->stopping, true);
		frame_queue_wake(listener->queue);
		pthread_join(listener->thread, NULL);
	}
	frame_queue_destroy(listener->queue);
	free(listener);
}
