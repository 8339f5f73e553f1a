/* Overrides: who may set them, what they hold, and whose keys move with them. */
#include <pthread.h>

#include "tests/unit/moderation/keys.h"

/* ann owns the team; bob has the role, cid has not. */
struct scene {
	pb_UserView *ann, *bob, *cid;
	uint64_t team, base, role;
};

static struct scene scene_open(struct house *h)
{
	struct scene s = {person(h, "ann"), person(h, "bob"), person(h, "cid"), .team = 0};
	s.team = team_of(h, s.ann);
	joins(h, s.team, s.bob);
	joins(h, s.team, s.cid);
	s.base = base_role(h, s.team);
	s.role = role_made(h, s.ann, s.team, "crew", PERMISSIONS(PERMISSION_send_messages)).id;
	given(h, s.ann, s.team, s.bob, s.role);
	return s;
}

/* The request but for its sets. */
#define OF_ROLE(channel, role)                                                                               \
	.scope = OVERRIDE_CHANNEL, .scope_id = channel, .subject_kind = OVERRIDE_OF_ROLE, .subject_id = role
#define OF_USER(channel, user)                                                                               \
	.scope = OVERRIDE_CHANNEL, .scope_id = channel, .subject_kind = OVERRIDE_OF_USER, .subject_id = user
#define ALLOW(...) .has_allow = true, .allow = PERMISSIONS(__VA_ARGS__)
#define DENY(...)  .has_deny = true, .deny = PERMISSIONS(__VA_ARGS__)
#define SET(h, who, ...)   OK(h, who, set_override, NEVERMIND(set_override), __VA_ARGS__)
#define CLEAR(h, who, ...) OK(h, who, remove_override, NEVERMIND(remove_override), __VA_ARGS__)

static size_t overrides_of(struct house *h, const pb_UserView *who, uint64_t channel)
{
	pb_ListOverridesReply reply;
	OK(h, who, list_overrides, &reply, .scope = OVERRIDE_CHANNEL, .scope_id = channel);
	return reply.overrides_count;
}

/* ---- what is written */

START_TEST(an_override_that_touches_no_view_changes_rights_and_no_keys)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	uint64_t channel = channel_in(h, s.team, .created_by = s.ann->id), before = head(h, STREAM_TEAM(s.team));
	uint64_t since = unchanged_since(h, s.team, s.bob);
	int64_t epoch = stream_epoch(h, s.team);
	pb_OverrideReply reply;
	pb_ListOverridesReply list;

	OK(h, s.ann, set_override, &reply, OF_ROLE(channel, s.base), DENY(PERMISSION_send_messages),
		ALLOW(PERMISSION_mention_everyone));
	ck_assert_uint_eq(reply.override.subject_id, s.base);
	struct written *t =
		expect_events(h, STREAM_TEAM(s.team), before, "override_set", key(h, "team", s.team), NULL);
	const pb_OverrideEvent *e = &t[0].body.body.override_set;
	ck_assert_uint_eq(e->team_id, s.team);
	ck_assert_uint_eq(e->scope_id, channel);
	ck_assert_str_eq(e->channel.name, "general");
	ck_assert_uint_eq(e->deny.low, UINT64_C(1) << PERMISSION_send_messages);
	ck_assert_uint_eq(e->allow.low, UINT64_C(1) << PERMISSION_mention_everyone);
	ck_assert_int_eq(stream_epoch(h, s.team), epoch + 1);
	ck_assert_uint_eq(unchanged_since(h, s.team, s.bob), since);
	pb_Rights r = judged(h, s.cid, 0, channel);
	ck_assert(!has(&r, PERMISSION_send_messages) && has(&r, PERMISSION_mention_everyone));

	OK(h, s.bob, list_overrides, &list, .scope = OVERRIDE_CHANNEL, .scope_id = channel);
	ck_assert_uint_eq(list.overrides_count, 1);
	OK(h, s.bob, list_overrides, &list, OF_ROLE(channel, s.base));
	ck_assert_uint_eq(list.overrides[0].deny.low, UINT64_C(1) << PERMISSION_send_messages);
	REFUSED(h, STATUS_NOT_FOUND, NULL, s.bob, list_overrides, NEVERMIND(list_overrides), OF_ROLE(channel, s.role));
	/* the same again is nothing */
	OK(h, s.ann, set_override, &reply, OF_ROLE(channel, s.base), DENY(PERMISSION_send_messages),
		ALLOW(PERMISSION_mention_everyone));
	ck_assert_uint_eq(head(h, STREAM_TEAM(s.team)), before + 2); /* with audit entries */
	house_close(h);
}
END_TEST

