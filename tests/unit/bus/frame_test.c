#include "tests/unit/bus/fixture.h"

#include <pb_decode.h>

START_TEST(a_batch_comes_back_event_by_event)
{
	struct fixture *fx = fixture_create(0, 0);
	struct sent_list list = {.count = 0};
	struct frame_origin origin = {"messaging-1", 77, "g1"};
	struct logged_event events[] = {commit(fx, 1), commit(fx, 2)};
	struct frame frame;
	struct logged_event back;
	events[1].request_id = (const uint8_t *)"0123456789abcdef";
	events[1].request_id_length = 16;

	frame_write_batch(fx->mem, &origin, 9, events, 2, keep_frame, &list);

	ck_assert_uint_eq(list.count, 1);
	ck_assert_int_eq(frame_read(list.frames[0].bytes, list.frames[0].length, &frame), STATUS_OK);
	ck_assert_str_eq(frame.publisher, "messaging-1");
	ck_assert_uint_eq(frame.epoch, 77);
	ck_assert_str_eq(frame.generation, "g1");
	ck_assert_uint_eq(frame.number, 9);
	ck_assert_uint_eq(frame.part, 0);
	ck_assert_uint_eq(frame.parts, 1);
	struct wire_reader r = wire_reader_on(frame.body, frame.body_length);
	for (int i = 0; i < 2; i++) {
		ck_assert(frame_next_event(&r, &back));
		ck_assert_int_eq(stream_compare(back.stream, events[i].stream), 0);
		ck_assert_uint_eq(back.seq, events[i].seq);
		ck_assert_uint_eq(back.kind, events[i].kind);
		ck_assert_str_eq(back.audience, events[i].audience);
		ck_assert_int_eq(back.at_ms, 5);
		ck_assert_uint_eq(back.actor_id, 6);
		ck_assert_uint_eq(back.request_id_length, events[i].request_id_length);
		ck_assert_uint_eq(back.payload_length, events[i].payload_length);
		ck_assert_mem_eq(back.payload, events[i].payload, back.payload_length);
	}
	ck_assert(!frame_next_event(&r, &back));
	ck_assert(!r.malformed);
	sent_free(&list);
	fixture_destroy(fx);
}
END_TEST

START_TEST(what_is_read_in_place_is_the_message_of_the_proto)
{
	struct fixture *fx = fixture_create(0, 0);
	struct sent_list list = {.count = 0};
	struct frame_origin origin = {"messaging-1", 77, "g1"};
	struct logged_event event = commit(fx, 1);
	pb_BusFrame whole;

	frame_write_batch(fx->mem, &origin, 9, &event, 1, keep_frame, &list);
	ck_assert_int_eq(pb_decode_arena(fx->mem, pb_BusFrame_fields, &whole, list.frames[0].bytes, list.frames[0].length), STATUS_OK);
	ck_assert_uint_eq(whole.which_body, pb_BusFrame_batch_tag);
	ck_assert_uint_eq(whole.body.batch.number, 9);
	ck_assert_uint_eq(whole.body.batch.events_count, 1);
	ck_assert_uint_eq(whole.body.batch.events[0].seq, 1);
	sent_free(&list);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_large_batch_is_sent_in_parts_of_whole_events)
{
	struct fixture *fx = fixture_create(0, 0);
	struct sent_list list = {.count = 0};
	struct frame_origin origin = {"messaging-1", 77, "g1"};
	struct logged_event events[40];
	uint8_t *payload = arena_alloc(fx->mem, 20000);
	for (int i = 0; i < 40; i++) {
		events[i] = commit(fx, 1);
		events[i].payload = payload;
		events[i].payload_length = 20000;
	}

	frame_write_batch(fx->mem, &origin, 9, events, 40, keep_frame, &list);

	uint64_t next = 1;
	ck_assert_uint_eq(list.count, 4);
	for (size_t i = 0; i < list.count; i++) {
		struct frame frame;
		struct logged_event back;
		ck_assert_uint_le(list.frames[i].length, FRAME_MAX_BYTES);
		ck_assert_int_eq(frame_read(list.frames[i].bytes, list.frames[i].length, &frame), STATUS_OK);
		ck_assert_uint_eq(frame.part, i);
		ck_assert_uint_eq(frame.parts, 4);
		ck_assert_uint_eq(frame.number, 9);
		struct wire_reader r = wire_reader_on(frame.body, frame.body_length);
		while (frame_next_event(&r, &back))
			ck_assert_uint_eq(back.seq, next++);
	}
	ck_assert_uint_eq(next, 41);
	sent_free(&list);
	fixture_destroy(fx);
}
END_TEST

