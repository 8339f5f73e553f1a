#include "services/gateway/queue.h"

#include <string.h>

#include "tests/unit/main.h"

static struct frame *frame_of(size_t length, char fill)
{
	struct frame *frame = frame_alloc(length);

	memset(frame->bytes, fill, length);
	return frame;
}

START_TEST(frames_leave_in_order_whatever_the_portions)
{
	struct queue_pool pool = {0};
	for (size_t portion = 1; portion < 40; portion++) {
		struct queue q = {0};
		char got[26 * 5 + 1] = "", want[26 * 5 + 1] = "";
		size_t length = 0;
		for (int i = 0; i < 26; i++) {
			struct frame *frame = frame_of(5, (char)('a' + i));
			ck_assert(queue_push(&pool, &q, frame, 1000));
			frame_unref(frame);
			memset(want + 5 * i, 'a' + i, 5);
		}
		while (!queue_empty(&q)) {
			struct iovec iov[3];
			size_t count = queue_gather(&q, iov, 3), taken = 0;
			for (size_t i = 0; i < count && taken < portion; i++) {
				size_t n =
					iov[i].iov_len < portion - taken ? iov[i].iov_len : portion - taken;
				memcpy(got + length, iov[i].iov_base, n);
				length += n;
				taken += n;
			}
			queue_take(&pool, &q, taken);
		}
		ck_assert_str_eq(got, want);
		ck_assert_uint_eq(q.bytes, 0);
	}
	ck_assert_uint_eq(pool.bytes, 0);
	queue_pool_finish(&pool);
}
END_TEST

START_TEST(a_full_queue_refuses_and_keeps_what_it_has)
{
	struct queue_pool pool = {0};
	struct queue q = {0};
	struct frame *big = frame_of(600, 'x'), *small = frame_of(400, 'y'), *one = frame_of(1, 'z');

	ck_assert(queue_push(&pool, &q, big, 1000));
	ck_assert(queue_push(&pool, &q, small, 1000));
	ck_assert(!queue_push(&pool, &q, one, 1000));
	ck_assert_uint_eq(q.bytes, 1000);
	ck_assert_uint_eq(one->refs, 1);
	queue_clear(&pool, &q, false);
	ck_assert_uint_eq(big->refs, 1);
	ck_assert(queue_push(&pool, &q, big, 100)); /* into an empty queue anything fits */
	queue_clear(&pool, &q, false);
	frame_unref(big);
	frame_unref(small);
	frame_unref(one);
	queue_pool_finish(&pool);
}
END_TEST

START_TEST(what_is_thrown_away_leaves_a_begun_frame_whole)
{
	struct queue_pool pool = {0};
	struct queue q = {0};
	struct frame *a = frame_of(10, 'a'), *b = frame_of(10, 'b');

	queue_push(&pool, &q, a, 1000);
	queue_push(&pool, &q, b, 1000);
	queue_take(&pool, &q, 4);
	queue_clear(&pool, &q, true);
	ck_assert_uint_eq(q.bytes, 6);
	ck_assert_uint_eq(pool.bytes, 6);
	struct iovec iov[4];
	ck_assert_uint_eq(queue_gather(&q, iov, 4), 1);
	ck_assert_uint_eq(iov[0].iov_len, 6);
	ck_assert_uint_eq(b->refs, 1);
	queue_take(&pool, &q, 6);
	ck_assert(queue_empty(&q));
	frame_unref(a);
	frame_unref(b);
	queue_pool_finish(&pool);
}
END_TEST

START_TEST(a_shared_frame_lives_until_the_last_queue_lets_it_go)
{
	struct queue_pool pool = {0};
	struct queue queues[100] = {0};
	struct frame *frame = frame_of(10, 'a');

	for (int i = 0; i < 100; i++)
		queue_push(&pool, &queues[i], frame, 1000);
	ck_assert_uint_eq(frame->refs, 101);
	for (int i = 0; i < 100; i++)
		queue_take(&pool, &queues[i], 10);
	ck_assert_uint_eq(frame->refs, 1);
	frame_unref(frame);
	queue_pool_finish(&pool);
}
END_TEST

TESTS("queue", frames_leave_in_order_whatever_the_portions, a_full_queue_refuses_and_keeps_what_it_has,
	what_is_thrown_away_leaves_a_begun_frame_whole, a_shared_frame_lives_until_the_last_queue_lets_it_go)
