/*
 * house/events_channels - channels and conversations, who is in them, and what one person set for a channel.
 */
#include "common/dialects/house/events_frame.h"

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

void house_render_channel_created(struct frame *f)
{
	const pb_ChannelCreated *e = &f->body->body.channel_created;
	struct json_writer *w = channel_appears(f, &e->channel);
	if (f->detail)
		jw_kv(w, uuid, "cloned_from", e->cloned_from);
}

/* For a client there is a channel that was not there before. */
void house_render_channel_undeleted(struct frame *f)
{
	channel_appears(f, &f->body->body.channel_undeleted.channel);
}

void house_render_conversation_created(struct frame *f)
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

void house_render_channel_updated(struct frame *f)
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

void house_render_channel_deleted(struct frame *f)
{
	const pb_ChannelView *channel = &f->body->body.channel_deleted.channel;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "channel_id", channel->id);
	channel_detail(f, channel);
}

void house_render_channel_archived(struct frame *f)
{
	const pb_ChannelView *channel = &f->body->body.channel_archived.channel;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "channel_id", channel->id);
	jw_kv(w, time, "archived_at", (int64_t)channel->archived_at_ms);
	channel_detail(f, channel);
}

void house_render_channel_restored(struct frame *f)
{
	const pb_ChannelView *channel = &f->body->body.channel_restored.channel;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "channel_id", channel->id);
	channel_detail(f, channel);
}

void house_render_channel_pref_updated(struct frame *f)
{
	const pb_ChannelPrefChanged *e = &f->body->body.channel_pref_changed;
	struct json_writer *w = frame_open(f);

	jw_kv(w, uuid, "channel_id", e->channel.id);
	jw_kv(w, str, "flag", channel_flag_word(e->flag));
	jw_kv(w, str, "notify", channel_notify_word(e->notify));
}

/* ---- members of channels. The given moderation events name the person in the channel's copy only: on his
 * own topic the topic says who he is. */

void house_render_member_joined(struct frame *f)
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

void house_render_member_left(struct frame *f)
{
	const pb_ChannelMemberLeft *e = &f->body->body.channel_member_left;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "channel_id", e->channel.id);
	who(w, e->has_user, &e->user);
}

void house_render_user_kicked(struct frame *f)
{
	const pb_ChannelMemberLeft *e = &f->body->body.channel_member_kicked;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "channel_id", e->channel.id);
	if (f->copy == HOUSE_COPY_PLACE)
		jw_kv(w, uuid, "user_id", e->has_user ? e->user.id : 0);
}

void house_render_channel_member_updated(struct frame *f)
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

void house_render_user_banned(struct frame *f)
{
	channel_ban(f, &f->body->body.channel_user_banned);
}

void house_render_user_unbanned(struct frame *f)
{
	channel_ban(f, &f->body->body.channel_user_unbanned);
}
