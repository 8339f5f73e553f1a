/*
 * guildhall-api - wires configuration, database, bus, the owners' clients, calls and HTTP together, and takes
 * them apart in order: first no new requests, then no new calls, then the changes that wait, then what they
 * are published through.
 */
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/bus/bus.h"
#include "common/db/committer.h"
#include "common/db/log_writer.h"
#include "common/http/http.h"
#include "common/ops/ops.h"
#include "common/rpc/stubs.h"
#include "services/api/api.h"
#include "services/api/calls.h"
#include "services/api/exchange.h"
#include "services/api/jobs.h"
#include "services/api/limits.h"
#include "services/api/mount_team.h"
#include "services/api/passwords.h"
#include "services/api/serve.h"
#include "services/api/tokens.h"
#include "services/api/transfers.h"

#define EXIT_FAILED       1
#define EXIT_USAGE        2
#define PASSWORD_QUEUE    64
#define TOKEN_SLOTS       8192
#define LIMIT_SLOTS       65536
#define MOUNT_TEAM_SLOTS  8192
#define WRITE_CONNECTIONS 4 /* jobs, watermark, upkeep, schema: beside the readers */

struct process {
	struct config config;
	struct api api;
	struct ids ids;
	const char *instance;
	struct bus_publisher *publisher;
	struct bus_listener *listener;
	struct rpc_server *calls;
	struct http_server *http;
	struct log_upkeep *upkeep;
	struct ops *ops;
	struct log_ready *ready;
	atomic_bool listening;
};

#define DIALECT(name) extern const struct mount name##_mount;
#include "services/api/dialects.tbl.h"
#undef DIALECT
#define DIALECT(name) &name##_mount,
static const struct mount *const mounts[] = {
#include "services/api/dialects.tbl.h"
	NULL};
#undef DIALECT

/* The listener's thread: other copies revoke as well. What is missed ends by itself two seconds later. */
static void heard(void *arg, const struct logged_event *logged, const pb_Event *body)
{
	struct api *api = arg;

	if (body->which_body == pb_Event_session_revoked_tag) {
		const pb_SessionRevoked *e = &body->body.session_revoked;
		if (e->session_id != 0)
			tokens_drop_session(api->tokens, e->session_id);
		else
			tokens_drop_account(api->tokens, e->user_id);
	} else if (body->which_body == pb_Event_account_closed_tag) {
		tokens_drop_account(api->tokens, body->body.account_closed.user_id);
	}
}

/* The other checks come one by one while the process starts: until it listens it is not ready. */
static bool check_listening(void *arg, char *detail, size_t detail_size)
{
	bool listening = atomic_load((atomic_bool *)arg);

	snprintf(detail, detail_size, "%s", listening ? "listening" : "starting");
	return listening;
}

/* Shown only: without presence an api still does its work. */
static bool show_presence(void *arg, char *detail, size_t detail_size)
{
	(void)rpc_client_check(arg, detail, detail_size);
	return true;
}

static bool settings_complete(const struct config *c)
{
	if (c->db_url[0] != '\0' && c->rpc_listen[0] != '\0' && c->pub_listen[0] != '\0' &&
		c->rpc_messaging[0] != '\0' && c->rpc_moderation[0] != '\0' && c->rpc_presence[0] != '\0')
		return true;
	fprintf(stderr, "guildhall-api: set GUILDHALL_DB_URL, GUILDHALL_RPC_LISTEN, GUILDHALL_PUB_LISTEN, "
			"GUILDHALL_RPC_MESSAGING, GUILDHALL_RPC_MODERATION and GUILDHALL_RPC_PRESENCE\n");
	return false;
}

#define JWT_SECRET_LEAST 32

static bool secret_long_enough(const struct config *c)
{
	if (c->crust_jwt_secret[0] == '\0' || strlen(c->crust_jwt_secret) >= JWT_SECRET_LEAST)
		return true;
	fprintf(stderr, "guildhall-api: GUILDHALL_CRUST_JWT_SECRET must have at least %d bytes\n", JWT_SECRET_LEAST);
	return false;
}

static enum status connect_owners(struct process *p)
{
	const struct config *c = &p->config;
	bool insecure = c->bus_insecure != 0;

	enum status st = rpc_client_create(
		"messaging", c->rpc_messaging, insecure, &p->api.owners[OWNER_messaging].client);
	if (st == STATUS_OK)
		st = rpc_client_create(
			"moderation", c->rpc_moderation, insecure, &p->api.owners[OWNER_moderation].client);
	if (st == STATUS_OK)
		st = rpc_client_create(
			"presence", c->rpc_presence, insecure, &p->api.owners[OWNER_presence].client);
	return st;
}

/* api's own parts, which live in memory. */
static enum status make_parts(struct process *p, struct arena *mem)
{
	struct api *api = &p->api;
	size_t peers = 0;

	config_list(mem, p->config.rpc_api, &peers);
	api->peers = peers == 0 ? 1 : (int)peers;
	api->owner_share = (int)p->config.http_workers / 2;
	api->mounts = mounts;
	api->limits = limits_create(LIMIT_SLOTS);
	api->mount_teams = mount_teams_create(MOUNT_TEAM_SLOTS);
	/* Half of the workers at most wait for somebody's line. */
	api->transfers = transfers_create((size_t)p->config.http_workers / 2, (int)p->config.uploads_per_account);
	if (api->limits == NULL || api->mount_teams == NULL || api->transfers == NULL)
		return STATUS_INTERNAL;
	enum status st = tokens_create(api->db, TOKEN_SLOTS, &api->tokens);
	if (st == STATUS_OK && p->config.crust_jwt_secret[0] != '\0')
		tokens_set_jwt_secret(api->tokens, p->config.crust_jwt_secret);
	return st == STATUS_OK
		       ? passwords_create((int)p->config.password_threads, PASSWORD_QUEUE, &api->passwords)
		       : st;
}

