#include "services/messaging/search.h"

#include "services/messaging/purge.h"
#include "services/messaging/search_index.h"
#include "services/messaging/search_query.h"
#include "tests/unit/messaging/fixture.h"

/* ---- the index, made at once or by its job */

static struct db_conn *begun(struct fixture *fx)
{
	struct db_conn *conn = NULL;

	ck_assert_int_eq(db_acquire(fx->service.db, clock_mono_ms() + PATIENCE_MS, &conn), STATUS_OK);
	ck_assert_int_eq(db_begin(conn), STATUS_OK);
	return conn;
}

/* Everything there is, from the table. */
static void index_all(struct fixture *fx)
{
	struct db_conn *conn;
	bool done = false;

	pg_exec(fx->url, "UPDATE messaging.search_state SET made_with = 'simple/1', backfill_at = 0");
	while (!done) {
		conn = begun(fx);
		ck_assert_int_eq(search_backfill_chunk(conn, fx->mem, "simple", &done), STATUS_OK);
		ck_assert_int_eq(db_commit(conn), STATUS_OK);
		db_release(conn);
	}
}

static struct search_index *job_started(struct fixture *fx)
{
	struct search_index *index;

	search_index_create(&fx->service, &index);
	search_index_start(index);
	return index;
}

static void job_ended(struct search_index *index)
{
	search_index_stop(index);
	search_index_destroy(index);
}

/* Every living message of the table is in the index, and nothing else. */
static void await_indexed(struct fixture *fx)
{
	pg_await(fx->url,
		"SELECT count(*) FROM (SELECT id FROM messaging.messages WHERE deleted_at_ms IS NULL) m"
		" FULL JOIN messaging.search s ON s.message_id = m.id WHERE s.message_id IS NULL OR m.id IS NULL",
		0);
	pg_await(fx->url, "SELECT count(*) FROM messaging.search_state WHERE made_with = 'simple/1' AND backfill_at IS NULL", 1);
}

#define SEARCH(fx, reply, ...)                                                                                     \
	DO(fx, false, search_messages, pb_SearchMessagesRequest, (reply), __VA_ARGS__)
/* The contents of what is found, apart by "|", in the order of the answer. */
static const char *contents(struct fixture *fx, const pb_SearchMessagesReply *reply)
{
	const char *all = "";

	for (size_t i = 0; i < reply->found_count; i++)
		all = arena_printf(fx->mem, "%s%s%s", all, i > 0 ? "|" : "", reply->found[i].message.content);
	return all;
}
#define FOUND(fx, wanted, ...)                                                                                     \
	do {                                                                                                       \
		pb_SearchMessagesReply found_reply;                                                                \
		ck_assert_int_eq(SEARCH(fx, &found_reply, .newest_first = true, __VA_ARGS__), STATUS_OK);          \
		ck_assert_str_eq(contents(fx, &found_reply), wanted);                                              \
		ck_assert_uint_eq(found_reply.total, found_reply.found_count);                                     \
		ck_assert(!found_reply.capped && !found_reply.partial && !found_reply.has_next);                   \
	} while (0)
#define TEXT(words) .text = (char *)(words)
#define IDS(...)    ((uint64_t[]){__VA_ARGS__})

/* ---- what is found */

START_TEST(words_phrases_absence_and_either)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	posted(&fx, channel, "The quick brown fox", 0);
	posted(&fx, channel, "a brown, quick dog", 0);
	posted(&fx, channel, "Nothing to see", 0);
	index_all(&fx);
	FOUND(&fx, "a brown, quick dog|The quick brown fox", TEXT("quick BROWN"));
	FOUND(&fx, "The quick brown fox", TEXT("\"quick brown\""));
	FOUND(&fx, "a brown, quick dog", TEXT("quick -fox"));
	FOUND(&fx, "Nothing to see|The quick brown fox", TEXT("nothing or fox"));
	FOUND(&fx, "Nothing to see|a brown, quick dog", TEXT("-fox"));
	FOUND(&fx, "", TEXT("quic"));
	fixture_destroy(&fx);
}
END_TEST

