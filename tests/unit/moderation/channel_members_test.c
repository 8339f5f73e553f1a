/* Membership of channels: what it opens, who may give and take it, and seeding a new channel. */
#include "tests/unit/moderation/fixture.h"

START_TEST(joining_an_open_channel_makes_a_row_and_tells_the_channels_key)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t channel = channel_in(h, team, .created_by = ann->id);
	uint64_t before = head(h, STREAM_TEAM(team)), mine = head(h, STREAM_USER(bob->id));
	int64_t epoch = member_epoch(h, team, bob), changed = changed_seq(h, team, bob);
	pb_ChannelMemberReply reply;

	OK(h, bob, join_channel, &reply, .channel_id = channel);
	ck_assert(reply.created);
	ck_assert_uint_eq(reply.member.role, CHANNEL_ROLE_MEMBER);
	struct written *t =
		expect_events(h, STREAM_TEAM(team), before, "channel_member_joined", key(h, "team", team), NULL);
	struct written *u = expect_events(
		h, STREAM_USER(bob->id), mine, "channel_member_joined", key(h, "user", bob->id), NULL);
	ck_assert_uint_eq(t[0].body.event_id, u[0].body.event_id);
	ck_assert_str_eq(t[0].body.body.channel_member_joined.channel.name, "general");
	ck_assert_int_eq(member_epoch(h, team, bob), epoch + 1);
	ck_assert_int_eq(changed_seq(h, team, bob), changed); /* no key was touched: a resume is not refused for it */
	OK(h, bob, join_channel, &reply, .channel_id = channel);
	ck_assert(!reply.created);
	ck_assert_uint_eq(head(h, STREAM_TEAM(team)), before + 1);
	house_close(h);
}
END_TEST

START_TEST(a_private_channel_is_not_there_until_one_is_added)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t channel = channel_in(h, team, .private = true, .own = true, .created_by = ann->id);
	const char *own = key(h, "channel", channel);
	REFUSED(h, STATUS_NOT_FOUND, NULL, bob, join_channel, NEVERMIND(join_channel), .channel_id = channel);
	uint64_t before = head(h, STREAM_TEAM(team));
	pb_ChannelMemberReply reply;

	OK(h, ann, add_channel_member, &reply, .channel_id = channel, .user_id = bob->id);
	ck_assert(reply.created);
	ck_assert_uint_eq(reply.member.added_by, ann->id);
	ck_assert_str_eq(reply.member.user.username, "bob");
	struct written *t = expect_events(
		h, STREAM_TEAM(team), before, "audience_changed", "", "channel_member_joined", own, NULL);
	ck_assert_str_eq(t[0].body.body.audience_changed.gained[0], own);
	ck_assert_uint_eq(t[1].body.body.channel_member_joined.by, ann->id);
	ck_assert_int_eq(changed_seq(h, team, bob), (int64_t)before + 1);
	pb_Rights rights = judged(h, bob, 0, channel);
	ck_assert_uint_eq(rights.status, STATUS_OK);
	ck_assert_str_eq(rights.audience, own);
	ck_assert_uint_eq(rights.channel_role, CHANNEL_ROLE_MEMBER);
	house_close(h);
}
END_TEST

START_TEST(leaving_a_private_channel_loses_its_key_first)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t channel = channel_in(h, team, .private = true, .own = true, .created_by = ann->id);
	const char *own = key(h, "channel", channel);
	OK(h, ann, add_channel_member, NEVERMIND(add_channel_member), .channel_id = channel, .user_id = bob->id);
	uint64_t before = head(h, STREAM_TEAM(team)), mine = head(h, STREAM_USER(bob->id));

	OK(h, bob, leave_channel, NEVERMIND(leave_channel), .channel_id = channel);
	struct written *t = expect_events(
		h, STREAM_TEAM(team), before, "audience_changed", "", "channel_member_left", own, NULL);
	expect_events(h, STREAM_USER(bob->id), mine, "channel_member_left", key(h, "user", bob->id), NULL);
	ck_assert_str_eq(t[0].body.body.audience_changed.lost[0], own);
	ck_assert_uint_eq(judged(h, bob, 0, channel).status, STATUS_NOT_FOUND);
	/* the owner may go, too, and is not owner any more by having made it */
	OK(h, ann, leave_channel, NEVERMIND(leave_channel), .channel_id = channel);
	ck_assert_uint_eq(judged(h, ann, 0, channel).channel_role, CHANNEL_ROLE_NONE);
	house_close(h);
}
END_TEST

