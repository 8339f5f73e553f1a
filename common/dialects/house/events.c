#include "common/dialects/house/events.h"

#include <string.h>

#include "common/dialects/house/events_frame.h"
#include "common/dialects/house/shapes.h"
#include "common/json/reader.h"

/* Topic classes of events.tbl.h. */
enum {
	PLACE_CHANNEL = 1,
	PLACE_TEAM = 2,
	PLACE_GLOBAL = 4,
	OWN = 8,
};

/* ---- api */

static void render_user_updated(struct frame *f)
{
	const pb_AccountUpdated *e = &f->body->body.account_updated;
	const pb_UserView *user = &e->user;
	char *const *changed = e->changed;
	size_t count = e->changed_count;

	if (!e->has_user)
		return;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "user_id", user->id);
	if (named(changed, count, "username")) {
		jw_key(w, "username");
		house_username(w, user);
	}
	if (named(changed, count, "display_name"))
		jw_kv(w, str, "display_name", user->erased ? NULL : user->display_name);
	if (named(changed, count, "avatar"))
		jw_kv(w, str, "avatar_url", user->erased ? NULL : user->avatar);
	if (named(changed, count, "banner"))
		jw_kv(w, str, "banner_url", user->erased ? NULL : user->banner);
	if (named(changed, count, "bio"))
		jw_kv(w, str, "bio", user->erased ? NULL : user->bio);
	if (named(changed, count, "tagline"))
		jw_kv(w, str, "tagline", user->erased ? NULL : user->tagline);
	if (f->detail) {
		jw_key(w, "user");
		house_user(w, user);
	}
}

static const char *why_word(uint32_t why)
{
	switch ((enum close_why)why) {
	case CLOSE_WHY_DISABLED:
		return "disabled";
	case CLOSE_WHY_ERASED:
		return "erased";
	case CLOSE_WHY_REVOKED:
		return "revoked";
	case CLOSE_WHY_CHANGED:
		return "changed";
	}
	return "revoked";
}

static void render_account_closed(struct frame *f)
{
	struct json_writer *w = frame_open(f);
	jw_key(w, "session_id");
	jw_null(w);
	jw_kv(w, str, "why", why_word(f->body->body.account_closed.why));
}

static void render_session_revoked(struct frame *f)
{
	const pb_SessionRevoked *e = &f->body->body.session_revoked;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "session_id", e->session_id);
	if (e->but_session_id != 0)
		jw_kv(w, uuid, "but_session_id", e->but_session_id);
	jw_kv(w, str, "why", why_word(e->why));
}

static void render_session_opened(struct frame *f)
{
	const pb_SessionOpened *e = &f->body->body.session_opened;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "session_id", e->session_id);
	jw_kv(w, str, "client_label", e->client_label);
	jw_kv(w, time, "expires_at", (int64_t)e->expires_at_ms);
}

/* ---- teams */

static void team_detail(struct frame *f, const pb_TeamView *team)
{
	if (f->detail) {
		jw_key(&f->w, "team");
		house_team(&f->w, team);
	}
}

static void render_team_created(struct frame *f)
{
	const pb_TeamView *team = &f->body->body.team_created.team;

	if (!f->body->body.team_created.has_team)
		return;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "team_id", team->id);
	jw_kv(w, str, "team_name", team->name);
	jw_kv(w, uuid, "owner_id", team->owner_id);
	team_detail(f, team);
}

static void render_team_updated(struct frame *f)
{
	const pb_TeamUpdated *e = &f->body->body.team_updated;
	const pb_TeamView *team = &e->team;
	char *const *changed = e->changed;
	size_t count = e->changed_count;

	if (!e->has_team)
		return;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "team_id", team->id);
	if (named(changed, count, "name"))
		jw_kv(w, str, "name", team->name);
	if (named(changed, count, "slug"))
		jw_kv(w, str, "slug", team->slug);
	if (named(changed, count, "description"))
		jw_kv(w, str, "description", team->description);
	if (named(changed, count, "icon"))
		jw_kv(w, str, "icon_url", team->icon);
	if (named(changed, count, "banner"))
		jw_kv(w, str, "banner_url", team->banner);
	if (named(changed, count, "owner_id"))
		jw_kv(w, uuid, "owner_id", team->owner_id);
	if (named(changed, count, "joining"))
		jw_kv(w, str, "joining", joining_word(team->joining));
	if (named(changed, count, "public_read"))
		jw_kv(w, bool, "public_read", team->public_read);
	if (named(changed, count, "default_channel_id"))
		jw_kv(w, uuid, "default_channel_id", team->default_channel_id);
	team_detail(f, team);
}

