/* Roles given and taken: what opens, what closes, who is told. */
#include "tests/unit/moderation/keys.h"

START_TEST(a_role_given_opens_what_it_gives_and_is_told_to_both_streams)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	joins(h, team, cid);
	uint64_t role = role_made(h, ann, team, "bouncers", PERMISSIONS(PERMISSION_ban_members, PERMISSION_pin_messages)).id;
	uint64_t before = head(h, STREAM_TEAM(team)), mine = head(h, STREAM_USER(bob->id));
	uint64_t others = unchanged_since(h, team, cid);
	int64_t epoch = member_epoch(h, team, bob), wide = stream_epoch(h, team);
	char bans[AUDIENCE_SIZE];
	audience_can(bans, team, PERMISSION_ban_members);
	pb_MemberReply reply;

	OK(h, ann, add_member_role, &reply, .team_id = team, .user_id = bob->id, .role_id = role);
	ck_assert_uint_eq(reply.member.role_ids_count, 1);
	ck_assert_uint_eq(reply.member.role_ids[0], role);
	ck_assert(bits_has((struct bits){reply.member.permissions.low, reply.member.permissions.high}, PERMISSION_ban_members));
	struct written *t = expect_events(h, STREAM_TEAM(team), before, "audience_recheck", "", "member_roles_changed",
		key(h, "team", team), NULL);
	struct written *u =
		expect_events(h, STREAM_USER(bob->id), mine, "member_roles_changed", key(h, "user", bob->id), NULL);
	const pb_AudienceRecheck *asked = &t[0].body.body.audience_recheck;
	ck_assert_uint_eq(asked->user_ids_count, 1);
	ck_assert_uint_eq(asked->user_ids[0], bob->id);
	ck_assert(!asked->all && asked->role_id == 0);
	const pb_MemberRolesChanged *e = &t[1].body.body.member_roles_changed;
	ck_assert_uint_eq(t[1].body.event_id, u[0].body.event_id);
	ck_assert_uint_eq(e->member.user.id, bob->id);
	ck_assert_uint_eq(e->added_count, 1);
	ck_assert_str_eq(e->added[0].name, "bouncers");
	ck_assert_uint_eq(e->removed_count, 0);
	ck_assert_int_eq(member_epoch(h, team, bob), epoch + 1);
	ck_assert_int_eq(stream_epoch(h, team), wide); /* nobody else is judged anew */
	ck_assert_int_eq(changed_seq(h, team, bob), (int64_t)before + 1);
	ck_assert_uint_eq(unchanged_since(h, team, cid), others);
	ck_assert(holds_now(h, team, bob, bans));
	ck_assert(holds_now(h, team, bob, key(h, "role", role)));
	/* again: he has it */
	OK(h, ann, add_member_role, &reply, .team_id = team, .user_id = bob->id, .role_id = role);
	ck_assert_uint_eq(reply.member.role_ids_count, 1);
	ck_assert_uint_eq(head(h, STREAM_TEAM(team)), before + 3); /* with audit entries */
	house_close(h);
}
END_TEST

