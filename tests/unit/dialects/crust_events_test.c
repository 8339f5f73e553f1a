/* What a client of crust sees: one input per event and receiver, tests/golden/crust/<name>.json out, a line a frame: first what is the
 * receiver's own, then what he shares. With GOLDEN_WRITE=1 in the environment the files are written instead of compared; the reviewer
 * reads the diff. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "common/dialects/crust/events.h"
#include "tests/unit/main.h"

#define AT_MS   UINT64_C(1736937000123) /* 2025-01-15T10:30:00.123Z */
#define TEAM    UINT64_C(70001)
#define CHANNEL UINT64_C(80001)
#define MESSAGE UINT64_C(90002)
#define ROOT    UINT64_C(90001)
#define REPLY   UINT64_C(90003)
#define ALICE   UINT64_C(101)
#define BOB     UINT64_C(102)
#define CAROL   UINT64_C(103)
#define DAVE    UINT64_C(104)

static const pb_UserView alice = {.id = ALICE, .username = (char *)"alice"};
static const pb_UserView bob = {.id = BOB, .username = (char *)"bob"};
static const pb_ChannelRef ref = {.id = CHANNEL,
	.team_id = TEAM,
	.kind = CHANNEL_TEXT,
	.name = (char *)"general",
	.counted = 9,
	.replies_counted = 2};
static const pb_ChannelView channel = {.id = CHANNEL,
	.team_id = TEAM,
	.kind = CHANNEL_TEXT,
	.name = (char *)"general",
	.topic = (char *)"<what> & why",
	.created_at_ms = AT_MS};

/* ---- inputs */

static pb_MessageView message_view(void)
{
	return (pb_MessageView){.id = MESSAGE,
		.channel_id = CHANNEL,
		.has_author = true,
		.author = alice,
		.kind = MESSAGE_TEXT,
		.content = (char *)"hello <@102>",
		.created_at_ms = AT_MS};
}

static pb_MessageView root_view(void)
{
	static uint64_t authors[] = {ALICE};
	pb_MessageView view = message_view();

	view.id = ROOT;
	view.author = bob;
	view.content = (char *)"the first";
	view.reply_count = 1;
	view.reply_authors = authors;
	view.reply_authors_count = 1;
	return view;
}

