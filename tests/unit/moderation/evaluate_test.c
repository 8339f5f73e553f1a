/* The domain model's section "Evaluation", rule by rule, and what decides a channel's key. */
#include <limits.h>
#include <string.h>

#include "services/moderation/evaluate.h"
#include "tests/unit/main.h"

enum { OWNER = 100, ANN = 101, BOB = 102 };
enum { BASE = 16, MODS = 17, GUESTS = 18 };
enum { TEAM = 1000, HERE = 2000, ABOVE = 2001, CATEGORY = 50, BASE_GROUP = 60, OTHER_GROUP = 61 };
#define NOW 1000000

/* Ann is a member of a team with a base role and two others, in an open text channel. */
struct fixture {
	struct eval_team team;
	struct eval_role roles[3];
	struct eval_override overrides[16];
	struct eval_standing standing;
	uint64_t held[4];
	struct eval_channel channel, parent;
	struct eval_place place, parent_place;
	struct eval_group group;
	uint64_t visible[2];
	struct eval_facts facts;
};

/* The same memory each time: a test has one at a time. */
static struct fixture *fixture(void)
{
	static struct fixture storage;
	struct fixture *fx = &storage;
	memset(fx, 0, sizeof *fx);
	fx->team = (struct eval_team){
		.id = TEAM, .owner_id = OWNER, .base_role_id = BASE, .base_group_id = BASE_GROUP};
	fx->roles[0] = (struct eval_role){.id = BASE, .permissions = bits_base_role(false), .base = true};
	fx->roles[1] = (struct eval_role){.id = MODS, .position = 5};
	fx->roles[2] = (struct eval_role){.id = GUESTS, .position = 1};
	fx->standing = (struct eval_standing){.member = true, .role_ids = fx->held};
	fx->channel = (struct eval_channel){
		.id = HERE, .kind = CHANNEL_TEXT, .category_id = CATEGORY, .created_by = BOB};
	fx->group = (struct eval_group){.id = OTHER_GROUP, .visible_role_ids = fx->visible};
	fx->facts = (struct eval_facts){.now_ms = NOW,
		.user_id = ANN,
		.team = &fx->team,
		.roles = fx->roles,
		.role_count = 3,
		.overrides = fx->overrides,
		.standing = &fx->standing,
		.channel = &fx->channel,
		.place = &fx->place};
	return fx;
}

static void hold(struct fixture *fx, uint64_t role)
{
	fx->held[fx->standing.role_count++] = role;
}

static struct bits one(enum permission p)
{
	return bits_with((struct bits){0}, p);
}

static void override(struct fixture *fx, int scope, uint64_t scope_id, int kind, uint64_t subject, bool allow,
	enum permission p)
{
	fx->overrides[fx->facts.override_count++] = (struct eval_override){.scope = (uint8_t)scope,
		.subject_kind = (uint8_t)kind,
		.scope_id = scope_id,
		.subject_id = subject,
		.allow = allow ? one(p) : (struct bits){0},
		.deny = allow ? (struct bits){0} : one(p)};
}
#define allow(fx, scope, id, kind, subject, p) override(fx, scope, id, kind, subject, true, PERMISSION_##p)
#define deny(fx, scope, id, kind, subject, p)  override(fx, scope, id, kind, subject, false, PERMISSION_##p)

static void thread(struct fixture *fx)
{
	fx->parent = fx->channel;
	fx->parent.id = ABOVE;
	fx->channel = (struct eval_channel){.id = HERE, .kind = CHANNEL_THREAD, .parent_id = ABOVE, .created_by = BOB};
	fx->facts.parent = &fx->parent;
	fx->facts.parent_place = &fx->parent_place;
}

static void conversation(struct fixture *fx, uint32_t kind)
{
	fx->facts.team = NULL;
	fx->facts.standing = NULL;
	fx->channel = (struct eval_channel){.id = HERE, .kind = kind, .created_by = BOB};
	fx->place = (struct eval_place){.known = true, .role = CHANNEL_ROLE_MEMBER};
}

static struct eval_answer ask(struct fixture *fx)
{
	return eval_rights(&fx->facts, EVAL_ASK_NOTHING);
}

static bool can(struct fixture *fx, enum permission p)
{
	struct eval_answer a = ask(fx);
	return a.status == STATUS_OK && bits_has(a.bits, p);
}
#define CAN(fx, p)    ck_assert_msg(can(fx, PERMISSION_##p), "lacks " #p)
#define CANNOT(fx, p) ck_assert_msg(!can(fx, PERMISSION_##p), "has " #p)

static void hidden_by(struct fixture *fx, enum eval_rule rule)
{
	struct eval_answer a = ask(fx);
	ck_assert_int_eq(a.status, STATUS_NOT_FOUND);
	ck_assert_int_eq(a.rule, rule);
	ck_assert_uint_eq(a.bits.low | a.bits.high, 0);
}

/* ---- 1 */

START_TEST(an_erased_account_may_nothing_even_as_owner)
{
	struct fixture *fx = fixture();
	fx->facts.user_id = OWNER;
	fx->facts.account_gone = true;
	hidden_by(fx, RULE_ACCOUNT);
}
END_TEST

START_TEST(a_suspended_team_hides_everything_from_its_owner_too)
{
	struct fixture *fx = fixture();
	fx->facts.user_id = OWNER;
	fx->team.suspended = true;
	hidden_by(fx, RULE_SUSPENDED);
}
END_TEST

START_TEST(a_deleted_team_hides_everything_from_its_owner_too)
{
	struct fixture *fx = fixture();
	fx->facts.user_id = OWNER;
	fx->team.deleted = true;
	hidden_by(fx, RULE_TEAM_DELETED);
}
END_TEST

