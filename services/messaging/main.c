/*
 * guildhall-messaging - wires configuration, database, bus, moderation's client and calls together, and takes
 * them apart in order: first no new calls, then the changes that wait, then what they were answered and
 * published through.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/bus/bus.h"
#include "common/db/canary.h"
#include "common/db/log_writer.h"
#include "common/net/fetch.h"
#include "common/ops/ops.h"
#include "common/rpc/stubs.h"
#include "services/messaging/calls.h"
#include "services/messaging/conversation_copies.h"
#include "services/messaging/deliveries.h"
#include "services/messaging/file_store.h"
#include "services/messaging/files_job.h"
#include "services/messaging/followup.h"
#include "services/messaging/notices.h"
#include "services/messaging/people.h"
#include "services/messaging/previews.h"
#include "services/messaging/purge.h"
#include "services/messaging/rights.h"
#include "services/messaging/search_index.h"
#include "services/messaging/service.h"
#include "services/messaging/system_lines.h"
#include "services/messaging/webhook_ends.h"

#define EXIT_FAILED       1
#define EXIT_USAGE        2
#define RIGHTS_ENTRIES    65536 /* judgements kept, about 400 bytes each */
#define PEOPLE_SLOTS      65536 /* fingerprints kept, 8 bytes each */
#define FOLLOWUP_THREADS  4
#define CONTEXTS          1024 /* calls in flight: posts wait for their commit without a thread */
/* Of the primary when reads go elsewhere: people, purge, copies, upkeep, replies, search index, lines, canary, ends of webhooks, deliveries,
 * files. */
#define WRITE_CONNECTIONS 13

struct process {
	struct config config;
	struct service service;
	struct ids ids;
	struct bus_publisher *publisher;
	struct rpc_server *server;
	struct log_upkeep *upkeep;
	struct ops *ops;
	struct log_ready *ready;
	struct purge *purge;
	struct files_job *files_job;
	struct copies *copies;
	struct search_index *search;
	struct log_follower *lines;
	struct webhook_ends *webhook_ends;
	struct deliveries *deliveries;
	struct canary *canary;
};

/* The configuration of the search is one that the database has. */
static enum status search_settled(void *arg)
{
	struct service *s = arg;

	return search_config_check(s->db, s->config->search_config);
}

static bool settings_complete(const struct config *config)
{
	if (config->db_url[0] != '\0' && config->rpc_listen[0] != '\0' && config->pub_listen[0] != '\0' &&
		config->rpc_moderation[0] != '\0')
		return true;
	fprintf(stderr,
		"guildhall-messaging: set GUILDHALL_DB_URL, GUILDHALL_RPC_LISTEN, GUILDHALL_PUB_LISTEN and "
		"GUILDHALL_RPC_MODERATION\n");
	return false;
}

static enum status open_databases(struct process *p)
{
	const struct config *config = &p->config;
	struct service *s = &p->service;
	bool replica = config->db_read_url[0] != '\0';
	struct db_options primary = {.url = config->db_url,
		.service = "guildhall-messaging",
		.connections = replica ? WRITE_CONNECTIONS : (int)config->db_readers + WRITE_CONNECTIONS,
		.generic_plans = true};
	struct db_options reads = {.url = config->db_read_url,
		.service = "guildhall-messaging",
		.connections = (int)config->db_readers,
		.read_only = true,
		.generic_plans = true};

	enum status st = db_open(&primary, &s->db);
	if (st != STATUS_OK)
		return st;
	if (!replica) {
		s->reads = s->db;
		return STATUS_OK;
	}
	return db_open(&reads, &s->reads);
}

/* Committer's threads. */
static void committed(void *arg, const struct logged_event *events, size_t count)
{
	struct process *p = arg;

	search_index_note(p->search, events, count);
	log_follower_note(p->lines, events, count);
	webhook_ends_note(p->webhook_ends, events, count);
}

/* What people upload; without a folder nobody can. */
static enum status open_files(const struct config *config, struct service *s)
{
	if (config->files_dir[0] == '\0')
		return STATUS_OK;
	enum status st = file_disk_create(config->files_dir, &s->files);
	if (st == STATUS_OK && config->previewer[0] != '\0') {
		s->previews = previews_create(config->previewer, (int)config->previews);
		if (s->previews == NULL)
			st = STATUS_INTERNAL;
	}
	return st;
}

/* Everything but the server, in the order of what needs what. */
static enum status start(struct process *p)
{
	const struct config *config = &p->config;
	struct service *s = &p->service;
	struct notices *notices = NULL;
	bool insecure = config->bus_insecure != 0;

