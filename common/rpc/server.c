#include <assert.h>
#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/events/events.h"
#include "common/ops/ops.h"
#include "common/rpc/address.h"
#include "common/rpc/batch.h"
#include "common/rpc/closer.h"
#include "common/rpc/ear.h"
#include "common/rpc/rpc.h"
#include "common/rpc/wire.h"

#define DEFAULT_CONTEXTS    512
#define DEFAULT_QUEUE_LIMIT 1024
#define DEFAULT_TIMEOUT_MS  5000 /* of a request that names no time */
#define PING_BYTES          2    /* no other request is so short */
#define CLOSE_PATIENCE_MS   1000
#define STOP_PATIENCE_MS    5000 /* what rpc_server_stop gives handlers that have not finished */

enum slot_state { SLOT_RECEIVING, SLOT_QUEUED, SLOT_RUNNING, SLOT_SENDING };

/* One context of the socket and the call it is busy with. Receiving and sending belong to nng's threads, queued and
 * running to the workers and whoever finishes the call. A call that came in a batch has a slot without a context; the slot that
 * received the batch has no call of its own and sends when the last of them is answered. */
struct slot {
	struct slot *next; /* in the queue, or spare */
	struct rpc_server *server;
	nng_ctx ctx;
	nng_aio *receiving;
	nng_aio *sending;
	enum slot_state state;
	nng_msg *request;
	const uint8_t *bytes; /* of the request: the message's */
	size_t length;
	struct slot *whole; /* the batch it came in, or NULL */
	const uint8_t *answer;
	size_t answer_length;
	struct slot **parts; /* of a batch, in mem */
	size_t part_count;
	_Atomic size_t parts_left; /* not answered yet */
	struct arena *mem;
	struct rpc_call call;
	pb_RpcHeader header;
	void *reply;
	uint32_t arm; /* of the request, also when no method has it */
};

struct rpc_server {
	struct rpc_server_options options;
	nng_socket socket;
	struct ear *ear;
	struct slot *slots;
	size_t slot_count;
	size_t busy_from; /* calls in flight from which on new ones are turned away */
	struct rpc_binding *by_tag; /* method NULL: not served */
	uint32_t tag_count;
	pthread_t *workers;
	size_t worker_count;

	_Atomic size_t in_flight; /* received and not yet answered */
	_Atomic bool draining;

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t work;
	pthread_cond_t quiet; /* in_flight fell while somebody waits for it */
	struct slot *first, *last;
	size_t queued;
	size_t idle;
	bool waking; /* a worker was told and has not looked yet: one at a time, and each tells the next */
	bool stopping;
	struct slot *spare; /* slots without a context */
};

static void slot_receive(struct slot *slot)
{
	slot->state = SLOT_RECEIVING; /* before the call: the callback may run first */
	nng_ctx_recv(slot->ctx, slot->receiving);
}

static void answered(struct rpc_server *server)
{
	if (atomic_fetch_sub(&server->in_flight, 1) == 1 && atomic_load(&server->draining)) {
		pthread_mutex_lock(&server->lock);
		pthread_cond_broadcast(&server->quiet);
		pthread_mutex_unlock(&server->lock);
	}
}

/* One line a call under the request's trace, by which it is followed through the processes. The thread that answers may be at
 * work for somebody else meanwhile: its own trace comes back. */
static void log_served(const struct slot *slot, uint32_t status)
{
	char before[IDS_TRACE_SIZE];

	if (!log_enabled(LOG_DEBUG) || slot->call.method == NULL)
		return;
	strncpy(before, log_trace(), sizeof before - 1);
	before[sizeof before - 1] = 0;
	log_set_trace(slot->header.trace_id);
	log_debug("call_served", LOG_STR("call", slot->call.method->name), LOG_STATUS("status", status_from_number(status)),
		LOG_I64("duration_us", clock_mono_us() - slot->call.began_mono_us));
	log_set_trace(before);
}

/* Takes msg. */
static void slot_send(struct slot *slot, nng_msg *msg)
{
	nng_msg_free(slot->request);
	slot->request = NULL;
	slot->state = SLOT_SENDING; /* before the call: the callback may run first */
	nng_aio_set_msg(slot->sending, msg);
	nng_ctx_send(slot->ctx, slot->sending);
}

