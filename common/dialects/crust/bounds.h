/*
 * crust/bounds - how long what clients write of channels may be. The first server of this API had smaller bounds, in bytes, than ours are in
 * characters; they hold where GUILDHALL_CRUST_STRICT is 1. Texts: docs/dialects/crust.md, "Calls". Pure.
 */
#pragma once

#include <stdbool.h>

#include "common/base/arena.h"

/* NULL: both fit; else what is said to who wrote them, in mem. Each may be NULL. */
const char *crust_channel_too_long(struct arena *mem, const char *name, const char *topic, bool strict);
