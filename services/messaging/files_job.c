#include "services/messaging/files_job.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/ticker.h"
#include "common/db/log.h"
#include "common/ops/ops.h"
#include "services/messaging/attachments.h"
#include "services/messaging/file_store.h"

#define CHUNK         200
#define FIRST_AFTER_S 30
#define EVERY_S       300
#define LEASE_MS      (2 * EVERY_S * 1000)
#define ACQUIRE_MS    2000
#define HOUR_MS       INT64_C(3600000)

/* Two steps, so that whoever posts with one just now and holds its row is not waited for. Of those that are locked the next round
 * will know more. */
static const struct db_stmt waiting_stmt = {
	"messaging_files_waiting",
	"UPDATE messaging.attachments SET deleted_at_ms = $2 WHERE ctid = ANY (ARRAY(SELECT ctid FROM messaging.attachments"
	" WHERE message_id IS NULL AND deleted_at_ms IS NULL AND created_at_ms < $1 LIMIT $3 FOR UPDATE SKIP LOCKED))",
};
static const struct db_stmt deleted_stmt = {
	"messaging_files_deleted",
	"WITH gone AS (DELETE FROM messaging.attachments WHERE ctid = ANY (ARRAY(SELECT ctid FROM messaging.attachments"
	"  WHERE deleted_at_ms IS NOT NULL LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING sha256, preview_sha256),"
	" loose AS (UPDATE messaging.file_contents c SET loose_at_ms = $1 FROM (SELECT w.sha256 FROM (SELECT sha256 FROM gone"
	"  UNION SELECT preview_sha256 FROM gone WHERE preview_sha256 IS NOT NULL) w ORDER BY w.sha256) w WHERE c.sha256 = w.sha256)"
	" SELECT count(*) FROM gone",
};
static const struct db_stmt lock_stmt = {
	"messaging_files_lock",
	"SELECT sha256 FROM messaging.file_contents WHERE loose_at_ms < $1 ORDER BY loose_at_ms LIMIT $2 FOR UPDATE SKIP LOCKED",
};
/* On a newer snapshot than the lock's: whoever refers to one has done so by then, or waits. Loose for an hour, none is being finished:
 * that says so first. */
static const struct db_stmt judge_stmt = {
	"messaging_files_judge",
	"SELECT w.sha256, EXISTS (SELECT FROM messaging.attachments a WHERE a.sha256 = w.sha256)"
	" OR EXISTS (SELECT FROM messaging.attachments a WHERE a.preview_sha256 = w.sha256) FROM unnest($1::bytea[]) AS w(sha256)",
};
static const struct db_stmt settle_stmt = {
	"messaging_files_settle",
	"WITH held AS (UPDATE messaging.file_contents SET loose_at_ms = NULL WHERE sha256 = ANY ($1::bytea[]))"
	" DELETE FROM messaging.file_contents WHERE sha256 = ANY ($2::bytea[])",
};

static enum status drop_rows(struct db_conn *conn, struct arena *mem, int64_t now_ms, int64_t grace_ms, uint64_t *out_count)
{
	struct db_params params;
	struct db_rows rows;
	enum status st;

	do {
		rows = (struct db_rows){0};
		db_params_begin(&params, mem);
		db_put_i64(&params, now_ms - grace_ms);
		db_put_i64(&params, now_ms);
		db_put_i64(&params, CHUNK);
		st = db_query(conn, mem, &waiting_stmt, &params, &rows);
	} while (st == STATUS_OK && rows.affected == CHUNK);
	do {
		rows = (struct db_rows){0};
		db_params_begin(&params, mem);
		db_put_i64(&params, now_ms);
		db_put_i64(&params, CHUNK);
		if (st == STATUS_OK)
			st = db_query(conn, mem, &deleted_stmt, &params, &rows);
		if (st == STATUS_OK)
			*out_count += db_id(&rows, 0, 0);
	} while (st == STATUS_OK && db_id(&rows, 0, 0) == CHUNK);
	return st;
}

struct hashes {
	const void *bytes[CHUNK];
	size_t lengths[CHUNK], count;
};

static void add(struct hashes *to, const struct db_rows *rows, int row)
{
	to->bytes[to->count] = db_bytea(rows, row, 0, &to->lengths[to->count]);
	to->count++;
}

