/*
 * doctor_database - what is asked of PostgreSQL. Reads only.
 */
#include <inttypes.h>

#include "common/db/db.h"
#include "common/db/standby.h"
#include "services/ctl/doctor.h"

#define LEAVES_BROKEN_H  1
#define LEAVES_NOTE_H    24 /* two days are made ahead, hourly */
#define OLD_NOTE_S       5  /* no snapshot of ours outlives 5 s */
#define OLD_BROKEN_S     60
#define OLD_AGE          10000000 /* transactions that a slot or a standby holds back */

/* One row of one statement, or a finding that it failed. */
static bool ask(struct findings *f, struct db_conn *conn, const char *subject, const struct db_stmt *stmt, struct db_rows *out)
{
	enum status st = db_query(conn, f->ctl->mem, stmt, NULL, out);

	if (st != STATUS_OK)
		finding_add(f, FINDING_BROKEN, subject, "cannot be asked (%s); may the role of GUILDHALL_DB_URL read it?",
			status_wire(st));
	return st == STATUS_OK && out->count > 0;
}

static void look_at_server(struct findings *f, struct db_conn *conn)
{
	static const struct db_stmt stmt = {"doctor_server",
		"SELECT current_setting('server_version'), pg_is_in_recovery(), current_setting('fsync'),"
		" current_setting('synchronous_commit'), current_setting('full_page_writes'),"
		" (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::bigint,"
		" current_setting('max_connections')::bigint"};
	struct db_rows rows;
	int64_t used, most;

	if (!ask(f, conn, "database", &stmt, &rows))
		return;
	used = db_i64(&rows, 0, 5);
	most = db_i64(&rows, 0, 6);
	if (db_bool(&rows, 0, 1)) {
		finding_add(f, FINDING_BROKEN, "database", "PostgreSQL %s is a standby; GUILDHALL_DB_URL must name the primary",
			db_text(&rows, 0, 0));
	} else {
		finding_add(f, FINDING_FINE, "database", "PostgreSQL %s", db_text(&rows, 0, 0));
	}
	if (used * 10 > most * 9)
		finding_add(f, FINDING_NOTE, "connections", "%" PRId64 " of %" PRId64 " are in use; raise max_connections", used, most);
	for (int column = 2; column <= 4; column++) {
		static const char *const names[] = {"fsync", "synchronous_commit", "full_page_writes"};
		const char *value = db_text(&rows, 0, column);

		if (value != NULL && value[0] == 'o' && value[1] == 'f')
			finding_add(f, FINDING_BROKEN, "durability", "%s is off: what was acknowledged may be lost in a crash",
				names[column - 2]);
	}
}

static bool look_at_schema(struct findings *f, struct db *db, struct db_conn *conn)
{
	static const struct db_stmt stmt = {"doctor_schema", "SELECT max(version)::text, count(*) FROM public.schema_migrations"};
	struct db_rows rows;
	enum status st = db_check_schema(db);

	if (st == STATUS_CONFLICT) {
		finding_add(f, FINDING_BROKEN, "schema", "not the one that this version needs: guildhallctl migrate status, "
							 "then guildhallctl migrate up");
	} else if (st != STATUS_OK) {
		finding_add(f, FINDING_BROKEN, "schema", "cannot be checked (%s)", status_wire(st));
	} else if (ask(f, conn, "schema", &stmt, &rows)) {
		const char *newest = db_text(&rows, 0, 0);

		finding_add(f, FINDING_FINE, "schema", "version %s", newest == NULL ? "unknown" : newest);
	}
	return st == STATUS_OK;
}

static void look_at_leaves(struct findings *f, struct db_conn *conn)
{
	/* The name of a leaf is the hour at which it begins, in UTC: log.ensure_leaves. */
	static const struct db_stmt stmt = {"doctor_leaves",
		"SELECT count(*)::bigint, floor(extract(epoch FROM max(to_timestamp(right(c.relname, 10), 'YYYYMMDDHH24')::timestamp"
		" AT TIME ZONE 'UTC') + interval '6 hours' - now()) / 3600)::bigint"
		" FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'log.events'::regclass"};
	struct db_rows rows;
	int64_t hours;

	if (!ask(f, conn, "log leaves", &stmt, &rows))
		return;
	hours = db_is_null(&rows, 0, 1) ? -1 : db_i64(&rows, 0, 1);
	if (hours < LEAVES_BROKEN_H)
		finding_add(f, FINDING_BROKEN, "log leaves",
			"the log has no room for new events; start messaging or moderation, or run guildhallctl migrate up");
	else
		finding_add(f, hours < LEAVES_NOTE_H ? FINDING_NOTE : FINDING_FINE, "log leaves",
			"%" PRId64 " leaves, %" PRId64 " hours ahead", db_i64(&rows, 0, 0), hours);
}

