/* Explained permissions: for every one of them the rule that decided. */
#include "tests/unit/moderation/fixture.h"

static const pb_ExplainedPermission *rule_of(const pb_ExplainReply *reply, enum permission permission)
{
	for (size_t i = 0; i < reply->rules_count; i++)
		if (reply->rules[i].permission == (uint32_t)permission)
			return &reply->rules[i];
	ck_abort_msg("no rule for %s", permission_name(permission));
	return NULL;
}

#define EXPECT(reply, permission, allowed_, rule_, subject_)                                                 \
	do {                                                                                                 \
		const pb_ExplainedPermission *p_ = rule_of(reply, PERMISSION_##permission);                  \
		ck_assert_str_eq(p_->rule, rule_);                                                           \
		ck_assert_int_eq(p_->allowed, allowed_);                                                     \
		ck_assert_uint_eq(p_->subject_id, subject_);                                                 \
	} while (0)

static pb_ExplainReply explained(struct house *h, const pb_UserView *by, const pb_UserView *who, uint64_t channel)
{
	pb_ExplainReply reply;
	OK(h, by, explain, &reply, .user_id = who->id, .channel_id = channel, .rules = true);
	ck_assert_uint_eq(reply.rules_count, 119);
	/* the list and the set are one */
	for (size_t i = 0; i < reply.rules_count; i++)
		ck_assert_int_eq(reply.rules[i].allowed,
			bits_has((struct bits){reply.permissions.low, reply.permissions.high},
				(enum permission)reply.rules[i].permission));
	return reply;
}

START_TEST(each_permission_names_the_rule_that_decided_it)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t base = base_role(h, team), channel = channel_in(h, team, .created_by = ann->id);
	uint64_t role = role_made(h, ann, team, "crew",
		PERMISSIONS(PERMISSION_manage_webhooks, PERMISSION_send_messages, PERMISSION_kick_members)).id;
	given(h, ann, team, bob, role);
	OK(h, ann, join_channel, NEVERMIND(join_channel), .channel_id = channel);
	OK(h, bob, join_channel, NEVERMIND(join_channel), .channel_id = channel);
	OK(h, ann, set_channel_role, NEVERMIND(set_channel_role), .channel_id = channel, .user_id = bob->id,
		.role = CHANNEL_ROLE_MODERATOR);
	pb_OverrideReply set;
	OK(h, ann, set_override, &set, .scope = OVERRIDE_CHANNEL, .scope_id = channel, .subject_kind = OVERRIDE_OF_ROLE,
		.subject_id = base, .has_deny = true, .deny = PERMISSIONS(PERMISSION_add_reactions));
	OK(h, ann, set_override, &set, .scope = OVERRIDE_CHANNEL, .scope_id = channel, .subject_kind = OVERRIDE_OF_USER,
		.subject_id = bob->id, .has_allow = true, .allow = PERMISSIONS(PERMISSION_mention_everyone));

	pb_ExplainReply reply = explained(h, bob, bob, channel);
	ck_assert_ptr_null(reply.why);
	EXPECT(&reply, kick_members, true, "role", role);
	EXPECT(&reply, send_messages, true, "role", role); /* both roles give it: the higher one is named */
	EXPECT(&reply, read_history, true, "role", base);
	EXPECT(&reply, ban_members, false, "role", 0);
	EXPECT(&reply, add_reactions, false, "override:role", base);
	EXPECT(&reply, mention_everyone, true, "override:user", bob->id);
	EXPECT(&reply, moderate_channel, true, "channel_role", 0);
	EXPECT(&reply, create_webhooks, true, "implied", 0);
	pb_ExplainReply owner = explained(h, ann, ann, channel);
	EXPECT(&owner, manage_team, true, "owner", 0);
	/* without the rules only what follows */
	OK(h, bob, explain, &reply, .channel_id = channel);
	ck_assert_uint_eq(reply.rules_count, 0);
	ck_assert(bits_has((struct bits){reply.permissions.low, reply.permissions.high}, PERMISSION_kick_members));
	house_close(h);
}
END_TEST

START_TEST(administrators_and_the_timed_out_are_explained_too)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann), channel = channel_in(h, team, .created_by = ann->id);
	joins(h, team, bob);
	uint64_t role = role_made(h, ann, team, "admins", PERMISSIONS(PERMISSION_administrator)).id;
	given(h, ann, team, bob, role);

	pb_ExplainReply reply = explained(h, bob, bob, channel);
	EXPECT(&reply, manage_team, true, "administrator", role);
	OK(h, ann, set_timeout, NEVERMIND(set_timeout), .team_id = team, .user_id = bob->id, .seconds = 600);
	reply = explained(h, ann, bob, channel);
	ck_assert_str_eq(reply.why, "timeout");
	EXPECT(&reply, send_messages, false, "timeout", 0);
	EXPECT(&reply, view_text, true, "administrator", role);
	house_close(h);
}
END_TEST

