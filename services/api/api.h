/*
 * api - what hangs from main in guildhall-api: settings, database, committer, the other owners, and api's own
 * parts. Set up by main before the first request and not changed afterwards, except for what is atomic. Owned
 * by main; everybody borrows.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "common/base/config.h"
#include "common/base/ids.h"
#include "common/rpc/rpc.h"

struct db;
struct committer;
struct mount;
struct jobs;
struct limits;
struct mount_teams;
struct passwords;
struct tokens;
struct transfers;

enum owner { OWNER_messaging, OWNER_moderation, OWNER_presence, OWNER_COUNT };

struct api_owner {
	struct rpc_client *client;
	_Atomic int inside; /* workers that wait for this owner right now */
};

struct api {
	const struct config *config;
	struct db *db;
	struct committer *committer;
	struct ids *ids;
	struct passwords *passwords;
	struct tokens *tokens;
	struct limits *limits;
	struct mount_teams *mount_teams;
	struct jobs *jobs;
	struct transfers *transfers;
	struct api_owner owners[OWNER_COUNT];
	int owner_share; /* most workers one owner may hold: half of them, so that a slow one leaves the rest
			    alive */
	int peers;       /* copies of api, this one included: limits are per process and divided by it */
	const struct mount *const
		*mounts; /* NULL-terminated; the first one answers paths that are nobody's */
};

/* This copy's part of a limit; 0 stays "off". */
static inline int64_t api_share(const struct api *api, int64_t limit)
{
	return limit <= 0 ? 0 : limit < api->peers ? 1 : limit / api->peers;
}
