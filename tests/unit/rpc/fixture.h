/*
 * A server and clients over ipc:// in a directory of their own, and a handler whose moves the test decides.
 */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/rpc/rpc.h"
#include "common/rpc/stubs.h"
#include "tests/unit/main.h"

#define PATIENCE_MS 20000 /* nothing waits this long unless it is broken */

struct place {
	char directory[64];
	char address[2][96];
};

static inline struct place place_create(void)
{
	struct place at;

	snprintf(at.directory, sizeof at.directory, "/tmp/guildhall-rpc-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(at.directory));
	for (int i = 0; i < 2; i++)
		snprintf(at.address[i], sizeof at.address[i], "ipc://%s/%d", at.directory, i);
	return at;
}

static inline void place_destroy(struct place *at)
{
	for (int i = 0; i < 2; i++)
		unlink(at->address[i] + strlen("ipc://"));
	rmdir(at->directory);
}

/* Handlers of one server: heads answers at once, fetch waits until the test says so, or is kept. */
struct service {
	sem_t entered;
	sem_t go;
	_Atomic int handled;
	pthread_mutex_t lock; /* of what the handler saw last */
	_Atomic bool keeps; /* fetch: the call is put aside instead of waiting */
	struct rpc_call *kept;
	uint64_t actor_id;
	uint64_t request_id_size;
	char trace[40], seen_trace[40], label[80], username[40];
	int64_t remaining_ms;
};

static inline void service_init(struct service *s)
{
	memset(s, 0, sizeof *s);
	sem_init(&s->entered, 0, 0);
	sem_init(&s->go, 0, 0);
	pthread_mutex_init(&s->lock, NULL);
}

static inline void handle_heads(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;
	const pb_StreamHeadsRequest *rq = request;
	pb_StreamHeadsReply *out = reply;

	s->handled++;
	pthread_mutex_lock(&s->lock);
	s->actor_id = call->header->actor_id;
	s->request_id_size = call->header->request_id.size;
	s->remaining_ms = call->deadline_mono_ms - clock_mono_ms();
	snprintf(s->trace, sizeof s->trace, "%s", call->header->trace_id);
	snprintf(s->seen_trace, sizeof s->seen_trace, "%s", log_trace());
	snprintf(s->label, sizeof s->label, "%s", call->header->client_label);
	snprintf(s->username, sizeof s->username, "%s", call->header->has_actor ? call->header->actor.username : "");
	pthread_mutex_unlock(&s->lock);
	if (rq->streams_count == 0) {
		rpc_fail(call, STATUS_FIELD_INVALID, "none given", "streams", "at least one");
		return;
	}
	out->heads = rq->streams;
	out->heads_count = rq->streams_count;
	out->generation = arena_strdup(call->mem, "g1");
	rpc_finish(call);
}

static inline void handle_fetch(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;

	s->handled++;
	if (s->keeps) {
		s->kept = call;
		sem_post(&s->entered);
		return;
	}
	sem_post(&s->entered);
	sem_wait(&s->go);
	rpc_finish(call);
}

static inline struct rpc_server *serve(struct service *s, const char *address, int workers, int queue_limit)
{
	static const struct rpc_binding bindings[] = {
		{&rpc_messaging_stream_heads, handle_heads},
		{&rpc_messaging_fetch_events, handle_fetch},
	};
	struct rpc_server_options options = {
		.listen = address,
		.bindings = bindings,
		.binding_count = 2,
		.service = s,
		.workers = workers,
		.contexts = 32,
		.queue_limit = queue_limit,
	};
	struct rpc_server *server = NULL;

	ck_assert_int_eq(rpc_server_start(&options, &server), STATUS_OK);
	return server;
}

static inline struct rpc_client *connect_to(const char *addresses)
{
	struct rpc_client *client = NULL;

	ck_assert_int_eq(rpc_client_create("messaging", addresses, false, &client), STATUS_OK);
	return client;
}

static inline struct rpc_context within(int timeout_ms)
{
	return (struct rpc_context){.actor_id = 7, .deadline_mono_ms = clock_mono_ms() + timeout_ms};
}

static inline enum status ask_heads(struct rpc_client *client, struct arena *mem, const struct rpc_context *ctx, struct rpc_outcome *out)
{
	pb_StreamHead head = {.rank = 1, .stream_id = 42, .seq = 9};
	pb_StreamHeadsRequest rq = {.streams_count = 1, .streams = &head};
	pb_StreamHeadsReply reply;

	enum status st = messaging_stream_heads(client, mem, ctx, &rq, &reply, out);
	if (st == STATUS_OK) {
		ck_assert_uint_eq(reply.heads_count, 1);
		ck_assert_uint_eq(reply.heads[0].seq, 9);
	}
	return st;
}

/* The end of one asynchronous call. */
struct ending {
	sem_t done;
	enum status status;
	char why[64];
	bool has_reply;
	pthread_t thread;
};

static inline void ending_done(void *arg, struct arena *mem, enum status st, const void *reply, const struct rpc_outcome *outcome)
{
	struct ending *end = arg;

	end->status = st;
	snprintf(end->why, sizeof end->why, "%s", outcome->why != NULL ? outcome->why : "");
	end->has_reply = reply != NULL;
	end->thread = pthread_self();
	arena_destroy(mem);
	sem_post(&end->done);
}

static inline void ending_init(struct ending *end)
{
	memset(end, 0, sizeof *end);
	sem_init(&end->done, 0, 0);
}

static inline void ask_fetch(struct rpc_client *client, const struct rpc_context *ctx, struct ending *end)
{
	ending_init(end);
	messaging_fetch_events_async(client, ctx, &(pb_FetchEventsRequest){.rank = 1}, ending_done, end);
}
