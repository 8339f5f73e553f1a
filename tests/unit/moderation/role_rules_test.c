/* Crust's permission rules as calls: over roles and overrides, in one commit, with everything that goes with those. */
#include "tests/unit/moderation/keys.h"

/* ann owns the team; bob has the role crew, cid has none. */
struct scene {
	pb_UserView *ann, *bob, *cid;
	uint64_t team, base, crew, channel;
};

static struct scene scene_open(struct house *h)
{
	struct scene s = {person(h, "ann"), person(h, "bob"), person(h, "cid"), .team = 0};
	pb_TeamReply made;
	OK(h, s.ann, create_team, &made, .name = "crust", .template = "crust");
	s.team = made.team.id;
	joins(h, s.team, s.bob);
	joins(h, s.team, s.cid);
	s.base = base_role(h, s.team);
	s.crew = role_made(h, s.ann, s.team, "crew", (pb_Bits){0}).id;
	given(h, s.ann, s.team, s.bob, s.crew);
	s.channel = channel_in(h, s.team, .created_by = s.ann->id);
	return s;
}

static pb_PermissionRule rule(const char *resource, const char *operation, enum rule_access access)
{
	return (pb_PermissionRule){(char *)resource, (char *)operation, access};
}

static const char *of_channel(struct house *h, uint64_t channel)
{
	return arena_printf(h->mem, "messaging:channel:%llu", (unsigned long long)channel);
}

/* The rules as a pointer and a count for a request. */
#define RULES(...)                                                                                           \
	.rules = (pb_PermissionRule[]){__VA_ARGS__},                                                         \
	.rules_count = sizeof((pb_PermissionRule[]){__VA_ARGS__}) / sizeof(pb_PermissionRule)
#define SET(h, s, who, role, ...) OK(h, who, set_rules, NEVERMIND(set_rules), .team_id = (s).team, .role_id = role, __VA_ARGS__)

static pb_RulesReply rules_of(struct house *h, const struct scene *s, uint64_t role)
{
	pb_RulesReply reply;
	OK(h, s->ann, get_rules, &reply, .team_id = s->team, .role_id = role);
	return reply;
}

static enum rule_access access_in(const pb_RulesReply *reply, const char *resource, const char *operation)
{
	for (size_t i = 0; i < reply->rules_count; i++)
		if (strcmp(reply->rules[i].resource, resource) == 0 && strcmp(reply->rules[i].operation, operation) == 0)
			return reply->rules[i].access;
	return ACCESS_INHERIT;
}

static bool may(struct house *h, pb_UserView *who, uint64_t channel, enum permission p)
{
	pb_Rights r = judged(h, who, 0, channel);
	return has(&r, p);
}

START_TEST(allowing_for_the_team_is_the_roles_permission_and_denying_its_team_wide_override)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	uint64_t before = head(h, STREAM_TEAM(s.team));
	int64_t epoch = stream_epoch(h, s.team);

	SET(h, s, s.ann, s.crew,
		RULES(rule("messaging", "webhook.create", ACCESS_ALLOW),
			rule("messaging:channel:*", "message.send", ACCESS_DENY)));
	struct written *t = expect_events(h, STREAM_TEAM(s.team), before, "role_updated", key(h, "team", s.team),
		"override_set", key(h, "team", s.team), NULL);
	ck_assert_uint_eq(t[0].body.body.role_updated.role.permissions.low, UINT64_C(1) << PERMISSION_create_webhooks);
	ck_assert_uint_eq(t[0].body.body.role_updated.roles_count, 3);
	const pb_OverrideEvent *e = &t[1].body.body.override_set;
	ck_assert_uint_eq(e->scope, OVERRIDE_TEAM);
	ck_assert_uint_eq(e->scope_id, s.team);
	ck_assert_uint_eq(e->deny.low, UINT64_C(1) << PERMISSION_send_messages);
	ck_assert(!e->has_channel);
	ck_assert_int_eq(stream_epoch(h, s.team), epoch + 1);
	ck_assert(!may(h, s.bob, s.channel, PERMISSION_send_messages) && may(h, s.cid, s.channel, PERMISSION_send_messages));
	ck_assert_int_eq(number(h, "SELECT count(*) FROM moderation.audit WHERE team_id = %ld AND action IN ('role_updated',"
				   " 'override_set')", (long)s.team), 2);
	/* the same again is nothing, and inheriting takes both away */
	before = head(h, STREAM_TEAM(s.team));
	SET(h, s, s.ann, s.crew, RULES(rule("messaging:channel:*", "message.send", ACCESS_DENY)));
	ck_assert_uint_eq(head(h, STREAM_TEAM(s.team)), before);
	SET(h, s, s.ann, s.crew,
		RULES(rule("messaging:channel:*", "message.send", ACCESS_INHERIT),
			rule("messaging", "webhook.create", ACCESS_INHERIT)));
	ck_assert_uint_eq(rules_of(h, &s, s.crew).rules_count, 0);
	ck_assert(may(h, s.bob, s.channel, PERMISSION_send_messages));
	house_close(h);
}
END_TEST

