/* Invites: who makes, sees, uses and deletes them, what is counted, and what is told. */
#include <pthread.h>

#include "services/moderation/invites.h"
#include "tests/unit/moderation/fixture.h"

static const char *can_invite(struct house *h, uint64_t team)
{
	char text[AUDIENCE_SIZE];
	audience_can(text, team, PERMISSION_create_invites);
	return arena_strdup(h->mem, text);
}

static uint64_t closed_team(struct house *h, const pb_UserView *owner)
{
	pb_TeamReply reply;
	OK(h, owner, create_team, &reply, .name = "a closed team", .joining = JOINING_INVITE, .icon = "https://example.org/i");
	return reply.team.id;
}

static const char *invited_to(struct house *h, const pb_UserView *by, uint64_t team, uint64_t max_uses)
{
	pb_InviteReply reply;
	OK(h, by, create_invite, &reply, .team_id = team, .max_uses = max_uses);
	return reply.invite.code;
}

static int64_t uses(struct house *h, const char *code)
{
	return number(h, "SELECT uses FROM moderation.invites WHERE code = '%s'", code);
}

static void no_longer_invited(struct house *h, const char *code)
{
	sql(h, "UPDATE moderation.invites SET expires_at_ms = 1 WHERE code = '%s'", code);
}

/* A member without any right: the base role may make invites, so it is taken from it. */
static void base_role_without_invites(struct house *h, uint64_t team)
{
	sql(h,
		"UPDATE moderation.roles SET permissions_low = permissions_low & ~(1::bigint << %d) WHERE team_id = %ld AND is_base",
		PERMISSION_create_invites, (long)team);
}

/* ---- making */

START_TEST(an_invite_has_a_code_that_is_told_to_those_who_may_make_invites)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	uint64_t team = closed_team(h, ann), before = head(h, STREAM_TEAM(team));
	uint64_t end = (uint64_t)clock_wall_ms() + 60000;
	pb_InviteReply reply;

	OK(h, ann, create_invite, &reply, .team_id = team, .max_uses = 3, .expires_at_ms = end);
	ck_assert_uint_eq(strlen(reply.invite.code), 22);
	ck_assert_uint_eq(
		strspn(reply.invite.code, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), 22);
	ck_assert_uint_eq(reply.invite.team_id, team);
	ck_assert_str_eq(reply.invite.by.username, "ann");
	ck_assert_uint_eq(reply.invite.max_uses, 3);
	ck_assert_uint_eq(reply.invite.uses, 0);
	ck_assert_uint_eq(reply.invite.expires_at_ms, end);
	struct written *t = expect_events(h, STREAM_TEAM(team), before, "invite_created", can_invite(h, team), NULL);
	ck_assert_str_eq(t[0].body.body.invite_created.invite.code, reply.invite.code);
	ck_assert_uint_eq(t[0].body.body.invite_created.by, ann->id);
	ck_assert_str_ne(invited_to(h, ann, team, 0), reply.invite.code);
	house_close(h);
}
END_TEST

START_TEST(a_repeat_with_the_same_request_id_gets_the_same_code)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	uint64_t team = closed_team(h, ann);
	uint8_t id[16];
	ids_random_bytes(id, sizeof id);
	h->request_id = id;

	const char *first = invited_to(h, ann, team, 0);
	ck_assert_str_eq(invited_to(h, ann, team, 0), first);
	ck_assert_int_eq(number(h, "SELECT count(*) FROM moderation.invites WHERE team_id = %ld", (long)team), 1);
	house_close(h);
}
END_TEST

START_TEST(an_invites_bounds_are_checked)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	uint64_t team = closed_team(h, ann);

	REFUSED(h, STATUS_FIELD_INVALID, NULL, ann, create_invite, NEVERMIND(create_invite), .team_id = team,
		.max_uses = INVITE_USES_MAX + 1);
	ck_assert_str_eq(h->outcome.field, "max_uses");
	REFUSED(h, STATUS_FIELD_INVALID, NULL, ann, create_invite, NEVERMIND(create_invite), .team_id = team,
		.expires_at_ms = (uint64_t)clock_wall_ms());
	ck_assert_str_eq(h->outcome.field, "expires_at");
	REFUSED(h, STATUS_FIELD_INVALID, NULL, ann, create_invite, NEVERMIND(create_invite), .team_id = team,
		.expires_at_ms = UINT64_MAX);
	REFUSED(h, STATUS_FORBIDDEN, "account", the_system, create_invite, NEVERMIND(create_invite), .team_id = team);
	house_close(h);
}
END_TEST