START_TEST(who_manages_members_takes_others_out_and_nobody_else_does)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	joins(h, team, cid);
	uint64_t channel = channel_in(h, team, .own = true, .created_by = bob->id);
	OK(h, cid, join_channel, NEVERMIND(join_channel), .channel_id = channel);
	uint64_t before = head(h, STREAM_TEAM(team));

	REFUSED(h, STATUS_FORBIDDEN, "manage_channel_members", cid, leave_channel, NEVERMIND(leave_channel),
		.channel_id = channel, .user_id = bob->id);
	OK(h, bob, leave_channel, NEVERMIND(leave_channel), .channel_id = channel, .user_id = cid->id);
	struct written *t =
		expect_events(h, STREAM_TEAM(team), before, "channel_member_left", key(h, "team", team), NULL);
	ck_assert_uint_eq(t[0].body.body.channel_member_left.by, bob->id);
	ck_assert_uint_eq(t[0].body.body.channel_member_left.user.id, cid->id);
	REFUSED(h, STATUS_NOT_FOUND, "member", bob, leave_channel, NEVERMIND(leave_channel), .channel_id = channel,
		.user_id = ann->id);
	/* the team's owner stands above the channel's */
	OK(h, ann, kick_channel_member, NEVERMIND(kick_channel_member), .channel_id = channel, .user_id = bob->id);
	ck_assert_uint_eq(judged(h, bob, 0, channel).channel_role, CHANNEL_ROLE_NONE);
	house_close(h);
}
END_TEST

START_TEST(a_kick_ends_the_membership_and_is_told_instead_of_leaving)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	joins(h, team, cid);
	uint64_t channel = channel_in(h, team, .own = true, .created_by = bob->id);
	OK(h, cid, join_channel, NEVERMIND(join_channel), .channel_id = channel);
	uint64_t before = head(h, STREAM_TEAM(team)), mine = head(h, STREAM_USER(cid->id));

	REFUSED(h, STATUS_FORBIDDEN, "moderate_channel", cid, kick_channel_member, NEVERMIND(kick_channel_member),
		.channel_id = channel, .user_id = bob->id);
	OK(h, bob, kick_channel_member, NEVERMIND(kick_channel_member), .channel_id = channel, .user_id = cid->id);
	struct written *t =
		expect_events(h, STREAM_TEAM(team), before, "channel_member_kicked", key(h, "team", team), NULL);
	expect_events(h, STREAM_USER(cid->id), mine, "channel_member_kicked", key(h, "user", cid->id), NULL);
	ck_assert_uint_eq(t[0].body.body.channel_member_kicked.by, bob->id);
	OK(h, bob, kick_channel_member, NEVERMIND(kick_channel_member), .channel_id = channel, .user_id = cid->id);
	ck_assert_uint_eq(head(h, STREAM_TEAM(team)), before + 2); /* it and its audit entry */
	REFUSED(h, STATUS_NOT_FOUND, "member", bob, kick_channel_member, NEVERMIND(kick_channel_member),
		.channel_id = channel, .user_id = ann->id);
	house_close(h);
}
END_TEST

