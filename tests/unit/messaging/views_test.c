#include "services/messaging/views.h"

#include <string.h>

#include "tests/unit/main.h"

START_TEST(lengths_count_code_points)
{
	ck_assert(text_fits("\xc3\xa4\xe2\x82\xac", 1, 2));
	ck_assert(!text_fits("\xc3\xa4\xe2\x82\xac", 1, 1));
	ck_assert(!text_fits("\xc3\xa4\xe2\x82\xac", 3, 9));
	ck_assert(text_fits("", 0, 5));
	ck_assert(!text_fits("", 1, 5));
}
END_TEST

START_TEST(four_thousand_wide_characters_fit_and_one_more_does_not)
{
	static char text[4 * (MESSAGE_CONTENT_MAX + 1) + 1];

	for (size_t i = 0; i < MESSAGE_CONTENT_MAX + 1; i++)
		memcpy(text + 4 * i, "\xf0\x9f\x98\x80", 4);
	ck_assert(!text_fits(text, 1, MESSAGE_CONTENT_MAX));
	text[4 * MESSAGE_CONTENT_MAX] = '\0';
	ck_assert(text_fits(text, 1, MESSAGE_CONTENT_MAX));
}
END_TEST

START_TEST(what_is_not_utf8_or_absent_does_not_fit)
{
	ck_assert(!text_fits(NULL, 0, 5));
	ck_assert(!text_fits("\xff", 0, 5));
	ck_assert(!text_fits("\xed\xa0\x80", 0, 5)); /* a surrogate */
}
END_TEST

START_TEST(an_author_travels_without_biography_and_status)
{
	pb_UserView user = {.id = 5,
		.username = (char *)"ada",
		.display_name = (char *)"Ada",
		.avatar = (char *)"a.png",
		.bio = (char *)"long",
		.banner = (char *)"b.png",
		.bot = true,
		.has_status = true,
		.created_at_ms = 9};
	pb_UserView author = author_view(&user);

	ck_assert_uint_eq(author.id, 5);
	ck_assert_str_eq(author.username, "ada");
	ck_assert_str_eq(author.display_name, "Ada");
	ck_assert_str_eq(author.avatar, "a.png");
	ck_assert(author.bot);
	ck_assert_uint_eq(author.created_at_ms, 9);
	ck_assert_ptr_null(author.bio);
	ck_assert_ptr_null(author.banner);
	ck_assert(!author.has_status);
}
END_TEST

TESTS("views", lengths_count_code_points, four_thousand_wide_characters_fit_and_one_more_does_not,
	what_is_not_utf8_or_absent_does_not_fit, an_author_travels_without_biography_and_status)