START_TEST(accents_and_case_are_folded_on_both_sides)
{
	struct fixture fx;
	pb_SearchMessagesReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	posted(&fx, channel, "Žluťoučký kůň in der STRASSE", 0);
	index_all(&fx);
	FOUND(&fx, "Žluťoučký kůň in der STRASSE", TEXT("zlutoucky"));
	FOUND(&fx, "Žluťoučký kůň in der STRASSE", TEXT("ŽLUŤOUČKÝ straße"));
	ck_assert_int_eq(SEARCH(&fx, &reply, TEXT("kun")), STATUS_OK);
	const pb_FoundMessage *found = &reply.found[0];
	ck_assert_uint_eq(found->begin, 0);
	ck_assert_uint_eq(found->end, strlen(found->message.content));
	ck_assert_uint_eq(found->marks_count, 2);
	ck_assert_int_eq(strncmp(found->message.content + found->marks[0], "kůň ", strlen("kůň ")), 0);
	ck_assert_uint_eq(found->marks[1] - found->marks[0], strlen("kůň"));
	fixture_destroy(&fx);
}
END_TEST

START_TEST(quotes_and_signs_in_words_and_queries_are_only_text)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	posted(&fx, channel, "see http://u.v/w''x\\y and o'neil #5 @7 5*", 0);
	index_all(&fx);
	FOUND(&fx, "see http://u.v/w''x\\y and o'neil #5 @7 5*", TEXT("o'neil"));
	FOUND(&fx, "see http://u.v/w''x\\y and o'neil #5 @7 5*", TEXT("u.v/w"));
	FOUND(&fx, "", TEXT("') | ('"));
	FOUND(&fx, "", TEXT("!!! & | <-> ()"));
	FOUND(&fx, "", TEXT("1*"));
	fixture_destroy(&fx);
}
END_TEST

START_TEST(without_a_text_the_newest_are_listed)
{
	struct fixture fx;
	pb_SearchMessagesReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	posted(&fx, channel, "one", 0);
	posted(&fx, channel, "two", 0);
	index_all(&fx);
	FOUND(&fx, "two|one", TEXT(""));
	ck_assert_int_eq(SEARCH(&fx, &reply, .newest_first = false), STATUS_OK);
	ck_assert_str_eq(contents(&fx, &reply), "two|one");
	ck_assert_uint_eq(reply.found[0].rank, 0);
	ck_assert_uint_eq(reply.found[0].end, 3);
	ck_assert_uint_eq(reply.found[0].marks_count, 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(filters_narrow_what_is_found)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t a = made_channel(&fx, false), b = made_channel(&fx, false);
	pb_MessageView first = posted(&fx, a, "apple one", 0), second = posted(&fx, b, "apple two", 0);
	fx.user = 6;
	pb_MessageView third = posted(&fx, a, "apple three", 0);
	fx.user = 5;
	posted(&fx, a, "apple four", first.id);
	index_all(&fx);
	FOUND(&fx, "apple four|apple three|apple two|apple one", TEXT("apple"));
	FOUND(&fx, "apple two", TEXT("apple"), .channel_ids_count = 1, .channel_ids = IDS(b));
	FOUND(&fx, "apple four|apple three|apple two|apple one", TEXT("apple"), .channel_ids_count = 3, .channel_ids = IDS(b, a, b));
	FOUND(&fx, "apple four|apple three|apple two|apple one", TEXT("apple"), .team_id = TEAM);
	FOUND(&fx, "apple three", TEXT("apple"), .author_ids_count = 1, .author_ids = IDS(6));
	FOUND(&fx, "apple four|apple three|apple two|apple one", .author_ids_count = 2, .author_ids = IDS(6, 5));
	FOUND(&fx, "apple one", TEXT("apple"), .replied = true);
	FOUND(&fx, "apple four|apple three", TEXT("apple"), .after = second.id);
	FOUND(&fx, "apple two|apple one", TEXT("apple"), .before = third.id);
	FOUND(&fx, "apple three|apple two", .after = first.id, .before = third.id + 1);
	FOUND(&fx, "", TEXT("apple"), .before_ms = 5);
	FOUND(&fx, "", TEXT("apple"), .after_ms = (uint64_t)clock_wall_ms() + 60000);
	FOUND(&fx, "apple four|apple three|apple two|apple one", .after_ms = (uint64_t)ids_wall_ms(first.id), .before_ms = (uint64_t)clock_wall_ms() + 60000);
	FOUND(&fx, "", .before_ms = (uint64_t)ids_wall_ms(first.id));
	fixture_destroy(&fx);
}
END_TEST

START_TEST(system_messages_are_found_only_when_asked_for)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	posted(&fx, channel, "hello", 0);
	pb_MessageView joined = posted(&fx, channel, "joined", 0);
	pg_exec(fx.url, arena_printf(fx.mem, "UPDATE messaging.messages SET kind = 3 WHERE id = %llu", (unsigned long long)joined.id));
	index_all(&fx);
	FOUND(&fx, "hello", TEXT(""));
	FOUND(&fx, "joined", .kinds_count = 1, .kinds = (uint32_t[]){MESSAGE_SYSTEM});
	FOUND(&fx, "joined|hello", .kinds_count = 2, .kinds = (uint32_t[]){MESSAGE_SYSTEM, MESSAGE_TEXT});
	fixture_destroy(&fx);
}
END_TEST

