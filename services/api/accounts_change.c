#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/db/committer.h"
#include "services/api/accounts.h"
#include "services/api/accounts_rows.h"
#include "services/api/change.h"
#include "services/api/jobs.h"
#include "services/api/passwords.h"
#include "services/api/tokens.h"

/* Above this many sessions ended at once, one event says "every one" and the sockets of the session that
 * stays open have to connect again. */
#define SESSION_EVENTS_MOST 64
#define CHANGED_MOST        8
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
static enum status prove(struct api *api, struct arena *mem, const struct rpc_context *by,
	const char *password, const char *field, const char **out_hash, struct rpc_outcome *out)
{
	struct db_conn *conn = NULL;
	struct db_params params;
	struct db_rows rows = {0};
	enum status st = db_acquire(api->db, by->deadline_mono_ms, &conn);

	if (st == STATUS_OK) {
		db_params_begin(&params, mem);
		db_put_id(&params, by->actor_id);
		st = db_query(conn, mem, &password_of, &params, &rows);
	}
	db_release(conn);
	if (st == STATUS_OK) {
		*out_hash = rows.count == 0 ? NULL : db_text(&rows, 0, 0);
		st = passwords_verify(api->passwords, *out_hash, password, by->deadline_mono_ms);
	}
	if (st == STATUS_WRONG_CREDENTIALS)
		return refuse_password(out, field);
	return st == STATUS_OK ? st : change_refuse(out, st, NULL, NULL);
}

/* ---- ending sessions, inside a commit that has the user's stream */

static const struct db_stmt end_sessions = {
	"accounts_end_sessions", "UPDATE auth.sessions SET revoked_at_ms = $3 WHERE account_id = $1 AND id "
				 "<> $2 AND revoked_at_ms IS NULL RETURNING id"};

static enum status append_revoked(struct log_tx *tx, const pb_UserView *account, uint64_t session_id)
{
	pb_Event event = {
		.has_actor = true,
		.actor = *account,
		.which_body = pb_Event_session_revoked_tag,
		.body.session_revoked = {.user_id = account->id,
			.session_id = session_id,
			.why = CLOSE_WHY_REVOKED},
	};
	char audience[AUDIENCE_SIZE];

	audience_key(audience, "user", account->id);
	return log_tx_append(tx, STREAM_USER(account->id), audience, &event, NULL);
}

static enum status end_other_sessions(struct log_tx *tx, const pb_UserView *account, uint64_t but)
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
		return append_revoked(tx, account, 0);
	for (int i = 0; st == STATUS_OK && i < rows.count; i++)
		st = append_revoked(tx, account, db_id(&rows, i, 0));
	return st;
}

/* ---- update */

struct update {
	struct arena *mem;
	uint64_t id, session_id;
	const struct account_change *change;
	const char *old_hash, *new_hash; /* with a new password */
	bool sessions_ended, profile_changed;
	struct account_own *out;
};

static const struct db_stmt current = {"accounts_current",
	"SELECT a.username, a.display_name, a.avatar, a.banner, a.bio, a.tagline, a.email FROM auth.accounts "
	"a "
	"WHERE a.id = $1 AND a.erased_at_ms IS NULL"};
static const struct db_stmt apply = {"accounts_apply",
	"UPDATE auth.accounts AS a SET username = $2, display_name = $3, avatar = $4, banner = $5, bio = $6, "
	"tagline = $7, "
	"email_verified = a.email_verified AND a.email IS NOT DISTINCT FROM $8, email = $8, "
	"password_hash = coalesce($9, a.password_hash), updated_at_ms = $10 "
	"WHERE a.id = $1 AND ($9::text IS NULL OR a.password_hash = $11) "
	"RETURNING " ACCOUNT_COLUMNS ", a.email, a.email_verified"};
static const struct db_stmt taken_by_others = {"accounts_taken_by_others",
	"SELECT EXISTS (SELECT FROM auth.accounts WHERE lower(username) = lower($1::text) AND id <> $3), "
	"EXISTS (SELECT FROM auth.accounts WHERE lower(email) = lower($2::text) AND id <> $3)"};

static bool same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* What the field becomes, and its name among the changed ones when it differs. */
static const char *becomes(
	bool has, const char *wanted, const char *is, const char *name, char **changed, size_t *count)
{
	if (!has || same(wanted, is))
		return is;
	changed[(*count)++] = (char *)name;
	return wanted;
}

static enum status update_work(struct log_tx *tx, void *arg)
{
	struct update *u = arg;
	const struct account_change *c = u->change;
	struct arena *mem = log_tx_mem(tx);
	char **changed = ARENA_ARRAY(mem, CHANGED_MOST, char *);
	size_t count = 0;
	struct db_params params;
	struct db_rows rows;

