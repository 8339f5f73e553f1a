#include "common/rpc/peer.h"

#include <assert.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Runs on an nng thread. */
static void pipe_added(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
	struct peer *peer = arg;

	/* A peer that came back owes nothing: whoever restarted it wants to see it work. */
	atomic_store(&peer->failures, 0);
	atomic_store(&peer->shunned_until_mono_ms, 0);
	atomic_store(&peer->pipe, (uint32_t)nng_pipe_id(pipe));
	log_info("peer_connected", LOG_STR("address", peer->address));
	peer->connected(peer->connected_arg);
}

/* Runs on an nng thread, possibly after the next connection was already added. */
static void pipe_removed(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
	struct peer *peer = arg;
	uint32_t gone = (uint32_t)nng_pipe_id(pipe);
	uint32_t expected = gone;

	if (atomic_compare_exchange_strong(&peer->pipe, &expected, 0))
		log_warn("peer_lost", LOG_STR("address", peer->address));
	/* nng ends what waited for an answer; what still waited to be sent would wait for the next connection. */
	pthread_mutex_lock(&peer->lock);
	for (struct flight *f = peer->flights; f != NULL; f = f->next) {
		if (f->pipe == gone)
			nng_aio_abort(f->aio, NNG_ECONNRESET);
	}
	pthread_mutex_unlock(&peer->lock);
}

enum status peer_create(const char *address, void (*connected)(void *arg), void *arg, struct peer **out_peer)
{
	struct peer *peer = calloc(1, sizeof *peer);

	if (peer == NULL)
		return STATUS_INTERNAL;
	pthread_mutex_init(&peer->lock, NULL);
	snprintf(peer->address, sizeof peer->address, "%s", address);
	peer->hash = text_hash(address);
	peer->connected = connected;
	peer->connected_arg = arg;
	int rv = strlen(address) < sizeof peer->address ? nng_req0_open(&peer->socket) : NNG_EADDRINVAL;
	/* With the default of a minute, a call whose peer is slow runs on two of them at once. */
	if (rv == 0)
		rv = nng_socket_set_ms(peer->socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
	if (rv == 0)
		rv = rpc_socket_prepare(peer->socket);
	if (rv == 0)
		rv = nng_pipe_notify(peer->socket, NNG_PIPE_EV_ADD_POST, pipe_added, peer);
	if (rv == 0)
		rv = nng_pipe_notify(peer->socket, NNG_PIPE_EV_REM_POST, pipe_removed, peer);
	if (rv == 0)
		rv = nng_dial(peer->socket, address, NULL, NNG_FLAG_NONBLOCK);
	if (rv != 0) {
		log_error("dial_failed", LOG_STR("address", address), LOG_STR("why", nng_strerror(rv)));
		peer_destroy(peer);
		return rv == NNG_EADDRINVAL ? STATUS_FIELD_INVALID : STATUS_INTERNAL;
	}
	*out_peer = peer;
	return STATUS_OK;
}

void peer_destroy(struct peer *peer)
{
	if (peer == NULL)
		return;
	assert(peer->flights == NULL);
	atomic_store(&peer->pipe, 0); /* that the connection goes now is no loss */
	for (size_t i = 0; i < peer->context_count; i++)
		nng_ctx_close(peer->contexts[i]);
	nng_close(peer->socket);
	pthread_mutex_destroy(&peer->lock);
	free(peer->contexts);
	free(peer);
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

void peer_abort_all(struct peer *peer)
{
	pthread_mutex_lock(&peer->lock);
	for (struct flight *f = peer->flights; f != NULL; f = f->next)
		nng_aio_abort(f->aio, NNG_ECLOSED);
	pthread_mutex_unlock(&peer->lock);
}

void peer_succeeded(struct peer *peer)
{
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
