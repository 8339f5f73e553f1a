/* Whose a team is: handed on by its owner, and when the owner's account is erased. */
#include "tests/unit/moderation/fixture.h"

static int64_t owner_of(struct house *h, uint64_t team)
{
	return number(h, "SELECT owner_id FROM moderation.teams WHERE id = %ld", (long)team);
}

static bool deleted(struct house *h, uint64_t team)
{
	return number(h, "SELECT count(deleted_at_ms) FROM moderation.teams WHERE id = %ld", (long)team) == 1;
}

static pb_AudienceAnswer keys_of(struct house *h, uint64_t team, const pb_UserView *who)
{
	uint64_t id = who->id;
	pb_StreamHead stream = {.rank = RANK_TEAM, .stream_id = team};
	pb_ListAudiencesReply reply;
	OK(h, the_system, list_audiences, &reply, .user_ids = &id, .user_ids_count = 1, .streams = &stream, .streams_count = 1);
	return reply.answers[0];
}

static void joined_at(struct house *h, uint64_t team, const pb_UserView *who, int64_t at_ms)
{
	sql(h, "UPDATE moderation.members SET joined_at_ms = %ld WHERE team_id = %ld AND user_id = %ld", (long)at_ms,
		(long)team, (long)who->id);
}

/* ---- by the owner */

START_TEST(a_team_is_handed_on_with_the_keys_of_both_asked_anew_first)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t before = head(h, STREAM_TEAM(team));
	pb_TeamReply reply;

	OK(h, ann, transfer_team, &reply, .team_id = team, .user_id = bob->id);
	ck_assert_uint_eq(reply.team.owner_id, bob->id);
	struct written *t =
		expect_events(h, STREAM_TEAM(team), before, "audience_recheck", "", "team_updated", key(h, "team", team), NULL);
	const pb_AudienceRecheck *recheck = &t[0].body.body.audience_recheck;
	ck_assert(!recheck->all);
	ck_assert_uint_eq(recheck->user_ids_count, 2);
	ck_assert_uint_eq(recheck->user_ids[0], ann->id);
	ck_assert_uint_eq(recheck->user_ids[1], bob->id);
	const pb_TeamUpdated *told = &t[1].body.body.team_updated;
	ck_assert_uint_eq(told->changed_count, 1);
	ck_assert_str_eq(told->changed[0], "owner_id");
	ck_assert_uint_eq(told->team.owner_id, bob->id);
	ck_assert_int_eq(stream_epoch(h, team), 1);
	ck_assert_int_eq(member_epoch(h, team, ann), 2);
	ck_assert_int_eq(member_epoch(h, team, bob), 2);
	ck_assert_uint_eq(keys_of(h, team, ann).unchanged_since, before + 1);
	ck_assert_uint_eq(keys_of(h, team, bob).unchanged_since, before + 1);
	pb_Rights mine = judged(h, ann, team, 0), his = judged(h, bob, team, 0);
	ck_assert(!mine.owner && !has(&mine, PERMISSION_manage_team));
	ck_assert(his.owner && has(&his, PERMISSION_manage_team));
	REFUSED(h, STATUS_FORBIDDEN, "owner", ann, delete_team, NEVERMIND(delete_team), .team_id = team);
	REFUSED(h, STATUS_FORBIDDEN, "owner", ann, transfer_team, &reply, .team_id = team, .user_id = ann->id);
	OK(h, ann, remove_member, NEVERMIND(remove_member), .team_id = team, .user_id = ann->id); /* free to leave now */
	house_close(h);
}
END_TEST

START_TEST(a_team_goes_only_to_a_member_who_is_no_bot_and_only_from_its_owner)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid"), *bot = person(h, "bot");
	uint64_t team = team_of(h, ann), before;
	pb_TeamReply reply;
	bot->bot = true;
	joins(h, team, bob);
	joins(h, team, bot);
	holds(h, team, bob, role_in(h, team, 9, PERMISSION_administrator));
	before = head(h, STREAM_TEAM(team));

	REFUSED(h, STATUS_FORBIDDEN, "owner", bob, transfer_team, &reply, .team_id = team, .user_id = bob->id);
	REFUSED(h, STATUS_NOT_FOUND, NULL, cid, transfer_team, &reply, .team_id = team, .user_id = cid->id);
	REFUSED(h, STATUS_NOT_FOUND, "member", ann, transfer_team, &reply, .team_id = team, .user_id = cid->id);
	REFUSED(h, STATUS_NOT_FOUND, "member", ann, transfer_team, &reply, .team_id = team, .user_id = ids_random());
	REFUSED(h, STATUS_FORBIDDEN, "bot", ann, transfer_team, &reply, .team_id = team, .user_id = bot->id);
	REFUSED(h, STATUS_FIELD_INVALID, NULL, ann, transfer_team, &reply, .team_id = team);
	ck_assert_str_eq(h->outcome.field, "owner_id");
	OK(h, ann, transfer_team, &reply, .team_id = team, .user_id = ann->id); /* hers already */
	ck_assert_uint_eq(head(h, STREAM_TEAM(team)), before);
	ck_assert_int_eq(owner_of(h, team), (int64_t)ann->id);
	house_close(h);
}
END_TEST

