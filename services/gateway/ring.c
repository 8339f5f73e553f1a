/*
 * ring - see ring.h.
 */
#include "services/gateway/ring.h"

#include <stdlib.h>

#include "common/bus/bus.h"
#include "services/gateway/catchup.h"
#include "services/gateway/memory.h"
#include "services/gateway/queue.h"
#include "services/gateway/stream.h"

static size_t places(void)
{
	return dialect_count * DIALECT_VARIANTS;
}

/* ---- entries */

struct ring_entry *ring_entry_create(struct hub *hub, struct bus_event *ev)
{
	if (hub->options.ring_bytes == 0 || hub->options.ring_stream_bytes == 0)
		return NULL;
	struct ring_entry *entry = memory_new(sizeof *entry + places() * sizeof *entry->frames);

	entry->ev = bus_event_ref(ev);
	entry->bytes = sizeof *entry + places() * sizeof *entry->frames + bus_event_size(ev);
	/* A notice of a mention lies in the stream of who is told. Deleting the message blanks it there without an event. */
	entry->log_only = bus_event_logged(ev)->kind == EVENT_KIND_user_mentioned;
	return entry;
}

static void frames_drop(struct ring_entry *entry)
{
	for (size_t i = 0; i < places(); i++) {
		frame_unref(entry->frames[i]);
		entry->frames[i] = NULL;
	}
}

void ring_entry_free(struct ring_entry *entry)
{
	if (entry == NULL)
		return;
	frames_drop(entry);
	bus_event_unref(entry->ev);
	free(entry);
}

void ring_entry_keep(struct ring_entry *entry, size_t dialect_no, struct frame *frames[DIALECT_VARIANTS], uint8_t rendered)
{
	if (entry == NULL)
		return;
	entry->rendered[dialect_no] |= rendered;
	for (size_t i = 0; i < DIALECT_VARIANTS; i++) {
		struct frame **kept = &entry->frames[dialect_no * DIALECT_VARIANTS + i];
		if (frames[i] == NULL || *kept != NULL)
			continue;
		*kept = frames[i];
		frames[i] = NULL;
		entry->bytes += frame_size(*kept);
	}
}

static void account(struct ring_entry *entry, int64_t bytes)
{
	entry->bytes += (size_t)bytes;
	entry->feed->ring.bytes += (size_t)bytes;
	entry->feed->hub->ring_bytes += (size_t)bytes;
}

void ring_grew(struct ring_entry *entry, const struct frame *frame)
{
	account(entry, (int64_t)frame_size(frame));
}

bool ring_says(const struct bus_event *ev, uint64_t message_id)
{
	const pb_Event *body = ev != NULL ? bus_event_body(ev) : NULL;

	switch (body != NULL ? (int)body->which_body : 0) {
	case EVENT_KIND_message_posted:
		return body->body.message_posted.message.id == message_id;
	case EVENT_KIND_message_updated:
		return body->body.message_updated.message.id == message_id;
	case EVENT_KIND_message_pinned:
		return body->body.message_pinned.message.id == message_id;
	case EVENT_KIND_message_unpinned:
		return body->body.message_unpinned.message.id == message_id;
	default:
		return false;
	}
}

/* ---- the circle */

static struct ring_entry **place_of(const struct ring *ring, uint32_t i)
{
	return &ring->entries[(ring->begin + i) % ring->capacity];
}

/* The oldest of a stream. */
static void drop_first(struct feed *feed)
{
	struct hub *hub = feed->hub;
	struct ring *ring = &feed->ring;
	struct ring_entry *entry = *place_of(ring, 0);

	*(entry->older != NULL ? &entry->older->newer : &hub->ring_oldest) = entry->newer;
	*(entry->newer != NULL ? &entry->newer->older : &hub->ring_newest) = entry->older;
	account(entry, -(int64_t)entry->bytes);
	ring_entry_free(entry);
	ring->begin = (ring->begin + 1) % ring->capacity;
	ring->first++;
	if (--ring->count > 0)
		return;
	free(ring->entries); /* a stream at rest owns nothing but what is remembered */
	*ring = (struct ring){0};
}

void ring_clear(struct feed *feed)
{
	while (feed->ring.count > 0)
		drop_first(feed);
}

static void grow(struct ring *ring)
{
	uint32_t capacity = ring->capacity == 0 ? 4 : ring->capacity * 2;
	struct ring_entry **entries = memory_resize(NULL, capacity * sizeof(struct ring_entry *));

	for (uint32_t i = 0; i < ring->count; i++)
		entries[i] = *place_of(ring, i);
	free(ring->entries);
	ring->entries = entries;
	ring->capacity = capacity;
	ring->begin = 0;
}

void ring_obey(struct feed *feed, const struct bus_event *ev)
{
	const pb_Event *body = bus_event_body(ev);

	if (body == NULL || body->which_body != EVENT_KIND_message_deleted)
		return;
	ring_blank(feed, body->body.message_deleted.message.id);
	pages_blank(feed->hub, feed->stream, body->body.message_deleted.message.id);
}

void ring_push(struct feed *feed, struct ring_entry *entry)
{
	struct hub *hub = feed->hub;
	struct ring *ring = &feed->ring;

	if (entry == NULL)
		return;
	uint64_t seq = bus_event_logged(entry->ev)->seq;
	if (ring->count == 0)
		ring->first = seq;
	if (ring->count == ring->capacity)
		grow(ring);
	*place_of(ring, ring->count++) = entry;
	entry->feed = feed;
	entry->older = hub->ring_newest;
	*(hub->ring_newest != NULL ? &hub->ring_newest->newer : &hub->ring_oldest) = entry;
	hub->ring_newest = entry;
	ring->bytes += entry->bytes;
	hub->ring_bytes += entry->bytes;
	while (ring->count > 0 && ring->bytes > hub->options.ring_stream_bytes)
		drop_first(feed);
	/* The oldest of all is the oldest of its stream: nothing is taken out of the middle. */
	while (hub->ring_oldest != NULL && hub->ring_bytes > hub->options.ring_bytes)
		drop_first(hub->ring_oldest->feed);
}

struct ring_entry *ring_find(const struct feed *feed, uint64_t seq)
{
	const struct ring *ring = &feed->ring;

	if (ring->count == 0 || seq < ring->first || seq - ring->first >= ring->count)
		return NULL;
	struct ring_entry *entry = *place_of(ring, (uint32_t)(seq - ring->first));
	return entry->log_only ? NULL : entry;
}

void ring_blank(struct feed *feed, uint64_t message_id)
{
	for (uint32_t i = 0; i < feed->ring.count; i++) {
		struct ring_entry *entry = *place_of(&feed->ring, i);
		if (!ring_says(entry->ev, message_id))
			continue;
		account(entry, (int64_t)(sizeof *entry + places() * sizeof *entry->frames) - (int64_t)entry->bytes);
		frames_drop(entry);
		bus_event_unref(entry->ev);
		entry->ev = NULL;
	}
}
