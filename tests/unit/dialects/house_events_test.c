/* What a client of house sees: one input per event, tests/golden/house/<name>.json out. With GOLDEN_WRITE=1
 * in the environment the files are written instead of compared; the reviewer reads the diff. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "common/dialects/house/events.h"
#include "tests/unit/main.h"

#define AT_MS   INT64_C(1736937000000) /* 2025-01-15T10:30:00.000Z */
#define TEAM    UINT64_C(0x00007f01a2b3c4d5)
#define CHANNEL UINT64_C(0x0123456789abc001)
#define MESSAGE UINT64_C(0x0123456789abc002)
#define PARENT  UINT64_C(0x0123456789abc003)
#define SESSION UINT64_C(0x0123456789abc004)
#define ALICE   UINT64_C(0x00001a2b3c4d5e6f)
#define BOB     UINT64_C(0x00002a2b3c4d5e6f)
#define IN_TEAM STREAM_TEAM(TEAM)
#define TO_USER STREAM_USER(ALICE)

/* ---- inputs */

static const pb_UserView alice = {.id = ALICE,
	.username = (char *)"alice",
	.display_name = (char *)"Alice",
	.created_at_ms = AT_MS - 86400000};
static const pb_UserView bob = {.id = BOB, .username = (char *)"bob", .created_at_ms = AT_MS - 86400000};
static const pb_UserView gone = {
	.id = ALICE, .username = (char *)"", .erased = true, .created_at_ms = AT_MS - 86400000};
static const pb_ChannelRef ref = {
	.id = CHANNEL, .team_id = TEAM, .kind = CHANNEL_TEXT, .name = (char *)"general"};
static const pb_ChannelView channel = {.id = CHANNEL,
	.team_id = TEAM,
	.kind = CHANNEL_TEXT,
	.name = (char *)"general",
	.topic = (char *)"what is new",
	.position = 3,
	.slow_mode_s = 5,
	.created_at_ms = AT_MS,
	.created_by = BOB};
static const pb_TeamView team = {.id = TEAM,
	.name = (char *)"Harbour",
	.owner_id = BOB,
	.joining = JOINING_INVITE,
	.base_role_id = 16,
	.member_count = 2,
	.created_at_ms = AT_MS};
static char *changed_name_topic[] = {(char *)"name", (char *)"topic"};
static char *changed_names[] = {(char *)"display_name", (char *)"avatar"};
static char *changed_role[] = {(char *)"role"};
static char *changed_nickname[] = {(char *)"nickname"};
static char *changed_moved[] = {(char *)"name", (char *)"permissions", (char *)"position"};
static char *changed_looks[] = {(char *)"color", (char *)"mentionable", (char *)"separate", (char *)"self_assignable"};
static uint64_t roles[] = {17, 18};
/* Highest first, as events carry them. */
static pb_RoleView all_roles[] = {
	{.id = 18,
		.team_id = TEAM,
		.name = (char *)"mates",
		.has_permissions = true,
		.permissions = {UINT64_C(1) << PERMISSION_kick_members | UINT64_C(1) << PERMISSION_view_text,
			UINT64_C(1) << (PERMISSION_voice_mute - 64)},
		.position = 2,
		.color = 0xff8800,
		.mentionable = true,
		.created_at_ms = AT_MS},
	{.id = 17,
		.team_id = TEAM,
		.name = (char *)"guests",
		.has_permissions = true,
		.position = 1,
		.self_assignable = true,
		.created_at_ms = AT_MS},
	{.id = 16,
		.team_id = TEAM,
		.name = (char *)"everyone",
		.has_permissions = true,
		.permissions = {UINT64_C(1) << PERMISSION_view_text, 0},
		.is_base = true,
		.created_at_ms = AT_MS},
};

static pb_MemberView member_view(void)
{
	return (pb_MemberView){.has_user = true,
		.user = alice,
		.team_id = TEAM,
		.nickname = (char *)"Al",
		.role_ids_count = 2,
		.role_ids = roles,
		.joined_at_ms = AT_MS};
}

static pb_MessageView message_view(void)
{
	return (pb_MessageView){.id = MESSAGE,
		.channel_id = CHANNEL,
		.has_author = true,
		.author = alice,
		.kind = MESSAGE_TEXT,
		.content = (char *)"hello \"world\"\n",
		.created_at_ms = AT_MS};
}