START_TEST(a_stranger_knows_nothing_of_a_team)
{
	struct fixture *fx = fixture();
	fx->standing.member = false;
	hidden_by(fx, RULE_MEMBERSHIP);
	fx->facts.channel = NULL;
	hidden_by(fx, RULE_MEMBERSHIP);
}
END_TEST

START_TEST(public_read_of_team_and_channel_gives_a_stranger_view_and_history_and_no_more)
{
	struct fixture *fx = fixture();
	fx->standing.member = false;
	fx->team.public_read = true;
	hidden_by(fx, RULE_MEMBERSHIP);
	fx->channel.public_read = true;
	struct bits expected = bits_with(one(PERMISSION_view_text), PERMISSION_read_history);
	struct eval_answer a = ask(fx);
	ck_assert_int_eq(a.status, STATUS_OK);
	ck_assert_uint_eq(a.bits.low, expected.low);
	ck_assert_uint_eq(a.bits.high, expected.high);
	ck_assert(!a.member);
	fx->team.public_read = false;
	hidden_by(fx, RULE_MEMBERSHIP);
}
END_TEST

START_TEST(a_private_channel_is_not_readable_for_strangers_whatever_public_read_says)
{
	struct fixture *fx = fixture();
	fx->standing.member = false;
	fx->team.public_read = fx->channel.public_read = fx->channel.private = true;
	hidden_by(fx, RULE_MEMBERSHIP);
}
END_TEST

START_TEST(the_roles_of_one_who_left_count_for_nothing)
{
	struct fixture *fx = fixture();
	fx->roles[1].permissions = one(PERMISSION_administrator);
	hold(fx, MODS);
	fx->standing.member = false;
	hidden_by(fx, RULE_MEMBERSHIP);
}
END_TEST

/* ---- 2 */

START_TEST(a_ban_outweighs_public_read_and_tells_when_it_ends)
{
	struct fixture *fx = fixture();
	fx->standing.member = false;
	fx->standing.banned = true;
	fx->standing.ban_until_ms = NOW + 5;
	fx->team.public_read = fx->channel.public_read = true;
	hidden_by(fx, RULE_BAN);
	ck_assert_int_eq(ask(fx).valid_until_ms, NOW + 5);
}
END_TEST

START_TEST(a_ban_holds_past_its_end_until_it_is_lifted)
{
	struct fixture *fx = fixture();
	fx->standing.banned = true;
	fx->standing.ban_until_ms = NOW - 5;
	hidden_by(fx, RULE_BAN);
}
END_TEST

START_TEST(the_owner_may_everything_everywhere)
{
	struct fixture *fx = fixture();
	fx->facts.user_id = OWNER;
	fx->channel.private = true;
	deny(fx, OVERRIDE_CHANNEL, HERE, OVERRIDE_OF_USER, OWNER, view_text);
	struct eval_answer a = ask(fx);
	ck_assert_uint_eq(a.bits.low, eval_all().low);
	ck_assert_uint_eq(a.bits.high, eval_all().high);
	ck_assert(a.owner);
}
END_TEST

START_TEST(an_administrator_may_everything_past_overrides)
{
	struct fixture *fx = fixture();
	fx->roles[1].permissions = one(PERMISSION_administrator);
	hold(fx, MODS);
	fx->channel.private = true;
	deny(fx, OVERRIDE_CHANNEL, HERE, OVERRIDE_OF_USER, ANN, view_text);
	struct eval_answer a = ask(fx);
	ck_assert_uint_eq(a.bits.low, eval_all().low);
	ck_assert(!a.owner);
}
END_TEST

START_TEST(owner_and_administrator_are_bound_by_an_archived_channel)
{
	struct fixture *fx = fixture();
	fx->channel.archived = true;
	fx->facts.user_id = OWNER;
	CANNOT(fx, send_messages);
	CAN(fx, restore_channel);
	fx->facts.user_id = ANN;
	fx->roles[1].permissions = one(PERMISSION_administrator);
	hold(fx, MODS);
	CANNOT(fx, send_messages);
}
END_TEST

START_TEST(channel_bans_and_timeouts_bind_administrators_but_not_the_owner)
{
	struct fixture *fx = fixture();
	fx->roles[1].permissions = one(PERMISSION_administrator);
	hold(fx, MODS);
	fx->standing.timeout_until_ms = NOW + 1;
	CANNOT(fx, send_messages);
	fx->place.banned = true;
	hidden_by(fx, RULE_CHANNEL_BAN);
	fx->facts.user_id = OWNER;
	CAN(fx, send_messages);
}
END_TEST

/* ---- 3 */

START_TEST(roles_add_up)
{
	struct fixture *fx = fixture();
	fx->roles[1].permissions = one(PERMISSION_kick_members);
	fx->roles[2].permissions = one(PERMISSION_pin_messages);
	CANNOT(fx, kick_members);
	hold(fx, MODS);
	hold(fx, GUESTS);
	CAN(fx, kick_members);
	CAN(fx, pin_messages);
	CAN(fx, send_messages);
	ck_assert_int_eq(ask(fx).highest_position, 5);
}
END_TEST

START_TEST(overrides_of_the_team_follow_the_same_order_and_touch_team_permissions)
{
	struct fixture *fx = fixture();
	deny(fx, OVERRIDE_TEAM, TEAM, OVERRIDE_OF_ROLE, BASE, create_invites);
	CANNOT(fx, create_invites);
	allow(fx, OVERRIDE_TEAM, TEAM, OVERRIDE_OF_ROLE, MODS, create_invites);
	CANNOT(fx, create_invites);
	hold(fx, MODS);
	CAN(fx, create_invites);
	deny(fx, OVERRIDE_TEAM, TEAM, OVERRIDE_OF_USER, ANN, create_invites);
	CANNOT(fx, create_invites);
	fx->facts.channel = NULL;
	CANNOT(fx, create_invites);
	ck_assert(!bits_has(ask(fx).bits, PERMISSION_create_invites));
}
END_TEST

