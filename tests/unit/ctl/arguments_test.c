#include "services/ctl/doctor.h"
#include "tests/unit/main.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct fixture {
	struct ctl ctl;
	const char *text;
	bool flag;
	int64_t number;
	const char *words[2];
	size_t count;
};

static enum ctl_exit read_arguments(struct fixture *fx, int argc, char **argv)
{
	const struct ctl_option options[] = {
		{"--flag", CTL_FLAG, &fx->flag, 0, 0},
		{"--number", CTL_NUMBER, &fx->number, 0, 10},
		{"--text", CTL_TEXT, &fx->text, 0, 0},
	};

	fx->ctl.command = "test";
	ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
	return ctl_arguments(&fx->ctl, argc, argv, options, 3, 1, 2, fx->words, &fx->count);
}

#define READ(fx, ...)                                                                                                  \
	read_arguments((fx), (int)(sizeof((char *[]){__VA_ARGS__}) / sizeof(char *)), (char *[]){__VA_ARGS__})

START_TEST(options_stand_anywhere_in_both_spellings)
{
	struct fixture fx = {0};

	ck_assert_int_eq(READ(&fx, "--text", "a b", "one", "--number=7", "--flag", "two"), CTL_OK);
	ck_assert_str_eq(fx.text, "a b");
	ck_assert_int_eq(fx.number, 7);
	ck_assert(fx.flag);
	ck_assert_uint_eq(fx.count, 2);
	ck_assert_str_eq(fx.words[0], "one");
	ck_assert_str_eq(fx.words[1], "two");
}
END_TEST

START_TEST(behind_two_dashes_everything_is_a_word)
{
	struct fixture fx = {0};

	ck_assert_int_eq(READ(&fx, "--", "--flag", "-"), CTL_OK);
	ck_assert(!fx.flag);
	ck_assert_str_eq(fx.words[0], "--flag");
	ck_assert_str_eq(fx.words[1], "-");
}
END_TEST

START_TEST(wrong_calls_are_misuse)
{
	struct fixture fx = {0};

	ck_assert_int_eq(READ(&fx, "--flag"), CTL_USAGE);                      /* a word is missing */
	ck_assert_int_eq(READ(&fx, "a", "b", "c"), CTL_USAGE);                 /* one too many */
	ck_assert_int_eq(READ(&fx, "a", "--other"), CTL_USAGE);                /* no such option */
	ck_assert_int_eq(READ(&fx, "a", "--text"), CTL_USAGE);                 /* the value is missing */
	ck_assert_int_eq(READ(&fx, "a", "--text="), CTL_USAGE);                /* the value is empty */
	ck_assert_int_eq(READ(&fx, "a", "--flag=1"), CTL_USAGE);               /* a flag has none */
	ck_assert_int_eq(READ(&fx, "a", "--number", "11"), CTL_USAGE);         /* out of bounds */
	ck_assert_int_eq(READ(&fx, "a", "--number", "7x"), CTL_USAGE);         /* no number */
	ck_assert_int_eq(READ(&fx, "a", "--number", "99999999999999999999"), CTL_USAGE);
	ck_assert_int_eq(fx.number, 0);
}
END_TEST

START_TEST(every_command_explains_itself)
{
	for (size_t i = 0; i < ctl_command_count; i++) {
		const struct ctl_command *c = &ctl_commands[i];

		ck_assert_ptr_nonnull(c->run);
		ck_assert_uint_gt(strlen(c->summary), 0);
		ck_assert_uint_gt(strlen(c->details), 0);
		for (const char *option = strstr(c->arguments, "--"); option != NULL; option = strstr(option + 2, "--")) {
			char name[32];

			snprintf(name, sizeof name, "  %.*s", (int)strcspn(option, " ]|"), option);
			ck_assert_msg(strstr(c->details, name) != NULL, "%s: %s is not explained", c->words, name);
		}
	}
}
END_TEST

START_TEST(a_secret_file_gives_its_one_line)
{
	struct ctl ctl = {.mem = arena_create(), .command = "test"};
	char path[] = "/tmp/ctl-secret-XXXXXX";
	const char *secret = NULL;
	int fd = mkstemp(path);

	ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
	ck_assert_int_eq(write(fd, "correct horse\n", 14), 14);
	ck_assert_int_eq(ctl_read_secret(&ctl, "password", false, path, &secret), CTL_OK);
	ck_assert_str_eq(secret, "correct horse");
	ck_assert_int_eq(write(fd, "second line\n", 12), 12);
	ck_assert_int_eq(ctl_read_secret(&ctl, "password", false, path, &secret), CTL_FAILED);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_int_eq(ctl_read_secret(&ctl, "password", false, path, &secret), CTL_FAILED);
	ck_assert_int_eq(ctl_read_secret(&ctl, "password", true, path, &secret), CTL_USAGE);
	close(fd);
	unlink(path);
	ck_assert_int_eq(ctl_read_secret(&ctl, "password", false, path, &secret), CTL_FAILED);
	arena_destroy(ctl.mem);
}
END_TEST

START_TEST(a_metric_is_read_by_its_whole_name)
{
	static const char text[] = "# HELP guildhall_x help\nguildhall_x_total 9\nguildhall_x 2.5\nguildhall_y{a=\"b\"} 1\n";
	double value = 0;

	ck_assert(metric_read(text, "guildhall_x", &value));
	ck_assert_double_eq(value, 2.5);
	ck_assert(!metric_read(text, "guildhall_y", &value));
	ck_assert(!metric_read("", "guildhall_x", &value));
}
END_TEST

TESTS("ctl-arguments", options_stand_anywhere_in_both_spellings, behind_two_dashes_everything_is_a_word,
	wrong_calls_are_misuse, every_command_explains_itself, a_secret_file_gives_its_one_line,
	a_metric_is_read_by_its_whole_name)
