/*
 * slots - what people may do in single channels, with the channels and who is in them: what a gateway shows a client of a dialect
 * whose channels carry their reader's rights.
 */
#pragma once

#include "common/base/arena.h"
#include "common/db/db.h"
#include "proto/moderation.pb.h"

#define AUDIENCE_SLOTS_MAX 1024 /* channels of one question */

/* conn has a snapshot open; fills out->slots for rq->slots_of and rq->user_ids. STATUS_OK, BUSY, INTERNAL. */
enum status slots_list(struct db_conn *conn, struct arena *mem, const pb_ListAudiencesRequest *rq, int64_t now_ms,
	pb_ListAudiencesReply *out);
