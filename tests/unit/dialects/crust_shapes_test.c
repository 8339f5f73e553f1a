/* The objects of crust: one input each, tests/golden/crust/object_<name>.json out. With GOLDEN_WRITE=1 in the environment the files
 * are written instead of compared; the reviewer reads the diff. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "common/dialects/crust/shapes.h"
#include "tests/unit/main.h"

#define AT_MS   UINT64_C(1736937000123) /* 2025-01-15T10:30:00.123Z */
#define TEAM    UINT64_C(139637976728533)
#define CHANNEL UINT64_C(81985529216486401)
#define MESSAGE UINT64_C(81985529216486402)
#define ROOT    UINT64_C(81985529216486403)
#define ALICE   UINT64_C(28772997619311)
#define BOB     UINT64_C(46365183663727)
#define MEMBERS                                                                                              \
	.member_ids_count = 2, .member_ids = (uint64_t[])                                                    \
	{                                                                                                    \
		ALICE, BOB                                                                                   \
	}

static const pb_ChannelView public_channel = {.id = CHANNEL,
	.team_id = TEAM,
	.kind = CHANNEL_TEXT,
	.name = (char *)"general",
	.topic = (char *)"<b> & \"all\"",
	.last_message_id = MESSAGE,
	.policy = POLICY_FEATURED,
	.created_at_ms = AT_MS,
	MEMBERS};
static const pb_ChannelView group = {.id = CHANNEL,
	.kind = CHANNEL_GROUP,
	.name = (char *)"",
	.created_at_ms = AT_MS,
	.updated_at_ms = AT_MS + 1000,
	.archived_at_ms = AT_MS + 2000,
	.deleted_at_ms = AT_MS + 3000,
	.users_count = 1,
	.users = (pb_UserView[]){{.id = BOB}}};
static const pb_MessageView message = {.id = MESSAGE,
	.channel_id = CHANNEL,
	.has_author = true,
	.author = {.id = ALICE, .username = (char *)"alice"},
	.kind = MESSAGE_TEXT,
	.content = (char *)"hello <@46365183663727>",
	.reply_count = 2,
	.reply_authors_count = 2,
	.reply_authors = (uint64_t[]){BOB, BOB},
	.pinned_at_ms = AT_MS,
	.created_at_ms = AT_MS,
	.edited_at_ms = AT_MS + 60000,
	.has_mentions = true,
	.mentions = {.user_ids_count = 1, .user_ids = (uint64_t[]){BOB}},
	.reactions_count = 1,
	.reactions = (pb_ReactionView[]){{.emoji = (char *)":+1:", .count = 2, .user_ids_count = 2, .user_ids = (uint64_t[]){ALICE, BOB}}},
	.bookmarked = true,
	.thread_unread = 1,
	.thread_last_read_id = MESSAGE + 1};
static const pb_MessageView reply = {.id = MESSAGE,
	.channel_id = CHANNEL,
	.has_author = true,
	.author = {.id = ALICE, .username = (char *)"alice"},
	.kind = MESSAGE_TEXT,
	.content = (char *)"yes",
	.parent_id = ROOT + 5,
	.root_id = ROOT,
	.created_at_ms = AT_MS,
	.deleted_at_ms = AT_MS + 60000};
static const pb_MessageView illeism = {.id = MESSAGE,
	.channel_id = CHANNEL,
	.has_author = true,
	.author = {.id = ALICE, .username = (char *)"alice"},
	.kind = MESSAGE_ME,
	.content = (char *)"waves",
	.created_at_ms = AT_MS};

/* ---- objects */

static void w_public_channel(struct json_writer *w)
{
	crust_channel(w, &public_channel,
		&(struct crust_channel_own){.bits = bits_base_role(true),
			.flag = FLAG_PINNED,
			.unread = {.last_message_id = MESSAGE, .count = 3, .thread_count = 2, .thread_total = 1}});
}

static void w_group(struct json_writer *w)
{
	crust_channel(w, &group, &(struct crust_channel_own){.bits = {UINT64_MAX, UINT64_MAX}});
}

static void w_message(struct json_writer *w)
{
	struct crust_message_own own = crust_message_own(&message, ALICE);

	crust_message(w, &message, &own);
}

static void w_message_of_another(struct json_writer *w)
{
	crust_message(w, &message, &(struct crust_message_own){.reader_id = BOB});
}

