/*
 * rpc/peer - one peer of a client: its REQ socket, its pool of contexts, what is in flight to it, and its circuit
 * breaker. Thread-safe. Owned by its client; a call holds a reference (peer_begin .. peer_end).
 */
#pragma once

#include <nng/nng.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/status.h"

#define PEER_FAILURES_OPEN  5    /* in a row; then only probes go out */
#define PEER_PROBE_EVERY_MS 1000 /* while open; also how long a peer that said "draining" is left alone */

/* One call in flight on one peer; embedded in whatever drives it. */
struct flight {
	struct flight *previous, *next; /* of the peer's list */
	struct peer *peer;
	nng_ctx ctx;
	nng_aio *aio;  /* the driver's */
	uint32_t pipe; /* the connection at its start: when that goes, the flight is aborted */
};

struct peer {
	struct peer *next;
	char address[NNG_MAXADDRLEN];
	uint64_t hash; /* of the address, for rendezvous */
	nng_socket socket;
	_Atomic uint32_t pipe; /* 0: not connected */
	_Atomic uint32_t references;
	_Atomic uint32_t failures; /* in a row */
	_Atomic int64_t probe_at_mono_ms;
	_Atomic int64_t shunned_until_mono_ms;
	bool listed; /* for the resolver: still among the addresses */
	void (*connected)(void *arg);
	void *connected_arg;

	pthread_mutex_t lock; /* of what follows */
	struct flight *flights;
	nng_ctx *contexts; /* idle ones */
	size_t context_count, context_capacity;
};

/* Dials in the background. connected runs on an nng thread at each connection. */
enum status peer_create(const char *address, void (*connected)(void *arg), void *arg, struct peer **out_peer);
void peer_destroy(struct peer *peer); /* no flight may be left */

/* Connected, not draining, and its breaker is closed? */
bool peer_ready(struct peer *peer, int64_t now_mono_ms);
/* May a call go out now? Of an open breaker one call a second may; asking takes that turn. */
bool peer_admits(struct peer *peer, int64_t now_mono_ms);
uint64_t peer_score(const struct peer *peer, uint64_t pick); /* rendezvous: the largest wins */

/* Puts the flight on the peer with a context of its own. STATUS_BUSY when there is no connection. */
enum status peer_begin(struct peer *peer, struct flight *flight);
/* Takes it off; nothing may be pending on its aio. */
void peer_end(struct flight *flight);
void peer_abort_all(struct peer *peer); /* everything in flight ends with NNG_ECLOSED */

void peer_succeeded(struct peer *peer);
void peer_failed(struct peer *peer, int64_t now_mono_ms);
