/* Calls and answers as a peer may send them: the frame of several, the envelope, every arm of every owner. */
#include <stdlib.h>
#include <string.h>

#include "common/events/events.h"
#include "common/rpc/batch.h"
#include "common/rpc/stubs.h"
#include "common/rpc/wire.h"
#include "tests/fuzz/driver.h"

static void decode(struct arena *mem, const pb_msgdesc_t *fields, size_t size, const struct rpc_wire *wire)
{
	void *out = arena_alloc(mem, size);
	const uint8_t *again = NULL;
	size_t length = 0;

	if (pb_decode_sized(mem, fields, size, out, wire->body, wire->body_length) == STATUS_OK)
		pb_encode_arena(mem, fields, out, &again, &length); /* what was taken in can be passed on */
}

static void one(struct arena *mem, const uint8_t *bytes, size_t length)
{
	static const char *const owners[] = {"api", "messaging", "moderation", "presence"};
	struct rpc_wire wire;
	pb_RpcHeader header;
	pb_RpcResult result;

	if (rpc_wire_split(bytes, length, &wire) != STATUS_OK)
		return;
	pb_decode_sized(mem, pb_RpcHeader_fields, sizeof header, &header, wire.envelope, wire.envelope_length);
	pb_decode_sized(mem, pb_RpcResult_fields, sizeof result, &result, wire.envelope, wire.envelope_length);
	for (size_t i = 0; i < sizeof owners / sizeof *owners; i++) {
		for (const struct rpc_method *const *m = rpc_methods_of(owners[i]); *m != NULL; m++) {
			if ((*m)->tag != wire.arm)
				continue;
			decode(mem, (*m)->request, (*m)->request_size, &wire);
			decode(mem, (*m)->reply, (*m)->reply_size, &wire);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	const uint8_t *parts[BATCH_MOST];
	size_t lengths[BATCH_MOST];
	struct arena *mem = arena_create();
	size_t count = batch_split(bytes, length, parts, lengths);

	if (count > BATCH_MOST)
		abort();
	for (size_t i = 0; i < count; i++) {
		if (parts[i] < bytes || lengths[i] > length || parts[i] + lengths[i] > bytes + length)
			abort();
		one(mem, parts[i], lengths[i]);
	}
	if (count == 0)
		one(mem, bytes, length);
	arena_destroy(mem);
	return 0;
}

FUZZ_SEEDS(FUZZ_SEED("\x0a\x04\x18\x07\x38\x64\x7a\x06\x08\x05\x12\x02hi"), FUZZ_SEED("\0\x04\0\0\0\x0a\x02\x18\x07\x02\0\0\0\x0a\0"),
	FUZZ_SEED("\x0a\x02\x08\x0d"), FUZZ_SEED("\x0a\x10\x0a\x0e" "0123456789abcd\x52\x04\x08\x07\x10\x09"),
	FUZZ_SEED("\x0a\0\xd2\x05\x09\x08\x01\x11\x07\0\0\0\0\0\0\0"), FUZZ_SEED("\x0a\0\x62\x08\x0a\x01\x07\x12\x03\x08\x01\x10"))
