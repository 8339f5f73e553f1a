/*
 * ring - the last events of a followed stream as this loop brought them to its members, with the frames that were rendered
 * then: whoever comes back soon is caught up from here and the log is not asked. An unbroken run that ends with feed->applied,
 * so an event is in it, or the log has to be read. Bounded in bytes for each stream and for the loop; what is oldest in the
 * loop goes first. It holds what the log holds: a deletion blanks what it blanks there.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "services/gateway/dialect.h"

struct bus_event;
struct feed;
struct frame;
struct hub;

struct ring_entry {
	struct ring_entry *older, *newer; /* of all rings of the loop */
	struct feed *feed;
	struct bus_event *ev; /* NULL: deleted since, nothing of it is shown */
	size_t bytes;
	bool log_only; /* the log may have been blanked without a word in this stream: it is to be read there */
	uint8_t rendered[DIALECT_MOST];
	struct frame *frames[]; /* dialect_count * DIALECT_VARIANTS */
};

struct ring {
	struct ring_entry **entries; /* a circle; NULL when there are none */
	uint32_t begin, count, capacity;
	uint64_t first; /* seq of the oldest */
	size_t bytes;
};

/* For an event that is about to be delivered. NULL when no rings are kept; the others accept that. */
struct ring_entry *ring_entry_create(struct hub *hub, struct bus_event *ev);
void ring_entry_free(struct ring_entry *entry); /* before it was pushed */
/* Takes the frames of one dialect, a bit of `rendered` for each variant that was tried; they are NULL afterwards. */
void ring_entry_keep(struct ring_entry *entry, size_t dialect_no, struct frame *frames[DIALECT_VARIANTS], uint8_t rendered);

/* The event was brought to everybody: feed->applied is its seq now. Takes the entry. */
void ring_push(struct feed *feed, struct ring_entry *entry);
/* Lives until the next push. NULL: not at hand. */
struct ring_entry *ring_find(const struct feed *feed, uint64_t seq);
/* A frame was rendered into an entry that was found. */
void ring_grew(struct ring_entry *entry, const struct frame *frame);
/* An event is next in the stream: what it blanks in the log is blank here, in the ring and in the pages that were read. */
void ring_obey(struct feed *feed, const struct bus_event *ev);
/* The message was deleted: so is what its events said. */
void ring_blank(struct feed *feed, uint64_t message_id);
void ring_clear(struct feed *feed);

/* Does the event say what this message says? Then the message's deletion blanks it. */
bool ring_says(const struct bus_event *ev, uint64_t message_id);
