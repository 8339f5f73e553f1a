#include "common/rpc/wire.h"

#include <pb_encode.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "common/events/wire_reader.h"
#include "common/rpc/address.h"

enum status rpc_wire_split(const uint8_t *bytes, size_t length, struct rpc_wire *out)
{
	struct wire_reader r = wire_reader_on(bytes, length);
	struct rpc_wire wire = {0};
	struct wire_field field;

	while (wire_next(&r, &field)) {
		if (field.type != WIRE_BYTES)
			continue;
		if (field.number == 1) {
			if (wire.envelope != NULL)
				return STATUS_MALFORMED;
			wire.envelope = field.bytes;
			wire.envelope_length = field.length;
		} else if (field.number >= RPC_WIRE_FIRST_ARM) {
			if (wire.arm != 0)
				return STATUS_MALFORMED;
			wire.arm = field.number;
			wire.body = field.bytes;
			wire.body_length = field.length;
		}
	}
	if (r.malformed || wire.envelope == NULL)
		return STATUS_MALFORMED;
	*out = wire;
	return STATUS_OK;
}

static size_t varint_length(uint64_t value)
{
	size_t length = 1;

	while (value >= 0x80) {
		value >>= 7;
		length++;
	}
	return length;
}

static uint8_t *put_varint(uint8_t *at, uint64_t value)
{
	while (value >= 0x80) {
		*at++ = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	*at++ = (uint8_t)value;
	return at;
}

enum status rpc_wire_measure(struct rpc_wire_parts *parts)
{
	if (!pb_get_encoded_size(&parts->envelope_length, parts->envelope_fields, parts->envelope))
		return STATUS_INTERNAL;
	parts->length = 1 + varint_length(parts->envelope_length) + parts->envelope_length;
	if (parts->arm != 0) {
		if (!pb_get_encoded_size(&parts->body_length, parts->body_fields, parts->body))
			return STATUS_INTERNAL;
		parts->length += varint_length((uint64_t)parts->arm << 3 | WIRE_BYTES) +
			varint_length(parts->body_length) + parts->body_length;
	}
	/* nng counts its own four bytes of the request's number as well. */
	return parts->length > RPC_MESSAGE_MAX_BYTES - 16 ? STATUS_TOO_LARGE : STATUS_OK;
}

static uint8_t *put_part(uint8_t *at, uint32_t field, const pb_msgdesc_t *fields, const void *message, size_t length)
{
	at = put_varint(at, (uint64_t)field << 3 | WIRE_BYTES);
	at = put_varint(at, length);
	pb_ostream_t stream = pb_ostream_from_buffer(at, length);
	if (!pb_encode(&stream, fields, message) || stream.bytes_written != length)
		return NULL;
	return at + length;
}

enum status rpc_wire_write(const struct rpc_wire_parts *parts, uint8_t *out)
{
	uint8_t *at = put_part(out, 1, parts->envelope_fields, parts->envelope, parts->envelope_length);

	if (at != NULL && parts->arm != 0)
		at = put_part(at, parts->arm, parts->body_fields, parts->body, parts->body_length);
	return at == NULL ? STATUS_INTERNAL : STATUS_OK;
}

static void copy_text(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%s", text != NULL ? text : "");
}

void rpc_wire_header(const struct rpc_context *ctx, uint32_t remaining_ms, pb_RpcHeader *out)
{
	*out = (pb_RpcHeader){0};
	if (ctx->request_id != NULL && ctx->request_id_length <= sizeof out->request_id.bytes) {
		out->request_id.size = (pb_size_t)ctx->request_id_length;
		memcpy(out->request_id.bytes, ctx->request_id, ctx->request_id_length);
	}
	if (ctx->body_hash != NULL) {
		out->body_hash.size = sizeof out->body_hash.bytes;
		memcpy(out->body_hash.bytes, ctx->body_hash, sizeof out->body_hash.bytes);
	}
	out->actor_id = ctx->actor_id;
	out->actor_epoch = ctx->actor_epoch;
	out->actor_generation = ctx->actor_generation;
	out->session_id = ctx->session_id;
	out->served_team = ctx->served_team;
	out->served_kinds = ctx->served_kinds;
	if (ctx->actor != NULL) {
		out->has_actor = true;
		out->actor = *ctx->actor;
	}
	out->remaining_ms = remaining_ms;
	copy_text(out->trace_id, sizeof out->trace_id, ctx->trace != NULL ? ctx->trace : log_trace());
	copy_text(out->client_label, sizeof out->client_label, ctx->client_label);
}
