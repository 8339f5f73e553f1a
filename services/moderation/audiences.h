/*
 * audiences - the keys of people in streams; the handler without its envelope, for tests.
 */
#pragma once

#include "common/base/arena.h"
#include "common/db/db.h"
#include "proto/moderation.pb.h"

/*
 * conn has a snapshot open. Answers once per user and asked team stream (member is false for strangers), or,
 * without streams, once per user and team he is a member of. STATUS_OK, TOO_LARGE over 16384 answers, BUSY,
 * INTERNAL.
 */
enum status audiences_list(struct db_conn *conn, struct arena *mem, const pb_ListAudiencesRequest *rq,
	int64_t now_ms, pb_ListAudiencesReply *out);
