#include "services/moderation/timeouts.h"

#include <string.h>

#include "services/moderation/audiences.h"
#include "services/moderation/audit.h"
#include "services/moderation/removal.h"
#include "services/moderation/rows.h"

struct timeout_row {
	int64_t until_ms; /* 0: none */
	const char *reason;
};

static const struct db_stmt write_stmt = {"moderation_timeout",
	"UPDATE moderation.members SET timeout_until_ms = $3, timeout_reason = $4 WHERE team_id = $1 AND user_id = $2"};

/* Writes the row; with it go the keys that a timeout takes or gives back, and his epoch. */
static enum status timeout_write(struct change *c, struct facts *f, struct timeout_row row)
{
	struct key_changes keys;
	struct db_params p;
	uint64_t seq = 0;
	struct bits before = eval_rights(&f->eval, EVAL_ASK_NOTHING).bits;
	enum status st = STATUS_OK;

	f->standing.timeout_until_ms = row.until_ms;
	struct bits after = eval_rights(&f->eval, EVAL_ASK_NOTHING).bits;
	/* Coming in is what a timeout leaves alone (eval_may_enter). */
	audiences_can_changes(c->mem, f->team.id, bits_without(before, PERMISSION_access_team),
		bits_without(after, PERMISSION_access_team), &keys);
	if (keys.gained_count + keys.lost_count > 0)
		st = change_audience_keys(c, f->stream, f->person.id, &keys, &seq);
	if (st != STATUS_OK)
		return st;
	change_params(c, &p);
	db_put_id(&p, f->team.id);
	db_put_id(&p, f->person.id);
	db_put_id_or_null(&p, (uint64_t)row.until_ms);
	db_put_text(&p, row.reason);
	st = change_query(c, &write_stmt, &p, NULL);
	return st == STATUS_OK ? rows_raise(c, f->team.id, f->person.id, seq) : st;
}

static enum status tell(struct change *c, const struct facts *f, struct timeout_row row)
{
	char key[AUDIENCE_SIZE];

	pb_Event *ev = change_event(c, EVENT_KIND_member_timed_out);
	pb_MemberTimedOut *body = &ev->body.member_timed_out;
	*body = (pb_MemberTimedOut){.has_member = true,
		.until_ms = (uint64_t)row.until_ms,
		.reason = (char *)row.reason,
		.by = change_actor_id(c)};
	member_view(f, c->mem, &body->member);
	audience_key(key, "team", f->team.id);
	enum status st = change_append(c, f->stream, key, ev, NULL);
	if (st == STATUS_OK)
		st = change_append_user(c, f->person.id, ev);
	if (st != STATUS_OK)
		return st;
	struct audit_changes a;
	audit_changes_begin(&a, c->mem);
	if (row.until_ms != 0)
		audit_time(&a, "until", row.until_ms);
	return audit_append(c, &(struct audit_entry){.action = row.until_ms != 0 ? AUDIT_member_timed_out
									     : AUDIT_member_timeout_lifted,
				       .target_id = f->person.id,
				       .changes = audit_changes_end(&a),
				       .why = row.reason});
}

static enum status load_target(struct change *c, const pb_TimeoutRequest *rq)
{
	if (rq->user_id == 0)
		return change_field(c, "user_id");
	if (!text_within(rq->reason, 0, REASON_MAX))
		return change_field(c, "reason");
	enum status st = change_load(c, rq->team_id, 0, &rq->user_id, 1);
	return st == STATUS_OK ? change_need(c, PERMISSION_moderate_members) : st;
}

/* ---- set */

/* One of the two says until when; seconds count from the commit. */
static int64_t until_of(const pb_TimeoutRequest *rq, int64_t now_ms)
{
	return rq->seconds != 0 ? now_ms + (int64_t)rq->seconds * 1000 : (int64_t)rq->until_ms;
}

static enum status prepare_set_timeout(struct change *c)
{
	const pb_TimeoutRequest *rq = c->request;