static void account_updated(pb_Event *e)
{
	e->body.account_updated = (pb_AccountUpdated){
		.has_user = true, .user = alice, .changed_count = 2, .changed = changed_names};
}
static void account_closed(pb_Event *e)
{
	e->body.account_closed = (pb_AccountClosed){.user_id = ALICE, .why = CLOSE_WHY_DISABLED};
}
static void session_revoked(pb_Event *e)
{
	e->body.session_revoked =
		(pb_SessionRevoked){.user_id = ALICE, .session_id = SESSION, .why = CLOSE_WHY_REVOKED};
}
static void every_other_session_revoked(pb_Event *e)
{
	e->body.session_revoked = (pb_SessionRevoked){
		.user_id = ALICE, .but_session_id = SESSION, .why = CLOSE_WHY_REVOKED};
}
static void token_changed(pb_Event *e)
{
	e->body.session_revoked =
		(pb_SessionRevoked){.user_id = ALICE, .session_id = SESSION, .why = CLOSE_WHY_CHANGED};
}
static void operator_announced(pb_Event *e)
{
	e->has_actor = false;
	e->body.operator_announced = (pb_OperatorAnnounced){.id = TEAM,
		.title = (char *)"Update tonight",
		.text = (char *)"Back by 22:30.",
		.until_ms = AT_MS + 3600000};
}
static void session_opened(pb_Event *e)
{
	e->body.session_opened = (pb_SessionOpened){.user_id = ALICE,
		.session_id = SESSION,
		.client_label = (char *)"laptop",
		.expires_at_ms = AT_MS + 1000};
}
static void team_created(pb_Event *e)
{
	e->body.team_created = (pb_TeamCreated){.has_team = true, .team = team};
}
static void team_updated(pb_Event *e)
{
	e->body.team_updated = (pb_TeamUpdated){
		.has_team = true, .team = team, .changed_count = 1, .changed = changed_name_topic};
}
static void team_deleted(pb_Event *e)
{
	e->body.team_deleted = (pb_TeamDeleted){.team_id = TEAM, .name = (char *)"Harbour"};
}
static void member_joined(pb_Event *e)
{
	e->body.member_joined =
		(pb_MemberJoined){.has_member = true,
			.member = member_view(),
			.member_count = 2,
			.invite = (char *)"the code is for nobody to see"};
}
static void member_removed(pb_Event *e)
{
	e->body.member_removed = (pb_MemberRemoved){.has_member = true,
		.member = member_view(),
		.reason = REMOVAL_KICKED,
		.member_count = 1,
		.by = BOB};
}
static void member_updated(pb_Event *e)
{
	e->body.member_updated = (pb_MemberUpdated){
		.has_member = true, .member = member_view(), .changed_count = 1, .changed = changed_nickname};
}
static void member_timed_out(pb_Event *e)
{
	e->body.member_timed_out = (pb_MemberTimedOut){.has_member = true,
		.member = member_view(),
		.until_ms = AT_MS + 60000,
		.reason = (char *)"noise",
		.by = BOB};
	e->body.member_timed_out.member.timeout_until_ms = AT_MS + 60000;
}
static void member_timeout_lifted(pb_Event *e)
{
	e->body.member_timed_out = (pb_MemberTimedOut){.has_member = true, .member = member_view()};
}
static pb_InviteEvent invite_event(uint64_t by)
{
	return (pb_InviteEvent){.has_invite = true,
		.invite = {.code = (char *)"AbCdEfGhIjKlMnOpQrStUv",
			.team_id = TEAM,
			.has_by = true,
			.by = bob,
			.created_at_ms = AT_MS,
			.expires_at_ms = AT_MS + 60000,
			.max_uses = 5,
			.uses = 1},
		.by = by};
}
static void invite_created(pb_Event *e)
{
	e->body.invite_created = invite_event(BOB);
}
static void invite_deleted(pb_Event *e)
{
	e->body.invite_deleted = invite_event(0);
}
static void audit_recorded(pb_Event *e)
{
	static PB_BYTES_ARRAY_T(32) prev = {32, {0}}, hash = {32, {0xab, 0x01}};
	e->body.audit_recorded = (pb_AuditRecorded){.has_entry = true,
		.entry = {.team_id = TEAM,
			.no = 7,
			.id = MESSAGE,
			.at_ms = AT_MS,
			.actor_id = BOB,
			.has_actor = true,
			.actor = bob,
			.action = (char *)"member_banned",
			.target_kind = (char *)"user",
			.target_id = ALICE,
			.changes = (char *)"{\"expires_at\":null}",
			.why = (char *)"spam",
			.prev_hash = (pb_bytes_array_t *)&prev,
			.hash = (pb_bytes_array_t *)&hash}};
}
static void team_setting_changed(pb_Event *e)
{
	e->body.team_setting_changed = (pb_TeamSettingChanged){
		.team_id = TEAM, .name = (char *)"ui.emoji.enabled", .value = (char *)"{\"on\":[true,1.5,\"é\"]}"};
}
static void team_setting_removed(pb_Event *e)
{
	e->body.team_setting_changed = (pb_TeamSettingChanged){.team_id = TEAM, .name = (char *)"ui.emoji.enabled"};
}
static void audit_recorded_by_the_system(pb_Event *e)
{
	audit_recorded(e);
	e->body.audit_recorded.entry.actor_id = 0;
	e->body.audit_recorded.entry.has_actor = false;
}
static void member_banned(pb_Event *e)
{
	e->body.member_banned = (pb_MemberBanned){.team_id = TEAM,
		.has_user = true,
		.user = alice,
		.reason = (char *)"spam",
		.by = BOB,
		.expires_at_ms = AT_MS + 3600000};
}
static void member_unbanned(pb_Event *e)
{
	e->body.member_unbanned =
		(pb_MemberBanned){.team_id = TEAM, .has_user = true, .user = alice, .by = BOB};
}
static void member_roles_changed(pb_Event *e)
{
	e->body.member_roles_changed = (pb_MemberRolesChanged){
		.has_member = true, .member = member_view(), .added_count = 1, .added = &all_roles[0]};
	e->body.member_roles_changed.member.has_permissions = true;
	e->body.member_roles_changed.member.permissions = all_roles[0].permissions;
}
static pb_RoleEvent role_event(char **changed, size_t count)
{
	return (pb_RoleEvent){.has_role = true,
		.role = all_roles[0],
		.roles = all_roles,
		.roles_count = 3,
		.changed = changed,
		.changed_count = (pb_size_t)count};
}
static void role_created(pb_Event *e)
{
	e->body.role_created = role_event(NULL, 0);
}
static void role_updated(pb_Event *e)
{
	e->body.role_updated = role_event(changed_moved, 3);
}
static void role_looks_updated(pb_Event *e)
{
	e->body.role_updated = role_event(changed_looks, 4);
}
static void role_deleted(pb_Event *e)
{
	e->body.role_deleted = role_event(NULL, 0);
	e->body.role_deleted.roles++;
	e->body.role_deleted.roles_count--;
}
static void roles_reordered(pb_Event *e)
{
	e->body.roles_reordered = (pb_RolesReordered){.team_id = TEAM, .roles = all_roles, .roles_count = 3};
}
static void override_set(pb_Event *e)
{
	e->body.override_set = (pb_OverrideEvent){.team_id = TEAM,
		.scope = OVERRIDE_CHANNEL,
		.scope_id = CHANNEL,
		.subject_kind = OVERRIDE_OF_ROLE,
		.subject_id = 17,
		.has_allow = true,
		.allow = {UINT64_C(1) << PERMISSION_mention_everyone, 0},
		.has_deny = true,
		.deny = {UINT64_C(1) << PERMISSION_send_messages, UINT64_C(1) << (PERMISSION_join_channel - 64)},
		.has_channel = true,
		.channel = channel};
}
static void override_removed(pb_Event *e)
{
	e->body.override_removed = (pb_OverrideEvent){.team_id = TEAM,
		.scope = OVERRIDE_TEAM,
		.scope_id = TEAM,
		.subject_kind = OVERRIDE_OF_USER,
		.subject_id = ALICE,
		.has_allow = true,
		.has_deny = true};
}
static void channel_member_joined(pb_Event *e)
{
	e->body.channel_member_joined = (pb_ChannelMemberJoined){.has_channel = true,
		.channel = channel,
		.has_user = true,
		.user = alice,
		.role = CHANNEL_ROLE_MEMBER};
}
static void channel_member_left(pb_Event *e)
{
	e->body.channel_member_left =
		(pb_ChannelMemberLeft){.has_channel = true, .channel = ref, .has_user = true, .user = alice};
}
static void channel_member_left_erased(pb_Event *e)
{
	e->body.channel_member_left =
		(pb_ChannelMemberLeft){.has_channel = true, .channel = ref, .has_user = true, .user = gone};
}
static void channel_member_kicked(pb_Event *e)
{
	e->body.channel_member_kicked = (pb_ChannelMemberLeft){
		.has_channel = true, .channel = ref, .has_user = true, .user = alice, .by = BOB};
}
static void channel_member_role(pb_Event *e)
{
	e->body.channel_member_updated = (pb_ChannelMemberUpdated){.has_channel = true,
		.channel = ref,
		.has_user = true,
		.user = alice,
		.role = CHANNEL_ROLE_MODERATOR,
		.changed_count = 1,
		.changed = changed_role};
}
static void channel_member_nickname(pb_Event *e)
{
	e->body.channel_member_updated = (pb_ChannelMemberUpdated){.has_channel = true,
		.channel = ref,
		.has_user = true,
		.user = alice,
		.nickname = (char *)"Al",
		.changed_count = 1,
		.changed = changed_nickname};
}
static void channel_user_banned(pb_Event *e)
{
	e->body.channel_user_banned = (pb_ChannelUserBanned){.has_channel = true,
		.channel = ref,
		.has_user = true,
		.user = alice,
		.motive = (char *)"spam",
		.was_member = true,
		.by = BOB};
}
static void channel_user_unbanned(pb_Event *e)
{
	e->body.channel_user_unbanned = (pb_ChannelUserBanned){
		.has_channel = true, .channel = ref, .has_user = true, .user = alice, .by = BOB};
}
static void channel_created(pb_Event *e)
{
	e->body.channel_created = (pb_ChannelCreated){.has_channel = true, .channel = channel};
}
static pb_UserView both[2];
static void conversation_created(pb_Event *e)
{
	both[0] = alice;
	both[1] = bob;
	e->body.conversation_created = (pb_ConversationCreated){.has_channel = true,
		.channel = {.id = CHANNEL,
			.kind = CHANNEL_DIRECT,
			.name = (char *)"",
			.created_at_ms = AT_MS,
			.created_by = BOB},
		.users_count = 2,
		.users = both};
}
static void channel_updated(pb_Event *e)
{
	e->body.channel_updated = (pb_ChannelUpdated){
		.has_channel = true, .channel = channel, .changed_count = 2, .changed = changed_name_topic};
}
static void channel_deleted(pb_Event *e)
{
	e->body.channel_deleted = (pb_ChannelDeleted){.has_channel = true, .channel = channel};
}
static void channel_cloned(pb_Event *e)
{
	channel_created(e);
	e->body.channel_created.cloned_from = PARENT;
}
static void channel_undeleted(pb_Event *e)
{
	e->body.channel_undeleted = (pb_ChannelStateChanged){.has_channel = true, .channel = channel};
}
static void channel_archived(pb_Event *e)
{
	e->body.channel_archived = (pb_ChannelStateChanged){.has_channel = true, .channel = channel};
	e->body.channel_archived.channel.archived_at_ms = AT_MS;
}
static void channel_restored(pb_Event *e)
{
	e->body.channel_restored = (pb_ChannelStateChanged){.has_channel = true, .channel = channel};
}
/* Bob is mentioned, and a role and a channel; of carol nothing is in the mentions, and code is code. */
static pb_MessageView mentioning_view(void)
{
	static uint64_t users[] = {BOB}, mentioned_roles[] = {17}, channels[] = {CHANNEL};
	pb_MessageView view = message_view();

	view.content = (char *)"<@46365183663727> <@&17> <#81985529216483329> <:wave:20> @everyone `<@46365183663727>` <@46365183663728>";
	view.has_mentions = true;
	view.mentions = (pb_MentionsView){.user_ids_count = 1,
		.user_ids = users,
		.role_ids_count = 1,
		.role_ids = mentioned_roles,
		.channel_ids_count = 1,
		.channel_ids = channels,
		.everyone = true};
	return view;
}
static void message_posted(pb_Event *e)
{
	e->body.message_posted = (pb_MessagePosted){
		.has_channel = true, .channel = ref, .has_message = true, .message = message_view()};
}
static void message_reply(pb_Event *e)
{
	message_posted(e);
	e->body.message_posted.message.parent_id = PARENT;
}
static void message_mentioning(pb_Event *e)
{
	message_posted(e);
	e->body.message_posted.message = mentioning_view();
}
static void message_updated_mentioning(pb_Event *e)
{
	e->body.message_updated = (pb_MessageUpdated){
		.has_channel = true, .channel = ref, .has_message = true, .message = mentioning_view()};
}
static void user_mentioned(pb_Event *e)
{
	e->body.user_mentioned = (pb_UserMentioned){.has_channel = true,
		.channel = ref,
		.has_message = true,
		.message = mentioning_view(),
		.how = MENTION_USER,
		.user_id = BOB};
}
static void user_mentioned_reply(pb_Event *e)
{
	user_mentioned(e);
	e->body.user_mentioned.message = message_view();
	e->body.user_mentioned.message.parent_id = PARENT;
	e->body.user_mentioned.message.seq = 41;
	e->body.user_mentioned.how = MENTION_REPLY;
}
static void message_erased_author(pb_Event *e)
{
	message_posted(e);
	e->body.message_posted.message.author = gone;
}
static void message_updated(pb_Event *e)
{
	e->body.message_updated = (pb_MessageUpdated){
		.has_channel = true, .channel = ref, .has_message = true, .message = message_view()};
	e->body.message_updated.message.edited_at_ms = AT_MS;
	e->body.message_updated.message.seq = 40;
}
static void message_deleted(pb_Event *e)
{
	e->body.message_deleted = (pb_MessageDeleted){
		.has_channel = true, .channel = ref, .has_message = true, .message = message_view()};
	e->body.message_deleted.message.content = NULL;
}
static pb_ReactionChanged reaction(uint64_t count)
{
	return (pb_ReactionChanged){.has_channel = true,
		.channel = ref,
		.message_id = MESSAGE,
		.emoji = (char *)"⛵",
		.has_user = true,
		.user = alice,
		.count = count};
}
static void reaction_added(pb_Event *e)
{
	e->body.reaction_added = reaction(3);
}
static void reaction_removed(pb_Event *e)
{
	e->body.reaction_removed = reaction(0);
}
static pb_WebhookEvent webhook_event(void)
{
	return (pb_WebhookEvent){.has_channel = true,
		.channel = ref,
		.has_webhook = true,
		.webhook = {.id = MESSAGE,
			.team_id = TEAM,
			.channel_id = CHANNEL,
			.kind = WEBHOOK_OUTGOING,
			.name = (char *)"weather",
			.bot_id = BOB,
			.owner_id = ALICE,
			.trigger = (char *)"weather",
			.created_at_ms = AT_MS}};
}
static void webhook_created(pb_Event *e)
{
	e->body.webhook_created = webhook_event();
}
static void webhook_updated(pb_Event *e)
{
	static char *names[] = {(char *)"avatar_url", (char *)"trigger", (char *)"url"};

	e->body.webhook_updated = webhook_event();
	e->body.webhook_updated.changed_count = 3;
	e->body.webhook_updated.changed = names;
}
static void webhook_deleted(pb_Event *e)
{
	e->body.webhook_deleted = webhook_event();
}
static pb_MessagePinned pinned(bool on)
{
	static pb_ReactionView reactions[] = {{.emoji = (char *)"⛵", .count = 2, .me = true}};
	pb_MessagePinned e = {.has_channel = true, .channel = ref, .has_message = true, .message = message_view()};

	e.message.pinned_at_ms = on ? AT_MS : 0;
	e.message.seq = 40;
	e.message.pinned_by = on ? BOB : 0;
	e.message.reactions_count = 1;
	e.message.reactions = reactions;
	e.message.root_id = PARENT;
	return e;
}
static void message_pinned(pb_Event *e)
{
	e->body.message_pinned = pinned(true);
}
static void message_unpinned(pb_Event *e)
{
	e->body.message_unpinned = pinned(false);
}
static void bookmark_changed(pb_Event *e)
{
	e->body.bookmark_changed = (pb_BookmarkChanged){
		.has_channel = true, .channel = ref, .message_id = MESSAGE, .user_id = ALICE, .set = true};
}
static void read_state_changed(pb_Event *e)
{
	e->body.read_state_changed = (pb_ReadStateChanged){.has_channel = true,
		.channel = ref,
		.user_id = ALICE,
		.last_read_id = MESSAGE,
		.unread = 4,
		.mentions = 1};
}
static void channel_pref_changed(pb_Event *e)
{
	e->body.channel_pref_changed = (pb_ChannelPrefChanged){
		.has_channel = true, .channel = ref, .user_id = ALICE, .flag = FLAG_PINNED, .notify = NOTIFY_MENTIONS};
}
static void status_changed(pb_Event *e)
{
	e->body.status_changed = (pb_StatusChanged){.has_user = true, .user = alice};
	e->body.status_changed.user.has_status = true;
	e->body.status_changed.user.status = (pb_StatusView){(char *)"at sea", (char *)"⛵", AT_MS + 1000};
}
static void typing_changed(pb_Event *e)
{
	e->body.typing_changed = (pb_TypingChanged){
		.has_channel = true, .channel = ref, .has_user = true, .user = alice, .is_typing = true};
}
static void presence_changed(pb_Event *e)
{
	e->body.presence_changed = (pb_PresenceChanged){.has_user = true,
		.user = alice,
		.shown = PRESENCE_OFFLINE,
		.chosen = PRESENCE_INVISIBLE,
		.last_seen_at_ms = AT_MS};
}

