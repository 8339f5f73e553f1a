/* Roles: made, changed, ordered, deleted; by whom; and what that means for keys. */
#include <pthread.h>

#include "tests/unit/moderation/keys.h"

/* ann owns the team, mod has a role with manage_roles and kick_members above `low`, bob has nothing. */
struct ranks {
	pb_UserView *ann, *mod, *bob;
	uint64_t team, base, low, middle, high; /* mod has the middle one */
};

static struct ranks ranks_open(struct house *h)
{
	struct ranks r = {person(h, "ann"), person(h, "mod"), person(h, "bob"), .team = 0};
	r.team = team_of(h, r.ann);
	joins(h, r.team, r.mod);
	joins(h, r.team, r.bob);
	r.base = base_role(h, r.team);
	r.high = role_made(h, r.ann, r.team, "high", PERMISSIONS(PERMISSION_ban_members)).id;
	r.middle = role_made(h, r.ann, r.team, "middle", PERMISSIONS(PERMISSION_manage_roles, PERMISSION_kick_members)).id;
	r.low = role_made(h, r.ann, r.team, "low", PERMISSIONS(PERMISSION_pin_messages)).id;
	given(h, r.ann, r.team, r.mod, r.middle);
	return r;
}

static pb_RolesReply listed(struct house *h, const pb_UserView *who, uint64_t team)
{
	pb_RolesReply reply;
	OK(h, who, list_roles, &reply, .team_id = team);
	return reply;
}

/* The names from the highest to the base role. */
static const char *order_of(const pb_RoleView *roles, size_t count)
{
	const char *text = "";
	for (size_t i = 0; i < count; i++) {
		ck_assert_int_eq(roles[i].position, (int)(count - 1 - i));
		text = arena_printf(house.mem, "%s%s%s", text, i > 0 ? " " : "", roles[i].name);
	}
	return text;
}

static const char *order_now(struct house *h, const struct ranks *r)
{
	pb_RolesReply reply = listed(h, r->bob, r->team);
	return order_of(reply.roles, reply.roles_count);
}

/* ---- making */

START_TEST(a_role_is_made_at_the_bottom_and_all_are_told_the_order)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	uint64_t team = team_of(h, ann), before = head(h, STREAM_TEAM(team));
	int64_t epoch = stream_epoch(h, team);
	pb_RoleReply reply;

	OK(h, ann, create_role, &reply, .team_id = team, .name = "captains", .has_permissions = true,
		.permissions = PERMISSIONS(PERMISSION_kick_members, PERMISSION_voice_mute), .color = 0x112233,
		.mentionable = true, .separate = true, .self_assignable = true);
	ck_assert_uint_gt(reply.role.id, 15);
	ck_assert_uint_lt(reply.role.id, UINT64_C(1) << 31);
	ck_assert_int_eq(reply.role.position, 1);
	ck_assert(reply.role.mentionable && reply.role.separate && reply.role.self_assignable && !reply.role.is_base);
	ck_assert_uint_eq(reply.role.color, 0x112233);
	struct written *t =
		expect_events(h, STREAM_TEAM(team), before, "role_created", key(h, "team", team), NULL);
	ck_assert_str_eq(t[0].body.body.role_created.role.name, "captains");
	ck_assert_uint_eq(t[0].body.body.role_created.roles_count, 2);
	ck_assert_uint_eq(t[0].body.body.role_created.roles[0].id, reply.role.id);
	ck_assert_int_eq(stream_epoch(h, team), epoch + 1);

	role_made(h, ann, team, "sailors", PERMISSIONS(PERMISSION_view_text));
	OK(h, ann, create_role, &reply, .team_id = team, .name = "admirals", .position = 99);
	pb_RolesReply all = listed(h, ann, team);
	ck_assert_str_eq(order_of(all.roles, all.roles_count), "admirals captains sailors everyone");
	OK(h, ann, create_role, &reply, .team_id = team, .name = "mates", .position = 2);
	all = listed(h, ann, team);
	ck_assert_str_eq(order_of(all.roles, all.roles_count), "admirals captains mates sailors everyone");
	pb_RolesReply one;
	OK(h, ann, list_roles, &one, .role_id = reply.role.id);
	ck_assert_uint_eq(one.roles_count, 1);
	ck_assert_str_eq(one.roles[0].name, "mates");
	house_close(h);
}
END_TEST