/* The slots of a batch that was sent are spare again. */
static void parts_release(struct slot *whole)
{
	struct rpc_server *server = whole->server;
	size_t count = whole->part_count;

	for (size_t i = 0; i < count; i++)
		arena_reset(whole->parts[i]->mem);
	pthread_mutex_lock(&server->lock);
	for (size_t i = 0; i < count; i++) {
		whole->parts[i]->next = server->spare;
		server->spare = whole->parts[i];
	}
	pthread_mutex_unlock(&server->lock);
	whole->part_count = 0;
	arena_reset(whole->mem);
}

/* No memory for the answer: the asker learns it at once by the loss of the connection, as he would by our death. */
static void reply_lost(struct slot *slot)
{
	struct rpc_server *server = slot->server;

	log_error("reply_lost", LOG_STR("why", "out of memory"));
	nng_pipe_close(nng_msg_get_pipe(slot->request));
	nng_msg_free(slot->request);
	slot->request = NULL;
	if (slot->part_count > 0)
		parts_release(slot);
	slot_receive(slot);
	answered(server);
}

/* All of the batch are answered. */
static void batch_answer(struct slot *whole)
{
	const uint8_t *parts[BATCH_MOST];
	size_t lengths[BATCH_MOST];
	nng_msg *msg = NULL;

	for (size_t i = 0; i < whole->part_count; i++) {
		parts[i] = whole->parts[i]->answer;
		lengths[i] = whole->parts[i]->answer_length;
	}
	bool made = nng_msg_alloc(&msg, batch_length(lengths, whole->part_count)) == 0;
	if (made)
		batch_write(nng_msg_body(msg), parts, lengths, whole->part_count);
	/* Whoever gets it may ask again before it is known to be sent; one stays counted until then. */
	atomic_fetch_sub(&whole->server->in_flight, whole->part_count - 1);
	if (made)
		slot_send(whole, msg);
	else
		reply_lost(whole);
}

static void slot_count_call(const struct slot *slot, const pb_RpcResult *result)
{
	if (slot->length == PING_BYTES)
		return;
	metric_add(rpc_served, 1);
	if (result->status == STATUS_BUSY || result->status == STATUS_LATE)
		metric_add(rpc_busy, 1);
	metric_observe_us(&metrics.rpc_seconds, clock_mono_us() - slot->call.began_mono_us);
}

/* Writes the answer and sends it. Any thread, once per received request. */
static void slot_answer(struct slot *slot, const pb_RpcResult *result)
{
	bool has_body = result->status == STATUS_OK && slot->call.method != NULL;
	struct rpc_wire_parts parts = {
		.envelope_fields = pb_RpcResult_fields,
		.envelope = result,
		.arm = has_body ? slot->arm : 0,
		.body_fields = has_body ? slot->call.method->reply : NULL,
		.body = slot->reply,
	};
	pb_RpcResult failed = {.status = STATUS_INTERNAL};
	struct slot *whole = slot->whole;
	nng_msg *msg = NULL;
	uint8_t *out;

	enum status st = rpc_wire_measure(&parts);
	if (st != STATUS_OK) {
		log_error("reply_not_encodable", LOG_STR("call", slot->call.method != NULL ? slot->call.method->name : ""),
			LOG_STATUS("status", st), LOG_U64("size_bytes", parts.length));
		failed.status = st == STATUS_TOO_LARGE ? STATUS_TOO_LARGE : STATUS_INTERNAL;
		parts = (struct rpc_wire_parts){.envelope_fields = pb_RpcResult_fields, .envelope = &failed};
		(void)rpc_wire_measure(&parts); /* two bytes */
	}
	if (whole != NULL)
		out = arena_alloc(slot->mem, parts.length);
	else
		out = nng_msg_alloc(&msg, parts.length) == 0 ? nng_msg_body(msg) : NULL;
	if (out != NULL && rpc_wire_write(&parts, out) != STATUS_OK) {
		log_error("reply_not_written", LOG_U64("size_bytes", parts.length));
		abort(); /* it was measured: our own mistake */
	}
	log_served(slot, result->status);
	slot_count_call(slot, result);
	if (whole == NULL) {
		arena_reset(slot->mem);
		if (msg != NULL)
			slot_send(slot, msg);
		else
			reply_lost(slot);
		return;
	}
	slot->state = SLOT_SENDING;
	slot->answer = out;
	slot->answer_length = parts.length;
	if (atomic_fetch_sub(&whole->parts_left, 1) == 1)
		batch_answer(whole);
}

