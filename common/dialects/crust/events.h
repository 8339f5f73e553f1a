/*
 * crust/events - events of the log as crust writes them: which of them it has, what of one is its receiver's own, and the texts of its
 * frames. The list is events.tbl.h, which answers every arm of proto/events.proto. Frames are objects with one key that names their
 * kind (docs/dialects/crust.md, "Websocket"); one event may be several. Pure; any thread. Whether a socket may have an event at
 * all is decided by its audience key, and by the caller.
 *
 * The server that this API was first spoken by wrote an event once, as the person who acted saw it, so that others were told what
 * he may do. Here each receiver is told what is his.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/events/events.h"
#include "common/json/texts.h"

/* What is known of one receiver, in the channel of the event. */
struct crust_reader {
	uint64_t user_id;
	/* of events with CRUST_SHARE_NONE that show a channel: as moderation answered */
	bool viewing;                  /* may he still see it? */
	struct bits bits;
	const pb_ChannelView *channel; /* for an event that has no more than its name */
	const uint64_t *member_ids;
	size_t member_count;
	bool unlisted;                 /* he is in the channel, and not among those */
	/* his own marks */
	bool recorded; /* counts are shown to him: he is a member, or has posted or marked */
	uint32_t flag; /* enum channel_flag */
	uint64_t last_read_id;
	uint64_t unread; /* outside threads */
	uint64_t thread_count, thread_total;
	/* of crust_event_thread */
	uint64_t thread_unread, thread_last_read_id;
};

enum crust_share {
	CRUST_SHARE_ALL,  /* the frames that everybody gets */
	CRUST_SHARE_REST, /* his own first, then those */
	CRUST_SHARE_NONE, /* all are his own */
	CRUST_SHARE_SKIP, /* it is not shown to him after all */
};

/* Where an event happens. */
struct crust_place {
	uint64_t channel_id; /* 0: in none */
	uint64_t team_id;    /* of the channel; 0: a conversation's, or in none */
};
/* False: it is shown nowhere in crust. */
bool crust_event_shown(const pb_Event *body, struct crust_place *out);
/* The root of the thread that it moves or shows; 0: it does neither. */
uint64_t crust_event_thread(const pb_Event *body);
/* The channel that it shows as one receiver sees it, with his rights; 0: it does not. */
uint64_t crust_event_asks(const pb_Event *body);
enum crust_share crust_event_share(const pb_Event *body, const struct crust_reader *reader);
/* The frames that everybody gets: none when it is not sent (a tombstone, a malformed body, all of it somebody's own). */
void crust_event_shared(struct texts *out, const pb_Event *body);
/* One receiver's own. */
void crust_event_own(struct texts *out, const pb_Event *body, const struct crust_reader *reader);

/* Frames that follow from no event. */
void crust_activity_frame(
	struct texts *out, uint64_t user_id, const char *kind, uint64_t message_id, uint64_t channel_id, bool present);
void crust_error_frame(struct texts *out, const char *text);