START_TEST(heartbeats_and_watermarks_come_back)
{
	struct fixture *fx = fixture_create(0, 0);
	struct sent_list list = {.count = 0};
	struct frame_origin origin = {"messaging-1", 77, ""};
	struct frame_head heads[] = {{team(1), 5}, {STREAM_USER(UINT64_MAX), UINT64_MAX}};
	struct frame frame;
	struct frame_head back;

	frame_write_heartbeat(fx->mem, &origin, 12, heads, 2, true, false, keep_frame, &list);
	frame_write_watermark(fx->mem, &origin, heads, 2, keep_frame, &list);

	for (size_t i = 0; i < 2; i++) {
		ck_assert_int_eq(frame_read(list.frames[i].bytes, list.frames[i].length, &frame), STATUS_OK);
		ck_assert_int_eq(frame.kind, i == 0 ? FRAME_HEARTBEAT : FRAME_WATERMARK);
		ck_assert_str_eq(frame.generation, "");
		struct wire_reader r = wire_reader_on(frame.body, frame.body_length);
		for (int h = 0; h < 2; h++) {
			ck_assert(frame_next_head(&r, &frame, &back));
			ck_assert_int_eq(stream_compare(back.stream, heads[h].stream), 0);
			ck_assert_uint_eq(back.seq, heads[h].seq);
		}
		ck_assert(!frame_next_head(&r, &frame, &back));
		if (i == 0) {
			ck_assert_uint_eq(frame.number, 12);
			ck_assert(frame.leaving);
			ck_assert(!frame.database_up);
		}
	}
	sent_free(&list);
	fixture_destroy(fx);
}
END_TEST

START_TEST(many_heads_make_a_frame_too_many_for_one)
{
	struct fixture *fx = fixture_create(0, 0);
	struct sent_list list = {.count = 0};
	struct frame_origin origin = {"messaging-1", 77, "g1"};
	size_t count = FRAME_HEADS_MOST + 5;
	struct frame_head *heads = ARENA_ARRAY(fx->mem, count, struct frame_head);
	for (size_t i = 0; i < count; i++)
		heads[i] = (struct frame_head){STREAM_TEAM(i), i};

	frame_write_watermark(fx->mem, &origin, heads, count, keep_frame, &list);
	ck_assert_uint_eq(list.count, 2);
	sent_free(&list);
	frame_write_heartbeat(fx->mem, &origin, 1, heads, count, false, true, keep_frame, &list);
	ck_assert_uint_eq(list.count, 1);
	sent_free(&list);
	fixture_destroy(fx);
}
END_TEST