START_TEST(an_override_of_nothing_is_none)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	uint64_t channel = channel_in(h, s.team, .created_by = s.ann->id);
	SET(h, s.ann, OF_ROLE(channel, s.role), DENY(PERMISSION_send_messages));
	SET(h, s.ann, OF_USER(channel, s.cid->id), DENY(PERMISSION_send_messages));
	uint64_t before = head(h, STREAM_TEAM(s.team));

	SET(h, s.ann, OF_ROLE(channel, s.role), DENY());
	CLEAR(h, s.ann, OF_USER(channel, s.cid->id));
	struct written *t = expect_events(h, STREAM_TEAM(s.team), before, "override_removed", key(h, "team", s.team),
		"override_removed", key(h, "team", s.team), NULL);
	ck_assert_uint_eq(t[0].body.body.override_removed.subject_id, s.role);
	ck_assert_uint_eq(t[1].body.body.override_removed.subject_kind, OVERRIDE_OF_USER);
	ck_assert_uint_eq(t[1].body.body.override_removed.deny.low, 0);
	ck_assert_uint_eq(overrides_of(h, s.ann, channel), 0);
	CLEAR(h, s.ann, OF_USER(channel, s.cid->id));
	ck_assert_uint_eq(head(h, STREAM_TEAM(s.team)), before + 4); /* with audit entries */
	house_close(h);
}
END_TEST

START_TEST(what_cannot_stand_in_an_override_is_named)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	uint64_t channel = channel_in(h, s.team, .created_by = s.ann->id);

#define BAD(field_, ...)                                                                                     \
	do {                                                                                                 \
		ck_assert_int_eq(CALL(h, s.ann, set_override, NEVERMIND(set_override), __VA_ARGS__),         \
			STATUS_FIELD_INVALID);                                                               \
		ck_assert_str_eq(h->outcome.field, field_);                                                  \
	} while (0)
	BAD("allow", OF_ROLE(channel, s.role), ALLOW(PERMISSION_kick_members));
	BAD("deny", OF_ROLE(channel, s.role), DENY(PERMISSION_administrator));
	BAD("allow", OF_ROLE(channel, s.role), .has_allow = true, .allow = {0, UINT64_C(1) << 62});
	BAD("deny", OF_ROLE(channel, s.role), ALLOW(PERMISSION_pin_messages), DENY(PERMISSION_pin_messages));
	BAD("allow", .scope = OVERRIDE_TEAM, .scope_id = s.team, .subject_kind = OVERRIDE_OF_ROLE, .subject_id = s.role,
		ALLOW(PERMISSION_administrator));
	BAD("scope", .scope = 4, .scope_id = channel, .subject_kind = OVERRIDE_OF_ROLE, .subject_id = s.role);
	BAD("subject_kind", .scope = OVERRIDE_CHANNEL, .scope_id = channel, .subject_kind = 3, .subject_id = s.role);
	ck_assert_int_eq(CALL(h, s.ann, list_overrides, NEVERMIND(list_overrides), .scope = 9), STATUS_FIELD_INVALID);
	/* of a whole team also what no channel has */
	SET(h, s.ann, .scope = OVERRIDE_TEAM, .scope_id = s.team, .subject_kind = OVERRIDE_OF_ROLE, .subject_id = s.role,
		ALLOW(PERMISSION_kick_members));
	house_close(h);
}
END_TEST