/* ---- what they look like */

struct sample {
	const char *file;
	enum event_kind kind;
	void (*fill)(pb_Event *e);
	struct stream stream;
	bool resume, detail;
};

#define SAMPLE(file, arm, fill, stream, ...)                                                                 \
	{                                                                                                    \
		file, EVENT_KIND_##arm, fill, stream, __VA_ARGS__                                            \
	}
static const struct sample samples[] = {
	SAMPLE("user_updated", account_updated, account_updated, IN_TEAM),
	SAMPLE("user_updated.detail", account_updated, account_updated, TO_USER, .detail = true),
	SAMPLE("session_revoked.account", account_closed, account_closed, TO_USER),
	SAMPLE("session_revoked", session_revoked, session_revoked, TO_USER),
	SAMPLE("session_revoked.others", session_revoked, every_other_session_revoked, TO_USER),
	SAMPLE("session_revoked.changed", session_revoked, token_changed, TO_USER),
	SAMPLE("session_opened", session_opened, session_opened, TO_USER),
	SAMPLE("team_created", team_created, team_created, TO_USER),
	SAMPLE("team_created.detail", team_created, team_created, TO_USER, .detail = true),
	SAMPLE("team_updated", team_updated, team_updated, IN_TEAM),
	SAMPLE("team_deleted", team_deleted, team_deleted, IN_TEAM),
	SAMPLE("team_member_joined", member_joined, member_joined, IN_TEAM),
	SAMPLE("team_member_joined.detail", member_joined, member_joined, IN_TEAM, .detail = true),
	SAMPLE("team_member_left", member_removed, member_removed, IN_TEAM),
	SAMPLE("team_member_updated", member_updated, member_updated, IN_TEAM),
	SAMPLE("user_timed_out", member_timed_out, member_timed_out, IN_TEAM),
	SAMPLE("user_timed_out.detail", member_timed_out, member_timed_out, IN_TEAM, .detail = true),
	SAMPLE("user_timed_out.lifted", member_timed_out, member_timeout_lifted, TO_USER),
	SAMPLE("invite_created", invite_created, invite_created, IN_TEAM),
	SAMPLE("invite_created.detail", invite_created, invite_created, IN_TEAM, .detail = true),
	SAMPLE("invite_deleted", invite_deleted, invite_deleted, IN_TEAM),
	SAMPLE("team_setting_updated", team_setting_changed, team_setting_changed, IN_TEAM),
	SAMPLE("team_setting_updated.removed", team_setting_changed, team_setting_removed, IN_TEAM),
	SAMPLE("audit_recorded", audit_recorded, audit_recorded, IN_TEAM),
	SAMPLE("audit_recorded.detail", audit_recorded, audit_recorded, IN_TEAM, .detail = true),
	SAMPLE("audit_recorded.system", audit_recorded, audit_recorded_by_the_system, IN_TEAM),
	SAMPLE("team_member_roles_updated", member_roles_changed, member_roles_changed, IN_TEAM),
	SAMPLE("team_member_roles_updated.detail", member_roles_changed, member_roles_changed, TO_USER,
		.detail = true),
	SAMPLE("role_created", role_created, role_created, IN_TEAM),
	SAMPLE("role_created.detail", role_created, role_created, IN_TEAM, .detail = true),
	SAMPLE("role_updated", role_updated, role_updated, IN_TEAM),
	SAMPLE("role_updated.detail", role_updated, role_looks_updated, IN_TEAM, .detail = true),
	SAMPLE("role_deleted", role_deleted, role_deleted, IN_TEAM),
	SAMPLE("role_deleted.detail", role_deleted, role_deleted, IN_TEAM, .detail = true),
	SAMPLE("roles_reordered", roles_reordered, roles_reordered, IN_TEAM),
	SAMPLE("roles_reordered.detail", roles_reordered, roles_reordered, IN_TEAM, .detail = true),
	SAMPLE("channel_permissions_updated", override_set, override_set, IN_TEAM),
	SAMPLE("channel_permissions_updated.detail", override_set, override_set, IN_TEAM, .detail = true),
	SAMPLE("channel_permissions_updated.removed", override_removed, override_removed, IN_TEAM),
	SAMPLE("team_user_banned", member_banned, member_banned, IN_TEAM),
	SAMPLE("team_user_unbanned", member_unbanned, member_unbanned, TO_USER),
	SAMPLE("member_joined", channel_member_joined, channel_member_joined, IN_TEAM),
	SAMPLE("member_joined.detail", channel_member_joined, channel_member_joined, IN_TEAM, .detail = true),
	SAMPLE("member_left", channel_member_left, channel_member_left, IN_TEAM),
	SAMPLE("member_left.erased", channel_member_left, channel_member_left_erased, IN_TEAM),
	SAMPLE("user_kicked", channel_member_kicked, channel_member_kicked, IN_TEAM),
	SAMPLE("user_kicked.user", channel_member_kicked, channel_member_kicked, TO_USER),
	SAMPLE("member_role_updated", channel_member_updated, channel_member_role, IN_TEAM),
	SAMPLE("member_role_updated.detail", channel_member_updated, channel_member_role, IN_TEAM,
		.detail = true),
	SAMPLE("member_nickname_updated", channel_member_updated, channel_member_nickname, IN_TEAM),
	SAMPLE("user_banned", channel_user_banned, channel_user_banned, IN_TEAM),
	SAMPLE("user_banned.user", channel_user_banned, channel_user_banned, TO_USER),
	SAMPLE("user_unbanned", channel_user_unbanned, channel_user_unbanned, IN_TEAM),
	SAMPLE("user_unbanned.user", channel_user_unbanned, channel_user_unbanned, TO_USER),
	SAMPLE("channel_created", channel_created, channel_created, IN_TEAM),
	SAMPLE("channel_created.detail", channel_created, channel_created, IN_TEAM, .detail = true),
	SAMPLE("channel_created.cloned", channel_created, channel_cloned, IN_TEAM, .detail = true),
	SAMPLE("channel_created.undeleted", channel_undeleted, channel_undeleted, IN_TEAM),
	SAMPLE("conversation_created", conversation_created, conversation_created, TO_USER),
	SAMPLE("conversation_created.detail", conversation_created, conversation_created, TO_USER, .detail = true),
	SAMPLE("channel_archived", channel_archived, channel_archived, IN_TEAM),
	SAMPLE("channel_archived.detail", channel_archived, channel_archived, IN_TEAM, .detail = true),
	SAMPLE("channel_restored", channel_restored, channel_restored, IN_TEAM),
	SAMPLE("channel_updated", channel_updated, channel_updated, IN_TEAM),
	SAMPLE("channel_deleted", channel_deleted, channel_deleted, IN_TEAM),
	SAMPLE("channel_message", message_posted, message_posted, IN_TEAM),
	SAMPLE("channel_message.detail", message_posted, message_posted, IN_TEAM, .detail = true),
	SAMPLE("channel_message.resume", message_posted, message_posted, IN_TEAM, .resume = true),
	SAMPLE("channel_message.erased", message_posted, message_erased_author, IN_TEAM),
	SAMPLE("channel_message.mentions", message_posted, message_mentioning, IN_TEAM),
	SAMPLE("channel_message.mentions.detail", message_posted, message_mentioning, IN_TEAM, .detail = true),
	SAMPLE("message_reply", message_posted, message_reply, IN_TEAM),
	SAMPLE("message_updated", message_updated, message_updated, IN_TEAM),
	SAMPLE("message_updated.detail", message_updated, message_updated, IN_TEAM, .detail = true),
	SAMPLE("message_updated.mentions", message_updated, message_updated_mentioning, IN_TEAM),
	SAMPLE("message_deleted", message_deleted, message_deleted, IN_TEAM),
	SAMPLE("reaction_added", reaction_added, reaction_added, IN_TEAM),
	SAMPLE("reaction_removed", reaction_removed, reaction_removed, IN_TEAM),
	SAMPLE("message_pinned", message_pinned, message_pinned, IN_TEAM),
	SAMPLE("message_pinned.detail", message_pinned, message_pinned, IN_TEAM, .detail = true),
	SAMPLE("message_unpinned", message_unpinned, message_unpinned, IN_TEAM),
	SAMPLE("webhook_created", webhook_created, webhook_created, IN_TEAM),
	SAMPLE("webhook_created.detail", webhook_created, webhook_created, IN_TEAM, .detail = true),
	SAMPLE("webhook_updated", webhook_updated, webhook_updated, IN_TEAM),
	SAMPLE("webhook_deleted", webhook_deleted, webhook_deleted, IN_TEAM),
	SAMPLE("bookmark_updated", bookmark_changed, bookmark_changed, TO_USER),
	SAMPLE("user_mentioned", user_mentioned, user_mentioned, TO_USER),
	SAMPLE("user_mentioned.reply.detail", user_mentioned, user_mentioned_reply, TO_USER, .detail = true),
	SAMPLE("unread_updated", read_state_changed, read_state_changed, TO_USER),
	SAMPLE("channel_pref_updated", channel_pref_changed, channel_pref_changed, TO_USER),
	SAMPLE("operator_announcement", operator_announced, operator_announced, STREAM_GLOBAL),
	SAMPLE("status_updated", status_changed, status_changed, IN_TEAM),
	SAMPLE("user_typing", typing_changed, typing_changed, IN_TEAM),
	SAMPLE("presence_updated", presence_changed, presence_changed, IN_TEAM),
	SAMPLE("presence_updated.user", presence_changed, presence_changed, TO_USER),
};
#define SAMPLE_COUNT (sizeof samples / sizeof *samples)