static void w_reply(struct json_writer *w)
{
	crust_message(w, &reply, &(struct crust_message_own){.reader_id = ALICE});
}

static void w_illeism(struct json_writer *w)
{
	crust_message(w, &illeism, &(struct crust_message_own){.reader_id = ALICE});
}

static void w_webhook(struct json_writer *w)
{
	crust_webhook(w,
		&(pb_WebhookView){.id = MESSAGE,
			.channel_id = CHANNEL,
			.kind = WEBHOOK_OUTGOING,
			.name = (char *)"pier",
			.bot_id = BOB,
			.owner_id = ALICE,
			.trigger = (char *)"tide",
			.url = (char *)"https://tides.example/?at=%s&b=1",
			.created_at_ms = AT_MS},
		"told once", "told once, too");
}

static void w_unread(struct json_writer *w)
{
	crust_unread(w, &(struct crust_unread){CHANNEL, ROOT, MESSAGE, 0, 4, 2});
}

static void w_member(struct json_writer *w)
{
	crust_member(w, &(pb_ChannelMemberView){.user = {.id = BOB}, .role = CHANNEL_ROLE_MODERATOR, .joined_at_ms = AT_MS});
}

static void w_command(struct json_writer *w)
{
	crust_command(w, "me", "Illeism");
}

static void w_status(struct json_writer *w)
{
	crust_status(w, ALICE, NULL, "at sea");
}

static void w_rule(struct json_writer *w)
{
	crust_rule(w, 2, "messaging:channel:*", "read", "allow");
}

static void w_effective(struct json_writer *w)
{
	crust_effective(w, "messaging", "access", true);
}

static void w_operation(struct json_writer *w)
{
	crust_operation(w, "messaging:channel:", "read");
}

static const struct {
	const char *name;
	void (*write)(struct json_writer *w);
} objects[] = {
	{"channel", w_public_channel},
	{"group", w_group},
	{"message", w_message},
	{"message_of_another", w_message_of_another},
	{"reply", w_reply},
	{"illeism", w_illeism},
	{"webhook", w_webhook},
	{"unread", w_unread},
	{"member", w_member},
	{"command", w_command},
	{"status", w_status},
	{"rule", w_rule},
	{"effective", w_effective},
	{"operation", w_operation},
};

static const char *written(struct arena *mem, void (*write)(struct json_writer *w))
{
	struct json_writer w;
	size_t length = 0;

	crust_begin(&w, mem, 0);
	write(&w);
	return jw_end(&w, &length);
}

START_TEST(each_object_looks_like_its_golden_file)
{
	struct arena *mem = arena_create();
	const char *path = arena_printf(mem, "%s/object_%s.json", GOLDEN_DIR, objects[_i].name);
	const char *text = written(mem, objects[_i].write);

	if (getenv("GOLDEN_WRITE") != NULL) {
		FILE *out = fopen(path, "w");
		ck_assert_ptr_nonnull(out);
		fprintf(out, "%s\n", text);
		fclose(out);
	}
	FILE *in = fopen(path, "r");
	ck_assert_msg(in != NULL, "no %s", path);
	char *golden = arena_alloc(mem, 65536);
	size_t n = fread(golden, 1, 65535, in);
	fclose(in);
	ck_assert_uint_gt(n, 0);
	golden[n - 1] = '\0'; /* its newline */
	ck_assert_str_eq(text, golden);
	arena_destroy(mem);
}
END_TEST

