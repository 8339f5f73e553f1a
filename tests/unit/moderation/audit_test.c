/* The audit log: what is recorded and told to whom, that its chain holds, and that whoever breaks it is found. */
#include <pthread.h>

#include "services/moderation/audit.h"
#include "services/moderation/audit_follower.h"
#include "tests/unit/moderation/fixture.h"

static const char *can_read(struct house *h, uint64_t team)
{
	char text[AUDIENCE_SIZE];
	audience_can(text, team, PERMISSION_view_audit_log);
	return arena_strdup(h->mem, text);
}

static const char *uuid(struct house *h, uint64_t id)
{
	char text[IDS_UUID_SIZE];
	ids_to_uuid(id, text);
	return arena_strdup(h->mem, text);
}

/* All entries of a team, oldest first. */
static pb_ListAuditReply audit_of(struct house *h, uint64_t team)
{
	pb_ListAuditReply reply;
	OK(h, the_system, list_audit, &reply, .team_id = team, .limit = 100);
	for (size_t i = 0; i < reply.entries_count / 2; i++) {
		pb_AuditView swap = reply.entries[i];
		reply.entries[i] = reply.entries[reply.entries_count - 1 - i];
		reply.entries[reply.entries_count - 1 - i] = swap;
	}
	return reply;
}

static pb_AuditView latest(struct house *h, uint64_t team)
{
	pb_ListAuditReply reply;
	OK(h, the_system, list_audit, &reply, .team_id = team, .limit = 1);
	ck_assert_uint_eq(reply.entries_count, 1);
	return reply.entries[0];
}

static void expect_latest(struct house *h, uint64_t team, const char *action, const char *kind, uint64_t target,
	const char *changes, const char *why)
{
	pb_AuditView e = latest(h, team);
	ck_assert_str_eq(e.action, action);
	ck_assert_str_eq(e.target_kind, kind);
	ck_assert_uint_eq(e.target_id, target);
	ck_assert_str_eq(e.changes, changes);
	ck_assert_pstr_eq(e.why, why);
}

static pb_VerifyAuditReply verified(struct house *h, uint64_t team)
{
	pb_VerifyAuditReply reply;
	OK(h, the_system, verify_audit, &reply, .team_id = team);
	return reply;
}

/* As a superuser would who wants to leave no trace. */
__attribute__((format(printf, 2, 3))) static void tamper(struct house *h, const char *format, ...)
{
	char text[1024];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	sql(h,
		"BEGIN; ALTER TABLE moderation.audit DISABLE TRIGGER ALL; %s;"
		" ALTER TABLE moderation.audit ENABLE ALWAYS TRIGGER audit_append_only,"
		" ENABLE ALWAYS TRIGGER audit_never_emptied; COMMIT",
		text);
}

static void renamed(struct house *h, pb_UserView *by, uint64_t team, const char *name)
{
	OK(h, by, update_team, NEVERMIND(update_team), .team_id = team, .name = (char *)name);
}

static uint64_t team_with_entries(struct house *h, pb_UserView *owner, int count)
{
	uint64_t team = team_of(h, owner);
	for (int i = 0; i < count; i++)
		renamed(h, owner, team, arena_printf(h->mem, "name %d", i));
	return team;
}

/* ---- what is recorded */

START_TEST(an_entry_is_told_behind_the_other_events_to_those_who_may_read_the_log)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t before = head(h, STREAM_TEAM(team));
	size_t count;

	OK(h, ann, ban_member, NEVERMIND(ban_member), .scope_id = team, .user_id = bob->id, .reason = "noise");
	struct written *t = events_after(h, STREAM_TEAM(team), before, &count);
	ck_assert_uint_eq(count, 4);
	ck_assert_int_eq(t[3].ev.kind, EVENT_KIND_audit_recorded);
	ck_assert_str_eq(t[3].ev.audience, can_read(h, team));
	const pb_AuditView *told = &t[3].body.body.audit_recorded.entry;
	pb_AuditView kept = latest(h, team);
	ck_assert_uint_eq(told->no, 1);
	ck_assert_uint_eq(told->id, kept.id);
	ck_assert_str_eq(told->action, "member_banned");
	ck_assert_uint_eq(told->actor_id, ann->id);
	ck_assert_str_eq(kept.actor.username, "ann");
	ck_assert_str_eq(kept.target_kind, "user");
	ck_assert_uint_eq(kept.target_id, bob->id);
	ck_assert_str_eq(kept.why, "noise");
	ck_assert_str_eq(kept.changes, "{\"expires_at\":null}");
	ck_assert_mem_eq(told->hash->bytes, kept.hash->bytes, 32);
	house_close(h);
}
END_TEST

