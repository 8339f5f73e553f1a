/*
 * kinds - the enums that are stored, sent between processes and spelled by dialects, and the list of events as
 * an enum. Numbers are permanent. `enum event_kind` is derived from the oneof in proto/events.proto, so a switch
 * over it without default does not compile while an event is unanswered (-Werror=switch).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/events.pb.h"

/* EVENT_KIND_message_posted = 134, ... : one enumerator per arm of pb_Event's oneof. */
#define EVENT_KIND_SINGULAR(field, tag)
#define EVENT_KIND_OPTIONAL(field, tag)
#define EVENT_KIND_REPEATED(field, tag)
#define EVENT_KIND_NAME_(union_name, arm, member) EVENT_KIND_##arm
#define EVENT_KIND_ONEOF(field, tag) EVENT_KIND_NAME_ field = (tag),
#define EVENT_KIND_ROW_(a, allocation, rule, type, field, tag) EVENT_KIND_##rule(field, tag)
enum event_kind {
	EVENT_KIND_none = 0,
	pb_Event_FIELDLIST(EVENT_KIND_ROW_, 0)
};

/* "message_posted", or NULL for a number that is no event. */
const char *event_kind_name(uint32_t kind);
static inline bool event_kind_is_ephemeral(uint32_t kind)
{
	return kind >= 300;
}

enum dialect { DIALECT_HOUSE = 1, DIALECT_CRUST = 2, DIALECT_TEAMLY = 3, DIALECT_GUILDED = 4, DIALECT_GUILDED_BOT = 5 };

/* The installation's own account: the author of what no person and no bot wrote. Its guilded id is `Ann6LewA`. */
#define SYSTEM_ACCOUNT_NUMBER 38044341934734
#define SYSTEM_ACCOUNT_ID     UINT64_C(38044341934734)

/* Streams: (rank, id), compared as numbers. */
enum stream_rank { RANK_TEAM = 1 /* and conversations */, RANK_USER = 2, RANK_GLOBAL = 3 };

enum channel_kind {
	CHANNEL_TEXT = 1,
	CHANNEL_VOICE = 2,
	CHANNEL_STREAM = 3,
	CHANNEL_LIST = 4,
	CHANNEL_ANNOUNCEMENT = 5,
	CHANNEL_FORUM = 6,
	CHANNEL_DOC = 7,
	CHANNEL_MEDIA = 8,
	CHANNEL_CALENDAR = 9,
	CHANNEL_SCHEDULING = 10,
	CHANNEL_THREAD = 11,
	CHANNEL_DIRECT = 12,
	CHANNEL_GROUP = 13,
};
enum channel_role { CHANNEL_ROLE_NONE = 0, CHANNEL_ROLE_OWNER = 1, CHANNEL_ROLE_MODERATOR = 2, CHANNEL_ROLE_MEMBER = 3, CHANNEL_ROLE_INVITEE = 4 };
/* What set_channel_state does. REOPEN: whichever of RESTORE and UNDELETE the channel is in need of. OPEN: the last step of
 * cloning, by who cloned it. */
enum channel_change { CHANNEL_ARCHIVE = 1, CHANNEL_RESTORE = 2, CHANNEL_UNDELETE = 3, CHANNEL_REOPEN = 4, CHANNEL_OPEN = 5, CHANNEL_DELETE = 6 };
enum joining { JOINING_OPEN = 1, JOINING_APPLICATION = 2, JOINING_INVITE = 3 };
/* Why a message concerns somebody. One direct mention outweighs a reply to the same person, everyone outweighs here. */
enum mention_kind { MENTION_USER = 1, MENTION_ROLE = 2, MENTION_EVERYONE = 3, MENTION_HERE = 4, MENTION_REPLY = 5 };
enum message_kind { MESSAGE_TEXT = 1, MESSAGE_ME = 2, MESSAGE_SYSTEM = 3 };
enum webhook_kind { WEBHOOK_INCOMING = 1, WEBHOOK_OUTGOING = 2 };
/* What a message is by its only attachment, when it has no text of its own. */
enum message_media { MEDIA_ATTACHMENT = 1, MEDIA_IMAGE = 2 };
/* What a line of the system tells, and its args (ids in decimal; "0": nobody known). type is "public", "private" or "group". */
enum system_template {
	SYSTEM_CREATED = 1,    /* actor, type, name, topic */
	SYSTEM_RENAMED = 2,    /* actor, name, name before */
	SYSTEM_TOPIC = 3,      /* actor, topic, topic before */
	SYSTEM_ARCHIVED = 4,   /* actor */
	SYSTEM_UNARCHIVED = 5, /* actor */
	SYSTEM_DELETED = 6,    /* actor */
	SYSTEM_UNDELETED = 7,  /* actor */
	SYSTEM_JOINED = 8,     /* person */
	SYSTEM_ADDED = 9,      /* actor, person */
	SYSTEM_INVITED = 10,   /* actor, person */
	SYSTEM_LEFT = 11,      /* person */
	SYSTEM_REMOVED = 12,   /* actor, person */
};
/* What a person set for a channel. 0 where it says what to change: as it is. */
enum channel_flag { FLAG_NONE = 1, FLAG_PINNED = 2, FLAG_HIDDEN = 3, FLAG_IGNORED = 4 };
enum channel_notify { NOTIFY_ALL = 1, NOTIFY_MENTIONS = 2, NOTIFY_NONE = 3 };
/* Kept and shown; nobody is made a member by it. */
enum membership_policy { POLICY_NONE = 0, POLICY_FEATURED = 1, POLICY_FORCED = 2 };
enum removal { REMOVAL_LEFT = 1, REMOVAL_KICKED = 2, REMOVAL_BANNED = 3 };
enum close_why { CLOSE_WHY_DISABLED = 1, CLOSE_WHY_ERASED = 2, CLOSE_WHY_REVOKED = 3, CLOSE_WHY_CHANGED = 4 };
enum override_scope { OVERRIDE_TEAM = 1, OVERRIDE_CATEGORY = 2, OVERRIDE_CHANNEL = 3 };
enum override_subject { OVERRIDE_OF_ROLE = 1, OVERRIDE_OF_USER = 2 };
enum rule_access { ACCESS_INHERIT = 0, ACCESS_ALLOW = 1, ACCESS_DENY = 2 }; /* of crust's permission rules */
enum presence_state { PRESENCE_ONLINE = 1, PRESENCE_IDLE = 2, PRESENCE_DND = 3, PRESENCE_INVISIBLE = 4, PRESENCE_OFFLINE = 5 };