START_TEST(fields_out_of_bounds_are_named)
{
	struct house *h = house_open();
	struct ranks r = ranks_open(h);
	static char long_name[] = "123456789012345678901234567890123";
	pb_Bits unknown = {0, UINT64_C(1) << 63};

#define BAD(field_, who, arm, ...)                                                                           \
	do {                                                                                                 \
		ck_assert_int_eq(CALL(h, who, arm, NEVERMIND(arm), __VA_ARGS__), STATUS_FIELD_INVALID);      \
		ck_assert_str_eq(h->outcome.field, field_);                                                  \
	} while (0)
	BAD("name", r.ann, create_role, .team_id = r.team, .name = "");
	BAD("name", r.ann, create_role, .team_id = r.team, .name = long_name);
	BAD("name", r.ann, create_role, .team_id = r.team, .name = "\xff");
	BAD("permissions", r.ann, create_role, .team_id = r.team, .name = "x", .has_permissions = true,
		.permissions = unknown);
	BAD("color", r.ann, create_role, .team_id = r.team, .name = "x", .color = 0x1000000);
	BAD("name", r.ann, update_role, .role_id = r.low, .name = long_name);
	BAD("permissions", r.ann, update_role, .role_id = r.low, .has_permissions = true, .permissions = unknown);
	BAD("color", r.ann, update_role, .role_id = r.low, .has_color = true, .color = 0x1000000);
	BAD("position", r.ann, update_role, .role_id = r.low, .has_position = true);
	house_close(h);
}
END_TEST

START_TEST(only_who_manages_roles_does_and_strangers_learn_nothing)
{
	struct house *h = house_open();
	struct ranks r = ranks_open(h);
	pb_UserView *zoe = person(h, "zoe");
	uint64_t before = head(h, STREAM_TEAM(r.team));
	uint64_t ids[] = {r.high, r.low, r.middle};

	REFUSED(h, STATUS_FORBIDDEN, "manage_roles", r.bob, create_role, NEVERMIND(create_role), .team_id = r.team, .name = "x");
	REFUSED(h, STATUS_FORBIDDEN, "manage_roles", r.bob, update_role, NEVERMIND(update_role), .role_id = r.low, .name = "x");
	REFUSED(h, STATUS_FORBIDDEN, "manage_roles", r.bob, delete_role, NEVERMIND(delete_role), .role_id = r.low);
	REFUSED(h, STATUS_FORBIDDEN, "manage_roles", r.bob, reorder_roles, NEVERMIND(reorder_roles), .team_id = r.team,
		.role_ids = ids, .role_ids_count = 3);
	REFUSED(h, STATUS_FORBIDDEN, "manage_roles", r.bob, add_member_role, NEVERMIND(add_member_role), .team_id = r.team,
		.user_id = r.bob->id, .role_id = r.low);
	REFUSED(h, STATUS_FORBIDDEN, "manage_roles", r.bob, remove_member_role, NEVERMIND(remove_member_role),
		.team_id = r.team, .user_id = r.mod->id, .role_id = r.middle);
	REFUSED(h, STATUS_NOT_FOUND, NULL, zoe, create_role, NEVERMIND(create_role), .team_id = r.team, .name = "x");
	REFUSED(h, STATUS_NOT_FOUND, NULL, zoe, update_role, NEVERMIND(update_role), .role_id = r.low, .name = "x");
	REFUSED(h, STATUS_NOT_FOUND, NULL, zoe, delete_role, NEVERMIND(delete_role), .role_id = r.low);
	REFUSED(h, STATUS_NOT_FOUND, NULL, zoe, list_roles, NEVERMIND(list_roles), .team_id = r.team);
	REFUSED(h, STATUS_NOT_FOUND, NULL, zoe, list_roles, NEVERMIND(list_roles), .role_id = r.low);
	REFUSED(h, STATUS_NOT_FOUND, NULL, r.ann, update_role, NEVERMIND(update_role), .role_id = 2000000000, .name = "x");
	REFUSED(h, STATUS_NOT_FOUND, NULL, r.ann, list_roles, NEVERMIND(list_roles), .role_id = 2000000000);
	ck_assert_uint_eq(head(h, STREAM_TEAM(r.team)), before);
	house_close(h);
}
END_TEST

