#include "services/api/passwords.h"

#include <pthread.h>
#include <sodium.h>
#include <string.h>

#include "common/base/clock.h"
#include "tests/unit/main.h"

static int64_t in_a_minute(void)
{
	return clock_mono_ms() + 60000;
}

START_TEST(a_hash_is_argon2id_and_verifies)
{
	struct arena *mem = arena_create();
	struct passwords *p = NULL;
	const char *hash = NULL;

	ck_assert_int_eq(passwords_create(1, 4, &p), STATUS_OK);
	ck_assert_int_eq(passwords_hash(p, mem, "correct horse", in_a_minute(), &hash), STATUS_OK);
	ck_assert(strncmp(hash, "$argon2id$", 10) == 0);
	ck_assert_int_eq(passwords_verify(p, hash, "correct horse", in_a_minute()), STATUS_OK);
	ck_assert_int_eq(passwords_verify(p, hash, "correct hors", in_a_minute()), STATUS_WRONG_CREDENTIALS);
	passwords_destroy(p);
	arena_destroy(mem);
}
END_TEST

START_TEST(what_is_verified_is_what_libsodium_verifies)
{
	struct arena *mem = arena_create();
	struct passwords *p = NULL;
	const char *hash = NULL;
	char other[crypto_pwhash_STRBYTES];

	ck_assert_int_eq(passwords_create(1, 4, &p), STATUS_OK);
	ck_assert_int_eq(passwords_hash(p, mem, "correct horse", in_a_minute(), &hash), STATUS_OK);
	ck_assert_int_eq(crypto_pwhash_str_verify(hash, "correct horse", strlen("correct horse")), 0);
	/* Of other limits than ours, as after they were raised. */
	ck_assert_int_eq(crypto_pwhash_str_alg(other, "old horse", strlen("old horse"), 1, (size_t)1 << 20, crypto_pwhash_ALG_ARGON2ID13), 0);
	ck_assert_int_eq(passwords_verify(p, other, "old horse", in_a_minute()), STATUS_OK);
	ck_assert_int_eq(passwords_verify(p, other, "new horse", in_a_minute()), STATUS_WRONG_CREDENTIALS);
	passwords_destroy(p);
	arena_destroy(mem);
}
END_TEST

START_TEST(a_stored_hash_that_cannot_be_read_verifies_nothing)
{
	struct arena *mem = arena_create();
	struct passwords *p = NULL;
	const char *hash = NULL;

	ck_assert_int_eq(passwords_create(1, 4, &p), STATUS_OK);
	ck_assert_int_eq(passwords_hash(p, mem, "x", in_a_minute(), &hash), STATUS_OK);
	const char *bad[] = {"", "$argon2id$", arena_strndup(mem, hash, strlen(hash) - 1), arena_printf(mem, "%sA", hash),
		arena_printf(mem, "%s$", hash), "$argon2id$v=19$m=0,t=0,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_int_eq(passwords_verify(p, bad[i], "x", in_a_minute()), STATUS_WRONG_CREDENTIALS);
	passwords_destroy(p);
	arena_destroy(mem);
}
END_TEST

START_TEST(nobody_has_a_password_that_verifies)
{
	struct passwords *p = NULL;

	ck_assert_int_eq(passwords_create(1, 4, &p), STATUS_OK);
	ck_assert_int_eq(passwords_verify(p, NULL, "", in_a_minute()), STATUS_WRONG_CREDENTIALS);
	passwords_destroy(p);
}
END_TEST

START_TEST(a_full_queue_is_busy_at_once)
{
	struct passwords *p = NULL;

	ck_assert_int_eq(passwords_create(1, 0, &p), STATUS_OK);
	ck_assert_int_eq(passwords_verify(p, NULL, "x", in_a_minute()), STATUS_BUSY);
	passwords_destroy(p);
}
END_TEST

START_TEST(past_the_deadline_no_work_begins)
{
	struct passwords *p = NULL;

	ck_assert_int_eq(passwords_create(1, 4, &p), STATUS_OK);
	ck_assert_int_eq(passwords_verify(p, NULL, "x", clock_mono_ms() - 1), STATUS_LATE);
	passwords_destroy(p);
}
END_TEST

static void *verify_one(void *arg)
{
	return (void *)(intptr_t)passwords_verify(arg, NULL, "x", in_a_minute());
}

START_TEST(all_who_wait_are_answered)
{
	struct passwords *p = NULL;
	pthread_t others[6];

	ck_assert_int_eq(passwords_create(2, 8, &p), STATUS_OK);
	for (size_t i = 0; i < 6; i++)
		ck_assert_int_eq(pthread_create(&others[i], NULL, verify_one, p), 0);
	for (size_t i = 0; i < 6; i++) {
		void *st = NULL;
		pthread_join(others[i], &st);
		ck_assert_int_eq((intptr_t)st, STATUS_WRONG_CREDENTIALS);
	}
	passwords_destroy(p);
}
END_TEST

TESTS("passwords", a_hash_is_argon2id_and_verifies, what_is_verified_is_what_libsodium_verifies,
	a_stored_hash_that_cannot_be_read_verifies_nothing, nobody_has_a_password_that_verifies,
	a_full_queue_is_busy_at_once, past_the_deadline_no_work_begins, all_who_wait_are_answered)
