/*
 * sight - who comes to see a channel, or sees it no more, because of keys that changed. Most such changes have no event that the person
 * concerned may be shown: a role that is given, a ban that is lifted, a channel that was everybody's and is made private. Dialects whose
 * clients keep a list of channels (`sight` in dialect.h) are told by an event that is made here, channel_sight_changed, in its place in the
 * stream: behind everything that was delivered under the keys before, ahead of everything under those after.
 *
 * Keys say who may have gained or lost a channel; that of a channel that is opened again goes as well. So moderation is asked, while the
 * feed waits, and only what it confirms is told. docs/architecture.md, "What is the receiver's own". Belongs to one loop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/events/events.h"

struct bus_event;
struct feed;
struct key_set;
struct member;

/* Before the member's keys become those. closed: a channel that everybody in the team had a key of and that has its own from here on, 0:
 * none. */
void sight_note(struct member *member, const struct key_set *after, uint64_t closed);
/* What was noted is asked about; seq: of the change. Holds the feed until it is told. */
void sight_ask(struct feed *feed, uint64_t seq);
/* The keys of whole kinds of channels changed: nobody knows of which. Clients that keep a list are sent away, to read it again. */
void sight_lost(struct feed *feed);
/* What is to be told next, before any other event of the feed: a reference of the caller's. NULL: nothing. */
struct bus_event *sight_next(struct feed *feed);
void sight_free(struct feed *feed);