START_TEST(a_rule_of_one_channel_is_the_roles_override_there)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	uint64_t other = channel_in(h, s.team, .created_by = s.ann->id);
	const char *here = of_channel(h, s.channel);
	uint64_t before = head(h, STREAM_TEAM(s.team));
	pb_ListOverridesReply list;

	SET(h, s, s.ann, s.crew,
		RULES(rule(here, "message.send", ACCESS_DENY), rule(here, "message.update.all", ACCESS_ALLOW)));
	struct written *t = expect_events(
		h, STREAM_TEAM(s.team), before, "override_set", key(h, "team", s.team), NULL);
	ck_assert_uint_eq(t[0].body.body.override_set.channel.id, s.channel);
	ck_assert(!may(h, s.bob, s.channel, PERMISSION_send_messages) && may(h, s.bob, other, PERMISSION_send_messages));
	ck_assert(may(h, s.bob, s.channel, PERMISSION_edit_any_message));
	OK(h, s.cid, list_overrides, &list, .scope = OVERRIDE_CHANNEL, .scope_id = s.channel);
	ck_assert_uint_eq(list.overrides_count, 1);
	pb_RulesReply rules = rules_of(h, &s, s.crew);
	ck_assert_uint_eq(rules.rules_count, 2);
	ck_assert_uint_eq(access_in(&rules, here, "message.send"), ACCESS_DENY);
	ck_assert_uint_eq(access_in(&rules, here, "message.update.all"), ACCESS_ALLOW);
	/* what is set by the override's own call is read as a rule */
	OK(h, s.ann, remove_override, NEVERMIND(remove_override), .scope = OVERRIDE_CHANNEL, .scope_id = s.channel,
		.subject_kind = OVERRIDE_OF_ROLE, .subject_id = s.crew);
	ck_assert_uint_eq(rules_of(h, &s, s.crew).rules_count, 0);
	house_close(h);
}
END_TEST

START_TEST(a_role_that_allows_is_stronger_than_what_everyone_is_denied_in_all_channels)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);

	SET(h, s, s.ann, 1, RULES(rule("messaging:channel:*", "message.send", ACCESS_DENY)));
	ck_assert(!may(h, s.bob, s.channel, PERMISSION_send_messages));
	SET(h, s, s.ann, s.crew, RULES(rule("messaging:channel:*", "message.send", ACCESS_ALLOW)));
	ck_assert(may(h, s.bob, s.channel, PERMISSION_send_messages));
	ck_assert(!may(h, s.cid, s.channel, PERMISSION_send_messages));
	house_close(h);
}
END_TEST

