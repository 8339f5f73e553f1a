#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <sodium.h>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/rpc/stubs.h"
#include "services/ctl/commands.h"

#define CALL_MS      10000
#define SECRET_BYTES 4096

const struct ctl_command ctl_commands[] = {
#define COMMAND(function, words_, arguments_, summary_, details_)                                                  \
	{.words = (words_), .run = function, .arguments = (arguments_), .summary = (summary_), .details = (details_)},
#include "services/ctl/commands.tbl.h"
#undef COMMAND
};
const size_t ctl_command_count = sizeof ctl_commands / sizeof *ctl_commands;

static const char *const owners[] = {"api", "messaging", "moderation", "presence"};
#define OWNERS (sizeof owners / sizeof *owners)

/* ---- arguments */
enum ctl_exit ctl_misuse(struct ctl *ctl, const char *format, ...)
{
	va_list values;

	fprintf(stderr, "guildhallctl %s: ", ctl->command);
	va_start(values, format);
	vfprintf(stderr, format, values);
	va_end(values);
	fprintf(stderr, "\nTry: guildhallctl %s --help\n", ctl->command);
	return CTL_USAGE;
}

static enum ctl_exit take_value(struct ctl *ctl, const struct ctl_option *option, const char *value)
{
	char *end = NULL;
	long long number;

	switch (option->kind) {
	case CTL_FLAG:
		return ctl_misuse(ctl, "%s takes no value", option->name);
	case CTL_TEXT:
		if (value[0] == '\0')
			return ctl_misuse(ctl, "%s needs a value", option->name);
		*(const char **)option->out = value;
		return CTL_OK;
	case CTL_NUMBER:
		errno = 0;
		number = strtoll(value, &end, 10);
		if (value[0] == '\0' || *end != '\0' || errno != 0 || number < option->least || number > option->most)
			return ctl_misuse(ctl, "%s needs a number from %lld to %lld", option->name, (long long)option->least,
				(long long)option->most);
		*(int64_t *)option->out = number;
		return CTL_OK;
	}
	return CTL_USAGE;
}

enum ctl_exit ctl_arguments(struct ctl *ctl, int argc, char **argv, const struct ctl_option *options, size_t option_count,
	size_t least, size_t most, const char **out_words, size_t *out_count)
{
	bool options_over = false;
	size_t count = 0;

	for (int i = 0; i < argc; i++) {
		const struct ctl_option *option = NULL;
		size_t length = strcspn(argv[i], "=");
		enum ctl_exit rc;

		if (options_over || argv[i][0] != '-' || argv[i][1] == '\0') {
			if (count == most)
				return ctl_misuse(ctl, "unexpected argument: %s", argv[i]);
			out_words[count++] = argv[i];
			continue;
		}
		if (strcmp(argv[i], "--") == 0) {
			options_over = true;
			continue;
		}
		for (size_t o = 0; o < option_count && option == NULL; o++)
			if (strlen(options[o].name) == length && memcmp(options[o].name, argv[i], length) == 0)
				option = &options[o];
		if (option == NULL)
			return ctl_misuse(ctl, "no such option: %.*s", (int)length, argv[i]);
		if (option->kind == CTL_FLAG && argv[i][length] == '\0') {
			*(bool *)option->out = true;
			continue;
		}
		if (argv[i][length] == '=')
			rc = take_value(ctl, option, argv[i] + length + 1);
		else if (i + 1 == argc)
			return ctl_misuse(ctl, "%s needs a value", option->name);
		else
			rc = take_value(ctl, option, argv[++i]);
		if (rc != CTL_OK)
			return rc;
	}
	if (count < least)
		return ctl_misuse(ctl, "something is missing");
	if (out_count != NULL)
		*out_count = count;
	return CTL_OK;
}

/* ---- what came out */
void ctl_print_object(struct json_writer *w)
{
	size_t length = 0;
	const char *text = jw_end(w, &length);

	fwrite(text, 1, length, stdout);
	putchar('\n');
}

void ctl_note(struct ctl *ctl, const char *format, ...)
{
	va_list values;

	if (ctl->json)
		return;
	va_start(values, format);
	vfprintf(stderr, format, values);
	va_end(values);
	fputc('\n', stderr);
}

enum ctl_exit ctl_fail(struct ctl *ctl, enum status st, const char *hint, const char *format, ...)
{
	struct json_writer w;
	va_list values;
	char *message = NULL;

	va_start(values, format);
	if (vasprintf(&message, format, values) < 0)
		message = NULL;
	va_end(values);
	fprintf(stderr, "guildhallctl: %s\n", message != NULL ? message : status_text(st));
	if (hint != NULL)
		fprintf(stderr, "%s\n", hint);
	if (ctl->json) {
		jw_begin(&w, ctl->mem, 256);
		jw_object(&w);
		jw_key(&w, "error");
		jw_object(&w);
		jw_kv(&w, str, "code", status_wire(st));
		jw_kv(&w, str, "message", message);
		jw_kv(&w, str, "hint", hint);
		jw_object_end(&w);
		jw_object_end(&w);
		ctl_print_object(&w);
	}
	free(message);
	return CTL_FAILED;
}

