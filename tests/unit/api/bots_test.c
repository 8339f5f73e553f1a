/* Bots, their tokens, and what they share of their owner's fate. */
#include "services/api/bot_tokens.h"
#include "services/api/bots.h"
#include "services/api/scopes.h"
#include "tests/unit/api/fixture.h"

static enum status make_bot(
	struct fixture *fx, const struct token_answer *owner, const char *username, pb_UserView *out)
{
	struct rpc_context ctx = by(fx, owner);
	struct account_new fields = {.username = username, .owner_id = owner->account.id};

	return accounts_create(&fx->api, fx->mem, &ctx, &fields, out, &fx->outcome);
}

static enum status give_token(struct fixture *fx, const struct token_answer *owner, uint64_t bot_id,
	uint64_t scopes, char out_text[TOKEN_TEXT_SIZE], struct bot_token *out)
{
	struct rpc_context ctx = by(fx, owner);
	struct bot_token_new fields = {.label = "ci", .scopes = scopes};

	return bot_tokens_create(&fx->api, fx->mem, &ctx, bot_id, &fields, out_text, out, &fx->outcome);
}

struct world {
	struct fixture *fx;
	char owner_token[TOKEN_TEXT_SIZE];
	struct token_answer owner;
	pb_UserView bot;
	struct bot_token token;
	char text[TOKEN_TEXT_SIZE];
};

static struct world world_create(uint64_t scopes)
{
	struct world w = {.fx = fixture_create()};

	w.owner = person(w.fx, "owner", w.owner_token);
	ck_assert_int_eq(make_bot(w.fx, &w.owner, "robot", &w.bot), STATUS_OK);
	ck_assert_int_eq(give_token(w.fx, &w.owner, w.bot.id, scopes, w.text, &w.token), STATUS_OK);
	return w;
}

START_TEST(a_bot_is_an_account_with_an_owner_and_without_a_password)
{
	struct world w = world_create(SCOPES_BOT);

	ck_assert(w.bot.bot);
	ck_assert_int_eq(pg_number(w.fx->url, "SELECT count(*) FROM auth.accounts o JOIN auth.accounts b ON "
					      "b.owner_id = o.id WHERE o.username = 'owner' AND b.bot AND "
					      "b.password_hash IS NULL AND b.username = 'robot'"),
		1);
	ck_assert_int_eq(events_of(w.fx, EVENT_KIND_account_created), 2);
	fixture_destroy(w.fx);
}
END_TEST

START_TEST(a_bot_cannot_sign_in)
{
	struct world w = world_create(SCOPES_BOT);
	struct session_opened session;

	ck_assert_int_eq(sign_in(w.fx, "robot", PASSWORD, &session), STATUS_WRONG_CREDENTIALS);
	ck_assert_int_eq(sign_in(w.fx, "robot", "", &session), STATUS_WRONG_CREDENTIALS);
	fixture_destroy(w.fx);
}
END_TEST