START_TEST(only_who_may_makes_invites)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);

	OK(h, bob, create_invite, NEVERMIND(create_invite), .team_id = team);
	base_role_without_invites(h, team);
	REFUSED(h, STATUS_FORBIDDEN, "create_invites", bob, create_invite, NEVERMIND(create_invite), .team_id = team);
	REFUSED(h, STATUS_FORBIDDEN, "create_invites", bob, list_invites, NEVERMIND(list_invites), .team_id = team);
	REFUSED(h, STATUS_NOT_FOUND, NULL, cid, create_invite, NEVERMIND(create_invite), .team_id = team);
	REFUSED(h, STATUS_NOT_FOUND, NULL, cid, list_invites, NEVERMIND(list_invites), .team_id = team);
	house_close(h);
}
END_TEST

START_TEST(a_member_makes_a_hundred_invites_and_a_team_has_a_thousand)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	sql(h,
		"INSERT INTO moderation.invites (code, team_id, created_by, created_at_ms)"
		" SELECT lpad(n::text, 22, 'a'), %ld, %ld, 1 FROM generate_series(1, 100) n",
		(long)team, (long)bob->id);

	REFUSED(h, STATUS_AT_LIMIT, "invites", bob, create_invite, NEVERMIND(create_invite), .team_id = team);
	OK(h, ann, create_invite, NEVERMIND(create_invite), .team_id = team);
	sql(h,
		"INSERT INTO moderation.invites (code, team_id, created_by, created_at_ms)"
		" SELECT lpad(n::text, 22, 'b'), %ld, 1, 1 FROM generate_series(1, 899) n",
		(long)team);
	REFUSED(h, STATUS_AT_LIMIT, "invites", ann, create_invite, NEVERMIND(create_invite), .team_id = team);
	sql(h, "DELETE FROM moderation.invites WHERE team_id = %ld", (long)team);
	house_close(h);
}
END_TEST

/* ---- seeing */

START_TEST(a_list_shows_ones_own_and_to_who_manages_the_team_all)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	const char *a = invited_to(h, ann, team, 0), *b = invited_to(h, bob, team, 7);
	const char *low = strcmp(a, b) < 0 ? a : b, *high = low == a ? b : a;
	pb_ListInvitesReply list;

	OK(h, bob, list_invites, &list, .team_id = team);
	ck_assert_uint_eq(list.invites_count, 1);
	ck_assert_str_eq(list.invites[0].code, b);
	ck_assert_uint_eq(list.invites[0].max_uses, 7);
	OK(h, ann, list_invites, &list, .team_id = team, .limit = 1);
	ck_assert_uint_eq(list.invites_count, 1);
	ck_assert(list.more);
	ck_assert_str_eq(list.invites[0].code, low);
	OK(h, ann, list_invites, &list, .team_id = team, .after = (char *)low);
	ck_assert_uint_eq(list.invites_count, 1);
	ck_assert_str_eq(list.invites[0].code, high);
	OK(h, ann, list_invites, &list, .team_id = team, .before = (char *)high);
	ck_assert_uint_eq(list.invites_count, 1);
	ck_assert_str_eq(list.invites[0].code, low);
	ck_assert(!list.more);
	REFUSED(h, STATUS_FIELD_INVALID, NULL, ann, list_invites, &list, .team_id = team, .limit = 101);
	REFUSED(h, STATUS_FIELD_INVALID, NULL, ann, list_invites, &list, .team_id = team, .after = "no code");
	ck_assert_str_eq(h->outcome.field, "after");
	house_close(h);
}
END_TEST

