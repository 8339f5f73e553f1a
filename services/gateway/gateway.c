/*
 * gateway - see gateway.h.
 */
#include "services/gateway/gateway.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "services/gateway/calls.h"
#include "services/gateway/dialects/crust.h"
#include "services/gateway/dialects/house.h"
#include "services/gateway/memory.h"
#include "services/gateway/tokens.h"

#define HEARD_WITHIN_MS 4000 /* so that who looks every second sees it within five */
#define DRAIN_GRACE_MS  5000

const struct dialect_table *const dialects[] = {&dialect_house, &dialect_crust};
const size_t dialect_count = sizeof dialects / sizeof *dialects;
_Static_assert(sizeof dialects / sizeof *dialects <= DIALECT_MOST,
	"a dialect's number must fit where arrays have room for it");

struct gateway {
	const struct config *config;
	struct calls_shared shared;
	struct socket_limits limits;
	struct origins *origins;
	struct loop **loops;
	struct calls *calls; /* one a loop */
	struct arena *mem;   /* what lives as long */
	struct tls *tls;     /* NULL: plain */
	size_t loop_count;
};

/* ---- readiness: never the database, or its outage would take every socket away */

static bool check_bus(void *arg, char *detail, size_t detail_size)
{
	struct gateway *gateway = arg;
	bool heard = bus_order_publishers_heard(gateway->shared.order, HEARD_WITHIN_MS);

	snprintf(detail, detail_size, heard ? "publishers are heard" : "a publisher was not heard for 4 s");
	return heard;
}

/* ---- from the order's thread to the loops */

static void sink_event(void *arg, size_t loop, struct bus_event *ev)
{
	loop_event(((struct gateway *)arg)->loops[loop], ev);
}

static void sink_ephemeral(void *arg, size_t loop, struct bus_event *ev)
{
	loop_ephemeral(((struct gateway *)arg)->loops[loop], ev);
}

static void sink_followed(void *arg, size_t loop, struct stream s, uint64_t applied, uint64_t follow)
{
	loop_followed(((struct gateway *)arg)->loops[loop], s, applied, follow);
}

static void sink_refetch(void *arg, size_t loop, struct stream s)
{
	loop_refetch(((struct gateway *)arg)->loops[loop], s);
}

static void sink_generation(void *arg, size_t loop)
{
	loop_generation(((struct gateway *)arg)->loops[loop]);
}

/* ---- start */

static enum status clients_create(struct gateway *gateway)
{
	const struct config *config = gateway->config;
	struct calls_shared *shared = &gateway->shared;
	bool insecure = config->bus_insecure != 0;

	enum status st = rpc_client_create("api", config->rpc_api, insecure, &shared->api);
	if (st == STATUS_OK)
		st = rpc_client_create("messaging", config->rpc_messaging, insecure, &shared->messaging);
	if (st == STATUS_OK)
		st = rpc_client_create("moderation", config->rpc_moderation, insecure, &shared->moderation);
	if (st == STATUS_OK)
		st = rpc_client_create("presence", config->rpc_presence, insecure, &shared->presence_client);
	if (st == STATUS_OK)
		shared->tokens = token_lane_create(shared->api);
	return st;
}

static enum status loops_create(struct gateway *gateway)
{
	const struct config *config = gateway->config;
	uint16_t port = 0;

