/*
 * house/events_teams - teams, who is in them, invites, settings and the audit view.
 */
#include "common/dialects/house/events_frame.h"
#include "common/json/reader.h"

static void team_detail(struct frame *f, const pb_TeamView *team)
{
	if (f->detail) {
		jw_key(&f->w, "team");
		house_team(&f->w, team);
	}
}

void house_render_team_created(struct frame *f)
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

void house_render_team_updated(struct frame *f)
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

void house_render_team_deleted(struct frame *f)
{
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "team_id", f->body->body.team_deleted.team_id);
}

void house_render_team_member_joined(struct frame *f)
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

void house_render_team_member_left(struct frame *f)
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

void house_render_team_member_updated(struct frame *f)
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

void house_render_team_user_banned(struct frame *f)
{
	const pb_MemberBanned *e = &f->body->body.member_banned;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "team_id", e->team_id);
	who(w, e->has_user, &e->user);
	jw_kv(w, str, "motive", e->reason);
	jw_kv(w, time, "expires_at", (int64_t)e->expires_at_ms);
}

void house_render_team_user_unbanned(struct frame *f)
{
	const pb_MemberBanned *e = &f->body->body.member_unbanned;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "team_id", e->team_id);
	who(w, e->has_user, &e->user);
	jw_kv(w, str, "motive", e->reason);
}

void house_render_user_timed_out(struct frame *f)
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

void house_render_invite_created(struct frame *f)
{
	invite_event(f, &f->body->body.invite_created);
}

void house_render_invite_deleted(struct frame *f)
{
	invite_event(f, &f->body->body.invite_deleted);
}

void house_render_audit_recorded(struct frame *f)
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

void house_render_team_setting_updated(struct frame *f)
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
