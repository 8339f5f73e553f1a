/* Timeouts: whom they strike, what they leave, which keys go and come back, and how they end. */
#include "services/moderation/timeouts.h"
#include "tests/unit/moderation/fixture.h"

#define HOUR_S 3600

static const char *can(struct house *h, uint64_t team, enum permission p)
{
	char text[AUDIENCE_SIZE];
	audience_can(text, team, p);
	return arena_strdup(h->mem, text);
}

static pb_AudienceAnswer keys_of(struct house *h, uint64_t team, const pb_UserView *who)
{
	uint64_t id = who->id;
	pb_StreamHead stream = {.rank = RANK_TEAM, .stream_id = team};
	pb_ListAudiencesReply reply;
	OK(h, the_system, list_audiences, &reply, .user_ids = &id, .user_ids_count = 1, .streams = &stream, .streams_count = 1);
	ck_assert_uint_eq(reply.answers_count, 1);
	return reply.answers[0];
}

static void ended_by_now(struct house *h, uint64_t team, const pb_UserView *who)
{
	sql(h, "UPDATE moderation.members SET timeout_until_ms = 1 WHERE team_id = %ld AND user_id = %ld", (long)team,
		(long)who->id);
}

static void run_the_job(struct house *h)
{
	ck_assert_int_eq(expiry_run(&h->service, h->mem, clock_wall_ms(), NULL), STATUS_OK);
}

START_TEST(a_timeout_takes_the_keys_of_what_one_can_then_tells_the_team_and_the_person)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t before = head(h, STREAM_TEAM(team)), mine = head(h, STREAM_USER(bob->id));
	uint64_t until = (uint64_t)clock_wall_ms() + HOUR_S * 1000;
	pb_MemberReply reply;

	OK(h, ann, set_timeout, &reply, .team_id = team, .user_id = bob->id, .until_ms = until, .reason = "noise");
	ck_assert_uint_eq(reply.member.timeout_until_ms, until);
	struct written *t = expect_events(h, STREAM_TEAM(team), before, "audience_changed", "", "member_timed_out",
		key(h, "team", team), NULL);
	struct written *u =
		expect_events(h, STREAM_USER(bob->id), mine, "member_timed_out", key(h, "user", bob->id), NULL);
	const pb_AudienceChanged *keys = &t[0].body.body.audience_changed;
	ck_assert_uint_eq(keys->user_id, bob->id);
	ck_assert_uint_eq(keys->gained_count, 0);
	ck_assert_uint_eq(keys->lost_count, 1); /* the base role may make invites, and nothing else that is a key */
	ck_assert_str_eq(keys->lost[0], can(h, team, PERMISSION_create_invites));
	ck_assert_uint_eq(keys_of(h, team, bob).lost_count, 1); /* a gateway that asks is told the same: he may still come in */
	const pb_MemberTimedOut *told = &t[1].body.body.member_timed_out;
	ck_assert_uint_eq(told->until_ms, until);
	ck_assert_str_eq(told->reason, "noise");
	ck_assert_uint_eq(told->by, ann->id);
	ck_assert_uint_eq(told->member.timeout_until_ms, until);
	ck_assert_uint_eq(t[1].body.event_id, u[0].body.event_id);
	ck_assert_int_eq(member_epoch(h, team, bob), 2);
	ck_assert_int_eq(changed_seq(h, team, bob), (int64_t)before + 1);
	ck_assert_int_eq(stream_epoch(h, team), 0);
	house_close(h);
}
END_TEST

START_TEST(a_timeout_leaves_looking_on_and_leaving)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t channel = channel_in(h, team, .created_by = ann->id);
	OK(h, ann, set_timeout, NEVERMIND(set_timeout), .team_id = team, .user_id = bob->id, .seconds = HOUR_S);

	pb_Rights r = judged(h, bob, 0, channel);
	ck_assert_uint_eq(r.status, STATUS_OK);
	ck_assert(has(&r, PERMISSION_view_text) && has(&r, PERMISSION_read_history));
	ck_assert(!has(&r, PERMISSION_send_messages) && !has(&r, PERMISSION_add_reactions));
	ck_assert_str_eq(r.why, "timeout");
	REFUSED(h, STATUS_TIMED_OUT, "timeout", bob, create_invite, NEVERMIND(create_invite), .team_id = team);
	REFUSED(h, STATUS_TIMED_OUT, "timeout", bob, update_member, NEVERMIND(update_member), .team_id = team,
		.user_id = bob->id, .nickname = "B");
	OK(h, bob, remove_member, NEVERMIND(remove_member), .team_id = team, .user_id = bob->id);
	house_close(h);
}
END_TEST

