/* Each call by which the folder of files touches the disk fails once: there is a status, what was kept stays whole, nothing leaks, and the
 * next use works. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "services/messaging/file_store.h"
#include "tests/unit/faults/called.h"
#include "tests/unit/faults/failing.h"
#include "tests/unit/main.h"

#define CALLS_MOST 16

static bool watching; /* only the store's own calls fail */

#define FAILS(type, function, failure, why, parameters, arguments)                                             \
	type __real_##function parameters;                                                                     \
	type __wrap_##function parameters;                                                                     \
	type __wrap_##function parameters                                                                      \
	{                                                                                                      \
		if (!watching || !fails_now(#function))                                                        \
			return __real_##function arguments;                                                    \
		errno = why;                                                                                   \
		return failure;                                                                                \
	}
#define OPENS(function, why, parameters, arguments)                                                            \
	int __real_##function parameters;                                                                      \
	int __wrap_##function parameters;                                                                      \
	int __wrap_##function parameters                                                                       \
	{                                                                                                      \
		va_list rest;                                                                                  \
		va_start(rest, flags);                                                                         \
		mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;                                      \
		va_end(rest);                                                                                  \
		if (!watching || !fails_now(#function))                                                        \
			return __real_##function arguments;                                                    \
		errno = why;                                                                                   \
		return -1;                                                                                     \
	}
#define CLOSES(function, why)                                                                                  \
	int __real_##function(int fd);                                                                         \
	int __wrap_##function(int fd);                                                                         \
	int __wrap_##function(int fd)                                                                          \
	{                                                                                                      \
		int result = __real_##function(fd);                                                            \
		if (!watching || !fails_now(#function))                                                        \
			return result;                                                                         \
		errno = why;                                                                                   \
		return -1;                                                                                     \
	}
#define CANNOT(function)
#include "tests/unit/faults/store.tbl.h"
#undef FAILS
#undef OPENS
#undef CLOSES
#undef CANNOT

static const char *const functions[] = {
#define FAILS(type, function, failure, why, parameters, arguments) #function,
#define OPENS(function, why, parameters, arguments)                #function,
#define CLOSES(function, why)                                      #function,
#define CANNOT(function)
#include "tests/unit/faults/store.tbl.h"
#undef CANNOT
};

static char directory[] = "/tmp/guildhall-store-XXXXXX";

/* All that is done with one file, in a folder of its own: what the first failure came to. */
static enum status use(int n)
{
	static const uint8_t hash[FILE_HASH_BYTES] = {0xAB, 0xCD};
	struct file_store *store = NULL;
	struct iovec bytes = {(void *)"hello", 5};
	char folder[64], part[8];
	uint64_t length = 0;
	size_t count = 0;

	snprintf(folder, sizeof folder, "%s/%d", directory, n);
	watching = true;
	enum status st = file_disk_create(folder, &store);
	if (st == STATUS_OK)
		st = file_put(store, "one", 0, &bytes, 1);
	if (st == STATUS_OK)
		st = file_length(store, "one", &length);
	if (st == STATUS_OK)
		st = file_fetch(store, "one", 1, part, sizeof part, &count);
	if (st == STATUS_OK)
		st = file_keep(store, "one", hash);
	if (st == STATUS_OK)
		st = file_read(store, hash, 0, part, sizeof part, &count);
	if (st == STATUS_OK)
		st = file_put(store, "two", 0, &bytes, 1);
	if (st == STATUS_OK)
		st = file_drop(store, "two");
	if (st == STATUS_OK)
		st = file_put(store, "three", 0, &bytes, 1);
	size_t swept = 0;
	if (st == STATUS_OK)
		st = file_sweep(store, INT64_MAX, &swept);
	if (st == STATUS_OK && swept == 0) /* it is left for the next time */
		st = STATUS_BUSY;
	if (st == STATUS_OK)
		st = file_remove(store, hash);
	watching = false;
	ck_assert(st != STATUS_OK || (length == 5 && count == 5 && memcmp(part, "hello", 5) == 0));
	file_store_destroy(store);
	return st;
}

START_TEST(whichever_call_fails_there_is_a_status_and_the_next_use_works)
{
	int folder = 0;

	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(use(folder++), STATUS_OK);
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
		int n = 1;
		for (; n <= CALLS_MOST; n++) {
			arm(functions[i], n);
			enum status st = use(folder);
			bool failed = disarm();
			ck_assert_msg(st == STATUS_OK || st == STATUS_BUSY || st == STATUS_INTERNAL, "%s, call %d: %s", functions[i], n,
				status_wire(st));
			ck_assert_msg(use(folder++) == STATUS_OK, "%s, call %d: not usable again", functions[i], n);
			if (!failed)
				break; /* it is not called so often */
		}
		ck_assert_msg(n > 1, "%s never failed", functions[i]);
	}
	char command[96];
	snprintf(command, sizeof command, "rm -rf %s", directory);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

static const char *const table[] = {
#define FAILS(type, function, failure, why, parameters, arguments) #function,
#define CANNOT(function) #function,
#include "tests/unit/faults/store.tbl.h"
#undef FAILS
#undef OPENS
#undef CLOSES
#undef CANNOT
};

/* What touches files, with or without the 64. */
static const char *const watched[] = {"access", "calloc", "close", "closedir", "faccessat", "fdopendir", "fopen", "fstat", "fstatat", "fsync",
	"link", "linkat", "lseek", "malloc", "mkdir", "mkdirat", "open", "openat", "opendir", "pread", "pwrite", "read", "readdir", "rename",
	"renameat", "stat", "unlink", "unlinkat", "write"};

static bool is_watched(const char *name)
{
	for (size_t i = 0; i < sizeof watched / sizeof *watched; i++) {
		size_t length = strlen(watched[i]);
		if (strncmp(name, watched[i], length) == 0 && (name[length] == '\0' || strcmp(name + length, "64") == 0))
			return true;
	}
	return false;
}

START_TEST(the_table_has_every_function_that_is_called)
{
	check_called("nm -A -u '" LIBRARY "' | grep file_disk", is_watched, table, sizeof table / sizeof *table, "store.tbl.h");
}
END_TEST

TESTS("faults store", whichever_call_fails_there_is_a_status_and_the_next_use_works, the_table_has_every_function_that_is_called)
