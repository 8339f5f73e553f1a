/*
 * One operation of house clients (OPERATION, a row of services/gateway/dialects/house_ops.tbl.h), with whatever else its object says, one a
 * line: to a client that has topics already, and to one that has said nothing yet. house_operation_fuzz.c mixes them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/driver.h"
#include "tests/unit/gateway/world.h"

#define LINES_MOST 8

static void say(struct world *w, struct world_client *c, const uint8_t *rest, size_t length)
{
	static const char head[] = "{\"op\":\"" OPERATION "\",";
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	fwrite(head, 1, sizeof head - 1, out);
	fwrite(rest, 1, length, out);
	fclose(out);
	world_say(c, text);
	free(text);
	world_settle(w);
}

static void check(const struct world_client *c)
{
	for (size_t i = 0; i < c->got_count; i++)
		if (!json_is_string(json_object_get(c->got[i], "type")))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct world *w = world_create();
	struct world_client *there = world_connect(w, 1, "resume=1&topics=global"), *stranger = world_connect(w, 0, "");
	const uint8_t *at = bytes, *end = bytes + length;

	world_settle(w);
	for (int lines = 0; at < end && lines < LINES_MOST; lines++) {
		const uint8_t *line = memchr(at, '\n', (size_t)(end - at));
		size_t n = (size_t)((line != NULL ? line : end) - at);
		if (!there->ended && there->close_code == 0)
			say(w, there, at, n);
		if (!stranger->ended && stranger->close_code == 0)
			say(w, stranger, at, n);
		world_post(w, CHANNEL_A);
		at += n + 1;
	}
	world_settle(w);
	check(there);
	check(stranger);
	world_destroy(w);
	return 0;
}

/* Each is the rest of an object; what is none of the operation's fields is let be. */
FUZZ_SEEDS(FUZZ_SEED("\"token\":\"user1\",\"ref\":1}\n\"token\":\"user2\"}"), FUZZ_SEED("\"ref\":{\"a\":[1,\"b\",null]}}"),
	FUZZ_SEED("\"status\":\"dnd\",\"ref\":\"x\"}\n\"status\":7}"),
	FUZZ_SEED("\"channel_id\":\"00000000-0000-8000-8fa4-000000000000\",\"is_typing\":true}"),
	FUZZ_SEED("\"topics\":[\"channel:00000000-0000-8000-8fa4-000000000000\",\"global\"],\"ref\":\"a\"}\n\"topics\":[\"global\"]}"),
	FUZZ_SEED("\"topics\":[\"team:00000000-0000-8000-801c-000000000000\"],\"since\":{\"generation\":\"one/1/1\",\"streams\":{\"1-0000000000000007\":0}}}"))
