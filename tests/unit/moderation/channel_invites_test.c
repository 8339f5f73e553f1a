/* Inviting members of the team to a channel. */
#include "tests/unit/moderation/keys.h"

/* ann owns the team, bob and cid are in it; the channel is private and ann's. */
struct scene {
	pb_UserView *ann, *bob, *cid;
	uint64_t team, channel;
};

static struct scene scene_open(struct house *h)
{
	struct scene s = {person(h, "ann"), person(h, "bob"), person(h, "cid"), .team = 0};
	s.team = team_of(h, s.ann);
	joins(h, s.team, s.bob);
	joins(h, s.team, s.cid);
	s.channel = channel_in(h, s.team, .private = true, .own = true, .created_by = s.ann->id);
	return s;
}

/* One or two people. */
static enum status invite(struct house *h, const pb_UserView *who, uint64_t channel, const pb_UserView *a,
	const pb_UserView *b, pb_InviteChannelMembersReply *reply)
{
	pb_UserView users[2] = {*a, b != NULL ? *b : *a};
	return CALL(h, who, invite_channel_members, reply, .channel_id = channel, .users = users,
		.users_count = b != NULL ? 2 : 1);
}
#define REFUSES(h, expected, why_, ...)                                                                      \
	do {                                                                                                 \
		pb_InviteChannelMembersReply none_;                                                          \
		ck_assert_str_eq(status_wire(invite(h, __VA_ARGS__, &none_)), status_wire(expected));        \
		ck_assert_pstr_eq((h)->outcome.why, why_);                                                   \
	} while (0)

START_TEST(who_is_invited_sees_the_private_channel_and_becomes_a_member_by_joining)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	uint64_t before = head(h, STREAM_TEAM(s.team));
	pb_InviteChannelMembersReply reply;
	pb_ChannelMemberReply joined;

	ck_assert_uint_eq(judged(h, s.bob, 0, s.channel).status, STATUS_NOT_FOUND);
	ck_assert_int_eq(invite(h, s.ann, s.channel, s.bob, s.cid, &reply), STATUS_OK);
	ck_assert_uint_eq(reply.members_count, 2);
	ck_assert(reply.members[0].created && reply.members[1].created);
	ck_assert_uint_eq(reply.members[0].member.user.id, s.bob->id);
	ck_assert_uint_eq(reply.members[0].member.role, CHANNEL_ROLE_INVITEE);
	ck_assert_uint_eq(reply.members[0].member.added_by, s.ann->id);
	const char *own = key(h, "channel", s.channel);
	struct written *t = expect_events(h, STREAM_TEAM(s.team), before, "audience_changed", "", "audience_changed", "",
		"channel_member_joined", own, "channel_member_joined", own, NULL);
	ck_assert(t[2].body.body.channel_member_joined.invited && !t[2].body.body.channel_member_joined.promoted);
	ck_assert_uint_eq(t[2].body.body.channel_member_joined.by, s.ann->id);
	ck_assert(holds_now(h, s.team, s.bob, own));
	ck_assert_uint_eq(judged(h, s.bob, 0, s.channel).channel_role, CHANNEL_ROLE_INVITEE);

	before = head(h, STREAM_TEAM(s.team));
	OK(h, s.bob, join_channel, &joined, .channel_id = s.channel);
	ck_assert_uint_eq(joined.member.role, CHANNEL_ROLE_MEMBER);
	t = expect_events(h, STREAM_TEAM(s.team), before, "channel_member_joined", own, NULL);
	ck_assert(t[0].body.body.channel_member_joined.promoted && !t[0].body.body.channel_member_joined.invited);
	house_close(h);
}
END_TEST

START_TEST(who_is_there_already_stays_what_he_is)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	pb_InviteChannelMembersReply reply;

	OK(h, s.ann, add_channel_member, NEVERMIND(add_channel_member), .channel_id = s.channel, .user_id = s.bob->id);
	ck_assert_int_eq(invite(h, s.ann, s.channel, s.bob, s.cid, &reply), STATUS_OK);
	ck_assert(!reply.members[0].created && reply.members[0].member.role == CHANNEL_ROLE_MEMBER);
	ck_assert(reply.members[1].created && reply.members[1].member.role == CHANNEL_ROLE_INVITEE);
	uint64_t before = head(h, STREAM_TEAM(s.team));
	/* the owner by making it is there, a name that comes twice counts once, and nothing happens again */
	ck_assert_int_eq(invite(h, s.ann, s.channel, s.ann, s.cid, &reply), STATUS_OK);
	ck_assert_uint_eq(reply.members[0].member.role, CHANNEL_ROLE_OWNER);
	ck_assert(!reply.members[0].created && !reply.members[1].created);
	ck_assert_int_eq(invite(h, s.ann, s.channel, s.cid, s.cid, &reply), STATUS_OK);
	ck_assert_uint_eq(reply.members_count, 1);
	ck_assert_uint_eq(head(h, STREAM_TEAM(s.team)), before);
	OK(h, s.ann, invite_channel_members, &reply, .channel_id = s.channel);
	ck_assert_uint_eq(reply.members_count, 0);
	house_close(h);
}
END_TEST

