#include <assert.h>
#include <errno.h>
#include <nng/nng.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/events/events.h"
#include "common/ops/ops.h"
#include "common/rpc/address.h"
#include "common/rpc/batch.h"
#include "common/rpc/peers.h"
#include "common/rpc/rpc.h"
#include "common/rpc/wire.h"

#define DEFAULT_TIMEOUT_MS 5000
#define JUDGED_FROM_MS     200  /* a call with less time than this says nothing about its peer */
#define CUT_EVERY_MS       10
#define PATIENT_NAP_MS     50
#define WHY_DRAINING       "draining" /* the server's word: it did nothing, and another peer may */

enum call_state { CALL_SENDING, CALL_WAITING };

/* One call. Those of rpc_call have an aio without callback and are waited for; those of rpc_call_async go through
 * async_step. Both are kept for the next call, because an aio must not be freed by its own callback. */
struct call {
	struct call *next; /* of the pool */
	struct flight flight;
	struct rpc_client *client;
	const struct rpc_method *method;
	int64_t deadline_mono_ms;
	int64_t attempt_until_mono_ms;
	int64_t attempt_ms;
	uint64_t pick;
	bool retry; /* another peer may still be tried */
	/* async only */
	enum call_state state;
	nng_aio *refusing; /* not the flight's: what nng once slept on may end its next steps at any time, without an error */
	struct rpc_outcome refused;
	nng_msg *again; /* what a second attempt sends */
	rpc_done *done;
	void *arg;
};

struct rpc_client {
	char owner[16];
	struct peers *peers;

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	bool closing;
	size_t outstanding;
	struct call *waiting_pool; /* without callback */
	struct call *async_pool;
};

/* What one attempt came to. */
struct attempt {
	int rv; /* of nng, or LANE_NOT_SENT */
	/* when rv is 0 */
	const uint8_t *bytes;
	size_t length;
	nng_pipe pipe; /* it came by */
	/* whose the bytes are: one of the two */
	nng_msg *msg;
	struct lane_answer batched;
};

static void async_step(void *arg);
static void async_refused(void *arg);

enum status rpc_client_create(const char *owner, const char *addresses, bool insecure, struct rpc_client **out_client)
{
	struct arena *mem = arena_create();
	size_t count = 0;
	const char **given = config_list(mem, addresses, &count);
	struct peers *peers = NULL;
	enum status st = count > 0 ? STATUS_OK : STATUS_FIELD_INVALID;

	if (st != STATUS_OK)
		log_error("no_addresses", LOG_STR("owner", owner));
	for (size_t i = 0; i < count && st == STATUS_OK; i++)
		st = rpc_address_check(given[i], insecure);
	arena_destroy(mem);
	struct rpc_client *client = st == STATUS_OK ? calloc(1, sizeof *client) : NULL;
	if (st == STATUS_OK)
		st = client != NULL ? peers_create(addresses, &peers) : STATUS_INTERNAL;
	if (st != STATUS_OK) {
		free(client);
		return st;
	}
	strncpy(client->owner, owner, sizeof client->owner - 1);
	client->peers = peers;
	pthread_mutex_init(&client->lock, NULL);
	clock_cond_init(&client->changed);
	*out_client = client;
	return STATUS_OK;
}

static void pool_destroy(struct call *pool)
{
	/* All are stopped before one is freed: their callbacks may still be returning. */
	for (struct call *call = pool; call != NULL; call = call->next) {
		nng_aio_stop(call->flight.aio);
		if (call->refusing != NULL)
			nng_aio_stop(call->refusing);
	}
	while (pool != NULL) {
		struct call *call = pool;
		pool = call->next;
		nng_aio_free(call->flight.aio);
		nng_aio_free(call->refusing);
		free(call);
	}
}

