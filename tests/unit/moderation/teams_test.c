/* Teams and their members: what is written, in which order, and who may. */
#include "tests/unit/moderation/fixture.h"

START_TEST(every_call_of_moderation_is_bound_once)
{
	size_t count;
	const struct rpc_binding *bindings = moderation_bindings(&count);
	ck_assert(rpc_bindings_complete("moderation", bindings, count));
}
END_TEST

START_TEST(a_new_team_begins_with_its_owners_key_and_tells_the_owner)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	pb_TeamReply reply;

	OK(h, ann, create_team, &reply, .name = "Ann's", .description = "d", .public_read = true);
	ck_assert_str_eq(reply.team.name, "Ann's");
	ck_assert_uint_eq(reply.team.owner_id, ann->id);
	ck_assert_uint_eq(reply.team.member_count, 1);
	ck_assert_uint_eq(reply.team.joining, JOINING_OPEN);
	ck_assert_uint_ge(reply.team.base_role_id, 16);
	const char *all = key(h, "team", reply.team.id);
	struct written *t = expect_events(h, STREAM_TEAM(reply.team.id), 0, "audience_changed", "", "team_created", all, NULL);
	struct written *u =
		expect_events(h, STREAM_USER(ann->id), 0, "team_created", key(h, "user", ann->id), NULL);
	ck_assert_uint_eq(t[0].body.body.audience_changed.user_id, ann->id);
	ck_assert_str_eq(t[0].body.body.audience_changed.gained[0], all);
	ck_assert_uint_eq(t[1].body.event_id, u[0].body.event_id);
	ck_assert_str_eq(t[1].body.actor.username, "ann");
	ck_assert_uint_eq(t[1].body.body.team_created.base_role.permissions.low, bits_base_role(false).low);
	ck_assert_int_eq(changed_seq(h, reply.team.id, ann), 1);
	pb_Rights rights = judged(h, ann, reply.team.id, 0);
	ck_assert(rights.owner && rights.member && has(&rights, PERMISSION_administrator));
	ck_assert_uint_eq(rights.as_of, 2);
	house_close(h);
}
END_TEST

START_TEST(a_repeated_request_makes_one_team)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	pb_TeamReply first, second;

	h->request_id = (const uint8_t *)"0123456789abcdef";
	OK(h, ann, create_team, &first, .name = "once");
	OK(h, ann, create_team, &second, .name = "once");
	ck_assert(h->outcome.replayed);
	ck_assert_uint_eq(first.team.id, second.team.id);
	ck_assert_uint_eq(head(h, STREAM_USER(ann->id)), 1);
	house_close(h);
}
END_TEST

START_TEST(fields_out_of_bounds_are_named)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	char *long_name = arena_alloc(h->mem, 66);

	memset(long_name, 'x', 65);
	REFUSED(h, STATUS_FIELD_INVALID, NULL, ann, create_team, NEVERMIND(create_team), .name = "");
	ck_assert_str_eq(h->outcome.field, "name");
	REFUSED(h, STATUS_FIELD_INVALID, NULL, ann, create_team, NEVERMIND(create_team), .name = long_name);
	REFUSED(h, STATUS_FIELD_INVALID, NULL, ann, create_team, NEVERMIND(create_team), .name = "x", .joining = 9);
	ck_assert_str_eq(h->outcome.field, "joining");
	ck_assert_uint_eq(head(h, STREAM_USER(ann->id)), 0);
	house_close(h);
}
END_TEST

START_TEST(an_account_has_at_most_two_hundred_teams)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t bobs = team_of(h, bob);

	sql(h,
		"INSERT INTO moderation.teams (id, name, owner_id, base_role_id, base_group_id, created_at_ms, created_by)"
		" SELECT %ld + n, 'x', 1, 1, 1, 1, 1 FROM generate_series(1, 200) n;"
		"INSERT INTO moderation.members (team_id, user_id, joined_at_ms) SELECT %ld + n, %ld, 1 FROM generate_series(1, 200) n",
		(long)ann->id, (long)ann->id, (long)ann->id);
	REFUSED(h, STATUS_AT_LIMIT, "teams", ann, create_team, NEVERMIND(create_team), .name = "one more");
	REFUSED(h, STATUS_AT_LIMIT, "teams", ann, join_team, NEVERMIND(join_team), .team_id = bobs);
	ck_assert_uint_eq(head(h, STREAM_USER(ann->id)), 0);
	house_close(h);
}
END_TEST

