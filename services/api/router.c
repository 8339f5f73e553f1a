#include "services/api/router.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/http/http.h"

/* One segment of template and path each; the path's may be empty. Both begin behind a slash. */
struct segment {
	const char *begin;
	size_t length;
};

static struct segment segment_at(const char *text)
{
	return (struct segment){text, strcspn(text, "/")};
}

/* Where the parameter of a template's segment begins; its length when it has none. */
static size_t param_begin(struct segment s)
{
	const char *brace = s.length >= 2 && s.begin[s.length - 1] == '}' ? memchr(s.begin, '{', s.length) : NULL;

	return brace == NULL ? s.length : (size_t)(brace - s.begin);
}

static bool segment_fits(struct segment t, struct segment p)
{
	size_t literal = param_begin(t);

	if (p.length < literal || memcmp(t.begin, p.begin, literal) != 0)
		return false;
	return literal == t.length ? p.length == literal : p.length > literal;
}

static bool fits(const char *template, const char *path)
{
	for (;;) {
		if (*template != '/' || *path != '/')
			return *template == *path;
		struct segment t = segment_at(++template), p = segment_at(++path);
		if (!segment_fits(t, p))
			return false;
		template += t.length;
		path += p.length;
	}
}

/* How exactly a segment names what it fits. */
static size_t exactness(struct segment s)
{
	size_t literal = param_begin(s);

	return literal == s.length ? SIZE_MAX : literal;
}

/* Of two templates that fit one path: is a's first differing segment the more literal one? */
static bool more_literal(const char *a, const char *b)
{
	while (*a == '/' && *b == '/') {
		struct segment in_a = segment_at(++a), in_b = segment_at(++b);
		if (exactness(in_a) != exactness(in_b))
			return exactness(in_a) > exactness(in_b);
		a += in_a.length;
		b += in_b.length;
	}
	return false;
}

static enum status take_params(
	struct arena *mem, const char *template, const char *path, struct route_match *match)
{
	while (*template == '/' && *path == '/') {
		struct segment t = segment_at(++template), p = segment_at(++path);
		size_t literal = param_begin(t);
		if (literal < t.length && match->count < ROUTE_PARAMS_MAX) {
			size_t length;
			const char *value =
				http_decode(mem, p.begin + literal, p.length - literal, false, &length);
			if (value == NULL)
				return STATUS_NOT_FOUND;
			match->names[match->count] = t.begin + literal + 1;
			match->values[match->count++] = value;
		}
		template += t.length;
		path += p.length;
	}
	return STATUS_OK;
}

static const char *allow_of(
	const struct route *routes, size_t count, struct arena *mem, const char *path, const char *template)
{
	const char *allow = "OPTIONS";

	for (size_t i = count; i-- > 0;) {
		if (!fits(routes[i].path, path) || strcmp(routes[i].path, template) != 0)
			continue;
		allow = arena_printf(mem, "%s%s, %s", routes[i].method,
			strcmp(routes[i].method, "GET") == 0 ? ", HEAD" : "", allow);
	}
	return allow;
}

enum status router_match(const struct route *routes, size_t count, struct arena *mem, const char *method,
	const char *path, struct route_match *out_match, const char **out_allow)
{
	const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
	const struct route *best = NULL;

	/* The most literal template that fits, whatever its method: /sessions/current is not
	 * /sessions/{session}. */
	for (size_t i = 0; i < count; i++) {
		if (fits(routes[i].path, path) && (best == NULL || more_literal(routes[i].path, best->path)))
			best = &routes[i];
	}
	if (best == NULL)
		return STATUS_NO_ROUTE;
	for (size_t i = 0; i < count; i++) {
		const struct route *r = &routes[i];
		if (strcmp(r->method, wanted) == 0 && strcmp(r->path, best->path) == 0) {
			struct route_match match = {.route = r};
			enum status st = take_params(mem, r->path, path, &match);
			if (st == STATUS_OK)
				*out_match = match;
			return st;
		}
	}
	*out_allow = allow_of(routes, count, mem, path, best->path);
	return STATUS_WRONG_METHOD;
}

const char *route_param(const struct route_match *match, const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < match->count; i++) {
		if (strncmp(match->names[i], name, length) == 0 && match->names[i][length] == '}')
			return match->values[i];
	}
	return NULL;
}