START_TEST(the_26th_bot_is_refused_and_a_deleted_one_makes_room)
{
	struct fixture *fx = fixture_create();
	struct token_answer owner = person(fx, "owner", NULL);
	pb_UserView bot;

	for (int i = 0; i < ACCOUNT_BOTS_MOST; i++)
		ck_assert_int_eq(make_bot(fx, &owner, arena_printf(fx->mem, "robot%d", i), &bot), STATUS_OK);
	ck_assert_int_eq(make_bot(fx, &owner, "one_more", &bot), STATUS_AT_LIMIT);
	ck_assert_str_eq(fx->outcome.why, "bots");
	pb_UserView *bots;
	size_t count;
	bool more;
	ck_assert_int_eq(
		bots_list(&fx->api, fx->mem, owner.account.id, 0, 0, 10, deadline(), &bots, &count, &more),
		STATUS_OK);
	ck_assert_uint_eq(count, 10);
	ck_assert(more);
	struct rpc_context ctx = by(fx, &owner);
	ck_assert_int_eq(bots_delete(&fx->api, fx->mem, &ctx, bots[0].id, &fx->outcome), STATUS_OK);
	ck_assert_int_eq(make_bot(fx, &owner, "one_more", &bot), STATUS_OK);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_token_resolves_to_the_bot_with_its_scopes_and_a_person_has_all)
{
	struct world w = world_create(SCOPE_BIT(SCOPE_READ) | SCOPE_BIT(SCOPE_MODERATE));
	struct token_answer answer;

	ck_assert_int_eq(resolve(w.fx, w.text, &answer), STATUS_OK);
	ck_assert_uint_eq(answer.account.id, w.bot.id);
	ck_assert(answer.account.bot);
	ck_assert(scopes_allow(answer.scopes, SCOPE_READ));
	ck_assert(scopes_allow(answer.scopes, SCOPE_MODERATE));
	ck_assert(scopes_allow(answer.scopes, SCOPE_NONE));
	ck_assert(!scopes_allow(answer.scopes, SCOPE_WRITE));
	ck_assert(!scopes_allow(answer.scopes, SCOPE_ACCOUNT));
	ck_assert(scopes_allow(w.owner.scopes, SCOPE_ACCOUNT));
	ck_assert(scopes_allow(w.owner.scopes, SCOPE_WRITE));
	fixture_destroy(w.fx);
}
END_TEST

START_TEST(no_token_of_a_bot_ever_has_the_account_scope)
{
	struct world w = world_create(UINT64_MAX);
	struct token_answer answer;

	ck_assert_int_eq(resolve(w.fx, w.text, &answer), STATUS_OK);
	ck_assert_uint_eq(answer.scopes, SCOPES_BOT);
	pg_exec(w.fx->url, "UPDATE auth.sessions SET scopes = -1 WHERE kind = 2");
	tokens_drop_account(w.fx->api.tokens, w.bot.id);
	ck_assert_int_eq(resolve(w.fx, w.text, &answer), STATUS_OK);
	ck_assert(!scopes_allow(answer.scopes, SCOPE_ACCOUNT));
	fixture_destroy(w.fx);
}
END_TEST

START_TEST(a_repeated_request_gives_the_same_token_without_its_text)
{
	struct world w = world_create(SCOPES_BOT);
	struct rpc_context ctx = by(w.fx, &w.owner);
	struct bot_token_new fields = {.label = "twice", .scopes = SCOPE_BIT(SCOPE_READ)};
	struct bot_token first, again;
	char text[TOKEN_TEXT_SIZE];

	ck_assert_int_eq(bot_tokens_create(&w.fx->api, w.fx->mem, &ctx, w.bot.id, &fields, text, &first,
				 &w.fx->outcome),
		STATUS_OK);
	ck_assert_uint_eq(strlen(text), 47);
	ck_assert_int_eq(bot_tokens_create(&w.fx->api, w.fx->mem, &ctx, w.bot.id, &fields, text, &again,
				 &w.fx->outcome),
		STATUS_OK);
	ck_assert_str_eq(text, "");
	ck_assert_uint_eq(again.id, first.id);
	ck_assert_str_eq(again.label, "twice");
	ck_assert_uint_eq(again.scopes, SCOPE_BIT(SCOPE_READ));
	ck_assert_int_eq(pg_number(w.fx->url, "SELECT count(*) FROM auth.sessions WHERE kind = 2"), 2);
	fixture_destroy(w.fx);
}
END_TEST

START_TEST(a_token_needs_a_label_a_scope_and_an_end_in_the_future)
{
	struct world w = world_create(SCOPES_BOT);
	struct rpc_context ctx = by(w.fx, &w.owner);
	struct bot_token token;
	char text[TOKEN_TEXT_SIZE];
	const struct {
		struct bot_token_new fields;
		const char *field;
	} bad[] = {
		{{.label = "", .scopes = 1}, "label"},
		{{.label = "x", .scopes = 0}, "scopes"},
		{{.label = "x", .scopes = SCOPE_BIT(SCOPE_ACCOUNT)}, "scopes"},
		{{.label = "x", .scopes = 1, .expires_at_ms = 1}, "expires_at"},
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		ck_assert_int_eq(bot_tokens_create(&w.fx->api, w.fx->mem, &ctx, w.bot.id, &bad[i].fields,
					 text, &token, &w.fx->outcome),
			STATUS_FIELD_INVALID);
		ck_assert_str_eq(w.fx->outcome.field, bad[i].field);
	}
	fixture_destroy(w.fx);
}
END_TEST

