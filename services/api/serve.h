/*
 * serve - from a complete request to a response: trace, dialect, route, body, person, limits, handler,
 * refusal, access log.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/http/http.h"
#include "services/api/api.h"

#define SERVE_DEADLINE_MS 5000
#define SERVE_BODY_BYTES  ((size_t)256 << 10)

/* For http_options.handle; arg is the struct api. Worker threads. */
void serve_request(void *arg, const struct http_request *rq, struct http_response *rs);

/* For http_options.streams: is it a route whose handler reads the body itself? Such handlers use files.h. */
bool serve_streams(void *arg, const struct http_request *rq);

/* Which body (enum mount_body) a Content-Type header announces; 0: none that any dialect reads. Parameters such as charset are
 * let be. NULL, as simple clients have it, is BODY_JSON. */
unsigned serve_body_kind(const char *content_type);