START_TEST(nobody_puts_into_a_role_what_he_lacks)
{
	struct house *h = house_open();
	struct ranks r = ranks_open(h);
	pb_RoleReply reply;

	REFUSED(h, STATUS_FORBIDDEN, "ban_members", r.mod, create_role, NEVERMIND(create_role), .team_id = r.team, .name = "x",
		.has_permissions = true, .permissions = PERMISSIONS(PERMISSION_kick_members, PERMISSION_ban_members));
	REFUSED(h, STATUS_FORBIDDEN, "administrator", r.mod, update_role, NEVERMIND(update_role), .role_id = r.low,
		.has_permissions = true, .permissions = PERMISSIONS(PERMISSION_administrator));
	OK(h, r.mod, create_role, &reply, .team_id = r.team, .name = "helpers", .has_permissions = true,
		.permissions = PERMISSIONS(PERMISSION_kick_members, PERMISSION_view_text));
	/* what was there already stays there, and may be taken out, whoever has it */
	OK(h, r.mod, update_role, &reply, .role_id = r.low, .has_permissions = true,
		.permissions = PERMISSIONS(PERMISSION_pin_messages, PERMISSION_kick_members));
	OK(h, r.mod, update_role, &reply, .role_id = r.low, .has_permissions = true, .permissions = PERMISSIONS());
	REFUSED(h, STATUS_FORBIDDEN, "pin_messages", r.mod, update_role, NEVERMIND(update_role), .role_id = r.low,
		.has_permissions = true, .permissions = PERMISSIONS(PERMISSION_pin_messages));
	/* the owner and administrators have everything */
	OK(h, r.ann, update_role, &reply, .role_id = r.middle, .has_permissions = true,
		.permissions = PERMISSIONS(PERMISSION_administrator));
	OK(h, r.mod, update_role, &reply, .role_id = r.low, .has_permissions = true,
		.permissions = PERMISSIONS(PERMISSION_administrator, PERMISSION_ban_members));
	house_close(h);
}
END_TEST

START_TEST(what_stands_beside_or_above_is_left_alone)
{
	struct house *h = house_open();
	struct ranks r = ranks_open(h);
	uint64_t before = head(h, STREAM_TEAM(r.team));

	for (int i = 0; i < 2; i++) {
		uint64_t role = i == 0 ? r.middle : r.high;
		REFUSED(h, STATUS_FORBIDDEN, "rank", r.mod, update_role, NEVERMIND(update_role), .role_id = role, .name = "x");
		REFUSED(h, STATUS_FORBIDDEN, "rank", r.mod, delete_role, NEVERMIND(delete_role), .role_id = role);
		REFUSED(h, STATUS_FORBIDDEN, "rank", r.mod, add_member_role, NEVERMIND(add_member_role), .team_id = r.team,
			.user_id = r.bob->id, .role_id = role);
		REFUSED(h, STATUS_FORBIDDEN, "rank", r.mod, remove_member_role, NEVERMIND(remove_member_role),
			.team_id = r.team, .user_id = r.mod->id, .role_id = role);
	}
	REFUSED(h, STATUS_FORBIDDEN, "rank", r.mod, create_role, NEVERMIND(create_role), .team_id = r.team, .name = "x",
		.position = 3);
	REFUSED(h, STATUS_FORBIDDEN, "rank", r.mod, update_role, NEVERMIND(update_role), .role_id = r.low, .has_position = true,
		.position = 2);
	ck_assert_uint_eq(head(h, STREAM_TEAM(r.team)), before);
	/* where his own stands he may put one: that one is pushed up */
	OK(h, r.mod, create_role, NEVERMIND(create_role), .team_id = r.team, .name = "new", .position = 2);
	ck_assert_str_eq(order_now(h, &r), "high middle new low everyone");
	/* manage_roles in the base role is worth nothing: nothing is below that */
	OK(h, r.ann, update_role, NEVERMIND(update_role), .role_id = r.base, .has_permissions = true,
		.permissions = PERMISSIONS(PERMISSION_manage_roles, PERMISSION_view_text));
	REFUSED(h, STATUS_FORBIDDEN, "rank", r.bob, create_role, NEVERMIND(create_role), .team_id = r.team, .name = "x");
	REFUSED(h, STATUS_FORBIDDEN, "rank", r.bob, update_role, NEVERMIND(update_role), .role_id = r.base, .name = "x");
	house_close(h);
}
END_TEST

/* ---- changing */

START_TEST(looks_change_without_a_word_to_the_gateways)
{
	struct house *h = house_open();
	struct ranks r = ranks_open(h);
	uint64_t before = head(h, STREAM_TEAM(r.team));
	int64_t epoch = stream_epoch(h, r.team);
	pb_RoleReply reply;

	OK(h, r.ann, update_role, &reply, .role_id = r.low, .name = "lower", .has_color = true, .color = 7,
		.has_separate = true, .separate = true);
	ck_assert_str_eq(reply.role.name, "lower");
	struct written *t =
		expect_events(h, STREAM_TEAM(r.team), before, "role_updated", key(h, "team", r.team), NULL);
	const pb_RoleEvent *e = &t[0].body.body.role_updated;
	ck_assert_uint_eq(e->changed_count, 3);
	ck_assert_str_eq(e->changed[0], "name");
	ck_assert_str_eq(e->changed[1], "color");
	ck_assert_str_eq(e->changed[2], "separate");
	ck_assert_int_eq(stream_epoch(h, r.team), epoch);
	/* the same again is nothing */
	OK(h, r.ann, update_role, &reply, .role_id = r.low, .name = "lower", .has_color = true, .color = 7);
	ck_assert_uint_eq(head(h, STREAM_TEAM(r.team)), before + 2); /* it and the audit entry */
	house_close(h);
}
END_TEST