/* What depends on the time of signing is in its URLs alone. */
START_TEST(a_message_with_a_file_alone_is_called_by_its_name)
{
	struct arena *mem = arena_create();
	pb_AttachmentView picture = {.id = 7,
		.uploader_id = ALICE,
		.name = (char *)"the boat.png",
		.bytes = 9,
		.mime = (char *)"image/png",
		.ext = (char *)"png",
		.width = 2,
		.height = 1,
		.has_preview = true,
		.preview = {.bytes = 3, .mime = (char *)"image/jpeg", .ext = (char *)"jpg", .width = 2, .height = 1},
		.created_at_ms = AT_MS};
	pb_MessageView m = {.id = MESSAGE, .kind = MESSAGE_TEXT, .content = (char *)"", .attachments_count = 1, .attachments = &picture};
	struct json_writer w;
	size_t length = 0;

	ck_assert_str_eq(crust_message_type(&m), "inlineImage");
	ck_assert_str_eq(crust_message_text(mem, &m), "the boat.png");
	picture.mime = (char *)"application/pdf";
	ck_assert_str_eq(crust_message_type(&m), "attachment");
	m.content = (char *)"with a word";
	ck_assert_str_eq(crust_message_type(&m), "");
	ck_assert_str_eq(crust_message_text(mem, &m), "with a word");
	picture.mime = (char *)"image/png";
	crust_begin(&w, mem, 0);
	crust_attachment(&w, &picture, BOB);
	ck_assert_str_eq(jw_end(&w, &length),
		"{\"attachmentID\":\"7\",\"userID\":\"28772997619311\","
		"\"url\":\"/attachment/7/original/the%20boat.png?sign=\\u0026userID=46365183663727\","
		"\"previewUrl\":\"/attachment/7/preview.jpg?sign=\\u0026userID=46365183663727\","
		"\"meta\":{\"original\":{\"size\":9,\"ext\":\"png\",\"mimetype\":\"image/png\","
		"\"image\":{\"width\":2,\"height\":1,\"animated\":false}},"
		"\"preview\":{\"size\":3,\"ext\":\"jpg\",\"mimetype\":\"image/jpeg\","
		"\"image\":{\"width\":2,\"height\":1,\"animated\":false}}},"
		"\"name\":\"the boat.png\",\"createdAt\":\"2025-01-15T10:30:00Z\"}");
	arena_destroy(mem);
}
END_TEST

static const struct {
	uint32_t template;
	const char *args[4];
	const char *text;
} lines[] = {
	{SYSTEM_CREATED, {"5", "public", "", ""}, "<@5> created public channel"},
	{SYSTEM_CREATED, {"5", "private", "n", ""}, "<@5> created private channel **n**"},
	{SYSTEM_CREATED, {"5", "group", "n", "t"}, "<@5> created group channel **n**, topic: t"},
	{SYSTEM_RENAMED, {"5", "n", "o"}, "<@5> renamed channel **n** (was: o)"},
	{SYSTEM_RENAMED, {"5", "n", ""}, "<@5> set channel name to **n**"},
	{SYSTEM_TOPIC, {"5", "t", "o"}, "<@5> changed channel topic: t (was: o)"},
	{SYSTEM_TOPIC, {"5", "t", ""}, "<@5> set channel topic to t"},
	{SYSTEM_ARCHIVED, {"5"}, "<@5> archived this channel"},
	{SYSTEM_UNARCHIVED, {"5"}, "<@5> unarchived this channel"},
	{SYSTEM_DELETED, {"5"}, "<@5> deleted this channel"},
	{SYSTEM_UNDELETED, {"5"}, "<@5> undeleted this channel"},
	{SYSTEM_JOINED, {"5"}, "<@5> joined"},
	{SYSTEM_ADDED, {"5", "6"}, "<@5> added <@6> to the channel"},
	{SYSTEM_INVITED, {"5", "6"}, "<@5> invited <@6> to the channel"},
	{SYSTEM_LEFT, {"6"}, "<@6> left the channel"},
	{SYSTEM_REMOVED, {"5", "6"}, "<@6> removed from the channel"},
};

START_TEST(lines_of_the_system_are_told_in_words)
{
	struct arena *mem = arena_create();
	pb_MessageView line = {.id = MESSAGE, .kind = MESSAGE_SYSTEM, .has_line = true,
		.line = {.template = lines[_i].template, .args = (char **)lines[_i].args}};

	while (line.line.args_count < 4 && lines[_i].args[line.line.args_count] != NULL)
		line.line.args_count++;
	ck_assert_str_eq(crust_message_text(mem, &line), lines[_i].text);
	ck_assert_str_eq(crust_message_type(&line), "channelEvent");
	arena_destroy(mem);
}
END_TEST

