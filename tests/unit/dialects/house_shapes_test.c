/* The objects of REST replies: the keys that were promised are there, and what is gone is null. */
#include <jansson.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/dialects/house/shapes.h"
#include "common/events/attachments.h"
#include "common/events/events.h"
#include "common/events/kinds.h"
#include "tests/unit/main.h"

#define AT_MS 1736937000000

static struct arena *mem;
static struct json_writer w;

static void begin(void)
{
	mem = arena_create();
	jw_begin(&w, mem, 0);
}

static json_t *written(void)
{
	size_t length = 0;
	json_t *object = json_loads(jw_end(&w, &length), JSON_REJECT_DUPLICATES, NULL);

	ck_assert_ptr_nonnull(object);
	arena_destroy(mem);
	return object;
}

static void has_keys(json_t *object, const char *const *keys)
{
	for (; *keys != NULL; keys++)
		ck_assert_msg(json_object_get(object, *keys) != NULL, "no %s", *keys);
}
#define HAS_KEYS(object, ...) has_keys((object), (const char *const[]){__VA_ARGS__, NULL})

static const char *text(json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

START_TEST(a_user_has_the_promised_keys)
{
	pb_UserView user = {.id = 1,
		.username = (char *)"alice",
		.avatar = (char *)"https://a/b",
		.created_at_ms = AT_MS};

	begin();
	house_user(&w, &user);
	json_t *o = written();
	HAS_KEYS(o, "id", "username", "display_name", "avatar_url", "bot", "created_at");
	ck_assert_str_eq(text(o, "created_at"), "2025-01-15T10:30:00.000Z");
	ck_assert(json_is_null(json_object_get(o, "display_name")));
	json_decref(o);
}
END_TEST

START_TEST(an_erased_user_keeps_nothing_but_his_id)
{
	pb_UserView user = {.id = 1,
		.username = (char *)"alice",
		.display_name = (char *)"Alice",
		.avatar = (char *)"x",
		.erased = true};

	begin();
	house_user(&w, &user);
	json_t *o = written();
	ck_assert(json_is_null(json_object_get(o, "username")));
	ck_assert(json_is_null(json_object_get(o, "display_name")));
	ck_assert(json_is_null(json_object_get(o, "avatar_url")));
	json_decref(o);
}
END_TEST

START_TEST(only_the_own_profile_shows_the_address)
{
	pb_UserView user = {.id = 1, .username = (char *)"alice"};

	begin();
	house_profile(&w, &(struct house_profile){.user = &user, .own = false, .email = "a@b.c"});
	json_t *o = written();
	ck_assert_ptr_null(json_object_get(o, "email"));
	json_decref(o);
	begin();
	house_profile(&w, &(struct house_profile){.user = &user, .own = true, .email = "a@b.c"});
	o = written();
	ck_assert_str_eq(text(o, "email"), "a@b.c");
	json_decref(o);
}
END_TEST

START_TEST(a_new_session_has_its_token_and_a_listed_one_has_not)
{
	pb_UserView user = {.id = 1, .username = (char *)"alice"};

	begin();
	house_session(&w, &(struct house_session){.id = 2, .token = "ghs_x", .user = &user});
	json_t *o = written();
	HAS_KEYS(o, "token", "session_id", "user", "expires_at");
	ck_assert(json_is_null(json_object_get(o, "expires_at")));
	json_decref(o);
	begin();
	house_session(&w, &(struct house_session){.id = 2, .agent = "curl", .current = true});
	o = written();
	ck_assert_ptr_null(json_object_get(o, "token"));
	ck_assert(json_is_true(json_object_get(o, "current")));
	json_decref(o);
}
END_TEST

START_TEST(a_team_has_the_promised_keys)
{
	begin();
	house_team(&w,
		&(pb_TeamView){.id = 1, .name = (char *)"Harbour", .owner_id = 2, .joining = JOINING_OPEN});
	json_t *o = written();
	HAS_KEYS(o, "id", "name", "description", "icon_url", "owner_id", "member_count", "created_at");
	ck_assert_str_eq(text(o, "joining"), "open");
	json_decref(o);
}
END_TEST

START_TEST(a_channel_has_the_promised_keys)
{
	begin();
	house_channel(&w, &(pb_ChannelView){.id = 1, .kind = CHANNEL_VOICE, .name = (char *)"talk"});
	json_t *o = written();
	HAS_KEYS(o, "id", "team_id", "kind", "name", "topic", "private", "category_id", "position",
		"archived_at", "last_message_id", "created_at");
	ck_assert_str_eq(text(o, "kind"), "voice");
	ck_assert(json_is_null(json_object_get(o, "team_id")));
	ck_assert(json_is_null(json_object_get(o, "archived_at")));
	json_decref(o);
}
END_TEST

START_TEST(members_of_teams_and_channels_have_the_promised_keys)
{
	begin();
	house_member(&w, &(pb_MemberView){.team_id = 1, .has_user = true, .user = {.id = 2}});
	json_t *o = written();
	HAS_KEYS(o, "user", "team_id", "roles", "nickname", "joined_at", "timeout_until");
	json_decref(o);
	begin();
	house_channel_member(&w, &(pb_ChannelMemberView){.channel_id = 1, .role = CHANNEL_ROLE_OWNER});
	o = written();
	HAS_KEYS(o, "user", "channel_id", "role", "nickname", "joined_at", "timeout_until");
	ck_assert_str_eq(text(o, "role"), "owner");
	json_decref(o);
}
END_TEST

START_TEST(a_message_has_the_promised_keys)
{
	begin();
	house_message(&w, &(pb_MessageView){.id = 1, .content = (char *)"hi", .seq = 7}, 0);
	json_t *o = written();
	HAS_KEYS(o, "id", "channel_id", "author", "content", "parent_message_id", "reply_count", "reactions",
		"pinned", "attachments", "embeds", "mentions", "nonce", "created_at", "edited_at", "seq");
	HAS_KEYS(json_object_get(o, "mentions"), "users", "roles", "everyone");
	ck_assert_int_eq(json_integer_value(json_object_get(o, "seq")), 7);
	json_decref(o);
}
END_TEST

START_TEST(an_attachment_has_the_promised_keys_and_urls_that_are_signed_for_everybody)
{
	struct arena *own = arena_create();
	uint8_t key[ATTACHMENT_KEY_BYTES] = {1};
	pb_AttachmentView view = {.id = 1, .uploader_id = 2, .name = (char *)"a.png", .bytes = 5, .mime = (char *)"image/png",
		.key = pb_bytes_from(own, key, sizeof key)};

	begin();
	house_attachment(&w, &view);
	json_t *o = written();
	HAS_KEYS(o, "id", "user_id", "name", "bytes", "media_type", "width", "height", "animated", "url", "preview", "created_at");
	ck_assert_int_eq(json_typeof(json_object_get(o, "width")), JSON_NULL);
	ck_assert_int_eq(json_typeof(json_object_get(o, "preview")), JSON_NULL);
	const char *sign = strstr(text(o, "url"), "?sign=");
	ck_assert_ptr_nonnull(sign);
	ck_assert(attachment_signed(&view, 0, clock_wall_ms(), sign + 6));
	json_decref(o);
	view.has_preview = true;
	view.preview = (pb_PreviewView){.bytes = 3, .mime = (char *)"image/jpeg", .ext = (char *)"jpg", .width = 4, .height = 2};
	view.width = 8;
	pb_MessageView message = {.id = 1, .attachments_count = 1, .attachments = &view};
	begin();
	house_message(&w, &message, 0);
	o = written();
	json_t *first = json_array_get(json_object_get(o, "attachments"), 0);
	ck_assert_int_eq(json_integer_value(json_object_get(first, "width")), 8);
	HAS_KEYS(json_object_get(first, "preview"), "url", "bytes", "media_type", "width", "height");
	ck_assert_ptr_nonnull(strstr(text(json_object_get(first, "preview"), "url"), "/preview?sign="));
	json_decref(o);
	arena_destroy(own);
}
END_TEST

START_TEST(what_is_the_readers_own_is_left_out_where_everybody_reads)
{
	pb_ReactionView reaction = {.emoji = (char *)"+1", .count = 2, .me = true};
	pb_MessageView view = {.id = 1, .reactions_count = 1, .reactions = &reaction, .bookmarked = true, .root_id = 3};

	begin();
	house_message(&w, &view, 0);
	json_t *o = written();
	ck_assert(json_is_true(json_object_get(o, "bookmarked")));
	json_t *first = json_array_get(json_object_get(o, "reactions"), 0);
	ck_assert_str_eq(text(first, "emoji"), "+1");
	ck_assert_int_eq(json_integer_value(json_object_get(first, "count")), 2);
	ck_assert(json_is_true(json_object_get(first, "me")));
	ck_assert(json_is_string(json_object_get(o, "root_message_id")));
	json_decref(o);
	begin();
	house_message_told(&w, &view, 0);
	o = written();
	ck_assert_ptr_null(json_object_get(o, "bookmarked"));
	first = json_array_get(json_object_get(o, "reactions"), 0);
	HAS_KEYS(first, "emoji", "count");
	ck_assert_ptr_null(json_object_get(first, "me"));
	json_decref(o);
}
END_TEST

START_TEST(the_author_of_an_erased_account_is_null)
{
	begin();
	house_message(
		&w, &(pb_MessageView){.id = 1, .has_author = true, .author = {.id = 2, .erased = true}}, 9);
	json_t *o = written();
	ck_assert(json_is_null(json_object_get(o, "author")));
	ck_assert_int_eq(json_integer_value(json_object_get(o, "seq")), 9);
	json_decref(o);
}
END_TEST

START_TEST(a_ban_has_the_promised_keys)
{
	begin();
	house_ban(&w, &(pb_BanView){.has_user = true, .user = {.id = 2}, .reason = (char *)"spam"});
	json_t *o = written();
	HAS_KEYS(o, "user", "motive", "by", "created_at", "expires_at");
	json_decref(o);
}
END_TEST

START_TEST(what_somebody_chose_is_left_out_unless_told)
{
	begin();
	house_presence(&w, &(pb_PresenceView){.user_id = 1, .shown = PRESENCE_OFFLINE});
	json_t *o = written();
	ck_assert_str_eq(text(o, "status"), "offline");
	ck_assert_ptr_null(json_object_get(o, "chosen"));
	json_decref(o);
}
END_TEST

START_TEST(a_problem_says_code_field_and_why)
{
	begin();
	house_problem(&w, &(struct house_problem){.status = STATUS_FIELD_INVALID,
				  .field = "name",
				  .detail = "must not be empty",
				  .trace = "abc"});
	json_t *o = written();
	HAS_KEYS(o, "type", "title", "status", "detail", "code", "field", "trace_id");
	ck_assert_str_eq(text(o, "type"), "urn:guildhall:problem:field_invalid");
	ck_assert_str_eq(text(o, "code"), "field_invalid");
	ck_assert_int_eq(json_integer_value(json_object_get(o, "status")), 422);
	ck_assert_ptr_null(json_object_get(o, "why"));
	json_decref(o);
	begin();
	house_problem(&w,
		&(struct house_problem){.status = STATUS_FORBIDDEN, .why = "send_messages", .trace = "abc"});
	o = written();
	ck_assert_str_eq(text(o, "why"), "send_messages");
	ck_assert_ptr_null(json_object_get(o, "field"));
	json_decref(o);
}
END_TEST

TESTS("house shapes", a_user_has_the_promised_keys, an_erased_user_keeps_nothing_but_his_id,
	only_the_own_profile_shows_the_address, a_new_session_has_its_token_and_a_listed_one_has_not,
	a_team_has_the_promised_keys, a_channel_has_the_promised_keys,
	members_of_teams_and_channels_have_the_promised_keys, a_message_has_the_promised_keys,
	an_attachment_has_the_promised_keys_and_urls_that_are_signed_for_everybody,
	what_is_the_readers_own_is_left_out_where_everybody_reads, the_author_of_an_erased_account_is_null, a_ban_has_the_promised_keys,
	what_somebody_chose_is_left_out_unless_told, a_problem_says_code_field_and_why)
