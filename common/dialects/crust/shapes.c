#include "common/dialects/crust/shapes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/dialects/crust/lines.h"
#include "common/events/attachments.h"

/* ---- values */

void crust_begin(struct json_writer *w, struct arena *mem, size_t capacity_hint)
{
	jw_begin(w, mem, capacity_hint);
	w->escape_html = true;
}

void crust_id(struct json_writer *w, uint64_t id)
{
	char text[24];

	jw_strn(w, text, (size_t)snprintf(text, sizeof text, "%" PRIu64, id));
}

void crust_ids(struct json_writer *w, const uint64_t *ids, size_t count)
{
	jw_array(w);
	for (size_t i = 0; i < count; i++)
		crust_id(w, ids[i]);
	jw_array_end(w);
}

void crust_time(struct json_writer *w, uint64_t wall_ms)
{
	char text[CLOCK_RFC3339_SIZE];

	clock_format_rfc3339((int64_t)wall_ms, text);
	memcpy(text + sizeof "2025-01-15T10:30:00" - 1, "Z", 2);
	jw_str(w, text);
}

static void id_key(struct json_writer *w, const char *key, uint64_t id)
{
	jw_key(w, key);
	crust_id(w, id);
}

static void time_key(struct json_writer *w, const char *key, uint64_t wall_ms)
{
	if (wall_ms == 0)
		return;
	jw_key(w, key);
	crust_time(w, wall_ms);
}

static void ids_key(struct json_writer *w, const char *key, const uint64_t *ids, size_t count)
{
	if (count == 0)
		return;
	jw_key(w, key);
	crust_ids(w, ids, count);
}

static const char *text_of(const char *text)
{
	return text == NULL ? "" : text;
}

/* ---- unread */

void crust_unread(struct json_writer *w, const struct crust_unread *u)
{
	jw_object(w);
	if (u->channel_id != 0)
		id_key(w, "channelID", u->channel_id);
	if (u->thread_id != 0)
		id_key(w, "threadID", u->thread_id);
	if (u->last_message_id != 0)
		id_key(w, "lastMessageID", u->last_message_id);
	jw_kv(w, u64, "count", u->count);
	jw_kv(w, u64, "threadCount", u->thread_count);
	if (u->thread_total != 0)
		jw_kv(w, u64, "threadTotal", u->thread_total);
	jw_object_end(w);
}

/* ---- channels */

const char *crust_channel_type(const pb_ChannelView *channel)
{
	if (channel->team_id == 0)
		return "group";
	return channel->private ? "private" : "public";
}

const char *crust_flag_word(uint32_t flag)
{
	switch ((enum channel_flag)flag) {
	case FLAG_PINNED:
		return "pinned";
	case FLAG_HIDDEN:
		return "hidden";
	case FLAG_IGNORED:
		return "ignored";
	case FLAG_NONE:
		break;
	}
	return "";
}

uint32_t crust_flag_from_word(const char *word)
{
	static const enum channel_flag flags[] = {FLAG_PINNED, FLAG_HIDDEN, FLAG_IGNORED};

	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		if (strcmp(crust_flag_word(flags[i]), word) == 0)
			return flags[i];
	return 0;
}

const char *crust_policy_word(uint32_t policy)
{
	switch ((enum membership_policy)policy) {
	case POLICY_FEATURED:
		return "featured";
	case POLICY_FORCED:
		return "forced";
	case POLICY_NONE:
		break;
	}
	return "";
}

bool crust_policy_from_word(const char *word, uint32_t *out_policy)
{
	static const enum membership_policy policies[] = {POLICY_NONE, POLICY_FEATURED, POLICY_FORCED};

	for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
		if (strcmp(crust_policy_word(policies[i]), word) != 0)
			continue;
		*out_policy = policies[i];
		return true;
	}
	return false;
}

/* Who has a membership of the channel; of a conversation everybody in it. Clients look for themselves in it. */
static void members_key(struct json_writer *w, const pb_ChannelView *channel, uint64_t unlisted_id)
{
	bool listed = channel->member_ids_count > 0;

	if (!listed && channel->users_count == 0 && unlisted_id == 0)
		return;
	jw_key(w, "members");
	jw_array(w);
	for (size_t i = 0; i < channel->member_ids_count; i++)
		crust_id(w, channel->member_ids[i]);
	for (size_t i = 0; !listed && i < channel->users_count; i++)
		crust_id(w, channel->users[i].id);
	if (unlisted_id != 0)
		crust_id(w, unlisted_id);
	jw_array_end(w);
}

