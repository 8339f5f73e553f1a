#include "tests/unit/api/fixture.h"

START_TEST(registering_makes_account_stream_and_event_in_one_commit)
{
	struct fixture *fx = fixture_create();
	pb_UserView account;

	ck_assert_int_eq(register_as(fx, "alice", "a@example.org", &account), STATUS_OK);
	ck_assert_str_eq(account.username, "alice");
	ck_assert_int_eq(
		pg_number(fx->url, "SELECT count(*) FROM log.streams s JOIN auth.accounts a ON a.id = s.id "
				   "WHERE s.rank = 2 AND s.seq = 1"),
		1);
	ck_assert_int_eq(events_of(fx, EVENT_KIND_account_created), 1);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_password_is_stored_as_argon2id_only)
{
	struct fixture *fx = fixture_create();
	pb_UserView account;

	register_as(fx, "alice", NULL, &account);
	ck_assert_int_eq(pg_number(fx->url,
				 "SELECT count(*) FROM auth.accounts WHERE password_hash LIKE '$argon2id$%'"),
		1);
	ck_assert_int_eq(
		pg_number(fx->url, "SELECT count(*) FROM log.requests WHERE body_hash IS NOT NULL"), 0);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_name_or_address_is_taken_whatever_its_case)
{
	struct fixture *fx = fixture_create();
	pb_UserView account;

	register_as(fx, "alice", "a@example.org", &account);
	ck_assert_int_eq(register_as(fx, "alice", NULL, &account), STATUS_CONFLICT);
	ck_assert_str_eq(fx->outcome.field, "username");
	ck_assert_int_eq(register_as(fx, "bob", "A@Example.ORG", &account), STATUS_CONFLICT);
	ck_assert_str_eq(fx->outcome.field, "email");
	ck_assert_int_eq(events_of(fx, EVENT_KIND_account_created), 1);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_repeated_request_is_answered_with_the_same_account)
{
	struct fixture *fx = fixture_create();
	struct rpc_context ctx = by_system(fx);
	struct account_new fields = {.username = "alice", .password = PASSWORD};
	pb_UserView first, again;

	ck_assert_int_eq(accounts_create(&fx->api, fx->mem, &ctx, &fields, &first, &fx->outcome), STATUS_OK);
	ck_assert_int_eq(accounts_create(&fx->api, fx->mem, &ctx, &fields, &again, &fx->outcome), STATUS_OK);
	ck_assert(fx->outcome.replayed);
	ck_assert_uint_eq(first.id, again.id);
	ck_assert_int_eq(events_of(fx, EVENT_KIND_account_created), 1);
	fixture_destroy(fx);
}
END_TEST

