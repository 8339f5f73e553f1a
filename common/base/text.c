#include "common/base/text.h"

#include <stdint.h>
#include <string.h>

/* The length of the sequence that begins at s (of which `left` bytes exist), 0 when it is not valid. */
static size_t sequence(const unsigned char *s, size_t left)
{
	unsigned char first = s[0];

	if (first < 0x80)
		return first != 0;
	if (first < 0xC2) /* a continuation byte, or an overlong form of ASCII */
		return 0;
	if (first < 0xE0)
		return left >= 2 && (s[1] & 0xC0) == 0x80 ? 2 : 0;
	if (first < 0xF0) {
		if (left < 3 || (s[1] & 0xC0) != 0x80 || (s[2] & 0xC0) != 0x80)
			return 0;
		if (first == 0xE0 && s[1] < 0xA0) /* overlong */
			return 0;
		if (first == 0xED && s[1] >= 0xA0) /* surrogates */
			return 0;
		return 3;
	}
	if (first > 0xF4 || left < 4 || (s[1] & 0xC0) != 0x80 || (s[2] & 0xC0) != 0x80 ||
		(s[3] & 0xC0) != 0x80)
		return 0;
	if (first == 0xF0 && s[1] < 0x90) /* overlong */
		return 0;
	if (first == 0xF4 && s[1] >= 0x90) /* past U+10FFFF */
		return 0;
	return 4;
}

bool text_is_utf8(const char *bytes, size_t length)
{
	const unsigned char *s = (const unsigned char *)bytes;
	size_t i = 0;

	while (i < length) {
		/* Most text is ASCII: eight bytes at once, none with the high bit and none zero. */
		while (length - i >= 8) {
			uint64_t eight;
			memcpy(&eight, s + i, sizeof eight);
			uint64_t zeroes = (eight - UINT64_C(0x0101010101010101)) & ~eight;
			if (((eight | zeroes) & UINT64_C(0x8080808080808080)) != 0)
				break;
			i += 8;
		}
		if (i == length)
			break;
		size_t n = sequence(s + i, length - i);
		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

size_t text_code_points(const char *bytes, size_t length)
{
	size_t count = 0;

	for (size_t i = 0; i < length; i++)
		count += ((unsigned char)bytes[i] & 0xC0) != 0x80;
	return count;
}

size_t text_prefix_bytes(const char *bytes, size_t length, size_t code_points)
{
	size_t i = 0;

	for (; i < length; i++) {
		if (((unsigned char)bytes[i] & 0xC0) == 0x80)
			continue;
		if (code_points == 0)
			break;
		code_points--;
	}
	return i;
}
