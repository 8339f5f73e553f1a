#include <assert.h>
#include <errno.h>
#include <nng/nng.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/events/events.h"
#include "common/ops/ops.h"
#include "common/rpc/address.h"
#include "common/rpc/batch.h"
#include "common/rpc/peer.h"
#include "common/rpc/rpc.h"
#include "common/rpc/wire.h"

#define DEFAULT_TIMEOUT_MS  5000
#define FIRST_DIAL_GRACE_MS 1000 /* a call right after the start waits for the dialing; later it gets BUSY at once */
#define JUDGED_FROM_MS      200  /* a call with less time than this says nothing about its peer */
#define PEERS_MOST          64   /* of one owner */
#define KEEP_EVERY_MS       100
#define CLOSE_PATIENCE_MS   1000
#define WHY_DRAINING        "draining" /* the server's word: it did nothing, and another peer may */

enum call_state { CALL_SENDING, CALL_WAITING, CALL_REFUSED };

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
	struct rpc_outcome refused;
	nng_msg *again; /* what a second attempt sends */
	rpc_done *done;
	void *arg;
};

struct rpc_client {
	char owner[16];
	char *addresses;
	bool insecure;
	int64_t created_mono_ms;

	pthread_rwlock_t peers_lock; /* of the list; the peers look after themselves */
	struct peer *peers;
	_Atomic uint32_t turn;
	pthread_mutex_t update_lock; /* held by whoever changes the list; taken before peers_lock */
	struct peer *retired;        /* taken out of the list, maybe with calls in flight */
	struct closer *closer;

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	bool connected_once;
	bool peers_changed; /* for the keeper */
	bool closing;
	size_t outstanding;
	struct call *waiting_pool; /* without callback */
	struct call *async_pool;

	bool keeps, resolves;
	pthread_t keeper, resolver;
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

/* Runs on an nng thread, when a connection came or went. */
static void peer_changed(void *arg)
{
	struct rpc_client *client = arg;

	pthread_mutex_lock(&client->lock);
	client->peers_changed = true;
	pthread_cond_broadcast(&client->changed);
	pthread_mutex_unlock(&client->lock);
}

/* ---- the list of peers */

static void peers_insert(struct rpc_client *client, struct peer *peer)
{
	pthread_rwlock_wrlock(&client->peers_lock);
	peer->next = client->peers;
	client->peers = peer;
	pthread_rwlock_unlock(&client->peers_lock);
}

/* *at leaves the list; its calls end by themselves. */
static void peers_retire(struct rpc_client *client, struct peer **at)
{
	struct peer *peer = *at;

	pthread_rwlock_wrlock(&client->peers_lock);
	*at = peer->next;
	pthread_rwlock_unlock(&client->peers_lock);
	peer->next = client->retired;
	client->retired = peer;
}

/* Closes the retired ones that nothing refers to any more. */
static void retired_close(struct rpc_client *client)
{
	for (struct peer **at = &client->retired; *at != NULL;) {
		struct peer *peer = *at;
		if (atomic_load(&peer->references) > 0) {
			/* Whoever began just when it went would wait for a connection that does not come. */
			if (atomic_load(&peer->gone))
				peer_abort_all(peer, NNG_ECONNRESET);
			at = &peer->next;
			continue;
		}
		*at = peer->next;
		peer_destroy(peer, client->closer);
	}
}

/* Each lost connection is followed by a new one, in the same place of the list: rendezvous and turns stay. */
static void peers_renew(struct rpc_client *client)
{
	for (struct peer **at = &client->peers; *at != NULL; at = &(*at)->next) {
		struct peer *old = *at;
		struct peer *renewed = NULL;
		if (!atomic_load(&old->lost) || peer_create(old->address, peer_changed, client, &renewed) != STATUS_OK)
			continue; /* what failed is logged and tried again */
		renewed->next = old->next;
		pthread_rwlock_wrlock(&client->peers_lock);
		*at = renewed;
		pthread_rwlock_unlock(&client->peers_lock);
		old->next = client->retired;
		client->retired = old;
	}
}

/* Makes the list of peers that of the addresses. */
static enum status peers_update(struct rpc_client *client, bool *out_names)
{
	struct arena *mem = arena_create();
	size_t count = 0;
	const char **addresses = rpc_addresses_resolve(mem, client->addresses, &count, out_names);
	enum status st = STATUS_OK;

