#include "services/api/accounts_end.h"

#include "common/base/clock.h"
#include "common/db/committer.h"
#include "services/api/accounts.h"
#include "services/api/accounts_rows.h"
#include "services/api/change.h"
#include "services/api/jobs.h"
#include "services/api/passwords.h"
#include "services/api/tokens.h"

/* Above this many sessions ended at once, one event says "every one but this". */
#define SESSION_EVENTS_MOST 64
#define EVENTS_BLANKED      1000

static const struct db_stmt password_of = {"accounts_password",
	"SELECT a.password_hash FROM auth.accounts a WHERE a.id = $1 AND a.erased_at_ms IS NULL"};

/* Not wrong_credentials: the token was right, and a client that gets a 401 throws it away. */
static enum status refuse_password(struct rpc_outcome *out, const char *field)
{
	*out = (struct rpc_outcome){.status = STATUS_FORBIDDEN,
		.why = "wrong_password",
		.field = field,
		.detail = "the password is wrong"};
	return STATUS_FORBIDDEN;
}

/* The stored hash, after the password was compared with it. */
enum status account_prove(struct api *api, struct arena *mem, const struct rpc_context *by,
	const char *password, const char *field, const char **out_hash, struct rpc_outcome *out)
{
	struct db_params params;
	struct db_rows rows = {0};

	db_params_begin(&params, mem);
	db_put_id(&params, by->actor_id);
	enum status st = db_query_alone(api->db, mem, &password_of, &params, by->deadline_mono_ms, &rows);
	if (st == STATUS_OK) {
		*out_hash = rows.count == 0 ? NULL : db_text(&rows, 0, 0);
		st = passwords_verify(api->passwords, *out_hash, password, by->deadline_mono_ms);
	}
	if (st == STATUS_WRONG_CREDENTIALS)
		return refuse_password(out, field);
	return st == STATUS_OK ? st : change_refuse(out, st, NULL, NULL);
}

/* ---- ending sessions, inside a commit that has the user's stream */

static const struct db_stmt end_sessions = {"accounts_end_sessions",
	"UPDATE auth.sessions SET revoked_at_ms = $3 WHERE account_id = $1 AND id "
	"<> $2 AND revoked_at_ms IS NULL RETURNING id"};

enum status account_append_revoked(struct log_tx *tx, const pb_UserView *actor, uint64_t account_id,
	uint64_t session_id, uint64_t but, enum close_why why)
{
	pb_Event event = {
		.has_actor = actor != NULL,
		.which_body = pb_Event_session_revoked_tag,
		.body.session_revoked = {.user_id = account_id,
			.session_id = session_id,
			.why = why,
			.but_session_id = but},
	};
	char audience[AUDIENCE_SIZE];

	if (actor != NULL)
		event.actor = *actor;
	audience_key(audience, "user", account_id);
	return log_tx_append(tx, STREAM_USER(account_id), audience, &event, NULL);
}

enum status account_end_sessions(struct log_tx *tx, const pb_UserView *account, uint64_t but)
{
	struct db_params params;
	struct db_rows rows;

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, account->id);
	db_put_id(&params, but);
	db_put_i64(&params, log_tx_now_ms(tx));
	enum status st = log_tx_query(tx, &end_sessions, &params, &rows);
	if (st != STATUS_OK || rows.count == 0)
		return st;
	log_tx_raise_epoch(tx, STREAM_USER(account->id));
	if (rows.count > SESSION_EVENTS_MOST)
		return account_append_revoked(tx, account, account->id, 0, but, CLOSE_WHY_REVOKED);
	for (int i = 0; st == STATUS_OK && i < rows.count; i++)
		st = account_append_revoked(
			tx, account, account->id, db_id(&rows, i, 0), 0, CLOSE_WHY_REVOKED);
	return st;
}

/* ---- close */

