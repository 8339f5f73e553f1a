/*
 * db/log_writer - what every process that writes the log has beside its committer: the publisher of what it commits, and what
 * /readyz asks of it.
 */
#pragma once

#include "common/bus/bus.h"
#include "common/db/log.h"
#include "common/ops/ops.h"

/* Its heartbeats say whether the database answers; once a second it publishes what moved lately in the log, whoever wrote it. */
enum status log_publisher_create(const struct config *config, const char *instance, struct db *db, struct bus_publisher **out_publisher);

struct log_ready_options {
	struct db *db;
	struct db *reads; /* the pool of a replica, or NULL */
	struct log_upkeep *upkeep;
	struct ops *ops;
	/* Optional: what else this build needs of the database, asked once a second behind the schema until it is OK. FIELD_INVALID, the reason
	 * logged, ends the process with exit code 2. */
	enum status (*settle)(void *arg);
	void *arg;
};
struct log_ready;
/* Adds the checks `database` (it answers, with the schema that this build knows), `standby` and `node` (ids can be made), and starts the
 * thread that waits for the schema: a database may be away at start, one with a schema of another version ends the process with
 * LOG_EXIT_SCHEMA. Borrows all. */
#define LOG_EXIT_SCHEMA 3
enum status log_ready_start(const struct log_ready_options *options, struct log_ready **out_ready);
void log_ready_stop(struct log_ready *ready); /* after ops_stop: the checks use it. NULL is fine */