START_TEST(only_members_of_the_team_are_added_and_nobody_who_is_banned)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid");
	uint64_t team = team_of(h, ann);
	uint64_t channel = channel_in(h, team, .created_by = ann->id);
	REFUSED(h, STATUS_NOT_FOUND, "member", ann, add_channel_member, NEVERMIND(add_channel_member),
		.channel_id = channel, .user_id = bob->id);
	joins(h, team, bob);
	joins(h, team, cid);
	OK(h, ann, ban_channel_user, NEVERMIND(ban_channel_user), .scope_id = channel, .user_id = bob->id);
	REFUSED(h, STATUS_FORBIDDEN, "channel_ban", ann, add_channel_member, NEVERMIND(add_channel_member),
		.channel_id = channel, .user_id = bob->id);
	REFUSED(h, STATUS_FORBIDDEN, "manage_channel_members", cid, add_channel_member, NEVERMIND(add_channel_member),
		.channel_id = channel, .user_id = cid->id);
	house_close(h);
}
END_TEST

START_TEST(an_invitee_who_joins_is_promoted)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t channel = channel_in(h, team, .private = true, .created_by = ann->id);
	pb_ChannelMemberReply reply;
	OK(h, ann, add_channel_member, &reply, .channel_id = channel, .user_id = bob->id, .role = CHANNEL_ROLE_INVITEE);
	ck_assert_uint_eq(reply.member.role, CHANNEL_ROLE_INVITEE);
	uint64_t before = head(h, STREAM_TEAM(team));

	OK(h, bob, join_channel, &reply, .channel_id = channel);
	ck_assert_uint_eq(reply.member.role, CHANNEL_ROLE_MEMBER);
	struct written *t = expect_events(
		h, STREAM_TEAM(team), before, "channel_member_joined", key(h, "channel", channel), NULL);
	ck_assert(t[0].body.body.channel_member_joined.promoted);
	house_close(h);
}
END_TEST

START_TEST(roles_are_set_by_the_channels_owner_and_raise_the_epoch)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid"), *dan = person(h, "dan");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	joins(h, team, cid);
	joins(h, team, dan);
	uint64_t channel = channel_in(h, team, .own = true, .created_by = bob->id);
	OK(h, cid, join_channel, NEVERMIND(join_channel), .channel_id = channel);
	OK(h, dan, join_channel, NEVERMIND(join_channel), .channel_id = channel);
	uint64_t before = head(h, STREAM_TEAM(team));
	int64_t epoch = member_epoch(h, team, cid);
	pb_ChannelMemberReply reply;

	OK(h, bob, set_channel_role, &reply, .channel_id = channel, .user_id = cid->id, .role = CHANNEL_ROLE_MODERATOR);
	ck_assert_uint_eq(reply.member.role, CHANNEL_ROLE_MODERATOR);
	struct written *t =
		expect_events(h, STREAM_TEAM(team), before, "channel_member_updated", key(h, "team", team), NULL);
	ck_assert_uint_eq(t[0].body.body.channel_member_updated.role, CHANNEL_ROLE_MODERATOR);
	ck_assert_int_eq(member_epoch(h, team, cid), epoch + 1);
	OK(h, bob, set_channel_role, &reply, .channel_id = channel, .user_id = cid->id, .role = CHANNEL_ROLE_MODERATOR);
	ck_assert_uint_eq(head(h, STREAM_TEAM(team)), before + 2); /* it and its audit entry */
	/* a moderator brings people in but makes nobody anything */
	REFUSED(h, STATUS_FORBIDDEN, "manage_channels", cid, set_channel_role, &reply, .channel_id = channel,
		.user_id = dan->id, .role = CHANNEL_ROLE_MODERATOR);
	REFUSED(h, STATUS_NOT_FOUND, "member", bob, set_channel_role, &reply, .channel_id = channel, .user_id = ann->id,
		.role = CHANNEL_ROLE_MEMBER);
	REFUSED(h, STATUS_FIELD_INVALID, NULL, bob, set_channel_role, &reply, .channel_id = channel, .user_id = cid->id,
		.role = 7);
	/* nobody changes one who stands above */
	OK(h, ann, join_channel, &reply, .channel_id = channel);
	REFUSED(h, STATUS_FORBIDDEN, "rank", bob, set_channel_role, &reply, .channel_id = channel, .user_id = ann->id,
		.role = CHANNEL_ROLE_MEMBER);
	OK(h, ann, set_channel_role, &reply, .channel_id = channel, .user_id = bob->id, .role = CHANNEL_ROLE_MEMBER);
	ck_assert_uint_eq(judged(h, bob, 0, channel).channel_role, CHANNEL_ROLE_MEMBER);
	house_close(h);
}
END_TEST

