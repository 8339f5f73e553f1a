/*
 * canary - follows the installation's own stream and measures how long each canary (common/db/canary.h) took from its commit to
 * this loop: through the committer's answer, the bus or the log, the order and the mailbox. No client sees it. One loop of a
 * gateway does this.
 */
#pragma once

#include "services/gateway/hub.h"

struct logged_event;

void canary_begin(struct hub *hub);
void canary_finish(struct hub *hub); /* questions were answered already */
void canary_arrived(struct hub *hub, const struct logged_event *logged);
