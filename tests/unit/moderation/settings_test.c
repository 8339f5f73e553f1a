/* What a team has set for its clients. */
#include "tests/unit/moderation/keys.h"

#define SET(h, who, team, ...)                                                                               \
	CALL(h, who, set_settings, NEVERMIND(set_settings), .team_id = team,                                 \
		.settings = (pb_SettingChange[]){__VA_ARGS__},                                               \
		.settings_count = sizeof((pb_SettingChange[]){__VA_ARGS__}) / sizeof(pb_SettingChange))
#define AS(name, value) ((pb_SettingChange){(char *)(name), (char *)(value)})

/* ann owns the team, bob may read its settings, cid is a member. */
struct scene {
	pb_UserView *ann, *bob, *cid;
	uint64_t team;
};

static struct scene scene_open(struct house *h)
{
	struct scene s = {person(h, "ann"), person(h, "bob"), person(h, "cid"), .team = 0};
	s.team = team_of(h, s.ann);
	joins(h, s.team, s.bob);
	joins(h, s.team, s.cid);
	given(h, s.ann, s.team, s.bob, role_made(h, s.ann, s.team, "readers", PERMISSIONS(PERMISSION_read_settings)).id);
	return s;
}

static const char *value_of(struct house *h, const struct scene *s, const char *name)
{
	pb_SettingReply reply;
	OK(h, s->bob, get_setting, &reply, .team_id = s->team, .name = (char *)name);
	return reply.has_setting ? reply.setting.value : NULL;
}

START_TEST(every_team_has_the_provisioned_settings_and_any_member_reads_them)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	pb_ListSettingsReply list;

	OK(h, s.cid, list_settings, &list, .team_id = s.team, .current = true);
	ck_assert_uint_eq(list.settings_count, 9);
	ck_assert_str_eq(list.settings[0].name, "message.attachments.enabled");
	ck_assert_str_eq(list.settings[0].value, "true");
	ck_assert_uint_eq(list.settings[0].updated_at_ms, 0);
	for (size_t i = 1; i < list.settings_count; i++)
		ck_assert_int_lt(strcmp(list.settings[i - 1].name, list.settings[i].name), 0);
	ck_assert_pstr_eq(value_of(h, &s, "ui.browser-notifications.message-trim"), "200");
	ck_assert_ptr_null(value_of(h, &s, "ui"));
	REFUSED(h, STATUS_NOT_FOUND, NULL, person(h, "zoe"), list_settings, &list, .team_id = s.team, .current = true);
	house_close(h);
}
END_TEST

START_TEST(what_is_set_is_told_to_those_who_may_read_it_and_recorded)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	uint64_t before = head(h, STREAM_TEAM(s.team));
	pb_ListSettingsReply list;
	pb_SettingReply one;

	ck_assert_int_eq(SET(h, s.ann, s.team, AS("ui.emoji.enabled", "false"), AS("kitchen.menu", "{\"soup\":[1,2]}")), STATUS_OK);
	char can[AUDIENCE_SIZE];
	audience_can(can, s.team, PERMISSION_read_settings);
	struct written *t =
		expect_events(h, STREAM_TEAM(s.team), before, "team_setting_changed", can, "team_setting_changed", can, NULL);
	ck_assert_str_eq(t[0].body.body.team_setting_changed.value, "false");
	ck_assert(holds_now(h, s.team, s.bob, can) && !holds_now(h, s.team, s.cid, can));
	OK(h, s.bob, list_settings, &list, .team_id = s.team);
	ck_assert_uint_eq(list.settings_count, 10);
	ck_assert_str_eq(list.settings[0].name, "kitchen.menu");
	ck_assert_uint_eq(list.settings[0].updated_by, s.ann->id);
	OK(h, s.bob, list_settings, &list, .team_id = s.team, .prefix = "ui.");
	ck_assert_uint_eq(list.settings_count, 4);
	ck_assert_str_eq(list.settings[3].value, "false");
	OK(h, s.cid, list_settings, &list, .team_id = s.team, .current = true);
	ck_assert_uint_eq(list.settings_count, 9);
	ck_assert_str_eq(list.settings[8].value, "false");
	ck_assert_int_eq(number(h, "SELECT count(*) FROM moderation.audit WHERE action = 'team_setting_changed'"), 2);
	/* the same again is nothing; removing brings back what was provisioned, or nothing */
	before = head(h, STREAM_TEAM(s.team));
	ck_assert_int_eq(SET(h, s.ann, s.team, AS("ui.emoji.enabled", "false"), AS("nothing.there", NULL)), STATUS_OK);
	ck_assert_uint_eq(head(h, STREAM_TEAM(s.team)), before);
	ck_assert_int_eq(SET(h, s.ann, s.team, AS("ui.emoji.enabled", NULL), AS("kitchen.menu", NULL)), STATUS_OK);
	t = expect_events(h, STREAM_TEAM(s.team), before, "team_setting_changed", can, "team_setting_changed", can, NULL);
	ck_assert_ptr_null(t[0].body.body.team_setting_changed.value);
	ck_assert_pstr_eq(value_of(h, &s, "ui.emoji.enabled"), "true");
	OK(h, s.bob, get_setting, &one, .team_id = s.team, .name = "kitchen.menu");
	ck_assert(!one.has_setting);
	house_close(h);
}
END_TEST