START_TEST(what_everybody_is_denied_team_wide_is_had_by_who_has_a_role_that_gives_it)
{
	struct fixture *fx = fixture();
	deny(fx, OVERRIDE_TEAM, TEAM, OVERRIDE_OF_ROLE, BASE, send_messages);
	CANNOT(fx, send_messages);
	fx->roles[1].permissions = one(PERMISSION_send_messages);
	CANNOT(fx, send_messages);
	hold(fx, MODS);
	CAN(fx, send_messages);
	/* but not in a channel that denies it to everybody, nor against another role's deny */
	deny(fx, OVERRIDE_TEAM, TEAM, OVERRIDE_OF_ROLE, GUESTS, send_messages);
	CAN(fx, send_messages);
	hold(fx, GUESTS);
	CANNOT(fx, send_messages);
	fx->standing.role_count = 1;
	deny(fx, OVERRIDE_CHANNEL, HERE, OVERRIDE_OF_ROLE, BASE, send_messages);
	CANNOT(fx, send_messages);
}
END_TEST

START_TEST(no_override_makes_an_administrator)
{
	struct fixture *fx = fixture();
	allow(fx, OVERRIDE_TEAM, TEAM, OVERRIDE_OF_USER, ANN, administrator);
	allow(fx, OVERRIDE_CHANNEL, HERE, OVERRIDE_OF_USER, ANN, administrator);
	CANNOT(fx, administrator);
	CANNOT(fx, kick_members);
}
END_TEST

/* ---- 4 */

START_TEST(a_closed_group_is_seen_only_with_one_of_its_roles)
{
	struct fixture *fx = fixture();
	fx->channel.group_id = OTHER_GROUP;
	fx->facts.group = &fx->group;
	hidden_by(fx, RULE_GROUP);
	fx->visible[0] = MODS;
	fx->group.visible_role_count = 1;
	hidden_by(fx, RULE_GROUP);
	hold(fx, MODS);
	CAN(fx, view_text);
}
END_TEST

START_TEST(a_public_group_is_seen_by_every_member)
{
	struct fixture *fx = fixture();
	fx->facts.group = &fx->group;
	fx->group.public = true;
	CAN(fx, view_text);
}
END_TEST

START_TEST(a_channel_membership_does_not_open_a_closed_group)
{
	struct fixture *fx = fixture();
	fx->facts.group = &fx->group;
	fx->place = (struct eval_place){.known = true, .role = CHANNEL_ROLE_MEMBER};
	hidden_by(fx, RULE_GROUP);
}
END_TEST

/* ---- 5 */

START_TEST(a_private_channel_hides_itself_from_roles_that_may_view)
{
	struct fixture *fx = fixture();
	fx->roles[1].permissions = one(PERMISSION_view_text);
	hold(fx, MODS);
	fx->channel.private = true;
	hidden_by(fx, RULE_PRIVATE);
}
END_TEST

START_TEST(a_category_cannot_open_a_private_channel)
{
	struct fixture *fx = fixture();
	fx->channel.private = true;
	allow(fx, OVERRIDE_CATEGORY, CATEGORY, OVERRIDE_OF_ROLE, BASE, view_text);
	hidden_by(fx, RULE_PRIVATE);
}
END_TEST

START_TEST(a_base_role_override_that_allows_the_view_outweighs_private)
{
	struct fixture *fx = fixture();
	fx->channel.private = true;
	allow(fx, OVERRIDE_CHANNEL, HERE, OVERRIDE_OF_ROLE, BASE, view_text);
	CAN(fx, view_text);
}
END_TEST

START_TEST(each_later_line_of_a_channel_wins)
{
	struct fixture *fx = fixture();
	hold(fx, MODS);
	hold(fx, GUESTS);
	deny(fx, OVERRIDE_CHANNEL, HERE, OVERRIDE_OF_ROLE, BASE, add_reactions);
	CANNOT(fx, add_reactions);
	allow(fx, OVERRIDE_CHANNEL, HERE, OVERRIDE_OF_ROLE, MODS, add_reactions);
	CAN(fx, add_reactions);
	deny(fx, OVERRIDE_CHANNEL, HERE, OVERRIDE_OF_ROLE, GUESTS, add_reactions);
	CAN(fx, add_reactions); /* among a person's roles allow beats deny */
	deny(fx, OVERRIDE_CHANNEL, HERE, OVERRIDE_OF_USER, ANN, add_reactions);
	CANNOT(fx, add_reactions);
}
END_TEST

START_TEST(the_user_allows_stand_after_all_denies)
{
	struct fixture *fx = fixture();
	allow(fx, OVERRIDE_CHANNEL, HERE, OVERRIDE_OF_USER, ANN, send_messages);
	deny(fx, OVERRIDE_CHANNEL, HERE, OVERRIDE_OF_ROLE, BASE, send_messages);
	CAN(fx, send_messages);
}
END_TEST

START_TEST(the_channel_comes_after_the_category)
{
	struct fixture *fx = fixture();
	deny(fx, OVERRIDE_CATEGORY, CATEGORY, OVERRIDE_OF_USER, ANN, send_messages);
	CANNOT(fx, send_messages);
	allow(fx, OVERRIDE_CHANNEL, HERE, OVERRIDE_OF_ROLE, BASE, send_messages);
	CAN(fx, send_messages);
}
END_TEST

