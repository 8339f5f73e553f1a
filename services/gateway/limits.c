/*
 * limits - see limits.h.
 */
#include "services/gateway/limits.h"

#include <netinet/in.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/files.h"
#include "common/base/log.h"
#include "services/gateway/memory.h"

#define SWEEP_LEAST 1024 /* addresses */
#define V4_PREFIX   12   /* bytes of an IPv6 address before an IPv4 one in it */

/* An address with sockets, or that made handshakes within the last second. */
struct place {
	uint32_t sockets;
	struct limit_bucket handshakes;
};

enum status limits_init(struct socket_limits *limits, struct arena *mem, const struct config *config)
{
	struct network *trusted = NULL;
	const char *bad = NULL;
	size_t count = 0;

	enum status st = networks_parse(mem, config->trusted_proxies, &trusted, &count, &bad);
	if (st != STATUS_OK) {
		log_error("trusted_proxies_invalid", LOG_STR("entry", bad));
		return st;
	}
	limits->trusted = trusted;
	limits->trusted_count = count;
	limits->per_address = (uint32_t)config->ws_sockets_per_address;
	limits->per_account = (uint32_t)config->ws_sockets_per_account;
	limits->handshakes_per_s = (uint32_t)config->ws_handshakes_per_s;
	limits->handshakes_per_s_address = (uint32_t)config->ws_handshakes_per_s_address;
	limits->queue_bytes = (uint64_t)config->ws_queue_total_bytes;
	randombytes_buf(limits->secret, sizeof limits->secret);
	return STATUS_OK;
}

void limits_finish(struct socket_limits *limits)
{
	struct place *place;
	size_t cursor = 0;

	while ((place = table_next(&limits->addresses, &cursor)) != NULL)
		free(place);
	table_finish(&limits->addresses);
	table_finish(&limits->accounts);
}

/* ---- addresses */

struct address limits_peer(const struct sockaddr_storage *peer)
{
	struct address address = {0};

	if (peer->ss_family == AF_INET) {
		memset(address.bytes + V4_PREFIX - 2, 0xff, 2);
		memcpy(address.bytes + V4_PREFIX, &((const struct sockaddr_in *)peer)->sin_addr, 4);
	} else if (peer->ss_family == AF_INET6) {
		memcpy(address.bytes, &((const struct sockaddr_in6 *)peer)->sin6_addr, sizeof address.bytes);
	}
	return address;
}

bool limits_trusts(const struct socket_limits *limits, const struct address *peer)
{
	return address_is_in(limits->trusted, limits->trusted_count, peer);
}

uint64_t limits_key(
	const struct socket_limits *limits, const struct address *peer, const char *const *forwarded, size_t forwarded_count)
{
	static const uint8_t v4[V4_PREFIX] = {[10] = 0xff, [11] = 0xff};
	struct address client =
		address_of_client(limits->trusted, limits->trusted_count, *peer, forwarded, forwarded_count);
	uint64_t key = 0;

	_Static_assert(sizeof limits->secret == crypto_shorthash_KEYBYTES, "the key of a hash");
	_Static_assert(sizeof key == crypto_shorthash_BYTES, "a hash is 64 bits");
	if (limits_trusts(limits, &client))
		return 0;
	size_t counts = memcmp(client.bytes, v4, sizeof v4) == 0 ? sizeof client.bytes : sizeof client.bytes / 2;
	crypto_shorthash((unsigned char *)&key, client.bytes, counts, limits->secret);
	return key == 0 ? 1 : key;
}

/* ---- buckets */

static void refill(struct limit_bucket *bucket, uint32_t per_s, int64_t now_mono_ms)
{
	int64_t full = (int64_t)per_s * 1000, passed_ms = now_mono_ms - bucket->at_ms;

	if (passed_ms <= 0) /* loops read the clock before they get here: it may seem to step back */
		return;
	bucket->at_ms = now_mono_ms;
	bucket->level = passed_ms >= 1000 ? full : bucket->level + passed_ms * per_s;
	if (bucket->level > full)
		bucket->level = full;
}

/* ---- places */

/* Would nobody notice if it were forgotten? */
static bool is_idle(const struct place *place, int64_t now_mono_ms)
{
	return place->sockets == 0 && now_mono_ms - place->handshakes.at_ms >= 1000;
}

