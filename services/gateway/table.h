/*
 * table - a hash table from 64-bit ids to pointers. Open addressing, 16 bytes a slot, nothing while empty.
 * Belongs to one loop. Keys may be any number; values are not NULL and not owned.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct table_slot {
	uint64_t key;
	void *value; /* NULL: free */
};

struct table {
	struct table_slot *slots;
	size_t count, capacity; /* capacity: a power of two, or 0 */
};

void table_finish(struct table *table);
void *table_get(const struct table *table, uint64_t key);       /* NULL when absent */
void table_put(struct table *table, uint64_t key, void *value); /* replaces */
void *table_remove(struct table *table, uint64_t key);          /* what was there, or NULL */
/* The first value in a slot at or after *cursor, which moves on; NULL at the end. Nothing may be put or
 * removed in between. */
void *table_next(const struct table *table, size_t *cursor);
