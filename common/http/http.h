/*
 * http - the one file that knows civetweb. A server with a worker pool that hands complete requests (head, query,
 * body up to a bound) to one function and writes its response with a single mg_write. Used by api and by ops.
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
	const char *remote;       /* address of the client: X-Forwarded-For is believed from trusted proxies only */
	const struct http_header *headers;
	size_t header_count;
	void *connection;         /* civetweb's; http.c only */
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

struct http_response {
	int code;
	const char *content_type; /* NULL: no body expected */
	const char *body;
	size_t body_length;
	struct http_header headers[24];
	size_t header_count;
};

void http_response_header(struct http_response *rs, const char *name, const char *value);

struct http_options {
	const char *listen;          /* "host:port"; port 0 picks one */
	int workers;                 /* threads; a connection that is kept alive owns one. Fewer where nofile is low (logged) */
	int waiting;                 /* connections that wait for a worker; 0: 1024. Fewer where nofile is low: none is ever accepted
	                                without a file for it */
	int keepalive_ms;            /* 0: close after each response */
	size_t max_body_bytes;
	const char *trusted_proxies; /* comma separated addresses, or networks such as 10.0.0.0/8 */
	void (*handle)(void *arg, const struct http_request *rq, struct http_response *rs);
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