static void slot_refuse(struct slot *slot, enum status st, const char *why)
{
	pb_RpcResult result = {.status = (uint32_t)st, .why = (char *)(uintptr_t)why};

	slot_answer(slot, &result);
}

/* Runs on an nng thread. */
static void slot_sent(void *arg)
{
	struct slot *slot = arg;

	/* A peer that went meanwhile wants no answer; a failed send leaves the message ours. */
	int rv = nng_aio_result(slot->sending);
	if (rv != 0) {
		nng_msg_free(nng_aio_get_msg(slot->sending));
		nng_aio_set_msg(slot->sending, NULL);
	}
	if (slot->part_count > 0)
		parts_release(slot);
	struct rpc_server *server = slot->server;
	if (rv != NNG_ECLOSED && rv != NNG_ECANCELED)
		slot_receive(slot);
	answered(server);
}

static struct slot *part_create(struct rpc_server *server)
{
	struct slot *part = calloc(1, sizeof *part);

	if (part == NULL) {
		log_error("out_of_memory", LOG_U64("size_bytes", sizeof *part));
		abort();
	}
	part->server = server;
	part->mem = arena_create();
	return part;
}

static void slot_begin(struct slot *slot, const uint8_t *bytes, size_t length, int64_t now_mono_us)
{
	slot->bytes = bytes;
	slot->length = length;
	slot->arm = 0;
	slot->call = (struct rpc_call){.mem = slot->mem, .header = &slot->header, .internal = slot, .began_mono_us = now_mono_us};
}

/* The calls of a batch, each in a slot. False: it is none, or malformed, which its one slot will find out. */
static bool parts_begin(struct slot *whole)
{
	struct rpc_server *server = whole->server;
	const uint8_t *bytes[BATCH_MOST];
	size_t lengths[BATCH_MOST];
	size_t count = batch_split(whole->bytes, whole->length, bytes, lengths);

	if (count == 0)
		return false;
	whole->parts = ARENA_ARRAY(whole->mem, count, struct slot *);
	pthread_mutex_lock(&server->lock);
	for (size_t i = 0; i < count && server->spare != NULL; i++) {
		whole->parts[i] = server->spare;
		server->spare = server->spare->next;
	}
	pthread_mutex_unlock(&server->lock);
	for (size_t i = 0; i < count; i++) {
		if (whole->parts[i] == NULL)
			whole->parts[i] = part_create(server);
		slot_begin(whole->parts[i], bytes[i], lengths[i], whole->call.began_mono_us);
		whole->parts[i]->whole = whole;
	}
	whole->part_count = count;
	atomic_store(&whole->parts_left, count);
	return true;
}

/* For the workers. False: there is no room. */
static bool queue_put(struct rpc_server *server, struct slot *const *slots, size_t count)
{
	bool wake = false;

	pthread_mutex_lock(&server->lock);
	bool room = !server->stopping && server->queued + count <= (size_t)server->options.queue_limit;
	for (size_t i = 0; room && i < count; i++) {
		slots[i]->state = SLOT_QUEUED;
		slots[i]->next = NULL;
		if (server->last != NULL)
			server->last->next = slots[i];
		else
			server->first = slots[i];
		server->last = slots[i];
		server->queued++;
	}
	if (room && server->idle > 0 && !server->waking)
		wake = server->waking = true;
	pthread_mutex_unlock(&server->lock);
	if (wake)
		pthread_cond_signal(&server->work);
	return room;
}

