/* Webhooks: what posts into a channel from outside, managed by members, and used by whoever has a token. */
#include "services/api/webhooks.h"

#include <string.h>

#include "common/dialects/crust/markup.h"
#include "services/api/dialects/crust/crust.h"

#define PAGE 100

/* ---- decoding */

/* What a client says of a webhook; NULL where it says nothing. */
struct said {
	uint64_t channel_id, user_id;
	uint32_t kind; /* 0: not said */
	const char *name, *avatar, *trigger, *url;
};

/* "" for a field of this API is that there is none. */
static const char *text_or_null(struct exchange *x, struct crust_params *p, const char *name)
{
	const char *text = crust_trimmed(x->mem, crust_param(p, name));

	return text[0] == '\0' ? NULL : text;
}

static enum status read_said(struct exchange *x, struct said *out)
{
	struct crust_params p;

	crust_params(x, &p, CRUST_BODY);
	*out = (struct said){
		.channel_id = crust_param_id(&p, "channelID"),
		.user_id = crust_param_id(&p, "userID"),
		.name = text_or_null(x, &p, "username"),
		.avatar = text_or_null(x, &p, "avatarURL"),
		.trigger = text_or_null(x, &p, "trigger"),
		.url = text_or_null(x, &p, "url"),
	};
	const char *kind = text_or_null(x, &p, "kind");
	enum status st = crust_params_done(x, &p);
	if (st == STATUS_OK && kind != NULL && !webhook_kind_from_word(kind, &out->kind))
		st = exchange_fail(x, STATUS_FIELD_INVALID, NULL, NULL,
			arena_printf(x->mem, "Unsupported webhook type: %s", kind));
	return st;
}

/* ---- rendering */

static enum status answer(struct exchange *x, const pb_WebhookReply *reply)
{
	struct json_writer w;

	crust_response(x, &w);
	crust_webhook(&w, &reply->webhook, reply->token, reply->secret);
	return crust_finish(x, &w);
}

/* ---- by members */

enum status crust_webhooks_list(struct exchange *x)
{
	pb_ListWebhooksRequest rq = {.limit = PAGE};
	pb_ListWebhooksReply reply = {.more = true};
	struct crust_params p;
	struct json_writer w;

	crust_params(x, &p, CRUST_QUERY);
	rq.channel_id = crust_param_id(&p, "channelID");
	rq.team_id = rq.channel_id == 0 ? x->team_id : 0;
	rq.owner_id = crust_param_id(&p, "userID");
	crust_response(x, &w);
	jw_array(&w);
	while (reply.more) {
		enum status st = ASK(x, messaging, list_webhooks, rq.channel_id, &rq, &reply);
		if (st != STATUS_OK)
			return st;
		for (size_t i = 0; i < reply.webhooks_count; i++)
			crust_webhook(&w, &reply.webhooks[i], NULL, NULL);
		if (reply.webhooks_count == 0)
			break;
		rq.after = reply.webhooks[reply.webhooks_count - 1].id;
	}
	jw_array_end(&w);
	return crust_finish(x, &w);
}

enum status crust_webhooks_create(struct exchange *x)
{
	struct said said;
	pb_WebhookReply reply;
	enum status st = read_said(x, &said);

	if (st != STATUS_OK)
		return st;
	if (said.channel_id == 0)
		return exchange_fail(x, STATUS_NOT_FOUND, "id", NULL, NULL);
	st = webhook_create(x,
		&(pb_CreateWebhookRequest){.channel_id = said.channel_id,
			.kind = said.kind != 0 ? said.kind : WEBHOOK_INCOMING,
			.name = (char *)(said.name != NULL ? said.name : "webhook"),
			.avatar = (char *)said.avatar,
			.trigger = (char *)said.trigger,
			.url = (char *)said.url},
		said.user_id, &reply);
	return st == STATUS_OK ? answer(x, &reply) : st;
}

static enum status path_webhook(struct exchange *x, pb_WebhookRequest *out)
{
	return crust_path_id(x, "webhook", &out->webhook_id);
}

/* What kind it is cannot be changed, and what is not said stays. */
enum status crust_webhooks_update(struct exchange *x)
{
	pb_WebhookRequest of = {0};
	struct said said;
	pb_WebhookReply reply;
	enum status st = path_webhook(x, &of);

	if (st == STATUS_OK)
		st = read_said(x, &said);
	if (st == STATUS_OK)
		st = webhook_update(x,
			&(pb_UpdateWebhookRequest){.webhook_id = of.webhook_id,
				.channel_id = said.channel_id,
				.name = (char *)said.name,
				.avatar = (char *)said.avatar,
				.trigger = (char *)said.trigger,
				.url = (char *)said.url},
			said.user_id, &reply);
	return st == STATUS_OK ? answer(x, &reply) : st;
}

enum status crust_webhooks_get(struct exchange *x)
{
	pb_WebhookRequest request = {0};
	pb_WebhookReply reply;
	enum status st = path_webhook(x, &request);

	if (st == STATUS_OK)
		st = ASK(x, messaging, get_webhook, request.webhook_id, &request, &reply);
	return st == STATUS_OK ? answer(x, &reply) : st;
}

enum status crust_webhooks_delete(struct exchange *x)
{
	pb_WebhookRequest request = {0};
	pb_Empty nothing;
	enum status st = path_webhook(x, &request);

	if (st == STATUS_OK)
		st = CALL(x, messaging, delete_webhook, request.webhook_id, &request, &nothing);
	return st == STATUS_OK ? crust_ok(x) : st;
}

/* ---- by the token */

enum status crust_webhooks_run(struct exchange *x)
{
	pb_RunWebhookRequest request = {.token = (char *)route_param(&x->match, "token")};
	struct crust_params p;
	struct json_writer w;
	pb_MessageReply reply;
	enum status st = crust_path_id(x, "webhook", &request.webhook_id);

	if (st != STATUS_OK)
		return st;
	crust_params(x, &p, CRUST_BODY);
	request.content = (char *)crust_markup_read(x->mem, crust_trimmed(x->mem, crust_param(&p, "content")));
	request.shown_name = (char *)text_or_null(x, &p, "username");
	request.shown_avatar = (char *)text_or_null(x, &p, "avatarURL");
	st = crust_params_done(x, &p);
	if (st != STATUS_OK)
		return st;
	if (request.content[0] == '\0')
		return exchange_fail(x, STATUS_FIELD_INVALID, NULL, NULL, "refusing to create message without contents");
	st = webhook_run(x, &request, &reply);
	if (st != STATUS_OK)
		return st;
	crust_response(x, &w);
	crust_message(&w, &reply.message, &(struct crust_message_own){0});
	return crust_finish(x, &w);
}

enum status crust_webhooks_delete_by_token(struct exchange *x)
{
	uint64_t id = 0;
	enum status st = crust_path_id(x, "webhook", &id);

	if (st == STATUS_OK)
		st = webhook_delete_by_token(x, id, route_param(&x->match, "token"));
	return st == STATUS_OK ? crust_ok(x) : st;
}
