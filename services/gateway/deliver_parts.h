/*
 * deliver_parts - what the files of delivery (deliver.h) share: deliver.c (an event's way down the lists), deliver_frames.c (what one
 * client gets of it) and deliver_own.c (what it means for the clients of the user whose stream it is in). Nobody else includes it.
 * Everything belongs to one loop.
 */
#pragma once

#include "services/gateway/deliver.h"

/* ---- deliver_frames.c */

/* What one client gets of an event where something may be the receiver's own. The references are the caller's. */
struct deliver_parts {
	struct frame *own, *shared;
	enum share share;
};

struct deliver_parts deliver_parts_of(struct hub *hub, struct delivery *d, const struct client *client);
void deliver_parts_unref(struct deliver_parts *parts);
/* Can this event come a second time, as a copy in another stream (same event_id)? */
bool deliver_has_copies(uint32_t kind);
/* Is an event at this place one of those that were subscribed to? */
bool deliver_shows(const struct subscription *sub, const struct placement *place);

/* ---- deliver_own.c */

/* An event of the feed of somebody's own stream. Some of his clients may be closed by it. */
void deliver_own_event(struct feed *feed, const pb_Event *body);
