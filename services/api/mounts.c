#include "services/api/mounts.h"

#include <string.h>
#include <strings.h>

/* Names are compared without the port and without regard to case. */
static bool is_host(const char *host, const char *name)
{
	size_t length = strlen(name);

	return length > 0 && strncasecmp(host, name, length) == 0 && (host[length] == '\0' || host[length] == ':');
}

/* Does the path lie below the root? Returns the rest, or NULL. */
static const char *below(const char *path, const char *root)
{
	size_t length = strlen(root);

	return strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == '\0') ? path + length : NULL;
}

const struct mount *mount_find(const struct mount *const *mounts, const struct config *config, const char *host,
	const char *path, const char **out_below)
{
	const struct mount *best = NULL;
	const char *best_below = "";
	bool bound = false;

	for (size_t i = 0; mounts[i] != NULL; i++) {
		const struct mount *m = mounts[i];
		bool here = host != NULL && m->host != NULL && is_host(host, m->host(config));
		const char *rest = here ? below(path, m->host_path) : bound ? NULL : below(path, m->path);
		/* At a host of its own nothing else is served, however its path reads. */
		if (here && !bound) {
			bound = true;
			best = NULL;
			best_below = "";
		}
		if (rest != NULL && (best == NULL || strlen(rest) < strlen(best_below))) {
			best = m;
			best_below = rest;
		}
	}
	*out_below = best_below;
	return best != NULL ? best : mounts[0];
}
