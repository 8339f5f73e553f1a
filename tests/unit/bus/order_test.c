#include "tests/unit/bus/fixture.h"

#define EPOCH  1
#define EPOCH2 2

START_TEST(events_in_order_are_delivered_at_once)
{
	struct fixture *fx = fixture_create(0, 0);
	follow_verified(fx, 1, EPOCH);
	struct logged_event events[] = {commit(fx, 1), commit(fx, 1)};

	batch_arrives(fx, EPOCH, 1, events, 2);
	one_arrives(fx, EPOCH, 2, commit(fx, 1));
	ck_assert_uint_eq(fx->events, 3);
	pass(fx, 2000);
	ck_assert_uint_eq(fx->question_count, 0);
	fixture_destroy(fx);
}
END_TEST

START_TEST(streams_that_nobody_follows_are_not_delivered)
{
	struct fixture *fx = fixture_create(0, 0);
	follow_verified(fx, 1, EPOCH);

	one_arrives(fx, EPOCH, 1, commit(fx, 2));
	pass(fx, 2000);
	ck_assert_uint_eq(fx->events, 0);
	ck_assert_uint_eq(fx->question_count, 0);
	fixture_destroy(fx);
}
END_TEST

START_TEST(two_publishers_that_cross_need_no_fetch)
{
	struct fixture *fx = fixture_create(0, 0);
	follow_verified(fx, 1, EPOCH);
	heartbeat_arrives(fx, EPOCH2, 0, 0, 0);
	settle_down(fx);
	fx->question_count = 0;
	struct logged_event first = commit(fx, 1), second = commit(fx, 1), third = commit(fx, 1);

	one_arrives(fx, EPOCH2, 1, second);
	one_arrives(fx, EPOCH2, 2, third);
	ck_assert_uint_eq(fx->events, 0);
	pass(fx, ORDER_HOLE_WAIT_MS - 1);
	one_arrives(fx, EPOCH, 1, first);
	ck_assert_uint_eq(fx->events, 3);
	pass(fx, 2000);
	ck_assert_uint_eq(fx->question_count, 0);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_hole_is_fetched_once_after_a_moment)
{
	struct fixture *fx = fixture_create(0, 0);
	follow_verified(fx, 1, EPOCH);
	heartbeat_arrives(fx, EPOCH2, 0, 0, 0);
	settle_down(fx);
	fx->question_count = 0;
	commit(fx, 1);
	struct logged_event second = commit(fx, 1), third = commit(fx, 1);
	one_arrives(fx, EPOCH2, 1, second);
	one_arrives(fx, EPOCH2, 2, third);

	pass(fx, ORDER_HOLE_WAIT_MS - 1);
	ck_assert_uint_eq(fx->question_count, 0);
	pass(fx, ORDER_JITTER_MS + 2);
	ck_assert_uint_eq(fx->question_count, 1);
	ck_assert(!last_question(fx)->of_heads);
	ck_assert_uint_eq(last_question(fx)->after, 0);
	ck_assert_uint_eq(last_question(fx)->expect_head, 3);
	answer(fx, last_question(fx));
	ck_assert_uint_eq(fx->events, 3);
	pass(fx, 2000);
	ck_assert_uint_eq(fx->question_count, 1);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_stream_has_one_fetch_on_its_way_at_a_time)
{
	struct fixture *fx = fixture_create(0, 0);
	follow_verified(fx, 1, EPOCH);
	commit(fx, 1); /* lost */

	for (uint64_t number = 1; number <= 20; number++) {
		one_arrives(fx, EPOCH, number, commit(fx, 1));
		order_core_hint(fx->core, team(1), fx->heads[1], fx->now);
		pass(fx, 20);
	}
	ck_assert_uint_eq(fx->question_count, 1);
	answer(fx, last_question(fx));
	ck_assert_uint_eq(fx->applied[1], 21);
	fixture_destroy(fx);
}
END_TEST