static struct logged_event logged_of(const struct sample *s)
{
	return (struct logged_event){.stream = s->stream,
		.seq = event_kind_is_ephemeral(s->kind) ? 0 : 41,
		.kind = s->kind,
		.at_ms = AT_MS};
}

static const char *render(struct arena *mem, const struct sample *s, size_t *out_length)
{
	pb_Event event = {.which_body = (pb_size_t)s->kind, .has_actor = true, .actor = bob};
	struct logged_event logged = logged_of(s);

	s->fill(&event);
	return house_render_event(
		mem, &logged, &event, house_copy_of(s->stream), s->resume, s->detail, out_length);
}

static const char *golden_path(struct arena *mem, const char *name)
{
	return arena_printf(mem, "%s/%s.json", GOLDEN_DIR, name);
}

START_TEST(each_event_looks_like_its_golden_file)
{
	const struct sample *s = &samples[_i];
	struct arena *mem = arena_create();
	const char *path = golden_path(mem, s->file);
	size_t length = 0;

	const char *text = render(mem, s, &length);
	ck_assert_ptr_nonnull(text);
	ck_assert_uint_eq(length, strlen(text));
	if (getenv("GOLDEN_WRITE") != NULL) {
		FILE *out = fopen(path, "w");
		ck_assert_ptr_nonnull(out);
		fprintf(out, "%s\n", text);
		fclose(out);
	}
	FILE *in = fopen(path, "r");
	ck_assert_msg(in != NULL, "no %s", path);
	char *golden = arena_alloc(mem, 65536);
	size_t n = fread(golden, 1, 65535, in);
	fclose(in);
	ck_assert_uint_gt(n, 0);
	golden[n - 1] = '\0'; /* its newline */
	ck_assert_str_eq(text, golden);
	arena_destroy(mem);
}
END_TEST

