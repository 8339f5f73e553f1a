/*
 * bans - bans from teams, and the reads of both kinds of bans.
 */
#include "services/moderation/bans.h"

#include <string.h>

#include "common/base/clock.h"
#include "services/moderation/removal.h"
#include "services/moderation/rows.h"

/* ---- rows */

enum status ban_request_check(struct change *c, const pb_BanRequest *rq)
{
	if (rq->user_id == 0)
		return change_field(c, "user_id");
	if (!text_within(rq->reason, 0, REASON_MAX))
		return change_field(c, "reason");
	if (rq->expires_at_ms != 0 && (int64_t)rq->expires_at_ms <= c->now_ms)
		return change_field(c, "expires_at");
	return STATUS_OK;
}

#define BAN_COLUMNS                                                                                          \
	"b.user_id, " PERSON_COLUMNS("p") ", b.by_id, " PERSON_COLUMNS("h") ", b.reason, b.created_at_ms,"   \
	" b.expires_at_ms FROM moderation.bans b LEFT JOIN moderation.people p ON p.id = b.user_id"            \
	" LEFT JOIN moderation.people h ON h.id = b.by_id"                                                   \
	" WHERE b.scope = $1 AND b.scope_id = $2 AND b.lifted_at_ms IS NULL"

static void ban_from_row(const struct db_rows *rows, int row, struct arena *mem, pb_BanView *out)
{
	int by = 1 + PERSON_COLUMN_COUNT, rest = by + 1 + PERSON_COLUMN_COUNT;

	*out = (pb_BanView){.has_user = true, .has_by = db_id(rows, row, by) != 0};
	person_from_row(rows, row, 1, mem, db_id(rows, row, 0), &out->user);
	if (out->has_by)
		person_from_row(rows, row, by + 1, mem, db_id(rows, row, by), &out->by);
	out->reason = arena_strdup(mem, db_text(rows, row, rest));
	out->created_at_ms = db_id(rows, row, rest + 1);
	out->expires_at_ms = db_id(rows, row, rest + 2);
}

static const struct db_stmt get_stmt = {"moderation_ban", "SELECT " BAN_COLUMNS " AND b.user_id = $3"};
static const struct db_stmt put_stmt = {"moderation_put_ban",
	"INSERT INTO moderation.bans (scope, scope_id, team_id, user_id, reason, by_id, created_at_ms, expires_at_ms)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (scope, scope_id, user_id) WHERE lifted_at_ms IS NULL"
	" DO UPDATE SET reason = $5, expires_at_ms = $8"};

enum status ban_put(
	struct change *c, enum ban_scope scope, uint64_t team_id, const pb_BanRequest *rq, pb_BanView *out_view)
{
	struct db_params p;
	struct db_rows rows = {0};

	change_params(c, &p);
	db_put_i16(&p, (int16_t)scope);
	db_put_id(&p, rq->scope_id);
	db_put_id(&p, team_id);
	db_put_id(&p, rq->user_id);
	db_put_text(&p, rq->reason != NULL && rq->reason[0] != 0 ? rq->reason : NULL);
	db_put_id(&p, change_actor_id(c));
	db_put_i64(&p, c->now_ms);
	db_put_id_or_null(&p, rq->expires_at_ms);
	enum status st = change_query(c, &put_stmt, &p, NULL);
	if (st != STATUS_OK)
		return st;
	change_params(c, &p);
	db_put_i16(&p, (int16_t)scope);
	db_put_id(&p, rq->scope_id);
	db_put_id(&p, rq->user_id);
	st = change_query(c, &get_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count != 1)
		return STATUS_INTERNAL;
	ban_from_row(&rows, 0, c->mem, out_view);
	return STATUS_OK;
}

static const struct db_stmt lift_stmt = {"moderation_lift_ban",
	"UPDATE moderation.bans SET lifted_at_ms = $4, lifted_by = $5, lifted_reason = $6 WHERE scope = $1"
	" AND scope_id = $2 AND user_id = $3 AND lifted_at_ms IS NULL AND (NOT $7 OR expires_at_ms <= $4) RETURNING id"};