START_TEST(leaving_and_coming_back_does_not_end_a_timeout)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	OK(h, ann, set_timeout, NEVERMIND(set_timeout), .team_id = team, .user_id = bob->id, .seconds = HOUR_S);
	OK(h, bob, remove_member, NEVERMIND(remove_member), .team_id = team, .user_id = bob->id);
	joins(h, team, bob);

	pb_Rights r = judged(h, bob, team, 0);
	ck_assert(!has(&r, PERMISSION_create_invites));
	pb_MemberReply reply;
	OK(h, ann, get_member, &reply, .team_id = team, .user_id = bob->id);
	ck_assert_uint_ne(reply.member.timeout_until_ms, 0);
	house_close(h);
}
END_TEST

START_TEST(timeouts_need_the_right_follow_rank_and_spare_the_owner)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid"), *dan = person(h, "dan");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	joins(h, team, cid);
	REFUSED(h, STATUS_FORBIDDEN, "moderate_members", bob, set_timeout, NEVERMIND(set_timeout), .team_id = team,
		.user_id = cid->id, .seconds = 1);
	uint64_t role = role_in(h, team, 4, PERMISSION_moderate_members);
	holds(h, team, bob, role);

	OK(h, bob, set_timeout, NEVERMIND(set_timeout), .team_id = team, .user_id = cid->id, .seconds = HOUR_S);
	OK(h, bob, clear_timeout, NEVERMIND(clear_timeout), .team_id = team, .user_id = cid->id);
	holds(h, team, cid, role);
	REFUSED(h, STATUS_FORBIDDEN, "rank", bob, set_timeout, NEVERMIND(set_timeout), .team_id = team, .user_id = cid->id,
		.seconds = 1);
	REFUSED(h, STATUS_FORBIDDEN, "rank", bob, set_timeout, NEVERMIND(set_timeout), .team_id = team, .user_id = bob->id,
		.seconds = 1);
	REFUSED(h, STATUS_FORBIDDEN, "owner", bob, set_timeout, NEVERMIND(set_timeout), .team_id = team, .user_id = ann->id,
		.seconds = 1);
	REFUSED(h, STATUS_NOT_FOUND, "member", bob, set_timeout, NEVERMIND(set_timeout), .team_id = team,
		.user_id = dan->id, .seconds = 1);
	REFUSED(h, STATUS_NOT_FOUND, NULL, dan, set_timeout, NEVERMIND(set_timeout), .team_id = team, .user_id = bob->id,
		.seconds = 1);
	OK(h, ann, set_timeout, NEVERMIND(set_timeout), .team_id = team, .user_id = cid->id, .seconds = HOUR_S);
	REFUSED(h, STATUS_FORBIDDEN, "rank", bob, clear_timeout, NEVERMIND(clear_timeout), .team_id = team,
		.user_id = cid->id);
	REFUSED(h, STATUS_TIMED_OUT, "timeout", cid, clear_timeout, NEVERMIND(clear_timeout), .team_id = team,
		.user_id = cid->id);
	house_close(h);
}
END_TEST

START_TEST(a_timeouts_bounds_are_checked)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann), now = (uint64_t)clock_wall_ms();
	joins(h, team, bob);
	char *reason = arena_alloc(h->mem, 514);
	memset(reason, 'x', 513);
	struct {
		uint64_t until_ms, seconds;
		const char *reason, *field;
	} bad[] = {{0, 0, NULL, "until"}, {now, 0, NULL, "until"}, {now + TIMEOUT_MAX_MS + 600000, 0, NULL, "until"},
		{UINT64_MAX, 0, NULL, "until"}, {0, TIMEOUT_MAX_MS / 1000 + 1, NULL, "seconds"}, {0, UINT64_MAX, NULL, "seconds"},
		{now + 5000, 5, NULL, "seconds"}, {0, 60, reason, "reason"}, {0, 60, "\xff", "reason"}};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		REFUSED(h, STATUS_FIELD_INVALID, NULL, ann, set_timeout, NEVERMIND(set_timeout), .team_id = team,
			.user_id = bob->id, .until_ms = bad[i].until_ms, .seconds = bad[i].seconds,
			.reason = (char *)bad[i].reason);
		ck_assert_str_eq(h->outcome.field, bad[i].field);
	}
	reason[512] = '\0';
	OK(h, ann, set_timeout, NEVERMIND(set_timeout), .team_id = team, .user_id = bob->id,
		.seconds = TIMEOUT_MAX_MS / 1000, .reason = reason);
	house_close(h);
}
END_TEST

START_TEST(the_same_timeout_again_says_nothing_and_another_end_is_told)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann), until = (uint64_t)clock_wall_ms() + HOUR_S * 1000;
	joins(h, team, bob);
	OK(h, ann, set_timeout, NEVERMIND(set_timeout), .team_id = team, .user_id = bob->id, .until_ms = until);
	uint64_t before = head(h, STREAM_TEAM(team));

	OK(h, ann, set_timeout, NEVERMIND(set_timeout), .team_id = team, .user_id = bob->id, .until_ms = until);
	ck_assert_uint_eq(head(h, STREAM_TEAM(team)), before);
	OK(h, ann, set_timeout, NEVERMIND(set_timeout), .team_id = team, .user_id = bob->id, .until_ms = until + 1);
	/* the keys are gone already */
	expect_events(h, STREAM_TEAM(team), before, "member_timed_out", key(h, "team", team), NULL);
	ck_assert_uint_eq(judged(h, bob, team, 0).valid_until_ms, until + 1);
	house_close(h);
}
END_TEST

