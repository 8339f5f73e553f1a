#include "services/api/bot_tokens.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/db/committer.h"
#include "services/api/accounts_end.h"
#include "services/api/bots.h"
#include "services/api/change.h"
#include "services/api/scopes.h"

#define TOKEN_COLUMNS                                                                                        \
	"s.id, s.client_label, s.scopes, s.created_at_ms, s.last_used_at_ms, coalesce(s.expires_at_ms, 0)"
#define BOT_OF_OWNER                                                                                         \
	"EXISTS (SELECT FROM auth.accounts a WHERE a.id = $1 AND a.owner_id = $2 AND a.erased_at_ms IS "     \
	"NULL)"
#define LIVING "s.revoked_at_ms IS NULL AND (s.expires_at_ms IS NULL OR s.expires_at_ms > $3)"

static void token_row(const struct db_rows *rows, int row, struct bot_token *out)
{
	*out = (struct bot_token){
		.id = db_id(rows, row, 0),
		.label = db_text(rows, row, 1),
		.scopes = db_id(rows, row, 2) & SCOPES_BOT,
		.created_at_ms = db_i64(rows, row, 3),
		.last_used_at_ms = db_i64(rows, row, 4),
		.expires_at_ms = db_i64(rows, row, 5),
	};
}

/* A change of one of the actor's bots, under the lock of the bot's stream. */
struct change_of_token {
	struct arena *mem;
	const struct rpc_context *by;
	uint64_t bot_id, token_id;
	const char *label;
	uint64_t scopes;
	int64_t expires_at_ms;
	uint8_t token_hash[TOKEN_HASH_BYTES];
	bool ended; /* what the token was is over */
	struct bot_token *out;
};

/* $1 bot, $2 owner, $3 now. */
static void put_bot(struct db_params *params, struct log_tx *tx, const struct change_of_token *c)
{
	db_params_begin(params, log_tx_mem(tx));
	db_put_id(params, c->bot_id);
	db_put_id(params, c->by->actor_id);
	db_put_i64(params, log_tx_now_ms(tx));
}

static enum status commit(struct api *api, struct change_of_token *c,
	enum status (*work)(struct log_tx *tx, void *arg), struct commit_result *out_result,
	struct rpc_outcome *out)
{
	struct commit_op op;

	change_begin(&op, c->by, work, c);
	change_stream(&op, STREAM_USER(c->bot_id));
	return change_commit(api, c->mem, &op, out_result, out);
}

/* ---- giving */

static const struct db_stmt count = {"bot_tokens_count",
	"SELECT " BOT_OF_OWNER ", (SELECT count(*) FROM auth.sessions s WHERE s.account_id = $1 AND " LIVING
	")"};
static const struct db_stmt insert = {"bot_tokens_insert",
	"INSERT INTO auth.sessions AS s (id, account_id, token_hash, kind, client_label, created_at_ms, "
	"last_used_at_ms, expires_at_ms, scopes) VALUES ($1, $2, $3, 2, $4, $5, $5, $6, $7) "
	"RETURNING " TOKEN_COLUMNS};

static enum status create_work(struct log_tx *tx, void *arg)
{
	const struct change_of_token *c = arg;
	struct db_params params;
	struct db_rows rows;

	put_bot(&params, tx, c);
	enum status st = log_tx_query(tx, &count, &params, &rows);
	if (st != STATUS_OK)
		return st;
	if (!db_bool(&rows, 0, 0))
		return STATUS_NOT_FOUND;
	if (db_i64(&rows, 0, 1) >= BOT_TOKENS_MOST) {
		log_tx_refuse(tx, "tokens", NULL, NULL);
		return STATUS_AT_LIMIT;
	}
	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, c->token_id);
	db_put_id(&params, c->bot_id);
	db_put_bytea(&params, c->token_hash, sizeof c->token_hash);
	db_put_text(&params, c->label);
	db_put_i64(&params, log_tx_now_ms(tx));
	db_put_id_or_null(&params, (uint64_t)c->expires_at_ms);
	db_put_id(&params, c->scopes);
	st = log_tx_query(tx, &insert, &params, &rows);
	if (st != STATUS_OK)
		return st;
	token_row(&rows, 0, c->out);
	c->out->label = arena_strdup(c->mem, c->out->label);
	log_tx_object(tx, c->token_id);
	pb_Event event = {
		.has_actor = c->by->actor != NULL,
		.which_body = pb_Event_session_opened_tag,
		.body.session_opened =
			{
				.user_id = c->bot_id,
				.session_id = c->token_id,
				.client_label = (char *)c->label,
				.expires_at_ms = (uint64_t)c->expires_at_ms,
			},
	};
	if (c->by->actor != NULL)
		event.actor = *c->by->actor;
	char audience[AUDIENCE_SIZE];
	audience_key(audience, "user", c->bot_id);
	return log_tx_append(tx, STREAM_USER(c->bot_id), audience, &event, NULL);
}

