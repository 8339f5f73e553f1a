/*
 * stream - the streams that clients of this loop are in: their events in order, who holds which key, which
 * topics lead to whom, and delivery. In a stream the next event begins when the one before is appended to
 * every socket; between streams a large fan-out is cut into slices so that small ones get their turn.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "services/gateway/client.h"
#include "services/gateway/hub.h"
#include "services/gateway/keys.h"
#include "services/gateway/ring.h"

struct opening;
struct catchup;

/* What a client subscribed to in one stream. */
struct subscription {
	struct subscription *next; /* of the member */
	struct member *member;
	struct topic_list *list;
	uint32_t index; /* in list */
	uint8_t class;  /* enum topic_class */
	uint64_t id;    /* of the channel; 0 for the others */
};

struct topic_entry {
	struct client *client;
	struct key_set *keys; /* the member's; NULL where the stream has one key for all */
	struct subscription *sub;
};

struct topic_list {
	struct topic_entry *entries;
	uint32_t count, capacity;
};

struct topic_lists {
	struct topic_list whole, global;
	struct table channels; /* struct topic_list by channel id */
};

/* One client in one stream. */
struct member {
	struct client *client;
	struct feed *feed;
	struct member *next, **link; /* of the client */
	struct opening *opening;     /* on the way in (again) */
	struct catchup *catchup;     /* events go there first, not to the queue */
	struct key_set *keys;        /* held now; NULL where the stream has one key for all */
	struct key_set *next_keys;   /* held from next_at on; NULL: none are due */
	uint64_t next_at;
	uint64_t as_of;           /* seq of the answer that keys or next_keys came from */
	uint64_t unchanged_since; /* as that answer said */
	uint64_t told;            /* the newest position this client knows */
	struct subscription *subs;
	uint32_t index; /* in feed->members */
	bool live;
	bool doubtful; /* until next_at nobody knows what it holds: an event that it might get ends the client
			*/
	bool announced; /* the client knows of this stream: positions are told */
};

enum feed_state { FEED_UNFOLLOWED, FEED_FOLLOWING, FEED_FOLLOWED };

struct feed {
	struct hub *hub;
	struct stream stream;
	enum feed_state state;
	uint64_t follow;  /* the current follow's number */
	uint64_t applied; /* the last event that reached everybody it is for */
	uint64_t seen;    /* the last one that came in */
	uint32_t holds;   /* reasons not to begin the next event */
	bool constant;    /* one key that never changes: user and global streams */
	bool active;      /* listed in hub->active */
	bool unasked;     /* listed in hub->unasked */
	bool lingers;     /* listed in hub->lingering */
	bool pinned;      /* kept without anybody in it */
	bool overflowed;  /* events were dropped: read them from the log */
	struct refill *refill;
	struct feed *active_next, *unasked_next;
	struct feed *lingering_next, **lingering_link;
	int64_t empty_since_ms;
	int64_t rights_at_ms;       /* when the last audience event was obeyed, 0: none was */
	struct bus_event **pending; /* a ring */
	uint32_t pending_begin, pending_count, pending_capacity;
	size_t pending_bytes;
	struct delivery *current; /* the event that is being appended */
	struct ring ring;         /* those up to applied that are remembered */
	struct member **members;  /* the live ones */
	uint32_t member_count, member_capacity;
	struct opening *openings;
	bool asked;             /* a question about its openings is on its way: more of them gather */
	uint32_t keys_due;      /* members with next_keys */
	struct key_table *keys; /* NULL for constant streams */
	struct topic_lists *topics[DIALECT_MOST];
	struct recheck *recheck;
	struct sight *sight; /* who sees channels come and go, NULL: nobody yet */
};

/* Where a channel is at home, as last heard. Only a hint: what is delivered is decided by keys. */
struct channel_fact {
	uint64_t channel_id;
	struct stream stream;
	char audience[AUDIENCE_SIZE];
};

struct feed *feed_find(struct hub *hub, struct stream s);
struct feed *feed_get(struct hub *hub, struct stream s);
/* Follows it if nobody does; at is where to begin. */
void feed_follow(struct feed *feed, uint64_t at);
/* Nothing is in it any more: it is let go after a while. */
void feed_check_empty(struct feed *feed);
/* Something may have become possible: openings, keys, the next event. */
void feed_wake(struct feed *feed);
/* Everybody in it is told to come back; it is followed anew by whoever does. */
void feed_abandon(struct feed *feed, const char *why);
void feed_free(struct feed *feed);
void feed_sweep(struct hub *hub, int64_t linger_ms);    /* lets go of feeds that are empty for so long */
struct bus_event *feed_next_pending(struct feed *feed); /* takes it; there must be one */
/* Reads what was dropped from the log. */
void feed_refill(struct feed *feed);

/* Kept although nobody is in it; NULL of feed_unpin is accepted. */
void feed_pin(struct feed *feed);
void feed_unpin(struct feed *feed);

struct member *member_find(const struct client *client, struct stream s);
struct member *member_add(struct client *client, struct feed *feed); /* not live yet */
void member_set_live(struct member *member);
void member_set_keys(struct member *member, struct key_set *keys); /* takes the reference */
void member_drop_next(struct member *member);                      /* next_keys, and the doubt */
/* Leaves the stream: subscriptions, opening and all. */
void member_remove(struct member *member);

/* The subscription, an old one or a new one. Events after feed->applied reach it. */
struct subscription *subscription_add(struct member *member, enum topic_class class, uint64_t id);
void subscription_remove(struct subscription *sub);
struct subscription *subscription_find(const struct member *member, enum topic_class class, uint64_t id);

/* One event read from the log, for one member that catches up, judged by keys. frames: a cache of
 * DIALECT_VARIANTS places, NULL where nothing was rendered yet. Returns a reference of the caller's, or NULL: not for this
 * member, which may have been closed over it. */
struct frame *stream_frame_for(struct member *member, struct key_set *keys, struct bus_event *ev,
	struct frame **frames, uint8_t *rendered);

struct channel_fact *channel_fact_get(struct hub *hub, uint64_t channel_id);
void channel_fact_put(struct hub *hub, uint64_t channel_id, struct stream s, const char *audience);
void channel_fact_forget(struct hub *hub, uint64_t channel_id);
void channel_facts_forget(struct hub *hub, struct stream s); /* its events do not come any more */

#define AWAY_MOST_MS 2000 /* over which clients that must come back are spread */

/* Called by hub.c */
bool stream_run(struct hub *hub, size_t appends);
void stream_event(struct hub *hub, struct bus_event *ev);
void stream_ephemeral(struct hub *hub, struct bus_event *ev);