/* What "can..." says; the operation of crust is the permission here. */
static const struct {
	const char *key;
	enum permission permission;
} channel_cans[] = {
	{"canJoin", PERMISSION_join_channel},
	{"canPart", PERMISSION_leave_channel},
	{"canObserve", PERMISSION_view_text},
	{"canSendMessages", PERMISSION_send_messages},
	{"canDeleteMessages", PERMISSION_delete_any_message},
	{"canChangeMembers", PERMISSION_manage_channel_members},
	{"canChangeMembershipPolicy", PERMISSION_manage_roles},
	{"canUpdate", PERMISSION_update_channel},
	{"canArchive", PERMISSION_archive_channel},
	{"canDelete", PERMISSION_delete_channel},
};

/* In the state that a permission is for, it is the one for the way back: with the same word clients offer either. */
static enum permission permission_in_state(enum permission p, const pb_ChannelView *channel)
{
	if (p == PERMISSION_archive_channel && channel->archived_at_ms != 0)
		return PERMISSION_restore_channel;
	if (p == PERMISSION_delete_channel && channel->deleted_at_ms != 0)
		return PERMISSION_undelete_channel;
	return p;
}

void crust_channel(struct json_writer *w, const pb_ChannelView *channel, const struct crust_channel_own *own)
{
	jw_object(w);
	id_key(w, "channelID", channel->id);
	jw_kv(w, str, "name", text_of(channel->name));
	jw_kv(w, str, "topic", text_of(channel->topic));
	jw_kv(w, str, "type", crust_channel_type(channel));
	jw_kv(w, str, "membershipPolicy", crust_policy_word(channel->policy));
	id_key(w, "lastMessageID", channel->last_message_id);
	if (own->unread.count != 0 || own->unread.thread_count != 0) {
		jw_key(w, "unread");
		crust_unread(w, &own->unread);
	}
	members_key(w, channel, own->unlisted_id);
	jw_kv(w, str, "membershipFlag", crust_flag_word(own->flag));
	for (size_t i = 0; i < sizeof channel_cans / sizeof *channel_cans; i++)
		jw_kv(w, bool, channel_cans[i].key,
			bits_has(own->bits, permission_in_state(channel_cans[i].permission, channel)));
	jw_key(w, "createdAt");
	crust_time(w, channel->created_at_ms);
	time_key(w, "updatedAt", channel->updated_at_ms);
	time_key(w, "archivedAt", channel->archived_at_ms);
	time_key(w, "deletedAt", channel->deleted_at_ms);
	jw_object_end(w);
}

static const char *member_type(uint32_t role)
{
	switch ((enum channel_role)role) {
	case CHANNEL_ROLE_OWNER:
		return "owner";
	case CHANNEL_ROLE_INVITEE:
		return "invitee";
	case CHANNEL_ROLE_MODERATOR: /* crust has none */
	case CHANNEL_ROLE_MEMBER:
	case CHANNEL_ROLE_NONE:
		break;
	}
	return "member";
}

void crust_member(struct json_writer *w, const pb_ChannelMemberView *member)
{
	jw_object(w);
	id_key(w, "userID", member->user.id);
	jw_kv(w, str, "type", member_type(member->role));
	jw_key(w, "createdAt");
	crust_time(w, member->joined_at_ms);
	jw_object_end(w);
}

/* ---- attachments */

/* As it stands in a path. */
static const char *escaped(struct arena *mem, const char *text)
{
	static const char hex[] = "0123456789ABCDEF";
	char *out = arena_alloc(mem, 3 * strlen(text) + 1), *to = out;

	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			     strchr("-._~", c) != NULL;
		if (plain) {
			*to++ = (char)c;
		} else {
			*to++ = '%';
			*to++ = hex[c >> 4];
			*to++ = hex[c & 15];
		}
	}
	return out;
}

static void file_object(struct json_writer *w, uint64_t bytes, const char *ext, const char *mime, uint32_t width,
	uint32_t height, bool animated)
{
	jw_object(w);
	jw_kv(w, u64, "size", bytes);
	jw_kv(w, str, "ext", text_of(ext));
	jw_kv(w, str, "mimetype", text_of(mime));
	if (strncmp(text_of(mime), "image/", 6) == 0) {
		jw_key(w, "image");
		jw_object(w);
		if (width != 0)
			jw_kv(w, u64, "width", width);
		if (height != 0)
			jw_kv(w, u64, "height", height);
		jw_kv(w, bool, "animated", animated);
		jw_object_end(w);
	}
	jw_object_end(w);
}

