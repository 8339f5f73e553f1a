#include "services/messaging/search_fold.h"
#include "services/messaging/search_lexemes.h"
#include "services/messaging/search_snippet.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/main.h"

static struct arena *mem;

static const char *fold(const char *text)
{
	if (mem == NULL)
		mem = arena_create();
	return search_fold(mem, text, strlen(text), true).text;
}

/* Words found between brackets, "…" where the content goes on. */
static const char *snippet(const char *content, const char *headline)
{
	fold("");
	struct folded f = search_fold(mem, content, strlen(content), true);
	pb_FoundMessage found = {.message.content = (char *)content};
	search_snippet(mem, &f, headline, &found);
	const char *out = found.begin > 0 ? "…" : "";
	uint32_t at = found.begin;
	for (pb_size_t i = 0; i < found.marks_count; at = found.marks[i++])
		out = arena_printf(mem, "%s%.*s%s", out, (int)(found.marks[i] - at), content + at, i % 2 == 0 ? "[" : "]");
	return arena_printf(mem, "%s%.*s%s", out, (int)(found.end - at), content + at, content[found.end] != '\0' ? "…" : "");
}

START_TEST(case_and_accents_do_not_matter)
{
	ck_assert_str_eq(fold("Café CAFÉ cafe\xCC\x81"), "cafe cafe cafe");
	ck_assert_str_eq(fold("Žluťoučký kůň, Łódź, Ångström, ñandú"), "zlutoucky kun, lodz, angstrom, nandu");
	ck_assert_str_eq(fold("Tiếng Việt ĐƯỜNG"), "tieng viet duong");
	ck_assert_str_eq(fold("Ελλάδα ΕΛΛΆΔΑ λόγος ΛΟΓΟΣ"), "ελλαδα ελλαδα λογοσ λογοσ");
	ck_assert_str_eq(fold("Ёлка ёж МОСКВА Київ"), "елка еж москва киів");
}
END_TEST

START_TEST(letters_that_are_two_become_two)
{
	ck_assert_str_eq(fold("Straße STRASSE ẞ Æther œuvre Þór ĳs"), "strasse strasse ss aether oeuvre thor ijs");
}
END_TEST

START_TEST(what_is_no_letter_of_these_stays)
{
	ck_assert_str_eq(fold("日本語 x² 🎉 a_b 5 × 3 ÷ 2"), "日本語 x² 🎉 a_b 5 × 3 ÷ 2");
	ck_assert_str_eq(fold(""), "");
}
END_TEST

START_TEST(control_characters_are_blanks)
{
	ck_assert_str_eq(fold("a\x02" "b\nc\td\x03"), "a b c d ");
}
END_TEST

START_TEST(every_folded_byte_knows_its_character)
{
	const char *text = "ße\xCC\x81x";
	fold("");
	struct folded f = search_fold(mem, text, strlen(text), true);
	const uint32_t wanted[] = {0, 0, 2, 5, 6};

	ck_assert_str_eq(f.text, "ssex");
	ck_assert_uint_eq(f.length, 4);
	for (size_t i = 0; i < 5; i++)
		ck_assert_uint_eq(f.from[i], wanted[i]);
}
END_TEST

START_TEST(no_text_of_valid_utf8_grows)
{
	char text[5];

	for (uint32_t c = 1; c < 0x110000; c++) {
		size_t n = 0;
		if (c >= 0xD800 && c < 0xE000)
			continue;
		if (c < 0x80) {
			text[n++] = (char)c;
		} else if (c < 0x800) {
			text[n++] = (char)(0xC0 | c >> 6);
		} else if (c < 0x10000) {
			text[n++] = (char)(0xE0 | c >> 12);
			text[n++] = (char)(0x80 | (c >> 6 & 0x3F));
		} else {
			text[n++] = (char)(0xF0 | c >> 18);
			text[n++] = (char)(0x80 | (c >> 12 & 0x3F));
			text[n++] = (char)(0x80 | (c >> 6 & 0x3F));
		}
		if (c >= 0x80)
			text[n++] = (char)(0x80 | (c & 0x3F));
		text[n] = '\0';
		fold("");
		struct folded once = search_fold(mem, text, n, false), twice = search_fold(mem, once.text, once.length, false);
		ck_assert_uint_le(once.length, n);
		ck_assert_str_eq(once.text, twice.text); /* what is folded stays */
		if (c % 4096 == 0)
			arena_reset(mem);
	}
}
END_TEST

START_TEST(a_vector_is_put_into_its_segment_with_the_marks_of_its_message)
{
	fold("");
	ck_assert_str_eq(search_vector(mem, "'apple':1,3 'o''neil':2 'a\\\\b':4", 36, 37, 5, 1),
		"'10:apple':1,3 '10:o''neil':2 '10:a\\\\b':4 '10*' '10#11' '10@5' '10%1'");
	ck_assert_str_eq(search_vector(mem, "", 7, 1, 0, 3), " '7*' '7#1' '7@0' '7%3'");
}
END_TEST

