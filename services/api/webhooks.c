#include "services/api/webhooks.h"

#include <string.h>

#include "services/api/accounts.h"
#include "services/api/bots.h"

#define LIMIT_PERIOD_MS 5000

/* The account as we know it, and whether it is the actor's: what that allows is messaging's to say. */
static enum status find_bot(struct exchange *x, uint64_t bot_id, pb_UserView *out, uint64_t *out_owner)
{
	enum status st = bots_get(x->api, x->mem, x->actor.id, bot_id, x->deadline_mono_ms, out);

	*out_owner = st == STATUS_OK ? x->actor.id : 0;
	if (st == STATUS_NOT_FOUND)
		st = accounts_get(x->api, x->mem, bot_id, x->deadline_mono_ms, out);
	if (st == STATUS_NOT_FOUND)
		return exchange_fail(x, STATUS_FIELD_INVALID, NULL, "bot_id", "there is no such account");
	return st == STATUS_OK ? st : exchange_fail(x, st, NULL, NULL, NULL);
}

enum status webhook_create(struct exchange *x, pb_CreateWebhookRequest *request, uint64_t bot_id, pb_WebhookReply *out)
{
	request->has_bot = bot_id != 0;
	enum status st = bot_id == 0 ? STATUS_OK : find_bot(x, bot_id, &request->bot, &request->bot_owner_id);

	return st == STATUS_OK ? CALL(x, messaging, create_webhook, request->channel_id, request, out) : st;
}

enum status webhook_update(struct exchange *x, pb_UpdateWebhookRequest *request, uint64_t bot_id, pb_WebhookReply *out)
{
	request->has_bot = bot_id != 0;
	enum status st = bot_id == 0 ? STATUS_OK : find_bot(x, bot_id, &request->bot, &request->bot_owner_id);

	return st == STATUS_OK ? CALL(x, messaging, update_webhook, request->webhook_id, request, out) : st;
}

/* Nobody is signed in here, whatever the request carries beside: the token is all that counts. */
static void forget_actor(struct exchange *x)
{
	x->actor = (struct actor){0};
}

static enum status by_token(struct exchange *x, enum status st)
{
	if (st == STATUS_NOT_FOUND)
		exchange_tried_wrong(x);
	return st;
}

enum status webhook_run(struct exchange *x, pb_RunWebhookRequest *request, pb_MessageReply *out)
{
	forget_actor(x);
	enum status st = exchange_may_try(x);
	/* With the token in its key: who does not know it cannot use up what belongs to who does. */
	if (st == STATUS_OK)
		st = exchange_limit(x, LIMIT_WEBHOOKS, request->webhook_id, limits_key(x->api->limits, request->token),
			x->api->config->limit_webhook_posts_per_5s, LIMIT_PERIOD_MS);
	if (st != STATUS_OK)
		return st;
	if (request->nonce != NULL) { /* names the message itself, which a key of the request does not */
		request_id_from_nonce(x->request_id, request->webhook_id, request->nonce);
		request_hash_post(x->body_hash, request->content, 0, NULL, 0);
		x->has_body_hash = true;
		x->key_field = "nonce";
	}
	return by_token(x, CALL(x, messaging, run_webhook, request->webhook_id, request, out));
}

enum status webhook_delete_by_token(struct exchange *x, uint64_t webhook_id, const char *token)
{
	pb_WebhookRequest request = {.webhook_id = webhook_id, .token = (char *)(token != NULL ? token : "")};
	pb_Empty nothing;

	forget_actor(x);
	enum status st = exchange_may_try(x);
	return st == STATUS_OK ? by_token(x, CALL(x, messaging, delete_webhook, webhook_id, &request, &nothing)) : st;
}

enum status command_run(struct exchange *x, uint64_t channel_id, const char *word, const char *input, const char *nonce,
	pb_RunCommandReply *out)
{
	pb_RunCommandRequest request = {
		.channel_id = channel_id, .word = (char *)word, .input = (char *)input, .nonce = (char *)nonce};

	if (nonce != NULL) {
		request_id_from_nonce(x->request_id, channel_id, nonce);
		request_hash_post(x->body_hash, arena_printf(x->mem, "/%s %s", word, input), 0, NULL, 0);
		x->has_body_hash = true;
		x->key_field = "nonce";
	}
	return CALL(x, messaging, run_command, channel_id, &request, out);
}
