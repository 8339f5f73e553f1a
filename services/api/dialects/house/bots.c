#include <string.h>

#include "services/api/accounts.h"
#include "services/api/bot_tokens.h"
#include "services/api/bots.h"
#include "services/api/dialects/house/house.h"
#include "services/api/scopes.h"

static enum status reply_bot(struct exchange *x, int code, const pb_UserView *view)
{
	struct house_bot bot = {.user = view, .owner_id = x->actor.id};

	return HOUSE_OBJECT(x, code, house_bot, &bot);
}

enum status house_bots_create(struct exchange *x)
{
	struct account_new fields = {.owner_id = x->actor.id};
	struct json_reader r;
	pb_UserView bot;

	house_body(x, &r);
	json_str(&r, "username", JSON_REQUIRED, ACCOUNT_USERNAME_LEAST, ACCOUNT_USERNAME_MOST,
		&fields.username);
	json_str(&r, "display_name", JSON_OPTIONAL, 1, ACCOUNT_NAME_MOST, &fields.display_name);
	json_str(&r, "avatar_url", JSON_OPTIONAL, 1, ACCOUNT_URL_BYTES, &fields.avatar);
	json_str(&r, "bio", JSON_OPTIONAL, 0, ACCOUNT_BIO_MOST, &fields.bio);
	enum status st = house_body_end(x, &r);
	if (st == STATUS_OK)
		st = accounts_create(x->api, x->mem, exchange_context(x, true), &fields, &bot, &x->outcome);
	if (st != STATUS_OK)
		return st;
	house_location(x, "/bots/%s", house_uuid(x, bot.id));
	return reply_bot(x, 201, &bot);
}

struct bot_items {
	const pb_UserView *bots;
	uint64_t owner_id;
};

static void write_bot(struct json_writer *w, const void *items, size_t i)
{
	const struct bot_items *list = items;

	house_bot(w, &(struct house_bot){.user = &list->bots[i], .owner_id = list->owner_id});
}

static uint64_t bot_id(const void *items, size_t i)
{
	return ((const struct bot_items *)items)->bots[i].id;
}

enum status house_bots_list(struct exchange *x)
{
	struct house_page page;
	pb_UserView *bots = NULL;
	size_t count = 0;
	bool more = false;
	enum status st = house_page(x, &page);

	if (st != STATUS_OK)
		return st;
	st = bots_list(x->api, x->mem, x->actor.id, page.before, page.after, page.limit, x->deadline_mono_ms,
		&bots, &count, &more);
	if (st != STATUS_OK)
		return exchange_fail(x, st, NULL, NULL, NULL);
	struct bot_items items = {bots, x->actor.id};
	return house_finish_list(
		x, &page, &(struct house_list){count, more, false, &items, write_bot, bot_id});
}

enum status house_bots_get(struct exchange *x)
{
	pb_UserView bot;
	uint64_t id;
	enum status st = house_path_id(x, "bot", &id);

	if (st != STATUS_OK)
		return st;
	st = bots_get(x->api, x->mem, x->actor.id, id, x->deadline_mono_ms, &bot);
	return st == STATUS_OK ? reply_bot(x, 200, &bot) : exchange_fail(x, st, NULL, NULL, NULL);
}

enum status house_bots_patch(struct exchange *x)
{
	struct account_change c = {0};
	struct account_own own;
	struct json_reader r;
	enum status st = house_path_id(x, "bot", &c.bot_id);

	if (st != STATUS_OK)
		return st;
	house_body(x, &r);
	c.has_username = json_has(&r, "username");
	if (c.has_username)
		json_str(&r, "username", JSON_REQUIRED, ACCOUNT_USERNAME_LEAST, ACCOUNT_USERNAME_MOST,
			&c.username);
	c.has_display_name = house_nullable(&r, "display_name", 1, ACCOUNT_NAME_MOST, &c.display_name);
	c.has_avatar = house_nullable(&r, "avatar_url", 1, ACCOUNT_URL_BYTES, &c.avatar);
	c.has_banner = house_nullable(&r, "banner_url", 1, ACCOUNT_URL_BYTES, &c.banner);
	c.has_bio = house_nullable(&r, "bio", 0, ACCOUNT_BIO_MOST, &c.bio);
	c.has_tagline = house_nullable(&r, "tagline", 0, ACCOUNT_TAGLINE_MOST, &c.tagline);
	st = house_body_end(x, &r);
	if (st == STATUS_OK)
		st = accounts_update(x->api, x->mem, exchange_context(x, true), &c, &own, &x->outcome);
	return st == STATUS_OK ? reply_bot(x, 200, &own.view) : st;
}

enum status house_bots_delete(struct exchange *x)
{
	uint64_t id;
	enum status st = house_path_id(x, "bot", &id);

	if (st == STATUS_OK)
		st = bots_delete(x->api, x->mem, exchange_context(x, true), id, &x->outcome);
	return st == STATUS_OK ? house_no_content(x) : st;
}

/* ---- tokens */

