#include "tests/unit/moderation/fixture.h"

static void override(struct house *h, uint64_t team, uint64_t channel, int kind, uint64_t subject,
	struct bits allow, struct bits deny)
{
	sql(h,
		"INSERT INTO moderation.overrides (team_id, scope, scope_id, subject_kind, subject_id, "
		"allow_low, allow_high,"
		" deny_low, deny_high) VALUES (%ld, 3, %ld, %d, %ld, %ld, %ld, %ld, %ld)",
		(long)team, (long)channel, kind, (long)subject, (long)allow.low, (long)allow.high,
		(long)deny.low, (long)deny.high);
}

static struct bits bit(enum permission p)
{
	return bits_with((struct bits){0}, p);
}

static const struct bits no_bits;

static uint64_t draft_of(struct house *h, uint64_t team, uint64_t channel, const pb_UserView *by)
{
	uint64_t draft = channel_in(h, team, .own = true, .created_by = by->id);

	sql(h,
		"UPDATE messaging.channels d SET deleted_at_ms = 1, draft = true, cloned_from = f.id, "
		"private = f.private"
		" FROM messaging.channels f WHERE d.id = %ld AND f.id = %ld",
		(long)draft, (long)channel);
	return draft;
}

static enum status copy(struct house *h, const pb_UserView *who, uint64_t from, uint64_t to)
{
	return CALL(h, who, copy_channel_overrides, NEVERMIND(copy_channel_overrides),
		.from_channel_id = from, .channel_id = to);
}

START_TEST(a_clone_takes_over_overrides_and_says_nothing)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t channel = channel_in(h, team, .created_by = ann->id);
	uint64_t role = role_in(h, team, 2, PERMISSION_create_invites);
	override(h, team, channel, 1, role, bit(PERMISSION_view_text), bit(PERMISSION_send_messages));
	override(h, team, channel, 2, bob->id, no_bits, bit(PERMISSION_voice_connect));
	uint64_t draft = draft_of(h, team, channel, ann);
	uint64_t before = head(h, STREAM_TEAM(team));
	int64_t epoch = stream_epoch(h, team);

	ck_assert_int_eq(copy(h, ann, channel, draft), STATUS_OK);
	ck_assert_int_eq(number(h,
				 "SELECT count(*) FROM moderation.overrides a JOIN moderation.overrides b ON "
				 "b.scope_id = %ld"
				 " AND (b.scope, b.subject_kind, b.subject_id, b.team_id, b.allow_low, "
				 "b.allow_high, b.deny_low,"
				 "  b.deny_high) = (a.scope, a.subject_kind, a.subject_id, a.team_id, "
				 "a.allow_low, a.allow_high,"
				 "  a.deny_low, a.deny_high) WHERE a.scope_id = %ld",
				 (long)draft, (long)channel),
		2);
	ck_assert_uint_eq(head(h, STREAM_TEAM(team)), before);
	ck_assert_int_eq(stream_epoch(h, team), epoch);
	/* A repeat finds them. */
	ck_assert_int_eq(copy(h, ann, channel, draft), STATUS_OK);
	ck_assert_int_eq(
		number(h, "SELECT count(*) FROM moderation.overrides WHERE scope_id = %ld", (long)draft), 2);
	house_close(h);
}
END_TEST