START_TEST(what_is_done_in_a_team_is_recorded_with_what_changed)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid");
	uint64_t team = team_of(h, ann), until = (uint64_t)clock_wall_ms() + 3600000;

	renamed(h, ann, team, "new \"name\"\n");
	expect_latest(h, team, "team_updated", "team", team,
		"{\"name\":{\"from\":\"a team\",\"to\":\"new \\\"name\\\"\\n\"}}", NULL);
	OK(h, ann, update_team, NEVERMIND(update_team), .team_id = team, .has_joining = true, .joining = JOINING_INVITE,
		.description = "d", .has_public_read = true, .public_read = true);
	expect_latest(h, team, "team_updated", "team", team,
		"{\"description\":{\"from\":null,\"to\":\"d\"},\"joining\":{\"from\":\"open\",\"to\":\"invite\"},"
		"\"public_read\":{\"from\":false,\"to\":true}}",
		NULL);
	OK(h, ann, add_member, NEVERMIND(add_member), .team_id = team, .user_id = bob->id, .has_user = true, .user = *bob);
	expect_latest(h, team, "member_added", "user", bob->id, "{}", NULL);
	OK(h, ann, update_member, NEVERMIND(update_member), .team_id = team, .user_id = bob->id, .nickname = "B");
	expect_latest(h, team, "member_nickname_changed", "user", bob->id, "{\"nickname\":{\"from\":null,\"to\":\"B\"}}", NULL);
	OK(h, ann, set_timeout, NEVERMIND(set_timeout), .team_id = team, .user_id = bob->id,
		.until_ms = UINT64_C(1000) * (until / 1000), .reason = "r");
	pb_AuditView e = latest(h, team);
	ck_assert_str_eq(e.action, "member_timed_out");
	ck_assert(strncmp(e.changes, "{\"until\":\"20", 12) == 0);
	OK(h, ann, clear_timeout, NEVERMIND(clear_timeout), .team_id = team, .user_id = bob->id, .reason = "calm");
	expect_latest(h, team, "member_timeout_lifted", "user", bob->id, "{}", "calm");
	OK(h, ann, remove_member, NEVERMIND(remove_member), .team_id = team, .user_id = bob->id);
	expect_latest(h, team, "member_kicked", "user", bob->id, "{}", NULL);
	OK(h, ann, ban_member, NEVERMIND(ban_member), .scope_id = team, .user_id = bob->id);
	OK(h, ann, ban_member, NEVERMIND(ban_member), .scope_id = team, .user_id = bob->id, .reason = "because");
	expect_latest(h, team, "member_ban_changed", "user", bob->id,
		"{\"expires_at\":{\"from\":null,\"to\":null},\"motive\":{\"from\":null,\"to\":\"because\"}}", "because");
	OK(h, ann, unban_member, NEVERMIND(unban_member), .scope_id = team, .user_id = bob->id, .reason = "peace");
	expect_latest(h, team, "member_unbanned", "user", bob->id, "{}", "peace");

	pb_InviteReply invite;
	OK(h, ann, create_invite, &invite, .team_id = team, .max_uses = 2);
	expect_latest(h, team, "invite_created", "invite", 0,
		arena_printf(h->mem, "{\"code_begins\":\"%.6s\",\"expires_at\":null,\"max_uses\":2}", invite.invite.code), NULL);
	OK(h, cid, use_invite, NEVERMIND(use_invite), .code = invite.invite.code);
	OK(h, ann, delete_invite, NEVERMIND(delete_invite), .code = invite.invite.code);
	expect_latest(h, team, "invite_deleted", "invite", 0,
		arena_printf(h->mem, "{\"code_begins\":\"%.6s\",\"made_by\":\"%s\",\"uses\":1}", invite.invite.code, uuid(h, ann->id)),
		NULL);
	house_close(h);
}
END_TEST

START_TEST(what_is_done_to_people_in_channels_is_recorded)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t channel = channel_in(h, team, .created_by = ann->id, .own = true);
	const char *where = arena_printf(h->mem, "{\"channel_id\":\"%s\"", uuid(h, channel));
	const char *plain = arena_printf(h->mem, "%s}", where);

	OK(h, ann, add_channel_member, NEVERMIND(add_channel_member), .channel_id = channel, .user_id = bob->id);
	expect_latest(h, team, "channel_member_added", "user", bob->id, arena_printf(h->mem, "%s,\"role\":\"member\"}", where), NULL);
	OK(h, ann, set_channel_role, NEVERMIND(set_channel_role), .channel_id = channel, .user_id = bob->id,
		.role = CHANNEL_ROLE_MODERATOR);
	expect_latest(h, team, "channel_role_changed", "user", bob->id,
		arena_printf(h->mem, "%s,\"role\":{\"from\":\"member\",\"to\":\"moderator\"}}", where), NULL);
	OK(h, ann, leave_channel, NEVERMIND(leave_channel), .channel_id = channel, .user_id = bob->id);
	expect_latest(h, team, "channel_member_removed", "user", bob->id, plain, NULL);
	OK(h, bob, join_channel, NEVERMIND(join_channel), .channel_id = channel);
	OK(h, ann, kick_channel_member, NEVERMIND(kick_channel_member), .channel_id = channel, .user_id = bob->id);
	expect_latest(h, team, "channel_member_kicked", "user", bob->id, plain, NULL);
	OK(h, ann, ban_channel_user, NEVERMIND(ban_channel_user), .scope_id = channel, .user_id = bob->id, .reason = "r");
	expect_latest(h, team, "channel_user_banned", "user", bob->id, arena_printf(h->mem, "%s,\"expires_at\":null}", where), "r");
	OK(h, ann, ban_channel_user, NEVERMIND(ban_channel_user), .scope_id = channel, .user_id = bob->id, .reason = "s");
	expect_latest(h, team, "channel_user_ban_changed", "user", bob->id,
		arena_printf(h->mem, "%s,\"expires_at\":{\"from\":null,\"to\":null},\"motive\":{\"from\":\"r\",\"to\":\"s\"}}", where), "s");
	OK(h, ann, unban_channel_user, NEVERMIND(unban_channel_user), .scope_id = channel, .user_id = bob->id);
	expect_latest(h, team, "channel_user_unbanned", "user", bob->id, plain, NULL);
	ck_assert_uint_eq(audit_of(h, team).entries_count, 7); /* bob's own joining is none */
	house_close(h);
}
END_TEST

