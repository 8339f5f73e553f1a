#include "services/api/limits.h"

#include <arpa/inet.h>
#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define WAYS   8
#define SHARDS 16

struct bucket {
	uint64_t tag; /* hash of class and keys, never 0 for a used one */
	int64_t at_ms;
	int64_t level; /* units times period_ms, so that refilling is whole numbers */
};

struct limits {
	unsigned char secret[crypto_shorthash_KEYBYTES];
	size_t sets;
	pthread_mutex_t locks[SHARDS];
	struct bucket buckets[];
};

struct limits *limits_create(size_t slots)
{
	size_t sets = (slots + WAYS - 1) / WAYS;
	struct limits *l = calloc(1, sizeof *l + (sets == 0 ? 1 : sets) * WAYS * sizeof *l->buckets);

	if (l == NULL)
		return NULL;
	l->sets = sets == 0 ? 1 : sets;
	randombytes_buf(l->secret, sizeof l->secret);
	for (size_t i = 0; i < SHARDS; i++)
		pthread_mutex_init(&l->locks[i], NULL);
	return l;
}

void limits_destroy(struct limits *l)
{
	if (l == NULL)
		return;
	for (size_t i = 0; i < SHARDS; i++)
		pthread_mutex_destroy(&l->locks[i]);
	free(l);
}

static uint64_t keyed(const struct limits *l, const void *bytes, size_t length)
{
	unsigned char out[crypto_shorthash_BYTES];
	uint64_t value;

	_Static_assert(sizeof out == sizeof value, "a hash is 64 bits");
	crypto_shorthash(out, bytes, length, l->secret);
	memcpy(&value, out, sizeof value);
	return value == 0 ? 1 : value;
}

uint64_t limits_key(const struct limits *l, const char *text)
{
	return keyed(l, text, strlen(text));
}

uint64_t limits_key_address(const struct limits *l, const char *address)
{
	struct in6_addr v6;

	if (inet_pton(AF_INET6, address, &v6) != 1 || IN6_IS_ADDR_V4MAPPED(&v6))
		return limits_key(l, address);
	return keyed(l, &v6, sizeof v6 / 2);
}

/* The bucket with this tag, or the one that gives way to it, filled. */
static struct bucket *find(struct bucket *set, uint64_t tag, struct limit_rate rate, int64_t now_ms)
{
	struct bucket *oldest = set;

	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].tag == tag)
			return &set[i];
		if (set[i].tag == 0 || (oldest->tag != 0 && set[i].at_ms < oldest->at_ms))
			oldest = &set[i];
	}
	*oldest = (struct bucket){.tag = tag, .at_ms = now_ms, .level = rate.burst * rate.period_ms};
	return oldest;
}

static bool ask(struct limits *l, enum limit_class class_, uint64_t key_a, uint64_t key_b, struct limit_rate rate,
	int64_t now_mono_ms, bool takes, struct limit_state *out_state)
{
	uint64_t what[3] = {(uint64_t)class_, key_a, key_b};

	*out_state = (struct limit_state){0};
	if (rate.burst <= 0)
		return true;
	assert(rate.period_ms > 0);
	uint64_t tag = keyed(l, what, sizeof what);
	size_t set = (size_t)(tag % l->sets);
	pthread_mutex_t *lock = &l->locks[set % SHARDS];
	int64_t full = rate.burst * rate.period_ms;

	pthread_mutex_lock(lock);
	struct bucket *b = find(&l->buckets[set * WAYS], tag, rate, now_mono_ms);
	int64_t passed = now_mono_ms - b->at_ms;
	if (passed > 0) { /* threads read the clock before they get here: time may seem to step back */
		b->level = passed >= rate.period_ms ? full : b->level + passed * rate.burst;
		b->at_ms = now_mono_ms;
	}
	if (b->level > full)
		b->level = full;
	bool allowed = b->level >= rate.period_ms;
	if (allowed && takes)
		b->level -= rate.period_ms;
	int64_t level = b->level;
	pthread_mutex_unlock(lock);

	out_state->limited = true;
	out_state->limit = rate.burst;
	out_state->remaining = level / rate.period_ms;
	out_state->reset_ms = (full - level + rate.burst - 1) / rate.burst;
	out_state->retry_ms = allowed ? 0 : (rate.period_ms - level + rate.burst - 1) / rate.burst;
	return allowed;
}

bool limits_take(struct limits *l, enum limit_class class_, uint64_t key_a, uint64_t key_b,
	struct limit_rate rate, int64_t now_mono_ms, struct limit_state *out_state)
{
	return ask(l, class_, key_a, key_b, rate, now_mono_ms, true, out_state);
}

bool limits_allow(struct limits *l, enum limit_class class_, uint64_t key_a, uint64_t key_b,
	struct limit_rate rate, int64_t now_mono_ms, struct limit_state *out_state)
{
	return ask(l, class_, key_a, key_b, rate, now_mono_ms, false, out_state);
}