START_TEST(overrides_of_other_places_people_and_roles_do_not_count)
{
	struct fixture *fx = fixture();
	deny(fx, OVERRIDE_CHANNEL, HERE + 1, OVERRIDE_OF_ROLE, BASE, send_messages);
	deny(fx, OVERRIDE_CATEGORY, CATEGORY + 1, OVERRIDE_OF_ROLE, BASE, send_messages);
	deny(fx, OVERRIDE_CHANNEL, HERE, OVERRIDE_OF_ROLE, MODS, send_messages);
	deny(fx, OVERRIDE_CHANNEL, HERE, OVERRIDE_OF_USER, BOB, send_messages);
	deny(fx, OVERRIDE_CHANNEL, HERE, OVERRIDE_OF_USER, BASE, send_messages); /* a number of the other kind */
	CAN(fx, send_messages);
}
END_TEST

START_TEST(a_channel_override_touches_channel_permissions_and_mention_everyone_only)
{
	struct fixture *fx = fixture();
	allow(fx, OVERRIDE_CHANNEL, HERE, OVERRIDE_OF_ROLE, BASE, kick_members);
	allow(fx, OVERRIDE_CATEGORY, CATEGORY, OVERRIDE_OF_ROLE, BASE, manage_channels);
	allow(fx, OVERRIDE_CHANNEL, HERE, OVERRIDE_OF_ROLE, BASE, mention_everyone);
	CANNOT(fx, kick_members);
	CANNOT(fx, manage_channels);
	CANNOT(fx, update_channel);
	CAN(fx, mention_everyone);
}
END_TEST

/* role, permission, expected */
static const struct {
	uint32_t role;
	enum permission permission;
	bool expected;
} memberships[] = {
	{CHANNEL_ROLE_INVITEE, PERMISSION_view_text, true},
	{CHANNEL_ROLE_INVITEE, PERMISSION_join_channel, true},
	{CHANNEL_ROLE_INVITEE, PERMISSION_pin_messages, false},
	{CHANNEL_ROLE_MEMBER, PERMISSION_view_text, true},
	{CHANNEL_ROLE_MEMBER, PERMISSION_leave_channel, true},
	{CHANNEL_ROLE_MEMBER, PERMISSION_delete_any_message, false},
	{CHANNEL_ROLE_MEMBER, PERMISSION_manage_channel_members, false},
	{CHANNEL_ROLE_MODERATOR, PERMISSION_view_text, true},
	{CHANNEL_ROLE_MODERATOR, PERMISSION_delete_any_message, true},
	{CHANNEL_ROLE_MODERATOR, PERMISSION_pin_messages, true},
	{CHANNEL_ROLE_MODERATOR, PERMISSION_manage_channel_members, true},
	{CHANNEL_ROLE_MODERATOR, PERMISSION_moderate_channel, true},
	{CHANNEL_ROLE_MODERATOR, PERMISSION_update_channel, false},
	{CHANNEL_ROLE_MODERATOR, PERMISSION_edit_any_message, false},
	{CHANNEL_ROLE_OWNER, PERMISSION_view_text, true},
	{CHANNEL_ROLE_OWNER, PERMISSION_update_channel, true},
	{CHANNEL_ROLE_OWNER, PERMISSION_archive_channel, true},
	{CHANNEL_ROLE_OWNER, PERMISSION_restore_channel, true},
	{CHANNEL_ROLE_OWNER, PERMISSION_delete_channel, true},
	{CHANNEL_ROLE_OWNER, PERMISSION_undelete_channel, true},
	{CHANNEL_ROLE_OWNER, PERMISSION_manage_overrides, true},
	{CHANNEL_ROLE_OWNER, PERMISSION_manage_channel_webhooks, true},
	{CHANNEL_ROLE_OWNER, PERMISSION_delete_any_message, true},
	{CHANNEL_ROLE_OWNER, PERMISSION_kick_members, false},
};

START_TEST(a_channel_role_allows_what_its_row_says_in_a_private_channel)
{
	for (size_t i = 0; i < sizeof memberships / sizeof *memberships; i++) {
		struct fixture *fx = fixture();
		fx->channel.private = true;
		fx->place = (struct eval_place){.known = true, .role = memberships[i].role};
		ck_assert_msg(can(fx, memberships[i].permission) == memberships[i].expected, "%u: %s",
			memberships[i].role, permission_name(memberships[i].permission));
		ck_assert_uint_eq(ask(fx).channel_role, memberships[i].role);
	}
}
END_TEST

START_TEST(a_membership_stands_after_role_denies_and_before_the_users_own)
{
	struct fixture *fx = fixture();
	fx->place = (struct eval_place){.known = true, .role = CHANNEL_ROLE_MEMBER};
	deny(fx, OVERRIDE_CHANNEL, HERE, OVERRIDE_OF_ROLE, BASE, view_text);
	CAN(fx, view_text);
	deny(fx, OVERRIDE_CHANNEL, HERE, OVERRIDE_OF_USER, ANN, view_text);
	hidden_by(fx, RULE_OVERRIDE_USER);
}
END_TEST

START_TEST(who_made_a_channel_of_his_own_is_its_owner_before_there_is_a_row)
{
	struct fixture *fx = fixture();
	fx->channel.private = fx->channel.own = true;
	fx->channel.created_by = ANN;
	CAN(fx, update_channel);
	ck_assert_uint_eq(ask(fx).channel_role, CHANNEL_ROLE_OWNER);
}
END_TEST

START_TEST(a_row_of_one_who_left_ends_what_the_creator_was)
{
	struct fixture *fx = fixture();
	fx->channel.private = fx->channel.own = true;
	fx->channel.created_by = ANN;
	fx->place.known = true;
	hidden_by(fx, RULE_PRIVATE);
}
END_TEST