START_TEST(every_event_that_is_sent_has_a_sample)
{
	static const enum event_kind sent[] = {
#define EVENT(arm, wire, classes, render)            EVENT_KIND_##arm,
#define EVENT_IN_CHANNEL(arm, wire, classes, render) EVENT_KIND_##arm,
#define EVENT_SOMEWHERE(arm, wire, classes, render)  EVENT_KIND_##arm,
#define EVENT_NOT_SENT(arm, reason)
#include "common/dialects/house/events.tbl.h"
#undef EVENT
#undef EVENT_IN_CHANNEL
#undef EVENT_SOMEWHERE
#undef EVENT_NOT_SENT
	};

	for (size_t i = 0; i < sizeof sent / sizeof *sent; i++) {
		bool found = false;
		for (size_t k = 0; k < SAMPLE_COUNT; k++)
			found |= samples[k].kind == sent[i];
		ck_assert_msg(found, "%s has no sample", event_kind_name(sent[i]));
	}
}
END_TEST

/* The events that were given: these keys and no others. */
static const struct given {
	const char *file, *type;
	const char *keys[8];
} given[] = {
	{"channel_message", "channel_message",
		{"channel_id", "message_id", "user_id", "username", "content"}},
	{"message_updated", "message_updated", {"channel_id", "message_id", "content"}},
	{"message_deleted", "message_deleted", {"channel_id", "message_id"}},
	{"message_reply", "message_reply",
		{"channel_id", "message_id", "parent_message_id", "user_id", "username", "content"}},
	{"member_joined", "member_joined", {"channel_id", "user_id", "username"}},
	{"member_left", "member_left", {"channel_id", "user_id", "username"}},
	{"member_role_updated", "member_role_updated", {"channel_id", "user_id", "username", "new_role"}},
	{"user_banned", "user_banned", {"channel_id", "user_id", "motive"}},
	{"user_banned.user", "user_banned", {"channel_id", "motive"}},
	{"user_unbanned", "user_unbanned", {"channel_id", "user_id", "motive"}},
	{"user_unbanned.user", "user_unbanned", {"channel_id", "motive"}},
	{"user_kicked", "user_kicked", {"channel_id", "user_id"}},
	{"user_kicked.user", "user_kicked", {"channel_id"}},
	{"channel_created", "channel_created", {"channel_id", "channel_name"}},
	{"channel_updated", "channel_updated", {"channel_id", "name", "topic"}},
	{"channel_deleted", "channel_deleted", {"channel_id"}},
	{"user_typing", "user_typing", {"channel_id", "user_id", "username", "is_typing"}},
};

