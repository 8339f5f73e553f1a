#include "common/base/files.h"

#include <stdint.h>
#include <sys/resource.h>

#include "tests/unit/main.h"

/* Each test is a process of its own, so what it gives up is not missed. */
static size_t room_of(rlim_t soft, rlim_t hard)
{
	struct rlimit limit = {soft, hard};

	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	return files_for_connections();
}

START_TEST(the_soft_limit_is_raised_and_some_files_are_kept_back)
{
	struct rlimit now;

	ck_assert_uint_eq(room_of(300, 1000), 1000 - FILES_SPARE);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &now), 0);
	ck_assert_uint_eq(now.rlim_cur, 1000);
}
END_TEST

START_TEST(of_few_files_half_are_for_connections)
{
	ck_assert_uint_eq(room_of(200, 200), 100);
}
END_TEST

TESTS("files", the_soft_limit_is_raised_and_some_files_are_kept_back, of_few_files_half_are_for_connections)
