/*
 * house/events_presence - who is there, what he says of himself, and who is typing.
 */
#include "common/dialects/house/events_frame.h"

void house_render_status_updated(struct frame *f)
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

void house_render_user_typing(struct frame *f)
{
	const pb_TypingChanged *e = &f->body->body.typing_changed;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "channel_id", e->channel.id);
	who(w, e->has_user, &e->user);
	jw_kv(w, bool, "is_typing", e->is_typing);
}

/* What somebody chose is his own business: `invisible` looks like offline to everybody else. */
void house_render_presence_updated(struct frame *f)
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