void rpc_client_destroy(struct rpc_client *client)
{
	if (client == NULL)
		return;
	pthread_mutex_lock(&client->lock);
	client->closing = true;
	pthread_mutex_unlock(&client->lock);
	peers_stop(client->peers);
	/* No call begins from here on; those that run are cut. One may be between its two steps and have nothing to cut,
	 * so it is done again until the last has left. */
	for (;;) {
		int64_t until_mono_ms = clock_mono_ms() + CUT_EVERY_MS;
		struct timespec until = clock_timespec(until_mono_ms);
		bool referred = peers_abort(client->peers);
		pthread_mutex_lock(&client->lock);
		bool calls = client->outstanding > 0;
		if (calls || referred)
			pthread_cond_timedwait(&client->changed, &client->lock, &until);
		pthread_mutex_unlock(&client->lock);
		if (!calls && !referred)
			break;
	}
	pool_destroy(client->waiting_pool);
	pool_destroy(client->async_pool);
	peers_destroy(client->peers);
	pthread_cond_destroy(&client->changed);
	pthread_mutex_destroy(&client->lock);
	free(client);
}

bool rpc_client_up(const struct rpc_client *client)
{
	return peers_up(client->peers);
}

bool rpc_client_check(void *client, char *detail, size_t detail_size)
{
	bool up = rpc_client_up(client);

	snprintf(detail, detail_size, "%s", up ? "connected" : "no peer answers");
	return up;
}

/* A call from the pool, or a new one; NULL when the client is being destroyed or there is no memory. */
static struct call *call_take(struct rpc_client *client, bool async)
{
	struct call *call = NULL;

	pthread_mutex_lock(&client->lock);
	struct call **pool = async ? &client->async_pool : &client->waiting_pool;
	bool closing = client->closing;
	if (!closing) {
		call = *pool;
		if (call != NULL)
			*pool = call->next;
		client->outstanding++;
	}
	pthread_mutex_unlock(&client->lock);
	if (closing || call != NULL)
		return call;
	call = calloc(1, sizeof *call);
	if (call != NULL && nng_aio_alloc(&call->flight.aio, async ? async_step : NULL, call) == 0 &&
		(!async || nng_aio_alloc(&call->refusing, async_refused, call) == 0)) {
		call->client = client;
		return call;
	}
	if (call != NULL)
		nng_aio_free(call->flight.aio);
	free(call);
	pthread_mutex_lock(&client->lock);
	client->outstanding--;
	pthread_cond_broadcast(&client->changed);
	pthread_mutex_unlock(&client->lock);
	return NULL;
}

static void call_give_back(struct rpc_client *client, struct call *call, bool async)
{
	pthread_mutex_lock(&client->lock);
	struct call **pool = async ? &client->async_pool : &client->waiting_pool;
	call->next = *pool;
	*pool = call;
	pthread_mutex_unlock(&client->lock);
}

static void call_left(struct rpc_client *client)
{
	pthread_mutex_lock(&client->lock);
	if (--client->outstanding == 0 && client->closing)
		pthread_cond_broadcast(&client->changed);
	pthread_mutex_unlock(&client->lock);
}

static enum status refuse(struct rpc_outcome *out, enum status st, const char *why)
{
	*out = (struct rpc_outcome){.status = st, .why = why};
	metric_add(rpc_failed, 1);
	return st;
}

static int64_t deadline_of(const struct rpc_context *ctx)
{
	return ctx->deadline_mono_ms != 0 ? ctx->deadline_mono_ms : clock_mono_ms() + DEFAULT_TIMEOUT_MS;
}

/* The parts of a request; header is theirs, and both borrow from the arguments. */
static enum status request_measure(const struct rpc_context *ctx, const struct rpc_method *method, const void *request,
	int64_t remaining_ms, pb_RpcHeader *header, struct rpc_wire_parts *out_parts)
{
	assert(ctx->request_id_length <= sizeof header->request_id.bytes);
	rpc_wire_header(ctx, remaining_ms < INT32_MAX ? (uint32_t)remaining_ms : INT32_MAX, header);
	*out_parts = (struct rpc_wire_parts){
		.envelope_fields = pb_RpcHeader_fields,
		.envelope = header,
		.arm = method->tag,
		.body_fields = method->request,
		.body = request,
	};
	return rpc_wire_measure(out_parts);
}

