/*
 * membership - calls of dialects that are one thing to a client and several to the owners: joining oneself or
 * adding another, a channel with its members, typing. Each gives a status; x->outcome has the rest.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "services/api/exchange.h"

/* The actor joins, or adds somebody else. STATUS_NOT_FOUND with field user: no such account. */
enum status team_member_put(struct exchange *x, uint64_t team_id, uint64_t user_id, pb_MemberReply *out);
/* team_only: STATUS_FORBIDDEN with why "conversation" for the people of one. */
enum status channel_member_put(
	struct exchange *x, uint64_t channel_id, uint64_t user_id, bool team_only, pb_ChannelMemberReply *out);

/* What a ban tells the owner about somebody who may never have been a member. scope: a team or a channel. */
enum status ban_request(struct exchange *x, uint64_t scope_id, uint64_t user_id, const char *motive,
	int64_t expires_at_ms, pb_BanRequest *out);

/* The channel and the rows of its members, the actor as owner: two steps of one change. Repeating completes
 * it. STATUS_FIELD_INVALID with field members when one of them does not exist. */
enum status channel_create(struct exchange *x, const pb_CreateChannelRequest *request,
	const uint64_t *members, size_t member_count, pb_ChannelReply *out);

/* A copy of the channel without its messages, the actor as its owner: four steps of one change. Repeating completes it. name: or
 * NULL for the same. */
enum status channel_clone(struct exchange *x, uint64_t channel_id, const char *name, pb_ChannelReply *out);
/* The one conversation of the actor with these people (himself or not among them), with its people. name: of a group
 * that is made, or NULL. STATUS_FIELD_INVALID with field user_ids: nobody else, somebody twice, too many, or somebody
 * who does not exist. */
enum status conversation_open(struct exchange *x, const uint64_t *user_ids, size_t count, const char *name,
	pb_OpenConversationReply *out);

/* Tells those who read the channel, if the actor may write there. */
enum status typing_set(struct exchange *x, uint64_t channel_id, bool is_typing);

/* Tells who reads the channel (0: the whole team) what the actor is doing, if he reads it (is in it). */
enum status activity_send(
	struct exchange *x, uint64_t team_id, uint64_t channel_id, const char *kind, uint64_t message_id);

/* Custom status: shown in all of the actor's teams. text and emoji NULL: cleared. */
struct status_fields {
	const char *text, *emoji;
	int64_t expires_at_ms;  /* wall clock; 0: no end */
	bool clear_when_active; /* it ends with the next thing he does */
};
enum status status_set(struct exchange *x, const struct status_fields *fields, pb_PresenceViewReply *out);
