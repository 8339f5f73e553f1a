/*
 * webhook_changes - what changing and deleting a webhook share. Inside of webhooks only.
 */
#pragma once

#include "services/messaging/webhook_rows.h"
#include "services/messaging/webhooks.h"

/* `allowed` of a change: either right may do; which of them it takes depends on whose the row is. */
enum status webhook_touch_allowed(struct change *c);
/* The row, and whether the actor may touch this one. Under the lock of the team's stream. NOT_FOUND, FORBIDDEN. */
enum status webhook_load(struct log_tx *tx, const struct change *c, uint64_t id, pb_WebhookView *out);
/* The event, to who reads the channel of `place`; changed: names, of an update. */
enum status webhook_tell(struct log_tx *tx, const struct change *c, const struct rights *place, enum event_kind kind,
	const pb_WebhookView *view, char **changed, size_t changed_count);
