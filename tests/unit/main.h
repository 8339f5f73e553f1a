/*
 * The main() of a test file. A file ends with
 *
 *   TESTS("arena", memory_is_zeroed, deferred_calls_run_last_first)
 *
 * and each name is a START_TEST above. Every test runs in a process of its own (CK_FORK=no: in one, for a
 * debugger).
 */
#pragma once

#include <check.h>
#include <stdlib.h>

#define TEST_TIMEOUT_S 60 /* of one test; sanitizers on a busy machine are slow */

static inline int run_tests(const char *name, const TTest *const *tests, size_t count)
{
	Suite *suite = suite_create(name);
	TCase *tcase = tcase_create(name);

	tcase_set_timeout(tcase, TEST_TIMEOUT_S);
	for (size_t i = 0; i < count; i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#define TESTS(name, ...)                                                                                     \
	int main(void)                                                                                       \
	{                                                                                                    \
		const TTest *const tests[] = {__VA_ARGS__};                                                  \
		return run_tests((name), tests, sizeof tests / sizeof *tests);                               \
	}
