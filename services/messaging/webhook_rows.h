/*
 * webhook_rows - rows of messaging.webhooks as everybody here reads them, who may manage one, and its token: 256 random bits, of which the
 * database keeps a hash, and which is told once.
 */
#pragma once

#include "services/messaging/guard.h"

/* clang-format off */
#define WEBHOOK_COLUMNS                                                                                              \
	"w.id, w.team_id, w.channel_id, w.kind, w.name, w.avatar, w.bot_id, w.owner_id, w.trigger, w.url,"           \
	" w.created_at_ms, w.updated_at_ms, w.deleted_at_ms"
#define WEBHOOK_COLUMN_COUNT 13
/* clang-format on */
/* first: the column of w.id. Strings are copied into mem. */
void webhook_from_row(struct arena *mem, const struct db_rows *rows, int row, int first, pb_WebhookView *out);

#define WEBHOOK_HASH_BYTES 32
#define WEBHOOK_TOKEN_SIZE 44 /* 43 characters of base64url, and NUL */

/* A new token, or secret. */
void webhook_token(char out[WEBHOOK_TOKEN_SIZE]);
void webhook_token_hash(const char *token, uint8_t out[WEBHOOK_HASH_BYTES]);

/* One webhook with what only this owner needs, from the primary. */
struct webhook {
	pb_WebhookView view;
	uint8_t token_hash[WEBHOOK_HASH_BYTES];
	const char *secret;
	bool idle; /* deleted, ending or halted, for its bot's or its owner's sake: it runs no more, or not now */
	pb_UserView author; /* its bot, or the installation's own account */
	uint64_t author_epoch, owner_epoch, generation;
};
/* Deleted ones as well. STATUS_NOT_FOUND; BUSY, INTERNAL of the database. Blocks for one statement. */
enum status webhook_find(struct service *s, struct arena *mem, uint64_t id, int64_t deadline_mono_ms, struct webhook *out);
/* The same for the outgoing one of a channel that this word runs; a deleted one is none. */
enum status webhook_find_word(struct service *s, struct arena *mem, uint64_t channel, const char *word,
	int64_t deadline_mono_ms, struct webhook *out);
/* Compared in constant time. */
bool webhook_token_fits(const struct webhook *webhook, const char *token);

/* May somebody with these rights read and change the webhooks of this owner? OK, or how that is refused. */
enum status webhook_managed(const struct rights *r, const struct rpc_call *call, uint64_t owner, const char **out_why);

/* get_webhook, list_webhooks */
rpc_handler get_webhook, list_webhooks;