void crust_attachment(struct json_writer *w, const pb_AttachmentView *a, uint64_t reader_id)
{
	const pb_PreviewView *p = &a->preview;
	char sign[ATTACHMENT_SIGN_SIZE];

	attachment_sign(a, reader_id, clock_wall_ms(), sign);
	const char *query = arena_printf(w->mem, "?sign=%s&userID=%" PRIu64, sign, reader_id);
	jw_object(w);
	id_key(w, "attachmentID", a->id);
	id_key(w, "userID", a->uploader_id);
	jw_kv(w, str, "url",
		arena_printf(w->mem, "/attachment/%" PRIu64 "/original/%s%s", a->id, escaped(w->mem, text_of(a->name)), query));
	jw_kv(w, str, "previewUrl",
		a->has_preview ? arena_printf(w->mem, "/attachment/%" PRIu64 "/preview.%s%s", a->id, text_of(p->ext), query)
			       : query);
	jw_key(w, "meta");
	jw_object(w);
	jw_key(w, "original");
	file_object(w, a->bytes, a->ext, a->mime, a->width, a->height, a->animated);
	if (a->has_preview) {
		jw_key(w, "preview");
		file_object(w, p->bytes, p->ext, p->mime, p->width, p->height, false);
	}
	jw_object_end(w);
	jw_kv(w, str, "name", text_of(a->name));
	jw_key(w, "createdAt");
	crust_time(w, a->created_at_ms);
	jw_object_end(w);
}

/* ---- messages */

const char *crust_message_type(const pb_MessageView *message)
{
	switch ((enum message_kind)message->kind) {
	case MESSAGE_ME:
		return "illeism";
	case MESSAGE_SYSTEM:
		return "channelEvent";
	case MESSAGE_TEXT:
		break;
	}
	if (message->attachments_count == 0 || text_of(message->content)[0] != '\0')
		return "";
	return strncmp(text_of(message->attachments[0].mime), "image/", 6) == 0 ? "inlineImage" : "attachment";
}

/* What people wrote, as opposed to what they did. */
static bool is_written(const pb_MessageView *message)
{
	return message->kind == MESSAGE_TEXT;
}

/* Not all are listed of many, the reader is: clients take back what they find themselves in, and add to the rest. */
static void reaction_users(struct json_writer *w, const pb_ReactionView *r, uint64_t reader_id)
{
	bool missing = r->me;

	jw_array(w);
	for (size_t i = 0; i < r->user_ids_count; i++) {
		crust_id(w, r->user_ids[i]);
		missing = missing && r->user_ids[i] != reader_id;
	}
	if (missing)
		crust_id(w, reader_id);
	jw_array_end(w);
}

static void reactions_key(struct json_writer *w, const pb_MessageView *message, uint64_t reader_id)
{
	if (message->reactions_count == 0)
		return;
	jw_key(w, "reactions");
	jw_array(w);
	for (size_t i = 0; i < message->reactions_count; i++) {
		const pb_ReactionView *r = &message->reactions[i];
		jw_object(w);
		jw_key(w, "userIDs");
		reaction_users(w, r, reader_id);
		jw_kv(w, str, "reaction", r->emoji);
		jw_kv(w, u64, "count", r->count);
		jw_object_end(w);
	}
	jw_array_end(w);
}

struct crust_unread crust_unread_of(const pb_UnreadView *view)
{
	return (struct crust_unread){.last_message_id = view->main_last_read_id,
		.count = view->recorded ? view->main_unread : 0,
		.thread_count = view->thread_unread,
		.thread_total = view->thread_total};
}

struct crust_message_own crust_message_own(const pb_MessageView *message, uint64_t reader_id)
{
	return (struct crust_message_own){.reader_id = reader_id,
		.bookmarked = message->bookmarked,
		.unread = {.last_message_id = message->thread_last_read_id, .count = message->thread_unread}};
}

const char *crust_message_text(struct arena *mem, const pb_MessageView *message)
{
	const char *text = text_of(message->kind == MESSAGE_SYSTEM ? crust_line(mem, message) : message->content);

	/* A file without a word is called by its name. */
	return text[0] == '\0' && message->attachments_count > 0 ? text_of(message->attachments[0].name) : text;
}

/* ---- a message */