START_TEST(role_one_is_the_base_role_and_role_two_the_oldest_administrators)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	pb_RulesReply everyone = rules_of(h, &s, 1), admins = rules_of(h, &s, 2);

	ck_assert_uint_eq(everyone.role_id, s.base);
	ck_assert_uint_eq(access_in(&everyone, "messaging", "access"), ACCESS_ALLOW);
	ck_assert_uint_eq(access_in(&everyone, "messaging", "channel.public.create"), ACCESS_ALLOW);
	ck_assert_uint_eq(access_in(&everyone, "messaging", "grant"), ACCESS_INHERIT);
	ck_assert_uint_eq(access_in(&everyone, "messaging:channel:*", "read"), ACCESS_ALLOW);
	ck_assert_uint_eq(admins.rules_count, 30);
	ck_assert_int_eq(number(h, "SELECT count(*) FROM moderation.roles WHERE id = %ld AND name = 'admins'",
				 (long)admins.role_id), 1);
	/* a team without administrators has no role two, and nobody has one that is not there */
	uint64_t plain = team_of(h, s.ann);
	pb_RulesReply none;
	OK(h, s.ann, get_rules, &none, .team_id = plain, .role_id = 2);
	ck_assert(none.role_id == 0 && none.rules_count == 0);
	OK(h, s.ann, get_rules, &none, .team_id = s.team, .role_id = base_role(h, plain));
	ck_assert_uint_eq(none.role_id, 0);
	OK(h, s.ann, clear_rules, NEVERMIND(clear_rules), .team_id = plain, .role_id = 2);
	REFUSED(h, STATUS_NOT_FOUND, "role", s.ann, set_rules, NEVERMIND(set_rules), .team_id = plain, .role_id = 2,
		RULES(rule("messaging", "access", ACCESS_ALLOW)));
	house_close(h);
}
END_TEST

START_TEST(a_rule_that_there_is_not_is_named_and_nothing_is_applied)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	uint64_t hidden = channel_in(h, s.team, .private = true, .created_by = s.cid->id, .own = true);
	uint64_t elsewhere = channel_in(h, team_of(h, s.ann), .created_by = s.ann->id);
	uint64_t before = head(h, STREAM_TEAM(s.team));

#define INVALID(who, text, ...)                                                                              \
	do {                                                                                                 \
		ck_assert_str_eq(status_wire(CALL(h, who, set_rules, NEVERMIND(set_rules), .team_id = s.team, .role_id = s.crew, \
					 RULES(rule("messaging:channel:*", "message.send", ACCESS_DENY), __VA_ARGS__))), \
			"field_invalid");                                                                    \
		ck_assert_str_eq(h->outcome.detail, text);                                                   \
	} while (0)
	INVALID(s.ann, "invalid rule: 'fly' on 'messaging'", rule("messaging", "fly", ACCESS_ALLOW));
	INVALID(s.ann, "invalid rule: 'read' on 'messaging'", rule("messaging", "read", ACCESS_ALLOW));
	INVALID(s.ann, "invalid rule: 'access' on 'messaging:channel:*'", rule("messaging:channel:*", "access", ACCESS_ALLOW));
	INVALID(s.ann, "invalid rule: 'read' on 'compose'", rule("compose", "read", ACCESS_ALLOW));
	INVALID(s.ann, "invalid rule: 'read' on 'messaging:channel:7'", rule("messaging:channel:7", "read", ACCESS_ALLOW));
	INVALID(s.ann, arena_printf(h->mem, "invalid rule: 'read' on '%s'", of_channel(h, elsewhere)),
		rule(of_channel(h, elsewhere), "read", ACCESS_ALLOW));
	/* what he cannot view is not there for him, whatever else he may */
	uint64_t grants = role_made(h, s.ann, s.team, "grants", PERMISSIONS(PERMISSION_manage_roles, PERMISSION_send_messages)).id;
	given(h, s.ann, s.team, s.bob, grants);
	before = head(h, STREAM_TEAM(s.team));
	INVALID(s.bob, arena_printf(h->mem, "invalid rule: 'read' on '%s'", of_channel(h, hidden)),
		rule(of_channel(h, hidden), "read", ACCESS_ALLOW));
	ck_assert_uint_eq(head(h, STREAM_TEAM(s.team)), before);
	ck_assert(may(h, s.bob, s.channel, PERMISSION_send_messages));
	house_close(h);
}
END_TEST

