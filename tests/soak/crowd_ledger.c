/*
 * What the sockets of a group got, in order: the first socket that gets an event enters it, every other one must get the same next.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/soak/crowd.h"

static uint64_t hash_of(const char *text, size_t length)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (uint8_t)text[i]) * 0x100000001b3u;
	return hash;
}

size_t crowd_after(const struct crowd_group *group, uint64_t seq)
{
	size_t low = 0, high = group->count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		if (group->entries[middle].seq > seq)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* expected: what is next in the ledger. */
static void complain(uint64_t *count, const char *what, const struct crowd_group *group, uint64_t seq, uint64_t expected, const char *text, size_t length)
{
	static unsigned said;

	(*count)++;
	if (said++ < 10)
		fprintf(stderr, "crowd: %s: %s, seq %llu instead of %llu: %.*s\n", what, group->topic, (unsigned long long)seq,
			(unsigned long long)expected, (int)(length > 400 ? 400 : length), text);
}

static void enter(struct crowd_group *group, uint64_t seq, const char *text, size_t length)
{
	if (group->count == group->capacity) {
		group->capacity = group->capacity == 0 ? 1024 : group->capacity * 2;
		group->entries = realloc(group->entries, group->capacity * sizeof *group->entries);
		if (group->entries == NULL)
			abort();
	}
	bool message = crowd_type_is(text, length, "channel_message");
	group->entries[group->count++] = (struct crowd_entry){seq, hash_of(text, length), message};
	group->messages += message;
}

bool crowd_check(struct crowd_group *group, size_t *cursor, uint64_t seq, const char *text, size_t length, struct crowd_faults *faults)
{
	uint64_t last = *cursor > 0 ? group->entries[*cursor - 1].seq : 0;

	if (seq <= last) {
		size_t i = crowd_after(group, seq);
		bool known = i > 0 && group->entries[i - 1].seq == seq;
		complain(known ? &faults->doubled : &faults->reordered, known ? "doubled" : "reordered", group, seq, last, text, length);
		return false;
	}
	if (*cursor == group->count) {
		enter(group, seq, text, length);
		++*cursor;
		return true;
	}
	const struct crowd_entry *next = &group->entries[*cursor];
	if (next->seq == seq) {
		bool same = next->hash == hash_of(text, length);
		if (!same)
			complain(&faults->corrupt, "other bytes than somebody else got", group, seq, seq, text, length);
		++*cursor;
		return same;
	}
	/* Either this socket lacks what lies between, or the others lack this one. */
	complain(&faults->lost, seq > next->seq ? "lost before this" : "nobody else got this", group, seq, next->seq, text, length);
	if (seq > next->seq)
		*cursor = crowd_after(group, seq);
	return false;
}

/* ---- frames */

bool crowd_type_is(const char *text, size_t length, const char *type)
{
	char head[64];
	int size = snprintf(head, sizeof head, "{\"type\":\"%s\"", type);

	return length > (size_t)size && memcmp(text, head, (size_t)size) == 0;
}

bool crowd_last_number(const char *text, size_t length, const char *key, uint64_t *out)
{
	char name[32];
	size_t size = (size_t)snprintf(name, sizeof name, "\"%s\":", key);

	for (size_t at = length; at >= size; at--) {
		if (memcmp(text + at - size, name, size) != 0)
			continue;
		*out = 0;
		for (; at < length && text[at] >= '0' && text[at] <= '9'; at++)
			*out = *out * 10 + (uint64_t)(text[at] - '0');
		return true;
	}
	return false;
}

const char *crowd_first_stream(const char *text, size_t length, size_t *out_length, const char **out_rest)
{
	static const char key[] = "\"streams\":{\"";
	const char *at = memmem(text, length, key, sizeof key - 1);

	if (at == NULL)
		return NULL;
	at += sizeof key - 1;
	const char *end = memchr(at, '"', (size_t)(text + length - at));
	if (end == NULL || end + 2 > text + length)
		return NULL;
	*out_length = (size_t)(end - at);
	*out_rest = end + 2;
	return at;
}