START_TEST(a_channel_that_is_not_its_creators_own_has_no_owner)
{
	struct fixture *fx = fixture();
	fx->channel.created_by = ANN;
	CANNOT(fx, update_channel);
}
END_TEST

START_TEST(a_thread_is_judged_as_its_parent)
{
	struct fixture *fx = fixture();
	thread(fx);
	CAN(fx, view_text);
	fx->parent.private = true;
	hidden_by(fx, RULE_PRIVATE);
	fx->parent_place = (struct eval_place){.known = true, .role = CHANNEL_ROLE_MEMBER};
	CAN(fx, view_text);
	deny(fx, OVERRIDE_CHANNEL, ABOVE, OVERRIDE_OF_USER, ANN, add_reactions);
	CANNOT(fx, add_reactions);
}
END_TEST

START_TEST(in_a_thread_send_in_threads_takes_the_place_of_send_messages)
{
	struct fixture *fx = fixture();
	thread(fx);
	deny(fx, OVERRIDE_CHANNEL, ABOVE, OVERRIDE_OF_ROLE, BASE, send_messages);
	CAN(fx, send_messages);
	deny(fx, OVERRIDE_CHANNEL, ABOVE, OVERRIDE_OF_ROLE, BASE, send_in_threads);
	CANNOT(fx, send_messages);
}
END_TEST

START_TEST(who_made_a_thread_is_its_owner_but_does_not_see_past_its_parent)
{
	struct fixture *fx = fixture();
	thread(fx);
	fx->channel.created_by = ANN;
	CAN(fx, update_channel);
	fx->parent.private = true;
	hidden_by(fx, RULE_PRIVATE);
}
END_TEST

/* ---- 6 */

START_TEST(what_manage_channels_implies_is_not_touched_by_a_channels_deny)
{
	struct fixture *fx = fixture();
	fx->roles[1].permissions = one(PERMISSION_manage_channels);
	hold(fx, MODS);
	deny(fx, OVERRIDE_CHANNEL, HERE, OVERRIDE_OF_USER, ANN, update_channel);
	deny(fx, OVERRIDE_CHANNEL, HERE, OVERRIDE_OF_USER, ANN, manage_overrides);
	CAN(fx, update_channel);
	CAN(fx, archive_channel);
	CAN(fx, delete_channel);
	CAN(fx, manage_channel_members);
	CAN(fx, manage_overrides);
	CANNOT(fx, moderate_channel);
	CANNOT(fx, manage_channel_webhooks);
}
END_TEST

START_TEST(what_manage_webhooks_implies_is_not_touched_by_a_channels_deny)
{
	struct fixture *fx = fixture();
	fx->roles[1].permissions = one(PERMISSION_manage_webhooks);
	hold(fx, MODS);
	deny(fx, OVERRIDE_CHANNEL, HERE, OVERRIDE_OF_USER, ANN, manage_channel_webhooks);
	CAN(fx, manage_channel_webhooks);
	CAN(fx, create_webhooks);
	CAN(fx, manage_own_webhooks);
}
END_TEST

START_TEST(manage_channels_must_be_held_after_the_teams_overrides)
{
	struct fixture *fx = fixture();
	fx->roles[1].permissions = one(PERMISSION_manage_channels);
	hold(fx, MODS);
	deny(fx, OVERRIDE_TEAM, TEAM, OVERRIDE_OF_USER, ANN, manage_channels);
	CANNOT(fx, update_channel);
}
END_TEST

START_TEST(manage_channels_does_not_open_a_private_channel)
{
	struct fixture *fx = fixture();
	fx->roles[1].permissions = one(PERMISSION_manage_channels);
	hold(fx, MODS);
	fx->channel.private = true;
	hidden_by(fx, RULE_PRIVATE);
}
END_TEST

/* held, implied */
static const struct {
	enum permission held, implied;
} implications[] = {
	{PERMISSION_delete_any_message, PERMISSION_bypass_slow_mode},
	{PERMISSION_voice_move, PERMISSION_voice_disconnect},
	{PERMISSION_list_manage, PERMISSION_list_create},
	{PERMISSION_list_manage, PERMISSION_list_edit},
	{PERMISSION_list_manage, PERMISSION_list_remove},
	{PERMISSION_list_manage, PERMISSION_list_complete},
	{PERMISSION_list_manage, PERMISSION_list_reorder},
};

START_TEST(the_other_implications_follow_from_the_result_and_can_be_denied)
{
	for (size_t i = 0; i < sizeof implications / sizeof *implications; i++) {
		struct fixture *fx = fixture();
		fx->roles[1].permissions = one(implications[i].held);
		hold(fx, MODS);
		ck_assert(can(fx, implications[i].implied));
		override(fx, OVERRIDE_CHANNEL, HERE, OVERRIDE_OF_USER, ANN, false, implications[i].held);
		if (!bits_has(bits_base_role(false), implications[i].implied))
			ck_assert(!can(fx, implications[i].implied));
	}
}
END_TEST

/* ---- 7 */

START_TEST(a_channel_ban_hides_the_channel_and_tells_when_it_ends)
{
	struct fixture *fx = fixture();
	fx->place.banned = true;
	fx->place.ban_until_ms = NOW + 7;
	hidden_by(fx, RULE_CHANNEL_BAN);
	ck_assert_int_eq(ask(fx).valid_until_ms, NOW + 7);
}
END_TEST

START_TEST(a_channel_ban_hides_a_publicly_readable_channel_from_strangers_too)
{
	struct fixture *fx = fixture();
	fx->standing.member = false;
	fx->team.public_read = fx->channel.public_read = true;
	fx->place.banned = true;
	hidden_by(fx, RULE_CHANNEL_BAN);
}
END_TEST

