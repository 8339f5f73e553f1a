/* Who holds which key in a team, and since when. */
#pragma once

#include "tests/unit/moderation/fixture.h"

/* Does the person hold the key, by his class or by himself? */
static inline bool holds_key(const pb_ListAudiencesReply *reply, const pb_AudienceAnswer *a, const char *wanted)
{
	bool held = false;
	const pb_KeySet *set = &reply->key_sets[a->key_set];
	ck_assert_uint_lt(a->key_set, reply->key_sets_count);
	for (size_t i = 0; i < set->keys_count; i++)
		held |= strcmp(set->keys[i], wanted) == 0;
	for (size_t i = 0; i < a->lost_count; i++)
		held &= strcmp(a->lost[i], wanted) != 0;
	for (size_t i = 0; i < a->gained_count; i++)
		held |= strcmp(a->gained[i], wanted) == 0;
	return held;
}

static inline const pb_AudienceAnswer *answer_for(const pb_ListAudiencesReply *reply, const pb_UserView *who, uint64_t team)
{
	for (size_t i = 0; i < reply->answers_count; i++)
		if (reply->answers[i].user_id == who->id && reply->answers[i].stream_id == team)
			return &reply->answers[i];
	ck_abort_msg("no answer");
	return NULL;
}

static inline pb_ListAudiencesReply keys_in(struct house *h, uint64_t team, size_t count, pb_UserView **who)
{
	uint64_t *ids = ARENA_ARRAY(h->mem, count, uint64_t);
	pb_StreamHead *streams = ARENA_NEW(h->mem, pb_StreamHead);
	pb_ListAudiencesReply reply;
	for (size_t i = 0; i < count; i++)
		ids[i] = who[i]->id;
	*streams = (pb_StreamHead){.rank = 1, .stream_id = team};
	OK(h, the_system, list_audiences, &reply, .user_ids = ids, .user_ids_count = (pb_size_t)count, .streams = streams,
		.streams_count = 1);
	return reply;
}

/* Does he hold the key now? */
static inline bool holds_now(struct house *h, uint64_t team, pb_UserView *who, const char *wanted)
{
	pb_ListAudiencesReply reply = keys_in(h, team, 1, &who);
	return holds_key(&reply, answer_for(&reply, who, team), wanted);
}

static inline uint64_t unchanged_since(struct house *h, uint64_t team, pb_UserView *who)
{
	pb_ListAudiencesReply reply = keys_in(h, team, 1, &who);
	return answer_for(&reply, who, team)->unchanged_since;
}
