/*
 * What the sockets of a group got: whoever gets an event first enters it, everybody else has to get the same bytes. Whether one was lost is
 * told at the end, when the ledger has everything: by then each socket's count, and the sum of hashes, is that of its part of the ledger.
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

/* The first entry after a position. */
static size_t after(const struct crowd_group *group, uint64_t seq)
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

static void complain(uint64_t *count, const char *what, const struct crowd_group *group, const struct crowd_life *life, uint64_t seq, const char *text, size_t length)
{
	static unsigned said;

	(*count)++;
	if (said++ < 10)
		fprintf(stderr, "crowd: %s: %s, seq %llu for a socket that began at %llu and was at %llu: %.*s\n", what, group->topic,
			(unsigned long long)seq, (unsigned long long)life->begun, (unsigned long long)life->last, (int)(length > 400 ? 400 : length), text);
}

static void *grown(void *list, size_t count, size_t *capacity, size_t size)
{
	if (count < *capacity)
		return list;
	*capacity = *capacity == 0 ? 1024 : *capacity * 2;
	list = realloc(list, *capacity * size);
	if (list == NULL)
		abort();
	return list;
}

/* The entry of seq, made if nobody got it before. */
static const struct crowd_entry *enter(struct crowd_group *group, uint64_t seq, uint64_t hash, bool message)
{
	size_t at = after(group, seq);

	if (at > 0 && group->entries[at - 1].seq == seq)
		return &group->entries[at - 1];
	group->entries = grown(group->entries, group->count, &group->capacity, sizeof *group->entries);
	memmove(group->entries + at + 1, group->entries + at, (group->count++ - at) * sizeof *group->entries);
	group->entries[at] = (struct crowd_entry){seq, hash, message};
	group->messages += message;
	return &group->entries[at];
}

void crowd_got(struct crowd_group *group, struct crowd_life *life, uint64_t seq, const char *text, size_t length, struct crowd_faults *faults)
{
	uint64_t hash = hash_of(text, length);
	bool message = crowd_type_is(text, length, "channel_message");

	if (seq <= life->last) {
		size_t at = after(group, seq);
		bool known = at > 0 && group->entries[at - 1].seq == seq;
		complain(known ? &faults->doubled : &faults->reordered, known ? "doubled" : "reordered", group, life, seq, text, length);
		return;
	}
	if (enter(group, seq, hash, message)->hash != hash)
		complain(&faults->corrupt, "other bytes than somebody else got", group, life, seq, text, length);
	life->last = seq;
	life->count++;
	life->sum += hash;
	life->messages += message;
	life->message_sum += message ? hash : 0;
}

void crowd_begin(struct crowd_group *group, struct crowd_life *life, uint64_t seq)
{
	if (life->last > life->begun) {
		group->lives = grown(group->lives, group->life_count, &group->life_capacity, sizeof *group->lives);
		group->lives[group->life_count++] = *life;
	}
	*life = (struct crowd_life){.begun = seq, .last = seq};
}

bool crowd_is_behind(const struct crowd_group *group, const struct crowd_life *life)
{
	return group->count > 0 && life->last < group->entries[group->count - 1].seq;
}

struct sums {
	uint64_t count, sum;
};

static void verify(const struct crowd_group *group, const struct crowd_life *life, const struct sums *all, const struct sums *messages, struct crowd_faults *faults)
{
	const struct sums *of = life->messages_only ? messages : all;
	size_t from = after(group, life->begun), to = after(group, life->last);
	uint64_t count = life->messages_only ? life->messages : life->count, sum = life->messages_only ? life->message_sum : life->sum;
	uint64_t due = of[to].count - of[from].count;
	char text[96];

	if (count == due && sum == of[to].sum - of[from].sum)
		return;
	int length = snprintf(text, sizeof text, "%llu of %llu events", (unsigned long long)count, (unsigned long long)due);
	if (count == due)
		complain(&faults->corrupt, "others got other bytes", group, life, life->last, text, (size_t)length);
	else
		complain(&faults->lost, "lost", group, life, life->last, text, (size_t)length);
}

void crowd_verify(const struct crowd_group *group, struct crowd_faults *faults)
{
	struct sums *all = calloc(group->count + 1, sizeof *all), *messages = calloc(group->count + 1, sizeof *messages);

	if (all == NULL || messages == NULL)
		abort();
	for (size_t i = 0; i < group->count; i++) {
		const struct crowd_entry *e = &group->entries[i];
		all[i + 1] = (struct sums){all[i].count + 1, all[i].sum + e->hash};
		messages[i + 1] = (struct sums){messages[i].count + e->message, messages[i].sum + (e->message ? e->hash : 0)};
	}
	for (size_t i = 0; i < group->life_count; i++)
		verify(group, &group->lives[i], all, messages, faults);
	free(all);
	free(messages);
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