static enum status request_encode(const struct rpc_context *ctx, const struct rpc_method *method, const void *request,
	int64_t remaining_ms, nng_msg **out_msg)
{
	pb_RpcHeader header;
	struct rpc_wire_parts parts;
	nng_msg *msg = NULL;

	enum status st = request_measure(ctx, method, request, remaining_ms, &header, &parts);
	if (st != STATUS_OK)
		return st;
	st = rpc_status_from_nng(nng_msg_alloc(&msg, parts.length));
	if (st != STATUS_OK)
		return st;
	st = rpc_wire_write(&parts, nng_msg_body(msg));
	if (st != STATUS_OK) {
		nng_msg_free(msg);
		return st;
	}
	*out_msg = msg;
	return STATUS_OK;
}

static const char *why_not_sent(enum status st)
{
	return st == STATUS_BUSY ? "no memory" : "request not encodable";
}

/* An answer's bytes as outcome and reply. STATUS_MALFORMED when they are no answer to this call. */
static enum status answer_decode(struct arena *mem, const struct rpc_method *method, const struct attempt *attempt,
	void *reply, struct rpc_outcome *out)
{
	struct rpc_wire wire;
	pb_RpcResult result;

	enum status st = rpc_wire_split(attempt->bytes, attempt->length, &wire);
	if (st == STATUS_OK)
		st = pb_decode_sized(mem, pb_RpcResult_fields, sizeof result, &result, wire.envelope, wire.envelope_length);
	if (st != STATUS_OK)
		return st;
	if (result.status == STATUS_OK && wire.arm != 0) {
		if (wire.arm != method->tag)
			return STATUS_MALFORMED;
		st = pb_decode_sized(mem, method->reply, method->reply_size, reply, wire.body, wire.body_length);
		if (st != STATUS_OK)
			return st;
	}
	*out = (struct rpc_outcome){
		.status = status_from_number(result.status),
		.why = result.why,
		.field = result.field,
		.detail = result.detail,
		.retry_after_ms = result.retry_after_ms,
		.replayed = result.replayed,
	};
	return STATUS_OK;
}

static void attempt_schedule(struct call *call, struct peer *peer)
{
	int64_t now = clock_mono_ms();

	call->attempt_until_mono_ms = call->deadline_mono_ms;
	/* What does not answer in half the time has to leave the other half to somebody else. */
	if (call->retry && peers_have_other(call->client->peers, peer))
		call->attempt_until_mono_ms = now + (call->deadline_mono_ms - now) / 2;
	call->attempt_ms = call->attempt_until_mono_ms - now;
}

static void attempt_limit(struct call *call)
{
	int64_t left = call->attempt_until_mono_ms - clock_mono_ms();

	nng_aio_set_timeout(call->flight.aio, left > 0 ? (nng_duration)(left < INT32_MAX ? left : INT32_MAX) : NNG_DURATION_ZERO);
}

