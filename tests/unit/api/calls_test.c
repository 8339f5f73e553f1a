/* What other processes and guildhallctl ask of api, over the wire. */
#include <stdio.h>
#include <unistd.h>

#include "common/rpc/stubs.h"
#include "services/api/bot_tokens.h"
#include "services/api/calls.h"
#include "services/api/scopes.h"
#include "tests/unit/api/fixture.h"

static struct wire {
	char directory[64];
	const char *address;
	struct rpc_server *server;
	struct rpc_client *client;
} wire;

static struct fixture *with_wire(void)
{
	struct fixture *fx = fixture_create();

	wire = (struct wire){.directory = "/tmp/guildhall-api-XXXXXX"};
	ck_assert_ptr_nonnull(mkdtemp(wire.directory));
	wire.address = arena_printf(fx->mem, "ipc://%s/api", wire.directory);
	ck_assert_int_eq(rpc_server_start(&(struct rpc_server_options){.listen = wire.address,
						  .bindings = api_bindings,
						  .binding_count = api_binding_count,
						  .service = &fx->api,
						  .workers = 2},
				 &wire.server),
		STATUS_OK);
	ck_assert_int_eq(rpc_client_create("api", wire.address, false, &wire.client), STATUS_OK);
	return fx;
}

static void without_wire(struct fixture *fx)
{
	rpc_client_destroy(wire.client);
	rpc_server_stop(wire.server);
	unlink(wire.address + strlen("ipc://"));
	rmdir(wire.directory);
	fixture_destroy(fx);
}

static enum status create(
	struct fixture *fx, const struct rpc_context *ctx, const char *username, pb_CreateAccountReply *out)
{
	pb_CreateAccountRequest rq = {.username = (char *)username, .password = (char *)PASSWORD};

	return api_create_account(wire.client, fx->mem, ctx, &rq, out, &fx->outcome);
}

START_TEST(every_call_is_bound_once)
{
	ck_assert(rpc_bindings_complete("api", api_bindings, api_binding_count));
}
END_TEST

START_TEST(the_system_makes_an_account_and_a_repeat_gets_the_same)
{
	struct fixture *fx = with_wire();
	struct rpc_context ctx = by_system(fx);
	pb_CreateAccountReply first, again;

	ck_assert_int_eq(create(fx, &ctx, "alice", &first), STATUS_OK);
	ck_assert_int_eq(create(fx, &ctx, "alice", &again), STATUS_OK);
	ck_assert(fx->outcome.replayed);
	ck_assert_uint_eq(again.account.id, first.account.id);
	ck_assert_str_eq(again.account.username, "alice");
	without_wire(fx);
}
END_TEST

START_TEST(a_token_made_by_the_system_resolves_with_epoch_and_position)
{
	struct fixture *fx = with_wire();
	struct rpc_context ctx = by_system(fx);
	pb_CreateAccountReply account;
	pb_SessionReply session;
	pb_ResolveTokenReply answer;

	create(fx, &ctx, "alice", &account);
	ctx = by_system(fx);
	ck_assert_int_eq(
		api_create_token(wire.client, fx->mem, &ctx,
			&(pb_CreateTokenRequest){
				.username = (char *)"alice", .client_label = (char *)"ctl", .days = 1},
			&session, &fx->outcome),
		STATUS_OK);
	ck_assert_int_eq(api_resolve_token(wire.client, fx->mem, &ctx,
				 &(pb_ResolveTokenRequest){.token = session.token}, &answer, &fx->outcome),
		STATUS_OK);
	ck_assert_uint_eq(answer.account.id, account.account.id);
	ck_assert_uint_eq(answer.session_id, session.session_id);
	ck_assert_uint_eq(answer.user_stream_seq, 2);
	ck_assert_uint_eq(answer.expires_at_ms, session.expires_at_ms);
	ck_assert_str_eq(answer.client_label, "ctl");
	without_wire(fx);
}
END_TEST