START_TEST(whoever_gets_a_team_is_free_of_his_timeout)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	pb_MemberReply member;
	joins(h, team, bob);
	OK(h, ann, set_timeout, NEVERMIND(set_timeout), .team_id = team, .user_id = bob->id, .seconds = 3600);

	OK(h, ann, transfer_team, NEVERMIND(transfer_team), .team_id = team, .user_id = bob->id);
	OK(h, bob, get_member, &member, .team_id = team, .user_id = bob->id);
	ck_assert_uint_eq(member.member.timeout_until_ms, 0);
	ck_assert(member.member.owner);
	house_close(h);
}
END_TEST

START_TEST(handing_on_is_recorded)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	char from[IDS_UUID_SIZE], to[IDS_UUID_SIZE];
	pb_ListAuditReply list;
	joins(h, team, bob);
	ids_to_uuid(ann->id, from);
	ids_to_uuid(bob->id, to);

	OK(h, ann, transfer_team, NEVERMIND(transfer_team), .team_id = team, .user_id = bob->id);
	OK(h, bob, list_audit, &list, .team_id = team);
	ck_assert_uint_eq(list.entries_count, 1);
	ck_assert_str_eq(list.entries[0].action, "owner_transferred");
	ck_assert_str_eq(
		list.entries[0].changes, arena_printf(h->mem, "{\"owner_id\":{\"from\":\"%s\",\"to\":\"%s\"}}", from, to));
	house_close(h);
}
END_TEST

/* ---- an owner whose account is erased */

START_TEST(the_team_of_an_erased_account_goes_to_who_stands_highest)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid"), *bot = person(h, "bot");
	uint64_t team = team_of(h, ann);
	bot->bot = true;
	joins(h, team, bob);
	joins(h, team, cid);
	joins(h, team, bot);
	holds(h, team, cid, role_in(h, team, 3, PERMISSION_pin_messages));
	holds(h, team, bot, role_in(h, team, 9, PERMISSION_pin_messages));
	uint64_t before = head(h, STREAM_TEAM(team));

	OK(h, the_system, erase_person, NEVERMIND(erase_person), .user_id = ann->id);
	ck_assert_int_eq(owner_of(h, team), (int64_t)cid->id);
	struct written *t = expect_events(h, STREAM_TEAM(team), before, "audience_recheck", "", "team_updated",
		key(h, "team", team), "audience_changed", "", "member_removed", key(h, "team", team), NULL);
	ck_assert(!t[1].body.has_actor);
	ck_assert_uint_eq(t[1].body.body.team_updated.team.owner_id, cid->id);
	pb_Rights r = judged(h, cid, team, 0);
	ck_assert(r.owner);
	before = head(h, STREAM_TEAM(team));
	OK(h, the_system, erase_person, NEVERMIND(erase_person), .user_id = ann->id);
	ck_assert_uint_eq(head(h, STREAM_TEAM(team)), before);
	house_close(h);
}
END_TEST

START_TEST(among_equals_it_goes_to_who_has_been_there_longest)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid"), *dan = person(h, "dan");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	joins(h, team, cid);
	joins(h, team, dan);
	joined_at(h, team, bob, 3000);
	joined_at(h, team, cid, 2000);
	joined_at(h, team, dan, 1000);
	OK(h, the_system, erase_person, NEVERMIND(erase_person), .user_id = dan->id); /* gone before */

	OK(h, the_system, erase_person, NEVERMIND(erase_person), .user_id = ann->id);
	ck_assert_int_eq(owner_of(h, team), (int64_t)cid->id);
	house_close(h);
}
END_TEST

START_TEST(with_nobody_left_the_team_is_deleted)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bot = person(h, "bot");
	uint64_t team = team_of(h, ann), before;
	bot->bot = true;
	joins(h, team, bot);
	before = head(h, STREAM_TEAM(team));

	OK(h, the_system, erase_person, NEVERMIND(erase_person), .user_id = ann->id);
	ck_assert(deleted(h, team));
	expect_events(h, STREAM_TEAM(team), before, "team_deleted", key(h, "team", team), NULL);
	OK(h, the_system, erase_person, NEVERMIND(erase_person), .user_id = ann->id);
	house_close(h);
}
END_TEST

START_TEST(all_teams_of_an_erased_account_are_handed_on_and_others_stay_whose_they_are)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t hers = team_of(h, ann), also = team_of(h, ann), alone = team_of(h, ann), his = team_of(h, bob);
	joins(h, hers, bob);
	joins(h, also, bob);
	joins(h, his, ann);

	OK(h, the_system, erase_person, NEVERMIND(erase_person), .user_id = ann->id);
	ck_assert_int_eq(owner_of(h, hers), (int64_t)bob->id);
	ck_assert_int_eq(owner_of(h, also), (int64_t)bob->id);
	ck_assert(deleted(h, alone) && !deleted(h, hers) && !deleted(h, his));
	ck_assert_int_eq(number(h, "SELECT count(*) FROM moderation.members WHERE user_id = %ld AND left_at_ms IS NULL"
				   " AND team_id <> %ld",
				 (long)ann->id, (long)alone),
		0);
	house_close(h);
}
END_TEST

TESTS("moderation ownership", a_team_is_handed_on_with_the_keys_of_both_asked_anew_first,
	a_team_goes_only_to_a_member_who_is_no_bot_and_only_from_its_owner, whoever_gets_a_team_is_free_of_his_timeout,
	handing_on_is_recorded, the_team_of_an_erased_account_goes_to_who_stands_highest,
	among_equals_it_goes_to_who_has_been_there_longest, with_nobody_left_the_team_is_deleted,
	all_teams_of_an_erased_account_are_handed_on_and_others_stay_whose_they_are)
