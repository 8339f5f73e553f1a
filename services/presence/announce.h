/*
 * announce - changes of presence and typing as ephemeral events on the bus. Pure but for the publisher, which may be
 * NULL (tests, and processes without a bus). Called under the service's lock, so that the order of what is
 * told about a person is the order of what happened; publishing never blocks.
 */
#pragma once

#include <stdint.h>

#include "common/base/arena.h"
#include "common/bus/bus.h"
#include "services/presence/sockets.h"
#include "services/presence/typing.h"

/* One event for the person's teams and conversations, without the choice, and one for the person, with it. */
void announce_presence(struct bus_publisher *publisher, const struct presence_change *change, int64_t at_ms);
void announce_typing(struct bus_publisher *publisher, const struct typing_subject *subject, bool is_typing, int64_t at_ms);

/* What somebody does, as a client has it; not kept. */
struct activity {
	const pb_UserView *user;
	const pb_ChannelRef *channel; /* NULL: to all of the target */
	struct stream stream;
	const char *audience;
	const char *kind;
	uint64_t message_id;
};
void announce_activity(struct bus_publisher *publisher, const struct activity *activity, int64_t at_ms);

/* The bodies of these events, in mem: also what tests look at. STATUS_MALFORMED: the view does not decode. */
enum status announce_presence_event(struct arena *mem, const struct presence_change *change, bool for_self, pb_Event *out);
enum status announce_typing_event(struct arena *mem, const struct typing_subject *subject, bool is_typing, pb_Event *out);
