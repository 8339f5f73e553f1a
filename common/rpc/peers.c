#include "common/rpc/peers.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/rpc/address.h"

#define FIRST_DIAL_GRACE_MS 1000 /* a call right after the start waits for the dialing; later it gets BUSY at once */
#define PEERS_MOST          64   /* of one owner */
#define KEEP_EVERY_MS       100
#define CLOSE_PATIENCE_MS   1000

struct peers {
	char *addresses;
	int64_t created_mono_ms;
	struct closer *closer;

	pthread_rwlock_t list_lock; /* of the list; the peers look after themselves */
	struct peer *list;
	_Atomic uint32_t turn;
	pthread_mutex_t update_lock; /* held by whoever changes the list; taken before list_lock */
	struct peer *retired;        /* taken out of the list, maybe with calls in flight */

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	bool connected_once;
	bool news; /* for the keeper: a connection came or went */
	bool closing;

	bool keeps, resolves;
	pthread_t keeper, resolver;
};

/* Runs on an nng thread, when a connection came or went. */
static void peer_changed(void *arg)
{
	struct peers *peers = arg;

	pthread_mutex_lock(&peers->lock);
	peers->news = true;
	pthread_cond_broadcast(&peers->changed);
	pthread_mutex_unlock(&peers->lock);
}

static void peers_insert(struct peers *peers, struct peer *peer)
{
	pthread_rwlock_wrlock(&peers->list_lock);
	peer->next = peers->list;
	peers->list = peer;
	pthread_rwlock_unlock(&peers->list_lock);
}

/* *at leaves the list; its calls end by themselves. */
static void peers_retire(struct peers *peers, struct peer **at)
{
	struct peer *peer = *at;

	pthread_rwlock_wrlock(&peers->list_lock);
	*at = peer->next;
	pthread_rwlock_unlock(&peers->list_lock);
	peer->next = peers->retired;
	peers->retired = peer;
}

/* Closes the retired ones that nothing refers to any more. */
static void retired_close(struct peers *peers)
{
	for (struct peer **at = &peers->retired; *at != NULL;) {
		struct peer *peer = *at;
		if (atomic_load(&peer->references) > 0) {
			/* Whoever began just when it went would wait for a connection that does not come. */
			if (atomic_load(&peer->gone))
				peer_abort_all(peer, NNG_ECONNRESET);
			at = &peer->next;
			continue;
		}
		*at = peer->next;
		peer_destroy(peer, peers->closer);
	}
}

/* Each lost connection, and each that does not come about, is followed by a new one, in the same place of the list: rendezvous and turns stay. */
static void peers_renew(struct peers *peers)
{
	for (struct peer **at = &peers->list; *at != NULL; at = &(*at)->next) {
		struct peer *old = *at;
		struct peer *renewed = NULL;
		if (!peer_is_over(old, clock_mono_ms()) || peer_follow(old, peer_changed, peers, &renewed) != STATUS_OK)
			continue; /* what failed is logged and tried again */
		renewed->next = old->next;
		pthread_rwlock_wrlock(&peers->list_lock);
		*at = renewed;
		pthread_rwlock_unlock(&peers->list_lock);
		old->next = peers->retired;
		peers->retired = old;
	}
}

/* Makes the list of peers that of the addresses. */
static enum status peers_update(struct peers *peers, bool *out_names)
{
	struct arena *mem = arena_create();
	size_t count = 0;
	const char **addresses = rpc_addresses_resolve(mem, peers->addresses, &count, out_names);
	enum status st = STATUS_OK;

