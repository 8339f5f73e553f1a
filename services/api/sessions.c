#include "services/api/sessions.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/db/committer.h"
#include "common/ops/ops.h"
#include "common/rpc/stubs.h"
#include "services/api/accounts.h"
#include "services/api/accounts_end.h"
#include "services/api/accounts_rows.h"
#include "services/api/change.h"
#include "services/api/passwords.h"
#include "services/api/scopes.h"

#define DAY_MS INT64_C(86400000)

/* ---- opening */

struct open {
	struct arena *mem;
	uint64_t account_id, session_id;
	const char *password_hash; /* what the password was compared with; NULL: the system opens it */
	const char *client_label, *agent, *address;
	uint8_t token_hash[TOKEN_HASH_BYTES];
	int64_t life_ms; /* 0: no end */
	enum dialect dialect;
	struct session_opened *out;
};

static const struct db_stmt find_login = {"sessions_find_login",
	"SELECT a.password_hash, a.disabled_at_ms IS NOT NULL, a.id FROM auth.accounts a "
	"WHERE (lower(a.username) = lower($1::text) OR lower(a.email) = lower($1::text)) AND a.erased_at_ms "
	"IS NULL"};
/* The account is looked at again under the lock of its stream: disabling, erasing and a new password raise
 * from there. */
static const struct db_stmt insert = {"sessions_insert",
	"WITH made AS (INSERT INTO auth.sessions (id, account_id, token_hash, kind, client_label, agent, "
	"address, created_at_ms, "
	"last_used_at_ms, expires_at_ms, scopes) SELECT $1, a.id, $3, CASE WHEN a.bot THEN 2 ELSE 1 END, $4, "
	"$5, $6, $7, $7, $8, CASE WHEN a.bot THEN $10::bigint END "
	"FROM auth.accounts a WHERE a.id = $2 AND a.erased_at_ms IS NULL AND a.disabled_at_ms IS NULL "
	"AND ($9::text IS NULL OR a.password_hash = $9) RETURNING account_id) "
	"SELECT " ACCOUNT_COLUMNS " FROM made JOIN auth.accounts a ON a.id = made.account_id"};

/* At most n code points of a text from outside that only people look at. */
static const char *shortened(struct arena *mem, const char *text, size_t n)
{
	if (text == NULL)
		return NULL;
	size_t length = strlen(text);
	return text_is_utf8(text, length) ? arena_strndup(mem, text, text_prefix_bytes(text, length, n))
					  : NULL;
}

static enum status open_work(struct log_tx *tx, void *arg)
{
	struct open *o = arg;
	int64_t now_ms = log_tx_now_ms(tx);
	struct db_params params;
	struct db_rows rows;

	o->out->expires_at_ms = o->life_ms == 0 ? 0 : now_ms + o->life_ms;
	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, o->session_id);
	db_put_id(&params, o->account_id);
	db_put_bytea(&params, o->token_hash, sizeof o->token_hash);
	db_put_text(&params, o->client_label);
	db_put_text(&params, o->agent);
	db_put_text(&params, o->address);
	db_put_i64(&params, now_ms);
	db_put_id_or_null(&params, (uint64_t)o->out->expires_at_ms);
	db_put_text(&params, o->password_hash);
	db_put_id(&params, SCOPES_BOT); /* what the operator opens for a bot has all that a bot can have */
	enum status st = log_tx_query(tx, &insert, &params, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count == 0)
		return STATUS_WRONG_CREDENTIALS;
	pb_UserView view;
	accounts_row(&rows, 0, 0, &view);
	pb_Event event = {
		.has_actor = true,
		.actor = view,
		.which_body = pb_Event_session_opened_tag,
		.body.session_opened =
			{
				.user_id = view.id,
				.session_id = o->session_id,
				.client_label = (char *)o->client_label,
				.expires_at_ms = (uint64_t)o->out->expires_at_ms,
			},
	};
	char audience[AUDIENCE_SIZE];
	audience_key(audience, "user", view.id);
	st = log_tx_append(tx, STREAM_USER(view.id), audience, &event, NULL);
	if (st == STATUS_OK)
		user_view_copy(o->mem, &view, &o->out->account);
	return st;
}

