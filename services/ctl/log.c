/*
 * log - what an operator tells the event log.
 */
#include <inttypes.h>
#include <stdio.h>

#include "common/db/log.h"
#include "services/ctl/commands.h"

enum ctl_exit log_restored_command(struct ctl *ctl, int argc, char **argv)
{
	struct db *db = NULL;
	struct db_conn *conn = NULL;
	struct log_renewed renewed = {0};
	struct json_writer w;
	enum ctl_exit rc = ctl_arguments(ctl, argc, argv, NULL, 0, 0, 0, NULL, NULL);

	if (rc != CTL_OK)
		return rc;
	if (ctl->config.db_url[0] == '\0')
		return ctl_fail(ctl, STATUS_FIELD_INVALID, "Set it to the connection string of the restored database.",
			"GUILDHALL_DB_URL is not set");
	enum status st = ctl_database(ctl, false, &db, &conn);
	if (st != STATUS_OK)
		return ctl_fail(ctl, st, "Is PostgreSQL running and out of recovery, and is GUILDHALL_DB_URL right?",
			"no primary answers");
	st = log_renew_generation(conn, ctl->mem, &renewed);
	ctl_database_end(db, conn);
	if (st != STATUS_OK)
		return ctl_fail(ctl, st, "Is this the database that was restored, and may the role of GUILDHALL_DB_URL write log.meta?",
			"the generation could not be raised");
	if (!ctl->json) {
		printf("the log goes on as generation %s (before: %s); %" PRId64 " sessions were ended\n", renewed.after, renewed.before,
			renewed.sessions);
		return CTL_OK;
	}
	jw_begin(&w, ctl->mem, 256);
	jw_object(&w);
	jw_kv(&w, str, "generation", renewed.after);
	jw_kv(&w, str, "before", renewed.before);
	jw_kv(&w, i64, "sessions_ended", renewed.sessions);
	jw_object_end(&w);
	ctl_print_object(&w);
	return CTL_OK;
}