START_TEST(doubles_are_dropped)
{
	struct fixture *fx = fixture_create(0, 0);
	follow_verified(fx, 1, EPOCH);
	struct logged_event first = commit(fx, 1), second = commit(fx, 1), third = commit(fx, 1);

	one_arrives(fx, EPOCH, 1, first);
	one_arrives(fx, EPOCH, 2, first);
	one_arrives(fx, EPOCH, 3, third);
	one_arrives(fx, EPOCH, 4, third);
	one_arrives(fx, EPOCH, 5, second);
	one_arrives(fx, EPOCH, 6, second);
	ck_assert_uint_eq(fx->events, 3);
	ck_assert_uint_eq(order_core_numbers(fx->core).buffered_bytes, 0);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_lost_last_frame_is_noticed_by_the_heartbeat)
{
	struct fixture *fx = fixture_create(0, 0);
	follow_verified(fx, 1, EPOCH);
	commit(fx, 1); /* batch 1 is lost, and says nothing about stream 1 in the heartbeat either */

	heartbeat_arrives(fx, EPOCH, 1, 0, 0);
	pass(fx, ORDER_HEADS_WAIT_MS);
	ck_assert_uint_eq(fx->question_count, 1);
	ck_assert(last_question(fx)->of_heads);
	settle_down(fx);
	ck_assert_uint_eq(fx->events, 1);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_head_in_a_heartbeat_is_waited_for_and_then_fetched)
{
	struct fixture *fx = fixture_create(0, 0);
	follow_verified(fx, 1, EPOCH);
	commit(fx, 1);

	heartbeat_arrives(fx, EPOCH, 0, 1, 1);
	pass(fx, ORDER_HOLE_WAIT_MS - 1);
	ck_assert_uint_eq(fx->question_count, 0);
	settle_down(fx);
	ck_assert_uint_eq(fetches(fx), 1);
	ck_assert_uint_eq(fx->events, 1);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_watermark_brings_what_its_writer_could_not_publish)
{
	struct fixture *fx = fixture_create(0, 0);
	struct sent_list list = {.count = 0};
	struct frame_origin origin = origin_of(fx, EPOCH);
	struct frame_head head = {team(1), 1};
	follow_verified(fx, 1, EPOCH);
	commit(fx, 1); /* and its publisher dies */

	frame_write_watermark(fx->mem, &origin, &head, 1, keep_frame, &list);
	frame_arrives(fx, &list.frames[0]);
	settle_down(fx);
	ck_assert_uint_eq(fx->events, 1);
	sent_free(&list);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_hole_in_the_batches_asks_for_the_heads)
{
	struct fixture *fx = fixture_create(0, 0);
	follow_verified(fx, 1, EPOCH);
	commit(fx, 1); /* batch 1 is lost */

	one_arrives(fx, EPOCH, 2, commit(fx, 2));
	pass(fx, ORDER_HEADS_WAIT_MS);
	ck_assert_uint_eq(fx->question_count, 1);
	ck_assert(last_question(fx)->of_heads);
	ck_assert_uint_eq(last_question(fx)->count, 1);
	settle_down(fx);
	ck_assert_uint_eq(fx->applied[1], 1);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_new_life_of_a_publisher_asks_for_the_heads)
{
	struct fixture *fx = fixture_create(0, 0);
	follow_verified(fx, 1, EPOCH);

	heartbeat_arrives(fx, EPOCH2, 0, 0, 0);
	pass(fx, ORDER_HEADS_WAIT_MS);
	ck_assert_uint_eq(fx->question_count, 1);
	ck_assert(last_question(fx)->of_heads);
	fixture_destroy(fx);
}
END_TEST

START_TEST(while_frames_keep_being_lost_heads_are_asked_now_and_then)
{
	struct fixture *fx = fixture_create(0, 0);
	follow_verified(fx, 1, EPOCH);

	for (uint64_t number = 2; number < 1002; number += 2) { /* every second batch is lost */
		one_arrives(fx, EPOCH, number, commit(fx, 2));
		pass(fx, 1);
		for (size_t i = 0; i < fx->question_count; i++) {
			if (!fx->questions[i].answered)
				answer(fx, &fx->questions[i]);
		}
	}
	ck_assert_uint_ge(fx->question_count, 5);
	ck_assert_uint_le(fx->question_count, 12);
	fixture_destroy(fx);
}
END_TEST

