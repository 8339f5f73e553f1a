/*
 * guildhall-presence - wires configuration, database, bus, calls and the keeper together, and takes them apart in order.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/config.h"
#include "common/base/log.h"
#include "common/bus/bus.h"
#include "common/db/committer.h"
#include "common/db/db.h"
#include "common/db/standby.h"
#include "common/ops/ops.h"
#include "common/rpc/stubs.h"
#include "services/presence/keeper.h"
#include "services/presence/presence.h"

#define EXIT_FAILED 1
#define EXIT_USAGE  2
#define RPC_WORKERS 16

static bool check_database(void *arg, char *detail, size_t detail_size)
{
	struct presence *p = arg;
	bool up = db_up(p->db), known = keeper_schema_known(p->keeper);

	snprintf(detail, detail_size, "%s", !up ? "no answer" : known ? "answers" : "the schema is not checked yet");
	return up && known;
}

static bool database_up(void *arg)
{
	struct presence *p = arg;

	return db_up(p->db);
}

int main(int argc, char **argv)
{
	struct arena *mem = arena_create();
	struct config config;
	struct presence p = {0};
	struct rpc_server *server = NULL;
	struct ops *ops = NULL;
	struct rpc_server_options serving = {.workers = RPC_WORKERS};
	int rc = EXIT_FAILED;

	config_main(argc, argv, "presence", mem, &config);
	ops_signals_block();
	if (sodium_init() < 0) {
		log_error("random_unavailable");
		goto out;
	}
	if (config.db_url[0] == '\0' || config.rpc_listen[0] == '\0' || config.pub_listen[0] == '\0') {
		fprintf(stderr, "guildhall-presence: set GUILDHALL_DB_URL, GUILDHALL_RPC_LISTEN and GUILDHALL_PUB_LISTEN\n");
		rc = EXIT_USAGE;
		goto out;
	}
	p.instance = config.instance[0] != '\0' ? config.instance : arena_printf(mem, "presence-%d", (int)getpid());
	if (ops_start(&config, "presence", &ops) != STATUS_OK)
		goto out;
	serving.bindings = presence_bindings(&serving.binding_count);
	if (!rpc_bindings_complete("presence", serving.bindings, serving.binding_count))
		goto out;
	if (db_open(&(struct db_options){.url = config.db_url,
			    .service = "guildhall-presence",
			    .connections = (int)config.db_readers},
		    &p.db) != STATUS_OK)
		goto out;
	/* No watermark of its own: messaging's and moderation's cover every stream of the log. */
	if (bus_publisher_create(&(struct bus_publisher_options){.listen = config.pub_listen,
					 .instance = p.instance,
					 .insecure = config.bus_insecure != 0,
					 .database_up = database_up,
					 .arg = &p},
		    &p.publisher) != STATUS_OK)
		goto out;
	if (committer_create(&(struct committer_options){.config = &config,
				     .service = "guildhall-presence",
				     .publisher = p.publisher},
		    &p.committer) != STATUS_OK)
		goto out;
	presence_init(&p);
	keeper_start(&p, true);
	ops_add_check(ops, "database", check_database, &p);
	ops_add_check(ops, "standby", standby_check, p.db);
	serving.listen = config.rpc_listen;
	serving.service = &p;
	serving.insecure = config.bus_insecure != 0;
	if (rpc_server_start(&serving, &server) == STATUS_OK) {
		log_info("started", LOG_STR("version", GUILDHALL_VERSION), LOG_STR("instance", p.instance));
		log_info("stopping", LOG_I64("signal", ops_signals_wait()));
		rc = 0;
		ops_set_draining(ops);
		rpc_server_drain(server, (int)config.drain_ms);
	}
	keeper_stop(p.keeper);
	committer_drain(p.committer, (int)config.drain_ms);
	/* Calls end before what they use; the tables speak to the publisher, so it goes after the server. */
	rpc_server_stop(server);
	committer_destroy(p.committer); /* until its threads have ended it publishes */
	p.committer = NULL;
	bus_publisher_destroy(p.publisher);
	p.publisher = NULL;
	presence_finish(&p);
out:
	if (p.committer != NULL)
		committer_destroy(p.committer);
	if (p.publisher != NULL)
		bus_publisher_destroy(p.publisher);
	if (p.db != NULL)
		db_close(p.db);
	if (ops != NULL)
		ops_stop(ops);
	arena_destroy(mem);
	return rc;
}
