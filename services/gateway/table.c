/*
 * table - see table.h. Linear probing; removal shifts back what follows, so there are no tombstones.
 */
#include "services/gateway/table.h"

#include <stdlib.h>

#include "common/base/log.h"

#define LEAST_SLOTS 8

static size_t home(const struct table *table, uint64_t key)
{
	key ^= key >> 32;
	key *= UINT64_C(0x9e3779b97f4a7c15);
	return (size_t)(key >> 32) & (table->capacity - 1);
}

void table_finish(struct table *table)
{
	free(table->slots);
	*table = (struct table){0};
}

void *table_get(const struct table *table, uint64_t key)
{
	if (table->count == 0)
		return NULL;
	for (size_t i = home(table, key);; i = (i + 1) & (table->capacity - 1)) {
		if (table->slots[i].value == NULL)
			return NULL;
		if (table->slots[i].key == key)
			return table->slots[i].value;
	}
}

static void place(struct table *table, uint64_t key, void *value)
{
	size_t i = home(table, key);

	while (table->slots[i].value != NULL && table->slots[i].key != key)
		i = (i + 1) & (table->capacity - 1);
	if (table->slots[i].value == NULL)
		table->count++;
	table->slots[i] = (struct table_slot){key, value};
}

static void resize(struct table *table, size_t capacity)
{
	struct table old = *table;

	table->slots = calloc(capacity, sizeof *table->slots);
	if (table->slots == NULL) {
		log_error("out_of_memory", LOG_U64("bytes", capacity * sizeof *table->slots));
		abort();
	}
	table->capacity = capacity;
	table->count = 0;
	for (size_t i = 0; i < old.capacity; i++)
		if (old.slots[i].value != NULL)
			place(table, old.slots[i].key, old.slots[i].value);
	free(old.slots);
}

void table_put(struct table *table, uint64_t key, void *value)
{
	if ((table->count + 1) * 4 > table->capacity * 3)
		resize(table, table->capacity == 0 ? LEAST_SLOTS : table->capacity * 2);
	place(table, key, value);
}

void *table_remove(struct table *table, uint64_t key)
{
	size_t mask = table->capacity - 1, i;

	if (table->count == 0)
		return NULL;
	for (i = home(table, key); table->slots[i].key != key || table->slots[i].value == NULL;
		i = (i + 1) & mask)
		if (table->slots[i].value == NULL)
			return NULL;
	void *value = table->slots[i].value;
	table->count--;
	if (table->count == 0) {
		table_finish(table);
		return value;
	}
	for (size_t next = (i + 1) & mask; table->slots[next].value != NULL; next = (next + 1) & mask) {
		/* May the one at `next` move to the hole at i? Only if its home is not between them. */
		size_t from = home(table, table->slots[next].key);
		if (((next - from) & mask) >= ((next - i) & mask)) {
			table->slots[i] = table->slots[next];
			i = next;
		}
	}
	table->slots[i].value = NULL;
	if (table->capacity > LEAST_SLOTS && table->count * 8 < table->capacity)
		resize(table, table->capacity / 2);
	return value;
}

void *table_next(const struct table *table, size_t *cursor)
{
	for (; *cursor < table->capacity; (*cursor)++)
		if (table->slots[*cursor].value != NULL)
			return table->slots[(*cursor)++].value;
	return NULL;
}
