/* History and text as crust asks for them: which messages, in which order, and in whose channels. */
#include "tests/unit/messaging/fixture.h"

#include <inttypes.h>

#include "services/messaging/views.h"

static pb_FindMessagesReply page;

#define FIND(fx, ...) DO(fx, false, find_messages, pb_FindMessagesRequest, &page, .team_id = TEAM, __VA_ARGS__)

/* The contents of the page, apart by blanks. */
static const char *contents(struct fixture *fx)
{
	const char *all = "";

	for (pb_size_t i = 0; i < page.messages_count; i++)
		all = arena_printf(fx->mem, "%s%s%s", all, i > 0 ? " " : "", page.messages[i].content);
	return all;
}

#define FOUND(fx, wanted, ...)                                                                               \
	do {                                                                                                 \
		ck_assert_int_eq(FIND(fx, __VA_ARGS__), STATUS_OK);                                          \
		ck_assert_str_eq(contents(fx), wanted);                                                      \
	} while (0)

START_TEST(the_main_stream_comes_newest_first_and_from_a_place_on_oldest_first)
{
	struct fixture fx;
	uint64_t id[5];

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	for (int i = 0; i < 5; i++)
		id[i] = posted(&fx, channel, (const char *[]){"a", "b", "c", "d", "e"}[i], 0).id;
	posted(&fx, channel, "reply", id[2]);
	FOUND(&fx, "e d c b a", .channel_ids_count = 1, .channel_ids = &channel);
	FOUND(&fx, "e d", .channel_ids_count = 1, .channel_ids = &channel, .limit = 2);
	ck_assert(page.more);
	FOUND(&fx, "b a", .channel_ids_count = 1, .channel_ids = &channel, .before_id = id[2]);
	FOUND(&fx, "c b a", .channel_ids_count = 1, .channel_ids = &channel, .to_id = id[2]);
	FOUND(&fx, "d e", .channel_ids_count = 1, .channel_ids = &channel, .after_id = id[2]);
	FOUND(&fx, "c d e", .channel_ids_count = 1, .channel_ids = &channel, .from_id = id[2]);
	FOUND(&fx, "b c d", .channel_ids_count = 1, .channel_ids = &channel, .from_id = id[1], .to_id = id[3]);
	FOUND(&fx, "c", .channel_ids_count = 1, .channel_ids = &channel, .after_id = id[1], .before_id = id[3]);
	FOUND(&fx, "reply", .root_ids_count = 1, .root_ids = &id[2]);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(several_channels_are_one_list_by_id)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t one = made_channel(&fx, false), two = made_channel(&fx, false);
	uint64_t a = posted(&fx, one, "a", 0).id;
	posted(&fx, two, "b", 0);
	posted(&fx, one, "c", 0);
	uint64_t d = posted(&fx, two, "d", 0).id;
	FOUND(&fx, "d c b a", .limit = 0);
	FOUND(&fx, "d c", .limit = 2);
	FOUND(&fx, "b c d", .after_id = a);
	FOUND(&fx, "c b a", .before_id = d);
	FOUND(&fx, "c a", .channel_ids_count = 2, .channel_ids = ((uint64_t[]){one, one}));
	fixture_destroy(&fx);
}
END_TEST

