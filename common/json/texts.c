/*
 * json/texts - see texts.h.
 */
#include "common/json/texts.h"

void texts_add(struct texts *texts, const char *bytes, size_t length)
{
	if (bytes == NULL)
		return;
	if (texts->count == texts->capacity) {
		size_t capacity = texts->capacity == 0 ? 4 : texts->capacity * 2;
		texts->items = arena_grow(texts->mem, texts->items, texts->count * sizeof *texts->items,
			capacity * sizeof *texts->items);
		texts->capacity = capacity;
	}
	texts->items[texts->count++] = (struct text_item){bytes, length};
}
