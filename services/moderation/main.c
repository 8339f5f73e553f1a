/*
 * guildhall-moderation - wires configuration, database, bus, committer and calls together, and takes them
 * apart in order: first no new calls, then the changes that wait, then what they are published through.
 */
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/bus/bus.h"
#include "common/db/canary.h"
#include "common/db/log_writer.h"
#include "common/ops/ops.h"
#include "common/rpc/stubs.h"
#include "services/moderation/audit_follower.h"
#include "services/moderation/expiry.h"
#include "services/moderation/service.h"

#define EXIT_FAILED       1
#define EXIT_USAGE        2
#define JOB_CONNECTIONS   6 /* beside the readers': upkeep, expiry, watermark, canary, the audit's reading and judging */

struct process {
	struct config config;
	struct moderation service;
	struct ids ids;
	struct bus_publisher *publisher;
	struct rpc_server *server;
	struct log_upkeep *upkeep;
	struct ops *ops;
	struct log_ready *ready;
	struct expiry *expiry;
	struct canary *canary;
	struct log_follower *audit;
};

static bool settings_complete(const struct config *config)
{
	if (config->db_url[0] != '\0' && config->rpc_listen[0] != '\0' && config->pub_listen[0] != '\0')
		return true;
	fprintf(stderr, "guildhall-moderation: set GUILDHALL_DB_URL, GUILDHALL_RPC_LISTEN and "
			"GUILDHALL_PUB_LISTEN\n");
	return false;
}

/* Everything but the server, in the order of what needs what. A replica is of no use here: rights are read
 * where they are written, or every judgement in its lag would be stale at commit. */
static enum status start(struct process *p)
{
	const struct config *config = &p->config;
	struct moderation *m = &p->service;

	enum status st = ops_start(config, "moderation", &p->ops);
	if (st == STATUS_OK)
		st = db_open(&(struct db_options){.url = config->db_url,
				     .service = "guildhall-moderation",
				     .connections = (int)config->db_readers + JOB_CONNECTIONS,
				     .generic_plans = true}, /* planning the facts of one judgement takes ten
								times its run */
			&m->db);
	if (st == STATUS_OK)
		st = log_publisher_create(config, m->instance, m->db, &p->publisher);
	if (st == STATUS_OK)
		st = committer_create(&(struct committer_options){.config = config,
					      .service = "guildhall-moderation",
					      .publisher = p->publisher},
			&m->committer);
	if (st == STATUS_OK)
		st = log_upkeep_start(config, m->db, m->instance, &p->ids, &p->upkeep);
	if (st == STATUS_OK)
		st = log_ready_start(&(struct log_ready_options){.db = m->db, .upkeep = p->upkeep, .ops = p->ops}, &p->ready);
	if (st == STATUS_OK)
		st = expiry_start(m, &p->expiry);
	if (st == STATUS_OK)
		st = canary_start(m->db, m->committer, m->instance, &p->canary);
	if (st == STATUS_OK) {
		audit_follower_create(m, &p->audit);
		log_follower_start(p->audit);
	}
	return st;
}

static void stop(struct process *p)
{
	struct moderation *m = &p->service;

	canary_stop(p->canary);
	expiry_stop(p->expiry);
	log_follower_stop(p->audit);
	log_follower_destroy(p->audit);
	if (m->committer != NULL)
		committer_drain(m->committer, (int)p->config.drain_ms);
	if (p->server != NULL)
		rpc_server_stop(p->server);
	if (m->committer != NULL)
		committer_destroy(m->committer); /* until its threads have ended it publishes */
	if (p->publisher != NULL)
		bus_publisher_destroy(
			p->publisher); /* "leaving" for 300 ms: what was committed is on the way */
	if (p->ops != NULL)
		ops_stop(p->ops);
	log_ready_stop(p->ready);
	if (p->upkeep != NULL)
		log_upkeep_stop(p->upkeep);
	if (m->db != NULL)
		db_close(m->db);
}

int main(int argc, char **argv)
{
	struct arena *mem = arena_create();
	struct process *p = ARENA_NEW(mem, struct process);
	size_t binding_count;
	const struct rpc_binding *bindings = moderation_bindings(&binding_count);
	int rc = EXIT_FAILED;

	config_main(argc, argv, "moderation", mem, &p->config);
	ops_signals_block();
	if (sodium_init() < 0) {
		log_error("random_unavailable");
		goto out;
	}
	if (!settings_complete(&p->config)) {
		rc = EXIT_USAGE;
		goto out;
	}
	p->service.config = &p->config;
	p->service.instance = p->config.instance[0] != '\0'
				      ? p->config.instance
				      : arena_printf(mem, "moderation-%d", (int)getpid());
	p->service.ids = &p->ids;
	ids_init(&p->ids);
	if (!rpc_bindings_complete("moderation", bindings, binding_count))
		goto out;
	if (start(p) != STATUS_OK)
		goto out_started;
	struct rpc_server_options serving = {.listen = p->config.rpc_listen,
		.bindings = bindings,
		.binding_count = binding_count,
		.service = &p->service,
		.workers = 2 * (int)p->config.db_readers, /* some wait for a commit while others read */
		.insecure = p->config.bus_insecure != 0};
	if (rpc_server_start(&serving, &p->server) == STATUS_OK) {
		log_info("started", LOG_STR("version", GUILDHALL_VERSION),
			LOG_STR("instance", p->service.instance));
		log_info("stopping", LOG_I64("signal", ops_signals_wait()));
		rc = 0;
		ops_set_draining(p->ops);
		rpc_server_drain(p->server, (int)p->config.drain_ms);
	}
out_started:
	stop(p);
out:
	arena_destroy(mem);
	return rc;
}
