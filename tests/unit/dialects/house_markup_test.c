/* What a client of house writes and reads of mentions, against canonical text. */
#include "common/dialects/house/markup.h"

#include <string.h>

#include "common/base/ids.h"
#include "tests/unit/main.h"

/* Of ids 5, 16, 77 and 9. */
#define USER    "00000000-0000-8000-9400-000000000000"
#define ROLE    "00000000-0000-8001-8000-000000000000"
#define CHANNEL "00000000-0000-8004-b400-000000000000"
#define EMOJI   "00000000-0000-8000-a400-000000000000"

START_TEST(these_are_the_uuids_of_the_ids)
{
	static const struct {
		uint64_t id;
		const char *uuid;
	} ids[] = {{5, USER}, {16, ROLE}, {77, CHANNEL}, {9, EMOJI}};
	char uuid[IDS_UUID_SIZE];

	for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
		ids_to_uuid(ids[i].id, uuid);
		ck_assert_str_eq(uuid, ids[i].uuid);
	}
}
END_TEST

static const struct {
	const char *house, *canonical;
} reading[] = {
	{"", ""},
	{"plain <b> text", "plain <b> text"},
	{"<@" USER ">", "<@5>"},
	{"a <@" USER "> b <@&" ROLE "> c <#" CHANNEL "> d <:wave:" EMOJI "> e", "a <@5> b <@&16> c <#77> d <:wave:9> e"},
	{"`<@" USER ">` <@" USER ">", "`<@" USER ">` <@5>"},
	{"```\n<@" USER ">\n```", "```\n<@" USER ">\n```"},
	{"@everyone @here", "@everyone @here"},
	/* the case of a UUID does not matter; another version is no id of ours */
	{"<#00000000-0000-8004-B400-000000000000>", "<#77>"},
	{"<@00000000-0000-4000-9400-000000000000>", "<@00000000-0000-4000-9400-000000000000>"},
	/* no id is 0, none is above 2^63-1 */
	{"<@00000000-0000-8000-8000-000000000000>", "<@00000000-0000-8000-8000-000000000000>"},
	{"<@ffffffff-ffff-8fff-bc00-000000000000>", "<@ffffffff-ffff-8fff-bc00-000000000000>"},
	{"<@" USER, "<@" USER},
	{"<@" USER " >", "<@" USER " >"},
	{"<@5>", "<@5>"},
};

START_TEST(what_a_client_writes_becomes_canonical)
{
	for (size_t i = 0; i < sizeof reading / sizeof *reading; i++) {
		struct arena *mem = arena_create();
		ck_assert_str_eq(house_markup_read(mem, reading[i].house), reading[i].canonical);
		arena_destroy(mem);
	}
}
END_TEST

START_TEST(only_what_the_message_mentions_is_written_as_a_mention)
{
	struct arena *mem = arena_create();
	uint64_t users[] = {4, 5}, channels[] = {16};
	pb_MentionsView mentions = {
		.user_ids_count = 2, .user_ids = users, .channel_ids_count = 1, .channel_ids = channels};
	const char *text = "<@5> <@6> <@&16> <#16> <#5> <:wave:9> `<@5>`";

	ck_assert_str_eq(house_markup_write(mem, text, &mentions),
		"<@" USER "> <@6> <@&16> <#" ROLE "> <#5> <:wave:" EMOJI "> `<@5>`");
	ck_assert_str_eq(house_markup_write(mem, text, NULL), "<@5> <@6> <@&16> <#16> <#5> <:wave:" EMOJI "> `<@5>`");
	arena_destroy(mem);
}
END_TEST

START_TEST(text_without_mentions_is_not_copied)
{
	struct arena *mem = arena_create();
	const char *text = "<@5> and more";
	pb_MentionsView everyone = {.everyone = true};

	ck_assert_ptr_eq(house_markup_write(mem, text, NULL), text);
	ck_assert_ptr_eq(house_markup_write(mem, text, &everyone), text);
	ck_assert_ptr_eq(house_markup_read(mem, text), text);
	arena_destroy(mem);
}
END_TEST

/* What a client is shown it may send back: it becomes the same text, however often a mention stands in it. */
START_TEST(a_text_of_mentions_comes_back_as_it_was)
{
	struct arena *mem = arena_create();
	uint64_t users[] = {5};
	pb_MentionsView mentions = {.user_ids_count = 1, .user_ids = users};
	char text[4001] = "";

	for (size_t i = 0; i + 4 < sizeof text; i += 4)
		memcpy(text + i, "<@5>", 5);
	const char *shown = house_markup_write(mem, text, &mentions);
	ck_assert_uint_eq(strlen(shown), 1000 * strlen("<@" USER ">"));
	ck_assert_uint_le(strlen(shown), HOUSE_MARKUP_GROWTH * strlen(text));
	ck_assert_str_eq(house_markup_read(mem, shown), text);
	arena_destroy(mem);
}
END_TEST

TESTS("house markup", these_are_the_uuids_of_the_ids, what_a_client_writes_becomes_canonical,
	only_what_the_message_mentions_is_written_as_a_mention, text_without_mentions_is_not_copied,
	a_text_of_mentions_comes_back_as_it_was)
