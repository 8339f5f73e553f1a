#include "common/ops/metrics.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/ops/ops.h"

struct metrics metrics;

/* Upper bounds; what is above the last falls into the last bucket, +Inf. Permanent, as names are: a
 * dashboard's quantiles must not jump. */
static const struct {
	int64_t us;
	const char *seconds;
} bounds[] = {
	{50, "0.00005"},
	{100, "0.0001"},
	{250, "0.00025"},
	{500, "0.0005"},
	{1000, "0.001"},
	{2500, "0.0025"},
	{5000, "0.005"},
	{10000, "0.01"},
	{25000, "0.025"},
	{50000, "0.05"},
	{100000, "0.1"},
	{250000, "0.25"},
	{500000, "0.5"},
	{1000000, "1"},
	{2500000, "2.5"},
	{5000000, "5"},
	{10000000, "10"},
	{30000000, "30"},
	{60000000, "60"},
};

#define BOUNDS (sizeof bounds / sizeof *bounds)

_Static_assert(BOUNDS + 1 == sizeof metrics.http_seconds.buckets / sizeof *metrics.http_seconds.buckets,
	"a bucket for each bound and one above");

enum kind { KIND_COUNTER, KIND_GAUGE, KIND_HISTOGRAM };

static const struct row {
	enum kind kind;
	const char *name, *labels, *help;
	const void *value;
} rows[] = {
#define COUNTER(field, name, labels, help)   {KIND_COUNTER, name, labels, help, &metrics.field},
#define GAUGE(field, name, labels, help)     {KIND_GAUGE, name, labels, help, &metrics.field},
#define HISTOGRAM(field, name, labels, help) {KIND_HISTOGRAM, name, labels, help, &metrics.field},
#include "common/ops/metrics.tbl.h"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
};