START_TEST(a_token_that_expires_is_over)
{
	struct world w = world_create(SCOPES_BOT);
	struct token_answer answer;

	pg_exec(w.fx->url, "UPDATE auth.sessions SET expires_at_ms = 1 WHERE kind = 2");
	ck_assert_int_eq(resolve(w.fx, w.text, &answer), STATUS_UNAUTHENTICATED);
	fixture_destroy(w.fx);
}
END_TEST

START_TEST(a_bot_has_at_most_25_living_tokens)
{
	struct world w = world_create(SCOPES_BOT);
	struct bot_token token;
	char text[TOKEN_TEXT_SIZE];

	for (int i = 1; i < BOT_TOKENS_MOST; i++)
		ck_assert_int_eq(give_token(w.fx, &w.owner, w.bot.id, 1, text, &token), STATUS_OK);
	ck_assert_int_eq(give_token(w.fx, &w.owner, w.bot.id, 1, text, &token), STATUS_AT_LIMIT);
	struct rpc_context ctx = by(w.fx, &w.owner);
	ck_assert_int_eq(bot_tokens_revoke(&w.fx->api, w.fx->mem, &ctx, w.bot.id, w.token.id, &w.fx->outcome),
		STATUS_OK);
	ck_assert_int_eq(give_token(w.fx, &w.owner, w.bot.id, 1, text, &token), STATUS_OK);
	fixture_destroy(w.fx);
}
END_TEST

START_TEST(changing_scopes_raises_the_epoch_and_says_so_once)
{
	struct world w = world_create(SCOPES_BOT);
	struct rpc_context ctx = by(w.fx, &w.owner);
	struct token_answer before, after;
	struct bot_token token;

	resolve(w.fx, w.text, &before);
	ck_assert_int_eq(bot_tokens_update(&w.fx->api, w.fx->mem, &ctx, w.bot.id, w.token.id, "renamed",
				 SCOPE_BIT(SCOPE_READ), &token, &w.fx->outcome),
		STATUS_OK);
	ck_assert_str_eq(token.label, "renamed");
	ck_assert_uint_eq(token.scopes, SCOPE_BIT(SCOPE_READ));
	ck_assert_int_eq(resolve(w.fx, w.text, &after), STATUS_OK); /* not what was kept */
	ck_assert_uint_eq(after.scopes, SCOPE_BIT(SCOPE_READ));
	ck_assert_uint_eq(after.epoch, before.epoch + 1);
	ctx = by(w.fx, &w.owner);
	ck_assert_int_eq(bot_tokens_update(&w.fx->api, w.fx->mem, &ctx, w.bot.id, w.token.id, "again", 0,
				 &token, &w.fx->outcome),
		STATUS_OK);
	ck_assert_int_eq(events_of(w.fx, EVENT_KIND_session_revoked), 1);
	fixture_destroy(w.fx);
}
END_TEST

START_TEST(a_revoked_token_is_over_at_once_and_not_listed)
{
	struct world w = world_create(SCOPES_BOT);
	struct rpc_context ctx = by(w.fx, &w.owner);
	struct token_answer answer;
	struct bot_token *tokens;
	size_t count;
	bool more;

	ck_assert_int_eq(resolve(w.fx, w.text, &answer), STATUS_OK);
	ck_assert_int_eq(bot_tokens_revoke(&w.fx->api, w.fx->mem, &ctx, w.bot.id, w.token.id, &w.fx->outcome),
		STATUS_OK);
	ck_assert_int_eq(resolve(w.fx, w.text, &answer), STATUS_UNAUTHENTICATED);
	ck_assert_int_eq(bot_tokens_list(&w.fx->api, w.fx->mem, w.owner.account.id, w.bot.id, 0, 0, 50,
				 deadline(), &tokens, &count, &more),
		STATUS_OK);
	ck_assert_uint_eq(count, 0);
	ck_assert_int_eq(events_of(w.fx, EVENT_KIND_session_revoked), 1);
	ctx = by(w.fx, &w.owner);
	ck_assert_int_eq(bot_tokens_revoke(&w.fx->api, w.fx->mem, &ctx, w.bot.id, w.token.id, &w.fx->outcome),
		STATUS_NOT_FOUND);
	fixture_destroy(w.fx);
}
END_TEST

