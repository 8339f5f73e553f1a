/* The one team that crust shows: which it is, who comes in, and how it is made. */
#include "tests/unit/moderation/fixture.h"

#define MOUNT(h, who, reply, ...) CALL(h, who, get_mount_team, reply, .dialect = DIALECT_CRUST, .join = true, __VA_ARGS__)
#define NO_ENTRY(h, who)                                                                                     \
	do {                                                                                                 \
		pb_MountTeamReply none_;                                                                     \
		ck_assert_str_eq(status_wire(MOUNT(h, who, &none_)), "no_access");                           \
	} while (0)

/* The tests share a database: each mounts its own team. */
static void mount(struct house *h, uint64_t team)
{
	h->config.crust_team = arena_printf(h->mem, "%llu", (unsigned long long)team);
}

static uint64_t mounted(struct house *h, pb_UserView *who)
{
	pb_MountTeamReply reply;
	OK(h, who, get_mount_team, &reply, .dialect = DIALECT_CRUST);
	return reply.team.id;
}

START_TEST(the_oldest_team_is_shown_unless_another_is_named)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	sql(h, "UPDATE moderation.teams SET deleted_at_ms = 1");
	uint64_t first = team_of(h, ann), second = team_of(h, ann);
	char uuid[IDS_UUID_SIZE];

	sql(h, "UPDATE moderation.teams SET created_at_ms = 1 WHERE id = %ld", (long)first);
	sql(h, "UPDATE moderation.teams SET created_at_ms = 2, slug = 'kitchen' WHERE id = %ld", (long)second);
	ck_assert_uint_eq(mounted(h, ann), first);
	ck_assert_uint_eq(mounted(h, the_system), first);
	h->config.crust_team = "Kitchen";
	ck_assert_uint_eq(mounted(h, ann), second);
	mount(h, second);
	ck_assert_uint_eq(mounted(h, ann), second);
	ids_to_uuid(second, uuid);
	h->config.crust_team = uuid;
	ck_assert_uint_eq(mounted(h, ann), second);
	OK(h, ann, delete_team, NEVERMIND(delete_team), .team_id = second);
	NO_ENTRY(h, ann);
	h->config.crust_team = "";
	ck_assert_uint_eq(mounted(h, ann), first);
	OK(h, ann, delete_team, NEVERMIND(delete_team), .team_id = first);
	NO_ENTRY(h, ann);
	ck_assert_int_eq(CALL(h, ann, get_mount_team, NEVERMIND(get_mount_team), .dialect = DIALECT_HOUSE), STATUS_FIELD_INVALID);
	house_close(h);
}
END_TEST

START_TEST(a_slug_names_one_team_for_good)
{
	static const char *const bad[] = {"", "Kitchen", "a b", "12345", "012345678901234567890123456789xyz", "ü"};
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	pb_TeamReply made, none;

	OK(h, ann, create_team, &made, .name = "x", .slug = "the-pantry");
	ck_assert_str_eq(made.team.slug, "the-pantry");
	h->config.crust_team = "the-pantry";
	ck_assert_uint_eq(mounted(h, ann), made.team.id);
	ck_assert_int_eq(CALL(h, ann, create_team, &none, .name = "y", .slug = "the-pantry"), STATUS_CONFLICT);
	ck_assert_str_eq(h->outcome.field, "slug");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(CALL(h, ann, create_team, &none, .name = "y", .slug = (char *)bad[i]) == STATUS_FIELD_INVALID, "%s",
			bad[i]);
	house_close(h);
}
END_TEST

START_TEST(who_comes_first_joins_an_open_team_and_only_then)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann), before;
	pb_MountTeamReply reply;

	mount(h, team);
	ck_assert_str_eq(status_wire(CALL(h, bob, get_mount_team, &reply, .dialect = DIALECT_CRUST)), "no_access");
	before = head(h, STREAM_TEAM(team));
	ck_assert_int_eq(MOUNT(h, bob, &reply), STATUS_OK);
	ck_assert(reply.joined && reply.team.id == team && reply.team.member_count == 2);
	ck_assert(bits_has((struct bits){reply.permissions.low, reply.permissions.high}, PERMISSION_access_team));
	expect_events(h, STREAM_TEAM(team), before, "audience_changed", "", "member_joined", key(h, "team", team), NULL);
	before = head(h, STREAM_TEAM(team));
	ck_assert_int_eq(MOUNT(h, bob, &reply), STATUS_OK);
	ck_assert(!reply.joined);
	ck_assert_uint_eq(head(h, STREAM_TEAM(team)), before);
	house_close(h);
}
END_TEST

