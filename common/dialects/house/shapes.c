#include "common/dialects/house/shapes.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/dialects/house/markup.h"
#include "common/events/attachments.h"
#include "common/events/kinds.h"
#include "common/json/reader.h"

/* Names of an erased account are gone even where an old snapshot still holds them. */
static const char *unless_erased(const pb_UserView *user, const char *text)
{
	return user->erased ? NULL : text;
}

/* A word of an enum; what this build does not know is null rather than an empty string. */
static void word(struct json_writer *w, const char *key, const char *text)
{
	jw_key(w, key);
	jw_str(w, text);
}

static void status_object(struct json_writer *w, bool has, const pb_StatusView *status)
{
	if (!has || (status->text == NULL && status->emoji == NULL)) {
		jw_null(w);
		return;
	}
	jw_object(w);
	jw_kv(w, str, "message", status->text);
	jw_kv(w, str, "emoji", status->emoji);
	jw_kv(w, time, "expires_at", (int64_t)status->expires_at_ms);
	jw_object_end(w);
}

void house_username(struct json_writer *w, const pb_UserView *user)
{
	if (user == NULL || user->erased || user->username == NULL || user->username[0] == '\0')
		jw_null(w);
	else
		jw_str(w, user->username);
}

static void user_keys(struct json_writer *w, const pb_UserView *user)
{
	jw_kv(w, uuid, "id", user->id);
	jw_key(w, "username");
	house_username(w, user);
	jw_kv(w, str, "display_name", unless_erased(user, user->display_name));
	jw_kv(w, str, "avatar_url", unless_erased(user, user->avatar));
	jw_kv(w, bool, "bot", user->bot);
	jw_kv(w, time, "created_at", (int64_t)user->created_at_ms);
}

void house_user(struct json_writer *w, const pb_UserView *user)
{
	if (user == NULL) {
		jw_null(w);
		return;
	}
	jw_object(w);
	user_keys(w, user);
	jw_object_end(w);
}

void house_author(struct json_writer *w, const pb_UserView *user)
{
	house_user(w, user == NULL || user->erased || user->id == 0 ? NULL : user);
}

void house_profile(struct json_writer *w, const struct house_profile *profile)
{
	const pb_UserView *user = profile->user;

	jw_object(w);
	user_keys(w, user);
	jw_kv(w, str, "banner_url", unless_erased(user, user->banner));
	jw_kv(w, str, "bio", unless_erased(user, user->bio));
	jw_kv(w, str, "tagline", unless_erased(user, user->tagline));
	jw_kv(w, bool, "verified", user->verified);
	jw_kv(w, bool, "system", user->system);
	if (profile->own) {
		jw_kv(w, str, "email", profile->email);
		jw_kv(w, bool, "email_verified", profile->email_verified);
		jw_kv(w, bool, "disabled", user->disabled);
	}
	jw_object_end(w);
}

void house_bot(struct json_writer *w, const struct house_bot *bot)
{
	const pb_UserView *user = bot->user;

	jw_object(w);
	user_keys(w, user);
	jw_kv(w, str, "banner_url", user->banner);
	jw_kv(w, str, "bio", user->bio);
	jw_kv(w, str, "tagline", user->tagline);
	jw_kv(w, uuid, "owner_id", bot->owner_id);
	jw_kv(w, bool, "disabled", user->disabled);
	jw_object_end(w);
}

void house_session(struct json_writer *w, const struct house_session *session)
{
	jw_object(w);
	if (session->token != NULL)
		jw_kv(w, str, "token", session->token);
	jw_kv(w, uuid, "session_id", session->id);
	if (session->token != NULL) {
		jw_key(w, "user");
		house_user(w, session->user);
	} else {
		jw_kv(w, str, "client_label", session->client_label);
		jw_kv(w, str, "agent", session->agent);
		jw_kv(w, str, "address", session->address);
		jw_kv(w, time, "created_at", session->created_at_ms);
		jw_kv(w, time, "last_used_at", session->last_used_at_ms);
		jw_kv(w, bool, "current", session->current);
	}
	jw_kv(w, time, "expires_at", session->expires_at_ms);
	jw_object_end(w);
}