START_TEST(it_takes_grant_a_rank_above_the_role_and_having_what_one_gives)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	pb_RulesReply reply;

	REFUSED(h, STATUS_FORBIDDEN, "manage_roles", s.bob, get_rules, &reply, .team_id = s.team, .role_id = 1);
	REFUSED(h, STATUS_FORBIDDEN, "manage_roles", s.bob, set_rules, NEVERMIND(set_rules), .team_id = s.team, .role_id = 1,
		RULES(rule("messaging:channel:*", "message.send", ACCESS_DENY)));
	REFUSED(h, STATUS_FORBIDDEN, "manage_roles", s.bob, clear_rules, NEVERMIND(clear_rules), .team_id = s.team, .role_id = 1);
	SET(h, s, s.ann, s.crew, RULES(rule("messaging", "grant", ACCESS_ALLOW)));
	/* his own role is not below him; the base role is */
	REFUSED(h, STATUS_FORBIDDEN, "rank", s.bob, set_rules, NEVERMIND(set_rules), .team_id = s.team, .role_id = s.crew,
		RULES(rule("messaging:channel:*", "message.send", ACCESS_ALLOW)));
	REFUSED(h, STATUS_FORBIDDEN, "rank", s.bob, clear_rules, NEVERMIND(clear_rules), .team_id = s.team, .role_id = 2);
	REFUSED(h, STATUS_FORBIDDEN, "manage_webhooks", s.bob, set_rules, NEVERMIND(set_rules), .team_id = s.team, .role_id = 1,
		RULES(rule("messaging", "webhook.manage.all", ACCESS_ALLOW)));
	REFUSED(h, STATUS_FORBIDDEN, "delete_channel", s.bob, set_rules, NEVERMIND(set_rules), .team_id = s.team, .role_id = 1,
		RULES(rule(of_channel(h, s.channel), "delete", ACCESS_ALLOW)));
	SET(h, s, s.bob, 1, RULES(rule(of_channel(h, s.channel), "message.send", ACCESS_DENY)));
	ck_assert(!may(h, s.cid, s.channel, PERMISSION_send_messages));
	pb_UserView *zoe = person(h, "zoe");
	REFUSED(h, STATUS_FORBIDDEN, "manage_roles", s.cid, get_rules, &reply, .team_id = s.team, .role_id = 1);
	REFUSED(h, STATUS_NOT_FOUND, NULL, zoe, get_rules, &reply, .team_id = s.team, .role_id = 1);
	house_close(h);
}
END_TEST

START_TEST(a_view_denied_team_wide_moves_everybodys_keys_first_and_gives_every_channel_its_own)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	const char *own = key(h, "channel", s.channel);
	uint64_t before = head(h, STREAM_TEAM(s.team));

	ck_assert(!holds_now(h, s.team, s.cid, own));
	SET(h, s, s.ann, s.crew, RULES(rule("messaging:channel:*", "read", ACCESS_DENY)));
	struct written *t = expect_events(h, STREAM_TEAM(s.team), before, "audience_recheck", "", "override_set",
		key(h, "team", s.team), NULL);
	ck_assert(t[0].body.body.audience_recheck.all);
	ck_assert(!holds_now(h, s.team, s.bob, own) && holds_now(h, s.team, s.cid, own));
	ck_assert_uint_eq(unchanged_since(h, s.team, s.cid), before + 1);
	pb_Rights r = judged(h, s.cid, 0, s.channel);
	ck_assert_str_eq(r.audience, own);
	ck_assert_uint_eq(judged(h, s.bob, 0, s.channel).status, STATUS_NOT_FOUND);
	/* another role's, when all have keys of their own already, concerns who has it */
	uint64_t more = role_made(h, s.ann, s.team, "more", (pb_Bits){0}).id;
	before = head(h, STREAM_TEAM(s.team));
	SET(h, s, s.ann, more, RULES(rule("messaging:channel:*", "read", ACCESS_DENY)));
	t = expect_events(h, STREAM_TEAM(s.team), before, "audience_recheck", "", "override_set", key(h, "team", s.team), NULL);
	ck_assert(!t[0].body.body.audience_recheck.all);
	ck_assert_uint_eq(t[0].body.body.audience_recheck.role_id, more);
	house_close(h);
}
END_TEST

