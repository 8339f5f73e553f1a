/*
 * teams - reading, changing and deleting teams; making them is team_create.c.
 */
#include <string.h>

#include "services/moderation/audit.h"
#include "services/moderation/rows.h"
#include "services/moderation/teams.h"

/* A default channel that was deleted is none: messaging does not write here. */
#define TEAM_COLUMNS                                                                                         \
	"t.id, t.name, t.slug, t.description, t.icon, t.banner, t.owner_id, t.joining, t.public_read,"       \
	" t.base_role_id, t.base_group_id, (SELECT d.id FROM messaging.channel_facts d"                       \
	"   WHERE d.id = t.default_channel_id AND d.deleted_at_ms IS NULL), t.member_count, t.created_at_ms,"  \
	" t.suspended"

static void team_from_row(const struct db_rows *rows, int row, struct arena *mem, pb_TeamView *out)
{
	*out = (pb_TeamView){
		.id = db_id(rows, row, 0),
		.name = arena_strdup(mem, db_text(rows, row, 1)),
		.slug = arena_strdup(mem, db_text(rows, row, 2)),
		.description = arena_strdup(mem, db_text(rows, row, 3)),
		.icon = arena_strdup(mem, db_text(rows, row, 4)),
		.banner = arena_strdup(mem, db_text(rows, row, 5)),
		.owner_id = db_id(rows, row, 6),
		.joining = (uint32_t)db_i64(rows, row, 7),
		.public_read = db_bool(rows, row, 8),
		.base_role_id = db_id(rows, row, 9),
		.base_group_id = db_id(rows, row, 10),
		.default_channel_id = db_id(rows, row, 11),
		.member_count = db_id(rows, row, 12),
		.created_at_ms = db_id(rows, row, 13),
		.suspended = db_bool(rows, row, 14),
	};
}

static const struct db_stmt team_stmt = {"moderation_team",
	"SELECT " TEAM_COLUMNS " FROM moderation.teams t WHERE t.id = $1"};

enum status team_view_read(struct db_conn *conn, struct arena *mem, uint64_t team_id, pb_TeamView *out)
{
	struct db_params p;
	struct db_rows rows = {0};

	db_params_begin(&p, mem);
	db_put_id(&p, team_id);
	enum status st = db_query(conn, mem, &team_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count != 1)
		return STATUS_NOT_FOUND;
	team_from_row(&rows, 0, mem, out);
	return STATUS_OK;
}

enum status team_view_locked(struct change *c, uint64_t team_id, pb_TeamView *out)
{
	struct db_params p;
	struct db_rows rows = {0};

	change_params(c, &p);
	db_put_id(&p, team_id);
	enum status st = change_query(c, &team_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count != 1)
		return STATUS_NOT_FOUND;
	team_from_row(&rows, 0, c->mem, out);
	return STATUS_OK;
}

static bool joining_known(uint32_t joining)
{
	return joining == JOINING_OPEN || joining == JOINING_APPLICATION || joining == JOINING_INVITE;
}

const char *team_bad_field(
	const char *name, const char *description, const char *icon, uint32_t joining)
{
	if (!text_within(name, 1, TEAM_NAME_MAX))
		return "name";
	if (!text_within(description, 0, TEAM_DESCRIPTION_MAX))
		return "description";
	if (!text_within(icon, 0, URL_BYTES_MAX) || (icon != NULL && strlen(icon) > URL_BYTES_MAX))
		return "icon";
	return joining_known(joining) ? NULL : "joining";
}

const char *team_text(const char *text)
{
	return text != NULL && text[0] != 0 ? text : NULL;
}

/* ---- change */

static enum status prepare_update_team(struct change *c)
{
	const pb_UpdateTeamRequest *rq = c->request;