START_TEST(permissions_that_decide_no_key_raise_the_epoch_only)
{
	struct house *h = house_open();
	struct ranks r = ranks_open(h);
	given(h, r.ann, r.team, r.bob, r.low);
	uint64_t before = head(h, STREAM_TEAM(r.team)), since = unchanged_since(h, r.team, r.bob);
	int64_t epoch = stream_epoch(h, r.team);

	OK(h, r.ann, update_role, NEVERMIND(update_role), .role_id = r.low, .has_permissions = true,
		.permissions = PERMISSIONS(PERMISSION_pin_messages, PERMISSION_send_messages));
	expect_events(h, STREAM_TEAM(r.team), before, "role_updated", key(h, "team", r.team), NULL);
	ck_assert_int_eq(stream_epoch(h, r.team), epoch + 1);
	ck_assert_uint_eq(unchanged_since(h, r.team, r.bob), since);
	house_close(h);
}
END_TEST

START_TEST(permissions_that_decide_keys_are_told_first_and_concern_who_has_the_role)
{
	struct house *h = house_open();
	struct ranks r = ranks_open(h);
	given(h, r.ann, r.team, r.bob, r.low);
	uint64_t before = head(h, STREAM_TEAM(r.team)), mods = unchanged_since(h, r.team, r.mod);
	char bans[AUDIENCE_SIZE];
	audience_can(bans, r.team, PERMISSION_ban_members);
	ck_assert(!holds_now(h, r.team, r.bob, bans));

	OK(h, r.ann, update_role, NEVERMIND(update_role), .role_id = r.low, .has_permissions = true,
		.permissions = PERMISSIONS(PERMISSION_pin_messages, PERMISSION_ban_members));
	struct written *t = expect_events(h, STREAM_TEAM(r.team), before, "audience_recheck", "", "role_updated",
		key(h, "team", r.team), NULL);
	ck_assert_uint_eq(t[0].body.body.audience_recheck.role_id, r.low);
	ck_assert(!t[0].body.body.audience_recheck.all);
	ck_assert_uint_eq(t[0].body.body.audience_recheck.user_ids_count, 0);
	ck_assert(holds_now(h, r.team, r.bob, bans));
	ck_assert_uint_eq(unchanged_since(h, r.team, r.bob), before + 1);
	ck_assert_uint_eq(unchanged_since(h, r.team, r.mod), mods);
	house_close(h);
}
END_TEST

START_TEST(the_base_role_decides_which_channels_have_a_key_of_their_own)
{
	struct house *h = house_open();
	struct ranks r = ranks_open(h);
	uint64_t channel = channel_in(h, r.team, .created_by = r.ann->id);
	const char *own = key(h, "channel", channel), *all = key(h, "team", r.team);
	given(h, r.ann, r.team, r.bob, r.low);
	OK(h, r.ann, update_role, NEVERMIND(update_role), .role_id = r.low, .has_permissions = true,
		.permissions = PERMISSIONS(PERMISSION_view_text));
	ck_assert_str_eq(judged(h, r.bob, 0, channel).audience, all);
	struct bits base = bits_without(bits_base_role(false), PERMISSION_view_text);
	uint64_t before = head(h, STREAM_TEAM(r.team));
	int64_t epoch = stream_epoch(h, r.team);

	OK(h, r.ann, update_role, NEVERMIND(update_role), .role_id = r.base, .has_permissions = true,
		.permissions = {base.low, base.high});
	struct written *t =
		expect_events(h, STREAM_TEAM(r.team), before, "audience_recheck", "", "role_updated", all, NULL);
	ck_assert(t[0].body.body.audience_recheck.all);
	ck_assert_int_eq(stream_epoch(h, r.team), epoch + 1);
	ck_assert_uint_eq(judged(h, r.mod, 0, channel).status, STATUS_NOT_FOUND);
	ck_assert_str_eq(judged(h, r.bob, 0, channel).audience, own);
	ck_assert(holds_now(h, r.team, r.bob, own));
	ck_assert(!holds_now(h, r.team, r.mod, own));
	ck_assert_uint_eq(unchanged_since(h, r.team, r.mod), before + 1);
	/* and back */
	base = bits_base_role(false);
	OK(h, r.ann, update_role, NEVERMIND(update_role), .role_id = r.base, .has_permissions = true,
		.permissions = {base.low, base.high});
	ck_assert_str_eq(judged(h, r.mod, 0, channel).audience, all);
	ck_assert(!holds_now(h, r.team, r.bob, own));
	house_close(h);
}
END_TEST

