/*
 * A log, publishers and the order of events by hand: time is a variable, frames come when the test says so, and what the core
 * asks is answered when the test says so.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bus/bus.h"
#include "common/bus/frame.h"
#include "common/bus/order_core.h"
#include "tests/unit/main.h"

#define STREAMS_MOST   8
#define EVENTS_MOST    4096
#define QUESTIONS_MOST 4096
#define SEEN_MOST      8192

struct asked {
	bool of_heads, answered;
	uint64_t ticket;
	struct stream stream; /* fetch */
	uint64_t after, expect_head;
	uint32_t limit;
	struct stream streams[STREAMS_MOST]; /* heads */
	size_t count;
};

struct fixture {
	struct arena *mem;
	struct order_core *core;
	int64_t now;
	/* the log: heads of the streams with ids 1..; every event's payload says its stream and seq */
	uint64_t heads[STREAMS_MOST + 1];
	uint64_t gone_to[STREAMS_MOST + 1]; /* rows up to here were removed */
	const char *generation;
	/* what the core asked */
	struct asked questions[QUESTIONS_MOST];
	size_t question_count;
	/* what the owner was told */
	uint64_t applied[STREAMS_MOST + 1]; /* checked against every event */
	size_t events, ephemerals, followeds, refetches, generations;
	uint64_t refetched_to;
	char told_generation[FRAME_GENERATION_SIZE];
};

static inline struct stream team(uint64_t id)
{
	return STREAM_TEAM(id);
}

static inline void on_event(void *arg, struct bus_event *ev)
{
	struct fixture *fx = arg;
	const struct logged_event *logged = bus_event_logged(ev);

	ck_assert_uint_le(logged->stream.id, STREAMS_MOST);
	ck_assert_uint_eq(logged->seq, fx->applied[logged->stream.id] + 1);
	ck_assert_ptr_nonnull(bus_event_body(ev));
	ck_assert_uint_eq(bus_event_body(ev)->event_id, logged->stream.id * 1000000 + logged->seq);
	fx->applied[logged->stream.id] = logged->seq;
	fx->events++;
}

static inline void on_ephemeral(void *arg, struct bus_event *ev)
{
	struct fixture *fx = arg;

	ck_assert_ptr_nonnull(bus_event_ephemeral(ev));
	fx->ephemerals++;
}

static inline void on_followed(void *arg, struct stream s, uint64_t applied, void *cookie)
{
	struct fixture *fx = arg;

	fx->applied[s.id] = applied;
	fx->followeds++;
}

static inline void on_refetch(void *arg, struct stream s, uint64_t head)
{
	struct fixture *fx = arg;

	ck_assert_uint_gt(head, fx->applied[s.id]);
	fx->applied[s.id] = head;
	fx->refetches++;
	fx->refetched_to = head;
}

static inline void on_generation(void *arg, const char *generation)
{
	struct fixture *fx = arg;

	fx->generations++;
	snprintf(fx->told_generation, sizeof fx->told_generation, "%s", generation);
}

static inline struct asked *question_add(struct fixture *fx)
{
	ck_assert_uint_lt(fx->question_count, QUESTIONS_MOST);
	struct asked *q = &fx->questions[fx->question_count++];
	memset(q, 0, sizeof *q);
	return q;
}

static inline void on_fetch(void *arg, uint64_t ticket, struct stream s, uint64_t after, uint32_t limit, uint64_t expect_head)
{
	struct asked *q = question_add(arg);

	q->ticket = ticket;
	q->stream = s;
	q->after = after;
	q->limit = limit;
	q->expect_head = expect_head;
}

static inline void on_heads(void *arg, uint64_t ticket, const struct stream *streams, size_t count)
{
	struct asked *q = question_add(arg);

	ck_assert_uint_le(count, STREAMS_MOST);
	q->of_heads = true;
	q->ticket = ticket;
	q->count = count;
	memcpy(q->streams, streams, count * sizeof *streams);
}

