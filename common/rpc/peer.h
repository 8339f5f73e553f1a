/*
 * rpc/peer - one connection of a client to one of its peers: the REQ socket, its pool of contexts, what is in flight on it, and
 * the circuit breaker. When the connection is lost the peer is over and its client makes another one for the address, with a new
 * socket (closer.h says why). Thread-safe. Owned by its client; a call holds a reference (peer_begin .. peer_end).
 */
#pragma once

#include <nng/nng.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/status.h"
#include "common/rpc/batch.h"
#include "common/rpc/closer.h"

#define PEER_PING_EVERY_MS  500  /* a silent connection is asked whether it lives */
#define PEER_PING_MS        1000 /* without an answer in that time it is lost */
#define PEER_DIAL_MS        2000  /* without a connection by then another socket dials; then twice as long, and so on */
#define PEER_DIAL_MOST_MS   32000
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
	struct lane *lane; /* of the calls that travel together */
	_Atomic uint32_t pipe; /* 0: not connected */
	_Atomic bool lost;     /* was connected, and is no more: to be replaced */
	_Atomic bool gone;     /* and that is certain */
	int64_t dials_until_mono_ms; /* the keeper's own, as is the next */
	int dial_ms;
	_Atomic int64_t heard_mono_ms;
	_Atomic uint32_t references;
	_Atomic uint32_t failures; /* in a row */
	_Atomic int64_t probe_at_mono_ms;
	_Atomic int64_t shunned_until_mono_ms;
	bool listed; /* for the resolver: still among the addresses */
	struct flight ping; /* holds a reference while it is under way */
	bool ping_sent;     /* else it is still being sent; the callback's own */
	_Atomic bool pinging;

	pthread_mutex_t lock; /* of what follows; taken before the client's */
	void (*changed)(void *arg); /* connected or lost */
	void *changed_arg;
	struct flight *flights;
	nng_ctx *contexts; /* idle ones */
	size_t context_count, context_capacity;
};

/* Dials in the background. changed runs on an nng thread when the connection comes or goes. */
enum status peer_create(const char *address, void (*changed)(void *arg), void *arg, struct peer **out_peer);
/* To be replaced by `peer_follow`: its connection is lost, or it has been dialing for so long that nng may have lost the end of an
 * attempt (with a peer that is killed again and again it does). */
bool peer_is_over(struct peer *peer, int64_t now_mono_ms);
/* A new one for the same address. */
enum status peer_follow(const struct peer *old, void (*changed)(void *arg), void *arg, struct peer **out_peer);
/* Nothing may refer to it any more. It is freed when its socket is closed. */
void peer_destroy(struct peer *peer, struct closer *closer);

/* Connected, not draining, and its breaker is closed? */
bool peer_ready(struct peer *peer, int64_t now_mono_ms);
/* May a call go out now? Of an open breaker one call a second may; asking takes that turn. */
bool peer_admits(struct peer *peer, int64_t now_mono_ms);
uint64_t peer_score(const struct peer *peer, uint64_t pick); /* rendezvous: the largest wins */

/* Puts the flight on the peer with a context of its own. STATUS_BUSY when there is no connection. */
enum status peer_begin(struct peer *peer, struct flight *flight);
/* Takes it off; nothing may be pending on its aio. */
void peer_end(struct flight *flight);
void peer_abort_all(struct peer *peer, int rv); /* everything in flight ends with this error of nng's */

/* Asks an idle connection for a sign of life; returns at once. One call at a time. */
void peer_ping(struct peer *peer, int64_t now_mono_ms);
/* The connection is gone. certain: what is in flight ends now; else it has until its deadline, for the peer may just be slow. */
void peer_lose(struct peer *peer, bool certain);

void peer_succeeded(struct peer *peer, int64_t now_mono_ms);
void peer_failed(struct peer *peer, int64_t now_mono_ms);
