#include "common/bus/event.h"

#include <pb_decode.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"

struct bus_event {
	_Atomic uint32_t references;
	bool has_body;
	bool is_ephemeral;
	size_t size_bytes;
	struct logged_event logged;
	pb_Event body;
	pb_EphemeralEvent ephemeral;
	uint8_t bytes[]; /* payload, then request id */
};

static struct bus_event *event_alloc(size_t extra)
{
	struct bus_event *ev = malloc(sizeof *ev + extra);

	if (ev == NULL) {
		log_error("out_of_memory", LOG_U64("size_bytes", sizeof *ev + extra));
		abort();
	}
	memset(ev, 0, sizeof *ev);
	ev->references = 1;
	ev->size_bytes = sizeof *ev + extra;
	return ev;
}

static bool body_decode(struct bus_event *ev, const uint8_t *payload, size_t length)
{
	pb_istream_t stream = pb_istream_from_buffer(payload, length);

	/* nanopb frees by itself what a failed decode had allocated. */
	return pb_decode_ex(&stream, pb_Event_fields, &ev->body, PB_DECODE_NOINIT);
}

struct bus_event *bus_event_create(const struct logged_event *logged)
{
	struct bus_event *ev = event_alloc(logged->payload_length + logged->request_id_length);

	ev->logged = *logged;
	ev->logged.payload = ev->bytes;
	ev->logged.request_id = ev->bytes + logged->payload_length;
	if (logged->payload_length > 0)
		memcpy(ev->bytes, logged->payload, logged->payload_length);
	if (logged->request_id_length > 0)
		memcpy(ev->bytes + logged->payload_length, logged->request_id, logged->request_id_length);
	ev->has_body = body_decode(ev, ev->bytes, logged->payload_length);
	/* What nanopb allocated for the body is about as much again as the payload. */
	ev->size_bytes += logged->payload_length;
	return ev;
}

struct bus_event *bus_event_create_ephemeral(const uint8_t *bytes, size_t length)
{
	struct bus_event *ev = event_alloc(0);
	pb_istream_t stream = pb_istream_from_buffer(bytes, length);

	ev->is_ephemeral = true;
	if (pb_decode_ex(&stream, pb_EphemeralEvent_fields, &ev->ephemeral, PB_DECODE_NOINIT) && ev->ephemeral.payload != NULL)
		ev->has_body = body_decode(ev, ev->ephemeral.payload->bytes, ev->ephemeral.payload->size);
	if (!ev->has_body) {
		bus_event_unref(ev);
		return NULL;
	}
	ev->logged.kind = ev->ephemeral.kind;
	ev->logged.at_ms = (int64_t)ev->ephemeral.at_ms;
	return ev;
}

struct bus_event *bus_event_from_log(const pb_LoggedEvent *row)
{
	struct logged_event logged;

	logged_event_from_row(row, &logged);
	struct bus_event *ev = bus_event_create(&logged);
	if (!ev->has_body) {
		bus_event_unref(ev);
		return NULL;
	}
	return ev;
}

const struct logged_event *bus_event_logged(const struct bus_event *ev)
{
	return &ev->logged;
}

const pb_Event *bus_event_body(const struct bus_event *ev)
{
	return ev->has_body ? &ev->body : NULL;
}

const pb_EphemeralEvent *bus_event_ephemeral(const struct bus_event *ev)
{
	return ev->is_ephemeral ? &ev->ephemeral : NULL;
}

size_t bus_event_size(const struct bus_event *ev)
{
	return ev->size_bytes;
}

struct bus_event *bus_event_ref(struct bus_event *ev)
{
	atomic_fetch_add_explicit(&ev->references, 1, memory_order_relaxed);
	return ev;
}

void bus_event_unref(struct bus_event *ev)
{
	if (ev == NULL || atomic_fetch_sub_explicit(&ev->references, 1, memory_order_acq_rel) != 1)
		return;
	if (ev->has_body)
		pb_release(pb_Event_fields, &ev->body);
	if (ev->is_ephemeral)
		pb_release(pb_EphemeralEvent_fields, &ev->ephemeral);
	free(ev);
}
