/*
 * ops - the small HTTP listener of every process (/healthz, /readyz, /metrics) and the metrics behind it.
 * /healthz: 200 while the process runs. /readyz (503 until the first check is added): 200 {"ready":true,"checks":[{"name","ok","detail"}]} or 503.
 * /metrics: Prometheus text 0.0.4 with the process metrics (cpu, rss, fds, start time, threads) and ours.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/config.h"
#include "common/base/status.h"

/* One list of metrics of all processes: common/ops/metrics.tbl.h
 *   COUNTER(field, name, labels or "", help)  GAUGE(...)  HISTOGRAM(field, name, labels, help)  (seconds, fixed buckets)
 * A process that never touches a metric prints it as 0. Names begin with guildhall_. */
struct metric_histogram {
	_Atomic uint64_t buckets[20];
	_Atomic uint64_t count;
	_Atomic uint64_t sum_us;
};

struct metrics {
#define COUNTER(field, name, labels, help) _Atomic uint64_t field;
#define GAUGE(field, name, labels, help) _Atomic int64_t field;
#define HISTOGRAM(field, name, labels, help) struct metric_histogram field;
#include "common/ops/metrics.tbl.h"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
};

extern struct metrics metrics; /* the one exception to "nothing is global": counters have no owner */

void metric_observe_us(struct metric_histogram *h, int64_t us);
#define metric_add(field, n) atomic_fetch_add_explicit(&metrics.field, (n), memory_order_relaxed)
#define metric_set(field, v) atomic_store_explicit(&metrics.field, (v), memory_order_relaxed)

/* A readiness check: returns ok and writes a short text for people. Any thread, must not block over 100 ms. */
typedef bool ops_check(void *arg, char *detail, size_t detail_size);

struct ops;
/* service picks the default port (9101 gateway .. 9105 presence) when config->ops_listen is empty. */
enum status ops_start(const struct config *config, const char *service, struct ops **out_ops);
void ops_add_check(struct ops *ops, const char *name, ops_check *check, void *arg); /* before traffic; any thread */
void ops_set_draining(struct ops *ops); /* /readyz answers 503 from now on */
void ops_stop(struct ops *ops);
uint16_t ops_port(const struct ops *ops);

/*
 * What every main() waits in: blocks SIGTERM, SIGINT and SIGHUP in all threads (call ops_signals_block before the first
 * thread starts), then returns which of the first two came. SIGHUP calls reload in the waiting thread, and the wait goes on; without
 * reload it does nothing. SIGPIPE is ignored.
 */
void ops_signals_block(void);
int ops_signals_wait(void);
int ops_signals_wait_reloading(void (*reload)(void *arg), void *arg);
