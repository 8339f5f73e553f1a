/*
 * whereabouts - the teams and conversations of clients' users, for presence. While one question is on its way the next ones
 * gather.
 */
#pragma once

#include "services/gateway/client.h"

/* Presence is to be told of this client, or that those may have changed. */
void whereabouts_want(struct client *client);
/* Asks for what gathered. */
void whereabouts_flush(struct hub *hub);
void whereabouts_finish(struct hub *hub);
