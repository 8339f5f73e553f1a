/*
 * guildhallctl - finds the command, reads the settings, runs it.
 */
#include <ctype.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "services/ctl/commands.h"

static void print_usage(FILE *out)
{
	fprintf(out, "guildhallctl %s - administers a Guildhall installation\n\nUsage: guildhallctl COMMAND [ARGUMENTS] [--json]\n\n",
		GUILDHALL_VERSION);
	for (size_t i = 0; i < ctl_command_count; i++)
		fprintf(out, "  %-16s %s\n", ctl_commands[i].words, ctl_commands[i].summary);
	fprintf(out,
		"\nguildhallctl COMMAND --help tells more. --json writes one JSON object instead of text.\n"
		"Settings come from the environment, the same as for the processes: GUILDHALL_DB_URL and GUILDHALL_RPC_API, _MESSAGING,\n"
		"_MODERATION, _PRESENCE; for every name X there is X_FILE. Exit codes: 0 done, 1 failed, 2 called wrongly.\n");
}

static void print_help(const struct ctl_command *command)
{
	printf("guildhallctl %s %s\n\n%c%s.\n\n%s\n"
	       "  --json   one JSON object instead of text\n"
	       "\nExit codes: 0 done, 1 failed, 2 called wrongly.\n",
		command->words, command->arguments, toupper((unsigned char)command->summary[0]), command->summary + 1,
		command->details);
}

/* How many of argv's words the command's name takes; 0: it is another. */
static int words_of(const struct ctl_command *command, int argc, char **argv)
{
	const char *at = command->words;
	int taken = 0;

	while (*at != '\0') {
		size_t length = strcspn(at, " ");

		if (taken == argc || strlen(argv[taken]) != length || memcmp(argv[taken], at, length) != 0)
			return 0;
		taken++;
		at += length + (at[length] == ' ');
	}
	return taken;
}

static bool asks_for_help(int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

/* Lists the commands that begin with the first word: `guildhallctl user`. */
static void print_near(const char *word)
{
	bool found = false;

	for (size_t i = 0; i < ctl_command_count; i++) {
		size_t length = strcspn(ctl_commands[i].words, " ");

		if (strlen(word) != length || memcmp(ctl_commands[i].words, word, length) != 0)
			continue;
		fprintf(stderr, "%s  guildhallctl %s %s\n", found ? "" : "The commands are:\n", ctl_commands[i].words,
			ctl_commands[i].arguments);
		found = true;
	}
	if (!found)
		fprintf(stderr, "Try: guildhallctl --help\n");
}

int main(int argc, char **argv)
{
	struct ctl ctl = {.mem = arena_create()};
	const struct ctl_command *command = NULL;
	enum ctl_exit rc = CTL_USAGE;
	int words = 0, kept = 0;

	argc--;
	argv++;
	for (size_t i = 0; i < ctl_command_count && command == NULL; i++) {
		words = words_of(&ctl_commands[i], argc, argv);
		if (words > 0)
			command = &ctl_commands[i];
	}
	if (command == NULL) {
		if (argc > 0 && (strcmp(argv[0], "--version") == 0)) {
			printf("guildhallctl %s\n", GUILDHALL_VERSION);
			rc = CTL_OK;
		} else if (argc == 0 || asks_for_help(argc, argv) || strcmp(argv[0], "help") == 0) {
			print_usage(argc == 0 ? stderr : stdout);
			rc = argc == 0 ? CTL_USAGE : CTL_OK;
		} else {
			fprintf(stderr, "guildhallctl: no such command: %s\n", argv[0]);
			print_near(argv[0]);
		}
		goto out;
	}
	argc -= words;
	argv += words;
	if (asks_for_help(argc, argv)) {
		print_help(command);
		rc = CTL_OK;
		goto out;
	}
	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			ctl.json = true;
		else
			argv[kept++] = argv[i];
	}
	ctl.command = command->words;
	if (config_load(ctl.mem, &ctl.config, stderr) != STATUS_OK)
		goto out;
	log_init("ctl", LOG_ERROR); /* what libraries warn of is said by the command in its own words */
	if (sodium_init() < 0) {
		rc = ctl_fail(&ctl, STATUS_INTERNAL, NULL, "no random numbers on this system");
		goto out;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	rc = command->run(&ctl, kept, argv);
	if (fflush(stdout) != 0 && rc == CTL_OK)
		rc = CTL_FAILED; /* whoever reads did not get it */
out:
	ctl_finish(&ctl);
	arena_destroy(ctl.mem);
	return (int)rc;
}
