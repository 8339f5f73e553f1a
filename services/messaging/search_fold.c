#include "services/messaging/search_fold.h"

#include <string.h>

/* The letter below each letter of Unicode's Latin blocks (canonical and compatibility decompositions, stroked letters added);
 * '.': itself, or in `longer`. */
static const struct {
	uint32_t first;
	const char *base;
} latin[] = {
	{0xC0, "aaaaaa.ceeeeiiiidnooooo.ouuuuy..aaaaaa.ceeeeiiiidnooooo.ouuuuy.y"
	       "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiii..jjkkkllllll..llnnnnnnnnnoooooo..rrrrrrssssssss"
	       "ttttttuuuuuuuuuuuuwwyyyzzzzzzs"},
	{0x1A0, "oo.............uu............................aaiioouuuuuuuuuu.aaaa....ggkkoooo..j...gg..nnaa..ooaaaa"
		"eeeeiiiioooorrrruuuusstt..hh......aaeeooooooooyy"},
	{0x1E00, "aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmmmmmmnnnnnnnnoooooooopppprrrrrrrrssssssssss"
		 "ttttttttuuuuuuuuuuvvvvwwwwwwwwwwxxxxyyzzzzzzhtwy.s....aaaaaaaaaaaaaaaaaaaaaaaaeeeeeeeeeeeeeeeeiiii"
		 "oooooooooooooooooooooooouuuuuuuuuuuuuuyyyyyyyy"},
};
static const struct {
	uint32_t from;
	const char *to;
} longer[] = {
	{0xC6, "ae"},
	{0xDE, "th"},
	{0xDF, "ss"},
	{0xE6, "ae"},
	{0xFE, "th"},
	{0x132, "ij"},
	{0x133, "ij"},
	{0x13F, "l"},
	{0x140, "l"},
	{0x152, "oe"},
	{0x153, "oe"},
	{0x1E9E, "ss"},
};
/* Greek and Cyrillic letters whose mark is part of the code point, after lowering. */
static const struct {
	uint16_t from, to;
} marked[] = {
	{0x390, 0x3B9},
	{0x3AC, 0x3B1},
	{0x3AD, 0x3B5},
	{0x3AE, 0x3B7},
	{0x3AF, 0x3B9},
	{0x3B0, 0x3C5},
	{0x3C2, 0x3C3},
	{0x3CA, 0x3B9},
	{0x3CB, 0x3C5},
	{0x3CC, 0x3BF},
	{0x3CD, 0x3C5},
	{0x3CE, 0x3C9},
	{0x439, 0x438},
	{0x450, 0x435},
	{0x451, 0x435},
	{0x453, 0x433},
	{0x457, 0x456},
	{0x45C, 0x43A},
	{0x45D, 0x438},
	{0x45E, 0x443},
};

static uint32_t lowered(uint32_t c)
{
	if (c == 0x386)
		return 0x3AC;
	if (c >= 0x388 && c <= 0x38A)
		return c + 37;
	if (c == 0x38C)
		return 0x3CC;
	if (c == 0x38E || c == 0x38F)
		return c + 63;
	if ((c >= 0x391 && c <= 0x3AB) || (c >= 0x410 && c <= 0x42F))
		return c + 32;
	if (c >= 0x400 && c <= 0x40F)
		return c + 80;
	return c;
}

/* Combining marks carry no meaning of their own here. */
static bool is_mark(uint32_t c)
{
	return (c >= 0x300 && c <= 0x36F) || (c >= 0x1AB0 && c <= 0x1AFF) || (c >= 0x1DC0 && c <= 0x1DFF) ||
	       (c >= 0x20D0 && c <= 0x20FF) || (c >= 0xFE00 && c <= 0xFE0F) || c == 0x200D;
}

/* What one character that is not ASCII becomes; NULL: itself. */
static const char *replacement(uint32_t c, char buffer[4])
{
	for (size_t i = 0; i < sizeof latin / sizeof *latin; i++) {
		if (c < latin[i].first || c >= latin[i].first + strlen(latin[i].base))
			continue;
		buffer[0] = latin[i].base[c - latin[i].first];
		buffer[1] = '\0';
		if (buffer[0] != '.')
			return buffer;
	}
	for (size_t i = 0; i < sizeof longer / sizeof *longer; i++)
		if (longer[i].from == c)
			return longer[i].to;
	if (c < 0x386 || c > 0x45E)
		return NULL;
	uint32_t to = lowered(c);
	for (size_t i = 0; i < sizeof marked / sizeof *marked; i++)
		if (marked[i].from == to)
			to = marked[i].to;
	buffer[0] = (char)(0xC0 | to >> 6);
	buffer[1] = (char)(0x80 | (to & 0x3F));
	buffer[2] = '\0';
	return buffer;
}

static size_t decode(const unsigned char *at, size_t left, uint32_t *out)
{
	size_t n = at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : 4;

	if (n > left) /* not UTF-8: ours is */
		n = left;
	*out = at[0] & (0xFF >> (n + 1));
	for (size_t i = 1; i < n; i++)
		*out = *out << 6 | (at[i] & 0x3F);
	return n;
}

struct folded search_fold(struct arena *mem, const char *text, size_t length, bool map)
{
	char *out = arena_alloc(mem, length + 1);
	uint32_t *from = map ? ARENA_ARRAY(mem, length + 1, uint32_t) : NULL;
	size_t n = 0;

	for (size_t i = 0; i < length;) {
		unsigned char byte = (unsigned char)text[i];
		size_t begin = i, before = n;
		char buffer[4];
		if (byte < 0x80) {
			out[n++] = byte < ' ' || byte == 0x7F ? ' ' : byte >= 'A' && byte <= 'Z' ? (char)(byte + 32) : (char)byte;
			i++;
		} else {
			uint32_t c;
			size_t size = decode((const unsigned char *)text + i, length - i, &c);
			/* No replacement is longer than what it stands for. */
			const char *to = is_mark(c) ? "" : replacement(c, buffer);
			size_t to_size = to != NULL ? strlen(to) : size;
			memcpy(out + n, to != NULL ? to : text + i, to_size);
			n += to_size;
			i += size;
		}
		for (size_t k = before; from != NULL && k < n; k++)
			from[k] = (uint32_t)begin;
	}
	if (from != NULL)
		from[n] = (uint32_t)length;
	return (struct folded){out, n, from};
}
