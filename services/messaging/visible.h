/*
 * visible - readings over many channels at once: every channel that the actor can view, in one team, in all
 * of his and his conversations, or in these alone, each with the epochs its right was judged by.
 */
#pragma once

#include "services/messaging/guard.h"

struct visible {
	struct rights *rights; /* by channel id, ascending; all STATUS_OK */
	uint64_t *channel_ids; /* the same order */
	size_t count;
	uint64_t generation; /* of the connection that is read on */
};

/* Columns 0..2 of the reading statement, whose parameters 1 and 2 are the actor and the channel ids; c:
 * messaging.channels. */
/* clang-format off */
#define VISIBLE_EPOCHS_COLUMNS "s.authz_epoch, coalesce(em.epoch, 0), coalesce(eu.authz_epoch, 0)"
#define VISIBLE_EPOCHS_COUNT   3
#define VISIBLE_EPOCHS_JOINS                                                                                         \
	"JOIN log.streams s ON s.rank = c.rank AND s.id = c.stream_id"                                               \
	" LEFT JOIN moderation.member_epochs em ON em.rank = c.rank AND em.stream_id = c.stream_id AND em.user_id = $1" \
	" LEFT JOIN log.streams eu ON eu.rank = 2 AND eu.id = $1"
/* clang-format on */
void visible_put(struct db_params *params, const struct visible *v, const struct rpc_call *call);
/* One row of that statement against the judgement of its channel: guard_compare. */
enum status visible_compare(const struct visible *v, const struct rpc_call *call, const struct db_rows *rows,
	int row, uint64_t channel, struct refusal *out_no);

/* The judgement of one channel, or NULL. */
const struct rights *visible_of(const struct visible *v, uint64_t channel);

/* Runs one statement; returns STALE when a row does not fit the judgement it was asked by. */
typedef enum status visible_read_fn(
	struct db_conn *conn, struct rpc_call *call, struct visible *v, void *arg, struct refusal *out_no);
/* Instead of a team. */
#define VISIBLE_EVERYTHING    UINT64_C(0) /* every team of the actor, and his conversations */
#define VISIBLE_CONVERSATIONS UINT64_MAX
/* Judges and reads, again while STALE, JUDGE_TRIES times at most, then
 * BUSY. */
enum status visible_read(struct service *s, struct rpc_call *call, struct db *db, uint64_t team,
	visible_read_fn *fn, void *arg, struct refusal *out_no);

/* Of one team, and his conversations. */
enum status visible_read_with_conversations(struct service *s, struct rpc_call *call, struct db *db, uint64_t team,
	visible_read_fn *fn, void *arg, struct refusal *out_no);

/* Only the channels in which the right is held. */
void visible_keep(struct visible *v, enum permission needed);
/* The same for channels that `list` names (from `db`, on the first connection of each try), wherever they are. What it returns
 * besides STATUS_OK ends the reading. */
typedef enum status visible_list_fn(struct db_conn *conn, struct rpc_call *call, void *arg, uint64_t **out_channels,
	size_t *out_count, struct refusal *out_no);
enum status visible_read_listed(struct service *s, struct rpc_call *call, struct db *db, visible_list_fn *list,
	visible_read_fn *fn, void *arg, struct refusal *out_no);
