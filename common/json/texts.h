/*
 * json/texts - finished texts, one after the other: what one event becomes where a dialect makes several frames of it. They and
 * the list of them live in an arena. Not thread-safe.
 */
#pragma once

#include <stddef.h>

#include "common/base/arena.h"

struct text_item {
	const char *bytes;
	size_t length;
};

struct texts {
	struct arena *mem;
	struct text_item *items;
	size_t count, capacity;
};

static inline struct texts texts_begin(struct arena *mem)
{
	return (struct texts){.mem = mem};
}
/* bytes lives in the arena, or as long as the list does; NULL: nothing is added. */
void texts_add(struct texts *texts, const char *bytes, size_t length);
