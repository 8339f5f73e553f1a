/*
 * http - the one place that knows civetweb (http.c, body.c, response.c). A server with a worker pool that hands complete requests (head, query,
 * body up to a bound) to one function and writes its response with a single mg_write. Used by api and by ops.
 * What is large goes through in pieces: a request's body is read by the handler as it comes where the options say so, and a
 * response may be a file, which is read while it is written.
 *
 * The handler runs on a worker thread, many at a time, and may block. Everything in the request is borrowed until
 * it returns; the response's body and header values must live until then as well (use request->mem).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/status.h"

struct http_header {
	const char *name;
	const char *value;
};

struct http_request {
	struct arena *mem;        /* one a request; dies after the response is written */
	const char *method;       /* upper case as sent */
	const char *path;         /* as sent, still percent-encoded, without the query */
	const char *query;        /* without '?', "" when absent */
	const char *body;         /* NUL-terminated copy; length counts */
	size_t body_length;
	bool body_too_large;      /* the body passed the bound: nothing of it was kept */
	bool body_broken;         /* the client went away, or where the body ends is malformed or ambiguous */
	bool body_late;           /* broken because it was not whole in time */
	const char *remote;       /* address of the client: X-Forwarded-For is believed from trusted proxies only */
	const struct http_header *headers;
	size_t header_count;
	struct http_stream *stream; /* not NULL: the body is the handler's to read (http_body_read), `body` is "" */
};

/* Header by name without regard to case; NULL when absent. */
const char *http_request_header(const struct http_request *rq, const char *name);
/* Percent-decodes into mem ('+' as blank when plus_is_blank). NULL on a bad escape, bad UTF-8 or NUL. */
const char *http_decode(struct arena *mem, const char *text, size_t length, bool plus_is_blank, size_t *out_length);
/* First value of a query parameter, decoded; NULL when absent; "" when empty.
 * *out_bad, if given, becomes true when it is there but does not decode. */
const char *http_query(const struct http_request *rq, const char *name, bool *out_bad);
/* Calls visit for every parameter in order until it returns false. What does not decode is left out. */
void http_query_each(const struct http_request *rq, bool (*visit)(void *arg, const char *name, const char *value), void *arg);

/*
 * A streamed body: what may come of it and until when, and its next bytes. http_body_read blocks for as long as nothing comes,
 * request_ms at most, and is told to stop by the deadline in between. *out_n is 0 at its end.
 *
 * STATUS_OK; STATUS_TOO_LARGE past the bound; STATUS_LATE past the deadline; STATUS_MALFORMED when the client went away, or where
 * the body ends is malformed or ambiguous. After anything but OK every further read answers the same.
 */
void http_body_bound(const struct http_request *rq, uint64_t most_bytes, int64_t deadline_mono_ms);
enum status http_body_read(const struct http_request *rq, void *bytes, size_t most, size_t *out_n);

/* What a response is read from while it is written. Strings are borrowed until then. */
struct http_file {
	const char *content_type;
	const char *name;    /* what a client that saves it shall call it, or NULL */
	bool download;       /* to be saved, not shown */
	const char *etag;    /* with its quotes; names these very bytes */
	int64_t modified_ms; /* wall clock */
	uint64_t length;
	/* Bytes from `from` on, at least one and at most `most`; they stay until the next call. Anything but OK ends the connection. */
	enum status (*read)(void *arg, uint64_t from, size_t most, const void **out_bytes, size_t *out_n);
	void *arg;
};

struct http_response {
	int code;
	const char *content_type; /* NULL: no body expected */
	const char *body;
	size_t body_length;
	struct http_header headers[24];
	size_t header_count;
	const struct http_file *file; /* instead of body */
	uint64_t file_from, file_length;
};

void http_response_header(struct http_response *rs, const char *name, const char *value);
/*
 * http_response_file - answers a GET or HEAD with a file, or with the part of it that was asked for: 200, 206, 304 or 416
 * (RFC 9110, 13 and 14; of several ranges none is served: the whole file is). The browser is told not to guess another type and
 * not to run anything in it. file is copied into rq->mem.
 */
void http_response_file(const struct http_request *rq, struct http_response *rs, const struct http_file *file);

/* file.c: the Range header. ONE: *out_count bytes from *out_from on. NONE: absent, not understood, or several: the whole. */
enum http_range { HTTP_RANGE_NONE, HTTP_RANGE_ONE, HTTP_RANGE_BEYOND };
enum http_range http_range_parse(const char *text, uint64_t length, uint64_t *out_from, uint64_t *out_count);
/* file.c: the value of Content-Disposition (RFC 6266 with RFC 8187): the name twice, for who reads only ASCII and for the others. */
const char *http_disposition(struct arena *mem, const char *name, bool download);

struct http_options {
	const char *listen;          /* "host:port"; port 0 picks one */
	int workers;                 /* threads; a connection that is kept alive owns one. Fewer where nofile is low (logged) */
	int waiting;                 /* connections that wait for a worker; 0: 1024. Fewer where nofile is low: none is ever accepted
	                                without a file for it */
	int keepalive_ms;            /* 0: close after each response */
	size_t max_body_bytes;
	int request_ms;              /* for a whole head after its first byte, for a whole body that no handler reads itself, and for each
	                                wait for a client to send or take bytes; 0: 15000 */
	const char *trusted_proxies; /* comma separated addresses, or networks such as 10.0.0.0/8 */
	void (*handle)(void *arg, const struct http_request *rq, struct http_response *rs);
	/* May be NULL. Asked when the head is there: does the handler read the body itself, as it comes? */
	bool (*streams)(void *arg, const struct http_request *rq);
	void *arg;
};

struct http_server;

/* STATUS_CONFLICT: the address is in use or not ours (logged with the address). STATUS_FIELD_INVALID: listen or
 * trusted_proxies cannot be read. The handler is never called for what civetweb cannot parse (400), for 64 headers
 * or more (431), and after http_server_stop began (503). */
enum status http_server_start(const struct http_options *options, struct http_server **out_server);
uint16_t http_server_port(const struct http_server *server);
/* Refuses new requests (503, close), lets those in flight finish for at most 10 s, joins the workers; with idle
 * keep-alive connections that takes up to 2 s. NULL is fine. */
void http_server_stop(struct http_server *server);
/* Requests being handled right now, for drain and metrics. */
unsigned http_server_busy(const struct http_server *server);
