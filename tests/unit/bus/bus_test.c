/* Publisher, order and listener with their threads and sockets, over ipc://. */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/bus/bus.h"
#include "tests/unit/main.h"

#define PATIENCE_MS 20000

/* A log in memory that anybody may ask, and what the owner of the order was told. */
struct world {
	char directory[64];
	char address[2][96];
	pthread_mutex_t lock;
	uint64_t head;
	_Atomic uint64_t applied;
	_Atomic int out_of_order, ephemerals, heard, fetches;
	const char *_Atomic generation; /* what the log says */
	_Atomic int generations;        /* told of */
	_Atomic int watermarks, wholes, whole_at_once;
	sem_t followed;
	struct bus_publisher *publishers[2];
	struct bus_order *order;
};

static void encode(struct arena *mem, uint64_t seq, struct logged_event *out)
{
	pb_Event body = {.event_id = seq, .which_body = EVENT_KIND_message_posted};

	body.body.message_posted.has_message = true;
	body.body.message_posted.message.content = "hello";
	*out = (struct logged_event){.stream = STREAM_TEAM(1), .seq = seq, .kind = EVENT_KIND_message_posted};
	audience_key(out->audience, "team", 1);
	ck_assert_int_eq(event_encode(mem, &body, &out->payload, &out->payload_length), STATUS_OK);
}

static enum status world_fetch(void *arg, struct arena *mem, struct stream s, uint64_t after, uint32_t limit, uint64_t expect_head,
	pb_FetchEventsReply *out)
{
	struct world *w = arg;

	w->fetches++;
	pthread_mutex_lock(&w->lock);
	out->head = w->head;
	pthread_mutex_unlock(&w->lock);
	out->events = ARENA_ARRAY(mem, limit, pb_LoggedEvent);
	for (uint64_t seq = after + 1; seq <= out->head && out->events_count < limit; seq++) {
		struct logged_event logged;
		encode(mem, seq, &logged);
		pb_LoggedEvent *row = &out->events[out->events_count++];
		*row = (pb_LoggedEvent){.rank = s.rank, .stream_id = s.id, .seq = seq, .kind = logged.kind};
		row->payload = pb_bytes_from(mem, logged.payload, logged.payload_length);
	}
	out->generation = arena_strdup(mem, atomic_load(&w->generation));
	return STATUS_OK;
}

static enum status world_heads(void *arg, struct arena *mem, const struct stream *streams, size_t count, pb_StreamHeadsReply *out)
{
	struct world *w = arg;

	out->heads = ARENA_ARRAY(mem, count, pb_StreamHead);
	out->heads_count = (pb_size_t)count;
	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < count; i++)
		out->heads[i] = (pb_StreamHead){.rank = streams[i].rank, .stream_id = streams[i].id, .seq = w->head};
	pthread_mutex_unlock(&w->lock);
	out->generation = arena_strdup(mem, atomic_load(&w->generation));
	return STATUS_OK;
}

static void on_event(void *arg, struct bus_event *ev)
{
	struct world *w = arg;

	w->out_of_order += bus_event_logged(ev)->seq != w->applied + 1 || bus_event_body(ev)->event_id != w->applied + 1;
	w->applied = bus_event_logged(ev)->seq;
}

static void on_ephemeral(void *arg, struct bus_event *ev)
{
	struct world *w = arg;

	w->ephemerals += bus_event_ephemeral(ev)->targets_count == 1;
}

static void on_followed(void *arg, struct stream s, uint64_t applied, void *cookie)
{
	struct world *w = arg;

	w->applied = applied;
	sem_post(&w->followed);
}

static void on_refetch(void *arg, struct stream s, uint64_t head)
{
	struct world *w = arg;

	w->out_of_order++;
}

static void on_generation(void *arg, const char *generation)
{
	struct world *w = arg;

	w->generations++;
}

static void on_heard(void *arg, const struct logged_event *logged, const pb_Event *body)
{
	struct world *w = arg;

	w->heard += body->event_id == logged->seq;
}

/* A log in which nothing moves. The first question fails. */
static bool world_watermark(void *arg, struct arena *mem, bool whole, const char **out_generation,
	struct logged_event **out_heads, size_t *out_count)
{
	struct world *w = arg;

