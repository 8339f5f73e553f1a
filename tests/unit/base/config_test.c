#include "common/base/config.h"
#include "tests/unit/main.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char errors[8192];

/* One a process, which is one test; never destroyed, and never lost sight of either. */
static struct arena *test_arena(void)
{
	static struct arena *mem;

	if (mem == NULL)
		mem = arena_create();
	return mem;
}

/* Each test is a process of its own and starts without settings. */
static enum status load(struct config *config)
{
	FILE *out = fmemopen(errors, sizeof errors, "w");

	enum status st = config_load(test_arena(), config, out);
	fclose(out);
	return st;
}

static const char *file_with(const char *content)
{
	static char path[] = "/tmp/guildhall-config-XXXXXX";
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, content, strlen(content)), (ssize_t)strlen(content));
	close(fd);
	return path;
}

START_TEST(without_an_environment_everything_is_its_default)
{
	struct config config;

	ck_assert_int_eq(load(&config), STATUS_OK);
	ck_assert_int_eq(config.http_workers, 256);
	ck_assert_str_eq(config.http_listen, "127.0.0.1:8080");
	ck_assert_str_eq(config.db_url, "");
	ck_assert_str_eq(config.log_level, "info");
}
END_TEST

START_TEST(the_environment_overrides_defaults)
{
	struct config config;

	setenv("GUILDHALL_HTTP_WORKERS", "8", 1);
	setenv("GUILDHALL_DB_URL", "host=db", 1);
	ck_assert_int_eq(load(&config), STATUS_OK);
	ck_assert_int_eq(config.http_workers, 8);
	ck_assert_str_eq(config.db_url, "host=db");
}
END_TEST

START_TEST(a_file_holds_a_value_without_its_last_newline)
{
	struct config config;
	const char *path = file_with("host=db password=x\n\n");

	setenv("GUILDHALL_DB_URL_FILE", path, 1);
	ck_assert_int_eq(load(&config), STATUS_OK);
	unlink(path);
	ck_assert_str_eq(config.db_url, "host=db password=x\n");
}
END_TEST

START_TEST(a_number_may_come_from_a_file)
{
	struct config config;
	const char *path = file_with("16\n");

	setenv("GUILDHALL_HTTP_WORKERS_FILE", path, 1);
	ck_assert_int_eq(load(&config), STATUS_OK);
	unlink(path);
	ck_assert_int_eq(config.http_workers, 16);
}
END_TEST

START_TEST(an_unknown_name_is_refused_with_a_guess)
{
	struct config config;

	setenv("GUILDHALL_DB_URI", "x", 1);
	ck_assert_int_eq(load(&config), STATUS_FIELD_INVALID);
	ck_assert_ptr_nonnull(
		strstr(errors, "GUILDHALL_DB_URI: no such setting; did you mean GUILDHALL_DB_URL?"));
}
END_TEST

START_TEST(names_that_kubernetes_adds_are_refused_with_the_way_out)
{
	struct config config;

	setenv("GUILDHALL_MESSAGING_PORT_7001_TCP_ADDR", "10.0.0.1", 1);
	ck_assert_int_eq(load(&config), STATUS_FIELD_INVALID);
	ck_assert_ptr_nonnull(strstr(errors, "enableServiceLinks: false"));
}
END_TEST

START_TEST(every_error_has_a_line_of_its_own)
{
	struct config config;
	size_t line_count = 0;

	setenv("GUILDHALL_NONSENSE_ALTOGETHER", "1", 1);
	setenv("GUILDHALL_HTTP_WORKERS", "0", 1);
	setenv("GUILDHALL_DB_READERS", "8x", 1);
	setenv("GUILDHALL_DRAIN_MS", "", 1);
	setenv("GUILDHALL_LOG_LEVEL", "loud", 1);
	setenv("GUILDHALL_DB_URL_FILE", "/nonexistent/file", 1);
	ck_assert_int_eq(load(&config), STATUS_FIELD_INVALID);
	for (const char *c = errors; *c != '\0'; c++)
		line_count += *c == '\n';
	ck_assert_uint_eq(line_count, 6);
	ck_assert_ptr_nonnull(
		strstr(errors, "GUILDHALL_HTTP_WORKERS=0: must be a whole number from 4 to 4096"));
	ck_assert_ptr_nonnull(
		strstr(errors, "GUILDHALL_DB_URL_FILE=/nonexistent/file: No such file or directory"));
}
END_TEST

