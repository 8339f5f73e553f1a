/*
 * bus_bench - events a second from one publisher over ipc:// into the order of a follower, and how long they take. The log is in
 * memory. Every event has to be delivered exactly in order; what the bus loses is repaired. Prints one JSON line.
 *   bus_bench [events_per_s=50000, 0: flat out] [batch=16] [seconds=3] [drop_percent=0]
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/bus/bus.h"
#include "common/ops/ops.h"

#define STREAMS      64
#define SAMPLES_MOST 4000000

struct bench {
	_Atomic uint64_t heads[STREAMS + 1];
	uint64_t applied[STREAMS + 1]; /* the order thread's */
	_Atomic uint64_t delivered;
	_Atomic uint64_t wrong;
	_Atomic int followed;
	uint32_t *samples_us;
};

static void encode(struct arena *mem, uint64_t stream, uint64_t seq, struct logged_event *out)
{
	static char content[200];
	pb_Event body = {.event_id = (uint64_t)clock_mono_us(), .which_body = EVENT_KIND_message_posted};

	memset(content, 'x', sizeof content - 1);
	body.body.message_posted.has_message = true;
	body.body.message_posted.message.content = content;
	*out = (struct logged_event){.stream = STREAM_TEAM(stream), .seq = seq, .kind = EVENT_KIND_message_posted};
	audience_key(out->audience, "team", stream);
	event_encode(mem, &body, &out->payload, &out->payload_length);
}

static enum status bench_fetch(void *arg, struct arena *mem, struct stream s, uint64_t after, uint32_t limit, uint64_t expect_head,
	pb_FetchEventsReply *out)
{
	struct bench *b = arg;

	out->head = b->heads[s.id];
	out->events = ARENA_ARRAY(mem, limit, pb_LoggedEvent);
	for (uint64_t seq = after + 1; seq <= out->head && out->events_count < limit; seq++) {
		struct logged_event logged;
		encode(mem, s.id, seq, &logged);
		pb_LoggedEvent *row = &out->events[out->events_count++];
		*row = (pb_LoggedEvent){.rank = s.rank, .stream_id = s.id, .seq = seq, .kind = logged.kind};
		row->payload = pb_bytes_from(mem, logged.payload, logged.payload_length);
	}
	return STATUS_OK;
}

static enum status bench_heads(void *arg, struct arena *mem, const struct stream *streams, size_t count, pb_StreamHeadsReply *out)
{
	struct bench *b = arg;

	out->heads = ARENA_ARRAY(mem, count, pb_StreamHead);
	out->heads_count = (pb_size_t)count;
	for (size_t i = 0; i < count; i++)
		out->heads[i] = (pb_StreamHead){.rank = streams[i].rank, .stream_id = streams[i].id, .seq = b->heads[streams[i].id]};
	return STATUS_OK;
}

static void on_event(void *arg, struct bus_event *ev)
{
	struct bench *b = arg;
	const struct logged_event *logged = bus_event_logged(ev);

	b->wrong += logged->seq != b->applied[logged->stream.id] + 1;
	b->applied[logged->stream.id] = logged->seq;
	uint64_t n = b->delivered++;
	if (n < SAMPLES_MOST)
		b->samples_us[n] = (uint32_t)((uint64_t)clock_mono_us() - bus_event_body(ev)->event_id);
}

static void on_ephemeral(void *arg, struct bus_event *ev)
{
}

static void on_followed(void *arg, struct stream s, uint64_t applied, void *cookie)
{
	((struct bench *)arg)->followed++;
}

static void on_refetch(void *arg, struct stream s, uint64_t head)
{
	((struct bench *)arg)->wrong++;
}

