#include "services/api/serve.h"

#include <string.h>
#include <strings.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/db/db.h"
#include "common/ops/ops.h"
#include "services/api/exchange.h"
#include "services/api/mounts.h"
#include "services/api/scopes.h"
#include "services/api/tokens.h"

static const struct {
	const char *type;
	unsigned kind;
} body_kinds[] = {
	{"application/json", BODY_JSON},
	{"application/x-www-form-urlencoded", BODY_FORM},
	{"multipart/form-data", BODY_MULTIPART},
};

unsigned serve_body_kind(const char *content_type)
{
	size_t length = content_type == NULL ? 0 : strcspn(content_type, "; \t");

	for (size_t i = 0; i < sizeof body_kinds / sizeof *body_kinds; i++)
		if (length == strlen(body_kinds[i].type) && strncasecmp(content_type, body_kinds[i].type, length) == 0)
			return body_kinds[i].kind;
	return content_type == NULL ? BODY_JSON : 0;
}

static const char *bodies_text(const struct exchange *x)
{
	const char *text = NULL;

	for (size_t i = 0; i < sizeof body_kinds / sizeof *body_kinds; i++)
		if (x->mount->bodies & body_kinds[i].kind)
			text = text == NULL ? body_kinds[i].type : arena_printf(x->mem, "%s or %s", text, body_kinds[i].type);
	return arena_printf(x->mem, "the body must be %s", text);
}

static enum status check_body(struct exchange *x)
{
	const struct http_request *rq = x->rq;
	const char *type = http_request_header(rq, "Content-Type");

	if (rq->body_too_large)
		return exchange_fail(x, STATUS_TOO_LARGE, NULL, NULL, "the body is over 256 KiB");
	if (rq->body_late)
		return exchange_fail(x, STATUS_LATE, NULL, NULL, "the body took too long");
	if (rq->body_broken)
		return exchange_fail(x, STATUS_MALFORMED, NULL, NULL, "the body is not as long as announced");
	if (rq->body_length > 0 && strcmp(rq->method, "GET") != 0 && strcmp(rq->method, "HEAD") != 0 &&
		!(serve_body_kind(type) & x->mount->bodies))
		return exchange_fail(x, STATUS_BAD_MEDIA, NULL, NULL, bodies_text(x));
	return STATUS_OK;
}

/* Who shows no good token is counted by his address. */
static enum status count_stranger(struct exchange *x, enum status st)
{
	enum status limit = exchange_limit(x, LIMIT_STRANGERS, limits_key_address(x->api->limits, x->rq->remote), 0,
		x->api->config->limit_strangers_per_s, 1000);

	return limit == STATUS_OK ? st : limit;
}

/* An address that has tried too many wrong ones does not get at the database with further ones. */
static enum status may_be_wrong(struct exchange *x)
{
	struct api *api = x->api;
	struct limit_state state;

	if (limits_allow(api->limits, LIMIT_STRANGERS, limits_key_address(api->limits, x->rq->remote), 0,
		    (struct limit_rate){api_share(api, api->config->limit_strangers_per_s), 1000}, clock_mono_ms(), &state))
		return STATUS_OK;
	return exchange_limited(x, LIMIT_STRANGERS, &state);
}

static enum status resolve(struct exchange *x, const char *token, bool fresh, struct token_answer *answer)
{
	struct api *api = x->api;
	const char *why = NULL;

	if (!fresh && tokens_kept(api->tokens, x->mem, token, answer))
		return STATUS_OK;
	enum status st = may_be_wrong(x);
	if (st != STATUS_OK)
		return st;
	st = tokens_resolve(api->tokens, x->mem, token, true, x->deadline_mono_ms, answer, &why);
	if (st != STATUS_OK)
		exchange_fail(x, st, why, NULL, NULL);
	return st == STATUS_UNAUTHENTICATED ? count_stranger(x, st) : st;
}

static enum status authenticate(struct exchange *x, bool fresh)
{
	struct token_answer *answer = ARENA_NEW(x->mem, struct token_answer);
	const char *token = x->mount->token(x);

	x->actor = (struct actor){0};
	if (token == NULL)
		return count_stranger(x, exchange_fail(x, STATUS_UNAUTHENTICATED, NULL, NULL, NULL));
	enum status st = resolve(x, token, fresh, answer);
	if (st != STATUS_OK)
		return st;
	x->actor = (struct actor){
		.account = &answer->account,
		.id = answer->account.id,
		.epoch = answer->epoch,
		.session_id = answer->session_id,
		.scopes = answer->scopes,
		.client_label = answer->client_label,
		.generation = answer->generation,
	};
	log_set_session(answer->session_id);
	return STATUS_OK;
}

static enum status check_scope(struct exchange *x)
{
	enum route_scope scope = x->match.route->scope;

	if (x->match.route->auth != AUTH_SESSION || scopes_allow(x->actor.scopes, scope))
		return STATUS_OK;
	return exchange_fail(x, STATUS_FORBIDDEN, arena_printf(x->mem, "scope:%s", scope_word(scope)), NULL,
		"the token has not this scope");
}

