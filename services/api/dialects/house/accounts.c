#include <string.h>

#include "services/api/accounts.h"
#include "services/api/dialects/house/house.h"
#include "services/api/sessions.h"

enum status house_accounts_create(struct exchange *x)
{
	struct account_new fields = {0};
	struct json_reader r;
	pb_UserView account;

	house_body(x, &r);
	json_str(&r, "username", JSON_REQUIRED, ACCOUNT_USERNAME_LEAST, ACCOUNT_USERNAME_MOST,
		&fields.username);
	json_str(&r, "password", JSON_REQUIRED, ACCOUNT_PASSWORD_LEAST, ACCOUNT_PASSWORD_MOST,
		&fields.password);
	json_str(&r, "email", JSON_OPTIONAL, 1, ACCOUNT_EMAIL_MOST, &fields.email);
	json_str(&r, "display_name", JSON_OPTIONAL, 1, ACCOUNT_NAME_MOST, &fields.display_name);
	enum status st = house_body_end(x, &r);
	if (st == STATUS_OK)
		st = accounts_create(
			x->api, x->mem, exchange_context(x, true), &fields, &account, &x->outcome);
	if (st != STATUS_OK)
		return st;
	house_location(x, "/users/%s", house_uuid(x, account.id));
	return HOUSE_OBJECT(x, 201, house_user, &account);
}

/* ---- sessions */

enum status house_sessions_create(struct exchange *x)
{
	struct session_new fields = {
		.agent = http_request_header(x->rq, "User-Agent"),
		.address = x->rq->remote,
	};
	struct session_opened *opened = ARENA_NEW(x->mem, struct session_opened);
	struct json_reader r;

	house_body(x, &r);
	json_str(&r, "username", JSON_REQUIRED, 1, ACCOUNT_EMAIL_MOST, &fields.login);
	json_str(&r, "password", JSON_REQUIRED, 1, ACCOUNT_PASSWORD_MOST, &fields.password);
	json_str(&r, "client_label", JSON_OPTIONAL, 1, 64, &fields.client_label);
	enum status st = house_body_end(x, &r);
	if (st == STATUS_OK)
		st = exchange_guess_name(x, fields.login);
	if (st == STATUS_OK)
		st = sessions_open(x->api, x->mem, exchange_context(x, true), &fields, opened, &x->outcome);
	if (st != STATUS_OK)
		return st;
	struct house_session session = {
		.id = opened->session_id,
		.token = opened->token,
		.user = &opened->account,
		.expires_at_ms = opened->expires_at_ms,
	};
	house_location(x, "/sessions/%s", house_uuid(x, session.id));
	return HOUSE_OBJECT(x, 201, house_session, &session);
}

struct session_items {
	const struct session_row *rows;
	uint64_t current;
};

static void write_session(struct json_writer *w, const void *items, size_t i)
{
	const struct session_items *list = items;
	const struct session_row *row = &list->rows[i];

	house_session(w, &(struct house_session){
				 .id = row->id,
				 .client_label = row->client_label,
				 .agent = row->agent,
				 .address = row->address,
				 .created_at_ms = row->created_at_ms,
				 .last_used_at_ms = row->last_used_at_ms,
				 .expires_at_ms = row->expires_at_ms,
				 .current = row->id == list->current,
			 });
}

static uint64_t session_id(const void *items, size_t i)
{
	return ((const struct session_items *)items)->rows[i].id;
}

enum status house_sessions_list(struct exchange *x)
{
	struct house_page page;
	struct session_row *rows = NULL;
	size_t count = 0;
	bool more = false;
	enum status st = house_page(x, &page);

	if (st != STATUS_OK)
		return st;
	st = sessions_list(x->api, x->mem, x->actor.id, page.before, page.after, page.limit,
		x->deadline_mono_ms, &rows, &count, &more);
	if (st != STATUS_OK)
		return exchange_fail(x, st, NULL, NULL, NULL);
	struct session_items items = {rows, x->actor.session_id};
	return house_finish_list(
		x, &page, &(struct house_list){count, more, true, &items, write_session, session_id});
}

static enum status revoke(struct exchange *x, uint64_t session)
{
	enum status st = sessions_revoke(x->api, x->mem, exchange_context(x, true), session, &x->outcome);

	return st == STATUS_OK ? house_no_content(x) : st;
}

enum status house_sessions_delete(struct exchange *x)
{
	uint64_t session;
	enum status st = house_path_id(x, "session", &session);

	return st == STATUS_OK ? revoke(x, session) : st;
}

enum status house_sessions_delete_current(struct exchange *x)
{
	return revoke(x, x->actor.session_id);
}

/* ---- oneself */

