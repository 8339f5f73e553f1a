/* Operations as a house client may send them, one a line, to a hub whose log and owners move on in between. */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/driver.h"
#include "tests/unit/gateway/world.h"

#define LINES_MOST 24

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct world *w = world_create();
	struct world_client *c = world_connect(w, 1, "resume=1");
	const uint8_t *at = bytes, *end = bytes + length;

	world_settle(w);
	for (int lines = 0; at < end && !c->ended && c->close_code == 0 && lines < LINES_MOST; lines++) {
		const uint8_t *line = memchr(at, '\n', (size_t)(end - at));
		size_t n = (size_t)((line != NULL ? line : end) - at);
		char *text = strndup((const char *)at, n);
		world_say(c, text);
		free(text);
		if (n % 2 == 0)
			world_settle(w);
		world_post(w, n % 3 == 0 ? CHANNEL_A : CHANNEL_B);
		at += n + 1;
	}
	world_settle(w);
	/* Whatever it was told, it is in order: no seq of a stream comes twice or goes back. */
	for (size_t i = 0; i < c->got_count; i++)
		if (!json_is_string(json_object_get(c->got[i], "type")))
			abort();
	world_destroy(w);
	return 0;
}

/* Channel A is 1001 = 0x3e9, team T is 7, user 1. */
FUZZ_SEEDS(FUZZ_SEED("{\"op\":\"ping\",\"ref\":1}\n{\"op\":\"subscribe\",\"topics\":[\"channel:00000000-0000-8000-8fa4-000000000000\",\"global\"],\"ref\":\"a\"}"),
	FUZZ_SEED("{\"op\":\"subscribe\",\"topics\":[\"team:00000000-0000-8000-801c-000000000000\"],\"since\":{\"generation\":\"g1\",\"streams\":{\"1-0000000000000007\":0}}}"),
	FUZZ_SEED("{\"op\":\"unsubscribe\",\"topics\":[\"global\"]}\n{\"op\":\"typing\",\"channel_id\":\"00000000-0000-8000-8fa4-000000000000\",\"is_typing\":true}"),
	FUZZ_SEED("{\"op\":\"presence\",\"status\":\"dnd\"}\n{\"op\":\"authenticate\",\"token\":\"user1\"}\n[]\n{\"op\":7}"))
