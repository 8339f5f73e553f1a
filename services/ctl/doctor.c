#include "services/ctl/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/ctl/commands.h"

void finding_add(struct findings *f, enum finding_kind kind, const char *subject, const char *format, ...)
{
	va_list values;
	char *detail = NULL;

	if (f->count == f->capacity) {
		size_t capacity = f->capacity == 0 ? 32 : f->capacity * 2;

		f->list = arena_grow(f->ctl->mem, f->list, f->capacity * sizeof *f->list, capacity * sizeof *f->list);
		f->capacity = capacity;
	}
	va_start(values, format);
	if (vasprintf(&detail, format, values) < 0)
		detail = NULL;
	va_end(values);
	f->list[f->count++] = (struct finding){kind, subject, arena_strdup(f->ctl->mem, detail == NULL ? "" : detail)};
	free(detail);
}

static const char *kind_word(enum finding_kind kind)
{
	switch (kind) {
	case FINDING_FINE:
		return "ok";
	case FINDING_NOTE:
		return "note";
	case FINDING_BROKEN:
		return "broken";
	}
	return "";
}

static void print_findings(const struct findings *f, bool healthy)
{
	struct json_writer w;

	if (!f->ctl->json) {
		for (size_t i = 0; i < f->count; i++)
			printf("%-7s %-14s %s\n", kind_word(f->list[i].kind), f->list[i].subject, f->list[i].detail);
		printf("%s\n", healthy ? "nothing is broken" : "something is broken");
		return;
	}
	jw_begin(&w, f->ctl->mem, 1024);
	jw_object(&w);
	jw_kv(&w, bool, "ok", healthy);
	jw_kv(&w, str, "version", GUILDHALL_VERSION);
	jw_key(&w, "findings");
	jw_array(&w);
	for (size_t i = 0; i < f->count; i++) {
		jw_object(&w);
		jw_kv(&w, str, "kind", kind_word(f->list[i].kind));
		jw_kv(&w, str, "subject", f->list[i].subject);
		jw_kv(&w, str, "detail", f->list[i].detail);
		jw_object_end(&w);
	}
	jw_array_end(&w);
	jw_object_end(&w);
	ctl_print_object(&w);
}

enum ctl_exit doctor_command(struct ctl *ctl, int argc, char **argv)
{
	struct findings f = {.ctl = ctl};
	const char *ops = NULL;
	const struct ctl_option options[] = {{"--ops", CTL_TEXT, &ops, 0, 0}};
	bool healthy = true;
	enum ctl_exit rc = ctl_arguments(ctl, argc, argv, options, 1, 0, 0, NULL, NULL);

	if (rc != CTL_OK)
		return rc;
	doctor_database(&f);
	doctor_processes(&f, ops);
	for (size_t i = 0; i < f.count; i++)
		healthy = healthy && f.list[i].kind != FINDING_BROKEN;
	print_findings(&f, healthy);
	return healthy ? CTL_OK : CTL_FAILED;
}
