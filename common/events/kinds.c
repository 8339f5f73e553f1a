#include "common/events/kinds.h"

#include <stddef.h>
#include <string.h>

#define KIND_SINGULAR(field, tag)
#define KIND_OPTIONAL(field, tag)
#define KIND_REPEATED(field, tag)
#define KIND_ARM_(union_name, arm, member) #arm
#define KIND_ONEOF(field, tag)                                                                               \
	case tag:                                                                                            \
		return KIND_ARM_ field;
#define KIND_ROW_(a, allocation, rule, type, field, tag) KIND_##rule(field, tag)

const char *event_kind_name(uint32_t kind)
{
	switch (kind) {
		pb_Event_FIELDLIST(KIND_ROW_, 0)
	}
	return NULL;
}

struct word {
	uint32_t number;
	const char *text;
};

static const struct word channel_kinds[] = {
	{CHANNEL_TEXT, "text"},
	{CHANNEL_VOICE, "voice"},
	{CHANNEL_STREAM, "stream"},
	{CHANNEL_LIST, "list"},
	{CHANNEL_ANNOUNCEMENT, "announcement"},
	{CHANNEL_FORUM, "forum"},
	{CHANNEL_DOC, "doc"},
	{CHANNEL_MEDIA, "media"},
	{CHANNEL_CALENDAR, "calendar"},
	{CHANNEL_SCHEDULING, "scheduling"},
	{CHANNEL_THREAD, "thread"},
	{CHANNEL_DIRECT, "direct"},
	{CHANNEL_GROUP, "group"},
	{0, NULL},
};
static const struct word channel_roles[] = {
	{CHANNEL_ROLE_OWNER, "owner"},
	{CHANNEL_ROLE_MODERATOR, "moderator"},
	{CHANNEL_ROLE_MEMBER, "member"},
	{CHANNEL_ROLE_INVITEE, "invitee"},
	{0, NULL},
};
static const struct word joinings[] = {
	{JOINING_OPEN, "open"},
	{JOINING_APPLICATION, "application"},
	{JOINING_INVITE, "invite"},
	{0, NULL},
};
static const struct word presences[] = {
	{PRESENCE_ONLINE, "online"},
	{PRESENCE_IDLE, "idle"},
	{PRESENCE_DND, "dnd"},
	{PRESENCE_INVISIBLE, "invisible"},
	{PRESENCE_OFFLINE, "offline"},
	{0, NULL},
};

static const struct word message_kinds[] = {
	{MESSAGE_TEXT, "text"},
	{MESSAGE_ME, "me"},
	{MESSAGE_SYSTEM, "system"},
	{0, NULL},
};

static const struct word webhook_kinds[] = {
	{WEBHOOK_INCOMING, "incoming"},
	{WEBHOOK_OUTGOING, "outgoing"},
	{0, NULL},
};
static const struct word channel_flags[] = {
	{FLAG_NONE, "none"},
	{FLAG_PINNED, "pinned"},
	{FLAG_HIDDEN, "hidden"},
	{FLAG_IGNORED, "ignored"},
	{0, NULL},
};
static const struct word channel_notifies[] = {
	{NOTIFY_ALL, "all"},
	{NOTIFY_MENTIONS, "mentions"},
	{NOTIFY_NONE, "none"},
	{0, NULL},
};
static const struct word policies[] = {
	{POLICY_NONE, "none"},
	{POLICY_FEATURED, "featured"},
	{POLICY_FORCED, "forced"},
	{0, NULL},
};
static const struct word system_templates[] = {
	{SYSTEM_CREATED, "created"},
	{SYSTEM_RENAMED, "renamed"},
	{SYSTEM_TOPIC, "topic"},
	{SYSTEM_ARCHIVED, "archived"},
	{SYSTEM_UNARCHIVED, "unarchived"},
	{SYSTEM_DELETED, "deleted"},
	{SYSTEM_UNDELETED, "undeleted"},
	{SYSTEM_JOINED, "joined"},
	{SYSTEM_ADDED, "added"},
	{SYSTEM_INVITED, "invited"},
	{SYSTEM_LEFT, "left"},
	{SYSTEM_REMOVED, "removed"},
	{0, NULL},
};

static const struct word override_scopes[] = {
	{OVERRIDE_TEAM, "team"},
	{OVERRIDE_CATEGORY, "category"},
	{OVERRIDE_CHANNEL, "channel"},
	{0, NULL},
};

static const char *word_of(const struct word *words, uint32_t number)
{
	for (; words->text != NULL; words++) {
		if (words->number == number)
			return words->text;
	}
	return NULL;
}

static bool number_of(const struct word *words, const char *text, uint32_t *out_number)
{
	for (; words->text != NULL; words++) {
		if (text != NULL && strcmp(words->text, text) == 0) {
			*out_number = words->number;
			return true;
		}
	}
	return false;
}