START_TEST(roles_and_overrides_are_recorded)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t channel = channel_in(h, team, .created_by = ann->id);
	struct bits bans = bits_with((struct bits){0}, PERMISSION_ban_members);
	struct bits kicks = bits_with((struct bits){0}, PERMISSION_kick_members);
	struct bits sends = bits_with((struct bits){0}, PERMISSION_send_messages);
	pb_RoleReply role, low;

	OK(h, ann, create_role, &low, .team_id = team, .name = "low");
	OK(h, ann, create_role, &role, .team_id = team, .name = "mods", .has_permissions = true,
		.permissions = {bans.low, bans.high});
	uint64_t id = role.role.id;
	expect_latest(h, team, "role_created", "role", id,
		"{\"name\":\"mods\",\"permissions\":[\"ban_members\"],\"position\":1}", NULL);
	OK(h, ann, update_role, &role, .role_id = id, .name = "guards", .has_permissions = true,
		.permissions = {kicks.low, kicks.high}, .has_mentionable = true, .mentionable = true);
	expect_latest(h, team, "role_updated", "role", id,
		"{\"mentionable\":{\"from\":false,\"to\":true},\"name\":{\"from\":\"mods\",\"to\":\"guards\"},"
		"\"permissions\":{\"added\":[\"kick_members\"],\"removed\":[\"ban_members\"]}}",
		NULL);
	uint64_t order[] = {id, low.role.id};
	OK(h, ann, reorder_roles, NEVERMIND(reorder_roles), .team_id = team, .role_ids_count = 2, .role_ids = order);
	pb_AuditView e = latest(h, team);
	ck_assert_str_eq(e.action, "roles_reordered");
	ck_assert(strncmp(e.changes, arena_printf(h->mem, "{\"role_ids\":[\"%s\",\"%s\",", uuid(h, id), uuid(h, low.role.id)), 90) == 0);
	const char *given = arena_printf(h->mem, "{\"role_id\":\"%s\",\"role_name\":\"guards\"}", uuid(h, id));
	OK(h, ann, add_member_role, NEVERMIND(add_member_role), .team_id = team, .user_id = bob->id, .role_id = id);
	expect_latest(h, team, "member_role_added", "user", bob->id, given, NULL);
	OK(h, ann, remove_member_role, NEVERMIND(remove_member_role), .team_id = team, .user_id = bob->id, .role_id = id);
	expect_latest(h, team, "member_role_removed", "user", bob->id, given, NULL);

	const char *subject = arena_printf(h->mem, "\"subject_id\":\"%s\",\"subject_kind\":\"user\"}", uuid(h, bob->id));
	OK(h, ann, set_override, NEVERMIND(set_override), .scope = OVERRIDE_CHANNEL, .scope_id = channel,
		.subject_kind = OVERRIDE_OF_USER, .subject_id = bob->id, .has_deny = true, .deny = {sends.low, sends.high});
	expect_latest(h, team, "override_set", "channel", channel,
		arena_printf(h->mem,
			"{\"allow\":{\"added\":[],\"removed\":[]},\"deny\":{\"added\":[\"send_messages\"],\"removed\":[]},%s", subject),
		NULL);
	OK(h, ann, remove_override, NEVERMIND(remove_override), .scope = OVERRIDE_CHANNEL, .scope_id = channel,
		.subject_kind = OVERRIDE_OF_USER, .subject_id = bob->id);
	expect_latest(h, team, "override_removed", "channel", channel,
		arena_printf(h->mem,
			"{\"allow\":{\"added\":[],\"removed\":[]},\"deny\":{\"added\":[],\"removed\":[\"send_messages\"]},%s", subject),
		NULL);
	OK(h, ann, set_override, NEVERMIND(set_override), .scope = OVERRIDE_TEAM, .scope_id = team,
		.subject_kind = OVERRIDE_OF_ROLE, .subject_id = id, .has_allow = true, .allow = {kicks.low, kicks.high});
	e = latest(h, team);
	ck_assert_str_eq(e.target_kind, "team");
	ck_assert_uint_eq(e.target_id, team);
	OK(h, ann, delete_role, NEVERMIND(delete_role), .role_id = id);
	expect_latest(h, team, "role_deleted", "role", id, "{\"name\":\"guards\",\"permissions\":[\"kick_members\"]}", NULL);
	ck_assert_ptr_null(verified(h, team).broken);
	house_close(h);
}
END_TEST

START_TEST(a_role_that_is_there_for_everybody_is_taken_unrecorded)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	pb_RoleReply role;
	joins(h, team, bob);
	OK(h, ann, create_role, &role, .team_id = team, .name = "players", .self_assignable = true);

	OK(h, bob, add_member_role, NEVERMIND(add_member_role), .team_id = team, .user_id = bob->id, .role_id = role.role.id);
	expect_latest(h, team, "role_created", "role", role.role.id,
		"{\"name\":\"players\",\"permissions\":[],\"position\":1}", NULL);
	OK(h, ann, remove_member_role, NEVERMIND(remove_member_role), .team_id = team, .user_id = bob->id, .role_id = role.role.id);
	ck_assert_str_eq(latest(h, team).action, "member_role_removed");
	house_close(h);
}
END_TEST

START_TEST(what_people_do_with_themselves_is_not_recorded)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t channel = channel_in(h, team, .created_by = ann->id);
	OK(h, bob, update_member, NEVERMIND(update_member), .team_id = team, .user_id = bob->id, .nickname = "B");
	OK(h, bob, join_channel, NEVERMIND(join_channel), .channel_id = channel);
	OK(h, bob, leave_channel, NEVERMIND(leave_channel), .channel_id = channel);
	OK(h, bob, remove_member, NEVERMIND(remove_member), .team_id = team, .user_id = bob->id);

	ck_assert_uint_eq(audit_of(h, team).entries_count, 0);
	house_close(h);
}
END_TEST