/* Runs on an nng thread, once per request. Decodes nothing: that is the workers' time. */
static void slot_received(void *arg)
{
	struct slot *slot = arg;
	struct rpc_server *server = slot->server;

	int rv = nng_aio_result(slot->receiving);
	if (rv != 0) {
		if (rv != NNG_ECLOSED && rv != NNG_ECANCELED)
			slot_receive(slot);
		return;
	}
	slot->request = nng_aio_get_msg(slot->receiving);
	nng_aio_set_msg(slot->receiving, NULL);
	if (slot->request == NULL) { /* as in the client: ended well, with nothing to show for it */
		slot_receive(slot);
		return;
	}
	slot_begin(slot, nng_msg_body(slot->request), nng_msg_len(slot->request), clock_mono_us());

	/* An empty envelope asks whether the connection lives (peer_ping), not whether a worker is free. */
	if (slot->length == PING_BYTES) {
		atomic_fetch_add(&server->in_flight, 1);
		slot_answer(slot, &(pb_RpcResult){.status = STATUS_OK});
		return;
	}
	bool batch = parts_begin(slot);
	size_t count = batch ? slot->part_count : 1;
	struct slot *const *calls = batch ? slot->parts : &slot;
	size_t in_flight = atomic_fetch_add(&server->in_flight, count) + count;
	const char *why = NULL;
	/* Counted before it is asked: whoever sets `draining` and then reads 0 in flight is right. */
	if (atomic_load(&server->draining))
		why = "draining";
	else if (in_flight > server->busy_from || !queue_put(server, calls, count))
		why = "overloaded";
	/* The last refusal sends the batch, and with it everything that `calls` lies in may be another's. */
	for (size_t i = 0; why != NULL && i < count; i++)
		slot_refuse(calls[i], STATUS_BUSY, why);
}

/* The bytes of a request as a call, or the status it earns. */
static enum status slot_decode(struct slot *slot, const struct rpc_binding **out_binding, void **out_request)
{
	struct rpc_server *server = slot->server;
	struct rpc_wire wire;

	enum status st = rpc_wire_split(slot->bytes, slot->length, &wire);
	if (st == STATUS_OK)
		st = pb_decode_sized(slot->mem, pb_RpcHeader_fields, sizeof slot->header, &slot->header, wire.envelope,
			wire.envelope_length);
	if (st != STATUS_OK)
		return st;
	int64_t remaining_ms = slot->header.remaining_ms != 0 ? slot->header.remaining_ms : DEFAULT_TIMEOUT_MS;
	slot->call.deadline_mono_ms = slot->call.began_mono_us / 1000 + remaining_ms;
	if (clock_mono_ms() > slot->call.deadline_mono_ms)
		return STATUS_LATE;
	const struct rpc_binding *binding = wire.arm < server->tag_count ? &server->by_tag[wire.arm] : NULL;
	if (binding == NULL || binding->method == NULL)
		return STATUS_NOT_IMPLEMENTED;
	slot->arm = wire.arm;
	slot->call.method = binding->method;
	*out_request = arena_alloc(slot->mem, binding->method->request_size);
	slot->reply = arena_alloc(slot->mem, binding->method->reply_size);
	*out_binding = binding;
	return pb_decode_sized(slot->mem, binding->method->request, binding->method->request_size, *out_request, wire.body,
		wire.body_length);
}

static void slot_run(struct slot *slot)
{
	const struct rpc_binding *binding = NULL;
	void *request = NULL;

	slot->state = SLOT_RUNNING;
	enum status st = slot_decode(slot, &binding, &request);
	if (st == STATUS_MALFORMED) {
		log_warn("request_malformed", LOG_U64("size_bytes", slot->length));
		nng_pipe_close(nng_msg_get_pipe(slot->whole != NULL ? slot->whole->request : slot->request));
	}
	if (st != STATUS_OK) {
		slot->call.method = NULL;
		slot_refuse(slot, st, st == STATUS_LATE ? "waited too long for a worker" : NULL);
		return;
	}
	log_set_trace(slot->header.trace_id);
	binding->handler(slot->server->options.service, &slot->call, request, slot->reply);
	log_set_trace(NULL);
}

static void *worker_main(void *arg)
{
	struct rpc_server *server = arg;

	pthread_mutex_lock(&server->lock);
	for (;;) {
		while (server->first == NULL && !server->stopping) {
			server->idle++;
			pthread_cond_wait(&server->work, &server->lock);
			server->idle--;
			server->waking = false;
		}
		struct slot *slot = server->first;
		if (slot == NULL)
			break;
		server->first = slot->next;
		if (server->first == NULL)
			server->last = NULL;
		server->queued--;
		bool wake = server->first != NULL && server->idle > 0 && !server->waking;
		if (wake)
			server->waking = true;
		pthread_mutex_unlock(&server->lock);
		if (wake)
			pthread_cond_signal(&server->work);
		slot_run(slot);
		pthread_mutex_lock(&server->lock);
	}
	pthread_mutex_unlock(&server->lock);
	return NULL;
}