/* ---- who may */

START_TEST(it_takes_manage_overrides_and_manage_roles_or_the_channels_owner)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	uint64_t channel = channel_in(h, s.team, .created_by = s.ann->id);
	uint64_t own = channel_in(h, s.team, .own = true, .created_by = s.bob->id);
	pb_UserView *zoe = person(h, "zoe");

	REFUSED(h, STATUS_FORBIDDEN, "manage_overrides", s.bob, set_override, NEVERMIND(set_override), OF_ROLE(channel, s.base),
		DENY(PERMISSION_send_messages));
	SET(h, s.ann, OF_ROLE(channel, s.role), ALLOW(PERMISSION_manage_overrides));
	REFUSED(h, STATUS_FORBIDDEN, "manage_roles", s.bob, set_override, NEVERMIND(set_override), OF_ROLE(channel, s.base),
		DENY(PERMISSION_send_messages));
	OK(h, s.ann, update_role, NEVERMIND(update_role), .role_id = s.role, .has_permissions = true,
		.permissions = PERMISSIONS(PERMISSION_manage_roles));
	SET(h, s.bob, OF_ROLE(channel, s.base), DENY(PERMISSION_send_messages));
	REFUSED(h, STATUS_FORBIDDEN, "manage_overrides", s.cid, remove_override, NEVERMIND(remove_override),
		OF_ROLE(channel, s.base));
	/* the owner of a channel, with no role at all */
	OK(h, s.ann, remove_member_role, NEVERMIND(remove_member_role), .team_id = s.team, .user_id = s.bob->id,
		.role_id = s.role);
	SET(h, s.bob, OF_ROLE(own, s.base), DENY(PERMISSION_send_messages));
	REFUSED(h, STATUS_FORBIDDEN, "manage_overrides", s.cid, set_override, NEVERMIND(set_override), OF_ROLE(own, s.base),
		DENY(PERMISSION_add_reactions));
	/* the team's own are not a channel's business */
	REFUSED(h, STATUS_FORBIDDEN, "manage_overrides", s.bob, set_override, NEVERMIND(set_override), .scope = OVERRIDE_TEAM,
		.scope_id = s.team, .subject_kind = OVERRIDE_OF_ROLE, .subject_id = s.base, DENY(PERMISSION_send_messages));
	REFUSED(h, STATUS_NOT_FOUND, NULL, zoe, set_override, NEVERMIND(set_override), OF_ROLE(channel, s.base),
		DENY(PERMISSION_send_messages));
	REFUSED(h, STATUS_NOT_FOUND, NULL, zoe, list_overrides, NEVERMIND(list_overrides), .scope = OVERRIDE_CHANNEL,
		.scope_id = channel);
	house_close(h);
}
END_TEST

START_TEST(nobody_allows_or_denies_what_he_lacks)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	uint64_t own = channel_in(h, s.team, .own = true, .created_by = s.bob->id);

	REFUSED(h, STATUS_FORBIDDEN, "mention_everyone", s.bob, set_override, NEVERMIND(set_override), OF_ROLE(own, s.base),
		ALLOW(PERMISSION_mention_everyone, PERMISSION_pin_messages));
	REFUSED(h, STATUS_FORBIDDEN, "mention_everyone", s.bob, set_override, NEVERMIND(set_override),
		OF_USER(own, s.cid->id), DENY(PERMISSION_mention_everyone));
	SET(h, s.ann, OF_ROLE(own, s.base), DENY(PERMISSION_mention_everyone, PERMISSION_send_messages));
	/* nor takes such a thing back: what stays as it is counts for nothing */
	REFUSED(h, STATUS_FORBIDDEN, "mention_everyone", s.bob, remove_override, NEVERMIND(remove_override),
		OF_ROLE(own, s.base));
	SET(h, s.bob, OF_ROLE(own, s.base),
		DENY(PERMISSION_mention_everyone, PERMISSION_send_messages, PERMISSION_add_reactions));
	house_close(h);
}
END_TEST

