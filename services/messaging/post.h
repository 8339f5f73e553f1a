/*
 * post - a message is posted: judged, its mentions settled, committed by the set lane, told. As a call of its author, and for
 * whoever else has something to post (webhooks, commands).
 */
#pragma once

#include "common/rpc/rpc.h"
#include "proto/messaging.pb.h"
#include "services/messaging/voucher.h"

rpc_handler post_message;

/* How a post ended; strings live as long as the call. OK: the reply is filled. */
struct post_end {
	enum status status;
	const char *why, *field, *detail; /* or NULL */
	uint32_t retry_after_ms;
	bool replayed; /* an earlier post with this request id: its message as it is now */
};

/* What is to be posted. Everything is borrowed until it ended and lives in the call's memory or longer. */
struct posting {
	/* Whose memory, deadline, request id and trace; its actor is judged. Actor 0, the system: only with an author. */
	struct rpc_call *call;
	const pb_PostMessageRequest *rq;
	pb_MessageReply *reply;
	const pb_UserView *author; /* NULL: the actor */
	const struct voucher *voucher; /* or NULL */
	const struct bits *only;   /* of the rights that are judged, and no slow mode; NULL: all, and slow mode as for everybody */
	uint32_t kind; /* enum message_kind; 0: text */
	uint64_t webhook_id;
	const char *shown_name, *shown_avatar;
	/* NULL: the call is answered. Else called once, on any thread, and must not block. */
	void (*ended)(void *arg, const struct post_end *end);
	void *arg;
};
/* Takes no ownership; may block for moderation. */
void post_start(struct service *s, const struct posting *what);
