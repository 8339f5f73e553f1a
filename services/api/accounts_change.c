#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/db/committer.h"
#include "services/api/accounts.h"
#include "services/api/accounts_end.h"
#include "services/api/accounts_rows.h"
#include "services/api/change.h"
#include "services/api/jobs.h"
#include "services/api/passwords.h"
#include "services/api/tokens.h"

#define CHANGED_MOST 8

/* ---- update */

struct update {
	struct arena *mem;
	const pb_UserView *actor;
	uint64_t id, session_id;
	uint64_t owner_id; /* whose bot it is; 0: a person's own account */
	const struct account_change *change;
	const char *old_hash, *new_hash; /* with a new password */
	bool sessions_ended, profile_changed;
	struct account_own *out;
};

static const struct db_stmt current = {"accounts_current",
	"SELECT a.username, a.display_name, a.avatar, a.banner, a.bio, a.tagline, a.email FROM auth.accounts "
	"a "
	"WHERE a.id = $1 AND a.erased_at_ms IS NULL AND ($2::bigint = 0 OR a.owner_id = $2)"};
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
	db_put_id(&params, u->owner_id);
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
			.actor = u->owner_id != 0 && u->actor != NULL ? *u->actor : own.view,
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
		st = account_end_sessions(tx, &own.view, u->session_id);
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
		.actor = by->actor,
		.id = change->bot_id != 0 ? change->bot_id : by->actor_id,
		.owner_id = change->bot_id != 0 ? by->actor_id : 0,
		.session_id = by->session_id,
		.change = change,
		.out = out_account};
	struct commit_op op;
	enum status st = check_change(change, out);

	if (st == STATUS_OK && change->current_password != NULL)
		st = account_prove(api, mem, by, change->current_password, "current_password", &u.old_hash, out);
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
