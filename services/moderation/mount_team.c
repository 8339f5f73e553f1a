/*
 * mount_team - the one team that a dialect without teams serves, and who comes in. A member comes in who has access_team
 * there; a timeout leaves that alone. Somebody else becomes a member by this call where the team is open.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "services/moderation/joining.h"
#include "services/moderation/rows.h"
#include "services/moderation/teams.h"

#define FIND                                                                                                 \
	"SELECT t.id, (SELECT min(r.id) FROM moderation.roles r WHERE r.team_id = t.id AND NOT r.is_base"    \
	" AND r.permissions_low & 1 = 1) FROM moderation.teams t WHERE t.deleted_at_ms IS NULL"
static const struct db_stmt oldest_stmt = {"moderation_mount_team_oldest", FIND " ORDER BY t.created_at_ms, t.id LIMIT 1"};
/* By id (a UUID or decimal) or slug. */
static const struct db_stmt named_stmt = {
	"moderation_mount_team", FIND " AND (lower(t.slug) = lower($1::text) OR t.id = $2) ORDER BY t.id LIMIT 1"};

static uint64_t id_named(const char *team)
{
	uint64_t id = 0;
	size_t length = strlen(team);

	if (ids_from_uuid(team, length, &id) == STATUS_OK)
		return id;
	return length > 0 && length < 20 && strspn(team, "0123456789") == length ? strtoull(team, NULL, 10) : 0;
}

/* STATUS_NO_ACCESS: there is no such team. */
static enum status find(const struct moderation *m, struct db_conn *conn, struct arena *mem, uint64_t *out_team_id,
	uint64_t *out_admins_role_id)
{
	const char *named = m->config->crust_team;
	struct db_params p;
	struct db_rows rows = {0};

	db_params_begin(&p, mem);
	if (named[0] != '\0') {
		db_put_text(&p, named);
		db_put_id(&p, id_named(named));
	}
	enum status st = db_query(conn, mem, named[0] != '\0' ? &named_stmt : &oldest_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count == 0)
		return STATUS_NO_ACCESS;
	*out_team_id = db_id(&rows, 0, 0);
	*out_admins_role_id = db_id(&rows, 0, 1);
	return STATUS_OK;
}

enum entry {
	ENTRY_IN,      /* a member who may come in */
	ENTRY_JOINS,   /* no member yet; the team is open */
	ENTRY_REFUSED,
};

static enum entry entry_of(const struct facts *f)
{
	bool member = f->standing.member, open = f->joining == JOINING_OPEN && f->account;
	struct eval_standing within = f->standing;
	struct eval_facts eval = f->eval;

	if (!member && !open)
		return ENTRY_REFUSED;
	within.member = true;
	eval.standing = &within;
	if (!eval_may_enter(&eval))
		return ENTRY_REFUSED;
	return member ? ENTRY_IN : ENTRY_JOINS;
}

static void fill_actor(const struct facts *f, struct arena *mem, pb_MountTeamReply *out)
{
	struct eval_answer a = eval_rights(&f->eval, EVAL_ASK_NOTHING);

	out->has_permissions = true;
	out->permissions = (pb_Bits){a.bits.low, a.bits.high};
	out->role_ids = arena_memdup(mem, f->standing.role_ids, f->standing.role_count * sizeof *out->role_ids);
	out->role_ids_count = (pb_size_t)f->standing.role_count;
}

/* ---- joining */

struct mounting {
	uint64_t team_id, admins_role_id;
};

static enum status prepare_mount(struct change *c)
{
	const struct mounting *j = c->data;

	enum status st = joining_load(c, j->team_id, change_actor_id(c));
	if (st == STATUS_OK && entry_of(change_target(c, 0)) == ENTRY_REFUSED)
		return change_refuse(c, STATUS_NO_ACCESS, NULL, NULL);
	return st == STATUS_OK ? joining_refused(c) : st;
}

static enum status work_mount(struct change *c, struct log_tx *tx)
{
	const struct mounting *j = c->data;
	struct facts *f = change_target(c, 0);
	pb_MountTeamReply *reply = c->reply;
	pb_MemberReply member = {0};

	if (!f->standing.member) {
		enum status st = joining_write(c, f, (struct joining_by){0}, &member);
		if (st != STATUS_OK)
			return st;
		reply->joined = true;
	}
	reply->has_team = true;
	reply->admins_role_id = j->admins_role_id;
	fill_actor(f, c->mem, reply);
	return team_view_locked(c, j->team_id, &reply->team);
}

void serve_get_mount_team(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct moderation *m = service;
	const pb_MountTeamRequest *rq = request;
	pb_MountTeamReply *out = reply;
	struct facts *f = ARENA_NEW(call->mem, struct facts);
	struct db_conn *conn = NULL;
	struct mounting joins = {0};
	bool system = call->header->actor_id == 0;
	enum entry entry = ENTRY_REFUSED;

	if (rq->dialect != DIALECT_CRUST) {
		rpc_fail(call, STATUS_FIELD_INVALID, NULL, "dialect", NULL);
		return;
	}
	if (read_begin_session(m, call, &conn) != STATUS_OK)
		return;
	struct facts_query query = {.actor_id = call->header->actor_id,
		.user_ids = &call->header->actor_id,
		.user_count = 1,
		.now_ms = clock_wall_ms()};
	enum status st = find(m, conn, call->mem, &joins.team_id, &joins.admins_role_id);
	query.team_id = joins.team_id;
	if (st == STATUS_OK)
		st = facts_load(conn, call->mem, &query, f);
	if (st == STATUS_OK && !system)
		entry = entry_of(f);
	if (st == STATUS_OK && !system && (entry == ENTRY_REFUSED || (entry == ENTRY_JOINS && !rq->join)))
		st = STATUS_NO_ACCESS;
	if (st == STATUS_OK && entry != ENTRY_JOINS)
		st = team_view_read(conn, call->mem, joins.team_id, &out->team);
	if (st != STATUS_OK) {
		read_end(call, conn, st);
		return;
	}
	if (entry != ENTRY_JOINS) {
		out->has_team = true;
		out->admins_role_id = joins.admins_role_id;
		fill_actor(f, call->mem, out);
		read_end(call, conn, STATUS_OK);
		return;
	}
	db_release(conn);
	struct change c = {.service = m,
		.call = call,
		.request = request,
		.reply = reply,
		.prepare = prepare_mount,
		.work = work_mount,
		.data = &joins};
	change_run(&c);
}
