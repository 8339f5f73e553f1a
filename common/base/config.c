#include "common/base/config.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"

#define PREFIX         "GUILDHALL_"
#define FILE_SUFFIX    "_FILE"
#define FILE_MAX_BYTES ((size_t)65536)

enum kind { KIND_INT, KIND_STR };
enum secrecy { PLAIN, SECRET };

static const struct setting {
	enum kind kind;
	const char *name;
	size_t offset;
	int64_t default_int, least, most;
	const char *default_str;
	enum secrecy secrecy;
	const char *meaning;
} settings[] = {
#define INT(field, name, default_value, least, most, meaning)                                                \
	{KIND_INT, name, offsetof(struct config, field), default_value, least, most, NULL, PLAIN, meaning},
#define STR(field, name, default_value, secrecy, meaning)                                                    \
	{KIND_STR, name, offsetof(struct config, field), 0, 0, 0, default_value, secrecy, meaning},
#include "common/base/config.tbl.h"
#undef INT
#undef STR
};

#define SETTINGS (sizeof settings / sizeof *settings)

static const char *const level_names[] = {"debug", "info", "warn", "error", NULL};

static int level_of(const char *name)
{
	for (int i = 0; level_names[i] != NULL; i++)
		if (strcmp(name, level_names[i]) == 0)
			return i;
	return -1;
}

static int64_t *int_of(struct config *config, const struct setting *s)
{
	return (int64_t *)(void *)((char *)config + s->offset);
}

static const char **str_of(struct config *config, const struct setting *s)
{
	return (const char **)(void *)((char *)config + s->offset);
}

static const struct setting *setting_named(const char *name, size_t length)
{
	for (size_t i = 0; i < SETTINGS; i++)
		if (strlen(settings[i].name) == length && memcmp(settings[i].name, name, length) == 0)
			return &settings[i];
	return NULL;
}

static bool ends_with(const char *text, size_t length, const char *end)
{
	size_t n = strlen(end);

	return length >= n && memcmp(text + length - n, end, n) == 0;
}

/* The setting that an environment name means: itself, or with _FILE behind it. */
static const struct setting *setting_meant(const char *name, size_t length, bool *out_file)
{
	const struct setting *s = setting_named(name, length);

	*out_file = false;
	if (s == NULL && ends_with(name, length, FILE_SUFFIX)) {
		*out_file = true;
		s = setting_named(name, length - strlen(FILE_SUFFIX));
	}
	return s;
}

/* How many letters have to be changed, added or dropped to make b of a; 99 for what is too long to compare.
 */