	enum status st = ops_start(config, "messaging", &p->ops);
	if (st == STATUS_OK)
		st = open_databases(p);
	if (st == STATUS_OK)
		st = open_files(config, s);
	if (st == STATUS_OK)
		st = log_publisher_create(config, s->instance, s->db, &p->publisher);
	if (st == STATUS_OK)
		st = rpc_client_create("moderation", config->rpc_moderation, insecure, &s->moderation);
	if (st == STATUS_OK) {
		search_index_create(s, &p->search);
		system_lines_create(s, &p->lines);
		webhook_ends_create(s, &p->webhook_ends);
		st = committer_create(&(struct committer_options){.config = config,
					      .service = "guildhall-messaging",
					      .publisher = p->publisher,
					      .committed = committed,
					      .committed_arg = p},
			&s->committer);
	}
	if (st == STATUS_OK)
		st = followup_create(FOLLOWUP_THREADS, &s->followup);
	s->rights = rights_cache_create(RIGHTS_ENTRIES);
	s->people = people_create(PEOPLE_SLOTS);
	if (st == STATUS_OK && (s->rights == NULL || s->people == NULL))
		st = STATUS_INTERNAL;
	if (st == STATUS_OK)
		st = log_upkeep_start(config, s->db, s->instance, &p->ids, &p->upkeep);
	if (st == STATUS_OK)
		st = log_ready_start(&(struct log_ready_options){.db = s->db,
					     .reads = s->reads,
					     .upkeep = p->upkeep,
					     .ops = p->ops,
					     .settle = search_settled,
					     .arg = s}, &p->ready);
	if (st == STATUS_OK)
		ops_add_check(p->ops, "moderation", rpc_client_check, s->moderation);
	if (st == STATUS_OK)
		st = purge_start(s, &p->purge);
	if (st == STATUS_OK)
		st = files_job_start(s, &p->files_job);
	if (st == STATUS_OK)
		st = copies_start(s, &p->copies);
	if (st == STATUS_OK)
		st = notices_start(s, &notices);
	s->notices = notices;
	if (st == STATUS_OK)
		search_index_start(p->search);
	if (st == STATUS_OK)
		log_follower_start(p->lines);
	if (st == STATUS_OK)
		webhook_ends_start(p->webhook_ends);
	if (st == STATUS_OK)
		st = deliveries_start(s, &p->deliveries);
	s->deliveries = p->deliveries;
	if (st == STATUS_OK)
		st = canary_start(s->db, s->committer, s->instance, &p->canary);
	return st;
}

static void stop(struct process *p)
{
	struct service *s = &p->service;

	canary_stop(p->canary);
	copies_stop(p->copies);
	files_job_stop(p->files_job);
	purge_stop(p->purge);
	search_index_stop(p->search);
	log_follower_stop(p->lines);
	webhook_ends_stop(p->webhook_ends);
	deliveries_stop(p->deliveries);
	notices_stop(s->notices);
	if (s->committer != NULL)
		committer_drain(s->committer, (int)p->config.drain_ms);
	if (p->server != NULL)
		rpc_server_stop(p->server);
	deliveries_destroy(p->deliveries);
	followup_destroy(s->followup); /* a commit that ends late still hands its call over */
	if (s->committer != NULL)
		committer_destroy(s->committer); /* until its threads have ended it publishes */
	log_follower_destroy(p->lines);
	search_index_destroy(p->search); /* the committer's threads told it what they wrote */
	webhook_ends_destroy(p->webhook_ends);
	notices_destroy(s->notices);             /* what they commit names messages until then */
	if (p->publisher != NULL)
		bus_publisher_destroy(
			p->publisher); /* "leaving" for 300 ms: what was committed is on the way */
	if (p->ops != NULL)
		ops_stop(p->ops);
	log_ready_stop(p->ready);
	if (p->upkeep != NULL)
		log_upkeep_stop(p->upkeep);
	if (s->moderation != NULL)
		rpc_client_destroy(s->moderation);
	rights_cache_destroy(s->rights);
	people_destroy(s->people);
	previews_destroy(s->previews);
	file_store_destroy(s->files);
	if (s->reads != NULL && s->reads != s->db)
		db_close(s->reads);
	if (s->db != NULL)
		db_close(s->db);
}

int main(int argc, char **argv)
{
	struct arena *mem = arena_create();
	struct process *p = ARENA_NEW(mem, struct process);
	struct service *s = &p->service;
	int rc = EXIT_FAILED;

	config_main(argc, argv, "messaging", mem, &p->config);
	ops_signals_block();
	if (sodium_init() < 0 || fetch_init() != STATUS_OK) {
		log_error("random_unavailable");
		goto out;
	}
	if (!settings_complete(&p->config)) {
		rc = EXIT_USAGE;
		goto out;
	}
	s->config = &p->config;
	s->instance = p->config.instance[0] != '\0' ? p->config.instance
						    : arena_printf(mem, "messaging-%d", (int)getpid());
	s->ids = &p->ids;
	ids_init(&p->ids);
	if (!rpc_bindings_complete("messaging", messaging_bindings, messaging_binding_count))
		goto out;
	if (start(p) != STATUS_OK)
		goto out_started;
	struct rpc_server_options serving = {.listen = p->config.rpc_listen,
		.bindings = messaging_bindings,
		.binding_count = messaging_binding_count,
		.service = s,
		.workers =
			2 * (int)p->config
				    .db_readers, /* some wait for moderation or a commit while others read */
		.contexts = CONTEXTS,
		.insecure = p->config.bus_insecure != 0};
	if (rpc_server_start(&serving, &p->server) == STATUS_OK) {
		log_info("started", LOG_STR("version", GUILDHALL_VERSION), LOG_STR("instance", s->instance));
		log_info("stopping", LOG_I64("signal", ops_signals_wait()));
		rc = 0;
		ops_set_draining(p->ops);
		rpc_server_drain(p->server, (int)p->config.drain_ms);
	}
out_started:
	stop(p);
	fetch_finish();
out:
	arena_destroy(mem);
	return rc;
}
