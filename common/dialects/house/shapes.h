/*
 * house/shapes - the objects of house as JSON: one function an object, used by REST replies and by the detail
 * of events, so that the two cannot drift apart. Keys are docs/dialects/house.md, "Objects". Everything is
 * borrowed for the call; absent strings are NULL and written as null. Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"
#include "common/json/writer.h"
#include "proto/messaging.pb.h"
#include "proto/presence.pb.h"
#include "proto/views.pb.h"

/* A username, or null when the account is gone (NULL, erased, or without a name). */
void house_username(struct json_writer *w, const pb_UserView *user);
/* What rides along everywhere; NULL writes null. An erased person keeps id and created_at, the rest is null.
 */
void house_user(struct json_writer *w, const pb_UserView *user);
/* The same, null for an erased person: authors. */
void house_author(struct json_writer *w, const pb_UserView *user);

/* A user with what only the profile shows. */
struct house_profile {
	const pb_UserView *user;
	bool own;          /* the caller's own: email and disabled are shown */
	const char *email; /* or NULL */
	bool email_verified;
};
void house_profile(struct json_writer *w, const struct house_profile *profile);

/* A bot as its owner sees it. */
struct house_bot {
	const pb_UserView *user;
	uint64_t owner_id;
};
void house_bot(struct json_writer *w, const struct house_bot *bot);

struct house_session {
	uint64_t id;
	const char *token; /* only in the answer that opens it; NULL leaves token and user out */
	const pb_UserView *user;
	const char *client_label, *agent, *address; /* or NULL; shown in lists */
	int64_t created_at_ms, last_used_at_ms, expires_at_ms;
	bool current; /* the one that asks */
};
void house_session(struct json_writer *w, const struct house_session *session);

void house_team(struct json_writer *w, const pb_TeamView *team);
/* With members where the view has users: of a conversation. */
void house_channel(struct json_writer *w, const pb_ChannelView *channel);
void house_member(struct json_writer *w, const pb_MemberView *member);
/* A set of permissions as the list of their names, in the order of their numbers. */
void house_permissions(struct json_writer *w, const pb_Bits *set);
void house_role(struct json_writer *w, const pb_RoleView *role);
void house_color(struct json_writer *w, uint32_t color); /* null for 0: there is none */
void house_override(struct json_writer *w, const pb_OverrideView *override);
/* Its keys alone, where an event has more. */
void house_override_keys(struct json_writer *w, const pb_OverrideView *override);
void house_channel_member(struct json_writer *w, const pb_ChannelMemberView *member);
/* The message's text as house spells its tokens; "" when it has none any more. In mem, or the view's own. */
const char *house_content(struct arena *mem, const pb_MessageView *message);
/* For the one who asks: with what is his own in it (bookmarked, and me of the reactions). seq: of its message_posted event, when
 * the view does not know it yet (inside that event itself); else 0. */
/* Its URLs are signed now, for everybody (common/events/attachments.h). */
void house_attachment(struct json_writer *w, const pb_AttachmentView *attachment);
void house_message(struct json_writer *w, const pb_MessageView *message, uint64_t seq);
/* For everybody, inside an event: without it. */
void house_message_told(struct json_writer *w, const pb_MessageView *message, uint64_t seq);
void house_reaction(struct json_writer *w, const pb_ReactionView *reaction);
void house_reactor(struct json_writer *w, const pb_ReactorView *reactor);
void house_edit(struct json_writer *w, const pb_EditView *edit);
void house_ban(struct json_writer *w, const pb_BanView *ban);
/* With the team's preview when the view has it. */
void house_invite(struct json_writer *w, const pb_InviteView *invite);
void house_webhook(struct json_writer *w, const pb_WebhookView *webhook);
/* With what is told once, by the call that made it; null in a repeat of that call, and a secret that it has none of. */
void house_webhook_made(struct json_writer *w, const pb_WebhookReply *made);
void house_command(struct json_writer *w, const pb_CommandView *command);
void house_command_result(struct json_writer *w, const pb_RunCommandReply *result);
/* Everything that its hash is made of, in the spelling that is hashed. */
void house_audit(struct json_writer *w, const pb_AuditView *entry);
/* The key `target` with kind and id. */
void house_audit_target(struct json_writer *w, const pb_AuditView *entry);
void house_presence(struct json_writer *w, const pb_PresenceView *presence);
void house_unread(struct json_writer *w, const pb_UnreadView *unread);
void house_channel_preferences(struct json_writer *w, const pb_UnreadView *unread);

/* RFC 9457. */
struct house_problem {
	enum status status;
	const char *why, *field, *detail; /* or NULL */
	const char *trace;
};
void house_problem(struct json_writer *w, const struct house_problem *problem);
