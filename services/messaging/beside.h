/*
 * beside - what the log does not keep of message_posted and message_deleted (proto/events.proto): the channel's counters, the
 * root of a reply and where those who follow its thread stand in it. The root is another message, with a deletion of its own, and
 * any number of replies would have to be blanked with it; so it is put beside the event when that is published, as the committing
 * statement saw it, and when a gateway asks the log for it, as it is then. Bytes behind the encoded event: protobuf merges the two.
 */
#pragma once

#include "common/rpc/stubs.h"
#include "services/messaging/service.h"
#include "services/messaging/views.h"

#define READERS_MOST 256

/*
 * Columns: how many replies the root (m) has now, who made the newest of them in this very statement (or NULL), three numbers for each
 * who follows the thread (person; of how many replies he has read, -1: he follows it from now on; the last of them), and the root. actor,
 * subjects, kinds: SQL; who follows it from now on beside the root's author, NULL: nobody.
 */
/* clang-format off */
#define BESIDE_COLUMNS(actor, root_count, new_authors, subjects, kinds)                                              \
	root_count ", " new_authors ", CASE WHEN m.id IS NOT NULL THEN ARRAY(SELECT x.n FROM"                       \
	" (SELECT t.user_id, t.read_count, t.last_read_id FROM messaging.thread_read t WHERE t.root_id = m.id LIMIT 256) f" \
	" CROSS JOIN LATERAL unnest(ARRAY[f.user_id, f.read_count, f.last_read_id]) AS x(n))"                       \
	" || ARRAY(SELECT x.n FROM (SELECT d.user_id FROM (SELECT " actor " AS user_id UNION SELECT m.author_id"     \
	"  UNION SELECT s.subject FROM unnest(" subjects ", " kinds ") AS s(subject, kind) WHERE s.kind IN (1, 5)) d"  \
	"  WHERE d.user_id IS NOT NULL AND (SELECT t.read_count FROM messaging.thread_read t WHERE t.user_id = d.user_id" \
	"   AND t.channel_id = m.channel_id AND t.root_id = m.id) IS NULL) f"                                        \
	" CROSS JOIN LATERAL unnest(ARRAY[f.user_id, -1, 0]) AS x(n)) END, "                                        \
	MESSAGE_COLUMNS ", " MESSAGE_MARKS_OF_EVENT ", " MESSAGE_BOOKMARKERS
#define BESIDE_JOINS(when, root)                                                                                     \
	" LEFT JOIN LATERAL (SELECT m.* FROM messaging.messages m WHERE " when " AND m.id = " root " OFFSET 0) m"    \
	" ON m.deleted_at_ms IS NULL"                                                                                \
	" LEFT JOIN LATERAL (SELECT p.* FROM messaging.people p WHERE p.id = m.author_id OFFSET 0) p ON true"
#define BESIDE_COLUMN_COUNT (3 + MESSAGE_COLUMN_COUNT + MESSAGE_MARKS_COUNT + 1)
/* clang-format on */

struct beside {
	uint64_t counted, replies_counted;
	bool has_root;
	pb_MessageView root;
	pb_ThreadReader *readers;
	size_t reader_count;
};
/* The reply that came, which its author has read. */
struct beside_reply {
	uint64_t id, author_id; /* 0: none came */
};
/* BESIDE_COLUMNS of a row. */
void beside_from_row(
	struct arena *mem, const struct db_rows *rows, int row, int first, struct beside_reply reply, struct beside *out);
/* For a result of post_set: first is the column of the two counters; then whether BESIDE_COLUMNS follow. Puts them
 * behind the event's payload, which stays as it is when that fails: what is committed is committed. */
void beside_post(struct arena *mem, const struct db_rows *rows, int row, int first, struct beside_reply reply,
	struct logged_event *event);
/* What goes behind an encoded message_deleted. */
enum status beside_deletion(struct arena *mem, const struct beside *b, const uint8_t **out_bytes, size_t *out_length);
/* Puts what belongs beside them behind the events of an answer. */
enum status beside_fetched(struct db_conn *conn, struct arena *mem, pb_FetchEventsReply *reply);
