/*
 * facts - what one evaluation needs, read in one statement, so from one snapshot: the stream's epoch and head, the
 * member's epoch, the actor's session epoch and every row from which a right follows. One row a person: the one who
 * acts and those who are acted on are judged from the same moment. For many people or many channels see roster.h.
 */
#pragma once

#include "common/base/arena.h"
#include "common/db/db.h"
#include "common/events/events.h"
#include "proto/moderation.pb.h"
#include "services/moderation/evaluate.h"

struct facts {
	struct eval_facts eval;          /* points into what follows; facts must not be moved (facts_load fills in place) */
	bool found;                      /* the team, or the channel, has a row */
	bool account;                    /* the person has a user stream: there is such an account */
	bool has_row;                    /* a row in moderation.members, of a member or of one who left */

	struct stream stream;            /* home stream of the place */
	uint64_t stream_epoch, as_of, member_epoch;
	uint64_t joined_seq;             /* head of the home stream when the person joined: the later of team and channel */
	uint64_t actor_epoch;            /* of the actor's user stream in the same snapshot, 0 without one */
	uint64_t generation;             /* of the log that the snapshot is of: db_generation */

	const char *team_name;
	uint32_t joining;
	const char *nickname;
	int64_t joined_at_ms, left_at_ms;
	pb_UserView person;              /* id always; the rest as moderation.people knows it */
	pb_ChannelView channel_view;
	int64_t place_joined_at_ms;
	uint64_t place_added_by;
	const char *place_nickname;
	bool restricted;                 /* the channel (a thread: its parent) has a key of its own */

	struct eval_team team;
	struct eval_standing standing;
	struct eval_channel channel, parent;
	struct eval_place place, parent_place;
	struct eval_group group;
};

struct facts_query {
	uint64_t actor_id;               /* whose session epoch is read; 0: nobody's */
	uint64_t team_id, channel_id;    /* the place: a channel, or a team (channel_id 0) */
	const uint64_t *user_ids;
	size_t user_count;
	int64_t now_ms;
};
/* Fills out[user_count], in order. STATUS_OK also when the place is unknown (found is false then), or STATUS_BUSY,
 * STATUS_INTERNAL. Everything lives in mem. */
enum status facts_load(struct db_conn *conn, struct arena *mem, const struct facts_query *query, struct facts *out);

/* The audience key of the channel's events, or of the team's. */
void facts_audience(const struct facts *facts, char out[AUDIENCE_SIZE]);
pb_ChannelRef facts_channel_ref(const struct facts *facts);

/* ---- shared with roster.c: columns and how they are read */

/* Of the view messaging.channel_facts under an alias. */
#define CHANNEL_COLUMNS(a)                                                                                   \
	a ".id," a ".rank," a ".stream_id," a ".team_id," a ".group_id," a ".category_id," a                 \
	  ".parent_channel_id," a ".kind," a ".name," a ".topic," a ".position," a ".private," a             \
	  ".public_read," a ".slow_mode_s," a ".created_by," a ".own," a ".last_message_id," a               \
	  ".message_count," a ".created_at_ms," a ".archived_at_ms," a ".deleted_at_ms," a ".policy," a       \
	  ".updated_at_ms"
#define CHANNEL_COLUMN_COUNT 23
/* out_view may be NULL. */
void channel_from_row(const struct db_rows *rows, int row, int first, struct arena *mem, struct eval_channel *out,
	pb_ChannelView *out_view, struct stream *out_stream);

/* Of moderation.people under an alias (left joined: a person nobody told us of is only an id). */
#define PERSON_COLUMNS(a)                                                                                    \
	a ".username," a ".display_name," a ".avatar," a ".bot," a ".system," a ".erased," a ".created_at_ms"
#define PERSON_COLUMN_COUNT 7
void person_from_row(const struct db_rows *rows, int row, int first, struct arena *mem, uint64_t id, pb_UserView *out);

/* Of moderation.channel_members and the ban in force, under two aliases, for a channel under a third. */
#define PLACE_COLUMNS(m, b, c)                                                                               \
	m ".user_id IS NOT NULL," m ".left_at_ms," m ".role," m ".nickname," m ".joined_at_ms," m ".added_by," b \
	  ".id IS NOT NULL," b ".expires_at_ms,"                                                              \
	" EXISTS (SELECT 1 FROM moderation.bans ever WHERE ever.scope = 3 AND ever.scope_id = " c ".id)," m ".joined_seq"
#define PLACE_COLUMN_COUNT 10

/* Four columns of bigint[]: ids, low and high halves, positions. */
size_t roles_from_row(const struct db_rows *rows, int row, int first, struct arena *mem, struct eval_role **out);
/* Eight columns of bigint[]: scope, scope id, subject kind, subject id, allow low, high, deny low, high. */
size_t overrides_from_row(
	const struct db_rows *rows, int row, int first, struct arena *mem, struct eval_override **out);
#define ROLE_ARRAYS                                                                                          \
	"array_agg(r.id ORDER BY r.id) ids, array_agg(r.permissions_low ORDER BY r.id) lows,"                \
	" array_agg(r.permissions_high ORDER BY r.id) highs, array_agg(r.position::bigint ORDER BY r.id) positions"
#define OVERRIDE_ARRAYS                                                                                      \
	"array_agg(o.scope::bigint ORDER BY o.ctid) scopes, array_agg(o.scope_id ORDER BY o.ctid) scope_ids,"  \
	" array_agg(o.subject_kind::bigint ORDER BY o.ctid) kinds, array_agg(o.subject_id ORDER BY o.ctid) subjects,"  \
	" array_agg(o.allow_low ORDER BY o.ctid) al, array_agg(o.allow_high ORDER BY o.ctid) ah,"              \
	" array_agg(o.deny_low ORDER BY o.ctid) dl, array_agg(o.deny_high ORDER BY o.ctid) dh"
size_t ids_from_row(const struct db_rows *rows, int row, int column, struct arena *mem, uint64_t **out);
