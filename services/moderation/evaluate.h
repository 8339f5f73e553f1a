/*
 * evaluate - who may do what: the domain model's section "Evaluation", and the only place where roles,
 * overrides, memberships, bans and timeouts are combined. Pure: facts in, bits and the deciding rule out. No
 * database, no clock, no allocation; any thread. facts.h loads the facts, judge.c and audiences.c ask.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"
#include "common/events/kinds.h"

enum eval_rule {
#define RULE(name, word, text) RULE_##name,
#include "services/moderation/rules.tbl.h"
#undef RULE
};

struct eval_role {
	uint64_t id;
	struct bits permissions;
	int32_t position;
	bool base;
};

struct eval_override {
	uint8_t scope, subject_kind; /* enum override_scope, override_subject */
	uint64_t scope_id, subject_id;
	struct bits allow, deny;
};

struct eval_group {
	uint64_t id;
	bool public, archived, deleted;
	const uint64_t *visible_role_ids;
	size_t visible_role_count;
};

struct eval_team {
	uint64_t id, owner_id, base_role_id, base_group_id;
	bool public_read, suspended, deleted;
};

/* A person in a team; all zero: never was there. */
struct eval_standing {
	bool member; /* now */
	bool banned; /* a ban holds until it is lifted, by a person or by the expiry job, never by the clock
			alone */
	bool muted, deafened;
	int64_t ban_until_ms;     /* 0: no end */
	int64_t timeout_until_ms; /* 0: none; like a ban it holds until it is lifted */
	const uint64_t *role_ids; /* without the base role */
	size_t role_count;
};

struct eval_channel {
	uint64_t id, category_id, group_id, parent_id, created_by;
	uint32_t kind;
	bool private, public_read, own, archived, deleted;
	bool ever_banned; /* there is or was a ban from it: its key is its own for good */
};

/* A person in a channel; all zero: never was there. */
struct eval_place {
	bool known;    /* there is a row, of a member or of one who left */
	uint32_t role; /* enum channel_role of the live row, else CHANNEL_ROLE_NONE */
	bool banned;
	int64_t ban_until_ms;
};

/* Everything one evaluation needs. Arrays may hold more than what concerns this person: it is skipped. */
struct eval_facts {
	int64_t now_ms;
	uint64_t user_id; /* 0: somebody without an account */
	bool account_gone;
	bool blocked;                 /* one of the two of a direct conversation has blocked the other */
	const struct eval_team *team; /* NULL: the channel is a conversation */
	const struct eval_role *roles;
	size_t role_count;
	const struct eval_override *overrides;
	size_t override_count;
	const struct eval_standing *standing; /* never NULL with a team */
	const struct eval_channel *channel;   /* NULL: the team itself */
	const struct eval_place *place;       /* never NULL with a channel */
	const struct eval_channel *parent;    /* of a thread, else NULL */
	const struct eval_place *parent_place;
	const struct eval_group *group; /* of the channel (a thread: of its parent); NULL: the base group */
};

struct eval_answer {
	struct bits bits;
	enum status status;     /* STATUS_OK, or STATUS_NOT_FOUND: may not know of it */
	enum eval_rule rule;    /* what decided the permission asked for, see eval_rights */
	uint64_t rule_subject;  /* of an override */
	int64_t valid_until_ms; /* the next end of a ban or timeout that matters, 0: none */
	bool member, owner;
	uint32_t channel_role;
	int32_t highest_position;
};

#define EVAL_ASK_NOTHING (-1)
/*
 * The rights of one person. asked: the permission whose deciding rule is wanted. With EVAL_ASK_NOTHING the
 * rule is the one that hides the thing (status NOT_FOUND), or else the one that restricts the person as a
 * whole (timeout, archived, muted, deafened), or RULE_NONE. A deleted channel is NOT_FOUND, its bits say who
 * may undelete it.
 */
struct eval_answer eval_rights(const struct eval_facts *facts, int asked);

/* Does the person, who is a member, come in where a dialect serves this one team? It takes access_team, which a timeout leaves alone. */
bool eval_may_enter(const struct eval_facts *facts);

/*
 * Has the channel a key of its own, `channel:C`? Not while every member of the team can view it: then its
 * events go to `team:T`. Private, outside the base group, an override that touches the view of its kind, a
 * base role without that view, or a ban, even a lifted one. For a thread pass its parent.
 */
bool eval_channel_restricted(const struct eval_team *team, const struct eval_role *roles, size_t role_count,
	const struct eval_override *overrides, size_t override_count, const struct eval_channel *channel);

/*
 * The status with which a call that needs `permission` is refused: NOT_FOUND, ARCHIVED, TIMED_OUT, MUTED,
 * BLOCKED or FORBIDDEN; STATUS_OK when the permission is there. out_answer (may be NULL) names the rule.
 */
enum status eval_need(
	const struct eval_facts *facts, enum permission permission, struct eval_answer *out_answer);

/* May the one act on the other? Only from a higher position; the owner stands above all, nobody above him. */
bool eval_outranks(const struct eval_answer *actor, const struct eval_answer *target);

/* What an override of a scope may touch: never administrator; below the team only what may stand there. */
struct bits eval_scope_mask(enum override_scope scope);

/* The word of a rule, as clients read it. */
const char *eval_rule_word(enum eval_rule rule);
#define EVAL_WHY_SIZE 48
/* "ban", "override:role:17". */
void eval_why(const struct eval_answer *answer, char out[EVAL_WHY_SIZE]);
struct bits eval_all(void);       /* every permission there is */
struct bits eval_view_bits(void); /* 38..47 */
