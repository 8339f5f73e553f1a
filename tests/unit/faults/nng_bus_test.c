/* Each call that common/bus makes of nng fails once: whoever asked gets a status, and events are heard again. */
#include "tests/unit/faults/nng.h"
#include "tests/unit/rpc/nng_leaves.h"

#include "common/bus/bus.h"

#define CALLS_MOST 4 /* of a function, in one use */

struct ear {
	_Atomic int heard;
};

static void on_heard(void *arg, const struct logged_event *logged, const pb_Event *body)
{
	struct ear *ear = arg;

	ear->heard++;
}

static void publish(struct bus_publisher *publisher, uint64_t seq)
{
	struct arena *mem = arena_create();
	pb_Event body = {.event_id = seq, .which_body = EVENT_KIND_message_posted};
	struct logged_event logged = {.stream = STREAM_TEAM(1), .seq = seq, .kind = EVENT_KIND_message_posted};

	body.body.message_posted.has_message = true;
	body.body.message_posted.message.content = "hello";
	audience_key(logged.audience, "team", 1);
	ck_assert_int_eq(event_encode(mem, &body, &logged.payload, &logged.payload_length), STATUS_OK);
	bus_publish(publisher, "g1", &logged, 1);
	arena_destroy(mem);
}

/* A publisher takes a moment to leave: they do it beside each other, except where their last words are what fails. */
static struct leaving {
	struct place at;
	struct bus_publisher *publisher;
	pthread_t thread;
} leavings[128];
static size_t leaving_count;

static void *leave(void *arg)
{
	struct leaving *leaving = arg;

	bus_publisher_destroy(leaving->publisher);
	place_destroy(&leaving->at);
	return NULL;
}

static void leavings_join(void)
{
	for (size_t i = 0; i < leaving_count; i++)
		pthread_join(leavings[i].thread, NULL);
	leaving_count = 0;
}

static bool is_of_a_heartbeat(const char *function)
{
	return strncmp(function, "nng_msg_", strlen("nng_msg_")) == 0 || strcmp(function, "nng_sendmsg") == 0;
}

/* A publisher and one who listens, with the n-th call failing. False: it is not called so often. */
static bool use_events(const char *function, int n)
{
	struct place at = place_create();
	struct bus_publisher_options options = {.listen = at.address[0], .instance = "faults"};
	struct bus_publisher *publisher = NULL;
	struct bus_listener *listener = NULL;
	struct ear ear = {0};
	uint64_t seq = 0;

	if (is_of_a_heartbeat(function))
		leavings_join();
	arm(function, n);
	enum status st = bus_publisher_create(&options, &publisher);
	named(st, function, n, "publisher");
	if (st == STATUS_OK) {
		st = bus_listener_create(at.address[0], false, 0, on_heard, &ear, &listener);
		named(st, function, n, "listener");
	}
	if (st == STATUS_OK) {
		for (int i = 0; i < 10; i++) {
			publish(publisher, ++seq);
			pause_ms(1);
		}
	}
	bool failed = disarm();
	if (publisher == NULL)
		ck_assert_int_eq(bus_publisher_create(&options, &publisher), STATUS_OK);
	if (listener == NULL)
		ck_assert_int_eq(bus_listener_create(at.address[0], false, 0, on_heard, &ear, &listener), STATUS_OK);
	int64_t most = clock_mono_ms() + PATIENCE_MS;
	for (int before = ear.heard; ear.heard == before || !bus_listener_publishers_heard(listener, 1000);) {
		ck_assert_msg(clock_mono_ms() < most, "%s, call %d: nothing is heard", function, n);
		publish(publisher, ++seq);
		pause_ms(5);
	}
	bus_listener_destroy(listener);
	ck_assert_uint_lt(leaving_count, sizeof leavings / sizeof *leavings);
	struct leaving *leaving = &leavings[leaving_count++];
	leaving->at = at;
	leaving->publisher = publisher;
	ck_assert_int_eq(pthread_create(&leaving->thread, NULL, leave, leaving), 0);
	return failed;
}

START_TEST(whichever_call_of_the_bus_fails_there_is_a_status_and_events_are_heard_again)
{
	for (size_t i = 0; i < FUNCTIONS; i++) {
		int n = 1;
		while (n <= CALLS_MOST && use_events(functions[i], n))
			n++;
		if (is_of_the_bus(functions[i]))
			ck_assert_msg(n > 1, "%s never failed", functions[i]);
	}
	leavings_join();
}
END_TEST

START_TEST(the_table_has_every_function_that_is_called)
{
	table_holds(BUS_LIBRARY);
}
END_TEST

TESTS("faults nng bus", whichever_call_of_the_bus_fails_there_is_a_status_and_events_are_heard_again,
	the_table_has_every_function_that_is_called)