	if (rq->seconds > TIMEOUT_MAX_MS / 1000 || (rq->seconds != 0 && rq->until_ms != 0))
		return change_field(c, "seconds");
	if (until_of(rq, c->now_ms) <= c->now_ms || until_of(rq, c->now_ms) > c->now_ms + TIMEOUT_MAX_MS)
		return change_field(c, "until");
	enum status st = load_target(c, rq);
	if (st != STATUS_OK)
		return st;
	const struct facts *f = change_target(c, 0);
	if (!f->standing.member)
		return change_refuse(c, STATUS_NOT_FOUND, "member", NULL);
	change_stream(c, STREAM_USER(rq->user_id));
	return removal_refused(c, change_actor(c), f);
}

static const struct db_stmt read_stmt = {"moderation_timeout_now",
	"SELECT timeout_until_ms, timeout_reason FROM moderation.members WHERE team_id = $1 AND user_id = $2"};

static enum status timeout_now(struct change *c, const struct facts *f, struct timeout_row *out)
{
	struct db_params p;
	struct db_rows rows = {0};

	change_params(c, &p);
	db_put_id(&p, f->team.id);
	db_put_id(&p, f->person.id);
	enum status st = change_query(c, &read_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count != 1)
		return STATUS_INTERNAL;
	*out = (struct timeout_row){db_i64(&rows, 0, 0), arena_strdup(c->mem, db_text(&rows, 0, 1))};
	return STATUS_OK;
}

static bool same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static enum status work_set_timeout(struct change *c, struct log_tx *tx)
{
	const pb_TimeoutRequest *rq = c->request;
	struct facts *f = change_target(c, 0);
	pb_MemberReply *reply = c->reply;
	struct timeout_row now, next = {until_of(rq, c->now_ms), rq->reason};

	if (next.reason != NULL && next.reason[0] == '\0')
		next.reason = NULL;
	enum status st = timeout_now(c, f, &now);
	if (st != STATUS_OK)
		return st;
	bool same = now.until_ms == next.until_ms && same_text(now.reason, next.reason);
	if (!same)
		st = timeout_write(c, f, next);
	if (st == STATUS_OK)
		st = rows_put_people(c);
	if (st != STATUS_OK)
		return st;
	reply->has_member = true;
	member_view(f, c->mem, &reply->member);
	return same ? STATUS_OK : tell(c, f, next);
}

CHANGE_HANDLER(set_timeout, pb_TimeoutRequest, NULL)

/* ---- clear */

static enum status prepare_clear_timeout(struct change *c)
{
	const pb_TimeoutRequest *rq = c->request;

	enum status st = load_target(c, rq);
	if (st != STATUS_OK)
		return st;
	const struct facts *f = change_target(c, 0);
	if (!f->has_row || (!f->standing.member && c->call != NULL))
		return change_refuse(c, STATUS_NOT_FOUND, "member", NULL);
	if (f->standing.timeout_until_ms == 0)
		return STATUS_OK;
	if (f->account)
		change_stream(c, STREAM_USER(rq->user_id));
	return c->call == NULL ? STATUS_OK : removal_refused(c, change_actor(c), f);
}

static enum status work_clear_timeout(struct change *c, struct log_tx *tx)
{
	const pb_TimeoutRequest *rq = c->request;
	struct facts *f = change_target(c, 0);
	pb_MemberReply *reply = c->reply;
	struct timeout_row none = {0, rq->reason};
	bool expires = c->call == NULL, held = f->standing.timeout_until_ms != 0;
	enum status st = STATUS_OK;

	if (expires && (!held || f->standing.timeout_until_ms > c->now_ms))
		return STATUS_OK;
	if (held)
		st = timeout_write(c, f, (struct timeout_row){0, NULL});
	if (st != STATUS_OK)
		return st;
	if (reply != NULL) {
		reply->has_member = true;
		member_view(f, c->mem, &reply->member);
	}
	/* Of one who left meanwhile there is nothing to tell. */
	return held && f->standing.member && f->account ? tell(c, f, none) : STATUS_OK;
}

CHANGE_HANDLER(clear_timeout, pb_TimeoutRequest, NULL)

enum status timeout_expire(struct moderation *service, struct arena *mem, uint64_t team_id, uint64_t user_id)
{
	pb_TimeoutRequest rq = {.team_id = team_id, .user_id = user_id};
	struct commit_result result;
	struct change c = {.service = service,
		.mem = mem,
		.request = &rq,
		.prepare = prepare_clear_timeout,
		.work = work_clear_timeout};
	return change_commit(&c, &result);
}
