#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/http/parts.h"

/* A file is read and written in parts of this size, and who takes less than this of it a second holds a worker no longer. */
#define FILE_PART             ((size_t)256 << 10)
#define FILE_PATIENCE_MS      30000
#define FILE_SLOWEST_BYTES_MS 32

/* ---- one buffer, one write */

struct output {
	char *bytes;
	size_t length;
};

static void put(struct output *o, const char *bytes, size_t n)
{
	memcpy(o->bytes + o->length, bytes, n);
	o->length += n;
}

static void put_text(struct output *o, const char *text)
{
	put(o, text, strlen(text));
}

static void put_number(struct output *o, size_t number)
{
	char digits[24];

	put(o, digits, (size_t)snprintf(digits, sizeof digits, "%zu", number));
}

/* A line break in a value would begin a header of the client's choosing. */
static void put_header(struct output *o, const char *name, const char *value)
{
	put_text(o, name);
	put(o, ": ", 2);
	for (; *value != '\0'; value++)
		o->bytes[o->length++] = (unsigned char)*value < 0x20 || *value == 0x7F ? ' ' : *value;
	put(o, "\r\n", 2);
}

static const char *date_now(struct response_date *date)
{
	time_t now = time(NULL);
	struct tm tm;

	if (now != date->at) {
		gmtime_r(&now, &tm);
		strftime(date->text, sizeof date->text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
		date->at = now;
	}
	return date->text;
}

static bool code_has_body(int code)
{
	return code >= 200 && code != 204 && code != 304;
}

/* Behind the head. False: the rest of what was announced will not come. */
static bool write_file(struct mg_connection *conn, const struct http_response *rs)
{
	uint64_t from = rs->file_from, left = rs->file_length;
	int64_t until = clock_mono_ms() + FILE_PATIENCE_MS + (int64_t)(left / FILE_SLOWEST_BYTES_MS);

	while (left > 0) {
		const void *bytes = NULL;
		size_t n = 0;
		if (clock_mono_ms() > until ||
			rs->file->read(rs->file->arg, from, left < FILE_PART ? (size_t)left : FILE_PART, &bytes, &n) !=
				STATUS_OK ||
			n == 0 || n > left || mg_write(conn, bytes, n) != (int)n)
			return false;
		from += n;
		left -= n;
	}
	return true;
}

void response_write(struct mg_connection *conn, struct response_date *date, struct arena *mem, const char *method,
	const struct http_response *rs, enum response_then then)
{
	struct output o = {0};
	int code = rs->code >= 200 && rs->code <= 599 ? rs->code : 500;
	bool has_body = code_has_body(code);
	size_t size = 512 + rs->body_length;

	for (size_t i = 0; i < rs->header_count; i++)
		size += strlen(rs->headers[i].name) + strlen(rs->headers[i].value) + 4;
	if (rs->content_type != NULL)
		size += strlen(rs->content_type);
	o.bytes = arena_grow(mem, NULL, 0, size);
	put(&o, "HTTP/1.1 ", 9);
	put_number(&o, (size_t)code);
	put(&o, " ", 1);
	put_text(&o, mg_get_response_code_text(conn, code));
	put(&o, "\r\n", 2);
	put_header(&o, "Date", date_now(date));
	if (has_body) {
		if (rs->content_type != NULL)
			put_header(&o, "Content-Type", rs->content_type);
		put_text(&o, "Content-Length: ");
		put_number(&o, rs->file != NULL ? rs->file_length : rs->body_length);
		put(&o, "\r\n", 2);
	}
	if (then == RESPONSE_CLOSE)
		put_text(&o, "Connection: close\r\n");
	else if (then == RESPONSE_KEEP_AND_SAY_SO)
		put_text(&o, "Connection: keep-alive\r\n");
	for (size_t i = 0; i < rs->header_count; i++)
		put_header(&o, rs->headers[i].name, rs->headers[i].value);
	put(&o, "\r\n", 2);
	bool sends = has_body && strcmp(method, "HEAD") != 0;
	if (sends && rs->file == NULL && rs->body_length > 0)
		put(&o, rs->body, rs->body_length);
	if (mg_write(conn, o.bytes, o.length) != (int)o.length)
		then = RESPONSE_CLOSE;
	else if (sends && rs->file != NULL && !write_file(conn, rs))
		then = RESPONSE_CLOSE;
	if (then == RESPONSE_CLOSE)
		mg_disable_connection_keep_alive(conn);
}

void response_refuse(struct http_response *rs, struct arena *mem, int code, enum status st, const char *title)
{
	rs->code = code;
	rs->content_type = "application/problem+json";
	rs->body =
		arena_printf(mem, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"code\":\"%s\"}",
			title, code, status_wire(st));
	rs->body_length = strlen(rs->body);
}
