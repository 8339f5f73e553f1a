/*
 * webhooks - calls about webhooks and commands that are one thing to a client of any dialect and several to us: the account that a webhook
 * posts as, the limits of who shows nothing but a token, nonces. Each gives a status; x->outcome has the rest.
 */
#pragma once

#include "services/api/exchange.h"

/* request is complete but for its bot. bot_id: whose its messages are, or 0. STATUS_FIELD_INVALID with field bot_id: no such account. */
enum status webhook_create(struct exchange *x, pb_CreateWebhookRequest *request, uint64_t bot_id, pb_WebhookReply *out);
enum status webhook_update(struct exchange *x, pb_UpdateWebhookRequest *request, uint64_t bot_id, pb_WebhookReply *out);

/*
 * By the token alone, whoever calls: wrong ones are counted by address, posts by webhook. token is borrowed. STATUS_NOT_FOUND with why
 * "token": no such webhook, or not its token; STATUS_RATE_LIMITED.
 */
enum status webhook_run(struct exchange *x, pb_RunWebhookRequest *request, pb_MessageReply *out);
enum status webhook_delete_by_token(struct exchange *x, uint64_t webhook_id, const char *token);

/* out->has_message: posted; out->waiting: the webhook has not answered yet; neither: the word does nothing here. nonce: or NULL. */
enum status command_run(struct exchange *x, uint64_t channel_id, const char *word, const char *input, const char *nonce,
	pb_RunCommandReply *out);