START_TEST(a_judgement_tells_whether_a_channel_to_be_made_has_a_key_of_its_own)
{
	struct house *h = house_open();
	struct ranks r = ranks_open(h);
	pb_JudgeReply voice, text;
	struct bits base = bits_without(bits_base_role(false), PERMISSION_view_voice);

	OK(h, r.ann, judge, &voice, .user_id = r.ann->id, .team_id = r.team, .new_kind = CHANNEL_VOICE);
	ck_assert(!voice.rights.new_restricted);
	OK(h, r.ann, update_role, NEVERMIND(update_role), .role_id = r.base, .has_permissions = true,
		.permissions = {base.low, base.high});
	OK(h, r.ann, judge, &voice, .user_id = r.ann->id, .team_id = r.team, .new_kind = CHANNEL_VOICE);
	OK(h, r.ann, judge, &text, .user_id = r.ann->id, .team_id = r.team, .new_kind = CHANNEL_TEXT);
	ck_assert(voice.rights.new_restricted);
	ck_assert(!text.rights.new_restricted);
	OK(h, r.ann, set_override, NEVERMIND(set_override), .scope = OVERRIDE_TEAM, .scope_id = r.team,
		.subject_kind = OVERRIDE_OF_ROLE, .subject_id = r.low, .has_deny = true,
		.deny = PERMISSIONS(PERMISSION_view_text));
	OK(h, the_system, judge, &text, .team_id = r.team, .new_kind = CHANNEL_TEXT);
	ck_assert(text.rights.new_restricted);
	house_close(h);
}
END_TEST

START_TEST(the_base_role_is_never_deleted_moved_or_given)
{
	struct house *h = house_open();
	struct ranks r = ranks_open(h);
	uint64_t before = head(h, STREAM_TEAM(r.team));

	REFUSED(h, STATUS_FORBIDDEN, "base_role", r.ann, delete_role, NEVERMIND(delete_role), .role_id = r.base);
	REFUSED(h, STATUS_FORBIDDEN, "base_role", r.ann, update_role, NEVERMIND(update_role), .role_id = r.base,
		.has_position = true, .position = 1);
	REFUSED(h, STATUS_FORBIDDEN, "base_role", r.ann, update_role, NEVERMIND(update_role), .role_id = r.base,
		.has_self_assignable = true, .self_assignable = true);
	REFUSED(h, STATUS_FORBIDDEN, "base_role", r.ann, add_member_role, NEVERMIND(add_member_role), .team_id = r.team,
		.user_id = r.bob->id, .role_id = r.base);
	REFUSED(h, STATUS_FORBIDDEN, "base_role", r.ann, remove_member_role, NEVERMIND(remove_member_role), .team_id = r.team,
		.user_id = r.bob->id, .role_id = r.base);
	ck_assert_uint_eq(head(h, STREAM_TEAM(r.team)), before);
	pb_RoleReply reply;
	OK(h, r.ann, update_role, &reply, .role_id = r.base, .name = "crew");
	ck_assert(reply.role.is_base);
	ck_assert_int_eq(reply.role.position, 0);
	house_close(h);
}
END_TEST

/* ---- order */

START_TEST(a_role_that_moves_makes_the_others_step_aside)
{
	struct house *h = house_open();
	struct ranks r = ranks_open(h);
	uint64_t before = head(h, STREAM_TEAM(r.team));
	int64_t epoch = stream_epoch(h, r.team);

	OK(h, r.ann, update_role, NEVERMIND(update_role), .role_id = r.low, .has_position = true, .position = 3);
	ck_assert_str_eq(order_now(h, &r), "low high middle everyone");
	struct written *t =
		expect_events(h, STREAM_TEAM(r.team), before, "role_updated", key(h, "team", r.team), NULL);
	ck_assert_str_eq(t[0].body.body.role_updated.changed[0], "position");
	ck_assert_str_eq(
		order_of(t[0].body.body.role_updated.roles, t[0].body.body.role_updated.roles_count), "low high middle everyone");
	ck_assert_int_eq(stream_epoch(h, r.team), epoch + 1); /* who stands above whom was judged by the old order */
	OK(h, r.ann, update_role, NEVERMIND(update_role), .role_id = r.low, .has_position = true, .position = 1);
	ck_assert_str_eq(order_now(h, &r), "high middle low everyone");
	OK(h, r.ann, update_role, NEVERMIND(update_role), .role_id = r.middle, .has_position = true, .position = 50);
	ck_assert_str_eq(order_now(h, &r), "middle high low everyone");
	house_close(h);
}
END_TEST

