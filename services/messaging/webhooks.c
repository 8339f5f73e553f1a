#include "services/messaging/webhooks.h"

#include <string.h>

#include "common/net/fetch.h"
#include "services/messaging/commands.h"
#include "services/messaging/people.h"
#include "services/messaging/views.h"
#include "services/messaging/webhook_changes.h"

/* ---- what is written */

bool webhook_avatar_fits(const char *url)
{
	size_t length = url == NULL ? 0 : strlen(url);

	return length <= WEBHOOK_AVATAR_MAX && fetch_url_fits(url, FETCH_HTTPS_ONLY) && text_fits(url, 1, WEBHOOK_AVATAR_MAX);
}

/* One word, as it stands between the slash and the blank, and none that is always something else. */
static bool trigger_fits(const char *trigger)
{
	if (!text_fits(trigger, 1, WEBHOOK_TRIGGER_MAX) || command_is_built_in(trigger))
		return false;
	for (const char *c = trigger; *c != '\0'; c++)
		if ((unsigned char)*c <= ' ' || *c == '/' || *c == 0x7f)
			return false;
	return true;
}

static bool url_fits(const char *url)
{
	return text_fits(url, 1, WEBHOOK_URL_MAX) && fetch_url_fits(url, FETCH_ANY);
}

static const char *wrong_field(const char *name, const char *avatar, const char *trigger, const char *url)
{
	if (name != NULL && !text_fits(name, 1, WEBHOOK_NAME_MAX))
		return "name";
	if (avatar != NULL && !webhook_avatar_fits(avatar))
		return "avatar_url";
	if (trigger != NULL && !trigger_fits(trigger))
		return "trigger";
	if (url != NULL && !url_fits(url))
		return "url";
	return NULL;
}

/* One's own bot, a bot itself, or any by who manages bots: a webhook speaks with its voice. */
static enum status bot_allowed(struct change *c, bool has, const pb_UserView *bot, uint64_t owner)
{
	uint64_t actor = c->call->header->actor_id;

	if (!has)
		return STATUS_OK;
	if (!bot->bot || bot->system || bot->erased || bot->disabled || bot->id == 0) {
		c->no.field = "bot_id";
		return STATUS_FIELD_INVALID;
	}
	if (bot->id == actor || (owner != 0 && owner == actor) || bits_has(c->rights.bits, PERMISSION_manage_bots))
		return STATUS_OK;
	c->no.why = permission_name(PERMISSION_manage_bots);
	return STATUS_FORBIDDEN;
}

/* To make one, or to bring one here. */
static enum status here_allowed(const struct rights *r, const char **out_why)
{
	enum status st = rights_need_post(r, false, out_why);

	if (st != STATUS_OK || bits_has(r->bits, PERMISSION_manage_channel_webhooks))
		return st;
	return rights_need(r, PERMISSION_create_webhooks, out_why);
}

/* $1 channel, $2 team, $3 trigger, $4 the webhook itself. Under the lock of the team's stream. */
static const struct db_stmt room_stmt = {
	"messaging_webhook_room",
	"SELECT (SELECT count(*) FROM messaging.webhooks w WHERE w.channel_id = $1 AND w.deleted_at_ms IS NULL AND w.id <> $4),"
	" EXISTS (SELECT FROM messaging.webhooks w WHERE w.team_id = $2 AND w.trigger = $3 AND w.deleted_at_ms IS NULL AND w.id <> $4)",
};

static enum status room(struct log_tx *tx, const pb_WebhookView *view)
{
	struct db_params params;
	struct db_rows rows = {0};

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, view->channel_id);
	db_put_id(&params, view->team_id);
	db_put_text(&params, view->trigger);
	db_put_id(&params, view->id);
	enum status st = log_tx_query(tx, &room_stmt, &params, &rows);
	if (st != STATUS_OK)
		return st;
	if (db_i64(&rows, 0, 0) >= WEBHOOKS_PER_CHANNEL)
		return guard_refuse(tx, STATUS_AT_LIMIT, "webhooks", NULL);
	if (db_bool(&rows, 0, 1))
		return guard_refuse(tx, STATUS_CONFLICT, "trigger", "trigger");
	return STATUS_OK;
}

enum status webhook_tell(struct log_tx *tx, const struct change *c, const struct rights *place, enum event_kind kind,
	const pb_WebhookView *view, char **changed, size_t changed_count)
{
	pb_Event event;

	guard_event(c, kind, &event);
	pb_WebhookEvent *e = &event.body.webhook_created; /* of any of the three */
	*e = (pb_WebhookEvent){.has_channel = true,
		.has_webhook = true,
		.webhook = *view,
		.changed_count = (pb_size_t)changed_count,
		.changed = changed};
	e->webhook.url = NULL; /* for who manages it */
	rights_channel_ref(place, &e->channel);
	return log_tx_append(tx, place->stream, place->audience, &event, NULL);
}