	db_params_begin(&params, mem);
	db_put_id(&params, u->id);
	enum status st = log_tx_query(tx, &current, &params, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count == 0)
		return STATUS_NOT_FOUND;
	const char *username =
		becomes(c->has_username, c->username, db_text(&rows, 0, 0), "username", changed, &count);
	const char *display_name = becomes(
		c->has_display_name, c->display_name, db_text(&rows, 0, 1), "display_name", changed, &count);
	const char *avatar =
		becomes(c->has_avatar, c->avatar, db_text(&rows, 0, 2), "avatar", changed, &count);
	const char *banner =
		becomes(c->has_banner, c->banner, db_text(&rows, 0, 3), "banner", changed, &count);
	const char *bio = becomes(c->has_bio, c->bio, db_text(&rows, 0, 4), "bio", changed, &count);
	const char *tagline =
		becomes(c->has_tagline, c->tagline, db_text(&rows, 0, 5), "tagline", changed, &count);
	size_t public_count = count; /* the rest is nobody else's business */
	u->profile_changed = public_count > 0;
	const char *email = becomes(c->has_email, c->email, db_text(&rows, 0, 6), "email", changed, &count);
	if (u->new_hash != NULL)
		changed[count++] = (char *)"password";

	db_params_begin(&params, mem);
	db_put_text(&params, c->has_username ? username : NULL);
	db_put_text(&params, c->has_email ? email : NULL);
	db_put_id(&params, u->id);
	st = log_tx_query(tx, &taken_by_others, &params, &rows);
	if (st != STATUS_OK)
		return st;
	if (db_bool(&rows, 0, 0) || db_bool(&rows, 0, 1)) {
		log_tx_refuse(tx, NULL, db_bool(&rows, 0, 0) ? "username" : "email", "is taken");
		return STATUS_CONFLICT;
	}
	db_params_begin(&params, mem);
	db_put_id(&params, u->id);
	db_put_text(&params, username);
	db_put_text(&params, display_name);
	db_put_text(&params, avatar);
	db_put_text(&params, banner);
	db_put_text(&params, bio);
	db_put_text(&params, tagline);
	db_put_text(&params, email);
	db_put_text(&params, u->new_hash);
	db_put_i64(&params, log_tx_now_ms(tx));
	db_put_text(&params, u->old_hash);
	st = log_tx_query(tx, &apply, &params, &rows);
	if (st == STATUS_CONFLICT) { /* another copy of api was quicker with the same name */
		log_tx_refuse(tx, NULL, c->has_username ? "username" : "email", "is taken");
		return st;
	}
	if (st != STATUS_OK)
		return st;
	if (rows.count == 0) { /* the password was changed while this one was being compared */
		log_tx_refuse(tx, "wrong_password", "current_password", "the password is wrong");
		return STATUS_FORBIDDEN;
	}
	struct account_own own = {.email = db_text(&rows, 0, ACCOUNT_COLUMN_COUNT),
		.email_verified = db_bool(&rows, 0, ACCOUNT_COLUMN_COUNT + 1)};
	accounts_row(&rows, 0, 0, &own.view);
	if (count > 0) {
		pb_Event event = {
			.has_actor = true,
			.actor = own.view,
			.which_body = pb_Event_account_updated_tag,
			.body.account_updated = {.has_user = true,
				.user = own.view,
				.changed_count = (pb_size_t)count,
				.changed = changed},
		};
		char audience[AUDIENCE_SIZE];
		audience_key(audience, "user", u->id);
		st = log_tx_append(tx, STREAM_USER(u->id), audience, &event, NULL);
		if (st == STATUS_OK && u->profile_changed)
			st = jobs_add_profile(tx, u->id, changed, public_count, event.event_id);
	}
	u->sessions_ended = false;
	if (st == STATUS_OK && u->new_hash != NULL) {
		u->sessions_ended = true;
		st = end_other_sessions(tx, &own.view, u->session_id);
	}
	if (st != STATUS_OK)
		return st;
	user_view_copy(u->mem, &own.view, &u->out->view);
	u->out->email = arena_strdup(u->mem, own.email);
	u->out->email_verified = own.email_verified;
	return STATUS_OK;
}

static const char *text_fault(const char *text, size_t most)
{
	return text != NULL && text_code_points(text, strlen(text)) > most ? "is too long" : NULL;
}

static enum status check_change(const struct account_change *c, struct rpc_outcome *out)
{
	const char *fault;

	if (c->has_username && (fault = account_username_fault(c->username)) != NULL)
		return change_refuse(out, STATUS_FIELD_INVALID, "username", fault);
	if (c->has_display_name && (fault = text_fault(c->display_name, ACCOUNT_NAME_MOST)) != NULL)
		return change_refuse(out, STATUS_FIELD_INVALID, "display_name", fault);
	if (c->has_avatar && c->avatar != NULL && (fault = account_url_fault(c->avatar)) != NULL)
		return change_refuse(out, STATUS_FIELD_INVALID, "avatar_url", fault);
	if (c->has_banner && c->banner != NULL && (fault = account_url_fault(c->banner)) != NULL)
		return change_refuse(out, STATUS_FIELD_INVALID, "banner_url", fault);
	if (c->has_bio && (fault = text_fault(c->bio, ACCOUNT_BIO_MOST)) != NULL)
		return change_refuse(out, STATUS_FIELD_INVALID, "bio", fault);
	if (c->has_tagline && (fault = text_fault(c->tagline, ACCOUNT_TAGLINE_MOST)) != NULL)
		return change_refuse(out, STATUS_FIELD_INVALID, "tagline", fault);
	if (c->has_email && c->email != NULL && (fault = account_email_fault(c->email)) != NULL)
		return change_refuse(out, STATUS_FIELD_INVALID, "email", fault);
	if (c->has_password) {
		size_t length = text_code_points(c->password, strlen(c->password));
		if (length < ACCOUNT_PASSWORD_LEAST || length > ACCOUNT_PASSWORD_MOST)
			return change_refuse(
				out, STATUS_FIELD_INVALID, "password", "must have 10 to 128 characters");
	}
	/* Whoever holds a stolen token must not be able to take the account over for good. */
	if ((c->has_password || c->has_email) && c->current_password == NULL)
		return change_refuse(
			out, STATUS_FIELD_INVALID, "current_password", "is required for this change");
	return STATUS_OK;
}