START_TEST(what_changed_nothing_or_was_refused_or_is_a_repeat_is_not_recorded)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	uint8_t id[16];
	joins(h, team, bob);

	renamed(h, ann, team, "a team");
	REFUSED(h, STATUS_FORBIDDEN, "manage_team", bob, update_team, NEVERMIND(update_team), .team_id = team, .name = "mine");
	OK(h, ann, unban_member, NEVERMIND(unban_member), .scope_id = team, .user_id = bob->id);
	ck_assert_uint_eq(audit_of(h, team).entries_count, 0);
	ids_random_bytes(id, sizeof id);
	h->request_id = id;
	renamed(h, ann, team, "other");
	renamed(h, ann, team, "other");
	h->request_id = NULL;
	OK(h, ann, ban_member, NEVERMIND(ban_member), .scope_id = team, .user_id = bob->id, .reason = "x");
	OK(h, ann, ban_member, NEVERMIND(ban_member), .scope_id = team, .user_id = bob->id, .reason = "x");
	ck_assert_uint_eq(audit_of(h, team).entries_count, 2);
	house_close(h);
}
END_TEST

START_TEST(what_the_job_ends_is_the_systems_doing)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	OK(h, ann, ban_member, NEVERMIND(ban_member), .scope_id = team, .user_id = bob->id, .has_user = true, .user = *bob,
		.expires_at_ms = (uint64_t)clock_wall_ms() + 3600000);
	sql(h, "UPDATE moderation.bans SET expires_at_ms = 1 WHERE scope_id = %ld", (long)team);

	ck_assert_int_eq(expiry_run(&h->service, h->mem, clock_wall_ms(), NULL), STATUS_OK);
	expect_latest(h, team, "member_unbanned", "user", bob->id, "{}", NULL);
	pb_AuditView e = latest(h, team);
	ck_assert_uint_eq(e.actor_id, 0);
	ck_assert(!e.has_actor);
	ck_assert_ptr_null(verified(h, team).broken);
	house_close(h);
}
END_TEST

START_TEST(a_deleted_team_is_recorded_before_its_last_event)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	uint64_t team = team_of(h, ann), before = head(h, STREAM_TEAM(team));
	size_t count;

	OK(h, ann, delete_team, NEVERMIND(delete_team), .team_id = team);
	struct written *t = events_after(h, STREAM_TEAM(team), before, &count);
	ck_assert_uint_eq(count, 2);
	ck_assert_int_eq(t[0].ev.kind, EVENT_KIND_audit_recorded);
	ck_assert_int_eq(t[1].ev.kind, EVENT_KIND_team_deleted);
	expect_latest(h, team, "team_deleted", "team", team, "{\"name\":\"a team\"}", NULL);
	REFUSED(h, STATUS_NOT_FOUND, NULL, ann, list_audit, NEVERMIND(list_audit), .team_id = team);
	ck_assert_uint_eq(verified(h, team).checked, 1);
	house_close(h);
}
END_TEST

START_TEST(long_texts_are_cut_at_a_character_and_an_entry_stays_small)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	uint64_t team = team_of(h, ann);
	char *wide = arena_alloc(h->mem, 4 * 1000 + 1), *control = arena_alloc(h->mem, 1001);
	for (int i = 0; i < 1000; i++)
		memcpy(wide + 4 * i, "\xf0\x9f\x8e\x82", 4);
	memset(control, 1, 1000);

	OK(h, ann, update_team, NEVERMIND(update_team), .team_id = team, .description = wide);
	OK(h, ann, update_team, NEVERMIND(update_team), .team_id = team, .description = control);
	pb_AuditView e = latest(h, team);
	ck_assert_uint_le(strlen(e.changes), AUDIT_CHANGES_MAX);
	ck_assert_ptr_nonnull(strstr(e.changes, "\xf0\x9f\x8e\x82…\",\"to\":\"\\u0001"));
	ck_assert_ptr_null(verified(h, team).broken);
	house_close(h);
}
END_TEST

/* ---- the chain */

START_TEST(a_hash_is_blake2b_over_the_one_before_and_the_entry_as_rest_spells_it)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	char at[32] = "";
	uint8_t hash[32];
	crypto_generichash_state state;
	OK(h, ann, ban_member, NEVERMIND(ban_member), .scope_id = team, .user_id = bob->id, .has_user = true, .user = *bob,
		.reason = "it's \"so\"");
	OK(h, ann, unban_member, NEVERMIND(unban_member), .scope_id = team, .user_id = bob->id);
	pb_ListAuditReply all = audit_of(h, team);
	uint8_t prev[32] = {0};

	for (size_t i = 0; i < 2; i++) {
		const pb_AuditView *e = &all.entries[i];
		time_t s = (time_t)(e->at_ms / 1000);
		struct tm utc;
		gmtime_r(&s, &utc);
		strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%S", &utc);
		const char *text = arena_printf(h->mem,
			"[\"guildhall-audit-1\",\"%s\",%lu,\"%s\",\"%s.%03luZ\",\"%s\",\"%s\",\"user\",\"%s\",%s,%s,0]",
			uuid(h, team), (unsigned long)i + 1, uuid(h, e->id), at, (unsigned long)(e->at_ms % 1000),
			uuid(h, ann->id), i == 0 ? "member_banned" : "member_unbanned", uuid(h, bob->id),
			i == 0 ? "{\"expires_at\":null}" : "{}", i == 0 ? "\"it's \\\"so\\\"\"" : "null");
		crypto_generichash_init(&state, NULL, 0, 32);
		crypto_generichash_update(&state, prev, 32);
		crypto_generichash_update(&state, (const uint8_t *)text, strlen(text));
		crypto_generichash_final(&state, hash, 32);
		ck_assert_mem_eq(e->prev_hash->bytes, prev, 32);
		ck_assert_mem_eq(e->hash->bytes, hash, 32);
		memcpy(prev, hash, 32);
	}
	house_close(h);
}
END_TEST

