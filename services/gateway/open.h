/*
 * open - letting a client into a stream, and keeping its keys right: the opening rule and the audience events
 * of the event log's section 5. A client is live from the moment the stream's applied position equals the
 * `as_of` of the answer that its keys came from. Behind, it waits; ahead, it asks again; after three times
 * the stream is held until the answer.
 */
#pragma once

#include "services/gateway/stream.h"

enum open_source {
	OPEN_BY_KEYS,  /* a team or conversation: moderation is asked */
	OPEN_ANSWERED, /* the same, but the caller has the answer and gives it */
	OPEN_BY_TOKEN, /* the user's own stream: the token's answer says as_of; opening_answer is called by
			  who asked */
	OPEN_BY_HEAD,  /* the global stream: any position will do */
};

enum opening_state { OPENING_UNASKED, OPENING_ASKED, OPENING_ANSWERED };

struct opening {
	struct member *member;
	struct opening *next, **link; /* feed->openings */
	enum opening_state state;
	enum open_source source;
	uint8_t asks;
	bool holds;        /* it holds the feed until it is answered */
	uint64_t question; /* the id of what it was asked with */
	struct key_set *keys;
	uint64_t as_of, unchanged_since;
	int64_t give_up_at_ms;
	struct timer retry;
	/* Live (member), or refused (NULL: it is gone). The opening is gone already. May be NULL. */
	void (*settled)(struct client *client, struct stream s, struct member *member, enum status st);
	/* The stream has passed as_of: the token is to be asked about anew. */
	void (*again)(struct client *client);
};

/*
 * Begins to let client into s; it must not be in it or on the way.
 * OPEN_BY_TOKEN: the caller asks, gives opening_answer, and sets again. Nothing is settled before hub_run.
 */
struct member *open_stream(struct client *client, struct stream s, enum open_source source,
	void (*settled)(struct client *client, struct stream s, struct member *member, enum status st));
/* What was asked is answered: keys (takes the reference; NULL in constant streams) as of a position. */
void opening_answer(struct opening *opening, struct key_set *keys, uint64_t as_of, uint64_t unchanged_since);
/* Refused: the member goes, then settled is called. */
void opening_refuse(struct opening *opening, enum status st);
void opening_free(struct opening *opening);

/* Between two events: pending keys take effect, openings whose moment has come go live, those that were
 * passed ask again. */
void open_settle(struct feed *feed);
/* The feed is followed now. */
void open_followed(struct feed *feed);

/* The audience events, when they are next in the feed. */
void open_audience_changed(struct feed *feed, uint64_t seq, const pb_AudienceChanged *change);
void open_audience_recheck(struct feed *feed, uint64_t seq, const pb_AudienceRecheck *recheck);
void recheck_free(struct recheck *recheck);

/* Keys of one answer as a set of the feed's; NULL when it says that the stream is not for the user. */
struct key_set *open_keys_of(
	struct feed *feed, const pb_ListAudiencesReply *reply, const pb_AudienceAnswer *answer);
/* Is this the generation that this loop's positions are of (or is none known yet)? */
bool open_generation_fits(struct hub *hub, const char *generation);
/* The same for one that is told as its mark; 0 fits. */
bool open_mark_fits(struct hub *hub, uint64_t generation);

/* Asks moderation for what gathered in this turn. */
void open_flush(struct hub *hub);