START_TEST(a_query_is_put_into_a_segment)
{
	const uint64_t channels[] = {1, 40}, authors[] = {9};
	const uint32_t kinds[] = {1, 2};
	struct search_terms terms = {.query = "'apple' & ( 'pie' <-> 'it''s' | 'pi':* )", .bounded = true};

	fold("");
	ck_assert_str_eq(search_match(mem, &terms, 3), "('3:apple' & ( '3:pie' <-> '3:it''s' | '3:pi':* ))");
	terms.channels = channels;
	terms.channel_count = 2;
	terms.authors = authors;
	terms.author_count = 1;
	terms.kinds = kinds;
	terms.kind_count = 2;
	ck_assert_str_eq(search_match(mem, &terms, 3),
		"('3:apple' & ( '3:pie' <-> '3:it''s' | '3:pi':* )) & ('3#1' | '3#14') & ('3@9') & ('3%1' | '3%2')");
	ck_assert_str_eq(search_ranking(mem, &terms, 3), "'3:apple' & ( '3:pie' <-> '3:it''s' | '3:pi':* )");
}
END_TEST

START_TEST(a_query_that_the_absence_of_a_word_meets_stays_in_its_segment)
{
	struct search_terms terms = {.query = "!'apple'"}, all = {0};

	fold("");
	ck_assert_str_eq(search_match(mem, &terms, 3), "(!'3:apple') & '3*'");
	ck_assert_str_eq(search_match(mem, &all, 3), "'3*'");
	ck_assert_ptr_null(search_ranking(mem, &all, 3));
}
END_TEST

START_TEST(kinds_that_are_left_out_do_not_bound_a_query)
{
	const uint32_t others[] = {3, 2};
	struct search_terms terms = {.query = "'apple'", .bounded = true, .other_kinds = others, .other_kind_count = 2};

	fold("");
	ck_assert_str_eq(search_match(mem, &terms, 3), "('3:apple') & !'3%3' & !'3%2'");
	terms.query = NULL;
	terms.other_kind_count = 1;
	ck_assert_str_eq(search_match(mem, &terms, 3), "'3*' & !'3%3'");
}
END_TEST

START_TEST(found_words_are_marked_as_they_were_written)
{
	ck_assert_str_eq(snippet("Ein Café in der Straße.", "ein \2cafe\3 in der \2strasse\3."),
		"Ein [Café] in der [Straße].");
	ck_assert_str_eq(snippet("cafe\xCC\x81s", "\2cafes\3"), "[cafe\xCC\x81s]");
}
END_TEST

START_TEST(a_headline_that_is_not_the_text_marks_nothing)
{
	ck_assert_str_eq(snippet("one two", "one \2tw\3"), "one two");
	ck_assert_str_eq(snippet("one two", "one \2two"), "one two");
	ck_assert_str_eq(snippet("one two", "one \3two\2"), "one two");
	ck_assert_str_eq(snippet("one two", "other"), "one two");
}
END_TEST

START_TEST(a_long_text_is_cut_around_the_first_word_found)
{
	char text[4001], headline[4100];
	size_t n = 0;

	for (int i = 0; i < 400; i++)
		n += (size_t)sprintf(text + n, "w%03d ", i);
	memcpy(headline, text, n + 1);
	char *at = strstr(headline, "w200");
	memmove(at + 6, at + 4, strlen(at + 4) + 1);
	memcpy(at, "\2w200\3", 6);
	const char *s = snippet(text, headline);
	ck_assert_int_eq(strncmp(s, "…w", strlen("…w")), 0);
	ck_assert_ptr_nonnull(strstr(s, " w199 [w200] w201 "));
	ck_assert_ptr_null(strstr(s, "w100"));
	ck_assert_ptr_null(strstr(s, "w300"));
	ck_assert_str_eq(s + strlen(s) - strlen("…"), "…");
	/* Words stay whole. */
	for (const char *w = strchr(s, 'w'); w != NULL; w = strchr(w + 1, 'w'))
		ck_assert_msg(strspn(w + 1, "0123456789") == 3, "%s", w);
}
END_TEST

START_TEST(a_short_text_is_shown_whole)
{
	ck_assert_str_eq(snippet("just this", NULL), "just this");
	ck_assert_str_eq(snippet("", NULL), "");
}
END_TEST

TESTS("search_text", case_and_accents_do_not_matter, letters_that_are_two_become_two, what_is_no_letter_of_these_stays,
	control_characters_are_blanks, every_folded_byte_knows_its_character, no_text_of_valid_utf8_grows,
	a_vector_is_put_into_its_segment_with_the_marks_of_its_message, a_query_is_put_into_a_segment,
	a_query_that_the_absence_of_a_word_meets_stays_in_its_segment, kinds_that_are_left_out_do_not_bound_a_query,
	found_words_are_marked_as_they_were_written, a_headline_that_is_not_the_text_marks_nothing,
	a_long_text_is_cut_around_the_first_word_found, a_short_text_is_shown_whole)