START_TEST(a_given_event_has_its_keys_and_no_others)
{
	const struct given *g = &given[_i];
	struct arena *mem = arena_create();
	const struct sample *s = NULL;
	size_t length = 0, count = 0;

	for (size_t i = 0; i < SAMPLE_COUNT; i++) {
		if (strcmp(samples[i].file, g->file) == 0)
			s = &samples[i];
	}
	ck_assert_ptr_nonnull(s);
	json_t *frame = json_loads(render(mem, s, &length), 0, NULL);
	ck_assert_uint_eq(json_object_size(frame), 3);
	ck_assert_str_eq(json_string_value(json_object_get(frame, "type")), g->type);
	ck_assert_str_eq(json_string_value(json_object_get(frame, "timestamp")), "2025-01-15T10:30:00.000Z");
	json_t *data = json_object_get(frame, "data");
	for (; count < 8 && g->keys[count] != NULL; count++)
		ck_assert_msg(json_object_get(data, g->keys[count]) != NULL, "%s lacks %s", g->file,
			g->keys[count]);
	ck_assert_uint_eq(json_object_size(data), count);
	json_decref(frame);
	arena_destroy(mem);
}
END_TEST

START_TEST(every_word_of_the_table_is_valid_json_on_every_copy)
{
	static const struct stream streams[] = {{RANK_TEAM, TEAM}, {RANK_USER, ALICE}};
	struct arena *mem = arena_create();

	for (size_t i = 0; i < SAMPLE_COUNT; i++) {
		for (int variant = 0; variant < 8; variant++) {
			struct sample s = samples[i];
			size_t length = 0;
			s.stream = streams[variant & 1];
			s.resume = variant & 2;
			s.detail = variant & 4;
			const char *text = render(mem, &s, &length);
			if (text == NULL)
				continue;
			json_t *frame = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
			ck_assert_msg(frame != NULL, "%s: %s", s.file, text);
			json_decref(frame);
		}
	}
	arena_destroy(mem);
}
END_TEST