START_TEST(joining_an_open_team_gains_the_key_first_and_raises_the_epoch)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	const char *all = key(h, "team", team);
	pb_MemberReply reply;

	OK(h, bob, join_team, &reply, .team_id = team, .user_id = bob->id);
	ck_assert(reply.created);
	ck_assert_str_eq(reply.member.user.username, "bob");
	struct written *t =
		expect_events(h, STREAM_TEAM(team), 2, "audience_changed", "", "member_joined", all, NULL);
	struct written *u = expect_events(h, STREAM_USER(bob->id), 0, "member_joined", key(h, "user", bob->id), NULL);
	ck_assert_uint_eq(t[1].body.event_id, u[0].body.event_id);
	ck_assert_uint_eq(t[1].body.body.member_joined.member_count, 2);
	ck_assert_int_eq(member_epoch(h, team, bob), 1);
	ck_assert_int_eq(changed_seq(h, team, bob), 3);
	ck_assert_int_eq(number(h, "SELECT member_count FROM moderation.teams WHERE id = %ld", (long)team), 2);

	OK(h, bob, join_team, &reply, .team_id = team);
	ck_assert(!reply.created);
	ck_assert_uint_eq(head(h, STREAM_TEAM(team)), 4);
	house_close(h);
}
END_TEST

START_TEST(a_team_by_invitation_is_not_there_for_strangers_and_not_joined_by_oneself)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid");
	pb_TeamReply made;
	pb_MemberReply reply;

	OK(h, ann, create_team, &made, .name = "closed", .joining = JOINING_INVITE);
	REFUSED(h, STATUS_NOT_FOUND, NULL, bob, get_team, NEVERMIND(get_team), .team_id = made.team.id);
	REFUSED(h, STATUS_FORBIDDEN, "joining", bob, join_team, NEVERMIND(join_team), .team_id = made.team.id);
	OK(h, ann, add_member, &reply, .team_id = made.team.id, .user_id = bob->id, .has_user = true, .user = *bob);
	ck_assert(reply.created);
	ck_assert_str_eq(reply.member.user.username, "bob");
	OK(h, bob, get_team, NEVERMIND(get_team), .team_id = made.team.id);
	REFUSED(h, STATUS_FORBIDDEN, "manage_team", bob, add_member, NEVERMIND(add_member), .team_id = made.team.id,
		.user_id = cid->id);
	REFUSED(h, STATUS_NOT_FOUND, "user", ann, add_member, NEVERMIND(add_member), .team_id = made.team.id,
		.user_id = ids_random());
	house_close(h);
}
END_TEST

START_TEST(an_open_team_may_be_looked_at_before_it_is_joined)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	pb_TeamReply reply;

	OK(h, bob, get_team, &reply, .team_id = team);
	ck_assert_uint_eq(reply.team.id, team);
	ck_assert_uint_eq(judged(h, bob, team, 0).status, STATUS_NOT_FOUND);
	REFUSED(h, STATUS_NOT_FOUND, NULL, bob, list_members, NEVERMIND(list_members), .team_id = team);
	house_close(h);
}
END_TEST