START_TEST(many_tokens_are_resolved_at_once_each_with_its_own_answer)
{
	struct fixture *fx = with_wire();
	struct rpc_context ctx = by_system(fx);
	char alice_token[TOKEN_TEXT_SIZE], bob_token[TOKEN_TEXT_SIZE], carol_token[TOKEN_TEXT_SIZE];
	struct token_answer alice = person(fx, "alice", alice_token), bob = person(fx, "bob", bob_token);
	pb_DisableAccountReply disabled;
	pb_ResolveTokensReply answer;
	char unknown[TOKEN_TEXT_SIZE];
	uint8_t hash[TOKEN_HASH_BYTES];

	person(fx, "carol", carol_token);
	ck_assert_int_eq(api_disable_account(wire.client, fx->mem, &ctx,
				 &(pb_DisableAccountRequest){.username = (char *)"carol", .disabled = true}, &disabled, &fx->outcome),
		STATUS_OK);
	token_make(unknown, hash);
	pb_ResolveTokenRequest tokens[] = {{.token = bob_token}, {.token = (char *)"no token"}, {.token = alice_token}, {.token = unknown},
		{.token = carol_token}, {.token = bob_token}};
	pb_ResolveTokensRequest rq = {.tokens_count = 6, .tokens = tokens};

	ctx = by_system(fx);
	ck_assert_int_eq(api_resolve_tokens(wire.client, fx->mem, &ctx, &rq, &answer, &fx->outcome), STATUS_OK);

	static const enum status expected[] = {STATUS_OK, STATUS_UNAUTHENTICATED, STATUS_OK, STATUS_UNAUTHENTICATED,
		STATUS_UNAUTHENTICATED, STATUS_OK};
	ck_assert_uint_eq(answer.answers_count, 6);
	for (size_t i = 0; i < 6; i++)
		ck_assert_int_eq(status_from_number(answer.answers[i].status), expected[i]);
	ck_assert_uint_eq(answer.answers[0].reply.account.id, bob.account.id);
	ck_assert_uint_eq(answer.answers[2].reply.account.id, alice.account.id);
	ck_assert_uint_eq(answer.answers[2].reply.session_id, alice.session_id);
	ck_assert_uint_eq(answer.answers[2].reply.user_stream_seq, alice.user_stream_seq);
	ck_assert_uint_eq(answer.answers[2].reply.generation, alice.generation);
	ck_assert(answer.answers[2].reply.may_write);
	ck_assert_uint_eq(answer.answers[5].reply.account.id, bob.account.id);
	ck_assert_str_eq(answer.answers[4].why, "disabled");
	without_wire(fx);
}
END_TEST

START_TEST(more_tokens_than_may_be_asked_at_once_are_refused)
{
	struct fixture *fx = with_wire();
	struct rpc_context ctx = by_system(fx);
	pb_ResolveTokenRequest tokens[TOKENS_AT_ONCE + 1] = {0};
	pb_ResolveTokensRequest rq = {.tokens_count = TOKENS_AT_ONCE + 1, .tokens = tokens};
	pb_ResolveTokensReply answer;

	ck_assert_int_eq(api_resolve_tokens(wire.client, fx->mem, &ctx, &rq, &answer, &fx->outcome), STATUS_TOO_LARGE);
	without_wire(fx);
}
END_TEST

START_TEST(a_token_of_a_disabled_account_says_so)
{
	struct fixture *fx = with_wire();
	struct rpc_context ctx = by_system(fx);
	pb_CreateAccountReply account;
	pb_DisableAccountReply disabled;
	pb_SessionReply session;
	pb_ResolveTokenReply answer;

	create(fx, &ctx, "alice", &account);
	ctx = by_system(fx);
	api_create_token(wire.client, fx->mem, &ctx, &(pb_CreateTokenRequest){.username = (char *)"alice"},
		&session, &fx->outcome);
	ck_assert_int_eq(api_disable_account(wire.client, fx->mem, &ctx,
				 &(pb_DisableAccountRequest){.username = (char *)"alice", .disabled = true},
				 &disabled, &fx->outcome),
		STATUS_OK);
	ck_assert(disabled.account.disabled);
	ck_assert_int_eq(api_resolve_token(wire.client, fx->mem, &ctx,
				 &(pb_ResolveTokenRequest){.token = session.token}, &answer, &fx->outcome),
		STATUS_UNAUTHENTICATED);
	ck_assert_str_eq(fx->outcome.why, "disabled");
	without_wire(fx);
}
END_TEST

