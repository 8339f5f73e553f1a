/*
 * typing - "somebody is typing" from a client to presence: whether he may write there is asked of moderation
 * and remembered for 2 s; at most one notice every 3 s per user and channel on this loop.
 */
#pragma once

#include "services/gateway/client.h"

/* refused is called, at once or later, unless the client goes or all is well; it owns arg only for that call,
 * and release is called on arg in every case. */
void typing_set(struct client *client, uint64_t channel_id, bool is_typing,
	void (*refused)(struct client *client, enum status st, void *arg), void (*release)(void *arg),
	void *arg);
/* The user's last client went. */
void typing_forget(struct user *user);
