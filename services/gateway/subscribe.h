/*
 * subscribe - a client's wish for topics, from the topics to its answer: which streams they are in, letting
 * the client in, what it may not have, what it missed since the positions it named. A client's wishes are
 * worked on one after the other.
 */
#pragma once

#include "services/gateway/stream.h"

#define SUBSCRIBE_MOST_TOPICS  200 /* of one client */
#define SUBSCRIBE_MOST_WAITING 32

enum topic_kind { TOPIC_KIND_CHANNEL, TOPIC_KIND_USER, TOPIC_KIND_GLOBAL, TOPIC_KIND_TEAM };

struct topic_wish {
	const char *text; /* as the client spelled it */
	enum topic_kind kind;
	uint64_t id;
	enum status status;   /* of the wish so far; not OK: refused */
	struct stream stream; /* rank 0: not known yet */
	bool judged;          /* moderation was asked about it, status has the answer */
};

struct position {
	struct stream stream; /* rank 0: as it is spelled it is none of ours */
	uint64_t seq;
	const char *text; /* as the client spells it */
};

struct stream_answer {
	struct stream stream;
	uint64_t seq;   /* where the client is now */
	bool recovered; /* what came after the position it named follows, or nothing did */
	/* the work */
	uint64_t live_from; /* what comes after it is not replayed */
	bool awaited;       /* the client is being let in */
	bool reading;       /* what it missed is being read from the log */
	bool fresh;         /* events wait until the wish is answered */
	bool gone;          /* not for this client after all */
	bool joined;        /* the user came into it while the wish was worked on: his since then */
	uint64_t sought;    /* ALL_..., by a topic that looks everywhere; 0: by its own topics */
};

enum subscribe_stage {
	SUBSCRIBE_QUEUED,
	SUBSCRIBE_PLACING, /* moderation is asked where channels are, and whether the user may read them */
	SUBSCRIBE_OPENING, /* the client is let into the streams */
	SUBSCRIBE_JUDGING, /* moderation is asked about channels whose key turned out not to be held */
	SUBSCRIBE_READING, /* what was missed is read */
};

struct subscribe {
	struct subscribe *next;
	struct client *client;
	struct arena *mem; /* everything of the wish; dies with it */
	const char *ref;   /* JSON, or NULL */
	struct topic_wish *topics;
	size_t topic_count;
	bool removes; /* an unsubscribe */
	bool has_since;
	const char *generation; /* of since */
	struct position *since;
	size_t since_count;
	/* the work */
	enum subscribe_stage stage;
	size_t outstanding; /* answers awaited in this stage */
	size_t reading;     /* streams whose first page is awaited */
	bool working;       /* in the middle of a step: not to be completed */
	bool wants_teams;   /* a global topic: all teams of the user */
	bool wants_direct;  /* his own topic: all his conversations */
	int64_t give_up_at_ms;
	struct rights_question *judging;
	struct teams_ask *asking_teams;
	/* the answer */
	char present_generation[HUB_GENERATION_SIZE];
	struct stream_answer *answers;
	size_t answer_count, answer_capacity;
};

/* An empty wish. The dialect fills mem, ref, topics, since and hands it over. */
struct subscribe *subscribe_create(struct client *client);
/* Takes it; dialect->subscribed is called once, later or at once, unless the client ends. BUSY and freed: too
 * many wait. */
enum status subscribe_submit(struct subscribe *sub);
void subscribe_free(struct subscribe *sub);

/* The user came into a team or a conversation: opens it for a client that looks into all of them (flag: CLIENT_GLOBAL,
 * CLIENT_DIRECT). */
void subscribe_joined(struct client *client, struct stream s, uint32_t flag);
/* The client goes: its wishes with it. */
void subscribe_drop(struct client *client);
/* A member left while a wish was worked on. */
void subscribe_member_gone(struct client *client, struct stream s);
/* Goes on when nothing of the present stage is outstanding any more. sub may be gone afterwards. */
void subscribe_advance(struct subscribe *sub);
struct stream_answer *subscribe_answer(struct subscribe *sub, struct stream s); /* NULL: the wish has not come to it */
/* Wishes that wait for the generation of the log: hub->generation_due. */
void subscribe_generation_due(struct timer *timer, int64_t now_mono_ms);
/* Asks for what gathered in this turn. */
void subscribe_flush(struct hub *hub);