START_TEST(a_private_clone_has_the_members_and_its_maker_as_owner)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *eve = person(h, "eve");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	joins(h, team, eve);
	uint64_t channel = channel_in(h, team, .private = true, .own = true, .created_by = bob->id);
	OK(h, ann, add_channel_member, NEVERMIND(add_channel_member), .channel_id = channel,
		.user_id = ann->id);
	OK(h, ann, add_channel_member, NEVERMIND(add_channel_member), .channel_id = channel,
		.user_id = eve->id);
	OK(h, eve, leave_channel, NEVERMIND(leave_channel), .channel_id = channel, .user_id = eve->id);
	uint64_t draft = draft_of(h, team, channel, ann);

	ck_assert_int_eq(copy(h, ann, channel, draft), STATUS_OK);
	sql(h, "UPDATE messaging.channels SET deleted_at_ms = NULL, draft = false WHERE id = %ld", (long)draft);
	uint64_t before = head(h, STREAM_TEAM(team));
	ck_assert_int_eq(CALL(h, ann, seed_channel, NEVERMIND(seed_channel), .channel_id = draft, .from_channel_id = channel), STATUS_OK);
	ck_assert_uint_gt(head(h, STREAM_TEAM(team)), before);
	ck_assert_int_eq(number(h,
				 "SELECT role FROM moderation.channel_members WHERE channel_id = %ld AND "
				 "user_id = %ld",
				 (long)draft, (long)ann->id),
		CHANNEL_ROLE_OWNER);
	ck_assert_int_eq(number(h,
				 "SELECT count(*) FROM moderation.channel_members WHERE channel_id = %ld AND "
				 "user_id = %ld",
				 (long)draft, (long)eve->id),
		0);
	ck_assert_uint_eq(judged(h, eve, 0, draft).status, STATUS_NOT_FOUND);
	ck_assert_uint_eq(judged(h, ann, 0, draft).channel_role, CHANNEL_ROLE_OWNER);
	house_close(h);
}
END_TEST

START_TEST(nobody_gives_in_a_clone_what_he_has_not_and_everything_that_is_denied_stays_denied)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t channel = channel_in(h, team, .created_by = ann->id);
	uint64_t role = role_in(h, team, 2, PERMISSION_create_invites);
	struct bits allow = bits_with(bit(PERMISSION_mention_everyone), PERMISSION_send_messages);
	override(h, team, channel, 1, role, allow, bit(PERMISSION_list_manage));
	override(h, team, channel, 2, ann->id, bit(PERMISSION_mention_everyone), no_bits);
	uint64_t draft = draft_of(h, team, channel, bob);

	ck_assert_int_eq(copy(h, bob, channel, draft), STATUS_OK);
	ck_assert_int_eq(
		number(h, "SELECT count(*) FROM moderation.overrides WHERE scope_id = %ld", (long)draft), 1);
	ck_assert_int_eq(
		number(h, "SELECT allow_low FROM moderation.overrides WHERE scope_id = %ld", (long)draft),
		(int64_t)bit(PERMISSION_send_messages).low);
	ck_assert_int_eq(
		number(h, "SELECT deny_high FROM moderation.overrides WHERE scope_id = %ld", (long)draft),
		(int64_t)bit(PERMISSION_list_manage).high);
	house_close(h);
}
END_TEST

START_TEST(only_its_maker_fills_a_draft_and_only_from_what_he_sees)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann), elsewhere = team_of(h, bob);
	joins(h, team, bob);
	uint64_t open = channel_in(h, team, .created_by = ann->id);
	uint64_t hidden = channel_in(h, team, .private = true, .own = true, .created_by = ann->id);
	uint64_t foreign = channel_in(h, elsewhere, .created_by = bob->id);
	uint64_t mine = draft_of(h, team, open, bob), hers = draft_of(h, team, open, ann);

	ck_assert_int_eq(copy(h, bob, open, hers), STATUS_NOT_FOUND);
	ck_assert_int_eq(copy(h, bob, hidden, mine), STATUS_NOT_FOUND);
	ck_assert_str_eq(h->outcome.field, "from_channel_id");
	ck_assert_int_eq(copy(h, bob, foreign, mine), STATUS_NOT_FOUND);
	ck_assert_int_eq(copy(h, bob, ids_random(), mine), STATUS_NOT_FOUND);
	ck_assert_int_eq(copy(h, bob, open, open), STATUS_NOT_FOUND); /* which stands */
	ck_assert_int_eq(copy(h, bob, mine, mine), STATUS_NOT_FOUND);
	ck_assert_int_eq(copy(h, bob, open, mine), STATUS_OK);
	house_close(h);
}
END_TEST

TESTS("moderation clones", a_clone_takes_over_overrides_and_says_nothing,
	a_private_clone_has_the_members_and_its_maker_as_owner,
	nobody_gives_in_a_clone_what_he_has_not_and_everything_that_is_denied_stays_denied,
	only_its_maker_fills_a_draft_and_only_from_what_he_sees)
