/*
 * house/snippet - the part of a message that shows why it was found, as HTML: escaped, the words found between <mark> and
 * </mark>, "…" where something was left out, ids spelled as in the content. Pure; any thread.
 */
#pragma once

#include "common/base/arena.h"
#include "proto/messaging.pb.h"

/* In mem. A token is shown whole or not at all, and an id is marked whole. Positions outside of the content are cut off. */
const char *house_snippet(struct arena *mem, const pb_FoundMessage *found);
