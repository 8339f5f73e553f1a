#include <inttypes.h>
#include <string.h>

#include "services/api/dialects/crust/crust.h"

/* What a call is about: the last object that its path names, or what it does. */
enum resource { RESOURCE_ANY, RESOURCE_CHANNEL, RESOURCE_MEMBER, RESOURCE_MESSAGE, RESOURCE_MARK, RESOURCE_ATTACHMENT, RESOURCE_WEBHOOK,
	RESOURCE_WEBHOOKS, RESOURCE_ROLE, RESOURCE_SETTING, RESOURCE_SESSION };

static const struct {
	const char *part; /* of the path */
	enum resource resource;
} resources[] = {
	{"/mark-as-read", RESOURCE_MARK},
	{"/auth/", RESOURCE_SESSION},
	{"{message}", RESOURCE_MESSAGE},
	{"{attachment}", RESOURCE_ATTACHMENT},
	{"{webhook}", RESOURCE_WEBHOOK},
	{"/webhooks/", RESOURCE_WEBHOOKS},
	{"/settings/", RESOURCE_SETTING},
	{"{role}", RESOURCE_ROLE},
	{"{user}", RESOURCE_MEMBER},
	{"{channel}", RESOURCE_CHANNEL},
};

static enum resource resource_of(const struct route *route)
{
	for (size_t i = 0; route != NULL && i < sizeof resources / sizeof *resources; i++)
		if (strstr(route->path, resources[i].part) != NULL)
			return resources[i].resource;
	return RESOURCE_ANY;
}

static const struct {
	enum status status;
	enum resource resource;
	const char *why, *field, *text;
} errors[] = {
#define ERROR(status, resource, why, field, text) {STATUS_##status, RESOURCE_##resource, why, field, text},
#include "services/api/dialects/crust/errors.tbl.h"
#undef ERROR
};

/* What stands before the texts of some calls. */
static const struct {
	const char *ending, *prefix;
} prefixes[] = {
	{"/pin", "can not flag/un-flag message: "},
	{"/bookmark", "can not flag/un-flag message: "},
	{"/reaction/{reaction}", "can not flag/un-flag message: "},
	{"/mark-as-read", "unable to mark as read: "},
};

static const char *prefix_of(const struct route *route)
{
	size_t length = route == NULL ? 0 : strlen(route->path);

	for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
		size_t n = strlen(prefixes[i].ending);
		if (length >= n && strcmp(route->path + length - n, prefixes[i].ending) == 0)
			return prefixes[i].prefix;
	}
	return "";
}

static bool fits(const char *row, const char *word)
{
	return row == NULL || (word != NULL && strcmp(row, word) == 0);
}

static const char *text_of(struct exchange *x, enum status status)
{
	const struct rpc_outcome *o = &x->outcome;
	enum resource resource = resource_of(x->match.route);
	const char *detail = o->detail != NULL ? o->detail : status_text(status);

	if (status == STATUS_MALFORMED)
		return arena_printf(x->mem, "error parsing http request body: %s", detail);
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
		if (errors[i].status == status &&
			(errors[i].resource == RESOURCE_ANY || errors[i].resource == resource) &&
			fits(errors[i].why, o->why) && fits(errors[i].field, o->field))
			return errors[i].text != NULL ? errors[i].text : detail;
	return o->field != NULL ? arena_printf(x->mem, "%s: %s", o->field, detail) : detail;
}

static void plain(struct exchange *x, int code, const char *text)
{
	x->rs->code = code;
	if (text == NULL)
		return;
	x->rs->content_type = "text/plain; charset=utf-8";
	x->rs->body = text;
	x->rs->body_length = strlen(text);
}

static void envelope(struct exchange *x, int code, const char *text)
{
	struct json_writer w;

	crust_begin(&w, x->mem, 256);
	jw_object(&w);
	jw_key(&w, "error");
	jw_object(&w);
	jw_kv(&w, str, "message", text);
	jw_object_end(&w);
	crust_finish(x, &w);
	x->rs->code = code;
}

/* What is no application error: bare answers, as that server's router gave them. */
static const struct {
	enum status status;
	enum resource resource;
	int code;
	const char *text; /* NULL: no body */
} bare[] = {
	{STATUS_NO_ROUTE, RESOURCE_ANY, 404, "404 page not found\n"},
	{STATUS_NOT_FOUND, RESOURCE_ATTACHMENT, 404, "404 page not found\n"},
	{STATUS_WRONG_METHOD, RESOURCE_ANY, 405, NULL},
	{STATUS_NO_ACCESS, RESOURCE_ANY, 403, "Forbidden"},
	{STATUS_INTERNAL, RESOURCE_ATTACHMENT, 500, "the file cannot be read\n"},
	{STATUS_INTERNAL, RESOURCE_ANY, 500, NULL},
};

/* Application errors are 200: clients of this API look at "error" only. The rest is for who stands in between. */
void crust_refuse(struct exchange *x, enum status status)
{
	enum resource resource = resource_of(x->match.route);

	for (size_t i = 0; i < sizeof bare / sizeof *bare; i++)
		if (bare[i].status == status && (bare[i].resource == RESOURCE_ANY || bare[i].resource == resource)) {
			plain(x, bare[i].code, bare[i].text);
			return;
		}
	int code = status_http(status);
	envelope(x, code == 429 || code == 503 ? code : 200,
		arena_printf(x->mem, "%s%s", status == STATUS_UNAUTHENTICATED ? "" : prefix_of(x->match.route),
			text_of(x, status)));
	if (code == 429 || code == 503)
		http_response_header(x->rs, "Retry-After",
			arena_printf(x->mem, "%" PRIu32, (x->outcome.retry_after_ms + 999) / 1000 + (x->outcome.retry_after_ms == 0)));
}

static bool has_header(const struct http_response *rs, const char *name)
{
	for (size_t i = 0; i < rs->header_count; i++)
		if (strcmp(rs->headers[i].name, name) == 0)
			return true;
	return false;
}

void crust_decorate(struct exchange *x)
{
	http_response_header(x->rs, "X-Request-Id", x->trace);
	if (!has_header(x->rs, "Cache-Control"))
		http_response_header(x->rs, "Cache-Control", "no-store");
}