START_TEST(who_has_the_code_sees_where_it_leads)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = closed_team(h, ann);
	const char *code = invited_to(h, ann, team, 0);
	pb_InviteReply reply;

	REFUSED(h, STATUS_NOT_FOUND, NULL, bob, get_team, NEVERMIND(get_team), .team_id = team);
	OK(h, bob, get_invite, &reply, .code = (char *)code);
	ck_assert(reply.invite.has_team);
	ck_assert_str_eq(reply.invite.team.name, "a closed team");
	ck_assert_str_eq(reply.invite.team.icon, "https://example.org/i");
	ck_assert_uint_eq(reply.invite.team.member_count, 1);
	ck_assert_str_eq(reply.invite.by.username, "ann");
	house_close(h);
}
END_TEST

START_TEST(what_is_no_code_leads_nowhere)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	const char *wrong[] = {"", "x", "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAA'", "\xff\xfe", "%%%%%%%%%%%%%%%%%%%%%%",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		char *code = (char *)wrong[i];
		REFUSED(h, STATUS_NOT_FOUND, NULL, ann, get_invite, NEVERMIND(get_invite), .code = code);
		REFUSED(h, STATUS_NOT_FOUND, NULL, ann, use_invite, NEVERMIND(use_invite), .code = code);
		REFUSED(h, STATUS_NOT_FOUND, NULL, ann, delete_invite, NEVERMIND(delete_invite), .code = code);
	}
	house_close(h);
}
END_TEST

/* ---- using */

START_TEST(an_invite_lets_somebody_into_a_closed_team)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = closed_team(h, ann);
	const char *code = invited_to(h, ann, team, 0);
	uint64_t before = head(h, STREAM_TEAM(team)), mine = head(h, STREAM_USER(bob->id));
	pb_MemberReply reply;
	REFUSED(h, STATUS_FORBIDDEN, "joining", bob, join_team, NEVERMIND(join_team), .team_id = team);

	OK(h, bob, use_invite, &reply, .code = (char *)code);
	ck_assert(reply.created);
	ck_assert_uint_eq(reply.member.user.id, bob->id);
	ck_assert_uint_eq(reply.member.team_id, team);
	struct written *t = expect_events(h, STREAM_TEAM(team), before, "audience_changed", "", "member_joined",
		key(h, "team", team), NULL);
	expect_events(h, STREAM_USER(bob->id), mine, "member_joined", key(h, "user", bob->id), NULL);
	ck_assert_str_eq(t[0].body.body.audience_changed.gained[0], key(h, "team", team));
	ck_assert_str_eq(t[1].body.body.member_joined.invite, code);
	ck_assert_uint_eq(t[1].body.body.member_joined.member_count, 2);
	ck_assert_int_eq(uses(h, code), 1);
	ck_assert_int_eq(number(h, "SELECT invited_by FROM moderation.members WHERE team_id = %ld AND user_id = %ld",
				 (long)team, (long)bob->id),
		(int64_t)ann->id);
	house_close(h);
}
END_TEST

START_TEST(a_member_gets_his_membership_again_and_no_use_is_counted)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = closed_team(h, ann);
	const char *code = invited_to(h, ann, team, 1);
	pb_MemberReply reply;
	OK(h, bob, use_invite, &reply, .code = (char *)code);
	uint64_t before = head(h, STREAM_TEAM(team));

	OK(h, bob, use_invite, &reply, .code = (char *)code); /* used up, but by him */
	ck_assert(!reply.created);
	ck_assert_uint_eq(reply.member.user.id, bob->id);
	OK(h, ann, use_invite, &reply, .code = (char *)code);
	ck_assert_int_eq(uses(h, code), 1);
	ck_assert_uint_eq(head(h, STREAM_TEAM(team)), before);
	house_close(h);
}
END_TEST

START_TEST(used_up_and_expired_invites_lead_nowhere)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid");
	uint64_t team = closed_team(h, ann);
	const char *once = invited_to(h, ann, team, 1), *late = invited_to(h, ann, team, 0);
	OK(h, bob, use_invite, NEVERMIND(use_invite), .code = (char *)once);
	no_longer_invited(h, late);

	REFUSED(h, STATUS_NOT_FOUND, NULL, cid, use_invite, NEVERMIND(use_invite), .code = (char *)once);
	REFUSED(h, STATUS_NOT_FOUND, NULL, cid, get_invite, NEVERMIND(get_invite), .code = (char *)once);
	REFUSED(h, STATUS_NOT_FOUND, NULL, cid, use_invite, NEVERMIND(use_invite), .code = (char *)late);
	REFUSED(h, STATUS_NOT_FOUND, NULL, cid, get_invite, NEVERMIND(get_invite), .code = (char *)late);
	ck_assert_int_eq(uses(h, once), 1);
	ck_assert_int_eq(uses(h, late), 0);
	ck_assert_int_eq(number(h, "SELECT member_count FROM moderation.teams WHERE id = %ld", (long)team), 2);
	house_close(h);
}
END_TEST

