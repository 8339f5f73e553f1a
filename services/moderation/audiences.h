/*
 * audiences - the keys of people in streams; the handler without its envelope, for tests.
 */
#pragma once

#include "common/base/arena.h"
#include "common/db/db.h"
#include "common/events/kinds.h"
#include "proto/moderation.pb.h"

/* The permissions from which keys follow: views, what can:T:x keys name, administrator. Who gains or loses none of them
 * keeps his keys. */
struct bits audiences_bits(void);

/*
 * conn has a snapshot open. Answers once per user and asked stream of a team or conversation (member is false
 * for strangers), or, without streams, once per user and team or conversation he is in. STATUS_OK, TOO_LARGE over 16384 answers, BUSY,
 * INTERNAL.
 */
enum status audiences_list(struct db_conn *conn, struct arena *mem, const pb_ListAudiencesRequest *rq,
	int64_t now_ms, pb_ListAudiencesReply *out);

/* What one person's change of rights in a team means for his keys there. */
struct key_changes {
	char **gained, **lost;
	size_t gained_count, lost_count;
};
/* The keys can:T:x that come or go when his rights in the team (not in a channel) are `after` instead of `before`. */
void audiences_can_changes(
	struct arena *mem, uint64_t team_id, struct bits before, struct bits after, struct key_changes *out);
