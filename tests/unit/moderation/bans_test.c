/* Bans from teams and channels: rows, epochs, keys, and the order of what is told. */
#include <pthread.h>

#include "tests/unit/moderation/fixture.h"

static const char *can_ban(struct house *h, uint64_t team)
{
	char text[AUDIENCE_SIZE];
	audience_can(text, team, PERMISSION_ban_members);
	return arena_strdup(h->mem, text);
}

/* ---- teams */

START_TEST(a_ban_takes_the_key_first_then_the_membership_then_tells_who_may_ban)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t before = head(h, STREAM_TEAM(team)), mine = head(h, STREAM_USER(bob->id));
	pb_BanReply reply;

	OK(h, ann, ban_member, &reply, .scope_id = team, .user_id = bob->id, .reason = "noise");
	ck_assert_str_eq(reply.ban.reason, "noise");
	ck_assert_str_eq(reply.ban.user.username, "bob");
	ck_assert_str_eq(reply.ban.by.username, "ann");
	struct written *t = expect_events(h, STREAM_TEAM(team), before, "audience_changed", "", "member_removed",
		key(h, "team", team), "member_banned", can_ban(h, team), NULL);
	const char *me = key(h, "user", bob->id);
	struct written *u =
		expect_events(h, STREAM_USER(bob->id), mine, "member_removed", me, "member_banned", me, NULL);
	ck_assert_uint_eq(t[0].body.body.audience_changed.user_id, bob->id);
	ck_assert_str_eq(t[0].body.body.audience_changed.lost[0], key(h, "team", team));
	ck_assert_uint_eq(t[1].body.body.member_removed.reason, REMOVAL_BANNED);
	ck_assert_uint_eq(t[1].body.event_id, u[0].body.event_id);
	ck_assert_uint_eq(t[2].body.event_id, u[1].body.event_id);
	ck_assert_str_eq(t[2].body.body.member_banned.reason, "noise");
	ck_assert_int_eq(member_epoch(h, team, bob), 2);
	ck_assert_int_eq(changed_seq(h, team, bob), (int64_t)before + 1);
	ck_assert_int_eq(stream_epoch(h, team), 0);
	pb_Rights rights = judged(h, bob, team, 0);
	ck_assert_uint_eq(rights.status, STATUS_NOT_FOUND);
	ck_assert_str_eq(rights.why, "ban");
	REFUSED(h, STATUS_FORBIDDEN, "ban", bob, join_team, NEVERMIND(join_team), .team_id = team);
	REFUSED(h, STATUS_FORBIDDEN, "ban", ann, add_member, NEVERMIND(add_member), .team_id = team, .user_id = bob->id);
	REFUSED(h, STATUS_NOT_FOUND, NULL, bob, get_team, NEVERMIND(get_team), .team_id = team);
	house_close(h);
}
END_TEST

START_TEST(one_who_never_was_a_member_is_banned_and_gets_an_epoch)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann), before = head(h, STREAM_TEAM(team));

	OK(h, ann, ban_member, NEVERMIND(ban_member), .scope_id = team, .user_id = bob->id, .has_user = true, .user = *bob);
	expect_events(h, STREAM_TEAM(team), before, "audience_changed", "", "member_banned", can_ban(h, team), NULL);
	ck_assert_int_eq(member_epoch(h, team, bob), 1);
	ck_assert_int_eq(number(h, "SELECT member_count FROM moderation.teams WHERE id = %ld", (long)team), 1);
	REFUSED(h, STATUS_NOT_FOUND, "user", ann, ban_member, NEVERMIND(ban_member), .scope_id = team, .user_id = ids_random());
	house_close(h);
}
END_TEST