START_TEST(leaving_takes_the_key_first_and_ends_channel_memberships)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t open = channel_in(h, team, .created_by = ann->id);
	uint64_t own = channel_in(h, team, .private = true, .own = true, .created_by = bob->id);
	OK(h, bob, join_channel, NEVERMIND(join_channel), .channel_id = open);
	uint64_t before = head(h, STREAM_TEAM(team)), mine = head(h, STREAM_USER(bob->id));
	int64_t epoch = member_epoch(h, team, bob);

	OK(h, bob, remove_member, NEVERMIND(remove_member), .team_id = team, .user_id = bob->id);
	struct written *t = expect_events(h, STREAM_TEAM(team), before, "audience_changed", "", "member_removed",
		key(h, "team", team), NULL);
	expect_events(h, STREAM_USER(bob->id), mine, "member_removed", key(h, "user", bob->id), NULL);
	ck_assert_str_eq(t[0].body.body.audience_changed.lost[0], key(h, "team", team));
	ck_assert_uint_eq(t[1].body.body.member_removed.reason, REMOVAL_LEFT);
	ck_assert_uint_eq(t[1].body.body.member_removed.member_count, 1);
	ck_assert_int_eq(member_epoch(h, team, bob), epoch + 1);
	ck_assert_int_eq(changed_seq(h, team, bob), (int64_t)before + 1);
	ck_assert_int_eq(number(h, "SELECT count(*) FROM moderation.channel_members WHERE user_id = %ld AND left_at_ms IS NULL",
				 (long)bob->id),
		0);
	/* he comes back without what he was: not even owner of the channel that he made */
	joins(h, team, bob);
	ck_assert_uint_eq(judged(h, bob, 0, own).status, STATUS_NOT_FOUND);
	house_close(h);
}
END_TEST

START_TEST(a_repeated_leave_is_answered_as_the_first_was)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);

	h->request_id = (const uint8_t *)"leave-once-01234";
	OK(h, bob, remove_member, NEVERMIND(remove_member), .team_id = team, .user_id = bob->id);
	OK(h, bob, remove_member, NEVERMIND(remove_member), .team_id = team, .user_id = bob->id);
	ck_assert(h->outcome.replayed);
	h->request_id = NULL;
	REFUSED(h, STATUS_NOT_FOUND, NULL, bob, remove_member, NEVERMIND(remove_member), .team_id = team, .user_id = bob->id);
	house_close(h);
}
END_TEST

START_TEST(the_owner_neither_leaves_nor_is_kicked)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	holds(h, team, bob, role_in(h, team, 9, PERMISSION_administrator));

	REFUSED(h, STATUS_CONFLICT, "owner", ann, remove_member, NEVERMIND(remove_member), .team_id = team, .user_id = ann->id);
	REFUSED(h, STATUS_FORBIDDEN, "owner", bob, remove_member, NEVERMIND(remove_member), .team_id = team, .user_id = ann->id);
	house_close(h);
}
END_TEST

START_TEST(one_kicks_only_those_below)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid"), *dan = person(h, "dan");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	joins(h, team, cid);
	joins(h, team, dan);
	uint64_t high = role_in(h, team, 5, PERMISSION_kick_members), low = role_in(h, team, 2, PERMISSION_kick_members);
	holds(h, team, bob, high);
	holds(h, team, cid, low);

	REFUSED(h, STATUS_FORBIDDEN, "kick_members", dan, remove_member, NEVERMIND(remove_member), .team_id = team,
		.user_id = cid->id);
	ck_assert_str_eq(h->outcome.detail, "role");
	REFUSED(h, STATUS_FORBIDDEN, "rank", cid, remove_member, NEVERMIND(remove_member), .team_id = team, .user_id = bob->id);
	uint64_t before = head(h, STREAM_TEAM(team));
	OK(h, bob, remove_member, NEVERMIND(remove_member), .team_id = team, .user_id = cid->id);
	struct written *t = expect_events(h, STREAM_TEAM(team), before, "audience_changed", "", "member_removed",
		key(h, "team", team), NULL);
	ck_assert_uint_eq(t[1].body.body.member_removed.reason, REMOVAL_KICKED);
	ck_assert_uint_eq(t[1].body.body.member_removed.by, bob->id);
	OK(h, bob, remove_member, NEVERMIND(remove_member), .team_id = team, .user_id = cid->id); /* gone already */
	ck_assert_uint_eq(head(h, STREAM_TEAM(team)), before + 3); /* they and the audit entry */
	house_close(h);
}
END_TEST