START_TEST(subjects_and_places_must_be_there)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	uint64_t channel = channel_in(h, s.team, .created_by = s.ann->id);
	uint64_t thread = channel_in(h, s.team, .created_by = s.ann->id), talk = ids_random();
	pb_UserView *zoe = person(h, "zoe");
	uint64_t foreign = role_made(h, s.ann, team_of(h, s.ann), "f", PERMISSIONS()).id;
	sql(h, "UPDATE messaging.channels SET kind = 11, parent_channel_id = %ld WHERE id = %ld", (long)channel, (long)thread);
	sql(h,
		"INSERT INTO log.streams (rank, id) VALUES (1, %ld);"
		" INSERT INTO messaging.channels (id, rank, stream_id, kind, name, created_at_ms, created_by)"
		" VALUES (%ld, 1, %ld, 13, '', 1, %ld);"
		" INSERT INTO moderation.channel_members (channel_id, user_id, rank, stream_id, role, joined_at_ms)"
		" VALUES (%ld, %ld, 1, %ld, 1, 1)",
		(long)talk, (long)talk, (long)talk, (long)s.ann->id, (long)talk, (long)s.ann->id, (long)talk);

	REFUSED(h, STATUS_NOT_FOUND, "role", s.ann, set_override, NEVERMIND(set_override), OF_ROLE(channel, foreign),
		DENY(PERMISSION_send_messages));
	REFUSED(h, STATUS_NOT_FOUND, "member", s.ann, set_override, NEVERMIND(set_override), OF_USER(channel, zoe->id),
		DENY(PERMISSION_send_messages));
	REFUSED(h, STATUS_FORBIDDEN, "thread", s.ann, set_override, NEVERMIND(set_override), OF_ROLE(thread, s.role),
		DENY(PERMISSION_send_messages));
	REFUSED(h, STATUS_FORBIDDEN, "conversation", s.ann, set_override, NEVERMIND(set_override),
		OF_USER(talk, s.ann->id), DENY(PERMISSION_send_messages));
	REFUSED(h, STATUS_NOT_FOUND, NULL, s.ann, set_override, NEVERMIND(set_override), OF_ROLE(ids_random(), s.role),
		DENY(PERMISSION_send_messages));
	REFUSED(h, STATUS_NOT_FOUND, NULL, s.ann, set_override, NEVERMIND(set_override), .scope = OVERRIDE_CATEGORY,
		.team_id = s.team, .scope_id = 77, .subject_kind = OVERRIDE_OF_ROLE, .subject_id = s.role,
		DENY(PERMISSION_send_messages));
	/* of one who left it can still be cleared */
	SET(h, s.ann, OF_USER(channel, s.cid->id), DENY(PERMISSION_send_messages));
	OK(h, s.cid, remove_member, NEVERMIND(remove_member), .team_id = s.team, .user_id = s.cid->id);
	CLEAR(h, s.ann, OF_USER(channel, s.cid->id));
	ck_assert_uint_eq(overrides_of(h, s.ann, channel), 0);
	sql(h, "UPDATE messaging.channels SET archived_at_ms = 1 WHERE id = %ld", (long)channel);
	ck_assert_int_eq(CALL(h, s.ann, set_override, NEVERMIND(set_override), OF_ROLE(channel, s.role),
				 DENY(PERMISSION_send_messages)),
		STATUS_ARCHIVED);
	house_close(h);
}
END_TEST

