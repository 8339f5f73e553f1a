#include "common/dialects/crust/bounds.h"

#include <string.h>

#include "common/base/text.h"

/* In the order of the arguments. characters: domain model, 6; bytes: those of the first server. */
static const struct bound {
	const char *what;
	size_t characters, bytes;
} bounds[] = {
	{"name", 100, 40},
	{"topic", 1000, 200},
};

const char *crust_channel_too_long(struct arena *mem, const char *name, const char *topic, bool strict)
{
	const char *texts[] = {name, topic};

	for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
		size_t bytes = texts[i] != NULL ? strlen(texts[i]) : 0;
		size_t length = strict || bytes == 0 ? bytes : text_code_points(texts[i], bytes);
		size_t most = strict ? bounds[i].bytes : bounds[i].characters;
		if (length > most)
			return arena_printf(
				mem, "channel %s (%zu characters) too long (max: %zu)", bounds[i].what, length, most);
	}
	return NULL;
}
