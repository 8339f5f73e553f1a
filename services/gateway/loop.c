/*
 * loop - see loop.h.
 */
#include "services/gateway/loop.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/ops/ops.h"
#include "services/gateway/client.h"
#include "services/gateway/memory.h"

#define IDLE_MS         1000
#define APPENDS_A_TURN  16384 /* then the queues are written */
#define WRITE_BUDGET_US 2000  /* of large fan-outs a turn, so that small ones get theirs */
#define PACE_SOCKETS    128   /* that are due: fewer are written at once whatever was before */
#define PACE_MOST_US    4000
#define PACE_ALONE      4 /* times as long as the pause: what comes later than that comes alone */
#define DRAIN_STEP_MS   50
#define CLOSE_GRACE_MS  2500 /* for the last answers to our close frames */

enum mail_kind { MAIL_EVENT, MAIL_EPHEMERAL, MAIL_FOLLOWED, MAIL_REFETCH, MAIL_GENERATION, MAIL_ANSWER };

struct mail {
	enum mail_kind kind;
	enum status status;
	uint64_t number; /* of the question or the follow */
	struct stream stream;
	uint64_t applied;
	struct bus_event *ev;
	struct arena *mem;
	const void *reply;
	const char *why, *detail;
};

struct mailbox {
	struct mail *items;
	size_t count, capacity;
};

struct loop {
	struct loop_options options;
	struct hub hub;
	struct sockets *sockets;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock;
	struct mailbox in;  /* under the lock */
	struct mailbox out; /* being worked on */
	_Atomic bool stopping, draining, drained;
	struct timer drain;
	int64_t drain_until_ms;
	int64_t written_at_us, write_took_us; /* the last time that many sockets were written */
	int64_t writing_us;                   /* of a round that is not through yet */
	int64_t due_since_us;                 /* that many are due again; 0: they are not */
};

/* ---- mail */

static void put(struct loop *loop, struct mail mail)
{
	pthread_mutex_lock(&loop->lock);
	struct mailbox *in = &loop->in;
	if (in->count == in->capacity) {
		in->capacity = in->capacity == 0 ? 64 : in->capacity * 2;
		in->items = memory_resize(in->items, in->capacity * sizeof *in->items);
	}
	bool first = in->count == 0;
	in->items[in->count++] = mail;
	pthread_mutex_unlock(&loop->lock);
	if (first) /* one wake a turn */
		sockets_wake(loop->sockets);
}

void loop_event(struct loop *loop, struct bus_event *ev)
{
	put(loop, (struct mail){.kind = MAIL_EVENT, .ev = bus_event_ref(ev)});
}

void loop_ephemeral(struct loop *loop, struct bus_event *ev)
{
	put(loop, (struct mail){.kind = MAIL_EPHEMERAL, .ev = bus_event_ref(ev)});
}

void loop_followed(struct loop *loop, struct stream s, uint64_t applied, uint64_t follow)
{
	put(loop, (struct mail){.kind = MAIL_FOLLOWED, .stream = s, .applied = applied, .number = follow});
}

void loop_refetch(struct loop *loop, struct stream s)
{
	put(loop, (struct mail){.kind = MAIL_REFETCH, .stream = s});
}

void loop_generation(struct loop *loop)
{
	put(loop, (struct mail){.kind = MAIL_GENERATION});
}

void loop_answer(struct loop *loop, uint64_t question, enum status st, struct arena *mem, const void *reply,
	const char *why, const char *detail)
{
	put(loop, (struct mail){.kind = MAIL_ANSWER,
			  .status = st,
			  .number = question,
			  .mem = mem,
			  .reply = reply,
			  .why = why,
			  .detail = detail});
}

static void open_mail(struct loop *loop, struct mail *mail)
{
	switch (mail->kind) {
	case MAIL_EVENT:
		hub_event(&loop->hub, mail->ev);
		bus_event_unref(mail->ev);
		return;
	case MAIL_EPHEMERAL:
		hub_ephemeral(&loop->hub, mail->ev);
		bus_event_unref(mail->ev);
		return;
	case MAIL_FOLLOWED:
		hub_followed(&loop->hub, mail->stream, mail->applied, mail->number);
		return;
	case MAIL_REFETCH:
		hub_refetch(&loop->hub, mail->stream);
		return;
	case MAIL_GENERATION:
		hub_generation_changed(&loop->hub);
		return;
	case MAIL_ANSWER:
		hub_answer(&loop->hub, mail->number, mail->status, mail->reply, mail->why, mail->detail);
		arena_destroy(mail->mem);
		return;
	}
}

static void open_mailbox(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	struct mailbox full = loop->in;
	loop->in = loop->out;
	pthread_mutex_unlock(&loop->lock);
	for (size_t i = 0; i < full.count; i++)
		open_mail(loop, &full.items[i]);
	full.count = 0;
	loop->out = full;
}

/* ---- draining */

static void drain_done(struct loop *loop)
{
	atomic_store(&loop->drained, true);
}

/* Sends away as many as it takes to be through with all by the end. */
static void drain_step(struct timer *timer, int64_t now_mono_ms)
{
	struct loop *loop = memory_holder(timer, struct loop, drain);
	struct hub *hub = &loop->hub;
	int64_t left_ms = loop->drain_until_ms - now_mono_ms;
	size_t there = 0;

	for (struct client *client = hub->clients; client != NULL; client = client->next)
		there += client->state < CLIENT_CLOSING;
	if (there == 0 && (hub->client_count == 0 || now_mono_ms >= loop->drain_until_ms + CLOSE_GRACE_MS)) {
		drain_done(loop);
		return;
	}
	size_t steps = left_ms > DRAIN_STEP_MS ? (size_t)(left_ms / DRAIN_STEP_MS) : 1;
	size_t batch = (there + steps - 1) / steps;
	struct client *next = NULL;
	for (struct client *client = hub->clients; client != NULL && batch > 0; client = next) {
		next = client->next;
		if (client->state >= CLIENT_CLOSING)
			continue;
		if (client->dialect == NULL) {
			client->close_reason = CLOSE_LEAVING;
			client_end(client);
		} else {
			client_send_away(client, CLOSE_LEAVING, loop->options.drain_ms);
		}
		batch--;
	}
	wheel_start(&hub->wheel, timer, now_mono_ms + DRAIN_STEP_MS);
}