void crust_message(struct json_writer *w, const pb_MessageView *message, const struct crust_message_own *own)
{
	uint64_t author = message->has_author && message->kind != MESSAGE_SYSTEM ? message->author.id : 0;
	bool editable = is_written(message) && author != 0 && author == own->reader_id;

	jw_object(w);
	id_key(w, "messageID", message->id);
	jw_kv(w, str, "type", crust_message_type(message));
	jw_kv(w, str, "message", crust_message_text(w->mem, message));
	id_key(w, "channelID", message->channel_id);
	id_key(w, "userID", author);
	if (message->root_id != 0)
		id_key(w, "replyTo", message->root_id);
	if (message->root_id == 0) {
		if (message->reply_count != 0)
			jw_kv(w, u64, "replies", message->reply_count);
		ids_key(w, "repliesFrom", message->reply_authors, message->reply_authors_count);
	}
	if (own->unread.count != 0) {
		jw_key(w, "unread");
		crust_unread(w, &own->unread);
	}
	if (message->attachments_count > 0) { /* there is one at most where this API's clients write */
		jw_key(w, "att");
		crust_attachment(w, &message->attachments[0], own->reader_id);
	}
	if (message->has_mentions)
		ids_key(w, "mentions", message->mentions.user_ids, message->mentions.user_ids_count);
	reactions_key(w, message, own->reader_id);
	jw_kv(w, bool, "isBookmarked", own->bookmarked);
	jw_kv(w, bool, "isPinned", message->pinned_at_ms != 0);
	jw_kv(w, bool, "canReply", is_written(message) && message->root_id == 0);
	jw_kv(w, bool, "canEdit", editable);
	jw_kv(w, bool, "canDelete", editable);
	jw_key(w, "createdAt");
	crust_time(w, message->created_at_ms);
	time_key(w, "updatedAt", message->edited_at_ms);
	time_key(w, "deletedAt", message->deleted_at_ms);
	jw_object_end(w);
}

/* ---- the rest */

void crust_webhook(struct json_writer *w, const pb_WebhookView *webhook, const char *token, const char *secret)
{
	jw_object(w);
	id_key(w, "webhookID", webhook->id);
	id_key(w, "channelID", webhook->channel_id);
	id_key(w, "userID", webhook->bot_id);
	id_key(w, "ownerUserID", webhook->owner_id);
	jw_kv(w, str, "kind", webhook_kind_word(webhook->kind));
	jw_kv(w, str, "trigger", text_of(webhook->trigger));
	jw_kv(w, str, "url", text_of(webhook->url));
	jw_kv(w, str, "username", text_of(webhook->name));
	jw_kv(w, str, "avatarURL", text_of(webhook->avatar));
	if (token != NULL)
		jw_kv(w, str, "token", token);
	if (secret != NULL)
		jw_kv(w, str, "secret", secret);
	jw_key(w, "createdAt");
	crust_time(w, webhook->created_at_ms);
	time_key(w, "updatedAt", webhook->updated_at_ms);
	time_key(w, "deletedAt", webhook->deleted_at_ms);
	jw_object_end(w);
}

void crust_command(struct json_writer *w, const char *name, const char *description)
{
	jw_object(w);
	jw_kv(w, str, "name", name);
	jw_kv(w, null, "params");
	jw_kv(w, str, "description", description);
	jw_object_end(w);
}

void crust_status(struct json_writer *w, uint64_t user_id, const char *icon, const char *message)
{
	jw_object(w);
	id_key(w, "userID", user_id);
	jw_kv(w, str, "present", "online");
	jw_kv(w, str, "icon", text_of(icon));
	jw_kv(w, str, "message", text_of(message));
	jw_object_end(w);
}

static void operation_keys(struct json_writer *w, const char *resource, const char *operation)
{
	jw_kv(w, str, "resource", resource);
	jw_kv(w, str, "operation", operation);
}

void crust_operation(struct json_writer *w, const char *resource, const char *operation)
{
	jw_object(w);
	operation_keys(w, resource, operation);
	jw_object_end(w);
}

void crust_rule(
	struct json_writer *w, uint64_t role_id, const char *resource, const char *operation, const char *access)
{
	jw_object(w);
	id_key(w, "roleID", role_id);
	operation_keys(w, resource, operation);
	jw_kv(w, str, "access", access);
	jw_object_end(w);
}

void crust_effective(struct json_writer *w, const char *resource, const char *operation, bool allow)
{
	jw_object(w);
	operation_keys(w, resource, operation);
	jw_kv(w, bool, "allow", allow);
	jw_object_end(w);
}