START_TEST(a_ban_from_the_parent_hides_its_threads)
{
	struct fixture *fx = fixture();
	thread(fx);
	fx->parent_place.banned = true;
	hidden_by(fx, RULE_CHANNEL_BAN);
}
END_TEST

START_TEST(without_the_view_of_its_kind_a_channel_is_not_there)
{
	static const struct {
		uint32_t kind;
		enum permission view;
	} kinds[] = {
		{CHANNEL_TEXT, PERMISSION_view_text},
		{CHANNEL_VOICE, PERMISSION_view_voice},
		{CHANNEL_STREAM, PERMISSION_view_stream},
		{CHANNEL_LIST, PERMISSION_view_list},
		{CHANNEL_ANNOUNCEMENT, PERMISSION_view_announcement},
		{CHANNEL_FORUM, PERMISSION_view_forum},
		{CHANNEL_DOC, PERMISSION_view_doc},
		{CHANNEL_MEDIA, PERMISSION_view_media},
		{CHANNEL_CALENDAR, PERMISSION_view_calendar},
		{CHANNEL_SCHEDULING, PERMISSION_view_schedule},
	};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		struct fixture *fx = fixture();
		fx->channel.kind = kinds[i].kind;
		fx->roles[0].permissions = bits_without(fx->roles[0].permissions, kinds[i].view);
		hidden_by(fx, RULE_ROLE);
		fx->channel.kind = kinds[(i + 1) % 10].kind;
		ck_assert(can(fx, kinds[(i + 1) % 10].view));
	}
}
END_TEST

/* ---- 8 */

START_TEST(a_timeout_leaves_view_history_and_leaving_until_it_is_lifted)
{
	struct fixture *fx = fixture();
	fx->standing.timeout_until_ms = NOW + 1;
	CAN(fx, view_text);
	CAN(fx, read_history);
	CAN(fx, leave_channel);
	CANNOT(fx, send_messages);
	CANNOT(fx, add_reactions);
	CANNOT(fx, join_channel);
	struct eval_answer a = ask(fx);
	ck_assert_int_eq(a.rule, RULE_TIMEOUT);
	ck_assert_int_eq(a.valid_until_ms, NOW + 1);
	fx->standing.timeout_until_ms = NOW - 1;
	CANNOT(fx, send_messages); /* the clock alone ends nothing */
	fx->standing.timeout_until_ms = 0;
	CAN(fx, send_messages);
	ck_assert_int_eq(ask(fx).valid_until_ms, 0);
}
END_TEST

START_TEST(muted_takes_speaking_and_deafened_hearing_too)
{
	struct fixture *fx = fixture();
	fx->standing.muted = true;
	CANNOT(fx, voice_speak);
	CANNOT(fx, voice_whisper);
	CANNOT(fx, voice_send_messages);
	CAN(fx, voice_hear);
	CAN(fx, voice_connect);
	fx->standing.muted = false;
	fx->standing.deafened = true;
	CANNOT(fx, voice_hear);
	CANNOT(fx, voice_speak);
	CAN(fx, voice_connect);
	CAN(fx, send_messages);
}
END_TEST

/* ---- 9 */

START_TEST(an_archived_channel_leaves_reading_and_what_brings_it_back)
{
	struct fixture *fx = fixture();
	fx->place = (struct eval_place){.known = true, .role = CHANNEL_ROLE_OWNER};
	fx->channel.archived = true;
	CAN(fx, view_text);
	CAN(fx, read_history);
	CAN(fx, restore_channel);
	CAN(fx, delete_channel);
	CAN(fx, undelete_channel);
	CANNOT(fx, archive_channel);
	CANNOT(fx, send_messages);
	CANNOT(fx, moderate_channel);
	ck_assert_int_eq(ask(fx).rule, RULE_ARCHIVED);
}
END_TEST

START_TEST(a_deleted_channel_is_not_found_and_its_bits_say_who_brings_it_back)
{
	struct fixture *fx = fixture();
	fx->channel.deleted = true;
	struct eval_answer a = ask(fx);
	ck_assert_int_eq(a.status, STATUS_NOT_FOUND);
	ck_assert_int_eq(a.rule, RULE_DELETED);
	ck_assert_uint_eq(a.bits.low | a.bits.high, 0);
	fx->place = (struct eval_place){.known = true, .role = CHANNEL_ROLE_OWNER};
	a = ask(fx);
	ck_assert_int_eq(a.status, STATUS_NOT_FOUND);
	ck_assert(bits_has(a.bits, PERMISSION_undelete_channel));
	ck_assert(!bits_has(a.bits, PERMISSION_view_text));
}
END_TEST

START_TEST(archived_parents_and_groups_close_what_is_below)
{
	struct fixture *fx = fixture();
	fx->group.public = fx->group.archived = true;
	fx->facts.group = &fx->group;
	CANNOT(fx, send_messages);
	fx->facts.group = NULL;
	thread(fx);
	CAN(fx, send_messages);
	fx->parent.archived = true;
	CANNOT(fx, send_messages);
}
END_TEST

/* ---- the team itself */

START_TEST(a_team_without_a_channel_has_the_teams_permissions_and_what_they_imply)
{
	struct fixture *fx = fixture();
	fx->facts.channel = NULL;
	fx->roles[1].permissions = one(PERMISSION_manage_channels);
	CAN(fx, create_invites);
	CANNOT(fx, update_channel);
	hold(fx, MODS);
	CAN(fx, update_channel);
}
END_TEST

/* ---- conversations */

START_TEST(only_its_members_know_of_a_conversation)
{
	struct fixture *fx = fixture();
	conversation(fx, CHANNEL_DIRECT);
	CAN(fx, send_messages);
	fx->place = (struct eval_place){.known = true};
	hidden_by(fx, RULE_MEMBERSHIP);
}
END_TEST