START_TEST(an_archived_channel_takes_no_changes_of_members)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t channel = channel_in(h, team, .created_by = ann->id);
	sql(h, "UPDATE messaging.channels SET archived_at_ms = 5 WHERE id = %ld", (long)channel);

	REFUSED(h, STATUS_ARCHIVED, "archived", bob, join_channel, NEVERMIND(join_channel), .channel_id = channel);
	REFUSED(h, STATUS_ARCHIVED, "archived", ann, ban_channel_user, NEVERMIND(ban_channel_user), .scope_id = channel,
		.user_id = bob->id);
	pb_Rights rights = judged(h, ann, 0, channel);
	ck_assert_uint_eq(rights.status, STATUS_OK);
	ck_assert_str_eq(rights.why, "archived");
	ck_assert_uint_eq(rights.channel.archived_at_ms, 5);
	sql(h, "UPDATE messaging.channels SET deleted_at_ms = 6 WHERE id = %ld", (long)channel);
	ck_assert_uint_eq(judged(h, ann, 0, channel).status, STATUS_NOT_FOUND);
	house_close(h);
}
END_TEST

START_TEST(a_seeded_private_channel_gets_its_owner_and_members_by_small_commits)
{
	enum { PEOPLE = 30 };
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *users = ARENA_ARRAY(h->mem, PEOPLE + 2, pb_UserView);
	uint64_t team = team_of(h, ann);
	for (int i = 0; i < PEOPLE; i++) {
		pb_UserView *u = person(h, "u");
		joins(h, team, u);
		users[i] = *u;
	}
	users[PEOPLE] = *person(h, "stranger"); /* not of the team: left out */
	users[PEOPLE + 1] = users[0];           /* named twice */
	uint64_t channel = channel_in(h, team, .private = true, .own = true, .created_by = ann->id);
	uint64_t before = head(h, STREAM_TEAM(team));

	OK(h, ann, seed_channel, NEVERMIND(seed_channel), .channel_id = channel, .users = users, .users_count = PEOPLE + 2);
	size_t count, joined = 0, gained = 0;
	struct written *t = events_after(h, STREAM_TEAM(team), before, &count);
	for (size_t i = 0; i < count; i++) {
		if (t[i].ev.kind == EVENT_KIND_channel_member_joined) {
			ck_assert_str_eq(t[i].ev.audience, key(h, "channel", channel));
			ck_assert_uint_eq(t[i].body.body.channel_member_joined.role,
				t[i].body.body.channel_member_joined.user.id == ann->id ? CHANNEL_ROLE_OWNER
											: CHANNEL_ROLE_MEMBER);
			joined++;
		} else {
			ck_assert_uint_eq(t[i].ev.kind, EVENT_KIND_audience_changed);
			gained++;
		}
	}
	ck_assert_uint_eq(joined, PEOPLE + 1);
	ck_assert_uint_eq(gained, PEOPLE); /* the owner could see it before */
	ck_assert_uint_eq(t[0].ev.kind, EVENT_KIND_audience_changed);
	ck_assert_uint_eq(t[12].ev.kind, EVENT_KIND_audience_changed); /* 13 of the first commit come before its joins */
	ck_assert_uint_eq(t[13].ev.kind, EVENT_KIND_channel_member_joined);
	ck_assert_uint_eq(judged(h, &users[17], 0, channel).status, STATUS_OK);

	OK(h, ann, seed_channel, NEVERMIND(seed_channel), .channel_id = channel, .users = users, .users_count = PEOPLE);
	ck_assert_uint_eq(head(h, STREAM_TEAM(team)), before + count);

	OK(h, ann, kick_channel_member, NEVERMIND(kick_channel_member), .channel_id = channel, .user_id = users[17].id);
	before = head(h, STREAM_TEAM(team));
	OK(h, ann, seed_channel, NEVERMIND(seed_channel), .channel_id = channel, .users = users, .users_count = PEOPLE);
	ck_assert_uint_eq(head(h, STREAM_TEAM(team)), before); /* a repeat does not undo the kick */
	ck_assert_uint_eq(judged(h, &users[17], 0, channel).status, STATUS_NOT_FOUND);
	REFUSED(h, STATUS_FORBIDDEN, "creator", &users[1], seed_channel, NEVERMIND(seed_channel), .channel_id = channel);
	pb_ListChannelMembersReply list;
	OK(h, &users[1], list_channel_members, &list, .channel_id = channel, .limit = 20);
	ck_assert_uint_eq(list.members_count, 20);
	ck_assert(list.more);
	ck_assert_uint_lt(list.members[0].user.id, list.members[1].user.id);
	house_close(h);
}
END_TEST