/* What an ended attempt says about its peer, and whether another one should be tried. Fills out. */
static bool attempt_judge(struct call *call, struct peer *peer, struct arena *mem, const struct attempt *attempt,
	void *reply, struct rpc_outcome *out)
{
	int64_t now = clock_mono_ms();
	int rv = attempt->rv;

	if (rv == 0) {
		if (answer_decode(mem, call->method, attempt, reply, out) != STATUS_OK) {
			log_error("answer_malformed", LOG_STR("owner", call->client->owner), LOG_STR("call", call->method->name),
				LOG_STR("address", peer->address));
			memset(reply, 0, call->method->reply_size);
			nng_pipe_close(attempt->pipe);
			peer_failed(peer, now);
			refuse(out, STATUS_INTERNAL, "malformed answer");
			return false;
		}
		peer_succeeded(peer, now);
		if (out->status == STATUS_BUSY && out->why != NULL && strcmp(out->why, WHY_DRAINING) == 0) {
			atomic_store(&peer->shunned_until_mono_ms, now + PEER_PROBE_EVERY_MS);
			return true;
		}
		return false;
	}
	if (rv == LANE_NOT_SENT) {
		refuse(out, STATUS_BUSY, "no connection");
		return true;
	}
	if (rv != NNG_ETIMEDOUT || call->attempt_ms >= JUDGED_FROM_MS)
		peer_failed(peer, now);
	if (rv == NNG_ECONNRESET)
		peer_lose(peer, true);
	if (rv == NNG_ETIMEDOUT)
		refuse(out, STATUS_LATE, "no answer in time");
	else
		refuse(out, rpc_status_from_nng(rv), rv == NNG_ECLOSED ? "stopping" : "connection lost");
	return rv != NNG_ECLOSED;
}

static void peer_release(struct peer *peer)
{
	atomic_fetch_sub(&peer->references, 1);
}

/* The answer that the aio brought. */
static void attempt_take(struct attempt *attempt, nng_aio *aio)
{
	attempt->msg = nng_aio_get_msg(aio);
	nng_aio_set_msg(aio, NULL);
	if (attempt->msg == NULL) { /* nng 1.5.2 has been seen to end a step well with nothing to show for it */
		attempt->rv = NNG_ETIMEDOUT;
		return;
	}
	attempt->bytes = nng_msg_body(attempt->msg);
	attempt->length = nng_msg_len(attempt->msg);
	attempt->pipe = nng_msg_get_pipe(attempt->msg);
}

static void attempt_free(struct attempt *attempt)
{
	nng_msg_free(attempt->msg);
	lane_answer_release(&attempt->batched);
}

/* msg: takes it. */
static struct attempt attempt_wait(struct call *call, nng_msg *msg)
{
	nng_aio *aio = call->flight.aio;
	struct attempt attempt = {0};

	attempt_limit(call);
	nng_aio_set_msg(aio, msg);
	nng_ctx_send(call->flight.ctx, aio);
	nng_aio_wait(aio);
	attempt.rv = nng_aio_result(aio);
	if (attempt.rv != 0) {
		nng_msg_free(nng_aio_get_msg(aio)); /* a failed send leaves it ours */
		nng_aio_set_msg(aio, NULL);
		return attempt;
	}
	attempt_limit(call);
	nng_ctx_recv(call->flight.ctx, aio);
	nng_aio_wait(aio);
	attempt.rv = nng_aio_result(aio);
	if (attempt.rv == 0)
		attempt_take(&attempt, aio);
	return attempt;
}

/* One attempt by a message of its own. What went wrong before anything was sent is *out_st. */
static struct attempt attempt_alone(struct call *call, struct peer *peer, const struct rpc_context *ctx,
	const void *request, int64_t left, enum status *out_st)
{
	struct attempt attempt = {.rv = LANE_NOT_SENT};
	nng_msg *msg = NULL;

	*out_st = request_encode(ctx, call->method, request, left, &msg);
	if (*out_st != STATUS_OK)
		return attempt;
	if (peer_begin(peer, &call->flight) != STATUS_OK) {
		nng_msg_free(msg);
		return attempt;
	}
	attempt_schedule(call, peer);
	attempt = attempt_wait(call, msg);
	peer_end(&call->flight);
	return attempt;
}