/* The lower-case word house uses ("text", "owner", "open", "online", ...); NULL for a number without one. */
const char *channel_kind_word(uint32_t kind);
const char *channel_role_word(uint32_t role);
const char *joining_word(uint32_t joining);
const char *presence_word(uint32_t state);
const char *message_kind_word(uint32_t kind);
const char *channel_flag_word(uint32_t flag);
const char *channel_notify_word(uint32_t notify);
const char *membership_policy_word(uint32_t policy);
const char *system_template_word(uint32_t system_template);
size_t system_template_ids(uint32_t system_template); /* how many of its first args are ids */
const char *override_scope_word(uint32_t scope);
const char *webhook_kind_word(uint32_t kind);
/* The other way: false when the word is none of them. */
bool channel_kind_from_word(const char *word, uint32_t *out_kind);
bool channel_role_from_word(const char *word, uint32_t *out_role);
bool joining_from_word(const char *word, uint32_t *out_joining);
bool presence_from_word(const char *word, uint32_t *out_state);
bool message_kind_from_word(const char *word, uint32_t *out_kind);
bool webhook_kind_from_word(const char *word, uint32_t *out_kind);
bool channel_flag_from_word(const char *word, uint32_t *out_flag);
bool channel_notify_from_word(const char *word, uint32_t *out_notify);
bool membership_policy_from_word(const char *word, uint32_t *out_policy);

/* Permissions: a set is 128 bits. */
enum permission {
#define PERMISSION(n, name, base) PERMISSION_##name = (n),
#include "common/events/permissions.tbl.h"
#undef PERMISSION
};

struct bits {
	uint64_t low, high;
};
static inline bool bits_has(struct bits set, enum permission n)
{
	return ((unsigned)n < 64 ? set.low >> n : set.high >> (n - 64)) & 1;
}
static inline struct bits bits_with(struct bits set, enum permission n)
{
	if ((unsigned)n < 64)
		set.low |= UINT64_C(1) << n;
	else
		set.high |= UINT64_C(1) << (n - 64);
	return set;
}
static inline struct bits bits_without(struct bits set, enum permission n)
{
	if ((unsigned)n < 64)
		set.low &= ~(UINT64_C(1) << n);
	else
		set.high &= ~(UINT64_C(1) << (n - 64));
	return set;
}
static inline struct bits bits_or(struct bits a, struct bits b)
{
	return (struct bits){a.low | b.low, a.high | b.high};
}
static inline struct bits bits_and(struct bits a, struct bits b)
{
	return (struct bits){a.low & b.low, a.high & b.high};
}
static inline struct bits bits_minus(struct bits a, struct bits b)
{
	return (struct bits){a.low & ~b.low, a.high & ~b.high};
}
/* What is in one of them only. */
static inline struct bits bits_xor(struct bits a, struct bits b)
{
	return (struct bits){a.low ^ b.low, a.high ^ b.high};
}
static inline bool bits_none(struct bits set)
{
	return set.low == 0 && set.high == 0;
}
struct bits bits_base_role(bool crust); /* the base role of a template */
const char *permission_name(enum permission n); /* NULL when n is none */
bool permission_from_name(const char *name, enum permission *out_permission); /* false: there is none of that name */
/* The view permission of a channel kind (38..47); threads and conversations: view_text. */
enum permission channel_kind_view(uint32_t kind);