static void render_team_deleted(struct frame *f)
{
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "team_id", f->body->body.team_deleted.team_id);
}

static void render_team_member_joined(struct frame *f)
{
	const pb_MemberJoined *e = &f->body->body.member_joined;

	if (!e->has_member)
		return;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "team_id", e->member.team_id);
	who(w, e->member.has_user, &e->member.user);
	jw_kv(w, u64, "member_count", e->member_count);
	member_detail(f, &e->member);
}

static const char *removal_word(uint32_t reason)
{
	switch ((enum removal)reason) {
	case REMOVAL_LEFT:
		return "left";
	case REMOVAL_KICKED:
		return "kicked";
	case REMOVAL_BANNED:
		return "banned";
	}
	return "left";
}

static void render_team_member_left(struct frame *f)
{
	const pb_MemberRemoved *e = &f->body->body.member_removed;

	if (!e->has_member)
		return;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "team_id", e->member.team_id);
	who(w, e->member.has_user, &e->member.user);
	jw_kv(w, str, "reason", removal_word(e->reason));
	jw_kv(w, u64, "member_count", e->member_count);
	member_detail(f, &e->member);
}

static void render_team_member_updated(struct frame *f)
{
	const pb_MemberUpdated *e = &f->body->body.member_updated;
	const pb_MemberView *member = &e->member;

	if (!e->has_member)
		return;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "team_id", member->team_id);
	who(w, member->has_user, &member->user);
	if (named(e->changed, e->changed_count, "nickname"))
		jw_kv(w, str, "nickname", member->nickname);
	if (named(e->changed, e->changed_count, "timeout_until"))
		jw_kv(w, time, "timeout_until", (int64_t)member->timeout_until_ms);
	member_detail(f, member);
}

static void render_team_user_banned(struct frame *f)
{
	const pb_MemberBanned *e = &f->body->body.member_banned;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "team_id", e->team_id);
	who(w, e->has_user, &e->user);
	jw_kv(w, str, "motive", e->reason);
	jw_kv(w, time, "expires_at", (int64_t)e->expires_at_ms);
}

static void render_team_user_unbanned(struct frame *f)
{
	const pb_MemberBanned *e = &f->body->body.member_unbanned;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "team_id", e->team_id);
	who(w, e->has_user, &e->user);
	jw_kv(w, str, "motive", e->reason);
}

static void render_user_timed_out(struct frame *f)
{
	const pb_MemberTimedOut *e = &f->body->body.member_timed_out;

	if (!e->has_member)
		return;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "team_id", e->member.team_id);
	who(w, e->member.has_user, &e->member.user);
	jw_kv(w, time, "until", (int64_t)e->until_ms);
	jw_kv(w, str, "reason", e->reason);
	member_detail(f, &e->member);
}

/* ---- invites */

static void invite_event(struct frame *f, const pb_InviteEvent *e)
{
	if (!e->has_invite)
		return;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "team_id", e->invite.team_id);
	jw_kv(w, str, "code", e->invite.code);
	jw_kv(w, uuid, "by", e->by);
	if (f->detail) {
		jw_key(w, "invite");
		house_invite(w, &e->invite);
	}
}

static void render_invite_created(struct frame *f)
{
	invite_event(f, &f->body->body.invite_created);
}

static void render_invite_deleted(struct frame *f)
{
	invite_event(f, &f->body->body.invite_deleted);
}

static void render_audit_recorded(struct frame *f)
{
	const pb_AuditRecorded *e = &f->body->body.audit_recorded;
	const pb_AuditView *entry = &e->entry;

	if (!e->has_entry)
		return;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "team_id", entry->team_id);
	jw_kv(w, uuid, "entry_id", entry->id);
	jw_kv(w, u64, "no", entry->no);
	jw_kv(w, uuid, "user_id", entry->actor_id);
	jw_key(w, "username");
	house_username(w, entry->has_actor ? &entry->actor : NULL);
	jw_kv(w, str, "action", entry->action);
	house_audit_target(w, entry);
	jw_kv(w, str, "why", entry->why);
	if (f->detail) {
		jw_key(w, "entry");
		house_audit(w, entry);
	}
}

