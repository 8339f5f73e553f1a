#include "services/messaging/search_lexemes.h"

#include <string.h>

#define DIGITS_SIZE 16

struct text {
	struct arena *mem;
	char *bytes;
	size_t length, room;
};

static void put(struct text *t, const char *bytes, size_t length)
{
	if (t->length + length + 1 > t->room) {
		size_t room = (t->length + length + 1) * 2;
		t->bytes = arena_grow(t->mem, t->bytes, t->room, room);
		t->room = room;
	}
	memcpy(t->bytes + t->length, bytes, length);
	t->length += length;
	t->bytes[t->length] = '\0';
}

static void put_text(struct text *t, const char *text)
{
	put(t, text, strlen(text));
}

/* Base 36: short, and never one of the signs that follow. */
static const char *digits(uint64_t number, char out[DIGITS_SIZE])
{
	char *at = out + DIGITS_SIZE - 1;

	*at = '\0';
	do {
		*--at = "0123456789abcdefghijklmnopqrstuvwxyz"[number % 36];
		number /= 36;
	} while (number > 0);
	return at;
}

static void put_mark(struct text *t, uint64_t segment, char sign, uint64_t number)
{
	char a[DIGITS_SIZE], b[DIGITS_SIZE];

	put_text(t, "'");
	put_text(t, digits(segment, a));
	put(t, &sign, 1);
	if (sign != '*')
		put_text(t, digits(number, b));
	put_text(t, "'");
}

/* The text of a tsvector or tsquery with each lexeme put into the segment. The server writes a lexeme in quotes always; inside
 * it a quote and a backslash are doubled. */
static void put_lexemes(struct text *t, const char *from, uint64_t segment)
{
	char number[DIGITS_SIZE];
	const char *prefix = digits(segment, number);
	bool inside = false;

	while (*from != '\0') {
		size_t plain = strcspn(from, "'\\");
		put(t, from, plain);
		from += plain;
		if (*from == '\0')
			break;
		if (inside && from[0] == from[1]) {
			put(t, from, 2);
			from += 2;
			continue;
		}
		put(t, from, 1);
		if (*from == '\'') {
			inside = !inside;
			if (inside) {
				put_text(t, prefix);
				put_text(t, ":");
			}
		}
		from++;
	}
}

const char *search_vector(
	struct arena *mem, const char *vector, uint64_t segment, uint64_t channel, uint64_t author, uint32_t kind)
{
	struct text t = {.mem = mem};

	put_lexemes(&t, vector, segment);
	put_text(&t, " ");
	put_mark(&t, segment, '*', 0);
	put_text(&t, " ");
	put_mark(&t, segment, '#', channel);
	put_text(&t, " ");
	put_mark(&t, segment, '@', author);
	put_text(&t, " ");
	put_mark(&t, segment, '%', kind);
	return t.bytes;
}

static void put_and(struct text *t)
{
	if (t->length > 0)
		put_text(t, " & ");
}

static void put_any(struct text *t, uint64_t segment, char sign, const uint64_t *numbers, size_t count)
{
	if (count == 0)
		return;
	put_and(t);
	put_text(t, "(");
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			put_text(t, " | ");
		put_mark(t, segment, sign, numbers[i]);
	}
	put_text(t, ")");
}

const char *search_match(struct arena *mem, const struct search_terms *terms, uint64_t segment)
{
	struct text t = {.mem = mem};
	uint64_t *kinds = ARENA_ARRAY(mem, terms->kind_count, uint64_t);

	for (size_t i = 0; i < terms->kind_count; i++)
		kinds[i] = terms->kinds[i];
	if (terms->query != NULL) {
		put_text(&t, "(");
		put_lexemes(&t, terms->query, segment);
		put_text(&t, ")");
	}
	put_any(&t, segment, '#', terms->channels, terms->channel_count);
	put_any(&t, segment, '@', terms->authors, terms->author_count);
	put_any(&t, segment, '%', kinds, terms->kind_count);
	/* What is met by the absence of a word is asked of this segment only. */
	if (t.length == 0 || (terms->query != NULL && !terms->bounded)) {
		put_and(&t);
		put_mark(&t, segment, '*', 0);
	}
	for (size_t i = 0; i < terms->other_kind_count; i++) {
		put_text(&t, " & !");
		put_mark(&t, segment, '%', terms->other_kinds[i]);
	}
	return t.bytes;
}

const char *search_ranking(struct arena *mem, const struct search_terms *terms, uint64_t segment)
{
	struct text t = {.mem = mem};

	if (terms->query == NULL)
		return NULL;
	put_lexemes(&t, terms->query, segment);
	return t.bytes;
}