enum status ban_lift(struct change *c, enum ban_scope scope, const pb_BanRequest *rq, bool only_expired, bool *out_lifted)
{
	struct db_params p;
	struct db_rows rows = {0};

	change_params(c, &p);
	db_put_i16(&p, (int16_t)scope);
	db_put_id(&p, rq->scope_id);
	db_put_id(&p, rq->user_id);
	db_put_i64(&p, c->now_ms);
	db_put_id_or_null(&p, change_actor_id(c));
	db_put_text(&p, rq->reason);
	db_put_bool(&p, only_expired);
	enum status st = change_query(c, &lift_stmt, &p, &rows);
	if (st == STATUS_OK)
		*out_lifted = rows.count > 0;
	return st;
}

enum status ban_held(struct change *c, enum ban_scope scope, const pb_BanRequest *rq, struct ban_held *out_held,
	bool *out_same)
{
	struct db_params p;
	struct db_rows rows = {0};
	pb_BanView view;

	change_params(c, &p);
	db_put_i16(&p, (int16_t)scope);
	db_put_id(&p, rq->scope_id);
	db_put_id(&p, rq->user_id);
	enum status st = change_query(c, &get_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count != 1)
		return STATUS_INTERNAL;
	ban_from_row(&rows, 0, c->mem, &view);
	const char *asked = rq->reason != NULL && rq->reason[0] != 0 ? rq->reason : NULL;
	*out_held = (struct ban_held){view.reason, (int64_t)view.expires_at_ms};
	*out_same = view.expires_at_ms == rq->expires_at_ms &&
		    (view.reason == NULL || asked == NULL ? view.reason == asked : strcmp(view.reason, asked) == 0);
	return STATUS_OK;
}

enum status ban_record(struct change *c, enum audit_action action, uint64_t channel_id, const pb_BanRequest *rq,
	const struct ban_held *held)
{
	bool lifted = action == AUDIT_member_unbanned || action == AUDIT_channel_user_unbanned;
	struct audit_changes a;

	audit_changes_begin(&a, c->mem);
	if (channel_id != 0)
		audit_id(&a, "channel_id", channel_id);
	if (held != NULL) {
		audit_time_change(&a, "expires_at", held->expires_at_ms, (int64_t)rq->expires_at_ms);
		audit_text_change(&a, "motive", held->reason, rq->reason);
	} else if (!lifted) {
		audit_time(&a, "expires_at", (int64_t)rq->expires_at_ms);
	}
	return audit_append(c, &(struct audit_entry){.action = action,
				       .target_id = rq->user_id,
				       .changes = audit_changes_end(&a),
				       .why = rq->reason});
}

/* ---- ban and unban */

static enum status prepare_ban_member(struct change *c)
{
	const pb_BanRequest *rq = c->request;

	enum status st = ban_request_check(c, rq);
	if (st == STATUS_OK)
		st = change_load(c, rq->scope_id, 0, &rq->user_id, 1);
	if (st == STATUS_OK)
		st = change_need(c, PERMISSION_ban_members);
	if (st != STATUS_OK)
		return st;
	const struct facts *f = change_target(c, 0);
	if (!f->account)
		return change_refuse(c, STATUS_NOT_FOUND, "user", NULL);
	change_stream(c, STREAM_USER(rq->user_id));
	return removal_refused(c, change_actor(c), f);
}

/* T for those who may ban, and U. by 0: the system. */
static enum status tell(struct change *c, uint32_t which, const pb_BanRequest *rq, uint64_t *out_seq)
{
	const struct facts *f = change_target(c, 0);
	char key[AUDIENCE_SIZE];

	pb_Event *ev = change_event(c, which);
	pb_MemberBanned body = {.team_id = f->team.id,
		.has_user = true,
		.user = f->person,
		.reason = rq->reason != NULL && rq->reason[0] != 0 ? rq->reason : NULL,
		.by = change_actor_id(c),
		.expires_at_ms = rq->expires_at_ms};
	if (which == EVENT_KIND_member_banned)
		ev->body.member_banned = body;
	else
		ev->body.member_unbanned = body;
	audience_can(key, f->team.id, PERMISSION_ban_members);
	enum status st = change_append(c, f->stream, key, ev, out_seq);
	return st == STATUS_OK ? change_append_user(c, rq->user_id, ev) : st;
}