static void render_team_setting_updated(struct frame *f)
{
	const pb_TeamSettingChanged *e = &f->body->body.team_setting_changed;
	struct json_writer *w = frame_open(f);

	jw_kv(w, uuid, "team_id", e->team_id);
	who(w, f->body->has_actor, &f->body->actor);
	jw_kv(w, str, "name", e->name);
	jw_key(w, "value");
	if (e->value != NULL && json_is_whole_value(e->value, strlen(e->value)))
		jw_raw(w, e->value, strlen(e->value));
	else
		jw_null(w);
}

/* ---- members of channels. The given moderation events name the person in the channel's copy only: on his
 * own topic the topic says who he is. */

static void render_member_joined(struct frame *f)
{
	const pb_ChannelMemberJoined *e = &f->body->body.channel_member_joined;

	if (e->invited) /* not in it yet: he joins by himself */
		return;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "channel_id", e->channel.id);
	who(w, e->has_user, &e->user);
	if (f->detail) {
		jw_key(w, "channel");
		house_channel(w, &e->channel);
		jw_key(w, "member");
		house_channel_member(w, &(pb_ChannelMemberView){
						.has_user = e->has_user,
						.user = e->user,
						.channel_id = e->channel.id,
						.role = e->role,
						.joined_at_ms = (uint64_t)f->ev->at_ms,
						.added_by = e->by,
					});
	}
}

static void render_member_left(struct frame *f)
{
	const pb_ChannelMemberLeft *e = &f->body->body.channel_member_left;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "channel_id", e->channel.id);
	who(w, e->has_user, &e->user);
}

static void render_user_kicked(struct frame *f)
{
	const pb_ChannelMemberLeft *e = &f->body->body.channel_member_kicked;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "channel_id", e->channel.id);
	if (f->copy == HOUSE_COPY_PLACE)
		jw_kv(w, uuid, "user_id", e->has_user ? e->user.id : 0);
}

static void render_channel_member_updated(struct frame *f)
{
	const pb_ChannelMemberUpdated *e = &f->body->body.channel_member_updated;
	bool nickname = named(e->changed, e->changed_count, "nickname") &&
			!named(e->changed, e->changed_count, "role");

	if (nickname)
		f->type = "member_nickname_updated";
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "channel_id", e->channel.id);
	who(w, e->has_user, &e->user);
	if (nickname)
		jw_kv(w, str, "nickname", e->nickname);
	else
		jw_kv(w, str, "new_role", channel_role_word(e->role));
	if (f->detail) {
		pb_ChannelMemberView member = e->member;
		if (!e->has_member)
			member = (pb_ChannelMemberView){.has_user = e->has_user,
				.user = e->user,
				.channel_id = e->channel.id,
				.role = e->role,
				.nickname = e->nickname};
		jw_key(w, "member");
		house_channel_member(w, &member);
	}
}

static void channel_ban(struct frame *f, const pb_ChannelUserBanned *e)
{
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "channel_id", e->channel.id);
	if (f->copy == HOUSE_COPY_PLACE)
		jw_kv(w, uuid, "user_id", e->has_user ? e->user.id : 0);
	jw_kv(w, str, "motive", e->motive);
}

static void render_user_banned(struct frame *f)
{
	channel_ban(f, &f->body->body.channel_user_banned);
}

static void render_user_unbanned(struct frame *f)
{
	channel_ban(f, &f->body->body.channel_user_unbanned);
}

/* ---- channels */

static void channel_detail(struct frame *f, const pb_ChannelView *channel)
{
	if (f->detail) {
		jw_key(&f->w, "channel");
		house_channel(&f->w, channel);
	}
}

static struct json_writer *channel_appears(struct frame *f, const pb_ChannelView *channel)
{
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "channel_id", channel->id);
	jw_kv(w, str, "channel_name", channel->name == NULL ? "" : channel->name);
	channel_detail(f, channel);
	return w;
}

static void render_channel_created(struct frame *f)
{
	const pb_ChannelCreated *e = &f->body->body.channel_created;
	struct json_writer *w = channel_appears(f, &e->channel);
	if (f->detail)
		jw_kv(w, uuid, "cloned_from", e->cloned_from);
}

/* For a client there is a channel that was not there before. */
static void render_channel_undeleted(struct frame *f)
{
	channel_appears(f, &f->body->body.channel_undeleted.channel);
}

static void render_conversation_created(struct frame *f)
{
	const pb_ConversationCreated *e = &f->body->body.conversation_created;
	struct json_writer *w = frame_open(f);

	jw_kv(w, uuid, "channel_id", e->channel.id);
	jw_kv(w, str, "kind", channel_kind_word(e->channel.kind));
	jw_key(w, "user_ids");
	jw_array(w);
	for (size_t i = 0; i < e->users_count; i++)
		jw_uuid(w, e->users[i].id);
	jw_array_end(w);
	pb_ChannelView channel = e->channel;
	channel.users = e->users;
	channel.users_count = e->users_count;
	channel_detail(f, &channel);
}