START_TEST(a_channel_has_a_hundred_overrides_at_most)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	uint64_t channel = channel_in(h, s.team, .created_by = s.ann->id);
	sql(h,
		"INSERT INTO moderation.overrides (team_id, scope, scope_id, subject_kind, subject_id, deny_low)"
		" SELECT %ld, 3, %ld, 2, 4294967296 + n, 1::bigint << 49 FROM generate_series(1, 100) n",
		(long)s.team, (long)channel);

	REFUSED(h, STATUS_AT_LIMIT, "overrides", s.ann, set_override, NEVERMIND(set_override), OF_ROLE(channel, s.role),
		DENY(PERMISSION_send_messages));
	CLEAR(h, s.ann, OF_USER(channel, UINT64_C(4294967297)));
	SET(h, s.ann, OF_ROLE(channel, s.role), DENY(PERMISSION_send_messages));
	house_close(h);
}
END_TEST

/* ---- keys */

START_TEST(the_first_override_of_a_view_gives_the_channel_its_own_key_and_the_last_takes_it)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	uint64_t channel = channel_in(h, s.team, .created_by = s.ann->id), before = head(h, STREAM_TEAM(s.team));
	const char *own = key(h, "channel", channel), *all = key(h, "team", s.team);
	int64_t epoch = stream_epoch(h, s.team);

	SET(h, s.ann, OF_ROLE(channel, s.base), DENY(PERMISSION_view_text));
	struct written *t =
		expect_events(h, STREAM_TEAM(s.team), before, "audience_recheck", "", "override_set", own, NULL);
	ck_assert(t[0].body.body.audience_recheck.all);
	ck_assert_int_eq(stream_epoch(h, s.team), epoch + 1);
	ck_assert_uint_eq(unchanged_since(h, s.team, s.cid), before + 1);
	ck_assert(!holds_now(h, s.team, s.cid, own));
	ck_assert_uint_eq(judged(h, s.cid, 0, channel).status, STATUS_NOT_FOUND);
	ck_assert_str_eq(judged(h, s.ann, 0, channel).audience, own);

	before = head(h, STREAM_TEAM(s.team));
	CLEAR(h, s.ann, OF_ROLE(channel, s.base));
	t = expect_events(h, STREAM_TEAM(s.team), before, "audience_recheck", "", "override_removed", all, NULL);
	ck_assert(t[0].body.body.audience_recheck.all);
	ck_assert_str_eq(judged(h, s.cid, 0, channel).audience, all);
	/* by a person's override as well */
	before = head(h, STREAM_TEAM(s.team));
	SET(h, s.ann, OF_USER(channel, s.cid->id), DENY(PERMISSION_view_text));
	t = expect_events(h, STREAM_TEAM(s.team), before, "audience_recheck", "", "override_set", own, NULL);
	ck_assert(t[0].body.body.audience_recheck.all);
	ck_assert(holds_now(h, s.team, s.bob, own));
	ck_assert(!holds_now(h, s.team, s.cid, own));
	house_close(h);
}
END_TEST

START_TEST(a_view_of_another_kind_is_no_reason_for_a_key_of_its_own)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	uint64_t channel = channel_in(h, s.team, .created_by = s.ann->id), before = head(h, STREAM_TEAM(s.team));

	SET(h, s.ann, OF_ROLE(channel, s.base), DENY(PERMISSION_view_voice));
	expect_events(h, STREAM_TEAM(s.team), before, "override_set", key(h, "team", s.team), NULL);
	house_close(h);
}
END_TEST