	for (size_t i = 0; i < gateway->loop_count; i++) {
		gateway->calls[i] = (struct calls){.shared = &gateway->shared, .number = i};
		struct loop_options options = {
			.number = i,
			.drain_ms = (uint32_t)config->drain_ms,
			.hub = {.ports = &calls_ports,
				.arg = &gateway->calls[i],
				.queue_bytes = (uint32_t)config->ws_queue_bytes,
				.queue_ms = (uint32_t)config->ws_queue_ms,
				.heartbeat_ms = (uint32_t)config->ws_heartbeat_ms,
				.handshake_ms = (uint32_t)config->ws_handshake_ms,
				.auth_ms = (uint32_t)config->ws_auth_ms,
				.ops_per_min = (uint32_t)config->ws_ops_per_min,
				.posts_per_5s = (uint32_t)config->limit_posts_per_5s,
				.beat_ms = (uint32_t)config->crust_beat_ms,
				.presence_most = (uint32_t)config->crust_presence_most,
				.crust_strict = config->crust_strict != 0,
				.max_frame_bytes = (uint32_t)config->ws_max_frame_bytes,
				.ring_stream_bytes = (uint32_t)config->ws_ring_stream_bytes,
				.ring_bytes = (uint32_t)((size_t)config->ws_ring_bytes / gateway->loop_count),
				.linger_ms = (uint32_t)config->ws_linger_ms,
				.canary = i == 0,
				.limits = &gateway->limits,
				.deflate_level = (int)config->ws_deflate,
				.deflate_least_bytes = (size_t)config->ws_deflate_bytes},
			.sockets = {.listen = config->ws_listen,
				.port = port,
				.sndbuf_bytes = (int)config->ws_sndbuf_bytes,
				.max_frame_bytes = (size_t)config->ws_max_frame_bytes,
				.queue_bytes = (uint32_t)config->ws_queue_bytes,
				.queue_ms = (uint32_t)config->ws_queue_ms,
				.origins = gateway->origins,
				.tls = gateway->tls,
				.tls_handshakes = (uint32_t)config->ws_tls_handshakes,
				.limits = &gateway->limits},
		};
		enum status st = loop_create(&options, &gateway->loops[i]);
		if (st != STATUS_OK)
			return st;
		gateway->calls[i].loop = gateway->loops[i];
		port = loop_port(gateway->loops[0]); /* the first may have picked one */
	}
	return STATUS_OK;
}

static enum status secured(struct gateway *gateway)
{
	const char *certificate = gateway->config->ws_tls_cert, *key = gateway->config->ws_tls_key;

	if (*certificate == '\0' && *key == '\0')
		return STATUS_OK;
	if (*certificate == '\0' || *key == '\0') {
		log_error("tls_incomplete", LOG_STR("missing", *key == '\0' ? "GUILDHALL_WS_TLS_KEY" : "GUILDHALL_WS_TLS_CERT"));
		return STATUS_FIELD_INVALID;
	}
	return tls_create(certificate, key, &gateway->tls);
}

static enum status order_create(struct gateway *gateway)
{
	const struct config *config = gateway->config;
	struct route_sink sink = {.event = sink_event,
		.ephemeral = sink_ephemeral,
		.followed = sink_followed,
		.refetch = sink_refetch,
		.generation = sink_generation,
		.arg = gateway};

	gateway->shared.route = route_create(&sink, gateway->loop_count);
	struct bus_order_options options = {
		.publishers = config->pub_peers,
		.insecure = config->bus_insecure != 0,
		.drop_percent = (int)config->fault_bus_drop_percent,
		.callbacks = route_callbacks(gateway->shared.route),
		.fetch = calls_fetch,
		.heads = calls_heads,
		.source = &gateway->shared,
	};
	enum status st = bus_order_create(&options, &gateway->shared.order);
	if (st == STATUS_OK)
		route_set_order(gateway->shared.route, gateway->shared.order);
	return st;
}

static void gateway_free(struct gateway *gateway)
{
	struct calls_shared *shared = &gateway->shared;
	struct bus_order *order = shared->order;

	for (size_t i = 0; i < gateway->loop_count; i++)
		if (gateway->loops[i] != NULL)
			loop_stop(gateway->loops[i]);
	/* Whoever may still put mail ends before the mailboxes do. */
	presence_destroy(shared->presence);
	shared->presence = NULL;
	shared->order = NULL;
	bus_order_destroy(order);
	if (shared->tokens != NULL)
		token_lane_stop(shared->tokens);
	rpc_client_destroy(shared->api);
	rpc_client_destroy(shared->messaging);
	rpc_client_destroy(shared->moderation);
	rpc_client_destroy(shared->presence_client);
	token_lane_destroy(shared->tokens);
	for (size_t i = 0; i < gateway->loop_count; i++)
		loop_destroy(gateway->loops[i]);
	route_destroy(shared->route);
	free(gateway->loops);
	free(gateway->calls);
	limits_finish(&gateway->limits);
	tls_destroy(gateway->tls);
	arena_destroy(gateway->mem);
	free(gateway);
}

