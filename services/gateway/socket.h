/*
 * socket - the one part that knows sockets and epoll (socket*.c): accepts, reads, writes what gathered in a client's
 * queue with one call, closes. Each loop has its own, with its own listener on the same port (SO_REUSEPORT).
 * A socket at rest owns no buffer.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"
#include "services/gateway/hub.h"
#include "services/gateway/limits.h"
#include "services/gateway/tls.h"
#include "services/gateway/origins.h"

struct sockets;

struct sockets_options {
	const char *listen; /* "host:port" */
	uint16_t port;      /* not 0: instead of the one in listen */
	int sndbuf_bytes;
	size_t max_frame_bytes;
	uint32_t queue_bytes, queue_ms;
	struct tls *tls;         /* shared by all loops; NULL: plain */
	uint32_t tls_handshakes; /* at once in this loop */
	struct socket_limits *limits; /* shared by all loops of the process */
	const struct origins *origins; /* that may open a websocket; NULL: any */
};

/* STATUS_CONFLICT: the address is in use or not ours (logged). STATUS_FIELD_INVALID: it cannot be read. */
enum status sockets_create(
	const struct sockets_options *options, struct hub *hub, struct sockets **out_sockets);
void sockets_destroy(struct sockets *sockets); /* closes everything that is left */
uint16_t sockets_port(const struct sockets *sockets);

/* Waits at most timeout_us for something to do, and reads, accepts and writes what the kernel has become
 * ready for. Returns when it stopped waiting, on the monotonic clock in microseconds. */
int64_t sockets_wait(struct sockets *sockets, int64_t timeout_us);
/* Ends the current or next sockets_wait. Any thread. */
void sockets_wake(struct sockets *sockets);
/* Writes to clients with something in their queue: all of the urgent ones, of the bulk about `budget_us`'
 * worth. True: there are more. Closes those that were stuck for too long, frees those that ended. */
bool sockets_write(struct sockets *sockets, int64_t budget_us);
void sockets_stop_accepting(struct sockets *sockets);