static void drain_begin(struct loop *loop)
{
	struct hub *hub = &loop->hub;

	hub->draining = true;
	sockets_stop_accepting(loop->sockets);
	loop->drain_until_ms = hub->now_mono_ms + loop->options.drain_ms;
	drain_step(&loop->drain, hub->now_mono_ms);
}

/* ---- the thread */

/*
 * How long to gather before the queues are written. The cost is the call per socket, not the frame: under a
 * stream of large fan-outs a pause as long as the last round of writing took lets the next events into the
 * same calls (docs/performance.md, "What was learned"). A fan-out that comes alone, or is small, does not wait.
 */
static int64_t pause_us(struct loop *loop)
{
	const struct hub *hub = &loop->hub;

	if (hub->urgent.count + hub->bulk.count <= PACE_SOCKETS)
		return 0;
	int64_t now_us = clock_mono_us();
	if (loop->due_since_us == 0)
		loop->due_since_us = now_us;
	int64_t pause = loop->write_took_us < PACE_MOST_US ? loop->write_took_us : PACE_MOST_US;
	if (loop->due_since_us - loop->written_at_us > PACE_ALONE * pause)
		return 0;
	int64_t left = loop->due_since_us + pause - now_us;
	return left > 0 ? left : 0;
}

static bool write_queues(struct loop *loop)
{
	const struct hub *hub = &loop->hub;
	/* The rest of a round belongs to it however short it is. */
	bool many = hub->urgent.count + hub->bulk.count > PACE_SOCKETS || loop->writing_us > 0;
	int64_t began_us = many ? clock_mono_us() : 0;
	bool more = sockets_write(loop->sockets, WRITE_BUDGET_US);

	loop->due_since_us = 0;
	if (many) {
		loop->written_at_us = clock_mono_us();
		loop->writing_us += loop->written_at_us - began_us;
		/* In the middle of a large fan-out there is nothing to gather for. */
		loop->write_took_us = more ? 0 : loop->writing_us;
	}
	if (!more)
		loop->writing_us = 0;
	return more;
}

static void *run(void *arg)
{
	struct loop *loop = arg;
	struct hub *hub = &loop->hub;
	int64_t wait_us = 0, began_us = 0; /* this turn */
	char name[16];

	snprintf(name, sizeof name, "loop-%zu", loop->options.number);
	pthread_setname_np(pthread_self(), name);
	while (!atomic_load(&loop->stopping)) {
		if (began_us != 0)
			metric_observe_us(&metrics.ws_loop_lag_seconds, clock_mono_us() - began_us);
		began_us = sockets_wait(loop->sockets, wait_us);
		bool drain = atomic_load(
			&loop->draining); /* before the mailbox: what was put there earlier comes first */
		open_mailbox(loop);
		wheel_run(&hub->wheel, hub->now_mono_ms);
		bool more = hub_run(hub, APPENDS_A_TURN);
		if (drain && !hub->draining && !more)
			drain_begin(loop);
		hub_flush_questions(hub);
		wait_us = pause_us(loop);
		if (wait_us > 0 && !more)
			continue;
		more = write_queues(loop) || more;
		wait_us = more ? 0 : 1000 * (int64_t)wheel_wait_ms(&hub->wheel, clock_mono_ms(), IDLE_MS);
	}
	return NULL;
}

enum status loop_create(const struct loop_options *options, struct loop **out_loop)
{
	struct loop *loop = memory_new(sizeof *loop);

	loop->options = *options;
	loop->drain.fire = drain_step;
	pthread_mutex_init(&loop->lock, NULL);
	hub_init(&loop->hub, &options->hub, clock_mono_ms(), clock_wall_ms());
	enum status st = sockets_create(&options->sockets, &loop->hub, &loop->sockets);
	if (st != STATUS_OK) {
		loop_destroy(loop);
		return st;
	}
	*out_loop = loop;
	return STATUS_OK;
}

enum status loop_start(struct loop *loop)
{
	if (pthread_create(&loop->thread, NULL, run, loop) != 0)
		return STATUS_INTERNAL;
	loop->started = true;
	return STATUS_OK;
}

uint16_t loop_port(const struct loop *loop)
{
	return sockets_port(loop->sockets);
}

void loop_drain(struct loop *loop)
{
	atomic_store(&loop->draining, true);
	sockets_wake(loop->sockets);
}

bool loop_drained(struct loop *loop)
{
	return atomic_load(&loop->drained);
}

void loop_stop(struct loop *loop)
{
	if (!loop->started)
		return;
	atomic_store(&loop->stopping, true);
	sockets_wake(loop->sockets);
	pthread_join(loop->thread, NULL);
	loop->started = false;
}

static void mailbox_finish(struct mailbox *box)
{
	for (size_t i = 0; i < box->count; i++) {
		if (box->items[i].ev != NULL)
			bus_event_unref(box->items[i].ev);
		arena_destroy(box->items[i].mem);
	}
	free(box->items);
}

void loop_destroy(struct loop *loop)
{
	if (loop == NULL)
		return;
	sockets_destroy(loop->sockets);
	hub_finish(&loop->hub);
	mailbox_finish(&loop->in);
	mailbox_finish(&loop->out);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}
