#include "services/moderation/ownership.h"

#include "services/moderation/audit.h"
#include "services/moderation/rows.h"
#include "services/moderation/teams.h"

static const struct db_stmt own_stmt = {"moderation_own_team",
	"UPDATE moderation.teams SET owner_id = $3, updated_at_ms = $4, updated_by = $5 WHERE id = $1 AND owner_id = $2"
	" RETURNING id"};
static const struct db_stmt free_stmt = {"moderation_free_owner",
	"UPDATE moderation.members SET timeout_until_ms = NULL, timeout_reason = NULL WHERE team_id = $1 AND user_id = $2"};

/* Every key that the two hold in the team follows from it, so gateways ask for both anew. An owner is bound by no
 * timeout: one that he had ends here. */
static enum status hand_on(struct change *c, uint64_t from, uint64_t to, pb_TeamView *out_team)
{
	static char *const changed[] = {"owner_id"};
	const struct facts *f = change_actor(c);
	uint64_t both[] = {from, to}, seq = 0;
	struct db_params p;
	struct db_rows rows = {0};
	struct audit_changes a;
	char key[AUDIENCE_SIZE];

	pb_Event *recheck = change_event(c, EVENT_KIND_audience_recheck);
	recheck->body.audience_recheck = (pb_AudienceRecheck){.user_ids_count = 2, .user_ids = both, .why = "owner"};
	enum status st = change_append(c, f->stream, "", recheck, &seq);
	if (st != STATUS_OK)
		return st;
	change_params(c, &p);
	db_put_id(&p, f->team.id);
	db_put_id(&p, from);
	db_put_id(&p, to);
	db_put_i64(&p, c->now_ms);
	db_put_id_or_null(&p, change_actor_id(c));
	st = change_query(c, &own_stmt, &p, &rows);
	if (st == STATUS_OK && rows.count == 0)
		return STATUS_STALE; /* somebody else's meanwhile */
	if (st == STATUS_OK) {
		change_params(c, &p);
		db_put_id(&p, f->team.id);
		db_put_id(&p, to);
		st = change_query(c, &free_stmt, &p, NULL);
	}
	if (st == STATUS_OK)
		st = rows_raise(c, f->team.id, from, seq);
	if (st == STATUS_OK)
		st = rows_raise(c, f->team.id, to, seq);
	if (st == STATUS_OK)
		st = team_view_locked(c, f->team.id, out_team);
	if (st != STATUS_OK)
		return st;
	/* Who may be kicked, banned or timed out is judged by who owns the team. */
	log_tx_raise_epoch(c->tx, f->stream);
	pb_Event *ev = change_event(c, EVENT_KIND_team_updated);
	ev->body.team_updated = (pb_TeamUpdated){
		.has_team = true, .team = *out_team, .changed_count = 1, .changed = (char **)changed};
	audience_key(key, "team", f->team.id);
	st = change_append(c, f->stream, key, ev, NULL);
	if (st != STATUS_OK)
		return st;
	audit_changes_begin(&a, c->mem);
	audit_id_change(&a, "owner_id", from, to);
	return audit_append(c, &(struct audit_entry){.action = AUDIT_owner_transferred,
				      .target_id = f->team.id,
				      .changes = audit_changes_end(&a)});
}

/* ---- by the owner */

static enum status prepare_transfer_team(struct change *c)
{
	const pb_TransferTeamRequest *rq = c->request;

	if (rq->user_id == 0)
		return change_field(c, "owner_id");
	enum status st = change_load(c, rq->team_id, 0, &rq->user_id, 1);
	if (st == STATUS_OK)
		st = change_visible(c);
	if (st != STATUS_OK)
		return st;
	const struct facts *f = change_target(c, 0);
	if (!change_by_system(c) && f->team.owner_id != change_actor_id(c))
		return change_refuse(c, STATUS_FORBIDDEN, "owner", NULL);
	if (!f->standing.member || f->person.erased)
		return change_refuse(c, STATUS_NOT_FOUND, "member", NULL);
	if (f->person.bot || f->person.system)
		return change_refuse(c, STATUS_FORBIDDEN, "bot", NULL);
	return STATUS_OK;
}

static enum status work_transfer_team(struct change *c, struct log_tx *tx)
{
	const pb_TransferTeamRequest *rq = c->request;
	const struct facts *f = change_target(c, 0);
	pb_TeamReply *reply = c->reply;

	reply->has_team = true;
	if (f->team.owner_id == rq->user_id)
		return team_view_locked(c, f->team.id, &reply->team);
	return hand_on(c, f->team.owner_id, rq->user_id, &reply->team);
}

CHANGE_HANDLER(transfer_team, pb_TransferTeamRequest, NULL)

/* ---- when the owner's account is erased */

struct leaving_owner {
	uint64_t team_id, user_id;
	uint64_t heir; /* 0: there is nobody */
};

static const struct db_stmt heir_stmt = {"moderation_heir",
	"SELECT m.user_id FROM moderation.members m LEFT JOIN moderation.people p ON p.id = m.user_id"
	" LEFT JOIN LATERAL (SELECT max(r.position) AS top FROM moderation.member_roles mr"
	"   JOIN moderation.roles r ON r.id = mr.role_id WHERE mr.team_id = m.team_id AND mr.user_id = m.user_id) t ON true"
	" WHERE m.team_id = $1 AND m.left_at_ms IS NULL AND m.user_id <> $2"
	" AND NOT (coalesce(p.bot, false) OR coalesce(p.system, false) OR coalesce(p.erased, false))"
	" ORDER BY coalesce(t.top, 0) DESC, m.joined_at_ms, m.user_id LIMIT 1"};

static enum status prepare_leave(struct change *c)
{
	struct leaving_owner *l = c->data;
	struct db_params p;
	struct db_rows rows = {0};

	db_params_begin(&p, c->mem);
	db_put_id(&p, l->team_id);
	db_put_id(&p, l->user_id);
	enum status st = db_query(c->conn, c->mem, &heir_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	l->heir = rows.count == 0 ? 0 : db_id(&rows, 0, 0);
	/* His epoch is compared: who leaves now does not become the owner. */
	return change_load(c, l->team_id, 0, &l->heir, l->heir != 0);
}

static enum status work_leave(struct change *c, struct log_tx *tx)
{
	const struct leaving_owner *l = c->data;
	pb_TeamView team;
	struct db_params p;
	struct db_rows rows = {0};

	if (change_actor(c)->team.owner_id != l->user_id)
		return STATUS_OK;
	if (l->heir == 0) {
		/* Joining raises no epoch of others: under the lock it shows who came meanwhile. */
		change_params(c, &p);
		db_put_id(&p, l->team_id);
		db_put_id(&p, l->user_id);
		enum status st = change_query(c, &heir_stmt, &p, &rows);
		if (st == STATUS_OK)
			st = rows.count > 0 ? STATUS_STALE : team_delete_write(c);
		return st;
	}
	if (!change_target(c, 0)->standing.member)
		return STATUS_STALE; /* he left between two looks of prepare */
	return hand_on(c, l->user_id, l->heir, &team);
}

enum status ownership_leave(struct moderation *service, struct rpc_call *call, uint64_t team_id, uint64_t user_id)
{
	struct leaving_owner l = {.team_id = team_id, .user_id = user_id};
	struct commit_result result;
	struct change c = {.service = service,
		.call = call,
		.prepare = prepare_leave,
		.work = work_leave,
		.data = &l,
		.rows_repeat = true};
	return change_commit(&c, &result);
}
