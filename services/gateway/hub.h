/*
 * hub - what one loop knows of clients, streams, keys and topics, and what follows from it when an event, an
 * answer or a client's request comes. No sockets and no transport in here: the loop feeds it and writes the
 * clients' queues; everything outside is asked through ports and answered by hub_answer. One thread only.
 * Rules: the event log's section 5.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/bus/bus.h"
#include "common/rpc/stubs.h"
#include "services/gateway/dialect.h"
#include "services/gateway/queue.h"
#include "services/gateway/table.h"
#include "services/gateway/wheel.h"

#define HUB_GENERATION_SIZE 96

/* What a client's frames may ask of the owners (acts.tbl.h). */
enum act {
#define ACT(owner, call, request) ACT_##call,
#include "services/gateway/acts.tbl.h"
#undef ACT
};

struct hub;
struct client;
struct feed;
struct socket_limits;

/* Something that was asked outside. The first member of a struct of the asker's, which its `answered` frees.
 */
struct question {
	uint64_t id;
	const char *detail; /* of a refusal, while `answered` runs; NULL: none */
	/* reply: the owner's reply struct, only with STATUS_OK, lives until the return. why may be NULL. */
	void (*answered)(struct hub *hub, struct question *question, enum status st, const void *reply,
		const char *why);
};

/* Stands for all streams of somebody's teams, of his conversations, or of both. */
#define ALL_TEAMS         1
#define ALL_CONVERSATIONS 2
#define STREAMS_OF(all)   ((struct stream){0, (all)})

/*
 * The outside. Nothing here blocks; each `ask` is answered once by hub_answer with the same question id, from
 * the loop's turn, never from within the call.
 */
struct hub_ports {
	void (*follow)(
		void *arg, struct stream s, uint64_t at, uint64_t follow); /* answered by hub_followed */
	void (*unfollow)(void *arg, struct stream s, uint64_t follow);
	void (*hint)(void *arg, struct stream s, uint64_t seq);
	/* The generation of the log as the bus knows it, "" before it does. For hub_generation only. */
	void (*generation)(void *arg, char out[HUB_GENERATION_SIZE]);
	void (*ask_token)(void *arg, uint64_t question, const char *token,
		enum dialect dialect); /* pb_ResolveTokenReply */
	/* Keys of users in a stream, or in all of theirs: STREAMS_OF. pb_ListAudiencesReply */
	void (*ask_keys)(void *arg, uint64_t question, struct stream s, const uint64_t *users, size_t count);
	void (*ask_rights)(void *arg, uint64_t question, uint64_t user, const uint64_t *channels,
		size_t count); /* pb_JudgeManyReply */
	/* pb_TeamIdsReply, its users */
	void (*ask_teams)(void *arg, uint64_t question, const uint64_t *users, size_t count);
	void (*ask_head)(void *arg, uint64_t question, struct stream s); /* pb_StreamHeadsReply */
	void (*ask_events)(void *arg, uint64_t question, struct stream s, uint64_t after, uint32_t limit,
		uint64_t expect_head, const char *generation); /* pb_FetchEventsReply */
	void (*ask_typing)(void *arg, uint64_t question, const struct client *by,
		const pb_SetTypingRequest *request); /* pb_Empty */
	void (*ask_presence)(void *arg, uint64_t question, const struct client *by,
		uint32_t chosen); /* pb_PresenceViewReply */
	/* Rights of users in channels, with the channels and who is in them. pb_ListAudiencesReply, its slots */
	void (*ask_slots)(void *arg, uint64_t question, const uint64_t *channels, size_t channel_count, const uint64_t *users,
		size_t count);
	/* Who is shown as present in a team, no more than most of them. pb_ListOnlineReply, ids alone */
	void (*ask_online)(void *arg, uint64_t question, uint64_t team, uint32_t most);
	void (*ask_unread)(void *arg, uint64_t question, const struct client *by); /* pb_ListUnreadReply */
	/* One of acts.tbl.h on behalf of a client; the reply is that call's. */
	void (*ask_act)(void *arg, uint64_t question, const struct client *by, enum act act, const void *request);
	/* An authenticated client is there, changed (where its user is shown; NULL: nowhere), is gone. */
	void (*presence_opened)(void *arg, const struct client *client, const pb_TeamIdsOf *places);
	void (*presence_changed)(void *arg, const struct client *client, const pb_TeamIdsOf *places);
	void (*presence_closed)(void *arg, const struct client *client);
	uint32_t (*random)(void *arg, uint32_t below); /* for jitter */
};

struct hub_options {
	const struct hub_ports *ports;
	void *arg;
	uint32_t queue_bytes;
	uint32_t queue_ms;
	uint32_t heartbeat_ms;
	uint32_t handshake_ms; /* for the upgrade; 0: as auth_ms */
	uint32_t auth_ms;      /* from the upgrade on */
	uint32_t ops_per_min; /* 0: any */
	uint32_t posts_per_5s; /* of one client in one channel; 0: any */
	uint32_t beat_ms;       /* between words of who is there, of dialects that have them; a minute when 0 */
	uint32_t presence_most; /* people of a team of whom everybody is told so; where there are more, each of himself */
	bool crust_strict;     /* common/dialects/crust/bounds.h */
	uint32_t max_frame_bytes;
	struct socket_limits *limits; /* NULL: none */
	int deflate_level;      /* 0: frames are not compressed */
	size_t deflate_least_bytes;
	uint32_t slice; /* sockets of one event in a row; 512 when 0 */
	uint32_t ring_stream_bytes, ring_bytes; /* of remembered events, of one stream and in all; 0: none are kept */
	bool canary; /* measures the canary */
	uint32_t linger_ms; /* how long a stream is followed that nobody is in any more; 10 s when 0 */
};