/* ---- topics */

static bool topics_of(const char *file, struct stream s, struct house_topics *out)
{
	for (size_t i = 0; i < SAMPLE_COUNT; i++) {
		if (strcmp(samples[i].file, file) != 0)
			continue;
		pb_Event event = {.which_body = (pb_size_t)samples[i].kind};
		struct logged_event logged = {.stream = s, .seq = 1, .kind = samples[i].kind};
		samples[i].fill(&event);
		return house_event_topics(&logged, &event, out);
	}
	ck_abort_msg("no sample %s", file);
	return false;
}

START_TEST(a_message_belongs_to_its_channel_and_its_team)
{
	struct house_topics t;

	ck_assert(topics_of("channel_message", IN_TEAM, &t));
	ck_assert_uint_eq(t.channel_id, CHANNEL);
	ck_assert_uint_eq(t.team_id, TEAM);
	ck_assert_uint_eq(t.user_id, 0);
	ck_assert(!t.global);
}
END_TEST

START_TEST(a_new_channel_is_told_globally)
{
	struct house_topics t;

	ck_assert(topics_of("channel_created", IN_TEAM, &t));
	ck_assert(t.global);
	ck_assert_uint_eq(t.channel_id, 0);
}
END_TEST

START_TEST(the_users_copy_of_a_ban_belongs_to_him_only)
{
	struct house_topics t;

	ck_assert(topics_of("user_banned", TO_USER, &t));
	ck_assert_uint_eq(t.user_id, ALICE);
	ck_assert_uint_eq(t.channel_id, 0);
	ck_assert_uint_eq(t.team_id, 0);
}
END_TEST