/* ["read", ...] as bits. True: it was there. */
static bool take_scopes(struct json_reader *r, enum json_need need, uint64_t *out_scopes)
{
	json_t *words = json_has(r, "scopes") ? json_object_get(r->object, "scopes") : NULL;

	if (words == NULL) {
		if (need == JSON_REQUIRED)
			json_fail(r, STATUS_FIELD_INVALID, "scopes", "is required");
		return false;
	}
	if (!json_is_array(words) || json_array_size(words) == 0 || json_array_size(words) > 16) {
		json_fail(r, STATUS_FIELD_INVALID, "scopes", "must be a list of 1 to 16 scopes");
		return true;
	}
	for (size_t i = 0; i < json_array_size(words); i++) {
		const char *word = json_string_value(json_array_get(words, i));
		enum route_scope scope = word == NULL ? SCOPE_NONE : scope_from_word(word);
		if (scope == SCOPE_NONE) {
			json_fail(r, STATUS_FIELD_INVALID, "scopes", "names a scope that there is not");
			return true;
		}
		*out_scopes |= SCOPE_BIT(scope);
	}
	return true;
}

static void write_token(
	struct json_writer *w, const struct bot_token *token, uint64_t bot, bool fresh, const char *text)
{
	jw_object(w);
	if (fresh)
		jw_kv(w, str, "token", text[0] == '\0' ? NULL : text);
	jw_kv(w, uuid, "id", token->id);
	jw_kv(w, uuid, "bot_id", bot);
	jw_kv(w, str, "label", token->label);
	jw_key(w, "scopes");
	jw_array(w);
#define SCOPE(bit, scope, word, text)                                                                        \
	if (scopes_allow(token->scopes, SCOPE_##scope))                                                      \
		jw_str(w, word);
#include "services/api/scopes.tbl.h"
#undef SCOPE
	jw_array_end(w);
	jw_kv(w, time, "created_at", token->created_at_ms);
	jw_kv(w, time, "last_used_at", token->last_used_at_ms);
	jw_kv(w, time, "expires_at", token->expires_at_ms);
	jw_object_end(w);
}

enum status house_bot_tokens_create(struct exchange *x)
{
	struct bot_token_new fields = {0};
	char text[TOKEN_TEXT_SIZE];
	struct bot_token token;
	struct json_reader r;
	struct json_writer w;
	uint64_t bot;
	enum status st = house_path_id(x, "bot", &bot);

	if (st != STATUS_OK)
		return st;
	house_body(x, &r);
	json_str(&r, "label", JSON_REQUIRED, 1, BOT_LABEL_MOST, &fields.label);
	take_scopes(&r, JSON_REQUIRED, &fields.scopes);
	json_time(&r, "expires_at", JSON_OPTIONAL, &fields.expires_at_ms);
	st = house_body_end(x, &r);
	if (st == STATUS_OK)
		st = bot_tokens_create(
			x->api, x->mem, exchange_context(x, true), bot, &fields, text, &token, &x->outcome);
	if (st != STATUS_OK)
		return st;
	house_location(x, "/bots/%s/tokens/%s", house_uuid(x, bot), house_uuid(x, token.id));
	house_begin(x, &w);
	write_token(&w, &token, bot, true, text);
	return house_finish(x, 201, &w);
}

struct token_items {
	const struct bot_token *tokens;
	uint64_t bot;
};

static void write_item(struct json_writer *w, const void *items, size_t i)
{
	const struct token_items *list = items;

	write_token(w, &list->tokens[i], list->bot, false, NULL);
}

static uint64_t token_id(const void *items, size_t i)
{
	return ((const struct token_items *)items)->tokens[i].id;
}

enum status house_bot_tokens_list(struct exchange *x)
{
	struct house_page page;
	struct bot_token *tokens = NULL;
	size_t count = 0;
	bool more = false;
	uint64_t bot;
	enum status st = house_path_id(x, "bot", &bot);

	if (st == STATUS_OK)
		st = house_page(x, &page);
	if (st != STATUS_OK)
		return st;
	st = bot_tokens_list(x->api, x->mem, x->actor.id, bot, page.before, page.after, page.limit,
		x->deadline_mono_ms, &tokens, &count, &more);
	if (st != STATUS_OK)
		return exchange_fail(x, st, NULL, NULL, NULL);
	struct token_items items = {tokens, bot};
	return house_finish_list(
		x, &page, &(struct house_list){count, more, true, &items, write_item, token_id});
}

enum status house_bot_tokens_patch(struct exchange *x)
{
	struct bot_token token;
	const char *label = NULL;
	struct json_reader r;
	struct json_writer w;
	uint64_t bot, id, scopes = 0;
	enum status st = house_path_id(x, "bot", &bot);

	if (st == STATUS_OK)
		st = house_path_id(x, "token", &id);
	if (st != STATUS_OK)
		return st;
	house_body(x, &r);
	if (json_has(&r, "label"))
		json_str(&r, "label", JSON_REQUIRED, 1, BOT_LABEL_MOST, &label);
	take_scopes(&r, JSON_OPTIONAL, &scopes);
	st = house_body_end(x, &r);
	if (st == STATUS_OK)
		st = bot_tokens_update(x->api, x->mem, exchange_context(x, true), bot, id, label, scopes,
			&token, &x->outcome);
	if (st != STATUS_OK)
		return st;
	house_begin(x, &w);
	write_token(&w, &token, bot, false, NULL);
	return house_finish(x, 200, &w);
}

enum status house_bot_tokens_delete(struct exchange *x)
{
	uint64_t bot, id;
	enum status st = house_path_id(x, "bot", &bot);

	if (st == STATUS_OK)
		st = house_path_id(x, "token", &id);
	if (st == STATUS_OK)
		st = bot_tokens_revoke(x->api, x->mem, exchange_context(x, true), bot, id, &x->outcome);
	return st == STATUS_OK ? house_no_content(x) : st;
}
