/*
 * world - everything outside a hub, for its tests: a log with the truth of who held which key at each seq, an
 * order that delivers it when told to, owners that answer when told to, clients that read their queues when
 * told to. One team T (id 7) with channel A (id 1001, key team:7) and channel B (id 1002, key channel:1002),
 * one conversation (id 9, key conversation:9); user n has id n (from 1).
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "services/gateway/client.h"
#include "services/gateway/hub.h"
#include "services/gateway/stream.h"

#define TEAM      UINT64_C(7)
#define CHANNEL_A UINT64_C(1001)
#define CHANNEL_B UINT64_C(1002)
#define TALK      UINT64_C(9)
#define USERS     4 /* ids 1..4 */
#define LOG_MOST  4096
#define CLIENTS   16
#define GOT_MOST  4096

enum rights { RIGHT_TEAM = 1, RIGHT_B = 2, RIGHT_ROLE = 4 /* has the role 9: the key role:9 and nothing else */, RIGHT_TALK = 8,
	RIGHT_OUT = 16 /* lacks access_team */ };
#define ROLE UINT64_C(9)

struct log_entry {
	uint32_t kind;
	uint64_t channel_id;       /* of a message */
	uint8_t rights[USERS + 1]; /* of each user after this entry */
	struct bus_event *ev;
	uint8_t *payload;
	size_t payload_length;
	char audience[AUDIENCE_SIZE];
	uint64_t event_id;
};

struct world_log {
	struct stream stream;
	uint64_t head;
	struct log_entry entries[LOG_MOST]; /* from 1 */
	uint64_t changed[USERS + 1];        /* seq of the last change of each user's rights */
	uint64_t gone_before;               /* entries up to it are not in the log any more */
	/* the order */
	bool followed;
	uint64_t follow; /* the hub's number */
	bool follow_unanswered;
	uint64_t follow_at;
	uint64_t sent; /* delivered to the hub */
};

enum asked_kind {
	ASKED_TOKEN,
	ASKED_KEYS,
	ASKED_RIGHTS,
	ASKED_TEAMS,
	ASKED_HEAD,
	ASKED_EVENTS,
	ASKED_TYPING,
	ASKED_PRESENCE,
	ASKED_SLOTS,
	ASKED_ONLINE,
	ASKED_UNREAD,
	ASKED_ACT
};

struct asked {
	enum asked_kind kind;
	uint64_t question;
	struct stream stream;
	uint64_t users[256];
	size_t count;
	uint64_t channels[64];
	size_t channel_count;
	uint64_t after, expect_head;
	uint32_t limit;
	char token[64];
	enum act act;
	uint64_t by;     /* the user of an act, or whose marks are read */
	char said[64];   /* the content of a post or an edit */
	/* the answer, once it was worked out */
	bool served;
	enum status status;
	struct arena *mem;
	const void *reply;
	const char *why;
	const char *detail;
};

struct world_client {
	struct client client; /* first */
	bool used;            /* connected, or not yet freed */
	uint64_t user;
	json_t *got[GOT_MOST]; /* every text frame, parsed */
	size_t got_count, read;
	uint16_t close_code; /* of a close frame, 0: none */
	bool ended;
	char later[1024]; /* for the test's own use */
};

struct world {
	struct hub hub;
	struct world_log team, talk, users[USERS + 1], global, internal;
	char generation[HUB_GENERATION_SIZE];
	uint8_t rights[USERS + 1];
	struct asked asked[256];
	size_t asked_count;
	enum status fail_with; /* not OK: every answer worked out from now on */
	struct world_client clients[CLIENTS];
	uint64_t last_socket;
	uint64_t hinted;
	size_t presence_there;
	size_t present_in; /* conversations that presence was told of last */
	unsigned typing_calls;
	unsigned pages_asked; /* how often the log was asked for events */
	unsigned judged; /* how often moderation was asked about channels */
	/* crust */
	uint64_t online; /* that many users are present in the team */
	enum status online_answer;
	unsigned online_asked;
	enum status mount;       /* what the mount's team is to a user: not OK: refused */
	unsigned acts;           /* calls on behalf of clients but for those of coming in */
	enum act last_act;
	char last_said[64];
	enum status act_answer;  /* of those */
	uint64_t can_send;       /* bit per user: has the right to send in channels */
	pb_UnreadView marks[USERS + 1]; /* of each user in channel A */
	unsigned slots_asked, marks_read;
	bool token_disabled;
	uint64_t token_generation; /* told with the next tokens, 0: not */
	uint64_t token_expires_at_ms; /* likewise */
};

struct world *world_create(void);
void world_destroy(struct world *w);

/* What happens in the log. Each returns its seq. */
uint64_t world_post(struct world *w, uint64_t channel_id);
uint64_t world_delete(struct world *w, uint64_t seq); /* the message that was posted with seq in the team: blanked in the log */
/* The user is told of the message that was posted with seq in the team. */
uint64_t world_mention(struct world *w, uint64_t user, uint64_t seq);
void world_tombstone(struct world_log *log, uint64_t seq); /* the log says no more than its number */
uint64_t world_change(struct world *w, uint64_t user, uint8_t rights);    /* audience_changed */
uint64_t world_talk(struct world *w, uint64_t user, bool in); /* audience_changed in the conversation */
uint64_t world_recheck(struct world *w, const uint8_t rights[USERS + 1]); /* audience_recheck of all */
/* audience_recheck of the people named (a bit a user) or of who has the role: theirs become `rights`, nobody else's. */
uint64_t world_recheck_people(struct world *w, unsigned users, const uint8_t rights[USERS + 1]);
uint64_t world_recheck_role(struct world *w, const uint8_t rights[USERS + 1]);
uint64_t world_append(
	struct world *w, struct world_log *log, uint32_t kind, const char *audience, pb_Event *event);
struct world_log *world_log_of(struct world *w, struct stream s);

/* What comes in. */
bool world_deliver(struct world *w, struct world_log *log); /* the next event, or the answer to a follow */
void world_serve(struct world *w, size_t i);                /* works the answer out, from what is so now */
void world_answer(struct world *w, size_t i);               /* hands it in (served or not yet) */
void world_turn(struct world *w, size_t appends);
void world_settle(struct world *w); /* everything, until nothing moves */
void world_pass(struct world *w, int64_t ms);

/* Clients. query: of the upgrade, e.g. "topics=global&resume=1". */
struct world_client *world_connect(struct world *w, uint64_t user, const char *query);
/* A client of crust, by ?jwt=; user 0: without a token. */
struct world_client *world_connect_crust(struct world *w, uint64_t user);
/* Frames with a key, and the n-th of them (from 0), as what stands under the key. */
size_t world_keys(struct world_client *c, const char *key);
json_t *world_key(struct world_client *c, const char *key, size_t n);
void world_say(struct world_client *c, const char *text); /* one text frame */
void world_read(struct world_client *c);                  /* takes what is queued into got */
void world_disconnect(struct world_client *c);
void world_reap(struct world *w);

/* Frames of a type, and the n-th of them (from 0), NULL when there are not so many. */
size_t world_count(struct world_client *c, const char *type);
json_t *world_frame(struct world_client *c, const char *type, size_t n);
json_t *world_data(struct world_client *c, const char *type, size_t n);
/* How often the event with this seq of this stream came. */
size_t world_times(struct world_client *c, struct stream s, uint64_t seq);
const char *world_topic(char out[64], const char *class_name, uint64_t id);
