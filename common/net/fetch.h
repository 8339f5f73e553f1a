/*
 * net/fetch - HTTP requests to where somebody else's word points: the receivers of webhooks. libcurl lives in fetch.c and nowhere else.
 *
 * The name is resolved here, every address is looked at (public_address.h), and the connection goes to one that passed and to no other:
 * what the name means a moment later does not count. Only http and https; no redirect is followed, no proxy of the environment is
 * used, no credentials are sent, certificates are checked. The answer is bounded in time and size.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/status.h"
#include "common/http/address.h"

/* Once a process, before the first thread. STATUS_INTERNAL. */
enum status fetch_init(void);
void fetch_finish(void);

/* http or https, a host, no credentials, no `%` before the path, at most 64 KiB, nothing that would have to be escaped first. NULL: no. */
enum fetch_schemes { FETCH_ANY, FETCH_HTTPS_ONLY };
bool fetch_url_fits(const char *url, enum fetch_schemes schemes);
/* `text` as it stands in a query: unreserved characters as they are, a blank as +, the rest as %XX. */
char *fetch_query_escaped(struct arena *mem, const char *text);

struct fetch_request {
	const char *url;
	const char *content_type;
	const void *body; /* is posted */
	size_t body_length;
	const char *const *headers; /* "Name: value", NULL-terminated; or NULL */
	int timeout_ms;             /* of everything but the name's resolution */
	size_t answer_most;         /* bytes of the answer's body */
	const struct network *allowed; /* beside the public net */
	size_t allowed_count;
	const atomic_bool *stop; /* or NULL; becomes true: the request is given up within a second */
};

/* How it went; the word is for logs and rows. */
enum fetch_end {
	FETCH_DONE,        /* there is an answer, whatever its code */
	FETCH_BAD_URL,     /* fetch_url_fits says no */
	FETCH_NO_NAME,     /* the name does not resolve now */
	FETCH_REFUSED,     /* none of its addresses may be called */
	FETCH_UNREACHABLE, /* nobody answers there, TLS failed, or the answer broke off */
	FETCH_TIMEOUT,
	FETCH_TOO_LARGE,
	FETCH_STOPPED,
};
const char *fetch_end_word(enum fetch_end end);

struct fetch_answer {
	int code;
	const char *content_type; /* "" when it has none; in mem */
	const char *body;         /* NUL-terminated, in mem */
	size_t length;
};
/* Blocks. Any thread. */
enum fetch_end fetch_post(struct arena *mem, const struct fetch_request *request, struct fetch_answer *out);
