#include "common/events/markup.h"

#include <string.h>

bool markup_id_decimal(const char *text, size_t length, uint64_t *out_id)
{
	uint64_t id = 0;

	if (length == 0 || length > 19 || text[0] == '0')
		return false;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		id = id * 10 + (uint64_t)(text[i] - '0'); /* 19 digits stay below 2^64 */
	}
	if (id > INT64_MAX)
		return false;
	*out_id = id;
	return true;
}

void markup_begin(struct markup *m, struct arena *mem, const char *text, size_t length, markup_id_fn *read_id)
{
	*m = (struct markup){.mem = mem, .text = text, .length = length, .read_id = read_id};
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* ---- code */

static size_t run_at(const struct markup *m, size_t at)
{
	size_t end = at;

	while (end < m->length && m->text[end] == '`')
		end++;
	return end - at;
}

/* Where the last run of each length is, so that one without an end costs no search for it. */
static void find_runs(struct markup *m)
{
	size_t room = 0;

	for (size_t at = 0; at < m->length; at++) {
		size_t run = run_at(m, at);
		if (run > room)
			room = run;
		at += run;
	}
	m->longest_run = room;
	m->last_run = ARENA_ARRAY(m->mem, room + 1, size_t);
	for (size_t at = 0; at < m->length; at++) {
		size_t run = run_at(m, at);
		if (run > 0)
			m->last_run[run] = at + 1;
		at += run;
	}
}

/* At a backtick: goes behind the code, or behind the run when nothing ends it. */
static void skip_code(struct markup *m)
{
	size_t run = run_at(m, m->at);

	if (m->last_run == NULL)
		find_runs(m);
	bool ends = m->last_run[run] > m->at + 1;
	m->at += run;
	while (ends && m->at < m->length) {
		size_t other = run_at(m, m->at);
		m->at += other > 0 ? other : 1;
		ends = other != run;
	}
}

/* ---- tokens */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The '>' behind a label that begins here. What a label takes is not looked at again, and where no '>' follows none is looked for
 * twice. */
static const char *label_end(struct markup *m, size_t at)
{
	const char *end = m->unclosed ? NULL : memchr(m->text + at, '>', m->length - at);

	m->unclosed = end == NULL;
	return end;
}

/* The id between `at` and the next '>', or the blank before a label. */
static bool take_id(struct markup *m, size_t at)
{
	bool labels = m->labels && (m->token == MARKUP_USER || m->token == MARKUP_CHANNEL);
	size_t end = at;

	while (end < m->length && end - at <= MARKUP_ID_BYTES_MAX && m->text[end] != '>' &&
		!(labels && is_blank(m->text[end])))
		end++;
	if (end == m->length || end - at > MARKUP_ID_BYTES_MAX ||
		!m->read_id(m->text + at, end - at, &m->id))
		return false;
	const char *closed = m->text[end] == '>' ? m->text + end : label_end(m, end);
	if (closed == NULL)
		return false;
	m->id_begin = at;
	m->id_end = end;
	m->begin = m->at;
	m->end = (size_t)(closed - m->text) + 1;
	return true;
}

static bool take_bracket(struct markup *m)
{
	const char *text = m->text;
	size_t at = m->at + 1;

	if (at + 1 >= m->length)
		return false;
	switch (text[at]) {
	case '@':
		m->token = text[at + 1] == '&' ? MARKUP_ROLE : MARKUP_USER;
		return take_id(m, m->token == MARKUP_ROLE ? at + 2 : at + 1);
	case '#':
		m->token = MARKUP_CHANNEL;
		return take_id(m, at + 1);
	case ':': {
		size_t name = at + 1, end = name;
		while (end < m->length && end - name <= MARKUP_EMOJI_NAME_MAX && is_word(text[end]))
			end++;
		m->token = MARKUP_EMOJI;
		return end > name && end - name <= MARKUP_EMOJI_NAME_MAX && end < m->length && text[end] == ':' &&
		       take_id(m, end + 1);
	}
	default:
		return false;
	}
}

static bool take_word(struct markup *m)
{
	static const struct {
		const char *word;
		size_t length;
		enum markup_token token;
	} words[] = {{"@everyone", 9, MARKUP_EVERYONE}, {"@here", 5, MARKUP_HERE}};

	if (m->at > 0 && is_word(m->text[m->at - 1]))
		return false;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		size_t end = m->at + words[i].length;
		if (end > m->length || memcmp(m->text + m->at, words[i].word, words[i].length) != 0 ||
			(end < m->length && is_word(m->text[end])))
			continue;
		m->token = words[i].token;
		m->begin = m->at;
		m->end = end;
		m->id = 0;
		m->id_begin = m->id_end = 0;
		return true;
	}
	return false;
}

bool markup_next(struct markup *m)
{
	while (m->at < m->length) {
		bool found = false;
		switch (m->text[m->at]) {
		case '`':
			skip_code(m);
			continue;
		case '<':
			found = take_bracket(m);
			break;
		case '@':
			found = take_word(m);
			break;
		default:
			break;
		}
		m->at = found ? m->end : m->at + 1;
		if (found)
			return true;
	}
	return false;
}