static struct sent_list three_parts(struct fixture *fx, uint64_t number)
{
	struct sent_list list = {.count = 0};
	struct frame_origin origin = origin_of(fx, EPOCH);
	struct logged_event events[24];
	char *content = arena_alloc(fx->mem, 30001);

	memset(content, 'x', 30000);
	for (int i = 0; i < 24; i++) {
		pb_Event body = {.event_id = 1000000 + ++fx->heads[1], .which_body = EVENT_KIND_message_posted};
		body.body.message_posted.has_message = true;
		body.body.message_posted.message.content = content;
		events[i] = (struct logged_event){.stream = team(1), .seq = fx->heads[1], .kind = EVENT_KIND_message_posted};
		ck_assert_int_eq(event_encode(fx->mem, &body, &events[i].payload, &events[i].payload_length), STATUS_OK);
	}
	frame_write_batch(fx->mem, &origin, number, events, 24, keep_frame, &list);
	ck_assert_uint_eq(list.count, 3);
	return list;
}

START_TEST(a_batch_in_parts_is_one_batch)
{
	struct fixture *fx = fixture_create(0, 0);
	follow_verified(fx, 1, EPOCH);
	struct sent_list list = three_parts(fx, 1);

	for (int i = 0; i < 3; i++)
		frame_arrives(fx, &list.frames[i]);
	one_arrives(fx, EPOCH, 2, commit(fx, 1));
	heartbeat_arrives(fx, EPOCH, 2, 1, 25);
	pass(fx, 2000);
	ck_assert_uint_eq(fx->events, 25);
	ck_assert_uint_eq(fx->question_count, 0);
	sent_free(&list);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_missing_part_is_a_hole_in_the_batches)
{
	for (int missing = 0; missing < 3; missing++) {
		struct fixture *fx = fixture_create(0, 0);
		follow_verified(fx, 2, EPOCH); /* not the stream of the batch: the number alone shows it */
		struct sent_list list = three_parts(fx, 1);

		for (int i = 0; i < 3; i++) {
			if (i != missing)
				frame_arrives(fx, &list.frames[i]);
		}
		heartbeat_arrives(fx, EPOCH, 1, 0, 0);
		pass(fx, ORDER_HEADS_WAIT_MS);
		ck_assert_uint_eq(fx->question_count, 1);
		ck_assert(last_question(fx)->of_heads);
		sent_free(&list);
		fixture_destroy(fx);
	}
}
END_TEST

START_TEST(a_new_follower_gets_what_exists_already)
{
	struct fixture *fx = fixture_create(0, 0);
	heartbeat_arrives(fx, EPOCH, 0, 0, 0);
	for (int i = 0; i < 5; i++)
		commit(fx, 1);

	order_core_follow(fx->core, team(1), 2, NULL, fx->now);
	ck_assert_uint_eq(fx->followeds, 1);
	ck_assert_uint_eq(fx->applied[1], 2);
	settle_down(fx);
	ck_assert_uint_eq(fx->applied[1], 5);
	ck_assert_uint_eq(fx->events, 3);
	fixture_destroy(fx);
}
END_TEST

START_TEST(new_followers_are_asked_about_together)
{
	struct fixture *fx = fixture_create(0, 0);
	follow_verified(fx, 8, EPOCH);

	for (uint64_t stream = 1; stream <= 5; stream++)
		order_core_follow(fx->core, team(stream), 0, NULL, fx->now);
	pass(fx, ORDER_HEADS_WAIT_MS);
	ck_assert_uint_eq(fx->question_count, 1);
	ck_assert_uint_eq(last_question(fx)->count, 5);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_stream_is_followed_until_the_last_one_leaves)
{
	struct fixture *fx = fixture_create(0, 0);
	follow_verified(fx, 1, EPOCH);
	one_arrives(fx, EPOCH, 1, commit(fx, 1));

	order_core_follow(fx->core, team(1), 0, NULL, fx->now);
	ck_assert_uint_eq(fx->applied[1], 1); /* where it stands, not where the second one asked */
	order_core_unfollow(fx->core, team(1));
	one_arrives(fx, EPOCH, 2, commit(fx, 1));
	ck_assert_uint_eq(fx->events, 2);
	order_core_unfollow(fx->core, team(1));
	one_arrives(fx, EPOCH, 3, commit(fx, 1));
	ck_assert_uint_eq(fx->events, 2);
	ck_assert_uint_eq(order_core_numbers(fx->core).streams, 0);
	fixture_destroy(fx);
}
END_TEST