START_TEST(pinned_and_bookmarked_messages_are_found_among_themselves)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	uint64_t ids[4];
	for (int i = 0; i < 4; i++)
		ids[i] = posted(&fx, channel, arena_printf(fx.mem, "apple %d", i), 0).id;
	pg_exec(fx.url,
		arena_printf(fx.mem,
			"INSERT INTO messaging.pins VALUES (%llu, %llu, 1), (%llu, %llu, 1);"
			"INSERT INTO messaging.bookmarks VALUES (5, %llu, %llu, 1), (5, %llu, %llu, 1), (6, %llu, %llu, 1)",
			(unsigned long long)channel, (unsigned long long)ids[0], (unsigned long long)channel,
			(unsigned long long)ids[1], (unsigned long long)ids[1], (unsigned long long)channel,
			(unsigned long long)ids[2], (unsigned long long)channel, (unsigned long long)ids[3],
			(unsigned long long)channel));
	index_all(&fx);
	FOUND(&fx, "apple 1|apple 0", .pinned = true);
	FOUND(&fx, "apple 2|apple 1", .bookmarked = true);
	FOUND(&fx, "apple 1", .bookmarked = true, .pinned = true);
	FOUND(&fx, "apple 0", .pinned = true, TEXT("-1"));
	FOUND(&fx, "", .pinned = true, TEXT("pear"));
	FOUND(&fx, "apple 2", .bookmarked = true, TEXT("apple"), .after = ids[1]);
	fx.user = 6;
	FOUND(&fx, "apple 3", .bookmarked = true);
	fixture_destroy(&fx);
}
END_TEST

/* ---- order and pages */

START_TEST(what_says_a_word_more_often_ranks_higher)
{
	struct fixture fx;
	pb_SearchMessagesReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	posted(&fx, channel, "apple apple apple", 0);
	posted(&fx, channel, "an apple among many other words that say nothing", 0);
	index_all(&fx);
	ck_assert_int_eq(SEARCH(&fx, &reply, TEXT("apple")), STATUS_OK);
	ck_assert_str_eq(contents(&fx, &reply), "apple apple apple|an apple among many other words that say nothing");
	ck_assert_uint_gt(reply.found[0].rank, reply.found[1].rank);
	ck_assert_uint_gt(reply.found[1].rank, 0);
	fixture_destroy(&fx);
}
END_TEST

