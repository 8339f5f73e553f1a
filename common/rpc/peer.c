#include "common/rpc/peer.h"

#include <assert.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/rpc/address.h"

static uint64_t mix(uint64_t x) /* splitmix64 */
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static uint64_t text_hash(const char *text) /* FNV-1a, spread by mix */
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *text != '\0'; text++)
		hash = (hash ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
	return mix(hash);
}

static void peer_tell(struct peer *peer)
{
	pthread_mutex_lock(&peer->lock);
	if (peer->changed != NULL)
		peer->changed(peer->changed_arg);
	pthread_mutex_unlock(&peer->lock);
}

/* Runs on an nng thread. */
static void pipe_added(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
	struct peer *peer = arg;

	atomic_store(&peer->heard_mono_ms, clock_mono_ms());
	atomic_store(&peer->pipe, (uint32_t)nng_pipe_id(pipe));
	log_info("peer_connected", LOG_STR("address", peer->address));
	peer_tell(peer);
}

/* nng ends what waited for an answer; what still waited to be sent would wait for the next connection. */
static void flights_abort(struct peer *peer, uint32_t pipe)
{
	pthread_mutex_lock(&peer->lock);
	for (struct flight *f = peer->flights; f != NULL; f = f->next) {
		if (f->pipe == pipe)
			nng_aio_abort(f->aio, NNG_ECONNRESET);
	}
	pthread_mutex_unlock(&peer->lock);
}

void peer_lose(struct peer *peer, bool certain)
{
	uint32_t pipe = atomic_exchange(&peer->pipe, 0);

	if (certain)
		atomic_store(&peer->gone, true);
	if (certain && pipe != 0)
		flights_abort(peer, pipe);
	if (atomic_exchange(&peer->lost, true))
		return;
	log_warn("peer_lost", LOG_STR("address", peer->address));
	peer_tell(peer);
}

/* Runs on an nng thread. */
static void pipe_removed(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
	struct peer *peer = arg;
	uint32_t gone = (uint32_t)nng_pipe_id(pipe);

	rpc_pipe_dial_no_more(pipe);
	if (atomic_load(&peer->pipe) == gone)
		peer_lose(peer, true);
	else
		flights_abort(peer, gone);
}

/* Runs on an nng thread at the end of a ping, one way or the other. */
static void ping_end(struct peer *peer, int rv)
{
	peer_end(&peer->ping);
	if (rv == 0)
		atomic_store(&peer->heard_mono_ms, clock_mono_ms());
	else if (rv != NNG_ECLOSED)
		peer_lose(peer, rv != NNG_ETIMEDOUT);
	atomic_store(&peer->pinging, false);
	atomic_fetch_sub(&peer->references, 1);
}

/* Runs on an nng thread, once per finished step. */
static void ping_step(void *arg)
{
	struct peer *peer = arg;
	nng_aio *aio = peer->ping.aio;

	int rv = nng_aio_result(aio);
	if (rv == 0 && !peer->ping_sent) {
		peer->ping_sent = true; /* before the call: the callback may run first */
		nng_ctx_recv(peer->ping.ctx, aio);
		return;
	}
	nng_msg_free(nng_aio_get_msg(aio)); /* the answer, or the question that was not sent */
	nng_aio_set_msg(aio, NULL);
	ping_end(peer, rv);
}

void peer_ping(struct peer *peer, int64_t now_mono_ms)
{
	static const uint8_t nothing[] = {0x0a, 0}; /* an empty envelope, which servers answer before they are asked anything */
	nng_msg *msg = NULL;

	if (atomic_load(&peer->pipe) == 0 || now_mono_ms - atomic_load(&peer->heard_mono_ms) < PEER_PING_EVERY_MS ||
		atomic_exchange(&peer->pinging, true))
		return;
	atomic_fetch_add(&peer->references, 1);
	if (nng_msg_alloc(&msg, 0) != 0 || nng_msg_append(msg, nothing, sizeof nothing) != 0 ||
		peer_begin(peer, &peer->ping) != STATUS_OK) {
		nng_msg_free(msg);
		atomic_store(&peer->pinging, false);
		atomic_fetch_sub(&peer->references, 1);
		return;
	}
	peer->ping_sent = false;
	nng_aio_set_timeout(peer->ping.aio, PEER_PING_MS);
	nng_aio_set_msg(peer->ping.aio, msg);
	nng_ctx_send(peer->ping.ctx, peer->ping.aio);
}

