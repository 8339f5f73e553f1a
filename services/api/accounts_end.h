/*
 * accounts_end - what ends sessions, sockets and accounts: parts of changes that accounts.h, sessions.h and
 * bots.h declare. Those with a log_tx run inside a commit that holds the account's user stream.
 */
#pragma once

#include <stdint.h>

#include "common/events/kinds.h"
#include "common/rpc/rpc.h"
#include "services/api/api.h"

struct log_tx;

/* Compares the password of the actor's own account. *out_hash: the hash it was compared with. STATUS_OK,
 * STATUS_FORBIDDEN with why "wrong_password" on field, STATUS_BUSY, STATUS_LATE. */
enum status account_prove(struct api *api, struct arena *mem, const struct rpc_context *by,
	const char *password, const char *field, const char **out_hash, struct rpc_outcome *out);

/* Sockets of the session (0: of every one but `but`, which may be 0) are to close. actor NULL: the system. */
enum status account_append_revoked(struct log_tx *tx, const pb_UserView *actor, uint64_t account_id,
	uint64_t session_id, uint64_t but, enum close_why why);
enum status account_append_closed(struct log_tx *tx, uint64_t account_id, enum close_why why);
/* Revokes every session but one, says so, and raises the epoch. */
enum status account_end_sessions(struct log_tx *tx, const pb_UserView *account, uint64_t but);

/* Erases a bot. owner_id: whose it has to be; by->actor_id may be the system. STATUS_NOT_FOUND: it is not, or
 * is erased already. */
enum status account_erase_bot(struct api *api, struct arena *mem, const struct rpc_context *by,
	uint64_t owner_id, uint64_t bot_id, struct rpc_outcome *out);
