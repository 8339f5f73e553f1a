#include "common/http/page.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

/* Of "name:port", "[::1]:port", or either without the port. */
static size_t name_length(const char *host)
{
	const char *end = host[0] == '[' ? strchr(host, ']') : NULL;

	return end != NULL ? (size_t)(end - host) + 1 : strcspn(host, ":");
}

static bool same_name(const char *a, const char *b)
{
	size_t length = name_length(a);

	return length > 0 && length == name_length(b) && strncasecmp(a, b, length) == 0;
}

bool page_is_own(const char *origin, const char *site, const char *host)
{
	if (site != NULL && (strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0))
		return true;
	/* A sibling, or another port of this host: the origin tells. */
	if (site != NULL && (strcmp(site, "same-site") != 0 || origin == NULL))
		return false;
	if (origin == NULL)
		return true;
	const char *name = strstr(origin, "://");
	return name != NULL && host != NULL && same_name(name + 3, host);
}
