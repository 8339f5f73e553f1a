#include "common/base/status.h"

#include <stddef.h>

static const struct {
	int http;
	const char *wire;
	const char *text;
} rows[STATUS_COUNT] = {
#define STATUS(code, http, wire, text) [STATUS_##code] = {http, wire, text},
#include "common/base/status.tbl.h"
#undef STATUS
};

static enum status known(enum status st)
{
	return (unsigned)st < STATUS_COUNT ? st : STATUS_INTERNAL;
}

int status_http(enum status st)
{
	return rows[known(st)].http;
}

const char *status_wire(enum status st)
{
	return rows[known(st)].wire;
}

const char *status_text(enum status st)
{
	return rows[known(st)].text;
}

enum status status_from_number(uint32_t number)
{
	return number < STATUS_COUNT ? (enum status)number : STATUS_INTERNAL;
}