static void on_generation(void *arg, const char *generation)
{
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	int64_t rate = argc > 1 ? atoi(argv[1]) : 50000;
	size_t batch = argc > 2 ? (size_t)atoi(argv[2]) : 16;
	int seconds = argc > 3 ? atoi(argv[3]) : 3;
	int drop_percent = argc > 4 ? atoi(argv[4]) : 0;
	char directory[] = "/tmp/guildhall-bench-XXXXXX";
	char address[128];
	struct bench *b = calloc(1, sizeof *b);
	struct bus_publisher *publisher = NULL;
	struct bus_order *order = NULL;
	struct arena *mem = arena_create();

	log_init("bus_bench", LOG_ERROR);
	b->samples_us = malloc(SAMPLES_MOST * sizeof *b->samples_us);
	if (mkdtemp(directory) == NULL || batch < 1)
		return 1;
	snprintf(address, sizeof address, "ipc://%s/pub", directory);
	struct bus_publisher_options out = {.listen = address, .instance = "bench"};
	struct bus_order_options in = {
		.publishers = address,
		.drop_percent = drop_percent,
		.callbacks = {on_event, on_ephemeral, on_followed, on_refetch, on_generation, b},
		.fetch = bench_fetch,
		.heads = bench_heads,
		.source = b,
	};
	if (bus_publisher_create(&out, &publisher) != STATUS_OK || bus_order_create(&in, &order) != STATUS_OK)
		return 1;
	for (uint64_t stream = 1; stream <= STREAMS; stream++)
		bus_order_follow(order, STREAM_TEAM(stream), 0, NULL);
	while (b->followed < STREAMS || !bus_order_publishers_heard(order, 1000))
		usleep(1000);

	struct logged_event *events = calloc(batch, sizeof *events);
	uint64_t published = 0;
	int64_t began = clock_mono_us(), until = began + (int64_t)seconds * 1000000;
	while (clock_mono_us() < until) {
		int64_t due = rate > 0 ? began + (int64_t)published * 1000000 / rate : 0;
		int64_t wait = due - clock_mono_us();
		if (wait > 0)
			usleep((useconds_t)wait);
		for (size_t i = 0; i < batch; i++) {
			uint64_t stream = 1 + (published + i) % STREAMS;
			encode(mem, stream, ++b->heads[stream], &events[i]);
		}
		bus_publish(publisher, "g1", events, batch);
		published += batch;
		arena_reset(mem);
	}
	double sent_s = (double)(clock_mono_us() - began) / 1e6;
	int64_t patience = clock_mono_ms() + 30000;
	while (b->delivered < published && clock_mono_ms() < patience)
		usleep(1000);
	double all_s = (double)(clock_mono_us() - began) / 1e6;
	size_t count = b->delivered < SAMPLES_MOST ? b->delivered : SAMPLES_MOST;
	qsort(b->samples_us, count, sizeof *b->samples_us, by_value);
	printf("{\"bench\":\"bus\",\"transport\":\"ipc\",\"batch\":%zu,\"published_per_s\":%.0f,\"delivered_per_s\":%.0f,\"caught_up_s\":%.3f,"
	       "\"p50_us\":%u,\"p99_us\":%u,\"lost\":%lld,\"wrong\":%llu,\"repairs\":%llu,\"frames_dropped\":%llu,\"cores\":%ld,\"version\":\"%s\"}\n",
		batch, (double)published / sent_s, (double)b->delivered / all_s, all_s - sent_s, count > 0 ? b->samples_us[count / 2] : 0,
		count > 0 ? b->samples_us[count * 99 / 100] : 0, (long long)(published - b->delivered), (unsigned long long)b->wrong,
		(unsigned long long)metrics.bus_repairs, (unsigned long long)metrics.bus_frames_dropped, sysconf(_SC_NPROCESSORS_ONLN),
		GUILDHALL_VERSION);
	bool fine = b->delivered == published && b->wrong == 0;
	bus_order_destroy(order);
	bus_publisher_destroy(publisher);
	unlink(address + strlen("ipc://"));
	rmdir(directory);
	return fine ? 0 : 1;
}