enum status accounts_update(struct api *api, struct arena *mem, const struct rpc_context *by,
	const struct account_change *change, struct account_own *out_account, struct rpc_outcome *out)
{
	struct update u = {.mem = mem,
		.id = by->actor_id,
		.session_id = by->session_id,
		.change = change,
		.out = out_account};
	struct commit_op op;
	enum status st = check_change(change, out);

	if (st == STATUS_OK && change->current_password != NULL)
		st = prove(api, mem, by, change->current_password, "current_password", &u.old_hash, out);
	if (st != STATUS_OK)
		return st;
	if (change->has_password) {
		st = passwords_hash(api->passwords, mem, change->password, by->deadline_mono_ms, &u.new_hash);
		if (st != STATUS_OK)
			return change_refuse(out, st, NULL, NULL);
	}
	change_begin(&op, by, update_work, &u);
	change_stream(&op, STREAM_USER(u.id));
	st = change_commit(api, mem, &op, NULL, out);
	if (st == STATUS_OK) {
		tokens_drop_account(api->tokens, u.id);
		if (u.profile_changed)
			jobs_nudge(api->jobs);
	}
	return st;
}

/* ---- close */

struct close {
	uint64_t id;
	const char *hash;
};

static const struct db_stmt erase = {"accounts_erase",
	"UPDATE auth.accounts AS a SET username = NULL, display_name = NULL, email = NULL, email_verified = "
	"false, "
	"password_hash = NULL, avatar = NULL, banner = NULL, bio = NULL, tagline = NULL, flags = 0, "
	"updated_at_ms = $3, "
	"deleted_at_ms = $3, erased_at_ms = $3 WHERE a.id = $1 AND a.password_hash = $2 "
	"RETURNING " ACCOUNT_COLUMNS};

static enum status append_closed(struct log_tx *tx, const pb_UserView *account, enum close_why why)
{
	pb_Event event = {
		.which_body = pb_Event_account_closed_tag,
		.body.account_closed = {.user_id = account->id, .why = why},
	};
	char audience[AUDIENCE_SIZE];

	audience_key(audience, "user", account->id);
	return log_tx_append(tx, STREAM_USER(account->id), audience, &event, NULL);
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
	return count == 0 ? STATUS_OK : log_tx_tombstone(tx, STREAM_USER(id), seqs, count);
}

static enum status close_work(struct log_tx *tx, void *arg)
{
	const struct close *c = arg;
	struct db_params params;
	struct db_rows rows;
	pb_UserView view;

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, c->id);
	db_put_text(&params, c->hash);
	db_put_i64(&params, log_tx_now_ms(tx));
	enum status st = log_tx_query(tx, &erase, &params, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count == 0) {
		log_tx_refuse(tx, "wrong_password", "password", "the password is wrong");
		return STATUS_FORBIDDEN;
	}
	accounts_row(&rows, 0, 0, &view);
	st = blank_events(tx, c->id);
	if (st == STATUS_OK)
		st = append_closed(tx, &view, CLOSE_WHY_ERASED);
	if (st != STATUS_OK)
		return st;
	log_tx_raise_epoch(tx, STREAM_USER(c->id));
	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, c->id);
	db_put_id(&params, 0);
	db_put_i64(&params, log_tx_now_ms(tx));
	st = log_tx_query(tx, &end_sessions, &params, NULL);
	return st == STATUS_OK ? jobs_add_erase(tx, c->id) : st;
}

enum status accounts_close(struct api *api, struct arena *mem, const struct rpc_context *by,
	const char *password, struct rpc_outcome *out)
{
	struct close c = {.id = by->actor_id};
	struct commit_op op;
	enum status st = prove(api, mem, by, password, "password", &c.hash, out);

	if (st != STATUS_OK)
		return st;
	change_begin(&op, by, close_work, &c);
	change_stream(&op, STREAM_USER(c.id));
	st = change_commit(api, mem, &op, NULL, out);
	if (st == STATUS_OK) {
		tokens_drop_account(api->tokens, c.id);
		jobs_nudge(api->jobs);
	}
	return st;
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
		return append_closed(tx, &view, CLOSE_WHY_DISABLED);
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
	if (st == STATUS_OK)
		tokens_drop_account(api->tokens, d.id);
	return st;
}
