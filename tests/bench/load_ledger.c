/*
 * The first socket of a group that gets a message writes it into the group's ledger, after reading it in
 * full: who sent it, which number, whether every byte of the content is as it was sent. Every other socket
 * must then get the very same bytes as its next message. That proves once, in order, complete and uncorrupted
 * at the price of a memcmp.
 */
#include "tests/bench/load.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What stands behind the head of a content: letters that follow from sender and number. */
static void pad(uint32_t sender, uint64_t number, char *out, size_t length)
{
	uint64_t x = ((uint64_t)sender << 40) ^ number ^ 0x9e3779b97f4a7c15ULL;
	for (size_t i = 0; i < length; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		out[i] = (char)('a' + x % 26);
	}
}

void content_write(const struct load *load, uint32_t sender, uint64_t number, int64_t sent_ns, char *out)
{
	char head[CONTENT_HEAD + 1];
	snprintf(head, sizeof(head), "%08x %016llx %016llx ", sender, (unsigned long long)number,
		(unsigned long long)sent_ns);
	memcpy(out, head, CONTENT_HEAD);
	pad(sender, number, out + CONTENT_HEAD, load->content_bytes - CONTENT_HEAD);
}

void ledger_prepare(struct group *group)
{
	group->ledger = (struct ledger){.capacity = 1024, .ring = calloc(1024, sizeof(struct ledger_entry))};
}

static struct ledger_entry *entry_at(const struct ledger *ledger, uint64_t index)
{
	return &ledger->ring[index & (ledger->capacity - 1)];
}

static struct ledger_entry *ledger_append(struct ledger *ledger)
{
	if (ledger->count - ledger->base == ledger->capacity) {
		struct ledger_entry *ring = calloc(ledger->capacity * 2, sizeof(*ring));
		for (uint64_t i = ledger->base; i < ledger->count; i++)
			ring[i & (ledger->capacity * 2 - 1)] = *entry_at(ledger, i);
		free(ledger->ring);
		ledger->ring = ring;
		ledger->capacity *= 2;
	}
	struct ledger_entry *entry = entry_at(ledger, ledger->count++);
	*entry = (struct ledger_entry){0};
	return entry;
}

struct content {
	uint32_t sender;
	uint64_t number;
	int64_t sent_ns;
};

static bool text_is(const uint8_t *payload, size_t length, const char *key, const char *value)
{
	char text[192];
	int size = snprintf(text, sizeof(text), "\"%s\":\"%s\"", key, value);
	return memmem(payload, length, text, (size_t)size) != NULL;
}

/* False: not one of ours, or changed on the way. */
static bool content_read(const struct load *load, const struct group *group, const uint8_t *payload,
	size_t length, struct content *out)
{
	const struct protocol *protocol = load->protocol;
	size_t before = strlen(protocol->before), after = strlen(protocol->after);
	char head[CONTENT_HEAD + 1];
	unsigned long long number, sent;
	const uint8_t *at = memmem(payload, length, protocol->before, before);
	if (at == NULL)
		return false;
	at += before;
	if ((size_t)(payload + length - at) != load->content_bytes + after ||
		memcmp(at + load->content_bytes, protocol->after, after) != 0)
		return false;
	memcpy(head, at, CONTENT_HEAD);
	head[CONTENT_HEAD] = 0;
	if (sscanf(head, "%8x %16llx %16llx ", &out->sender, &number, &sent) != 3 ||
		out->sender >= load->sender_count)
		return false;
	out->number = number;
	out->sent_ns = (int64_t)sent;
	const struct sender *sender = &load->senders[out->sender];
	if (group != &load->groups[sender->group])
		return false;
	if (protocol->enveloped && (!text_is(payload, length, "channel_id", sender->channel) ||
					   !text_is(payload, length, "user_id", load->users[sender->user].id)))
		return false;
	char whole[4096];
	content_write(load, out->sender, out->number, out->sent_ns, whole);
	return memcmp(whole, at, load->content_bytes) == 0;
}

static void complain(uint64_t *count, const char *what, const struct group *group, uint64_t cursor,
	const uint8_t *payload, size_t length)
{
	static unsigned said;
	(*count)++;
	if (said++ < 10)
		fprintf(stderr, "load: %s: %s, entry %llu of %llu: %.*s\n", what, group->topic,
			(unsigned long long)cursor, (unsigned long long)group->ledger.count,
			(int)(length > 600 ? 600 : length), (const char *)payload);
}

static void judge_wrong(
	struct load *load, struct group *group, uint64_t *cursor, const uint8_t *payload, size_t length)
{
	const struct ledger *ledger = &group->ledger;
	struct content content;
	if (!content_read(load, group, payload, length, &content)) {
		complain(&load->faults.corrupt, "corrupt", group, *cursor, payload, length);
		return;
	}
	if (content.number < load->senders[content.sender].expected) {
		for (uint64_t i = ledger->base; i < ledger->count; i++) {
			const struct ledger_entry *entry = entry_at(ledger, i);
			if (entry->sender != content.sender || entry->number != content.number)
				continue;
			if (i == *cursor) {
				complain(&load->faults.corrupt, "same message, other bytes", group, *cursor,
					payload, length);
				*cursor = i + 1;
				return;
			}
			if (i < *cursor)
				break;
			complain(&load->faults.lost, "lost or reordered before this", group, *cursor, payload,
				length);
			load->faults.lost += i - *cursor - 1;
			*cursor = i + 1;
			return;
		}
		complain(&load->faults.doubled, "doubled", group, *cursor, payload, length);
		return;
	}
	complain(&load->faults.reordered, "reordered", group, *cursor, payload, length);
}