START_TEST(a_value_set_twice_is_refused)
{
	struct config config;

	setenv("GUILDHALL_DB_URL", "a", 1);
	setenv("GUILDHALL_DB_URL_FILE", "/dev/null", 1);
	ck_assert_int_eq(load(&config), STATUS_FIELD_INVALID);
	ck_assert_ptr_nonnull(strstr(errors, "unset one of them"));
}
END_TEST

START_TEST(numbers_past_64_bits_are_refused)
{
	struct config config;

	setenv("GUILDHALL_HTTP_WORKERS", "99999999999999999999999", 1);
	ck_assert_int_eq(load(&config), STATUS_FIELD_INVALID);
}
END_TEST

START_TEST(names_of_others_are_no_concern)
{
	struct config config;

	setenv("GUILDHALLCTL_URL", "x", 1);
	setenv("PATH_GUILDHALL_X", "x", 1);
	ck_assert_int_eq(load(&config), STATUS_OK);
}
END_TEST

START_TEST(secrets_are_masked_when_printed)
{
	static char printed[32768];
	struct config config;
	FILE *out = fmemopen(printed, sizeof printed, "w");

	setenv("GUILDHALL_DB_URL", "password=hunter2", 1);
	ck_assert_int_eq(load(&config), STATUS_OK);
	config_print(&config, out);
	fclose(out);
	ck_assert_ptr_null(strstr(printed, "hunter2"));
	ck_assert_ptr_nonnull(
		strstr(printed, "GUILDHALL_DB_URL=**** # libpq connection string of the primary"));
	ck_assert_ptr_nonnull(strstr(printed, "GUILDHALL_DB_READ_URL= # "));
	ck_assert_ptr_nonnull(strstr(printed, "GUILDHALL_HTTP_WORKERS=256 # "));
}
END_TEST

START_TEST(a_list_is_split_at_commas_and_trimmed)
{
	struct arena *mem = arena_create();
	size_t count = 0;

	const char **items = config_list(mem, " a,b , ,c\t", &count);

	ck_assert_uint_eq(count, 3);
	ck_assert_str_eq(items[0], "a");
	ck_assert_str_eq(items[1], "b");
	ck_assert_str_eq(items[2], "c");
	ck_assert_ptr_null(items[3]);
	ck_assert_ptr_null(config_list(mem, "", &count)[0]);
	ck_assert_uint_eq(count, 0);
	arena_destroy(mem);
}
END_TEST

/* Runs config_main in a child with its output thrown away. */
static int exit_code_of(char *option)
{
	pid_t child = fork();

	if (child == 0) {
		struct config config;
		char *argv[] = {"guildhall-api", option, NULL};
		ck_assert_ptr_nonnull(freopen("/dev/null", "w", stdout));
		ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
		config_main(option == NULL ? 1 : 2, argv, "api", test_arena(), &config);
		_exit(77);
	}
	int how = 0;
	waitpid(child, &how, 0);
	return WIFEXITED(how) ? WEXITSTATUS(how) : -1;
}

START_TEST(the_command_line_exits_as_documented)
{
	ck_assert_int_eq(exit_code_of("--help"), 0);
	ck_assert_int_eq(exit_code_of("--version"), 0);
	ck_assert_int_eq(exit_code_of("--check-config"), 0);
	ck_assert_int_eq(exit_code_of("--nonsense"), 2);
	ck_assert_int_eq(exit_code_of(NULL), 77);
	setenv("GUILDHALL_HTTP_WORKERS", "many", 1);
	ck_assert_int_eq(exit_code_of("--check-config"), 2);
	ck_assert_int_eq(exit_code_of(NULL), 2);
}
END_TEST

TESTS("config", without_an_environment_everything_is_its_default, the_environment_overrides_defaults,
	a_file_holds_a_value_without_its_last_newline, a_number_may_come_from_a_file,
	an_unknown_name_is_refused_with_a_guess, names_that_kubernetes_adds_are_refused_with_the_way_out,
	every_error_has_a_line_of_its_own, a_value_set_twice_is_refused, numbers_past_64_bits_are_refused,
	names_of_others_are_no_concern, secrets_are_masked_when_printed,
	a_list_is_split_at_commas_and_trimmed, the_command_line_exits_as_documented)