START_TEST(a_role_taken_closes_what_it_opened)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t channel = channel_in(h, team, .private = true, .created_by = ann->id);
	uint64_t first = role_made(h, ann, team, "first", PERMISSIONS(PERMISSION_administrator)).id;
	uint64_t second = role_made(h, ann, team, "second", PERMISSIONS(PERMISSION_kick_members)).id;
	given(h, ann, team, bob, second);
	given(h, ann, team, bob, first);
	ck_assert(holds_now(h, team, bob, key(h, "channel", channel)));
	uint64_t before = head(h, STREAM_TEAM(team));
	int64_t epoch = member_epoch(h, team, bob);
	pb_MemberReply reply;

	OK(h, ann, remove_member_role, &reply, .team_id = team, .user_id = bob->id, .role_id = first);
	ck_assert_uint_eq(reply.member.role_ids_count, 1);
	ck_assert_uint_eq(reply.member.role_ids[0], second);
	struct written *t = expect_events(h, STREAM_TEAM(team), before, "audience_recheck", "", "member_roles_changed",
		key(h, "team", team), NULL);
	ck_assert_uint_eq(t[0].body.body.audience_recheck.user_ids[0], bob->id);
	ck_assert_uint_eq(t[1].body.body.member_roles_changed.removed_count, 1);
	ck_assert_uint_eq(t[1].body.body.member_roles_changed.added_count, 0);
	ck_assert_uint_eq(t[1].body.body.member_roles_changed.removed[0].id, first);
	ck_assert_int_eq(member_epoch(h, team, bob), epoch + 1);
	ck_assert_uint_eq(unchanged_since(h, team, bob), before + 1);
	ck_assert(!holds_now(h, team, bob, key(h, "channel", channel)));
	ck_assert_uint_eq(judged(h, bob, 0, channel).status, STATUS_NOT_FOUND);
	OK(h, ann, remove_member_role, &reply, .team_id = team, .user_id = bob->id, .role_id = first);
	ck_assert_uint_eq(head(h, STREAM_TEAM(team)), before + 3); /* with audit entries */
	house_close(h);
}
END_TEST

START_TEST(roles_stand_in_the_order_of_their_ids_whatever_the_order_of_giving)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann), roles[3];
	joins(h, team, bob);
	for (int i = 0; i < 3; i++)
		roles[i] = role_made(h, ann, team, "r", PERMISSIONS()).id;
	pb_MemberReply reply, read;

	given(h, ann, team, bob, roles[2]);
	given(h, ann, team, bob, roles[0]);
	OK(h, ann, add_member_role, &reply, .team_id = team, .user_id = bob->id, .role_id = roles[1]);
	OK(h, bob, get_member, &read, .team_id = team, .user_id = bob->id);
	ck_assert_uint_eq(reply.member.role_ids_count, 3);
	for (size_t i = 0; i < 3; i++) {
		ck_assert_uint_eq(reply.member.role_ids[i], roles[i]);
		ck_assert_uint_eq(read.member.role_ids[i], roles[i]);
	}
	house_close(h);
}
END_TEST

START_TEST(who_and_which_must_be_of_the_team)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *zoe = person(h, "zoe");
	uint64_t team = team_of(h, ann), elsewhere = team_of(h, ann);
	joins(h, team, bob);
	uint64_t role = role_made(h, ann, team, "r", PERMISSIONS()).id;
	uint64_t foreign = role_made(h, ann, elsewhere, "f", PERMISSIONS()).id;
	uint64_t before = head(h, STREAM_TEAM(team));

	REFUSED(h, STATUS_NOT_FOUND, "member", ann, add_member_role, NEVERMIND(add_member_role), .team_id = team,
		.user_id = zoe->id, .role_id = role);
	REFUSED(h, STATUS_NOT_FOUND, "role", ann, add_member_role, NEVERMIND(add_member_role), .team_id = team,
		.user_id = bob->id, .role_id = foreign);
	REFUSED(h, STATUS_NOT_FOUND, "role", ann, remove_member_role, NEVERMIND(remove_member_role), .team_id = team,
		.user_id = bob->id, .role_id = 2000000000);
	REFUSED(h, STATUS_NOT_FOUND, NULL, zoe, add_member_role, NEVERMIND(add_member_role), .team_id = team,
		.user_id = zoe->id, .role_id = role);
	ck_assert_uint_eq(head(h, STREAM_TEAM(team)), before);
	/* a rejoin brings none of them back */
	given(h, ann, team, bob, role);
	OK(h, bob, remove_member, NEVERMIND(remove_member), .team_id = team, .user_id = bob->id);
	joins(h, team, bob);
	pb_MemberReply reply;
	OK(h, bob, get_member, &reply, .team_id = team, .user_id = bob->id);
	ck_assert_uint_eq(reply.member.role_ids_count, 0);
	house_close(h);
}
END_TEST

