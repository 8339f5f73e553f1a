#include "tests/unit/api/fixture.h"

START_TEST(a_token_resolves_to_its_account_and_session)
{
	struct fixture *fx = fixture_create();
	struct session_opened session;
	struct token_answer answer;
	pb_UserView account;

	register_as(fx, "alice", "a@example.org", &account);
	ck_assert_int_eq(sign_in(fx, "A@EXAMPLE.org", PASSWORD, &session), STATUS_OK);
	ck_assert(strncmp(session.token, "ghs_", 4) == 0);
	ck_assert_int_eq(resolve(fx, session.token, &answer), STATUS_OK);
	ck_assert_uint_eq(answer.account.id, account.id);
	ck_assert_uint_eq(answer.session_id, session.session_id);
	ck_assert_uint_eq(answer.user_stream_seq, 2);
	ck_assert_str_eq(answer.client_label, "test");
	ck_assert_int_eq(events_of(fx, EVENT_KIND_session_opened), 1);
	fixture_destroy(fx);
}
END_TEST

START_TEST(the_database_never_sees_a_token)
{
	struct fixture *fx = fixture_create();
	char token[TOKEN_TEXT_SIZE];

	person(fx, "alice", token);
	ck_assert_int_eq(
		pg_number(fx->url, arena_printf(fx->mem,
					   "SELECT count(*) FROM auth.sessions WHERE position('%s'::bytea IN "
					   "token_hash) > 0 OR octet_length(token_hash) <> 32",
					   token)),
		0);
	ck_assert_int_eq(
		pg_number(fx->url, arena_printf(fx->mem,
					   "SELECT count(*) FROM log.events WHERE position('%s'::bytea IN "
					   "payload) > 0",
					   token)),
		0);
	ck_assert_int_eq(
		pg_number(fx->url, arena_printf(fx->mem,
					   "SELECT count(*) FROM log.requests WHERE position('%s'::bytea IN "
					   "reply) > 0",
					   token)),
		0);
	fixture_destroy(fx);
}
END_TEST

START_TEST(name_and_password_are_wrong_in_the_same_way)
{
	struct fixture *fx = fixture_create();
	struct session_opened session;

	person(fx, "alice", NULL);
	ck_assert_int_eq(sign_in(fx, "alice", "wrong horse", &session), STATUS_WRONG_CREDENTIALS);
	ck_assert_ptr_null(fx->outcome.field);
	ck_assert_int_eq(sign_in(fx, "nobody", "wrong horse", &session), STATUS_WRONG_CREDENTIALS);
	ck_assert_ptr_null(fx->outcome.field);
	fixture_destroy(fx);
}
END_TEST

START_TEST(what_is_no_token_is_unauthenticated)
{
	struct fixture *fx = fixture_create();
	struct token_answer answer;
	char token[TOKEN_TEXT_SIZE];

	person(fx, "alice", token);
	ck_assert_int_eq(resolve(fx, "", &answer), STATUS_UNAUTHENTICATED);
	ck_assert_int_eq(resolve(fx, "ghs_", &answer), STATUS_UNAUTHENTICATED);
	token[10] = token[10] == 'a' ? 'b' : 'a';
	ck_assert_int_eq(resolve(fx, token, &answer), STATUS_UNAUTHENTICATED);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_revoked_session_is_over_at_once_and_raises_the_epoch)
{
	struct fixture *fx = fixture_create();
	char token[TOKEN_TEXT_SIZE];
	struct token_answer alice = person(fx, "alice", token), again;
	struct rpc_context ctx = by(fx, &alice);
	struct session_opened second;

	sign_in(fx, "alice", PASSWORD, &second);
	ck_assert_int_eq(resolve(fx, second.token, &again), STATUS_OK); /* and is kept */
	ck_assert_int_eq(
		sessions_revoke(&fx->api, fx->mem, &ctx, second.session_id, &fx->outcome), STATUS_OK);
	ck_assert_int_eq(resolve(fx, second.token, &again), STATUS_UNAUTHENTICATED);
	/* The kept answer of the first one carries the old epoch: a write with it is stale. */
	ctx = by(fx, &alice);
	ck_assert_int_eq(
		sessions_revoke(&fx->api, fx->mem, &ctx, second.session_id, &fx->outcome), STATUS_STALE);
	tokens_drop_session(fx->api.tokens, alice.session_id);
	ck_assert_int_eq(resolve(fx, token, &again), STATUS_OK);
	ck_assert_uint_eq(again.epoch, alice.epoch + 1);
	ctx = by(fx, &again);
	ck_assert_int_eq(
		sessions_revoke(&fx->api, fx->mem, &ctx, second.session_id, &fx->outcome), STATUS_NOT_FOUND);
	ck_assert_int_eq(events_of(fx, EVENT_KIND_session_revoked), 1);
	fixture_destroy(fx);
}
END_TEST

