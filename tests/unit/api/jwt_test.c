/* Tokens in the form of JSON web tokens: what is made holds, and nothing else does. */
#include <sodium.h>
#include <string.h>

#include "services/api/jwt.h"
#include "tests/unit/main.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define NOW_MS INT64_C(1700000000000)

static void sign(struct arena *mem, const char *header, const char *claims, char out[JWT_TEXT_SIZE])
{
	unsigned char tag[crypto_auth_hmacsha256_BYTES];
	char h[256], c[512], t[64];
	crypto_auth_hmacsha256_state state;

	sodium_bin2base64(h, sizeof h, (const unsigned char *)header, strlen(header), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_bin2base64(c, sizeof c, (const unsigned char *)claims, strlen(claims), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	const char *signed_text = arena_printf(mem, "%s.%s", h, c);
	crypto_auth_hmacsha256_init(&state, (const unsigned char *)SECRET, strlen(SECRET));
	crypto_auth_hmacsha256_update(&state, (const unsigned char *)signed_text, strlen(signed_text));
	crypto_auth_hmacsha256_final(&state, tag);
	sodium_bin2base64(t, sizeof t, tag, sizeof tag, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	snprintf(out, JWT_TEXT_SIZE, "%s.%s", signed_text, t);
}

START_TEST(a_token_holds_until_it_ends_under_its_own_secret_only)
{
	struct arena *mem = arena_create();
	char token[JWT_TEXT_SIZE], again[JWT_TEXT_SIZE];

	jwt_make(mem, SECRET, 4711, NOW_MS + 5000, "2 117", token);
	ck_assert_uint_gt(strlen(token), 100);
	ck_assert(jwt_holds(mem, SECRET, token, NOW_MS));
	ck_assert(!jwt_holds(mem, SECRET, token, NOW_MS + 5000));
	ck_assert(!jwt_holds(mem, "0123456789abcdef0123456789abcdeX", token, NOW_MS));
	jwt_make(mem, SECRET, 4711, NOW_MS + 5000, "2 117", again);
	ck_assert_str_ne(token, again);
	jwt_make(mem, SECRET, 4711, 0, NULL, token);
	ck_assert(jwt_holds(mem, SECRET, token, NOW_MS + INT64_C(100) * 365 * 86400000));
	arena_destroy(mem);
}
END_TEST

START_TEST(a_token_changed_anywhere_does_not_hold)
{
	struct arena *mem = arena_create();
	char token[JWT_TEXT_SIZE];

	jwt_make(mem, SECRET, 4711, NOW_MS + 5000, NULL, token);
	for (size_t i = 0; token[i] != '\0'; i++) {
		char was = token[i];
		token[i] = was == 'A' ? 'B' : 'A';
		/* The last character holds two bits that are no part of the signature. */
		if (token[i + 1] != '\0')
			ck_assert_msg(!jwt_holds(mem, SECRET, token, NOW_MS), "character %zu", i);
		token[i] = '\0';
		ck_assert(!jwt_holds(mem, SECRET, token, NOW_MS));
		token[i] = was;
	}
	ck_assert(jwt_holds(mem, SECRET, token, NOW_MS));
	arena_destroy(mem);
}
END_TEST

START_TEST(the_algorithm_is_ours_and_the_claims_are_asked_for)
{
	static const char hs256[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
	static const struct {
		const char *header, *claims;
		bool holds;
	} rows[] = {
		{hs256, "{\"userID\":\"1\",\"exp\":1700000001}", true},
		{hs256, "{\"userID\":\"1\",\"exp\":1700000001,\"memberOf\":\"1\"}", true},
		{"{\"alg\":\"none\",\"typ\":\"JWT\"}", "{\"userID\":\"1\",\"exp\":1700000001}", false},
		{"{\"alg\":\"HS512\",\"typ\":\"JWT\"}", "{\"userID\":\"1\",\"exp\":1700000001}", false},
		{"{\"typ\":\"JWT\",\"alg\":\"HS256\"}", "{\"userID\":\"1\",\"exp\":1700000001}", false},
		{hs256, "{\"userID\":\"1\",\"exp\":1700000000}", false},
		{hs256, "{\"userID\":\"1\"}", false},
		{hs256, "{\"exp\":1700000001}", false},
		{hs256, "{\"userID\":1,\"exp\":1700000001}", false},
		{hs256, "{\"userID\":\"x\",\"exp\":1700000001}", false},
		{hs256, "{\"userID\":\"1\",\"exp\":\"1700000001\"}", false},
		{hs256, "[]", false},
		{hs256, "", false},
	};
	struct arena *mem = arena_create();
	char token[JWT_TEXT_SIZE];

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		sign(mem, rows[i].header, rows[i].claims, token);
		ck_assert_msg(jwt_holds(mem, SECRET, token, NOW_MS) == rows[i].holds, "%s %s", rows[i].header, rows[i].claims);
	}
	ck_assert(!jwt_holds(mem, SECRET, "", NOW_MS));
	ck_assert(!jwt_holds(mem, SECRET, "..", NOW_MS));
	ck_assert(!jwt_holds(mem, SECRET, "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9", NOW_MS));
	ck_assert(!jwt_holds(mem, SECRET, "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.", NOW_MS));
	arena_destroy(mem);
}
END_TEST

START_TEST(more_roles_than_there_is_room_for_are_left_out)
{
	struct arena *mem = arena_create();
	char token[JWT_TEXT_SIZE];
	const char *roles = "1";

	for (int i = 0; i < 200; i++)
		roles = arena_printf(mem, "%s %d", roles, 100000 + i);
	jwt_make(mem, SECRET, UINT64_MAX, 0, roles, token);
	ck_assert_uint_lt(strlen(token), JWT_TEXT_SIZE - 1);
	ck_assert(jwt_holds(mem, SECRET, token, NOW_MS));
	arena_destroy(mem);
}
END_TEST

TESTS("jwt", a_token_holds_until_it_ends_under_its_own_secret_only, a_token_changed_anywhere_does_not_hold,
	the_algorithm_is_ours_and_the_claims_are_asked_for, more_roles_than_there_is_room_for_are_left_out)
