#include "common/http/multipart.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#include "common/base/text.h"

/* ---- parameters of a header: ; name=value, ; name="value" */

struct parameter {
	const char *name;
	size_t name_length;
	char *value; /* in mem */
};

static bool is_token(char c)
{
	return c > 0x20 && c < 0x7F && strchr("()<>@,;:\\\"/[]?=", c) == NULL;
}

/* Steps over one parameter. False at the end, and *out_bad when that is no end. */
static bool next_parameter(const char **at, struct arena *mem, struct parameter *out, bool *out_bad)
{
	const char *c = *at + strspn(*at, " \t");

	*out_bad = false;
	if (*c == '\0')
		return false;
	*out_bad = true;
	if (*c++ != ';')
		return false;
	c += strspn(c, " \t");
	if (*c == '\0') { /* a last semicolon does no harm */
		*out_bad = false;
		return false;
	}
	out->name = c;
	while (is_token(*c))
		c++;
	out->name_length = (size_t)(c - out->name);
	c += strspn(c, " \t");
	if (out->name_length == 0 || *c++ != '=')
		return false;
	c += strspn(c, " \t");
	char *to = out->value = arena_alloc(mem, strlen(c) + 1);
	if (*c == '"') {
		/* Browsers write %22 for a quote and a backslash as it is; others escape both. Only what can be meant is taken back. */
		for (c++; *c != '"'; c++) {
			if (*c == '\0')
				return false;
			if (*c == '\\' && (c[1] == '"' || c[1] == '\\') && c[2] != '\0')
				c++;
			*to++ = *c;
		}
		c++;
	} else {
		while (is_token(*c))
			*to++ = *c++;
	}
	*at = c;
	return true;
}

static bool parameter_is(const struct parameter *p, const char *name)
{
	return p->name_length == strlen(name) && strncasecmp(p->name, name, p->name_length) == 0;
}

enum status multipart_begin(struct multipart *m, const char *content_type, multipart_read_fn *read, void *arg)
{
	static const char media[] = "multipart/form-data";
	struct parameter p;
	bool bad = false;
	enum status st = STATUS_BAD_MEDIA;

	if (content_type == NULL || strncasecmp(content_type, media, sizeof media - 1) != 0)
		return STATUS_BAD_MEDIA;
	struct arena *mem = arena_create();
	const char *at = content_type + sizeof media - 1;
	while (st != STATUS_OK && next_parameter(&at, mem, &p, &bad)) {
		size_t length = strlen(p.value);
		if (!parameter_is(&p, "boundary") || length == 0 || length > MULTIPART_BOUNDARY_MOST ||
			strpbrk(p.value, "\r\n") != NULL)
			continue;
		*m = (struct multipart){.read = read, .arg = arg};
		memcpy(m->delimiter, "\r\n--", 4);
		memcpy(m->delimiter + 4, p.value, length);
		m->delimiter_length = length + 4;
		/* The first one has no line break in front of it. */
		memcpy(m->buffer, "\r\n", 2);
		m->end = 2;
		st = STATUS_OK;
	}
	arena_destroy(mem);
	return st;
}

/* ---- the buffer */

/* More of the body behind what there is. STATUS_MALFORMED: it has ended, or there is no room. */
static enum status fill(struct multipart *m)
{
	size_t n = 0;

	if (m->begin > 0) {
		memmove(m->buffer, m->buffer + m->begin, m->end - m->begin);
		m->end -= m->begin;
		m->begin = 0;
	}
	if (m->end == sizeof m->buffer)
		return STATUS_MALFORMED;
	enum status st = m->read(m->arg, m->buffer + m->end, sizeof m->buffer - m->end, &n);
	if (st != STATUS_OK)
		return st;
	if (n == 0)
		return STATUS_MALFORMED;
	assert(n <= sizeof m->buffer - m->end);
	m->end += n;
	return STATUS_OK;
}

static enum status need(struct multipart *m, size_t bytes)
{
	while (m->end - m->begin < bytes) {
		enum status st = fill(m);
		if (st != STATUS_OK)
			return st;
	}
	return STATUS_OK;
}

/* What lies before the next delimiter, as far as it is known. *out_found: the delimiter follows it. */
static size_t before_delimiter(const struct multipart *m, bool *out_found)
{
	const char *from = m->buffer + m->begin;
	size_t have = m->end - m->begin;
	const char *at = memmem(from, have, m->delimiter, m->delimiter_length);

	*out_found = at != NULL;
	if (at != NULL)
		return (size_t)(at - from);
	/* Only what can begin one has to wait: most of what is uploaded has no CR near. */
	size_t tail = have < m->delimiter_length - 1 ? have : m->delimiter_length - 1;
	for (; tail > 0; tail--)
		if (memcmp(from + have - tail, m->delimiter, tail) == 0)
			break;
	return have - tail;
}