	w->wholes += whole;
	if (w->watermarks++ == 0) {
		w->whole_at_once = whole;
		return false;
	}
	*out_generation = atomic_load(&w->generation);
	return true;
}

static void world_create(struct world *w, int publishers)
{
	memset(w, 0, sizeof *w);
	w->generation = "g1";
	pthread_mutex_init(&w->lock, NULL);
	sem_init(&w->followed, 0, 0);
	snprintf(w->directory, sizeof w->directory, "/tmp/guildhall-bus-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(w->directory));
	for (int i = 0; i < publishers; i++) {
		snprintf(w->address[i], sizeof w->address[i], "ipc://%s/%d", w->directory, i);
		struct bus_publisher_options options = {
			.listen = w->address[i], .instance = "test", .watermark = i == 0 ? world_watermark : NULL, .arg = w};
		ck_assert_int_eq(bus_publisher_create(&options, &w->publishers[i]), STATUS_OK);
	}
}

static void world_order(struct world *w, int drop_percent)
{
	char both[256];
	struct bus_order_options options = {
		.publishers = both,
		.drop_percent = drop_percent,
		.callbacks = {on_event, on_ephemeral, on_followed, on_refetch, on_generation, w},
		.fetch = world_fetch,
		.heads = world_heads,
		.source = w,
	};

	snprintf(both, sizeof both, "%s,%s", w->address[0], w->address[1]);
	ck_assert_int_eq(bus_order_create(&options, &w->order), STATUS_OK);
}

static void world_destroy(struct world *w)
{
	bus_order_destroy(w->order);
	for (int i = 0; i < 2; i++) {
		bus_publisher_destroy(w->publishers[i]);
		unlink(w->address[i] + strlen("ipc://"));
	}
	rmdir(w->directory);
}

static void commit_and_publish(struct world *w, int publisher, size_t count)
{
	struct arena *mem = arena_create();
	struct logged_event *events = ARENA_ARRAY(mem, count, struct logged_event);

	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < count; i++)
		encode(mem, ++w->head, &events[i]);
	pthread_mutex_unlock(&w->lock);
	bus_publish(w->publishers[publisher], "g1", events, count);
	arena_destroy(mem);
}

static void wait_for(struct world *w, bool (*fine)(struct world *w))
{
	int64_t most = clock_mono_ms() + PATIENCE_MS;

	while (!fine(w)) {
		ck_assert_int_lt(clock_mono_ms(), most);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL); /* a busy machine starves who only yields */
	}
}

static bool all_applied(struct world *w)
{
	return w->applied == w->head;
}

static bool all_heard(struct world *w)
{
	return bus_order_publishers_heard(w->order, 1000);
}

START_TEST(events_of_two_publishers_arrive_in_the_order_of_their_commits)
{
	struct world w;
	world_create(&w, 2);
	world_order(&w, 0);
	wait_for(&w, all_heard);
	bus_order_follow(w.order, STREAM_TEAM(1), 0, NULL);
	sem_wait(&w.followed);

	for (int i = 0; i < 2000; i++)
		commit_and_publish(&w, i % 2, 1 + (size_t)i % 5);
	wait_for(&w, all_applied);

	char generation[96];
	bus_order_generation(w.order, generation);
	ck_assert_str_eq(generation, "g1");
	ck_assert_int_eq(w.out_of_order, 0);
	ck_assert_int_eq(w.generations, 0);
	ck_assert_uint_eq(w.applied, 6000);
	world_destroy(&w);
}
END_TEST

START_TEST(a_lossy_bus_is_repaired_from_the_log)
{
	struct world w;
	world_create(&w, 2);
	world_order(&w, /* drop_percent= */ 40);
	bus_order_follow(w.order, STREAM_TEAM(1), 0, NULL);
	sem_wait(&w.followed);

	for (int i = 0; i < 2000; i++)
		commit_and_publish(&w, i % 2, 1);
	wait_for(&w, all_applied);
	ck_assert_int_eq(w.out_of_order, 0);
	ck_assert_int_eq(w.generations, 0);
	ck_assert_int_gt(w.fetches, 0);
	world_destroy(&w);
}
END_TEST