/* All pages of seven: each message once, in order, with one total. */
static void read_pages(struct fixture *fx, bool newest_first, const char *text, size_t wanted)
{
	pb_SearchMessagesReply reply = {.has_next = true};
	uint64_t rank = UINT64_MAX, id = UINT64_MAX;
	size_t count = 0;

	for (bool first = true; reply.has_next; first = false) {
		pb_SearchCursor from = reply.next;
		ck_assert_int_eq(SEARCH(fx, &reply, TEXT(text), .limit = 7, .newest_first = newest_first, .has_from = !first,
					 .from = first ? (pb_SearchCursor){0} : from),
			STATUS_OK);
		ck_assert_uint_eq(reply.total, wanted);
		ck_assert_uint_le(reply.found_count, 7);
		for (size_t i = 0; i < reply.found_count; i++) {
			const pb_FoundMessage *f = &reply.found[i];
			ck_assert(newest_first ? f->message.id < id
					       : f->rank < rank || (f->rank == rank && f->message.id < id));
			rank = f->rank;
			id = f->message.id;
			count++;
		}
	}
	ck_assert_uint_eq(count, wanted);
}

START_TEST(pages_give_every_message_once_and_in_order)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	for (int i = 0; i < 30; i++)
		posted(&fx, channel, arena_printf(fx.mem, "apple %s %d", i % 3 == 0 ? "apple apple" : "pie", i), 0);
	index_all(&fx);
	read_pages(&fx, false, "apple", 30);
	read_pages(&fx, true, "apple", 30);
	read_pages(&fx, true, "", 30);
	read_pages(&fx, false, "pie", 20);
	fixture_destroy(&fx);
}
END_TEST

/* Messages far beyond one segment, made in the table: each says "all", every 20th "twentieth", every 1000th "rare". */
static void many(struct fixture *fx, uint64_t channel, int count)
{
	pg_exec(fx->url,
		arena_printf(fx->mem,
			"INSERT INTO messaging.messages (id, channel_id, seq, author_id, content, created_at_ms)"
			" SELECT 1000000 + g, %llu, 1000000 + g, 5, 'all ' || CASE WHEN g %% 20 = 0 THEN 'twentieth ' ELSE '' END"
			" || CASE WHEN g %% 1000 = 0 THEN 'rare' ELSE '' END, 1 FROM generate_series(1, %d) g",
			(unsigned long long)channel, count));
}

START_TEST(a_search_reads_segment_by_segment_and_stops_when_it_has_enough)
{
	struct fixture fx;
	pb_SearchMessagesReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	many(&fx, channel, 3 * SEARCH_SEGMENT_ROWS + 100);
	index_all(&fx);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.search_segments"), 4);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.search_segments a JOIN messaging.search_segments b"
				     " ON a.id < b.id AND a.last_id >= b.first_id"), 0);
	ck_assert_int_eq(SEARCH(&fx, &reply, TEXT("rare")), STATUS_OK);
	ck_assert_uint_eq(reply.total, (3 * SEARCH_SEGMENT_ROWS + 100) / 1000);
	ck_assert(!reply.capped);
	ck_assert_int_eq(SEARCH(&fx, &reply, TEXT("twentieth"), .limit = 100), STATUS_OK);
	ck_assert_uint_eq(reply.total, (3 * SEARCH_SEGMENT_ROWS + 100) / 20);
	ck_assert_int_eq(SEARCH(&fx, &reply, TEXT("all"), .newest_first = true, .limit = 10), STATUS_OK);
	ck_assert(reply.capped);
	ck_assert_uint_ge(reply.total, SEARCH_HITS_MOST);
	ck_assert_uint_lt(reply.total, 3 * SEARCH_SEGMENT_ROWS);
	for (uint64_t i = 0; i < 10; i++)
		ck_assert_uint_eq(reply.found[i].message.id, 1000000 + 3 * SEARCH_SEGMENT_ROWS + 100 - i);
	/* Beyond the segments that were read for the first page. */
	pb_SearchCursor from = {0, 1000000 + SEARCH_SEGMENT_ROWS, reply.total, true};
	ck_assert_int_eq(SEARCH(&fx, &reply, TEXT("all"), .newest_first = true, .limit = 10, .has_from = true, .from = from), STATUS_OK);
	ck_assert_uint_eq(reply.found[0].message.id, from.message_id - 1);
	ck_assert_uint_eq(reply.total, from.total);
	fixture_destroy(&fx);
}
END_TEST

