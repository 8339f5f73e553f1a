/* What every store of files does, asked of each: the folder and the one in memory. */
#include "services/messaging/file_store.h"

#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/unit/main.h"
#include "tests/unit/messaging/file_memory.h"

static char folder[] = "/tmp/guildhall-store-XXXXXX";

static struct file_store *disk_create(void)
{
	struct file_store *store = NULL;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(file_disk_create(folder, &store), STATUS_OK);
	return store;
}

static const struct {
	const char *name;
	struct file_store *(*create)(void);
} kinds[] = {{"folder", disk_create}, {"memory", file_memory_create}};

static struct file_store *store;
static const char *kind;

static void begin(size_t which)
{
	kind = kinds[which].name;
	store = kinds[which].create();
}

static int unlink_one(const char *path, const struct stat *found, int type, struct FTW *where)
{
	return remove(path);
}

static void end(void)
{
	file_store_destroy(store);
	nftw(folder, unlink_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A test that is asked of each. */
#define OF_EACH(name)                                                 \
	static void name##_of_one(void);                              \
	START_TEST(name)                                              \
	{                                                             \
		for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) { \
			begin(i);                                     \
			name##_of_one();                              \
			end();                                        \
		}                                                     \
	}                                                             \
	END_TEST                                                      \
	static void name##_of_one(void)

static enum status put(const char *upload, uint64_t offset, const char *bytes)
{
	/* In two parts, as calls bring them. */
	size_t length = strlen(bytes), half = length / 2;
	const struct iovec parts[] = {{(char *)bytes, half}, {(char *)bytes + half, length - half}};

	return file_put(store, upload, offset, parts, 2);
}

static const uint8_t *hash_of(uint8_t first)
{
	static const uint8_t hashes[][FILE_HASH_BYTES] = {{0}, {1}, {2}};

	return hashes[first];
}

static char got[64];

/* What is read there, as text. */
static const char *fetched(const char *upload, uint64_t offset, size_t most)
{
	size_t n = 99;

	ck_assert_msg(file_fetch(store, upload, offset, got, most, &n) == STATUS_OK, "%s", kind);
	got[n] = '\0';
	return got;
}

static const char *kept(uint8_t hash, uint64_t offset, size_t most)
{
	size_t n = 99;

	ck_assert_msg(file_read(store, hash_of(hash), offset, got, most, &n) == STATUS_OK, "%s", kind);
	got[n] = '\0';
	return got;
}

OF_EACH(pieces_are_one_upload_in_whatever_order_and_however_often_they_come)
{
	uint64_t length = 0;

	ck_assert_int_eq(put("a-1", 5, "world"), STATUS_OK);
	ck_assert_int_eq(put("a-1", 0, "hello"), STATUS_OK);
	ck_assert_int_eq(put("a-1", 5, "world"), STATUS_OK);
	ck_assert_int_eq(put("a-1", 10, "!"), STATUS_OK);
	ck_assert_int_eq(put("a-2", 0, "other"), STATUS_OK);
	ck_assert_int_eq(file_length(store, "a-1", &length), STATUS_OK);
	ck_assert_uint_eq(length, 11);
	ck_assert_str_eq(fetched("a-1", 0, 60), "helloworld!");
	ck_assert_str_eq(fetched("a-1", 3, 4), "lowo");
	ck_assert_str_eq(fetched("a-1", 10, 1), "!");
	ck_assert_str_eq(fetched("a-1", 11, 9), "");
	ck_assert_str_eq(fetched("a-1", UINT64_MAX, 9), "");
	ck_assert_str_eq(fetched("a-2", 0, 60), "other");
}

OF_EACH(what_is_kept_is_read_by_its_content_and_no_upload_any_more)
{
	uint64_t length = 7;
	size_t n = 7;

	ck_assert_int_eq(put("a", 0, "hello"), STATUS_OK);
	ck_assert_int_eq(file_keep(store, "a", hash_of(1)), STATUS_OK);
	ck_assert_str_eq(kept(1, 0, 60), "hello");
	ck_assert_str_eq(kept(1, 1, 3), "ell");
	ck_assert_str_eq(kept(1, 5, 3), "");
	ck_assert_str_eq(kept(1, UINT64_MAX, 3), "");
	ck_assert_int_eq(file_length(store, "a", &length), STATUS_NOT_FOUND);
	ck_assert_int_eq(file_fetch(store, "a", 0, got, 5, &n), STATUS_NOT_FOUND);
	ck_assert_uint_eq(n, 0);
	ck_assert_int_eq(file_keep(store, "a", hash_of(1)), STATUS_NOT_FOUND);
	ck_assert_str_eq(kept(1, 0, 60), "hello");
	ck_assert_int_eq(file_read(store, hash_of(2), 0, got, 5, &n), STATUS_NOT_FOUND);
}

OF_EACH(a_content_that_is_there_already_is_kept_again_and_removed_once)
{
	size_t n;

	ck_assert_int_eq(put("a", 0, "same"), STATUS_OK);
	ck_assert_int_eq(put("b", 0, "same"), STATUS_OK);
	ck_assert_int_eq(file_keep(store, "a", hash_of(1)), STATUS_OK);
	ck_assert_int_eq(file_keep(store, "b", hash_of(1)), STATUS_OK);
	ck_assert_str_eq(kept(1, 0, 60), "same");
	ck_assert_int_eq(file_remove(store, hash_of(1)), STATUS_OK);
	ck_assert_int_eq(file_read(store, hash_of(1), 0, got, 5, &n), STATUS_NOT_FOUND);
	ck_assert_int_eq(file_remove(store, hash_of(1)), STATUS_OK);
}

OF_EACH(what_is_dropped_is_gone_and_may_be_dropped_and_put_again)
{
	uint64_t length;

	ck_assert_int_eq(put("a", 0, "long ago"), STATUS_OK);
	ck_assert_int_eq(file_drop(store, "a"), STATUS_OK);
	ck_assert_int_eq(file_drop(store, "a"), STATUS_OK);
	ck_assert_int_eq(file_length(store, "a", &length), STATUS_NOT_FOUND);
	ck_assert_int_eq(put("a", 0, "now"), STATUS_OK);
	ck_assert_str_eq(fetched("a", 0, 60), "now");
}

OF_EACH(a_sweep_takes_the_uploads_that_nothing_came_for_and_no_contents)
{
	size_t count = 9;
	uint64_t length;

	ck_assert_int_eq(put("a", 0, "hel"), STATUS_OK);
	ck_assert_int_eq(put("a", 3, "lo"), STATUS_OK);
	ck_assert_int_eq(put("b", 0, "kept"), STATUS_OK);
	ck_assert_int_eq(file_keep(store, "b", hash_of(1)), STATUS_OK);
	ck_assert_int_eq(file_sweep(store, clock_wall_ms() - 60000, &count), STATUS_OK);
	ck_assert_uint_eq(count, 0);
	ck_assert_str_eq(fetched("a", 0, 60), "hello");
	ck_assert_int_eq(file_sweep(store, clock_wall_ms() + 60000, &count), STATUS_OK);
	ck_assert_uint_eq(count, 1);
	ck_assert_int_eq(file_length(store, "a", &length), STATUS_NOT_FOUND);
	ck_assert_str_eq(kept(1, 0, 60), "kept");
}

OF_EACH(other_names_than_uploads_have_are_not_there)
{
	static const char *const bad[] = {"", "..", "../x", "a/b", "A", "a.b", "\xC3\xA9"};
	char most[FILE_UPLOAD_LENGTH + 2];
	uint64_t length;
	size_t n;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		ck_assert_int_eq(put(bad[i], 0, "x"), STATUS_NOT_FOUND);
		ck_assert_int_eq(file_length(store, bad[i], &length), STATUS_NOT_FOUND);
		ck_assert_int_eq(file_fetch(store, bad[i], 0, got, 1, &n), STATUS_NOT_FOUND);
		ck_assert_int_eq(file_keep(store, bad[i], hash_of(1)), STATUS_NOT_FOUND);
		ck_assert_int_eq(file_drop(store, bad[i]), STATUS_NOT_FOUND);
	}
	memset(most, 'z', sizeof most);
	most[FILE_UPLOAD_LENGTH + 1] = '\0';
	ck_assert_int_eq(put(most, 0, "x"), STATUS_NOT_FOUND);
	most[FILE_UPLOAD_LENGTH] = '\0';
	ck_assert_int_eq(put(most, 0, "x"), STATUS_OK);
	ck_assert_str_eq(fetched(most, 0, 9), "x");
}