void metric_observe_us(struct metric_histogram *h, int64_t us)
{
	size_t i = 0;

	if (us < 0)
		us = 0;
	while (i < BOUNDS && us > bounds[i].us)
		i++;
	atomic_fetch_add_explicit(&h->buckets[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&h->count, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&h->sum_us, (uint64_t)us, memory_order_relaxed);
}

struct page {
	struct arena *mem;
	char *bytes;
	size_t length, capacity;
};

static void print(struct page *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void print(struct page *p, const char *format, ...)
{
	va_list args;

	for (;;) {
		size_t room = p->capacity - p->length;
		va_start(args, format);
		size_t n = (size_t)vsnprintf(p->bytes + p->length, room, format, args);
		va_end(args);
		if (n < room) {
			p->length += n;
			return;
		}
		p->bytes = arena_grow(p->mem, p->bytes, p->capacity, p->capacity * 2 + n);
		p->capacity = p->capacity * 2 + n;
	}
}

static void print_head(struct page *p, const char *name, const char *type, const char *help)
{
	print(p, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_plain(struct page *p, const char *name, const char *type, const char *help, double value)
{
	print_head(p, name, type, help);
	print(p, "%s %.15g\n", name, value);
}

static void print_name(struct page *p, const struct row *row, const char *suffix, const char *le)
{
	bool labels = row->labels[0] != '\0';

	print(p, "%s%s", row->name, suffix);
	if (labels || le != NULL)
		print(p, "{%s", row->labels);
	if (le != NULL)
		print(p, "%sle=\"%s\"", labels ? "," : "", le);
	print(p, labels || le != NULL ? "} " : " ");
}

static void print_histogram(struct page *p, const struct row *row)
{
	const struct metric_histogram *h = row->value;
	uint64_t sum_us = atomic_load_explicit(&h->sum_us, memory_order_relaxed);
	uint64_t below = 0;

	/* The count is the sum of what was just read, so that it never contradicts the buckets. */
	for (size_t i = 0; i <= BOUNDS; i++) {
		below += atomic_load_explicit(&h->buckets[i], memory_order_relaxed);
		print_name(p, row, "_bucket", i < BOUNDS ? bounds[i].seconds : "+Inf");
		print(p, "%" PRIu64 "\n", below);
	}
	print_name(p, row, "_sum", NULL);
	print(p, "%.6f\n", (double)sum_us / 1e6);
	print_name(p, row, "_count", NULL);
	print(p, "%" PRIu64 "\n", below);
}

static void print_row(struct page *p, const struct row *row)
{
	switch (row->kind) {
	case KIND_COUNTER:
		print_name(p, row, "", NULL);
		print(p, "%" PRIu64 "\n",
			atomic_load_explicit((const _Atomic uint64_t *)row->value, memory_order_relaxed));
		return;
	case KIND_GAUGE:
		print_name(p, row, "", NULL);
		print(p, "%" PRId64 "\n",
			atomic_load_explicit((const _Atomic int64_t *)row->value, memory_order_relaxed));
		return;
	case KIND_HISTOGRAM:
		print_histogram(p, row);
		return;
	}
}

/* Fields of /proc/self/stat behind the name in parentheses, which may hold anything: proc(5), from "state"
 * on. */
struct stat_fields {
	unsigned long long utime, stime, threads, start_time, virtual_bytes, resident_pages;
};

static bool read_stat(struct stat_fields *out)
{
	char text[1024];
	FILE *file = fopen("/proc/self/stat", "re");

	if (file == NULL)
		return false;
	size_t n = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	text[n] = '\0';
	const char *behind = strrchr(text, ')');
	return behind != NULL && sscanf(behind + 1,
					 " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d "
					 "%*d %llu %*d %llu %llu %llu",
					 &out->utime, &out->stime, &out->threads, &out->start_time,
					 &out->virtual_bytes, &out->resident_pages) == 6;
}

/* 0: not known, as when no file is left to look with. */
static int count_fds(void)
{
	int count = 0;
	DIR *dir = opendir("/proc/self/fd");

	if (dir == NULL)
		return 0;
	errno = 0;
	while (readdir(dir) != NULL)
		count++;
	bool whole = errno == 0;
	closedir(dir);
	return whole ? count - 3 : 0; /* ".", ".." and the one that lists them */
}

static double boot_seconds(void)
{
	struct timespec wall, since_boot;

	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_BOOTTIME, &since_boot);
	return (double)(wall.tv_sec - since_boot.tv_sec) + (double)(wall.tv_nsec - since_boot.tv_nsec) / 1e9;
}

static void print_process(struct page *p)
{
	struct stat_fields st = {0};
	struct rlimit fds = {0};
	double ticks = (double)sysconf(_SC_CLK_TCK);

	if (read_stat(&st)) {
		print_plain(p, "process_cpu_seconds_total", "counter", "user and system time",
			(double)(st.utime + st.stime) / ticks);
		print_plain(p, "process_resident_memory_bytes", "gauge", "resident memory",
			(double)st.resident_pages * (double)sysconf(_SC_PAGESIZE));
		print_plain(p, "process_virtual_memory_bytes", "gauge", "address space",
			(double)st.virtual_bytes);
		print_plain(p, "process_threads", "gauge", "threads", (double)st.threads);
		print_plain(p, "process_start_time_seconds", "gauge", "start, Unix time",
			boot_seconds() + (double)st.start_time / ticks);
	}
	int open_fds = count_fds();
	if (open_fds > 0)
		print_plain(p, "process_open_fds", "gauge", "open file descriptors", open_fds);
	if (getrlimit(RLIMIT_NOFILE, &fds) == 0)
		print_plain(p, "process_max_fds", "gauge", "the most file descriptors", (double)fds.rlim_cur);
}

const char *metrics_render(struct arena *mem, const char *service, size_t *out_length)
{
	static const char *const types[] = {"counter", "gauge", "histogram"};
	struct page p = {.mem = mem, .capacity = 32768};

	p.bytes = arena_grow(mem, NULL, 0, p.capacity);
	print_process(&p);
	print_head(&p, "guildhall_build_info", "gauge", "1, labelled with what runs");
	print(&p, "guildhall_build_info{service=\"%s\",version=\"%s\"} 1\n", service, GUILDHALL_VERSION);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (i == 0 || strcmp(rows[i].name, rows[i - 1].name) != 0)
			print_head(&p, rows[i].name, types[rows[i].kind], rows[i].help);
		print_row(&p, &rows[i]);
	}
	*out_length = p.length;
	return p.bytes;
}
