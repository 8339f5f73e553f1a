/*
 * limits - token buckets in a table of fixed size, for requests per token and per address, posts per token and
 * channel, logins, guesses at passwords and registrations. They are per process: a rate is divided by the number of api copies. A bucket that is
 * full again is the same as none, so when a row of the table is crowded the one longest untouched gives way.
 * Thread-safe; time is passed in.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct limits;

enum limit_class {
	LIMIT_REQUESTS,      /* by session */
	LIMIT_POSTS,         /* by session and channel */
	LIMIT_LOGINS,        /* by address */
	LIMIT_GUESSES,       /* at one account's password: by the name given, or the account's id */
	LIMIT_REGISTRATIONS, /* by address */
	LIMIT_STRANGERS,     /* requests without a good token: by address */
	LIMIT_WEBHOOKS,      /* posts by a token that is the right: by webhook and token */
};

/* `burst` at once, and `burst` more in period_ms. burst 0: no limit. */
struct limit_rate {
	int64_t burst;
	int64_t period_ms;
};

struct limit_state {
	bool limited; /* a limit is in force; false leaves the rest 0 */
	int64_t limit;
	int64_t remaining;
	int64_t reset_ms; /* until the bucket is full again */
	int64_t retry_ms; /* until the next one is allowed; 0 when this one was */
};

/* slots is rounded up to a multiple of 8. NULL when memory is out. */
struct limits *limits_create(size_t slots);
void limits_destroy(struct limits *limits);

/*
 * limits_take - one unit out of the bucket of (class, key_a, key_b).
 *
 * key_a, key_b  whatever tells whose it is: ids, or limit_key of an address
 * now_mono_ms   monotonic
 *
 * True: allowed (also when there is no limit). out_state is always written.
 */
bool limits_take(struct limits *limits, enum limit_class class_, uint64_t key_a, uint64_t key_b,
	struct limit_rate rate, int64_t now_mono_ms, struct limit_state *out_state);

/* Would limits_take allow it now? Takes nothing: for what is counted only when it fails. */
bool limits_allow(struct limits *limits, enum limit_class class_, uint64_t key_a, uint64_t key_b,
	struct limit_rate rate, int64_t now_mono_ms, struct limit_state *out_state);

/* A key from text; keyed by a secret of this table, so that nobody can aim at a row. */
uint64_t limits_key(const struct limits *limits, const char *text);
/* A key from an IP address. Of IPv6 the first 64 bits: one customer has at least all of the rest. */
uint64_t limits_key_address(const struct limits *limits, const char *address);
