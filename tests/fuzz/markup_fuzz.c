/* Message text: tokens lie in the text, in order, and what house is shown of them it may send back. */
#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"
#include "common/dialects/house/markup.h"
#include "common/events/markup.h"
#include "tests/fuzz/driver.h"

/* Everything that a text names, as if all of it were mentioned. */
static pb_MentionsView all_of(struct arena *mem, const char *text, size_t length)
{
	pb_MentionsView view = {.user_ids = ARENA_ARRAY(mem, length + 1, uint64_t),
		.role_ids = ARENA_ARRAY(mem, length + 1, uint64_t),
		.channel_ids = ARENA_ARRAY(mem, length + 1, uint64_t)};
	struct markup m;
	size_t last = 0;

	markup_begin(&m, mem, text, length, markup_id_decimal);
	while (markup_next(&m)) {
		if (m.begin < last || m.end <= m.begin || m.end > length || m.id_end > m.end)
			abort();
		last = m.end;
		if (m.token == MARKUP_USER)
			view.user_ids[view.user_ids_count++] = m.id;
		else if (m.token == MARKUP_ROLE)
			view.role_ids[view.role_ids_count++] = m.id;
		else if (m.token == MARKUP_CHANNEL)
			view.channel_ids[view.channel_ids_count++] = m.id;
	}
	return view;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct arena *mem = arena_create();

	if (length < 4000 && text_is_utf8((const char *)bytes, length)) {
		const char *text = arena_strndup(mem, (const char *)bytes, length);
		const char *canonical = house_markup_read(mem, text);
		pb_MentionsView mentions = all_of(mem, canonical, strlen(canonical));
		const char *shown = house_markup_write(mem, canonical, &mentions);
		if (strcmp(house_markup_read(mem, shown), canonical) != 0)
			abort();
		if (strlen(shown) > HOUSE_MARKUP_GROWTH * strlen(canonical))
			abort();
	}
	arena_destroy(mem);
	return 0;
}

FUZZ_SEEDS(FUZZ_SEED("<@5> <@&16> <#77> <:wave:9> @everyone @here"), FUZZ_SEED("`<@5>` ``<@6>` <@7>`` ```\n<#8>\n```"),
	FUZZ_SEED("<@00000000-0000-8000-9400-000000000000> <:a:00000000-0000-8000-a400-000000000000>"), FUZZ_SEED("<@<@&<#<:a:1>>>>"))