void house_team(struct json_writer *w, const pb_TeamView *team)
{
	jw_object(w);
	jw_kv(w, uuid, "id", team->id);
	jw_kv(w, str, "name", team->name);
	jw_kv(w, str, "slug", team->slug);
	jw_kv(w, str, "description", team->description);
	jw_kv(w, str, "icon_url", team->icon);
	jw_kv(w, str, "banner_url", team->banner);
	jw_kv(w, uuid, "owner_id", team->owner_id);
	word(w, "joining", joining_word(team->joining));
	jw_kv(w, bool, "public_read", team->public_read);
	jw_kv(w, uuid, "default_channel_id", team->default_channel_id);
	jw_kv(w, uuid, "base_role_id", team->base_role_id);
	jw_kv(w, u64, "member_count", team->member_count);
	jw_kv(w, time, "created_at", (int64_t)team->created_at_ms);
	jw_object_end(w);
}

void house_channel(struct json_writer *w, const pb_ChannelView *channel)
{
	jw_object(w);
	jw_kv(w, uuid, "id", channel->id);
	jw_kv(w, uuid, "team_id", channel->team_id);
	word(w, "kind", channel_kind_word(channel->kind));
	jw_kv(w, str, "name", channel->name == NULL ? "" : channel->name);
	jw_kv(w, str, "topic", channel->topic);
	jw_kv(w, bool, "private", channel->private);
	jw_kv(w, bool, "public_read", channel->public_read);
	jw_kv(w, uuid, "category_id", channel->category_id);
	jw_kv(w, i64, "position", channel->position);
	jw_kv(w, u64, "slow_mode_s", channel->slow_mode_s);
	jw_kv(w, time, "archived_at", (int64_t)channel->archived_at_ms);
	jw_kv(w, uuid, "last_message_id", channel->last_message_id);
	jw_kv(w, uuid, "created_by", channel->created_by);
	jw_kv(w, time, "created_at", (int64_t)channel->created_at_ms);
	if (channel->users_count > 0) {
		jw_key(w, "members");
		jw_array(w);
		for (size_t i = 0; i < channel->users_count; i++)
			house_user(w, &channel->users[i]);
		jw_array_end(w);
	}
	jw_object_end(w);
}

