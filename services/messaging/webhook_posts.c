#include "services/messaging/webhook_posts.h"

#include <sodium.h>
#include <string.h>

#include "services/messaging/views.h"
#include "services/messaging/webhooks.h"

/* What the installation's own account may do with what it was given: to be read, and to mention who would be told by anybody. */
static struct bits own_bits(void)
{
	static const enum permission held[] = {PERMISSION_view_text, PERMISSION_read_history, PERMISSION_send_messages,
		PERMISSION_send_in_threads, PERMISSION_embed_links, PERMISSION_attach_files};
	struct bits bits = {0};

	for (size_t i = 0; i < sizeof held / sizeof *held; i++)
		bits = bits_with(bits, held[i]);
	return bits;
}

/* The call as the bot's, or as the system's. Its request ids are the webhook's: a key that somebody else chose for the same account means
 * another thing. */
static struct rpc_call *call_as(const struct webhook_post *post)
{
	const struct webhook *w = post->webhook;
	struct rpc_call *as = arena_memdup(post->call->mem, post->call, sizeof *as);
	pb_RpcHeader *header = arena_memdup(post->call->mem, post->call->header, sizeof *header);

	header->session_id = 0;
	header->actor_id = w->view.bot_id;
	header->actor_epoch = w->view.bot_id != 0 ? w->author_epoch : 0;
	header->actor_generation = w->view.bot_id != 0 ? w->generation : 0;
	header->has_actor = w->view.bot_id != 0;
	header->actor = w->author;
	memset(header->client_label, 0, sizeof header->client_label);
	if (header->request_id.size != 0) {
		crypto_generichash_state h;
		crypto_generichash_init(&h, NULL, 0, sizeof header->request_id.bytes);
		crypto_generichash_update(&h, (const unsigned char *)"webhook", 7);
		crypto_generichash_update(&h, (const unsigned char *)&w->view.id, sizeof w->view.id);
		crypto_generichash_update(&h, header->request_id.bytes, header->request_id.size);
		crypto_generichash_final(&h, header->request_id.bytes, sizeof header->request_id.bytes);
		header->request_id.size = sizeof header->request_id.bytes;
	}
	as->header = header;
	return as;
}

static const char *wrong_field(const struct webhook_post *post)
{
	if (!text_fits(post->content, 1, MESSAGE_CONTENT_MAX))
		return "content";
	if (post->nonce != NULL && !text_fits(post->nonce, 0, MESSAGE_NONCE_MAX))
		return "nonce";
	if (post->shown_name != NULL && !text_fits(post->shown_name, 1, WEBHOOK_NAME_MAX))
		return "shown_name";
	if (post->shown_avatar != NULL && !webhook_avatar_fits(post->shown_avatar))
		return "shown_avatar";
	return NULL;
}

static struct voucher owner_of(const struct webhook *webhook)
{
	return (struct voucher){webhook->view.owner_id, webhook->owner_epoch, webhook->generation};
}

enum status webhook_vouched(struct service *s, struct rpc_call *call, const struct webhook *webhook, const char **out_why)
{
	const struct voucher owner = owner_of(webhook);
	struct rights his;

	return voucher_allowed(s, call, &owner, webhook->view.channel_id, RIGHTS_FRESH, &his, out_why);
}

void webhook_post(struct service *s, const struct webhook_post *post)
{
	const struct webhook *w = post->webhook;
	struct arena *mem = post->call->mem;
	struct bits *own = ARENA_NEW(mem, struct bits);
	struct voucher *owner = ARENA_NEW(mem, struct voucher);
	pb_PostMessageRequest *rq = ARENA_NEW(mem, pb_PostMessageRequest);
	struct posting posting = {.call = call_as(post),
		.rq = rq,
		.reply = post->reply,
		.author = &w->author,
		.voucher = owner,
		.webhook_id = w->view.id,
		.shown_name = post->shown_name != NULL ? post->shown_name : w->view.name,
		.shown_avatar = post->shown_avatar != NULL ? post->shown_avatar : w->view.avatar,
		.ended = post->ended,
		.arg = post->arg};
	const char *field = wrong_field(post);

	*own = own_bits();
	*owner = owner_of(w);
	if (w->view.bot_id == 0)
		posting.only = own;
	*rq = (pb_PostMessageRequest){.channel_id = w->view.channel_id,
		.content = (char *)post->content,
		.nonce = (char *)post->nonce};
	if (field == NULL)
		post_start(s, &posting);
	else if (post->ended != NULL)
		post->ended(post->arg, &(struct post_end){.status = STATUS_FIELD_INVALID, .field = field});
	else
		rpc_fail(post->call, STATUS_FIELD_INVALID, NULL, field, NULL);
}

void run_webhook(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;
	const pb_RunWebhookRequest *rq = request;
	struct webhook *w = ARENA_NEW(call->mem, struct webhook);

	enum status st = webhook_find(s, call->mem, rq->webhook_id, call->deadline_mono_ms, w);
	/* Compared also where there is nothing to compare with, so that time tells nothing. */
	bool fits = webhook_token_fits(w, rq->token != NULL ? rq->token : "");
	if (st == STATUS_OK && (!fits || w->idle || w->view.kind != WEBHOOK_INCOMING))
		st = STATUS_NOT_FOUND;
	if (st != STATUS_OK) {
		rpc_fail(call, st, st == STATUS_NOT_FOUND ? "token" : NULL, NULL, NULL);
		return;
	}
	webhook_post(s, &(struct webhook_post){.call = call,
				.webhook = w,
				.content = rq->content,
				.nonce = rq->nonce,
				.shown_name = rq->shown_name,
				.shown_avatar = rq->shown_avatar,
				.reply = reply});
}