START_TEST(an_ephemeral_event_brings_its_targets_and_its_body)
{
	struct fixture *fx = fixture_create(0, 0);
	struct sent_list list = {.count = 0};
	struct frame_origin origin = {"presence-1", 3, ""};
	struct logged_event targets[2] = {{.stream = team(1)}, {.stream = team(2)}};
	pb_Event body = {.which_body = EVENT_KIND_typing_changed};
	const uint8_t *payload = NULL;
	size_t payload_length = 0;
	const uint8_t *bytes = NULL;
	size_t length = 0;
	struct frame frame;
	body.body.typing_changed.is_typing = true;
	audience_key(targets[0].audience, "channel", 11);
	audience_key(targets[1].audience, "channel", 12);
	ck_assert_int_eq(event_encode(fx->mem, &body, &payload, &payload_length), STATUS_OK);

	frame_write_ephemeral(fx->mem, &origin, targets, 2, EVENT_KIND_typing_changed, 99, payload, payload_length, keep_frame, &list);

	ck_assert_int_eq(frame_read(list.frames[0].bytes, list.frames[0].length, &frame), STATUS_OK);
	ck_assert_uint_eq(frame.number, 0);
	struct wire_reader r = wire_reader_on(frame.body, frame.body_length);
	ck_assert(frame_next_ephemeral(&r, &bytes, &length));
	(void)bytes;
	frame_arrives(fx, &list.frames[0]);
	ck_assert_uint_eq(fx->ephemerals, 1);
	sent_free(&list);
	fixture_destroy(fx);
}
END_TEST

START_TEST(broken_frames_are_refused_or_read_without_harm)
{
	struct fixture *fx = fixture_create(0, 0);
	struct sent_list list = {.count = 0};
	struct frame_origin origin = {"messaging-1", 77, "g1"};
	struct logged_event events[] = {commit(fx, 1), commit(fx, 2), commit(fx, 3)};
	order_core_follow(fx->core, team(1), 0, NULL, fx->now);
	frame_write_batch(fx->mem, &origin, 9, events, 3, keep_frame, &list);

	srand(7);
	for (int round = 0; round < 20000; round++) {
		size_t length = (size_t)rand() % (list.frames[0].length + 1);
		uint8_t *exact = malloc(length + 1); /* of its own, so that the sanitizer sees a read beyond */
		memcpy(exact, list.frames[0].bytes, length);
		if (round % 2 == 0)
			for (int i = 0; i < 3 && length > 0; i++)
				exact[(size_t)rand() % length] = (uint8_t)rand();
		struct frame frame;
		if (frame_read(exact, length, &frame) == STATUS_OK) {
			struct wire_reader r = wire_reader_on(frame.body, frame.body_length);
			struct logged_event back;
			uint8_t sum = 0;
			while (frame.kind == FRAME_BATCH && frame_next_event(&r, &back))
				for (size_t i = 0; i < back.payload_length; i++)
					sum ^= back.payload[i];
			ck_assert_uint_le(sum, 255);
		}
		free(exact);
	}
	sent_free(&list);
	fixture_destroy(fx);
}
END_TEST

START_TEST(wrong_types_and_sizes_are_malformed)
{
	static const struct {
		const char *bytes;
		size_t length;
	} wrong[] = {
		{"\x08\x01", 2},                                  /* a number where the name belongs */
		{"\x10\x01", 2},                                  /* a varint where the epoch belongs */
		{"\x52\x02\x08", 3},                              /* cut short */
		{"\x52\x04\x10\x02\x18\x02", 6},                  /* part 2 of 2 */
		{"\x52\x00\x5a\x00", 4},                          /* two bodies */
		{"\x0a\x02\x00\x41", 4},                          /* a NUL in the name */
		{"\x52\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, /* a length beyond everything */
	};
	struct frame frame;

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		ck_assert_int_eq(frame_read((const uint8_t *)wrong[i].bytes, wrong[i].length, &frame), STATUS_MALFORMED);
	ck_assert_int_eq(frame_read((const uint8_t *)"", 0, &frame), STATUS_OK);
	ck_assert_int_eq(frame.kind, FRAME_NOTHING);
}
END_TEST

TESTS("bus frame", a_batch_comes_back_event_by_event, what_is_read_in_place_is_the_message_of_the_proto,
	a_large_batch_is_sent_in_parts_of_whole_events, heartbeats_and_watermarks_come_back,
	many_heads_make_a_frame_too_many_for_one, an_ephemeral_event_brings_its_targets_and_its_body,
	broken_frames_are_refused_or_read_without_harm, wrong_types_and_sizes_are_malformed)
