/*
 * change - one mutating call from the judging to the answer. A call gives two functions: `prepare` reads the
 * facts of everybody concerned in one snapshot, decides, and names the streams; `work` runs under their
 * locks, writes rows and events, and fills the reply. change_run does what is the same for all: submitting,
 * judging again when an epoch had changed (three times, then BUSY), answering repeats with the stored reply.
 *
 * What prepare decided still holds in work: every change of a person's membership, ban or channel role raises
 * that person's epoch, every change of team, role, override or channel raises the stream's, and both are
 * compared under the lock for everybody whom change_load read. Only what has no epoch is read again in work.
 */
#pragma once

#include "common/db/committer.h"
#include "common/rpc/rpc.h"
#include "services/moderation/facts.h"
#include "services/moderation/service.h"

struct change {
	/* -- given */
	struct moderation *service;
	struct rpc_call *call; /* NULL: a job of the system */
	const void *request;
	void *reply; /* zeroed before each work; NULL when there is none */
	enum status (*prepare)(struct change *c);
	enum status (*work)(struct change *c, struct log_tx *tx);
	const pb_UserView *known; /* what the request says of the target, or NULL */
	void *data;               /* the call's own */
	bool rows_repeat;         /* no request id is stored: repeats find the rows there */

	/* -- during and after change_run */
	struct arena *mem;    /* lives until the call is answered */
	struct db_conn *conn; /* in prepare */
	struct facts *facts;  /* [0] the actor, then the targets; [0] is nobody for the system */
	const struct facts *prepared; /* as prepare left them: every run of work begins with these */
	size_t facts_count;
	struct log_tx *tx; /* in work */
	int64_t now_ms;
	struct commit_op op;
	const char *why, *field, *detail;
	char why_text[EVAL_WHY_SIZE];
};

/* rpc handlers in one line. KNOWN: the request's `user` field as expression on `rq`, or NULL. */
#define CHANGE_HANDLER(name, Request, KNOWN)                                                                 \
	void serve_##name(void *service, struct rpc_call *call, const void *request, void *reply)            \
	{                                                                                                    \
		const Request *rq = request;                                                                 \
		(void)rq;                                                                                    \
		struct change c = {.service = service,                                                       \
			.call = call,                                                                        \
			.request = request,                                                                  \
			.reply = reply,                                                                      \
			.prepare = prepare_##name,                                                           \
			.work = work_##name,                                                                 \
			.known = KNOWN};                                                                     \
		change_run(&c);                                                                              \
	}
#define KNOWN_USER (rq->has_user ? &rq->user : NULL)

/* Commits and answers the call. */
void change_run(struct change *c);
/* Commits only: for jobs and for calls of several commits. c->mem must be set when there is no call. */
enum status change_commit(struct change *c, struct commit_result *out_result);

static inline bool change_by_system(const struct change *c)
{
	return c->call == NULL || c->call->header->actor_id == 0;
}
static inline uint64_t change_actor_id(const struct change *c)
{
	return c->call == NULL ? 0 : c->call->header->actor_id;
}
#define change_actor(c)     (&(c)->facts[0])
#define change_target(c, n) (&(c)->facts[1 + (n)])

/* ---- in prepare */
/*
 * Reads actor and targets (at most 3) in one place and adds the checks and the home stream to the op. A
 * channel_id of 0 is the team itself. STATUS_STALE with why `session` when the actor's token was revoked in
 * between, STATUS_NOT_FOUND when there is no such place (a deleted team is none), BUSY, INTERNAL.
 */
enum status change_load(struct change *c, uint64_t team_id, uint64_t channel_id, const uint64_t *targets,
	size_t target_count);
/* The same without target checks, for more targets; work must read their rows again. */
enum status change_load_many(struct change *c, uint64_t team_id, uint64_t channel_id, const uint64_t *targets,
	size_t target_count);
