#include "services/api/membership.h"

#include "common/events/kinds.h"
#include "services/api/accounts.h"

#define SEEDED_MOST       200 /* a channel's members given at its creation: domain model, 6 */
#define CONVERSATION_MOST 50  /* people of a conversation, the actor among them */

static enum status person(struct exchange *x, uint64_t user_id, pb_UserView *out)
{
	enum status st = accounts_get(x->api, x->mem, user_id, x->deadline_mono_ms, out);

	return st == STATUS_OK ? st : exchange_fail(x, st, NULL, st == STATUS_NOT_FOUND ? "user" : NULL, NULL);
}

enum status team_member_put(struct exchange *x, uint64_t team_id, uint64_t user_id, pb_MemberReply *out)
{
	pb_MemberRequest request = {.team_id = team_id, .user_id = user_id, .has_user = true};

	if (user_id == x->actor.id) {
		request.user = *x->actor.account;
		return CALL(x, moderation, join_team, team_id, &request, out);
	}
	enum status st = person(x, user_id, &request.user);
	return st == STATUS_OK ? CALL(x, moderation, add_member, team_id, &request, out) : st;
}

enum status channel_member_put(
	struct exchange *x, uint64_t channel_id, uint64_t user_id, bool team_only, pb_ChannelMemberReply *out)
{
	pb_ChannelMemberRequest request = {.channel_id = channel_id,
		.user_id = user_id,
		.role = CHANNEL_ROLE_MEMBER,
		.has_user = true,
		.team_only = team_only};

	if (user_id == x->actor.id) {
		request.user = *x->actor.account;
		return CALL(x, moderation, join_channel, channel_id, &request, out);
	}
	enum status st = person(x, user_id, &request.user);
	return st == STATUS_OK ? CALL(x, moderation, add_channel_member, channel_id, &request, out) : st;
}

enum status ban_request(struct exchange *x, uint64_t scope_id, uint64_t user_id, const char *motive,
	int64_t expires_at_ms, pb_BanRequest *out)
{
	*out = (pb_BanRequest){
		.scope_id = scope_id,
		.user_id = user_id,
		.reason = (char *)motive,
		.expires_at_ms = (uint64_t)expires_at_ms,
		.has_user = true,
	};
	return person(x, user_id, &out->user);
}

enum status channel_create(struct exchange *x, const pb_CreateChannelRequest *request,
	const uint64_t *members, size_t member_count, pb_ChannelReply *out)
{
	pb_UserView *people = ARENA_ARRAY(x->mem, member_count + 1, pb_UserView);
	size_t people_count = 1;
	pb_UserView *found;
	size_t found_count;
	pb_Empty nothing;

	people[0] = *x->actor.account;
	if (member_count > SEEDED_MOST)
		return exchange_fail(x, STATUS_FIELD_INVALID, NULL, "members", "at most 200");
	enum status st = accounts_get_many(
		x->api, x->mem, members, member_count, x->deadline_mono_ms, &found, NULL, &found_count);
	if (st != STATUS_OK)
		return exchange_fail(x, st, NULL, NULL, NULL);
	if (found_count != member_count)
		return exchange_fail(
			x, STATUS_FIELD_INVALID, NULL, "members", "names somebody who does not exist");
	for (size_t i = 0; i < found_count; i++) {
		if (found[i].erased)
			return exchange_fail(x, STATUS_FIELD_INVALID, NULL, "members",
				"names somebody who does not exist");
		if (found[i].id != x->actor.id)
			people[people_count++] = found[i];
	}
	st = CALL(x, messaging, create_channel, request->team_id, request, out);
	if (st != STATUS_OK)
		return st;
	struct rpc_outcome created = x->outcome;
	exchange_next_step(x, "seed");
	st = CALL(x, moderation, seed_channel, request->team_id,
		&((pb_SeedChannelRequest){.channel_id = out->channel.id,
			.users_count = (pb_size_t)people_count,
			.users = people}),
		&nothing);
	if (st == STATUS_OK)
		x->outcome = created;
	return st;
}