	const char *bad = team_bad_field(rq->name != NULL ? rq->name : "-", rq->description, rq->icon,
		rq->has_joining ? rq->joining : JOINING_OPEN);
	if (bad != NULL)
		return change_field(c, bad);
	for (size_t i = 0; i < rq->cleared_count; i++)
		if (strcmp(rq->cleared[i], "description") != 0 && strcmp(rq->cleared[i], "icon") != 0 &&
			strcmp(rq->cleared[i], "default_channel_id") != 0)
			return change_field(c, rq->cleared[i]);
	enum status st = change_load(c, rq->team_id, 0, NULL, 0);
	return st == STATUS_OK ? change_need(c, PERMISSION_manage_team) : st;
}

static const struct db_stmt update_team_stmt = {"moderation_update_team",
	"UPDATE moderation.teams SET name = $2, description = $3, icon = $4, joining = $5, public_read = $6,"
	" default_channel_id = $7, updated_at_ms = $8, updated_by = $9 WHERE id = $1"};
static const struct db_stmt own_channel_stmt = {"moderation_own_channel",
	"SELECT 1 FROM messaging.channel_facts WHERE id = $1 AND team_id = $2 AND deleted_at_ms IS NULL"};

static bool is_cleared(const pb_UpdateTeamRequest *rq, const char *name)
{
	for (size_t i = 0; i < rq->cleared_count; i++)
		if (strcmp(rq->cleared[i], name) == 0)
			return true;
	return false;
}

static bool differ(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a != b : strcmp(a, b) != 0;
}

/* The new value of a text that may be absent; notes the name when it differs. */
static char *merge_text(const pb_UpdateTeamRequest *rq, const char *name, char *now, char *asked, char **changed,
	pb_size_t *changed_count)
{
	char *next = is_cleared(rq, name) ? NULL : asked != NULL ? (char *)team_text(asked) : now;
	if (differ(next, now))
		changed[(*changed_count)++] = (char *)name;
	return next;
}

static enum status record_update(struct change *c, const pb_TeamView *was, const pb_TeamView *is)
{
	struct audit_changes a;

	audit_changes_begin(&a, c->mem);
	if (was->default_channel_id != is->default_channel_id)
		audit_id_change(&a, "default_channel_id", was->default_channel_id, is->default_channel_id);
	if (differ(was->description, is->description))
		audit_text_change(&a, "description", was->description, is->description);
	if (differ(was->icon, is->icon))
		audit_text_change(&a, "icon_url", was->icon, is->icon);
	if (was->joining != is->joining)
		audit_text_change(&a, "joining", joining_word(was->joining), joining_word(is->joining));
	if (differ(was->name, is->name))
		audit_text_change(&a, "name", was->name, is->name);
	if (was->public_read != is->public_read)
		audit_flag_change(&a, "public_read", was->public_read, is->public_read);
	return audit_append(c, &(struct audit_entry){
				       .action = AUDIT_team_updated, .target_id = is->id, .changes = audit_changes_end(&a)});
}

static enum status work_update_team(struct change *c, struct log_tx *tx)
{
	const pb_UpdateTeamRequest *rq = c->request;
	pb_TeamReply *reply = c->reply;
	pb_TeamView *team = &reply->team;
	struct db_params p;
	struct db_rows rows = {0};
	char key[AUDIENCE_SIZE];
	char **changed = ARENA_ARRAY(c->mem, 6, char *);
	pb_size_t count = 0;
	bool doors = false;

	enum status st = team_view_locked(c, rq->team_id, team);
	if (st != STATUS_OK)
		return st;
	reply->has_team = true;
	const pb_TeamView was = *team;

	if (rq->name != NULL && strcmp(rq->name, team->name) != 0) {
		team->name = rq->name;
		changed[count++] = "name";
	}
	team->description =
		merge_text(rq, "description", team->description, rq->description, changed, &count);
	team->icon = merge_text(rq, "icon", team->icon, rq->icon, changed, &count);
	if (rq->has_joining && rq->joining != team->joining) {
		team->joining = rq->joining;
		changed[count++] = "joining";
		doors = true;
	}
	if (rq->has_public_read && rq->public_read != team->public_read) {
		team->public_read = rq->public_read;
		changed[count++] = "public_read";
		doors = true;
	}
	uint64_t channel = is_cleared(rq, "default_channel_id") ? 0
			   : rq->has_default_channel_id         ? rq->default_channel_id
								: team->default_channel_id;
	if (channel != team->default_channel_id) {
		if (channel != 0) {
			change_params(c, &p);
			db_put_id(&p, channel);
			db_put_id(&p, rq->team_id);
			st = change_query(c, &own_channel_stmt, &p, &rows);
			if (st != STATUS_OK)
				return st;
			if (rows.count == 0)
				return change_field(c, "default_channel_id");
		}
		team->default_channel_id = channel;
		changed[count++] = "default_channel_id";
	}
	if (count == 0)
		return STATUS_OK;

