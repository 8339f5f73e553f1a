/*
 * search - the state of the search index, and having it made anew.
 */
#include <inttypes.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "common/db/db.h"
#include "services/ctl/commands.h"

#define WAIT_MS 5000

static const struct db_stmt status_stmt = {"ctl_search_status",
	"SELECT coalesce(st.made_with, ''), st.made_with IS NOT NULL AND st.backfill_at IS NULL,"
	" (SELECT count(*) FROM messaging.search_segments), (SELECT coalesce(sum(rows), 0)::int8 FROM messaging.search_segments)"
	" FROM messaging.search_state st"};
static const struct db_stmt rebuild_stmt = {
	"ctl_search_rebuild", "UPDATE messaging.search_state SET made_with = NULL"};

static enum ctl_exit run(struct ctl *ctl, const struct db_stmt *stmt, struct db_rows *out_rows)
{
	struct db *db = NULL;
	struct db_conn *conn = NULL;

	if (ctl->config.db_url[0] == '\0')
		return ctl_fail(ctl, STATUS_FIELD_INVALID,
			"Set it to the connection string of the primary, as in \"host=db dbname=guildhall user=guildhall\".",
			"GUILDHALL_DB_URL is not set");
	enum status st = db_open(&(struct db_options){.url = ctl->config.db_url, .service = "guildhallctl", .connections = 1}, &db);
	if (st == STATUS_OK)
		st = db_acquire(db, clock_mono_ms() + WAIT_MS, &conn);
	if (st == STATUS_OK)
		st = db_query(conn, ctl->mem, stmt, NULL, out_rows);
	db_release(conn);
	db_close(db);
	if (st == STATUS_OK)
		return CTL_OK;
	return ctl_fail(ctl, st,
		st == STATUS_BUSY ? "Is PostgreSQL running, and is GUILDHALL_DB_URL right?"
				  : "Is the schema this version's? guildhallctl migrate status tells.",
		"the search index cannot be asked: %s", status_text(st));
}

enum ctl_exit search_status_command(struct ctl *ctl, int argc, char **argv)
{
	struct db_rows rows = {0};
	struct json_writer w;
	size_t count;
	enum ctl_exit rc = ctl_arguments(ctl, argc, argv, NULL, 0, 0, 0, NULL, &count);

	if (rc == CTL_OK)
		rc = run(ctl, &status_stmt, &rows);
	if (rc != CTL_OK)
		return rc;
	bool complete = db_bool(&rows, 0, 1);
	if (ctl->json) {
		jw_begin(&w, ctl->mem, 128);
		jw_object(&w);
		jw_kv(&w, bool, "complete", complete);
		jw_kv(&w, str, "made_with", db_text(&rows, 0, 0));
		jw_kv(&w, i64, "segments", db_i64(&rows, 0, 2));
		jw_kv(&w, i64, "messages", db_i64(&rows, 0, 3));
		jw_object_end(&w);
		ctl_print_object(&w);
	} else {
		printf("the search index is %s: %" PRId64 " messages in %" PRId64 " segments, made with %s\n",
			complete ? "complete" : "being made", db_i64(&rows, 0, 3), db_i64(&rows, 0, 2),
			db_text(&rows, 0, 0)[0] != '\0' ? db_text(&rows, 0, 0) : "nothing yet");
	}
	return complete ? CTL_OK : CTL_FAILED;
}

enum ctl_exit search_rebuild_command(struct ctl *ctl, int argc, char **argv)
{
	struct db_rows rows = {0};
	struct json_writer w;
	size_t count;
	enum ctl_exit rc = ctl_arguments(ctl, argc, argv, NULL, 0, 0, 0, NULL, &count);

	if (rc == CTL_OK)
		rc = run(ctl, &rebuild_stmt, &rows);
	if (rc != CTL_OK)
		return rc;
	if (ctl->json) {
		jw_begin(&w, ctl->mem, 32);
		jw_object(&w);
		jw_kv(&w, bool, "marked", true);
		jw_object_end(&w);
		ctl_print_object(&w);
	} else {
		printf("the search index will be made anew by messaging; guildhallctl search status tells how far it is\n");
	}
	return CTL_OK;
}
