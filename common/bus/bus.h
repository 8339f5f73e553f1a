/*
 * bus - events between processes over nng pub/sub (the event log's section "Carry"). This folder hides nng.
 * publisher.c: one frame per commit batch, a heartbeat every 100 ms, a watermark every second.
 * subscriber.c: receives on nng's threads, which only move frames into a bounded queue.
 * order.c: puts the events of every followed stream into order, without a hole, or says "refetch".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/status.h"
#include "common/events/events.h"
#include "proto/rpc.pb.h"

/* ---- publishing. Thread-safe. */
struct bus_publisher;
struct bus_publisher_options {
	const char *listen;   /* nng address; empty: no publisher is made (STATUS_FIELD_INVALID) */
	const char *instance; /* name in the frames */
	bool insecure;
	/* Asked once a second by the publisher's own thread, for the watermark: the log's generation and, of the same moment, the
	 * newest seq per stream that moved lately, over the whole window (10 s) or a short one. May be NULL. Returns false when
	 * the database does not answer. */
	bool (*watermark)(void *arg, struct arena *mem, bool whole, const char **out_generation, struct logged_event **out_heads,
		size_t *out_count);
	bool (*database_up)(void *arg); /* for the heartbeat; may be NULL */
	void *arg;
};
enum status bus_publisher_create(const struct bus_publisher_options *options, struct bus_publisher **out_publisher);
/* One committed batch, in commit order: the caller calls it in the order of its commits. Never blocks, never fails:
 * what is lost on the way is repaired by the receivers. */
void bus_publish(struct bus_publisher *p, const char *generation, const struct logged_event *events, size_t count);
/* Ephemeral: targets, kind, payload of an encoded Event. */
void bus_publish_ephemeral(struct bus_publisher *p, const struct logged_event *targets, size_t target_count,
	uint32_t kind, int64_t at_ms, const uint8_t *payload, size_t payload_length);
/* Heartbeats with "leaving" for 300 ms, then closes (nng drops what is queued at close). */
void bus_publisher_destroy(struct bus_publisher *p);

/* ---- following streams in order. */
struct bus_event; /* one delivered event: refcounted (atomic), immutable, shared by threads */
const struct logged_event *bus_event_logged(const struct bus_event *ev);
const pb_Event *bus_event_body(const struct bus_event *ev); /* decoded once, by the order thread; NULL: it does not parse */
const pb_EphemeralEvent *bus_event_ephemeral(const struct bus_event *ev); /* targets; NULL for logged events */
size_t bus_event_size(const struct bus_event *ev); /* what it holds in memory, roughly */
struct bus_event *bus_event_ref(struct bus_event *ev);
void bus_event_unref(struct bus_event *ev);
/* An event read from the log elsewhere (resume); takes nothing, copies. NULL when the payload is malformed. */
struct bus_event *bus_event_from_log(const pb_LoggedEvent *row);

/*
 * What the order thread tells its owner. All callbacks run on the one order thread, must not block.
 */
struct bus_order_callbacks {
	/* The next event of a followed stream: seq is exactly one above the last one delivered for it. borrowed. */
	void (*event)(void *arg, struct bus_event *ev);
	void (*ephemeral)(void *arg, struct bus_event *ev);
	/* Answer to bus_order_follow: from now on `event` delivers what comes after applied. cookie is the caller's. */
	void (*followed)(void *arg, struct stream s, uint64_t applied, void *cookie);
	/* The log answered that a range is gone: what lies between is not to be had; the stream goes on after head. */
	void (*refetch)(void *arg, struct stream s, uint64_t head);
	/* Another generation: every position and cache is void. Streams are no longer followed. */
	void (*generation)(void *arg, const char *generation);
	void *arg;
};

/* Asks the log; runs on one of the order's fetch threads, may block. Fills out (lives in mem). */
typedef enum status bus_fetch(void *arg, struct arena *mem, struct stream s, uint64_t after, uint32_t limit,
	uint64_t expect_head, pb_FetchEventsReply *out);
typedef enum status bus_heads(void *arg, struct arena *mem, const struct stream *streams, size_t count, pb_StreamHeadsReply *out);

struct bus_order;
struct bus_order_options {
	const char *publishers;      /* addresses separated by commas; re-resolved every 5 s */
	bool insecure;
	int drop_percent;            /* fault hook: this share of received frames is thrown away */
	struct bus_order_callbacks callbacks;
	bus_fetch *fetch;
	bus_heads *heads;
	void *source;                /* argument of fetch and heads */
	size_t stream_buffer_bytes;  /* 4 MiB when 0 */
	size_t total_buffer_bytes;   /* 64 MiB when 0 */
};
enum status bus_order_create(const struct bus_order_options *options, struct bus_order **out_order);
void bus_order_destroy(struct bus_order *order);
/* Thread-safe, answered by `followed`. If the stream is not followed yet it starts at `at` (events after it will be delivered;
 * those that exist already are fetched); if it is, `applied` tells where it stands. Counts references. */
void bus_order_follow(struct bus_order *order, struct stream s, uint64_t at, void *cookie);
void bus_order_unfollow(struct bus_order *order, struct stream s);
/* "There is something up to seq": a hole up to it is repaired even if the bus says nothing. Thread-safe. */
void bus_order_hint(struct bus_order *order, struct stream s, uint64_t seq);
bool bus_order_publishers_heard(struct bus_order *order, int within_ms); /* heartbeats arrive from every address? for /readyz */
/* The generation last heard of, copied; "" before the first frame. Thread-safe. */
void bus_order_generation(struct bus_order *order, char out[96]);

/* ---- listening without order: every logged event as it arrives, holes, doubles and all, for caches that only need a nudge.
 * `event` runs on one thread of the listener and may block for a moment; both arguments are borrowed for the call. */
struct bus_listener;
enum status bus_listener_create(const char *addresses, bool insecure, int drop_percent,
	void (*event)(void *arg, const struct logged_event *logged, const pb_Event *body), void *arg, struct bus_listener **out_listener);
bool bus_listener_publishers_heard(struct bus_listener *listener, int within_ms);
void bus_listener_destroy(struct bus_listener *listener);