static enum status work_ban_member(struct change *c, struct log_tx *tx)
{
	const pb_BanRequest *rq = c->request;
	pb_BanReply *reply = c->reply;
	struct facts *f = change_target(c, 0);

	struct ban_held held;
	bool same = false;

	enum status st = rows_put_people(c);
	if (st == STATUS_OK && f->standing.banned)
		st = ban_held(c, BAN_TEAM, rq, &held, &same);
	if (st == STATUS_OK)
		st = ban_put(c, BAN_TEAM, f->team.id, rq, &reply->ban);
	reply->has_ban = true;
	if (st != STATUS_OK || same)
		return st;
	if (f->standing.banned) { /* it held already, and has another reason or end now */
		st = tell(c, EVENT_KIND_member_banned, rq, NULL);
		return st == STATUS_OK ? ban_record(c, AUDIT_member_ban_changed, 0, rq, &held) : st;
	}
	st = removal_write(c, f, REMOVAL_BANNED);
	if (st == STATUS_OK)
		st = tell(c, EVENT_KIND_member_banned, rq, NULL);
	return st == STATUS_OK ? ban_record(c, AUDIT_member_banned, 0, rq, NULL) : st;
}

CHANGE_HANDLER(ban_member, pb_BanRequest, KNOWN_USER)

static enum status prepare_unban_member(struct change *c)
{
	const pb_BanRequest *rq = c->request;

	if (!text_within(rq->reason, 0, REASON_MAX))
		return change_field(c, "reason");
	enum status st = change_load(c, rq->scope_id, 0, &rq->user_id, 1);
	if (st == STATUS_OK)
		st = change_need(c, PERMISSION_ban_members);
	if (st == STATUS_OK && change_target(c, 0)->standing.banned)
		change_stream(c, STREAM_USER(rq->user_id));
	return st;
}

/* Nobody gains a key: who was banned is not a member. His epoch and changed_seq move all the same. */
static enum status work_unban_member(struct change *c, struct log_tx *tx)
{
	const pb_BanRequest *rq = c->request;
	struct facts *f = change_target(c, 0);
	bool lifted = false;
	uint64_t seq = 0;

	if (!f->standing.banned)
		return STATUS_OK;
	enum status st = ban_lift(c, BAN_TEAM, rq, c->call == NULL, &lifted);
	if (st != STATUS_OK || !lifted)
		return st;
	st = tell(c, EVENT_KIND_member_unbanned, rq, &seq);
	if (st == STATUS_OK)
		st = rows_raise(c, f->team.id, rq->user_id, seq);
	return st == STATUS_OK ? ban_record(c, AUDIT_member_unbanned, 0, rq, NULL) : st;
}

CHANGE_HANDLER(unban_member, pb_BanRequest, NULL)

enum status ban_expire_member(struct moderation *service, struct arena *mem, uint64_t team_id, uint64_t user_id)
{
	pb_BanRequest rq = {.scope_id = team_id, .user_id = user_id};
	struct commit_result result;
	struct change c = {.service = service,
		.mem = mem,
		.request = &rq,
		.prepare = prepare_unban_member,
		.work = work_unban_member};
	return change_commit(&c, &result);
}

/* ---- reads */

static const struct db_stmt list_after_stmt = {"moderation_bans_after",
	"SELECT " BAN_COLUMNS " AND b.user_id > $3 ORDER BY b.user_id LIMIT $4"};
static const struct db_stmt list_before_stmt = {"moderation_bans_before",
	"SELECT " BAN_COLUMNS " AND b.user_id < $3 ORDER BY b.user_id DESC LIMIT $4"};