START_TEST(lifting_a_timeout_gives_rights_and_keys_back)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	holds(h, team, bob, role_in(h, team, 4, PERMISSION_ban_members));
	OK(h, ann, set_timeout, NEVERMIND(set_timeout), .team_id = team, .user_id = bob->id, .seconds = HOUR_S);
	uint64_t before = head(h, STREAM_TEAM(team));
	pb_AudienceAnswer during = keys_of(h, team, bob);
	ck_assert_uint_eq(during.lost_count, 2);

	OK(h, ann, clear_timeout, NEVERMIND(clear_timeout), .team_id = team, .user_id = bob->id, .reason = "calm");
	struct written *t = expect_events(h, STREAM_TEAM(team), before, "audience_changed", "", "member_timed_out",
		key(h, "team", team), NULL);
	ck_assert_uint_eq(t[0].body.body.audience_changed.gained_count, 2);
	ck_assert_uint_eq(t[0].body.body.audience_changed.lost_count, 0);
	ck_assert_uint_eq(t[1].body.body.member_timed_out.until_ms, 0);
	ck_assert_uint_eq(t[1].body.body.member_timed_out.member.timeout_until_ms, 0);
	ck_assert_str_eq(t[1].body.body.member_timed_out.reason, "calm");
	ck_assert_int_eq(member_epoch(h, team, bob), 3);
	pb_AudienceAnswer after = keys_of(h, team, bob);
	ck_assert_uint_eq(after.lost_count, 0);
	ck_assert_uint_eq(after.unchanged_since, before + 1);
	OK(h, ann, clear_timeout, NEVERMIND(clear_timeout), .team_id = team, .user_id = bob->id);
	ck_assert_uint_eq(head(h, STREAM_TEAM(team)), before + 3); /* they and the audit entry */
	house_close(h);
}
END_TEST

START_TEST(a_timeout_ends_by_the_job_and_not_by_the_clock_alone)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	OK(h, ann, set_timeout, NEVERMIND(set_timeout), .team_id = team, .user_id = bob->id, .seconds = HOUR_S);
	uint64_t before = head(h, STREAM_TEAM(team));

	run_the_job(h);
	ck_assert_uint_eq(head(h, STREAM_TEAM(team)), before);
	ended_by_now(h, team, bob);
	pb_Rights r = judged(h, bob, team, 0);
	ck_assert(!has(&r, PERMISSION_create_invites));
	run_the_job(h);
	struct written *t = expect_events(h, STREAM_TEAM(team), before, "audience_changed", "", "member_timed_out",
		key(h, "team", team), NULL);
	ck_assert(!t[1].body.has_actor);
	ck_assert_uint_eq(t[1].body.body.member_timed_out.until_ms, 0);
	ck_assert_uint_eq(t[1].body.body.member_timed_out.by, 0);
	r = judged(h, bob, team, 0);
	ck_assert(has(&r, PERMISSION_create_invites));
	before = head(h, STREAM_TEAM(team));
	run_the_job(h);
	ck_assert_uint_eq(head(h, STREAM_TEAM(team)), before);
	house_close(h);
}
END_TEST

START_TEST(the_timeout_of_one_who_left_ends_without_a_word)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	OK(h, ann, set_timeout, NEVERMIND(set_timeout), .team_id = team, .user_id = bob->id, .seconds = HOUR_S);
	OK(h, bob, remove_member, NEVERMIND(remove_member), .team_id = team, .user_id = bob->id);
	ended_by_now(h, team, bob);
	uint64_t before = head(h, STREAM_TEAM(team));

	run_the_job(h);
	ck_assert_uint_eq(head(h, STREAM_TEAM(team)), before);
	ck_assert_int_eq(number(h, "SELECT count(timeout_until_ms) FROM moderation.members WHERE team_id = %ld", (long)team), 0);
	house_close(h);
}
END_TEST

TESTS("moderation timeouts", a_timeout_takes_the_keys_of_what_one_can_then_tells_the_team_and_the_person,
	a_timeout_leaves_looking_on_and_leaving, leaving_and_coming_back_does_not_end_a_timeout,
	timeouts_need_the_right_follow_rank_and_spare_the_owner, a_timeouts_bounds_are_checked,
	the_same_timeout_again_says_nothing_and_another_end_is_told, lifting_a_timeout_gives_rights_and_keys_back,
	a_timeout_ends_by_the_job_and_not_by_the_clock_alone, the_timeout_of_one_who_left_ends_without_a_word)
