/*
 * rpc/wire - the bytes of a request and of a reply: field 1 the envelope (RpcHeader or RpcResult), then one arm. Written
 * and read by hand around nanopb, so that neither side decodes an oneof as large as all its arms. Pure; any thread.
 */
#pragma once

#include <pb.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"
#include "common/rpc/rpc.h"

#define RPC_WIRE_FIRST_ARM 10

/* Where the parts lie; borrowed from the bytes. */
struct rpc_wire {
	const uint8_t *envelope;
	size_t envelope_length;
	uint32_t arm; /* 0: none */
	const uint8_t *body;
	size_t body_length;
};

/* STATUS_MALFORMED: not protobuf, no envelope, or more than one arm. Unknown fields are passed over. */
enum status rpc_wire_split(const uint8_t *bytes, size_t length, struct rpc_wire *out);

/* One message about to be written. arm 0: only the envelope. */
struct rpc_wire_parts {
	const pb_msgdesc_t *envelope_fields;
	const void *envelope;
	uint32_t arm;
	const pb_msgdesc_t *body_fields;
	const void *body;
	size_t envelope_length, body_length, length; /* filled by rpc_wire_measure */
};
/* STATUS_INTERNAL when nanopb refuses, STATUS_TOO_LARGE over RPC_MESSAGE_MAX_BYTES. */
enum status rpc_wire_measure(struct rpc_wire_parts *parts);
/* Into exactly parts->length bytes. */
enum status rpc_wire_write(const struct rpc_wire_parts *parts, uint8_t *out);

/* What the context says, as it travels. out borrows from ctx. */
void rpc_wire_header(const struct rpc_context *ctx, uint32_t remaining_ms, pb_RpcHeader *out);
