/*
 * rpc/address - what a process may listen on and dial: the checks and socket settings that calls and events share.
 * ipc:// lies in a private directory, with mode 0600 and the peer's uid compared; plain tcp:// off loopback is refused
 * unless it is allowed by name. Any thread; nothing is kept.
 */
#pragma once

#include <nng/nng.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/status.h"

#define RPC_MESSAGE_MAX_BYTES  (4 * 1024 * 1024) /* a reply or request; nng's default is unlimited */
#define RPC_RECONNECT_LEAST_MS 10
#define RPC_RECONNECT_MOST_MS  250
#define RPC_RESOLVE_EVERY_MS   5000

/*
 * The concrete addresses behind a list separated by commas, NULL-terminated, in mem, without doubles. A tcp name becomes
 * one numeric address per answer of the resolver (`localhost` is 127.0.0.1); what does not resolve now is left out.
 * out_names: some of them are names, so asking again later may answer otherwise. May block on the resolver.
 */
const char **rpc_addresses_resolve(struct arena *mem, const char *list, size_t *out_count, bool *out_names);

/* Largest message, reconnection times, and the check of the peer's uid on ipc:// pipes. Returns nng's error, 0: none. */
int rpc_socket_prepare(nng_socket socket);

/* For a pipe's NNG_PIPE_EV_REM_POST: its dialer does not dial again. A lost connection is followed by another socket, and a second
 * connection of this one would only be dropped again, maybe before it is greeted (ear.h). */
void rpc_pipe_dial_no_more(nng_pipe pipe);

/* Makes the directory of an ipc:// address, listens with mode 0600. STATUS_BUSY when the address is taken,
 * STATUS_INTERNAL otherwise; both are logged. ear_open is for who wants to stay heard. */
enum status rpc_socket_listen(nng_socket socket, const char *address, nng_listener *out_listener);

/* Host (without brackets) and port of a tcp:// address. False: it is none, or they do not fit. */
bool rpc_address_split(const char *address, char *host, size_t host_size, char *port, size_t port_size);

/* BUSY for what passes by itself (gone peer, full, timeout), INTERNAL else. */
enum status rpc_status_from_nng(int rv);