START_TEST(reading_and_setting_take_their_permissions)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	pb_ListSettingsReply list;

	REFUSED(h, STATUS_FORBIDDEN, "read_settings", s.cid, list_settings, &list, .team_id = s.team);
	REFUSED(h, STATUS_FORBIDDEN, "read_settings", s.cid, get_setting, NEVERMIND(get_setting), .team_id = s.team,
		.name = "ui.emoji.enabled");
	ck_assert_int_eq(SET(h, s.bob, s.team, AS("ui.emoji.enabled", "false")), STATUS_FORBIDDEN);
	ck_assert_pstr_eq(h->outcome.why, "manage_team");
	/* the web page runs it: nobody sets it, not even the owner */
	ck_assert_int_eq(SET(h, s.ann, s.team, AS("ui.browser-notifications.header", "\"${alert(1)}\"")), STATUS_FORBIDDEN);
	ck_assert_pstr_eq(h->outcome.why, "fixed");
	ck_assert_int_eq(SET(h, s.ann, s.team, AS("ui.browser-notifications.header", NULL)), STATUS_FORBIDDEN);
	house_close(h);
}
END_TEST

START_TEST(names_and_values_have_bounds_and_a_team_two_hundred_of_them)
{
	static const char *const bad_names[] = {"", "UI", "a b", "ü", "0123456789012345678901234567890123456789012345678901234567890123x"};
	static const char *const bad_values[] = {"", "{", "1,\"x\":2", "1}", "nope", "\"\\u0000\"", "1 2"};
	struct house *h = house_open();
	struct scene s = scene_open(h);
	char *big = arena_alloc(h->mem, 5000);

	for (size_t i = 0; i < sizeof bad_names / sizeof *bad_names; i++) {
		ck_assert_int_eq(SET(h, s.ann, s.team, AS(bad_names[i], "1")), STATUS_FIELD_INVALID);
		ck_assert_str_eq(h->outcome.field, "name");
	}
	for (size_t i = 0; i < sizeof bad_values / sizeof *bad_values; i++) {
		ck_assert_msg(SET(h, s.ann, s.team, AS("a", bad_values[i])) == STATUS_FIELD_INVALID, "%s", bad_values[i]);
		ck_assert_str_eq(h->outcome.field, "value");
	}
	memset(big, '1', 4999);
	big[4999] = '\0';
	ck_assert_int_eq(SET(h, s.ann, s.team, AS("a", big)), STATUS_FIELD_INVALID);
	pb_SettingChange *many = ARENA_ARRAY(h->mem, 201, pb_SettingChange);
	for (int i = 0; i < 201; i++)
		many[i] = AS(arena_printf(h->mem, "many.%d", i), "1");
	ck_assert_int_eq(CALL(h, s.ann, set_settings, NEVERMIND(set_settings), .team_id = s.team, .settings = many,
				 .settings_count = 201),
		STATUS_FIELD_INVALID);
	OK(h, s.ann, set_settings, NEVERMIND(set_settings), .team_id = s.team, .settings = many, .settings_count = 200);
	ck_assert_int_eq(SET(h, s.ann, s.team, AS("one.more", "1")), STATUS_AT_LIMIT);
	ck_assert_int_eq(SET(h, s.ann, s.team, AS("one.more", "1"), AS("many.0", NULL)), STATUS_OK);
	ck_assert_int_eq(number(h, "SELECT count(*) FROM moderation.team_settings WHERE team_id = %ld", (long)s.team), 200);
	house_close(h);
}
END_TEST

TESTS("moderation settings", every_team_has_the_provisioned_settings_and_any_member_reads_them,
	what_is_set_is_told_to_those_who_may_read_it_and_recorded, reading_and_setting_take_their_permissions,
	names_and_values_have_bounds_and_a_team_two_hundred_of_them)