START_TEST(only_the_system_makes_tokens_and_sees_epochs)
{
	struct fixture *fx = with_wire();
	struct token_answer alice = person(fx, "alice", NULL);
	struct rpc_context ctx = by(fx, &alice);
	pb_SessionReply session;
	pb_GetAccountsReply accounts;
	pb_GetAccountsRequest rq = {.username = (char *)"ALICE"};

	ck_assert_int_eq(
		api_create_token(wire.client, fx->mem, &ctx,
			&(pb_CreateTokenRequest){.username = (char *)"alice"}, &session, &fx->outcome),
		STATUS_FORBIDDEN);
	ck_assert_int_eq(
		api_get_accounts(wire.client, fx->mem, &ctx, &rq, &accounts, &fx->outcome), STATUS_OK);
	ck_assert_uint_eq(accounts.accounts_count, 1);
	ck_assert_uint_eq(accounts.epochs_count, 0);
	ctx = by_system(fx);
	ck_assert_int_eq(
		api_get_accounts(wire.client, fx->mem, &ctx, &rq, &accounts, &fx->outcome), STATUS_OK);
	ck_assert_uint_eq(accounts.epochs_count, 1);
	without_wire(fx);
}
END_TEST

START_TEST(a_session_is_opened_by_password)
{
	struct fixture *fx = with_wire();
	struct rpc_context ctx = by_system(fx);
	pb_CreateAccountReply account;
	pb_SessionReply session;
	pb_OpenSessionRequest rq = {.login = (char *)"alice", .password = (char *)PASSWORD};

	create(fx, &ctx, "alice", &account);
	ctx = by_system(fx);
	ck_assert_int_eq(
		api_open_session(wire.client, fx->mem, &ctx, &rq, &session, &fx->outcome), STATUS_OK);
	ck_assert(strncmp(session.token, "ghs_", 4) == 0);
	rq.password = (char *)"wrong horse";
	ck_assert_int_eq(api_open_session(wire.client, fx->mem, &ctx, &rq, &session, &fx->outcome),
		STATUS_WRONG_CREDENTIALS);
	without_wire(fx);
}
END_TEST

START_TEST(a_missing_field_is_a_status_and_no_crash)
{
	struct fixture *fx = with_wire();
	struct rpc_context ctx = by_system(fx);
	pb_CreateAccountReply account;
	pb_ResolveTokenReply answer;
	pb_SessionReply session;
	pb_GetAccountsReply accounts;

	ck_assert_int_eq(api_create_account(wire.client, fx->mem, &ctx, &(pb_CreateAccountRequest){0},
				 &account, &fx->outcome),
		STATUS_FIELD_INVALID);
	ck_assert_int_eq(api_resolve_token(wire.client, fx->mem, &ctx, &(pb_ResolveTokenRequest){0}, &answer,
				 &fx->outcome),
		STATUS_UNAUTHENTICATED);
	ck_assert_int_eq(api_open_session(wire.client, fx->mem, &ctx, &(pb_OpenSessionRequest){0}, &session,
				 &fx->outcome),
		STATUS_WRONG_CREDENTIALS);
	ck_assert_int_eq(api_create_token(wire.client, fx->mem, &ctx, &(pb_CreateTokenRequest){0}, &session,
				 &fx->outcome),
		STATUS_NOT_FOUND);
	ck_assert_int_eq(api_get_accounts(wire.client, fx->mem, &ctx, &(pb_GetAccountsRequest){0}, &accounts,
				 &fx->outcome),
		STATUS_OK);
	ck_assert_uint_eq(accounts.accounts_count, 0);
	without_wire(fx);
}
END_TEST

