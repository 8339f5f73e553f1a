#include "services/messaging/search_snippet.h"

#include <string.h>

#include "common/base/text.h"

#define BEFORE_CODE_POINTS 60  /* of context before the first word found */
#define BREAK_WITHIN       24  /* bytes in which a blank is looked for to begin or end at */

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

void search_snippet(struct arena *mem, const struct folded *folded, const char *headline, pb_FoundMessage *found)
{
	const char *content = found->message.content;
	size_t length = strlen(content), begin = 0, end;
	struct range *ranges = NULL;
	size_t count = headline != NULL ? ranges_of(mem, folded, headline, &ranges) : 0;

	if (count > 0 && text_code_points(content, length) > SNIPPET_CODE_POINTS)
		begin = step_back(content, ranges[0].begin, BEFORE_CODE_POINTS);
	end = window_end(content, length, begin);
	found->begin = (uint32_t)begin;
	found->end = (uint32_t)end;
	found->marks_count = 0;
	found->marks = ARENA_ARRAY(mem, 2 * count, uint32_t);
	size_t at = begin;
	for (size_t i = 0; i < count && ranges[i].begin < end; i++) {
		size_t stop = ranges[i].end < end ? ranges[i].end : end;
		if (ranges[i].begin < at || stop <= ranges[i].begin)
			continue;
		found->marks[found->marks_count++] = ranges[i].begin;
		found->marks[found->marks_count++] = (uint32_t)stop;
		at = stop;
	}
}