START_TEST(who_does_not_see_a_channel_does_not_see_its_members)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t channel = channel_in(h, team, .private = true, .created_by = ann->id);
	REFUSED(h, STATUS_NOT_FOUND, NULL, bob, list_channel_members, NEVERMIND(list_channel_members), .channel_id = channel);
	OK(h, ann, list_channel_members, NEVERMIND(list_channel_members), .channel_id = channel);
	house_close(h);
}
END_TEST

START_TEST(of_a_deleted_channel_nothing_is_left_but_who_may_bring_it_back)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *eve = person(h, "eve");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t channel = channel_in(h, team, .private = true, .own = true, .created_by = ann->id);

	sql(h, "UPDATE messaging.channels SET deleted_at_ms = 1 WHERE id = %ld", (long)channel);
	pb_Rights owner = judged(h, ann, 0, channel), member = judged(h, bob, 0, channel),
		  stranger = judged(h, eve, 0, channel);
	ck_assert_uint_eq(owner.status, STATUS_NOT_FOUND);
	ck_assert_str_eq(owner.why, "deleted");
	struct bits left = bits_with((struct bits){0}, PERMISSION_undelete_channel);
	ck_assert_uint_eq(owner.bits.low, left.low);
	ck_assert_uint_eq(owner.bits.high, left.high);
	ck_assert_str_eq(owner.audience, key(h, "channel", channel));
	ck_assert_uint_eq(member.status, STATUS_NOT_FOUND);
	ck_assert_str_eq(member.why, "private");
	ck_assert(!has(&member, PERMISSION_undelete_channel));
	ck_assert(!has(&stranger, PERMISSION_undelete_channel));
	house_close(h);
}
END_TEST

TESTS("moderation channel members", joining_an_open_channel_makes_a_row_and_tells_the_channels_key,
	a_private_channel_is_not_there_until_one_is_added, leaving_a_private_channel_loses_its_key_first,
	who_manages_members_takes_others_out_and_nobody_else_does,
	a_kick_ends_the_membership_and_is_told_instead_of_leaving,
	only_members_of_the_team_are_added_and_nobody_who_is_banned, an_invitee_who_joins_is_promoted,
	roles_are_set_by_the_channels_owner_and_raise_the_epoch, an_archived_channel_takes_no_changes_of_members,
	a_seeded_private_channel_gets_its_owner_and_members_by_small_commits,
	who_does_not_see_a_channel_does_not_see_its_members,
	of_a_deleted_channel_nothing_is_left_but_who_may_bring_it_back)
