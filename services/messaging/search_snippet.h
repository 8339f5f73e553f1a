/*
 * search_snippet - the part of a message that shows why it was found: where in the content it is, at most about
 * SNIPPET_CODE_POINTS, and where the words found are. How that is shown is for each dialect. Pure; any thread.
 */
#pragma once

#include "proto/messaging.pb.h"
#include "services/messaging/search_fold.h"

#define SNIPPET_CODE_POINTS 240
/* What stands before and behind a word in the headline of a folded text; neither is in one otherwise. */
#define SNIPPET_BEGIN '\2'
#define SNIPPET_END   '\3'
#define SNIPPET_OPTIONS "StartSel=\2,StopSel=\3,HighlightAll=true"

/* headline: the whole folded text with the found words between the two signs (ts_headline with HighlightAll), or NULL: nothing
 * is marked. folded: of the content of found->message, with its map. Fills begin, end and marks, which live in mem. */
void search_snippet(struct arena *mem, const struct folded *folded, const char *headline, pb_FoundMessage *found);
