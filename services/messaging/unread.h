/*
 * unread - what somebody has unread, everywhere: the channels' counters minus his marks, and the threads that he follows.
 */
#pragma once

#include "common/rpc/stubs.h"
#include "services/messaging/service.h"

rpc_handler list_unread;

#define UNREAD_CHANNELS_MOST 1000 /* named in one question */

/* Joins b: place and replies_place, where the marks of a person who has none (r.counted is null) stand: at the last message until he joined.
 * Both arguments are SQL. */
/* clang-format off */
#define UNREAD_BASE_JOIN(channel, joined_seq)                                                                        \
	" LEFT JOIN LATERAL (SELECT m.place, m.replies_place FROM messaging.messages m WHERE r.counted IS NULL"     \
	"  AND m.channel_id = " channel " AND m.seq <= " joined_seq " AND m.place IS NOT NULL ORDER BY m.seq DESC LIMIT 1) b ON true"
/* clang-format on */

/* Joins t: unread, threads (with anything unread) and marks ("root read there-are last " for each of these), of the newest threads that
 * the person follows in the channel; both are SQL. */
/* clang-format off */
#define UNREAD_THREADS_JOIN(user, channel)                                                                           \
	" LEFT JOIN LATERAL (SELECT coalesce(sum(greatest(x.reply_count - f.read_count, 0)), 0)::int8 AS unread,"   \
	"  count(*) FILTER (WHERE x.reply_count > f.read_count) AS threads,"                                        \
	"  string_agg(f.root_id || ' ' || f.read_count || ' ' || x.reply_count || ' ' || f.last_read_id, ' ' ORDER BY f.root_id DESC)" \
	"   FILTER (WHERE x.reply_count > f.read_count) AS marks"                                                   \
	"  FROM (SELECT f.root_id, f.read_count, f.last_read_id FROM messaging.thread_read f WHERE f.user_id = " user               \
	"   AND f.channel_id = " channel " ORDER BY f.root_id DESC LIMIT 200) f"                                    \
	"  CROSS JOIN LATERAL (SELECT x.reply_count, x.deleted_at_ms FROM messaging.messages x WHERE x.id = f.root_id OFFSET 0) x" \
	"  WHERE x.deleted_at_ms IS NULL) t ON true"
/* clang-format on */

static inline uint64_t unread_of(uint64_t counted, uint64_t read)
{
	return counted > read ? counted - read : 0;
}
