/*
 * rpc/peers - the peers behind a client's addresses, as they are resolved now: dialing them, replacing lost connections, asking
 * silent ones for a sign of life, and choosing one for a call. Thread-safe. Owned by its client.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/rpc/peer.h"

struct peers;

/* addresses: separated by commas, checked already. Dials in the background. STATUS_INTERNAL, and what an address earns. */
enum status peers_create(const char *addresses, struct peers **out_peers);
/* No peer is found from here on. */
void peers_stop(struct peers *peers);
/* After peers_stop: cuts what is in flight. True: somebody still holds a reference, ask again. */
bool peers_abort(struct peers *peers);
/* After peers_abort said no. Accepts NULL. */
void peers_destroy(struct peers *peers);

bool peers_up(struct peers *peers); /* one is connected and its breaker is closed */
/* One that takes a call now, with a reference (peer->references) for the caller; not `except`. pick: by rendezvous, 0: in
 * turn. NULL: none. */
struct peer *peers_pick(struct peers *peers, uint64_t pick, const struct peer *except);
/* Is there another one that could be asked? */
bool peers_have_other(struct peers *peers, const struct peer *than);
/* Right after the start the sockets are still being dialed: waits for the first connection, a second of its life at most. */
void peers_wait_first(struct peers *peers, int64_t deadline_mono_ms);
