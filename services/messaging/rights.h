/*
 * rights - what the actor of a call may do in one channel, as moderation judged it, with the epochs that make
 * the judgement checkable. Positive answers are kept in a bounded cache keyed by (user, channel); a refusal
 * is always judged anew, so that nobody is turned away by an old answer. An old positive answer does no harm:
 * whoever commits or reads by it compares its epochs first.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/events/events.h"
#include "common/rpc/stubs.h"
#include "services/messaging/service.h"

struct rights {
	enum status status; /* OK, or why this channel is not for the actor: NOT_FOUND, NO_ACCESS,
			       UNAUTHENTICATED */
	const char *why;    /* the rule that decided, or NULL */
	struct bits bits;   /* of the system: all */
	uint64_t team_id, channel_id;
	struct stream stream; /* home of the channel's events */
	uint64_t stream_epoch, member_epoch, generation; /* generation: of the log under which the epochs were read */
	int64_t valid_until_ms; /* 0: no end known */
	char audience[AUDIENCE_SIZE];
	char open_audience[AUDIENCE_SIZE]; /* the key were the channel not private; its own where moderation
					      did not say */
	const char *channel_name;          /* "" for a team */
	uint32_t channel_kind;             /* 0 for a team */
	bool channel_private, channel_archived;
	bool new_restricted; /* of a team: a new open channel of the kind asked for has a key of its own */
	uint32_t channel_role;             /* enum channel_role: his membership; none in a channel that he sees without one */
	uint64_t joined_seq;               /* head of the stream when the actor joined; 0: not known */
	const uint64_t *role_ids;          /* that he holds, without the base role */
	size_t role_count;
	bool cached; /* not asked for this call */
};

enum rights_from { RIGHTS_CACHED, RIGHTS_FRESH };

/* entries: the most that are kept; a multiple of 4. NULL when memory is out. */
struct rights_cache *rights_cache_create(size_t entries);
void rights_cache_destroy(struct rights_cache *cache);
/* Copies into out (strings and roles into mem) what is kept for (user, channel) and still valid. Any thread. */
bool rights_cache_find(struct rights_cache *cache, struct arena *mem, uint64_t user, uint64_t channel,
	int64_t now_ms, struct rights *out);
/* Keeps a copy; only what has STATUS_OK is kept. Any thread. */
void rights_cache_put(struct rights_cache *cache, uint64_t user, const struct rights *rights);
void rights_cache_drop(struct rights_cache *cache, uint64_t user, uint64_t channel);

/* What moderation answered as ours; strings and roles stay the answer's. is_system: the call has no actor. */
void rights_from_answer(const pb_Rights *answer, bool is_system, struct rights *out);

/*
 * The actor's rights in a channel. RIGHTS_CACHED may answer from the cache (out->cached says so),
 * RIGHTS_FRESH asks moderation. STATUS_OK when judged, which may be a refusal in out->status; else BUSY, LATE
 * and what else a call ends with. May block for one call. Strings in call->mem.
 */
enum status rights_of_channel(struct service *s, struct rpc_call *call, uint64_t channel,
	enum rights_from from, struct rights *out);
/* The same for a team; never cached. new_kind: of a channel that is to be made there, or 0. */
enum status rights_of_team(
	struct service *s, struct rpc_call *call, uint64_t team, uint32_t new_kind, struct rights *out);

/*
 * OK when the right is held; else how its absence is answered: ARCHIVED for a read-only channel, TIMED_OUT
 * for a timeout, FORBIDDEN with the permission's name in out_why. What is refused by status is passed on as
 * it is.
 */
enum status rights_need(const struct rights *r, enum permission needed, const char **out_why);
/* NOT_FOUND only because the channel, or the parent of this thread, is deleted: of the bits undelete_channel
 * may be there. */
bool rights_deleted(const struct rights *r);
/* The same for a post: thread kinds ask 63, replies 50 besides 49. */
enum status rights_need_post(const struct rights *r, bool reply, const char **out_why);
/* Of the channel or conversation: what he has unread is recorded for him. */
static inline bool rights_is_member(const struct rights *r)
{
	return r->channel_role != CHANNEL_ROLE_NONE || r->team_id == 0;
}
/* Slow mode does not hold for this person: 19, what implies it, or a bot that may update the channel. */
bool rights_slow_exempt(const struct rights *r, bool bot);

/* The context of a call that is made for another: same actor, deadline and trace, no request id (a read). */
struct rpc_context rights_context(const struct rpc_call *call);

void rights_channel_ref(const struct rights *r, pb_ChannelRef *out); /* borrows the name */