	pthread_mutex_lock(&peers->update_lock);
	for (struct peer *peer = peers->list; peer != NULL; peer = peer->next)
		peer->listed = count == 0; /* a resolver that knows nothing for a moment takes no peer away */
	for (size_t i = 0; i < count && i < PEERS_MOST; i++) {
		struct peer *peer = peers->list;
		while (peer != NULL && strcmp(peer->address, addresses[i]) != 0)
			peer = peer->next;
		if (peer == NULL) {
			st = peer_create(addresses[i], peer_changed, peers, &peer);
			if (st != STATUS_OK)
				break;
			peers_insert(peers, peer);
		}
		peer->listed = true;
	}
	for (struct peer **at = &peers->list; st == STATUS_OK && *at != NULL;) {
		if ((*at)->listed) {
			at = &(*at)->next;
			continue;
		}
		log_info("peer_retired", LOG_STR("address", (*at)->address));
		peers_retire(peers, at);
	}
	pthread_mutex_unlock(&peers->update_lock);
	arena_destroy(mem);
	return st;
}

/* Waits for a change, pause_ms at most. False: they are being destroyed. Called with the lock held. */
static bool peers_pause(struct peers *peers, int pause_ms, const bool *until_true)
{
	struct timespec until = clock_timespec(clock_mono_ms() + pause_ms);

	while (!peers->closing && !(until_true != NULL && *until_true) &&
		pthread_cond_timedwait(&peers->changed, &peers->lock, &until) != ETIMEDOUT) {
	}
	return !peers->closing;
}

/* Replaces lost connections, asks silent ones for a sign of life, closes what is over. */
static void *keeper_main(void *arg)
{
	struct peers *peers = arg;

	pthread_mutex_lock(&peers->lock);
	while (peers_pause(peers, KEEP_EVERY_MS, &peers->news)) {
		peers->news = false;
		pthread_mutex_unlock(&peers->lock);
		pthread_mutex_lock(&peers->update_lock);
		bool connected = false;
		for (struct peer *peer = peers->list; peer != NULL; peer = peer->next) {
			connected |= atomic_load(&peer->pipe) != 0;
			peer_ping(peer, clock_mono_ms());
		}
		peers_renew(peers);
		retired_close(peers);
		pthread_mutex_unlock(&peers->update_lock);
		pthread_mutex_lock(&peers->lock);
		if (connected && !peers->connected_once) {
			peers->connected_once = true;
			pthread_cond_broadcast(&peers->changed);
		}
	}
	pthread_mutex_unlock(&peers->lock);
	return NULL;
}

static void *resolver_main(void *arg)
{
	struct peers *peers = arg;

	pthread_mutex_lock(&peers->lock);
	while (peers_pause(peers, RPC_RESOLVE_EVERY_MS, NULL)) {
		bool names = true;
		pthread_mutex_unlock(&peers->lock);
		(void)peers_update(peers, &names); /* what failed is logged and tried again */
		pthread_mutex_lock(&peers->lock);
	}
	pthread_mutex_unlock(&peers->lock);
	return NULL;
}

enum status peers_create(const char *addresses, struct peers **out_peers)
{
	struct peers *peers = calloc(1, sizeof *peers);
	bool names = false;

	if (peers == NULL)
		return STATUS_INTERNAL;
	peers->addresses = strdup(addresses);
	peers->created_mono_ms = clock_mono_ms();
	peers->closer = closer_create();
	pthread_rwlock_init(&peers->list_lock, NULL);
	pthread_mutex_init(&peers->update_lock, NULL);
	pthread_mutex_init(&peers->lock, NULL);
	clock_cond_init(&peers->changed);
	enum status st = peers_update(peers, &names);
	if (st == STATUS_OK) {
		peers->keeps = pthread_create(&peers->keeper, NULL, keeper_main, peers) == 0;
		peers->resolves = names && pthread_create(&peers->resolver, NULL, resolver_main, peers) == 0;
		if (!peers->keeps || peers->resolves != names)
			st = STATUS_INTERNAL;
	}
	if (st == STATUS_OK) {
		*out_peers = peers;
		return STATUS_OK;
	}
	peers_stop(peers);
	while (peers_abort(peers)) /* no call was made of them, but the keeper may have asked for a sign of life */
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	peers_destroy(peers);
	return st;
}

