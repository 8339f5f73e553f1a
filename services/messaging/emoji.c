#include "services/messaging/emoji.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/text.h"

struct range {
	uint32_t first, last;
};

/* Control characters and blanks of Unicode 15 (categories Cc, Zl, Zp, Zs), invisible spaces and operators,
 * direction marks, interlinear annotation, and what is no character at all. */
static const struct range forbidden[] = {
	{0x0000, 0x0020},
	{0x007F, 0x00A0},
	{0x00AD, 0x00AD},
	{0x061C, 0x061C},
	{0x115F, 0x1160},
	{0x1680, 0x1680},
	{0x180E, 0x180E},
	{0x2000, 0x200C},
	{0x200E, 0x200F},
	{0x2028, 0x202F},
	{0x205F, 0x206F},
	{0x2800, 0x2800},
	{0x3000, 0x3000},
	{0x3164, 0x3164},
	{0xFDD0, 0xFDEF},
	{0xFEFF, 0xFEFF},
	{0xFFA0, 0xFFA0},
	{0xFFF0, 0xFFFB},
	{0xFFFE, 0xFFFF},
};
/* Of emoji, but not to be seen alone: joiner, variation selectors, tags. */
static const struct range unseen[] = {
	{0x200D, 0x200D}, {0xFE00, 0xFE0F}, {0xE0000, 0xE007F}, {0xE0100, 0xE01EF}};

static bool in(const struct range *ranges, size_t count, uint32_t point)
{
	for (size_t i = 0; i < count; i++)
		if (point >= ranges[i].first && point <= ranges[i].last)
			return true;
	return false;
}
#define IN(ranges, point) in((ranges), sizeof(ranges) / sizeof *(ranges), (point))

/* The code point at valid UTF-8; *at goes behind it. */
static uint32_t next_point(const unsigned char **at)
{
	const unsigned char *s = *at;
	int more = s[0] < 0x80 ? 0 : s[0] < 0xE0 ? 1 : s[0] < 0xF0 ? 2 : 3;
	uint32_t point = more == 0 ? s[0] : s[0] & (0x3Fu >> more);

	for (int i = 1; i <= more; i++)
		point = point << 6 | (s[i] & 0x3Fu);
	*at += more + 1;
	return point;
}

bool emoji_fits(const char *text)
{
	size_t length = text == NULL ? 0 : strlen(text), points = 0;
	bool seen = false;

	if (length == 0 || length > EMOJI_MAX * 4 || !text_is_utf8(text, length))
		return false;
	for (const unsigned char *at = (const unsigned char *)text; *at != 0; points++) {
		uint32_t point = next_point(&at);
		if (IN(forbidden, point))
			return false;
		seen = seen || !IN(unseen, point);
	}
	return seen && points <= EMOJI_MAX;
}