/* Everything but what listens to clients, in the order of what needs what. */
static enum status start(struct process *p, struct arena *mem)
{
	const struct config *config = &p->config;
	struct api *api = &p->api;
	bool insecure = config->bus_insecure != 0;

	enum status st = ops_start(config, "api", &p->ops);
	if (st == STATUS_OK) {
		ops_add_check(p->ops, "http", check_listening, &p->listening);
		st = db_open(&(struct db_options){.url = config->db_url,
				     .service = "guildhall-api",
				     .connections = (int)config->db_readers + WRITE_CONNECTIONS},
			&api->db);
	}
	if (st == STATUS_OK)
		st = make_parts(p, mem);
	if (st == STATUS_OK)
		st = connect_owners(p);
	if (st == STATUS_OK)
		st = log_publisher_create(config, p->instance, api->db, &p->publisher);
	if (st == STATUS_OK && config->pub_peers[0] != '\0')
		st = bus_listener_create(config->pub_peers, insecure, (int)config->fault_bus_drop_percent,
			heard, api, &p->listener);
	if (st == STATUS_OK)
		st = committer_create(
			&(struct committer_options){
				.config = config, .service = "guildhall-api", .publisher = p->publisher},
			&api->committer);
	if (st == STATUS_OK)
		st = log_upkeep_start(config, api->db, p->instance, &p->ids, &p->upkeep);
	if (st == STATUS_OK)
		st = log_ready_start(&(struct log_ready_options){.db = api->db, .upkeep = p->upkeep, .ops = p->ops}, &p->ready);
	if (st == STATUS_OK) {
		ops_add_check(p->ops, "messaging", rpc_client_check, api->owners[OWNER_messaging].client);
		ops_add_check(p->ops, "moderation", rpc_client_check, api->owners[OWNER_moderation].client);
		ops_add_check(p->ops, "presence", show_presence, api->owners[OWNER_presence].client);
	}
	return st == STATUS_OK ? jobs_start(api, &api->jobs) : st;
}

static enum status serve(struct process *p)
{
	const struct config *config = &p->config;
	struct rpc_server_options calls = {.listen = config->rpc_listen,
		.bindings = api_bindings,
		.binding_count = api_binding_count,
		.service = &p->api,
		.workers = 2 * (int)config->db_readers,
		.insecure = config->bus_insecure != 0};
	struct http_options http = {.listen = config->http_listen,
		.workers = (int)config->http_workers,
		.keepalive_ms = (int)config->http_keepalive_ms,
		.request_ms = (int)config->http_request_ms,
		.max_body_bytes = SERVE_BODY_BYTES,
		.trusted_proxies = config->trusted_proxies,
		.handle = serve_request,
		.streams = serve_streams,
		.arg = &p->api};

	enum status st = rpc_server_start(&calls, &p->calls);
	return st == STATUS_OK ? http_server_start(&http, &p->http) : st;
}

static void stop(struct process *p)
{
	struct api *api = &p->api;

	http_server_stop(p->http);
	if (p->calls != NULL)
		rpc_server_drain(p->calls, (int)p->config.drain_ms);
	jobs_stop(api->jobs);
	if (api->committer != NULL)
		committer_drain(api->committer, (int)p->config.drain_ms);
	if (p->calls != NULL)
		rpc_server_stop(p->calls);
	if (p->listener != NULL)
		bus_listener_destroy(p->listener);
	if (api->committer != NULL)
		committer_destroy(api->committer); /* until its threads have ended it publishes */
	if (p->publisher != NULL)
		bus_publisher_destroy(
			p->publisher); /* "leaving" for 300 ms: what was committed is on the way */
	if (p->ops != NULL)
		ops_stop(p->ops);
	log_ready_stop(p->ready);
	if (p->upkeep != NULL)
		log_upkeep_stop(p->upkeep);
	for (size_t i = 0; i < OWNER_COUNT; i++) {
		if (api->owners[i].client != NULL)
			rpc_client_destroy(api->owners[i].client);
	}
	passwords_destroy(api->passwords);
	tokens_destroy(api->tokens);
	limits_destroy(api->limits);
	mount_teams_destroy(api->mount_teams);
	transfers_destroy(api->transfers);
	if (api->db != NULL)
		db_close(api->db);
}

int main(int argc, char **argv)
{
	struct arena *mem = arena_create();
	struct process *p = ARENA_NEW(mem, struct process);
	int rc = EXIT_FAILED;

	config_main(argc, argv, "api", mem, &p->config);
	ops_signals_block();
	if (sodium_init() < 0) {
		log_error("random_unavailable");
		goto out;
	}
	if (!settings_complete(&p->config) || !secret_long_enough(&p->config)) {
		rc = EXIT_USAGE;
		goto out;
	}
	p->api.config = &p->config;
	p->api.ids = &p->ids;
	p->instance = p->config.instance[0] != '\0' ? p->config.instance
						    : arena_printf(mem, "api-%d", (int)getpid());
	ids_init(&p->ids);
	if (!rpc_bindings_complete("api", api_bindings, api_binding_count))
		goto out;
	if (start(p, mem) == STATUS_OK && serve(p) == STATUS_OK) {
		atomic_store(&p->listening, true);
		log_info("started", LOG_STR("version", GUILDHALL_VERSION), LOG_STR("instance", p->instance),
			LOG_U64("port", http_server_port(p->http)));
		log_info("stopping", LOG_I64("signal", ops_signals_wait()));
		rc = 0;
		ops_set_draining(p->ops);
	}
	stop(p);
out:
	arena_destroy(mem);
	return rc;
}