static void render_channel_updated(struct frame *f)
{
	const pb_ChannelUpdated *e = &f->body->body.channel_updated;
	const pb_ChannelView *channel = &e->channel;
	char *const *changed = e->changed;
	size_t count = e->changed_count;
	struct json_writer *w = frame_open(f);

	jw_kv(w, uuid, "channel_id", channel->id);
	if (named(changed, count, "name"))
		jw_kv(w, str, "name", channel->name == NULL ? "" : channel->name);
	if (named(changed, count, "topic"))
		jw_kv(w, str, "topic", channel->topic);
	if (named(changed, count, "private"))
		jw_kv(w, bool, "private", channel->private);
	if (named(changed, count, "public_read"))
		jw_kv(w, bool, "public_read", channel->public_read);
	if (named(changed, count, "category_id"))
		jw_kv(w, uuid, "category_id", channel->category_id);
	if (named(changed, count, "position"))
		jw_kv(w, i64, "position", channel->position);
	if (named(changed, count, "slow_mode_s"))
		jw_kv(w, u64, "slow_mode_s", channel->slow_mode_s);
	if (named(changed, count, "archived_at"))
		jw_kv(w, time, "archived_at", (int64_t)channel->archived_at_ms);
	channel_detail(f, channel);
}

static void render_channel_deleted(struct frame *f)
{
	const pb_ChannelView *channel = &f->body->body.channel_deleted.channel;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "channel_id", channel->id);
	channel_detail(f, channel);
}

static void render_channel_archived(struct frame *f)
{
	const pb_ChannelView *channel = &f->body->body.channel_archived.channel;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "channel_id", channel->id);
	jw_kv(w, time, "archived_at", (int64_t)channel->archived_at_ms);
	channel_detail(f, channel);
}

static void render_channel_restored(struct frame *f)
{
	const pb_ChannelView *channel = &f->body->body.channel_restored.channel;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "channel_id", channel->id);
	channel_detail(f, channel);
}

/* ---- messages */

static void message_detail(struct frame *f, const pb_MessageView *message, uint64_t seq)
{
	if (f->detail) {
		jw_key(&f->w, "message");
		house_message_told(&f->w, message, seq);
	}
}

static void content(struct json_writer *w, const pb_MessageView *message)
{
	jw_kv(w, str, "content", house_content(w->mem, message));
}

/* A reply is a message_reply and not also a channel_message. System lines have events of their own here. */
static void render_message_posted(struct frame *f)
{
	const pb_MessagePosted *e = &f->body->body.message_posted;
	const pb_MessageView *message = &e->message;

	if (!e->has_message || message->kind == MESSAGE_SYSTEM)
		return;
	if (message->parent_id != 0)
		f->type = "message_reply";
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "channel_id", e->channel.id);
	jw_kv(w, uuid, "message_id", message->id);
	if (message->parent_id != 0)
		jw_kv(w, uuid, "parent_message_id", message->parent_id);
	who(w, message->has_author, &message->author);
	content(w, message);
	message_detail(f, message, f->ev->seq);
}

static void render_message_updated(struct frame *f)
{
	const pb_MessageUpdated *e = &f->body->body.message_updated;

	if (!e->has_message || e->message.kind == MESSAGE_SYSTEM)
		return;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "channel_id", e->channel.id);
	jw_kv(w, uuid, "message_id", e->message.id);
	content(w, &e->message);
	message_detail(f, &e->message, 0);
}

static void render_message_deleted(struct frame *f)
{
	const pb_MessageDeleted *e = &f->body->body.message_deleted;

	if (!e->has_message || e->message.kind == MESSAGE_SYSTEM)
		return;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "channel_id", e->channel.id);
	jw_kv(w, uuid, "message_id", e->message.id);
	message_detail(f, &e->message, 0);
}

static void reaction(struct frame *f, const pb_ReactionChanged *e)
{
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "channel_id", e->channel.id);
	jw_kv(w, uuid, "message_id", e->message_id);
	who(w, e->has_user, &e->user);
	jw_kv(w, str, "emoji", e->emoji == NULL ? "" : e->emoji);
	jw_kv(w, u64, "count", e->count);
}