START_TEST(an_order_names_every_role_once_and_moves_nothing_from_above)
{
	struct house *h = house_open();
	struct ranks r = ranks_open(h);
	uint64_t lowest = role_made(h, r.ann, r.team, "lowest", PERMISSIONS()).id;
	pb_RoleView foreign = role_made(h, r.ann, team_of(h, r.ann), "foreign", PERMISSIONS());
	uint64_t turned[] = {r.high, r.middle, lowest, r.low, r.base}, same[] = {r.high, r.middle, r.low, lowest};
	uint64_t above[] = {r.middle, r.high, r.low, lowest}, twice[] = {r.high, r.middle, r.low, r.low};
	uint64_t strange[] = {r.high, r.middle, r.low, foreign.id}, with_base[] = {r.high, r.base, r.low, lowest};
	uint64_t before = head(h, STREAM_TEAM(r.team));
	pb_RolesReply reply;

#define ORDER(who, ids, count) CALL(h, who, reorder_roles, &reply, .team_id = r.team, .role_ids = ids, .role_ids_count = count)
	ck_assert_int_eq(ORDER(r.ann, same, 3), STATUS_FIELD_INVALID);
	ck_assert_str_eq(h->outcome.field, "role_ids");
	ck_assert_int_eq(ORDER(r.ann, twice, 4), STATUS_FIELD_INVALID);
	ck_assert_int_eq(ORDER(r.ann, strange, 4), STATUS_FIELD_INVALID);
	ck_assert_int_eq(ORDER(r.ann, with_base, 4), STATUS_FIELD_INVALID);
	ck_assert_int_eq(ORDER(r.ann, NULL, 0), STATUS_FIELD_INVALID);
	ck_assert_int_eq(ORDER(r.mod, above, 4), STATUS_FORBIDDEN);
	ck_assert_str_eq(h->outcome.why, "rank");
	ck_assert_int_eq(ORDER(r.mod, same, 4), STATUS_OK);
	ck_assert_uint_eq(head(h, STREAM_TEAM(r.team)), before);
	ck_assert_int_eq(ORDER(r.mod, turned, 5), STATUS_OK);
	ck_assert_str_eq(order_of(reply.roles, reply.roles_count), "high middle lowest low everyone");
	ck_assert_str_eq(order_now(h, &r), "high middle lowest low everyone");
	struct written *t =
		expect_events(h, STREAM_TEAM(r.team), before, "roles_reordered", key(h, "team", r.team), NULL);
	ck_assert_uint_eq(t[0].body.body.roles_reordered.roles_count, 5);
	ck_assert_int_eq(ORDER(r.ann, above, 4), STATUS_OK);
	ck_assert_str_eq(order_now(h, &r), "middle high low lowest everyone");
	house_close(h);
}
END_TEST

/* ---- deleting */

START_TEST(a_deleted_role_is_taken_from_everybody_with_its_overrides)
{
	struct house *h = house_open();
	struct ranks r = ranks_open(h);
	uint64_t channel = channel_in(h, r.team, .private = true, .created_by = r.ann->id);
	const char *own = key(h, "channel", channel);
	given(h, r.ann, r.team, r.bob, r.low);
	OK(h, r.ann, set_override, NEVERMIND(set_override), .scope = OVERRIDE_CHANNEL, .scope_id = channel,
		.subject_kind = OVERRIDE_OF_ROLE, .subject_id = r.low, .has_allow = true,
		.allow = PERMISSIONS(PERMISSION_view_text));
	ck_assert(holds_now(h, r.team, r.bob, own));
	uint64_t before = head(h, STREAM_TEAM(r.team));
	int64_t epoch = stream_epoch(h, r.team);

	OK(h, r.mod, delete_role, NEVERMIND(delete_role), .role_id = r.low);
	struct written *t = expect_events(h, STREAM_TEAM(r.team), before, "audience_recheck", "", "role_deleted",
		key(h, "team", r.team), NULL);
	ck_assert(t[0].body.body.audience_recheck.all); /* the override may have been why a channel had its own key */
	ck_assert_str_eq(t[1].body.body.role_deleted.role.name, "low");
	ck_assert_uint_eq(t[1].body.body.role_deleted.roles_count, 3);
	ck_assert_int_eq(stream_epoch(h, r.team), epoch + 1);
	ck_assert(!holds_now(h, r.team, r.bob, own));
	ck_assert_int_eq(number(h, "SELECT count(*) FROM moderation.overrides WHERE team_id = %ld", (long)r.team), 0);
	ck_assert_int_eq(number(h, "SELECT count(*) FROM moderation.member_roles WHERE role_id = %ld", (long)r.low), 0);
	REFUSED(h, STATUS_NOT_FOUND, NULL, r.mod, delete_role, NEVERMIND(delete_role), .role_id = r.low);
	house_close(h);
}
END_TEST