enum status gateway_start(const struct config *config, struct ops *ops, struct gateway **out_gateway)
{
	struct gateway *gateway = memory_new(sizeof *gateway);
	char instance[64];
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	gateway->config = config;
	gateway->loop_count = config->gateway_loops > 0 ? (size_t)config->gateway_loops
			      : cores > 0               ? (size_t)cores
							: 1;
	if (gateway->loop_count > ROUTE_MOST_LOOPS)
		gateway->loop_count = ROUTE_MOST_LOOPS;
	gateway->loops = memory_new(gateway->loop_count * sizeof(struct loop *));
	gateway->calls = memory_new(gateway->loop_count * sizeof(struct calls));
	gateway->limits.most = socket_most(config->ws_max_sockets);
	if (*config->instance != '\0')
		snprintf(instance, sizeof instance, "%s", config->instance);
	else
		snprintf(instance, sizeof instance, "gateway-%d", (int)getpid());

	gateway->mem = arena_create();
	enum status st = limits_init(&gateway->limits, gateway->mem, config);
	if (st == STATUS_OK)
		st = origins_read(gateway->mem, config->ws_origins, &gateway->origins);
	if (st == STATUS_OK)
		st = secured(gateway);
	if (st == STATUS_OK)
		st = clients_create(gateway);
	if (st == STATUS_OK)
		st = loops_create(gateway);
	if (st == STATUS_OK)
		st = order_create(gateway);
	if (st == STATUS_OK)
		st = presence_create(gateway->shared.presence_client, instance, &gateway->shared.presence);
	for (size_t i = 0; i < gateway->loop_count && st == STATUS_OK; i++)
		st = loop_start(gateway->loops[i]);
	if (st != STATUS_OK) {
		gateway_free(gateway);
		return st;
	}
	if (ops != NULL) {
		ops_add_check(ops, "bus", check_bus, gateway);
		ops_add_check(ops, "api", rpc_client_check, gateway->shared.api);
		ops_add_check(ops, "moderation", rpc_client_check, gateway->shared.moderation);
	}
	log_info("gateway_started", LOG_U64("loops", gateway->loop_count),
		LOG_U64("port", gateway_port(gateway)), LOG_U64("sockets_at_most", gateway->limits.most));
	*out_gateway = gateway;
	return STATUS_OK;
}

void gateway_reload(struct gateway *gateway)
{
	if (gateway->tls != NULL)
		tls_reload(gateway->tls);
}

uint16_t gateway_port(const struct gateway *gateway)
{
	return loop_port(gateway->loops[0]);
}

void gateway_stop(struct gateway *gateway)
{
	int64_t give_up_at_ms = clock_mono_ms() + gateway->config->drain_ms + DRAIN_GRACE_MS;
	bool drained = false;

	log_info("gateway_draining", LOG_U64("sockets", atomic_load(&gateway->limits.count)),
		LOG_I64("over_ms", gateway->config->drain_ms));
	for (size_t i = 0; i < gateway->loop_count; i++)
		loop_drain(gateway->loops[i]);
	while (!drained && clock_mono_ms() < give_up_at_ms) {
		drained = true;
		for (size_t i = 0; i < gateway->loop_count; i++)
			drained = drained && loop_drained(gateway->loops[i]);
		if (!drained)
			nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	gateway_free(gateway);
	log_info("gateway_stopped");
}