static void render_reaction_added(struct frame *f)
{
	reaction(f, &f->body->body.reaction_added);
}

static void render_reaction_removed(struct frame *f)
{
	reaction(f, &f->body->body.reaction_removed);
}

/* Who did it is the event's actor; of what the system does nobody is named. */
static void pin(struct frame *f, const pb_MessagePinned *e)
{
	if (!e->has_message)
		return;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "channel_id", e->channel.id);
	jw_kv(w, uuid, "message_id", e->message.id);
	who(w, f->body->has_actor, &f->body->actor);
	message_detail(f, &e->message, 0);
}

static void render_message_pinned(struct frame *f)
{
	pin(f, &f->body->body.message_pinned);
}

static void render_message_unpinned(struct frame *f)
{
	pin(f, &f->body->body.message_unpinned);
}

static void render_bookmark_updated(struct frame *f)
{
	const pb_BookmarkChanged *e = &f->body->body.bookmark_changed;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "channel_id", e->channel.id);
	jw_kv(w, uuid, "message_id", e->message_id);
	jw_kv(w, bool, "bookmarked", e->set);
}

static const char *how_word(uint32_t how)
{
	return how == MENTION_REPLY ? "reply" : "user";
}

/* To the person mentioned; user_id is who wrote. */
static void render_user_mentioned(struct frame *f)
{
	const pb_UserMentioned *e = &f->body->body.user_mentioned;
	const pb_MessageView *message = &e->message;

	if (!e->has_message)
		return;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "channel_id", e->channel.id);
	jw_kv(w, uuid, "message_id", message->id);
	who(w, message->has_author, &message->author);
	content(w, message);
	jw_kv(w, str, "how", how_word(e->how));
	message_detail(f, message, 0);
}

static void render_unread_updated(struct frame *f)
{
	const pb_ReadStateChanged *e = &f->body->body.read_state_changed;

	if (e->root_id != 0) /* threads have no marks of their own here */
		return;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "channel_id", e->channel.id);
	jw_kv(w, uuid, "team_id", e->channel.team_id);
	jw_kv(w, u64, "unread", e->unread);
	jw_kv(w, u64, "mentions", e->mentions);
	jw_kv(w, uuid, "last_read_id", e->last_read_id);
}

static void render_channel_pref_updated(struct frame *f)
{
	const pb_ChannelPrefChanged *e = &f->body->body.channel_pref_changed;
	struct json_writer *w = frame_open(f);

	jw_kv(w, uuid, "channel_id", e->channel.id);
	jw_kv(w, str, "flag", channel_flag_word(e->flag));
	jw_kv(w, str, "notify", channel_notify_word(e->notify));
}

static void render_operator_announcement(struct frame *f)
{
	const pb_OperatorAnnounced *e = &f->body->body.operator_announced;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "announcement_id", e->id);
	jw_kv(w, str, "title", e->title == NULL ? "" : e->title);
	jw_kv(w, str, "text", e->text == NULL ? "" : e->text);
	jw_kv(w, time, "until", (int64_t)e->until_ms);
}

/* ---- presence */

static void render_status_updated(struct frame *f)
{
	const pb_StatusChanged *e = &f->body->body.status_changed;
	const pb_UserView *user = &e->user;

	if (!e->has_user)
		return;
	struct json_writer *w = frame_open(f);
	who(w, true, user);
	jw_kv(w, str, "message", user->has_status ? user->status.text : NULL);
	jw_kv(w, str, "emoji", user->has_status ? user->status.emoji : NULL);
	jw_kv(w, time, "expires_at", user->has_status ? (int64_t)user->status.expires_at_ms : 0);
}

static void render_user_typing(struct frame *f)
{
	const pb_TypingChanged *e = &f->body->body.typing_changed;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "channel_id", e->channel.id);
	who(w, e->has_user, &e->user);
	jw_kv(w, bool, "is_typing", e->is_typing);
}

/* What somebody chose is his own business: `invisible` looks like offline to everybody else. */
static void render_presence_updated(struct frame *f)
{
	const pb_PresenceChanged *e = &f->body->body.presence_changed;

	if (!e->has_user)
		return;
	struct json_writer *w = frame_open(f);
	who(w, true, &e->user);
	jw_kv(w, str, "status", presence_word(e->shown));
	if (f->copy == HOUSE_COPY_USER && e->chosen != 0)
		jw_kv(w, str, "chosen", presence_word(e->chosen));
	jw_kv(w, time, "last_seen_at", (int64_t)e->last_seen_at_ms);
}