START_TEST(who_comes_back_has_neither_his_roles_nor_his_nickname)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	pb_MemberReply reply;
	joins(h, team, bob);
	holds(h, team, bob, role_in(h, team, 5, PERMISSION_kick_members));
	OK(h, bob, update_member, &reply, .team_id = team, .user_id = bob->id, .nickname = "Bobby");
	ck_assert_uint_eq(reply.member.role_ids_count, 1);
	OK(h, bob, remove_member, NEVERMIND(remove_member), .team_id = team, .user_id = bob->id);

	OK(h, bob, join_team, &reply, .team_id = team);
	ck_assert_uint_eq(reply.member.role_ids_count, 0);
	ck_assert_ptr_null(reply.member.nickname);
	ck_assert_uint_eq(reply.member.left_at_ms, 0);
	pb_Rights rights = judged(h, bob, team, 0);
	ck_assert(rights.member && !has(&rights, PERMISSION_kick_members));
	house_close(h);
}
END_TEST

START_TEST(a_nickname_is_told_once_and_touches_no_epoch)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t before = head(h, STREAM_TEAM(team));
	pb_MemberReply reply;

	OK(h, bob, update_member, &reply, .team_id = team, .user_id = bob->id, .nickname = "Bobby");
	ck_assert_str_eq(reply.member.nickname, "Bobby");
	OK(h, bob, update_member, &reply, .team_id = team, .user_id = bob->id, .nickname = "Bobby");
	struct written *t =
		expect_events(h, STREAM_TEAM(team), before, "member_updated", key(h, "team", team), NULL);
	ck_assert_str_eq(t[0].body.body.member_updated.changed[0], "nickname");
	ck_assert_int_eq(member_epoch(h, team, bob), 1);
	REFUSED(h, STATUS_FORBIDDEN, "manage_nicknames", bob, update_member, NEVERMIND(update_member), .team_id = team,
		.user_id = ann->id, .nickname = "Boss");
	OK(h, ann, update_member, &reply, .team_id = team, .user_id = bob->id);
	ck_assert_ptr_null(reply.member.nickname);
	house_close(h);
}
END_TEST

START_TEST(a_change_of_a_team_names_what_changed_and_nothing_otherwise)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t before = head(h, STREAM_TEAM(team));
	pb_TeamReply reply;

	OK(h, ann, update_team, &reply, .team_id = team, .name = "a team", .description = "new");
	struct written *t = expect_events(h, STREAM_TEAM(team), before, "team_updated", key(h, "team", team), NULL);
	ck_assert_uint_eq(t[0].body.body.team_updated.changed_count, 1);
	ck_assert_str_eq(t[0].body.body.team_updated.changed[0], "description");
	OK(h, ann, update_team, &reply, .team_id = team, .description = "new");
	ck_assert_uint_eq(head(h, STREAM_TEAM(team)), before + 2); /* it and the audit entry */
	ck_assert_int_eq(stream_epoch(h, team), 0);
	char *cleared[] = {"description"};
	OK(h, ann, update_team, &reply, .team_id = team, .cleared_count = 1, .cleared = cleared);
	ck_assert_ptr_null(reply.team.description);
	REFUSED(h, STATUS_FORBIDDEN, "manage_team", bob, update_team, &reply, .team_id = team, .name = "mine");
	house_close(h);
}
END_TEST

START_TEST(opening_or_closing_the_doors_raises_the_streams_epoch)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	uint64_t team = team_of(h, ann);
	pb_TeamReply reply;

	OK(h, ann, update_team, &reply, .team_id = team, .has_joining = true, .joining = JOINING_INVITE);
	ck_assert_int_eq(stream_epoch(h, team), 1);
	OK(h, ann, update_team, &reply, .team_id = team, .has_public_read = true, .public_read = true);
	ck_assert_int_eq(stream_epoch(h, team), 2);
	house_close(h);
}
END_TEST

START_TEST(the_default_channel_is_a_living_one_of_the_team)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	uint64_t team = team_of(h, ann), other = team_of(h, ann);
	uint64_t channel = channel_in(h, team, .created_by = ann->id);
	pb_TeamReply reply;

	REFUSED(h, STATUS_FIELD_INVALID, NULL, ann, update_team, &reply, .team_id = other, .has_default_channel_id = true,
		.default_channel_id = channel);
	OK(h, ann, update_team, &reply, .team_id = team, .has_default_channel_id = true, .default_channel_id = channel);
	ck_assert_uint_eq(reply.team.default_channel_id, channel);
	sql(h, "UPDATE messaging.channels SET deleted_at_ms = 1 WHERE id = %ld", (long)channel);
	OK(h, ann, get_team, &reply, .team_id = team);
	ck_assert_uint_eq(reply.team.default_channel_id, 0);
	house_close(h);
}
END_TEST