const char *channel_kind_word(uint32_t kind)
{
	return word_of(channel_kinds, kind);
}

const char *channel_role_word(uint32_t role)
{
	return word_of(channel_roles, role);
}

const char *joining_word(uint32_t joining)
{
	return word_of(joinings, joining);
}

const char *presence_word(uint32_t state)
{
	return word_of(presences, state);
}

const char *message_kind_word(uint32_t kind)
{
	return word_of(message_kinds, kind);
}

const char *channel_flag_word(uint32_t flag)
{
	return word_of(channel_flags, flag);
}

const char *channel_notify_word(uint32_t notify)
{
	return word_of(channel_notifies, notify);
}

const char *membership_policy_word(uint32_t policy)
{
	return word_of(policies, policy);
}

const char *system_template_word(uint32_t system_template)
{
	return word_of(system_templates, system_template);
}

size_t system_template_ids(uint32_t system_template)
{
	return system_template == SYSTEM_ADDED || system_template == SYSTEM_INVITED || system_template == SYSTEM_REMOVED ? 2 : 1;
}

bool channel_flag_from_word(const char *word, uint32_t *out_flag)
{
	return number_of(channel_flags, word, out_flag);
}

bool channel_notify_from_word(const char *word, uint32_t *out_notify)
{
	return number_of(channel_notifies, word, out_notify);
}

bool membership_policy_from_word(const char *word, uint32_t *out_policy)
{
	return number_of(policies, word, out_policy);
}

const char *override_scope_word(uint32_t scope)
{
	return word_of(override_scopes, scope);
}

const char *webhook_kind_word(uint32_t kind)
{
	return word_of(webhook_kinds, kind);
}

bool channel_kind_from_word(const char *word, uint32_t *out_kind)
{
	return number_of(channel_kinds, word, out_kind);
}

bool channel_role_from_word(const char *word, uint32_t *out_role)
{
	return number_of(channel_roles, word, out_role);
}

bool joining_from_word(const char *word, uint32_t *out_joining)
{
	return number_of(joinings, word, out_joining);
}

bool presence_from_word(const char *word, uint32_t *out_state)
{
	return number_of(presences, word, out_state);
}

bool message_kind_from_word(const char *word, uint32_t *out_kind)
{
	return number_of(message_kinds, word, out_kind);
}

bool webhook_kind_from_word(const char *word, uint32_t *out_kind)
{
	return number_of(webhook_kinds, word, out_kind);
}

const char *permission_name(enum permission n)
{
	static const char *const names[] = {
#define PERMISSION(n, name, base) [n] = #name,
#include "common/events/permissions.tbl.h"
#undef PERMISSION
	};

	return (unsigned)n < sizeof names / sizeof *names ? names[n] : NULL;
}

bool permission_from_name(const char *name, enum permission *out_permission)
{
#define PERMISSION(n, permission, base)                                                                      \
	if (strcmp(name, #permission) == 0) {                                                                \
		*out_permission = PERMISSION_##permission;                                                   \
		return true;                                                                                 \
	}
#include "common/events/permissions.tbl.h"
#undef PERMISSION
	return false;
}

enum template_of { TEMPLATE_NONE, TEMPLATE_CRUST, TEMPLATE_BASE };

struct bits bits_base_role(bool crust)
{
	static const enum template_of least[] = {
#define PERMISSION(n, name, base) [n] = TEMPLATE_##base,
#include "common/events/permissions.tbl.h"
#undef PERMISSION
	};
	struct bits set = {0, 0};

	for (unsigned n = 0; n < sizeof least / sizeof *least; n++) {
		if (least[n] == TEMPLATE_BASE || (crust && least[n] == TEMPLATE_CRUST))
			set = bits_with(set, (enum permission)n);
	}
	return set;
}

enum permission channel_kind_view(uint32_t kind)
{
	switch ((enum channel_kind)kind) {
	case CHANNEL_TEXT:
	case CHANNEL_THREAD:
	case CHANNEL_DIRECT:
	case CHANNEL_GROUP:
		return PERMISSION_view_text;
	case CHANNEL_VOICE:
		return PERMISSION_view_voice;
	case CHANNEL_STREAM:
		return PERMISSION_view_stream;
	case CHANNEL_LIST:
		return PERMISSION_view_list;
	case CHANNEL_ANNOUNCEMENT:
		return PERMISSION_view_announcement;
	case CHANNEL_FORUM:
		return PERMISSION_view_forum;
	case CHANNEL_DOC:
		return PERMISSION_view_doc;
	case CHANNEL_MEDIA:
		return PERMISSION_view_media;
	case CHANNEL_CALENDAR:
		return PERMISSION_view_calendar;
	case CHANNEL_SCHEDULING:
		return PERMISSION_view_schedule;
	}
	return PERMISSION_view_text; /* a number of a newer version: judged as the plainest kind */
}
