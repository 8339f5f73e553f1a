/*
 * guard - runs a reading or a change under rights that still hold when it is answered. A reading statement
 * brings the epochs of its own snapshot, a change has them compared under the lock; when they are not those
 * the right was judged by, the right is judged again, JUDGE_TRIES times at most, then BUSY.
 */
#pragma once

#include "services/messaging/rights.h"

/* What goes with a status that is not OK; all may be NULL. Static, or in call->mem. */
struct refusal {
	const char *why, *field, *detail;
};

/* Columns 0..2 of every guarded reading statement, whose parameters 1..3 are rank, stream id and user. */
/* clang-format off */
#define EPOCHS_SQL                                                                                                   \
	"SELECT s.authz_epoch AS stream_epoch,"                                                                      \
	" coalesce((SELECT m.epoch FROM moderation.member_epochs m"                                                  \
	"  WHERE m.rank = $1 AND m.stream_id = $2 AND m.user_id = $3), 0) AS member_epoch,"                          \
	" coalesce((SELECT u.authz_epoch FROM log.streams u WHERE u.rank = 2 AND u.id = $3), 0) AS actor_epoch"      \
	" FROM log.streams s WHERE s.rank = $1 AND s.id = $2"
#define EPOCHS_COLUMNS "e.stream_epoch, e.member_epoch, e.actor_epoch"
#define EPOCHS_COUNT   3
/* clang-format on */

struct epochs {
	uint64_t stream, member, actor;
	uint64_t generation; /* db_generation of the connection they were read on; 0: not compared */
};
/* Puts parameters 1..3. */
void guard_put(struct db_params *params, const struct rights *r, const struct rpc_call *call);
/* Without the generation, which is the connection's. */
struct epochs guard_epochs(const struct db_rows *rows, int row);
/* The epochs are of another generation of the log than the judgement. On a replica that may only mean that it tells
 * late of a failover which it followed: then the primary is asked. */
bool guard_elsewhere(const struct rights *r, const struct rpc_call *call, const struct epochs *found);
/* OK when they are those of the judgement, STALE when it is to be judged again; STALE with why "session" when
 * it is the actor's own: api must resolve the token again. The system has no epochs of its own. */
enum status guard_compare(const struct rights *r, const struct rpc_call *call, const struct epochs *found,
	struct refusal *out_no);

/*
 * One reading. `fn` runs the statement on a connection of `db` and gives the epochs it found; what it returns
 * besides STATUS_OK ends the reading as it is, but what it did not find or refuses (guard_refuses) is told
 * only to who still may know, and a right that is missing never by a cached judgement. needed: a permission, or GUARD_VIEW: it is enough to know of the
 * channel.
 */
#define GUARD_VIEW (-1)
typedef enum status guard_read_fn(struct db_conn *conn, struct rpc_call *call, const struct rights *r,
	void *arg, struct epochs *out_found, struct refusal *out_no);
enum status guard_read(struct service *s, struct rpc_call *call, struct db *db, uint64_t channel, int needed,
	guard_read_fn *fn, void *arg, struct refusal *out_no);

/* One change in the step lane. First member of the struct that `work` gets as arg. */
struct change {
	/* -- filled by the caller */
	uint64_t channel_id, team_id; /* judged: the channel, or without one the team */
	uint32_t new_kind;            /* of a channel that is to be made in the team, or 0 */
	bool own_stream;              /* the event goes to the actor's user stream, not to the channel's */
	bool keeps_rights;            /* `work` changes nothing that rights are judged by (committer.h) */
	bool deleted_too;             /* a deleted channel is `allowed`'s to judge: rights_deleted */
	/* By rights alone, before the commit; NULL: knowing of it is enough. What only the rows tell is
	 * decided in `work`, which may return FORBIDDEN too: then, as here, a cached judgement is made anew
	 * before it is believed. */
	enum status (*allowed)(struct change *c);
	enum status (*work)(struct log_tx *tx, void *arg); /* committer's thread; call->mem may be used */
	struct rpc_call *call;
	/* -- filled here */
	struct rights rights;
	struct refusal no;
};
/* reply: the call's, which `work` fills and stores; what was stored is decoded into it when the request was
 * answered before. */
enum status guard_change(struct service *s, struct change *c, void *reply, bool *out_replayed);
/* The call was judged and turned down, as opposed to one that nobody could judge. */
static inline bool guard_refuses(enum status st)
{
	return st != STATUS_OK && st != STATUS_BUSY && st != STATUS_LATE && st != STATUS_STALE &&
	       st != STATUS_INTERNAL;
}
/*
 * What is refused now may be the repeat of a call that was written, whose answer was lost: since then the
 * actor may have been thrown out, or the call itself have deleted what it names. Such a repeat gets its first
 * answer; hence no change is refused before its request id was looked up. Blocks for one turn of the
 * committer. STATUS_OK: a repeat, out_result tells of what; `refused`: none, and *no is left alone; else what
 * the lookup ended with, told in *no.
 */
enum status guard_repeated(struct service *s, struct rpc_call *call, enum status refused,
	struct commit_result *out_result, struct refusal *no);
/* The same for a change that is refused before guard_change, which does it itself. */
enum status guard_refused(
	struct service *s, struct change *c, enum status refused, void *reply, bool *out_replayed);
/* For `work`: stores the call's reply with its request id. */
void guard_store(struct log_tx *tx, struct change *c, const void *reply);
/* For `work`: an event by the actor of the call; its body is the caller's to fill. */
void guard_event(const struct change *c, uint32_t kind, pb_Event *out);
/* For `work`: a reason, and the status that it goes with. */
enum status guard_refuse(struct log_tx *tx, enum status st, const char *why, const char *field);

/* Ends the call: the reply when OK, else the refusal. */
void guard_answer(struct rpc_call *call, enum status st, const struct refusal *no);
void guard_answer_change(struct rpc_call *call, enum status st, const struct refusal *no, bool replayed);
