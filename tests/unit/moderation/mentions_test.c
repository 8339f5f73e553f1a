/* Who and what may be mentioned in a channel, and where somebody's reading begins: judge_mentions and joined_seq. */
#include "tests/unit/moderation/fixture.h"

struct asked {
	uint64_t users[8], roles[8], channels[8];
	size_t user_count, role_count, channel_count;
};

static pb_JudgeMentionsReply answered(struct house *h, const pb_UserView *who, uint64_t channel, const struct asked *a)
{
	pb_JudgeMentionsReply reply;
	OK(h, who, judge_mentions, &reply, .channel_id = channel, .user_ids = (uint64_t *)a->users,
		.user_ids_count = (pb_size_t)a->user_count, .role_ids = (uint64_t *)a->roles,
		.role_ids_count = (pb_size_t)a->role_count, .channel_ids = (uint64_t *)a->channels,
		.channel_ids_count = (pb_size_t)a->channel_count);
	return reply;
}

static const pb_MentionableUser *user_in(const pb_JudgeMentionsReply *reply, const pb_UserView *who)
{
	for (size_t i = 0; i < reply->users_count; i++)
		if (reply->users[i].user_id == who->id)
			return &reply->users[i];
	return NULL;
}

START_TEST(those_who_can_view_the_channel_may_be_mentioned)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid"), *out = person(h, "out");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	joins(h, team, cid);
	uint64_t open = channel_in(h, team, .created_by = ann->id);
	uint64_t secret = channel_in(h, team, .created_by = ann->id, .private = true);
	OK(h, ann, add_channel_member, NEVERMIND(add_channel_member), .channel_id = secret, .user_id = bob->id);
	struct asked a = {.users = {ann->id, bob->id, cid->id, out->id, 12345}, .user_count = 5};

	pb_JudgeMentionsReply reply = answered(h, ann, open, &a);
	ck_assert_uint_eq(reply.users_count, 3);
	ck_assert_ptr_null(user_in(&reply, out));
	ck_assert_uint_eq(reply.rank, RANK_TEAM);
	ck_assert_uint_eq(reply.stream_id, team);
	ck_assert_uint_eq(reply.stream_epoch, (uint64_t)stream_epoch(h, team));
	ck_assert_uint_eq(reply.channel.id, open);
	ck_assert_str_eq(reply.channel.name, "general");

	reply = answered(h, the_system, secret, &a);
	ck_assert_uint_eq(reply.users_count, 2);
	ck_assert_ptr_nonnull(user_in(&reply, ann));
	ck_assert_uint_eq(user_in(&reply, bob)->member_epoch, (uint64_t)member_epoch(h, team, bob));
	house_close(h);
}
END_TEST

START_TEST(who_was_removed_may_not_be_mentioned_and_what_is_no_channel_is_not_found)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid"), *dan = person(h, "dan");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	joins(h, team, cid);
	joins(h, team, dan);
	uint64_t channel = channel_in(h, team, .created_by = ann->id);
	sql(h, "UPDATE messaging.channels SET public_read = true WHERE id = %ld; UPDATE moderation.teams SET public_read = true"
	       " WHERE id = %ld", (long)channel, (long)team);
	OK(h, ann, ban_member, NEVERMIND(ban_member), .scope_id = team, .user_id = bob->id);
	OK(h, ann, remove_member, NEVERMIND(remove_member), .team_id = team, .user_id = cid->id);
	OK(h, ann, ban_channel_user, NEVERMIND(ban_channel_user), .scope_id = channel, .user_id = dan->id);
	struct asked a = {.users = {ann->id, bob->id, cid->id, dan->id}, .user_count = 4};

	pb_JudgeMentionsReply reply = answered(h, ann, channel, &a);
	ck_assert_uint_eq(reply.users_count, 1); /* who merely reads a public channel is not called either */
	ck_assert_uint_eq(reply.users[0].user_id, ann->id);
	REFUSED(h, STATUS_NOT_FOUND, NULL, ann, judge_mentions, &reply, .channel_id = 777);
	sql(h, "UPDATE messaging.channels SET deleted_at_ms = 1 WHERE id = %ld", (long)channel);
	REFUSED(h, STATUS_NOT_FOUND, NULL, ann, judge_mentions, &reply, .channel_id = channel);
	house_close(h);
}
END_TEST

START_TEST(roles_of_the_team_but_for_the_base_role_are_told_with_whether_everybody_may)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	uint64_t team = team_of(h, ann), other = team_of(h, ann);
	uint64_t channel = channel_in(h, team, .created_by = ann->id);
	uint64_t quiet = role_in(h, team, 3, PERMISSION_pin_messages), loud = role_in(h, team, 4, PERMISSION_pin_messages);
	uint64_t foreign = role_in(h, other, 3, PERMISSION_pin_messages);
	uint64_t base = (uint64_t)number(h, "SELECT base_role_id FROM moderation.teams WHERE id = %ld", (long)team);
	sql(h, "UPDATE moderation.roles SET mentionable = true WHERE id = %ld", (long)loud);
	struct asked a = {.roles = {quiet, loud, foreign, base, 999999}, .role_count = 5};

	pb_JudgeMentionsReply reply = answered(h, ann, channel, &a);
	ck_assert_uint_eq(reply.roles_count, 2);
	for (size_t i = 0; i < 2; i++) {
		ck_assert(reply.roles[i].role_id == quiet || reply.roles[i].role_id == loud);
		ck_assert_int_eq(reply.roles[i].mentionable, reply.roles[i].role_id == loud);
	}
	house_close(h);
}
END_TEST

