/*
 * ops/metrics - the numbers of ops.h as Prometheus text 0.0.4, and those of the process from /proc/self.
 * https://prometheus.io/docs/instrumenting/exposition_formats/ (text format),
 * https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics (names of the process
 * metrics).
 */
#pragma once

#include <stddef.h>

#include "common/base/arena.h"

/* All metrics as text in mem. Any thread; the numbers are read one by one while they go on growing. */
const char *metrics_render(struct arena *mem, const char *service, size_t *out_length);