/* ---- create */

struct creation {
	struct change change;
	const pb_CreateWebhookRequest *rq;
	pb_WebhookReply *reply;
	uint64_t id;
	char token[WEBHOOK_TOKEN_SIZE], secret[WEBHOOK_TOKEN_SIZE];
};

static enum status creation_allowed(struct change *c)
{
	const struct creation *cr = (const struct creation *)c;

	enum status st = here_allowed(&c->rights, &c->no.why);
	if (st == STATUS_OK && c->rights.team_id == 0) {
		c->no.why = permission_name(PERMISSION_create_webhooks); /* conversations have none */
		st = STATUS_FORBIDDEN;
	}
	return st == STATUS_OK ? bot_allowed(c, cr->rq->has_bot, &cr->rq->bot, cr->rq->bot_owner_id) : st;
}

static const struct db_stmt insert_stmt = {
	"messaging_webhook_insert",
	"INSERT INTO messaging.webhooks AS w (id, team_id, channel_id, kind, name, avatar, bot_id, owner_id, trigger, url, token_hash,"
	" secret, created_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING " WEBHOOK_COLUMNS,
};

static enum status creation_work(struct log_tx *tx, void *arg)
{
	struct creation *cr = arg;
	struct change *c = &cr->change;
	const pb_CreateWebhookRequest *rq = cr->rq;
	uint8_t hash[WEBHOOK_HASH_BYTES];
	struct db_params params;
	struct db_rows rows = {0};

	enum status st = room(tx,
		&(pb_WebhookView){.team_id = c->rights.team_id, .channel_id = rq->channel_id, .trigger = rq->trigger});
	if (st != STATUS_OK)
		return st;
	webhook_token_hash(cr->token, hash);
	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, cr->id);
	db_put_id(&params, c->rights.team_id);
	db_put_id(&params, rq->channel_id);
	db_put_i16(&params, (int16_t)rq->kind);
	db_put_text(&params, rq->name);
	db_put_text(&params, rq->avatar);
	db_put_id_or_null(&params, rq->has_bot ? rq->bot.id : 0);
	db_put_id(&params, c->call->header->actor_id);
	db_put_text(&params, rq->trigger);
	db_put_text(&params, rq->url);
	db_put_bytea(&params, hash, sizeof hash);
	db_put_text(&params, rq->kind == WEBHOOK_OUTGOING ? cr->secret : NULL);
	db_put_i64(&params, log_tx_now_ms(tx));
	st = log_tx_query(tx, &insert_stmt, &params, &rows);
	if (st != STATUS_OK)
		return st;
	*cr->reply = (pb_WebhookReply){.has_webhook = true};
	webhook_from_row(c->call->mem, &rows, 0, 0, &cr->reply->webhook);
	st = webhook_tell(tx, c, &c->rights, EVENT_KIND_webhook_created, &cr->reply->webhook, NULL, 0);
	if (st == STATUS_OK)
		guard_store(tx, c, cr->reply); /* without the token: what is told once is not kept */
	log_tx_object(tx, cr->id);
	return st;
}

static const char *creation_wrong_field(const pb_CreateWebhookRequest *rq)
{
	bool out = rq->kind == WEBHOOK_OUTGOING;

	if (rq->channel_id == 0)
		return "channel_id";
	if (!out && rq->kind != WEBHOOK_INCOMING)
		return "kind";
	if (!out && rq->trigger != NULL)
		return "trigger";
	if (out != (rq->url != NULL))
		return "url";
	if (rq->name == NULL)
		return "name";
	return wrong_field(rq->name, rq->avatar, rq->trigger, rq->url);
}

void create_webhook(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;
	const pb_CreateWebhookRequest *rq = request;
	struct creation cr = {.rq = rq, .reply = reply};
	bool replayed = false;

	cr.change = (struct change){.channel_id = rq->channel_id,
		.keeps_rights = true,
		.allowed = creation_allowed,
		.work = creation_work,
		.call = call};
	cr.change.no.field = creation_wrong_field(rq);
	enum status st = cr.change.no.field != NULL ? STATUS_FIELD_INVALID : service_next_id(s, &cr.id);
	if (st == STATUS_OK && call->header->actor_id == 0) {
		cr.change.no.why = "actor"; /* a webhook has an owner */
		st = STATUS_FORBIDDEN;
	}
	if (st == STATUS_OK && rq->has_bot)
		st = people_see(s, call->mem, &rq->bot, call->deadline_mono_ms);
	webhook_token(cr.token);
	webhook_token(cr.secret);
	if (st == STATUS_OK)
		st = guard_change(s, &cr.change, reply, &replayed);
	if (st == STATUS_OK && !replayed) {
		cr.reply->token = arena_strdup(call->mem, cr.token);
		cr.reply->secret = rq->kind == WEBHOOK_OUTGOING ? arena_strdup(call->mem, cr.secret) : NULL;
	}
	guard_answer_change(call, st, &cr.change.no, replayed);
}

