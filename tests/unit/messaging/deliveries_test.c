#include "common/net/fetch.h"
#include "services/messaging/deliveries.h"
#include "tests/unit/messaging/fixture.h"
#include "tests/unit/net/receiver.h"

/* ---- two copies of those who deliver, and one who answers */

struct queue {
	struct fixture fx;
	struct receiver receiver;
	struct deliveries *copies[2];
	uint64_t channel;
};

static void queue_begin(struct queue *q, const char *answer)
{
	pb_WebhookReply hook;

	fixture_create(&q->fx);
	q->receiver = (struct receiver){.answer = answer};
	receiver_start(&q->receiver);
	ck_assert_int_eq(fetch_init(), STATUS_OK);
	q->fx.config.webhook_allow = "127.0.0.1";
	q->fx.config.webhook_threads = 3;
	q->fx.config.webhook_timeout_ms = 10000;
	q->fx.config.webhook_retry_ms = 10;
	q->channel = made_channel(&q->fx, false);
	ck_assert_int_eq(DO(&q->fx, true, create_webhook, pb_CreateWebhookRequest, &hook, .channel_id = q->channel, .kind = WEBHOOK_OUTGOING,
				 .name = (char *)"w", .trigger = (char *)"ask",
				 .url = arena_printf(q->fx.mem, "http://127.0.0.1:%d/", q->receiver.port)),
		STATUS_OK);
}

static void say(struct queue *q, int times)
{
	pb_RunCommandReply reply;

	for (int i = 0; i < times; i++)
		ck_assert_int_eq(DO(&q->fx, true, run_command, pb_RunCommandRequest, &reply, .channel_id = q->channel, .word = (char *)"ask",
					 .input = (char *)"this"),
			STATUS_OK);
}

static void queue_start(struct queue *q)
{
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(deliveries_start(&q->fx.service, &q->copies[i]), STATUS_OK);
}

static void queue_end(struct queue *q)
{
	for (int i = 0; i < 2; i++) {
		deliveries_stop(q->copies[i]);
		deliveries_destroy(q->copies[i]);
	}
	receiver_stop(&q->receiver);
	fetch_finish();
	fixture_destroy(&q->fx);
}

static void await_state(struct queue *q, int state, int count)
{
	int64_t until = clock_mono_ms() + PATIENCE_MS;
	const char *sql = arena_printf(q->fx.mem, "SELECT count(*) FROM messaging.webhook_deliveries WHERE state = %d", state);

	while (number(&q->fx, sql) < count && clock_mono_ms() < until)
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	ck_assert_int_eq(number(&q->fx, sql), count);
}

START_TEST(what_waits_is_asked_once_and_posted_once_by_whichever_copy_is_free)
{
	struct queue *q = calloc(1, sizeof *q);

	queue_begin(q, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\ndone");
	say(q, 12);
	queue_start(q);
	await_state(q, 2, 12);
	ck_assert_int_eq(q->receiver.asked, 12);
	ck_assert_int_eq(number(&q->fx, "SELECT count(*) FROM messaging.messages WHERE content = 'done'"), 12);
	ck_assert_int_eq(number(&q->fx, "SELECT count(DISTINCT message_id) FROM messaging.webhook_deliveries"), 12);
	ck_assert_int_eq(number(&q->fx, "SELECT count(*) FROM messaging.webhook_deliveries WHERE tries <> 1 OR input <> ''"), 0);
	queue_end(q);
	free(q);
}
END_TEST

START_TEST(what_fails_is_given_up_after_so_many_tries)
{
	struct queue *q = calloc(1, sizeof *q);

	queue_begin(q, "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
	say(q, 1);
	pg_exec(q->fx.url, "UPDATE messaging.webhook_deliveries SET tries = 6"); /* of eight */
	queue_start(q);
	await_state(q, 3, 1);
	ck_assert_int_eq(q->receiver.asked, 2);
	ck_assert_int_eq(number(&q->fx, "SELECT count(*) FROM messaging.webhook_deliveries WHERE why = 'status_500' AND tries = 8"), 1);
	queue_end(q);
	free(q);
}
END_TEST

START_TEST(what_a_dead_copy_was_asked_for_is_taken_when_its_lease_ends_and_its_post_is_not_doubled)
{
	struct queue *q = calloc(1, sizeof *q);

	queue_begin(q, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nagain");
	say(q, 1);
	queue_start(q);
	await_state(q, 2, 1);
	/* As if the copy had died between its post and this mark. */
	pg_exec(q->fx.url, "UPDATE messaging.webhook_deliveries SET state = 1, message_id = NULL, ended_at = NULL, running_until = now() - interval '1 s'");
	await_state(q, 2, 1);
	ck_assert_int_eq(q->receiver.asked, 2);
	ck_assert_int_eq(number(&q->fx, "SELECT count(*) FROM messaging.messages WHERE content = 'again'"), 1);
	ck_assert_int_eq(number(&q->fx, "SELECT count(*) FROM messaging.webhook_deliveries d JOIN messaging.messages m ON m.id = d.message_id"), 1);
	queue_end(q);
	free(q);
}
END_TEST

START_TEST(who_stops_waits_for_no_receiver_and_leaves_the_delivery_to_others)
{
	struct queue *q = calloc(1, sizeof *q);
	int64_t until = clock_mono_ms() + PATIENCE_MS;

	queue_begin(q, NULL); /* never answers */
	q->fx.config.webhook_timeout_ms = 30000;
	say(q, 1);
	queue_start(q);
	while (q->receiver.asked == 0 && clock_mono_ms() < until)
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	ck_assert_int_eq(q->receiver.asked, 1);
	for (int i = 0; i < 2; i++)
		deliveries_stop(q->copies[i]);
	ck_assert_int_eq(number(&q->fx,
				 "SELECT count(*) FROM messaging.webhook_deliveries WHERE state = 1 AND why = 'stopped' AND running_until IS NULL"),
		1);
	q->receiver.answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nlater";
	for (int i = 0; i < 2; i++)
		deliveries_destroy(q->copies[i]);
	queue_start(q);
	await_state(q, 2, 1);
	queue_end(q);
	free(q);
}
END_TEST

TESTS("deliveries", who_stops_waits_for_no_receiver_and_leaves_the_delivery_to_others, what_waits_is_asked_once_and_posted_once_by_whichever_copy_is_free, what_fails_is_given_up_after_so_many_tries,
	what_a_dead_copy_was_asked_for_is_taken_when_its_lease_ends_and_its_post_is_not_doubled)