START_TEST(joining_a_channel_is_not_told_on_ones_own_topic)
{
	struct house_topics t;
	struct sample s = {
		.kind = EVENT_KIND_channel_member_joined, .fill = channel_member_joined, .stream = TO_USER};
	struct arena *mem = arena_create();
	size_t length = 0;

	ck_assert(!topics_of("member_joined", TO_USER, &t));
	ck_assert_ptr_null(render(mem, &s, &length));
	arena_destroy(mem);
}
END_TEST

START_TEST(an_override_belongs_to_its_channel_or_to_the_team)
{
	struct logged_event logged = {.stream = IN_TEAM, .at_ms = AT_MS};
	struct house_topics of_channel, of_team;
	pb_Event set = {.which_body = EVENT_KIND_override_set}, removed = {.which_body = EVENT_KIND_override_removed};

	override_set(&set);
	override_removed(&removed);
	ck_assert(house_event_topics(&logged, &set, &of_channel));
	ck_assert_uint_eq(of_channel.channel_id, CHANNEL);
	ck_assert_uint_eq(of_channel.team_id, TEAM);
	ck_assert(house_event_topics(&logged, &removed, &of_team));
	ck_assert_uint_eq(of_team.channel_id, 0);
	ck_assert_uint_eq(of_team.team_id, TEAM);
}
END_TEST

START_TEST(a_conversation_has_a_channel_and_no_team)
{
	struct house_topics t;
	pb_Event event = {.which_body = pb_Event_message_posted_tag};
	struct logged_event logged = {.stream = {RANK_TEAM, CHANNEL}, .seq = 1};

	audience_key(logged.audience, "conversation", CHANNEL);
	message_posted(&event);
	event.body.message_posted.channel.team_id = 0;
	ck_assert(house_event_topics(&logged, &event, &t));
	ck_assert_uint_eq(t.channel_id, CHANNEL);
	ck_assert_uint_eq(t.team_id, 0);
	ck_assert(t.direct);
}
END_TEST

START_TEST(whoever_is_in_a_conversation_is_shown_there_as_present)
{
	struct house_topics t;
	pb_Event event = {.which_body = pb_Event_presence_changed_tag};
	struct logged_event logged = {.stream = {RANK_TEAM, CHANNEL}};

	audience_key(logged.audience, "conversation", CHANNEL);
	presence_changed(&event);
	ck_assert(house_event_topics(&logged, &event, &t));
	ck_assert(t.direct);
	ck_assert_uint_eq(t.team_id, 0);
}
END_TEST

START_TEST(a_new_conversation_is_told_to_its_people_and_not_in_it)
{
	struct house_topics t;

	ck_assert(topics_of("conversation_created", TO_USER, &t));
	ck_assert_uint_eq(t.user_id, ALICE);
	ck_assert(!topics_of("conversation_created", (struct stream){RANK_TEAM, CHANNEL}, &t));
}
END_TEST

START_TEST(what_deletion_blanked_is_not_shown)
{
	struct arena *mem = arena_create();
	pb_Event event = {.which_body = pb_Event_message_posted_tag, .tombstone = true};
	struct logged_event logged = {.stream = IN_TEAM, .seq = 1, .at_ms = AT_MS};
	size_t length = 0;

	message_posted(&event);
	ck_assert_ptr_null(house_render_event(mem, &logged, &event, HOUSE_COPY_PLACE, true, true, &length));
	arena_destroy(mem);
}
END_TEST

START_TEST(a_system_line_is_not_a_message_here)
{
	struct arena *mem = arena_create();
	pb_Event event = {.which_body = pb_Event_message_posted_tag};
	struct logged_event logged = {.stream = IN_TEAM, .seq = 1, .at_ms = AT_MS};
	size_t length = 0;

	message_posted(&event);
	event.body.message_posted.message.kind = MESSAGE_SYSTEM;
	ck_assert_ptr_null(house_render_event(mem, &logged, &event, HOUSE_COPY_PLACE, false, false, &length));
	arena_destroy(mem);
}
END_TEST

START_TEST(changes_of_rights_are_for_gateways_only)
{
	struct arena *mem = arena_create();
	pb_Event event = {
		.which_body = pb_Event_audience_changed_tag, .body.audience_changed = {.user_id = ALICE}};
	struct logged_event logged = {.stream = IN_TEAM, .seq = 1, .at_ms = AT_MS};
	struct house_topics t;
	size_t length = 0;

	ck_assert(!house_event_topics(&logged, &event, &t));
	ck_assert_ptr_null(house_render_event(mem, &logged, &event, HOUSE_COPY_PLACE, false, false, &length));
	arena_destroy(mem);
}
END_TEST

int main(void)
{
	const TTest *const plain[] = {
		every_event_that_is_sent_has_a_sample,
		every_word_of_the_table_is_valid_json_on_every_copy,
		a_message_belongs_to_its_channel_and_its_team,
		a_new_channel_is_told_globally,
		the_users_copy_of_a_ban_belongs_to_him_only,
		joining_a_channel_is_not_told_on_ones_own_topic,
		an_override_belongs_to_its_channel_or_to_the_team, a_conversation_has_a_channel_and_no_team,
		whoever_is_in_a_conversation_is_shown_there_as_present,
		a_new_conversation_is_told_to_its_people_and_not_in_it,
		what_deletion_blanked_is_not_shown,
		a_system_line_is_not_a_message_here,
		changes_of_rights_are_for_gateways_only,
	};
	Suite *suite = suite_create("house events");
	TCase *tcase = tcase_create("house events");

	tcase_set_timeout(tcase, TEST_TIMEOUT_S);
	tcase_add_loop_test(tcase, each_event_looks_like_its_golden_file, 0, (int)SAMPLE_COUNT);
	tcase_add_loop_test(
		tcase, a_given_event_has_its_keys_and_no_others, 0, (int)(sizeof given / sizeof *given));
	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
		tcase_add_test(tcase, plain[i]);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
