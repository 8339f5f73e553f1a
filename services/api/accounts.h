/*
 * accounts - people and bots: rows of auth.accounts, each with its user stream. Every change is one commit
 * with its event; what follows from it in other owners' data is a row of auth.jobs in the same commit. Worker
 * threads; strings of answers live in mem. `by` tells the actor, the request id and the deadline; actor_id 0
 * is the system.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/rpc/rpc.h"
#include "services/api/api.h"

#define ACCOUNT_USERNAME_LEAST 2
#define ACCOUNT_USERNAME_MOST  32
#define ACCOUNT_NAME_MOST      64
#define ACCOUNT_EMAIL_MOST     254
#define ACCOUNT_PASSWORD_LEAST 10
#define ACCOUNT_PASSWORD_MOST  128
#define ACCOUNT_URL_BYTES      2048
#define ACCOUNT_BIO_MOST       1000
#define ACCOUNT_TAGLINE_MOST   128

#define ACCOUNT_BOTS_MOST 25

struct account_new {
	const char *username, *password;
	const char *email, *display_name, *avatar, *bio; /* or NULL */
	uint64_t owner_id; /* not 0: a bot of this person, who is the actor; without password and e-mail */
};
/* STATUS_OK, STATUS_FIELD_INVALID with the field, STATUS_CONFLICT on username or email, STATUS_AT_LIMIT (bots),
 * STATUS_STALE with why "session" (bots), STATUS_BUSY, STATUS_LATE. */
enum status accounts_create(struct api *api, struct arena *mem, const struct rpc_context *by,
	const struct account_new *fields, pb_UserView *out_account, struct rpc_outcome *out);

struct account_own {
	pb_UserView view;
	const char *email; /* or NULL */
	bool email_verified;
};
/* One account as its owner sees it. STATUS_NOT_FOUND: unknown or erased. */
enum status accounts_get_own(
	struct api *api, struct arena *mem, uint64_t id, int64_t deadline_mono_ms, struct account_own *out);
/* STATUS_NOT_FOUND: unknown or erased. */
enum status accounts_get(
	struct api *api, struct arena *mem, uint64_t id, int64_t deadline_mono_ms, pb_UserView *out);
/* In the order of ids; the unknown are left out, the erased are not. out_epochs, if given: of their user
 * streams, from the same snapshot. count at most 200. */
enum status accounts_get_many(struct api *api, struct arena *mem, const uint64_t *ids, size_t count,
	int64_t deadline_mono_ms, pb_UserView **out_accounts, uint64_t **out_epochs, size_t *out_count);
/* By username, whatever its case. STATUS_NOT_FOUND. out_epoch as above, may be NULL. */
enum status accounts_find(struct api *api, struct arena *mem, const char *username, int64_t deadline_mono_ms,
	pb_UserView *out, uint64_t *out_epoch);
/* Usernames that begin with query, in their order. before, after: ids, or 0. *out_more: there are further
 * ones. */
enum status accounts_search(struct api *api, struct arena *mem, const char *query, uint64_t before,
	uint64_t after, uint32_t limit, int64_t deadline_mono_ms, pb_UserView **out_accounts,
	size_t *out_count, bool *out_more);

/* A field that is given and NULL is cleared; username and password cannot be. */
struct account_change {
	bool has_username, has_display_name, has_avatar, has_banner, has_bio, has_tagline, has_email,
		has_password;
	const char *username, *display_name, *avatar, *banner, *bio, *tagline, *email, *password;
	const char *current_password; /* needed with has_password and has_email */
	uint64_t bot_id; /* not 0: of this bot of the actor's, which has neither password nor e-mail */
};
/*
 * accounts_update - changes the actor's own account, or a bot of his. A new password ends his other sessions.
 *
 * STATUS_OK, STATUS_NOT_FOUND (a bot that is not his), STATUS_FIELD_INVALID, STATUS_FORBIDDEN with why "wrong_password", STATUS_CONFLICT on username or
 * email, STATUS_STALE with why "session", STATUS_BUSY, STATUS_LATE.
 */
enum status accounts_update(struct api *api, struct arena *mem, const struct rpc_context *by,
	const struct account_change *change, struct account_own *out_account, struct rpc_outcome *out);

/* Erases the actor's own account: name, pictures, password and sessions go at once, memberships by job, and so do his bots.
 * STATUS_OK, STATUS_FORBIDDEN with why "wrong_password", and as above. */
enum status accounts_close(struct api *api, struct arena *mem, const struct rpc_context *by,
	const char *password, struct rpc_outcome *out);

/* The system only. Disabling ends nothing for good: the tokens work again afterwards. The account's bots are
 * locked out with it. STATUS_NOT_FOUND, STATUS_BUSY. */
enum status accounts_set_disabled(struct api *api, struct arena *mem, const struct rpc_context *by,
	const char *username, bool disabled, pb_UserView *out_account, struct rpc_outcome *out);

/* "must ..." when the text is no such thing, else NULL. Pure. */
const char *account_username_fault(const char *username);
const char *account_email_fault(const char *email);
const char *account_url_fault(const char *url);
