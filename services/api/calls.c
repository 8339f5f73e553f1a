#include "services/api/calls.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/db/log.h"
#include "common/rpc/stubs.h"
#include "services/api/accounts.h"
#include "services/api/announce.h"
#include "services/api/scopes.h"
#include "services/api/sessions.h"
#include "services/api/tokens.h"

#define GET_MOST 200

/* A call's header as the context of what is done for it. */
static struct rpc_context context_of(const struct rpc_call *call)
{
	const pb_RpcHeader *h = call->header;

	return (struct rpc_context){
		.request_id = h->request_id.size == 0 ? NULL : h->request_id.bytes,
		.request_id_length = h->request_id.size,
		.body_hash = h->body_hash.size == 32 ? h->body_hash.bytes : NULL,
		.actor_id = h->actor_id,
		.actor_epoch = h->actor_epoch,
		.actor_generation = h->actor_generation,
		.session_id = h->session_id,
		.actor = h->has_actor ? &h->actor : NULL,
		.client_label = h->client_label,
		.trace = h->trace_id,
		.deadline_mono_ms = call->deadline_mono_ms,
	};
}

static void finish(struct rpc_call *call, const struct rpc_outcome *out)
{
	if (out->status != STATUS_OK)
		rpc_fail(call, out->status, out->why, out->field, out->detail);
	else if (out->replayed)
		rpc_finish_replayed(call);
	else
		rpc_finish(call);
}

static bool by_system(struct rpc_call *call)
{
	if (call->header->actor_id == 0)
		return true;
	rpc_fail(call, STATUS_FORBIDDEN, "system", NULL, "this call is the system's");
	return false;
}

static const char *text_or_empty(const char *text)
{
	return text == NULL ? "" : text;
}

/* Who asks delivers events, and events are reading. */
static bool may_listen(const struct token_answer *answer)
{
	return scopes_allow(answer->scopes, SCOPE_READ);
}

static pb_ResolveTokenReply resolved(const struct token_answer *answer)
{
	return (pb_ResolveTokenReply){
		.has_account = true,
		.account = answer->account,
		.epoch = answer->epoch,
		.generation = answer->generation,
		.session_id = answer->session_id,
		.expires_at_ms = (uint64_t)answer->expires_at_ms,
		.user_stream_seq = answer->user_stream_seq,
		.client_label = (char *)answer->client_label,
		.may_write = scopes_allow(answer->scopes, SCOPE_WRITE),
	};
}

static void resolve_token(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct api *api = service;
	const pb_ResolveTokenRequest *rq = request;
	pb_ResolveTokenReply *out = reply;
	struct token_answer answer;
	const char *why = NULL;

	/* Asked when a socket opens, which then lives on what it is told here: always fresh. */
	enum status st = tokens_resolve(api->tokens, call->mem, text_or_empty(rq->token), true,
		call->deadline_mono_ms, &answer, &why);
	if (st != STATUS_OK) {
		rpc_fail(call, st, why, NULL, NULL);
		return;
	}
	if (!may_listen(&answer)) {
		rpc_fail(call, STATUS_FORBIDDEN, "scope:read", NULL, NULL);
		return;
	}
	*out = resolved(&answer);
	rpc_finish(call);
}

static void resolve_tokens(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct api *api = service;
	const pb_ResolveTokensRequest *rq = request;
	pb_ResolveTokensReply *out = reply;
	size_t count = rq->tokens_count;

	if (count > TOKENS_AT_ONCE) {
		rpc_fail(call, STATUS_TOO_LARGE, NULL, "tokens", NULL);
		return;
	}
	const char **texts = ARENA_ARRAY(call->mem, count + 1, const char *);
	struct token_result *results = ARENA_ARRAY(call->mem, count + 1, struct token_result);
	for (size_t i = 0; i < count; i++)
		texts[i] = text_or_empty(rq->tokens[i].token);
	enum status st = tokens_resolve_many(api->tokens, call->mem, texts, count, call->deadline_mono_ms, results);
	if (st != STATUS_OK) {
		rpc_fail(call, st, NULL, NULL, NULL);
		return;
	}
	out->answers = ARENA_ARRAY(call->mem, count + 1, pb_TokenResolved);
	for (size_t i = 0; i < count; i++) {
		pb_TokenResolved *answer = &out->answers[out->answers_count++];
		*answer = (pb_TokenResolved){.status = results[i].status, .why = (char *)results[i].why};
		if (results[i].status == STATUS_OK && !may_listen(&results[i].answer)) {
			answer->status = STATUS_FORBIDDEN;
			answer->why = (char *)"scope:read";
		} else if (results[i].status == STATUS_OK) {
			answer->has_reply = true;
			answer->reply = resolved(&results[i].answer);
		}
	}
	rpc_finish(call);
}

static void create_account(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_CreateAccountRequest *rq = request;
	pb_CreateAccountReply *out = reply;
	struct rpc_context by = context_of(call);
	struct rpc_outcome outcome = {0};
	struct account_new fields = {
		.username = text_or_empty(rq->username),
		.password = text_or_empty(rq->password),
		.email = rq->email,
		.display_name = rq->display_name,
	};

	if (!by_system(call))
		return;
	by.body_hash = NULL; /* a fast hash of a password is not kept */
	out->has_account = true;
	accounts_create(service, call->mem, &by, &fields, &out->account, &outcome);
	finish(call, &outcome);
}

