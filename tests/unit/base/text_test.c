#include "common/base/text.h"
#include "tests/unit/main.h"

#include <string.h>

static bool valid(const char *text)
{
	return text_is_utf8(text, strlen(text));
}

START_TEST(text_in_many_scripts_is_valid)
{
	ck_assert(valid(""));
	ck_assert(valid("plain ascii, longer than eight bytes"));
	ck_assert(valid("gr\xC3\xBC\xC3\x9F \xE6\x97\xA5\xE6\x9C\xAC \xF0\x9F\x8E\x89"));
	ck_assert(valid("\xF4\x8F\xBF\xBF")); /* U+10FFFF */
	ck_assert(valid("\xEF\xBF\xBF"));
}
END_TEST

START_TEST(nul_is_not_text_wherever_it_stands)
{
	char text[24];

	for (size_t at = 0; at < sizeof text; at++) {
		memset(text, 'a', sizeof text);
		text[at] = '\0';
		ck_assert(!text_is_utf8(text, sizeof text));
	}
}
END_TEST

START_TEST(overlong_forms_surrogates_and_what_is_past_the_end_of_unicode_are_refused)
{
	ck_assert(!valid("\xC0\x80"));
	ck_assert(!valid("\xC1\xBF"));
	ck_assert(!valid("\xE0\x9F\xBF"));
	ck_assert(!valid("\xF0\x8F\xBF\xBF"));
	ck_assert(!valid("\xED\xA0\x80"));
	ck_assert(!valid("\xED\xBF\xBF"));
	ck_assert(!valid("\xF4\x90\x80\x80"));
	ck_assert(!valid("\xF5\x80\x80\x80"));
	ck_assert(!valid("\xFF"));
}
END_TEST

START_TEST(cut_and_stray_sequences_are_refused)
{
	ck_assert(!valid("\x80"));
	ck_assert(!valid("aaaaaaaaaa\xC3"));
	ck_assert(!valid("\xE6\x97"));
	ck_assert(!valid("\xF0\x9F\x8E"));
	ck_assert(!valid("\xC3(aaaaaaaaa"));
	ck_assert(!text_is_utf8("\xF0\x9F\x8E\x89", 3));
}
END_TEST

START_TEST(lengths_count_code_points)
{
	ck_assert_uint_eq(text_code_points("", 0), 0);
	ck_assert_uint_eq(text_code_points("a\xC3\xBC\xE6\x97\xA5\xF0\x9F\x8E\x89", 10), 4);
}
END_TEST

START_TEST(a_prefix_never_cuts_a_character)
{
	const char text[] = "a\xC3\xBC\xE6\x97\xA5\xF0\x9F\x8E\x89";

	ck_assert_uint_eq(text_prefix_bytes(text, 10, 0), 0);
	ck_assert_uint_eq(text_prefix_bytes(text, 10, 1), 1);
	ck_assert_uint_eq(text_prefix_bytes(text, 10, 2), 3);
	ck_assert_uint_eq(text_prefix_bytes(text, 10, 3), 6);
	ck_assert_uint_eq(text_prefix_bytes(text, 10, 4), 10);
	ck_assert_uint_eq(text_prefix_bytes(text, 10, 99), 10);
}
END_TEST

TESTS("text", text_in_many_scripts_is_valid, nul_is_not_text_wherever_it_stands,
	overlong_forms_surrogates_and_what_is_past_the_end_of_unicode_are_refused,
	cut_and_stray_sequences_are_refused, lengths_count_code_points, a_prefix_never_cuts_a_character)
