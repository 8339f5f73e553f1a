/* When a status ends, in the words of crust. */
#include "services/api/dialects/crust/expiry.h"

#include <string.h>

#include "common/base/clock.h"
#include "tests/unit/main.h"

#define NOW "2020-03-01T14:20:30Z" /* a Sunday afternoon of a leap year */

static int64_t at(const char *moment)
{
	int64_t ms = 0;

	ck_assert_int_eq(clock_parse_rfc3339(moment, strlen(moment), &ms), 0);
	return ms;
}

static const struct {
	const char *text, *moment;
} moments[] = {
	{"30m", "2020-03-01T14:50:30Z"},
	{"1h", "2020-03-01T15:20:30Z"},
	{"1h30m", "2020-03-01T15:50:30Z"},
	{"2d 4h", "2020-03-03T18:20:30Z"},
	{" 45S ", "2020-03-01T14:21:15Z"},
	{"1w", "2020-03-08T14:20:30Z"},
	{"1 PM", "2020-03-02T13:00:00Z"},
	{"3pm", "2020-03-01T15:00:00Z"},
	{"12 AM", "2020-03-02T00:00:00Z"},
	{"12:30 pm", "2020-03-02T12:30:00Z"},
	{"14:21", "2020-03-01T14:21:00Z"},
	{"14:20", "2020-03-02T14:20:00Z"},
	{"afternoon", "2020-03-02T12:00:00Z"},
	{"today", "2020-03-02T00:00:00Z"},
	{"today 18:00", "2020-03-01T18:00:00Z"},
	{"tomorrow", "2020-03-02T00:00:00Z"},
	{"tomorrow 1h", "2020-03-02T01:00:00Z"},
	{"Tomorrow 1 PM", "2020-03-02T13:00:00Z"},
	{"tomorrow afternoon", "2020-03-02T12:00:00Z"},
	{"2020-05-20", "2020-05-20T00:00:00Z"},
	{"2020-05-20 1 PM", "2020-05-20T13:00:00Z"},
	{"2020-05-20T10:00:00+02:00", "2020-05-20T08:00:00Z"},
};

START_TEST(words_name_moments)
{
	for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
		struct crust_expiry e;
		ck_assert_msg(crust_expiry_read(moments[i].text, at(NOW), &e), "%s", moments[i].text);
		ck_assert_msg(e.at_ms == at(moments[i].moment), "%s", moments[i].text);
		ck_assert(!e.when_active);
	}
}
END_TEST

START_TEST(a_status_may_end_with_the_next_activity_or_never)
{
	struct crust_expiry e;

	ck_assert(crust_expiry_read("when-active", at(NOW), &e));
	ck_assert(e.when_active);
	ck_assert_int_eq(e.at_ms, 0);
	ck_assert(crust_expiry_read("", at(NOW), &e));
	ck_assert(!e.when_active);
	ck_assert_int_eq(e.at_ms, 0);
}
END_TEST

static const char *const nothings[] = {"soon", "30", "30 m", "30x", "1h30", "13 PM", "0 am", "24:00", "12:60", "12:5", "1:300",
	"2019-05-20", "2020-13-01", "2020-02-30", "2020-05-20x", "tomorrow soon", "tomorrow 1h 1 PM", "when-active 1h", "0m",
	"9999999999999999999h", "1000000w", "-1h", "today 13:00", "\xC3\xA4"};

START_TEST(what_says_no_moment_to_come_is_refused)
{
	for (size_t i = 0; i < sizeof nothings / sizeof *nothings; i++) {
		struct crust_expiry e;
		ck_assert_msg(!crust_expiry_read(nothings[i], at(NOW), &e), "%s", nothings[i]);
	}
}
END_TEST

TESTS("crust expiry", words_name_moments, a_status_may_end_with_the_next_activity_or_never,
	what_says_no_moment_to_come_is_refused)
