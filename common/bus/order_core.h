/*
 * bus/order_core - the order of events without threads, sockets or clocks: what comes in (frames, follows, answers of the log,
 * time) and what is to be done about it (deliver, fetch, ask for heads). order.c drives it; tests drive it by hand.
 *
 * Per followed stream there is `applied`, the last seq delivered, and `target`, the highest seq known to exist. While
 * target > applied the next event is awaited: from the bus for a moment, then from the log. Events that came too early wait in
 * a bounded buffer; when that is full or the log cannot be reached the stream is "behind": it buffers nothing more and reads
 * the log until it has caught up. Only the log's word "gone" makes a refetch.
 *
 * One thread owns it. Never allocates without ending the process when memory is out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bus/bus.h"
#include "common/bus/frame.h"

#define ORDER_HOLE_WAIT_MS    10   /* two publishers cross: the missing event is mostly on its way */
#define ORDER_JITTER_MS       20   /* so that not every gateway asks in the same millisecond */
#define ORDER_FETCH_LIMIT     100  /* rows of 32 KiB at most: an answer stays below the 4 MiB of a call */
#define ORDER_HEADS_MOST      8192 /* streams of one question */
#define ORDER_HEADS_WAIT_MS   5    /* what becomes doubtful together is asked together */
#define ORDER_HEADS_PAUSE_MS  50   /* between questions, while frames are being lost all the time */
#define ORDER_RETRY_LEAST_MS  20   /* the log cannot be reached, or knows less than the bus: asked again after 20, 40, ... */
#define ORDER_RETRY_MOST_MS   1000

struct order_core_options {
	struct bus_order_callbacks callbacks;
	/* What the core wants done; neither may call back before it returns. Answers come to order_core_fetched and
	 * order_core_headed with the same ticket, each exactly once. */
	void (*fetch)(void *arg, uint64_t ticket, struct stream s, uint64_t after, uint32_t limit, uint64_t expect_head);
	void (*heads)(void *arg, uint64_t ticket, const struct stream *streams, size_t count); /* streams: borrowed */
	void *arg;
	size_t stream_buffer_bytes, total_buffer_bytes;
	uint64_t seed; /* of the jitter */
};

struct order_core;
struct order_core *order_core_create(const struct order_core_options *options);
void order_core_destroy(struct order_core *core); /* accepts NULL */

void order_core_frame(struct order_core *core, const struct frame *frame, int64_t now_mono_ms);
/* A frame came that nobody can read: something may be lost with it. */
void order_core_frame_lost(struct order_core *core, int64_t now_mono_ms);
void order_core_follow(struct order_core *core, struct stream s, uint64_t at, void *cookie, int64_t now_mono_ms);
void order_core_unfollow(struct order_core *core, struct stream s);
void order_core_hint(struct order_core *core, struct stream s, uint64_t seq, int64_t now_mono_ms);
/* reply is read only when st is STATUS_OK; borrowed. */
void order_core_fetched(struct order_core *core, uint64_t ticket, struct stream s, enum status st, const pb_FetchEventsReply *reply,
	int64_t now_mono_ms);
void order_core_headed(struct order_core *core, uint64_t ticket, enum status st, const pb_StreamHeadsReply *reply, int64_t now_mono_ms);

/* Does what is due; returns when to come again, INT64_MAX: not before something comes in. */
int64_t order_core_tick(struct order_core *core, int64_t now_mono_ms);
const char *order_core_generation(const struct order_core *core); /* "" before the first */

struct order_core_numbers {
	size_t streams, behind, buffered_bytes;
};
struct order_core_numbers order_core_numbers(const struct order_core *core);
