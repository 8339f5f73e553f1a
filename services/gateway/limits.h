/*
 * limits - what one process lets in, for all of its loops: sockets in all, of one address and of one account, handshakes a second,
 * bytes waiting in queues. One lock around the tables, taken when a socket comes, is upgraded, is authenticated or goes, and never for
 * a delivery. Time is passed in.
 *
 * An address is an IPv4 address or an IPv6 /64: one customer has at least all of that. Trusted proxies are not counted themselves, as
 * they stand for everybody behind them; whom they name (X-Forwarded-For) is. A zeroed struct with `most` set limits nothing else.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/base/arena.h"
#include "common/base/config.h"
#include "common/base/status.h"
#include "common/http/address.h"
#include "services/gateway/table.h"

/* Full again after a second. In thousandths of a handshake, so that refilling is whole numbers. */
struct limit_bucket {
	int64_t at_ms;
	int64_t level;
};

struct socket_limits {
	/* Set before the first loop starts; 0: any number. */
	size_t most;
	uint32_t per_address, per_account;
	uint32_t handshakes_per_s, handshakes_per_s_address;
	uint64_t queue_bytes;
	const struct network *trusted;
	size_t trusted_count;
	uint8_t secret[16]; /* of the keys below, so that nobody can aim at another's */

	_Atomic size_t count; /* sockets there are */
	_Atomic uint64_t last_id;
	_Atomic int64_t queued; /* bytes in the queues of all loops, as each last told */

	pthread_mutex_t lock; /* of what follows; zeros are an unlocked one */
	struct table addresses, accounts;
	size_t sweep_at;
	struct limit_bucket handshakes;
};

/* What config asks for. The list of proxies lives in mem. STATUS_FIELD_INVALID: it cannot be read (logged). */
enum status limits_init(struct socket_limits *limits, struct arena *mem, const struct config *config);
void limits_finish(struct socket_limits *limits);

/* The other end of a connection. Not an IP address: all zeros, which is counted as one. */
struct address limits_peer(const struct sockaddr_storage *peer);
/* Is it a proxy that speaks for others? */
bool limits_trusts(const struct socket_limits *limits, const struct address *peer);
/* What peer is counted under, by what a trusted one says of whom it speaks for: lines of X-Forwarded-For, in order. 0: not counted. */
uint64_t limits_key(const struct socket_limits *limits, const struct address *peer, const char *const *forwarded, size_t forwarded_count);

/* One more socket of an address (key 0: always). False: it has as many as it may, and none was added. */
bool limits_enter(struct socket_limits *limits, uint64_t key, int64_t now_mono_ms);
void limits_leave(struct socket_limits *limits, uint64_t key, int64_t now_mono_ms);

/* One more handshake: 0, or the HTTP status to refuse it with: 429 the address makes too many, 503 all together do. */
int limits_handshake(struct socket_limits *limits, uint64_t key, int64_t now_mono_ms);

/* One more authenticated socket of an account. False: as above. */
bool limits_account_enter(struct socket_limits *limits, uint64_t account);
void limits_account_leave(struct socket_limits *limits, uint64_t account);

/* The number of sockets that the process may have: what is configured (0: anything), within what nofile
 * allows. */
size_t socket_most(int64_t configured);
