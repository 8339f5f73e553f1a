/*
 * subscribe_parts - what the files of a wish (subscribe.h) share: subscribe.c (its stages), subscribe_streams.c (the streams that it is
 * in) and subscribe_teams.c (all teams or conversations of the user). Nobody else includes it. Everything belongs to one loop.
 */
#pragma once

#include "services/gateway/open.h"
#include "services/gateway/subscribe.h"

#define SUBSCRIBE_PATIENCE_MS 4000 /* then a topic is refused as busy */

/* ---- subscribe_streams.c */

/* The wish needs this stream: lets the client in, or goes on from where it is. *out_member (may be NULL): the member that is on its way
 * in because of this call, else NULL. */
void subscribe_want(struct subscribe *sub, struct stream s, enum open_source source, struct member **out_member);
/* Another client's answer told where the channel is. Does this user hold its key? */
bool subscribe_holds_key(const struct member *member, const struct topic_wish *wish);
/* The answer about a stream that the client was shown before this wish. */
void subscribe_refresh(struct subscribe *sub, struct member *member, struct stream_answer *answer);
/* Refuses the topics that look into all of these (ALL_...). */
void subscribe_refuse_topics(struct subscribe *sub, uint64_t all, enum status st);

/* ---- subscribe_teams.c */

/* Asks for the keys of the user in all that the wish looks into: then one more answer is outstanding. */
void subscribe_teams_begin(struct subscribe *sub);
void subscribe_teams_drop(struct subscribe *sub); /* the wish goes */
void subscribe_teams_flush(struct hub *hub);      /* asks for what gathered in this turn */