enum status channel_clone(struct exchange *x, uint64_t channel_id, const char *name, pb_ChannelReply *out)
{
	pb_ChannelReply draft;
	pb_Empty nothing;

	enum status st = CALL(x, messaging, clone_channel, channel_id,
		&((pb_CloneChannelRequest){.channel_id = channel_id, .name = (char *)name, .own = true}), &draft);
	if (st != STATUS_OK)
		return st;
	exchange_next_step(x, "copy");
	st = CALL(x, moderation, copy_channel_overrides, channel_id,
		&((pb_CopyChannelOverridesRequest){.from_channel_id = channel_id, .channel_id = draft.channel.id}),
		&nothing);
	if (st != STATUS_OK)
		return st;
	exchange_next_step(x, "open");
	st = CALL(x, messaging, set_channel_state, channel_id,
		&((pb_SetChannelStateRequest){.channel_id = draft.channel.id, .change = CHANNEL_OPEN}), out);
	if (st != STATUS_OK)
		return st;
	struct rpc_outcome opened = x->outcome;
	exchange_next_step(x, "seed");
	st = CALL(x, moderation, seed_channel, out->channel.team_id,
		&((pb_SeedChannelRequest){.channel_id = draft.channel.id, .from_channel_id = channel_id}), &nothing);
	if (st == STATUS_OK)
		x->outcome = opened;
	return st;
}

static enum status no_such_set(struct exchange *x, const char *detail)
{
	return exchange_fail(x, STATUS_FIELD_INVALID, NULL, "user_ids", detail);
}

enum status conversation_open(struct exchange *x, const uint64_t *user_ids, size_t count, const char *name,
	pb_OpenConversationReply *out)
{
	uint64_t *others = ARENA_ARRAY(x->mem, count, uint64_t), pick = x->actor.id;
	size_t other_count = 0, found_count = 0;
	pb_UserView *found = NULL;

	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < i; k++)
			if (user_ids[k] == user_ids[i])
				return no_such_set(x, "names somebody twice");
		if (user_ids[i] == x->actor.id)
			continue;
		others[other_count++] = user_ids[i];
		if (user_ids[i] < pick)
			pick = user_ids[i]; /* the same for whoever opens it */
	}
	if (other_count == 0)
		return no_such_set(x, "names nobody else");
	if (other_count >= CONVERSATION_MOST)
		return no_such_set(x, "a conversation has at most 50 people");
	if (other_count == 1 && name != NULL)
		return exchange_fail(x, STATUS_FIELD_INVALID, NULL, "name", "only a group has a name");
	enum status st = accounts_get_many(
		x->api, x->mem, others, other_count, x->deadline_mono_ms, &found, NULL, &found_count);
	if (st != STATUS_OK)
		return exchange_fail(x, st, NULL, NULL, NULL);
	bool all = found_count == other_count;
	for (size_t i = 0; i < found_count; i++)
		all = all && !found[i].erased;
	if (!all)
		return no_such_set(x, "names somebody who does not exist");
	return CALL(x, messaging, open_conversation, pick,
		&((pb_OpenConversationRequest){
			.users_count = (pb_size_t)other_count, .users = found, .name = (char *)name}),
		out);
}

static pb_ChannelRef ref_of(const pb_ChannelView *channel)
{
	return (pb_ChannelRef){.id = channel->id,
		.team_id = channel->team_id,
		.kind = channel->kind,
		.name = channel->name,
		.private = channel->private};
}

static pb_Target target_of(const pb_Rights *r)
{
	return (pb_Target){.rank = r->rank, .stream_id = r->stream_id, .audience = r->audience};
}

/* The actor's rights in a channel; a refusal is a status. */
static enum status judge(struct exchange *x, uint64_t channel_id, pb_JudgeReply *out)
{
	enum status st = ASK(x, moderation, judge, channel_id,
		&((pb_JudgeRequest){.user_id = x->actor.id, .channel_id = channel_id}), out);