START_TEST(an_answer_for_a_stream_that_was_left_is_ignored)
{
	struct fixture *fx = fixture_create(0, 0);
	follow_verified(fx, 1, EPOCH);
	commit(fx, 1);
	order_core_hint(fx->core, team(1), 1, fx->now);
	pass(fx, 50);
	ck_assert_uint_eq(fetches(fx), 1);
	struct asked *fetch = last_question(fx);

	order_core_unfollow(fx->core, team(1));
	order_core_follow(fx->core, team(1), 0, NULL, fx->now);
	answer(fx, fetch);
	ck_assert_uint_eq(fx->events, 0);
	settle_down(fx);
	ck_assert_uint_eq(fx->events, 1);
	fixture_destroy(fx);
}
END_TEST

START_TEST(gone_is_told_and_the_stream_goes_on_after_the_head)
{
	struct fixture *fx = fixture_create(0, 0);
	follow_verified(fx, 1, EPOCH);
	for (int i = 0; i < 10; i++)
		commit(fx, 1);
	fx->gone_to[1] = 6;

	order_core_hint(fx->core, team(1), 10, fx->now);
	settle_down(fx);
	ck_assert_uint_eq(fx->refetches, 1);
	ck_assert_uint_eq(fx->refetched_to, 10);
	ck_assert_uint_eq(fx->events, 0);
	one_arrives(fx, EPOCH, 1, commit(fx, 1));
	ck_assert_uint_eq(fx->events, 1);
	fixture_destroy(fx);
}
END_TEST

START_TEST(gone_is_not_believed_when_the_bus_brought_it_meanwhile)
{
	struct fixture *fx = fixture_create(0, 0);
	follow_verified(fx, 1, EPOCH);
	struct logged_event first = commit(fx, 1), second = commit(fx, 1);
	order_core_hint(fx->core, team(1), 2, fx->now);
	pass(fx, 50);
	struct asked *fetch = last_question(fx);
	one_arrives(fx, EPOCH, 1, first);

	fx->gone_to[1] = 1;
	answer(fx, fetch);
	ck_assert_uint_eq(fx->refetches, 0);
	one_arrives(fx, EPOCH, 2, second);
	ck_assert_uint_eq(fx->events, 2);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_log_that_lags_is_asked_again_and_never_believed_about_gone)
{
	struct fixture *fx = fixture_create(0, 0);
	follow_verified(fx, 1, EPOCH);
	for (int i = 0; i < 3; i++)
		one_arrives(fx, EPOCH, (uint64_t)i + 1, commit(fx, 1));
	commit(fx, 1);
	order_core_hint(fx->core, team(1), 4, fx->now);
	pass(fx, 50);
	ck_assert_uint_eq(fetches(fx), 1);

	answer_fetch_as_of(fx, last_question(fx), 3); /* complete, but without what was asked for */
	pass(fx, 100);
	ck_assert_uint_eq(fetches(fx), 2);
	answer_fetch_as_of(fx, last_question(fx), 2); /* a replica further behind: "gone", as it sees it */
	ck_assert_uint_eq(fx->refetches, 0);
	settle_down(fx);
	ck_assert_uint_eq(fx->applied[1], 4);
	ck_assert_uint_eq(fx->refetches, 0);
	fixture_destroy(fx);
}
END_TEST