struct close {
	uint64_t id;
	const char *hash;  /* of the password it was asked for with; of a bot NULL */
	uint64_t owner_id; /* whose bot it is; 0: a person's own account */
};

static const struct db_stmt erase = {"accounts_erase",
	"UPDATE auth.accounts AS a SET username = NULL, display_name = NULL, email = NULL, email_verified = "
	"false, "
	"password_hash = NULL, avatar = NULL, banner = NULL, bio = NULL, tagline = NULL, flags = 0, "
	"updated_at_ms = $3, "
	"deleted_at_ms = $3, erased_at_ms = $3 WHERE a.id = $1 AND a.erased_at_ms IS NULL "
	"AND CASE WHEN $4::bigint = 0 THEN a.password_hash = $2 ELSE a.owner_id = $4 END RETURNING a.id"};

enum status account_append_closed(struct log_tx *tx, uint64_t account_id, enum close_why why)
{
	pb_Event event = {
		.which_body = pb_Event_account_closed_tag,
		.body.account_closed = {.user_id = account_id, .why = why},
	};
	char audience[AUDIENCE_SIZE];

	audience_key(audience, "user", account_id);
	return log_tx_append(tx, STREAM_USER(account_id), audience, &event, NULL);
}

/* The name is in earlier events of the user's own stream as well; what the log still has of them is blanked.
 * Older ones fall to the log's retention. */
static enum status blank_events(struct log_tx *tx, uint64_t id)
{
	uint64_t head = log_tx_seq(tx, STREAM_USER(id));
	size_t count = head < EVENTS_BLANKED ? (size_t)head : EVENTS_BLANKED;
	uint64_t *seqs = ARENA_ARRAY(log_tx_mem(tx), count, uint64_t);

	for (size_t i = 0; i < count; i++)
		seqs[i] = head - i;
	return count == 0 ? STATUS_OK : log_tx_tombstone(tx, STREAM_USER(id), seqs, count, NULL);
}

/* All of them, for an event that says it of the account itself. */
static enum status revoke_sessions(struct log_tx *tx, uint64_t account_id)
{
	struct db_params params;

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, account_id);
	db_put_id(&params, 0);
	db_put_i64(&params, log_tx_now_ms(tx));
	return log_tx_query(tx, &end_sessions, &params, NULL);
}

static enum status close_work(struct log_tx *tx, void *arg)
{
	const struct close *c = arg;
	struct db_params params;
	struct db_rows rows;

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, c->id);
	db_put_text(&params, c->hash);
	db_put_i64(&params, log_tx_now_ms(tx));
	db_put_id(&params, c->owner_id);
	enum status st = log_tx_query(tx, &erase, &params, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count == 0 && c->owner_id != 0)
		return STATUS_NOT_FOUND;
	if (rows.count == 0) {
		log_tx_refuse(tx, "wrong_password", "password", "the password is wrong");
		return STATUS_FORBIDDEN;
	}
	st = blank_events(tx, c->id);
	if (st == STATUS_OK)
		st = account_append_closed(tx, c->id, CLOSE_WHY_ERASED);
	if (st != STATUS_OK)
		return st;
	log_tx_raise_epoch(tx, STREAM_USER(c->id));
	st = revoke_sessions(tx, c->id);
	if (st == STATUS_OK && c->owner_id == 0)
		st = jobs_add_bots(tx, c->id);
	return st == STATUS_OK ? jobs_add_erase(tx, c->id) : st;
}

static enum status close_account(struct api *api, struct arena *mem, const struct rpc_context *by,
	struct close *c, struct rpc_outcome *out)
{
	struct commit_op op;

	change_begin(&op, by, close_work, c);
	change_stream(&op, STREAM_USER(c->id));
	enum status st = change_commit(api, mem, &op, NULL, out);
	if (st == STATUS_OK) {
		tokens_drop_account(api->tokens, c->id);
		jobs_nudge(api->jobs);
	}
	return st;
}