START_TEST(a_ban_that_holds_takes_a_new_reason_and_tells_it)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	pb_BanReply reply;
	OK(h, ann, ban_member, &reply, .scope_id = team, .user_id = bob->id, .reason = "one");
	uint64_t before = head(h, STREAM_TEAM(team)), at = reply.ban.created_at_ms;

	OK(h, ann, ban_member, &reply, .scope_id = team, .user_id = bob->id, .reason = "two");
	ck_assert_str_eq(reply.ban.reason, "two");
	ck_assert_uint_eq(reply.ban.created_at_ms, at);
	struct written *t = expect_events(h, STREAM_TEAM(team), before, "member_banned", can_ban(h, team), NULL);
	ck_assert_str_eq(t[0].body.body.member_banned.reason, "two");
	before = head(h, STREAM_TEAM(team));
	OK(h, ann, ban_member, &reply, .scope_id = team, .user_id = bob->id, .reason = "two");
	expect_events(h, STREAM_TEAM(team), before, NULL);
	ck_assert_int_eq(number(h, "SELECT count(*) FROM moderation.bans WHERE scope_id = %ld", (long)team), 1);
	house_close(h);
}
END_TEST

START_TEST(lifting_a_ban_keeps_its_row_and_raises_the_epoch)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	OK(h, ann, ban_member, NEVERMIND(ban_member), .scope_id = team, .user_id = bob->id);
	uint64_t before = head(h, STREAM_TEAM(team)), mine = head(h, STREAM_USER(bob->id));

	OK(h, ann, unban_member, NEVERMIND(unban_member), .scope_id = team, .user_id = bob->id, .reason = "peace");
	struct written *t =
		expect_events(h, STREAM_TEAM(team), before, "member_unbanned", can_ban(h, team), NULL);
	expect_events(h, STREAM_USER(bob->id), mine, "member_unbanned", key(h, "user", bob->id), NULL);
	ck_assert_str_eq(t[0].body.body.member_unbanned.reason, "peace");
	ck_assert_int_eq(member_epoch(h, team, bob), 2);
	ck_assert_int_eq(changed_seq(h, team, bob), (int64_t)before + 1);
	ck_assert_int_eq(number(h, "SELECT count(*) FROM moderation.bans WHERE scope_id = %ld AND lifted_by = %ld",
				 (long)team, (long)ann->id),
		1);
	OK(h, ann, unban_member, NEVERMIND(unban_member), .scope_id = team, .user_id = bob->id);
	ck_assert_uint_eq(head(h, STREAM_TEAM(team)), before + 2); /* it and its audit entry */
	REFUSED(h, STATUS_NOT_FOUND, NULL, ann, get_ban, NEVERMIND(get_ban), .scope_id = team, .user_id = bob->id);
	joins(h, team, bob);
	house_close(h);
}
END_TEST

START_TEST(bans_follow_rank_and_spare_the_owner)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	joins(h, team, cid);
	REFUSED(h, STATUS_FORBIDDEN, "ban_members", bob, ban_member, NEVERMIND(ban_member), .scope_id = team, .user_id = cid->id);
	uint64_t role = role_in(h, team, 4, PERMISSION_ban_members);
	holds(h, team, bob, role);
	holds(h, team, cid, role);

	REFUSED(h, STATUS_FORBIDDEN, "rank", bob, ban_member, NEVERMIND(ban_member), .scope_id = team, .user_id = cid->id);
	REFUSED(h, STATUS_FORBIDDEN, "rank", bob, ban_member, NEVERMIND(ban_member), .scope_id = team, .user_id = bob->id);
	REFUSED(h, STATUS_FORBIDDEN, "owner", bob, ban_member, NEVERMIND(ban_member), .scope_id = team, .user_id = ann->id);
	house_close(h);
}
END_TEST

START_TEST(a_bans_bounds_are_checked)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	char *reason = arena_alloc(h->mem, 514);
	memset(reason, 'x', 513);

	REFUSED(h, STATUS_FIELD_INVALID, NULL, ann, ban_member, NEVERMIND(ban_member), .scope_id = team, .user_id = bob->id,
		.reason = reason);
	ck_assert_str_eq(h->outcome.field, "reason");
	REFUSED(h, STATUS_FIELD_INVALID, NULL, ann, ban_member, NEVERMIND(ban_member), .scope_id = team, .user_id = bob->id,
		.expires_at_ms = 1);
	ck_assert_str_eq(h->outcome.field, "expires_at");
	reason[512] = 0;
	OK(h, ann, ban_member, NEVERMIND(ban_member), .scope_id = team, .user_id = bob->id, .reason = reason);
	house_close(h);
}
END_TEST

