#include "services/api/dialects/house/descriptions.h"

#include "services/api/dialects/house/house.h"

static enum status reply_text(struct exchange *x, const char *text, size_t length)
{
	x->rs->code = 200;
	x->rs->content_type = "application/json";
	x->rs->body = text;
	x->rs->body_length = length;
	return STATUS_OK;
}

enum status house_openapi_get(struct exchange *x)
{
	return reply_text(x, house_openapi, house_openapi_length);
}

enum status house_asyncapi_get(struct exchange *x)
{
	return reply_text(x, house_asyncapi, house_asyncapi_length);
}