START_TEST(where_the_channel_has_its_own_key_a_role_concerns_who_has_it)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	uint64_t channel = channel_in(h, s.team, .private = true, .created_by = s.ann->id);
	const char *own = key(h, "channel", channel);
	uint64_t before = head(h, STREAM_TEAM(s.team)), others = unchanged_since(h, s.team, s.cid);
	int64_t epoch = stream_epoch(h, s.team);

	SET(h, s.ann, OF_ROLE(channel, s.role), ALLOW(PERMISSION_view_text));
	struct written *t =
		expect_events(h, STREAM_TEAM(s.team), before, "audience_recheck", "", "override_set", own, NULL);
	ck_assert_uint_eq(t[0].body.body.audience_recheck.role_id, s.role);
	ck_assert(!t[0].body.body.audience_recheck.all);
	ck_assert_int_eq(stream_epoch(h, s.team), epoch + 1);
	ck_assert(holds_now(h, s.team, s.bob, own));
	ck_assert_uint_eq(unchanged_since(h, s.team, s.bob), before + 1);
	ck_assert_uint_eq(unchanged_since(h, s.team, s.cid), others);
	/* the override goes, what it did to them stays */
	before = head(h, STREAM_TEAM(s.team));
	CLEAR(h, s.ann, OF_ROLE(channel, s.role));
	ck_assert(!holds_now(h, s.team, s.bob, own));
	ck_assert_uint_eq(unchanged_since(h, s.team, s.bob), before + 1);
	ck_assert_uint_eq(unchanged_since(h, s.team, s.cid), others);
	/* the base role is everybody's */
	before = head(h, STREAM_TEAM(s.team));
	SET(h, s.ann, OF_ROLE(channel, s.base), ALLOW(PERMISSION_view_text));
	t = expect_events(h, STREAM_TEAM(s.team), before, "audience_recheck", "", "override_set", own, NULL);
	ck_assert(t[0].body.body.audience_recheck.all);
	ck_assert(holds_now(h, s.team, s.cid, own));
	ck_assert_uint_eq(unchanged_since(h, s.team, s.cid), before + 1);
	house_close(h);
}
END_TEST

START_TEST(where_the_channel_has_its_own_key_a_person_gains_or_loses_it)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	uint64_t channel = channel_in(h, s.team, .private = true, .created_by = s.ann->id);
	const char *own = key(h, "channel", channel);
	uint64_t before = head(h, STREAM_TEAM(s.team)), others = unchanged_since(h, s.team, s.bob);
	int64_t epoch = stream_epoch(h, s.team), his = member_epoch(h, s.team, s.cid);

	SET(h, s.ann, OF_USER(channel, s.cid->id), ALLOW(PERMISSION_view_text));
	struct written *t =
		expect_events(h, STREAM_TEAM(s.team), before, "audience_changed", "", "override_set", own, NULL);
	ck_assert_uint_eq(t[0].body.body.audience_changed.user_id, s.cid->id);
	ck_assert_str_eq(t[0].body.body.audience_changed.gained[0], own);
	ck_assert_int_eq(stream_epoch(h, s.team), epoch);
	ck_assert_int_eq(member_epoch(h, s.team, s.cid), his + 1);
	ck_assert_int_eq(changed_seq(h, s.team, s.cid), (int64_t)before + 1);
	ck_assert_uint_eq(unchanged_since(h, s.team, s.bob), others);
	ck_assert(holds_now(h, s.team, s.cid, own));

	before = head(h, STREAM_TEAM(s.team));
	SET(h, s.ann, OF_USER(channel, s.cid->id), DENY(PERMISSION_view_text));
	t = expect_events(h, STREAM_TEAM(s.team), before, "audience_changed", "", "override_set", own, NULL);
	ck_assert_str_eq(t[0].body.body.audience_changed.lost[0], own);
	ck_assert(!holds_now(h, s.team, s.cid, own));
	/* hidden as before: nothing of his keys moves */
	before = head(h, STREAM_TEAM(s.team));
	CLEAR(h, s.ann, OF_USER(channel, s.cid->id));
	expect_events(h, STREAM_TEAM(s.team), before, "override_removed", own, NULL);
	ck_assert_int_eq(member_epoch(h, s.team, s.cid), his + 3);
	house_close(h);
}
END_TEST

START_TEST(an_override_of_the_team_reaches_all_channels_and_team_wide_keys)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	uint64_t channel = channel_in(h, s.team, .created_by = s.ann->id), before = head(h, STREAM_TEAM(s.team));
	const char *own = key(h, "channel", channel), *all = key(h, "team", s.team);
	char bans[AUDIENCE_SIZE];
	audience_can(bans, s.team, PERMISSION_ban_members);
