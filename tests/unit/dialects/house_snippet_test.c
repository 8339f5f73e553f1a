/* What house shows of a message that was found. */
#include "common/dialects/house/snippet.h"

#include <string.h>

#include "tests/unit/main.h"

/* Of ids 5, 16, 77 and 9. */
#define USER    "00000000-0000-8000-9400-000000000000"
#define ROLE    "00000000-0000-8001-8000-000000000000"
#define CHANNEL "00000000-0000-8004-b400-000000000000"
#define EMOJI   "00000000-0000-8000-a400-000000000000"

static struct arena *mem;

struct marks {
	uint32_t at[8];
	pb_size_t count;
};

/* The content from begin to end, which mentions 5, 16 and 77. */
static const char *part(const char *content, uint32_t begin, uint32_t end, struct marks marks)
{
	static uint64_t users[] = {5}, roles[] = {16}, channels[] = {77};
	pb_FoundMessage found = {.has_message = true,
		.message = {.content = (char *)content,
			.has_mentions = true,
			.mentions = {.user_ids_count = 1,
				.user_ids = users,
				.role_ids_count = 1,
				.role_ids = roles,
				.channel_ids_count = 1,
				.channel_ids = channels}},
		.begin = begin,
		.end = end,
		.marks_count = marks.count,
		.marks = marks.at};

	if (mem == NULL)
		mem = arena_create();
	return house_snippet(mem, &found);
}

static const char *whole(const char *content, struct marks marks)
{
	return part(content, 0, (uint32_t)strlen(content), marks);
}

#define MARKS(...)                                                                                                   \
	(struct marks)                                                                                               \
	{                                                                                                            \
		{__VA_ARGS__}, sizeof(uint32_t[]){__VA_ARGS__} / sizeof(uint32_t)                                    \
	}
static const struct marks none;

START_TEST(text_is_escaped_inside_and_outside_of_marks)
{
	ck_assert_str_eq(whole("<b>\"R&B\"</b> it's", MARKS(4, 7)),
		"&lt;b&gt;&quot;<mark>R&amp;B</mark>&quot;&lt;/b&gt; it&#39;s");
	ck_assert_str_eq(whole("<mark>x</mark>", none), "&lt;mark&gt;x&lt;/mark&gt;");
	ck_assert_str_eq(whole("", none), "");
}
END_TEST

START_TEST(what_is_left_out_is_told)
{
	ck_assert_str_eq(part("one two three", 4, 7, MARKS(4, 7)), "…<mark>two</mark>…");
	ck_assert_str_eq(part("one two three", 0, 7, none), "one two…");
	ck_assert_str_eq(part("one two three", 4, 13, none), "…two three");
}
END_TEST

START_TEST(tokens_are_spelled_as_in_the_content)
{
	ck_assert_str_eq(whole("<@5> pie <@&16> <#77> <:wave:9> <@6>", MARKS(5, 8)),
		"&lt;@" USER "&gt; <mark>pie</mark> &lt;@&amp;" ROLE "&gt; &lt;#" CHANNEL "&gt; &lt;:wave:" EMOJI "&gt; &lt;@6&gt;");
	ck_assert_str_eq(whole("`<@5>` pie", none), "`&lt;@5&gt;` pie");
}
END_TEST

START_TEST(code_that_begins_before_the_part_is_code_in_it)
{
	ck_assert_str_eq(part("`one <@5>` <@5>", 5, 15, none), "…&lt;@5&gt;` &lt;@" USER "&gt;");
}
END_TEST

START_TEST(a_mark_is_around_an_id_or_not_there)
{
	/* all of it; a part; two of one id; across its end; a name beside it */
	ck_assert_str_eq(whole("<#77>", MARKS(2, 4)), "&lt;#<mark>" CHANNEL "</mark>&gt;");
	ck_assert_str_eq(whole("<#77>", MARKS(3, 4)), "&lt;#<mark>" CHANNEL "</mark>&gt;");
	ck_assert_str_eq(whole("<#77>", MARKS(2, 3, 3, 4)), "&lt;#<mark>" CHANNEL "</mark>&gt;");
	ck_assert_str_eq(whole("<#77> x", MARKS(3, 7)), "&lt;#<mark>" CHANNEL "&gt; x</mark>");
	ck_assert_str_eq(whole("<:wave:9>", MARKS(2, 6)), "&lt;:<mark>wave</mark>:" EMOJI "&gt;");
}
END_TEST

START_TEST(a_token_at_an_edge_is_shown_whole)
{
	ck_assert_str_eq(part("see <#77> and <@5> there", 6, 16, none), "…&lt;#" CHANNEL "&gt; and &lt;@" USER "&gt;…");
	ck_assert_str_eq(part("<#77> and <@5>", 5, 10, none), "… and …");
}
END_TEST

START_TEST(positions_that_cannot_be_are_cut_off)
{
	ck_assert_str_eq(part("one", 0, 400, MARKS(1, 300)), "o<mark>ne</mark>");
	ck_assert_str_eq(part("one", 9, 9, none), "…");
	ck_assert_str_eq(whole("one two", MARKS(4, 7, 0, 3)), "one <mark>two</mark>");
	ck_assert_str_eq(whole("one two", MARKS(9, 12, 3, 1, 2)), "one two");
}
END_TEST

START_TEST(a_message_without_content_has_an_empty_snippet)
{
	ck_assert_str_eq(part(NULL, 0, 0, none), "");
}
END_TEST

TESTS("house snippet", text_is_escaped_inside_and_outside_of_marks, what_is_left_out_is_told, tokens_are_spelled_as_in_the_content,
	code_that_begins_before_the_part_is_code_in_it, a_mark_is_around_an_id_or_not_there, a_token_at_an_edge_is_shown_whole,
	positions_that_cannot_be_are_cut_off, a_message_without_content_has_an_empty_snippet)
