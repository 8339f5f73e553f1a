/*
 * memory - what lives longer than an arena: sockets, streams, their lists. Running out of memory ends the
 * process with a log line, as it does in arenas.
 */
#pragma once

#include <stddef.h>

void *memory_new(size_t bytes);               /* zeroed */
void *memory_resize(void *old, size_t bytes); /* what is new is not zeroed */
char *memory_text(const char *text);          /* a copy; NULL in, NULL out */

/* The struct that a pointer to one of its fields is in. */
#define memory_holder(pointer, type, field) ((type *)((char *)(pointer)-offsetof(type, field)))