/* What made handshakes and went is forgotten when the table has doubled, so that each costs its share of one look. */
static void sweep(struct socket_limits *limits, int64_t now_mono_ms)
{
	struct table *table = &limits->addresses;
	size_t count = 0;

	if (table->count < limits->sweep_at)
		return;
	uint64_t *keys = memory_new((table->count + 1) * sizeof *keys);
	for (size_t i = 0; i < table->capacity; i++)
		if (table->slots[i].value != NULL && is_idle(table->slots[i].value, now_mono_ms))
			keys[count++] = table->slots[i].key;
	for (size_t i = 0; i < count; i++)
		free(table_remove(table, keys[i]));
	free(keys);
	limits->sweep_at = 2 * table->count + SWEEP_LEAST;
}

static struct place *place_of(struct socket_limits *limits, uint64_t key, int64_t now_mono_ms)
{
	struct place *place = table_get(&limits->addresses, key);

	if (place != NULL)
		return place;
	sweep(limits, now_mono_ms);
	place = memory_new(sizeof *place);
	/* Not yet asked for: full, and idle unless something comes. */
	place->handshakes = (struct limit_bucket){.at_ms = now_mono_ms - 1000};
	table_put(&limits->addresses, key, place);
	return place;
}

static bool counts_addresses(const struct socket_limits *limits)
{
	return limits->per_address != 0 || limits->handshakes_per_s_address != 0;
}

bool limits_enter(struct socket_limits *limits, uint64_t key, int64_t now_mono_ms)
{
	bool allowed = true;

	if (key == 0 || !counts_addresses(limits))
		return true;
	pthread_mutex_lock(&limits->lock);
	struct place *place = place_of(limits, key, now_mono_ms);
	if (limits->per_address != 0 && place->sockets >= limits->per_address)
		allowed = false;
	else
		place->sockets++;
	pthread_mutex_unlock(&limits->lock);
	return allowed;
}

void limits_leave(struct socket_limits *limits, uint64_t key, int64_t now_mono_ms)
{
	if (key == 0 || !counts_addresses(limits))
		return;
	pthread_mutex_lock(&limits->lock);
	struct place *place = table_get(&limits->addresses, key);
	if (place != NULL) {
		place->sockets--;
		if (is_idle(place, now_mono_ms))
			free(table_remove(&limits->addresses, key));
	}
	pthread_mutex_unlock(&limits->lock);
}

int limits_handshake(struct socket_limits *limits, uint64_t key, int64_t now_mono_ms)
{
	uint32_t of_all = limits->handshakes_per_s, of_one = key != 0 ? limits->handshakes_per_s_address : 0;
	struct limit_bucket *all = &limits->handshakes, *one = NULL;
	int refused = 0;

	if (of_all == 0 && of_one == 0)
		return 0;
	pthread_mutex_lock(&limits->lock);
	refill(all, of_all, now_mono_ms);
	if (of_one != 0) {
		one = &place_of(limits, key, now_mono_ms)->handshakes;
		refill(one, of_one, now_mono_ms);
	}
	/* The address first: what it is refused takes nothing from the others. */
	if (one != NULL && one->level < 1000)
		refused = 429;
	else if (of_all != 0 && all->level < 1000)
		refused = 503;
	if (refused == 0 && one != NULL)
		one->level -= 1000;
	if (refused == 0 && of_all != 0)
		all->level -= 1000;
	pthread_mutex_unlock(&limits->lock);
	return refused;
}

/* ---- accounts: the number itself stands in the table's value */

bool limits_account_enter(struct socket_limits *limits, uint64_t account)
{
	bool allowed = true;

	if (limits->per_account == 0)
		return true;
	pthread_mutex_lock(&limits->lock);
	uintptr_t sockets = (uintptr_t)table_get(&limits->accounts, account);
	if (sockets >= limits->per_account)
		allowed = false;
	else
		table_put(&limits->accounts, account, (void *)(sockets + 1));
	pthread_mutex_unlock(&limits->lock);
	return allowed;
}

void limits_account_leave(struct socket_limits *limits, uint64_t account)
{
	if (limits->per_account == 0)
		return;
	pthread_mutex_lock(&limits->lock);
	uintptr_t sockets = (uintptr_t)table_get(&limits->accounts, account);
	if (sockets > 1)
		table_put(&limits->accounts, account, (void *)(sockets - 1));
	else
		table_remove(&limits->accounts, account);
	pthread_mutex_unlock(&limits->lock);
}

size_t socket_most(int64_t configured)
{
	size_t most = files_for_connections();

	return configured > 0 && (size_t)configured < most ? (size_t)configured : most;
}
