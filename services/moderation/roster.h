/*
 * roster - the facts of many people and many channels from one snapshot, in a handful of statements however
 * many they are. What facts.h is for one place, this is for whole teams: the channels of a list, the keys of
 * everybody on a gateway. All arrays are sorted, looked up by bisection, and live in the arena of the load.
 */
#pragma once

#include "services/moderation/facts.h"

struct roster_team {
	struct eval_team eval;
	struct eval_role *roles; /* all of the team, by id */
	uint64_t *role_changed;  /* of each: seq of the last change that decides the keys of who has it */
	size_t role_count;
	struct eval_override *overrides; /* all of the team */
	size_t override_count;
	size_t team_override_count; /* the first of them are those of the team's scope */
	uint64_t stream_epoch, as_of;
	uint64_t rights_seq; /* of the last change that may decide anybody's keys: of the team, its channels
				(deleted ones too) */
};

struct roster_channel {
	struct eval_channel eval;
	pb_ChannelView view;
	struct stream stream;
	uint64_t stream_epoch, as_of;    /* of a conversation; a team's are in roster_team */
	const struct roster_team *team;  /* NULL: a conversation */
	const struct eval_group *group;  /* NULL: the base group */
	struct eval_override *overrides; /* those that concern it: team, category, channel */
	size_t override_count;
	bool restricted;
};

struct roster_member {
	uint64_t team_id, user_id; /* of a conversation: its stream's id, and only epoch and changed_seq mean something */
	struct eval_standing standing;
	const char *nickname;
	bool account_gone;
	uint64_t epoch, changed_seq, joined_seq;
};

struct roster_place {
	uint64_t channel_id, user_id;
	struct eval_place place;
	uint64_t joined_seq; /* of the live row, else 0 */
};

struct roster {
	int64_t now_ms;
	uint64_t generation; /* of the log that it was read from: db_generation */
	struct roster_team *teams;
	size_t team_count;
	struct roster_channel *channels; /* by id */
	size_t channel_count;
	struct roster_member *members;
	size_t member_count;
	struct roster_place *places; /* by person, then channel */
	size_t place_count;
};

enum roster_channels {
	ROSTER_ALL,        /* every channel of the teams that is not deleted */
	ROSTER_RESTRICTED, /* at least those that have a key of their own; no threads */
	ROSTER_LISTED,     /* channel_ids, wherever they are; the teams follow from them */
	ROSTER_CONVERSATIONS, /* those of the users that are not deleted; no teams */
};

struct roster_query {
	const uint64_t *user_ids;
	size_t user_count;
	const uint64_t *
		team_ids; /* none: the teams in which one of the users is a member (ROSTER_ALL, ROSTER_RESTRICTED) */
	size_t team_count;
	enum roster_channels channels;
	const uint64_t *channel_ids;
	size_t channel_count;
	int64_t now_ms;
};
/* conn has a snapshot open. STATUS_OK, BUSY, INTERNAL. */
enum status roster_load(
	struct db_conn *conn, struct arena *mem, const struct roster_query *query, struct roster *out);

const struct roster_team *roster_team(const struct roster *r, uint64_t team_id);
const struct roster_channel *roster_channel(const struct roster *r, uint64_t channel_id);
const struct roster_member *roster_member(const struct roster *r, uint64_t team_id, uint64_t user_id);
/* An all-zero place when there is none. */
const struct eval_place *roster_place(const struct roster *r, uint64_t channel_id, uint64_t user_id);

/* Head of the channel's home stream when the person joined: the later of the team (member may be NULL) and the channel. */
uint64_t roster_joined_seq(const struct roster *r, const struct roster_channel *channel, uint64_t user_id,
	const struct roster_member *member);

/* Everywhere the person has a row or a ban, by channel. */
const struct roster_place *roster_places_of(const struct roster *r, uint64_t user_id, size_t *out_count);

/* What eval_rights needs for a person in a team (channel NULL) or a channel. member may be NULL: never was
 * there. */
struct eval_facts roster_facts(const struct roster *r, uint64_t user_id, const struct roster_team *team,
	const struct roster_channel *channel, const struct roster_member *member);