enum status accounts_close(struct api *api, struct arena *mem, const struct rpc_context *by,
	const char *password, struct rpc_outcome *out)
{
	struct close c = {.id = by->actor_id};
	enum status st = account_prove(api, mem, by, password, "password", &c.hash, out);

	return st == STATUS_OK ? close_account(api, mem, by, &c, out) : st;
}

enum status account_erase_bot(struct api *api, struct arena *mem, const struct rpc_context *by,
	uint64_t owner_id, uint64_t bot_id, struct rpc_outcome *out)
{
	struct close c = {.id = bot_id, .owner_id = owner_id};

	return close_account(api, mem, by, &c, out);
}

/* ---- disable */

struct disable {
	struct arena *mem;
	uint64_t id;
	bool disabled;
	pb_UserView *out;
};

static const struct db_stmt set_disabled = {"accounts_set_disabled",
	"UPDATE auth.accounts AS a SET disabled_at_ms = CASE WHEN $2 THEN coalesce(a.disabled_at_ms, $3) "
	"END, updated_at_ms = $3 "
	"FROM (SELECT id, disabled_at_ms IS NOT NULL AS was FROM auth.accounts WHERE id = $1) before "
	"WHERE a.id = before.id AND a.erased_at_ms IS NULL RETURNING " ACCOUNT_COLUMNS ", before.was"};

static enum status disable_work(struct log_tx *tx, void *arg)
{
	struct disable *d = arg;
	struct db_params params;
	struct db_rows rows;
	pb_UserView view;

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, d->id);
	db_put_bool(&params, d->disabled);
	db_put_i64(&params, log_tx_now_ms(tx));
	enum status st = log_tx_query(tx, &set_disabled, &params, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count == 0)
		return STATUS_NOT_FOUND;
	accounts_row(&rows, 0, 0, &view);
	user_view_copy(d->mem, &view, d->out);
	if (db_bool(&rows, 0, ACCOUNT_COLUMN_COUNT) == d->disabled)
		return STATUS_OK;
	if (d->disabled) {
		log_tx_raise_epoch(tx, STREAM_USER(d->id));
		st = account_append_closed(tx, d->id, CLOSE_WHY_DISABLED);
		/* Who is let in again signs in again: whoever had a token of his has it no more. */
		if (st == STATUS_OK)
			st = revoke_sessions(tx, d->id);
		return st == STATUS_OK ? jobs_add_bots(tx, d->id) : st;
	}
	char *changed[] = {(char *)"disabled"};
	pb_Event event = {
		.which_body = pb_Event_account_updated_tag,
		.body.account_updated = {.has_user = true,
			.user = view,
			.changed_count = 1,
			.changed = changed},
	};
	char audience[AUDIENCE_SIZE];
	audience_key(audience, "user", d->id);
	return log_tx_append(tx, STREAM_USER(d->id), audience, &event, NULL);
}

enum status accounts_set_disabled(struct api *api, struct arena *mem, const struct rpc_context *by,
	const char *username, bool disabled, pb_UserView *out_account, struct rpc_outcome *out)
{
	struct disable d = {.mem = mem, .disabled = disabled, .out = out_account};
	struct commit_op op;
	pb_UserView found;
	enum status st = accounts_find(api, mem, username, by->deadline_mono_ms, &found, NULL);

	if (st != STATUS_OK)
		return change_refuse(out, st, st == STATUS_NOT_FOUND ? "username" : NULL, NULL);
	d.id = found.id;
	change_begin(&op, by, disable_work, &d);
	op.request_id_length = 0; /* setting it again is harmless, and there is nothing to remember */
	change_stream(&op, STREAM_USER(d.id));
	st = change_commit(api, mem, &op, NULL, out);
	if (st == STATUS_OK) {
		tokens_drop_account(api->tokens, d.id);
		jobs_nudge(api->jobs);
	}
	return st;
}
