#include "services/gateway/people.h"

#include <stdlib.h>

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

size_t people_distinct(uint64_t *users, size_t count)
{
	size_t distinct = 0;

	qsort(users, count, sizeof *users, compare);
	for (size_t i = 0; i < count; i++)
		if (distinct == 0 || users[distinct - 1] != users[i])
			users[distinct++] = users[i];
	return distinct;
}