	pthread_mutex_lock(&client->update_lock);
	for (struct peer *peer = client->peers; peer != NULL; peer = peer->next)
		peer->listed = count == 0; /* a resolver that knows nothing for a moment takes no peer away */
	for (size_t i = 0; i < count && i < PEERS_MOST; i++) {
		struct peer *peer = client->peers;
		while (peer != NULL && strcmp(peer->address, addresses[i]) != 0)
			peer = peer->next;
		if (peer == NULL) {
			st = peer_create(addresses[i], peer_changed, client, &peer);
			if (st != STATUS_OK)
				break;
			peers_insert(client, peer);
		}
		peer->listed = true;
	}
	for (struct peer **at = &client->peers; st == STATUS_OK && *at != NULL;) {
		if ((*at)->listed) {
			at = &(*at)->next;
			continue;
		}
		log_info("peer_retired", LOG_STR("address", (*at)->address));
		peers_retire(client, at);
	}
	pthread_mutex_unlock(&client->update_lock);
	arena_destroy(mem);
	return st;
}

static struct timespec mono_timespec(int64_t mono_ms)
{
	return (struct timespec){.tv_sec = mono_ms / 1000, .tv_nsec = mono_ms % 1000 * 1000000};
}

/* Waits for a change, pause_ms at most. False: the client is being destroyed. Called with the lock held. */
static bool client_pause(struct rpc_client *client, int pause_ms, const bool *until_true)
{
	struct timespec until = mono_timespec(clock_mono_ms() + pause_ms);

	while (!client->closing && !(until_true != NULL && *until_true) &&
		pthread_cond_timedwait(&client->changed, &client->lock, &until) != ETIMEDOUT) {
	}
	return !client->closing;
}

/* Replaces lost connections, asks silent ones for a sign of life, closes what is over. */
static void *keeper_main(void *arg)
{
	struct rpc_client *client = arg;

	pthread_mutex_lock(&client->lock);
	while (client_pause(client, KEEP_EVERY_MS, &client->peers_changed)) {
		client->peers_changed = false;
		pthread_mutex_unlock(&client->lock);
		pthread_mutex_lock(&client->update_lock);
		bool connected = false;
		for (struct peer *peer = client->peers; peer != NULL; peer = peer->next) {
			connected |= atomic_load(&peer->pipe) != 0;
			peer_ping(peer, clock_mono_ms());
		}
		peers_renew(client);
		retired_close(client);
		pthread_mutex_unlock(&client->update_lock);
		pthread_mutex_lock(&client->lock);
		if (connected && !client->connected_once) {
			client->connected_once = true;
			pthread_cond_broadcast(&client->changed);
		}
	}
	pthread_mutex_unlock(&client->lock);
	return NULL;
}

static void *resolver_main(void *arg)
{
	struct rpc_client *client = arg;

	pthread_mutex_lock(&client->lock);
	while (client_pause(client, RPC_RESOLVE_EVERY_MS, NULL)) {
		bool names = true;
		pthread_mutex_unlock(&client->lock);
		(void)peers_update(client, &names); /* what failed is logged and tried again */
		pthread_mutex_lock(&client->lock);
	}
	pthread_mutex_unlock(&client->lock);
	return NULL;
}

enum status rpc_client_create(const char *owner, const char *addresses, bool insecure, struct rpc_client **out_client)
{
	struct arena *mem = arena_create();
	size_t count = 0;
	const char **given = config_list(mem, addresses, &count);
	pthread_condattr_t monotonic;
	struct rpc_client *client = NULL;
	enum status st = count > 0 ? STATUS_OK : STATUS_FIELD_INVALID;