enum ctl_exit ctl_fail_call(struct ctl *ctl, const char *owner, const char *subject, const struct rpc_outcome *outcome)
{
	const char *detail = outcome->detail != NULL ? outcome->detail : outcome->why;

	if (outcome->status == STATUS_BUSY || outcome->status == STATUS_LATE) {
		const char *hint = arena_printf(ctl->mem,
			"Is guildhall-%s running, and does %s name its address (now: %s)? If it runs, it may have lost the database: "
			"guildhallctl doctor tells.",
			owner, ctl_peer_setting(owner), ctl_peer_addresses(ctl, owner));

		return ctl_fail(ctl, outcome->status, hint, "%s does not answer%s%s", owner, detail != NULL ? ": " : "",
			detail != NULL ? detail : "");
	}
	if (outcome->status == STATUS_FIELD_INVALID && outcome->field != NULL)
		return ctl_fail(ctl, outcome->status, NULL, "%s: %s is not acceptable%s%s", subject, outcome->field,
			detail != NULL ? ": " : "", detail != NULL ? detail : "");
	if (outcome->status == STATUS_NOT_FOUND)
		return ctl_fail(ctl, outcome->status, NULL, "%s: there is no such thing%s%s", subject, detail != NULL ? ": " : "",
			detail != NULL ? detail : "");
	return ctl_fail(ctl, outcome->status, NULL, "%s: %s", subject, detail != NULL ? detail : status_text(outcome->status));
}

/* ---- calls */
const char *ctl_peer_setting(const char *owner)
{
	static const char *const names[OWNERS] = {"GUILDHALL_RPC_API", "GUILDHALL_RPC_MESSAGING",
		"GUILDHALL_RPC_MODERATION", "GUILDHALL_RPC_PRESENCE"};

	for (size_t i = 0; i < OWNERS; i++)
		if (strcmp(owners[i], owner) == 0)
			return names[i];
	return NULL;
}

const char *ctl_peer_addresses(const struct ctl *ctl, const char *owner)
{
	const char *const addresses[OWNERS] = {ctl->config.rpc_api, ctl->config.rpc_messaging, ctl->config.rpc_moderation,
		ctl->config.rpc_presence};

	for (size_t i = 0; i < OWNERS; i++)
		if (strcmp(owners[i], owner) == 0)
			return addresses[i];
	return NULL;
}

struct rpc_client *ctl_peer(struct ctl *ctl, const char *owner)
{
	const char *addresses = ctl_peer_addresses(ctl, owner);
	size_t i = 0;

	while (strcmp(owners[i], owner) != 0)
		i++;
	if (ctl->peers[i] != NULL)
		return ctl->peers[i];
	if (addresses[0] == '\0') {
		ctl_fail(ctl, STATUS_FIELD_INVALID,
			arena_printf(ctl->mem, "Set %s to the address of guildhall-%s's calls, the same as for the other processes.",
				ctl_peer_setting(owner), owner),
			"%s is not set", ctl_peer_setting(owner));
		return NULL;
	}
	if (rpc_client_create(owner, addresses, ctl->config.bus_insecure != 0, &ctl->peers[i]) != STATUS_OK) {
		ctl_fail(ctl, STATUS_FIELD_INVALID, "The line above says what is wrong with it.", "%s=%s cannot be used",
			ctl_peer_setting(owner), addresses);
		return NULL;
	}
	return ctl->peers[i];
}

struct rpc_context ctl_context(struct ctl *ctl, bool changes)
{
	struct rpc_context ctx = {.deadline_mono_ms = clock_mono_ms() + CALL_MS, .patient = true};
	char *trace = arena_alloc(ctl->mem, IDS_TRACE_SIZE);

	ids_trace(trace);
	ctx.trace = trace;
	if (changes) {
		uint8_t *id = arena_alloc(ctl->mem, 16);

		ids_random_bytes(id, 16);
		ctx.request_id = id;
		ctx.request_id_length = 16;
	}
	return ctx;
}

enum ctl_exit ctl_fail_account(struct ctl *ctl, const char *username, const struct rpc_outcome *outcome)
{
	if (outcome->status != STATUS_NOT_FOUND)
		return ctl_fail_call(ctl, "api", username, outcome);
	return ctl_fail(ctl, STATUS_NOT_FOUND, arena_printf(ctl->mem, "guildhallctl user create %s makes one.", username),
		"there is no account called %s", username);
}

