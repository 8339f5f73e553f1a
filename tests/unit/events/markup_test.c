/* The tokens of message text: what is one, what is not, and that no text makes it crash or slow. */
#include "common/events/markup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/main.h"

/* The tokens as one line: "user 5;everyone;". */
static const char *tokens_of(struct arena *mem, const char *text, size_t length)
{
	static const char *const names[] = {"user", "role", "channel", "emoji", "everyone", "here"};
	const char *out = "";
	struct markup m;

	markup_begin(&m, mem, text, length, markup_id_decimal);
	while (markup_next(&m)) {
		ck_assert_uint_lt(m.begin, m.end);
		ck_assert_uint_le(m.end, length);
		if (m.id_end == 0)
			out = arena_printf(mem, "%s%s;", out, names[m.token]);
		else
			out = arena_printf(mem, "%s%s %" PRIu64 ";", out, names[m.token], m.id);
	}
	return out;
}

static const struct {
	const char *text, *tokens;
} table[] = {
	{"", ""},
	{"no tokens here: a < b, a@b.example, #7", ""},
	{"hello <@5>", "user 5;"},
	{"<@5><@&16><#77><:wave:9>", "user 5;role 16;channel 77;emoji 9;"},
	{"@everyone and @here", "everyone;here;"},
	{"(@everyone), @here.", "everyone;here;"},
	{"mail@everyone.example x@here", ""},
	{"@everyones @hereabouts @everyone_", ""},
	{"@@everyone", "everyone;"},
	{"你好@everyone好", "everyone;"},
	/* an id has one spelling */
	{"<@05> <@0> <@> <@-5> <@ 5> <@5 > <@+5> <@5.0> <@0x5>", ""},
	{"<@9223372036854775807>", "user 9223372036854775807;"},
	{"<@9223372036854775808> <@18446744073709551616> <@99999999999999999999999>", ""},
	{"<@00007f01-a2b3-8c4d-9400-000000000000>", ""},
	/* brackets that begin and do not end */
	{"<", ""}, {"<@", ""}, {"<@&", ""}, {"<#", ""}, {"<:", ""}, {"<:a", ""}, {"<:a:", ""}, {"<@5", ""},
	{"<<@5>>", "user 5;"},
	{"<@<@5>", "user 5;"},
	{"<@@everyone>", "everyone;"},
	{"<@!5> <@&&5> <#&5> <&5> <@#5>", ""},
	/* names of emoji */
	{"<:_Az09:7>", "emoji 7;"},
	{"<::7> <:a b:7> <:ä:7> <:a:x> <a:b:7>", ""},
	{"<:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:7>", "emoji 7;"},
	{"<:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:7>", ""},
	/* code */
	{"`<@5>`", ""},
	{"`<@5>` <@6>", "user 6;"},
	{"``<@5>`<@6>`` <@7>", "user 7;"},
	{"```\n<@5> @everyone\n```\n@here", "here;"},
	{"```c\n<@5>\n````\n<@6>\n```<@7>", "user 7;"},
	{"`<@5>", "user 5;"},
	{"``<@5>`", "user 5;"},
	{"`a``<@5>```", "user 5;"},
	{"`` ` <@5>", "user 5;"},
	{"<@5> ``` <@6>", "user 5;user 6;"},
	{"`a` <@5> `b` <@6> `<@7>`", "user 5;user 6;"},
	{"<@`5>`", ""},
	{"````", ""},
	{"`", ""},
};

START_TEST(a_text_has_these_tokens)
{
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct arena *mem = arena_create();
		const char *tokens = tokens_of(mem, table[i].text, strlen(table[i].text));
		ck_assert_msg(strcmp(tokens, table[i].tokens) == 0, "%s: %s", table[i].text, tokens);
		arena_destroy(mem);
	}
}
END_TEST

START_TEST(a_token_says_where_it_and_its_id_stand)
{
	struct arena *mem = arena_create();
	struct markup m;

	markup_begin(&m, mem, "ab <@&1234> c", 13, markup_id_decimal);
	ck_assert(markup_next(&m));
	ck_assert_uint_eq(m.begin, 3);
	ck_assert_uint_eq(m.end, 11);
	ck_assert_uint_eq(m.id_begin, 6);
	ck_assert_uint_eq(m.id_end, 10);
	ck_assert(!markup_next(&m));
	ck_assert(!markup_next(&m));
	arena_destroy(mem);
}
END_TEST

/* Every text cut at every byte, in memory of exactly that size, so that a read beyond it is found. */
START_TEST(no_cut_of_a_text_is_read_beyond_its_end)
{
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		for (size_t length = 0; length <= strlen(table[i].text); length++) {
			struct arena *mem = arena_create();
			char *text = malloc(length > 0 ? length : 1);
			memcpy(text, table[i].text, length);
			tokens_of(mem, text, length);
			free(text);
			arena_destroy(mem);
		}
	}
}
END_TEST

