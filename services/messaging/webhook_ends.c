#include "services/messaging/webhook_ends.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/ops/ops.h"
#include "services/messaging/webhooks.h"

#define TELL_MS 5000

struct webhook_ends {
	struct service *service;
	struct log_follower *follower;
};

static const struct db_stmt mark_stmt = {
	"messaging_webhooks_mark",
	"UPDATE messaging.webhooks SET ending = ending OR ($2 AND bot_id IS NOT DISTINCT FROM $1), halted = CASE WHEN bot_id = $1 THEN $3 ELSE halted END,"
	" owner_halted = CASE WHEN owner_id = $1 THEN $3 ELSE owner_halted END"
	" WHERE (bot_id = $1 OR owner_id = $1) AND deleted_at_ms IS NULL",
};
static const struct db_stmt marked_stmt = {
	"messaging_webhooks_marked",
	"SELECT id FROM messaging.webhooks WHERE ending AND deleted_at_ms IS NULL ORDER BY id LIMIT 1",
};

enum status webhook_ends_mark(struct db_conn *conn, struct arena *mem, uint64_t account, bool gone, bool locked)
{
	struct db_params params;

	db_params_begin(&params, mem);
	db_put_id(&params, account);
	db_put_bool(&params, gone);
	db_put_bool(&params, locked);
	return db_query(conn, mem, &mark_stmt, &params, NULL);
}

/* The account's state was said anew. */
static bool says_locked(const pb_AccountUpdated *e)
{
	for (pb_size_t i = 0; i < e->changed_count; i++)
		if (e->changed[i] != NULL && strcmp(e->changed[i], "disabled") == 0)
			return true;
	return false;
}

static enum status ends_handle(void *arg, struct db_conn *conn, struct arena *mem, const struct log_batch *batch)
{
	enum status st = STATUS_OK;

	for (size_t i = 0; i < batch->count && st == STATUS_OK; i++) {
		const pb_Event *body = batch->events[i].body;
		if (body == NULL || body->tombstone)
			continue;
		if (body->which_body == EVENT_KIND_account_closed) {
			const pb_AccountClosed *e = &body->body.account_closed;
			if (e->why == CLOSE_WHY_ERASED || e->why == CLOSE_WHY_DISABLED)
				st = webhook_ends_mark(conn, mem, e->user_id, e->why == CLOSE_WHY_ERASED, true);
		} else if (body->which_body == EVENT_KIND_account_updated && says_locked(&body->body.account_updated)) {
			st = webhook_ends_mark(
				conn, mem, body->body.account_updated.user.id, false, body->body.account_updated.user.disabled);
		}
	}
	return st;
}

enum status webhook_ends_tell(struct service *s, struct db_conn *conn, struct arena *mem)
{
	struct db_rows rows = {0};

	enum status st = db_query(conn, mem, &marked_stmt, NULL, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count == 0)
		return STATUS_NOT_FOUND;
	uint64_t id = db_id(&rows, 0, 0);
	st = webhook_end(s, mem, id, clock_mono_ms() + TELL_MS);
	if (st == STATUS_OK)
		log_info("webhook_ended", LOG_ID("webhook", id), LOG_STR("why", "bot"));
	else
		log_warn("webhook_not_ended", LOG_ID("webhook", id), LOG_STATUS("status", st));
	return st == STATUS_NOT_FOUND ? STATUS_CONFLICT : st; /* another was here: there may be more */
}

/* Once each turn of the follower. */
static bool ends_aside(void *arg, struct db_conn *conn, struct arena *mem)
{
	struct webhook_ends *ends = arg;

	return webhook_ends_tell(ends->service, conn, mem) == STATUS_OK;
}

static const uint32_t kinds[] = {EVENT_KIND_account_closed, EVENT_KIND_account_updated};

void webhook_ends_create(struct service *s, struct webhook_ends **out_ends)
{
	struct webhook_ends *ends = calloc(1, sizeof *ends);

	if (ends == NULL)
		abort();
	ends->service = s;
	log_follower_create(&(struct log_follower_options){.name = "webhooks",
				    .instance = s->instance,
				    .db = s->db,
				    .ranks = 1u << RANK_USER,
				    .kinds = kinds,
				    .kind_count = sizeof kinds / sizeof *kinds,
				    .handle = ends_handle,
				    .aside = ends_aside,
				    .arg = ends,
				    .metrics = LOG_FOLLOWER_METRICS(webhooks)},
		&ends->follower);
	*out_ends = ends;
}

void webhook_ends_note(struct webhook_ends *ends, const struct logged_event *events, size_t count)
{
	log_follower_note(ends->follower, events, count);
}

void webhook_ends_start(struct webhook_ends *ends)
{
	log_follower_start(ends->follower);
}

void webhook_ends_stop(struct webhook_ends *ends)
{
	if (ends != NULL)
		log_follower_stop(ends->follower);
}

void webhook_ends_destroy(struct webhook_ends *ends)
{
	if (ends == NULL)
		return;
	log_follower_destroy(ends->follower);
	free(ends);
}
