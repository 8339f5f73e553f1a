/*
 * deliver - bringing the events of a feed to its members, and what some events mean for the clients
 * themselves. A large fan-out is done in slices; entries of topic lists may come and go between them.
 */
#pragma once

#include "services/gateway/slots.h"
#include "services/gateway/stream.h"

/* An event on its way to the members of a feed. */
struct delivery {
	struct bus_event *ev;
	const struct logged_event *logged;
	const pb_Event *body;
	uint64_t serial;
	uint32_t key;
	bool copies, bulk, reached;
	bool aside;  /* it has no place of its own in the stream and no key: whom it names gets it */
	bool doubts; /* somebody's keys are not known at present */
	/* where it stands */
	size_t dialect_no; /* the next to place */
	struct topic_lists *lists;
	struct topic_list *list;
	enum topic_class class; /* of list */
	enum topic_class step;  /* the class after it */
	uint32_t at;            /* entries of list below it are still to be visited */
	bool check;             /* another list may have brought it */
	struct placement place;
	/* of dialects that show what is somebody's own */
	bool personal;           /* the one in work is one */
	struct slots_ask *asked; /* what moderation answers about the receivers, NULL: it is not asked */
	struct own_frame *own;   /* the last frame that is not for all, and for whom it is */
	struct frame *frames[DIALECT_VARIANTS];
	uint8_t rendered; /* a bit per variant */
	struct ring_entry *kept; /* takes the frames when a dialect is done with */
};

/* Those of a dialect who may be shown the same get the same frame. */
struct own_frame {
	struct frame *frame;
	struct slot_rights rights;
	struct slot slot;
};

void delivery_free(struct delivery *d); /* accepts NULL */
/* The frame of the client's variant in the dialect in work, rendered once; the delivery's. NULL: it is not sent. */
struct frame *delivery_frame(struct hub *hub, struct delivery *d, const struct client *client);
/* Is he among those whom the event names, if it names any? */
bool event_allows(const pb_Event *body, const struct client *client);
/* A subscription made while the event goes down the lists: it gets the event if no other way brings it. */
void deliver_late(struct delivery *d, struct subscription *sub);