	if (st != STATUS_OK)
		log_error("no_addresses", LOG_STR("owner", owner));
	for (size_t i = 0; i < count && st == STATUS_OK; i++)
		st = rpc_address_check(given[i], insecure);
	if (st == STATUS_OK) {
		client = calloc(1, sizeof *client);
		if (client == NULL)
			st = STATUS_INTERNAL;
	}
	if (st != STATUS_OK)
		goto out;
	strncpy(client->owner, owner, sizeof client->owner - 1);
	client->addresses = strdup(addresses);
	client->insecure = insecure;
	client->created_mono_ms = clock_mono_ms();
	pthread_rwlock_init(&client->peers_lock, NULL);
	pthread_mutex_init(&client->update_lock, NULL);
	pthread_mutex_init(&client->lock, NULL);
	client->closer = closer_create();
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&client->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	bool names = false;
	st = peers_update(client, &names);
	if (st == STATUS_OK) {
		client->keeps = pthread_create(&client->keeper, NULL, keeper_main, client) == 0;
		client->resolves = names && pthread_create(&client->resolver, NULL, resolver_main, client) == 0;
		if (!client->keeps || client->resolves != names)
			st = STATUS_INTERNAL;
	}
	if (st != STATUS_OK)
		rpc_client_destroy(client);
out:
	arena_destroy(mem);
	if (st == STATUS_OK)
		*out_client = client;
	return st;
}

static void pool_destroy(struct call *pool)
{
	/* All are stopped before one is freed: their callbacks may still be returning. */
	for (struct call *call = pool; call != NULL; call = call->next)
		nng_aio_stop(call->flight.aio);
	while (pool != NULL) {
		struct call *call = pool;
		pool = call->next;
		nng_aio_free(call->flight.aio);
		free(call);
	}
}

static bool peers_referred(struct rpc_client *client)
{
	bool referred = false;

	for (struct peer *peer = client->retired; peer != NULL; peer = peer->next) {
		peer_abort_all(peer, NNG_ECLOSED);
		referred |= atomic_load(&peer->references) > 0;
	}
	return referred;
}

void rpc_client_destroy(struct rpc_client *client)
{
	if (client == NULL)
		return;
	pthread_mutex_lock(&client->lock);
	client->closing = true;
	pthread_cond_broadcast(&client->changed);
	pthread_mutex_unlock(&client->lock);
	if (client->keeps)
		pthread_join(client->keeper, NULL);
	if (client->resolves)
		pthread_join(client->resolver, NULL);
	while (client->peers != NULL)
		peers_retire(client, &client->peers);
	/* No call begins from here on; those that run are cut. One may be between its two steps and have nothing to cut,
	 * so it is done again until the last has left. */
	for (;;) {
		struct timespec pause = mono_timespec(clock_mono_ms() + 10);
		bool referred = peers_referred(client);
		pthread_mutex_lock(&client->lock);
		bool calls = client->outstanding > 0;
		if (calls || referred)
			pthread_cond_timedwait(&client->changed, &client->lock, &pause);
		pthread_mutex_unlock(&client->lock);
		if (!calls && !referred)
			break;
	}
	pool_destroy(client->waiting_pool);
	pool_destroy(client->async_pool);
	retired_close(client);
	closer_finish(client->closer, CLOSE_PATIENCE_MS);
	pthread_cond_destroy(&client->changed);
	pthread_mutex_destroy(&client->lock);
	pthread_mutex_destroy(&client->update_lock);
	pthread_rwlock_destroy(&client->peers_lock);
	free(client->addresses);
	free(client);
}

bool rpc_client_up(const struct rpc_client *client)
{
	struct rpc_client *c = (struct rpc_client *)client; /* the lock is not part of what it says */
	int64_t now = clock_mono_ms();
	bool up = false;

	pthread_rwlock_rdlock(&c->peers_lock);
	for (struct peer *peer = c->peers; peer != NULL && !up; peer = peer->next)
		up = peer_ready(peer, now);
	pthread_rwlock_unlock(&c->peers_lock);
	return up;
}

/* The peers that may be asked now, in the order of preference: by rendezvous or in turn. */
static size_t peers_in_order(struct rpc_client *client, uint64_t pick, struct peer *out[PEERS_MOST])
{
	uint64_t scores[PEERS_MOST];
	size_t count = 0;

	for (struct peer *peer = client->peers; peer != NULL && count < PEERS_MOST; peer = peer->next, count++) {
		size_t at = count;
		uint64_t score = pick != 0 ? peer_score(peer, pick) : 0;
		for (; at > 0 && scores[at - 1] < score; at--) {
			scores[at] = scores[at - 1];
			out[at] = out[at - 1];
		}
		scores[at] = score;
		out[at] = peer;
	}
	return count;
}

/* A peer that takes a call now, with a reference; not `except`. NULL: none. */
static struct peer *client_pick(struct rpc_client *client, uint64_t pick, const struct peer *except)
{
	struct peer *order[PEERS_MOST];
	struct peer *found = NULL;
	int64_t now = clock_mono_ms();

