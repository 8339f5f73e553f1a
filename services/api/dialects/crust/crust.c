#include "services/api/dialects/crust/crust.h"

#include <string.h>
#include <strings.h>

#include "common/http/page.h"
#include "services/api/mount_team.h"

static const struct route routes[] = {
#define ROUTE(method, path, auth, scope, cost, handler)                                                      \
	{method, path, AUTH_##auth, SCOPE_##scope, COST_##cost, crust_##handler, #handler},
#include "services/api/dialects/crust/routes.tbl.h"
#undef ROUTE
};

const struct mount_cors crust_cors = {
	.methods = "GET, POST, PUT, DELETE, PATCH, OPTIONS",
	.headers = "Accept, Authorization, Content-Type, Idempotency-Key, X-CSRF-Token",
	.exposed = "Retry-After, X-Request-Id",
	.max_age_s = "300",
};

/* One of "a=b; jwt=c". */
static const char *cookie(struct exchange *x, const char *name)
{
	const char *at = http_request_header(x->rq, "Cookie");
	size_t n = strlen(name);

	while (at != NULL && *at != '\0') {
		at += strspn(at, "; ");
		size_t length = strcspn(at, ";");
		if (length > n && strncmp(at, name, n) == 0 && at[n] == '=')
			return arena_strndup(x->mem, at + n + 1, length - n - 1);
		at += length;
	}
	return NULL;
}

const char *crust_token(struct exchange *x)
{
	const char *header = http_request_header(x->rq, "Authorization");
	const char *token = http_query(x->rq, "jwt", NULL);

	if (token != NULL && token[0] != '\0')
		return token;
	if (header != NULL && strncasecmp(header, "Bearer ", 7) == 0) {
		token = header + 7 + strspn(header + 7, " ");
		if (token[0] != '\0')
			return token;
	}
	/* Every page may ask here (crust_cors), and a browser adds the cookie by itself. */
	bool own = page_is_own(http_request_header(x->rq, "Origin"), http_request_header(x->rq, "Sec-Fetch-Site"),
		http_request_header(x->rq, "Host"));
	token = own ? cookie(x, "jwt") : NULL;
	return token != NULL && token[0] != '\0' ? token : NULL;
}

enum status crust_admit(struct exchange *x)
{
	return mount_team_admit(x, DIALECT_CRUST);
}

const char *crust_own_host(const struct config *config)
{
	return config->host_crust;
}

const struct mount crust_mount = {
	.name = "crust",
	.path = "/crust",
	.host = crust_own_host,
	.host_path = "",
	.routes = routes,
	.route_count = sizeof routes / sizeof *routes,
	.bodies = BODY_JSON | BODY_FORM | BODY_MULTIPART,
	.cors = &crust_cors,
	.either_slash = true,
	.path_id = markup_id_decimal,
	.kinds = 1u << CHANNEL_TEXT | 1u << CHANNEL_DIRECT | 1u << CHANNEL_GROUP,
	.token = crust_token,
	.admit = crust_admit,
	.refuse = crust_refuse,
	.decorate = crust_decorate,
};

/* ---- decoding */

void crust_params(struct exchange *x, struct crust_params *p, enum crust_where where)
{
	crust_params_begin(p, x->rq, where);
}

enum status crust_params_done(struct exchange *x, const struct crust_params *p)
{
	enum status st = crust_params_end(p);

	return st == STATUS_OK ? st : exchange_fail(x, st, NULL, NULL, p->detail);
}

enum status crust_path_id(struct exchange *x, const char *name, uint64_t *out_id)
{
	const char *text = route_param(&x->match, name);

	*out_id = text == NULL ? 0 : crust_id_of(text);
	return *out_id != 0 ? STATUS_OK : exchange_fail(x, STATUS_NOT_FOUND, "id", NULL, NULL);
}

const char *crust_trimmed(struct arena *mem, const char *text)
{
	static const char blanks[] = " \t\r\n\v\f";

	if (text == NULL)
		return "";
	text += strspn(text, blanks);
	size_t length = strlen(text), kept = length;
	while (kept > 0 && strchr(blanks, text[kept - 1]) != NULL)
		kept--;
	return kept == length ? text : arena_strndup(mem, text, kept);
}

size_t crust_distinct(uint64_t *ids, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		bool again = ids[i] == 0;
		for (size_t k = 0; k < kept && !again; k++)
			again = ids[k] == ids[i];
		if (!again)
			ids[kept++] = ids[i];
	}
	return kept;
}

/* ---- rendering */

void crust_response(struct exchange *x, struct json_writer *w)
{
	crust_begin(w, x->mem, 1024);
	jw_object(w);
	jw_key(w, "response");
}

enum status crust_finish(struct exchange *x, struct json_writer *w)
{
	jw_object_end(w);
	x->rs->code = 200;
	x->rs->content_type = "application/json";
	x->rs->body = jw_end(w, &x->rs->body_length);
	return STATUS_OK;
}

enum status crust_ok(struct exchange *x)
{
	struct json_writer w;

	crust_begin(&w, x->mem, 0);
	jw_object(&w);
	jw_key(&w, "success");
	jw_object(&w);
	jw_kv(&w, str, "message", "OK");
	jw_object_end(&w);
	return crust_finish(x, &w);
}

enum status crust_nothing(struct exchange *x, const char *word)
{
	struct json_writer w;

	crust_response(x, &w);
	jw_raw(&w, word, strlen(word));
	return crust_finish(x, &w);
}
