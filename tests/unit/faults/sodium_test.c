/* Each call of libsodium that can fail does so once: there is a status, nothing leaks, and passwords are hashed and verified again. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "services/api/passwords.h"
#include "tests/unit/faults/called.h"
#include "tests/unit/faults/failing.h"
#include "tests/unit/main.h"

#define CALLS_MOST  16
#define PATIENCE_MS 30000

#define FAILS(function, parameters, arguments)                                                                 \
	int __real_##function parameters;                                                                      \
	int __wrap_##function parameters;                                                                      \
	int __wrap_##function parameters                                                                       \
	{                                                                                                      \
		if (!fails_now(#function))                                                                     \
			return __real_##function arguments;                                                    \
		errno = ENOMEM;                                                                                \
		return -1;                                                                                     \
	}
#define CANNOT(function)
#include "tests/unit/faults/sodium.tbl.h"
#undef FAILS
#undef CANNOT

static const char *const functions[] = {
#define FAILS(function, parameters, arguments) #function,
#define CANNOT(function)
#include "tests/unit/faults/sodium.tbl.h"
#undef FAILS
#undef CANNOT
};

/* A password is hashed, and the right and the wrong one are compared with it. */
static enum status use(struct passwords *passwords)
{
	struct arena *mem = arena_create();
	const char *hash = NULL;

	enum status st = passwords_hash(passwords, mem, "correct horse", clock_mono_ms() + PATIENCE_MS, &hash);
	if (st == STATUS_OK)
		st = passwords_verify(passwords, hash, "correct horse", clock_mono_ms() + PATIENCE_MS);
	if (st == STATUS_OK) {
		st = passwords_verify(passwords, hash, "wrong horse", clock_mono_ms() + PATIENCE_MS);
		st = st == STATUS_WRONG_CREDENTIALS ? STATUS_OK : st;
	}
	arena_destroy(mem);
	return st;
}

START_TEST(whichever_call_fails_it_is_busy_and_never_a_wrong_password)
{
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
		int n = 1;
		for (bool failed = true; failed && n <= CALLS_MOST; n++) {
			struct passwords *passwords = NULL;
			arm(functions[i], n);
			enum status st = passwords_create(2, 4, &passwords);
			ck_assert_msg(st == STATUS_OK || st == STATUS_INTERNAL, "%s, call %d: %s", functions[i], n, status_wire(st));
			if (st == STATUS_OK)
				st = use(passwords);
			failed = disarm();
			ck_assert_msg(failed ? st == STATUS_BUSY || passwords == NULL : st == STATUS_OK, "%s, call %d: %s", functions[i], n,
				status_wire(st));
			if (passwords == NULL)
				ck_assert_int_eq(passwords_create(2, 4, &passwords), STATUS_OK);
			ck_assert_int_eq(use(passwords), STATUS_OK);
			passwords_destroy(passwords);
		}
		ck_assert_msg(n > 2, "%s never failed", functions[i]);
	}
}
END_TEST

static const char *const table[] = {
#define FAILS(function, parameters, arguments) #function,
#define CANNOT(function) #function,
#include "tests/unit/faults/sodium.tbl.h"
#undef FAILS
#undef CANNOT
};

static bool is_of_sodium(const char *function)
{
	return strncmp(function, "crypto_", 7) == 0 || strncmp(function, "randombytes", 11) == 0 || strncmp(function, "sodium_", 7) == 0;
}

START_TEST(the_table_has_every_function_that_is_called)
{
	check_called("nm -u " LIBRARIES, is_of_sodium, table, sizeof table / sizeof *table, "sodium.tbl.h");
}
END_TEST

TESTS("faults sodium", whichever_call_fails_it_is_busy_and_never_a_wrong_password, the_table_has_every_function_that_is_called)