static void override_set(pb_Event *e)
{
	e->body.override_set = (pb_OverrideEvent){.team_id = TEAM,
		.scope = OVERRIDE_CHANNEL,
		.scope_id = CHANNEL,
		.has_channel = true,
		.channel = channel};
}
static void override_removed(pb_Event *e)
{
	override_set(e);
}
static void channel_member_joined(pb_Event *e)
{
	e->body.channel_member_joined = (pb_ChannelMemberJoined){
		.has_channel = true, .channel = channel, .has_user = true, .user = alice, .role = CHANNEL_ROLE_MEMBER};
}
static void channel_member_left(pb_Event *e)
{
	e->body.channel_member_left =
		(pb_ChannelMemberLeft){.has_channel = true, .channel = ref, .has_user = true, .user = alice};
}
static void channel_member_kicked(pb_Event *e)
{
	e->body.channel_member_kicked = (pb_ChannelMemberLeft){
		.has_channel = true, .channel = ref, .has_user = true, .user = alice, .by = BOB};
}
static void channel_member_updated(pb_Event *e)
{
	e->body.channel_member_updated = (pb_ChannelMemberUpdated){
		.has_channel = true, .channel = ref, .has_user = true, .user = alice, .role = CHANNEL_ROLE_MODERATOR};
}
static void channel_user_banned(pb_Event *e)
{
	e->body.channel_user_banned = (pb_ChannelUserBanned){
		.has_channel = true, .channel = ref, .has_user = true, .user = alice, .was_member = true, .by = BOB};
}
static void channel_created(pb_Event *e)
{
	e->body.channel_created = (pb_ChannelCreated){.has_channel = true, .channel = channel};
}
static void conversation_created(pb_Event *e)
{
	e->body.conversation_created = (pb_ConversationCreated){.has_channel = true,
		.channel = {.id = CHANNEL, .kind = CHANNEL_DIRECT, .name = (char *)"", .created_at_ms = AT_MS}};
}
static void channel_updated(pb_Event *e)
{
	e->body.channel_updated = (pb_ChannelUpdated){.has_channel = true, .channel = channel};
	e->body.channel_updated.channel.updated_at_ms = AT_MS;
}
static void channel_deleted(pb_Event *e)
{
	e->body.channel_deleted = (pb_ChannelDeleted){.has_channel = true, .channel = channel};
	e->body.channel_deleted.channel.deleted_at_ms = AT_MS;
}
static void channel_undeleted(pb_Event *e)
{
	e->body.channel_undeleted = (pb_ChannelStateChanged){.has_channel = true, .channel = channel};
}
static void channel_archived(pb_Event *e)
{
	e->body.channel_archived = (pb_ChannelStateChanged){.has_channel = true, .channel = channel};
	e->body.channel_archived.channel.archived_at_ms = AT_MS;
}
static void channel_restored(pb_Event *e)
{
	e->body.channel_restored = (pb_ChannelStateChanged){.has_channel = true, .channel = channel};
}
static void message_posted(pb_Event *e)
{
	e->body.message_posted = (pb_MessagePosted){
		.has_channel = true, .channel = ref, .has_message = true, .message = message_view()};
}
static pb_ThreadReader readers[] = {{.user_id = ALICE}, {.user_id = BOB, .thread_count = 1}};
static void reply_posted(pb_Event *e)
{
	message_posted(e);
	e->body.message_posted.message.parent_id = e->body.message_posted.message.root_id = ROOT;
	e->body.message_posted.has_root = true;
	e->body.message_posted.root = root_view();
	e->body.message_posted.readers = readers;
	e->body.message_posted.readers_count = 2;
}
static void line_posted(pb_Event *e)
{
	static char *args[] = {(char *)"101"};
	message_posted(e);
	e->body.message_posted.message.kind = MESSAGE_SYSTEM;
	e->body.message_posted.message.has_author = false;
	e->body.message_posted.message.has_line = true;
	e->body.message_posted.message.line = (pb_SystemLineView){.template = SYSTEM_JOINED, .args_count = 1, .args = args};
}
static void message_updated(pb_Event *e)
{
	static uint64_t bookmarked_by[] = {CAROL};
	e->body.message_updated = (pb_MessageUpdated){
		.has_channel = true, .channel = ref, .has_message = true, .message = message_view()};
	e->body.message_updated.message.edited_at_ms = AT_MS;
	e->body.message_updated.message.bookmarked_by = bookmarked_by;
	e->body.message_updated.message.bookmarked_by_count = 1;
}
static void root_updated(pb_Event *e)
{
	message_updated(e);
	e->body.message_updated.message = root_view();
	e->body.message_updated.message.edited_at_ms = AT_MS;
}
static void message_deleted(pb_Event *e)
{
	e->body.message_deleted = (pb_MessageDeleted){
		.has_channel = true, .channel = ref, .has_message = true, .message = message_view()};
	e->body.message_deleted.message.content = (char *)"";
	e->body.message_deleted.message.deleted_at_ms = AT_MS;
}
static void reply_deleted(pb_Event *e)
{
	message_deleted(e);
	e->body.message_deleted.message.root_id = ROOT;
	e->body.message_deleted.has_root = true;
	e->body.message_deleted.root = root_view();
	e->body.message_deleted.root.reply_count = 0;
	e->body.message_deleted.readers = readers;
	e->body.message_deleted.readers_count = 2;
}
static void reaction_added(pb_Event *e)
{
	e->body.reaction_added = (pb_ReactionChanged){.has_channel = true,
		.channel = ref,
		.message_id = MESSAGE,
		.emoji = (char *)":+1:",
		.has_user = true,
		.user = alice,
		.count = 3};
}
static void reaction_removed(pb_Event *e)
{
	reaction_added(e);
}
static void message_pinned(pb_Event *e)
{
	e->body.message_pinned = (pb_MessagePinned){
		.has_channel = true, .channel = ref, .has_message = true, .message = message_view()};
}
static void message_unpinned(pb_Event *e)
{
	message_pinned(e);
}
static void read_state_changed(pb_Event *e)
{
	e->body.read_state_changed = (pb_ReadStateChanged){.has_channel = true,
		.channel = ref,
		.user_id = ALICE,
		.last_read_id = MESSAGE,
		.unread = 5,
		.main_unread = 4,
		.main_last_read_id = MESSAGE,
		.thread_count = 3,
		.thread_total = 2};
}
static void thread_read(pb_Event *e)
{
	read_state_changed(e);
	e->body.read_state_changed.root_id = ROOT;
	e->body.read_state_changed.thread_unread = 1;
	e->body.read_state_changed.main_last_read_id = ROOT;
}
static void typing_changed(pb_Event *e)
{
	e->body.typing_changed = (pb_TypingChanged){
		.has_channel = true, .channel = ref, .has_user = true, .user = alice, .is_typing = true};
}
static void typing_in_thread(pb_Event *e)
{
	typing_changed(e);
	e->body.typing_changed.root_id = ROOT;
}
static void activity_reported(pb_Event *e)
{
	e->body.activity_reported = (pb_ActivityReported){.has_user = true,
		.user = alice,
		.kind = (char *)"looking",
		.has_channel = true,
		.channel = ref,
		.message_id = MESSAGE};
}
static void presence_changed(pb_Event *e)
{
	e->body.presence_changed = (pb_PresenceChanged){.has_user = true, .user = alice, .shown = PRESENCE_IDLE};
}
static void went_offline(pb_Event *e)
{
	presence_changed(e);
	e->body.presence_changed.shown = PRESENCE_OFFLINE;
}