START_TEST(a_deleted_role_without_overrides_concerns_who_had_it)
{
	struct house *h = house_open();
	struct ranks r = ranks_open(h);
	given(h, r.ann, r.team, r.bob, r.low);
	uint64_t before = head(h, STREAM_TEAM(r.team)), mods = unchanged_since(h, r.team, r.mod);

	OK(h, r.mod, delete_role, NEVERMIND(delete_role), .role_id = r.low);
	struct written *t = expect_events(h, STREAM_TEAM(r.team), before, "audience_recheck", "", "role_deleted",
		key(h, "team", r.team), NULL);
	ck_assert_uint_eq(t[0].body.body.audience_recheck.role_id, r.low);
	ck_assert_uint_eq(unchanged_since(h, r.team, r.bob), before + 1);
	ck_assert_uint_eq(unchanged_since(h, r.team, r.mod), mods);
	ck_assert(!holds_now(h, r.team, r.bob, key(h, "role", r.low)));
	/* one that nobody has is told without a question */
	OK(h, r.ann, delete_role, NEVERMIND(delete_role), .role_id = r.high);
	expect_events(h, STREAM_TEAM(r.team), before + 2, "role_deleted", key(h, "team", r.team), NULL);
	house_close(h);
}
END_TEST

START_TEST(a_repeat_of_a_deletion_is_answered_as_the_first)
{
	struct house *h = house_open();
	struct ranks r = ranks_open(h);
	uint8_t id[16];
	ids_random_bytes(id, sizeof id);
	h->request_id = id;

	OK(h, r.ann, delete_role, NEVERMIND(delete_role), .role_id = r.low);
	uint64_t before = head(h, STREAM_TEAM(r.team));
	OK(h, r.ann, delete_role, NEVERMIND(delete_role), .role_id = r.low);
	ck_assert_uint_eq(head(h, STREAM_TEAM(r.team)), before);
	ids_random_bytes(id, sizeof id);
	pb_RoleReply first, second;
	OK(h, r.ann, create_role, &first, .team_id = r.team, .name = "once");
	OK(h, r.ann, create_role, &second, .team_id = r.team, .name = "once");
	ck_assert_uint_eq(first.role.id, second.role.id);
	house_close(h);
}
END_TEST

START_TEST(a_hundred_roles_are_all_a_team_has)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	uint64_t team = team_of(h, ann);
	sql(h,
		"INSERT INTO moderation.roles (id, team_id, name, position, created_at_ms)"
		" SELECT nextval('log.small_ids'), %ld, repeat('ü', 32), n, 1 FROM generate_series(1, 98) n",
		(long)team);

	role_made(h, ann, team, "the last", PERMISSIONS(PERMISSION_view_text)); /* all of them fit into one event */
	REFUSED(h, STATUS_AT_LIMIT, "roles", ann, create_role, NEVERMIND(create_role), .team_id = team, .name = "one more");
	house_close(h);
}
END_TEST

/* ---- racing */

struct mover {
	struct house *h;
	const pb_UserView *who;
	uint64_t role;
};

static struct rpc_context own_context(struct arena *mem, const pb_UserView *who)
{
	uint8_t *id = arena_alloc(mem, 16);
	ids_random_bytes(id, 16);
	return (struct rpc_context){.request_id = id,
		.request_id_length = 16,
		.actor = who,
		.actor_id = who->id,
		.deadline_mono_ms = clock_mono_ms() + PATIENCE_MS};
}

static void *move_up_and_down(void *arg)
{
	const struct mover *m = arg;
	for (uint32_t i = 0; i < 15; i++) {
		struct arena *mem = arena_create();
		struct rpc_context ctx = own_context(mem, m->who);
		struct rpc_outcome outcome;
		pb_RoleReply reply;
		enum status st = moderation_update_role(m->h->client, mem, &ctx,
			&(pb_UpdateRoleRequest){.role_id = m->role, .has_position = true, .position = 1 + i % 3}, &reply,
			&outcome);
		ck_assert(st == STATUS_OK || st == STATUS_BUSY);
		arena_destroy(mem);
	}
	return NULL;
}

