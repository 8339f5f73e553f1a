/*
 * people - what this owner knows of accounts: told by api's jobs, forgotten when an account is erased.
 */
#include "common/base/clock.h"
#include "services/moderation/conversation_members.h"
#include "services/moderation/ownership.h"
#include "services/moderation/removal.h"
#include "services/moderation/rows.h"

static bool refused_unless_system(struct rpc_call *call)
{
	if (call->header->actor_id == 0)
		return false;
	rpc_fail(call, STATUS_FORBIDDEN, "system_only", NULL, NULL);
	return true;
}

/* ---- put_person. No event and no right: a row by itself, without the committer. */

static const struct db_stmt put_stmt = {"moderation_put_person_alone",
	"INSERT INTO moderation.people (id, username, display_name, avatar, bot, system, erased, created_at_ms)"
	" VALUES ($1, $2, $3, $4, $5, $6, false, $7) ON CONFLICT (id) DO UPDATE SET username = excluded.username,"
	" display_name = excluded.display_name, avatar = excluded.avatar, bot = excluded.bot, system = excluded.system"
	" WHERE NOT people.erased"};

void serve_put_person(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct moderation *m = service;
	const pb_PutPersonRequest *rq = request;
	struct db_conn *conn = NULL;
	struct db_params p;

	if (refused_unless_system(call))
		return;
	if (!rq->has_user || rq->user.id == 0) {
		rpc_fail(call, STATUS_FIELD_INVALID, NULL, "user", NULL);
		return;
	}
	enum status st = db_acquire(m->db, call->deadline_mono_ms, &conn);
	if (st == STATUS_OK) {
		db_params_begin(&p, call->mem);
		db_put_id(&p, rq->user.id);
		db_put_text(&p, rq->user.username);
		db_put_text(&p, rq->user.display_name);
		db_put_text(&p, rq->user.avatar);
		db_put_bool(&p, rq->user.bot);
		db_put_bool(&p, rq->user.system);
		db_put_id(&p, rq->user.created_at_ms);
		st = db_query(conn, call->mem, &put_stmt, &p, NULL);
	}
	db_release(conn);
	if (st == STATUS_OK)
		rpc_finish(call);
	else
		rpc_fail(call, st, NULL, NULL, NULL);
}

/* ---- erase_person: his name goes first, then membership after membership, a team that is his after it was handed on;
 * each a commit that a repeat finds done. */

static const struct db_stmt erase_stmt = {"moderation_erase_person",
	"INSERT INTO moderation.people (id, erased, created_at_ms) VALUES ($1, true, 0) ON CONFLICT (id) DO UPDATE"
	" SET username = NULL, display_name = NULL, avatar = NULL, erased = true"};
static const struct db_stmt memberships_stmt = {"moderation_memberships",
	"SELECT m.team_id FROM moderation.members m JOIN moderation.teams t ON t.id = m.team_id"
	" WHERE m.user_id = $1 AND m.left_at_ms IS NULL AND t.deleted_at_ms IS NULL AND m.team_id > $2"
	" ORDER BY m.team_id LIMIT 100"};

struct leaving {
	uint64_t team_id, user_id;
};

static enum status prepare_erase(struct change *c)
{
	const struct leaving *l = c->data;

	enum status st = change_load(c, l->team_id, 0, &l->user_id, 1);
	if (st == STATUS_OK && change_target(c, 0)->account)
		change_stream(c, STREAM_USER(l->user_id));
	return st;
}

static enum status work_erase(struct change *c, struct log_tx *tx)
{
	struct facts *f = change_target(c, 0);

	if (!f->standing.member || !f->account)
		return STATUS_OK;
	return removal_write(c, f, REMOVAL_LEFT);
}

void serve_erase_person(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct moderation *m = service;
	const pb_ErasePersonRequest *rq = request;
	struct db_conn *conn = NULL;
	struct db_params p;
	struct db_rows rows = {0};
	uint64_t after = 0;

	if (refused_unless_system(call))
		return;
	if (rq->user_id == 0) {
		rpc_fail(call, STATUS_FIELD_INVALID, NULL, "user_id", NULL);
		return;
	}
	enum status st = db_acquire(m->db, call->deadline_mono_ms, &conn);
	if (st == STATUS_OK) {
		db_params_begin(&p, call->mem);
		db_put_id(&p, rq->user_id);
		st = db_query(conn, call->mem, &erase_stmt, &p, NULL);
	}
	db_release(conn);
	do {
		conn = NULL;
		if (st == STATUS_OK)
			st = db_acquire(m->db, call->deadline_mono_ms, &conn);
		if (st == STATUS_OK) {
			db_params_begin(&p, call->mem);
			db_put_id(&p, rq->user_id);
			db_put_id(&p, after);
			st = db_query(conn, call->mem, &memberships_stmt, &p, &rows);
		}
		db_release(conn);
		for (int i = 0; i < rows.count && st == STATUS_OK; i++) {
			struct leaving l = {db_id(&rows, i, 0), rq->user_id};
			struct commit_result result;
			struct change c = {.service = service,
				.call = call,
				.request = request,
				.prepare = prepare_erase,
				.work = work_erase,
				.data = &l,
				.rows_repeat = true};
			after = l.team_id;
			st = ownership_leave(service, call, l.team_id, l.user_id);
			if (st == STATUS_OK)
				st = change_commit(&c, &result);
			if (st == STATUS_NOT_FOUND)
				st = STATUS_OK; /* the team went meanwhile */
		}
	} while (st == STATUS_OK && rows.count > 0);
	if (st == STATUS_OK)
		st = conversations_leave_all(service, call, rq->user_id);
	if (st == STATUS_OK)
		rpc_finish(call);
	else
		rpc_fail(call, st, NULL, NULL, NULL);
}