START_TEST(bans_are_listed_by_id_for_those_who_may_ban)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid");
	uint64_t team = team_of(h, ann);
	OK(h, ann, ban_member, NEVERMIND(ban_member), .scope_id = team, .user_id = bob->id);
	OK(h, ann, ban_member, NEVERMIND(ban_member), .scope_id = team, .user_id = cid->id);
	uint64_t low = bob->id < cid->id ? bob->id : cid->id, high = bob->id < cid->id ? cid->id : bob->id;
	pb_ListBansReply list;

	OK(h, ann, list_bans, &list, .scope_id = team, .limit = 1);
	ck_assert_uint_eq(list.bans_count, 1);
	ck_assert(list.more);
	ck_assert_uint_eq(list.bans[0].user.id, low);
	OK(h, ann, list_bans, &list, .scope_id = team, .after = low);
	ck_assert_uint_eq(list.bans_count, 1);
	ck_assert_uint_eq(list.bans[0].user.id, high);
	OK(h, ann, list_bans, &list, .scope_id = team, .before = high);
	ck_assert_uint_eq(list.bans[0].user.id, low);
	pb_UserView *dan = person(h, "dan");
	joins(h, team, dan);
	REFUSED(h, STATUS_FORBIDDEN, "ban_members", dan, list_bans, &list, .scope_id = team);
	house_close(h);
}
END_TEST

START_TEST(a_ban_whose_time_has_come_is_ended_by_the_job_with_its_events)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann), end = (uint64_t)clock_wall_ms() + 3600000;
	joins(h, team, bob);
	OK(h, ann, ban_member, NEVERMIND(ban_member), .scope_id = team, .user_id = bob->id, .expires_at_ms = end);
	uint64_t before = head(h, STREAM_TEAM(team));
	size_t ended = 99;
	ck_assert_uint_eq(judged(h, bob, team, 0).valid_until_ms, end);

	ck_assert_int_eq(expiry_run(&h->service, h->mem, clock_wall_ms(), &ended), STATUS_OK);
	ck_assert_uint_eq(head(h, STREAM_TEAM(team)), before);
	sql(h, "UPDATE moderation.bans SET expires_at_ms = 1 WHERE scope_id = %ld", (long)team);
	ck_assert_str_eq(judged(h, bob, team, 0).why, "ban"); /* the clock alone ends nothing */
	ck_assert_int_eq(expiry_run(&h->service, h->mem, clock_wall_ms(), &ended), STATUS_OK);
	ck_assert_uint_eq(ended, 1);
	struct written *t =
		expect_events(h, STREAM_TEAM(team), before, "member_unbanned", can_ban(h, team), NULL);
	ck_assert(!t[0].body.has_actor);
	ck_assert_int_eq(member_epoch(h, team, bob), 3);
	ck_assert_int_eq(expiry_run(&h->service, h->mem, clock_wall_ms(), &ended), STATUS_OK);
	ck_assert_uint_eq(ended, 0);
	house_close(h);
}
END_TEST

struct racer {
	struct house *h;
	pb_UserView *who;
	uint64_t team;
};

/* Joins again and again while the other thread bans and lifts; refusals are as good as successes. */
static void *join_again_and_again(void *arg)
{
	struct racer *r = arg;
	for (int i = 0; i < 40; i++) {
		struct arena *mem = arena_create();
		struct rpc_outcome outcome;
		pb_MemberReply reply;
		uint8_t id[16];
		ids_random_bytes(id, sizeof id);
		struct rpc_context ctx = {.request_id = id,
			.request_id_length = sizeof id,
			.actor = r->who,
			.actor_id = r->who->id,
			.deadline_mono_ms = clock_mono_ms() + PATIENCE_MS};
		enum status st = moderation_join_team(
			r->h->client, mem, &ctx, &(pb_MemberRequest){.team_id = r->team}, &reply, &outcome);
		ck_assert(st == STATUS_OK || st == STATUS_FORBIDDEN || st == STATUS_BUSY);
		arena_destroy(mem);
	}
	return NULL;
}