/* One attempt in company. */
static struct attempt attempt_batched(struct call *call, struct peer *peer, struct arena *mem, const struct rpc_context *ctx,
	const void *request, int64_t left, enum status *out_st)
{
	pb_RpcHeader header;
	struct rpc_wire_parts parts;
	struct attempt attempt = {.rv = LANE_NOT_SENT};

	*out_st = request_measure(ctx, call->method, request, left, &header, &parts);
	if (*out_st != STATUS_OK)
		return attempt;
	uint8_t *bytes = arena_alloc(mem, parts.length);
	*out_st = rpc_wire_write(&parts, bytes);
	if (*out_st != STATUS_OK)
		return attempt;
	attempt_schedule(call, peer);
	attempt.batched = lane_call(peer->lane, bytes, parts.length, call->attempt_until_mono_ms);
	attempt.rv = attempt.batched.rv;
	attempt.bytes = attempt.batched.bytes;
	attempt.length = attempt.batched.length;
	attempt.pipe = attempt.batched.pipe;
	return attempt;
}

enum status rpc_call(struct rpc_client *client, struct arena *mem, const struct rpc_context *ctx,
	const struct rpc_method *method, const void *request, void *reply, struct rpc_outcome *out)
{
	int64_t deadline = deadline_of(ctx);
	struct peer *peer = NULL;
	struct peer *before = NULL;
	bool again = true;

	*out = (struct rpc_outcome){0};
	memset(reply, 0, method->reply_size);
	struct call *call = call_take(client, false);
	if (call == NULL)
		return refuse(out, STATUS_BUSY, "stopping");
	call->method = method;
	call->deadline_mono_ms = deadline;
	call->pick = ctx->pick;
	call->retry = ctx->retry;
	while (again) {
		int64_t left = deadline - clock_mono_ms();
		enum status st = STATUS_OK;
		again = false;
		if (left <= 0) {
			if (before == NULL)
				refuse(out, STATUS_LATE, "no time left");
			break; /* else the last attempt's outcome stands */
		}
		bool waits = ctx->patient && before != NULL; /* somebody was there, and may be again */
		if (waits)
			nanosleep(&(struct timespec){.tv_nsec = PATIENT_NAP_MS * 1000000}, NULL);
		peer = peers_pick(client->peers, call->pick, waits ? NULL : before);
		again = peer == NULL && waits;
		if (again)
			continue;
		if (peer == NULL && before == NULL) {
			peers_wait_first(client->peers, deadline);
			peer = peers_pick(client->peers, call->pick, NULL);
		}
		if (peer == NULL) {
			if (before == NULL)
				refuse(out, STATUS_BUSY, "no peer");
			break; /* else the first attempt's outcome stands */
		}
		struct attempt attempt = ctx->batch
						 ? attempt_batched(call, peer, mem, ctx, request, left, &st)
						 : attempt_alone(call, peer, ctx, request, left, &st);
		if (st != STATUS_OK)
			refuse(out, st, why_not_sent(st));
		else
			again = attempt_judge(call, peer, mem, &attempt, reply, out) && (call->retry || ctx->patient);
		attempt_free(&attempt);
		call->retry = false;
		before = peer; /* only compared, never followed */
		peer_release(peer);
	}
	call_give_back(client, call, false);
	call_left(client);
	return out->status;
}

/* ---- async */

static void async_finish(struct call *call, struct arena *mem, void *reply, const struct rpc_outcome *outcome)
{
	struct rpc_client *client = call->client;
	rpc_done *done = call->done;
	void *arg = call->arg;
	struct rpc_outcome *kept = arena_memdup(mem, outcome, sizeof *outcome);

	nng_msg_free(call->again);
	call->again = NULL;
	call_give_back(client, call, true);
	done(arg, mem, kept->status, kept->status == STATUS_OK ? reply : NULL, kept);
	call_left(client);
}

