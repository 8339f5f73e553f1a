/*
 * api's own parts in the test's process: a database of its own, its committer, passwords, tokens. No other
 * owners.
 */
#pragma once

#include <sodium.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/db/committer.h"
#include "common/db/db.h"
#include "common/events/events.h"
#include "services/api/accounts.h"
#include "services/api/limits.h"
#include "services/api/passwords.h"
#include "services/api/sessions.h"
#include "services/api/tokens.h"
#include "tests/lib/pg.h"
#include "tests/unit/main.h"

#define PASSWORD "correct horse"

struct fixture {
	struct arena *mem;
	char url[PG_URL_SIZE];
	struct config config;
	struct ids ids;
	struct api api;
	struct rpc_outcome outcome; /* of the last call */
};

static inline struct fixture *fixture_create(void)
{
	struct arena *mem = arena_create();
	struct fixture *fx = ARENA_NEW(mem, struct fixture);

	log_init("test", LOG_ERROR);
	ck_assert_int_ge(sodium_init(), 0);
	fx->mem = mem;
	pg_database_create(fx->url);
	fx->config =
		(struct config){.db_url = fx->url, .db_read_url = "", .db_readers = 4, .session_days = 90, .crust_session_days = 30};
	fx->api = (struct api){.config = &fx->config, .ids = &fx->ids, .peers = 1, .owner_share = 8};
	ids_init(&fx->ids);
	ids_lease(&fx->ids, 1, 0, clock_mono_ms() + 600000);
	ck_assert_int_eq(db_open(&(struct db_options){.url = fx->url, .service = "test", .connections = 4},
				 &fx->api.db),
		STATUS_OK);
	ck_assert_int_eq(
		committer_create(&(struct committer_options){.config = &fx->config, .service = "test"},
			&fx->api.committer),
		STATUS_OK);
	ck_assert_int_eq(passwords_create(1, 8, &fx->api.passwords), STATUS_OK);
	ck_assert_int_eq(tokens_create(fx->api.db, 64, &fx->api.tokens), STATUS_OK);
	fx->api.limits = limits_create(64);
	return fx;
}

static inline void fixture_destroy(struct fixture *fx)
{
	committer_drain(fx->api.committer, 1000);
	committer_destroy(fx->api.committer);
	passwords_destroy(fx->api.passwords);
	tokens_destroy(fx->api.tokens);
	limits_destroy(fx->api.limits);
	db_close(fx->api.db);
	arena_destroy(fx->mem);
}

static inline int64_t deadline(void)
{
	return clock_mono_ms() + 30000;
}

/* A new request of the system, or of whoever a token resolved to. */
static inline struct rpc_context by_system(struct fixture *fx)
{
	uint8_t *id = arena_alloc(fx->mem, 16);

	ids_random_bytes(id, 16);
	return (struct rpc_context){
		.request_id = id, .request_id_length = 16, .deadline_mono_ms = deadline()};
}

static inline struct rpc_context by(struct fixture *fx, const struct token_answer *who)
{
	struct rpc_context ctx = by_system(fx);

	ctx.actor_id = who->account.id;
	ctx.actor_epoch = who->epoch;
	ctx.session_id = who->session_id;
	ctx.actor = &who->account;
	return ctx;
}

static inline enum status register_as(
	struct fixture *fx, const char *username, const char *email, pb_UserView *out)
{
	struct rpc_context ctx = by_system(fx);
	struct account_new fields = {.username = username, .password = PASSWORD, .email = email};

	return accounts_create(&fx->api, fx->mem, &ctx, &fields, out, &fx->outcome);
}

static inline enum status sign_in(
	struct fixture *fx, const char *login, const char *password, struct session_opened *out)
{
	struct rpc_context ctx = by_system(fx);
	struct session_new fields = {.login = login, .password = password, .client_label = "test"};

	return sessions_open(&fx->api, fx->mem, &ctx, &fields, out, &fx->outcome);
}

static inline enum status resolve(struct fixture *fx, const char *token, struct token_answer *out)
{
	const char *why = NULL;

	return tokens_resolve(fx->api.tokens, fx->mem, token, false, deadline(), out, &why);
}

/* A registered person who is signed in. */
static inline struct token_answer person(
	struct fixture *fx, const char *username, char out_token[TOKEN_TEXT_SIZE])
{
	struct session_opened session;
	struct token_answer answer;
	pb_UserView account;

	ck_assert_int_eq(register_as(fx, username, NULL, &account), STATUS_OK);
	ck_assert_int_eq(sign_in(fx, username, PASSWORD, &session), STATUS_OK);
	ck_assert_int_eq(resolve(fx, session.token, &answer), STATUS_OK);
	if (out_token != NULL)
		memcpy(out_token, session.token, TOKEN_TEXT_SIZE);
	return answer;
}

/* Events of a kind in the log. */
static inline int64_t events_of(struct fixture *fx, enum event_kind kind)
{
	return pg_number(
		fx->url, arena_printf(fx->mem, "SELECT count(*) FROM log.events WHERE kind = %d", (int)kind));
}