static void channel_comes(pb_Event *e)
{
	e->body.channel_sight_changed = (pb_ChannelSightChanged){
		.has_channel = true, .channel = {.id = ref.id, .team_id = ref.team_id, .kind = ref.kind}};
}
static void channel_goes(pb_Event *e)
{
	channel_comes(e);
	e->body.channel_sight_changed.hidden = true;
}

/* ---- what they look like */

struct sample {
	const char *file;
	enum event_kind kind;
	void (*fill)(pb_Event *e);
	uint64_t reader;
	bool unrecorded;
};

#define SAMPLE(file, arm, fill, reader, ...) {file, EVENT_KIND_##arm, fill, reader, __VA_ARGS__}
static const struct sample samples[] = {
	SAMPLE("override_set", override_set, override_set, BOB),
	SAMPLE("override_removed", override_removed, override_removed, BOB),
	SAMPLE("channel_member_joined", channel_member_joined, channel_member_joined, BOB),
	SAMPLE("channel_member_left", channel_member_left, channel_member_left, BOB),
	SAMPLE("channel_member_kicked", channel_member_kicked, channel_member_kicked, BOB),
	SAMPLE("channel_member_updated", channel_member_updated, channel_member_updated, BOB),
	SAMPLE("channel_user_banned", channel_user_banned, channel_user_banned, BOB),
	SAMPLE("channel_created", channel_created, channel_created, BOB, .unrecorded = true),
	SAMPLE("conversation_created", conversation_created, conversation_created, BOB),
	SAMPLE("channel_updated", channel_updated, channel_updated, BOB),
	SAMPLE("channel_deleted", channel_deleted, channel_deleted, BOB),
	SAMPLE("channel_undeleted", channel_undeleted, channel_undeleted, BOB),
	SAMPLE("channel_archived", channel_archived, channel_archived, BOB),
	SAMPLE("channel_restored", channel_restored, channel_restored, BOB),
	SAMPLE("message_posted", message_posted, message_posted, BOB),
	SAMPLE("message_posted.own", message_posted, message_posted, ALICE),
	SAMPLE("message_posted.stranger", message_posted, message_posted, CAROL, .unrecorded = true),
	SAMPLE("message_posted.reply", message_posted, reply_posted, CAROL),
	SAMPLE("message_posted.reply.follower", message_posted, reply_posted, BOB),
	SAMPLE("message_posted.line", message_posted, line_posted, BOB),
	SAMPLE("message_updated", message_updated, message_updated, BOB),
	SAMPLE("message_updated.own", message_updated, message_updated, ALICE),
	SAMPLE("message_updated.bookmarked", message_updated, message_updated, CAROL),
	SAMPLE("message_updated.root.follower", message_updated, root_updated, CAROL),
	SAMPLE("message_updated.root.stranger", message_updated, root_updated, DAVE),
	SAMPLE("message_deleted", message_deleted, message_deleted, BOB),
	SAMPLE("message_deleted.reply", message_deleted, reply_deleted, BOB),
	SAMPLE("reaction_added", reaction_added, reaction_added, BOB),
	SAMPLE("reaction_removed", reaction_removed, reaction_removed, BOB),
	SAMPLE("message_pinned", message_pinned, message_pinned, ALICE),
	SAMPLE("message_unpinned", message_unpinned, message_unpinned, ALICE),
	SAMPLE("read_state_changed", read_state_changed, read_state_changed, ALICE),
	SAMPLE("read_state_changed.thread", read_state_changed, thread_read, ALICE),
	SAMPLE("typing_changed", typing_changed, typing_changed, BOB),
	SAMPLE("typing_changed.thread", typing_changed, typing_in_thread, BOB),
	SAMPLE("activity_reported", activity_reported, activity_reported, BOB),
	SAMPLE("presence_changed", presence_changed, presence_changed, BOB),
	SAMPLE("presence_changed.offline", presence_changed, went_offline, BOB),
	SAMPLE("channel_sight_changed", channel_sight_changed, channel_comes, BOB),
	SAMPLE("channel_sight_changed.hidden", channel_sight_changed, channel_goes, BOB),
};
#define SAMPLE_COUNT (sizeof samples / sizeof *samples)