static void session_reply(struct arena *mem, const struct session_opened *session, pb_SessionReply *out)
{
	*out = (pb_SessionReply){
		.token = arena_strdup(mem, session->token),
		.session_id = session->session_id,
		.has_account = true,
		.account = session->account,
		.expires_at_ms = (uint64_t)session->expires_at_ms,
	};
}

static void open_session(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_OpenSessionRequest *rq = request;
	struct rpc_context by = context_of(call);
	struct rpc_outcome outcome = {0};
	struct session_opened session;
	struct session_new fields = {
		.login = text_or_empty(rq->login),
		.password = text_or_empty(rq->password),
		.client_label = rq->client_label,
		.agent = rq->agent,
		.address = rq->address,
	};

	if (sessions_open(service, call->mem, &by, &fields, &session, &outcome) == STATUS_OK)
		session_reply(call->mem, &session, reply);
	finish(call, &outcome);
}

static void create_token(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_CreateTokenRequest *rq = request;
	struct rpc_context by = context_of(call);
	struct rpc_outcome outcome = {0};
	struct session_opened session;

	if (!by_system(call))
		return;
	if (rq->dialect != 0 && rq->dialect != DIALECT_HOUSE && rq->dialect != DIALECT_CRUST) {
		rpc_fail(call, STATUS_FIELD_INVALID, NULL, "dialect", NULL);
		return;
	}
	struct session_for fields = {.username = text_or_empty(rq->username),
		.client_label = rq->client_label,
		.days = rq->days,
		.dialect = (enum dialect)rq->dialect};
	if (sessions_open_for(service, call->mem, &by, &fields, &session, &outcome) == STATUS_OK)
		session_reply(call->mem, &session, reply);
	finish(call, &outcome);
}

static void disable_account(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_DisableAccountRequest *rq = request;
	pb_DisableAccountReply *out = reply;
	struct rpc_context by = context_of(call);
	struct rpc_outcome outcome = {0};

	if (!by_system(call))
		return;
	out->has_account = true;
	accounts_set_disabled(
		service, call->mem, &by, text_or_empty(rq->username), rq->disabled, &out->account, &outcome);
	finish(call, &outcome);
}

static void get_accounts(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_GetAccountsRequest *rq = request;
	pb_GetAccountsReply *out = reply;
	uint64_t *epochs = NULL;
	size_t count = 0;
	enum status st;

	if (rq->ids_count > GET_MOST) {
		rpc_fail(call, STATUS_FIELD_INVALID, NULL, "ids", "at most 200");
		return;
	}
	if (rq->username != NULL) {
		out->accounts = ARENA_NEW(call->mem, pb_UserView);
		epochs = ARENA_NEW(call->mem, uint64_t);
		count = 1;
		st = accounts_find(
			service, call->mem, rq->username, call->deadline_mono_ms, out->accounts, epochs);
	} else {
		st = accounts_get_many(service, call->mem, rq->ids, rq->ids_count, call->deadline_mono_ms,
			&out->accounts, &epochs, &count);
	}
	if (st != STATUS_OK) {
		rpc_fail(call, st, NULL, rq->username != NULL ? "username" : NULL, NULL);
		return;
	}
	out->accounts_count = (pb_size_t)count;
	if (call->header->actor_id == 0) {
		out->epochs = epochs;
		out->epochs_count = (pb_size_t)count;
	}
	rpc_finish(call);
}

static void announce(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_AnnounceRequest *rq = request;
	pb_AnnounceReply *out = reply;
	struct rpc_context by = context_of(call);
	struct rpc_outcome outcome = {0};

	if (!by_system(call))
		return;
	announce_to_all(service, call->mem, &by, text_or_empty(rq->title), text_or_empty(rq->text),
		(int64_t)rq->until_ms, &out->id, &outcome);
	finish(call, &outcome);
}

static void fetch_events(void *service, struct rpc_call *call, const void *request, void *reply)
{
	log_serve_fetch_events(((struct api *)service)->db, call, request, reply);
}

static void stream_heads(void *service, struct rpc_call *call, const void *request, void *reply)
{
	log_serve_stream_heads(((struct api *)service)->db, call, request, reply);
}

const struct rpc_binding api_bindings[] = {
	{&rpc_api_resolve_token, resolve_token},
	{&rpc_api_resolve_tokens, resolve_tokens},
	{&rpc_api_create_account, create_account},
	{&rpc_api_open_session, open_session},
	{&rpc_api_create_token, create_token},
	{&rpc_api_disable_account, disable_account},
	{&rpc_api_get_accounts, get_accounts},
	{&rpc_api_announce, announce},
	{&rpc_api_fetch_events, fetch_events},
	{&rpc_api_stream_heads, stream_heads},
};
const size_t api_binding_count = sizeof api_bindings / sizeof *api_bindings;