#define TEAM_ROLE(role) .scope = OVERRIDE_TEAM, .scope_id = s.team, .subject_kind = OVERRIDE_OF_ROLE, .subject_id = role
#define TEAM_USER(user) .scope = OVERRIDE_TEAM, .scope_id = s.team, .subject_kind = OVERRIDE_OF_USER, .subject_id = user

	SET(h, s.ann, TEAM_ROLE(s.role), DENY(PERMISSION_view_text));
	struct written *t =
		expect_events(h, STREAM_TEAM(s.team), before, "audience_recheck", "", "override_set", all, NULL);
	ck_assert(t[0].body.body.audience_recheck.all);
	ck_assert(!t[1].body.body.override_set.has_channel);
	ck_assert_uint_eq(judged(h, s.bob, 0, channel).status, STATUS_NOT_FOUND);
	ck_assert(holds_now(h, s.team, s.cid, own));
	/* the second that touches the same view flips nothing */
	before = head(h, STREAM_TEAM(s.team));
	SET(h, s.ann, TEAM_USER(s.bob->id), ALLOW(PERMISSION_view_text));
	t = expect_events(h, STREAM_TEAM(s.team), before, "audience_recheck", "", "override_set", all, NULL);
	ck_assert_uint_eq(t[0].body.body.audience_recheck.user_ids[0], s.bob->id);
	ck_assert(holds_now(h, s.team, s.bob, own));
	ck_assert_uint_eq(unchanged_since(h, s.team, s.bob), before + 1);

	before = head(h, STREAM_TEAM(s.team));
	SET(h, s.ann, TEAM_USER(s.cid->id), ALLOW(PERMISSION_ban_members));
	t = expect_events(h, STREAM_TEAM(s.team), before, "audience_recheck", "", "override_set", all, NULL);
	ck_assert_uint_eq(t[0].body.body.audience_recheck.user_ids[0], s.cid->id);
	ck_assert(holds_now(h, s.team, s.cid, bans));
	/* and nothing at all where no key is meant */
	before = head(h, STREAM_TEAM(s.team));
	SET(h, s.ann, TEAM_USER(s.cid->id), ALLOW(PERMISSION_ban_members, PERMISSION_pin_messages));
	expect_events(h, STREAM_TEAM(s.team), before, "override_set", all, NULL);
	house_close(h);
}
END_TEST

START_TEST(an_override_of_a_category_reaches_its_channels)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	uint64_t inside = channel_in(h, s.team, .created_by = s.ann->id), outside = channel_in(h, s.team, .created_by = s.ann->id);
	sql(h, "UPDATE messaging.channels SET category_id = 77 WHERE id = %ld", (long)inside);
	uint64_t before = head(h, STREAM_TEAM(s.team));

	SET(h, s.ann, .scope = OVERRIDE_CATEGORY, .team_id = s.team, .scope_id = 77, .subject_kind = OVERRIDE_OF_ROLE,
		.subject_id = s.base, DENY(PERMISSION_view_text));
	struct written *t = expect_events(h, STREAM_TEAM(s.team), before, "audience_recheck", "", "override_set",
		key(h, "team", s.team), NULL);
	ck_assert(t[0].body.body.audience_recheck.all);
	ck_assert_uint_eq(judged(h, s.cid, 0, inside).status, STATUS_NOT_FOUND);
	ck_assert_uint_eq(judged(h, s.cid, 0, outside).status, STATUS_OK);
	pb_ListOverridesReply list;
	OK(h, s.cid, list_overrides, &list, .scope = OVERRIDE_CATEGORY, .team_id = s.team, .scope_id = 77);
	ck_assert_uint_eq(list.overrides_count, 1);
	house_close(h);
}
END_TEST

