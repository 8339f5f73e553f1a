#include "services/messaging/purge.h"
#include "services/messaging/webhook_ends.h"
#include "tests/unit/messaging/fixture.h"

static pb_WebhookReply made(struct fixture *fx, uint64_t channel)
{
	pb_WebhookReply reply;

	ck_assert_int_eq(DO(fx, true, create_webhook, pb_CreateWebhookRequest, &reply, .channel_id = channel,
				 .kind = WEBHOOK_INCOMING, .name = (char *)"builds"),
		STATUS_OK);
	return reply;
}

static struct bits all_but(enum permission a, enum permission b)
{
	return bits_without(bits_without(OWNED_ROLES, a), b);
}

/* One call with nobody signed in. */
static enum status run(struct fixture *fx, const pb_WebhookReply *hook, const char *token, const char *content, pb_MessageReply *reply)
{
	uint64_t user = fx->user;

	fx->user = 0;
	enum status st = DO(fx, true, run_webhook, pb_RunWebhookRequest, reply, .webhook_id = hook->webhook.id,
		.token = (char *)token, .content = (char *)content);
	fx->user = user;
	return st;
}

START_TEST(a_webhook_is_made_its_token_told_once_and_kept_as_a_hash)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_WebhookReply first = made(&fx, channel), again;
	ck_assert_uint_eq(strlen(first.token), 43);
	ck_assert_ptr_null(first.secret);
	fx.same_request = true;
	ck_assert_int_eq(DO(&fx, true, create_webhook, pb_CreateWebhookRequest, &again, .channel_id = channel,
				 .kind = WEBHOOK_INCOMING, .name = (char *)"builds"),
		STATUS_OK);
	ck_assert(fx.outcome.replayed);
	ck_assert_uint_eq(again.webhook.id, first.webhook.id);
	ck_assert_ptr_null(again.token);
	pb_Event event = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_int_eq(event.which_body, EVENT_KIND_webhook_created);
	ck_assert_str_eq(audience, "team:1000");
	ck_assert_uint_eq(event.body.webhook_created.webhook.id, first.webhook.id);
	ck_assert_int_eq(number(&fx, arena_printf(fx.mem,
					"SELECT (SELECT count(*) FROM log.requests WHERE position(convert_to('%s', 'UTF8') IN reply) > 0)"
					" + (SELECT count(*) FROM log.events WHERE position(convert_to('%s', 'UTF8') IN payload) > 0)"
					" + (SELECT count(*) FROM messaging.webhooks w WHERE position(convert_to('%s', 'UTF8') IN w.token_hash) > 0)",
					first.token, first.token, first.token)),
		0);
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(making_one_takes_one_of_two_rights_and_the_right_to_post)
{
	struct fixture fx;
	pb_WebhookReply reply;
	static const struct {
		enum permission a, b;
		enum status status;
	} cases[] = {{PERMISSION_create_webhooks, PERMISSION_create_webhooks, STATUS_OK},
		{PERMISSION_manage_channel_webhooks, PERMISSION_manage_channel_webhooks, STATUS_OK},
		{PERMISSION_create_webhooks, PERMISSION_manage_channel_webhooks, STATUS_FORBIDDEN},
		{PERMISSION_send_messages, PERMISSION_send_messages, STATUS_FORBIDDEN}};

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	fx.user = 6;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		TELL(&fx, bits[6] = all_but(cases[i].a, cases[i].b));
		rights_cache_drop(fx.service.rights, 6, channel);
		ck_assert_int_eq(DO(&fx, true, create_webhook, pb_CreateWebhookRequest, &reply, .channel_id = channel,
					 .kind = WEBHOOK_INCOMING, .name = (char *)"w"),
			cases[i].status);
	}
	ck_assert_str_eq(fx.outcome.why, "send_messages");
	fixture_destroy(&fx);
}
END_TEST

