/* Payloads of the log as house shows them: whatever the views in them leave out, a frame is whole JSON or none. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"
#include "common/dialects/house/events.h"
#include "common/events/events.h"
#include "tests/fuzz/driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct arena *mem = arena_create();
	pb_Event body;

	if (length > 0 && event_decode(mem, bytes + 1, length - 1, &body) == STATUS_OK) {
		uint8_t how = bytes[0];
		struct logged_event ev = {.stream = {how & 1 ? RANK_USER : RANK_TEAM, 7}, .seq = how & 2 ? 9 : 0,
			.kind = body.which_body, .at_ms = 1736937000000, .payload = bytes + 1, .payload_length = length - 1};
		struct house_topics topics;
		house_event_topics(&ev, &body, &topics);
		size_t written = 0;
		const char *text = house_render_event(mem, &ev, &body, house_copy_of(ev.stream), how & 4, how & 8, &written);
		/* Owners write valid UTF-8; of other bytes a frame may be made, which JSON's reader refuses. */
		if (text != NULL && text_is_utf8(text, written)) {
			json_t *json = json_loadb(text, written, 0, NULL);
			if (json == NULL || !json_is_string(json_object_get(json, "type")) || !json_is_object(json_object_get(json, "data")))
				abort();
			json_decref(json);
		}
	}
	arena_destroy(mem);
	return 0;
}

FUZZ_SEEDS(FUZZ_SEED("\x02\xb2\x08\x24\x0a\x0a\x08\x05\x10\x07\x18\x01\x22\x01gx\x12\x16\x08\x09\x10\x05\x1a\x09\x08\x04\x12\x03" "ann\x58\x01\x20\x01\x2a\x02hi"),
	FUZZ_SEED("\x0a\x0a\x08\x08\x04\x12\x03" "ann\x58\x01\x92\x03\x04\x12\x02\x08\x04"), FUZZ_SEED("\x03\xc2\x05\x0a\x0a\x06\x08\x05\x10\x07\x20\x01\x12\0"),
	FUZZ_SEED("\x0e\xc2\x07\x0a\x0a\x08\x08\x05\x10\x07\x20\x01\x2a\0"), FUZZ_SEED("\x01\x2a\x01\x28\x01"),
	FUZZ_SEED("\x0e\xc2\x0a\x0a\x1a\x08\x08\x05\x10\x07\x2a\x02\x02\x08"), FUZZ_SEED("\x02\xc2\x0a\x0b\x08\x05\x12\x01k\x1a\x04[1,2"))