START_TEST(every_condition_narrows_it)
{
	struct fixture fx;
	pb_MessageReply reply;
	pb_Empty nothing;
	uint64_t six = 6;
	uint32_t me = MESSAGE_ME, text = MESSAGE_TEXT, image = MEDIA_IMAGE;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	uint64_t a = posted(&fx, channel, "Apple-pie", 0).id;
	fx.user = 6;
	uint64_t b = posted(&fx, channel, "pineAPPLE_%", 0).id;
	fx.user = 5;
	ck_assert_int_eq(DO(&fx, true, post_message, pb_PostMessageRequest, &reply, .channel_id = channel,
				 .content = (char *)"waves", .kind = MESSAGE_ME),
		STATUS_OK);
	FOUND(&fx, "pineAPPLE_% Apple-pie", .text = (char *)"apple");
	FOUND(&fx, "pineAPPLE_%", .text = (char *)"e_%");
	FOUND(&fx, "", .text = (char *)"a%e");
	FOUND(&fx, "pineAPPLE_%", .author_ids_count = 1, .author_ids = &six);
	FOUND(&fx, "waves", .kinds_count = 1, .kinds = &me);
	FOUND(&fx, "pineAPPLE_% Apple-pie", .kinds_count = 1, .kinds = &text);
	FOUND(&fx, "", .media_count = 1, .media = &image);
	ck_assert_int_eq(DO(&fx, true, pin_message, pb_MessageRequest, &nothing, .message_id = a), STATUS_OK);
	ck_assert_int_eq(DO(&fx, true, set_bookmark, pb_SetBookmarkRequest, &nothing, .message_id = b, .set = true), STATUS_OK);
	FOUND(&fx, "Apple-pie", .pinned = true);
	FOUND(&fx, "pineAPPLE_%", .bookmarked = true);
	ck_assert(page.messages[0].bookmarked);
	FOUND(&fx, "Apple-pie", .pinned = true, .bookmarked = true);
	fx.user = 6;
	FOUND(&fx, "", .bookmarked = true); /* another's bookmark is not his */
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_message_that_is_one_file_is_found_by_what_the_file_is)
{
	struct fixture fx;
	uint32_t image = MEDIA_IMAGE, other = MEDIA_ATTACHMENT;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	const char *names[] = {"a.png", "b.txt", "said"};
	uint64_t ids[3];
	for (int i = 0; i < 3; i++)
		ids[i] = posted(&fx, channel, names[i], 0).id;
	pg_exec(fx.url, "INSERT INTO messaging.file_contents VALUES ('x', 1)");
	const char *files[][3] = {{"0", "a.png", "image/png"}, {"1", "b.txt", "text/plain"}, {"2", "c.png", "image/png"}};
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		pg_exec(fx.url, arena_printf(fx.mem,
					"INSERT INTO messaging.attachments (id, channel_id, uploader_id, message_id, name, bytes, mime, ext, sha256, key,"
					" created_at_ms) VALUES (%zu, %" PRIu64 ", 5, %" PRIu64 ", '%s', 1, '%s', '', 'x', 'k', 1)",
					i + 1, channel, ids[files[i][0][0] - '0'], files[i][1], files[i][2]));
	pg_exec(fx.url, "UPDATE messaging.messages SET attachments = ''");
	pg_exec(fx.url, "UPDATE messaging.messages SET content = '' WHERE content <> 'said'");
	ck_assert_int_eq(FIND(&fx, .media_count = 1, .media = &image), STATUS_OK);
	ck_assert_uint_eq(page.messages_count, 1); /* not what has text of its own */
	ck_assert_uint_eq(page.messages[0].id, ids[0]);
	ck_assert_int_eq(FIND(&fx, .media_count = 1, .media = &other), STATUS_OK);
	ck_assert_uint_eq(page.messages_count, 1);
	ck_assert_uint_eq(page.messages[0].id, ids[1]);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(only_what_may_be_read_is_found)
{
	struct fixture fx;
	pb_ChannelReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false), other = made_channel(&fx, false);
	posted(&fx, channel, "here", 0);
	posted(&fx, other, "there", 0);
	TELL(&fx, hidden_channel = other);
	fx.user = 6;
	FOUND(&fx, "here", .limit = 0);
	ck_assert_int_eq(FIND(&fx, .channel_ids_count = 1, .channel_ids = &other), STATUS_FORBIDDEN);
	FOUND(&fx, "here", .channel_ids_count = 2, .channel_ids = ((uint64_t[]){other, channel}));
	fx.user = 5;
	ck_assert_int_eq(DO(&fx, true, set_channel_state, pb_SetChannelStateRequest, &reply, .channel_id = channel,
				 .change = CHANNEL_ARCHIVE),
		STATUS_OK);
	FOUND(&fx, "there", .limit = 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(ones_threads_are_those_one_began_or_answered)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	uint64_t mine = posted(&fx, channel, "mine", 0).id, alone = posted(&fx, channel, "alone", 0).id;
	fx.user = 6;
	uint64_t theirs = posted(&fx, channel, "theirs", 0).id, foreign = posted(&fx, channel, "foreign", 0).id;
	posted(&fx, channel, "re-mine", mine);
	posted(&fx, channel, "re-foreign", foreign);
	fx.user = 5;
	posted(&fx, channel, "re-theirs", theirs);
	ck_assert_uint_ne(alone, 0);
	ck_assert_int_eq(DO(&fx, false, search_threads, pb_SearchThreadsRequest, &page, .team_id = TEAM), STATUS_OK);
	ck_assert_str_eq(contents(&fx), "mine theirs re-mine re-theirs");
	ck_assert_uint_eq(page.messages[0].thread_unread, 1);
	ck_assert_int_eq(DO(&fx, false, search_threads, pb_SearchThreadsRequest, &page, .team_id = TEAM, .limit = 1), STATUS_OK);
	ck_assert_str_eq(contents(&fx), "theirs re-theirs");
	ck_assert_int_eq(DO(&fx, false, search_threads, pb_SearchThreadsRequest, &page, .team_id = TEAM, .text = (char *)"RE-M"), STATUS_OK);
	ck_assert_str_eq(contents(&fx), "re-mine");
	fixture_destroy(&fx);
}
END_TEST

TESTS("find", the_main_stream_comes_newest_first_and_from_a_place_on_oldest_first, several_channels_are_one_list_by_id,
	every_condition_narrows_it, a_message_that_is_one_file_is_found_by_what_the_file_is, only_what_may_be_read_is_found, ones_threads_are_those_one_began_or_answered)
