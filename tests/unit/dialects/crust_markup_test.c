/* What a client of crust writes of mentions, as canonical text. */
#include "common/dialects/crust/markup.h"

#include <string.h>

#include "tests/unit/main.h"

static const struct {
	const char *crust, *canonical;
} reading[] = {
	{"", ""},
	{"plain <b> text", "plain <b> text"},
	{"<@5>", "<@5>"},
	{"<@5 Ann>", "<@5>"},
	{"a <@5 Ann Lewis> b <#77 general> c", "a <@5> b <#77> c"},
	{"<@5 Ann><@6 Bob>", "<@5><@6>"},
	{"`<@5 Ann>` <@5 Ann>", "`<@5 Ann>` <@5>"},
	{"<@05 Ann> <@x Ann> <@5 Ann", "<@05 Ann> <@x Ann> <@5 Ann"},
	{"<@5 \xC3\x84nn \xE2\x9B\xB5>!", "<@5>!"},
	{"<@&5 admins> <:wave:9>", "<@&5 admins> <:wave:9>"},
};

START_TEST(labels_are_dropped)
{
	for (size_t i = 0; i < sizeof reading / sizeof *reading; i++) {
		struct arena *mem = arena_create();
		ck_assert_str_eq(crust_markup_read(mem, reading[i].crust), reading[i].canonical);
		arena_destroy(mem);
	}
}
END_TEST

START_TEST(text_without_labels_is_the_same_text)
{
	struct arena *mem = arena_create();
	const char *text = "<@5> and <#77>";

	ck_assert_ptr_eq(crust_markup_read(mem, text), text);
	arena_destroy(mem);
}
END_TEST

TESTS("crust markup", labels_are_dropped, text_without_labels_is_the_same_text)
