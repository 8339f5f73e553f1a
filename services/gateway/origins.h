/*
 * origins - the pages that may open a websocket here (RFC 6454 origins, RFC 6455, section 10.2). Only browsers send an
 * Origin, and send the true one: the check keeps strange pages from using what a browser knows, and nobody else from anything. Read
 * once at start, immutable afterwards, shared by all loops.
 */
#pragma once

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/status.h"

struct origins;

/*
 * list  origins with commas between them: "https://chat.example, http://localhost:5173"; "https://" followed by "*." stands for every
 *       host below the domain, at any depth, and not for the domain itself; "null" for pages without an origin (files, sandboxes). Empty:
 *       every origin.
 *
 * STATUS_FIELD_INVALID: an item is no origin (logged). *out_origins lives in mem.
 */
enum status origins_read(struct arena *mem, const char *list, struct origins **out_origins);

/* origin: of the upgrade, NULL when there was none, which is always allowed. origins may be NULL: every origin is. */
bool origins_allow(const struct origins *origins, const char *origin);
