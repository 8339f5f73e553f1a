/* How long names and topics of channels may be, and what is said of those that are longer. */
#include "common/dialects/crust/bounds.h"

#include <string.h>

#include "tests/unit/main.h"

/* `count` times the text. */
static const char *many(struct arena *mem, const char *text, size_t count)
{
	char *all = arena_alloc(mem, strlen(text) * count + 1);

	all[0] = '\0';
	for (size_t i = 0; i < count; i++)
		strcat(all, text);
	return all;
}

START_TEST(a_bound_counts_characters_or_where_it_is_strict_bytes)
{
	static const struct {
		bool strict, topic;
		size_t most; /* of two bytes each */
		const char *refusal;
	} rows[] = {
		{false, false, 100, "channel name (101 characters) too long (max: 100)"},
		{false, true, 1000, "channel topic (1001 characters) too long (max: 1000)"},
		{true, false, 20, "channel name (42 characters) too long (max: 40)"},
		{true, true, 100, "channel topic (202 characters) too long (max: 200)"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct arena *mem = arena_create();
		const char *fits = many(mem, "\xC3\xB6", rows[i].most), *not = many(mem, "\xC3\xB6", rows[i].most + 1);
		ck_assert_ptr_null(crust_channel_too_long(mem, rows[i].topic ? NULL : fits, rows[i].topic ? fits : "", rows[i].strict));
		ck_assert_str_eq(
			crust_channel_too_long(mem, rows[i].topic ? "" : not, rows[i].topic ? not : NULL, rows[i].strict),
			rows[i].refusal);
		arena_destroy(mem);
	}
}
END_TEST

TESTS("crust bounds", a_bound_counts_characters_or_where_it_is_strict_bytes)