static void peer_free(void *arg)
{
	struct peer *peer = arg;

	lane_destroy(peer->lane);
	nng_aio_free(peer->ping.aio);
	pthread_mutex_destroy(&peer->lock);
	free(peer->contexts);
	free(peer);
}

enum status peer_create(const char *address, void (*changed)(void *arg), void *arg, struct peer **out_peer)
{
	struct peer *peer = calloc(1, sizeof *peer);

	if (peer == NULL)
		return STATUS_INTERNAL;
	peer->lane = lane_create(peer);
	if (peer->lane == NULL) {
		free(peer);
		return STATUS_INTERNAL;
	}
	pthread_mutex_init(&peer->lock, NULL);
	snprintf(peer->address, sizeof peer->address, "%s", address);
	peer->hash = text_hash(address);
	peer->changed = changed;
	peer->changed_arg = arg;
	peer->dial_ms = PEER_DIAL_MS;
	peer->dials_until_mono_ms = clock_mono_ms() + peer->dial_ms;
	int rv = strlen(address) < sizeof peer->address ? nng_req0_open(&peer->socket) : NNG_EADDRINVAL;
	/* With the default of a minute, a call whose peer is slow runs on two of them at once. */
	if (rv == 0)
		rv = nng_socket_set_ms(peer->socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
	if (rv == 0)
		rv = rpc_socket_prepare(peer->socket);
	if (rv == 0)
		rv = nng_aio_alloc(&peer->ping.aio, ping_step, peer);
	if (rv == 0)
		rv = nng_pipe_notify(peer->socket, NNG_PIPE_EV_ADD_POST, pipe_added, peer);
	if (rv == 0)
		rv = nng_pipe_notify(peer->socket, NNG_PIPE_EV_REM_POST, pipe_removed, peer);
	if (rv == 0)
		rv = nng_dial(peer->socket, address, NULL, NNG_FLAG_NONBLOCK);
	if (rv != 0) {
		log_error("dial_failed", LOG_STR("address", address), LOG_STR("why", nng_strerror(rv)));
		nng_close(peer->socket); /* it never dialed, so this does not hang */
		peer_free(peer);
		return rv == NNG_EADDRINVAL ? STATUS_FIELD_INVALID : STATUS_INTERNAL;
	}
	*out_peer = peer;
	return STATUS_OK;
}

bool peer_is_over(struct peer *peer, int64_t now_mono_ms)
{
	if (atomic_load(&peer->lost))
		return true;
	return atomic_load(&peer->pipe) == 0 && now_mono_ms > peer->dials_until_mono_ms;
}

enum status peer_follow(const struct peer *old, void (*changed)(void *arg), void *arg, struct peer **out_peer)
{
	enum status st = peer_create(old->address, changed, arg, out_peer);

