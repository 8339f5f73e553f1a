#include "services/moderation/invites.h"

#include <sodium.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "services/moderation/audit.h"
#include "services/moderation/joining.h"
#include "services/moderation/rows.h"
#include "services/moderation/teams.h"

/* ---- codes and rows */

#define CODE_BYTES 16

static void code_new(char out[INVITE_CODE_SIZE])
{
	uint8_t bytes[CODE_BYTES];

	_Static_assert(INVITE_CODE_SIZE == sodium_base64_ENCODED_LEN(CODE_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING),
		"22 characters and NUL");
	ids_random_bytes(bytes, sizeof bytes);
	sodium_bin2base64(out, INVITE_CODE_SIZE, bytes, sizeof bytes, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

/* What is no code names nothing. */
static bool code_formed(const char *code)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

	return code != NULL && strlen(code) == INVITE_CODE_SIZE - 1 && strspn(code, letters) == INVITE_CODE_SIZE - 1;
}

#define INVITE_COLUMNS                                                                                       \
	"i.code, i.team_id, i.created_by, " PERSON_COLUMNS("p") ", i.created_at_ms, i.expires_at_ms,"       \
	" i.max_uses, i.uses, i.used_at_ms"
#define INVITE_FROM " FROM moderation.invites i LEFT JOIN moderation.people p ON p.id = i.created_by"

struct invite {
	pb_InviteView view;
	int64_t used_at_ms;
};

static void invite_from_row(const struct db_rows *rows, int row, struct arena *mem, struct invite *out)
{
	int rest = 3 + PERSON_COLUMN_COUNT;

	*out = (struct invite){
		.view = {.code = arena_strdup(mem, db_text(rows, row, 0)),
			.team_id = db_id(rows, row, 1),
			.has_by = true,
			.created_at_ms = db_id(rows, row, rest),
			.expires_at_ms = db_id(rows, row, rest + 1),
			.max_uses = db_id(rows, row, rest + 2),
			.uses = db_id(rows, row, rest + 3)},
		.used_at_ms = db_i64(rows, row, rest + 4),
	};
	person_from_row(rows, row, 3, mem, db_id(rows, row, 2), &out->view.by);
}

static bool expired(const pb_InviteView *invite, int64_t now_ms)
{
	return invite->expires_at_ms != 0 && (int64_t)invite->expires_at_ms <= now_ms;
}

static bool used_up(const pb_InviteView *invite)
{
	return invite->max_uses != 0 && invite->uses >= invite->max_uses;
}

static const struct db_stmt find_stmt = {"moderation_invite",
	"SELECT " INVITE_COLUMNS INVITE_FROM " WHERE i.code = $1"};

static enum status invite_find(struct db_conn *conn, struct arena *mem, const char *code, struct invite *out)
{
	struct db_params p;
	struct db_rows rows = {0};

	if (!code_formed(code))
		return STATUS_NOT_FOUND;
	db_params_begin(&p, mem);
	db_put_text(&p, code);
	enum status st = db_query(conn, mem, &find_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count != 1)
		return STATUS_NOT_FOUND;
	invite_from_row(&rows, 0, mem, out);
	return STATUS_OK;
}

/* What the audit log says of a code: enough to know it again, too little to use it. */
static const char *code_begins(struct arena *mem, const pb_InviteView *invite)
{
	return arena_strndup(mem, invite->code, 6);
}

static enum status tell(struct change *c, uint32_t which, const pb_InviteView *invite)
{
	const struct facts *f = change_actor(c);
	char key[AUDIENCE_SIZE];

	pb_Event *ev = change_event(c, which);
	pb_InviteEvent body = {.has_invite = true, .invite = *invite, .by = change_actor_id(c)};
	if (which == EVENT_KIND_invite_created)
		ev->body.invite_created = body;
	else
		ev->body.invite_deleted = body;
	audience_can(key, f->team.id, PERMISSION_create_invites);
	return change_append(c, f->stream, key, ev, NULL);
}

/* ---- create */

static enum status prepare_create_invite(struct change *c)
{
	const pb_CreateInviteRequest *rq = c->request;

	if (rq->max_uses > INVITE_USES_MAX)
		return change_field(c, "max_uses");
	if (rq->expires_at_ms != 0 && (int64_t)rq->expires_at_ms <= c->now_ms)
		return change_field(c, "expires_at");
	if (change_by_system(c))
		return change_refuse(c, STATUS_FORBIDDEN, "account", NULL); /* an invite has a maker */
	code_new(c->data);
	c->op.keeps_rights = true;
	enum status st = change_load(c, rq->team_id, 0, NULL, 0);
	return st == STATUS_OK ? change_need(c, PERMISSION_create_invites) : st;
}

static const struct db_stmt count_stmt = {"moderation_count_invites",
	"SELECT count(*), count(*) FILTER (WHERE created_by = $2) FROM moderation.invites WHERE team_id = $1"};
static const struct db_stmt create_stmt = {"moderation_create_invite",
	"INSERT INTO moderation.invites (code, team_id, created_by, created_at_ms, expires_at_ms, max_uses)"
	" VALUES ($1, $2, $3, $4, $5, $6)"};

static enum status work_create_invite(struct change *c, struct log_tx *tx)
{
	const pb_CreateInviteRequest *rq = c->request;
	pb_InviteReply *reply = c->reply;
	struct db_params p;
	struct db_rows rows = {0};

	change_params(c, &p);
	db_put_id(&p, rq->team_id);
	db_put_id(&p, change_actor_id(c));
	enum status st = change_query(c, &count_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	if (db_i64(&rows, 0, 0) >= INVITES_PER_TEAM_MAX || db_i64(&rows, 0, 1) >= INVITES_PER_MEMBER_MAX)
		return change_refuse(c, STATUS_AT_LIMIT, "invites", NULL);
	reply->has_invite = true;
	reply->invite = (pb_InviteView){.code = c->data,
		.team_id = rq->team_id,
		.has_by = true,
		.by = change_actor(c)->person,
		.created_at_ms = (uint64_t)c->now_ms,
		.expires_at_ms = rq->expires_at_ms,
		.max_uses = rq->max_uses};
	change_params(c, &p);
	db_put_text(&p, reply->invite.code);
	db_put_id(&p, rq->team_id);
	db_put_id(&p, change_actor_id(c));
	db_put_i64(&p, c->now_ms);
	db_put_id_or_null(&p, rq->expires_at_ms);
	db_put_id_or_null(&p, rq->max_uses);
	st = change_query(c, &create_stmt, &p, NULL);
	if (st == STATUS_OK)
		st = rows_put_people(c);
	if (st == STATUS_OK)
		st = tell(c, EVENT_KIND_invite_created, &reply->invite);
	if (st != STATUS_OK)
		return st;
	struct audit_changes a;
	audit_changes_begin(&a, c->mem);
	audit_text(&a, "code_begins", code_begins(c->mem, &reply->invite));
	audit_time(&a, "expires_at", (int64_t)rq->expires_at_ms);
	audit_number(&a, "max_uses", (int64_t)rq->max_uses);
	return audit_append(c, &(struct audit_entry){.action = AUDIT_invite_created, .changes = audit_changes_end(&a)});
}

void serve_create_invite(void *service, struct rpc_call *call, const void *request, void *reply)
{
	char code[INVITE_CODE_SIZE];
	struct change c = {.service = service,
		.call = call,
		.request = request,
		.reply = reply,
		.prepare = prepare_create_invite,
		.work = work_create_invite,
		.data = code};
	change_run(&c);
}

/* ---- delete */

static enum status prepare_delete_invite(struct change *c)
{
	const pb_InviteRequest *rq = c->request;
	struct invite *invite = c->data;

	enum status st = invite_find(c->conn, c->mem, rq->code, invite);
	if (st == STATUS_NOT_FOUND)
		return change_refuse(c, st, NULL, NULL);
	if (st != STATUS_OK)
		return st;
	c->op.keeps_rights = true;
	st = change_load(c, invite->view.team_id, 0, NULL, 0);
	if (st == STATUS_OK)
		st = change_visible(c);
	if (st != STATUS_OK || invite->view.by.id == change_actor_id(c))
		return st;
	return change_need(c, PERMISSION_manage_team);
}

/* $2: the job's way, for what ended by the clock or by its uses. */
static const struct db_stmt delete_stmt = {"moderation_delete_invite",
	"DELETE FROM moderation.invites WHERE code = $1 AND (NOT $2 OR expires_at_ms <= $3"
	" OR (uses >= max_uses AND used_at_ms <= $4)) RETURNING uses"};

static enum status work_delete_invite(struct change *c, struct log_tx *tx)
{
	struct invite *invite = c->data;
	struct db_params p;
	struct db_rows rows = {0};

	change_params(c, &p);
	db_put_text(&p, invite->view.code);
	db_put_bool(&p, c->call == NULL);
	db_put_i64(&p, c->now_ms);
	db_put_i64(&p, c->now_ms - INVITE_USED_UP_KEPT_MS);
	enum status st = change_query(c, &delete_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count == 0)
		return change_refuse(c, STATUS_NOT_FOUND, NULL, NULL);
	invite->view.uses = db_id(&rows, 0, 0);
	st = tell(c, EVENT_KIND_invite_deleted, &invite->view);
	if (st != STATUS_OK || c->call == NULL)
		return st; /* what ends by itself is nobody's doing */
	struct audit_changes a;
	audit_changes_begin(&a, c->mem);
	audit_text(&a, "code_begins", code_begins(c->mem, &invite->view));
	audit_id(&a, "made_by", invite->view.by.id);
	audit_number(&a, "uses", (int64_t)invite->view.uses);
	return audit_append(c, &(struct audit_entry){.action = AUDIT_invite_deleted, .changes = audit_changes_end(&a)});
}

void serve_delete_invite(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct invite invite;
	struct change c = {.service = service,
		.call = call,
		.request = request,
		.reply = reply,
		.prepare = prepare_delete_invite,
		.work = work_delete_invite,
		.data = &invite};
	change_run(&c);
}

enum status invite_expire(struct moderation *service, struct arena *mem, const char *code)
{
	pb_InviteRequest rq = {.code = (char *)code};
	struct invite invite;
	struct commit_result result;
	struct change c = {.service = service,
		.mem = mem,
		.request = &rq,
		.prepare = prepare_delete_invite,
		.work = work_delete_invite,
		.data = &invite};
	return change_commit(&c, &result);
}

/* ---- use */

static enum status prepare_use_invite(struct change *c)
{
	const pb_InviteRequest *rq = c->request;
	struct invite *invite = c->data;

	if (change_by_system(c))
		return change_refuse(c, STATUS_FORBIDDEN, "account", NULL);
	enum status st = invite_find(c->conn, c->mem, rq->code, invite);
	if (st == STATUS_NOT_FOUND)
		return change_refuse(c, st, NULL, NULL);
	if (st == STATUS_OK)
		st = joining_load(c, invite->view.team_id, change_actor_id(c));
	if (st != STATUS_OK || change_target(c, 0)->standing.member)
		return st;
	if (expired(&invite->view, c->now_ms) || used_up(&invite->view))
		return change_refuse(c, STATUS_NOT_FOUND, NULL, NULL);
	return joining_refused(c);
}

/* Counted under the lock of the team's stream, so the last use is had by one. */
static const struct db_stmt use_stmt = {"moderation_use_invite",
	"UPDATE moderation.invites SET uses = uses + 1, used_at_ms = $2 WHERE code = $1"
	" AND (expires_at_ms IS NULL OR expires_at_ms > $2) AND (max_uses IS NULL OR uses < max_uses) RETURNING uses"};

static enum status work_use_invite(struct change *c, struct log_tx *tx)
{
	const struct invite *invite = c->data;
	struct facts *f = change_target(c, 0);
	pb_MemberReply *reply = c->reply;
	struct db_params p;
	struct db_rows rows = {0};

	if (f->standing.member) {
		reply->has_member = true;
		member_view(f, c->mem, &reply->member);
		return STATUS_OK;
	}
	change_params(c, &p);
	db_put_text(&p, invite->view.code);
	db_put_i64(&p, c->now_ms);
	enum status st = change_query(c, &use_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count == 0)
		return change_refuse(c, STATUS_NOT_FOUND, NULL, NULL);
	return joining_write(c, f,
		(struct joining_by){.invited_by = invite->view.by.id, .invite = invite->view.code}, reply);
}

void serve_use_invite(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct invite invite;
	struct change c = {.service = service,
		.call = call,
		.request = request,
		.reply = reply,
		.prepare = prepare_use_invite,
		.work = work_use_invite,
		.data = &invite};
	change_run(&c);
}

/* ---- reads */

/* Whoever has the code may see where it leads, unless he is banned there. */
void serve_get_invite(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_InviteRequest *rq = request;
	pb_InviteReply *out = reply;
	struct db_conn *conn = NULL;
	struct facts *f = ARENA_NEW(call->mem, struct facts);
	struct invite invite;
	int64_t now_ms = clock_wall_ms();

	if (read_begin_session(service, call, &conn) != STATUS_OK)
		return;
	enum status st = invite_find(conn, call->mem, rq->code, &invite);
	if (st != STATUS_OK)
		goto out;
	struct facts_query query = {.actor_id = call->header->actor_id,
		.team_id = invite.view.team_id,
		.user_ids = &call->header->actor_id,
		.user_count = 1,
		.now_ms = now_ms};
	st = facts_load(conn, call->mem, &query, f);
	if (st != STATUS_OK)
		goto out;
	bool ended = expired(&invite.view, now_ms) || (used_up(&invite.view) && !f->standing.member);
	if (!f->found || f->team.deleted || f->team.suspended || f->standing.banned || ended) {
		st = STATUS_NOT_FOUND;
		goto out;
	}
	out->has_invite = true;
	out->invite = invite.view;
	st = team_view_read(conn, call->mem, invite.view.team_id, &out->invite.team);
	out->invite.has_team = true;
out:
	read_end(call, conn, st);
}

#define LIST_INVITES "SELECT " INVITE_COLUMNS INVITE_FROM " WHERE i.team_id = $1 AND ($2 OR i.created_by = $3)"
static const struct db_stmt list_after_stmt = {"moderation_invites_after",
	LIST_INVITES " AND i.code > $4 ORDER BY i.code LIMIT $5"};
static const struct db_stmt list_before_stmt = {"moderation_invites_before",
	LIST_INVITES " AND i.code < $4 ORDER BY i.code DESC LIMIT $5"};

/* Who manages the team sees all, who may make invites his own. */
static enum status list_begin(struct moderation *service, struct rpc_call *call, uint64_t team_id,
	struct db_conn **out_conn, bool *out_all)
{
	struct facts *f = ARENA_NEW(call->mem, struct facts);

	enum status st = read_begin(service, call, team_id, 0, READ_VISIBLE, out_conn, f);
	if (st != STATUS_OK)
		return st;
	*out_all = call->header->actor_id == 0 ||
		   eval_need(&f->eval, PERMISSION_manage_team, NULL) == STATUS_OK;
	if (*out_all)
		return STATUS_OK;
	struct eval_answer answer;
	char why[EVAL_WHY_SIZE];
	st = eval_need(&f->eval, PERMISSION_create_invites, &answer);
	if (st == STATUS_OK)
		return STATUS_OK;
	db_release(*out_conn);
	eval_why(&answer, why);
	rpc_fail(call, st, st == STATUS_FORBIDDEN ? permission_name(PERMISSION_create_invites) : why, NULL, why);
	return st;
}

void serve_list_invites(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_ListInvitesRequest *rq = request;
	pb_ListInvitesReply *out = reply;
	struct db_conn *conn = NULL;
	struct db_params p;
	struct db_rows rows = {0};
	struct invite invite;
	uint32_t limit;
	bool back = rq->before != NULL, all = false;

	if (list_limit(rq->limit, LIST_MAX, &limit) != STATUS_OK) {
		rpc_fail(call, STATUS_FIELD_INVALID, NULL, "limit", NULL);
		return;
	}
	if ((rq->before != NULL && !code_formed(rq->before)) || (rq->after != NULL && !code_formed(rq->after))) {
		rpc_fail(call, STATUS_FIELD_INVALID, NULL, rq->before != NULL ? "before" : "after", NULL);
		return;
	}
	if (list_begin(service, call, rq->team_id, &conn, &all) != STATUS_OK)
		return;
	db_params_begin(&p, call->mem);
	db_put_id(&p, rq->team_id);
	db_put_bool(&p, all);
	db_put_id(&p, call->header->actor_id);
	db_put_text(&p, back ? rq->before : rq->after != NULL ? rq->after : "");
	db_put_i64(&p, limit + 1);
	enum status st = db_query(conn, call->mem, back ? &list_before_stmt : &list_after_stmt, &p, &rows);
	if (st == STATUS_OK) {
		size_t count = (size_t)rows.count < limit ? (size_t)rows.count : limit;
		out->more = (size_t)rows.count > limit;
		out->invites = ARENA_ARRAY(call->mem, count, pb_InviteView);
		out->invites_count = (pb_size_t)count;
		for (size_t i = 0; i < count; i++) {
			invite_from_row(&rows, (int)(back ? count - 1 - i : i), call->mem, &invite);
			out->invites[i] = invite.view;
		}
	}
	read_end(call, conn, st);
}