START_TEST(the_banned_are_refused_as_when_they_join)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = closed_team(h, ann);
	const char *code = invited_to(h, ann, team, 5);
	OK(h, ann, ban_member, NEVERMIND(ban_member), .scope_id = team, .user_id = bob->id, .has_user = true, .user = *bob);

	REFUSED(h, STATUS_FORBIDDEN, "ban", bob, use_invite, NEVERMIND(use_invite), .code = (char *)code);
	REFUSED(h, STATUS_NOT_FOUND, NULL, bob, get_invite, NEVERMIND(get_invite), .code = (char *)code);
	ck_assert_int_eq(uses(h, code), 0);
	house_close(h);
}
END_TEST

START_TEST(the_invites_of_a_deleted_or_suspended_team_lead_nowhere)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = closed_team(h, ann), other = closed_team(h, ann);
	const char *code = invited_to(h, ann, team, 0), *still = invited_to(h, ann, other, 0);

	sql(h, "UPDATE moderation.teams SET suspended = true WHERE id = %ld", (long)team);
	REFUSED(h, STATUS_NOT_FOUND, NULL, bob, get_invite, NEVERMIND(get_invite), .code = (char *)code);
	REFUSED(h, STATUS_NOT_FOUND, NULL, bob, use_invite, NEVERMIND(use_invite), .code = (char *)code);
	sql(h, "UPDATE moderation.teams SET suspended = false WHERE id = %ld", (long)team);
	OK(h, ann, delete_team, NEVERMIND(delete_team), .team_id = team);
	REFUSED(h, STATUS_NOT_FOUND, NULL, bob, use_invite, NEVERMIND(use_invite), .code = (char *)code);
	ck_assert_int_eq(uses(h, code), -1);
	ck_assert_int_eq(uses(h, still), 0);
	house_close(h);
}
END_TEST

struct user {
	struct house *h;
	struct rpc_client *client;
	pb_UserView *who;
	const char *code;
	enum status status;
};

/* Runs on a thread of its own, so with an arena and a client of its own. */
static void *uses_it(void *arg)
{
	struct user *u = arg;
	struct arena *mem = arena_create();
	uint8_t id[16];
	pb_MemberReply reply;
	struct rpc_outcome outcome;
	ids_random_bytes(id, sizeof id);
	struct rpc_context ctx = {.request_id = id,
		.request_id_length = sizeof id,
		.actor = u->who,
		.actor_id = u->who->id,
		.deadline_mono_ms = clock_mono_ms() + PATIENCE_MS};
	u->status = moderation_use_invite(
		u->client, mem, &ctx, &(pb_InviteRequest){.code = (char *)u->code}, &reply, &outcome);
	arena_destroy(mem);
	return NULL;
}

START_TEST(the_last_use_is_had_by_one_of_many_who_come_at_once)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	uint64_t team = closed_team(h, ann);
	enum { COMERS = 6 };
	struct user comers[COMERS];
	pthread_t threads[COMERS];
	size_t in = 0, out = 0;
	const char *code = invited_to(h, ann, team, 1);
	for (size_t i = 0; i < COMERS; i++) {
		comers[i] = (struct user){.h = h, .who = person(h, "comer"), .code = code};
		ck_assert_int_eq(
			rpc_client_create("moderation", h->address, false, &comers[i].client), STATUS_OK);
		await_peer(comers[i].client);
	}

	for (size_t i = 0; i < COMERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, uses_it, &comers[i]), 0);
	for (size_t i = 0; i < COMERS; i++) {
		pthread_join(threads[i], NULL);
		rpc_client_destroy(comers[i].client);
		in += comers[i].status == STATUS_OK;
		out += comers[i].status == STATUS_NOT_FOUND;
	}
	ck_assert_uint_eq(in, 1);
	ck_assert_uint_eq(out, COMERS - 1);
	ck_assert_int_eq(uses(h, code), 1);
	ck_assert_int_eq(number(h, "SELECT member_count FROM moderation.teams WHERE id = %ld", (long)team), 2);
	house_close(h);
}
END_TEST