static void *puts_and_keeps(void *arg)
{
	const char *upload = arg;

	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(put(upload, 0, "same"), STATUS_OK);
		ck_assert_int_eq(put(upload, 4, " content"), STATUS_OK);
		ck_assert_int_eq(file_keep(store, upload, hash_of(1)), STATUS_OK);
	}
	return NULL;
}

OF_EACH(many_at_once_keep_one_content_and_it_is_always_whole)
{
	pthread_t one, other;

	puts_and_keeps((char *)"c");
	pthread_create(&one, NULL, puts_and_keeps, (char *)"a");
	pthread_create(&other, NULL, puts_and_keeps, (char *)"b");
	for (int i = 0; i < 100; i++)
		ck_assert_str_eq(kept(1, 0, 60), "same content");
	pthread_join(one, NULL);
	pthread_join(other, NULL);
}

START_TEST(a_folder_that_cannot_be_used_is_said_so)
{
	struct file_store *none = NULL;

	ck_assert_int_eq(file_disk_create("/proc/none/such", &none), STATUS_INTERNAL);
	file_store_destroy(NULL);
}
END_TEST

TESTS("file store", pieces_are_one_upload_in_whatever_order_and_however_often_they_come,
	what_is_kept_is_read_by_its_content_and_no_upload_any_more, a_content_that_is_there_already_is_kept_again_and_removed_once,
	what_is_dropped_is_gone_and_may_be_dropped_and_put_again, a_sweep_takes_the_uploads_that_nothing_came_for_and_no_contents,
	other_names_than_uploads_have_are_not_there, many_at_once_keep_one_content_and_it_is_always_whole,
	a_folder_that_cannot_be_used_is_said_so)
