/*
 * webhooks - making, changing and ending webhooks. Their rows and reading them are webhook_rows.h, posting through one is
 * webhook_posts.h, what asks a receiver is deliveries.h.
 *
 * Making one takes create_webhooks or manage_channel_webhooks, and the right to post where it will; changing or ending one
 * manage_channel_webhooks, or manage_own_webhooks of its owner. The token is a right of its own: to post, and to end it.
 */
#pragma once

#include "services/messaging/guard.h"

rpc_handler create_webhook, update_webhook, delete_webhook;

#define WEBHOOK_NAME_MAX     32
#define WEBHOOK_TRIGGER_MAX  32
#define WEBHOOK_URL_MAX      255
#define WEBHOOK_AVATAR_MAX   2048 /* bytes */
#define WEBHOOKS_PER_CHANNEL 15

/* A picture from elsewhere: https, as a page must not be made to mix. NULL: no. */
bool webhook_avatar_fits(const char *url);

/* For the `work` of a channel's deletion: its webhooks end with it; that it is gone says that they are. */
enum status webhooks_drop(struct log_tx *tx, uint64_t channel_id);
/* Ends a webhook whose bot is gone, as the system. mem: for this alone. STATUS_NOT_FOUND: it has ended already. */
enum status webhook_end(struct service *s, struct arena *mem, uint64_t id, int64_t deadline_mono_ms);
