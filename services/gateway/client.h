/*
 * client - one connected client as the hub sees it: who it is, what waits for it, when it was last heard. The
 * socket layer owns the memory and embeds it; the first fields are what every delivery touches.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "services/gateway/frame.h"
#include "services/gateway/hub.h"

struct member;
struct subscribe;

enum client_state {
	CLIENT_CONNECTING,     /* no token yet */
	CLIENT_AUTHENTICATING, /* the token is being asked about, or the user's stream is being opened */
	CLIENT_READY,
	CLIENT_CLOSING, /* a close frame is queued; nothing is added any more */
	CLIENT_ENDED,   /* the socket is gone */
};

/* An upgrade that is answered when the client is known: what the socket layer is to do. */
enum door {
	DOOR_NONE,     /* it was answered at once */
	DOOR_CLOSED,   /* it waits; nothing is written */
	DOOR_OPENING,  /* it is to be accepted, and what is queued follows */
	DOOR_OPEN,
	DOOR_REFUSING, /* the dialect's refusal is to be said, and nothing after it */
	DOOR_REFUSED,
};

/* flags */
#define CLIENT_IN_URGENT (1u << 0) /* listed in hub->urgent */
#define CLIENT_IN_BULK   (1u << 1)
#define CLIENT_BLOCKED                                                                                       \
	(1u << 2) /* the kernel takes no more at present; set and cleared by the socket layer */
#define CLIENT_CATCHING (1u << 3) /* a member of it catches up: wants to know when the queue runs low */
#define CLIENT_RESUME   (1u << 4) /* wants stream and seq */
#define CLIENT_PRESENT  (1u << 5) /* presence was told */
#define CLIENT_WARNED   (1u << 6) /* told that it makes too many operations */
#define CLIENT_GLOBAL   (1u << 7) /* has the topic that looks into every team of its user */
#define CLIENT_PLAIN    (1u << 9) /* wants no compression, whatever its websocket offers */
#define CLIENT_DIRECT   (1u << 8) /* has the user's own topic, which looks into every conversation of his */

/* One person's clients on this loop. */
struct user {
	uint64_t id;
	struct client *clients;
	uint8_t *view; /* his UserView, encoded: the actor of his calls */
	size_t view_length;
	struct typing *typing; /* what he was last heard typing in */
	struct slots *slots;   /* NULL: no dialect of his clients wants them */
};

struct client {
	struct queue queue;
	uint64_t stamp; /* serial of the last ephemeral event appended */
	uint32_t flags;
	uint8_t state; /* enum client_state */
	uint8_t dialect_no, variant;
	uint8_t deflate; /* enum deflate_class: what events come as */
	struct hub *hub;
	const struct dialect_table *dialect;

	struct user *user; /* NULL before authentication */
	struct client *user_next, **user_link;
	struct client *next, **link;  /* hub->clients */
	struct member *members;       /* streams it is in or is being let into */
	struct subscribe *subscribes; /* the first one is being worked on */
	struct question *asking;      /* about the token */
	char *token;                  /* until its user's stream is watched */
	char *wanted;                 /* topics of the upgrade, until hello */
	void *session;                /* the dialect's own; freed with the client */
	void (*slots_done)(struct client *client, enum status st); /* it waits for its user's slots */
	uint64_t *recent;             /* event ids of the last events that have copies */
	uint64_t served_team;  /* what its dialect can show, as in RpcHeader; kinds 0: everything */
	uint32_t served_kinds;
	uint64_t session_id, epoch, socket_id;
	uint64_t generation; /* of the log under which epoch was read */
	int64_t expires_at_ms;
	int64_t heard_at_ms;  /* monotonic */
	int64_t ops_since_ms; /* monotonic: start of the minute that ops counts in */
	uint32_t ops;
	uint8_t recent_at;
	uint8_t close_reason;
	uint8_t door;   /* enum door */
	bool slots;     /* counted among those that want its user's */
	bool counted;   /* among the sockets of its account */
	bool may_write; /* a bot's token may be for reading only */
	struct timer timer; /* authentication deadline, then heartbeats, then the end of closing */
	struct timer retry; /* of asking about the token */
};

/* Before the handshake; the deadline of authentication runs from here. */
void client_begin(struct hub *hub, struct client *client, uint64_t socket_id);
/* The upgrade was read. False: refuse with 400. */
bool client_connected(struct client *client, size_t dialect_no, const struct handshake *hs);
/* The upgrade was refused and the peer was told; it has a moment to hear it. */
void client_refused(struct client *client);
/* The door opens: the upgrade is accepted. */
void client_admit(struct client *client);
/* A token came by a frame. */
void client_authenticate(struct client *client, const char *token);
/* Bytes came. */
static inline void client_heard(struct client *client)
{
	client->heard_at_ms = client->hub->now_mono_ms;
}
/* Frames came; whole messages go to the dialect, pings are answered. */
void client_received(struct client *client, enum frame_step step, const struct frame_in *in);
/* The queue has room again (CLIENT_CATCHING). */
void client_drained(struct client *client);
/* The first waiting byte waited too long. */
void client_stuck(struct client *client);
/* The longest queues of these are given up like that, until all queues of the loop hold no more than target bytes. */
void clients_relieve(struct hub *hub, struct client **clients, size_t count, uint64_t target);
/* The socket is gone, or is to be: everything of the client leaves the hub; it is listed in hub->ended. */
void client_end(struct client *client);

/* Queues a frame and takes its reference. A client that is not CONNECTING..READY gets nothing; a full queue
 * closes it. */
void client_send(struct client *client, struct frame *frame);
void client_send_text(struct client *client, const char *text, size_t length);
/* Appends a shared frame of an event; bulk: of a large fan-out. False: the client is being closed. */
bool client_append(struct client *client, struct frame *frame, bool bulk);
/* The same of what is shed first: a client that lags has no use for who is typing. */
void client_append_ephemeral(struct client *client, struct frame *frame, bool bulk);
/* Queues a close frame; discard: what waits is thrown away first. Nothing else is sent. */
void client_close(struct client *client, enum close_reason reason, bool discard);
/* "reconnect", then close as LEAVING or MISSED. */
void client_send_away(struct client *client, enum close_reason reason, uint32_t most_after_ms);

/* May it do one more operation? False: too many, and it was told or closed. ref as the dialect wants it. */
enum client_ops { CLIENT_OPS_FINE, CLIENT_OPS_TOO_MANY, CLIENT_OPS_CLOSED };
enum client_ops client_count_op(struct client *client);

/* Its user came into a team, was put out of one or may have been: presence is told, team (0: none in
 * particular) is opened for clients that look everywhere. */
void client_teams_changed(struct client *client, uint64_t team);
/* He came into a conversation, or left one: presence is told; one that he came into is opened for clients with his topic. */
void client_conversation_joined(struct client *client, uint64_t conversation);
void client_conversation_left(struct client *client);

/* An event whose copies share event_id: false the second time. */
bool client_first_copy(struct client *client, uint64_t event_id);

void client_list_add(struct client_list *list, struct client *client);
void client_list_finish(struct client_list *list);

struct user *hub_user(struct hub *hub, uint64_t user_id); /* NULL when none of his clients is here */
/* The UserView of a client's user, decoded into mem. */
const pb_UserView *client_view(const struct client *client, struct arena *mem);
