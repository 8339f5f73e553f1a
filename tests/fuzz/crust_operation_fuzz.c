/* Frames as a crust client may send them, one a line, to a hub whose log and owners move on in between. */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/driver.h"
#include "tests/unit/gateway/world.h"

#define LINES_MOST 24

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct world *w = world_create();
	struct world_client *c = world_connect_crust(w, 1);
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
	/* Whatever it was told: a frame is an object with one key. */
	for (size_t i = 0; i < c->got_count; i++)
		if (!json_is_object(c->got[i]) || json_object_size(c->got[i]) != 1)
			abort();
	world_destroy(w);
	return 0;
}

FUZZ_SEEDS(FUZZ_SEED("{\"createMessage\":{\"channelID\":\"1001\",\"message\":\"hi <@2 bob>\"}}\n{\"channels\":{}}"),
	FUZZ_SEED("{\"updateMessage\":{\"messageID\":\"5000\",\"message\":\"x\"}}\n{\"deleteMessage\":{\"messageID\":\"5000\"}}"),
	FUZZ_SEED("{\"joinChannel\":{\"id\":\"1001\"}}\n{\"partChannel\":{\"id\":1001}}\n{\"getUsers\":{}}\n{\"recordChannelView\":{}}"),
	FUZZ_SEED("{\"createChannel\":{\"name\":\"n\",\"topic\":\"t\",\"type\":\"private\"}}\n{\"updateChannel\":{\"id\":\"1001\",\"name\":\"\"}}\n[]\nx"))
