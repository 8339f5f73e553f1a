/*
 * client_parts - what the files of a client (client.h) share: client.c (its states from the beginning to the end, and its timers),
 * client_token.c (whose it is), client_user.c (one person's clients) and client_send.c (what goes to it). Nobody else includes it.
 * Everything belongs to one loop.
 */
#pragma once

#include "services/gateway/client.h"

/* ---- client.c */

void client_state_set(struct client *client, enum client_state state); /* counted in the metrics */
/* Its user's stream is watched: it is READY, and heartbeats begin. */
void client_ready(struct client *client);

/* ---- client_token.c */

void client_token_retry(struct timer *timer, int64_t now_mono_ms); /* client->retry */
/* The client goes: its token is forgotten, and nobody waits for what was asked about it. */
void client_token_drop(struct client *client);

/* ---- client_user.c */

void client_user_join(struct client *client, const pb_UserView *view);
void client_user_leave(struct client *client);
/* Presence is told. Before the door nobody is there yet: who is refused never was, and who comes in hears of himself. */
void client_is_there(struct client *client);

/* ---- client_send.c */

/* Its queue is to be written; bulk: after what is small. */
void client_mark(struct client *client, bool bulk);
