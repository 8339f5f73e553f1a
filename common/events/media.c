#include "common/events/media.h"

#include <stdint.h>
#include <string.h>

#include "common/base/text.h"

struct mark {
	size_t at, length;
	const char *bytes;
};
struct kind {
	const char *mime;
	bool shown;
	struct mark first, second;
};

enum { SAVE, INLINE };

#define BYTES(text) sizeof text - 1, text
static const struct kind kinds[] = {
#define MARK(mime, shown, at, mark)                 {mime, shown, {at, BYTES(mark)}, {0, 0, ""}},
#define MARK2(mime, shown, at, mark, at_2, mark_2) {mime, shown, {at, BYTES(mark)}, {at_2, BYTES(mark_2)}},
#include "common/events/media.tbl.h"
#undef MARK
#undef MARK2
};

static bool stands(const struct mark *mark, const char *bytes, size_t length)
{
	return length >= mark->at + mark->length && memcmp(bytes + mark->at, mark->bytes, mark->length) == 0;
}

/* MPEG audio without a tag in front: the eleven ones of a frame's beginning, layer III, and values that are not reserved. */
static bool is_mp3(const unsigned char *b, size_t length)
{
	return length >= 4 && b[0] == 0xFF && (b[1] & 0xE6) == 0xE2 && (b[1] & 0x18) != 0x08 && (b[2] & 0xF0) != 0xF0 &&
	       (b[2] & 0xF0) != 0 && (b[2] & 0x0C) != 0x0C;
}

static bool is_text(const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)bytes[i];
		if ((c < 0x20 && strchr("\t\n\f\r\x1B", c) == NULL) || c == 0x7F || c == '\0')
			return false;
	}
	/* What is looked at may end in the middle of a character. */
	for (size_t cut = 0; cut < 4 && cut <= length; cut++) {
		if (text_is_utf8(bytes, length - cut))
			return true;
		if (length < MEDIA_LOOK_BYTES)
			return false;
	}
	return false;
}

const char *media_type(const void *bytes, size_t length)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (stands(&kinds[i].first, bytes, length) && stands(&kinds[i].second, bytes, length))
			return kinds[i].mime;
	if (is_mp3(bytes, length))
		return "audio/mpeg";
	return is_text(bytes, length) ? "text/plain; charset=utf-8" : MEDIA_UNKNOWN;
}

bool media_shown(const char *mime)
{
	if (strncmp(mime, "text/plain", 10) == 0)
		return true;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(kinds[i].mime, mime) == 0)
			return kinds[i].shown;
	return false;
}

bool media_has_preview(const char *mime)
{
	return strcmp(mime, "image/png") == 0 || strcmp(mime, "image/jpeg") == 0 || strcmp(mime, "image/gif") == 0 ||
	       strcmp(mime, "image/webp") == 0;
}

/* Of valid UTF-8: ends of lines and other control characters, those of Unicode too. */
static bool is_control(const unsigned char *c)
{
	return *c < 0x20 || *c == 0x7F || (c[0] == 0xC2 && c[1] < 0xA0) || (c[0] == 0xE2 && c[1] == 0x80 && (c[2] == 0xA8 || c[2] == 0xA9));
}

/* U+202A to U+202E and U+2066 to U+2069, of 3 bytes: they let what follows run the other way, so that an end looks like another one. */
static bool is_turning(const unsigned char *c)
{
	return c[0] == 0xE2 && ((c[1] == 0x80 && c[2] >= 0xAA && c[2] <= 0xAE) || (c[1] == 0x81 && c[2] >= 0xA6 && c[2] <= 0xA9));
}

const char *media_name(struct arena *mem, const char *name)
{
	char *kept = arena_alloc(mem, strlen(name) + 1);
	size_t length = 0;

	if (!text_is_utf8(name, strlen(name)))
		return NULL;
	for (const unsigned char *c = (const unsigned char *)name; *c != '\0'; c++) {
		if (is_control(c))
			return NULL;
		if (is_turning(c))
			c += 2;
		else if (*c == '/' || *c == '\\')
			length = 0; /* what came was a folder */
		else if (*c != ' ' || length > 0)
			kept[length++] = (char)*c;
	}
	while (length > 0 && kept[length - 1] == ' ')
		length--;
	kept[length] = '\0';
	if (length == 0 || strcmp(kept, ".") == 0 || strcmp(kept, "..") == 0 || text_code_points(kept, length) > FILE_NAME_MAX)
		return NULL;
	return kept;
}

const char *media_extension(struct arena *mem, const char *name)
{
	size_t length = strlen(name);

	while (length > 0 && name[length - 1] == '.')
		length--;
	while (length > 0 && *name == '.') {
		name++;
		length--;
	}
	for (size_t i = length; i > 0; i--)
		if (name[i - 1] == '.')
			return arena_strndup(mem, name + i, length - i);
	return "";
}