START_TEST(a_deleted_team_tells_its_members_last_and_is_gone)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	holds(h, team, bob, role_in(h, team, 9, PERMISSION_administrator));
	uint64_t before = head(h, STREAM_TEAM(team));

	REFUSED(h, STATUS_FORBIDDEN, "owner", bob, delete_team, NEVERMIND(delete_team), .team_id = team);
	OK(h, ann, delete_team, NEVERMIND(delete_team), .team_id = team);
	expect_events(h, STREAM_TEAM(team), before, "team_deleted", key(h, "team", team), NULL);
	ck_assert_int_eq(stream_epoch(h, team), 1);
	ck_assert_uint_eq(judged(h, ann, team, 0).status, STATUS_NOT_FOUND);
	REFUSED(h, STATUS_NOT_FOUND, NULL, bob, join_team, NEVERMIND(join_team), .team_id = team);
	REFUSED(h, STATUS_NOT_FOUND, NULL, ann, get_team, NEVERMIND(get_team), .team_id = team);
	REFUSED(h, STATUS_NOT_FOUND, NULL, the_system, remove_member, NEVERMIND(remove_member), .team_id = team,
		.user_id = bob->id);
	OK(h, the_system, erase_person, NEVERMIND(erase_person), .user_id = bob->id);
	ck_assert_uint_eq(head(h, STREAM_TEAM(team)), before + 2); /* nothing follows team_deleted */
	pb_ListTeamsReply list;
	OK(h, ann, list_teams, &list, .user_id = ann->id);
	ck_assert_uint_eq(list.teams_count, 0);
	house_close(h);
}
END_TEST

START_TEST(members_are_listed_in_pages_by_id_both_ways)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	uint64_t team = team_of(h, ann), ids[5] = {ann->id};
	for (int i = 1; i < 5; i++) {
		pb_UserView *u = person(h, "u");
		joins(h, team, u);
		ids[i] = u->id;
	}
	for (int i = 0; i < 5; i++)
		for (int k = i + 1; k < 5; k++)
			if (ids[k] < ids[i]) {
				uint64_t swap = ids[i];
				ids[i] = ids[k];
				ids[k] = swap;
			}
	pb_ListMembersReply page;
	OK(h, ann, list_members, &page, .team_id = team, .limit = 2);
	ck_assert_uint_eq(page.members_count, 2);
	ck_assert(page.more);
	ck_assert_uint_eq(page.members[0].user.id, ids[0]);
	ck_assert_uint_eq(page.members[1].user.id, ids[1]);
	OK(h, ann, list_members, &page, .team_id = team, .limit = 10, .after = ids[1]);
	ck_assert_uint_eq(page.members_count, 3);
	ck_assert(!page.more);
	OK(h, ann, list_members, &page, .team_id = team, .limit = 2, .before = ids[4]);
	ck_assert(page.more);
	ck_assert_uint_eq(page.members[0].user.id, ids[2]);
	ck_assert_uint_eq(page.members[1].user.id, ids[3]);
	ck_assert_str_eq(page.members[0].user.username, page.members[0].user.id == ann->id ? "ann" : "u");
	OK(h, ann, list_members, &page, .team_id = team, .limit = 10, .named = (char *)"NN");
	ck_assert_uint_eq(page.members_count, 1);
	ck_assert_uint_eq(page.members[0].user.id, ann->id);
	OK(h, ann, list_members, &page, .team_id = team, .limit = 10, .named = (char *)"%");
	ck_assert_uint_eq(page.members_count, 0);
	REFUSED(h, STATUS_FIELD_INVALID, NULL, ann, list_members, &page, .team_id = team, .limit = 101);
	house_close(h);
}
END_TEST