START_TEST(a_view_denied_in_one_channel_gives_it_a_key_of_its_own_and_is_told_there)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	uint64_t other = channel_in(h, s.team, .created_by = s.ann->id);
	uint64_t before = head(h, STREAM_TEAM(s.team));

	SET(h, s, s.ann, s.crew,
		RULES(rule(of_channel(h, s.channel), "read", ACCESS_DENY),
			rule(of_channel(h, other), "message.react", ACCESS_DENY)));
	size_t count;
	struct written *t = events_after(h, STREAM_TEAM(s.team), before, &count);
	t = unaudited(t, &count);
	ck_assert_uint_eq(count, 3);
	ck_assert_uint_eq(t[0].body.which_body, EVENT_KIND_audience_recheck);
	for (size_t i = 1; i < count; i++) {
		bool here = t[i].body.body.override_set.scope_id == s.channel;
		ck_assert_str_eq(t[i].ev.audience, here ? key(h, "channel", s.channel) : key(h, "team", s.team));
	}
	ck_assert(holds_now(h, s.team, s.cid, key(h, "channel", s.channel)));
	ck_assert(!holds_now(h, s.team, s.bob, key(h, "channel", s.channel)));
	house_close(h);
}
END_TEST

START_TEST(clearing_takes_every_rule_of_the_role_and_leaves_what_is_no_rule)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	uint64_t second = channel_in(h, s.team, .created_by = s.ann->id), before;

	OK(h, s.ann, update_role, NEVERMIND(update_role), .role_id = s.crew, .has_permissions = true,
		.permissions = PERMISSIONS(PERMISSION_kick_members, PERMISSION_manage_team));
	OK(h, s.ann, set_override, NEVERMIND(set_override), .scope = OVERRIDE_CHANNEL, .scope_id = s.channel,
		.subject_kind = OVERRIDE_OF_ROLE, .subject_id = s.crew, .has_deny = true,
		.deny = PERMISSIONS(PERMISSION_voice_speak, PERMISSION_send_messages));
	SET(h, s, s.ann, s.crew,
		RULES(rule("messaging:channel:*", "message.attach", ACCESS_DENY),
			rule(of_channel(h, second), "read", ACCESS_ALLOW)));
	ck_assert_uint_eq(rules_of(h, &s, s.crew).rules_count, 4);
	before = head(h, STREAM_TEAM(s.team));
	OK(h, s.ann, clear_rules, NEVERMIND(clear_rules), .team_id = s.team, .role_id = s.crew);
	ck_assert_uint_eq(rules_of(h, &s, s.crew).rules_count, 0);
	ck_assert_uint_gt(head(h, STREAM_TEAM(s.team)), before);
	ck_assert_int_eq(number(h, "SELECT permissions_low FROM moderation.roles WHERE id = %ld", (long)s.crew),
		INT64_C(1) << PERMISSION_kick_members);
	ck_assert_int_eq(number(h, "SELECT count(*) FROM moderation.overrides WHERE subject_id = %ld", (long)s.crew), 1);
	ck_assert_int_eq(number(h, "SELECT deny_high FROM moderation.overrides WHERE subject_id = %ld", (long)s.crew),
		INT64_C(1) << (PERMISSION_voice_speak - 64));
	house_close(h);
}
END_TEST

static size_t draw_one(unsigned *draw, size_t below)
{
	*draw = *draw * 1103515245 + 12345;
	return (*draw >> 16) % below;
}