static bool refused_by_database(struct house *h, const char *text)
{
	struct db_conn *conn = db_of(h);
	enum status st = db_script(conn, text);
	db_release(conn);
	return st != STATUS_OK;
}

START_TEST(rows_are_neither_changed_nor_deleted_nor_emptied)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	uint64_t team = team_with_entries(h, ann, 2);

	ck_assert(refused_by_database(
		h, arena_printf(h->mem, "UPDATE moderation.audit SET why = 'x' WHERE team_id = %ld", (long)team)));
	ck_assert(refused_by_database(h, arena_printf(h->mem, "DELETE FROM moderation.audit WHERE team_id = %ld", (long)team)));
	ck_assert(refused_by_database(h, "TRUNCATE moderation.audit"));
	ck_assert(refused_by_database(h,
		arena_printf(h->mem,
			"BEGIN; SET LOCAL session_replication_role = replica; DELETE FROM moderation.audit WHERE team_id = %ld; COMMIT",
			(long)team)));
	ck_assert_uint_eq(verified(h, team).checked, 2);
	house_close(h);
}
END_TEST

START_TEST(a_whole_chain_is_found_right_and_ends_where_it_should)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	uint64_t team = team_with_entries(h, ann, 3), quiet = team_of(h, ann);

	pb_VerifyAuditReply v = verified(h, team);
	ck_assert(v.complete);
	ck_assert_ptr_null(v.broken);
	ck_assert_uint_eq(v.broken_no, 0);
	ck_assert_uint_eq(v.checked, 3);
	ck_assert_uint_eq(v.last_no, 3);
	ck_assert_mem_eq(v.last_hash->bytes, latest(h, team).hash->bytes, 32);
	v = verified(h, quiet);
	ck_assert(v.complete);
	ck_assert_uint_eq(v.checked, 0);
	house_close(h);
}
END_TEST

START_TEST(whoever_alters_a_row_is_found_and_the_row_is_named)
{
	static const char *const columns[] = {"at_ms = at_ms + 1", "actor_id = NULL", "action = 'team_deleted'",
		"target_id = 5", "target_kind = 'user'", "changes = '{}'", "why = 'because'", "id = id + 1", "cause_seq = 9"};
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");

	for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
		uint64_t team = team_with_entries(h, ann, 4);
		tamper(h, "UPDATE moderation.audit SET %s WHERE team_id = %ld AND no = 2", columns[i], (long)team);
		pb_VerifyAuditReply v = verified(h, team);
		ck_assert_msg(v.broken_no == 2, "%s", columns[i]);
		ck_assert_str_eq(v.broken, "hash");
		ck_assert_uint_eq(v.checked, 1);
	}
	house_close(h);
}
END_TEST

START_TEST(an_altered_row_with_a_new_hash_breaks_the_one_behind_it)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	uint64_t team = team_with_entries(h, ann, 3);
	pb_ListAuditReply all = audit_of(h, team);
	pb_AuditView e = all.entries[1];
	uint8_t hash[32];
	char hex[65];
	e.why = "forged";
	audit_hash(h->mem, &e, e.prev_hash->bytes, hash);
	sodium_bin2hex(hex, sizeof hex, hash, 32);

	tamper(h, "UPDATE moderation.audit SET why = 'forged', hash = '\\x%s' WHERE team_id = %ld AND no = 2", hex, (long)team);
	pb_VerifyAuditReply v = verified(h, team);
	ck_assert_uint_eq(v.broken_no, 3);
	ck_assert_str_eq(v.broken, "prev_hash");
	house_close(h);
}
END_TEST

START_TEST(a_row_taken_out_and_an_end_cut_off_are_found)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	uint64_t middle = team_with_entries(h, ann, 3), end = team_with_entries(h, ann, 3);

	tamper(h, "DELETE FROM moderation.audit WHERE team_id = %ld AND no = 2", (long)middle);
	pb_VerifyAuditReply v = verified(h, middle);
	ck_assert_uint_eq(v.broken_no, 2);
	ck_assert_str_eq(v.broken, "missing");
	tamper(h, "DELETE FROM moderation.audit WHERE team_id = %ld AND no = 3", (long)end);
	v = verified(h, end);
	ck_assert_uint_eq(v.broken_no, 3);
	ck_assert_str_eq(v.broken, "end");
	house_close(h);
}
END_TEST

START_TEST(an_entry_of_another_team_fits_nowhere)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	uint64_t team = team_with_entries(h, ann, 2), other = team_with_entries(h, ann, 1);

	tamper(h, "UPDATE moderation.audit SET team_id = %ld, no = 2 WHERE team_id = %ld AND no = 2", (long)other, (long)team);
	pb_VerifyAuditReply v = verified(h, other);
	ck_assert_uint_eq(v.broken_no, 2);
	house_close(h);
}
END_TEST

START_TEST(a_check_goes_on_behind_a_hash_that_was_kept_elsewhere)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	uint64_t team = team_with_entries(h, ann, 3);
	pb_ListAuditReply all = audit_of(h, team);
	pb_VerifyAuditReply v;

	OK(h, the_system, verify_audit, &v, .team_id = team, .after_no = 2, .after_hash = all.entries[1].hash);
	ck_assert_uint_eq(v.checked, 1);
	ck_assert_ptr_null(v.broken);
	OK(h, the_system, verify_audit, &v, .team_id = team, .after_no = 2, .after_hash = all.entries[0].hash);
	ck_assert_uint_eq(v.broken_no, 3);
	ck_assert_str_eq(v.broken, "prev_hash");
	OK(h, the_system, verify_audit, &v, .team_id = team, .after_no = 3, .after_hash = all.entries[0].hash);
	ck_assert_str_eq(v.broken, "end");
	REFUSED(h, STATUS_FIELD_INVALID, NULL, the_system, verify_audit, &v, .team_id = team, .after_no = 3);
	house_close(h);
}
END_TEST