static struct crust_reader reader_of(const struct sample *s, const pb_Event *event)
{
	static const uint64_t members[] = {ALICE, BOB};
	struct bits bits = bits_with(bits_with((struct bits){0}, PERMISSION_view_text), PERMISSION_send_messages);

	return (struct crust_reader){.user_id = s->reader,
		.viewing = true,
		.bits = bits_with(bits, PERMISSION_join_channel),
		.channel = s->kind == EVENT_KIND_channel_member_updated || s->kind == EVENT_KIND_channel_sight_changed ? &channel : NULL,
		.member_ids = members,
		.member_count = 2,
		.recorded = !s->unrecorded,
		.flag = FLAG_PINNED,
		.last_read_id = s->unrecorded ? 0 : ROOT,
		.unread = s->reader == ALICE || s->unrecorded ? 0 : 3,
		.thread_count = s->unrecorded ? 0 : 4,
		.thread_total = s->unrecorded ? 0 : 2,
		.thread_unread = crust_event_thread(event) == ROOT && s->reader != DAVE ? 1 : 0,
		.thread_last_read_id = REPLY};
}

static pb_Event event_of(const struct sample *s)
{
	pb_Event event = {.which_body = (pb_size_t)s->kind, .has_actor = true, .actor = bob};

	s->fill(&event);
	return event;
}

/* What the receiver gets, a line a frame. */
static const char *lines_of(struct arena *mem, const struct sample *s)
{
	pb_Event event = event_of(s);
	struct crust_reader reader = reader_of(s, &event);
	enum crust_share share = crust_event_share(&event, &reader);
	struct texts texts = texts_begin(mem);
	const char *lines = "";

	if (share == CRUST_SHARE_REST || share == CRUST_SHARE_NONE)
		crust_event_own(&texts, &event, &reader);
	if (share == CRUST_SHARE_REST || share == CRUST_SHARE_ALL)
		crust_event_shared(&texts, &event);
	for (size_t i = 0; i < texts.count; i++) {
		ck_assert_uint_eq(strlen(texts.items[i].bytes), texts.items[i].length);
		lines = arena_printf(mem, "%s%s\n", lines, texts.items[i].bytes);
	}
	return lines;
}

