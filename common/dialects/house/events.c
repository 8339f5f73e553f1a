/*
 * house/events - see events.h: the table at work. What is written of each event is in the files that events_frame.h names.
 */
#include "common/dialects/house/events.h"

#include <string.h>

#include "common/dialects/house/events_frame.h"

/* Topic classes of events.tbl.h. */
enum {
	PLACE_CHANNEL = 1,
	PLACE_TEAM = 2,
	PLACE_GLOBAL = 4,
	OWN = 8,
};

struct place {
	uint64_t channel_id, team_id;
};

/* The row's topic classes and, for events that have one, the channel. A body without its channel is shown
 * nowhere. */
static unsigned classes_of(const pb_Event *body, struct place *place)
{
	switch ((enum event_kind)body->which_body) {
#define EVENT(arm, wire, classes, render)                                                                    \
	case EVENT_KIND_##arm:                                                                               \
		return (classes);
#define EVENT_IN_CHANNEL(arm, wire, classes, render)                                                         \
	case EVENT_KIND_##arm:                                                                               \
		*place = (struct place){body->body.arm.channel.id, body->body.arm.channel.team_id};          \
		return body->body.arm.has_channel ? (classes) : 0;
#define EVENT_SOMEWHERE(arm, wire, classes, render)                                                          \
	case EVENT_KIND_##arm:                                                                               \
		if (body->body.arm.has_channel)                                                              \
			*place = (struct place){                                                             \
				body->body.arm.channel.id, body->body.arm.channel.team_id};                  \
		return (classes);
#define EVENT_NOT_SENT(arm, reason)                                                                          \
	case EVENT_KIND_##arm:                                                                               \
		return 0;
#include "common/dialects/house/events.tbl.h"
#undef EVENT
#undef EVENT_IN_CHANNEL
#undef EVENT_SOMEWHERE
#undef EVENT_NOT_SENT
	case EVENT_KIND_none:
		return 0;
	}
	return 0;
}

bool house_event_topics(const struct logged_event *ev, const pb_Event *body, struct house_topics *out)
{
	struct place place = {0, ev->stream.rank == RANK_TEAM ? ev->stream.id : 0};
	unsigned classes = classes_of(body, &place);

	*out = (struct house_topics){0};
	if (house_copy_of(ev->stream) == HOUSE_COPY_USER) {
		if (classes & OWN)
			out->user_id = ev->stream.id;
	} else if (strncmp(ev->audience, "conversation:", sizeof "conversation:" - 1) == 0) {
		if (classes & PLACE_CHANNEL)
			out->channel_id = place.channel_id;
		out->direct = (classes & (PLACE_CHANNEL | PLACE_TEAM)) != 0;
	} else {
		if (classes & PLACE_CHANNEL)
			out->channel_id = place.channel_id;
		if (classes & PLACE_TEAM)
			out->team_id = place.team_id;
		out->global = (classes & PLACE_GLOBAL) != 0;
	}
	return out->channel_id != 0 || out->team_id != 0 || out->user_id != 0 || out->global || out->direct;
}

const char *house_render_event(struct arena *mem, const struct logged_event *ev, const pb_Event *body,
	enum house_copy copy, bool resume, bool detail, size_t *out_length)
{
	struct frame f = {.ev = ev, .body = body, .copy = copy, .detail = detail};
	struct place place = {0};
	unsigned classes = classes_of(body, &place);

	/* What deletion blanked is not shown again: its message_deleted follows. */
	if (body->tombstone || (classes & (copy == HOUSE_COPY_USER ? OWN : ~(unsigned)OWN)) == 0)
		return NULL;
	jw_begin(&f.w, mem, detail ? 1024 : 512);
	switch ((enum event_kind)body->which_body) {
#define EVENT(arm, wire, classes, render)                                                                    \
	case EVENT_KIND_##arm:                                                                               \
		f.type = (wire);                                                                             \
		render(&f);                                                                                  \
		break;
#define EVENT_IN_CHANNEL(arm, wire, classes, render) EVENT(arm, wire, classes, render)
#define EVENT_SOMEWHERE(arm, wire, classes, render)  EVENT(arm, wire, classes, render)
#define EVENT_NOT_SENT(arm, reason)                                                                          \
	case EVENT_KIND_##arm:                                                                               \
		break;
#include "common/dialects/house/events.tbl.h"
#undef EVENT
#undef EVENT_IN_CHANNEL
#undef EVENT_SOMEWHERE
#undef EVENT_NOT_SENT
	case EVENT_KIND_none:
		break;
	}
	if (!f.open)
		return NULL;
	jw_object_end(&f.w);
	if (resume && ev->seq != 0) {
		char text[STREAM_TEXT_SIZE];
		stream_to_text(ev->stream, text);
		jw_kv(&f.w, str, "stream", text);
		jw_kv(&f.w, u64, "seq", ev->seq);
	}
	jw_object_end(&f.w);
	return jw_end(&f.w, out_length);
}
