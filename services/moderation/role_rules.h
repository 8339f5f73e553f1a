/*
 * role_rules - crust's permission rules of one role, as operations.h finds them in the role and its overrides of the team and
 * its channels. Read here (role_rules.c), set by name and cleared altogether in role_rules_set.c.
 *
 * It takes manage_roles, which is crust's `grant`, and a rank above the role; nobody gives or takes what he does not have
 * there. Channels that the actor cannot view are neither shown nor touched, and naming one is a rule that there is not.
 */
#pragma once

#include "services/moderation/change.h"
#include "services/moderation/operations.h"
#include "services/moderation/roster.h"

struct rule_place {
	const struct roster_channel *channel; /* NULL: the team */
	struct rule_sets before, after;
	struct bits actors; /* what the actor may do there */
	size_t others;      /* overrides there that are not the role's */
	bool restricted;    /* of a channel, afterwards: it has a key of its own */
};

struct rule_scene {
	bool clears;
	uint64_t role_id; /* 0: there is no such role */
	struct bits permissions;
	struct roster roster;
	struct rule_place *places; /* the team, then channels by id */
	size_t place_count;
	struct eval_override *standing; /* all of the team, its categories and these channels */
	size_t standing_count;
	size_t closed_count; /* channels that get a key of their own by the change */
	uint64_t closed_channel_id; /* one of them */
};

/* How it is read: through a connection, or under the locks of a change (conn NULL). */
struct rule_reader {
	struct db_conn *conn;
	struct change *change;
	struct arena *mem;
};

/* The role that is asked for by crust's number or ours. role_id is 0 afterwards when the team has none. */
enum status rules_role(const struct rule_reader *r, uint64_t team_id, uint64_t asked, struct rule_scene *s);
/* The channels in which the role has an override. */
enum status rules_channels(
	const struct rule_reader *r, uint64_t team_id, const struct rule_scene *s, uint64_t **out_ids, size_t *out_count);
/* The team, and of these channels those that the actor can view and that may have overrides at all. conn has a snapshot. */
enum status rules_places(struct db_conn *conn, struct arena *mem, const struct facts *actor, bool system,
	const uint64_t *channel_ids, size_t count, int64_t now_ms, struct rule_scene *s);
/* 0: the team. NULL: it is none of the places. */
struct rule_place *rules_place(const struct rule_scene *s, uint64_t channel_id);
/* What the role has everywhere, as `before` and `after`. */
enum status rules_sets(const struct rule_reader *r, uint64_t team_id, struct rule_scene *s);
