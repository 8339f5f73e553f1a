/*
 * handshake - the HTTP/1.1 request that opens a websocket (RFC 6455, section 4.2), read from bytes that come
 * in any portions, and the answers to it. Pure: no sockets, no allocation.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "services/gateway/extensions.h"

#define HANDSHAKE_MAX_BYTES 16384 /* request line and headers together */
#define HANDSHAKE_KEY_SIZE  25    /* base64 of 16 bytes, and NUL */
#define HANDSHAKE_FORWARDED 8     /* lines of X-Forwarded-For that are kept: the last ones stand next to us */

/* Strings point into the bytes that were parsed. */
struct handshake {
	char *path;                /* as sent, percent-encoded, without the query */
	char *query;               /* without '?', "" when absent */
	const char *host;          /* or NULL */
	const char *authorization; /* or NULL */
	const char *forwarded[HANDSHAKE_FORWARDED]; /* lines of X-Forwarded-For, in order */
	size_t forwarded_count;
	const char *user_agent;    /* or NULL */
	const char *origin;        /* or NULL: not a browser */
	const char *cookie;        /* or NULL */
	struct extensions extensions;
	char key[HANDSHAKE_KEY_SIZE];
};

/*
 * handshake_complete - how many bytes the head takes, its empty line included; 0: more is needed.
 *
 * scanned  in and out: how far earlier calls looked, 0 at first; keeps a client that sends single bytes from
 * costing more than its bytes
 */
size_t handshake_complete(const char *bytes, size_t length, size_t *scanned);

/*
 * handshake_parse - reads a complete head, length bytes as handshake_complete counted them. Writes NULs into
 * it.
 *
 * Returns 101 with *out filled, or the HTTP status to answer: 400 malformed, 405 not a GET, 426 not a
 * websocket of version 13, 505 not HTTP/1.1.
 */
int handshake_parse(char *bytes, size_t length, struct handshake *out);

/* The first value of a query parameter, percent-decoded into out. False: absent, not decodable, holds a NUL
 * or does not fit; *out_present then tells whether it was there. '+' stands for itself. */
bool handshake_query(const struct handshake *hs, const char *name, char *out, size_t size, bool *out_present);

/* The token of "Bearer <token>"; NULL when the header is absent or of another scheme. */
const char *handshake_bearer(const struct handshake *hs);

/* The value of a cookie into out. False: absent, or it does not fit. */
bool handshake_cookie(const struct handshake *hs, const char *name, char *out, size_t size);

/* "101 Switching Protocols" for key, with what was agreed upon, into out. Returns its length. size: 384 is enough. */
size_t handshake_accept(const char *key, const struct extensions *agreed, char *out, size_t size);
/* An answer of any kind in place of the upgrade, with Connection: close. Returns its length. */
size_t handshake_answer(int code, const char *reason, const char *type, const char *body, char *out, size_t size);
/* A refusal with a one-line text body and Connection: close. Returns its length. size: 512 is enough. */
size_t handshake_refuse(int code, char *out, size_t size);