START_TEST(a_join_that_races_a_ban_never_leaves_a_banned_member)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	struct racer racer = {h, bob, team};
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, join_again_and_again, &racer), 0);
	for (int i = 0; i < 20; i++) {
		enum status st = CALL(h, ann, ban_member, NEVERMIND(ban_member), .scope_id = team, .user_id = bob->id);
		ck_assert(st == STATUS_OK || st == STATUS_BUSY);
		if (st == STATUS_OK)
			ck_assert_int_eq(number(h,
						 "SELECT count(*) FROM moderation.members WHERE team_id = %ld AND user_id = %ld"
						 " AND left_at_ms IS NULL",
						 (long)team, (long)bob->id),
				0);
		CALL(h, ann, unban_member, NEVERMIND(unban_member), .scope_id = team, .user_id = bob->id);
	}
	pthread_join(thread, NULL);
	ck_assert_int_eq(number(h,
				 "SELECT member_count - (SELECT count(*) FROM moderation.members m WHERE m.team_id = t.id"
				 " AND m.left_at_ms IS NULL) FROM moderation.teams t WHERE t.id = %ld",
				 (long)team),
		0);
	/* every seq of the stream is there, once */
	size_t count;
	struct written *t = events_after(h, STREAM_TEAM(team), 0, &count);
	ck_assert_uint_eq(count, head(h, STREAM_TEAM(team)));
	for (size_t i = 0; i < count; i++)
		ck_assert_uint_eq(t[i].ev.seq, i + 1);
	house_close(h);
}
END_TEST

/* ---- channels */

START_TEST(the_first_ban_from_an_open_channel_gives_it_its_own_key_by_a_wide_change)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t channel = channel_in(h, team, .created_by = ann->id);
	OK(h, bob, join_channel, NEVERMIND(join_channel), .channel_id = channel);
	ck_assert_str_eq(judged(h, ann, 0, channel).audience, key(h, "team", team));
	uint64_t before = head(h, STREAM_TEAM(team)), mine = head(h, STREAM_USER(bob->id));
	int64_t epoch = member_epoch(h, team, bob);
	pb_BanReply reply;

	OK(h, ann, ban_channel_user, &reply, .scope_id = channel, .user_id = bob->id, .reason = "spam");
	struct written *t = expect_events(h, STREAM_TEAM(team), before, "audience_recheck", "", "channel_user_banned",
		key(h, "channel", channel), NULL);
	struct written *u = expect_events(
		h, STREAM_USER(bob->id), mine, "channel_user_banned", key(h, "user", bob->id), NULL);
	ck_assert(t[0].body.body.audience_recheck.all);
	ck_assert(t[1].body.body.channel_user_banned.was_member);
	ck_assert_str_eq(t[1].body.body.channel_user_banned.motive, "spam");
	ck_assert_str_eq(t[1].body.body.channel_user_banned.channel.name, "general");
	ck_assert_uint_eq(t[1].body.event_id, u[0].body.event_id);
	ck_assert_int_eq(stream_epoch(h, team), 1);
	ck_assert_int_eq(member_epoch(h, team, bob), epoch + 1);
	ck_assert_int_eq(changed_seq(h, team, bob), (int64_t)before + 1);
	ck_assert_int_eq(
		number(h, "SELECT rights_seq FROM moderation.teams WHERE id = %ld", (long)team), (int64_t)before + 1);
	ck_assert_str_eq(judged(h, ann, 0, channel).audience, key(h, "channel", channel));
	pb_Rights rights = judged(h, bob, 0, channel);
	ck_assert_uint_eq(rights.status, STATUS_NOT_FOUND);
	ck_assert_str_eq(rights.why, "channel_ban");
	ck_assert(!rights.has_channel);
	REFUSED(h, STATUS_NOT_FOUND, NULL, bob, join_channel, NEVERMIND(join_channel), .channel_id = channel);
	house_close(h);
}
END_TEST

START_TEST(a_later_ban_takes_one_persons_key)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t channel = channel_in(h, team, .created_by = ann->id);
	OK(h, ann, ban_channel_user, NEVERMIND(ban_channel_user), .scope_id = channel, .user_id = bob->id);
	OK(h, ann, unban_channel_user, NEVERMIND(unban_channel_user), .scope_id = channel, .user_id = bob->id);
	uint64_t before = head(h, STREAM_TEAM(team));

	OK(h, ann, ban_channel_user, NEVERMIND(ban_channel_user), .scope_id = channel, .user_id = bob->id);
	const char *own = key(h, "channel", channel);
	struct written *t = expect_events(
		h, STREAM_TEAM(team), before, "audience_changed", "", "channel_user_banned", own, NULL);
	ck_assert_str_eq(t[0].body.body.audience_changed.lost[0], own);
	ck_assert(!t[1].body.body.channel_user_banned.was_member);
	ck_assert_int_eq(stream_epoch(h, team), 1);
	house_close(h);
}
END_TEST