START_TEST(random_rules_read_back_exactly_as_set)
{
	static const char *const service[] = {"access", "settings.read", "channel.public.create", "webhook.create"};
	static const char *const channel[] = {"read", "join", "message.send", "message.update.all", "members.manage", "delete"};
	struct house *h = house_open();
	struct scene s = scene_open(h);
	enum { PLACES = 5, OPS = 6 };
	const char *places[PLACES] = {"messaging", "messaging:channel:*"};
	enum rule_access set[PLACES][OPS] = {0};
	unsigned draw = 4711;

	for (size_t i = 2; i < PLACES; i++)
		places[i] = of_channel(h, channel_in(h, s.team, .created_by = s.ann->id, .private = i == 4));
	for (int round = 0; round < 40; round++) {
		pb_PermissionRule rules[8];
		size_t count = 1 + draw_one(&draw, 8);
		for (size_t i = 0; i < count; i++) {
			size_t p = draw_one(&draw, PLACES), o = draw_one(&draw, p == 0 ? 4 : OPS);
			set[p][o] = (enum rule_access)draw_one(&draw, 3);
			rules[i] = rule(places[p], p == 0 ? service[o] : channel[o], set[p][o]);
		}
		OK(h, s.ann, set_rules, NEVERMIND(set_rules), .team_id = s.team, .role_id = s.crew, .rules = rules,
			.rules_count = (pb_size_t)count);
		pb_RulesReply now = rules_of(h, &s, s.crew);
		for (size_t p = 0; p < PLACES; p++)
			for (size_t o = 0; o < (p == 0 ? 4 : OPS); o++)
				ck_assert_uint_eq(access_in(&now, places[p], p == 0 ? service[o] : channel[o]), set[p][o]);
	}
	house_close(h);
}
END_TEST

START_TEST(everybody_in_the_team_may_ask_what_he_may)
{
	struct house *h = house_open();
	struct scene s = scene_open(h);
	pb_ListPermissionsReply list;

	OK(h, s.cid, list_permissions, &list, .team_id = s.team);
	ck_assert_uint_eq(list.operations_count, 30);
	ck_assert_str_eq(list.operations[0].operation, "access");
	ck_assert_str_eq(list.operations[0].resource, "messaging");
	ck_assert(list.operations[0].allowed && !list.operations[1].allowed);
	ck_assert_str_eq(list.operations[10].resource, "messaging:channel");
	SET(h, s, s.ann, 1, RULES(rule(of_channel(h, s.channel), "message.send", ACCESS_DENY)));
	OK(h, s.cid, list_permissions, &list, .channel_id = s.channel);
	for (size_t i = 0; i < list.operations_count; i++)
		if (strcmp(list.operations[i].operation, "message.send") == 0)
			ck_assert(!list.operations[i].allowed);
	REFUSED(h, STATUS_NOT_FOUND, NULL, person(h, "zoe"), list_permissions, &list, .team_id = s.team);
	house_close(h);
}
END_TEST

TESTS("moderation role rules", allowing_for_the_team_is_the_roles_permission_and_denying_its_team_wide_override,
	a_rule_of_one_channel_is_the_roles_override_there,
	a_role_that_allows_is_stronger_than_what_everyone_is_denied_in_all_channels,
	role_one_is_the_base_role_and_role_two_the_oldest_administrators,
	a_rule_that_there_is_not_is_named_and_nothing_is_applied,
	it_takes_grant_a_rank_above_the_role_and_having_what_one_gives,
	a_view_denied_team_wide_moves_everybodys_keys_first_and_gives_every_channel_its_own,
	a_view_denied_in_one_channel_gives_it_a_key_of_its_own_and_is_told_there,
	clearing_takes_every_rule_of_the_role_and_leaves_what_is_no_rule, random_rules_read_back_exactly_as_set,
	everybody_in_the_team_may_ask_what_he_may)
