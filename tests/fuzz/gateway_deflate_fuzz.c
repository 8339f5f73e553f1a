/* Compressed messages as a client may send them, one after the other through one inflater: the first byte of the input cuts it in two. What
 * is accepted goes back through the compressor and out of the inflater again. */
#include "services/gateway/deflate.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/driver.h"

#define MOST 20000 /* bytes of a message: more than the room that the inflater begins with */

static enum frame_step inflate_copy(struct deflate *deflate, const uint8_t *bytes, size_t length, struct frame_in *in)
{
	uint8_t *copy = malloc(length + 1);

	if (length > 0)
		memcpy(copy, bytes, length);
	*in = (struct frame_in){.opcode = FRAME_BINARY, .bytes = copy, .length = length, .compressed = true};
	enum frame_step step = deflate_message(deflate, MOST, in);
	free(copy); /* nothing of it may be used afterwards */
	return step;
}

static void message(struct deflate *deflate, const uint8_t *bytes, size_t length)
{
	struct frame_in in;
	enum frame_step step = inflate_copy(deflate, bytes, length, &in);

	if (step == FRAME_STEP_FAILED) {
		if (in.code != FRAME_CLOSE_TOO_BIG && in.code != FRAME_CLOSE_BAD_TEXT)
			abort();
		return;
	}
	if (step != FRAME_STEP_MESSAGE || in.length > MOST)
		abort();
	for (enum deflate_class class = DEFLATE_SMALL; class <= DEFLATE_FULL; class ++) {
		struct frame *frame = frame_make(FRAME_BINARY, in.bytes, in.length);
		struct frame *packed = deflate_frame(deflate, frame, class);
		if (packed != frame) {
			size_t packed_length = 0, plain_length = 0;
			const uint8_t *payload = frame_payload(packed, &packed_length), *plain = frame_payload(frame, &plain_length);
			if (packed->length >= frame->length || inflate_copy(deflate, payload, packed_length, &in) != FRAME_STEP_MESSAGE ||
				in.length != plain_length || memcmp(in.bytes, plain, plain_length) != 0)
				abort();
		}
		frame_unref(frame);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	if (length == 0)
		return 0;
	struct deflate *deflate = deflate_create(6, 16);
	size_t cut = bytes[0] % length;
	message(deflate, bytes + 1, cut);
	message(deflate, bytes + 1 + cut, length - 1 - cut);
	message(deflate, bytes + 1, length - 1);
	deflate_destroy(deflate);
	return 0;
}

FUZZ_SEEDS(FUZZ_SEED("\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xf2\x48\xcd\xc9\xc9\x07\x00"),
	FUZZ_SEED("\0\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), FUZZ_SEED("\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00\x00"),
	FUZZ_SEED("\0\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), FUZZ_SEED("\x02\x03\x00\x03\x00\x03\x00"),
	FUZZ_SEED("\0\x4a\x4c\x1c\x05\xa3\x60\x14\x8c\x82\x51\x30\x0a\x46\xc1\x28\x18\x05\xa3\x60\x14\x8c\x82\x51\x30\x0a\x46\xc1\x08\x05\x00"))
