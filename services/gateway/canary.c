/*
 * canary - see canary.h.
 */
#include "services/gateway/canary.h"

#include <stdlib.h>

#include "common/base/log.h"
#include "common/ops/ops.h"
#include "services/gateway/memory.h"
#include "services/gateway/open.h"
#include "services/gateway/stream.h"

#define LOOK_MS  1000
#define LATE_MS  1000 /* worth a line in the log */

struct canary {
	struct question question;
	struct timer look;
	struct hub *hub;
	struct feed *feed;
	bool asking;
};

/* Where the stream is now: what was sent before nobody waited for. */
static void head_answered(struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	struct canary *canary = (struct canary *)question;
	const pb_StreamHeadsReply *got = reply;

	canary->asking = false;
	if (st == STATUS_OK && got->heads_count > 0 && open_generation_fits(hub, got->generation))
		feed_follow(canary->feed, got->heads[0].seq);
}

/* At the beginning, and after everything was let go: another generation, a log that did not reach back. */
static void look(struct timer *timer, int64_t now_mono_ms)
{
	struct canary *canary = memory_holder(timer, struct canary, look);
	struct hub *hub = canary->hub;

	if (canary->feed->state == FEED_UNFOLLOWED && !canary->asking) {
		canary->asking = true;
		hub->options.ports->ask_head(hub->options.arg, hub_ask(hub, &canary->question), STREAM_INTERNAL);
	}
	wheel_start(&hub->wheel, timer, now_mono_ms + LOOK_MS);
}

void canary_begin(struct hub *hub)
{
	struct canary *canary = memory_new(sizeof *canary);

	*canary = (struct canary){.question.answered = head_answered, .look.fire = look, .hub = hub};
	canary->feed = feed_get(hub, STREAM_INTERNAL);
	feed_pin(canary->feed);
	hub->canary = canary;
	wheel_start(&hub->wheel, &canary->look, hub->now_mono_ms);
}

void canary_finish(struct hub *hub)
{
	struct canary *canary = hub->canary;

	if (canary == NULL)
		return;
	wheel_stop(&hub->wheel, &canary->look);
	feed_unpin(canary->feed);
	free(canary);
	hub->canary = NULL;
}

void canary_arrived(struct hub *hub, const struct logged_event *logged)
{
	int64_t took_ms = hub->now_wall_ms - logged->at_ms;

	metric_observe_us(&metrics.ws_canary_seconds, took_ms * 1000);
	metric_set(ws_canary_at, logged->at_ms / 1000);
	if (took_ms >= LATE_MS)
		log_warn("canary_late", LOG_U64("seq", logged->seq), LOG_I64("took_ms", took_ms));
}
