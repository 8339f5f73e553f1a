/*
 * tokens - whose token is this? A token is text of random bytes, 32 of them, or 75 where clients refuse short ones (crust), or
 * a JSON web token where the operator has set a secret for them (jwt.h). The database has only its BLAKE2b-256. A row
 * is looked up by that hash and the whole of it is compared once more in constant time: what an index lookup gives
 * away of its timing is about a hash that nobody can choose, not about the token.
 * Answers are kept for at most two seconds, in a table of fixed size, and dropped when a revocation is heard
 * of; a write on the strength of a kept answer is refused by the epoch it carries, a read may be this much
 * late. Thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/status.h"
#include "proto/views.pb.h"
#include "services/api/jwt.h"

#define TOKEN_HASH_BYTES 32
#define TOKENS_AT_ONCE   64 /* of one tokens_resolve_many, as they are asked about by a gateway */
#define TOKEN_TEXT_SIZE  JWT_TEXT_SIZE /* of any kind: "ghs_" and 43 characters, "ghc_" and 100, or a JSON web token */

struct db;
struct tokens;

struct token_answer {
	pb_UserView account;
	uint64_t session_id;
	uint64_t epoch;           /* authz_epoch of the user's stream */
	uint64_t generation;      /* of the log it was read from: db_generation */
	uint64_t user_stream_seq; /* its seq, from the same snapshot */
	int64_t expires_at_ms;    /* 0: no end */
	uint64_t scopes;          /* scopes.h */
	const char *client_label; /* or NULL */
};

/* db is borrowed. slots: answers kept at most. */
enum status tokens_create(struct db *db, size_t slots, struct tokens **out_tokens);
void tokens_destroy(struct tokens *tokens);
/* From now on tokens for crust are JSON web tokens under this secret, and such are known. Borrowed; before the first request. */
void tokens_set_jwt_secret(struct tokens *tokens, const char *secret);
bool tokens_are_jwt(const struct tokens *tokens);

/* A new token and its hash. */
void token_make(char out_text[TOKEN_TEXT_SIZE], uint8_t out_hash[TOKEN_HASH_BYTES]);
/* The same for crust, whose clients take no token of 100 characters or fewer. What is said of the account is used for JSON web
 * tokens only (jwt_make). */
void tokens_make_long(const struct tokens *tokens, struct arena *mem, uint64_t account_id, int64_t expires_at_ms,
	const char *member_of, char out_text[TOKEN_TEXT_SIZE], uint8_t out_hash[TOKEN_HASH_BYTES]);

/*
 * tokens_resolve - the account and session behind a token; strings of the answer are copied into mem.
 *
 * fresh    asks the database in any case
 * out_why  "disabled" when that is the reason (of a bot also: its owner's account is), else NULL
 *
 * STATUS_UNAUTHENTICATED: unknown, expired, revoked, or of a closed account. STATUS_BUSY: the database does
 * not answer.
 */
enum status tokens_resolve(struct tokens *tokens, struct arena *mem, const char *token, bool fresh,
	int64_t deadline_mono_ms, struct token_answer *out, const char **out_why);

struct token_result {
	enum status status;
	const char *why;
	struct token_answer answer; /* with STATUS_OK */
};

/* The same for many at once, in one statement and always asked afresh; out has `count` places. Anything but STATUS_OK: nothing
 * is known of any of them. */
enum status tokens_resolve_many(struct tokens *tokens, struct arena *mem, const char *const *texts, size_t count,
	int64_t deadline_mono_ms, struct token_result *out);

/* Only what is kept of a token that was good a moment ago; asks nobody. False: nothing is. */
bool tokens_kept(struct tokens *tokens, struct arena *mem, const char *token, struct token_answer *out);

void tokens_drop_session(struct tokens *tokens, uint64_t session_id);
void tokens_drop_account(struct tokens *tokens, uint64_t account_id);
