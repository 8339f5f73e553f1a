/*
 * house/events_accounts - accounts, their sessions, and what the operator says to all of them.
 */
#include "common/dialects/house/events_frame.h"

void house_render_user_updated(struct frame *f)
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

void house_render_account_closed(struct frame *f)
{
	struct json_writer *w = frame_open(f);
	jw_key(w, "session_id");
	jw_null(w);
	jw_kv(w, str, "why", why_word(f->body->body.account_closed.why));
}

void house_render_session_revoked(struct frame *f)
{
	const pb_SessionRevoked *e = &f->body->body.session_revoked;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "session_id", e->session_id);
	if (e->but_session_id != 0)
		jw_kv(w, uuid, "but_session_id", e->but_session_id);
	jw_kv(w, str, "why", why_word(e->why));
}

void house_render_session_opened(struct frame *f)
{
	const pb_SessionOpened *e = &f->body->body.session_opened;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "session_id", e->session_id);
	jw_kv(w, str, "client_label", e->client_label);
	jw_kv(w, time, "expires_at", (int64_t)e->expires_at_ms);
}

void house_render_operator_announcement(struct frame *f)
{
	const pb_OperatorAnnounced *e = &f->body->body.operator_announced;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "announcement_id", e->id);
	jw_kv(w, str, "title", e->title == NULL ? "" : e->title);
	jw_kv(w, str, "text", e->text == NULL ? "" : e->text);
	jw_kv(w, time, "until", (int64_t)e->until_ms);
}
