/*
 * mounts - which dialect a request speaks: by the host it names, where one is bound to a dialect (GUILDHALL_HOST_*), else by
 * where its path lies. Pure; any thread.
 */
#pragma once

#include "services/api/exchange.h"

/*
 * mounts     NULL-terminated; the first answers what is nobody's
 * host       the Host header, with or without a port, or NULL
 * path       still percent-encoded
 * out_below  what of the path lies below the mount; "" for what is nobody's
 *
 * Of several that fit, the one that lies deepest: /crust/system/users/ is not /crust's.
 */
const struct mount *mount_find(const struct mount *const *mounts, const struct config *config, const char *host,
	const char *path, const char **out_below);
