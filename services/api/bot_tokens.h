/*
 * bot_tokens - tokens of bots: sessions of kind bot, each with a label and a set of scopes (scopes.h). They
 * belong to the bot; its owner gives, narrows and revokes them. Taking one back, or changing what it may do,
 * raises the epoch of the bot's stream, so that nothing is written on the strength of what it was, and closes
 * the sockets it has open. Worker threads; strings live in mem. STATUS_NOT_FOUND: the bot is not the actor's,
 * or the token not the bot's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/rpc/rpc.h"
#include "services/api/api.h"
#include "services/api/tokens.h"

#define BOT_TOKENS_MOST 25 /* living ones of a bot */
#define BOT_LABEL_MOST  64

struct bot_token {
	uint64_t id;
	const char *label;
	uint64_t scopes;
	int64_t created_at_ms, last_used_at_ms, expires_at_ms; /* expires_at_ms 0: no end */
};

struct bot_token_new {
	const char *label;
	uint64_t scopes;       /* at least one of SCOPES_BOT */
	int64_t expires_at_ms; /* wall, in the future, or 0: no end */
};
/* out_text: the token, shown this once; "" for a repeat of the request, since it is kept nowhere.
 * STATUS_OK, STATUS_FIELD_INVALID, STATUS_NOT_FOUND, STATUS_AT_LIMIT, STATUS_STALE with why "session",
 * STATUS_BUSY, STATUS_LATE. */
enum status bot_tokens_create(struct api *api, struct arena *mem, const struct rpc_context *by,
	uint64_t bot_id, const struct bot_token_new *fields, char out_text[TOKEN_TEXT_SIZE],
	struct bot_token *out_token, struct rpc_outcome *out);

/* Living ones, newest first (oldest first with after). before, after: ids, or 0. STATUS_NOT_FOUND: the bot.
 */
enum status bot_tokens_list(struct api *api, struct arena *mem, uint64_t owner_id, uint64_t bot_id,
	uint64_t before, uint64_t after, uint32_t limit, int64_t deadline_mono_ms,
	struct bot_token **out_tokens, size_t *out_count, bool *out_more);

/* label NULL and scopes 0 stay as they are. */
enum status bot_tokens_update(struct api *api, struct arena *mem, const struct rpc_context *by,
	uint64_t bot_id, uint64_t token_id, const char *label, uint64_t scopes, struct bot_token *out_token,
	struct rpc_outcome *out);
enum status bot_tokens_revoke(struct api *api, struct arena *mem, const struct rpc_context *by,
	uint64_t bot_id, uint64_t token_id, struct rpc_outcome *out);
