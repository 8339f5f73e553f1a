/*
 * sockets - who is connected where, and what is shown of them. A table in memory and nothing else: no clock, no
 * bus, no database; time comes in as arguments, changes go out through one callback. Not thread-safe: the service
 * holds its lock around every call.
 *
 * A gateway reports its sockets under a lease: SOCKETS_LEASE_MS after its last report it counts as silent, and after
 * SOCKETS_GRACE_MS more its people go offline unless another gateway has them. Sockets that vanish without
 * having been closed (gateway leaving, started anew, or leaving them out of a full report) keep their people for the
 * same grace, so that a client that reconnects does not flicker.
 *
 * During the first lease period after the start nobody is declared offline: the gateway that holds the
 * person's other sockets may not have registered again yet.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"
#include "common/events/kinds.h"
#include "proto/presence.pb.h"

#define SOCKETS_LEASE_MS  INT64_C(15000)
#define SOCKETS_GRACE_MS  INT64_C(10000)
#define SOCKETS_TEAMS_MAX 256 /* an account is in at most 200 teams, and shown in 200 conversations; what is beyond is ignored */

/* What others see of a choice: invisible looks like offline. */
enum presence_state presence_shown(enum presence_state chosen, bool connected);

/* One thing to tell. Everything is borrowed for the call. */
struct presence_change {
	uint64_t user_id;
	const uint8_t *view; /* encoded UserView as a gateway or the person's own call gave it */
	size_t view_length;
	enum presence_state shown, chosen;
	int64_t last_seen_at_ms; /* when the person was last shown as present; now while present */
	const uint64_t *team_ids; /* whom to tell; none when only the person learns of it */
	size_t team_count;
	const uint64_t *conversation_ids; /* and these */
	size_t conversation_count;
	bool to_self;
};

struct sockets_callbacks {
	/* Shown or chosen changed, or teams or conversations were added to a person who is present. */
	void (*changed)(void *arg, const struct presence_change *change);
	/* What a restart has to know changed: what was announced, and when the person was there last. */
	void (*remember)(void *arg, uint64_t user_id, enum presence_state shown, int64_t last_seen_at_ms);
	/* A socket brought a choice that is to be stored. */
	void (*chose)(void *arg, uint64_t user_id, enum presence_state chosen);
	/* The person came back from idle or from being away: a status that ends with that may go. */
	void (*active)(void *arg, uint64_t user_id);
	void *arg;
};

struct sockets;
struct sockets *sockets_create(const struct sockets_callbacks *callbacks, int64_t now_mono_ms);
void sockets_destroy(struct sockets *s); /* accepts NULL */

/*
 * sockets_sync - one report of a gateway.
 *
 * full replaces what was known of that gateway. opened and changed may name sockets that are known already;
 * closed may name unknown ones.
 *
 * The answer is the epoch under which this gateway is registered: one that differs from rq->known_epoch asks it
 * for everything again. STATUS_FIELD_INVALID: no gateway name, or one over 128 bytes; nothing was done.
 */
enum status sockets_sync(struct sockets *s, const pb_SyncSocketsRequest *rq, int64_t now_mono_ms, int64_t now_wall_ms,
	uint64_t *out_epoch);

/* Leases and graces that are over. */
void sockets_tick(struct sockets *s, int64_t now_mono_ms, int64_t now_wall_ms);

/* People whose row is not read yet: at most `most` ids. Nothing is announced of them until sockets_loaded: a person who
 * chose to be invisible must not appear because the database was slow, and only the row knows what others saw last. */
size_t sockets_unloaded(const struct sockets *s, uint64_t *out_ids, size_t most);
/* What the database has of a person (no row: online, offline, 0). Ignored unless it is still missing; a choice made
 * meanwhile stays. */
void sockets_loaded(struct sockets *s, uint64_t user_id, enum presence_state chosen, enum presence_state announced,
	int64_t last_seen_at_ms, int64_t now_wall_ms);

/* The person chose (already stored). view may be NULL. */
void sockets_choose(struct sockets *s, uint64_t user_id, enum presence_state chosen, const uint8_t *view,
	size_t view_length, int64_t now_wall_ms);

struct presence_now {
	enum presence_state shown, chosen;
	bool chosen_known;
	bool shown_known; /* false: the row is not read yet */
	int64_t last_seen_at_ms; /* 0: not known here */
};
/* False: not connected; out is then offline with nothing known. */
bool sockets_get(const struct sockets *s, uint64_t user_id, int64_t now_wall_ms, struct presence_now *out);

/* The view of a connected person as reported last, borrowed until the next call; NULL when not connected. */
const uint8_t *sockets_view(const struct sockets *s, uint64_t user_id, size_t *out_length);
/* Team ids of a connected person, borrowed until the next call. */
const uint64_t *sockets_teams(const struct sockets *s, uint64_t user_id, size_t *out_count);

/* Who is shown as present in a team, ids ascending, above `after`; at most `most`. *out_more: there are others. Returns the count. */
size_t sockets_online(const struct sockets *s, uint64_t team_id, uint64_t after, uint64_t *out_ids, size_t most, bool *out_more);

bool sockets_warm(const struct sockets *s, int64_t now_mono_ms); /* the first lease period is over */
size_t sockets_people(const struct sockets *s);                  /* with a connection, lingering ones included */
size_t sockets_count(const struct sockets *s);
