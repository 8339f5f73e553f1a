/*
 * database - a connection of a command's own.
 */
#include <time.h>

#include "common/base/clock.h"
#include "services/ctl/ctl.h"

#define WAIT_MS 5000

enum status ctl_database(struct ctl *ctl, bool read_only, struct db **out_db, struct db_conn **out_conn)
{
	const struct timespec pause = {.tv_nsec = 50000000};
	int64_t until_mono_ms = clock_mono_ms() + WAIT_MS;
	struct db *db = NULL;
	enum status st = db_open(
		&(struct db_options){
			.url = ctl->config.db_url, .service = "guildhallctl", .connections = 2, .read_only = read_only},
		&db);

	if (st != STATUS_OK)
		return st;
	/* A pool whose last attempt failed answers at once; here waiting is the point. */
	st = db_acquire(db, until_mono_ms, out_conn);
	while (st == STATUS_BUSY && clock_mono_ms() < until_mono_ms) {
		(void)nanosleep(&pause, NULL);
		st = db_acquire(db, until_mono_ms, out_conn);
	}
	if (st == STATUS_OK)
		*out_db = db;
	else
		db_close(db);
	return st;
}

void ctl_database_end(struct db *db, struct db_conn *conn)
{
	db_release(conn);
	db_close(db);
}