START_TEST(without_the_log_a_stream_is_behind_until_it_answers)
{
	struct fixture *fx = fixture_create(0, 0);
	follow_verified(fx, 1, EPOCH);
	commit(fx, 1);
	one_arrives(fx, EPOCH, 1, commit(fx, 1));
	pass(fx, 50);

	int64_t began = fx->now;
	for (int i = 0; i < 10; i++) { /* with pauses that grow to a second */
		while (last_question(fx)->answered)
			pass(fx, 1);
		answer_with(fx, last_question(fx), STATUS_BUSY);
	}
	ck_assert_int_gt(fx->now - began, 2000);
	ck_assert_uint_eq(order_core_numbers(fx->core).behind, 1);
	ck_assert_uint_eq(order_core_numbers(fx->core).buffered_bytes, 0);
	ck_assert_uint_eq(fx->refetches, 0);
	settle_down(fx);
	ck_assert_uint_eq(fx->applied[1], 2);
	ck_assert_uint_eq(order_core_numbers(fx->core).behind, 0);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_full_buffer_is_dropped_and_read_from_the_log)
{
	struct fixture *fx = fixture_create(/* stream_buffer_bytes= */ 20000, 0);
	follow_verified(fx, 1, EPOCH);
	commit(fx, 1); /* lost */

	for (uint64_t number = 1; number <= 300; number++)
		one_arrives(fx, EPOCH, number, commit(fx, 1));
	ck_assert_uint_eq(order_core_numbers(fx->core).behind, 1);
	ck_assert_uint_eq(order_core_numbers(fx->core).buffered_bytes, 0);
	settle_down(fx);
	ck_assert_uint_eq(fx->applied[1], 301);
	ck_assert_uint_eq(order_core_numbers(fx->core).behind, 0);
	fixture_destroy(fx);
}
END_TEST

START_TEST(all_buffers_together_are_bounded)
{
	struct fixture *fx = fixture_create(0, /* total_buffer_bytes= */ 50000);
	for (uint64_t stream = 1; stream <= 5; stream++) {
		follow_verified(fx, stream, EPOCH);
		commit(fx, stream); /* lost */
	}

	uint64_t number = 0;
	for (int i = 0; i < 50; i++) {
		for (uint64_t stream = 1; stream <= 5; stream++)
			one_arrives(fx, EPOCH, ++number, commit(fx, stream));
		ck_assert_uint_le(order_core_numbers(fx->core).buffered_bytes, 50000);
	}
	ck_assert_uint_gt(order_core_numbers(fx->core).behind, 0);
	settle_down(fx);
	for (uint64_t stream = 1; stream <= 5; stream++)
		ck_assert_uint_eq(fx->applied[stream], 51);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_long_hole_is_read_in_pages)
{
	struct fixture *fx = fixture_create(0, 0);
	follow_verified(fx, 1, EPOCH);
	for (int i = 0; i < 250; i++)
		commit(fx, 1);

	order_core_hint(fx->core, team(1), 250, fx->now);
	settle_down(fx);
	ck_assert_uint_eq(fx->events, 250);
	ck_assert_uint_eq(fetches(fx), 3);
	fixture_destroy(fx);
}
END_TEST

START_TEST(another_generation_that_the_log_confirms_voids_everything)
{
	struct fixture *fx = fixture_create(0, 0);
	follow_verified(fx, 1, EPOCH);
	one_arrives(fx, EPOCH, 1, commit(fx, 1));

	fx->generation = "g2";
	one_arrives(fx, EPOCH, 2, commit(fx, 1));
	ck_assert_uint_eq(fx->events, 1); /* not before it is known which one is newer */
	settle_down(fx);
	ck_assert_uint_eq(fx->generations, 1);
	ck_assert_str_eq(fx->told_generation, "g2");
	ck_assert_str_eq(order_core_generation(fx->core), "g2");
	ck_assert_uint_eq(order_core_numbers(fx->core).streams, 0);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_watermark_alone_tells_of_another_generation)
{
	struct fixture *fx = fixture_create(0, 0);
	struct sent_list list = {.count = 0};
	follow_verified(fx, 1, EPOCH);
	one_arrives(fx, EPOCH, 1, commit(fx, 1));

	fx->generation = "g2"; /* and nobody commits */
	struct frame_origin origin = origin_of(fx, EPOCH2);
	frame_write_watermark(fx->mem, &origin, NULL, 0, keep_frame, &list);
	ck_assert_uint_eq(list.count, 1);
	frame_arrives(fx, &list.frames[0]);
	ck_assert_uint_eq(fx->generations, 0); /* the log has the last word */
	settle_down(fx);
	ck_assert_uint_eq(fx->generations, 1);
	ck_assert_str_eq(order_core_generation(fx->core), "g2");
	sent_free(&list);
	fixture_destroy(fx);
}
END_TEST