START_TEST(two_who_order_at_once_leave_an_order)
{
	struct house *h = house_open();
	struct ranks r = ranks_open(h);
	struct mover one = {h, r.ann, r.low}, two = {h, r.ann, r.high};
	pthread_t threads[2];

	ck_assert_int_eq(pthread_create(&threads[0], NULL, move_up_and_down, &one), 0);
	ck_assert_int_eq(pthread_create(&threads[1], NULL, move_up_and_down, &two), 0);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	pb_RolesReply all = listed(h, r.bob, r.team);
	ck_assert_uint_eq(all.roles_count, 4);
	order_of(all.roles, all.roles_count); /* 3, 2, 1, 0 */
	/* what was told last is what is so */
	size_t count;
	struct written *t = unaudited(events_after(h, STREAM_TEAM(r.team), 0, &count), &count);
	ck_assert_int_eq(t[count - 1].ev.kind, EVENT_KIND_role_updated);
	for (size_t i = 0; i < 4; i++)
		ck_assert_uint_eq(t[count - 1].body.body.role_updated.roles[i].id, all.roles[i].id);
	house_close(h);
}
END_TEST

struct giver {
	struct house *h;
	const struct ranks *r;
	const uint64_t *roles;
	size_t count;
};

static void *give_and_take(void *arg)
{
	const struct giver *g = arg;
	for (size_t i = 0; i < 2 * g->count; i++) {
		struct arena *mem = arena_create();
		struct rpc_context ctx = own_context(mem, g->r->ann);
		struct rpc_outcome outcome;
		pb_MemberReply reply;
		enum status st = moderation_add_member_role(g->h->client, mem, &ctx,
			&(pb_MemberRoleRequest){
				.team_id = g->r->team, .user_id = g->r->bob->id, .role_id = g->roles[i % g->count]},
			&reply, &outcome);
		ck_assert_msg(st == STATUS_OK || st == STATUS_BUSY || st == STATUS_NOT_FOUND, "%s", status_wire(st));
		arena_destroy(mem);
	}
	return NULL;
}

START_TEST(a_role_that_is_deleted_while_it_is_given_is_had_by_nobody)
{
	struct house *h = house_open();
	struct ranks r = ranks_open(h);
	uint64_t roles[10];
	pthread_t thread;
	for (size_t i = 0; i < 10; i++)
		roles[i] = role_made(h, r.ann, r.team, "brief", PERMISSIONS(PERMISSION_ban_members)).id;
	struct giver giver = {h, &r, roles, 10};

	ck_assert_int_eq(pthread_create(&thread, NULL, give_and_take, &giver), 0);
	for (size_t i = 0; i < 10; i++)
		while (CALL(h, r.ann, delete_role, NEVERMIND(delete_role), .role_id = roles[9 - i]) == STATUS_BUSY)
			;
	pthread_join(thread, NULL);
	ck_assert_int_eq(number(h,
				 "SELECT count(*) FROM moderation.member_roles WHERE team_id = %ld AND user_id = %ld",
				 (long)r.team, (long)r.bob->id),
		0);
	char bans[AUDIENCE_SIZE];
	audience_can(bans, r.team, PERMISSION_ban_members);
	ck_assert(!holds_now(h, r.team, r.bob, bans));
	/* nobody was told of a role that was gone */
	size_t count, gone = 0;
	uint64_t deleted[10];
	struct written *t = events_after(h, STREAM_TEAM(r.team), 0, &count);
	for (size_t i = 0; i < count; i++) {
		if (t[i].ev.kind == EVENT_KIND_role_deleted)
			deleted[gone++] = t[i].body.body.role_deleted.role.id;
		for (size_t k = 0; k < gone && t[i].ev.kind == EVENT_KIND_member_roles_changed; k++)
			ck_assert_uint_ne(t[i].body.body.member_roles_changed.added[0].id, deleted[k]);
	}
	ck_assert_uint_eq(gone, 10);
	house_close(h);
}
END_TEST

TESTS("moderation roles", a_role_is_made_at_the_bottom_and_all_are_told_the_order, fields_out_of_bounds_are_named,
	only_who_manages_roles_does_and_strangers_learn_nothing, nobody_puts_into_a_role_what_he_lacks,
	what_stands_beside_or_above_is_left_alone, looks_change_without_a_word_to_the_gateways,
	permissions_that_decide_no_key_raise_the_epoch_only,
	permissions_that_decide_keys_are_told_first_and_concern_who_has_the_role,
	the_base_role_decides_which_channels_have_a_key_of_their_own,
	a_judgement_tells_whether_a_channel_to_be_made_has_a_key_of_its_own,
	the_base_role_is_never_deleted_moved_or_given, a_role_that_moves_makes_the_others_step_aside,
	an_order_names_every_role_once_and_moves_nothing_from_above,
	a_deleted_role_is_taken_from_everybody_with_its_overrides,
	a_deleted_role_without_overrides_concerns_who_had_it, a_repeat_of_a_deletion_is_answered_as_the_first,
	a_hundred_roles_are_all_a_team_has, two_who_order_at_once_leave_an_order,
	a_role_that_is_deleted_while_it_is_given_is_had_by_nobody)
