/* Request bodies, read as every kind of field a handler may ask for. */
#include "common/json/reader.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"
#include "tests/fuzz/driver.h"

static void text_is_in_bounds(const char *text, size_t most)
{
	if (text != NULL && (!text_is_utf8(text, strlen(text)) || text_code_points(text, strlen(text)) > most))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static const char *const words[] = {"open", "invite", NULL};
	struct arena *mem = arena_create();
	struct json_reader r, inner;
	const char *name = NULL, *content = NULL;
	uint64_t id = 0, *ids = NULL;
	size_t count = 0;
	bool flag = false;
	int64_t number = 5, at_ms = 0;
	int word = 0;

	enum status st = json_reader_begin(&r, mem, (const char *)bytes, length);
	json_str(&r, "name", JSON_OPTIONAL, 1, 64, &name);
	json_str(&r, "content", JSON_REQUIRED, 1, 4000, &content);
	json_uuid(&r, "team_id", JSON_OPTIONAL, &id);
	json_uuids(&r, "user_ids", JSON_OPTIONAL, 50, &ids, &count);
	json_bool(&r, "private", JSON_OPTIONAL, &flag);
	json_i64(&r, "slow_mode_s", JSON_OPTIONAL, 0, 21600, &number);
	json_time(&r, "expires_at", JSON_OPTIONAL, &at_ms);
	json_choice(&r, "joining", JSON_OPTIONAL, words, &word);
	if (json_has(&r, "since") && r.object != NULL && json_is_object(json_object_get(r.object, "since"))) {
		json_reader_over(&inner, mem, json_object_get(r.object, "since"));
		json_str(&inner, "generation", JSON_REQUIRED, 0, 100, &content);
		json_reader_end(&inner, true);
	}
	enum status end = json_reader_end(&r, true);
	text_is_in_bounds(name, 64);
	text_is_in_bounds(content, 4000);
	if ((st != STATUS_OK && end == STATUS_OK) || count > 50 || number < 0 || number > 21600 || word < 0 || word > 1)
		abort();
	if (end != STATUS_OK && end != STATUS_MALFORMED && end != STATUS_FIELD_INVALID)
		abort();
	arena_destroy(mem);
	return 0;
}

FUZZ_SEEDS(FUZZ_SEED("{\"name\":\"general\",\"content\":\"hello\",\"private\":true}"),
	FUZZ_SEED("{\"content\":\"\\ud83d\\ude00\",\"slow_mode_s\":30,\"joining\":\"open\"}"),
	FUZZ_SEED("{\"content\":\"x\",\"team_id\":\"01234567-89ab-8def-8123-000000000000\",\"expires_at\":\"2026-01-15T10:30:00.000Z\"}"),
	FUZZ_SEED("{\"content\":\"x\",\"user_ids\":[\"01234567-89ab-8def-8123-000000000000\"],\"since\":{\"generation\":\"g\"}}"),
	FUZZ_SEED("{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}"), FUZZ_SEED("{\"content\":1e400}"), FUZZ_SEED(""))