struct renamer {
	struct house *h;
	struct rpc_client *client;
	pb_UserView *who;
	uint64_t team;
	int first, done;
};

static void *renames(void *arg)
{
	struct renamer *r = arg;
	struct arena *mem = arena_create();
	for (int i = 0; i < 10; i++) {
		uint8_t id[16];
		pb_TeamReply reply;
		struct rpc_outcome outcome;
		ids_random_bytes(id, sizeof id);
		struct rpc_context ctx = {.request_id = id,
			.request_id_length = sizeof id,
			.actor = r->who,
			.actor_id = r->who->id,
			.deadline_mono_ms = clock_mono_ms() + PATIENCE_MS};
		pb_UpdateTeamRequest rq = {.team_id = r->team, .name = arena_printf(mem, "n%d", r->first + i)};
		r->done += moderation_update_team(r->client, mem, &ctx, &rq, &reply, &outcome) == STATUS_OK;
	}
	arena_destroy(mem);
	return NULL;
}

START_TEST(changes_that_come_at_once_make_one_chain)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	uint64_t team = team_of(h, ann);
	enum { THREADS = 4 };
	struct renamer all[THREADS];
	pthread_t threads[THREADS];
	uint64_t done = 0;
	for (int i = 0; i < THREADS; i++) {
		all[i] = (struct renamer){.h = h, .who = ann, .team = team, .first = 100 * (i + 1)};
		ck_assert_int_eq(rpc_client_create("moderation", h->address, false, &all[i].client), STATUS_OK);
		await_peer(all[i].client);
	}

	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, renames, &all[i]), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		rpc_client_destroy(all[i].client);
		done += (uint64_t)all[i].done;
	}
	pb_VerifyAuditReply v = verified(h, team);
	ck_assert_ptr_null(v.broken);
	ck_assert_uint_eq(v.checked, done);
	ck_assert_uint_eq(done, 10 * THREADS);
	house_close(h);
}
END_TEST

/* ---- reading */

START_TEST(the_log_is_read_newest_first_in_pages_both_ways)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	uint64_t team = team_with_entries(h, ann, 5);
	pb_ListAuditReply page;

	OK(h, ann, list_audit, &page, .team_id = team, .limit = 2);
	ck_assert_uint_eq(page.entries_count, 2);
	ck_assert(page.more);
	ck_assert_uint_eq(page.entries[0].no, 5);
	OK(h, ann, list_audit, &page, .team_id = team, .before = page.entries[1].id);
	ck_assert_uint_eq(page.entries_count, 3);
	ck_assert(!page.more);
	ck_assert_uint_eq(page.entries[0].no, 3);
	ck_assert_uint_eq(page.entries[2].no, 1);
	OK(h, ann, list_audit, &page, .team_id = team, .after = page.entries[2].id, .limit = 3);
	ck_assert_uint_eq(page.entries_count, 3);
	ck_assert(page.more);
	ck_assert_uint_eq(page.entries[0].no, 2);
	ck_assert_uint_eq(page.entries[2].no, 4);
	house_close(h);
}
END_TEST

START_TEST(the_log_is_read_by_actor_action_and_target)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid");
	uint64_t team = team_of(h, ann);
	pb_ListAuditReply list;
	joins(h, team, bob);
	joins(h, team, cid);
	holds(h, team, bob, role_in(h, team, 4, PERMISSION_kick_members));
	renamed(h, ann, team, "one");
	OK(h, bob, remove_member, NEVERMIND(remove_member), .team_id = team, .user_id = cid->id);
	OK(h, ann, ban_member, NEVERMIND(ban_member), .scope_id = team, .user_id = cid->id);

	OK(h, ann, list_audit, &list, .team_id = team, .actor_id = bob->id);
	ck_assert_uint_eq(list.entries_count, 1);
	ck_assert_str_eq(list.entries[0].action, "member_kicked");
	OK(h, ann, list_audit, &list, .team_id = team, .action = "member_banned");
	ck_assert_uint_eq(list.entries_count, 1);
	OK(h, ann, list_audit, &list, .team_id = team, .target_id = cid->id);
	ck_assert_uint_eq(list.entries_count, 2);
	OK(h, ann, list_audit, &list, .team_id = team, .target_id = cid->id, .actor_id = ann->id, .action = "member_banned");
	ck_assert_uint_eq(list.entries_count, 1);
	OK(h, ann, list_audit, &list, .team_id = team, .actor_id = bob->id, .action = "member_banned");
	ck_assert_uint_eq(list.entries_count, 0);
	OK(h, ann, list_audit, &list, .team_id = team, .action = "member_kicked", .after = audit_of(h, team).entries[0].id);
	ck_assert_uint_eq(list.entries_count, 1);
	house_close(h);
}
END_TEST

START_TEST(only_who_may_reads_and_checks_the_log)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid");
	uint64_t team = team_with_entries(h, ann, 1), other = team_with_entries(h, ann, 1);
	pb_ListAuditReply list;
	joins(h, team, bob);

	REFUSED(h, STATUS_FORBIDDEN, "view_audit_log", bob, list_audit, &list, .team_id = team);
	REFUSED(h, STATUS_FORBIDDEN, "view_audit_log", bob, verify_audit, NEVERMIND(verify_audit), .team_id = team);
	REFUSED(h, STATUS_NOT_FOUND, NULL, cid, list_audit, &list, .team_id = team);
	holds(h, team, bob, role_in(h, team, 4, PERMISSION_view_audit_log));
	OK(h, bob, list_audit, &list, .team_id = team);
	ck_assert_uint_eq(list.entries_count, 1);
	REFUSED(h, STATUS_FIELD_INVALID, NULL, bob, list_audit, &list, .team_id = team, .limit = 101);
	REFUSED(h, STATUS_FIELD_INVALID, NULL, bob, list_audit, &list, .team_id = team, .action = "no such action");
	ck_assert_str_eq(h->outcome.field, "action");
	REFUSED(h, STATUS_FIELD_INVALID, NULL, bob, list_audit, &list, .team_id = team, .before = latest(h, other).id);
	ck_assert_str_eq(h->outcome.field, "before");
	house_close(h);
}
END_TEST

