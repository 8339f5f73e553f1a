/*
 * crowd - thousands of websockets that behave as a careful client does: they keep their position, and when a connection is lost, by
 * whichever end, they come back to the next gateway and resume. What each gets is checked: all sockets of a group must get the very
 * same frames in the same order, across every reconnect, none missing and none twice. Shares no code with the servers.
 *
 * The plan comes on stdin, one fact a line, then orders:
 *   gateway HOST PORT                      several: sockets take turns, and go on to the next when one fails
 *   user TOKEN
 *   group TOPIC SOCKETS FIRST_USER USERS   all of its sockets subscribe to the topic, which lies in one stream
 *   go                                     connect everybody; "ready" is printed when all are subscribed
 *   churn PER_S                            from now on so many sockets a second are cut, left, or change their subscriptions
 *   settle COUNT...                        no churn; ends when every socket has so many messages of its group (one COUNT a group)
 * What came of it is one JSON object on stdout. Exit 0: nothing was wrong; 1: something was; 2: the run could not be made.
 *
 * Single thread. Times are CLOCK_MONOTONIC milliseconds.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- what a group got (crowd_ledger.c) */

struct crowd_entry {
	uint64_t seq, hash;
	bool message; /* a channel_message */
};

/* What a socket got of its stream from where it began on, over all its connections: every entry of the ledger in (begun, last]. */
struct crowd_life {
	uint64_t begun, last;
	uint64_t count, sum;       /* of entries, and of their hashes */
	uint64_t messages, message_sum; /* of those that are messages */
	bool messages_only;        /* it looked at more than its topic for a while: only messages were counted then */
};

struct crowd_group {
	char topic[96];
	uint32_t sockets, first_user, users;
	char stream[64]; /* as the first answer spelled it */
	struct crowd_entry *entries; /* ascending; whoever gets one first enters it */
	size_t count, capacity;
	uint64_t messages;
	struct crowd_life *lives; /* that are over */
	size_t life_count, life_capacity;
};

struct crowd_faults {
	uint64_t lost, doubled, reordered, corrupt, not_recovered, refused;
};

/* One event of the group's stream, for the socket that this life is of. What is doubled, out of order or unlike what others got is told at once. */
void crowd_got(struct crowd_group *group, struct crowd_life *life, uint64_t seq, const char *text, size_t length, struct crowd_faults *faults);
/* The socket begins anew at seq; what its life before it was is kept for the end. */
void crowd_begin(struct crowd_group *group, struct crowd_life *life, uint64_t seq);
/* Is something in the ledger that the socket has not got yet? */
bool crowd_is_behind(const struct crowd_group *group, const struct crowd_life *life);
/* At the end, when nothing is on its way: compares every life of the group, the lives of its sockets among them once they are begun anew, with
 * the ledger. Which of them gets an event first does not matter for that, nor how late a socket is read. */
void crowd_verify(const struct crowd_group *group, struct crowd_faults *faults);

/* ---- what is in a frame. Text is the server's own JSON: keys are looked for, not parsed. */
bool crowd_type_is(const char *text, size_t length, const char *type);
/* The number behind "key": that comes last; false: there is none. */
bool crowd_last_number(const char *text, size_t length, const char *key, uint64_t *out);
/* The first member of "streams":{"NAME":...}; NULL: there is none. out_rest: what stands behind its colon. */
const char *crowd_first_stream(const char *text, size_t length, size_t *out_length, const char **out_rest);