/* Starts an attempt with msg (takes it), or sets what it is refused with and false. */
static bool async_begin(struct call *call, nng_msg *msg, const struct peer *except)
{
	int64_t left = call->deadline_mono_ms - clock_mono_ms();
	struct peer *peer = left > 0 ? peers_pick(call->client->peers, call->pick, except) : NULL;

	if (peer == NULL || peer_begin(peer, &call->flight) != STATUS_OK) {
		if (peer != NULL)
			peer_release(peer);
		refuse(&call->refused, left > 0 ? STATUS_BUSY : STATUS_LATE, left > 0 ? "no peer" : "no time left");
		nng_msg_free(msg);
		return false;
	}
	call->retry = call->retry && except == NULL && nng_msg_dup(&call->again, msg) == 0;
	attempt_schedule(call, peer);
	call->state = CALL_SENDING;
	attempt_limit(call);
	nng_aio_set_msg(call->flight.aio, msg);
	nng_ctx_send(call->flight.ctx, call->flight.aio);
	return true;
}

/* Runs on an nng thread at the end of an attempt. */
static void async_attempted(struct call *call, struct attempt attempt)
{
	struct peer *peer = call->flight.peer;
	struct arena *mem = arena_create();
	void *reply = arena_alloc(mem, call->method->reply_size);
	struct rpc_outcome outcome = {0};

	peer_end(&call->flight);
	bool again = attempt_judge(call, peer, mem, &attempt, reply, &outcome);
	attempt_free(&attempt);
	nng_msg *msg = call->again;
	call->again = NULL;
	bool begun = false;
	if (again && msg != NULL)
		begun = async_begin(call, msg, peer); /* another one finds no peer: the first outcome stands */
	else
		nng_msg_free(msg);
	peer_release(peer);
	if (begun)
		arena_destroy(mem);
	else
		async_finish(call, mem, reply, &outcome);
}

/* Runs on an nng thread, once per finished step. Must not block. */
static void async_step(void *arg)
{
	struct call *call = arg;
	nng_aio *aio = call->flight.aio;
	struct attempt attempt = {.rv = nng_aio_result(aio)};

	switch (call->state) {
	case CALL_SENDING:
		if (attempt.rv != 0) {
			nng_msg_free(nng_aio_get_msg(aio)); /* a failed send leaves it ours */
			nng_aio_set_msg(aio, NULL);
			async_attempted(call, attempt);
			return;
		}
		call->state = CALL_WAITING; /* before the call: the callback may run first */
		attempt_limit(call);
		nng_ctx_recv(call->flight.ctx, aio);
		return;
	case CALL_WAITING:
		if (attempt.rv == 0)
			attempt_take(&attempt, aio);
		async_attempted(call, attempt);
		return;
	}
}

/* Runs on an nng thread. Must not block. */
static void async_refused(void *arg)
{
	struct call *call = arg;

	async_finish(call, arena_create(), NULL, &call->refused);
}

void rpc_call_async(struct rpc_client *client, const struct rpc_context *ctx, const struct rpc_method *method,
	const void *request, rpc_done *done, void *arg)
{
	struct call *call = call_take(client, true);
	nng_msg *msg = NULL;

	if (call == NULL) { /* the owner is destroying the client: there is no other thread left to tell it on */
		struct arena *mem = arena_create();
		struct rpc_outcome *outcome = ARENA_NEW(mem, struct rpc_outcome);
		refuse(outcome, STATUS_BUSY, "stopping");
		done(arg, mem, outcome->status, NULL, outcome);
		return;
	}
	call->method = method;
	call->deadline_mono_ms = deadline_of(ctx);
	call->pick = ctx->pick;
	call->retry = ctx->retry;
	call->done = done;
	call->arg = arg;
	int64_t left = call->deadline_mono_ms - clock_mono_ms();
	enum status st = left > 0 ? request_encode(ctx, method, request, left, &msg) : STATUS_LATE;
	if (st == STATUS_OK && async_begin(call, msg, NULL))
		return;
	if (st != STATUS_OK)
		refuse(&call->refused, st, st == STATUS_LATE ? "no time left" : why_not_sent(st));
	/* The caller may hold what `done` takes, so even a refusal is told on another thread. */
	nng_sleep_aio(0, call->refusing);
}