static struct slot *slot_of(struct rpc_call *call)
{
	struct slot *slot = call->internal;

	assert(slot->state == SLOT_RUNNING); /* finished twice otherwise */
	return slot;
}

void rpc_finish(struct rpc_call *call)
{
	slot_answer(slot_of(call), &(pb_RpcResult){.status = STATUS_OK});
}

void rpc_finish_replayed(struct rpc_call *call)
{
	slot_answer(slot_of(call), &(pb_RpcResult){.status = STATUS_OK, .replayed = true});
}

void rpc_fail(struct rpc_call *call, enum status st, const char *why, const char *field, const char *detail)
{
	pb_RpcResult result = {
		.status = (uint32_t)(st == STATUS_OK ? STATUS_INTERNAL : st),
		.why = (char *)(uintptr_t)why, /* nanopb's structs know no const; it only reads them here */
		.field = (char *)(uintptr_t)field,
		.detail = (char *)(uintptr_t)detail,
	};

	slot_answer(slot_of(call), &result);
}

void rpc_fail_retry(struct rpc_call *call, enum status st, const char *why, uint32_t retry_after_ms)
{
	pb_RpcResult result = {
		.status = (uint32_t)(st == STATUS_OK ? STATUS_INTERNAL : st),
		.why = (char *)(uintptr_t)why,
		.retry_after_ms = retry_after_ms,
	};

	slot_answer(slot_of(call), &result);
}

static void server_free(void *arg)
{
	struct rpc_server *server = arg;

	for (size_t i = 0; i < server->slot_count; i++) {
		nng_aio_free(server->slots[i].receiving);
		nng_aio_free(server->slots[i].sending);
		nng_msg_free(server->slots[i].request);
		arena_destroy(server->slots[i].mem);
	}
	while (server->spare != NULL) {
		struct slot *part = server->spare;
		server->spare = part->next;
		arena_destroy(part->mem);
		free(part);
	}
	ear_free(server->ear);
	free(server->slots);
	free(server->workers);
	free(server->by_tag);
	pthread_cond_destroy(&server->work);
	pthread_cond_destroy(&server->quiet);
	pthread_mutex_destroy(&server->lock);
	free(server);
}

static void server_init(struct rpc_server *server, const struct rpc_server_options *options)
{

	server->options = *options;
	if (server->options.queue_limit <= 0)
		server->options.queue_limit = DEFAULT_QUEUE_LIMIT;
	server->slot_count = options->contexts > 0 ? (size_t)options->contexts : DEFAULT_CONTEXTS;
	/* The last contexts only say BUSY: a call that finds no context would wait without an answer. */
	size_t spare = server->slot_count / 16 + 1;
	server->busy_from = server->slot_count > spare ? server->slot_count - spare : 1;
	pthread_mutex_init(&server->lock, NULL);
	pthread_cond_init(&server->work, NULL);
	clock_cond_init(&server->quiet);
	for (size_t i = 0; i < options->binding_count; i++) {
		if (options->bindings[i].method->tag >= server->tag_count)
			server->tag_count = options->bindings[i].method->tag + 1;
	}
}

static bool slot_create(struct rpc_server *server, struct slot *slot)
{
	slot->server = server;
	slot->mem = arena_create();
	return nng_aio_alloc(&slot->receiving, slot_received, slot) == 0 && nng_aio_alloc(&slot->sending, slot_sent, slot) == 0 &&
		nng_ctx_open(&slot->ctx, server->socket) == 0;
}

static bool workers_start(struct rpc_server *server)
{
	size_t count = server->options.workers > 0 ? (size_t)server->options.workers : 1;

	server->workers = calloc(count, sizeof *server->workers);
	if (server->workers == NULL)
		return false;
	for (; server->worker_count < count; server->worker_count++) {
		if (pthread_create(&server->workers[server->worker_count], NULL, worker_main, server) != 0)
			return false;
	}
	return true;
}