/* Pieces of tokens in random order: whatever comes out lies in the text, in order, and reads as what it says. */
START_TEST(a_soup_of_pieces_gives_tokens_in_order)
{
	static const char *const pieces[] = {"<", "@", "&", "#", ":", ">", "5", "0", "1234567890123456789", "`", "``", "```",
		"everyone", "here", "@everyone", "@here", "<@5>", "<@&6>", "<#7>", "<:a:8>", "a", "_", " ", "\n", "ä", "\\"};
	uint32_t random = 2463534242;

	for (int round = 0; round < 3000; round++) {
		struct arena *mem = arena_create();
		char text[1200];
		size_t length = 0, last = 0;
		struct markup m;
		for (int i = 0; i < 60; i++) {
			random ^= random << 13;
			random ^= random >> 17;
			random ^= random << 5;
			const char *piece = pieces[random % (sizeof pieces / sizeof *pieces)];
			memcpy(text + length, piece, strlen(piece));
			length += strlen(piece);
		}
		char *exact = arena_memdup(mem, text, length);
		markup_begin(&m, mem, exact, length, markup_id_decimal);
		while (markup_next(&m)) {
			ck_assert_uint_ge(m.begin, last);
			ck_assert_uint_lt(m.begin, m.end);
			ck_assert_uint_le(m.end, length);
			last = m.end;
			if (m.id_end == 0)
				continue;
			uint64_t id = 0;
			ck_assert(markup_id_decimal(exact + m.id_begin, m.id_end - m.id_begin, &id));
			ck_assert_uint_eq(id, m.id);
			ck_assert_int_eq(exact[m.begin], '<');
			ck_assert_int_eq(exact[m.end - 1], '>');
		}
		arena_destroy(mem);
	}
}
END_TEST

/* Runs of every length, none of which ends another: a search for each would look at every later byte. Counted in bytes read is
 * not possible here, so the text is large enough that a square of it would not end within the test's time. */
START_TEST(runs_of_backticks_without_an_end_cost_no_search)
{
	const size_t size = 8 << 20;
	struct arena *mem = arena_create();
	char *text = arena_alloc(mem, size);
	size_t length = 0, found = 0;
	struct markup m;

	for (size_t run = 1; length + run + 5 < size; run++) {
		memset(text + length, '`', run);
		length += run;
		memcpy(text + length, "<@5> ", 5);
		length += 5;
	}
	markup_begin(&m, mem, text, length, markup_id_decimal);
	while (markup_next(&m))
		found++;
	ck_assert_uint_gt(found, 4000);

	memset(text, '<', size);
	markup_begin(&m, mem, text, size, markup_id_decimal);
	ck_assert(!markup_next(&m));
	memset(text, '@', size);
	markup_begin(&m, mem, text, size, markup_id_decimal);
	ck_assert(!markup_next(&m));
	for (size_t i = 0; i < size; i++)
		text[i] = "` "[i % 2];
	markup_begin(&m, mem, text, size, markup_id_decimal);
	ck_assert(!markup_next(&m));
	arena_destroy(mem);
}
END_TEST

static const char *labelled(struct arena *mem, const char *text)
{
	const char *out = "";
	struct markup m;

	markup_begin(&m, mem, text, strlen(text), markup_id_decimal);
	m.labels = true;
	while (markup_next(&m))
		out = arena_printf(mem, "%s%" PRIu64 "=%.*s;", out, m.id, (int)(m.end - m.id_end), text + m.id_end);
	return out;
}

START_TEST(a_label_stands_behind_the_id_of_a_person_or_channel_where_there_may_be_one)
{
	static const struct {
		const char *text, *found;
	} rows[] = {
		{"<@5 Ann Lewis> <#6 the\tgeneral one> <@7>", "5= Ann Lewis>;6= the\tgeneral one>;7=>;"},
		{"<@5 > <@5\nx>", "5= >;5=\nx>;"},
		{"<@ 5> <@&5 admins> <:a:5 b> <@5x y>", ""},
		{"<@5 a <@6 b> c>", "5= a <@6 b>;"},
		{"`<@5 a>` <@6 a", ""},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct arena *mem = arena_create();
		ck_assert_str_eq(labelled(mem, rows[i].text), rows[i].found);
		arena_destroy(mem);
	}
}
END_TEST

START_TEST(labels_that_never_end_cost_no_search_each)
{
	size_t count = 100000;
	struct arena *mem = arena_create();
	char *text = arena_alloc(mem, count * 5 + 1);
	struct markup m;

	for (size_t i = 0; i < count; i++)
		memcpy(text + 5 * i, "<@1 a", 5);
	markup_begin(&m, mem, text, count * 5, markup_id_decimal);
	m.labels = true;
	ck_assert(!markup_next(&m));
	arena_destroy(mem);
}
END_TEST

TESTS("markup", a_text_has_these_tokens, a_token_says_where_it_and_its_id_stand,
	no_cut_of_a_text_is_read_beyond_its_end, a_soup_of_pieces_gives_tokens_in_order,
	runs_of_backticks_without_an_end_cost_no_search,
	a_label_stands_behind_the_id_of_a_person_or_channel_where_there_may_be_one,
	labels_that_never_end_cost_no_search_each)