/* ---- the table */

struct place {
	uint64_t channel_id, team_id;
};

/* The row's topic classes and, for events that have one, the channel. A body without its channel is shown
 * nowhere. */
static unsigned classes_of(const pb_Event *body, struct place *place)
{
	switch ((enum event_kind)body->which_body) {
#define EVENT(arm, wire, classes, render)                                                                    \
	case EVENT_KIND_##arm:                                                                               \
		return (classes);
#define EVENT_IN_CHANNEL(arm, wire, classes, render)                                                         \
	case EVENT_KIND_##arm:                                                                               \
		*place = (struct place){body->body.arm.channel.id, body->body.arm.channel.team_id};          \
		return body->body.arm.has_channel ? (classes) : 0;
#define EVENT_SOMEWHERE(arm, wire, classes, render)                                                          \
	case EVENT_KIND_##arm:                                                                               \
		if (body->body.arm.has_channel)                                                              \
			*place = (struct place){                                                             \
				body->body.arm.channel.id, body->body.arm.channel.team_id};                  \
		return (classes);
#define EVENT_NOT_SENT(arm, reason)                                                                          \
	case EVENT_KIND_##arm:                                                                               \
		return 0;
#include "common/dialects/house/events.tbl.h"
#undef EVENT
#undef EVENT_IN_CHANNEL
#undef EVENT_SOMEWHERE
#undef EVENT_NOT_SENT
	case EVENT_KIND_none:
		return 0;
	}
	return 0;
}

bool house_event_topics(const struct logged_event *ev, const pb_Event *body, struct house_topics *out)
{
	struct place place = {0, ev->stream.rank == RANK_TEAM ? ev->stream.id : 0};
	unsigned classes = classes_of(body, &place);

	*out = (struct house_topics){0};
	if (house_copy_of(ev->stream) == HOUSE_COPY_USER) {
		if (classes & OWN)
			out->user_id = ev->stream.id;
	} else if (strncmp(ev->audience, "conversation:", sizeof "conversation:" - 1) == 0) {
		if (classes & PLACE_CHANNEL)
			out->channel_id = place.channel_id;
		out->direct = (classes & (PLACE_CHANNEL | PLACE_TEAM)) != 0;
	} else {
		if (classes & PLACE_CHANNEL)
			out->channel_id = place.channel_id;
		if (classes & PLACE_TEAM)
			out->team_id = place.team_id;
		out->global = (classes & PLACE_GLOBAL) != 0;
	}
	return out->channel_id != 0 || out->team_id != 0 || out->user_id != 0 || out->global || out->direct;
}

const char *house_render_event(struct arena *mem, const struct logged_event *ev, const pb_Event *body,
	enum house_copy copy, bool resume, bool detail, size_t *out_length)
{
	struct frame f = {.ev = ev, .body = body, .copy = copy, .detail = detail};
	struct place place = {0};
	unsigned classes = classes_of(body, &place);

	/* What deletion blanked is not shown again: its message_deleted follows. */
	if (body->tombstone || (classes & (copy == HOUSE_COPY_USER ? OWN : ~(unsigned)OWN)) == 0)
		return NULL;
	jw_begin(&f.w, mem, detail ? 1024 : 512);
	switch ((enum event_kind)body->which_body) {
#define EVENT(arm, wire, classes, render)                                                                    \
	case EVENT_KIND_##arm:                                                                               \
		f.type = (wire);                                                                             \
		render(&f);                                                                                  \
		break;
#define EVENT_IN_CHANNEL(arm, wire, classes, render) EVENT(arm, wire, classes, render)
#define EVENT_SOMEWHERE(arm, wire, classes, render)  EVENT(arm, wire, classes, render)
#define EVENT_NOT_SENT(arm, reason)                                                                          \
	case EVENT_KIND_##arm:                                                                               \
		break;
#include "common/dialects/house/events.tbl.h"
#undef EVENT
#undef EVENT_IN_CHANNEL
#undef EVENT_SOMEWHERE
#undef EVENT_NOT_SENT
	case EVENT_KIND_none:
		break;
	}
	if (!f.open)
		return NULL;
	jw_object_end(&f.w);
	if (resume && ev->seq != 0) {
		char text[STREAM_TEXT_SIZE];
		stream_to_text(ev->stream, text);
		jw_kv(&f.w, str, "stream", text);
		jw_kv(&f.w, u64, "seq", ev->seq);
	}
	jw_object_end(&f.w);
	return jw_end(&f.w, out_length);
}
