/*
 * db/schema - the versions of the schema that this build knows, in ascending order; generated from the files of migrations/ by
 * common/db/known_versions.py.
 */
#pragma once

#include <stddef.h>

struct schema_version {
	const char *version;
	const char *checksum; /* BLAKE2b-256 of the file, 64 lower-case hex digits */
};

extern const struct schema_version schema_versions[];
extern const size_t schema_version_count;