/* ---- racing */

struct setter {
	struct house *h;
	const pb_UserView *who;
	pb_OverrideRequest on, off;
};

static void *set_and_clear(void *arg)
{
	const struct setter *s = arg;
	for (int i = 0; i < 16; i++) {
		struct arena *mem = arena_create();
		uint8_t id[16];
		ids_random_bytes(id, sizeof id);
		struct rpc_context ctx = {.request_id = id,
			.request_id_length = sizeof id,
			.actor = s->who,
			.actor_id = s->who->id,
			.deadline_mono_ms = clock_mono_ms() + PATIENCE_MS};
		struct rpc_outcome outcome;
		pb_OverrideReply reply;
		enum status st = moderation_set_override(
			s->h->client, mem, &ctx, i % 2 == 0 ? &s->on : &s->off, &reply, &outcome);
		ck_assert(st == STATUS_OK || st == STATUS_BUSY);
		arena_destroy(mem);
	}
	return NULL;
}

START_TEST(two_who_set_at_once_never_tell_a_hidden_channel_to_the_whole_team)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	uint64_t channel = channel_in(h, s.team, .created_by = s.ann->id);
	uint64_t start = head(h, STREAM_TEAM(s.team));
	struct setter setters[2] = {
		{h, s.ann, {OF_ROLE(channel, s.role), DENY(PERMISSION_view_text)}, {OF_ROLE(channel, s.role)}},
		{h, s.ann, {OF_USER(channel, s.cid->id), DENY(PERMISSION_view_text)}, {OF_USER(channel, s.cid->id)}},
	};
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, set_and_clear, &setters[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	/* As the log tells it: while one of them is there the channel has its own key, and each flip was announced
	 * to everybody just before. */
	size_t count;
	struct written *t = events_after(h, STREAM_TEAM(s.team), start, &count);
	bool there[2] = {false, false};
	for (size_t i = 0; i < count; i++) {
		bool set = t[i].ev.kind == EVENT_KIND_override_set;
		if (!set && t[i].ev.kind != EVENT_KIND_override_removed)
			continue;
		const pb_OverrideEvent *e = set ? &t[i].body.body.override_set : &t[i].body.body.override_removed;
		bool before = there[0] || there[1];
		there[e->subject_kind == OVERRIDE_OF_USER] = set;
		bool after = there[0] || there[1];
		ck_assert_str_eq(t[i].ev.audience, after ? key(h, "channel", channel) : key(h, "team", s.team));
		ck_assert_uint_gt(i, 0);
		if (before != after) {
			ck_assert_int_eq(t[i - 1].ev.kind, EVENT_KIND_audience_recheck);
			ck_assert(t[i - 1].body.body.audience_recheck.all);
		}
	}
	ck_assert_str_eq(
		judged(h, s.ann, 0, channel).audience, there[0] || there[1] ? key(h, "channel", channel) : key(h, "team", s.team));
	house_close(h);
}
END_TEST

TESTS("moderation overrides", an_override_that_touches_no_view_changes_rights_and_no_keys, an_override_of_nothing_is_none,
	what_cannot_stand_in_an_override_is_named, it_takes_manage_overrides_and_manage_roles_or_the_channels_owner,
	nobody_allows_or_denies_what_he_lacks, subjects_and_places_must_be_there,
	a_channel_has_a_hundred_overrides_at_most,
	the_first_override_of_a_view_gives_the_channel_its_own_key_and_the_last_takes_it,
	a_view_of_another_kind_is_no_reason_for_a_key_of_its_own,
	where_the_channel_has_its_own_key_a_role_concerns_who_has_it,
	where_the_channel_has_its_own_key_a_person_gains_or_loses_it,
	an_override_of_the_team_reaches_all_channels_and_team_wide_keys, an_override_of_a_category_reaches_its_channels,
	two_who_set_at_once_never_tell_a_hidden_channel_to_the_whole_team)