	pthread_rwlock_rdlock(&client->peers_lock);
	size_t count = peers_in_order(client, pick, order);
	size_t first = pick != 0 || count == 0 ? 0 : atomic_fetch_add_explicit(&client->turn, 1, memory_order_relaxed) % count;
	for (size_t i = 0; i < count && found == NULL; i++) {
		struct peer *peer = order[(first + i) % count];
		if (peer != except && peer_admits(peer, now))
			found = peer;
	}
	if (found != NULL)
		atomic_fetch_add(&found->references, 1);
	pthread_rwlock_unlock(&client->peers_lock);
	return found;
}

static bool client_has_other(struct rpc_client *client, const struct peer *than)
{
	int64_t now = clock_mono_ms();
	bool found = false;

	pthread_rwlock_rdlock(&client->peers_lock);
	for (struct peer *peer = client->peers; peer != NULL && !found; peer = peer->next)
		found = peer != than && peer_ready(peer, now);
	pthread_rwlock_unlock(&client->peers_lock);
	return found;
}

/* Right after the start the sockets are still being dialed: a call of guildhallctl, or the first of a service. */
static void client_wait_first(struct rpc_client *client, int64_t deadline_mono_ms)
{
	int64_t most = client->created_mono_ms + FIRST_DIAL_GRACE_MS;
	struct timespec until = mono_timespec(deadline_mono_ms < most ? deadline_mono_ms : most);

	pthread_mutex_lock(&client->lock);
	while (!client->connected_once && !client->closing) {
		if (pthread_cond_timedwait(&client->changed, &client->lock, &until) == ETIMEDOUT)
			break;
	}
	pthread_mutex_unlock(&client->lock);
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
	if (call != NULL && nng_aio_alloc(&call->flight.aio, async ? async_step : NULL, call) == 0) {
		call->client = client;
		return call;
	}
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
	if (nng_msg_alloc(&msg, parts.length) != 0)
		return STATUS_INTERNAL;
	st = rpc_wire_write(&parts, nng_msg_body(msg));
	if (st != STATUS_OK) {
		nng_msg_free(msg);
		return st;
	}
	*out_msg = msg;
	return STATUS_OK;
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
	if (call->retry && client_has_other(call->client, peer))
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
			break;
		}
		peer = client_pick(client, call->pick, before);
		if (peer == NULL && before == NULL) {
			client_wait_first(client, deadline);
			peer = client_pick(client, call->pick, NULL);
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
			refuse(out, st, "request not encodable");
		else
			again = attempt_judge(call, peer, mem, &attempt, reply, out) && call->retry;
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
	struct peer *peer = left > 0 ? client_pick(call->client, call->pick, except) : NULL;

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
	case CALL_REFUSED:
		async_finish(call, arena_create(), NULL, &call->refused);
		return;
	}
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
		refuse(&call->refused, st, st == STATUS_LATE ? "no time left" : "request not encodable");
	/* The caller may hold what `done` takes, so even a refusal is told on another thread. */
	call->state = CALL_REFUSED;
	nng_aio_set_timeout(call->flight.aio, NNG_DURATION_INFINITE);
	nng_sleep_aio(0, call->flight.aio);
}
