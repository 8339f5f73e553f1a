#include <string.h>

#include "common/base/text.h"
#include "common/dialects/house/markup.h"
#include "common/events/kinds.h"
#include "services/api/dialects/house/house.h"
#include "services/api/webhooks.h"

#define NAME_MOST    32
#define TRIGGER_MOST 32
#define URL_MOST     255
#define AVATAR_MOST  2048
#define CONTENT_MOST 4000
#define NONCE_MOST   64

static const char *const kinds[] = {"incoming", "outgoing", NULL};

static void write_webhook(struct json_writer *w, const void *items, size_t i)
{
	house_webhook(w, &((const pb_WebhookView *)items)[i]);
}

static uint64_t webhook_id(const void *items, size_t i)
{
	return ((const pb_WebhookView *)items)[i].id;
}

enum status house_webhooks_create(struct exchange *x)
{
	pb_CreateWebhookRequest request = {0};
	const char *name = NULL, *avatar = NULL, *trigger = NULL, *url = NULL;
	uint64_t bot = 0;
	int kind = 0;
	struct json_reader r;
	pb_WebhookReply reply;
	enum status st = house_path_id(x, "channel", &request.channel_id);

	if (st != STATUS_OK)
		return st;
	house_body(x, &r);
	json_str(&r, "name", JSON_REQUIRED, 1, NAME_MOST, &name);
	json_choice(&r, "kind", JSON_OPTIONAL, kinds, &kind);
	json_str(&r, "avatar_url", JSON_OPTIONAL, 1, AVATAR_MOST, &avatar);
	json_uuid(&r, "bot_id", JSON_OPTIONAL, &bot);
	json_str(&r, "trigger", JSON_OPTIONAL, 1, TRIGGER_MOST, &trigger);
	json_str(&r, "url", JSON_OPTIONAL, 1, URL_MOST, &url);
	st = house_body_end(x, &r);
	if (st != STATUS_OK)
		return st;
	webhook_kind_from_word(kinds[kind], &request.kind);
	request.name = (char *)name;
	request.avatar = (char *)avatar;
	request.trigger = (char *)trigger;
	request.url = (char *)url;
	st = webhook_create(x, &request, bot, &reply);
	if (st != STATUS_OK)
		return st;
	house_location(x, "/webhooks/%s", house_uuid(x, reply.webhook.id));
	return HOUSE_OBJECT(x, 201, house_webhook_made, &reply);
}

enum status house_webhooks_list(struct exchange *x)
{
	pb_ListWebhooksRequest request = {0};
	struct house_page page;
	pb_ListWebhooksReply reply;
	enum status st = house_path_id(x, "channel", &request.channel_id);

	if (st == STATUS_OK)
		st = house_page(x, &page);
	if (st != STATUS_OK)
		return st;
	request.before = page.before;
	request.after = page.after;
	request.limit = page.limit;
	st = ASK(x, messaging, list_webhooks, request.channel_id, &request, &reply);
	if (st != STATUS_OK)
		return st;
	return house_finish_list(x, &page,
		&(struct house_list){reply.webhooks_count, reply.more, false, reply.webhooks, write_webhook, webhook_id});
}

enum status house_webhooks_get(struct exchange *x)
{
	pb_WebhookRequest request = {0};
	pb_WebhookReply reply;
	enum status st = house_path_id(x, "webhook", &request.webhook_id);

	if (st == STATUS_OK)
		st = ASK(x, messaging, get_webhook, request.webhook_id, &request, &reply);
	return st == STATUS_OK ? HOUSE_OBJECT(x, 200, house_webhook, &reply.webhook) : st;
}

/* A field that null clears. */
static char *cleared_by_null(struct json_reader *r, const char *field, size_t most, const char *clears, pb_UpdateWebhookRequest *request)
{
	const char *value = NULL;

	if (house_nullable(r, field, 1, most, &value) && value == NULL)
		request->cleared[request->cleared_count++] = (char *)clears;
	return (char *)value;
}

enum status house_webhooks_patch(struct exchange *x)
{
	pb_UpdateWebhookRequest request = {.cleared = ARENA_ARRAY(x->mem, 3, char *)};
	const char *name = NULL, *url = NULL;
	uint64_t bot = 0;
	struct json_reader r;
	pb_WebhookReply reply;
	enum status st = house_path_id(x, "webhook", &request.webhook_id);