START_TEST(a_socket_is_not_for_a_token_that_may_not_read)
{
	struct fixture *fx = with_wire();
	struct token_answer owner = person(fx, "owner", NULL);
	struct account_new fields = {.username = "robot", .owner_id = owner.account.id};
	struct bot_token_new writing = {.label = "w", .scopes = SCOPE_BIT(SCOPE_WRITE)},
			     reading = {.label = "r", .scopes = SCOPE_BIT(SCOPE_READ)};
	struct rpc_context ctx = by(fx, &owner);
	char may_write[TOKEN_TEXT_SIZE], may_read[TOKEN_TEXT_SIZE];
	pb_ResolveTokenReply answer;
	struct bot_token token;
	pb_UserView bot;

	ck_assert_int_eq(accounts_create(&fx->api, fx->mem, &ctx, &fields, &bot, &fx->outcome), STATUS_OK);
	ctx = by(fx, &owner);
	ck_assert_int_eq(bot_tokens_create(&fx->api, fx->mem, &ctx, bot.id, &writing, may_write, &token, &fx->outcome),
		STATUS_OK);
	ctx = by(fx, &owner);
	ck_assert_int_eq(bot_tokens_create(&fx->api, fx->mem, &ctx, bot.id, &reading, may_read, &token, &fx->outcome),
		STATUS_OK);
	ck_assert_int_eq(api_resolve_token(wire.client, fx->mem, &ctx, &(pb_ResolveTokenRequest){.token = may_write},
				 &answer, &fx->outcome),
		STATUS_FORBIDDEN);
	ck_assert_str_eq(fx->outcome.why, "scope:read");
	ck_assert_int_eq(api_resolve_token(wire.client, fx->mem, &ctx, &(pb_ResolveTokenRequest){.token = may_read},
				 &answer, &fx->outcome),
		STATUS_OK);
	ck_assert(!answer.may_write);
	without_wire(fx);
}
END_TEST

static enum status announce(struct fixture *fx, const struct rpc_context *ctx, const char *title, const char *text,
	uint64_t until_ms, pb_AnnounceReply *out)
{
	pb_AnnounceRequest rq = {.title = (char *)title, .text = (char *)text, .until_ms = until_ms};

	return api_announce(wire.client, fx->mem, ctx, &rq, out, &fx->outcome);
}

START_TEST(the_operator_tells_everybody_and_a_repeat_says_it_once)
{
	struct fixture *fx = with_wire();
	struct rpc_context ctx = by_system(fx);
	pb_AnnounceReply first, again;

	ck_assert_int_eq(announce(fx, &ctx, "Tonight", "An update.", 0, &first), STATUS_OK);
	ck_assert_int_eq(announce(fx, &ctx, "Tonight", "An update.", 0, &again), STATUS_OK);
	ck_assert_uint_eq(again.id, first.id);
	ck_assert_int_eq(pg_number(fx->url, "SELECT count(*) FROM log.events WHERE rank = 3 AND id = 0 AND audience = "
					    "'all' AND kind = 167"),
		1);
	without_wire(fx);
}
END_TEST

START_TEST(what_is_announced_has_bounds_and_only_the_system_announces)
{
	struct fixture *fx = with_wire();
	struct token_answer alice = person(fx, "alice", NULL);
	struct rpc_context ctx = by_system(fx);
	char *long_text = arena_alloc(fx->mem, 4002);
	pb_AnnounceReply reply;

	memset(long_text, 'a', 4001);
	long_text[4001] = '\0';
	ck_assert_int_eq(announce(fx, &ctx, "", "x", 0, &reply), STATUS_FIELD_INVALID);
	ck_assert_str_eq(fx->outcome.field, "title");
	ck_assert_int_eq(announce(fx, &ctx, "x", "", 0, &reply), STATUS_FIELD_INVALID);
	ck_assert_int_eq(announce(fx, &ctx, "x", long_text, 0, &reply), STATUS_FIELD_INVALID);
	ck_assert_str_eq(fx->outcome.field, "text");
	ck_assert_int_eq(announce(fx, &ctx, "x", "y", 1, &reply), STATUS_FIELD_INVALID);
	ck_assert_str_eq(fx->outcome.field, "until");
	ctx = by(fx, &alice);
	ck_assert_int_eq(announce(fx, &ctx, "x", "y", 0, &reply), STATUS_FORBIDDEN);
	ck_assert_int_eq(events_of(fx, EVENT_KIND_operator_announced), 0);
	without_wire(fx);
}
END_TEST

TESTS("calls", a_socket_is_not_for_a_token_that_may_not_read,
	the_operator_tells_everybody_and_a_repeat_says_it_once,
	what_is_announced_has_bounds_and_only_the_system_announces, every_call_is_bound_once, the_system_makes_an_account_and_a_repeat_gets_the_same,
	a_token_made_by_the_system_resolves_with_epoch_and_position, many_tokens_are_resolved_at_once_each_with_its_own_answer,
	more_tokens_than_may_be_asked_at_once_are_refused, a_token_of_a_disabled_account_says_so,
	only_the_system_makes_tokens_and_sees_epochs, a_session_is_opened_by_password,
	a_missing_field_is_a_status_and_no_crash)
