/* Frames of the bus, walked over to their end, and the events in them. */
#include <stdlib.h>
#include <string.h>

#include "common/bus/frame.h"
#include "tests/fuzz/driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct arena *mem = arena_create();
	struct frame frame;
	struct logged_event ev;
	struct frame_head head;
	const uint8_t *ephemeral;
	size_t ephemeral_length;

	if (frame_read(bytes, length, &frame) != STATUS_OK)
		goto out;
	if (frame.body_length > 0 && (frame.body < bytes || frame.body + frame.body_length > bytes + length))
		abort();
	if (memchr(frame.publisher, 0, sizeof frame.publisher) == NULL || memchr(frame.generation, 0, sizeof frame.generation) == NULL)
		abort();
	struct wire_reader events = wire_reader_on(frame.body, frame.body_length), others = events, heads = events;
	while (frame_next_event(&events, &ev)) {
		pb_Event body;
		if (memchr(ev.audience, 0, sizeof ev.audience) == NULL)
			abort();
		event_decode(mem, ev.payload, ev.payload_length, &body);
	}
	while (frame_next_ephemeral(&others, &ephemeral, &ephemeral_length)) {
		pb_EphemeralEvent body;
		pb_decode_sized(mem, pb_EphemeralEvent_fields, sizeof body, &body, ephemeral, ephemeral_length);
	}
	while (frame_next_head(&heads, &frame, &head)) {
	}
out:
	arena_destroy(mem);
	return 0;
}

FUZZ_SEEDS(FUZZ_SEED("\x0a\x01m\x11\1\2\3\4\5\6\7\x08\x1a\x02g1\x52\x17\x08\x05\x18\x01\x22\x11\x08\x01\x11\x07\0\0\0\0\0\0\0\x18\x09\x20\x86\x01\x2a\0"),
	FUZZ_SEED("\x0a\x01m\x11\1\2\3\4\5\6\7\x08\x5a\x12\x08\x05\x12\x0c\x08\x01\x11\x07\0\0\0\0\0\0\0\x18\x09\x20\x01"),
	FUZZ_SEED("\x0a\x01m\x11\1\2\3\4\5\6\7\x08\x62\x0e\x0a\x0c\x08\x01\x11\x07\0\0\0\0\0\0\0\x18\x09"),
	FUZZ_SEED("\x52\x1a\x2a\x18\x0a\x10\x08\x01\x11\x07\0\0\0\0\0\0\0\x1a\x06team:7\x10\xac\x02\x22\x02\x08\x01"))