/* The actor has the permission (the system has all), or the refusal. */
enum status change_need(struct change *c, enum permission permission);
/* Nobody gives what he lacks: the actor has all of these at the place (the system and the team's owner may give anything). */
enum status change_grant(struct change *c, struct bits given);
/* The actor may know of the place at all, or the refusal. */
enum status change_visible(struct change *c);
void change_stream(struct change *c, struct stream s);
/* Sets the reason and returns st; in work too. Texts are static or in c->mem. */
enum status change_refuse(struct change *c, enum status st, const char *why, const char *field);
/* The refusal of a bad field. */
static inline enum status change_field(struct change *c, const char *field)
{
	return change_refuse(c, STATUS_FIELD_INVALID, NULL, field);
}

/* For calls without a place: only the actor's session is checked, facts[0] is the actor as the envelope knows
 * him. */
enum status change_load_session(struct change *c);

/* ---- in work */
/* A new event by the actor; fill its body. */
pb_Event *change_event(struct change *c, uint32_t which);
enum status change_append(
	struct change *c, struct stream s, const char *audience, pb_Event *ev, uint64_t *out_seq);
/* The same event in the person's own stream, with the same event_id. */
enum status change_append_user(struct change *c, uint64_t user_id, pb_Event *ev);
/* audience_changed with one key gained or lost (NULL: none); out_seq is what changed_seq gets. */
enum status change_audience(struct change *c, struct stream s, uint64_t user_id, const char *gained,
	const char *lost, uint64_t *out_seq);
struct key_changes;
/* The same with as many keys as there are (audiences.h). */
enum status change_audience_keys(struct change *c, struct stream s, uint64_t user_id, const struct key_changes *keys,
	uint64_t *out_seq);
/*
 * audience_recheck: gateways ask anew for everybody's keys. closed_channel_id: the channel that had the team's key and gets one of its own,
 * 0: none; kinds: any channel may, or may lose it. Goes first in its commit; out_seq is what rights_seq gets. why is for people.
 */
enum status change_recheck_all(
	struct change *c, struct stream s, uint64_t closed_channel_id, bool kinds, const char *why, uint64_t *out_seq);
/*
 * The same for the keys of who has the role, or of one
 * person. Goes first in its commit; out_seq is what rights_seq or changed_seq gets. why is for people.
 */
enum status change_recheck(struct change *c, struct stream s, uint64_t role_id, uint64_t user_id, const char *why,
	uint64_t *out_seq);
enum status change_query(struct change *c, const struct db_stmt *stmt, const struct db_params *params,
	struct db_rows *out_rows);
void change_params(struct change *c, struct db_params *out);

/* ---- reading calls */
/*
 * The actor's rights for a call that reads, in a snapshot that `conn` keeps open for the call's own statement
 * (end it with read_end). permission: what is needed, or READ_VISIBLE: to know of the place, or READ_ANY:
 * only that it exists. Anything but STATUS_OK is already answered.
 */
#define READ_VISIBLE (-1)
#define READ_ANY     (-2)
enum status read_begin(struct moderation *service, struct rpc_call *call, uint64_t team_id,
	uint64_t channel_id, int permission, struct db_conn **out_conn, struct facts *out_facts);
/* STATUS_STALE when the actor's session epoch in the snapshot of the facts is not the envelope's. */
enum status change_session_check(const struct rpc_call *call, const struct facts *f);
/* For a call without a place: only the actor's session is checked. */
enum status read_begin_session(struct moderation *service, struct rpc_call *call, struct db_conn **out_conn);
/* Ends the snapshot and answers with the reply, or with st. */
void read_end(struct rpc_call *call, struct db_conn *conn, enum status st);

/* limit as asked, LIST_DEFAULT for 0; STATUS_FIELD_INVALID over max. */
enum status list_limit(uint32_t asked, uint32_t max, uint32_t *out_limit);

/* Text from outside: valid UTF-8 of least..most code points. NULL counts as empty. */
bool text_within(const char *text, size_t least, size_t most);
