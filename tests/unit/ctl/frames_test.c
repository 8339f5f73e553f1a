#include "services/ctl/frames.h"
#include "tests/unit/main.h"

#include <string.h>

static struct frame parse(struct arena *mem, const char *text)
{
	struct frame frame;

	ck_assert_int_eq(frame_parse(mem, text, strlen(text), &frame), STATUS_OK);
	return frame;
}

static void take(struct positions *p, struct arena *mem, const char *text)
{
	struct frame frame = parse(mem, text);

	positions_take(p, &frame);
}

static const char *subscribe(struct arena *mem, const struct positions *p)
{
	static const char *const topics[] = {"global", "team:x"};
	size_t length = 0;
	const char *text = frame_subscribe(mem, topics, 2, p, &length);

	ck_assert_uint_eq(strlen(text), length);
	return text;
}

START_TEST(an_event_becomes_one_line)
{
	struct arena *mem = arena_create();
	struct frame frame = parse(mem, "{\"type\":\"channel_message\",\"timestamp\":\"2025-01-15T10:30:00.123Z\",\"data\":"
					"{\"channel_id\":\"c1\",\"username\":null,\"content\":\"two\\nlines \\u001b[31m\"},"
					"\"stream\":\"1-a\",\"seq\":7}");

	ck_assert_str_eq(frame_line(mem, &frame), "10:30:00.123 channel_message channel_id=c1 username=null "
						  "content=\"two\\nlines \\u001B[31m\" (1-a #7)");
	ck_assert(frame_is_event(&frame));
	arena_destroy(mem);
}
END_TEST

START_TEST(the_servers_own_frames_are_no_events)
{
	struct arena *mem = arena_create();
	static const char *const own[] = {"{\"type\":\"hello\"}", "{\"type\":\"position\"}", "{\"type\":\"error\",\"data\":{}}"};

	for (size_t i = 0; i < 3; i++) {
		struct frame frame = parse(mem, own[i]);

		ck_assert(!frame_is_event(&frame));
	}
	arena_destroy(mem);
}
END_TEST

START_TEST(what_is_no_frame_is_malformed)
{
	static const char *const wrong[] = {"", "[]", "{", "{\"type\":7}", "{\"data\":{}}", "42"};
	struct arena *mem = arena_create();

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct frame frame;

		ck_assert_msg(frame_parse(mem, wrong[i], strlen(wrong[i]), &frame) == STATUS_MALFORMED, "%s", wrong[i]);
	}
	arena_destroy(mem);
}
END_TEST

START_TEST(without_positions_a_subscription_names_topics_only)
{
	struct arena *mem = arena_create();
	struct positions p = {.mem = mem};

	ck_assert_str_eq(subscribe(mem, &p), "{\"op\":\"subscribe\",\"topics\":[\"global\",\"team:x\"],\"ref\":1}");
	arena_destroy(mem);
}
END_TEST

START_TEST(resuming_names_the_latest_position_of_each_stream)
{
	struct arena *mem = arena_create();
	struct positions p = {.mem = mem};

	take(&p, mem, "{\"type\":\"subscribed\",\"data\":{\"generation\":\"g1\",\"streams\":{\"1-a\":{\"seq\":4,\"recovered\":true}}}}");
	take(&p, mem, "{\"type\":\"x\",\"stream\":\"1-a\",\"seq\":9}");
	take(&p, mem, "{\"type\":\"x\",\"stream\":\"2-b\",\"seq\":1}");
	take(&p, mem, "{\"type\":\"position\",\"data\":{\"generation\":\"g1\",\"streams\":{\"2-b\":5}}}");
	ck_assert_ptr_nonnull(strstr(subscribe(mem, &p), "\"since\":{\"generation\":\"g1\",\"streams\":{\"1-a\":9,\"2-b\":5}}"));
	arena_destroy(mem);
}
END_TEST