START_TEST(a_strangers_bot_does_not_exist)
{
	struct world w = world_create(SCOPES_BOT);
	struct token_answer stranger = person(w.fx, "stranger", NULL);
	struct rpc_context ctx = by(w.fx, &stranger);
	struct account_change change = {.bot_id = w.bot.id, .has_bio = true, .bio = "mine"};
	struct account_own own;
	struct bot_token token, *tokens;
	char text[TOKEN_TEXT_SIZE];
	pb_UserView bot;
	size_t count;
	bool more;

	ck_assert_int_eq(bots_get(&w.fx->api, w.fx->mem, stranger.account.id, w.bot.id, deadline(), &bot),
		STATUS_NOT_FOUND);
	ck_assert_int_eq(accounts_update(&w.fx->api, w.fx->mem, &ctx, &change, &own, &w.fx->outcome),
		STATUS_NOT_FOUND);
	ck_assert_int_eq(
		bots_delete(&w.fx->api, w.fx->mem, &ctx, w.bot.id, &w.fx->outcome), STATUS_NOT_FOUND);
	ck_assert_int_eq(give_token(w.fx, &stranger, w.bot.id, 1, text, &token), STATUS_NOT_FOUND);
	ck_assert_int_eq(bot_tokens_list(&w.fx->api, w.fx->mem, stranger.account.id, w.bot.id, 0, 0, 50,
				 deadline(), &tokens, &count, &more),
		STATUS_NOT_FOUND);
	ck_assert_int_eq(bot_tokens_update(&w.fx->api, w.fx->mem, &ctx, w.bot.id, w.token.id, "mine", 0,
				 &token, &w.fx->outcome),
		STATUS_NOT_FOUND);
	ck_assert_int_eq(bot_tokens_revoke(&w.fx->api, w.fx->mem, &ctx, w.bot.id, w.token.id, &w.fx->outcome),
		STATUS_NOT_FOUND);
	fixture_destroy(w.fx);
}
END_TEST

START_TEST(somebody_else_is_nobodys_bot)
{
	struct fixture *fx = fixture_create();
	struct token_answer alice = person(fx, "alice", NULL), bob = person(fx, "bob", NULL);
	struct rpc_context ctx = by(fx, &alice);

	ck_assert_int_eq(
		bots_delete(&fx->api, fx->mem, &ctx, bob.account.id, &fx->outcome), STATUS_NOT_FOUND);
	ck_assert_int_eq(
		bots_delete(&fx->api, fx->mem, &ctx, alice.account.id, &fx->outcome), STATUS_NOT_FOUND);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_bots_profile_is_changed_by_its_owner)
{
	struct world w = world_create(SCOPES_BOT);
	struct rpc_context ctx = by(w.fx, &w.owner);
	struct account_change change = {.bot_id = w.bot.id,
		.has_display_name = true,
		.display_name = "Robot",
		.has_bio = true,
		.bio = "beep"};
	struct account_own own;

	ck_assert_int_eq(
		accounts_update(&w.fx->api, w.fx->mem, &ctx, &change, &own, &w.fx->outcome), STATUS_OK);
	ck_assert_uint_eq(own.view.id, w.bot.id);
	ck_assert_str_eq(own.view.display_name, "Robot");
	ck_assert_int_eq(events_of(w.fx, EVENT_KIND_account_updated), 1);
	ck_assert_int_eq(
		pg_number(w.fx->url, "SELECT count(*) FROM auth.accounts WHERE display_name IS NOT NULL AND NOT system"), 1);
	fixture_destroy(w.fx);
}
END_TEST

