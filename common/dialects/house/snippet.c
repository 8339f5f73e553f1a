#include "common/dialects/house/snippet.h"

#include <string.h>

#include "common/base/ids.h"
#include "common/dialects/house/markup.h"
#include "common/events/markup.h"

#define ESCAPED_MOST 6 /* "&quot;" */
#define MARKS_SIZE   (sizeof "<mark></mark>")
#define ELLIPSIS     "\xE2\x80\xA6"

/* Where an id stands that is shown as a UUID. */
struct spelled {
	size_t begin, end;
	uint64_t id;
};

struct piece {
	const char *content;
	size_t begin, end; /* the window */
	struct spelled *ids;
	size_t id_count, next;
	char *to;
};

static void find_ids(struct arena *mem, struct piece *p, size_t length, const pb_MentionsView *mentions)
{
	size_t room = 0;
	struct markup m;

	if (!house_markup_any(p->content, mentions))
		return;
	markup_begin(&m, mem, p->content, length, markup_id_decimal);
	while (house_markup_next(&m, mentions) && m.begin < p->end) {
		if (m.end <= p->begin)
			continue;
		p->begin = m.begin < p->begin ? m.begin : p->begin;
		p->end = m.end > p->end ? m.end : p->end;
		if (p->id_count == room) {
			p->ids = arena_grow(mem, p->ids, room * sizeof *p->ids, (room * 2 + 8) * sizeof *p->ids);
			room = room * 2 + 8;
		}
		p->ids[p->id_count++] = (struct spelled){m.id_begin, m.id_end, m.id};
	}
}

/* The id that `at` is inside of, or NULL. */
static const struct spelled *around(const struct piece *p, size_t at)
{
	for (size_t i = 0; i < p->id_count; i++)
		if (p->ids[i].begin < at && at < p->ids[i].end)
			return &p->ids[i];
	return NULL;
}

static void put_escaped(struct piece *p, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		char c = p->content[i];
		const char *entity = c == '<'    ? "&lt;"
				     : c == '>'  ? "&gt;"
				     : c == '&'  ? "&amp;"
				     : c == '"'  ? "&quot;"
				     : c == '\'' ? "&#39;"
						 : NULL;
		if (entity == NULL)
			*p->to++ = c;
		else
			p->to = stpcpy(p->to, entity);
	}
}

/* Neither end is inside of an id; called in the order of the text. */
static void put(struct piece *p, size_t from, size_t to)
{
	for (; p->next < p->id_count && p->ids[p->next].end <= to; p->next++) {
		const struct spelled *s = &p->ids[p->next];
		put_escaped(p, from, s->begin);
		ids_to_uuid(s->id, p->to);
		p->to += IDS_UUID_SIZE - 1;
		from = s->end;
	}
	put_escaped(p, from, to);
}

const char *house_snippet(struct arena *mem, const pb_FoundMessage *found)
{
	const pb_MessageView *message = &found->message;
	struct piece p = {.content = message->content != NULL ? message->content : ""};
	size_t length = strlen(p.content);

	p.end = found->end < length ? found->end : length;
	p.begin = found->begin < p.end ? found->begin : p.end;
	find_ids(mem, &p, length, message->has_mentions ? &message->mentions : NULL);
	char *out = p.to = arena_alloc(mem, (p.end - p.begin) * ESCAPED_MOST + p.id_count * IDS_UUID_SIZE +
						    found->marks_count / 2 * MARKS_SIZE + 2 * sizeof ELLIPSIS);
	size_t at = p.begin;

	if (p.begin > 0)
		p.to = stpcpy(p.to, ELLIPSIS);
	for (pb_size_t i = 0; i + 1 < found->marks_count; i += 2) {
		const struct spelled *first = around(&p, found->marks[i]), *last = around(&p, found->marks[i + 1]);
		size_t begin = first != NULL ? first->begin : found->marks[i];
		size_t end = last != NULL ? last->end : found->marks[i + 1];
		if (begin < at) /* of the same id as the mark before */
			begin = at;
		if (end > p.end)
			end = p.end;
		if (end <= begin)
			continue;
		put(&p, at, begin);
		p.to = stpcpy(p.to, "<mark>");
		put(&p, begin, end);
		p.to = stpcpy(p.to, "</mark>");
		at = end;
	}
	put(&p, at, p.end);
	if (p.end < length)
		p.to = stpcpy(p.to, ELLIPSIS);
	*p.to = '\0';
	return out;
}
