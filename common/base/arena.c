#include "common/base/arena.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define HIDE(at, size) ASAN_POISON_MEMORY_REGION((at), (size))
#define SHOW(at, size) ASAN_UNPOISON_MEMORY_REGION((at), (size))
#else
#define HIDE(at, size) ((void)(at), (void)(size))
#define SHOW(at, size) ((void)(at), (void)(size))
#endif

#define ALIGNMENT   _Alignof(max_align_t)
#define FIRST_BYTES ((size_t)8192)  /* one page pair a worker at rest; most requests need no second block */
#define BLOCK_MOST  ((size_t)65536) /* blocks double up to here; what is larger gets a block of its own size \
				     */

struct block {
	struct block *previous;
	size_t size;
	_Alignas(max_align_t) char bytes[];
};

struct deferred {
	struct deferred *previous;
	void (*release)(void *);
	void *resource;
};

struct arena {
	struct block *current;
	size_t used; /* of the current block */
	char *last;  /* the latest allocation: the one that can grow in place */
	struct deferred *deferred;
	struct block *first;
};

static void *heap(size_t size)
{
	void *at = malloc(size);

	if (at == NULL) {
		log_error("out_of_memory", LOG_U64("size_bytes", size));
		abort();
	}
	return at;
}

static struct block *block_create(size_t size, struct block *previous)
{
	struct block *b = heap(sizeof *b + size);

	b->previous = previous;
	b->size = size;
	HIDE(b->bytes, size);
	return b;
}

static void block_destroy(struct block *b)
{
	SHOW(b->bytes, b->size);
	free(b);
}

struct arena *arena_create(void)
{
	struct arena *mem = heap(sizeof *mem);

	*mem = (struct arena){0};
	mem->first = block_create(FIRST_BYTES - sizeof(struct block), NULL);
	mem->current = mem->first;
	return mem;
}

void arena_reset(struct arena *mem)
{
	while (mem->deferred != NULL) {
		struct deferred *d = mem->deferred;
		mem->deferred = d->previous;
		d->release(d->resource);
	}
	while (mem->current != mem->first) {
		struct block *b = mem->current;
		mem->current = b->previous;
		block_destroy(b);
	}
	HIDE(mem->first->bytes, mem->first->size);
	mem->used = 0;
	mem->last = NULL;
}

void arena_destroy(struct arena *mem)
{
	if (mem == NULL)
		return;
	arena_reset(mem);
	block_destroy(mem->first);
	free(mem);
}

static size_t rounded(size_t size)
{
	return (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
}

/* Not zeroed. */
static void *take(struct arena *mem, size_t size)
{
	if (size > SIZE_MAX / 4) {
		log_error("out_of_memory", LOG_U64("size_bytes", size));
		abort();
	}
	size_t whole = rounded(size > 0 ? size : 1);
	if (whole > mem->current->size - mem->used) {
		size_t next = mem->current->size * 2;
		if (next > BLOCK_MOST)
			next = BLOCK_MOST;
		if (next < whole)
			next = whole;
		mem->current = block_create(next, mem->current);
		mem->used = 0;
	}
	mem->last = mem->current->bytes + mem->used;
	mem->used += whole;
	SHOW(mem->last, size);
	return mem->last;
}

void *arena_alloc(struct arena *mem, size_t size_bytes)
{
	return memset(take(mem, size_bytes), 0, size_bytes);
}

void *arena_alloc_aligned(struct arena *mem, size_t size_bytes, size_t alignment)
{
	uintptr_t at = (uintptr_t)arena_alloc(mem, size_bytes + alignment - 1);

	return (void *)((at + alignment - 1) & ~(uintptr_t)(alignment - 1));
}

void *arena_array(struct arena *mem, size_t count, size_t size_bytes)
{
	size_t whole;

	if (__builtin_mul_overflow(count, size_bytes, &whole))
		whole = SIZE_MAX; /* take() ends the process */
	return arena_alloc(mem, whole);
}

void *arena_grow(struct arena *mem, void *old, size_t old_bytes, size_t new_bytes)
{
	assert(new_bytes >= old_bytes);
	if (old != NULL && old == mem->last && new_bytes <= SIZE_MAX / 4) {
		size_t start = (size_t)(mem->last - mem->current->bytes);
		if (rounded(new_bytes) <= mem->current->size - start) {
			mem->used = start + rounded(new_bytes > 0 ? new_bytes : 1);
			SHOW(mem->last, new_bytes);
			return old;
		}
	}
	void *grown = take(mem, new_bytes);
	if (old_bytes > 0)
		memcpy(grown, old, old_bytes);
	return grown;
}

void *arena_memdup(struct arena *mem, const void *bytes, size_t length)
{
	void *copy = take(mem, length);

	if (length > 0)
		memcpy(copy, bytes, length);
	return copy;
}

char *arena_strndup(struct arena *mem, const char *bytes, size_t length)
{
	char *copy = take(mem, length + 1);

	if (length > 0)
		memcpy(copy, bytes, length);
	copy[length] = '\0';
	return copy;
}

char *arena_strdup(struct arena *mem, const char *text)
{
	return text == NULL ? NULL : arena_strndup(mem, text, strlen(text));
}

char *arena_printf(struct arena *mem, const char *format, ...)
{
	char small[256];
	va_list args;

	va_start(args, format);
	int length = vsnprintf(small, sizeof small, format, args);
	va_end(args);
	assert(length >= 0);
	if ((size_t)length < sizeof small)
		return arena_strndup(mem, small, (size_t)length);
	char *text = take(mem, (size_t)length + 1);
	va_start(args, format);
	vsnprintf(text, (size_t)length + 1, format, args);
	va_end(args);
	return text;
}

void arena_defer(struct arena *mem, void (*release)(void *), void *resource)
{
	struct deferred *d = take(mem, sizeof *d);

	*d = (struct deferred){mem->deferred, release, resource};
	mem->deferred = d;
}