enum status rpc_server_start(const struct rpc_server_options *options, struct rpc_server **out_server)
{
	enum status st = rpc_address_check(options->listen, options->insecure);

	if (st != STATUS_OK)
		return st;
	struct rpc_server *server = calloc(1, sizeof *server);
	if (server == NULL)
		return STATUS_INTERNAL;
	server_init(server, options);
	server->by_tag = calloc(server->tag_count + 1, sizeof *server->by_tag);
	server->slots = calloc(server->slot_count, sizeof *server->slots);
	int rv = nng_rep0_open(&server->socket);
	if (rv == 0)
		rv = rpc_socket_prepare(server->socket);
	bool made = rv == 0 && server->by_tag != NULL && server->slots != NULL;
	for (size_t i = 0; made && i < options->binding_count; i++)
		server->by_tag[options->bindings[i].method->tag] = options->bindings[i];
	for (size_t i = 0; made && i < server->slot_count; i++)
		made = slot_create(server, &server->slots[i]);
	made = made && workers_start(server);
	st = made ? ear_open(server->socket, options->listen, &server->ear) : STATUS_INTERNAL;
	if (st != STATUS_OK) {
		log_error("rpc_server_failed", LOG_STR("address", options->listen), LOG_STR("why", rv != 0 ? nng_strerror(rv) : status_text(st)));
		rpc_server_stop(server);
		return st;
	}
	for (size_t i = 0; i < server->slot_count; i++)
		slot_receive(&server->slots[i]);
	log_info("rpc_listening", LOG_STR("address", options->listen));
	*out_server = server;
	return STATUS_OK;
}

static bool wait_until_quiet(struct rpc_server *server, int64_t until_mono_ms)
{
	struct timespec until = clock_timespec(until_mono_ms);

	pthread_mutex_lock(&server->lock);
	while (atomic_load(&server->in_flight) > 0) {
		if (pthread_cond_timedwait(&server->quiet, &server->lock, &until) == ETIMEDOUT)
			break;
	}
	pthread_mutex_unlock(&server->lock);
	return atomic_load(&server->in_flight) == 0;
}

void rpc_server_drain(struct rpc_server *server, int deadline_ms)
{
	atomic_store(&server->draining, true);
	if (!wait_until_quiet(server, clock_mono_ms() + deadline_ms))
		log_warn("rpc_drain_incomplete", LOG_U64("in_flight", atomic_load(&server->in_flight)));
}

void rpc_server_stop(struct rpc_server *server)
{
	if (server == NULL)
		return;
	atomic_store(&server->draining, true);
	bool quiet = wait_until_quiet(server, clock_mono_ms() + STOP_PATIENCE_MS);
	pthread_mutex_lock(&server->lock);
	server->stopping = true;
	pthread_cond_broadcast(&server->work);
	pthread_mutex_unlock(&server->lock);
	ear_stop(server->ear);
	if (!quiet) {
		/* A handler still holds its call. Its memory has to outlive it, so all of it is left to the process's end. */
		log_error("rpc_calls_never_finished", LOG_U64("in_flight", atomic_load(&server->in_flight)));
		return;
	}
	for (size_t i = 0; i < server->worker_count; i++)
		pthread_join(server->workers[i], NULL);
	if (server->slots == NULL)
		server->slot_count = 0;
	/* First nothing is received any more, then the last refusals are on their way, then nothing is sent. */
	for (size_t i = 0; i < server->slot_count; i++) {
		if (server->slots[i].receiving != NULL)
			nng_aio_stop(server->slots[i].receiving);
	}
	wait_until_quiet(server, clock_mono_ms() + STOP_PATIENCE_MS);
	for (size_t i = 0; i < server->slot_count; i++) {
		if (server->slots[i].sending != NULL)
			nng_aio_stop(server->slots[i].sending);
	}
	for (size_t i = 0; i < server->slot_count; i++)
		nng_ctx_close(server->slots[i].ctx);
	struct closer *closer = closer_create();
	closer_close(closer, server->socket, server_free, server);
	closer_finish(closer, CLOSE_PATIENCE_MS);
}