	change_params(c, &p);
	db_put_id(&p, team->id);
	db_put_text(&p, team->name);
	db_put_text(&p, team->description);
	db_put_text(&p, team->icon);
	db_put_i16(&p, (int16_t)team->joining);
	db_put_bool(&p, team->public_read);
	db_put_id_or_null(&p, team->default_channel_id);
	db_put_i64(&p, c->now_ms);
	db_put_id_or_null(&p, change_actor_id(c));
	st = change_query(c, &update_team_stmt, &p, NULL);
	if (st != STATUS_OK)
		return st;
	/* Who is not a member lives by these two: answers given by the old ones must not be obeyed any more. */
	if (doors)
		log_tx_raise_epoch(tx, change_actor(c)->stream);
	pb_Event *ev = change_event(c, EVENT_KIND_team_updated);
	ev->body.team_updated =
		(pb_TeamUpdated){.has_team = true, .team = *team, .changed_count = count, .changed = changed};
	audience_key(key, "team", team->id);
	st = change_append(c, change_actor(c)->stream, key, ev, NULL);
	return st == STATUS_OK ? record_update(c, &was, team) : st;
}

CHANGE_HANDLER(update_team, pb_UpdateTeamRequest, NULL)

/* ---- delete */

static enum status prepare_delete_team(struct change *c)
{
	const pb_DeleteTeamRequest *rq = c->request;

	enum status st = change_load(c, rq->team_id, 0, NULL, 0);
	if (st == STATUS_OK)
		st = change_visible(c);
	if (st != STATUS_OK)
		return st;
	const struct facts *f = change_actor(c);
	if (!change_by_system(c) && f->team.owner_id != change_actor_id(c))
		return change_refuse(c, STATUS_FORBIDDEN, "owner", NULL);
	return STATUS_OK;
}

static const struct db_stmt delete_invites_stmt = {"moderation_delete_invites",
	"DELETE FROM moderation.invites WHERE team_id = $1"};
static const struct db_stmt delete_team_stmt = {"moderation_delete_team",
	"UPDATE moderation.teams SET deleted_at_ms = $2, deleted_by = $3, rights_seq = $4 WHERE id = $1"};

/*
 * No audience event goes before team_deleted: it must still reach the members by `team:T`. That is safe because nothing
 * follows it in this stream: the epoch is raised in the same commit, so whatever was judged before is STALE, and from
 * now on every judge says NOT_FOUND. Gateways drop the stream when they have delivered it.
 */
enum status team_delete_write(struct change *c)
{
	const struct facts *f = change_actor(c);
	struct audit_changes a;
	struct db_params p;
	char key[AUDIENCE_SIZE];
	uint64_t seq = 0;

	audit_changes_begin(&a, c->mem);
	audit_text(&a, "name", f->team_name);
	enum status st = audit_append(c, &(struct audit_entry){.action = AUDIT_team_deleted,
						 .target_id = f->team.id,
						 .changes = audit_changes_end(&a)});
	if (st != STATUS_OK)
		return st;
	pb_Event *ev = change_event(c, EVENT_KIND_team_deleted);
	ev->body.team_deleted = (pb_TeamDeleted){.team_id = f->team.id, .name = (char *)f->team_name};
	audience_key(key, "team", f->team.id);
	st = change_append(c, f->stream, key, ev, &seq);
	if (st != STATUS_OK)
		return st;
	log_tx_raise_epoch(c->tx, f->stream);
	change_params(c, &p);
	db_put_id(&p, f->team.id);
	db_put_i64(&p, c->now_ms);
	db_put_id_or_null(&p, change_actor_id(c));
	db_put_id(&p, seq);
	st = change_query(c, &delete_team_stmt, &p, NULL);
	if (st != STATUS_OK)
		return st;
	change_params(c, &p);
	db_put_id(&p, f->team.id);
	return change_query(c, &delete_invites_stmt, &p, NULL);
}