START_TEST(a_conversation_gives_exactly_its_list)
{
	static const enum permission list[] = {38, 48, 49, 50, 51, 52, 53, 55, 56, 59, 76, 77, 78, 90};
	struct fixture *fx = fixture();
	struct bits expected = {0};
	for (size_t i = 0; i < sizeof list / sizeof *list; i++)
		expected = bits_with(expected, list[i]);
	conversation(fx, CHANNEL_DIRECT);
	struct eval_answer a = ask(fx);
	ck_assert_uint_eq(a.bits.low, expected.low);
	ck_assert_uint_eq(a.bits.high, expected.high);
}
END_TEST

START_TEST(people_come_and_go_in_groups_and_their_owner_changes_them)
{
	struct fixture *fx = fixture();
	conversation(fx, CHANNEL_GROUP);
	CAN(fx, leave_channel);
	CAN(fx, manage_channel_members);
	CANNOT(fx, update_channel);
	fx->channel.created_by = ANN; /* he made it, and left once */
	CANNOT(fx, update_channel);
	fx->place.role = CHANNEL_ROLE_OWNER;
	CAN(fx, update_channel);
	CAN(fx, delete_channel);
	CANNOT(fx, moderate_channel);
}
END_TEST

START_TEST(a_block_between_two_takes_writing_from_their_direct_conversation_only)
{
	struct fixture *fx = fixture();
	fx->facts.blocked = true;
	conversation(fx, CHANNEL_DIRECT);
	CANNOT(fx, send_messages);
	CANNOT(fx, attach_files);
	CAN(fx, read_history);
	ck_assert_int_eq(ask(fx).rule, RULE_BLOCKED);
	conversation(fx, CHANNEL_GROUP);
	CAN(fx, send_messages);
}
END_TEST

/* ---- refusals and their reasons */

START_TEST(a_refusal_names_its_status)
{
	struct fixture *fx = fixture();
	ck_assert_int_eq(eval_need(&fx->facts, PERMISSION_send_messages, NULL), STATUS_OK);
	ck_assert_int_eq(eval_need(&fx->facts, PERMISSION_kick_members, NULL), STATUS_FORBIDDEN);
	fx->standing.muted = true;
	ck_assert_int_eq(eval_need(&fx->facts, PERMISSION_voice_speak, NULL), STATUS_MUTED);
	fx->standing.timeout_until_ms = NOW + 1;
	ck_assert_int_eq(eval_need(&fx->facts, PERMISSION_send_messages, NULL), STATUS_TIMED_OUT);
	/* what he never had is not the timeout's fault */
	ck_assert_int_eq(eval_need(&fx->facts, PERMISSION_kick_members, NULL), STATUS_FORBIDDEN);
	fx->standing.timeout_until_ms = 0;
	fx->channel.archived = true;
	ck_assert_int_eq(eval_need(&fx->facts, PERMISSION_send_messages, NULL), STATUS_ARCHIVED);
	fx->channel.private = true;
	ck_assert_int_eq(eval_need(&fx->facts, PERMISSION_send_messages, NULL), STATUS_NOT_FOUND);
}
END_TEST

START_TEST(the_reason_names_the_override_and_its_subject)
{
	struct fixture *fx = fixture();
	struct eval_answer a;
	char why[EVAL_WHY_SIZE];
	deny(fx, OVERRIDE_CHANNEL, HERE, OVERRIDE_OF_ROLE, BASE, send_messages);
	ck_assert_int_eq(eval_need(&fx->facts, PERMISSION_send_messages, &a), STATUS_FORBIDDEN);
	eval_why(&a, why);
	ck_assert_str_eq(why, "override:role:16");
	deny(fx, OVERRIDE_CHANNEL, HERE, OVERRIDE_OF_USER, ANN, add_reactions);
	eval_need(&fx->facts, PERMISSION_add_reactions, &a);
	eval_why(&a, why);
	ck_assert_str_eq(why, "override:user:101");
	eval_need(&fx->facts, PERMISSION_kick_members, &a);
	eval_why(&a, why);
	ck_assert_str_eq(why, "role");
}
END_TEST

START_TEST(a_hidden_channel_names_what_hides_it_whatever_was_asked)
{
	struct fixture *fx = fixture();
	struct eval_answer a;
	fx->channel.private = true;
	ck_assert_int_eq(eval_need(&fx->facts, PERMISSION_send_messages, &a), STATUS_NOT_FOUND);
	ck_assert_int_eq(a.rule, RULE_PRIVATE);
}
END_TEST

START_TEST(only_from_above_one_acts_on_another)
{
	struct eval_answer low = {.highest_position = 1}, high = {.highest_position = 5},
			   owner = {.owner = true};
	ck_assert(eval_outranks(&high, &low));
	ck_assert(!eval_outranks(&low, &high));
	ck_assert(!eval_outranks(&low, &low));
	ck_assert(eval_outranks(&owner, &high));
	ck_assert(!eval_outranks(&high, &owner));
}
END_TEST

/* ---- the channel's key */

static bool restricted(struct fixture *fx)
{
	return eval_channel_restricted(
		&fx->team, fx->roles, 3, fx->overrides, fx->facts.override_count, &fx->channel);
}

START_TEST(a_channel_that_every_member_views_has_the_teams_key)
{
	struct fixture *fx = fixture();
	ck_assert(!restricted(fx));
	fx->channel.group_id = BASE_GROUP;
	deny(fx, OVERRIDE_CHANNEL, HERE, OVERRIDE_OF_ROLE, BASE, send_messages);
	ck_assert(!restricted(fx));
}
END_TEST

