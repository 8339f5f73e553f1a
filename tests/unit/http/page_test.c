/* Whose page asks. */
#include "common/http/page.h"
#include "tests/unit/main.h"

START_TEST(who_is_no_browser_asks_for_himself)
{
	ck_assert(page_is_own(NULL, NULL, "chat.example"));
	ck_assert(page_is_own(NULL, NULL, NULL));
}
END_TEST

START_TEST(a_page_of_the_host_is_its_own_whatever_the_port)
{
	ck_assert(page_is_own("https://chat.example", NULL, "chat.example"));
	ck_assert(page_is_own("http://Chat.Example:8080", NULL, "chat.example:9090"));
	ck_assert(page_is_own("http://[::1]:8080", NULL, "[::1]"));
	ck_assert(page_is_own("https://chat.example", "same-site", "chat.example:444"));
	ck_assert(page_is_own("https://chat.example", "same-origin", "chat.example"));
	ck_assert(page_is_own(NULL, "same-origin", "chat.example"));
	ck_assert(page_is_own(NULL, "none", "chat.example"));
}
END_TEST

START_TEST(a_page_of_another_host_is_not)
{
	ck_assert(!page_is_own("https://evil.example", NULL, "chat.example"));
	ck_assert(!page_is_own("https://chat.example.evil.example", NULL, "chat.example"));
	ck_assert(!page_is_own("https://chat.exampl", NULL, "chat.example"));
	ck_assert(!page_is_own("https://evil.chat.example", "same-site", "chat.example"));
	ck_assert(!page_is_own("null", NULL, "chat.example"));
	ck_assert(!page_is_own("", NULL, "chat.example"));
	ck_assert(!page_is_own("https://", NULL, ""));
	ck_assert(!page_is_own("https://chat.example", NULL, NULL));
	ck_assert(!page_is_own("http://[::1", NULL, "[::1]"));
	ck_assert(!page_is_own("https://chat.example", "cross-site", "chat.example"));
}
END_TEST

START_TEST(a_picture_or_a_link_elsewhere_sends_no_origin_and_is_told_by_its_site)
{
	ck_assert(!page_is_own(NULL, "cross-site", "chat.example"));
	ck_assert(!page_is_own(NULL, "same-site", "chat.example"));
	ck_assert(!page_is_own(NULL, "something", "chat.example"));
}
END_TEST

TESTS("http-page", who_is_no_browser_asks_for_himself, a_page_of_the_host_is_its_own_whatever_the_port,
	a_page_of_another_host_is_not, a_picture_or_a_link_elsewhere_sends_no_origin_and_is_told_by_its_site)