START_TEST(each_event_looks_like_its_golden_file)
{
	const struct sample *s = &samples[_i];
	struct arena *mem = arena_create();
	const char *path = arena_printf(mem, "%s/%s.json", GOLDEN_DIR, s->file), *lines = lines_of(mem, s);

	ck_assert_str_ne(lines, "");
	if (getenv("GOLDEN_WRITE") != NULL) {
		FILE *out = fopen(path, "w");
		ck_assert_ptr_nonnull(out);
		fputs(lines, out);
		fclose(out);
	}
	FILE *in = fopen(path, "r");
	ck_assert_msg(in != NULL, "no %s", path);
	char *golden = arena_alloc(mem, 65536);
	size_t n = fread(golden, 1, 65535, in);
	fclose(in);
	golden[n] = '\0';
	ck_assert_str_eq(lines, golden);
	arena_destroy(mem);
}
END_TEST

START_TEST(every_event_that_is_sent_has_a_sample)
{
	static const enum event_kind sent[] = {
#define EVENT(arm, part, render)            EVENT_KIND_##arm,
#define EVENT_IN_CHANNEL(arm, part, render) EVENT_KIND_##arm,
#define EVENT_NOT_SENT(arm, reason)
#include "common/dialects/crust/events.tbl.h"
#undef EVENT
#undef EVENT_IN_CHANNEL
#undef EVENT_NOT_SENT
	};

	for (size_t i = 0; i < sizeof sent / sizeof *sent; i++) {
		bool found = false;
		for (size_t k = 0; k < SAMPLE_COUNT; k++)
			found |= samples[k].kind == sent[i];
		ck_assert_msg(found, "%s has no sample", event_kind_name(sent[i]));
	}
}
END_TEST

START_TEST(a_frame_is_an_object_with_one_key)
{
	struct arena *mem = arena_create();

	for (size_t i = 0; i < SAMPLE_COUNT; i++) {
		char *rest = arena_strdup(mem, lines_of(mem, &samples[i])), *line = NULL;
		while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
			json_t *frame = json_loads(line, 0, NULL);
			ck_assert_msg(json_is_object(frame) && json_object_size(frame) == 1, "%s: %s", samples[i].file, line);
			json_decref(frame);
		}
	}
	arena_destroy(mem);
}
END_TEST

START_TEST(only_the_author_may_edit_and_only_who_bookmarked_it_has_it_bookmarked)
{
	static const struct {
		uint64_t reader;
		bool edit, bookmarked;
	} expected[] = {{ALICE, true, false}, {BOB, false, false}, {CAROL, false, true}};
	struct arena *mem = arena_create();

	for (size_t i = 0; i < 3; i++) {
		struct sample s = {"", EVENT_KIND_message_updated, message_updated, expected[i].reader, false};
		json_t *frame = json_loads(lines_of(mem, &s), JSON_DISABLE_EOF_CHECK, NULL), *message = json_object_get(frame, "message");
		ck_assert_int_eq(json_is_true(json_object_get(message, "canEdit")), expected[i].edit);
		ck_assert_int_eq(json_is_true(json_object_get(message, "canDelete")), expected[i].edit);
		ck_assert_int_eq(json_is_true(json_object_get(message, "isBookmarked")), expected[i].bookmarked);
		json_decref(frame);
	}
	arena_destroy(mem);
}
END_TEST

START_TEST(who_may_not_see_a_channel_any_more_is_told_of_its_deletion_only)
{
	for (size_t i = 0; i < SAMPLE_COUNT; i++) {
		pb_Event event = event_of(&samples[i]);
		struct crust_reader reader = reader_of(&samples[i], &event);
		if (crust_event_asks(&event) == 0)
			continue;
		reader.viewing = false;
		ck_assert_int_eq(crust_event_share(&event, &reader) == CRUST_SHARE_SKIP,
			samples[i].kind != EVENT_KIND_channel_deleted);
	}
}
END_TEST

