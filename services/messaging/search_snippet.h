/*
 * search_snippet - the part of a message that shows why it was found: at most about SNIPPET_CODE_POINTS of it, escaped for HTML,
 * the words found between <mark> and </mark>, "…" where something was left out. Pure; any thread.
 */
#pragma once

#include "services/messaging/search_fold.h"

#define SNIPPET_CODE_POINTS 240
/* What stands before and behind a word in the headline of a folded text; neither is in one otherwise. */
#define SNIPPET_BEGIN '\2'
#define SNIPPET_END   '\3'
#define SNIPPET_OPTIONS "StartSel=\2,StopSel=\3,HighlightAll=true"

/* headline: the whole folded text with the found words between the two signs (ts_headline with HighlightAll), or NULL: nothing
 * is marked. folded: of the content, with its map. */
const char *search_snippet(struct arena *mem, const char *content, const struct folded *folded, const char *headline);
