#include "services/ctl/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/ids.h"

static const char *after(const char *text, const char *prefix)
{
	size_t length = strlen(prefix);

	return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

enum stream_name stream_name_read(const char *text, struct stream *out, const char **out_username)
{
	static const struct {
		const char *prefix;
		uint32_t rank;
	} classes[] = {{"team:", RANK_TEAM}, {"conversation:", RANK_TEAM}, {"user:", RANK_USER}};

	if (strcmp(text, "global") == 0) {
		*out = STREAM_GLOBAL;
		return STREAM_NAME_ID;
	}
	for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
		const char *name = after(text, classes[i].prefix);

		if (name == NULL || name[0] == '\0')
			continue;
		out->rank = classes[i].rank;
		if (ids_from_uuid(name, strlen(name), &out->id) == STATUS_OK)
			return STREAM_NAME_ID;
		if (out->rank != RANK_USER)
			return STREAM_NAME_UNKNOWN;
		*out_username = name;
		return STREAM_NAME_USER;
	}
	/* As clients that resume see it: 1-0000a1b2c3d4e5f6. */
	return stream_from_text(text, out) == STATUS_OK ? STREAM_NAME_ID : STREAM_NAME_UNKNOWN;
}

const char *audience_for_people(struct arena *mem, const char *audience)
{
	const char *colon = strchr(audience, ':');
	char uuid[IDS_UUID_SIZE], *end = NULL;
	uint64_t id;

	if (colon == NULL)
		return audience;
	id = strtoull(colon + 1, &end, 10);
	if (end == colon + 1 || (*end != '\0' && *end != ':'))
		return audience;
	ids_to_uuid(id, uuid);
	return arena_printf(mem, "%.*s:%s%s", (int)(colon - audience), audience, uuid, end);
}
