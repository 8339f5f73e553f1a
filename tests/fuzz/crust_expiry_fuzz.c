/* When a status ends: whatever it says, it ends after now or not at all. */
#include <stdlib.h>

#include "common/base/arena.h"
#include "services/api/dialects/crust/expiry.h"
#include "tests/fuzz/driver.h"

#define NOW_MS INT64_C(1583072430000)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct arena *mem = arena_create();
	struct crust_expiry e;

	if (crust_expiry_read(arena_strndup(mem, (const char *)bytes, length), NOW_MS, &e) &&
		((e.when_active && e.at_ms != 0) || (e.at_ms != 0 && e.at_ms <= NOW_MS)))
		abort();
	arena_destroy(mem);
	return 0;
}

FUZZ_SEEDS(FUZZ_SEED("when-active"), FUZZ_SEED("tomorrow 1h30m"), FUZZ_SEED("12:30 PM"), FUZZ_SEED("2020-05-20 afternoon"),
	FUZZ_SEED("2020-05-20T10:00:00+02:00"))