/* ---- list_team_ids */

static const struct db_stmt team_ids_stmt = {"moderation_team_ids",
	"SELECT m.team_id, m.user_id FROM moderation.members m JOIN moderation.teams t ON t.id = m.team_id"
	" WHERE m.user_id = ANY ($1::bigint[]) AND m.left_at_ms IS NULL AND t.deleted_at_ms IS NULL"
	" ORDER BY m.user_id, m.team_id"};

/* Of each person those in which something happened last. */
static const struct db_stmt conversation_ids_stmt = {"moderation_conversation_ids",
	"SELECT m.channel_id, q.id FROM unnest($1::bigint[]) q(id) CROSS JOIN LATERAL ("
	"   SELECT m.channel_id, f.last_message_id FROM moderation.channel_members m"
	"   JOIN LATERAL (SELECT f.last_message_id FROM messaging.channel_facts f WHERE f.id = m.channel_id"
	"     AND f.deleted_at_ms IS NULL OFFSET 0) f ON true"
	"   WHERE m.user_id = q.id AND m.left_at_ms IS NULL AND m.team_id IS NULL"
	"   ORDER BY greatest(m.channel_id, f.last_message_id) DESC LIMIT $2) m ORDER BY q.id, m.channel_id"};

static void conversation_ids_of_many(struct arena *mem, const struct db_rows *rows, pb_TeamIdsReply *out)
{
	uint64_t *ids = ARENA_ARRAY(mem, (size_t)rows->count, uint64_t);
	pb_TeamIdsOf *of = NULL;

	for (int i = 0; i < rows->count; i++) {
		uint64_t user = db_id(rows, i, 1);
		for (pb_size_t u = 0; (of == NULL || of->user_id != user) && u < out->users_count; u++)
			of = &out->users[u];
		if (of == NULL || of->user_id != user) { /* in no team */
			of = &out->users[out->users_count++];
			*of = (pb_TeamIdsOf){.user_id = user};
		}
		if (of->conversation_ids_count == 0)
			of->conversation_ids = &ids[i];
		ids[i] = db_id(rows, i, 0);
		of->conversation_ids_count++;
	}
}

/* Rows of one person follow one another. asked: how many people there are at most. */
static void team_ids_of_many(
	struct arena *mem, const struct db_rows *rows, size_t asked, pb_TeamIdsReply *out)
{
	uint64_t *teams = ARENA_ARRAY(mem, (size_t)rows->count, uint64_t);

	out->users = ARENA_ARRAY(mem, asked, pb_TeamIdsOf);
	for (int i = 0; i < rows->count; i++) {
		uint64_t user = db_id(rows, i, 1);
		if (out->users_count == 0 || out->users[out->users_count - 1].user_id != user)
			out->users[out->users_count++] = (pb_TeamIdsOf){.user_id = user, .team_ids = &teams[i]};
		teams[i] = db_id(rows, i, 0);
		out->users[out->users_count - 1].team_ids_count++;
	}
}

void serve_list_team_ids(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_TeamIdsRequest *rq = request;
	pb_TeamIdsReply *out = reply;
	struct db_conn *conn = NULL;
	struct db_params p;
	struct db_rows rows = {0};
	uint64_t user = rq->user_id != 0 ? rq->user_id : call->header->actor_id;
	bool many = rq->user_ids_count > 0;

	if (call->header->actor_id != 0 && (many || user != call->header->actor_id)) {
		rpc_fail(call, STATUS_FORBIDDEN, "self", NULL, NULL);
		return;
	}
	if (read_begin_session(service, call, &conn) != STATUS_OK)
		return;
	db_params_begin(&p, call->mem);
	db_put_ids(&p, many ? rq->user_ids : &user, many ? rq->user_ids_count : 1);
	enum status st = db_query(conn, call->mem, &team_ids_stmt, &p, &rows);
	if (st == STATUS_OK && many) {
		team_ids_of_many(call->mem, &rows, rq->user_ids_count, out);
		db_params_begin(&p, call->mem);
		db_put_ids(&p, rq->user_ids, rq->user_ids_count);
		db_put_i64(&p, CONVERSATIONS_PRESENT_MAX);
		st = db_query(conn, call->mem, &conversation_ids_stmt, &p, &rows);
		if (st == STATUS_OK)
			conversation_ids_of_many(call->mem, &rows, out);
	} else if (st == STATUS_OK) {
		out->team_ids = ARENA_ARRAY(call->mem, (size_t)rows.count, uint64_t);
		out->team_ids_count = (pb_size_t)rows.count;
		for (int i = 0; i < rows.count; i++)
			out->team_ids[i] = db_id(&rows, i, 0);
	}
	read_end(call, conn, st);
}
