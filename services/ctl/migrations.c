/*
 * migrations - migrate up, down and status, on common/db/migrate.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/db/migrate.h"
#include "services/ctl/commands.h"

#define STEPS_MOST 1000

/* The first folder that is there; an explicit one is taken as it is. */
static const char *folder_of(struct ctl *ctl, const char *given)
{
	if (given != NULL)
		return given;
	if (ctl->config.migrations[0] != '\0')
		return ctl->config.migrations;
	if (access(GUILDHALL_MIGRATIONS_INSTALLED, R_OK | X_OK) == 0)
		return GUILDHALL_MIGRATIONS_INSTALLED;
	return "migrations";
}

static enum ctl_exit fail_migrate(struct ctl *ctl, enum status st, const char *why, const char *folder)
{
	const char *hint = NULL;

	if (st == STATUS_FIELD_INVALID)
		hint = arena_printf(ctl->mem, "The folder was %s; --dir FOLDER or GUILDHALL_MIGRATIONS name another.", folder);
	else if (st == STATUS_CONFLICT)
		hint = "guildhallctl migrate status shows which version it is. Run the guildhallctl of the newest version installed.";
	else if (st == STATUS_BUSY)
		hint = "Is PostgreSQL running, and is GUILDHALL_DB_URL right? If another migration runs, wait for it.";
	return ctl_fail(ctl, st, hint, "%s", why != NULL ? why : status_text(st));
}

static void show_progress(void *arg, const char *direction, const struct migration *m, enum status st)
{
	struct ctl *ctl = arg;

	if (!ctl->json)
		printf("%s %s_%s: %s\n", direction, m->version, m->name, st == STATUS_OK ? "done" : "failed");
}

static enum ctl_exit begin(struct ctl *ctl, const char *dir, struct migrate_options *out, const char **out_why)
{
	*out = (struct migrate_options){
		.url = ctl->config.db_url,
		.folder = folder_of(ctl, dir),
		.progress = show_progress,
		.arg = ctl,
		.out_why = out_why,
	};
	if (ctl->config.db_url[0] == '\0')
		return ctl_fail(ctl, STATUS_FIELD_INVALID,
			"Set it to the connection string of the primary, as in \"host=db dbname=guildhall user=guildhall\".",
			"GUILDHALL_DB_URL is not set");
	return CTL_OK;
}

static enum ctl_exit say_count(struct ctl *ctl, const char *key, size_t count, const char *none)
{
	struct json_writer w;

	if (ctl->json) {
		jw_begin(&w, ctl->mem, 64);
		jw_object(&w);
		jw_kv(&w, u64, key, count);
		jw_object_end(&w);
		ctl_print_object(&w);
	} else if (count == 0) {
		printf("%s\n", none);
	}
	return CTL_OK;
}

enum ctl_exit migrate_up_command(struct ctl *ctl, int argc, char **argv)
{
	const char *dir = NULL, *why = NULL;
	const struct ctl_option options[] = {{"--dir", CTL_TEXT, &dir, 0, 0}};
	struct migrate_options migrate;
	size_t count = 0;
	enum status st;
	enum ctl_exit rc = ctl_arguments(ctl, argc, argv, options, 1, 0, 0, NULL, NULL);

	if (rc == CTL_OK)
		rc = begin(ctl, dir, &migrate, &why);
	if (rc != CTL_OK)
		return rc;
	st = migrate_up(&migrate, ctl->mem, &count);
	if (st != STATUS_OK)
		return fail_migrate(ctl, st, why, migrate.folder);
	return say_count(ctl, "applied", count, "the schema is up to date");
}

enum ctl_exit migrate_down_command(struct ctl *ctl, int argc, char **argv)
{
	const char *dir = NULL, *why = NULL, *steps_text = NULL;
	int64_t steps = 1;
	const struct ctl_option options[] = {{"--dir", CTL_TEXT, &dir, 0, 0}};
	struct migrate_options migrate;
	size_t count = 0;
	enum status st;
	enum ctl_exit rc = ctl_arguments(ctl, argc, argv, options, 1, 0, 1, &steps_text, NULL);

	if (rc != CTL_OK)
		return rc;
	if (steps_text != NULL) {
		char rest = '\0';

		if (sscanf(steps_text, "%" SCNd64 "%c", &steps, &rest) != 1 || steps < 1 || steps > STEPS_MOST)
			return ctl_misuse(ctl, "N is a number from 1 to %d", STEPS_MOST);
	}
	rc = begin(ctl, dir, &migrate, &why);
	if (rc != CTL_OK)
		return rc;
	st = migrate_down(&migrate, ctl->mem, (size_t)steps, &count);
	if (st != STATUS_OK)
		return fail_migrate(ctl, st, why, migrate.folder);
	return say_count(ctl, "taken_back", count, "nothing is applied");
}

static void print_list(struct ctl *ctl, const struct migration *list, size_t count, bool current)
{
	struct json_writer w;

	if (ctl->json) {
		jw_begin(&w, ctl->mem, 256);
		jw_object(&w);
		jw_kv(&w, bool, "current", current);
		jw_key(&w, "migrations");
		jw_array(&w);
	}
	for (size_t i = 0; i < count; i++) {
		char at[CLOCK_RFC3339_SIZE] = "";

		if (ctl->json) {
			jw_object(&w);
			jw_kv(&w, str, "version", list[i].version);
			jw_kv(&w, str, "name", list[i].name);
			jw_kv(&w, str, "state", migration_state_word(list[i].state));
			jw_kv(&w, time, "applied_at", list[i].applied_at_ms);
			jw_object_end(&w);
			continue;
		}
		if (list[i].applied_at_ms != 0)
			clock_format_rfc3339(list[i].applied_at_ms, at);
		printf("%-16s %-24s %-8s %s\n", list[i].version, list[i].name, migration_state_word(list[i].state), at);
	}
	if (ctl->json) {
		jw_array_end(&w);
		jw_object_end(&w);
		ctl_print_object(&w);
	}
}

enum ctl_exit migrate_status_command(struct ctl *ctl, int argc, char **argv)
{
	const char *dir = NULL, *why = NULL;
	const struct ctl_option options[] = {{"--dir", CTL_TEXT, &dir, 0, 0}};
	struct migrate_options migrate;
	struct migration *list = NULL;
	size_t count = 0;
	bool current = true;
	enum status st;
	enum ctl_exit rc = ctl_arguments(ctl, argc, argv, options, 1, 0, 0, NULL, NULL);

	if (rc == CTL_OK)
		rc = begin(ctl, dir, &migrate, &why);
	if (rc != CTL_OK)
		return rc;
	st = migrate_status(&migrate, ctl->mem, &list, &count);
	if (st != STATUS_OK)
		return fail_migrate(ctl, st, why, migrate.folder);
	for (size_t i = 0; i < count; i++)
		current = current && list[i].state == MIGRATION_APPLIED;
	print_list(ctl, list, count, current);
	return current ? CTL_OK : CTL_FAILED;
}
