/*
 * memory - see memory.h.
 */
#include "services/gateway/memory.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"

static void *checked(void *p, size_t bytes)
{
	if (p == NULL && bytes > 0) {
		log_error("out_of_memory", LOG_U64("bytes", bytes));
		abort();
	}
	return p;
}

void *memory_new(size_t bytes)
{
	return checked(calloc(1, bytes), bytes);
}

void *memory_resize(void *old, size_t bytes)
{
	return checked(realloc(old, bytes), bytes);
}

char *memory_text(const char *text)
{
	return text != NULL ? checked(strdup(text), 1) : NULL;
}
