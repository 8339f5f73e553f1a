/*
 * arena - memory that lives exactly as long as one request, event or batch. Everything allocated from it
 * dies with arena_destroy, or with arena_reset, which keeps the first block for the next request.
 * Not thread-safe: an arena belongs to whoever works on its request at that moment.
 * Allocation never returns NULL: running out of memory ends the process with a log line.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

struct arena *arena_create(void);
void arena_destroy(struct arena *mem); /* accepts NULL; runs the deferred calls, last one first */
void arena_reset(struct arena *mem);   /* runs the deferred calls, keeps the first block */

/* size_bytes of zeroed memory, aligned for any fundamental type. size_bytes may be 0. */
void *arena_alloc(struct arena *mem, size_t size_bytes);
/* The same for a type that wants more, such as libsodium's states; alignment is a power of two. */
void *arena_alloc_aligned(struct arena *mem, size_t size_bytes, size_t alignment);
/* count * size_bytes zeroed; ends the process on overflow, as calloc would fail. */
void *arena_array(struct arena *mem, size_t count, size_t size_bytes);
char *arena_strdup(struct arena *mem, const char *text); /* NULL in, NULL out */
char *arena_strndup(struct arena *mem, const char *bytes, size_t length);
void *arena_memdup(struct arena *mem, const void *bytes, size_t length);
/* old_bytes at old (NULL when 0) become new_bytes, in place when old was the latest allocation, else by a copy.
 * What is new is not zeroed. */
void *arena_grow(struct arena *mem, void *old, size_t old_bytes, size_t new_bytes);
char *arena_printf(struct arena *mem, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Calls release(resource) when the arena is reset or destroyed: for what a library allocated by itself. */
void arena_defer(struct arena *mem, void (*release)(void *), void *resource);

#define ARENA_NEW(mem, type)                                                                                 \
	((type *)(_Alignof(type) > _Alignof(max_align_t)                                                     \
			? arena_alloc_aligned((mem), sizeof(type), _Alignof(type))                           \
			: arena_alloc((mem), sizeof(type))))
#define ARENA_ARRAY(mem, count, type) ((type *)arena_array((mem), (count), sizeof(type)))
