/*
 * topics - what a client subscribed to, over all its streams: how many topics that is, whether one is among them, and taking
 * some away.
 */
#pragma once

#include "services/gateway/subscribe.h"

/* Is the member in a conversation's stream? It has one key, which its people hold. */
bool topics_in_conversation(const struct member *member);
size_t topics_count(const struct client *client);
bool topics_have(const struct client *client, const struct topic_wish *wish);
/* Takes away what the wish is about, and leaves streams in which nothing is left. */
void topics_remove(struct subscribe *sub);
