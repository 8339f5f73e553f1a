/*
 * http/parts - what the files around civetweb share. Inside common/http only.
 */
#pragma once

#include <civetweb.h>
#include <netinet/in.h>
#include <time.h>

#include "common/http/http.h"

/* ---- patience.c: however slowly a client sends, civetweb reads on until all bytes are there that it was asked for; so the end is made at
 * the connection itself, by a thread of its own. Every body is waited for this way, so a wait that nothing comes of costs a lock. */
struct patience;
struct patience_wait { /* link NULL: none; zeroed at first */
	struct patience_wait *next, **link;
	struct in_addr address; /* of the client */
	uint16_t remote_port, server_port;
	int64_t until_mono_ms;
};
struct patience *patience_create(void); /* NULL: no memory or no thread */
void patience_destroy(struct patience *patience); /* NULL is fine; nothing waits any more */
/* When patience_end was not called until then, reading from the connection comes to its end. The connection's own thread, as patience_end. */
void patience_begin(struct patience *patience, struct patience_wait *wait, struct mg_connection *conn, int64_t until_mono_ms);
void patience_end(struct patience *patience, struct patience_wait *wait);

/* ---- body.c */

/* A body that its handler reads. */
struct http_stream {
	struct mg_connection *conn;
	struct patience *patience;
	struct patience_wait wait;
	uint64_t left, most; /* left: of a body whose length was said */
	int64_t deadline_mono_ms;
	enum status status; /* of all further reads */
	bool chunked, begun, ended;
};

/* The whole body into rq, at most `most` bytes of it within time_ms; or body_too_large, body_broken or body_late. content_length is
 * civetweb's, -1 for none. */
void body_read(struct mg_connection *conn, struct patience *patience, long long content_length, size_t most, int time_ms,
	struct http_request *rq);
void body_stream_begin(struct http_stream *stream, struct mg_connection *conn, struct patience *patience, long long content_length,
	const struct http_request *rq);
void body_stream_end(struct http_stream *stream);
/* Drops what still comes of a body that nobody wants, within bounds: closing with bytes unread resets the connection, and the client
 * might lose the answer (RFC 9112, 9.6). */
void body_drain(struct mg_connection *conn, struct patience *patience);

/* ---- response.c */

/* The present second as Date tells it; one a thread. */
struct response_date {
	time_t at;
	char text[32];
};
enum response_then { RESPONSE_CLOSE, RESPONSE_KEEP, RESPONSE_KEEP_AND_SAY_SO };

void response_write(struct mg_connection *conn, struct response_date *date, struct arena *mem, const char *method,
	const struct http_response *rs, enum response_then then);
/* The answers that no handler gives, in the form of RFC 9457. */
void response_refuse(struct http_response *rs, struct arena *mem, int code, enum status st, const char *title);