START_TEST(nobody_revokes_a_strangers_session)
{
	struct fixture *fx = fixture_create();
	char token[TOKEN_TEXT_SIZE];
	struct token_answer alice = person(fx, "alice", token), bob = person(fx, "bob", NULL), again;
	struct rpc_context ctx = by(fx, &bob);

	ck_assert_int_eq(
		sessions_revoke(&fx->api, fx->mem, &ctx, alice.session_id, &fx->outcome), STATUS_NOT_FOUND);
	ck_assert_int_eq(resolve(fx, token, &again), STATUS_OK);
	fixture_destroy(fx);
}
END_TEST

START_TEST(an_expired_session_is_over)
{
	struct fixture *fx = fixture_create();
	char token[TOKEN_TEXT_SIZE];
	struct token_answer alice = person(fx, "alice", token), again;

	pg_exec(fx->url, "UPDATE auth.sessions SET expires_at_ms = 1");
	tokens_drop_session(fx->api.tokens, alice.session_id);
	ck_assert_int_eq(resolve(fx, token, &again), STATUS_UNAUTHENTICATED);
	fixture_destroy(fx);
}
END_TEST

START_TEST(an_answer_is_kept_and_dropped_with_the_account)
{
	struct fixture *fx = fixture_create();
	char token[TOKEN_TEXT_SIZE];
	struct token_answer alice = person(fx, "alice", token), again;

	pg_exec(fx->url, "UPDATE auth.sessions SET revoked_at_ms = 1"); /* nobody was told */
	ck_assert_int_eq(resolve(fx, token, &again), STATUS_OK);
	tokens_drop_account(fx->api.tokens, alice.account.id);
	ck_assert_int_eq(resolve(fx, token, &again), STATUS_UNAUTHENTICATED);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_fresh_answer_does_not_come_from_memory)
{
	struct fixture *fx = fixture_create();
	char token[TOKEN_TEXT_SIZE];
	struct token_answer again;
	const char *why = NULL;

	person(fx, "alice", token);
	pg_exec(fx->url, "UPDATE auth.sessions SET revoked_at_ms = 1");
	ck_assert_int_eq(tokens_resolve(fx->api.tokens, fx->mem, token, true, deadline(), &again, &why),
		STATUS_UNAUTHENTICATED);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_kept_answer_of_a_lost_history_is_not_given)
{
	struct fixture *fx = fixture_create();
	char token[TOKEN_TEXT_SIZE];
	struct token_answer again;

	struct token_answer alice = person(fx, "alice", token);
	ck_assert_uint_ne(alice.generation, 0);
	/* The server that took over never had the session. One connection to it is all that it takes to know. */
	pg_exec(fx->url, "UPDATE auth.sessions SET revoked_at_ms = 1");
	pg_another_generation(fx->url);
	for (int64_t until = deadline(); db_met_generation(fx->api.db) == alice.generation && clock_mono_ms() < until;) {
		struct db_conn *conn = NULL;
		if (db_acquire(fx->api.db, until, &conn) == STATUS_OK)
			db_release(conn);
	}
	ck_assert_int_eq(resolve(fx, token, &again), STATUS_UNAUTHENTICATED);
	fixture_destroy(fx);
}
END_TEST

START_TEST(living_sessions_are_listed_newest_first)
{
	struct fixture *fx = fixture_create();
	struct token_answer alice = person(fx, "alice", NULL);
	struct session_opened second, third;
	struct session_row *rows;
	size_t count;
	bool more;

	sign_in(fx, "alice", PASSWORD, &second);
	sign_in(fx, "alice", PASSWORD, &third);
	ck_assert_int_eq(
		sessions_list(&fx->api, fx->mem, alice.account.id, 0, 0, 2, deadline(), &rows, &count, &more),
		STATUS_OK);
	ck_assert_uint_eq(count, 2);
	ck_assert(more);
	ck_assert_uint_eq(rows[0].id, third.session_id);
	ck_assert_uint_eq(rows[1].id, second.session_id);
	ck_assert_int_eq(sessions_list(&fx->api, fx->mem, alice.account.id, rows[1].id, 0, 2, deadline(),
				 &rows, &count, &more),
		STATUS_OK);
	ck_assert_uint_eq(count, 1);
	ck_assert(!more);
	ck_assert_uint_eq(rows[0].id, alice.session_id);
	fixture_destroy(fx);
}
END_TEST