START_TEST(what_cannot_be_a_name_or_address_says_so)
{
	ck_assert_ptr_null(account_username_fault("al"));
	ck_assert_ptr_null(account_username_fault("a.l_i-c3"));
	ck_assert_ptr_nonnull(account_username_fault("a"));
	ck_assert_ptr_nonnull(account_username_fault("Alice"));
	ck_assert_ptr_nonnull(account_username_fault("al ice"));
	ck_assert_ptr_nonnull(account_username_fault("älice"));
	ck_assert_ptr_nonnull(account_username_fault("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
	ck_assert_ptr_null(account_email_fault("a@b.c"));
	ck_assert_ptr_nonnull(account_email_fault("a@b"));
	ck_assert_ptr_nonnull(account_email_fault("@b.c"));
	ck_assert_ptr_nonnull(account_email_fault("a@b@c.d"));
	ck_assert_ptr_nonnull(account_email_fault("a b@c.d"));
	ck_assert_ptr_nonnull(account_email_fault("a@b.c\r\n"));
	ck_assert_ptr_null(account_url_fault("https://a/b?c=d"));
	ck_assert_ptr_nonnull(account_url_fault("javascript:alert(1)"));
	ck_assert_ptr_nonnull(account_url_fault("https://a/\"b"));
}
END_TEST

START_TEST(a_profile_change_tells_what_changed_and_leaves_a_job)
{
	struct fixture *fx = fixture_create();
	struct token_answer alice = person(fx, "alice", NULL);
	struct rpc_context ctx = by(fx, &alice);
	struct account_change change = {
		.has_display_name = true, .display_name = "Alice", .has_bio = true, .bio = NULL};
	struct account_own own;

	ck_assert_int_eq(accounts_update(&fx->api, fx->mem, &ctx, &change, &own, &fx->outcome), STATUS_OK);
	ck_assert_str_eq(own.view.display_name, "Alice");
	ck_assert_int_eq(events_of(fx, EVENT_KIND_account_updated), 1);
	ck_assert_int_eq(pg_number(fx->url, "SELECT count(*) FROM auth.jobs WHERE kind = 'profile' "
					    "AND state -> 'changed' = '[\"display_name\"]'"),
		1);
	fixture_destroy(fx);
}
END_TEST

START_TEST(changing_nothing_says_nothing)
{
	struct fixture *fx = fixture_create();
	struct token_answer alice = person(fx, "alice", NULL);
	struct rpc_context ctx = by(fx, &alice);
	struct account_change change = {.has_username = true, .username = "alice", .has_bio = true};
	struct account_own own;

	ck_assert_int_eq(accounts_update(&fx->api, fx->mem, &ctx, &change, &own, &fx->outcome), STATUS_OK);
	ck_assert_int_eq(events_of(fx, EVENT_KIND_account_updated), 0);
	ck_assert_int_eq(pg_number(fx->url, "SELECT count(*) FROM auth.jobs"), 0);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_new_password_ends_the_other_sessions_and_keeps_this_one)
{
	struct fixture *fx = fixture_create();
	struct session_opened other;
	struct token_answer alice, again;
	char token[TOKEN_TEXT_SIZE];

	person(fx, "alice", token);
	sign_in(fx, "alice", PASSWORD, &other);
	resolve(fx, token, &alice);
	struct rpc_context ctx = by(fx, &alice);
	struct account_change change = {
		.has_password = true, .password = "battery staple", .current_password = PASSWORD};
	struct account_own own;
	ck_assert_int_eq(accounts_update(&fx->api, fx->mem, &ctx, &change, &own, &fx->outcome), STATUS_OK);
	ck_assert_int_eq(resolve(fx, other.token, &again), STATUS_UNAUTHENTICATED);
	ck_assert_int_eq(resolve(fx, token, &again), STATUS_OK);
	ck_assert_uint_gt(again.epoch, alice.epoch);
	ck_assert_int_eq(events_of(fx, EVENT_KIND_session_revoked), 1);
	ck_assert_int_eq(sign_in(fx, "alice", PASSWORD, &other), STATUS_WRONG_CREDENTIALS);
	ck_assert_int_eq(sign_in(fx, "alice", "battery staple", &other), STATUS_OK);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_password_is_not_changed_without_the_present_one)
{
	struct fixture *fx = fixture_create();
	struct token_answer alice = person(fx, "alice", NULL);
	struct rpc_context ctx = by(fx, &alice);
	struct account_change change = {.has_password = true, .password = "battery staple"};
	struct account_own own;

	ck_assert_int_eq(
		accounts_update(&fx->api, fx->mem, &ctx, &change, &own, &fx->outcome), STATUS_FIELD_INVALID);
	ck_assert_str_eq(fx->outcome.field, "current_password");
	change.current_password = "wrong horse";
	ck_assert_int_eq(
		accounts_update(&fx->api, fx->mem, &ctx, &change, &own, &fx->outcome), STATUS_FORBIDDEN);
	ck_assert_str_eq(fx->outcome.why, "wrong_password");
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_change_on_an_old_epoch_is_stale)
{
	struct fixture *fx = fixture_create();
	struct token_answer alice = person(fx, "alice", NULL);
	struct rpc_context ctx = by(fx, &alice);
	struct account_change change = {.has_bio = true, .bio = "hi"};
	struct account_own own;

	ctx.actor_epoch--;
	ck_assert_int_eq(accounts_update(&fx->api, fx->mem, &ctx, &change, &own, &fx->outcome), STATUS_STALE);
	ck_assert_str_eq(fx->outcome.why, "session");
	ck_assert_int_eq(events_of(fx, EVENT_KIND_account_updated), 0);
	fixture_destroy(fx);
}
END_TEST

START_TEST(closing_forgets_the_person_and_ends_every_session)
{
	struct fixture *fx = fixture_create();
	char token[TOKEN_TEXT_SIZE];
	struct token_answer alice = person(fx, "alice", token), again;
	struct rpc_context ctx = by(fx, &alice);
	pb_UserView account;

	ck_assert_int_eq(
		accounts_close(&fx->api, fx->mem, &ctx, "wrong horse", &fx->outcome), STATUS_FORBIDDEN);
	ck_assert_int_eq(accounts_close(&fx->api, fx->mem, &ctx, PASSWORD, &fx->outcome), STATUS_OK);
	ck_assert_int_eq(resolve(fx, token, &again), STATUS_UNAUTHENTICATED);
	ck_assert_int_eq(
		accounts_get(&fx->api, fx->mem, alice.account.id, deadline(), &account), STATUS_NOT_FOUND);
	ck_assert_int_eq(
		pg_number(fx->url,
			"SELECT count(*) FROM auth.accounts WHERE username IS NULL AND password_hash IS NULL "
			"AND erased_at_ms IS NOT NULL"),
		1);
	ck_assert_int_eq(pg_number(fx->url, "SELECT count(*) FROM auth.jobs WHERE kind = 'erase'"), 1);
	ck_assert_int_eq(events_of(fx, EVENT_KIND_account_closed), 1);
	/* The name is gone from the log as well, and may be taken again. */
	ck_assert_int_eq(
		pg_number(fx->url,
			"SELECT count(*) FROM log.events WHERE position('alice'::bytea IN payload) > 0"),
		0);
	ck_assert_int_eq(register_as(fx, "alice", NULL, &account), STATUS_OK);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_disabled_account_is_told_why_and_comes_back_without_its_tokens)
{
	struct fixture *fx = fixture_create();
	char token[TOKEN_TEXT_SIZE];
	struct token_answer answer = person(fx, "alice", token);
	struct rpc_context ctx = by_system(fx);
	struct session_opened session;
	pb_UserView account;
	const char *why = NULL;

	ck_assert_int_eq(
		accounts_set_disabled(&fx->api, fx->mem, &ctx, "Alice", true, &account, &fx->outcome),
		STATUS_OK);
	ck_assert_int_eq(tokens_resolve(fx->api.tokens, fx->mem, token, false, deadline(), &answer, &why),
		STATUS_UNAUTHENTICATED);
	ck_assert_str_eq(why, "disabled");
	ck_assert_int_eq(sign_in(fx, "alice", PASSWORD, &session), STATUS_UNAUTHENTICATED);
	ck_assert_int_eq(
		accounts_set_disabled(&fx->api, fx->mem, &ctx, "alice", true, &account, &fx->outcome),
		STATUS_OK);
	ck_assert_int_eq(events_of(fx, EVENT_KIND_account_closed), 1); /* it was so already */
	ck_assert_int_eq(
		accounts_set_disabled(&fx->api, fx->mem, &ctx, "alice", false, &account, &fx->outcome),
		STATUS_OK);
	ck_assert_int_eq(resolve(fx, token, &answer), STATUS_UNAUTHENTICATED); /* it ended then */
	ck_assert_int_eq(sign_in(fx, "alice", PASSWORD, &session), STATUS_OK);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_search_is_by_prefix_in_pages_both_ways)
{
	struct fixture *fx = fixture_create();
	pb_UserView account, *found;
	size_t count;
	bool more;

	for (const char *const *name = (const char *const[]){"ana", "anb", "anc", "a_c", "bob", NULL};
		*name != NULL; name++)
		register_as(fx, *name, NULL, &account);
	ck_assert_int_eq(accounts_search(&fx->api, fx->mem, "AN", 0, 0, 2, deadline(), &found, &count, &more),
		STATUS_OK);
	ck_assert_uint_eq(count, 2);
	ck_assert(more);
	ck_assert_str_eq(found[1].username, "anb");
	ck_assert_int_eq(accounts_search(&fx->api, fx->mem, "an", 0, found[1].id, 2, deadline(), &found,
				 &count, &more),
		STATUS_OK);
	ck_assert_uint_eq(count, 1);
	ck_assert(!more);
	ck_assert_str_eq(found[0].username, "anc");
	ck_assert_int_eq(accounts_search(&fx->api, fx->mem, "an", found[0].id, 0, 2, deadline(), &found,
				 &count, &more),
		STATUS_OK);
	ck_assert_uint_eq(count, 2);
	ck_assert_str_eq(found[0].username, "anb");
	/* No character is a wildcard. */
	ck_assert_int_eq(accounts_search(&fx->api, fx->mem, "a_", 0, 0, 9, deadline(), &found, &count, &more),
		STATUS_OK);
	ck_assert_uint_eq(count, 1);
	ck_assert_int_eq(accounts_search(&fx->api, fx->mem, "%", 0, 0, 9, deadline(), &found, &count, &more),
		STATUS_OK);
	ck_assert_uint_eq(count, 0);
	fixture_destroy(fx);
}
END_TEST

START_TEST(many_accounts_come_in_the_order_asked_for)
{
	struct fixture *fx = fixture_create();
	pb_UserView a, b, *found;
	uint64_t *epochs;
	size_t count;

	register_as(fx, "alice", NULL, &a);
	register_as(fx, "bob", NULL, &b);
	uint64_t ids[] = {b.id, 12345, a.id};
	ck_assert_int_eq(
		accounts_get_many(&fx->api, fx->mem, ids, 3, deadline(), &found, &epochs, &count), STATUS_OK);
	ck_assert_uint_eq(count, 2);
	ck_assert_uint_eq(found[0].id, b.id);
	ck_assert_uint_eq(found[1].id, a.id);
	ck_assert_uint_eq(epochs[0], 0);
	fixture_destroy(fx);
}
END_TEST

TESTS("accounts", registering_makes_account_stream_and_event_in_one_commit,
	a_password_is_stored_as_argon2id_only, a_name_or_address_is_taken_whatever_its_case,
	a_repeated_request_is_answered_with_the_same_account, what_cannot_be_a_name_or_address_says_so,
	a_profile_change_tells_what_changed_and_leaves_a_job, changing_nothing_says_nothing,
	a_new_password_ends_the_other_sessions_and_keeps_this_one,
	a_password_is_not_changed_without_the_present_one, a_change_on_an_old_epoch_is_stale,
	closing_forgets_the_person_and_ends_every_session, a_disabled_account_is_told_why_and_comes_back_without_its_tokens,
	a_search_is_by_prefix_in_pages_both_ways, many_accounts_come_in_the_order_asked_for)