START_TEST(without_a_node_for_ids_nothing_is_done_unrecorded)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	uint64_t team = team_of(h, ann);
	ids_init(&h->ids);

	ck_assert_int_eq(CALL(h, ann, update_team, NEVERMIND(update_team), .team_id = team, .name = "new"), STATUS_BUSY);
	ck_assert_int_eq(number(h, "SELECT count(*) FROM moderation.teams WHERE id = %ld AND name = 'new'", (long)team), 0);
	house_close(h);
}
END_TEST

/* ---- what messaging did */

static struct followed_event happened(struct house *h, uint64_t team, uint64_t seq, pb_Event *body)
{
	return (struct followed_event){
		.logged = {.stream = STREAM_TEAM(team), .seq = seq, .kind = body->which_body, .at_ms = 1736937000000}, .body = body};
}

static enum status followed(struct house *h, uint64_t team, uint64_t after, const struct followed_event *events, size_t count)
{
	struct log_batch batch = {.follower = "test",
		.stream = STREAM_TEAM(team),
		.after = after,
		.through = count > 0 ? events[count - 1].logged.seq : after + 10,
		.gone = count == 0,
		.count = count,
		.events = events};
	return audit_follow(&h->service, h->mem, &batch);
}

static int64_t followed_to(struct house *h, uint64_t team)
{
	return number(h, "SELECT seq FROM log.followers WHERE name = 'test' AND rank = 1 AND id = %ld", (long)team);
}

static pb_Event *deletion(struct house *h, const pb_UserView *by, const pb_UserView *author)
{
	pb_Event *ev = ARENA_NEW(h->mem, pb_Event);
	*ev = (pb_Event){.which_body = EVENT_KIND_message_deleted, .has_actor = true, .actor = *by};
	ev->body.message_deleted = (pb_MessageDeleted){.has_channel = true,
		.channel = {.id = 7, .name = "general"},
		.has_message = true,
		.message = {.id = 9, .has_author = true, .author = *author}};
	return ev;
}

START_TEST(what_messaging_did_is_learnt_from_the_log_and_recorded_once)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	pb_Event created = {.which_body = EVENT_KIND_channel_created, .has_actor = true, .actor = *ann};
	created.body.channel_created = (pb_ChannelCreated){
		.has_channel = true, .channel = {.id = 7, .team_id = team, .kind = CHANNEL_TEXT, .name = "general", .private = true}};
	char *names[] = {"topic", "name"};
	pb_Event updated = {.which_body = EVENT_KIND_channel_updated, .has_actor = true, .actor = *bob};
	updated.body.channel_updated = (pb_ChannelUpdated){.has_channel = true,
		.channel = {.id = 7, .team_id = team, .name = "new", .topic = "t"},
		.changed_count = 2,
		.changed = names};
	struct followed_event events[] = {happened(h, team, 11, &created), happened(h, team, 12, &updated),
		happened(h, team, 15, deletion(h, ann, bob)), happened(h, team, 16, deletion(h, bob, bob))};

	ck_assert_int_eq(followed(h, team, 10, events, 4), STATUS_OK);
	pb_ListAuditReply all = audit_of(h, team);
	ck_assert_uint_eq(all.entries_count, 3); /* one's own message is one's own business */
	ck_assert_str_eq(all.entries[0].action, "channel_created");
	ck_assert_str_eq(all.entries[0].changes, "{\"kind\":\"text\",\"name\":\"general\",\"private\":true}");
	ck_assert_uint_eq(all.entries[0].actor_id, ann->id);
	ck_assert_uint_eq(all.entries[0].cause_seq, 11);
	ck_assert_uint_eq(all.entries[0].at_ms, 1736937000000);
	ck_assert_str_eq(all.entries[1].changes, "{\"name\":\"new\",\"topic\":\"t\"}");
	ck_assert_uint_eq(all.entries[1].actor_id, bob->id);
	ck_assert_str_eq(all.entries[2].action, "message_deleted");
	ck_assert_str_eq(all.entries[2].target_kind, "message");
	ck_assert_int_eq(followed_to(h, team), 16);
	/* the same again, by a copy that knows no better */
	ck_assert_int_eq(followed(h, team, 10, events, 4), STATUS_OK);
	ck_assert_uint_eq(audit_of(h, team).entries_count, 3);
	ck_assert_ptr_null(verified(h, team).broken);
	house_close(h);
}
END_TEST

START_TEST(a_copy_of_a_channel_is_recorded_as_one)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	uint64_t team = team_of(h, ann);
	pb_Event created = {.which_body = EVENT_KIND_channel_created, .has_actor = true, .actor = *ann};
	created.body.channel_created = (pb_ChannelCreated){.has_channel = true,
		.channel = {.id = 8, .team_id = team, .kind = CHANNEL_TEXT, .name = "copy"},
		.cloned_from = 7};
	struct followed_event event = happened(h, team, 11, &created);

	ck_assert_int_eq(followed(h, team, 10, &event, 1), STATUS_OK);
	pb_ListAuditReply all = audit_of(h, team);
	ck_assert_uint_eq(all.entries_count, 1);
	ck_assert_uint_eq(all.entries[0].target_id, 8);
	ck_assert_ptr_eq(strstr(all.entries[0].changes, "{\"cloned_from\":\""), all.entries[0].changes);
	house_close(h);
}
END_TEST