static enum status check_label(const char *label, struct rpc_outcome *out)
{
	size_t length = text_code_points(label, strlen(label));

	return length >= 1 && length <= BOT_LABEL_MOST
		       ? STATUS_OK
		       : change_refuse(out, STATUS_FIELD_INVALID, "label", "must have 1 to 64 characters");
}

static const struct db_stmt get_one = {"bot_tokens_get",
	"SELECT " TOKEN_COLUMNS " FROM auth.sessions s WHERE s.id = $1 AND s.account_id = $2"};

/* A repeat: the token as it is by now, but for its text. */
static enum status read_again(struct api *api, struct arena *mem, uint64_t bot_id, uint64_t token_id,
	int64_t deadline_mono_ms, struct bot_token *out)
{
	struct db_params params;
	struct db_rows rows = {0};

	db_params_begin(&params, mem);
	db_put_id(&params, token_id);
	db_put_id(&params, bot_id);
	enum status st = db_query_alone(api->db, mem, &get_one, &params, deadline_mono_ms, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count == 0)
		return STATUS_NOT_FOUND;
	token_row(&rows, 0, out);
	return STATUS_OK;
}

enum status bot_tokens_create(struct api *api, struct arena *mem, const struct rpc_context *by,
	uint64_t bot_id, const struct bot_token_new *fields, char out_text[TOKEN_TEXT_SIZE],
	struct bot_token *out_token, struct rpc_outcome *out)
{
	struct change_of_token c = {.mem = mem,
		.by = by,
		.bot_id = bot_id,
		.label = fields->label,
		.scopes = fields->scopes & SCOPES_BOT,
		.expires_at_ms = fields->expires_at_ms,
		.out = out_token};
	struct commit_result result;

	out_text[0] = '\0';
	enum status st = check_label(fields->label, out);
	if (st != STATUS_OK)
		return st;
	if (c.scopes == 0)
		return change_refuse(out, STATUS_FIELD_INVALID, "scopes", "must have at least one scope");
	if (c.expires_at_ms != 0 && c.expires_at_ms <= clock_wall_ms())
		return change_refuse(out, STATUS_FIELD_INVALID, "expires_at", "must be in the future");
	st = ids_next(api->ids, clock_wall_ms(), clock_mono_ms(), &c.token_id);
	if (st != STATUS_OK)
		return change_refuse(out, st, NULL, NULL);
	char text[TOKEN_TEXT_SIZE];
	token_make(text, c.token_hash);
	st = commit(api, &c, create_work, &result, out);
	if (st == STATUS_OK && result.replayed) {
		st = read_again(api, mem, bot_id, result.object_id, by->deadline_mono_ms, out_token);
		return st == STATUS_OK ? st : change_refuse(out, st, NULL, NULL);
	}
	if (st == STATUS_OK)
		memcpy(out_text, text, sizeof text);
	return st;
}

/* ---- listing */

#define LIST_FROM                                                                                            \
	"SELECT " TOKEN_COLUMNS " FROM auth.sessions s WHERE s.account_id = $1 AND " BOT_OF_OWNER            \
	" AND " LIVING " "
static const struct db_stmt list_before = {
	"bot_tokens_list_before", LIST_FROM "AND ($4::bigint = 0 OR s.id < $4) ORDER BY s.id DESC LIMIT $5"};
static const struct db_stmt list_after = {
	"bot_tokens_list_after", LIST_FROM "AND s.id > $4 ORDER BY s.id LIMIT $5"};

enum status bot_tokens_list(struct api *api, struct arena *mem, uint64_t owner_id, uint64_t bot_id,
	uint64_t before, uint64_t after, uint32_t limit, int64_t deadline_mono_ms,
	struct bot_token **out_tokens, size_t *out_count, bool *out_more)
{
	struct db_conn *conn = NULL;
	struct db_params params;
	struct db_rows rows = {0};
	pb_UserView bot;