static inline struct fixture *fixture_create(size_t stream_buffer_bytes, size_t total_buffer_bytes)
{
	struct fixture *fx = calloc(1, sizeof *fx);
	struct order_core_options options = {
		.callbacks = {on_event, on_ephemeral, on_followed, on_refetch, on_generation, fx},
		.fetch = on_fetch,
		.heads = on_heads,
		.arg = fx,
		.stream_buffer_bytes = stream_buffer_bytes,
		.total_buffer_bytes = total_buffer_bytes,
		.seed = 12345,
	};

	fx->mem = arena_create();
	fx->now = 1000000;
	fx->generation = "g1";
	fx->core = order_core_create(&options);
	return fx;
}

static inline void fixture_destroy(struct fixture *fx)
{
	order_core_destroy(fx->core);
	arena_destroy(fx->mem);
	free(fx);
}

static inline struct logged_event event_at(struct fixture *fx, uint64_t stream, uint64_t seq)
{
	struct logged_event logged = {.stream = team(stream), .seq = seq, .kind = EVENT_KIND_message_posted, .at_ms = 5, .actor_id = 6};
	pb_Event body = {.event_id = stream * 1000000 + seq, .which_body = EVENT_KIND_message_posted};

	body.body.message_posted.has_message = true;
	body.body.message_posted.message.content = "hello";
	audience_key(logged.audience, "team", stream);
	ck_assert_int_eq(event_encode(fx->mem, &body, &logged.payload, &logged.payload_length), STATUS_OK);
	return logged;
}

/* Commits an event: it is in the log from now on. */
static inline struct logged_event commit(struct fixture *fx, uint64_t stream)
{
	return event_at(fx, stream, ++fx->heads[stream]);
}

/* ---- frames */

struct sent {
	uint8_t *bytes;
	size_t length;
};
struct sent_list {
	struct sent frames[64];
	size_t count;
};

static inline void keep_frame(void *arg, const uint8_t *bytes, size_t length)
{
	struct sent_list *list = arg;

	ck_assert_uint_lt(list->count, 64);
	list->frames[list->count].bytes = malloc(length);
	memcpy(list->frames[list->count].bytes, bytes, length);
	list->frames[list->count++].length = length;
}

static inline void frame_arrives(struct fixture *fx, const struct sent *sent)
{
	struct frame frame;

	ck_assert_int_eq(frame_read(sent->bytes, sent->length, &frame), STATUS_OK);
	order_core_frame(fx->core, &frame, fx->now);
	order_core_tick(fx->core, fx->now);
}

static inline void sent_free(struct sent_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->frames[i].bytes);
	list->count = 0;
}

static inline struct frame_origin origin_of(struct fixture *fx, uint64_t epoch)
{
	return (struct frame_origin){"test", epoch, fx->generation};
}

static inline void batch_arrives(struct fixture *fx, uint64_t epoch, uint64_t number, const struct logged_event *events, size_t count)
{
	struct sent_list list = {.count = 0};
	struct frame_origin origin = origin_of(fx, epoch);

	frame_write_batch(fx->mem, &origin, number, events, count, keep_frame, &list);
	for (size_t i = 0; i < list.count; i++)
		frame_arrives(fx, &list.frames[i]);
	sent_free(&list);
}

static inline void one_arrives(struct fixture *fx, uint64_t epoch, uint64_t number, struct logged_event event)
{
	batch_arrives(fx, epoch, number, &event, 1);
}

static inline void heartbeat_arrives(struct fixture *fx, uint64_t epoch, uint64_t last_batch, uint64_t stream, uint64_t head)
{
	struct sent_list list = {.count = 0};
	struct frame_origin origin = origin_of(fx, epoch);
	struct frame_head heads = {team(stream), head};

	frame_write_heartbeat(fx->mem, &origin, last_batch, &heads, stream != 0, false, true, keep_frame, &list);
	frame_arrives(fx, &list.frames[0]);
	sent_free(&list);
}

