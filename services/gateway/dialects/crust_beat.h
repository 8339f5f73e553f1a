/*
 * dialects/crust_beat - who is there, told once a minute: `activity` without a kind of everybody who is shown as present in the mount's
 * team, to each of its clients. Presence is asked once for all clients of a loop, and what it answers is rendered once; so a minute costs
 * a question and a buffer that all queues share. Where more people are present than the settings allow (GUILDHALL_CRUST_PRESENCE_MOST),
 * or presence does not answer, each client is told of its own user alone: of n people with a client each the other way takes n x n frames.
 * docs/dialects/crust.md, "What is sent". Belongs to one loop.
 */
#pragma once

struct client;

/* The client is admitted: from here on it is told. */
void crust_beat_join(struct client *client);
/* It goes. Fine when it never joined. */
void crust_beat_leave(struct client *client);
