/*
 * keys - see keys.h.
 */
#include "services/gateway/keys.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"

static void *resized(void *old, size_t bytes)
{
	void *p = realloc(old, bytes);

	if (p == NULL) {
		log_error("out_of_memory", LOG_U64("bytes", bytes));
		abort();
	}
	return p;
}

static uint32_t text_hash(const char *text)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (; *text != '\0'; text++)
		hash = (hash ^ (uint8_t)*text) * 16777619u;
	return hash;
}

static uint32_t set_hash(const uint32_t *keys, size_t count)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < count; i++)
		hash = (hash ^ keys[i]) * 16777619u ^ hash >> 15;
	return hash;
}

void key_table_finish(struct key_table *table)
{
	free(table->texts);
	free(table->index);
	free(table->sets);
	*table = (struct key_table){0};
}

uint32_t key_find(const struct key_table *table, const char *text)
{
	if (table->index_size == 0)
		return KEY_NONE;
	for (uint32_t i = text_hash(text) & (table->index_size - 1);; i = (i + 1) & (table->index_size - 1)) {
		if (table->index[i] == 0)
			return KEY_NONE;
		if (strcmp(table->texts[table->index[i] - 1], text) == 0)
			return table->index[i] - 1;
	}
}

static void index_put(struct key_table *table, uint32_t number)
{
	uint32_t i = text_hash(table->texts[number]) & (table->index_size - 1);

	while (table->index[i] != 0)
		i = (i + 1) & (table->index_size - 1);
	table->index[i] = number + 1;
}

uint32_t key_number(struct key_table *table, const char *text)
{
	uint32_t number = key_find(table, text);

	if (number != KEY_NONE || strlen(text) >= AUDIENCE_SIZE)
		return number;
	if (table->count == table->capacity) {
		table->capacity = table->capacity == 0 ? 4 : table->capacity * 2;
		table->texts = resized(table->texts, table->capacity * sizeof *table->texts);
	}
	number = table->count++;
	strcpy(table->texts[number], text);
	if (table->count * 2 > table->index_size) {
		table->index_size = table->index_size == 0 ? 8 : table->index_size * 2;
		free(table->index);
		table->index = resized(NULL, table->index_size * sizeof *table->index);
		memset(table->index, 0, table->index_size * sizeof *table->index);
		for (uint32_t i = 0; i < table->count; i++)
			index_put(table, i);
	} else {
		index_put(table, number);
	}
	return number;
}

static void sets_grow(struct key_table *table)
{
	uint32_t size = table->sets_size == 0 ? 8 : table->sets_size * 2;
	struct key_set **sets = resized(NULL, size * sizeof *sets);

	memset(sets, 0, size * sizeof *sets);
	for (uint32_t i = 0; i < table->sets_size; i++) {
		struct key_set *next = NULL;
		for (struct key_set *set = table->sets[i]; set != NULL; set = next) {
			next = set->next;
			set->next = sets[set->hash & (size - 1)];
			sets[set->hash & (size - 1)] = set;
		}
	}
	free(table->sets);
	table->sets = sets;
	table->sets_size = size;
}

/* keys ascend and are not doubled. */
static struct key_set *interned(struct key_table *table, const uint32_t *keys, size_t count)
{
	uint32_t hash = set_hash(keys, count);
	size_t bytes = count * sizeof *keys;

	if (table->set_count >= table->sets_size)
		sets_grow(table);
	struct key_set **chain = &table->sets[hash & (table->sets_size - 1)];
	for (struct key_set *set = *chain; set != NULL; set = set->next)
		if (set->hash == hash && set->count == count &&
			(count == 0 || memcmp(set->keys, keys, bytes) == 0))
			return key_set_ref(set);
	struct key_set *set = resized(NULL, sizeof *set + bytes);
	*set = (struct key_set){.next = *chain, .refs = 1, .hash = hash, .count = (uint32_t)count};
	if (count > 0)
		memcpy(set->keys, keys, bytes);
	*chain = set;
	table->set_count++;
	return set;
}

static int key_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

struct key_set *key_set_of(struct key_table *table, const uint32_t *keys, size_t count)
{
	uint32_t *sorted = resized(NULL, (count + 1) * sizeof *sorted);
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (keys[i] != KEY_NONE)
			sorted[kept++] = keys[i];
	qsort(sorted, kept, sizeof *sorted, key_compare);
	count = kept;
	kept = 0;
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || sorted[kept - 1] != sorted[i])
			sorted[kept++] = sorted[i];
	struct key_set *set = interned(table, sorted, kept);
	free(sorted);
	return set;
}

struct key_set *key_set_with(struct key_table *table, const struct key_set *set, uint32_t key)
{
	uint32_t *keys = resized(NULL, (set->count + 1) * sizeof *keys);

	if (set->count > 0)
		memcpy(keys, set->keys, set->count * sizeof *keys);
	keys[set->count] = key;
	struct key_set *result = key_set_of(table, keys, set->count + 1);
	free(keys);
	return result;
}

struct key_set *key_set_without(struct key_table *table, const struct key_set *set, uint32_t key)
{
	uint32_t *keys = resized(NULL, (set->count + 1) * sizeof *keys);
	size_t count = 0;

	for (uint32_t i = 0; i < set->count; i++)
		if (set->keys[i] != key)
			keys[count++] = set->keys[i];
	struct key_set *result = interned(table, keys, count);
	free(keys);
	return result;
}

void key_set_unref(struct key_table *table, struct key_set *set)
{
	if (set == NULL || --set->refs > 0)
		return;
	struct key_set **link = &table->sets[set->hash & (table->sets_size - 1)];
	while (*link != set)
		link = &(*link)->next;
	*link = set->next;
	table->set_count--;
	free(set);
}

bool key_set_has(const struct key_set *set, uint32_t key)
{
	uint32_t low = 0, high = set->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (set->keys[middle] == key)
			return true;
		if (set->keys[middle] < key)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}