/* ---- answers */

static inline void answer_heads(struct fixture *fx, struct asked *q)
{
	pb_StreamHead *heads = ARENA_ARRAY(fx->mem, q->count, pb_StreamHead);
	pb_StreamHeadsReply reply = {.heads = heads, .heads_count = (pb_size_t)q->count, .generation = (char *)(uintptr_t)fx->generation};

	for (size_t i = 0; i < q->count; i++)
		heads[i] = (pb_StreamHead){.rank = q->streams[i].rank, .stream_id = q->streams[i].id, .seq = fx->heads[q->streams[i].id]};
	q->answered = true;
	order_core_headed(fx->core, q->ticket, STATUS_OK, &reply, fx->now);
}

/* As of a log whose head is `head`. */
static inline void answer_fetch_as_of(struct fixture *fx, struct asked *q, uint64_t head)
{
	uint64_t id = q->stream.id;
	pb_LoggedEvent *rows = ARENA_ARRAY(fx->mem, q->limit, pb_LoggedEvent);
	pb_FetchEventsReply reply = {.events = rows, .head = head, .generation = (char *)(uintptr_t)fx->generation};

	reply.gone = q->after > head || q->after < fx->gone_to[id];
	for (uint64_t seq = q->after + 1; !reply.gone && seq <= head && reply.events_count < q->limit; seq++) {
		struct logged_event logged = event_at(fx, id, seq);
		pb_LoggedEvent *row = &rows[reply.events_count++];
		*row = (pb_LoggedEvent){.rank = RANK_TEAM, .stream_id = id, .seq = seq, .kind = logged.kind};
		row->payload = pb_bytes_from(fx->mem, logged.payload, logged.payload_length);
	}
	q->answered = true;
	order_core_fetched(fx->core, q->ticket, q->stream, STATUS_OK, &reply, fx->now);
}

static inline void answer(struct fixture *fx, struct asked *q)
{
	if (q->of_heads)
		answer_heads(fx, q);
	else
		answer_fetch_as_of(fx, q, fx->heads[q->stream.id]);
}

static inline void answer_with(struct fixture *fx, struct asked *q, enum status st)
{
	q->answered = true;
	if (q->of_heads)
		order_core_headed(fx->core, q->ticket, st, NULL, fx->now);
	else
		order_core_fetched(fx->core, q->ticket, q->stream, st, NULL, fx->now);
}

static inline void pass(struct fixture *fx, int64_t ms)
{
	for (; ms > 0; ms--) {
		fx->now++;
		order_core_tick(fx->core, fx->now);
	}
}

static inline struct asked *last_question(struct fixture *fx)
{
	ck_assert_uint_gt(fx->question_count, 0);
	return &fx->questions[fx->question_count - 1];
}

static inline size_t fetches(struct fixture *fx)
{
	size_t count = 0;

	for (size_t i = 0; i < fx->question_count; i++)
		count += !fx->questions[i].of_heads;
	return count;
}

/* Answers everything until nothing is asked for a second. */
static inline void settle_down(struct fixture *fx)
{
	for (int quiet = 0; quiet < 1500; quiet++) {
		pass(fx, 1);
		for (size_t i = 0; i < fx->question_count; i++) {
			if (!fx->questions[i].answered) {
				answer(fx, &fx->questions[i]);
				quiet = 0;
			}
		}
	}
}

/* Follows and lets the question about the new stream be answered; the publisher's first frame came already. */
static inline void follow_verified(struct fixture *fx, uint64_t stream, uint64_t epoch)
{
	order_core_follow(fx->core, team(stream), fx->heads[stream], NULL, fx->now);
	heartbeat_arrives(fx, epoch, 0, 0, 0);
	settle_down(fx);
	fx->question_count = 0;
}