static enum status check_limits(struct exchange *x)
{
	const struct config *config = x->api->config;
	const struct route *route = x->match.route;
	uint64_t address = limits_key_address(x->api->limits, x->rq->remote);
	enum status st = STATUS_OK;

	if (route->auth == AUTH_NONE)
		st = count_stranger(x, STATUS_OK);
	if (route->auth == AUTH_SIGNED)
		st = may_be_wrong(x);
	if (st == STATUS_OK && route->cost == COST_LOGIN)
		st = exchange_limit(x, LIMIT_LOGINS, address, 0, config->limit_logins_per_min, 60000);
	if (st == STATUS_OK && route->cost == COST_REGISTER)
		st = exchange_limit(
			x, LIMIT_REGISTRATIONS, address, 0, config->limit_registrations_per_h, 3600000);
	if (st == STATUS_OK && x->actor.session_id != 0)
		st = exchange_limit(
			x, LIMIT_REQUESTS, x->actor.session_id, 0, config->limit_requests_per_s, 1000);
	if (st == STATUS_OK && route->cost == COST_POST) {
		const char *channel = route_param(&x->match, "channel");
		uint64_t id = 0;
		/* A path that names no channel is refused by the handler soon enough. */
		if (channel != NULL && x->mount->path_id(channel, strlen(channel), &id))
			st = exchange_limit_posts(x, id);
	}
	return st;
}

/* What this change is called in log.requests. A body with a password is never hashed: hashes are kept, and a
 * fast one of a password is as good as the password. */
static enum status name_change(struct exchange *x)
{
	const struct http_request *rq = x->rq;
	const struct route *route = x->match.route;
	const char *key = http_request_header(rq, "Idempotency-Key");

	request_id_random(x->request_id);
	x->has_body_hash = false;
	x->key_field = NULL;
	if (route->cost == COST_READ || route->cost == COST_LOGIN || route->cost == COST_REGISTER || strcmp(rq->method, "POST") != 0 ||
		key == NULL)
		return STATUS_OK;
	size_t length = strlen(key);
	if (!text_is_utf8(key, length) || length == 0 || text_code_points(key, length) > 255)
		return exchange_fail(
			x, STATUS_FIELD_INVALID, NULL, "Idempotency-Key", "must have 1 to 255 characters");
	request_id_from_key(x->request_id, key);
	request_hash(x->body_hash, rq->method, rq->path, rq->body, rq->body_length);
	x->has_body_hash = true;
	x->key_field = "Idempotency-Key";
	return STATUS_OK;
}

/* The row of this request. Where a dialect does not tell "/x" from "/x/", a path without a row is tried as the other. */
static enum status find_route(const struct mount *m, const struct http_request *rq, const char *path,
	struct route_match *out_match, const char **out_allow)
{
	size_t length = strlen(path);
	enum status st =
		router_match(m->routes, m->route_count, rq->mem, rq->method, path, out_match, out_allow);

	if (st != STATUS_NO_ROUTE || !m->either_slash || length == 0)
		return st;
	const char *other = path[length - 1] == '/' ? arena_strndup(rq->mem, path, length - 1)
						    : arena_printf(rq->mem, "%s/", path);
	return router_match(m->routes, m->route_count, rq->mem, rq->method, other, out_match, out_allow);
}

/* What a browser asks before a page of another origin may call: answered for every path, since nothing is done. */
static bool is_preflight(const struct exchange *x)
{
	return x->mount->cors != NULL && strcmp(x->rq->method, "OPTIONS") == 0 &&
	       http_request_header(x->rq, "Origin") != NULL &&
	       http_request_header(x->rq, "Access-Control-Request-Method") != NULL;
}

/* The origin is echoed: with credentials a browser does not take "*" for an answer. */
static void allow_origin(struct exchange *x)
{
	const struct mount_cors *cors = x->mount->cors;
	const char *origin = http_request_header(x->rq, "Origin");

	if (cors == NULL)
		return;
	http_response_header(x->rs, "Vary", "Origin");
	if (origin == NULL)
		return;
	http_response_header(x->rs, "Access-Control-Allow-Origin", origin);
	http_response_header(x->rs, "Access-Control-Allow-Credentials", "true");
	if (!is_preflight(x)) {
		http_response_header(x->rs, "Access-Control-Expose-Headers", cors->exposed);
		return;
	}
	http_response_header(x->rs, "Access-Control-Allow-Methods", cors->methods);
	http_response_header(x->rs, "Access-Control-Allow-Headers", cors->headers);
	http_response_header(x->rs, "Access-Control-Max-Age", cors->max_age_s);
}

static enum status admit(struct exchange *x)
{
	return x->match.route->auth != AUTH_SESSION || x->mount->admit == NULL ? STATUS_OK : x->mount->admit(x);
}

