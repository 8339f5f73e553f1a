/*
 * origins - see origins.h.
 */
#include "services/gateway/origins.h"

#include <string.h>
#include <strings.h>

#include "common/base/config.h"
#include "common/base/log.h"

struct origins {
	const char **items;
	size_t count;
};

/* scheme "://" host [":" port], nothing behind; a host may begin with "*.". */
static bool is_origin(const char *item)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	static const char of_host[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._[]:";
	size_t scheme = strspn(item, letters);

	if (strcmp(item, "null") == 0)
		return true;
	if (scheme == 0 || strncmp(item + scheme, "://", 3) != 0)
		return false;
	const char *host = item + scheme + 3;
	if (strncmp(host, "*.", 2) == 0)
		host += 2;
	return *host != '\0' && *host != '.' && host[strspn(host, of_host)] == '\0';
}

enum status origins_read(struct arena *mem, const char *list, struct origins **out_origins)
{
	struct origins *origins = ARENA_NEW(mem, struct origins);

	origins->items = config_list(mem, list, &origins->count);
	for (size_t i = 0; i < origins->count; i++) {
		if (is_origin(origins->items[i]))
			continue;
		log_error("origin_unreadable", LOG_STR("item", origins->items[i]),
			LOG_STR("expected", "scheme://host or scheme://host:port, without a path"));
		return STATUS_FIELD_INVALID;
	}
	*out_origins = origins;
	return STATUS_OK;
}

/* An item with "*." in front of its host: the same scheme, and a host that ends in what stands behind the star. */
static bool fits_below(const char *item, const char *origin)
{
	const char *star = strstr(item, "://*.");

	if (star == NULL)
		return false;
	size_t scheme = (size_t)(star - item) + 3, tail = strlen(star + 4), length = strlen(origin);
	/* One character at least in the star's place, none of them from outside a host. */
	return length > scheme + tail && strncasecmp(origin, item, scheme) == 0 &&
	       strcasecmp(origin + length - tail, star + 4) == 0 &&
	       strcspn(origin + scheme, "/@?#\\") == length - scheme;
}

bool origins_allow(const struct origins *origins, const char *origin)
{
	if (origins == NULL || origins->count == 0 || origin == NULL)
		return true;
	for (size_t i = 0; i < origins->count; i++)
		if (strcasecmp(origins->items[i], origin) == 0 || fits_below(origins->items[i], origin))
			return true;
	return false;
}
