/* Each use of files, sockets and names by the libraries fails once: the caller gets a status, nothing leaks, and the next use works.
 * What hangs is ended by the time limit of the test. */
#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/config.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/db/migrate.h"
#include "common/http/http.h"
#include "common/ops/metrics.h"
#include "common/rpc/rpc.h"
#include "tests/unit/faults/called.h"
#include "tests/unit/faults/failing.h"
#include "tests/unit/main.h"

#define CALLS_MOST 64
#define NOWHERE    "host=/nonexistent dbname=none" /* a database that is not there */

static size_t read_fails(FILE *file)
{
	file->_flags |= _IO_ERR_SEEN; /* what ferror looks at */
	errno = EIO;
	return 0;
}

#define FAILS(type, function, failure, why, parameters, arguments)                                             \
	type __real_##function parameters;                                                                     \
	type __wrap_##function parameters;                                                                     \
	type __wrap_##function parameters                                                                      \
	{                                                                                                      \
		if (!fails_now(#function))                                                                     \
			return __real_##function arguments;                                                    \
		errno = why;                                                                                   \
		return failure;                                                                                \
	}
#define CANNOT(function)
#include "tests/unit/faults/files.tbl.h"
#undef FAILS
#undef CANNOT

static char directory[] = "/tmp/guildhall-files-XXXXXX";

static const char *path_of(struct arena *mem, const char *name)
{
	return arena_printf(mem, "%s/%s", directory, name);
}

static void file_write(struct arena *mem, const char *name, const char *text)
{
	FILE *out = fopen(path_of(mem, name), "w");

	ck_assert_ptr_nonnull(out);
	fputs(text, out);
	fclose(out);
}

/* ---- the uses: what they come to, STATUS_OK when nothing fails. A failure may go unnoticed where the use is none the worse. */

static enum status use_config(struct arena *mem)
{
	struct config config;
	char complaint[4096] = "";
	FILE *errors = fmemopen(complaint, sizeof complaint, "w");

	setenv("GUILDHALL_DB_URL_FILE", path_of(mem, "value"), 1);
	enum status st = config_load(mem, &config, errors);
	fclose(errors);
	ck_assert((st == STATUS_OK) == (complaint[0] == '\0'));
	if (st == STATUS_OK)
		ck_assert_str_eq(config.db_url, "host=there");
	return st;
}

static enum status use_log(struct arena *mem)
{
	errno = 7;
	log_warn("files_test", LOG_STR("why", "to write a line"));
	ck_assert_int_eq(errno, 7);
	return STATUS_OK;
}

static enum status use_metrics(struct arena *mem)
{
	size_t length = 0;
	const char *page = metrics_render(mem, "faults", &length);
	const char *fds = strstr(page, "\nprocess_open_fds ");

	ck_assert_ptr_nonnull(strstr(page, "guildhall_build_info{"));
	ck_assert(fds == NULL || atoi(fds + strlen("\nprocess_open_fds ")) > 0); /* unknown is not none */
	return STATUS_OK;
}

static enum status use_limits(struct arena *mem)
{
	struct rlimit limit;

	ck_assert_int_eq(prlimit(0, RLIMIT_NOFILE, NULL, &limit), 0);
	limit.rlim_cur = limit.rlim_max < 1024 ? limit.rlim_max - 1 : 1000; /* something to raise */
	ck_assert_int_eq(prlimit(0, RLIMIT_NOFILE, &limit, NULL), 0);
	ck_assert_uint_gt(files_for_connections(), 100); /* unknown is not none: nobody would be let in */
	return STATUS_OK;
}

static enum status use_migrations(struct arena *mem)
{
	const char *why = NULL;
	struct migrate_options options = {.url = NOWHERE, .folder = path_of(mem, "migrations"), .out_why = &why};
	struct migration *list = NULL;
	size_t count = 0;

	enum status st = migrate_status(&options, mem, &list, &count);
	ck_assert_ptr_nonnull(why);
	return st == STATUS_BUSY ? STATUS_OK : st; /* the folder is read before the database is asked */
}

static void handle_nothing(void *service, struct rpc_call *call, const void *request, void *reply)
{
	rpc_finish(call);
}

static enum status use_rpc(struct arena *mem)
{
	static const struct rpc_method method = {.tag = 3, .name = "nothing"};
	static const struct rpc_binding binding = {&method, handle_nothing};
	const char *folder = path_of(mem, "sockets");
	const struct rpc_server_options options = {.listen = arena_printf(mem, "ipc://%s/one", folder),
		.bindings = &binding, .binding_count = 1, .workers = 1, .contexts = 2};
	struct rpc_server *server = NULL;
	struct rpc_client *client = NULL;

	enum status st = rpc_server_start(&options, &server);
	if (st == STATUS_OK)
		st = rpc_client_create("faults", "tcp://localhost:1", false, &client);
	rpc_client_destroy(client);
	rpc_server_stop(server);
	unlink(path_of(mem, "sockets/one"));
	rmdir(folder);
	return st;
}

static void handle_request(void *arg, const struct http_request *rq, struct http_response *rs)
{
	rs->code = 204;
}

static enum status use_http(struct arena *mem)
{
	const struct http_options options = {.listen = "127.0.0.1:0", .workers = 2, .handle = handle_request};
	struct http_server *server = NULL;

	enum status st = http_server_start(&options, &server);
	http_server_stop(server);
	return st;
}

static enum status (*const uses[])(struct arena *mem) = {
	use_config, use_log, use_metrics, use_limits, use_migrations, use_rpc, use_http};

static const char *const functions[] = {
#define FAILS(type, function, failure, why, parameters, arguments) #function,
#define CANNOT(function)
#include "tests/unit/faults/files.tbl.h"
#undef FAILS
#undef CANNOT
};

static int every_call_fails(const char *function, enum status (*use)(struct arena *mem))
{
	int failures = 0;

	for (int n = 1; n <= CALLS_MOST; n++) {
		struct arena *mem = arena_create();
		arm(function, n);
		enum status st = use(mem);
		bool failed = disarm();
		ck_assert_msg(st == STATUS_OK || st == STATUS_BUSY || st == STATUS_INTERNAL || st == STATUS_FIELD_INVALID, "%s, call %d: %s",
			function, n, status_wire(st));
		ck_assert_msg(use(mem) == STATUS_OK, "%s, call %d: not usable again", function, n);
		arena_destroy(mem);
		if (!failed)
			break; /* it is not called so often */
		failures++;
	}
	return failures;
}

START_TEST(whichever_call_fails_there_is_a_status_and_the_next_use_works)
{
	struct arena *mem = arena_create();

	ck_assert_ptr_nonnull(mkdtemp(directory));
	file_write(mem, "value", "host=there\n");
	ck_assert_int_eq(mkdir(path_of(mem, "migrations"), 0700), 0);
	file_write(mem, "migrations/001_one.sql", "-- migrate:up\nSELECT 1;\n");
	file_write(mem, "migrations/002_two.sql", "-- migrate:up\nSELECT 2;\n");
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
		int failures = 0;
		for (size_t u = 0; u < sizeof uses / sizeof *uses; u++)
			failures += every_call_fails(functions[i], uses[u]);
		ck_assert_msg(failures > 0, "%s never failed", functions[i]);
	}
	static const char *const made[] = {"value", "migrations/001_one.sql", "migrations/002_two.sql"};
	for (size_t i = 0; i < sizeof made / sizeof *made; i++)
		unlink(path_of(mem, made[i]));
	rmdir(path_of(mem, "migrations"));
	rmdir(directory);
	arena_destroy(mem);
}
END_TEST

START_TEST(a_folder_that_cannot_be_read_to_its_end_is_not_taken_for_all_of_it)
{
	struct arena *mem = arena_create();

	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(mkdir(path_of(mem, "migrations"), 0700), 0);
	file_write(mem, "migrations/001_one.sql", "-- migrate:up\nSELECT 1;\n");
	for (int n = 1; n <= 4; n++) { /* ".", "..", the file, and the end */
		arm("readdir64", n);
		enum status st = use_migrations(mem);
		(void)disarm();
		ck_assert_int_eq(st, STATUS_FIELD_INVALID);
	}
	unlink(path_of(mem, "migrations/001_one.sql"));
	rmdir(path_of(mem, "migrations"));
	rmdir(directory);
	arena_destroy(mem);
}
END_TEST

static const char *const table[] = {
#define FAILS(type, function, failure, why, parameters, arguments) #function,
#define CANNOT(function) #function,
#include "tests/unit/faults/files.tbl.h"
#undef FAILS
#undef CANNOT
};

/* What the libraries might come to call, with or without the 64. */
static const char *const watched[] = {"accept", "accept4", "access", "bind", "chmod", "close", "closedir", "connect", "dup", "epoll_create1",
	"epoll_ctl", "eventfd", "fclose", "fcntl", "fdatasync", "fdopen", "ferror", "fflush", "fopen", "fread", "fstat", "fsync", "ftruncate",
	"fwrite", "getaddrinfo", "getline", "getrlimit", "listen", "lseek", "lstat", "mkdir", "mkstemp", "mmap", "open", "openat", "opendir", "pipe",
	"pipe2", "poll", "pread", "pwrite", "read", "readdir", "readlink", "readv", "recv", "rename", "rmdir", "send", "sendmsg", "setrlimit",
	"socket", "stat", "symlink", "unlink", "write", "writev"};

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
	check_called("nm -u " LIBRARIES, is_watched, table, sizeof table / sizeof *table, "files.tbl.h");
}
END_TEST

TESTS("faults files", whichever_call_fails_there_is_a_status_and_the_next_use_works,
	a_folder_that_cannot_be_read_to_its_end_is_not_taken_for_all_of_it, the_table_has_every_function_that_is_called)