START_TEST(a_role_that_is_there_for_it_is_taken_and_left_by_oneself_only)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	joins(h, team, cid);
	uint64_t role = role_made(h, ann, team, "players", PERMISSIONS(PERMISSION_pin_messages)).id;

	REFUSED(h, STATUS_FORBIDDEN, "manage_roles", bob, add_member_role, NEVERMIND(add_member_role), .team_id = team,
		.user_id = bob->id, .role_id = role);
	OK(h, ann, update_role, NEVERMIND(update_role), .role_id = role, .has_self_assignable = true, .self_assignable = true);
	given(h, bob, team, bob, role);
	ck_assert(holds_now(h, team, bob, key(h, "role", role)));
	REFUSED(h, STATUS_FORBIDDEN, "manage_roles", bob, add_member_role, NEVERMIND(add_member_role), .team_id = team,
		.user_id = cid->id, .role_id = role);
	REFUSED(h, STATUS_FORBIDDEN, "manage_roles", cid, remove_member_role, NEVERMIND(remove_member_role), .team_id = team,
		.user_id = bob->id, .role_id = role);
	OK(h, bob, remove_member_role, NEVERMIND(remove_member_role), .team_id = team, .user_id = bob->id, .role_id = role);
	ck_assert(!holds_now(h, team, bob, key(h, "role", role)));
	OK(h, ann, set_timeout, NEVERMIND(set_timeout), .team_id = team, .user_id = bob->id, .seconds = 600);
	REFUSED(h, STATUS_TIMED_OUT, "timeout", bob, add_member_role, NEVERMIND(add_member_role), .team_id = team,
		.user_id = bob->id, .role_id = role);
	house_close(h);
}
END_TEST

START_TEST(fifty_roles_are_all_a_member_has)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t role = role_made(h, ann, team, "one more", PERMISSIONS()).id;
	sql(h,
		"WITH made AS (INSERT INTO moderation.roles (id, team_id, name, position, created_at_ms)"
		" SELECT nextval('log.small_ids'), %ld, 'r', n + 1, 1 FROM generate_series(1, 50) n RETURNING id, team_id)"
		" INSERT INTO moderation.member_roles SELECT team_id, %ld, id FROM made",
		(long)team, (long)bob->id);

	REFUSED(h, STATUS_AT_LIMIT, "roles", ann, add_member_role, NEVERMIND(add_member_role), .team_id = team,
		.user_id = bob->id, .role_id = role);
	house_close(h);
}
END_TEST

START_TEST(members_are_listed_with_their_roles_and_what_they_may)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t role = role_made(h, ann, team, "bouncers", PERMISSIONS(PERMISSION_ban_members)).id;
	given(h, ann, team, bob, role);
	pb_ListMembersReply list;
	pb_MemberReply one;

	OK(h, ann, list_members, &list, .team_id = team);
	OK(h, ann, get_member, &one, .team_id = team, .user_id = bob->id);
	ck_assert_uint_eq(list.members_count, 2);
	for (size_t i = 0; i < 2; i++) {
		const pb_MemberView *m = &list.members[i];
		if (m->user.id != bob->id)
			continue;
		ck_assert_uint_eq(m->role_ids_count, 1);
		ck_assert_uint_eq(m->role_ids[0], role);
		ck_assert_uint_eq(m->permissions.low, one.member.permissions.low);
		ck_assert_uint_eq(m->permissions.high, one.member.permissions.high);
		ck_assert(bits_has((struct bits){m->permissions.low, m->permissions.high}, PERMISSION_ban_members));
	}
	house_close(h);
}
END_TEST

TESTS("moderation member roles", a_role_given_opens_what_it_gives_and_is_told_to_both_streams,
	a_role_taken_closes_what_it_opened, roles_stand_in_the_order_of_their_ids_whatever_the_order_of_giving,
	who_and_which_must_be_of_the_team, a_role_that_is_there_for_it_is_taken_and_left_by_oneself_only,
	fifty_roles_are_all_a_member_has, members_are_listed_with_their_roles_and_what_they_may)
