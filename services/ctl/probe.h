/*
 * probe - one GET over plain HTTP, for the ops listeners. Blocks, at most two seconds.
 */
#pragma once

#include "common/base/arena.h"
#include "common/base/status.h"

/*
 * probe_get - fetches http://<address><path>. address is host:port.
 *
 * out_body lives in mem and is NUL-terminated; at most 1 MiB of it. STATUS_OK with any HTTP code. STATUS_BUSY: nobody listens
 * there, or the answer takes too long; STATUS_FIELD_INVALID: no address; STATUS_MALFORMED: not HTTP.
 */
enum status probe_get(struct arena *mem, const char *address, const char *path, int *out_code, const char **out_body);