START_TEST(private_groups_and_bans_give_a_channel_its_own_key)
{
	struct fixture *fx = fixture();
	fx->channel.private = true;
	ck_assert(restricted(fx));
	fx->channel.private = false;
	fx->channel.ever_banned = true;
	ck_assert(restricted(fx));
	fx->channel.ever_banned = false;
	fx->channel.group_id = OTHER_GROUP;
	ck_assert(restricted(fx));
}
END_TEST

START_TEST(an_override_of_the_view_at_any_scope_gives_a_channel_its_own_key)
{
	static const struct {
		int scope;
		uint64_t id;
		bool allow, expected;
	} cases[] = {
		{OVERRIDE_CHANNEL, HERE, false, true},
		{OVERRIDE_CHANNEL, HERE, true, true},
		{OVERRIDE_CATEGORY, CATEGORY, false, true},
		{OVERRIDE_TEAM, TEAM, false, true},
		{OVERRIDE_CHANNEL, HERE + 1, false, false},
		{OVERRIDE_CATEGORY, CATEGORY + 1, false, false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct fixture *fx = fixture();
		override(fx, cases[i].scope, cases[i].id, OVERRIDE_OF_ROLE, MODS, cases[i].allow, PERMISSION_view_text);
		ck_assert_int_eq(restricted(fx), cases[i].expected);
		fx->channel.kind = CHANNEL_VOICE;
		ck_assert(!restricted(fx));
	}
}
END_TEST

START_TEST(a_base_role_without_the_view_gives_every_channel_of_that_kind_its_own_key)
{
	struct fixture *fx = fixture();
	fx->roles[0].permissions = bits_without(fx->roles[0].permissions, PERMISSION_view_text);
	ck_assert(restricted(fx));
	fx->channel.kind = CHANNEL_VOICE;
	ck_assert(!restricted(fx));
}
END_TEST

TESTS("evaluate", an_erased_account_may_nothing_even_as_owner,
	a_suspended_team_hides_everything_from_its_owner_too, a_deleted_team_hides_everything_from_its_owner_too,
	a_stranger_knows_nothing_of_a_team,
	public_read_of_team_and_channel_gives_a_stranger_view_and_history_and_no_more,
	a_private_channel_is_not_readable_for_strangers_whatever_public_read_says,
	the_roles_of_one_who_left_count_for_nothing, a_ban_outweighs_public_read_and_tells_when_it_ends,
	a_ban_holds_past_its_end_until_it_is_lifted, the_owner_may_everything_everywhere,
	an_administrator_may_everything_past_overrides, owner_and_administrator_are_bound_by_an_archived_channel,
	channel_bans_and_timeouts_bind_administrators_but_not_the_owner, roles_add_up,
	overrides_of_the_team_follow_the_same_order_and_touch_team_permissions,
	what_everybody_is_denied_team_wide_is_had_by_who_has_a_role_that_gives_it, no_override_makes_an_administrator,
	a_closed_group_is_seen_only_with_one_of_its_roles, a_public_group_is_seen_by_every_member,
	a_channel_membership_does_not_open_a_closed_group,
	a_private_channel_hides_itself_from_roles_that_may_view, a_category_cannot_open_a_private_channel,
	a_base_role_override_that_allows_the_view_outweighs_private, each_later_line_of_a_channel_wins,
	the_user_allows_stand_after_all_denies, the_channel_comes_after_the_category,
	overrides_of_other_places_people_and_roles_do_not_count,
	a_channel_override_touches_channel_permissions_and_mention_everyone_only,
	a_channel_role_allows_what_its_row_says_in_a_private_channel,
	a_membership_stands_after_role_denies_and_before_the_users_own,
	who_made_a_channel_of_his_own_is_its_owner_before_there_is_a_row,
	a_row_of_one_who_left_ends_what_the_creator_was, a_channel_that_is_not_its_creators_own_has_no_owner,
	a_thread_is_judged_as_its_parent, in_a_thread_send_in_threads_takes_the_place_of_send_messages,
	who_made_a_thread_is_its_owner_but_does_not_see_past_its_parent,
	what_manage_channels_implies_is_not_touched_by_a_channels_deny,
	what_manage_webhooks_implies_is_not_touched_by_a_channels_deny,
	manage_channels_must_be_held_after_the_teams_overrides, manage_channels_does_not_open_a_private_channel,
	the_other_implications_follow_from_the_result_and_can_be_denied,
	a_channel_ban_hides_the_channel_and_tells_when_it_ends,
	a_channel_ban_hides_a_publicly_readable_channel_from_strangers_too,
	a_ban_from_the_parent_hides_its_threads, without_the_view_of_its_kind_a_channel_is_not_there,
	a_timeout_leaves_view_history_and_leaving_until_it_is_lifted, muted_takes_speaking_and_deafened_hearing_too,
	an_archived_channel_leaves_reading_and_what_brings_it_back,
	a_deleted_channel_is_not_found_and_its_bits_say_who_brings_it_back,
	archived_parents_and_groups_close_what_is_below,
	a_team_without_a_channel_has_the_teams_permissions_and_what_they_imply,
	only_its_members_know_of_a_conversation, a_conversation_gives_exactly_its_list,
	people_come_and_go_in_groups_and_their_owner_changes_them,
	a_block_between_two_takes_writing_from_their_direct_conversation_only, a_refusal_names_its_status,
	the_reason_names_the_override_and_its_subject,
	a_hidden_channel_names_what_hides_it_whatever_was_asked, only_from_above_one_acts_on_another,
	a_channel_that_every_member_views_has_the_teams_key, private_groups_and_bans_give_a_channel_its_own_key,
	an_override_of_the_view_at_any_scope_gives_a_channel_its_own_key,
	a_base_role_without_the_view_gives_every_channel_of_that_kind_its_own_key)