static size_t distance(const char *a, size_t a_length, const char *b)
{
	size_t row[64];
	size_t b_length = strlen(b);

	if (a_length >= 64 || b_length >= 64)
		return 99;
	for (size_t j = 0; j <= b_length; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[b_length];
}

/* Kubernetes adds GUILDHALL_API_SERVICE_HOST, GUILDHALL_API_PORT_8080_TCP and so on for a Service called
 * guildhall-api: https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables */
static bool is_service_link(const char *name, size_t length)
{
	char text[128];

	snprintf(text, sizeof text, "%.*s", (int)length, name);
	return strstr(text, "_SERVICE_HOST") != NULL || strstr(text, "_SERVICE_PORT") != NULL ||
	       strstr(text, "_PORT_") != NULL || ends_with(name, length, "_PORT");
}

static void complain_unknown(const char *name, size_t length, FILE *errors)
{
	const struct setting *near = NULL;
	size_t nearest = 5;

	for (size_t i = 0; i < SETTINGS; i++) {
		size_t d = distance(name, length, settings[i].name);
		if (d < nearest) {
			nearest = d;
			near = &settings[i];
		}
	}
	fprintf(errors, "%.*s: no such setting; ", (int)length, name);
	if (near != NULL)
		fprintf(errors, "did you mean %s? ", near->name);
	else if (is_service_link(name, length))
		fprintf(errors, "for names that Kubernetes adds set enableServiceLinks: false in the pod. ");
	fprintf(errors, "Unset it, or see --help for the list\n");
}

/* The content of the file without one trailing newline, or NULL after a complaint. */
static const char *read_value_file(struct arena *mem, const char *name, const char *path, FILE *errors)
{
	char *bytes = NULL;
	size_t length = 0;
	FILE *file = fopen(path, "re");

	if (file != NULL) {
		bytes = arena_array(mem, FILE_MAX_BYTES + 2, 1);
		length = fread(bytes, 1, FILE_MAX_BYTES + 1, file);
	}
	if (file == NULL || ferror(file)) {
		fprintf(errors, "%s" FILE_SUFFIX "=%s: %s; name a file that this process may read\n", name,
			path, strerror(errno));
		bytes = NULL;
		goto out;
	}
	if (length > FILE_MAX_BYTES || memchr(bytes, '\0', length) != NULL) {
		fprintf(errors,
			"%s" FILE_SUFFIX "=%s: not a text of at most %zu bytes; is it the right file?\n",
			name, path, FILE_MAX_BYTES);
		bytes = NULL;
		goto out;
	}
	if (length > 0 && bytes[length - 1] == '\n')
		length--;
	bytes[length] = '\0';
out:
	if (file != NULL)
		fclose(file);
	return bytes;
}

static bool parse_int(const char *text, int64_t *out_value)
{
	char *end = NULL;

	if (!isdigit((unsigned char)text[0]) && text[0] != '-')
		return false;
	errno = 0;
	long long value = strtoll(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0')
		return false;
	*out_value = value;
	return true;
}

static bool set_value(struct config *config, const struct setting *s, const char *value, FILE *errors)
{
	if (s->kind == KIND_STR) {
		*str_of(config, s) = value;
		return true;
	}
	int64_t number = 0;
	if (!parse_int(value, &number) || number < s->least || number > s->most) {
		fprintf(errors,
			"%s=%s: must be a whole number from %" PRId64 " to %" PRId64 " (default %" PRId64
			")\n",
			s->name, value, s->least, s->most, s->default_int);
		return false;
	}
	*int_of(config, s) = number;
	return true;
}

static void set_defaults(struct config *config)
{
	*config = (struct config){0};
	for (size_t i = 0; i < SETTINGS; i++) {
		if (settings[i].kind == KIND_INT)
			*int_of(config, &settings[i]) = settings[i].default_int;
		else
			*str_of(config, &settings[i]) = settings[i].default_str;
	}
}

/* One variable of the environment, which begins with PREFIX and holds a '='. */
static bool take_variable(
	struct arena *mem, struct config *config, const char *variable, bool given[SETTINGS], FILE *errors)
{
	size_t length = (size_t)(strchr(variable, '=') - variable);
	const char *value = variable + length + 1;
	bool from_file = false;

	const struct setting *s = setting_meant(variable, length, &from_file);
	if (s == NULL) {
		complain_unknown(variable, length, errors);
		return false;
	}
	if (given[s - settings]) {
		fprintf(errors, "%s: set both directly and as %s" FILE_SUFFIX "; unset one of them\n",
			s->name, s->name);
		return false;
	}
	given[s - settings] = true;
	if (from_file)
		value = read_value_file(mem, s->name, value, errors);
	else
		value = arena_strdup(mem, value);
	return value != NULL && set_value(config, s, value, errors);
}

enum status config_load(struct arena *mem, struct config *out_config, FILE *errors)
{
	struct config config;
	bool given[SETTINGS] = {false};
	bool ok = true;

	set_defaults(&config);
	for (char **variable = environ; variable != NULL && *variable != NULL; variable++) {
		if (strncmp(*variable, PREFIX, strlen(PREFIX)) != 0 || strchr(*variable, '=') == NULL)
			continue;
		ok = take_variable(mem, &config, *variable, given, errors) && ok;
	}
	if (level_of(config.log_level) < 0) {
		fprintf(errors, "GUILDHALL_LOG_LEVEL=%s: must be debug, info, warn or error\n",
			config.log_level);
		ok = false;
	}
	if (!ok)
		return STATUS_FIELD_INVALID;
	*out_config = config;
	return STATUS_OK;
}

void config_print(const struct config *config, FILE *out)
{
	struct config copy = *config;

	for (size_t i = 0; i < SETTINGS; i++) {
		const struct setting *s = &settings[i];
		if (s->kind == KIND_INT)
			fprintf(out, "%s=%" PRId64, s->name, *int_of(&copy, s));
		else if (s->secrecy == SECRET && **str_of(&copy, s) != '\0')
			fprintf(out, "%s=****", s->name);
		else
			fprintf(out, "%s=%s", s->name, *str_of(&copy, s));
		fprintf(out, " # %s\n", s->meaning);
	}
}

const char **config_list(struct arena *mem, const char *value, size_t *out_count)
{
	size_t most = 2, count = 0;

	for (const char *c = value; *c != '\0'; c++)
		most += *c == ',';
	const char **items = ARENA_ARRAY(mem, most, const char *);
	while (*value != '\0') {
		size_t length = strcspn(value, ",");
		const char *begin = value, *end = value + length;
		value = *end == ',' ? end + 1 : end;
		while (begin < end && isspace((unsigned char)*begin))
			begin++;
		while (end > begin && isspace((unsigned char)end[-1]))
			end--;
		if (begin < end)
			items[count++] = arena_strndup(mem, begin, (size_t)(end - begin));
	}
	*out_count = count;
	return items;
}

static const char *purpose(const char *service)
{
	static const struct {
		const char *service, *purpose;
	} known[] = {
		{"api", "the REST side of Guildhall: every dialect's HTTP requests, and the accounts"},
		{"gateway", "the websocket side of Guildhall: events to clients, in order and without gaps"},
		{"messaging", "owner of channels, messages and everything that hangs from them"},
		{"moderation",
			"owner of teams, members, roles and every other row from which a right follows"},
		{"presence", "owner of who is online, typing and in voice"},
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(known[i].service, service) == 0)
			return known[i].purpose;
	return "a process of Guildhall, the team-chat backend";
}

static void print_help(const char *service)
{
	printf("guildhall-%s %s: %s.\n\n", service, GUILDHALL_VERSION, purpose(service));
	printf("usage: guildhall-%s [--check-config | --version | --help]\n", service);
	printf("  --check-config  print the effective settings, secrets masked, and exit; 2 when one is "
	       "wrong\n\n");
	printf("Settings come from the environment; NAME_FILE names a file that holds NAME's value.\n");
	for (size_t i = 0; i < SETTINGS; i++) {
		const struct setting *s = &settings[i];
		printf("  %s\n        %s", s->name, s->meaning);
		if (s->kind == KIND_INT)
			printf(" (%" PRId64 "; %" PRId64 " to %" PRId64 ")\n", s->default_int, s->least,
				s->most);
		else if (s->default_str[0] != '\0')
			printf(" (%s)\n", s->default_str);
		else
			printf("\n");
	}
}

/* glibc opens an arena of its own for almost every thread, up to 8 a core, and gives little of it back; two
 * are enough for us, since requests allocate from their struct arena. */
#define MALLOC_ARENAS 2
/* Under the 2 MiB of a huge page: where the kernel hands those out unasked, the first touch of glibc's 8 MiB
 * stacks costs one for each of api's 256 workers. */
#define THREAD_STACK_BYTES ((size_t)1 << 20)

static void limit_memory(void)
{
	pthread_attr_t attr;

	mallopt(M_ARENA_MAX, MALLOC_ARENAS);
	if (pthread_attr_init(&attr) != 0)
		return;
	if (pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES) == 0)
		pthread_setattr_default_np(&attr);
	pthread_attr_destroy(&attr);
}

void config_main(int argc, char **argv, const char *service, struct arena *mem, struct config *out_config)
{
	bool check_only = false;

	limit_memory();
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			print_help(service);
			exit(0);
		}
		if (strcmp(argv[i], "--version") == 0) {
			printf("guildhall-%s %s\n", service, GUILDHALL_VERSION);
			exit(0);
		}
		if (strcmp(argv[i], "--check-config") != 0) {
			fprintf(stderr, "guildhall-%s: %s: no such option; try --help\n", service, argv[i]);
			exit(2);
		}
		check_only = true;
	}
	if (config_load(mem, out_config, stderr) != STATUS_OK)
		exit(2);
	if (check_only) {
		config_print(out_config, stdout);
		exit(0);
	}
	log_init(service, (enum log_level)level_of(out_config->log_level));
}
