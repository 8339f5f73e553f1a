/*
 * judge - what moderation is asked for a wish (subscribe.h): where channels are that nobody here knows, and whether the user may
 * read those whose key he turned out not to hold. A few questions at a time; the others wait their turn, and what they would ask
 * may be known by then.
 */
#pragma once

#include "services/gateway/subscribe.h"

/* Asks about the channels of which too little is known, if there are any: then one more answer is outstanding. */
void judge_begin(struct subscribe *sub);
void judge_drop(struct subscribe *sub);  /* the wish goes */
void judge_flush(struct hub *hub);       /* asks for what gathered in this turn */
void judge_finish_hub(struct hub *hub);  /* nobody wishes any more */