/* ---- ending */

START_TEST(its_maker_and_who_manages_the_team_delete_an_invite)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	joins(h, team, cid);
	const char *one = invited_to(h, bob, team, 0), *two = invited_to(h, bob, team, 0);

	REFUSED(h, STATUS_FORBIDDEN, "manage_team", cid, delete_invite, NEVERMIND(delete_invite), .code = (char *)one);
	uint64_t before = head(h, STREAM_TEAM(team));
	OK(h, bob, delete_invite, NEVERMIND(delete_invite), .code = (char *)one);
	OK(h, ann, delete_invite, NEVERMIND(delete_invite), .code = (char *)two);
	struct written *t = expect_events(h, STREAM_TEAM(team), before, "invite_deleted", can_invite(h, team),
		"invite_deleted", can_invite(h, team), NULL);
	ck_assert_str_eq(t[0].body.body.invite_deleted.invite.code, one);
	ck_assert_uint_eq(t[0].body.body.invite_deleted.by, bob->id);
	REFUSED(h, STATUS_NOT_FOUND, NULL, ann, delete_invite, NEVERMIND(delete_invite), .code = (char *)one);
	REFUSED(h, STATUS_NOT_FOUND, NULL, ann, get_invite, NEVERMIND(get_invite), .code = (char *)one);
	house_close(h);
}
END_TEST

START_TEST(the_job_takes_away_what_expired_and_what_was_used_up_a_day_ago)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid");
	uint64_t team = closed_team(h, ann);
	const char *expired = invited_to(h, ann, team, 0), *used = invited_to(h, ann, team, 1),
		   *just_used = invited_to(h, ann, team, 1), *live = invited_to(h, ann, team, 0);
	no_longer_invited(h, expired);
	OK(h, bob, use_invite, NEVERMIND(use_invite), .code = (char *)used);
	OK(h, cid, use_invite, NEVERMIND(use_invite), .code = (char *)just_used);
	sql(h, "UPDATE moderation.invites SET used_at_ms = used_at_ms - 86400001 WHERE code = '%s'", used);
	uint64_t before = head(h, STREAM_TEAM(team));
	size_t ended = 0;

	ck_assert_int_eq(expiry_run(&h->service, h->mem, clock_wall_ms(), &ended), STATUS_OK);
	struct written *t = expect_events(h, STREAM_TEAM(team), before, "invite_deleted", can_invite(h, team),
		"invite_deleted", can_invite(h, team), NULL);
	ck_assert(!t[0].body.has_actor);
	ck_assert_uint_eq(t[0].body.body.invite_deleted.by, 0);
	ck_assert_int_eq(uses(h, expired), -1);
	ck_assert_int_eq(uses(h, used), -1);
	ck_assert_int_eq(uses(h, just_used), 1);
	ck_assert_int_eq(uses(h, live), 0);
	house_close(h);
}
END_TEST

TESTS("moderation invites", an_invite_has_a_code_that_is_told_to_those_who_may_make_invites,
	a_repeat_with_the_same_request_id_gets_the_same_code, an_invites_bounds_are_checked, only_who_may_makes_invites,
	a_member_makes_a_hundred_invites_and_a_team_has_a_thousand, a_list_shows_ones_own_and_to_who_manages_the_team_all,
	who_has_the_code_sees_where_it_leads, what_is_no_code_leads_nowhere, an_invite_lets_somebody_into_a_closed_team,
	a_member_gets_his_membership_again_and_no_use_is_counted, used_up_and_expired_invites_lead_nowhere,
	the_banned_are_refused_as_when_they_join, the_invites_of_a_deleted_or_suspended_team_lead_nowhere,
	the_last_use_is_had_by_one_of_many_who_come_at_once, its_maker_and_who_manages_the_team_delete_an_invite,
	the_job_takes_away_what_expired_and_what_was_used_up_a_day_ago)