void peers_stop(struct peers *peers)
{
	pthread_mutex_lock(&peers->lock);
	peers->closing = true;
	pthread_cond_broadcast(&peers->changed);
	pthread_mutex_unlock(&peers->lock);
	if (peers->keeps)
		pthread_join(peers->keeper, NULL);
	if (peers->resolves)
		pthread_join(peers->resolver, NULL);
	while (peers->list != NULL)
		peers_retire(peers, &peers->list);
}

bool peers_abort(struct peers *peers)
{
	bool referred = false;

	for (struct peer *peer = peers->retired; peer != NULL; peer = peer->next) {
		peer_abort_all(peer, NNG_ECLOSED);
		referred |= atomic_load(&peer->references) > 0;
	}
	return referred;
}

void peers_destroy(struct peers *peers)
{
	if (peers == NULL)
		return;
	retired_close(peers);
	closer_finish(peers->closer, CLOSE_PATIENCE_MS);
	pthread_cond_destroy(&peers->changed);
	pthread_mutex_destroy(&peers->lock);
	pthread_mutex_destroy(&peers->update_lock);
	pthread_rwlock_destroy(&peers->list_lock);
	free(peers->addresses);
	free(peers);
}

bool peers_up(struct peers *peers)
{
	int64_t now = clock_mono_ms();
	bool up = false;

	pthread_rwlock_rdlock(&peers->list_lock);
	for (struct peer *peer = peers->list; peer != NULL && !up; peer = peer->next)
		up = peer_ready(peer, now);
	pthread_rwlock_unlock(&peers->list_lock);
	return up;
}

/* The peers that may be asked now, in the order of preference: by rendezvous or in turn. */
static size_t peers_in_order(struct peers *peers, uint64_t pick, struct peer *out[PEERS_MOST])
{
	uint64_t scores[PEERS_MOST];
	size_t count = 0;

	for (struct peer *peer = peers->list; peer != NULL && count < PEERS_MOST; peer = peer->next, count++) {
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

struct peer *peers_pick(struct peers *peers, uint64_t pick, const struct peer *except)
{
	struct peer *order[PEERS_MOST];
	struct peer *found = NULL;
	int64_t now = clock_mono_ms();

	pthread_rwlock_rdlock(&peers->list_lock);
	size_t count = peers_in_order(peers, pick, order);
	size_t first = pick != 0 || count == 0 ? 0 : atomic_fetch_add_explicit(&peers->turn, 1, memory_order_relaxed) % count;
	for (size_t i = 0; i < count && found == NULL; i++) {
		struct peer *peer = order[(first + i) % count];
		if (peer != except && peer_admits(peer, now))
			found = peer;
	}
	if (found != NULL)
		atomic_fetch_add(&found->references, 1);
	pthread_rwlock_unlock(&peers->list_lock);
	return found;
}

bool peers_have_other(struct peers *peers, const struct peer *than)
{
	int64_t now = clock_mono_ms();
	bool found = false;

	pthread_rwlock_rdlock(&peers->list_lock);
	for (struct peer *peer = peers->list; peer != NULL && !found; peer = peer->next)
		found = peer != than && peer_ready(peer, now);
	pthread_rwlock_unlock(&peers->list_lock);
	return found;
}

void peers_wait_first(struct peers *peers, int64_t deadline_mono_ms)
{
	int64_t most = peers->created_mono_ms + FIRST_DIAL_GRACE_MS;
	struct timespec until = clock_timespec(deadline_mono_ms < most ? deadline_mono_ms : most);

	pthread_mutex_lock(&peers->lock);
	while (!peers->connected_once && !peers->closing) {
		if (pthread_cond_timedwait(&peers->changed, &peers->lock, &until) == ETIMEDOUT)
			break;
	}
	pthread_mutex_unlock(&peers->lock);
}
