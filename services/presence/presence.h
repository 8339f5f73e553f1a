/*
 * presence - who is online, who is typing, and what people say of themselves. This is the one context that main makes;
 * the parts are sockets.h and typing.h (tables in memory), people.h (rows), status.h (changes of a status),
 * announce.h (events), keeper.h (threads) and calls.c (what others ask).
 *
 * Online and typing live from memory alone. The database is needed for what is kept: a person's choice, a status.
 */
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "common/bus/bus.h"
#include "common/db/committer.h"
#include "common/db/db.h"
#include "common/rpc/rpc.h"
#include "services/presence/sockets.h"
#include "services/presence/typing.h"

struct keeper;

struct presence {
	const char *instance;            /* holder of job leases */
	struct db *db;                   /* the primary */
	struct committer *committer;
	struct bus_publisher *publisher; /* NULL: nothing is announced */
	pthread_mutex_t lock;            /* around the two tables, and around publishing what they tell */
	struct sockets *sockets;
	struct typing *typing;
	struct keeper *keeper;
};

/* Everything but the lock and the tables is set by the caller before; starts no thread. */
void presence_init(struct presence *p);
void presence_finish(struct presence *p);

/* The calls of PresenceRequest, for rpc_server_options. */
const struct rpc_binding *presence_bindings(size_t *out_count);

#define PRESENCE_GET_MOST   200  /* people of one get_presence */
#define ONLINE_MOST         1000 /* people of one list_online */
#define ACTIVITY_KIND_MOST  64   /* code points */
#define PRESENCE_TEAMS_MOST 1000 /* team ids of one status */
