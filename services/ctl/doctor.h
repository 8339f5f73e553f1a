/*
 * doctor - what guildhallctl doctor looks at. A finding is fine, a note (works, but an operator should know) or broken.
 */
#pragma once

#include "services/ctl/ctl.h"

enum finding_kind { FINDING_FINE, FINDING_NOTE, FINDING_BROKEN };

struct finding {
	enum finding_kind kind;
	const char *subject; /* "schema", "api" */
	const char *detail;  /* one sentence; of what is broken also what to do */
};

struct findings {
	struct ctl *ctl;
	struct finding *list;
	size_t count, capacity;
};
void finding_add(struct findings *f, enum finding_kind kind, const char *subject, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

void doctor_database(struct findings *f);
/* ops: host:port list given by hand, or NULL. */
void doctor_processes(struct findings *f, const char *ops);

/* The value of a metric without labels in Prometheus' text; false: not there. */
bool metric_read(const char *text, const char *name, double *out_value);