/* Twice when the token went stale, under the same name: a change of two steps goes on where it was. Coming in is a call of an
 * owner, too. */
static enum status run_handler(struct exchange *x, const uint8_t request_id[REQUEST_ID_BYTES])
{
	*x->rs = (struct http_response){0};
	memcpy(x->request_id, request_id, sizeof x->request_id);
	enum status st = admit(x);
	return st == STATUS_OK ? x->match.route->handler(x) : st;
}

static enum status answer(struct exchange *x)
{
	struct http_response *rs = x->rs;
	uint8_t request_id[REQUEST_ID_BYTES];

	if (is_preflight(x)) {
		rs->code = 204;
		return count_stranger(x, STATUS_OK);
	}
	enum status st = find_route(x->mount, x->rq, x->path, &x->match, &x->allow);
	if (st != STATUS_OK) {
		st = count_stranger(x, st);
		if (st != STATUS_WRONG_METHOD || strcmp(x->rq->method, "OPTIONS") != 0)
			return st;
		rs->code = 204;
		http_response_header(rs, "Allow", x->allow);
		return STATUS_OK;
	}
	if (x->match.route->auth == AUTH_SESSION)
		st = authenticate(x, false);
	if (st == STATUS_OK)
		st = check_limits(x);
	if (st == STATUS_OK)
		st = check_scope(x);
	if (st == STATUS_OK)
		st = check_body(x);
	if (st == STATUS_OK)
		st = name_change(x);
	if (st != STATUS_OK)
		return st;
	memcpy(request_id, x->request_id, sizeof request_id);
	st = run_handler(x, request_id);
	if (x->match.route->auth == AUTH_SIGNED)
		return st == STATUS_NOT_FOUND || st == STATUS_FORBIDDEN ? count_stranger(x, st) : st;
	/* Refused on the strength of a kept answer from a log that is not this one: perhaps nobody asked here. Nothing has happened. */
	if (st != STATUS_OK && x->actor.generation != 0 && x->actor.generation != db_met_generation(x->api->db))
		st = STATUS_STALE;
	if (st == STATUS_STALE) {
		/* Owners judge again by themselves when rights changed; what comes this far is the actor's
		 * epoch: something of this account was revoked after the answer that was kept. Ask anew,
		 * once; who was revoked gets his 401 here. */
		tokens_drop_session(x->api->tokens, x->actor.session_id);
		st = authenticate(x, true);
		if (st == STATUS_OK)
			st = check_scope(x);
		if (st == STATUS_OK)
			st = run_handler(x, request_id);
	}
	return st == STATUS_STALE ? STATUS_BUSY : st;
}

bool serve_streams(void *arg, const struct http_request *rq)
{
	const struct api *api = arg;
	const char *path, *allow, *type = http_request_header(rq, "Content-Type");
	struct route_match match = {0};

	/* Every request comes by here, and few are this. */
	if (type == NULL || strncasecmp(type, "multipart/", 10) != 0)
		return false;
	const struct mount *mount = mount_find(api->mounts, api->config, http_request_header(rq, "Host"), rq->path, &path);

	return find_route(mount, rq, path, &match, &allow) == STATUS_OK && match.route->cost == COST_UPLOAD;
}

void serve_request(void *arg, const struct http_request *rq, struct http_response *rs)
{
	struct api *api = arg;
	struct exchange *x = ARENA_NEW(rq->mem, struct exchange);
	int64_t began_mono_us = clock_mono_us();

	*x = (struct exchange){.api = api, .mem = rq->mem, .rq = rq, .rs = rs, .allow = "OPTIONS"};
	x->deadline_mono_ms = clock_mono_ms() + SERVE_DEADLINE_MS;
	ids_trace(x->trace);
	log_set_trace(x->trace);
	x->mount = mount_find(api->mounts, api->config, http_request_header(rq, "Host"), rq->path, &x->path);

	enum status st = answer(x);
	if (st != STATUS_OK) {
		x->outcome.status = st;
		*rs = (struct http_response){0};
		x->mount->refuse(x, st);
		if (st == STATUS_WRONG_METHOD)
			http_response_header(rs, "Allow", x->allow);
	}
	allow_origin(x);
	x->mount->decorate(x);

	int64_t took_us = clock_mono_us() - began_mono_us;
	metric_add(http_requests, 1);
	if (rs->code >= 500)
		metric_add(http_errors, 1);
	metric_observe_us(&metrics.http_seconds, took_us);
	/* The template, never the path or the query: those may hold what is nobody's business. */
	log_info("http_request", LOG_STR("method", rq->method), LOG_STR("dialect", x->mount->name),
		LOG_STR("route", x->match.route != NULL ? x->match.route->path : "-"),
		LOG_I64("status", rs->code), LOG_I64("duration_us", took_us),
		x->actor.id != 0 ? LOG_ID("user", x->actor.id) : LOG_STR("user", "-"));
	log_set_session(0);
	log_set_trace(NULL);
}