/* ---- update */

struct update {
	struct change change;
	struct service *service;
	const pb_UpdateWebhookRequest *rq;
	pb_WebhookReply *reply;
	struct rights to; /* of the channel that it goes to */
	bool moves;
	char token[WEBHOOK_TOKEN_SIZE], secret[WEBHOOK_TOKEN_SIZE];
};

enum status webhook_touch_allowed(struct change *c)
{
	if (c->rights.status == STATUS_OK && bits_has(c->rights.bits, PERMISSION_manage_own_webhooks))
		return STATUS_OK;
	return rights_need(&c->rights, PERMISSION_manage_channel_webhooks, &c->no.why);
}

static enum status update_allowed(struct change *c)
{
	struct update *u = (struct update *)c;

	enum status st = webhook_touch_allowed(c);
	if (st == STATUS_OK)
		st = bot_allowed(c, u->rq->has_bot, &u->rq->bot, u->rq->bot_owner_id);
	if (st != STATUS_OK || !u->moves)
		return st;
	/* By the same epochs as those that the commit compares. */
	st = rights_of_channel(u->service, c->call, u->rq->channel_id, RIGHTS_FRESH, &u->to);
	if (st == STATUS_OK)
		st = here_allowed(&u->to, &c->no.why);
	if (st != STATUS_OK || u->to.team_id != c->rights.team_id) {
		c->no.field = "channel_id";
		return guard_refuses(st) || st == STATUS_OK ? STATUS_FIELD_INVALID : st;
	}
	if (u->to.stream_epoch != c->rights.stream_epoch || u->to.member_epoch != c->rights.member_epoch ||
		u->to.generation != c->rights.generation)
		return STATUS_BUSY;
	return STATUS_OK;
}

static const struct db_stmt load_stmt = {
	"messaging_webhook_load",
	"SELECT " WEBHOOK_COLUMNS " FROM messaging.webhooks w WHERE w.id = $1 AND w.channel_id = $2 AND w.deleted_at_ms IS NULL",
};
static const struct db_stmt update_stmt = {
	"messaging_webhook_update",
	"UPDATE messaging.webhooks SET channel_id = $2, name = $3, avatar = $4, bot_id = $5, trigger = $6, url = $7,"
	" token_hash = coalesce($8, token_hash), secret = coalesce($9, secret), updated_at_ms = $10, updated_by = $11,"
	" halted = halted AND bot_id IS NOT DISTINCT FROM $5 WHERE id = $1",
};

enum status webhook_load(struct log_tx *tx, const struct change *c, uint64_t id, pb_WebhookView *out)
{
	struct db_params params;
	struct db_rows rows = {0};
	const char *why = NULL;

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, id);
	db_put_id(&params, c->channel_id);
	enum status st = log_tx_query(tx, &load_stmt, &params, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count == 0)
		return STATUS_NOT_FOUND;
	webhook_from_row(c->call->mem, &rows, 0, 0, out);
	st = webhook_managed(&c->rights, c->call, out->owner_id, &why);
	return st == STATUS_OK ? st : guard_refuse(tx, st, why, NULL);
}

static bool cleared(const pb_UpdateWebhookRequest *rq, const char *name)
{
	for (pb_size_t i = 0; i < rq->cleared_count; i++)
		if (strcmp(rq->cleared[i], name) == 0)
			return true;
	return false;
}

static void set_text(char **text, char *to, bool clears, const char *name, char **changed, size_t *count)
{
	if (to == NULL && !clears)
		return;
	if (to == NULL ? *text == NULL : *text != NULL && strcmp(*text, to) == 0)
		return;
	*text = to;
	changed[(*count)++] = (char *)name;
}

enum { UPDATE_FIELDS = 6 };

/* The row as the request wants it; returns how many names went to `changed`. */
static size_t update_apply(const pb_UpdateWebhookRequest *rq, pb_WebhookView *view, char *changed[UPDATE_FIELDS])
{
	uint64_t bot = rq->has_bot ? rq->bot.id : cleared(rq, "bot") ? 0 : view->bot_id;
	size_t count = 0;

	if (rq->channel_id != 0 && rq->channel_id != view->channel_id) {
		view->channel_id = rq->channel_id;
		changed[count++] = (char *)"channel_id";
	}
	set_text(&view->name, rq->name, false, "name", changed, &count);
	set_text(&view->avatar, rq->avatar, cleared(rq, "avatar"), "avatar_url", changed, &count);
	if (bot != view->bot_id) {
		view->bot_id = bot;
		changed[count++] = (char *)"bot_id";
	}
	set_text(&view->trigger, rq->trigger, cleared(rq, "trigger"), "trigger", changed, &count);
	set_text(&view->url, rq->url, false, "url", changed, &count);
	return count;
}

