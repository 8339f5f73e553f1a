#include "services/messaging/search_snippet.h"

#include <string.h>

#include "common/base/text.h"

#define BEFORE_CODE_POINTS 60  /* of context before the first word found */
#define BREAK_WITHIN       24  /* bytes in which a blank is looked for to begin or end at */
#define ESCAPED_MOST       6   /* "&quot;" */
#define MARKS_SIZE         (sizeof "<mark></mark>")
#define ELLIPSIS           "\xE2\x80\xA6"

/* A word found, in bytes of the content. */
struct range {
	uint32_t begin, end;
};

/* The ranges that the headline marks; 0 when it is not the folded text with marks. */
static size_t ranges_of(struct arena *mem, const struct folded *f, const char *headline, struct range **out)
{
	size_t at = 0, count = 0, room = 0;
	bool inside = false;

	for (const char *h = headline; *h != '\0'; h++) {
		if (*h == SNIPPET_BEGIN || *h == SNIPPET_END) {
			bool begins = *h == SNIPPET_BEGIN;
			if (begins == inside)
				return 0;
			inside = begins;
			if (!begins) {
				(*out)[count - 1].end = f->from[at];
				continue;
			}
			if (count == room) {
				*out = arena_grow(mem, *out, room * sizeof **out, (room * 2 + 8) * sizeof **out);
				room = room * 2 + 8;
			}
			(*out)[count++] = (struct range){f->from[at], 0};
		} else if (at >= f->length || f->text[at] != *h) {
			return 0;
		} else {
			at++;
		}
	}
	return at == f->length && !inside ? count : 0;
}

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xC0) == 0x80;
}

/* `count` code points back from `at`, and further to behind a blank if there is one near. */
static size_t step_back(const char *text, size_t at, size_t count)
{
	size_t begin = at;

	while (begin > 0 && count > 0) {
		begin--;
		count -= !is_continuation(text[begin]);
	}
	if (begin == 0)
		return 0;
	for (size_t i = begin; i < at && i < begin + BREAK_WITHIN; i++)
		if (text[i] == ' ' || text[i] == '\n')
			return i + 1;
	return begin;
}

static size_t window_end(const char *text, size_t length, size_t begin)
{
	size_t end = begin + text_prefix_bytes(text + begin, length - begin, SNIPPET_CODE_POINTS);

	if (end >= length)
		return length;
	for (size_t i = end; i > begin && i + BREAK_WITHIN > end; i--)
		if (text[i] == ' ' || text[i] == '\n')
			return i;
	return end;
}

static char *put_escaped(char *to, const char *from, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		const char *entity = from[i] == '<'    ? "&lt;"
				     : from[i] == '>'  ? "&gt;"
				     : from[i] == '&'  ? "&amp;"
				     : from[i] == '"'  ? "&quot;"
				     : from[i] == '\'' ? "&#39;"
						       : NULL;
		if (entity == NULL)
			*to++ = from[i];
		else
			to = stpcpy(to, entity);
	}
	return to;
}

const char *search_snippet(struct arena *mem, const char *content, const struct folded *folded, const char *headline)
{
	size_t length = strlen(content), begin = 0, end;
	struct range *ranges = NULL;
	size_t count = headline != NULL ? ranges_of(mem, folded, headline, &ranges) : 0;

	if (count > 0 && text_code_points(content, length) > SNIPPET_CODE_POINTS)
		begin = step_back(content, ranges[0].begin, BEFORE_CODE_POINTS);
	end = window_end(content, length, begin);
	char *out = arena_alloc(mem, (end - begin) * ESCAPED_MOST + count * MARKS_SIZE + 2 * sizeof ELLIPSIS + 1);
	char *to = out;
	size_t at = begin;

	if (begin > 0)
		to = stpcpy(to, ELLIPSIS);
	for (size_t i = 0; i < count && ranges[i].begin < end; i++) {
		size_t stop = ranges[i].end < end ? ranges[i].end : end;
		if (ranges[i].begin < at || stop <= ranges[i].begin)
			continue;
		to = put_escaped(to, content + at, ranges[i].begin - at);
		to = stpcpy(to, "<mark>");
		to = put_escaped(to, content + ranges[i].begin, stop - ranges[i].begin);
		to = stpcpy(to, "</mark>");
		at = stop;
	}
	to = put_escaped(to, content + at, end - at);
	if (end < length)
		to = stpcpy(to, ELLIPSIS);
	*to = '\0';
	return out;
}
