/*
 * house/events - events of the log as house writes them: which topics one belongs to, and its frame's text.
 * The list is events.tbl.h, which answers every arm of proto/events.proto; types and keys of the given events
 * are docs/dialects/house.md, "Events". Pure; any thread. Nothing here asks who the receiver is: whether a
 * socket may have an event at all is decided by its audience key, and by the caller.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/events/events.h"

/*
 * An action with two audiences is two events with the same event_id: one in the stream of the team or
 * conversation, one in the user's. They differ in what they show (a ban names the user in the channel's copy
 * only), so the copy is part of what a cached frame is kept under.
 */
enum house_copy {
	HOUSE_COPY_PLACE, /* topics channel, team and global */
	HOUSE_COPY_USER,  /* topic user */
};
/* Of a logged event: its stream. Of an ephemeral one: the stream of the target it is being delivered for. */
static inline enum house_copy house_copy_of(struct stream s)
{
	return s.rank == RANK_USER ? HOUSE_COPY_USER : HOUSE_COPY_PLACE;
}

/* The topics an event belongs to; 0 and false: not to one of that class. */
struct house_topics {
	uint64_t channel_id; /* channel:{id} */
	uint64_t team_id;    /* team:{id} */
	uint64_t user_id;    /* user:{id} */
	bool global;         /* global */
	bool direct;         /* user:{id} of everybody in the conversation that it happens in */
};

/*
 * house_event_topics - where an event is shown. False: nowhere in this dialect (out is zeroed).
 *
 * ev  its stream, audience, kind and at_ms are read. For an ephemeral event the caller sets `stream` and
 * `audience` to those of the target it delivers for and asks once per target.
 */
bool house_event_topics(const struct logged_event *ev, const pb_Event *body, struct house_topics *out);

/*
 * house_render_event - the frame's text: {"type","timestamp","data"} and, with resume and a seq, "stream" and
 * "seq".
 *
 * ev, body  as above; body is ev's payload, decoded. Borrowed for the call.
 * copy      house_copy_of(the stream)
 * resume    the socket asked for resumable events; without effect on ephemeral ones (seq 0)
 * detail    the socket asked for detail=1: the full objects ride along
 *
 * Returns NUL-terminated JSON in mem, *out_length without the NUL, or NULL when this copy is not sent (an
 * event this dialect does not have, the tombstone of a deleted message, a malformed body).
 */
const char *house_render_event(struct arena *mem, const struct logged_event *ev, const pb_Event *body,
	enum house_copy copy, bool resume, bool detail, size_t *out_length);
