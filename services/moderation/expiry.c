#include "services/moderation/expiry.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/ticker.h"
#include "common/db/log.h"
#include "services/moderation/bans.h"
#include "services/moderation/invites.h"
#include "services/moderation/timeouts.h"

#define EXPIRY_EVERY_MS 1000
#define EXPIRY_LEASE_MS 5000
#define EXPIRY_WAIT_MS  2000

struct expiry {
	struct moderation *service;
	struct arena *mem;
	struct ticker ticker;
};

/* Of channels and teams that are there: what is deleted has no commits. */
static const struct db_stmt bans_stmt = {"moderation_bans_due",
	"SELECT b.scope, b.scope_id, b.user_id FROM moderation.bans b JOIN moderation.teams t ON t.id = b.team_id"
	" LEFT JOIN messaging.channel_facts f ON f.id = b.scope_id AND b.scope = 3"
	" WHERE b.lifted_at_ms IS NULL AND b.expires_at_ms IS NOT NULL AND b.expires_at_ms <= $1"
	" AND t.deleted_at_ms IS NULL AND (b.scope = 1 OR (f.id IS NOT NULL AND f.deleted_at_ms IS NULL))"
	" ORDER BY b.expires_at_ms LIMIT 100"};

static const struct db_stmt timeouts_stmt = {"moderation_timeouts_due",
	"SELECT m.team_id, m.user_id FROM moderation.members m JOIN moderation.teams t ON t.id = m.team_id"
	" WHERE m.timeout_until_ms <= $1 AND t.deleted_at_ms IS NULL ORDER BY m.timeout_until_ms LIMIT 100"};
static const struct db_stmt invites_stmt = {"moderation_invites_due",
	"(SELECT code FROM moderation.invites WHERE expires_at_ms <= $1 ORDER BY expires_at_ms LIMIT 50)"
	" UNION (SELECT code FROM moderation.invites WHERE uses >= max_uses AND used_at_ms <= $2 ORDER BY used_at_ms LIMIT 50)"};

static enum status end_ban(struct moderation *service, struct arena *mem, const struct db_rows *due, int row)
{
	uint64_t place = db_id(due, row, 1), user = db_id(due, row, 2);

	return db_i64(due, row, 0) == BAN_TEAM ? ban_expire_member(service, mem, place, user)
					       : ban_expire_channel_user(service, mem, place, user);
}

static enum status end_timeout(struct moderation *service, struct arena *mem, const struct db_rows *due, int row)
{
	return timeout_expire(service, mem, db_id(due, row, 0), db_id(due, row, 1));
}

static enum status end_invite(struct moderation *service, struct arena *mem, const struct db_rows *due, int row)
{
	enum status st = invite_expire(service, mem, db_text(due, row, 0));

	return st == STATUS_NOT_FOUND ? STATUS_OK : st; /* somebody was faster */
}

/* What ends by itself: the rows whose time has come, and how one of them is ended. */
static const struct due {
	const char *what;
	const struct db_stmt *stmt;
	int params;              /* 1: now; 2: and when used-up invites go */
	int place, user;         /* columns for the log; -1: none that may be shown */
	enum status (*end)(struct moderation *service, struct arena *mem, const struct db_rows *due, int row);
} all_due[] = {
	{"ban", &bans_stmt, 1, 1, 2, end_ban},
	{"timeout", &timeouts_stmt, 1, 0, 1, end_timeout},
	{"invite", &invites_stmt, 2, -1, -1, end_invite},
};

static enum status run_due(struct moderation *service, struct arena *mem, const struct due *due, int64_t now_ms,
	size_t *ended)
{
	struct db_conn *conn = NULL;
	struct db_params p;
	struct db_rows rows = {0};

	enum status st = db_acquire(service->db, clock_mono_ms() + EXPIRY_WAIT_MS, &conn);
	if (st == STATUS_OK) {
		db_params_begin(&p, mem);
		db_put_i64(&p, now_ms);
		if (due->params == 2)
			db_put_i64(&p, now_ms - INVITE_USED_UP_KEPT_MS);
		st = db_query(conn, mem, due->stmt, &p, &rows);
	}
	db_release(conn);
	for (int i = 0; i < rows.count && st == STATUS_OK; i++) {
		enum status one = due->end(service, mem, &rows, i);
		if (one == STATUS_OK)
			(*ended)++;
		else
			log_warn("expiry_failed", LOG_STR("what", due->what),
				LOG_ID("place", due->place < 0 ? 0 : db_id(&rows, i, due->place)),
				LOG_ID("user", due->user < 0 ? 0 : db_id(&rows, i, due->user)),
				LOG_STATUS("status", one));
		if (one == STATUS_BUSY || one == STATUS_LATE)
			st = one; /* the database is away: later */
	}
	return st;
}

enum status expiry_run(struct moderation *service, struct arena *mem, int64_t now_ms, size_t *out_ended)
{
	size_t ended = 0;
	enum status st = STATUS_OK;

	for (size_t i = 0; i < sizeof all_due / sizeof *all_due && st == STATUS_OK; i++)
		st = run_due(service, mem, &all_due[i], now_ms, &ended);
	if (out_ended != NULL)
		*out_ended = ended;
	return st;
}

static bool ours(struct expiry *x)
{
	struct db_conn *conn = NULL;
	bool mine = false;

	if (!db_up(x->service->db))
		return false;
	if (db_acquire(x->service->db, clock_mono_ms() + EXPIRY_WAIT_MS, &conn) != STATUS_OK)
		return false;
	if (job_lease(conn, "moderation_expiry", x->service->instance, EXPIRY_LEASE_MS, &mine) != STATUS_OK)
		mine = false;
	db_release(conn);
	return mine;
}

static int64_t expiry_turn(void *arg)
{
	struct expiry *x = arg;

	if (ours(x))
		expiry_run(x->service, x->mem, clock_wall_ms(), NULL);
	arena_reset(x->mem);
	return EXPIRY_EVERY_MS;
}

enum status expiry_start(struct moderation *service, struct expiry **out_expiry)
{
	struct expiry *x = calloc(1, sizeof *x);

	if (x == NULL)
		return STATUS_INTERNAL;
	x->service = service;
	x->mem = arena_create();
	enum status st = ticker_start(&x->ticker, EXPIRY_EVERY_MS, expiry_turn, x);
	if (st != STATUS_OK) {
		arena_destroy(x->mem);
		free(x);
		return st;
	}
	*out_expiry = x;
	return STATUS_OK;
}

void expiry_stop(struct expiry *x)
{
	if (x == NULL)
		return;
	ticker_stop(&x->ticker);
	arena_destroy(x->mem);
	free(x);
}
