/*
 * webhook_posts - messages that come through a webhook: as its bot, by the bot's rights, or as the installation's own account, which may
 * post there and no more.
 */
#pragma once

#include "services/messaging/post.h"
#include "services/messaging/webhook_rows.h"

struct webhook_post {
	struct rpc_call *call; /* memory, deadline, trace, request id; its actor is not looked at */
	const struct webhook *webhook;
	const char *content, *nonce; /* nonce may be NULL */
	const char *shown_name, *shown_avatar; /* over the webhook's own; NULL: those */
	pb_MessageReply *reply;
	void (*ended)(void *arg, const struct post_end *end); /* NULL: the call is answered */
	void *arg;
};
/* Borrows until it has ended, as post_start does. What is wrong with content and names is FIELD_INVALID. */
void webhook_post(struct service *s, const struct webhook_post *post);

/* Its owner answers for what comes through it, as long as he may post there himself (voucher_allowed). Asked before anything else is done
 * for it, and judged anew; posting asks by itself. */
enum status webhook_vouched(struct service *s, struct rpc_call *call, const struct webhook *webhook, const char **out_why);

rpc_handler run_webhook;