	if (st == STATUS_OK && !atomic_load(&old->lost)) {
		struct peer *peer = *out_peer;
		peer->dial_ms = 2 * old->dial_ms < PEER_DIAL_MOST_MS ? 2 * old->dial_ms : PEER_DIAL_MOST_MS;
		peer->dials_until_mono_ms += peer->dial_ms - PEER_DIAL_MS;
	}
	return st;
}

void peer_destroy(struct peer *peer, struct closer *closer)
{
	if (peer == NULL)
		return;
	assert(peer->flights == NULL && atomic_load(&peer->references) == 0);
	pthread_mutex_lock(&peer->lock);
	peer->changed = NULL; /* whoever it told is going */
	pthread_mutex_unlock(&peer->lock);
	atomic_store(&peer->lost, true); /* that the connection goes now is no loss */
	nng_aio_stop(peer->ping.aio);
	for (size_t i = 0; i < peer->context_count; i++)
		nng_ctx_close(peer->contexts[i]);
	closer_close(closer, peer->socket, peer_free, peer);
}

static bool peer_reachable(struct peer *peer, int64_t now_mono_ms)
{
	return atomic_load(&peer->pipe) != 0 && now_mono_ms >= atomic_load(&peer->shunned_until_mono_ms);
}

bool peer_ready(struct peer *peer, int64_t now_mono_ms)
{
	return peer_reachable(peer, now_mono_ms) && atomic_load(&peer->failures) < PEER_FAILURES_OPEN;
}

bool peer_admits(struct peer *peer, int64_t now_mono_ms)
{
	if (!peer_reachable(peer, now_mono_ms))
		return false;
	if (atomic_load(&peer->failures) < PEER_FAILURES_OPEN)
		return true;
	int64_t probe_at = atomic_load(&peer->probe_at_mono_ms);
	return now_mono_ms >= probe_at &&
		atomic_compare_exchange_strong(&peer->probe_at_mono_ms, &probe_at, now_mono_ms + PEER_PROBE_EVERY_MS);
}

uint64_t peer_score(const struct peer *peer, uint64_t pick)
{
	return mix(pick ^ peer->hash);
}

enum status peer_begin(struct peer *peer, struct flight *flight)
{
	enum status st = STATUS_OK;

	pthread_mutex_lock(&peer->lock);
	flight->pipe = atomic_load(&peer->pipe);
	if (flight->pipe == 0)
		st = STATUS_BUSY;
	else if (peer->context_count > 0)
		flight->ctx = peer->contexts[--peer->context_count];
	else
		st = rpc_status_from_nng(nng_ctx_open(&flight->ctx, peer->socket));
	if (st == STATUS_OK) {
		flight->peer = peer;
		flight->previous = NULL;
		flight->next = peer->flights;
		if (peer->flights != NULL)
			peer->flights->previous = flight;
		peer->flights = flight;
	}
	pthread_mutex_unlock(&peer->lock);
	return st;
}

void peer_end(struct flight *flight)
{
	struct peer *peer = flight->peer;

	pthread_mutex_lock(&peer->lock);
	if (flight->previous != NULL)
		flight->previous->next = flight->next;
	else
		peer->flights = flight->next;
	if (flight->next != NULL)
		flight->next->previous = flight->previous;
	if (peer->context_count == peer->context_capacity) {
		size_t grown = peer->context_capacity * 2 + 16;
		nng_ctx *contexts = realloc(peer->contexts, grown * sizeof *contexts);
		if (contexts == NULL) {
			log_error("out_of_memory", LOG_U64("size_bytes", grown * sizeof *contexts));
			abort();
		}
		peer->contexts = contexts;
		peer->context_capacity = grown;
	}
	peer->contexts[peer->context_count++] = flight->ctx;
	pthread_mutex_unlock(&peer->lock);
	flight->peer = NULL;
}

void peer_abort_all(struct peer *peer, int rv)
{
	pthread_mutex_lock(&peer->lock);
	for (struct flight *f = peer->flights; f != NULL; f = f->next)
		nng_aio_abort(f->aio, rv);
	pthread_mutex_unlock(&peer->lock);
}

void peer_succeeded(struct peer *peer, int64_t now_mono_ms)
{
	atomic_store_explicit(&peer->heard_mono_ms, now_mono_ms, memory_order_relaxed);
	if (atomic_load_explicit(&peer->failures, memory_order_relaxed) == 0)
		return;
	if (atomic_exchange(&peer->failures, 0) >= PEER_FAILURES_OPEN)
		log_info("circuit_closed", LOG_STR("address", peer->address));
}

void peer_failed(struct peer *peer, int64_t now_mono_ms)
{
	if (atomic_fetch_add(&peer->failures, 1) + 1 != PEER_FAILURES_OPEN)
		return;
	atomic_store(&peer->probe_at_mono_ms, now_mono_ms + PEER_PROBE_EVERY_MS);
	log_warn("circuit_open", LOG_STR("address", peer->address));
}