static enum status reply_own(struct exchange *x, const struct account_own *own)
{
	struct house_profile profile = {
		.user = &own->view,
		.own = true,
		.email = own->email,
		.email_verified = own->email_verified,
	};

	return HOUSE_OBJECT(x, 200, house_profile, &profile);
}

enum status house_me_get(struct exchange *x)
{
	struct account_own own;
	enum status st = accounts_get_own(x->api, x->mem, x->actor.id, x->deadline_mono_ms, &own);

	return st == STATUS_OK ? reply_own(x, &own) : exchange_fail(x, st, NULL, NULL, NULL);
}

enum status house_me_patch(struct exchange *x)
{
	struct account_change c = {0};
	struct account_own own;
	struct json_reader r;

	house_body(x, &r);
	c.has_username = json_has(&r, "username");
	if (c.has_username)
		json_str(&r, "username", JSON_REQUIRED, ACCOUNT_USERNAME_LEAST, ACCOUNT_USERNAME_MOST,
			&c.username);
	c.has_password = json_has(&r, "password");
	if (c.has_password)
		json_str(&r, "password", JSON_REQUIRED, ACCOUNT_PASSWORD_LEAST, ACCOUNT_PASSWORD_MOST,
			&c.password);
	json_str(&r, "current_password", JSON_OPTIONAL, 1, ACCOUNT_PASSWORD_MOST, &c.current_password);
	c.has_display_name = house_nullable(&r, "display_name", 1, ACCOUNT_NAME_MOST, &c.display_name);
	c.has_avatar = house_nullable(&r, "avatar_url", 1, ACCOUNT_URL_BYTES, &c.avatar);
	c.has_banner = house_nullable(&r, "banner_url", 1, ACCOUNT_URL_BYTES, &c.banner);
	c.has_bio = house_nullable(&r, "bio", 0, ACCOUNT_BIO_MOST, &c.bio);
	c.has_tagline = house_nullable(&r, "tagline", 0, ACCOUNT_TAGLINE_MOST, &c.tagline);
	c.has_email = house_nullable(&r, "email", 1, ACCOUNT_EMAIL_MOST, &c.email);
	enum status st = house_body_end(x, &r);
	if (st == STATUS_OK && c.current_password != NULL)
		st = exchange_guess(x);
	if (st == STATUS_OK)
		st = accounts_update(x->api, x->mem, exchange_context(x, true), &c, &own, &x->outcome);
	return st == STATUS_OK ? reply_own(x, &own) : st;
}

enum status house_me_delete(struct exchange *x)
{
	const char *password = NULL;
	struct json_reader r;

	house_body(x, &r);
	json_str(&r, "password", JSON_REQUIRED, 1, ACCOUNT_PASSWORD_MOST, &password);
	enum status st = house_body_end(x, &r);
	if (st == STATUS_OK)
		st = exchange_guess(x);
	if (st == STATUS_OK)
		st = accounts_close(x->api, x->mem, exchange_context(x, true), password, &x->outcome);
	return st == STATUS_OK ? house_no_content(x) : st;
}

/* ---- others */

enum status house_users_get(struct exchange *x)
{
	struct house_profile profile = {0};
	pb_UserView user;
	uint64_t id;
	enum status st = house_path_id(x, "user", &id);

	if (st != STATUS_OK)
		return st;
	st = accounts_get(x->api, x->mem, id, x->deadline_mono_ms, &user);
	if (st != STATUS_OK)
		return exchange_fail(x, st, NULL, NULL, NULL);
	profile.user = &user;
	return HOUSE_OBJECT(x, 200, house_profile, &profile);
}

static void write_user(struct json_writer *w, const void *items, size_t i)
{
	house_user(w, &((const pb_UserView *)items)[i]);
}

static uint64_t user_id(const void *items, size_t i)
{
	return ((const pb_UserView *)items)[i].id;
}

enum status house_users_search(struct exchange *x)
{
	struct house_page page;
	const char *query = NULL;
	pb_UserView *users = NULL;
	size_t count = 0;
	bool more = false;
	enum status st = house_page(x, &page);

	if (st == STATUS_OK)
		st = house_query(x, "query", ACCOUNT_USERNAME_MOST, &query);
	if (st == STATUS_OK && (query == NULL || query[0] == '\0'))
		return exchange_fail(x, STATUS_FIELD_INVALID, NULL, "query", "must have 1 to 32 characters");
	if (st != STATUS_OK)
		return st;
	st = accounts_search(x->api, x->mem, query, page.before, page.after, page.limit, x->deadline_mono_ms,
		&users, &count, &more);
	if (st != STATUS_OK)
		return exchange_fail(x, st, NULL, NULL, NULL);
	return house_finish_list(
		x, &page, &(struct house_list){count, more, false, users, write_user, user_id});
}
