/* Spelled ids, streams and times: what is read is written back the same. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/ids.h"
#include "common/events/events.h"
#include "tests/fuzz/driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	char text[256], spelled[IDS_UUID_SIZE], stream_text[STREAM_TEXT_SIZE];
	uint64_t id = 0, again = 0;
	struct stream s = {0}, back = {0};

	if (ids_from_uuid((const char *)bytes, length, &id) == STATUS_OK) {
		ids_to_uuid(id, spelled);
		if (length != IDS_UUID_SIZE - 1 || strncasecmp(spelled, (const char *)bytes, length) != 0)
			abort();
	}
	if (length >= sizeof id) { /* and every id has a spelling; 0 is none */
		memcpy(&id, bytes, sizeof id);
		ids_to_uuid(id, spelled);
		if (id != 0 && (ids_from_uuid(spelled, strlen(spelled), &again) != STATUS_OK || again != id))
			abort();
	}
	if (length >= sizeof text)
		return 0;
	memcpy(text, bytes, length);
	text[length] = '\0';
	if (stream_from_text(text, &s) == STATUS_OK) {
		stream_to_text(s, stream_text);
		if (stream_from_text(stream_text, &back) != STATUS_OK || stream_compare(s, back) != 0)
			abort();
	}
	return 0;
}

FUZZ_SEEDS(FUZZ_SEED("01234567-89ab-8def-8123-000000000000"), FUZZ_SEED("FFFFFFFF-FFFF-8FFF-BC00-000000000000"),
	FUZZ_SEED("01234567-89ab-4def-8123-000000000000"), FUZZ_SEED("1-0000a1b2c3d4e5f6"), FUZZ_SEED("3-0000000000000000"), FUZZ_SEED("4-0"))
