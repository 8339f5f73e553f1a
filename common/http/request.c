#include "common/http/http.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#include "common/base/text.h"

const char *http_request_header(const struct http_request *rq, const char *name)
{
	for (size_t i = 0; i < rq->header_count; i++)
		if (strcasecmp(rq->headers[i].name, name) == 0)
			return rq->headers[i].value;
	return NULL;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

const char *http_decode(
	struct arena *mem, const char *text, size_t length, bool plus_is_blank, size_t *out_length)
{
	char *decoded = arena_strndup(mem, text, length);
	size_t n = 0;

	for (size_t i = 0; i < length; i++) {
		char c = text[i];
		if (c == '%') {
			if (length - i < 3 || hex_value(text[i + 1]) < 0 || hex_value(text[i + 2]) < 0)
				return NULL;
			c = (char)(hex_value(text[i + 1]) << 4 | hex_value(text[i + 2]));
			i += 2;
		} else if (c == '+' && plus_is_blank) {
			c = ' ';
		}
		decoded[n++] = c;
	}
	if (!text_is_utf8(decoded, n))
		return NULL;
	decoded[n] = '\0';
	*out_length = n;
	return decoded;
}

struct parameter {
	const char *name;
	size_t name_length;
	const char *value; /* "" when there is no '=' */
	size_t value_length;
};

/* Steps through name=value pairs that are still encoded; empty ones are skipped. */
static bool next_parameter(const char **at, struct parameter *out)
{
	while (**at == '&')
		++*at;
	size_t length = strcspn(*at, "&");
	if (length == 0)
		return false;
	const char *equals = memchr(*at, '=', length);
	out->name = *at;
	out->name_length = equals == NULL ? length : (size_t)(equals - *at);
	out->value = equals == NULL ? *at + length : equals + 1;
	out->value_length = (size_t)(*at + length - out->value);
	*at += length;
	return true;
}

static bool parameter_is(const struct http_request *rq, const struct parameter *p, const char *name)
{
	size_t n = strlen(name);

	if (p->name_length == n && memcmp(p->name, name, n) == 0)
		return true;
	if (memchr(p->name, '%', p->name_length) == NULL && memchr(p->name, '+', p->name_length) == NULL)
		return false;
	const char *decoded = http_decode(rq->mem, p->name, p->name_length, true, &n);
	return decoded != NULL && strcmp(decoded, name) == 0;
}

const char *http_query(const struct http_request *rq, const char *name, bool *out_bad)
{
	const char *at = rq->query;
	struct parameter p;
	size_t n;

	while (next_parameter(&at, &p)) {
		if (!parameter_is(rq, &p, name))
			continue;
		const char *value = http_decode(rq->mem, p.value, p.value_length, true, &n);
		if (value == NULL && out_bad != NULL)
			*out_bad = true;
		return value;
	}
	return NULL;
}

void http_query_each(const struct http_request *rq,
	bool (*visit)(void *arg, const char *name, const char *value), void *arg)
{
	const char *at = rq->query;
	struct parameter p;
	size_t n;

	while (next_parameter(&at, &p)) {
		const char *name = http_decode(rq->mem, p.name, p.name_length, true, &n);
		const char *value = http_decode(rq->mem, p.value, p.value_length, true, &n);
		if (name != NULL && value != NULL && !visit(arg, name, value))
			return;
	}
}

void http_response_header(struct http_response *rs, const char *name, const char *value)
{
	assert(rs->header_count < sizeof rs->headers / sizeof *rs->headers);
	rs->headers[rs->header_count++] = (struct http_header){name, value};
}
