/*
 * search_fold - text as search compares it: lower case, Latin letters without their accents, Greek and Cyrillic ones too
 * ("Café", "CAFE" and a cafe written with a combining accent are one word). Done here and not by an extension of the database,
 * because the words found have to be marked in the text as it was written: every byte knows where it came from.
 * Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"

struct folded {
	const char *text; /* NUL-terminated; control characters are blanks in it */
	size_t length;
	const uint32_t *from; /* length + 1 entries: where in the original the character of each byte begins; the last: its end */
};
/* Raised when folding changes: an index that was made with another is made anew. */
#define SEARCH_FOLD_VERSION 1

/* text: valid UTF-8. map: false leaves `from` NULL. */
struct folded search_fold(struct arena *mem, const char *text, size_t length, bool map);