START_TEST(closed_teams_banned_people_and_those_without_access_are_kept_out)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid");
	uint64_t team = team_of(h, ann);
	pb_MountTeamReply reply;
	pb_Bits base = {.low = 0};

	mount(h, team);
	OK(h, ann, update_team, NEVERMIND(update_team), .team_id = team, .has_joining = true, .joining = JOINING_INVITE);
	NO_ENTRY(h, bob);
	OK(h, ann, update_team, NEVERMIND(update_team), .team_id = team, .has_joining = true, .joining = JOINING_OPEN);
	OK(h, ann, ban_member, NEVERMIND(ban_member), .scope_id = team, .user_id = bob->id);
	NO_ENTRY(h, bob);
	ck_assert_int_eq(MOUNT(h, cid, &reply), STATUS_OK);
	OK(h, ann, ban_member, NEVERMIND(ban_member), .scope_id = team, .user_id = cid->id);
	NO_ENTRY(h, cid);
	OK(h, ann, unban_member, NEVERMIND(unban_member), .scope_id = team, .user_id = bob->id);
	OK(h, ann, update_role, NEVERMIND(update_role), .role_id = base_role(h, team), .has_permissions = true,
		.permissions = base);
	NO_ENTRY(h, bob);
	ck_assert_int_eq(number(h, "SELECT count(*) FROM moderation.members WHERE user_id = %ld AND left_at_ms IS NULL",
				 (long)bob->id), 0);
	ck_assert_int_eq(MOUNT(h, ann, &reply), STATUS_OK);
	house_close(h);
}
END_TEST

START_TEST(a_timeout_keeps_nobody_out)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	pb_MountTeamReply reply;

	mount(h, team);
	joins(h, team, bob);
	OK(h, ann, set_timeout, NEVERMIND(set_timeout), .team_id = team, .user_id = bob->id, .seconds = 600);
	ck_assert_int_eq(MOUNT(h, bob, &reply), STATUS_OK);
	ck_assert(!bits_has((struct bits){reply.permissions.low, reply.permissions.high}, PERMISSION_create_conversations));
	house_close(h);
}
END_TEST

START_TEST(the_template_crust_has_its_base_role_and_a_role_of_administrators)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	pb_TeamReply made;
	pb_RolesReply roles;
	pb_MountTeamReply reply;

	OK(h, ann, create_team, &made, .name = "crust", .template = "crust");
	uint64_t team = made.team.id;
	struct written *t = expect_events(h, STREAM_TEAM(team), 0, "audience_changed", "", "team_created", key(h, "team", team),
		"role_created", key(h, "team", team), NULL);
	struct bits base = bits_base_role(true);
	ck_assert_uint_eq(t[1].body.body.team_created.base_role.permissions.low, base.low);
	ck_assert_uint_eq(t[2].body.body.role_created.roles_count, 2);
	OK(h, ann, list_roles, &roles, .team_id = team);
	ck_assert_uint_eq(roles.roles_count, 2);
	ck_assert_str_eq(roles.roles[0].name, "admins");
	ck_assert(roles.roles[0].permissions.low & 1);
	ck_assert_uint_eq(roles.roles[1].permissions.low, base.low);
	ck_assert_uint_eq(roles.roles[1].permissions.high, base.high);
	given(h, ann, team, ann, roles.roles[0].id);
	mount(h, team);
	OK(h, ann, get_mount_team, &reply, .dialect = DIALECT_CRUST);
	ck_assert_uint_eq(reply.admins_role_id, roles.roles[0].id);
	ck_assert_uint_eq(reply.role_ids_count, 1);
	ck_assert_uint_eq(reply.role_ids[0], roles.roles[0].id);
	ck_assert_int_eq(CALL(h, ann, create_team, &made, .name = "x", .template = "discord"), STATUS_FIELD_INVALID);
	ck_assert_str_eq(h->outcome.field, "template");
	OK(h, ann, create_team, &made, .name = "plain", .template = "standard");
	house_close(h);
}
END_TEST

TESTS("moderation mount team", the_oldest_team_is_shown_unless_another_is_named,
	a_slug_names_one_team_for_good,
	who_comes_first_joins_an_open_team_and_only_then, closed_teams_banned_people_and_those_without_access_are_kept_out,
	a_timeout_keeps_nobody_out, the_template_crust_has_its_base_role_and_a_role_of_administrators)
