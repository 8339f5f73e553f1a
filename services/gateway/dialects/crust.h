/*
 * dialects/crust - the websocket of the crust dialect (/crust/websocket). Who may come in is decided before the upgrade is answered,
 * and it is answered when the client is live in the mount's team and in its user's conversations: what a client reads by REST
 * afterwards is never older than where its events begin. There is no resume: whoever missed something is closed and refetches.
 * Frames and codes: docs/dialects/crust.md, "Websocket".
 */
#pragma once

#include "services/gateway/dialect.h"
#include "services/gateway/hub.h"

#define CRUST_POSTS_CHANNELS 8 /* of one client, that its posts are counted in */

/* What a crust client has beside what every client has (client->session). */
struct crust_session {
	struct client *client;
	uint64_t team_id;
	struct crust_session *beat_next, **beat_link; /* crust_beat.c; beat_link NULL: it is not told yet */
	/* posts: the channels that it posted in last */
	struct crust_posts {
		uint64_t channel_id;
		int64_t since_ms;
		uint32_t count;
	} posts[CRUST_POSTS_CHANNELS];
};

extern const struct dialect_table dialect_crust;

#define CRUST_NO_CHANNEL "messaging.repository.ChannelNotFound"

/* What was asked for a client, which may have gone when the answer comes. */
struct crust_asked {
	struct question question;
	uint64_t socket_id;
	const char *missing; /* what to say of something that is not there */
};

/* crust_ops.c: one frame of a client. */
void crust_message_came(struct client *client, bool text, const char *bytes, size_t length);
void crust_send_error(struct client *client, const char *text);
/* NULL: gone. */
struct client *crust_who_asked(struct hub *hub, const struct crust_asked *asked);
/* Tells him why, in REST's words. */
void crust_refused(struct client *client, const struct crust_asked *asked, enum status st, const char *why);
/* crust_list.c: answers `channels`. */
void crust_list_channels(struct client *client);
