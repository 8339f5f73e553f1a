#include "services/messaging/purge.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/ticker.h"
#include "common/db/log.h"
#include "services/messaging/deliveries.h"

#define CHUNK         500
#define FIRST_AFTER_S 60
#define EVERY_S       3600
#define LEASE_MS      (2 * EVERY_S * 1000) /* renewed every hour by whoever has it */
#define ACQUIRE_MS    2000

#define MARKS_PAGE    5000
#define CHANNELS_PAGE 100

/* Edits, reactions and the pin went with the deletion already, what the search knew soon after it. A bookmark is not under the
 * stream's lock: one may have been set while the message was being deleted. */
static const struct db_stmt messages_stmt = {
	"messaging_purge_messages",
	"WITH gone AS (DELETE FROM messaging.messages WHERE id IN (SELECT id FROM messaging.messages"
	"  WHERE deleted_at_ms IS NOT NULL AND deleted_at_ms < $1 ORDER BY deleted_at_ms LIMIT $2) RETURNING id),"
	" bookmarks AS (DELETE FROM messaging.bookmarks b USING gone g WHERE b.message_id = g.id)"
	" SELECT count(*) FROM gone",
};
/* Marked before the first of its rows goes: from then on nobody brings it back. Who is bringing one back holds its row; that
 * one is left for the next round, if it stays deleted at all. */
static const struct db_stmt channels_stmt = {
	"messaging_purge_channels",
	"UPDATE messaging.channels SET purging = true WHERE ctid = ANY (ARRAY(SELECT ctid FROM messaging.channels"
	" WHERE deleted_at_ms < $1 ORDER BY id LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED)) RETURNING id",
};
static const struct db_stmt channel_messages_stmt = {
	"messaging_purge_channel_messages",
	"WITH gone AS (DELETE FROM messaging.messages WHERE id IN (SELECT id FROM messaging.messages WHERE "
	"channel_id = $1"
	"  ORDER BY seq LIMIT $2) RETURNING id),"
	" edits AS (DELETE FROM messaging.message_edits e USING gone g WHERE e.message_id = g.id),"
	" reactions AS (DELETE FROM messaging.reactions r USING gone g WHERE r.message_id = g.id),"
	" counts AS (DELETE FROM messaging.reaction_counts k USING gone g WHERE k.message_id = g.id),"
	" pins AS (DELETE FROM messaging.pins p USING gone g WHERE p.channel_id = $1 AND p.message_id = g.id),"
	" bookmarks AS (DELETE FROM messaging.bookmarks b USING gone g WHERE b.message_id = g.id),"
	" mentioned AS (DELETE FROM messaging.mentions x USING gone g WHERE x.message_id = g.id),"
	" threads AS (DELETE FROM messaging.thread_read t USING gone g WHERE t.root_id = g.id),"
	" files AS (UPDATE messaging.attachments f SET deleted_at_ms = floor(extract(epoch FROM statement_timestamp()) * 1000)::int8"
	"  FROM gone g WHERE f.message_id = g.id AND f.deleted_at_ms IS NULL),"
	" found AS (DELETE FROM messaging.search s USING gone g WHERE s.message_id = g.id RETURNING s.segment),"
	" segments AS (UPDATE messaging.search_segments t SET rows = t.rows - f.n"
	"  FROM (SELECT segment, count(*)::int4 AS n FROM found GROUP BY segment) f WHERE t.id = f.segment)"
	" SELECT count(*) FROM gone",
};
/* Marks have no index by channel: one pass over the primary key for all channels of a round. */
static const struct db_stmt marks_stmt = {
	"messaging_purge_marks",
	"WITH page AS MATERIALIZED (SELECT user_id, channel_id FROM messaging.read_state WHERE (user_id, "
	"channel_id) > ($2, $3)"
	"  ORDER BY user_id, channel_id LIMIT $4),"
	" gone AS (DELETE FROM messaging.read_state r USING page p WHERE p.channel_id = ANY ($1::int8[])"
	"  AND r.user_id = p.user_id AND r.channel_id = p.channel_id RETURNING 1)"
	" SELECT user_id, channel_id, (SELECT count(*) FROM gone) FROM page ORDER BY user_id DESC, "
	"channel_id DESC LIMIT 1",
};
static const struct db_stmt channels_gone_stmt = {
	"messaging_purge_channel_rows",
	"WITH prefs AS (DELETE FROM messaging.channel_prefs WHERE channel_id = ANY ($1::int8[]))"
	" DELETE FROM messaging.channels WHERE id = ANY ($1::int8[])",
};

struct purge {
	struct service *service;
	struct ticker ticker;
};

/* Nobody needs the number of an empty segment again; who is about to fill one has it locked. */
static const struct db_stmt segments_stmt = {
	"messaging_purge_segments",
	"DELETE FROM messaging.search_segments WHERE rows <= 0",
};

static enum status purge_messages(
	struct db_conn *conn, struct arena *mem, int64_t before_ms, uint64_t *rows_gone)
{
	struct db_rows rows;

	do {
		struct db_params params;
		rows = (struct db_rows){0};
		db_params_begin(&params, mem);
		db_put_i64(&params, before_ms);
		db_put_i64(&params, CHUNK);
		enum status st = db_query(conn, mem, &messages_stmt, &params, &rows);
		if (st != STATUS_OK)
			return st;
		*rows_gone += db_id(&rows, 0, 0);
	} while (db_id(&rows, 0, 0) > 0);
	return STATUS_OK;
}

static enum status purge_channel_messages(
	struct db_conn *conn, struct arena *mem, uint64_t channel, uint64_t *rows_gone)
{
	struct db_rows rows;

