/*
 * dialect - what a client language is to the gateway: a table of functions that turn bytes into requests and
 * events into bytes. A dialect decides nothing: rights, order, resume and limits are the hub's. All functions
 * run on the loop that owns the client and must not block.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/events/events.h"
#include "common/json/texts.h"
#include "services/gateway/handshake.h"

struct client;
struct slot;
struct slot_rights;
struct slots_ask;
struct subscribe;

enum close_reason {
#define CLOSE(reason, house, crust, text) CLOSE_##reason,
#include "services/gateway/close.tbl.h"
#undef CLOSE
	CLOSE_COUNT
};
const char *close_reason_name(enum close_reason reason);
const char *close_reason_text(enum close_reason reason);

/* What a subscription in one stream asks for. */
enum topic_class {
	TOPIC_WHOLE,   /* all of it */
	TOPIC_CHANNEL, /* one channel of it */
	TOPIC_GLOBAL,  /* what of it is shown to everybody who has the key, wherever he looks */
	TOPIC_CLASSES
};

/* Where an event is shown. */
struct placement {
	bool whole, global;
	uint64_t channel_id; /* 0: in none */
};

/* How much of an event one client shares with others. */
enum share {
	SHARE_ALL,  /* the frame of its variant, and nothing else */
	SHARE_REST, /* something of its own, then that frame */
	SHARE_NONE, /* what is its own, and nothing else */
	SHARE_SKIP, /* it is not for this client after all */
	SHARE_END,  /* nothing is for it any more: it is closed (CLOSE_NO_ACCESS) */
};

/* What is known of the receiver of an event, of his own (slots.h). */
struct receiver {
	uint64_t user_id;
	const struct slot *slot;          /* in the event's channel; NULL: none, or not loaded yet */
	const struct slots_ask *asked;    /* what moderation answered; NULL: the event does not ask for it */
	const struct slot_rights *rights; /* his part of that */
};

#define DIALECT_VARIANTS 4 /* at most: forms of one event's frame that differ by what a socket asked for */
#define DIALECT_MOST     8

/* Places of dialects in arrays; permanent only within a process. */
extern const struct dialect_table *const dialects[];
extern const size_t dialect_count;

struct dialect_table {
	enum dialect id;
	const char *name;
	/* Is this the path of its websocket? */
	bool (*accepts)(const char *path);
	/* Reads the upgrade: settings into the client, what to subscribe to later, the token (not longer than
	 * size). False: refuse with 400. *out_present false: the client authenticates by a frame. */
	bool (*connected)(struct client *client, const struct handshake *hs, char *token, size_t size,
		bool *out_present);
	/* The token was good and revocations are watched from here on: say hello, begin what the upgrade
	 * asked for. */
	void (*authenticated)(struct client *client);
	/* It leaves everything, and its session goes with it: timers of it are to be stopped. NULL: there is nothing to do. */
	void (*left)(struct client *client);
	/* One whole message, valid UTF-8 when text. Before authentication too (client_authenticated). */
	void (*message)(struct client *client, bool text, const char *bytes, size_t length);
	/* False: not shown in this dialect. */
	bool (*place)(const struct logged_event *ev, const pb_Event *body, struct placement *out);
	/* One of its variants: a frame, several, or none when it is not sent. */
	void (*render)(struct texts *out, const struct logged_event *ev, const pb_Event *body, unsigned variant);
	/* The next three where some of what events show is the receiver's own; else NULL, and each client gets its variant.
	 * How much of it does this client share? */
	enum share (*share)(const struct client *client, const struct receiver *receiver, const struct logged_event *ev,
		const pb_Event *body);
	/* What is its own: after SHARE_REST and SHARE_NONE. */
	void (*own)(struct texts *out, const struct client *client, const struct receiver *receiver,
		const struct logged_event *ev, const pb_Event *body);
	/* The channel of which it shows each receiver his rights; 0: it shows no such thing. Moderation is asked before the
	 * event goes out, and all who can be shown the same are sent the same frame. */
	uint64_t (*asks)(const struct logged_event *ev, const pb_Event *body);
	/* Its clients keep a list of channels by what they are sent: they are told what comes into their sight and what goes (sight.h). */
	bool sight;
	/* A subscribe is answered: refused topics first, then what was accepted (subscribe.h). */
	void (*subscribed)(struct client *client, struct subscribe *sub);
	/* Positions of streams that moved in silence; count > 0. */
	void (*position)(struct client *client, const char *generation, const struct stream *streams,
		const uint64_t *seqs, size_t count);
	/* Before a planned close. */
	void (*reconnect)(struct client *client, uint32_t after_ms);
	uint16_t (*close_code)(enum close_reason reason);
	/* NULL: upgrades are answered at once. Else they are answered when the client is known and client_admit is called, or
	 * with this: a whole HTTP response into out. Returns its length; size: 512 is enough. */
	size_t (*refusal)(enum close_reason reason, char *out, size_t size);
};
