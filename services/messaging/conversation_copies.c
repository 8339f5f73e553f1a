#include "services/messaging/conversation_copies.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/ticker.h"
#include "common/db/log.h"

#define LOOK_EVERY_S   5
#define LEASE_MS       (4 * LOOK_EVERY_S * 1000)
#define WAIT_MS        2000
#define LEFT_BEHIND_MS 10000 /* whoever began it has had time enough */

static const struct db_stmt later_stmt = {
	"messaging_copies_later",
	"INSERT INTO messaging.conversation_untold (channel_id, user_ids, event, created_at_ms) VALUES ($1, $2, $3, $4)",
};
static const struct db_stmt left_stmt = {
	"messaging_copies_left",
	"SELECT user_ids, event FROM messaging.conversation_untold WHERE channel_id = $1",
};
/* Only what it was when it was read: two who finish it do not tell anybody twice. */
static const struct db_stmt told_stmt = {
	"messaging_copies_told",
	"UPDATE messaging.conversation_untold SET user_ids = $3 WHERE channel_id = $1 AND user_ids = $2",
};
static const struct db_stmt done_stmt = {
	"messaging_copies_done",
	"DELETE FROM messaging.conversation_untold WHERE channel_id = $1 AND user_ids = $2",
};
static const struct db_stmt behind_stmt = {
	"messaging_copies_behind",
	"SELECT channel_id FROM messaging.conversation_untold WHERE created_at_ms < $1 ORDER BY channel_id LIMIT 100",
};

enum status copies_later(struct log_tx *tx, uint64_t channel_id, const uint64_t *user_ids, size_t count, const pb_Event *event)
{
	const uint8_t *bytes = NULL;
	size_t length = 0;
	struct db_params p;

	enum status st = event_encode(log_tx_mem(tx), event, &bytes, &length);
	if (st != STATUS_OK)
		return st;
	db_params_begin(&p, log_tx_mem(tx));
	db_put_id(&p, channel_id);
	db_put_ids(&p, user_ids, count);
	db_put_bytea(&p, bytes, length);
	db_put_i64(&p, log_tx_now_ms(tx));
	return log_tx_query(tx, &later_stmt, &p, NULL);
}

/* ---- finishing */

struct rest {
	uint64_t channel_id;
	const uint64_t *ids;
	size_t count, now; /* so many of the first are told with this commit */
	pb_Event event;
};

static enum status rest_work(struct log_tx *tx, void *arg)
{
	struct rest *r = arg;
	bool last = r->now == r->count;
	struct db_params p;
	struct db_rows rows = {0};

	db_params_begin(&p, log_tx_mem(tx));
	db_put_id(&p, r->channel_id);
	db_put_ids(&p, r->ids, r->count);
	if (!last)
		db_put_ids(&p, r->ids + r->now, r->count - r->now);
	enum status st = log_tx_query(tx, last ? &done_stmt : &told_stmt, &p, &rows);
	if (st == STATUS_OK && rows.affected == 0)
		st = STATUS_CONFLICT; /* somebody else goes on with it */
	for (size_t i = 0; i < r->now && st == STATUS_OK; i++) {
		char key[AUDIENCE_SIZE];
		audience_key(key, "user", r->ids[i]);
		st = log_tx_append(tx, STREAM_USER(r->ids[i]), key, &r->event, NULL);
	}
	return st;
}

static enum status rest_commit(struct service *s, struct arena *mem, struct rest *r, int64_t deadline_mono_ms)
{
	struct commit_op op = {
		.keeps_rights = true, .work = rest_work, .arg = r, .deadline_mono_ms = deadline_mono_ms};
	struct commit_result result = {0};

	r->now = r->count < COPIES_A_COMMIT ? r->count : COPIES_A_COMMIT;
	for (size_t i = 0; i < r->now; i++)
		op.streams[op.stream_count++] = STREAM_USER(r->ids[i]);
	return committer_run(s->committer, mem, &op, &result);
}

static enum status rest_read(struct service *s, struct arena *mem, struct rest *r, int64_t deadline_mono_ms)
{
	struct db_params p;
	struct db_rows rows = {0};
	size_t length = 0;

	db_params_begin(&p, mem);
	db_put_id(&p, r->channel_id);
	enum status st = db_query_alone(s->db, mem, &left_stmt, &p, deadline_mono_ms, &rows);
	r->count = 0;
	if (st != STATUS_OK || rows.count == 0)
		return st;
	int64_t *ids = NULL;
	r->count = db_i64s(&rows, 0, 0, mem, &ids);
	r->ids = (const uint64_t *)ids;
	const uint8_t *bytes = db_bytea(&rows, 0, 1, &length);
	return event_decode(mem, bytes, length, &r->event);
}

enum status copies_finish(struct service *s, struct arena *mem, uint64_t channel_id, int64_t deadline_mono_ms)
{
	struct rest r = {.channel_id = channel_id};

	for (;;) {
		enum status st = rest_read(s, mem, &r, deadline_mono_ms);
		if (st != STATUS_OK || r.count == 0)
			return st;
		st = rest_commit(s, mem, &r, deadline_mono_ms);
		if (st != STATUS_OK && st != STATUS_CONFLICT)
			return st;
	}
}

enum status copies_round(struct service *s, struct arena *mem, int64_t before_ms, size_t *out_finished)
{
	struct db_params p;
	struct db_rows rows = {0};

	*out_finished = 0;
	db_params_begin(&p, mem);
	db_put_i64(&p, before_ms);
	enum status st = db_query_alone(s->db, mem, &behind_stmt, &p, clock_mono_ms() + WAIT_MS, &rows);
	for (int i = 0; i < rows.count && st == STATUS_OK; i++) {
		st = copies_finish(s, mem, db_id(&rows, i, 0), clock_mono_ms() + WAIT_MS);
		*out_finished += st == STATUS_OK;
	}
	return st;
}

/* ---- the thread */

struct copies {
	struct service *service;
	struct arena *mem;
	struct ticker ticker;
};

static bool ours(struct service *s)
{
	struct db_conn *conn = NULL;
	bool mine = false;

	if (!db_up(s->db) || db_acquire(s->db, clock_mono_ms() + WAIT_MS, &conn) != STATUS_OK)
		return false;
	if (job_lease(conn, "messaging_copies", s->instance, LEASE_MS, &mine) != STATUS_OK)
		mine = false;
	db_release(conn);
	return mine;
}

static int64_t copies_turn(void *arg)
{
	struct copies *c = arg;
	size_t finished = 0;

	if (!ours(c->service))
		return LOOK_EVERY_S * 1000;
	enum status st = copies_round(c->service, c->mem, clock_wall_ms() - LEFT_BEHIND_MS, &finished);
	if (finished > 0)
		log_info("conversations_told", LOG_U64("count", finished));
	if (st != STATUS_OK)
		log_warn("conversations_untold", LOG_STATUS("status", st));
	arena_reset(c->mem);
	return LOOK_EVERY_S * 1000;
}

enum status copies_start(struct service *s, struct copies **out_copies)
{
	struct copies *c = calloc(1, sizeof *c);

	if (c == NULL)
		return STATUS_INTERNAL;
	c->service = s;
	c->mem = arena_create();
	enum status st = ticker_start(&c->ticker, LOOK_EVERY_S * 1000, copies_turn, c);
	if (st != STATUS_OK) {
		arena_destroy(c->mem);
		free(c);
		return st;
	}
	*out_copies = c;
	return STATUS_OK;
}

void copies_stop(struct copies *c)
{
	if (c == NULL)
		return;
	ticker_stop(&c->ticker);
	arena_destroy(c->mem);
	free(c);
}
