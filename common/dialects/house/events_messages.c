/*
 * house/events_messages - messages, what is put on them, and what one person has read of them.
 */
#include "common/dialects/house/events_frame.h"

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
void house_render_message_posted(struct frame *f)
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

void house_render_message_updated(struct frame *f)
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

void house_render_message_deleted(struct frame *f)
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

void house_render_reaction_added(struct frame *f)
{
	reaction(f, &f->body->body.reaction_added);
}

void house_render_reaction_removed(struct frame *f)
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

void house_render_message_pinned(struct frame *f)
{
	pin(f, &f->body->body.message_pinned);
}

void house_render_message_unpinned(struct frame *f)
{
	pin(f, &f->body->body.message_unpinned);
}

void house_render_bookmark_updated(struct frame *f)
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
void house_render_user_mentioned(struct frame *f)
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

void house_render_unread_updated(struct frame *f)
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