	if (st == STATUS_OK)
		st = status_from_number(out->rights.status);
	return st == STATUS_OK ? st : exchange_fail(x, st, out->rights.why, NULL, NULL);
}

static bool may(const pb_Rights *r, enum permission p)
{
	return bits_has((struct bits){r->bits.low, r->bits.high}, p);
}

enum status typing_set(struct exchange *x, uint64_t channel_id, bool is_typing)
{
	pb_JudgeReply judged = {0};
	pb_Empty nothing;

	enum status st = judge(x, channel_id, &judged);
	if (st != STATUS_OK)
		return st;
	const pb_Rights *r = &judged.rights;
	if (!may(r, r->channel.kind == CHANNEL_THREAD ? PERMISSION_send_in_threads : PERMISSION_send_messages))
		return exchange_fail(
			x, STATUS_FORBIDDEN, r->why != NULL ? r->why : "send_messages", NULL, NULL);
	return CALL(x, presence, set_typing, channel_id,
		&((pb_SetTypingRequest){
			.has_channel = true,
			.channel = ref_of(&r->channel),
			.has_target = true,
			.target = target_of(r),
			.is_typing = is_typing,
		}),
		&nothing);
}

enum status activity_send(
	struct exchange *x, uint64_t team_id, uint64_t channel_id, const char *kind, uint64_t message_id)
{
	pb_JudgeReply judged;
	pb_Empty nothing;

	enum status st = ASK(x, moderation, judge, channel_id != 0 ? channel_id : team_id,
		&((pb_JudgeRequest){.user_id = x->actor.id,
			.channel_id = channel_id,
			.team_id = channel_id != 0 ? 0 : team_id}),
		&judged);
	if (st != STATUS_OK)
		return st;
	const pb_Rights *r = &judged.rights;
	st = status_from_number(r->status);
	if (st != STATUS_OK)
		return exchange_fail(x, st, r->why, NULL, NULL);
	struct bits bits = {r->bits.low, r->bits.high};
	if (channel_id != 0 && !bits_has(bits, PERMISSION_read_history))
		return exchange_fail(x, STATUS_FORBIDDEN, r->why != NULL ? r->why : "read_history", NULL, NULL);
	return CALL(x, presence, send_activity, x->actor.id,
		&((pb_SendActivityRequest){
			.has_channel = channel_id != 0,
			.channel = {.id = r->channel.id,
				.team_id = r->channel.team_id,
				.kind = r->channel.kind,
				.name = r->channel.name,
				.private = r->channel.private},
			.has_target = true,
			.target = {.rank = r->rank, .stream_id = r->stream_id, .audience = r->audience},
			.kind = (char *)kind,
			.message_id = message_id,
		}),
		&nothing);
}

enum status status_set(struct exchange *x, const struct status_fields *fields, pb_PresenceViewReply *out)
{
	pb_TeamIdsReply teams;

	enum status st = ASK(x, moderation, list_team_ids, x->actor.id,
		&((pb_TeamIdsRequest){.user_id = x->actor.id}), &teams);
	if (st != STATUS_OK)
		return st;
	if (fields->text == NULL && fields->emoji == NULL)
		return CALL(x, presence, clear_status, x->actor.id,
			&((pb_ClearStatusRequest){
				.team_ids_count = teams.team_ids_count, .team_ids = teams.team_ids}),
			out);
	return CALL(x, presence, set_status, x->actor.id,
		&((pb_SetStatusRequest){.text = (char *)fields->text,
			.emoji = (char *)fields->emoji,
			.expires_at_ms = (uint64_t)fields->expires_at_ms,
			.clear_when_active = fields->clear_when_active,
			.team_ids_count = teams.team_ids_count,
			.team_ids = teams.team_ids}),
		out);
}