START_TEST(who_follows_nothing_takes_up_another_generation_at_once)
{
	struct fixture *fx = fixture_create(0, 0);
	struct sent_list list = {.count = 0};
	follow_verified(fx, 1, EPOCH);
	order_core_unfollow(fx->core, team(1));

	fx->generation = "g2";
	struct frame_origin origin = origin_of(fx, EPOCH2);
	frame_write_watermark(fx->mem, &origin, NULL, 0, keep_frame, &list);
	frame_arrives(fx, &list.frames[0]);
	ck_assert_uint_eq(fx->generations, 1);
	ck_assert_str_eq(order_core_generation(fx->core), "g2");
	sent_free(&list);
	fixture_destroy(fx);
}
END_TEST

START_TEST(frames_of_a_generation_that_is_over_are_ignored)
{
	struct fixture *fx = fixture_create(0, 0);
	fx->generation = "g2";
	follow_verified(fx, 1, EPOCH);

	fx->generation = "g1";
	struct logged_event old = event_at(fx, 1, 1);
	one_arrives(fx, EPOCH2, 1, old);
	one_arrives(fx, EPOCH2, 2, old);
	fx->generation = "g2"; /* what the log says */
	settle_down(fx);
	ck_assert_uint_eq(fx->events, 0);
	ck_assert_uint_eq(fx->generations, 0);
	one_arrives(fx, EPOCH, 1, commit(fx, 1));
	ck_assert_uint_eq(fx->events, 1);
	fixture_destroy(fx);
}
END_TEST

START_TEST(a_publisher_that_knows_no_generation_yet_is_heard)
{
	struct fixture *fx = fixture_create(0, 0);
	follow_verified(fx, 1, EPOCH);
	fx->generation = "";
	commit(fx, 1);

	heartbeat_arrives(fx, EPOCH, 0, 1, 1);
	fx->generation = "g1";
	settle_down(fx);
	ck_assert_uint_eq(fx->events, 1);
	ck_assert_uint_eq(fx->generations, 0);
	fixture_destroy(fx);
}
END_TEST

START_TEST(an_unreadable_frame_counts_as_a_loss)
{
	struct fixture *fx = fixture_create(0, 0);
	follow_verified(fx, 1, EPOCH);
	commit(fx, 1);

	order_core_frame_lost(fx->core, fx->now);
	settle_down(fx);
	ck_assert_uint_eq(fx->events, 1);
	fixture_destroy(fx);
}
END_TEST

TESTS("bus order", events_in_order_are_delivered_at_once, streams_that_nobody_follows_are_not_delivered,
	two_publishers_that_cross_need_no_fetch, a_hole_is_fetched_once_after_a_moment,
	a_stream_has_one_fetch_on_its_way_at_a_time, doubles_are_dropped,
	a_lost_last_frame_is_noticed_by_the_heartbeat, a_head_in_a_heartbeat_is_waited_for_and_then_fetched,
	a_watermark_brings_what_its_writer_could_not_publish, a_hole_in_the_batches_asks_for_the_heads,
	a_new_life_of_a_publisher_asks_for_the_heads, while_frames_keep_being_lost_heads_are_asked_now_and_then,
	a_batch_in_parts_is_one_batch, a_missing_part_is_a_hole_in_the_batches, a_new_follower_gets_what_exists_already,
	new_followers_are_asked_about_together, a_stream_is_followed_until_the_last_one_leaves,
	an_answer_for_a_stream_that_was_left_is_ignored, gone_is_told_and_the_stream_goes_on_after_the_head,
	gone_is_not_believed_when_the_bus_brought_it_meanwhile, a_log_that_lags_is_asked_again_and_never_believed_about_gone,
	without_the_log_a_stream_is_behind_until_it_answers, a_full_buffer_is_dropped_and_read_from_the_log,
	all_buffers_together_are_bounded, a_long_hole_is_read_in_pages, another_generation_that_the_log_confirms_voids_everything,
	a_watermark_alone_tells_of_another_generation,
	who_follows_nothing_takes_up_another_generation_at_once, frames_of_a_generation_that_is_over_are_ignored, a_publisher_that_knows_no_generation_yet_is_heard,
	an_unreadable_frame_counts_as_a_loss)
