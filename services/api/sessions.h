/*
 * sessions - who is signed in where: rows of auth.sessions. Opening and revoking are commits in the user's
 * stream; revoking raises its epoch, so that nothing more is written on the strength of that token. Worker
 * threads; strings live in mem.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/events/kinds.h"
#include "common/rpc/rpc.h"
#include "services/api/api.h"
#include "services/api/tokens.h"

struct session_new {
	const char *login, *password;               /* login: username or e-mail address */
	const char *client_label, *agent, *address; /* or NULL */
	enum dialect dialect; /* 0: house. Of crust it lives GUILDHALL_CRUST_SESSION_DAYS */
};
struct session_opened {
	char token[TOKEN_TEXT_SIZE]; /* the only time it is seen */
	uint64_t session_id;
	pb_UserView account;
	int64_t expires_at_ms; /* 0: no end */
};

/* STATUS_OK; STATUS_WRONG_CREDENTIALS (no word about which of the two); STATUS_UNAUTHENTICATED with why
 * "disabled"; STATUS_BUSY, STATUS_LATE. A repeat is another session: tokens are not kept to be told twice. */
enum status sessions_open(struct api *api, struct arena *mem, const struct rpc_context *by,
	const struct session_new *fields, struct session_opened *out_session, struct rpc_outcome *out);
/* The system only: without a password. days 0: no end. STATUS_NOT_FOUND with field username. */
struct session_for {
	const char *username, *client_label; /* label: or NULL */
	uint32_t days;
	enum dialect dialect; /* 0: house */
};
enum status sessions_open_for(struct api *api, struct arena *mem, const struct rpc_context *by,
	const struct session_for *fields, struct session_opened *out_session, struct rpc_outcome *out);

struct session_row {
	uint64_t id;
	const char *client_label, *agent, *address;
	int64_t created_at_ms, last_used_at_ms, expires_at_ms;
};
/* Living sessions, newest first (oldest first with after). before, after: ids, or 0. */
enum status sessions_list(struct api *api, struct arena *mem, uint64_t account_id, uint64_t before,
	uint64_t after, uint32_t limit, int64_t deadline_mono_ms, struct session_row **out_rows,
	size_t *out_count, bool *out_more);

/* One of the actor's own. STATUS_NOT_FOUND: not his, or over already. */
enum status sessions_revoke(struct api *api, struct arena *mem, const struct rpc_context *by,
	uint64_t session_id, struct rpc_outcome *out);

/* Throws away at most 1000 rows of sessions that ended before then. *out_count: how many went. */
enum status sessions_purge(struct api *api, struct arena *mem, int64_t ended_before_ms,
	int64_t deadline_mono_ms, size_t *out_count);
