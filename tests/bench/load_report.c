#include "tests/bench/load.h"

#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int64_t now_ns(void)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec * 1000000000LL + at.tv_nsec;
}

/* Below 64 a bucket each; above, the top 6 bits behind the leading one choose among 64 buckets of its power
 * of two. */
static size_t bucket_of(uint64_t value)
{
	if (value < HISTOGRAM_STEPS)
		return value;
	unsigned power = 63 - (unsigned)__builtin_clzll(value);
	return (power - 5) * (size_t)HISTOGRAM_STEPS + ((value >> (power - 6)) & (HISTOGRAM_STEPS - 1));
}

static double bucket_middle(size_t bucket)
{
	if (bucket < HISTOGRAM_STEPS)
		return (double)bucket;
	unsigned power = (unsigned)(bucket / HISTOGRAM_STEPS) + 5;
	double width = (double)(1ULL << (power - 6));
	return (double)(1ULL << power) + ((double)(bucket % HISTOGRAM_STEPS) + 0.5) * width;
}

void histogram_add(struct histogram *h, int64_t value_ns)
{
	uint64_t value = value_ns > 0 ? (uint64_t)value_ns : 0;
	size_t bucket = bucket_of(value);
	if (bucket >= sizeof(h->buckets) / sizeof(h->buckets[0]))
		bucket = sizeof(h->buckets) / sizeof(h->buckets[0]) - 1;
	h->buckets[bucket]++;
	h->count++;
	if (value > h->largest)
		h->largest = value;
}

double histogram_ms(const struct histogram *h, double share)
{
	uint64_t want = (uint64_t)(share * (double)h->count), sum = 0;
	for (size_t i = 0; i < sizeof(h->buckets) / sizeof(h->buckets[0]); i++) {
		sum += h->buckets[i];
		if (sum > want)
			return fmin(bucket_middle(i), (double)h->largest) / 1e6;
	}
	return (double)h->largest / 1e6;
}

void histogram_print(const struct histogram *h, const char *name, FILE *out)
{
	fprintf(out, "\"%s\":{\"count\":%llu,\"p50\":%.3f,\"p99\":%.3f,\"p99.9\":%.3f,\"largest\":%.3f}",
		name, (unsigned long long)h->count, histogram_ms(h, 0.5), histogram_ms(h, 0.99),
		histogram_ms(h, 0.999), (double)h->largest / 1e6);
}

double machine_cpu_s(void)
{
	unsigned long long user = 0, nice = 0, system = 0, irq = 0, softirq = 0;
	FILE *file = fopen("/proc/stat", "r");
	if (file == NULL)
		return 0;
	if (fscanf(file, "cpu %llu %llu %llu %*u %*u %llu %llu", &user, &nice, &system, &irq, &softirq) != 5)
		user = nice = system = irq = softirq = 0;
	fclose(file);
	return (double)(user + nice + system + irq + softirq) / (double)sysconf(_SC_CLK_TCK);
}

static double one_cpu_s(int pid)
{
	char path[64], line[1024];
	unsigned long long user = 0, system = 0;
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	FILE *file = fopen(path, "r");
	if (file == NULL)
		return -1;
	size_t length = fread(line, 1, sizeof(line) - 1, file);
	fclose(file);
	line[length] = 0;
	/* The name is in brackets and may hold anything; utime and stime are the 12th and 13th field behind
	 * it. */
	const char *at = strrchr(line, ')');
	if (at == NULL ||
		sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2)
		return -1;
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

double process_cpu_s(int pid)
{
	char path[64];
	double sum = one_cpu_s(pid);
	int child;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	FILE *file = fopen(path, "r");
	while (file != NULL && fscanf(file, "%d", &child) == 1)
		sum += fmax(one_cpu_s(child), 0);
	if (file != NULL)
		fclose(file);
	return sum;
}

long process_rss_kib(int pid)
{
	char path[64], line[256];
	long kib = -1;
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	FILE *file = fopen(path, "r");
	if (file == NULL)
		return -1;
	while (fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "VmRSS: %ld", &kib) == 1)
			break;
	fclose(file);
	return kib;
}