	do {
		struct db_params params;
		rows = (struct db_rows){0};
		db_params_begin(&params, mem);
		db_put_id(&params, channel);
		db_put_i64(&params, CHUNK);
		enum status st = db_query(conn, mem, &channel_messages_stmt, &params, &rows);
		if (st != STATUS_OK)
			return st;
		*rows_gone += db_id(&rows, 0, 0);
	} while (db_id(&rows, 0, 0) > 0);
	return STATUS_OK;
}

static enum status purge_marks(
	struct db_conn *conn, struct arena *mem, const uint64_t *channels, size_t count, uint64_t *rows_gone)
{
	uint64_t user = 0, channel = 0;

	for (;;) {
		struct db_params params;
		struct db_rows rows = {0};
		db_params_begin(&params, mem);
		db_put_ids(&params, channels, count);
		db_put_id(&params, user);
		db_put_id(&params, channel);
		db_put_i64(&params, MARKS_PAGE);
		enum status st = db_query(conn, mem, &marks_stmt, &params, &rows);
		if (st != STATUS_OK || rows.count == 0)
			return st;
		user = db_id(&rows, 0, 0);
		channel = db_id(&rows, 0, 1);
		*rows_gone += db_id(&rows, 0, 2);
	}
}

static enum status purge_channels(
	struct db_conn *conn, struct arena *mem, int64_t before_ms, uint64_t *rows_gone, bool *out_more)
{
	struct db_params params;
	struct db_rows rows = {0};
	uint64_t channels[CHANNELS_PAGE];

	db_params_begin(&params, mem);
	db_put_i64(&params, before_ms);
	db_put_i64(&params, CHANNELS_PAGE);
	enum status st = db_query(conn, mem, &channels_stmt, &params, &rows);
	*out_more = rows.count > 0;
	if (st != STATUS_OK || rows.count == 0)
		return st;
	for (int i = 0; i < rows.count && st == STATUS_OK; i++) {
		channels[i] = db_id(&rows, i, 0);
		st = purge_channel_messages(conn, mem, channels[i], rows_gone);
	}
	if (st == STATUS_OK)
		st = purge_marks(conn, mem, channels, (size_t)rows.count, rows_gone);
	if (st != STATUS_OK)
		return st;
	/* Last, so that a round that was cut off finds the channel again. */
	db_params_begin(&params, mem);
	db_put_ids(&params, channels, (size_t)rows.count);
	*rows_gone += (uint64_t)rows.count;
	return db_query(conn, mem, &channels_gone_stmt, &params, NULL);
}

/* Of channels, or ended on their own: a few. */
static const struct db_stmt webhooks_stmt = {
	"messaging_purge_webhooks",
	"DELETE FROM messaging.webhooks WHERE deleted_at_ms IS NOT NULL AND deleted_at_ms < $1",
};

static enum status purge_webhooks(struct db_conn *conn, struct arena *mem, int64_t before_ms, uint64_t *rows_gone)
{
	struct db_params params;
	struct db_rows rows = {0};

	db_params_begin(&params, mem);
	db_put_i64(&params, before_ms);
	enum status st = db_query(conn, mem, &webhooks_stmt, &params, &rows);
	if (st == STATUS_OK)
		*rows_gone += (uint64_t)rows.affected;
	return st == STATUS_OK ? deliveries_purge(conn, mem, before_ms, rows_gone) : st;
}

enum status purge_round(
	struct db_conn *conn, struct arena *mem, int64_t deleted_before_ms, uint64_t *out_rows)
{
	bool more = true;

	*out_rows = 0;
	enum status st = purge_messages(conn, mem, deleted_before_ms, out_rows);
	while (st == STATUS_OK && more)
		st = purge_channels(conn, mem, deleted_before_ms, out_rows, &more);
	if (st == STATUS_OK)
		st = purge_webhooks(conn, mem, deleted_before_ms, out_rows);
	return st == STATUS_OK ? db_query(conn, mem, &segments_stmt, NULL, NULL) : st;
}

static void purge_once(struct service *s)
{
	struct arena *mem = arena_create();
	struct db_conn *conn = NULL;
	bool mine = false;
	uint64_t rows = 0;
	int64_t before_ms = clock_wall_ms() - s->config->purge_after_days * INT64_C(86400000);

	enum status st = db_acquire(s->db, clock_mono_ms() + ACQUIRE_MS, &conn);
	if (st == STATUS_OK)
		st = job_lease(conn, "messaging_purge", s->instance, LEASE_MS, &mine);
	if (st == STATUS_OK && mine)
		st = purge_round(conn, mem, before_ms, &rows);
	if (rows > 0)
		log_info("purged", LOG_U64("rows", rows));
	if (st != STATUS_OK)
		log_warn("purge_put_off", LOG_STATUS("status", st));
	db_release(conn);
	arena_destroy(mem);
}

static int64_t purge_turn(void *arg)
{
	struct purge *p = arg;

	purge_once(p->service);
	return EVERY_S * 1000;
}

enum status purge_start(struct service *s, struct purge **out_purge)
{
	struct purge *p = calloc(1, sizeof *p);

	if (p == NULL)
		return STATUS_INTERNAL;
	p->service = s;
	enum status st = ticker_start(&p->ticker, FIRST_AFTER_S * 1000, purge_turn, p);
	if (st != STATUS_OK) {
		free(p);
		return st;
	}
	*out_purge = p;
	return STATUS_OK;
}

void purge_stop(struct purge *p)
{
	if (p == NULL)
		return;
	ticker_stop(&p->ticker);
	free(p);
}