/* What the person's roles are in the team of crust, as it numbers them: "2 117". NULL: none, or nobody can say. */
static const char *member_of(struct api *api, struct arena *mem, const struct rpc_context *by, uint64_t account_id)
{
	struct rpc_client *moderation = api->owners[OWNER_moderation].client;
	struct rpc_context system = {.trace = by->trace, .deadline_mono_ms = by->deadline_mono_ms};
	pb_MountTeamReply team;
	pb_MemberReply member;
	struct rpc_outcome outcome;
	const char *text = NULL;

	if (moderation == NULL || moderation_get_mount_team(moderation, mem, &system,
					  &(pb_MountTeamRequest){.dialect = DIALECT_CRUST}, &team, &outcome) != STATUS_OK ||
		moderation_get_member(moderation, mem, &system,
			&(pb_MemberRequest){.team_id = team.team.id, .user_id = account_id}, &member, &outcome) != STATUS_OK)
		return NULL;
	for (size_t i = 0; i < member.member.role_ids_count; i++) {
		uint64_t role = member.member.role_ids[i];
		text = arena_printf(mem, "%s%s%" PRIu64, text == NULL ? "" : text, text == NULL ? "" : " ",
			role == team.admins_role_id ? 2 : role);
	}
	return text;
}

static void make_token(struct api *api, struct arena *mem, const struct rpc_context *by, struct open *o)
{
	int64_t expires_at_ms = o->life_ms == 0 ? 0 : clock_wall_ms() + o->life_ms;

	if (o->dialect != DIALECT_CRUST)
		token_make(o->out->token, o->token_hash);
	else
		tokens_make_long(api->tokens, mem, o->account_id, expires_at_ms,
			tokens_are_jwt(api->tokens) ? member_of(api, mem, by, o->account_id) : NULL, o->out->token,
			o->token_hash);
}

static enum status open_session(struct api *api, struct arena *mem, const struct rpc_context *by,
	struct open *o, struct rpc_outcome *out)
{
	struct commit_op op;

	enum status st = ids_next(api->ids, clock_wall_ms(), clock_mono_ms(), &o->session_id);
	if (st != STATUS_OK)
		return change_refuse(out, st, NULL, NULL);
	make_token(api, mem, by, o);
	o->out->session_id = o->session_id;
	change_begin(&op, by, open_work, o);
	/* Nothing is remembered under a request id: the answer is a secret. Whoever opens it has no epoch
	 * yet. */
	op.request_id_length = 0;
	op.check_actor = false;
	if (o->password_hash != NULL)
		op.actor_id = o->account_id;
	change_stream(&op, STREAM_USER(o->account_id));
	return change_commit(api, mem, &op, NULL, out);
}

enum status sessions_open(struct api *api, struct arena *mem, const struct rpc_context *by,
	const struct session_new *fields, struct session_opened *out_session, struct rpc_outcome *out)
{
	struct db_params params;
	struct db_rows rows = {0};

	*out_session = (struct session_opened){0};
	db_params_begin(&params, mem);
	db_put_text(&params, fields->login);
	enum status st = db_query_alone(api->db, mem, &find_login, &params, by->deadline_mono_ms, &rows);
	if (st != STATUS_OK)
		return change_refuse(out, st, NULL, NULL);
	const char *hash = rows.count == 0 ? NULL : db_text(&rows, 0, 0);
	st = passwords_verify(api->passwords, hash, fields->password, by->deadline_mono_ms);
	if (st == STATUS_WRONG_CREDENTIALS)
		metric_add(auth_logins_failed, 1);
	if (st != STATUS_OK)
		return change_refuse(out, st, NULL, NULL);
	if (db_bool(&rows, 0, 1)) {
		*out = (struct rpc_outcome){.status = STATUS_UNAUTHENTICATED, .why = "disabled"};
		return STATUS_UNAUTHENTICATED;
	}
	struct open o = {
		.mem = mem,
		.account_id = db_id(&rows, 0, 2),
		.password_hash = hash,
		.client_label = shortened(mem, fields->client_label, 64),
		.agent = shortened(mem, fields->agent, 256),
		.address = shortened(mem, fields->address, 64),
		.life_ms = (fields->dialect == DIALECT_CRUST ? api->config->crust_session_days
							     : api->config->session_days) *
			   DAY_MS,
		.dialect = fields->dialect,
		.out = out_session,
	};
	return open_session(api, mem, by, &o, out);
}

enum status sessions_open_for(struct api *api, struct arena *mem, const struct rpc_context *by,
	const struct session_for *fields, struct session_opened *out_session, struct rpc_outcome *out)
{
	pb_UserView account;

	*out_session = (struct session_opened){0};
	enum status st = accounts_find(api, mem, fields->username, by->deadline_mono_ms, &account, NULL);
	if (st != STATUS_OK)
		return change_refuse(out, st, st == STATUS_NOT_FOUND ? "username" : NULL, NULL);
	if (account.disabled)
		return change_refuse(out, STATUS_CONFLICT, "username", "the account is disabled");
	struct open o = {
		.mem = mem,
		.account_id = account.id,
		.client_label = shortened(mem, fields->client_label, 64),
		.life_ms = (int64_t)fields->days * DAY_MS,
		.dialect = fields->dialect,
		.out = out_session,
	};
	return open_session(api, mem, by, &o, out);
}

/* ---- listing */