START_TEST(listed_members_carry_their_permissions_and_who_owns)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	holds(h, team, bob, role_in(h, team, 3, PERMISSION_ban_members));
	pb_ListMembersReply page;
	pb_MemberReply one;

	OK(h, bob, list_members, &page, .team_id = team);
	ck_assert_uint_eq(page.members_count, 2);
	for (size_t i = 0; i < 2; i++) {
		const pb_MemberView *m = &page.members[i];
		struct bits set = {m->permissions.low, m->permissions.high};
		ck_assert_int_eq(m->owner, m->user.id == ann->id);
		ck_assert(bits_has(set, PERMISSION_ban_members));
		ck_assert_int_eq(bits_has(set, PERMISSION_kick_members), m->user.id == ann->id);
	}
	OK(h, ann, get_member, &one, .team_id = team, .user_id = bob->id);
	ck_assert_uint_eq(one.member.role_ids_count, 1);
	house_close(h);
}
END_TEST

START_TEST(a_revoked_session_is_stale_for_reading_and_writing)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	uint64_t team = team_of(h, ann);

	sql(h, "UPDATE log.streams SET authz_epoch = 1 WHERE rank = 2 AND id = %ld", (long)ann->id);
	REFUSED(h, STATUS_STALE, "session", ann, get_team, NEVERMIND(get_team), .team_id = team);
	REFUSED(h, STATUS_STALE, "session", ann, list_teams, NEVERMIND(list_teams), .user_id = ann->id);
	REFUSED(h, STATUS_STALE, "session", ann, judge, NEVERMIND(judge), .user_id = ann->id, .team_id = team);
	REFUSED(h, STATUS_STALE, "session", ann, update_team, NEVERMIND(update_team), .team_id = team, .name = "x");
	REFUSED(h, STATUS_STALE, "session", ann, create_team, NEVERMIND(create_team), .name = "x");
	h->epoch = 1;
	OK(h, ann, get_team, NEVERMIND(get_team), .team_id = team);
	house_close(h);
}
END_TEST

START_TEST(a_session_that_was_looked_at_in_another_generation_of_the_log_is_stale)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	uint64_t team = team_of(h, ann);

	h->generation = 12345;
	REFUSED(h, STATUS_STALE, "session", ann, get_team, NEVERMIND(get_team), .team_id = team);
	REFUSED(h, STATUS_STALE, "session", ann, list_teams, NEVERMIND(list_teams), .user_id = ann->id);
	REFUSED(h, STATUS_STALE, "session", ann, judge, NEVERMIND(judge), .user_id = ann->id, .team_id = team);
	REFUSED(h, STATUS_STALE, "session", ann, update_team, NEVERMIND(update_team), .team_id = team, .name = "x");
	house_close(h);
}
END_TEST

START_TEST(an_erased_person_leaves_every_team_without_a_name)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t first = team_of(h, ann), second = team_of(h, ann);
	joins(h, first, bob);
	joins(h, second, bob);
	uint64_t before = head(h, STREAM_TEAM(first));

	REFUSED(h, STATUS_FORBIDDEN, "system_only", ann, erase_person, NEVERMIND(erase_person), .user_id = bob->id);
	OK(h, the_system, erase_person, NEVERMIND(erase_person), .user_id = bob->id);
	struct written *t = expect_events(h, STREAM_TEAM(first), before, "audience_changed", "", "member_removed",
		key(h, "team", first), NULL);
	ck_assert(t[1].body.body.member_removed.member.user.erased);
	ck_assert_ptr_null(t[1].body.body.member_removed.member.user.username);
	pb_TeamIdsReply ids;
	OK(h, the_system, list_team_ids, &ids, .user_id = bob->id);
	ck_assert_uint_eq(ids.team_ids_count, 0);
	OK(h, the_system, list_team_ids, &ids, .user_id = ann->id);
	ck_assert_uint_eq(ids.team_ids_count, 2);
	OK(h, the_system, erase_person, NEVERMIND(erase_person), .user_id = bob->id);
	ck_assert_uint_eq(head(h, STREAM_TEAM(first)), before + 2);
	house_close(h);
}
END_TEST

