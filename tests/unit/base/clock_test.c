#include "common/base/clock.h"
#include "tests/unit/main.h"

#include <string.h>

static int64_t parsed(const char *text)
{
	int64_t ms = INT64_MIN;

	ck_assert_msg(clock_parse_rfc3339(text, strlen(text), &ms) == 0, "%s", text);
	return ms;
}

static void check_refused(const char *text)
{
	int64_t ms = 42;

	ck_assert_msg(clock_parse_rfc3339(text, strlen(text), &ms) == -1, "%s", text);
	ck_assert_int_eq(ms, 42);
}

static const char *formatted(int64_t ms)
{
	static char text[CLOCK_RFC3339_SIZE];

	clock_format_rfc3339(ms, text);
	return text;
}

START_TEST(moments_are_written_with_milliseconds_and_z)
{
	ck_assert_str_eq(formatted(0), "1970-01-01T00:00:00.000Z");
	ck_assert_str_eq(formatted(1736937000123), "2025-01-15T10:30:00.123Z");
	ck_assert_str_eq(formatted(951782400000), "2000-02-29T00:00:00.000Z");
	ck_assert_str_eq(formatted(-1), "1969-12-31T23:59:59.999Z");
}
END_TEST

START_TEST(years_outside_four_digits_are_clamped)
{
	ck_assert_str_eq(formatted(INT64_MIN), "0000-01-01T00:00:00.000Z");
	ck_assert_str_eq(formatted(INT64_MAX), "9999-12-31T23:59:59.999Z");
}
END_TEST

START_TEST(what_is_written_reads_back)
{
	const int64_t moments[] = {0, -1, 1, 1736937000123, 253402300799999, -62167219200000, 68169600000};

	for (size_t i = 0; i < sizeof moments / sizeof *moments; i++)
		ck_assert_int_eq(parsed(formatted(moments[i])), moments[i]);
}
END_TEST

START_TEST(offsets_and_fractions_are_understood)
{
	ck_assert_int_eq(parsed("2025-01-15T10:30:00Z"), 1736937000000);
	ck_assert_int_eq(parsed("2025-01-15t10:30:00z"), 1736937000000);
	ck_assert_int_eq(parsed("2025-01-15T12:30:00+02:00"), 1736937000000);
	ck_assert_int_eq(parsed("2025-01-15T05:00:00.5-05:30"), 1736937000500);
	ck_assert_int_eq(parsed("2025-01-15T10:30:00.123999999Z"), 1736937000123);
	ck_assert_int_eq(parsed("2016-12-31T23:59:60Z"), 1483228800000);
}
END_TEST

START_TEST(what_is_not_a_moment_is_refused)
{
	check_refused("");
	check_refused("2025-01-15");
	check_refused("2025-01-15T10:30:00");
	check_refused("2025-01-15 10:30:00Z");
	check_refused("2025-13-15T10:30:00Z");
	check_refused("2025-02-29T10:30:00Z");
	check_refused("2025-00-10T10:30:00Z");
	check_refused("2025-01-15T24:00:00Z");
	check_refused("2025-01-15T10:60:00Z");
	check_refused("2025-01-15T10:30:00.Z");
	check_refused("2025-01-15T10:30:00.1234567890Z");
	check_refused("2025-01-15T10:30:00+2:00");
	check_refused("2025-01-15T10:30:00+24:00");
	check_refused("2025-01-15T10:30:00Z ");
	check_refused("+025-01-15T10:30:00Z");
}
END_TEST

START_TEST(a_wait_says_whether_it_was_posted_or_its_time_was_over)
{
	sem_t sem;
	sem_init(&sem, 0, 1);

	ck_assert(clock_sem_wait(&sem, 60000));
	ck_assert(!clock_sem_wait(&sem, 1));
	ck_assert(!clock_sem_wait(&sem, 0));
	sem_destroy(&sem);
}
END_TEST

START_TEST(a_condition_waits_by_the_monotonic_clock)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t cond;
	clock_cond_init(&cond);

	/* By the other clock this moment of a machine that was started within 50 years is long over. */
	int64_t until_ms = clock_mono_ms() + 20;
	struct timespec until = clock_timespec(until_ms);
	pthread_mutex_lock(&lock);
	while (pthread_cond_timedwait(&cond, &lock, &until) == 0) {
	}
	pthread_mutex_unlock(&lock);
	ck_assert_int_ge(clock_mono_ms(), until_ms);
	pthread_cond_destroy(&cond);
}
END_TEST

TESTS("clock", moments_are_written_with_milliseconds_and_z, years_outside_four_digits_are_clamped,
	what_is_written_reads_back, offsets_and_fractions_are_understood, what_is_not_a_moment_is_refused, a_wait_says_whether_it_was_posted_or_its_time_was_over,
	a_condition_waits_by_the_monotonic_clock)