static enum status work_delete_team(struct change *c, struct log_tx *tx)
{
	return team_delete_write(c);
}

CHANGE_HANDLER(delete_team, pb_DeleteTeamRequest, NULL)

/* ---- reads */

/* An open team may be looked at before it is joined; of others outsiders do not know. */
static bool may_look(const struct facts *f)
{
	if (eval_rights(&f->eval, EVAL_ASK_NOTHING).status == STATUS_OK)
		return true;
	return !f->standing.banned && !f->eval.account_gone && f->joining == JOINING_OPEN;
}

void serve_get_team(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_GetTeamRequest *rq = request;
	pb_TeamReply *out = reply;
	struct db_conn *conn = NULL;
	struct facts *f = ARENA_NEW(call->mem, struct facts);
	enum status st = STATUS_NOT_FOUND;

	if (read_begin(service, call, rq->team_id, 0, READ_ANY, &conn, f) != STATUS_OK)
		return;
	if (f->team.deleted || (call->header->actor_id != 0 && (f->team.suspended || !may_look(f))))
		goto out;
	st = team_view_read(conn, call->mem, rq->team_id, &out->team);
	out->has_team = st == STATUS_OK;
out:
	read_end(call, conn, st);
}

#define LIST_TEAMS                                                                                           \
	"SELECT " TEAM_COLUMNS " FROM moderation.members m JOIN moderation.teams t ON t.id = m.team_id"      \
	" WHERE m.user_id = $1 AND m.left_at_ms IS NULL AND t.deleted_at_ms IS NULL"
static const struct db_stmt list_after_stmt = {"moderation_teams_after",
	LIST_TEAMS " AND t.id > $2 ORDER BY t.id LIMIT $3"};
static const struct db_stmt list_before_stmt = {"moderation_teams_before",
	LIST_TEAMS " AND t.id < $2 ORDER BY t.id DESC LIMIT $3"};

void serve_list_teams(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_ListTeamsRequest *rq = request;
	pb_ListTeamsReply *out = reply;
	struct db_conn *conn = NULL;
	struct db_params p;
	struct db_rows rows = {0};
	uint32_t limit;
	uint64_t user = rq->user_id != 0 ? rq->user_id : call->header->actor_id;
	bool back = rq->before != 0;

	if (list_limit(rq->limit, LIST_MAX, &limit) != STATUS_OK) {
		rpc_fail(call, STATUS_FIELD_INVALID, NULL, "limit", NULL);
		return;
	}
	if (call->header->actor_id != 0 && user != call->header->actor_id) {
		rpc_fail(call, STATUS_FORBIDDEN, "self", NULL, NULL);
		return;
	}
	if (read_begin_session(service, call, &conn) != STATUS_OK)
		return;
	db_params_begin(&p, call->mem);
	db_put_id(&p, user);
	db_put_id(&p, back ? rq->before : rq->after);
	db_put_i64(&p, limit + 1);
	enum status st = db_query(conn, call->mem, back ? &list_before_stmt : &list_after_stmt, &p, &rows);
	if (st == STATUS_OK) {
		size_t count = (size_t)rows.count < limit ? (size_t)rows.count : limit;
		out->more = (size_t)rows.count > limit;
		out->teams = ARENA_ARRAY(call->mem, count, pb_TeamView);
		out->teams_count = (pb_size_t)count;
		for (size_t i = 0; i < count; i++)
			team_from_row(&rows, (int)(back ? count - 1 - i : i), call->mem, &out->teams[i]);
	}
	read_end(call, conn, st);
}
