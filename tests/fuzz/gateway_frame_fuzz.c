/* Websocket frames as a client may send them, in two portions; in every other input permessage-deflate was agreed upon. */
#include "services/gateway/frame.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct frame_parser parser = {.deflate = length % 2 == 1};
	size_t cut = length > 0 ? bytes[0] % (length + 1) : 0, end = cut, done = 0;
	uint8_t *buffer = malloc(length + 1);

	memcpy(buffer, bytes, length);
	for (;;) {
		struct frame_in in;
		enum frame_step step = frame_next(&parser, buffer + done, end - done, 300, &in);
		if (step == FRAME_STEP_FAILED)
			break;
		if (step == FRAME_STEP_MORE) {
			if (in.need <= end - done)
				abort();
			if (end == length)
				break;
			end = length;
			continue;
		}
		if (in.consumed == 0 || in.consumed > end - done)
			abort();
		if (in.compressed && (!parser.deflate || step == FRAME_STEP_CONTROL))
			abort();
		done += in.consumed;
	}
	frame_parser_finish(&parser);
	free(buffer);
	return 0;
}

FUZZ_SEEDS(FUZZ_SEED("\x81\x85maskhello"), FUZZ_SEED("\x01\x83maskabc\x80\x82maskde"),
	FUZZ_SEED("\x89\x80mask"), FUZZ_SEED("\xc1\x81maskx"),
	FUZZ_SEED("\x41\x81maskx\x89\x80mask\x80\x82maskyz"), FUZZ_SEED("\x81\x8amask\xae\xdb\x92"), FUZZ_SEED("\x88\x82mask\x03\xe8"), FUZZ_SEED("\x82\xfe\x00\x80mask"),
	FUZZ_SEED("\x81\xff\0\0\0\0\0\1\0\0mask"))
