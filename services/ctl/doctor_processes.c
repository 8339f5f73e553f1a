/*
 * doctor_processes - what is asked of the processes: their calls, and their ops listeners.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/events/events.h"
#include "common/json/reader.h"
#include "common/rpc/stubs.h"
#include "services/ctl/doctor.h"
#include "services/ctl/probe.h"

#define COMMIT_SLOW_MS 100

static const struct {
	const char *service, *ops;
} defaults[] = {
	{"gateway", "127.0.0.1:9101"},
	{"api", "127.0.0.1:9102"},
	{"messaging", "127.0.0.1:9103"},
	{"moderation", "127.0.0.1:9104"},
	{"presence", "127.0.0.1:9105"},
};

bool metric_read(const char *text, const char *name, double *out_value)
{
	size_t length = strlen(name);

	for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, length) == 0 && line[length] == ' ') {
			*out_value = strtod(line + length, NULL);
			return true;
		}
	}
	return false;
}

/* ---- calls */
static enum status ask_heads(struct ctl *ctl, const char *owner, struct rpc_client *client)
{
	struct rpc_context ctx = ctl_context(ctl, false);
	pb_StreamHeadsRequest rq = pb_StreamHeadsRequest_init_zero;
	pb_StreamHead stream = pb_StreamHead_init_zero;
	pb_StreamHeadsReply reply;
	struct rpc_outcome outcome;

	stream.rank = STREAM_GLOBAL.rank;
	rq.streams = &stream;
	rq.streams_count = 1;
	if (strcmp(owner, "api") == 0)
		return api_stream_heads(client, ctl->mem, &ctx, &rq, &reply, &outcome);
	if (strcmp(owner, "messaging") == 0)
		return messaging_stream_heads(client, ctl->mem, &ctx, &rq, &reply, &outcome);
	if (strcmp(owner, "moderation") == 0)
		return moderation_stream_heads(client, ctl->mem, &ctx, &rq, &reply, &outcome);
	return presence_stream_heads(client, ctl->mem, &ctx, &rq, &reply, &outcome);
}

/* Every address by itself: a call to all would hide the one that does not answer. */
static void look_at_calls(struct findings *f, const char *owner)
{
	size_t count = 0;
	const char **addresses = config_list(f->ctl->mem, ctl_peer_addresses(f->ctl, owner), &count);

	if (count == 0)
		finding_add(f, FINDING_BROKEN, owner, "%s is not set", ctl_peer_setting(owner));
	for (size_t i = 0; i < count; i++) {
		struct rpc_client *client = NULL;
		int64_t began_us = clock_mono_us();
		enum status st = rpc_client_create(owner, addresses[i], f->ctl->config.bus_insecure != 0, &client);

		if (st != STATUS_OK) {
			finding_add(f, FINDING_BROKEN, owner, "%s cannot be used as an address", addresses[i]);
			continue;
		}
		began_us = clock_mono_us();
		st = ask_heads(f->ctl, owner, client);
		if (st == STATUS_OK)
			finding_add(f, FINDING_FINE, owner, "%s answers in %.1f ms", addresses[i],
				(double)(clock_mono_us() - began_us) / 1000);
		else if (rpc_client_up(client))
			finding_add(f, FINDING_BROKEN, owner, "%s is there, but cannot work (%s): has it lost the database?",
				addresses[i], status_wire(st));
		else
			finding_add(f, FINDING_BROKEN, owner, "nobody answers at %s: is guildhall-%s running?", addresses[i], owner);
		rpc_client_destroy(client);
	}
}

/* ---- ops */
/* The checks that failed, as "database: no answer, bus: ..." */
static const char *failed_checks(struct arena *mem, const char *ready)
{
	struct json_reader reader;
	const char *out = "";
	json_t *check;
	size_t i;

	if (json_reader_begin(&reader, mem, ready, strlen(ready)) != STATUS_OK)
		return "its answer cannot be read";
	json_array_foreach(json_object_get(reader.object, "checks"), i, check)
	{
		const char *name = json_string_value(json_object_get(check, "name"));
		const char *detail = json_string_value(json_object_get(check, "detail"));

		if (!json_is_false(json_object_get(check, "ok")))
			continue;
		out = arena_printf(mem, "%s%s%s: %s", out, out[0] == '\0' ? "" : ", ", name == NULL ? "?" : name,
			detail == NULL ? "" : detail);
	}
	return out;
}