START_TEST(what_the_system_says_of_people_is_shown_until_they_are_erased)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	pb_MemberReply reply;
	joins(h, team, bob);
	bob->username = "robert";

	OK(h, the_system, put_person, NEVERMIND(put_person), .has_user = true, .user = *bob);
	OK(h, ann, get_member, &reply, .team_id = team, .user_id = bob->id);
	ck_assert_str_eq(reply.member.user.username, "robert");
	OK(h, the_system, erase_person, NEVERMIND(erase_person), .user_id = bob->id);
	OK(h, the_system, put_person, NEVERMIND(put_person), .has_user = true, .user = *bob);
	ck_assert_int_eq(
		number(h, "SELECT count(*) FROM moderation.people WHERE id = %ld AND username IS NULL", (long)bob->id), 1);
	house_close(h);
}
END_TEST

/* Without a leaf for its events a transaction fails as a whole; the committer makes leaves and runs the work again. */
static void fail_the_next_transaction(struct house *h)
{
	sql(h, "DO $$ DECLARE leaf regclass; BEGIN FOR leaf IN SELECT inhrelid::regclass FROM pg_inherits"
	       " WHERE inhparent = 'log.events'::regclass LOOP EXECUTE 'DROP TABLE ' || leaf; END LOOP; END $$");
}

START_TEST(work_that_is_run_again_does_what_it_did_the_first_time)
{
	for (int i = 0; i < 4; i++) {
		struct house *h = house_open(); /* a committer makes missing leaves once in a while only */
		pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
		uint64_t team = team_of(h, ann), channel = channel_in(h, team, .private = true, .created_by = ann->id);
		const char *all = key(h, "team", team), *own = key(h, "channel", channel);
		pb_MemberReply joined;
		pb_ChannelMemberReply added;
		if (i > 0)
			joins(h, team, bob);
		if (i > 1)
			OK(h, ann, add_channel_member, &added, .channel_id = channel, .user_id = bob->id);
		uint64_t before = head(h, STREAM_TEAM(team));

		fail_the_next_transaction(h);
		if (i == 0) {
			OK(h, bob, join_team, &joined, .team_id = team);
			ck_assert(joined.created);
			ck_assert_int_eq(member_epoch(h, team, bob), 1);
		} else if (i == 1) {
			OK(h, ann, add_channel_member, &added, .channel_id = channel, .user_id = bob->id);
			ck_assert(added.created);
		} else if (i == 2) {
			OK(h, ann, kick_channel_member, NEVERMIND(kick_channel_member), .channel_id = channel, .user_id = bob->id);
		} else {
			OK(h, ann, remove_member, NEVERMIND(remove_member), .team_id = team, .user_id = bob->id);
		}
		static const char *const told[] = {"member_joined", "channel_member_joined", "channel_member_kicked", "member_removed"};
		expect_events(h, STREAM_TEAM(team), before, "audience_changed", "", told[i], i == 0 || i == 3 ? all : own, NULL);
		house_close(h);
	}
}
END_TEST

TESTS("moderation teams", work_that_is_run_again_does_what_it_did_the_first_time, every_call_of_moderation_is_bound_once,
	a_new_team_begins_with_its_owners_key_and_tells_the_owner, a_repeated_request_makes_one_team,
	fields_out_of_bounds_are_named, an_account_has_at_most_two_hundred_teams,
	joining_an_open_team_gains_the_key_first_and_raises_the_epoch,
	a_team_by_invitation_is_not_there_for_strangers_and_not_joined_by_oneself,
	an_open_team_may_be_looked_at_before_it_is_joined,
	leaving_takes_the_key_first_and_ends_channel_memberships, a_repeated_leave_is_answered_as_the_first_was,
	the_owner_neither_leaves_nor_is_kicked, one_kicks_only_those_below,
	who_comes_back_has_neither_his_roles_nor_his_nickname, a_nickname_is_told_once_and_touches_no_epoch,
	a_change_of_a_team_names_what_changed_and_nothing_otherwise,
	opening_or_closing_the_doors_raises_the_streams_epoch, the_default_channel_is_a_living_one_of_the_team,
	a_deleted_team_tells_its_members_last_and_is_gone, members_are_listed_in_pages_by_id_both_ways,
	listed_members_carry_their_permissions_and_who_owns, a_revoked_session_is_stale_for_reading_and_writing,
	a_session_that_was_looked_at_in_another_generation_of_the_log_is_stale,
	an_erased_person_leaves_every_team_without_a_name,
	what_the_system_says_of_people_is_shown_until_they_are_erased)