START_TEST(about_others_may_ask_who_manages_or_moderates)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid");
	uint64_t team = team_of(h, ann), channel = channel_in(h, team, .created_by = ann->id);
	joins(h, team, bob);
	joins(h, team, cid);
	uint64_t role = role_made(h, ann, team, "helpers", PERMISSIONS(PERMISSION_moderate_members)).id;

	REFUSED(h, STATUS_FORBIDDEN, "manage_roles", bob, explain, NEVERMIND(explain), .user_id = cid->id, .channel_id = channel);
	given(h, ann, team, bob, role);
	explained(h, bob, cid, channel);
	OK(h, ann, update_role, NEVERMIND(update_role), .role_id = role, .has_permissions = true,
		.permissions = PERMISSIONS(PERMISSION_manage_overrides));
	explained(h, bob, cid, channel);
	OK(h, ann, update_role, NEVERMIND(update_role), .role_id = role, .has_permissions = true,
		.permissions = PERMISSIONS(PERMISSION_manage_roles));
	explained(h, bob, cid, channel);
	REFUSED(h, STATUS_NOT_FOUND, NULL, ann, explain, NEVERMIND(explain), .user_id = ids_random(), .channel_id = channel);
	house_close(h);
}
END_TEST

START_TEST(what_is_hidden_is_not_there_for_him_and_is_explained_to_moderators)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *zoe = person(h, "zoe");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t secret = channel_in(h, team, .private = true, .created_by = ann->id);
	uint64_t open = channel_in(h, team, .created_by = ann->id);

	REFUSED(h, STATUS_NOT_FOUND, NULL, bob, explain, NEVERMIND(explain), .channel_id = secret, .rules = true);
	pb_ExplainReply reply = explained(h, ann, bob, secret);
	ck_assert_uint_eq(reply.permissions.low | reply.permissions.high, 0);
	ck_assert_str_eq(reply.why, "private");
	EXPECT(&reply, send_messages, false, "private", 0);
	reply = explained(h, ann, zoe, open);
	ck_assert_str_eq(reply.why, "membership");
	EXPECT(&reply, view_text, false, "membership", 0);
	OK(h, ann, ban_member, NEVERMIND(ban_member), .scope_id = team, .user_id = bob->id);
	REFUSED(h, STATUS_NOT_FOUND, NULL, bob, explain, NEVERMIND(explain), .channel_id = open);
	reply = explained(h, ann, bob, open);
	ck_assert_uint_eq(reply.permissions.low | reply.permissions.high, 0);
	EXPECT(&reply, view_text, false, "ban", 0);
	EXPECT(&reply, administrator, false, "ban", 0);
	/* a deleted channel is nobody's */
	sql(h, "UPDATE messaging.channels SET deleted_at_ms = 1 WHERE id = %ld", (long)open);
	REFUSED(h, STATUS_NOT_FOUND, NULL, ann, explain, NEVERMIND(explain), .channel_id = open);
	house_close(h);
}
END_TEST

START_TEST(an_override_that_hides_is_named_with_its_subject)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann), channel = channel_in(h, team, .created_by = ann->id), base = base_role(h, team);
	joins(h, team, bob);
	OK(h, ann, set_override, NEVERMIND(set_override), .scope = OVERRIDE_CHANNEL, .scope_id = channel,
		.subject_kind = OVERRIDE_OF_ROLE, .subject_id = base, .has_deny = true,
		.deny = PERMISSIONS(PERMISSION_view_text));

	pb_ExplainReply reply = explained(h, ann, bob, channel);
	ck_assert_str_eq(reply.why, arena_printf(h->mem, "override:role:%llu", (unsigned long long)base));
	EXPECT(&reply, view_text, false, "override:role", base);
	EXPECT(&reply, send_messages, false, "override:role", base);
	/* of the team itself, too */
	OK(h, bob, explain, &reply, .team_id = team, .rules = true);
	EXPECT(&reply, change_own_nickname, true, "role", base);
	house_close(h);
}
END_TEST

TESTS("moderation explain", each_permission_names_the_rule_that_decided_it,
	administrators_and_the_timed_out_are_explained_too, about_others_may_ask_who_manages_or_moderates,
	what_is_hidden_is_not_there_for_him_and_is_explained_to_moderators,
	an_override_that_hides_is_named_with_its_subject)