START_TEST(channels_of_other_kinds_do_not_exist)
{
	struct crust_place place;
	pb_Event posted = {.which_body = EVENT_KIND_message_posted}, made = {.which_body = EVENT_KIND_channel_created};
	pb_Event invited = {.which_body = EVENT_KIND_channel_member_joined};

	message_posted(&posted);
	ck_assert(crust_event_shown(&posted, &place));
	ck_assert_uint_eq(place.channel_id, CHANNEL);
	posted.body.message_posted.channel.kind = CHANNEL_THREAD;
	ck_assert(!crust_event_shown(&posted, &place));
	channel_created(&made);
	made.body.channel_created.channel.kind = CHANNEL_VOICE;
	ck_assert(!crust_event_shown(&made, &place));
	ck_assert_uint_eq(crust_event_asks(&made), 0);
	channel_member_joined(&invited);
	invited.body.channel_member_joined.invited = true;
	ck_assert(!crust_event_shown(&invited, &place));
}
END_TEST

static const struct {
	uint64_t reader;
	size_t frames; /* alice joins: channelJoin, and the channel */
} crowd[] = {{ALICE, 2}, {BOB, 1}, {DAVE, 1}};

START_TEST(who_is_not_listed_in_a_crowd_gets_no_list_of_his_own_when_others_join)
{
	struct arena *mem = arena_create();
	struct sample s = {.kind = EVENT_KIND_channel_member_joined, .fill = channel_member_joined, .reader = crowd[_i].reader};
	struct texts texts = texts_begin(mem);
	pb_Event joined = event_of(&s);
	struct crust_reader reader = reader_of(&s, &joined);
	char oneself[64];

	reader.unlisted = true;
	reader.member_count = 0;
	crust_event_own(&texts, &joined, &reader);
	ck_assert_uint_eq(texts.count, crowd[_i].frames);
	snprintf(oneself, sizeof oneself, "\"members\":[\"%llu\"]", (unsigned long long)s.reader);
	if (texts.count > 1)
		ck_assert_ptr_nonnull(memmem(texts.items[1].bytes, texts.items[1].length, oneself, strlen(oneself)));
	arena_destroy(mem);
}
END_TEST

START_TEST(a_tombstone_and_an_empty_body_show_nothing)
{
	struct arena *mem = arena_create();

	for (size_t i = 0; i < SAMPLE_COUNT; i++) {
		struct texts texts = texts_begin(mem);
		pb_Event gone = event_of(&samples[i]), empty = {.which_body = (pb_size_t)samples[i].kind};
		struct crust_reader reader = reader_of(&samples[i], &gone);
		gone.tombstone = true;
		crust_event_shared(&texts, &gone);
		crust_event_own(&texts, &gone, &reader);
		ck_assert_uint_eq(texts.count, 0);
		crust_event_own(&texts, &empty, &reader); /* whatever it is, it does no harm */
		crust_event_shared(&texts, &empty);
	}
	arena_destroy(mem);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("crust_events");
	TCase *tcase = tcase_create("crust_events");

	tcase_set_timeout(tcase, TEST_TIMEOUT_S);
	tcase_add_loop_test(tcase, each_event_looks_like_its_golden_file, 0, (int)SAMPLE_COUNT);
	tcase_add_test(tcase, every_event_that_is_sent_has_a_sample);
	tcase_add_test(tcase, a_frame_is_an_object_with_one_key);
	tcase_add_test(tcase, only_the_author_may_edit_and_only_who_bookmarked_it_has_it_bookmarked);
	tcase_add_test(tcase, who_may_not_see_a_channel_any_more_is_told_of_its_deletion_only);
	tcase_add_test(tcase, channels_of_other_kinds_do_not_exist);
	tcase_add_loop_test(tcase, who_is_not_listed_in_a_crowd_gets_no_list_of_his_own_when_others_join, 0,
		(int)(sizeof crowd / sizeof *crowd));
	tcase_add_test(tcase, a_tombstone_and_an_empty_body_show_nothing);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