START_TEST(the_system_opens_a_session_without_a_password)
{
	struct fixture *fx = fixture_create();
	struct rpc_context ctx = by_system(fx);
	struct session_opened session;
	struct token_answer answer;
	pb_UserView account;

	register_as(fx, "alice", NULL, &account);
	ck_assert_int_eq(
		sessions_open_for(&fx->api, fx->mem, &ctx, &(struct session_for){.username = "alice", .client_label = "ctl"},
			&session, &fx->outcome),
		STATUS_OK);
	ck_assert_int_eq(session.expires_at_ms, 0);
	ck_assert_int_eq(resolve(fx, session.token, &answer), STATUS_OK);
	ck_assert_int_eq(
		sessions_open_for(&fx->api, fx->mem, &ctx, &(struct session_for){.username = "nobody", .client_label = "ctl"},
			&session, &fx->outcome),
		STATUS_NOT_FOUND);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_session_of_crust_has_a_token_that_its_clients_take_and_lives_thirty_days)
{
	struct fixture *fx = fixture_create();
	struct rpc_context ctx = by_system(fx);
	struct session_opened session;
	struct token_answer answer;
	pb_UserView account;

	register_as(fx, "alice", NULL, &account);
	struct session_new fields = {.login = "alice", .password = PASSWORD, .dialect = DIALECT_CRUST};
	ck_assert_int_eq(sessions_open(&fx->api, fx->mem, &ctx, &fields, &session, &fx->outcome), STATUS_OK);
	ck_assert_uint_ge(strlen(session.token), 101);
	int64_t life_ms = session.expires_at_ms - clock_wall_ms();
	ck_assert(life_ms > INT64_C(29) * 86400000 && life_ms <= INT64_C(30) * 86400000);
	ck_assert_int_eq(resolve(fx, session.token, &answer), STATUS_OK);
	ck_assert_uint_eq(answer.session_id, session.session_id);
	ctx = by(fx, &answer);
	ck_assert_int_eq(sessions_revoke(&fx->api, fx->mem, &ctx, answer.session_id, &fx->outcome), STATUS_OK);
	ck_assert_int_eq(resolve(fx, session.token, &answer), STATUS_UNAUTHENTICATED);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_web_token_is_good_for_as_long_as_its_session_lives)
{
	struct fixture *fx = fixture_create();
	struct rpc_context ctx = by_system(fx);
	struct session_opened session;
	struct token_answer answer;
	pb_UserView account;
	char forged[JWT_TEXT_SIZE];
	static const char secret[] = "a secret of more than thirty-two bytes";

	tokens_set_jwt_secret(fx->api.tokens, secret);
	register_as(fx, "alice", NULL, &account);
	struct session_for fields = {.username = "alice", .days = 7, .dialect = DIALECT_CRUST};
	ck_assert_int_eq(sessions_open_for(&fx->api, fx->mem, &ctx, &fields, &session, &fx->outcome), STATUS_OK);
	ck_assert_int_eq(strncmp(session.token, "eyJ", 3), 0);
	ck_assert(jwt_holds(fx->mem, secret, session.token, clock_wall_ms()));
	ck_assert_int_eq(resolve(fx, session.token, &answer), STATUS_OK);
	ck_assert_uint_eq(answer.account.id, account.id);
	/* who knows the secret can sign, but there is no session behind it */
	jwt_make(fx->mem, secret, account.id, 0, "2", forged);
	ck_assert_int_eq(resolve(fx, forged, &answer), STATUS_UNAUTHENTICATED);
	tokens_set_jwt_secret(fx->api.tokens, "another secret of more than thirty-two bytes");
	ck_assert_int_eq(resolve(fx, session.token, &answer), STATUS_UNAUTHENTICATED);
	tokens_set_jwt_secret(fx->api.tokens, secret);
	pg_exec(fx->url, "UPDATE auth.sessions SET revoked_at_ms = 1");
	tokens_drop_account(fx->api.tokens, account.id);
	ck_assert_int_eq(resolve(fx, session.token, &answer), STATUS_UNAUTHENTICATED);
	fixture_destroy(fx);
}
END_TEST

START_TEST(sessions_that_ended_long_ago_are_thrown_away)
{
	struct fixture *fx = fixture_create();
	size_t count = 0;

	person(fx, "alice", NULL);
	person(fx, "bob", NULL);
	pg_exec(fx->url, "UPDATE auth.sessions SET revoked_at_ms = 1000 WHERE id = (SELECT min(id) FROM "
			 "auth.sessions)");
	ck_assert_int_eq(sessions_purge(&fx->api, fx->mem, 1000, deadline(), &count), STATUS_OK);
	ck_assert_uint_eq(count, 0);
	ck_assert_int_eq(sessions_purge(&fx->api, fx->mem, 1001, deadline(), &count), STATUS_OK);
	ck_assert_uint_eq(count, 1);
	ck_assert_int_eq(pg_number(fx->url, "SELECT count(*) FROM auth.sessions"), 1);
	fixture_destroy(fx);
}
END_TEST

TESTS("sessions", a_token_resolves_to_its_account_and_session, the_database_never_sees_a_token,
	name_and_password_are_wrong_in_the_same_way, what_is_no_token_is_unauthenticated,
	a_revoked_session_is_over_at_once_and_raises_the_epoch, nobody_revokes_a_strangers_session,
	an_expired_session_is_over, an_answer_is_kept_and_dropped_with_the_account,
	a_fresh_answer_does_not_come_from_memory, a_kept_answer_of_a_lost_history_is_not_given, living_sessions_are_listed_newest_first,
	the_system_opens_a_session_without_a_password,
	a_session_of_crust_has_a_token_that_its_clients_take_and_lives_thirty_days,
	a_web_token_is_good_for_as_long_as_its_session_lives, sessions_that_ended_long_ago_are_thrown_away)
