/*
 * rpc_bench - calls a second over ipc:// between this process and itself, with N threads that each have one call in
 * flight. Prints one JSON line: the median of the rounds.
 *   rpc_bench [threads=64] [seconds=2] [rounds=3]
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/rpc/rpc.h"
#include "common/rpc/stubs.h"

#define SAMPLES_MOST 200000

struct caller {
	pthread_t thread;
	struct rpc_client *client;
	_Atomic bool *stop;
	uint64_t calls, failed;
	uint32_t *samples_us;
	size_t sample_count;
};

static void answer_heads(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_StreamHeadsRequest *rq = request;
	pb_StreamHeadsReply *out = reply;

	out->heads = rq->streams; /* lives in call->mem as well */
	out->heads_count = rq->streams_count;
	rpc_finish(call);
}

static void *caller_main(void *arg)
{
	struct caller *me = arg;
	pb_StreamHead head = {.rank = 1, .stream_id = 42, .seq = 7};
	pb_StreamHeadsRequest rq = {.streams_count = 1, .streams = &head};
	struct arena *mem = arena_create();

	while (!atomic_load_explicit(me->stop, memory_order_relaxed)) {
		pb_StreamHeadsReply reply;
		struct rpc_outcome outcome;
		int64_t began = clock_mono_us();
		enum status st = messaging_stream_heads(me->client, mem, &(struct rpc_context){.actor_id = 1}, &rq, &reply, &outcome);
		if (st != STATUS_OK || reply.heads_count != 1 || reply.heads[0].seq != 7)
			me->failed++;
		me->calls++;
		if (me->sample_count < SAMPLES_MOST)
			me->samples_us[me->sample_count++] = (uint32_t)(clock_mono_us() - began);
		arena_reset(mem);
	}
	arena_destroy(mem);
	return NULL;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

struct round {
	double calls_per_s;
	uint32_t p50_us, p99_us;
	uint64_t failed;
};

static struct round run_round(struct rpc_client *client, size_t threads, int seconds)
{
	struct caller *callers = calloc(threads, sizeof *callers);
	_Atomic bool stop = false;
	struct round result = {0};
	uint64_t calls = 0;
	size_t count = 0;
	uint32_t *all = malloc(threads * SAMPLES_MOST * sizeof *all);
	int64_t began = clock_mono_us();

	for (size_t i = 0; i < threads; i++) {
		callers[i].client = client;
		callers[i].stop = &stop;
		callers[i].samples_us = malloc(SAMPLES_MOST * sizeof(uint32_t));
		pthread_create(&callers[i].thread, NULL, caller_main, &callers[i]);
	}
	sleep((unsigned)seconds);
	atomic_store(&stop, true);
	for (size_t i = 0; i < threads; i++) {
		pthread_join(callers[i].thread, NULL);
		calls += callers[i].calls;
		result.failed += callers[i].failed;
		memcpy(all + count, callers[i].samples_us, callers[i].sample_count * sizeof *all);
		count += callers[i].sample_count;
		free(callers[i].samples_us);
	}
	result.calls_per_s = (double)calls * 1e6 / (double)(clock_mono_us() - began);
	qsort(all, count, sizeof *all, by_value);
	if (count > 0) {
		result.p50_us = all[count / 2];
		result.p99_us = all[count * 99 / 100];
	}
	free(all);
	free(callers);
	return result;
}

int main(int argc, char **argv)
{
	size_t threads = argc > 1 ? (size_t)atoi(argv[1]) : 64;
	int seconds = argc > 2 ? atoi(argv[2]) : 2;
	int rounds = argc > 3 ? atoi(argv[3]) : 3;
	char directory[] = "/tmp/guildhall-bench-XXXXXX";
	char address[128];
	struct rpc_binding binding = {&rpc_messaging_stream_heads, answer_heads};
	struct rpc_server *server = NULL;
	struct rpc_client *client = NULL;
	struct round done[15];

	log_init("rpc_bench", LOG_WARN);
	if (mkdtemp(directory) == NULL)
		return 1;
	snprintf(address, sizeof address, "ipc://%s/rpc", directory);
	struct rpc_server_options options = {.listen = address, .bindings = &binding, .binding_count = 1, .workers = 2};
	if (rpc_server_start(&options, &server) != STATUS_OK || rpc_client_create("messaging", address, false, &client) != STATUS_OK)
		return 1;
	if (rounds < 1 || rounds > 15)
		rounds = 3;
	for (int i = 0; i < rounds; i++) {
		struct round r = run_round(client, threads, seconds);
		int at = i;
		for (; at > 0 && done[at - 1].calls_per_s > r.calls_per_s; at--)
			done[at] = done[at - 1];
		done[at] = r;
	}
	struct round median = done[rounds / 2];
	struct rusage used;
	getrusage(RUSAGE_SELF, &used);
	printf("{\"bench\":\"rpc\",\"transport\":\"ipc\",\"threads\":%zu,\"calls_per_s\":%.0f,\"p50_us\":%u,\"p99_us\":%u,\"failed\":%llu,"
	       "\"cores\":%ld,\"cpu_s\":%.1f,\"version\":\"%s\"}\n",
		threads, median.calls_per_s, median.p50_us, median.p99_us, (unsigned long long)median.failed,
		sysconf(_SC_NPROCESSORS_ONLN),
		(double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6,
		GUILDHALL_VERSION);
	rpc_client_destroy(client);
	rpc_server_stop(server);
	unlink(address + strlen("ipc://"));
	rmdir(directory);
	return median.failed == 0 ? 0 : 1;
}