START_TEST(lifting_a_channel_ban_gives_the_key_back_and_the_channel_keeps_its_own)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t channel = channel_in(h, team, .created_by = ann->id);
	OK(h, ann, ban_channel_user, NEVERMIND(ban_channel_user), .scope_id = channel, .user_id = bob->id);
	uint64_t before = head(h, STREAM_TEAM(team)), mine = head(h, STREAM_USER(bob->id));
	int64_t epoch = member_epoch(h, team, bob);

	OK(h, ann, unban_channel_user, NEVERMIND(unban_channel_user), .scope_id = channel, .user_id = bob->id,
		.reason = "sorry");
	const char *own = key(h, "channel", channel);
	struct written *t = expect_events(
		h, STREAM_TEAM(team), before, "audience_changed", "", "channel_user_unbanned", own, NULL);
	expect_events(h, STREAM_USER(bob->id), mine, "channel_user_unbanned", key(h, "user", bob->id), NULL);
	ck_assert_str_eq(t[0].body.body.audience_changed.gained[0], own);
	ck_assert_str_eq(t[1].body.body.channel_user_unbanned.motive, "sorry");
	ck_assert_int_eq(member_epoch(h, team, bob), epoch + 1);
	ck_assert_int_eq(changed_seq(h, team, bob), (int64_t)before + 1);
	pb_Rights rights = judged(h, bob, 0, channel);
	ck_assert_uint_eq(rights.status, STATUS_OK);
	ck_assert_str_eq(rights.audience, own);
	house_close(h);
}
END_TEST

START_TEST(lifting_the_ban_from_a_channel_that_stays_hidden_gives_no_key)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t channel = channel_in(h, team, .private = true, .created_by = ann->id);
	OK(h, ann, add_channel_member, NEVERMIND(add_channel_member), .channel_id = channel, .user_id = bob->id);
	OK(h, ann, ban_channel_user, NEVERMIND(ban_channel_user), .scope_id = channel, .user_id = bob->id);
	uint64_t before = head(h, STREAM_TEAM(team));

	OK(h, ann, unban_channel_user, NEVERMIND(unban_channel_user), .scope_id = channel, .user_id = bob->id);
	expect_events(h, STREAM_TEAM(team), before, "channel_user_unbanned", key(h, "channel", channel), NULL);
	house_close(h);
}
END_TEST

START_TEST(a_channel_moderator_bans_members_but_not_his_equals_nor_the_owners)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid"), *dan = person(h, "dan");
	pb_UserView *eve = person(h, "eve");
	uint64_t team = team_of(h, ann);
	pb_UserView *others[] = {bob, cid, dan, eve};
	for (int i = 0; i < 4; i++)
		joins(h, team, others[i]);
	uint64_t channel = channel_in(h, team, .own = true, .created_by = bob->id);
	for (int i = 1; i < 3; i++) {
		OK(h, bob, add_channel_member, NEVERMIND(add_channel_member), .channel_id = channel, .user_id = others[i]->id);
		OK(h, bob, set_channel_role, NEVERMIND(set_channel_role), .channel_id = channel, .user_id = others[i]->id,
			.role = CHANNEL_ROLE_MODERATOR);
	}