static enum status update_write(struct log_tx *tx, const struct update *u, const pb_WebhookView *view)
{
	bool renew = u->rq->renew;
	uint8_t hash[WEBHOOK_HASH_BYTES];
	struct db_params params;

	webhook_token_hash(u->token, hash);
	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, view->id);
	db_put_id(&params, view->channel_id);
	db_put_text(&params, view->name);
	db_put_text(&params, view->avatar);
	db_put_id_or_null(&params, view->bot_id);
	db_put_text(&params, view->trigger);
	db_put_text(&params, view->url);
	db_put_bytea(&params, renew ? hash : NULL, renew ? sizeof hash : 0);
	db_put_text(&params, renew && view->kind == WEBHOOK_OUTGOING ? u->secret : NULL);
	db_put_id(&params, view->updated_at_ms);
	db_put_id_or_null(&params, u->change.call->header->actor_id);
	return log_tx_query(tx, &update_stmt, &params, NULL);
}

static enum status update_work(struct log_tx *tx, void *arg)
{
	struct update *u = arg;
	struct change *c = &u->change;
	pb_WebhookView *view = &u->reply->webhook, before;
	char *changed[UPDATE_FIELDS];

	*u->reply = (pb_WebhookReply){.has_webhook = true};
	enum status st = webhook_load(tx, c, u->rq->webhook_id, view);
	if (st != STATUS_OK)
		return st;
	before = *view;
	if (view->kind != WEBHOOK_OUTGOING && (u->rq->trigger != NULL || u->rq->url != NULL))
		return guard_refuse(tx, STATUS_FIELD_INVALID, NULL, u->rq->trigger != NULL ? "trigger" : "url");
	size_t count = update_apply(u->rq, view, changed);
	if (count > 0 || u->rq->renew) {
		view->updated_at_ms = (uint64_t)log_tx_now_ms(tx);
		st = room(tx, view);
		if (st == STATUS_OK)
			st = update_write(tx, u, view);
	}
	/* Who reads the old channel alone has lost it, who reads both sees it go and come. */
	const struct rights *place = u->moves ? &u->to : &c->rights;
	if (st == STATUS_OK && u->moves && strcmp(u->to.audience, c->rights.audience) != 0)
		st = webhook_tell(tx, c, &c->rights, EVENT_KIND_webhook_deleted, &before, NULL, 0);
	if (st == STATUS_OK && count > 0)
		st = webhook_tell(tx, c, place, EVENT_KIND_webhook_updated, view, changed, count);
	if (st == STATUS_OK)
		guard_store(tx, c, u->reply);
	return st;
}

static const char *update_wrong_field(const pb_UpdateWebhookRequest *rq)
{
	for (pb_size_t i = 0; i < rq->cleared_count; i++)
		if (rq->cleared[i] == NULL ||
			(strcmp(rq->cleared[i], "avatar") != 0 && strcmp(rq->cleared[i], "bot") != 0 &&
				strcmp(rq->cleared[i], "trigger") != 0))
			return rq->cleared[i] != NULL ? rq->cleared[i] : "cleared";
	return wrong_field(rq->name, rq->avatar, rq->trigger, rq->url);
}

void update_webhook(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;
	const pb_UpdateWebhookRequest *rq = request;
	struct update u = {.service = s, .rq = rq, .reply = reply};
	struct webhook webhook = {0};
	bool replayed = false;

	u.change = (struct change){
		.keeps_rights = true, .allowed = update_allowed, .work = update_work, .call = call};
	u.change.no.field = update_wrong_field(rq);
	enum status st = u.change.no.field != NULL
				 ? STATUS_FIELD_INVALID
				 : webhook_find(s, call->mem, rq->webhook_id, call->deadline_mono_ms, &webhook);
	if (st == STATUS_OK && rq->has_bot)
		st = people_see(s, call->mem, &rq->bot, call->deadline_mono_ms);
	u.change.channel_id = webhook.view.channel_id;
	u.moves = rq->channel_id != 0 && rq->channel_id != webhook.view.channel_id;
	webhook_token(u.token);
	webhook_token(u.secret);
	if (st == STATUS_OK)
		st = guard_change(s, &u.change, reply, &replayed);
	if (st == STATUS_OK && !replayed && rq->renew) {
		u.reply->token = arena_strdup(call->mem, u.token);
		u.reply->secret =
			webhook.view.kind == WEBHOOK_OUTGOING ? arena_strdup(call->mem, u.secret) : NULL;
	}
	guard_answer_change(call, st, &u.change.no, replayed);
}