/* When the message says that it was logged, on our clock; 0 when it says nothing. */
static int64_t logged_ns(const uint8_t *payload, size_t length)
{
	static const char key[] = "\"timestamp\":\"";
	struct tm at = {0};
	unsigned ms;
	char text[32] = {0};
	struct timespec wall;
	const uint8_t *found = memmem(payload, length, key, sizeof(key) - 1);
	if (found == NULL || (size_t)(payload + length - found) < sizeof(key) + 24)
		return 0;
	memcpy(text, found + sizeof(key) - 1, 24);
	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3uZ", &at.tm_year, &at.tm_mon, &at.tm_mday, &at.tm_hour,
		    &at.tm_min, &at.tm_sec, &ms) != 7)
		return 0;
	at.tm_year -= 1900;
	at.tm_mon -= 1;
	clock_gettime(CLOCK_REALTIME, &wall);
	return now_ns() - (wall.tv_sec - timegm(&at)) * 1000000000LL - wall.tv_nsec + ms * 1000000LL;
}

/* The group's first sight of a message. */
static bool enter(
	struct load *load, struct group *group, uint64_t *cursor, const uint8_t *payload, size_t length)
{
	struct content content;
	if (!content_read(load, group, payload, length, &content)) {
		complain(&load->faults.corrupt, "corrupt", group, *cursor, payload, length);
		return false;
	}
	struct sender *sender = &load->senders[content.sender];
	if (content.number < sender->expected) {
		complain(&load->faults.doubled, "doubled", group, *cursor, payload, length);
		return false;
	}
	for (; sender->expected < content.number; sender->expected++) {
		if (sender->skipped_count < SENDER_MOST_REFUSED)
			sender->skipped[sender->skipped_count] = sender->expected;
		sender->skipped_count++;
	}
	sender->expected++;
	struct ledger_entry *entry = ledger_append(&group->ledger);
	entry->bytes = malloc(length);
	memcpy(entry->bytes, payload, length);
	entry->length = (uint32_t)length;
	entry->sender = content.sender;
	entry->number = content.number;
	entry->sent_ns = content.sent_ns;
	entry->logged_ns = logged_ns(payload, length);
	return true;
}

bool ledger_check(struct load *load, struct group *group, uint64_t *cursor, const uint8_t *payload,
	size_t length, int64_t at_ns)
{
	struct ledger *ledger = &group->ledger;
	if (*cursor == ledger->count && !enter(load, group, cursor, payload, length))
		return false;
	struct ledger_entry *entry = entry_at(ledger, *cursor);
	if (entry->length != length || memcmp(entry->bytes, payload, length) != 0) {
		judge_wrong(load, group, cursor, payload, length);
		return false;
	}
	++*cursor;
	load->deliveries++;
	bool measured = entry->sent_ns >= load->begin_ns && entry->sent_ns < load->end_ns;
	if (measured)
		histogram_add(&load->delivery, at_ns - entry->sent_ns);
	if (measured && entry->logged_ns != 0)
		histogram_add(&load->logged, at_ns - entry->logged_ns);
	if (++entry->seen < group->sockets)
		return false;
	if (measured)
		histogram_add(&load->last, at_ns - entry->sent_ns);
	atomic_store(&load->senders[entry->sender].delivered, entry->number + 1);
	while (ledger->base < ledger->count && entry_at(ledger, ledger->base)->seen == group->sockets) {
		free(entry_at(ledger, ledger->base)->bytes);
		entry_at(ledger, ledger->base)->bytes = NULL;
		ledger->base++;
	}
	return true;
}

static bool was_refused(const struct sender *sender, uint64_t number)
{
	for (uint64_t i = 0; i < sender->refused_count; i++)
		if (sender->refused[i] == number)
			return true;
	return false;
}

/* Acknowledged, and nobody got it. */
static uint64_t missing(const struct sender *sender)
{
	uint64_t count =
		sender->skipped_count > SENDER_MOST_REFUSED ? sender->skipped_count - SENDER_MOST_REFUSED : 0;
	for (uint64_t i = 0; i < sender->skipped_count && i < SENDER_MOST_REFUSED; i++)
		count += !was_refused(sender, sender->skipped[i]);
	for (uint64_t number = sender->expected; number < sender->posted; number++)
		count += !was_refused(sender, number);
	return count;
}

bool ledger_complete(const struct load *load)
{
	for (size_t i = 0; i < load->sender_count; i++)
		if (load->groups[load->senders[i].group].sockets > 0 && missing(&load->senders[i]) > 0)
			return false;
	return true;
}

void ledger_finish(struct load *load)
{
	for (size_t i = 0; i < load->sender_count; i++) {
		uint64_t count = missing(&load->senders[i]);
		uint32_t sockets = load->groups[load->senders[i].group].sockets;
		if (count > 0 && sockets > 0) {
			fprintf(stderr, "load: sender %zu: %llu acknowledged messages reached nobody\n", i,
				(unsigned long long)count);
			load->faults.lost += count * sockets;
		}
	}
	for (size_t i = 0; i < load->group_count; i++) {
		struct ledger *ledger = &load->groups[i].ledger;
		for (; ledger->base < ledger->count; ledger->base++)
			free(entry_at(ledger, ledger->base)->bytes);
		free(ledger->ring);
		ledger->ring = NULL;
	}
}