	if (st != STATUS_OK)
		return st;
	house_body(x, &r);
	json_uuid(&r, "channel_id", JSON_OPTIONAL, &request.channel_id);
	json_str(&r, "name", JSON_OPTIONAL, 1, NAME_MOST, &name);
	request.avatar = cleared_by_null(&r, "avatar_url", AVATAR_MOST, "avatar", &request);
	if (json_has(&r, "bot_id") && json_is_null(&r, "bot_id"))
		request.cleared[request.cleared_count++] = (char *)"bot";
	else
		json_uuid(&r, "bot_id", JSON_OPTIONAL, &bot);
	request.trigger = cleared_by_null(&r, "trigger", TRIGGER_MOST, "trigger", &request);
	json_str(&r, "url", JSON_OPTIONAL, 1, URL_MOST, &url);
	json_bool(&r, "renew_token", JSON_OPTIONAL, &request.renew);
	st = house_body_end(x, &r);
	if (st != STATUS_OK)
		return st;
	request.name = (char *)name;
	request.url = (char *)url;
	st = webhook_update(x, &request, bot, &reply);
	if (st != STATUS_OK)
		return st;
	return request.renew ? HOUSE_OBJECT(x, 200, house_webhook_made, &reply) : HOUSE_OBJECT(x, 200, house_webhook, &reply.webhook);
}

enum status house_webhooks_delete(struct exchange *x)
{
	pb_WebhookRequest request = {0};
	pb_Empty nothing;
	enum status st = house_path_id(x, "webhook", &request.webhook_id);

	if (st == STATUS_OK)
		st = CALL(x, messaging, delete_webhook, request.webhook_id, &request, &nothing);
	return st == STATUS_OK ? house_no_content(x) : st;
}

/* ---- by the token */

static void write_message(struct json_writer *w, const pb_MessageView *message)
{
	house_message(w, message, 0);
}

enum status house_webhooks_run(struct exchange *x)
{
	pb_RunWebhookRequest request = {.token = (char *)route_param(&x->match, "secret")};
	const char *content = NULL, *name = NULL, *avatar = NULL, *nonce = NULL;
	struct json_reader r;
	pb_MessageReply reply;
	enum status st = house_path_id(x, "webhook", &request.webhook_id);

	if (st != STATUS_OK)
		return st;
	house_body(x, &r);
	json_str(&r, "content", JSON_REQUIRED, 1, CONTENT_MOST * HOUSE_MARKUP_GROWTH, &content);
	json_str(&r, "name", JSON_OPTIONAL, 1, NAME_MOST, &name);
	json_str(&r, "avatar_url", JSON_OPTIONAL, 1, AVATAR_MOST, &avatar);
	json_str(&r, "nonce", JSON_OPTIONAL, 1, NONCE_MOST, &nonce);
	st = house_body_end(x, &r);
	if (st != STATUS_OK)
		return st;
	request.content = (char *)house_markup_read(x->mem, content);
	request.shown_name = (char *)name;
	request.shown_avatar = (char *)avatar;
	request.nonce = (char *)nonce;
	st = webhook_run(x, &request, &reply);
	if (st != STATUS_OK)
		return st;
	house_location(x, "/channels/%s/messages/%s", house_uuid(x, reply.message.channel_id), house_uuid(x, reply.message.id));
	return HOUSE_OBJECT(x, 201, write_message, &reply.message);
}

enum status house_webhooks_delete_by_token(struct exchange *x)
{
	uint64_t id = 0;
	enum status st = house_path_id(x, "webhook", &id);

	if (st == STATUS_OK)
		st = webhook_delete_by_token(x, id, route_param(&x->match, "secret"));
	return st == STATUS_OK ? house_no_content(x) : st;
}

/* ---- commands */

static void write_command(struct json_writer *w, const void *items, size_t i)
{
	house_command(w, &((const pb_CommandView *)items)[i]);
}

enum status house_commands_list(struct exchange *x)
{
	pb_ListCommandsRequest request = {0};
	struct house_page all = {0};
	pb_ListCommandsReply reply;
	enum status st = house_path_id(x, "channel", &request.channel_id);

	if (st == STATUS_OK)
		st = ASK(x, messaging, list_commands, request.channel_id, &request, &reply);
	if (st != STATUS_OK)
		return st;
	return house_finish_list(
		x, &all, &(struct house_list){.count = reply.commands_count, .items = reply.commands, .write = write_command});
}

enum status house_commands_run(struct exchange *x)
{
	const char *input = "", *nonce = NULL, *word = route_param(&x->match, "command");
	uint64_t channel = 0;
	struct json_reader r;
	pb_RunCommandReply reply;
	enum status st = house_path_id(x, "channel", &channel);

	if (st != STATUS_OK)
		return st;
	house_body(x, &r);
	json_str(&r, "input", JSON_OPTIONAL, 0, CONTENT_MOST * HOUSE_MARKUP_GROWTH, &input);
	json_str(&r, "nonce", JSON_OPTIONAL, 1, NONCE_MOST, &nonce);
	st = house_body_end(x, &r);
	if (st == STATUS_OK)
		st = command_run(x, channel, word, house_markup_read(x->mem, input), nonce, &reply);
	if (st != STATUS_OK)
		return st;
	return HOUSE_OBJECT(x, 200, house_command_result, &reply);
}