START_TEST(what_was_done_to_a_message_that_is_gone_since_is_recorded)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	pb_Event left = {.tombstone = true, .has_remains = true, .remains = {.id = 9, .channel_id = 7, .author_id = bob->id}};
	uint32_t did[] = {EVENT_KIND_message_pinned, EVENT_KIND_message_updated, EVENT_KIND_message_updated, EVENT_KIND_message_posted};
	uint64_t by[] = {ann->id, ann->id, bob->id, bob->id};
	struct followed_event events[4];
	for (size_t i = 0; i < 4; i++) {
		events[i] = happened(h, team, 11 + i, &left);
		events[i].logged.kind = did[i];
		events[i].logged.actor_id = by[i];
	}

	ck_assert_int_eq(followed(h, team, 10, events, 4), STATUS_OK);
	pb_ListAuditReply all = audit_of(h, team);
	ck_assert_uint_eq(all.entries_count, 2);
	ck_assert_str_eq(all.entries[0].action, "message_pinned");
	ck_assert_str_eq(all.entries[1].action, "message_updated");
	for (size_t i = 0; i < 2; i++) {
		ck_assert_uint_eq(all.entries[i].target_id, 9);
		ck_assert_str_eq(all.entries[i].actor.username, "ann");
	}
	house_close(h);
}
END_TEST

START_TEST(an_event_that_was_recorded_is_not_recorded_under_another_position)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	struct followed_event event = happened(h, team, 15, deletion(h, ann, bob));

	ck_assert_int_eq(followed(h, team, 10, &event, 1), STATUS_OK);
	sql(h, "DELETE FROM log.followers WHERE name = 'test' AND id = %ld; DELETE FROM log.requests", (long)team);
	ck_assert_int_eq(followed(h, team, 0, &event, 1), STATUS_OK);
	ck_assert_uint_eq(audit_of(h, team).entries_count, 1);
	house_close(h);
}
END_TEST

START_TEST(many_events_are_recorded_in_several_commits)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	struct followed_event events[40];
	for (size_t i = 0; i < 40; i++)
		events[i] = happened(h, team, 100 + i, deletion(h, ann, i % 10 == 0 ? ann : bob));

	ck_assert_int_eq(followed(h, team, 99, events, 40), STATUS_OK);
	ck_assert_uint_eq(verified(h, team).checked, 36);
	ck_assert_int_eq(followed_to(h, team), 139);
	house_close(h);
}
END_TEST

START_TEST(where_there_is_nothing_to_record_the_position_moves_all_the_same)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann), gone = team_of(h, ann);
	struct followed_event own = happened(h, team, 15, deletion(h, bob, bob)), there = happened(h, gone, 15, deletion(h, ann, bob));
	OK(h, ann, delete_team, NEVERMIND(delete_team), .team_id = gone);
	uint64_t before = head(h, STREAM_TEAM(gone));

	ck_assert_int_eq(followed(h, team, 10, &own, 1), STATUS_OK);
	ck_assert_int_eq(followed_to(h, team), 15);
	ck_assert_int_eq(followed(h, gone, 10, &there, 1), STATUS_OK);
	ck_assert_int_eq(followed_to(h, gone), 15);
	ck_assert_uint_eq(head(h, STREAM_TEAM(gone)), before); /* team_deleted stays the last */
	ck_assert_int_eq(followed(h, team, 15, NULL, 0), STATUS_OK); /* the log does not reach back */
	ck_assert_int_eq(followed_to(h, team), 25);
	ck_assert_uint_eq(audit_of(h, team).entries_count, 0);
	house_close(h);
}
END_TEST

TESTS("moderation audit", what_messaging_did_is_learnt_from_the_log_and_recorded_once,
	a_copy_of_a_channel_is_recorded_as_one, what_was_done_to_a_message_that_is_gone_since_is_recorded, an_event_that_was_recorded_is_not_recorded_under_another_position, many_events_are_recorded_in_several_commits,
	where_there_is_nothing_to_record_the_position_moves_all_the_same, an_entry_is_told_behind_the_other_events_to_those_who_may_read_the_log,
	what_is_done_in_a_team_is_recorded_with_what_changed, what_is_done_to_people_in_channels_is_recorded,
	roles_and_overrides_are_recorded, a_role_that_is_there_for_everybody_is_taken_unrecorded,
	what_people_do_with_themselves_is_not_recorded, what_changed_nothing_or_was_refused_or_is_a_repeat_is_not_recorded,
	what_the_job_ends_is_the_systems_doing, a_deleted_team_is_recorded_before_its_last_event,
	long_texts_are_cut_at_a_character_and_an_entry_stays_small,
	a_hash_is_blake2b_over_the_one_before_and_the_entry_as_rest_spells_it,
	rows_are_neither_changed_nor_deleted_nor_emptied, a_whole_chain_is_found_right_and_ends_where_it_should,
	whoever_alters_a_row_is_found_and_the_row_is_named, an_altered_row_with_a_new_hash_breaks_the_one_behind_it,
	a_row_taken_out_and_an_end_cut_off_are_found, an_entry_of_another_team_fits_nowhere,
	a_check_goes_on_behind_a_hash_that_was_kept_elsewhere, changes_that_come_at_once_make_one_chain,
	the_log_is_read_newest_first_in_pages_both_ways, the_log_is_read_by_actor_action_and_target,
	only_who_may_reads_and_checks_the_log, without_a_node_for_ids_nothing_is_done_unrecorded)