/* Numbers that tell of trouble before anybody complains. */
static void look_at_metrics(struct findings *f, const char *service, const char *address)
{
	const char *text = NULL;
	double waiting = 0, seconds = 0, count = 0, behind = 0;
	int code = 0;

	if (probe_get(f->ctl->mem, address, "/metrics", &code, &text) != STATUS_OK || code != 200)
		return;
	(void)metric_read(text, "guildhall_commit_waiting", &waiting);
	(void)metric_read(text, "guildhall_bus_streams_behind", &behind);
	if (metric_read(text, "guildhall_commit_seconds_sum", &seconds) &&
		metric_read(text, "guildhall_commit_seconds_count", &count) && count > 0) {
		double average_ms = seconds * 1000 / count;

		finding_add(f, average_ms > COMMIT_SLOW_MS ? FINDING_NOTE : FINDING_FINE, service,
			"%.0f commits, %.1f ms on average, %.0f changes waiting", count, average_ms, waiting);
	}
	if (behind > 0)
		finding_add(f, FINDING_NOTE, service, "%.0f streams wait for the log", behind);
}

/* True: something that is a Guildhall process answered there. */
static bool look_at_ops(struct findings *f, const char *address, const char **out_service)
{
	struct arena *mem = f->ctl->mem;
	struct json_reader reader;
	const char *health = NULL, *ready = NULL, *service, *version;
	int code = 0;

	if (probe_get(mem, address, "/healthz", &code, &health) != STATUS_OK || code != 200)
		return false;
	if (json_reader_begin(&reader, mem, health, strlen(health)) != STATUS_OK)
		return false;
	service = json_string_value(json_object_get(reader.object, "service"));
	version = json_string_value(json_object_get(reader.object, "version"));
	if (service == NULL || version == NULL)
		return false;
	*out_service = service;
	if (strcmp(version, GUILDHALL_VERSION) != 0)
		finding_add(f, FINDING_NOTE, service, "%s runs version %s, this is %s", address, version, GUILDHALL_VERSION);
	if (probe_get(mem, address, "/readyz", &code, &ready) != STATUS_OK)
		finding_add(f, FINDING_BROKEN, service, "%s does not say whether it is ready", address);
	else if (code == 200)
		finding_add(f, FINDING_FINE, service, "%s is ready, version %s", address, version);
	else
		finding_add(f, FINDING_BROKEN, service, "%s is not ready: %s", address, failed_checks(mem, ready));
	look_at_metrics(f, service, address);
	return true;
}

void doctor_processes(struct findings *f, const char *ops)
{
	static const char *const owners[] = {"api", "messaging", "moderation", "presence"};
	size_t count = 0;
	const char **given = config_list(f->ctl->mem, ops == NULL ? "" : ops, &count);
	const char *service = NULL;
	bool gateway_seen = false;

	for (size_t i = 0; i < sizeof owners / sizeof *owners; i++)
		look_at_calls(f, owners[i]);
	for (size_t i = 0; i < count; i++) {
		if (!look_at_ops(f, given[i], &service))
			finding_add(f, FINDING_BROKEN, "ops", "no Guildhall process answers at %s", given[i]);
		else
			gateway_seen = gateway_seen || strcmp(service, "gateway") == 0;
	}
	/* Without a list, the usual places; whoever has moved is not called broken for it. */
	for (size_t i = 0; count == 0 && i < sizeof defaults / sizeof *defaults; i++)
		if (look_at_ops(f, defaults[i].ops, &service))
			gateway_seen = gateway_seen || strcmp(service, "gateway") == 0;
	if (!gateway_seen)
		finding_add(f, FINDING_NOTE, "gateway", "none was asked: name its ops listener with --ops host:port");
}