START_TEST(the_answer_to_a_resume_does_not_move_a_stream_past_what_is_still_to_come)
{
	struct arena *mem = arena_create();
	struct positions p = {.mem = mem};

	take(&p, mem, "{\"type\":\"subscribed\",\"data\":{\"generation\":\"g1\",\"streams\":{\"1-a\":{\"seq\":4,\"recovered\":true}}}}");
	take(&p, mem, "{\"type\":\"subscribed\",\"data\":{\"generation\":\"g1\",\"streams\":{\"1-a\":{\"seq\":40,\"recovered\":true}}}}");
	ck_assert_ptr_nonnull(strstr(subscribe(mem, &p), "{\"1-a\":4}"));
	take(&p, mem, "{\"type\":\"subscribed\",\"data\":{\"generation\":\"g1\",\"streams\":{\"1-a\":{\"seq\":40,\"recovered\":false}}}}");
	ck_assert_ptr_nonnull(strstr(subscribe(mem, &p), "{\"1-a\":40}"));
	arena_destroy(mem);
}
END_TEST

START_TEST(another_generation_forgets_every_position)
{
	struct arena *mem = arena_create();
	struct positions p = {.mem = mem};

	take(&p, mem, "{\"type\":\"subscribed\",\"data\":{\"generation\":\"g1\",\"streams\":{\"1-a\":{\"seq\":4},\"1-b\":{\"seq\":5}}}}");
	take(&p, mem, "{\"type\":\"subscribed\",\"data\":{\"generation\":\"g2\",\"streams\":{\"1-a\":{\"seq\":2,\"recovered\":false}}}}");
	ck_assert_ptr_nonnull(strstr(subscribe(mem, &p), "\"since\":{\"generation\":\"g2\",\"streams\":{\"1-a\":2}}"));
	arena_destroy(mem);
}
END_TEST

START_TEST(a_stream_that_is_not_open_has_no_position)
{
	struct arena *mem = arena_create();
	struct positions p = {.mem = mem};

	take(&p, mem, "{\"type\":\"subscribed\",\"data\":{\"generation\":\"g\",\"streams\":{\"1-a\":{\"seq\":4,\"recovered\":true},"
		      "\"1-b\":{\"seq\":5,\"recovered\":true}}}}");
	take(&p, mem, "{\"type\":\"subscribed\",\"data\":{\"generation\":\"g\",\"streams\":{\"1-b\":{\"seq\":6,\"recovered\":false},"
		      "\"1-a\":{\"recovered\":false}}}}");
	ck_assert_uint_eq(p.count, 1);
	ck_assert_str_eq(p.list[0].stream, "1-b");
	ck_assert_uint_eq(p.list[0].seq, 6);
	arena_destroy(mem);
}
END_TEST

START_TEST(streams_that_were_missed_are_named)
{
	struct arena *mem = arena_create();
	struct frame frame = parse(mem, "{\"type\":\"subscribed\",\"data\":{\"generation\":\"g\",\"streams\":{\"1-a\":{\"seq\":4,"
					"\"recovered\":true},\"1-b\":{\"seq\":5,\"recovered\":false}}}}");
	size_t count = 0;
	const char **lost = frame_lost_streams(mem, &frame, &count);

	ck_assert_uint_eq(count, 1);
	ck_assert_str_eq(lost[0], "1-b");
	arena_destroy(mem);
}
END_TEST

START_TEST(many_streams_are_kept)
{
	struct arena *mem = arena_create();
	struct positions p = {.mem = mem};

	for (int i = 0; i < 100; i++)
		take(&p, mem, arena_printf(mem, "{\"type\":\"x\",\"stream\":\"1-%d\",\"seq\":%d}", i, i + 1));
	ck_assert_uint_eq(p.count, 100);
	ck_assert_str_eq(p.list[99].stream, "1-99");
	ck_assert_uint_eq(p.list[0].seq, 1);
	arena_destroy(mem);
}
END_TEST

TESTS("ctl-frames", an_event_becomes_one_line, the_servers_own_frames_are_no_events, what_is_no_frame_is_malformed,
	without_positions_a_subscription_names_topics_only, resuming_names_the_latest_position_of_each_stream,
	the_answer_to_a_resume_does_not_move_a_stream_past_what_is_still_to_come, another_generation_forgets_every_position,
	a_stream_that_is_not_open_has_no_position, streams_that_were_missed_are_named, many_streams_are_kept)