/* Up to the delimiter and over it. bytes NULL: dropped. */
static enum status take(struct multipart *m, void *bytes, size_t most, size_t *out_n)
{
	bool found;

	*out_n = 0;
	for (;;) {
		size_t n = before_delimiter(m, &found);
		if (n == 0 && found) {
			m->begin += m->delimiter_length;
			m->where = MULTIPART_BETWEEN;
			return STATUS_OK;
		}
		if (n > 0) {
			n = n < most ? n : most;
			if (bytes != NULL)
				memcpy(bytes, m->buffer + m->begin, n);
			m->begin += n;
			*out_n = n;
			return STATUS_OK;
		}
		enum status st = fill(m);
		if (st != STATUS_OK)
			return st;
	}
}

enum status multipart_read(struct multipart *m, void *bytes, size_t most, size_t *out_n)
{
	*out_n = 0;
	if (m->where != MULTIPART_INSIDE)
		return STATUS_OK;
	return take(m, bytes, most, out_n);
}

/* ---- headers of a part */

static enum status disposition(struct arena *mem, const char *value, struct multipart_part *out)
{
	struct parameter p;
	bool bad = false;

	if (strncasecmp(value, "form-data", 9) != 0)
		return STATUS_MALFORMED;
	value += 9;
	while (next_parameter(&value, mem, &p, &bad)) {
		if (!text_is_utf8(p.value, strlen(p.value)))
			return STATUS_MALFORMED;
		if (parameter_is(&p, "name"))
			out->name = p.value;
		else if (parameter_is(&p, "filename"))
			out->filename = p.value;
	}
	return bad ? STATUS_MALFORMED : STATUS_OK;
}

/* lines: NUL-terminated, each ended by CR LF. */
static enum status headers(struct arena *mem, char *lines, struct multipart_part *out)
{
	static const char wanted[] = "Content-Disposition";
	bool seen = false;

	for (char *line = lines, *next; *line != '\0'; line = next) {
		char *end = strstr(line, "\r\n");
		if (end == NULL)
			return STATUS_MALFORMED;
		*end = '\0';
		next = end + 2;
		char *colon = strchr(line, ':');
		if (colon == NULL)
			return STATUS_MALFORMED;
		if ((size_t)(colon - line) != sizeof wanted - 1 || strncasecmp(line, wanted, sizeof wanted - 1) != 0)
			continue;
		if (seen)
			return STATUS_MALFORMED;
		seen = true;
		enum status st = disposition(mem, colon + 1 + strspn(colon + 1, " \t"), out);
		if (st != STATUS_OK)
			return st;
	}
	return seen ? STATUS_OK : STATUS_MALFORMED;
}

/* Behind a delimiter: the rest of its line, and headers up to an empty line. */
static enum status begin_part(struct multipart *m, struct arena *mem, struct multipart_part *out)
{
	enum status st = need(m, 2);

	if (st != STATUS_OK)
		return st;
	if (memcmp(m->buffer + m->begin, "--", 2) == 0) {
		m->where = MULTIPART_OVER;
		return STATUS_NOT_FOUND;
	}
	while (m->buffer[m->begin] == ' ' || m->buffer[m->begin] == '\t') {
		m->begin++;
		st = need(m, 2);
		if (st != STATUS_OK)
			return st;
	}
	if (memcmp(m->buffer + m->begin, "\r\n", 2) != 0 || ++m->parts > MULTIPART_PARTS_MOST)
		return STATUS_MALFORMED;
	const char *end;
	while ((end = memmem(m->buffer + m->begin, m->end - m->begin, "\r\n\r\n", 4)) == NULL) {
		st = fill(m);
		if (st != STATUS_OK)
			return st;
	}
	size_t length = (size_t)(end - (m->buffer + m->begin)); /* from the line break that ends the delimiter's line */
	const char *lines = m->buffer + m->begin + 2;
	if (length == 0 || memchr(lines, '\0', length) != NULL)
		return STATUS_MALFORMED;
	char *copy = arena_strndup(mem, lines, length); /* with the line break of the last one */
	m->begin += length + 4;
	m->where = MULTIPART_INSIDE;
	*out = (struct multipart_part){.name = ""};
	return headers(mem, copy, out);
}

enum status multipart_next(struct multipart *m, struct arena *mem, struct multipart_part *out)
{
	size_t n;

	while (m->where == MULTIPART_OUTSIDE || m->where == MULTIPART_INSIDE) {
		enum status st = take(m, NULL, sizeof m->buffer, &n);
		if (st != STATUS_OK)
			return st;
	}
	return m->where == MULTIPART_OVER ? STATUS_NOT_FOUND : begin_part(m, mem, out);
}
