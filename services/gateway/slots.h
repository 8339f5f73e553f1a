/*
 * slots - what is a person's own in a channel, for dialects whose events show it (dialect.h, `share`): how far he has read, kept per
 * person while one of his clients wants it, and his rights, which moderation is asked for when an event shows them. docs/architecture.md,
 * "What is the receiver's own". Belongs to one loop.
 *
 * A mark is loaded once (list_unread) and kept true by the events of the streams that the client is in. It is where the channel's, or
 * a thread's, counter stood, so that a message costs a subtraction and no question. Rights are not kept: of all the events that may change one
 * none need be understood here, and an answer is never older than the event that it is shown with.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/rpc/stubs.h"
#include "services/gateway/hub.h"

struct client;
struct delivery;
struct feed;
struct user;

#define SLOTS_MOST        4096 /* channels of one person; beyond them nothing is told of what is unread */
#define SLOT_THREADS_MOST 200  /* of a channel; beyond them the oldest are let go */

/* How far somebody has read a thread that he follows. */
struct slot_thread {
	uint64_t root_id;
	uint64_t last_read_id;  /* 0: none */
	uint32_t read, counted; /* replies: those that he has read, those there are */
};

/* How far somebody has read a channel. */
struct slot {
	uint64_t channel_id;
	uint64_t last_read_id;       /* what is no reply */
	uint64_t mark;               /* the channel's counter there, without replies */
	uint64_t counted;            /* the same as last heard */
	struct slot_thread *threads; /* in no order: those with anything unread, and what moved lately */
	uint16_t threads_known, threads_room;
	uint32_t thread_count; /* unread replies in all of them, and in how many */
	uint32_t thread_total;
	uint8_t flag;  /* enum channel_flag: of his own list */
	bool recorded; /* he is a member, or has posted or marked: counts are shown to him */
	bool placeless; /* he has just become one: the mark stands before the next post that is heard of */
};

/* Of one person in one channel, as moderation answered. */
struct slot_rights {
	uint64_t user_id;
	struct bits bits;
	enum status status;
	uint32_t role;     /* enum channel_role */
	uint64_t unlisted; /* himself, when he is in the channel and moderation's list, which is cut, ends before him; else 0 */
};

/* A person's marks. Kept while he has a client whose dialect shows what is its receiver's own. */
struct slots {
	struct slot *items; /* by channel */
	uint32_t count, capacity;
	uint32_t wanted; /* clients */
	bool loaded;
	bool stale;  /* something of his happened while they were being read: they are read again */
	bool queued; /* in hub->slots_unasked */
	struct question *asking;
	struct user *next_unasked;
};

/* The client wants them; done is called once, later, unless the client ends: OK, or BUSY when messaging does not answer. */
void slots_want(struct client *client, void (*done)(struct client *client, enum status st));
/* The client goes. */
void slots_leave(struct client *client);
/* NULL: he has no mark there, or they are not kept. */
const struct slot *slots_find(const struct user *user, uint64_t channel_id);
/* Unread messages outside threads. */
static inline uint64_t slot_unread(const struct slot *slot)
{
	return slot->recorded && slot->counted > slot->mark ? slot->counted - slot->mark : 0;
}
/* NULL: nothing is known of it, so nothing is unread. slot may be NULL. */
const struct slot_thread *slot_thread(const struct slot *slot, uint64_t root_id);
static inline uint32_t slot_thread_unread(const struct slot_thread *thread)
{
	return thread->counted > thread->read ? thread->counted - thread->read : 0;
}
/* slot_threads.c: what is known of it already, or a new one; what it tells is summed up when its numbers are set. */
struct slot_thread *slot_thread_add(struct slot *slot, uint64_t root_id);
void slot_thread_remove(struct slot *slot, uint64_t root_id);
void slot_threads_sum(struct slot *slot);
bool slots_equal(const struct slot *a, const struct slot *b);
bool slot_rights_equal(const struct slot_rights *a, const struct slot_rights *b);

/* The event is next in its feed: marks that it moves are moved before it goes out. */
void slots_obey(struct feed *feed, const pb_Event *body);
/* The slot of a receiver of an event in a channel, with what the event says of the channel's counter. NULL: there is none. */
const struct slot *slots_receive(struct user *user, uint64_t channel_id, const pb_Event *body);
/* Reads the marks that are wanted, a few people's at a time. */
void slots_flush(struct hub *hub);

/* ---- asking moderation before an event goes out: the feed waits, a few seconds at most */

void slots_ask_begin(struct feed *feed, struct delivery *d);
void slots_ask_free(struct slots_ask *ask); /* accepts NULL; an answer on its way finds nobody */
bool slots_ask_waits(const struct slots_ask *ask);    /* accepts NULL */
bool slots_ask_answered(const struct slots_ask *ask); /* false: it was given up */
/* NULL: nothing was asked about him. */
const struct slot_rights *slots_rights(const struct slots_ask *ask, uint64_t user_id);
/* The channel as moderation sees it, NULL when it is deleted, and who is in it. */
const pb_ChannelView *slots_channel(const struct slots_ask *ask);
const uint64_t *slots_members(const struct slots_ask *ask, size_t *out_count);