static void look_at_nodes(struct findings *f, struct db_conn *conn)
{
	static const struct db_stmt stmt = {"doctor_nodes",
		"SELECT count(*) FILTER (WHERE until > clock_timestamp())::bigint,"
		" string_agg(holder || '=' || node, ' ' ORDER BY holder) FILTER (WHERE until > clock_timestamp()) FROM log.nodes"};
	struct db_rows rows;
	int64_t count;

	if (!ask(f, conn, "node leases", &stmt, &rows))
		return;
	count = db_i64(&rows, 0, 0);
	if (count == 0)
		finding_add(f, FINDING_NOTE, "node leases", "none: no process makes ids in this database now");
	else
		finding_add(f, FINDING_FINE, "node leases", "%" PRId64 " of 1024: %s", count, db_text(&rows, 0, 1));
}

static void look_at_old(struct findings *f, struct db_conn *conn)
{
	static const struct db_stmt transactions = {"doctor_transactions",
		"SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::bigint,"
		" coalesce(max(age(backend_xmin)), 0)::bigint FROM pg_stat_activity"
		" WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND datname = current_database()"};
	static const struct db_stmt held = {"doctor_held",
		"SELECT coalesce(max(greatest(age(xmin), age(catalog_xmin))), 0)::bigint,"
		" (SELECT count(*) FROM pg_prepared_xacts)::bigint FROM pg_replication_slots"};
	struct db_rows rows;
	int64_t seconds;

	if (ask(f, conn, "transactions", &transactions, &rows)) {
		seconds = db_i64(&rows, 0, 0);
		finding_add(f, seconds >= OLD_BROKEN_S ? FINDING_BROKEN : seconds > OLD_NOTE_S ? FINDING_NOTE : FINDING_FINE,
			"transactions", "the oldest is %" PRId64 " s old, oldest xmin %" PRId64 " transactions back%s", seconds,
			db_i64(&rows, 0, 1),
			seconds > OLD_NOTE_S ? "; it makes every write slower: end it (pg_stat_activity shows whose it is)" : "");
	}
	if (ask(f, conn, "old snapshots", &held, &rows)) {
		if (db_i64(&rows, 0, 0) > OLD_AGE)
			finding_add(f, FINDING_NOTE, "old snapshots",
				"a replication slot holds back %" PRId64 " transactions; drop it if nobody reads it", db_i64(&rows, 0, 0));
		if (db_i64(&rows, 0, 1) > 0)
			finding_add(f, FINDING_NOTE, "old snapshots", "%" PRId64 " prepared transactions are open; Guildhall makes none",
				db_i64(&rows, 0, 1));
	}
}

static void look_at_standby(struct findings *f, struct db_conn *conn)
{
	struct standby standby = {0};
	char words[160];
	enum status st = standby_look(conn, f->ctl->mem, &standby);

	if (st != STATUS_OK)
		finding_add(f, FINDING_BROKEN, "standby", "cannot be asked (%s)", status_wire(st));
	else
		finding_add(f, standby.state == STANDBY_SYNCHRONOUS ? FINDING_FINE : FINDING_NOTE, "standby", "%s",
			standby_words(&standby, words, sizeof words));
}

void doctor_database(struct findings *f)
{
	struct db *db = NULL;
	struct db_conn *conn = NULL;
	enum status st;

	if (f->ctl->config.db_url[0] == '\0') {
		finding_add(f, FINDING_BROKEN, "database", "GUILDHALL_DB_URL is not set");
		return;
	}
	st = ctl_database(f->ctl, /* read_only= */ false, &db, &conn);
	if (st != STATUS_OK) /* of several hosts none is the primary; or one standby */
		st = ctl_database(f->ctl, true, &db, &conn);
	if (st != STATUS_OK) {
		finding_add(f, FINDING_BROKEN, "database",
			"does not answer: is PostgreSQL running, and is GUILDHALL_DB_URL right (address, database, role, password)?");
	} else {
		look_at_server(f, conn);
		if (look_at_schema(f, db, conn)) {
			look_at_leaves(f, conn);
			look_at_nodes(f, conn);
		}
		look_at_old(f, conn);
		look_at_standby(f, conn);
	}
	ctl_database_end(db, conn);
}