/* Bans of a team are for those who may ban; bans of a channel for those, and for who moderates it. */
static enum status bans_begin(struct moderation *service, struct rpc_call *call, enum ban_scope scope,
	uint64_t scope_id, struct db_conn **out_conn)
{
	struct facts *f = ARENA_NEW(call->mem, struct facts);
	struct eval_answer answer;
	char why[EVAL_WHY_SIZE];

	if (scope == BAN_TEAM)
		return read_begin(service, call, scope_id, 0, PERMISSION_ban_members, out_conn, f);
	enum status st = read_begin(service, call, 0, scope_id, READ_VISIBLE, out_conn, f);
	if (st != STATUS_OK || call->header->actor_id == 0)
		return st;
	if (eval_need(&f->eval, PERMISSION_ban_members, NULL) == STATUS_OK)
		return STATUS_OK;
	st = eval_need(&f->eval, PERMISSION_moderate_channel, &answer);
	if (st == STATUS_OK)
		return STATUS_OK;
	db_release(*out_conn);
	eval_why(&answer, why);
	rpc_fail(call, st, st == STATUS_FORBIDDEN ? permission_name(PERMISSION_moderate_channel) : why, NULL, why);
	return st;
}

static void list_bans(
	struct moderation *service, struct rpc_call *call, enum ban_scope scope, const pb_ListBansRequest *rq, pb_ListBansReply *out)
{
	struct db_conn *conn = NULL;
	struct db_params p;
	struct db_rows rows = {0};
	uint32_t limit;
	bool back = rq->before != 0;

	if (list_limit(rq->limit, LIST_BANS_MAX, &limit) != STATUS_OK) {
		rpc_fail(call, STATUS_FIELD_INVALID, NULL, "limit", NULL);
		return;
	}
	if (bans_begin(service, call, scope, rq->scope_id, &conn) != STATUS_OK)
		return;
	db_params_begin(&p, call->mem);
	db_put_i16(&p, (int16_t)scope);
	db_put_id(&p, rq->scope_id);
	db_put_id(&p, back ? rq->before : rq->after);
	db_put_i64(&p, limit + 1);
	enum status st = db_query(conn, call->mem, back ? &list_before_stmt : &list_after_stmt, &p, &rows);
	if (st == STATUS_OK) {
		size_t count = (size_t)rows.count < limit ? (size_t)rows.count : limit;
		out->more = (size_t)rows.count > limit;
		out->bans = ARENA_ARRAY(call->mem, count, pb_BanView);
		out->bans_count = (pb_size_t)count;
		for (size_t i = 0; i < count; i++)
			ban_from_row(&rows, (int)(back ? count - 1 - i : i), call->mem, &out->bans[i]);
	}
	read_end(call, conn, st);
}

static void get_ban(
	struct moderation *service, struct rpc_call *call, enum ban_scope scope, const pb_GetBanRequest *rq, pb_BanReply *out)
{
	struct db_conn *conn = NULL;
	struct db_params p;
	struct db_rows rows = {0};

	if (bans_begin(service, call, scope, rq->scope_id, &conn) != STATUS_OK)
		return;
	db_params_begin(&p, call->mem);
	db_put_i16(&p, (int16_t)scope);
	db_put_id(&p, rq->scope_id);
	db_put_id(&p, rq->user_id);
	enum status st = db_query(conn, call->mem, &get_stmt, &p, &rows);
	if (st == STATUS_OK && rows.count == 0)
		st = STATUS_NOT_FOUND;
	if (st == STATUS_OK) {
		out->has_ban = true;
		ban_from_row(&rows, 0, call->mem, &out->ban);
	}
	read_end(call, conn, st);
}

void serve_list_bans(void *service, struct rpc_call *call, const void *request, void *reply)
{
	list_bans(service, call, BAN_TEAM, request, reply);
}

void serve_get_ban(void *service, struct rpc_call *call, const void *request, void *reply)
{
	get_ban(service, call, BAN_TEAM, request, reply);
}

void serve_list_channel_bans(void *service, struct rpc_call *call, const void *request, void *reply)
{
	list_bans(service, call, BAN_CHANNEL, request, reply);
}

void serve_get_channel_ban(void *service, struct rpc_call *call, const void *request, void *reply)
{
	get_ban(service, call, BAN_CHANNEL, request, reply);
}