/* The file goes before its row: a file without a row would never be found, a row without its file only says so. */
static enum status drop_contents(struct service *s, struct db_conn *conn, struct arena *mem, int64_t before_ms, size_t *out_seen,
	uint64_t *out_count)
{
	struct hashes *all = ARENA_NEW(mem, struct hashes), *held = ARENA_NEW(mem, struct hashes), *gone = ARENA_NEW(mem, struct hashes);
	struct db_params params;
	struct db_rows rows = {0}, judged = {0};

	db_params_begin(&params, mem);
	db_put_i64(&params, before_ms);
	db_put_i64(&params, CHUNK);
	enum status st = db_query(conn, mem, &lock_stmt, &params, &rows);
	*out_seen = st == STATUS_OK ? (size_t)rows.count : 0;
	if (st != STATUS_OK || rows.count == 0)
		return st;
	for (int i = 0; i < rows.count; i++)
		add(all, &rows, i);
	db_params_begin(&params, mem);
	db_put_byteas(&params, all->bytes, all->lengths, all->count);
	st = db_query(conn, mem, &judge_stmt, &params, &judged);
	for (int i = 0; st == STATUS_OK && i < judged.count; i++) {
		if (db_bool(&judged, i, 1)) {
			add(held, &judged, i);
			continue;
		}
		add(gone, &judged, i);
		st = file_remove(s->files, gone->bytes[gone->count - 1]);
	}
	if (st != STATUS_OK)
		return st;
	db_params_begin(&params, mem);
	db_put_byteas(&params, held->bytes, held->lengths, held->count);
	db_put_byteas(&params, gone->bytes, gone->lengths, gone->count);
	st = db_query(conn, mem, &settle_stmt, &params, NULL);
	if (st == STATUS_OK)
		*out_count += gone->count;
	return st;
}

enum status files_round(struct service *s, struct db_conn *conn, struct arena *mem, int64_t now_ms, struct files_gone *out)
{
	size_t seen = CHUNK, swept = 0;

	*out = (struct files_gone){0};
	enum status st = drop_rows(conn, mem, now_ms, s->config->files_grace_h * HOUR_MS, &out->attachments);
	while (st == STATUS_OK && seen == CHUNK) {
		st = db_begin(conn);
		if (st == STATUS_OK)
			st = drop_contents(s, conn, mem, now_ms - HOUR_MS, &seen, &out->contents);
		if (st == STATUS_OK)
			st = db_commit(conn);
		else
			db_rollback(conn);
	}
	if (st == STATUS_OK)
		st = file_sweep(s->files, now_ms - HOUR_MS, &swept);
	out->uploads = swept;
	return st;
}

struct files_job {
	struct service *service;
	struct ticker ticker;
};

static void round_once(struct service *s)
{
	struct arena *mem = arena_create();
	struct db_conn *conn = NULL;
	struct files_gone gone = {0};
	bool mine = false;

	enum status st = db_acquire(s->db, clock_mono_ms() + ACQUIRE_MS, &conn);
	if (st == STATUS_OK)
		st = job_lease(conn, "messaging_files", s->instance, LEASE_MS, &mine);
	if (st == STATUS_OK && mine)
		st = files_round(s, conn, mem, clock_wall_ms(), &gone);
	metric_add(files_collected, gone.contents);
	if (gone.attachments + gone.contents + gone.uploads > 0)
		log_info("files_collected", LOG_U64("attachments", gone.attachments), LOG_U64("contents", gone.contents),
			LOG_U64("uploads", gone.uploads));
	if (st != STATUS_OK)
		log_warn("files_put_off", LOG_STATUS("status", st));
	db_release(conn);
	arena_destroy(mem);
}

static int64_t job_turn(void *arg)
{
	struct files_job *job = arg;

	round_once(job->service);
	return EVERY_S * 1000;
}

enum status files_job_start(struct service *s, struct files_job **out_job)
{
	*out_job = NULL;
	if (s->files == NULL)
		return STATUS_OK;
	struct files_job *job = calloc(1, sizeof *job);
	if (job == NULL)
		return STATUS_INTERNAL;
	job->service = s;
	enum status st = ticker_start(&job->ticker, FIRST_AFTER_S * 1000, job_turn, job);
	if (st != STATUS_OK) {
		free(job);
		return st;
	}
	*out_job = job;
	return STATUS_OK;
}

void files_job_stop(struct files_job *job)
{
	if (job == NULL)
		return;
	ticker_stop(&job->ticker);
	free(job);
}