	/* Of a stranger's bot not even that it has none. */
	enum status st = bots_get(api, mem, owner_id, bot_id, deadline_mono_ms, &bot);
	if (st == STATUS_OK)
		st = db_acquire(api->db, deadline_mono_ms, &conn);
	if (st == STATUS_OK) {
		db_params_begin(&params, mem);
		db_put_id(&params, bot_id);
		db_put_id(&params, owner_id);
		db_put_i64(&params, clock_wall_ms());
		db_put_id(&params, after != 0 ? after : before);
		db_put_i64(&params, (int64_t)limit + 1);
		st = db_query(conn, mem, after != 0 ? &list_after : &list_before, &params, &rows);
	}
	db_release(conn);
	if (st != STATUS_OK)
		return st;
	*out_more = (uint32_t)rows.count > limit;
	*out_count = *out_more ? limit : (size_t)rows.count;
	*out_tokens = ARENA_ARRAY(mem, *out_count, struct bot_token);
	for (size_t i = 0; i < *out_count; i++)
		token_row(&rows, (int)i, &(*out_tokens)[i]);
	return STATUS_OK;
}

/* ---- changing */

static const struct db_stmt present = {"bot_tokens_present",
	"SELECT s.scopes FROM auth.sessions s WHERE s.id = $4 AND s.account_id = $1 AND " BOT_OF_OWNER
	" AND " LIVING};
static const struct db_stmt apply = {"bot_tokens_apply",
	"UPDATE auth.sessions AS s SET client_label = coalesce($2, s.client_label), scopes = $3 WHERE s.id = "
	"$1 "
	"RETURNING " TOKEN_COLUMNS};

static enum status update_work(struct log_tx *tx, void *arg)
{
	struct change_of_token *c = arg;
	struct db_params params;
	struct db_rows rows;

	put_bot(&params, tx, c);
	db_put_id(&params, c->token_id);
	enum status st = log_tx_query(tx, &present, &params, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count == 0)
		return STATUS_NOT_FOUND;
	uint64_t before = db_id(&rows, 0, 0), after = c->scopes != 0 ? c->scopes : before;
	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, c->token_id);
	db_put_text(&params, c->label);
	db_put_id(&params, after);
	st = log_tx_query(tx, &apply, &params, &rows);
	if (st != STATUS_OK)
		return st;
	token_row(&rows, 0, c->out);
	c->out->label = arena_strdup(c->mem, c->out->label);
	c->ended = after != before;
	if (!c->ended)
		return STATUS_OK;
	log_tx_raise_epoch(tx, STREAM_USER(c->bot_id));
	return account_append_revoked(tx, c->by->actor, c->bot_id, c->token_id, 0, CLOSE_WHY_CHANGED);
}

enum status bot_tokens_update(struct api *api, struct arena *mem, const struct rpc_context *by,
	uint64_t bot_id, uint64_t token_id, const char *label, uint64_t scopes, struct bot_token *out_token,
	struct rpc_outcome *out)
{
	struct change_of_token c = {.mem = mem,
		.by = by,
		.bot_id = bot_id,
		.token_id = token_id,
		.label = label,
		.scopes = scopes & SCOPES_BOT,
		.out = out_token};
	enum status st = label == NULL ? STATUS_OK : check_label(label, out);

	if (st == STATUS_OK)
		st = commit(api, &c, update_work, NULL, out);
	if (st == STATUS_OK && c.ended)
		tokens_drop_account(api->tokens, bot_id);
	return st;
}

static const struct db_stmt revoke = {"bot_tokens_revoke",
	"UPDATE auth.sessions AS s SET revoked_at_ms = $3 WHERE s.id = $4 AND s.account_id = $1 "
	"AND s.revoked_at_ms IS NULL AND " BOT_OF_OWNER};

static enum status revoke_work(struct log_tx *tx, void *arg)
{
	const struct change_of_token *c = arg;
	struct db_params params;
	struct db_rows rows;

	put_bot(&params, tx, c);
	db_put_id(&params, c->token_id);
	enum status st = log_tx_query(tx, &revoke, &params, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.affected == 0)
		return STATUS_NOT_FOUND;
	log_tx_raise_epoch(tx, STREAM_USER(c->bot_id));
	return account_append_revoked(tx, c->by->actor, c->bot_id, c->token_id, 0, CLOSE_WHY_REVOKED);
}

enum status bot_tokens_revoke(struct api *api, struct arena *mem, const struct rpc_context *by,
	uint64_t bot_id, uint64_t token_id, struct rpc_outcome *out)
{
	struct change_of_token c = {.mem = mem, .by = by, .bot_id = bot_id, .token_id = token_id};
	enum status st = commit(api, &c, revoke_work, NULL, out);

	if (st == STATUS_OK)
		tokens_drop_account(api->tokens, bot_id);
	return st;
}
