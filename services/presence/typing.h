/*
 * typing - who is typing in which channel. A table in memory; time comes in as an argument, events go out through one
 * callback. Not thread-safe: the service holds its lock around every call.
 *
 * Per person and channel at most one "is typing" in TYPING_PAUSE_MS; it ends by itself TYPING_LIFE_MS after the client's
 * last word, and at once when the client says so. An end is only told after a beginning was.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"
#include "common/events/events.h"

#define TYPING_PAUSE_MS INT64_C(3000)
#define TYPING_LIFE_MS  INT64_C(6000)
#define TYPING_MOST     100000 /* people and channels at a time; beyond it new ones get BUSY */

/* Whom it is about and for whom; borrowed, copied by typing_set when it keeps it. */
struct typing_subject {
	uint64_t user_id;
	uint64_t channel_id;
	struct stream stream;           /* home of the audience */
	char audience[AUDIENCE_SIZE];
	const uint8_t *view;            /* encoded UserView */
	size_t view_length;
	const uint8_t *channel;         /* encoded ChannelRef */
	size_t channel_length;
};

typedef void typing_changed(void *arg, const struct typing_subject *subject, bool is_typing);

struct typing;
struct typing *typing_create(typing_changed *changed, void *arg);
void typing_destroy(struct typing *t); /* accepts NULL; tells nothing */

/* What a client said. STATUS_BUSY: TYPING_MOST reached. */
enum status typing_set(struct typing *t, const struct typing_subject *subject, bool is_typing, int64_t now_mono_ms);
/* Ends what is over. */
void typing_tick(struct typing *t, int64_t now_mono_ms);
size_t typing_count(const struct typing *t);
