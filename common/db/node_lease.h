/*
 * db/node_lease - the ten node bits of time-sorted ids, leased in log.nodes: one holder a node, and never an id with a time
 * the last holder may have used. Owned by the upkeep thread; `held` may be asked from any thread. NULL: nothing is leased.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/ids.h"
#include "common/db/db.h"

#define NODE_LEASE_LIFE_MS 30000
#define NODE_LEASE_RENEW_MS 5000
#define NODE_LEASE_MARGIN_MS 5000 /* ids end this much before the row says so: clocks of two machines drift */

struct node_lease;
struct node_lease *node_lease_create(struct ids *ids, const char *holder);
void node_lease_destroy(struct node_lease *lease);
bool node_lease_due(const struct node_lease *lease, int64_t now_mono_ms);
/* Takes a node or renews it. */
void node_lease_turn(struct node_lease *lease, struct db_conn *conn);
bool node_lease_held(const struct node_lease *lease);
/* No id is made from now on; another holder may have the node at once. */
void node_lease_give_back(struct node_lease *lease, struct db_conn *conn);