/* ---- rights */

START_TEST(nothing_of_a_channel_that_is_hidden_shows_anywhere)
{
	struct fixture fx;
	pb_SearchMessagesReply before, after;

	fixture_create(&fx);
	uint64_t open = made_channel(&fx, false), secret = made_channel(&fx, true);
	posted(&fx, open, "apple here", 0);
	index_all(&fx);
	fx.user = 6;
	TELL(&fx, hidden_channel = secret);
	ck_assert_int_eq(SEARCH(&fx, &before, TEXT("apple")), STATUS_OK);
	fx.user = 5;
	for (int i = 0; i < 20; i++)
		posted(&fx, secret, "apple apple secret", 0);
	index_all(&fx);
	FOUND(&fx, "apple apple secret", TEXT("secret"), .limit = 1, .before = UINT64_C(1) << 62, .channel_ids_count = 1,
		.channel_ids = IDS(secret), .after = (uint64_t)number(&fx, "SELECT max(id) - 1 FROM messaging.messages"));
	fx.user = 6;
	ck_assert_int_eq(SEARCH(&fx, &after, TEXT("apple")), STATUS_OK);
	ck_assert_str_eq(contents(&fx, &after), "apple here");
	ck_assert_uint_eq(after.total, 1);
	ck_assert_uint_eq(after.found[0].rank, before.found[0].rank);
	ck_assert_uint_eq(after.found[0].marks_count, before.found[0].marks_count);
	ck_assert_mem_eq(after.found[0].marks, before.found[0].marks, before.found[0].marks_count * sizeof *before.found[0].marks);
	FOUND(&fx, "", TEXT("secret"));
	ck_assert_int_eq(SEARCH(&fx, &after, TEXT("apple"), .channel_ids_count = 1, .channel_ids = IDS(secret)), STATUS_NOT_FOUND);
	ck_assert_int_eq(SEARCH(&fx, &after, TEXT("apple"), .channel_ids_count = 2, .channel_ids = IDS(open, secret)), STATUS_NOT_FOUND);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_conversation_is_searched_by_those_who_are_in_it_alone)
{
	struct fixture fx;
	pb_OpenConversationReply made;
	pb_SearchMessagesReply reply;
	pb_UserView other = {.id = 6, .username = (char *)"u"};

	fixture_create(&fx);
	ck_assert_int_eq(DO(&fx, true, open_conversation, pb_OpenConversationRequest, &made, .users = &other, .users_count = 1), STATUS_OK);
	uint64_t direct = made.channel.id, open = made_channel(&fx, false);
	posted(&fx, direct, "apple between us", 0);
	posted(&fx, open, "apple for all", 0);
	struct search_index *index = job_started(&fx);
	await_indexed(&fx);
	job_ended(index);
	for (fx.user = 5; fx.user <= 6; fx.user++) {
		FOUND(&fx, "apple for all|apple between us", TEXT("apple"));
		FOUND(&fx, "apple between us", TEXT("apple"), .channel_ids_count = 1, .channel_ids = IDS(direct));
		FOUND(&fx, "apple for all", TEXT("apple"), .team_id = TEAM);
	}
	fx.user = 7;
	FOUND(&fx, "apple for all", TEXT("apple"));
	FOUND(&fx, "", TEXT("between"));
	ck_assert_int_eq(SEARCH(&fx, &reply, .channel_ids_count = 1, .channel_ids = IDS(direct)), STATUS_NOT_FOUND);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(who_may_not_read_history_finds_nothing)
{
	struct fixture fx;
	pb_SearchMessagesReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	posted(&fx, channel, "apple", 0);
	index_all(&fx);
	fx.user = 6;
	TELL(&fx, bits[6] = bits_without(OWNED_ROLES, PERMISSION_read_history));
	FOUND(&fx, "", TEXT("apple"));
	ck_assert_int_eq(SEARCH(&fx, &reply, TEXT("apple"), .channel_ids_count = 1, .channel_ids = IDS(channel)), STATUS_FORBIDDEN);
	ck_assert_str_eq(fx.outcome.why, "read_history");
	TELL(&fx, hidden[6] = true);
	FOUND(&fx, "", TEXT("apple"));
	fixture_destroy(&fx);
}
END_TEST

START_TEST(rights_that_changed_meanwhile_are_judged_again)
{
	struct fixture fx;
	pb_SearchMessagesReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	posted(&fx, channel, "apple", 0);
	index_all(&fx);
	pg_exec(fx.url, "UPDATE log.streams SET authz_epoch = authz_epoch + 1 WHERE id = 1000"); /* what is cached is old */
	FOUND(&fx, "apple", TEXT("apple"), .channel_ids_count = 1, .channel_ids = IDS(channel));
	TELL(&fx, stale_answers = 2);
	FOUND(&fx, "apple", TEXT("apple"));
	TELL(&fx, stale_answers = 1000);
	ck_assert_int_eq(SEARCH(&fx, &reply, TEXT("apple")), STATUS_BUSY);
	TELL(&fx, stale_answers = 0);
	fx.actor_epoch = 7;
	ck_assert_int_eq(SEARCH(&fx, &reply, TEXT("apple")), STATUS_STALE);
	ck_assert_str_eq(fx.outcome.why, "session");
	fixture_destroy(&fx);
}
END_TEST

START_TEST(bounds_of_the_request_are_kept)
{
	struct fixture fx;
	pb_SearchMessagesReply reply;
	char text[258] = {0};
	uint64_t ids[60];

	fixture_create(&fx);
	memset(text, 'x', 257);
	for (size_t i = 0; i < 60; i++)
		ids[i] = i + 1;
	ck_assert_int_eq(SEARCH(&fx, &reply, TEXT(text)), STATUS_FIELD_INVALID);
	ck_assert_str_eq(fx.outcome.field, "text");
	ck_assert_int_eq(SEARCH(&fx, &reply, .channel_ids = ids, .channel_ids_count = 51), STATUS_FIELD_INVALID);
	ck_assert_str_eq(fx.outcome.field, "channel_ids");
	ck_assert_int_eq(SEARCH(&fx, &reply, .author_ids = ids, .author_ids_count = 21), STATUS_FIELD_INVALID);
	ck_assert_str_eq(fx.outcome.field, "author_ids");
	ck_assert_int_eq(SEARCH(&fx, &reply, .kinds = (uint32_t[]){9}, .kinds_count = 1), STATUS_FIELD_INVALID);
	ck_assert_str_eq(fx.outcome.field, "kinds");
	ck_assert_int_eq(SEARCH(&fx, &reply, .after = UINT64_MAX, .before = UINT64_MAX), STATUS_OK);
	ck_assert_int_eq(SEARCH(&fx, &reply, .after_ms = INT64_MAX, .before_ms = INT64_MAX), STATUS_OK);
	fixture_destroy(&fx);
}
END_TEST

/* ---- the job */

START_TEST(the_index_follows_posts_edits_and_deletions)
{
	struct fixture fx;
	pb_MessageReply edited;
	pb_Empty nothing;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView early = posted(&fx, channel, "apple before the job", 0);
	struct search_index *index = job_started(&fx);
	pb_MessageView late = posted(&fx, channel, "apple behind it", 0);
	await_indexed(&fx);
	FOUND(&fx, "apple behind it|apple before the job", TEXT("apple"));
	ck_assert_int_eq(DO(&fx, true, update_message, pb_UpdateMessageRequest, &edited, .channel_id = channel,
				 .message_id = late.id, .content = (char *)"a pear"),
		STATUS_OK);
	pg_await(fx.url, "SELECT count(*) FROM messaging.search WHERE tsv::text LIKE '%:pear%'", 1);
	FOUND(&fx, "apple before the job", TEXT("apple"));
	FOUND(&fx, "a pear", TEXT("pear"));
	ck_assert_int_eq(DO(&fx, true, delete_message, pb_MessageRequest, &nothing, .channel_id = channel, .message_id = early.id),
		STATUS_OK);
	await_indexed(&fx);
	FOUND(&fx, "", TEXT("apple"));
	job_ended(index);
	ck_assert_int_eq(number(&fx, "SELECT sum(rows) FROM messaging.search_segments"), 1);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(what_is_deleted_is_not_shown_even_before_the_index_knows)
{
	struct fixture fx;
	pb_SearchMessagesReply reply;
	pb_Empty nothing;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView gone = posted(&fx, channel, "apple", 0);
	index_all(&fx);
	ck_assert_int_eq(DO(&fx, true, delete_message, pb_MessageRequest, &nothing, .channel_id = channel, .message_id = gone.id),
		STATUS_OK);
	ck_assert_int_eq(SEARCH(&fx, &reply, TEXT("apple")), STATUS_OK);
	ck_assert_uint_eq(reply.found_count, 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_message_deleted_before_it_was_indexed_is_never_in_the_index)
{
	struct fixture fx;
	pb_Empty nothing;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_MessageView gone = posted(&fx, channel, "apple", 0);
	ck_assert_int_eq(DO(&fx, true, delete_message, pb_MessageRequest, &nothing, .channel_id = channel, .message_id = gone.id),
		STATUS_OK);
	posted(&fx, channel, "pear", 0);
	struct search_index *index = job_started(&fx);
	await_indexed(&fx);
	job_ended(index);
	FOUND(&fx, "pear", TEXT(""));
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_deleted_channel_is_not_searched_and_its_purge_empties_the_index)
{
	struct fixture fx;
	uint64_t rows;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false), other = made_channel(&fx, false);
	posted(&fx, channel, "apple there", 0);
	posted(&fx, other, "apple here", 0);
	index_all(&fx);
	ck_assert_int_eq(DO(&fx, true, delete_channel, pb_DeleteChannelRequest, &(pb_ChannelReply){0}, .channel_id = channel), STATUS_OK);
	FOUND(&fx, "apple here", TEXT("apple"));
	struct db_conn *conn = NULL;
	ck_assert_int_eq(db_acquire(fx.service.db, clock_mono_ms() + PATIENCE_MS, &conn), STATUS_OK);
	ck_assert_int_eq(purge_round(conn, fx.mem, clock_wall_ms() + 1000, &rows), STATUS_OK);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.search"), 1);
	ck_assert_int_eq(number(&fx, "SELECT sum(rows) FROM messaging.search_segments"), 1);
	ck_assert_int_eq(DO(&fx, true, delete_channel, pb_DeleteChannelRequest, &(pb_ChannelReply){0}, .channel_id = other), STATUS_OK);
	ck_assert_int_eq(purge_round(conn, fx.mem, clock_wall_ms() + 1000, &rows), STATUS_OK);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.search_segments"), 0);
	db_release(conn);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(what_the_log_lost_is_read_from_the_table)
{
	struct fixture fx;
	pb_SearchMessagesReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	struct search_index *index = job_started(&fx);
	posted(&fx, channel, "apple one", 0);
	await_indexed(&fx);
	job_ended(index);
	posted(&fx, channel, "apple two", 0);
	posted(&fx, channel, "apple three", 0);
	pg_exec(fx.url, "DELETE FROM log.events");
	index = job_started(&fx);
	await_indexed(&fx);
	ck_assert_int_eq(SEARCH(&fx, &reply, TEXT("apple"), .newest_first = true), STATUS_OK);
	ck_assert_str_eq(contents(&fx, &reply), "apple three|apple two|apple one");
	job_ended(index);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(an_index_that_is_marked_is_made_anew_and_says_partial_until_then)
{
	struct fixture fx;
	pb_SearchMessagesReply reply;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	posted(&fx, channel, "apples", 0);
	ck_assert_int_eq(SEARCH(&fx, &reply, TEXT("apples")), STATUS_OK);
	ck_assert(reply.partial);
	struct search_index *index = job_started(&fx);
	await_indexed(&fx);
	FOUND(&fx, "apples", TEXT("apples"));
	pg_exec(fx.url, "UPDATE messaging.search SET tsv = ''; UPDATE messaging.search_state SET made_with = NULL");
	pg_await(fx.url, "SELECT count(*) FROM messaging.search WHERE tsv <> ''", 1);
	await_indexed(&fx);
	FOUND(&fx, "apples", TEXT("apples"));
	job_ended(index);
	/* Another configuration: its words are others. */
	fx.config.search_config = "english";
	index = job_started(&fx);
	pg_await(fx.url, "SELECT count(*) FROM messaging.search_state WHERE made_with = 'english/1' AND backfill_at IS NULL", 1);
	FOUND(&fx, "apples", TEXT("apple"));
	FOUND(&fx, "", TEXT("the"));
	job_ended(index);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(only_a_configuration_that_the_database_has_is_accepted)
{
	struct fixture fx;

	fixture_create(&fx);
	ck_assert_int_eq(search_config_check(fx.service.db, "simple"), STATUS_OK);
	ck_assert_int_eq(search_config_check(fx.service.db, "pg_catalog.english"), STATUS_OK);
	ck_assert_int_eq(search_config_check(fx.service.db, "klingon"), STATUS_FIELD_INVALID);
	ck_assert_int_eq(search_config_check(fx.service.db, ""), STATUS_FIELD_INVALID);
	fixture_destroy(&fx);
}
END_TEST

TESTS("search", words_phrases_absence_and_either, accents_and_case_are_folded_on_both_sides,
	quotes_and_signs_in_words_and_queries_are_only_text, without_a_text_the_newest_are_listed,
	filters_narrow_what_is_found, system_messages_are_found_only_when_asked_for,
	pinned_and_bookmarked_messages_are_found_among_themselves, what_says_a_word_more_often_ranks_higher,
	pages_give_every_message_once_and_in_order, a_search_reads_segment_by_segment_and_stops_when_it_has_enough,
	nothing_of_a_channel_that_is_hidden_shows_anywhere, a_conversation_is_searched_by_those_who_are_in_it_alone,
	who_may_not_read_history_finds_nothing,
	rights_that_changed_meanwhile_are_judged_again, bounds_of_the_request_are_kept,
	the_index_follows_posts_edits_and_deletions, what_is_deleted_is_not_shown_even_before_the_index_knows,
	a_message_deleted_before_it_was_indexed_is_never_in_the_index,
	a_deleted_channel_is_not_searched_and_its_purge_empties_the_index, what_the_log_lost_is_read_from_the_table,
	an_index_that_is_marked_is_made_anew_and_says_partial_until_then,
	only_a_configuration_that_the_database_has_is_accepted)