START_TEST(channels_are_named_that_the_actor_can_view_in_this_team)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann), other = team_of(h, ann);
	joins(h, team, bob);
	uint64_t open = channel_in(h, team, .created_by = ann->id), second = channel_in(h, team, .created_by = ann->id);
	uint64_t secret = channel_in(h, team, .created_by = ann->id, .private = true);
	uint64_t foreign = channel_in(h, other, .created_by = ann->id);
	struct asked a = {.channels = {open, second, secret, foreign, 777}, .channel_count = 5};

	pb_JudgeMentionsReply reply = answered(h, bob, open, &a);
	ck_assert_uint_eq(reply.channel_ids_count, 2);
	reply = answered(h, ann, open, &a);
	ck_assert_uint_eq(reply.channel_ids_count, 3);
	reply = answered(h, the_system, open, &a);
	ck_assert_uint_eq(reply.channel_ids_count, 0);
	house_close(h);
}
END_TEST

START_TEST(more_names_than_there_may_be_are_refused)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	uint64_t team = team_of(h, ann), channel = channel_in(h, team, .created_by = ann->id);
	uint64_t *ids = ARENA_ARRAY(h->mem, MENTIONS_MAX + 1, uint64_t);
	pb_JudgeMentionsReply reply;

	for (int i = 0; i <= MENTIONS_MAX; i++)
		ids[i] = 1000 + (uint64_t)i;
	OK(h, ann, judge_mentions, &reply, .channel_id = channel, .user_ids = ids, .user_ids_count = MENTIONS_MAX);
	ck_assert_uint_eq(reply.users_count, 0);
	ck_assert_int_eq(CALL(h, ann, judge_mentions, &reply, .channel_id = channel, .user_ids = ids,
				 .user_ids_count = MENTIONS_MAX + 1),
		STATUS_FIELD_INVALID);
	house_close(h);
}
END_TEST

static uint64_t listed_joined_seq(struct house *h, const pb_UserView *who, uint64_t team, uint64_t channel)
{
	pb_JudgeManyReply reply;
	OK(h, who, judge_many, &reply, .user_id = who->id, .team_id = team);
	for (size_t i = 0; i < reply.rights_count; i++)
		if (reply.rights[i].channel_id == channel)
			return reply.rights[i].joined_seq;
	ck_abort_msg("not listed");
}

START_TEST(rights_tell_where_in_the_stream_a_person_joined)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	uint64_t open = channel_in(h, team, .created_by = ann->id);
	uint64_t secret = channel_in(h, team, .created_by = ann->id, .private = true);

	uint64_t before = head(h, STREAM_TEAM(team));
	joins(h, team, bob);
	ck_assert_uint_eq(judged(h, bob, 0, open).joined_seq, before);
	ck_assert_uint_eq(listed_joined_seq(h, bob, team, open), before);
	ck_assert_uint_lt(judged(h, ann, 0, open).joined_seq, before);

	uint64_t later = head(h, STREAM_TEAM(team));
	OK(h, ann, add_channel_member, NEVERMIND(add_channel_member), .channel_id = secret, .user_id = bob->id);
	ck_assert_uint_eq(judged(h, bob, 0, secret).joined_seq, later);
	ck_assert_uint_eq(listed_joined_seq(h, bob, team, secret), later);
	ck_assert_uint_eq(judged(h, bob, 0, open).joined_seq, before);
	/* A change of his place is no joining. */
	OK(h, ann, set_channel_role, NEVERMIND(set_channel_role), .channel_id = secret, .user_id = bob->id,
		.role = CHANNEL_ROLE_MODERATOR);
	ck_assert_uint_eq(judged(h, bob, 0, secret).joined_seq, later);

	OK(h, ann, remove_member, NEVERMIND(remove_member), .team_id = team, .user_id = bob->id);
	uint64_t again = head(h, STREAM_TEAM(team));
	joins(h, team, bob);
	ck_assert_uint_eq(judged(h, bob, 0, open).joined_seq, again);
	house_close(h);
}
END_TEST

TESTS("moderation mentions", those_who_can_view_the_channel_may_be_mentioned,
	who_was_removed_may_not_be_mentioned_and_what_is_no_channel_is_not_found,
	roles_of_the_team_but_for_the_base_role_are_told_with_whether_everybody_may,
	channels_are_named_that_the_actor_can_view_in_this_team, more_names_than_there_may_be_are_refused,
	rights_tell_where_in_the_stream_a_person_joined)