START_TEST(a_publisher_that_is_missing_is_not_heard)
{
	struct world w;
	world_create(&w, 1);
	snprintf(w.address[1], sizeof w.address[1], "ipc://%s/nobody", w.directory);
	world_order(&w, 0);

	bus_order_follow(w.order, STREAM_TEAM(1), 0, NULL);
	sem_wait(&w.followed);
	commit_and_publish(&w, 0, 1);
	wait_for(&w, all_applied);
	ck_assert(!bus_order_publishers_heard(w.order, 1000));
	world_destroy(&w);
}
END_TEST

static bool generation_known(struct world *w)
{
	char generation[96];

	bus_order_generation(w->order, generation);
	return strcmp(generation, atomic_load(&w->generation)) == 0;
}

START_TEST(another_generation_is_heard_of_though_nobody_commits)
{
	struct world w;
	world_create(&w, 2);
	world_order(&w, 0);
	bus_order_follow(w.order, STREAM_TEAM(1), 0, NULL);
	sem_wait(&w.followed);
	wait_for(&w, generation_known);
	ck_assert_int_eq(w.generations, 0); /* the first one */

	atomic_store(&w.generation, "g2");
	wait_for(&w, generation_known);
	ck_assert_int_eq(w.generations, 1);
	world_destroy(&w);
}
END_TEST

static bool watermarked(struct world *w)
{
	return w->watermarks >= 6;
}

START_TEST(every_fourth_watermark_that_is_answered_reads_the_whole_window)
{
	struct world w;
	world_create(&w, 1);

	/* The first is not answered, so the second is whole, and then the sixth. */
	wait_for(&w, watermarked);
	ck_assert_int_eq(w.whole_at_once, 1);
	ck_assert_int_eq(w.wholes, 3);
	world_destroy(&w);
}
END_TEST

static bool ephemeral_came(struct world *w)
{
	struct logged_event target = {.stream = STREAM_TEAM(1)};
	pb_Event body = {.which_body = EVENT_KIND_typing_changed};
	const uint8_t *payload = NULL;
	size_t length = 0;
	struct arena *mem = arena_create();

	event_encode(mem, &body, &payload, &length);
	bus_publish_ephemeral(w->publishers[0], &target, 1, EVENT_KIND_typing_changed, 1, payload, length);
	arena_destroy(mem);
	return w->ephemerals > 0;
}

START_TEST(ephemeral_events_pass_through)
{
	struct world w;
	world_create(&w, 2);
	world_order(&w, 0);

	wait_for(&w, ephemeral_came);
	world_destroy(&w);
}
END_TEST

static bool something_heard(struct world *w)
{
	commit_and_publish(w, 0, 3);
	return w->heard >= 3;
}

START_TEST(a_listener_hears_events_without_following)
{
	struct world w;
	struct bus_listener *listener = NULL;
	world_create(&w, 1);

	ck_assert_int_eq(bus_listener_create(w.address[0], false, 0, on_heard, &w, &listener), STATUS_OK);
	wait_for(&w, something_heard);
	ck_assert(bus_listener_publishers_heard(listener, 1000));
	bus_listener_destroy(listener);
	world_destroy(&w);
}
END_TEST

START_TEST(an_empty_address_makes_no_publisher_and_publishing_to_none_is_nothing)
{
	struct bus_publisher_options options = {.listen = "", .instance = "test"};
	struct bus_publisher *p = NULL;

	ck_assert_int_eq(bus_publisher_create(&options, &p), STATUS_FIELD_INVALID);
	bus_publish(NULL, "g1", NULL, 0);
	bus_publisher_destroy(NULL);
}
END_TEST

TESTS("bus", events_of_two_publishers_arrive_in_the_order_of_their_commits, a_lossy_bus_is_repaired_from_the_log,
	a_publisher_that_is_missing_is_not_heard, ephemeral_events_pass_through, a_listener_hears_events_without_following,
	another_generation_is_heard_of_though_nobody_commits, every_fourth_watermark_that_is_answered_reads_the_whole_window,
	an_empty_address_makes_no_publisher_and_publishing_to_none_is_nothing)
