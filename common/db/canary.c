/*
 * canary - see canary.h.
 */
#include "common/db/canary.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/log.h"
#include "common/base/ticker.h"
#include "common/db/committer.h"
#include "common/db/log.h"
#include "common/ops/ops.h"

#define WAIT_MS 2000

/* No key is called so: nobody holds it. */
#define AUDIENCE "internal"

struct canary {
	struct db *db;
	struct committer *committer;
	char holder[80];
	struct ticker ticker;
};

static enum status canary_work(struct log_tx *tx, void *arg)
{
	pb_Event event = {.which_body = pb_Event_canary_tag};

	return log_tx_append(tx, STREAM_INTERNAL, AUDIENCE, &event, NULL);
}

enum status canary_turn(struct db *db, struct committer *committer, const char *holder, bool *out_sent)
{
	struct db_conn *conn = NULL;
	struct commit_result result = {0};
	bool mine = false;

	*out_sent = false;
	enum status st = db_acquire(db, clock_mono_ms() + WAIT_MS, &conn);
	if (st == STATUS_OK)
		st = job_lease(conn, "canary", holder, CANARY_LEASE_MS, &mine);
	db_release(conn);
	if (st != STATUS_OK || !mine)
		return st;
	struct commit_op op = {.streams = {STREAM_INTERNAL},
		.stream_count = 1,
		.deadline_mono_ms = clock_mono_ms() + WAIT_MS,
		.keeps_rights = true,
		.work = canary_work};
	struct arena *mem = arena_create();
	st = committer_run(committer, mem, &op, &result);
	arena_destroy(mem);
	*out_sent = st == STATUS_OK;
	if (*out_sent)
		metric_add(canaries_sent, 1);
	return st;
}

static int64_t canary_thread_turn(void *arg)
{
	struct canary *canary = arg;
	bool sent = false;

	if (db_up(canary->db))
		(void)canary_turn(canary->db, canary->committer, canary->holder, &sent); /* what fails is not sent: its absence tells */
	return CANARY_EVERY_MS;
}

enum status canary_start(struct db *db, struct committer *committer, const char *instance, struct canary **out_canary)
{
	struct canary *canary = calloc(1, sizeof *canary);
	uint32_t salt;

	if (canary == NULL)
		return STATUS_INTERNAL;
	canary->db = db;
	canary->committer = committer;
	ids_random_bytes(&salt, sizeof salt);
	snprintf(canary->holder, sizeof canary->holder, "%.60s:%08x", instance, salt);
	enum status st = ticker_start(&canary->ticker, 0, canary_thread_turn, canary);
	if (st != STATUS_OK) {
		free(canary);
		return st;
	}
	*out_canary = canary;
	return STATUS_OK;
}

void canary_stop(struct canary *canary)
{
	if (canary == NULL)
		return;
	ticker_stop(&canary->ticker);
	free(canary);
}