void house_permissions(struct json_writer *w, const pb_Bits *set)
{
	struct bits bits = {set->low, set->high};

	jw_array(w);
#define PERMISSION(n, name, base)                                                                            \
	if (bits_has(bits, PERMISSION_##name))                                                               \
		jw_str(w, #name);
#include "common/events/permissions.tbl.h"
#undef PERMISSION
	jw_array_end(w);
}

void house_role(struct json_writer *w, const pb_RoleView *role)
{
	jw_object(w);
	jw_kv(w, uuid, "id", role->id);
	jw_kv(w, uuid, "team_id", role->team_id);
	jw_kv(w, str, "name", role->name == NULL ? "" : role->name);
	jw_key(w, "permissions");
	house_permissions(w, &role->permissions);
	jw_kv(w, i64, "position", role->position);
	jw_key(w, "color");
	house_color(w, role->color);
	jw_kv(w, bool, "base", role->is_base);
	jw_kv(w, bool, "mentionable", role->mentionable);
	jw_kv(w, bool, "separate", role->separate);
	jw_kv(w, bool, "self_assignable", role->self_assignable);
	jw_kv(w, time, "created_at", (int64_t)role->created_at_ms);
	jw_object_end(w);
}

void house_override_keys(struct json_writer *w, const pb_OverrideView *override)
{
	jw_kv(w, str, "scope", override_scope_word(override->scope));
	jw_kv(w, uuid, "channel_id", override->scope == OVERRIDE_CHANNEL ? override->scope_id : 0);
	jw_kv(w, uuid, "category_id", override->scope == OVERRIDE_CATEGORY ? override->scope_id : 0);
	jw_kv(w, uuid, "role_id", override->subject_kind == OVERRIDE_OF_ROLE ? override->subject_id : 0);
	jw_kv(w, uuid, "user_id", override->subject_kind == OVERRIDE_OF_USER ? override->subject_id : 0);
	jw_key(w, "allow");
	house_permissions(w, &override->allow);
	jw_key(w, "deny");
	house_permissions(w, &override->deny);
}

void house_override(struct json_writer *w, const pb_OverrideView *override)
{
	jw_object(w);
	house_override_keys(w, override);
	jw_object_end(w);
}

void house_color(struct json_writer *w, uint32_t color)
{
	if (color == 0)
		jw_null(w);
	else
		jw_u64(w, color);
}

void house_member(struct json_writer *w, const pb_MemberView *member)
{
	jw_object(w);
	jw_key(w, "user");
	house_user(w, member->has_user ? &member->user : NULL);
	jw_kv(w, uuid, "team_id", member->team_id);
	jw_key(w, "roles");
	jw_array(w);
	for (size_t i = 0; i < member->role_ids_count; i++)
		jw_uuid(w, member->role_ids[i]);
	jw_array_end(w);
	jw_key(w, "permissions");
	house_permissions(w, &member->permissions);
	jw_kv(w, bool, "owner", member->owner);
	jw_kv(w, str, "nickname", member->nickname);
	jw_kv(w, time, "joined_at", (int64_t)member->joined_at_ms);
	jw_kv(w, time, "timeout_until", (int64_t)member->timeout_until_ms);
	jw_object_end(w);
}

void house_channel_member(struct json_writer *w, const pb_ChannelMemberView *member)
{
	jw_object(w);
	jw_key(w, "user");
	house_user(w, member->has_user ? &member->user : NULL);
	jw_kv(w, uuid, "channel_id", member->channel_id);
	word(w, "role", channel_role_word(member->role));
	jw_kv(w, str, "nickname", member->nickname);
	jw_kv(w, time, "joined_at", (int64_t)member->joined_at_ms);
	jw_key(w, "timeout_until");
	jw_null(w); /* timeouts are the team's */
	jw_object_end(w);
}

static void reaction_object(struct json_writer *w, const pb_ReactionView *reaction, bool own)
{
	jw_object(w);
	jw_kv(w, str, "emoji", reaction->emoji == NULL ? "" : reaction->emoji);
	jw_kv(w, u64, "count", reaction->count);
	if (own)
		jw_kv(w, bool, "me", reaction->me);
	jw_object_end(w);
}

void house_reaction(struct json_writer *w, const pb_ReactionView *reaction)
{
	reaction_object(w, reaction, true);
}

void house_reactor(struct json_writer *w, const pb_ReactorView *reactor)
{
	jw_object(w);
	jw_key(w, "user");
	house_user(w, reactor->has_user ? &reactor->user : NULL);
	jw_kv(w, time, "created_at", (int64_t)reactor->at_ms);
	jw_object_end(w);
}

static const char *content_text(
	struct arena *mem, const char *content, bool has_mentions, const pb_MentionsView *mentions)
{
	return content == NULL ? "" : house_markup_write(mem, content, has_mentions ? mentions : NULL);
}

const char *house_content(struct arena *mem, const pb_MessageView *message)
{
	return content_text(mem, message->content, message->has_mentions, &message->mentions);
}

static void ids(struct json_writer *w, const char *key, const uint64_t *list, size_t count)
{
	jw_key(w, key);
	jw_array(w);
	for (size_t i = 0; i < count; i++)
		jw_uuid(w, list[i]);
	jw_array_end(w);
}

static void mentions_object(struct json_writer *w, const pb_MentionsView *mentions)
{
	jw_object(w);
	ids(w, "users", mentions->user_ids, mentions->user_ids_count);
	ids(w, "roles", mentions->role_ids, mentions->role_ids_count);
	jw_kv(w, bool, "everyone", mentions->everyone);
	jw_kv(w, bool, "here", mentions->here);
	ids(w, "channels", mentions->channel_ids, mentions->channel_ids_count);
	jw_object_end(w);
}

static void line_object(struct json_writer *w, const pb_SystemLineView *line)
{
	size_t ids = system_template_ids(line->template);

	jw_object(w);
	jw_kv(w, str, "template", system_template_word(line->template));
	jw_key(w, "args");
	jw_array(w);
	for (size_t i = 0; i < line->args_count; i++)
		if (i < ids)
			jw_uuid(w, strtoull(line->args[i], NULL, 10));
		else
			jw_str(w, line->args[i]);
	jw_array_end(w);
	jw_object_end(w);
}

/* A number that is 0 while it is not known. */
static void known(struct json_writer *w, const char *key, uint64_t number)
{
	jw_key(w, key);
	if (number != 0)
		jw_u64(w, number);
	else
		jw_null(w);
}

/* Signed for everybody: the object is one for all who see the message. */
static void attachment_url(struct json_writer *w, const pb_AttachmentView *attachment, const char *below)
{
	char id[IDS_UUID_SIZE], sign[ATTACHMENT_SIGN_SIZE];

	ids_to_uuid(attachment->id, id);
	attachment_sign(attachment, 0, clock_wall_ms(), sign);
	jw_kv(w, str, "url", arena_printf(w->mem, "/v1/attachments/%s%s?sign=%s", id, below, sign));
}

void house_attachment(struct json_writer *w, const pb_AttachmentView *attachment)
{
	const pb_PreviewView *preview = &attachment->preview;

	jw_object(w);
	jw_kv(w, uuid, "id", attachment->id);
	jw_kv(w, uuid, "user_id", attachment->uploader_id);
	jw_kv(w, str, "name", attachment->name);
	jw_kv(w, u64, "bytes", attachment->bytes);
	jw_kv(w, str, "media_type", attachment->mime);
	known(w, "width", attachment->width);
	known(w, "height", attachment->height);
	jw_kv(w, bool, "animated", attachment->animated);
	attachment_url(w, attachment, "");
	jw_key(w, "preview");
	if (attachment->has_preview) {
		jw_object(w);
		attachment_url(w, attachment, "/preview");
		jw_kv(w, u64, "bytes", preview->bytes);
		jw_kv(w, str, "media_type", preview->mime);
		jw_kv(w, u64, "width", preview->width);
		jw_kv(w, u64, "height", preview->height);
		jw_object_end(w);
	} else {
		jw_null(w);
	}
	jw_kv(w, time, "created_at", (int64_t)attachment->created_at_ms);
	jw_object_end(w);
}

static void message_object(struct json_writer *w, const pb_MessageView *message, uint64_t seq, bool own)
{
	jw_object(w);
	jw_kv(w, uuid, "id", message->id);
	jw_kv(w, uuid, "channel_id", message->channel_id);
	jw_key(w, "author");
	house_author(w, message->has_author ? &message->author : NULL);
	jw_kv(w, str, "kind", message_kind_word(message->kind));
	jw_kv(w, str, "content", house_content(w->mem, message));
	if (message->has_line) {
		jw_key(w, "line");
		line_object(w, &message->line);
	}
	jw_kv(w, uuid, "parent_message_id", message->parent_id);
	jw_kv(w, uuid, "root_message_id", message->root_id);
	jw_kv(w, u64, "reply_count", message->reply_count);
	jw_key(w, "reactions");
	jw_array(w);
	for (size_t i = 0; i < message->reactions_count; i++)
		reaction_object(w, &message->reactions[i], own);
	jw_array_end(w);
	jw_kv(w, bool, "pinned", message->pinned_at_ms != 0);
	jw_kv(w, time, "pinned_at", (int64_t)message->pinned_at_ms);
	jw_kv(w, uuid, "pinned_by", message->pinned_by);
	if (own)
		jw_kv(w, bool, "bookmarked", message->bookmarked);
	jw_key(w, "attachments");
	jw_array(w);
	for (size_t i = 0; i < message->attachments_count; i++)
		house_attachment(w, &message->attachments[i]);
	jw_array_end(w);
	jw_key(w, "embeds");
	jw_array(w);
	jw_array_end(w);
	jw_key(w, "mentions");
	mentions_object(w, &message->mentions);
	jw_kv(w, str, "nonce", message->nonce);
	jw_kv(w, bool, "silent", message->silent);
	jw_kv(w, uuid, "webhook_id", message->webhook_id);
	jw_kv(w, str, "shown_name", message->shown_name);
	jw_kv(w, str, "shown_avatar_url", message->shown_avatar);
	jw_kv(w, time, "created_at", (int64_t)message->created_at_ms);
	jw_kv(w, time, "edited_at", (int64_t)message->edited_at_ms);
	jw_kv(w, u64, "seq", message->seq != 0 ? message->seq : seq);
	jw_object_end(w);
}

void house_message(struct json_writer *w, const pb_MessageView *message, uint64_t seq)
{
	message_object(w, message, seq, true);
}

void house_message_told(struct json_writer *w, const pb_MessageView *message, uint64_t seq)
{
	message_object(w, message, seq, false);
}

void house_edit(struct json_writer *w, const pb_EditView *edit)
{
	jw_object(w);
	jw_kv(w, str, "content", content_text(w->mem, edit->content, edit->has_mentions, &edit->mentions));
	jw_kv(w, time, "edited_at", (int64_t)edit->edited_at_ms);
	jw_kv(w, uuid, "edited_by", edit->edited_by);
	jw_object_end(w);
}

void house_ban(struct json_writer *w, const pb_BanView *ban)
{
	jw_object(w);
	jw_key(w, "user");
	house_user(w, ban->has_user ? &ban->user : NULL);
	jw_kv(w, str, "motive", ban->reason);
	jw_key(w, "by");
	house_author(w, ban->has_by ? &ban->by : NULL);
	jw_kv(w, time, "created_at", (int64_t)ban->created_at_ms);
	jw_kv(w, time, "expires_at", (int64_t)ban->expires_at_ms);
	jw_object_end(w);
}

void house_invite(struct json_writer *w, const pb_InviteView *invite)
{
	jw_object(w);
	jw_kv(w, str, "code", invite->code);
	jw_kv(w, uuid, "team_id", invite->team_id);
	jw_key(w, "by");
	house_author(w, invite->has_by ? &invite->by : NULL);
	jw_key(w, "max_uses");
	if (invite->max_uses != 0)
		jw_u64(w, invite->max_uses);
	else
		jw_null(w);
	jw_kv(w, u64, "uses", invite->uses);
	jw_kv(w, time, "created_at", (int64_t)invite->created_at_ms);
	jw_kv(w, time, "expires_at", (int64_t)invite->expires_at_ms);
	if (invite->has_team) {
		jw_key(w, "team");
		jw_object(w);
		jw_kv(w, uuid, "id", invite->team.id);
		jw_kv(w, str, "name", invite->team.name);
		jw_kv(w, str, "description", invite->team.description);
		jw_kv(w, str, "icon_url", invite->team.icon);
		jw_kv(w, u64, "member_count", invite->team.member_count);
		jw_object_end(w);
	}
	jw_object_end(w);
}

static void webhook_keys(struct json_writer *w, const pb_WebhookView *webhook)
{
	jw_kv(w, uuid, "id", webhook->id);
	jw_kv(w, uuid, "team_id", webhook->team_id);
	jw_kv(w, uuid, "channel_id", webhook->channel_id);
	word(w, "kind", webhook_kind_word(webhook->kind));
	jw_kv(w, str, "name", webhook->name);
	jw_kv(w, str, "avatar_url", webhook->avatar);
	jw_kv(w, uuid, "bot_id", webhook->bot_id);
	jw_kv(w, uuid, "owner_id", webhook->owner_id);
	jw_kv(w, str, "trigger", webhook->trigger);
	jw_kv(w, str, "url", webhook->url);
	jw_kv(w, time, "created_at", (int64_t)webhook->created_at_ms);
	jw_kv(w, time, "updated_at", (int64_t)webhook->updated_at_ms);
}

void house_webhook(struct json_writer *w, const pb_WebhookView *webhook)
{
	jw_object(w);
	webhook_keys(w, webhook);
	jw_object_end(w);
}

void house_webhook_made(struct json_writer *w, const pb_WebhookReply *made)
{
	jw_object(w);
	webhook_keys(w, &made->webhook);
	jw_kv(w, str, "token", made->token);
	jw_kv(w, str, "secret", made->secret);
	jw_object_end(w);
}

void house_command(struct json_writer *w, const pb_CommandView *command)
{
	jw_object(w);
	jw_kv(w, str, "word", command->word);
	jw_kv(w, str, "description", command->description);
	jw_kv(w, uuid, "webhook_id", command->webhook_id);
	jw_object_end(w);
}

void house_command_result(struct json_writer *w, const pb_RunCommandReply *result)
{
	jw_object(w);
	jw_key(w, "message");
	if (result->has_message)
		house_message(w, &result->message, 0);
	else
		jw_null(w);
	jw_kv(w, bool, "waiting", result->waiting);
	jw_object_end(w);
}

void house_audit_target(struct json_writer *w, const pb_AuditView *entry)
{
	jw_key(w, "target");
	jw_object(w);
	jw_kv(w, str, "kind", entry->target_kind);
	jw_kv(w, uuid, "id", entry->target_id);
	jw_object_end(w);
}

static void hex(struct json_writer *w, const char *key, const pb_bytes_array_t *bytes)
{
	static const char digits[] = "0123456789abcdef";
	char text[2 * 64 + 1];
	size_t length = 0;

	for (size_t i = 0; bytes != NULL && i < bytes->size && length + 2 < sizeof text; i++) {
		text[length++] = digits[bytes->bytes[i] >> 4];
		text[length++] = digits[bytes->bytes[i] & 15];
	}
	jw_key(w, key);
	jw_strn(w, text, length);
}

void house_audit(struct json_writer *w, const pb_AuditView *entry)
{
	jw_object(w);
	jw_kv(w, u64, "no", entry->no);
	jw_kv(w, uuid, "id", entry->id);
	jw_kv(w, uuid, "team_id", entry->team_id);
	jw_kv(w, time, "at", (int64_t)entry->at_ms);
	jw_kv(w, uuid, "actor_id", entry->actor_id);
	jw_key(w, "actor");
	house_author(w, entry->has_actor ? &entry->actor : NULL);
	jw_kv(w, str, "action", entry->action);
	house_audit_target(w, entry);
	jw_key(w, "changes");
	if (entry->changes != NULL && json_is_whole_object(entry->changes, strlen(entry->changes)))
		jw_raw(w, entry->changes, strlen(entry->changes));
	else
		jw_null(w);
	jw_kv(w, str, "why", entry->why);
	jw_kv(w, u64, "cause_seq", entry->cause_seq);
	hex(w, "prev_hash", entry->prev_hash);
	hex(w, "hash", entry->hash);
	jw_object_end(w);
}

void house_presence(struct json_writer *w, const pb_PresenceView *presence)
{
	jw_object(w);
	jw_kv(w, uuid, "user_id", presence->user_id);
	word(w, "status", presence_word(presence->shown));
	if (presence->chosen != 0)
		word(w, "chosen", presence_word(presence->chosen));
	jw_key(w, "custom_status");
	status_object(w, presence->has_status, &presence->status);
	jw_kv(w, time, "last_seen_at", (int64_t)presence->last_seen_at_ms);
	jw_object_end(w);
}

void house_unread(struct json_writer *w, const pb_UnreadView *unread)
{
	jw_object(w);
	jw_kv(w, uuid, "channel_id", unread->channel_id);
	jw_kv(w, uuid, "team_id", unread->team_id);
	jw_kv(w, u64, "unread", unread->unread);
	jw_kv(w, u64, "mentions", unread->mentions);
	jw_kv(w, uuid, "last_read_id", unread->last_read_id);
	jw_kv(w, uuid, "last_message_id", unread->last_message_id);
	jw_kv(w, u64, "thread_unread", unread->thread_unread);
	jw_kv(w, u64, "threads", unread->thread_total);
	jw_object_end(w);
}

void house_channel_preferences(struct json_writer *w, const pb_UnreadView *unread)
{
	jw_object(w);
	jw_kv(w, uuid, "channel_id", unread->channel_id);
	jw_kv(w, str, "flag", channel_flag_word(unread->flag));
	jw_kv(w, str, "notify", channel_notify_word(unread->notify));
	jw_object_end(w);
}

void house_problem(struct json_writer *w, const struct house_problem *problem)
{
	char type[96] = "urn:guildhall:problem:";
	const char *wire = status_wire(problem->status);
	size_t at = sizeof "urn:guildhall:problem:" - 1;

	for (; *wire != '\0' && at + 1 < sizeof type; wire++)
		type[at++] = *wire;
	jw_object(w);
	jw_kv(w, str, "type", type);
	jw_kv(w, str, "title", status_text(problem->status));
	jw_kv(w, i64, "status", status_http(problem->status));
	jw_kv(w, str, "detail", problem->detail != NULL ? problem->detail : status_text(problem->status));
	jw_kv(w, str, "code", status_wire(problem->status));
	if (problem->field != NULL)
		jw_kv(w, str, "field", problem->field);
	if (problem->why != NULL)
		jw_kv(w, str, "why", problem->why);
	jw_kv(w, str, "trace_id", problem->trace);
	jw_object_end(w);
}