START_TEST(words_of_flags_and_policies_read_back)
{
	uint32_t policy = 9;

	ck_assert_uint_eq(crust_flag_from_word("pinned"), FLAG_PINNED);
	ck_assert_uint_eq(crust_flag_from_word("hidden"), FLAG_HIDDEN);
	ck_assert_uint_eq(crust_flag_from_word("ignored"), FLAG_IGNORED);
	ck_assert_uint_eq(crust_flag_from_word(""), 0);
	ck_assert_uint_eq(crust_flag_from_word("other"), 0);
	ck_assert_str_eq(crust_flag_word(FLAG_NONE), "");
	ck_assert(crust_policy_from_word("", &policy));
	ck_assert_uint_eq(policy, POLICY_NONE);
	ck_assert(crust_policy_from_word("forced", &policy));
	ck_assert_uint_eq(policy, POLICY_FORCED);
	ck_assert(!crust_policy_from_word("other", &policy));
}
END_TEST

static const struct {
	bool me;
	uint64_t reader;
	const char *users;
} reacted[] = {
	{true, ALICE, "[\"28772997619311\"]"},
	{true, BOB, "[\"28772997619311\",\"46365183663727\"]"},
	{false, BOB, "[\"28772997619311\"]"},
};

START_TEST(who_reacted_finds_himself_where_not_all_are_listed)
{
	struct arena *mem = arena_create();
	pb_ReactionView reaction = {.emoji = (char *)":+1:",
		.count = 30,
		.me = reacted[_i].me,
		.user_ids_count = 1,
		.user_ids = (uint64_t[]){ALICE}};
	pb_MessageView view = reply;
	struct json_writer w;
	size_t length;

	view.reactions = &reaction;
	view.reactions_count = 1;
	crust_begin(&w, mem, 0);
	crust_message(&w, &view, &(struct crust_message_own){.reader_id = reacted[_i].reader});
	const char *json = jw_end(&w, &length);
	json_t *o = json_loadb(json, length, 0, NULL);
	json_t *users = json_object_get(json_array_get(json_object_get(o, "reactions"), 0), "userIDs");
	char *text = json_dumps(users, JSON_COMPACT);
	ck_assert_str_eq(text, reacted[_i].users);
	free(text);
	json_decref(o);
	arena_destroy(mem);
}
END_TEST

static const struct {
	enum permission permission;
	uint64_t archived_at_ms, deleted_at_ms;
	const char *key;
	bool can;
} ways[] = {
	{PERMISSION_archive_channel, 0, 0, "canArchive", true},
	{PERMISSION_archive_channel, AT_MS, 0, "canArchive", false},
	{PERMISSION_restore_channel, AT_MS, 0, "canArchive", true},
	{PERMISSION_delete_channel, AT_MS, 0, "canDelete", true},
	{PERMISSION_delete_channel, 0, AT_MS, "canDelete", false},
	{PERMISSION_undelete_channel, 0, AT_MS, "canDelete", true},
};

START_TEST(in_a_state_that_can_be_left_the_right_to_leave_it_is_told)
{
	struct arena *mem = arena_create();
	struct crust_channel_own own = {.bits = bits_with((struct bits){0}, ways[_i].permission)};
	pb_ChannelView channel = public_channel;
	struct json_writer w;
	size_t length;

	channel.archived_at_ms = ways[_i].archived_at_ms;
	channel.deleted_at_ms = ways[_i].deleted_at_ms;
	crust_begin(&w, mem, 0);
	crust_channel(&w, &channel, &own);
	const char *text = jw_end(&w, &length);
	json_t *o = json_loadb(text, length, 0, NULL);
	ck_assert(json_is_boolean(json_object_get(o, ways[_i].key)));
	ck_assert_int_eq(json_is_true(json_object_get(o, ways[_i].key)), ways[_i].can);
	json_decref(o);
	arena_destroy(mem);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("crust shapes");
	TCase *tcase = tcase_create("crust shapes");

	tcase_set_timeout(tcase, TEST_TIMEOUT_S);
	tcase_add_loop_test(tcase, each_object_looks_like_its_golden_file, 0, (int)(sizeof objects / sizeof *objects));
	tcase_add_loop_test(tcase, lines_of_the_system_are_told_in_words, 0, (int)(sizeof lines / sizeof *lines));
	tcase_add_test(tcase, a_message_with_a_file_alone_is_called_by_its_name);
	tcase_add_test(tcase, words_of_flags_and_policies_read_back);
	tcase_add_loop_test(tcase, in_a_state_that_can_be_left_the_right_to_leave_it_is_told, 0, (int)(sizeof ways / sizeof *ways));
	tcase_add_loop_test(tcase, who_reacted_finds_himself_where_not_all_are_listed, 0, (int)(sizeof reacted / sizeof *reacted));
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
