/*
 * rpc/closer - closing nng sockets without waiting for it. nng 1.5.2 (Debian 12) can lose the end of a read when a pipe closes
 * while a message is coming in; its one reaping thread then waits forever, and with it every nng_close and every reconnection
 * by a socket that had a connection. Measured: within 5..50 kills of a peer under load. New sockets work all the same. Hence:
 * a connection that is lost is followed by a new socket, and the old one is closed on a thread of its own, which may hang.
 * Thread-safe.
 */
#pragma once

#include <nng/nng.h>
#include <stdbool.h>

struct closer;
struct closer *closer_create(void);
/* Closes the socket in the background, then calls release(arg), if ever. */
void closer_close(struct closer *closer, nng_socket socket, void (*release)(void *arg), void *arg);
/* Waits until everything is closed, patience_ms at most; what hangs is left to the process's end. Ends the closer. */
void closer_finish(struct closer *closer, int patience_ms);