START_TEST(a_bot_of_a_disabled_owner_is_locked_out_until_he_is_back)
{
	struct world w = world_create(SCOPES_BOT);
	struct rpc_context ctx = by_system(w.fx);
	struct token_answer answer;
	pb_UserView account;
	const char *why = NULL;

	resolve(w.fx, w.text, &answer);
	ck_assert_int_eq(
		accounts_set_disabled(&w.fx->api, w.fx->mem, &ctx, "owner", true, &account, &w.fx->outcome),
		STATUS_OK);
	ck_assert_int_eq(pg_number(w.fx->url, "SELECT count(*) FROM auth.jobs WHERE kind = 'bots'"), 1);
	ck_assert_int_eq(bots_follow_owner(&w.fx->api, w.fx->mem, w.owner.account.id, deadline()), STATUS_OK);
	ck_assert_int_eq(
		tokens_resolve(w.fx->api.tokens, w.fx->mem, w.text, false, deadline(), &answer, &why),
		STATUS_UNAUTHENTICATED);
	ck_assert_str_eq(why, "disabled");
	ck_assert_int_eq(events_of(w.fx, EVENT_KIND_account_closed), 2);
	ck_assert_int_eq(
		accounts_set_disabled(&w.fx->api, w.fx->mem, &ctx, "owner", false, &account, &w.fx->outcome),
		STATUS_OK);
	ck_assert_int_eq(bots_follow_owner(&w.fx->api, w.fx->mem, w.owner.account.id, deadline()), STATUS_OK);
	ck_assert_int_eq(resolve(w.fx, w.text, &answer), STATUS_OK);
	ck_assert_int_eq(events_of(w.fx, EVENT_KIND_account_closed), 2);
	fixture_destroy(w.fx);
}
END_TEST

START_TEST(a_bot_ends_with_its_owner)
{
	struct world w = world_create(SCOPES_BOT);
	struct rpc_context ctx = by(w.fx, &w.owner);
	struct token_answer answer;

	ck_assert_int_eq(accounts_close(&w.fx->api, w.fx->mem, &ctx, PASSWORD, &w.fx->outcome), STATUS_OK);
	/* Before the job came. */
	ck_assert_int_eq(resolve(w.fx, w.text, &answer), STATUS_UNAUTHENTICATED);
	ck_assert_int_eq(bots_follow_owner(&w.fx->api, w.fx->mem, w.owner.account.id, deadline()), STATUS_OK);
	ck_assert_int_eq(
		pg_number(w.fx->url, "SELECT count(*) FROM auth.accounts WHERE bot AND erased_at_ms IS NOT "
				     "NULL AND username IS NULL"),
		1);
	ck_assert_int_eq(
		pg_number(w.fx->url,
			"SELECT count(*) FROM auth.sessions WHERE kind = 2 AND revoked_at_ms IS NULL"),
		0);
	ck_assert_int_eq(pg_number(w.fx->url, "SELECT count(*) FROM auth.jobs WHERE kind = 'erase'"), 2);
	ck_assert_int_eq(events_of(w.fx, EVENT_KIND_account_closed), 2);
	fixture_destroy(w.fx);
}
END_TEST

TESTS("bots", a_bot_is_an_account_with_an_owner_and_without_a_password, a_bot_cannot_sign_in,
	the_26th_bot_is_refused_and_a_deleted_one_makes_room,
	a_token_resolves_to_the_bot_with_its_scopes_and_a_person_has_all,
	no_token_of_a_bot_ever_has_the_account_scope,
	a_repeated_request_gives_the_same_token_without_its_text,
	a_token_needs_a_label_a_scope_and_an_end_in_the_future, a_token_that_expires_is_over,
	a_bot_has_at_most_25_living_tokens, changing_scopes_raises_the_epoch_and_says_so_once,
	a_revoked_token_is_over_at_once_and_not_listed, a_strangers_bot_does_not_exist,
	somebody_else_is_nobodys_bot, a_bots_profile_is_changed_by_its_owner,
	a_bot_of_a_disabled_owner_is_locked_out_until_he_is_back, a_bot_ends_with_its_owner)