START_TEST(inviting_takes_managing_the_members_and_reaches_members_of_the_team_only)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	uint64_t open = channel_in(h, s.team, .created_by = s.ann->id);
	pb_UserView *zoe = person(h, "zoe");

	REFUSES(h, STATUS_NOT_FOUND, NULL, s.bob, s.channel, s.cid, NULL);
	REFUSES(h, STATUS_FORBIDDEN, "manage_channel_members", s.bob, open, s.cid, NULL);
	OK(h, s.ann, add_channel_member, NEVERMIND(add_channel_member), .channel_id = s.channel, .user_id = s.bob->id);
	REFUSES(h, STATUS_FORBIDDEN, "manage_channel_members", s.bob, s.channel, s.cid, NULL);
	REFUSES(h, STATUS_NOT_FOUND, "member", s.ann, s.channel, s.cid, zoe);
	OK(h, s.ann, ban_channel_user, NEVERMIND(ban_channel_user), .scope_id = open, .user_id = s.bob->id);
	REFUSES(h, STATUS_FORBIDDEN, "channel_ban", s.ann, open, s.cid, s.bob);
	ck_assert_int_eq(number(h, "SELECT count(*) FROM moderation.channel_members WHERE role = 4 AND team_id = %ld", (long)s.team),
		0);
	house_close(h);
}
END_TEST

START_TEST(a_conversation_has_no_invitees)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	pb_ClaimConversationReply claimed;
	pb_UserView others[2] = {*s.bob, *s.cid};

	OK(h, s.ann, claim_conversation, &claimed, .users = others, .users_count = 2);
	sql(h, "INSERT INTO messaging.channels (id, rank, stream_id, kind, name, created_at_ms, created_by)"
	       " VALUES (%ld, 1, %ld, 13, '', 1, %ld)",
		(long)claimed.channel_id, (long)claimed.channel_id, (long)s.ann->id);
	for (int i = 0; i < 2; i++) /* neither by who made it nor by who did not */
		REFUSES(h, STATUS_FORBIDDEN, "conversation", i == 0 ? s.ann : s.bob, claimed.channel_id, s.bob, NULL);
	house_close(h);
}
END_TEST

START_TEST(more_than_one_commit_takes_are_invited_by_one_call)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	pb_InviteChannelMembersReply reply;
	enum { MANY = 31 };
	pb_UserView *users = ARENA_ARRAY(h->mem, MANY, pb_UserView);

	for (int i = 0; i < MANY; i++) {
		pb_UserView *u = person(h, arena_printf(h->mem, "u%d", i));
		joins(h, s.team, u);
		users[i] = *u;
	}
	OK(h, s.ann, invite_channel_members, &reply, .channel_id = s.channel, .users = users, .users_count = MANY);
	ck_assert_uint_eq(reply.members_count, MANY);
	for (int i = 0; i < MANY; i++)
		ck_assert(reply.members[i].created && reply.members[i].member.user.id == users[i].id);
	ck_assert_int_eq(number(h, "SELECT count(*) FROM moderation.channel_members WHERE channel_id = %ld AND role = 4",
				 (long)s.channel), MANY);
	pb_UserView *crowd = ARENA_ARRAY(h->mem, 201, pb_UserView);
	for (int i = 0; i < 201; i++)
		crowd[i] = users[0];
	ck_assert_int_eq(CALL(h, s.ann, invite_channel_members, &reply, .channel_id = s.channel, .users = crowd, .users_count = 201),
		STATUS_FIELD_INVALID);
	house_close(h);
}
END_TEST

TESTS("moderation channel invites", who_is_invited_sees_the_private_channel_and_becomes_a_member_by_joining,
	who_is_there_already_stays_what_he_is, inviting_takes_managing_the_members_and_reaches_members_of_the_team_only,
	a_conversation_has_no_invitees, more_than_one_commit_takes_are_invited_by_one_call)
