#include "common/rpc/wire.h"

#include <pb_encode.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "common/rpc/address.h"

enum wire_type { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_LENGTH = 2, WIRE_32 = 5 };

struct reader {
	const uint8_t *at;
	size_t left;
};

static bool read_varint(struct reader *r, uint64_t *out)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		if (r->left == 0)
			return false;
		uint8_t byte = *r->at++;
		r->left--;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0) {
			*out = value;
			return true;
		}
	}
	return false;
}

static bool skip(struct reader *r, uint64_t count)
{
	if (count > r->left)
		return false;
	r->at += count;
	r->left -= count;
	return true;
}

enum status rpc_wire_split(const uint8_t *bytes, size_t length, struct rpc_wire *out)
{
	struct reader r = {bytes, length};
	struct rpc_wire wire = {0};

	while (r.left > 0) {
		uint64_t key = 0;
		uint64_t size = 0;
		bool fine = read_varint(&r, &key) && key >> 3 != 0 && key >> 3 < UINT64_C(1) << 29;
		if (fine && (key & 7) == WIRE_LENGTH) {
			fine = read_varint(&r, &size);
			const uint8_t *part = r.at;
			fine = fine && skip(&r, size);
			if (fine && key >> 3 == 1) {
				fine = wire.envelope == NULL;
				wire.envelope = part;
				wire.envelope_length = (size_t)size;
			} else if (fine && key >> 3 >= RPC_WIRE_FIRST_ARM) {
				fine = wire.arm == 0;
				wire.arm = (uint32_t)(key >> 3);
				wire.body = part;
				wire.body_length = (size_t)size;
			}
		} else if (fine) {
			switch (key & 7) {
			case WIRE_VARINT:
				fine = read_varint(&r, &size);
				break;
			case WIRE_64:
				fine = skip(&r, 8);
				break;
			case WIRE_32:
				fine = skip(&r, 4);
				break;
			default: /* groups, and the two types that protobuf does not have */
				fine = false;
				break;
			}
		}
		if (!fine)
			return STATUS_MALFORMED;
	}
	if (wire.envelope == NULL)
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
		parts->length += varint_length((uint64_t)parts->arm << 3 | WIRE_LENGTH) +
			varint_length(parts->body_length) + parts->body_length;
	}
	/* nng counts its own four bytes of the request's number as well. */
	return parts->length > RPC_MESSAGE_MAX_BYTES - 16 ? STATUS_TOO_LARGE : STATUS_OK;
}

static uint8_t *put_part(uint8_t *at, uint32_t field, const pb_msgdesc_t *fields, const void *message, size_t length)
{
	at = put_varint(at, (uint64_t)field << 3 | WIRE_LENGTH);
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
	out->session_id = ctx->session_id;
	if (ctx->actor != NULL) {
		out->has_actor = true;
		out->actor = *ctx->actor;
	}
	out->remaining_ms = remaining_ms;
	copy_text(out->trace_id, sizeof out->trace_id, ctx->trace != NULL ? ctx->trace : log_trace());
	copy_text(out->client_label, sizeof out->client_label, ctx->client_label);
}