/* Growing array of clients that have something to do. */
struct client_list {
	struct client **items;
	size_t count, capacity;
};

/* Events whose last frame is appended and not yet written, oldest first. */
struct fanouts {
	struct fanout {
		int64_t committed_at_ms;
		uint64_t behind; /* it is written when so many entries of hub->bulk are, of all there ever were */
	} *items;
	size_t begin, count, capacity; /* items[begin, count) */
	uint64_t bulk_written;
};

struct hub {
	struct hub_options options;
	int64_t now_mono_ms, now_wall_ms; /* set by the loop at each turn */
	struct wheel wheel;
	struct queue_pool pool;
	struct deflate *deflate; /* NULL: nothing is compressed */
	struct arena *scratch; /* reset after each event, answer and message */
	struct table feeds[4]; /* by rank, then id */
	struct table users;
	struct table channels; /* struct channel_fact by channel id */
	struct table questions;
	uint64_t last_question, last_follow, last_serial;
	struct feed *active, **active_end; /* feeds with something to do, in turn */
	struct feed *unasked;              /* feeds with openings or a recheck to ask for in this turn */
	struct feed *lingering;            /* without members; oldest last */
	struct whereabouts *whereabouts;   /* clients whose teams presence is to be told */
	bool whereabouts_asked;            /* one question at a time */
	struct timer whereabouts_retry;
	struct teams_ask *unasked_teams, **unasked_teams_end; /* clients whose keys in all their teams are to be asked for */
	struct page *pages;              /* read from the log for replays, latest used first */
	size_t page_count;
	struct page_ask *page_asks; /* being read, or to be read */
	struct page_ask *pages_unasked, **pages_unasked_end; /* of these, those that wait for others to be read */
	unsigned pages_in_flight, teams_in_flight, judges_in_flight; /* questions to the owners: each kind is bounded */
	struct rights_question *unjudged, **unjudged_end;            /* wait for others to be judged */
	size_t slots_kept; /* people whose slots are kept */
	struct user *slots_unasked, **slots_unasked_end;
	unsigned slots_in_flight;
	struct ring_entry *ring_oldest, *ring_newest; /* remembered events of all streams */
	size_t ring_bytes;
	struct client_list urgent;  /* answers and small fan-outs: written first */
	struct client_list bulk;    /* large fan-outs: written in slices */
	struct fanouts fanouts;
	struct client *clients;     /* all of them */
	size_t client_count;
	struct table sockets;     /* clients by socket id */
	struct table beats;       /* of dialects that say from time to time who is there: struct crust_beat by team */
	struct client_list ended; /* closed, to be freed by the loop after its turn */
	struct timer sweep;
	struct timer generation_due; /* wishes wait to be told the log's generation */
	uint64_t events_sent; /* since the metrics were last told; so are the next */
	uint64_t frame_hits, replayed_memory, replayed_log;
	uint64_t ephemeral_shed;
	size_t ring_bytes_told;
	struct canary *canary; /* NULL: another loop follows it */
	bool draining;
	bool pressed; /* the queues of the process are nearly full: ephemeral events are let go */
	char generation[HUB_GENERATION_SIZE]; /* see hub_generation */
};

void hub_init(struct hub *hub, const struct hub_options *options, int64_t now_mono_ms, int64_t now_wall_ms);
/* Every client must have ended. */
void hub_finish(struct hub *hub);

/* Registers the question and gives it its id. */
uint64_t hub_ask(struct hub *hub, struct question *question);
/* The answer of a port. */
void hub_answer(
	struct hub *hub, uint64_t question, enum status st, const void *reply, const char *why, const char *detail);

/* From the order, in its order. ev is borrowed. */
void hub_event(struct hub *hub, struct bus_event *ev);
void hub_ephemeral(struct hub *hub, struct bus_event *ev);
void hub_followed(struct hub *hub, struct stream s, uint64_t applied, uint64_t follow);
void hub_refetch(struct hub *hub, struct stream s);
void hub_generation_changed(struct hub *hub);
/* The generation that the positions in this loop are of, "" before it is known. The bus may be a step ahead: until its word has
 * come through the mailbox everything here still belongs to the one before, and is told with that name. */
const char *hub_generation(struct hub *hub);

/* Appends what is due to queues, at most about `appends` frames. True: there is more to do. */
bool hub_run(struct hub *hub, size_t appends);
/* The last frame of an event was appended. */
void hub_fanned_out(struct hub *hub, int64_t committed_at_ms);
/* The urgent list and the first `bulk` of the bulk list were written. */
void hub_written(struct hub *hub, size_t bulk, int64_t now_wall_ms);
/* Adds what was counted since to the metrics: once a turn, for counters that all loops share are dear to touch. */
void hub_tell_metrics(struct hub *hub);
/* Asks for what gathered in this turn. After everything else of a turn. */
void hub_flush_questions(struct hub *hub);