#define BAN(status, why, target)                                                                             \
	REFUSED(h, status, why, cid, ban_channel_user, NEVERMIND(ban_channel_user), .scope_id = channel,     \
		.user_id = (target)->id)
	BAN(STATUS_FORBIDDEN, "rank", dan);
	BAN(STATUS_FORBIDDEN, "rank", bob);
	BAN(STATUS_FORBIDDEN, "owner", ann);
	REFUSED(h, STATUS_FORBIDDEN, "channel_owner", ann, ban_channel_user, NEVERMIND(ban_channel_user), .scope_id = channel,
		.user_id = bob->id);
	BAN(STATUS_FORBIDDEN, "rank", cid);
	BAN(STATUS_OK, NULL, eve);
	REFUSED(h, STATUS_NOT_FOUND, NULL, eve, ban_channel_user, NEVERMIND(ban_channel_user), .scope_id = channel,
		.user_id = dan->id);
	REFUSED(h, STATUS_OK, NULL, bob, ban_channel_user, NEVERMIND(ban_channel_user), .scope_id = channel,
		.user_id = dan->id);
	/* whoever stands higher in the team is not below in the channel */
	holds(h, team, eve, role_in(h, team, 3, PERMISSION_create_scrims));
	OK(h, bob, unban_channel_user, NEVERMIND(unban_channel_user), .scope_id = channel, .user_id = eve->id);
	BAN(STATUS_FORBIDDEN, "rank", eve);
	house_close(h);
}
END_TEST

START_TEST(channel_bans_are_read_by_who_moderates_there)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	joins(h, team, cid);
	uint64_t channel = channel_in(h, team, .own = true, .created_by = bob->id);
	OK(h, bob, ban_channel_user, NEVERMIND(ban_channel_user), .scope_id = channel, .user_id = cid->id, .reason = "r");
	pb_ListBansReply list;
	pb_BanReply one;

	OK(h, bob, list_channel_bans, &list, .scope_id = channel);
	ck_assert_uint_eq(list.bans_count, 1);
	OK(h, ann, get_channel_ban, &one, .scope_id = channel, .user_id = cid->id);
	ck_assert_str_eq(one.ban.reason, "r");
	ck_assert_str_eq(one.ban.by.username, "bob");
	pb_UserView *dan = person(h, "dan");
	joins(h, team, dan);
	REFUSED(h, STATUS_FORBIDDEN, "moderate_channel", dan, list_channel_bans, &list, .scope_id = channel);
	REFUSED(h, STATUS_NOT_FOUND, NULL, cid, list_channel_bans, &list, .scope_id = channel);
	REFUSED(h, STATUS_NOT_FOUND, NULL, ann, get_channel_ban, &one, .scope_id = channel, .user_id = dan->id);
	house_close(h);
}
END_TEST

START_TEST(a_channel_ban_expires_by_the_job)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t channel = channel_in(h, team, .created_by = ann->id);
	OK(h, ann, ban_channel_user, NEVERMIND(ban_channel_user), .scope_id = channel, .user_id = bob->id,
		.expires_at_ms = (uint64_t)clock_wall_ms() + 3600000);
	sql(h, "UPDATE moderation.bans SET expires_at_ms = 1 WHERE scope_id = %ld", (long)channel);
	uint64_t before = head(h, STREAM_TEAM(team));
	size_t ended = 0;

	ck_assert_int_eq(expiry_run(&h->service, h->mem, clock_wall_ms(), &ended), STATUS_OK);
	ck_assert_uint_eq(ended, 1);
	expect_events(h, STREAM_TEAM(team), before, "audience_changed", "", "channel_user_unbanned",
		key(h, "channel", channel), NULL);
	house_close(h);
}
END_TEST

TESTS("moderation bans", a_ban_takes_the_key_first_then_the_membership_then_tells_who_may_ban,
	one_who_never_was_a_member_is_banned_and_gets_an_epoch, a_ban_that_holds_takes_a_new_reason_and_tells_it,
	lifting_a_ban_keeps_its_row_and_raises_the_epoch, bans_follow_rank_and_spare_the_owner,
	a_bans_bounds_are_checked, bans_are_listed_by_id_for_those_who_may_ban,
	a_ban_whose_time_has_come_is_ended_by_the_job_with_its_events,
	a_join_that_races_a_ban_never_leaves_a_banned_member,
	the_first_ban_from_an_open_channel_gives_it_its_own_key_by_a_wide_change,
	a_later_ban_takes_one_persons_key, lifting_a_channel_ban_gives_the_key_back_and_the_channel_keeps_its_own,
	lifting_the_ban_from_a_channel_that_stays_hidden_gives_no_key,
	a_channel_moderator_bans_members_but_not_his_equals_nor_the_owners,
	channel_bans_are_read_by_who_moderates_there, a_channel_ban_expires_by_the_job)
