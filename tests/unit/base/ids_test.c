#include "common/base/ids.h"
#include "tests/unit/main.h"

#include <pthread.h>
#include <string.h>

#define NOW (IDS_EPOCH_WALL_MS + 1000000)

static struct ids leased(uint32_t node, int64_t floor_wall_ms)
{
	struct ids ids;

	ids_init(&ids);
	ids_lease(&ids, node, floor_wall_ms, /* until_mono_ms= */ 1000);
	return ids;
}

START_TEST(an_id_holds_its_time_node_and_counter)
{
	struct ids ids = leased(5, 0);
	uint64_t first = 0, second = 0;

	ck_assert_int_eq(ids_next(&ids, NOW, 0, &first), STATUS_OK);
	ck_assert_int_eq(ids_next(&ids, NOW, 0, &second), STATUS_OK);
	ck_assert_uint_eq(first, UINT64_C(1000000) << 22 | 5 << 12);
	ck_assert_uint_eq(second, first + 1);
	ck_assert_int_eq(ids_wall_ms(second), NOW);
}
END_TEST

START_TEST(ids_grow_when_the_clock_steps_back_and_when_the_counter_is_full)
{
	struct ids ids = leased(1023, 0);
	uint64_t last = 0, id = 0;

	for (int i = 0; i < 10000; i++) {
		ck_assert_int_eq(ids_next(&ids, NOW - i, 0, &id), STATUS_OK);
		ck_assert_uint_gt(id, last);
		last = id;
	}
	ck_assert_int_eq(ids_wall_ms(last), NOW + 2);
}
END_TEST

START_TEST(no_id_is_made_without_a_living_lease)
{
	struct ids ids;
	uint64_t id = 7;

	ids_init(&ids);
	ck_assert_int_eq(ids_next(&ids, NOW, 0, &id), STATUS_BUSY);
	ids_lease(&ids, 1, 0, 1000);
	ck_assert_int_eq(ids_next(&ids, NOW, 1000, &id), STATUS_BUSY);
	ck_assert_uint_eq(id, 7);
	ck_assert_int_eq(ids_next(&ids, NOW, 999, &id), STATUS_OK);
}
END_TEST

START_TEST(no_id_is_older_than_what_the_node_made_before)
{
	struct ids ids = leased(1, NOW + 60000);
	uint64_t id = 0;

	ck_assert_int_eq(ids_next(&ids, NOW, 0, &id), STATUS_OK);
	ck_assert_int_ge(ids_wall_ms(id), NOW + 60000);
}
END_TEST

#define THREADS  4
#define PER_EACH 20000

static struct ids shared;
static uint64_t made[THREADS][PER_EACH];

static void *make_ids(void *arg)
{
	uint64_t *out = arg;

	for (size_t i = 0; i < PER_EACH; i++)
		ids_next(&shared, NOW, 0, &out[i]);
	return NULL;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

START_TEST(threads_never_get_the_same_id)
{
	pthread_t threads[THREADS];
	uint64_t *all = &made[0][0];

	shared = leased(1, 0);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, make_ids, made[i]);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	qsort(all, THREADS * PER_EACH, sizeof *all, compare);
	for (size_t i = 1; i < THREADS * PER_EACH; i++)
		ck_assert_uint_ne(all[i], all[i - 1]);
}
END_TEST

START_TEST(random_ids_lie_in_their_range)
{
	uint64_t seen = 0;

	for (int i = 0; i < 10000; i++) {
		uint64_t id = ids_random();
		ck_assert_uint_ge(id, UINT64_C(1) << 32);
		ck_assert_uint_lt(id, UINT64_C(1) << 47);
		seen |= id;
	}
	ck_assert_uint_eq(seen, (UINT64_C(1) << 47) - 1);
}
END_TEST

START_TEST(a_uuid_holds_the_id_reversibly)
{
	const uint64_t some[] = {1, 16, 0xFFFF, UINT64_C(0x0123456789ABCDEF), UINT64_MAX};
	char text[IDS_UUID_SIZE];

	for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
		uint64_t back = 0;
		ids_to_uuid(some[i], text);
		ck_assert_int_eq(ids_from_uuid(text, strlen(text), &back), STATUS_OK);
		ck_assert_uint_eq(back, some[i]);
	}
	ids_to_uuid(UINT64_C(0x0123456789ABCDEF), text);
	ck_assert_str_eq(text, "01234567-89ab-8cde-bc00-000000000000");
}
END_TEST

START_TEST(upper_case_uuids_are_the_same_id)
{
	uint64_t id = 0;

	ck_assert_int_eq(ids_from_uuid("01234567-89AB-8CDE-BC00-000000000000", 36, &id), STATUS_OK);
	ck_assert_uint_eq(id, UINT64_C(0x0123456789ABCDEF));
}
END_TEST

static void check_not_ours(const char *text)
{
	uint64_t id = 7;

	ck_assert_msg(ids_from_uuid(text, strlen(text), &id) == STATUS_NOT_FOUND, "%s", text);
	ck_assert_uint_eq(id, 7);
}

START_TEST(uuids_that_are_not_ours_are_not_found)
{
	check_not_ours("");
	check_not_ours("01234567-89ab-8cde-bc00-00000000000");
	check_not_ours("01234567-89ab-8cde-bc00-0000000000000");
	check_not_ours("01234567-89ab-4cde-bc00-000000000000");
	check_not_ours("01234567-89ab-8cde-3c00-000000000000");
	check_not_ours("01234567-89ab-8cde-fc00-000000000000");
	check_not_ours("01234567-89ab-8cde-bc00-000000000001");
	check_not_ours("01234567-89ab-8cde-bc01-000000000000");
	check_not_ours("0123456789ab-8cde-bc00-0000000000000");
	check_not_ours("0123456g-89ab-8cde-bc00-000000000000");
	check_not_ours("00000000-0000-8000-8000-000000000000");
}
END_TEST

START_TEST(traces_are_32_hex_digits_and_differ)
{
	char a[IDS_TRACE_SIZE], b[IDS_TRACE_SIZE];

	ids_trace(a);
	ids_trace(b);
	ck_assert_uint_eq(strspn(a, "0123456789abcdef"), 32);
	ck_assert_str_ne(a, b);
}
END_TEST

TESTS("ids", an_id_holds_its_time_node_and_counter,
	ids_grow_when_the_clock_steps_back_and_when_the_counter_is_full, no_id_is_made_without_a_living_lease,
	no_id_is_older_than_what_the_node_made_before, threads_never_get_the_same_id,
	random_ids_lie_in_their_range, a_uuid_holds_the_id_reversibly, upper_case_uuids_are_the_same_id,
	uuids_that_are_not_ours_are_not_found, traces_are_32_hex_digits_and_differ)
