/*
 * keys - the audience keys of one stream as small numbers, and sets of them. Users of one class have the same
 * keys, so sets are interned: equal sets are one object, and whether a set holds the key of an event is found
 * out once per event. Belongs to one loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/events/events.h"

#define KEY_NONE UINT32_MAX /* a key that nobody holds */

struct key_set {
	struct key_set *next; /* of the table's chain */
	uint32_t refs, hash, count;
	bool memo_holds;
	uint64_t memo_serial; /* of the event whose answer memo_holds is; 0: none */
	uint32_t keys[];      /* ascending */
};

struct key_table {
	char (*texts)[AUDIENCE_SIZE];
	uint32_t count, capacity;
	uint32_t *index; /* hash of a text to its number + 1 */
	uint32_t index_size;
	struct key_set **sets;
	uint32_t set_count, sets_size;
};

void key_table_finish(struct key_table *table); /* every set must have been let go */
/* The number of a key; it gets one if it has none. Longer texts than an audience are KEY_NONE. */
uint32_t key_number(struct key_table *table, const char *text);
/* The number of a key, KEY_NONE when no set ever held it. */
uint32_t key_find(const struct key_table *table, const char *text);

/* All return a reference of the caller's. The order and doubles of the keys do not matter. */
struct key_set *key_set_of(struct key_table *table, const uint32_t *keys, size_t count);
struct key_set *key_set_with(struct key_table *table, const struct key_set *set, uint32_t key);
struct key_set *key_set_without(struct key_table *table, const struct key_set *set, uint32_t key);
static inline struct key_set *key_set_ref(struct key_set *set)
{
	set->refs++;
	return set;
}
void key_set_unref(struct key_table *table, struct key_set *set); /* accepts NULL */

bool key_set_has(const struct key_set *set, uint32_t key);
/* The same for the key of the event with this serial, remembered. */
static inline bool key_set_holds(struct key_set *set, uint32_t key, uint64_t serial)
{
	if (set->memo_serial != serial) {
		set->memo_serial = serial;
		set->memo_holds = key_set_has(set, key);
	}
	return set->memo_holds;
}
