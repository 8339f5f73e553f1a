#include "common/db/log_writer.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/ticker.h"
#include "common/db/standby.h"

#define EXIT_SETTING      2
#define WATERMARK_WAIT_MS 500
#define SETTLE_EVERY_MS   1000

/* ---- the publisher */

/* Publisher's thread, once a second. */
static bool watermark(void *arg, struct arena *mem, bool whole, const char **out_generation, struct logged_event **out_heads,
	size_t *out_count)
{
	struct db_conn *conn = NULL;

	if (db_acquire(arg, clock_mono_ms() + WATERMARK_WAIT_MS, &conn) != STATUS_OK)
		return false;
	enum status st = log_watermark(conn, mem, whole, out_generation, out_heads, out_count);
	db_release(conn);
	return st == STATUS_OK;
}

static bool database_up(void *arg)
{
	return db_up(arg);
}

enum status log_publisher_create(const struct config *config, const char *instance, struct db *db, struct bus_publisher **out_publisher)
{
	return bus_publisher_create(&(struct bus_publisher_options){.listen = config->pub_listen,
					    .instance = instance,
					    .insecure = config->bus_insecure != 0,
					    .watermark = watermark,
					    .database_up = database_up,
					    .arg = db},
		out_publisher);
}

/* ---- readiness */

struct log_ready {
	struct log_ready_options options;
	atomic_bool settled;
	struct ticker ticker;
};

static bool check_database(void *arg, char *detail, size_t detail_size)
{
	struct log_ready *r = arg;
	bool up = db_up(r->options.db), reads = r->options.reads == NULL || db_up(r->options.reads);
	bool settled = atomic_load(&r->settled);

	snprintf(detail, detail_size, "%s",
		!up        ? "no answer"
		: !reads   ? "no answer of the reading one"
		: !settled ? "schema not seen yet"
			   : "answers");
	return up && reads && settled;
}

static bool check_node(void *arg, char *detail, size_t detail_size)
{
	struct log_ready *r = arg;
	bool leased = log_upkeep_has_node(r->options.upkeep);

	snprintf(detail, detail_size, "%s", leased ? "leased" : "no node leased: no ids can be made");
	return leased;
}

static int64_t settle_turn(void *arg)
{
	struct log_ready *r = arg;
	enum status st = db_check_schema(r->options.db);

	if (st == STATUS_CONFLICT)
		_exit(LOG_EXIT_SCHEMA); /* db_check_schema has logged what to run */
	if (st == STATUS_OK && r->options.settle != NULL)
		st = r->options.settle(r->options.arg);
	if (st == STATUS_FIELD_INVALID)
		_exit(EXIT_SETTING);
	if (st != STATUS_OK)
		return SETTLE_EVERY_MS;
	atomic_store(&r->settled, true);
	return TICKER_ENOUGH;
}

enum status log_ready_start(const struct log_ready_options *options, struct log_ready **out_ready)
{
	struct log_ready *r = calloc(1, sizeof *r);

	if (r == NULL)
		return STATUS_INTERNAL;
	r->options = *options;
	enum status st = ticker_start(&r->ticker, 0, settle_turn, r);
	if (st != STATUS_OK) {
		log_error("thread_failed", LOG_STR("thread", "schema"));
		free(r);
		return st;
	}
	ops_add_check(options->ops, "database", check_database, r);
	ops_add_check(options->ops, "standby", standby_check, options->db);
	ops_add_check(options->ops, "node", check_node, r);
	*out_ready = r;
	return STATUS_OK;
}

void log_ready_stop(struct log_ready *r)
{
	if (r == NULL)
		return;
	ticker_stop(&r->ticker);
	free(r);
}
