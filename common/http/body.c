#include <string.h>
#include <strings.h>

#include "common/base/clock.h"
#include "common/http/parts.h"

#define DRAIN_BYTES     ((size_t)1 << 20)
#define DRAIN_MS        5000
#define FIRST_BODY_PART ((size_t)4096)

/* Two readings of where a body ends are how one request smuggles in another behind a proxy (RFC 9112, 11.2):
 * civetweb would take "12abc" for 12 and, of several lengths, the first. */
static bool framing_is_plain(const struct http_request *rq)
{
	const char *length = NULL, *encoding = NULL;

	for (size_t i = 0; i < rq->header_count; i++) {
		const struct http_header *h = &rq->headers[i];
		if (strcasecmp(h->name, "Content-Length") == 0) {
			if (length != NULL || h->value[0] == '\0' ||
				h->value[strspn(h->value, "0123456789")] != '\0')
				return false;
			length = h->value;
		} else if (strcasecmp(h->name, "Transfer-Encoding") == 0) {
			if (encoding != NULL)
				return false;
			encoding = h->value;
		}
	}
	return length == NULL || encoding == NULL;
}

static void say_continue(struct mg_connection *conn, const struct http_request *rq)
{
	static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
	const char *expect = http_request_header(rq, "Expect");

	if (expect != NULL && strcasecmp(expect, "100-continue") == 0)
		mg_write(conn, line, sizeof line - 1);
}

static void read_sized(struct mg_connection *conn, struct http_request *rq, size_t length)
{
	char *body = arena_grow(rq->mem, NULL, 0, length + 1);
	size_t have = 0;

	while (have < length) {
		int n = mg_read(conn, body + have, length - have);
		if (n <= 0) {
			rq->body_broken = true;
			return;
		}
		have += (size_t)n;
	}
	body[length] = '\0';
	rq->body = body;
	rq->body_length = length;
}

static void read_chunked(struct mg_connection *conn, struct http_request *rq, size_t most)
{
	size_t have = 0, capacity = FIRST_BODY_PART;
	char *body = arena_grow(rq->mem, NULL, 0, capacity);

	for (;;) {
		if (capacity - have == 1) {
			body = arena_grow(rq->mem, body, capacity, capacity * 2);
			capacity *= 2;
		}
		size_t room = capacity - have - 1;
		if (room > most - have + 1)
			room = most - have + 1; /* one byte past the bound is enough to know */
		int n = mg_read(conn, body + have, room);
		if (n < 0) {
			rq->body_broken = true;
			return;
		}
		if (n == 0)
			break;
		have += (size_t)n;
		if (have > most) {
			rq->body_too_large = true;
			return;
		}
	}
	body[have] = '\0';
	rq->body = body;
	rq->body_length = have;
}

void body_read(struct mg_connection *conn, struct patience *patience, long long content_length, size_t most, int time_ms,
	struct http_request *rq)
{
	struct patience_wait wait = {0};
	int64_t until_mono_ms = clock_mono_ms() + time_ms;

	if (!framing_is_plain(rq)) {
		rq->body_broken = true;
		return;
	}
	if (content_length > 0 || http_request_header(rq, "Transfer-Encoding") != NULL)
		patience_begin(patience, &wait, conn, until_mono_ms);
	if (content_length > 0 && (unsigned long long)content_length > most) {
		rq->body_too_large = true;
	} else if (content_length > 0) {
		say_continue(conn, rq);
		read_sized(conn, rq, (size_t)content_length);
	} else if (http_request_header(rq, "Transfer-Encoding") != NULL) {
		say_continue(conn, rq);
		read_chunked(conn, rq, most);
	}
	patience_end(patience, &wait);
	rq->body_late = rq->body_broken && clock_mono_ms() >= until_mono_ms;
}

/* ---- a body that its handler reads */

void body_stream_begin(struct http_stream *stream, struct mg_connection *conn, struct patience *patience, long long content_length,
	const struct http_request *rq)
{
	*stream = (struct http_stream){.conn = conn, .patience = patience, .most = UINT64_MAX, .deadline_mono_ms = INT64_MAX};
	if (!framing_is_plain(rq))
		stream->status = STATUS_MALFORMED;
	else if (content_length > 0)
		stream->left = (uint64_t)content_length;
	else
		stream->chunked = http_request_header(rq, "Transfer-Encoding") != NULL;
	stream->ended = stream->status == STATUS_OK && !stream->chunked && stream->left == 0;
}

void body_stream_end(struct http_stream *stream)
{
	patience_end(stream->patience, &stream->wait);
}

void http_body_bound(const struct http_request *rq, uint64_t most_bytes, int64_t deadline_mono_ms)
{
	body_stream_end(rq->stream);
	patience_begin(rq->stream->patience, &rq->stream->wait, rq->stream->conn, deadline_mono_ms);
	rq->stream->most = most_bytes;
	rq->stream->deadline_mono_ms = deadline_mono_ms;
	if (rq->stream->status == STATUS_OK && rq->stream->left > most_bytes)
		rq->stream->status = STATUS_TOO_LARGE; /* it need not come to be refused */
}

enum status http_body_read(const struct http_request *rq, void *bytes, size_t most, size_t *out_n)
{
	struct http_stream *stream = rq->stream;

	*out_n = 0;
	if (stream->status != STATUS_OK || stream->ended)
		return stream->status;
	if (clock_mono_ms() >= stream->deadline_mono_ms)
		return stream->status = STATUS_LATE;
	if (!stream->begun)
		say_continue(stream->conn, rq);
	stream->begun = true;
	if (!stream->chunked && most > stream->left)
		most = (size_t)stream->left;
	int n = mg_read(stream->conn, bytes, most);
	if (n <= 0 && clock_mono_ms() >= stream->deadline_mono_ms)
		return stream->status = STATUS_LATE;
	if (n < 0 || (n == 0 && !stream->chunked))
		return stream->status = STATUS_MALFORMED;
	if ((uint64_t)n > stream->most)
		return stream->status = STATUS_TOO_LARGE;
	stream->most -= (uint64_t)n;
	if (!stream->chunked)
		stream->left -= (uint64_t)n;
	stream->ended = stream->chunked ? n == 0 : stream->left == 0;
	*out_n = (size_t)n;
	return STATUS_OK;
}

void body_drain(struct mg_connection *conn, struct patience *patience)
{
	struct patience_wait wait = {0};
	char dropped[4096];
	size_t total = 0;
	int64_t until = clock_mono_ms() + DRAIN_MS;

	patience_begin(patience, &wait, conn, until);
	while (total < DRAIN_BYTES && clock_mono_ms() < until) {
		int n = mg_read(conn, dropped, sizeof dropped);
		if (n <= 0)
			break;
		total += (size_t)n;
	}
	patience_end(patience, &wait);
}
