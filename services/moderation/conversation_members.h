/*
 * conversation_members - people who come into and leave groups. A direct conversation has exactly its two people for
 * good. The halves of the calls in channel_members.c for channels that are conversations: prepare runs after the
 * actor and the target were loaded there and the actor is known to be in it.
 *
 * The set of a group decides its member_key, so a change locks, beside the group's stream and the target's, the
 * stream of the key that the set gets, and finds under the lock the set it was prepared for.
 */
#pragma once

#include "services/moderation/change.h"

static inline bool change_in_conversation(const struct change *c)
{
	return change_actor(c)->eval.team == NULL;
}

/* Who is there already is answered again; nobody comes by himself. */
enum status conversation_prepare_join(struct change *c);
/* 72: any of its people. AT_LIMIT with CONVERSATION_MEMBERS_MAX. */
enum status conversation_prepare_add(struct change *c);
enum status conversation_work_add(struct change *c);
/* Oneself leaves (66); only the owner takes another out. When the owner goes, the oldest member is owner. */
enum status conversation_prepare_remove(struct change *c);
enum status conversation_work_remove(struct change *c);

/* An erased account leaves its groups, a commit each; what is done already is not done again. */
enum status conversations_leave_all(struct moderation *service, struct rpc_call *call, uint64_t user_id);
