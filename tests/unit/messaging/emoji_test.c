#include "services/messaging/emoji.h"

#include <string.h>

#include "tests/unit/main.h"

START_TEST(emoji_of_unicode_and_words_fit)
{
	static const char *const fit[] = {"👍", "❤️", "👩‍👩‍👧‍👦",
		"🏴󠁧󠁢󠁳󠁣󠁴󠁿", "1️⃣", "🇨🇭", "thumbsup", "+1", "é", ":wave:", "/", "<3"};

	for (size_t i = 0; i < sizeof fit / sizeof *fit; i++)
		ck_assert_msg(emoji_fits(fit[i]), "%s", fit[i]);
}
END_TEST

START_TEST(blanks_controls_and_what_cannot_be_seen_do_not_fit)
{
	static const char *const unfit[] = {"", " ", "a b", "a\n", "\x7f", "\xc2\x85", "\xc2\xa0",
		"\xe2\x80\x8b",
		"\xe2\x80\xae"
		"a",
		"\xe3\x80\x80", "\xef\xbb\xbf", "\xe2\x80\x8d", "\xef\xb8\x8f", "\xe2\xa0\x80",
		"\xef\xbf\xbf"};

	ck_assert(!emoji_fits(NULL));
	for (size_t i = 0; i < sizeof unfit / sizeof *unfit; i++)
		ck_assert_msg(!emoji_fits(unfit[i]), "%zu", i);
}
END_TEST

START_TEST(bytes_that_are_no_text_do_not_fit)
{
	static const char *const unfit[] = {
		"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x80", "a\xc3"};

	for (size_t i = 0; i < sizeof unfit / sizeof *unfit; i++)
		ck_assert_msg(!emoji_fits(unfit[i]), "%zu", i);
}
END_TEST

START_TEST(thirty_two_code_points_fit_and_one_more_does_not)
{
	char text[(EMOJI_MAX + 1) * 4 + 1] = "";

	for (int i = 0; i < EMOJI_MAX; i++)
		strcat(text, "⛵");
	ck_assert(emoji_fits(text));
	strcat(text, "⛵");
	ck_assert(!emoji_fits(text));
}
END_TEST

TESTS("emoji", emoji_of_unicode_and_words_fit, blanks_controls_and_what_cannot_be_seen_do_not_fit,
	bytes_that_are_no_text_do_not_fit, thirty_two_code_points_fit_and_one_more_does_not)
