#include "services/api/dialects/house/house.h"

#include <inttypes.h>
#include <string.h>

/* Seconds for people and for Retry-After: never 0, which would mean "at once". */
static const char *seconds(struct exchange *x, int64_t ms)
{
	int64_t s = (ms + 999) / 1000;

	return arena_printf(x->mem, "%" PRId64, s < 1 ? 1 : s);
}

/* Fields that house calls otherwise than the owners do. */
static const char *spelled(const char *field)
{
	static const char *const names[][2] = {
		{"avatar", "avatar_url"},
		{"banner", "banner_url"},
		{"icon", "icon_url"},
		{"text", "message"},
	};

	for (size_t i = 0; field != NULL && i < sizeof names / sizeof *names; i++) {
		if (strcmp(field, names[i][0]) == 0)
			return names[i][1];
	}
	return field;
}

void house_refuse(struct exchange *x, enum status status)
{
	struct http_response *rs = x->rs;
	struct house_problem problem = {
		.status = status,
		.why = x->outcome.why,
		.field = spelled(x->outcome.field),
		.detail = x->outcome.detail,
		.trace = x->trace,
	};
	struct json_writer w;

	/* Why something is not to be seen would say that it is there. */
	if (status == STATUS_NOT_FOUND)
		problem.why = NULL;
	/* Another body under the name the client gave this change; which name that was, only this side knows.
	 */
	if (status == STATUS_FIELD_INVALID && problem.why != NULL && strcmp(problem.why, "other_body") == 0) {
		problem.field = x->key_field;
		problem.detail = "was used before for another request";
	}
	house_begin(x, &w);
	house_problem(&w, &problem);
	house_finish(x, status_http(status), &w);
	rs->content_type = "application/problem+json";
	if (rs->code == 401)
		http_response_header(rs, "WWW-Authenticate", "Bearer realm=\"guildhall\"");
	if (rs->code == 429 || rs->code == 503)
		http_response_header(rs, "Retry-After", seconds(x, x->outcome.retry_after_ms));
}

void house_decorate(struct exchange *x)
{
	struct http_response *rs = x->rs;

	http_response_header(rs, "X-Request-Id", x->trace);
	/* A file says itself how long it may be kept. */
	if (x->match.route == NULL || x->match.route->auth != AUTH_SIGNED || rs->code >= 400)
		http_response_header(rs, "Cache-Control", "no-store");
	if (x->limit.limited) {
		http_response_header(rs, "RateLimit-Limit", arena_printf(x->mem, "%" PRId64, x->limit.limit));
		http_response_header(
			rs, "RateLimit-Remaining", arena_printf(x->mem, "%" PRId64, x->limit.remaining));
		http_response_header(rs, "RateLimit-Reset",
			arena_printf(x->mem, "%" PRId64, (x->limit.reset_ms + 999) / 1000));
	}
}