enum ctl_exit ctl_find_account(struct ctl *ctl, const char *username, pb_UserView *out_account, uint64_t *out_epoch)
{
	struct rpc_client *api = ctl_peer(ctl, "api");
	struct rpc_context ctx = ctl_context(ctl, false);
	pb_GetAccountsRequest rq = pb_GetAccountsRequest_init_zero;
	pb_GetAccountsReply reply;
	struct rpc_outcome outcome;

	if (api == NULL)
		return CTL_FAILED;
	rq.username = (char *)username;
	if (api_get_accounts(api, ctl->mem, &ctx, &rq, &reply, &outcome) != STATUS_OK)
		return ctl_fail_account(ctl, username, &outcome);
	if (reply.accounts_count == 0)
		return ctl_fail_account(ctl, username, &(struct rpc_outcome){.status = STATUS_NOT_FOUND});
	*out_account = reply.accounts[0];
	if (out_epoch != NULL) {
		if (reply.epochs_count == 0)
			return ctl_fail(ctl, STATUS_NOT_IMPLEMENTED, "Update guildhall-api first.", "api does not tell epochs of accounts");
		*out_epoch = reply.epochs[0];
	}
	return CTL_OK;
}

void ctl_finish(struct ctl *ctl)
{
	for (size_t i = 0; i < OWNERS; i++)
		rpc_client_destroy(ctl->peers[i]);
}

/* ---- secrets */
/* Up to a bound; *out_length without one trailing newline. */
static enum ctl_exit read_secret(struct ctl *ctl, FILE *file, const char *what, const char *from, const char **out_secret)
{
	char *bytes = arena_alloc(ctl->mem, SECRET_BYTES + 2);
	size_t length = fread(bytes, 1, SECRET_BYTES + 1, file);

	if (ferror(file))
		return ctl_fail(ctl, STATUS_FIELD_INVALID, NULL, "cannot read the %s from %s: %s", what, from, strerror(errno));
	if (length > 0 && bytes[length - 1] == '\n')
		length--;
	if (length > 0 && bytes[length - 1] == '\r')
		length--;
	bytes[length] = '\0';
	if (length == 0 || length > SECRET_BYTES || memchr(bytes, '\0', length) != NULL || memchr(bytes, '\n', length) != NULL)
		return ctl_fail(ctl, STATUS_FIELD_INVALID, NULL, "%s holds no %s: one line of at most %d bytes is expected", from,
			what, SECRET_BYTES);
	*out_secret = bytes;
	return CTL_OK;
}

/* One line from the terminal, not shown while it is typed. */
static const char *ask(struct ctl *ctl, FILE *terminal, const char *question)
{
	struct termios shown, hidden;
	char *line = arena_alloc(ctl->mem, SECRET_BYTES + 2);
	int fd = fileno(terminal);
	bool told;

	if (tcgetattr(fd, &shown) != 0)
		return NULL;
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	fprintf(terminal, "%s: ", question);
	fflush(terminal);
	if (tcsetattr(fd, TCSAFLUSH, &hidden) != 0)
		return NULL;
	told = fgets(line, SECRET_BYTES + 2, terminal) != NULL;
	(void)tcsetattr(fd, TCSAFLUSH, &shown);
	fputc('\n', terminal);
	line[strcspn(line, "\n")] = '\0';
	return told ? line : NULL;
}

enum ctl_exit ctl_read_secret(struct ctl *ctl, const char *what, bool from_stdin, const char *file, const char **out_secret)
{
	FILE *from;
	const char *once, *twice = NULL;
	enum ctl_exit rc;

	if (from_stdin && file != NULL)
		return ctl_misuse(ctl, "--%s-stdin and --%s-file exclude each other", what, what);
	if (from_stdin)
		return read_secret(ctl, stdin, what, "stdin", out_secret);
	if (file != NULL) {
		from = fopen(file, "re");
		if (from == NULL)
			return ctl_fail(ctl, STATUS_FIELD_INVALID, NULL, "%s: %s", file, strerror(errno));
		rc = read_secret(ctl, from, what, file, out_secret);
		fclose(from);
		return rc;
	}
	from = fopen("/dev/tty", "r+e");
	if (from == NULL)
		return ctl_misuse(ctl, "no terminal to ask for the %s: use --%s-stdin or --%s-file", what, what, what);
	once = ask(ctl, from, arena_printf(ctl->mem, "New %s", what));
	if (once != NULL)
		twice = ask(ctl, from, arena_printf(ctl->mem, "The %s again", what));
	fclose(from);
	if (once == NULL || twice == NULL)
		return ctl_fail(ctl, STATUS_FIELD_INVALID, NULL, "no %s was typed", what);
	if (strcmp(once, twice) != 0)
		return ctl_fail(ctl, STATUS_FIELD_INVALID, "Try again.", "the two %ss differ", what);
	*out_secret = once;
	return CTL_OK;
}
