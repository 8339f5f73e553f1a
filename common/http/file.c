#include "common/http/http.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define HTTP_DATE "%a, %d %b %Y %H:%M:%S GMT"

/* ---- Range */

/* Digits up to `end`; false when there are none, others, or too many. */
static bool number(const char **at, uint64_t *out)
{
	uint64_t value = 0;
	const char *begin = *at;

	for (; **at >= '0' && **at <= '9'; ++*at) {
		if (value > (UINT64_MAX - 9) / 10)
			return false;
		value = value * 10 + (uint64_t)(**at - '0');
	}
	*out = value;
	return *at != begin;
}

enum http_range http_range_parse(const char *text, uint64_t length, uint64_t *out_from, uint64_t *out_count)
{
	uint64_t first, last;

	if (text == NULL || strncasecmp(text, "bytes=", 6) != 0)
		return HTTP_RANGE_NONE;
	text += 6;
	text += strspn(text, " \t");
	if (*text == '-') {
		text++;
		if (!number(&text, &last) || text[strspn(text, " \t")] != '\0')
			return HTTP_RANGE_NONE;
		if (last == 0 || length == 0)
			return HTTP_RANGE_BEYOND;
		*out_count = last < length ? last : length;
		*out_from = length - *out_count;
		return HTTP_RANGE_ONE;
	}
	if (!number(&text, &first) || *text++ != '-')
		return HTTP_RANGE_NONE;
	bool has_last = number(&text, &last);
	if (text[strspn(text, " \t")] != '\0' || (has_last && last < first))
		return HTTP_RANGE_NONE;
	if (first >= length)
		return HTTP_RANGE_BEYOND;
	*out_from = first;
	*out_count = (has_last && last < length ? last + 1 : length) - first;
	return HTTP_RANGE_ONE;
}

/* ---- Content-Disposition */

const char *http_disposition(struct arena *mem, const char *name, bool download)
{
	static const char hex[] = "0123456789ABCDEF";
	const char *kind = download ? "attachment" : "inline";
	size_t length = strlen(name);
	char *plain = arena_alloc(mem, length + 1), *encoded = arena_alloc(mem, 3 * length + 1);
	char *p = plain, *e = encoded;

	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)name[i];
		bool attr = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			    (c != '\0' && strchr("!#$&+-.^_`|~", c) != NULL);
		if (attr) {
			*e++ = (char)c;
		} else {
			*e++ = '%';
			*e++ = hex[c >> 4];
			*e++ = hex[c & 15];
		}
		/* A percent sign as it stands would be decoded by some; of a character beyond ASCII one blank is left. */
		if (c >= 0x20 && c < 0x7F && c != '"' && c != '\\' && c != '%')
			*p++ = (char)c;
		else if (c < 0x80 || c >= 0xC0)
			*p++ = '_';
	}
	return arena_printf(mem, "%s; filename=\"%s\"; filename*=UTF-8''%s", kind, plain, encoded);
}

/* ---- conditions (RFC 9110, 13) */

/* Is the tag in the list, or the list "*"? Weak tags compare like strong ones here. */
static bool tag_listed(const char *list, const char *etag)
{
	size_t length = strlen(etag);

	while (*list != '\0') {
		list += strspn(list, " \t,");
		if (*list == '*')
			return true;
		if (strncmp(list, "W/", 2) == 0)
			list += 2;
		if (strncmp(list, etag, length) == 0)
			return true;
		if (*list == '"') { /* a comma may stand inside */
			const char *end = strchr(list + 1, '"');
			if (end == NULL)
				return false;
			list = end + 1;
		} else {
			list += strcspn(list, ",");
		}
	}
	return false;
}

static bool date_parse(const char *text, time_t *out)
{
	struct tm tm = {0};
	const char *end = strptime(text, HTTP_DATE, &tm);

	if (end == NULL || *end != '\0')
		return false;
	*out = timegm(&tm);
	return true;
}

static bool has_it(const struct http_request *rq, const struct http_file *file)
{
	const char *none = http_request_header(rq, "If-None-Match");
	const char *since = http_request_header(rq, "If-Modified-Since");
	time_t at;

	if (none != NULL)
		return tag_listed(none, file->etag);
	return since != NULL && date_parse(since, &at) && file->modified_ms / 1000 <= at;
}

/* A range of what the client has the rest of: only when that is still the same. */
static bool range_holds(const struct http_request *rq, const struct http_file *file)
{
	const char *same = http_request_header(rq, "If-Range");
	time_t at;

	if (same == NULL)
		return true;
	if (*same == '"')
		return strcmp(same, file->etag) == 0;
	return date_parse(same, &at) && file->modified_ms / 1000 == at;
}

void http_response_file(const struct http_request *rq, struct http_response *rs, const struct http_file *file)
{
	char *modified = arena_alloc(rq->mem, 32);
	time_t at = (time_t)(file->modified_ms / 1000);
	struct tm tm;
	uint64_t from = 0, count = file->length;

	gmtime_r(&at, &tm);
	strftime(modified, 32, HTTP_DATE, &tm);
	http_response_header(rs, "ETag", file->etag);
	http_response_header(rs, "Last-Modified", modified);
	if (has_it(rq, file)) {
		rs->code = 304;
		return;
	}
	enum http_range range = HTTP_RANGE_NONE;
	if (range_holds(rq, file))
		range = http_range_parse(http_request_header(rq, "Range"), file->length, &from, &count);
	http_response_header(rs, "Accept-Ranges", "bytes");
	http_response_header(rs, "X-Content-Type-Options", "nosniff");
	if (range == HTTP_RANGE_BEYOND) {
		rs->code = 416;
		rs->body = "";
		http_response_header(
			rs, "Content-Range", arena_printf(rq->mem, "bytes */%" PRIu64, file->length));
		return;
	}
	rs->code = range == HTTP_RANGE_ONE ? 206 : 200;
	if (range == HTTP_RANGE_ONE)
		http_response_header(rs, "Content-Range",
			arena_printf(rq->mem, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, from, from + count - 1,
				file->length));
	/* Nothing that somebody uploaded runs in the name of this host. */
	http_response_header(rs, "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox");
	if (file->name != NULL)
		http_response_header(
			rs, "Content-Disposition", http_disposition(rq->mem, file->name, file->download));
	rs->content_type = file->content_type;
	rs->file = arena_memdup(rq->mem, file, sizeof *file);
	rs->file_from = from;
	rs->file_length = count;
}