START_TEST(who_may_manage_only_his_own_sees_and_changes_only_these)
{
	struct fixture fx;
	pb_ListWebhooksReply list;
	pb_WebhookReply reply;
	pb_Empty nothing;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_WebhookReply theirs = made(&fx, channel);
	fx.user = 6;
	pb_WebhookReply mine = made(&fx, channel);
	TELL(&fx, bits[6] = bits_without(OWNED_ROLES, PERMISSION_manage_channel_webhooks));
	rights_cache_drop(fx.service.rights, 6, channel);
	ck_assert_int_eq(DO(&fx, false, list_webhooks, pb_ListWebhooksRequest, &list, .channel_id = channel), STATUS_OK);
	ck_assert_uint_eq(list.webhooks_count, 1);
	ck_assert_uint_eq(list.webhooks[0].id, mine.webhook.id);
	ck_assert_int_eq(DO(&fx, false, list_webhooks, pb_ListWebhooksRequest, &list, .team_id = TEAM), STATUS_OK);
	ck_assert_uint_eq(list.webhooks_count, 1);
	ck_assert_int_eq(DO(&fx, false, get_webhook, pb_WebhookRequest, &reply, .webhook_id = mine.webhook.id), STATUS_OK);
	ck_assert_int_eq(DO(&fx, false, get_webhook, pb_WebhookRequest, &reply, .webhook_id = theirs.webhook.id), STATUS_FORBIDDEN);
	ck_assert_int_eq(DO(&fx, true, update_webhook, pb_UpdateWebhookRequest, &reply, .webhook_id = theirs.webhook.id,
				 .name = (char *)"x"),
		STATUS_FORBIDDEN);
	ck_assert_int_eq(DO(&fx, true, delete_webhook, pb_WebhookRequest, &nothing, .webhook_id = theirs.webhook.id), STATUS_FORBIDDEN);
	ck_assert_int_eq(DO(&fx, true, update_webhook, pb_UpdateWebhookRequest, &reply, .webhook_id = mine.webhook.id,
				 .name = (char *)"x"),
		STATUS_OK);
	ck_assert_str_eq(reply.webhook.name, "x");
	TELL(&fx, bits[6] = bits_without(fx.bits[6], PERMISSION_manage_own_webhooks));
	rights_cache_drop(fx.service.rights, 6, channel);
	ck_assert_int_eq(DO(&fx, false, list_webhooks, pb_ListWebhooksRequest, &list, .channel_id = channel), STATUS_FORBIDDEN);
	ck_assert_int_eq(DO(&fx, false, list_webhooks, pb_ListWebhooksRequest, &list, .team_id = TEAM), STATUS_FORBIDDEN);
	ck_assert_int_eq(DO(&fx, true, delete_webhook, pb_WebhookRequest, &nothing, .webhook_id = mine.webhook.id), STATUS_FORBIDDEN);
	fx.user = 5;
	ck_assert_int_eq(DO(&fx, false, list_webhooks, pb_ListWebhooksRequest, &list, .channel_id = channel), STATUS_OK);
	ck_assert_uint_eq(list.webhooks_count, 2);
	ck_assert_int_eq(DO(&fx, false, list_webhooks, pb_ListWebhooksRequest, &list, .team_id = TEAM, .owner_id = 6), STATUS_OK);
	ck_assert_uint_eq(list.webhooks_count, 1);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(what_is_posted_through_one_is_the_installations_with_the_webhooks_name)
{
	struct fixture fx;
	pb_MessageReply reply;
	pb_ListMessagesReply list;
	char audience[AUDIENCE_SIZE];

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_WebhookReply hook = made(&fx, channel);
	ck_assert_int_eq(run(&fx, &hook, hook.token, "it builds @everyone", &reply), STATUS_OK);
	ck_assert_uint_eq(reply.message.author.id, SYSTEM_ACCOUNT_ID);
	ck_assert_str_eq(reply.message.author.username, "guildhall");
	ck_assert_uint_eq(reply.message.webhook_id, hook.webhook.id);
	ck_assert_str_eq(reply.message.shown_name, "builds");
	ck_assert(!reply.message.has_mentions);
	pb_Event event = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_int_eq(event.which_body, EVENT_KIND_message_posted);
	ck_assert_uint_eq(event.body.message_posted.message.webhook_id, hook.webhook.id);
	ck_assert_int_eq(DO(&fx, false, list_messages, pb_ListMessagesRequest, &list, .channel_id = channel), STATUS_OK);
	ck_assert_uint_eq(list.messages_count, 1);
	ck_assert_str_eq(list.messages[0].content, "it builds @everyone");
	ck_assert_str_eq(list.messages[0].shown_name, "builds");
	ck_assert_str_eq(list.messages[0].author.username, "guildhall");
	ck_assert_uint_eq(list.messages[0].webhook_id, hook.webhook.id);
	assert_streams_whole(&fx);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_wrong_token_another_kind_and_no_such_webhook_are_told_alike)
{
	struct fixture fx;
	pb_WebhookReply out;
	pb_MessageReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_WebhookReply hook = made(&fx, channel), none = hook;
	ck_assert_int_eq(DO(&fx, true, create_webhook, pb_CreateWebhookRequest, &out, .channel_id = channel, .kind = WEBHOOK_OUTGOING,
				 .name = (char *)"out", .url = (char *)"https://example.org/"),
		STATUS_OK);
	none.webhook.id++;
	ck_assert_int_eq(run(&fx, &hook, "", "x", &reply), STATUS_NOT_FOUND);
	ck_assert_int_eq(run(&fx, &hook, "wrong", "x", &reply), STATUS_NOT_FOUND);
	ck_assert_int_eq(run(&fx, &none, hook.token, "x", &reply), STATUS_NOT_FOUND);
	ck_assert_int_eq(run(&fx, &out, out.token, "x", &reply), STATUS_NOT_FOUND);
	ck_assert_str_eq(fx.outcome.why, "token");
	ck_assert_int_eq(run(&fx, &hook, hook.token, "", &reply), STATUS_FIELD_INVALID);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.messages"), 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_repeated_post_through_one_is_one_and_a_bots_own_key_is_another)
{
	struct fixture fx;
	pb_MessageReply first, again;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_WebhookReply hook = made(&fx, channel);
	ck_assert_int_eq(run(&fx, &hook, hook.token, "once", &first), STATUS_OK);
	fx.same_request = true;
	ck_assert_int_eq(run(&fx, &hook, hook.token, "once", &again), STATUS_OK);
	ck_assert(fx.outcome.replayed);
	ck_assert_uint_eq(again.message.id, first.message.id);
	pb_WebhookReply other = made(&fx, channel);
	fx.request = 1; /* a request that each of them has had */
	ck_assert_int_eq(run(&fx, &other, other.token, "twice", &again), STATUS_OK);
	ck_assert_uint_ne(again.message.id, first.message.id);
	fixture_destroy(&fx);
}
END_TEST

/* User 6 is the bot of user 5. */
static pb_WebhookReply made_of_bot(struct fixture *fx, uint64_t channel, uint64_t owner, enum status expected)
{
	pb_WebhookReply reply = {0};

	ck_assert_int_eq(DO(fx, true, create_webhook, pb_CreateWebhookRequest, &reply, .channel_id = channel, .kind = WEBHOOK_INCOMING,
				 .name = (char *)"bot's", .has_bot = true, .bot = {.id = 6, .username = (char *)"robot", .bot = true, .created_at_ms = 1},
				 .bot_owner_id = owner),
		expected);
	return reply;
}

START_TEST(a_bots_webhook_posts_as_the_bot_and_by_its_rights)
{
	struct fixture fx;
	pb_MessageReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_WebhookReply hook = made_of_bot(&fx, channel, 5, STATUS_OK);
	ck_assert_uint_eq(hook.webhook.bot_id, 6);
	ck_assert_int_eq(run(&fx, &hook, hook.token, "beep", &reply), STATUS_OK);
	ck_assert_uint_eq(reply.message.author.id, 6);
	ck_assert_str_eq(reply.message.author.username, "robot");
	TELL(&fx, bits[6] = bits_without(OWNED_ROLES, PERMISSION_send_messages));
	rights_cache_drop(fx.service.rights, 6, channel);
	ck_assert_int_eq(run(&fx, &hook, hook.token, "beep", &reply), STATUS_FORBIDDEN);
	TELL(&fx, hidden[6] = true);
	ck_assert_int_eq(run(&fx, &hook, hook.token, "beep", &reply), STATUS_NOT_FOUND);
	/* Somebody else's bot takes the right to manage bots. */
	TELL(&fx, bits[5] = bits_without(OWNED_ROLES, PERMISSION_manage_bots));
	rights_cache_drop(fx.service.rights, 5, channel);
	made_of_bot(&fx, channel, 0, STATUS_FORBIDDEN);
	made_of_bot(&fx, channel, 5, STATUS_OK);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_webhook_ends_with_its_bot_and_the_channel_is_told)
{
	struct fixture fx;
	struct db_conn *conn = NULL;
	pb_MessageReply reply;
	pb_WebhookReply got;
	char audience[AUDIENCE_SIZE];

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_WebhookReply hook = made_of_bot(&fx, channel, 5, STATUS_OK), other = made(&fx, channel);
	ck_assert_int_eq(db_acquire(fx.service.db, clock_mono_ms() + PATIENCE_MS, &conn), STATUS_OK);
	ck_assert_int_eq(webhook_ends_mark(conn, fx.mem, 6, false, true), STATUS_OK);
	ck_assert_int_eq(run(&fx, &hook, hook.token, "locked", &reply), STATUS_NOT_FOUND);
	ck_assert_int_eq(webhook_ends_tell(&fx.service, conn, fx.mem), STATUS_NOT_FOUND);
	ck_assert_int_eq(webhook_ends_mark(conn, fx.mem, 6, false, false), STATUS_OK);
	ck_assert_int_eq(run(&fx, &hook, hook.token, "unlocked", &reply), STATUS_OK);
	ck_assert_int_eq(webhook_ends_mark(conn, fx.mem, 6, true, true), STATUS_OK);
	ck_assert_int_eq(run(&fx, &hook, hook.token, "gone", &reply), STATUS_NOT_FOUND);
	ck_assert_int_eq(webhook_ends_tell(&fx.service, conn, fx.mem), STATUS_OK);
	ck_assert_int_eq(webhook_ends_tell(&fx.service, conn, fx.mem), STATUS_NOT_FOUND);
	db_release(conn);
	pb_Event event = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_int_eq(event.which_body, EVENT_KIND_webhook_deleted);
	ck_assert_uint_eq(event.body.webhook_deleted.webhook.id, hook.webhook.id);
	ck_assert(!event.has_actor);
	ck_assert_int_eq(DO(&fx, false, get_webhook, pb_WebhookRequest, &got, .webhook_id = hook.webhook.id), STATUS_NOT_FOUND);
	ck_assert_int_eq(DO(&fx, false, get_webhook, pb_WebhookRequest, &got, .webhook_id = other.webhook.id), STATUS_OK);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_webhook_is_as_unknown_while_its_owner_may_not_post_there)
{
	struct fixture fx;
	pb_MessageReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_WebhookReply hook = made(&fx, channel), of_bot = made_of_bot(&fx, channel, 5, STATUS_OK);
	const pb_WebhookReply *const both[] = {&hook, &of_bot};
	for (size_t i = 0; i < 2; i++) {
		ck_assert_int_eq(run(&fx, both[i], both[i]->token, "before", &reply), STATUS_OK);
		TELL(&fx, hidden[5] = true);
		rights_cache_drop(fx.service.rights, 5, channel);
		ck_assert_int_eq(run(&fx, both[i], both[i]->token, "meanwhile", &reply), STATUS_NOT_FOUND);
		ck_assert_str_eq(fx.outcome.why, "token");
		TELL(&fx, hidden[5] = false);
		TELL(&fx, bits[5] = bits_without(OWNED_ROLES, PERMISSION_send_messages));
		ck_assert_int_eq(run(&fx, both[i], both[i]->token, "muted", &reply), STATUS_NOT_FOUND);
		ck_assert_str_eq(fx.outcome.why, "token");
		TELL(&fx, bits[5] = OWNED_ROLES);
		ck_assert_int_eq(run(&fx, both[i], both[i]->token, "after", &reply), STATUS_OK);
	}
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.messages WHERE content IN ('meanwhile', 'muted')"), 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(who_loses_his_place_between_the_judgement_and_the_commit_posts_nothing_through_his_webhook)
{
	struct fixture fx;
	pb_MessageReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_WebhookReply hook = made(&fx, channel);
	TELL(&fx, kicked = 5);
	ck_assert_int_eq(run(&fx, &hook, hook.token, "late <@6>", &reply), STATUS_NOT_FOUND);
	ck_assert_str_eq(fx.outcome.why, "token");
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.messages"), 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_webhook_rests_while_its_owners_account_is_locked_and_is_left_to_others_when_it_is_gone)
{
	struct fixture fx;
	struct db_conn *conn = NULL;
	pb_MessageReply reply;
	pb_WebhookReply got;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_WebhookReply hook = made_of_bot(&fx, channel, 5, STATUS_OK);
	ck_assert_int_eq(db_acquire(fx.service.db, clock_mono_ms() + PATIENCE_MS, &conn), STATUS_OK);
	ck_assert_int_eq(webhook_ends_mark(conn, fx.mem, 5, false, true), STATUS_OK);
	ck_assert_int_eq(run(&fx, &hook, hook.token, "locked", &reply), STATUS_NOT_FOUND);
	/* What its bot does is another matter. */
	ck_assert_int_eq(webhook_ends_mark(conn, fx.mem, 6, false, false), STATUS_OK);
	ck_assert_int_eq(run(&fx, &hook, hook.token, "locked", &reply), STATUS_NOT_FOUND);
	ck_assert_int_eq(webhook_ends_mark(conn, fx.mem, 5, false, false), STATUS_OK);
	ck_assert_int_eq(run(&fx, &hook, hook.token, "unlocked", &reply), STATUS_OK);
	ck_assert_int_eq(webhook_ends_mark(conn, fx.mem, 5, true, true), STATUS_OK);
	ck_assert_int_eq(run(&fx, &hook, hook.token, "gone", &reply), STATUS_NOT_FOUND);
	ck_assert_int_eq(webhook_ends_tell(&fx.service, conn, fx.mem), STATUS_NOT_FOUND);
	ck_assert_int_eq(DO(&fx, false, get_webhook, pb_WebhookRequest, &got, .webhook_id = hook.webhook.id), STATUS_OK);
	db_release(conn);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(the_token_deletes_it_whoever_calls_and_a_wrong_one_does_not)
{
	struct fixture fx;
	pb_Empty nothing;
	pb_WebhookReply got;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_WebhookReply hook = made(&fx, channel);
	fx.user = 0;
	ck_assert_int_eq(DO(&fx, true, delete_webhook, pb_WebhookRequest, &nothing, .webhook_id = hook.webhook.id, .token = (char *)""),
		STATUS_NOT_FOUND);
	fx.user = 7;
	TELL(&fx, hidden[7] = true);
	ck_assert_int_eq(DO(&fx, true, delete_webhook, pb_WebhookRequest, &nothing, .webhook_id = hook.webhook.id, .token = hook.token),
		STATUS_OK);
	fx.user = 5;
	ck_assert_int_eq(DO(&fx, false, get_webhook, pb_WebhookRequest, &got, .webhook_id = hook.webhook.id), STATUS_NOT_FOUND);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_channel_takes_fifteen_and_a_team_a_trigger_once)
{
	struct fixture fx;
	pb_WebhookReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false), other = made_channel(&fx, false);
	for (int i = 0; i < 15; i++)
		made(&fx, channel);
	ck_assert_int_eq(DO(&fx, true, create_webhook, pb_CreateWebhookRequest, &reply, .channel_id = channel, .kind = WEBHOOK_INCOMING,
				 .name = (char *)"w"),
		STATUS_AT_LIMIT);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(DO(&fx, true, create_webhook, pb_CreateWebhookRequest, &reply, .channel_id = other, .kind = WEBHOOK_OUTGOING,
					 .name = (char *)"w", .trigger = (char *)"rain", .url = (char *)"http://example.org"),
			i == 0 ? STATUS_OK : STATUS_CONFLICT);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(what_does_not_fit_is_named)
{
	struct fixture fx;
	pb_WebhookReply reply;
	static const struct {
		uint32_t kind;
		const char *name, *avatar, *trigger, *url, *field;
	} cases[] = {{3, "w", NULL, NULL, NULL, "kind"}, {1, "", NULL, NULL, NULL, "name"},
		{1, "123456789012345678901234567890123", NULL, NULL, NULL, "name"}, {1, "w", "http://example.org/a", NULL, NULL, "avatar_url"},
		{1, "w", NULL, "x", NULL, "trigger"}, {1, "w", NULL, NULL, "http://example.org", "url"}, {2, "w", NULL, NULL, NULL, "url"},
		{2, "w", NULL, "two words", "http://example.org", "trigger"}, {2, "w", NULL, "shrug", "http://example.org", "trigger"},
		{2, "w", NULL, NULL, "ftp://example.org", "url"}, {2, "w", NULL, NULL, "http://u:p@example.org", "url"},
		{2, "w", NULL, NULL, "http://%s.example.org", "url"}};

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		ck_assert_int_eq(DO(&fx, true, create_webhook, pb_CreateWebhookRequest, &reply, .channel_id = channel, .kind = cases[i].kind,
					 .name = (char *)cases[i].name, .avatar = (char *)cases[i].avatar, .trigger = (char *)cases[i].trigger,
					 .url = (char *)cases[i].url),
			STATUS_FIELD_INVALID);
		ck_assert_str_eq(fx.outcome.field, cases[i].field);
	}
	fixture_destroy(&fx);
}
END_TEST

START_TEST(one_that_moves_to_a_channel_of_others_is_gone_for_those_who_stay)
{
	struct fixture fx;
	pb_WebhookReply reply;
	char audience[AUDIENCE_SIZE];

	fixture_create(&fx);
	uint64_t from = made_channel(&fx, false), to = made_channel(&fx, true);
	pb_WebhookReply hook = made(&fx, from);
	ck_assert_int_eq(DO(&fx, true, update_webhook, pb_UpdateWebhookRequest, &reply, .webhook_id = hook.webhook.id, .channel_id = to,
				 .renew = true),
		STATUS_OK);
	ck_assert_uint_eq(reply.webhook.channel_id, to);
	ck_assert_str_ne(reply.token, hook.token);
	pb_Event event = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_int_eq(event.which_body, EVENT_KIND_webhook_updated);
	ck_assert_str_eq(audience, arena_printf(fx.mem, "channel:%lu", (unsigned long)to));
	event = event_back(&fx, STREAM_TEAM(TEAM), 1, audience);
	ck_assert_int_eq(event.which_body, EVENT_KIND_webhook_deleted);
	ck_assert_str_eq(audience, "team:1000");
	pb_MessageReply posted_there;
	ck_assert_int_eq(run(&fx, &hook, hook.token, "old token", &posted_there), STATUS_NOT_FOUND);
	ck_assert_int_eq(run(&fx, &hook, reply.token, "new token", &posted_there), STATUS_OK);
	ck_assert_uint_eq(posted_there.message.channel_id, to);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(webhooks_end_with_their_channel_and_are_purged)
{
	struct fixture fx;
	pb_ChannelReply gone;
	pb_MessageReply reply;
	struct db_conn *conn = NULL;
	uint64_t rows = 0;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_WebhookReply hook = made(&fx, channel);
	ck_assert_int_eq(DO(&fx, true, delete_channel, pb_DeleteChannelRequest, &gone, .channel_id = channel), STATUS_OK);
	ck_assert_int_eq(run(&fx, &hook, hook.token, "x", &reply), STATUS_NOT_FOUND);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.webhooks WHERE deleted_at_ms IS NULL"), 0);
	ck_assert_int_eq(db_acquire(fx.service.db, clock_mono_ms() + PATIENCE_MS, &conn), STATUS_OK);
	ck_assert_int_eq(purge_round(conn, fx.mem, INT64_MAX, &rows), STATUS_OK);
	db_release(conn);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.webhooks"), 0);
	fixture_destroy(&fx);
}
END_TEST

/* ---- commands */

static enum status say(struct fixture *fx, uint64_t channel, const char *word, const char *input, pb_RunCommandReply *reply)
{
	return DO(fx, true, run_command, pb_RunCommandRequest, reply, .channel_id = channel, .word = (char *)word, .input = (char *)input);
}

START_TEST(built_in_words_post_as_who_says_them)
{
	struct fixture fx;
	pb_RunCommandReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	ck_assert_int_eq(say(&fx, channel, "shrug", "well", &reply), STATUS_OK);
	ck_assert_str_eq(reply.message.content, "well ¯\\\\_(ツ)_/¯");
	ck_assert_uint_eq(reply.message.author.id, 5);
	ck_assert_uint_eq(reply.message.kind, MESSAGE_TEXT);
	ck_assert_int_eq(say(&fx, channel, "tableflip", "", &reply), STATUS_OK);
	ck_assert_str_eq(reply.message.content, "(╯°□°）╯︵ ┻━┻");
	ck_assert_int_eq(say(&fx, channel, "me", "sits down", &reply), STATUS_OK);
	ck_assert_str_eq(reply.message.content, "sits down");
	ck_assert_uint_eq(reply.message.kind, MESSAGE_ME);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.messages WHERE kind = 2"), 1);
	ck_assert_int_eq(say(&fx, channel, "me", "", &reply), STATUS_OK);
	ck_assert(!reply.has_message && !reply.waiting);
	ck_assert_int_eq(say(&fx, channel, "nobody's", "x", &reply), STATUS_OK);
	ck_assert(!reply.has_message && !reply.waiting);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.messages"), 3);
	TELL(&fx, bits[5] = bits_without(OWNED_ROLES, PERMISSION_send_messages));
	rights_cache_drop(fx.service.rights, 5, channel);
	static const char *const words[] = {"shrug", "me", "nobody's"};
	for (size_t i = 0; i < 3; i++)
		ck_assert_int_eq(say(&fx, channel, words[i], "", &reply), STATUS_FORBIDDEN);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(the_words_of_a_channel_are_those_built_in_and_its_own)
{
	struct fixture fx;
	pb_ListCommandsReply list;
	pb_WebhookReply hook;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	ck_assert_int_eq(DO(&fx, true, create_webhook, pb_CreateWebhookRequest, &hook, .channel_id = channel, .kind = WEBHOOK_OUTGOING,
				 .name = (char *)"forecast", .trigger = (char *)"rain", .url = (char *)"http://example.org"),
		STATUS_OK);
	ck_assert_int_eq(DO(&fx, false, list_commands, pb_ListCommandsRequest, &list, .channel_id = 0), STATUS_OK);
	ck_assert_uint_eq(list.commands_count, 4);
	ck_assert_int_eq(DO(&fx, false, list_commands, pb_ListCommandsRequest, &list, .channel_id = channel), STATUS_OK);
	ck_assert_uint_eq(list.commands_count, 5);
	ck_assert_str_eq(list.commands[0].word, "me");
	ck_assert_str_eq(list.commands[4].word, "rain");
	ck_assert_str_eq(list.commands[4].description, "forecast");
	ck_assert_uint_eq(list.commands[4].webhook_id, hook.webhook.id);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_word_that_asks_leaves_a_delivery_that_waits_for_who_asks_it)
{
	struct fixture fx;
	pb_RunCommandReply reply;
	pb_WebhookReply hook;

	fixture_create(&fx); /* nobody delivers here */
	uint64_t channel = made_channel(&fx, false);
	ck_assert_int_eq(DO(&fx, true, create_webhook, pb_CreateWebhookRequest, &hook, .channel_id = channel, .kind = WEBHOOK_OUTGOING,
				 .name = (char *)"forecast", .trigger = (char *)"rain", .url = (char *)"http://example.org"),
		STATUS_OK);
	ck_assert_uint_eq(strlen(hook.secret), 43);
	ck_assert_int_eq(say(&fx, channel, "rain", "today", &reply), STATUS_OK);
	ck_assert(reply.waiting);
	fx.same_request = true;
	ck_assert_int_eq(say(&fx, channel, "rain", "today", &reply), STATUS_OK);
	ck_assert(fx.outcome.replayed && reply.waiting);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.webhook_deliveries WHERE input = 'today' AND state = 1 AND asked_by = 5"), 1);
	fixture_destroy(&fx);
}
END_TEST

TESTS("webhooks", a_webhook_is_made_its_token_told_once_and_kept_as_a_hash, making_one_takes_one_of_two_rights_and_the_right_to_post,
	who_may_manage_only_his_own_sees_and_changes_only_these, what_is_posted_through_one_is_the_installations_with_the_webhooks_name,
	a_wrong_token_another_kind_and_no_such_webhook_are_told_alike, a_repeated_post_through_one_is_one_and_a_bots_own_key_is_another,
	a_bots_webhook_posts_as_the_bot_and_by_its_rights, a_webhook_ends_with_its_bot_and_the_channel_is_told,
	a_webhook_is_as_unknown_while_its_owner_may_not_post_there,
	who_loses_his_place_between_the_judgement_and_the_commit_posts_nothing_through_his_webhook,
	a_webhook_rests_while_its_owners_account_is_locked_and_is_left_to_others_when_it_is_gone,
	the_token_deletes_it_whoever_calls_and_a_wrong_one_does_not, a_channel_takes_fifteen_and_a_team_a_trigger_once,
	what_does_not_fit_is_named, one_that_moves_to_a_channel_of_others_is_gone_for_those_who_stay,
	webhooks_end_with_their_channel_and_are_purged, built_in_words_post_as_who_says_them,
	the_words_of_a_channel_are_those_built_in_and_its_own, a_word_that_asks_leaves_a_delivery_that_waits_for_who_asks_it)