#define LIST_FROM                                                                                            \
	"SELECT s.id, s.client_label, s.agent, s.address, s.created_at_ms, s.last_used_at_ms, "              \
	"coalesce(s.expires_at_ms, 0) FROM auth.sessions s WHERE s.account_id = $1 AND s.revoked_at_ms IS "  \
	"NULL "                                                                                              \
	"AND (s.expires_at_ms IS NULL OR s.expires_at_ms > $4) "
static const struct db_stmt list_before = {
	"sessions_list_before", LIST_FROM "AND ($2::bigint = 0 OR s.id < $2) ORDER BY s.id DESC LIMIT $3"};
static const struct db_stmt list_after = {
	"sessions_list_after", LIST_FROM "AND s.id > $2 ORDER BY s.id LIMIT $3"};

enum status sessions_list(struct api *api, struct arena *mem, uint64_t account_id, uint64_t before,
	uint64_t after, uint32_t limit, int64_t deadline_mono_ms, struct session_row **out_rows,
	size_t *out_count, bool *out_more)
{
	struct db_conn *conn = NULL;
	struct db_params params;
	struct db_rows rows;
	enum status st = db_acquire(api->db, deadline_mono_ms, &conn);

	if (st == STATUS_OK) {
		db_params_begin(&params, mem);
		db_put_id(&params, account_id);
		db_put_id(&params, after != 0 ? after : before);
		db_put_i64(&params, (int64_t)limit + 1);
		db_put_i64(&params, clock_wall_ms());
		st = db_query(conn, mem, after != 0 ? &list_after : &list_before, &params, &rows);
	}
	db_release(conn);
	if (st != STATUS_OK)
		return st;
	bool more = (uint32_t)rows.count > limit;
	size_t count = more ? limit : (size_t)rows.count;
	struct session_row *list = ARENA_ARRAY(mem, count, struct session_row);
	for (size_t i = 0; i < count; i++) {
		int row = (int)i;
		list[i] = (struct session_row){
			.id = db_id(&rows, row, 0),
			.client_label = db_text(&rows, row, 1),
			.agent = db_text(&rows, row, 2),
			.address = db_text(&rows, row, 3),
			.created_at_ms = db_i64(&rows, row, 4),
			.last_used_at_ms = db_i64(&rows, row, 5),
			.expires_at_ms = db_i64(&rows, row, 6),
		};
	}
	*out_rows = list;
	*out_count = count;
	*out_more = more;
	return STATUS_OK;
}

/* ---- ending */

struct revoke {
	const struct rpc_context *by;
	uint64_t session_id;
};

static const struct db_stmt revoke = {
	"sessions_revoke", "UPDATE auth.sessions SET revoked_at_ms = $3 WHERE id = $1 AND account_id = $2 "
			   "AND revoked_at_ms IS NULL"};

static enum status revoke_work(struct log_tx *tx, void *arg)
{
	const struct revoke *r = arg;
	struct stream user = STREAM_USER(r->by->actor_id);
	struct db_params params;
	struct db_rows rows;

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, r->session_id);
	db_put_id(&params, user.id);
	db_put_i64(&params, log_tx_now_ms(tx));
	enum status st = log_tx_query(tx, &revoke, &params, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.affected == 0)
		return STATUS_NOT_FOUND;
	log_tx_raise_epoch(tx, user);
	return account_append_revoked(
		tx, r->by->actor, user.id, r->session_id, 0, CLOSE_WHY_REVOKED);
}

enum status sessions_revoke(struct api *api, struct arena *mem, const struct rpc_context *by,
	uint64_t session_id, struct rpc_outcome *out)
{
	struct revoke r = {by, session_id};
	struct commit_op op;

	change_begin(&op, by, revoke_work, &r);
	change_stream(&op, STREAM_USER(by->actor_id));
	enum status st = change_commit(api, mem, &op, NULL, out);
	if (st == STATUS_OK)
		tokens_drop_session(api->tokens, session_id);
	return st;
}

static const struct db_stmt purge = {"sessions_purge",
	"DELETE FROM auth.sessions WHERE id IN (SELECT id FROM auth.sessions "
	"WHERE least(revoked_at_ms, expires_at_ms) < $1 LIMIT 1000)"};

enum status sessions_purge(struct api *api, struct arena *mem, int64_t ended_before_ms,
	int64_t deadline_mono_ms, size_t *out_count)
{
	struct db_conn *conn = NULL;
	struct db_params params;
	struct db_rows rows = {0};
	enum status st = db_acquire(api->db, deadline_mono_ms, &conn);

	if (st == STATUS_OK) {
		db_params_begin(&params, mem);
		db_put_i64(&params, ended_before_ms);
		st = db_query(conn, mem, &purge, &params, &rows);
	}
	db_release(conn);
	if (st == STATUS_OK)
		*out_count = (size_t)rows.affected;
	return st;
}
